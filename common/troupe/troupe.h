#pragma once
/* libtroupe: gives tasks to a node of Troupe, waits for their ends, follows what happens to them, and cancels them. libtroupe(3) is the manual.
 *
 * A connection (struct troupe) finds the coordinator by itself, and finds it again when it has died: what may be done twice without harm is sent again, under the
 * same ids, and the caller sees a pause. Every function has a form that blocks, and one that starts (…_start) and calls back later. Nothing happens and nobody is
 * called back but inside troupe_run and the functions that block.
 *
 * Return values: 0; a positive enum troupe_code, an expected condition that the caller handles; or a negative errno, which is fatal for the connection. Where there
 * is a struct troupe_error (may be NULL), it is filled before any return but 0.
 *
 * Threads: one thread at a time may use a connection, any thread. Connections of one process are independent of each other. The library has threads of its own, in
 * which all signals are blocked. Forks: a child may use no connection of its parent's, and may make none of its own, unless it executes a program; both are refused
 * with TROUPE_ERROR_STATE. Descriptors are closed on exec.
 *
 * Callbacks may call everything that does not block. What blocks, troupe_run and troupe_disconnect are refused there with TROUPE_ERROR_STATE.
 *
 * Structures that the caller fills begin with their size; begin with the TROUPE_…_INIT of each, which sets it. A size that this library does not know is
 * refused with TROUPE_ERROR_VERSION. Structures that the library hands out by pointer may get more members at their ends. Strings are UTF-8. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- limits --- */
#define TROUPE_SUBMIT_MAX 4096u          /* tasks of one submit */
#define TROUPE_NAMES_MAX 1000u           /* tasks that one wait or cancel names */
#define TROUPE_REQUEST_BYTES_MAX 1000000u /* of one submit with all its payloads, and of a raw message */
#define TROUPE_OUTSTANDING_MAX 16384u    /* requests of a connection that are not answered yet */
#define TROUPE_OUTSTANDING_BYTES_MAX 16777216u /* of these requests together */
#define TROUPE_NOTIFY_MAX 262144u        /* tasks of a connection that are watched for on_finished */
#define TROUPE_FOREVER UINT64_MAX        /* as timeout_ms: none */

/* --- errors --- */

/* Never renumbered; the same as in messages of the node and in troupe(1). */
enum troupe_code {
	TROUPE_ERROR_BAD_REQUEST = 1,    /* malformed, or a value out of range */
	TROUPE_ERROR_TOO_LARGE = 2,      /* over a stated limit */
	TROUPE_ERROR_VERSION = 3,        /* a version, or the size of a structure, that the other side lacks */
	TROUPE_ERROR_NOT_ALLOWED = 4,    /* the caller's role is too low */
	TROUPE_ERROR_NO_ACTOR = 5,       /* no such address */
	TROUPE_ERROR_NO_VERB = 6,        /* that actor does not answer such a request */
	TROUPE_ERROR_NO_QUEUE = 7,
	TROUPE_ERROR_NO_TASK = 8,
	TROUPE_ERROR_CONFLICT = 9,       /* the same id or unique key with other content */
	TROUPE_ERROR_BUSY = 10,          /* a limit is reached: try again after retry_after_ms */
	TROUPE_ERROR_DISK_LOW = 11,      /* the node's disk is nearly full: later */
	TROUPE_ERROR_TIMEOUT = 12,
	TROUPE_ERROR_STATE = 13,         /* not possible now */
	TROUPE_ERROR_STOPPING = 14,      /* the node is going down, or the connection was ended */
	TROUPE_ERROR_UNDELIVERED = 15,
	TROUPE_ERROR_CORRUPT = 16,       /* stored data failed its check */
	TROUPE_ERROR_AMBIGUOUS = 17,
	TROUPE_ERROR_NOT_REACHABLE = 18, /* nobody listens there */
	TROUPE_ERROR_EXISTS = 19,
	TROUPE_ERROR_NOT_FOUND = 20,
	TROUPE_ERROR_CONFIG = 21,
	TROUPE_ERROR_STORE = 22,         /* the node's store cannot do it now */
	TROUPE_ERROR_INTERNAL = 99,      /* a bug of Troupe */
};

