/* The table of verbs: -h, the list of verbs and the completions are made from it. */
#include <limits.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/parse.h"
#include "actors/tools/tool.h"

#define ROWS (O(JSON) | O(QUIET) | O(COLUMNS) | O(NO_HEADER))
#define WATCHED (ROWS | O(WATCH))
#define DEAD (O(QUEUE) | O(TAG) | O(ERROR) | O(OLDER) | O(NEWER) | O(KEY) | O(SUBMITTER) | O(OF_BATCH))
#define FILTER (DEAD | O(STATE) | O(FAILED))
#define CHANGE (O(YES) | O(DRY_RUN) | O(JSON) | O(QUIET))
#define SPEC                                                                                                                                              \
	(O(PRIORITY) | O(DELAY) | O(RUN_AT) | O(UNIQUE) | O(UNIQUE_MODE) | O(MAX_ATTEMPTS) | O(RETRY) | O(RUN_TIMEOUT) | O(DEADLINE) | O(SERIAL) |        \
	 O(AFTER_TASKS) | O(AFTER_ANY) | O(HOLD) | O(REQUIRE) | O(RESOURCE) | O(CONTENT_TYPE) | O(ID))
#define TEMPLATE (SPEC & ~(O(RUN_AT) | O(ID) | O(AFTER_TASKS) | O(AFTER_ANY) | O(HOLD)))
#define ABOUT (O(OF) | O(INCARNATION) | O(FORCE))
#define MANY UINT_MAX

