/* Files, directories and locks, in a private directory. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "tests/suite.h"

static char dir[] = "/tmp/troupe-file-XXXXXX";

static void given_directory(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chdir(dir), 0);
}

static void remove_directory(void)
{
	char command[64];
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(what_is_written_is_read_back)
{
	_cleanup_(closep) int fd = open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(file_write_all(fd, "a\0b", 3), 0);
	ck_assert_int_eq(file_write_all(fd, "", 0), 0);
	_cleanup_(freep) char *data = NULL;
	size_t len;
	ck_assert_int_eq(file_read_all("f", 3, &data, &len), 0);
	ck_assert_uint_eq(len, 3);
	ck_assert(!memcmp(data, "a\0b", 4));
}
END_TEST

START_TEST(what_is_written_at_a_place_stands_there_and_half_of_it_is_an_error)
{
	_cleanup_(closep) int fd = open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char seen[8];
	ck_assert_int_eq(file_write_at(fd, 2, "cdef", 4), 0);
	ck_assert_int_eq(file_write_at(fd, 0, "ab", 2), 0);
	ck_assert_int_eq(file_write_at(fd, 100, "", 0), 0);
	ck_assert_int_eq(pread(fd, seen, sizeof seen, 0), 6);
	ck_assert_mem_eq(seen, "abcdef", 6);
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 7, 7 }), 0);
	ck_assert_int_eq(file_write_at(fd, 4, "EFGH", 4), -EFBIG); /* the kernel took three of them */
	ck_assert_int_eq(pread(fd, seen, sizeof seen, 0), 7);
	ck_assert_mem_eq(seen, "abcdEFG", 7);
	ck_assert_int_eq(file_write_at(-1, 0, "x", 1), -EBADF);
}
END_TEST

START_TEST(a_file_over_the_limit_is_refused_even_if_its_size_is_unknown)
{
	char *data = NULL;
	size_t len = 7;
	_cleanup_(closep) int fd = open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	file_write_all(fd, "abcd", 4);
	ck_assert_int_eq(file_read_all("f", 3, &data, &len), ERROR_TOO_LARGE);
	/* /proc says 0 bytes, /dev/zero never ends */
	ck_assert_int_eq(file_read_all("/proc/self/status", 10, &data, &len), ERROR_TOO_LARGE);
	ck_assert_int_eq(file_read_all("/dev/zero", 100000, &data, &len), ERROR_TOO_LARGE);
	ck_assert_ptr_null(data);
	ck_assert_uint_eq(len, 7);
	ck_assert_int_eq(file_read_all("/proc/self/status", 1 << 20, &data, &len), 0);
	ck_assert_uint_eq(strlen(data), len);
	ck_assert_uint_gt(len, 100);
	free(data);
}
END_TEST

START_TEST(files_that_cannot_be_read_say_why)
{
	char *data;
	size_t len;
	ck_assert_int_eq(file_read_all("missing", 10, &data, &len), -ENOENT);
	ck_assert_int_eq(file_read_all(".", 10, &data, &len), -EISDIR);
	ck_assert_int_eq(file_write_all(-1, "x", 1), -EBADF);
	ck_assert_int_eq(file_fsync_dir("missing"), -ENOENT);
	ck_assert_int_eq(file_fsync_dir("."), 0);
}
END_TEST