struct troupe_error {
	int code;                        /* what was returned */
	bool retryable;                  /* the same may succeed later */
	uint32_t retry_after_ms;         /* not before; 0: no time is stated */
	uint32_t index;                  /* of the task that it is about, from 1; 0: the whole */
	char text[256];                  /* what failed and why, one line */
	char cure[160];                  /* what to do; may be empty */
};

const char *troupe_code_name(int code);  /* "NO_QUEUE"; "UNKNOWN". Static text */
const char *troupe_version(void);        /* of the library: "0.1.0". Static text */

/* --- ids --- */

/* Of a task: made by the client, never reused. Their order is the order of their making. All zero: none. */
struct troupe_id { uint8_t b[16]; };
#define TROUPE_ID_TEXT 27u               /* bytes of the shown form, with its NUL */

struct troupe;
struct troupe_id troupe_id_new(struct troupe *t); /* none in a child of the process that connected */
void troupe_id_format(const struct troupe_id *id, char ret[TROUPE_ID_TEXT]);
int troupe_id_parse(const char *text, struct troupe_id *ret, struct troupe_error *e); /* 0 or TROUPE_ERROR_BAD_REQUEST */

/* --- a connection --- */

struct troupe_result;

struct troupe_options {
	size_t size;
	const char *run_dir;             /* of the node; NULL: $TROUPE_RUN_DIR, or the first of the usual places that has one */
	const char *coordinator;         /* whose queues are meant; NULL: "coordinator:main" */
	const char *program;             /* shown to the node's operators, at most 64 bytes; NULL: none */
	uint64_t timeout_ms;             /* of requests that name none; 0: 10,000 */
	bool wait;                       /* troupe_connect returns when the coordinator has answered, or says why it does not */
	void *ctx;                       /* of the callbacks below, each of which may be NULL */
	/* A task that was submitted with TROUPE_NOTIFY is final; once for each, whatever dies meanwhile. result lives until the return; it has no output. */
	void (*on_finished)(void *ctx, const struct troupe_result *result);
	/* The connection to an actor stands, or is lost and will be made again. With wait also before troupe_connect returns. */
	void (*on_state)(void *ctx, const char *address, bool up);
	/* Every message that answers nothing, packed: a troupe.Envelope of troupe-protocol(7). It lives until the return. */
	void (*on_push)(void *ctx, const char *from, const void *envelope, size_t len);
};
#define TROUPE_OPTIONS_INIT { .size = sizeof(struct troupe_options) }

/* options NULL: all as above. Opens no connection yet, unless wait is set; the first request does. Blocks only with wait, for at most timeout_ms.
 * 0 with *ret, which troupe_disconnect frees; TOO_LARGE (the path of run_dir), BAD_REQUEST (coordinator), VERSION, STATE (after a fork); with wait also NOT_REACHABLE,
 * NOT_ALLOWED, NO_ACTOR, TIMEOUT; -ENOMEM, -EMFILE and the like. */
int troupe_connect(const struct troupe_options *options, struct troupe **ret, struct troupe_error *e);
/* Ends everything. What is outstanding is called back with STOPPING from here, and may have been done or not. Then subscriptions end without a word; they are freed, and
 * must not be unsubscribed after the return. Blocks for a moment. 0; STATE: inside a callback, or in a child, and nothing was done. NULL is accepted. */
int troupe_disconnect(struct troupe *t);
const char *troupe_run_dir(const struct troupe *t); /* in use; lives as long as t */

/* For a loop of the caller's: when the descriptor is readable (POLLIN), or troupe_timeout_ms has passed, and after whatever was started: troupe_run(t, 0). */
int troupe_fd(const struct troupe *t);
int troupe_timeout_ms(const struct troupe *t);  /* for poll(2): from now on; 0: at once; -1: nothing is due */
/* One round: waits until something happens, at most timeout_ms (0: does not wait, TROUPE_FOREVER), and calls back. 0, STATE, or a negative errno. */
int troupe_run(struct troupe *t, uint64_t timeout_ms);

