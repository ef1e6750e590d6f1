#include "supervisor/stderr_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/log.h"

void stderr_log_find(struct stderr_log *l)
{
	struct stat st;
	ssize_t n = fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode) ? readlink("/proc/self/fd/2", l->path, sizeof l->path - 1) : 0;
	l->path[n > 0 && l->path[0] == '/' ? n : 0] = 0;
}

void stderr_log_reopen(const struct stderr_log *l)
{
	if (!l->path[0])
		return;
	int fd = open(l->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
		log_error("the log cannot be opened again", LOG_S("path", l->path), LOG_S("why", strerror(errno)));
	if (fd >= 0)
		close(fd);
}
