/* The exec tier, as a coordinator and a task's program see it. The payload is a shell script, unless a test says otherwise. */
#include "tests/unit/worker/stage.h"
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void shell_starts(void)
{
	g.command[0] = "/bin/sh";
	worker_starts();
}

static const Troupe__Outcome *script(const char *text)
{
	return outcome_waited(give(text));
}

static void says(const char *text, const char *output)
{
	const Troupe__Outcome *o = script(text);
	ck_assert_msg(o->exit_class == TROUPE__EXIT_CLASS__EXIT_DONE, "%s: class %d, %s", text, o->exit_class, o->error);
	ck_assert_msg(output_is(o, output), "%s: \"%.*s\"", text, (int)o->output.len, (char *)o->output.data);
}

START_TEST(a_worker_attaches_and_says_what_it_can_do)
{
	shell_starts();
	ck_assert_str_eq(g.attach->pool, "p");
	ck_assert_str_eq(g.attach->mode, "exec");
	ck_assert_str_eq(g.attach->queues[0], "q");
	ck_assert_str_eq(g.attach->tags[0], "gpu");
	ck_assert_uint_eq(g.attach->slots, 1);
	ck_assert_uint_eq(g.attach->n_held, 0);
	ck_assert_str_eq(g.attach->broken, "");
	ck_assert(!g.attach->update);
}
END_TEST

START_TEST(stdout_is_the_result)
{
	shell_starts();
	uint64_t token = give("echo out; echo err >&2");
	const Troupe__Outcome *o = outcome_waited(token);
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_DONE);
	ck_assert(output_is(o, "out\n"));
	ck_assert_uint_eq(o->stderr_tail.len, 4);
	ck_assert(number_in(&g.started, token));
	ck_assert_uint_eq(o->id.len, 16);
	ck_assert_uint_gt(o->run_us, 0);
	ck_assert_uint_gt(o->usage->max_rss_kib, 100);
	ck_assert_str_eq(o->error, "");
}
END_TEST

START_TEST(one_task_after_the_other)
{
	shell_starts();
	for (int i = 0; i < 50; i++)
		says("echo $TROUPE_ATTEMPT", "1\n");
	ck_assert_uint_eq(g.started.n, 50);
}
END_TEST

START_TEST(prefetched_tasks_begin_in_order_one_at_a_time)
{
	shell_starts();
	const char *log = stage_file("log", "", 0600);
	char text[256];
	snprintf(text, sizeof text, "echo begin $TROUPE_TOKEN >>%s; echo end $TROUPE_TOKEN >>%s", log, log);
	give_many(20, text);
	outcome_waited(20);
	FILE *f = fopen(log, "r");
	for (unsigned i = 1; i <= 20; i++) {
		unsigned a = 0, b = 0;
		ck_assert_int_eq(fscanf(f, "begin %u end %u ", &a, &b), 2);
		ck_assert_uint_eq(a, i);
		ck_assert_uint_eq(b, i);
	}
	fclose(f);
}
END_TEST

START_TEST(each_exit_status_means_what_the_manual_says)
{
	static const struct { int status; Troupe__ExitClass exit_class; } rows[] = {
		{ 1, TROUPE__EXIT_CLASS__EXIT_FAILED }, { 75, TROUPE__EXIT_CLASS__EXIT_LATER }, { 111, TROUPE__EXIT_CLASS__EXIT_LATER },
		{ 65, TROUPE__EXIT_CLASS__EXIT_REJECTED }, { 100, TROUPE__EXIT_CLASS__EXIT_REJECTED }, { 200, TROUPE__EXIT_CLASS__EXIT_FAILED },
	};
	shell_starts();
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		char text[64], error[64];
		snprintf(text, sizeof text, "echo why >&2; exit %d", rows[i].status);
		snprintf(error, sizeof error, "exit status %d: why", rows[i].status);
		const Troupe__Outcome *o = script(text);
		ck_assert_int_eq(o->exit_class, rows[i].exit_class);
		ck_assert_int_eq(o->exit_code, rows[i].status);
		ck_assert_str_eq(o->error, error);
	}
}
END_TEST

