/* The behaviour: opening, recovery, and the end of every turn. */
#include "actors/coordinator/coordinator.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "actors/coordinator/batch.h"
#include "actors/coordinator/blob.h"
#include "actors/coordinator/blob_file.h"
#include "actors/coordinator/choose.h"
#include "actors/coordinator/crew.h"
#include "actors/coordinator/crons.h"
#include "actors/coordinator/due.h"
#include "actors/coordinator/edge.h"
#include "actors/coordinator/group.h"
#include "actors/coordinator/history.h"
#include "actors/coordinator/key.h"
#include "actors/coordinator/lease.h"
#include "actors/coordinator/outside.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/requirement.h"
#include "actors/coordinator/steady.h"
#include "actors/coordinator/stream.h"
#include "actors/coordinator/verbs.h"
#include "actors/coordinator/wait.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/log.h"

#define META_KEY SLICE("meta", 4)
#define DUE_LOOK_MS 10000u         /* the wall clock may have been set: do not sleep longer while something is scheduled by it */

/* --- open --- */

static int meta_load(struct coordinator *c, struct store_txn *view, struct error *e)
{
	struct slice value;
	Troupe__MetaRecord *m;
	struct arena *a = arena_new(4096);
	int r = a ? store_get(view, T_META, META_KEY, &value) : -ENOMEM;
	if (!r)
		r = row_decode(a, value, &troupe__meta_record__descriptor, (ProtobufCMessage **)&m);
	troupe__meta_record__init(&c->meta);
	if (!r) {
		c->meta = *m;
		c->meta.quiet_by = c->meta.quiet_why = (char *)protobuf_c_empty_string;
		text_keep(&c->meta.quiet_by, m->quiet_by);
		text_keep(&c->meta.quiet_why, m->quiet_why);
		snprintf(c->steady.boot_id, sizeof c->steady.boot_id, "%s", m->boot_id); /* until the first turn */
		c->meta.boot_id = c->steady.boot_id;
	}
	arena_unref(a);
	if (r == ERROR_NOT_FOUND) {
		c->meta.next_seq = c->meta.next_token = c->meta.next_commit = c->meta.next_queue = c->meta.oldest_log = c->meta.swept_log = c->meta.next_requirement = 1;
		r = 0;
	}
	if (!c->meta.next_cron)
		c->meta.next_cron = 1;
	if (!c->meta.next_key)
		c->meta.next_key = 1;
	c->meta.base.n_unknown_fields = 0;
	c->meta.base.unknown_fields = NULL;
	return r > 0 ? error_set(e, (enum error_code)r, "the ledger's head is damaged") : r;
}

struct loading { struct coordinator *c; struct arena *arena; int error; };

static int load_lease(void *ctx, struct slice key, struct slice value)
{
	struct loading *l = ctx;
	struct coordinator *c = l->c;
	Troupe__LeaseRecord *r;
	struct id id;
	arena_reset(l->arena);
	if (key.len != sizeof id.b || row_decode(l->arena, value, &troupe__lease_record__descriptor, (ProtobufCMessage **)&r) || !queue_numbered(c, r->queue) ||
	    r->requirement >= c->n_requirements || !c->requirements[r->requirement]) {
		l->error = ERROR_CORRUPT;
		return 1;
	}
	memcpy(id.b, key.data, sizeof id.b);
	struct worker *w = worker_find(c, r->worker, r->incarnation);
	if (!w)
		w = worker_add(c, r->worker, r->incarnation);
	struct lease *x = w ? lease_add(&c->leases, w, r->token, &id) : NULL;
	if (!x || outside_loaded(c, w, x, r->heartbeat_ms)) {
		l->error = -ENOMEM;
		return 1;
	}
	x->seq = r->seq;
	x->queue = queue_numbered(c, r->queue);
	x->rank = r->rank;
	x->requirement = r->requirement;
	x->run = r->run;
	x->attempt = r->attempt;
	x->cancel = r->cancel;
	x->cause = r->cause;
	x->size = r->size;
	x->has_state = r->has_state;
	x->needs_record = r->needs_record;
	x->given_at_ms = r->leased_at_ms;
	w->bytes += x->size;
	return 0;
}

