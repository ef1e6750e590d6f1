/* What children print: into their tails, for crash reports, and line by line into our log. A line of an actor's own log goes as it is; any other gets the
 * child's name. A child that floods is cut to a megabyte a second; its tail still has the last of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/log.h"
#include "supervisor/node.h"

#define OUTPUT_KEEP (16u * 1024)
#define OUTPUT_TURN (64u * 1024)      /* of one child in one round of the loop */
#define OUTPUT_LINE 2048u
#define OUTPUT_SECOND (1024u * 1024)

static bool is_own_log(const char *line, size_t n)
{
	return (n > 3 && memcmp(line, "ts=", 3) == 0) || (n > 6 && memcmp(line, "{\"ts\":", 6) == 0) || (n > 3 && line[0] == '<' && line[2] == '>');
}

static bool may_say(struct process *p, size_t bytes)
{
	uint64_t second = loop_now_ms(p->node->loop) / 1000;
	if (second != p->said_second) {
		if (p->said_missed)
			log_warn("output was dropped", LOG_S("child", p->child->name), LOG_U("bytes", p->said_missed));
		p->said_second = second;
		p->said_bytes = p->said_missed = 0;
	}
	if (p->said_bytes + bytes > OUTPUT_SECOND) {
		p->said_missed += bytes;
		return false;
	}
	p->said_bytes += bytes;
	return true;
}

static void say(struct process *p, char *line, size_t n)
{
	if (n == 0 || !may_say(p, n))
		return;
	if (is_own_log(line, n)) {
		line[n] = '\n';
		ssize_t ignored = write(STDERR_FILENO, line, n + 1);
		(void)ignored;
		return;
	}
	line[n] = 0;
	log_info("output", LOG_S("child", p->child->name), LOG_S("line", line));
}

static void lines(struct process *p, const char *data, size_t n)
{
	if (!p->line && !(p->line = malloc(OUTPUT_LINE + 1)))
		return;
	for (size_t i = 0; i < n; i++) {
		if (data[i] != '\n')
			p->line[p->line_len++] = data[i];
		if (data[i] == '\n' || p->line_len == OUTPUT_LINE) {
			say(p, p->line, p->line_len);
			p->line_len = 0;
		}
	}
}

void output_ready(struct loop_source *s, uint32_t events)
{
	output_read(container_of(s, struct process, output));
}

void output_flush(struct process *p)
{
	if (p->line && p->line_len)
		say(p, p->line, p->line_len);
	p->line_len = 0;
	if (p->said_missed)
		log_warn("output was dropped", LOG_S("child", p->child->name), LOG_U("bytes", p->said_missed));
	p->said_missed = 0;
}

static void keep(struct process *p, const char *data, size_t n)
{
	if (!p->tail && !(p->tail = malloc(OUTPUT_KEEP)))
		return;
	if (n > OUTPUT_KEEP) {
		p->tail_dropped += n - OUTPUT_KEEP;
		data += n - OUTPUT_KEEP;
		n = OUTPUT_KEEP;
	}
	if (p->tail_len + n > OUTPUT_KEEP) {
		size_t out = p->tail_len + n - OUTPUT_KEEP;
		memmove(p->tail, p->tail + out, p->tail_len - out);
		p->tail_len -= out;
		p->tail_dropped += out;
	}
	memcpy(p->tail + p->tail_len, data, n);
	p->tail_len += n;
}

void output_read(struct process *p)
{
	char buffer[8192];
	for (size_t taken = 0; taken < OUTPUT_TURN && p->output.fd >= 0;) {
		ssize_t got = read(p->output.fd, buffer, sizeof buffer);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0) {
			loop_remove(&p->output);
			return;
		}
		taken += (size_t)got;
		keep(p, buffer, (size_t)got);
		lines(p, buffer, (size_t)got);
	}
}
