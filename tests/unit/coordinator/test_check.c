/* The check of a ledger without its coordinator: what is sound is said to be, and each kind of damage is named. */
#include "tests/suite.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "actors/coordinator/check.h"
#include "tests/unit/coordinator/stage.h"

static struct stage *s;
static const struct who client = { .peer = 1 }, worker = { .peer = 10, .address = "worker:a/1", .incarnation = 5 };
static char *said;

static struct id id_of(unsigned n)
{
	struct id id = { { 1, 140, 10, 10, 10, 10 } };
	id.b[15] = (uint8_t)n;
	return id;
}

static void submit(unsigned n, uint64_t delay_ms)
{
	struct id id = id_of(n);
	Troupe__TaskSpec x = TROUPE__TASK_SPEC__INIT, *all[] = { &x };
	Troupe__Submit m = TROUPE__SUBMIT__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	x.id = (ProtobufCBinaryData){ sizeof id.b, id.b };
	x.queue = (char *)"a";
	x.payload = (ProtobufCBinaryData){ 4, (uint8_t *)"work" };
	x.delay_ms = delay_ms;
	m.tasks = all;
	m.n_tasks = 1;
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &m;
	ck_assert_ptr_nonnull(stage_ask(s, &client, &env));
}

/* One running, one ready, one for later; then the coordinator is gone. */
static void setup(void)
{
	s = stage_new(1);
	stage_attach(s, &worker, 1);
	submit(1, 0);
	submit(2, 0);
	submit(3, 60000);
	stage_crash(s);
}

static void teardown(void)
{
	free(said);
	said = NULL;
	s = stage_free(s);
}

static int check_of(const char *dir)
{
	size_t len;
	free(said);
	FILE *f = open_memstream(&said, &len);
	ck_assert_ptr_nonnull(f);
	int status = check_offline(dir, f);
	fclose(f);
	return status;
}

static void finds(const char *what)
{
	ck_assert_int_eq(check_of(s->dir), CHECK_PROBLEMS);
	ck_assert_msg(strstr(said, what) != NULL, "%s", said);
	ck_assert_ptr_null(strstr(said, "\"problems\":0"));
}

static struct store *ledger(const char *const *names, struct store_txn **ret)
{
	struct store_config config = { .dir = s->dir, .tables = names, .version = LEDGER_VERSION, .map_max = 1u << 30 };
	struct error e = { 0 };
	struct store *store;
	ck_assert_int_eq(store_open(&config, &store, &e), 0);
	ck_assert_int_eq(store_begin(store, ret), 0);
	return store;
}

static void delete_first(unsigned table)
{
	struct store_txn *t;
	struct slice key, value;
	struct store *store = ledger(ledger_tables, &t);
	ck_assert_int_eq(store_seek(t, table, SLICE(NULL, 0), false, &key, &value), 0);
	uint8_t copy[64];
	memcpy(copy, key.data, key.len);
	ck_assert_int_eq(store_delete(t, table, SLICE(copy, key.len)), 0);
	ck_assert_int_eq(store_commit(t), 0);
	store_close(store);
}

START_TEST(a_ledger_that_was_left_in_the_middle_of_work_is_sound_and_its_tasks_are_counted)
{
	ck_assert_int_eq(check_of(s->dir), CHECK_SOUND);
	ck_assert_str_eq(said, "{\"tasks\":3,\"problems\":0,\"scheduled\":1,\"ready\":1,\"running\":1,\"done\":0,\"cancelled\":0,\"dead\":0}\n");
}
END_TEST

START_TEST(an_index_that_lost_a_row_is_named)
{
	delete_first(T_READY);
	finds("\"problem\":\"#2: is ready, but not in the ready index: it would never run\"");
}
END_TEST

START_TEST(a_task_that_is_gone_leaves_rows_that_are_named_and_counters_that_do_not_fit)
{
	delete_first(T_TASK);
	finds("a lease without its task");
	finds("queue a counts scheduled 1 ready 1 running 1");
}
END_TEST

START_TEST(a_state_without_its_task_is_named)
{
	struct store_txn *t;
	struct id id = id_of(9);
	struct store *store = ledger(ledger_tables, &t);
	ck_assert_int_eq(store_put(t, T_STATE, id_key(&id), SLICE("", 0)), 0);
	ck_assert_int_eq(store_commit(t), 0);
	store_close(store);
	finds("a row of a task that is not there");
}
END_TEST

START_TEST(numbers_that_would_be_given_twice_are_named)
{
	delete_first(T_META);
	finds("#1: its number is still to be given");
	finds("#1: its token is still to be given");
	finds("a row of the log whose number is still to be given");
}
END_TEST

