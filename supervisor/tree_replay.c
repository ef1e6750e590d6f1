/* Reading what tree_text.c has written: a tree is put together from its snapshot, lives through the events again, and its decisions are compared. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "supervisor/tree_fields.h"
#include "supervisor/tree_state.h"
#include "supervisor/tree_text.h"

struct replay {
	struct tree *tree, *wanted;
	struct child *above[TREE_DEPTH_MAX + 1], *wanted_above[TREE_DEPTH_MAX + 1];
	uint64_t incarnation_next;    /* of the snapshot: adding records moves the tree's own */
	uint32_t number_next;
	bool loading;
	char *decided;                /* lines of the last event, each ended by 0 */
	size_t decided_len, at, n_left;
	const char *expected;
};

struct replay *replay_new(void)
{
	return calloc(1, sizeof(struct replay));
}

struct replay *replay_free(struct replay *r)
{
	if (!r)
		return NULL;
	tree_free(r->tree);
	tree_free(r->wanted);
	free(r->decided);
	free(r);
	return NULL;
}

const char *replay_expected(const struct replay *r)
{
	return r->expected;
}

size_t replay_missing(const struct replay *r)
{
	return r->n_left;
}

/* --- the snapshot --------------------------------------------------------------------------------------------------------------- */

static bool begin_tree(struct replay *r, char *words)
{
	tree_free(r->tree);
	r->n_left = 0;
	r->tree = tree_new(&(struct tree_config){ 0 });
	const struct fields_of sets[] = { { tree_field_sets[FIELDS_TREE], r->tree } };
	memset(r->above, 0, sizeof r->above);
	if (!r->tree || !fields_take(words, sets, ELEMENTS(sets)))
		return false;
	r->incarnation_next = r->tree->incarnation_next;
	r->number_next = r->tree->number_next;
	r->loading = true;
	return true;
}

static bool read_times(struct window *w, const char *text)
{
	for (char *end; text && *text; text = end + (*end == ',')) {
		window_add(w, strtoull(text, &end, 10));
		if (end == text)
			return false;
	}
	return true;
}

/* What adding has made of c stays where it is memory or a place; the rest is what was saved. */
static void state_assign(struct tree *t, struct child *c, const struct child *saved)
{
	struct child made = *c;
	*c = *saved;
	c->name = made.name;
	c->user = NULL;
	c->spec = made.spec;
	c->sup = made.sup;
	c->above = made.above;
	c->prev = made.prev;
	c->next = made.next;
	c->depth = made.depth;
	c->window = made.window;
	c->delay.ends = made.delay.ends;
	c->core.bucket = made.core.bucket;
	c->core.timer_index = made.core.timer_index;
	if (c->core.dormant) {
		tree_index_remove(t, c);
		c->above->sup->n_children--;
	}
	heap_fix(&t->timers, c->core.timer_index);
}

static bool spec_is_sane(const struct child_spec *s, const struct supervisor_spec *sup)
{
	const struct give_up_spec *limits[] = { &s->give_up, sup ? &sup->give_up : NULL };
	for (size_t i = 0; i < ELEMENTS(limits); i++)
		if (limits[i] && limits[i]->intensity != INTENSITY_UNLIMITED && limits[i]->intensity >= WINDOW_ROOM_MAX)
			return false;
	return s->delay.immediate < WINDOW_ROOM_MAX;
}

