#pragma once
/* Started as root: what is given up, and when.
 *
 * Without a user in any child or pool trouped becomes the node's user for good. With one it stays root with the capabilities to become those users, to signal them, to give
 * them their directories, and to read the environment of leftovers (SETUID SETGID KILL CHOWN SYS_PTRACE); a child without a user of its own runs as the node's user.
 * Then the state directory is root's and may be passed through (0711), each actor's own directory in it is its user's (0700); sockets lie in directories of
 * the node's group, sticky, and every child has that group besides its own. A task inherits the group, which lets it knock; who it is, and so what it may do,
 * is told by its uid. */
#include "common/base/error.h"
#include "supervisor/config.h"

/* The node's directories, before anything is given up: made where they are missing, and the node user's. 0, or a code with a text. */
int privilege_prepare(const struct config *c, struct error *e);
/* 0; ERROR_NOT_ALLOWED with a text: the node must not run. Also sets no_new_privs where everything is given up. */
int privilege_drop(const struct config *c, struct error *e);
/* Of a child: as whom it runs ((uid_t)-1: as we do), and the node's group, which it gets besides (ret_group; (gid_t)-1: none). */
void privilege_of(const struct config *c, const struct launch *l, uid_t *ret_uid, gid_t *ret_gid, gid_t *ret_group);
/* The child's own directory, where we are still root: made, with all above it, and given to its user. 0, or a code with a text. */
int privilege_give_dir(const struct config *c, const struct launch *l, const char *dir, struct error *e);
const char *privilege_mode(const struct config *c); /* for -T and for people */
