/* The lifeline over a real socketpair; the misbehaving end is a plain fd. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/rng.h"
#include "common/io/lifeline.h"
#include "tests/suite.h"

static struct lifeline parent;
static int child;

static void begin(void)
{
	int fds[2];
	ck_assert_int_eq(lifeline_pair(fds), 0);
	ck_assert(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	ck_assert(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
	lifeline_init(&parent, fds[0]);
	child = fds[1];
}

static void end(void)
{
	lifeline_fini(&parent);
	ck_assert_int_eq(parent.fd, -1);
	if (child >= 0)
		close(child);
	child = -1;
}

static int n_fds(void)
{
	int n = 0;
	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int send_ping(struct lifeline *l, uint64_t nonce, int pass_fd)
{
	Troupe__PingChild ping = TROUPE__PING_CHILD__INIT;
	ping.nonce = nonce;
	Troupe__Control c = TROUPE__CONTROL__INIT;
	c.ref = nonce;
	c.body_case = TROUPE__CONTROL__BODY_PING;
	c.ping = &ping;
	return lifeline_send(l, &c, pass_fd);
}

/* A packet of about len bytes. */
static int send_large(struct lifeline *l, size_t len)
{
	char *text = malloc(len + 1);
	memset(text, 'x', len);
	text[len] = '\0';
	Troupe__Note note = TROUPE__NOTE__INIT;
	note.text = text;
	Troupe__Control c = TROUPE__CONTROL__INIT;
	c.body_case = TROUPE__CONTROL__BODY_NOTE;
	c.note = &note;
	int r = lifeline_send(l, &c, -1);
	free(text);
	return r;
}

/* What lifeline_receive returns; a packet's ref in *ret_ref, its fd in *ret_fd. */
static int receive(struct lifeline *l, uint64_t *ret_ref, int *ret_fd)
{
	struct arena *a;
	Troupe__Control *c;
	int fd;
	struct error e;
	int r = lifeline_receive(l, &a, &c, &fd, &e);
	if (r)
		return r;
	*ret_ref = c->ref;
	if (ret_fd)
		*ret_fd = fd;
	else
		ck_assert_int_eq(fd, -1);
	arena_unref(a);
	return 0;
}

START_TEST(packets_arrive_in_order_with_their_borders)
{
	begin();
	struct lifeline l;
	lifeline_init(&l, child);
	for (uint64_t i = 1; i <= 5; i++)
		ck_assert_int_eq(send_ping(&parent, i, -1), 0);
	uint64_t ref;
	for (uint64_t i = 1; i <= 5; i++) {
		ck_assert_int_eq(receive(&l, &ref, NULL), 0);
		ck_assert_uint_eq(ref, i);
	}
	ck_assert_int_eq(receive(&l, &ref, NULL), ERROR_NOT_FOUND);
	lifeline_fini(&l);
	child = -1;
	ck_assert_int_eq(receive(&parent, &ref, NULL), -EPIPE);
	ck_assert_int_eq(send_ping(&parent, 1, -1), -EPIPE);
	end();
	ck_assert_int_eq(receive(&parent, &ref, NULL), -EPIPE); /* closed */
}
END_TEST

START_TEST(an_fd_goes_along_and_works)
{
	begin();
	struct lifeline l;
	lifeline_init(&l, child);
	int pipe_fds[2];
	ck_assert_int_eq(pipe(pipe_fds), 0);
	ck_assert_int_eq(send_ping(&l, 1, pipe_fds[1]), 0);
	close(pipe_fds[1]);

	uint64_t ref;
	int fd = -1;
	ck_assert_int_eq(receive(&parent, &ref, &fd), 0);
	ck_assert_int_ge(fd, 0);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	ck_assert_int_eq(write(fd, "z", 1), 1);
	char c;
	ck_assert_int_eq(read(pipe_fds[0], &c, 1), 1);
	close(fd);
	close(pipe_fds[0]);
	lifeline_fini(&l);
	child = -1;
	end();
}
END_TEST

