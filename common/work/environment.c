#include "common/work/environment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"

void environment_fini(struct environment *v)
{
	while (v->n)
		free(v->all[--v->n]);
	free(v->all);
	*v = (struct environment){ 0 };
}

int environment_set(struct environment *v, const char *key, const char *value)
{
	size_t len = strlen(key), at = 0;
	if (!len || strchr(key, '='))
		return 0;
	char *entry;
	if (asprintf(&entry, "%s=%s", key, value) < 0)
		return -ENOMEM;
	while (at < v->n && !(strncmp(v->all[at], key, len) == 0 && v->all[at][len] == '='))
		at++;
	if (at < v->n) {
		free(v->all[at]);
		v->all[at] = entry;
		return 0;
	}
	if (v->n + 2 > v->room) {
		size_t room = v->room ? 2 * v->room : 32;
		char **grown = realloc(v->all, room * sizeof(*grown));
		if (!grown) {
			free(entry);
			return -ENOMEM;
		}
		v->all = grown;
		v->room = room;
	}
	v->all[v->n++] = entry;
	v->all[v->n] = NULL;
	return 0;
}

int environment_base(struct environment *v, const Troupe__PoolSetup *pool)
{
	/* The last two are how the supervisor tells whose a process is that it finds without a parent. */
	static const char *const kept[] = { "PATH", "LANG", "LC_ALL", "TZ", "HOME", "USER", "TROUPE_CHILD", "TROUPE_NODE" };
	int r = environment_set(v, "PATH", "/usr/local/bin:/usr/bin:/bin");
	for (size_t i = 0; !r && i < ELEMENTS(kept); i++) {
		const char *value = getenv(kept[i]);
		if (value)
			r = environment_set(v, kept[i], value);
	}
	for (size_t i = 0; !r && i < pool->n_environment; i++)
		r = environment_set(v, pool->environment[i]->key, pool->environment[i]->value);
	return r;
}

static int set_number(struct environment *v, const char *key, uint64_t n)
{
	char text[24];
	snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	return environment_set(v, key, text);
}

static int set_tags(struct environment *v, const struct task *t)
{
	size_t len = 1;
	for (size_t i = 0; i < t->n_tags; i++)
		len += strlen(t->tags[i]) + 1;
	_cleanup_(freep) char *text = malloc(len);
	if (!text)
		return -ENOMEM;
	char *at = text;
	*at = '\0';
	for (size_t i = 0; i < t->n_tags; i++) {
		if (i)
			*at++ = ',';
		at = stpcpy(at, t->tags[i]);
	}
	return environment_set(v, "TROUPE_TAGS", text);
}

int environment_task(struct environment *v, const struct task *t, const char *payload_file)
{
	uint64_t stopped_at_ms = task_stopped_at_ms(t);
	int r = environment_set(v, "TROUPE_TASK", t->id_text);
	if (!r)
		r = environment_set(v, "TROUPE_QUEUE", t->queue);
	if (!r)
		r = set_number(v, "TROUPE_ATTEMPT", t->attempt_number);
	if (!r)
		r = set_number(v, "TROUPE_MAX_ATTEMPTS", t->max_attempts);
	if (!r)
		r = set_number(v, "TROUPE_TOKEN", t->token);
	if (!r)
		r = set_tags(v, t);
	if (!r && stopped_at_ms)
		r = set_number(v, "TROUPE_DEADLINE_MS", stopped_at_ms);
	if (!r && *t->traceparent)
		r = environment_set(v, "TROUPE_TRACEPARENT", t->traceparent);
	if (!r && *t->traceparent)
		r = environment_set(v, "TRACEPARENT", t->traceparent); /* where tracing libraries look */
	if (!r && payload_file)
		r = environment_set(v, "TROUPE_PAYLOAD_FILE", payload_file);
	return r;
}
