/* A store with a log against a model in memory, and processes that die at it: the successor has exactly what was committed. */
#include "tests/suite.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/fault.h"
#include "common/base/rng.h"
#include "common/store/commit_log.h"
#include "tests/unit/store/ground.h"

#define TABLES 3u
#define KEYS 40u
#define VALUE_MAX 3000u
#define COMMITS_MAX 60u

static const char *const tables[] = { "one", "two", "three", NULL };

/* --- the model: a row is a length and the seed of its bytes --- */

struct row { bool there; uint32_t len; uint8_t seed; };
struct model { struct row rows[TABLES][KEYS]; };

static void fill(const struct row *row, uint8_t value[VALUE_MAX])
{
	for (uint32_t i = 0; i < row->len; i++)
		value[i] = (uint8_t)(row->seed + i * 13);
}

static struct slice key_of(uint32_t n, uint8_t out[4])
{
	key_u32(out, n);
	return SLICE(out, 4);
}

static void put(struct model *m, struct store_txn *t, unsigned table, uint32_t k, struct rng *rng)
{
	uint8_t key[4], value[VALUE_MAX];
	struct row *row = &m->rows[table][k];
	*row = (struct row){ true, (uint32_t)rng_below(rng, rng_below(rng, 4) ? 200 : VALUE_MAX), (uint8_t)rng_next(rng) };
	fill(row, value);
	if (t)
		ck_assert_int_eq(store_put(t, table, key_of(k, key), SLICE(value, row->len)), 0);
}

static void delete(struct model *m, struct store_txn *t, unsigned table, uint32_t k)
{
	uint8_t key[4];
	if (t)
		ck_assert_int_eq(store_delete(t, table, key_of(k, key)), m->rows[table][k].there ? 0 : ERROR_NOT_FOUND);
	m->rows[table][k].there = false;
}

static void clear(struct model *m, struct store_txn *t, unsigned table)
{
	if (t)
		ck_assert_int_eq(store_clear(t, table), 0);
	memset(m->rows[table], 0, sizeof m->rows[table]);
}

/* The operations of the commit of that seed, on the model and, where there is one, in the transaction. */
static void operate(struct model *m, struct store_txn *t, uint64_t seed)
{
	struct rng rng;
	rng_seed(&rng, seed);
	for (uint64_t left = 1 + rng_below(&rng, rng_below(&rng, 8) ? 6 : 40); left; left--) {
		unsigned table = (unsigned)rng_below(&rng, TABLES), what = (unsigned)rng_below(&rng, 40);
		uint32_t key = (uint32_t)rng_below(&rng, KEYS);
		if (what == 0)
			clear(m, t, table);
		else if (what < 10)
			delete(m, t, table, key);
		else
			put(m, t, table, key, &rng);
	}
}

static bool has_row(struct store_txn *t, unsigned table, uint32_t k, const struct row *row)
{
	uint8_t key[4], want[VALUE_MAX];
	struct slice v;
	int r = store_get(t, table, key_of(k, key), &v);
	ck_assert(r == 0 || r == ERROR_NOT_FOUND);
	if (r || !row->there)
		return r && !row->there;
	fill(row, want);
	return v.len == row->len && (!v.len || memcmp(v.data, want, v.len) == 0);
}

static bool has(struct store *s, const struct model *m)
{
	struct store_txn *t;
	bool same = true;
	ck_assert_int_eq(store_read(s, &t), 0);
	for (unsigned table = 0; table < TABLES; table++)
		for (uint32_t k = 0; k < KEYS; k++)
			same = same && has_row(t, table, k, &m->rows[table][k]);
	store_read_end(t);
	return same;
}

/* --- lives --- */

enum death { IN_A_TRANSACTION, BEHIND_A_COMMIT, BEHIND_A_CHECKPOINT, AT_A_POINT, N_DEATHS };
static const char *const points[] = { "log.before_write", "log.before_sync", "log.after_replay", "checkpoint.before_commit", "checkpoint.after_commit" };

