/* Two real processes that talk all the time; one of them is killed at a random moment and started again, over and over. The answers never mix up and always go on. */
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "common/base/cleanup.h"
#include "common/base/rng.h"
#include "common/io/peer.h"
#include "tests/suite.h"
#include "tests/unit/io/until.h"

#define OUTSTANDING 48
#define KILLS 40
#define MUST(x) do { if (!(x)) { fprintf(stderr, "line %d: %s\n", __LINE__, #x); _exit(1); } } while (0)

struct shared { _Atomic uint64_t n_answers, n_downs; };

/* --- the two programs --- */

static struct loop *loop;
static struct peer_hub *hub;
static struct shared *shared;
static const char *url;
static uint64_t next_ask, next_answer;
static uint32_t n_tries;
static uint64_t redial_at_ms = TIME_NEVER;
static struct rng jitter;

static struct peer_config config(const char *address)
{
	struct peer_config c = { .wire = wire_limits_default, .channel = channel_limits_default, .output_max = 4 << 20, .credit = 64, .anonymous_credit = 16 };
	snprintf(c.address, sizeof(c.address), "%s", address);
	return c;
}

static void server_envelopes(void *ctx, struct peer *p, struct arena *a, Troupe__Envelope **env, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		Troupe__Envelope reply = TROUPE__ENVELOPE__INIT;
		reply.kind = TROUPE__KIND__REPLY;
		reply.reply_to = env[i]->id;
		reply.payload = env[i]->payload;
		MUST(peer_send(p, &reply) == 0);
	}
	peer_grant(p, (uint32_t)n);
}

static uint64_t server_tick(void *ctx, uint64_t now_ms)
{
	peer_hub_flush(hub);
	return peer_hub_tick(hub, now_ms);
}

static int server_run(void)
{
	static const struct peer_events events = { .envelopes = server_envelopes };
	struct peer_config c = config("server:1");
	struct error e;
	MUST(loop_open(&loop) == 0 && peer_hub_open(loop, &c, &events, NULL, &hub) == 0);
	MUST(peer_listen(hub, url, 0600, &e) == 0);
	return loop_run(loop, server_tick, NULL);
}

static void ask(struct peer *p)
{
	static uint8_t filler[3000];
	uint8_t id[16] = { 0 };
	memcpy(id, &next_ask, sizeof(next_ask));
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.kind = TROUPE__KIND__ASK;
	env.id = (ProtobufCBinaryData){ 16, id };
	env.payload = (ProtobufCBinaryData){ next_ask * 37 % sizeof(filler), filler };
	MUST(peer_send(p, &env) == 0);
	next_ask++;
}

static void client_up(void *ctx, struct peer *p)
{
	n_tries = 0;
	next_answer = next_ask; /* what the last connection did not answer is lost */
	for (int i = 0; i < OUTSTANDING; i++)
		ask(p);
}

static void client_envelopes(void *ctx, struct peer *p, struct arena *a, Troupe__Envelope **env, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t number;
		MUST(env[i]->reply_to.len == 16);
		memcpy(&number, env[i]->reply_to.data, sizeof(number));
		MUST(number == next_answer);
		MUST(env[i]->payload.len == number * 37 % 3000);
		next_answer++;
		ask(p);
	}
	shared->n_answers += n;
}

static void client_down(void *ctx, struct peer *p, const struct error *why)
{
	shared->n_downs++;
	redial_at_ms = clock_mono_ms() + peer_reconnect_ms(++n_tries, &jitter);
}

static uint64_t client_tick(void *ctx, uint64_t now_ms)
{
	if (now_ms >= redial_at_ms) {
		struct error e;
		struct peer *p;
		redial_at_ms = TIME_NEVER;
		MUST(peer_dial(hub, url, NULL, &p, &e) == 0);
	}
	peer_hub_flush(hub);
	uint64_t next_ms = peer_hub_tick(hub, now_ms);
	return next_ms < redial_at_ms ? next_ms : redial_at_ms;
}

static int client_run(void)
{
	static const struct peer_events events = { .up = client_up, .envelopes = client_envelopes, .down = client_down };
	struct peer_config c = config("");
	rng_seed(&jitter, (uint64_t)getpid());
	MUST(loop_open(&loop) == 0 && peer_hub_open(loop, &c, &events, NULL, &hub) == 0);
	redial_at_ms = 0;
	return loop_run(loop, client_tick, NULL);
}

/* --- the test, which never touches nng --- */

static pid_t start(const char *role, const char *where, const char *memory)
{
	const char *argv[] = { "/proc/self/exe", role, where, memory, NULL };
	pid_t pid;
	ck_assert_int_eq(posix_spawn(&pid, argv[0], NULL, NULL, (char *const *)argv, environ), 0);
	return pid;
}

static void answers_await(const struct shared *s, uint64_t n)
{
	uint64_t end_ms = clock_mono_ms() + PATIENCE_MS;
	while (s->n_answers < n) {
		ck_assert_msg(clock_mono_ms() < end_ms, "no answers any more");
		poll(NULL, 0, 1);
	}
}

START_TEST(either_end_may_die_at_any_moment)
{
	dir_make();
	char where[128], memory[96];
	snprintf(where, sizeof(where), "%s", dir_url("s"));
	snprintf(memory, sizeof(memory), "%s", dir_path("shared"));
	int fd = open(memory, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(ftruncate(fd, sizeof(struct shared)), 0);
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(s, MAP_FAILED);
	close(fd);

	static const char *const roles[] = { "server", "client" };
	pid_t pids[2];
	struct rng r;
	rng_seed(&r, 20);
	for (int i = 0; i < 2; i++)
		pids[i] = start(roles[i], where, memory);
	for (int i = 0; i < KILLS; i++) {
		/* Now and then before a single answer. */
		answers_await(s, s->n_answers + (i % 4 ? rng_below(&r, 3000) : 0));
		int victim = (int)rng_below(&r, 2), status;
		ck_assert_int_eq(kill(pids[victim], SIGKILL), 0);
		ck_assert_int_eq(waitpid(pids[victim], &status, 0), pids[victim]);
		ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s left by itself: %x", roles[victim], status);
		pids[victim] = start(roles[victim], where, memory);
	}
	answers_await(s, s->n_answers + 1000);
	ck_assert_uint_gt(s->n_downs, 0);
	for (int i = 0; i < 2; i++) {
		int status;
		kill(pids[i], SIGKILL);
		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	munmap(s, sizeof(*s));
	dir_remove();
}
END_TEST

static Suite *kill_suite(void)
{
	Suite *s = suite_create("kill");
	TCase *t = tcase_create("kill");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, either_end_may_die_at_any_moment);
	suite_add_tcase(s, t);
	return s;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return suite_run(kill_suite());
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	url = argv[2];
	int fd = open(argv[3], O_RDWR | O_CLOEXEC);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(fd >= 0 && shared != MAP_FAILED);
	close(fd);
	return strcmp(argv[1], "server") == 0 ? server_run() : client_run();
}
