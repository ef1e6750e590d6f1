#pragma once
/* Zones of this machine, for tests of them. */
#include <stdio.h>
#include "actors/coordinator/zone.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"

/* NULL: there is no such file, or it is refused. UTC needs none. */
static inline struct zone *zone_of(const char *name)
{
	char path[128];
	_cleanup_(freep) char *data = NULL;
	size_t len;
	struct zone *z = NULL;
	snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
	if (!zone_name_valid(name) || file_read_all(path, ZONE_FILE_MAX, &data, &len) != 0)
		return NULL;
	return zone_read(data, len, &z, NULL) == 0 ? z : NULL;
}
