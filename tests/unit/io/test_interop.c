/* Other people's pair0: nngcat, and a program on libnng's own sockets. Programs are exec'd: a fork of a process with nng in it may not use nng. */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>

#include "common/base/cleanup.h"
#include "common/io/peer.h"
#include "tests/suite.h"
#include "tests/unit/io/sp.h"

static struct loop *loop;
static struct peer_hub *hub;
static struct peer *peer;
static unsigned n_up, n_down, n_replies;
static char payload[64];

static Troupe__Envelope envelope(Troupe__Kind kind, const char *text)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.kind = kind;
	env.type = (char *)"test";
	env.payload = (ProtobufCBinaryData){ strlen(text), (uint8_t *)text };
	return env;
}

static void on_up(void *ctx, struct peer *p)
{
	n_up++;
	peer = p;
}

static void on_down(void *ctx, struct peer *p, const struct error *why)
{
	n_down++;
	if (peer == p)
		peer = NULL;
}

static void on_envelopes(void *ctx, struct peer *p, struct arena *a, Troupe__Envelope **env, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		snprintf(payload, sizeof(payload), "%.*s", (int)env[i]->payload.len, (const char *)env[i]->payload.data);
		if (env[i]->kind != TROUPE__KIND__ASK) {
			n_replies++;
			continue;
		}
		Troupe__Envelope answer = envelope(TROUPE__KIND__REPLY, "the answer");
		answer.reply_to = env[i]->id;
		ck_assert_int_eq(peer_send(p, &answer), 0);
	}
	peer_grant(p, (uint32_t)n);
}

static uint64_t tick(uint64_t now_ms)
{
	peer_hub_flush(hub);
	return peer_hub_tick(hub, now_ms);
}

#define UNTIL(cond) RUN_UNTIL(loop, tick(now_ms), cond)

static void begin(void)
{
	static const struct peer_events events = { .up = on_up, .down = on_down, .envelopes = on_envelopes };
	struct peer_config c = { .wire = wire_limits_default, .channel = channel_limits_default, .output_max = 4 << 20, .credit = 64, .anonymous_credit = 16,
		                 .address = "counter:1", .incarnation = 7, .node = "0123456789abcdef0123456789abcdef", .program = "test" };
	dir_make();
	ck_assert_int_eq(loop_open(&loop), 0);
	ck_assert_int_eq(peer_hub_open(loop, &c, &events, NULL, &hub), 0);
}

static void end(void)
{
	hub = peer_hub_close(hub);
	loop = loop_close(loop);
	dir_remove();
}

