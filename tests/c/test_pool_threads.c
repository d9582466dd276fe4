/* pool.c: jobs run once each, come back, in bounded number, and stopping loses none. Also run under
 * the thread sanitizer. Jobs wait for gates, never for time. */
#include <pthread.h>
#include <signal.h>

#include "fastloop.h"
#include "pool.h"
#include "t.h"

/* Opened once, for all who wait at it. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int count;
};

#define GATE                                                                                       \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0                                     \
    }

static void gate_add(struct gate *g, int n)
{
    pthread_mutex_lock(&g->lock);
    g->count += n;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static void gate_wait(struct gate *g, int count)
{
    pthread_mutex_lock(&g->lock);
    while (g->count < count)
        pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

struct work {
    struct pool_job job;
    struct gate *entered;
    struct gate *leave; /* NULL: at once */
    int runs;
    bool signals; /* any that is not blocked */
};

static void run(struct pool_job *job)
{
    struct work *w = container_of(job, struct work, job);
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    w->signals = !sigismember(&blocked, SIGINT) || !sigismember(&blocked, SIGTERM);
    w->runs++;
    if (w->entered != NULL)
        gate_add(w->entered, 1);
    if (w->leave != NULL)
        gate_wait(w->leave, 1);
}

static void wake(void *user)
{
    gate_add(user, 1);
}

static int length(const struct pool_job *job)
{
    int n = 0;
    for (; job != NULL; job = job->next)
        n++;
    return n;
}

static void every_job_runs_once_and_comes_back(void)
{
    enum { JOBS = 500 };
    static struct work works[JOBS];
    struct gate woken = GATE;
    struct pool p;
    int back = 0;
    if (!CHECK_INT(pool_init(&p, 4, JOBS, wake, &woken), 0))
        return;
    CHECK_INT(p.started, 0);
    for (int i = 0; i < JOBS; i++) {
        works[i] = (struct work){.job.run = run};
        CHECK_INT(pool_submit(&p, &works[i].job, false), 0);
    }
    for (int wakes = 1; back < JOBS; wakes++) {
        gate_wait(&woken, wakes); /* each time it wakes there is something, or there was */
        back += length(pool_collect(&p));
    }
    CHECK_INT(length(pool_stop(&p)), 0);
    for (int i = 0; i < JOBS; i++) {
        CHECK_INT(works[i].runs, 1);
        CHECK(!works[i].signals);
    }
}

static void the_queue_is_bounded(void)
{
    struct gate woken = GATE, entered = GATE, leave = GATE;
    struct work works[5];
    struct pool p;
    if (!CHECK_INT(pool_init(&p, 1, 2, wake, &woken), 0))
        return;
    for (int i = 0; i < 5; i++)
        works[i] = (struct work){.job.run = run, .entered = &entered, .leave = &leave};
    CHECK_INT(pool_submit(&p, &works[0].job, false), 0);
    gate_wait(&entered, 1); /* it runs: the queue is empty */
    CHECK_INT(pool_submit(&p, &works[1].job, false), 0);
    CHECK_INT(pool_submit(&p, &works[2].job, false), 0);
    CHECK_INT(pool_submit(&p, &works[3].job, false), FL_EFULL);
    CHECK_INT(p.started, 1);
    CHECK_INT(pool_submit(&p, &works[4].job, true), 0);
    gate_add(&leave, 1);
    gate_wait(&entered, 4);
    CHECK_INT(length(pool_stop(&p)), 4); /* whoever was not collected */
    CHECK_INT(works[3].runs, 0);
}

/* A thread more for each job that finds none idle, and no thread for one that does. */
static void threads_start_as_needed(void)
{
    struct gate woken = GATE, entered = GATE, leave = GATE;
    struct work works[3];
    struct pool p;
    if (!CHECK_INT(pool_init(&p, 2, 8, wake, &woken), 0))
        return;
    for (int i = 0; i < 3; i++)
        works[i] = (struct work){.job.run = run, .entered = &entered, .leave = &leave};
    CHECK_INT(pool_submit(&p, &works[0].job, false), 0);
    gate_wait(&entered, 1);
    CHECK_INT(p.started, 1);
    CHECK_INT(pool_submit(&p, &works[1].job, false), 0);
    gate_wait(&entered, 2); /* both run at the same time */
    CHECK_INT(p.started, 2);
    CHECK_INT(pool_submit(&p, &works[2].job, false), 0);
    CHECK_INT(p.started, 2);
    gate_add(&leave, 1);
    gate_wait(&entered, 3);
    CHECK_INT(length(pool_stop(&p)), 3);
}

static void stopping_waits_for_what_runs_and_returns_the_rest(void)
{
    struct gate woken = GATE, entered = GATE, leave = GATE;
    struct work works[3];
    struct pool p;
    if (!CHECK_INT(pool_init(&p, 1, 8, wake, &woken), 0))
        return;
    for (int i = 0; i < 3; i++)
        works[i] = (struct work){.job.run = run, .entered = &entered, .leave = &leave};
    for (int i = 0; i < 3; i++)
        CHECK_INT(pool_submit(&p, &works[i].job, false), 0);
    gate_wait(&entered, 1);
    gate_add(&leave, 1);
    CHECK_INT(length(pool_stop(&p)), 3);
    CHECK_INT(works[0].runs, 1);
    CHECK(works[1].runs <= 1 && works[2].runs <= works[1].runs);
}

static void one_that_was_never_used_stops(void)
{
    struct gate woken = GATE;
    struct pool p;
    if (CHECK_INT(pool_init(&p, 4, 8, wake, &woken), 0))
        CHECK(pool_stop(&p) == NULL);
    if (CHECK_INT(pool_init(&p, 4, 8, wake, &woken), 0))
        pool_forget(&p);
    CHECK_INT(woken.count, 0);
}

int main(void)
{
    every_job_runs_once_and_comes_back();
    the_queue_is_bounded();
    threads_start_as_needed();
    stopping_waits_for_what_runs_and_returns_the_rest();
    one_that_was_never_used_stops();
    return t_end();
}
