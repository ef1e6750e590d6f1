/* The event log, on a real store, without a process: each question and each append is one message of a turn. */
#include "tests/suite.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "actors/topic/follow.h"
#include "actors/topic/topic.h"
#include "common/actor/turn_fake.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"

#define WALL 1700000000000u
static char dir[64];
static struct store *store;
static struct turn_fake *fake;
static struct turn *t;
static struct topic *topic;
static uint64_t now_ms;
static Troupe__Setup the_setup;
static Troupe__TopicSetup keep;
static char answer_text[4096];

static void opens(void)
{
	struct error e = { 0 };
	struct store_config c = { .dir = dir, .tables = topic_def.tables, .version = topic_def.store_version };
	ck_assert_int_eq(store_open(&c, &store, &e), 0);
	ck_assert_int_eq(topic_open(store, &the_setup, &topic, &e), 0);
	fake = turn_fake_new(store, now_ms, WALL + now_ms);
	t = turn_fake_turn(fake);
}

static void closes(void)
{
	fake = turn_fake_free(fake);
	topic_def.fini(topic);
	store = store_close(store);
}

static void setup(void)
{
	snprintf(dir, sizeof dir, "/tmp/troupe-topic-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	troupe__setup__init(&the_setup);
	troupe__topic_setup__init(&keep);
	the_setup.topic = &keep;
	the_setup.state_dir = dir;
	now_ms = 1000;
	opens();
}

static void teardown(void)
{
	char path[96];
	closes();
	snprintf(path, sizeof path, "%s/data.mdb", dir);
	unlink(path);
	snprintf(path, sizeof path, "%s/lock.mdb", dir);
	unlink(path);
	rmdir(dir);
}

static void time_passes(uint64_t ms)
{
	now_ms += ms;
	turn_fake_clock(fake, now_ms, WALL + now_ms);
}

static int handle(int verb, const Troupe__Envelope *env, uint64_t peer)
{
	struct message m = { .env = env, .sender = { .peer = peer, .address = "" }, .received_ms = now_ms };
	for (const struct actor_handler *h = topic_def.handlers; h->verb; h++)
		if (h->verb == verb)
			return h->on(t, topic, &m);
	ck_abort_msg("no handler");
}

/* What went to peers, as text: "9: 1 2 3 next 3" or "9: error BUSY"; the wake that was wished is kept in wished_ms. */
static uint64_t wished_ms;
static const char *said(void)
{
	const struct effect_view *v;
	size_t n = turn_fake_effects(fake, &v), at = 0;
	*answer_text = '\0';
	wished_ms = TIME_NEVER;
	for (size_t i = 0; i < n; i++) {
		if (v[i].kind == EFFECT_WAKE && v[i].number < wished_ms)
			wished_ms = v[i].number;
		if (v[i].kind == EFFECT_CONTROL)
			at += (size_t)snprintf(answer_text + at, sizeof answer_text - at, "control ");
		if (v[i].kind != EFFECT_SEND)
			continue;
		at += (size_t)snprintf(answer_text + at, sizeof answer_text - at, "%s%llu:", at ? " | " : "", (unsigned long long)v[i].peer);
		const Troupe__Envelope *env = v[i].env;
		if (env->body_case == TROUPE__ENVELOPE__BODY_PUBLISHED)
			at += (size_t)snprintf(answer_text + at, sizeof answer_text - at, " %llu to %llu", (unsigned long long)env->published->first,
			                       (unsigned long long)env->published->last);
		if (env->body_case != TROUPE__ENVELOPE__BODY_TOPIC_ROWS)
			continue;
		const Troupe__TopicRows *r = env->topic_rows;
		for (size_t j = 0; j < r->n_events; j++)
			at += (size_t)snprintf(answer_text + at, sizeof answer_text - at, " %llu%s", (unsigned long long)r->events[j]->offset,
			                       strcmp(r->events[j]->type, "topic.damaged") == 0 ? "!" : "");
		at += (size_t)snprintf(answer_text + at, sizeof answer_text - at, " next %llu", (unsigned long long)r->next);
		if (r->gap)
			at += (size_t)snprintf(answer_text + at, sizeof answer_text - at, " gap %llu", (unsigned long long)r->oldest);
	}
	return answer_text;
}

static void commits(void)
{
	ck_assert_int_eq(topic_def.settle(t, topic), 0);
	said();
	ck_assert_int_eq(turn_fake_commit(fake), 0);
}

static int publish(unsigned n, const char *type, size_t text)
{
	static uint8_t id[16] = { 7 };
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Publish p = TROUPE__PUBLISH__INIT;
	Troupe__Event *events = calloc(n, sizeof *events), **list = calloc(n, sizeof *list);
	char *filler = calloc(1, text + 1);
	memset(filler, 'x', text);
	for (unsigned i = 0; i < n; i++) {
		troupe__event__init(&events[i]);
		events[i].type = (char *)type;
		events[i].text = filler;
		list[i] = &events[i];
	}
	p.events = list;
	p.n_events = n;
	env.kind = TROUPE__KIND__ASK;
	env.id = (ProtobufCBinaryData){ 16, id };
	env.body_case = TROUPE__ENVELOPE__BODY_PUBLISH;
	env.publish = &p;
	int r = handle(TROUPE__ENVELOPE__BODY_PUBLISH, &env, 5);
	free(events);
	free(list);
	free(filler);
	return r;
}

static void appends(unsigned n)
{
	ck_assert_int_eq(publish(n, "actor.up", 10), 0);
	ck_assert_int_eq(turn_fake_commit(fake), 0);
	commits();
}

static int ask(uint64_t peer, Troupe__TopicAsk q)
{
	static uint8_t id[16] = { 8 };
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.kind = TROUPE__KIND__ASK;
	env.id = (ProtobufCBinaryData){ 16, id };
	env.body_case = TROUPE__ENVELOPE__BODY_TOPIC_ASK;
	env.topic_ask = &q;
	return handle(TROUPE__ENVELOPE__BODY_TOPIC_ASK, &env, peer);
}
static Troupe__TopicAsk question(Troupe__TopicAsk q)
{
	q.base = (ProtobufCMessage)PROTOBUF_C_MESSAGE_INIT(&troupe__topic_ask__descriptor);
	if (!q.type_prefix)
		q.type_prefix = (char *)"";
	return q;
}
#define QUESTION(...) question((Troupe__TopicAsk){ __VA_ARGS__ })

static void answers(Troupe__TopicAsk q, const char *want)
{
	ck_assert_int_eq(ask(9, q), 0);
	ck_assert_str_eq(said(), want);
	ck_assert_int_eq(turn_fake_commit(fake), 0);
}

START_TEST(offsets_begin_at_1_have_no_holes_and_go_on_after_a_restart)
{
	ck_assert_int_eq(publish(3, "a", 1), 0);
	ck_assert_str_eq(said(), "5: 1 to 3");
	ck_assert_int_eq(turn_fake_commit(fake), 0);
	commits();
	closes();
	opens();
	ck_assert_int_eq(publish(2, "a", 1), 0);
	ck_assert_str_eq(said(), "5: 4 to 5");
	ck_assert_int_eq(turn_fake_commit(fake), 0);
	commits();
	answers(QUESTION(.after = 0), "9: 1 2 3 4 5 next 5");
}
END_TEST

START_TEST(an_event_of_the_supervisor_is_acknowledged_with_its_append)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Event ev = TROUPE__EVENT__INIT;
	ev.type = (char *)"actor.down";
	c.ref = 77;
	c.body_case = TROUPE__CONTROL__BODY_EVENT;
	c.event = &ev;
	ck_assert_int_eq(topic_def.on_control(t, topic, &c), 0);
	ck_assert_str_eq(said(), "control ");
	ck_assert_int_eq(turn_fake_commit(fake), 0);
	commits();
	answers(QUESTION(.after = 0), "9: 1 next 1");
}
END_TEST

