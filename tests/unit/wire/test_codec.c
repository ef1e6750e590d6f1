/* Frames and lifeline packets: what goes in comes out, and what is broken does no harm. */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "common/wire/codec.h"
#include "tests/suite.h"
#include "tests/unit/wire/fill.h"

static struct arena *arena;

static void given_arena(void)
{
	arena = arena_new(256 << 20);
}

static void drop_arena(void)
{
	arena_unref(arena);
}

/* Decodes a copy of exactly len bytes, so that a read behind the end is seen by the sanitizer. */
static int decode(const uint8_t *data, size_t len, struct error *e, size_t *ret_n_envelopes)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct arena *a = NULL;
	Troupe__Frame *frame = NULL;
	memcpy(copy, data, len);
	struct error ignored = { 0 };
	if (!e)
		e = &ignored;
	e->code = ERROR_NONE;
	int r = frame_decode(copy, len, &wire_limits_default, &a, &frame, e);
	free(copy);
	ck_assert_int_ge(r, 0);
	if (r) {
		ck_assert_ptr_null(a);
		ck_assert_ptr_null(frame);
		ck_assert_int_eq(e->code, r);
		ck_assert(e->text[0]);
		return r;
	}
	/* read all of it */
	ck_assert_int_eq(message_check_strings(&frame->base, NULL), 0);
	ck_assert_uint_gt(protobuf_c_message_get_packed_size(&frame->base) + 1, 0);
	if (ret_n_envelopes)
		*ret_n_envelopes = frame->n_envelopes;
	arena_unref(a);
	return 0;
}

static Troupe__Envelope envelope_tell(const char *to, const char *type, const char *payload)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.to = (char *)to;
	env.type = (char *)type;
	env.payload = (ProtobufCBinaryData){ strlen(payload), (uint8_t *)payload };
	return env;
}

START_TEST(random_frames_come_back_as_they_were)
{
	struct rng r;
	rng_seed(&r, 31);
	for (int i = 0; i < 500; i++) {
		arena_reset(arena);
		size_t len, again_len;
		uint8_t *data = fill_pack(&fill_frame(&r, arena)->base, arena, &len);
		struct arena *a;
		Troupe__Frame *frame;
		struct error e;
		ck_assert_msg(frame_decode(data, len, &wire_limits_default, &a, &frame, &e) == 0, "%s", e.text);
		uint8_t *again = fill_pack(&frame->base, arena, &again_len);
		ck_assert_uint_eq(again_len, len);
		ck_assert(!memcmp(again, data, len));
		arena_unref(a);
	}
}
END_TEST

START_TEST(an_empty_frame_is_a_frame)
{
	ck_assert_int_eq(decode((const uint8_t *)"", 0, NULL, NULL), 0);
}
END_TEST

START_TEST(a_frame_cut_inside_a_part_is_refused)
{
	struct rng r;
	rng_seed(&r, 32);
	for (int i = 0; i < 20; i++) {
		arena_reset(arena);
		struct frame_writer w;
		frame_writer_init(&w, 0);
		size_t ends[9] = { 0 }, n = 1;
		for (; n < 9; n++) {
			Troupe__Frame *frame = fill_frame(&r, arena);
			if (frame->n_envelopes)
				frame_add_envelope(&w, frame->envelopes[0]);
			ends[n] = w.len;
		}
		size_t part = 0;
		for (size_t cut = 0; cut <= w.len; cut++) {
			while (part + 1 < n && ends[part + 1] <= cut)
				part++;
			/* between two parts the rest is a shorter frame: the transport's length tells them apart */
			if (cut == ends[part])
				ck_assert_int_eq(decode(w.data, cut, NULL, NULL), 0);
			else
				ck_assert_int_eq(decode(w.data, cut, NULL, NULL), ERROR_BAD_REQUEST);
		}
		frame_writer_fini(&w);
	}
}
END_TEST

