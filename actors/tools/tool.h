#pragma once
/* What every verb of the tool works with: its arguments, the node, and the ways to print rows and errors. A verb returns an exit status and has
 * printed its error by then. */
#include "actors/tools/talk.h"
#include "actors/tools/failure.h"
#include "actors/tools/option.h"
#include "actors/tools/ref.h"
#include "actors/tools/row.h"

#define REFS_PER_REQUEST 1000u

struct tool {
	const struct tool_verb *verb;
	struct args args;
	struct talk *talk;             /* NULL in verbs that need no node */
	char coordinator[192];
	uint64_t timeout_ms;           /* --timeout; 0: none was given */
	struct style style;
	bool live;                     /* --watch: the screen is redrawn */
	void (*on_push)(struct tool *t, const Troupe__Envelope *env); /* what the node sends unasked */
	void (*on_link)(struct tool *t, const char *address, bool up); /* connections to actors */
	void *user;                    /* of both */
};

/* A verb: the only list of them is verb.c. name is one or two words. */
struct tool_verb {
	const char *group, *name, *args, *summary;
	const char *examples[2];
	option_set options;
	unsigned least, most;          /* words behind the name; most UINT_MAX: any number */
	int (*run)(struct tool *t);
	bool offline;                  /* works without a node */
};
extern const struct tool_verb tool_verbs[];
extern const size_t n_tool_verbs;
/* The verb that words begin with: two words before one. NULL: none. *ret_used: how many words its name has. */
const struct tool_verb *verb_lookup(const char *const *words, unsigned n, unsigned *ret_used);
void verb_help(FILE *f, const struct tool_verb *v);
void verb_print_all(FILE *f);               /* all of them, by group */
void verb_print_of(FILE *f, const char *first_word);
bool verb_is_first_word(const char *word);
void verb_unknown(const char *const *words, unsigned n, struct error *e); /* with a suggestion */

static inline const char *tool_option(const struct tool *t, enum option o) { return t->args.value[o]; }
static inline bool tool_has(const struct tool *t, enum option o) { return t->args.value[o] != NULL; }
static inline bool tool_quiet(const struct tool *t) { return tool_has(t, OPT_QUIET) || tool_has(t, OPT_JSON); }

