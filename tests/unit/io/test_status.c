/* The status cell: written by a real child where death matters, read as if its writer were hostile. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/rng.h"
#include "common/io/status.h"
#include "tests/suite.h"

static struct status_cell *cell;
static const struct status_cell *view;
static int fd;

static void begin(void)
{
	struct error e;
	ck_assert_int_eq(status_create(&cell, &fd), 0);
	ck_assert_int_eq(status_map(fd, &view, &e), 0);
}

static void end(void)
{
	status_unmap(view);
	status_unmap(cell);
	status_unmap(NULL);
	close(fd);
}

START_TEST(the_reader_sees_what_was_written)
{
	begin();
	struct status_cell got;
	status_read(view, &got);
	ck_assert_uint_eq(got.phase, PHASE_START);
	ck_assert_uint_eq(got.turn, 0);

	static const uint8_t id[16] = "fifteen letters";
	uint64_t tokens[STATUS_TOKENS + 10];
	for (size_t i = 0; i < ELEMENTS(tokens); i++)
		tokens[i] = i + 1;
	status_phase(cell, PHASE_TURN, 1000);
	status_phase(cell, PHASE_COMMIT, 1005);
	status_phase(cell, PHASE_TURN, 1010);
	status_message(cell, id);
	status_mailbox(cell, 17);
	status_tokens(cell, tokens, ELEMENTS(tokens));
	status_read(view, &got);
	ck_assert_uint_eq(got.phase, PHASE_TURN);
	ck_assert_uint_eq(got.since_ms, 1010);
	ck_assert_uint_eq(got.turn, 2);
	ck_assert_mem_eq(got.message, id, 16);
	ck_assert_uint_eq(got.mailbox, 17);
	ck_assert_uint_eq(got.n_tokens, STATUS_TOKENS);
	ck_assert_uint_eq(got.tokens[STATUS_TOKENS - 1], STATUS_TOKENS);

	status_message(cell, NULL);
	status_tokens(cell, NULL, 0);
	status_read(view, &got);
	static const uint8_t none[16];
	ck_assert_mem_eq(got.message, none, 16);
	ck_assert_uint_eq(got.n_tokens, 0);
	end();
}
END_TEST

START_TEST(only_a_sealed_memfd_of_the_right_size_is_mapped)
{
	const struct status_cell *c;
	struct error e;
	int pipe_fds[2];
	ck_assert_int_eq(pipe(pipe_fds), 0);
	ck_assert_int_eq(status_map(pipe_fds[0], &c, &e), ERROR_BAD_REQUEST);
	ck_assert_int_eq(status_map(-1, &c, &e), ERROR_BAD_REQUEST);
	close(pipe_fds[0]);
	close(pipe_fds[1]);

	static const struct { off_t size; int seals; int want; } cases[] = {
		{ STATUS_SIZE, F_SEAL_SHRINK | F_SEAL_GROW, 0 },   { STATUS_SIZE, F_SEAL_SHRINK, ERROR_BAD_REQUEST }, { STATUS_SIZE, F_SEAL_GROW, ERROR_BAD_REQUEST },
		{ STATUS_SIZE, 0, ERROR_BAD_REQUEST },             { 0, F_SEAL_SHRINK | F_SEAL_GROW, ERROR_BAD_REQUEST },
		{ STATUS_SIZE - 1, F_SEAL_SHRINK | F_SEAL_GROW, ERROR_BAD_REQUEST }, { 1 << 20, F_SEAL_SHRINK | F_SEAL_GROW, ERROR_BAD_REQUEST },
	};
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		int m = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);
		ck_assert_int_eq(ftruncate(m, cases[i].size), 0);
		ck_assert_int_eq(fcntl(m, F_ADD_SEALS, cases[i].seals), 0);
		ck_assert_int_eq(status_map(m, &c, &e), cases[i].want);
		if (cases[i].want == 0)
			status_unmap(c);
		close(m);
	}

	/* Ours cannot be cut under its reader. */
	begin();
	ck_assert_int_lt(ftruncate(fd, 0), 0);
	ck_assert_int_lt(ftruncate(fd, 8192), 0);
	end();
}
END_TEST

START_TEST(random_bytes_give_bounded_values)
{
	begin();
	struct rng r;
	rng_seed(&r, 11);
	const uint32_t magic = cell->magic, version = cell->version;
	for (int i = 0; i < 5000; i++) {
		for (size_t j = 0; j < sizeof(*cell); j += 8) {
			uint64_t v = rng_next(&r);
			memcpy((char *)cell + j, &v, sizeof(*cell) - j < 8 ? sizeof(*cell) - j : 8);
		}
		if (i % 2) { /* half of them get past the first check */
			cell->magic = magic;
			cell->version = version;
		}
		struct status_cell got;
		status_read(view, &got);
		ck_assert_uint_le(got.phase, PHASE_STOPPING);
		ck_assert_uint_le(got.n_tokens, STATUS_TOKENS);
		ck_assert_uint_le(got.n_frames, STATUS_FRAMES);
		ck_assert_uint_le(got.signal, 64);
		if (i % 2 == 0) {
			ck_assert_uint_eq(got.phase, PHASE_IDLE);
			ck_assert_uint_eq(got.n_tokens, 0);
		}
	}
	end();
}
END_TEST

