#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/io/channel_internal.h"

#define CLOSE_SECONDS 5

const struct channel_limits channel_limits_default = { .frame_max = 1024 * 1024, .connections_max = 4096, .handshake_ms = 5000, .frame_ms = 30000 };

/* --- completions --- */

/* On a thread of nng. */
static void on_completion(void *arg)
{
	struct op *o = arg;
	struct channel_hub *h = o->hub;
	pthread_mutex_lock(&h->lock);
	o->next = NULL;
	*h->done_tail = o;
	h->done_tail = &o->next;
	bool wake = !h->woken;
	h->woken = true;
	pthread_mutex_unlock(&h->lock);
	/* Behind the lock, or the loop wakes up only to wait for it. The hub is still there: it frees this aio first, and that waits for us. */
	if (wake)
		eventfd_write(h->wake.fd, 1);
}

int op_init(struct op *o, struct channel_hub *h, void (*done)(struct op *))
{
	*o = (struct op){ .hub = h, .done = done };
	return nng_aio_alloc(&o->aio, on_completion, o) ? -ENOMEM : 0;
}

void op_fini(struct op *o)
{
	assert(!o->busy);
	if (o->aio)
		nng_aio_free(o->aio); /* waits for the callback to have returned */
	o->aio = NULL;
}

void hub_wake(struct channel_hub *h)
{
	pthread_mutex_lock(&h->lock);
	if (!h->woken)
		eventfd_write(h->wake.fd, 1);
	h->woken = true;
	pthread_mutex_unlock(&h->lock);
}

static int completions_handle(struct channel_hub *h)
{
	pthread_mutex_lock(&h->lock);
	struct op *o = h->done, *next;
	h->done = NULL;
	h->done_tail = &h->done;
	pthread_mutex_unlock(&h->lock);

	int n = 0;
	for (; o; o = next, n++) {
		next = o->next;
		o->busy = false;
		o->done(o); /* may free o's channel at the earliest in dead_bury */
	}
	return n;
}

/* --- rounds --- */

static int hot_read(struct channel_hub *h)
{
	struct channels now = TAILQ_HEAD_INITIALIZER(now);
	TAILQ_CONCAT(&now, &h->hot, hot_entry);
	int n = 0;
	struct channel *c;
	while ((c = TAILQ_FIRST(&now))) {
		TAILQ_REMOVE(&now, c, hot_entry);
		c->hot = false;
		n += channel_receive_hot(c);
	}
	return n;
}

static void hot_cool(struct channel_hub *h)
{
	struct channel *c;
	while ((c = TAILQ_FIRST(&h->hot))) {
		TAILQ_REMOVE(&h->hot, c, hot_entry);
		c->hot = false;
		channel_receive_cool(c);
	}
}

static void dirty_flush(struct channel_hub *h)
{
	struct channel *c;
	while ((c = TAILQ_FIRST(&h->dirty)))
		channel_flush(c); /* takes it out */
}

static void notices_give(struct channel_hub *h)
{
	struct channels now = TAILQ_HEAD_INITIALIZER(now);
	TAILQ_CONCAT(&now, &h->notices, notice_entry);
	struct channel *c;
	while ((c = TAILQ_FIRST(&now))) {
		TAILQ_REMOVE(&now, c, notice_entry);
		c->noticed = false;
		if (c->state == CHANNEL_LINGERING && !c->out)
			channel_close(c, c->why.code, NULL);
		else if (c->state == CHANNEL_OPEN && !c->out && h->events->drained)
			h->events->drained(h->ctx, c);
	}
}

static void dead_bury(struct channel_hub *h)
{
	struct channel *c;
	while ((c = TAILQ_FIRST(&h->dead))) {
		if (h->events->closed)
			h->events->closed(h->ctx, c, &c->why);
		TAILQ_REMOVE(&h->dead, c, entry);
		channel_free(c);
	}
}

static void round_end(struct channel_hub *h)
{
	dirty_flush(h);
	notices_give(h);
	dead_bury(h);
}

static void on_wake(struct loop_source *s, uint32_t events)
{
	struct channel_hub *h = container_of(s, struct channel_hub, wake);
	pthread_mutex_lock(&h->lock);
	h->woken = false; /* the eventfd is edge-triggered: nobody has to read it */
	pthread_mutex_unlock(&h->lock);

	h->polling = true;
	completions_handle(h);
	round_end(h);
	h->polling = false;
	h->fresh = false; /* the owner's next turn takes what came */
}

int channel_hub_poll(struct channel_hub *h)
{
	if (h->polling)
		return 0;
	h->polling = true;
	int n = hot_read(h);
	n += completions_handle(h);
	round_end(h);
	h->polling = false;
	if (n)
		h->fresh = true;
	return n;
}

void hub_deadline(struct channel_hub *h, uint64_t at_ms)
{
	if (at_ms < h->deadline_ms)
		h->deadline_ms = at_ms;
}

