/* Arenas, addresses, ids. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/wire/address.h"
#include "common/wire/arena.h"
#include "common/wire/id.h"
#include "tests/suite.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

START_TEST(pieces_of_an_arena_are_aligned_apart_and_kept)
{
	struct arena *a = arena_new(8 << 20);
	struct rng r;
	static uint8_t *pieces[2000];
	static size_t sizes[2000];
	size_t sum = 0;
	rng_seed(&r, 1);
	for (size_t i = 0; i < N(pieces); i++) {
		sizes[i] = rng_below(&r, rng_below(&r, 50) ? 200 : 100000);
		pieces[i] = arena_alloc(a, sizes[i]);
		ck_assert_ptr_nonnull(pieces[i]);
		ck_assert_uint_eq((uintptr_t)pieces[i] % 16, 0);
		memset(pieces[i], (int)i, sizes[i]);
		sum += (sizes[i] + 15) / 16 * 16;
		ck_assert_uint_eq(arena_used(a), sum);
	}
	for (size_t i = 0; i < N(pieces); i++)
		for (size_t k = 0; k < sizes[i]; k++)
			ck_assert(pieces[i][k] == (uint8_t)i);
	ck_assert_ptr_null(arena_unref(a));
	ck_assert_ptr_null(arena_unref(NULL));
}
END_TEST

START_TEST(an_arena_gives_its_cap_and_not_a_byte_more)
{
	struct arena *a = arena_new(100000);
	ck_assert_ptr_nonnull(arena_alloc(a, 60000));
	ck_assert_ptr_null(arena_alloc(a, 40001));
	ck_assert(arena_full(a));
	ck_assert_ptr_nonnull(arena_alloc(a, 40000));
	ck_assert_ptr_null(arena_alloc(a, 1));
	ck_assert_uint_eq(arena_used(a), 100000);

	static const size_t huge[] = { SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 15, SIZE_MAX - 16, SIZE_MAX / 2 };
	arena_reset(a);
	ck_assert(!arena_full(a));
	for (size_t i = 0; i < N(huge); i++)
		ck_assert_ptr_null(arena_alloc(a, huge[i]));
	ck_assert_ptr_nonnull(arena_alloc(a, 100000));
	arena_unref(a);

	a = arena_new(SIZE_MAX);
	for (size_t i = 0; i < 4; i++)
		ck_assert_ptr_null(arena_alloc(a, huge[i]));
	arena_unref(a);
	a = arena_new(0);
	ck_assert_ptr_null(arena_alloc(a, 1));
	arena_unref(a);
}
END_TEST

START_TEST(an_arena_lives_as_long_as_its_last_reference)
{
	struct arena *a = arena_new(4096);
	char *text = arena_string(a, "kept");
	ck_assert_ptr_eq(arena_ref(a), a);
	arena_unref(a);
	ck_assert_str_eq(text, "kept");
	arena_unref(a);
}
END_TEST

START_TEST(an_arena_copies_prints_and_zeroes)
{
	struct arena *a = arena_new(4096);
	memset(arena_alloc(a, 64), 0xff, 64);
	arena_reset(a);
	static const uint8_t zeros[64];
	ck_assert(!memcmp(arena_zalloc(a, 64), zeros, 64));
	ck_assert(!memcmp(arena_copy(a, "a\0b", 3), "a\0b", 3));
	ck_assert_ptr_nonnull(arena_copy(a, NULL, 0));
	ck_assert_str_eq(arena_printf(a, "%s-%d", "x", 7), "x-7");
	ck_assert_ptr_null(arena_printf(a, "%5000d", 1));
	arena_unref(a);
}
END_TEST

static char *repeat(char *out, const char *head, char c, size_t n)
{
	size_t len = strlen(head);
	memcpy(out, head, len);
	memset(out + len, c, n);
	out[len + n] = '\0';
	return out;
}

START_TEST(addresses_are_a_type_and_an_id)
{
	char longest[192], type32[64];
	repeat(longest, "a23456789012345678901234567890_-:", 'x', 158);
	ck_assert_uint_eq(strlen(longest), 191);
	repeat(type32, "", 'a', 32);
	strcat(type32, ":b");
	const char *const good[] = { "a:b", "coordinator:main", "worker:resize/3", "x-y_9:A.z/@+=~-_0", longest, type32 };
	for (size_t i = 0; i < N(good); i++) {
		struct address a;
		struct error e = { 0 };
		ck_assert_msg(address_parse(good[i], &a, &e) == 0, "%s", e.text);
		ck_assert(address_valid(good[i]));
		ck_assert_str_eq(a.text, good[i]);
	}
	struct address a;
	ck_assert_int_eq(address_parse("worker:resize/3", &a, NULL), 0);
	ck_assert_str_eq(address_id(&a), "resize/3");
	ck_assert(address_type_is(&a, "worker"));
	ck_assert(!address_type_is(&a, "work"));
	ck_assert(!address_type_is(&a, "workers"));
}
END_TEST

START_TEST(everything_else_is_no_address)
{
	char long_id[256], long_type[64];
	repeat(long_id, "a:", 'x', 159);
	repeat(long_type, "", 'a', 33);
	strcat(long_type, ":b");
	const char *const bad[] = { "", ":", "a", "a:", ":b", "A:b", "1a:b", "-a:b", "aB:c", "a b:c", "a:b c", "a:b\n", "a:\x01", "a:b:c", "a:b*", "a:\xc3\xa9", "\xc3\xa9:a", " a:b",
		                    "a:b ", "a.b:c", "a:b\\c", "a:%s", long_id, long_type };
	for (size_t i = 0; i < N(bad); i++) {
		struct address a = { .text = "unchanged" };
		struct error e = { 0 };
		ck_assert_msg(address_parse(bad[i], &a, &e) == ERROR_BAD_REQUEST, "%s", bad[i]);
		ck_assert(!address_valid(bad[i]));
		ck_assert_str_eq(a.text, "unchanged");
		ck_assert(e.text[0] && e.cure[0]);
	}
}
END_TEST

START_TEST(parsing_decides_as_a_regular_grammar_does)
{
	/* letters of an alphabet in which every class of the grammar occurs */
	static const char alphabet[] = "a9_-:A./@+=~ *\x80";
	struct rng r;
	unsigned accepted = 0;
	rng_seed(&r, 2);
	for (int i = 0; i < 200000; i++) {
		char s[12];
		size_t n = rng_below(&r, sizeof(s));
		for (size_t k = 0; k < n; k++)
			s[k] = alphabet[rng_below(&r, rng_below(&r, 4) ? 9 : sizeof(alphabet) - 1)];
		s[n] = '\0';

		size_t type = s[0] == 'a' ? strspn(s, "a9_-") : 0;
		bool valid = type && s[type] == ':' && s[type + 1] && strspn(s + type + 1, "a9_-A./@+=~") == n - type - 1;
		struct address a;
		ck_assert_msg((address_parse(s, &a, NULL) == 0) == valid, "%s", s);
		if (!valid)
			continue;
		/* what was parsed is what comes out, in whole and in parts */
		char again[192];
		snprintf(again, sizeof(again), "%.*s:%s", a.type_len, a.text, address_id(&a));
		ck_assert_str_eq(again, s);
		accepted++;
	}
	ck_assert_uint_gt(accepted, 1000);
}
END_TEST

