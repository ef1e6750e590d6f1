#pragma once
/* The environment of a program: a clean base from our own, the pool's, the task's. What is set later wins. Pure but for getenv. */
#include "common/work/task.h"
#include "proto/config.pb-c.h"

struct environment { char **all; size_t n, room; }; /* all is NULL-terminated */
void environment_fini(struct environment *v);
int environment_set(struct environment *v, const char *key, const char *value); /* 0 or -ENOMEM; a key that is empty or has a '=' is passed over */
/* PATH LANG LC_ALL TZ HOME USER, the supervisor's marks, then the pool's. 0 or -ENOMEM. */
int environment_base(struct environment *v, const Troupe__PoolSetup *pool);
/* TROUPE_TASK and so on; the attempt must have its start times. payload_file may be NULL. 0 or -ENOMEM. */
int environment_task(struct environment *v, const struct task *t, const char *payload_file);
