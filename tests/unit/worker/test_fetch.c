/* Payloads that a worker fetches before it begins: what may happen on the way. */
#include "tests/unit/worker/stage.h"
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>
#include "common/base/sha256.h"

#define SIZE 200000u

static uint8_t bytes[SIZE];
static uint8_t hash[SHA256_BYTES];
static char name[SHA256_TEXT];

static void begins(void)
{
	struct sha256 h;
	stage_begins();
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t)(i * 2654435761u >> 24);
	sha256_init(&h);
	sha256_add(&h, bytes, SIZE);
	sha256_end(&h, hash);
	sha256_format(hash, name);
	g.blob = bytes;
	g.blob_len = SIZE;
	g.blob_piece = 65536;
	g.command[0] = "/bin/sh";
	g.command[1] = "-c";
	g.command[2] = "sha256sum | cut -c 1-64; sha256sum <$TROUPE_PAYLOAD_FILE | cut -c 1-64";
}

static Troupe__BlobRef ref;

static uint64_t give_large(void)
{
	struct task_given t;
	task_init(&t, NULL, 0);
	troupe__blob_ref__init(&ref);
	ref.sha256 = (ProtobufCBinaryData){ sizeof hash, hash };
	ref.size = SIZE;
	t.a.blob = &ref;
	return task_give(&t);
}

static unsigned files(void)
{
	char path[96];
	unsigned n = 0;
	snprintf(path, sizeof path, "%s/state/payload", g.dir);
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));)
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

static bool is_whole(const Troupe__Outcome *o)
{
	char text[2 * SHA256_TEXT + 1];
	snprintf(text, sizeof text, "%s\n%s\n", name, name);
	return o->exit_class == TROUPE__EXIT_CLASS__EXIT_DONE && output_is(o, text);
}

START_TEST(a_payload_is_fetched_in_pieces_and_the_task_begins_when_all_of_it_is_there)
{
	worker_starts();
	g.blob_silent = true;
	uint64_t token = give_large();
	WAIT(g.n_blob_asks == 1);
	stage_runs_for(50);
	ck_assert_uint_eq(g.n_blob_asks, 1); /* one piece at a time */
	ck_assert_uint_eq(g.started.n, 0);
	ck_assert_uint_eq(cell_read().n_tokens, 0);
	coordinator_goes();
	g.blob_silent = false;
	coordinator_comes();
	ck_assert(is_whole(outcome_waited(token)));
	ck_assert_uint_eq(g.n_blob_asks, 5); /* the first one again, then three and a rest */
	WAIT(files() == 0);
}
END_TEST

START_TEST(after_a_lost_connection_it_goes_on_where_it_was)
{
	worker_starts();
	uint64_t token = give_large();
	WAIT(g.n_blob_asks == 2);
	coordinator_goes();
	unsigned before = g.n_attach;
	coordinator_comes();
	WAIT(g.n_attach > before);
	ck_assert_uint_eq(g.attach->n_held, 1);
	ck_assert_uint_eq(g.attach->held[0]->token, token);
	ck_assert(!g.attach->held[0]->started);
	WAIT(g.n_blob_asks == 3);
	ck_assert_uint_ge(g.blob_offset, 65536);
	ck_assert(is_whole(outcome_waited(token)));
}
END_TEST

START_TEST(what_is_on_its_way_can_be_taken_back)
{
	worker_starts();
	g.blob_silent = true;
	uint64_t token = give_large();
	WAIT(g.n_blob_asks == 1);
	tell_revoke(&token, 1);
	WAIT(number_in(&g.revoked, token));
	ck_assert_uint_eq(files(), 0);
	unsigned before = g.n_attach;
	coordinator_goes();
	g.blob_silent = false;
	coordinator_comes();
	WAIT(g.n_attach > before);
	token = give_large();
	ck_assert(is_whole(outcome_waited(token)));
}
END_TEST

