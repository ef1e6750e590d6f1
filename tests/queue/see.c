/* What is seen of a commit: the transitions in the log, and what left behind it. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/parse.h"
#include "common/wire/codec.h"
#include "tests/queue/play.h"

/* --- the trace --- */

static const char **room_for(struct play *p, const char **all, size_t *room, size_t n)
{
	if (n <= *room)
		return all;
	size_t more = *room ? 2 * *room : 64;
	const char **out = arena_alloc(p->arena, more * sizeof *out);
	MUST(out);
	if (*room)
		memcpy(out, all, *room * sizeof *out);
	*room = more;
	return out;
}

void item(struct play *p, const char *fmt, ...)
{
	char text[4096];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	p->items = room_for(p, p->items, &p->room_items, p->n_items + 1);
	MUST((p->items[p->n_items++] = arena_string(p->arena, text)));
}

static struct seen *seen_add(struct play *p)
{
	if (p->n_seen == p->room_seen) {
		struct seen *more = arena_alloc(p->arena, (2 * p->room_seen + 64) * sizeof *more);
		MUST(more);
		if (p->n_seen)
			memcpy(more, p->seen, p->n_seen * sizeof *more);
		p->seen = more;
		p->room_seen = 2 * p->room_seen + 64;
	}
	p->seen[p->n_seen] = (struct seen){ 0 };
	return &p->seen[p->n_seen++];
}

static void say(struct play *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct play *p, const char *fmt, ...)
{
	char text[4096];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (p->questioning)
		wrong("something was left to do, and a question brought it about: %s", text);
	MUST((seen_add(p)->text = arena_string(p->arena, text)));
}

const char *quoted(struct play *p, const void *data, size_t len)
{
	const uint8_t *from = data;
	if (len > 300)
		return arena_printf(p->arena, "%zu bytes", len);
	char *out = arena_alloc(p->arena, 2 * len + 3), *at = out;
	MUST(out);
	*at++ = '"';
	for (size_t i = 0; i < len; i++) {
		if (from[i] == '"' || from[i] == '\\' || from[i] == '\n')
			*at++ = '\\';
		*at++ = from[i] == '\n' ? 'n' : from[i] < ' ' || from[i] > '~' ? '?' : (char)from[i];
	}
	*at++ = '"';
	*at = 0;
	return out;
}

const char *quoted_text(struct play *p, const char *s)
{
	s = shortened(p, s);
	return quoted(p, s, strlen(s));
}

/* --- names --- */

static const char *lower(const ProtobufCEnumDescriptor *d, int value, const char *prefix)
{
	static char names[4][32];
	static unsigned at;
	const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(d, value);
	char *out = names[at++ % 4];
	if (!v)
		return "unknown";
	const char *from = strncmp(v->name, prefix, strlen(prefix)) == 0 ? v->name + strlen(prefix) : v->name;
	snprintf(out, sizeof names[0], "%s", from);
	for (char *c = out; *c; c++)
		*c = *c == '_' ? ' ' : *c >= 'A' && *c <= 'Z' ? (char)(*c + 'a' - 'A') : *c;
	return out;
}

const char *state_name(Troupe__TaskState s) { return lower(&troupe__task_state__descriptor, (int)s, ""); }
const char *cause_name(Troupe__Cause c) { return lower(&troupe__cause__descriptor, (int)c, ""); }
const char *class_name(Troupe__ExitClass c) { return lower(&troupe__exit_class__descriptor, (int)c, "EXIT_"); }

static const char *with_class(struct play *p, const char *name, const char *what, Troupe__ExitClass class, Troupe__ExitClass usual)
{
	return class == usual ? arena_printf(p->arena, "%s %s", name, what) : arena_printf(p->arena, "%s %s %s", name, what, class_name(class));
}

