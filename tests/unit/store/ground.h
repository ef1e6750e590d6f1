#pragma once
/* A private directory for a test of the store, files in it, and processes beside it. It lies where a sync costs nothing, if there is such a place: what is proved here is what
 * a killed process leaves behind, and that is in the kernel's memory. */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "common/store/store.h"

extern char ground[64]; /* the directory */
void ground_setup(void);
void ground_teardown(void);
/* A path in it, in one of four buffers that take turns. */
const char *ground_path(const char *name);

/* All of a file; the caller frees. */
uint8_t *ground_read(const char *name, size_t *ret_size);
void ground_write(const char *name, const void *data, size_t size); /* the file has this and nothing else */
void ground_copy(const char *from, const char *to);

/* Runs fn in a process of its own, which says things through its descriptor; *ret_said is where they are heard. It ends with what fn returns. */
pid_t ground_fork(int (*fn)(void *ctx, int say), void *ctx, int *ret_said);
/* Its wait status, after the end that it comes to by itself. */
int ground_wait(pid_t pid);
void ground_kill(pid_t pid);
char ground_hear(int said);              /* blocks; 0: it has ended */
void ground_say(int say, char c);

/* A store with these tables in dir; version 1, a map of 1 to 64 MiB. ground_open fails the test where that is not possible. */
int ground_try(const char *dir, const char *const *tables, size_t log, struct store **ret, struct error *e);
struct store *ground_open(const char *dir, const char *const *tables, size_t log);
struct store *ground_look(const char *dir, const char *const *tables); /* only to be read */
/* One commit of one row. 0 or what refused it; then it is taken back. */
int ground_put(struct store *s, unsigned table, uint32_t key, const void *value, size_t len);
/* How long the row's value is, as a view sees it; -1: there is none. */
long ground_get(struct store *s, unsigned table, uint32_t key);
