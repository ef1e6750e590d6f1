#pragma once
/* Restart policy as pure functions: who is restarted, how often, and after which delay.
 *
 * Two mechanisms that are kept apart:
 *   delay    how long a child that ended unasked waits before its next start. Immediate first, exponential backoff with jitter for what keeps dying.
 *   give-up  how many restarts are allowed in a sliding window before the supervisor (or the child alone) gives up: OTP's intensity and period. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/rng.h"
#include "supervisor/reason.h"

enum restart { RESTART_PERMANENT, RESTART_TRANSIENT, RESTART_TEMPORARY };

const char *restart_name(enum restart r);
bool restart_parse(const char *name, enum restart *ret);

/* Does a child of this type come back after an unasked end with this reason? */
bool restart_wanted(enum restart r, enum reason why);

/* A sliding window of times, oldest first. room is fixed by window_init; the struct owns its array. */
#define WINDOW_ROOM_MAX 10000
struct window {
	uint64_t *at_ms;
	uint32_t n, room, first;
};
int window_init(struct window *w, uint32_t room);          /* 0, -ENOMEM, -EINVAL above WINDOW_ROOM_MAX */
void window_fini(struct window *w);
void window_clear(struct window *w);
void window_add(struct window *w, uint64_t at_ms);          /* a full window forgets its oldest; a time before the newest counts as the newest */
uint64_t window_at(const struct window *w, uint32_t index); /* index < n, oldest first */
/* Forgets what is older than period_ms before now (the border is kept) and returns how many are left. */
uint32_t window_count(struct window *w, uint64_t now_ms, uint64_t period_ms);

/* intensity/period: at most `intensity` restarts are executed in every window of period_ms. */
#define INTENSITY_UNLIMITED UINT32_MAX
enum on_give_up { ON_GIVE_UP_KEEP, ON_GIVE_UP_ESCALATE };
struct give_up_spec {
	uint32_t intensity;     /* INTENSITY_UNLIMITED: never; at most WINDOW_ROOM_MAX - 1 */
	uint64_t period_ms;     /* > 0 */
	enum on_give_up on_give_up;
};
/* Counts one restart at now; true where that is one too many. The window needs room for intensity + 1. */
bool restart_is_one_too_many(const struct give_up_spec *spec, struct window *w, uint64_t now_ms);

struct delay_spec {
	uint32_t immediate;            /* so many ends in the window are followed by a start at once (20) */
	uint64_t immediate_window_ms;  /* 10 s */
	uint64_t base_ms;              /* first delay after that (100); 0: no delay, ever */
	uint32_t factor_pct;           /* 200 = doubling; at least 100 */
	uint64_t cap_ms;               /* 30 s */
	uint32_t jitter_pct;           /* 20: each delay is drawn from 80 to 120 % of its nominal value; at most 100 */
	uint64_t reset_after_ms;       /* up for so long (60 s): the next end is the first again */
};
struct delay {
	struct window ends;
	uint32_t step;                 /* delays in a row so far; 0 = none */
};
/* The delay before the next start, after an unasked end at now of an incarnation that had been up for up_ms (0: never READY). */
uint64_t delay_next(const struct delay_spec *spec, struct delay *d, uint64_t now_ms, uint64_t up_ms, struct rng *rng);
void delay_clear(struct delay *d);
