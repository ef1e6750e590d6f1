/* SHA-256. */
#include <string.h>

#include "common/base/sha256.h"
#include "tests/suite.h"

static void is(const char *data, size_t len, const char *want)
{
	struct sha256 h;
	uint8_t digest[SHA256_BYTES];
	char text[SHA256_TEXT];
	sha256_init(&h);
	sha256_add(&h, data, len);
	sha256_end(&h, digest);
	sha256_format(digest, text);
	ck_assert_str_eq(text, want);
}

START_TEST(the_vectors_of_fips_180_4_hold)
{
	is("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	is("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	is("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}
END_TEST

START_TEST(the_digest_of_pieces_is_that_of_the_whole)
{
	struct sha256 h;
	uint8_t data[1000], whole[SHA256_BYTES], pieces[SHA256_BYTES];
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	sha256_init(&h);
	sha256_add(&h, data, sizeof(data));
	sha256_end(&h, whole);
	for (size_t cut = 0; cut <= sizeof(data); cut += 37) {
		sha256_init(&h);
		sha256_add(&h, data, cut);
		sha256_add(&h, data + cut, sizeof(data) - cut);
		sha256_end(&h, pieces);
		ck_assert_mem_eq(whole, pieces, sizeof(whole));
	}
}
END_TEST

START_TEST(a_digest_is_read_back_and_nothing_else_is)
{
	static const char text[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
	uint8_t digest[SHA256_BYTES];
	char again[SHA256_TEXT];
	ck_assert(sha256_parse(text, digest));
	sha256_format(digest, again);
	ck_assert_str_eq(text, again);
	ck_assert(!sha256_parse("", digest));
	ck_assert(!sha256_parse("ba78", digest));
	ck_assert(!sha256_parse("BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", digest));
	ck_assert(!sha256_parse("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad0", digest));
	ck_assert(!sha256_parse("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a", digest));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base sha256");
	TCase *tc = tcase_create("sha256");
	tcase_add_test(tc, the_vectors_of_fips_180_4_hold);
	tcase_add_test(tc, the_digest_of_pieces_is_that_of_the_whole);
	tcase_add_test(tc, a_digest_is_read_back_and_nothing_else_is);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
