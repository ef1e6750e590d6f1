#include "common/base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/parse.h"

const char *const fault_names[] = {
	/* every turn of an actor, in order */
	"turn.after_receive",
	"turn.after_begin",
	"turn.before_commit",
	"turn.after_commit",
	"turn.after_release",
	/* the store */
	"log.before_write",
	"log.before_sync",
	"log.after_replay",
	"checkpoint.before_commit",
	"checkpoint.after_commit",
	/* coordinator */
	"submit.after_parse",
	"dispatch.after_settle",
	"complete.after_parse",
	"attach.after_parse",
	"cron.after_submit",
	"recover.after_open",
	"recover.after_monitor",
	"blob.after_rename",
	"blob.after_commit",
	/* worker */
	"worker.after_run",
	"worker.before_exec",
	"worker.after_exec",
	"worker.after_exit",
	"worker.after_outcome",
	"worker.after_ack",
	/* supervisor */
	"spawn.after_journal",
	"spawn.after_fork",
	"spawn.after_ready",
	"down.before_sweep",
	"down.after_sweep",
	"order.after_commit",
	/* the tool */
	"backup.after_file",
	"backup.before_manifest",
	"backup.before_rename",
	"restore.after_file",
	"restore.before_mark",
	"restore.before_exchange",
	"restore.after_exchange",
	NULL,
};

#ifdef TROUPE_FAULT_POINTS

#define SPECS_MAX 16
#define ROLE_MAX 31

struct spec {
	char role[ROLE_MAX + 1]; /* empty: any */
	const char *name;        /* of fault_names */
	uint64_t nth, passes;
};

static struct spec specs[SPECS_MAX];
static size_t n_specs;
static char own_role[ROLE_MAX + 1];
static enum { UNREAD, OFF, ARMED } state;

static void __attribute__((noreturn)) spec_refuse(const char *spec, const char *why)
{
	dprintf(STDERR_FILENO, "TROUPE_FAULT: \"%s\": %s\n", spec, why);
	_exit(100);
}

/* Cuts spec into its parts. */
static void spec_read(char *spec)
{
	if (n_specs == SPECS_MAX)
		spec_refuse(spec, "too many points");
	struct spec *s = &specs[n_specs++];
	*s = (struct spec){ .nth = 1 };

	char *colon = strchr(spec, ':');
	if (colon) {
		*colon = '\0';
		if (parse_number(colon + 1, 1, UINT64_MAX, &s->nth, NULL))
			spec_refuse(colon + 1, "not a number of passes");
	}
	char *slash = strchr(spec, '/');
	if (slash) {
		*slash = '\0';
		if (slash == spec || strlen(spec) > ROLE_MAX)
			spec_refuse(spec, "not a role");
		memcpy(s->role, spec, (size_t)(slash - spec) + 1);
		spec = slash + 1;
	}
	for (const char *const *name = fault_names; *name; name++)
		if (!strcmp(*name, spec))
			s->name = *name;
	if (!s->name)
		spec_refuse(spec, "no such point");
}

static void specs_read(void)
{
	state = OFF;
	const char *env = getenv("TROUPE_FAULT");
	if (!env || !*env)
		return;

	_cleanup_(freep) char *copy = strdup(env);
	if (!copy)
		spec_refuse(env, "out of memory");
	char *rest = copy;
	for (char *spec; (spec = strsep(&rest, ","));)
		spec_read(spec);
	state = ARMED;
}

static void fire(void)
{
	const char *once = getenv("TROUPE_FAULT_ONCE");
	if (once && *once) {
		/* O_EXCL decides between two processes that arrive together. */
		int fd = open(once, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 && errno == EEXIST)
			return;
		if (fd < 0)
			spec_refuse(once, "cannot create the file of TROUPE_FAULT_ONCE");
		close(fd);
	}
	kill(getpid(), SIGKILL);
}

void fault_role(const char *role)
{
	snprintf(own_role, sizeof(own_role), "%s", role);
}

void fault_point(const char *name)
{
	if (state == UNREAD)
		specs_read();
	if (state == OFF)
		return;
	for (size_t i = 0; i < n_specs; i++) {
		struct spec *s = &specs[i];
		if ((!s->role[0] || !strcmp(s->role, own_role)) && !strcmp(s->name, name) && ++s->passes == s->nth)
			fire();
	}
}

#endif
