/* Redis as a queue. Streams: XADD, XREADGROUP, XACK and XDEL. Lists: LPUSH, BLMOVE into the consumer's own list, LREM from there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "tests/bench/bench.h"
#include "tests/bench/peers/wire.h"
#include "tests/bench/peers/ways.h"

#define READ_MAX 1024u           /* entries of one XREADGROUP, or BLMOVEs on their way */

/* --- RESP --- */

struct bulk { const char *data; size_t len; };

static void command(struct wire *w, size_t n)
{
	wire_say(w, "*%zu\r\n", n);
}

static void argument(struct wire *w, const void *data, size_t len)
{
	wire_say(w, "$%zu\r\n", len);
	wire_put(w, data, len);
	wire_put(w, "\r\n", 2);
}

static void word(struct wire *w, const char *text)
{
	argument(w, text, strlen(text));
}

/* The length of the reply at in + from, or 0: not all of it is there. Its strings, at most max of them, are in ret. */
static size_t reply(const struct wire *w, size_t from, struct bulk *ret, size_t max, size_t *ret_n)
{
	size_t at = from, n = 0;
	for (size_t wanted = 1; wanted > 0; wanted--) {
		size_t line = wire_line(w, at);
		if (!line)
			return 0;
		char type = w->in[at];
		long long value = atoll(w->in + at + 1);
		at += line;
		MUST(type != '-');
		if (type == '*' && value > 0)
			wanted += (size_t)value;
		if (type != '$' || value < 0)
			continue;
		if (w->n_in < at + (size_t)value + 2)
			return 0;
		MUST(n < max);
		ret[n++] = (struct bulk){ w->in + at, (size_t)value };
		at += (size_t)value + 2;
	}
	*ret_n = n;
	return at - from;
}

/* Replies that hold nothing of interest but that they came; consumes them. */
static size_t replies(struct wire *w)
{
	struct bulk some[2];
	size_t n = 0, strings;
	size_t at = 0;
	for (size_t len; (len = reply(w, at, some, ELEMENTS(some), &strings)) > 0; at += len)
		n++;
	wire_consume(w, at);
	return n;
}

/* Waits for one, without strings that matter, and consumes it. */
static void one_reply(struct wire *w)
{
	struct bulk some[2];
	size_t len, n;
	while (!(len = reply(w, 0, some, ELEMENTS(some), &n)))
		wires_turn((struct wire *const[]){ w }, 1, -1);
	wire_consume(w, len);
}

/* --- a producer --- */

static void stream_add(struct wire *w, const char *payload)
{
	command(w, 5);
	word(w, "XADD");
	word(w, "q");
	word(w, "*");
	word(w, "p");
	argument(w, payload, FLOW_PAYLOAD);
}

static void list_push(struct wire *w, const char *payload)
{
	command(w, 3);
	word(w, "LPUSH");
	word(w, "q");
	argument(w, payload, FLOW_PAYLOAD);
}

static void stream_produce(const struct server *s, struct flow *f, unsigned index) { wire_produce(s, f, index, stream_add, replies); }
static void list_produce(const struct server *s, struct flow *f, unsigned index) { wire_produce(s, f, index, list_push, replies); }

/* --- a consumer of a stream --- */

static void stream_prepare(const struct server *s)
{
	struct wire w;
	wire_open(&w, s);
	wire_say(&w, "XGROUP CREATE q g 0 MKSTREAM\r\n");
	one_reply(&w);
}

/* The reply's length; *ret_n: its entries. */
static size_t stream_read(struct wire *w, struct bulk *ret, size_t *ret_n)
{
	size_t len, n;
	while (!(len = reply(w, 0, ret, 3 * READ_MAX + 1, &n)))
		wires_turn((struct wire *const[]){ w }, 1, -1);
	MUST(n % 3 == 1); /* its name, then of each entry the id, the field, the value */
	*ret_n = n / 3;
	return len;
}

