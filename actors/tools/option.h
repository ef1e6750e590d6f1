#pragma once
/* The options of all verbs, defined once: the parser, -h and the completions read this list. A verb says by a set which of them it takes. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/error.h"

/* id, long name, short letter or 0, name of the argument or NULL, help. An argument in brackets is optional and needs the = form. */
#define OPTIONS(X)                                                                                                       \
	X(RUN_DIR, "run-dir", 0, "DIR", "the node's run directory")                                                      \
	X(TIMEOUT, "timeout", 0, "TIME", "give up after this time, with exit status 124")                                \
	X(COORDINATOR, "coordinator", 0, "NAME", "whose queues: coordinator:main, or main")                              \
	X(HELP, "help", 'h', NULL, "say what the verb does")                                                             \
	X(VERSION, "version", 'V', NULL, "say which version this is")                                                    \
	X(JSON, "json", 0, NULL, "one JSON object a row")                                                                \
	X(QUIET, "quiet", 'q', NULL, "ids only, and nothing on stderr but errors")                                       \
	X(COLUMNS, "columns", 'o', "COL,...", "these columns; a wrong name is answered with all of them")                                       \
	X(NO_HEADER, "no-header", 0, NULL, "no line of titles")                                                          \
	X(WATCH, "watch", 'w', "[=TIME]", "show it again every 2s, or TIME")                                             \
	X(YES, "yes", 'y', NULL, "do not ask")                                                                           \
	X(DRY_RUN, "dry-run", 'n', NULL, "only say what would be done")                                                  \
	X(LIMIT, "limit", 0, "N", "at most N rows; 0 = all (default: all with --json and -q, else 100; of events 20)")           \
	X(QUEUE, "queue", 'Q', "QUEUE", "only tasks of this queue")                                                      \
	X(STATE, "state", 's', "STATE,...", "only tasks in these states: scheduled ready running done cancelled dead")    \
	X(FAILED, "failed", 0, NULL, "only tasks that are dead or whose last attempt failed")                            \
	X(TAG, "tag", 0, "TAG", "only tasks with this tag")                                                              \
	X(ERROR, "error", 0, "TEXT", "only tasks whose last error contains TEXT")                                        \
	X(OLDER, "older", 0, "TIME", "only tasks submitted longer ago than this")                                        \
	X(NEWER, "newer", 0, "TIME", "only tasks submitted within this time")                                            \
	X(KEY, "key", 0, "KEY", "only tasks with this serial key")                                                      \
	X(SUBMITTER, "submitter", 0, "WHO", "only tasks of this submitter: a user's name or number, or an actor")       \
	X(OF_BATCH, "batch", 0, "BATCH", "only tasks of this batch")                                                    \
	X(ALL, "all", 0, NULL, "all of them")                                                \
	X(FORCE, "force", 0, NULL, "even where a death is not proven yet")                                               \
	X(FILE, "file", 0, "FILE", "the payload is this file's content")                                                 \
	X(BULK, "bulk", 0, "FILE", "many tasks, one JSON object a line; - is stdin")                                     \
	X(BATCH, "batch", 0, "ID", "number the tasks of a bulk from this id: the way to resume one")                     \
	X(DAG, "dag", 0, "FILE", "one batch of tasks that wait for each other, a JSON document; - is stdin")             \
	X(EXEC, "exec", 0, NULL, "the words after -- are the task's command")                                            \
	X(PRIORITY, "priority", 'p', "LEVEL", "critical, high, normal, low, bulk, or 0 to 4294967295, lower first")       \
	X(DELAY, "delay", 0, "TIME", "not before this time has passed")                                                  \
	X(RUN_AT, "run-at", 0, "DATE", "not before 2026-11-20T09:30:00Z")                                                \
	X(UNIQUE, "unique", 0, "KEY", "refuse a second task with this key while the first is not final")                 \
	X(UNIQUE_MODE, "unique-mode", 0, "MODE", "what a second one gets: reject, return (the first one's id), replace")  \
	X(MAX_ATTEMPTS, "max-attempts", 0, "N", "dead after N failed attempts")                                          \
	X(RETRY, "retry", 0, "RULE,...", "what follows from one kind of end, such as \"exit 3: dead, oom: retry 2\"")        \
	X(SERIAL, "serial", 0, "KEY", "after all earlier tasks with this key")                                           \
	X(AFTER_TASKS, "after", 0, "TASK,...", "not before these tasks are done; cancelled when one of them fails")      \
	X(AFTER_ANY, "after-any", 0, "TASK,...", "not before these tasks have ended, however")                           \
	X(HOLD, "hold", 0, NULL, "where a task of --after fails: stay, since a retry of it may help")                    \
	X(RESOURCE, "resource", 0, "NAME=AMOUNT,...", "only where the pool has so much free")                            \
	X(RUN_TIMEOUT, "timeout", 0, "TIME", "of one attempt; then it is killed")                                        \
	X(DEADLINE, "deadline", 0, "TIME", "dead if not done within this time from now")                                 \
	X(REQUIRE, "require", 0, "TAG,...", "only on workers with these tags")                                           \
	X(CONTENT_TYPE, "content-type", 0, "TYPE", "of the payload")                                                     \
	X(ID, "id", 0, "ID", "the task's id, so that the same submit can be sent twice")                                 \
	X(WAIT, "wait", 0, NULL, "wait for the end")                                                                     \
	X(PASS_STATUS, "pass-status", 0, NULL, "exit as the task did")                                                   \
	X(ANY, "any", 0, NULL, "until one of them is final")                                                             \
	X(PAYLOAD, "payload", 0, NULL, "with the payload")                                                               \
	X(OUTPUT, "output", 0, "FILE", "only the payload, byte for byte, into this file; - is stdout")                    \
	X(FILES, "files", 0, "DIR", "payloads above 64 KiB become files there, which the lines name")                     \
	X(NEW_PAYLOAD, "payload", 0, "FILE", "the new payload is this file's content; - is stdin")                       \
	X(TO, "to", 0, "QUEUE", "the queue that they go to")                                                             \
	X(RATE, "rate", 0, "RATE", "not all at once, but spread: 10/s, 100/m")                                           \
	X(RESET, "reset", 0, NULL, "take back all that was set")                                                         \
	X(WHY, "why", 0, "TEXT", "the reason, shown to others")                                                          \
	X(CONFIG, "config", 'c', "FILE", "instead of the system's file")                                                 \
	X(RESTART_CHANGED, "restart-changed", 0, NULL, "also restart children whose program, arguments or user changed")  \
	X(FOLLOW, "follow", 'f', NULL, "go on as things happen")                                                         \
	X(AFTER, "after", 0, "CURSOR", "from this cursor on, as --json shows it; 0 is the oldest")                       \
	X(TYPE, "type", 0, "PREFIX", "only events whose type begins so")                                                 \
	X(TASK, "task", 0, "TASK", "only this task")                                                                     \
	X(COUNT, "count", 'N', "N", "how many (default 1000)")                                                           \
	X(OUTSTANDING, "outstanding", 0, "N", "at most N not answered (default 256)")                                    \
	X(SIZE, "size", 0, "SIZE", "of a payload (default 256)")                                                         \
	X(CHUNK, "chunk", 0, "N", "tasks in one submit (default 1)")                                                     \
	X(DEEP, "deep", 0, NULL, "through a commit of the actor's store")                                                \
	X(OF, "of", 0, "SUPERVISOR", "only if it is a child of this one")                                                \
	X(INCARNATION, "incarnation", 0, "N", "only if it is this incarnation")                                          \
	X(SECTION, "section", 0, "FILE", "a child or actor section, as in troupe.conf(5); - is stdin")                    \
	X(WHAT_IF, "what-if", 0, "EVENT", "what would follow: \"crash CHILD\", or normal, stop, restart, kill") \
	X(ZONE, "zone", 0, "ZONE", "the time zone of its times, such as Europe/Berlin (default UTC)")                    \
	X(OVERLAP, "overlap", 0, "POLICY", "while its last task is not over: skip the time (default), queue, or replace the task") \
	X(MISSED, "missed", 0, "POLICY", "of times that passed while nobody could look: none (default), one or all")     \
	X(REPLACE, "replace", 0, NULL, "in the place of the entry of that name")                                         \
	X(TIMES, "count", 'N', "N", "how many times (default 10)") \
	X(SLOTS, "slots", 0, "N", "at most N tasks at a time (default 1; with --lines what the program says)")           \
	X(LINES, "lines", 0, NULL, "the command is one long-lived program that speaks JSON lines")                       \
	X(HEARTBEAT, "heartbeat", 0, "TIME", "without a word for so long its tasks go to others (default 30s)") \
	X(TAGS, "tags", 0, "TAG,...", "what it has, for tasks that ask for it") \
	X(STATE_DIR, "state-dir", 0, "DIR", "the state directory of a node that need not run")                           \
	X(BACKUP, "backup", 0, "DIR", "check this backup")

