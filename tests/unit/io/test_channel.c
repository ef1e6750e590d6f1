/* Channels over real sockets. The other end is a plain socket where it must misbehave, a second hub where it behaves. */
#include <sys/resource.h>
#include <sys/stat.h>
#include <netinet/in.h>

#include "common/base/cleanup.h"
#include "common/base/rng.h"
#include "common/io/channel.h"
#include "tests/suite.h"
#include "tests/unit/io/until.h"

static const uint8_t hello[8] = { 0, 'S', 'P', 0, 0, 0x10, 0, 0 };

struct side {
	struct channel_hub *hub;
	struct channel *channel; /* the last one that opened, or was dialled */
	unsigned n_open, n_closed, n_frames, n_drained;
	size_t n_bytes;
	uint64_t sum;            /* of all bytes of frames, with their place */
	enum error_code why;
	char why_text[256];
	bool echo, close_in_frame, refuse_frame, close_in_open;
};

static struct loop *loop;
static struct side server, client;

static void on_open(void *ctx, struct channel *c)
{
	struct side *s = ctx;
	s->n_open++;
	s->channel = c;
	if (s->close_in_open)
		channel_close(c, ERROR_STATE, "not wanted");
}

static int on_frame(void *ctx, struct channel *c, const uint8_t *data, size_t len)
{
	struct side *s = ctx;
	s->n_frames++;
	for (size_t i = 0; i < len; i++)
		s->sum = s->sum * 31 + data[i];
	s->n_bytes += len;
	if (s->echo)
		ck_assert_int_eq(channel_send(c, data, len), 0);
	if (s->close_in_frame)
		channel_close(c, ERROR_STATE, "enough");
	return s->refuse_frame;
}

static void on_drained(void *ctx, struct channel *c)
{
	((struct side *)ctx)->n_drained++;
}

static void on_closed(void *ctx, struct channel *c, const struct error *why)
{
	struct side *s = ctx;
	s->n_closed++;
	s->why = why->code;
	snprintf(s->why_text, sizeof(s->why_text), "%s", why->text);
	if (s->channel == c)
		s->channel = NULL;
}

static const struct channel_events events = { .open = on_open, .frame = on_frame, .drained = on_drained, .closed = on_closed };
static const struct channel_limits quick = { .frame_max = 1024 * 1024, .connections_max = 4096, .handshake_ms = 150, .frame_ms = 150 };

static uint64_t tick(uint64_t now_ms)
{
	uint64_t a = channel_hub_tick(server.hub, now_ms), b = client.hub ? channel_hub_tick(client.hub, now_ms) : TIME_NEVER;
	return a < b ? a : b;
}

#define UNTIL(cond) RUN_UNTIL(loop, tick(now_ms), cond)

static void begin_with(const struct channel_limits *limits)
{
	struct error e;
	dir_make();
	ck_assert_int_eq(loop_open(&loop), 0);
	ck_assert_int_eq(channel_hub_open(loop, limits, &events, &server, &server.hub), 0);
	ck_assert_int_eq(channel_listen(server.hub, dir_url("s"), 0600, &e), 0);
}

static void begin(void)
{
	begin_with(&channel_limits_default);
}

static void dial(const char *url)
{
	struct error e;
	if (!client.hub)
		ck_assert_int_eq(channel_hub_open(loop, &channel_limits_default, &events, &client, &client.hub), 0);
	ck_assert_int_eq(channel_dial(client.hub, url, NULL, &client.channel, &e), 0);
}

static void end(void)
{
	client.hub = channel_hub_close(client.hub);
	server.hub = channel_hub_close(server.hub);
	loop = loop_close(loop);
	dir_remove();
}

static int plain_silent(void)
{
	int fd;
	UNTIL((fd = unix_try_connect(dir_path("s"))) >= 0);
	return fd;
}

/* A plain socket that has said SP's hello. */
static int plain(void)
{
	int fd = plain_silent();
	fd_write(fd, hello, sizeof(hello));
	return fd;
}

static size_t frame_put(uint8_t *at, const void *data, size_t len)
{
	at[0] = 1;
	for (int i = 0; i < 8; i++)
		at[1 + i] = (uint8_t)((uint64_t)len >> (56 - 8 * i));
	memcpy(at + CHANNEL_HEAD, data, len);
	return CHANNEL_HEAD + len;
}

