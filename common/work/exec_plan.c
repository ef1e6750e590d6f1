#include "common/work/exec_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/work/tier.h"
#include "common/base/cleanup.h"

#define PAYLOAD_FILE_ABOVE (64u * 1024)

void exec_plan_fini(struct exec_plan *p)
{
	for (int i = 0; i < 3; i++) {
		closep(&p->ours[i]);
		closep(&p->theirs[i]);
	}
	closep(&p->directory);
	environment_fini(&p->env);
	free(p->argv);
}

static int plan_argv(struct exec_plan *p, const Troupe__PoolSetup *pool, const struct task *t)
{
	size_t n = pool->n_command ? pool->n_command : t->n_argv;
	if (!(p->argv = calloc(n + 1, sizeof(*p->argv))))
		return -ENOMEM;
	memcpy(p->argv, pool->n_command ? pool->command : t->argv, n * sizeof(*p->argv));
	return 0;
}

static int plan_directory(struct exec_plan *p, const Troupe__PoolSetup *pool, struct workdir *w, const struct task *t)
{
	p->doing = "enter its directory";
	p->private_directory = !*pool->directory;
	if (p->private_directory)
		return workdir_make(w, t->token, &p->directory);
	p->directory = open(pool->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return p->directory < 0 ? -errno : 0;
}

/* Its stdin, where that is a file; and a file beside the pipe, where the payload is large. */
static int plan_payload(struct exec_plan *p, struct workdir *w, const struct task *t)
{
	if (t->payload_file) {
		p->doing = "open its payload";
		p->theirs[0] = open(t->payload_file, O_RDONLY | O_CLOEXEC);
		return p->theirs[0] < 0 ? -errno : tier_lift(&p->theirs[0]);
	}
	if (t->payload_len <= PAYLOAD_FILE_ABOVE)
		return 0;
	p->doing = "write its payload";
	p->payload_written = true;
	return workdir_payload(w, t->token, t->payload, t->payload_len, p->payload_file, sizeof(p->payload_file));
}

static int plan_environment(struct exec_plan *p, const Troupe__PoolSetup *pool, const struct task *t)
{
	int r = environment_base(&p->env, pool);
	return r ? r : environment_task(&p->env, t, t->payload_file ? t->payload_file : p->payload_written ? p->payload_file : NULL);
}

static int plan_pipes(struct exec_plan *p)
{
	p->doing = "start a process";
	for (int i = 0; i < 3; i++) {
		int ends[2], ours = i == 0 ? 1 : 0;
		if (p->theirs[i] >= 0)
			continue;
		int r = tier_pipe(ends, ours);
		if (r)
			return r;
		p->ours[i] = ends[ours];
		p->theirs[i] = ends[1 - ours];
	}
	return 0;
}

int exec_plan_make(struct exec_plan *p, const Troupe__PoolSetup *pool, struct workdir *w, const struct task *t)
{
	*p = (struct exec_plan){ .ours = { -1, -1, -1 }, .theirs = { -1, -1, -1 }, .directory = -1, .doing = "start a process" };
	int r = plan_argv(p, pool, t);
	if (!r)
		r = plan_directory(p, pool, w, t);
	if (!r)
		r = plan_payload(p, w, t);
	if (!r)
		r = plan_environment(p, pool, t);
	return r ? r : plan_pipes(p);
}
