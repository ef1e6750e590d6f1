/* The policy of a queue: the configuration's, or the standard one, with what was set at run time on top, field by field. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "common/base/parse.h"

enum where { OF_QUEUE, OF_RETRY };
struct field { const char *name; enum where where; unsigned number; }; /* of proto/queue.proto */

/* By their names in the configuration. */
static const struct field fields[] = {
	{ "max_attempts", OF_RETRY, 1 }, { "backoff", OF_RETRY, 2 }, { "backoff_base", OF_RETRY, 3 }, { "backoff_factor", OF_RETRY, 4 }, { "backoff_cap", OF_RETRY, 5 },
	{ "jitter", OF_RETRY, 6 }, { "backoff_list", OF_RETRY, 7 }, { "retry", OF_RETRY, 8 }, { "timeout", OF_QUEUE, 3 }, { "grace", OF_QUEUE, 4 }, { "result_ttl", OF_QUEUE, 5 },
	{ "result_max", OF_QUEUE, 6 }, { "max_tasks", OF_QUEUE, 7 }, { "max_bytes", OF_QUEUE, 8 }, { "poison_after", OF_QUEUE, 9 }, { "full", OF_QUEUE, 11 }, { "max_age", OF_QUEUE, 12 },
	{ "concurrency", OF_QUEUE, 13 }, { "rate", OF_QUEUE, 14 }, { "key_concurrency", OF_QUEUE, 15 }, { "key_rate", OF_QUEUE, 16 }, { "ageing", OF_QUEUE, 17 }, { "fair", OF_QUEUE, 18 },
};

static const struct field *field_find(const char *name)
{
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (strcmp(fields[i].name, name) == 0)
			return &fields[i];
	return NULL;
}

/* One member, with its quantifier, from one message to another of the same type. Pointers are shared. */
static void member_copy(const ProtobufCMessageDescriptor *d, unsigned number, void *to, const void *from)
{
	const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field(d, number);
	size_t size = f->label == PROTOBUF_C_LABEL_REPEATED || f->type == PROTOBUF_C_TYPE_MESSAGE ? sizeof(void *)
	              : f->type == PROTOBUF_C_TYPE_UINT64                                        ? sizeof(uint64_t)
	                                                                                         : sizeof(uint32_t);
	memcpy((char *)to + f->offset, (const char *)from + f->offset, size);
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		memcpy((char *)to + f->quantifier_offset, (const char *)from + f->quantifier_offset, sizeof(size_t));
}

static void field_copy(const struct field *f, Troupe__QueuePolicy *to, Troupe__RetryPolicy *to_retry, const Troupe__QueuePolicy *from)
{
	static const Troupe__RetryPolicy nothing = TROUPE__RETRY_POLICY__INIT;
	if (f->where == OF_QUEUE)
		member_copy(&troupe__queue_policy__descriptor, f->number, to, from);
	else
		member_copy(&troupe__retry_policy__descriptor, f->number, to_retry, from->retry ? from->retry : &nothing);
}

void queue_policy_use(struct coordinator *c, struct queue *q)
{
	const Troupe__QueuePolicy *base = q->configured ? q->configured : c->setup->defaults;
	q->policy = base;
	if (!q->r.policy || !q->r.n_changed)
		return;
	q->own = *base;
	q->own_retry = base->retry ? *base->retry : (Troupe__RetryPolicy)TROUPE__RETRY_POLICY__INIT;
	q->own.retry = &q->own_retry;
	for (size_t i = 0; i < q->r.n_changed; i++) {
		const struct field *f = field_find(q->r.changed[i]);
		if (f)
			field_copy(f, &q->own, &q->own_retry, q->r.policy);
	}
	q->policy = &q->own;
}

