#pragma once
/* Small file work that several processes share. */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "common/base/error.h"
int file_write_all(int fd, const void *data, size_t len);      /* loops on short writes and EINTR; 0 or -errno */
int file_write_at(int fd, uint64_t offset, const void *data, size_t len); /* the same, at a place; -EIO where nothing more is taken */
int file_read_all(const char *path, size_t max, char **ret, size_t *ret_len); /* NUL-terminated, caller frees; 0, -errno, ERROR_TOO_LARGE */
int file_mkdir_p(const char *path, mode_t mode, struct error *e); /* creates what is missing, fsyncs the parent of each; 0, or a code with a text */
int file_fsync_dir(const char *path);                          /* 0 or -errno */
/* Opens and locks path (open file description lock, exclusive, CLOEXEC), writes our pid into it.
 * 0 with the fd; ERROR_EXISTS where another holds it, its pid in *ret_owner (0 where unknown); -errno. */
int file_lock(const char *path, int *ret_fd, pid_t *ret_owner);
