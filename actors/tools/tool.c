#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/parse.h"
#include "actors/tools/progress.h"
#include "actors/tools/rows.h"
#include "actors/tools/tool.h"

#define LIMIT_STANDARD 100u
#define LINE_REF_MAX 64u

/* --- errors --- */

static void suggest_queue(struct tool *t, const char *name, struct error *e)
{
	Troupe__QueueAsk ask = TROUPE__QUEUE_ASK__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	env.body_case = TROUPE__ENVELOPE__BODY_QUEUE_ASK;
	env.queue_ask = &ask;
	if (talk_ask(t->talk, t->coordinator, &env, 2000, &arena, &answer, NULL) != 0 || answer->body_case != TROUPE__ENVELOPE__BODY_QUEUES)
		return;
	const char *names[256];
	size_t n = 0;
	for (; n < answer->queues->n_queues && n < ELEMENTS(names); n++)
		names[n] = answer->queues->queues[n]->name;
	const char *best = suggest(name, names, n);
	if (best)
		error_cure(e, "did you mean %s?", best);
	else
		error_cure(e, "troupe queue list shows what there is");
}

static void suggest_actor(struct tool *t, const char *name, struct error *e)
{
	Troupe__TreeAsk ask = TROUPE__TREE_ASK__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	env.body_case = TROUPE__ENVELOPE__BODY_TREE_ASK;
	env.tree_ask = &ask;
	if (talk_ask(t->talk, NULL, &env, 2000, &arena, &answer, NULL) != 0 || answer->body_case != TROUPE__ENVELOPE__BODY_TREE)
		return;
	const char *names[256];
	size_t n = 0;
	for (; n < answer->tree->n_rows && n < ELEMENTS(names); n++)
		names[n] = answer->tree->rows[n]->address;
	const char *best = suggest(name, names, n);
	if (best)
		error_cure(e, "did you mean %s?", best);
	else
		error_cure(e, "troupe tree shows what there is");
}

int tool_fail_name(struct tool *t, const char *name, const struct error *e)
{
	struct error full = *e;
	if (t->talk && name && full.code == ERROR_NO_QUEUE && !strstr(full.cure, "did you mean"))
		suggest_queue(t, name, &full);
	if (t->talk && name && full.code == ERROR_NO_ACTOR && !strstr(full.cure, "did you mean"))
		suggest_actor(t, name, &full);
	fflush(stdout);
	failure_print(stderr, t->verb ? t->verb->name : "start", NULL, &full);
	return failure_status((int)full.code);
}

int tool_fail(struct tool *t, const struct error *e) { return tool_fail_name(t, NULL, e); }

int tool_fail_code(struct tool *t, int code, const struct error *e)
{
	if (code > 0)
		return tool_fail(t, e);
	struct error os;
	error_set(&os, ERROR_INTERNAL, "%s (%s)", strerror(-code), strerrorname_np(-code) ? strerrorname_np(-code) : "?");
	failure_print(stderr, t->verb ? t->verb->name : "start", "OS", &os);
	return EXIT_IO;
}

int tool_usage(struct tool *t, const char *fmt, ...)
{
	struct error e;
	char text[sizeof e.text];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	error_set(&e, ERROR_BAD_REQUEST, "%s", text);
	error_cure(&e, "troupe %s -h", t->verb ? t->verb->name : "");
	failure_print(stderr, t->verb ? t->verb->name : "start", "USAGE", &e);
	return EXIT_USAGE;
}

int tool_file(struct tool *t, const char *path, int code)
{
	struct error e;
	error_set(&e, ERROR_NOT_FOUND, "%.160s: %s (%s), uid %u", path, strerror(code), strerrorname_np(code) ? strerrorname_np(code) : "?", (unsigned)geteuid());
	if (code == EACCES || code == EPERM) {
		failure_print(stderr, t->verb->name, "FILE", &e);
		return EXIT_PERMISSION;
	}
	failure_print(stderr, t->verb->name, "FILE", &e);
	return code == ENOENT || code == ENOTDIR || code == EISDIR ? EXIT_NO_INPUT : EXIT_IO;
}

/* --- the node --- */

