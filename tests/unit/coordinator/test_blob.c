/* Large payloads: what a coordinator says to their bytes, what it keeps, and what it removes. */
#include "tests/suite.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "actors/coordinator/blob.h"
#include "tests/unit/coordinator/stage.h"

#define SIZE 300000u
#define HOUR_MS (3600u * 1000)

static struct stage *s;
static const struct who client = { .peer = 1 }, worker = { .peer = 10, .address = "worker:a/1", .incarnation = 5 };
static uint8_t bytes[SIZE], hash[SHA256_BYTES];
static char name[SHA256_TEXT];

static void digest_of(const uint8_t *data, size_t len, uint8_t ret[static SHA256_BYTES])
{
	struct sha256 h;
	sha256_init(&h);
	sha256_add(&h, data, len);
	sha256_end(&h, ret);
}

static void setup(void)
{
	s = stage_new(1);
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t)(i * 2654435761u >> 24);
	digest_of(bytes, SIZE, hash);
	sha256_format(hash, name);
}

static void teardown(void)
{
	s = stage_free(s);
}

/* --- what is said --- */

static Troupe__Envelope put_of(Troupe__BlobPut *p, const uint8_t *sha256, uint64_t size, uint64_t offset, const uint8_t *data, size_t len)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	troupe__blob_put__init(p);
	p->sha256 = (ProtobufCBinaryData){ SHA256_BYTES, (uint8_t *)sha256 };
	p->size = size;
	p->offset = offset;
	p->data = (ProtobufCBinaryData){ len, (uint8_t *)data };
	env.body_case = TROUPE__ENVELOPE__BODY_BLOB_PUT;
	env.blob_put = p;
	return env;
}

/* NULL: refused. */
static const Troupe__BlobTaken *put_raw(const uint8_t *sha256, uint64_t size, uint64_t offset, const uint8_t *data, size_t len)
{
	Troupe__BlobPut p;
	Troupe__Envelope env = put_of(&p, sha256, size, offset, data, len);
	const Troupe__Envelope *answer = stage_ask(s, &client, &env);
	return answer ? answer->blob_taken : NULL;
}

/* The bytes from..to of the payload: the offset that is wanted next; it must not be complete yet. */
static uint64_t put(size_t from, size_t to)
{
	const Troupe__BlobTaken *t = put_raw(hash, SIZE, from, bytes + from, to - from);
	ck_assert_ptr_nonnull(t);
	ck_assert(!t->complete);
	return t->offset;
}

static void put_all(void)
{
	const Troupe__BlobTaken *t = put_raw(hash, SIZE, 0, bytes, SIZE);
	ck_assert_ptr_nonnull(t);
	ck_assert(t->complete);
}

static struct id id_of(unsigned n)
{
	struct id id = { { 1, 140, 10, 10, 10, 10 } };
	id.b[15] = (uint8_t)n;
	return id;
}

static const Troupe__Envelope *submit(unsigned n, const char *unique, uint64_t size)
{
	struct id id = id_of(n);
	Troupe__TaskSpec x = TROUPE__TASK_SPEC__INIT, *all[1] = { &x };
	Troupe__BlobRef ref = TROUPE__BLOB_REF__INIT;
	Troupe__Submit m = TROUPE__SUBMIT__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	ref.sha256 = (ProtobufCBinaryData){ SHA256_BYTES, hash };
	ref.size = size;
	x.id = (ProtobufCBinaryData){ sizeof id.b, id.b };
	x.queue = (char *)"a";
	x.blob = &ref;
	x.unique_key = (char *)unique;
	x.unique_mode = TROUPE__UNIQUE_MODE__UNIQUE_RETURN;
	m.tasks = all;
	m.n_tasks = 1;
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &m;
	return stage_ask(s, &client, &env);
}

