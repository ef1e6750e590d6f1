/* The crash handler and its limits.
 *
 * It runs on an alternate stack, so a stack overflow of the main thread is reported too (other threads handle their own overflow with the kernel's
 * default). It writes the signal and the interrupted program counter first, then walks the stack with backtrace(3), which unwinds by the tables that
 * every x86-64 and arm64 program carries. backtrace is not on POSIX's list of async-signal-safe functions for two reasons: its first call loads
 * libgcc (so it is called once at start), and dl_iterate_phdr takes the loader's lock. A crash inside dlopen could therefore hang, and a smashed
 * stack could make the unwinder fault. The first is cut by an alarm of two seconds, the second by the kernel, because the handler is one-shot and does
 * not block its own signal. Either way what was written before stays in the cell, which belongs to a memfd and outlives the process. */
#include "common/io/status.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/crash.h"

#define STATUS_MAGIC 0x53505254u /* "TRPS" */
#define STATUS_VERSION 1u
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
#define READ_TRIES 64
#define HANDLER_STACK (64 * 1024)
#define HANDLER_SECONDS 2

/* --- the child's side --- */

int status_create(struct status_cell **ret, int *ret_fd)
{
	_cleanup_(closep) int fd = memfd_create("troupe-status", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, STATUS_SIZE) < 0 || fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) < 0)
		return -errno;
	struct status_cell *c = mmap(NULL, STATUS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (c == MAP_FAILED)
		return -errno;
	c->magic = STATUS_MAGIC;
	c->version = STATUS_VERSION;
	*ret = c;
	*ret_fd = steal_fd(&fd);
	return 0;
}

static void update_begin(struct status_cell *c)
{
	__atomic_store_n(&c->seq, c->seq + 1, __ATOMIC_RELAXED);
	atomic_thread_fence(memory_order_release);
}

static void update_end(struct status_cell *c)
{
	__atomic_store_n(&c->seq, c->seq + 1, __ATOMIC_RELEASE);
}

void status_phase(struct status_cell *c, enum status_phase phase, uint64_t now_ms)
{
	update_begin(c);
	c->phase = phase;
	c->since_ms = now_ms;
	if (phase == PHASE_TURN)
		c->turn++;
	update_end(c);
}

void status_message(struct status_cell *c, const uint8_t id[16])
{
	update_begin(c);
	if (id)
		memcpy(c->message, id, sizeof(c->message));
	else
		memset(c->message, 0, sizeof(c->message));
	update_end(c);
}

void status_mailbox(struct status_cell *c, uint32_t n)
{
	update_begin(c);
	c->mailbox = n;
	update_end(c);
}

void status_tokens(struct status_cell *c, const uint64_t *tokens, uint32_t n)
{
	if (n > STATUS_TOKENS)
		n = STATUS_TOKENS;
	update_begin(c);
	c->n_tokens = n;
	if (n)
		memcpy(c->tokens, tokens, n * sizeof(tokens[0]));
	update_end(c);
}

/* --- the crash handler --- */

static struct status_cell *crash_cell;
static uint8_t crash_stack[HANDLER_STACK] __attribute__((aligned(16)));

static uint64_t program_counter(const ucontext_t *u)
{
#if defined(__x86_64__)
	return (uint64_t)u->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return (uint64_t)u->uc_mcontext.pc;
#else
	return 0;
#endif
}

/* Cuts the handler's own frames and the kernel's trampoline: the interrupted function comes first. */
static unsigned frames_keep(uint64_t *out, void *const *all, int n, uint64_t pc)
{
	int first = 0;
	for (int i = 0; i < n; i++)
		if ((uint64_t)(uintptr_t)all[i] == pc)
			first = i;
	unsigned kept = 0;
	for (int i = first; i < n && kept < STATUS_FRAMES; i++)
		out[kept++] = (uint64_t)(uintptr_t)all[i];
	return kept;
}

