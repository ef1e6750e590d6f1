/* A configuration: it is refused with a message, or it can be shown (-T), says the same when it is read again, and its tree can be made. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/parse.h"
#include "supervisor/config.h"
#include "supervisor/tree.h"
#include "tests/fuzz/fuzz.h"

static char *dump(const struct config *c)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	assert(f);
	config_dump(c, f);
	fclose(f);
	return text;
}

static struct config *parse(const char *text, int *ret)
{
	char *errors = NULL;
	size_t size;
	struct config *c = NULL;
	FILE *f = open_memstream(&errors, &size);
	assert(f);
	*ret = config_parse(text, "fuzz.conf", f, &c);
	fclose(f);
	assert((*ret == 0) == (c != NULL));
	assert(*ret == 0 || size > 0);
	assert(utf8_valid((const uint8_t *)errors, size));
	free(errors);
	return c;
}

static void make_tree(const struct config *c)
{
	char *errors = NULL;
	size_t size;
	struct tree *t = NULL;
	const struct tree_config how = { .seed = 1 };
	FILE *f = open_memstream(&errors, &size);
	assert(f);
	int r = config_tree(c, &how, f, &t);
	fclose(f);
	assert(r == 0 || size > 0);
	tree_free(t);
	free(errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 16384 || memchr(data, 0, size) || memmem(data, size, "include", 7)) /* an include reads files */
		return 0;
	_cleanup_(freep) char *text = strndup((const char *)data, size);
	int r, again;
	struct config *c = parse(text, &r);
	if (!c)
		return 0;
	make_tree(c);
	_cleanup_(freep) char *first = dump(c);
	assert(utf8_valid((const uint8_t *)first, strlen(first)));
	struct config *d = parse(text, &again);
	assert(d);
	_cleanup_(freep) char *second = dump(d);
	assert(strcmp(first, second) == 0);
	config_free(c);
	config_free(d);
	return 0;
}
