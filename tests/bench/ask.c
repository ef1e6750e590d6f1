/* A round trip between a client and an actor, beside one of the same bytes between two bare processes on a unix socket, and on nng's stream without anything of
 * ours, in turns. usage: ask [ROUND-TRIPS] */
#include <nng/nng.h>
#include <nng/supplemental/util/platform.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/bench/bench.h"

#define DATA 128u
#define TRIPS_MAX 200000u
#define HEAD 9u /* of a message on a stream */
#define WARM 200u

struct sizes { size_t request, answer; }; /* shared; filled before the first byte */

static void raw_run(int fd, void *ctx)
{
	const struct sizes *s = ctx;
	uint8_t bytes[1024] = { 0 };
	while (read_whole(fd, bytes, 1)) {
		MUST(s->request <= sizeof(bytes) && s->answer <= sizeof(bytes) && read_whole(fd, bytes, s->request - 1));
		write_whole(fd, bytes, s->answer);
	}
}

static double raw_trip(int fd, const struct sizes *s)
{
	uint8_t bytes[1024] = { 0 };
	double from_us = now_us();
	write_whole(fd, bytes, s->request);
	MUST(read_whole(fd, bytes, s->answer));
	return now_us() - from_us;
}

/* --- the same on nng's stream --- */

static void stream_move(nng_stream *s, nng_aio *aio, bool out, void *data, size_t len)
{
	for (size_t at = 0; at < len; at += nng_aio_count(aio)) {
		nng_iov v = { (uint8_t *)data + at, len - at };
		MUST(nng_aio_set_iov(aio, 1, &v) == 0);
		if (out)
			nng_stream_send(s, aio);
		else
			nng_stream_recv(s, aio);
		nng_aio_wait(aio);
		MUST(nng_aio_result(aio) == 0);
	}
}

static char url[128]; /* of the process apart */

static void stream_run(int fd, void *ctx)
{
	const struct sizes *s = ctx;
	uint8_t bytes[1024] = { 0 };
	nng_stream_listener *l;
	nng_aio *aio;
	MUST(nng_aio_alloc(&aio, NULL, NULL) == 0 && nng_stream_listener_alloc(&l, url) == 0 && nng_stream_listener_listen(l) == 0);
	write_whole(fd, "", 1);
	nng_stream_listener_accept(l, aio);
	nng_aio_wait(aio);
	MUST(nng_aio_result(aio) == 0);
	for (nng_stream *peer = nng_aio_get_output(aio, 0);;) {
		stream_move(peer, aio, false, bytes, s->request);
		stream_move(peer, aio, true, bytes, s->answer);
	}
}

struct dialled { nng_stream *stream; nng_aio *aio; };

static struct dialled stream_dial(int fd)
{
	struct dialled d;
	nng_stream_dialer *dialer;
	uint8_t up;
	MUST(read_whole(fd, &up, 1));
	MUST(nng_aio_alloc(&d.aio, NULL, NULL) == 0 && nng_stream_dialer_alloc(&dialer, url) == 0);
	nng_stream_dialer_dial(dialer, d.aio);
	nng_aio_wait(d.aio);
	MUST(nng_aio_result(d.aio) == 0);
	d.stream = nng_aio_get_output(d.aio, 0);
	return d;
}

static double stream_trip(const struct dialled *d, const struct sizes *s)
{
	uint8_t bytes[1024] = { 0 };
	double from_us = now_us();
	stream_move(d->stream, d->aio, true, bytes, s->request);
	stream_move(d->stream, d->aio, false, bytes, s->answer);
	return now_us() - from_us;
}

/* --- the node --- */

static double node_trip(struct client *c, const char *to, struct sizes *ret)
{
	static uint8_t data[DATA];
	struct arena *arena;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Ping ping = TROUPE__PING__INIT;
	double from_us = now_us();
	ping.data = (ProtobufCBinaryData){ .len = sizeof(data), .data = data };
	env.body_case = TROUPE__ENVELOPE__BODY_PING;
	env.ping = &ping;
	const Troupe__Envelope *answer = node_ask(c, to, &env, &arena);
	double took_us = now_us() - from_us;
	MUST(answer->body_case == TROUPE__ENVELOPE__BODY_PONG && answer->pong->data.len == sizeof(data));
	*ret = (struct sizes){ HEAD + frame_envelope_size(&env), HEAD + frame_envelope_size(answer) };
	arena_unref(arena);
	return took_us;
}

int main(int argc, char **argv)
{
	static const char *const to[] = { "topic:events", "coordinator:main" };
	static double raw_us[TRIPS_MAX], stream_us[TRIPS_MAX], node_us[2][TRIPS_MAX];
	static struct bench_node n;
	unsigned trips = argc > 1 ? (unsigned)atoi(argv[1]) : 10000;
	struct sizes *sizes = bench_shared(sizeof(*sizes)), seen;
	int raw, stream;
	MUST(trips >= 1 && trips <= TRIPS_MAX);
	node_start(&n, "", "", false);
	pid_t raw_pid = bench_apart(raw_run, sizes, &raw);
	snprintf(url, sizeof(url), "ipc://%s/bare", n.run_dir);
	pid_t stream_pid = bench_apart(stream_run, sizes, &stream);
	struct client *c = node_client(&n, NULL, NULL);
	for (unsigned i = 0; i < WARM; i++)
		for (unsigned k = 0; k < 2; k++)
			node_trip(c, to[k], sizes);
	struct dialled dialled = stream_dial(stream);

	for (unsigned i = 0; i < trips; i++) {
		raw_us[i] = raw_trip(raw, sizes);
		stream_us[i] = stream_trip(&dialled, sizes);
		for (unsigned k = 0; k < 2; k++)
			node_us[k][i] = node_trip(c, to[k], &seen);
	}
	printf("ask: %u round trips in turns, one outstanding, request %zu bytes, answer %zu\n", trips, sizes->request, sizes->answer);
	const struct { const char *what; double *us; } rows[] = { { "a unix socket, two bare processes", raw_us }, { "nng's stream, two bare processes", stream_us },
		{ "client to topic:events", node_us[0] }, { "client to coordinator:main", node_us[1] } };
	double p50 = percentile(raw_us, trips, 50), p99 = percentile(raw_us, trips, 99);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		double a = percentile(rows[i].us, trips, 50), b = percentile(rows[i].us, trips, 99);
		printf("%-36s p50 %6.1f us  p99 %6.1f us, to the bare socket: %.1f of the p50s, %.1f of the p99s\n", rows[i].what, a, b, a / p50, b / p99);
	}
	client_close(c);
	bench_reap(raw_pid);
	bench_reap(stream_pid);
	node_stop(&n);
	return 0;
}