START_TEST(what_does_not_fit_waits_in_order_with_its_fd_and_then_the_sender_is_told)
{
	begin();
	int before = n_fds();
	uint64_t n = 0;
	while (!lifeline_wants_write(&parent))
		ck_assert_int_eq(send_ping(&parent, ++n, -1), 0);
	/* 256 may wait; the last of them with an fd. */
	while (parent.queued < 255)
		ck_assert_int_eq(send_ping(&parent, ++n, -1), 0);
	int passed = dup(0);
	ck_assert_int_eq(send_ping(&parent, ++n, passed), 0);
	close(passed); /* the queue has its own */
	ck_assert_int_eq(send_ping(&parent, n + 1, -1), ERROR_BUSY);
	ck_assert_uint_eq(parent.queued, 256);

	struct lifeline l;
	lifeline_init(&l, child);
	for (uint64_t i = 1; i <= n; i++) {
		uint64_t ref;
		int fd = -1, r;
		while ((r = receive(&l, &ref, &fd)) == ERROR_NOT_FOUND)
			ck_assert_int_eq(lifeline_flush(&parent), 0);
		ck_assert_int_eq(r, 0);
		ck_assert_uint_eq(ref, i);
		ck_assert_int_eq(fd >= 0, i == n);
		if (fd >= 0)
			close(fd);
	}
	ck_assert(!lifeline_wants_write(&parent));
	ck_assert_uint_eq(parent.queued_bytes, 0);
	ck_assert_int_eq(n_fds(), before);
	lifeline_fini(&l);
	child = -1;
	end();
}
END_TEST

START_TEST(the_queue_is_bounded_in_bytes_too_and_is_dropped_with_the_line)
{
	begin();
	unsigned n = 0;
	int r;
	while ((r = send_large(&parent, 150000)) == 0)
		n++;
	ck_assert_int_eq(r, ERROR_BUSY);
	ck_assert_uint_gt(n, 6);
	ck_assert_uint_lt(n, 20);
	ck_assert_uint_le(parent.queued_bytes, 1024 * 1024);
	int passed = dup(0);
	ck_assert_int_eq(send_ping(&parent, 1, passed), 0); /* a small one still fits */
	close(passed);
	int before = n_fds();
	lifeline_fini(&parent);
	ck_assert_int_eq(n_fds(), before - 2);
	end();
}
END_TEST

START_TEST(the_largest_packet_passes_and_a_larger_one_does_not)
{
	begin();
	ck_assert_int_eq(send_large(&parent, WIRE_CONTROL_MAX), ERROR_TOO_LARGE);
	ck_assert_int_eq(send_large(&parent, WIRE_CONTROL_MAX - 16), 0);
	ck_assert(!lifeline_wants_write(&parent));

	/* From the other side: one that is too large is refused, the next one is read. */
	uint8_t *large = calloc(1, WIRE_CONTROL_MAX + 1);
	ck_assert_int_eq(send(child, large, WIRE_CONTROL_MAX + 1, 0), WIRE_CONTROL_MAX + 1);
	free(large);
	struct lifeline l;
	lifeline_init(&l, child);
	ck_assert_int_eq(send_ping(&l, 5, -1), 0);
	uint64_t ref;
	ck_assert_int_eq(receive(&parent, &ref, NULL), ERROR_BAD_REQUEST);
	ck_assert_int_eq(receive(&parent, &ref, NULL), 0);
	ck_assert_uint_eq(ref, 5);
	end();
}
END_TEST

START_TEST(garbage_is_one_bad_packet_each)
{
	begin();
	struct lifeline l;
	lifeline_init(&l, child);
	struct rng r;
	rng_seed(&r, 3);
	uint64_t ref;
	for (int i = 0; i < 2000; i++) {
		uint8_t data[64];
		size_t len = rng_below(&r, sizeof(data)) + 1;
		for (size_t j = 0; j < len; j++)
			data[j] = (uint8_t)rng_next(&r);
		ck_assert_int_eq(send(child, data, len, 0), (ssize_t)len);
		int code = receive(&parent, &ref, NULL);
		ck_assert(code == ERROR_BAD_REQUEST || code == 0);
	}
	ck_assert_int_eq(send(child, "\xff\xff\xff\xff", 4, 0), 4);
	ck_assert_int_eq(receive(&parent, &ref, NULL), ERROR_BAD_REQUEST);
	ck_assert_int_eq(send_ping(&l, 9, -1), 0);
	ck_assert_int_eq(receive(&parent, &ref, NULL), 0);
	ck_assert_uint_eq(ref, 9);
	end();
}
END_TEST

