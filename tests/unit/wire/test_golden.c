/* The bytes of every message, field by field, as committed in golden/<Type>.hex:
 *
 *   <number> <name> <hex of the message with only this field>
 *
 * Programs of other versions read these bytes, so a line that is there never changes, and a field that is gone keeps its line out of other use. A new
 * field or type needs a new line: TROUPE_GOLDEN_WRITE=1 with this program writes all files anew, and the diff may then only add lines. */
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "proto/control.pb-c.h"
#include "tests/suite.h"
#include "tests/unit/wire/fill.h"

static struct arena *arena;

static void given_arena(void)
{
	arena = arena_new(64 << 20);
}

static void drop_arena(void)
{
	arena_unref(arena);
}

/* What golden/<Type>.hex should say. */
static char *golden_text(const ProtobufCMessageDescriptor *d)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	for (unsigned i = 0; i < d->n_fields; i++) {
		size_t len;
		uint8_t *data = fill_pack(fill_single(d, &d->fields[i], arena), arena, &len);
		fprintf(f, "%u %s ", d->fields[i].id, d->fields[i].name);
		for (size_t k = 0; k < len; k++)
			fprintf(f, "%02x", data[k]);
		fputc('\n', f);
	}
	fclose(f);
	return text;
}

/* "troupe.Sample" as "Sample". */
static const char *type_name(const ProtobufCMessageDescriptor *d)
{
	return strchr(d->name, '.') + 1;
}

START_TEST(the_bytes_of_every_field_of_every_type_are_the_committed_ones)
{
	size_t n;
	const ProtobufCMessageDescriptor *const *types = fill_types(&n);
	for (size_t i = 0; i < n; i++) {
		char path[512];
		snprintf(path, sizeof(path), "%s/%s.hex", GOLDEN_DIR, type_name(types[i]));
		_cleanup_(freep) char *expected = golden_text(types[i]);
		if (getenv("TROUPE_GOLDEN_WRITE")) {
			FILE *f = fopen(path, "we");
			ck_assert_ptr_nonnull(f);
			fputs(expected, f);
			fclose(f);
		}
		_cleanup_(freep) char *committed = NULL;
		size_t len;
		ck_assert_msg(file_read_all(path, 1 << 20, &committed, &len) == 0, "%s has no golden file", types[i]->name);
		ck_assert_msg(!strcmp(committed, expected), "%s: the bytes are not those of %s, but\n%s", types[i]->name, path, expected);
	}
}
END_TEST

START_TEST(every_type_of_the_proto_files_is_tested)
{
	static const char *const names[] = { "types", "node", "queue", "work", "topic", "config", "envelope", "frame", "control", "ledger", "program" };
	size_t n, found = 0;
	const ProtobufCMessageDescriptor *const *types = fill_types(&n);
	for (size_t i = 0; i < ELEMENTS(names); i++) {
		char path[512], name[64];
		snprintf(path, sizeof(path), "%s/%s.proto", PROTO_DIR, names[i]);
		_cleanup_(freep) char *text = NULL;
		size_t len;
		ck_assert_int_eq(file_read_all(path, 1 << 20, &text, &len), 0);
		for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
			if (sscanf(line, " message %63[A-Za-z0-9_]", name) != 1)
				continue;
			bool known = false;
			for (size_t k = 0; k < n; k++)
				known |= !strcmp(types[k]->short_name, name);
			ck_assert_msg(known, "message %s of %s is reached from no Frame, Control or record: add it to fill_types", name, path);
			found++;
		}
	}
	ck_assert_uint_eq(found, n);
}
END_TEST

START_TEST(no_type_contains_itself_and_none_is_deep)
{
	size_t n;
	const ProtobufCMessageDescriptor *const *types = fill_types(&n);
	for (size_t i = 0; i < n; i++) {
		unsigned depth = fill_depth(types[i]);
		ck_assert_msg(depth >= 1 && depth <= 8, "%s: %u", types[i]->name, depth);
	}
}
END_TEST

START_TEST(every_type_unpacks_to_what_was_packed)
{
	size_t n;
	struct rng r;
	const ProtobufCMessageDescriptor *const *types = fill_types(&n);
	rng_seed(&r, 21);
	for (size_t i = 0; i < n; i++) {
		for (int k = 0; k < 10; k++) {
			arena_reset(arena);
			size_t len, again_len;
			uint8_t *data = fill_pack(fill_random(types[i], &r, arena), arena, &len);
			ProtobufCMessage *m = protobuf_c_message_unpack(types[i], arena_allocator(arena), len, data);
			ck_assert_ptr_nonnull(m);
			uint8_t *again = fill_pack(m, arena, &again_len);
			ck_assert_uint_eq(again_len, len);
			ck_assert(!memcmp(again, data, len));
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("golden");
	TCase *t = tcase_create("golden");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, given_arena, drop_arena);
	tcase_add_test(t, the_bytes_of_every_field_of_every_type_are_the_committed_ones);
	tcase_add_test(t, every_type_of_the_proto_files_is_tested);
	tcase_add_test(t, no_type_contains_itself_and_none_is_deep);
	tcase_add_test(t, every_type_unpacks_to_what_was_packed);
	suite_add_tcase(s, t);
	return suite_run(s);
}