size_t troupe_outstanding(const struct troupe *t); /* requests that are not answered yet, the one of each subscription among them */
/* Blocks until no more than most requests are outstanding and another would be taken. 0, TIMEOUT, STATE. */
int troupe_settle(struct troupe *t, size_t most, uint64_t timeout_ms, struct troupe_error *e);
/* Blocks until the kernel has taken what was sent: before an exit after troupe_tell. 0, TIMEOUT, STATE. */
int troupe_flush(struct troupe *t, uint64_t timeout_ms, struct troupe_error *e);

/* --- submit --- */

#define TROUPE_PRIORITY_CRITICAL 0u      /* lower first; any number between is one too */
#define TROUPE_PRIORITY_HIGH 1000u
#define TROUPE_PRIORITY_NORMAL 2000u
#define TROUPE_PRIORITY_LOW 3000u
#define TROUPE_PRIORITY_BULK 4000u

enum troupe_backoff { TROUPE_BACKOFF_EXPONENTIAL = 0, TROUPE_BACKOFF_LINEAR = 1, TROUPE_BACKOFF_LIST = 2 };
struct troupe_retry {
	size_t size;
	uint32_t max_attempts;           /* 0: the queue's */
	enum troupe_backoff backoff;
	uint64_t base_ms;                /* of the first delay */
	uint32_t factor_pct;             /* 200 doubles */
	uint64_t cap_ms;
	uint32_t jitter_pct;             /* of the delay, 0 to 100 */
	const uint64_t *delays_ms;       /* of LIST, at most 100; the last one repeats */
	size_t n_delays_ms;
};
#define TROUPE_RETRY_INIT { .size = sizeof(struct troupe_retry) }

enum troupe_unique { TROUPE_UNIQUE_REJECT = 0, TROUPE_UNIQUE_RETURN = 1, TROUPE_UNIQUE_REPLACE = 2 };
enum troupe_edge_on { TROUPE_ON_SUCCESS = 0, TROUPE_ON_END = 1, TROUPE_ON_FAILURE = 2 };
struct troupe_edge { struct troupe_id id; enum troupe_edge_on on; };
struct troupe_resource { const char *name; uint64_t amount; };

/* What it points at must live until the function that takes it returns. troupe-queue(7) says what each means. */
struct troupe_task {
	size_t size;
	struct troupe_id id;             /* all zero: one is made, and told in the receipt */
	const char *queue;               /* must be set */
	const void *payload;             /* inside a request at most 64 KiB, or what the node is configured for */
	size_t payload_len;
	const char *content_type;        /* NULL: none, here and below */
	const char *const *argv;         /* a command, ended by NULL, for workers that take it from the task */
	uint32_t priority;               /* TROUPE_TASK_INIT sets NORMAL */
	uint64_t delay_ms;               /* from acceptance */
	uint64_t run_at_ms;              /* wall clock, in milliseconds since 1970; the later of the two holds */
	const struct troupe_retry *retry; /* NULL: the queue's */
	uint64_t timeout_ms;             /* of one attempt; 0: the queue's */
	uint64_t deadline_at_ms;         /* wall clock; 0: none */
	const char *unique_key;          /* at most 200 bytes */
	enum troupe_unique unique_mode;
	uint64_t unique_window_ms;
	const char *serial_key;          /* at most 200 bytes */
	const char *const *tags;         /* that a worker must have, ended by NULL */
	const struct troupe_edge *depends_on; /* at most 256 */
	size_t n_depends_on;
	bool hold_on_failure;            /* where an edge cannot be met any more: wait for a retry instead of being cancelled */
	const struct troupe_resource *resources; /* at most 8 */
	size_t n_resources;
	const char *traceparent;
	const uint8_t *blob_sha256;      /* instead of payload: 32 bytes that name one which was sent before, by blob_put of troupe-protocol(7) */
	uint64_t blob_size;
};
#define TROUPE_TASK_INIT { .size = sizeof(struct troupe_task), .priority = TROUPE_PRIORITY_NORMAL }