/* group, name, arguments, summary, { two examples }, options, words at least and at most, function, works without a node */
const struct tool_verb tool_verbs[] = {
	{ "tasks", "submit", "QUEUE [PAYLOAD | -]", "give work to a queue; prints the task's id once it is on disk",
	  { "troupe submit emails '{\"to\":\"ann@example.org\"}' --priority high --delay 10m", "troupe submit build --wait --pass-status --exec -- make -C /srv/app" },
	  SPEC | ROWS | O(FILE) | O(BULK) | O(BATCH) | O(DAG) | O(EXEC) | O(WAIT) | O(PASS_STATUS), 0, MANY, verb_submit },
	{ "tasks", "get", "TASK...", "one task in full, with its attempts",
	  { "troupe get '#4711'", "troupe get 01JD3Q7M4ZK8V2T5XW9RB6NC0E --payload --json" },
	  ROWS | O(PAYLOAD) | O(OUTPUT) | O(WATCH), 1, MANY, verb_get },
	{ "tasks", "result", "TASK... | -", "finished tasks' output, byte for byte, in the order asked for",
	  { "troupe result '#4711'", "troupe result '#4711' --wait --timeout 5m > report.pdf" },
	  O(WAIT) | O(PASS_STATUS) | O(OF_BATCH), 0, MANY, verb_result },
	{ "tasks", "wait", "TASK... | -", "wait until tasks are final",
	  { "troupe wait '#4711' --timeout 10m", "troupe submit build -q --exec -- make | troupe wait - --pass-status" },
	  ROWS | O(ANY) | O(ALL) | O(PASS_STATUS) | O(OF_BATCH), 0, MANY, verb_wait },
	{ "tasks", "list", "", "tasks, newest last, by state, queue, tag, age or error",
	  { "troupe list --queue emails --state running,dead", "troupe list --failed -q | troupe retry -" },
	  WATCHED | FILTER | O(LIMIT) | O(PAYLOAD), 0, 0, verb_list },
	{ "tasks", "explain", "TASK...", "why a task does not run, or what became of it",
	  { "troupe explain '#88140'", "troupe explain W9RB6NC0E" },
	  O(JSON) | O(WATCH), 1, MANY, verb_explain },
	{ "tasks", "cancel", "TASK... | -", "take tasks back; what runs is asked to end, then killed",
	  { "troupe cancel '#4711' --yes", "troupe cancel --queue emails --state scheduled --dry-run" },
	  FILTER | CHANGE | O(ALL), 0, MANY, verb_cancel },
	{ "tasks", "retry", "TASK... | -", "run dead tasks once more, with fresh attempts",
	  { "troupe retry '#4711'", "troupe list --failed --error 'connection refused' -q | troupe retry -" },
	  FILTER | CHANGE | O(ALL) | O(FORCE) | O(RATE), 0, MANY, verb_retry },
	{ "tasks", "reprioritise", "TASK... | -", "give tasks that do not run another priority",
	  { "troupe reprioritise '#4711' --priority high", "troupe reprioritise --queue emails --tag newsletter --priority bulk --yes" },
	  FILTER | CHANGE | O(ALL) | O(PRIORITY), 0, MANY, verb_reprioritise },
	{ "tasks", "move", "TASK... | -", "put tasks that do not run into another queue",
	  { "troupe move '#4711' --to reports", "troupe move --queue emails --state ready --to emails2 --yes" },
	  FILTER | CHANGE | O(ALL) | O(TO), 0, MANY, verb_move },
	{ "tasks", "edit", "TASK [-- COMMAND [ARGUMENT...]]", "give a task that does not run another payload or command",
	  { "troupe edit '#4711' --payload order.json --content-type application/json", "troupe edit '#4711' -- make -C /srv/app clean all" },
	  O(NEW_PAYLOAD) | O(CONTENT_TYPE) | O(DRY_RUN) | O(JSON) | O(QUIET), 1, MANY, verb_edit },
	{ "tasks", "delete", "TASK... | -", "forget tasks that have ended, for good",
	  { "troupe delete '#4711' --yes", "troupe delete --state done --older 7d --dry-run" },
	  FILTER | CHANGE | O(ALL), 0, MANY, verb_delete },
	{ "tasks", "peek", "QUEUE", "what a queue would run next",
	  { "troupe peek emails", "troupe peek emails --limit 1 --payload" },
	  WATCHED | O(LIMIT) | O(PAYLOAD), 1, 1, verb_peek },
	{ "tasks", "trace", "TASK...", "what happened to a task, step by step, and what its workers died of",
	  { "troupe trace '#88121'", "troupe trace '#88121' --json" },
	  ROWS | O(WATCH), 1, MANY, verb_trace },

	{ "batches", "batch list", "", "the newest batches, with counts",
	  { "troupe batch list", "troupe batch list --json | jq -r 'select(.state == \"failed\").batch'" },
	  WATCHED | O(LIMIT), 0, 0, verb_batch_list },
	{ "batches", "batch show", "BATCH", "one batch, and its tasks with what they wait for",
	  { "troupe batch show 01JD3Q7M4ZK8V2T5XW9RB6NC0E", "troupe batch show 01JD3Q7M4ZK8V2T5XW9RB6NC0E --watch" },
	  WATCHED, 1, 1, verb_batch_show },
	{ "batches", "batch wait", "BATCH", "wait until all tasks of a batch have ended",
	  { "troupe batch wait 01JD3Q7M4ZK8V2T5XW9RB6NC0E --timeout 1h", "troupe batch wait \"$(troupe submit --dag site.json)\"" },
	  ROWS, 1, 1, verb_batch_wait },
	{ "batches", "batch cancel", "BATCH", "take back all tasks of a batch that have not ended",
	  { "troupe batch cancel 01JD3Q7M4ZK8V2T5XW9RB6NC0E --yes", "troupe batch cancel 01JD3Q7M4ZK8V2T5XW9RB6NC0E --dry-run" },
	  CHANGE, 1, 1, verb_batch_cancel },
	{ "batches", "batch retry", "BATCH", "run the dead tasks of a batch once more",
	  { "troupe batch retry 01JD3Q7M4ZK8V2T5XW9RB6NC0E", "troupe batch retry 01JD3Q7M4ZK8V2T5XW9RB6NC0E --rate 1/s --yes" },
	  CHANGE | O(FORCE) | O(RATE), 1, 1, verb_batch_retry },

	{ "queues", "queue list", "", "the queues, with counts",
	  { "troupe queue list --watch", "troupe queue list --json | jq .ready" },
	  WATCHED, 0, 0, verb_queue_list },
	{ "queues", "queue show", "QUEUE", "one queue in full, with its policy",
	  { "troupe queue show emails", "troupe queue show emails --json" },
	  O(JSON) | O(WATCH), 1, 1, verb_queue_show },
	{ "queues", "queue pause", "QUEUE", "give out no more of its tasks; what runs goes on",
	  { "troupe queue pause emails --why 'mail server is down'", "troupe queue pause emails --dry-run" },
	  O(WHY) | O(DRY_RUN), 1, 1, verb_queue_pause },
	{ "queues", "queue drain", "QUEUE", "take no more tasks in; what is there is worked off",
	  { "troupe queue drain emails --why 'moving to mail2'", "troupe queue drain emails --dry-run" },
	  O(WHY) | O(DRY_RUN), 1, 1, verb_queue_drain },
	{ "queues", "queue resume", "QUEUE", "end a pause or a drain",
	  { "troupe queue resume emails", "troupe queue resume emails --dry-run" },
	  O(DRY_RUN), 1, 1, verb_queue_resume },
	{ "queues", "queue quiet", "", "begin nothing anywhere on the node; what runs goes on",
	  { "troupe queue quiet --why 'backup of the database'", "troupe queue quiet --dry-run" },
	  O(WHY) | O(DRY_RUN), 0, 0, verb_queue_quiet },
	{ "queues", "queue unquiet", "", "begin tasks again",
	  { "troupe queue unquiet", "troupe queue unquiet --dry-run" },
	  O(DRY_RUN), 0, 0, verb_queue_unquiet },
	{ "queues", "queue add", "QUEUE [KEY=VALUE...]", "make a queue, with the standard policy or with these values",
	  { "troupe queue add reports concurrency=2 timeout=4h", "troupe queue add reports --dry-run" },
	  O(WHY) | O(DRY_RUN), 1, MANY, verb_queue_add },
	{ "queues", "queue set", "QUEUE [KEY=VALUE...]", "change values of a queue's policy; they hold over restarts until they are taken back",
	  { "troupe queue set emails rate=100/s 'retry=exit 3: dead, any: retry 5 30s'", "troupe queue set emails --reset" },
	  O(RESET) | O(WHY) | O(DRY_RUN), 1, MANY, verb_queue_set },
	{ "queues", "queue remove", "QUEUE", "remove a queue that is empty",
	  { "troupe queue remove reports --yes", "troupe queue remove reports --dry-run" },
	  O(YES) | O(DRY_RUN), 1, 1, verb_queue_remove },
	{ "queues", "dlq list", "", "dead tasks",
	  { "troupe dlq list --queue emails", "troupe dlq list -o task,cause,exit_code,last_error" },
	  WATCHED | DEAD | O(LIMIT) | O(PAYLOAD), 0, 0, verb_dlq_list },
	{ "queues", "dlq show", "TASK", "one dead task in full: every attempt and its stderr",
	  { "troupe dlq show '#4711'", "troupe dlq show '#4711' --json" },
	  ROWS | O(PAYLOAD), 1, 1, verb_dlq_show },
	{ "queues", "dlq retry", "TASK... | -", "run dead tasks once more",
	  { "troupe dlq retry '#4711'", "troupe dlq retry --queue emails --all --yes" },
	  DEAD | CHANGE | O(ALL) | O(FORCE) | O(RATE), 0, MANY, verb_dlq_retry },
	{ "queues", "dlq purge", "TASK... | -", "forget dead tasks for good",
	  { "troupe dlq purge --older 30d --dry-run", "troupe dlq purge '#4711'" },
	  DEAD | CHANGE | O(ALL), 0, MANY, verb_dlq_purge },
	{ "queues", "dlq edit", "TASK [-- COMMAND [ARGUMENT...]]", "give a dead task another payload or command, before a retry",
	  { "troupe dlq edit '#4711' --payload - < fixed.json", "troupe dlq edit '#4711' -- make -C /srv/app" },
	  O(NEW_PAYLOAD) | O(CONTENT_TYPE) | O(DRY_RUN) | O(JSON) | O(QUIET), 1, MANY, verb_edit },
	{ "queues", "dlq export", "", "dead tasks as JSON lines that submit --bulk reads",
	  { "troupe dlq export > dead.jsonl", "troupe dlq export --queue emails --newer 1d --files payloads > dead.jsonl" },
	  DEAD | O(FILES), 0, 0, verb_dlq_export },
	{ "queues", "cron list", "", "entries that submit a task by themselves, with their next times",
	  { "troupe cron list", "troupe cron list -o cron,next_at,last_error" },
	  WATCHED, 0, 0, verb_cron_list },
	{ "queues", "cron show", "CRON", "one entry in full, with its task and its next times",
	  { "troupe cron show nightly", "troupe cron show nightly --json" },
	  O(JSON) | O(WATCH), 1, 1, verb_cron_show },
	{ "queues", "cron add", "CRON EXPRESSION QUEUE [PAYLOAD | -]", "submit a task at each time of an expression: minute hour day month weekday",
	  { "troupe cron add nightly '30 2 * * *' reports '{\"all\":true}' --zone Europe/Berlin", "troupe cron add sweep '*/10 * * * *' build --overlap queue --exec -- make -C /srv/app sweep" },
	  TEMPLATE | O(FILE) | O(EXEC) | O(ZONE) | O(OVERLAP) | O(MISSED) | O(REPLACE) | O(DRY_RUN), 3, MANY, verb_cron_add },
	{ "queues", "cron remove", "CRON", "forget an entry; tasks that it has made stay",
	  { "troupe cron remove nightly --yes", "troupe cron remove nightly --dry-run" },
	  O(YES) | O(DRY_RUN), 1, 1, verb_cron_remove },
	{ "queues", "cron pause", "CRON", "leave its times out until it is resumed",
	  { "troupe cron pause nightly --why 'the database moves'", "troupe cron pause nightly --dry-run" },
	  O(WHY) | O(DRY_RUN), 1, 1, verb_cron_pause },
	{ "queues", "cron resume", "CRON", "from now on its times count again",
	  { "troupe cron resume nightly", "troupe cron resume nightly --dry-run" },
	  O(DRY_RUN), 1, 1, verb_cron_resume },
	{ "queues", "cron run", "CRON", "one task of it now; prints the task's id",
	  { "troupe cron run nightly", "troupe cron run nightly | troupe wait -" },
	  0, 1, 1, verb_cron_run },
	{ "queues", "cron preview", "CRON | EXPRESSION", "the next times, as a clock there shows them and in UTC",
	  { "troupe cron preview nightly", "troupe cron preview '30 2 * * *' --zone Europe/Berlin --count 200" },
	  ROWS | O(ZONE) | O(TIMES), 1, 1, verb_cron_preview },
	{ "queues", "export", "", "tasks as JSON lines that import reads; by default what is not final",
	  { "troupe export > tasks.jsonl", "troupe export --all --queue emails --files payloads > emails.jsonl" },
	  FILTER | O(ALL) | O(FILES) | O(QUIET), 0, 0, verb_export },
	{ "queues", "import", "FILE | -", "submit exported tasks under their own ids; what is there already stays as it is",
	  { "troupe import tasks.jsonl", "troupe export --queue emails | troupe --run-dir /run/other import -" },
	  O(ALL) | O(JSON) | O(QUIET), 1, 1, verb_import },
	{ "queues", "check-store", "", "compare the store's counters and indexes with a full scan",
	  { "troupe check-store", "troupe check-store --backup /srv/backup/troupe-monday" },
	  O(JSON) | O(QUIET) | O(PAYLOAD) | O(STATE_DIR) | O(BACKUP), 0, 0, verb_check_store },

	{ "node", "ping", "[ACTOR]", "does it answer, and how fast",
	  { "troupe ping", "troupe ping coordinator:main --deep" },
	  O(DEEP) | O(JSON) | O(QUIET), 0, 1, verb_ping },
	{ "node", "status", "", "the node at a glance",
	  { "troupe status", "troupe status --json" },
	  O(JSON) | O(QUIET) | O(WATCH), 0, 0, verb_status },
	{ "node", "doctor", "", "look for what is wrong, from the socket to the disk",
	  { "troupe doctor", "troupe doctor --json" },
	  ROWS, 0, 0, verb_doctor, true },
	{ "node", "check-config", "", "read the configuration as trouped would",
	  { "troupe check-config", "troupe check-config -c ./troupe.conf" },
	  O(CONFIG), 0, 0, verb_check_config, true },
	{ "node", "replay", "JOURNAL", "make a journal's decisions again, without the node, and compare",
	  { "troupe replay /var/lib/troupe/journal", "troupe replay journal.1 --all" },
	  O(ALL), 1, 1, verb_replay, true },
	{ "node", "backup", "DIR", "a copy of the node's whole state in a new directory, while it works",
	  { "troupe backup /srv/backup/troupe-monday", "troupe backup /srv/backup/troupe-monday --state-dir /var/lib/troupe" },
	  O(STATE_DIR) | O(JSON) | O(QUIET), 1, 1, verb_backup },
	{ "node", "restore", "DIR", "a backup becomes the state of a node that is down",
	  { "troupe restore /srv/backup/troupe-monday --dry-run", "troupe restore /srv/backup/troupe-monday --state-dir /var/lib/troupe --yes" },
	  O(STATE_DIR) | CHANGE, 1, 1, verb_restore, true },
	{ "node", "reload", "", "read the configuration again and apply what changed",
	  { "troupe reload --dry-run", "troupe reload --restart-changed" },
	  O(DRY_RUN) | O(RESTART_CHANGED) | O(JSON), 0, 0, verb_reload },
	{ "node", "tree", "[SUPERVISOR]", "the supervision tree",
	  { "troupe tree", "troupe tree --what-if 'crash worker:emails/1'" },
	  WATCHED | O(WHAT_IF), 0, 1, verb_tree },
	{ "node", "ps", "", "the node's processes",
	  { "troupe ps", "troupe ps -o pid,address,rss,threads" },
	  WATCHED, 0, 0, verb_ps },
	{ "node", "workers", "", "who works on what",
	  { "troupe workers --watch", "troupe workers --json" },
	  WATCHED, 0, 0, verb_workers },
	{ "node", "worker run", "QUEUE... -- COMMAND [ARG...]", "do tasks from here, outside the tree: the command runs for each",
	  { "troupe worker run emails -- ./send-email", "troupe worker run thumbnails --slots 4 --heartbeat 10s -- convert - -resize 200 png:-" },
	  O(SLOTS) | O(LINES) | O(HEARTBEAT) | O(TAGS) | O(QUIET), 2, MANY, verb_worker_run },
	{ "node", "metrics", "", "the numbers in Prometheus' text format",
	  { "troupe metrics", "troupe metrics > /var/lib/node_exporter/troupe.prom" },
	  0, 0, 0, verb_metrics },

	{ "actors", "actor start", "ACTOR", "start a child that is stopped or has failed",
	  { "troupe actor start worker:emails/1", "troupe actor start counter:1 --json" },
	  ROWS | ABOUT, 1, 1, verb_actor },
	{ "actors", "actor stop", "ACTOR", "stop a child, and leave it stopped",
	  { "troupe actor stop worker:emails/1 --yes", "troupe actor stop counter:1 --dry-run" },
	  ROWS | ABOUT | O(DRY_RUN) | O(YES), 1, 1, verb_actor },
	{ "actors", "actor restart", "ACTOR", "stop a child and start it again",
	  { "troupe actor restart coordinator:main", "troupe actor restart counter:1 --dry-run" },
	  ROWS | ABOUT | O(DRY_RUN) | O(YES), 1, 1, verb_actor },
	{ "actors", "actor kill", "ACTOR", "SIGKILL, as if it had crashed: its supervisor decides what follows",
	  { "troupe actor kill worker:emails/1 --yes", "troupe actor kill counter:1 --dry-run" },
	  ROWS | ABOUT | O(DRY_RUN) | O(YES), 1, 1, verb_actor },
	{ "actors", "actor delete", "ACTOR", "forget a stopped child",
	  { "troupe actor delete counter:1", "troupe actor delete counter:1 --dry-run" },
	  ROWS | ABOUT | O(DRY_RUN) | O(YES), 1, 1, verb_actor },
	{ "actors", "actor add", "SUPERVISOR [NAME] [-- ARG...]", "a new child, kept over restarts: from a dynamic supervisor's template, or from a section",
	  { "troupe actor add jobs nightly -- --verbose", "troupe actor add root --section - < child.conf" },
	  ROWS | O(SECTION), 1, MANY, verb_actor_add },
	{ "actors", "actor spec", "ACTOR", "what a child is started with",
	  { "troupe actor spec coordinator:main", "troupe actor spec worker:emails/1 --json" },
	  ROWS | O(OF) | O(INCARNATION), 1, 1, verb_actor },
	{ "actors", "actor count", "[SUPERVISOR]", "children: specified, active, supervisors, workers",
	  { "troupe actor count", "troupe actor count --json" },
	  ROWS, 0, 1, verb_actor },
	{ "actors", "crashes", "[ACTOR | NUMBER]", "how actors died, newest first; one in full by its number",
	  { "troupe crashes", "troupe crashes 17" },
	  WATCHED | O(LIMIT), 0, 1, verb_crashes },
	{ "actors", "logs", "ACTOR | TASK", "the last lines that an actor, or a task's last attempt, wrote to stderr",
	  { "troupe logs coordinator:main", "troupe logs '#4711'" },
	  O(WATCH), 1, 1, verb_logs },
	{ "actors", "events", "", "what happened to actors and tasks, in order of time",
	  { "troupe events -f", "troupe events --task '#4711' --after 0 --json" },
	  ROWS | O(FOLLOW) | O(AFTER) | O(TYPE) | O(LIMIT) | O(TASK), 0, 0, verb_events },
	{ "actors", "tell", "ACTOR TYPE [PAYLOAD | -]", "send a message that is not answered",
	  { "troupe tell counter:1 counter.add 5", "troupe tell room:42 room.say '{\"text\":\"hello\"}'" },
	  O(CONTENT_TYPE), 2, 3, verb_tell },
	{ "actors", "ask", "ACTOR TYPE [PAYLOAD | -]", "send a message and print the answer; a system verb's name takes its message as JSON",
	  { "troupe ask counter:1 counter.get", "troupe ask coordinator:main queue_ask '{\"name\":\"emails\"}'" },
	  O(CONTENT_TYPE) | O(JSON), 2, 3, verb_ask },

	{ "measure", "bench submit", "", "submits with one outstanding: the time to an acknowledgement on disk",
	  { "troupe bench submit --queue bench", "troupe bench submit --queue bench --count 5000 --json" },
	  ROWS | O(QUEUE) | O(COUNT) | O(SIZE) | O(CHUNK) | O(OUTSTANDING), 0, 0, verb_bench },
	{ "measure", "bench e2e", "", "submit to finished, many at a time",
	  { "troupe bench e2e --queue bench --count 20000", "troupe bench e2e --queue bench --outstanding 1" },
	  ROWS | O(QUEUE) | O(COUNT) | O(SIZE) | O(CHUNK) | O(OUTSTANDING), 0, 0, verb_bench },
	{ "measure", "bench drain", "", "fill a paused queue, then time the workers alone",
	  { "troupe bench drain --queue bench --count 20000", "troupe bench drain --queue bench --json" },
	  ROWS | O(QUEUE) | O(COUNT) | O(SIZE) | O(CHUNK) | O(OUTSTANDING), 0, 0, verb_bench },
	{ "measure", "bench ask", "[ACTOR]", "round trips to an actor",
	  { "troupe bench ask", "troupe bench ask topic:events --outstanding 64" },
	  ROWS | O(COUNT) | O(SIZE) | O(OUTSTANDING), 0, 1, verb_bench },

	{ "other", "completion", "SHELL", "completions for bash, zsh or fish, on stdout",
	  { "eval \"$(troupe completion bash)\"", "troupe completion fish > ~/.config/fish/completions/troupe.fish" },
	  0, 1, 1, verb_completion, true },
	{ "other", "help", "[VERB...]", "the list of verbs, or what one does",
	  { "troupe help", "troupe help submit" },
	  0, 0, 2, verb_help_verb, true },
	{ "other", "version", "", "this tool's version",
	  { "troupe version", "troupe status --json | jq -r .version" },
	  0, 0, 0, verb_version, true },
};
const size_t n_tool_verbs = ELEMENTS(tool_verbs);

