/* Channels over real sockets: how they open, what they carry, how they end. The other end is a second hub, or a plain socket that knows the format. */
#include <netinet/in.h>
#include <sys/stat.h>

#include "common/base/rng.h"
#include "tests/suite.h"
#include "tests/unit/io/hubs.h"

START_TEST(both_ends_open_and_know_the_other_by_the_kernel)
{
	begin();
	dial(dir_url("s"));
	UNTIL(server.n_open == 1 && client.n_open == 1);

	ck_assert(channel_dialled(client.channel) && !channel_dialled(server.channel));
	ck_assert_int_eq(channel_peer(server.channel)->pid, getpid());
	ck_assert_uint_eq(channel_peer(server.channel)->uid, getuid());
	ck_assert_uint_eq(channel_peer(client.channel)->gid, getgid());
	ck_assert(channel_peer(client.channel)->local);

	ck_assert_int_eq(channel_send(client.channel, (const uint8_t *)"abc", 3), 0);
	UNTIL(server.n_bytes == 3);
	end();
}
END_TEST

START_TEST(frames_of_all_sizes_arrive_in_order_while_the_reader_lags)
{
	begin();
	server.echo = true;
	dial(dir_url("s"));
	UNTIL(client.n_open == 1);

	uint64_t sum = 0;
	size_t total = 0;
	unsigned n = 0;
	struct rng r;
	rng_seed(&r, 7);
	uint8_t *data = malloc(CHANNEL_HEAD + 1024 * 1024);
	for (unsigned i = 0; i < 400; i++) {
		size_t len = i % 40 == 0 ? 1024 * 1024 - rng_below(&r, 3) : rng_below(&r, i % 7 == 0 ? 300000 : 200);
		for (size_t j = 0; j < len; j++) {
			data[CHANNEL_HEAD + j] = (uint8_t)rng_next(&r);
			sum = sum * 31 + data[CHANNEL_HEAD + j];
		}
		total += len;
		n++;
		switch (i % 3) {
		case 0:
			ck_assert_int_eq(channel_send(client.channel, data + CHANNEL_HEAD, len), 0);
			break;
		case 1:
			ck_assert_int_eq(channel_send_now(client.channel, data, len), 0);
			break;
		case 2: {
			uint8_t *given = malloc(CHANNEL_HEAD + len);
			memcpy(given + CHANNEL_HEAD, data + CHANNEL_HEAD, len);
			ck_assert_int_eq(channel_send_steal(client.channel, &given, len), 0);
			ck_assert_ptr_null(given);
		}
		}
		if (i % 5 == 0)
			channel_flush(client.channel);
	}
	free(data);
	ck_assert_uint_gt(channel_unsent(client.channel), 0);
	UNTIL(client.n_frames == n);

	ck_assert_uint_eq(server.sum, sum);
	ck_assert_uint_eq(client.sum, sum);
	ck_assert_uint_eq(client.n_bytes, total);
	ck_assert_uint_eq(channel_unsent(client.channel), 0);
	ck_assert_uint_gt(client.n_drained, 0);
	end();
}
END_TEST

START_TEST(a_paused_channel_is_not_read_until_it_is_resumed)
{
	begin();
	int fd = plain();
	UNTIL(server.n_open == 1);
	channel_pause(server.channel, true);
	sp_write(fd, "one", 3); /* a receive that was posted may still take this */
	uint64_t stop_ms = clock_mono_ms() + 30;
	UNTIL(clock_mono_ms() > stop_ms);
	unsigned before = server.n_frames;
	ck_assert_uint_le(before, 1);
	sp_write(fd, "two", 3);
	stop_ms = clock_mono_ms() + 30;
	UNTIL(clock_mono_ms() > stop_ms);
	ck_assert_uint_eq(server.n_frames, before);
	ck_assert_int_gt(fd_unread(fd), 0);

	channel_pause(server.channel, false);
	UNTIL(server.n_frames == 2);
	close(fd);
	end();
}
END_TEST

