#include "actors/worker/fetch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "actors/worker/worker.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/sha256.h"

#define NAME_SIZE 24
#define TRIES 3u
#define ANSWER_TIMEOUT_MS 30000u
#define BACKOFF_FIRST_MS 1000u
#define AGAIN_MS 100u             /* after an answer that did not come, for want of a connection */

struct fetch {
	uint8_t sha256[SHA256_BYTES];
	uint64_t size, offset;
	struct sha256 hash;
	int fd;                       /* -1: not begun */
	unsigned tries;
	bool differed;                /* its bytes were others once */
};

static void name_of(const struct task *task, char name[static NAME_SIZE])
{
	snprintf(name, NAME_SIZE, "%llu", (unsigned long long)task->token);
}

int fetcher_open(struct fetcher *f, const char *state_dir, struct error *e)
{
	*f = (struct fetcher){ .folder = -1 };
	if (snprintf(f->path, sizeof(f->path), "%s/payload", state_dir) >= (int)sizeof(f->path))
		return error_set(e, ERROR_CONFIG, "the state directory's path is too long");
	int r = file_mkdir_p(f->path, 0700, e);
	if (r)
		return r;
	f->folder = open(f->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int fd = f->folder < 0 ? -1 : openat(f->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_set(e, ERROR_STATE, "%s cannot be opened: %s", f->path, strerror(errno));
	DIR *d = fdopendir(fd);
	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	for (struct dirent *entry; (entry = readdir(d));)
		if (entry->d_name[0] != '.')
			unlinkat(f->folder, entry->d_name, 0);
	closedir(d);
	return 0;
}

void fetcher_close(struct fetcher *f)
{
	if (f->folder >= 0)
		close(f->folder);
	f->folder = -1;
}

int fetch_begin(struct worker *w, struct task *task, const Troupe__BlobRef *ref, struct error *e)
{
	if (ref->sha256.len != SHA256_BYTES || !ref->size)
		return error_set(e, ERROR_BAD_REQUEST, "an assignment whose payload has no hash or no size");
	struct fetch *x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	memcpy(x->sha256, ref->sha256.data, SHA256_BYTES);
	x->size = ref->size;
	x->fd = -1;
	sha256_init(&x->hash);
	task->fetch = x;
	w->fetcher.n++;
	return 0;
}

void fetch_drop(struct worker *w, struct task *task)
{
	struct fetch *x = steal(&task->fetch);
	char name[NAME_SIZE];
	if (!x)
		return;
	w->fetcher.n--;
	if (x->fd >= 0) {
		name_of(task, name);
		close(x->fd);
		unlinkat(w->fetcher.folder, name, 0);
	}
	free(x);
}

/* --- what fails --- */

/* Not the task's fault. */
static int again(struct worker *w, struct task *task, const char *why, uint64_t now_ms)
{
	struct fetcher *f = &w->fetcher;
	f->retry_at_ms = now_ms + tier_backoff_ms(++f->failures, BACKOFF_FIRST_MS);
	bool back = ++task->fetch->tries >= TRIES;
	log_warn(back ? "a payload cannot be fetched: its task is given back" : "a payload cannot be fetched: again later", LOG_U("seq", task->seq), LOG_U("token", task->token),
	         LOG_S("why", why), LOG_U("after_ms", f->retry_at_ms - now_ms));
	return back ? worker_give_back(w, task) : 0;
}

/* Nobody can run it. */
static int reject(struct worker *w, struct task *task, const char *why, uint64_t now_ms)
{
	log_error("a payload is lost: its task is rejected", LOG_U("seq", task->seq), LOG_U("token", task->token), LOG_S("why", why));
	fetch_drop(w, task);
	attempt_stop(&task->attempt, STOP_TAKEN, 0, now_ms);
	task->exit_class = TROUPE__EXIT_CLASS__EXIT_REJECTED;
	snprintf(task->error, sizeof(task->error), "its payload is lost: %.200s", why);
	task_list_add(&w->ended, task);
	return 0;
}

/* All bytes were there, and were others: perhaps on their way. Once more, from the beginning. */
static int differs(struct worker *w, struct task *task, uint64_t now_ms)
{
	struct fetch *x = task->fetch;
	if (x->differed)
		return reject(w, task, "its bytes are not those that were submitted", now_ms);
	x->differed = true;
	x->offset = 0;
	sha256_init(&x->hash);
	return again(w, task, "its bytes are not those that were submitted", now_ms);
}

static int failed(struct worker *w, struct task *task, const struct error *e, uint64_t now_ms)
{
	switch (e->code) {
	case ERROR_NOT_FOUND:
	case ERROR_CORRUPT:
	case ERROR_BAD_REQUEST:
		return reject(w, task, e->text, now_ms);
	case ERROR_BUSY:
	case ERROR_STOPPING:
	case ERROR_UNDELIVERED:
	case ERROR_NOT_REACHABLE: /* the next Attach says that the task is still here, and then it goes on */
		w->fetcher.retry_at_ms = now_ms + (e->retry_after_ms > AGAIN_MS ? e->retry_after_ms : AGAIN_MS);
		return 0;
	case ERROR_NONE:
	case ERROR_TOO_LARGE:
	case ERROR_VERSION:
	case ERROR_NOT_ALLOWED:
	case ERROR_NO_ACTOR:
	case ERROR_NO_VERB:
	case ERROR_NO_QUEUE:
	case ERROR_NO_TASK:
	case ERROR_CONFLICT:
	case ERROR_DISK_LOW:
	case ERROR_TIMEOUT:
	case ERROR_STATE:
	case ERROR_AMBIGUOUS:
	case ERROR_EXISTS:
	case ERROR_CONFIG:
	case ERROR_STORE:
	case ERROR_INTERNAL:
		break;
	}
	return again(w, task, e->text, now_ms);
}

/* --- what comes --- */

static int file_make(struct worker *w, struct task *task)
{
	char name[NAME_SIZE];
	name_of(task, name);
	unlinkat(w->fetcher.folder, name, 0);
	task->fetch->fd = openat(w->fetcher.folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return task->fetch->fd < 0 ? -errno : 0;
}

static int whole(struct worker *w, struct task *task, uint64_t now_ms)
{
	struct fetch *x = task->fetch;
	uint8_t found[SHA256_BYTES];
	sha256_end(&x->hash, found);
	if (memcmp(found, x->sha256, sizeof(found)) != 0)
		return differs(w, task, now_ms);
	if (asprintf(&task->payload_file, "%s/%llu", w->fetcher.path, (unsigned long long)task->token) < 0) {
		task->payload_file = NULL;
		return -ENOMEM;
	}
	w->fetcher.failures = 0;
	w->fetcher.n--;
	close(x->fd);
	free(steal(&task->fetch));
	return 0;
}

static int piece(struct worker *w, struct task *task, const Troupe__BlobData *d, uint64_t now_ms)
{
	struct fetch *x = task->fetch;
	char why[160];
	if (!d || !d->data.len || d->data.len > x->size - x->offset)
		return again(w, task, "the answer is no piece of it", now_ms);
	int r = x->fd < 0 ? file_make(w, task) : 0;
	if (!r)
		r = file_write_at(x->fd, x->offset, d->data.data, d->data.len);
	if (r) {
		snprintf(why, sizeof(why), "it cannot be written here: %s", strerror(-r));
		return again(w, task, why, now_ms);
	}
	sha256_add(&x->hash, d->data.data, d->data.len);
	x->offset += d->data.len;
	w->fetcher.n_bytes += d->data.len;
	return x->offset == x->size ? whole(w, task, now_ms) : 0;
}

int fetch_answer(struct turn *t, void *state, uint64_t cookie, const Troupe__Envelope *env, const struct error *e)
{
	struct worker *w = state;
	struct task *task = task_table_find(&w->held, cookie);
	w->fetcher.asked = false;
	if (!task || !task->fetch)
		return 0; /* given back meanwhile */
	if (!env)
		return failed(w, task, e, turn_now_ms(t));
	return piece(w, task, env->body_case == TROUPE__ENVELOPE__BODY_BLOB_DATA ? env->blob_data : NULL, turn_now_ms(t));
}

int fetch_settle(struct turn *t, struct worker *w)
{
	struct task *task = w->waiting.head;
	if (!w->fetcher.n || w->fetcher.asked || !w->attached)
		return 0;
	while (task && !task->fetch)
		task = task->next;
	if (!task)
		return 0;
	if (turn_now_ms(t) < w->fetcher.retry_at_ms)
		return turn_wake(t, w->fetcher.retry_at_ms);
	Troupe__BlobGet g = TROUPE__BLOB_GET__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	g.sha256 = (ProtobufCBinaryData){ SHA256_BYTES, task->fetch->sha256 };
	g.offset = task->fetch->offset;
	env.body_case = TROUPE__ENVELOPE__BODY_BLOB_GET;
	env.blob_get = &g;
	int r = turn_ask(t, w->pool->coordinator, &env, ANSWER_TIMEOUT_MS, task->token);
	w->fetcher.asked = r == 0;
	if (r > 0) {
		w->fetcher.retry_at_ms = turn_now_ms(t) + AGAIN_MS;
		return turn_wake(t, w->fetcher.retry_at_ms);
	}
	return r;
}
