/* Who reads a store with a log from outside has what was committed before: beside a dead writer, and beside one that lives. */
#include "tests/suite.h"
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/store/commit_log.h"
#include "tests/unit/store/ground.h"

#define LOG_SIZE (256u << 10)
#define RING 100u

enum { ROWS, META };
static const char *const tables[] = { "rows", "meta", NULL };
static char copy_dir[128];

static void setup(void)
{
	ground_setup();
	snprintf(copy_dir, sizeof copy_dir, "%s/copy", ground);
	ck_assert_int_eq(mkdir(copy_dir, 0700), 0);
}

static bool is_there(const char *name)
{
	return access(ground_path(name), F_OK) == 0;
}

static int copy(struct error *e)
{
	int fd = open(ground_path("copy/data.mdb"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	int r = store_copy(ground, fd, e);
	close(fd);
	return r;
}

/* Rows 1 to n are all there, each as long as its number says, and no other. */
static void assert_rows(const char *dir, uint32_t n)
{
	struct store *s = ground_look(dir, tables);
	struct store_txn *t;
	uint64_t count;
	for (uint32_t i = 1; i <= n; i++)
		ck_assert_int_eq(ground_get(s, ROWS, i), i % 50);
	ck_assert_int_eq(store_read(s, &t), 0);
	ck_assert_int_eq(store_count(t, ROWS, &count), 0);
	store_read_end(t);
	ck_assert_uint_eq(count, n);
	store_close(s);
}

static void put_number(struct store *s, uint32_t n)
{
	static const char value[50];
	ck_assert_int_eq(ground_put(s, ROWS, n, value, n % 50), 0);
}

/* --- dead ones --- */

/* A writer that was killed with so many rows in its log, behind ten that the data has. */
static int leave_rows(void *ctx, int say)
{
	const uint32_t *n = ctx;
	struct store *s = ground_open(ground, tables, LOG_SIZE);
	for (uint32_t i = 1; i <= *n; i++) {
		put_number(s, i);
		if (i == 10)
			ck_assert_int_eq(store_checkpoint(s), 0);
	}
	ground_say(say, 'x');
	for (;;)
		pause();
	return 0;
}

static void die_with(uint32_t n)
{
	int said;
	pid_t pid = ground_fork(leave_rows, &n, &said);
	ck_assert_int_eq(ground_hear(said), 'x');
	ground_kill(pid);
	close(said);
}

START_TEST(a_copy_of_a_dead_writers_store_has_what_its_log_had)
{
	struct error e = { 0 };
	die_with(40);
	ck_assert_msg(copy(&e) == 0, "%s", e.text);
	assert_rows(copy_dir, 40);
	ck_assert(!is_there("copy/" LOG_FILE));
	assert_rows(ground, 40);
}
END_TEST

START_TEST(a_store_that_is_only_read_has_what_its_dead_writer_left_in_the_log)
{
	die_with(25);
	assert_rows(ground, 25);
	assert_rows(ground, 25);
	struct store *s = ground_open(ground, tables, LOG_SIZE);
	put_number(s, 26);
	ck_assert_int_eq(store_checkpoint(s), 0);
	store_close(s);
	assert_rows(ground, 26);
}
END_TEST

START_TEST(who_opens_a_dead_writers_store_without_a_log_has_it_all_and_one_with_a_log_after_that_too)
{
	die_with(30);
	struct store *s = ground_open(ground, tables, 0);
	put_number(s, 31);
	store_close(s);
	assert_rows(ground, 31);
	s = ground_open(ground, tables, LOG_SIZE);
	put_number(s, 32);
	store_close(s);
	assert_rows(ground, 32);
}
END_TEST

START_TEST(a_damaged_log_is_an_error_of_the_copy_and_of_who_reads_also_where_its_first_record_is_the_damaged_one)
{
	struct error e = { 0 };
	size_t size;
	die_with(40);
	_cleanup_(freep) uint8_t *file = ground_read(LOG_FILE, &size);
	for (unsigned record = 0; record < 29; record += 7) { /* of the thirty behind the checkpoint */
		file[record * LOG_ALIGN + 50] ^= 1;
		ground_write(LOG_FILE, file, size);
		const struct store_config c = { .dir = ground, .tables = tables, .version = 1, .read_only = true };
		struct store *s = NULL;
		ck_assert_int_eq(copy(&e), ERROR_CORRUPT);
		ck_assert_int_eq(store_open(&c, &s, &e), ERROR_CORRUPT);
		ck_assert_ptr_nonnull(strstr(e.text, LOG_FILE " is damaged behind commit"));
		ck_assert_ptr_nonnull(strstr(e.cure, "move " LOG_FILE " away"));
		file[record * LOG_ALIGN + 50] ^= 1;
	}
	ground_write(LOG_FILE, file, size);
	assert_rows(ground, 40);
}
END_TEST

START_TEST(a_copy_of_a_store_without_a_log_is_as_before)
{
	struct error e = { 0 };
	struct store *s = ground_open(ground, tables, 0);
	put_number(s, 1);
	store_close(s);
	ck_assert_int_eq(store_settle(ground, &e), 0);
	ck_assert_int_eq(copy(&e), 0);
	ck_assert(!is_there(LOG_FILE));
	assert_rows(copy_dir, 1);
}
END_TEST

START_TEST(where_there_is_nothing_there_is_nothing_to_settle)
{
	struct error e = { 0 };
	ck_assert_int_eq(store_settle(ground_path("none"), &e), 0);
	die_with(12);
	ck_assert_int_eq(unlink(ground_path("data.mdb")), 0);
	ck_assert_int_eq(store_settle(ground, &e), 0);
	ck_assert(!is_there("data.mdb"));
}
END_TEST

/* --- living ones --- */

/* Commits for ever: the n-th one writes its number, and the row of that number among RING. Each tenth is said when it is durable. */
static int work(void *ctx, int say)
{
	(void)ctx;
	struct store *s = ground_open(ground, tables, LOG_SIZE);
	for (uint32_t n = 1;; n++) {
		struct store_txn *t;
		uint8_t key[4];
		key_u32(key, n % RING);
		ck_assert_int_eq(store_begin(s, &t), 0);
		ck_assert_int_eq(store_put(t, META, SLICE_STR("n"), SLICE(&n, sizeof n)), 0);
		ck_assert_int_eq(store_put(t, ROWS, SLICE(key, 4), SLICE(&n, sizeof n)), 0);
		ck_assert_int_eq(store_commit(t), 0);
		if (n % 10 == 0)
			ground_say(say, 'x');
		if (store_checkpoint_at(s) <= clock_mono_ms())
			ck_assert_int_eq(store_checkpoint(s), 0);
	}
	return 0;
}

/* How many tens were said until now. */
static uint32_t drain(int said)
{
	uint32_t n = 0;
	struct pollfd p = { .fd = said, .events = POLLIN };
	while (poll(&p, 1, 0) == 1 && ground_hear(said))
		n++;
	return n;
}

/* One moment of that work, which had so many commits at least. */
static void assert_work(const char *dir, uint32_t least)
{
	struct store *s = ground_look(dir, tables);
	struct store_txn *t;
	struct slice v;
	uint32_t n, m;
	ck_assert_int_eq(store_read(s, &t), 0);
	ck_assert_int_eq(store_get(t, META, SLICE_STR("n"), &v), 0);
	memcpy(&n, v.data, sizeof n);
	ck_assert_uint_ge(n, least);
	for (uint32_t i = n < RING ? 1 : n - RING + 1; i <= n; i++) {
		uint8_t key[4];
		key_u32(key, i % RING);
		ck_assert_int_eq(store_get(t, ROWS, SLICE(key, 4), &v), 0);
		memcpy(&m, v.data, sizeof m);
		ck_assert_uint_eq(m, i);
	}
	store_read_end(t);
	store_close(s);
}

START_TEST(copies_and_readers_beside_a_living_writer_have_all_that_was_committed_before_them)
{
	struct error e = { 0 };
	int said;
	pid_t pid = ground_fork(work, NULL, &said);
	uint32_t tens = ground_hear(said) == 'x';
	for (unsigned i = 0; i < 15; i++) {
		tens += drain(said);
		if (i % 3 == 2) {
			assert_work(ground, tens * 10);
			continue;
		}
		ck_assert_msg(copy(&e) == 0, "%s", e.text);
		assert_work(copy_dir, tens * 10);
	}
	ground_kill(pid);
	tens += drain(said);
	close(said);
	ck_assert_uint_gt(tens, 1);
	assert_work(ground, tens * 10);
}
END_TEST

START_TEST(a_living_writer_that_makes_no_checkpoint_is_busy_to_all_others)
{
	struct error e = { 0 };
	int said;
	uint32_t rows = 40;
	pid_t pid = ground_fork(leave_rows, &rows, &said);
	ck_assert_int_eq(ground_hear(said), 'x');
	struct store *s = NULL;
	uint64_t began = clock_mono_ms();
	ck_assert_int_eq(ground_try(ground, tables, LOG_SIZE, &s, &e), ERROR_BUSY);
	ck_assert_uint_lt(clock_mono_ms() - began, 5000);
	ck_assert_int_eq(copy(&e), ERROR_BUSY);
	ck_assert_ptr_nonnull(strstr(e.text, "another process"));
	ck_assert_uint_ge(clock_mono_ms() - began, 9000);
	ground_kill(pid);
	close(said);
	assert_rows(ground, 40);
}
END_TEST

static Suite *settle_suite(void)
{
	Suite *s = suite_create("settle");
	TCase *c = tcase_create("outsiders");
	tcase_add_checked_fixture(c, setup, ground_teardown);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, a_copy_of_a_dead_writers_store_has_what_its_log_had);
	tcase_add_test(c, a_store_that_is_only_read_has_what_its_dead_writer_left_in_the_log);
	tcase_add_test(c, who_opens_a_dead_writers_store_without_a_log_has_it_all_and_one_with_a_log_after_that_too);
	tcase_add_test(c, a_damaged_log_is_an_error_of_the_copy_and_of_who_reads_also_where_its_first_record_is_the_damaged_one);
	tcase_add_test(c, a_copy_of_a_store_without_a_log_is_as_before);
	tcase_add_test(c, where_there_is_nothing_there_is_nothing_to_settle);
	tcase_add_test(c, copies_and_readers_beside_a_living_writer_have_all_that_was_committed_before_them);
	tcase_add_test(c, a_living_writer_that_makes_no_checkpoint_is_busy_to_all_others);
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	return suite_run(settle_suite());
}
