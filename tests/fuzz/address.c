/* Addresses and ids, as text. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/wire/address.h"
#include "common/wire/id.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[512], again[512];
	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';

	struct address a;
	struct error e;
	int r = address_parse(text, &a, &e);
	assert((r == 0) == address_valid(text));
	if (r == 0) {
		snprintf(again, sizeof(again), "%.*s:%s", a.type_len, a.text, address_id(&a));
		assert(!strcmp(again, text));
		assert(strlen(text) <= 191);
	}

	struct id id, back;
	if (id_parse(text, &id, &e) == 0) {
		id_format(&id, again);
		assert(id_parse(again, &back, &e) == 0 && id_equal(&id, &back));
		assert(id_suffix_match(&id, text));
	}
	memset(&id, 0x5a, sizeof(id));
	id_suffix_match(&id, text);
	return 0;
}