static void on_crash(int signo, siginfo_t *si, void *context)
{
	struct status_cell *c = crash_cell;
	uint64_t pc = program_counter(context);
	c->signal = (uint32_t)signo;
	c->frames[0] = pc;
	c->n_frames = 1;
	const char *words = crash_words;
	if (words) {
		struct iovec line[2] = { { (void *)words, strlen(words) }, { (void *)"\n", 1 } };
		(void)!writev(STDERR_FILENO, line, 2);
	}

	struct sigaction deadly = { .sa_handler = SIG_DFL };
	sigset_t alarm_only;
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	sigaction(SIGALRM, &deadly, NULL);
	pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
	alarm(HANDLER_SECONDS);

	void *all[STATUS_FRAMES + 8];
	int n = backtrace(all, sizeof(all) / sizeof(all[0]));
	if (n > 0)
		c->n_frames = frames_keep(c->frames, all, n, pc);

	/* A fault comes again when its instruction is repeated, now with the default action and the right registers in the core. What
	 * somebody sent has to be sent again. */
	if (si->si_code <= 0)
		raise(signo);
}

static int on_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
	*(uint64_t *)ctx = info->dlpi_addr;
	return 1; /* the first is the main program */
}

int status_catch_crashes(struct status_cell *c)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
	void *prime[2];
	(void)!backtrace(prime, 2);
	dl_iterate_phdr(on_object, &c->load_base);
	crash_cell = c;

	stack_t stack = { .ss_sp = crash_stack, .ss_size = sizeof(crash_stack) };
	if (sigaltstack(&stack, NULL) < 0)
		return -errno;
	struct sigaction sa = { .sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND | SA_NODEFER };
	sigemptyset(&sa.sa_mask);
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < ELEMENTS(signals); i++) {
		sigaddset(&set, signals[i]);
		if (sigaction(signals[i], &sa, NULL) < 0)
			return -errno;
	}
	return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* --- the supervisor's side --- */

int status_map(int fd, const struct status_cell **ret, struct error *e)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || fstat(fd, &st) < 0)
		return error_set(e, ERROR_BAD_REQUEST, "a status cell that is no memfd");
	if (st.st_size != STATUS_SIZE)
		return error_set(e, ERROR_BAD_REQUEST, "a status cell of %lld bytes, not %d", (long long)st.st_size, STATUS_SIZE);
	if ((seals & SEALS) != SEALS)
		return error_set(e, ERROR_BAD_REQUEST, "a status cell without seals could shrink under its reader");
	void *p = mmap(NULL, STATUS_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return error_set(e, ERROR_BAD_REQUEST, "a status cell that cannot be mapped: %s", strerror(errno));
	*ret = p;
	return 0;
}

void status_unmap(const struct status_cell *c)
{
	if (c)
		munmap((void *)c, STATUS_SIZE);
}

/* The writer may change any byte at any time: so one plain copy, and then only the copy is looked at. */
void status_read(const struct status_cell *c, struct status_cell *ret)
{
	bool whole = false;
	for (unsigned i = 0; i < READ_TRIES && !whole; i++) {
		uint32_t before = __atomic_load_n(&c->seq, __ATOMIC_ACQUIRE);
		memcpy(ret, c, sizeof(*ret));
		atomic_thread_fence(memory_order_acquire);
		whole = before % 2 == 0 && __atomic_load_n(&c->seq, __ATOMIC_RELAXED) == before;
	}
	if (!whole)
		ret->seq |= 1;
	if (ret->magic != STATUS_MAGIC || ret->version != STATUS_VERSION)
		*ret = (struct status_cell){ .phase = PHASE_IDLE };
	if (ret->phase > PHASE_STOPPING)
		ret->phase = PHASE_IDLE;
	if (ret->n_tokens > STATUS_TOKENS)
		ret->n_tokens = STATUS_TOKENS;
	if (ret->n_frames > STATUS_FRAMES)
		ret->n_frames = STATUS_FRAMES;
	if (ret->signal > 64) /* no such signal */
		ret->signal = 0;
}
