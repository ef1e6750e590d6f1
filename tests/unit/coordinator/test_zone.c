/* Zones: the reader refuses what no zone's file can hold, and the offsets are the ones that a clock there shows. */
#include "tests/suite.h"
#include <string.h>
#include "common/base/rng.h"
#include "tests/unit/coordinator/zones.h"

/* A file of version 2 with two offsets and one change, and places in it. */
#define FIRST_HEAD 44
#define SECOND (FIRST_HEAD + 6 + 4)
#define DATA (SECOND + 44)
struct file { uint8_t data[256]; size_t len; };

static void put_u32(uint8_t *at, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint8_t *head(uint8_t *at, uint32_t changes, uint32_t offsets, uint32_t letters)
{
	memcpy(at, "TZif2", 5);
	put_u32(at + 32, changes);
	put_u32(at + 36, offsets);
	put_u32(at + 40, letters);
	return at + 44;
}

static struct file plain(void)
{
	struct file f = { .len = 0 };
	uint8_t *at = head(f.data, 0, 1, 4);
	memcpy(at + 6, "ABC", 3);
	at = head(at + 10, 1, 2, 8);
	put_u32(at + 4, 1000);
	at[8] = 1;
	put_u32(at + 9, 3600);
	put_u32(at + 15, 7200);
	at[19] = 1;
	at[20] = 4;
	memcpy(at + 21, "ABC\0ABD", 8);
	memcpy(at + 29, "\nABC-1\n", 7);
	f.len = (size_t)(at + 36 - f.data);
	return f;
}

static int code_of(const struct file *f, struct error *e)
{
	struct zone *z = NULL;
	*e = (struct error){ 0 };
	uint8_t *copy = malloc(f->len ? f->len : 1); /* of exactly its size, for the sanitizer */
	memcpy(copy, f->data, f->len);
	int r = zone_read(copy, f->len, &z, e);
	free(copy);
	zone_free(z);
	return r;
}

START_TEST(a_file_is_read)
{
	struct file f = plain();
	struct zone *z;
	struct zone_span s;
	ck_assert_int_eq(zone_read(f.data, f.len, &z, NULL), 0);
	s = zone_at(z, 999);
	ck_assert(s.from_s == INT64_MIN && s.until_s == 1000 && s.offset->seconds == 3600);
	ck_assert_str_eq(s.offset->letters, "ABC");
	s = zone_at(z, 1000);
	ck_assert(s.from_s == 1000 && s.until_s == INT64_MAX && s.offset->seconds == 3600); /* the rule holds behind the last change */
	zone_free(z);
}
END_TEST

START_TEST(a_file_cut_short_anywhere_is_refused)
{
	struct file f = plain();
	struct error e;
	size_t full = f.len;
	for (f.len = 0; f.len < full; f.len++) {
		ck_assert_msg(code_of(&f, &e) == ERROR_BAD_REQUEST, "%zu bytes are accepted", f.len);
		ck_assert(e.text[0] && e.cure[0]);
	}
}
END_TEST

START_TEST(what_no_zone_can_hold_is_refused)
{
	static const struct { size_t at; uint8_t value; int code; const char *text; } bad[] = {
		{ 0, 'X', ERROR_BAD_REQUEST, "begin with TZif" }, { 4, 0, ERROR_VERSION, "version 1" }, { SECOND, 'X', ERROR_BAD_REQUEST, "begin with TZif" },
		{ 32, 0x7f, ERROR_BAD_REQUEST, "cut short" }, { SECOND + 23, 1, ERROR_BAD_REQUEST, "contradict" }, { SECOND + 27, 1, ERROR_BAD_REQUEST, "contradict" },
		{ SECOND + 31, 1, ERROR_BAD_REQUEST, "leap seconds" }, { SECOND + 32, 0xff, ERROR_TOO_LARGE, "at most" }, { SECOND + 34, 0x40, ERROR_TOO_LARGE, "at most" },
		{ SECOND + 39, 0, ERROR_BAD_REQUEST, "contradict" }, { SECOND + 38, 2, ERROR_TOO_LARGE, "at most" }, { SECOND + 43, 0, ERROR_BAD_REQUEST, "contradict" },
		{ SECOND + 40, 1, ERROR_TOO_LARGE, "at most" }, { DATA + 8, 2, ERROR_BAD_REQUEST, "not in order" }, { DATA + 9, 0x7f, ERROR_BAD_REQUEST, "offsets" },
		{ DATA + 13, 2, ERROR_BAD_REQUEST, "offsets" }, { DATA + 14, 200, ERROR_BAD_REQUEST, "offsets" }, { DATA + 21, 0x1b, ERROR_BAD_REQUEST, "offsets" },
		{ DATA + 28, 'X', ERROR_BAD_REQUEST, "offsets" }, { DATA + 29, ' ', ERROR_BAD_REQUEST, "last line" }, { DATA + 30, '1', ERROR_BAD_REQUEST, "rule" },
	};
	struct error e;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct file f = plain();
		f.data[bad[i].at] = bad[i].value;
		ck_assert_msg(code_of(&f, &e) == bad[i].code && strstr(e.text, bad[i].text), "%zu at %zu: %s", i, bad[i].at, e.text);
	}
	uint8_t large[ZONE_FILE_MAX + 1] = "TZif2";
	struct zone *z;
	ck_assert_int_eq(zone_read(large, sizeof large, &z, &e), ERROR_TOO_LARGE);
}
END_TEST

