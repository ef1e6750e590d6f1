/* trouped: the command line. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/parse.h"
#include "supervisor/dev.h"
#include "supervisor/guard.h"
#include "supervisor/replay.h"
#include "supervisor/supervisor.h"

static const char usage[] = "usage: trouped [-dtTvV] [-c file] [-p pidfile] [--ready-fd=n] [--control-fd=n] [--dev]\n"
	"       trouped [-v] --replay=journal\n"
	"  -c file       configuration (default: see trouped(8))\n"
	"  -d            detach, with a guard in front; return when the node is ready\n"
	"  -t            check the configuration and exit\n"
	"  -T            print the effective configuration and exit\n"
	"  -p pidfile    write the process id there when ready\n"
	"  --ready-fd=n  write a newline there when ready\n"
	"  --control-fd=n  also take operators' requests from this socket\n"
	"  --replay=journal  make a journal's decisions again, compare, and exit\n"
	"  --dev         a node to try things on, in a temporary directory\n"
	"  -v            log more\n"
	"  -V            print the version\n";

struct options {
	struct supervisor_options run;
	char path[PATH_MAX];
	bool check, dump, detach, dev;
	const char *replay;
};

/* 0: go on; else the exit status, less 1 */
static int read_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = { { "ready-fd", required_argument, NULL, 'r' }, { "dev", no_argument, NULL, 'D' }, { "help", no_argument, NULL, 'h' },
		{ "replay", required_argument, NULL, 'R' }, { "control-fd", required_argument, NULL, 'C' },
		{ "version", no_argument, NULL, 'V' }, { 0 } };
	struct error e = { 0 };
	uint64_t fd;
	for (int c; (c = getopt_long(argc, argv, "c:dtTp:vVh", longs, NULL)) != -1;) {
		switch (c) {
		case 'c': snprintf(o->path, sizeof o->path, "%s", optarg); break;
		case 'd': o->detach = true; break;
		case 't': o->check = true; break;
		case 'T': o->dump = true; break;
		case 'p': o->run.pid_file = optarg; break;
		case 'v': o->run.verbose = true; break;
		case 'D': o->dev = true; break;
		case 'R': o->replay = optarg; break;
		case 'V': printf("trouped %s\n", TROUPE_VERSION); return 1;
		case 'h': fputs(usage, stdout); return 1;
		case 'r':
		case 'C':
			if (parse_number(optarg, 1, 1023, &fd, &e)) {
				fprintf(stderr, "trouped: --%s-fd: %s\n", c == 'r' ? "ready" : "control", e.text);
				return 65;
			}
			*(c == 'r' ? &o->run.ready_fd : &o->run.control_fd) = (int)fd;
			break;
		default: fputs(usage, stderr); return 65;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "trouped: unexpected argument %s\n%s", argv[optind], usage);
		return 65;
	}
	return 0;
}

/* The same path after the guard has left the directory; of a file that is not there yet: its directory's. */
static char *absolute(const char *path)
{
	char *found = realpath(path, NULL), *made = NULL;
	if (found || *path == '/')
		return found ? found : strdup(path);
	_cleanup_(freep) char *here = getcwd(NULL, 0);
	return here && asprintf(&made, "%s/%s", here, path) > 0 ? made : NULL;
}

static int detach(int argc, char **argv, const struct options *o)
{
	_cleanup_(freep) char *config = absolute(o->path);
	_cleanup_(freep) char *pid_file = o->run.pid_file ? absolute(o->run.pid_file) : NULL;
	if (!config || (o->run.pid_file && !pid_file))
		return 71;
	struct guard_options g = { .argv = argv, .argc = argc, .config = config, .pid_file = pid_file, .verbose = o->run.verbose };
	return guard_run(&g);
}

static int run_dev(struct options *o)
{
	_cleanup_(freep) char *dir = NULL;
	_cleanup_(freep) char *text = NULL;
	struct config *config = NULL;
	struct error e = { 0 };
	if (dev_prepare(&dir, &text, &e)) {
		fprintf(stderr, "trouped: --dev: %s\n", e.text);
		return 73;
	}
	int r = config_parse(text, "--dev", stderr, &config);
	if (r)
		return r < 0 ? 71 : 78;
	fprintf(stderr, "run_dir=%s/run\n", dir);
	int code = supervisor_run(config, &o->run);
	if (code != 69) /* else it is another node's */
		dev_remove(dir);
	return code;
}

int main(int argc, char **argv)
{
	struct options o = { .run.ready_fd = -1, .run.control_fd = -1 };
	config_default_path(o.path, sizeof o.path);
	int r = read_options(argc, argv, &o);
	if (r)
		return r - 1;
	if (o.replay)
		return replay_journal(o.replay, o.run.verbose, stdout);
	if (o.dev)
		return run_dev(&o);
	struct config *config = NULL;
	r = config_load(o.path, stderr, &config);
	if (r)
		return r < 0 ? 71 : 78;
	int code = 0;
	if (o.dump) {
		config_dump(config, stdout);
	} else if (o.check) {
		config_warn(config, stderr);
		config_escalation(config, stdout);
		printf("%s: the configuration is right\n", o.path);
	} else if (o.detach) {
		code = detach(argc, argv, &o);
	} else {
		code = supervisor_run(steal(&config), &o.run);
	}
	config_free(config);
	return code;
}
