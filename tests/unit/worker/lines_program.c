/* A program of the lines tier that does what each payload says, for the tests. Options:
 *   --max N   --file PATH (a line with the pid for each start)   --banner (noise before the hello)   --hello VERSION   --mute (no hello)
 *   --slow MS (hello late)   --deaf (ignores quit, TERM and the end of stdin)
 * Payloads: "done TEXT", "raw LINE" (@ is the task's id, | a newline), "exit N", "crash", "hang", "obey" (answers its cancel), "mute" (closes stdout), "says TEXT" (on
 * stderr), "helper PATH" (leaves a process, its pid in the file), "child" (is it alive?). What is no string, or base 64, comes back as it is. */
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pid_t helper;
static char obedient[64];
static bool deaf;

static void answer(const char *id, const char *key, json_t *result)
{
	json_t *o = json_pack("{s:s, s:o}", "done", id, key, result);
	json_dumpf(o, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
	putchar('\n');
	json_decref(o);
}

static void raw(const char *id, const char *text)
{
	for (; *text; text++)
		if (*text == '@')
			fputs(id, stdout);
		else
			putchar(*text == '|' ? '\n' : *text);
	putchar('\n');
}

static void helper_starts(const char *path)
{
	FILE *f = fopen(path, "w");
	fflush(stdout);
	if (!(helper = fork())) {
		signal(SIGTERM, SIG_IGN);
		setsid();
		for (;;)
			pause();
	}
	fprintf(f, "%d\n", (int)helper);
	fclose(f);
}

static void obey(const char *id, const char *payload)
{
	const char *rest = strchr(payload, ' ') ? strchr(payload, ' ') + 1 : "";
	if (strncmp(payload, "done", 4) == 0) {
		answer(id, "result", json_string(rest));
	} else if (strncmp(payload, "raw ", 4) == 0) {
		raw(id, rest);
	} else if (strncmp(payload, "exit ", 5) == 0) {
		fputs("last words\n", stderr);
		fflush(stdout);
		_exit(atoi(rest));
	} else if (strcmp(payload, "crash") == 0) {
		fflush(stdout);
		signal(SIGSEGV, SIG_DFL); /* a sanitizer would catch it */
		raise(SIGSEGV);
	} else if (strcmp(payload, "obey") == 0) {
		snprintf(obedient, sizeof obedient, "%s", id);
	} else if (strcmp(payload, "mute") == 0) {
		fflush(stdout);
		close(1);
		for (;;)
			pause();
	} else if (strncmp(payload, "says ", 5) == 0) {
		fprintf(stderr, "%s\n", rest);
		answer(id, "result", json_string("said"));
	} else if (strncmp(payload, "helper ", 7) == 0) {
		helper_starts(rest);
		answer(id, "result", json_integer(helper));
	} else if (strcmp(payload, "child") == 0) {
		answer(id, "result", json_string(helper && kill(helper, 0) == 0 ? "alive" : "gone"));
	}
}

static void handle(json_t *line)
{
	const char *id = json_string_value(json_object_get(line, "task")), *cancel = json_string_value(json_object_get(line, "cancel"));
	json_t *payload = json_object_get(line, "payload"), *b64 = json_object_get(line, "payload_b64");
	if (id && json_is_string(payload))
		obey(id, json_string_value(payload));
	else if (id && payload)
		answer(id, "result", json_incref(payload));
	else if (id && b64)
		answer(id, "result_b64", json_incref(b64));
	else if (cancel && strcmp(cancel, obedient) == 0)
		raw(cancel, "{\"fail\":\"@\",\"error\":\"as you wish\"}");
	else if (json_object_get(line, "quit") && !deaf)
		exit(0);
}

static void appear(const char *path)
{
	FILE *f = path ? fopen(path, "a") : NULL;
	if (f) {
		fprintf(f, "%d\n", (int)getpid());
		fclose(f);
	}
}

int main(int argc, char **argv)
{
	int max = 1, version = 1, slow_ms = 0;
	bool mute = false, banner = false;
	const char *file = NULL;
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";
		if (strcmp(argv[i], "--max") == 0)
			max = atoi(value);
		else if (strcmp(argv[i], "--hello") == 0)
			version = atoi(value);
		else if (strcmp(argv[i], "--slow") == 0)
			slow_ms = atoi(value);
		else if (strcmp(argv[i], "--file") == 0)
			file = value;
		mute = mute || strcmp(argv[i], "--mute") == 0;
		banner = banner || strcmp(argv[i], "--banner") == 0;
		deaf = deaf || strcmp(argv[i], "--deaf") == 0;
	}
	appear(file);
	if (deaf)
		signal(SIGTERM, SIG_IGN);
	if (banner)
		puts("Welcome to the program\n{\"almost\":\"hello\"}\n\377\376");
	if (slow_ms)
		poll(NULL, 0, slow_ms);
	if (!mute)
		printf("{\"hello\":%d,\"max\":%d}\n", version, max);
	fflush(stdout);

	static char line[8 << 20];
	while (fgets(line, sizeof line, stdin)) {
		json_t *j = json_loads(line, JSON_ALLOW_NUL, NULL);
		if (j)
			handle(j);
		json_decref(j);
		fflush(stdout);
	}
	while (deaf)
		pause();
	return 0;
}
