/* test_watch_threads.c -- a caller that stays away from its loop, and the thread that is told. */
#include <errno.h>
#include <pthread.h>

#include "clock.h"
#include "fastloop.h"
#include "t.h"
#include "watch.h"

static fl_watch *w;

static void open_watch(uint32_t limit_ms, uint32_t loops)
{
    int error = 1;
    w = fl_watch_open(limit_ms, loops, &error);
    CHECK_INT(error, 0);
    if (w == NULL)
        abort();
}

static void tells_each_stay_once(void)
{
    int n = -1;
    open_watch(1, 2);
    watch_stamp *first = watch_take(w, &n);
    watch_stamp *second = watch_take(w, &n);
    CHECK_INT(n, 1);
    CHECK(watch_take(w, &n) == NULL);
    uint64_t long_ago = clock_us() - 1000000;
    watch_leave(second, long_ago);
    CHECK_INT(fl_watch_wait(w), 1);
    CHECK(fl_watch_away(w, 1) >= 1000000);
    watch_return(second);
    CHECK_INT(fl_watch_away(w, 1), 0);
    watch_leave(first, long_ago); /* an overdue one, while nothing is said of the other */
    watch_leave(second, long_ago + 1);
    CHECK_INT(fl_watch_wait(w), 0);
    CHECK_INT(fl_watch_wait(w), 1);
    fl_watch_stop(w); /* both are overdue still, and were told of */
    CHECK_INT(fl_watch_wait(w), -1);
    CHECK_INT(fl_watch_wait(w), -1);
    fl_watch_free(w);
    fl_watch_free(NULL);
}

static void is_no_hurry_for_who_is_in_time(void)
{
    int n = -1;
    open_watch(1000000, 1);
    watch_leave(watch_take(w, &n), clock_us());
    fl_watch_stop(w);
    CHECK_INT(fl_watch_wait(w), -1);
    fl_watch_free(w);
}

/* A stamp that is NULL belongs to a loop that nobody watches. */
static void leaves_others_alone(void)
{
    watch_leave(NULL, 1);
    watch_return(NULL);
    int error = 0;
    fl_config config = {.backend = "auto", .max_connections = 10};
    fl_loop *a = fl_open(&config, &error), *b = fl_open(&config, &error);
    CHECK(a != NULL && b != NULL);
    open_watch(1, 1);
    CHECK_INT(fl_watch_add(w, a), 0);
    CHECK_INT(fl_watch_add(w, b), -ENOSPC);
    CHECK_INT(fl_step(b, NULL, 0, 0), 0);
    CHECK_INT(fl_step(a, NULL, 0, 0), 0); /* and does not come back */
    CHECK_INT(fl_watch_wait(w), 0);
    CHECK(fl_watch_away(w, 0) > 0);
    CHECK_INT(fl_flush(a, NULL, 0), 0); /* a slice is over: that is another stay */
    CHECK_INT(fl_watch_away(w, 0), 0);
    CHECK_INT(fl_watch_wait(w), 0);
    fl_free(a);
    fl_free(b);
    fl_watch_free(w);
}

static void *turn(void *loop)
{
    for (int i = 0; i < 200; i++)
        CHECK_INT(fl_step(loop, NULL, 0, 0), 0);
    return NULL;
}

static void *wait_on(void *told)
{
    while (fl_watch_wait(w) >= 0)
        ++*(int *)told;
    return NULL;
}

static void looks_while_loops_turn(void)
{
    int error = 0, told = 0;
    pthread_t watching, turning;
    fl_config config = {.backend = "auto", .max_connections = 10};
    fl_loop *loop = fl_open(&config, &error);
    open_watch(1, 1);
    CHECK_INT(fl_watch_add(w, loop), 0);
    CHECK_INT(pthread_create(&watching, NULL, wait_on, &told), 0);
    CHECK_INT(pthread_create(&turning, NULL, turn, loop), 0);
    CHECK_INT(pthread_join(turning, NULL), 0);
    fl_watch_stop(w);
    CHECK_INT(pthread_join(watching, NULL), 0);
    CHECK(told >= 0 && told <= 200); /* however slow this machine is, no stay is told of twice */
    fl_free(loop);
    fl_watch_free(w);
}

int main(void)
{
    tells_each_stay_once();
    is_no_hurry_for_who_is_in_time();
    leaves_others_alone();
    looks_while_loops_turn();
    return t_end();
}
