/* Peers over real sockets: greeting, credit, refusals, bounds. */
#include "common/base/cleanup.h"
#include "common/io/peer.h"
#include "tests/suite.h"
#include "tests/unit/io/sp.h"

struct side {
	struct peer_hub *hub;
	struct peer *peer;       /* the last one that came up, or was dialled */
	unsigned n_up, n_down, n_room, n_parts;
	size_t n_envelopes;
	uint64_t next;           /* of the payloads, which count up */
	bool counts, answers, grants, closes;
	struct error why;
	char to[WIRE_ADDRESS_MAX + 1], from[WIRE_ADDRESS_MAX + 1];
	Troupe__Kind kind;
	uint64_t probe;
};

static struct loop *loop;
static struct side server, client;

static Troupe__Envelope envelope(Troupe__Kind kind)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.kind = kind;
	env.type = (char *)"test";
	return env;
}

static void on_up(void *ctx, struct peer *p)
{
	struct side *s = ctx;
	s->n_up++;
	s->peer = p;
}

static void on_envelopes(void *ctx, struct peer *p, struct arena *a, Troupe__Envelope **env, size_t n)
{
	struct side *s = ctx;
	s->n_envelopes += n;
	for (size_t i = 0; i < n; i++) {
		snprintf(s->to, sizeof(s->to), "%s", env[i]->to);
		snprintf(s->from, sizeof(s->from), "%s", env[i]->from);
		s->kind = env[i]->kind;
		if (s->counts) {
			uint64_t number;
			ck_assert_uint_eq(env[i]->payload.len, sizeof(number));
			memcpy(&number, env[i]->payload.data, sizeof(number));
			ck_assert_uint_eq(number, s->next++);
		}
		if (s->answers) {
			Troupe__Envelope answer = envelope(TROUPE__KIND__REPLY);
			answer.reply_to = env[i]->id;
			answer.payload = env[i]->payload;
			ck_assert_int_eq(peer_send(p, &answer), 0);
		}
	}
	if (s->grants)
		peer_grant(p, (uint32_t)n);
	if (s->closes)
		peer_close(p, ERROR_STOPPING, "going down");
}

static void on_parts(void *ctx, struct peer *p, struct arena *a, const Troupe__Frame *f)
{
	struct side *s = ctx;
	s->n_parts++;
	if (f->probe)
		s->probe = f->probe->nonce;
}

static void on_room(void *ctx, struct peer *p)
{
	((struct side *)ctx)->n_room++;
}

static void on_down(void *ctx, struct peer *p, const struct error *why)
{
	struct side *s = ctx;
	s->n_down++;
	s->why = *why;
	if (s->peer == p)
		s->peer = NULL;
}

static const struct peer_events events = { .up = on_up, .envelopes = on_envelopes, .parts = on_parts, .room = on_room, .down = on_down };

static uint64_t tick(uint64_t now_ms)
{
	uint64_t next_ms = TIME_NEVER;
	for (struct side *s = &server; s; s = s == &server ? &client : NULL) {
		if (!s->hub)
			continue;
		peer_hub_flush(s->hub);
		uint64_t at_ms = peer_hub_tick(s->hub, now_ms);
		next_ms = at_ms < next_ms ? at_ms : next_ms;
	}
	return next_ms;
}

#define UNTIL(cond) RUN_UNTIL(loop, tick(now_ms), cond)

static struct peer_config config(const char *address)
{
	struct peer_config c = { .wire = wire_limits_default, .channel = channel_limits_default, .output_max = 4 << 20, .credit = 64, .anonymous_credit = 16,
		                 .incarnation = *address ? 7 : 0, .node = "0123456789abcdef0123456789abcdef", .program = "test" };
	snprintf(c.address, sizeof(c.address), "%s", address);
	return c;
}

static void begin_with(const struct peer_config *c)
{
	struct error e;
	dir_make();
	ck_assert_int_eq(loop_open(&loop), 0);
	ck_assert_int_eq(peer_hub_open(loop, c, &events, &server, &server.hub), 0);
	ck_assert_int_eq(peer_listen(server.hub, dir_url("s"), 0600, &e), 0);
}

