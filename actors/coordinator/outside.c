/* Workers from outside the tree: what is different with them.
 *
 *   Attach ──> connected ──no word for a heartbeat──> silent: its leases end, it gets no more until it speaks
 *      ^           │ the connection ends
 *      │           ├── its process is dead: its leases end at once
 *      └── again ──┴── it lives: its leases wait, until it comes back, or ends, or a heartbeat has passed
 *
 * A lease that ends was an attempt where its Started had been said, and the next follows without a delay. What had not begun costs nothing. Whatever such a
 * worker says later of a token that has ended is stale: of all attempts that may be alive at most one is valid. */
#include "actors/coordinator/outside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/crew.h"
#include "actors/coordinator/finish.h"
#include "actors/coordinator/group.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/requirement.h"
#include "actors/coordinator/verbs.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/parse.h"

#define PREFIX "attached:"
#define INSTANCE_BYTES 16u
#define SERVES_MAX 1000u                /* queues, tags */
#define HELD_MAX 8192u
#define LATE_MS 1000u
#define BUSY_MS 5000u

static bool outside_is(const char *address)
{
	return strncmp(address, PREFIX, strlen(PREFIX)) == 0;
}

bool outside_silent(const struct worker *w)
{
	return w->outside && w->outside->silent;
}

/* on_wake looks at all of them, and arms anew. */
static void arm(struct coordinator *c, uint64_t at_ms)
{
	if (at_ms < c->outside_due_ms)
		c->outside_due_ms = at_ms;
	wake_by(c, at_ms);
}

static void watch_end(struct coordinator *c, struct outside *o)
{
	if (steal(&o->watched))
		c->eye->forget(c->eye->ctx, o->number);
}

/* --- who is it --- */

static int make(struct coordinator *c, struct worker *w, pid_t pid, uint64_t start)
{
	if (!(w->outside = calloc(1, sizeof *w->outside)))
		return -ENOMEM;
	*w->outside = (struct outside){ .number = ++c->outside_number, .pid = pid, .start = start, .heartbeat_ms = OUTSIDE_HEARTBEAT_MS };
	c->n_outside++;
	return 0;
}

void outside_free(struct coordinator *c, struct worker *w)
{
	if (!w->outside)
		return;
	watch_end(c, w->outside);
	free(w->outside);
	w->outside = NULL;
	c->n_outside--;
}

struct worker *outside_of(struct coordinator *c, uint64_t peer)
{
	struct worker *w = worker_of_peer(c, peer);
	return w && w->outside ? w : NULL;
}

static void address_make(const struct coordinator *c, const struct message *m, char *out, size_t size, pid_t *ret_pid, uint64_t *ret_start)
{
	const ProtobufCBinaryData *i = &m->env->attach->instance;
	char hex[2 * INSTANCE_BYTES + 1];
	for (unsigned k = 0; k < INSTANCE_BYTES; k++)
		snprintf(hex + 2 * k, 3, "%02x", i->data[k]);
	*ret_pid = m->sender.pid > 0 ? m->sender.pid : 0;
	*ret_start = *ret_pid && c->eye ? c->eye->started(c->eye->ctx, *ret_pid) : 0;
	snprintf(out, size, PREFIX "%d.%" PRIu64 ".%s", (int)*ret_pid, *ret_start, hex);
}

/* --- Attach --- */

#define REFUSE(t, e, code, cure, ...) (error_set((e), (code), __VA_ARGS__), error_cure((e), "%s", (cure)), turn_fail((t), (e)))

