/* poller_select.c -- the oldest backend: two bit sets, at most FD_SETSIZE descriptors.
 *
 * Workload: few descriptors with small numbers; a wait costs what the highest number is. A number
 * of FD_SETSIZE or more does not fit in the sets and is refused, never written beside them.
 *
 * Invariants: all watched numbers are below `top`. The search for what is ready begins where the
 * last one stopped, so that with more ready than asked for everyone gets a turn.
 *
 * One closed descriptor in a set makes the whole select() fail with EBADF. The closed ones are then
 * looked for and reported as ready, so that the caller meets the error and takes them out. One
 * thread uses it. */
#include "poller.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/time.h>

#include "fastloop.h"

struct select_state {
    fd_set reads, writes;             /* what is watched */
    fd_set ready_reads, ready_writes; /* what the last select() said */
    int top;                          /* the highest number watched, plus one */
    int start;                        /* where the next search begins */
    uint64_t tags[FD_SETSIZE];
};

static int select_open(struct poller *p)
{
    struct select_state *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    FD_ZERO(&s->reads);
    FD_ZERO(&s->writes);
    p->state = s;
    return 0;
}

static bool watched(const struct select_state *s, int fd)
{
    return FD_ISSET(fd, &s->reads) || FD_ISSET(fd, &s->writes);
}

static int select_set(struct poller *p, int fd, unsigned old, unsigned want, uint64_t tag)
{
    (void)old; /* the sets know */
    struct select_state *s = p->state;
    if (fd < 0)
        return -EBADF;
    if (fd >= FD_SETSIZE)
        return FL_EFDLIMIT;
    FD_CLR(fd, &s->reads);
    FD_CLR(fd, &s->writes);
    if (want & IO_READ)
        FD_SET(fd, &s->reads);
    if (want & IO_WRITE)
        FD_SET(fd, &s->writes);
    s->tags[fd] = tag;
    if (fd >= s->top)
        s->top = fd + 1;
    while (s->top > 0 && !watched(s, s->top - 1))
        s->top--;
    return 0;
}

/* Leaves only the closed descriptors in the ready sets. Returns how many bits that is. */
static int find_closed(struct select_state *s)
{
    int bits = 0;
    for (int fd = 0; fd < s->top; fd++) {
        if (watched(s, fd) && fcntl(fd, F_GETFD) < 0) {
            bits += !!FD_ISSET(fd, &s->reads) + !!FD_ISSET(fd, &s->writes);
            continue;
        }
        FD_CLR(fd, &s->ready_reads);
        FD_CLR(fd, &s->ready_writes);
    }
    return bits;
}

/* Fills the ready sets. Returns the number of bits in them or -errno. */
static int select_bits(struct select_state *s, int timeout_ms)
{
    struct timeval limit = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    s->ready_reads = s->reads;
    s->ready_writes = s->writes;
    int bits =
        select(s->top, &s->ready_reads, &s->ready_writes, NULL, timeout_ms < 0 ? NULL : &limit);
    if (bits >= 0)
        return bits;
    if (errno != EBADF)
        return -errno;
    s->ready_reads = s->reads; /* undefined after an error */
    s->ready_writes = s->writes;
    bits = find_closed(s);
    return bits ? bits : -EBADF;
}

static int select_wait(struct poller *p, struct poller_event *events, int max, int timeout_ms)
{
    struct select_state *s = p->state;
    int bits = select_bits(s, timeout_ms);
    if (bits < 0)
        return bits;

    int fd = s->start < s->top ? s->start : 0;
    int n = 0;
    for (int seen = 0; bits > 0 && n < max && seen < s->top; seen++) {
        unsigned what = (FD_ISSET(fd, &s->ready_reads) ? IO_READ : 0u) |
                        (FD_ISSET(fd, &s->ready_writes) ? IO_WRITE : 0u);
        if (what) {
            events[n].tag = s->tags[fd];
            events[n].what = what;
            n++;
            bits -= what == (IO_READ | IO_WRITE) ? 2 : 1;
        }
        fd = fd + 1 < s->top ? fd + 1 : 0;
    }
    s->start = fd;
    return n;
}

static int select_fileno(struct poller *p)
{
    (void)p;
    return -1;
}

static void select_close(struct poller *p)
{
    free(p->state);
    p->state = NULL;
}

const struct poller_ops poller_select = {
    .name = "select",
    .open = select_open,
    .set = select_set,
    .wait = select_wait,
    .fileno = select_fileno,
    .close = select_close,
};
