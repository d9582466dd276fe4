/* poller_epoll.c -- the Linux backend: the kernel keeps the set, a wait costs what is ready.
 *
 * Workload: thousands of descriptors, few ready at once, about one epoll_ctl in the life of a
 * connection. What to know about epoll:
 * - The set holds open files, not numbers. Closing the last descriptor of a file takes it out; a
 *   duplicate (a dup, a fork) keeps it in, so a descriptor is taken out before it is closed.
 * - A level-triggered file that was reported goes to the end of the kernel's ready list: with more
 *   ready than asked for, the next wait begins with the others. That is the fairness we promise.
 * - EPOLLERR and EPOLLHUP come unasked. They are reported as both directions: the read or the write
 *   then says what happened.
 *
 * The epoll descriptor is itself readable when something is ready. One thread uses it. */
#include "poller.h"

#if defined(__linux__)

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

/* More in one go is no faster, and it makes the connections of a batch move in step. */
enum { BATCH = 256 };

struct epoll_state {
    int fd;
    struct epoll_event events[BATCH];
};

static int epoll_open(struct poller *p)
{
    struct epoll_state *s = malloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->fd < 0) {
        int error = errno;
        free(s);
        return -error;
    }
    p->state = s;
    return 0;
}

static int epoll_forget(const struct epoll_state *s, int fd)
{
    if (epoll_ctl(s->fd, EPOLL_CTL_DEL, fd, NULL) == 0)
        return 0;
    /* Not in the set, or closed already: it is not watched, which is what was wanted. */
    return errno == ENOENT || errno == EBADF ? 0 : -errno;
}

static int epoll_set(struct poller *p, int fd, unsigned old, unsigned want, uint64_t tag)
{
    const struct epoll_state *s = p->state;
    if (!want)
        return old ? epoll_forget(s, fd) : 0;

    struct epoll_event event = {.data.u64 = tag};
    if (want & IO_READ)
        event.events |= EPOLLIN;
    if (want & IO_WRITE)
        event.events |= EPOLLOUT;
    int rc = epoll_ctl(s->fd, old ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
    if (rc < 0 && errno == EEXIST) /* a duplicate kept it in the set */
        rc = epoll_ctl(s->fd, EPOLL_CTL_MOD, fd, &event);
    return rc < 0 ? -errno : 0;
}

static unsigned readiness(uint32_t events)
{
    if (events & (EPOLLERR | EPOLLHUP))
        return IO_READ | IO_WRITE;
    return (events & EPOLLIN ? IO_READ : 0u) | (events & EPOLLOUT ? IO_WRITE : 0u);
}

static int epoll_wait_events(struct poller *p, struct poller_event *events, int max, int timeout_ms)
{
    struct epoll_state *s = p->state;
    int n = epoll_wait(s->fd, s->events, max < BATCH ? max : BATCH, timeout_ms);
    if (n < 0)
        return -errno;
    for (int i = 0; i < n; i++) {
        events[i].tag = s->events[i].data.u64;
        events[i].what = readiness(s->events[i].events);
    }
    return n;
}

static int epoll_fileno(struct poller *p)
{
    const struct epoll_state *s = p->state;
    return s->fd;
}

static void epoll_close(struct poller *p)
{
    struct epoll_state *s = p->state;
    close(s->fd);
    free(s);
    p->state = NULL;
}

const struct poller_ops poller_epoll = {
    .name = "epoll",
    .open = epoll_open,
    .set = epoll_set,
    .wait = epoll_wait_events,
    .fileno = epoll_fileno,
    .close = epoll_close,
};

#else

typedef int poller_epoll_is_not_of_this_platform;

#endif