START_TEST(a_signal_is_a_crash)
{
	shell_starts();
	const Troupe__Outcome *o = script("kill -SEGV $$");
	ck_assert(o->exit_class == TROUPE__EXIT_CLASS__EXIT_SIGNAL || o->exit_class == TROUPE__EXIT_CLASS__EXIT_CORE);
	ck_assert_int_eq(o->signal, SIGSEGV);
	ck_assert_ptr_nonnull(strstr(o->error, "SIGSEGV"));
	o = script("kill -KILL $$");
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_SIGNAL);
	ck_assert_int_eq(o->signal, SIGKILL);
}
END_TEST

START_TEST(a_program_that_is_not_there_breaks_the_pool_and_not_the_task)
{
	g.command[0] = "no-such-program-here";
	worker_starts();
	give_many(3, "");
	const Troupe__Outcome *o = outcome_waited(1);
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_BROKEN);
	ck_assert_str_eq(o->error, "cannot run no-such-program-here: not found in PATH");
	WAIT(*g.attach->broken);
	ck_assert(g.attach->update);
	/* What was waiting went back, and what comes now goes back at once, without an attempt. */
	WAIT(number_in(&g.revoked, 2) && number_in(&g.revoked, 3));
	uint64_t token = give("");
	WAIT(number_in(&g.revoked, token));
	ck_assert(!number_in(&g.started, token));
	/* After a while it tries again. */
	WAIT(!*g.attach->broken);
}
END_TEST

START_TEST(a_pool_that_is_mended_works_again)
{
	const char *program = stage_file("late", NULL, 0);
	g.command[0] = program;
	worker_starts();
	ck_assert_int_eq(script("")->exit_class, TROUPE__EXIT_CLASS__EXIT_BROKEN);
	stage_file("late", "#!/bin/sh\necho here\n", 0755);
	WAIT(!*g.attach->broken);
	says("", "here\n");
}
END_TEST

START_TEST(a_program_that_may_not_be_run_says_why)
{
	g.command[0] = stage_file("plain", "#!/bin/sh\n", 0644);
	worker_starts();
	const Troupe__Outcome *o = script("");
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_BROKEN);
	ck_assert_int_eq(o->exit_code, 126);
	ck_assert_ptr_nonnull(strstr(o->error, "Permission denied"));
}
END_TEST

START_TEST(exit_127_of_the_pools_own_program_breaks_it_too)
{
	shell_starts();
	const Troupe__Outcome *o = script("no-such-command-at-all");
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_BROKEN);
	WAIT(*g.attach->broken);
	ck_assert_ptr_nonnull(strstr(g.attach->broken, "exit status 127"));
}
END_TEST

static void argv_is(struct task_given *t, const char *a, const char *b, const char *c)
{
	const char *all[] = { a, b, c };
	for (int i = 0; i < 3 && all[i]; i++)
		t->argv[i] = (ProtobufCBinaryData){ strlen(all[i]), (uint8_t *)all[i] };
}

START_TEST(a_task_may_bring_its_command)
{
	struct task_given t;
	worker_starts();
	task_init(&t, "in", 2);
	argv_is(&t, "/bin/sh", "-c", "cat; echo \" $0 $#\"");
	const Troupe__Outcome *o = outcome_waited(task_give(&t));
	ck_assert(output_is(o, "in /bin/sh 0\n"));
	/* What it brings is its own fault: the pool is sound. */
	task_init(&t, "", 0);
	argv_is(&t, "no-such-program-here", NULL, NULL);
	o = outcome_waited(task_give(&t));
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_FAILED);
	ck_assert_int_eq(o->exit_code, 127);
	task_init(&t, "", 0);
	o = outcome_waited(task_give(&t));
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_REJECTED);
	ck_assert_uint_eq(g.n_attach, 1);
}
END_TEST