const char *transition_text(struct play *p, Troupe__TransitionKind kind, struct named *t, uint32_t attempt, Troupe__ExitClass exit_class, Troupe__Cause cause)
{
	const char *why = cause ? arena_printf(p->arena, " %s", cause_name(cause)) : "";
	switch (kind) {
	case TROUPE__TRANSITION_KIND__T_ACCEPTED:
		return arena_printf(p->arena, "+%s", t->name);
	case TROUPE__TRANSITION_KIND__T_GIVEN:
		return arena_printf(p->arena, "%s given#%u", t->name, attempt);
	case TROUPE__TRANSITION_KIND__T_FAILED:
		return with_class(p, t->name, "failed", exit_class, TROUPE__EXIT_CLASS__EXIT_FAILED);
	case TROUPE__TRANSITION_KIND__T_LOST:
		return with_class(p, t->name, "lost", exit_class, TROUPE__EXIT_CLASS__EXIT_LOST);
	case TROUPE__TRANSITION_KIND__T_DEAD:
	case TROUPE__TRANSITION_KIND__T_CANCELLED:
	case TROUPE__TRANSITION_KIND__T_READY:
	case TROUPE__TRANSITION_KIND__T_DONE:
	case TROUPE__TRANSITION_KIND__T_SCHEDULED:
	case TROUPE__TRANSITION_KIND__T_CANCEL_ASKED:
	case TROUPE__TRANSITION_KIND__T_RETRIED:
	case TROUPE__TRANSITION_KIND__T_RETURNED:
	case TROUPE__TRANSITION_KIND__T_PURGED:
	case TROUPE__TRANSITION_KIND__T_EXPIRED:
	case TROUPE__TRANSITION_KIND__T_DROPPED:
	case TROUPE__TRANSITION_KIND__T_CHANGED:
	case TROUPE__TRANSITION_KIND__T_NONE:
	case _TROUPE__TRANSITION_KIND_IS_INT_SIZE:
		break;
	}
	return arena_printf(p->arena, "%s %s%s", t->name, lower(&troupe__transition_kind__descriptor, (int)kind, "T_"), why);
}

/* --- what left --- */

static bool among(const struct named *t, const uint64_t *tokens, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < t->n_given; k++)
			if (t->given[k].token == tokens[i])
				return true;
	return false;
}

/* Whose tokens they are, in the order in which their names came up: a message has no other. */
static const char *tokens_text(struct play *p, const uint64_t *tokens, size_t n)
{
	const char *out = "";
	for (const struct named *t = p->tasks; t; t = t->next)
		if (among(t, tokens, n))
			MUST((out = arena_printf(p->arena, "%s %s", out, t->name)));
	return *out ? out : " nothing";
}

/* What it was told of these tokens it need not hold any longer. */
static void acknowledged(struct life *l, const uint64_t *tokens, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct held *h = held_find(l, tokens[i]);
		if (h && h->outcome)
			held_drop(l, h);
	}
}

static void see_run(struct play *p, struct life *l, const Troupe__Run *run, bool mute)
{
	for (size_t i = 0; i < run->n_tasks; i++) {
		const Troupe__Assignment *x = run->tasks[i];
		struct named *t = task_of_id(p, x->id);
		bool found = false;
		t->seq = x->seq;
		for (size_t k = 0; k < p->n_seen && !found; k++) {
			struct seen *s = &p->seen[k];
			found = s->is_entry && s->entry.kind == TROUPE__TRANSITION_KIND__T_GIVEN && s->task == t && s->entry.attempt == x->attempt && !s->text;
			if (found)
				MUST((s->text = arena_printf(p->arena, "%s<%s#%u%s", l->name, t->name, x->attempt, mute ? " unheard" : "")));
		}
		if (!found)
			say(p, "%s<%s#%u, which the log does not know", l->name, t->name, x->attempt);
		if (!mute)
			held_add(p, l, t, x->token);
	}
}

static void see_abort(struct play *p, struct life *l, const Troupe__Abort *m)
{
	bool news = !p->unasked || !l->was_attached;
	for (size_t i = 0; i < m->n_tokens; i++) {
		struct held *h = held_find(l, m->tokens[i]);
		news |= !h || !h->aborted;
		if (h)
			h->aborted = true;
	}
	if (news)
		say(p, "%s: abort%s%s%s", l->name, tokens_text(p, m->tokens, m->n_tokens), *m->why ? " " : "", *m->why ? quoted_text(p, m->why) : "");
}

