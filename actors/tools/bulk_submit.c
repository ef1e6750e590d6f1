/* submit --bulk: chunks of at most a thousand lines, each one atomic, a few in flight.
 *
 * Every task's id is the batch's id plus its line number, so all of it may be sent again at any time: what was accepted is recognised. A coordinator that dies
 * is a pause; a full one is waited for; an error in a line ends the reading, lets what is in flight finish, and says which line it was and how to go on. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "actors/tools/bulk_parts.h"
#include "actors/tools/payload.h"
#include "actors/tools/rows.h"

#define CHUNK_ARENA (8u << 20)
#define PATIENCE_MS 60000u       /* without anything taken: over the death of a coordinator, a full queue, a full disk */
#define BUSY_PAUSE_MS 100u       /* where a refusal names no time */

void bulk_fail(struct bulk *b, const struct error *e)
{
	if (b->error.code == ERROR_NONE || (e->index && e->index < b->error.index))
		b->error = *e;
	b->end = true;
}

static void on_receipts(struct chunk *c, const Troupe__Submitted *s)
{
	struct bulk *b = c->bulk;
	for (size_t i = 0; i < s->n_receipts; i++) {
		b->accepted += !s->receipts[i]->existing;
		b->duplicate += s->receipts[i]->existing;
		json_t *row = tool_quiet(b->t) && !b->import ? row_of_receipt(s->receipts[i], i < c->n ? c->tasks[i]->queue : NULL) : NULL;
		if (row && i < c->n)
			row_number(row, "line", c->lines[i]);
		if (row)
			json_array_append_new(c->receipts, row);
	}
}

/* In the order of the lines, whatever the order of the answers. */
static void print_receipts(struct bulk *b)
{
	for (size_t i = 0; i < BULK_WINDOW; i++) {
		struct chunk *c = &b->chunks[i];
		if (c->n == 0 && c->receipts && c->number == b->n_printed) {
			struct emit em = { .t = b->t, .table = &table_receipts };
			json_t *row;
			size_t k;
			json_array_foreach(c->receipts, k, row)
				emit_row(&em, json_incref(row));
			json_decref(c->receipts);
			c->receipts = NULL;
			b->n_printed++;
			i = (size_t)-1; /* from the beginning: the next one may stand before this one */
		}
	}
}

static uint64_t patience_ms(const struct bulk *b)
{
	return b->t->timeout_ms ? b->t->timeout_ms : PATIENCE_MS;
}

/* The node takes nothing for now. It is waited for, as long as something is taken now and then. */
static bool wait_and_see(struct bulk *b, const struct error *why)
{
	uint64_t now_ms = clock_mono_ms();
	if (b->end && b->error.code)
		return false;
	if (!b->refused_at_ms) {
		b->refused_at_ms = now_ms;
		progress_clear(&b->progress);
		if (!tool_quiet(b->t))
			fprintf(stderr, "waiting: %s\n", why->text);
	}
	return now_ms - b->refused_at_ms < patience_ms(b);
}

static void on_answer(void *ctx, const struct talk_answer *a)
{
	struct chunk *c = ctx;
	struct bulk *b = c->bulk;
	c->flying = false;
	if (a->error && (a->error->code == ERROR_BUSY || a->error->code == ERROR_DISK_LOW) && a->error->retryable && wait_and_see(b, a->error)) {
		c->retry_at_ms = clock_mono_ms() + (a->error->retry_after_ms ? a->error->retry_after_ms : BUSY_PAUSE_MS);
		return;
	}
	if (a->error && b->import && import_refused(c, a->error))
		return;
	b->in_flight--;
	if (!a->error)
		b->refused_at_ms = 0;
	if (a->error) {
		struct error e = *a->error;
		/* The node counts the tasks of a submit from 1; people count lines. */
		size_t at = e.index >= 1 && e.index <= c->n ? e.index - 1 : 0;
		char text[sizeof e.text];
		memcpy(text, e.text, sizeof text);
		if (e.index)
			snprintf(e.text, sizeof e.text, "line %llu: %.220s", (unsigned long long)c->lines[at], text);
		else
			snprintf(e.text, sizeof e.text, "lines %llu to %llu: %.190s", (unsigned long long)c->lines[0], (unsigned long long)c->lines[c->n - 1], text);
		e.index = (uint32_t)c->lines[at];
		bulk_fail(b, &e);
	} else if (a->env->body_case == TROUPE__ENVELOPE__BODY_SUBMITTED) {
		on_receipts(c, a->env->submitted);
	} else {
		struct error e;
		error_set(&e, ERROR_VERSION, "the coordinator answered a submit with something else");
		bulk_fail(b, &e);
	}
	c->n = 0;
	print_receipts(b);
}

void chunk_done(struct chunk *c)
{
	c->bulk->in_flight--;
	c->n = 0;
	print_receipts(c->bulk);
}

