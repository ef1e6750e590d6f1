#include "tests/bench/report.h"

#include <getopt.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include "tests/bench/bench.h"

#define FIGURES_MAX 256u
#define BESIDE_MAX 2u
#define NAME 64u

/* --- what it is told --- */

static _Noreturn void usage_fail(const char *program, const char *usage)
{
	fprintf(stderr, "usage: %s [--rounds N] [--only TEXT] [--dir DIR] [--json] %s\n", program, usage);
	exit(2);
}

static void place_check(void)
{
	struct statfs fs;
	const char *dir = getenv("TMPDIR");
	dir = dir ? dir : "/var/tmp";
	if (statfs(dir, &fs) != 0 || fs.f_type == TMPFS_MAGIC) {
		fprintf(stderr, "%s is not a directory on a disk: name one with --dir\n", dir);
		exit(2);
	}
}

void bench_options(int argc, char **argv, const char *usage, struct bench_options *o)
{
	static const struct option all[] = { { "rounds", 1, NULL, 'r' }, { "seconds", 1, NULL, 's' }, { "tasks", 1, NULL, 't' }, { "only", 1, NULL, 'o' }, { "dir", 1, NULL, 'd' },
		{ "json", 0, NULL, 'j' }, { 0 } };
	bool has_seconds = o->seconds > 0, has_tasks = o->tasks > 0;
	for (int c; (c = getopt_long(argc, argv, "", all, NULL)) != -1;) {
		if (c == 'r')
			o->rounds = (unsigned)atoi(optarg);
		else if (c == 's' && has_seconds)
			o->seconds = atof(optarg);
		else if (c == 't' && has_tasks)
			o->tasks = strtoull(optarg, NULL, 10);
		else if (c == 'o')
			o->only = optarg;
		else if (c == 'd')
			MUST(setenv("TMPDIR", optarg, 1) == 0);
		else if (c == 'j')
			o->json = true;
		else
			usage_fail(argv[0], usage);
	}
	if (optind < argc || o->rounds < 1 || o->rounds > ROUNDS_MAX || (has_seconds && o->seconds <= 0) || (has_tasks && !o->tasks))
		usage_fail(argv[0], usage);
	place_check();
}

bool bench_wants(const struct bench_options *o, const char *row)
{
	return !o->only || strstr(row, o->only);
}

void bench_progress(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

/* --- figures --- */

struct figure { char in_case[NAME], row[NAME]; double v[ROUNDS_MAX]; unsigned n; };
struct report {
	const char *bench, *unit;
	struct figure figures[FIGURES_MAX];
	unsigned n;
	struct { const char *row, *heading; } beside[BESIDE_MAX];
	unsigned n_beside;
};

struct report *report_new(const char *bench, const char *unit)
{
	struct report *r = calloc(1, sizeof(*r));
	MUST(r);
	r->bench = bench;
	r->unit = unit;
	return r;
}

struct report *report_free(struct report *r)
{
	free(r);
	return NULL;
}

static struct figure *find(struct report *r, const char *in_case, const char *row)
{
	for (unsigned i = 0; i < r->n; i++)
		if (strcmp(r->figures[i].in_case, in_case) == 0 && strcmp(r->figures[i].row, row) == 0)
			return &r->figures[i];
	return NULL;
}

void report_add(struct report *r, const char *in_case, const char *row, double value)
{
	struct figure *f = find(r, in_case, row);
	if (!f) {
		MUST(r->n < FIGURES_MAX && strlen(in_case) < NAME && strlen(row) < NAME);
		f = &r->figures[r->n++];
		strcpy(f->in_case, in_case);
		strcpy(f->row, row);
	}
	MUST(f->n < ROUNDS_MAX);
	f->v[f->n++] = value;
}

void report_beside(struct report *r, const char *row, const char *heading)
{
	MUST(r->n_beside < BESIDE_MAX);
	r->beside[r->n_beside].row = row;
	r->beside[r->n_beside++].heading = heading;
}

struct spread { double middle, least, most; };

static struct spread spread(const double *v, unsigned n)
{
	double sorted[ROUNDS_MAX];
	memcpy(sorted, v, n * sizeof(v[0]));
	double middle = median(sorted, n);
	return (struct spread){ middle, sorted[0], sorted[n - 1] };
}

/* false: one of the two was not measured. */
static bool ratio(struct report *r, const struct figure *f, unsigned beside, struct spread *ret)
{
	double v[ROUNDS_MAX];
	const struct figure *base = find(r, f->in_case, r->beside[beside].row);
	if (!base || base->n != f->n)
		return false;
	for (unsigned i = 0; i < f->n; i++)
		v[i] = f->v[i] / base->v[i];
	*ret = spread(v, f->n);
	return true;
}

/* --- what it says --- */

static void number(double v, char *ret, size_t size)
{
	snprintf(ret, size, v >= 100 ? "%.0f" : v >= 10 ? "%.1f" : "%.2f", v);
}

static void row_print(struct report *r, const struct figure *f)
{
	char middle[24], least[24], most[24];
	struct spread s = spread(f->v, f->n);
	number(s.middle, middle, sizeof(middle));
	number(s.least, least, sizeof(least));
	number(s.most, most, sizeof(most));
	printf("  %-52s %10s  (%s to %s)%*s", f->row, middle, least, most, (int)(22 - strlen(least) - strlen(most)), "");
	for (unsigned i = 0; i < r->n_beside; i++) {
		if (ratio(r, f, i, &s))
			printf(" | %6.2f (%.2f to %.2f)", s.middle, s.least, s.most);
		else if (find(r, f->in_case, r->beside[i].row))
			printf(" | %21s", "-");
	}
	printf("\n");
}

static void row_json(const struct report *r, const struct figure *f)
{
	struct spread s = spread(f->v, f->n);
	printf("{\"bench\": \"%s\", \"case\": \"%s\", \"row\": \"%s\", \"unit\": \"%s\", \"median\": %.2f, \"min\": %.2f, \"max\": %.2f, \"values\": [", r->bench, f->in_case, f->row, r->unit,
	       s.middle, s.least, s.most);
	for (unsigned i = 0; i < f->n; i++)
		printf("%s%.2f", i ? ", " : "", f->v[i]);
	printf("]}\n");
}

static void case_print(struct report *r, const char *in_case)
{
	printf("%-54s %10s  %-30s", in_case, r->unit, "(least to most)");
	for (unsigned i = 0; i < r->n_beside; i++)
		if (find(r, in_case, r->beside[i].row))
			printf(" | %-21s", r->beside[i].heading);
	printf("\n");
	for (unsigned i = 0; i < r->n; i++)
		if (strcmp(r->figures[i].in_case, in_case) == 0)
			row_print(r, &r->figures[i]);
}

static bool first_of_case(const struct report *r, unsigned i)
{
	for (unsigned j = 0; j < i; j++)
		if (strcmp(r->figures[j].in_case, r->figures[i].in_case) == 0)
			return false;
	return true;
}

void report_print(struct report *r, const char *title, bool json)
{
	if (!json)
		printf("%s: %s; medians\n", r->bench, title);
	for (unsigned i = 0; i < r->n; i++) {
		if (json)
			row_json(r, &r->figures[i]);
		else if (first_of_case(r, i))
			case_print(r, r->figures[i].in_case);
	}
	fflush(stdout);
}
