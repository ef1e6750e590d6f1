#pragma once
/* What the files of the node driver share: node.c does stimuli, node_hear.c hears the stubs, the journal and the control socket, and knows when nothing is under way. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "common/io/lifeline.h"
#include "tests/supervision/node.h"
#include "tests/supervision/node_config.h"
#include "tests/supervision/notation.h"
#include "tests/supervision/trace.h"

#define QUIET_MS 12u        /* nothing new for so long, and nothing known to be under way */
#define PATIENCE_MS 20000u
#define LINE_MAX_BYTES (256u * 1024)
#define ALWAYS UINT32_MAX

/* A child, and what it does when something is asked of it. */
struct puppet {
	char name[CHILD_NAME_MAX + 1];
	uint64_t slow_ms, lazy_ms;
	uint32_t fails;
	bool ignore, deaf, stubborn;
	int exits, early;
	char info[64];

	int fd;                    /* of its present life; -1: none */
	pid_t pid;
	uint64_t incarnation, before; /* that said hello last, and the one before */
	/* Incarnations, because the journal and the stub may each be ahead of the other: the latest that was said to start, that is settled (READY, or its start has failed),
	 * that was told to end or killed, that was said to be asked to stop, that has heard so, that has ended. */
	uint64_t spawned, settled, told_end, stop_said, stop_heard, ended;
	uint64_t order_at_ms;      /* 0: none to come */
	char order[80];
	struct puppet *next;
};

struct node_play {
	char dir[64], socket[96], journal_path[128], config_path[96];
	const char *trouped;
	struct stub_config config;
	struct notation notation;
	struct templates templates;
	struct tree *tree;         /* as it is defined; never booted */
	struct puppet *puppets;
	struct trace *trace;
	pid_t pid;
	int status;
	bool gone, booted, exit_said;
	struct lifeline control;
	int listener, journal, strangers[64];
	size_t n_strangers;        /* connected, not yet named */
	char *line;
	size_t line_len;
	uint64_t ref, n_told, news_at_ms;
	uint64_t n_sent, n_taken;  /* requests: sent; seen in the journal, or refused */
	struct arena *answer_arena;
	const Troupe__Envelope *answer;
	uint64_t answer_ref, reload_ref;
};

struct puppet *puppet_of(struct node_play *p, const char *name);   /* made where it is missing */
void puppet_tell(struct puppet *x, const char *order);
void node_request(struct node_play *p, Troupe__Envelope *env);     /* on the control socket; the answer comes to p->answer */
void node_turn(struct node_play *p);                               /* hears everybody, a millisecond at most */
void node_settle(struct node_play *p, unsigned n_wanted);          /* until nothing is under way; a while longer where fewer words have come */
void node_pass(struct node_play *p, uint64_t ms);