static void head_write(int fd, uint64_t len)
{
	uint8_t head[CHANNEL_HEAD] = { 1 };
	for (int i = 0; i < 8; i++)
		head[1 + i] = (uint8_t)(len >> (56 - 8 * i));
	fd_write(fd, head, sizeof(head));
}

static void frame_write(int fd, const void *data, size_t len)
{
	head_write(fd, len);
	fd_write(fd, data, len);
}

/* A well-behaved client is served. */
static void serves(void)
{
	unsigned before = server.n_frames;
	int fd = plain();
	frame_write(fd, "hello", 5);
	UNTIL(server.n_frames == before + 1);
	close(fd);
}

START_TEST(both_ends_open_and_know_the_other_by_the_kernel)
{
	begin();
	dial(dir_url("s"));
	UNTIL(server.n_open == 1 && client.n_open == 1);

	ck_assert(channel_dialled(client.channel) && !channel_dialled(server.channel));
	ck_assert_int_eq(channel_peer(server.channel)->pid, getpid());
	ck_assert_uint_eq(channel_peer(server.channel)->uid, getuid());
	ck_assert_uint_eq(channel_peer(client.channel)->gid, getgid());
	ck_assert(channel_peer(client.channel)->local);

	ck_assert_int_eq(channel_send(client.channel, (const uint8_t *)"abc", 3), 0);
	UNTIL(server.n_bytes == 3);
	end();
}
END_TEST

START_TEST(frames_cut_at_any_byte_arrive_whole)
{
	uint8_t stream[256];
	size_t n = sizeof(hello);
	memcpy(stream, hello, n);
	n += frame_put(stream + n, "a", 1);
	n += frame_put(stream + n, "", 0);
	n += frame_put(stream + n, "seventeen bytes..", 17);
	n += frame_put(stream + n, "xy", 2);

	begin();
	for (size_t cut = 1; cut < n; cut++) {
		server.n_frames = 0;
		server.n_bytes = 0;
		int fd = plain_silent();
		fd_write(fd, stream, cut);
		UNTIL(fd_unread(fd) == 0);
		fd_write(fd, stream + cut, n - cut);
		UNTIL(server.n_frames == 4);
		ck_assert_uint_eq(server.n_bytes, 20);
		close(fd);
	}
	end();
}
END_TEST

START_TEST(frames_of_all_sizes_arrive_in_order_while_the_reader_lags)
{
	begin();
	server.echo = true;
	dial(dir_url("s"));
	UNTIL(client.n_open == 1);

	uint64_t sum = 0;
	size_t total = 0;
	unsigned n = 0;
	struct rng r;
	rng_seed(&r, 7);
	uint8_t *data = malloc(CHANNEL_HEAD + 1024 * 1024);
	for (unsigned i = 0; i < 400; i++) {
		size_t len = i % 40 == 0 ? 1024 * 1024 - rng_below(&r, 3) : rng_below(&r, i % 7 == 0 ? 300000 : 200);
		for (size_t j = 0; j < len; j++) {
			data[CHANNEL_HEAD + j] = (uint8_t)rng_next(&r);
			sum = sum * 31 + data[CHANNEL_HEAD + j];
		}
		total += len;
		n++;
		switch (i % 3) {
		case 0:
			ck_assert_int_eq(channel_send(client.channel, data + CHANNEL_HEAD, len), 0);
			break;
		case 1:
			ck_assert_int_eq(channel_send_now(client.channel, data, len), 0);
			break;
		case 2: {
			uint8_t *given = malloc(CHANNEL_HEAD + len);
			memcpy(given + CHANNEL_HEAD, data + CHANNEL_HEAD, len);
			ck_assert_int_eq(channel_send_steal(client.channel, &given, len), 0);
			ck_assert_ptr_null(given);
		}
		}
		if (i % 5 == 0)
			channel_flush(client.channel);
	}
	free(data);
	ck_assert_uint_gt(channel_unsent(client.channel), 0);
	UNTIL(client.n_frames == n);

	ck_assert_uint_eq(server.sum, sum);
	ck_assert_uint_eq(client.sum, sum);
	ck_assert_uint_eq(client.n_bytes, total);
	ck_assert_uint_eq(channel_unsent(client.channel), 0);
	ck_assert_uint_gt(client.n_drained, 0);
	end();
}
END_TEST

