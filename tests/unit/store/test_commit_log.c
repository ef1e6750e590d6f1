/* The log's file alone: what was written is done again, and nothing else is. */
#include "tests/suite.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/rng.h"
#include "common/store/commit_log.h"
#include "tests/unit/store/ground.h"

#define ID 0x1122334455667788u
#define HEAD 32u
#define OP_HEAD 8u
#define KEY 4u
#define HEARD_MAX 256u

static struct commit_log *open_log(size_t size)
{
	struct commit_log *l = NULL;
	struct error e = { 0 };
	int r = commit_log_open(ground, size, &l, &e);
	ck_assert_msg(r == 0, "%d %s", r, e.text);
	return l;
}

/* --- records that know their numbers --- */

static void fill(uint32_t n, uint8_t *value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		value[i] = (uint8_t)((n * 37 + i * 11) | 1);
}

static void add_number(struct commit_log *l, uint32_t n, size_t len)
{
	_cleanup_(freep) uint8_t *value = malloc(len + 1);
	uint8_t key[KEY];
	key_u32(key, n);
	fill(n, value, len);
	ck_assert_int_eq(commit_log_add(l, LOG_PUT, n % 7, SLICE(key, KEY), SLICE(value, len)), 0);
}

static int write_number(struct commit_log *l, uint32_t n, size_t len)
{
	add_number(l, n, len);
	return commit_log_write(l);
}

/* The value with which a record is that long in all. */
static size_t value_of(size_t record)
{
	return record - HEAD - OP_HEAD - KEY;
}

struct heard { unsigned n; uint32_t numbers[HEARD_MAX]; };

static int hear(void *ctx, enum log_op op, unsigned table, struct slice key, struct slice value)
{
	struct heard *h = ctx;
	ck_assert_int_eq(op, LOG_PUT);
	ck_assert_uint_eq(key.len, KEY);
	uint32_t n = key_read_u32(key.data);
	_cleanup_(freep) uint8_t *want = malloc(value.len + 1);
	fill(n, want, value.len);
	ck_assert_uint_eq(table, n % 7);
	ck_assert_mem_eq(value.data, want, value.len);
	ck_assert_uint_lt(h->n, HEARD_MAX);
	h->numbers[h->n++] = n;
	return 0;
}

/* Exactly from to to, in order; from > to: none. */
static bool heard_is(const struct heard *h, uint32_t from, uint32_t to)
{
	for (unsigned i = 0; i < h->n; i++)
		if (h->numbers[i] != from + i)
			return false;
	return h->n == (from > to ? 0 : to - from + 1);
}

static int replay(struct commit_log *l, uint64_t have, struct heard *h, struct error *e)
{
	*h = (struct heard){ 0 };
	*e = (struct error){ 0 };
	commit_log_place(l, ID, have);
	return commit_log_replay(l, hear, h, e);
}

/* Opened, replayed and closed: what the file is for who has the data up to have. */
static int replay_file(uint64_t have, struct heard *h, struct error *e)
{
	struct commit_log *l = open_log(LOG_ALIGN);
	int r = replay(l, have, h, e);
	commit_log_close(l);
	return r;
}

static void assert_file_has(uint64_t have, uint32_t last)
{
	struct heard h;
	struct error e;
	int r = replay_file(have, &h, &e);
	ck_assert_msg(r == 0, "%d %s", r, e.text);
	ck_assert_msg(heard_is(&h, (uint32_t)have + 1, last), "%u records behind %u, not up to %u", h.n, (unsigned)have, last);
}

/* A log of that many bytes that has the numbers 1 to n, value bytes each. */
static void make_log(size_t size, uint32_t n, size_t value)
{
	struct commit_log *l = open_log(size);
	ck_assert(commit_log_is_new(l));
	commit_log_place(l, ID, 0);
	for (uint32_t i = 1; i <= n; i++)
		ck_assert_int_eq(write_number(l, i, value), 0);
	commit_log_close(l);
}

/* --- what was written --- */