START_TEST(a_reader_never_sees_half_an_update_of_a_living_writer)
{
	begin();
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (uint64_t n = 1;; n++) {
			uint64_t tokens[STATUS_TOKENS];
			for (size_t i = 0; i < STATUS_TOKENS; i++)
				tokens[i] = n;
			status_tokens(cell, tokens, STATUS_TOKENS);
			getppid(); /* a moment between updates */
		}
	}
	uint64_t first = 0, last = 0;
	unsigned torn = 0, n = 0;
	for (; n < 200000 && (n < 2000 || last == first); n++) {
		struct status_cell got;
		status_read(view, &got);
		/* Odd: the reader never met the writer between two updates, and says so. */
		if (got.seq % 2 || got.n_tokens == 0)
			continue;
		if (!first)
			first = got.tokens[0];
		last = got.tokens[0];
		for (size_t i = 1; i < got.n_tokens; i++)
			torn += got.tokens[i] != got.tokens[0];
	}
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_uint_ne(last, first);
	ck_assert_uint_eq(torn, 0);
	end();
}
END_TEST

START_TEST(a_writer_that_died_inside_an_update_is_read_all_the_same)
{
	begin();
	status_phase(cell, PHASE_COMMIT, 5);
	cell->seq++; /* died between the two */
	struct status_cell got;
	status_read(view, &got);
	ck_assert_uint_eq(got.phase, PHASE_COMMIT);
	end();
}
END_TEST

static volatile int zero;

static __attribute__((noinline)) void crash_here(int how)
{
	switch (how) {
	case SIGSEGV:
		*(volatile int *)(intptr_t)(8 + zero) = 1;
		break;
	case SIGILL:
		__builtin_trap();
	case SIGABRT:
		abort();
	default:
		raise(how);
		__asm__ volatile("" ::: "memory"); /* no jump instead of a call */
	}
}

static __attribute__((noinline)) int overflow(volatile char *before)
{
	volatile char here[4096];
	here[0] = before ? before[0] : 1;
	return here[0] ? overflow(here) + here[0] : 0; /* always 1, which the compiler cannot know */
}

/* What a real child leaves behind. */
static struct status_cell crash(int how, int *ret_signal)
{
	begin();
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct rlimit none = { 0, 0 };
		setrlimit(RLIMIT_CORE, &none);
		if (status_catch_crashes(cell))
			_exit(99);
		status_phase(cell, PHASE_TURN, 77);
		if (how == 0)
			overflow(NULL);
		else
			crash_here(how);
		_exit(98);
	}
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	*ret_signal = WTERMSIG(status);
	struct status_cell got;
	status_read(view, &got);
	end();
	return got;
}

START_TEST(a_crash_leaves_its_signal_and_where_it_was)
{
	static const int signals[] = { SIGSEGV, SIGABRT, SIGILL, SIGFPE, SIGBUS };
	for (size_t i = 0; i < ELEMENTS(signals); i++) {
		int died_of;
		struct status_cell got = crash(signals[i], &died_of);
		ck_assert_int_eq((int)got.signal, died_of);
		ck_assert(died_of == signals[i] || (signals[i] == SIGILL && died_of == SIGTRAP));
		ck_assert_uint_eq(got.phase, PHASE_TURN);
		ck_assert_uint_eq(got.since_ms, 77);
		ck_assert_uint_ge(got.n_frames, 3);
		ck_assert_uint_ne(got.load_base, 0);
		/* A fork has the same layout, so the address of the crashing function can be looked for; compilers put calls that do not return elsewhere. */
		bool found = false;
		for (size_t j = 0; j < got.n_frames; j++)
			found |= got.frames[j] >= (uintptr_t)crash_here && got.frames[j] < (uintptr_t)crash_here + 256;
		ck_assert(found || signals[i] == SIGABRT || signals[i] == SIGILL);
		if (signals[i] == SIGSEGV)
			ck_assert(got.frames[0] >= (uintptr_t)crash_here && got.frames[0] < (uintptr_t)crash_here + 256);
	}
}
END_TEST

START_TEST(a_stack_overflow_is_reported_too)
{
	int died_of;
	struct status_cell got = crash(0, &died_of);
	ck_assert_int_eq(died_of, SIGSEGV);
	ck_assert_uint_eq(got.signal, SIGSEGV);
	ck_assert_uint_ge(got.n_frames, 1);
}
END_TEST

static Suite *status_suite(void)
{
	Suite *s = suite_create("status");
	TCase *t = tcase_create("status");
	tcase_set_timeout(t, 30);
	tcase_add_test(t, the_reader_sees_what_was_written);
	tcase_add_test(t, only_a_sealed_memfd_of_the_right_size_is_mapped);
	tcase_add_test(t, random_bytes_give_bounded_values);
	tcase_add_test(t, a_reader_never_sees_half_an_update_of_a_living_writer);
	tcase_add_test(t, a_writer_that_died_inside_an_update_is_read_all_the_same);
	tcase_add_test(t, a_crash_leaves_its_signal_and_where_it_was);
	tcase_add_test(t, a_stack_overflow_is_reported_too);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	return suite_run(status_suite());
}