START_TEST(a_frame_at_the_limit_passes_and_one_over_it_closes)
{
	begin();
	uint8_t *data = calloc(1, 1024 * 1024);
	int fd = plain();
	head_write(fd, 1024 * 1024);
	for (size_t at = 0; at < 1024 * 1024; at += 65536) {
		fd_write(fd, data, 65536);
		UNTIL(fd_unread(fd) == 0);
	}
	UNTIL(server.n_frames == 1);
	ck_assert_uint_eq(server.n_bytes, 1024 * 1024);
	frame_write(fd, "more", 4);
	UNTIL(server.n_frames == 2);

	static const uint64_t claims[] = { 1024 * 1024 + 1, 1u << 30, UINT64_C(1) << 32, UINT64_C(1) << 63, UINT64_MAX };
	for (size_t i = 0; i < ELEMENTS(claims); i++) {
		int bad = plain();
		head_write(bad, claims[i]);
		unsigned before = server.n_closed;
		UNTIL(server.n_closed == before + 1);
		ck_assert_int_eq(server.why, ERROR_TOO_LARGE);
		ck_assert(fd_at_end(bad));
		close(bad);
	}
	close(fd);
	free(data);
	end();
}
END_TEST

START_TEST(garbage_closes_at_its_first_wrong_byte)
{
	begin();
	int fd = plain_silent();
	fd_write(fd, "GET", 3);
	UNTIL(server.n_closed == 1);
	ck_assert_int_eq(server.why, ERROR_BAD_REQUEST);
	ck_assert_uint_eq(server.n_open, 0);
	close(fd);

	fd = plain();
	fd_write(fd, "\x02", 1);
	UNTIL(server.n_closed == 2);
	ck_assert_int_eq(server.why, ERROR_BAD_REQUEST);
	close(fd);
	end();
}
END_TEST

START_TEST(half_a_handshake_and_half_a_frame_time_out)
{
	begin_with(&quick);
	int fd = plain_silent();
	fd_write(fd, hello, 5);
	UNTIL(server.n_closed == 1);
	ck_assert_int_eq(server.why, ERROR_TIMEOUT);
	ck_assert_uint_eq(server.n_open, 0);
	close(fd);

	fd = plain();
	head_write(fd, 100);
	fd_write(fd, "too little", 10);
	UNTIL(server.n_closed == 2);
	ck_assert_int_eq(server.why, ERROR_TIMEOUT);
	ck_assert_uint_eq(server.n_open, 1);
	close(fd);

	/* Silence between frames is no fault. */
	fd = plain();
	frame_write(fd, "x", 1);
	UNTIL(server.n_frames == 1);
	uint64_t until_ms = clock_mono_ms() + 3 * quick.frame_ms;
	UNTIL(clock_mono_ms() > until_ms);
	ck_assert_uint_eq(server.n_closed, 2);
	close(fd);
	end();
}
END_TEST

static void files_allow(rlim_t n)
{
	struct rlimit l;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &l), 0);
	l.rlim_cur = n;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &l), 0);
}

START_TEST(a_thousand_of_every_bad_kind_later_it_still_serves)
{
	enum { N = 1000 };
	static int fds[N];
	files_allow(4096);
	struct channel_limits limits = channel_limits_default;
	limits.handshake_ms = 1000;
	begin_with(&limits);

	for (int i = 0; i < N; i++)
		close(plain_silent());
	serves();

	for (int i = 0; i < N; i++) {
		fds[i] = plain();
		fd_write(fds[i], "garbage!", 8);
		UNTIL(fd_unread(fds[i]) == 0 || fd_at_end(fds[i]));
		close(fds[i]);
	}
	serves();

	for (int i = 0; i < N; i++) {
		fds[i] = plain();
		head_write(fds[i], UINT64_C(1) << 62);
		UNTIL(fd_at_end(fds[i]));
		close(fds[i]);
	}
	serves();

	/* Half-open ones, all at once. */
	unsigned before = server.n_closed;
	for (int i = 0; i < N; i++) {
		fds[i] = plain_silent();
		if (i % 16 == 0)
			serves();
	}
	serves();
	for (int i = 0; i < N; i++) {
		UNTIL(fd_at_end(fds[i]));
		close(fds[i]);
	}
	UNTIL(server.n_closed >= before + N); /* the last callbacks may be on their way */
	serves();
	end();
}
END_TEST

