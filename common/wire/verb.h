#pragma once
/* The table of all verbs: each number of Envelope.body has a name, exactly one owner, a kind, and the least role that may use it. */
#include <stddef.h>
#include "proto/envelope.pb-c.h"
#include "proto/config.pb-c.h"
enum verb_owner { OWNER_ACTOR, OWNER_SUPERVISOR, OWNER_COORDINATOR, OWNER_WORKER, OWNER_TOPIC };
enum verb_kind {
	VERB_REQUEST,  /* an ASK; answered by verb .reply or by error */
	VERB_REPLY,
	VERB_NOTICE,   /* no answer is waited for */
};
struct verb {
	int number;               /* Troupe__Envelope__BodyCase */
	const char *name;         /* as in the .proto */
	enum verb_owner owner;    /* who handles a request or notice; who sends a reply */
	enum verb_kind kind;
	Troupe__Role role;        /* least role of a client; ROLE_NONE: only actors of the node */
	int reply;                /* of a request: the number of its reply; else 0 */
};
extern const struct verb verbs[];
extern const size_t n_verbs;
const struct verb *verb_find(int number);       /* NULL for an unknown one */
const struct verb *verb_by_name(const char *name);
const char *verb_owner_name(enum verb_owner o);