START_TEST(a_pool_with_a_command_runs_no_other)
{
	struct task_given t;
	shell_starts();
	task_init(&t, "", 0);
	argv_is(&t, "/bin/true", NULL, NULL);
	const Troupe__Outcome *o = outcome_waited(task_give(&t));
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_REJECTED);
}
END_TEST

START_TEST(arguments_that_no_kernel_takes_are_rejected)
{
	struct task_given t;
	static char huge[300000];
	memset(huge, 'x', sizeof huge - 1);
	worker_starts();
	task_init(&t, "", 0);
	argv_is(&t, "/bin/echo", huge, NULL);
	const Troupe__Outcome *o = outcome_waited(task_give(&t));
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_REJECTED);
	ck_assert_uint_eq(g.n_attach, 1);
}
END_TEST

START_TEST(the_environment_is_clean_and_names_the_task)
{
	setenv("SECRET", "x", 1);
	g.environment[0] = "FROM_POOL";
	g.environment[1] = "yes";
	shell_starts();
	struct task_given t;
	static const char text[] = "env | grep -c SECRET; echo $FROM_POOL $TROUPE_QUEUE $TROUPE_ATTEMPT/$TROUPE_MAX_ATTEMPTS $TROUPE_TOKEN ${#TROUPE_TASK} [$TROUPE_TAGS] "
	                           "[${TROUPE_DEADLINE_MS-none}] $TRACEPARENT";
	task_init(&t, text, strlen(text));
	t.a.traceparent = (char *)"00-a-b-01";
	const Troupe__Outcome *o = outcome_waited(task_give(&t));
	ck_assert_msg(output_is(o, "0\nyes q 1/5 1 26 [] [none] 00-a-b-01\n"), "%.*s", (int)o->output.len, (char *)o->output.data);
}
END_TEST

START_TEST(a_task_has_a_session_and_a_directory_of_its_own)
{
	shell_starts();
	says("[ \"$(ls -A | wc -l)\" = 0 ] && read -r pid _ _ _ pgrp session _ </proc/$$/stat && [ $pid = $pgrp ] && [ $pid = $session ] && echo own", "own\n");
	const Troupe__Outcome *o = script("pwd; mkdir -p a/b/c; touch a/b/c/d .hidden; ln -s / a/root; chmod 0 a/b");
	char path[256] = { 0 }, work[128];
	memcpy(path, o->output.data, o->output.len - 1);
	snprintf(work, sizeof work, "%s/state/work/", g.dir);
	ck_assert_int_eq(strncmp(path, work, strlen(work)), 0);
	ck_assert(!file_exists(path));
	/* The rest of it goes from the trash, slice by slice. */
	snprintf(path, sizeof path, "%s/state/work/trash", g.dir);
	struct stat st;
	WAIT(stat(path, &st) == 0 && st.st_nlink == 2);
	ck_assert(file_exists("/bin/sh"));
}
END_TEST

START_TEST(a_deep_directory_is_removed_too)
{
	shell_starts();
	says("i=0; while [ $i -lt 300 ]; do mkdir dddddddddddddddd; cd dddddddddddddddd; : >f; i=$((i+1)); done; echo deep", "deep\n");
	char path[256];
	struct stat st;
	snprintf(path, sizeof path, "%s/state/work/trash", g.dir);
	WAIT(stat(path, &st) == 0 && st.st_nlink == 2);
	says("echo on", "on\n");
}
END_TEST

START_TEST(what_a_killed_worker_left_is_removed_by_the_next)
{
	shell_starts();
	const char *mark = stage_file("mark", NULL, 0);
	char text[256];
	snprintf(text, sizeof text, "mkdir x; touch x/y; echo $$ >%s; sleep 100", mark);
	give(text);
	WAIT(pid_in_file(mark));
	kill(g.worker, SIGKILL);
	worker_ends();
	g.peer = NULL;
	worker_starts();
	char path[256];
	struct stat st;
	snprintf(path, sizeof path, "%s/state/work", g.dir);
	WAIT(stat(path, &st) == 0 && st.st_nlink == 3);
	snprintf(path, sizeof path, "%s/state/work/trash", g.dir);
	WAIT(stat(path, &st) == 0 && st.st_nlink == 2);
}
END_TEST

