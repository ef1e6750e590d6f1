/* Random trees, random stimuli: what must hold whatever happens. The scenario runner itself aborts on two live incarnations of one id, on a signal for a dead
 * one, on an answer too many. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/rng.h"
#include "tests/suite.h"
#include "tests/supervision/scenario.h"

#define SEEDS 300 /* or $TROUPE_SEEDS */
#define STIMULI 120

static uint64_t seeds(uint64_t part)
{
	const char *wanted = getenv("TROUPE_SEEDS");
	return (wanted ? strtoull(wanted, NULL, 10) : SEEDS) / part;
}

static const char *pick(struct rng *r, const char *const *of, size_t n)
{
	return of[rng_below(r, n)];
}
#define PICK(r, ...) pick(r, (const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

static const char *random_shutdown(struct rng *r)
{
	return PICK(r, "", "", "(brutal)", "(shutdown=infinity)", "(shutdown=zero)", "(limit=1/10)", "(start=300 term=50)", "(limit=2/5 escalate)", "(v=1)", "(v=2 shutdown=700)");
}

/* significant: the supervisor shuts down automatically, so its children may be. */
static void children_random(struct rng *r, char *out, size_t room, int depth, bool significant, int *n)
{
	size_t n_children = 1 + rng_below(r, 4);
	for (size_t i = 0; i < n_children; i++) {
		size_t at = strlen(out);
		const char *automatic = PICK(r, "", "", "any ", "all ");
		if (depth < 3 && rng_below(r, 4) == 0) {
			snprintf(out + at, room - at, " s%d%s%s %s %s%s [", (*n)++, PICK(r, "", ":T", ":P", ":X"), PICK(r, "", "(shutdown=300)", "(brutal)"), PICK(r, "ofo", "ofa", "rfo", "pool"),
				 automatic, PICK(r, "", "1/5", "3/10 keep", "0/10"));
			children_random(r, out, room, depth + 1, *automatic != 0, n);
			at = strlen(out);
			snprintf(out + at, room - at, " ]");
		} else if (depth < 3 && rng_below(r, 8) == 0) {
			snprintf(out + at, room - at, " d%d dyn %s [t%d%s%s]", *n, PICK(r, "", "3/10 keep", "max=3 2/5"), *n, PICK(r, "", ":T", ":X"), random_shutdown(r));
			(*n)++;
		} else {
			const char *type = PICK(r, "", "", ":T", ":X");
			snprintf(out + at, room - at, " c%d%s%s%s", (*n)++, type, significant && *type && rng_below(r, 2) ? "!" : "", random_shutdown(r));
		}
	}
}

static void random_text(struct rng *r, char *text, size_t size)
{
	int n = 0;
	snprintf(text, size, "root %s %s [", PICK(r, "ofo", "ofa", "rfo"), PICK(r, "", "", "5/10 keep"));
	children_random(r, text, size, 0, false, &n);
	snprintf(text + strlen(text), size - strlen(text), " ]");
}

static struct scenario *random_tree(struct rng *r, uint64_t seed)
{
	char text[8192];
	random_text(r, text, sizeof(text));
	return scenario_new(PICK(r, "ours", "ours backoff", "otp"), text, seed);
}

/* Somebody looks ahead; it must change nothing (the second core would tell). */
static void imagined(void *arg, const struct action *a, uint64_t after_ms)
{
	(*(unsigned *)arg)++;
}

static void imagine(struct rng *r, struct scenario *s, struct child *c)
{
	unsigned n = 0;
	struct event e = { .kind = EVENT_ORDER, .order = (enum order)rng_below(r, ORDER_N), .name = c->name };
	if (!c->sup && child_is_alive(c))
		e = (struct event){ .kind = EVENT_ENDED, .child = c, .incarnation = c->incarnation, .reason = rng_below(r, 2) ? REASON_CORE : REASON_NORMAL, .pending = rng_below(r, 4) == 0 };
	ck_assert_int_eq(tree_what_if(scenario_tree(s), &e, 60000, imagined, &n), 0);
}

static struct child *random_child(struct rng *r, struct tree *t)
{
	struct child *c = tree_root(t);
	for (uint64_t i = rng_below(r, 30); i > 0; i--) {
		c = tree_next(t, c);
		if (!c)
			c = tree_root(t);
	}
	return c;
}

static bool has_process(const struct child *c)
{
	return !c->sup && child_is_alive(c);
}

