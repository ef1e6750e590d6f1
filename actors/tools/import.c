/* import: lines of an export become tasks under their own ids, so that doing it twice is doing it once.
 *
 * A submit takes a known id only from the same submitter with the very same task; of anything else it says conflict, and takes nothing of the chunk. Then each task of the chunk
 * is asked for: those that are there, and are what their lines say, whoever submitted them, are duplicates; those that are others are refused by their lines; the rest is sent again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/clock.h"
#include "actors/tools/bulk_parts.h"

#define SHOWN_MAX 20u            /* refused lines that are told one by one */
#define REFUSED_MAX 10000u       /* then it is the wrong file */
#define GET_MS 60000u
#define EDGE_PAUSE_MS 20u
#define COMPARE_ARENA (4u << 20)

enum verdict { VERDICT_ABSENT, VERDICT_THERE, VERDICT_OTHER };

struct one { struct chunk *chunk; size_t i; };
struct sorting {
	size_t next, outstanding;    /* of the chunk's tasks: the first that was not asked for; asked for and not answered */
	size_t at;                   /* the one that the refusal named */
	struct error why;            /* the refusal */
	struct error failed;         /* an answer that says nothing */
	uint8_t verdicts[BULK_CHUNK_MAX];
	struct one ones[BULK_CHUNK_MAX];
};

struct import {
	bool all;
	struct exported line;
	uint64_t refused, over;      /* lines */
	struct arena *arena;
};

/* --- what is read --- */

bool import_wants(struct bulk *b, const Troupe__TaskSpec *task)
{
	struct error e;
	struct import *m = b->import;
	if (m->line.is_over && !m->all) {
		m->over++;
		return false;
	}
	if (m->line.has_id)
		return true;
	error_set(&e, ERROR_BAD_REQUEST, "line %llu has no id: it could not be recognised the next time", (unsigned long long)b->line);
	error_cure(&e, "troupe submit --bulk takes tasks without ids");
	e.index = (uint32_t)b->line;
	bulk_fail(b, &e);
	return false;
}

uint64_t import_settled(const struct bulk *b) { return b->import->refused + b->import->over; }

/* --- what is refused --- */

static void chunk_drop(struct chunk *c, size_t i)
{
	memmove(&c->tasks[i], &c->tasks[i + 1], (c->n - i - 1) * sizeof *c->tasks);
	memmove(&c->lines[i], &c->lines[i + 1], (c->n - i - 1) * sizeof *c->lines);
	c->n--;
}

static void refuse(struct chunk *c, size_t i, const struct error *why)
{
	struct bulk *b = c->bulk;
	struct error e;
	if (b->import->refused++ < SHOWN_MAX) {
		progress_clear(&b->progress);
		fprintf(stderr, "line %llu: %s [E-%s]\n", (unsigned long long)c->lines[i], why->text, error_name((int)why->code));
	}
	chunk_drop(c, i);
	if (b->import->refused == REFUSED_MAX) {
		error_set(&e, ERROR_CONFLICT, "%u lines were refused: the rest is not tried", REFUSED_MAX);
		bulk_fail(b, &e);
	}
}

static void send_rest(struct chunk *c)
{
	if (c->n && !(c->bulk->error.code && c->bulk->end))
		chunk_send(c);
	else
		chunk_done(c);
}

/* --- which are there --- */

static void conclude(struct chunk *c)
{
	struct sorting *s = c->sorting;
	struct error other;
	error_set(&other, ERROR_CONFLICT, "another task has this id already");
	c->sorting = NULL;
	if (s->failed.code) {
		bulk_fail(c->bulk, &s->failed);
		chunk_done(c);
		free(s);
		return;
	}
	for (size_t i = c->n; i-- > 0;) {
		if (s->verdicts[i] == VERDICT_THERE) {
			c->bulk->duplicate++;
			chunk_drop(c, i);
		} else if (s->verdicts[i] == VERDICT_OTHER || i == s->at) { /* what is named and not there conflicts with something else: its unique key */
			refuse(c, i, s->verdicts[i] == VERDICT_OTHER ? &other : &s->why);
		}
	}
	free(s);
	send_rest(c);
}

static void on_got(void *ctx, const struct talk_answer *a)
{
	struct one *one = ctx;
	struct chunk *c = one->chunk;
	struct sorting *s = c->sorting;
	struct arena *arena = c->bulk->import->arena;
	s->outstanding--;
	arena_reset(arena);
	if (!a->error && a->env->body_case == TROUPE__ENVELOPE__BODY_TASKS && a->env->tasks->n_tasks == 1 && a->env->tasks->tasks[0]->spec)
		s->verdicts[one->i] = exported_same(a->env->tasks->tasks[0], c->tasks[one->i], arena) ? VERDICT_THERE : VERDICT_OTHER;
	else if (a->error && a->error->code == ERROR_NO_TASK)
		s->verdicts[one->i] = VERDICT_ABSENT;
	else if (a->error)
		s->failed = *a->error;
	else
		error_set(&s->failed, ERROR_VERSION, "the coordinator answered a question for a task with something else");
	if (!s->outstanding && (s->next == c->n || s->failed.code))
		conclude(c);
}