START_TEST(the_pools_directory_is_used_where_there_is_one)
{
	g.directory = "/usr";
	shell_starts();
	says("pwd", "/usr\n");
}
END_TEST

START_TEST(nothing_is_open_but_stdin_stdout_and_stderr)
{
	shell_starts();
	says("for f in /proc/self/fd/*; do case ${f##*/} in 0|1|2) ;; *) [ -e \"$f\" ] && echo open $f $(readlink $f);; esac; done; echo end", "end\n");
}
END_TEST

START_TEST(signals_are_as_a_shell_expects_them)
{
	shell_starts();
	says("grep -E '^Sig(Blk|Ign)' /proc/self/status | tr -s '\\t ' ' '", "SigBlk: 0000000000000000\nSigIgn: 0000000000000000\n");
}
END_TEST

START_TEST(privileges_cannot_be_gained)
{
	shell_starts();
	says("grep NoNewPrivs /proc/self/status | tr '\\t' ' '", "NoNewPrivs: 1\n");
}
END_TEST

/* --- payloads and results --- */

START_TEST(any_bytes_go_in_and_come_out)
{
	g.command[0] = "/bin/cat";
	worker_starts();
	uint8_t all[1024];
	struct task_given t;
	for (size_t i = 0; i < sizeof all; i++)
		all[i] = (uint8_t)(i * 7);
	task_init(&t, all, sizeof all);
	const Troupe__Outcome *o = outcome_waited(task_give(&t));
	ck_assert_uint_eq(o->output.len, sizeof all);
	ck_assert_int_eq(memcmp(o->output.data, all, sizeof all), 0);
	ck_assert(!o->truncated);
}
END_TEST

START_TEST(a_giant_payload_is_on_stdin_and_in_a_file)
{
	g.command[0] = "/bin/sh";
	g.command[1] = "-c";
	g.command[2] = "wc -c <\"$TROUPE_PAYLOAD_FILE\"; stat -c %a \"$TROUPE_PAYLOAD_FILE\"; cat | cmp - \"$TROUPE_PAYLOAD_FILE\" && echo same; echo \"$TROUPE_PAYLOAD_FILE\"";
	worker_starts();
	size_t len = 900000;
	_cleanup_(freep) char *payload = malloc(len);
	for (size_t i = 0; i < len; i++)
		payload[i] = (char)(i * 31 + i / 255);
	struct task_given t;
	task_init(&t, payload, len);
	const Troupe__Outcome *o = outcome_waited(task_give(&t));
	char expected[256];
	int n = snprintf(expected, sizeof expected, "900000\n600\nsame\n%s/state/work/1.payload\n", g.dir);
	ck_assert_msg(output_is(o, expected), "%.*s", (int)o->output.len, (char *)o->output.data);
	expected[n - 1] = '\0';
	ck_assert(!file_exists(strrchr(expected, '\n') + 1));
}
END_TEST

START_TEST(a_program_that_reads_nothing_does_not_hang_a_giant_payload)
{
	g.command[0] = "/bin/true";
	worker_starts();
	_cleanup_(freep) char *payload = calloc(1, 900000);
	struct task_given t;
	task_init(&t, payload, 900000);
	ck_assert_int_eq(outcome_waited(task_give(&t))->exit_class, TROUPE__EXIT_CLASS__EXIT_DONE);
}
END_TEST

START_TEST(the_three_pipes_do_not_wait_for_each_other)
{
	/* Writes a lot before it reads, and to both. */
	g.command[0] = "/bin/sh";
	g.command[1] = "-c";
	g.command[2] = "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; wc -c >&2; echo end >&2";
	worker_starts();
	_cleanup_(freep) char *payload = calloc(1, 800000);
	struct task_given t;
	task_init(&t, payload, 800000);
	t.a.output_max = 500000;
	const Troupe__Outcome *o = outcome_waited(task_give(&t));
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_DONE);
	ck_assert_uint_eq(o->output.len, 300000);
	ck_assert_uint_eq(o->stderr_tail.len, 4096);
	ck_assert_int_eq(memcmp(o->stderr_tail.data + 4096 - 11, "800000\nend\n", 11), 0);
}
END_TEST

