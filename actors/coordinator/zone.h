#pragma once
/* A time zone as data: when its offset from UTC changed, and the rule for the time after the last change. Pure: the bytes of a zone's file come in (TZif, RFC 8536,
 * with its POSIX rule), nothing is read here. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/error.h"

#define ZONE_NAME_MAX 64u       /* bytes of a name such as America/Argentina/ComodRivadavia */
#define ZONE_FILE_MAX 65536u    /* bytes of a file; the largest of tzdata 2025 has 3,852 */
#define ZONE_CHANGES_MAX 4096u
#define ZONE_LETTERS_MAX 15u    /* of an abbreviation */
#define ZONE_OFFSET_MIN (-25 * 3600 + 1) /* RFC 8536, 3.2 */
#define ZONE_OFFSET_MAX (26 * 3600 - 1)

struct zone_offset { int32_t seconds; /* east of UTC */ bool dst; char letters[ZONE_LETTERS_MAX + 1]; /* CEST */ };
struct zone_change { int64_t at_s; uint8_t offset; };

/* A day of each year and a time of it, as POSIX writes them: Mm.w.d, Jn or n. */
enum zone_day_kind { ZONE_DAY_OF_MONTH, ZONE_DAY_JULIAN, ZONE_DAY_OF_YEAR };
struct zone_day { enum zone_day_kind kind; int month, week, day; int32_t time_s; };
struct zone_rule { struct zone_offset standard, summer; bool has_summer; struct zone_day begin, end; };

struct zone {
	const struct zone_offset *offsets;  /* the first holds before the first change */
	const struct zone_change *changes;  /* rising */
	size_t n_offsets, n_changes;
	bool has_rule;                      /* without one the last offset stays */
	struct zone_rule rule;
};
extern const struct zone zone_utc;

/* Letters, digits, _ + - and / between them, at most ZONE_NAME_MAX: nothing that leaves the folder of zones. */
bool zone_name_valid(const char *name);
/* The bytes of a file. Freed by zone_free. 0, ERROR_BAD_REQUEST, ERROR_TOO_LARGE, ERROR_VERSION (version 1, which has 32 bit times), -ENOMEM. */
int zone_read(const void *data, size_t len, struct zone **ret, struct error *e);
void zone_free(struct zone *z);
/* "CET-1CEST,M3.5.0,M10.5.0/3", len bytes of it. 0 or ERROR_BAD_REQUEST. */
int zone_rule_parse(const char *text, size_t len, struct zone_rule *ret, struct error *e);

/* The time around utc_s in which the offset is the same: from_s <= utc_s < until_s. Two neighbours may have equal offsets. */
struct zone_span { int64_t from_s, until_s; const struct zone_offset *offset; }; /* INT64_MIN, INT64_MAX: no border */
struct zone_span zone_at(const struct zone *z, int64_t utc_s);

/* "Sun 2026-03-29 03:00:00 +02:00 CEST"; out has room for 64 bytes. Of years 0 to 9999. */
void zone_format(const struct zone *z, int64_t utc_s, char out[static 64]);
