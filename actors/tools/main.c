/* The troupe tool: finds the verb, reads its options, runs it. */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/parse.h"
#include "common/wire/address.h"
#include "actors/tools/tool.h"

#define WATCH_MS 2000u
#define CLOSE_SECONDS 5

static volatile sig_atomic_t has_terminal;

static void on_interrupt(int signal)
{
	(void)!write(STDERR_FILENO, "\n", has_terminal ? 1 : 0); /* leave the progress bar's line */
	_exit(signal == SIGINT ? EXIT_INTERRUPTED : 128 + signal);
}

/* Closing can hang in the transport. All is said by then. */
static volatile sig_atomic_t last_status;
static void on_stuck(int signal) { _exit(last_status); }

static void on_push(void *ctx, const Troupe__Envelope *env)
{
	struct tool *t = ctx;
	if (t->on_push)
		t->on_push(t, env);
}

static void on_link(void *ctx, const char *address, bool up)
{
	struct tool *t = ctx;
	if (t->on_link)
		t->on_link(t, address, up);
}

static int find_verb(struct tool *t, int argc, char **argv, int *at)
{
	const char *words[2];
	unsigned n = 0, used;
	for (int i = *at; i < argc && n < 2; i++)
		words[n++] = argv[i];
	t->verb = verb_lookup(words, n, &used);
	if (t->verb) {
		*at += (int)used;
		return 0;
	}
	if (n && verb_is_first_word(words[0]) && (n == 1 || words[1][0] == '-')) {
		bool help = n == 2 && (strcmp(words[1], "-h") == 0 || strcmp(words[1], "--help") == 0);
		/* "troupe queue" and "troupe dlq --json": the list is what was meant */
		const char *list[2] = { words[0], "list" };
		t->verb = help ? NULL : verb_lookup(list, 2, &used);
		if (t->verb) {
			*at += 1;
			return 0;
		}
		verb_print_of(help ? stdout : stderr, words[0]);
		return help ? -1 : EXIT_USAGE;
	}
	struct error e;
	verb_unknown(words, n, &e);
	failure_print(stderr, "start", "USAGE", &e);
	return EXIT_USAGE;
}

static int set_up(struct tool *t)
{
	struct error e;
	uint64_t ignored;
	if (tool_has(t, OPT_TIMEOUT) && (parse_duration(tool_option(t, OPT_TIMEOUT), &t->timeout_ms, &e) != 0 || t->timeout_ms == 0))
		return tool_usage(t, "--timeout: '%s' is no duration above 0: write 90s, 5m, 2h", tool_option(t, OPT_TIMEOUT));
	if (tool_has(t, OPT_LIMIT) && parse_number(tool_option(t, OPT_LIMIT), 0, UINT64_MAX, &ignored, &e) != 0)
		return tool_usage(t, "--limit: %s", e.text);
	const char *name = tool_has(t, OPT_COORDINATOR) ? tool_option(t, OPT_COORDINATOR) : "main";
	if (snprintf(t->coordinator, sizeof t->coordinator, "%s%s", strchr(name, ':') ? "" : "coordinator:", name) >= (int)sizeof t->coordinator ||
	    !address_valid(t->coordinator))
		return tool_usage(t, "--coordinator: '%.60s' is no address", name);

	struct winsize size;
	const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
	bool tty = isatty(STDOUT_FILENO);
	bool plain = !term || strcmp(term, "dumb") == 0;
	t->style = (struct style){ .header = !tool_has(t, OPT_NO_HEADER), .columns = tool_option(t, OPT_COLUMNS) };
	t->style.colour = tty && !plain && !(no_colour && *no_colour);
	t->style.ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
	if (tty && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
		t->style.width = size.ws_col;
	if (t->verb->offline || tool_has(t, OPT_STATE_DIR) || tool_has(t, OPT_BACKUP))
		return 0;
	struct talk_config config = { .run_dir = tool_option(t, OPT_RUN_DIR), .program = "troupe", .timeout_ms = t->timeout_ms, .on_push = on_push, .on_link = on_link, .ctx = t };
	int code = talk_open(&config, &t->talk, &e);
	return code ? tool_fail_code(t, code, &e) : 0;
}

/* The verb again and again; on a terminal each time on a cleared screen. */
static int watch(struct tool *t)
{
	struct error e;
	uint64_t every_ms = WATCH_MS;
	const char *value = tool_option(t, OPT_WATCH);
	if (*value && (parse_duration(value, &every_ms, &e) != 0 || every_ms < 100))
		return tool_usage(t, "--watch: '%s' is no duration of at least 100ms", value);
	bool tty = isatty(STDOUT_FILENO);
	t->live = true;
	for (;;) {
		uint64_t until_ms = clock_mono_ms() + every_ms;
		if (tty)
			fputs("\033[H\033[2J", stdout);
		int status = t->verb->run(t);
		if (fflush(stdout) != 0)
			return EXIT_IO;
		if (status != 0 && status != EXIT_UNREACHABLE && status != EXIT_TIMEOUT && status != EXIT_BUSY)
			return status;
		if (!tty && !tool_quiet(t))
			putchar('\n');
		while (clock_mono_ms() < until_ms)
			if (talk_poll(t->talk, until_ms) < 0)
				return EXIT_BUG;
	}
}

static int run(struct tool *t, int argc, char **argv)
{
	struct error e;
	int at, code = args_parse(&t->args, argc, argv, 1, OPTIONS_GLOBAL, true, &at, &e);
	if (code == 0 && tool_has(t, OPT_VERSION))
		return verb_version(t);
	if (code == 0 && at == argc) {
		bool help = tool_has(t, OPT_HELP);
		verb_print_all(help ? stdout : stderr);
		return help ? EXIT_OK : EXIT_USAGE;
	}
	if (code == 0) {
		code = find_verb(t, argc, argv, &at);
		if (code != 0)
			return code < 0 ? EXIT_OK : code;
		code = args_parse(&t->args, argc, argv, at, t->verb->options, false, NULL, &e);
	}
	if (code != 0) {
		failure_print(stderr, t->verb ? t->verb->name : "start", "USAGE", &e);
		return EXIT_USAGE;
	}
	if (tool_has(t, OPT_VERSION))
		return verb_version(t);
	if (tool_has(t, OPT_HELP)) {
		verb_help(stdout, t->verb);
		return EXIT_OK;
	}
	if (t->args.n_words < t->verb->least || t->args.n_words > t->verb->most)
		return tool_usage(t, "it takes %s, and not %u word%s", *t->verb->args ? t->verb->args : "no arguments", t->args.n_words, t->args.n_words == 1 ? "" : "s");
	int status = set_up(t);
	if (status == 0)
		status = tool_has(t, OPT_WATCH) ? watch(t) : t->verb->run(t);
	return status;
}

int main(int argc, char **argv)
{
	struct tool t = { .verb = NULL };
	setlocale(LC_ALL, "");
	signal(SIGPIPE, SIG_IGN);
	has_terminal = isatty(STDERR_FILENO);
	signal(SIGINT, on_interrupt);
	signal(SIGTERM, on_interrupt);
	int status = run(&t, argc, argv);
	/* What did not reach stdout was not said. A reader that has seen enough (head) is no error. */
	if (fflush(stdout) != 0 && errno != EPIPE && status == EXIT_OK)
		status = EXIT_IO;
	last_status = status;
	signal(SIGALRM, on_stuck);
	alarm(CLOSE_SECONDS);
	talk_close(t.talk);
	args_fini(&t.args);
	return status;
}
