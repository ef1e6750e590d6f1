/* The pipes of a long-lived program. Tasks are put together in one buffer and leave in one write; answers are cut out of what one read has brought. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/work/program.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/parse.h"

#define READ_SIZE (256u * 1024)
#define READS_A_ROUND 4

static void end_close(struct program *p, enum program_end end)
{
	tier_source_close(&p->io[end].source, &p->io[end].fd);
}

void program_io_close(struct program *p)
{
	for (int i = 0; i < 3; i++)
		end_close(p, (enum program_end)i);
}

/* --- what it says --- */

static void stray(struct program *p, const char *why)
{
	const char *data = p->out.stray;
	p->counters.stray_lines++;
	uint64_t missed;
	if (!says_may(&p->stray, loop_now_ms(p->config.loop), &missed))
		return;
	char text[121];
	size_t n = p->out.stray_len < sizeof(text) - 1 ? p->out.stray_len : sizeof(text) - 1;
	for (size_t i = 0; i < n; i++)
		text[i] = data[i] ? data[i] : ' ';
	text[n] = '\0';
	utf8_clean(text);
	log_warn("stray output of the program", LOG_S("what", text), LOG_S("why", why), LOG_U("not_shown", missed));
}

static void on_message(struct program *p, const struct program_message *m)
{
	struct task *t;
	switch (m->kind) {
	case PROGRAM_HELLO:
		if (p->state == PROGRAM_STARTING)
			program_hello(p, m->max);
		else
			stray(p, "a second hello");
		return;
	case PROGRAM_DONE:
	case PROGRAM_FAIL:
	case PROGRAM_PROGRESS:
		if ((t = program_task_find(p, &m->id)))
			program_task_answered(p, t, m);
		else
			stray(p, "of a task that the program does not have");
		return;
	case PROGRAM_BEAT:
		return;
	}
}

/* Every whole message that is there. */
static void hear(struct program *p)
{
	struct program_message m;
	struct error e = { 0 };
	for (;;) {
		switch (p->codec->next(&p->out, &m, &e)) {
		case PROGRAM_NOTHING:
			return;
		case PROGRAM_MESSAGE:
			on_message(p, &m);
			break;
		case PROGRAM_OTHER_VERSION:
			if (p->state == PROGRAM_STARTING)
				program_refuse(p, e.text);
			else
				stray(p, e.text);
			break;
		case PROGRAM_STRAY:
			stray(p, e.text);
			break;
		case PROGRAM_LOST:
			end_close(p, END_OUT);
			program_lost(p, e.text);
			return;
		}
	}
}

/* false at its end. */
static bool read_out(struct program *p, unsigned rounds)
{
	struct buffer *b = &p->out.in;
	while (rounds-- && p->io[END_OUT].fd >= 0) {
		if (buffer_reserve(b, READ_SIZE))
			return true; /* later, perhaps */
		ssize_t n = read(p->io[END_OUT].fd, b->data + b->to, READ_SIZE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		b->to += (size_t)n;
		hear(p);
		if (n < (ssize_t)READ_SIZE / 4)
			return true; /* that was all: another read would only say so */
	}
	return true;
}

static bool read_err(struct program *p, unsigned rounds)
{
	static uint8_t data[16 * 1024];
	while (rounds--) {
		ssize_t n = read(p->io[END_ERR].fd, data, sizeof(data));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		tail_add(&p->err, data, (size_t)n);
		says_lines(&p->says, data, (size_t)n, loop_now_ms(p->config.loop));
	}
	return true;
}

void program_io_drain(struct program *p)
{
	read_out(p, 64);
	if (p->io[END_ERR].fd >= 0)
		read_err(p, 64);
}

static void on_out(struct loop_source *s, uint32_t events)
{
	struct program *p = container_of(s, struct program, io[END_OUT].source);
	if (read_out(p, READS_A_ROUND))
		return;
	end_close(p, END_OUT);
	end_close(p, END_IN);
	program_muted(p);
}

static void on_err(struct loop_source *s, uint32_t events)
{
	struct program *p = container_of(s, struct program, io[END_ERR].source);
	if (!read_err(p, 16))
		end_close(p, END_ERR);
}

/* --- what it hears --- */

static void on_in(struct loop_source *s, uint32_t events)
{
	struct program *p = container_of(s, struct program, io[END_IN].source);
	if (events & (EPOLLERR | EPOLLHUP))
		end_close(p, END_IN); /* it reads no more: its end, or its tasks' timeouts, say the rest */
	else
		program_io_write(p);
}

void program_io_write(struct program *p)
{
	int fd = p->io[END_IN].fd;
	while (fd >= 0 && buffer_len(&p->in)) {
		ssize_t n = write(fd, p->in.data + p->in.from, buffer_len(&p->in));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			loop_modify(&p->io[END_IN].source, EPOLLOUT);
			return;
		}
		if (n < 0) {
			end_close(p, END_IN);
			return;
		}
		buffer_take(&p->in, (size_t)n);
	}
	if (fd < 0)
		return;
	if (p->quitting)
		end_close(p, END_IN);
	else if (p->io[END_IN].source.events) {
		loop_modify(&p->io[END_IN].source, 0);
		program_changed(p); /* there may be room again */
	}
}

/* --- its beginning --- */

int program_io_open(struct program *p, int theirs[static 3])
{
	static void (*const ready[])(struct loop_source *, uint32_t) = { on_in, on_out, on_err };
	p->in.from = p->in.to = 0;
	program_reader_reset(&p->out);
	for (int i = 0; i < 3; i++) {
		int ends[2], ours = i == END_IN ? 1 : 0;
		int r = tier_pipe(ends, ours);
		if (r)
			return r;
		p->io[i].fd = ends[ours];
		theirs[i] = ends[1 - ours];
		r = loop_add(p->config.loop, &p->io[i].source, p->io[i].fd, i == END_IN ? 0 : EPOLLIN, ready[i]);
		if (r)
			return r;
	}
	return 0;
}
