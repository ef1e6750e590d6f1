/* Durable no-op tasks a second, from a submit that is acknowledged when it is on the disk to an end that is, 256 bytes each, beside other queues and beside the bare limits, in turns. The node is
 * as e2e measures it. */
#include <stdio.h>
#include "common/base/cleanup.h"
#include "tests/bench/attached.h"
#include "tests/bench/load.h"
#include "tests/bench/peers/limit.h"
#include "tests/bench/peers/ways.h"
#include "tests/bench/pipeline.h"
#include "tests/bench/report.h"

#define WAYS_MAX 8u
#define LMDB "LMDB alone: rows of a life, one commit for all"
#define PIPELINE "the bare pipeline"
#define TOGETHER "Troupe, submits of what may be on its way"
#define ONE_BY_ONE "Troupe, one task a submit"
#define ATTACHED "Troupe, the same, workers that attach"

static const struct load_shape shapes[] = { { 1, 256, AT_ONCE }, { 1, 1024, AT_ONCE }, { 4, 256, AT_ONCE }, { 4, 1024, AT_ONCE } };
static struct raw_pattern patterns[ELEMENTS(shapes)];

struct plan { const struct bench_options *o; const struct way *ways[WAYS_MAX]; unsigned n_ways; struct report *report, *disk; };

#define OURS 5u

/* The i-th row of a shape: two limits, the node with programs of a pool, and with workers that speak its protocol themselves, as the consumers of the peers do, then the peers. */
static const char *row_name(const struct plan *p, unsigned i)
{
	static const char *const ours[] = { LMDB, PIPELINE, TOGETHER, ATTACHED, ONE_BY_ONE };
	return i < ELEMENTS(ours) ? ours[i] : p->ways[i - OURS]->name;
}

static double row_run(const struct plan *p, unsigned i, unsigned shape)
{
	struct load_shape s = shapes[shape];
	struct attached what = { .n = 1, .slots = AT_ONCE };
	switch (i) {
	case 0: return limit_run(&patterns[shape], s.outstanding, p->o->seconds / 2);
	case 1: return pipeline_run(&transport_raw, s.n, s.outstanding, p->o->seconds).rate;
	case 2: return load_run(s, true, p->o->seconds).rate;
	case 3: return load_run_crew(s, true, p->o->seconds, &(struct load_crew){ attached_run, &what, s.n }).rate;
	case 4: return load_run(s, false, p->o->seconds).rate;
	default: return way_run(p->ways[i - OURS], s.n, s.outstanding, p->o->seconds);
	}
}

static void round_run(const struct plan *p, unsigned round)
{
	unsigned n = OURS + p->n_ways;
	report_add(p->disk, "the disk", "fdatasync of an append, p50", barrier_us());
	for (unsigned k = 0; k < ELEMENTS(shapes); k++) {
		char in_case[64];
		snprintf(in_case, sizeof(in_case), "%u + %u, %u outstanding", shapes[k].n, shapes[k].n, shapes[k].outstanding);
		for (unsigned j = 0; j < n; j++) {
			unsigned i = (j + round) % n; /* nobody always comes behind the same one */
			if (!bench_wants(p->o, row_name(p, i)))
				continue;
			double rate = row_run(p, i, k);
			bench_progress("round %u of %u, %s, %s: %.0f tasks/s", round + 1, p->o->rounds, in_case, row_name(p, i), rate);
			report_add(p->report, in_case, row_name(p, i), rate);
		}
	}
}

int main(int argc, char **argv)
{
	struct bench_options o = { .rounds = 3, .seconds = 1 };
	bench_options(argc, argv, "[--seconds OF-EACH]", &o);
	struct plan p = { .o = &o, .report = report_new("peers-e2e", "tasks/s"), .disk = report_new("peers-e2e-disk", "us") };
	p.n_ways = ways_found(p.ways, WAYS_MAX);
	for (unsigned k = 0; k < ELEMENTS(shapes) && bench_wants(&o, LMDB); k++)
		limit_learn(shapes[k].outstanding, &patterns[k]);
	for (unsigned r = 0; r < o.rounds; r++)
		round_run(&p, r);
	report_beside(p.report, PIPELINE, "of the bare pipeline");
	report_beside(p.report, TOGETHER, "of Troupe");
	report_print(p.report, "durable tasks end to end, clients + workers", o.json);
	report_print(p.disk, "what all of it waits for", o.json);
	report_free(p.report);
	report_free(p.disk);
	return 0;
}