static int leases_load(struct coordinator *c, struct store_txn *view, struct error *e)
{
	static const uint8_t first = 0;
	struct loading l = { .c = c, .arena = arena_new(64u << 10) };
	if (!l.arena)
		return -ENOMEM;
	int r = store_scan(view, T_LEASE, SLICE(&first, 1), false, load_lease, &l);
	arena_unref(l.arena);
	if (l.error < 0 || r < 0)
		return r < 0 ? r : l.error;
	return l.error || r == ERROR_CORRUPT ? error_set(e, ERROR_CORRUPT, "the table of leases is damaged") : 0;
}

/* The first turn: what a dead worker held comes back by its DOWN, what a living one holds by its Attach. */
int coordinator_begin(struct turn *t, void *state, void *arg)
{
	struct coordinator *c = state;
	char boot_id[40];
	steady_boot_id(boot_id);
	steady_begin(&c->steady, &c->meta, turn_boot_ms(t), turn_wall_ms(t), boot_id);
	for (struct worker *w = c->workers, *next; w; w = next) {
		next = w->next;
		w->monitored = !w->outside;
		int r = w->outside ? outside_recover(t, c, w) : turn_monitor(t, w->address, w->incarnation);
		if (r)
			return r > 0 ? -EIO : r;
	}
	fault_point("recover.after_monitor");
	return blob_wake(t, c);
}

static void fini(void *state)
{
	struct coordinator *c = state;
	watches_free(c);
	leases_fini(c);
	workers_free(c);
	groups_free(c);
	crons_free(c);
	queues_free(c);
	blobs_close(&c->blobs);
	requirements_free(c);
	text_keep(&c->meta.quiet_by, NULL);
	text_keep(&c->meta.quiet_why, NULL);
	free(c->dirty_keys);
	free(c->ended);
	free(c->batch_news);
	if (c->eye)
		c->eye->close(c->eye->ctx);
	free(c->log);
	free(c->followers);
	free(c);
}

static void limits_read(struct coordinator *c, const Troupe__Setup *setup)
{
	c->setup = setup->coordinator;
	c->address = setup->address;
	c->state_dir = setup->state_dir;
	c->payload_max = setup->limits && setup->limits->payload ? setup->limits->payload : 64u << 10;
	c->frame_max = setup->limits && setup->limits->frame ? setup->limits->frame : 1u << 20;
}

int coordinator_open(struct store *store, const Troupe__Setup *setup, struct coordinator **ret, struct error *e)
{
	struct store_txn *view = NULL;
	if (!setup->coordinator || !setup->coordinator->defaults)
		return error_set(e, ERROR_CONFIG, "no coordinator in the setup");
	struct coordinator *c = calloc(1, sizeof *c);
	uint64_t seed = 0;
	if (!c)
		return -ENOMEM;
	c->store = store;
	limits_read(c, setup);
	rng_system(&seed, sizeof seed);
	rng_seed(&c->rng, seed);
	c->wake_ms = c->outside_due_ms = TIME_NEVER;
	c->blobs.folder = -1;
	c->shape = 1;
	int r = store_read(store, &view);
	if (!r)
		r = meta_load(c, view, e);
	if (!r && (r = requirements_load(c, view)) > 0)
		error_set(e, ERROR_CORRUPT, "the table of requirements is damaged");
	if (!r)
		r = queues_load(c, view, e);
	if (!r && (r = streams_load(c, view)) > 0)
		error_set(e, ERROR_CORRUPT, "the ready index is damaged");
	if (!r)
		r = leases_load(c, view, e);
	if (!r)
		r = crons_open(c, view);
	store_read_end(view);
	if (!r)
		r = queues_configure(c);
	if (!r)
		r = blobs_open(&c->blobs, c->state_dir, e);
	if (r)
		fini(c);
	else
		*ret = c;
	return r;
}

