/* Copies of a store, and reading one without the right to write. */
#include "tests/suite.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/store/store.h"

#define ROWS_OF_ONE_COMMIT 64u

enum { FIRST, SECOND, LATER };
static const char *const tables[] = { "first", "second", NULL };
static const char *const more_tables[] = { "first", "second", "later", NULL };
static char top[64], dir[96], copy_dir[96];

static void setup(void)
{
	snprintf(top, sizeof top, "/tmp/troupe-copy-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	snprintf(dir, sizeof dir, "%s/one", top);
	snprintf(copy_dir, sizeof copy_dir, "%s/two", top);
	ck_assert_int_eq(mkdir(copy_dir, 0700), 0);
}

static void teardown(void)
{
	static const char *const names[] = { "one/data.mdb", "one/lock.mdb", "two/data.mdb", "two/lock.mdb", "one", "two", "" };
	char path[128];
	for (size_t i = 0; i < ELEMENTS(names); i++) {
		snprintf(path, sizeof path, "%s/%s", top, names[i]);
		remove(path);
	}
}

static struct store *open_dir(const char *at, const char *const *names, bool read_only)
{
	struct store_config c = { .dir = at, .tables = names, .version = 1, .map_first = 1 << 20, .map_max = 1 << 28, .read_only = read_only };
	struct store *s = NULL;
	struct error e = { 0 };
	int r = store_open(&c, &s, &e);
	ck_assert_msg(r == 0, "%d %s", r, e.text);
	return s;
}

/* The n-th commit: the same number in every row of both tables. */
static void commit_number(struct store *s, uint32_t n)
{
	struct store_txn *t;
	uint8_t key[4];
	ck_assert_int_eq(store_begin(s, &t), 0);
	for (uint32_t i = 0; i < ROWS_OF_ONE_COMMIT; i++) {
		key_u32(key, i);
		ck_assert_int_eq(store_put(t, FIRST, SLICE(key, 4), SLICE(&n, sizeof n)), 0);
		ck_assert_int_eq(store_put(t, SECOND, SLICE(key, 4), SLICE(&n, sizeof n)), 0);
	}
	ck_assert_int_eq(store_commit(t), 0);
}

struct seen { uint32_t n, rows; bool same; };

static int see(void *ctx, struct slice key, struct slice value)
{
	struct seen *seen = ctx;
	uint32_t n;
	memcpy(&n, value.data, sizeof n);
	seen->same = seen->rows == 0 || (seen->same && seen->n == n);
	seen->n = n;
	seen->rows++;
	return 0;
}

/* What all rows of the store in a directory hold; they must hold the same. */
static uint32_t number_of(const char *at)
{
	struct store *s = open_dir(at, tables, true);
	struct store_txn *t;
	struct seen seen = { 0 };
	ck_assert_int_eq(store_read(s, &t), 0);
	for (unsigned table = FIRST; table <= SECOND; table++)
		ck_assert_int_eq(store_scan(t, table, SLICE(NULL, 0), false, see, &seen), 0);
	store_read_end(t);
	store_close(s);
	ck_assert(seen.same);
	ck_assert_uint_eq(seen.rows, 2 * ROWS_OF_ONE_COMMIT);
	return seen.n;
}

static int copy_into(const char *from, struct error *e)
{
	char path[128];
	snprintf(path, sizeof path, "%s/data.mdb", copy_dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	int r = store_copy(from, fd, e);
	close(fd);
	return r;
}

static bool is_there(const char *at, const char *name)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", at, name);
	return access(path, F_OK) == 0;
}

/* Runs fn in a process of its own, which says when it is at work, and then goes on until it is killed. */
static pid_t beside(void (*fn)(int said))
{
	int fds[2];
	char byte;
	ck_assert_int_eq(pipe(fds), 0);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		fn(fds[1]);
		_exit(1);
	}
	close(fds[1]);
	ck_assert_int_eq(read(fds[0], &byte, 1), 1);
	close(fds[0]);
	return pid;
}

