#pragma once
/* The configuration file: libconfuse's sections into typed data, each value with the place where it was said. The whole grammar is troupe.conf(5).
 *
 * Every scalar is read as text and parsed by common/base/parse.h, so that an error names file, line, the value, and a cure. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/types.h>
#include "common/base/error.h"
#include "proto/config.pb-c.h"
#include "supervisor/child.h"

#define CONFIG_DEPTH_MAX 8
#define CONFIG_POOL_MAX 1024
#define CONFIG_RUN_DIR_MAX 80

/* How a process is started. */
struct launch {
	char **argv;               /* argv[0] is the program's path */
	char **env;                /* further NAME=value */
	char *directory;           /* NULL: the state directory */
	char *user;                /* NULL: the node's */
	uid_t uid;
	gid_t gid;
	bool lifeline;             /* speaks on fd 3; else READY when exec'd, or */
	bool notify;               /* when it says so by sd_notify(3) */
	uint64_t watchdog_ms;      /* notify: it says WATCHDOG=1 at least so often; 0: no matter */
	bool has_nice;
	int nice;
	struct { int resource; rlim_t value; } limits[8];
	unsigned n_limits;
	uint8_t clean_codes[32], fatal_codes[32]; /* exit statuses, a bit each: as good as 0; not worth another try */
};

enum config_kind { CONFIG_SUPERVISOR, CONFIG_POOL, CONFIG_PROCESS };

/* One record of the tree to be. */
struct config_node {
	enum config_kind kind;
	char *name;                /* address, child's or supervisor's name */
	struct child_spec spec;
	struct supervisor_spec sup;
	struct launch launch;      /* of a process */
	char *title;               /* of an actor's setup: its type; of a worker: its pool */
	unsigned spares;           /* of a pool: processes that are ready to step in */
	Troupe__PoolSetup *pool;   /* workers of one pool share it; owned by the pool's node */
	Troupe__TopicSetup *topic;
	Troupe__FrontSetup *front;
	bool otp;                  /* of a supervisor: profile = otp */
	bool durable;              /* of a supervisor: children added at run time outlive the node */
	struct config_node *template_; /* of a dynamic supervisor: what its children are made from */
	char **links;              /* of a process: who dies with it, and it with whom */
	char **args;               /* of a child made from a template: its own */
	char *section;             /* of a child added at run time otherwise: its text */
	uint64_t seq;              /* of an added one */
	unsigned line;
	struct config_node *above, *first, *last, *next;
};

struct config {
	char *path;
	char *run_dir, *state_dir, *libexec_dir, *user;
	uid_t uid;                 /* of user; (uid_t)-1: stay who we are */
	gid_t gid;
	bool has_links;            /* some child has */
	bool has_users;            /* some child or pool has a user of its own */
	char *log_format, *log_level;
	uint64_t stop_timeout_ms, turn_timeout_ms, disk_timeout_ms;
	Troupe__Limits limits;
	Troupe__CoordinatorSetup coordinator;
	Troupe__RoleRule **roles;
	size_t n_roles;
	struct config_node *root;
	/* What -T prints: key = value, and where from. */
	struct config_source { char *key, *value, *from; } *sources;
	size_t n_sources;
};

char **strings_copy(char *const *list);  /* ended by NULL; NULL for NULL, or without memory */
void strings_free(char **list);          /* NULL accepted */

/* Reads path. 0 with a configuration that config_free takes; or ERROR_CONFIG after each problem was written to errors as
 *     file:line: message [id]
 *       cure
 * or ERROR_NOT_FOUND, ERROR_NOT_ALLOWED for a file that cannot be read. */
int config_load(const char *path, FILE *errors, struct config **ret);
/* The same from memory; name stands for the file in messages. */
int config_parse(const char *text, const char *name, FILE *errors, struct config **ret);
struct config *config_free(struct config *c);    /* NULL accepted */
/* What is right, and yet not as it should be, to errors. */
void config_warn(const struct config *c, FILE *errors);
void config_dump(const struct config *c, FILE *out);

/* Where the file is looked for without -c. */
void config_default_path(char *out, size_t size);

/* The supervisor or child of that name, templates aside; NULL: none. */
struct config_node *config_find(const struct config *c, const char *name);
/* Adds a child to a dynamic supervisor of c: its template with args (n words, copied) appended to the command. 0; ERROR_BAD_REQUEST with a text; -ENOMEM. c owns it. */
int config_add_instance(struct config_node *above, const char *name, char *const *args, size_t n, struct config_node **ret, struct error *e);
/* Adds the child or actor that one section of text describes to a supervisor of c that is not dynamic. 0; ERROR_CONFIG with the first complaint as e's text; -ENOMEM. */
int config_add_section(struct config *c, struct config_node *above, const char *section, struct config_node **ret, struct error *e);
/* Of an added child that will never be started again: all words of its command but the program. */
void config_forget_arguments(struct config_node *n);
/* Takes an added child out again and frees it. No record may have it as its user. */
void config_remove(struct config_node *n);
/* What was added to was, in its order, into is, where its supervisor is still of the same kind; calls lost for each other one. Temporary children
 * stay where they are. */
void config_carry_over(const struct config *was, struct config *is, void (*lost)(const struct config_node *n, const struct error *e));

/* How long it can take, at the slowest, until each limit is exceeded by a child that never stops failing: a line a supervisor with a limit. Returns how many may never be,
 * because the level below is slower than their period. */
unsigned config_escalation(const struct config *c, FILE *out);

/* The tree of the configuration, not booted; users are the config_node of each record. 0, or ERROR_CONFIG, -ENOMEM. */
struct tree_config;
struct tree;
int config_tree(const struct config *c, const struct tree_config *how, FILE *errors, struct tree **ret);

/* Fills what a child is told: pointers into c and n. The caller adds incarnation, number, node, socket. */
void config_setup(const struct config *c, const struct config_node *n, Troupe__Setup *out);