void chunk_send(struct chunk *c)
{
	struct bulk *b = c->bulk;
	struct error e = { .code = ERROR_NONE };
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Submit submit = TROUPE__SUBMIT__INIT;
	submit.tasks = c->tasks;
	submit.n_tasks = c->n;
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &submit;
	struct talk_request r = { .to = b->t->coordinator, .env = &env, .timeout_ms = patience_ms(b), .on_answer = on_answer, .ctx = c };
	c->retry_at_ms = 0;
	int code = talk_start(b->t->talk, &r, &e);
	if (code == 0) {
		c->flying = true;
		return;
	}
	if (code == ERROR_BUSY) {
		c->retry_at_ms = clock_mono_ms() + BUSY_PAUSE_MS;
		return;
	}
	if (code < 0)
		error_set(&e, ERROR_INTERNAL, "%s", strerror(-code));
	b->in_flight--;
	c->n = 0;
	bulk_fail(b, &e);
}

/* The next line that is not empty; false at the end. */
static bool next_line(struct bulk *b, const char **ret, size_t *ret_len)
{
	if (b->has_held) {
		*ret = b->held;
		*ret_len = b->held_len;
		b->has_held = false;
		return true;
	}
	ssize_t len;
	while ((len = getline(&b->text, &b->text_room, b->f)) >= 0) {
		b->line++;
		while (len > 0 && strchr(" \t\r\n", b->text[len - 1]))
			len--;
		if (len == 0)
			continue;
		*ret = b->text;
		*ret_len = (size_t)len;
		return true;
	}
	if (ferror(b->f)) {
		struct error e;
		error_set(&e, ERROR_STORE, "%.150s: %s", b->path, strerror(errno));
		bulk_fail(b, &e);
	}
	return false;
}

static void hold(struct bulk *b, const char *text, size_t len)
{
	if (text != b->held) {
		free(b->held);
		b->held = strndup(text, len);
	}
	b->held_len = len;
	b->has_held = b->held != NULL;
}

/* A line may be read twice: what was sent before is not sent again. */
static int send_inline(struct bulk *b, struct arena *a, Troupe__TaskSpec *task, struct error *e)
{
	int r = payload_task_inline(b->t, a, task, e);
	if (r > 0) {
		char text[sizeof e->text];
		memcpy(text, e->text, sizeof text);
		snprintf(e->text, sizeof e->text, "line %llu: %.220s", (unsigned long long)b->line, text);
	}
	return r;
}

static int read_file(void *ctx, const char *path, struct arena *a, Troupe__TaskSpec *task, struct error *e)
{
	return payload_task_file(((struct bulk *)ctx)->t, path, a, task, e);
}

/* Fills c from the file. */
static void chunk_fill(struct chunk *c)
{
	struct bulk *b = c->bulk;
	const char *text;
	size_t len;
	c->n = c->bytes = 0;
	arena_reset(c->arena);
	while (c->n < BULK_CHUNK_MAX) {
		struct error e = { .code = ERROR_NONE };
		Troupe__TaskSpec *task;
		if (!next_line(b, &text, &len)) {
			b->end = true;
			return;
		}
		int code = bulk_line(text, len, b->line, &b->defaults, c->arena, &task, &e);
		if (code == 0)
			code = send_inline(b, c->arena, task, &e);
		if (code == -ENOMEM && c->n > 0) { /* the chunk's arena is full: this line begins the next one */
			hold(b, text, len);
			return;
		}
		if (code != 0) {
			if (code < 0)
				error_set(&e, ERROR_TOO_LARGE, "line %llu takes too much memory", (unsigned long long)b->line);
			e.index = (uint32_t)b->line;
			bulk_fail(b, &e);
			return;
		}
		if (b->import && !import_wants(b, task)) {
			if (b->error.code)
				return;
			if (c->n == 0)
				arena_reset(c->arena);
			continue;
		}
		size_t size = troupe__task_spec__get_packed_size(task) + 8;
		if (c->n > 0 && c->bytes + size > BULK_CHUNK_BYTES) {
			hold(b, text, len);
			return;
		}
		c->bytes += size;
		c->lines[c->n] = b->line;
		c->tasks[c->n++] = task;
	}
}

static uint64_t done_lines(const struct bulk *b)
{
	return b->accepted + b->duplicate + (b->import ? import_settled(b) : 0);
}

static int run_chunks(struct bulk *b)
{
	for (;;) {
		uint64_t now_ms = clock_mono_ms(), until_ms = now_ms + 1000;
		for (size_t i = 0; i < BULK_WINDOW; i++) {
			struct chunk *c = &b->chunks[i];
			if (c->retry_at_ms && now_ms >= c->retry_at_ms)
				chunk_send(c);
			if (c->sorting && import_ask(c))
				until_ms = now_ms + BUSY_PAUSE_MS;
			if (c->retry_at_ms && c->retry_at_ms < until_ms)
				until_ms = c->retry_at_ms;
			if (c->n == 0 && !c->receipts && !b->end) {
				chunk_fill(c);
				if (b->error.code) /* tasks before the bad line go with it: the line is named, so nothing may be skipped */
					c->n = 0;
				if (c->n) {
					c->number = b->n_chunks++;
					c->receipts = json_array();
					b->in_flight++;
					chunk_send(c);
				}
			}
		}
		if (b->in_flight == 0 && b->end)
			return 0;
		int code = talk_poll(b->t->talk, until_ms);
		if (code < 0)
			return code;
		progress_show(&b->progress, done_lines(b));
	}
}

