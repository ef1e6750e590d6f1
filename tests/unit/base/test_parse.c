/* Text to values and back, suggestions, UTF-8. */
#include <string.h>

#include "common/base/parse.h"
#include "common/base/rng.h"
#include "tests/suite.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

START_TEST(durations_read_with_units_fractions_and_bare_seconds)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {
		{ "0", 0 },           { "0s", 0 },           { "90s", 90000 },      { "5m", 300000 },       { "2h", 7200000 },    { "3d", 259200000 },
		{ "250ms", 250 },     { "1h30m", 5400000 },  { "1.5", 1500 },       { "0.001", 1 },         { "1.5h", 5400000 },  { "00012", 12000 },
		{ "1d1h1m1s1ms", 90061001 }, { "0.000s", 0 }, { "3650d", UINT64_C(315360000000) }, { "315360000", UINT64_C(315360000000) }, { "1.250s", 1250 },
	};
	for (size_t i = 0; i < N(good); i++) {
		uint64_t ms = 77;
		struct error e = { 0 };
		ck_assert_msg(parse_duration(good[i].text, &ms, &e) == 0, "%s: %s", good[i].text, e.text);
		ck_assert_msg(ms == good[i].ms, "%s: %llu", good[i].text, (unsigned long long)ms);
	}
}
END_TEST

START_TEST(durations_that_are_not_read_to_the_end_are_refused)
{
	static const char *const bad[] = {
		"", " ", "s", "-1s", "+1s", " 1s", "1s ", "1 s", "1x", "1S", "1h30", "30m1h", "5m5m", "1ms1s", "1.", ".5", "1.s", "1..5s", "1.5.5s", "0x10s", "1e3",
		"infinity", "never", "1sm", "1.5ms", "0.0001", "3650d1ms", "3651d", "315360000.001", "18446744073709551615ms", "18446744073709551616ms", "99999999999999999999999d",
		"1.00000000000000000000000001s", "213503982335d", "1h\n", "1\xc2\xb5s",
	};
	for (size_t i = 0; i < N(bad); i++) {
		uint64_t ms = 77;
		struct error e = { 0 };
		ck_assert_msg(parse_duration(bad[i], &ms, &e) == ERROR_BAD_REQUEST, "%s is accepted", bad[i]);
		ck_assert_msg(ms == 77, "%s: the result is written", bad[i]);
		ck_assert_int_eq(e.code, ERROR_BAD_REQUEST);
		ck_assert(e.cure[0]);
	}
}
END_TEST

START_TEST(an_error_names_the_value_and_not_all_of_a_long_one)
{
	struct error e;
	uint64_t v;
	char text[4096];
	ck_assert(parse_duration("5 minutes", &v, &e));
	ck_assert_ptr_nonnull(strstr(e.text, "\"5 minutes\""));
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	ck_assert(parse_duration(text, &v, &e));
	ck_assert_ptr_nonnull(strstr(e.text, "xxx...\" is not"));
	ck_assert(parse_size(text, &v, &e));
	ck_assert_ptr_nonnull(strstr(e.text, "xxx...\" is not"));
}
END_TEST

START_TEST(every_duration_that_is_written_reads_back)
{
	struct rng r;
	rng_seed(&r, 1);
	for (int i = 0; i < 20000; i++) {
		/* of every magnitude */
		uint64_t ms = rng_next(&r) >> (rng_below(&r, 38) + 26), back;
		if (ms > UINT64_C(315360000000))
			continue;
		char text[32];
		format_duration(ms, text, sizeof(text));
		ck_assert_msg(parse_duration(text, &back, NULL) == 0 && back == ms, "%s", text);
	}
}
END_TEST

START_TEST(durations_are_written_with_the_largest_units_first)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} rows[] = { { 0, "0s" }, { 250, "250ms" }, { 5400000, "1h30m" }, { 90000, "1m30s" }, { 86400000, "1d" }, { 61001, "1m1s1ms" } };
	char text[32];
	for (size_t i = 0; i < N(rows); i++)
		ck_assert_str_eq(format_duration(rows[i].ms, text, sizeof(text)), rows[i].text);
	char little[4];
	ck_assert_uint_lt(strlen(format_duration(90061001, little, sizeof(little))), sizeof(little));
	ck_assert_uint_lt(strlen(format_duration(UINT64_MAX, text, sizeof(text))), sizeof(text));
}
END_TEST

START_TEST(ages_are_short_for_people)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} rows[] = {
		{ 0, "0.0s" }, { 300, "0.3s" }, { 9999, "9.9s" }, { 10000, "10s" }, { 59999, "59s" }, { 52 * 60000, "52m" }, { 3600000, "1h" },
		{ 3900000, "1h 5m" }, { 76 * 3600000, "3d 4h" }, { 48 * 3600000, "2d" },
	};
	char text[32];
	for (size_t i = 0; i < N(rows); i++)
		ck_assert_str_eq(format_age(rows[i].ms, text, sizeof(text)), rows[i].text);
}
END_TEST

