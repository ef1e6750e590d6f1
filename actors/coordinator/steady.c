#include "actors/coordinator/steady.h"

#include <stdio.h>
#include <string.h>

void steady_begin(struct steady *s, const Troupe__MetaRecord *meta, uint64_t boot_ms, uint64_t wall_ms, const char *boot_id)
{
	uint64_t now_ms = wall_ms;
	if (meta->steady_ms && *boot_id && strcmp(meta->boot_id, boot_id) == 0 && boot_ms >= meta->boot_ms)
		now_ms = meta->steady_ms + (boot_ms - meta->boot_ms);
	else if (meta->steady_ms)
		now_ms = meta->steady_ms + (wall_ms > meta->wall_ms ? wall_ms - meta->wall_ms : 0);
	snprintf(s->boot_id, sizeof s->boot_id, "%s", boot_id);
	s->offset_ms = now_ms - boot_ms;
	s->begun = true;
}

void steady_note(const struct steady *s, Troupe__MetaRecord *meta, uint64_t boot_ms, uint64_t wall_ms)
{
	meta->steady_ms = boot_ms + s->offset_ms;
	meta->boot_ms = boot_ms;
	meta->wall_ms = wall_ms;
	meta->boot_id = (char *)s->boot_id;
}

void steady_boot_id(char out[static 40])
{
	out[0] = 0;
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	if (!f)
		return;
	if (!fgets(out, 40, f))
		out[0] = 0;
	out[strcspn(out, "\n")] = 0;
	fclose(f);
}