static int check_serves(struct turn *t, struct coordinator *c, const Troupe__Attach *a)
{
	struct error e = { 0 };
	if (!a->n_queues || a->n_queues > SERVES_MAX || a->n_tags > SERVES_MAX)
		return REFUSE(t, &e, ERROR_BAD_REQUEST, "name the queues that it serves", "a worker serves 1 to %u queues and has at most as many tags, this one %zu and %zu", SERVES_MAX,
		              a->n_queues, a->n_tags);
	for (size_t i = 0; i < a->n_tags; i++)
		if (!*a->tags[i] || strlen(a->tags[i]) > TAG_BYTES_MAX)
			return REFUSE(t, &e, ERROR_BAD_REQUEST, "", "a tag has 1 to %u bytes", TAG_BYTES_MAX);
	for (size_t i = 0; i < a->n_queues; i++)
		if (!queue_find(c, a->queues[i]) && !(c->setup->auto_create_queues && queue_name_valid(a->queues[i])))
			return queue_unknown(t, c, a->queues[i], (uint32_t)i + 1);
	return 0;
}

static int check(struct turn *t, struct coordinator *c, const Troupe__Attach *a)
{
	struct error e = { 0 };
	if (a->instance.len != INSTANCE_BYTES)
		return REFUSE(t, &e, ERROR_BAD_REQUEST, "make them once, and name them on every connection of this process",
		              "a worker from outside names itself by %u random bytes, this one by %zu", INSTANCE_BYTES, a->instance.len);
	if (a->heartbeat_ms && (a->heartbeat_ms < OUTSIDE_HEARTBEAT_LEAST_MS || a->heartbeat_ms > OUTSIDE_HEARTBEAT_MOST_MS))
		return REFUSE(t, &e, ERROR_BAD_REQUEST, "", "a heartbeat is 1s to 1h, or 0 for 30s, and not %" PRIu64 " ms", a->heartbeat_ms);
	if (a->n_held > HELD_MAX)
		return REFUSE(t, &e, ERROR_TOO_LARGE, "", "a worker holds at most %u tasks, and says that it holds %zu", HELD_MAX, a->n_held);
	if (*a->pool || a->n_resources || (*a->mode && strcmp(a->mode, "attached") != 0))
		return REFUSE(t, &e, ERROR_BAD_REQUEST, "leave them empty", "a worker from outside is of no pool, has no resources, and its mode is attached");
	return check_serves(t, c, a);
}

static bool names(const Troupe__Attach *a, uint64_t token)
{
	for (size_t i = 0; i < a->n_held; i++)
		if (a->held[i]->token == token)
			return true;
	for (size_t i = 0; i < a->n_outcomes; i++)
		if (a->outcomes[i]->token == token)
			return true;
	return false;
}

/* The end of a lease by our own judgement. */
static int lease_end(struct turn *t, struct coordinator *c, struct lease *l, Troupe__ExitClass exit_class, const char *why)
{
	Troupe__Outcome o = TROUPE__OUTCOME__INIT;
	if (!l->started && !l->unknown)
		return attempt_return(t, c, l);
	o.exit_class = l->started ? exit_class : TROUPE__EXIT_CLASS__EXIT_LOST;
	o.error = (char *)why;
	return attempt_end(t, c, l, &o, true);
}

static int leases_end(struct turn *t, struct coordinator *c, struct worker *w, Troupe__ExitClass exit_class, const char *why)
{
	int r = 0;
	while (w->leases && !r)
		r = lease_end(t, c, w->leases, exit_class, why);
	return r;
}

/* It is back. What it had begun and does not know any more was an attempt all the same. */
static int welcome_back(struct turn *t, struct coordinator *c, struct worker *w, const Troupe__Attach *a)
{
	int r = 0;
	for (struct lease *l = w->leases, *next; l && !r; l = next) {
		next = l->next;
		l->unknown = false; /* what it holds it names, and says of it whether it has begun */
		if (!a->update && l->started && !names(a, l->token))
			r = lease_end(t, c, l, TROUPE__EXIT_CLASS__EXIT_FAILED, "the worker came back without it");
	}
	return r > 0 ? -EIO : r;
}

