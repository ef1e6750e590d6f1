/* Packing in one walk: the bytes are those of protobuf-c, for every type of proto/. */
#include "tests/suite.h"
#include <string.h>

#include "common/base/cleanup.h"
#include "common/wire/pack.h"
#include "tests/unit/wire/fill.h"

static struct arena *arena, *out;

static void setup(void)
{
	arena = arena_new(256u << 20);
	out = arena_new(256u << 20);
}

static void teardown(void)
{
	arena_unref(arena);
	arena_unref(out);
}

static void same(const ProtobufCMessage *m)
{
	size_t n, want;
	const uint8_t *theirs = fill_pack(m, arena, &want), *ours = message_pack(out, m, &n);
	ck_assert_ptr_nonnull(ours);
	ck_assert_uint_eq((uintptr_t)ours % 16, 0);
	ck_assert_uint_eq(n, want);
	if (n)
		ck_assert_mem_eq(ours, theirs, n);
}

START_TEST(every_type_with_random_values_in_every_field_has_the_bytes_of_protobuf_c)
{
	size_t n;
	const ProtobufCMessageDescriptor *const *types = fill_types(&n);
	struct rng rng;
	rng_seed(&rng, 4711);
	for (size_t i = 0; i < n; i++)
		for (unsigned round = 0; round < 50; round++) {
			arena_reset(arena);
			if (round % 7 == 0) /* from a small first block, too */
				arena_reset(out);
			same(fill_random(types[i], &rng, arena));
		}
}
END_TEST

START_TEST(every_field_by_itself_and_every_empty_message_too)
{
	size_t n;
	const ProtobufCMessageDescriptor *const *types = fill_types(&n);
	for (size_t i = 0; i < n; i++) {
		arena_reset(arena);
		ProtobufCMessage *empty = arena_alloc(arena, types[i]->sizeof_message);
		protobuf_c_message_init(types[i], empty);
		same(empty);
		for (unsigned k = 0; k < types[i]->n_fields; k++)
			same(fill_single(types[i], &types[i]->fields[k], arena));
	}
}
END_TEST

START_TEST(numbers_at_their_edges_and_long_bytes_too)
{
	static const uint64_t edges[] = { 1, 127, 128, 16383, 16384, UINT32_MAX, (uint64_t)UINT32_MAX + 1, INT64_MAX, UINT64_MAX };
	static const size_t sizes[] = { 0, 1, 126, 127, 128, 4095, 4096, 16383, 16384, 65536, 300000, 3000000 };
	Troupe__Outcome o = TROUPE__OUTCOME__INIT, *all[] = { &o };
	Troupe__Outcomes m = TROUPE__OUTCOMES__INIT;
	m.outcomes = all;
	m.n_outcomes = 1;
	for (size_t i = 0; i < ELEMENTS(edges); i++) {
		o.token = edges[i];
		o.exit_code = (int32_t)edges[i];
		o.signal = -o.exit_code;
		same(&m.base);
	}
	for (size_t i = 0; i < ELEMENTS(sizes); i++) {
		o.output = (ProtobufCBinaryData){ sizes[i], arena_zalloc(arena, sizes[i] + 1) };
		same(&m.base);
	}
}
END_TEST

START_TEST(a_message_that_fills_a_block_of_its_own_to_the_last_byte_too)
{
	/* The field that is written first grows the room to twice what it takes; the other one fills that, or all but a few bytes. */
	static const size_t first[] = { 300000, 300001, 300003, 300005, 300007 };
	uint8_t *bytes = arena_zalloc(arena, 400000);
	Troupe__Outcome o = TROUPE__OUTCOME__INIT;
	for (size_t i = 0; i < ELEMENTS(first); i++)
		for (size_t less = 0; less < 40; less++) {
			arena_unref(out);
			out = arena_new(256u << 20);
			o.stderr_tail = (ProtobufCBinaryData){ first[i], bytes };
			o.output = (ProtobufCBinaryData){ first[i] - less, bytes };
			same(&o.base);
		}
}
END_TEST

START_TEST(fields_that_this_build_does_not_know_go_along)
{
	Troupe__Outcome o = TROUPE__OUTCOME__INIT;
	ProtobufCMessageUnknownField unknown[] = { { .tag = 900, .wire_type = PROTOBUF_C_WIRE_TYPE_VARINT, .len = 2, .data = (uint8_t *)"\x96\x01" },
		{ .tag = 901, .wire_type = PROTOBUF_C_WIRE_TYPE_32BIT, .len = 4, .data = (uint8_t *)"abcd" } };
	o.base.unknown_fields = unknown;
	o.base.n_unknown_fields = ELEMENTS(unknown);
	o.token = 5;
	same(&o.base);
}
END_TEST

START_TEST(an_arena_that_is_too_small_is_full_and_nothing_is_written_behind_it)
{
	struct arena *small = arena_new(4096);
	Troupe__Outcome o = TROUPE__OUTCOME__INIT;
	size_t n;
	o.output = (ProtobufCBinaryData){ 5000, arena_zalloc(arena, 5000) };
	ck_assert_ptr_null(message_pack(small, &o.base, &n));
	ck_assert(arena_full(small));
	o.output.len = 100;
	ck_assert_ptr_nonnull(message_pack(small, &o.base, &n));
	arena_unref(small);
}
END_TEST

static Suite *pack_suite(void)
{
	Suite *s = suite_create("pack");
	TCase *c = tcase_create("pack");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, every_type_with_random_values_in_every_field_has_the_bytes_of_protobuf_c);
	tcase_add_test(c, every_field_by_itself_and_every_empty_message_too);
	tcase_add_test(c, numbers_at_their_edges_and_long_bytes_too);
	tcase_add_test(c, a_message_that_fills_a_block_of_its_own_to_the_last_byte_too);
	tcase_add_test(c, fields_that_this_build_does_not_know_go_along);
	tcase_add_test(c, an_arena_that_is_too_small_is_full_and_nothing_is_written_behind_it);
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	return suite_run(pack_suite());
}