static int init(struct actor *a, const Troupe__Setup *setup, void **ret_state, struct error *e)
{
	struct coordinator *c;
	int r = coordinator_open(actor_store(a), setup, &c, e);
	if (r)
		return r;
	*ret_state = c;
	c->eye = outside_eye_open(a); /* without it their heartbeat alone counts */
	fault_point("recover.after_open");
	log_info("ledger opened", LOG_U("queues", c->n_queues), LOG_U("leases", c->leases.n), LOG_U("next_seq", c->meta.next_seq));
	return actor_post(a, coordinator_begin, NULL);
}

static int on_reload(struct turn *t, void *state, const Troupe__Setup *setup)
{
	struct coordinator *c = state;
	if (!setup->coordinator || !setup->coordinator->defaults)
		return ERROR_CONFIG;
	limits_read(c, setup);
	return queues_configure(c);
}

/* --- the end of a turn --- */

static int say_note(struct turn *t, const struct coordinator *c)
{
	char text[80];
	uint64_t waiting = 0;
	for (size_t i = 0; i < c->n_queues; i++)
		if (c->queues[i])
			waiting += c->queues[i]->r.ready + c->queues[i]->r.scheduled;
	snprintf(text, sizeof text, "%llu waiting, %zu in work%s%s", (unsigned long long)waiting, c->leases.n, c->meta.quiet ? ", QUIET" : "", c->disk_low ? ", DISK LOW" : "");
	return turn_note(t, text);
}

static int meta_put(struct turn *t, struct coordinator *c)
{
	if (!c->meta_changed)
		return 0;
	c->meta_changed = false;
	steady_note(&c->steady, &c->meta, turn_boot_ms(t), turn_wall_ms(t));
	return row_put(t, T_META, META_KEY, &c->meta.base);
}

static int wake(struct turn *t, struct coordinator *c)
{
	uint64_t now_ms = turn_now_ms(t), wall = turn_wall_ms(t), steady = steady_at(&c->steady, t);
	if (c->due_ms != TIME_NEVER)
		wake_by(c, now_ms + (c->due_ms > steady ? c->due_ms - steady : 0));
	if (c->at_wall_ms != TIME_NEVER) {
		uint64_t in = c->at_wall_ms > wall ? c->at_wall_ms - wall : 0;
		wake_by(c, now_ms + (in < DUE_LOOK_MS ? in : DUE_LOOK_MS));
	}
	if (c->again)
		wake_by(c, now_ms);
	c->again = false;
	uint64_t at_ms = c->wake_ms;
	c->wake_ms = TIME_NEVER;
	return at_ms == TIME_NEVER ? 0 : turn_wake(t, at_ms);
}

/* What follows from ends, until nothing follows any more; then who has waited for a key. Each step sees what the one before it has written. */
static int settle_graph(struct turn *t, struct coordinator *c)
{
	int r = 0;
	bool some = c->n_dirty_keys > 0;
	while (!r && (c->n_ended || c->n_batch_news)) {
		some = true;
		r = edges_settle(t, c);
		if (!r)
			r = batches_settle(t, c);
	}
	if (r || !some)
		return r;
	if (!(r = turn_apply(t)) && c->n_dirty_keys && !(r = keys_settle(t, c)))
		r = turn_apply(t);
	return r;
}

static int settle(struct turn *t, void *state)
{
	struct coordinator *c = state;
	int r = log_followers(t, c);
	if (!r)
		r = settle_graph(t, c);
	if (!r)
		r = choose(t, c);
	if (!r)
		r = wait_settle(t, c);
	if (!r)
		r = log_retain(t, c);
	if (!r)
		r = log_settle(t, c);
	if (!r)
		r = queues_settle(t, c);
	if (!r)
		r = requirements_settle(t, c);
	if (!r)
		r = meta_put(t, c);
	if (!r)
		r = say_note(t, c);
	if (!r)
		r = wake(t, c);
	return r > 0 ? -EIO : r; /* a turn that cannot be settled must not be committed by halves */
}

