/* An expression: it is refused with a text that can be sent, or its times rise and each fits its fields in UTC. */
#include <assert.h>
#include <string.h>

#include "actors/coordinator/calendar.h"
#include "actors/coordinator/cron.h"
#include "common/base/parse.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[400];
	struct cron c;
	struct error e = { 0 };
	if (size >= sizeof text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (cron_parse(text, &c, &e)) {
		assert(e.code == ERROR_BAD_REQUEST && e.text[0] && utf8_valid((const uint8_t *)e.text, strlen(e.text)));
		return 0;
	}
	assert(c.minutes && c.hours && c.days && c.months && c.weekdays);
	assert(!(c.minutes >> 60) && !(c.hours >> 24) && !(c.days & 1) && !(c.months & 1) && !(c.months >> 13) && !(c.weekdays >> 7));
	uint64_t at = 1763000000000;
	for (int i = 0; i < 20; i++) {
		uint64_t next = cron_next(&c, &zone_utc, at, NULL);
		if (next == TIME_NEVER)
			return 0;
		int64_t days = (int64_t)(next / 1000 / DAY_S);
		struct date d = calendar_date(days);
		bool of_month = c.days >> d.day & 1, of_week = c.weekdays >> calendar_weekday(days) & 1;
		assert(next > at && next % 60000 == 0 && c.minutes >> (next / 60000 % 60) & 1 && c.hours >> (next / 3600000 % 24) & 1 && c.months >> d.month & 1);
		assert(c.either_day ? of_month || of_week : of_month && of_week);
		at = next;
	}
	return 0;
}