START_TEST(without_fds_the_listener_neither_spins_nor_dies)
{
	begin();
	serves();
	UNTIL(server.n_closed == 1);
	/* Room for the clients of this test, and for none of the server's. */
	int fds[8], top = dup(0);
	close(top);
	for (size_t i = 0; i < ELEMENTS(fds); i++)
		fds[i] = plain_silent();
	files_allow((rlim_t)fds[ELEMENTS(fds) - 1] + 1);

	unsigned rounds = 0;
	uint64_t stop_ms = clock_mono_ms() + 500;
	while (clock_mono_ms() < stop_ms) {
		uint64_t next_ms = tick(clock_mono_ms());
		ck_assert_int_ge(loop_once(loop, next_ms < stop_ms ? next_ms : stop_ms), 0);
		rounds++;
	}
	ck_assert_uint_lt(rounds, 60);

	files_allow(1024);
	serves();
	for (size_t i = 0; i < ELEMENTS(fds); i++)
		close(fds[i]);
	end();
}
END_TEST

START_TEST(more_connections_than_allowed_are_closed_at_once)
{
	struct channel_limits limits = channel_limits_default;
	limits.connections_max = 3;
	begin_with(&limits);
	int fds[4];
	for (unsigned i = 0; i < 3; i++) {
		fds[i] = plain();
		UNTIL(server.n_open == i + 1);
	}
	fds[3] = plain_silent();
	UNTIL(fd_at_end(fds[3]));
	ck_assert_uint_eq(server.n_open, 3);

	close(fds[0]);
	UNTIL(server.n_closed == 1);
	serves();
	for (unsigned i = 1; i < 4; i++)
		close(fds[i]);
	end();
}
END_TEST

START_TEST(a_paused_channel_is_not_read_until_it_is_resumed)
{
	begin();
	int fd = plain();
	UNTIL(server.n_open == 1);
	channel_pause(server.channel, true);
	frame_write(fd, "one", 3); /* a receive that was posted may still take this */
	uint64_t stop_ms = clock_mono_ms() + 30;
	UNTIL(clock_mono_ms() > stop_ms);
	unsigned before = server.n_frames;
	ck_assert_uint_le(before, 1);
	frame_write(fd, "two", 3);
	stop_ms = clock_mono_ms() + 30;
	UNTIL(clock_mono_ms() > stop_ms);
	ck_assert_uint_eq(server.n_frames, before);
	ck_assert_int_gt(fd_unread(fd), 0);

	channel_pause(server.channel, false);
	UNTIL(server.n_frames == 2);
	close(fd);
	end();
}
END_TEST

START_TEST(output_that_nobody_reads_is_counted_and_leaves_when_somebody_does)
{
	begin();
	int fd = plain();
	UNTIL(server.n_open == 1);
	uint8_t data[10000] = { 0 };
	for (int i = 0; i < 500; i++)
		ck_assert_int_eq(channel_send(server.channel, data, sizeof(data)), 0);
	uint64_t stop_ms = clock_mono_ms() + 50;
	UNTIL(clock_mono_ms() > stop_ms);
	ck_assert_uint_gt(channel_unsent(server.channel), 4000000);
	ck_assert_uint_eq(server.n_drained, 0);

	size_t got = 0, all = 8 + 500 * (CHANNEL_HEAD + sizeof(data));
	char skip[65536];
	ssize_t n;
	UNTIL(((n = recv(fd, skip, sizeof(skip), MSG_DONTWAIT)) > 0 ? (got += (size_t)n) : got) == all);
	UNTIL(server.n_drained == 1);
	ck_assert_uint_eq(channel_unsent(server.channel), 0);
	close(fd);
	end();
}
END_TEST