int tool_ask(struct tool *t, const char *to, Troupe__Envelope *env, Troupe__Envelope__BodyCase want, struct arena **ret_arena, const Troupe__Envelope **ret)
{
	struct error e = { .code = ERROR_NONE };
	struct arena *arena;
	const Troupe__Envelope *answer;
	int code = talk_ask(t->talk, to, env, t->timeout_ms, &arena, &answer, &e);
	if (code != 0)
		return code > 0 ? tool_fail_name(t, to, &e) : tool_fail_code(t, code, &e);
	if (want != TROUPE__ENVELOPE__BODY__NOT_SET && answer->body_case != want) {
		error_set(&e, ERROR_VERSION, "%s answered with message %d where %d was due", to ? to : "the supervisor", (int)answer->body_case, (int)want);
		error_cure(&e, "compare the versions: troupe version, troupe status");
		arena_unref(arena);
		return tool_fail(t, &e);
	}
	*ret_arena = arena;
	*ret = answer;
	return 0;
}

uint64_t tool_deadline_ms(const struct tool *t, uint64_t standard_ms)
{
	uint64_t within_ms = t->timeout_ms ? t->timeout_ms : standard_ms;
	return within_ms == TIME_NEVER ? TIME_NEVER : clock_mono_ms() + within_ms;
}

/* --- rows --- */

int emit_begin(struct emit *em, struct tool *t, const struct table *table)
{
	struct error e;
	*em = (struct emit){ .t = t, .table = table, .rows = json_array() };
	if (!em->rows)
		return tool_fail_code(t, -ENOMEM, NULL);
	/* A wrong column is told before any work is done. */
	char *nothing = NULL;
	int code = table_render(table, &t->style, em->rows, &nothing, &e);
	free(nothing);
	if (code > 0) {
		emit_drop(em);
		failure_print(stderr, t->verb->name, "USAGE", &e);
		return EXIT_USAGE;
	}
	if (code < 0)
		emit_drop(em);
	return code < 0 ? tool_fail_code(t, code, NULL) : 0;
}

void emit_drop(struct emit *em)
{
	json_decref(em->rows);
	em->rows = NULL;
}

void emit_row(struct emit *em, json_t *row)
{
	if (!row)
		return;
	em->n++;
	if (tool_has(em->t, OPT_JSON)) {
		_cleanup_(freep) char *line = row_json(row);
		if (line)
			puts(line);
		json_decref(row);
	} else if (tool_has(em->t, OPT_QUIET)) {
		_cleanup_(freep) char *cell = row_cell(table_column(em->table, em->table->id, strlen(em->table->id)), row);
		if (cell && *cell)
			puts(cell);
		json_decref(row);
	} else {
		json_array_append_new(em->rows, row);
	}
}

int emit_end(struct emit *em)
{
	int status = EXIT_OK;
	if (json_array_size(em->rows)) {
		_cleanup_(freep) char *text = NULL;
		struct error e = { .code = ERROR_NONE };
		int code = table_render(em->table, &em->t->style, em->rows, &text, &e);
		if (code != 0)
			status = tool_fail_code(em->t, code, &e);
		else
			fputs(text, stdout);
	}
	emit_drop(em);
	return status;
}

int emit_one(struct tool *t, const struct table *table, json_t *row)
{
	struct emit em;
	int status = emit_begin(&em, t, table);
	if (status != 0) {
		json_decref(row);
		return status;
	}
	emit_row(&em, row);
	return emit_end(&em);
}

uint64_t emit_limit(const struct tool *t)
{
	uint64_t limit = tool_quiet(t) ? 0 : LIMIT_STANDARD;
	if (tool_has(t, OPT_LIMIT))
		(void)parse_number(tool_option(t, OPT_LIMIT), 0, UINT64_MAX, &limit, NULL); /* checked at the start */
	return limit ? limit : UINT64_MAX;
}

/* --- input --- */

int tool_number(struct tool *t, enum option o, uint64_t least, uint64_t most, uint64_t *io)
{
	struct error e;
	if (!tool_has(t, o) || parse_number(tool_option(t, o), least, most, io, &e) == 0)
		return 0;
	return tool_usage(t, "--%s: %s", option_defs[o].name, e.text);
}

int tool_duration(struct tool *t, enum option o, uint64_t *io_ms)
{
	struct error e;
	if (!tool_has(t, o) || parse_duration(tool_option(t, o), io_ms, &e) == 0)
		return 0;
	return tool_usage(t, "--%s: %s", option_defs[o].name, e.text);
}

