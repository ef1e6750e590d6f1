#pragma once
/* How a task is named on a command line: 26 characters, #seq, or a suffix of 6 to 25 characters. */
#include "common/wire/id.h"
#include "proto/envelope.pb-c.h"

enum ref_kind { REF_ID, REF_SEQ, REF_SUFFIX };
struct ref { enum ref_kind kind; struct id id; uint64_t seq; char suffix[ID_TEXT]; };
int ref_parse(const char *s, struct ref *ret, struct error *e); /* 0 or ERROR_BAD_REQUEST */
/* Fills m, which then points into r. */
void ref_message(const struct ref *r, Troupe__TaskRef *m);