/* Starts a program with its output in the file "out". */
static pid_t start(const char *const argv[])
{
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	ck_assert_int_eq(posix_spawn_file_actions_addopen(&actions, 1, dir_path("out"), O_WRONLY | O_CREAT | O_TRUNC, 0600), 0);
	pid_t pid;
	int r = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ);
	ck_assert_msg(r == 0, "%s: %s", argv[0], strerror(r));
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static bool has_ended_well(pid_t pid)
{
	int status;
	pid_t r = waitpid(pid, &status, WNOHANG);
	if (r == 0)
		return false;
	ck_assert_int_eq(r, pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
	return true;
}

static void frame_to_file(const Troupe__Frame *f, const char *name)
{
	uint8_t data[512];
	size_t len = troupe__frame__pack(f, data);
	int fd = open(dir_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
	close(fd);
}

static ssize_t out_read(uint8_t *data, size_t size)
{
	int fd = open(dir_path("out"), O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, data, size);
	closep(&fd);
	return n;
}

static bool out_has(const char *text)
{
	uint8_t data[4096];
	ssize_t n = out_read(data, sizeof(data));
	return n > 0 && memmem(data, (size_t)n, text, strlen(text));
}

static Troupe__Frame ask_frame(void)
{
	static uint8_t id[16] = "0123456789abcdef";
	static Troupe__Envelope ask, *envs[] = { &ask };
	ask = envelope(TROUPE__KIND__ASK, "a question");
	ask.id = (ProtobufCBinaryData){ 16, id };
	Troupe__Frame f = TROUPE__FRAME__INIT;
	f.envelopes = envs;
	f.n_envelopes = 1;
	return f;
}

START_TEST(nngcat_dials_asks_and_prints_the_answer)
{
	begin();
	struct error e;
	char url[128], file[96];
	snprintf(url, sizeof(url), "%s", dir_url("s"));
	snprintf(file, sizeof(file), "%s", dir_path("ask"));
	ck_assert_int_eq(peer_listen(hub, url, 0600, &e), 0);
	Troupe__Frame f = ask_frame();
	frame_to_file(&f, "ask");

	const char *argv[] = { "nngcat", "--pair0", "--dial", url, "--raw", "--file", file, "--recv-timeout", "20", NULL };
	pid_t pid = start(argv);
	UNTIL(out_has("the answer"));
	ck_assert_str_eq(payload, "a question");
	uint8_t data[4096];
	ssize_t n = out_read(data, sizeof(data));
	Troupe__Frame *got = troupe__frame__unpack(NULL, (size_t)n, data);
	ck_assert_ptr_nonnull(got);
	ck_assert_uint_eq(got->n_envelopes, 1);
	ck_assert_int_eq(got->envelopes[0]->kind, TROUPE__KIND__REPLY);
	ck_assert_mem_eq(got->envelopes[0]->reply_to.data, "0123456789abcdef", 16);
	troupe__frame__free_unpacked(got, NULL);
	stop(pid);
	UNTIL(n_down == 1);
	end();
}
END_TEST

/* Dials until the other program listens. */
static void dial(const char *url)
{
	struct error e;
	struct peer *p;
	while (n_up == 0) {
		unsigned before = n_down;
		ck_assert_int_eq(peer_dial(hub, url, NULL, &p, &e), 0);
		UNTIL(n_up == 1 || n_down > before);
	}
}

START_TEST(nngcat_listens_and_our_dialler_talks_to_it)
{
	begin();
	char url[128], file[96];
	snprintf(url, sizeof(url), "%s", dir_url("cat"));
	snprintf(file, sizeof(file), "%s", dir_path("welcome"));
	Troupe__Welcome welcome = TROUPE__WELCOME__INIT;
	welcome.version = WIRE_VERSION;
	welcome.credit = 5;
	welcome.address = (char *)"cat:1";
	Troupe__Frame f = TROUPE__FRAME__INIT;
	f.welcome = &welcome;
	frame_to_file(&f, "welcome");

	const char *argv[] = { "nngcat", "--pair0", "--listen", url, "--raw", "--file", file, NULL };
	pid_t pid = start(argv);
	dial(url);
	ck_assert_str_eq(peer_address(peer), "cat:1");
	ck_assert_uint_eq(peer_credit_left(peer), 5);
	Troupe__Envelope tell = envelope(TROUPE__KIND__TELL, "hello, cat");
	ck_assert_int_eq(peer_send(peer, &tell), 0);
	UNTIL(out_has("hello, cat"));
	ck_assert(out_has("counter:1")); /* our Hello */
	stop(pid);
	end();
}
END_TEST

START_TEST(a_program_on_libnng_dials_and_asks)
{
	begin();
	struct error e;
	char url[128];
	snprintf(url, sizeof(url), "%s", dir_url("s"));
	ck_assert_int_eq(peer_listen(hub, url, 0600, &e), 0);
	const char *argv[] = { "/proc/self/exe", "pair0-dial", url, NULL };
	pid_t pid = start(argv);
	UNTIL(has_ended_well(pid));
	ck_assert_str_eq(payload, "a question");
	end();
}
END_TEST

START_TEST(a_program_on_libnng_listens_and_answers)
{
	begin();
	char url[128];
	snprintf(url, sizeof(url), "%s", dir_url("s"));
	const char *argv[] = { "/proc/self/exe", "pair0-listen", url, NULL };
	pid_t pid = start(argv);
	dial(url);
	ck_assert_str_eq(peer_address(peer), "other:1");
	Troupe__Envelope tell = envelope(TROUPE__KIND__TELL, "over to you");
	ck_assert_int_eq(peer_send(peer, &tell), 0);
	UNTIL(n_replies == 1);
	ck_assert_str_eq(payload, "understood");
	UNTIL(has_ended_well(pid));
	end();
}
END_TEST

/* --- the program on libnng --- */

#define MUST(x) do { if (!(x)) { fprintf(stderr, "line %d: %s\n", __LINE__, #x); exit(1); } } while (0)

static void sp_send(nng_socket s, const Troupe__Frame *f)
{
	uint8_t data[512];
	MUST(nng_send(s, data, troupe__frame__pack(f, data), 0) == 0);
}

static Troupe__Frame *sp_receive(nng_socket s)
{
	void *data;
	size_t len;
	MUST(nng_recv(s, &data, &len, NNG_FLAG_ALLOC) == 0);
	Troupe__Frame *f = troupe__frame__unpack(NULL, len, data);
	nng_free(data, len);
	MUST(f);
	return f;
}

static int pair0_dial(const char *url)
{
	nng_socket s;
	MUST(nng_pair0_open(&s) == 0 && nng_dial(s, url, NULL, 0) == 0);
	Troupe__Frame f = ask_frame();
	sp_send(s, &f);
	Troupe__Frame *got = sp_receive(s);
	MUST(got->n_envelopes == 1 && got->envelopes[0]->kind == TROUPE__KIND__REPLY);
	MUST(got->envelopes[0]->payload.len == 10 && memcmp(got->envelopes[0]->payload.data, "the answer", 10) == 0);
	troupe__frame__free_unpacked(got, NULL);
	return nng_close(s);
}

static int pair0_listen(const char *url)
{
	nng_socket s;
	MUST(nng_pair0_open(&s) == 0 && nng_listen(s, url, NULL, 0) == 0);
	Troupe__Frame *got = sp_receive(s);
	MUST(got->hello && got->hello->version == WIRE_VERSION && strcmp(got->hello->address, "counter:1") == 0);
	troupe__frame__free_unpacked(got, NULL);

	Troupe__Welcome welcome = TROUPE__WELCOME__INIT;
	welcome.version = WIRE_VERSION;
	welcome.credit = 1;
	welcome.address = (char *)"other:1";
	Troupe__Frame f = TROUPE__FRAME__INIT;
	f.welcome = &welcome;
	sp_send(s, &f);
	got = sp_receive(s);
	MUST(got->n_envelopes == 1 && got->envelopes[0]->kind == TROUPE__KIND__TELL);
	troupe__frame__free_unpacked(got, NULL);

	Troupe__Envelope reply = envelope(TROUPE__KIND__REPLY, "understood"), *envs[] = { &reply };
	f = (Troupe__Frame)TROUPE__FRAME__INIT;
	f.envelopes = envs;
	f.n_envelopes = 1;
	sp_send(s, &f);
	/* nng sends in the background; the other end closing is the sign that it has been read. */
	nng_msg *m;
	nng_socket_set_ms(s, NNG_OPT_RECVTIMEO, 300);
	nng_recvmsg(s, &m, 0);
	return nng_close(s);
}

static Suite *interop_suite(void)
{
	Suite *s = suite_create("interop");
	TCase *t = tcase_create("interop");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, nngcat_dials_asks_and_prints_the_answer);
	tcase_add_test(t, nngcat_listens_and_our_dialler_talks_to_it);
	tcase_add_test(t, a_program_on_libnng_dials_and_asks);
	tcase_add_test(t, a_program_on_libnng_listens_and_answers);
	suite_add_tcase(s, t);
	return s;
}

int main(int argc, char **argv)
{
	if (argc == 3) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		return strcmp(argv[1], "pair0-dial") == 0 ? pair0_dial(argv[2]) : pair0_listen(argv[2]);
	}
	return suite_run(interop_suite());
}
