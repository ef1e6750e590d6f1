#pragma once
/* Scenarios of supervision as text: a tree, then stimuli with the trace that each must leave. Virtual time; every child is a small script.
 *
 * Tree       NAME[:P|:T|:X][!][(option ...)] of a worker; a supervisor goes on with STRATEGY [INTENSITY/SECONDS | INTENSITY/MSms] [word ...] [ children ]
 *            strategies ofo ofa rfo dyn (its brackets hold the template) pool; words any all keep max=N; options brutal, shutdown=MS|infinity|zero, term=MS, start=MS, limit=N/S, escalate, hold, v=FINGERPRINT
 *            e.g.  "top ofa 4/3600 [ a b:T c:X! sub:T(shutdown=500) ofo 1/5 [ w ] ]"
 * Mode       "otp" or "ours", then optionally "backoff" (100 ms, x2, cap 800 ms, no jitter, none immediate)
 * Stimuli    separated by ';', each followed by all that happens in the same millisecond; '&' instead of ';' delivers the next one before anything reacts
 *   boot | shutdown [MS] | fast | wait MS
 *   crash A | normal A | bye A (shutdown by itself) | oom A | hung A | linked A (somebody it is linked to has ended) | extend A (asks for a second more, to start or to stop) | die A (of an undying one) | prove A | fatal A
 *   reload [otp] [dry] [restart] TREE
 *   before or between: slow A MS, fail A N|always, early A STATUS (exits with it before READY), ignore A, lazy A MS, deaf A, undying A, exits A CODE, stubborn A (ends only by TERM), plain A (dies of it, as a program does that never heard of signals), pending A, info A TEXT, willing A (all of these off)
 *   start|stop|restart|kill|delete|spec|count|force NAME, forcestop NAME (NAME of an order: [SUPERVISOR/]NAME[.now|.old], as OTP: by the present incarnation, or the one
 *   before); many ABOVE NAME N (adds NAME1 to NAMEN, says how many came up); all ABOVE die|kill (says how many ended); length ABOVE; fields NAME (its specification, in short); add ABOVE SPEC (below a dynamic one: a name, of its template); list NAME; due NAME (ms that it still waits)
 * Trace      +a READY, -a(r) end, ~a failed start, i:a ignored, start:a stop:a change:a stale:a of a reload, S=r supervisor ended, STOP:a TERM:a ABORT:a KILL:a with "wires", =word answers, UP, EXIT(n);
 *            with "facts" also gave_up:S limit:a failed:a stuck:a overdue:a backoff:a(ms) alarm:a auto:S pending:a proven:a recovered:a decision words as -a(r)/word, ! behind errors
 *            reasons exit, signal and core are printed x */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "supervisor/tree.h"

struct scenario;

struct scenario *scenario_new(const char *mode, const char *tree, uint64_t seed);
void scenario_free(struct scenario *s);

/* NULL, or who is refused and why ("a:bad_combination") where the tree cannot be. */
const char *scenario_refused(const char *mode, const char *tree);

/* Does one line of stimuli; returns the trace it left, valid until the next call. Aborts the process on nonsense and when an invariant breaks:
 * two incarnations of one id alive, an action about a child without a process, an order not answered exactly once, a limit passed. */
const char *scenario_do(struct scenario *s, const char *stimuli);

struct tree *scenario_tree(struct scenario *s);
uint64_t scenario_now(const struct scenario *s);
/* Everything that the core ever said, hashed: equal runs have equal hashes. */
uint64_t scenario_hash(const struct scenario *s);
/* Takes back every difficulty that a script makes. */
void scenario_all_willing(struct scenario *s);
/* Lets time pass until nothing is due and no script has anything left, at most ms. */
void scenario_drain(struct scenario *s, uint64_t ms);
