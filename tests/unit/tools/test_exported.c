/* A task, the line that an export writes of it, and the task that is read from the line: the same. */
#include "tests/suite.h"
#include <stdio.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/rng.h"
#include "actors/tools/bulk.h"
#include "actors/tools/rows.h"
#include "actors/tools/spec_json.h"

static struct arena *arena;
static struct rng rng;
static struct error error;
static struct exported seen;

static void setup(void)
{
	arena = arena_new(8u << 20);
	rng_seed(&rng, 1);
}
static void teardown(void) { arena_unref(arena); }

static Troupe__TaskSpec *read_line(const char *text)
{
	struct bulk_defaults d = { .now_ms = 1000000, .exported = &seen };
	Troupe__TaskSpec *spec = NULL;
	memset(&error, 0, sizeof error);
	return bulk_line(text, strlen(text), 1, &d, arena, &spec, &error) == 0 ? spec : NULL;
}

static char *line_of(const Troupe__Task *t)
{
	json_t *row = row_of_bulk(t);
	ck_assert_ptr_nonnull(row);
	ck_assert(exported_write(row, t));
	char *line = row_json(row);
	json_decref(row);
	ck_assert_ptr_nonnull(line);
	return line;
}

static bool maybe(void) { return rng_below(&rng, 2); }

static ProtobufCBinaryData some_bytes(size_t most, bool text)
{
	ProtobufCBinaryData b = { rng_below(&rng, (uint32_t)most + 1), NULL };
	b.data = arena_alloc(arena, b.len + 1);
	for (size_t i = 0; i < b.len; i++)
		b.data[i] = (uint8_t)(text ? ' ' + rng_below(&rng, 95) : rng_below(&rng, 256));
	b.data[b.len] = 0;
	if (!b.len && !text)
		b.data = NULL;
	return b;
}

static char *some_text(size_t most)
{
	ProtobufCBinaryData b = some_bytes(most, true);
	return (char *)b.data;
}