/* One process. It finds the model, or the one with the commit on which its predecessor died; and lives on from there. */
struct life {
	struct model sure, perhaps;
	bool unsure;
	uint64_t seed, first;     /* of the first commit */
	size_t log;
	enum death death;
	unsigned at;              /* after so many commits, or the pass of the point */
	const char *point;
};

static void aborted(struct store *s, const struct model *m, uint64_t seed)
{
	struct model other = *m;
	struct store_txn *t;
	ck_assert_int_eq(store_begin(s, &t), 0);
	operate(&other, t, seed);
	store_abort(t);
	ck_assert(has(s, m));
}

static void die(void)
{
	kill(getpid(), SIGKILL);
}

/* 'b' before a commit, 'c' when it is acknowledged; before all that '=' or '+': which of the two models it found. */
static int live(void *ctx, int say)
{
	struct life *life = ctx;
	struct rng rng;
	rng_seed(&rng, life->first ^ 0x5eed);
	if (life->death == AT_A_POINT) {
		char spec[64];
		snprintf(spec, sizeof spec, "%s:%u", life->point, life->at);
		setenv("TROUPE_FAULT", spec, 1);
	}
	struct store *s = ground_open(ground, tables, life->log);
	bool sure = has(s, &life->sure);
	if (!sure && !(life->unsure && has(s, &life->perhaps)))
		return 1;
	struct model m = sure ? life->sure : life->perhaps;
	ground_say(say, sure ? '=' : '+');
	for (unsigned n = 0; n < COMMITS_MAX; n++) {
		struct store_txn *t;
		if (rng_below(&rng, 10) == 0)
			aborted(s, &m, rng_next(&rng));
		ck_assert_int_eq(store_begin(s, &t), 0);
		operate(&m, t, life->first + n);
		if (life->death == IN_A_TRANSACTION && n == life->at)
			die();
		ground_say(say, 'b');
		ck_assert_int_eq(store_commit(t), 0);
		ground_say(say, 'c');
		if (life->death == BEHIND_A_COMMIT && n == life->at)
			die();
		bool now = life->death == BEHIND_A_CHECKPOINT && n == life->at;
		if (now || rng_below(&rng, 8) == 0)
			ck_assert_int_eq(store_checkpoint(s), 0);
		if (now)
			die();
	}
	ck_assert(has(s, &m));
	ground_say(say, 'e');
	die();
	return 0;
}

/* Runs it until its death, and says what its successor may find. Returns whether it died where it should, and not at the end of all its commits. */
static bool live_and_die(struct life *life)
{
	int said;
	pid_t pid = ground_fork(live, life, &said);
	char c;
	bool asked = false, old = false;
	while ((c = ground_hear(said))) {
		if (c == '+')
			life->sure = life->perhaps;
		if (c == '=' || c == '+')
			life->unsure = false;
		if (c == 'c')
			operate(&life->sure, NULL, life->first++);
		asked = c == 'b';
		old = c == 'e';
	}
	close(said);
	int status = ground_wait(pid);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "seed %u: status %x, log of %zu, death %d at %u %s", (unsigned)life->seed, (unsigned)status, life->log,
	              (int)life->death, life->at, life->death == AT_A_POINT ? life->point : "");
	if (asked) {
		life->unsure = true;
		life->perhaps = life->sure;
		operate(&life->perhaps, NULL, life->first++);
	}
	return !old;
}

static void many_lives(uint64_t seed, size_t log)
{
	struct rng rng;
	struct life life = { .seed = seed, .log = log };
	rng_seed(&rng, seed);
	for (unsigned i = 0; i < 25; i++) {
		life.first = seed << 32 | i << 16;
		life.death = (enum death)rng_below(&rng, N_DEATHS);
		life.at = (unsigned)rng_below(&rng, COMMITS_MAX);
		life.point = points[rng_below(&rng, ELEMENTS(points))];
		if (life.death == AT_A_POINT)
			life.at = 1 + life.at / 4;
		live_and_die(&life);
	}
}

static const size_t log_sizes[] = { 4096, 8192, 64 << 10, 256 << 10, 1 << 20 };

START_TEST(whoever_dies_wherever_the_successor_has_exactly_what_was_committed)
{
	many_lives(100 + (uint64_t)_i, log_sizes[(size_t)_i % ELEMENTS(log_sizes)]);
}
END_TEST

