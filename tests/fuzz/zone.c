/* A zone's file: it is refused with a text, or its spans follow each other and cron finds times in it that are later than what was asked. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "actors/coordinator/cron.h"
#include "common/base/parse.h"
#include "tests/fuzz/fuzz.h"

static void walk(const struct zone *z, int64_t at)
{
	struct zone_span s = zone_at(z, at);
	assert(s.from_s <= at && at < s.until_s);
	for (int i = 0; i < 50 && s.until_s < 200000000000; i++) {
		struct zone_span next = zone_at(z, s.until_s);
		assert(next.from_s == s.until_s && next.until_s > next.from_s);
		s = next;
	}
}

static void times(const struct zone *z, const char *text, uint64_t at)
{
	struct cron c;
	enum cron_mark mark;
	assert(cron_parse(text, &c, NULL) == 0);
	for (int i = 0; i < 20; i++) {
		uint64_t next = cron_next(&c, z, at, &mark);
		if (next == TIME_NEVER)
			return;
		assert(next > at && next % 1000 == 0);
		at = next;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct zone *z = NULL;
	struct error e = { 0 };
	char shown[64];
	int r = zone_read(data, size, &z, &e);
	assert((r == 0) == (z != NULL));
	if (r) {
		assert(r > 0 && e.text[0] && utf8_valid((const uint8_t *)e.text, strlen(e.text)));
		return 0;
	}
	/* where the first, some and the last change are, and behind it */
	int64_t places[] = { -3000000000, 0, 1763000000, 4102444800, 100000000000 };
	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		walk(z, places[i]);
	for (size_t i = 0; i < z->n_changes; i += z->n_changes / 8 + 1)
		if (z->changes[i].at_s > -100000000000 && z->changes[i].at_s < 100000000000)
			walk(z, z->changes[i].at_s - 1);
	uint64_t at = z->n_changes && z->changes[z->n_changes - 1].at_s > 86400 ? (uint64_t)z->changes[z->n_changes - 1].at_s - 86400 : 0;
	if (at > 4102444800)
		at = 4102444800;
	times(z, "*/10 2 * * *", at * 1000);
	times(z, "30 * * * *", at * 1000);
	times(z, "0 */5 29 2 *", at * 1000);
	zone_format(z, (int64_t)at, shown);
	zone_free(z);
	return 0;
}
