#pragma once
/* A JSON text is checked (RFC 8259) and cut into its top-level members, without building anything: a result goes into the store as the bytes that the
 * program wrote, so that no number is rounded on the way, and a line costs no allocation. Pure, no recursion. Input is untrusted.
 *
 * Stricter than the RFC: strings must be valid UTF-8 and their escapes must name Unicode characters (no lone surrogates); at most JSON_SCAN_DEPTH deep. */
#include <stdbool.h>
#include <stddef.h>
#include "common/base/error.h"

#define JSON_SCAN_DEPTH 1024

enum json_kind { JSON_KIND_OBJECT, JSON_KIND_ARRAY, JSON_KIND_STRING, JSON_KIND_NUMBER, JSON_KIND_TRUE, JSON_KIND_FALSE, JSON_KIND_NULL };
struct json_text { const char *data; size_t len; };
struct json_member {
	struct json_text key;   /* between the quotes, escapes as they are */
	struct json_text value; /* the whole value; of a string what is between the quotes */
	enum json_kind kind;
};

/* text is one JSON value and nothing else but white space. */
bool json_scan_valid(const char *text, size_t len);
/* text is one JSON object. Its members in order; 0, ERROR_BAD_REQUEST, ERROR_TOO_LARGE (more than max members). */
int json_scan_object(const char *text, size_t len, struct json_member *out, size_t max, size_t *ret_n, struct error *e);
bool json_scan_key_is(const struct json_member *m, const char *key); /* by the written form: an escaped key is another one */
/* Takes the escapes out of a checked string; out may be string.data itself. Returns the bytes, at most string.len; \u0000 becomes a NUL byte. */
size_t json_scan_unescape(struct json_text string, char *out);
