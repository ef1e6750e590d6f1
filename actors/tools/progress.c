#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/clock.h"
#include "common/base/parse.h"
#include "actors/tools/progress.h"

#define BAR_CELLS 28
#define REDRAW_MS 100u
#define LINE_MS 5000u

const char *number_grouped(uint64_t n, char *out, size_t size)
{
	char digits[24];
	int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
	size_t at = 0;
	for (int i = 0; i < len && at + 2 < size; i++) {
		if (i && (len - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
	return out;
}

static void bar(const struct progress *p, uint64_t done, char *out, size_t size)
{
	uint64_t halves = p->total ? done * 2 * BAR_CELLS / p->total : 0;
	out[0] = '\0';
	for (unsigned i = 0; i < BAR_CELLS; i++) {
		const char *cell = p->ascii ? "." : "━";
		if (halves >= 2 * (uint64_t)(i + 1))
			cell = p->ascii ? "#" : "━";
		else if (halves == 2 * (uint64_t)i + 1)
			cell = p->ascii ? "#" : "╸";
		else if (!p->ascii)
			cell = "─";
		strncat(out, cell, size - strlen(out) - 1);
	}
}

static void rate_text(double rate, char *out, size_t size)
{
	if (rate >= 10000)
		snprintf(out, size, "%.1fk/s", rate / 1000);
	else
		snprintf(out, size, "%.0f/s", rate);
}

const char *progress_line(const struct progress *p, uint64_t done, uint64_t now_ms, char *out, size_t size)
{
	char a[32], b[32], r[32], cells[BAR_CELLS * 4], eta[32] = "";
	uint64_t passed_ms = now_ms > p->began_ms ? now_ms - p->began_ms : 1;
	double rate = (double)done * 1000 / (double)passed_ms;
	rate_text(rate, r, sizeof r);
	number_grouped(done, a, sizeof a);
	if (!p->total) {
		snprintf(out, size, "%s  %s  %s", p->name, a, r);
		return out;
	}
	uint64_t pct = done >= p->total ? 100 : done * 100 / p->total;
	if (done && done < p->total) {
		char text[24];
		snprintf(eta, sizeof eta, "  eta %s", format_age((uint64_t)((double)(p->total - done) / rate * 1000), text, sizeof text));
	}
	number_grouped(p->total, b, sizeof b);
	if (p->tty) {
		bar(p, done, cells, sizeof cells);
		snprintf(out, size, "%s  %s  %3llu%%  %s/%s  %s%s", p->name, cells, (unsigned long long)pct, a, b, r, eta);
	} else {
		snprintf(out, size, "%s  %llu%%  %s/%s  %s%s", p->name, (unsigned long long)pct, a, b, r, eta);
	}
	return out;
}

void progress_begin(struct progress *p, const char *name, uint64_t total, bool silent)
{
	*p = (struct progress){ .name = name, .total = total, .began_ms = clock_mono_ms(), .silent = silent };
	const char *term = getenv("TERM");
	p->tty = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
	p->ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
	p->shown_ms = p->began_ms;
}

static void draw(struct progress *p, uint64_t done, uint64_t now_ms)
{
	char line[512];
	progress_line(p, done, now_ms, line, sizeof line);
	if (p->tty)
		fprintf(stderr, "\r\033[K%s", line);
	else
		fprintf(stderr, "%s\n", line);
	fflush(stderr);
	p->shown_ms = now_ms;
	p->shown = done;
	p->drawn = true;
}

void progress_show(struct progress *p, uint64_t done)
{
	uint64_t now_ms = clock_mono_ms();
	if (!p->silent && now_ms - p->shown_ms >= (p->tty ? REDRAW_MS : LINE_MS))
		draw(p, done, now_ms);
}

void progress_end(struct progress *p, uint64_t done)
{
	if (p->silent || !p->drawn)
		return;
	if (p->tty || p->shown != done)
		draw(p, done, clock_mono_ms());
	if (p->tty)
		fputc('\n', stderr);
	p->drawn = false;
}

void progress_clear(struct progress *p)
{
	if (p->drawn && p->tty)
		fputs("\r\033[K", stderr);
	p->drawn = false;
}
