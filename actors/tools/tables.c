/* Which columns there are, in which order, under which titles. Those without a title are in --json and at -o's command. */
#include "common/base/cleanup.h"
#include "actors/tools/row.h"

#define TABLE(symbol, name_, id_, tree_, ...)                                                                            \
	static const struct column symbol##_columns[] = { __VA_ARGS__ };                                                 \
	const struct table symbol = { .name = name_, .id = id_, .tree = tree_, .columns = symbol##_columns, .n_columns = ELEMENTS(symbol##_columns) }

TABLE(table_tasks, "tasks", "id", NULL,
	{ "task", "TASK", COLUMN_TEXT }, { "queue", "QUEUE", COLUMN_TEXT }, { "state", "STATE", COLUMN_STATE }, { "priority", "PRIORITY", COLUMN_TEXT },
	{ "tries", "TRIES", COLUMN_TEXT }, { "age_ms", "AGE", COLUMN_AGE }, { "took_ms", "TOOK", COLUMN_AGE }, { "worker", "WORKER", COLUMN_TEXT },
	{ "note", "NOTE", COLUMN_TEXT }, { "id", NULL, COLUMN_TEXT }, { "seq", NULL, COLUMN_NUMBER }, { "cause", NULL, COLUMN_TEXT },
	{ "run", NULL, COLUMN_NUMBER }, { "attempts", NULL, COLUMN_NUMBER }, { "max_attempts", NULL, COLUMN_NUMBER }, { "token", NULL, COLUMN_NUMBER },
	{ "submitted_at", NULL, COLUMN_TEXT }, { "due_at", NULL, COLUMN_TEXT }, { "due_in_ms", NULL, COLUMN_AGE }, { "started_at", NULL, COLUMN_TEXT },
	{ "finished_at", NULL, COLUMN_TEXT }, { "submitter", NULL, COLUMN_TEXT }, { "percent", NULL, COLUMN_NUMBER }, { "payload_size", NULL, COLUMN_SIZE },
	{ "outcome", NULL, COLUMN_TEXT }, { "exit_class", NULL, COLUMN_TEXT }, { "exit_code", NULL, COLUMN_NUMBER }, { "signal", NULL, COLUMN_NUMBER },
	{ "run_us", NULL, COLUMN_NUMBER }, { "last_error", NULL, COLUMN_TEXT }, { "unique", NULL, COLUMN_TEXT }, { "argv", NULL, COLUMN_TEXT },
	{ "require", NULL, COLUMN_TEXT }, { "resources", NULL, COLUMN_TEXT }, { "serial", NULL, COLUMN_TEXT }, { "after", NULL, COLUMN_TEXT }, { "waits_for", NULL, COLUMN_TEXT },
	{ "blocked", NULL, COLUMN_NUMBER }, { "hold", NULL, COLUMN_FLAG }, { "batch", NULL, COLUMN_TEXT }, { "role", NULL, COLUMN_TEXT }, { "payload", NULL, COLUMN_TEXT }, { "output", NULL, COLUMN_TEXT });

TABLE(table_attempts, "attempts", "token", NULL,
	{ "run", "RUN", COLUMN_NUMBER }, { "attempt", "ATTEMPT", COLUMN_NUMBER }, { "worker", "WORKER", COLUMN_TEXT }, { "started_at", "STARTED", COLUMN_TEXT },
	{ "took_ms", "TOOK", COLUMN_AGE }, { "outcome", "OUTCOME", COLUMN_TEXT }, { "error", "ERROR", COLUMN_TEXT }, { "token", NULL, COLUMN_NUMBER });

TABLE(table_receipts, "receipts", "id", NULL,
	{ "id", "ID", COLUMN_TEXT }, { "task", "TASK", COLUMN_TEXT }, { "queue", "QUEUE", COLUMN_TEXT }, { "existing", "EXISTING", COLUMN_FLAG }, { "seq", NULL, COLUMN_NUMBER });

TABLE(table_tree_rows, "actors", "address", "actor",
	{ "actor", "ACTOR", COLUMN_TEXT }, { "pid", "PID", COLUMN_NUMBER }, { "state", "STATE", COLUMN_STATE }, { "up_ms", "UP", COLUMN_AGE },
	{ "restarts", "RESTARTS", COLUMN_NUMBER }, { "note", "NOTE", COLUMN_TEXT }, { "address", NULL, COLUMN_TEXT }, { "kind", NULL, COLUMN_TEXT },
	{ "incarnation", NULL, COLUMN_NUMBER }, { "restart", NULL, COLUMN_TEXT }, { "strategy", NULL, COLUMN_TEXT }, { "last_reason", NULL, COLUMN_TEXT },
	{ "last_detail", NULL, COLUMN_TEXT }, { "mailbox", NULL, COLUMN_NUMBER }, { "rss", NULL, COLUMN_SIZE }, { "cpu_ms", NULL, COLUMN_AGE },
	{ "threads", NULL, COLUMN_NUMBER }, { "program", NULL, COLUMN_TEXT });

TABLE(table_processes, "processes", "address", NULL,
	{ "pid", "PID", COLUMN_NUMBER }, { "address", "ACTOR", COLUMN_TEXT }, { "state", "STATE", COLUMN_STATE }, { "rss", "RSS", COLUMN_SIZE },
	{ "cpu_ms", "CPU", COLUMN_AGE }, { "threads", "THREADS", COLUMN_NUMBER }, { "up_ms", "UP", COLUMN_AGE }, { "restarts", "RESTARTS", COLUMN_NUMBER },
	{ "mailbox", "MAILBOX", COLUMN_NUMBER }, { "program", "PROGRAM", COLUMN_TEXT }, { "incarnation", NULL, COLUMN_NUMBER }, { "kind", NULL, COLUMN_TEXT },
	{ "note", NULL, COLUMN_TEXT }, { "last_reason", NULL, COLUMN_TEXT }, { "last_detail", NULL, COLUMN_TEXT });

TABLE(table_queues, "queues", "queue", NULL,
	{ "queue", "QUEUE", COLUMN_TEXT }, { "state", "STATE", COLUMN_STATE }, { "ready", "READY", COLUMN_NUMBER }, { "scheduled", "SCHEDULED", COLUMN_NUMBER },
	{ "running", "RUNNING", COLUMN_NUMBER }, { "done", "DONE", COLUMN_NUMBER }, { "cancelled", "CANCELLED", COLUMN_NUMBER }, { "dead", "DEAD", COLUMN_NUMBER },
	{ "oldest_ready_ms", "OLDEST", COLUMN_AGE }, { "note", "NOTE", COLUMN_TEXT }, { "workers", NULL, COLUMN_NUMBER }, { "workers_busy", NULL, COLUMN_NUMBER },
	{ "submitted", NULL, COLUMN_NUMBER }, { "completed", NULL, COLUMN_NUMBER }, { "failed", NULL, COLUMN_NUMBER },
	{ "retried", NULL, COLUMN_NUMBER }, { "dropped", NULL, COLUMN_NUMBER }, { "bytes", NULL, COLUMN_SIZE }, { "keys", NULL, COLUMN_NUMBER },
	{ "draining_by", NULL, COLUMN_TEXT }, { "draining_why", NULL, COLUMN_TEXT }, { "draining_at", NULL, COLUMN_TEXT }, { "paused_by", NULL, COLUMN_TEXT }, { "paused_why", NULL, COLUMN_TEXT }, { "paused_at", NULL, COLUMN_TEXT },
	{ "timeout_ms", NULL, COLUMN_AGE }, { "max_tasks", NULL, COLUMN_NUMBER }, { "max_attempts", NULL, COLUMN_NUMBER }, { "policy", NULL, COLUMN_TEXT },
	{ "changed", NULL, COLUMN_TEXT }, { "auto_created", NULL, COLUMN_FLAG });

TABLE(table_batches, "batches", "batch", NULL,
	{ "batch", "BATCH", COLUMN_TEXT }, { "name", "NAME", COLUMN_TEXT }, { "state", "STATE", COLUMN_STATE }, { "ended", "ENDED", COLUMN_TEXT },
	{ "done", "DONE", COLUMN_NUMBER }, { "dead", "DEAD", COLUMN_NUMBER }, { "cancelled", "CANCELLED", COLUMN_NUMBER }, { "age_ms", "AGE", COLUMN_AGE },
	{ "took_ms", "TOOK", COLUMN_AGE }, { "members", NULL, COLUMN_NUMBER }, { "compensations", NULL, COLUMN_NUMBER }, { "compensated", NULL, COLUMN_NUMBER },
	{ "on_failure", NULL, COLUMN_TEXT }, { "submitter", NULL, COLUMN_TEXT }, { "submitted_at", NULL, COLUMN_TEXT }, { "finished_at", NULL, COLUMN_TEXT });

TABLE(table_members, "tasks of a batch", "id", NULL,
	{ "task", "TASK", COLUMN_TEXT }, { "queue", "QUEUE", COLUMN_TEXT }, { "role", "ROLE", COLUMN_TEXT }, { "state", "STATE", COLUMN_STATE },
	{ "after_tasks", "AFTER", COLUMN_TEXT }, { "tries", "TRIES", COLUMN_TEXT }, { "took_ms", "TOOK", COLUMN_AGE }, { "note", "NOTE", COLUMN_TEXT },
	{ "id", NULL, COLUMN_TEXT }, { "seq", NULL, COLUMN_NUMBER }, { "cause", NULL, COLUMN_TEXT }, { "blocked", NULL, COLUMN_NUMBER }, { "worker", NULL, COLUMN_TEXT },
	{ "batch", NULL, COLUMN_TEXT }, { "after", NULL, COLUMN_TEXT }, { "last_error", NULL, COLUMN_TEXT });

TABLE(table_named, "tasks", "batch", NULL,
	{ "name", "NAME", COLUMN_TEXT }, { "id", "ID", COLUMN_TEXT }, { "task", "TASK", COLUMN_TEXT }, { "queue", "QUEUE", COLUMN_TEXT }, { "batch", "BATCH", COLUMN_TEXT },
	{ "role", NULL, COLUMN_TEXT }, { "existing", NULL, COLUMN_FLAG }, { "seq", NULL, COLUMN_NUMBER });

TABLE(table_trace, "steps", "at_ms", NULL,
	{ "after", "AFTER", COLUMN_TEXT }, { "what", "WHAT", COLUMN_STATE }, { "who", "WHO", COLUMN_TEXT }, { "detail", "DETAIL", COLUMN_TEXT },
	{ "at", NULL, COLUMN_TEXT }, { "at_ms", NULL, COLUMN_NUMBER }, { "task", NULL, COLUMN_TEXT }, { "run", NULL, COLUMN_NUMBER }, { "attempt", NULL, COLUMN_NUMBER },
	{ "token", NULL, COLUMN_NUMBER }, { "commit", NULL, COLUMN_NUMBER }, { "crash", NULL, COLUMN_NUMBER });

TABLE(table_workers, "workers", "worker", NULL,
	{ "worker", "WORKER", COLUMN_TEXT }, { "pid", "PID", COLUMN_NUMBER }, { "state", "STATE", COLUMN_STATE }, { "task", "TASK", COLUMN_TEXT },
	{ "since_ms", "FOR", COLUMN_AGE }, { "held", "HELD", COLUMN_NUMBER }, { "done", "DONE", COLUMN_NUMBER }, { "failed", "FAILED", COLUMN_NUMBER },
	{ "note", "NOTE", COLUMN_TEXT }, { "pool", NULL, COLUMN_TEXT }, { "incarnation", NULL, COLUMN_NUMBER }, { "task_id", NULL, COLUMN_TEXT },
	{ "token", NULL, COLUMN_NUMBER }, { "queues", NULL, COLUMN_TEXT }, { "draining", NULL, COLUMN_FLAG });

TABLE(table_crashes, "crashes", "crash", NULL,
	{ "crash", "CRASH", COLUMN_NUMBER }, { "at", "AT", COLUMN_TEXT }, { "actor", "ACTOR", COLUMN_TEXT }, { "how", "HOW", COLUMN_TEXT },
	{ "uptime_ms", "UPTIME", COLUMN_AGE }, { "decision", "DECISION", COLUMN_TEXT }, { "detail", "DETAIL", COLUMN_TEXT }, { "pid", NULL, COLUMN_NUMBER },
	{ "incarnation", NULL, COLUMN_NUMBER }, { "reason", NULL, COLUMN_TEXT }, { "exit_code", NULL, COLUMN_NUMBER }, { "signal", NULL, COLUMN_NUMBER },
	{ "phase", NULL, COLUMN_TEXT }, { "core", NULL, COLUMN_TEXT }, { "tokens", NULL, COLUMN_TEXT }, { "last_message", NULL, COLUMN_TEXT },
	{ "stderr", NULL, COLUMN_TEXT }, { "proof", NULL, COLUMN_TEXT }, { "max_rss_kib", NULL, COLUMN_NUMBER });

TABLE(table_events, "events", "cursor", NULL,
	{ "at", "AT", COLUMN_TEXT }, { "type", "TYPE", COLUMN_TEXT }, { "about", "ABOUT", COLUMN_TEXT }, { "text", "TEXT", COLUMN_TEXT },
	{ "source", NULL, COLUMN_TEXT }, { "level", NULL, COLUMN_STATE }, { "subject", NULL, COLUMN_TEXT }, { "cursor", NULL, COLUMN_TEXT },
	{ "id", NULL, COLUMN_TEXT }, { "seq", NULL, COLUMN_NUMBER }, { "queue", NULL, COLUMN_TEXT }, { "worker", NULL, COLUMN_TEXT }, { "attempt", NULL, COLUMN_NUMBER },
	{ "exit_class", NULL, COLUMN_TEXT }, { "fields", NULL, COLUMN_TEXT });

TABLE(table_checks, "checks", "check", NULL,
	{ "check", "CHECK", COLUMN_TEXT }, { "state", "STATE", COLUMN_STATE }, { "note", "NOTE", COLUMN_TEXT });

TABLE(table_status, "nodes", "node", NULL,
	{ "state", "STATE", COLUMN_STATE }, { "version", "VERSION", COLUMN_TEXT }, { "pid", "PID", COLUMN_NUMBER }, { "up_ms", "UP", COLUMN_AGE },
	{ "actors", "ACTORS", COLUMN_NUMBER }, { "actors_up", "ACTORS-UP", COLUMN_NUMBER }, { "actors_failed", "FAILED", COLUMN_NUMBER },
	{ "restarts", "RESTARTS", COLUMN_NUMBER }, { "run_dir", NULL, COLUMN_TEXT }, { "state_dir", NULL, COLUMN_TEXT }, { "config", NULL, COLUMN_TEXT },
	{ "containment", NULL, COLUMN_TEXT }, { "features", NULL, COLUMN_TEXT }, { "alarms", NULL, COLUMN_TEXT }, { "node", NULL, COLUMN_TEXT });

TABLE(table_answers, "answers", "actor", NULL,
	{ "actor", "ACTOR", COLUMN_TEXT }, { "answer", "ANSWER", COLUMN_TEXT }, { "pid", "PID", COLUMN_NUMBER }, { "incarnation", "INCARNATION", COLUMN_NUMBER },
	{ "info", "INFO", COLUMN_TEXT }, { "took_ms", NULL, COLUMN_NUMBER }, { "specs", NULL, COLUMN_NUMBER }, { "active", NULL, COLUMN_NUMBER },
	{ "supervisors", NULL, COLUMN_NUMBER }, { "workers", NULL, COLUMN_NUMBER }, { "spec", NULL, COLUMN_TEXT });

TABLE(table_what_if, "steps", "actor", NULL,
	{ "after_ms", "AFTER-MS", COLUMN_NUMBER }, { "what", "WHAT", COLUMN_TEXT }, { "actor", "ACTOR", COLUMN_TEXT }, { "detail", "DETAIL", COLUMN_TEXT });

TABLE(table_changes, "changes", "task", NULL,
	{ "task", "TASK", COLUMN_TEXT }, { "error", "ERROR", COLUMN_TEXT }, { "text", "TEXT", COLUMN_TEXT });

TABLE(table_bench, "measurements", "what", NULL,
	{ "what", "WHAT", COLUMN_TEXT }, { "count", "COUNT", COLUMN_NUMBER }, { "seconds", "SECONDS", COLUMN_NUMBER }, { "per_second", "PER-SECOND", COLUMN_NUMBER },
	{ "p50_us", "P50-US", COLUMN_NUMBER }, { "p99_us", "P99-US", COLUMN_NUMBER }, { "max_us", "MAX-US", COLUMN_NUMBER }, { "outstanding", "OUTSTANDING", COLUMN_NUMBER });

TABLE(table_crons, "cron entries", "cron", NULL,
	{ "cron", "CRON", COLUMN_TEXT }, { "expression", "EXPRESSION", COLUMN_TEXT }, { "zone", "ZONE", COLUMN_TEXT }, { "queue", "QUEUE", COLUMN_TEXT },
	{ "state", "STATE", COLUMN_STATE }, { "next_in_ms", "IN", COLUMN_AGE }, { "submitted", "SUBMITTED", COLUMN_NUMBER }, { "skipped", "SKIPPED", COLUMN_NUMBER },
	{ "note", "NOTE", COLUMN_TEXT }, { "next_at", NULL, COLUMN_TEXT }, { "last_at", NULL, COLUMN_TEXT }, { "last_task", NULL, COLUMN_TEXT },
	{ "last_error", NULL, COLUMN_TEXT }, { "overlap", NULL, COLUMN_TEXT }, { "missed", NULL, COLUMN_TEXT }, { "paused_by", NULL, COLUMN_TEXT },
	{ "paused_why", NULL, COLUMN_TEXT }, { "created_by", NULL, COLUMN_TEXT }, { "created_at", NULL, COLUMN_TEXT }, { "payload", NULL, COLUMN_TEXT },
	{ "argv", NULL, COLUMN_TEXT });

TABLE(table_cron_times, "times", "at", NULL,
	{ "local", "LOCAL", COLUMN_TEXT }, { "at", "UTC", COLUMN_TEXT }, { "note", "NOTE", COLUMN_TEXT });
