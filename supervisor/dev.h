#pragma once
/* --dev: a node to try things on, in a directory of its own, ${TMPDIR:-/tmp}/troupe-dev.UID, where the tool looks when it finds no other. */
#include <stddef.h>
#include "common/base/error.h"
/* Makes the directory (0700, ours) and the text of a configuration with one queue and one pool, "default". Caller frees. 0 or a code with a text. */
int dev_prepare(char **ret_dir, char **ret_config, struct error *e);
void dev_remove(const char *dir); /* the directory and all that is in it */
