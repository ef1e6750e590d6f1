/* trouped: the command line. */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/parse.h"
#include "supervisor/supervisor.h"

static const char usage[] = "usage: trouped [-tTvV] [-c file] [-p pidfile] [--ready-fd=n]\n"
	"  -c file       configuration (default: see trouped(8))\n"
	"  -t            check the configuration and exit\n"
	"  -T            print the effective configuration and exit\n"
	"  -p pidfile    write the process id there when ready\n"
	"  --ready-fd=n  write a newline there when ready\n"
	"  -v            log more\n"
	"  -V            print the version\n";

int main(int argc, char **argv)
{
	static const struct option longs[] = { { "ready-fd", required_argument, NULL, 'r' }, { "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' }, { 0 } };
	struct supervisor_options o = { .ready_fd = -1 };
	char path[PATH_MAX];
	bool check = false, dump = false;
	config_default_path(path, sizeof path);
	for (int c; (c = getopt_long(argc, argv, "c:tTp:vVh", longs, NULL)) != -1;) {
		uint64_t fd;
		struct error e = { 0 };
		switch (c) {
		case 'c': snprintf(path, sizeof path, "%s", optarg); break;
		case 't': check = true; break;
		case 'T': dump = true; break;
		case 'p': o.pid_file = optarg; break;
		case 'v': o.verbose = true; break;
		case 'V': printf("trouped %s\n", TROUPE_VERSION); return 0;
		case 'h': fputs(usage, stdout); return 0;
		case 'r':
			if (parse_number(optarg, 1, 1023, &fd, &e)) {
				fprintf(stderr, "trouped: --ready-fd: %s\n", e.text);
				return 64;
			}
			o.ready_fd = (int)fd;
			break;
		default: fputs(usage, stderr); return 64;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "trouped: unexpected argument %s\n%s", argv[optind], usage);
		return 64;
	}
	struct config *config = NULL;
	int r = config_load(path, stderr, &config);
	if (r)
		return r < 0 ? 71 : 78;
	int code = 0;
	if (dump)
		config_dump(config, stdout);
	else if (check)
		printf("%s: the configuration is right\n", path);
	else
		code = supervisor_run(steal(&config), &o);
	config_free(config);
	return code;
}