static int check(const Troupe__QueuePolicy *p, struct error *e)
{
	if (p->full > TROUPE__QUEUE_POLICY__FULL__DROP_OLDEST || (p->retry && (p->retry->jitter_pct > 100 || p->retry->n_rules > 32 || p->retry->n_delays_ms > 100)))
		return error_set(e, ERROR_BAD_REQUEST, "a value of the policy is out of range");
	if (p->ageing_ms && p->ageing_ms < 60000)
		return error_set(e, ERROR_BAD_REQUEST, "ageing is at least a minute, or 0");
	const Troupe__Rate *rates[] = { p->rate, p->key_rate };
	for (size_t i = 0; i < 2; i++)
		if (rates[i] && rates[i]->tokens && (!rates[i]->per_ms || rates[i]->tokens > 1000000000 || rates[i]->burst > 1000000000))
			return error_set(e, ERROR_BAD_REQUEST, "a rate is 1 to 1,000,000,000 in a time");
	return 0;
}

void queue_policy_free(struct queue *q)
{
	if (q->r.policy)
		troupe__queue_policy__free_unpacked(q->r.policy, NULL);
	for (size_t i = 0; i < q->r.n_changed; i++)
		free(q->r.changed[i]);
	free(q->r.changed);
	q->r.policy = NULL;
	q->r.changed = NULL;
	q->r.n_changed = 0;
}

/* Copies of both, in memory of their own. */
int queue_policy_keep(struct queue *q, const Troupe__QueuePolicy *p, char *const *names, size_t n)
{
	size_t len = troupe__queue_policy__get_packed_size(p);
	uint8_t *data = malloc(len + 1);
	char **changed = calloc(n + 1, sizeof *changed);
	size_t kept = 0;
	if (data)
		troupe__queue_policy__pack(p, data);
	Troupe__QueuePolicy *copy = data ? troupe__queue_policy__unpack(NULL, len, data) : NULL;
	while (changed && kept < n && (changed[kept] = strdup(names[kept])))
		kept++;
	free(data);
	if (!copy || kept < n) {
		while (kept)
			free(changed[--kept]);
		free(changed);
		if (copy)
			troupe__queue_policy__free_unpacked(copy, NULL);
		return -ENOMEM;
	}
	queue_policy_free(q);
	q->r.policy = copy;
	q->r.changed = changed;
	q->r.n_changed = n;
	return 0;
}

int queue_policy_check(const Troupe__QueueOrder *o, struct error *e)
{
	for (size_t i = 0; i < o->n_fields; i++)
		if (!field_find(o->fields[i])) {
			const char *names[sizeof fields / sizeof *fields];
			for (size_t k = 0; k < sizeof fields / sizeof *fields; k++)
				names[k] = fields[k].name;
			const char *near = suggest(o->fields[i], names, sizeof fields / sizeof *fields);
			error_set(e, ERROR_BAD_REQUEST, "a queue's policy has no \"%.60s\"", o->fields[i]);
			if (near)
				error_cure(e, "did you mean %s?", near);
			return ERROR_BAD_REQUEST;
		}
	if (o->n_fields && !o->policy)
		return error_set(e, ERROR_BAD_REQUEST, "fields are named, and there is no policy");
	return o->policy ? check(o->policy, e) : 0;
}

int queue_policy_set(struct coordinator *c, struct queue *q, const Troupe__QueueOrder *o)
{
	Troupe__QueuePolicy merged = TROUPE__QUEUE_POLICY__INIT;
	Troupe__RetryPolicy retry = TROUPE__RETRY_POLICY__INIT;
	char *names[sizeof fields / sizeof *fields];
	size_t n = 0;
	q->changed = true;
	if (!o->n_fields) {
		queue_policy_free(q);
		queue_policy_use(c, q);
		return 0;
	}
	merged.retry = &retry;
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		const struct field *f = &fields[i];
		bool old = false, new = false;
		for (size_t k = 0; k < q->r.n_changed; k++)
			old |= strcmp(q->r.changed[k], f->name) == 0;
		for (size_t k = 0; k < o->n_fields; k++)
			new |= strcmp(o->fields[k], f->name) == 0;
		if (old || new) {
			field_copy(f, &merged, &retry, new ? o->policy : q->r.policy);
			names[n++] = (char *)f->name;
		}
	}
	int r = queue_policy_keep(q, &merged, names, n);
	queue_policy_use(c, q);
	return r;
}