/* Lines of a regular file, for the bar. */
static uint64_t count_lines(int fd)
{
	struct stat st;
	char buffer[65536];
	uint64_t n = 0;
	ssize_t len;
	off_t at = 0;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return 0;
	char last = '\n';
	while ((len = pread(fd, buffer, sizeof buffer, at)) > 0) {
		for (const char *p = buffer; (p = memchr(p, '\n', (size_t)(buffer + len - p))); p++)
			n++;
		last = buffer[len - 1];
		at += len;
	}
	return n + (last != '\n');
}

static int bulk_report(struct bulk *b, const char *queue)
{
	char a[32], d[32], batch[ID_TEXT];
	struct tool *t = b->t;
	if (b->error.code == ERROR_NONE) {
		if (!tool_quiet(t))
			printf("accepted %s   duplicate %s   rejected 0      durable: yes (fsync)\n", number_grouped(b->accepted, a, sizeof a),
			       number_grouped(b->duplicate, d, sizeof d));
		return EXIT_OK;
	}
	id_format(&b->defaults.batch, batch);
	if (!b->error.cure[0])
		error_cure(&b->error, "correct the line, keep the lines before it, and go on: troupe submit %s%s--bulk %.40s --batch %s", queue ? queue : "", queue ? " " : "",
		           b->path, batch);
	int status = tool_fail_name(t, queue, &b->error);
	fprintf(stderr, "  accepted %s   duplicate %s   batch %s: the same command with --batch %s goes on where this ended\n", number_grouped(b->accepted, a, sizeof a),
	        number_grouped(b->duplicate, d, sizeof d), batch, batch);
	return status;
}

int bulk_run(struct bulk *b, const char *path)
{
	struct tool *t = b->t;
	struct stat st;
	char batch[ID_TEXT];
	b->path = strcmp(path, "-") == 0 ? "stdin" : path;
	b->f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	if (!b->f)
		return tool_file(t, path, errno);
	if (fstat(fileno(b->f), &st) == 0 && S_ISDIR(st.st_mode)) {
		fclose(b->f);
		return tool_file(t, path, EISDIR);
	}
	b->defaults.read_file = read_file;
	b->defaults.ctx = b;
	id_format(&b->defaults.batch, batch);
	if (!b->import && !tool_quiet(t))
		fprintf(stderr, "batch %s\n", batch);
	b->total = count_lines(fileno(b->f));
	progress_begin(&b->progress, b->path, b->total, tool_quiet(t));

	int code = 0;
	b->chunks = calloc(BULK_WINDOW, sizeof *b->chunks);
	for (size_t i = 0; b->chunks && i < BULK_WINDOW; i++) {
		b->chunks[i].bulk = b;
		b->chunks[i].arena = arena_new(CHUNK_ARENA);
		if (!b->chunks[i].arena)
			code = -ENOMEM;
	}
	if (!b->chunks)
		code = -ENOMEM;
	if (code == 0)
		code = run_chunks(b);
	progress_end(&b->progress, done_lines(b));

	for (size_t i = 0; b->chunks && i < BULK_WINDOW; i++) {
		json_decref(b->chunks[i].receipts);
		arena_unref(b->chunks[i].arena);
		free(b->chunks[i].sorting);
	}
	free(b->chunks);
	free(b->text);
	free(b->held);
	if (b->f != stdin)
		fclose(b->f);
	return code < 0 ? tool_fail_code(t, code, NULL) : 0;
}

int submit_bulk(struct tool *t, const char *path)
{
	struct bulk b = { .t = t };
	struct error e;
	if (t->args.n_words > 1)
		return tool_usage(t, "--bulk takes at most a queue: the payloads are in the file");
	if (tool_has(t, OPT_FILE) || tool_has(t, OPT_EXEC) || tool_has(t, OPT_ID) || tool_has(t, OPT_WAIT))
		return tool_usage(t, "--bulk excludes --file, --exec, --id and --wait");
	b.defaults = (struct bulk_defaults){ .queue = t->args.n_words ? t->args.words[0] : NULL, .batch = talk_id(t->talk), .now_ms = clock_wall_ms() };
	if (tool_has(t, OPT_BATCH) && id_parse(tool_option(t, OPT_BATCH), &b.defaults.batch, &e) != 0)
		return tool_usage(t, "--batch: %s", e.text);
	int status = bulk_run(&b, path);
	return status ? status : bulk_report(&b, b.defaults.queue);
}
