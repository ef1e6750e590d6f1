/* The tier of worker run: several processes at a time, a group for each. Everything happens in this process, on its own loop. */
#include "tests/suite.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "actors/tools/worker.h"
#include "common/base/clock.h"

#define WAIT_MS 10000u

static struct loop *loop;
static Troupe__PoolSetup pool;
static struct tier tier;
static struct task_list over;
static uint64_t next_token;

static void on_ended(void *ctx, struct task *t) { task_list_add(&over, t); }
static void on_nothing(void *ctx) {}
static void on_progress(void *ctx, struct task *t) {}

static void opens(uint32_t n, const char *script)
{
	static char *command[] = { (char *)"/bin/sh", (char *)"-c", NULL, NULL };
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(loop_open(&loop), 0);
	command[2] = (char *)(uintptr_t)script;
	troupe__pool_setup__init(&pool);
	pool.command = command;
	pool.n_command = 3;
	pool.grace_ms = 100;
	const struct tier_config c = { .loop = loop, .pool = &pool, .output_max = 1000, .host = { .ended = on_ended, .progressed = on_progress, .changed = on_nothing } };
	ck_assert_int_eq(slots_open(&c, n, &tier), 0);
}

static void closes(void)
{
	while (over.head) {
		struct task *t = over.head;
		task_list_remove(t);
		task_free(t);
	}
	tier.ops->close(tier.self);
	loop_close(loop);
}

static struct task *starts(const char *payload, size_t len, uint64_t timeout_ms)
{
	uint8_t id[16] = { 1 };
	Troupe__Assignment a = TROUPE__ASSIGNMENT__INIT;
	struct task *t;
	struct error e;
	a.token = ++next_token;
	a.id = (ProtobufCBinaryData){ sizeof id, id };
	a.queue = (char *)"q";
	a.attempt = 1;
	a.timeout_ms = timeout_ms;
	a.payload = (ProtobufCBinaryData){ len, (uint8_t *)(uintptr_t)payload };
	ck_assert_int_eq(task_new(&a, &t, &e), 0);
	ck_assert_uint_gt(tier.ops->room(tier.self), 0);
	tier.ops->start(tier.self, t, clock_mono_ms());
	return t;
}

static void until_over(size_t n)
{
	uint64_t until_ms = clock_mono_ms() + WAIT_MS;
	while (over.n < n) {
		uint64_t now_ms = clock_mono_ms(), at_ms = tier.ops->tick(tier.self, now_ms);
		ck_assert_uint_lt(now_ms, until_ms);
		if (over.n < n)
			ck_assert_int_ge(loop_once(loop, at_ms < until_ms ? at_ms : until_ms), 0);
	}
}

static void said(const struct task *t, const char *text)
{
	ck_assert_int_eq(t->exit_class, TROUPE__EXIT_CLASS__EXIT_DONE);
	ck_assert_uint_eq(t->output_len, strlen(text));
	ck_assert_mem_eq(t->output, text, strlen(text));
}

START_TEST(as_many_run_at_a_time_as_there_are_slots)
{
	char dir[] = "/tmp/troupe-slots-XXXXXX", script[200];
	ck_assert_ptr_nonnull(mkdtemp(dir));
	/* Each waits until there are three. */
	snprintf(script, sizeof script, "cd %s && mkdir $TROUPE_TOKEN && while [ $(ls | wc -l) -lt 3 ]; do sleep 0.01; done; cat", dir);
	opens(3, script);
	struct task *a = starts("a", 1, 0), *b = starts("bb", 2, 0);
	ck_assert_uint_eq(tier.ops->room(tier.self), 1);
	ck_assert(!tier.ops->idle(tier.self));
	struct task *c = starts("ccc", 3, 0);
	ck_assert_uint_eq(tier.ops->room(tier.self), 0);
	until_over(3);
	said(a, "a");
	said(b, "bb");
	said(c, "ccc");
	ck_assert(tier.ops->idle(tier.self));
	closes();
	snprintf(script, sizeof script, "rm -r %s", dir);
	ck_assert_int_eq(system(script), 0);
}
END_TEST

START_TEST(a_payload_that_is_large_is_in_a_file_too)
{
	size_t len = 300000;
	char *payload = malloc(len);
	ck_assert_ptr_nonnull(payload);
	memset(payload, 'x', len);
	opens(1, "cmp - \"$TROUPE_PAYLOAD_FILE\" && echo same");
	struct task *t = starts(payload, len, 0);
	until_over(1);
	said(t, "same\n");
	closes();
	free(payload);
}
END_TEST

