/* What such a worker says, whatever carries it. */
#include <stdlib.h>
#include "tests/bench/attached.h"

#define HEARTBEAT_MS 3600000u

const struct attached_crew attached_crews[ATTACHED_CREWS] = {
	{ "10 workers of 100 slots", { 10, 100, 0, 0 } },
	{ "the same, and 990 that serve another queue", { 10, 100, 990, 0 } },
	{ "1,000 workers of 1 slot", { 1000, 1, 0, 0 } },
};

void attached_do(const struct attached *what, const Troupe__Run *run, void (*say)(void *ctx, Troupe__Envelope__BodyCase body, void *message), void *ctx)
{
	uint64_t *tokens = calloc(run->n_tasks, sizeof(*tokens));
	Troupe__Outcome *outcomes = calloc(run->n_tasks, sizeof(*outcomes)), **all = calloc(run->n_tasks, sizeof(Troupe__Outcome *));
	Troupe__Started started = TROUPE__STARTED__INIT;
	Troupe__Outcomes m = TROUPE__OUTCOMES__INIT;
	MUST(tokens && outcomes && all);
	for (size_t i = 0; i < run->n_tasks; i++) {
		tokens[i] = run->tasks[i]->token;
		troupe__outcome__init(all[i] = &outcomes[i]);
		outcomes[i].token = tokens[i];
		outcomes[i].id = run->tasks[i]->id;
		outcomes[i].run_us = what->run_us;
		outcomes[i].exit_class = TROUPE__EXIT_CLASS__EXIT_DONE;
	}
	started.tokens = tokens;
	m.outcomes = all;
	started.n_tokens = m.n_outcomes = run->n_tasks;
	say(ctx, TROUPE__ENVELOPE__BODY_STARTED, &started);
	say(ctx, TROUPE__ENVELOPE__BODY_OUTCOMES, &m);
	free(tokens);
	free(outcomes);
	free(all);
}

void attached_introduce(const struct attached *what, unsigned number, struct id *instance, char **queue, Troupe__Attach *ret)
{
	troupe__attach__init(ret);
	*queue = (char *)(number < what->n ? "noop" : "other");
	ret->instance = (ProtobufCBinaryData){ sizeof(instance->b), instance->b };
	ret->queues = queue;
	ret->n_queues = 1;
	ret->slots = what->slots;
	ret->heartbeat_ms = HEARTBEAT_MS;
}