START_TEST(what_was_written_is_done_again_in_order_from_any_number_that_the_data_has)
{
	struct heard h;
	struct error e;
	struct commit_log *l = open_log(256 << 10);
	commit_log_place(l, ID, 0);
	for (uint32_t n = 1; n <= 20; n++)
		ck_assert_int_eq(write_number(l, n, n * 397 % 9000), 0);
	size_t used = commit_log_used(l);
	commit_log_close(l);
	for (uint64_t have = 0; have <= 25; have++) {
		l = open_log(LOG_ALIGN);
		ck_assert(!commit_log_is_new(l));
		ck_assert_uint_eq(commit_log_size(l), 256 << 10);
		ck_assert_int_eq(replay(l, have, &h, &e), 0);
		ck_assert(heard_is(&h, (uint32_t)have + 1, 20));
		ck_assert_uint_eq(commit_log_seq(l), have > 20 ? have : 20);
		ck_assert_uint_eq(commit_log_used(l), have < 20 ? used : 0);
		commit_log_close(l);
	}
	l = open_log(LOG_ALIGN);
	ck_assert_int_eq(replay(l, 12, &h, &e), 0);
	ck_assert_int_eq(write_number(l, 21, 5), 0);
	commit_log_close(l);
	assert_file_has(12, 21);
}
END_TEST

struct ops { char text[512]; };

static int spell(void *ctx, enum log_op op, unsigned table, struct slice key, struct slice value)
{
	struct ops *o = ctx;
	size_t n = strlen(o->text);
	snprintf(o->text + n, sizeof o->text - n, "%c%s%u %.*s=%.*s;", " pdc"[op], table == STORE_OWN ? "own" : "", table == STORE_OWN ? 0 : table, (int)key.len,
	         (const char *)key.data, (int)value.len, (const char *)value.data);
	return 0;
}

START_TEST(all_kinds_of_operations_come_back_as_they_were_and_dropped_ones_do_not)
{
	struct ops o = { "" };
	struct error e = { 0 };
	struct commit_log *l = open_log(16 << 10);
	commit_log_place(l, ID, 0);
	ck_assert(!commit_log_pending(l));
	commit_log_add(l, LOG_PUT, 0, SLICE_STR("a"), SLICE_STR("one"));
	ck_assert(commit_log_pending(l));
	commit_log_add(l, LOG_DELETE, 254, SLICE_STR("b"), SLICE(NULL, 0));
	commit_log_add(l, LOG_CLEAR, 31, SLICE(NULL, 0), SLICE(NULL, 0));
	commit_log_add(l, LOG_PUT, STORE_OWN, SLICE_STR("c"), SLICE(NULL, 0));
	ck_assert_int_eq(commit_log_write(l), 0);
	ck_assert(!commit_log_pending(l));
	commit_log_add(l, LOG_PUT, 0, SLICE_STR("never"), SLICE_STR("x"));
	commit_log_drop(l);
	ck_assert(!commit_log_pending(l));
	commit_log_add(l, LOG_PUT, 1, SLICE_STR("d"), SLICE_STR("two"));
	ck_assert_int_eq(commit_log_write(l), 0);
	commit_log_close(l);

	l = open_log(LOG_ALIGN);
	commit_log_place(l, ID, 0);
	ck_assert_int_eq(commit_log_replay(l, spell, &o, &e), 0);
	ck_assert_str_eq(o.text, "p0 a=one;d254 b=;c31 =;pown0 c=;p1 d=two;");
	commit_log_close(l);
}
END_TEST

START_TEST(a_record_begins_at_a_multiple_of_4096_wherever_the_one_before_ended)
{
	static const size_t lengths[] = { 4095, 4096, 4097, 100, 8192, 8193, 12287, 44, 4096 };
	struct commit_log *l = open_log(128 << 10);
	commit_log_place(l, ID, 0);
	size_t at = 0, size;
	for (uint32_t i = 0; i < ELEMENTS(lengths); i++) {
		ck_assert_int_eq(write_number(l, i + 1, value_of(lengths[i])), 0);
		_cleanup_(freep) uint8_t *file = ground_read(LOG_FILE, &size);
		ck_assert_uint_eq(size, 128 << 10);
		ck_assert_mem_eq(file + at, "TLOG", 4);
		at += (lengths[i] + LOG_ALIGN - 1) / LOG_ALIGN * LOG_ALIGN;
		ck_assert_uint_eq(commit_log_used(l), at);
	}
	commit_log_close(l);
	for (uint64_t have = 0; have < ELEMENTS(lengths); have++)
		assert_file_has(have, ELEMENTS(lengths));
}
END_TEST

/* --- the last record, torn --- */

/* A log that went round once, so that there are old bytes behind its new records, before the last one is written and after. */
struct torn { uint8_t *before, *after; size_t size, from, len; };