START_TEST(ten_megabytes_on_stdout_are_cut_and_said_to_be)
{
	shell_starts();
	struct task_given t;
	static const char text[] = "head -c 10485760 /dev/zero | tr '\\0' x";
	task_init(&t, text, strlen(text));
	t.a.output_max = 1000;
	const Troupe__Outcome *o = outcome_waited(task_give(&t));
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_DONE);
	ck_assert_uint_eq(o->output.len, 1000);
	ck_assert(o->truncated);
	/* Whatever the task asks for, an outcome fits into a frame. */
	task_init(&t, text, strlen(text));
	t.a.output_max = 100000000;
	o = outcome_waited(task_give(&t));
	ck_assert_uint_gt(o->output.len, 500000);
	ck_assert_uint_lt(o->output.len, 1 << 20);
	ck_assert(o->truncated);
}
END_TEST

START_TEST(a_result_of_exactly_the_limit_is_whole)
{
	shell_starts();
	struct task_given t;
	task_init(&t, "printf 1234", 11);
	t.a.output_max = 4;
	const Troupe__Outcome *o = outcome_waited(task_give(&t));
	ck_assert(output_is(o, "1234"));
	ck_assert(!o->truncated);
}
END_TEST

START_TEST(nothing_said_and_exit_0_is_done)
{
	g.command[0] = "/bin/true";
	worker_starts();
	says("", "");
}
END_TEST

START_TEST(a_program_may_close_its_descriptors)
{
	shell_starts();
	says("echo before; exec <&- >&- 2>&-; sleep 0.1; exit 0", "before\n");
}
END_TEST

/* --- families --- */

START_TEST(a_daemon_that_a_task_leaves_is_gone_before_the_outcome)
{
	shell_starts();
	const char *pid = stage_file("pid", NULL, 0);
	char text[512];
	snprintf(text, sizeof text, "trap '' TERM HUP; (setsid sh -c 'trap \"\" TERM HUP INT; echo $$ >%s; exec sleep 1000' >/dev/null 2>&1 </dev/null &) & while ! [ -s %s ]; do sleep 0.01; done; echo left", pid, pid);
	const Troupe__Outcome *o = script(text);
	ck_assert(output_is(o, "left\n"));
	ck_assert_int_gt(pid_in_file(pid), 0);
	ck_assert(!process_alive(pid_in_file(pid)));
}
END_TEST

START_TEST(a_tree_of_processes_dies_with_its_task)
{
	shell_starts();
	const char *pids = stage_file("pids", "", 0600);
	char text[512];
	snprintf(text, sizeof text,
	         "level() { echo $$ $(sh -c 'echo $PPID') >>%s; [ $1 -gt 0 ] && { level $(($1-1)) & level $(($1-1)) & }; sleep 1000; }; level 4 & "
	         "while [ $(wc -l <%s) -lt 31 ]; do sleep 0.01; done; echo grown", pids, pids);
	ck_assert(output_is(script(text), "grown\n"));
	FILE *f = fopen(pids, "r");
	int top, pid, n = 0;
	while (fscanf(f, "%d %d", &top, &pid) == 2) {
		ck_assert(!process_alive(pid));
		n++;
	}
	fclose(f);
	ck_assert_int_eq(n, 31);
}
END_TEST

START_TEST(a_stranger_who_holds_the_pipe_does_not_hold_the_worker)
{
	/* The grandchild keeps stdout open; it is killed, so the end of the pipe comes. */
	shell_starts();
	says("sleep 1000 & echo quick", "quick\n");
}
END_TEST