static void cancel_and_purge(unsigned n)
{
	struct id id = id_of(n);
	Troupe__TaskRef ref = TROUPE__TASK_REF__INIT, *all[1] = { &ref };
	Troupe__Cancel c = TROUPE__CANCEL__INIT;
	Troupe__Purge p = TROUPE__PURGE__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	ref.id = (ProtobufCBinaryData){ sizeof id.b, id.b };
	c.tasks = p.tasks = all;
	c.n_tasks = p.n_tasks = 1;
	env.body_case = TROUPE__ENVELOPE__BODY_CANCEL;
	env.cancel = &c;
	const Troupe__Envelope *answer = stage_ask(s, &client, &env);
	ck_assert(answer && answer->changed->count == 1);
	troupe__envelope__init(&env);
	env.body_case = TROUPE__ENVELOPE__BODY_PURGE;
	env.purge = &p;
	answer = stage_ask(s, &client, &env);
	ck_assert(answer && answer->changed->count == 1);
}

static uint64_t problems(void)
{
	const Troupe__StoreChecked *answer = stage_check(s, &client);
	ck_assert_ptr_nonnull(answer);
	return answer->problems;
}

static void tick(uint64_t forward_ms)
{
	stage_clock(s, forward_ms);
	stage_begin(s);
	stage_wake(s);
	stage_commit(s);
}

/* --- what is there --- */

/* The row of the payload; uses -1: there is none. */
static int64_t uses(void)
{
	struct store_txn *view;
	struct slice value;
	ProtobufCMessage *m;
	int64_t n = -1;
	ck_assert_int_eq(store_read(s->store, &view), 0);
	if (store_get(view, T_BLOB, SLICE(hash, sizeof hash), &value) == 0) {
		arena_reset(s->arena);
		ck_assert_int_eq(row_decode(s->arena, value, &troupe__blob_record__descriptor, &m), 0);
		n = ((Troupe__BlobRecord *)m)->uses;
	}
	store_read_end(view);
	return n;
}

static unsigned files(void)
{
	char path[128];
	unsigned n = 0;
	snprintf(path, sizeof path, "%s/" BLOB_FOLDER, s->dir);
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));)
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

static void file_path(char path[static 200], const char *file)
{
	snprintf(path, 200, "%s/" BLOB_FOLDER "/%s", s->dir, file);
}

static bool is_whole(void)
{
	char path[200];
	static uint8_t found[SIZE + 1];
	file_path(path, name);
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, found, sizeof found);
	if (fd >= 0)
		close(fd);
	return n == (ssize_t)SIZE && memcmp(found, bytes, SIZE) == 0;
}

static void file_make(const char *file)
{
	char path[200];
	file_path(path, file);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
}

/* --- sending --- */

START_TEST(bytes_are_taken_in_order_and_what_is_sent_twice_or_too_early_is_told_where_to_go_on)
{
	ck_assert_uint_eq(put(0, 0), 0);
	ck_assert_uint_eq(files(), 0); /* a question opens nothing */
	ck_assert_uint_eq(put(1000, 2000), 0);
	ck_assert_uint_eq(put(0, 1000), 1000);
	ck_assert_uint_eq(put(0, 1000), 1000);
	ck_assert_uint_eq(put(5000, 6000), 1000);
	ck_assert_uint_eq(put(500, 3000), 3000);
	ck_assert_uint_eq(put(0, 0), 3000);
	ck_assert_uint_eq(put(2999, SIZE - 1), SIZE - 1);
	ck_assert(!is_whole());
	const Troupe__BlobTaken *t = put_raw(hash, SIZE, SIZE - 1, bytes + SIZE - 1, 1);
	ck_assert(t && t->complete && t->offset == SIZE);
	ck_assert(is_whole());
	ck_assert_int_eq(uses(), 0);
	ck_assert_uint_eq(files(), 1);
}
END_TEST

START_TEST(what_is_there_need_not_be_sent_again)
{
	put_all();
	const Troupe__BlobTaken *t = put_raw(hash, SIZE, 0, NULL, 0);
	ck_assert(t && t->complete && t->offset == SIZE);
	t = put_raw(hash, SIZE, 0, bytes, 1000);
	ck_assert(t && t->complete);
	ck_assert_uint_eq(files(), 1);
	ck_assert_ptr_null(put_raw(hash, SIZE - 1, 0, bytes, 10));
	ck_assert_int_eq(s->refusal.code, ERROR_BAD_REQUEST);
}
END_TEST