/* Every place where the text of a payload, and of a lease, stands. */
START_TEST(a_bit_that_flipped_in_a_row_is_found)
{
	static const char *const texts[] = { "work", "worker:a/1" };
	char path[128], byte;
	snprintf(path, sizeof path, "%s/data.mdb", s->dir);
	ck_assert_int_eq(check_of(s->dir), CHECK_SOUND); /* which brings the log of the dead into it */
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		FILE *f = fopen(path, "r+");
		ck_assert_ptr_nonnull(f);
		char all[1 << 18];
		size_t n = fread(all, 1, sizeof all, f), hits = 0;
		for (char *at = all; (at = memmem(at, (size_t)(all + n - at), texts[i], strlen(texts[i]))); at++, hits++) {
			byte = (char)(*at ^ 4);
			fseek(f, at - all, SEEK_SET);
			fwrite(&byte, 1, 1, f);
		}
		fclose(f);
		ck_assert_uint_ge(hits, 1);
		ck_assert_int_ne(check_of(s->dir), CHECK_SOUND);
		ck_assert_msg(strstr(said, "fails its checksum") || strstr(said, "damaged"), "%s", said);
		f = fopen(path, "r+");
		fwrite(all, 1, n, f);
		fclose(f);
		ck_assert_int_eq(check_of(s->dir), CHECK_SOUND);
	}
}
END_TEST

START_TEST(a_payload_in_a_file_must_be_there_in_full)
{
	struct store_txn *t;
	struct id id = id_of(2);
	Troupe__TaskRecord *rec;
	Troupe__BlobRef blob = TROUPE__BLOB_REF__INIT;
	Troupe__BlobRecord row = TROUPE__BLOB_RECORD__INIT;
	uint8_t hash[32] = { 0xab }, packed[512];
	char path[256];
	struct slice value;
	struct store *store = ledger(ledger_tables, &t);
	ck_assert_int_eq(store_get(t, T_TASK, id_key(&id), &value), 0);
	ck_assert_int_eq(row_decode(s->arena, value, &troupe__task_record__descriptor, (ProtobufCMessage **)&rec), 0);
	blob.sha256 = (ProtobufCBinaryData){ sizeof hash, hash };
	blob.size = rec->spec->payload.len; /* the queue counts bytes */
	rec->spec->payload.len = 0;
	rec->spec->blob = &blob;
	size_t n = troupe__task_record__pack(rec, packed);
	ck_assert_int_eq(store_put(t, T_TASK, id_key(&id), SLICE(packed, n)), 0);
	row.size = blob.size;
	row.uses = 1;
	row.complete = true;
	n = troupe__blob_record__pack(&row, packed);
	ck_assert_int_eq(store_put(t, T_BLOB, SLICE(hash, sizeof hash), SLICE(packed, n)), 0);
	ck_assert_int_eq(store_commit(t), 0);
	store_close(store);

	finds("payload");

	snprintf(path, sizeof path, "%s/blob", s->dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	snprintf(path, sizeof path, "%s/blob/ab%062d", s->dir, 0);
	FILE *f = fopen(path, "w");
	fputs("two", f);
	fclose(f);
	finds("payload");

	f = fopen(path, "w");
	fputs("four", f);
	fclose(f);
	ck_assert_int_eq(check_of(s->dir), CHECK_SOUND);
	unlink(path);
	*strrchr(path, '/') = 0;
	rmdir(path);
}
END_TEST

START_TEST(what_is_no_ledger_is_refused_by_name)
{
	char path[128];
	snprintf(path, sizeof path, "%s/nothing", s->dir);
	ck_assert_int_eq(check_of(path), CHECK_FAILED);
	ck_assert_ptr_nonnull(strstr(said, "\"code\":\"NOT_FOUND\""));
	ck_assert_int_ne(access(path, F_OK), 0);

	static const char *const other[] = { "event", NULL };
	struct store_txn *t;
	snprintf(path, sizeof path, "%s/data.mdb", s->dir);
	unlink(path);
	struct store *store = ledger(other, &t);
	ck_assert_int_eq(store_commit(t), 0);
	store_close(store);
	ck_assert_int_eq(check_of(s->dir), CHECK_FAILED);
	ck_assert_ptr_nonnull(strstr(said, "is no ledger"));

	ck_assert_int_eq(truncate(path, 5000), 0);
	ck_assert_int_eq(check_of(s->dir), CHECK_FAILED);
	ck_assert_ptr_nonnull(strstr(said, "\"code\":\"CORRUPT\""));
}
END_TEST

static Suite *check_suite(void)
{
	Suite *suite = suite_create("check");
	TCase *c = tcase_create("check");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_ledger_that_was_left_in_the_middle_of_work_is_sound_and_its_tasks_are_counted);
	tcase_add_test(c, an_index_that_lost_a_row_is_named);
	tcase_add_test(c, a_task_that_is_gone_leaves_rows_that_are_named_and_counters_that_do_not_fit);
	tcase_add_test(c, a_state_without_its_task_is_named);
	tcase_add_test(c, numbers_that_would_be_given_twice_are_named);
	tcase_add_test(c, a_bit_that_flipped_in_a_row_is_found);
	tcase_add_test(c, a_payload_in_a_file_must_be_there_in_full);
	tcase_add_test(c, what_is_no_ledger_is_refused_by_name);
	suite_add_tcase(suite, c);
	return suite;
}

int main(void)
{
	return suite_run(check_suite());
}
