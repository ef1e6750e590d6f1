/* Channels whose other end is rude: plain sockets that cut their frames anywhere, claim too much, say garbage, stop halfway, or are too many. */
#include <sys/resource.h>

#include "common/base/cleanup.h"
#include "tests/suite.h"
#include "tests/unit/io/hubs.h"

static const struct channel_limits quick = { .frame_max = 1024 * 1024, .connections_max = 4096, .handshake_ms = 150, .frame_ms = 150 };

static size_t frame_put(uint8_t *at, const void *data, size_t len)
{
	size_t n = sp_head(at, len);
	memcpy(at + n, data, len);
	return n + len;
}

static void head_write(int fd, uint64_t len)
{
	uint8_t head[CHANNEL_HEAD];
	fd_write(fd, head, sp_head(head, len));
}

START_TEST(frames_cut_at_any_byte_arrive_whole)
{
	uint8_t stream[256];
	size_t n = sizeof(sp_hello);
	memcpy(stream, sp_hello, n);
	n += frame_put(stream + n, "a", 1);
	n += frame_put(stream + n, "", 0);
	n += frame_put(stream + n, "seventeen bytes..", 17);
	n += frame_put(stream + n, "xy", 2);

	begin();
	for (size_t cut = 1; cut < n; cut++) {
		server.n_frames = 0;
		server.n_bytes = 0;
		int fd = plain_silent();
		fd_write(fd, stream, cut);
		UNTIL(fd_unread(fd) == 0);
		fd_write(fd, stream + cut, n - cut);
		UNTIL(server.n_frames == 4);
		ck_assert_uint_eq(server.n_bytes, 20);
		close(fd);
	}
	end();
}
END_TEST

START_TEST(a_frame_at_the_limit_passes_and_one_over_it_closes)
{
	begin();
	uint8_t *data = calloc(1, 1024 * 1024);
	int fd = plain();
	head_write(fd, 1024 * 1024);
	for (size_t at = 0; at < 1024 * 1024; at += 65536) {
		fd_write(fd, data, 65536);
		UNTIL(fd_unread(fd) == 0);
	}
	UNTIL(server.n_frames == 1);
	ck_assert_uint_eq(server.n_bytes, 1024 * 1024);
	sp_write(fd, "more", 4);
	UNTIL(server.n_frames == 2);

	static const uint64_t claims[] = { 1024 * 1024 + 1, 1u << 30, UINT64_C(1) << 32, UINT64_C(1) << 63, UINT64_MAX };
	for (size_t i = 0; i < ELEMENTS(claims); i++) {
		int bad = plain();
		head_write(bad, claims[i]);
		unsigned before = server.n_closed;
		UNTIL(server.n_closed == before + 1);
		ck_assert_int_eq(server.why, ERROR_TOO_LARGE);
		ck_assert(fd_at_end(bad));
		close(bad);
	}
	close(fd);
	free(data);
	end();
}
END_TEST

START_TEST(garbage_closes_at_its_first_wrong_byte)
{
	begin();
	int fd = plain_silent();
	fd_write(fd, "GET", 3);
	UNTIL(server.n_closed == 1);
	ck_assert_int_eq(server.why, ERROR_BAD_REQUEST);
	ck_assert_uint_eq(server.n_open, 0);
	close(fd);

	fd = plain();
	fd_write(fd, "\x02", 1);
	UNTIL(server.n_closed == 2);
	ck_assert_int_eq(server.why, ERROR_BAD_REQUEST);
	close(fd);
	end();
}
END_TEST

START_TEST(half_a_handshake_and_half_a_frame_time_out)
{
	begin_with(&quick);
	int fd = plain_silent();
	fd_write(fd, sp_hello, 5);
	UNTIL(server.n_closed == 1);
	ck_assert_int_eq(server.why, ERROR_TIMEOUT);
	ck_assert_uint_eq(server.n_open, 0);
	close(fd);

	fd = plain();
	head_write(fd, 100);
	fd_write(fd, "too little", 10);
	UNTIL(server.n_closed == 2);
	ck_assert_int_eq(server.why, ERROR_TIMEOUT);
	ck_assert_uint_eq(server.n_open, 1);
	close(fd);

	/* Silence between frames is no fault. */
	fd = plain();
	sp_write(fd, "x", 1);
	UNTIL(server.n_frames == 1);
	uint64_t until_ms = clock_mono_ms() + 3 * quick.frame_ms;
	UNTIL(clock_mono_ms() > until_ms);
	ck_assert_uint_eq(server.n_closed, 2);
	close(fd);
	end();
}
END_TEST