START_TEST(bytes_that_the_hash_does_not_name_are_dropped_and_may_be_sent_rightly)
{
	uint8_t wrong = (uint8_t)~bytes[SIZE - 1];
	put(0, SIZE - 1);
	ck_assert_ptr_null(put_raw(hash, SIZE, SIZE - 1, &wrong, 1));
	ck_assert_int_eq(s->refusal.code, ERROR_BAD_REQUEST);
	ck_assert_uint_eq(files(), 0);
	ck_assert_int_eq(uses(), -1);
	ck_assert_uint_eq(put(0, 0), 0);
	put_all();
	ck_assert(is_whole());
}
END_TEST

START_TEST(sizes_and_names_that_cannot_be_are_refused_with_the_limit)
{
	s->coordinator_setup.blob_max = SIZE;
	ck_assert_ptr_nonnull(put_raw(hash, SIZE, 0, bytes, 1));
	ck_assert_ptr_null(put_raw(hash, SIZE + 1, 0, bytes, 1));
	ck_assert_int_eq(s->refusal.code, ERROR_TOO_LARGE);
	ck_assert_ptr_nonnull(strstr(s->refusal.text, "at most 300000 bytes"));
	ck_assert_ptr_nonnull(strstr(s->refusal.cure, "blob_max"));
	ck_assert_ptr_null(put_raw(hash, UINT64_MAX, UINT64_MAX, bytes, 1));
	ck_assert_int_eq(s->refusal.code, ERROR_TOO_LARGE);
	ck_assert_ptr_null(put_raw(hash, 0, 0, NULL, 0));
	ck_assert_int_eq(s->refusal.code, ERROR_BAD_REQUEST);
	ck_assert_ptr_null(put_raw(hash, 1000, 999, bytes, 2));
	ck_assert_int_eq(s->refusal.code, ERROR_BAD_REQUEST);
	ck_assert_ptr_null(put_raw(hash, 1000, UINT64_MAX, bytes, 2));
	ck_assert_int_eq(s->refusal.code, ERROR_BAD_REQUEST);
	Troupe__BlobPut p;
	Troupe__Envelope env = put_of(&p, hash, 1000, 0, bytes, 10);
	p.sha256.len = 31;
	ck_assert_ptr_null(stage_ask(s, &client, &env));
	ck_assert_int_eq(s->refusal.code, ERROR_BAD_REQUEST);
}
END_TEST

START_TEST(a_limit_of_zero_is_16_MiB)
{
	ck_assert_ptr_nonnull(put_raw(hash, 16u << 20, 0, bytes, 1));
	ck_assert_ptr_null(put_raw(hash, (16u << 20) + 1, 0, bytes, 1));
	ck_assert_int_eq(s->refusal.code, ERROR_TOO_LARGE);
}
END_TEST

START_TEST(another_principals_wrong_bytes_spoil_nothing)
{
	static const struct who liar = { .peer = 7, .address = "topic:liar", .incarnation = 1 };
	uint8_t wrong[100] = { 0 };
	Troupe__BlobPut p;
	put(0, 100);
	Troupe__Envelope env = put_of(&p, hash, SIZE, 0, wrong, sizeof wrong);
	const Troupe__Envelope *answer = stage_ask(s, &liar, &env);
	ck_assert(answer && answer->blob_taken->offset == 100);
	ck_assert_uint_eq(files(), 2);
	const Troupe__BlobTaken *t = put_raw(hash, SIZE, 100, bytes + 100, SIZE - 100);
	ck_assert(t && t->complete);
	ck_assert(is_whole());
	ck_assert_uint_eq(files(), 1);
}
END_TEST

