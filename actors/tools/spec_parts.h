#pragma once
/* What the files of spec_json.h share: spec_json.c reads the whole and its texts, spec_wants.c what it waits for and takes. */
#include "actors/tools/spec_json.h"

/* The string under key; *ret stays NULL where there is none. 0 or ERROR_BAD_REQUEST. */
int spec_text(const json_t *j, const char *key, const char **ret, struct error *e);
int spec_read_retry(const json_t *j, struct arena *a, Troupe__TaskSpec *t, struct error *e);
int spec_read_resources(const json_t *j, struct arena *a, Troupe__TaskSpec *t, struct error *e);
int spec_read_after(const json_t *j, const struct spec_context *c, struct arena *a, Troupe__TaskSpec *t, struct error *e);
