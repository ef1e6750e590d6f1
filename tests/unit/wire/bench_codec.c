/* What an envelope costs: ns each to pack into a frame and to decode from one, in frames of 1 and of 64. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/wire/codec.h"

#define ROUNDS_US 300000

static uint8_t id[16] = { 1, 2, 3 }, payload[256];

static void measure(const char *name, const Troupe__Envelope *env, size_t n)
{
	struct frame_writer w;
	frame_writer_init(&w, 9);
	uint64_t packed = 0, decoded = 0, start = clock_mono_us(), pack_us, decode_us;
	do {
		for (int k = 0; k < 100; k++) {
			frame_writer_reset(&w);
			for (size_t i = 0; i < n; i++)
				frame_add_envelope(&w, env);
			packed += n;
		}
		pack_us = clock_mono_us() - start;
	} while (pack_us < ROUNDS_US);

	start = clock_mono_us();
	do {
		for (int k = 0; k < 100; k++) {
			struct arena *a;
			Troupe__Frame *frame;
			if (frame_decode(w.data + w.head, w.len, &wire_limits_default, &a, &frame, NULL))
				return;
			decoded += frame->n_envelopes;
			arena_unref(a);
		}
		decode_us = clock_mono_us() - start;
	} while (decode_us < ROUNDS_US);
	printf("%-8s frame of %2zu: pack %5.0f ns, decode %5.0f ns an envelope (%zu bytes each)\n", name, n, (double)pack_us * 1000 / (double)packed,
	       (double)decode_us * 1000 / (double)decoded, w.len / n);
	frame_writer_fini(&w);
}

int main(void)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.to = (char *)"coordinator:main";
	env.from = (char *)"worker:resize/3";
	env.id = (ProtobufCBinaryData){ sizeof(id), id };
	env.timestamp_ms = UINT64_C(1795167000123);
	env.kind = TROUPE__KIND__ASK;
	env.deadline_ms = 30000;
	memset(payload, 'x', sizeof(payload));

	Troupe__TaskSpec spec = TROUPE__TASK_SPEC__INIT, *specs[] = { &spec };
	Troupe__Submit submit = TROUPE__SUBMIT__INIT;
	spec.id = env.id;
	spec.queue = (char *)"resize";
	spec.payload = (ProtobufCBinaryData){ sizeof(payload), payload };
	submit.n_tasks = 1;
	submit.tasks = specs;

	Troupe__Assignment task = TROUPE__ASSIGNMENT__INIT, *tasks[] = { &task };
	Troupe__Run run = TROUPE__RUN__INIT;
	task.token = 1234567;
	task.id = env.id;
	task.seq = 7654321;
	task.queue = spec.queue;
	task.attempt = 1;
	task.max_attempts = 5;
	task.payload = spec.payload;
	run.n_tasks = 1;
	run.tasks = tasks;

	for (size_t n = 1; n <= 64; n *= 64) {
		env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
		env.submit = &submit;
		measure("Submit", &env, n);
		env.body_case = TROUPE__ENVELOPE__BODY_RUN;
		env.run = &run;
		measure("Run", &env, n);
	}
	return 0;
}