START_TEST(a_death_at_each_point_of_a_commit_and_of_a_checkpoint_loses_nothing)
{
	for (unsigned pass = 1; pass <= 4; pass++)
		for (size_t i = 0; i < ELEMENTS(points); i++) {
			struct life life = { .first = pass * 1000 + i * 100, .log = log_sizes[(size_t)_i], .death = AT_A_POINT, .at = pass, .point = points[i] };
			if (strcmp(points[i], "log.after_replay") == 0)
				life.at = 1;
			ck_assert_msg(live_and_die(&life), "%s:%u was never passed", points[i], life.at);
			life.death = BEHIND_A_COMMIT;
			live_and_die(&life);
			life.at = 0;
			live_and_die(&life);
			ground_teardown();
			ground_setup();
		}
}
END_TEST

/* --- one story each --- */

START_TEST(an_abort_leaves_the_rows_of_before_also_those_that_only_the_log_has)
{
	struct model m = { 0 };
	struct store *s = ground_open(ground, tables, 256 << 10);
	for (uint64_t seed = 1; seed < 60; seed++) {
		struct store_txn *t;
		aborted(s, &m, seed * 1000);
		ck_assert_int_eq(store_begin(s, &t), 0);
		operate(&m, t, seed);
		ck_assert_int_eq(store_commit(t), 0);
		aborted(s, &m, seed * 1000 + 1);
		if (seed % 20 == 0)
			ck_assert_int_eq(store_checkpoint(s), 0);
	}
	store_close(s);
	s = ground_open(ground, tables, 256 << 10);
	ck_assert(has(s, &m));
	store_close(s);
}
END_TEST

static struct store *open_map(size_t log, size_t first, size_t max)
{
	const struct store_config c = { .dir = ground, .tables = tables, .version = 1, .log = log, .map_first = first, .map_max = max };
	struct store *s = NULL;
	struct error e = { 0 };
	int r = store_open(&c, &s, &e);
	ck_assert_msg(r == 0, "%d %s", r, e.text);
	return s;
}

START_TEST(a_map_that_is_full_refuses_the_commit_and_keeps_all_those_before_it_also_after_the_next_open)
{
	static const char value[3000];
	uint32_t n = 0;
	int r;
	struct store *s = open_map(1 << 20, 128 << 10, 512 << 10);
	for (unsigned tries = 0; tries < 4;) /* the first ones are refused while the map grows */
		if ((r = ground_put(s, 0, n, value, sizeof value)) == 0)
			n++;
		else {
			ck_assert_int_eq(r, ERROR_STORE);
			ck_assert_int_eq(ground_get(s, 0, n), -1);
			tries++;
		}
	ck_assert_uint_gt(n, 50);
	for (unsigned again = 0; again < 2; again++) {
		for (uint32_t i = 0; i < n; i++)
			ck_assert_int_eq(ground_get(s, 0, i), sizeof value);
		ck_assert_int_eq(ground_get(s, 0, n), -1);
		store_close(s);
		s = open_map(1 << 20, 128 << 10, 512 << 10);
	}
	struct store_txn *t;
	uint8_t key[4];
	r = store_checkpoint(s); /* needs some pages itself */
	ck_assert(r == 0 || r == ERROR_STORE);
	ck_assert_int_eq(store_begin(s, &t), 0);
	for (uint32_t i = 0; i < 40; i++)
		ck_assert_int_eq(store_delete(t, 0, key_of(i, key)), 0);
	ck_assert_int_eq(store_commit(t), 0);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(store_checkpoint(s), 0);
	ck_assert_int_eq(ground_put(s, 0, n, value, sizeof value), 0);
	store_close(s);
}
END_TEST

