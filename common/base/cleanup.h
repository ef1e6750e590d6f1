#pragma once
/* Owning locals: `_cleanup_(closep) int fd = -1;`, and steal() to hand over. */
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#define _cleanup_(f) __attribute__((cleanup(f)))
#define steal(p) __extension__({ __typeof__(*(p)) *_p = (p); __typeof__(*(p)) _v = *_p; *_p = (__typeof__(*(p))){ 0 }; _v; })
static inline void freep(void *p) { free(*(void **)p); }
static inline void closep(int *fd) { if (*fd >= 0) close(*fd); }
static inline int steal_fd(int *fd) { int v = *fd; *fd = -1; return v; }
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#define ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))
