/* sock.c -- every socket system call, and what differs between the platforms in them.
 *
 * Workload: one read and one send for each connection that is busy in a turn, seldom anything else.
 * So the two calls that matter do nothing but the call, and all set-up is done once, on the
 * listener where the platform lets connections inherit it. Nothing here keeps state: any thread may
 * call. */
#include "sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/sendfile.h>
#endif

#if defined(__linux__) || defined(__FreeBSD__)
#define ATOMIC_FLAGS 1 /* accept4() and pipe2() set the flags before anyone can fork */
#else
#define ATOMIC_FLAGS 0
#endif

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS: SO_NOSIGPIPE on the socket instead */
#endif

#ifndef MSG_MORE
#define MSG_MORE 0 /* of Linux: the others send a short segment more */
#endif

#ifndef IOV_MAX
#define IOV_MAX 1024
#endif

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un un;
    struct sockaddr_storage storage;
};

static int set_flags(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}

static int switch_on(int fd, int level, int option)
{
    int on = 1;
    return setsockopt(fd, level, option, &on, sizeof(on)) < 0 ? -errno : 0;
}

static int accept_one(int listener)
{
    int fd;
    do {
#if ATOMIC_FLAGS
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
        fd = accept(listener, NULL, NULL);
#endif
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return -errno;
#if !ATOMIC_FLAGS
    int rc = set_flags(fd);
    if (rc < 0) {
        close(fd);
        return rc;
    }
#endif
    return fd;
}

int sock_accept(int listener, bool tcp)
{
    int fd = accept_one(listener);
    if (fd < 0)
        return fd;
        /* A failure of these is a peer that is gone already: the first read tells. */
#if defined(__linux__)
    (void)tcp; /* inherited */
#else
    if (tcp)
        switch_on(fd, IPPROTO_TCP, TCP_NODELAY);
#endif
#ifdef SO_NOSIGPIPE
    switch_on(fd, SOL_SOCKET, SO_NOSIGPIPE);
#endif
    return fd;
}

int sock_adopt(int fd)
{
    union address own = {0};
    socklen_t len = sizeof(own);
    if (getsockname(fd, &own.any, &len) < 0)
        return -errno;
    int type = 0;
    socklen_t size = sizeof(type);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
        return -errno;
    if (type != SOCK_STREAM)
        return -EPROTOTYPE;
    int rc = set_flags(fd);
    if (rc < 0)
        return rc;
    if (own.any.sa_family != AF_INET && own.any.sa_family != AF_INET6)
        return 0;
    rc = switch_on(fd, IPPROTO_TCP, TCP_NODELAY);
    return rc < 0 ? rc : 1;
}

ssize_t sock_read(int fd, void *data, size_t n)
{
    ssize_t got;
    do
        got = recv(fd, data, n, 0);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

static ssize_t send_many(int fd, const struct iovec *iov, int count, int flags)
{
    struct msghdr message = {
        .msg_iov = (struct iovec *)(uintptr_t)iov, /* sendmsg() only reads it */
        .msg_iovlen = count < IOV_MAX ? count : IOV_MAX,
    };
    return sendmsg(fd, &message, flags);
}

static inline ssize_t send_flagged(int fd, const struct iovec *iov, int count, int flags)
{
    ssize_t sent;
    do
        sent = count == 1 ? send(fd, iov->iov_base, iov->iov_len, flags)
                          : send_many(fd, iov, count, flags);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

ssize_t sock_send(int fd, const struct iovec *iov, int count)
{
    return send_flagged(fd, iov, count, MSG_NOSIGNAL);
}

ssize_t sock_send_more(int fd, const struct iovec *iov, int count)
{
    return send_flagged(fd, iov, count, MSG_NOSIGNAL | MSG_MORE);
}

/* -- files: each system has a sendfile() of its own -- */

#if defined(__linux__)

/* It takes no MSG_NOSIGNAL, so for its time this thread blocks the signal, and takes back what
 * came, which it may also when a part was sent. */
static ssize_t send_file(int fd, int file, off_t offset, size_t n)
{
    static const struct timespec now = {0};
    sigset_t pipe_only, before;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    ssize_t sent = sendfile(fd, file, &offset, n);
    int error = errno;
    if (sent < (ssize_t)n && !sigismember(&before, SIGPIPE))
        sigtimedwait(&pipe_only, NULL, &now);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return sent;
}

#elif defined(__APPLE__)

static ssize_t send_file(int fd, int file, off_t offset, size_t n)
{
    off_t sent = (off_t)n;
    int rc = sendfile(file, fd, offset, &sent, NULL, 0);
    return rc < 0 && sent == 0 ? -1 : (ssize_t)sent;
}

#elif defined(__FreeBSD__)

static ssize_t send_file(int fd, int file, off_t offset, size_t n)
{
    off_t sent = 0;
    int rc = sendfile(file, fd, offset, n, NULL, &sent, 0);
    return rc < 0 && sent == 0 ? -1 : (ssize_t)sent;
}

#else

static ssize_t send_file(int fd, int file, off_t offset, size_t n)
{
    (void)fd, (void)file, (void)offset, (void)n;
    errno = ENOSYS;
    return -1;
}

#endif

/* For what has no pages that a kernel could send, as files of /proc. */
static ssize_t copy_file(int fd, int file, off_t offset, size_t n)
{
    char bytes[16 * 1024];
    ssize_t got = pread(file, bytes, min_size(n, sizeof bytes), offset);
    return got <= 0 ? got : send(fd, bytes, (size_t)got, MSG_NOSIGNAL);
}

ssize_t sock_send_file(int fd, int file, uint64_t offset, size_t n)
{
    ssize_t sent;
    do {
        sent = send_file(fd, file, (off_t)offset, n);
        if (sent < 0 && (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP))
            sent = copy_file(fd, file, (off_t)offset, n);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

void sock_shutdown(int fd)
{
    shutdown(fd, SHUT_WR);
}

void sock_close(int fd, bool reset)
{
    if (reset) {
        struct linger none = {.l_onoff = 1, .l_linger = 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    }
    close(fd); /* not repeated after EINTR: the number may be someone else's by then */
}

/* Not every kernel ends sun_path with a NUL, and Linux' abstract names begin with one: those are
 * written with an @ in its place, as ss and netstat do. */
static int write_path(const struct sockaddr_un *un, socklen_t len, char *out, size_t size)
{
    size_t start = offsetof(struct sockaddr_un, sun_path);
    size_t room = len > start ? min_size(len - start, sizeof(un->sun_path)) : 0;
    if (room > 1 && un->sun_path[0] == '\0' && un->sun_path[1] != '\0')
        return snprintf(out, size, "@%.*s", (int)room - 1, un->sun_path + 1);
    return snprintf(out, size, "%.*s", (int)room, un->sun_path);
}

static int write_address(const union address *a, socklen_t len, char *out, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "";
    switch (a->any.sa_family) {
    case AF_INET:
        inet_ntop(AF_INET, &a->v4.sin_addr, host, sizeof(host));
        return snprintf(out, size, "%s:%u", host, (unsigned)ntohs(a->v4.sin_port));
    case AF_INET6:
        inet_ntop(AF_INET6, &a->v6.sin6_addr, host, sizeof(host));
        return snprintf(out, size, "[%s]:%u", host, (unsigned)ntohs(a->v6.sin6_port));
    case AF_UNIX: return write_path(&a->un, len, out, size);
    default: return -EAFNOSUPPORT;
    }
}

int sock_address(int fd, bool peer, char *out, size_t size)
{
    union address a = {0};
    socklen_t len = sizeof(a);
    int rc = peer ? getpeername(fd, &a.any, &len) : getsockname(fd, &a.any, &len);
    if (rc < 0)
        return -errno;
    int n = write_address(&a, len, out, size);
    return n >= 0 && (size_t)n >= size ? -ENOSPC : n;
}

int sock_peer_name(int fd, struct sock_name *name)
{
    union address a = {0};
    socklen_t len = sizeof(a);
    char host[INET6_ADDRSTRLEN] = "";
    *name = (struct sock_name){0};
    if (getpeername(fd, &a.any, &len) < 0)
        return -errno;
    if (a.any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &a.v4.sin_addr, host, sizeof(host));
        name->port = ntohs(a.v4.sin_port);
    } else if (a.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &a.v6.sin6_addr, host, sizeof(host));
        name->port = ntohs(a.v6.sin6_port);
    } else {
        return 1;
    }
    name->len = (uint8_t)strlen(host);
    memcpy(name->host, host, name->len);
    return 0;
}

int sock_peer_key(int fd, unsigned char key[16])
{
    union address a = {0};
    socklen_t len = sizeof(a);
    memset(key, 0, 16);
    if (getpeername(fd, &a.any, &len) < 0)
        return 0;
    if (a.any.sa_family == AF_INET) {
        memcpy(key + 12, &a.v4.sin_addr, 4);
        return 1;
    }
    if (a.any.sa_family != AF_INET6)
        return 0;
    bool mapped = IN6_IS_ADDR_V4MAPPED(&a.v6.sin6_addr);
    if (mapped)
        memcpy(key + 12, (const unsigned char *)&a.v6.sin6_addr + 12, 4);
    else
        memcpy(key, &a.v6.sin6_addr, 8);
    return 1;
}

int sock_pipe(int ends[2])
{
#if ATOMIC_FLAGS
    return pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0 ? -errno : 0;
#else
    if (pipe(ends) < 0)
        return -errno;
    int rc = set_flags(ends[0]);
    if (rc == 0)
        rc = set_flags(ends[1]);
    if (rc < 0) {
        close(ends[0]);
        close(ends[1]);
    }
    return rc;
#endif
}

bool sock_drain(int fd, char quiet)
{
    char scratch[512];
    ssize_t got;
    bool loud = false;
    do {
        got = read(fd, scratch, sizeof(scratch));
        for (ssize_t i = 0; i < got && !loud; i++)
            loud = scratch[i] != quiet;
    } while (got > 0 || (got < 0 && errno == EINTR));
    return loud;
}
