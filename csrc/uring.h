/* uring.h -- a ring of Linux' io_uring, by its system calls alone: set-up, submission together with
 * the wait, and buffers that the kernel picks for what it receives. Level 2.
 *
 * Knows no connections. A ring is made disabled, on any thread; the thread that calls
 * uring_enable() is then the only one that may enter it (the kernel refuses others). Completions
 * come only while it is entered (DEFER_TASKRUN). Of Linux alone. */
#ifndef FL_URING_H
#define FL_URING_H

#include "base.h"
#include "uring_abi.h"

enum {
    URING_SQ = 1024,
    URING_CQ = 8192,
    URING_BUFFERS = 1024,
    URING_BUFFER = 2048, /* bytes of one: more than most requests */
};

struct uring {
    int fd;
    int news; /* readable when there is something to be told; -1: nobody asked for it */
    bool enabled;
    void *rings; /* both queues, mapped from the kernel */
    size_t rings_size;
    struct uring_sqe *sqes; /* ... and the submissions */
    size_t sqes_size;
    uint32_t *sq_head, *sq_tail, *sq_flags, *cq_head, *cq_tail;
    uint32_t sq_mask, cq_mask, sq_entries;
    uint32_t tail; /* of the submissions; the kernel sees it when it is entered */
    struct uring_cqe *cqes;
    struct uring_buf *buffers; /* the ring of buffers, and behind it the buffers */
    uint16_t buffers_tail;
};

/* Tries out everything that is needed. Returns 0 or -errno: of the kernel, or -EOPNOTSUPP if it
 * lacks a part. */
int uring_open(struct uring *r);
void uring_close(struct uring *r);

/* From now on this thread enters it. Returns 0 or -errno. */
int uring_enable(struct uring *r);

/* A submission to be filled in, all zero; NULL: there is no room before uring_enter(). */
struct uring_sqe *uring_sqe(struct uring *r);

/* Submissions are numbered; the kernel has taken those below this, and r->tail is the next one. */
uint32_t uring_taken(const struct uring *r);

/* One that is not taken yet. */
static inline struct uring_sqe *uring_sqe_at(const struct uring *r, uint32_t n)
{
    return &r->sqes[n & r->sq_mask];
}

/* Submits, and waits for so many completions to be unseen, at most timeout_ms (-1: no limit; 0: not
 * at all). Returns 0 or -errno; -EINTR is a signal. */
int uring_enter(struct uring *r, uint32_t completions, int timeout_ms);

/* Completions are numbered; those from *first up to *end are unseen. */
void uring_unseen(const struct uring *r, uint32_t *first, uint32_t *end);

static inline struct uring_cqe *uring_cqe(const struct uring *r, uint32_t n)
{
    return &r->cqes[n & r->cq_mask];
}

/* All up to this number were seen. */
void uring_seen(struct uring *r, uint32_t end);

/* Whether the kernel has completions that there was no room for: they come when it is entered. */
bool uring_overflown(const struct uring *r);

/* A descriptor that is readable from when the kernel has something to tell until uring_read_news().
 * The ring's own will not do: what is only told when it is entered wakes nobody who waits for that.
 * Returns it, or -1. */
int uring_news(struct uring *r);

/* What the last uring_enter() brought is seen to now: only what came since is news. */
void uring_read_news(struct uring *r);

/* A buffer that a completion names, and giving it back, which the kernel learns from
 * uring_publish(). */
char *uring_buffer(const struct uring *r, uint16_t bid);
void uring_recycle(struct uring *r, uint16_t bid);
void uring_publish(struct uring *r);

#endif
