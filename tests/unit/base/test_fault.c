/* Fault points. Each test forks a process of its own, because a point that fires ends it. Built with its own copy of fault.c, so that the points exist
 * in every build. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "tests/suite.h"

/* Passes "turn.after_commit" n times as role (NULL: never said) in a new process with TROUPE_FAULT=spec; its wait status. The passes that it
 * survived go to *ret_passes. */
static int passing(const char *spec, const char *role, int n, int *ret_passes)
{
	int fds[2];
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		if (spec)
			setenv("TROUPE_FAULT", spec, 1);
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(null, STDERR_FILENO);
		if (role)
			fault_role(role);
		for (int i = 0; i < n; i++) {
			fault_point("turn.before_commit");
			fault_point("turn.after_commit");
			if (write(fds[1], "x", 1) != 1)
				_exit(1);
		}
		_exit(0);
	}
	close(fds[1]);
	int status;
	char text[64];
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	*ret_passes = (int)read(fds[0], text, sizeof(text));
	close(fds[0]);
	return status;
}

static bool killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

START_TEST(without_the_variable_nothing_happens)
{
	int n;
	ck_assert_int_eq(passing(NULL, NULL, 5, &n), 0);
	ck_assert_int_eq(n, 5);
	ck_assert_int_eq(passing("", "coordinator", 5, &n), 0);
	ck_assert_int_eq(n, 5);
}
END_TEST

START_TEST(a_point_fires_at_the_pass_that_is_named)
{
	int n;
	ck_assert(killed(passing("turn.after_commit:3", NULL, 9, &n)));
	ck_assert_int_eq(n, 2);
	ck_assert(killed(passing("turn.after_commit", NULL, 9, &n)));
	ck_assert_int_eq(n, 0);
	ck_assert_int_eq(passing("turn.after_commit:10", NULL, 9, &n), 0);
	ck_assert_int_eq(n, 9);
}
END_TEST

START_TEST(of_several_specs_the_first_to_come_due_fires)
{
	int n;
	ck_assert(killed(passing("turn.after_commit:7,turn.before_commit:5,submit.after_parse", NULL, 9, &n)));
	ck_assert_int_eq(n, 4);
}
END_TEST

START_TEST(a_spec_with_a_role_holds_only_for_that_role)
{
	int n;
	ck_assert(killed(passing("coordinator/turn.after_commit:2", "coordinator", 9, &n)));
	ck_assert_int_eq(n, 1);
	ck_assert_int_eq(passing("coordinator/turn.after_commit:2", "worker", 9, &n), 0);
	ck_assert_int_eq(passing("coordinator/turn.after_commit:2", "coord", 9, &n), 0);
	ck_assert_int_eq(passing("coordinator/turn.after_commit:2", NULL, 9, &n), 0);
	ck_assert(killed(passing("turn.after_commit:2", "worker", 9, &n)));
}
END_TEST

START_TEST(a_point_fires_once_where_that_is_asked)
{
	char path[] = "/tmp/troupe-fault-XXXXXX";
	int n;
	close(mkstemp(path));
	unlink(path);
	setenv("TROUPE_FAULT_ONCE", path, 1);
	ck_assert(killed(passing("turn.after_commit:2", NULL, 5, &n)));
	ck_assert_int_eq(access(path, F_OK), 0);
	ck_assert_int_eq(passing("turn.after_commit:2", NULL, 5, &n), 0);
	ck_assert_int_eq(n, 5);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert(killed(passing("turn.after_commit:2", NULL, 5, &n)));
	unlink(path);
}
END_TEST

START_TEST(a_spec_that_cannot_be_read_ends_the_process)
{
	static const char *const bad[] = { "turn.after_comit", "turn.after_commit:0", "turn.after_commit:x", "turn.after_commit:", "/turn.after_commit", "coordinator/", ",",
		                           "turn.after_commit:1,", "a-role-that-is-longer-than-31-bytes/turn.after_commit" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int n, status = passing(bad[i], NULL, 1, &n);
		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 100, "%s", bad[i]);
	}
}
END_TEST

START_TEST(names_are_unique_and_of_the_form_subject_dot_moment)
{
	for (const char *const *a = fault_names; *a; a++) {
		const char *dot = strchr(*a, '.');
		ck_assert_msg(dot && dot > *a && dot[1] && !strpbrk(*a, ":,/ "), "%s", *a);
		for (const char *const *b = a + 1; *b; b++)
			ck_assert_str_ne(*a, *b);
	}
}
END_TEST

/* The preprocessor does not look into strings: a point that is not listed would never be swept. */
START_TEST(every_point_in_the_sources_is_in_the_list)
{
	char name[64];
	FILE *f = popen("cd '" SOURCE_DIR "' && grep -rhoE --include='*.c' 'fault_point\\(\"[^\"]*\"' common supervisor actors | sed 's/.*(\"//; s/\"$//'", "re");
	ck_assert_ptr_nonnull(f);
	while (fscanf(f, "%63s", name) == 1) {
		bool listed = false;
		for (const char *const *p = fault_names; *p; p++)
			listed |= !strcmp(*p, name);
		ck_assert_msg(listed, "fault_point(\"%s\") is not in fault_names", name);
	}
	ck_assert_int_eq(pclose(f), 0);
}
END_TEST

int main(void)
{
	unsetenv("TROUPE_FAULT");
	unsetenv("TROUPE_FAULT_ONCE");
	Suite *s = suite_create("fault");
	TCase *t = tcase_create("fault");
	tcase_add_test(t, without_the_variable_nothing_happens);
	tcase_add_test(t, a_point_fires_at_the_pass_that_is_named);
	tcase_add_test(t, of_several_specs_the_first_to_come_due_fires);
	tcase_add_test(t, a_spec_with_a_role_holds_only_for_that_role);
	tcase_add_test(t, a_point_fires_once_where_that_is_asked);
	tcase_add_test(t, a_spec_that_cannot_be_read_ends_the_process);
	tcase_add_test(t, names_are_unique_and_of_the_form_subject_dot_moment);
	tcase_add_test(t, every_point_in_the_sources_is_in_the_list);
	suite_add_tcase(s, t);
	return suite_run(s);
}
