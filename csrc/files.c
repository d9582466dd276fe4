/* files.c -- reading files for handlers, and keeping ahead of those that are sent.
 *
 * Workload: files that are in use are in the page cache. So everything is tried first on the loop's
 * thread in the way that fails rather than wait (disk.h), and only what failed goes to the pool. A
 * job costs a wake-up of a thread and one of the loop: far less than the disk it waits for.
 *
 * Invariants: a job is in `jobs` from files_submit() until its done(). Connections are named by id
 * and holes by ticket, so a job whose connection is gone finds nothing. Only what runs as `work` is
 * on another thread: it touches the job alone. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define INTERNAL ((uint64_t)1 << 62) /* in all tickets of ours: users count from 1 */

enum {
    AT_ONCE = 256 * 1024, /* the most that is copied on the loop's thread at a time */
    LARGEST = 512 << 20,  /* for a handler: a batch has to hold it */
    BATCH = 64 << 20,     /* what is read and not yet handed over, about */
    PIECE = 64 * 1024,    /* of a file whose size is not known */
};

/* -- the service -- */

int files_init(struct files *f, struct conns *t, uint32_t threads, uint32_t queue,
               void (*wake)(void *user), void *user)
{
    *f = (struct files){.conns = t};
    list_init(&f->jobs);
    return pool_init(&f->pool, threads == 0 ? FILES_THREADS : threads,
                     queue == 0 ? FILES_QUEUE : queue, wake, user);
}

static bool batch_full(const struct conns *t)
{
    return t->inbox.files.items.len >= BATCH;
}

/* Returns what there was no room for in the batch. */
static struct pool_job *finish(struct pool_job *pool, struct conns *t)
{
    while (pool != NULL && (t == NULL || !batch_full(t))) {
        struct files_job *job = container_of(pool, struct files_job, pool);
        pool = pool->next;
        list_remove(&job->link);
        job->done(job, t);
    }
    return pool;
}

void files_free(struct files *f)
{
    finish(f->late, NULL);
    finish(pool_stop(&f->pool), NULL);
}

void files_forget(struct files *f)
{
    pool_forget(&f->pool);
}

uint64_t files_ticket(struct files *f)
{
    return INTERNAL | ++f->tickets;
}

static void run(struct pool_job *pool)
{
    struct files_job *job = container_of(pool, struct files_job, pool);
    job->work(job);
}

int files_submit(struct files *f, struct files_job *job, bool middle)
{
    job->pool.run = run;
    int rc = pool_submit(&f->pool, &job->pool, middle);
    if (rc == 0)
        list_append(&f->jobs, &job->link);
    return rc;
}

void files_collect(struct files *f)
{
    if (list_empty(&f->jobs))
        return;
    f->late = finish(f->late, f->conns);
    if (f->late == NULL)
        f->late = finish(pool_collect(&f->pool), f->conns);
}

struct conn *files_waiter(struct conns *t, uint64_t id, uint64_t ticket)
{
    struct conn *c = conn_find(t, id);
    return c != NULL && wire_exchange(&c->out, ticket) != NULL ? c : NULL;
}

/* -- a file and what is wanted of it -- */

static int read_int(struct codec_reader *r, int64_t *n)
{
    struct codec_value v = {0};
    int rc = codec_read(r, &v);
    *n = v.integer;
    return rc == 0 && v.type != CODEC_INTEGER ? FL_EOUTBOX : rc;
}

static int take_name(struct files_want *want, const struct codec_value *v)
{
    if (v->type == CODEC_INTEGER) {
        want->fd = v->integer < 0 || v->integer > INT_MAX ? -1 : (int)v->integer;
        return want->fd < 0 ? -EBADF : 0;
    }
    if (v->len >= sizeof want->path)
        return -ENAMETOOLONG;
    if (memchr(v->data, '\0', v->len) != NULL)
        return -EINVAL;
    memcpy(want->path, v->data, v->len);
    want->path[v->len] = '\0';
    return v->len == 0 ? -ENOENT : 0;
}