bool import_ask(struct chunk *c)
{
	struct sorting *s = c->sorting;
	while (s->next < c->n && !s->failed.code) {
		struct error e = { .code = ERROR_NONE };
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		Troupe__Get get = TROUPE__GET__INIT;
		Troupe__TaskRef ref = TROUPE__TASK_REF__INIT;
		ref.id = c->tasks[s->next]->id;
		get.task = &ref;
		get.payload = true;
		env.body_case = TROUPE__ENVELOPE__BODY_GET;
		env.get = &get;
		struct talk_request r = { .to = c->bulk->t->coordinator, .env = &env, .timeout_ms = c->bulk->t->timeout_ms ? c->bulk->t->timeout_ms : GET_MS, .on_answer = on_got,
			                    .ctx = &s->ones[s->next] };
		int code = talk_start(c->bulk->t->talk, &r, &e);
		if (code == ERROR_BUSY)
			return true;
		if (code) {
			if (code < 0)
				error_set(&e, ERROR_INTERNAL, "%s", strerror(-code));
			s->failed = e;
			break;
		}
		s->next++;
		s->outstanding++;
	}
	if (!s->outstanding)
		conclude(c);
	return false;
}

static bool sort_out(struct chunk *c, const struct error *e)
{
	struct sorting *s = calloc(1, sizeof *s);
	if (!s)
		return false;
	s->at = e->index - 1;
	s->why = *e;
	for (size_t i = 0; i < c->n; i++)
		s->ones[i] = (struct one){ c, i };
	c->sorting = s;
	return true;
}

/* Of a line, and not of the node: the other lines may go on without it. */
static bool is_of_a_line(enum error_code code)
{
	return code == ERROR_BAD_REQUEST || code == ERROR_TOO_LARGE || code == ERROR_EXISTS || code == ERROR_NOT_FOUND || code == ERROR_NO_TASK || code == ERROR_STATE ||
	       code == ERROR_CORRUPT;
}

static bool is_first(const struct chunk *c)
{
	for (size_t i = 0; i < BULK_WINDOW; i++)
		if (c->bulk->chunks[i].n && c->bulk->chunks[i].number < c->number)
			return false;
	return true;
}

bool import_refused(struct chunk *c, const struct error *e)
{
	if (e->index < 1 || e->index > c->n || (c->bulk->end && c->bulk->error.code))
		return false;
	if (e->code == ERROR_CONFLICT)
		return sort_out(c, e);
	if (!is_of_a_line(e->code))
		return false;
	if (c->tasks[e->index - 1]->n_depends_on && !is_first(c)) { /* whom it waits for may be in a chunk before this one */
		c->retry_at_ms = clock_mono_ms() + EDGE_PAUSE_MS;
		return true;
	}
	refuse(c, e->index - 1, e);
	send_rest(c);
	return true;
}

/* --- the verb --- */

static int report(struct bulk *b)
{
	char a[32], d[32], r[32], o[32];
	struct tool *t = b->t;
	const struct import *m = b->import;
	if (tool_has(t, OPT_JSON))
		printf("{\"accepted\":%llu,\"duplicate\":%llu,\"refused\":%llu,\"over\":%llu}\n", (unsigned long long)b->accepted, (unsigned long long)b->duplicate,
		       (unsigned long long)m->refused, (unsigned long long)m->over);
	else if (!tool_has(t, OPT_QUIET))
		printf("accepted %s   duplicate %s   refused %s   over %s      durable: yes (fsync)\n", number_grouped(b->accepted, a, sizeof a),
		       number_grouped(b->duplicate, d, sizeof d), number_grouped(m->refused, r, sizeof r), number_grouped(m->over, o, sizeof o));
	if (b->error.code == ERROR_NONE)
		return m->refused ? EXIT_DATA : EXIT_OK;
	if (!b->error.cure[0])
		error_cure(&b->error, "run the same command again: what is there already is recognised");
	return tool_fail(t, &b->error);
}

int verb_import(struct tool *t)
{
	struct import m = { .all = tool_has(t, OPT_ALL), .arena = arena_new(COMPARE_ARENA) };
	struct bulk b = { .t = t, .import = &m };
	if (!m.arena)
		return tool_fail_code(t, -ENOMEM, NULL);
	b.defaults = (struct bulk_defaults){ .batch = talk_id(t->talk), .now_ms = clock_wall_ms(), .exported = &m.line };
	int status = bulk_run(&b, t->args.words[0]);
	arena_unref(m.arena);
	return status ? status : report(&b);
}
