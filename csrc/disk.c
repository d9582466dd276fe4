/* disk.c -- openat2() where there is one, a walk elsewhere.
 *
 * Workload: mostly names that the kernel has in its caches, asked for on the loop's thread with
 * `now`; what it does not have is asked for again on a thread of the pool, which may wait.
 *
 * openat2() (Linux 5.6) keeps a lookup beneath the root whatever anyone renames meanwhile, and with
 * RESOLVE_CACHED (5.12) never sleeps for it. Its numbers are written out here, since headers of
 * other systems and of older ones lack them. Without it each component is opened by itself and no
 * symlink is followed, which allows less but leaks nothing. Any thread. */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

enum {
    READING = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
    SAMPLE = 128 * 1024, /* as far as the kernel reads ahead: all of it is there, or none */
    RACES = 4,           /* times that a lookup may be disturbed by renaming */
};

int disk_root(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int open_at(int directory, const char *name, int flags)
{
    int fd;
    do
        fd = openat(directory, name, flags);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

/* Component by component; a symlink is an error wherever it stands. */
static int walk(int root, const char *name)
{
    int at = root;
    while (true) {
        char part[DISK_PATH];
        const char *slash = strchr(name, '/');
        size_t n = slash == NULL ? strlen(name) : (size_t)(slash - name);
        if (n >= sizeof part)
            return -ENAMETOOLONG;
        memcpy(part, name, n);
        part[n] = '\0';
        int flags = READING | O_NOFOLLOW | (slash == NULL ? 0 : O_DIRECTORY);
        int fd = strcmp(part, "..") == 0 ? -EXDEV : open_at(at, n == 0 ? "." : part, flags);
        if (at != root)
            close(at);
        if (fd < 0 || slash == NULL)
            return fd;
        at = fd;
        name = slash + 1;
    }
}

#ifdef __linux__

/* struct open_how of <linux/openat2.h>. */
struct how {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};

enum {
    OPENAT2 = 437,        /* the call's number on all architectures but Alpha */
    NO_MAGICLINKS = 0x02, /* not through /proc/PID/fd, which leads anywhere */
    BENEATH = 0x08,
    CACHED = 0x20,
};

static int open_how(int root, const char *name, bool now)
{
    struct how how = {.flags = READING};
    how.resolve = root == DISK_ANYWHERE ? 0 : BENEATH | NO_MAGICLINKS;
    how.resolve |= now ? CACHED : 0;
    int directory = root == DISK_ANYWHERE ? AT_FDCWD : root;
    long fd = syscall(OPENAT2, directory, name[0] == '\0' ? "." : name, &how, sizeof how);
    return fd < 0 ? -errno : (int)fd;
}

static bool unsupported(int rc)
{
    return rc == -ENOSYS || rc == -EPERM || rc == -EINVAL || rc == -E2BIG;
}

#else

static int open_how(int root, const char *name, bool now)
{
    (void)root, (void)name, (void)now;
    return -ENOSYS;
}

static bool unsupported(int rc)
{
    return rc == -ENOSYS;
}

#endif

int disk_open(int root, const char *name, bool now)
{
    int fd = open_how(root, name, now);
    for (int i = 1; i < RACES && !now && (fd == -EAGAIN || fd == -EINTR); i++)
        fd = open_how(root, name, now);
    if (!unsupported(fd))
        return fd;
    if (now)
        return -EAGAIN;
    return root == DISK_ANYWHERE ? open_at(AT_FDCWD, name, READING) : walk(root, name);
}

#if defined(__linux__) && defined(RWF_NOWAIT)

static ssize_t read_now(int fd, void *data, size_t n, uint64_t offset)
{
    struct iovec iov = {data, n};
    return preadv2(fd, &iov, 1, (off_t)offset, RWF_NOWAIT);
}

#else

static ssize_t read_now(int fd, void *data, size_t n, uint64_t offset)
{
    (void)fd, (void)data, (void)n, (void)offset;
    errno = EAGAIN;
    return -1;
}

#endif

ssize_t disk_read(int fd, void *data, size_t n, uint64_t offset, bool now)
{
    size_t done = 0;
    while (done < n) {
        char *at = (char *)data + done;
        ssize_t got = now ? read_now(fd, at, n - done, offset + done)
                          : pread(fd, at, n - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) /* some file systems cannot say whether they would wait */
            return now && errno == EOPNOTSUPP ? -EAGAIN : -errno;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

int disk_root_now(const char *directory)
{
    int fd = disk_open(DISK_ANYWHERE, directory, true);
    struct stat st;
    if (fd < 0)
        return fd;
    int rc = fstat(fd, &st) < 0 ? -errno : S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

bool disk_resident(int fd, uint64_t offset, size_t n)
{
    char byte;
    for (size_t at = 0; at < n; at += SAMPLE) {
        if (read_now(fd, &byte, 1, offset + at) < 0)
            return false;
    }
    return n == 0 || read_now(fd, &byte, 1, offset + n - 1) >= 0;
}
