#pragma once
/* A node small enough for a test of the client library: a front and one actor, echo:1, in processes of their own, and a parent that starts the actor again
 * whenever it dies, as a supervisor would. Must be started before the test touches nng.
 *
 * What the actor does follows from the data of a Ping, or the type of an application message:
 *   silent      no answer               busy        ERROR BUSY, retry after 20 ms      stopping    ERROR STOPPING the first three times, then an answer
 *   die-once    the actor dies without an answer; its successor answers                push        a push before the answer
 *   else        Pong with the same data, or a REPLY with the same payload */
#include <stddef.h>
#include <sys/types.h>

struct fake_node { char dir[64]; pid_t pid; };
void fake_node_start(struct fake_node *n);
void fake_node_stop(struct fake_node *n);
/* How many requests with that word the actors have seen in all, and with how many different message ids. */
void fake_node_seen(const struct fake_node *n, const char *word, size_t *ret_requests, size_t *ret_ids);
