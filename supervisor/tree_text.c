/* One table of fields for each struct drives writing and reading alike, so that neither can forget what the other knows. */
#include "supervisor/tree_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "supervisor/tree_fields.h"
#include "supervisor/tree_state.h"

#define DETAIL_MAX 160u

/* --- words ------------------------------------------------------------------------------------------------------------------ */

static void put_text(FILE *out, const char *key, const char *text, size_t most)
{
	fprintf(out, " %s=", key);
	for (size_t i = 0; i < most && text[i]; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c <= ' ' || c == '%' || c == 127)
			fprintf(out, "%%%02X", c);
		else
			fputc(c, out);
	}
}

static void put_number(FILE *out, const char *key, uint64_t v)
{
	if (v == UINT64_MAX)
		fprintf(out, " %s=never", key);
	else if (v)
		fprintf(out, " %s=%" PRIu64, key, v);
}

void fields_put(FILE *out, const void *base, const struct field *f)
{
	for (; f->key; f++) {
		const void *at = (const char *)base + f->at;
		switch (f->type) {
		case FIELD_BOOL: put_number(out, f->key, *(const bool *)at); break;
		case FIELD_U8: put_number(out, f->key, *(const uint8_t *)at); break;
		case FIELD_U32: put_number(out, f->key, *(const uint32_t *)at); break;
		case FIELD_U64: put_number(out, f->key, *(const uint64_t *)at); break;
		case FIELD_I32:
			if (*(const int32_t *)at)
				fprintf(out, " %s=%" PRId32, f->key, *(const int32_t *)at);
			break;
		case FIELD_TEXT:
			if (*(const char *const *)at)
				put_text(out, f->key, *(const char *const *)at, DETAIL_MAX);
			break;
		}
	}
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* In place; false where a % is not followed by two digits. */
static bool unescape(char *s)
{
	char *to = s;
	for (; *s; s++) {
		if (*s != '%') {
			*to++ = *s;
			continue;
		}
		int high = hex(s[1]), low = high < 0 ? -1 : hex(s[2]);
		if (low < 0 || (high == 0 && low == 0))
			return false;
		*to++ = (char)(high << 4 | low);
		s += 2;
	}
	*to = 0;
	return true;
}

static bool read_number(const char *text, uint64_t *ret)
{
	char *end;
	errno = 0;
	*ret = strcmp(text, "never") == 0 ? UINT64_MAX : strtoull(text, &end, 10);
	return errno == 0 && (*ret == UINT64_MAX || (*end == 0 && end != text));
}

static bool field_set(void *base, const struct field *f, char *value)
{
	void *at = (char *)base + f->at;
	uint64_t v = 0;
	if (f->type == FIELD_TEXT) {
		*(const char **)at = value;
		return unescape(value);
	}
	if (f->type == FIELD_I32) {
		*(int32_t *)at = (int32_t)strtol(value, NULL, 10);
		return true;
	}
	if (!read_number(value, &v))
		return false;
	switch (f->type) {
	case FIELD_BOOL: *(bool *)at = v != 0; return v <= 1;
	case FIELD_U8: *(uint8_t *)at = (uint8_t)v; return v <= UINT8_MAX;
	case FIELD_U32: *(uint32_t *)at = (uint32_t)v; return v <= UINT32_MAX;
	case FIELD_U64: *(uint64_t *)at = v; return true;
	case FIELD_I32:
	case FIELD_TEXT: break;
	}
	return false;
}

bool fields_take(char *words, const struct fields_of *sets, size_t n_sets)
{
	for (char *word; (word = strsep(&words, " "));) {
		char *value = strchr(word, '=');
		bool found = false;
		if (!*word)
			continue;
		if (!value)
			return false;
		*value++ = 0;
		for (size_t i = 0; i < n_sets && !found; i++)
			for (const struct field *f = sets[i].fields; f->key && !found; f++)
				if (strcmp(f->key, word) == 0) {
					found = true;
					if (!field_set(sets[i].base, f, value))
						return false;
				}
		if (!found)
			return false;
	}
	return true;
}

/* --- the tables --------------------------------------------------------------------------------------------------------------- */

#define F(type, key, member) { key, FIELD_##type, offsetof(OF, member) }
#define END { NULL, FIELD_BOOL, 0 }

#define OF struct child_spec
static const struct field spec_fields[] = { F(U32, "type", type), F(U32, "restart", restart), F(BOOL, "significant", significant), F(BOOL, "hold", hold), F(BOOL, "added", added),
	F(U64, "shutdown", shutdown_ms), F(BOOL, "shutdown_zero", shutdown_zero), F(U64, "term_after", term_after_ms), F(U64, "start_timeout", start_timeout_ms),
	F(U32, "immediate", delay.immediate), F(U64, "immediate_window", delay.immediate_window_ms), F(U64, "base", delay.base_ms), F(U32, "factor", delay.factor_pct),
	F(U64, "cap", delay.cap_ms), F(U32, "jitter", delay.jitter_pct), F(U64, "reset_after", delay.reset_after_ms), F(U32, "intensity", give_up.intensity),
	F(U64, "period", give_up.period_ms), F(U32, "on_give_up", give_up.on_give_up), F(U64, "fingerprint", fingerprint), END };
#undef OF
#define OF struct supervisor_spec
static const struct field sup_fields[] = { F(U32, "s.strategy", strategy), F(U32, "s.intensity", give_up.intensity), F(U64, "s.period", give_up.period_ms),
	F(U32, "s.on_give_up", give_up.on_give_up), F(U32, "s.auto_shutdown", auto_shutdown), F(BOOL, "s.side_by_side", side_by_side), F(BOOL, "s.dynamic", dynamic),
	F(BOOL, "s.pool", pool), F(U32, "s.max", children_max), F(BOOL, "s.revive_done", revive_done), F(BOOL, "s.revive_stopped", revive_stopped),
	F(BOOL, "s.start_once", start_once), F(BOOL, "s.gave_up_is_shutdown", gave_up_is_shutdown), F(BOOL, "s.forget_added", forget_added), END };
#undef OF
#define OF struct child
static const struct field state_fields[] = { F(U32, "number", number), F(U32, "state", state), F(U64, "incarnation", incarnation), F(U64, "due_at", due_at_ms), F(BOOL, "held", held),
	F(BOOL, "ready", ready), F(BOOL, "pending", pending), F(BOOL, "stuck", stuck), F(BOOL, "stale", stale), F(U64, "started_at", started_at_ms), F(U64, "up_at", up_at_ms),
	F(U64, "restarts", restarts), F(U32, "last_reason", last_reason), F(U64, "last_end_at", last_end_at_ms), F(U32, "step", delay.step), F(BOOL, "ordered", core.ordered),
	F(BOOL, "first", core.first), F(BOOL, "comeback", core.comeback), F(BOOL, "retry", core.retry), F(BOOL, "by_order", core.by_order), F(BOOL, "discard", core.discard),
	F(BOOL, "ignored", core.ignored), F(BOOL, "killed", core.killed), F(BOOL, "killing", core.killing), F(BOOL, "alarmed", core.alarmed), F(BOOL, "drop", core.drop),
	F(BOOL, "dormant", core.dormant), F(BOOL, "leaving", core.leaving), F(U8, "tries", core.tries), F(U32, "verdict", core.verdict), F(U64, "timeout_at", core.timeout_at_ms),
	F(U64, "term_at", core.term_at_ms), F(U64, "kill_at", core.kill_at_ms), F(U64, "stuck_at", core.stuck_at_ms), F(U64, "recovered_at", core.recovered_at_ms), F(U64, "timer_at", core.timer_at_ms), END };
#undef OF
#define OF struct record_line
static const struct field record_fields[] = { F(TEXT, "name", name), F(U32, "depth", depth), F(BOOL, "sup", is_sup), F(TEXT, "own", windows[0]), F(TEXT, "ends", windows[1]),
	F(TEXT, "group", windows[2]), END };
#undef OF
#define OF struct tree
static const struct field tree_fields[] = { F(U64, "now", now_ms), F(U64, "incarnation", incarnation_next), F(U32, "number", number_next), F(U64, "rng0", rng.s[0]),
	F(U64, "rng1", rng.s[1]), F(U64, "rng2", rng.s[2]), F(U64, "rng3", rng.s[3]), F(BOOL, "booted", booted), F(BOOL, "up", up), F(BOOL, "stopping", stopping),
	F(BOOL, "ended", ended), F(I32, "exit_code", exit_code), END };
#undef OF
#define OF struct tree_order
static const struct field order_fields[] = { F(U64, "ref", ref), F(U32, "order", order), F(BOOL, "add", add), END };
#undef OF
#define OF struct event
static const struct field event_fields[] = { F(U64, "at", now_ms), F(U64, "incarnation", incarnation), F(U32, "reason", reason), F(I32, "number", number), F(BOOL, "pending", pending),
	F(U8, "fatal_tries", fatal_tries), F(U64, "ref", ref), F(U32, "order", order), F(TEXT, "name", name), F(BOOL, "force", force), F(U64, "of", of_incarnation),
	F(TEXT, "above", above_name), F(BOOL, "dry", dry), F(BOOL, "restart_changed", restart_changed), F(BOOL, "as_otp", as_otp), F(U64, "within", within_ms), F(BOOL, "fast", fast),
	F(TEXT, "detail", detail), END };
#undef OF
#define OF struct action
static const struct field action_fields[] = { F(U64, "incarnation", incarnation), F(I32, "number", number), F(I32, "code", code), F(U32, "count", count), F(BOOL, "error", error),
	F(U64, "delay", delay_ms), F(U64, "within", within_ms), F(U64, "window", window_ms), F(U64, "after", after_ms), F(U64, "ref", ref), F(U32, "order", order), F(TEXT, "text", text),
	F(U32, "specs", counts.specs), F(U32, "active", counts.active), F(U32, "supervisors", counts.supervisors), F(U32, "workers", counts.workers), F(TEXT, "detail", detail), END };
#undef OF

const struct field *const tree_field_sets[FIELDS_N] = { spec_fields, sup_fields, state_fields, record_fields, tree_fields, order_fields, event_fields, action_fields };

const char *const event_names[EVENT_N] = { "boot", "ready", "ignored", "start_failed", "ended", "proven", "hung", "signalled", "extend", "time", "order", "add", "reload", "shutdown" };
const char *const action_names[ACTION_N] = { "spawn", "stop", "term", "abort", "kill", "answer", "complete", "exit", "fact", "change", "free" };

/* --- writing -------------------------------------------------------------------------------------------------------------------- */

void tree_text_event(FILE *out, const struct event *e)
{
	fprintf(out, "event %s", event_names[e->kind]);
	if (e->child)
		put_text(out, "child", e->child->name, SIZE_MAX);
	fields_put(out, e, event_fields);
	if (e->spec)
		fields_put(out, e->spec, spec_fields);
	if (e->sup) {
		fputs(" s=1", out);
		fields_put(out, e->sup, sup_fields);
	}
}

void tree_text_action(FILE *out, const struct action *a)
{
	fprintf(out, "does %s", a->kind == ACTION_FACT ? fact_name(a->fact) : action_names[a->kind]);
	if (a->child)
		put_text(out, "child", a->child->name, SIZE_MAX);
	if (a->child && a->child->sup)
		fputs(" sup=1", out);
	if (a->above)
		put_text(out, "above", a->above->name, SIZE_MAX);
	if (a->kind == ACTION_CHANGE)
		fprintf(out, " change=%s", change_name(a->change));
	if (a->reason != REASON_NONE)
		fprintf(out, " reason=%s", reason_name(a->reason));
	if (a->decision != DECISION_NONE)
		fprintf(out, " decision=%s", decision_name(a->decision));
	fields_put(out, a, action_fields);
}

static void put_times(FILE *out, const char *key, const struct window *w)
{
	if (w->n == 0)
		return;
	fprintf(out, " %s=", key);
	for (uint32_t i = 0; i < w->n; i++)
		fprintf(out, "%s%" PRIu64, i ? "," : "", window_at(w, i));
}

struct writer { FILE *f; char *text; size_t len; void (*line)(void *ctx, const char *text); void *ctx; };

static int writer_open(struct writer *w)
{
	w->f = open_memstream(&w->text, &w->len);
	return w->f ? 0 : -ENOMEM;
}

static void writer_line(struct writer *w)
{
	fputc(0, w->f);
	fflush(w->f);
	w->line(w->ctx, w->text);
	rewind(w->f);
}

static int writer_close(struct writer *w)
{
	int r = ferror(w->f) ? -ENOMEM : 0;
	if (fclose(w->f) != 0)
		r = -ENOMEM;
	free(w->text);
	return r;
}

static void put_record(FILE *out, const char *word, const struct child *c, bool with_state)
{
	fputs(word, out);
	put_text(out, "name", c->name, SIZE_MAX);
	put_number(out, "depth", c->depth);
	put_number(out, "sup", c->sup != NULL);
	fields_put(out, &c->spec, spec_fields);
	if (c->sup)
		fields_put(out, &c->sup->spec, sup_fields);
	if (!with_state)
		return;
	fields_put(out, c, state_fields);
	put_times(out, "own", &c->window);
	put_times(out, "ends", &c->delay.ends);
	if (c->sup)
		put_times(out, "group", &c->sup->window);
}

/* Sleeping records too, which tree_next passes over. */
static void save_under(struct writer *w, const char *word, const struct child *c, bool with_state)
{
	put_record(w->f, word, c, with_state);
	writer_line(w);
	for (const struct child *k = c->sup ? c->sup->first : NULL; k; k = k->next)
		save_under(w, word, k, with_state); /* at most TREE_DEPTH_MAX deep */
}

int tree_text_save(const struct tree *t, void (*line)(void *ctx, const char *text), void *ctx)
{
	struct writer w = { .line = line, .ctx = ctx };
	if (writer_open(&w) < 0)
		return -ENOMEM;
	fputs("tree", w.f);
	fields_put(w.f, t, tree_fields);
	writer_line(&w);
	if (t->root)
		save_under(&w, "record", t->root, true);
	for (size_t i = 0; i < t->n_orders; i++) {
		fputs("waiting", w.f);
		put_text(w.f, "name", t->orders[i].child->name, SIZE_MAX);
		fields_put(w.f, &t->orders[i], order_fields);
		writer_line(&w);
	}
	return writer_close(&w);
}

int tree_text_wanted(const struct event *e, void (*line)(void *ctx, const char *text), void *ctx)
{
	struct writer w = { .line = line, .ctx = ctx };
	if (!e->wanted || !e->wanted->root)
		return 0;
	if (writer_open(&w) < 0)
		return -ENOMEM;
	save_under(&w, "wanted", e->wanted->root, false);
	return writer_close(&w);
}
