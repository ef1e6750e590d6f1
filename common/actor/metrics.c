/* What the runtime counts of itself, as samples; the behaviour adds its own behind them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "common/actor/internal.h"

#define SAMPLES_MAX 40

const double commit_bounds[11] = { 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1, 10 };

void metrics_commit(struct counters *c, uint64_t us)
{
	size_t i = 0;
	while (i < ELEMENTS(commit_bounds) && (double)us > commit_bounds[i] * 1e6)
		i++;
	c->commit_buckets[i]++;
	c->commits++;
	c->commit_us += us;
}

struct samples { struct arena *arena; Troupe__Metrics *out; const char *address; };

static void sample_add(struct samples *s, const char *name, Troupe__Sample__Type type, const char *help, double value, const char *le)
{
	Troupe__Sample *m = arena_alloc(s->arena, sizeof *m);
	Troupe__Pair *pairs = arena_alloc(s->arena, 2 * sizeof *pairs);
	Troupe__Pair **labels = arena_alloc(s->arena, 2 * sizeof *labels);
	if (!m || !pairs || !labels || s->out->n_samples == SAMPLES_MAX)
		return;
	troupe__sample__init(m);
	troupe__pair__init(&pairs[0]);
	troupe__pair__init(&pairs[1]);
	pairs[0].key = (char *)"actor";
	pairs[0].value = (char *)s->address;
	pairs[1].key = (char *)"le";
	pairs[1].value = (char *)le;
	labels[0] = &pairs[0];
	labels[1] = &pairs[1];
	m->name = (char *)name;
	m->type = type;
	m->help = (char *)help;
	m->value = value;
	m->labels = labels;
	m->n_labels = le ? 2 : 1;
	s->out->samples[s->out->n_samples++] = m;
}

static void add_commits(struct samples *s, const struct counters *c)
{
	static const char *const name = "troupe_store_commit_seconds";
	uint64_t sum = 0;
	for (size_t i = 0; i < ELEMENTS(c->commit_buckets); i++) {
		sum += c->commit_buckets[i];
		char *le = i < ELEMENTS(commit_bounds) ? arena_printf(s->arena, "%g", commit_bounds[i]) : arena_string(s->arena, "+Inf");
		if (le)
			sample_add(s, "troupe_store_commit_seconds_bucket", TROUPE__SAMPLE__TYPE__HISTOGRAM, "Time of a store commit", (double)sum, le);
	}
	char *total = arena_printf(s->arena, "%s_sum", name), *count = arena_printf(s->arena, "%s_count", name);
	if (!total || !count)
		return;
	sample_add(s, total, TROUPE__SAMPLE__TYPE__HISTOGRAM, "Time of a store commit", (double)c->commit_us / 1e6, NULL);
	sample_add(s, count, TROUPE__SAMPLE__TYPE__HISTOGRAM, "Time of a store commit", (double)sum, NULL);
}

int metrics_answer(struct actor *a, const struct message *m)
{
	struct turn *t = a->turn;
	Troupe__Metrics out = TROUPE__METRICS__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	if (!(out.samples = arena_alloc(t->arena, SAMPLES_MAX * sizeof *out.samples)))
		return -ENOMEM;
	struct samples s = { t->arena, &out, a->address };
	const Troupe__Sample__Type gauge = TROUPE__SAMPLE__TYPE__GAUGE, counter = TROUPE__SAMPLE__TYPE__COUNTER;
	const struct counters *c = &a->counters;
	sample_add(&s, "troupe_mailbox_messages", gauge, "Messages that wait for their turn", (double)a->mailbox.n, NULL);
	sample_add(&s, "troupe_mailbox_bytes", gauge, "Memory that waiting messages take", (double)a->mailbox.bytes, NULL);
	sample_add(&s, "troupe_clients", gauge, "Connected clients", (double)a->conns.n_clients, NULL);
	sample_add(&s, "troupe_links", gauge, "Connections to other actors, made or wanted", (double)a->links.n, NULL);
	sample_add(&s, "troupe_asks", gauge, "Questions of this actor that wait for their answer", (double)a->asks.due.n, NULL);
	sample_add(&s, "troupe_messages_total", counter, "Messages handled", (double)c->messages, NULL);
	sample_add(&s, "troupe_messages_failed_total", counter, "Messages whose handler returned an error", (double)c->failed, NULL);
	sample_add(&s, "troupe_messages_refused_total", counter, "Messages refused because the mailbox was full", (double)c->refused, NULL);
	sample_add(&s, "troupe_messages_dropped_total", counter, "Volatile messages of this actor that could not be sent", (double)c->dropped, NULL);
	sample_add(&s, "troupe_turns_total", counter, "Turns", (double)c->turns, NULL);
	struct store_usage u;
	if (a->store && store_usage(a->store, &u) == 0) {
		sample_add(&s, "troupe_store_map_bytes", gauge, "Size of the store's map", (double)u.map_bytes, NULL);
		sample_add(&s, "troupe_store_used_bytes", gauge, "Bytes of the store's file in use", (double)u.used_bytes, NULL);
		add_commits(&s, c);
	}
	if (a->def->metrics)
		a->def->metrics(a->state, t, &out);
	env.body_case = TROUPE__ENVELOPE__BODY_METRICS;
	env.metrics = &out;
	return turn_reply(t, m, &env);
}