static int add_ref(struct tool *t, const char *text, struct ref **refs, size_t *n, size_t *room)
{
	struct error e;
	struct ref r;
	if (ref_parse(text, &r, &e) != 0)
		return tool_fail(t, &e);
	if (*n == *room) {
		size_t more = *room ? *room * 2 : 64;
		struct ref *grown = reallocarray(*refs, more, sizeof **refs);
		if (!grown)
			return tool_fail_code(t, -ENOMEM, NULL);
		*refs = grown;
		*room = more;
	}
	(*refs)[(*n)++] = r;
	return 0;
}

static int add_refs_of_stdin(struct tool *t, struct ref **refs, size_t *n, size_t *room)
{
	char line[LINE_REF_MAX + 2];
	while (fgets(line, sizeof line, stdin)) {
		char *word = line + strspn(line, " \t");
		word[strcspn(word, " \t\r\n")] = '\0';
		int status = *word ? add_ref(t, word, refs, n, room) : 0;
		if (status != 0)
			return status;
	}
	return ferror(stdin) ? tool_file(t, "stdin", errno) : 0;
}

int tool_refs(struct tool *t, unsigned first, struct ref **ret, size_t *ret_n)
{
	_cleanup_(freep) struct ref *refs = NULL;
	size_t n = 0, room = 0;
	for (unsigned i = first; i < t->args.n_words; i++) {
		const char *word = t->args.words[i];
		int status = strcmp(word, "-") == 0 ? add_refs_of_stdin(t, &refs, &n, &room) : add_ref(t, word, &refs, &n, &room);
		if (status != 0)
			return status;
	}
	*ret = steal(&refs);
	*ret_n = n;
	return 0;
}

static int filter_states(struct tool *t, const char *s, Troupe__Filter *f, Troupe__TaskState states[8])
{
	while (*s) {
		size_t len = strcspn(s, ",");
		if (f->n_states == 8 || task_state_parse(s, len, &states[f->n_states]) != 0)
			return tool_usage(t, "--state: '%.*s' is none of scheduled ready running done cancelled dead", (int)len, s);
		f->n_states++;
		s += len + (s[len] == ',');
	}
	f->states = states;
	return 0;
}

/* "ann" and "1000" as the node writes them: it names local clients by uid. */
static void submitter_text(const char *who, char *out, size_t size)
{
	uint64_t uid;
	bool number = parse_number(who, 0, UINT32_MAX - 1, &uid, NULL) == 0;
	struct passwd pw, *found = NULL;
	char buffer[4096];
	int code = number ? getpwuid_r((uid_t)uid, &pw, buffer, sizeof buffer, &found) : getpwnam_r(who, &pw, buffer, sizeof buffer, &found);
	if (code == 0 && found)
		snprintf(out, size, "uid %u (%s)", (unsigned)pw.pw_uid, pw.pw_name);
	else if (number)
		snprintf(out, size, "uid %u", (unsigned)uid);
	else
		snprintf(out, size, "%s", who);
}

void filter_states_only(struct filter *f, Troupe__TaskState state)
{
	f->states[0] = state;
	f->f.states = f->states;
	f->f.n_states = 1;
}

static int filter_batch(struct tool *t, struct filter *f)
{
	struct error e;
	if (id_parse(tool_option(t, OPT_OF_BATCH), &f->batch, &e) != 0)
		return tool_usage(t, "--batch: %s", e.text);
	f->f.batch = (ProtobufCBinaryData){ .len = sizeof f->batch.b, .data = f->batch.b };
	return 0;
}