static size_t first_len(const char *name) { return strcspn(name, " "); }

const struct tool_verb *verb_lookup(const char *const *words, unsigned n, unsigned *ret_used)
{
	for (size_t i = 0; i < n_tool_verbs; i++) {
		const char *name = tool_verbs[i].name;
		size_t len = first_len(name);
		if (n == 0 || strlen(words[0]) != len || memcmp(words[0], name, len) != 0)
			continue;
		if (!name[len]) {
			*ret_used = 1;
			return &tool_verbs[i];
		}
		if (n >= 2 && strcmp(name + len + 1, words[1]) == 0) {
			*ret_used = 2;
			return &tool_verbs[i];
		}
	}
	return NULL;
}

bool verb_is_first_word(const char *word)
{
	for (size_t i = 0; i < n_tool_verbs; i++)
		if (tool_verbs[i].name[first_len(tool_verbs[i].name)] && strlen(word) == first_len(tool_verbs[i].name) &&
		    memcmp(word, tool_verbs[i].name, strlen(word)) == 0)
			return true;
	return false;
}

void verb_unknown(const char *const *words, unsigned n, struct error *e)
{
	char firsts[128][16];
	const char *names[128];
	size_t count = 0;
	bool group = n > 1 && verb_is_first_word(words[0]);
	const char *wrong = group ? words[1] : words[0];
	for (size_t i = 0; i < n_tool_verbs && count < ELEMENTS(names); i++) {
		const char *name = tool_verbs[i].name;
		size_t len = first_len(name);
		if (!group) {
			snprintf(firsts[count], sizeof firsts[count], "%.*s", (int)len, name);
			names[count] = firsts[count];
			count++;
		} else if (name[len] && strlen(words[0]) == len && memcmp(words[0], name, len) == 0) {
			names[count++] = name + len + 1;
		}
	}
	const char *best = suggest(wrong, names, count);
	error_set(e, ERROR_BAD_REQUEST, "there is no verb '%s%s%.60s'", group ? words[0] : "", group ? " " : "", wrong);
	if (best)
		error_cure(e, "did you mean troupe %s%s%s?", group ? words[0] : "", group ? " " : "", best);
	else
		error_cure(e, "troupe help lists the verbs");
}