/* TERM and INT ignored, two forks, a session of its own, stopped: the worst that one script can do. */
static const char *stubborn(const char *pids)
{
	static char text[700];
	snprintf(text, sizeof text,
	         "trap '' TERM INT HUP; echo $$ >>%s; (setsid sh -c 'trap \"\" TERM INT HUP; echo $$ >>%s; sleep 1000 & echo $! >>%s; kill -STOP $$' >/dev/null 2>&1 </dev/null &) & "
	         "while :; do sleep 0.05; done", pids, pids, pids);
	return text;
}

static int lines_of(const char *path)
{
	int n = 0, c;
	FILE *f = fopen(path, "r");
	while (f && (c = fgetc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

static void all_dead(const char *pids)
{
	FILE *f = fopen(pids, "r");
	int pid, n = 0;
	while (fscanf(f, "%d", &pid) == 1) {
		ck_assert_msg(!process_alive(pid), "%d lives", pid);
		n++;
	}
	fclose(f);
	ck_assert_int_ge(n, 3);
}

START_TEST(a_timeout_ends_the_whole_family_however_it_resists)
{
	shell_starts();
	const char *pids = stage_file("pids", "", 0600);
	struct task_given t;
	task_init(&t, stubborn(pids), strlen(stubborn(pids)));
	t.a.timeout_ms = 700;
	t.a.grace_ms = 100;
	uint64_t from_ms = clock_mono_ms();
	uint64_t token = task_give(&t);
	WAIT(lines_of(pids) >= 3);
	const Troupe__Outcome *o = outcome_waited(token);
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_TIMEOUT);
	ck_assert_uint_ge(clock_mono_ms() - from_ms, 800);
	ck_assert_int_eq(o->signal, SIGKILL);
	all_dead(pids);
	says("echo next", "next\n");
}
END_TEST

START_TEST(a_cancel_ends_the_whole_family_too)
{
	shell_starts();
	const char *pids = stage_file("pids", "", 0600);
	uint64_t token = give(stubborn(pids));
	WAIT(lines_of(pids) >= 3);
	tell_abort(token);
	const Troupe__Outcome *o = outcome_waited(token);
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_CANCELLED);
	all_dead(pids);
}
END_TEST

START_TEST(a_task_that_obeys_TERM_may_clean_up)
{
	shell_starts();
	const char *ready = stage_file("ready", NULL, 0), *clean = stage_file("clean", NULL, 0);
	char text[400];
	g.grace_ms = 5000;
	snprintf(text, sizeof text, "trap 'echo tidy >%s; exit 3' TERM; : >%s; while :; do sleep 0.02; done", clean, ready);
	struct task_given t;
	task_init(&t, text, strlen(text));
	t.a.grace_ms = 15000;
	uint64_t token = task_give(&t);
	WAIT(file_exists(ready));
	tell_abort(token);
	const Troupe__Outcome *o = outcome_waited(token);
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_CANCELLED);
	ck_assert_int_eq(o->exit_code, 3);
	ck_assert(file_exists(clean));
}
END_TEST

START_TEST(a_stopped_task_still_hears_TERM)
{
	shell_starts();
	const char *ready = stage_file("ready", NULL, 0);
	char text[400];
	snprintf(text, sizeof text, "trap 'exit 7' TERM; : >%s; kill -STOP $$; sleep 0.01; exit 8", ready);
	struct task_given t;
	task_init(&t, text, strlen(text));
	t.a.grace_ms = 15000;
	uint64_t token = task_give(&t);
	WAIT(file_exists(ready));
	tell_abort(token);
	ck_assert_int_eq(outcome_waited(token)->signal, 0);
}
END_TEST

START_TEST(when_the_worker_is_killed_its_task_dies_with_it)
{
	shell_starts();
	const char *pid = stage_file("pid", NULL, 0);
	char text[256];
	snprintf(text, sizeof text, "trap '' TERM HUP; echo $$ >%s; while :; do sleep 1000; done", pid);
	uint64_t token = give(text);
	WAIT(pid_in_file(pid));
	struct status_cell c = cell_read();
	ck_assert_uint_eq(c.n_tokens, 1);
	ck_assert_uint_eq(c.tokens[0], token);
	kill(g.worker, SIGKILL);
	ck_assert_int_eq(worker_ends(), -SIGKILL);
	WAIT(!process_alive(pid_in_file(pid)));
}
END_TEST

