/* CRC-32C and random numbers. */
#include <string.h>

#include "common/base/crc32c.h"
#include "common/base/rng.h"
#include "tests/suite.h"

START_TEST(the_vectors_of_rfc_3720_hold)
{
	uint8_t data[32];
	memset(data, 0, sizeof(data));
	ck_assert_uint_eq(crc32c(0, data, 32), 0x8a9136aa);
	memset(data, 0xff, sizeof(data));
	ck_assert_uint_eq(crc32c(0, data, 32), 0x62a8ab43);
	for (uint8_t i = 0; i < 32; i++)
		data[i] = i;
	ck_assert_uint_eq(crc32c(0, data, 32), 0x46dd794e);
	for (uint8_t i = 0; i < 32; i++)
		data[i] = (uint8_t)(31 - i);
	ck_assert_uint_eq(crc32c(0, data, 32), 0x113fdb5c);
	static const uint8_t read10[48] = { 0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 2 };
	ck_assert_uint_eq(crc32c(0, read10, 48), 0xd9963a56);
	ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283);
	ck_assert_uint_eq(crc32c(0, NULL, 0), 0);
}
END_TEST

START_TEST(instruction_and_table_agree_at_every_length_and_alignment)
{
	struct rng r;
	uint8_t data[128];
	rng_seed(&r, 1);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)rng_next(&r);
	for (size_t start = 0; start < 16; start++)
		for (size_t len = 0; len <= 112; len++)
			ck_assert_uint_eq(crc32c(7, data + start, len), crc32c_portable(7, data + start, len));
}
END_TEST

START_TEST(parts_give_the_sum_of_the_whole)
{
	static const char text[] = "The quick brown fox jumps over the lazy dog";
	size_t len = sizeof(text) - 1;
	for (size_t cut = 0; cut <= len; cut++) {
		ck_assert_uint_eq(crc32c(crc32c(0, text, cut), text + cut, len - cut), crc32c(0, text, len));
		ck_assert_uint_eq(crc32c_portable(crc32c_portable(0, text, cut), text + cut, len - cut), crc32c(0, text, len));
	}
}
END_TEST

START_TEST(one_seed_gives_one_sequence)
{
	struct rng a, b;
	rng_seed(&a, 42);
	rng_seed(&b, 42);
	for (int i = 0; i < 100; i++)
		ck_assert_uint_eq(rng_next(&a), rng_next(&b));
	rng_seed(&b, 43);
	ck_assert_uint_ne(rng_next(&a), rng_next(&b));
}
END_TEST

/* xoshiro256** from the state 1, 2, 3, 4: the values of the authors' reference code. */
START_TEST(the_generator_is_the_published_one)
{
	static const uint64_t expected[] = { 11520, 0, 1509978240, UINT64_C(1215971899390074240) };
	struct rng r = { { 1, 2, 3, 4 } };
	for (size_t i = 0; i < 4; i++)
		ck_assert_uint_eq(rng_next(&r), expected[i]);
}
END_TEST

START_TEST(numbers_below_n_are_all_reached_and_none_is_above)
{
	struct rng r;
	unsigned seen[7] = { 0 };
	rng_seed(&r, 9);
	for (int i = 0; i < 7000; i++)
		seen[rng_below(&r, 7)]++;
	for (int i = 0; i < 7; i++)
		ck_assert(seen[i] > 850 && seen[i] < 1150);

	/* Of 3/4 of all values: without rejection the lowest third would come in half of all draws. */
	const uint64_t n = UINT64_C(3) << 62;
	unsigned low = 0;
	for (int i = 0; i < 6000; i++) {
		uint64_t v = rng_below(&r, n);
		ck_assert_uint_lt(v, n);
		low += v < n / 3;
	}
	ck_assert(low > 1800 && low < 2200);
	ck_assert_uint_eq(rng_below(&r, 1), 0);
}
END_TEST

START_TEST(the_system_gives_other_bytes_each_time)
{
	uint8_t a[32] = { 0 }, b[32] = { 0 };
	ck_assert_int_eq(rng_system(a, sizeof(a)), 0);
	ck_assert_int_eq(rng_system(b, sizeof(b)), 0);
	ck_assert(memcmp(a, b, sizeof(a)));
	ck_assert_int_eq(rng_system(a, 0), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("crc32c");
	TCase *t = tcase_create("crc32c");
	tcase_add_test(t, the_vectors_of_rfc_3720_hold);
	tcase_add_test(t, instruction_and_table_agree_at_every_length_and_alignment);
	tcase_add_test(t, parts_give_the_sum_of_the_whole);
	tcase_add_test(t, one_seed_gives_one_sequence);
	tcase_add_test(t, the_generator_is_the_published_one);
	tcase_add_test(t, numbers_below_n_are_all_reached_and_none_is_above);
	tcase_add_test(t, the_system_gives_other_bytes_each_time);
	suite_add_tcase(s, t);
	return suite_run(s);
}
