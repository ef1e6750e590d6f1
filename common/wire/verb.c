#include "common/wire/verb.h"

#include <string.h>

#define NUMBER(n) TROUPE__ENVELOPE__BODY_##n
#define REQUEST(n, name, owner, role, reply) { NUMBER(n), name, OWNER_##owner, VERB_REQUEST, TROUPE__ROLE__##role, NUMBER(reply) }
#define REPLY(n, name, owner) { NUMBER(n), name, OWNER_##owner, VERB_REPLY, TROUPE__ROLE__ROLE_NONE, 0 }
#define NOTICE(n, name, owner, role) { NUMBER(n), name, OWNER_##owner, VERB_NOTICE, TROUPE__ROLE__##role, 0 }

/* In the order of their numbers: verb_find searches by halves. The pairs of the worker plane are notices, because neither side waits for the other. */
/* clang-format off */
const struct verb verbs[] = {
	/* every actor */
	REQUEST(PING, "ping", ACTOR, VIEWER, PONG),
	REPLY(PONG, "pong", ACTOR),
	REPLY(ERROR, "error", ACTOR),
	REPLY(OK, "ok", ACTOR),
	REQUEST(METRICS_ASK, "metrics_ask", ACTOR, VIEWER, METRICS),
	REPLY(METRICS, "metrics", ACTOR),

	/* the supervisor, reached through front */
	REQUEST(WHEREIS, "whereis", SUPERVISOR, VIEWER, LOCATION),
	REPLY(LOCATION, "location", SUPERVISOR),
	REQUEST(TREE_ASK, "tree_ask", SUPERVISOR, VIEWER, TREE),
	REPLY(TREE, "tree", SUPERVISOR),
	REQUEST(CHILD_ORDER, "child_order", SUPERVISOR, OPERATOR, CHILD_ANSWER),
	REPLY(CHILD_ANSWER, "child_answer", SUPERVISOR),
	REQUEST(CRASH_ASK, "crash_ask", SUPERVISOR, VIEWER, CRASHES),
	REPLY(CRASHES, "crashes", SUPERVISOR),
	REQUEST(RELOAD, "reload", SUPERVISOR, OPERATOR, RELOADED),
	REPLY(RELOADED, "reloaded", SUPERVISOR),
	REQUEST(STATUS_ASK, "status_ask", SUPERVISOR, VIEWER, STATUS),
	REPLY(STATUS, "status", SUPERVISOR),
	REQUEST(TAIL_ASK, "tail_ask", SUPERVISOR, VIEWER, TAIL),
	REPLY(TAIL, "tail", SUPERVISOR),
	REQUEST(ADD_CHILD, "add_child", SUPERVISOR, ADMIN, CHILD_ANSWER),
	REQUEST(WHAT_IF, "what_if", SUPERVISOR, VIEWER, WHAT_IF_ANSWER),
	REPLY(WHAT_IF_ANSWER, "what_if_answer", SUPERVISOR),

	/* a coordinator, from clients */
	REQUEST(SUBMIT, "submit", COORDINATOR, SUBMITTER, SUBMITTED),
	REPLY(SUBMITTED, "submitted", COORDINATOR),
	REQUEST(GET, "get", COORDINATOR, VIEWER, TASKS),
	REPLY(TASKS, "tasks", COORDINATOR),
	REQUEST(LIST, "list", COORDINATOR, VIEWER, TASKS),
	REQUEST(WAIT, "wait", COORDINATOR, VIEWER, FINISHED),
	REPLY(FINISHED, "finished", COORDINATOR),
	REQUEST(CANCEL, "cancel", COORDINATOR, SUBMITTER, CHANGED),
	REQUEST(RETRY, "retry", COORDINATOR, SUBMITTER, CHANGED),
	REQUEST(PURGE, "purge", COORDINATOR, OPERATOR, CHANGED),
	REPLY(CHANGED, "changed", COORDINATOR),
	REQUEST(QUEUE_ASK, "queue_ask", COORDINATOR, VIEWER, QUEUES),
	REPLY(QUEUES, "queues", COORDINATOR),
	REQUEST(QUEUE_ORDER, "queue_order", COORDINATOR, OPERATOR, OK),
	REQUEST(EXPLAIN, "explain", COORDINATOR, VIEWER, EXPLAINED),
	REPLY(EXPLAINED, "explained", COORDINATOR),
	REQUEST(LOG_ASK, "log_ask", COORDINATOR, VIEWER, LOG),
	REPLY(LOG, "log", COORDINATOR),
	REQUEST(CHECK_STORE, "check_store", COORDINATOR, VIEWER, STORE_CHECKED),
	REPLY(STORE_CHECKED, "store_checked", COORDINATOR),
	REQUEST(WORKERS_ASK, "workers_ask", COORDINATOR, VIEWER, WORKERS),
	REPLY(WORKERS, "workers", COORDINATOR),
	REQUEST(ALTER, "alter", COORDINATOR, OPERATOR, CHANGED),
	REQUEST(CRON_ORDER, "cron_order", COORDINATOR, OPERATOR, CRONS),
	REQUEST(CRON_ASK, "cron_ask", COORDINATOR, VIEWER, CRONS),
	REPLY(CRONS, "crons", COORDINATOR),
	REQUEST(CRON_PREVIEW, "cron_preview", COORDINATOR, VIEWER, CRON_TIMES),
	REPLY(CRON_TIMES, "cron_times", COORDINATOR),
	REQUEST(BATCH_ASK, "batch_ask", COORDINATOR, VIEWER, BATCHES),
	REPLY(BATCHES, "batches", COORDINATOR),
	REQUEST(BLOB_PUT, "blob_put", COORDINATOR, SUBMITTER, BLOB_TAKEN),
	REPLY(BLOB_TAKEN, "blob_taken", COORDINATOR),
	REQUEST(BLOB_GET, "blob_get", COORDINATOR, VIEWER, BLOB_DATA),
	REPLY(BLOB_DATA, "blob_data", COORDINATOR),

	/* between a coordinator and its workers: those of the node, which need no role, and clients that attach */
	NOTICE(ATTACH, "attach", COORDINATOR, SUBMITTER),
	NOTICE(ATTACHED, "attached", WORKER, ROLE_NONE),
	NOTICE(RUN, "run", WORKER, ROLE_NONE),
	NOTICE(STARTED, "started", COORDINATOR, SUBMITTER),
	NOTICE(OUTCOMES, "outcomes", COORDINATOR, SUBMITTER),
	NOTICE(OUTCOMES_ACK, "outcomes_ack", WORKER, ROLE_NONE),
	NOTICE(PROGRESS, "progress", COORDINATOR, SUBMITTER),
	NOTICE(REVOKE, "revoke", WORKER, ROLE_NONE),
	NOTICE(REVOKED, "revoked", COORDINATOR, SUBMITTER),
	NOTICE(ABORT, "abort", WORKER, ROLE_NONE),
	NOTICE(DRAIN, "drain", WORKER, ROLE_NONE),
	NOTICE(BEAT, "beat", COORDINATOR, SUBMITTER),

	/* a topic */
	REQUEST(PUBLISH, "publish", TOPIC, ROLE_NONE, PUBLISHED),
	REPLY(PUBLISHED, "published", TOPIC),
	REQUEST(TOPIC_ASK, "topic_ask", TOPIC, VIEWER, TOPIC_ROWS),
	REPLY(TOPIC_ROWS, "topic_rows", TOPIC),
};
/* clang-format on */

const size_t n_verbs = sizeof(verbs) / sizeof(verbs[0]);

const struct verb *verb_find(int number)
{
	size_t low = 0, high = n_verbs;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (verbs[middle].number == number)
			return &verbs[middle];
		if (verbs[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const struct verb *verb_by_name(const char *name)
{
	for (size_t i = 0; i < n_verbs; i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

const char *verb_owner_name(enum verb_owner o)
{
	switch (o) {
	case OWNER_ACTOR:
		return "actor";
	case OWNER_SUPERVISOR:
		return "supervisor";
	case OWNER_COORDINATOR:
		return "coordinator";
	case OWNER_WORKER:
		return "worker";
	case OWNER_TOPIC:
		return "topic";
	}
	return "unknown";
}
