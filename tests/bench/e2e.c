/* Durable no-op tasks a second, from submit to the news that they are done: 256 bytes of payload, clients and workers in processes of their own. Lines workers beside
 * the bare pipeline (pipeline.h) in turns; exec workers beside loops of posix_spawn and wait. A client submits each task alone, as the pipeline does, or all
 * that it may at this moment in one Submit. usage: e2e [ROUNDS [SECONDS [SHAPE]]], SHAPE: a row of the table alone, from 1 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "tests/bench/load.h"
#include "tests/bench/pipeline.h"

#define ROUNDS_MAX 32

/* --- the table --- */

static double middle(const struct load_result *r, unsigned rounds, size_t offset)
{
	double v[ROUNDS_MAX];
	for (unsigned i = 0; i < rounds; i++)
		memcpy(&v[i], (const char *)&r[i] + offset, sizeof(v[i]));
	return median(v, rounds);
}

static void row(struct load_shape s, const char *how, const struct load_result *node, const double *bare, unsigned rounds)
{
	double ratios[ROUNDS_MAX], rates[ROUNDS_MAX];
	char what[16] = "exec";
	for (unsigned r = 0; r < rounds; r++) {
		ratios[r] = node[r].rate / bare[r];
		rates[r] = bare[r];
	}
	if (s.at_once)
		snprintf(what, sizeof(what), "lines %u", s.at_once);
	double ratio = median(ratios, rounds); /* sorts */
	printf("%-10s %u + %u %6u  %-9s | %9.0f | %9.0f | %.2f (%.2f to %.2f) | %5.0f | %7.1f %7.1f %7.1f\n", what, s.n, s.n, s.outstanding, how, median(rates, rounds),
	       middle(node, rounds, offsetof(struct load_result, rate)), ratio, ratios[0], ratios[rounds - 1], middle(node, rounds, offsetof(struct load_result, batch)),
	       middle(node, rounds, offsetof(struct load_result, coordinator_us)), middle(node, rounds, offsetof(struct load_result, workers_us)), middle(node, rounds, offsetof(struct load_result, clients_us)));
}

int main(int argc, char **argv)
{
	static const struct load_shape shapes[] = { { 1, 256, AT_ONCE }, { 1, 1024, AT_ONCE }, { 4, 256, AT_ONCE }, { 4, 1024, AT_ONCE }, { 1, 256, 1 }, { 4, 256, 1 }, { LANES, 64, 0 } };
	static struct load_result node[ELEMENTS(shapes)][2][ROUNDS_MAX];
	static double bare[ELEMENTS(shapes)][ROUNDS_MAX];
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 5;
	double seconds = argc > 2 ? atof(argv[2]) : 1.5;
	unsigned only = argc > 3 ? (unsigned)atoi(argv[3]) : 0; /* 0: all */
	MUST(rounds >= 1 && rounds <= ROUNDS_MAX && seconds > 0 && only <= ELEMENTS(shapes));
	for (unsigned r = 0; r < rounds; r++)
		for (unsigned i = 0; i < ELEMENTS(shapes); i++) {
			if (only && i + 1 != only)
				continue;
			struct load_shape s = shapes[i];
			bare[i][r] = s.at_once ? pipeline_run(&transport_raw, s.n, s.outstanding, seconds).rate : spawn_run(seconds);
			for (unsigned together = 0; together < 2; together++)
				node[i][together][r] = load_run(s, together, seconds);
		}
	printf("e2e: %u rounds of %.1f s each, medians; bare: the raw pipeline, or posix_spawn and wait on %u lanes\n", rounds, seconds, LANES);
	printf("%-33s | %9s | %9s | %-20s | batch | CPU us a task: coordinator, workers, clients\n", "workers, clients+workers, flying", "bare/s", "node/s", "node/bare (range)");
	for (unsigned i = 0; i < ELEMENTS(shapes); i++)
		for (unsigned together = 0; together < 2 && (!only || i + 1 == only); together++)
			row(shapes[i], together ? "together" : "one by one", node[i][together], bare[i], rounds);
	return 0;
}