START_TEST(of_two_addresses_exactly_one_is_less)
{
	ck_assert(address_less("a:b", "a:c"));
	ck_assert(!address_less("a:c", "a:b"));
	ck_assert(!address_less("a:b", "a:b"));
	ck_assert(address_less("a:b", "a:bb"));
}
END_TEST

START_TEST(ids_of_one_maker_rise_whatever_the_clock_does)
{
	struct id_maker m;
	struct rng r;
	struct id last = { { 0 } };
	char last_text[ID_TEXT] = "";
	uint64_t ms = UINT64_C(1795167000123);
	id_maker_init(&m, 3);
	rng_seed(&r, 4);
	for (int i = 0; i < 50000; i++) {
		ms += rng_below(&r, 4) == 0 ? rng_below(&r, 1000) : 0;
		if (rng_below(&r, 100) == 0)
			ms -= rng_below(&r, 100000);
		struct id id = id_make(&m, ms);
		char text[ID_TEXT];
		id_format(&id, text);
		ck_assert_int_lt(id_cmp(&last, &id), 0);
		ck_assert_int_lt(strcmp(last_text, text), 0);
		ck_assert(!id_equal(&last, &id));
		ck_assert_uint_ge(id_time_ms(&id), ms);
		last = id;
		memcpy(last_text, text, sizeof(text));
	}
}
END_TEST

START_TEST(a_full_millisecond_borrows_the_next)
{
	struct id_maker m;
	id_maker_init(&m, 3);
	id_make(&m, 1000);
	memset(m.tail, 0xff, sizeof(m.tail));
	m.tail[9] = 0xfe;
	struct id a = id_make(&m, 1000), b = id_make(&m, 1000), c = id_make(&m, 1000);
	ck_assert_uint_eq(id_time_ms(&a), 1000);
	ck_assert_uint_eq(id_time_ms(&b), 1001);
	ck_assert_int_lt(id_cmp(&a, &b), 0);
	ck_assert_int_lt(id_cmp(&b, &c), 0);
}
END_TEST

START_TEST(makers_of_different_seeds_do_not_meet)
{
	struct id_maker a, b;
	id_maker_init(&a, 1);
	id_maker_init(&b, 2);
	struct id x = id_make(&a, 5), y = id_make(&b, 5);
	ck_assert(!id_equal(&x, &y));
	ck_assert_uint_eq(id_time_ms(&x), 5);
	struct id last = id_make(&a, UINT64_MAX);
	ck_assert_uint_eq(id_time_ms(&last), (UINT64_C(1) << 48) - 1);
}
END_TEST