static struct torn torn_make(void)
{
	struct torn t = { .from = 5 * LOG_ALIGN, .len = 10000 };
	struct commit_log *l = open_log(40 << 10);
	commit_log_place(l, ID, 0);
	for (uint32_t n = 1; n <= 3; n++)
		ck_assert_int_eq(write_number(l, n, value_of(12000)), 0);
	commit_log_restart(l, 3);
	for (uint32_t n = 4; n <= 8; n++)
		ck_assert_int_eq(write_number(l, n, 100), 0);
	t.before = ground_read(LOG_FILE, &t.size);
	ck_assert_int_eq(write_number(l, 9, value_of(t.len)), 0);
	t.after = ground_read(LOG_FILE, &t.size);
	commit_log_close(l);
	return t;
}

static void torn_free(struct torn *t)
{
	free(t->before);
	free(t->after);
}

/* As if the last one had never been, and the next is written in its place. */
static void assert_torn(const uint8_t *file, size_t size)
{
	struct heard h;
	struct error e;
	ground_write(LOG_FILE, file, size);
	struct commit_log *l = open_log(LOG_ALIGN);
	int r = replay(l, 3, &h, &e);
	ck_assert_msg(r == 0, "%d %s", r, e.text);
	ck_assert_msg(heard_is(&h, 4, 8), "%u records", h.n);
	ck_assert_int_eq(write_number(l, 9, 60), 0);
	commit_log_close(l);
	assert_file_has(3, 9);
}

START_TEST(a_torn_last_record_is_as_if_it_never_was_and_all_before_it_is_there)
{
	struct torn t = torn_make();
	_cleanup_(freep) uint8_t *file = malloc(t.size);
	static const size_t in_body[] = { 39, 40, 44, 511, 512, 513, 4095, 4096, 4097, 5000, 8191, 8192, 8193, 9998, 9999 };
	for (unsigned behind = 0; behind < 3; behind++) /* what was there, zeros, ones */
		for (size_t i = 0; i <= HEAD + ELEMENTS(in_body); i++) {
			size_t cut = i <= HEAD ? i : in_body[i - HEAD - 1];
			memcpy(file, t.before, t.size);
			if (behind)
				memset(file + t.from, behind == 1 ? 0 : 0xff, t.size - t.from);
			memcpy(file + t.from, t.after + t.from, cut);
			assert_torn(file, t.size);
		}
	memcpy(file, t.before, t.size); /* and not one byte is missing */
	memcpy(file + t.from, t.after + t.from, t.len);
	ground_write(LOG_FILE, file, t.size);
	assert_file_has(3, 9);
	torn_free(&t);
}
END_TEST

START_TEST(a_last_record_of_which_any_one_sector_is_missing_is_as_if_it_never_was)
{
	struct torn t = torn_make();
	_cleanup_(freep) uint8_t *file = malloc(t.size);
	for (size_t sector = t.from; sector < t.from + t.len; sector += 512) {
		memcpy(file, t.after, t.size);
		memcpy(file + sector, t.before + sector, 512);
		assert_torn(file, t.size);
	}
	torn_free(&t);
}
END_TEST

/* --- damage --- */

START_TEST(a_bit_that_changed_is_an_error_in_every_record_but_the_last_and_there_the_loss_of_that_one)
{
	enum { RECORDS = 4, VALUE = 30 };
	const size_t len = HEAD + OP_HEAD + KEY + VALUE;
	struct heard h;
	struct error e;
	size_t size;
	make_log(RECORDS * LOG_ALIGN, RECORDS, VALUE);
	_cleanup_(freep) uint8_t *file = ground_read(LOG_FILE, &size);
	for (uint32_t record = 1; record <= RECORDS; record++)
		for (size_t bit = 0; bit < len * 8; bit += 3) {
			uint8_t *byte = file + (record - 1) * LOG_ALIGN + bit / 8;
			*byte ^= (uint8_t)(1u << bit % 8);
			ground_write(LOG_FILE, file, size);
			for (uint64_t have = 0; have < RECORDS; have++) {
				int r = replay_file(have, &h, &e);
				if (record < RECORDS) {
					ck_assert_msg(r == ERROR_CORRUPT, "bit %zu of record %u, the data has %u: %d", bit, record, (unsigned)have, r);
					ck_assert_ptr_nonnull(strstr(e.text, LOG_FILE " is damaged"));
					ck_assert_uint_eq(h.n, 0);
				} else {
					ck_assert_int_eq(r, 0);
					ck_assert(heard_is(&h, (uint32_t)have + 1, RECORDS - 1));
				}
			}
			*byte ^= (uint8_t)(1u << bit % 8);
		}
	for (size_t at = 0; at < size; at += 97) /* what fills up a block is nobody's */
		if (at % LOG_ALIGN >= len)
			file[at] = 0x5a;
	ground_write(LOG_FILE, file, size);
	assert_file_has(0, RECORDS);
}
END_TEST