/* Rows of one size until nothing fits any more, then row for row away: at the latest when a fourth is gone there must be room again. */
static void fill_and_empty(size_t log, size_t value)
{
	static const char zeros[4000];
	struct store *s = open_map(log, 256 << 10, 256 << 10);
	uint32_t n = 0, away = 0;
	for (unsigned refused = 0; refused < 4;)
		if (ground_put(s, 0, n, zeros, value) == 0)
			n++;
		else
			refused++;
	int r = ERROR_STORE;
	for (unsigned tries = 0; r && away < n / 4; tries++) {
		struct store_txn *t;
		uint8_t key[4];
		ck_assert_int_eq(store_begin(s, &t), 0);
		r = store_delete(t, 0, key_of(away, key));
		ck_assert_int_eq(r == ERROR_STORE ? 0 : r, 0);
		if ((r = store_commit(t)) == 0)
			away++;
		ck_assert_msg(r == 0 || r == ERROR_STORE, "%d", r);
		int saved = store_checkpoint(s);
		r = r ? r : saved;
		ck_assert_msg(r == 0 || away || tries < 3, "log %zu, value %zu: not even a delete fits beside %u rows", log, value, n);
	}
	ck_assert_msg(r == 0, "log %zu, value %zu: no room after %u of %u rows are gone", log, value, away, n);
	for (uint32_t i = 0; i < n; i++)
		ck_assert_int_eq(ground_get(s, 0, i), i < away ? -1 : (long)value);
	struct store_usage u;
	ck_assert_int_eq(store_usage(s, &u), 0);
	ck_assert_msg(u.used_bytes <= u.map_max / 4 * 5, "log %zu, value %zu: %llu bytes", log, value, (unsigned long long)u.used_bytes);
	store_close(s);
}

START_TEST(a_full_store_with_a_full_log_gets_room_by_deletes)
{
	static const size_t values[] = { 10, 300, 1500, 2100, 3900 }, logs[] = { 4096, 32 << 10, 256 << 10, 1 << 20 };
	for (size_t i = 0; i < ELEMENTS(values) * ELEMENTS(logs); i++) {
		fill_and_empty(logs[i % ELEMENTS(logs)], values[i / ELEMENTS(logs)]);
		ground_teardown();
		ground_setup();
	}
}
END_TEST

static int leave_much(void *ctx, int say)
{
	(void)ctx, (void)say;
	static const char value[2100]; /* a page each, whatever it takes in the log */
	struct store *s = open_map(1 << 20, 64 << 20, 64 << 20);
	struct store_txn *t;
	uint8_t key[4];
	for (uint32_t n = 0; n < 170; n++) {
		ck_assert_int_eq(store_begin(s, &t), 0);
		for (uint32_t i = 0; i < 1 + n % 2; i++)
			ck_assert_int_eq(store_put(t, 0, key_of(n * 2 + i, key), SLICE(value, sizeof value)), 0);
		ck_assert_int_eq(store_commit(t), 0);
	}
	die();
	return 0;
}

START_TEST(a_log_that_is_many_times_the_first_map_of_its_successor_is_brought_in)
{
	int said;
	ground_wait(ground_fork(leave_much, NULL, &said));
	close(said);
	struct store *s = open_map(1 << 20, 64 << 10, 64 << 20);
	for (uint32_t n = 0; n < 340; n++)
		ck_assert_int_eq(ground_get(s, 0, n), n % 4 == 1 ? -1 : 2100);
	store_close(s);
}
END_TEST

START_TEST(a_view_beside_a_transaction_that_did_not_fit_hears_of_no_damage)
{
	static const char value[3000];
	struct store *s = open_map(1 << 20, 128 << 10, 128 << 10);
	struct store_txn *t, *view;
	struct slice v;
	uint8_t key[4];
	int r = 0;
	ck_assert_int_eq(ground_put(s, 0, 1000, "kept", 4), 0);
	ck_assert_int_eq(store_begin(s, &t), 0);
	for (uint32_t n = 0; !r && n < 100; n++)
		r = store_put(t, 0, key_of(n, key), SLICE(value, sizeof value));
	ck_assert_int_eq(r, ERROR_STORE);
	ck_assert_int_eq(store_read(s, &view), 0);
	ck_assert_int_eq(store_get(view, 0, key_of(1000, key), &v), ERROR_STORE);
	store_read_end(view);
	store_abort(t);
	ck_assert_int_eq(ground_get(s, 0, 1000), 4);
	store_close(s);
}
END_TEST