START_TEST(every_id_reads_back_from_its_text_in_any_case)
{
	struct rng r;
	rng_seed(&r, 5);
	for (int i = 0; i < 20000; i++) {
		struct id id, back;
		char text[ID_TEXT];
		for (int k = 0; k < 16; k++)
			id.b[k] = i == 0 ? 0xff : i == 1 ? 0 : (uint8_t)rng_next(&r);
		id_format(&id, text);
		ck_assert_uint_eq(strlen(text), 26);
		ck_assert_uint_eq(strspn(text, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), 26);
		for (char *p = text; *p; p++) {
			if (rng_below(&r, 2) && *p >= 'A')
				*p = (char)(*p + 32);
			else if (*p == '0' && rng_below(&r, 2))
				*p = rng_below(&r, 2) ? 'O' : 'o';
			else if (*p == '1')
				*p = "1IiLl"[rng_below(&r, 5)];
		}
		ck_assert_int_eq(id_parse(text, &back, NULL), 0);
		ck_assert(id_equal(&id, &back));
	}
}
END_TEST

START_TEST(the_text_is_that_of_the_ulid_layout)
{
	struct id id = { { 0x01, 0x56, 0x3e, 0x3a, 0xb5, 0xd3, 0xd6, 0x76, 0x4c, 0x61, 0xef, 0xb9, 0x93, 0x02, 0xbd, 0x5b } };
	char text[ID_TEXT];
	id_format(&id, text);
	ck_assert_str_eq(text, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
	ck_assert_uint_eq(id_time_ms(&id), UINT64_C(1469922850259));
}
END_TEST

START_TEST(what_is_no_id_is_refused)
{
	static const char *const bad[] = { "", "0", "0000000000000000000000000", "000000000000000000000000000", "80000000000000000000000000", "ZZZZZZZZZZZZZZZZZZZZZZZZZZ",
		                           "0000000000000000000000000U", "0000000000000000000000000-", "0000000000000000000000000\xc3", " 0000000000000000000000000",
		                           "0000000000000000000000000000000000000000000000000000000000000000000000" };
	for (size_t i = 0; i < N(bad); i++) {
		struct id id;
		struct error e = { 0 };
		ck_assert_msg(id_parse(bad[i], &id, &e) == ERROR_BAD_REQUEST && e.text[0], "%s", bad[i]);
	}
	struct id id;
	ck_assert_int_eq(id_parse("7ZZZZZZZZZZZZZZZZZZZZZZZZZ", &id, NULL), 0);
	ck_assert(id.b[0] == 0xff && id.b[15] == 0xff);
}
END_TEST

START_TEST(a_suffix_matches_in_any_case_and_only_at_the_end)
{
	struct id id;
	ck_assert_int_eq(id_parse("01ARZ3NDEKTSV4RRFFQ69G5FAV", &id, NULL), 0);
	static const char *const yes[] = { "V", "69G5FAV", "69g5fav", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "oiarz3ndektsv4rrffq69g5fav" };
	static const char *const no[] = { "", "69G5FA", "X9G5FAV", "0101ARZ3NDEKTSV4RRFFQ69G5FAV", "FAV ", "\xff", "U" };
	for (size_t i = 0; i < N(yes); i++)
		ck_assert_msg(id_suffix_match(&id, yes[i]), "%s", yes[i]);
	for (size_t i = 0; i < N(no); i++)
		ck_assert_msg(!id_suffix_match(&id, no[i]), "%s", no[i]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("address");
	TCase *t = tcase_create("address");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, pieces_of_an_arena_are_aligned_apart_and_kept);
	tcase_add_test(t, an_arena_gives_its_cap_and_not_a_byte_more);
	tcase_add_test(t, an_arena_lives_as_long_as_its_last_reference);
	tcase_add_test(t, an_arena_copies_prints_and_zeroes);
	tcase_add_test(t, addresses_are_a_type_and_an_id);
	tcase_add_test(t, everything_else_is_no_address);
	tcase_add_test(t, parsing_decides_as_a_regular_grammar_does);
	tcase_add_test(t, of_two_addresses_exactly_one_is_less);
	tcase_add_test(t, ids_of_one_maker_rise_whatever_the_clock_does);
	tcase_add_test(t, a_full_millisecond_borrows_the_next);
	tcase_add_test(t, makers_of_different_seeds_do_not_meet);
	tcase_add_test(t, every_id_reads_back_from_its_text_in_any_case);
	tcase_add_test(t, the_text_is_that_of_the_ulid_layout);
	tcase_add_test(t, what_is_no_id_is_refused);
	tcase_add_test(t, a_suffix_matches_in_any_case_and_only_at_the_end);
	suite_add_tcase(s, t);
	return suite_run(s);
}
