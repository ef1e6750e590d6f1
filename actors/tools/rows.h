#pragma once
/* Messages to rows. Pure: what a row shows of time is told by now_ms, the wall clock. Each returns a new reference, or NULL without memory. */
#include "proto/envelope.pb-c.h"
#include "actors/tools/row.h"

json_t *row_of_task(const Troupe__Task *t, uint64_t now_ms);
json_t *row_of_bulk(const Troupe__Task *t);   /* as submit --bulk reads it, without its id */
json_t *row_of_attempt(const Troupe__Attempt *a);
json_t *row_of_receipt(const Troupe__Receipt *r, const char *queue);
json_t *row_of_queue(const Troupe__Queue *q);
json_t *row_of_batch(const Troupe__Batch *b, uint64_t now_ms);
/* A task as submit --bulk reads it, under a new id. */
json_t *row_of_bulk(const Troupe__Task *t);
json_t *row_of_worker(const Troupe__WorkerRow *w);
json_t *row_of_tree(const Troupe__TreeRow *r);
json_t *row_of_crash(const Troupe__Crash *c);
json_t *row_of_status(const Troupe__Status *s);
json_t *row_of_event(const Troupe__Event *e, const char *cursor);
json_t *row_of_cron(const Troupe__Cron *c, uint64_t now_ms);
json_t *row_of_cron_time(uint64_t at_ms, const char *local);
/* The steps of a task's life, an array: log oldest first; task with its attempts; crashes of the workers that had it. */
json_t *rows_of_trace(const Troupe__Task *task, Troupe__Transition *const *log, size_t n_log, Troupe__Crash *const *crashes, size_t n_crashes, const char *coordinator);
json_t *row_of_transition(const Troupe__Transition *t, const char *cursor);

const char *task_state_name(Troupe__TaskState s);
const char *exit_class_name(Troupe__ExitClass c);
const char *reason_name(Troupe__Reason r);
const char *actor_state_name(Troupe__ActorState s);
const char *transition_name(Troupe__TransitionKind k);
const char *overlap_name(Troupe__CronSpec__Overlap o);
const char *missed_name(Troupe__CronSpec__Missed m);
const char *cause_name(Troupe__Cause c);
const char *batch_role_name(Troupe__BatchRole r);
const char *batch_state_name(Troupe__Batch__State s);
int task_state_parse(const char *s, size_t len, Troupe__TaskState *ret); /* 0 or ERROR_BAD_REQUEST */
/* "exit 3", "signal 9", "done", "timeout": how an attempt ended, for people. */
const char *outcome_text(const Troupe__Outcome *o, char *out, size_t size);
void row_id(json_t *row, const char *key, const ProtobufCBinaryData *id); /* 26 characters, or null */
json_t *row_texts(char *const *items, size_t n);
/* "#4711" */
const char *seq_text(uint64_t seq, char *out, size_t size);

/* Prometheus text exposition of samples; help and type are written once per name, so samples of one name must be adjacent (metrics_sort). Caller frees. */
void metrics_sort(Troupe__Sample **samples, size_t n);
char *metrics_render(Troupe__Sample *const *samples, size_t n);
