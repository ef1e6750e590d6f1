#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/io/loop.h"
#include "tests/suite.h"

struct probe {
	struct loop_source source;
	unsigned n;
	uint32_t events;
	struct probe *removes;   /* taken out by the first call */
	bool frees;
};

static struct loop *loop;

static void on_ready(struct loop_source *s, uint32_t events)
{
	struct probe *p = container_of(s, struct probe, source);
	p->n++;
	p->events = events;
	if (p->removes) {
		int fd = p->removes->source.fd;
		loop_remove(&p->removes->source);
		close(fd);
		if (p->frees)
			free(p->removes);
		p->removes = NULL;
	}
}

static int event_fd(unsigned value)
{
	int fd = eventfd(value, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static void probe_add(struct probe *p, unsigned value)
{
	ck_assert_int_eq(loop_add(loop, &p->source, event_fd(value), EPOLLIN, on_ready), 0);
}

static void probe_end(struct probe *p)
{
	if (!p->source.loop)
		return;
	loop_remove(&p->source);
	close(p->source.fd);
}

static void begin(void)
{
	ck_assert_int_eq(loop_open(&loop), 0);
}

static void end(void)
{
	ck_assert_ptr_null(loop_close(loop));
}

START_TEST(what_is_ready_is_dispatched_once_a_round)
{
	struct probe a = { 0 }, b = { 0 };
	begin();
	probe_add(&a, 1);
	probe_add(&b, 0);
	ck_assert_int_eq(loop_once(loop, TIME_NEVER), 1);
	ck_assert_uint_eq(a.n, 1);
	ck_assert_uint_eq(a.events, EPOLLIN);
	ck_assert_uint_eq(b.n, 0);

	ck_assert_int_eq(loop_modify(&b.source, EPOLLOUT), 0);
	ck_assert_int_eq(loop_modify(&a.source, 0), 0);
	ck_assert_int_eq(loop_once(loop, TIME_NEVER), 1);
	ck_assert_uint_eq(b.events, EPOLLOUT);
	probe_end(&a);
	probe_end(&b);
	end();
}
END_TEST

START_TEST(a_source_removed_by_an_earlier_one_of_the_round_is_not_called)
{
	begin();
	/* Either may come first: whichever does takes the other out. */
	struct probe a = { 0 }, b = { 0 };
	probe_add(&a, 1);
	probe_add(&b, 1);
	a.removes = &b;
	b.removes = &a;
	ck_assert_int_eq(loop_once(loop, TIME_NEVER), 1);
	ck_assert_uint_eq(a.n + b.n, 1);
	probe_end(&a);
	probe_end(&b);
	end();
}
END_TEST

START_TEST(a_source_may_be_freed_inside_a_dispatch)
{
	begin();
	struct probe *p[20];
	for (int i = 0; i < 20; i++) {
		p[i] = calloc(1, sizeof(*p[i]));
		probe_add(p[i], 1);
	}
	/* Each frees its neighbour; the reader of freed memory is found by the sanitizer, a wrong count by everybody. */
	for (int i = 0; i < 20; i += 2) {
		p[i]->removes = p[i + 1];
		p[i]->frees = true;
	}
	int n = loop_once(loop, TIME_NEVER);
	ck_assert_int_ge(n, 10);
	ck_assert_int_le(n, 20);
	ck_assert_int_eq(loop_once(loop, 0), 10);
	for (int i = 0; i < 20; i += 2) {
		probe_end(p[i]);
		free(p[i]);
	}
	end();
}
END_TEST

START_TEST(a_source_may_remove_itself_and_come_back_with_another_fd)
{
	begin();
	struct probe a = { 0 };
	probe_add(&a, 1);
	a.removes = &a;
	ck_assert_int_eq(loop_once(loop, 0), 1);
	ck_assert_ptr_null(a.source.loop);
	loop_remove(&a.source); /* a no-op */
	ck_assert_int_eq(loop_once(loop, 0), 0);
	probe_add(&a, 1);
	ck_assert_int_eq(loop_once(loop, 0), 1);
	ck_assert_uint_eq(a.n, 2);
	probe_end(&a);
	end();
}
END_TEST

START_TEST(a_wait_ends_at_its_deadline_and_not_before)
{
	begin();
	uint64_t begin_ms = clock_mono_ms();
	ck_assert_int_eq(loop_once(loop, begin_ms + 50), 0);
	ck_assert_uint_ge(clock_mono_ms(), begin_ms + 50);
	ck_assert_uint_ge(loop_now_ms(loop), begin_ms + 50);
	ck_assert_uint_lt(loop_now_ms(loop), begin_ms + 5000);

	/* A deadline in the past polls. */
	ck_assert_int_eq(loop_once(loop, 0), 0);
	ck_assert_int_eq(loop_once(loop, begin_ms), 0);
	end();
}
END_TEST

static uint64_t busy_until_ms;

static void on_busy(struct loop_source *s, uint32_t events)
{
	while (clock_mono_ms() < busy_until_ms)
		;
	eventfd_t v;
	eventfd_read(s->fd, &v);
}

START_TEST(time_spent_outside_the_wait_is_lateness)
{
	begin();
	struct loop_source s = { 0 };
	int fd = event_fd(1);
	ck_assert_int_eq(loop_add(loop, &s, fd, EPOLLIN, on_busy), 0);
	busy_until_ms = clock_mono_ms() + 60;
	ck_assert_int_eq(loop_once(loop, TIME_NEVER), 1);

	/* The handler was busy for 60 ms: whatever came in meanwhile is that late. */
	ck_assert_int_eq(loop_once(loop, 0), 0);
	ck_assert_uint_ge(loop_lateness_ms(loop), 55);

	/* A wait that returns in time is not late, however long it was. */
	ck_assert_int_eq(loop_once(loop, clock_mono_ms() + 100), 0);
	ck_assert_uint_lt(loop_lateness_ms(loop), 60);
	loop_remove(&s);
	close(fd);
	end();
}
END_TEST

static int signals_seen[65];

static void on_signal(void *ctx, const struct signalfd_siginfo *si)
{
	signals_seen[si->ssi_signo]++;
	if (si->ssi_signo == SIGTERM)
		loop_stop(ctx, 42);
}

static uint64_t tick_kill(void *ctx, uint64_t now_ms)
{
	unsigned *n = ctx;
	ck_assert_uint_eq(now_ms, loop_now_ms(loop));
	if ((*n)++ == 0) {
		kill(getpid(), SIGHUP);
		return now_ms + 10000;
	}
	if (*n == 2)
		kill(getpid(), SIGTERM);
	return TIME_NEVER;
}

START_TEST(signals_arrive_as_calls_and_stop_ends_the_run)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	begin();
	ck_assert_int_eq(loop_signals(loop, &set, on_signal, loop), 0);
	unsigned n = 0;
	ck_assert_int_eq(loop_run(loop, tick_kill, &n), 42);
	ck_assert_int_eq(signals_seen[SIGHUP], 1);
	ck_assert_int_eq(signals_seen[SIGTERM], 1);
	ck_assert_uint_eq(n, 2);

	/* A second set replaces the first, in the same fd. */
	sigaddset(&set, SIGUSR1);
	ck_assert_int_eq(loop_signals(loop, &set, on_signal, loop), 0);
	kill(getpid(), SIGUSR1);
	ck_assert_int_eq(loop_once(loop, clock_mono_ms() + 5000), 1);
	ck_assert_int_eq(signals_seen[SIGUSR1], 1);
	end();
}
END_TEST

static uint64_t tick_stop(void *ctx, uint64_t now_ms)
{
	unsigned *n = ctx;
	if (++*n == 3)
		loop_stop(loop, 7);
	return now_ms;
}

START_TEST(a_tick_that_stops_is_the_last_thing_that_runs)
{
	begin();
	unsigned n = 0;
	ck_assert_int_eq(loop_run(loop, tick_stop, &n), 7);
	ck_assert_uint_eq(n, 3);
	/* And the loop can run again. */
	n = 0;
	ck_assert_int_eq(loop_run(loop, tick_stop, &n), 7);
	end();
}
END_TEST

static Suite *loop_suite(void)
{
	Suite *s = suite_create("loop");
	TCase *t = tcase_create("loop");
	tcase_add_test(t, what_is_ready_is_dispatched_once_a_round);
	tcase_add_test(t, a_source_removed_by_an_earlier_one_of_the_round_is_not_called);
	tcase_add_test(t, a_source_may_be_freed_inside_a_dispatch);
	tcase_add_test(t, a_source_may_remove_itself_and_come_back_with_another_fd);
	tcase_add_test(t, a_wait_ends_at_its_deadline_and_not_before);
	tcase_add_test(t, time_spent_outside_the_wait_is_lateness);
	tcase_add_test(t, signals_arrive_as_calls_and_stop_ends_the_run);
	tcase_add_test(t, a_tick_that_stops_is_the_last_thing_that_runs);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	return suite_run(loop_suite());
}
