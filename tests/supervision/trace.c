/* What happened, in the words of a scenario. */
#include "tests/supervision/trace.h"

#include <inttypes.h>
#include <string.h>
#include "tests/supervision/need.h"

void trace_say(struct trace *s, const char *fmt, ...)
{
	if (s->len > 0 && s->len < TRACE_BYTES - 1)
		s->text[s->len++] = ' ';
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(s->text + s->len, TRACE_BYTES - s->len, fmt, ap);
	va_end(ap);
	NEED(n >= 0 && (size_t)n < TRACE_BYTES - s->len);
	s->len += (size_t)n;
}

void trace_clear(struct trace *s)
{
	s->len = 0;
	s->text[0] = 0;
}

static const char *reason_text(enum reason r)
{
	return r == REASON_EXIT || r == REASON_SIGNAL || r == REASON_CORE ? "x" : reason_name(r);
}

static void say_fact(struct trace *s, const struct action *a, const struct of *of)
{
	const char *name = of->name;
	const char *slash = s->facts ? "/" : "", *word = s->facts ? decision_name(a->decision) : "", *bang = s->facts && a->error ? "!" : "";
	switch (a->fact) {
	case FACT_UP:
		if (!of->is_sup)
			trace_say(s, a->detail && *a->detail ? "+%s(%s)" : "+%s", name, a->detail);
		else if (s->facts)
			trace_say(s, "+%s", name);
		return;
	case FACT_DOWN:
		trace_say(s, "-%s(%s)%s%s%s", name, reason_text(a->reason), slash, word, bang);
		return;
	case FACT_START_FAILED:
		trace_say(s, s->facts ? "~%s(%s)%s%s" : "~%s", name, reason_text(a->reason), slash, word);
		return;
	case FACT_ENDED:
		trace_say(s, "%s=%s", name, reason_text(a->reason));
		return;
	case FACT_IGNORED:
		trace_say(s, "i:%s", name);
		return;
	case FACT_BACKOFF:
		if (s->facts)
			trace_say(s, "backoff:%s(%" PRIu64 ")", name, a->delay_ms);
		return;
	case FACT_LIMIT:
		if (s->facts)
			trace_say(s, "limit:%s(%u in %" PRIu64 " by %s)", name, a->count, a->window_ms, of->above);
		return;
	case FACT_BACKOFF_ALARM:
	case FACT_FAILED:
	case FACT_GAVE_UP:
	case FACT_AUTO_SHUTDOWN:
	case FACT_PENDING:
	case FACT_PROVEN:
	case FACT_STUCK:
	case FACT_OVERDUE:
	case FACT_RECOVERED:
		if (s->facts)
			trace_say(s, "%s:%s", fact_name(a->fact), name);
		return;
	}
}

static void say_answer(struct trace *s, const struct action *a)
{
	if (a->order == ORDER_COUNT && strcmp(a->text, "ok") == 0)
		trace_say(s, "[%u,%u,%u,%u]", a->counts.specs, a->counts.active, a->counts.supervisors, a->counts.workers);
	else
		trace_say(s, a->detail && *a->detail ? "=%s(%s)" : "=%s", a->text, a->detail);
}

void trace_action(struct trace *s, const struct action *a, const struct of *of)
{
	switch (a->kind) {
	case ACTION_STOP:
		if (s->wires)
			trace_say(s, a->within_ms == SHUTDOWN_INFINITY ? "STOP:%s" : "STOP:%s(%" PRIu64 ")", of->name, a->within_ms);
		return;
	case ACTION_TERM:
		if (s->wires)
			trace_say(s, "TERM:%s", of->name);
		return;
	case ACTION_ABORT:
		if (s->wires)
			trace_say(s, "ABORT:%s", of->name);
		return;
	case ACTION_KILL:
		if (s->wires)
			trace_say(s, "KILL:%s(%s)", of->name, reason_name(a->reason));
		return;
	case ACTION_ANSWER:
		say_answer(s, a);
		return;
	case ACTION_UP:
		if (s->facts)
			trace_say(s, "UP");
		return;
	case ACTION_EXIT:
		trace_say(s, "EXIT(%d)", a->code);
		return;
	case ACTION_FACT:
		say_fact(s, a, of);
		return;
	case ACTION_CHANGE:
		trace_say(s, "%s:%s", change_name(a->change), of->name);
		return;
	case ACTION_SPAWN:
	case ACTION_FREE:
		return;
	}
}

void trace_listed(struct trace *s, const char *name, enum child_state state, bool due_later)
{
	static const char *const words[CHILD_STATE_N] = { [CHILD_STOPPED] = "none", [CHILD_STARTING] = "starting", [CHILD_UP] = "up", [CHILD_STOPPING] = "stopping",
		[CHILD_DYING] = "stopping", [CHILD_DONE] = "none", [CHILD_FAILED] = "failed" };
	trace_say(s, "%s:%s", name, state == CHILD_WAITING ? due_later ? "waiting" : "restarting" : words[state]);
}
