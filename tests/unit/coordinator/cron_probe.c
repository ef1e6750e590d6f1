/* cron-probe: answers lines of stdin, for a test in another language.
 *   at ZONE UTC-SECONDS              => OFFSET LETTERS
 *   next ZONE AFTER-SECONDS N EXPR   => the next N times in UTC seconds, or fewer */
#include <inttypes.h>
#include <string.h>
#include "actors/coordinator/cron.h"
#include "tests/unit/coordinator/zones.h"

static const struct zone *zone_cached(const char *name)
{
	static char last[128];
	static struct zone *zone;
	if (!zone || strcmp(last, name) != 0) {
		zone_free(zone);
		zone = zone_of(name);
		snprintf(last, sizeof last, "%s", name);
	}
	return zone;
}

static void say_next(const struct zone *z, int64_t after_s, int n, const char *text)
{
	struct cron c;
	struct error e = { 0 };
	if (cron_parse(text, &c, &e) != 0) {
		printf("error %s\n", e.text);
		return;
	}
	for (uint64_t at = (uint64_t)after_s * 1000; n > 0 && (at = cron_next(&c, z, at, NULL)) != TIME_NEVER; n--)
		printf("%" PRIu64 " ", at / 1000);
	putchar('\n');
}

int main(void)
{
	char line[512], name[128];
	while (fgets(line, sizeof line, stdin)) {
		int64_t at;
		int n, used = 0;
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "at %127s %" SCNd64, name, &at) == 2) {
			const struct zone *z = zone_cached(name);
			struct zone_span s = zone_at(z ? z : &zone_utc, at);
			if (z)
				printf("%d %s\n", s.offset->seconds, s.offset->letters);
			else
				puts("refused");
		} else if (sscanf(line, "next %127s %" SCNd64 " %d %n", name, &at, &n, &used) == 3 && used) {
			const struct zone *z = zone_cached(name);
			say_next(z ? z : &zone_utc, at, n, line + used);
		} else {
			puts("?");
		}
	}
	return 0;
}