int tool_filter(struct tool *t, struct filter *ret)
{
	static const enum option which[] = { OPT_QUEUE, OPT_STATE, OPT_FAILED, OPT_TAG, OPT_ERROR, OPT_OLDER, OPT_NEWER, OPT_KEY, OPT_SUBMITTER, OPT_OF_BATCH, OPT_ALL };
	uint64_t older_ms = 0, newer_ms = 0, now_ms = clock_wall_ms();
	Troupe__Filter *f = &ret->f;
	*ret = (struct filter){ .any = false };
	troupe__filter__init(f);
	for (size_t i = 0; i < ELEMENTS(which); i++)
		ret->any |= tool_has(t, which[i]);
	if (tool_has(t, OPT_QUEUE))
		f->queue = (char *)(uintptr_t)tool_option(t, OPT_QUEUE);
	if (tool_has(t, OPT_TAG))
		f->tag = (char *)(uintptr_t)tool_option(t, OPT_TAG);
	if (tool_has(t, OPT_ERROR))
		f->error_text = (char *)(uintptr_t)tool_option(t, OPT_ERROR);
	if (tool_has(t, OPT_KEY))
		f->serial_key = (char *)(uintptr_t)tool_option(t, OPT_KEY);
	if (tool_has(t, OPT_SUBMITTER)) {
		submitter_text(tool_option(t, OPT_SUBMITTER), ret->submitter, sizeof ret->submitter);
		f->submitter = ret->submitter;
	}
	f->failed = tool_has(t, OPT_FAILED);
	int status = tool_duration(t, OPT_OLDER, &older_ms);
	if (status == 0)
		status = tool_duration(t, OPT_NEWER, &newer_ms);
	if (status == 0 && tool_has(t, OPT_STATE))
		status = filter_states(t, tool_option(t, OPT_STATE), f, ret->states);
	if (status == 0 && tool_has(t, OPT_OF_BATCH))
		status = filter_batch(t, ret);
	if (older_ms)
		f->before_ms = now_ms > older_ms ? now_ms - older_ms : 1;
	if (newer_ms)
		f->after_ms = now_ms > newer_ms ? now_ms - newer_ms : 1;
	return status;
}

int tool_confirm(struct tool *t, const char *fmt, ...)
{
	char question[256], answer[16];
	va_list ap;
	if (tool_has(t, OPT_YES))
		return 0;
	va_start(ap, fmt);
	vsnprintf(question, sizeof question, fmt, ap);
	va_end(ap);
	FILE *tty = isatty(STDERR_FILENO) ? fopen("/dev/tty", "r+e") : NULL;
	if (!tty) {
		struct error e;
		error_set(&e, ERROR_BAD_REQUEST, "%s Nobody is here to say yes", question);
		error_cure(&e, "add --yes, or look first with --dry-run");
		failure_print(stderr, t->verb->name, "CONFIRM", &e);
		return EXIT_USAGE;
	}
	fprintf(tty, "%s [y/N] ", question);
	fflush(tty);
	bool yes = fgets(answer, sizeof answer, tty) && (answer[0] == 'y' || answer[0] == 'Y');
	fclose(tty);
	return yes ? 0 : EXIT_NO;
}

int tool_read_whole(struct tool *t, const char *path, size_t max, const char *cure, uint8_t **ret, size_t *ret_len)
{
	bool is_stdin = strcmp(path, "-") == 0;
	_cleanup_(closep) int fd = is_stdin ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return tool_file(t, path, errno);
	_cleanup_(freep) uint8_t *data = malloc(max + 1);
	size_t len = 0;
	if (!data)
		return tool_fail_code(t, -ENOMEM, NULL);
	while (len <= max) {
		ssize_t n = read(fd, data + len, max + 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return tool_file(t, is_stdin ? "stdin" : path, errno);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	if (len > max) {
		struct error e;
		error_set(&e, ERROR_TOO_LARGE, "%s holds more than %zu bytes", is_stdin ? "stdin" : path, max);
		error_cure(&e, "%s", cure);
		return tool_fail(t, &e);
	}
	*ret = steal(&data);
	*ret_len = len;
	return 0;
}

int tool_read(struct tool *t, const char *path, size_t max, uint8_t **ret, size_t *ret_len)
{
	return tool_read_whole(t, path, max, "a task carries no more: submit the file's name and let the worker read the file", ret, ret_len);
}

int tool_refs_or_batch(struct tool *t, struct ref **ret, size_t *ret_n)
{
	struct error e;
	struct id batch;
	if (!tool_has(t, OPT_OF_BATCH)) {
		if (!t->args.n_words)
			return tool_usage(t, "name tasks, or a batch with --batch");
		return tool_refs(t, 0, ret, ret_n);
	}
	if (t->args.n_words)
		return tool_usage(t, "name tasks, or a batch, not both");
	if (id_parse(tool_option(t, OPT_OF_BATCH), &batch, &e) != 0)
		return tool_usage(t, "--batch: %s", e.text);
	return batch_tasks(t, &batch, false, ret, ret_n);
}
