/* load.c -- a load generator: asks, checks every byte of the answers, and measures.
 *
 * It is the client of `fastloop compare` and of bench/, and no part of a server. Closed loop: a
 * connection sends `depth` messages at once and the next ones when all are answered, as
 * redis-benchmark does with -P. The latency of a message runs from the first byte of its batch
 * being handed to the kernel to its own last byte being read.
 *
 * Workload: up to some ten thousand connections, all of them busy or none, small messages. The
 * client must cost less than any server: one read and one send for a batch, a poller's event for
 * each, no system call to tell the time more than once a read.
 *
 * What is said is the business of load_echo.c, load_same.c, load_http.c and load_ws.c. After an
 * error a load is good for fl_load_problem() and fl_load_free() alone. One thread uses a load. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "clock.h"
#include "sock.h"

enum { EVENTS = 256 /* of one wait */ };

static unsigned number(const fl_load *l, const struct load_conn *c)
{
    return (unsigned)(c - l->conns);
}

static int fail(fl_load *l, const struct load_conn *c, const char *what, int error)
{
    snprintf(l->problem, sizeof l->problem, "connection %u: %s: %s", number(l, c), what,
             error == 0 ? "closed by the server" : fl_strerror(error));
    return error == 0 ? -ECONNRESET : error;
}

/* -- the histogram: exact below 128 ns, then LOAD_PRECISION buckets for each power of two -- */

static void note(fl_load *l, uint64_t ns)
{
    unsigned shift = ns < 2 * LOAD_PRECISION ? 0 : 57u - (unsigned)__builtin_clzll(ns);
    size_t bucket = shift * LOAD_PRECISION + (ns >> shift);
    l->histogram[min_size(bucket, LOAD_BUCKETS - 1)]++;
    l->messages++;
    if (ns > l->slowest)
        l->slowest = ns;
}

/* The middle of the bucket that holds this share, in thousandths, of all latencies. */
static uint64_t percentile(const fl_load *l, unsigned share)
{
    uint64_t below = 0, wanted = l->messages * share / 1000;
    for (size_t i = 0; i < LOAD_BUCKETS; i++) {
        below += l->histogram[i];
        if (below > wanted) {
            size_t shift = i < 2 * LOAD_PRECISION ? 0 : i / LOAD_PRECISION - 1;
            uint64_t low = (uint64_t)(i - shift * LOAD_PRECISION) << shift;
            return low + ((uint64_t)1 << shift) / 2;
        }
    }
    return l->slowest;
}

/* -- for the dialects -- */

void load_stamp(const fl_load *l, char *to, const struct load_conn *c, uint32_t i)
{
    uint64_t stamp = (uint64_t)number(l, c) << 40 ^ (c->sequence + i);
    for (int at = LOAD_STAMP - 1; at >= 0; at--, stamp >>= 4)
        to[at] = "0123456789abcdef"[stamp & 15];
}

void load_fill(char *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (char)('a' + i % 26);
}

void load_answered(fl_load *l, struct load_conn *c, uint64_t now)
{
    c->got = 0;
    c->answered++;
    note(l, now - c->started);
}

int load_wrong(fl_load *l, const struct load_conn *c, const char *what)
{
    snprintf(l->problem, sizeof l->problem, "connection %u: wrong answer to message %llu: %s",
             number(l, c), (unsigned long long)(c->sequence + c->answered), what);
    return FL_EPROTO;
}

int load_room(fl_load *l, size_t size)
{
    l->batch = malloc(size * l->depth);
    return l->batch == NULL ? -ENOMEM : 0;
}

/* -- one connection -- */

static int watch(fl_load *l, struct load_conn *c, unsigned want)
{
    if (c->watched == want)
        return 0;
    int rc = l->poller.ops->set(&l->poller, c->fd, c->watched, want, number(l, c));
    if (rc < 0)
        return fail(l, c, "waiting", rc);
    c->watched = (uint8_t)want;
    return 0;
}

/* Sends what is left of the batch, as far as the kernel takes it. */
static int push(fl_load *l, struct load_conn *c)
{
    size_t len;
    char *batch = l->dialect->ask(l, c, &len);
    if (len == 0)
        return 0;
    struct iovec rest = {batch + c->sent, len - c->sent};
    ssize_t n = sock_send(c->fd, &rest, 1);
    if (n < 0 && n != -EAGAIN)
        return fail(l, c, "sending", (int)n);
    if (n > 0)
        c->sent += (size_t)n;
    return watch(l, c, c->sent < len ? IO_READ | IO_WRITE : IO_READ);
}

static int begin(fl_load *l, struct load_conn *c)
{
    c->sequence += c->answered;
    c->answered = 0;
    c->sent = 0;
    c->asking = true;
    l->asking++;
    c->started = clock_ns();
    return push(l, c);
}

/* Keeps the n bytes at `data` for when more have come. */
static int keep(struct load_conn *c, const char *data, size_t n)
{
    free(c->kept);
    c->kept = NULL;
    c->kept_len = (uint32_t)n;
    if (n == 0)
        return 0;
    c->kept = malloc(n);
    if (c->kept == NULL)
        return -ENOMEM;
    memcpy(c->kept, data, n);
    return 0;
}

