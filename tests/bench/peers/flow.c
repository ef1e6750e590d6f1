#include "tests/bench/peers/flow.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include "tests/bench/bench.h"

struct flow *flow_new(unsigned n, unsigned outstanding, bool open)
{
	struct flow *f = bench_shared(sizeof(*f));
	MUST(n >= 1 && n <= FLOW_MAX && outstanding >= n);
	f->n = n;
	f->outstanding = outstanding;
	f->open = open;
	MUST((f->work = eventfd(0, EFD_CLOEXEC)) >= 0);
	for (unsigned i = 0; i < n; i++)
		MUST((f->permits[i] = eventfd(outstanding / n, EFD_CLOEXEC | EFD_NONBLOCK)) >= 0);
	return f;
}

struct flow *flow_free(struct flow *f)
{
	for (unsigned i = 0; i < f->n; i++)
		close(f->permits[i]);
	close(f->work);
	munmap(f, sizeof(*f));
	return NULL;
}

static uint64_t sum(const _Atomic uint64_t *v)
{
	uint64_t n = 0;
	for (unsigned i = 0; i < FLOW_MAX; i++)
		n += v[i];
	return n;
}

uint64_t flow_accepted(const struct flow *f) { return sum(f->accepted); }
uint64_t flow_finished(const struct flow *f) { return sum(f->finished); }
int flow_fd(const struct flow *f, unsigned index) { return f->permits[index]; }

uint64_t flow_take(struct flow *f, unsigned index, bool wait)
{
	uint64_t n;
	for (struct pollfd p = { .fd = f->permits[index], .events = POLLIN };;) {
		if (read(f->permits[index], &n, sizeof(n)) == sizeof(n))
			return n;
		MUST(errno == EAGAIN || errno == EINTR);
		if (!wait)
			return 0;
		MUST(poll(&p, 1, -1) >= 0 || errno == EINTR);
	}
}

void flow_payload(unsigned index, uint64_t number, char *ret)
{
	char head[32];
	int n = snprintf(head, sizeof(head), "%c%016llx", 'A' + (int)index, (unsigned long long)number);
	memset(ret, 'x', FLOW_PAYLOAD);
	memcpy(ret, head, (size_t)n);
}

static void tell(int fd, uint64_t n)
{
	MUST(write(fd, &n, sizeof(n)) == sizeof(n));
}

void flow_accept(struct flow *f, unsigned index, uint64_t n, bool work)
{
	f->accepted[index] += n;
	if (work)
		tell(f->work, n);
}

void flow_work(struct flow *f)
{
	uint64_t n;
	MUST(read(f->work, &n, sizeof(n)) == sizeof(n));
}

unsigned flow_owner(const char *payload)
{
	unsigned index = (unsigned)(payload[0] - 'A');
	MUST(index < FLOW_MAX);
	return index;
}

void flow_finish(struct flow *f, const uint64_t *n_by_producer)
{
	for (unsigned i = 0; i < f->n; i++) {
		if (!n_by_producer[i])
			continue;
		f->finished[i] += n_by_producer[i];
		if (!f->open)
			tell(f->permits[i], n_by_producer[i]);
	}
}
