/* files_part.c -- parts of files among what a connection is sent.
 *
 * Workload: a response of HTTP that is a file, or some pieces and then a file. It leaves by
 * sendfile() when its turn in the queue comes; here it is only opened, and put there.
 *
 * Invariant: as in files.c, a job knows its connection by id, and its hole by ticket. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "files.h"
#include "frame_http_reply.h"

struct part_job {
    struct files_job job;
    struct files_want want;
    uint64_t id, ticket;
    uint64_t size;
    int fd;
    bool until_close; /* the body that it is of ends with the connection */
};

/* What HTTP was told would come has to: a file that is shorter by now ends the connection when it
 * is sent, as every file that shrinks does. */
static int append_part(struct conns *t, struct queue *q, const struct files_want *want, int fd,
                       uint64_t size)
{
    uint64_t n = want->exact ? (uint64_t)want->count : files_part_of(want, size);
    struct blob *blob = wire_blob_of(fd);
    if (blob == NULL) {
        close(fd);
        return -ENOMEM;
    }
    int rc = wire_lend(&t->wire, q, blob, want->offset, n);
    wire_unblob(blob);
    return rc;
}

static void part_work(struct files_job *job)
{
    struct part_job *part = container_of(job, struct part_job, job);
    part->fd = files_open(&part->want, false, &part->size);
}

static bool is_until_close(const struct conns *t, const struct conn *c, const struct exchange *x)
{
    return x->stage == STAGE_RAW && conn_framing(t, c)->http != NULL;
}

/* Nothing can be said in the place of bytes that do not exist: what is in front of them is sent,
 * and that is the end; a reset, where a close would tell the peer that it has them all. */
static void end_at(struct conns *t, struct conn *c, const struct part_job *part, int why)
{
    if (part->until_close) {
        conn_fail(t, c, -ECONNRESET);
        return;
    }
    conn_because(c, why);
    wire_cut(&t->wire, &c->out, part->ticket);
    conn_finish(t, c, wire_holes(&c->out));
}

static void part_done(struct files_job *job, struct conns *t)
{
    struct part_job *part = container_of(job, struct part_job, job);
    struct conn *c = t == NULL ? NULL : files_waiter(t, part->id, part->ticket);
    struct queue q = {0};
    if (c == NULL) {
        if (part->fd >= 0)
            close(part->fd);
    } else {
        int rc = part->fd;
        if (rc >= 0)
            rc = append_part(t, &q, &part->want, part->fd, part->size);
        if (rc < 0)
            end_at(t, c, part, rc);
        if (c->state != CONN_DEAD) {
            wire_fill(&t->wire, &c->out, part->ticket, &q, true);
            conn_replied(t, c);
            conn_touch(t, c);
        }
    }
    free(part);
}

static int part_later(struct files *f, struct conn *c, struct queue *q,
                      const struct files_want *want, bool until_close)
{
    const struct exchange none = {.stage = STAGE_NONE};
    struct part_job *part = calloc(1, sizeof *part);
    if (part == NULL)
        return -ENOMEM;
    part->job.work = part_work;
    part->job.done = part_done;
    part->want = *want;
    part->id = conn_id(c);
    part->ticket = files_ticket(f);
    part->fd = -1;
    part->until_close = until_close;
    int rc = wire_hole(&f->conns->wire, q, part->ticket, &none);
    if (rc == 0)
        rc = files_submit(f, &part->job, false);
    if (rc < 0)
        free(part);
    else
        c->in_flight++;
    return rc;
}

/* What a part is to a body of HTTP. Returns 1 if it is to be sent, 0 if not, or FL_EVALUE. */
static int fit_body(struct exchange *x, struct files_want *want)
{
    if (x->stage == STAGE_MUTE)
        return 0;
    if (x->stage == STAGE_NEW || x->stage == STAGE_NONE || want->count < 0)
        return FL_EVALUE;
    if (x->stage == STAGE_COUNTED) {
        if ((uint64_t)want->count > x->left)
            return FL_EVALUE;
        x->left -= (uint64_t)want->count;
    }
    want->exact = true;
    return want->count > 0;
}

/* Appends it, or a hole for it. Returns 0, or what is wrong with it. */
static int append(struct files *f, struct conn *c, const struct exchange *x, struct queue *q,
                  const struct files_want *want)
{
    uint64_t size = 0;
    int fd = files_open(want, true, &size);
    if (fd >= 0)
        return append_part(f->conns, q, want, fd, size);
    return fd == -EAGAIN ? part_later(f, c, q, want, is_until_close(f->conns, c, x)) : fd;
}

static int append_chunk(struct files *f, struct conn *c, const struct exchange *x, struct queue *q,
                        const struct files_want *want)
{
    int rc = http_chunk(&f->conns->wire, q, (uint64_t)want->count);
    if (rc == 0)
        rc = append(f, c, x, q, want);
    return rc == 0 ? wire_put(&f->conns->wire, q, "\r\n", 2) : rc;
}

/* The same where nothing holds its place: nothing more is said of the response either, since a last
 * chunk would end it as if it were whole. */
static int end_here(struct conns *t, struct conn *c, struct exchange *x, int why)
{
    bool until_close = is_until_close(t, c, x);
    if (x->stage != STAGE_NEW) /* which may still become an error */
        x->stage = STAGE_NONE;
    if (until_close) {
        conn_fail(t, c, -ECONNRESET);
    } else {
        conn_because(c, why);
        conn_close(t, c);
    }
    return REPLY_LAST;
}

int files_part(struct files *f, struct conn *c, struct exchange *x, struct queue *q,
               struct codec_reader *r)
{
    struct files_want want = {0};
    struct wire_mark mark = wire_mark(q);
    int rc = files_want(r, &want);
    if (rc == FL_EOUTBOX)
        return rc;
    if (rc == 0 && conn_framing(f->conns, c)->http != NULL) {
        int fits = fit_body(x, &want);
        if (fits <= 0)
            return fits;
    }
    if (rc == 0)
        rc = want.exact && x->stage == STAGE_CHUNKED ? append_chunk(f, c, x, q, &want)
                                                     : append(f, c, x, q, &want);
    if (rc == 0)
        return REPLY_SAID;
    wire_undo(&f->conns->wire, q, mark);
    return rc == -ENOMEM ? rc : end_here(f->conns, c, x, rc);
}