static void files_allow(rlim_t n)
{
	struct rlimit l;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &l), 0);
	l.rlim_cur = n;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &l), 0);
}

START_TEST(a_thousand_of_every_bad_kind_later_it_still_serves)
{
	enum { N = 1000 };
	static int fds[N];
	files_allow(4096);
	struct channel_limits limits = channel_limits_default;
	limits.handshake_ms = 1000;
	begin_with(&limits);

	for (int i = 0; i < N; i++)
		close(plain_silent());
	serves();

	for (int i = 0; i < N; i++) {
		fds[i] = plain();
		fd_write(fds[i], "garbage!", 8);
		UNTIL(fd_unread(fds[i]) == 0 || fd_at_end(fds[i]));
		close(fds[i]);
	}
	serves();

	for (int i = 0; i < N; i++) {
		fds[i] = plain();
		head_write(fds[i], UINT64_C(1) << 62);
		UNTIL(fd_at_end(fds[i]));
		close(fds[i]);
	}
	serves();

	/* Half-open ones, all at once. */
	unsigned before = server.n_closed;
	for (int i = 0; i < N; i++) {
		fds[i] = plain_silent();
		if (i % 16 == 0)
			serves();
	}
	serves();
	for (int i = 0; i < N; i++) {
		UNTIL(fd_at_end(fds[i]));
		close(fds[i]);
	}
	UNTIL(server.n_closed >= before + N); /* the last callbacks may be on their way */
	serves();
	end();
}
END_TEST

START_TEST(without_fds_the_listener_neither_spins_nor_dies)
{
	begin();
	serves();
	UNTIL(server.n_closed == 1);
	/* Room for the clients of this test, and for none of the server's. */
	int fds[8], top = dup(0);
	close(top);
	for (size_t i = 0; i < ELEMENTS(fds); i++)
		fds[i] = plain_silent();
	files_allow((rlim_t)fds[ELEMENTS(fds) - 1] + 1);

	unsigned rounds = 0;
	uint64_t stop_ms = clock_mono_ms() + 500;
	while (clock_mono_ms() < stop_ms) {
		uint64_t next_ms = tick(clock_mono_ms());
		ck_assert_int_ge(loop_once(loop, next_ms < stop_ms ? next_ms : stop_ms), 0);
		rounds++;
	}
	ck_assert_uint_lt(rounds, 60);

	files_allow(1024);
	serves();
	for (size_t i = 0; i < ELEMENTS(fds); i++)
		close(fds[i]);
	end();
}
END_TEST

START_TEST(more_connections_than_allowed_are_closed_at_once)
{
	struct channel_limits limits = channel_limits_default;
	limits.connections_max = 3;
	begin_with(&limits);
	int fds[4];
	for (unsigned i = 0; i < 3; i++) {
		fds[i] = plain();
		UNTIL(server.n_open == i + 1);
	}
	fds[3] = plain_silent();
	UNTIL(fd_at_end(fds[3]));
	ck_assert_uint_eq(server.n_open, 3);

	close(fds[0]);
	UNTIL(server.n_closed == 1);
	serves();
	for (unsigned i = 1; i < 4; i++)
		close(fds[i]);
	end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rude");
	TCase *t = tcase_create("rude");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, frames_cut_at_any_byte_arrive_whole);
	tcase_add_test(t, a_frame_at_the_limit_passes_and_one_over_it_closes);
	tcase_add_test(t, garbage_closes_at_its_first_wrong_byte);
	tcase_add_test(t, half_a_handshake_and_half_a_frame_time_out);
	tcase_add_test(t, a_thousand_of_every_bad_kind_later_it_still_serves);
	tcase_add_test(t, without_fds_the_listener_neither_spins_nor_dies);
	tcase_add_test(t, more_connections_than_allowed_are_closed_at_once);
	suite_add_tcase(s, t);
	return suite_run(s);
}
