#pragma once
/* What the tests of libtroupe share: a scripted node, a connection to it, and what was called back. */
#include "tests/suite.h"
#include "common/troupe/troupe.h"
#include "tests/unit/troupe/scripted.h"

extern struct scripted node;
extern struct troupe *troupe;
extern struct troupe_error error;

void stage_setup(void);                          /* a node, and a connection with the callbacks below */
void stage_teardown(void);
struct troupe_id id_of(unsigned char last);      /* id_text's */
struct troupe_task task_for(const char *queue, const char *payload);
/* Runs the connection until *n is at least so much; fails after 10 s. */
void run_until(const size_t *n, size_t least);

extern size_t n_finished;                        /* calls of on_finished, and the last one */
extern struct troupe_id finished_id;
extern enum troupe_state finished_state;
extern size_t n_up, n_down, n_pushed;
