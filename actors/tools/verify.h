#pragma once
/* Is a backup whole: its manifest, each file, each ledger. */
#include "actors/tools/manifest.h"
#include "actors/tools/tool.h"

struct verified {
	char dir[PATH_MAX], path[PATH_MAX], state[PATH_MAX]; /* the backup, its manifest, and the state in it */
	struct manifest manifest;
	json_t *ledgers;         /* as ledger_check_all says, once verified */
};
int backup_open(struct verified *v, const char *dir, struct error *e); /* reads the manifest; a code with a text */
void backup_close(struct verified *v);
/* Everything else. ERROR_CORRUPT where it is not what was backed up, or was not sound. Shows progress. */
int backup_verify(struct tool *t, struct verified *v, struct error *e);
