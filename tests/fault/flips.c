/* flips IMAGES SEED [KEEP]: case 16. A ledger whose file somebody damaged: bits that flipped, sectors that are zero or another's, a file that is cut short or has a hole. Whoever opens
 * it says what is wrong, or serves; and what is served is what was kept, to the byte. KEEP: a directory for images that go wrong. Reports TAP. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/io/status.h"
#include "tests/unit/coordinator/stage.h"

#define MUST(x) do { if (!(x)) { fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); abort(); } } while (0)
#define TASKS 120u
#define SECONDS_MAX 20u
#define SHOWN_MAX 10

static const struct who client = { .peer = 1 }, worker = { .peer = 10, .address = "worker:a/1", .incarnation = 5 };

/* --- the ledger --- */

static struct id id_of(unsigned n)
{
	struct id id = { { 1, 140, 10, 10, 10, 10 } };
	id.b[14] = (uint8_t)(n >> 8);
	id.b[15] = (uint8_t)n;
	return id;
}

/* What task n has as payload, and as result: lengths from nothing to some pages. */
static size_t body(unsigned n, bool result, uint8_t *out)
{
	struct rng r;
	rng_seed(&r, n * 2 + result);
	size_t len = rng_below(&r, n % 10 == 0 ? 9000 : 300);
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)rng_next(&r);
	return len;
}

static void submit(struct stage *s, unsigned n)
{
	static uint8_t data[16384];
	struct id id = id_of(n);
	char key[16];
	Troupe__TaskSpec x = TROUPE__TASK_SPEC__INIT, *all[] = { &x };
	Troupe__Submit m = TROUPE__SUBMIT__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	snprintf(key, sizeof key, "key %u", n);
	x.id = (ProtobufCBinaryData){ sizeof id.b, id.b };
	x.queue = (char *)(n % 3 ? "a" : "b");
	x.payload = (ProtobufCBinaryData){ body(n, false, data), data };
	x.unique_key = n % 5 ? (char *)"" : key;
	x.delay_ms = n % 7 ? 0 : 3600000;
	m.tasks = all;
	m.n_tasks = 1;
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &m;
	MUST(stage_ask(s, &client, &env));
}

/* Ends what the worker was just given: done, or now and then failed for good. false: nothing was. */
static bool work(struct stage *s)
{
	static uint8_t data[16384];
	const Troupe__Envelope *run = NULL;
	for (size_t i = 0; i < s->n_sent && !run; i++) {
		const Troupe__Envelope *e = stage_read(s, &s->sent[i]);
		run = s->sent[i].peer == worker.peer && e->body_case == TROUPE__ENVELOPE__BODY_RUN ? e : NULL;
	}
	if (!run)
		return false;
	Troupe__Outcome o = TROUPE__OUTCOME__INIT, *all[] = { &o };
	Troupe__Outcomes m = TROUPE__OUTCOMES__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	const uint8_t *id = run->run->tasks[0]->id.data;
	unsigned n = (unsigned)id[14] << 8 | id[15];
	o.token = run->run->tasks[0]->token;
	o.exit_class = n % 11 ? TROUPE__EXIT_CLASS__EXIT_DONE : TROUPE__EXIT_CLASS__EXIT_REJECTED;
	o.output = (ProtobufCBinaryData){ body(n, true, data), data };
	m.outcomes = all;
	m.n_outcomes = 1;
	env.body_case = TROUPE__ENVELOPE__BODY_OUTCOMES;
	env.outcomes = &m;
	stage_tell(s, &worker, &env);
	return true;
}