#define PAGE 4096u
#define BRANCH 0x01
#define BRANCH_AT 10u       /* in the head of a page of LMDB's: number, pad, flags, and behind 16 bytes where the nodes are */
#define NODES_AT 16u

/* In every branch page: its last child is a page that cannot be. */
static void lose_last_children(void)
{
	size_t size;
	uint16_t flags, lower, node;
	unsigned n = 0;
	_cleanup_(freep) uint8_t *file = ground_read("data.mdb", &size);
	for (uint8_t *page = file + 2 * (size_t)PAGE; page + PAGE <= file + size; page += PAGE) {
		memcpy(&flags, page + BRANCH_AT, sizeof flags);
		memcpy(&lower, page + BRANCH_AT + 2, sizeof lower);
		if (flags != BRANCH)
			continue;
		memcpy(&node, page + lower - sizeof node, sizeof node);
		memset(page + node + 4, 0x7f, 2); /* the high part of its number */
		n++;
	}
	ck_assert_uint_gt(n, 0);
	ground_write("data.mdb", file, size);
}

START_TEST(a_page_that_is_lost_takes_its_own_rows_and_no_other_ones)
{
	static const char value[1000];
	struct store *s = ground_open(ground, tables, 64 << 10);
	struct store_txn *t;
	struct slice v;
	uint8_t key[4];
	for (uint32_t n = 0; n < 20; n++)
		ck_assert_int_eq(ground_put(s, 0, n, value, sizeof value), 0);
	ck_assert_int_eq(store_checkpoint(s), 0);
	ck_assert_int_eq(ground_put(s, 1, 1, "log", 3), 0);
	store_close(s);
	lose_last_children();
	s = ground_open(ground, tables, 64 << 10);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(store_read(s, &t), 0);
		ck_assert_int_eq(store_get(t, 0, key_of(19, key), &v), ERROR_CORRUPT);
		store_read_end(t);
		ck_assert_int_eq(ground_get(s, 0, 0), sizeof value);
		ck_assert_int_eq(ground_get(s, 1, 1), 3);
		ck_assert_int_eq(store_begin(s, &t), 0);
		ck_assert_int_eq(store_get(t, 0, key_of(19, key), &v), ERROR_CORRUPT);
		store_abort(t);
		ck_assert_int_eq(ground_put(s, 2, i, "more", 4), 0);
		ck_assert_int_eq(store_checkpoint(s), 0);
		ck_assert_int_eq(ground_get(s, 2, i), 4);
	}
	store_close(s);
}
END_TEST

/* --- other tables, other files --- */

/* Row i of table i % 3, and one row of the first two tables that says which it is; then it is killed. */
static int leave_tables(void *ctx, int say)
{
	(void)ctx, (void)say;
	struct store *s = ground_open(ground, tables, 64 << 10);
	for (uint32_t i = 0; i < 12; i++)
		ck_assert_int_eq(ground_put(s, i % 3, i, "row", 3), 0);
	die();
	return 0;
}

static void die_with_tables(void)
{
	int said;
	ground_wait(ground_fork(leave_tables, NULL, &said));
	close(said);
}

static void assert_tables(struct store *s, unsigned one, unsigned two, unsigned three)
{
	const unsigned place[] = { one, two, three };
	for (uint32_t i = 0; i < 12; i++)
		for (unsigned table = 0; table < 3; table++)
			ck_assert_int_eq(ground_get(s, place[table], i), table == i % 3 ? 3 : -1);
}

START_TEST(a_dead_writers_log_goes_to_its_tables_where_the_successor_has_one_more_or_another_order)
{
	static const char *const more[] = { "one", "two", "three", "four", NULL }, *const turned[] = { "three", "four", "one", "two", NULL }, *const fewer[] = { "two", NULL };
	die_with_tables();
	struct store *s = ground_open(ground, more, 64 << 10);
	assert_tables(s, 0, 1, 2);
	ck_assert_int_eq(ground_put(s, 3, 1, "four", 4), 0);
	store_close(s); /* as if it were killed here */
	s = ground_open(ground, turned, 64 << 10);
	assert_tables(s, 2, 3, 0);
	ck_assert_int_eq(ground_get(s, 1, 1), 4);
	ck_assert_int_eq(ground_put(s, 1, 2, "five5", 5), 0);
	store_close(s);
	s = ground_open(ground, fewer, 64 << 10);
	ck_assert_int_eq(ground_get(s, 0, 1), 3);
	ck_assert_int_eq(ground_put(s, 0, 99, "two", 3), 0);
	store_close(s);
	s = ground_open(ground, more, 64 << 10);
	ck_assert_int_eq(ground_get(s, 1, 99), 3);
	ck_assert_int_eq(ground_get(s, 3, 2), 5);
	store_close(s);
}
END_TEST

