/* What trouped writes down: the journal's lines and windows over an unclean death, crash reports and orders in their store. */
#include "tests/suite.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "supervisor/journal.h"
#include "supervisor/record.h"

static char dir[64], path[96];

static void setup(void)
{
	snprintf(dir, sizeof dir, "/tmp/troupe-evidence-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/journal", dir);
}

static void teardown(void)
{
	static const char *const files[] = { "journal", "journal.1", "journal.damaged", "supervisor/data.mdb", "supervisor/lock.mdb" };
	char file[128];
	for (size_t i = 0; i < ELEMENTS(files); i++) {
		snprintf(file, sizeof file, "%s/%s", dir, files[i]);
		unlink(file);
	}
	snprintf(file, sizeof file, "%s/supervisor", dir);
	rmdir(file);
	rmdir(dir);
}

/* --- the journal --- */

struct seen { unsigned n; char last[256]; };

static bool see(void *ctx, const char *record)
{
	struct seen *s = ctx;
	s->n++;
	snprintf(s->last, sizeof s->last, "%s", record);
	return true;
}

static unsigned lines(const char *file, int want)
{
	struct seen s = { 0 };
	ck_assert_int_eq(journal_each(file, see, &s, NULL), want);
	return s.n;
}

static struct tree *one_child(void)
{
	const struct tree_config config = { .seed = 1 };
	struct tree *t = tree_new(&config);
	struct child *root, *c;
	const struct give_up_spec never = { .intensity = INTENSITY_UNLIMITED, .period_ms = 1000 };
	struct child_spec spec = { .type = CHILD_SUPERVISOR, .shutdown_ms = 1000, .delay = { .factor_pct = 200, .cap_ms = 1000 }, .give_up = never };
	struct supervisor_spec sup = { .give_up = { .intensity = 5, .period_ms = 60000 } };
	ck_assert_int_eq(tree_add(t, NULL, "root", &spec, &sup, NULL, &root), 0);
	spec.type = CHILD_WORKER;
	spec.give_up = (struct give_up_spec){ .intensity = 5, .period_ms = 60000 };
	ck_assert_int_eq(tree_add(t, root, "child", &spec, NULL, NULL, &c), 0);
	return t;
}

static unsigned windows_of(const struct tree *t)
{
	struct window_cursor cursor = { 0 };
	struct window_entry w;
	unsigned n = 0;
	while (tree_windows_save(t, &cursor, &w))
		n++;
	return n;
}

static void write_life(uint64_t boot_wall_ms, const char *const *records)
{
	struct journal *j;
	ck_assert_int_eq(journal_open(dir, &j), 0);
	journal_add(j, "boot %llu %d 1 1", (unsigned long long)boot_wall_ms, 1000);
	for (; *records; records++)
		journal_add(j, "%s", *records);
	ck_assert_int_eq(journal_flush(j, NULL), 0);
	journal_close(j);
}
#define LIFE(wall, ...) write_life((wall), (const char *const[]){ __VA_ARGS__, NULL })

START_TEST(what_was_flushed_is_read_line_by_line)
{
	LIFE(5000000, "end 2000 7 killed 9 now child", "window 2000 own 0 1 child");
	struct seen s = { 0 };
	ck_assert_int_eq(journal_each(path, see, &s, NULL), 0);
	ck_assert_uint_eq(s.n, 3);
	ck_assert_str_eq(s.last, "window 2000 own 0 1 child");
}
END_TEST

START_TEST(a_killed_supervisors_windows_come_back_and_a_clean_ones_do_not)
{
	struct tree *t = one_child();
	LIFE(5000000, "window 2000 own 0 1 child", "window 2500 own 0 1 child");
	ck_assert_uint_eq(journal_restore(dir, t, 3000, 5002000), 2);
	ck_assert_uint_eq(windows_of(t), 2);
	tree_free(t);

	t = one_child();
	LIFE(5002000, "window 2600 own 0 1 child", "clean");
	ck_assert_uint_eq(journal_restore(dir, t, 3000, 5002000), 0);
	tree_free(t);
}
END_TEST

START_TEST(a_time_counts_as_often_as_it_stood_there_however_often_that_was_written)
{
	struct tree *t = one_child();
	struct journal *j;
	LIFE(5000000, "window 2000 own 0 1 child", "window 2000 own 0 2 child", "window 2000 own 0 3 child");
	for (uint64_t life = 0; life < 3; life++) { /* each begins with what the one before had */
		tree_free(t);
		t = one_child();
		ck_assert_uint_eq(journal_restore(dir, t, 3000 + life, 5002000 + life), 3);
		ck_assert_int_eq(journal_open(dir, &j), 0);
		journal_boot(j, 5002000 + life, 3000 + life, 1, 1, t);
		journal_close(j);
	}
	ck_assert_uint_eq(windows_of(t), 3);
	tree_free(t);
}
END_TEST