START_TEST(a_reader_pages_through_by_its_cursor)
{
	appends(7);
	answers(QUESTION(.after = 0, .limit = 3), "9: 1 2 3 next 3");
	answers(QUESTION(.after = 3, .limit = 3), "9: 4 5 6 next 6");
	answers(QUESTION(.after = 6, .limit = 3), "9: 7 next 7");
	answers(QUESTION(.after = 7, .limit = 3), "9: next 7");
	answers(QUESTION(.from_end = true), "9: next 7");
	answers(QUESTION(.tail = 2), "9: 6 7 next 7");
	answers(QUESTION(.tail = 100), "9: 1 2 3 4 5 6 7 next 7");
}
END_TEST

START_TEST(a_type_prefix_chooses_and_the_cursor_passes_what_it_left_out)
{
	appends(2);
	ck_assert_int_eq(publish(1, "queue.paused", 1), 0);
	ck_assert_int_eq(turn_fake_commit(fake), 0);
	commits();
	appends(2);
	answers(QUESTION(.type_prefix = (char *)"queue."), "9: 3 next 5");
	answers(QUESTION(.type_prefix = (char *)"queue.", .tail = 1), "9: 3 next 5");
	answers(QUESTION(.type_prefix = (char *)"none", .after = 2), "9: next 5");
}
END_TEST

