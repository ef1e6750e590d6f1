/* Sections queue, limits and role. */
#include "supervisor/config_parts.h"

#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/parse.h"
#include "common/base/rate.h"

/* What the file says for a key: one value, or a list with commas between. Caller frees; NULL: not said. */
static char *queue_value(struct text *t, cfg_t *s, const char *key)
{
	char *joined = NULL;
	size_t size, n = 0;
	if (!policy_key_is_list(key)) {
		const char *v = text_string(t, s, key);
		return v ? strdup(v) : NULL;
	}
	char **list = text_list(t, s, key, &n);
	FILE *f = list ? open_memstream(&joined, &size) : NULL;
	for (size_t i = 0; f && i < n; i++)
		fprintf(f, "%s%s", i ? ", " : "", list[i]);
	if (f)
		fclose(f);
	strings_free(list);
	return joined;
}

static void read_policy(struct config *c, struct text *t, cfg_t *s, Troupe__QueuePolicy *p)
{
	const char *at = NULL;
	struct error e = { 0 };
	unsigned before = t->n_errors;
	for (const char *const *key = policy_keys; *key; key++) {
		_cleanup_(freep) char *value = queue_value(t, s, *key);
		if (value && policy_set(p, *key, value, &e) > 0)
			text_complain(t, s, *key, strstr(e.text, "is not within") ? "config-range" : "config-value", e.cure, "%s", e.text);
	}
	if (t->n_errors == before && policy_check(p, &at, &e))
		text_complain(t, s, at, "config-range", e.cure, "%s", e.text);
	if (c->coordinator.concurrency && p->concurrency > c->coordinator.concurrency)
		text_complain(t, s, "concurrency", "config-range", "lower it, or raise the one at the top", "concurrency = %u can never be reached: the whole node has %u", p->concurrency,
		              c->coordinator.concurrency);
}

Troupe__QueuePolicy *read_queue(struct config *c, struct text *t, cfg_t *s)
{
	const char *name = cfg_title(s);
	char prefix[160], value[POLICY_TEXT];
	Troupe__QueuePolicy *p = policy_new(name);
	if (!p)
		return NULL;
	read_policy(c, t, s, p);
	if (strlen(name) == 0 || strlen(name) > 128 || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != strlen(name))
		text_complain(t, s, NULL, "config-name", "use letters, digits, '.', '_' and '-', at most 128", "queue name \"%s\" is not valid", name);
	snprintf(prefix, sizeof prefix, "queue.%.128s.", name);
	for (const char *const *key = policy_keys; *key; key++)
		source_note(c, t, s, prefix, *key, policy_get(p, *key, value, sizeof value));
	return p;
}

Troupe__Resource **read_resources(struct text *t, cfg_t *s, size_t *ret_n)
{
	size_t n = 0;
	char **list = text_list(t, s, "resources", &n);
	Troupe__Resource **all = n ? calloc(n, sizeof *all) : NULL;
	*ret_n = 0;
	if (n > POOL_RESOURCES_MAX)
		text_complain(t, s, "resources", "config-range", "leave some out", "resources names %zu, more than %u", n, POOL_RESOURCES_MAX);
	for (size_t i = 0; all && i < n && i < POOL_RESOURCES_MAX; i++) {
		struct error e = { 0 };
		struct resource_amount r;
		bool twice = false;
		if (parse_resource(list[i], strlen(list[i]), &r, &e)) {
			text_complain(t, s, "resources", "config-value", e.cure, "resources: %s", e.text);
			continue;
		}
		for (size_t k = 0; k < *ret_n; k++)
			twice |= strcmp(all[k]->name, r.name) == 0;
		if (twice) {
			text_complain(t, s, "resources", "config-duplicate", "say how much of it there is in all, once", "resources names %s twice", r.name);
			continue;
		}
		Troupe__Resource *m = calloc(1, sizeof *m);
		if (!m)
			break;
		troupe__resource__init(m);
		m->name = strdup(r.name);
		m->amount = r.amount;
		all[(*ret_n)++] = m;
	}
	strings_free(list);
	return all;
}

void resources_free(Troupe__Resource **all, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(all[i]->name);
		free(all[i]);
	}
	free(all);
}

