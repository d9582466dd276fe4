/* files.h -- what is read from disks for a loop: on its own thread if the page cache has it, else
 * on the pool. Level 4.
 *
 * The pool's threads know no connections. What they have done is collected once a turn, on the
 * loop's thread, where it is given to whoever waits. A reply that waits for a file is a hole in its
 * connection's queue with a ticket of files_ticket(), and counts as a message in flight. */
#ifndef FL_FILES_H
#define FL_FILES_H

#include "codec.h"
#include "conn.h"
#include "disk.h"
#include "pool.h"

enum {
    FILES_WINDOW = 512 * 1024, /* of a file is made sure to be in memory, and then sent */
    FILES_THREADS = 4,
    FILES_QUEUE = 1024,
};

/* Work for the pool; embedded in what it is about, which `done` frees. */
struct files_job {
    struct pool_job pool;
    struct link link; /* in files.jobs, from files_submit() on */
    void (*work)(struct files_job *job);
    void (*done)(struct files_job *job, struct conns *t); /* t NULL: the loop ends, nobody waits */
};

struct files {
    struct pool pool;
    struct conns *conns;
    struct link jobs;      /* all that were submitted and not done() */
    struct pool_job *late; /* collected, but there was no room in the batch */
    uint64_t tickets;
};

/* `wake` makes the loop's wait return, from any thread. Threads and queue of 0 are the defaults.
 * Returns 0 or -errno. */
int files_init(struct files *f, struct conns *t, uint32_t threads, uint32_t queue,
               void (*wake)(void *user), void *user);

/* Waits for what runs, and drops everything. */
void files_free(struct files *f);

/* In the child of a fork(), where the threads do not exist: what they were about is left alone. */
void files_forget(struct files *f);

/* A ticket for a hole that is filled when a job is done: no user has the same. */
uint64_t files_ticket(struct files *f);

/* Queues a job; jobs that something is already waiting for in the middle, as a response that is
 * being sent, are taken even if the queue is full. Returns as pool_submit() does. */
int files_submit(struct files *f, struct files_job *job, bool middle);

/* Gives out what is done. What does not fit a batch any more stays for the next call. */
void files_collect(struct files *f);

static inline bool files_left(const struct files *f)
{
    return f->late != NULL;
}

/* The connection that has a hole with this ticket, or NULL. */
struct conn *files_waiter(struct conns *t, uint64_t id, uint64_t ticket);

/* FL_READ: reads the arguments (slot, path, offset, count) and then the file, for inbox_file().
 * Returns 0 or FL_EOUTBOX. */
int files_read(struct files *f, struct codec_reader *r);

/* FL_PART: reads the arguments (path or fd, offset, count) and appends these bytes, or a hole for
 * them, to q, a queue for c. In a body of HTTP they are a piece: the count must be told, and fit
 * into its length if it has one. A descriptor stays the caller's. Returns REPLY_SAID; REPLY_LAST if
 * there is no such file (c closes, and c->why tells why); or FL_EOUTBOX, FL_EVALUE or -ENOMEM. */
int files_part(struct files *f, struct conn *c, struct exchange *x, struct queue *q,
               struct codec_reader *r);

/* -- among these files: what a caller wants of a file -- */

struct files_want {
    char path[DISK_PATH];
    int fd; /* borrowed: instead of a path; -1: none */
    uint64_t offset;
    int64_t count; /* -1: to the end */
    bool exact;    /* so many bytes, even if the file has less */
};

/* Reads (path or fd, offset, count). Returns 0, FL_EOUTBOX, or -errno for what can be no file. */
int files_want(struct codec_reader *r, struct files_want *want);

/* Opens a file that has offsets, or duplicates its descriptor. Returns the descriptor, the
 * caller's, or -errno: -EAGAIN if that would wait, and is to be done `now`. */
int files_open(const struct files_want *want, bool now, uint64_t *size);

/* How much of the wanted part exists. */
uint64_t files_part_of(const struct files_want *want, uint64_t size);

/* -- */

/* How many bytes may be sent of the file at the front of c's queue without waiting for a disk. 0:
 * none yet, a hole stands in front of it until they are read; or -ENOMEM. */
ssize_t files_ready(struct files *f, struct conn *c);

#endif
