#pragma once
/* What a task may say: limits and sense of a TaskSpec, without looking at anything else. */
#include "actors/coordinator/ledger.h"

struct coordinator;

size_t spec_inline(const Troupe__TaskSpec *spec);     /* bytes of payload and arguments in the record */
size_t spec_size(const Troupe__TaskSpec *spec);       /* with a payload beside it */
int spec_check(const struct coordinator *c, const Troupe__TaskSpec *s, struct error *e); /* 0 or a positive code with e filled */
