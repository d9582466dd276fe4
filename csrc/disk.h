/* disk.h -- opens what lies below a directory, and nothing else, and reads it; waiting for a disk
 * or not. Level 1. Any thread. */
#ifndef FL_DISK_H
#define FL_DISK_H

#include "base.h"

enum { DISK_PATH = 4096 }; /* the longest name of a file with its NUL, as PATH_MAX */

/* Instead of a root: names are those of the process, and lead anywhere. */
#define DISK_ANYWHERE (-1)

/* A directory, to be a root: a descriptor that the caller closes, or -errno. */
int disk_root(const char *directory);

/* The same from memory: -EAGAIN if that does not know. */
int disk_root_now(const char *directory);

/* Opens a name below a root for reading; "" is the root itself. Never waits for a FIFO's writer. A
 * name whose symlinks or ".." lead out of the root is refused (-EXDEV); where the kernel cannot
 * judge that, every symlink is (-ELOOP). With `now`, answers from memory: -EAGAIN if that does not
 * know. Returns a descriptor or -errno. */
int disk_open(int root, const char *name, bool now);

/* Reads up to n bytes, all that there are. With `now`, -EAGAIN unless all of them are in memory.
 * Returns how many, or -errno. */
ssize_t disk_read(int fd, void *data, size_t n, uint64_t offset, bool now);

/* Whether n bytes are in memory, so that sending them does not wait; as far as can be told by
 * samples. */
bool disk_resident(int fd, uint64_t offset, size_t n);

#endif
