#include <string.h>
#include "supervisor/child.h"

#define JITTER_PCT_MAX 100
#define IMMEDIATE_MAX 1000
#define FACTOR_PCT_MAX 100000
#define MS_MAX (1000ULL * 60 * 60 * 24 * 365 * 10)

static const char *const strategies[] = { "one_for_one", "all_for_one", "rest_for_one" };
static const char *const auto_shutdowns[] = { "never", "any_significant", "all_significant" };
static const char *const states[CHILD_STATE_N] = { "stopped", "waiting", "starting", "up", "stopping", "dying", "done", "failed" };

const char *strategy_name(enum strategy s)
{
	return (unsigned)s < 3 ? strategies[s] : "?";
}

bool strategy_parse(const char *name, enum strategy *ret)
{
	if (strcmp(name, "one_for_all") == 0)
		name = strategies[STRATEGY_ALL_FOR_ONE];
	for (unsigned i = 0; i < 3; i++)
		if (strcmp(name, strategies[i]) == 0) {
			*ret = (enum strategy)i;
			return true;
		}
	return false;
}

const char *auto_shutdown_name(enum auto_shutdown a)
{
	return (unsigned)a < 3 ? auto_shutdowns[a] : "?";
}

bool auto_shutdown_parse(const char *name, enum auto_shutdown *ret)
{
	for (unsigned i = 0; i < 3; i++)
		if (strcmp(name, auto_shutdowns[i]) == 0) {
			*ret = (enum auto_shutdown)i;
			return true;
		}
	return false;
}

const char *child_state_name(enum child_state s)
{
	return (unsigned)s < CHILD_STATE_N ? states[s] : "?";
}

void child_spec_default(struct child_spec *spec, enum child_type type)
{
	*spec = (struct child_spec){
		.type = type,
		.restart = RESTART_PERMANENT,
		.shutdown_ms = type == CHILD_SUPERVISOR ? SHUTDOWN_INFINITY : 5000,
		.term_after_ms = TERM_NEVER,
		.start_timeout_ms = type == CHILD_SUPERVISOR ? 0 : 30000,
		.delay = { .immediate = 20, .immediate_window_ms = 10000, .base_ms = 100, .factor_pct = 200, .cap_ms = 30000, .jitter_pct = 20, .reset_after_ms = 60000 },
		.give_up = { .intensity = INTENSITY_UNLIMITED, .period_ms = 5000, .on_give_up = ON_GIVE_UP_KEEP },
	};
}

void supervisor_spec_default(struct supervisor_spec *spec)
{
	*spec = (struct supervisor_spec){
		.strategy = STRATEGY_ONE_FOR_ONE,
		.give_up = { .intensity = INTENSITY_UNLIMITED, .period_ms = 5000, .on_give_up = ON_GIVE_UP_ESCALATE },
		.auto_shutdown = AUTO_SHUTDOWN_NEVER,
	};
}

static const char *give_up_check(const struct give_up_spec *g)
{
	if (g->intensity != INTENSITY_UNLIMITED && g->intensity >= WINDOW_ROOM_MAX)
		return "invalid_intensity";
	if (g->period_ms == 0 || g->period_ms > MS_MAX)
		return "invalid_period";
	if ((unsigned)g->on_give_up > ON_GIVE_UP_ESCALATE)
		return "invalid_on_give_up";
	return NULL;
}

static const char *supervisor_spec_check(const struct supervisor_spec *sup)
{
	if ((unsigned)sup->strategy > STRATEGY_REST_FOR_ONE)
		return "invalid_strategy";
	const char *word = give_up_check(&sup->give_up);
	if (word)
		return word;
	if ((unsigned)sup->auto_shutdown > AUTO_SHUTDOWN_ALL)
		return "invalid_auto_shutdown";
	/* Children without an order cannot have a rest, and records that come and go cannot be counted as significant. */
	if (sup->side_by_side && sup->strategy != STRATEGY_ONE_FOR_ONE)
		return "bad_combination";
	if (sup->dynamic && (!sup->side_by_side || sup->auto_shutdown != AUTO_SHUTDOWN_NEVER))
		return "bad_combination";
	return NULL;
}

const char *child_spec_check(const struct child_spec *spec, const struct supervisor_spec *sup, const struct supervisor_spec *above)
{
	if ((unsigned)spec->type > CHILD_SUPERVISOR || (spec->type == CHILD_SUPERVISOR) != (sup != NULL))
		return "invalid_child_type";
	if ((unsigned)spec->restart > RESTART_TEMPORARY)
		return "invalid_restart_type";
	if (spec->shutdown_ms != SHUTDOWN_INFINITY && spec->shutdown_ms > MS_MAX)
		return "invalid_shutdown";
	if (spec->term_after_ms != TERM_NEVER && spec->term_after_ms > MS_MAX)
		return "invalid_term_after";
	if (spec->start_timeout_ms > MS_MAX)
		return "invalid_start_timeout";
	const struct delay_spec *d = &spec->delay;
	if (d->immediate > IMMEDIATE_MAX || d->immediate_window_ms > MS_MAX || d->base_ms > MS_MAX || d->cap_ms > MS_MAX || d->reset_after_ms > MS_MAX ||
	    d->jitter_pct > JITTER_PCT_MAX || d->factor_pct < 100 || d->factor_pct > FACTOR_PCT_MAX)
		return "invalid_delay";
	const char *word = give_up_check(&spec->give_up);
	if (!word && sup)
		word = supervisor_spec_check(sup);
	if (word)
		return word;
	if (spec->significant && (spec->restart == RESTART_PERMANENT || !above || above->auto_shutdown == AUTO_SHUTDOWN_NEVER))
		return "bad_combination";
	return NULL;
}

bool child_is_alive(const struct child *c)
{
	switch (c->state) {
	case CHILD_STARTING:
	case CHILD_UP:
	case CHILD_STOPPING:
	case CHILD_DYING:
		return true;
	case CHILD_STOPPED:
	case CHILD_WAITING:
	case CHILD_DONE:
	case CHILD_FAILED:
		return false;
	}
	return false;
}

bool child_is_restarting(const struct child *c)
{
	return c->state == CHILD_WAITING || c->state == CHILD_STARTING;
}
