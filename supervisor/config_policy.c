/* Sections queue, limits and role. */
#include "supervisor/config_parts.h"

#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/parse.h"

Troupe__QueuePolicy *policy_new(const char *name)
{
	Troupe__QueuePolicy *p = calloc(1, sizeof *p);
	Troupe__RetryPolicy *r = calloc(1, sizeof *r);
	if (!p || !r) {
		free(p);
		free(r);
		return NULL;
	}
	troupe__queue_policy__init(p);
	troupe__retry_policy__init(r);
	p->name = strdup(name);
	p->retry = r;
	*r = (Troupe__RetryPolicy){ .base = r->base, .max_attempts = 3, .base_ms = 1000, .factor_pct = 200, .cap_ms = 600000, .jitter_pct = 20 };
	p->timeout_ms = 3600000;
	p->grace_ms = 5000;
	p->result_ttl_ms = DAY_MS;
	p->result_max = 64 * 1024;
	p->poison_after = 3;
	return p;
}

void policy_free(Troupe__QueuePolicy *p)
{
	if (!p)
		return;
	free(p->name);
	free(p->retry);
	free(p);
}

Troupe__QueuePolicy *read_queue(struct config *c, struct text *t, cfg_t *s)
{
	Troupe__QueuePolicy *p = policy_new(cfg_title(s));
	if (!p)
		return NULL;
	uint64_t attempts = p->retry->max_attempts, jitter = p->retry->jitter_pct, poison = p->poison_after, factor = p->retry->factor_pct / 100;
	text_number(t, s, "max_attempts", 1, 1000, &attempts);
	text_number(t, s, "jitter", 0, 100, &jitter);
	text_number(t, s, "poison_after", 0, 1000, &poison);
	text_number(t, s, "backoff_factor", 1, 100, &factor);
	text_duration(t, s, "backoff_base", 0, DAY_MS, &p->retry->base_ms);
	text_duration(t, s, "backoff_cap", 0, 30 * DAY_MS, &p->retry->cap_ms);
	text_duration(t, s, "timeout", 0, 30 * DAY_MS, &p->timeout_ms);
	text_duration(t, s, "grace", 0, 3600000, &p->grace_ms);
	text_duration(t, s, "result_ttl", 3600000, 3650 * DAY_MS, &p->result_ttl_ms);
	text_size(t, s, "result_max", 0, 768 * 1024, &p->result_max);
	text_number(t, s, "max_tasks", 0, UINT64_MAX, &p->max_tasks);
	p->retry->max_attempts = (uint32_t)attempts;
	p->retry->jitter_pct = (uint32_t)jitter;
	p->retry->factor_pct = (uint32_t)factor * 100;
	p->poison_after = (uint32_t)poison;
	const char *backoff = text_string(t, s, "backoff");
	if (backoff && strcmp(backoff, "linear") == 0)
		p->retry->backoff = TROUPE__RETRY_POLICY__BACKOFF__LINEAR;
	else if (backoff && strcmp(backoff, "exponential") != 0)
		text_complain(t, s, "backoff", "config-value", "write exponential or linear", "backoff = %s is no kind of backoff", backoff);
	if (p->retry->cap_ms < p->retry->base_ms)
		text_complain(t, s, "backoff_cap", "config-range", "raise backoff_cap or lower backoff_base", "backoff_cap is below backoff_base");
	const char *name = cfg_title(s);
	if (strlen(name) == 0 || strlen(name) > 128 || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != strlen(name))
		text_complain(t, s, NULL, "config-name", "use letters, digits, '.', '_' and '-', at most 128", "queue name \"%s\" is not valid", name);
	(void)c;
	return p;
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
