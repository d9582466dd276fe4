/* test_wake_threads.c -- fl_wake() from several threads while the loop waits, and while it does
 * not. Also run under the thread sanitizer. */
#include <pthread.h>
#include <stdatomic.h>

#include "drive.h"

enum { WAKERS = 4, TIMES = 500 };

static struct drive d;

/* Each waker wakes, and waits until the loop's thread has seen that; so every wake-up must count.
 */
struct waker {
    pthread_t thread;
    fl_loop *loop;
    atomic_int called, seen;
};

static struct waker wakers[WAKERS];

static void *wake_often(void *argument)
{
    struct waker *w = argument;
    for (int i = 1; i <= TIMES; i++) {
        atomic_store(&w->called, i);
        fl_wake(w->loop);
        for (struct timespec soon = {0, 10000}; atomic_load(&w->seen) < i;)
            nanosleep(&soon, NULL);
    }
    return NULL;
}

static int finished(void)
{
    int count = 0;
    for (int i = 0; i < WAKERS; i++)
        count += atomic_load(&wakers[i].seen) == TIMES;
    return count;
}

static void returns_for_every_wake_up(const char *backend)
{
    if (!start(&d, backend, &usual))
        return;
    int64_t id;
    int fd = join(&d, &id);
    for (int i = 0; i < WAKERS; i++) {
        wakers[i].loop = d.loop;
        atomic_store(&wakers[i].called, 0);
        atomic_store(&wakers[i].seen, 0);
        CHECK_INT(pthread_create(&wakers[i].thread, NULL, wake_often, &wakers[i]), 0);
    }
    while (finished() < WAKERS) {
        CHECK_INT(turn(&d, -1), 0); /* hangs if a wake-up is lost */
        for (int i = 0; i < WAKERS; i++)
            atomic_store(&wakers[i].seen, atomic_load(&wakers[i].called));
    }
    for (int i = 0; i < WAKERS; i++)
        CHECK_INT(pthread_join(wakers[i].thread, NULL), 0);
    tell(fd, "and it serves\n");
    expect(&d, fd, "and it serves\n");
    close(fd);
    finish(&d);
}

/* More than a pipe holds: no waker waits, and none of it is left over. */
static void takes_more_wake_ups_than_a_pipe(const char *backend)
{
    enum { MANY = 100000 };
    if (!start(&d, backend, &usual))
        return;
    for (int i = 0; i < MANY; i++)
        fl_wake(d.loop);
    CHECK_INT(write(fl_wake_fd(d.loop), "", 1), -1);
    CHECK_INT(turn(&d, -1), 0);
    fl_stats before, after;
    fl_read_stats(d.loop, &before);
    CHECK_INT(turn(&d, 20), 0);
    fl_read_stats(d.loop, &after);
    CHECK(after.turns - before.turns < 4);
    finish(&d);
}

int main(void)
{
    ON_EACH_BACKEND(returns_for_every_wake_up);
    ON_EACH_BACKEND(takes_more_wake_ups_than_a_pipe);
    return t_end();
}