START_TEST(no_flipped_bit_does_harm)
{
	struct rng r;
	rng_seed(&r, 33);
	unsigned refused = 0, accepted = 0;
	for (int i = 0; i < 15; i++) {
		arena_reset(arena);
		size_t len;
		uint8_t *data = fill_pack(&fill_frame(&r, arena)->base, arena, &len);
		if (len > 2000)
			len = 2000;
		for (size_t bit = 0; bit < len * 8; bit++) {
			data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			if (decode(data, len, NULL, NULL))
				refused++;
			else
				accepted++;
			data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
	ck_assert_uint_gt(refused, 1000);
	ck_assert_uint_gt(accepted, 0);
}
END_TEST

START_TEST(no_random_bytes_do_harm)
{
	struct rng r;
	uint8_t data[300];
	rng_seed(&r, 34);
	for (int i = 0; i < 50000; i++) {
		size_t len = rng_below(&r, sizeof(data));
		for (size_t k = 0; k < len; k++)
			data[k] = (uint8_t)(rng_below(&r, 3) ? rng_below(&r, 64) : rng_next(&r));
		decode(data, len, NULL, NULL);
	}
}
END_TEST

/* The raw bytes of Frame{envelopes: [Envelope{...}]} with the envelope's bytes given. */
static int decode_envelope(const char *bytes, size_t len, struct error *e)
{
	uint8_t data[64] = { 0x1a, (uint8_t)len };
	memcpy(data + 2, bytes, len);
	return decode(data, len + 2, e, NULL);
}
#define ENVELOPE(bytes, e) decode_envelope(bytes, sizeof(bytes) - 1, e)

START_TEST(strings_that_are_no_text_are_refused_and_named)
{
	struct error e;
	ck_assert_int_eq(ENVELOPE("\x1a\x03" "a\xffz", &e), ERROR_BAD_REQUEST);
	ck_assert_ptr_nonnull(strstr(e.text, "Envelope.type"));
	/* a NUL would be the end of a char pointer: "a" to us, "a\0z" to others */
	ck_assert_int_eq(ENVELOPE("\x1a\x03" "a\0z", &e), ERROR_BAD_REQUEST);
	ck_assert_int_eq(ENVELOPE("\x1a\x01\0", &e), ERROR_BAD_REQUEST);
	ck_assert_int_eq(ENVELOPE("\x1a\x03\xed\xa0\x80", &e), ERROR_BAD_REQUEST);
	ck_assert_int_eq(ENVELOPE("\x1a\x03" "a\xc3\xa9", &e), 0);
	/* overwritten by a good one behind it, it is refused all the same */
	ck_assert_int_eq(ENVELOPE("\x1a\x01\xff\x1a\x01z", &e), ERROR_BAD_REQUEST);
	/* deep: Envelope.submit.tasks[0].queue */
	ck_assert_int_eq(ENVELOPE("\xe2\x03\x05\x0a\x03\x12\x01\xff", &e), ERROR_BAD_REQUEST);
	ck_assert_ptr_nonnull(strstr(e.text, "TaskSpec.queue"));
	/* bytes are free */
	ck_assert_int_eq(ENVELOPE("\x22\x03" "a\xff\0", &e), 0);
}
END_TEST

START_TEST(addresses_and_ids_in_a_frame_are_checked)
{
	struct error e;
	ck_assert_int_eq(ENVELOPE("\x0a\x03" "a:b", &e), 0);
	ck_assert_int_eq(ENVELOPE("\x0a\x02" "ab", &e), ERROR_BAD_REQUEST);
	ck_assert_ptr_nonnull(strstr(e.text, "Envelope.to"));
	ck_assert_int_eq(ENVELOPE("\x12\x02" "ab", &e), ERROR_BAD_REQUEST);
	ck_assert_ptr_nonnull(strstr(e.text, "Envelope.from"));
	ck_assert_int_eq(ENVELOPE("\x32\x03" "abc", &e), ERROR_BAD_REQUEST);
	ck_assert_ptr_nonnull(strstr(e.text, "Envelope.id"));
	ck_assert_int_eq(ENVELOPE("\x42\x03" "abc", &e), ERROR_BAD_REQUEST);
	ck_assert_ptr_nonnull(strstr(e.text, "Envelope.reply_to"));
	ck_assert_int_eq(ENVELOPE("\x32\x10" "0123456789abcdef", &e), 0);
	ck_assert_int_eq(ENVELOPE("\x32\x00", &e), 0);

	ck_assert_int_eq(decode((const uint8_t *)"\x22\x02" "ab", 4, &e, NULL), ERROR_BAD_REQUEST);
	ck_assert_ptr_nonnull(strstr(e.text, "Frame.to"));
	ck_assert_int_eq(decode((const uint8_t *)"\x0a\x04\x12\x02" "ab", 6, &e, NULL), ERROR_BAD_REQUEST);
	ck_assert_ptr_nonnull(strstr(e.text, "Hello.address"));
}
END_TEST

START_TEST(what_protobuf_forbids_is_malformed)
{
	struct error e;
	/* a number where a string, a message should be; groups; field 0; a length behind the end, at and above 2^31, of more than 5 bytes */
	ck_assert_int_eq(ENVELOPE("\x08\x01", &e), ERROR_BAD_REQUEST);
	ck_assert_int_eq(ENVELOPE("\xa0\x01\x01", &e), ERROR_BAD_REQUEST);
	ck_assert_int_eq(ENVELOPE("\x0b\x0c", &e), ERROR_BAD_REQUEST);
	ck_assert_int_eq(ENVELOPE("\x02\x01" "a", &e), ERROR_BAD_REQUEST);
	ck_assert_int_eq(ENVELOPE("\x0a\x05" "a:b", &e), ERROR_BAD_REQUEST);
	ck_assert_int_eq(ENVELOPE("\x22\xff\xff\xff\xff\x07", &e), ERROR_BAD_REQUEST);
	ck_assert_int_eq(ENVELOPE("\x22\xff\xff\xff\xff\xff\xff\xff\xff\x7f", &e), ERROR_BAD_REQUEST);
	ck_assert_int_eq(ENVELOPE("\x22\x81\x80\x80\x80\x80\x00" "a", &e), ERROR_BAD_REQUEST);
	ck_assert_int_eq(ENVELOPE("\x38\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", &e), ERROR_BAD_REQUEST);
}
END_TEST

START_TEST(unknown_fields_and_numbers_pass)
{
	ck_assert_int_eq(ENVELOPE("\xba\x3e\x03" "a\xff\0", NULL), 0); /* field 999 */
	ck_assert_int_eq(ENVELOPE("\xb8\x3e\x05", NULL), 0);
	ck_assert_int_eq(ENVELOPE("\x48\x63", NULL), 0); /* a Kind of the future */
}
END_TEST

START_TEST(a_frame_over_its_length_is_refused_unread)
{
	struct error e;
	size_t n;
	uint8_t *data = calloc(1, wire_limits_default.frame + 1);
	/* one unknown field that fills the frame */
	uint8_t head[] = { 0xba, 0x3e, 0xfb, 0xff, 0x3f };
	memcpy(data, head, sizeof(head));
	ck_assert_int_eq(decode(data, wire_limits_default.frame, &e, &n), 0);
	ck_assert_int_eq(decode(data, wire_limits_default.frame + 1, &e, &n), ERROR_TOO_LARGE);
	free(data);
}
END_TEST

START_TEST(envelopes_are_counted_before_they_are_made)
{
	size_t n = 0, max = wire_limits_default.envelopes;
	struct error e;
	uint8_t *data = calloc(max + 1, 2);
	for (size_t i = 0; i <= max; i++)
		data[2 * i] = 0x1a;
	ck_assert_int_eq(decode(data, 2 * max, &e, &n), 0);
	ck_assert_uint_eq(n, max);
	ck_assert_int_eq(decode(data, 2 * max + 2, &e, &n), ERROR_TOO_LARGE);
	ck_assert_ptr_nonnull(strstr(e.text, "4097"));
	free(data);
}
END_TEST

static size_t peak_kib(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (size_t)u.ru_maxrss;
}

START_TEST(a_mebibyte_of_empty_messages_stays_under_the_cap_of_the_arena)
{
	/* Frame{envelopes: [Envelope{submit: Submit{tasks: [{}, {}, ...]}}]}: each two bytes would be some 200 in memory. */
	size_t tasks = 524270, len = 0;
	uint8_t *data = malloc(wire_limits_default.frame);
	const struct {
		uint32_t tag;
		size_t len;
	} heads[] = { { 3 << 3 | 2, 5 + 2 * tasks }, { 60 << 3 | 2, 2 * tasks } };
	for (size_t i = 0; i < 2; i++) {
		for (uint32_t v = heads[i].tag; (data[len++] = (uint8_t)(v < 0x80 ? v : v | 0x80)) >= 0x80;)
			v >>= 7;
		for (size_t v = heads[i].len; (data[len++] = (uint8_t)(v < 0x80 ? v : v | 0x80)) >= 0x80;)
			v >>= 7;
	}
	for (size_t i = 0; i < tasks; i++) {
		data[len++] = 0x0a;
		data[len++] = 0x00;
	}
	ck_assert_uint_le(len, wire_limits_default.frame);

	struct error e;
	size_t before = peak_kib();
	ck_assert_int_eq(decode(data, len, &e, NULL), ERROR_TOO_LARGE);
	ck_assert_ptr_nonnull(strstr(e.text, "memory"));
#ifndef __SANITIZE_ADDRESS__
	/* the cap is 24 MiB, and a copy of the frame */
	ck_assert_uint_lt(peak_kib() - before, 28 * 1024);
#else
	(void)before;
#endif
	free(data);
}
END_TEST

START_TEST(a_full_frame_of_honest_messages_fits)
{
	struct frame_writer w;
	uint8_t id[16] = { 1 };
	size_t n;
	/* the smallest that a sender has reason to send */
	frame_writer_init(&w, 0);
	for (int i = 0; i < 4096; i++) {
		Troupe__Envelope env = envelope_tell("", "a", "");
		ck_assert_int_eq(frame_add_envelope(&w, &env), 0);
	}
	ck_assert_int_eq(decode(w.data, w.len, NULL, &n), 0);
	ck_assert_uint_eq(n, 4096);

	/* asks with small bodies */
	frame_writer_reset(&w);
	for (int i = 0; i < 4096; i++) {
		Troupe__Get get = TROUPE__GET__INIT;
		Troupe__TaskRef ref = TROUPE__TASK_REF__INIT;
		Troupe__Envelope env = envelope_tell("coordinator:main", "", "");
		ref.seq = 1;
		get.task = &ref;
		env.id = (ProtobufCBinaryData){ sizeof(id), id };
		env.body_case = TROUPE__ENVELOPE__BODY_GET;
		env.get = &get;
		ck_assert_int_eq(frame_add_envelope(&w, &env), 0);
	}
	ck_assert_int_eq(decode(w.data, w.len, NULL, &n), 0);

	/* one bulk submit of 4,000 small tasks */
	frame_writer_reset(&w);
	Troupe__TaskSpec specs[4000], *tasks[4000];
	for (int i = 0; i < 4000; i++) {
		specs[i] = (Troupe__TaskSpec)TROUPE__TASK_SPEC__INIT;
		specs[i].id = (ProtobufCBinaryData){ sizeof(id), id };
		specs[i].queue = (char *)"q";
		tasks[i] = &specs[i];
	}
	Troupe__Submit submit = TROUPE__SUBMIT__INIT;
	Troupe__Envelope env = envelope_tell("coordinator:main", "", "");
	submit.n_tasks = 4000;
	submit.tasks = tasks;
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &submit;
	ck_assert_int_eq(frame_add_envelope(&w, &env), 0);
	ck_assert_int_eq(decode(w.data, w.len, NULL, &n), 0);
	frame_writer_fini(&w);
}
END_TEST

START_TEST(a_written_frame_reads_back_and_leaves_its_head_free)
{
	struct frame_writer w;
	Troupe__Envelope a = envelope_tell("a:b", "x", "1"), b = envelope_tell("c:d", "y", "22");
	Troupe__Frame parts = TROUPE__FRAME__INIT;
	Troupe__Credit credit = TROUPE__CREDIT__INIT;
	credit.envelopes = 5;
	parts.credit = &credit;
	uint8_t packed[200];
	size_t packed_len = protobuf_c_message_pack(&b.base, packed);

	frame_writer_init(&w, 9);
	ck_assert_ptr_null(w.data);
	ck_assert_int_eq(frame_add_envelope(&w, &a), 0);
	ck_assert_uint_eq(w.len, frame_envelope_size(&a));
	ck_assert_int_eq(frame_add_parts(&w, &parts), 0);
	ck_assert_int_eq(frame_add_packed(&w, packed, packed_len), 0);
	ck_assert_uint_eq(w.n_envelopes, 2);

	memset(w.data, 0xff, 9);
	struct arena *arena_2;
	Troupe__Frame *frame;
	ck_assert_int_eq(frame_decode(w.data + w.head, w.len, &wire_limits_default, &arena_2, &frame, NULL), 0);
	ck_assert_uint_eq(frame->n_envelopes, 2);
	ck_assert_str_eq(frame->envelopes[0]->to, "a:b");
	ck_assert_str_eq(frame->envelopes[1]->type, "y");
	ck_assert_uint_eq(frame->envelopes[1]->payload.len, 2);
	ck_assert_uint_eq(frame->credit->envelopes, 5);
	arena_unref(arena_2);

	frame_writer_reset(&w);
	ck_assert_uint_eq(w.len, 0);
	ck_assert_uint_eq(w.n_envelopes, 0);
	frame_writer_fini(&w);
	frame_writer_fini(&w);
}
END_TEST

START_TEST(a_writer_gives_the_bytes_of_a_packed_frame)
{
	struct rng r;
	rng_seed(&r, 35);
	for (int i = 0; i < 300; i++) {
		arena_reset(arena);
		Troupe__Frame *frame = fill_frame(&r, arena), only = TROUPE__FRAME__INIT;
		struct frame_writer w;
		frame_writer_init(&w, rng_below(&r, 20));
		only.n_envelopes = frame->n_envelopes;
		only.envelopes = frame->envelopes;
		size_t len, sum = 0;
		uint8_t *data = fill_pack(&only.base, arena, &len);
		for (size_t k = 0; k < frame->n_envelopes; k++) {
			sum += frame_envelope_size(frame->envelopes[k]);
			ck_assert_int_eq(frame_add_envelope(&w, frame->envelopes[k]), 0);
		}
		ck_assert_uint_eq(w.len, len);
		ck_assert_uint_eq(sum, len);
		ck_assert(len == 0 || !memcmp(w.data + w.head, data, len));
		frame_writer_fini(&w);
	}
}
END_TEST

START_TEST(a_lifeline_packet_has_the_same_checks)
{
	struct arena *a;
	Troupe__Control *control;
	struct error e;
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Envelope env = envelope_tell("a:b", "x", "1");
	size_t len;
	c.body_case = TROUPE__CONTROL__BODY_RELAY;
	c.relay = &env;
	uint8_t *data = fill_pack(&c.base, arena, &len);
	ck_assert_int_eq(control_decode(data, len, &a, &control, &e), 0);
	ck_assert_str_eq(control->relay->to, "a:b");
	arena_unref(a);

	for (size_t cut = 1; cut < len; cut++)
		ck_assert_int_eq(control_decode(data, cut, &a, &control, &e), ERROR_BAD_REQUEST);

	env.to = (char *)"nonsense";
	data = fill_pack(&c.base, arena, &len);
	ck_assert_int_eq(control_decode(data, len, &a, &control, &e), ERROR_BAD_REQUEST);
	env.to = (char *)"\xff";
	data = fill_pack(&c.base, arena, &len);
	ck_assert_int_eq(control_decode(data, len, &a, &control, &e), ERROR_BAD_REQUEST);
	ck_assert_ptr_nonnull(strstr(e.text, "UTF-8"));

	data = arena_zalloc(arena, WIRE_CONTROL_MAX + 1);
	ck_assert_int_eq(control_decode(data, WIRE_CONTROL_MAX + 1, &a, &control, &e), ERROR_TOO_LARGE);
}
END_TEST

START_TEST(random_lifeline_packets_come_back_as_they_were)
{
	struct rng r;
	rng_seed(&r, 36);
	for (int i = 0; i < 500; i++) {
		arena_reset(arena);
		Troupe__Control *c = (Troupe__Control *)fill_random(&troupe__control__descriptor, &r, arena), *back;
		if (c->body_case == TROUPE__CONTROL__BODY_RELAY || c->body_case == TROUPE__CONTROL__BODY_ANSWER)
			continue;
		size_t len, again_len;
		uint8_t *data = fill_pack(&c->base, arena, &len);
		struct arena *a;
		ck_assert_int_eq(control_decode(data, len, &a, &back, NULL), 0);
		uint8_t *again = fill_pack(&back->base, arena, &again_len);
		ck_assert(again_len == len && !memcmp(again, data, len));
		arena_unref(a);
	}
}
END_TEST

START_TEST(records_decode_by_their_descriptor_into_the_arena_given)
{
	Troupe__Pair pair = TROUPE__PAIR__INIT;
	ProtobufCMessage *m;
	struct error e;
	size_t len;
	pair.key = (char *)"k";
	pair.value = (char *)"v";
	uint8_t *data = fill_pack(&pair.base, arena, &len);
	ck_assert_int_eq(message_decode(&troupe__pair__descriptor, data, len, arena, &m, &e), 0);
	ck_assert_str_eq(((Troupe__Pair *)m)->value, "v");
	ck_assert_int_eq(message_decode(&troupe__pair__descriptor, data, len - 1, arena, &m, &e), ERROR_BAD_REQUEST);

	struct arena *small = arena_new(32);
	ck_assert_int_eq(message_decode(&troupe__pair__descriptor, data, len, small, &m, &e), ERROR_TOO_LARGE);
	arena_unref(small);
}
END_TEST

START_TEST(messages_in_memory_are_checked_for_text)
{
	struct rng r;
	struct error e;
	size_t n;
	const ProtobufCMessageDescriptor *const *types = fill_types(&n);
	rng_seed(&r, 37);
	for (size_t i = 0; i < n; i++) {
		arena_reset(arena);
		ck_assert_int_eq(message_check_strings(fill_random(types[i], &r, arena), NULL), 0);
		/* each field of text, single and repeated, spoiled alone */
		for (unsigned k = 0; k < types[i]->n_fields; k++) {
			const ProtobufCFieldDescriptor *f = &types[i]->fields[k];
			if (f->type != PROTOBUF_C_TYPE_STRING)
				continue;
			ProtobufCMessage *m = fill_single(types[i], f, arena);
			char **value = (char **)((uint8_t *)m + f->offset);
			if (f->label == PROTOBUF_C_LABEL_REPEATED)
				value = *(char ***)value + 1;
			ck_assert_int_eq(message_check_strings(m, &e), 0);
			*value = (char *)"a\xff";
			ck_assert_msg(message_check_strings(m, &e) == ERROR_BAD_REQUEST, "%s.%s", types[i]->name, f->name);
			ck_assert_ptr_nonnull(strstr(e.text, f->name));
		}
	}
	Troupe__TaskSpec spec = TROUPE__TASK_SPEC__INIT, *specs[] = { &spec };
	Troupe__Submit submit = TROUPE__SUBMIT__INIT;
	Troupe__Envelope env = envelope_tell("a:b", "", "");
	submit.n_tasks = 1;
	submit.tasks = specs;
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &submit;
	spec.queue = (char *)"\xff";
	ck_assert_int_eq(message_check_strings(&env.base, &e), ERROR_BAD_REQUEST);
	ck_assert_ptr_nonnull(strstr(e.text, "TaskSpec.queue"));
}
END_TEST

START_TEST(a_packed_envelope_says_its_fields_body_and_id)
{
	Troupe__Envelope env = envelope_tell("", "counter.add", "5");
	Troupe__Ping ping = TROUPE__PING__INIT;
	uint8_t id[16] = { 1, 2, 3 }, packed[128];
	struct envelope_head head;
	struct error e = { 0 };
	size_t len = troupe__envelope__pack(&env, packed);
	ck_assert_int_eq(envelope_peek(packed, len, &head, &e), 0);
	ck_assert_uint_eq(head.fields, 1u << 3 | 1u << 4);
	ck_assert_uint_eq(head.body, 0);
	ck_assert_ptr_null(head.id);

	troupe__envelope__init(&env);
	env.id = (ProtobufCBinaryData){ sizeof id, id };
	env.kind = TROUPE__KIND__ASK;
	env.body_case = TROUPE__ENVELOPE__BODY_PING;
	env.ping = &ping;
	len = troupe__envelope__pack(&env, packed);
	ck_assert_int_eq(envelope_peek(packed, len, &head, &e), 0);
	ck_assert_uint_eq(head.fields, 1u << 6 | 1u << 9);
	ck_assert_uint_eq(head.body, TROUPE__ENVELOPE__BODY_PING);
	ck_assert_mem_eq(head.id, id, sizeof id);

	ck_assert_int_eq(envelope_peek(packed, len - 1, &head, &e), ERROR_BAD_REQUEST);
	env.id.len = 15;
	len = troupe__envelope__pack(&env, packed);
	ck_assert_int_eq(envelope_peek(packed, len, &head, &e), ERROR_BAD_REQUEST);
	env = envelope_tell("", "\xff", "");
	len = troupe__envelope__pack(&env, packed);
	ck_assert_int_eq(envelope_peek(packed, len, &head, &e), ERROR_BAD_REQUEST);
}
END_TEST

START_TEST(an_error_crosses_the_wire_as_a_failure)
{
	struct error e, back;
	Troupe__Failure f;
	error_set(&e, ERROR_BUSY, "queue %s is full", "mail");
	error_cure(&e, "wait");
	error_retry(&e, 500);
	e.index = 3;
	failure_from_error(&f, &e);
	ck_assert_str_eq(f.name, "BUSY");
	error_from_failure(&back, &f);
	ck_assert_int_eq(back.code, ERROR_BUSY);
	ck_assert_str_eq(back.text, "queue mail is full");
	ck_assert_str_eq(back.cure, "wait");
	ck_assert(back.retryable);
	ck_assert_uint_eq(back.retry_after_ms, 500);
	ck_assert_uint_eq(back.index, 3);
}
END_TEST

START_TEST(a_failure_never_reads_as_success)
{
	struct error e;
	Troupe__Failure f = TROUPE__FAILURE__INIT;
	error_from_failure(&e, &f);
	ck_assert_int_eq(e.code, ERROR_INTERNAL);
	f.code = UINT32_MAX;
	error_from_failure(&e, &f);
	ck_assert_int_eq(e.code, ERROR_INTERNAL);
	f.code = 1000; /* of a later version */
	error_from_failure(&e, &f);
	ck_assert_int_eq(e.code, 1000);
	char text[1000];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	f.text = f.cure = text;
	error_from_failure(&e, &f);
	ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
	ck_assert_uint_eq(strlen(e.cure), sizeof(e.cure) - 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("codec");
	TCase *t = tcase_create("codec");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, given_arena, drop_arena);
	tcase_add_test(t, random_frames_come_back_as_they_were);
	tcase_add_test(t, an_empty_frame_is_a_frame);
	tcase_add_test(t, a_frame_cut_inside_a_part_is_refused);
	tcase_add_test(t, no_flipped_bit_does_harm);
	tcase_add_test(t, no_random_bytes_do_harm);
	tcase_add_test(t, strings_that_are_no_text_are_refused_and_named);
	tcase_add_test(t, addresses_and_ids_in_a_frame_are_checked);
	tcase_add_test(t, what_protobuf_forbids_is_malformed);
	tcase_add_test(t, unknown_fields_and_numbers_pass);
	tcase_add_test(t, a_frame_over_its_length_is_refused_unread);
	tcase_add_test(t, envelopes_are_counted_before_they_are_made);
	tcase_add_test(t, a_mebibyte_of_empty_messages_stays_under_the_cap_of_the_arena);
	tcase_add_test(t, a_full_frame_of_honest_messages_fits);
	tcase_add_test(t, a_written_frame_reads_back_and_leaves_its_head_free);
	tcase_add_test(t, a_writer_gives_the_bytes_of_a_packed_frame);
	tcase_add_test(t, a_lifeline_packet_has_the_same_checks);
	tcase_add_test(t, random_lifeline_packets_come_back_as_they_were);
	tcase_add_test(t, records_decode_by_their_descriptor_into_the_arena_given);
	tcase_add_test(t, messages_in_memory_are_checked_for_text);
	tcase_add_test(t, a_packed_envelope_says_its_fields_body_and_id);
	tcase_add_test(t, an_error_crosses_the_wire_as_a_failure);
	tcase_add_test(t, a_failure_never_reads_as_success);
	suite_add_tcase(s, t);
	return suite_run(s);
}