static void begin(void)
{
	struct peer_config c = config("counter:1");
	begin_with(&c);
}

static void dial_as(const char *address, const char *url)
{
	struct error e;
	struct peer_config c = config(address);
	ck_assert_int_eq(peer_hub_open(loop, &c, &events, &client, &client.hub), 0);
	ck_assert_int_eq(peer_dial(client.hub, url, &client, &client.peer, &e), 0);
}

static void connect_both(void)
{
	dial_as("room:2", dir_url("s"));
	UNTIL(server.n_up == 1 && client.n_up == 1);
}

static void end(void)
{
	client.hub = peer_hub_close(client.hub);
	server.hub = peer_hub_close(server.hub);
	loop = loop_close(loop);
	dir_remove();
}

static int plain(void)
{
	int fd;
	UNTIL((fd = unix_try_connect(dir_path("s"))) >= 0);
	fd_write(fd, sp_hello, sizeof(sp_hello));
	return fd;
}

static Troupe__Frame *next_frame(int fd, struct sp_reader *r)
{
	Troupe__Frame *f;
	UNTIL((f = sp_read_frame(fd, r)));
	return f;
}

START_TEST(hello_and_welcome_tell_each_end_who_the_other_is)
{
	begin();
	connect_both();
	ck_assert_str_eq(peer_address(server.peer), "room:2");
	ck_assert_str_eq(peer_address(client.peer), "counter:1");
	ck_assert_uint_eq(peer_incarnation(client.peer), 7);
	ck_assert(peer_dialled(client.peer) && !peer_dialled(server.peer));
	ck_assert(!peer_anonymous(server.peer));
	ck_assert_uint_ne(peer_number(server.peer), peer_number(client.peer));
	ck_assert_uint_eq(peer_credit_left(client.peer), 64);
	ck_assert_uint_eq(peer_credit_left(server.peer), 64);
	ck_assert_int_eq(peer_credentials(server.peer)->pid, getpid());
	ck_assert_ptr_eq(peer_user(client.peer), &client);
	end();
	ck_assert_uint_eq(server.n_down, 1);
	ck_assert_uint_eq(client.n_down, 1);
}
END_TEST

START_TEST(many_envelopes_arrive_in_order_and_are_answered)
{
	begin();
	server.answers = server.grants = server.counts = client.counts = true;
	connect_both();
	uint64_t n = 0;
	while (client.n_envelopes < 20000) {
		Troupe__Envelope env = envelope(TROUPE__KIND__ASK);
		env.payload = (ProtobufCBinaryData){ sizeof(n), (uint8_t *)&n };
		while (n < 20000 && peer_send(client.peer, &env) == 0)
			n++;
		size_t before = client.n_envelopes;
		UNTIL(client.n_envelopes > before);
	}
	ck_assert_uint_eq(server.n_envelopes, 20000);
	end();
}
END_TEST

START_TEST(frames_larger_than_a_frame_may_be_are_cut)
{
	begin();
	server.counts = true;
	connect_both();
	/* Replies cost nothing; 5,000 are more than a frame may hold. */
	for (uint64_t i = 0; i < 5000; i++) {
		Troupe__Envelope env = envelope(TROUPE__KIND__REPLY);
		env.payload = (ProtobufCBinaryData){ sizeof(i), (uint8_t *)&i };
		ck_assert_int_eq(peer_send(client.peer, &env), 0);
	}
	UNTIL(server.n_envelopes == 5000);

	server.counts = false;
	uint8_t *data = calloc(1, 1024 * 1024);
	Troupe__Envelope env = envelope(TROUPE__KIND__REPLY);
	env.payload = (ProtobufCBinaryData){ 1024 * 1024 - 32, data };
	ck_assert_int_eq(peer_send(client.peer, &env), 0);
	ck_assert_int_eq(peer_send(client.peer, &env), 0);
	env.payload.len = 1024 * 1024;
	ck_assert_int_eq(peer_send(client.peer, &env), ERROR_TOO_LARGE);
	ck_assert_int_eq(peer_send_packed(client.peer, false, data, 1024 * 1024 + 1), ERROR_TOO_LARGE);
	free(data);
	UNTIL(server.n_envelopes == 5002);
	ck_assert_uint_eq(server.n_down, 0);
	end();
}
END_TEST

