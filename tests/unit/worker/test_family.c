/* The family's parts alone: who is found, who is reaped, what is removed, what a program is born with. Both ways of looking for members are held to the same. */
#include "tests/suite.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/work/family.h"
#include "common/work/spawn.h"
#include "common/work/tier.h"
#include "common/work/workdir.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"

#define WAIT_MS 20000u

static int ends[2];

static void begins(void)
{
	ck_assert_int_eq(family_adopt(), 0);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
}

/* --- the family --- */

struct kind { bool session, deaf, orphan; };

/* Says that it is there, and waits for ever. Its name is made to confuse who reads /proc. */
static _Noreturn void member(const struct kind *k)
{
	if (k->session)
		setsid();
	for (int i = 1; k->deaf && i < 32; i++)
		signal(i, SIG_IGN);
	prctl(PR_SET_NAME, "x) R 1 (y");
	(void)!write(ends[1], "x", 1);
	for (;;)
		pause();
}

/* A line of generations, each with its parent alive above it, or gone. */
static _Noreturn void line(int generations, const struct kind *k)
{
	while (generations-- > 1)
		if (fork() != 0) {
			if (k->orphan)
				_exit(0);
			break;
		}
	member(k);
}

static void are_there(int n)
{
	char c[64];
	for (int have = 0; have < n;) {
		ssize_t got = read(ends[0], c, sizeof c);
		ck_assert_int_gt(got, 0);
		have += (int)got;
	}
}

static int killed_until_empty(void)
{
	uint64_t until_ms = clock_mono_ms() + WAIT_MS;
	struct family_end end;
	enum family_state state;
	int n = 0;
	while ((state = family_reap(&end)) != FAMILY_EMPTY) {
		ck_assert_uint_lt(clock_mono_ms(), until_ms);
		if (state == FAMILY_ENDED)
			n++;
		else
			family_kill();
	}
	return n;
}

START_TEST(nobody_is_there_and_that_is_proven)
{
	struct family_end end;
	ck_assert_int_eq(family_reap(&end), FAMILY_EMPTY);
	ck_assert_int_eq(family_kill(), 0);
}
END_TEST

START_TEST(every_kind_of_descendant_is_killed_and_reaped)
{
	static const struct kind kinds[] = { { 0, 0, 0 }, { 1, 1, 0 }, { 0, 0, 1 }, { 1, 1, 1 } };
	family_scan_whole_proc(_i / 4);
	const struct kind *k = &kinds[_i % 4];
	if (fork() == 0)
		line(5, k);
	are_there(k->orphan ? 1 : 5);
	struct family_end end;
	while (family_reap(&end) == FAMILY_ENDED)
		;
	ck_assert_int_ge(killed_until_empty(), 1);
}
END_TEST

START_TEST(a_wide_family_goes_in_one_sweep_or_two)
{
	static const struct kind deaf = { .session = true, .deaf = true };
	family_scan_whole_proc(_i);
	for (int i = 0; i < 150; i++)
		if (fork() == 0)
			member(&deaf);
	are_there(150);
	ck_assert_int_eq(killed_until_empty(), 150);
}
END_TEST

/* Forks and lets its child do the same, as fast as it can: nobody who was seen is still there when he is signalled. */
START_TEST(a_process_that_runs_away_from_its_number_is_caught)
{
	family_scan_whole_proc(_i);
	if (fork() == 0) {
		(void)!write(ends[1], "x", 1);
		for (;;)
			if (fork() != 0)
				_exit(0);
	}
	are_there(1);
	ck_assert_int_ge(killed_until_empty(), 1);
}
END_TEST

static volatile sig_atomic_t heard;

static void on_usr1(int signo)
{
	heard++;
}

START_TEST(a_signal_reaches_each_member_once)
{
	family_scan_whole_proc(_i);
	sigset_t usr1;
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	/* A leader with a child in its group, and one in a session of its own. Each reports every signal that it hears. */
	pid_t leader = fork();
	if (leader == 0) {
		struct sigaction sa = { .sa_handler = on_usr1 };
		sigset_t none;
		sigemptyset(&none);
		sigaction(SIGUSR1, &sa, NULL);
		setsid();
		if (fork() == 0) {
			if (fork() == 0)
				setsid();
		}
		(void)!write(ends[1], "x", 1);
		for (;;) {
			sigsuspend(&none);
			(void)!write(ends[1], "h", 1);
		}
	}
	are_there(3);
	family_signal(leader, SIGUSR1);
	are_there(3);
	/* A second hearing of any of them would be here before the answer to a second signal. */
	family_signal(leader, SIGUSR1);
	are_there(3);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	char c;
	ck_assert_int_eq(read(ends[0], &c, 1), -1);
	killed_until_empty();
}
END_TEST

/* --- programs --- */

static int stdio_null[3];