static int on_wake(struct turn *t, void *state, uint64_t now_ms)
{
	struct coordinator *c = state;
	int r = due_run(t, c);
	if (!r)
		r = crew_wake(t, c);
	if (!r)
		r = blob_wake(t, c);
	if (!r)
		r = outside_wake(t, c);
	return r > 0 ? -EIO : r;
}

static void on_commit(void *state)
{
	struct coordinator *c = state;
	blobs_committed(&c->blobs);
}

static int on_down(struct turn *t, void *state, const Troupe__Down *d)
{
	int r = crew_down(t, state, d);
	return r > 0 ? -EIO : r;
}

static int on_link(struct turn *t, void *state, const char *address, uint64_t incarnation, uint64_t peer, bool up)
{
	struct coordinator *c = state;
	int r = crew_link(t, c, address, incarnation, peer, up);
	if (!r && !up) {
		watch_forget_peer(c, peer);
		follow_forget_peer(c, peer);
	}
	return r > 0 ? -EIO : r;
}

static int on_client_gone(struct turn *t, void *state, uint64_t peer)
{
	watch_forget_peer(state, peer);
	follow_forget_peer(state, peer);
	int r = outside_gone(t, state, peer);
	return r > 0 ? -EIO : r;
}

static void metrics(void *state, struct turn *t, Troupe__Metrics *out)
{
	static const char tasks[] = "Tasks by state";
	struct coordinator *c = state;
	const Troupe__Sample__Type gauge = TROUPE__SAMPLE__TYPE__GAUGE, counter = TROUPE__SAMPLE__TYPE__COUNTER;
	for (size_t i = 0; i < c->n_queues; i++) {
		const struct queue *q = c->queues[i];
		if (!q)
			continue;
		const struct { const char *state; uint64_t n; } states[] = { { "scheduled", q->r.scheduled }, { "ready", q->r.ready }, { "running", q->r.running },
			{ "done", q->r.done }, { "cancelled", q->r.cancelled }, { "dead", q->r.dead } };
		for (size_t k = 0; k < sizeof states / sizeof *states; k++)
			turn_sample_labelled(t, out, "troupe_queue_tasks", gauge, tasks, (double)states[k].n, "queue", q->name, "state", states[k].state);
		turn_sample_labelled(t, out, "troupe_tasks_submitted_total", counter, "Tasks accepted", (double)q->r.submitted_total, "queue", q->name, NULL, NULL);
		turn_sample_labelled(t, out, "troupe_tasks_completed_total", counter, "Tasks done", (double)q->r.completed_total, "queue", q->name, NULL, NULL);
		turn_sample_labelled(t, out, "troupe_tasks_failed_total", counter, "Attempts that failed", (double)q->r.failed_total, "queue", q->name, NULL, NULL);
		turn_sample_labelled(t, out, "troupe_tasks_retried_total", counter, "Attempts that were followed by another", (double)q->r.retried_total, "queue", q->name, NULL, NULL);
		turn_sample_labelled(t, out, "troupe_tasks_dropped_total", counter, "Tasks dropped to make room", (double)q->r.dropped_total, "queue", q->name, NULL, NULL);
		turn_sample_labelled(t, out, "troupe_queue_bytes", gauge, "Payloads of tasks that are not final", (double)q->r.bytes, "queue", q->name, NULL, NULL);
		turn_sample_labelled(t, out, "troupe_queue_keys", gauge, "Serial keys in use", (double)q->r.keys, "queue", q->name, NULL, NULL);
		turn_sample_labelled(t, out, "troupe_queue_paused", gauge, "1 while the queue is paused", q->r.paused, "queue", q->name, NULL, NULL);
	}
	turn_sample(t, out, "troupe_coordinator_leases", gauge, "Tasks that are with workers", (double)c->leases.n);
	turn_sample(t, out, "troupe_coordinator_workers", gauge, "Workers that are known", (double)c->n_workers);
	turn_sample(t, out, "troupe_coordinator_workers_outside", gauge, "Workers among them that attached from outside", (double)c->n_outside);
	turn_sample(t, out, "troupe_coordinator_watches", gauge, "Tasks whose end somebody waits for", (double)c->n_watches);
	turn_sample(t, out, "troupe_coordinator_stale_outcomes_total", counter, "Outcomes refused for their token", (double)c->n_stale);
	turn_sample(t, out, "troupe_coordinator_returned_total", counter, "Leases that came back unbegun", (double)c->n_handed_back);
	turn_sample(t, out, "troupe_coordinator_disk_low", gauge, "1 while submits are refused for want of disk", c->disk_low);
	turn_sample(t, out, "troupe_coordinator_uploads", gauge, "Large payloads that are being sent", (double)c->blobs.n_uploads);
	turn_sample(t, out, "troupe_coordinator_log_bytes", gauge, "Bytes of the transition log", (double)c->meta.log_bytes);
}

