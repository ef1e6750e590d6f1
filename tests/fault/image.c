/* image LOG ROOT WORK SEED IMAGES [lie]: every disk that a power cut could have left of a recorded life, opened again. At each sync: images of what was synced and
 * of parts of what was not; in each the tasks that had been acknowledged before must be there. ROOT is the directory that was recorded, WORK one for images.
 * lie: as if syncs did nothing, to see that it would be noticed. Prints counts, and what is wrong; status 1 where something is. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/clock.h"
#include "tests/fault/disk.h"
#include "tests/fault/ledger.h"

#define SHOWN_MAX 20
#define BIRTH 6u          /* syncs in which a store is made ... */
#define BIRTH_IMAGES 20u  /* ... and what is taken of each at least */

struct run {
	const uint8_t *log;
	size_t size, at;
	const char *root, *work;
	struct disk *disk;
	struct rng rng;
	bool lie;
	struct promise *promises;
	struct promises now;
	size_t room;
	uint64_t n_syncs, n_images, n_refused, n_checked, n_bad;
};

static bool next(struct run *r, struct record *ret, const uint8_t **ret_data)
{
	if (r->at + sizeof *ret > r->size)
		return false;
	memcpy(ret, r->log + r->at, sizeof *ret);
	if (r->at + sizeof *ret + ret->len > r->size) /* cut off by a kill */
		return false;
	*ret_data = r->log + r->at + sizeof *ret;
	r->at += sizeof *ret + ret->len;
	return true;
}

/* "acknowledged ID", "final ID" and "token NUMBER" are promises. */
static void note(struct run *r, const char *text)
{
	char word[16], about[64];
	struct id id;
	if (sscanf(text, "%15s %63s", word, about) != 2)
		return;
	if (strcmp(word, "token") == 0) {
		uint64_t token = strtoull(about, NULL, 10);
		r->now.token = token > r->now.token ? token : r->now.token;
		return;
	}
	if (id_parse(about, &id, NULL) != 0)
		return;
	for (size_t i = 0; i < r->now.n && strcmp(word, "final") == 0; i++)
		if (id_equal(&r->promises[i].id, &id)) {
			r->promises[i].final = true;
			return;
		}
	if (r->now.n == r->room) {
		r->room = r->room ? 2 * r->room : 256;
		if (!(r->promises = reallocarray(r->promises, r->room, sizeof *r->promises)))
			abort();
	}
	r->promises[r->now.n++] = (struct promise){ id, strcmp(word, "final") == 0 };
	r->now.all = r->promises;
}

static void image(struct run *r, enum cut how)
{
	char text[400];
	int code = disk_image(r->disk, how, &r->rng, r->work);
	if (code) {
		fprintf(stderr, "%s: %s\n", r->work, strerror(-code));
		exit(2);
	}
	enum ledger_verdict v = ledger_look(r->work, &r->now, text, sizeof text);
	r->n_images++;
	r->n_refused += v == LEDGER_REFUSED;
	r->n_checked += r->now.n;
	/* Refusing is losing: a disk that keeps its promises never leaves what cannot be opened. */
	if (v == LEDGER_WELL || r->n_bad++ >= SHOWN_MAX)
		return;
	printf("sync %" PRIu64 ", of %zu writes %s: %s\n", r->n_syncs, disk_pending(r->disk), cut_name(how), text);
}

/* How many images a sync gets: its share, and at least the two plain ones. Of one write only its sectors can be there or not. */
static void images(struct run *r, uint64_t share)
{
	bool one = disk_pending(r->disk) < 2;
	image(r, CUT_NOTHING);
	for (uint64_t i = 1; i < share || i < 2; i++)
		image(r, one ? CUT_TORN : (enum cut)(CUT_ALL + rng_below(&r->rng, N_CUTS - CUT_ALL)));
}

static uint64_t count_syncs(struct run *r)
{
	struct record rec;
	const uint8_t *data;
	uint64_t n = 0;
	while (next(r, &rec, &data))
		n += rec.op == RECORD_SYNC || rec.op == RECORD_DIR_SYNC; /* DONE has one write before it */
	r->at = 0;
	return n;
}

static void walk(struct run *r, uint64_t wanted)
{
	struct record rec;
	const uint8_t *data;
	uint64_t n = count_syncs(r);
	while (next(r, &rec, &data)) {
		if (rec.op == RECORD_NOTE) {
			note(r, (const char *)data);
			continue;
		}
		if (!disk_add(r->disk, &rec, data))
			continue;
		uint64_t due = n ? wanted * ++r->n_syncs / n : 0; /* the share of many syncs may be less than one each */
		if (r->n_syncs <= BIRTH)
			images(r, BIRTH_IMAGES);
		else if (due > r->n_images)
			images(r, due - r->n_images);
		if (!r->lie)
			disk_settle(r->disk);
	}
	images(r, 16); /* and the end: nothing was synced any more */
}

int main(int argc, char **argv)
{
	struct stat st;
	struct run r = { .now.wall_ms = clock_wall_ms() };
	if (argc < 6) {
		fprintf(stderr, "usage: image LOG ROOT WORK SEED IMAGES [lie]\n");
		return 64;
	}
	int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || (r.log = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED) {
		perror(argv[1]);
		return 66;
	}
	r.size = (size_t)st.st_size;
	r.root = argv[2];
	r.work = argv[3];
	r.lie = argc > 6;
	rng_seed(&r.rng, strtoull(argv[4], NULL, 10));
	r.disk = disk_new(r.root);
	walk(&r, strtoull(argv[5], NULL, 10));
	r.disk = disk_free(r.disk);
	free(r.promises);
	printf("%" PRIu64 " syncs, %" PRIu64 " images, %" PRIu64 " refused, %zu tasks acknowledged, looked for %" PRIu64 " times, highest token %" PRIu64 ", %" PRIu64 " wrong\n",
	       r.n_syncs, r.n_images, r.n_refused, r.now.n, r.n_checked, r.now.token, r.n_bad);
	return r.n_bad > 0;
}
