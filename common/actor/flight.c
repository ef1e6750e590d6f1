/* A turn whose commit is on its way. A thread writes its rows and waits for the disk, while the loop handles what comes: those messages are the next turn, which leaves when
 * this one has landed. So the disk and the processor work at the same time, and a commit takes everything that came during the one before it.
 *
 * The thread touches the turn's rows and the store's write transaction, and nothing else; the loop, meanwhile, reads the rows and views of the store. What is handed over
 * goes through the mutex. An eventfd wakes the loop. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "common/actor/internal.h"

enum order { ORDER_NONE, ORDER_COMMIT, ORDER_END };

struct flight {
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	enum order order;            /* under the mutex, as are the next two */
	int code;
	uint64_t took_us;

	struct loop_source source;   /* the rest is the loop's */
	struct turn *turn;           /* NULL: none is up */
	struct mail *handled;
	struct event *handled_events;
	uint64_t since_ms;
};

static void *commit_turns(void *arg)
{
	struct flight *f = arg;
	const uint64_t one = 1;
	pthread_mutex_lock(&f->mutex);
	for (;;) {
		while (f->order == ORDER_NONE)
			pthread_cond_wait(&f->changed, &f->mutex);
		if (f->order == ORDER_END)
			break;
		struct turn *t = f->turn;
		pthread_mutex_unlock(&f->mutex);
		uint64_t from_us = clock_mono_us();
		int code = turn_commit(t, store_begin_beside);
		uint64_t took_us = clock_mono_us() - from_us;
		pthread_mutex_lock(&f->mutex);
		f->code = code;
		f->took_us = took_us;
		f->order = ORDER_NONE;
		pthread_cond_broadcast(&f->changed);
		while (write(f->source.fd, &one, sizeof one) < 0 && errno == EINTR)
			;
	}
	pthread_mutex_unlock(&f->mutex);
	return NULL;
}

static void on_landed(struct loop_source *s, uint32_t events)
{
	uint64_t n;
	(void)!read(s->fd, &n, sizeof n); /* the tick that follows looks */
}

int flight_open(struct flight **ret, struct actor *a)
{
	struct flight *f = calloc(1, sizeof *f);
	if (!f)
		return -ENOMEM;
	pthread_mutex_init(&f->mutex, NULL);
	pthread_cond_init(&f->changed, NULL);
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), r = fd < 0 ? -errno : loop_add(a->loop, &f->source, fd, EPOLLIN, on_landed);
	if (!r && (r = pthread_create(&f->thread, NULL, commit_turns, f))) {
		loop_remove(&f->source);
		r = -r;
	}
	if (!r) {
		*ret = f;
		return 0;
	}
	if (fd >= 0)
		close(fd);
	free(f);
	return r;
}

struct flight *flight_close(struct flight *f)
{
	if (!f)
		return NULL;
	pthread_mutex_lock(&f->mutex);
	f->order = ORDER_END;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->mutex);
	pthread_join(f->thread, NULL);
	int fd = f->source.fd;
	loop_remove(&f->source);
	close(fd);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->mutex);
	free(f);
	return NULL;
}

bool flight_is_up(const struct flight *f)
{
	return f && f->turn;
}

bool flight_is_done(struct flight *f)
{
	pthread_mutex_lock(&f->mutex);
	bool done = f->order == ORDER_NONE;
	pthread_mutex_unlock(&f->mutex);
	return done;
}

void flight_start(struct flight *f, struct turn *t, struct mail *handled, struct event *handled_events)
{
	f->handled = handled;
	f->handled_events = handled_events;
	f->since_ms = clock_mono_ms();
	pthread_mutex_lock(&f->mutex);
	f->turn = t;
	f->order = ORDER_COMMIT;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->mutex);
}

uint64_t flight_since_ms(const struct flight *f)
{
	return f->since_ms;
}

void flight_wait(struct flight *f)
{
	pthread_mutex_lock(&f->mutex);
	while (f->order != ORDER_NONE)
		pthread_cond_wait(&f->changed, &f->mutex);
	pthread_mutex_unlock(&f->mutex);
}

int flight_land(struct flight *f, struct turn **ret, struct mail **ret_handled, struct event **ret_events, uint64_t *ret_us)
{
	flight_wait(f);
	*ret = steal(&f->turn);
	*ret_handled = steal(&f->handled);
	*ret_events = steal(&f->handled_events);
	*ret_us = f->took_us;
	return f->code;
}
