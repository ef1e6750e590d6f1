/* A store with a log on a disk that fails, and on one that is full. */
#include "tests/suite.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/store/commit_log.h"
#include "tests/unit/store/ground.h"

#define LOG_SIZE (64u << 10)
#define LOG_PAGES (LOG_SIZE / LOG_ALIGN)

static const char *const tables[] = { "rows", NULL };

/* --- the calls of commit_log.c, wrapped by the linker; LMDB's are its own --- */

enum fault { NONE, SYNC_FAILS, WRITE_FAILS, WRITE_FAILS_IN_THE_MIDDLE, WRITE_IS_INTERRUPTED, MAP_FAILS, N_FAULTS };
static enum fault fault;
static unsigned calls; /* that failed or were cut */

int __wrap_fdatasync(int fd);
int __real_fdatasync(int fd);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t n, off_t at);
ssize_t __real_pwrite64(int fd, const void *data, size_t n, off_t at);

int __wrap_fdatasync(int fd)
{
	if (fault != SYNC_FAILS)
		return __real_fdatasync(fd);
	calls++;
	errno = EIO;
	return -1;
}

void *__wrap_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t from);
void *__real_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t from);

void *__wrap_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t from)
{
	if (fault != MAP_FAILS)
		return __real_mmap64(at, len, prot, flags, fd, from);
	errno = ENOMEM;
	return MAP_FAILED;
}

ssize_t __wrap_pwrite64(int fd, const void *data, size_t n, off_t at)
{
	if (fault != WRITE_FAILS && fault != WRITE_FAILS_IN_THE_MIDDLE && fault != WRITE_IS_INTERRUPTED)
		return __real_pwrite64(fd, data, n, at);
	bool part = calls++ % 2 == 0;
	if (fault == WRITE_IS_INTERRUPTED && part) {
		errno = EINTR;
		return -1;
	}
	if (fault == WRITE_IS_INTERRUPTED || (fault == WRITE_FAILS_IN_THE_MIDDLE && part))
		return __real_pwrite64(fd, data, n < 700 ? n : 700, at);
	errno = EIO;
	return -1;
}

static void assert_rows(struct store *s, uint32_t n, size_t len)
{
	for (uint32_t i = 0; i < n; i++)
		ck_assert_int_eq(ground_get(s, 0, i), (long)len);
}

START_TEST(a_log_that_cannot_be_written_or_synced_is_the_end_of_this_store_object_and_of_nothing_else)
{
	static char value[9000];
	struct store_txn *t;
	memset(value, 'v', sizeof value); /* half of it is not the whole */
	struct store *s = ground_open(ground, tables, LOG_SIZE);
	for (uint32_t n = 0; n < 3; n++)
		ck_assert_int_eq(ground_put(s, 0, n, value, sizeof value), 0);
	fault = (enum fault)_i;
	ck_assert_int_eq(ground_put(s, 0, 3, value, sizeof value), -EIO);
	ck_assert_uint_gt(calls, 0);
	fault = NONE; /* it stays dead, and also says so to who reads */
	ck_assert_int_eq(store_begin(s, &t), -EIO);
	ck_assert_int_eq(store_read(s, &t), -EIO);
	ck_assert_int_eq(store_checkpoint(s), -EIO);
	ck_assert_uint_eq(store_checkpoint_at(s), UINT64_MAX);
	store_close(s);

	s = ground_open(ground, tables, LOG_SIZE);
	assert_rows(s, 3, sizeof value);
	ck_assert_int_eq(ground_get(s, 0, 3), _i == SYNC_FAILS ? (long)sizeof value : -1); /* written it was */
	ck_assert_int_eq(ground_put(s, 0, 3, value, sizeof value), 0);
	store_close(s);
	s = ground_open(ground, tables, LOG_SIZE);
	assert_rows(s, 4, sizeof value);
	store_close(s);
}
END_TEST

START_TEST(a_write_that_is_interrupted_and_cut_is_gone_on_with)
{
	static char value[9000];
	memset(value, 'v', sizeof value);
	struct store *s = ground_open(ground, tables, LOG_SIZE);
	fault = WRITE_IS_INTERRUPTED;
	for (uint32_t n = 0; n < 3; n++)
		ck_assert_int_eq(ground_put(s, 0, n, value, sizeof value), 0);
	ck_assert_uint_gt(calls, 20);
	store_close(s);
	calls = 0;
	s = ground_open(ground, tables, LOG_SIZE); /* writes it again */
	ck_assert_uint_gt(calls, 20);
	fault = NONE;
	assert_rows(s, 3, sizeof value);
	store_close(s);
}
END_TEST

START_TEST(a_log_that_cannot_be_made_durable_again_is_not_opened_and_nothing_of_it_is_lost)
{
	struct store *s = ground_open(ground, tables, LOG_SIZE);
	struct error e = { 0 };
	for (uint32_t n = 0; n < 3; n++)
		ck_assert_int_eq(ground_put(s, 0, n, "row", 3), 0);
	store_close(s);
	fault = SYNC_FAILS;
	ck_assert_int_eq(ground_try(ground, tables, LOG_SIZE, &s, &e), -EIO);
	ck_assert(*e.text);
	fault = NONE;
	s = ground_open(ground, tables, LOG_SIZE);
	assert_rows(s, 3, 3);
	store_close(s);
}
END_TEST