static void see_worker(struct play *p, struct life *l, const Troupe__Envelope *env)
{
	if (env->body_case == TROUPE__ENVELOPE__BODY_ATTACHED) {
		acknowledged(l, env->attached->committed, env->attached->n_committed);
		for (size_t i = 0; i < env->attached->n_abort; i++) {
			struct held *h = held_find(l, env->attached->abort[i]);
			if (h)
				h->killed = true;
		}
		if (env->attached->n_abort)
			say(p, "%s: kill%s", l->name, tokens_text(p, env->attached->abort, env->attached->n_abort));
	} else if (env->body_case == TROUPE__ENVELOPE__BODY_OUTCOMES_ACK) {
		const Troupe__OutcomesAck *m = env->outcomes_ack;
		acknowledged(l, m->tokens, m->n_tokens);
		acknowledged(l, m->stale, m->n_stale);
		if (m->n_stale)
			say(p, "%s: stale%s", l->name, tokens_text(p, m->stale, m->n_stale));
	} else if (env->body_case == TROUPE__ENVELOPE__BODY_ABORT) {
		see_abort(p, l, env->abort);
	} else if (env->body_case == TROUPE__ENVELOPE__BODY_REVOKE) {
		say(p, "%s: revoke%s", l->name, tokens_text(p, env->revoke->tokens, env->revoke->n_tokens));
	} else if (env->body_case == TROUPE__ENVELOPE__BODY_DRAIN) {
		say(p, "%s: drain", l->name);
	} else {
		say(p, "%s: message %d", l->name, (int)env->body_case);
	}
}

static void see_receipts(struct play *p, const Troupe__Submitted *m)
{
	if (strcmp(m->durability, "fsync") != 0)
		say(p, "durability %s", m->durability);
	for (size_t i = 0; i < m->n_receipts; i++) {
		struct named *t = task_of_id(p, m->receipts[i]->id);
		t->seq = m->receipts[i]->seq;
		if (m->receipts[i]->existing)
			say(p, "existing %s", t->name);
	}
}

static void see_finished(struct play *p, const struct client *c, const Troupe__Finished *m)
{
	for (size_t i = 0; i < m->n_tasks; i++) {
		const Troupe__Task *x = m->tasks[i];
		const Troupe__Outcome *o = x->outcome;
		const char *result = o && o->output.len ? arena_printf(p->arena, " %s", quoted(p, o->output.data, o->output.len)) : "";
		say(p, "%s<%s %s%s%s%s", c->name, task_of_id(p, x->spec->id)->name, state_name(x->state), x->cause ? " " : "", x->cause ? cause_name(x->cause) : "", result);
	}
	if (m->waiting)
		say(p, "%s<%u wait", c->name, m->waiting);
}

static void see_changed(struct play *p, const Troupe__Changed *m, const struct act *x)
{
	uint64_t named = 0;
	const Troupe__Envelope *env = x ? x->env : NULL;
	for (size_t i = 0; i < m->n_refused; i++) {
		const Troupe__Refusal *f = m->refused[i];
		const char *name = f->task && f->task->id.len ? task_of_id(p, f->task->id)->name : "it";
		say(p, "not %s: %s %s", name, error_name((int)f->code), quoted_text(p, f->text));
	}
	if (env && env->body_case == TROUPE__ENVELOPE__BODY_CANCEL && !env->cancel->dry_run)
		named = env->cancel->n_tasks;
	else if (env && env->body_case == TROUPE__ENVELOPE__BODY_RETRY && !env->retry->dry_run)
		named = env->retry->n_tasks;
	else if (env && env->body_case == TROUPE__ENVELOPE__BODY_PURGE && !env->purge->dry_run)
		named = env->purge->n_tasks;
	else if (env && env->body_case == TROUPE__ENVELOPE__BODY_ALTER && !env->alter->dry_run)
		named = env->alter->n_tasks;
	if (named != m->count + m->n_refused || !named)
		say(p, "count %" PRIu64, m->count);
	if (m->next.len)
		say(p, "more");
}

static void see_log(struct play *p, const struct client *c, const Troupe__Log *m)
{
	for (size_t i = 0; i < m->n_rows; i++) {
		const Troupe__Transition *x = m->rows[i];
		say(p, "%s<%s", c->name, transition_text(p, x->kind, task_of_id(p, x->id), x->attempt, x->exit_class, x->cause));
	}
	if (!m->n_rows)
		say(p, "%s<nothing", c->name);
}

