#pragma once
/* The free space of the disk: submits are refused before it is used up, so that what was accepted can still end. */
#include <stddef.h>
#include <stdint.h>
#include "common/base/error.h"

struct coordinator;
struct turn;

void disk_look(struct coordinator *c, uint64_t now_ms);
void disk_take(struct coordinator *c, size_t bytes);
int disk_check(struct turn *t, struct coordinator *c, struct error *e); /* 0, or ERROR_DISK_LOW with e filled */