START_TEST(an_order_forgets_the_windows_of_its_child)
{
	struct tree *t = one_child();
	LIFE(5000000, "window 2000 own 0 1 child", "forget child", "window 2500 own 0 1 child");
	ck_assert_uint_eq(journal_restore(dir, t, 3000, 5002000), 1);
	tree_free(t);
}
END_TEST

START_TEST(times_of_another_boot_of_the_machine_mean_nothing)
{
	struct tree *t = one_child();
	LIFE(5000000, "window 2000 own 0 1 child");
	ck_assert_uint_eq(journal_restore(dir, t, 3000, 9002000), 0);
	LIFE(9000000, "window 2100 own 0 1 child");
	ck_assert_uint_eq(journal_restore(dir, t, 3000, 9002000), 1);
	tree_free(t);
}
END_TEST

START_TEST(a_line_that_was_cut_off_goes_and_what_follows_is_read_again)
{
	struct stat st;
	struct tree *t = one_child();
	LIFE(5000000, "window 2000 own 0 1 child", "window 2500 own 0 1 child");
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(truncate(path, st.st_size - 5), 0);
	ck_assert_uint_eq(lines(path, ERROR_CORRUPT), 2);
	LIFE(5000500, "window 2700 own 0 1 child");
	ck_assert_uint_eq(lines(path, 0), 4);
	ck_assert_uint_eq(journal_restore(dir, t, 3000, 5002000), 1);
	tree_free(t);
}
END_TEST

START_TEST(a_damaged_line_puts_the_file_aside)
{
	char *text, damaged[128];
	size_t len;
	LIFE(5000000, "window 2000 own 0 1 child", "window 2500 own 0 1 child");
	ck_assert_int_eq(file_read_all(path, 4096, &text, &len), 0);
	char *at = strstr(text, "2000");
	ck_assert_ptr_nonnull(at);
	*at = '9';
	FILE *f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(text, 1, len, f), len);
	fclose(f);
	free(text);
	LIFE(5000500, "window 2700 own 0 1 child");
	ck_assert_uint_eq(lines(path, 0), 2);
	snprintf(damaged, sizeof damaged, "%s.damaged", path);
	ck_assert_uint_eq(lines(damaged, ERROR_CORRUPT), 1);
}
END_TEST

START_TEST(a_full_journal_begins_anew_with_the_windows_that_still_count)
{
	struct journal *j;
	struct stat st;
	struct tree *t = one_child();
	const struct window_entry w = { "child", WINDOW_OWN, 2000, 0 };
	char old[128];
	tree_windows_load(t, &w);
	ck_assert_int_eq(journal_open(dir, &j), 0);
	journal_boot(j, 5001000, 2000, 1, 1, t);
	for (int i = 0; i < 60000; i++) {
		journal_add(j, "said %d 7 killed 9 now a-child-with-a-name-of-some-length-so-that-this-line-is-long", i);
		if (i % 100 == 0)
			ck_assert_int_eq(journal_flush(j, t), 0);
	}
	journal_close(j);
	snprintf(old, sizeof old, "%s.1", path);
	ck_assert_int_eq(stat(old, &st), 0);
	ck_assert_int_le(st.st_size, JOURNAL_MAX + 16 * 1024);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_lt(st.st_size, JOURNAL_MAX);
	struct tree *next = one_child();
	ck_assert_uint_eq(journal_restore(dir, next, 3000, 5002000), 1);
	ck_assert_uint_eq(windows_of(next), 1);
	tree_free(next);
	tree_free(t);
}
END_TEST

/* --- the store --- */

static struct record *record;
static struct arena *arena;

static void open_record(void)
{
	char sub[96];
	snprintf(sub, sizeof sub, "%s/supervisor", dir);
	arena = arena_new(16u << 20);
	record = record_open(sub, 0);
	ck_assert_ptr_nonnull(record);
	ck_assert_ptr_null(record_alarm(record));
}

static void close_record(void)
{
	record = record_close(record, 0);
	arena_unref(arena);
}

static uint64_t crash(const char *address)
{
	Troupe__Crash c = TROUPE__CRASH__INIT;
	c.address = (char *)address;
	c.signal = 11;
	return record_crash(record, &c);
}

static const Troupe__Crashes *ask(const char *address, uint64_t before, uint64_t id, int want)
{
	static Troupe__Crashes out;
	Troupe__CrashAsk q = TROUPE__CRASH_ASK__INIT;
	troupe__crashes__init(&out);
	q.address = (char *)address;
	q.before = before;
	q.id = id;
	ck_assert_int_eq(record_crashes(record, &q, arena, &out), want);
	return &out;
}

START_TEST(reports_are_there_before_they_are_written_and_after_the_supervisor_is_gone)
{
	open_record();
	uint64_t first = crash("worker:a/1"), second = crash("worker:b/1");
	ck_assert_uint_gt(second, first);
	ck_assert_uint_eq(ask("", 0, 0, 0)->n_crashes, 2);
	close_record();
	open_record();
	const Troupe__Crashes *all = ask("", 0, 0, 0);
	ck_assert_uint_eq(all->n_crashes, 2);
	ck_assert_uint_eq(all->crashes[0]->id, second); /* newest first */
	ck_assert_str_eq(ask("worker:a/1", 0, 0, 0)->crashes[0]->address, "worker:a/1");
	ck_assert_int_eq(ask("", 0, first, 0)->crashes[0]->signal, 11);
	ask("", 0, 4711, ERROR_NOT_FOUND);
	ck_assert_uint_gt(crash("worker:a/1"), second);
	close_record();
}
END_TEST

