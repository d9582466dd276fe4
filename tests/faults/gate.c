/* gate.c -- holds up reads of files, as a disk that does not answer would.
 *
 * A library to be preloaded into a whole server (Linux with glibc):
 *
 *     cc -shared -fPIC -O2 -std=c11 -D_GNU_SOURCE -U_FORTIFY_SOURCE -o gate.so gate.c -ldl
 *     FASTLOOP_GATE=/tmp/gate LD_PRELOAD=./gate.so python -m fastloop ...
 *
 * While the file FASTLOOP_GATE exists, nothing of a file whose name ends in ".slow" is in memory:
 * preadv2(RWF_NOWAIT) fails with EAGAIN, and pread() waits until the gate is gone. What waits is
 * the calling thread, so a server that reads on its loop answers nobody. */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

enum { PAUSE_US = 500 };

static bool is_closed(void)
{
    const char *gate = getenv("FASTLOOP_GATE");
    return gate != NULL && access(gate, F_OK) == 0;
}

static bool is_slow(int fd)
{
    static const char suffix[] = ".slow";
    char link[32];
    char name[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, name, sizeof name);
    size_t len = sizeof suffix - 1;
    return n >= (ssize_t)len && memcmp(name + n - len, suffix, len) == 0;
}

ssize_t pread(int fd, void *data, size_t n, off_t offset)
{
    while (is_slow(fd) && is_closed())
        usleep(PAUSE_US);
    return NEXT(pread)(fd, data, n, offset);
}

ssize_t preadv2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
    if ((flags & RWF_NOWAIT) && is_slow(fd) && is_closed()) {
        errno = EAGAIN;
        return -1;
    }
    return NEXT(preadv2)(fd, parts, count, offset, flags);
}
