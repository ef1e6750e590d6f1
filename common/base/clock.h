#pragma once
/* The two clocks. Only shells read them; cores take now_ms. */

#include <stdint.h>

#define TIME_NEVER UINT64_MAX

uint64_t clock_mono_ms(void); /* CLOCK_MONOTONIC: delays, deadlines */
uint64_t clock_mono_us(void);
uint64_t clock_until_ms(uint64_t timeout_ms); /* so long from now on, monotonic; TIME_NEVER where the clock does not reach that */
uint64_t clock_boot_ms(void); /* CLOCK_BOOTTIME: monotonic, and goes on while the machine sleeps */
uint64_t clock_wall_ms(void); /* CLOCK_REALTIME: display, and what a person named by wall time */

/* RFC 3339 in UTC with milliseconds, "2026-11-20T09:30:00.123Z"; out has room for 25 bytes. */
void clock_format(uint64_t wall_ms, char out[static 25]);
