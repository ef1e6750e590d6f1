/* Runs a fuzz target over every file of the directories named; without a file it fails. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX (4u << 20)

/* On a copy of exactly its size, so that the sanitizer sees a read behind the end. */
static void feed(const char *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	if (!copy)
		abort();
	memcpy(copy, data, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static int replay(const char *path)
{
	DIR *dir = opendir(path);
	if (!dir) {
		perror(path);
		return -1;
	}
	int n = 0;
	for (struct dirent *entry; (entry = readdir(dir));) {
		char name[4096];
		_cleanup_(freep) char *data = NULL;
		size_t len;
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		int r = file_read_all(name, INPUT_MAX, &data, &len);
		if (r) {
			fprintf(stderr, "%s: cannot be read: %s\n", name, r < 0 ? strerror(-r) : error_name(r));
			n = -1;
			break;
		}
		/* said before, so that an abort has a name */
		fprintf(stderr, "%s (%zu bytes)\n", name, len);
		feed(data, len);
		n++;
	}
	closedir(dir);
	return n;
}

int main(int argc, char **argv)
{
	int sum = 0;
	for (int i = 1; i < argc; i++) {
		int n = replay(argv[i]);
		if (n < 0)
			return EXIT_FAILURE;
		sum += n;
	}
	fprintf(stderr, "%d inputs\n", sum);
	return sum > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
