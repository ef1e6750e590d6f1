#pragma once
/* A queue's policy by its keys. One table has the names, limits and standard values for the configuration, the tool and QueueOrder.fields. A policy is made of
 * malloc'ed parts, each message in it present. */
#include "common/base/error.h"
#include "common/base/rate.h"
#include "common/base/retry_rule.h"
#include "proto/queue.pb-c.h"

#define POLICY_TEXT 4096

extern const char *const policy_keys[]; /* in the order of troupe.conf(5), ended by NULL */
bool policy_key_known(const char *key);
bool policy_key_is_list(const char *key); /* its values are joined with commas */

Troupe__QueuePolicy *policy_new(const char *name);                      /* with the standard values; NULL without memory */
Troupe__QueuePolicy *policy_copy(const Troupe__QueuePolicy *p);         /* what is absent gets its standard value; NULL without memory */
void policy_free(Troupe__QueuePolicy *p);                               /* NULL accepted */
static inline void policy_freep(Troupe__QueuePolicy **p) { policy_free(*p); }

/* Sets one value from text. "none" is 0 where 0 means no limit. 0; ERROR_BAD_REQUEST with a text that names key and value, and a cure; -ENOMEM. */
int policy_set(Troupe__QueuePolicy *p, const char *key, const char *value, struct error *e);
/* The value as policy_set reads it back; returns out, of POLICY_TEXT bytes. p may have come by message. "" for an unknown key. */
const char *policy_get(const Troupe__QueuePolicy *p, const char *key, char *out, size_t size);
/* Takes one value over. 0; ERROR_BAD_REQUEST: an unknown key, or a value out of its limits; -ENOMEM. */
int policy_take(Troupe__QueuePolicy *to, const Troupe__QueuePolicy *from, const char *key, struct error *e);
/* What only the values together can get wrong: limits that can never be reached, or contradict each other. 0, or ERROR_BAD_REQUEST with *ret_key (may be NULL)
 * at fault. */
int policy_check(const Troupe__QueuePolicy *p, const char **ret_key, struct error *e);

/* Between the messages and the plain structs of common/base. */
struct rate rate_of_message(const Troupe__Rate *m); /* NULL: no limit; what is beyond the limits becomes the nearest inside */
void rate_to_message(const struct rate *r, Troupe__Rate *m);
bool retry_rule_of_message(const Troupe__RetryRule *m, struct retry_rule *ret); /* false: a kind or action that this build does not know */
void retry_rule_to_message(const struct retry_rule *r, Troupe__RetryRule *m);