START_TEST(an_abort_writes_and_syncs_nothing)
{
	struct store *s = ground_open(ground, tables, LOG_SIZE);
	struct store_txn *t;
	ck_assert_int_eq(ground_put(s, 0, 0, "row", 3), 0);
	ck_assert_int_eq(store_begin(s, &t), 0);
	ck_assert_int_eq(store_put(t, 0, SLICE_STR("never"), SLICE_STR("x")), 0);
	calls = 0;
	fault = SYNC_FAILS;
	store_abort(t);
	fault = NONE;
	ck_assert_uint_eq(calls, 0);
	assert_rows(s, 1, 3);
	ck_assert_int_eq(ground_put(s, 0, 1, "row", 3), 0);
	store_close(s);
}
END_TEST

START_TEST(an_abort_that_cannot_read_the_log_back_is_the_end_of_the_store_object)
{
	struct store *s = ground_open(ground, tables, LOG_SIZE);
	struct store_txn *t;
	ck_assert_int_eq(ground_put(s, 0, 0, "row", 3), 0);
	ck_assert_int_eq(store_begin(s, &t), 0);
	ck_assert_int_eq(store_put(t, 0, SLICE_STR("never"), SLICE_STR("x")), 0);
	fault = MAP_FAILS;
	store_abort(t);
	fault = NONE;
	ck_assert_int_eq(store_begin(s, &t), -EIO);
	store_close(s);
	s = ground_open(ground, tables, LOG_SIZE);
	assert_rows(s, 1, 3);
	store_close(s);
}
END_TEST

/* --- a full disk --- */

/* A file system of that size in a name space of our own. false: this process may not. */
static bool small_disk(const char *options)
{
	ck_assert_int_eq(mkdir(ground_path("disk"), 0700), 0);
	return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", ground_path("disk"), "tmpfs", 0, options) == 0;
}

static void teardown(void)
{
	umount2(ground_path("disk"), MNT_DETACH);
	ground_teardown();
}

/* Until nothing fits any more. */
static void fill_disk(void)
{
	static const char zeros[4096];
	int fd = open(ground_path("disk/full"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	while (write(fd, zeros, sizeof zeros) == sizeof zeros)
		continue;
	ck_assert_int_eq(errno, ENOSPC);
	close(fd);
}

static struct store *open_on_disk(void)
{
	static char dir[128];
	snprintf(dir, sizeof dir, "%s", ground_path("disk/store"));
	return ground_open(dir, tables, LOG_SIZE);
}

START_TEST(a_disk_that_is_full_at_the_checkpoint_loses_nothing_and_it_works_when_there_is_room)
{
	static const char value[1000];
	if (!small_disk("size=2m"))
		return;
	struct store *s = open_on_disk();
	fill_disk();
	uint32_t n = 0;
	while (store_checkpoint_at(s) > 0) /* the log has its room already */
		ck_assert_int_eq(ground_put(s, 0, n++, value, sizeof value), 0);
	ck_assert_uint_gt(n, LOG_PAGES / 2);
	ck_assert_int_eq(store_checkpoint(s), ERROR_STORE);
	assert_rows(s, n, sizeof value);
	uint64_t now = clock_mono_ms(); /* not at once again, although the log is nearly full */
	ck_assert_uint_gt(store_checkpoint_at(s), now);
	ck_assert_uint_le(store_checkpoint_at(s), now + 5000);
	while (ground_put(s, 0, n, value, sizeof value) == 0)
		n++;
	ck_assert_uint_eq(n, LOG_PAGES);
	assert_rows(s, n, sizeof value);
	ck_assert_int_eq(ground_get(s, 0, n), -1);
	store_close(s);

	s = open_on_disk();
	assert_rows(s, n, sizeof value);
	ck_assert_int_eq(store_checkpoint(s), ERROR_STORE);
	ck_assert_int_eq(unlink(ground_path("disk/full")), 0);
	ck_assert_int_eq(store_checkpoint(s), 0);
	ck_assert_int_eq(ground_put(s, 0, n++, value, sizeof value), 0);
	assert_rows(s, n, sizeof value);
	store_close(s);
	s = open_on_disk();
	assert_rows(s, n, sizeof value);
	store_close(s);
}
END_TEST

START_TEST(a_disk_without_room_for_a_log_refuses_the_store_and_leaves_no_half_of_one)
{
	struct store *s = NULL;
	struct error e = { 0 };
	if (!small_disk("size=128k"))
		return;
	ck_assert_int_ne(ground_try(ground_path("disk/store"), tables, 1 << 20, &s, &e), 0);
	ck_assert(*e.text);
	ck_assert_int_ne(access(ground_path("disk/store/" LOG_FILE), F_OK), 0);
	ck_assert_int_eq(mount("none", ground_path("disk"), "tmpfs", MS_REMOUNT, "size=8m"), 0);
	s = open_on_disk();
	ck_assert_int_eq(ground_put(s, 0, 1, "row", 3), 0);
	store_close(s);
}
END_TEST

static Suite *disk_suite(void)
{
	Suite *s = suite_create("ahead on a bad disk");
	TCase *c = tcase_create("disk");
	tcase_add_checked_fixture(c, ground_setup, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, a_log_that_cannot_be_written_or_synced_is_the_end_of_this_store_object_and_of_nothing_else, SYNC_FAILS, WRITE_IS_INTERRUPTED);
	tcase_add_test(c, a_write_that_is_interrupted_and_cut_is_gone_on_with);
	tcase_add_test(c, a_log_that_cannot_be_made_durable_again_is_not_opened_and_nothing_of_it_is_lost);
	tcase_add_test(c, an_abort_writes_and_syncs_nothing);
	tcase_add_test(c, an_abort_that_cannot_read_the_log_back_is_the_end_of_the_store_object);
	tcase_add_test(c, a_disk_that_is_full_at_the_checkpoint_loses_nothing_and_it_works_when_there_is_room);
	tcase_add_test(c, a_disk_without_room_for_a_log_refuses_the_store_and_leaves_no_half_of_one);
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	return suite_run(disk_suite());
}