static bool add_record(struct tree *t, struct child **above, char *words, bool with_state)
{
	struct child saved = { 0 };
	struct supervisor_spec sup = { 0 };
	struct record_line line = { 0 };
	struct child *c;
	const struct fields_of sets[] = { { tree_field_sets[FIELDS_RECORD], &line }, { tree_field_sets[FIELDS_SPEC], &saved.spec }, { tree_field_sets[FIELDS_SUP], &sup },
		{ tree_field_sets[FIELDS_STATE], &saved } };
	if (!t || !fields_take(words, sets, ELEMENTS(sets)) || !line.name || line.depth > TREE_DEPTH_MAX || t->n >= TREE_CHILDREN_MAX ||
	    !spec_is_sane(&saved.spec, line.is_sup ? &sup : NULL))
		return false;
	struct child *over = line.depth ? above[line.depth - 1] : NULL;
	if ((line.depth != 0) != (over != NULL) || (!over && (t->root || !line.is_sup)))
		return false;
	if (tree_record_add(t, over, line.name, &saved.spec, line.is_sup ? &sup : NULL, NULL, &c) < 0)
		return false;
	above[line.depth] = line.is_sup ? c : NULL;
	if (!with_state)
		return true;
	if (saved.core.dormant && !over)
		return false;
	state_assign(t, c, &saved);
	return read_times(&c->window, line.windows[0]) && read_times(&c->delay.ends, line.windows[1]) && (!c->sup || read_times(&c->sup->window, line.windows[2]));
}

static bool add_waiting(struct replay *r, char *words)
{
	struct tree_order o = { 0 };
	struct record_line line = { 0 };
	const struct fields_of sets[] = { { tree_field_sets[FIELDS_RECORD], &line }, { tree_field_sets[FIELDS_ORDER], &o } };
	if (!r->tree || !fields_take(words, sets, ELEMENTS(sets)) || !line.name || r->tree->n_orders == TREE_ORDERS_MAX || !(o.child = tree_find(r->tree, line.name)))
		return false;
	r->tree->orders[r->tree->n_orders++] = o;
	return true;
}

/* --- events ------------------------------------------------------------------------------------------------------------------------- */

struct event_line { const char *child; bool has_sup; };
#define OF(member) offsetof(struct event_line, member)
static const struct field event_line_fields[] = { { "child", FIELD_TEXT, OF(child) }, { "s", FIELD_BOOL, OF(has_sup) }, { NULL, FIELD_BOOL, 0 } };
#undef OF

static bool decide(struct replay *r, const struct event *e)
{
	struct actions actions;
	free(r->decided);
	r->decided = NULL;
	r->at = r->n_left = 0;
	FILE *f = open_memstream(&r->decided, &r->decided_len);
	if (!f)
		return false;
	tree_step(r->tree, e, &actions);
	for (size_t i = 0; i < actions.n; i++, r->n_left++) {
		tree_text_action(f, &actions.items[i]);
		fputc(0, f);
	}
	return fclose(f) == 0;
}

static bool play_event(struct replay *r, char *words)
{
	struct event e = { 0 };
	struct child_spec spec = { 0 };
	struct supervisor_spec sup = { 0 };
	struct event_line line = { 0 };
	char *kind = strsep(&words, " ");
	unsigned k = 0;
	while (k < EVENT_N && strcmp(kind, event_names[k]) != 0)
		k++;
	const struct fields_of sets[] = { { tree_field_sets[FIELDS_EVENT], &e }, { event_line_fields, &line }, { tree_field_sets[FIELDS_SPEC], &spec }, { tree_field_sets[FIELDS_SUP], &sup } };
	if (k == EVENT_N || !fields_take(words, sets, ELEMENTS(sets)))
		return false;
	e.kind = (enum event_kind)k;
	e.child = line.child ? tree_find(r->tree, line.child) : NULL;
	if (e.kind == EVENT_ADD) {
		e.spec = &spec;
		e.sup = line.has_sup ? &sup : NULL;
		if (!spec_is_sane(&spec, e.sup))
			return false;
	}
	if (e.kind == EVENT_RELOAD) {
		if (!r->wanted)
			r->wanted = tree_new(&(struct tree_config){ 0 });
		e.wanted = r->wanted;
		if (!e.wanted)
			return false;
	}
	if (r->loading) {
		r->tree->incarnation_next = r->incarnation_next;
		r->tree->number_next = r->number_next;
		r->loading = false;
	}
	bool done = decide(r, &e);
	tree_free(r->wanted);
	r->wanted = NULL;
	return done;
}