START_TEST(output_that_nobody_reads_is_counted_and_leaves_when_somebody_does)
{
	begin();
	int fd = plain();
	UNTIL(server.n_open == 1);
	uint8_t data[10000] = { 0 };
	for (int i = 0; i < 500; i++)
		ck_assert_int_eq(channel_send(server.channel, data, sizeof(data)), 0);
	uint64_t stop_ms = clock_mono_ms() + 50;
	UNTIL(clock_mono_ms() > stop_ms);
	ck_assert_uint_gt(channel_unsent(server.channel), 4000000);
	ck_assert_uint_eq(server.n_drained, 0);

	size_t got = 0, all = 8 + 500 * (CHANNEL_HEAD + sizeof(data));
	char skip[65536];
	ssize_t n;
	UNTIL(((n = recv(fd, skip, sizeof(skip), MSG_DONTWAIT)) > 0 ? (got += (size_t)n) : got) == all);
	UNTIL(server.n_drained == 1);
	ck_assert_uint_eq(channel_unsent(server.channel), 0);
	close(fd);
	end();
}
END_TEST

START_TEST(a_callback_may_close_its_channel)
{
	begin();
	server.close_in_frame = true;
	int fd = plain();
	sp_write(fd, "a", 1);
	sp_write(fd, "b", 1);
	UNTIL(server.n_closed == 1);
	ck_assert_uint_eq(server.n_frames, 1);
	ck_assert_int_eq(server.why, ERROR_STATE);
	ck_assert_str_eq(server.why_text, "enough");
	close(fd);

	server.close_in_frame = false;
	server.refuse_frame = true;
	fd = plain();
	sp_write(fd, "a", 1);
	UNTIL(server.n_closed == 2);
	ck_assert_int_eq(server.why, ERROR_BAD_REQUEST);
	close(fd);

	server.close_in_open = true;
	fd = plain();
	UNTIL(server.n_closed == 3);
	ck_assert(fd_at_end(fd));
	close(fd);
	end();
}
END_TEST

START_TEST(what_was_said_last_arrives_before_the_end)
{
	begin();
	dial(dir_url("s"));
	UNTIL(client.n_open == 1 && server.n_open == 1);
	uint8_t *data = calloc(1, 1000000);
	ck_assert_int_eq(channel_send(server.channel, data, 1000000), 0);
	ck_assert_int_eq(channel_send(server.channel, (const uint8_t *)"bye", 3), 0);
	free(data);
	struct channel *c = server.channel;
	channel_close_after_flush(c);
	ck_assert_int_eq(channel_send(c, (const uint8_t *)"too late", 8), ERROR_STATE);
	UNTIL(client.n_closed == 1 && server.n_closed == 1);
	ck_assert_uint_eq(client.n_bytes, 1000003);
	end();
}
END_TEST

START_TEST(a_lingering_channel_does_not_wait_for_ever)
{
	begin();
	int fd = plain();
	UNTIL(server.n_open == 1);
	uint8_t *data = calloc(1, 1000000);
	ck_assert_int_eq(channel_send(server.channel, data, 1000000), 0);
	free(data);
	channel_close_after_flush(server.channel);
	UNTIL(server.n_closed == 1);
	close(fd);
	end();
}
END_TEST

START_TEST(nobody_there_is_said_by_closed)
{
	begin();
	dial(dir_url("nobody"));
	UNTIL(client.n_closed == 1);
	ck_assert_int_eq(client.why, ERROR_NOT_REACHABLE);

	struct error e;
	struct channel *c;
	ck_assert_int_eq(channel_dial(client.hub, "nonsense://x", NULL, &c, &e), ERROR_BAD_REQUEST);
	ck_assert_int_eq(channel_listen(server.hub, "nonsense", 0, &e), ERROR_BAD_REQUEST);
	ck_assert_int_eq(channel_listen(server.hub, dir_url("s"), 0, &e), ERROR_EXISTS);
	serves();
	end();
}
END_TEST

START_TEST(a_dial_can_be_given_up_at_once)
{
	begin();
	for (int i = 0; i < 50; i++) {
		unsigned before = client.n_closed;
		dial(dir_url("s"));
		channel_close(client.channel, ERROR_STATE, "changed my mind");
		channel_close(client.channel, ERROR_STATE, "said already");
		UNTIL(client.n_closed == before + 1);
		ck_assert_str_eq(client.why_text, "changed my mind");
	}
	serves();
	end();
}
END_TEST

START_TEST(what_is_sent_before_the_connection_stands_follows_the_greeting)
{
	begin();
	dial(dir_url("s"));
	ck_assert_int_eq(channel_send(client.channel, (const uint8_t *)"early", 5), 0);
	channel_flush(client.channel);
	UNTIL(server.n_bytes == 5);
	end();
}
END_TEST