static void see_client(struct play *p, struct client *c, const Troupe__Envelope *env, struct acts *a)
{
	struct act *of = NULL;
	for (size_t i = 0; a && i < a->n; i++)
		if (env->reply_to.len == sizeof a->all[i].id && memcmp(env->reply_to.data, a->all[i].id, env->reply_to.len) == 0)
			(of = &a->all[i])->answered = true;
	for (struct pending *q = p->pending; q; q = q->next)
		if (env->reply_to.len == sizeof q->id && memcmp(env->reply_to.data, q->id, sizeof q->id) == 0)
			q->done = true;
	if (env->body_case == TROUPE__ENVELOPE__BODY_SUBMITTED)
		see_receipts(p, env->submitted);
	else if (env->body_case == TROUPE__ENVELOPE__BODY_FINISHED)
		see_finished(p, c, env->finished);
	else if (env->body_case == TROUPE__ENVELOPE__BODY_CHANGED)
		see_changed(p, env->changed, of);
	else if (env->body_case == TROUPE__ENVELOPE__BODY_LOG)
		see_log(p, c, env->log);
	else if (env->body_case == TROUPE__ENVELOPE__BODY_ERROR)
		say(p, "%s<%s %s", c->name, error_name((int)env->error->code), quoted_text(p, env->error->text));
	else if (env->body_case != TROUPE__ENVELOPE__BODY_OK && env->body_case != TROUPE__ENVELOPE__BODY_CRONS)
		say(p, "%s<message %d", c->name, (int)env->body_case);
}

/* --- a commit --- */

/* I2 and I5: nothing comes from nowhere, and what is final stays so. */
static void must_be_possible(struct play *p, struct named *t, Troupe__TransitionKind kind)
{
	bool retried = kind == TROUPE__TRANSITION_KIND__T_RETRIED, gone = kind == TROUPE__TRANSITION_KIND__T_PURGED, changed = kind == TROUPE__TRANSITION_KIND__T_CHANGED;
	if (kind == TROUPE__TRANSITION_KIND__T_ACCEPTED) {
		t->accepted = true;
		t->final = false;
		return;
	}
	if (!t->accepted)
		wrong("%s, and nobody submitted it", transition_text(p, kind, t, 0, 0, 0));
	if (t->final && !retried && !gone && !changed)
		wrong("%s, and it was final", transition_text(p, kind, t, 0, 0, 0));
	if (gone)
		t->accepted = false;
	t->final = (t->final && !retried) || kind == TROUPE__TRANSITION_KIND__T_DONE || kind == TROUPE__TRANSITION_KIND__T_DEAD || kind == TROUPE__TRANSITION_KIND__T_CANCELLED ||
	           kind == TROUPE__TRANSITION_KIND__T_EXPIRED || kind == TROUPE__TRANSITION_KIND__T_DROPPED;
}

static int read_row(void *ctx, struct slice key, struct slice value)
{
	struct play *p = ctx;
	p->commit = key_read_u64(key.data);
	for (size_t at = LOG_HEAD; at + LOG_ENTRY <= value.len; at += LOG_ENTRY) {
		struct log_entry e;
		log_entry_unpack((const uint8_t *)value.data + at, &e);
		struct seen *s = seen_add(p);
		s->is_entry = true;
		s->entry = e;
		s->task = task_of_id(p, (ProtobufCBinaryData){ sizeof e.id.b, e.id.b });
		must_be_possible(p, s->task, (Troupe__TransitionKind)e.kind);
	}
	return 0;
}

static void see_log_rows(struct play *p)
{
	uint8_t from[8];
	struct store_txn *view;
	size_t n = p->n_seen;
	key_u64(from, p->commit + 1);
	MUST(store_read(p->s->store, &view) == 0);
	MUST(store_scan(view, T_LOG, SLICE(from, sizeof from), false, read_row, p) == 0);
	store_read_end(view);
	if (p->questioning && p->n_seen != n)
		wrong("something was left to do, and a question brought it about: %s",
		      transition_text(p, (Troupe__TransitionKind)p->seen[n].entry.kind, p->seen[n].task, p->seen[n].entry.attempt, 0, 0));
}

static void see_refusals(struct play *p, const struct acts *a)
{
	for (size_t i = 0; i < a->n; i++) {
		const struct act *x = &a->all[i];
		char again[32];
		if (!x->refused)
			continue;
		for (struct pending *q = p->pending; q; q = q->next)
			q->done |= memcmp(q->id, x->id, sizeof q->id) == 0;
		say(p, "refused %s %s", error_name(x->refusal.code), quoted_text(p, x->refusal.text));
		if (*x->refusal.cure)
			say(p, "cure %s", quoted_text(p, x->refusal.cure));
		if (x->refusal.retryable)
			say(p, "again in %s", format_duration(x->refusal.retry_after_ms, again, sizeof again));
	}
}