START_TEST(credit_runs_out_and_comes_back)
{
	begin();
	connect_both();
	Troupe__Envelope tell = envelope(TROUPE__KIND__TELL), reply = envelope(TROUPE__KIND__REPLY);
	for (int i = 0; i < 64; i++)
		ck_assert_int_eq(peer_send(client.peer, &tell), 0);
	ck_assert_uint_eq(peer_credit_left(client.peer), 0);
	ck_assert_int_eq(peer_send(client.peer, &tell), ERROR_BUSY);
	ck_assert_int_eq(peer_send(client.peer, &reply), 0);
	UNTIL(server.n_envelopes == 65);

	/* Less than a quarter is not given back, a quarter is. */
	peer_grant(server.peer, 15);
	uint64_t stop_ms = clock_mono_ms() + 30;
	UNTIL(clock_mono_ms() > stop_ms);
	ck_assert_uint_eq(client.n_room, 0);
	peer_grant(server.peer, 1);
	UNTIL(client.n_room == 1);
	ck_assert_uint_eq(peer_credit_left(client.peer), 16);

	/* More than was taken cannot be given. */
	peer_grant(server.peer, 1000000);
	UNTIL(peer_credit_left(client.peer) == 64);
	for (int i = 0; i < 64; i++)
		ck_assert_int_eq(peer_send(client.peer, &tell), 0);
	UNTIL(server.n_envelopes == 129);
	ck_assert_uint_eq(server.n_down, 0);
	end();
}
END_TEST

START_TEST(who_sends_beyond_its_credit_is_closed)
{
	begin();
	int fd = plain();
	Troupe__Envelope tell = envelope(TROUPE__KIND__TELL), *envs[17];
	for (int i = 0; i < 17; i++)
		envs[i] = &tell;
	Troupe__Frame f = TROUPE__FRAME__INIT;
	f.envelopes = envs;
	f.n_envelopes = 16;
	sp_write_frame(fd, &f);
	UNTIL(server.n_envelopes == 16);
	f.n_envelopes = 1;
	sp_write_frame(fd, &f);
	UNTIL(server.n_down == 1);
	ck_assert_int_eq(server.why.code, ERROR_BUSY);
	ck_assert_uint_eq(server.n_envelopes, 16);
	close(fd);
	end();
}
END_TEST

START_TEST(a_client_without_hello_is_anonymous_and_is_answered)
{
	begin();
	server.answers = server.grants = true;
	int fd = plain();
	uint8_t id[16] = "0123456789abcdef";
	Troupe__Envelope ask = envelope(TROUPE__KIND__ASK), *envs[] = { &ask };
	ask.id = (ProtobufCBinaryData){ 16, id };
	Troupe__Frame f = TROUPE__FRAME__INIT;
	f.envelopes = envs;
	f.n_envelopes = 1;
	f.to = (char *)"counter:1";
	f.from = (char *)"somebody:else";
	sp_write_frame(fd, &f);

	static struct sp_reader r;
	Troupe__Frame *got = next_frame(fd, &r);
	ck_assert_uint_eq(got->n_envelopes, 1);
	ck_assert_mem_eq(got->envelopes[0]->reply_to.data, id, 16);
	troupe__frame__free_unpacked(got, NULL);
	ck_assert(peer_anonymous(server.peer));
	ck_assert_str_eq(peer_address(server.peer), "");
	/* The frame's defaults stand in. */
	ck_assert_str_eq(server.to, "counter:1");
	ck_assert_str_eq(server.from, "somebody:else");

	/* A quarter of 16 consumed: the credit comes with the answer. */
	f.n_envelopes = 1;
	for (int i = 0; i < 3; i++)
		sp_write_frame(fd, &f);
	uint32_t credit = 0;
	while (credit == 0) {
		got = next_frame(fd, &r);
		credit = got->credit ? got->credit->envelopes : 0;
		troupe__frame__free_unpacked(got, NULL);
	}
	ck_assert_uint_eq(credit, 4);
	close(fd);
	UNTIL(server.n_down == 1);
	end();
}
END_TEST

