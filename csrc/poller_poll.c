/* poller_poll.c -- the POSIX backend: the set is handed to the kernel at every wait.
 *
 * Workload: some hundreds of descriptors; both the kernel and the search for what is ready cost
 * what is watched, not what is ready. No limit on a descriptor's number.
 *
 * Invariants: fds[0..count) is dense, tags[] runs beside it, and slots[fd] is the index of fd there
 * or -1. A removal moves the last entry into the gap. The search for what is ready begins where the
 * last one stopped, so that with more ready than asked for everyone gets a turn.
 *
 * A descriptor that was closed but not taken out answers POLLNVAL at once, for ever: it is reported
 * as ready, so that the caller meets the error and takes it out. One thread uses it. */
#include "poller.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

struct poll_state {
    struct pollfd *fds;
    uint64_t *tags;
    unsigned count, capacity;
    unsigned start; /* where the next search begins */
    int *slots;
    int numbers; /* length of slots */
};

static int poll_open(struct poller *p)
{
    p->state = calloc(1, sizeof(struct poll_state));
    return p->state ? 0 : -ENOMEM;
}

static int grow_slots(struct poll_state *s, int fd)
{
    if (fd < s->numbers)
        return 0;
    int numbers = fd < 32 ? 64 : fd + fd / 2 + 1;
    int *slots = realloc(s->slots, (size_t)numbers * sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    for (int i = s->numbers; i < numbers; i++)
        slots[i] = -1;
    s->slots = slots;
    s->numbers = numbers;
    return 0;
}

static int grow_entries(struct poll_state *s)
{
    if (s->count < s->capacity)
        return 0;
    unsigned capacity = s->capacity ? s->capacity * 2 : 64;
    struct pollfd *fds = realloc(s->fds, capacity * sizeof(*fds));
    if (!fds)
        return -ENOMEM;
    s->fds = fds;
    uint64_t *tags = realloc(s->tags, capacity * sizeof(*tags));
    if (!tags)
        return -ENOMEM;
    s->tags = tags;
    s->capacity = capacity;
    return 0;
}

static void forget(struct poll_state *s, int fd)
{
    int slot = fd < s->numbers ? s->slots[fd] : -1;
    if (slot < 0)
        return;
    unsigned last = --s->count;
    s->fds[slot] = s->fds[last];
    s->tags[slot] = s->tags[last];
    s->slots[s->fds[slot].fd] = slot;
    s->slots[fd] = -1;
}

static int poll_set(struct poller *p, int fd, unsigned old, unsigned want, uint64_t tag)
{
    (void)old; /* the table knows */
    struct poll_state *s = p->state;
    if (fd < 0)
        return -EBADF;
    if (!want) {
        forget(s, fd);
        return 0;
    }
    if (grow_slots(s, fd) < 0)
        return -ENOMEM;
    if (s->slots[fd] < 0) {
        if (grow_entries(s) < 0)
            return -ENOMEM;
        s->slots[fd] = (int)s->count++;
    }
    int slot = s->slots[fd];
    s->fds[slot].fd = fd;
    s->fds[slot].events = (short)((want & IO_READ ? POLLIN : 0) | (want & IO_WRITE ? POLLOUT : 0));
    s->fds[slot].revents = 0;
    s->tags[slot] = tag;
    return 0;
}

static unsigned readiness(const struct pollfd *f)
{
    short got = f->revents;
    if (got & (POLLERR | POLLHUP | POLLNVAL))
        got |= f->events;
    return (got & POLLIN ? IO_READ : 0u) | (got & POLLOUT ? IO_WRITE : 0u);
}

static int poll_wait(struct poller *p, struct poller_event *events, int max, int timeout_ms)
{
    struct poll_state *s = p->state;
    int ready = poll(s->fds, s->count, timeout_ms);
    if (ready < 0)
        return -errno;
    if (ready > max)
        ready = max;

    unsigned at = s->start < s->count ? s->start : 0;
    int n = 0;
    for (unsigned seen = 0; n < ready && seen < s->count; seen++) {
        if (s->fds[at].revents) {
            events[n].tag = s->tags[at];
            events[n].what = readiness(&s->fds[at]);
            n++;
        }
        at = at + 1 < s->count ? at + 1 : 0;
    }
    s->start = at;
    return n;
}

static int poll_fileno(struct poller *p)
{
    (void)p;
    return -1;
}

static void poll_close(struct poller *p)
{
    struct poll_state *s = p->state;
    free(s->fds);
    free(s->tags);
    free(s->slots);
    free(s);
    p->state = NULL;
}

const struct poller_ops poller_poll = {
    .name = "poll",
    .open = poll_open,
    .set = poll_set,
    .wait = poll_wait,
    .fileno = poll_fileno,
    .close = poll_close,
};
