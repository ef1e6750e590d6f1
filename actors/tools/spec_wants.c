/* What a task as a JSON object says of retries, resources and the tasks that it waits for. */
#include "actors/tools/spec_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/wire/policy.h"

/* Rules as an array of them, or as one text with commas between. */
static int read_rules(const json_t *v, struct retry_rule rules[RETRY_RULES_MAX], size_t *ret_n, struct error *e)
{
	const json_t *rule;
	size_t i;
	if (json_is_string(v))
		return parse_retry_rules(json_string_value(v), rules, ret_n, e);
	if (!json_is_array(v) || json_array_size(v) > RETRY_RULES_MAX)
		return error_set(e, ERROR_BAD_REQUEST, "retry must be an array of at most %u rules, such as [\"exit 3: dead\"]", RETRY_RULES_MAX);
	json_array_foreach(v, i, rule) {
		if (!json_is_string(rule))
			return error_set(e, ERROR_BAD_REQUEST, "retry must be an array of strings");
		int code = parse_retry_rule(json_string_value(rule), json_string_length(rule), &rules[i], e);
		if (code)
			return code;
	}
	*ret_n = json_array_size(v);
	return retry_rules_check(rules, *ret_n, e);
}

int spec_rules(const struct retry_rule *rules, size_t n, struct arena *a, Troupe__TaskSpec *t)
{
	if (!t->retry) {
		t->retry = arena_alloc(a, sizeof *t->retry);
		if (!t->retry)
			return -ENOMEM;
		troupe__retry_policy__init(t->retry);
	}
	t->retry->rules = arena_zalloc(a, (n + 1) * sizeof *t->retry->rules);
	if (!t->retry->rules)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		t->retry->rules[i] = arena_alloc(a, sizeof **t->retry->rules);
		if (!t->retry->rules[i])
			return -ENOMEM;
		retry_rule_to_message(&rules[i], t->retry->rules[i]);
	}
	t->retry->n_rules = n;
	return 0;
}

int spec_read_retry(const json_t *j, struct arena *a, Troupe__TaskSpec *t, struct error *e)
{
	const json_t *most = json_object_get(j, "max_attempts"), *v = json_object_get(j, "retry");
	struct retry_rule rules[RETRY_RULES_MAX];
	size_t n = 0;
	if (!most && !v)
		return 0;
	if (most && (!json_is_integer(most) || json_integer_value(most) < 1 || json_integer_value(most) > 1000000))
		return error_set(e, ERROR_BAD_REQUEST, "max_attempts must be a number from 1 to 1000000");
	int code = v ? read_rules(v, rules, &n, e) : 0;
	if (code == 0)
		code = spec_rules(rules, n, a, t);
	if (code == 0 && most)
		t->retry->max_attempts = (uint32_t)json_integer_value(most);
	return code;
}

int spec_resource(const struct resource_amount *r, struct arena *a, Troupe__TaskSpec *t, struct error *e)
{
	for (size_t i = 0; i < t->n_resources; i++)
		if (strcmp(t->resources[i]->name, r->name) == 0)
			return error_set(e, ERROR_BAD_REQUEST, "the resource %s is named twice", r->name);
	if (t->n_resources == SPEC_RESOURCES_MAX)
		return error_set(e, ERROR_BAD_REQUEST, "a task asks for at most %u resources", SPEC_RESOURCES_MAX);
	if (!t->resources)
		t->resources = arena_zalloc(a, SPEC_RESOURCES_MAX * sizeof *t->resources);
	Troupe__Resource *m = arena_alloc(a, sizeof *m);
	if (!t->resources || !m)
		return -ENOMEM;
	troupe__resource__init(m);
	m->amount = r->amount;
	m->name = arena_string(a, r->name);
	t->resources[t->n_resources++] = m;
	return m->name ? 0 : -ENOMEM;
}

/* {"gpu": 1, "mem": "4G"} */
int spec_read_resources(const json_t *j, struct arena *a, Troupe__TaskSpec *t, struct error *e)
{
	json_t *v = json_object_get(j, "resources"), *amount;
	const char *name;
	if (!v)
		return 0;
	if (!json_is_object(v))
		return error_set(e, ERROR_BAD_REQUEST, "resources must be an object, such as {\"gpu\": 1, \"mem\": \"4G\"}");
	json_object_foreach(v, name, amount) {
		char text[RESOURCE_TEXT + 32];
		struct resource_amount r;
		int n = json_is_integer(amount) ? snprintf(text, sizeof text, "%s %lld", name, (long long)json_integer_value(amount)) :
			json_is_string(amount)  ? snprintf(text, sizeof text, "%s %s", name, json_string_value(amount)) :
						  snprintf(text, sizeof text, "%s", name);
		int code = parse_resource(text, n < (int)sizeof text ? (size_t)n : sizeof text - 1, &r, e);
		if (code == 0)
			code = spec_resource(&r, a, t, e);
		if (code != 0)
			return code;
	}
	return 0;
}

