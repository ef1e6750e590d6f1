#pragma once
/* The handlers of all verbs, for the table in coordinator.c. Each stands in the file of its subject. state is the struct coordinator; actor.h says what a handler returns. */
#include "common/actor/actor.h"

/* tasks come in, and are looked at */
int on_submit(struct turn *t, void *state, const struct message *m);
int on_get(struct turn *t, void *state, const struct message *m);
int on_list(struct turn *t, void *state, const struct message *m);
int on_wait(struct turn *t, void *state, const struct message *m);
int on_explain(struct turn *t, void *state, const struct message *m);
int on_batch_ask(struct turn *t, void *state, const struct message *m);
int on_log_ask(struct turn *t, void *state, const struct message *m);

/* and are changed */
int on_cancel(struct turn *t, void *state, const struct message *m);
int on_retry(struct turn *t, void *state, const struct message *m);
int on_purge(struct turn *t, void *state, const struct message *m);
int on_alter(struct turn *t, void *state, const struct message *m);

/* what workers say */
int on_attach(struct turn *t, void *state, const struct message *m);
int on_started(struct turn *t, void *state, const struct message *m);
int on_outcomes(struct turn *t, void *state, const struct message *m);
int on_revoked(struct turn *t, void *state, const struct message *m);
int on_progress(struct turn *t, void *state, const struct message *m);
int on_beat(struct turn *t, void *state, const struct message *m);
int on_workers_ask(struct turn *t, void *state, const struct message *m);

/* queues */
int on_queue_ask(struct turn *t, void *state, const struct message *m);
int on_queue_order(struct turn *t, void *state, const struct message *m);

/* cron entries */
int on_cron_order(struct turn *t, void *state, const struct message *m);
int on_cron_ask(struct turn *t, void *state, const struct message *m);
int on_cron_preview(struct turn *t, void *state, const struct message *m);

/* large payloads */
int on_blob_put(struct turn *t, void *state, const struct message *m);
int on_blob_get(struct turn *t, void *state, const struct message *m);

/* the ledger */
int on_check_store(struct turn *t, void *state, const struct message *m);