/* Reads to the end; a Failure and a Bye of this code must have been among what came. */
static void refused(int fd, enum error_code code)
{
	static struct sp_reader r;
	memset(&r, 0, sizeof(r));
	bool failure = false, bye = false;
	Troupe__Frame *f;
	while (!r.ended) {
		UNTIL((f = sp_read_frame(fd, &r)) || r.ended);
		for (; f; f = sp_read_frame(fd, &r)) {
			for (size_t i = 0; i < f->n_envelopes; i++)
				failure |= f->envelopes[i]->kind == TROUPE__KIND__ERROR && f->envelopes[i]->error && f->envelopes[i]->error->code == code;
			bye |= f->bye && f->bye->code == code;
			troupe__frame__free_unpacked(f, NULL);
		}
	}
	ck_assert(failure);
	ck_assert(bye);
}

START_TEST(another_version_is_refused_with_a_reason)
{
	begin();
	int fd = plain();
	Troupe__Hello hello = TROUPE__HELLO__INIT;
	hello.version = 2;
	Troupe__Frame f = TROUPE__FRAME__INIT;
	f.hello = &hello;
	sp_write_frame(fd, &f);
	refused(fd, ERROR_VERSION);
	close(fd);
	ck_assert_uint_eq(server.n_up, 0);
	ck_assert_uint_eq(server.n_down, 0); /* it never was */
	end();
}
END_TEST

START_TEST(a_dialler_learns_why_it_was_refused)
{
	begin();
	int listener = unix_listen(dir_path("raw"));
	dial_as("room:2", dir_url("raw"));
	UNTIL(client.hub);
	int fd = accept(listener, NULL, NULL);
	fd_write(fd, sp_hello, 8);
	static struct sp_reader r;
	Troupe__Frame *got = next_frame(fd, &r);
	ck_assert_ptr_nonnull(got->hello);
	ck_assert_uint_eq(got->hello->version, WIRE_VERSION);
	ck_assert_str_eq(got->hello->address, "room:2");
	ck_assert_uint_eq(got->hello->credit, 64);
	troupe__frame__free_unpacked(got, NULL);

	Troupe__Bye bye = TROUPE__BYE__INIT;
	bye.code = ERROR_VERSION;
	bye.text = (char *)"protocol version 1 is too old";
	Troupe__Frame f = TROUPE__FRAME__INIT;
	f.bye = &bye;
	sp_write_frame(fd, &f);
	UNTIL(client.n_down == 1);
	ck_assert_int_eq(client.why.code, ERROR_VERSION);
	ck_assert_str_eq(client.why.text, "protocol version 1 is too old");
	ck_assert_uint_eq(client.n_up, 0);
	close(fd);
	close(listener);
	end();
}
END_TEST

START_TEST(a_dialler_refuses_a_welcome_of_another_version_and_envelopes_before_it)
{
	begin();
	for (int i = 0; i < 2; i++) {
		char name[8];
		snprintf(name, sizeof(name), "raw%d", i);
		int listener = unix_listen(dir_path(name));
		if (client.hub)
			client.hub = peer_hub_close(client.hub);
		client.n_down = 0;
		dial_as("room:2", dir_url(name));
		int fd = accept(listener, NULL, NULL);
		fd_write(fd, sp_hello, 8);
		Troupe__Welcome welcome = TROUPE__WELCOME__INIT;
		welcome.version = 9;
		Troupe__Envelope env = envelope(TROUPE__KIND__TELL), *envs[] = { &env };
		Troupe__Frame f = TROUPE__FRAME__INIT;
		if (i == 0) {
			f.welcome = &welcome;
		} else {
			f.envelopes = envs;
			f.n_envelopes = 1;
		}
		sp_write_frame(fd, &f);
		UNTIL(client.n_down == 1);
		ck_assert_int_eq(client.why.code, i == 0 ? ERROR_VERSION : ERROR_BAD_REQUEST);
		ck_assert_uint_eq(client.n_up, 0);
		close(fd);
		close(listener);
	}
	end();
}
END_TEST

