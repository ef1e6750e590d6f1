#pragma once
/* A text protocol on a stream socket, pipelined: what is to be sent and what has come stand in buffers, and neither side can block the other. */
#include <stdbool.h>
#include <stddef.h>
#include "tests/bench/peers/flow.h"
#include "tests/bench/peers/server.h"

struct wire {
	int fd;
	char *out, *in;
	size_t n_out, room_out, n_in, room_in;     /* in: what was not consumed */
};
void wire_open(struct wire *w, const struct server *s);
void wire_put(struct wire *w, const void *data, size_t len);
__attribute__((format(printf, 2, 3))) void wire_say(struct wire *w, const char *format, ...);
/* Sends and receives on all of them until something has come, or fd (-1: none) is readable. The end of a connection ends the benchmark. */
void wires_turn(struct wire *const *all, size_t n, int fd);
void wire_consume(struct wire *w, size_t len);
/* The length of the line at in + from with its \r\n; 0: not all of it is there. */
size_t wire_line(const struct wire *w, size_t from);
/* A producer's loop, on a connection of its own: submit says one task; accepted consumes what has come and returns how many tasks that acknowledges. Never returns. */
_Noreturn void wire_produce(const struct server *s, struct flow *f, unsigned index, void (*submit)(struct wire *w, const char *payload), size_t (*accepted)(struct wire *w));