START_TEST(a_result_is_cut_at_its_limit_and_the_end_of_stderr_is_kept)
{
	opens(1, "head -c 5000 /dev/zero; echo why >&2; exit 3");
	struct task *t = starts("", 0, 0);
	until_over(1);
	ck_assert_int_eq(t->exit_class, TROUPE__EXIT_CLASS__EXIT_FAILED);
	ck_assert_int_eq(t->exit_code, 3);
	ck_assert_str_eq(t->error, "exit status 3: why");
	ck_assert_uint_eq(t->output_len, 1000);
	ck_assert(t->truncated);
	ck_assert_uint_eq(t->stderr_len, 4);
	closes();
}
END_TEST

START_TEST(what_ignores_term_is_killed_with_its_group)
{
	opens(1, "trap '' TERM; sleep 60 & sleep 60");
	struct task *t = starts("", 0, 50);
	until_over(1);
	ck_assert_int_eq(t->exit_class, TROUPE__EXIT_CLASS__EXIT_TIMEOUT);
	ck_assert_int_eq(t->signal, SIGKILL);
	closes();
}
END_TEST

START_TEST(what_it_leaves_behind_does_not_outlive_it)
{
	opens(1, "sleep 60 & echo $!");
	struct task *t = starts("", 0, 0);
	until_over(1);
	ck_assert_int_eq(t->exit_class, TROUPE__EXIT_CLASS__EXIT_DONE);
	pid_t pid = (pid_t)atoi((const char *)t->output);
	ck_assert_int_gt(pid, 1);
	uint64_t until_ms = clock_mono_ms() + WAIT_MS;
	char path[64], line[256], state = 'R';
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	while (state != 'Z' && clock_mono_ms() < until_ms) { /* init reaps it, or is about to */
		FILE *f = fopen(path, "r");
		if (!f)
			break;
		if (!fgets(line, sizeof line, f) || sscanf(line, "%*d (%*[^)]) %c", &state) != 1)
			state = 'Z';
		fclose(f);
	}
	ck_assert_uint_lt(clock_mono_ms(), until_ms);
	closes();
}
END_TEST

START_TEST(a_command_that_cannot_run_breaks_it_for_a_while)
{
	opens(1, "");
	pool.command[0] = (char *)"/nonexistent";
	struct task *t = starts("", 0, 0);
	ck_assert_uint_eq(over.n, 1);
	ck_assert_int_eq(t->exit_class, TROUPE__EXIT_CLASS__EXIT_BROKEN);
	ck_assert_str_eq(tier.ops->broken(tier.self), "cannot run /nonexistent: No such file or directory");
	ck_assert_uint_eq(tier.ops->room(tier.self), 0);
	uint64_t at_ms = tier.ops->tick(tier.self, clock_mono_ms());
	ck_assert_uint_gt(at_ms, clock_mono_ms());
	tier.ops->tick(tier.self, at_ms);
	ck_assert_uint_eq(tier.ops->room(tier.self), 1);
	closes();
	pool.command[0] = (char *)"/bin/sh";
}
END_TEST

START_TEST(a_task_that_brings_a_command_is_rejected)
{
	uint8_t id[16] = { 1 };
	ProtobufCBinaryData word = { 4, (uint8_t *)(uintptr_t)"true" };
	Troupe__Assignment a = TROUPE__ASSIGNMENT__INIT;
	struct task *t;
	struct error e;
	opens(1, "true");
	a.token = 1;
	a.id = (ProtobufCBinaryData){ sizeof id, id };
	a.argv = &word;
	a.n_argv = 1;
	ck_assert_int_eq(task_new(&a, &t, &e), 0);
	tier.ops->start(tier.self, t, clock_mono_ms());
	ck_assert_int_eq(t->exit_class, TROUPE__EXIT_CLASS__EXIT_REJECTED);
	closes();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("slots");
	TCase *c = tcase_create("slots");
	tcase_set_timeout(c, 30);
	tcase_add_test(c, as_many_run_at_a_time_as_there_are_slots);
	tcase_add_test(c, a_payload_that_is_large_is_in_a_file_too);
	tcase_add_test(c, a_result_is_cut_at_its_limit_and_the_end_of_stderr_is_kept);
	tcase_add_test(c, what_ignores_term_is_killed_with_its_group);
	tcase_add_test(c, what_it_leaves_behind_does_not_outlive_it);
	tcase_add_test(c, a_command_that_cannot_run_breaks_it_for_a_while);
	tcase_add_test(c, a_task_that_brings_a_command_is_rejected);
	suite_add_tcase(s, c);
	return suite_run(s);
}