START_TEST(at_most_256_are_under_way_and_who_is_silent_for_a_minute_gives_way)
{
	uint8_t other[SHA256_BYTES] = { 0 };
	for (unsigned i = 0; i < UPLOADS_MAX; i++) {
		other[0] = (uint8_t)i;
		other[1] = (uint8_t)(i >> 8);
		ck_assert_ptr_nonnull(put_raw(other, SIZE, 0, bytes, 10));
	}
	ck_assert_ptr_null(put_raw(hash, SIZE, 0, bytes, 10));
	ck_assert_int_eq(s->refusal.code, ERROR_BUSY);
	ck_assert(s->refusal.retryable);
	stage_clock(s, UPLOAD_STALE_MS);
	ck_assert_uint_eq(put(0, 10), 10);
	ck_assert_uint_eq(files(), UPLOADS_MAX);
}
END_TEST

START_TEST(an_upload_that_nobody_goes_on_with_is_forgotten)
{
	put(0, 1000);
	ck_assert_uint_eq(files(), 1);
	tick(UPLOAD_IDLE_MS - 1);
	ck_assert_uint_eq(files(), 1);
	tick(1);
	ck_assert_uint_eq(files(), 0);
	ck_assert_uint_eq(put(1000, 2000), 0);
}
END_TEST

START_TEST(what_cannot_be_written_is_told_and_keeps_no_room)
{
	struct rlimit all, some;
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &all), 0);
	some = (struct rlimit){ SIZE - 10000, all.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &some), 0);
	ck_assert_uint_eq(put(0, 1000), 1000);
	ck_assert_ptr_null(put_raw(hash, SIZE, 1000, bytes + 1000, SIZE - 1000));
	ck_assert_int_eq(s->refusal.code, ERROR_STORE);
	ck_assert(s->refusal.retryable);
	ck_assert_uint_eq(files(), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &all), 0);
	put_all();
	ck_assert(is_whole());
}
END_TEST

/* --- crashes --- */

static void put_and_crash_before_the_commit(void)
{
	Troupe__BlobPut p;
	Troupe__Envelope env = put_of(&p, hash, SIZE, 0, bytes, SIZE);
	size_t len;
	uint8_t *data = stage_pack(&env, &len);
	stage_begin(s);
	ck_assert_int_eq(stage_message(s, &client, data, len), 0);
	free(data);
	stage_crash(s);
}

START_TEST(a_file_that_was_named_before_a_crash_and_has_no_row_is_removed_by_the_next_start)
{
	put_and_crash_before_the_commit();
	ck_assert(is_whole());
	stage_restart(s);
	ck_assert_uint_eq(files(), 0);
	ck_assert_int_eq(uses(), -1);
	ck_assert_uint_eq(put(0, 0), 0);
	put_all();
	ck_assert_ptr_nonnull(submit(1, "", SIZE));
}
END_TEST

START_TEST(after_the_commit_a_crash_takes_nothing)
{
	put_all();
	ck_assert_ptr_nonnull(submit(1, "", SIZE));
	file_make("tmp-0000-1");
	stage_crash(s);
	stage_restart(s);
	ck_assert_uint_eq(files(), 1);
	ck_assert(is_whole());
	ck_assert_int_eq(uses(), 1);
	ck_assert_uint_eq(problems(), 0);
}
END_TEST

START_TEST(many_orphans_are_removed_in_slices_and_an_upload_of_the_new_life_is_none_of_them)
{
	char file[SHA256_TEXT];
	put_all();
	for (unsigned i = 0; i < 3 * SWEEP_SLICE; i++) {
		snprintf(file, sizeof file, "%064x", i + 1);
		file_make(file);
	}
	stage_crash(s);
	stage_restart(s);
	ck_assert_uint_gt(files(), SWEEP_SLICE);
	uint8_t other[SHA256_BYTES] = { 1 };
	ck_assert_ptr_nonnull(put_raw(other, SIZE, 0, bytes, 10));
	for (unsigned i = 0; i < 10; i++)
		tick(1);
	ck_assert_uint_eq(files(), 2);
	ck_assert(is_whole());
}
END_TEST

/* --- who needs it --- */