START_TEST(bytes_flipped_at_random_are_refused_or_make_a_zone_that_can_be_asked)
{
	struct rng rng;
	struct error e;
	rng_seed(&rng, 1);
	for (int i = 0; i < 20000; i++) {
		struct file f = plain();
		for (uint64_t n = 1 + rng_below(&rng, 4); n > 0; n--)
			f.data[rng_below(&rng, f.len)] = (uint8_t)rng_next(&rng);
		struct zone *z = NULL;
		int r = zone_read(f.data, f.len, &z, &e);
		if (r == 0) {
			int64_t at = (int64_t)rng_below(&rng, 1ull << 33);
			struct zone_span s = zone_at(z, at);
			ck_assert(s.from_s <= at && at < s.until_s);
		}
		zone_free(z);
	}
}
END_TEST

START_TEST(a_rule_is_read_as_posix_writes_it)
{
	static const char *const good[] = { "UTC0", "CET-1CEST,M3.5.0,M10.5.0/3", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "EST5EDT4,0/0,J365/23", "IST-2IDT,M3.4.4/26,M10.5.0",
		"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "ABC+24DEF-24:59:59,J1/167:59:59,365/-167" };
	static const char *const bad[] = { "", "CE-1", "CET", "CET-25", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0", "CET-1CEST,M3.6.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0",
		"CET-1CEST,J0,J365", "CET-1CEST,J1,J366", "CET-1CEST,0,366", "CET-1CEST,M3.5.0/168,M10.5.0", "CET-1:60", "<CET-1", "CET-1CEST,M3.5.0,M10.5.0/3x", "CET-1,M3.5.0,M10.5.0",
		"ABCDEFGHIJKLMNOP-1", "C\1T-1", "CET-00001" };
	struct zone_rule r;
	struct error e;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		ck_assert_msg(zone_rule_parse(good[i], strlen(good[i]), &r, &e) == 0, "%s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(zone_rule_parse(bad[i], strlen(bad[i]), &r, &e) == ERROR_BAD_REQUEST, "%s", bad[i]);
}
END_TEST

/* A walk from border to border misses nothing, in the table and behind it. */
static void walk(const struct zone *z)
{
	int64_t end = 250000000000;
	struct zone_span s = zone_at(z, -3000000000);
	while (s.until_s < end && s.until_s < INT64_MAX) {
		struct zone_span next = zone_at(z, s.until_s), middle = zone_at(z, s.until_s - 1);
		ck_assert(next.from_s == s.until_s && next.until_s > next.from_s);
		ck_assert(middle.until_s == s.until_s && middle.offset == s.offset);
		s = next;
	}
}

START_TEST(spans_follow_each_other_without_holes)
{
	static const char *const names[] = { "Europe/Berlin", "Australia/Lord_Howe", "America/Nuuk", "Africa/Casablanca", "Europe/Dublin", "Asia/Kathmandu", "Asia/Gaza", "UTC" };
	static const char *const rules[] = { "EST5EDT4,0/0,J365/23", "AAA0BBB,J365/167,0/-167", "AAA0BBB,J59,59", "AAA0BBB,M10.1.0,M10.1.0", "AAA0BBB-24,J300/167,J300/-167" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct zone *z = zone_of(names[i]);
		ck_assert_msg(z != NULL, "%s", names[i]);
		walk(z);
		zone_free(z);
	}
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
		struct zone z = zone_utc;
		z.has_rule = true;
		ck_assert_int_eq(zone_rule_parse(rules[i], strlen(rules[i]), &z.rule, NULL), 0);
		walk(&z);
	}
}
END_TEST

START_TEST(a_name_cannot_leave_the_folder_of_zones)
{
	static const char *const good[] = { "UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+12", "GMT-0" };
	static const char *const bad[] = { "", "..", "../etc/passwd", "Europe/../../etc/passwd", "/etc/localtime", "Europe//Berlin", "Europe/", "zone.tab", "Europe Berlin", "Europe/Berl\xc3\xadn",
		"Europe\\Berlin", "Europe/Berlin\n", "%s", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		ck_assert_msg(zone_name_valid(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(!zone_name_valid(bad[i]), "%s", bad[i]);
}
END_TEST

START_TEST(a_time_is_shown_with_its_offset_and_its_letters)
{
	static const struct { const char *zone; int64_t at; const char *shown; } cases[] = {
		{ "Europe/Berlin", 1774746000, "Sun 2026-03-29 03:00:00 +02:00 CEST" }, { "Asia/Kathmandu", 0, "Thu 1970-01-01 05:30:00 +05:30 +0530" },
		{ "America/New_York", 0, "Wed 1969-12-31 19:00:00 -05:00 EST" }, { "UTC", 253402300799, "Fri 9999-12-31 23:59:59 +00:00 UTC" },
		{ "Europe/Berlin", -3000000000, "Mon 1874-12-07 19:33:28 +00:53:28 LMT" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char shown[64];
		struct zone *z = zone_of(cases[i].zone);
		ck_assert_ptr_nonnull(z);
		zone_format(z, cases[i].at, shown);
		ck_assert_str_eq(shown, cases[i].shown);
		zone_free(z);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("zone");
	TCase *c = tcase_create("zone");
	tcase_add_test(c, a_file_is_read);
	tcase_add_test(c, a_file_cut_short_anywhere_is_refused);
	tcase_add_test(c, what_no_zone_can_hold_is_refused);
	tcase_add_test(c, bytes_flipped_at_random_are_refused_or_make_a_zone_that_can_be_asked);
	tcase_add_test(c, a_rule_is_read_as_posix_writes_it);
	tcase_add_test(c, spans_follow_each_other_without_holes);
	tcase_add_test(c, a_name_cannot_leave_the_folder_of_zones);
	tcase_add_test(c, a_time_is_shown_with_its_offset_and_its_letters);
	suite_add_tcase(suite, c);
	return suite_run(suite);
}
