#pragma once
/* A ledger that somebody left behind, looked at as the coordinator that opens it: in a child process, for who opens a damaged file may die of it. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/wire/id.h"

struct promise { struct id id; bool final; }; /* an acknowledged task; final: its end was told to somebody */
struct promises { const struct promise *all; size_t n; uint64_t token, wall_ms; bool trace; }; /* token: the highest that anybody was seen with */

enum ledger_verdict { LEDGER_WELL, LEDGER_REFUSED, LEDGER_BROKEN, LEDGER_CRASHED };
/* Opens the store in dir as a coordinator does, runs its first turn and its check, and looks for what was promised. text: what is wrong, or why it was refused. */
enum ledger_verdict ledger_look(const char *dir, const struct promises *p, char *text, size_t size);