START_TEST(an_empty_file_is_an_empty_text)
{
	char *data;
	size_t len;
	close(open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	ck_assert_int_eq(file_read_all("f", 0, &data, &len), 0);
	ck_assert_uint_eq(len, 0);
	ck_assert_str_eq(data, "");
	free(data);
}
END_TEST

static mode_t mode_of(const char *path)
{
	struct stat st;
	return stat(path, &st) ? 0 : st.st_mode;
}

START_TEST(missing_directories_are_made_and_present_ones_are_left)
{
	struct error e;
	ck_assert_int_eq(file_mkdir_p("a//b/c/", 0700, &e), 0);
	ck_assert_uint_eq(mode_of("a/b/c"), S_IFDIR | 0700);
	ck_assert_int_eq(file_mkdir_p("a/b/c/d", 0750, &e), 0);
	ck_assert_uint_eq(mode_of("a/b/c"), S_IFDIR | 0700);
	ck_assert_uint_eq(mode_of("a/b/c/d") & 0777, 0750 & ~022);
	ck_assert_int_eq(file_mkdir_p("a/b", 0700, &e), 0);
	ck_assert_int_eq(file_mkdir_p("/", 0700, &e), 0);

	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/x/y", dir);
	ck_assert_int_eq(file_mkdir_p(path, 0700, &e), 0);
	ck_assert_uint_eq(mode_of("x/y"), S_IFDIR | 0700);
}
END_TEST

START_TEST(a_file_in_the_way_is_named)
{
	struct error e;
	close(open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	ck_assert_int_eq(file_mkdir_p("f", 0700, &e), ERROR_EXISTS);
	ck_assert_ptr_nonnull(strstr(e.text, "f is in the way"));
	ck_assert_int_gt(file_mkdir_p("f/g", 0700, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.text, "f"));
	ck_assert_int_eq(file_mkdir_p("", 0700, &e), ERROR_BAD_REQUEST);

	static char path[PATH_MAX + 10];
	memset(path, 'x', sizeof(path) - 1);
	ck_assert_int_eq(file_mkdir_p(path, 0700, &e), ERROR_TOO_LARGE);
}
END_TEST

START_TEST(of_two_only_one_has_the_lock_and_the_other_learns_who)
{
	int fd = -1, other = -1;
	pid_t owner = 7;
	ck_assert_int_eq(file_lock("lock", &fd, &owner), 0);
	ck_assert_int_eq(owner, 7);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);

	/* open file description locks exclude within one process too */
	ck_assert_int_eq(file_lock("lock", &other, &owner), ERROR_EXISTS);
	ck_assert_int_eq(owner, getpid());
	ck_assert_int_eq(other, -1);

	close(fd);
	ck_assert_int_eq(file_lock("lock", &other, &owner), 0);
	close(other);
}
END_TEST

START_TEST(the_lock_of_a_killed_holder_is_free)
{
	int ready[2];
	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	pid_t child = fork();
	if (child == 0) {
		int fd;
		pid_t owner;
		if (file_lock("lock", &fd, &owner) == 0)
			file_write_all(ready[1], "x", 1);
		pause();
		_exit(0);
	}
	char c;
	ck_assert_int_eq(read(ready[0], &c, 1), 1);

	int fd;
	pid_t owner;
	ck_assert_int_eq(file_lock("lock", &fd, &owner), ERROR_EXISTS);
	ck_assert_int_eq(owner, child);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	ck_assert_int_eq(file_lock("lock", &fd, &owner), 0);
	close(fd);
}
END_TEST

START_TEST(a_new_holder_leaves_nothing_of_the_old_one)
{
	int fd = open("lock", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	file_write_all(fd, "1234567890123456\nmore\n", 22);
	close(fd);
	pid_t owner;
	ck_assert_int_eq(file_lock("lock", &fd, &owner), 0);

	char *data, expected[24];
	size_t len;
	snprintf(expected, sizeof(expected), "%d\n", (int)getpid());
	ck_assert_int_eq(file_read_all("lock", 100, &data, &len), 0);
	ck_assert_str_eq(data, expected);
	free(data);
	close(fd);
}
END_TEST

START_TEST(garbage_in_a_lock_file_is_no_owner)
{
	static const char *const texts[] = { "", "x", "-4\n", "0\n", "99999999999999999999\n", "12" };
	for (size_t i = 0; i < ELEMENTS(texts); i++) {
		int fd = -1, other;
		pid_t owner = 7;
		ck_assert_int_eq(file_lock("lock", &fd, &owner), 0);
		ck_assert_int_eq(ftruncate(fd, 0), 0);
		ck_assert_int_eq(pwrite(fd, texts[i], strlen(texts[i]), 0), (ssize_t)strlen(texts[i]));
		ck_assert_int_eq(file_lock("lock", &other, &owner), ERROR_EXISTS);
		ck_assert_int_eq(owner, 0);
		close(fd);
	}
}
END_TEST

START_TEST(a_lock_file_is_no_way_to_overwrite_another)
{
	int fd = -1;
	pid_t owner;
	ck_assert_int_eq(symlink("target", "lock"), 0);
	ck_assert_int_eq(file_lock("lock", &fd, &owner), -ELOOP);
	ck_assert_int_eq(file_lock("none/lock", &fd, &owner), -ENOENT);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("file");
	TCase *t = tcase_create("file");
	tcase_add_checked_fixture(t, given_directory, remove_directory);
	tcase_add_test(t, what_is_written_is_read_back);
	tcase_add_test(t, what_is_written_at_a_place_stands_there_and_half_of_it_is_an_error);
	tcase_add_test(t, a_file_over_the_limit_is_refused_even_if_its_size_is_unknown);
	tcase_add_test(t, files_that_cannot_be_read_say_why);
	tcase_add_test(t, an_empty_file_is_an_empty_text);
	tcase_add_test(t, missing_directories_are_made_and_present_ones_are_left);
	tcase_add_test(t, a_file_in_the_way_is_named);
	tcase_add_test(t, of_two_only_one_has_the_lock_and_the_other_learns_who);
	tcase_add_test(t, the_lock_of_a_killed_holder_is_free);
	tcase_add_test(t, a_new_holder_leaves_nothing_of_the_old_one);
	tcase_add_test(t, garbage_in_a_lock_file_is_no_owner);
	tcase_add_test(t, a_lock_file_is_no_way_to_overwrite_another);
	suite_add_tcase(s, t);
	return suite_run(s);
}