struct troupe_receipt {
	struct troupe_id id;             /* set on failure too */
	uint64_t seq;                    /* its number in the coordinator, shown as #4711; 0: not accepted */
	bool existing;                   /* it was there: this id was accepted before, or a unique key named a task with the same work, whose id this is */
};

enum troupe_submit_flags {
	TROUPE_NOTIFY = 1,               /* call on_finished for each of these tasks when it is final */
};

/* Blocks until all n tasks are on disk, in one commit, or none is. n is 1 to TROUPE_SUBMIT_MAX. ret has room for n receipts, in the order of the tasks; its ids are set
 * in every case but VERSION, so that the same tasks with these ids may be submitted again after any failure: what was accepted is then recognised and stays one task.
 * TIMEOUT and NOT_REACHABLE leave open whether it was done. BUSY and DISK_LOW: the node takes nothing now, or too much is outstanding; retry_after_ms
 * says when to come back. CONFLICT, NO_QUEUE, TOO_LARGE, BAD_REQUEST: index says which task it is about. */
int troupe_submit_many(struct troupe *t, const struct troupe_task *tasks, size_t n, unsigned flags, struct troupe_receipt *ret, struct troupe_error *e);
int troupe_submit(struct troupe *t, const struct troupe_task *task, struct troupe_receipt *ret, struct troupe_error *e);
/* The same without blocking. 0: on_submitted is called once, later, with the receipts, which live until its return; error NULL: accepted. Any other value: nothing was
 * started and nobody is called. */
int troupe_submit_start(struct troupe *t, const struct troupe_task *tasks, size_t n, unsigned flags,
                        void (*on_submitted)(void *ctx, const struct troupe_receipt *receipts, size_t n, const struct troupe_error *error), void *ctx,
                        struct troupe_error *e);

/* --- wait --- */

enum troupe_state {
	TROUPE_STATE_UNKNOWN = 0, TROUPE_STATE_SCHEDULED = 1, TROUPE_STATE_READY = 2, TROUPE_STATE_RUNNING = 3,
	TROUPE_STATE_DONE = 4, TROUPE_STATE_CANCELLED = 5, TROUPE_STATE_DEAD = 6, /* these are final */
};
/* Why a task is dead (the first four) or cancelled without having been asked for. */
enum troupe_cause {
	TROUPE_CAUSE_NONE = 0, TROUPE_CAUSE_EXHAUSTED = 1, TROUPE_CAUSE_REJECTED = 2, TROUPE_CAUSE_POISON = 3, TROUPE_CAUSE_EXPIRED = 4,
	TROUPE_CAUSE_DROPPED = 5, TROUPE_CAUSE_UPSTREAM = 6, TROUPE_CAUSE_UNNEEDED = 7, TROUPE_CAUSE_REPLACED = 8,
};
/* How an attempt ended. */
enum troupe_exit {
	TROUPE_EXIT_NONE = 0, TROUPE_EXIT_DONE = 1, TROUPE_EXIT_FAILED = 2, TROUPE_EXIT_LATER = 3, TROUPE_EXIT_REJECTED = 4, TROUPE_EXIT_BROKEN = 5,
	TROUPE_EXIT_SIGNAL = 6, TROUPE_EXIT_CORE = 7, TROUPE_EXIT_OOM = 8, TROUPE_EXIT_TIMEOUT = 9, TROUPE_EXIT_LOST = 10, TROUPE_EXIT_CANCELLED = 11,
};
const char *troupe_state_name(enum troupe_state state); /* "done"; "unknown". Static text */

/* A task that is final. Strings are never NULL. */
struct troupe_result {
	struct troupe_id id;
	uint64_t seq;
	const char *queue;
	enum troupe_state state;
	enum troupe_cause cause;
	enum troupe_exit exit_class;     /* of the last attempt, and so the next ones; NONE: there was none */
	int exit_code;
	int signal;
	const void *output;              /* output_len bytes and a NUL behind them */
	size_t output_len;
	bool truncated;                  /* the queue keeps no more of it */
	const char *error;               /* one line */
	const char *worker;
	uint32_t attempts;
	uint64_t submitted_at_ms, started_at_ms, finished_at_ms; /* wall clock; 0: not known, or never */
	uint64_t run_us;
};
struct troupe_results { size_t n; const struct troupe_result *const *all; }; /* in the order in which they were learnt */