START_TEST(without_its_log_a_store_goes_on_with_what_the_data_has_and_refuses_the_log_when_it_is_put_back)
{
	struct store *s = ground_open(ground, tables, 64 << 10);
	struct error e = { 0 };
	ck_assert_int_eq(ground_put(s, 0, 1, "data", 4), 0);
	ck_assert_int_eq(store_checkpoint(s), 0);
	ck_assert_int_eq(ground_put(s, 0, 2, "log", 3), 0);
	store_close(s);
	ground_copy(LOG_FILE, "away");
	ck_assert_int_eq(unlink(ground_path(LOG_FILE)), 0);
	s = ground_open(ground, tables, 64 << 10);
	ck_assert_int_eq(ground_get(s, 0, 1), 4);
	ck_assert_int_eq(ground_get(s, 0, 2), -1);
	ck_assert_int_eq(ground_put(s, 0, 3, "new", 3), 0);
	store_close(s);
	ground_copy(LOG_FILE, "new");
	ground_copy("away", LOG_FILE);
	ck_assert_int_eq(ground_try(ground, tables, 64 << 10, &s, &e), ERROR_CORRUPT);
	ck_assert_ptr_nonnull(strstr(e.text, "belongs to another data.mdb"));
	ck_assert_ptr_nonnull(strstr(e.cure, "move " LOG_FILE " away"));
	ground_copy("new", LOG_FILE);
	s = ground_open(ground, tables, 64 << 10);
	ck_assert_int_eq(ground_get(s, 0, 3), 3);
	store_close(s);
}
END_TEST

START_TEST(a_log_beside_data_that_somebody_removed_is_set_aside_and_an_empty_store_begins)
{
	die_with_tables();
	ck_assert_int_eq(rename(ground_path("data.mdb"), ground_path("away")), 0);
	struct store *s = ground_open(ground, tables, 64 << 10);
	ck_assert_int_eq(ground_get(s, 0, 0), -1);
	ck_assert_int_eq(ground_put(s, 0, 999, "new", 3), 0);
	store_close(s);
	/* Both put back are what they were. */
	ground_copy("away", "data.mdb");
	ground_copy(LOG_FILE ".old", LOG_FILE);
	s = ground_open(ground, tables, 64 << 10);
	ck_assert_int_ge(ground_get(s, 0, 0), 0);
	ck_assert_int_eq(ground_get(s, 0, 999), -1);
	store_close(s);
}
END_TEST

START_TEST(older_data_beside_a_log_that_still_has_all_behind_it_is_brought_up_to_date)
{
	struct store *s = ground_open(ground, tables, 64 << 10);
	ck_assert_int_eq(ground_put(s, 0, 1, "x", 1), 0);
	store_close(s);
	ground_copy("data.mdb", "older");
	s = ground_open(ground, tables, 64 << 10);
	ck_assert_int_eq(ground_put(s, 0, 2, "xx", 2), 0);
	ck_assert_int_eq(store_checkpoint(s), 0);
	store_close(s);
	ground_copy("older", "data.mdb");
	s = ground_open(ground, tables, 64 << 10);
	ck_assert_int_eq(ground_get(s, 0, 1), 1);
	ck_assert_int_eq(ground_get(s, 0, 2), 2);
	ck_assert_int_eq(ground_put(s, 0, 3, "xxx", 3), 0);
	store_close(s);
	s = ground_open(ground, tables, 64 << 10);
	ck_assert_int_eq(ground_get(s, 0, 3), 3);
	store_close(s);
}
END_TEST

