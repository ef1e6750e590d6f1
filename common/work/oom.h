#pragma once
/* Did the kernel's OOM killer strike in our cgroup? Only a hint: the counter does not say whom it killed. */
#include <stdbool.h>
#include <stdint.h>
struct oom_watch { int fd; uint64_t seen; }; /* fd -1: no memory controller here */
void oom_open(struct oom_watch *w);
void oom_close(struct oom_watch *w);
bool oom_struck(struct oom_watch *w); /* since the last call, or since oom_open */
/* The number behind "oom_kill " in the text of a memory.events file; 0 where there is none. */
uint64_t oom_parse(const char *text);