START_TEST(what_is_on_its_way_can_be_cancelled)
{
	worker_starts();
	g.blob_silent = true;
	uint64_t token = give_large();
	WAIT(g.n_blob_asks == 1);
	tell_abort(token);
	ck_assert_int_eq(outcome_waited(token)->exit_class, TROUPE__EXIT_CLASS__EXIT_CANCELLED);
	ck_assert_uint_eq(g.started.n, 0);
	ck_assert_uint_eq(files(), 0);
}
END_TEST

START_TEST(a_drained_worker_gives_back_what_is_on_its_way)
{
	worker_starts();
	g.blob_silent = true;
	uint64_t token = give_large();
	WAIT(g.n_blob_asks == 1);
	tell_drain();
	WAIT(number_in(&g.revoked, token));
	ck_assert_int_eq(worker_ends(), 0);
}
END_TEST

START_TEST(a_small_task_need_not_wait_for_a_large_ones_payload)
{
	worker_starts();
	g.blob_silent = true;
	give_large();
	uint64_t small = give("x");
	outcome_waited(small);
	ck_assert_uint_eq(g.started.n, 1);
}
END_TEST

START_TEST(a_task_whose_payload_is_lost_is_rejected)
{
	worker_starts();
	g.blob_error = ERROR_CORRUPT;
	const Troupe__Outcome *o = outcome_waited(give_large());
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_REJECTED);
	ck_assert_ptr_nonnull(strstr(o->error, "its payload is lost"));
	g.blob_error = ERROR_NONE;
	ck_assert(is_whole(outcome_waited(give_large())));
}
END_TEST

START_TEST(other_bytes_are_fetched_once_more_and_then_the_task_is_rejected)
{
	static uint8_t other[SIZE];
	worker_starts();
	g.blob = other;
	const Troupe__Outcome *o = outcome_waited(give_large());
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_REJECTED);
	ck_assert_uint_eq(g.n_blob_asks, 8);
	ck_assert_uint_eq(g.started.n, 0);
	ck_assert_uint_eq(files(), 0);
}
END_TEST

START_TEST(after_the_third_failure_the_task_is_given_back)
{
	worker_starts();
	g.blob_error = ERROR_STORE;
	uint64_t from_ms = clock_mono_ms(), token = give_large();
	WAIT(number_in(&g.revoked, token));
	ck_assert_uint_eq(g.n_blob_asks, 3);
	ck_assert_uint_ge(clock_mono_ms() - from_ms, 3000);
	ck_assert_uint_eq(files(), 0);
}
END_TEST

START_TEST(what_an_earlier_incarnation_left_is_removed)
{
	worker_starts();
	g.blob_piece = 1000;
	give_large();
	WAIT(g.n_blob_asks > 3);
	ck_assert_uint_eq(files(), 1);
	kill(g.worker, SIGKILL);
	ck_assert_int_eq(worker_ends(), -SIGKILL);
	worker_starts();
	ck_assert_uint_eq(files(), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("worker fetch");
	TCase *c = tcase_create("fetch");
	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, begins, stage_ends);
	tcase_add_test(c, a_payload_is_fetched_in_pieces_and_the_task_begins_when_all_of_it_is_there);
	tcase_add_test(c, after_a_lost_connection_it_goes_on_where_it_was);
	tcase_add_test(c, what_is_on_its_way_can_be_taken_back);
	tcase_add_test(c, what_is_on_its_way_can_be_cancelled);
	tcase_add_test(c, a_drained_worker_gives_back_what_is_on_its_way);
	tcase_add_test(c, a_small_task_need_not_wait_for_a_large_ones_payload);
	tcase_add_test(c, a_task_whose_payload_is_lost_is_rejected);
	tcase_add_test(c, other_bytes_are_fetched_once_more_and_then_the_task_is_rejected);
	tcase_add_test(c, after_the_third_failure_the_task_is_given_back);
	tcase_add_test(c, what_an_earlier_incarnation_left_is_removed);
	suite_add_tcase(s, c);
	return suite_run(s);
}