/* --- errors --- */
int tool_fail(struct tool *t, const struct error *e);                /* three lines; the exit status. Adds a suggestion for queues and actors */
int tool_fail_name(struct tool *t, const char *name, const struct error *e); /* name: what was looked for, to suggest by */
int tool_fail_code(struct tool *t, int code, const struct error *e); /* the same, or -errno */
int tool_usage(struct tool *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int tool_file(struct tool *t, const char *path, int code);           /* errno of a file: 66 or 74 or 77 */

/* --- the node --- */
/* Asks and waits. to NULL: the supervisor. want: the answer's body; anything else is a protocol error. 0 with the arena to unref, or an exit status. */
int tool_ask(struct tool *t, const char *to, Troupe__Envelope *env, Troupe__Envelope__BodyCase want, struct arena **ret_arena, const Troupe__Envelope **ret);
uint64_t tool_deadline_ms(const struct tool *t, uint64_t standard_ms); /* monotonic end of --timeout, or of the standard; TIME_NEVER passes through */
static inline void arena_unrefp(struct arena **a) { arena_unref(*a); }

/* --- rows --- */
struct emit { struct tool *t; const struct table *table; json_t *rows; size_t n; };
int emit_begin(struct emit *em, struct tool *t, const struct table *table); /* checks -o; 0 or an exit status */
void emit_row(struct emit *em, json_t *row);                         /* takes the reference; --json and -q print at once */
int emit_end(struct emit *em);                                       /* the table; an exit status */
void emit_drop(struct emit *em);
int emit_one(struct tool *t, const struct table *table, json_t *row);
uint64_t emit_limit(const struct tool *t);                           /* --limit; UINT64_MAX: none */

/* --- input --- */
int tool_number(struct tool *t, enum option o, uint64_t least, uint64_t most, uint64_t *io); /* keeps *io where not given; 0 or an exit status */
int tool_duration(struct tool *t, enum option o, uint64_t *io_ms);
/* Tasks named by the words from first on; "-" reads them from stdin, one a line. 0 with an array to free, or an exit status. */
int tool_refs(struct tool *t, unsigned first, struct ref **ret, size_t *ret_n);
/* The filter options. f points into the arguments and into this. */
struct filter { Troupe__Filter f; Troupe__TaskState states[8]; struct id batch; char submitter[160]; bool any; /* one was given */ };
int tool_filter(struct tool *t, struct filter *ret);
void filter_states_only(struct filter *f, Troupe__TaskState state);
/* "cancel 4,211 tasks?": yes with --yes or the word y on the terminal. 0, or an exit status. */
int tool_confirm(struct tool *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same, or with --batch the members of that batch, in the order of their numbers. */
int tool_refs_or_batch(struct tool *t, struct ref **ret, size_t *ret_n);
/* A whole file or stdin ("-"), at most max bytes; cure: what to do where it holds more. 0 with bytes to free, or an exit status. */
int tool_read_whole(struct tool *t, const char *path, size_t max, const char *cure, uint8_t **ret, size_t *ret_len);
/* The same for what a task carries. */
int tool_read(struct tool *t, const char *path, size_t max, uint8_t **ret, size_t *ret_len);

/* --- the verbs, by file --- */
int verb_ping(struct tool *t), verb_status(struct tool *t), verb_tree(struct tool *t), verb_ps(struct tool *t), verb_workers(struct tool *t), verb_worker_run(struct tool *t),
	verb_metrics(struct tool *t), verb_reload(struct tool *t), verb_check_config(struct tool *t), verb_replay(struct tool *t), verb_doctor(struct tool *t);
int verb_submit(struct tool *t), verb_get(struct tool *t), verb_result(struct tool *t), verb_wait(struct tool *t), verb_list(struct tool *t),
	verb_explain(struct tool *t), verb_cancel(struct tool *t), verb_retry(struct tool *t), verb_reprioritise(struct tool *t), verb_move(struct tool *t),
	verb_edit(struct tool *t), verb_delete(struct tool *t), verb_peek(struct tool *t), verb_trace(struct tool *t);
int verb_batch_list(struct tool *t), verb_batch_show(struct tool *t), verb_batch_wait(struct tool *t), verb_batch_cancel(struct tool *t), verb_batch_retry(struct tool *t);
int verb_queue_list(struct tool *t), verb_queue_show(struct tool *t), verb_queue_pause(struct tool *t), verb_queue_resume(struct tool *t), verb_queue_add(struct tool *t),
	verb_queue_set(struct tool *t), verb_queue_remove(struct tool *t), verb_queue_drain(struct tool *t), verb_queue_quiet(struct tool *t), verb_queue_unquiet(struct tool *t),
	verb_dlq_list(struct tool *t), verb_dlq_show(struct tool *t), verb_dlq_retry(struct tool *t), verb_dlq_purge(struct tool *t), verb_dlq_export(struct tool *t),
	verb_export(struct tool *t), verb_import(struct tool *t),
	verb_check_store(struct tool *t), verb_backup(struct tool *t), verb_restore(struct tool *t);
int verb_actor(struct tool *t), verb_actor_add(struct tool *t), verb_crashes(struct tool *t), verb_logs(struct tool *t), verb_events(struct tool *t), verb_tell(struct tool *t), verb_ask(struct tool *t);
int verb_cron_list(struct tool *t), verb_cron_show(struct tool *t), verb_cron_add(struct tool *t), verb_cron_remove(struct tool *t), verb_cron_pause(struct tool *t),
	verb_cron_resume(struct tool *t), verb_cron_run(struct tool *t), verb_cron_preview(struct tool *t);
int verb_bench(struct tool *t), verb_completion(struct tool *t), verb_help_verb(struct tool *t), verb_version(struct tool *t);
/* Shared by verbs of several files. */
int show_what_if(struct tool *t); /* --what-if */
int submit_bulk(struct tool *t, const char *path);
/* A task of the words from the at-th on (a queue, a payload) and of submit's options, for fn, whose status is returned. */
int with_task(struct tool *t, unsigned at, int (*fn)(struct tool *t, Troupe__TaskSpec *spec, void *ctx), void *ctx);
int wait_for(struct tool *t, const struct ref *refs, size_t n, bool any, bool output, void (*each)(struct tool *t, const Troupe__Task *task, void *ctx), void *ctx);
enum { TASK_PAYLOAD = 1, TASK_OUTPUT = 2, TASK_HISTORY = 4 };
int get_task(struct tool *t, const struct ref *ref, unsigned with, struct arena **ret_arena, const Troupe__Task **ret); /* fails with ERROR_NO_TASK */
int resolve_task(struct tool *t, const struct ref *ref, struct id *ret);                                                /* its id, whatever it is named by */
int queue_ask(struct tool *t, const char *name, struct arena **ret_arena, const Troupe__Queues **ret);                  /* "": all */
int batch_tasks(struct tool *t, const struct id *batch, bool open_only, struct ref **ret, size_t *ret_n); /* all that have not ended; or the members alone */
int batch_finish(struct tool *t, const struct id *batch);   /* waits, prints the row, 0 where it succeeded */
int submit_dag(struct tool *t, const char *path);
int show_task(struct tool *t, const struct ref *ref);
/* A task as a line that submit --bulk reads, its payload in a file of --files where it is a large one. 0 with a new reference, or an exit status. */
int export_row(struct tool *t, const Troupe__Task *task, json_t **ret);
/* A table of the tasks that a filter names; each given: all of them are handed to it instead, until it returns an exit status. */
int list_tasks(struct tool *t, const Troupe__Filter *f, bool payload, int (*each)(struct tool *t, const Troupe__Task *task, void *ctx), void *ctx);
int pass_status(const Troupe__Task *task);
