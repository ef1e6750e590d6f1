#include "supervisor/config_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/parse.h"
#include "common/wire/policy.h"

/* libconfuse's callbacks carry no context of ours; parsing is one at a time in a process of one thread. */
static struct text *parsing;

static const char *const node_keys[] = { "run_dir", "state_dir", "libexec_dir", "user", "log_format", "log_level", "stop_timeout", "turn_timeout",
	"disk_timeout", "disk_low_water", "disk_low_water_pct", "store_max", "auto_create_queues", "concurrency", "blob_max", NULL };
static const char *const limit_keys[] = { "frame", "mailbox_messages", "mailbox_bytes", "output", "connections", "payload", NULL };
static const char *const supervisor_keys[] = { "strategy", "intensity", "period", "on_give_up", "restart", "shutdown", "auto_shutdown", "significant", "profile",
	"side_by_side", "max_children", "durable", "immediate", "backoff_base", "backoff_factor", "backoff_cap", "backoff_jitter", "backoff_reset", NULL };
static const char *const process_keys[] = { "program", "restart", "shutdown", "significant", "start_timeout", "term_after", "immediate", "backoff_base", "backoff_factor", "backoff_cap",
	"backoff_jitter", "backoff_reset",
	"intensity", "period", "on_give_up", "user", "group", "nice", "rlimit_nofile", "rlimit_as", "rlimit_core", "rlimit_nproc", "directory", NULL };
static const char *const actor_keys[] = { "keep", "keep_bytes", "mode", "listen", NULL };
static const char *const pool_keys[] = { "size", "spares", "mode", "coordinator", "drain_timeout", "grace", "stderr_tail", "line_max", NULL };
static const char *const child_keys[] = { "ready", "watchdog", NULL };

/* What is parsed from memory has no name in libconfuse; an included file has. */
static const char *file_of(const struct text *t, const cfg_t *section)
{
	return section->filename && strcmp(section->filename, "[buf]") != 0 ? section->filename : t->name;
}

static void print(FILE *errors, const char *file, unsigned line, const char *id, const char *cure, const char *fmt, va_list ap)
{
	_cleanup_(freep) char *message = NULL;
	if (!errors || vasprintf(&message, fmt, ap) < 0)
		return;
	utf8_clean(message); /* a file may hold any bytes */
	fprintf(errors, "%s:%u: %s [%s]\n", file, line, message, id);
	if (!cure || !*cure)
		return;
	_cleanup_(freep) char *clean = strdup(cure);
	if (clean)
		utf8_clean(clean);
	fprintf(errors, "  %s\n", clean ? clean : "");
}

void text_print(FILE *errors, const char *file, unsigned line, const char *id, const char *cure, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	print(errors, file, line, id, cure, fmt, ap);
	va_end(ap);
}

const struct text_place *text_place(const struct text *t, const cfg_t *section, const char *key)
{
	for (size_t i = 0; i < t->n_places; i++)
		if (t->places[i].section == section && strcmp(t->places[i].key, key) == 0)
			return &t->places[i];
	return NULL;
}

static const struct text_place *place_of_section(const struct text *t, const cfg_t *section)
{
	for (size_t i = 0; i < t->n_places; i++)
		if (t->places[i].made == section)
			return &t->places[i];
	return NULL;
}

void text_complain(struct text *t, cfg_t *section, const char *key, const char *id, const char *cure, const char *fmt, ...)
{
	const struct text_place *p = key ? text_place(t, section, key) : NULL;
	if (!p)
		p = place_of_section(t, section);
	va_list ap;
	va_start(ap, fmt);
	t->n_errors++;
	print(t->errors, p ? p->file : t->name, p ? p->line : 1, id, cure, fmt, ap);
	va_end(ap);
}

/* One line of UTF-8: everything else would be refused later, by somebody who does not know where it was said. */
static void check_bytes(struct text *t, const cfg_t *section, const char *what, const char *value)
{
	bool clean = utf8_valid((const uint8_t *)value, strlen(value));
	for (const char *s = value; *s && clean; s++)
		clean = (unsigned char)*s >= ' ' || *s == '\t';
	if (clean)
		return;
	t->n_errors++;
	text_print(t->errors, file_of(t, section), (unsigned)section->line, "config-value", "write one line of UTF-8", "%s: \"%s\" holds bytes that are no text", what, value);
}