static void random_stimulus(struct rng *r, struct scenario *s, int *n_added)
{
	char line[8400];
	struct child *c = random_child(r, scenario_tree(s));
	switch (rng_below(r, 16)) {
	case 0:
	case 1:
	case 2:
		if (!has_process(c))
			return;
		snprintf(line, sizeof(line), "%s %s%s", PICK(r, "crash", "normal", "bye", "oom", "hung", "fatal", "extend", "linked", c->ready ? "die" : "noexec"), c->name, "");
		break;
	case 3:
		snprintf(line, sizeof(line), "wait %" PRIu64, rng_below(r, 2000));
		break;
	case 4:
	case 5:
	case 6:
		snprintf(line, sizeof(line), "%s %s", PICK(r, "start", "stop", "restart", "kill", "delete", "force", "forcestop", "count", "spec"), c->name);
		break;
	case 7:
		snprintf(line, sizeof(line), "slow %s %" PRIu64, c->name, rng_below(r, 500));
		break;
	case 8:
		snprintf(line, sizeof(line), "lazy %s %" PRIu64, c->name, rng_below(r, 500));
		break;
	case 9:
		snprintf(line, sizeof(line), "%s %s", PICK(r, "deaf", "stubborn", "ignore", "willing", "willing", "pending", "undying"), c->name);
		break;
	case 10:
		snprintf(line, sizeof(line), rng_below(r, 4) ? "fail %s %" PRIu64 : "early %s %" PRIu64, c->name, rng_below(r, 3));
		break;
	case 11:
		imagine(r, s, c);
		return;
	case 12:
		snprintf(line, sizeof(line), "%s %s/%s%s", PICK(r, "start", "stop", "kill", "delete", "spec"), PICK(r, "root", "s1", "d2", "d3", "nobody", c->above ? c->above->name : "root"), c->name,
			 PICK(r, "", ".now", ".old"));
		break;
	case 13: {
		char text[8192];
		random_text(r, text, sizeof(text));
		snprintf(line, sizeof(line), "reload %s%s%s", PICK(r, "", "", "dry "), PICK(r, "", "restart "), text);
		break;
	}
	case 14:
		snprintf(line, sizeof(line), "%s %s", PICK(r, "stale", "prove", "extend"), c->name);
		break;
	default:
		if (!c->sup)
			return;
		snprintf(line, sizeof(line), "add %s n%d%s", c->name, (*n_added)++, PICK(r, "", ":T", ":X"));
		break;
	}
	scenario_do(s, line);
}

static void states_must_agree(struct scenario *s)
{
	struct tree *t = scenario_tree(s);
	for (const struct child *c = tree_next(t, NULL); c; c = tree_next(t, c)) {
		ck_assert_ptr_eq(tree_find(t, c->name), c);
		/* Who waits has a reason: time, order, proof, or victims that still end. A retry is never lost. */
		if (c->state == CHILD_WAITING && c->above && (c->above->state == CHILD_STOPPED || c->above->state == CHILD_DONE))
			ck_abort_msg("%s waits under a supervisor that is not there", c->name);
		if (has_process(c) && !child_is_alive(c->above) && !c->stuck)
			ck_abort_msg("%s lives under a supervisor that has ended", c->name);
		if (c->sup && c->state == CHILD_UP)
			for (const struct child *k = c->sup->first; k; k = k->next)
				ck_assert(!k->core.first || k->core.dormant);
		if (c->spec.give_up.intensity != INTENSITY_UNLIMITED)
			ck_assert_uint_le(c->window.n, c->spec.give_up.intensity + 1);
	}
}

/* Somebody who needs a last push: a corpse without a proof, or a process that a willing script will not end any more. */
static struct child *somebody_left(struct tree *t)
{
	for (struct child *c = tree_next(t, NULL); c; c = tree_next(t, c))
		if (c->pending || (has_process(c) && (c->state == CHILD_STOPPING || c->state == CHILD_DYING)))
			return c;
	return NULL;
}

static void everybody_is_willing(struct scenario *s)
{
	char line[256];
	struct tree *t = scenario_tree(s);
	scenario_all_willing(s);
	for (struct child *c; tree_root(t)->state != CHILD_STOPPED && (c = somebody_left(t));) {
		snprintf(line, sizeof(line), "%s %s", c->pending ? "prove" : "die", c->name);
		scenario_do(s, line);
	}
}

static uint64_t one_life(uint64_t seed, bool end)
{
	struct rng r;
	rng_seed(&r, seed);
	struct scenario *s = random_tree(&r, seed);
	int n_added = 0;
	scenario_do(s, "boot");
	for (int i = 0; i < STIMULI && !strstr(scenario_do(s, "wait 0"), "EXIT"); i++) {
		if (tree_root(scenario_tree(s))->state == CHILD_STOPPED)
			break;
		random_stimulus(&r, s, &n_added);
		states_must_agree(s);
	}
	if (tree_root(scenario_tree(s))->state != CHILD_STOPPED && end) {
		everybody_is_willing(s);
		scenario_drain(s, 600000);
		states_must_agree(s);
	}
	if (tree_root(scenario_tree(s))->state != CHILD_STOPPED && end) {
		/* With everybody willing nobody is left between two states. */
		for (const struct child *c = tree_next(scenario_tree(s), NULL); c; c = tree_next(scenario_tree(s), c))
			if (c->state != CHILD_UP && c->state != CHILD_STOPPED && c->state != CHILD_DONE && c->state != CHILD_FAILED && !(c->above && c->above->state != CHILD_UP))
				ck_abort_msg("seed %" PRIu64 ": %s is still %s", seed, c->name, child_state_name(c->state));
		scenario_do(s, "shutdown");
		scenario_drain(s, 60000);
		ck_assert_int_eq(tree_root(scenario_tree(s))->state, CHILD_STOPPED);
	}
	uint64_t hash = scenario_hash(s);
	scenario_free(s);
	return hash;
}

