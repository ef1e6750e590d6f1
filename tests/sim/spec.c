/* What a random task asks for. Its memory lives until the next one's submit is packed. */
#include <stdio.h>
#include <string.h>
#include "tests/sim/sim.h"

#define TASKS_A_SUBMIT 8u

static struct { char unique[8], serial[8], payload[24]; Troupe__Level priority; Troupe__Edge edges[3], *all_edges[3]; Troupe__Resource gpu, *resources[1]; } memory[TASKS_A_SUBMIT];

/* Of this submit, before or behind it, or accepted before. No circles: only to a lower number. */
static void edges(struct sim *s, struct sim_task *t, Troupe__TaskSpec *x, unsigned at)
{
	unsigned number = (unsigned)(t - s->tasks), n = number ? 1 + (unsigned)some(s, 3) : 0;
	for (unsigned i = 0; i < n; i++) {
		unsigned parent = chance(s, 50) && number > 6 ? number - 1 - (unsigned)some(s, 6) : (unsigned)some(s, number);
		bool known = s->tasks[parent].role != TROUPE__BATCH_ROLE__MEMBER;
		for (unsigned k = 0; k < t->n_edges; k++)
			known |= t->edges[k].parent == parent;
		if (known)
			continue;
		struct sim_edge *e = &t->edges[t->n_edges];
		*e = (struct sim_edge){ parent, (Troupe__EdgeOn)some(s, 3) };
		if (e->on == TROUPE__EDGE_ON__ON_FAILURE && chance(s, 60))
			e->on = TROUPE__EDGE_ON__ON_SUCCESS;
		troupe__edge__init(&memory[at].edges[t->n_edges]);
		memory[at].edges[t->n_edges].id = (ProtobufCBinaryData){ 16, s->tasks[parent].id.b };
		memory[at].edges[t->n_edges].on = e->on;
		memory[at].all_edges[t->n_edges] = &memory[at].edges[t->n_edges];
		t->n_edges++;
	}
	x->depends_on = memory[at].all_edges;
	x->n_depends_on = t->n_edges;
	x->hold_on_failure = t->hold = chance(s, 30);
}

static void unique(struct sim *s, struct sim_task *t, Troupe__TaskSpec *x, unsigned at)
{
	t->key = 1 + (unsigned)some(s, 6);
	snprintf(memory[at].unique, sizeof memory[at].unique, "key%u", t->key);
	x->unique_key = memory[at].unique;
	x->unique_mode = chance(s, 50) ? TROUPE__UNIQUE_MODE__UNIQUE_REJECT : TROUPE__UNIQUE_MODE__UNIQUE_REPLACE;
	x->unique_window_ms = chance(s, 30) ? some(s, 10000) : 0;
}

void spec_fill(struct sim *s, struct sim_task *t, Troupe__TaskSpec *x, unsigned first)
{
	static char *const names[] = { (char *)"a", (char *)"b" };
	unsigned number = (unsigned)(t - s->tasks), at = number - first;
	troupe__task_spec__init(x);
	troupe__level__init(&memory[at].priority);
	memory[at].priority.value = t->priority;
	x->id = (ProtobufCBinaryData){ sizeof t->id.b, t->id.b };
	x->queue = names[t->queue];
	x->priority = &memory[at].priority;
	x->payload = (ProtobufCBinaryData){ (size_t)snprintf(memory[at].payload, sizeof memory[at].payload, "task %u", number), (uint8_t *)memory[at].payload };
	if (chance(s, 15)) {
		x->delay_ms = 1 + some(s, 5000);
		t->delayed = true;
	}
	if (chance(s, 5)) {
		x->run_at_ms = s->stage->wall_ms + some(s, 8000);
		t->delayed = true;
	}
	if (chance(s, 10))
		unique(s, t, x, at);
	if (chance(s, 10))
		x->deadline_at_ms = s->stage->wall_ms + 500 + some(s, 20000);
	if (chance(s, 25)) {
		t->serial = 1 + (unsigned)some(s, 4);
		snprintf(memory[at].serial, sizeof memory[at].serial, "s%u", t->serial);
		x->serial_key = memory[at].serial;
	}
	if (chance(s, 20))
		edges(s, t, x, at);
	if (chance(s, 10)) {
		troupe__resource__init(&memory[at].gpu);
		memory[at].gpu.name = (char *)"gpu";
		memory[at].gpu.amount = 1;
		memory[at].resources[0] = &memory[at].gpu;
		x->resources = memory[at].resources;
		x->n_resources = 1;
		t->gpu = true;
	}
}