START_TEST(a_log_that_begins_with_a_record_of_another_data_file_is_refused)
{
	struct heard h = { 0 };
	struct error e = { 0 };
	make_log(16 << 10, 2, 10);
	struct commit_log *l = open_log(LOG_ALIGN);
	commit_log_place(l, ID + 1, 0);
	ck_assert_int_eq(commit_log_replay(l, hear, &h, &e), ERROR_CORRUPT);
	ck_assert_ptr_nonnull(strstr(e.text, "belongs to another data.mdb"));
	ck_assert_uint_eq(h.n, 0);
	commit_log_close(l);
	assert_file_has(0, 2);
}
END_TEST

START_TEST(a_log_that_begins_behind_what_the_data_has_is_refused)
{
	struct heard h;
	struct error e;
	struct commit_log *l = open_log(16 << 10);
	commit_log_place(l, ID, 10);
	ck_assert_int_eq(write_number(l, 11, 10), 0);
	ck_assert_int_eq(write_number(l, 12, 10), 0);
	commit_log_close(l);
	for (uint64_t have = 0; have < 10; have++) {
		ck_assert_int_eq(replay_file(have, &h, &e), ERROR_CORRUPT);
		ck_assert_ptr_nonnull(strstr(e.text, "begins with commit 11"));
		ck_assert_uint_eq(h.n, 0);
	}
	assert_file_has(10, 12);
}
END_TEST

static int refuse(void *ctx, enum log_op op, unsigned table, struct slice key, struct slice value)
{
	(void)op, (void)table, (void)key, (void)value;
	return ++*(int *)ctx == 2 ? ERROR_STORE : 0;
}

START_TEST(who_is_called_with_the_operations_can_stop_it_and_begin_again)
{
	struct heard h;
	struct error e = { 0 };
	int calls = 0;
	make_log(16 << 10, 3, 10);
	struct commit_log *l = open_log(LOG_ALIGN);
	commit_log_place(l, ID, 0);
	ck_assert_int_eq(commit_log_replay(l, refuse, &calls, &e), ERROR_STORE);
	ck_assert_int_eq(calls, 2);
	ck_assert_int_eq(replay(l, 0, &h, &e), 0);
	ck_assert(heard_is(&h, 1, 3));
	commit_log_close(l);
}
END_TEST

/* --- round and round --- */

/* As the store does it: where the next record does not fit the data takes all, and it is written at the beginning. */
static void go_round(uint64_t seed)
{
	struct rng rng;
	struct heard h;
	struct error e;
	rng_seed(&rng, seed);
	struct commit_log *l = open_log((4 + rng_below(&rng, 12)) * LOG_ALIGN);
	uint64_t saved = 0, last;
	commit_log_place(l, ID, 0);
	for (uint32_t n = 1; n <= 120; n++) {
		size_t value = (size_t)rng_below(&rng, rng_below(&rng, 2) ? 16000 : 300);
		int r = write_number(l, n, value);
		if (r == ERROR_TOO_LARGE) {
			saved = n - 1;
			commit_log_restart(l, saved);
			r = write_number(l, n, value);
		}
		ck_assert_int_eq(r, 0);
		ck_assert_int_eq(commit_log_last(ground, ID, saved, &last), 0);
		ck_assert_uint_eq(last, n);
		if (rng_below(&rng, 3) == 0)
			l = commit_log_close(l);
		if (!l)
			l = open_log(LOG_ALIGN);
		ck_assert_int_eq(replay(l, saved, &h, &e), 0);
		ck_assert_msg(heard_is(&h, (uint32_t)saved + 1, n), "seed %u: commit %u, saved %u: %u records", (unsigned)seed, n, (unsigned)saved, h.n);
		if (rng_below(&rng, 20) == 0) {
			saved = n;
			commit_log_restart(l, saved);
		}
	}
	commit_log_close(l);
	ck_assert_int_eq(unlink(ground_path(LOG_FILE)), 0);
}

START_TEST(a_log_that_goes_round_never_shows_what_lies_behind_its_last_record)
{
	for (uint64_t seed = 1; seed <= 60; seed++)
		go_round(seed);
}
END_TEST

/* --- sizes --- */

