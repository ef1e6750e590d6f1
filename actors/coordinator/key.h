#pragma once
/* Serial keys: of the tasks of one key only so many run at a time, and the others wait in the order of their acceptance. */
#include "actors/coordinator/ledger.h"

struct coordinator;
struct place;
struct queue;

/* A task of a serial key is to be ready. *ret_go false: it waits in table waiting until its turn. */
int key_enter(struct turn *t, struct coordinator *c, struct place *p, bool *ret_go);
int key_release(struct turn *t, struct coordinator *c, struct place *p);              /* it held the key, and does not any more */
int key_leave(struct turn *t, struct coordinator *c, struct place *p, bool *ret_waited); /* it was ready; p->holds says whether it held the key */
/* Its attempt is about to begin: takes a token of the key's rate. *ret_go false: there is none; it waits again. */
int key_start(struct turn *t, struct coordinator *c, struct place *p, bool *ret_go);
int key_look(struct turn *t, struct coordinator *c, struct slice name);
int keys_settle(struct turn *t, struct coordinator *c);
uint64_t key_wait_ms(struct turn *t, const struct coordinator *c, const struct queue *q, const Troupe__KeyRecord *k); /* until its rate lets one begin */
bool key_serial(const struct queue *q);               /* one at a time: it is held between two attempts */
bool key_waits(struct turn *t, const struct place *p, uint64_t *ret_before); /* in table waiting; how many are before it, at most 1,000 */
int key_get(struct turn *t, const struct queue *q, const char *key, Troupe__KeyRecord **ret); /* 0, ERROR_NOT_FOUND, ERROR_CORRUPT, negative */