/* Reads once, and checks what came. */
static int pull(fl_load *l, struct load_conn *c)
{
    size_t had = c->kept_len;
    if (had > 0)
        memcpy(l->chunk, c->kept, had);
    ssize_t n = sock_read(c->fd, l->chunk + had, LOAD_CHUNK);
    if (n == -EAGAIN)
        return 0;
    if (n <= 0)
        return fail(l, c, "reading", (int)n);
    if (!c->asking)
        return load_wrong(l, c, "more than was asked for");
    size_t len = had + (size_t)n;
    ssize_t used = l->dialect->check(l, c, l->chunk, len, clock_ns());
    if (used < 0)
        return (int)used;
    if ((had > 0 || (size_t)used < len) && keep(c, l->chunk + used, len - (size_t)used) < 0)
        return fail(l, c, "keeping an answer", -ENOMEM);
    if (c->answered == l->depth) {
        c->asking = false;
        l->asking--;
    }
    return 0;
}

static int on_event(fl_load *l, const struct poller_event *event, bool again)
{
    struct load_conn *c = &l->conns[event->tag];
    int rc = c->watched & event->what & IO_WRITE ? push(l, c) : 0;
    if (rc == 0 && event->what & IO_READ)
        rc = pull(l, c);
    if (rc == 0 && again && !c->asking)
        rc = begin(l, c);
    return rc;
}

/* -- all of them -- */

int fl_load_ask(fl_load *l)
{
    int rc = 0;
    for (uint32_t i = 0; i < l->count && rc == 0; i++) {
        if (!l->conns[i].asking)
            rc = begin(l, &l->conns[i]);
    }
    return rc;
}

int fl_load_run(fl_load *l, int ms, int again)
{
    struct poller_event events[EVENTS];
    uint64_t now = clock_ns(), end = now + (uint64_t)ms * 1000000u;
    bool together = l->dialect->together;
    int rc = again && (!together || l->asking == 0) ? fl_load_ask(l) : 0;
    for (bool over = false; rc == 0 && !over; now = clock_ns()) {
        over = now >= end;
        int n = l->poller.ops->wait(&l->poller, events, EVENTS,
                                    over ? 0 : (int)((end - now) / 1000000u) + 1);
        if (n == -EINTR) /* for the caller, who handles signals */
            break;
        rc = n < 0 ? n : 0;
        for (int i = 0; i < n && rc == 0; i++)
            rc = on_event(l, &events[i], again && !together);
        if (rc == 0 && again && together && l->asking == 0)
            rc = fl_load_ask(l);
        over = over || (!again && l->asking == 0);
    }
    return rc < 0 ? rc : (int)l->asking;
}

int fl_load_add(fl_load *l, int fd)
{
    if (l->count == l->room) {
        sock_close(fd, false);
        return -ENOSPC;
    }
    struct load_conn *c = &l->conns[l->count++];
    *c = (struct load_conn){.fd = fd};
    int rc = sock_adopt(fd);
    if (rc < 0)
        return fail(l, c, "connecting", rc);
    rc = watch(l, c, IO_READ);
    return rc < 0 ? rc : begin(l, c);
}

/* -- its life -- */

static const struct load_dialect *among(const struct load_dialect *d, const char *name)
{
    while (d->name != NULL && strcmp(d->name, name) != 0)
        d++;
    return d->name == NULL ? NULL : d;
}

static const struct load_dialect *dialect_called(const char *name)
{
    const struct load_dialect *found = among(load_echoes, name);
    found = found == NULL ? among(load_ws, name) : found;
    if (found != NULL)
        return found;
    if (strcmp(load_same.name, name) == 0)
        return &load_same;
    return strcmp(load_http.name, name) == 0 ? &load_http : NULL;
}

static int prepare(fl_load *l, const fl_load_config *config)
{
    l->dialect = dialect_called(config->dialect);
    l->room = config->connections;
    l->depth = config->depth;
    if (l->dialect == NULL || l->room == 0 || l->depth == 0)
        return -EINVAL;
    l->conns = calloc(l->room, sizeof *l->conns);
    if (l->conns == NULL)
        return -ENOMEM;
    int rc = l->dialect->init(l, config);
    return rc < 0 ? rc : poller_open(&l->poller, "auto");
}

fl_load *fl_load_open(const fl_load_config *config, int *error)
{
    fl_load *l = calloc(1, sizeof *l);
    *error = l == NULL ? -ENOMEM : prepare(l, config);
    if (*error < 0 && l != NULL) {
        fl_load_free(l);
        l = NULL;
    }
    return l;
}

void fl_load_free(fl_load *l)
{
    for (uint32_t i = 0; i < l->count; i++) {
        struct load_conn *c = &l->conns[i];
        watch(l, c, 0);
        sock_close(c->fd, true); /* a reset, so that no port stays behind in TIME_WAIT */
        free(c->kept);
    }
    if (l->poller.ops != NULL)
        l->poller.ops->close(&l->poller);
    if (l->state != NULL && l->dialect->fini != NULL)
        l->dialect->fini(l);
    free(l->state);
    free(l->batch);
    free(l->conns);
    free(l);
}

void fl_load_read(const fl_load *l, fl_load_stats *out)
{
    *out = (fl_load_stats){
        .messages = l->messages,
        .p50_ns = percentile(l, 500),
        .p99_ns = percentile(l, 990),
        .p999_ns = percentile(l, 999),
        .max_ns = l->slowest,
    };
}

void fl_load_reset(fl_load *l)
{
    l->messages = l->slowest = 0;
    memset(l->histogram, 0, sizeof l->histogram);
}

const char *fl_load_problem(const fl_load *l)
{
    return l->problem;
}