int outside_attach(struct turn *t, struct coordinator *c, const struct message *m, struct worker **ret)
{
	const Troupe__Attach *a = m->env->attach;
	char address[sizeof((struct worker *)0)->address];
	struct error e = { 0 };
	uint64_t start;
	pid_t pid;
	int r = check(t, c, a);
	if (r)
		return r;
	address_make(c, m, address, sizeof address, &pid, &start);
	struct worker *w = worker_find(c, address, 1), *before = outside_of(c, m->sender.peer);
	if (before && before != w)
		return REFUSE(t, &e, ERROR_STATE, "use one connection for each instance", "this connection has attached already, as %s", before->address);
	if (!w && c->n_outside >= OUTSIDE_MAX) {
		error_set(&e, ERROR_BUSY, "%u workers from outside have attached: there may be no more", OUTSIDE_MAX);
		error_retry(&e, BUSY_MS);
		return turn_fail(t, &e);
	}
	if (!w) {
		if (!(w = worker_add(c, address, 1)))
			return -ENOMEM;
		if ((r = make(c, w, pid, start))) {
			worker_free(c, w);
			return r;
		}
		log_debug("a worker from outside", LOG_S("worker", w->address), LOG_S("who", m->sender.subject));
	}
	*ret = w;
	watch_end(c, w->outside);
	w->outside->heartbeat_ms = a->heartbeat_ms ? a->heartbeat_ms : OUTSIDE_HEARTBEAT_MS;
	outside_heard(t, w);
	arm(c, turn_now_ms(t) + w->outside->heartbeat_ms);
	return welcome_back(t, c, w, a);
}

void outside_heard(struct turn *t, struct worker *w)
{
	if (!w->outside)
		return;
	w->outside->heard_ms = turn_now_ms(t);
	if (steal(&w->outside->silent))
		worker_place(w);
}

int on_beat(struct turn *t, void *state, const struct message *m)
{
	struct worker *w = outside_of(state, m->sender.peer);
	if (w)
		outside_heard(t, w);
	return 0;
}

/* --- the end of a connection, of a process, of our patience --- */

static int bury(struct turn *t, struct coordinator *c, struct worker *w, const char *why)
{
	int r = why ? leases_end(t, c, w, TROUPE__EXIT_CLASS__EXIT_FAILED, why) : -ENOMEM;
	if (!r)
		worker_free(c, w);
	return r;
}

static int bury_dead(struct turn *t, struct coordinator *c, struct worker *w)
{
	log_info("a worker from outside has ended", LOG_S("worker", w->address), LOG_U("leases", w->held));
	return bury(t, c, w, "the worker ended without an answer");
}

/* Not connected: is there somebody to wait for? */
static int await(struct turn *t, struct coordinator *c, struct worker *w)
{
	struct outside *o = w->outside;
	if (!w->leases) {
		worker_free(c, w);
		return 0;
	}
	if (o->pid && c->eye) {
		int r = c->eye->watch(c->eye->ctx, o->number, o->pid, o->start);
		if (r > 0)
			return bury_dead(t, c, w);
		o->watched = r == 0;
		if (r < 0)
			log_warn("a process cannot be watched: only its heartbeat counts", LOG_S("worker", w->address), LOG_S("why", strerror(-r)));
	}
	o->until_ms = turn_now_ms(t) + o->heartbeat_ms;
	arm(c, o->until_ms);
	return 0;
}

int outside_gone(struct turn *t, struct coordinator *c, uint64_t peer)
{
	struct worker *w = outside_of(c, peer);
	if (!w)
		return 0;
	worker_set_peer(c, w, 0);
	w->attached = w->outside->silent = false;
	worker_place(w);
	return await(t, c, w);
}

int outside_ended(struct turn *t, void *state, void *number)
{
	struct coordinator *c = state;
	for (struct worker *w = c->workers; w; w = w->next)
		if (w->outside && w->outside->number == (uintptr_t)number && w->outside->watched) {
			int r = bury_dead(t, c, w);
			return r > 0 ? -EIO : r;
		}
	return 0; /* it has come back meanwhile, and its connection will end too */
}