START_TEST(envelopes_in_the_frame_of_hello_are_refused)
{
	begin();
	int fd = plain();
	Troupe__Hello hello = TROUPE__HELLO__INIT;
	hello.version = WIRE_VERSION;
	Troupe__Envelope env = envelope(TROUPE__KIND__TELL), *envs[] = { &env };
	Troupe__Frame f = TROUPE__FRAME__INIT;
	f.hello = &hello;
	f.envelopes = envs;
	f.n_envelopes = 1;
	sp_write_frame(fd, &f);
	refused(fd, ERROR_BAD_REQUEST);
	close(fd);

	/* And a second greeting. */
	fd = plain();
	f.n_envelopes = 0;
	sp_write_frame(fd, &f);
	sp_write_frame(fd, &f);
	refused(fd, ERROR_BAD_REQUEST);
	close(fd);
	ck_assert_uint_eq(server.n_envelopes, 0);
	end();
}
END_TEST

START_TEST(parts_that_are_unknown_are_ignored_and_garbage_is_refused)
{
	begin();
	int fd = plain();
	static const uint8_t unknown[] = { 0xfa, 0x06, 3, 'n', 'e', 'w' }; /* field 111, bytes */
	sp_write(fd, unknown, sizeof(unknown));
	UNTIL(server.n_up == 1);
	sp_write(fd, unknown, sizeof(unknown));
	sp_write(fd, "", 0);
	Troupe__Probe probe = TROUPE__PROBE__INIT;
	probe.nonce = 99;
	Troupe__Frame f = TROUPE__FRAME__INIT;
	f.probe = &probe;
	sp_write_frame(fd, &f);
	UNTIL(server.n_parts == 1);
	ck_assert_uint_eq(server.probe, 99);
	ck_assert_uint_eq(server.n_down, 0);

	sp_write(fd, "\xff\xff\xff", 3);
	refused(fd, ERROR_BAD_REQUEST);
	close(fd);
	ck_assert_uint_eq(server.n_down, 1);
	end();
}
END_TEST

START_TEST(bye_tells_the_other_end_why)
{
	begin();
	connect_both();
	Troupe__Envelope tell = envelope(TROUPE__KIND__TELL);
	ck_assert_int_eq(peer_send(client.peer, &tell), 0);
	peer_close(client.peer, ERROR_STOPPING, "the node stops");
	ck_assert_int_eq(peer_send(client.peer, &tell), ERROR_STATE);
	UNTIL(server.n_down == 1 && client.n_down == 1);
	ck_assert_uint_eq(server.n_envelopes, 1); /* what was queued went first */
	ck_assert_int_eq(server.why.code, ERROR_STOPPING);
	ck_assert_str_eq(server.why.text, "the node stops");
	end();
}
END_TEST

START_TEST(a_callback_may_close_its_peer)
{
	begin();
	server.closes = true;
	connect_both();
	Troupe__Envelope tell = envelope(TROUPE__KIND__TELL);
	ck_assert_int_eq(peer_send(client.peer, &tell), 0);
	UNTIL(client.n_down == 1 && server.n_down == 1);
	ck_assert_int_eq(client.why.code, ERROR_STOPPING);
	end();
}
END_TEST

