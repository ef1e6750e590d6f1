#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "supervisor/restart.h"

static const char *const names[] = { "permanent", "transient", "temporary" };

const char *restart_name(enum restart r)
{
	return (unsigned)r < 3 ? names[r] : "?";
}

bool restart_parse(const char *name, enum restart *ret)
{
	for (unsigned i = 0; i < 3; i++)
		if (strcmp(name, names[i]) == 0) {
			*ret = (enum restart)i;
			return true;
		}
	return false;
}

bool restart_wanted(enum restart r, enum reason why)
{
	switch (r) {
	case RESTART_PERMANENT:
		return true;
	case RESTART_TRANSIENT:
		return !reason_is_clean(why);
	case RESTART_TEMPORARY:
		return false;
	}
	return false;
}

int window_init(struct window *w, uint32_t room)
{
	*w = (struct window){ 0 };
	if (room > WINDOW_ROOM_MAX)
		return -EINVAL;
	if (room == 0)
		return 0;
	w->at_ms = calloc(room, sizeof(*w->at_ms));
	if (!w->at_ms)
		return -ENOMEM;
	w->room = room;
	return 0;
}

void window_fini(struct window *w)
{
	free(w->at_ms);
	*w = (struct window){ 0 };
}

void window_clear(struct window *w)
{
	w->n = 0;
	w->first = 0;
}

uint64_t window_at(const struct window *w, uint32_t index)
{
	assert(index < w->n);
	return w->at_ms[(w->first + index) % w->room];
}

static void window_forget(struct window *w)
{
	w->first = (w->first + 1) % w->room;
	w->n--;
}

void window_add(struct window *w, uint64_t at_ms)
{
	if (w->room == 0)
		return;
	if (w->n > 0 && window_at(w, w->n - 1) > at_ms)
		at_ms = window_at(w, w->n - 1);
	if (w->n == w->room)
		window_forget(w);
	w->at_ms[(w->first + w->n) % w->room] = at_ms;
	w->n++;
}

uint32_t window_count(struct window *w, uint64_t now_ms, uint64_t period_ms)
{
	while (w->n > 0 && window_at(w, 0) < now_ms && now_ms - window_at(w, 0) > period_ms)
		window_forget(w);
	return w->n;
}

bool restart_is_one_too_many(const struct give_up_spec *spec, struct window *w, uint64_t now_ms)
{
	if (spec->intensity == INTENSITY_UNLIMITED)
		return false;
	window_add(w, now_ms);
	return window_count(w, now_ms, spec->period_ms) > spec->intensity;
}

/* base * (factor / 100) ^ (step - 1), at most cap. */
static uint64_t delay_nominal(const struct delay_spec *spec, uint32_t step)
{
	uint64_t delay = spec->base_ms;
	for (uint32_t i = 1; i < step && delay < spec->cap_ms && spec->factor_pct > 100; i++)
		if (__builtin_mul_overflow(delay, spec->factor_pct, &delay))
			delay = spec->cap_ms;
		else
			delay /= 100;
	return delay < spec->cap_ms ? delay : spec->cap_ms;
}

/* Once a child has been made to wait it goes on waiting longer until it has been up for reset_after: the immediate window alone would let it off as soon as
 * the waits themselves are longer than the window. */
uint64_t delay_next(const struct delay_spec *spec, struct delay *d, uint64_t now_ms, uint64_t up_ms, struct rng *rng)
{
	if (up_ms > 0 && up_ms >= spec->reset_after_ms)
		delay_clear(d);
	window_add(&d->ends, now_ms);
	uint32_t n_ends = window_count(&d->ends, now_ms, spec->immediate_window_ms);
	if (spec->base_ms == 0 || (d->step == 0 && n_ends <= spec->immediate))
		return 0;

	if (d->step < UINT32_MAX)
		d->step++;
	uint64_t delay = delay_nominal(spec, d->step);
	uint64_t spread = delay / 100 * spec->jitter_pct + delay % 100 * spec->jitter_pct / 100;
	if (spread > 0)
		delay = delay - spread + rng_below(rng, 2 * spread + 1);
	return delay;
}

void delay_clear(struct delay *d)
{
	window_clear(&d->ends);
	d->step = 0;
}
