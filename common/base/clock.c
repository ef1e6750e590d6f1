#include "common/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* 9999-12-31T23:59:59.999Z, the last moment that fits the format. */
#define WALL_MS_MAX UINT64_C(253402300799999)

static struct timespec clock_read(clockid_t id)
{
	struct timespec ts = { 0 };
	clock_gettime(id, &ts); /* cannot fail for these clocks and a valid pointer */
	return ts;
}

uint64_t clock_mono_ms(void)
{
	struct timespec ts = clock_read(CLOCK_MONOTONIC);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t clock_mono_us(void)
{
	struct timespec ts = clock_read(CLOCK_MONOTONIC);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_until_ms(uint64_t timeout_ms)
{
	uint64_t now_ms = clock_mono_ms();
	return timeout_ms < TIME_NEVER - now_ms ? now_ms + timeout_ms : TIME_NEVER;
}

uint64_t clock_boot_ms(void)
{
	struct timespec ts = clock_read(CLOCK_BOOTTIME);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t clock_wall_ms(void)
{
	struct timespec ts = clock_read(CLOCK_REALTIME);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void clock_format(uint64_t wall_ms, char out[static 25])
{
	if (wall_ms > WALL_MS_MAX)
		wall_ms = WALL_MS_MAX;
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm tm;
	char text[64];
	gmtime_r(&seconds, &tm);
	size_t n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%03uZ", (unsigned)(wall_ms % 1000));
	memcpy(out, text, 24);
	out[24] = '\0';
}