START_TEST(the_newest_thousand_are_kept_and_read_in_pages)
{
	open_record();
	uint64_t now_ms = 0, last = 0;
	for (int i = 0; i < 1200; i++) {
		last = crash("worker:a/1");
		if (i % 50 == 49) {
			record_tick(record, now_ms);
			record_tick(record, now_ms += 5000);
		}
	}
	unsigned n = 0;
	uint64_t before = 0, oldest = 0;
	do {
		const Troupe__Crashes *page = ask("", before, 0, 0);
		n += (unsigned)page->n_crashes;
		if (page->n_crashes)
			oldest = page->crashes[page->n_crashes - 1]->id;
		before = page->next;
	} while (before);
	ck_assert_uint_le(n, RECORD_CRASHES_MAX + 1);
	ck_assert_uint_ge(n, RECORD_CRASHES_MAX - 1);
	ck_assert_uint_ge(oldest, last - RECORD_CRASHES_MAX);
	close_record();
}
END_TEST

START_TEST(more_reports_than_wait_are_dropped_and_that_is_said)
{
	open_record();
	for (unsigned i = 0; i < RECORD_WAITING_MAX + 5; i++)
		crash("worker:a/1");
	ck_assert_ptr_nonnull(record_alarm(record));
	close_record();
}
END_TEST

static unsigned n_orders;
static void count_order(void *ctx, const char *name)
{
	n_orders++;
	ck_assert_str_eq(name, "worker:a/1");
}

START_TEST(an_order_to_stay_stopped_outlives_the_supervisor_until_it_is_taken_back)
{
	struct error e = { 0 };
	open_record();
	ck_assert_int_eq(record_order(record, "worker:a/1", RECORD_STOPPED, &e), 0);
	close_record();
	open_record();
	record_orders(record, count_order, NULL);
	ck_assert_uint_eq(n_orders, 1);
	ck_assert_int_eq(record_order(record, "worker:a/1", RECORD_STARTED, &e), 0);
	ck_assert_int_eq(record_order(record, "never stopped", RECORD_STARTED, &e), 0);
	n_orders = 0;
	record_orders(record, count_order, NULL);
	ck_assert_uint_eq(n_orders, 0);
	close_record();
}
END_TEST

START_TEST(a_disk_that_fails_stops_nobody_is_said_and_is_tried_again)
{
	char sub[96];
	struct error e = { 0 };
	snprintf(sub, sizeof sub, "%s/supervisor", dir);
	FILE *f = fopen(sub, "we"); /* a file where the directory should be */
	fclose(f);
	arena = arena_new(16u << 20);
	record = record_open(sub, 0);
	ck_assert_ptr_nonnull(record);
	ck_assert_ptr_nonnull(record_alarm(record));
	crash("worker:a/1");
	ck_assert_uint_eq(ask("", 0, 0, 0)->n_crashes, 1);
	ck_assert_int_eq(record_order(record, "worker:a/1", RECORD_STOPPED, &e), ERROR_STORE);
	unlink(sub);
	record_tick(record, record_tick(record, 1000));
	ck_assert_ptr_null(record_alarm(record));
	close_record();
	open_record();
	ck_assert_uint_eq(ask("", 0, 0, 0)->n_crashes, 1);
	close_record();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("evidence");
	TCase *c = tcase_create("evidence");
	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, what_was_flushed_is_read_line_by_line);
	tcase_add_test(c, a_killed_supervisors_windows_come_back_and_a_clean_ones_do_not);
	tcase_add_test(c, a_time_counts_as_often_as_it_stood_there_however_often_that_was_written);
	tcase_add_test(c, an_order_forgets_the_windows_of_its_child);
	tcase_add_test(c, times_of_another_boot_of_the_machine_mean_nothing);
	tcase_add_test(c, a_line_that_was_cut_off_goes_and_what_follows_is_read_again);
	tcase_add_test(c, a_damaged_line_puts_the_file_aside);
	tcase_add_test(c, a_full_journal_begins_anew_with_the_windows_that_still_count);
	tcase_add_test(c, reports_are_there_before_they_are_written_and_after_the_supervisor_is_gone);
	tcase_add_test(c, the_newest_thousand_are_kept_and_read_in_pages);
	tcase_add_test(c, more_reports_than_wait_are_dropped_and_that_is_said);
	tcase_add_test(c, an_order_to_stay_stopped_outlives_the_supervisor_until_it_is_taken_back);
	tcase_add_test(c, a_disk_that_fails_stops_nobody_is_said_and_is_tried_again);
	suite_add_tcase(s, c);
	return suite_run(s);
}