/* Everything that a line of this tool can say, each member half of the time. */
static Troupe__Task *some_task(void)
{
	Troupe__Task *t = arena_alloc(arena, sizeof *t);
	Troupe__TaskSpec *s = arena_alloc(arena, sizeof *s);
	troupe__task__init(t);
	troupe__task_spec__init(s);
	t->spec = s;
	t->seq = rng_next(&rng) >> 40;
	t->submitted_at_ms = 1700000000000 + rng_below(&rng, 1000000000);
	t->submitter = some_text(40);
	t->state = (Troupe__TaskState)(1 + rng_below(&rng, 6));
	s->id = (ProtobufCBinaryData){ 16, arena_alloc(arena, 16) };
	for (unsigned i = 0; i < 16; i++)
		s->id.data[i] = (uint8_t)rng_next(&rng);
	s->queue = arena_string(arena, "emails");
	s->payload = some_bytes(60, maybe());
	s->content_type = maybe() ? some_text(20) : s->content_type;
	if (maybe()) {
		bool text = maybe();
		s->n_argv = 1 + rng_below(&rng, 4);
		s->argv = arena_alloc(arena, s->n_argv * sizeof *s->argv);
		for (size_t i = 0; i < s->n_argv; i++)
			s->argv[i] = some_bytes(20, text);
	}
	if (maybe()) {
		s->priority = arena_alloc(arena, sizeof *s->priority);
		troupe__level__init(s->priority);
		s->priority->value = maybe() ? 2000 : (uint32_t)rng_next(&rng);
	}
	s->delay_ms = maybe() ? rng_below(&rng, 1000000) : 0;
	s->run_at_ms = maybe() ? 1700000000000 + rng_below(&rng, 2000000000) : 0;
	s->timeout_ms = maybe() ? 1 + rng_below(&rng, 1000000) : 0;
	s->deadline_at_ms = maybe() ? 1700000000000 + rng_below(&rng, 2000000000) : 0;
	s->unique_key = maybe() ? arena_printf(arena, "k%s", some_text(20)) : s->unique_key;
	s->unique_mode = (Troupe__UniqueMode)rng_below(&rng, 3);
	s->unique_window_ms = maybe() ? 1 + rng_below(&rng, 1000000) : 0;
	s->traceparent = maybe() ? some_text(55) : s->traceparent;
	if (maybe()) {
		s->n_tags = 1 + rng_below(&rng, 3);
		s->tags = arena_alloc(arena, s->n_tags * sizeof *s->tags);
		for (size_t i = 0; i < s->n_tags; i++)
			s->tags[i] = arena_printf(arena, "t%s", some_text(10));
	}
	s->serial_key = maybe() ? arena_printf(arena, "s%s", some_text(20)) : s->serial_key;
	for (unsigned n = rng_below(&rng, 4); n; n--) {
		struct resource_amount r = { .amount = 1 + rng_next(&rng) / 4 };
		snprintf(r.name, sizeof r.name, "r%u", n);
		ck_assert_int_eq(spec_resource(&r, arena, s, &error), 0);
	}
	if (maybe()) {
		t->blocked = 1;
		s->hold_on_failure = maybe();
		for (unsigned n = 1 + rng_below(&rng, 3); n; n--) {
			struct id parent = { .b = { (uint8_t)n } };
			ck_assert_int_eq(spec_edge(&parent, (Troupe__EdgeOn)rng_below(&rng, 3), arena, s, &error), 0);
		}
	}
	if (maybe()) {
		Troupe__RetryPolicy *p = s->retry = arena_alloc(arena, sizeof *p);
		troupe__retry_policy__init(p);
		p->max_attempts = maybe() ? 1 + rng_below(&rng, 100) : 0;
		p->backoff = (Troupe__RetryPolicy__Backoff)rng_below(&rng, 3);
		p->base_ms = maybe() ? 1 + rng_below(&rng, 100000) : 0;
		p->cap_ms = maybe() ? 1 + rng_below(&rng, 100000000) : 0;
		p->factor_pct = maybe() ? 1 + rng_below(&rng, 1000) : 0;
		p->jitter_pct = maybe() ? 1 + rng_below(&rng, 100) : 0;
		p->n_delays_ms = rng_below(&rng, 4);
		p->delays_ms = arena_zalloc(arena, 4 * sizeof *p->delays_ms);
		for (size_t i = 0; i < p->n_delays_ms; i++)
			p->delays_ms[i] = rng_below(&rng, 100000);
		struct retry_rule rule;
		static const char *const rules[] = { "exit 3: dead", "signal 9: now", "timeout: later 30s" };
		for (size_t i = 0; i < ELEMENTS(rules); i++)
			ck_assert_msg(parse_retry_rule(rules[i], strlen(rules[i]), &rule, &error) == 0, "%s", error.text);
		if (maybe()) {
			const char *text = rules[rng_below(&rng, ELEMENTS(rules))];
			ck_assert_int_eq(parse_retry_rule(text, strlen(text), &rule, &error), 0);
			ck_assert_int_eq(spec_rules(&rule, 1, arena, s), 0);
		}
	}
	return t;
}

START_TEST(what_is_read_from_a_line_is_the_task_that_it_was_written_of)
{
	for (unsigned i = 0; i < 20000; i++) {
		arena_reset(arena);
		Troupe__Task *t = some_task();
		_cleanup_(freep) char *line = line_of(t);
		Troupe__TaskSpec *read = read_line(line);
		ck_assert_msg(read != NULL, "%s\n%s", error.text, line);
		ck_assert_msg(exported_same(t, read, arena), "another task: %s", line);
		ck_assert(seen.has_id);
		ck_assert_int_eq(seen.is_over, t->state == TROUPE__TASK_STATE__DONE || t->state == TROUPE__TASK_STATE__CANCELLED);

		/* And the line of that task is the same line, but for what is said for people. */
		Troupe__Task again = *t;
		again.spec = read;
		_cleanup_(freep) char *second = line_of(&again);
		ck_assert_str_eq(line, second);
	}
}
END_TEST