START_TEST(exit_99_drains_the_worker)
{
	shell_starts();
	uint64_t first = give("echo last; exit 99");
	give_many(3, "echo never");
	const Troupe__Outcome *o = outcome_waited(first);
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_DONE);
	ck_assert(o->drain);
	ck_assert(output_is(o, "last\n"));
	ck_assert_int_eq(worker_ends(), 0);
	ck_assert(g.bye);
	ck_assert_int_eq(g.reason, TROUPE__REASON__REASON_NORMAL);
	ck_assert_uint_eq(g.revoked.n, 3);
	ck_assert_uint_eq(g.started.n, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("worker exec");
	TCase *c = tcase_create("exec");
	tcase_add_checked_fixture(c, stage_begins, stage_ends);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, a_worker_attaches_and_says_what_it_can_do);
	tcase_add_test(c, stdout_is_the_result);
	tcase_add_test(c, one_task_after_the_other);
	tcase_add_test(c, prefetched_tasks_begin_in_order_one_at_a_time);
	tcase_add_test(c, each_exit_status_means_what_the_manual_says);
	tcase_add_test(c, a_signal_is_a_crash);
	tcase_add_test(c, a_program_that_is_not_there_breaks_the_pool_and_not_the_task);
	tcase_add_test(c, a_pool_that_is_mended_works_again);
	tcase_add_test(c, a_program_that_may_not_be_run_says_why);
	tcase_add_test(c, exit_127_of_the_pools_own_program_breaks_it_too);
	tcase_add_test(c, a_task_may_bring_its_command);
	tcase_add_test(c, a_pool_with_a_command_runs_no_other);
	tcase_add_test(c, arguments_that_no_kernel_takes_are_rejected);
	tcase_add_test(c, the_environment_is_clean_and_names_the_task);
	tcase_add_test(c, a_task_has_a_session_and_a_directory_of_its_own);
	tcase_add_test(c, a_deep_directory_is_removed_too);
	tcase_add_test(c, what_a_killed_worker_left_is_removed_by_the_next);
	tcase_add_test(c, the_pools_directory_is_used_where_there_is_one);
	tcase_add_test(c, nothing_is_open_but_stdin_stdout_and_stderr);
	tcase_add_test(c, signals_are_as_a_shell_expects_them);
	tcase_add_test(c, privileges_cannot_be_gained);
	tcase_add_test(c, any_bytes_go_in_and_come_out);
	tcase_add_test(c, a_giant_payload_is_on_stdin_and_in_a_file);
	tcase_add_test(c, a_program_that_reads_nothing_does_not_hang_a_giant_payload);
	tcase_add_test(c, the_three_pipes_do_not_wait_for_each_other);
	tcase_add_test(c, ten_megabytes_on_stdout_are_cut_and_said_to_be);
	tcase_add_test(c, a_result_of_exactly_the_limit_is_whole);
	tcase_add_test(c, nothing_said_and_exit_0_is_done);
	tcase_add_test(c, a_program_may_close_its_descriptors);
	tcase_add_test(c, a_daemon_that_a_task_leaves_is_gone_before_the_outcome);
	tcase_add_test(c, a_tree_of_processes_dies_with_its_task);
	tcase_add_test(c, a_stranger_who_holds_the_pipe_does_not_hold_the_worker);
	tcase_add_test(c, a_timeout_ends_the_whole_family_however_it_resists);
	tcase_add_test(c, a_cancel_ends_the_whole_family_too);
	tcase_add_test(c, a_task_that_obeys_TERM_may_clean_up);
	tcase_add_test(c, a_stopped_task_still_hears_TERM);
	tcase_add_test(c, when_the_worker_is_killed_its_task_dies_with_it);
	tcase_add_test(c, exit_99_drains_the_worker);
	suite_add_tcase(s, c);
	return suite_run(s);
}
