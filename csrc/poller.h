/* poller.h -- "tell me which descriptors can be read or written": one face over epoll, poll, select
 * and kqueue. Level 2.
 *
 * Level-triggered everywhere, so all of them mean the same: what is still readable is reported
 * again at the next wait. A poller knows no connection; each descriptor comes with 64 bits of the
 * caller's (the tag), which come back with its events. One thread uses a poller. */
#ifndef FL_POLLER_H
#define FL_POLLER_H

#include "base.h"

struct poller_event {
    uint64_t tag;
    unsigned what; /* IO_READ | IO_WRITE; errors and hang-ups too, for the read or the write to
                      find: then also a direction that was not asked for */
};

struct poller {
    const struct poller_ops *ops;
    void *state; /* the backend's own, owned by it */
};

struct poller_ops {
    const char *name;

    /* Sets p->state. Returns 0 or -errno: the kernel or the platform has no such thing. */
    int (*open)(struct poller *p);

    /* Changes what is watched on fd from `old` to `want` (IO_READ | IO_WRITE; 0 means not watched).
     * The tag goes with the descriptor until it is set again. Returns 0, -ENOMEM, or -errno of the
     * kernel; FL_EFDLIMIT if this backend cannot watch a descriptor with so large a number. */
    int (*set)(struct poller *p, int fd, unsigned old, unsigned want, uint64_t tag);

    /* Waits until something is ready, for timeout_ms (-1: no limit), or a signal comes. Fills at
     * most max events, and is fair: with more ready than max, later waits report the others.
     * Returns how many, or -errno (-EINTR after a signal). */
    int (*wait)(struct poller *p, struct poller_event *events, int max, int timeout_ms);

    /* A descriptor that is itself readable when wait() would report something, or -1. */
    int (*fileno)(struct poller *p);

    void (*close)(struct poller *p);
};

/* All backends compiled for this platform, best first, ended by NULL. */
extern const struct poller_ops *const poller_backends[];

/* Opens the backend called `name`, or for "auto" the first that works. Returns 0, -ENOENT for a
 * name that is unknown or not of this platform, or the backend's -errno. */
int poller_open(struct poller *p, const char *name);

#endif