/* What was read has ended: XACK and XDEL, and the next read behind them. The two answers come when it is on the disk. */
static void stream_end(struct wire *w, const struct bulk *strings, size_t n, const char *next)
{
	command(w, n + 3);
	word(w, "XACK");
	word(w, "q");
	word(w, "g");
	for (size_t i = 0; i < n; i++)
		argument(w, strings[1 + 3 * i].data, strings[1 + 3 * i].len);
	command(w, n + 2);
	word(w, "XDEL");
	word(w, "q");
	for (size_t i = 0; i < n; i++)
		argument(w, strings[1 + 3 * i].data, strings[1 + 3 * i].len);
	wire_say(w, "%s", next);
}

static void stream_consume(const struct server *s, struct flow *f, unsigned index)
{
	static struct bulk strings[3 * READ_MAX + 1];
	struct wire w;
	char next[128];
	unsigned count = f->outstanding / f->n < READ_MAX ? f->outstanding / f->n : READ_MAX;
	wire_open(&w, s);
	snprintf(next, sizeof(next), "XREADGROUP GROUP g c%u COUNT %u BLOCK 0 STREAMS q >\r\n", index, count);
	wire_say(&w, "%s", next);
	for (;;) {
		uint64_t ended[FLOW_MAX] = { 0 };
		size_t n, len = stream_read(&w, strings, &n);
		for (size_t i = 0; i < n; i++)
			ended[flow_owner(strings[3 + 3 * i].data)]++;
		stream_end(&w, strings, n, next);
		wire_consume(&w, len);
		one_reply(&w);
		one_reply(&w);
		flow_finish(f, ended);
	}
}

/* --- a consumer of a list --- */

/* A connection that waits in BLMOVE does nothing else, so the LREMs have one of their own. */
static void list_move(struct wire *w, unsigned index, size_t n)
{
	for (size_t i = 0; i < n; i++)
		wire_say(w, "BLMOVE q own%u RIGHT LEFT 0\r\n", index);
}

static void list_remove(struct wire *w, unsigned index, const struct bulk *payload)
{
	char own[16];
	snprintf(own, sizeof(own), "own%u", index);
	command(w, 4);
	word(w, "LREM");
	word(w, own);
	word(w, "-1"); /* from the oldest end, where it is */
	argument(w, payload->data, payload->len);
}

static void list_consume(const struct server *s, struct flow *f, unsigned index)
{
	static uint8_t owners[4 * READ_MAX]; /* of the LREMs on their way: a ring */
	size_t put = 0, got = 0, len, strings;
	struct wire moves, removes;
	struct bulk payload;
	size_t most = f->outstanding / f->n < READ_MAX ? f->outstanding / f->n : READ_MAX;
	wire_open(&moves, s);
	wire_open(&removes, s);
	list_move(&moves, index, most);
	for (;;) {
		uint64_t ended[FLOW_MAX] = { 0 };
		size_t moved = 0, at = 0;
		wires_turn((struct wire *const[]){ &moves, &removes }, 2, -1);
		for (size_t n = replies(&removes); n > 0; n--)
			ended[owners[got++ % ELEMENTS(owners)]]++;
		flow_finish(f, ended);
		for (; put - got < ELEMENTS(owners) && (len = reply(&moves, at, &payload, 1, &strings)) > 0; at += len, moved++) {
			owners[put++ % ELEMENTS(owners)] = (uint8_t)flow_owner(payload.data);
			list_remove(&removes, index, &payload);
		}
		wire_consume(&moves, at);
		list_move(&moves, index, moved);
	}
}

/* --- a lone submitter --- */

static void *open_one(const struct server *s)
{
	struct wire *w = calloc(1, sizeof(*w));
	MUST(w);
	wire_open(w, s);
	return w;
}

static void stream_submit(void *self, const char *payload)
{
	stream_add(self, payload);
	one_reply(self);
}

static void list_submit(void *self, const char *payload)
{
	list_push(self, payload);
	one_reply(self);
}

const struct way way_redis_streams = { .name = "Redis, streams, appendfsync always", .server = &server_redis, .prepare = stream_prepare, .produce = stream_produce, .consume = stream_consume,
	.open = open_one, .submit = stream_submit };
const struct way way_redis_lists = { .name = "Redis, lists, appendfsync always", .server = &server_redis, .produce = list_produce, .consume = list_consume,
	.open = open_one, .submit = list_submit };