static void see_unanswered(struct play *p, const struct acts *a)
{
	for (size_t i = 0; i < a->n; i++) {
		const struct act *x = &a->all[i];
		if (x->client && x->kind == ACT_MESSAGE && !x->answered && !x->refused && !x->pending)
			say(p, "%s is not answered", x->client->name);
	}
}

void see_commit(struct play *p, struct acts *a, bool mute)
{
	for (size_t i = 0; i < p->s->n_monitored; i++)
		for (struct life *l = p->lives; l; l = l->next)
			if (l->incarnation == p->s->monitored[i].incarnation && strcmp(l->address, p->s->monitored[i].address) == 0)
				l->monitored = true;
	see_log_rows(p);
	if (p->questioning)
		return;
	for (size_t i = 0; i < p->s->n_sent; i++) {
		ProtobufCMessage *m;
		struct life *l = life_of_peer(p, p->s->sent[i].peer);
		struct client *c = client_of_peer(p, p->s->sent[i].peer);
		MUST(message_decode(&troupe__envelope__descriptor, p->s->sent[i].data, p->s->sent[i].len, p->arena, &m, NULL) == 0);
		const Troupe__Envelope *env = (const Troupe__Envelope *)m;
		if (!l && !c)
			say(p, "message %d to nobody", (int)env->body_case);
		else if (l && env->body_case == TROUPE__ENVELOPE__BODY_RUN)
			see_run(p, l, env->run, mute);
		else if (l && !mute)
			see_worker(p, l, env);
		else if (c && !mute)
			see_client(p, c, env, a);
	}
	p->last_token = p->next_token;
	if (a)
		see_refusals(p, a);
	if (a && !mute)
		see_unanswered(p, a);
}

/* --- a moment --- */

/* A transition whose text needs what the task has become. */
static const char *entry_text(struct play *p, struct seen *s)
{
	Troupe__TransitionKind kind = (Troupe__TransitionKind)s->entry.kind;
	Troupe__Get get = TROUPE__GET__INIT;
	Troupe__TaskRef ref = TROUPE__TASK_REF__INIT;
	Troupe__Cause cause = TROUPE__CAUSE__CAUSE_NONE;
	char due[32] = "";
	bool scheduled = kind == TROUPE__TRANSITION_KIND__T_SCHEDULED;
	if (scheduled || kind == TROUPE__TRANSITION_KIND__T_DEAD || kind == TROUPE__TRANSITION_KIND__T_CANCELLED) {
		ENVELOPE(env, get, GET, &get);
		ref.id = (ProtobufCBinaryData){ sizeof s->task->id.b, s->task->id.b };
		get.task = &ref;
		const Troupe__Envelope *answer = question(p, NULL, &env);
		const Troupe__Task *t = answer ? answer->tasks->tasks[0] : NULL;
		if (t && scheduled && t->blocked)
			return arena_printf(p->arena, "%s blocked", s->task->name);
		if (t && scheduled && t->state == TROUPE__TASK_STATE__SCHEDULED)
			format_duration(t->due_at_ms > p->s->wall_ms ? t->due_at_ms - p->s->wall_ms : 0, due, sizeof due);
		if (t && t->seq)
			s->task->seq = t->seq;
		if (t && !scheduled)
			cause = t->cause;
	}
	const char *text = transition_text(p, kind, s->task, s->entry.attempt, (Troupe__ExitClass)s->entry.exit_class, cause);
	return *due ? arena_printf(p->arena, "%s %s", text, due) : text;
}

void see_moment(struct play *p, uint64_t after_ms)
{
	char at[40] = "", age[32];
	if (after_ms)
		snprintf(at, sizeof at, "@%s ", format_duration(after_ms, age, sizeof age));
	for (size_t i = 0; i < p->n_seen; i++) {
		const char *text = p->seen[i].text ? p->seen[i].text : entry_text(p, &p->seen[i]);
		item(p, "%s%s", at, text);
		*at = 0;
	}
	p->n_seen = 0;
}
