/* Large payloads of many tasks: written out by an export, compared by check-store. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "common/base/cleanup.h"
#include "actors/tools/payload.h"
#include "actors/tools/rows.h"

#define LIST_SLICE 500u

int payload_export(struct tool *t, const Troupe__TaskSpec *spec, json_t *row)
{
	char hash[SHA256_TEXT];
	const char *folder = tool_option(t, OPT_FILES);
	struct stat st;
	if (spec->blob->sha256.len != SHA256_BYTES)
		return EXIT_PROTOCOL;
	sha256_format(spec->blob->sha256.data, hash);
	if (!folder) {
		row_text(row, "payload_sha256", hash);
		row_number(row, "payload_size", spec->blob->size);
		return 0;
	}
	_cleanup_(freep) char *path = NULL;
	if (asprintf(&path, "%s/%s", folder, hash) < 0)
		return tool_fail_code(t, -ENOMEM, NULL);
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return tool_file(t, folder, errno);
	row_text(row, "payload_file", path);
	if (stat(path, &st) == 0 && (uint64_t)st.st_size == spec->blob->size)
		return 0; /* of a task before */
	return payload_write(t, spec, path);
}

/* --- compared --- */

struct seen { uint8_t (*all)[SHA256_BYTES]; size_t n, room; };

/* 1: new, 0: not, -ENOMEM. */
static int see(struct seen *s, const uint8_t *sha256)
{
	size_t low = 0, high = s->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int d = memcmp(s->all[middle], sha256, SHA256_BYTES);
		if (d == 0)
			return 0;
		if (d < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (s->n == s->room) {
		size_t room = s->room ? s->room * 2 : 256;
		void *grown = reallocarray(s->all, room, sizeof *s->all);
		if (!grown)
			return -ENOMEM;
		s->all = grown;
		s->room = room;
	}
	memmove(s->all[low + 1], s->all[low], (s->n - low) * sizeof *s->all);
	memcpy(s->all[low], sha256, SHA256_BYTES);
	s->n++;
	return 1;
}

static int take_nothing(void *ctx, const uint8_t *data, size_t len) { return 0; }

static int check_task(struct tool *t, struct seen *seen, const Troupe__Task *task)
{
	const Troupe__BlobRef *ref = task->spec ? task->spec->blob : NULL;
	struct error e = { 0 };
	char seq[32];
	int r = ref && ref->sha256.len == SHA256_BYTES ? see(seen, ref->sha256.data) : 0;
	if (r <= 0)
		return r ? tool_fail_code(t, r, NULL) : 0;
	r = payload_fetch(t, ref, take_nothing, NULL, &e);
	if (r != ERROR_CORRUPT && r != ERROR_NOT_FOUND)
		return r ? tool_fail_code(t, r, &e) : 0;
	fprintf(tool_has(t, OPT_JSON) ? stderr : stdout, "  %s: %s\n", seq_text(task->seq, seq, sizeof seq), e.text);
	return EXIT_NO;
}

/* One slice of all tasks. The cursor is the caller's to free. */
static int check_slice(struct tool *t, struct seen *seen, ProtobufCBinaryData *io_cursor, int *io_worst)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__List list = TROUPE__LIST__INIT;
	list.limit = LIST_SLICE;
	list.cursor = *io_cursor;
	env.body_case = TROUPE__ENVELOPE__BODY_LIST;
	env.list = &list;
	int status = tool_ask(t, t->coordinator, &env, TROUPE__ENVELOPE__BODY_TASKS, &arena, &answer);
	free(io_cursor->data);
	*io_cursor = (ProtobufCBinaryData){ 0, NULL };
	if (status != 0)
		return status;
	const Troupe__Tasks *found = answer->tasks;
	for (size_t i = 0; i < found->n_tasks && (status == 0 || status == EXIT_NO); i++) {
		status = check_task(t, seen, found->tasks[i]);
		*io_worst = status ? status : *io_worst;
	}
	if ((status != 0 && status != EXIT_NO) || !found->next.len)
		return status == EXIT_NO ? 0 : status;
	if (!(io_cursor->data = malloc(found->next.len)))
		return tool_fail_code(t, -ENOMEM, NULL);
	memcpy(io_cursor->data, found->next.data, io_cursor->len = found->next.len);
	return 0;
}

int payload_check(struct tool *t, uint64_t *ret_n)
{
	struct seen seen = { 0 };
	ProtobufCBinaryData cursor = { 0, NULL };
	int status, worst = 0;
	do
		status = check_slice(t, &seen, &cursor, &worst);
	while (status == 0 && cursor.len);
	free(cursor.data);
	free(seen.all);
	*ret_n = seen.n;
	return status ? status : worst;
}
