/* A turn whose commit is on its way, and the one that is made meanwhile: what the second reads, and what reaches the disk. On a real store, with the real thread. */
#include "tests/suite.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/actor/internal.h"

static const char *const tables[] = { "rows", NULL };
static char dir[64];
static struct actor a;
static struct turn first, second;
static struct id_maker ids;

static void setup(void)
{
	struct error e;
	struct store_config c = { .dir = dir, .tables = tables, .version = 1, .map_first = 1u << 20, .map_max = 4u << 20 };
	snprintf(dir, sizeof dir, "/tmp/troupe-flight-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	a = (struct actor){ 0 };
	ck_assert_int_eq(store_open(&c, &a.store, &e), 0);
	ck_assert_int_eq(loop_open(&a.loop), 0);
	ck_assert_int_eq(flight_open(&a.flight, &a), 0);
	id_maker_init(&ids, 1);
	ck_assert_int_eq(turn_init(&first, a.store, &ids, 1, 1, 1), 0);
	ck_assert_int_eq(turn_init(&second, a.store, &ids, 1, 1, 1), 0);
	first.actor = second.actor = &a;
}

static void teardown(void)
{
	char path[96];
	a.flight = flight_close(a.flight);
	turn_fini(&first);
	turn_fini(&second);
	a.store = store_close(a.store);
	a.loop = loop_close(a.loop);
	snprintf(path, sizeof path, "%s/data.mdb", dir);
	unlink(path);
	snprintf(path, sizeof path, "%s/lock.mdb", dir);
	unlink(path);
	rmdir(dir);
}

static void put(struct turn *t, const char *key, const char *value)
{
	ck_assert_int_eq(turn_put(t, 0, SLICE_STR(key), SLICE_STR(value)), 0);
	ck_assert_int_eq(turn_message_apply(t), 0);
}

static void delete(struct turn *t, const char *key)
{
	ck_assert_int_eq(turn_delete(t, 0, SLICE_STR(key)), 0);
	ck_assert_int_eq(turn_message_apply(t), 0);
}

static void has(struct turn *t, const char *key, const char *want)
{
	struct slice v = { 0 };
	ck_assert_int_eq(turn_get(t, 0, SLICE_STR(key), &v), want ? 0 : ERROR_NOT_FOUND);
	if (want) {
		ck_assert_uint_eq(v.len, strlen(want));
		ck_assert_mem_eq(v.data, want, v.len);
	}
}

static void take_off(void)
{
	second.below = &first;
	flight_start(a.flight, &first, NULL, NULL);
}

static int land(void)
{
	struct turn *t;
	struct mail *mails;
	struct event *events;
	uint64_t us;
	int r = flight_land(a.flight, &t, &mails, &events, &us);
	ck_assert_ptr_eq(t, &first);
	turn_landed(&second);
	turn_end(&first);
	return r;
}

static size_t rows(struct turn *t)
{
	uint64_t n;
	struct store_txn *view = turn_view(t);
	ck_assert_ptr_nonnull(view);
	ck_assert_int_eq(store_count(view, 0, &n), 0);
	return (size_t)n;
}

START_TEST(the_next_turn_reads_what_is_on_its_way_to_the_disk_and_its_own_rows_before_that)
{
	put(&first, "a", "1");
	put(&first, "b", "1");
	put(&first, "c", "1");
	delete(&first, "c");
	take_off();
	has(&second, "a", "1");
	has(&second, "c", NULL);
	put(&second, "a", "2");
	delete(&second, "b");
	put(&second, "c", "2");
	has(&second, "a", "2");
	has(&second, "b", NULL);
	has(&second, "c", "2");
	ck_assert_int_eq(land(), 0);
	has(&second, "a", "2");
	has(&second, "b", NULL);
	has(&second, "c", "2");
	ck_assert_int_eq(turn_commit(&second, store_begin), 0);
	turn_end(&second);
	has(&second, "a", "2");
	has(&second, "b", NULL);
	ck_assert_uint_eq(rows(&second), 2);
}
END_TEST

START_TEST(a_value_that_is_read_from_it_may_be_put_again_and_outlives_it)
{
	struct slice v;
	put(&first, "a", "a long value that lies in the memory of the first turn");
	take_off();
	ck_assert_int_eq(turn_get(&second, 0, SLICE_STR("a"), &v), 0);
	ck_assert_int_eq(turn_put(&second, 0, SLICE_STR("b"), v), 0);
	ck_assert_int_eq(turn_message_apply(&second), 0);
	ck_assert_int_eq(land(), 0);
	put(&first, "x", "y"); /* its memory is used again */
	ck_assert_int_eq(turn_commit(&second, store_begin), 0);
	turn_end(&second);
	has(&second, "b", "a long value that lies in the memory of the first turn");
}
END_TEST

START_TEST(who_scans_waits_for_the_disk_and_sees_both_turns)
{
	put(&first, "a", "1");
	put(&first, "b", "1");
	take_off();
	ck_assert_uint_eq(rows(&second), 2); /* it has none of its own: a view from behind the commit */
	put(&second, "c", "2");
	delete(&second, "a");
	ck_assert(flight_is_done(a.flight));
	ck_assert_uint_eq(rows(&second), 2);
	has(&second, "a", NULL);
	put(&second, "d", "2"); /* straight into the transaction, which a scan sees */
	ck_assert_uint_eq(rows(&second), 3);
	ck_assert_int_eq(land(), 0);
	ck_assert_int_eq(turn_commit(&second, store_begin), 0);
	turn_end(&second);
	ck_assert_uint_eq(rows(&second), 3);
}
END_TEST

START_TEST(a_view_that_was_opened_before_is_not_what_a_scan_sees)
{
	put(&first, "a", "1");
	has(&second, "nothing", NULL);      /* opens a view of the empty store */
	take_off();
	flight_wait(a.flight);
	has(&second, "a", "1");             /* by the turn below, not by the view */
	ck_assert_uint_eq(rows(&second), 1);
	ck_assert_int_eq(land(), 0);
	has(&second, "a", "1");
}
END_TEST

START_TEST(a_hundred_turns_fly_one_behind_the_other)
{
	char key[32];
	for (unsigned i = 0; i < 100; i++) {
		for (unsigned k = 0; k < 100; k++) {
			snprintf(key, sizeof key, "%u.%u", i, k);
			char *own = arena_string(first.arena, key);
			ck_assert_int_eq(turn_put(&first, 0, SLICE_STR(own), SLICE_STR("1")), 0);
		}
		ck_assert_int_eq(turn_message_apply(&first), 0);
		take_off();
		snprintf(key, sizeof key, "%u.%u", i, 99u);
		has(&second, key, "1");
		if (i) {
			snprintf(key, sizeof key, "%u.%u", i - 1, 0u);
			has(&second, key, "1");
		}
		ck_assert_int_eq(land(), 0);
	}
	ck_assert_uint_eq(rows(&second), 10000);
}
END_TEST

START_TEST(a_store_that_is_full_is_an_answer_not_a_death)
{
	static uint8_t big[64 * 1024];
	char *key;
	for (unsigned i = 0; i < 100; i++) {
		ck_assert_ptr_nonnull(key = arena_printf(first.arena, "%u", i));
		ck_assert_int_eq(turn_put(&first, 0, SLICE_STR(key), SLICE(big, sizeof big)), 0);
	}
	ck_assert_int_eq(turn_message_apply(&first), 0);
	take_off();
	ck_assert_int_eq(land(), ERROR_STORE);
	ck_assert_uint_eq(rows(&second), 0); /* none of it is there */
}
END_TEST

static Suite *flight_suite(void)
{
	Suite *s = suite_create("flight");
	TCase *c = tcase_create("flight");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, the_next_turn_reads_what_is_on_its_way_to_the_disk_and_its_own_rows_before_that);
	tcase_add_test(c, a_value_that_is_read_from_it_may_be_put_again_and_outlives_it);
	tcase_add_test(c, who_scans_waits_for_the_disk_and_sees_both_turns);
	tcase_add_test(c, a_view_that_was_opened_before_is_not_what_a_scan_sees);
	tcase_add_test(c, a_hundred_turns_fly_one_behind_the_other);
	tcase_add_test(c, a_store_that_is_full_is_an_answer_not_a_death);
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	return suite_run(flight_suite());
}
