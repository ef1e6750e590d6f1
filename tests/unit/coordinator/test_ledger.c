/* Rows: their order in the store is the order of choosing, and their bytes are those of the committed format. */
#include "tests/suite.h"
#include <string.h>
#include "actors/coordinator/ledger.h"

static struct arena *arena;

static void setup(void)
{
	arena = arena_new(1 << 20);
}

static void teardown(void)
{
	arena_unref(arena);
}

static int order(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int r = memcmp(a.data, b.data, n);
	return r ? r : (a.len > b.len) - (a.len < b.len);
}

START_TEST(the_ready_index_is_in_the_order_of_choosing)
{
	/* queue, requirement, priority, seq: most significant first */
	static const struct { uint32_t queue, requirement, priority; uint64_t seq; } rows[] = {
		{ 1, 0, 0, 5 }, { 1, 0, 0, 256 }, { 1, 0, 1, 1 }, { 1, 0, 256, 1 }, { 1, 0, UINT32_MAX, 0 }, { 1, 0, UINT32_MAX, UINT64_MAX }, { 1, 1, 0, 0 }, { 256, 0, 0, 0 },
	};
	for (size_t i = 1; i < sizeof rows / sizeof *rows; i++) {
		struct slice a = key_ready(arena, rows[i - 1].queue, rows[i - 1].requirement, rows[i - 1].priority, rows[i - 1].seq);
		struct slice b = key_ready(arena, rows[i].queue, rows[i].requirement, rows[i].priority, rows[i].seq);
		ck_assert_int_lt(order(a, b), 0);
	}
}
END_TEST

START_TEST(the_keys_have_the_bytes_of_version_1)
{
	static const struct id id = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } };
	ck_assert_mem_eq(key_ready(arena, 1, 2, 3, 4).data, "\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\0\0\0\0\4", 20);
	ck_assert_mem_eq(key_due(arena, 0x0102, 3).data, "\0\0\0\0\0\0\1\2\0\0\0\0\0\0\0\3", 16);
	struct slice unique = key_unique(arena, 7, "order:1");
	ck_assert_uint_eq(unique.len, 11);
	ck_assert_mem_eq(unique.data, "\0\0\0\7order:1", 11);
	ck_assert_mem_eq(key_dead(arena, 1, 2).data, "\0\0\0\1\0\0\0\0\0\0\0\2", 12);
	struct slice attempt = key_attempt(arena, &id, 9);
	ck_assert_uint_eq(attempt.len, 20);
	ck_assert_mem_eq(attempt.data, "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\0\0\0\11", 20);
	ck_assert_mem_eq(key_u64_of(arena, 0x01ff).data, "\0\0\0\0\0\0\1\377", 8);
	ck_assert_mem_eq(key_u32_of(arena, 3).data, "\0\0\0\3", 4);
}
END_TEST

START_TEST(an_entry_of_the_log_has_the_bytes_of_version_1)
{
	struct log_entry e = { .id = { { 1, 2, 3 } }, .kind = 4, .exit_class = 5, .attempt = 0x0607, .queue = 0x08090a0b }, back;
	uint8_t bytes[LOG_ENTRY];
	log_entry_pack(&e, bytes);
	ck_assert_mem_eq(bytes, "\1\2\3\0\0\0\0\0\0\0\0\0\0\0\0\0\4\5\6\7\10\11\12\13", LOG_ENTRY);
	log_entry_unpack(bytes, &back);
	ck_assert(id_equal(&back.id, &e.id));
	ck_assert_uint_eq(back.kind, 4);
	ck_assert_uint_eq(back.exit_class, 5);
	ck_assert_uint_eq(back.attempt, 0x0607);
	ck_assert_uint_eq(back.queue, 0x08090a0b);
}
END_TEST

START_TEST(the_tables_stand_in_the_order_of_their_numbers)
{
	static const char *const names[] = { "task", "state", "lease", "ready", "due", "unique", "seq", "dead", "attempt", "queue", "requirement", "log", "meta" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		ck_assert_str_eq(ledger_tables[i], names[i]);
	ck_assert_ptr_null(ledger_tables[T_BLOB + 1]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ledger");
	TCase *c = tcase_create("ledger");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, the_ready_index_is_in_the_order_of_choosing);
	tcase_add_test(c, the_keys_have_the_bytes_of_version_1);
	tcase_add_test(c, an_entry_of_the_log_has_the_bytes_of_version_1);
	tcase_add_test(c, the_tables_stand_in_the_order_of_their_numbers);
	suite_add_tcase(s, c);
	return suite_run(s);
}