/* Called by libconfuse after every value and at the end of every section. */
static int on_value(cfg_t *section, cfg_opt_t *opt)
{
	struct text *t = parsing;
	bool is_section = opt->type == CFGT_SEC;
	cfg_t *made = is_section ? cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1) : NULL;
	const char *value = made ? cfg_title(made) : opt->type == CFGT_STR && cfg_opt_size(opt) ? cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1) : NULL;
	if (value)
		check_bytes(t, made ? made : section, opt->name, value);
	if (!is_section && !(opt->flags & CFGF_LIST)) {
		const struct text_place *before = text_place(t, section, opt->name);
		if (before) {
			t->n_errors++;
			text_print(t->errors, file_of(t, section), (unsigned)section->line, "config-repeated", "remove one of them", "%s is said twice, first in line %u", opt->name, before->line);
			return 0;
		}
	}
	if (t->n_places == t->room) {
		size_t room = t->room ? 2 * t->room : 64;
		struct text_place *more = reallocarray(t->places, room, sizeof *more);
		if (!more)
			return -1;
		t->places = more;
		t->room = room;
	}
	const char *file = file_of(t, section);
	t->places[t->n_places] = (struct text_place){ .section = section, .key = opt->name, .file = strdup(file),
		.line = (unsigned)(is_section ? made->line : section->line), .order = (unsigned)t->n_places, .made = made };
	t->n_places++;
	return 0;
}

/* The words that may stand where an unknown one was found. */
static const char *nearest(const cfg_t *cfg, const char *word)
{
	const char *words[96];
	size_t n = 0;
	for (const cfg_opt_t *o = cfg->opts; o && o->name && n < ELEMENTS(words); o++)
		words[n++] = o->name;
	return suggest(word, words, n);
}

static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	struct text *t = parsing;
	char message[256], cure[128] = "see troupe.conf(5) for how this is written";
	vsnprintf(message, sizeof message, fmt, ap);
	const char *id = "config-syntax";
	char word[64];
	if (sscanf(message, "no such option '%63[^']'", word) == 1) {
		id = "config-unknown";
		const char *other = nearest(cfg, word);
		snprintf(message, sizeof message, "unknown key '%s'%s%s", word, cfg->name && *cfg->name && cfg != t->top ? " in " : "",
		         cfg->name && cfg != t->top ? cfg->name : "");
		if (other)
			snprintf(cure, sizeof cure, "did you mean '%s'?", other);
		else
			snprintf(cure, sizeof cure, "see troupe.conf(5) for the keys that may stand here");
	} else if (strstr(message, "duplicate title") || strstr(message, "found duplicate")) {
		id = "config-duplicate";
		snprintf(cure, sizeof cure, "give one of the two another name");
	}
	t->n_errors++;
	text_print(t->errors, file_of(t, cfg), (unsigned)cfg->line, id, cure, "%s", message);
}

struct maker { cfg_opt_t *o; unsigned n; };

static void make(struct maker *m, cfg_opt_t opt)
{
	opt.validcb = on_value;
	m->o[m->n++] = opt;
}

static void make_keys(struct maker *m, const char *const *keys)
{
	for (; *keys; keys++)
		make(m, (cfg_opt_t)CFG_STR(*keys, 0, CFGF_NODEFAULT));
}

static struct maker make_array(struct text *t)
{
	struct maker m = { calloc(96, sizeof(cfg_opt_t)), 0 }; /* the longest has some 40 of its own */
	if (!m.o)
		return m;
	t->options[t->n_options++] = m.o;
	for (unsigned i = 0; i < t->n_own_words; i++)
		make(&m, (cfg_opt_t)CFG_STR(t->own_words[i], 0, CFGF_NODEFAULT));
	return m;
}

#define SECTION(name, opts) ((cfg_opt_t)CFG_SEC(name, opts, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES))
#define LIST(name) ((cfg_opt_t)CFG_STR_LIST(name, 0, CFGF_NODEFAULT))