static const char *without_a_word(struct turn *t, const struct outside *o, const char *what)
{
	char text[32];
	return arena_printf(turn_arena(t), "%s for %s", what, format_duration(o->heartbeat_ms, text, sizeof text));
}

/* It is told too: should it still be at work, it works for nobody. */
static int fall_silent(struct turn *t, struct coordinator *c, struct worker *w)
{
	Troupe__Abort a = TROUPE__ABORT__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	w->outside->silent = true;
	worker_place(w);
	if (!w->leases)
		return 0;
	a.why = (char *)without_a_word(t, w->outside, "no word from the worker");
	if (!a.why || !(a.tokens = arena_alloc(turn_arena(t), w->held * sizeof *a.tokens)))
		return -ENOMEM;
	for (const struct lease *l = w->leases; l; l = l->next)
		a.tokens[a.n_tokens++] = l->token;
	env.body_case = TROUPE__ENVELOPE__BODY_ABORT;
	env.abort = &a;
	log_warn("a worker from outside is silent", LOG_S("worker", w->address), LOG_U("leases", w->held));
	int r = worker_push(t, w, &env);
	return r ? r : leases_end(t, c, w, TROUPE__EXIT_CLASS__EXIT_TIMEOUT, a.why);
}

int outside_wake(struct turn *t, struct coordinator *c)
{
	uint64_t now_ms = turn_now_ms(t);
	/* It was us who did not listen: what they said meanwhile is not read yet. */
	bool late = c->outside_due_ms < now_ms && now_ms - c->outside_due_ms > LATE_MS;
	int r = 0;
	c->outside_due_ms = TIME_NEVER;
	for (struct worker *w = c->workers, *next; w && !r; w = next) {
		struct outside *o = w->outside;
		next = w->next;
		if (!o || o->silent)
			continue;
		if (late) {
			o->heard_ms = now_ms;
			o->until_ms = now_ms + o->heartbeat_ms;
		}
		uint64_t due_ms = w->peer ? o->heard_ms + o->heartbeat_ms : o->until_ms;
		if (now_ms < due_ms)
			arm(c, due_ms);
		else
			r = w->peer ? fall_silent(t, c, w) : bury(t, c, w, without_a_word(t, o, "the worker did not come back"));
	}
	return r;
}

/* --- after a restart --- */

int outside_loaded(struct coordinator *c, struct worker *w, struct lease *l, uint64_t heartbeat_ms)
{
	uint64_t start = 0;
	int pid = 0;
	if (!outside_is(w->address))
		return 0;
	l->unknown = true;
	if (!w->outside) {
		if (sscanf(w->address + strlen(PREFIX), "%d.%" SCNu64 ".", &pid, &start) != 2)
			pid = 0;
		int r = make(c, w, pid > 0 ? pid : 0, start);
		if (r)
			return r;
	}
	if (heartbeat_ms >= OUTSIDE_HEARTBEAT_LEAST_MS && heartbeat_ms <= OUTSIDE_HEARTBEAT_MOST_MS)
		w->outside->heartbeat_ms = heartbeat_ms;
	return 0;
}

int outside_recover(struct turn *t, struct coordinator *c, struct worker *w)
{
	return await(t, c, w);
}

/* --- what people see --- */

const char *outside_why(struct turn *t, const struct worker *w)
{
	const struct outside *o = w->outside;
	char at[25], text[32];
	if (!o || (w->attached && !o->silent))
		return NULL;
	if (w->attached)
		return arena_printf(turn_arena(t), "connected, but has said nothing for %s", format_age(turn_now_ms(t) - o->heard_ms, text, sizeof text));
	clock_format(turn_wall_ms(t) + (o->until_ms > turn_now_ms(t) ? o->until_ms - turn_now_ms(t) : 0), at);
	return o->watched ? arena_printf(turn_arena(t), "not connected; its process %d lives: waits until %.8s UTC", (int)o->pid, at + 11)
	                  : arena_printf(turn_arena(t), "not connected: waits until %.8s UTC", at + 11);
}