START_TEST(a_page_is_bounded_in_bytes_and_the_next_goes_on)
{
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(publish(10, "big", 30000), 0);
		ck_assert_int_eq(turn_fake_commit(fake), 0);
		commits();
	}
	ck_assert_int_eq(ask(9, QUESTION(.limit = 1000)), 0);
	const struct effect_view *v;
	ck_assert_uint_ge(turn_fake_effects(fake, &v), 1);
	ck_assert_uint_eq(v[0].env->topic_rows->n_events, 17);
	ck_assert_uint_eq(v[0].env->topic_rows->next, 17);
	turn_fake_drop(fake);
	ck_assert_int_eq(ask(9, QUESTION(.after = 17, .limit = 1000)), 0);
	ck_assert_uint_ge(turn_fake_effects(fake, &v), 1);
	ck_assert_uint_eq(v[0].env->topic_rows->next, 30);
	turn_fake_drop(fake);
}
END_TEST

START_TEST(too_many_or_too_large_events_are_refused_and_leave_nothing)
{
	ck_assert_int_eq(publish(0, "a", 1), ERROR_BAD_REQUEST);
	ck_assert_int_eq(publish(TOPIC_PUBLISH_MAX + 1, "a", 1), ERROR_TOO_LARGE);
	ck_assert_int_eq(publish(1, "a", TOPIC_EVENT_MAX), ERROR_TOO_LARGE);
	turn_fake_drop(fake);
	commits();
	answers(QUESTION(.after = 0), "9: next 0");
	char prefix[FOLLOW_PREFIX_MAX + 2];
	memset(prefix, 'p', sizeof prefix);
	prefix[sizeof prefix - 1] = '\0';
	ck_assert_int_eq(ask(9, QUESTION(.type_prefix = prefix)), ERROR_TOO_LARGE);
}
END_TEST

START_TEST(a_follower_hears_of_an_append_in_the_turn_that_commits_it)
{
	appends(2);
	answers(QUESTION(.after = 2, .follow_ms = 5000), "");
	ck_assert_int_eq(publish(1, "actor.up", 1), 0);
	ck_assert_str_eq(said(), "5: 3 to 3");
	ck_assert_int_eq(turn_fake_commit(fake), 0);
	ck_assert_int_eq(topic_def.settle(t, topic), 0);
	ck_assert_str_eq(said(), "9: 3 next 3");
	ck_assert_int_eq(turn_fake_commit(fake), 0);
	appends(1);
	ck_assert_str_eq(answer_text, "");
}
END_TEST

START_TEST(a_follower_whose_prefix_does_not_match_goes_on_waiting_and_gets_an_empty_page_in_the_end)
{
	ck_assert_int_eq(ask(9, QUESTION(.follow_ms = 5000, .type_prefix = (char *)"queue.")), 0);
	said();
	ck_assert_uint_eq(wished_ms, now_ms + 5000);
	ck_assert_int_eq(turn_fake_commit(fake), 0);
	appends(3);
	ck_assert_str_eq(answer_text, "");
	time_passes(4999);
	ck_assert_int_eq(topic_def.on_wake(t, topic, now_ms), 0);
	ck_assert_str_eq(said(), "");
	time_passes(1);
	ck_assert_int_eq(topic_def.on_wake(t, topic, now_ms), 0);
	ck_assert_str_eq(said(), "9: next 3");
}
END_TEST

START_TEST(followers_are_bounded_and_a_client_that_left_makes_room)
{
	for (unsigned i = 0; i < FOLLOWERS_A_PEER; i++)
		ck_assert_int_eq(ask(9, QUESTION(.follow_ms = 5000)), 0);
	ck_assert_int_eq(ask(9, QUESTION(.follow_ms = 5000)), ERROR_BUSY);
	turn_fake_drop(fake);
	ck_assert_int_eq(topic_def.on_client_gone(t, topic, 9), 0);
	ck_assert_int_eq(ask(9, QUESTION(.follow_ms = 5000)), 0);
	for (unsigned i = 1; i < FOLLOWERS_MAX; i++)
		ck_assert_int_eq(ask(100 + i, QUESTION(.follow_ms = 5000)), 0);
	ck_assert_int_eq(ask(10, QUESTION(.follow_ms = 5000)), ERROR_BUSY);
	ck_assert_int_eq(ask(10, QUESTION(.after = 0)), 0);
}
END_TEST