static void end(pid_t pid)
{
	int status;
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void write_for_ever(int said)
{
	struct store *s = open_dir(dir, tables, false);
	for (uint32_t n = 2;; n++) {
		commit_number(s, n);
		if (n == 3)
			(void)!write(said, "x", 1);
	}
}

START_TEST(a_copy_beside_a_writer_shows_one_commit_and_later_ones_show_later_commits)
{
	struct error e = { 0 };
	struct store *s = open_dir(dir, tables, false);
	commit_number(s, 1);
	store_close(s);
	pid_t pid = beside(write_for_ever);
	uint32_t before = 1, n = 0;
	for (unsigned i = 0; i < 20; i++) {
		ck_assert_msg(copy_into(dir, &e) == 0, "%s", e.text);
		n = number_of(copy_dir);
		ck_assert_uint_ge(n, before);
		before = n;
	}
	ck_assert_uint_gt(n, 3);
	end(pid);
}
END_TEST

START_TEST(a_copy_that_is_opened_goes_on_from_there)
{
	struct error e = { 0 };
	struct store *s = open_dir(dir, tables, false);
	commit_number(s, 7);
	store_close(s);
	ck_assert_int_eq(copy_into(dir, &e), 0);
	s = open_dir(copy_dir, tables, false);
	commit_number(s, 8);
	store_close(s);
	ck_assert_uint_eq(number_of(copy_dir), 8);
	ck_assert_uint_eq(number_of(dir), 7);
}
END_TEST

START_TEST(what_is_only_read_stays_as_it_is)
{
	struct error e = { 0 };
	struct stat before, after;
	struct store *s = open_dir(dir, tables, false);
	struct store_txn *t;
	char path[128];
	uint64_t n = 1;
	commit_number(s, 7);
	store_close(s);
	ck_assert_int_eq(copy_into(dir, &e), 0);

	snprintf(path, sizeof path, "%s/data.mdb", copy_dir);
	ck_assert_int_eq(stat(path, &before), 0);
	s = open_dir(copy_dir, more_tables, true);
	struct slice key, value;
	ck_assert(store_has_table(s, SECOND) && !store_has_table(s, LATER));
	ck_assert_int_eq(store_read(s, &t), 0);
	ck_assert_int_eq(store_get(t, LATER, SLICE("x", 1), &value), ERROR_NOT_FOUND);
	ck_assert_int_eq(store_seek(t, LATER, SLICE(NULL, 0), false, &key, &value), ERROR_NOT_FOUND);
	ck_assert_int_eq(store_scan(t, LATER, SLICE(NULL, 0), false, see, NULL), 0);
	ck_assert_int_eq(store_count(t, LATER, &n), 0);
	ck_assert_uint_eq(n, 0);
	store_read_end(t);
	store_close(s);
	ck_assert_int_eq(stat(path, &after), 0);
	ck_assert_int_eq(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	ck_assert_int_eq(before.st_size, after.st_size);
	ck_assert(!is_there(copy_dir, "lock.mdb"));
}
END_TEST

START_TEST(where_there_is_no_store_none_is_made)
{
	struct error e = { 0 };
	struct store_config c = { .dir = dir, .tables = tables, .version = 1, .read_only = true };
	struct store *s = NULL;
	ck_assert_int_eq(store_open(&c, &s, &e), ERROR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(e.text, dir));
	ck_assert(!is_there(dir, ""));
	ck_assert_int_eq(copy_into(dir, &e), ERROR_NOT_FOUND);
}
END_TEST

static void read_for_ever(int said)
{
	struct store *s = open_dir(dir, tables, true);
	struct store_txn *t;
	ck_assert_int_eq(store_read(s, &t), 0);
	(void)!write(said, "x", 1);
	for (;;)
		pause();
}

static uint64_t used(struct store *s)
{
	struct store_usage u;
	ck_assert_int_eq(store_usage(s, &u), 0);
	return u.used_bytes;
}

START_TEST(what_a_killed_reader_kept_is_used_again)
{
	struct store *s = open_dir(dir, tables, false);
	commit_number(s, 1);
	store_close(s);
	pid_t pid = beside(read_for_ever);
	s = open_dir(dir, tables, false);
	for (uint32_t n = 2; n < 200; n++)
		commit_number(s, n);
	uint64_t pinned = used(s);
	end(pid);
	for (uint32_t n = 200; n < 200 + 1100; n++)
		commit_number(s, n);
	uint64_t settled = used(s);
	for (uint32_t n = 2000; n < 4000; n++)
		commit_number(s, n);
	ck_assert_uint_gt(pinned, 198 * 2 * 4096);
	ck_assert_uint_eq(used(s), settled);
	store_close(s);
}
END_TEST

static Suite *copy_suite(void)
{
	Suite *s = suite_create("copy");
	TCase *c = tcase_create("copy");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, a_copy_beside_a_writer_shows_one_commit_and_later_ones_show_later_commits);
	tcase_add_test(c, a_copy_that_is_opened_goes_on_from_there);
	tcase_add_test(c, what_is_only_read_stays_as_it_is);
	tcase_add_test(c, where_there_is_no_store_none_is_made);
	tcase_add_test(c, what_a_killed_reader_kept_is_used_again);
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	return suite_run(copy_suite());
}