enum troupe_wait_flags {
	TROUPE_WAIT_ANY = 1,             /* until one is final, instead of all */
	TROUPE_WAIT_OUTPUT = 2,          /* results bring what the tasks have written */
};

/* Blocks until the n tasks (1 to TROUPE_NAMES_MAX, each named once) are final, over any number of deaths of the coordinator. *ret gets what is final, also with TIMEOUT;
 * free it with troupe_results_free after 0 and TIMEOUT. NO_TASK: index says which one is unknown, such as one that was purged. A wait may take up to 200 ms longer
 * than timeout_ms. */
int troupe_wait(struct troupe *t, const struct troupe_id *ids, size_t n, unsigned flags, uint64_t timeout_ms, struct troupe_results *ret, struct troupe_error *e);
/* The same without blocking. 0: on_waited is called once, later; results live until its return; error NULL: all that was waited for. */
int troupe_wait_start(struct troupe *t, const struct troupe_id *ids, size_t n, unsigned flags, uint64_t timeout_ms,
                      void (*on_waited)(void *ctx, const struct troupe_results *results, const struct troupe_error *error), void *ctx, struct troupe_error *e);
void troupe_results_free(struct troupe_results *r); /* empties r; one that is empty is accepted */

/* --- cancel --- */

struct troupe_refusal { struct troupe_id id; int code; char text[256]; };
struct troupe_cancelled {
	uint64_t count;                  /* tasks that were cancelled, or told to stop where they run */
	size_t n_refused;
	const struct troupe_refusal *refused;
};
/* Blocks until the n tasks (1 to TROUPE_NAMES_MAX) are cancelled, or refused each for itself: such as final ones (STATE), unknown ones (NO_TASK), others' (NOT_ALLOWED). A
 * running task is told to stop, and is cancelled when it has. Free *ret with troupe_cancelled_free after 0. */
int troupe_cancel(struct troupe *t, const struct troupe_id *ids, size_t n, struct troupe_cancelled *ret, struct troupe_error *e);
/* The same without blocking. 0: on_cancelled is called once, later; cancelled lives until its return and is NULL with an error. */
int troupe_cancel_start(struct troupe *t, const struct troupe_id *ids, size_t n,
                        void (*on_cancelled)(void *ctx, const struct troupe_cancelled *cancelled, const struct troupe_error *error), void *ctx, struct troupe_error *e);
void troupe_cancelled_free(struct troupe_cancelled *c);

/* --- subscribe --- */

/* A place in the log of all transitions of all tasks. Keep it, and a later subscription goes on behind it. */
struct troupe_cursor { uint64_t commit; uint32_t index; };

enum troupe_event_kind {
	TROUPE_EVENT_ACCEPTED = 1, TROUPE_EVENT_READY = 2, TROUPE_EVENT_GIVEN = 3, TROUPE_EVENT_DONE = 4, TROUPE_EVENT_FAILED = 5, TROUPE_EVENT_LOST = 6,
	TROUPE_EVENT_SCHEDULED = 7, TROUPE_EVENT_DEAD = 8, TROUPE_EVENT_CANCELLED = 9, TROUPE_EVENT_CANCEL_ASKED = 10, TROUPE_EVENT_RETRIED = 11,
	TROUPE_EVENT_RETURNED = 12, TROUPE_EVENT_PURGED = 13, TROUPE_EVENT_EXPIRED = 14, TROUPE_EVENT_DROPPED = 15, TROUPE_EVENT_CHANGED = 16,
	TROUPE_EVENT_GAP = 1000,         /* the log's rows between the last event and cursor are gone: retention has removed them, or the store is another one */
	TROUPE_EVENT_END = 1001,         /* the last one: the subscription cannot go on, error says why. Unsubscribe it */
};