void read_limits(struct config *c, struct text *t)
{
	cfg_t *s = cfg_getsec(t->top, "limits");
	uint64_t messages = 10000, connections = 4096, frame = MIB, bytes = 16 * MIB, output = 4 * MIB, payload = 64 * 1024;
	if (s) {
		text_size(t, s, "frame", 128 * 1024, 16 * MIB, &frame);
		text_number(t, s, "mailbox_messages", 16, 1000000, &messages);
		text_size(t, s, "mailbox_bytes", MIB, 1024 * MIB, &bytes);
		text_size(t, s, "output", 64 * 1024, 1024 * MIB, &output);
		text_number(t, s, "connections", 8, 65536, &connections);
		text_size(t, s, "payload", 0, 64 * 1024, &payload);
	}
	troupe__limits__init(&c->limits);
	c->limits.frame = frame;
	c->limits.frame_envelopes = 4096;
	c->limits.mailbox_messages = (uint32_t)messages;
	c->limits.mailbox_bytes = bytes;
	c->limits.output_bytes = output;
	c->limits.connections = (uint32_t)connections;
	c->limits.payload = payload;
	c->limits.credit = 1024;
	c->limits.anonymous_credit = 16;
}

static Troupe__RoleRule *role_new(struct config *c, Troupe__Role role)
{
	Troupe__RoleRule **more = reallocarray(c->roles, c->n_roles + 1, sizeof *more);
	Troupe__RoleRule *r = calloc(1, sizeof *r);
	if (more)
		c->roles = more;
	if (!more || !r) {
		free(r);
		return NULL;
	}
	troupe__role_rule__init(r);
	r->role = role;
	c->roles[c->n_roles++] = r;
	return r;
}

static void role_add(uint32_t **list, size_t *n, uint32_t id)
{
	uint32_t *more = reallocarray(*list, *n + 1, sizeof *more);
	if (more) {
		*list = more;
		more[(*n)++] = id;
	}
}

void read_role(struct config *c, struct text *t, cfg_t *s)
{
	static const struct { const char *name; Troupe__Role role; } names[] = { { "viewer", TROUPE__ROLE__VIEWER }, { "submitter", TROUPE__ROLE__SUBMITTER },
		{ "operator", TROUPE__ROLE__OPERATOR }, { "admin", TROUPE__ROLE__ADMIN } };
	Troupe__Role role = TROUPE__ROLE__ROLE_NONE;
	for (size_t i = 0; i < ELEMENTS(names); i++)
		if (strcmp(cfg_title(s), names[i].name) == 0)
			role = names[i].role;
	if (role == TROUPE__ROLE__ROLE_NONE) {
		text_complain(t, s, NULL, "config-role", "write viewer, submitter, operator or admin", "there is no role \"%s\"", cfg_title(s));
		return;
	}
	Troupe__RoleRule *r = role_new(c, role);
	if (!r)
		return;
	for (unsigned i = 0; i < cfg_size(s, "users"); i++) {
		const char *name = cfg_getnstr(s, "users", i);
		struct passwd *pw = getpwnam(name);
		uint64_t uid;
		if (strcmp(name, "*") == 0)
			r->everybody = true;
		else if (pw)
			role_add(&r->uids, &r->n_uids, pw->pw_uid);
		else if (parse_number(name, 0, UINT32_MAX - 1, &uid, NULL) == 0)
			role_add(&r->uids, &r->n_uids, (uint32_t)uid);
		else
			text_complain(t, s, "users", "config-user", "create the user, or take the name out", "there is no user \"%s\"", name);
	}
	for (unsigned i = 0; i < cfg_size(s, "groups"); i++) {
		const char *name = cfg_getnstr(s, "groups", i);
		struct group *gr = getgrnam(name);
		uint64_t gid;
		if (gr)
			role_add(&r->gids, &r->n_gids, gr->gr_gid);
		else if (parse_number(name, 0, UINT32_MAX - 1, &gid, NULL) == 0)
			role_add(&r->gids, &r->n_gids, (uint32_t)gid);
		else
			text_complain(t, s, "groups", "config-user", "create the group, or take the name out", "there is no group \"%s\"", name);
	}
}

static int role_cmp(const void *a, const void *b)
{
	const Troupe__RoleRule *x = *(Troupe__RoleRule *const *)a, *y = *(Troupe__RoleRule *const *)b;
	return (int)y->role - (int)x->role;
}

/* The first rule that matches holds, so the highest role stands first. */
void roles_finish(struct config *c)
{
	if (c->n_roles == 0) {
		Troupe__RoleRule *admin = role_new(c, TROUPE__ROLE__ADMIN);
		if (admin) {
			role_add(&admin->uids, &admin->n_uids, 0);
			if (geteuid() != 0)
				role_add(&admin->uids, &admin->n_uids, geteuid());
		}
		struct group *gr = getgrnam("troupe");
		Troupe__RoleRule *operators = gr ? role_new(c, TROUPE__ROLE__OPERATOR) : NULL;
		if (operators)
			role_add(&operators->gids, &operators->n_gids, gr->gr_gid);
	}
	qsort(c->roles, c->n_roles, sizeof *c->roles, role_cmp);
}
