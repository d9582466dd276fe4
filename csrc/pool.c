/* pool.c -- a few threads that take jobs from one queue.
 *
 * Workload: most reads of files need no thread, since the page cache has them; those that do wait
 * for a disk, for longer than all of this takes. So one lock and one condition for everything, and
 * threads that start only when they are needed.
 *
 * Rules: a job is touched by one thread at a time and handed over under the lock, so its fields
 * need none. The lock is never held while a job runs or while the owner is woken. The threads block
 * every signal: those are for the threads of the host. */
#include "pool.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "fastloop.h"

static void push(struct pool_list *l, struct pool_job *job)
{
    job->next = NULL;
    if (l->first == NULL)
        l->first = job;
    else
        l->last->next = job;
    l->last = job;
}

static struct pool_job *pop(struct pool_list *l)
{
    struct pool_job *job = l->first;
    l->first = job->next;
    return job;
}

static struct pool_job *take_all(struct pool_list *l)
{
    struct pool_job *all = l->first;
    *l = (struct pool_list){0};
    return all;
}

int pool_init(struct pool *p, uint32_t threads, uint32_t queue, void (*wake)(void *user),
              void *user)
{
    *p = (struct pool){.wake = wake, .user = user, .most_threads = threads, .most_queued = queue};
    p->threads = calloc(threads, sizeof *p->threads);
    if (p->threads == NULL)
        return -ENOMEM;
    int rc = pthread_mutex_init(&p->lock, NULL);
    if (rc == 0) {
        rc = pthread_cond_init(&p->work, NULL);
        if (rc != 0)
            pthread_mutex_destroy(&p->lock);
    }
    if (rc != 0)
        free(p->threads);
    return -rc;
}

/* Waits for a job; NULL when there will be none. The lock is held. */
static struct pool_job *next_job(struct pool *p)
{
    while (p->queue.first == NULL && !p->stopping) {
        p->idle++;
        pthread_cond_wait(&p->work, &p->lock);
        p->idle--;
    }
    if (p->stopping)
        return NULL;
    p->queued--;
    return pop(&p->queue);
}

static void *work(void *argument)
{
    struct pool *p = argument;
    struct pool_job *job;
    pthread_mutex_lock(&p->lock);
    while ((job = next_job(p)) != NULL) {
        pthread_mutex_unlock(&p->lock);
        job->run(job);
        pthread_mutex_lock(&p->lock);
        bool first = p->done.first == NULL;
        push(&p->done, job);
        pthread_mutex_unlock(&p->lock);
        if (first) /* one wake-up for all that are done before the owner comes */
            p->wake(p->user);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* One more thread. The lock is held: the thread waits for it. */
static int start(struct pool *p)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&p->threads[p->started], NULL, work, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        p->started++;
    return -rc;
}

int pool_submit(struct pool *p, struct pool_job *job, bool urgent)
{
    int rc = 0;
    pthread_mutex_lock(&p->lock);
    if (p->queued >= p->most_queued && !urgent)
        rc = FL_EFULL;
    else if (p->queued >= p->idle && p->started < p->most_threads)
        rc = start(p);
    if (rc == 0 || (rc != FL_EFULL && p->started > 0)) { /* the threads there are will do */
        push(&p->queue, job);
        p->queued++;
        pthread_cond_signal(&p->work);
        rc = 0;
    }
    pthread_mutex_unlock(&p->lock);
    return rc;
}

struct pool_job *pool_collect(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    struct pool_job *done = take_all(&p->done);
    pthread_mutex_unlock(&p->lock);
    return done;
}

struct pool_job *pool_stop(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->started; i++)
        pthread_join(p->threads[i], NULL);
    while (p->queue.first != NULL)
        push(&p->done, pop(&p->queue));
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p->threads);
    struct pool_job *left = take_all(&p->done);
    *p = (struct pool){0};
    return left;
}

void pool_forget(struct pool *p)
{
    free(p->threads);
    *p = (struct pool){0};
}
