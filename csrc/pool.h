/* pool.h -- threads for calls that may block, and a bounded queue in front of them. Level 2.
 *
 * The pool knows no loop: a job is run by some thread, put in the list of those that are done, and
 * the owner is woken to collect it. One thread, the owner, submits and collects. */
#ifndef FL_POOL_H
#define FL_POOL_H

#include <pthread.h>

#include "base.h"

/* Embedded in what the job is about. The pool's from pool_submit() until it comes back from
 * pool_collect() or pool_stop(). */
struct pool_job {
    struct pool_job *next;
    void (*run)(struct pool_job *job); /* on a thread of the pool */
};

/* What run in the order they came. */
struct pool_list {
    struct pool_job *first;
    struct pool_job *last;
};

struct pool {
    pthread_mutex_t lock; /* of everything below but the limits; held for a few loads and stores */
    pthread_cond_t work;  /* there is a job, or the pool is stopping */
    struct pool_list queue;
    struct pool_list done;
    pthread_t *threads;
    uint32_t queued, started, idle;
    uint32_t most_threads, most_queued;
    bool stopping;
    void (*wake)(void *user); /* from any thread of the pool: there is something to collect */
    void *user;
};

/* A pool without threads yet: each starts when a job finds none idle. Returns 0 or -errno. */
int pool_init(struct pool *p, uint32_t threads, uint32_t queue, void (*wake)(void *user),
              void *user);

/* Queues a job. Returns 0; FL_EFULL when as many jobs as allowed are waiting, unless it is
 * `urgent`; or -errno when there is no thread and none can be started. Then the job stays the
 * caller's. */
int pool_submit(struct pool *p, struct pool_job *job, bool urgent);

/* The jobs that were run since the last call, linked by next; NULL: none. */
struct pool_job *pool_collect(struct pool *p);

/* Waits for the jobs that are running and ends the threads. Returns all jobs that were not
 * collected, run or not, linked by next. */
struct pool_job *pool_stop(struct pool *p);

/* In the child of a fork(), where the threads do not exist and the lock is in any state: frees the
 * memory and touches nothing else. The jobs are lost to the pool. */
void pool_forget(struct pool *p);

#endif