static void deadlines_check(struct channel_hub *h, uint64_t now_ms)
{
	struct channel *c, *next;
	h->deadline_ms = TIME_NEVER;
	for (c = TAILQ_FIRST(&h->all); c; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (c->deadline_ms <= now_ms)
			channel_expire(c, now_ms); /* may move c to the dead */
		else
			hub_deadline(h, c->deadline_ms);
	}
	struct listener *l;
	SLIST_FOREACH(l, &h->listeners, entry) {
		if (l->retry_at_ms <= now_ms)
			listener_accept(l);
		else
			hub_deadline(h, l->retry_at_ms);
	}
}

uint64_t channel_hub_tick(struct channel_hub *h, uint64_t now_ms)
{
	if (h->polling)
		return now_ms;
	h->polling = true;
	bool again = h->fresh;
	h->fresh = false;
	if (!again)
		again = hot_read(h) + completions_handle(h) > 0;
	if (!again)
		hot_cool(h);
	if (now_ms >= h->deadline_ms)
		deadlines_check(h, now_ms);
	round_end(h);
	h->polling = false;
	return again || !TAILQ_EMPTY(&h->dirty) || !TAILQ_EMPTY(&h->notices) || !TAILQ_EMPTY(&h->dead) ? now_ms : h->deadline_ms;
}

/* --- open and close --- */

/* The first call of nng starts its threads, which inherit the mask: no signal may be delivered to them. */
static int nng_start(nng_aio **ret)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rv = nng_aio_alloc(ret, NULL, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rv ? -ENOMEM : 0;
}

int channel_prepare(void)
{
	nng_aio *aio;
	int r = nng_start(&aio);
	if (!r)
		nng_aio_free(aio);
	return r;
}

int channel_hub_open(struct loop *l, const struct channel_limits *limits, const struct channel_events *events, void *ctx, struct channel_hub **ret)
{
	struct channel_hub *h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->loop = l;
	h->limits = *limits;
	h->events = events;
	h->ctx = ctx;
	h->deadline_ms = TIME_NEVER;
	h->done_tail = &h->done;
	TAILQ_INIT(&h->all);
	TAILQ_INIT(&h->hot);
	TAILQ_INIT(&h->dirty);
	TAILQ_INIT(&h->notices);
	TAILQ_INIT(&h->dead);
	SLIST_INIT(&h->listeners);
	pthread_mutex_init(&h->lock, NULL);

	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), r = fd < 0 ? -errno : 0;
	if (!r)
		r = loop_add(l, &h->wake, fd, EPOLLIN | EPOLLET, on_wake);
	if (!r)
		r = nng_start(&h->try_aio);
	if (r) {
		loop_remove(&h->wake);
		closep(&fd);
		free(h);
		return r;
	}
	*ret = h;
	return 0;
}

/* Some nng calls of this version can deadlock at the end; by then the state is safe on disk, so leaving is better than hanging. */
struct watchdog { struct sigaction action; sigset_t mask; unsigned alarm; };

static void on_stuck(int signo)
{
	_exit(111);
}

static void watchdog_begin(struct watchdog *w)
{
	struct sigaction stuck = { .sa_handler = on_stuck };
	sigset_t alarm_only;
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	sigaction(SIGALRM, &stuck, &w->action);
	pthread_sigmask(SIG_UNBLOCK, &alarm_only, &w->mask);
	w->alarm = alarm(CLOSE_SECONDS);
}

static void watchdog_end(const struct watchdog *w)
{
	alarm(w->alarm);
	pthread_sigmask(SIG_SETMASK, &w->mask, NULL);
	sigaction(SIGALRM, &w->action, NULL);
}

static void closing_wait(struct channel_hub *h)
{
	struct listener *l, *next;
	for (;;) {
		completions_handle(h);
		dead_bury(h);
		bool busy = !TAILQ_EMPTY(&h->all);
		for (l = SLIST_FIRST(&h->listeners); l; l = next) {
			next = SLIST_NEXT(l, entry);
			if (l->accept.busy) {
				busy = true;
				continue;
			}
			SLIST_REMOVE(&h->listeners, l, listener, entry);
			listener_free(l);
		}
		if (!busy)
			return;
		eventfd_t count;
		struct pollfd p = { .fd = h->wake.fd, .events = POLLIN };
		poll(&p, 1, -1);
		eventfd_read(h->wake.fd, &count);
		pthread_mutex_lock(&h->lock);
		h->woken = false;
		pthread_mutex_unlock(&h->lock);
	}
}

struct channel_hub *channel_hub_close(struct channel_hub *h)
{
	if (!h)
		return NULL;
	assert(!h->polling);

	struct watchdog watchdog = { .alarm = 0 };
	bool guest = h->limits.guest;
	if (!guest)
		watchdog_begin(&watchdog);
	h->polling = h->closing = true;
	struct listener *l;
	SLIST_FOREACH(l, &h->listeners, entry)
		listener_close(l);
	struct channel *c, *next;
	for (c = TAILQ_FIRST(&h->all); c; c = next) {
		next = TAILQ_NEXT(c, entry);
		channel_close(c, ERROR_STOPPING, "this process closes its connections");
	}
	closing_wait(h);
	nng_aio_free(h->try_aio);

	if (!guest)
		watchdog_end(&watchdog);

	int fd = h->wake.fd;
	loop_remove(&h->wake);
	close(fd);
	pthread_mutex_destroy(&h->lock);
	free(h);
	return NULL;
}
