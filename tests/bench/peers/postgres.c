/* PostgreSQL as a queue: a table, and consumers that take its oldest rows that no other has locked (SKIP LOCKED), do what they say, and commit their deletion. One row at a time,
 * as most libraries do, or in batches of half of what may be on its way. A consumer that finds nothing is told of new rows beside the database. */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/bench/bench.h"
#include "tests/bench/peers/ways.h"

#define BATCH_MAX 1000u

static PGconn *pg_open(const struct server *s)
{
	char where[192];
	postgres_where(s, where, sizeof(where));
	PGconn *c = PQconnectdb(where);
	if (PQstatus(c) != CONNECTION_OK)
		fprintf(stderr, "%s", PQerrorMessage(c));
	MUST(PQstatus(c) == CONNECTION_OK);
	return c;
}

static PGresult *checked(PGconn *c, PGresult *r)
{
	ExecStatusType status = PQresultStatus(r);
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		fprintf(stderr, "%s", PQerrorMessage(c));
	MUST(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK);
	return r;
}

static void say(PGconn *c, const char *sql)
{
	PQclear(checked(c, PQexec(c, sql)));
}

static void plan(PGconn *c, const char *name, const char *sql)
{
	PQclear(checked(c, PQprepare(c, name, sql, 0, NULL)));
}

static PGresult *run(PGconn *c, const char *name, const char *value)
{
	return checked(c, PQexecPrepared(c, name, 1, &value, NULL, NULL, 0));
}

static void prepare(const struct server *s)
{
	PGconn *c = pg_open(s);
	say(c, "CREATE TABLE q (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload text NOT NULL)");
	PQfinish(c);
}

static unsigned batch_of(const struct flow *f, bool one)
{
	unsigned n = one ? 1 : f->outstanding / f->n / 2;
	return n > BATCH_MAX ? BATCH_MAX : n > 0 ? n : 1;
}

/* An array of n texts, of which none needs quotes: {a,b,c}. */
static void insert(PGconn *c, unsigned index, uint64_t first, size_t n, char *text)
{
	char *at = text;
	*at++ = '{';
	for (size_t i = 0; i < n; i++) {
		flow_payload(index, first + i, at);
		at += FLOW_PAYLOAD;
		*at++ = i + 1 < n ? ',' : '}';
	}
	*at = '\0';
	PQclear(run(c, "insert", text));
}

static void produce(const struct server *s, struct flow *f, unsigned index, bool one)
{
	static char text[BATCH_MAX * (FLOW_PAYLOAD + 1) + 2];
	PGconn *c = pg_open(s);
	plan(c, "insert", "INSERT INTO q (payload) SELECT unnest($1::text[])");
	for (uint64_t number = 1, may = 0;;) {
		may += flow_take(f, index, may == 0);
		size_t n = may < batch_of(f, one) ? may : batch_of(f, one);
		insert(c, index, number, n, text);
		flow_accept(f, index, n, !f->open);
		number += n;
		may -= n;
	}
}

static void consume(const struct server *s, struct flow *f, unsigned index, bool one)
{
	char limit[16];
	PGconn *c = pg_open(s);
	snprintf(limit, sizeof(limit), "%u", batch_of(f, one));
	plan(c, "take", "DELETE FROM q WHERE id = ANY (ARRAY (SELECT id FROM q ORDER BY id FOR UPDATE SKIP LOCKED LIMIT $1::int)) RETURNING payload");
	say(c, "BEGIN");
	for (;;) {
		uint64_t ended[FLOW_MAX] = { 0 };
		PGresult *r = run(c, "take", limit);
		int n = PQntuples(r);
		for (int i = 0; i < n; i++)
			ended[flow_owner(PQgetvalue(r, i, 0))]++;
		PQclear(r);
		if (n == 0) {
			flow_work(f);
			continue;
		}
		say(c, "COMMIT; BEGIN"); /* one round trip: the first is on the disk when it ends */
		flow_finish(f, ended);
	}
}

static void one_produce(const struct server *s, struct flow *f, unsigned index) { produce(s, f, index, true); }
static void one_consume(const struct server *s, struct flow *f, unsigned index) { consume(s, f, index, true); }
static void batch_produce(const struct server *s, struct flow *f, unsigned index) { produce(s, f, index, false); }
static void batch_consume(const struct server *s, struct flow *f, unsigned index) { consume(s, f, index, false); }

static void *open_one(const struct server *s)
{
	PGconn *c = pg_open(s);
	plan(c, "insert", "INSERT INTO q (payload) VALUES ($1)");
	return c;
}

static void submit(void *self, const char *payload)
{
	char text[FLOW_PAYLOAD + 1];
	memcpy(text, payload, FLOW_PAYLOAD);
	text[FLOW_PAYLOAD] = '\0';
	PQclear(run(self, "insert", text));
}

const struct way way_postgres_one = { .name = "PostgreSQL, SKIP LOCKED, one at a time", .server = &server_postgres, .slow = true, .prepare = prepare, .produce = one_produce,
	.consume = one_consume, .open = open_one, .submit = submit };
const struct way way_postgres_batches = { .name = "PostgreSQL, SKIP LOCKED, batches", .server = &server_postgres, .prepare = prepare, .produce = batch_produce, .consume = batch_consume,
	.open = open_one, .submit = submit };