START_TEST(a_reader_that_does_not_read_costs_bounded_memory)
{
	begin();
	int fd = plain();
	static const uint8_t nothing[1];
	sp_write(fd, nothing, 0);
	UNTIL(server.n_up == 1);

	uint8_t data[10000] = { 0 };
	Troupe__Envelope reply = envelope(TROUPE__KIND__REPLY), event = envelope(TROUPE__KIND__EVENT);
	reply.payload = event.payload = (ProtobufCBinaryData){ sizeof(data), data };
	size_t most = 0;
	bool busy = false;
	for (int i = 0; i < 2000 && server.peer; i++) {
		int r = peer_send(server.peer, &reply);
		ck_assert_int_eq(r, r ? ERROR_STATE : 0);
		if (peer_unsent(server.peer) > most)
			most = peer_unsent(server.peer);
		if (!busy && peer_unsent(server.peer) > 4 << 20) {
			ck_assert_int_eq(peer_send(server.peer, &event), ERROR_BUSY);
			busy = true;
		}
		tick(clock_mono_ms());
	}
	ck_assert(busy);
	UNTIL(server.n_down == 1);
	ck_assert_int_eq(server.why.code, ERROR_BUSY);
	ck_assert_uint_lt(most, (8u << 20) + 20000);
	close(fd);
	end();
}
END_TEST

START_TEST(a_dial_to_nobody_ends_with_down)
{
	begin();
	dial_as("room:2", dir_url("nobody"));
	UNTIL(client.n_down == 1);
	ck_assert_int_eq(client.why.code, ERROR_NOT_REACHABLE);
	end();
}
END_TEST

START_TEST(the_delay_before_a_reconnect_doubles_to_two_seconds_with_full_jitter)
{
	static const uint32_t most[] = { 10, 20, 40, 80, 160, 320, 640, 1280, 2000, 2000 };
	struct rng r;
	rng_seed(&r, 1);
	for (uint32_t n = 1; n <= ELEMENTS(most); n++) {
		uint32_t least_seen = UINT32_MAX, most_seen = 0;
		for (int i = 0; i < 2000; i++) {
			uint32_t ms = peer_reconnect_ms(n, &r);
			least_seen = ms < least_seen ? ms : least_seen;
			most_seen = ms > most_seen ? ms : most_seen;
		}
		ck_assert_uint_ge(least_seen, 1);
		ck_assert_uint_le(least_seen, most[n - 1] / 10);
		ck_assert_uint_le(most_seen, most[n - 1]);
		ck_assert_uint_ge(most_seen, most[n - 1] * 9 / 10);
	}
	ck_assert_uint_le(peer_reconnect_ms(UINT32_MAX, &r), 2000);
	ck_assert_uint_le(peer_reconnect_ms(0, &r), 10);
}
END_TEST

static Suite *peer_suite(void)
{
	Suite *s = suite_create("peer");
	TCase *t = tcase_create("peer");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, hello_and_welcome_tell_each_end_who_the_other_is);
	tcase_add_test(t, many_envelopes_arrive_in_order_and_are_answered);
	tcase_add_test(t, frames_larger_than_a_frame_may_be_are_cut);
	tcase_add_test(t, credit_runs_out_and_comes_back);
	tcase_add_test(t, who_sends_beyond_its_credit_is_closed);
	tcase_add_test(t, a_client_without_hello_is_anonymous_and_is_answered);
	tcase_add_test(t, another_version_is_refused_with_a_reason);
	tcase_add_test(t, a_dialler_learns_why_it_was_refused);
	tcase_add_test(t, a_dialler_refuses_a_welcome_of_another_version_and_envelopes_before_it);
	tcase_add_test(t, envelopes_in_the_frame_of_hello_are_refused);
	tcase_add_test(t, parts_that_are_unknown_are_ignored_and_garbage_is_refused);
	tcase_add_test(t, bye_tells_the_other_end_why);
	tcase_add_test(t, a_callback_may_close_its_peer);
	tcase_add_test(t, a_reader_that_does_not_read_costs_bounded_memory);
	tcase_add_test(t, a_dial_to_nobody_ends_with_down);
	tcase_add_test(t, the_delay_before_a_reconnect_doubles_to_two_seconds_with_full_jitter);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	return suite_run(peer_suite());
}