START_TEST(nothing_gets_stuck_and_no_id_lives_twice)
{
	for (uint64_t seed = 1; seed <= seeds(1); seed++)
		one_life(seed, true);
}
END_TEST

START_TEST(the_same_events_give_the_same_actions)
{
	for (uint64_t seed = 1; seed <= seeds(3); seed++)
		ck_assert_uint_eq(one_life(seed, false), one_life(seed, false));
}
END_TEST

START_TEST(the_stop_order_is_the_reverse_of_the_start_order)
{
	for (uint64_t seed = 1; seed <= seeds(1); seed++) {
		struct rng r;
		rng_seed(&r, seed);
		char text[512] = "root rfo [", expected[1024] = "", name[16];
		int n = 1 + (int)rng_below(&r, 12);
		for (int i = 0; i < n; i++)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), " c%d", (int)(rng_below(&r, 1000) * 100 + (unsigned)i));
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " ]");
		struct scenario *s = scenario_new("ours", text, seed);
		scenario_do(s, "boot");
		for (const struct child *c = tree_root(scenario_tree(s))->sup->last; c; c = c->prev)
			snprintf(expected + strlen(expected), sizeof(expected) - strlen(expected), "-%s(shutdown) ", c->name);
		snprintf(expected + strlen(expected), sizeof(expected) - strlen(expected), "root=shutdown EXIT(0)");
		snprintf(name, sizeof(name), "shutdown");
		ck_assert_str_eq(scenario_do(s, name), expected);
		scenario_free(s);
	}
}
END_TEST

START_TEST(in_every_window_there_are_at_most_intensity_restarts)
{
	for (uint64_t seed = 1; seed <= seeds(1); seed++) {
		struct rng r;
		rng_seed(&r, seed);
		uint64_t intensity = rng_below(&r, 5), period = 1 + rng_below(&r, 3000), at[512];
		char text[128];
		snprintf(text, sizeof(text), "top ofo 1000/1000 [ S %s %" PRIu64 "/%" PRIu64 "ms [ a b ] ]", PICK(&r, "ofo", "ofa", "rfo"), intensity, period);
		struct scenario *s = scenario_new("otp", text, seed);
		scenario_do(s, "boot");
		size_t n = 0;
		for (int i = 0; i < 400; i++) {
			char line[32];
			snprintf(line, sizeof(line), "wait %" PRIu64, rng_below(&r, 1 + period / (intensity + 1)));
			scenario_do(s, line);
			const char *trace = scenario_do(s, rng_below(&r, 2) ? "crash a" : "crash b");
			if (strstr(trace, "S=")) {
				n = 0; /* a new life of S has an empty window */
				continue;
			}
			at[n++] = scenario_now(s);
			if (n > intensity)
				ck_assert_uint_gt(at[n - 1] - at[n - 1 - intensity], period);
		}
		scenario_free(s);
	}
}
END_TEST

START_TEST(a_thousand_children_start_and_stop)
{
	static char text[1000 * 8 + 64];
	snprintf(text, sizeof(text), "root ofo [ p pool [");
	for (int i = 0; i < 500; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " p%d", i);
	snprintf(text + strlen(text), sizeof(text) - strlen(text), " ] o rfo [");
	for (int i = 0; i < 500; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " o%d", i);
	snprintf(text + strlen(text), sizeof(text) - strlen(text), " ] ]");
	struct scenario *s = scenario_new("ours", text, 1);
	ck_assert_ptr_nonnull(strstr(scenario_do(s, "facts; boot"), "+o499 +o +root UP"));
	ck_assert_ptr_nonnull(strstr(scenario_do(s, "crash o0"), "+o499"));
	ck_assert_ptr_nonnull(strstr(scenario_do(s, "shutdown"), "EXIT(0)"));
	scenario_free(s);
}
END_TEST

static Suite *property_suite(void)
{
	Suite *s = suite_create("property");
	TCase *c = tcase_create("scenarios");
	tcase_add_test(c, nothing_gets_stuck_and_no_id_lives_twice);
	tcase_add_test(c, the_same_events_give_the_same_actions);
	tcase_add_test(c, the_stop_order_is_the_reverse_of_the_start_order);
	tcase_add_test(c, in_every_window_there_are_at_most_intensity_restarts);
	tcase_add_test(c, a_thousand_children_start_and_stop);
	tcase_set_timeout(c, 3600);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(property_suite()); }
