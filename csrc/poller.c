/* poller.c -- which backends this platform has, and the choice of one at run time.
 *
 * Chosen at run time and not when compiled, because a kernel or a sandbox may refuse the best one,
 * and because the tests run every backend that is here. Called once a loop, by its thread; the
 * table is read-only and shared by all. */
#include "poller.h"

#include <errno.h>
#include <string.h>

extern const struct poller_ops poller_epoll;
extern const struct poller_ops poller_kqueue;
extern const struct poller_ops poller_poll;
extern const struct poller_ops poller_select;

static int try_open(struct poller *p, const struct poller_ops *ops)
{
    p->ops = ops;
    p->state = NULL;
    int rc = ops->open(p);
    if (rc < 0)
        p->ops = NULL; /* nothing to close */
    return rc;
}

int poller_open(struct poller *p, const char *name)
{
    bool any = strcmp(name, "auto") == 0;
    int rc = -ENOENT;
    for (const struct poller_ops *const *ops = poller_backends; *ops; ops++) {
        if (!any && strcmp(name, (*ops)->name) != 0)
            continue;
        rc = try_open(p, *ops);
        if (rc == 0 || !any)
            return rc;
    }
    return rc;
}

const struct poller_ops *const poller_backends[] = {
#if defined(__linux__)
    &poller_epoll,
#elif defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__) || \
    defined(__DragonFly__)
    &poller_kqueue,
#endif
    &poller_poll,
    &poller_select,
    NULL,
};