static void retention_runs(void)
{
	time_passes(100);
	topic_def.on_reload(t, topic, &the_setup);
	time_passes(100);
	ck_assert_int_eq(topic_def.on_wake(t, topic, now_ms), 0);
	said();
	ck_assert_int_eq(turn_fake_commit(fake), 0);
	commits();
}

START_TEST(what_is_older_than_keep_ms_goes_and_an_old_cursor_is_told_of_the_gap)
{
	keep.keep_ms = 60000;
	appends(3);
	time_passes(50000);
	appends(2);
	time_passes(20000);
	retention_runs();
	answers(QUESTION(.after = 0), "9: 4 5 next 5");
	answers(QUESTION(.after = 1), "9: 4 5 next 5 gap 4");
	answers(QUESTION(.after = 3), "9: 4 5 next 5");
	answers(QUESTION(.after = 77), "9: next 5 gap 4");
	time_passes(60000);
	retention_runs();
	answers(QUESTION(.after = 0), "9: next 5");
	closes();
	opens();
	appends(1);
	answers(QUESTION(.after = 5), "9: 6 next 6");
}
END_TEST

START_TEST(what_is_over_keep_bytes_goes_in_slices)
{
	keep.keep_bytes = 20000;
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(publish(500, "a", 100), 0);
		ck_assert_int_eq(turn_fake_commit(fake), 0);
		commits();
	}
	retention_runs();
	answers(QUESTION(.after = 0, .limit = 1), "9: 501 next 501");
	ck_assert_uint_ge(wished_ms, now_ms);
	for (int i = 0; i < 4; i++)
		retention_runs();
	ck_assert_int_eq(ask(9, QUESTION(.after = 0, .limit = 1)), 0);
	const struct effect_view *v;
	turn_fake_effects(fake, &v);
	ck_assert_uint_gt(v[0].env->topic_rows->oldest, 1800);
	ck_assert_uint_le(v[0].env->topic_rows->oldest, 1900);
}
END_TEST

/* Flips a bit of the event with this text, in all versions of its page. */
static void damage(const char *text)
{
	char path[96];
	snprintf(path, sizeof path, "%s/data.mdb", dir);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	off_t size = lseek(fd, 0, SEEK_END);
	char *all = malloc((size_t)size);
	ck_assert_int_eq(pread(fd, all, (size_t)size, 0), size);
	for (char *at = all; (at = memmem(at, (size_t)(all + size - at), text, strlen(text))); at++) {
		char flipped = (char)(*at ^ 1);
		ck_assert_int_eq(pwrite(fd, &flipped, 1, at - all), 1);
	}
	free(all);
	close(fd);
}

START_TEST(a_damaged_row_is_shown_as_damaged_and_hides_no_other)
{
	appends(1);
	ck_assert_int_eq(publish(1, "marked.type", 1), 0);
	ck_assert_int_eq(turn_fake_commit(fake), 0);
	commits();
	appends(1);
	closes();
	damage("marked.type");
	opens();
	answers(QUESTION(.after = 0), "9: 1 2! 3 next 3");
	keep.keep_ms = 1000;
	time_passes(5000);
	retention_runs();
	answers(QUESTION(.after = 0), "9: next 3");
}
END_TEST

static Suite *topic_suite(void)
{
	Suite *s = suite_create("topic");
	TCase *c = tcase_create("topic");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 30);
	tcase_add_test(c, offsets_begin_at_1_have_no_holes_and_go_on_after_a_restart);
	tcase_add_test(c, an_event_of_the_supervisor_is_acknowledged_with_its_append);
	tcase_add_test(c, a_reader_pages_through_by_its_cursor);
	tcase_add_test(c, a_type_prefix_chooses_and_the_cursor_passes_what_it_left_out);
	tcase_add_test(c, a_page_is_bounded_in_bytes_and_the_next_goes_on);
	tcase_add_test(c, too_many_or_too_large_events_are_refused_and_leave_nothing);
	tcase_add_test(c, a_follower_hears_of_an_append_in_the_turn_that_commits_it);
	tcase_add_test(c, a_follower_whose_prefix_does_not_match_goes_on_waiting_and_gets_an_empty_page_in_the_end);
	tcase_add_test(c, followers_are_bounded_and_a_client_that_left_makes_room);
	tcase_add_test(c, what_is_older_than_keep_ms_goes_and_an_old_cursor_is_told_of_the_gap);
	tcase_add_test(c, what_is_over_keep_bytes_goes_in_slices);
	tcase_add_test(c, a_damaged_row_is_shown_as_damaged_and_hides_no_other);
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	return suite_run(topic_suite());
}