/* libconfuse has no recursion: the supervisor section is unrolled. NULL without memory. */
static cfg_opt_t *make_options(struct text *t)
{
	struct maker actor = make_array(t), pool = make_array(t), child = make_array(t), queue = make_array(t), role = make_array(t), limit = make_array(t);
	if (!actor.o || !pool.o || !child.o || !queue.o || !role.o || !limit.o)
		return NULL;
	struct maker *processes[] = { &actor, &pool, &child };
	for (unsigned i = 0; i < ELEMENTS(processes); i++) {
		make_keys(processes[i], process_keys);
		make(processes[i], LIST("env"));
		make(processes[i], LIST("links"));
		make(processes[i], LIST("command"));
		make(processes[i], LIST("clean_codes"));
		make(processes[i], LIST("fatal_codes"));
	}
	make_keys(&actor, actor_keys);
	make_keys(&pool, pool_keys);
	make(&pool, LIST("queues"));
	make(&pool, LIST("tags"));
	make(&pool, LIST("resources"));
	make_keys(&child, child_keys);
	for (const char *const *key = policy_keys; *key; key++)
		make(&queue, policy_key_is_list(*key) ? LIST(*key) : (cfg_opt_t)CFG_STR(*key, 0, CFGF_NODEFAULT));
	make_keys(&limit, limit_keys);
	make(&role, LIST("users"));
	make(&role, LIST("groups"));
	cfg_opt_t *below = NULL;
	for (unsigned depth = 8; depth-- > 0;) {
		struct maker s = make_array(t);
		if (!s.o)
			return NULL;
		make_keys(&s, supervisor_keys);
		make(&s, SECTION("actor", actor.o));
		make(&s, SECTION("pool", pool.o));
		make(&s, SECTION("child", child.o));
		if (below)
			make(&s, SECTION("supervisor", below));
		below = s.o;
	}
	struct maker top = make_array(t);
	if (!top.o)
		return NULL;
	make_keys(&top, node_keys);
	make(&top, (cfg_opt_t)CFG_SEC("limits", limit.o, CFGF_NONE));
	make(&top, SECTION("role", role.o));
	make(&top, SECTION("queue", queue.o));
	make(&top, SECTION("supervisor", below));
	make(&top, (cfg_opt_t)CFG_FUNC("include", &cfg_include));
	return top.o;
}

static void note_own_word(struct text *t, const char *s)
{
	size_t len = strcspn(s, " \t\r\n={}#\"'");
	const char *then = s + len + strspn(s + len, " \t\r\n");
	if (*then != '=' || len > 60 || t->n_own_words == ELEMENTS(t->own_words))
		return;
	char *word = strndup(s, len);
	for (unsigned i = 0; i < t->n_own_words && word; i++)
		if (strcmp(t->own_words[i], word) == 0) {
			free(word);
			return;
		}
	if (word)
		t->own_words[t->n_own_words++] = word;
}

/* libconfuse accepts a file that ends inside open braces: count them ourselves. On the way: the keys that begin with x-, which anybody may use. */
static bool braces_balance(struct text *t, const char *s)
{
	unsigned line = 1, depth = 0, open_line[32] = { 0 };
	for (bool at_word = true; *s; s++, at_word = false) {
		if (*s == '\n') {
			line++;
		} else if (*s == '#' || (s[0] == '/' && s[1] == '/')) {
			while (s[1] && s[1] != '\n')
				s++;
		} else if (s[0] == '/' && s[1] == '*') {
			for (s += 2; *s && !(s[0] == '*' && s[1] == '/'); s++)
				line += *s == '\n';
			if (!*s)
				break;
			s++;
		} else if (*s == '"' || *s == '\'') {
			char quote = *s;
			for (s++; *s && *s != quote; s++) {
				line += *s == '\n';
				if (*s == '\\' && s[1])
					line += *++s == '\n';
			}
			if (!*s)
				break;
		} else if (s[0] == '$' && s[1] == '{') {
			while (s[1] && *s != '}')
				s++;
		} else if (s[0] == 'x' && s[1] == '-' && (at_word || s[-1] == ' ' || s[-1] == '\t' || s[-1] == '\n' || s[-1] == '{' || s[-1] == '}')) {
			note_own_word(t, s);
		} else if (*s == '{') {
			if (depth < ELEMENTS(open_line))
				open_line[depth] = line;
			depth++;
		} else if (*s == '}' && depth > 0) {
			depth--;
		} else if (*s == '}') {
			t->n_errors++;
			text_print(t->errors, t->name, line, "config-brace", "take it out, or add the '{' that it should close", "this brace closes nothing");
			return false;
		}
	}
	if (depth == 0)
		return true;
	t->n_errors++;
	text_print(t->errors, t->name, open_line[depth <= ELEMENTS(open_line) ? depth - 1 : ELEMENTS(open_line) - 1], "config-brace", "add a '}'",
	           "the brace opened here is never closed");
	return false;
}

