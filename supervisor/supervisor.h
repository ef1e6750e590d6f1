#pragma once
/* The shell around the tree: system events in, actions out. One thread, one loop. */
#include "supervisor/config.h"

struct supervisor_options {
	int ready_fd;          /* -1: none */
	int control_fd;        /* -1: none; a SOCK_SEQPACKET socket for requests, see trouped(8) */
	const char *pid_file;  /* NULL: none */
	bool verbose;
};
/* Runs a node until it has stopped. Returns the process's exit status (see trouped(8)). Takes the configuration. */
int supervisor_run(struct config *c, const struct supervisor_options *o);