START_TEST(any_change_of_a_task_makes_it_another)
{
	for (unsigned i = 0; i < 2000; i++) {
		arena_reset(arena);
		Troupe__Task *t = some_task();
		_cleanup_(freep) char *line = line_of(t);
		Troupe__TaskSpec *read = read_line(line);
		ck_assert_ptr_nonnull(read);
		switch (i % 5) {
		case 0:
			t->spec->payload = (ProtobufCBinaryData){ 61, arena_zalloc(arena, 61) };
			break;
		case 1:
			t->spec->queue = arena_string(arena, "others");
			break;
		case 2:
			t->spec->id.data[3] ^= 1;
			break;
		case 3:
			t->spec->timeout_ms++;
			break;
		case 4:
			t->spec->run_at_ms = 1900000000000;
			t->spec->delay_ms = 0;
			break;
		}
		ck_assert_msg(!exported_same(t, read, arena), "%s", line);
	}
}
END_TEST

START_TEST(a_delay_is_told_as_the_time_at_which_it_ends)
{
	Troupe__Task *t = some_task();
	Troupe__TaskSpec *s = t->spec;
	t->submitted_at_ms = 1795167000000;
	s->delay_ms = 600000;
	s->run_at_ms = 0;
	_cleanup_(freep) char *line = line_of(t);
	ck_assert_msg(strstr(line, "\"run_at\":\"2026-11-20T09:40:00.000Z\"") != NULL, "%s", line);
	ck_assert_ptr_null(strstr(line, "\"delay\""));
	s->run_at_ms = 1795167000000 + 700000; /* the later one holds */
	_cleanup_(freep) char *other = line_of(t);
	ck_assert_msg(strstr(other, "\"run_at\":\"2026-11-20T09:41:40.000Z\"") != NULL, "%s", other);
}
END_TEST

START_TEST(what_a_line_says_wrongly_is_an_error_that_names_it)
{
	static const struct { const char *text, *says; } rows[] = {
		{ "{\"queue\":\"q\",\"payload\":1,\"deadline_at\":\"soon\"}", "soon" },
		{ "{\"queue\":\"q\",\"payload\":1,\"unique_window\":\"long\"}", "long" },
		{ "{\"queue\":\"q\",\"payload\":1,\"traceparent\":1}", "traceparent" },
		{ "{\"queue\":\"q\",\"payload\":1,\"backoff\":{}}", "backoff" },
		{ "{\"queue\":\"q\",\"payload\":1,\"backoff\":{\"kind\":\"cubic\"}}", "backoff" },
		{ "{\"queue\":\"q\",\"payload\":1,\"backoff\":{\"kind\":\"list\",\"delays\":[1]}}", "delays" },
		{ "{\"queue\":\"q\",\"payload\":1,\"backoff\":{\"kind\":\"linear\",\"jitter_pct\":-1}}", "jitter_pct" },
		{ "{\"queue\":\"q\",\"payload\":\"\",\"argv_base64\":[]}", "argv_base64" },
		{ "{\"queue\":\"q\",\"payload\":\"\",\"argv_base64\":[\"*\"]}", "argv_base64" },
		{ "{\"queue\":\"q\",\"argv\":[\"a\"],\"argv_base64\":[\"AAAA\"]}", "argv_base64" },
		{ "{\"queue\":\"q\",\"payload\":1,\"state\":2}", "state" },
	};
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		ck_assert_msg(!read_line(rows[i].text), "%s was taken", rows[i].text);
		ck_assert_msg(strstr(error.text, rows[i].says) != NULL, "%s: %s", rows[i].text, error.text);
	}
}
END_TEST

static Suite *exported_suite(void)
{
	Suite *s = suite_create("exported");
	TCase *c = tcase_create("exported");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, what_is_read_from_a_line_is_the_task_that_it_was_written_of);
	tcase_add_test(c, any_change_of_a_task_makes_it_another);
	tcase_add_test(c, a_delay_is_told_as_the_time_at_which_it_ends);
	tcase_add_test(c, what_a_line_says_wrongly_is_an_error_that_names_it);
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	return suite_run(exported_suite());
}
