/* The order of a mailbox, over random traffic. */
#include "tests/suite.h"
#include <stdint.h>
#include "common/actor/internal.h"

#define SENDERS 3
#define MESSAGES 400

static const Troupe__Urgency urgencies[] = {
	TROUPE__URGENCY__SUPERVISION, TROUPE__URGENCY__CONTROL, TROUPE__URGENCY__NORMAL, TROUPE__URGENCY__BULK, TROUPE__URGENCY__BACKGROUND,
};

/* A frame of n envelopes with random urgencies; lane_seq counts within the sender. */
static void frame_add(struct mailbox *b, struct rng *r, struct conn *c, uint64_t *seq, size_t n)
{
	struct arena *a = arena_new(1 << 20);
	Troupe__Envelope *env[16];
	for (size_t i = 0; i < n; i++) {
		env[i] = arena_alloc(a, sizeof *env[i]);
		troupe__envelope__init(env[i]);
		env[i]->priority = urgencies[rng_below(r, 5)];
		env[i]->lane_seq = ++*seq;
	}
	ck_assert_int_eq(mailbox_add(b, c, a, env, n, 0), 0);
	arena_unref(a);
}

START_TEST(the_most_urgent_comes_first_and_a_senders_messages_keep_their_order_within_an_urgency)
{
	static struct conn conns[SENDERS];
	for (uint64_t seed = 1; seed <= 30; seed++) {
		struct mailbox b;
		struct rng r;
		uint64_t sent[SENDERS] = { 0 }, last[SENDERS][LANES] = { 0 };
		size_t n = 0, popped = 0;
		rng_seed(&r, seed);
		mailbox_init(&b, 10000, 1 << 24);
		while (n < MESSAGES) {
			size_t who = rng_below(&r, SENDERS), many = 1 + rng_below(&r, 16);
			frame_add(&b, &r, &conns[who], &sent[who], many);
			n += many;
			for (size_t i = rng_below(&r, 20); i > 0 && b.n; i--) {
				struct mail *m = mailbox_pop(&b);
				size_t from = (size_t)(m->conn - conns);
				int lane = urgency_lane(m->env->priority);
				for (int l = 0; l < lane; l++)
					ck_assert_ptr_null(b.head[l]);
				ck_assert_uint_gt(m->env->lane_seq, last[from][lane]);
				last[from][lane] = m->env->lane_seq;
				mail_free(m);
				popped++;
			}
			ck_assert_uint_eq(b.n, n - popped);
		}
		int lane = 0;
		for (struct mail *m; (m = mailbox_pop(&b)); mail_free(m), popped++) {
			ck_assert_int_ge(urgency_lane(m->env->priority), lane);
			lane = urgency_lane(m->env->priority);
		}
		ck_assert_uint_eq(popped, n);
		ck_assert_uint_eq(b.bytes, 0);
		mailbox_fini(&b);
	}
}
END_TEST

START_TEST(a_mailbox_is_full_by_messages_or_by_the_memory_that_they_take)
{
	struct rng r;
	struct mailbox b;
	uint64_t seq = 0;
	rng_seed(&r, 1);
	mailbox_init(&b, 10, 1 << 24);
	frame_add(&b, &r, NULL, &seq, 9);
	ck_assert(!mailbox_full(&b));
	frame_add(&b, &r, NULL, &seq, 1);
	ck_assert(mailbox_full(&b) && !mailbox_half(&b) && !mailbox_overrun(&b));
	frame_add(&b, &r, NULL, &seq, 10);
	ck_assert(mailbox_overrun(&b));
	while (b.n > 5)
		mail_free(mailbox_pop(&b));
	ck_assert(mailbox_half(&b));
	mailbox_fini(&b);

	mailbox_init(&b, 10000, 4096);
	while (!mailbox_full(&b))
		frame_add(&b, &r, NULL, &seq, 4);
	ck_assert_uint_lt(b.n, 40);
	mailbox_fini(&b);
}
END_TEST

START_TEST(an_urgency_that_nobody_knows_is_normal)
{
	ck_assert_int_eq(urgency_lane((Troupe__Urgency)77), urgency_lane(TROUPE__URGENCY__NORMAL));
	ck_assert_int_eq(urgency_lane((Troupe__Urgency)-1), urgency_lane(TROUPE__URGENCY__NORMAL));
}
END_TEST

static Suite *mailbox_suite(void)
{
	Suite *s = suite_create("mailbox");
	TCase *c = tcase_create("mailbox");
	tcase_add_test(c, the_most_urgent_comes_first_and_a_senders_messages_keep_their_order_within_an_urgency);
	tcase_add_test(c, a_mailbox_is_full_by_messages_or_by_the_memory_that_they_take);
	tcase_add_test(c, an_urgency_that_nobody_knows_is_normal);
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	return suite_run(mailbox_suite());
}