int files_want(struct codec_reader *r, struct files_want *want)
{
    struct codec_value v = {0};
    int64_t offset;
    if (codec_read(r, &v) < 0 ||
        (v.type != CODEC_BYTES && v.type != CODEC_TEXT && v.type != CODEC_INTEGER) ||
        read_int(r, &offset) < 0 || read_int(r, &want->count) < 0)
        return FL_EOUTBOX;
    want->offset = (uint64_t)offset;
    want->fd = -1;
    return offset < 0 || want->count < -1 ? -EINVAL : take_name(want, &v);
}

static int check_regular(int fd, uint64_t *size)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    *size = (uint64_t)st.st_size;
    if (S_ISREG(st.st_mode))
        return 0;
    return S_ISDIR(st.st_mode) ? -EISDIR : -ESPIPE; /* a FIFO might make us wait for ever */
}

int files_open(const struct files_want *want, bool now, uint64_t *size)
{
    int fd = want->fd < 0 ? disk_open(DISK_ANYWHERE, want->path, now)
                          : fcntl(want->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return want->fd < 0 ? fd : -errno;
    int rc = check_regular(fd, size);
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

uint64_t files_part_of(const struct files_want *want, uint64_t size)
{
    uint64_t left = want->offset < size ? size - want->offset : 0;
    return want->count >= 0 && (uint64_t)want->count < left ? (uint64_t)want->count : left;
}

/* -- reading for a handler -- */

struct read_job {
    struct files_job job;
    struct files_want want;
    uint32_t slot;
    int rc;
    struct buf data;
};

/* A file that says it has no bytes may still have some: those of /proc are made when read. */
static int read_unsized(int fd, const struct files_want *want, struct buf *out)
{
    size_t most = want->count < 0 || want->count > LARGEST ? LARGEST + 1 : (size_t)want->count;
    while (out->len < most) {
        size_t n = min_size(PIECE, most - out->len);
        char *room = buf_room(out, n);
        ssize_t got =
            room == NULL ? -ENOMEM : disk_read(fd, room, n, want->offset + out->len, false);
        if (got < 0)
            return (int)got;
        out->len += (size_t)got;
        if ((size_t)got < n)
            return 0;
    }
    return out->len > LARGEST ? -EFBIG : 0;
}

static int read_sized(int fd, const struct files_want *want, uint64_t n, bool now, struct buf *out)
{
    if (n > LARGEST)
        return -EFBIG;
    if (n == 0) /* there is no such room */
        return 0;
    char *room = buf_room(out, n);
    ssize_t got = room == NULL ? -ENOMEM : disk_read(fd, room, n, want->offset, now);
    out->len = got < 0 ? 0 : (size_t)got;
    return got < 0 ? (int)got : 0;
}

static int read_wanted(const struct files_want *want, bool now, struct buf *out)
{
    uint64_t size = 0;
    int rc;
    int fd = files_open(want, now, &size);
    if (fd < 0)
        return fd;
    uint64_t n = files_part_of(want, size);
    if (now && (size == 0 || n > AT_ONCE))
        rc = -EAGAIN;
    else if (size == 0)
        rc = read_unsized(fd, want, out);
    else
        rc = read_sized(fd, want, n, now, out);
    close(fd);
    return rc;
}

static void read_work(struct files_job *job)
{
    struct read_job *read = container_of(job, struct read_job, job);
    read->rc = read_wanted(&read->want, false, &read->data);
}

static void tell(struct conns *t, uint32_t slot, const struct buf *data, int rc)
{
    const char *bytes = data->data == NULL ? "" : data->data;
    rc = inbox_file(&t->inbox, slot, bytes, rc < 0 ? rc : (ssize_t)data->len);
    if (rc < 0)
        inbox_file(&t->inbox, slot, NULL, rc);
}

static void read_done(struct files_job *job, struct conns *t)
{
    struct read_job *read = container_of(job, struct read_job, job);
    if (t != NULL)
        tell(t, read->slot, &read->data, read->rc);
    buf_free(&read->data);
    free(read);
}

static int read_later(struct files *f, uint32_t slot, const struct files_want *want)
{
    struct read_job *read = calloc(1, sizeof *read);
    if (read == NULL)
        return -ENOMEM;
    read->job.work = read_work;
    read->job.done = read_done;
    read->want = *want;
    read->slot = slot;
    int rc = files_submit(f, &read->job, false);
    if (rc < 0)
        free(read);
    return rc;
}

int files_read(struct files *f, struct codec_reader *r)
{
    struct files_want want;
    struct buf data = {0};
    int64_t slot;
    if (read_int(r, &slot) < 0 || slot < 0 || slot > INT32_MAX)
        return FL_EOUTBOX;
    int rc = files_want(r, &want);
    if (rc == FL_EOUTBOX || want.fd >= 0) {
        tell(f->conns, (uint32_t)slot, &data, -EINVAL); /* somebody waits */
        return FL_EOUTBOX;
    }
    if (rc == 0)
        rc = batch_full(f->conns) ? -EAGAIN : read_wanted(&want, true, &data);
    if (rc == -EAGAIN) {
        buf_free(&data);
        rc = read_later(f, (uint32_t)slot, &want);
        if (rc == 0)
            return 0;
    }
    tell(f->conns, (uint32_t)slot, &data, rc);
    buf_free(&data);
    return 0;
}

/* -- keeping ahead of what is sent -- */

struct warm_job {
    struct files_job job;
    struct blob *file;
    uint64_t id, ticket;
    uint64_t offset;
    size_t len;
};

/* Reading is what brings it to memory; the bytes themselves are not wanted. What goes wrong here
 * goes wrong again when it is sent. */
static void warm_work(struct files_job *job)
{
    struct warm_job *warm = container_of(job, struct warm_job, job);
    char bytes[16 * 1024];
    for (size_t at = 0; at < warm->len; at += sizeof bytes) {
        size_t n = min_size(sizeof bytes, warm->len - at);
        if (disk_read(warm->file->fd, bytes, n, warm->offset + at, false) < (ssize_t)n)
            break;
    }
}

static void warm_done(struct files_job *job, struct conns *t)
{
    struct warm_job *warm = container_of(job, struct warm_job, job);
    struct conn *c = t == NULL ? NULL : files_waiter(t, warm->id, warm->ticket);
    struct queue nothing = {0};
    if (c != NULL) {
        wire_fill(&t->wire, &c->out, warm->ticket, &nothing, true);
        struct span *file = wire_file(&c->out);
        if (file != NULL)
            file->file.warm = warm->offset + warm->len;
        conn_replied(t, c);
        conn_touch(t, c);
    }
    wire_unblob(warm->file);
    free(warm);
}

static int warm_up(struct files *f, struct conn *c, const struct span *file, size_t n)
{
    struct warm_job *warm = calloc(1, sizeof *warm);
    if (warm == NULL)
        return -ENOMEM;
    *warm = (struct warm_job){.file = file->owner, .id = conn_id(c), .ticket = files_ticket(f)};
    warm->offset = file->file.offset;
    warm->len = n;
    warm->job.work = warm_work;
    warm->job.done = warm_done;
    int rc = wire_hold(&f->conns->wire, &c->out, warm->ticket);
    if (rc == 0)
        rc = files_submit(f, &warm->job, true);
    if (rc < 0) {
        struct queue nothing = {0};
        wire_fill(&f->conns->wire, &c->out, warm->ticket, &nothing, true);
        free(warm);
        return rc;
    }
    warm->file->refs++;
    c->in_flight++;
    return 0;
}

ssize_t files_ready(struct files *f, struct conn *c)
{
    const struct span *file = wire_file(&c->out);
    uint64_t at = file->file.offset;
    size_t n = min_size(file->len, FILES_WINDOW);
    if (file->file.warm > at)
        return (ssize_t)min_size(n, file->file.warm - at);
    if (disk_resident(file->owner->fd, at, n))
        return (ssize_t)n;
    return warm_up(f, c, file, n);
}