START_TEST(sizes_read_in_powers_of_1024_and_never_overflow)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 }, { "1", 1 }, { "64K", 65536 }, { "64k", 65536 }, { "10M", 10485760 }, { "1G", 1073741824 }, { "2T", UINT64_C(2199023255552) },
		{ "18446744073709551615", UINT64_MAX }, { "18014398509481983K", UINT64_C(18446744073709550592) }, { "16777215T", UINT64_C(18446742974197923840) },
	};
	static const char *const bad[] = { "", "K", "1KB", "1KiB", "1.5G", "-1", "1 K", " 1", "1P", "18446744073709551616", "18014398509481984K", "16777216T", "99999999999999999999999999K", "0x10" };
	for (size_t i = 0; i < N(good); i++) {
		uint64_t v = 0;
		ck_assert_msg(parse_size(good[i].text, &v, NULL) == 0 && v == good[i].bytes, "%s", good[i].text);
	}
	for (size_t i = 0; i < N(bad); i++) {
		uint64_t v = 77;
		struct error e = { 0 };
		ck_assert_msg(parse_size(bad[i], &v, &e) == ERROR_BAD_REQUEST && v == 77 && e.text[0], "%s", bad[i]);
	}
}
END_TEST

START_TEST(sizes_are_written_short)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
		{ 0, "0" }, { 1023, "1023" }, { 1024, "1K" }, { 1536, "1.5K" }, { 10239, "9.9K" }, { 10240, "10K" }, { 1468006, "1.3M" }, { 1048575, "1023K" },
		{ UINT64_C(5) << 30, "5G" }, { UINT64_MAX, "15E" },
	};
	char text[32];
	for (size_t i = 0; i < N(rows); i++)
		ck_assert_str_eq(format_size(rows[i].bytes, text, sizeof(text)), rows[i].text);
}
END_TEST

START_TEST(numbers_are_decimal_and_within_their_range)
{
	static const char *const bad[] = { "", " 5", "5 ", "+5", "-5", "0x5", "5.0", "5e0", "five", "4", "21", "18446744073709551616", "184467440737095516150", "5\n" };
	uint64_t v;
	ck_assert_int_eq(parse_number("5", 5, 20, &v, NULL), 0);
	ck_assert_uint_eq(v, 5);
	ck_assert_int_eq(parse_number("0020", 5, 20, &v, NULL), 0);
	ck_assert_uint_eq(v, 20);
	ck_assert_int_eq(parse_number("18446744073709551615", 0, UINT64_MAX, &v, NULL), 0);
	ck_assert(v == UINT64_MAX);
	for (size_t i = 0; i < N(bad); i++) {
		struct error e = { 0 };
		v = 77;
		ck_assert_msg(parse_number(bad[i], 5, 20, &v, &e) == ERROR_BAD_REQUEST && v == 77 && e.text[0], "%s", bad[i]);
	}
}
END_TEST

START_TEST(booleans_are_eight_words_and_no_others)
{
	static const char *const yes[] = { "yes", "true", "on", "1" }, *const no[] = { "no", "false", "off", "0" };
	static const char *const bad[] = { "", "y", "YES", "True", "2", "yes ", "00" };
	for (size_t i = 0; i < 4; i++) {
		bool b = false;
		ck_assert(parse_bool(yes[i], &b, NULL) == 0 && b);
		ck_assert(parse_bool(no[i], &b, NULL) == 0 && !b);
	}
	for (size_t i = 0; i < N(bad); i++) {
		bool b;
		struct error e = { 0 };
		ck_assert_msg(parse_bool(bad[i], &b, &e) == ERROR_BAD_REQUEST && e.text[0], "%s", bad[i]);
	}
}
END_TEST

START_TEST(priorities_are_words_or_numbers)
{
	static const struct {
		const char *text;
		uint32_t level;
	} good[] = { { "critical", 0 }, { "high", 1000 }, { "normal", 2000 }, { "low", 3000 }, { "bulk", 4000 }, { "17", 17 }, { "4294967295", UINT32_MAX } };
	static const char *const bad[] = { "", "urgent", "High", "-1", "4294967296", "1.5" };
	for (size_t i = 0; i < N(good); i++) {
		uint32_t v = 77;
		ck_assert_msg(parse_priority(good[i].text, &v, NULL) == 0 && v == good[i].level, "%s", good[i].text);
	}
	for (size_t i = 0; i < N(bad); i++) {
		uint32_t v = 77;
		struct error e = { 0 };
		ck_assert_msg(parse_priority(bad[i], &v, &e) == ERROR_BAD_REQUEST && v == 77 && e.cure[0], "%s", bad[i]);
	}
}
END_TEST

