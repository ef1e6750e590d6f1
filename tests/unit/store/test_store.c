/* The store against a real LMDB in a private directory, without and with a log in front of it. */
#include "tests/suite.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/store/store.h"

enum { ROWS, META };
static const char *const tables[] = { "rows", "meta", NULL };
static char top[64], dir[96], file[112], log_file[112];
static size_t log_bytes;

static void setup(void)
{
	snprintf(top, sizeof top, "/tmp/troupe-store-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	snprintf(dir, sizeof dir, "%s/state/one", top);
	snprintf(file, sizeof file, "%s/data.mdb", dir);
	snprintf(log_file, sizeof log_file, "%s/commit.log", dir);
}

static void setup_with_log(void)
{
	setup();
	log_bytes = 16 << 10;
}

static void teardown(void)
{
	char path[160];
	snprintf(path, sizeof path, "%s/lock.mdb", dir);
	unlink(path);
	unlink(log_file);
	unlink(file);
	rmdir(dir);
	snprintf(path, sizeof path, "%s/state", top);
	rmdir(path);
	rmdir(top);
}

static struct store *open_with(uint32_t version, size_t map_first, size_t map_max)
{
	struct store_config c = { .dir = dir, .tables = tables, .version = version, .log = log_bytes, .map_first = map_first, .map_max = map_max };
	struct store *s = NULL;
	struct error e = { 0 };
	int r = store_open(&c, &s, &e);
	ck_assert_msg(r == 0, "%d %s", r, e.text);
	return s;
}

static int open_code(uint32_t version, struct error *e)
{
	struct store_config c = { .dir = dir, .tables = tables, .version = version, .log = log_bytes, .map_first = 1 << 20, .map_max = 1 << 24 };
	struct store *s = NULL;
	int r = store_open(&c, &s, e);
	if (!r)
		store_close(s);
	return r;
}

static struct slice number_key(uint32_t n, uint8_t out[4])
{
	key_u32(out, n);
	return SLICE(out, 4);
}

static int put_commit(struct store *s, uint32_t n, const void *value, size_t len)
{
	struct store_txn *t;
	uint8_t key[4];
	int r = store_begin(s, &t);
	if (r)
		return r;
	r = store_put(t, ROWS, number_key(n, key), SLICE(value, len));
	if (r == 0 || r == ERROR_STORE)
		return store_commit(t);
	store_abort(t);
	return r;
}

static int get_copy(struct store *s, uint32_t n, char *out, size_t size)
{
	struct store_txn *t;
	struct slice v;
	uint8_t key[4];
	ck_assert_int_eq(store_read(s, &t), 0);
	int r = store_get(t, ROWS, number_key(n, key), &v);
	if (!r)
		snprintf(out, size, "%.*s", (int)v.len, (const char *)v.data);
	store_read_end(t);
	return r;
}

START_TEST(a_committed_row_is_there_after_the_store_is_opened_again)
{
	char text[32];
	struct store *s = open_with(1, 0, 0);
	ck_assert(store_is_new(s));
	ck_assert_int_eq(put_commit(s, 7, "seven", 5), 0);
	store_close(s);

	s = open_with(1, 0, 0);
	ck_assert(!store_is_new(s));
	ck_assert_int_eq(get_copy(s, 7, text, sizeof text), 0);
	ck_assert_str_eq(text, "seven");
	ck_assert_int_eq(get_copy(s, 8, text, sizeof text), ERROR_NOT_FOUND);
	store_close(s);
}
END_TEST

START_TEST(the_directory_is_private_and_no_descriptor_survives_an_exec)
{
	struct stat st;
	struct store *s = open_with(1, 0, 0);
	ck_assert_int_eq(stat(dir, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0700);
	ck_assert_int_eq(stat(file, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	DIR *fds = opendir("/proc/self/fd");
	unsigned n = 0;
	for (struct dirent *d; (d = readdir(fds));) {
		char path[300], target[200];
		snprintf(path, sizeof path, "/proc/self/fd/%s", d->d_name);
		ssize_t len = readlink(path, target, sizeof target - 1);
		if (len < 0 || !strstr((target[len] = '\0', target), ".mdb"))
			continue;
		n++;
		ck_assert_msg(fcntl(atoi(d->d_name), F_GETFD) & FD_CLOEXEC, "%s is not CLOEXEC", target);
	}
	closedir(fds);
	ck_assert_uint_ge(n, 2);
	store_close(s);
}
END_TEST

START_TEST(a_transaction_reads_its_own_writes_and_an_aborted_one_leaves_nothing)
{
	struct store *s = open_with(1, 0, 0);
	struct store_txn *t;
	struct slice v;
	uint8_t key[4];
	char text[8];
	ck_assert_int_eq(store_begin(s, &t), 0);
	ck_assert_int_eq(store_put(t, ROWS, number_key(1, key), SLICE("a", 1)), 0);
	ck_assert_int_eq(store_get(t, ROWS, number_key(1, key), &v), 0);
	ck_assert_uint_eq(v.len, 1);
	ck_assert_int_eq(store_delete(t, ROWS, number_key(1, key)), 0);
	ck_assert_int_eq(store_delete(t, ROWS, number_key(1, key)), ERROR_NOT_FOUND);
	ck_assert_int_eq(store_put(t, ROWS, number_key(2, key), SLICE("", 0)), 0);
	ck_assert_int_eq(store_get(t, ROWS, number_key(2, key), &v), 0);
	ck_assert_uint_eq(v.len, 0);
	store_abort(t);
	ck_assert_int_eq(get_copy(s, 2, text, sizeof text), ERROR_NOT_FOUND);
	store_close(s);
}
END_TEST

START_TEST(a_key_of_no_or_512_bytes_is_refused_and_one_of_511_is_not)
{
	struct store *s = open_with(1, 0, 0);
	struct store_txn *t;
	struct slice v, k;
	static const char key[512];
	ck_assert_int_eq(store_begin(s, &t), 0);
	ck_assert_int_eq(store_put(t, ROWS, SLICE(key, 512), SLICE("x", 1)), ERROR_BAD_REQUEST);
	ck_assert_int_eq(store_put(t, ROWS, SLICE(key, 0), SLICE("x", 1)), ERROR_BAD_REQUEST);
	ck_assert_int_eq(store_get(t, ROWS, SLICE(key, 512), &v), ERROR_BAD_REQUEST);
	ck_assert_int_eq(store_delete(t, ROWS, SLICE(key, 512)), ERROR_BAD_REQUEST);
	ck_assert_int_eq(store_seek(t, ROWS, SLICE(key, 512), false, &k, &v), ERROR_BAD_REQUEST);
	ck_assert_int_eq(store_put(t, ROWS, SLICE(key, 511), SLICE("x", 1)), 0);
	ck_assert_int_eq(store_get(t, ROWS, SLICE(key, 511), &v), 0);
	ck_assert_int_eq(store_commit(t), 0);
	store_close(s);
}
END_TEST

static int collect(void *ctx, struct slice key, struct slice value)
{
	char *out = ctx;
	size_t n = strlen(out);
	snprintf(out + n, 64 - n, "%u ", key_read_u32(key.data));
	return key_read_u32(key.data) == 99 ? 42 : 0;
}

START_TEST(seek_and_scan_go_both_ways_from_any_place)
{
	struct store *s = open_with(1, 0, 0);
	struct store_txn *t;
	struct slice k, v;
	uint8_t key[4];
	ck_assert_int_eq(store_begin(s, &t), 0);
	ck_assert_int_eq(store_seek(t, ROWS, SLICE(NULL, 0), true, &k, &v), ERROR_NOT_FOUND);
	static const uint32_t numbers[] = { 10, 20, 30, 300 };
	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(store_put(t, ROWS, number_key(numbers[i], key), SLICE("v", 1)), 0);
	static const struct { uint32_t from; bool backward; uint32_t want; } cases[] = {
		{ 10, false, 10 }, { 11, false, 20 }, { 31, false, 300 }, { 301, false, 0 },
		{ 10, true, 10 }, { 9, true, 0 }, { 29, true, 20 }, { 30, true, 30 }, { 1000, true, 300 },
	};
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		int r = store_seek(t, ROWS, number_key(cases[i].from, key), cases[i].backward, &k, &v);
		ck_assert_int_eq(r, cases[i].want ? 0 : ERROR_NOT_FOUND);
		if (!r)
			ck_assert_uint_eq(key_read_u32(k.data), cases[i].want);
	}
	ck_assert_int_eq(store_seek(t, ROWS, SLICE(NULL, 0), false, &k, &v), 0);
	ck_assert_uint_eq(key_read_u32(k.data), 10);
	ck_assert_int_eq(store_seek(t, ROWS, SLICE(NULL, 0), true, &k, &v), 0);
	ck_assert_uint_eq(key_read_u32(k.data), 300);

	char seen[64] = "";
	ck_assert_int_eq(store_scan(t, ROWS, number_key(15, key), false, collect, seen), 0);
	ck_assert_str_eq(seen, "20 30 300 ");
	*seen = '\0';
	ck_assert_int_eq(store_scan(t, ROWS, SLICE(NULL, 0), true, collect, seen), 0);
	ck_assert_str_eq(seen, "300 30 20 10 ");
	ck_assert_int_eq(store_put(t, ROWS, number_key(99, key), SLICE("v", 1)), 0);
	*seen = '\0';
	ck_assert_int_eq(store_scan(t, ROWS, SLICE(NULL, 0), false, collect, seen), 42);
	ck_assert_str_eq(seen, "10 20 30 99 ");
	uint64_t n;
	ck_assert_int_eq(store_count(t, ROWS, &n), 0);
	ck_assert_uint_eq(n, 5);
	ck_assert_int_eq(store_clear(t, ROWS), 0);
	ck_assert_int_eq(store_count(t, ROWS, &n), 0);
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(store_commit(t), 0);
	store_close(s);
}
END_TEST

/* With all that it has in the data. */
static void leave(struct store *s)
{
	ck_assert_int_eq(store_checkpoint(s), 0);
	store_close(s);
}

/* Changes one byte of the text, in every page of the file where it stands: some are old versions of the page. */
static void damage(const char *text, size_t offset)
{
	int fd = open(file, O_RDWR | O_CLOEXEC);
	off_t size = lseek(fd, 0, SEEK_END);
	_cleanup_(freep) char *all = malloc((size_t)size);
	ck_assert_int_eq(pread(fd, all, (size_t)size, 0), size);
	unsigned n = 0;
	for (char *at = all; (at = memmem(at, (size_t)(all + size - at), text, strlen(text))); at++, n++) {
		char byte = (char)(at[offset] ^ 0x20);
		ck_assert_int_eq(pwrite(fd, &byte, 1, at - all + (off_t)offset), 1);
	}
	ck_assert_uint_ge(n, 1);
	close(fd);
}

START_TEST(a_byte_that_changed_in_a_value_is_an_error_and_never_a_wrong_row)
{
	static const char text[] = "the quick brown fox";
	char out[64];
	for (size_t offset = 0; offset < sizeof text - 1; offset += 6) {
		struct store *s = open_with(1, 0, 0);
		ck_assert_int_eq(put_commit(s, 1, text, sizeof text - 1), 0);
		ck_assert_int_eq(put_commit(s, 2, "untouched", 9), 0);
		leave(s);
		damage(text, offset);

		s = open_with(1, 0, 0);
		ck_assert_int_eq(get_copy(s, 1, out, sizeof out), ERROR_CORRUPT);
		ck_assert_int_eq(get_copy(s, 2, out, sizeof out), 0);
		struct store_txn *t;
		struct slice k, v;
		ck_assert_int_eq(store_read(s, &t), 0);
		ck_assert_int_eq(store_seek(t, ROWS, SLICE(NULL, 0), false, &k, &v), ERROR_CORRUPT);
		ck_assert_uint_eq(k.len, 4);
		ck_assert_uint_eq(key_read_u32(k.data), 1);
		*out = '\0';
		ck_assert_int_eq(store_scan(t, ROWS, SLICE(NULL, 0), false, collect, out), ERROR_CORRUPT);
		store_read_end(t);
		store_close(s);
		unlink(file);
		unlink(log_file);
	}
}
END_TEST

START_TEST(a_value_under_another_key_than_its_own_is_an_error)
{
	char out[8];
	struct store *s = open_with(1, 0, 0);
	struct store_txn *t;
	ck_assert_int_eq(store_begin(s, &t), 0);
	ck_assert_int_eq(store_put(t, ROWS, SLICE("KEYA", 4), SLICE("value", 5)), 0);
	ck_assert_int_eq(store_commit(t), 0);
	leave(s);
	damage("KEYA", 3);
	s = open_with(1, 0, 0);
	uint32_t changed;
	memcpy(&changed, "KEYa", 4);
	ck_assert_int_eq(get_copy(s, __builtin_bswap32(changed), out, sizeof out), ERROR_CORRUPT);
	store_close(s);
}
END_TEST

START_TEST(a_store_of_another_version_is_refused_by_name_and_left_alone)
{
	struct error e = { 0 };
	store_close(open_with(3, 0, 0));
	ck_assert_int_eq(open_code(4, &e), ERROR_VERSION);
	ck_assert_ptr_nonnull(strstr(e.text, "version 3"));
	ck_assert_ptr_nonnull(strstr(e.text, "reads version 4"));
	store_close(open_with(3, 0, 0));
}
END_TEST

START_TEST(a_file_that_is_cut_short_or_no_database_is_refused_at_open)
{
	struct error e = { 0 };
	char value[2000];
	memset(value, 'v', sizeof value);
	struct store *s = open_with(1, 1 << 20, 1 << 24);
	for (uint32_t i = 0; i < 100; i++)
		ck_assert_int_eq(put_commit(s, i, value, sizeof value), 0);
	store_close(s);
	struct stat st;
	ck_assert_int_eq(stat(file, &st), 0);
	ck_assert_int_eq(truncate(file, st.st_size / 2), 0);
	ck_assert_int_eq(open_code(1, &e), ERROR_CORRUPT);
	ck_assert_ptr_nonnull(strstr(e.text, "cut short"));

	int fd = open(file, O_WRONLY | O_TRUNC | O_CLOEXEC);
	for (int i = 0; i < 16; i++)
		ck_assert_int_eq(write(fd, value, 1024), 1024);
	close(fd);
	ck_assert_int_eq(open_code(1, &e), ERROR_CORRUPT);
}
END_TEST

START_TEST(a_new_file_has_its_name_only_when_it_is_whole_and_half_of_one_is_no_hindrance)
{
	char half[128], lock[160];
	struct stat st;
	snprintf(half, sizeof half, "%s.new", file);
	snprintf(lock, sizeof lock, "%s-lock", half);
	store_close(open_with(1, 0, 0));
	ck_assert_int_eq(unlink(file), 0);
	int fd = open(half, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(write(fd, dir, 6), 6);
	close(fd);
	struct store *s = open_with(1, 0, 0);
	ck_assert(store_is_new(s));
	store_close(s);
	ck_assert_int_eq(stat(half, &st), -1);
	ck_assert_int_eq(stat(lock, &st), -1);
}
END_TEST

START_TEST(a_path_is_not_opened_twice_in_one_process)
{
	struct error e = { 0 };
	struct store *s = open_with(1, 0, 0);
	ck_assert_int_eq(open_code(1, &e), ERROR_STATE);
	ck_assert_int_eq(put_commit(s, 1, "x", 1), 0);
	store_close(s);
	ck_assert_int_eq(open_code(1, &e), 0);
}
END_TEST

START_TEST(the_map_grows_past_its_first_size_between_transactions)
{
	char value[4000];
	struct store_usage u;
	memset(value, 'v', sizeof value);
	struct store *s = open_with(1, 256 * 1024, 64 << 20);
	for (uint32_t i = 0; i < 1000; i++)
		ck_assert_int_eq(put_commit(s, i, value, sizeof value), 0);
	ck_assert_int_eq(store_usage(s, &u), 0);
	ck_assert_uint_gt(u.map_bytes, 4000000);
	ck_assert_uint_eq(u.map_bytes & (u.map_bytes - 1), 0);
	ck_assert_uint_le(u.used_bytes, u.map_bytes);
	store_close(s);
	s = open_with(1, 256 * 1024, 64 << 20);
	char out[8];
	ck_assert_int_eq(get_copy(s, 999, out, sizeof out), 0);
	ck_assert_int_eq(put_commit(s, 1000, value, sizeof value), 0);
	store_close(s);
}
END_TEST

START_TEST(one_transaction_larger_than_the_map_fails_whole_and_fits_the_next_time)
{
	char value[4000], out[8];
	memset(value, 'v', sizeof value);
	struct store *s = open_with(1, 128 * 1024, 64 << 20);
	struct store_txn *t;
	uint8_t key[4];
	int tries = 0, r = ERROR_STORE;
	while (r == ERROR_STORE && tries++ < 10) {
		ck_assert_int_eq(get_copy(s, 0, out, sizeof out), ERROR_NOT_FOUND);
		ck_assert_int_eq(store_begin(s, &t), 0);
		for (uint32_t i = 0; i < 100; i++) {
			r = store_put(t, ROWS, number_key(i, key), SLICE(value, sizeof value));
			if (r)
				break;
		}
		ck_assert(r == 0 || r == ERROR_STORE);
		struct slice v;
		if (r) /* whatever is called now says the same */
			ck_assert_int_eq(store_get(t, ROWS, number_key(0, key), &v), ERROR_STORE);
		int code = store_commit(t);
		ck_assert_int_eq(code, r);
	}
	ck_assert_int_eq(r, 0);
	ck_assert_int_gt(tries, 1);
	ck_assert_int_eq(get_copy(s, 99, out, sizeof out), 0);
	store_close(s);
}
END_TEST

START_TEST(a_full_store_refuses_writes_and_goes_on_when_rows_are_deleted)
{
	char value[4000], out[8];
	memset(value, 'v', sizeof value);
	struct store *s = open_with(1, 128 * 1024, 256 * 1024);
	uint32_t n = 0;
	int r;
	while ((r = put_commit(s, n, value, sizeof value)) == 0)
		ck_assert_uint_lt(++n, 100);
	uint64_t room, more;
	ck_assert_int_eq(r, ERROR_STORE);
	ck_assert_int_eq(store_checkpoint(s), 0);
	ck_assert_int_eq(store_room(s, &room), 0);
	ck_assert_uint_lt(room, 64 * 1024);
	ck_assert_int_eq(get_copy(s, n, out, sizeof out), ERROR_NOT_FOUND);
	ck_assert_int_eq(get_copy(s, n - 1, out, sizeof out), 0);

	struct store_txn *t;
	uint8_t key[4];
	ck_assert_int_eq(store_begin(s, &t), 0);
	for (uint32_t i = 0; i < 10; i++)
		ck_assert_int_eq(store_delete(t, ROWS, number_key(i, key)), 0);
	ck_assert_int_eq(store_commit(t), 0);
	for (uint32_t i = 0; i < 3; i++) /* freed pages come back one commit later */
		if (!(r = put_commit(s, 1000 + i, "small", 5)))
			r = store_checkpoint(s);
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(store_room(s, &more), 0);
	ck_assert_uint_gt(more, room + 32 * 1024);
	store_close(s);
}
END_TEST

START_TEST(a_view_keeps_its_slices_while_a_transaction_writes_and_grows_nothing)
{
	char value[4000];
	memset(value, 'v', sizeof value);
	struct store *s = open_with(1, 128 * 1024, 8 << 20);
	ck_assert_int_eq(put_commit(s, 1, "first", 5), 0);
	while (1) { /* until the next begin would grow the map */
		struct store_usage u;
		ck_assert_int_eq(store_usage(s, &u), 0);
		if (u.used_bytes > u.map_bytes / 5 * 4)
			break;
		static uint32_t n = 10;
		ck_assert_int_eq(put_commit(s, n++, value, sizeof value), 0);
	}
	struct store_txn *view, *t;
	struct slice v;
	uint8_t key[4];
	ck_assert_int_eq(store_read(s, &view), 0);
	ck_assert_int_eq(store_get(view, ROWS, number_key(1, key), &v), 0);
	ck_assert_int_eq(store_begin(s, &t), 0);
	ck_assert_int_eq(store_put(t, ROWS, number_key(1, key), SLICE("second", 6)), 0);
	ck_assert_mem_eq(v.data, "first", 5);
	ck_assert_int_eq(store_commit(t), 0);
	ck_assert_mem_eq(v.data, "first", 5);
	store_read_end(view);
	ck_assert_int_eq(store_read(s, &view), 0);
	ck_assert_int_eq(store_get(view, ROWS, number_key(1, key), &v), 0);
	ck_assert_uint_eq(v.len, 6);
	store_read_end(view);
	store_close(s);
}
END_TEST

/* A child that commits row 1, then says so, then writes on without a commit until it is killed. */
static pid_t writer_start(int *ret_fd)
{
	int fds[2];
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct store *s = open_with(1, 0, 0);
		struct store_txn *t;
		uint8_t key[4];
		char value[3000];
		memset(value, 'x', sizeof value);
		if (put_commit(s, 1, "kept", 4) || store_begin(s, &t))
			_exit(1);
		for (uint32_t i = 1; i < 500; i++)
			if (store_put(t, ROWS, number_key(i, key), SLICE(value, sizeof value)))
				_exit(1);
		if (write(fds[1], "w", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(fds[1]);
	*ret_fd = fds[0];
	return pid;
}

START_TEST(a_writer_killed_in_the_middle_of_a_transaction_leaves_the_last_commit)
{
	char out[8];
	for (int round = 0; round < 3; round++) {
		int fd, status;
		pid_t pid = writer_start(&fd);
		ck_assert_int_eq(read(fd, out, 1), 1);
		kill(pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert(WIFSIGNALED(status));
		close(fd);

		struct store *s = open_with(1, 0, 0);
		ck_assert_int_eq(get_copy(s, 1, out, sizeof out), 0);
		ck_assert_str_eq(out, "kept");
		ck_assert_int_eq(get_copy(s, 2, out, sizeof out), ERROR_NOT_FOUND);
		ck_assert_int_eq(put_commit(s, 3, "on", 2), 0);
		struct store_txn *t;
		uint8_t key[4];
		ck_assert_int_eq(store_begin(s, &t), 0);
		ck_assert_int_eq(store_delete(t, ROWS, number_key(3, key)), 0);
		ck_assert_int_eq(store_commit(t), 0);
		store_close(s);
	}
}
END_TEST

/* LMDB counts the pages that it took and gave back in one transaction, and does not write them. */
START_TEST(rows_of_many_pages_that_come_and_go_leave_a_file_that_is_taken_for_whole_and_half_of_it_is_not)
{
	static char value[100000];
	struct error e = { 0 };
	for (uint32_t round = 0; round < 8; round++) {
		struct store *s = open_with(1, 1 << 20, 1 << 24);
		for (uint32_t i = 0; i <= round % 3; i++)
			ck_assert_int_eq(put_commit(s, i, value, 12000 * (size_t)(round + 1)), 0);
		struct store_txn *t;
		uint8_t key[4];
		ck_assert_int_eq(store_begin(s, &t), 0);
		for (uint32_t i = 0; i <= round % 3; i++)
			ck_assert_int_eq(store_delete(t, ROWS, number_key(i, key)), 0);
		ck_assert_int_eq(store_commit(t), 0);
		leave(s);
		ck_assert_msg(open_code(1, &e) == 0, "%s", e.text);
	}
	struct store *s = open_with(1, 1 << 20, 1 << 24);
	for (uint32_t i = 0; i < 100; i++)
		ck_assert_int_eq(put_commit(s, i, value, 3000), 0);
	leave(s);
	struct stat st;
	ck_assert_int_eq(stat(file, &st), 0);
	ck_assert_int_eq(truncate(file, st.st_size / 2), 0);
	ck_assert_int_eq(open_code(1, &e), ERROR_CORRUPT);
	ck_assert_ptr_nonnull(strstr(e.text, "cut short"));
}
END_TEST

START_TEST(keys_sort_as_their_numbers)
{
	static const uint64_t n[] = { 0, 1, 255, 256, 65535, 1ull << 32, UINT64_MAX };
	uint8_t a[13], b[13];
	for (size_t i = 0; i + 1 < ELEMENTS(n); i++) {
		ck_assert_ptr_eq(key_u64(key_u32(key_u8(a, 1), 2), n[i]), a + 13);
		key_u64(key_u32(key_u8(b, 1), 2), n[i + 1]);
		ck_assert_int_lt(memcmp(a, b, 13), 0);
		ck_assert_uint_eq(key_read_u64(a + 5), n[i]);
		ck_assert_uint_eq(key_read_u32(a + 1), 2);
	}
	ck_assert_ptr_eq(key_bytes(a, "xy", 2), a + 2);
	ck_assert_mem_eq(a, "xy", 2);
}
END_TEST

static TCase *both(const char *name, void (*begin)(void))
{
	TCase *c = tcase_create(name);
	tcase_add_checked_fixture(c, begin, teardown);
	tcase_set_timeout(c, 30);
	tcase_add_test(c, a_committed_row_is_there_after_the_store_is_opened_again);
	tcase_add_test(c, the_directory_is_private_and_no_descriptor_survives_an_exec);
	tcase_add_test(c, a_transaction_reads_its_own_writes_and_an_aborted_one_leaves_nothing);
	tcase_add_test(c, a_key_of_no_or_512_bytes_is_refused_and_one_of_511_is_not);
	tcase_add_test(c, seek_and_scan_go_both_ways_from_any_place);
	tcase_add_test(c, a_byte_that_changed_in_a_value_is_an_error_and_never_a_wrong_row);
	tcase_add_test(c, a_value_under_another_key_than_its_own_is_an_error);
	tcase_add_test(c, a_store_of_another_version_is_refused_by_name_and_left_alone);
	tcase_add_test(c, a_file_that_is_cut_short_or_no_database_is_refused_at_open);
	tcase_add_test(c, a_new_file_has_its_name_only_when_it_is_whole_and_half_of_one_is_no_hindrance);
	tcase_add_test(c, a_path_is_not_opened_twice_in_one_process);
	tcase_add_test(c, the_map_grows_past_its_first_size_between_transactions);
	tcase_add_test(c, one_transaction_larger_than_the_map_fails_whole_and_fits_the_next_time);
	tcase_add_test(c, a_full_store_refuses_writes_and_goes_on_when_rows_are_deleted);
	tcase_add_test(c, rows_of_many_pages_that_come_and_go_leave_a_file_that_is_taken_for_whole_and_half_of_it_is_not);
	tcase_add_test(c, a_writer_killed_in_the_middle_of_a_transaction_leaves_the_last_commit);
	return c;
}

static Suite *store_suite(void)
{
	Suite *s = suite_create("store");
	TCase *plain = both("store", setup);
	tcase_add_test(plain, a_view_keeps_its_slices_while_a_transaction_writes_and_grows_nothing);
	tcase_add_test(plain, keys_sort_as_their_numbers);
	suite_add_tcase(s, plain);
	suite_add_tcase(s, both("store with a log", setup_with_log));
	return s;
}

int main(void)
{
	return suite_run(store_suite());
}
