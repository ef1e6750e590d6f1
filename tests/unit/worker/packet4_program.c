/* A program of the packet4 tier that does what each payload says, for the tests. Options:
 *   --max N   --file PATH (a line with the pid for each start)   --hello VERSION   --banner (text in front of the hello)
 * Payloads: "fail TEXT", "later" (in 30 s), "never", "progress", "noise" (stray packets, then done), "text" (printed as it is), "long N" (a result of N bytes), "exit N",
 * "hang", "obey" (answers its cancel). Anything else comes back as it is; of a payload in a file, "file ", what it holds, and its name. */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "proto/program.pb-c.h"

static uint8_t obedient[16];

static void packet(const void *body, size_t len)
{
	uint32_t n = htonl((uint32_t)len);
	fwrite(&n, sizeof n, 1, stdout);
	fwrite(body, 1, len, stdout);
	fflush(stdout);
}

static void say(const Troupe__FromProgram *m)
{
	uint8_t *data = malloc(troupe__from_program__get_packed_size(m) + 1);
	packet(data, troupe__from_program__pack(m, data));
	free(data);
}

static void done(ProtobufCBinaryData id, const void *result, size_t len)
{
	Troupe__FromProgram m = TROUPE__FROM_PROGRAM__INIT;
	Troupe__ProgramDone d = TROUPE__PROGRAM_DONE__INIT;
	d.id = id;
	d.result = (ProtobufCBinaryData){ len, (uint8_t *)result };
	m.body_case = TROUPE__FROM_PROGRAM__BODY_DONE;
	m.done = &d;
	say(&m);
}

static void fail(ProtobufCBinaryData id, const char *error, bool final, uint64_t after_ms)
{
	Troupe__FromProgram m = TROUPE__FROM_PROGRAM__INIT;
	Troupe__ProgramFail f = TROUPE__PROGRAM_FAIL__INIT;
	f.id = id;
	f.error = (char *)error;
	f.final = final;
	f.after_ms = after_ms;
	m.body_case = TROUPE__FROM_PROGRAM__BODY_FAIL;
	m.fail = &f;
	say(&m);
}

static void progress(ProtobufCBinaryData id)
{
	Troupe__FromProgram m = TROUPE__FROM_PROGRAM__INIT;
	Troupe__ProgramProgress p = TROUPE__PROGRAM_PROGRESS__INIT;
	p.id = id;
	p.percent = 40;
	p.note = (char *)"page 4";
	m.body_case = TROUPE__FROM_PROGRAM__BODY_PROGRESS;
	m.progress = &p;
	say(&m);
}

static void hello(uint32_t version, uint32_t max)
{
	Troupe__FromProgram m = TROUPE__FROM_PROGRAM__INIT;
	Troupe__ProgramHello h = TROUPE__PROGRAM_HELLO__INIT;
	h.version = version;
	h.max = max;
	m.body_case = TROUPE__FROM_PROGRAM__BODY_HELLO;
	m.hello = &h;
	say(&m);
}

static void noise(ProtobufCBinaryData id)
{
	uint8_t other[16] = { 9 };
	packet("", 0);
	packet("hello\n", 6);
	packet("\372\1\2hi", 5);
	hello(1, 1);
	hello(7, 1);
	done((ProtobufCBinaryData){ sizeof other, other }, "x", 1);
	done(id, "fine", 4);
	done(id, "again", 5);
}

static void read_file(const Troupe__ProgramTask *t)
{
	char text[4096] = "file ";
	FILE *f = fopen(t->payload_file, "r");
	size_t n = strlen(text);
	if (f) {
		n += fread(text + n, 1, sizeof text - n, f);
		fclose(f);
	}
	n += (size_t)snprintf(text + n, sizeof text - n, "%s", t->payload_file);
	done(t->id, text, n);
}

static void obey(const Troupe__ProgramTask *t)
{
	char payload[200];
	snprintf(payload, sizeof payload, "%.*s", t->payload.len < 199 ? (int)t->payload.len : 199, (const char *)t->payload.data);
	const char *rest = strchr(payload, ' ') ? strchr(payload, ' ') + 1 : "";
	if (*t->payload_file) {
		read_file(t);
	} else if (strncmp(payload, "fail", 4) == 0) {
		fail(t->id, rest, false, 0);
	} else if (strcmp(payload, "later") == 0) {
		fail(t->id, "not yet", false, 30000);
	} else if (strcmp(payload, "never") == 0) {
		fail(t->id, "never", true, 0);
	} else if (strcmp(payload, "progress") == 0) {
		progress(t->id);
	} else if (strcmp(payload, "noise") == 0) {
		noise(t->id);
	} else if (strcmp(payload, "text") == 0) {
		puts("hello world");
		fflush(stdout);
	} else if (strncmp(payload, "long ", 5) == 0) {
		void *all = calloc(1, (size_t)atol(rest) + 1);
		done(t->id, all, (size_t)atol(rest));
		free(all);
	} else if (strncmp(payload, "exit ", 5) == 0) {
		fputs("last words\n", stderr);
		exit(atoi(rest));
	} else if (strcmp(payload, "obey") == 0) {
		memcpy(obedient, t->id.data, sizeof obedient);
	} else if (strcmp(payload, "hang") != 0) {
		done(t->id, t->payload.data, t->payload.len);
	}
}

int main(int argc, char **argv)
{
	unsigned max = 0, version = 1;
	uint32_t n;
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";
		FILE *f = strcmp(argv[i], "--file") == 0 ? fopen(value, "a") : NULL;
		if (f) {
			fprintf(f, "%d\n", (int)getpid());
			fclose(f);
		}
		if (strcmp(argv[i], "--max") == 0)
			max = (unsigned)atoi(value);
		else if (strcmp(argv[i], "--hello") == 0)
			version = (unsigned)atoi(value);
		else if (strcmp(argv[i], "--banner") == 0)
			puts("Welcome");
	}
	hello(version, max);
	while (fread(&n, sizeof n, 1, stdin) == 1) {
		size_t len = ntohl(n);
		uint8_t *body = malloc(len + 1);
		Troupe__ToProgram *m = fread(body, 1, len, stdin) == len ? troupe__to_program__unpack(NULL, len, body) : NULL;
		if (!m)
			return 3;
		if (m->body_case == TROUPE__TO_PROGRAM__BODY_TASK)
			obey(m->task);
		else if (m->body_case == TROUPE__TO_PROGRAM__BODY_CANCEL && memcmp(m->cancel->id.data, obedient, sizeof obedient) == 0)
			fail(m->cancel->id, "as you wish", false, 0);
		else if (m->body_case == TROUPE__TO_PROGRAM__BODY_QUIT)
			return 0;
		troupe__to_program__free_unpacked(m, NULL);
		free(body);
	}
	return 0;
}