START_TEST(a_task_names_only_what_is_all_here)
{
	ck_assert_ptr_null(submit(1, "", SIZE));
	ck_assert_int_eq(s->refusal.code, ERROR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(s->refusal.cure, "blob_put"));
	put(0, SIZE - 1);
	ck_assert_ptr_null(submit(1, "", SIZE));
	put_all();
	ck_assert_ptr_null(submit(1, "", SIZE - 1));
	ck_assert_int_eq(s->refusal.code, ERROR_BAD_REQUEST);
	ck_assert_ptr_nonnull(submit(1, "", SIZE));
	ck_assert_int_eq(uses(), 1);
}
END_TEST

START_TEST(uses_are_counted_once_a_task_and_end_with_its_record)
{
	put_all();
	ck_assert_ptr_nonnull(submit(1, "k", SIZE));
	ck_assert_ptr_nonnull(submit(1, "k", SIZE)); /* sent again */
	const Troupe__Envelope *answer = submit(2, "k", SIZE); /* the first one's id */
	ck_assert(answer && answer->submitted->receipts[0]->existing);
	ck_assert_int_eq(uses(), 1);
	ck_assert_ptr_nonnull(submit(3, "", SIZE));
	ck_assert_int_eq(uses(), 2);
	ck_assert_uint_eq(problems(), 0);
	cancel_and_purge(1);
	ck_assert_int_eq(uses(), 1);
	tick(2 * HOUR_MS);
	ck_assert(is_whole());
	cancel_and_purge(3);
	ck_assert_int_eq(uses(), 0);
	ck_assert_uint_eq(problems(), 0);
	tick(HOUR_MS - 1);
	ck_assert(is_whole());
	tick(1);
	ck_assert_int_eq(uses(), -1);
	ck_assert_uint_eq(files(), 0);
	ck_assert_uint_eq(problems(), 0);
}
END_TEST

START_TEST(what_nobody_names_is_kept_for_an_hour_from_its_last_sending)
{
	put_all();
	tick(HOUR_MS / 2);
	put_all();
	tick(HOUR_MS / 2);
	ck_assert(is_whole());
	tick(HOUR_MS / 2);
	ck_assert_int_eq(uses(), -1);
	ck_assert_uint_eq(files(), 0);
	put_all();
	ck_assert_ptr_nonnull(submit(1, "", SIZE));
	tick(3 * HOUR_MS);
	ck_assert(is_whole());
}
END_TEST

START_TEST(one_that_is_sent_again_in_the_turn_of_its_removal_stays)
{
	Troupe__BlobPut p;
	Troupe__Envelope env = put_of(&p, hash, SIZE, 0, bytes, SIZE);
	size_t len;
	uint8_t *data = stage_pack(&env, &len);
	put_all();
	stage_clock(s, HOUR_MS);
	stage_begin(s);
	stage_wake(s);
	ck_assert_int_eq(stage_message(s, &client, data, len), 0);
	stage_commit(s);
	free(data);
	ck_assert(is_whole());
	ck_assert_int_eq(uses(), 0);
	ck_assert_ptr_nonnull(submit(1, "", SIZE));
}
END_TEST

START_TEST(a_refused_submit_uses_nothing)
{
	struct id id = id_of(1), second = id_of(2);
	Troupe__TaskSpec x[2] = { TROUPE__TASK_SPEC__INIT, TROUPE__TASK_SPEC__INIT }, *all[2] = { &x[0], &x[1] };
	Troupe__BlobRef ref = TROUPE__BLOB_REF__INIT;
	Troupe__Submit m = TROUPE__SUBMIT__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	put_all();
	ref.sha256 = (ProtobufCBinaryData){ SHA256_BYTES, hash };
	ref.size = SIZE;
	for (unsigned i = 0; i < 2; i++) {
		x[i].id = (ProtobufCBinaryData){ sizeof id.b, i ? second.b : id.b };
		x[i].queue = (char *)"a";
		x[i].blob = &ref;
	}
	x[1].payload = (ProtobufCBinaryData){ 1, bytes }; /* both */
	m.tasks = all;
	m.n_tasks = 2;
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &m;
	ck_assert_ptr_null(stage_ask(s, &client, &env));
	ck_assert_int_eq(s->refusal.code, ERROR_BAD_REQUEST);
	ck_assert_uint_eq(s->refusal.index, 2);
	ck_assert_int_eq(uses(), 0);
	x[1].payload.len = 0;
	ck_assert_ptr_nonnull(stage_ask(s, &client, &env));
	ck_assert_int_eq(uses(), 2);
}
END_TEST

