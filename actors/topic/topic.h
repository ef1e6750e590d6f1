#pragma once
/* topic:NAME, a durable append-only log of events with offsets from 1 and no holes. */
#include "common/actor/actor.h"

#define TOPIC_PUBLISH_MAX 1000u        /* events of one publish */
#define TOPIC_EVENT_MAX (32u * 1024)   /* bytes of one event */
#define TOPIC_ROWS_MAX 1000u           /* of one answer */
#define TOPIC_BYTES_MAX (512u * 1024)  /* of one answer: half a frame, less where frames are smaller */
#define TOPIC_LOOK_MAX 10000u          /* rows that one question may look at */
#define TOPIC_FOLLOW_MAX_MS 60000u
#define TOPIC_SLICE 500u               /* rows that retention deletes in one turn */
#define TOPIC_KEEP_MS (7ull * 24 * 3600 * 1000)
#define TOPIC_KEEP_BYTES (64ull * 1024 * 1024)

extern const struct actor_def topic_def;

struct topic;
/* The state of a topic on its store: what init does. The caller frees it with topic_def.fini. 0, ERROR_CORRUPT, negative. */
int topic_open(struct store *store, const Troupe__Setup *setup, struct topic **ret, struct error *e);
