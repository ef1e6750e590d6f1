/* Payloads that are too large for an assignment: fetched piece by piece into a memory file, which ends with us however we end. One at a time, the next to begin first.
 *
 * What fails here is not the task's fault: it is tried again, and the task given back after the third time. Only where the coordinator says that the payload is
 * lost, or has other bytes than were submitted, the task is rejected. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include "actors/tools/worker.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/sha256.h"

#define TRIES 3u
#define AGAIN_MS 1000u
#define TIMEOUT_MS 30000u

struct fetch {
	uint8_t sha256[SHA256_BYTES];
	uint64_t size, offset;
	struct sha256 hash;
	int fd;
	unsigned tries;
	bool whole;
};

bool worker_fetch_begin(struct task *task, const Troupe__BlobRef *ref)
{
	struct fetch *x = ref->sha256.len == SHA256_BYTES && ref->size ? calloc(1, sizeof *x) : NULL;
	if (!x)
		return false;
	memcpy(x->sha256, ref->sha256.data, SHA256_BYTES);
	x->size = ref->size;
	sha256_init(&x->hash);
	x->fd = memfd_create("payload", MFD_CLOEXEC);
	if (x->fd < 0 || asprintf(&task->payload_file, "/proc/%d/fd/%d", (int)getpid(), x->fd) < 0) {
		task->payload_file = NULL;
		closep(&x->fd);
		free(x);
		return false;
	}
	task->fetch = x;
	return true;
}

bool worker_fetch_ready(const struct task *task) { return !task->fetch || task->fetch->whole; }

void worker_fetch_drop(struct task *task)
{
	struct fetch *x = steal(&task->fetch);
	if (!x)
		return;
	closep(&x->fd);
	free(x);
}

/* --- what comes --- */

static void again(struct attached *a, struct task *task)
{
	a->fetch_at_ms = clock_mono_ms() + AGAIN_MS;
	if (++task->fetch->tries >= TRIES)
		worker_give_back(a, task->token);
}

static void reject(struct attached *a, struct task *task, const char *why)
{
	worker_fetch_drop(task);
	attempt_stop(&task->attempt, STOP_TAKEN, 0, 0);
	task->exit_class = TROUPE__EXIT_CLASS__EXIT_REJECTED;
	snprintf(task->error, sizeof task->error, "its payload is lost: %.200s", why);
	task_list_add(&a->ended, task);
}

static void piece(struct attached *a, struct task *task, const Troupe__BlobData *d)
{
	struct fetch *x = task->fetch;
	uint8_t found[SHA256_BYTES];
	bool fits = d->data.len && d->data.len <= x->size - x->offset;
	if (!fits || file_write_at(x->fd, x->offset, d->data.data, d->data.len)) {
		again(a, task);
		return;
	}
	sha256_add(&x->hash, d->data.data, d->data.len);
	x->offset += d->data.len;
	if (x->offset < x->size)
		return;
	sha256_end(&x->hash, found);
	if (memcmp(found, x->sha256, sizeof found) == 0)
		x->whole = true;
	else
		reject(a, task, "its bytes are not those that were submitted");
}

static void on_answer(void *ctx, const struct talk_answer *answer)
{
	struct attached *a = ctx;
	struct task *task = task_table_find(&a->held, a->fetching);
	a->fetching = 0;
	a->again = true;
	if (!task || worker_fetch_ready(task))
		return; /* given back meanwhile */
	if (!answer->error && answer->env->body_case == TROUPE__ENVELOPE__BODY_BLOB_DATA)
		piece(a, task, answer->env->blob_data);
	else if (answer->error && (answer->error->code == ERROR_NOT_FOUND || answer->error->code == ERROR_CORRUPT))
		reject(a, task, answer->error->text);
	else
		again(a, task);
}

void worker_fetch(struct attached *a, uint64_t now_ms)
{
	Troupe__BlobGet m = TROUPE__BLOB_GET__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	struct task *task = a->waiting.head;
	struct error e;
	while (task && worker_fetch_ready(task))
		task = task->next;
	if (!task || a->fetching || now_ms < a->fetch_at_ms)
		return;
	m.sha256 = (ProtobufCBinaryData){ SHA256_BYTES, task->fetch->sha256 };
	m.offset = task->fetch->offset;
	env.body_case = TROUPE__ENVELOPE__BODY_BLOB_GET;
	env.blob_get = &m;
	struct talk_request q = { .to = a->t->coordinator, .env = &env, .timeout_ms = TIMEOUT_MS, .on_answer = on_answer, .ctx = a };
	if (talk_start(a->t->talk, &q, &e) == 0)
		a->fetching = task->token;
}