START_TEST(a_commit_larger_than_the_log_is_refused_whole_and_the_next_one_is_not)
{
	struct commit_log *l = open_log(16 << 10);
	commit_log_place(l, ID, 0);
	ck_assert_int_eq(write_number(l, 1, 10), 0);
	for (unsigned i = 0; i < 3; i++)
		add_number(l, 2, 7000);
	ck_assert(commit_log_pending(l));
	ck_assert_int_eq(commit_log_write(l), ERROR_TOO_LARGE);
	ck_assert(commit_log_pending(l));
	ck_assert_int_eq(commit_log_write(l), ERROR_TOO_LARGE);
	commit_log_drop(l);
	ck_assert_int_eq(write_number(l, 2, 10), 0);
	add_number(l, 3, 9000); /* fits the log, but not what is left of it */
	ck_assert_int_eq(commit_log_write(l), ERROR_TOO_LARGE);
	commit_log_drop(l);
	ck_assert_uint_eq(commit_log_seq(l), 2);
	commit_log_close(l);
	assert_file_has(0, 2);
}
END_TEST

START_TEST(a_log_of_one_page_holds_one_record_of_exactly_its_size)
{
	struct commit_log *l = open_log(LOG_ALIGN);
	commit_log_place(l, ID, 0);
	ck_assert_int_eq(write_number(l, 1, value_of(LOG_ALIGN) + 1), ERROR_TOO_LARGE);
	commit_log_drop(l);
	ck_assert_int_eq(write_number(l, 1, value_of(LOG_ALIGN)), 0);
	ck_assert_int_eq(write_number(l, 2, 0), ERROR_TOO_LARGE);
	commit_log_close(l);
	assert_file_has(0, 1);
	l = open_log(LOG_ALIGN);
	commit_log_place(l, ID, 1);
	ck_assert_int_eq(write_number(l, 2, 1), 0);
	commit_log_close(l);
	assert_file_has(1, 2);
}
END_TEST

START_TEST(a_file_of_a_size_that_nobody_makes_is_refused_and_left_alone)
{
	static const off_t sizes[] = { 0, 1, 100, 4095, 4097, 3 * 4096 + 512 };
	struct stat st;
	for (size_t i = 0; i < ELEMENTS(sizes); i++) {
		struct commit_log *l = NULL;
		struct error e = { 0 };
		ground_write(LOG_FILE, "x", 1);
		ck_assert_int_eq(truncate(ground_path(LOG_FILE), sizes[i]), 0);
		ck_assert_int_eq(commit_log_open(ground, 16 << 10, &l, &e), ERROR_CORRUPT);
		ck_assert_ptr_null(l);
		ck_assert_ptr_nonnull(strstr(e.text, "is cut short or no log"));
		ck_assert_int_eq(stat(ground_path(LOG_FILE), &st), 0);
		ck_assert_int_eq(st.st_size, sizes[i]);
	}
}
END_TEST

START_TEST(of_a_file_that_was_cut_between_two_blocks_the_whole_records_are_there)
{
	make_log(8 * LOG_ALIGN, 4, 5000);
	ck_assert_int_eq(truncate(ground_path(LOG_FILE), 5 * LOG_ALIGN), 0);
	assert_file_has(0, 2);
	struct commit_log *l = open_log(8 * LOG_ALIGN);
	ck_assert_uint_eq(commit_log_size(l), 5 * LOG_ALIGN);
	commit_log_close(l);
}
END_TEST

START_TEST(half_of_a_new_file_under_its_first_name_is_no_hindrance)
{
	ground_write(LOG_FILE ".new", "half", 4);
	make_log(8 * LOG_ALIGN, 1, 10);
	ck_assert_int_ne(access(ground_path(LOG_FILE ".new"), F_OK), 0);
	assert_file_has(0, 1);
}
END_TEST

/* --- others --- */

static int hold(void *ctx, int say)
{
	(void)ctx;
	struct commit_log *l = open_log(8 * LOG_ALIGN);
	commit_log_place(l, ID, 0);
	ck_assert_int_eq(write_number(l, 1, 10), 0);
	ground_say(say, 'x');
	for (;;)
		pause();
	return 0;
}

START_TEST(a_second_process_is_kept_out_until_the_first_is_dead)
{
	struct commit_log *l = NULL;
	struct error e = { 0 };
	int said;
	pid_t pid = ground_fork(hold, NULL, &said);
	ck_assert_int_eq(ground_hear(said), 'x');
	ck_assert_int_eq(commit_log_open(ground, 8 * LOG_ALIGN, &l, &e), ERROR_BUSY);
	ck_assert_ptr_nonnull(strstr(e.text, "another process"));
	ground_kill(pid);
	close(said);
	assert_file_has(0, 1);
}
END_TEST

