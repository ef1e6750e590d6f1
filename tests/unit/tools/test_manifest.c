/* The manifest of a backup: what was written is read, and what does not fit is no manifest. */
#include "tests/suite.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/crc32c.h"
#include "actors/tools/manifest.h"

#define HEAD "{\"kind\":\"backup\",\"format\":1}\n"

static char dir[64], path[96];

static void setup(void)
{
	snprintf(dir, sizeof dir, "/tmp/troupe-manifest-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/MANIFEST", dir);
}

static void teardown(void)
{
	unlink(path);
	rmdir(dir);
}

/* Lines, and an end that fits them. */
static void write_with_end(const char *lines, unsigned files, unsigned bytes)
{
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fprintf(f, "%s{\"kind\":\"end\",\"files\":%u,\"bytes\":%u,\"crc32c\":\"%08" PRIx32 "\"}\n", lines, files, bytes, crc32c(0, lines, strlen(lines)));
	fclose(f);
}

static int read_code(struct error *e)
{
	struct manifest m;
	int r = manifest_read(path, &m, e);
	if (!r)
		manifest_fini(&m);
	return r;
}

static int keep_path(void *ctx, const struct manifest_entry *m, struct error *e)
{
	char *all = ctx;
	snprintf(all + strlen(all), 256 - strlen(all), "%s%s %o %llu %08" PRIx32 "\n", m->path, m->directory ? "/" : "", (unsigned)m->mode, (unsigned long long)m->size, m->crc);
	return 0;
}

START_TEST(what_was_written_is_read_in_its_order)
{
	struct manifest_writer w;
	struct manifest m;
	struct error e = { 0 };
	struct stat d = { .st_mode = S_IFDIR | 0700 }, f = { .st_mode = S_IFREG | 0600 };
	char all[256] = "";
	json_t *head = json_pack("{s:s, s:i, s:s}", "kind", "backup", "format", MANIFEST_FORMAT, "node", "abc");
	ck_assert_int_eq(manifest_create(&w, path, &e), 0);
	ck_assert_int_eq(manifest_line(&w, head, &e), 0);
	ck_assert_int_eq(manifest_directory(&w, ".", &d, &e), 0);
	ck_assert_int_eq(manifest_file(&w, "a \"b\"/\xc3\xa4", &f, 5, 0x00c0ffee, &e), 0);
	ck_assert_int_eq(manifest_line(&w, json_pack("{s:s, s:i}", "kind", "ledger", "tasks", 7), &e), 0);
	ck_assert_int_eq(manifest_finish(&w, 1700000000000, &e), 0);

	ck_assert_msg(manifest_read(path, &m, &e) == 0, "%s", e.text);
	ck_assert_str_eq(json_string_value(json_object_get(m.head, "node")), "abc");
	ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(m.ledgers, 0), "tasks")), 7);
	ck_assert_uint_eq(m.files, 1);
	ck_assert_uint_eq(m.bytes, 5);
	manifest_fini(&m);
	ck_assert_int_eq(manifest_each(path, keep_path, all, &e), 0);
	ck_assert_str_eq(all, "./ 700 0 00000000\na \"b\"/\xc3\xa4 600 5 00c0ffee\n");
}
END_TEST

START_TEST(a_name_that_is_no_text_is_refused_before_it_is_written)
{
	struct manifest_writer w;
	struct error e = { 0 };
	struct stat f = { .st_mode = S_IFREG | 0600 };
	ck_assert_int_eq(manifest_create(&w, path, &e), 0);
	ck_assert_int_eq(manifest_file(&w, "a/\xff", &f, 5, 1, &e), ERROR_BAD_REQUEST);
	manifest_drop(&w);
}
END_TEST

START_TEST(paths_that_lead_out_of_the_state_directory_are_refused)
{
	static const char *const bad[] = { "../x", "/etc/passwd", "a/../../b", "a//b", "./a", "a/.", "", "a/", "." };
	struct error e = { 0 };
	char line[256];
	for (size_t i = 0; i < ELEMENTS(bad); i++) {
		snprintf(line, sizeof line, HEAD "{\"kind\":\"file\",\"path\":\"%s\",\"mode\":\"0600\",\"size\":1,\"crc32c\":\"00000000\"}\n", bad[i]);
		write_with_end(line, 1, 1);
		ck_assert_msg(read_code(&e) == ERROR_CORRUPT, "%s", bad[i]);
	}
	write_with_end(HEAD "{\"kind\":\"file\",\"path\":\"..a/b..\",\"mode\":\"0600\",\"size\":1,\"crc32c\":\"00000000\"}\n", 1, 1);
	ck_assert_msg(read_code(&e) == 0, "%s", e.text);
}
END_TEST

START_TEST(what_is_not_whole_is_no_manifest)
{
	struct error e = { 0 };
	ck_assert_int_eq(read_code(&e), ERROR_NOT_FOUND);
	FILE *f = fopen(path, "w");
	fclose(f);
	ck_assert_int_eq(read_code(&e), ERROR_CORRUPT);
	f = fopen(path, "w");
	fputs(HEAD, f);
	fclose(f);
	ck_assert_int_eq(read_code(&e), ERROR_CORRUPT);
	write_with_end("{\"kind\":\"file\"}\n", 0, 0);
	ck_assert_int_eq(read_code(&e), ERROR_CORRUPT);
	write_with_end(HEAD, 1, 0);
	ck_assert_int_eq(read_code(&e), ERROR_CORRUPT);
	write_with_end("{\"kind\":\"backup\",\"format\":2}\n", 0, 0);
	ck_assert_int_eq(read_code(&e), ERROR_VERSION);
	write_with_end(HEAD, 0, 0);
	ck_assert_int_eq(read_code(&e), 0);
	f = fopen(path, "a");
	fputs("{\"kind\":\"more\"}\n", f);
	fclose(f);
	ck_assert_int_eq(read_code(&e), ERROR_CORRUPT);
}
END_TEST

static Suite *manifest_suite(void)
{
	Suite *s = suite_create("manifest");
	TCase *c = tcase_create("manifest");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, what_was_written_is_read_in_its_order);
	tcase_add_test(c, a_name_that_is_no_text_is_refused_before_it_is_written);
	tcase_add_test(c, paths_that_lead_out_of_the_state_directory_are_refused);
	tcase_add_test(c, what_is_not_whole_is_no_manifest);
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	return suite_run(manifest_suite());
}