/* --- what it waits for --- */

int spec_edge(const struct id *id, Troupe__EdgeOn on, struct arena *a, Troupe__TaskSpec *t, struct error *e)
{
	if (t->n_depends_on == SPEC_EDGES_MAX)
		return error_set(e, ERROR_BAD_REQUEST, "a task waits for at most %u others", SPEC_EDGES_MAX);
	for (size_t i = 0; i < t->n_depends_on; i++)
		if (memcmp(t->depends_on[i]->id.data, id->b, sizeof id->b) == 0)
			return error_set(e, ERROR_BAD_REQUEST, "it waits for the same task twice");
	size_t n = t->n_depends_on;
	Troupe__Edge *m = arena_alloc(a, sizeof *m);
	if (m && (n & (n - 1)) == 0) { /* 0, or full: 1, 2, 4 ... */
		Troupe__Edge **more = arena_zalloc(a, (n ? 2 * n : 1) * sizeof *more);
		if (more && n)
			memcpy(more, t->depends_on, n * sizeof *more);
		t->depends_on = more;
	}
	if (!t->depends_on || !m)
		return -ENOMEM;
	troupe__edge__init(m);
	m->on = on;
	m->id.len = sizeof id->b;
	m->id.data = arena_copy(a, id->b, sizeof id->b);
	t->depends_on[t->n_depends_on++] = m;
	return m->id.data ? 0 : -ENOMEM;
}

static int read_on(const json_t *j, Troupe__EdgeOn *ret, struct error *e)
{
	static const char *const words[] = { "success", "end", "failure" };
	const char *text = NULL;
	int code = spec_text(j, "on", &text, e);
	if (code != 0 || !text)
		return code;
	for (size_t i = 0; i < ELEMENTS(words); i++)
		if (strcmp(words[i], text) == 0) {
			*ret = (Troupe__EdgeOn)i;
			return 0;
		}
	return error_set(e, ERROR_BAD_REQUEST, "on must be success, end or failure, not '%.40s'", text);
}

/* "X", {"id": "X", "on": "end"} or, where there are names, {"name": "X", "on": "end"}. */
static int read_edge(const json_t *v, const struct spec_context *c, Troupe__EdgeOn on, struct arena *a, Troupe__TaskSpec *t, struct error *e)
{
	const char *name = json_string_value(v), *text = NULL;
	struct id id;
	int code = 0;
	if (json_is_object(v)) {
		code = spec_text(v, "name", &name, e);
		code = code ? code : spec_text(v, "id", &text, e);
		code = code ? code : read_on(v, &on, e);
		size_t known = (json_object_get(v, "name") != NULL) + (json_object_get(v, "id") != NULL) + (json_object_get(v, "on") != NULL);
		if (code == 0 && (known != json_object_size(v) || !name == !text || (name && !c->find)))
			return error_set(e, ERROR_BAD_REQUEST, "an object in after has %s, and on where it is not success", c->find ? "a name, or an id" : "an id");
	} else if (!name) {
		return error_set(e, ERROR_BAD_REQUEST, "after must be an array of %s", c->find ? "names, or of objects with a name or an id" : "ids, or of objects with an id");
	} else if (!c->find) {
		text = name;
	}
	if (code == 0)
		code = text ? id_parse(text, &id, e) : c->find(c->ctx, name, &id, e);
	return code ? code : spec_edge(&id, on, a, t, e);
}

int spec_read_after(const json_t *j, const struct spec_context *c, struct arena *a, Troupe__TaskSpec *t, struct error *e)
{
	const json_t *v = json_object_get(j, "after"), *hold = json_object_get(j, "hold"), *edge;
	Troupe__EdgeOn on = TROUPE__EDGE_ON__ON_SUCCESS;
	size_t i;
	if (hold && !json_is_boolean(hold))
		return error_set(e, ERROR_BAD_REQUEST, "hold must be true or false");
	t->hold_on_failure = json_is_true(hold);
	int code = c->find ? read_on(j, &on, e) : 0;
	if (code != 0 || !v)
		return code;
	if (!json_is_array(v))
		return error_set(e, ERROR_BAD_REQUEST, "after must be an array");
	json_array_foreach(v, i, edge) {
		code = read_edge(edge, c, on, a, t, e);
		if (code != 0)
			return code;
	}
	return 0;
}