static const struct actor_handler handlers[] = {
	{ TROUPE__ENVELOPE__BODY_SUBMIT, on_submit },
	{ TROUPE__ENVELOPE__BODY_OUTCOMES, on_outcomes },
	{ TROUPE__ENVELOPE__BODY_STARTED, on_started },
	{ TROUPE__ENVELOPE__BODY_ATTACH, on_attach },
	{ TROUPE__ENVELOPE__BODY_REVOKED, on_revoked },
	{ TROUPE__ENVELOPE__BODY_PROGRESS, on_progress },
	{ TROUPE__ENVELOPE__BODY_BEAT, on_beat },
	{ TROUPE__ENVELOPE__BODY_GET, on_get },
	{ TROUPE__ENVELOPE__BODY_LIST, on_list },
	{ TROUPE__ENVELOPE__BODY_WAIT, on_wait },
	{ TROUPE__ENVELOPE__BODY_CANCEL, on_cancel },
	{ TROUPE__ENVELOPE__BODY_RETRY, on_retry },
	{ TROUPE__ENVELOPE__BODY_PURGE, on_purge },
	{ TROUPE__ENVELOPE__BODY_ALTER, on_alter },
	{ TROUPE__ENVELOPE__BODY_BATCH_ASK, on_batch_ask },
	{ TROUPE__ENVELOPE__BODY_QUEUE_ASK, on_queue_ask },
	{ TROUPE__ENVELOPE__BODY_QUEUE_ORDER, on_queue_order },
	{ TROUPE__ENVELOPE__BODY_EXPLAIN, on_explain },
	{ TROUPE__ENVELOPE__BODY_LOG_ASK, on_log_ask },
	{ TROUPE__ENVELOPE__BODY_CHECK_STORE, on_check_store },
	{ TROUPE__ENVELOPE__BODY_WORKERS_ASK, on_workers_ask },
	{ TROUPE__ENVELOPE__BODY_CRON_ORDER, on_cron_order },
	{ TROUPE__ENVELOPE__BODY_CRON_ASK, on_cron_ask },
	{ TROUPE__ENVELOPE__BODY_CRON_PREVIEW, on_cron_preview },
	{ TROUPE__ENVELOPE__BODY_BLOB_PUT, on_blob_put },
	{ TROUPE__ENVELOPE__BODY_BLOB_GET, on_blob_get },
	{ 0 },
};

const struct actor_def coordinator_def = {
	.type = "coordinator",
	.tables = ledger_tables,
	.store_version = LEDGER_VERSION,
	.log_bytes = LEDGER_LOG,
	.handlers = handlers,
	.connects = true,
	.init = init,
	.on_down = on_down,
	.on_link = on_link,
	.on_client_gone = on_client_gone,
	.on_wake = on_wake,
	.on_reload = on_reload,
	.settle = settle,
	.on_commit = on_commit,
	.metrics = metrics,
	.fini = fini,
};