START_TEST(a_callback_may_close_its_channel)
{
	begin();
	server.close_in_frame = true;
	int fd = plain();
	frame_write(fd, "a", 1);
	frame_write(fd, "b", 1);
	UNTIL(server.n_closed == 1);
	ck_assert_uint_eq(server.n_frames, 1);
	ck_assert_int_eq(server.why, ERROR_STATE);
	ck_assert_str_eq(server.why_text, "enough");
	close(fd);

	server.close_in_frame = false;
	server.refuse_frame = true;
	fd = plain();
	frame_write(fd, "a", 1);
	UNTIL(server.n_closed == 2);
	ck_assert_int_eq(server.why, ERROR_BAD_REQUEST);
	close(fd);

	server.close_in_open = true;
	fd = plain();
	UNTIL(server.n_closed == 3);
	ck_assert(fd_at_end(fd));
	close(fd);
	end();
}
END_TEST

START_TEST(what_was_said_last_arrives_before_the_end)
{
	begin();
	dial(dir_url("s"));
	UNTIL(client.n_open == 1 && server.n_open == 1);
	uint8_t *data = calloc(1, 1000000);
	ck_assert_int_eq(channel_send(server.channel, data, 1000000), 0);
	ck_assert_int_eq(channel_send(server.channel, (const uint8_t *)"bye", 3), 0);
	free(data);
	struct channel *c = server.channel;
	channel_close_after_flush(c);
	ck_assert_int_eq(channel_send(c, (const uint8_t *)"too late", 8), ERROR_STATE);
	UNTIL(client.n_closed == 1 && server.n_closed == 1);
	ck_assert_uint_eq(client.n_bytes, 1000003);
	end();
}
END_TEST

START_TEST(a_lingering_channel_does_not_wait_for_ever)
{
	begin();
	int fd = plain();
	UNTIL(server.n_open == 1);
	uint8_t *data = calloc(1, 1000000);
	ck_assert_int_eq(channel_send(server.channel, data, 1000000), 0);
	free(data);
	channel_close_after_flush(server.channel);
	UNTIL(server.n_closed == 1);
	close(fd);
	end();
}
END_TEST

START_TEST(nobody_there_is_said_by_closed)
{
	begin();
	dial(dir_url("nobody"));
	UNTIL(client.n_closed == 1);
	ck_assert_int_eq(client.why, ERROR_NOT_REACHABLE);

	struct error e;
	struct channel *c;
	ck_assert_int_eq(channel_dial(client.hub, "nonsense://x", NULL, &c, &e), ERROR_BAD_REQUEST);
	ck_assert_int_eq(channel_listen(server.hub, "nonsense", 0, &e), ERROR_BAD_REQUEST);
	ck_assert_int_eq(channel_listen(server.hub, dir_url("s"), 0, &e), ERROR_EXISTS);
	serves();
	end();
}
END_TEST

START_TEST(a_dial_can_be_given_up_at_once)
{
	begin();
	for (int i = 0; i < 50; i++) {
		unsigned before = client.n_closed;
		dial(dir_url("s"));
		channel_close(client.channel, ERROR_STATE, "changed my mind");
		channel_close(client.channel, ERROR_STATE, "said already");
		UNTIL(client.n_closed == before + 1);
		ck_assert_str_eq(client.why_text, "changed my mind");
	}
	serves();
	end();
}
END_TEST

START_TEST(what_is_sent_before_the_connection_stands_follows_the_greeting)
{
	begin();
	dial(dir_url("s"));
	ck_assert_int_eq(channel_send(client.channel, (const uint8_t *)"early", 5), 0);
	channel_flush(client.channel);
	UNTIL(server.n_bytes == 5);
	end();
}
END_TEST

START_TEST(a_hub_closes_with_everything_in_flight)
{
	begin();
	server.echo = true;
	uint8_t data[5000] = { 0 };
	for (int i = 0; i < 20; i++) {
		dial(dir_url("s"));
		for (int j = 0; j < 100; j++)
			ck_assert_int_eq(channel_send(client.channel, data, sizeof(data)), 0);
	}
	UNTIL(server.n_frames > 500);
	client.hub = channel_hub_close(client.hub);
	ck_assert_uint_eq(client.n_closed, 20);
	server.hub = channel_hub_close(server.hub);
	ck_assert_uint_ge(server.n_closed, server.n_open);
	loop = loop_close(loop);
	dir_remove();
}
END_TEST