int text_parse(struct text *t, const char *buffer)
{
	if (!braces_balance(t, buffer))
		return ERROR_CONFIG;
	cfg_opt_t *options = make_options(t);
	if (!options)
		return -ENOMEM;
	parsing = t;
	t->top = cfg_init(options, CFGF_NONE);
	if (!t->top)
		return -ENOMEM;
	cfg_set_error_function(t->top, on_error);
	free(t->top->filename);
	t->top->filename = strdup(t->name);
	int r = cfg_parse_buf(t->top, buffer);
	if (r != CFG_SUCCESS && t->n_errors == 0)
		text_complain(t, t->top, NULL, "config-syntax", "see troupe.conf(5)", "cannot be parsed");
	return t->n_errors ? ERROR_CONFIG : 0;
}

void text_fini(struct text *t)
{
	if (t->top)
		cfg_free(t->top);
	for (size_t i = 0; i < t->n_places; i++)
		free(t->places[i].file);
	free(t->places);
	for (unsigned i = 0; i < t->n_options; i++)
		free(t->options[i]);
	for (unsigned i = 0; i < t->n_own_words; i++)
		free(t->own_words[i]);
	parsing = NULL;
}

unsigned text_children(const struct text *t, cfg_t *section, cfg_t **out, unsigned n)
{
	unsigned found = 0;
	for (size_t i = 0; i < t->n_places; i++)
		if (t->places[i].section == section && t->places[i].made && found < n)
			out[found++] = t->places[i].made;
	return found;
}

const char *text_string(struct text *t, cfg_t *s, const char *key)
{
	return text_place(t, s, key) ? cfg_getstr(s, key) : NULL;
}

static void complain_value(struct text *t, cfg_t *s, const char *key, const struct error *e)
{
	text_complain(t, s, key, "config-value", e->cure, "%s: %s", key, e->text);
}

void text_duration(struct text *t, cfg_t *s, const char *key, uint64_t least_ms, uint64_t most_ms, uint64_t *value)
{
	const char *v = text_string(t, s, key);
	if (!v)
		return;
	struct error e = { 0 };
	uint64_t ms;
	char low[32], high[32];
	if (strcmp(v, "infinity") == 0 && most_ms == UINT64_MAX)
		*value = UINT64_MAX;
	else if (parse_duration(v, &ms, &e))
		complain_value(t, s, key, &e);
	else if (ms < least_ms || ms > most_ms)
		text_complain(t, s, key, "config-range", "choose a value inside", "%s = %s is not within %s to %s", key, v, format_duration(least_ms, low, sizeof low),
		              most_ms == UINT64_MAX ? "infinity" : format_duration(most_ms, high, sizeof high));
	else
		*value = ms;
}

void text_size(struct text *t, cfg_t *s, const char *key, uint64_t least, uint64_t most, uint64_t *value)
{
	const char *v = text_string(t, s, key);
	if (!v)
		return;
	struct error e = { 0 };
	uint64_t n;
	char low[32], high[32];
	if (parse_size(v, &n, &e))
		complain_value(t, s, key, &e);
	else if (n < least || n > most)
		text_complain(t, s, key, "config-range", "choose a value inside", "%s = %s is not within %s to %s", key, v, format_size(least, low, sizeof low),
		              format_size(most, high, sizeof high));
	else
		*value = n;
}

void text_number(struct text *t, cfg_t *s, const char *key, uint64_t least, uint64_t most, uint64_t *value)
{
	const char *v = text_string(t, s, key);
	struct error e = { 0 };
	if (!v || parse_number(v, least, most, value, &e) == 0)
		return;
	if (!*e.cure)
		error_cure(&e, "choose a number from %llu to %llu", (unsigned long long)least, (unsigned long long)most);
	complain_value(t, s, key, &e);
}

void text_bool(struct text *t, cfg_t *s, const char *key, bool *value)
{
	const char *v = text_string(t, s, key);
	struct error e = { 0 };
	if (v && parse_bool(v, value, &e))
		complain_value(t, s, key, &e);
}

char **text_list(struct text *t, cfg_t *s, const char *key, size_t *ret_n)
{
	if (!text_place(t, s, key))
		return NULL;
	unsigned n = cfg_size(s, key);
	char **list = calloc(n + 1, sizeof *list);
	for (unsigned i = 0; list && i < n; i++)
		list[i] = strdup(cfg_getnstr(s, key, i));
	if (ret_n)
		*ret_n = n;
	return list;
}