enum option {
#define X(id, name, letter, arg, help) OPT_##id,
	OPTIONS(X)
#undef X
	OPT__COUNT
};
_Static_assert(OPT__COUNT <= 128, "a set of options is one number");

__extension__ typedef unsigned __int128 option_set; /* of 1 << enum option */
#define O(id) ((option_set)1 << OPT_##id)
#define OPTIONS_GLOBAL (O(RUN_DIR) | O(TIMEOUT) | O(COORDINATOR) | O(HELP) | O(VERSION))

struct option_def { const char *name; char letter; const char *arg; const char *help; };
extern const struct option_def option_defs[OPT__COUNT];

struct args {
	const char *value[OPT__COUNT]; /* NULL: not given; "" for one without argument */
	const char **words;            /* what is no option, in order; owned */
	unsigned n_words;
	unsigned rest;                 /* index of the first word behind "--"; n_words where there is none */
};

/* Reads argv from index at: options of the set and of the global ones, in any order, and words. stop_at_word: end before the first word (the options in front of
 * the verb); *ret_at is where it ended. May be called again to add to a. 0; ERROR_BAD_REQUEST with a text and a suggestion as cure; -ENOMEM. */
int args_parse(struct args *a, int argc, char *const *argv, int at, option_set set, bool stop_at_word, int *ret_at, struct error *e);
void args_fini(struct args *a);
/* The option of that long name that a verb with this set takes (its own before the global one); OPT__COUNT: none. */
enum option option_find(option_set set, const char *name, size_t len);