START_TEST(a_task_whose_content_is_changed_names_it_no_more)
{
	struct id id = id_of(1);
	Troupe__TaskRef ref = TROUPE__TASK_REF__INIT, *all[1] = { &ref };
	Troupe__Alter a = TROUPE__ALTER__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	put_all();
	ck_assert_ptr_nonnull(submit(1, "", SIZE));
	ref.id = (ProtobufCBinaryData){ sizeof id.b, id.b };
	a.tasks = all;
	a.n_tasks = 1;
	a.content = true;
	a.payload = (ProtobufCBinaryData){ 5, (uint8_t *)"other" };
	env.body_case = TROUPE__ENVELOPE__BODY_ALTER;
	env.alter = &a;
	const Troupe__Envelope *answer = stage_ask(s, &client, &env);
	ck_assert(answer && answer->changed->count == 1);
	ck_assert_int_eq(uses(), 0);
	ck_assert_ptr_null(stage_task(s, &id)->spec->blob);
	ck_assert_uint_eq(problems(), 0);
}
END_TEST

/* --- reading --- */

static const Troupe__BlobData *get(const struct who *from, uint64_t offset, uint32_t max)
{
	Troupe__BlobGet g = TROUPE__BLOB_GET__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	g.sha256 = (ProtobufCBinaryData){ SHA256_BYTES, hash };
	g.offset = offset;
	g.max = max;
	env.body_case = TROUPE__ENVELOPE__BODY_BLOB_GET;
	env.blob_get = &g;
	const Troupe__Envelope *answer = stage_ask(s, from, &env);
	return answer ? answer->blob_data : NULL;
}

START_TEST(any_piece_is_read_up_to_256_KiB)
{
	ck_assert_ptr_null(get(&client, 0, 0));
	ck_assert_int_eq(s->refusal.code, ERROR_NOT_FOUND);
	put_all();
	const Troupe__BlobData *d = get(&client, 0, 0);
	ck_assert(d && d->size == SIZE && d->data.len == BLOB_CHUNK_MAX && memcmp(d->data.data, bytes, BLOB_CHUNK_MAX) == 0);
	d = get(&worker, 1000, 7);
	ck_assert(d && d->data.len == 7 && memcmp(d->data.data, bytes + 1000, 7) == 0);
	d = get(&client, SIZE - 3, 100);
	ck_assert(d && d->data.len == 3 && memcmp(d->data.data, bytes + SIZE - 3, 3) == 0);
	d = get(&client, SIZE, 100);
	ck_assert(d && d->data.len == 0);
	ck_assert_ptr_null(get(&client, SIZE + 1, 100));
	ck_assert_int_eq(s->refusal.code, ERROR_BAD_REQUEST);
}
END_TEST

START_TEST(a_lost_file_is_told_and_another_sending_repairs_it)
{
	char path[200];
	put_all();
	ck_assert_ptr_nonnull(submit(1, "", SIZE));
	file_path(path, name);
	ck_assert_int_eq(truncate(path, 10), 0);
	ck_assert_uint_eq(problems(), 1);
	ck_assert_ptr_null(get(&client, 0, 100));
	ck_assert_int_eq(s->refusal.code, ERROR_CORRUPT);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_uint_eq(problems(), 1);
	ck_assert_ptr_null(submit(2, "", SIZE));
	ck_assert_int_eq(s->refusal.code, ERROR_NOT_FOUND);
	put_all();
	ck_assert(is_whole());
	ck_assert_int_eq(uses(), 1);
	ck_assert_uint_eq(problems(), 0);
}
END_TEST