START_TEST(a_hub_closes_with_everything_in_flight)
{
	begin();
	server.echo = true;
	uint8_t data[5000] = { 0 };
	for (int i = 0; i < 20; i++) {
		dial(dir_url("s"));
		for (int j = 0; j < 100; j++)
			ck_assert_int_eq(channel_send(client.channel, data, sizeof(data)), 0);
	}
	UNTIL(server.n_frames > 500);
	client.hub = channel_hub_close(client.hub);
	ck_assert_uint_eq(client.n_closed, 20);
	server.hub = channel_hub_close(server.hub);
	ck_assert_uint_ge(server.n_closed, server.n_open);
	loop = loop_close(loop);
	dir_remove();
}
END_TEST

START_TEST(a_stale_socket_file_is_replaced_and_the_mode_is_set)
{
	dir_make();
	int stale = unix_listen(dir_path("s"));
	close(stale); /* the file stays, as after kill -9 */
	struct error e;
	ck_assert_int_eq(loop_open(&loop), 0);
	ck_assert_int_eq(channel_hub_open(loop, &channel_limits_default, &events, &server, &server.hub), 0);
	ck_assert_int_eq(channel_listen(server.hub, dir_url("s"), 0620, &e), 0);
	struct stat st;
	ck_assert_int_eq(stat(dir_path("s"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0620);
	serves();
	end();
}
END_TEST

START_TEST(tcp_is_framed_without_the_leading_byte)
{
	begin();
	/* A port that was free a moment ago. */
	int probe = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	ck_assert_int_eq(bind(probe, (struct sockaddr *)&a, len), 0);
	ck_assert_int_eq(getsockname(probe, (struct sockaddr *)&a, &len), 0);
	close(probe);
	char url[64];
	struct error e;
	snprintf(url, sizeof(url), "tcp://127.0.0.1:%u", ntohs(a.sin_port));
	ck_assert_int_eq(channel_listen(server.hub, url, 0, &e), 0);

	server.echo = true;
	dial(url);
	UNTIL(client.n_open == 1 && server.n_open == 1);
	ck_assert(!channel_peer(server.channel)->local);
	ck_assert_int_eq(strncmp(channel_peer(server.channel)->remote, "127.0.0.1:", 10), 0);
	ck_assert_int_eq((int)channel_peer(server.channel)->uid, -1);
	uint8_t *data = calloc(1, 600000);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(channel_send(client.channel, data, 600000), 0);
	free(data);
	UNTIL(client.n_bytes == 6000000);

	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	fd_write(fd, sp_hello, 8);
	fd_write(fd, "\0\0\0\0\0\0\0\2ok", 10);
	uint8_t got[18];
	size_t n = 0;
	ssize_t r;
	UNTIL(((r = recv(fd, got + n, sizeof(got) - n, MSG_DONTWAIT)) > 0 ? (n += (size_t)r) : n) == sizeof(got));
	ck_assert_mem_eq(got + 8, "\0\0\0\0\0\0\0\2ok", 10);
	close(fd);
	end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("channel");
	TCase *t = tcase_create("channel");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, both_ends_open_and_know_the_other_by_the_kernel);
	tcase_add_test(t, frames_of_all_sizes_arrive_in_order_while_the_reader_lags);
	tcase_add_test(t, a_paused_channel_is_not_read_until_it_is_resumed);
	tcase_add_test(t, output_that_nobody_reads_is_counted_and_leaves_when_somebody_does);
	tcase_add_test(t, a_callback_may_close_its_channel);
	tcase_add_test(t, what_was_said_last_arrives_before_the_end);
	tcase_add_test(t, a_lingering_channel_does_not_wait_for_ever);
	tcase_add_test(t, nobody_there_is_said_by_closed);
	tcase_add_test(t, a_dial_can_be_given_up_at_once);
	tcase_add_test(t, what_is_sent_before_the_connection_stands_follows_the_greeting);
	tcase_add_test(t, a_hub_closes_with_everything_in_flight);
	tcase_add_test(t, a_stale_socket_file_is_replaced_and_the_mode_is_set);
	tcase_add_test(t, tcp_is_framed_without_the_leading_byte);
	suite_add_tcase(s, t);
	return suite_run(s);
}
