#pragma once
/* The other driver of scenarios: a real trouped, with stubs for children. What it does is read off its journal, in the words of trace.h; orders go in by its
 * control socket. Stimuli that only virtual time can give (several at once, a family that cannot be proven empty) are refused. */
#include <stdbool.h>

struct node_play;
struct node_play *node_play_new(const char *trouped, const char *stub, const char *mode, const char *tree);
/* Ends and removes what is left of it; false: something was, or a sanitizer complained. */
bool node_play_free(struct node_play *p);
/* Does one line of stimuli and waits until nothing is under way; where less than n_wanted words have come, a while longer. Valid until the next call. */
const char *node_play_do(struct node_play *p, const char *stimuli, unsigned n_wanted);
