/* What a client may do: the first rule that matches its uid or one of its groups gives the role.
 *
 * The kernel says uid and primary gid of the peer; the other groups are those that the uid has in the user database. The answer is kept for a minute, for
 * 64 uids, because a look-up may go over the network. */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include "common/actor/internal.h"

#define KEEP_MS 60000u
#define GROUPS_MAX 256

static bool in_list(uint32_t id, const uint32_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

static bool rule_matches(const Troupe__RoleRule *r, uid_t uid, const gid_t *gids, int n_gids)
{
	if (r->everybody || in_list(uid, r->uids, r->n_uids))
		return true;
	for (int i = 0; i < n_gids; i++)
		if (in_list(gids[i], r->gids, r->n_gids))
			return true;
	return false;
}

static void identity_look_up(struct actor *a, const struct channel_peer *p, struct identity *ret)
{
	char buffer[4096];
	struct passwd pw, *found = NULL;
	gid_t gids[GROUPS_MAX] = { p->gid };
	int n_gids = 1;
	ret->name[0] = '\0';
	if (getpwuid_r(p->uid, &pw, buffer, sizeof buffer, &found) == 0 && found) {
		snprintf(ret->name, sizeof ret->name, "%s", found->pw_name);
		int n = GROUPS_MAX - 1;
		if (getgrouplist(found->pw_name, p->gid, gids + 1, &n) >= 0)
			n_gids += n;
		else
			n_gids = GROUPS_MAX; /* more than we look at; those that fitted count */
	}
	ret->role = TROUPE__ROLE__ROLE_NONE;
	for (size_t i = 0; i < a->setup->n_roles; i++)
		if (rule_matches(a->setup->roles[i], p->uid, gids, n_gids)) {
			ret->role = a->setup->roles[i]->role;
			break;
		}
}

Troupe__Role role_of(struct actor *a, const struct channel_peer *p, char *subject, size_t size)
{
	if (!p->local || p->uid == (uid_t)-1) {
		snprintf(subject, size, "remote %s", p->remote);
		return TROUPE__ROLE__ROLE_NONE;
	}
	/* The gid is part of the question: one uid may come with several. */
	uint64_t now = loop_now_ms(a->loop);
	struct identity *i = &a->roles.cache[(p->uid ^ p->gid * 31u) % ELEMENTS(a->roles.cache)];
	if (i->until_ms <= now || i->uid != p->uid || i->gid != p->gid) {
		identity_look_up(a, p, i);
		i->uid = p->uid;
		i->gid = p->gid;
		i->until_ms = now + KEEP_MS;
	}
	if (*i->name)
		snprintf(subject, size, "uid %u (%s)", (unsigned)p->uid, i->name);
	else
		snprintf(subject, size, "uid %u", (unsigned)p->uid);
	return i->role;
}

void role_forget(struct actor *a)
{
	memset(&a->roles, 0, sizeof a->roles);
}