static uint8_t *make(size_t *ret_size)
{
	struct stage *s = stage_new(16);
	char path[128];
	struct stat st;
	for (unsigned n = 1; n <= TASKS; n++)
		submit(s, n);
	stage_attach(s, &worker, 1);
	for (unsigned i = 0; i < TASKS / 3 && work(s); i++)
		continue;
	stage_crash(s);
	snprintf(path, sizeof path, "%s/data.mdb", s->dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	MUST(fd >= 0 && fstat(fd, &st) == 0);
	uint8_t *data = malloc((size_t)st.st_size);
	MUST(data && read(fd, data, (size_t)st.st_size) == st.st_size);
	close(fd);
	stage_free(s);
	*ret_size = (size_t)st.st_size;
	return data;
}

/* --- the damage --- */

enum damage { BIT, BITS, BYTE_RANGE, ZERO_SECTOR, OTHER_SECTOR, ZERO_PAGE, OTHER_PAGE, CUT_SHORT, N_DAMAGES };
static const char *const damage_names[] = { "a bit", "some bits", "random bytes", "a sector of zeros", "another's sector", "a page of zeros", "another's page", "cut short" };

static void copy_over(uint8_t *data, size_t size, size_t unit, bool zero, struct rng *rng)
{
	size_t n = size / unit, to = rng_below(rng, n), from = rng_below(rng, n);
	if (zero)
		memset(data + to * unit, 0, unit);
	else
		memcpy(data + to * unit, data + from * unit, unit);
}

static size_t hurt(uint8_t *data, size_t size, enum damage how, struct rng *rng)
{
	size_t n = 1 + rng_below(rng, 16), at = rng_below(rng, size - 64);
	switch (how) {
	case BIT:
		data[at] ^= (uint8_t)(1u << rng_below(rng, 8));
		return size;
	case BITS:
		while (n--)
			data[rng_below(rng, size)] ^= (uint8_t)(1u << rng_below(rng, 8));
		return size;
	case BYTE_RANGE:
		for (size_t i = 0; i < 32; i++)
			data[at + i] = (uint8_t)rng_next(rng);
		return size;
	case ZERO_SECTOR:
	case OTHER_SECTOR:
		copy_over(data, size, 512, how == ZERO_SECTOR, rng);
		return size;
	case ZERO_PAGE:
	case OTHER_PAGE:
		copy_over(data, size, 4096, how == ZERO_PAGE, rng);
		return size;
	case CUT_SHORT:
		return rng_below(rng, size);
	case N_DAMAGES:
		break;
	}
	return size;
}

/* --- who opens it --- */

enum finding { SERVED, REFUSED, SAID, LEFT, WRONG, MISSING, HUNG, DIED, N_FINDINGS }; /* LEFT: died, with words about the damage */

static enum finding compare(struct stage *s, unsigned n, char *text, size_t size)
{
	static uint8_t data[16384];
	Troupe__Get m = TROUPE__GET__INIT;
	Troupe__TaskRef ref = TROUPE__TASK_REF__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	struct id id = id_of(n);
	ref.id = (ProtobufCBinaryData){ sizeof id.b, id.b };
	m.task = &ref;
	m.payload = m.output = true;
	env.body_case = TROUPE__ENVELOPE__BODY_GET;
	env.get = &m;
	const Troupe__Envelope *answer = stage_ask(s, &client, &env);
	if (!answer)
		return s->refusal.code == ERROR_NO_TASK ? MISSING : SAID;
	if (answer->tasks->n_tasks != 1)
		return MISSING;
	const Troupe__Task *t = answer->tasks->tasks[0];
	size_t len = body(n, false, data);
	bool same = t->spec && t->spec->payload.len == len && memcmp(t->spec->payload.data, data, len) == 0;
	if (same && t->outcome && t->outcome->output.len) {
		len = body(n, true, data);
		same = t->outcome->output.len == len && memcmp(t->outcome->output.data, data, len) == 0;
	}
	if (!same)
		snprintf(text, size, "task %u is served with another body", n);
	return same ? SERVED : WRONG;
}

static bool check_complains(struct stage *s)
{
	const Troupe__StoreChecked *answer = stage_check(s, &client);
	return !answer || answer->problems;
}

static _Noreturn void child(const char *dir, int out)
{
	struct error e = { 0 };
	struct status_cell *cell;
	char text[200] = "";
	unsigned count[N_FINDINGS] = { 0 };
	int fd;
	MUST(status_create(&cell, &fd) == 0 && status_catch_crashes(cell) == 0);
	alarm(SECONDS_MAX);
	struct stage *s = stage_prepare(1);
	stage_queue(s, "a");
	stage_queue(s, "b");
	if (stage_adopt(s, dir, &e) != 0)
		_exit(*e.text ? REFUSED : DIED);
	for (unsigned n = 1; n <= TASKS; n++)
		count[compare(s, n, text, sizeof text)]++;
	bool said = check_complains(s) || count[SAID];
	if (count[MISSING] && !*text)
		snprintf(text, sizeof text, "%u tasks are not there%s", count[MISSING], said ? ", and the check says so" : "");
	dprintf(out, "%s", text);
	_exit(count[WRONG] ? WRONG : said ? SAID : count[MISSING] ? MISSING : SERVED);
}

static enum finding look(const char *dir, char *text, size_t size)
{
	int ends[2], status;
	static char words[1 << 20];
	FILE *said = tmpfile();
	MUST(said && pipe(ends) == 0);
	fflush(stdout);
	pid_t pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		dup2(fileno(said), STDERR_FILENO); /* its log */
		close(ends[0]);
		child(dir, ends[1]);
	}
	close(ends[1]);
	ssize_t n = read(ends[0], text, size - 1);
	text[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	MUST(waitpid(pid, &status, 0) == pid);
	rewind(said);
	words[fread(words, 1, sizeof words - 1, said)] = '\0';
	fclose(said);
	if (WIFEXITED(status) && WEXITSTATUS(status) < N_FINDINGS)
		return (enum finding)WEXITSTATUS(status);
	snprintf(text, size, WIFSIGNALED(status) ? "signal %d" : "status %d", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		return HUNG;
	return strstr(words, "is damaged") ? LEFT : DIED;
}

static void put(const char *dir, const uint8_t *data, size_t size)
{
	char path[256];
	mkdir(dir, 0700);
	snprintf(path, sizeof path, "%s/lock.mdb", dir);
	unlink(path);
	snprintf(path, sizeof path, "%s/data.mdb", dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);
}

static int tap(int n, bool ok, const char *name, uint64_t count)
{
	printf("%s %d - %s\n", ok ? "ok" : "not ok", n, name);
	if (!ok)
		printf("# %" PRIu64 " times\n", count);
	return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
	uint64_t images = argc > 1 ? strtoull(argv[1], NULL, 10) : 300, seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1, found[N_DAMAGES][N_FINDINGS] = { 0 };
	uint64_t all[N_FINDINGS] = { 0 };
	size_t size;
	uint8_t *whole = make(&size), *hurted = malloc(size);
	char dir[96], text[200], keep[256];
	struct rng rng;
	unsigned shown = 0;
	MUST(hurted);
	rng_seed(&rng, seed);
	snprintf(dir, sizeof dir, "%s/troupe-flips.%d", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
	put(dir, whole, size);
	bool well = look(dir, text, sizeof text) == SERVED;
	for (uint64_t i = 0; i < images; i++) {
		enum damage how = (enum damage)(i % N_DAMAGES);
		memcpy(hurted, whole, size);
		size_t left = hurt(hurted, size, how, &rng);
		put(dir, hurted, left);
		enum finding f = look(dir, text, sizeof text);
		found[how][f]++;
		all[f]++;
		if (f >= WRONG && shown++ < SHOWN_MAX)
			printf("# image %" PRIu64 ", %s: %s\n", i, damage_names[how], text);
		if (f >= WRONG && argc > 3 && snprintf(keep, sizeof keep, "%s/%d.%" PRIu64, argv[3], (int)f, i) < (int)sizeof keep) {
			put(dir, hurted, left);
			MUST(rename(dir, keep) == 0);
		}
	}
	for (int i = 0; i < N_DAMAGES; i++)
		printf("# %-18s served %" PRIu64 ", refused %" PRIu64 ", said %" PRIu64 ", left %" PRIu64 ", wrong %" PRIu64 ", missing %" PRIu64 ", hung %" PRIu64 ", died %" PRIu64 "\n",
		       damage_names[i], found[i][SERVED], found[i][REFUSED], found[i][SAID], found[i][LEFT], found[i][WRONG], found[i][MISSING], found[i][HUNG], found[i][DIED]);
	int bad = tap(1, well, "case 16: a ledger that nobody damaged is served whole", 1);
	bad |= tap(2, !all[WRONG], "case 16: a damaged one never serves another payload or result than was kept", all[WRONG]);
	bad |= tap(3, !all[HUNG], "case 16: nobody hangs on it", all[HUNG]);
	bad |= tap(4, !all[MISSING], "case 16: what is missing is complained of", all[MISSING]);
	bad |= tap(5, !all[DIED], "case 16: nobody who opens it dies without a word", all[DIED]);
	printf("1..5\n");
	snprintf(keep, sizeof keep, "rm -rf %s", dir);
	MUST(system(keep) == 0);
	free(whole);
	free(hurted);
	return bad;
}