START_TEST(an_assignment_names_the_payload_and_get_shows_its_size_and_hash)
{
	Troupe__Attach a = TROUPE__ATTACH__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	char *queues[1] = { (char *)"a" };
	a.pool = a.mode = (char *)"exec";
	a.queues = queues;
	a.n_queues = 1;
	a.slots = 1;
	env.body_case = TROUPE__ENVELOPE__BODY_ATTACH;
	env.attach = &a;
	stage_link(s, &worker, true);
	stage_tell(s, &worker, &env);
	put_all();
	ck_assert_ptr_nonnull(submit(1, "", SIZE));
	const Troupe__Assignment *given = NULL;
	for (size_t i = 0; i < s->n_sent && !given; i++) {
		const Troupe__Envelope *e = stage_read(s, &s->sent[i]);
		given = e->body_case == TROUPE__ENVELOPE__BODY_RUN ? e->run->tasks[0] : NULL;
	}
	ck_assert(given && given->blob && given->blob->size == SIZE && !given->payload.len && memcmp(given->blob->sha256.data, hash, SHA256_BYTES) == 0);

	struct id id = id_of(1);
	Troupe__TaskRef ref = TROUPE__TASK_REF__INIT;
	Troupe__Get g = TROUPE__GET__INIT;
	ref.id = (ProtobufCBinaryData){ sizeof id.b, id.b };
	g.task = &ref;
	troupe__envelope__init(&env);
	env.body_case = TROUPE__ENVELOPE__BODY_GET;
	env.get = &g;
	const Troupe__Envelope *answer = stage_ask(s, &client, &env);
	ck_assert(answer && answer->tasks->tasks[0]->payload_size == SIZE && answer->tasks->tasks[0]->spec->blob);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blob");
	TCase *c = tcase_create("large payloads");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, bytes_are_taken_in_order_and_what_is_sent_twice_or_too_early_is_told_where_to_go_on);
	tcase_add_test(c, what_is_there_need_not_be_sent_again);
	tcase_add_test(c, bytes_that_the_hash_does_not_name_are_dropped_and_may_be_sent_rightly);
	tcase_add_test(c, sizes_and_names_that_cannot_be_are_refused_with_the_limit);
	tcase_add_test(c, a_limit_of_zero_is_16_MiB);
	tcase_add_test(c, another_principals_wrong_bytes_spoil_nothing);
	tcase_add_test(c, at_most_256_are_under_way_and_who_is_silent_for_a_minute_gives_way);
	tcase_add_test(c, an_upload_that_nobody_goes_on_with_is_forgotten);
	tcase_add_test(c, what_cannot_be_written_is_told_and_keeps_no_room);
	tcase_add_test(c, a_file_that_was_named_before_a_crash_and_has_no_row_is_removed_by_the_next_start);
	tcase_add_test(c, after_the_commit_a_crash_takes_nothing);
	tcase_add_test(c, many_orphans_are_removed_in_slices_and_an_upload_of_the_new_life_is_none_of_them);
	tcase_add_test(c, a_task_names_only_what_is_all_here);
	tcase_add_test(c, uses_are_counted_once_a_task_and_end_with_its_record);
	tcase_add_test(c, what_nobody_names_is_kept_for_an_hour_from_its_last_sending);
	tcase_add_test(c, one_that_is_sent_again_in_the_turn_of_its_removal_stays);
	tcase_add_test(c, a_refused_submit_uses_nothing);
	tcase_add_test(c, a_task_whose_content_is_changed_names_it_no_more);
	tcase_add_test(c, any_piece_is_read_up_to_256_KiB);
	tcase_add_test(c, a_lost_file_is_told_and_another_sending_repairs_it);
	tcase_add_test(c, an_assignment_names_the_payload_and_get_shows_its_size_and_hash);
	suite_add_tcase(suite, c);
	return suite_run(suite);
}