START_TEST(an_empty_packet_is_not_the_end)
{
	begin();
	ck_assert_int_eq(send(child, "", 0, 0), 0);
	uint64_t ref;
	ck_assert_int_eq(receive(&parent, &ref, NULL), 0); /* a Control without a body */
	ck_assert_int_eq(receive(&parent, &ref, NULL), ERROR_NOT_FOUND);

	/* Nor are empty packets in front of the last words of one that has gone. */
	struct lifeline l;
	lifeline_init(&l, child);
	ck_assert_int_eq(send(child, "", 0, 0), 0);
	ck_assert_int_eq(send_ping(&l, 3, -1), 0);
	lifeline_fini(&l);
	child = -1;
	ck_assert_int_eq(receive(&parent, &ref, NULL), 0);
	ck_assert_int_eq(receive(&parent, &ref, NULL), 0);
	ck_assert_uint_eq(ref, 3);
	ck_assert_int_eq(receive(&parent, &ref, NULL), -EPIPE);
	end();
}
END_TEST

START_TEST(last_words_are_heard_though_the_dead_had_not_read_all)
{
	begin();
	ck_assert_int_eq(send_ping(&parent, 1, -1), 0); /* never read: its end is reported as a reset */
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct lifeline l;
		lifeline_init(&l, child);
		send_ping(&l, 7, -1);
		send_ping(&l, 8, -1);
		raise(SIGKILL);
	}
	close(child);
	child = -1;
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	uint64_t ref;
	ck_assert_int_eq(receive(&parent, &ref, NULL), 0);
	ck_assert_uint_eq(ref, 7);
	ck_assert_int_eq(receive(&parent, &ref, NULL), 0);
	ck_assert_uint_eq(ref, 8);
	ck_assert_int_eq(receive(&parent, &ref, NULL), -EPIPE);
	ck_assert_int_eq(send_ping(&parent, 2, -1), -EPIPE);
	ck_assert_int_eq(lifeline_flush(&parent), 0); /* nothing was queued */
	end();
}
END_TEST

static void send_fds(int to, const int *fds, size_t n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 64)];
	} control = { 0 };
	struct iovec iov = { (void *)"", 0 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(sizeof(int) * n) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	ck_assert_int_ge(sendmsg(to, &m, 0), 0);
}

START_TEST(of_many_fds_one_is_kept_and_none_leaks)
{
	begin();
	int fds[64];
	for (size_t i = 0; i < ELEMENTS(fds); i++)
		fds[i] = 0;
	int before = n_fds();
	for (size_t n = 1; n <= ELEMENTS(fds); n++) {
		send_fds(child, fds, n);
		uint64_t ref;
		int fd = -1;
		ck_assert_int_eq(receive(&parent, &ref, &fd), 0);
		ck_assert_int_ge(fd, 0);
		close(fd);
		ck_assert_int_eq(n_fds(), before);
	}
	/* And with a packet that does not decode. */
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)"\xff\xff", 2 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), fds, sizeof(int));
	ck_assert_int_eq(sendmsg(child, &m, 0), 2);
	uint64_t ref;
	ck_assert_int_eq(receive(&parent, &ref, NULL), ERROR_BAD_REQUEST);
	ck_assert_int_eq(n_fds(), before);
	end();
}
END_TEST

static Suite *lifeline_suite(void)
{
	Suite *s = suite_create("lifeline");
	TCase *t = tcase_create("lifeline");
	tcase_add_test(t, packets_arrive_in_order_with_their_borders);
	tcase_add_test(t, an_fd_goes_along_and_works);
	tcase_add_test(t, what_does_not_fit_waits_in_order_with_its_fd_and_then_the_sender_is_told);
	tcase_add_test(t, the_queue_is_bounded_in_bytes_too_and_is_dropped_with_the_line);
	tcase_add_test(t, the_largest_packet_passes_and_a_larger_one_does_not);
	tcase_add_test(t, garbage_is_one_bad_packet_each);
	tcase_add_test(t, an_empty_packet_is_not_the_end);
	tcase_add_test(t, last_words_are_heard_though_the_dead_had_not_read_all);
	tcase_add_test(t, of_many_fds_one_is_kept_and_none_leaks);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	return suite_run(lifeline_suite());
}