/* Data of before a checkpoint, beside a log that was begun again behind it. */
static void assert_gap(void (*between)(struct store *s), const char *const *then)
{
	struct error e = { 0 };
	struct store *s = ground_open(ground, tables, 64 << 10);
	ck_assert_int_eq(ground_put(s, 0, 1, "x", 1), 0);
	ck_assert_int_eq(store_checkpoint(s), 0);
	store_close(s);
	ground_copy("data.mdb", "older");
	s = ground_open(ground, then, 64 << 10);
	between(s);
	ck_assert_int_eq(ground_put(s, 0, 3, "xxx", 3), 0);
	store_close(s);
	ground_copy("older", "data.mdb");
	ck_assert_int_eq(ground_try(ground, tables, 64 << 10, &s, &e), ERROR_CORRUPT);
	ck_assert_msg(strstr(e.text, "the data.mdb beside it ends with"), "%s", e.text);
}

static void commit_and_checkpoint(struct store *s)
{
	ck_assert_int_eq(ground_put(s, 0, 2, "xx", 2), 0);
	ck_assert_int_eq(store_checkpoint(s), 0);
}

START_TEST(older_data_beside_a_log_that_was_begun_again_is_refused)
{
	assert_gap(commit_and_checkpoint, tables);
}
END_TEST

static void commit_more_than_the_log(struct store *s)
{
	static const char value[100 << 10];
	ck_assert_int_eq(ground_put(s, 0, 2, value, sizeof value), 0);
}

START_TEST(older_data_is_also_refused_where_the_commit_between_was_too_large_for_the_log)
{
	assert_gap(commit_more_than_the_log, tables);
}
END_TEST

static void nothing(struct store *s)
{
	(void)s;
}

START_TEST(older_data_is_also_refused_where_it_numbers_its_tables_in_another_way)
{
	static const char *const turned[] = { "three", "two", "one", NULL };
	assert_gap(nothing, turned);
}
END_TEST

static Suite *ahead_suite(void)
{
	Suite *s = suite_create("ahead");
	TCase *c = tcase_create("ahead");
	tcase_add_checked_fixture(c, ground_setup, ground_teardown);
	tcase_set_timeout(c, 60);
#ifdef TROUPE_FAULT_POINTS
	tcase_add_loop_test(c, a_death_at_each_point_of_a_commit_and_of_a_checkpoint_loses_nothing, 0, ELEMENTS(log_sizes));
#endif
	tcase_add_loop_test(c, whoever_dies_wherever_the_successor_has_exactly_what_was_committed, 0, 2 * ELEMENTS(log_sizes));
	tcase_add_test(c, an_abort_leaves_the_rows_of_before_also_those_that_only_the_log_has);
	tcase_add_test(c, a_map_that_is_full_refuses_the_commit_and_keeps_all_those_before_it_also_after_the_next_open);
	tcase_add_test(c, a_full_store_with_a_full_log_gets_room_by_deletes);
	tcase_add_test(c, a_log_that_is_many_times_the_first_map_of_its_successor_is_brought_in);
	tcase_add_test(c, a_view_beside_a_transaction_that_did_not_fit_hears_of_no_damage);
	tcase_add_test(c, a_page_that_is_lost_takes_its_own_rows_and_no_other_ones);
	tcase_add_test(c, a_dead_writers_log_goes_to_its_tables_where_the_successor_has_one_more_or_another_order);
	tcase_add_test(c, without_its_log_a_store_goes_on_with_what_the_data_has_and_refuses_the_log_when_it_is_put_back);
	tcase_add_test(c, a_log_beside_data_that_somebody_removed_is_set_aside_and_an_empty_store_begins);
	tcase_add_test(c, older_data_beside_a_log_that_still_has_all_behind_it_is_brought_up_to_date);
	tcase_add_test(c, older_data_beside_a_log_that_was_begun_again_is_refused);
	tcase_add_test(c, older_data_is_also_refused_where_the_commit_between_was_too_large_for_the_log);
	tcase_add_test(c, older_data_is_also_refused_where_it_numbers_its_tables_in_another_way);
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	return suite_run(ahead_suite());
}
