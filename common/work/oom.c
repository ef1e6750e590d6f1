#include "common/work/oom.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"

#define TEXT_MAX 4096

uint64_t oom_parse(const char *text)
{
	static const char key[] = "oom_kill ";
	for (const char *at = text; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
		if (strncmp(at, key, sizeof(key) - 1) == 0)
			return strtoull(at + sizeof(key) - 1, NULL, 10);
	return 0;
}

static uint64_t oom_count(const struct oom_watch *w)
{
	char text[TEXT_MAX];
	ssize_t n = w->fd < 0 ? -1 : pread(w->fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	return oom_parse(text);
}

void oom_open(struct oom_watch *w)
{
	_cleanup_(freep) char *text = NULL;
	char path[512];
	size_t len;
	*w = (struct oom_watch){ .fd = -1 };
	if (file_read_all("/proc/self/cgroup", TEXT_MAX, &text, &len))
		return;
	char *own = strstr(text, "0::/"); /* the unified hierarchy */
	if (!own)
		return;
	own[strcspn(own, "\n")] = '\0';
	if (snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.events", own + 3) < (int)sizeof(path))
		w->fd = open(path, O_RDONLY | O_CLOEXEC);
	w->seen = oom_count(w);
}

void oom_close(struct oom_watch *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

bool oom_struck(struct oom_watch *w)
{
	uint64_t now = oom_count(w), before = w->seen;
	w->seen = now;
	return now > before;
}
