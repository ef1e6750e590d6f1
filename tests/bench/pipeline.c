/* Runs the pipeline over both transports, in turns, and prints a table. usage: pipeline [ROUNDS [SECONDS [DIR]]] */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/cleanup.h"
#include "tests/bench/pipeline.h"

#define ROUNDS_MAX 32

struct shape { unsigned n, outstanding; };                   /* n clients and n workers */

int main(int argc, char **argv)
{
	static const struct shape shapes[] = { { 1, 256 }, { 1, 1024 }, { 4, 256 }, { 4, 1024 } };
	static const struct transport *const transports[] = { &transport_raw, &transport_peer };
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 5;
	double seconds = argc > 2 ? atof(argv[2]) : 1.5;
	MUST(argc <= 3 || setenv("TMPDIR", argv[3], 1) == 0);
	MUST(rounds >= 1 && rounds <= ROUNDS_MAX);

	static struct pipeline_result results[ELEMENTS(shapes)][2][ROUNDS_MAX];
	for (unsigned r = 0; r < rounds; r++)
		for (unsigned i = 0; i < ELEMENTS(shapes); i++)
			for (unsigned j = 0; j < 2; j++)
				results[i][(j + r) % 2][r] = pipeline_run(transports[(j + r) % 2], shapes[i].n, shapes[i].outstanding, seconds);

	printf("pipeline: client -> coordinator -> worker -> coordinator -> client, %u rounds of %.1f s each, medians\n", rounds, seconds);
	printf("%-10s %12s | %12s %9s %7s | %12s %9s %7s | %s\n", "processes", "outstanding", "raw tasks/s", "cpu us", "batch", "peer tasks/s", "cpu us", "batch",
	       "peer/raw (least to most)");
	for (unsigned i = 0; i < ELEMENTS(shapes); i++) {
		double rate[2], cpu[2], batch[2], ratios[ROUNDS_MAX], v[ROUNDS_MAX];
		for (unsigned j = 0; j < 2; j++) {
			for (unsigned r = 0; r < rounds; r++)
				v[r] = results[i][j][r].rate;
			rate[j] = median(v, rounds);
			for (unsigned r = 0; r < rounds; r++)
				v[r] = results[i][j][r].cpu_us;
			cpu[j] = median(v, rounds);
			for (unsigned r = 0; r < rounds; r++)
				v[r] = results[i][j][r].batch;
			batch[j] = median(v, rounds);
		}
		for (unsigned r = 0; r < rounds; r++)
			ratios[r] = results[i][1][r].rate / results[i][0][r].rate;
		double ratio = median(ratios, rounds); /* sorts */
		printf("%u + %-6u %12u | %12.0f %9.2f %7.0f | %12.0f %9.2f %7.0f | %.2f (%.2f to %.2f)\n", shapes[i].n, shapes[i].n, shapes[i].outstanding, rate[0],
		       cpu[0], batch[0], rate[1], cpu[1], batch[1], ratio, ratios[0], ratios[rounds - 1]);
	}
	return 0;
}
