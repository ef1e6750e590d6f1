#include <string.h>

#include "common/base/parse.h"

#define WORD_MAX 48
#define DISTANCE_MAX 2

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Damerau-Levenshtein in its restricted form (optimal string alignment): insert, delete, replace, swap of neighbours. Three rows of the matrix. */
static size_t distance(const char *a, size_t n, const char *b, size_t m)
{
	size_t rows[3][WORD_MAX + 1];
	size_t *before = rows[0], *last = rows[1], *row = rows[2];
	for (size_t j = 0; j <= m; j++)
		last[j] = j;
	for (size_t i = 1; i <= n; i++) {
		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t d = last[j - 1] + (a[i - 1] != b[j - 1]);
			d = least(d, least(last[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d = least(d, before[j - 2] + 1);
			row[j] = d;
		}
		size_t *spare = before;
		before = last;
		last = row;
		row = spare;
	}
	return last[m];
}

const char *suggest(const char *word, const char *const *words, size_t n)
{
	size_t len = strnlen(word, WORD_MAX + 1);
	if (len > WORD_MAX)
		return NULL;

	const char *best = NULL;
	size_t best_distance = least(DISTANCE_MAX + 1, len);
	for (size_t i = 0; i < n; i++) {
		size_t m = strnlen(words[i], WORD_MAX + 1);
		if (m > WORD_MAX)
			continue;
		size_t d = distance(word, len, words[i], m);
		if (d < best_distance) {
			best = words[i];
			best_distance = d;
		}
	}
	return best;
}
