/* How many tasks one worker does in a second, with a coordinator that costs as good as nothing: no store, no choice. What is left is the
 * worker, its program, and the way between. */
#include <stdio.h>
#include "tests/unit/worker/stage.h"

#define OUTSTANDING 1024u
#define BATCH 256u

static void run(const char *what, size_t n, size_t outstanding, size_t batch)
{
	char payload[257];
	memset(payload, 'x', 256);
	payload[256] = '\0';
	g.counts_only = true;
	worker_starts();
	uint64_t from_us = clock_mono_us();
	size_t given = 0;
	while (g.n_outcomes < n) {
		while (given < n && given - g.n_outcomes + batch <= outstanding) {
			give_many(batch, payload);
			given += batch;
		}
		stage_step(UINT64_MAX, what);
	}
	double seconds = (double)(clock_mono_us() - from_us) / 1e6;
	printf("%s: %zu tasks of 256 bytes, %zu outstanding: %.0f a second\n", what, n, outstanding, (double)n / seconds);
}

START_TEST(lines)
{
	g.mode = "lines";
	g.command[0] = NOOP_PROGRAM;
	g.command[1] = "256";
	run("lines", 256 * 1500, OUTSTANDING, BATCH);
}
END_TEST

START_TEST(exec)
{
	g.command[0] = "/bin/true";
	run("exec /bin/true", 2000, 8, 4);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("worker");
	TCase *c = tcase_create("worker");
	tcase_add_checked_fixture(c, stage_begins, stage_ends);
	tcase_set_timeout(c, 120);
	tcase_add_test(c, lines);
	tcase_add_test(c, exec);
	suite_add_tcase(s, c);
	return suite_run(s);
}
