#pragma once
/* The guard of -d: a small process in front of a detached node. It starts trouped, forwards signals to it, is what the pid file names, and starts it again when it dies;
 * before that it kills whatever is left of the node: as a subreaper it inherits all of it. Not needed where a service manager does the same. */

#include <stdbool.h>

struct guard_options {
	char **argv;            /* of this process; its memory becomes the title */
	int argc;
	const char *config;     /* absolute path */
	const char *pid_file;   /* absolute path, or NULL: none */
	bool verbose;
};
/* Detaches. In the calling process it returns when the node is ready or has failed, with the exit status of the start. The guard itself never returns. */
int guard_run(const struct guard_options *o);