START_TEST(the_nearest_word_within_two_edits_is_suggested)
{
	static const char *const words[] = { "submit", "status", "stop", "start", "list", "queue", "q" };
	ck_assert_str_eq(suggest("sumbit", words, N(words)), "submit"); /* one swap */
	ck_assert_str_eq(suggest("submt", words, N(words)), "submit");
	ck_assert_str_eq(suggest("statsu", words, N(words)), "status");
	ck_assert_str_eq(suggest("strat", words, N(words)), "start");
	ck_assert_str_eq(suggest("queues", words, N(words)), "queue");
	ck_assert_ptr_null(suggest("subscribe", words, N(words)));
	ck_assert_ptr_null(suggest("", words, N(words)));
	/* "x" is one edit from "q", which is all of it */
	ck_assert_ptr_null(suggest("x", words, N(words)));
	char text[4096];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	ck_assert_ptr_null(suggest(text, words, N(words)));
}
END_TEST

/* RFC 3629 by decoding, the slow way, to compare with. */
static bool model_valid(const uint8_t *s, size_t len)
{
	for (size_t i = 0; i < len;) {
		uint32_t c = s[i];
		size_t n = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;
		if (!n || n > len - i)
			return false;
		c = n == 1 ? c : c & (0xffu >> (n + 1));
		for (size_t k = 1; k < n; k++) {
			if (s[i + k] >> 6 != 2)
				return false;
			c = c << 6 | (s[i + k] & 63);
		}
		static const uint32_t least[] = { 0, 1, 0x80, 0x800, 0x10000 };
		if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return false;
		i += n;
	}
	return true;
}

START_TEST(utf8_agrees_with_a_decoder_on_all_short_sequences)
{
	uint8_t s[4];
	for (uint32_t v = 0; v < 1u << 24; v += v < 1u << 16 ? 1 : 7) {
		s[0] = (uint8_t)(v >> 16);
		s[1] = (uint8_t)(v >> 8);
		s[2] = (uint8_t)v;
		if (utf8_valid(s, 3) != model_valid(s, 3))
			ck_abort_msg("%02x %02x %02x", s[0], s[1], s[2]);
	}
	for (uint32_t v = 0; v < 1u << 16; v++) {
		s[0] = (uint8_t)(0xf0 + (v >> 13));
		s[1] = (uint8_t)(v >> 5);
		s[2] = (uint8_t)(0x80 | (v & 31));
		s[3] = (uint8_t)(0x7f + (v & 1));
		if (utf8_valid(s, 4) != model_valid(s, 4))
			ck_abort_msg("%02x %02x %02x %02x", s[0], s[1], s[2], s[3]);
	}
}
END_TEST

START_TEST(a_nul_or_a_bad_byte_is_found_at_every_place_of_a_long_text)
{
	uint8_t s[64];
	for (size_t len = 0; len <= sizeof(s); len++) {
		memset(s, 'a', sizeof(s));
		ck_assert(utf8_valid(s, len));
		for (size_t i = 0; i < len; i++) {
			static const uint8_t bytes[] = { 0x00, 0x80, 0xc0, 0xff };
			for (size_t b = 0; b < N(bytes); b++) {
				s[i] = bytes[b];
				ck_assert(!utf8_valid(s, len));
			}
			s[i] = 'a';
		}
	}
}
END_TEST

START_TEST(cleaning_makes_any_bytes_one_line_of_utf8)
{
	struct rng r;
	rng_seed(&r, 3);
	for (int i = 0; i < 20000; i++) {
		char s[16];
		for (size_t k = 0; k < sizeof(s); k++)
			s[k] = (char)rng_next(&r);
		s[15] = '\0';
		utf8_clean(s);
		ck_assert(utf8_valid((uint8_t *)s, strlen(s)));
		for (const char *p = s; *p; p++)
			ck_assert((unsigned char)*p >= 0x20 && *p != 0x7f);
	}
	char kept[] = "d\xc3\xa9j\xc3\xa0 vu \xf0\x9f\x8e\xad";
	char copy[sizeof(kept)];
	memcpy(copy, kept, sizeof(kept));
	utf8_clean(copy);
	ck_assert_str_eq(copy, kept);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("parse");
	TCase *t = tcase_create("parse");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, durations_read_with_units_fractions_and_bare_seconds);
	tcase_add_test(t, durations_that_are_not_read_to_the_end_are_refused);
	tcase_add_test(t, an_error_names_the_value_and_not_all_of_a_long_one);
	tcase_add_test(t, every_duration_that_is_written_reads_back);
	tcase_add_test(t, durations_are_written_with_the_largest_units_first);
	tcase_add_test(t, ages_are_short_for_people);
	tcase_add_test(t, sizes_read_in_powers_of_1024_and_never_overflow);
	tcase_add_test(t, sizes_are_written_short);
	tcase_add_test(t, numbers_are_decimal_and_within_their_range);
	tcase_add_test(t, booleans_are_eight_words_and_no_others);
	tcase_add_test(t, priorities_are_words_or_numbers);
	tcase_add_test(t, the_nearest_word_within_two_edits_is_suggested);
	tcase_add_test(t, utf8_agrees_with_a_decoder_on_all_short_sequences);
	tcase_add_test(t, a_nul_or_a_bad_byte_is_found_at_every_place_of_a_long_text);
	tcase_add_test(t, cleaning_makes_any_bytes_one_line_of_utf8);
	suite_add_tcase(s, t);
	return suite_run(s);
}
