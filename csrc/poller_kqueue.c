/* poller_kqueue.c -- the backend of macOS and the BSDs: the kernel keeps the set of filters.
 *
 * Workload: as with epoll, many descriptors, few ready, few changes. What to know about kqueue:
 * - Reading and writing are two filters of a descriptor, added, deleted and reported one by one. So
 *   a descriptor that is ready both ways comes as two events with the same tag.
 * - EV_ADD of a filter that is there updates it: that is how a tag changes.
 * - Closing a descriptor deletes its filters. A kqueue does not survive a fork.
 * - A filter that was reported goes to the end of the queue, which gives fairness.
 * - EV_EOF comes with the filter that was asked for: the read or the write says what happened.
 *
 * The kqueue is itself readable when something is ready. One thread uses it. */
#include "poller.h"

#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__) ||   \
    defined(__DragonFly__)

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/event.h>
#include <sys/time.h>
#include <unistd.h>

enum { BATCH = 256 };

struct kqueue_state {
    int fd;
    struct kevent events[BATCH];
};

_Static_assert(sizeof(((struct kevent *)0)->udata) >= sizeof(uint64_t), "a tag fits in udata");

static int kqueue_open(struct poller *p)
{
    struct kqueue_state *s = malloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->fd = kqueue();
    if (s->fd < 0 || fcntl(s->fd, F_SETFD, FD_CLOEXEC) < 0) {
        int error = errno;
        if (s->fd >= 0)
            close(s->fd);
        free(s);
        return -error;
    }
    p->state = s;
    return 0;
}

/* One filter a call, so that an error belongs to one change; changes of both are rare. */
static int change(const struct kqueue_state *s, int fd, int filter, int action, uint64_t tag)
{
    struct kevent event;
    EV_SET(&event, (uintptr_t)fd, filter, action, 0, 0, (void *)(uintptr_t)tag);
    if (kevent(s->fd, &event, 1, NULL, 0, NULL) == 0)
        return 0;
    /* Not in the set, or closed already: it is not watched, which is what was wanted. */
    if (action == EV_DELETE && (errno == ENOENT || errno == EBADF))
        return 0;
    return -errno;
}

static int kqueue_set(struct poller *p, int fd, unsigned old, unsigned want, uint64_t tag)
{
    const struct kqueue_state *s = p->state;
    int rc = 0;
    if (want & IO_READ)
        rc = change(s, fd, EVFILT_READ, EV_ADD, tag);
    else if (old & IO_READ)
        rc = change(s, fd, EVFILT_READ, EV_DELETE, tag);
    if (rc < 0)
        return rc;
    if (want & IO_WRITE)
        rc = change(s, fd, EVFILT_WRITE, EV_ADD, tag);
    else if (old & IO_WRITE)
        rc = change(s, fd, EVFILT_WRITE, EV_DELETE, tag);
    return rc;
}

static int kqueue_wait(struct poller *p, struct poller_event *events, int max, int timeout_ms)
{
    struct kqueue_state *s = p->state;
    struct timespec limit = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
    int n = kevent(s->fd, NULL, 0, s->events, max < BATCH ? max : BATCH,
                   timeout_ms < 0 ? NULL : &limit);
    if (n < 0)
        return -errno;
    for (int i = 0; i < n; i++) {
        events[i].tag = (uint64_t)(uintptr_t)s->events[i].udata;
        events[i].what = s->events[i].filter == EVFILT_WRITE ? IO_WRITE : IO_READ;
    }
    return n;
}

static int kqueue_fileno(struct poller *p)
{
    const struct kqueue_state *s = p->state;
    return s->fd;
}

static void kqueue_close(struct poller *p)
{
    struct kqueue_state *s = p->state;
    close(s->fd);
    free(s);
    p->state = NULL;
}

const struct poller_ops poller_kqueue = {
    .name = "kqueue",
    .open = kqueue_open,
    .set = kqueue_set,
    .wait = kqueue_wait,
    .fileno = kqueue_fileno,
    .close = kqueue_close,
};

#else

typedef int poller_kqueue_is_not_of_this_platform;

#endif