static void print_option(FILE *f, enum option o)
{
	const struct option_def *d = &option_defs[o];
	char left[64], letter[8] = "    ";
	if (d->letter)
		snprintf(letter, sizeof letter, "-%c, ", d->letter);
	snprintf(left, sizeof left, "%s--%s%s%s", letter, d->name, d->arg && d->arg[0] != '[' ? " " : "", d->arg ? d->arg : "");
	fprintf(f, "  %-28s %s\n", left, d->help);
}

void verb_help(FILE *f, const struct tool_verb *v)
{
	fprintf(f, "  %s\n  %s\n\n", v->examples[0], v->examples[1]);
	fprintf(f, "usage: troupe %s%s%s%s\n\n%s\n\n", v->name, v->options ? " [option...]" : "", *v->args ? " " : "", v->args, v->summary);
	for (unsigned i = 0; i < OPT__COUNT; i++)
		if (v->options >> i & 1)
			print_option(f, (enum option)i);
	fprintf(f, "%severy verb:\n", v->options ? "\n" : "");
	for (unsigned i = 0; i < OPT__COUNT; i++)
		if (OPTIONS_GLOBAL >> i & 1 && !(i == OPT_TIMEOUT && v->options & O(RUN_TIMEOUT)))
			print_option(f, (enum option)i);
}

static void print_verbs(FILE *f, const char *first_word)
{
	const char *group = "";
	for (size_t i = 0; i < n_tool_verbs; i++) {
		const struct tool_verb *v = &tool_verbs[i];
		char left[64];
		if (first_word && (strlen(first_word) != first_len(v->name) || memcmp(first_word, v->name, strlen(first_word)) != 0))
			continue;
		if (!first_word && strcmp(group, v->group) != 0)
			fprintf(f, "%s%s\n", *group ? "\n" : "", v->group);
		group = v->group;
		snprintf(left, sizeof left, "%s %s", v->name, v->args);
		fprintf(f, "  %-32s %s\n", left, v->summary);
	}
}

void verb_print_of(FILE *f, const char *first_word) { print_verbs(f, first_word); }

void verb_print_all(FILE *f)
{
	fputs("  troupe submit emails '{\"to\":\"ann@example.org\"}'\n  troupe tree --watch\n\nusage: troupe [--run-dir DIR] [--timeout TIME] [--coordinator NAME] VERB ...\n\n", f);
	print_verbs(f, NULL);
	fputs("\ntroupe VERB -h says more; troupe(1) says all.\n", f);
}