static struct spawn spawn_of(char *const *argv, char *const *envp)
{
	for (int i = 0; i < 3; i++)
		stdio_null[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
	return (struct spawn){ .argv = argv, .envp = envp, .stdio = { stdio_null[0], stdio_null[1], stdio_null[2] }, .directory = -1 };
}

static void cannot_run(char *const *argv, char *const *envp, int expected)
{
	struct spawn s = spawn_of(argv, envp);
	struct family_end end;
	pid_t pid = -7;
	int error = 0;
	ck_assert_int_eq(spawn_process(&s, &pid, &error), ERROR_NOT_FOUND);
	ck_assert_msg(error == expected, "%s: %s", argv[0], strerror(error));
	ck_assert_int_eq(pid, -7);
	ck_assert_int_eq(family_reap(&end), FAMILY_EMPTY);
}

START_TEST(why_a_program_cannot_run_is_told_and_nothing_is_left)
{
	char *none[] = { NULL }, *path[] = { (char *)"PATH=/nowhere:/etc::/usr/bin", NULL };
	char *missing[] = { (char *)"/no/such", NULL }, *directory[] = { (char *)"/etc", NULL }, *plain[] = { (char *)"/etc/passwd", NULL };
	char *unknown[] = { (char *)"no-such-program", NULL }, *denied[] = { (char *)"passwd-is-not-here", NULL }, *inside[] = { (char *)"/etc/passwd/x", NULL };
	cannot_run(missing, none, ENOENT);
	cannot_run(directory, none, EACCES);
	cannot_run(plain, none, EACCES);
	cannot_run(unknown, none, ENOENT);
	cannot_run(unknown, path, ENOENT);
	cannot_run(denied, path, ENOENT);
	cannot_run(inside, none, ENOENT);
	char *group[] = { (char *)"group", NULL }; /* in /etc, not executable; the search goes on behind it */
	cannot_run(group, path, EACCES);
}
END_TEST

START_TEST(a_program_is_found_by_the_path_of_its_own_environment)
{
	char *argv[] = { (char *)"true", NULL }, *path[] = { (char *)"PATH=/nowhere:/usr/bin", NULL };
	struct spawn s = spawn_of(argv, path);
	struct family_end end;
	pid_t pid;
	int error;
	ck_assert_int_eq(spawn_process(&s, &pid, &error), 0);
	uint64_t until_ms = clock_mono_ms() + WAIT_MS;
	while (family_reap(&end) != FAMILY_ENDED)
		ck_assert_uint_lt(clock_mono_ms(), until_ms);
	ck_assert_int_eq(end.pid, pid);
	ck_assert_int_eq(end.status, 0);
}
END_TEST

START_TEST(an_errno_that_is_the_tasks_fault)
{
	ck_assert(spawn_errno_is_tasks(E2BIG));
	ck_assert(!spawn_errno_is_tasks(ENOENT));
	ck_assert(!spawn_errno_is_tasks(EAGAIN));
	ck_assert(spawn_errno_is_machines(EAGAIN));
	ck_assert(spawn_errno_is_machines(ENOMEM));
	ck_assert(!spawn_errno_is_machines(ENOENT));
	ck_assert(!spawn_errno_is_machines(EACCES));
}
END_TEST

START_TEST(pipes_keep_clear_of_stdio)
{
	/* As in a worker that was started with its stdio closed. */
	close(0);
	int p[2], q[2];
	ck_assert_int_eq(tier_pipe(p, 0), 0);
	ck_assert_int_eq(tier_pipe(q, 1), 0);
	ck_assert(p[0] > 2 && p[1] > 2 && q[0] > 2 && q[1] > 2);
	ck_assert(fcntl(p[0], F_GETFL) & O_NONBLOCK);
	ck_assert(!(fcntl(p[1], F_GETFL) & O_NONBLOCK));
	ck_assert(fcntl(q[1], F_GETFL) & O_NONBLOCK);
	ck_assert(fcntl(q[0], F_GETFD) & FD_CLOEXEC);
	open("/dev/null", O_RDONLY);
}
END_TEST

/* --- directories --- */

static char dir[64];
static struct workdir wd;

static void dir_begins(void)
{
	struct error e;
	snprintf(dir, sizeof dir, "/tmp/troupe-workdir-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(workdir_open(&wd, dir, &e), 0);
}

static void dir_ends(void)
{
	char command[256];
	workdir_close(&wd);
	snprintf(command, sizeof command, "chmod -R u+rwx '%s'; rm -rf '%s'", dir, dir);
	ck_assert_int_eq(system(command), 0);
}

static void shell(const char *text)
{
	char command[512];
	snprintf(command, sizeof command, "cd '%s/work' && %s", dir, text);
	ck_assert_int_eq(system(command), 0);
}

static int cleaned(unsigned slice)
{
	int n = 1;
	while (workdir_clean(&wd, slice))
		ck_assert_int_lt(n++, 100000);
	return n;
}

static bool trash_is_empty(void)
{
	char path[96];
	snprintf(path, sizeof path, "%s/work/trash", dir);
	return rmdir(path) == 0;
}

START_TEST(an_empty_directory_goes_at_once)
{
	int fd;
	ck_assert_int_eq(workdir_make(&wd, 7, &fd), 0);
	close(fd);
	shell("test -d 7");
	workdir_remove(&wd, 7);
	shell("test ! -e 7");
	cleaned(10);
	ck_assert(trash_is_empty());
}
END_TEST

START_TEST(what_a_task_left_goes_in_slices)
{
	int fd;
	ck_assert_int_eq(workdir_make(&wd, 7, &fd), 0);
	close(fd);
	shell("cd 7 && mkdir -p a/b/c d && touch a/b/c/1 a/2 .h && for i in $(seq 100); do : >d/$i; done && ln -s / a/root && ln -s nowhere x && mkfifo p && chmod 0 a/b && chmod 500 a");
	workdir_remove(&wd, 7);
	shell("test ! -e 7");
	ck_assert_int_gt(cleaned(10), 10);
	ck_assert(trash_is_empty());
	ck_assert_int_eq(access("/etc/passwd", F_OK), 0);
}
END_TEST

START_TEST(a_link_out_is_removed_and_not_followed)
{
	char outside[] = "/tmp/troupe-outside-XXXXXX", command[400];
	int fd;
	ck_assert_ptr_nonnull(mkdtemp(outside));
	ck_assert_int_eq(workdir_make(&wd, 7, &fd), 0);
	close(fd);
	snprintf(command, sizeof command, "touch %s/keep && ln -s %s 7/out && mkdir 7/d && ln -s %s 7/d/out", outside, outside, outside);
	shell(command);
	workdir_remove(&wd, 7);
	cleaned(10);
	ck_assert(trash_is_empty());
	snprintf(command, sizeof command, "rm %s/keep && rmdir %s", outside, outside);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(a_token_whose_directory_is_still_there_gets_a_new_one)
{
	int fd;
	ck_assert_int_eq(workdir_make(&wd, 7, &fd), 0);
	close(fd);
	shell("touch 7/old");
	ck_assert_int_eq(workdir_make(&wd, 7, &fd), 0);
	close(fd);
	shell("test ! -e 7/old && test -d 7");
	cleaned(10);
	workdir_remove(&wd, 7);
	cleaned(10);
	ck_assert(trash_is_empty());
}
END_TEST

START_TEST(what_an_earlier_worker_left_is_trash)
{
	struct error e;
	shell("mkdir -p 1/x 2 trash/3/y && touch 1/x/f 4.payload trash/5");
	workdir_close(&wd);
	ck_assert_int_eq(workdir_open(&wd, dir, &e), 0);
	shell("test ! -e 1 && test ! -e 2 && test ! -e 4.payload");
	cleaned(3);
	ck_assert(trash_is_empty());
}
END_TEST

START_TEST(a_payload_file_holds_the_payload_and_nobody_else_may_read_it)
{
	char path[256];
	struct stat st;
	_cleanup_(freep) char *text = NULL;
	size_t len;
	ck_assert_int_eq(workdir_payload(&wd, 9, "a\0b", 3, path, sizeof path), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(file_read_all(path, 100, &text, &len), 0);
	ck_assert_uint_eq(len, 3);
	ck_assert_int_eq(memcmp(text, "a\0b", 3), 0);
	workdir_remove(&wd, 9); /* the directory of that number is another thing */
	ck_assert_int_eq(access(path, F_OK), 0);
	workdir_remove_payload(&wd, 9);
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("worker family");
	TCase *c = tcase_create("family");
	tcase_add_checked_fixture(c, begins, NULL);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, nobody_is_there_and_that_is_proven);
	tcase_add_loop_test(c, every_kind_of_descendant_is_killed_and_reaped, 0, 8);
	tcase_add_loop_test(c, a_wide_family_goes_in_one_sweep_or_two, 0, 2);
	tcase_add_loop_test(c, a_process_that_runs_away_from_its_number_is_caught, 0, 2);
	tcase_add_loop_test(c, a_signal_reaches_each_member_once, 0, 2);
	tcase_add_test(c, why_a_program_cannot_run_is_told_and_nothing_is_left);
	tcase_add_test(c, a_program_is_found_by_the_path_of_its_own_environment);
	tcase_add_test(c, an_errno_that_is_the_tasks_fault);
	tcase_add_test(c, pipes_keep_clear_of_stdio);
	suite_add_tcase(s, c);
	c = tcase_create("directories");
	tcase_add_checked_fixture(c, dir_begins, dir_ends);
	tcase_add_test(c, an_empty_directory_goes_at_once);
	tcase_add_test(c, what_a_task_left_goes_in_slices);
	tcase_add_test(c, a_link_out_is_removed_and_not_followed);
	tcase_add_test(c, a_token_whose_directory_is_still_there_gets_a_new_one);
	tcase_add_test(c, what_an_earlier_worker_left_is_trash);
	tcase_add_test(c, a_payload_file_holds_the_payload_and_nobody_else_may_read_it);
	suite_add_tcase(s, c);
	return suite_run(s);
}
