#pragma once
/* Actor addresses: "type:id". type: [a-z][a-z0-9_-]{0,31}; id: 1 to 158 printable ASCII bytes of [A-Za-z0-9._/@+=~-]
 * (a pool's worker is "worker:POOL/N"). At most 191 bytes in all. */
#include <stdbool.h>
#include <stddef.h>
#include "common/base/error.h"
struct address { char text[192]; unsigned char type_len; };
int address_parse(const char *s, struct address *ret, struct error *e); /* 0 or ERROR_BAD_REQUEST */
bool address_valid(const char *s);
const char *address_id(const struct address *a);                 /* behind the colon */
bool address_type_is(const struct address *a, const char *type);
/* Of two that dial each other at once, the connection dialled by the smaller address survives (strcmp). */
bool address_less(const char *a, const char *b);