struct troupe_event {
	enum troupe_event_kind kind;     /* a later node may send others */
	struct troupe_cursor cursor;     /* going on behind it misses nothing and repeats nothing */
	uint64_t at_ms;                  /* wall clock */
	struct troupe_id id;             /* of the task */
	uint64_t seq;                    /* 0: not known any more */
	const char *queue;
	const char *worker;              /* empty: none, or not known any more */
	uint32_t attempt;
	enum troupe_exit exit_class;
	enum troupe_cause cause;
	const struct troupe_error *error; /* of END */
};

enum troupe_from {
	TROUPE_FROM_NOW = 0,             /* what follows; a request that this connection starts later is among it */
	TROUPE_FROM_OLDEST = 1,          /* all that the log holds */
	TROUPE_FROM_CURSOR = 2,
};

struct troupe_subscription;
struct troupe_subscribe_options {
	size_t size;
	enum troupe_from from;
	struct troupe_cursor cursor;     /* of FROM_CURSOR: what stands behind it */
	const char *queue;               /* events of its tasks alone; NULL: of all */
	struct troupe_id task;           /* events of this task alone; all zero: of all */
	/* Each event, in the order of the log; it lives until the return. NULL: they are asked for by troupe_next. */
	void (*on_event)(void *ctx, const struct troupe_event *event);
	void *ctx;
};
#define TROUPE_SUBSCRIBE_INIT { .size = sizeof(struct troupe_subscribe_options) }

/* Does not block. It goes on by itself over the death of the coordinator, of the node, and over a full one; nothing is missed but what a GAP names, and nothing is
 * told twice. 0 with *ret, which troupe_unsubscribe frees; BUSY; VERSION; -ENOMEM. */
int troupe_subscribe(struct troupe *t, const struct troupe_subscribe_options *options, struct troupe_subscription **ret, struct troupe_error *e);
/* Blocks for the next event of a subscription without on_event. 0 with *ret, which lives until the next call for this subscription; TIMEOUT; STATE: it has an on_event, has
 * ended, or it is called from a callback. */
int troupe_next(struct troupe_subscription *s, uint64_t timeout_ms, const struct troupe_event **ret, struct troupe_error *e);
/* How far it has come, events that a filter left out among it: where to go on after an unsubscribe. commit 0: not known yet. */
struct troupe_cursor troupe_subscription_cursor(const struct troupe_subscription *s);
void troupe_unsubscribe(struct troupe_subscription *s); /* nobody is called any more; frees s, also inside its own on_event. NULL is accepted */

/* --- messages as they are --- */

enum troupe_repeat {
	TROUPE_REPEAT_BY_VERB = 0,       /* sent again over a lost connection where the verb allows it; a message of an application never is */
	TROUPE_REPEAT_ALWAYS = 1,        /* the receiver bears it twice */
	TROUPE_REPEAT_NEVER = 2,
};
struct troupe_message {
	size_t size;
	const char *to;                  /* an actor, such as "coordinator:main"; NULL: the supervisor */
	const void *envelope;            /* a packed troupe.Envelope with a body, or type and payload; of its other fields it may have id, priority and traceparent */
	size_t len;                      /* at most TROUPE_REQUEST_BYTES_MAX */
	uint64_t timeout_ms;             /* 0: the connection's */
	enum troupe_repeat repeat;
};
#define TROUPE_MESSAGE_INIT { .size = sizeof(struct troupe_message) }

/* Blocks for the answer, a packed troupe.Envelope, which the caller frees with free(3). An answer that is an error is returned as such. */
int troupe_request(struct troupe *t, const struct troupe_message *m, void **ret, size_t *ret_len, struct troupe_error *e);
/* The same without blocking. 0: on_answer is called once, later; envelope lives until its return and is NULL with an error. BUSY, BAD_REQUEST, TOO_LARGE: nothing was started. */
int troupe_request_start(struct troupe *t, const struct troupe_message *m,
                         void (*on_answer)(void *ctx, const void *envelope, size_t len, const struct troupe_error *error), void *ctx, struct troupe_error *e);
/* Queues a message that has no answer. It is lost when the connection is. */
int troupe_tell(struct troupe *t, const struct troupe_message *m, struct troupe_error *e);

#ifdef __cplusplus
}
#endif
