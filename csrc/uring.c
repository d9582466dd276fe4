/* uring.c -- the queues that are shared with the kernel, and the three system calls.
 *
 * Workload: a turn fills in some ten to a few hundred submissions and enters the kernel once. What
 * can be had is found by doing it, never by the kernel's version: distributions patch, and
 * sandboxes forbid.
 *
 * Invariants: what the other side reads is published by a store with release, and read after a load
 * with acquire. The memory of buffers lives as long as the ring. One thread. */
#include "uring.h"

#if defined(__linux__)

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(sizeof(struct uring_sqe) == 64, "the kernel's layout");
_Static_assert(sizeof(struct uring_cqe) == 16, "the kernel's layout");
_Static_assert(sizeof(struct uring_params) == 120, "the kernel's layout");
_Static_assert(sizeof(struct uring_buf) == 16, "the kernel's layout");
_Static_assert(sizeof(struct uring_buf_reg) == 40, "the kernel's layout");
_Static_assert(offsetof(struct uring_sqe, user_data) == 32, "the kernel's layout");

enum {
    RING_OF_BUFFERS = URING_BUFFERS * sizeof(struct uring_buf),
    BUFFERS_SIZE = RING_OF_BUFFERS + URING_BUFFERS * URING_BUFFER,
    NEEDED = URING_SETUP_CQSIZE | URING_SETUP_CLAMP | URING_SETUP_R_DISABLED |
             URING_SETUP_SUBMIT_ALL | URING_SETUP_COOP_TASKRUN | URING_SETUP_TASKRUN_FLAG |
             URING_SETUP_SINGLE_ISSUER | URING_SETUP_DEFER_TASKRUN,
    FEATURES =
        URING_FEAT_SINGLE_MMAP | URING_FEAT_NODROP | URING_FEAT_EXT_ARG | URING_FEAT_CQE_SKIP,
    PROBE_MS = 1000,
};

static int negative_errno(long rc)
{
    return rc < 0 ? -errno : (int)rc;
}

static int do_register(const struct uring *r, int what, const void *arg, unsigned count)
{
    return negative_errno(syscall(URING_SYS_REGISTER, r->fd, what, arg, count));
}

/* -- making one -- */

/* Without the array between the queue's places and the submissions, where the kernel allows. */
static int set_up(struct uring *r, struct uring_params *p)
{
    for (uint32_t nice = URING_SETUP_NO_SQARRAY;; nice = 0) {
        *p = (struct uring_params){.flags = NEEDED | nice, .cq_entries = URING_CQ};
        r->fd = negative_errno(syscall(URING_SYS_SETUP, URING_SQ, p));
        if (r->fd != -EINVAL || nice == 0)
            return r->fd < 0 ? r->fd : 0;
    }
}

static int map(struct uring *r, const struct uring_params *p)
{
    size_t sq = p->sq_off.array + p->sq_entries * sizeof(uint32_t);
    size_t cq = p->cq_off.cqes + p->cq_entries * sizeof(struct uring_cqe);
    r->rings_size = max_size(sq, cq);
    r->sqes_size = p->sq_entries * sizeof(struct uring_sqe);
    void *rings =
        mmap(NULL, r->rings_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, 0);
    if (rings == MAP_FAILED)
        return -errno;
    r->rings = rings;
    void *sqes = mmap(NULL, r->sqes_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd,
                      URING_OFF_SQES);
    if (sqes == MAP_FAILED)
        return -errno;
    r->sqes = sqes;
    return 0;
}

static void find_queues(struct uring *r, const struct uring_params *p)
{
    char *at = r->rings;
    r->sq_head = (uint32_t *)(void *)(at + p->sq_off.head);
    r->sq_tail = (uint32_t *)(void *)(at + p->sq_off.tail);
    r->sq_flags = (uint32_t *)(void *)(at + p->sq_off.flags);
    r->cq_head = (uint32_t *)(void *)(at + p->cq_off.head);
    r->cq_tail = (uint32_t *)(void *)(at + p->cq_off.tail);
    r->cqes = (struct uring_cqe *)(void *)(at + p->cq_off.cqes);
    r->sq_entries = p->sq_entries;
    r->sq_mask = p->sq_entries - 1;
    r->cq_mask = p->cq_entries - 1;
    if (p->flags & URING_SETUP_NO_SQARRAY)
        return;
    uint32_t *array = (uint32_t *)(void *)(at + p->sq_off.array);
    for (uint32_t i = 0; i < p->sq_entries; i++)
        array[i] = i;
}

