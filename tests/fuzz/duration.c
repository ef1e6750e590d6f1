/* Values as text: durations, sizes, numbers, words; and any bytes made one line. */
#include <assert.h>
#include <string.h>

#include "common/base/parse.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const words[] = { "submit", "status", "list", "queue" };
	char text[512], shown[64];
	uint64_t v, back;
	uint32_t priority;
	bool b;
	struct error e;
	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';

	if (parse_duration(text, &v, &e) == 0) {
		assert(v <= UINT64_C(315360000000));
		assert(parse_duration(format_duration(v, shown, sizeof(shown)), &back, &e) == 0 && back == v);
		format_age(v, shown, sizeof(shown));
	} else {
		assert(utf8_valid((const uint8_t *)e.text, strlen(e.text)));
	}
	if (parse_size(text, &v, &e) == 0) {
		format_size(v, shown, sizeof(shown));
		assert(strlen(shown) <= 5);
	}
	if (parse_number(text, 10, 1000, &v, &e) == 0)
		assert(v >= 10 && v <= 1000);
	if (parse_priority(text, &priority, &e))
		assert(e.text[0]);
	if (parse_bool(text, &b, &e))
		assert(e.text[0]);
	suggest(text, words, sizeof(words) / sizeof(words[0]));

	bool valid = utf8_valid(data, size);
	utf8_clean(text);
	assert(utf8_valid((const uint8_t *)text, strlen(text)));
	assert(!valid || strlen(text) == size);
	return 0;
}