START_TEST(who_only_asks_for_the_last_number_hears_it_beside_the_writer)
{
	uint64_t last = 99;
	ck_assert_int_eq(commit_log_last(ground, ID, 0, &last), 0);
	ck_assert_uint_eq(last, 0);
	struct commit_log *l = open_log(4 * LOG_ALIGN);
	commit_log_place(l, ID, 0);
	ck_assert_int_eq(commit_log_last(ground, ID, 0, &last), 0);
	ck_assert_uint_eq(last, 0);
	for (uint32_t n = 1; n <= 3; n++)
		ck_assert_int_eq(write_number(l, n, 10), 0);
	for (uint64_t have = 0; have <= 4; have++) {
		ck_assert_int_eq(commit_log_last(ground, ID, have, &last), 0);
		ck_assert_uint_eq(last, have < 3 ? 3 : 0);
	}
	ck_assert_int_eq(commit_log_last(ground, ID + 1, 0, &last), 0);
	ck_assert_uint_eq(last, 0);
	commit_log_restart(l, 3);
	ck_assert_int_eq(write_number(l, 4, 10), 0);
	ck_assert_int_eq(commit_log_last(ground, ID, 3, &last), 0);
	ck_assert_uint_eq(last, 4);
	commit_log_close(l);
	ground_write(LOG_FILE, "short", 5);
	ck_assert_int_eq(commit_log_last(ground, ID, 0, &last), 0);
	ck_assert_uint_eq(last, 0);
}
END_TEST

START_TEST(a_log_whose_first_record_is_damaged_does_not_pass_for_one_that_has_nothing)
{
	uint64_t last;
	size_t size;
	make_log(8 * LOG_ALIGN, 3, 10);
	_cleanup_(freep) uint8_t *file = ground_read(LOG_FILE, &size);
	file[HEAD] ^= 1;
	ground_write(LOG_FILE, file, size);
	ck_assert_int_eq(commit_log_last(ground, ID, 0, &last), 0);
	ck_assert_uint_gt(last, 0);
	ck_assert_int_eq(commit_log_last(ground, ID, 3, &last), 0);
	ck_assert_uint_eq(last, 0);
}
END_TEST

static Suite *log_suite(void)
{
	Suite *s = suite_create("commit log");
	TCase *c = tcase_create("file");
	tcase_add_checked_fixture(c, ground_setup, ground_teardown);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, what_was_written_is_done_again_in_order_from_any_number_that_the_data_has);
	tcase_add_test(c, all_kinds_of_operations_come_back_as_they_were_and_dropped_ones_do_not);
	tcase_add_test(c, a_record_begins_at_a_multiple_of_4096_wherever_the_one_before_ended);
	tcase_add_test(c, a_torn_last_record_is_as_if_it_never_was_and_all_before_it_is_there);
	tcase_add_test(c, a_last_record_of_which_any_one_sector_is_missing_is_as_if_it_never_was);
	tcase_add_test(c, a_bit_that_changed_is_an_error_in_every_record_but_the_last_and_there_the_loss_of_that_one);
	tcase_add_test(c, a_log_that_begins_with_a_record_of_another_data_file_is_refused);
	tcase_add_test(c, a_log_that_begins_behind_what_the_data_has_is_refused);
	tcase_add_test(c, who_is_called_with_the_operations_can_stop_it_and_begin_again);
	tcase_add_test(c, a_log_that_goes_round_never_shows_what_lies_behind_its_last_record);
	tcase_add_test(c, a_commit_larger_than_the_log_is_refused_whole_and_the_next_one_is_not);
	tcase_add_test(c, a_log_of_one_page_holds_one_record_of_exactly_its_size);
	tcase_add_test(c, a_file_of_a_size_that_nobody_makes_is_refused_and_left_alone);
	tcase_add_test(c, of_a_file_that_was_cut_between_two_blocks_the_whole_records_are_there);
	tcase_add_test(c, half_of_a_new_file_under_its_first_name_is_no_hindrance);
	tcase_add_test(c, a_second_process_is_kept_out_until_the_first_is_dead);
	tcase_add_test(c, who_only_asks_for_the_last_number_hears_it_beside_the_writer);
	tcase_add_test(c, a_log_whose_first_record_is_damaged_does_not_pass_for_one_that_has_nothing);
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	return suite_run(log_suite());
}