static enum replay_found compare(struct replay *r, const char *line)
{
	r->expected = NULL;
	if (r->n_left == 0)
		return REPLAY_DIFFERENT;
	r->expected = r->decided + r->at;
	r->at += strlen(r->expected) + 1;
	r->n_left--;
	return strcmp(r->expected, line) == 0 ? REPLAY_SAME : REPLAY_DIFFERENT;
}

enum replay_found replay_line(struct replay *r, const char *line)
{
	static const char *const words[] = { "tree ", "record ", "waiting ", "wanted ", "event " };
	if (strncmp(line, "does ", 5) == 0)
		return r->tree ? compare(r, line) : REPLAY_PASSED;
	unsigned w = 0;
	while (w < ELEMENTS(words) && strncmp(line, words[w], strlen(words[w])) != 0)
		w++;
	if (w == ELEMENTS(words) || (!r->tree && w > 0))
		return REPLAY_PASSED;
	_cleanup_(freep) char *copy = strdup(line + strlen(words[w]));
	if (!copy)
		return REPLAY_DAMAGED;
	bool good = true;
	switch (w) {
	case 0:
		good = begin_tree(r, copy);
		break;
	case 1:
		good = add_record(r->tree, r->above, copy, true);
		break;
	case 2:
		good = add_waiting(r, copy);
		break;
	case 3:
		if (!r->wanted) {
			memset(r->wanted_above, 0, sizeof r->wanted_above);
			r->wanted = tree_new(&(struct tree_config){ 0 });
		}
		good = add_record(r->wanted, r->wanted_above, copy, false);
		break;
	default:
		good = play_event(r, copy);
		return good ? REPLAY_EVENT : REPLAY_DAMAGED;
	}
	return good ? REPLAY_PASSED : REPLAY_DAMAGED;
}

/* --- one decision, for who looks on ----------------------------------------------------------------------------------------------------- */

struct action_words { const char *child, *above, *change, *reason, *decision; bool sup; };
#define OF(member) offsetof(struct action_words, member)
static const struct field action_word_fields[] = { { "child", FIELD_TEXT, OF(child) }, { "above", FIELD_TEXT, OF(above) }, { "change", FIELD_TEXT, OF(change) },
	{ "reason", FIELD_TEXT, OF(reason) }, { "decision", FIELD_TEXT, OF(decision) }, { "sup", FIELD_BOOL, OF(sup) }, { NULL, FIELD_BOOL, 0 } };
#undef OF

#define BY_NAME(to, type, count, name_of, word) \
	for (unsigned i = 0; (word) && i < (count); i++) \
		if (strcmp(name_of((type)i), (word)) == 0) \
			(to) = (type)i;

bool action_line_read(const char *line, char *buffer, struct action_line *ret)
{
	struct action_words w = { 0 };
	*ret = (struct action_line){ 0 };
	if (strncmp(line, "does ", 5) != 0)
		return false;
	strcpy(buffer, line + 5);
	char *words = buffer, *kind = strsep(&words, " ");
	const struct fields_of sets[] = { { tree_field_sets[FIELDS_ACTION], &ret->action }, { action_word_fields, &w } };
	if (!fields_take(words, sets, ELEMENTS(sets)))
		return false;
	ret->action.kind = ACTION_FACT;
	for (unsigned k = 0; k < ACTION_N; k++)
		if (k != ACTION_FACT && strcmp(kind, action_names[k]) == 0)
			ret->action.kind = (enum action_kind)k;
	BY_NAME(ret->action.fact, enum fact_kind, FACT_N, fact_name, kind)
	BY_NAME(ret->action.decision, enum decision, DECISION_N, decision_name, w.decision)
	BY_NAME(ret->action.change, enum change, CHANGE_N, change_name, w.change)
	if (w.reason)
		reason_parse(w.reason, &ret->action.reason);
	ret->name = w.child;
	ret->above = w.above;
	ret->is_sup = w.sup;
	return true;
}
