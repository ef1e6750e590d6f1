/* A payload that comes in a file, as each tier gives it to its program. The tiers run in this process, under a loop and a host of the test's own. */
#include "tests/suite.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/work/family.h"
#include "common/work/tier.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"

#define WAIT_MS 20000u
#define PAYLOAD "payload of a file\n"

static char dir[64], payload_path[96];
static struct loop *loop;
static struct tier tier;
static Troupe__PoolSetup pool;
static struct task *task, *ended;

static void on_ended(void *ctx, struct task *t)
{
	ended = t;
}

static void on_progressed(void *ctx, struct task *t)
{
}

static void on_changed(void *ctx)
{
}

static void begins(void)
{
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	snprintf(dir, sizeof dir, "/tmp/troupe-payload-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(family_adopt(), 0);
	ck_assert_int_eq(loop_open(&loop), 0);
	troupe__pool_setup__init(&pool);
	pool.grace_ms = 1000;
}

static void ends(void)
{
	char command[128];
	if (tier.ops)
		tier.ops->close(tier.self);
	for (struct family_end end; family_reap(&end) != FAMILY_EMPTY;)
		family_kill();
	task_free(task);
	loop_close(loop);
	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
}

static void step(uint64_t until_ms)
{
	uint64_t now_ms = clock_mono_ms(), next_ms;
	ck_assert_uint_lt(now_ms, until_ms);
	next_ms = tier.ops->tick(tier.self, now_ms);
	ck_assert_int_ge(loop_once(loop, next_ms < now_ms + 10 ? next_ms : now_ms + 10), 0);
}

/* Opened, and ready for a task. */
static void tier_opens(const struct program_codec *codec, char **command)
{
	const struct tier_config c = { .loop = loop, .pool = &pool, .state_dir = dir, .output_max = 1 << 20, .host = { NULL, on_ended, on_progressed, on_changed } };
	struct error e = { 0 };
	uint64_t until_ms = clock_mono_ms() + WAIT_MS;
	pool.command = command;
	while (command[pool.n_command])
		pool.n_command++;
	ck_assert_msg((codec ? program_open(&c, codec, &tier, &e) : exec_open(&c, &tier, &e)) == 0, "%s", e.text);
	while (!tier.ops->room(tier.self))
		step(until_ms);
}

/* A task whose payload is in a file of the worker's directory. */
static void task_runs(const char *content)
{
	static uint8_t id[16] = { 1 };
	Troupe__Assignment a = TROUPE__ASSIGNMENT__INIT;
	uint64_t until_ms = clock_mono_ms() + WAIT_MS;
	a.token = 7;
	a.id = (ProtobufCBinaryData){ sizeof id, id };
	a.queue = (char *)"q";
	a.content_type = (char *)"application/json";
	a.attempt = a.max_attempts = 1;
	ck_assert_int_eq(task_new(&a, &task, NULL), 0);
	snprintf(payload_path, sizeof payload_path, "%s/work/7.payload", dir);
	if (content) {
		FILE *f = fopen(payload_path, "w");
		fputs(content, f);
		fclose(f);
	}
	task->payload_file = strdup(payload_path);
	tier.ops->start(tier.self, task, clock_mono_ms());
	tier.ops->flush(tier.self, clock_mono_ms());
	while (!ended)
		step(until_ms);
	ck_assert_ptr_eq(ended, task);
}

static void output_is(const char *text)
{
	ck_assert_msg(task->exit_class == TROUPE__EXIT_CLASS__EXIT_DONE, "class %d: %s", task->exit_class, task->error);
	ck_assert_msg(task->output_len == strlen(text) && memcmp(task->output, text, task->output_len) == 0, "\"%.*s\"", (int)task->output_len, (const char *)task->output);
}

static void said_and_path_is(const char *said)
{
	char expected[200];
	snprintf(expected, sizeof expected, "%s%s", said, payload_path);
	output_is(expected);
}

START_TEST(exec_has_it_as_stdin_and_its_name_in_the_environment)
{
	static char *command[] = { (char *)"/bin/sh", (char *)"-c", (char *)"cat; [ /dev/stdin -ef \"$TROUPE_PAYLOAD_FILE\" ] && printf '%s' \"$TROUPE_PAYLOAD_FILE\"", NULL };
	tier_opens(NULL, command);
	task_runs(PAYLOAD);
	said_and_path_is(PAYLOAD);
	ck_assert_int_eq(access(payload_path, F_OK), 0); /* not the tier's to remove */
}
END_TEST

START_TEST(exec_leaves_a_program_that_reads_nothing_alone)
{
	static char *command[] = { (char *)"/bin/true", NULL };
	tier_opens(NULL, command);
	task_runs(PAYLOAD);
	output_is("");
}
END_TEST

START_TEST(exec_does_not_burn_the_task_when_the_file_is_gone)
{
	static char *command[] = { (char *)"/bin/cat", NULL };
	tier_opens(NULL, command);
	task_runs(NULL);
	ck_assert_int_eq(task->exit_class, TROUPE__EXIT_CLASS__EXIT_BROKEN);
	ck_assert_str_eq(task->error, "cannot open its payload: No such file or directory");
	ck_assert_str_eq(tier.ops->broken(tier.self), task->error);
}
END_TEST

START_TEST(lines_has_its_name_instead_of_the_payload)
{
	static char *command[] = { (char *)"/bin/sh", (char *)"-c", (char *)
		"echo '{\"hello\":1}'; IFS= read -r line; case $line in *'\"payload\"'* | *payload_b64*) exit 1 ;; esac\n"
		"id=${line#*'\"task\":\"'} id=${id%%\\\"*} file=${line#*'\"payload_file\":\"'} file=${file%%\\\"*}\n"
		"read -r content <\"$file\"; printf '{\"done\":\"%s\",\"result\":\"%s\\\\n%s\"}\\n' \"$id\" \"$content\" \"$file\"; read -r line", NULL };
	tier_opens(&lines_codec, command);
	task_runs(PAYLOAD);
	said_and_path_is(PAYLOAD);
}
END_TEST

START_TEST(packet4_has_its_name_instead_of_the_payload)
{
	static char *command[] = { (char *)PACKET4_PROGRAM, NULL };
	tier_opens(&packet4_codec, command);
	task_runs(PAYLOAD);
	said_and_path_is("file " PAYLOAD);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("worker payload files");
	TCase *c = tcase_create("payload files");
	tcase_add_checked_fixture(c, begins, ends);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, exec_has_it_as_stdin_and_its_name_in_the_environment);
	tcase_add_test(c, exec_leaves_a_program_that_reads_nothing_alone);
	tcase_add_test(c, exec_does_not_burn_the_task_when_the_file_is_gone);
	tcase_add_test(c, lines_has_its_name_instead_of_the_payload);
	tcase_add_test(c, packet4_has_its_name_instead_of_the_payload);
	suite_add_tcase(s, c);
	return suite_run(s);
}