static int check_operations(const struct uring *r)
{
    static const int needed[] = {URING_OP_NOP, URING_OP_POLL_ADD, URING_OP_ASYNC_CANCEL,
                                 URING_OP_SEND, URING_OP_RECV};
    struct uring_probe probe = {0};
    int rc = do_register(r, URING_REGISTER_PROBE, &probe, URING_OP_LAST);
    for (size_t i = 0; i < countof(needed) && rc >= 0; i++) {
        if (!(probe.ops[needed[i]].flags & URING_OP_SUPPORTED))
            rc = -EOPNOTSUPP;
    }
    return rc;
}

static int give_buffers(struct uring *r)
{
    void *at = mmap(NULL, BUFFERS_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return -errno;
    r->buffers = at;
    struct uring_buf_reg reg = {.ring_addr = (uintptr_t)at, .ring_entries = URING_BUFFERS};
    int rc = do_register(r, URING_REGISTER_PBUF_RING, &reg, 1);
    if (rc < 0)
        return rc;
    for (int i = 0; i < URING_BUFFERS; i++)
        uring_recycle(r, (uint16_t)i);
    uring_publish(r);
    return 0;
}

static int make(struct uring *r)
{
    struct uring_params p;
    *r = (struct uring){.fd = -1, .news = -1};
    int rc = set_up(r, &p);
    if (rc < 0)
        return rc;
    if ((p.features & FEATURES) != FEATURES)
        return -EOPNOTSUPP;
    rc = map(r, &p);
    if (rc < 0)
        return rc;
    find_queues(r, &p);
    rc = check_operations(r);
    return rc < 0 ? rc : give_buffers(r);
}

/* -- trying it out -- */

/* Receives one byte as the driver does, into a buffer that the kernel picks, again and again. */
static int try_receiving(struct uring *r, const int ends[2])
{
    uint32_t first, end;
    int rc = uring_enable(r);
    if (rc < 0)
        return rc;
    struct uring_sqe *sqe = uring_sqe(r);
    sqe->opcode = URING_OP_RECV;
    sqe->flags = URING_SQE_BUFFER_SELECT;
    sqe->ioprio = URING_RECV_MULTISHOT | URING_RECV_POLL_FIRST;
    sqe->fd = ends[0];
    if (send(ends[1], "", 1, MSG_NOSIGNAL) < 0)
        return -errno;
    rc = uring_enter(r, 1, PROBE_MS);
    uring_unseen(r, &first, &end);
    if (rc < 0 || first == end)
        return rc < 0 ? rc : -EOPNOTSUPP;
    const struct uring_cqe *cqe = uring_cqe(r, first);
    if (cqe->res < 0)
        return cqe->res;
    bool good = cqe->res == 1 && (cqe->flags & URING_CQE_BUFFER) && (cqe->flags & URING_CQE_MORE);
    return good ? 0 : -EOPNOTSUPP;
}

static int try_out(void)
{
    struct uring r;
    int ends[2] = {-1, -1};
    int rc = make(&r);
    if (rc == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        rc = -errno;
    if (rc == 0)
        rc = try_receiving(&r, ends);
    uring_close(&r);
    if (ends[0] >= 0) {
        close(ends[0]);
        close(ends[1]);
    }
    return rc == -EINVAL ? -EOPNOTSUPP : rc; /* a flag that this kernel does not know */
}

int uring_open(struct uring *r)
{
    *r = (struct uring){.fd = -1, .news = -1};
    int rc = try_out();
    if (rc < 0)
        return rc;
    rc = make(r);
    if (rc < 0)
        uring_close(r);
    return rc;
}

void uring_close(struct uring *r)
{
    if (r->rings != NULL)
        munmap(r->rings, r->rings_size);
    if (r->sqes != NULL)
        munmap(r->sqes, r->sqes_size);
    if (r->fd >= 0)
        close(r->fd);
    if (r->news >= 0)
        close(r->news);
    if (r->buffers != NULL)
        munmap(r->buffers, BUFFERS_SIZE);
    *r = (struct uring){.fd = -1, .news = -1};
}

int uring_enable(struct uring *r)
{
    if (r->enabled)
        return 0;
    int rc = do_register(r, URING_REGISTER_ENABLE_RINGS, NULL, 0);
    r->enabled = rc >= 0;
    return rc < 0 ? rc : 0;
}

/* -- the queues -- */

uint32_t uring_taken(const struct uring *r)
{
    return __atomic_load_n(r->sq_head, __ATOMIC_ACQUIRE);
}

struct uring_sqe *uring_sqe(struct uring *r)
{
    if (unlikely(r->tail - uring_taken(r) == r->sq_entries))
        return NULL;
    struct uring_sqe *sqe = &r->sqes[r->tail++ & r->sq_mask];
    memset(sqe, 0, sizeof *sqe);
    return sqe;
}

int uring_enter(struct uring *r, uint32_t completions, int timeout_ms)
{
    struct uring_timespec ts = {timeout_ms / 1000, (int64_t)(timeout_ms % 1000) * 1000000};
    struct uring_getevents_arg arg = {.ts = timeout_ms > 0 ? (uintptr_t)&ts : 0};
    __atomic_store_n(r->sq_tail, r->tail, __ATOMIC_RELEASE);
    long rc =
        syscall(URING_SYS_ENTER, r->fd, r->tail - uring_taken(r), timeout_ms == 0 ? 0 : completions,
                URING_ENTER_GETEVENTS | URING_ENTER_EXT_ARG, &arg, sizeof arg);
    return rc < 0 && errno != ETIME ? -errno : 0;
}

void uring_unseen(const struct uring *r, uint32_t *first, uint32_t *end)
{
    *first = *r->cq_head; /* ours: only we change it */
    *end = __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE);
}

void uring_seen(struct uring *r, uint32_t end)
{
    __atomic_store_n(r->cq_head, end, __ATOMIC_RELEASE);
}

bool uring_overflown(const struct uring *r)
{
    return __atomic_load_n(r->sq_flags, __ATOMIC_RELAXED) & URING_SQ_CQ_OVERFLOW;
}

int uring_news(struct uring *r)
{
    if (r->news >= 0)
        return r->news;
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd >= 0 && do_register(r, URING_REGISTER_EVENTFD, &fd, 1) < 0) {
        close(fd);
        return -1;
    }
    r->news = fd;
    return fd;
}

/* Work that came before the reading may have been told by what was read; but then the flag for it
 * was set before. */
void uring_read_news(struct uring *r)
{
    uint64_t count;
    if (r->news < 0 || read(r->news, &count, sizeof count) < 0)
        return;
    count = 1;
    if ((__atomic_load_n(r->sq_flags, __ATOMIC_ACQUIRE) & URING_SQ_TASKRUN) &&
        write(r->news, &count, sizeof count) < 0)
        return; /* it is readable as it is */
}

/* -- buffers -- */

char *uring_buffer(const struct uring *r, uint16_t bid)
{
    return (char *)r->buffers + RING_OF_BUFFERS + (size_t)bid * URING_BUFFER;
}

void uring_recycle(struct uring *r, uint16_t bid)
{
    struct uring_buf *b = &r->buffers[r->buffers_tail++ & (URING_BUFFERS - 1)];
    b->addr = (uintptr_t)uring_buffer(r, bid);
    b->len = URING_BUFFER;
    b->bid = bid;
}

void uring_publish(struct uring *r)
{
    __atomic_store_n(&r->buffers[0].resv, r->buffers_tail, __ATOMIC_RELEASE);
}

#else

typedef int uring_is_not_of_this_platform;

#endif