START_TEST(a_stale_socket_file_is_replaced_and_the_mode_is_set)
{
	dir_make();
	int stale = unix_listen(dir_path("s"));
	close(stale); /* the file stays, as after kill -9 */
	struct error e;
	ck_assert_int_eq(loop_open(&loop), 0);
	ck_assert_int_eq(channel_hub_open(loop, &channel_limits_default, &events, &server, &server.hub), 0);
	ck_assert_int_eq(channel_listen(server.hub, dir_url("s"), 0620, &e), 0);
	struct stat st;
	ck_assert_int_eq(stat(dir_path("s"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0620);
	serves();
	end();
}
END_TEST

START_TEST(tcp_is_framed_without_the_leading_byte)
{
	begin();
	/* A port that was free a moment ago. */
	int probe = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	ck_assert_int_eq(bind(probe, (struct sockaddr *)&a, len), 0);
	ck_assert_int_eq(getsockname(probe, (struct sockaddr *)&a, &len), 0);
	close(probe);
	char url[64];
	struct error e;
	snprintf(url, sizeof(url), "tcp://127.0.0.1:%u", ntohs(a.sin_port));
	ck_assert_int_eq(channel_listen(server.hub, url, 0, &e), 0);

	server.echo = true;
	dial(url);
	UNTIL(client.n_open == 1 && server.n_open == 1);
	ck_assert(!channel_peer(server.channel)->local);
	ck_assert_int_eq(strncmp(channel_peer(server.channel)->remote, "127.0.0.1:", 10), 0);
	ck_assert_int_eq((int)channel_peer(server.channel)->uid, -1);
	uint8_t *data = calloc(1, 600000);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(channel_send(client.channel, data, 600000), 0);
	free(data);
	UNTIL(client.n_bytes == 6000000);

	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	fd_write(fd, hello, 8);
	fd_write(fd, "\0\0\0\0\0\0\0\2ok", 10);
	uint8_t got[18];
	size_t n = 0;
	ssize_t r;
	UNTIL(((r = recv(fd, got + n, sizeof(got) - n, MSG_DONTWAIT)) > 0 ? (n += (size_t)r) : n) == sizeof(got));
	ck_assert_mem_eq(got + 8, "\0\0\0\0\0\0\0\2ok", 10);
	close(fd);
	end();
}
END_TEST

static Suite *channel_suite(void)
{
	Suite *s = suite_create("channel");
	TCase *t = tcase_create("channel");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, both_ends_open_and_know_the_other_by_the_kernel);
	tcase_add_test(t, frames_cut_at_any_byte_arrive_whole);
	tcase_add_test(t, frames_of_all_sizes_arrive_in_order_while_the_reader_lags);
	tcase_add_test(t, a_frame_at_the_limit_passes_and_one_over_it_closes);
	tcase_add_test(t, garbage_closes_at_its_first_wrong_byte);
	tcase_add_test(t, half_a_handshake_and_half_a_frame_time_out);
	tcase_add_test(t, a_thousand_of_every_bad_kind_later_it_still_serves);
	tcase_add_test(t, without_fds_the_listener_neither_spins_nor_dies);
	tcase_add_test(t, more_connections_than_allowed_are_closed_at_once);
	tcase_add_test(t, a_paused_channel_is_not_read_until_it_is_resumed);
	tcase_add_test(t, output_that_nobody_reads_is_counted_and_leaves_when_somebody_does);
	tcase_add_test(t, a_callback_may_close_its_channel);
	tcase_add_test(t, what_was_said_last_arrives_before_the_end);
	tcase_add_test(t, a_lingering_channel_does_not_wait_for_ever);
	tcase_add_test(t, nobody_there_is_said_by_closed);
	tcase_add_test(t, a_dial_can_be_given_up_at_once);
	tcase_add_test(t, what_is_sent_before_the_connection_stands_follows_the_greeting);
	tcase_add_test(t, a_hub_closes_with_everything_in_flight);
	tcase_add_test(t, a_stale_socket_file_is_replaced_and_the_mode_is_set);
	tcase_add_test(t, tcp_is_framed_without_the_leading_byte);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	return suite_run(channel_suite());
}
