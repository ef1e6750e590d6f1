/* A packet4 worker in C: it returns the payload backwards. program.proto comes with Troupe, the rest is protobuf-c:
 *   protoc-c --c_out=. program.proto && cc -I. -o worker worker.c program.pb-c.c -lprotobuf-c */
#include <arpa/inet.h>
#include <program.pb-c.h>
#include <stdio.h>
#include <stdlib.h>

static void say(const Troupe__FromProgram *m)
{
	uint8_t *body = malloc(troupe__from_program__get_packed_size(m) + 1);
	if (!body)
		exit(111);
	uint32_t len = (uint32_t)troupe__from_program__pack(m, body), head = htonl(len);
	fwrite(&head, sizeof(head), 1, stdout);
	fwrite(body, 1, len, stdout);
	fflush(stdout);
	free(body);
}

static void do_task(Troupe__ProgramTask *t)
{
	Troupe__FromProgram m = TROUPE__FROM_PROGRAM__INIT;
	Troupe__ProgramDone done = TROUPE__PROGRAM_DONE__INIT;
	Troupe__ProgramFail fail = TROUPE__PROGRAM_FAIL__INIT;
	uint8_t *p = t->payload.data;
	for (size_t i = 0, j = t->payload.len; i + 1 < j; i++) {
		uint8_t c = p[i];
		p[i] = p[--j];
		p[j] = c;
	}
	if (t->payload.len) {
		done.id = t->id;
		done.result = t->payload;
		m.body_case = TROUPE__FROM_PROGRAM__BODY_DONE;
		m.done = &done;
	} else {
		fail.id = t->id;
		fail.error = (char *)(*t->payload_file ? "too large for an example" : "an empty payload");
		fail.final = 1;
		m.body_case = TROUPE__FROM_PROGRAM__BODY_FAIL;
		m.fail = &fail;
	}
	say(&m);
}

int main(void)
{
	Troupe__ProgramHello hello = TROUPE__PROGRAM_HELLO__INIT;
	Troupe__FromProgram first = TROUPE__FROM_PROGRAM__INIT;
	uint32_t head;
	hello.version = hello.max = 1;
	first.body_case = TROUPE__FROM_PROGRAM__BODY_HELLO;
	first.hello = &hello;
	say(&first);
	while (fread(&head, sizeof(head), 1, stdin) == 1) {
		size_t len = ntohl(head);
		uint8_t *body = malloc(len + 1);
		Troupe__ToProgram *m = body && fread(body, 1, len, stdin) == len ? troupe__to_program__unpack(NULL, len, body) : NULL;
		if (!m)
			return 1;
		if (m->body_case == TROUPE__TO_PROGRAM__BODY_TASK)
			do_task(m->task);
		troupe__to_program__free_unpacked(m, NULL);
		free(body);
	}
	return 0;
}
