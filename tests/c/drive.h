/* drive.h -- a loop with real sockets, and the part of Python in C: reads the inbox to a table of
 * events and writes outboxes in the forms of marshal version 2.
 *
 * Nothing here allocates, so that tests may make any allocation of the loop fail. Waiting is for an
 * event or for bytes, never for a time; PATIENCE only ends a test that hangs. */
#ifndef DRIVE_H
#define DRIVE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "codec.h"
#include "fastloop.h"
#include "t.h"

enum { PATIENCE = 20, EVENTS = 4096, TEXT = 32, OUTBOX = 1 << 18, LISTENERS = 3 };

struct event {
    int64_t kind, listener;
    int64_t id;
    int64_t value;   /* why, slot or notice's code; of a request its body's length, -1: in pieces */
    char text[TEXT]; /* of a request: its path */
    size_t len;
};

struct drive {
    fl_loop *loop;
    int sockets[LISTENERS]; /* that listen */
    struct event events[EVENTS];
    size_t count; /* of events of the last turn */
    char out[OUTBOX];
    size_t len;
    uint32_t items;
    size_t told[FL_REASONS + 1]; /* events of each kind so far */
};

/* -- writing outboxes -- */

static inline void say_int(struct drive *d, int64_t n)
{
    d->len = (size_t)(codec_int(d->out + d->len, n) - d->out);
}

static inline void say_bytes(struct drive *d, const char *data, size_t n)
{
    d->len = (size_t)(codec_bytes(d->out + d->len, data, (uint32_t)n) - d->out);
}

static inline void say_none(struct drive *d)
{
    d->out[d->len++] = 'N';
}

static inline void say_list(struct drive *d, uint32_t count)
{
    d->len = (size_t)(codec_list(d->out + d->len, count) - d->out);
}

/* Opens an escape tuple: `arguments` values are to follow. */
static inline void say_op(struct drive *d, int op, uint32_t arguments)
{
    char *p = codec_tuple(d->out + d->len, arguments + 2);
    *p = 'S';
    d->len = (size_t)(codec_int(p + 1, op) - d->out);
}

static inline void item(struct drive *d)
{
    if (d->items == 0)
        d->len = CODEC_HEAD;
    d->items++;
}

static inline void reply(struct drive *d, const char *text)
{
    item(d);
    say_bytes(d, text, strlen(text));
}

/* An escape in the place of a reply, or a command: with up to three integers. */
static inline void op0(struct drive *d, int op)
{
    item(d);
    say_op(d, op, 0);
}

static inline void op1(struct drive *d, int op, int64_t a)
{
    item(d);
    say_op(d, op, 1);
    say_int(d, a);
}

static inline void op2(struct drive *d, int op, int64_t a, int64_t b)
{
    item(d);
    say_op(d, op, 2);
    say_int(d, a);
    say_int(d, b);
}

/* FL_SEND or FL_FILL. */
static inline void op_text(struct drive *d, int op, int64_t id, int64_t ticket, const char *text)
{
    item(d);
    say_op(d, op, 3);
    say_int(d, id);
    say_int(d, ticket);
    say_bytes(d, text, strlen(text));
}

/* Opens an FL_SEND or FL_FILL: its value is to follow. */
static inline void op_value(struct drive *d, int op, int64_t id, int64_t ticket)
{
    item(d);
    say_op(d, op, 3);
    say_int(d, id);
    say_int(d, ticket);
}

/* A list of one field, or of none (name NULL). */
static inline void say_fields(struct drive *d, const char *name, const char *value)
{
    say_list(d, name == NULL ? 0 : 1);
    if (name == NULL)
        return;
    d->len = (size_t)(codec_tuple(d->out + d->len, 2) - d->out);
    say_bytes(d, name, strlen(name));
    say_bytes(d, value, strlen(value));
}

/* The values of HTTP. */
static inline void say_response(struct drive *d, int status, const char *body)
{
    say_op(d, FL_HTTP, 3);
    say_int(d, status);
    say_fields(d, NULL, NULL);
    say_bytes(d, body, strlen(body));
}

static inline void say_start(struct drive *d, int status, const char *name, const char *value)
{
    say_op(d, FL_HTTP_START, 2);
    say_int(d, status);
    say_fields(d, name, value);
}

static inline void op_last(struct drive *d, const char *text)
{
    item(d);
    say_op(d, FL_LAST, 1);
    say_bytes(d, text, strlen(text));
}

static inline void cast_all(struct drive *d, int64_t listener, int64_t but, const char *data,
                            size_t n)
{
    item(d);
    say_op(d, FL_CAST, 4);
    say_int(d, listener);
    say_none(d);
    say_int(d, but);
    say_bytes(d, data, n);
}

/* Ends the outbox; returns its length. */
static inline size_t sealed(struct drive *d)
{
    size_t n = d->items == 0 ? 0 : d->len;
    if (n > 0)
        codec_list(d->out, d->items);
    d->items = 0;
    d->len = 0;
    return n;
}

/* -- reading inboxes -- */

static inline bool next(struct codec_reader *r, struct codec_value *v)
{
    *v = (struct codec_value){0};
    return codec_read(r, v) == 0;
}

/* (method, path, query, head, body, id) */
static inline void read_request(struct codec_reader *r, struct event *e)
{
    struct codec_value v;
    CHECK(codec_skip(r) == 0 && next(r, &v) && v.type == CODEC_TEXT);
    e->len = v.len < TEXT ? v.len : TEXT;
    memcpy(e->text, v.data, e->len);
    CHECK(codec_skip(r) == 0 && codec_skip(r) == 0 && next(r, &v));
    e->value = v.type == CODEC_NONE ? -1 : (int64_t)v.len;
    CHECK(next(r, &v) && v.type == CODEC_INTEGER && v.integer == e->id);
}

static inline void read_item(struct codec_reader *r, struct event *e)
{
    struct codec_value v;
    bool ok = next(r, &v);
    if (v.type == CODEC_TUPLE && v.count == 6 && *r->at == 'z') {
        read_request(r, e);
        return;
    }
    if (v.type == CODEC_TUPLE || v.type == CODEC_LIST) { /* a notice, or the words of RESP */
        uint32_t count = v.count;
        ok = ok && next(r, &v);
        e->value = v.integer;
        while (ok && --count > 0)
            ok = codec_skip(r) == 0;
    }
    if (v.type == CODEC_BYTES) {
        e->len = v.len < TEXT ? v.len : TEXT;
        memcpy(e->text, v.data, e->len);
    } else {
        e->value = v.integer;
    }
    CHECK(ok);
}

static inline void read_group(struct drive *d, struct codec_reader *r)
{
    struct codec_value v;
    struct event head = {0};
    struct codec_reader ids;
    uint32_t id_count = 0, count;
    if (!CHECK(next(r, &v) && v.type == CODEC_TUPLE && v.count == 4))
        return;
    CHECK(next(r, &v) && v.type == CODEC_INTEGER);
    head.kind = v.integer;
    CHECK(next(r, &v) && v.type == CODEC_INTEGER);
    head.listener = v.integer;
    ids = *r;
    CHECK(codec_skip(r) == 0 && next(&ids, &v));
    id_count = v.type == CODEC_LIST ? v.count : 0;
    CHECK(next(r, &v));
    count = v.type == CODEC_LIST ? v.count : id_count;
    bool has_items = v.type == CODEC_LIST;
    for (uint32_t i = 0; i < count && CHECK(d->count < EVENTS); i++) {
        struct event *e = &d->events[d->count++];
        *e = head;
        if (id_count > 0 && CHECK(next(&ids, &v)))
            e->id = v.integer;
        if (has_items)
            read_item(r, e);
        d->told[e->kind]++;
    }
}

/* One fl_step() with what was said since the last. Returns what it returned, 1 for a batch. */
static inline int turn(struct drive *d, int timeout_ms)
{
    size_t len = sealed(d);
    d->count = 0;
    intptr_t n = fl_step(d->loop, d->out, len, timeout_ms);
    if (n <= 0)
        return (int)n;
    n = n >= FL_MOVED ? n - FL_MOVED : n;
    struct codec_reader r = {fl_inbox(d->loop), fl_inbox(d->loop) + n};
    struct codec_value v;
    CHECK(next(&r, &v) && v.type == CODEC_LIST);
    for (uint32_t i = 0; i < v.count; i++)
        read_group(d, &r);
    CHECK(r.at == r.end);
    return 1;
}

static inline int flush(struct drive *d)
{
    size_t len = sealed(d);
    return fl_flush(d->loop, d->out, len);
}

static inline bool in_time(time_t *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (*start == 0)
        *start = now.tv_sec;
    return now.tv_sec - *start < PATIENCE;
}

/* Turns until there was an event of this kind; returns the first of the last turn, or NULL. */
static inline struct event *await(struct drive *d, int kind)
{
    for (time_t start = 0; CHECK(in_time(&start));) {
        if (turn(d, 1000) < 0)
            return NULL;
        for (size_t i = 0; i < d->count; i++) {
            if (d->events[i].kind == kind)
                return &d->events[i];
        }
    }
    return NULL;
}

/* Replies to every message of the last turn with itself. */
static inline void echo(struct drive *d)
{
    for (size_t i = 0; i < d->count; i++) {
        if (d->events[i].kind != FL_MESSAGES)
            continue;
        item(d);
        say_bytes(d, d->events[i].text, d->events[i].len);
    }
    d->count = 0;
}

/* -- sockets -- */

static inline int listen_here(int buffer)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (buffer > 0) /* accepted sockets inherit it */
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    CHECK_INT(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    CHECK_INT(listen(fd, 64), 0);
    return fd;
}

/* A client of the n-th listener; `buffer` bounds what its kernel takes for it (0: the usual). */
static inline int client_of(struct drive *d, int n, int buffer)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    CHECK_INT(getsockname(d->sockets[n], (struct sockaddr *)&a, &len), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (buffer > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    CHECK_INT(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static inline void tell(int fd, const char *text)
{
    CHECK_INT(send(fd, text, strlen(text), MSG_NOSIGNAL), (long long)strlen(text));
}

/* Reads up to n bytes while the loop turns and echoes. Returns how many: fewer at the end of the
 * stream; -errno. */
static inline ssize_t receive(struct drive *d, int fd, char *to, size_t n)
{
    size_t got = 0;
    for (time_t start = 0; got < n && CHECK(in_time(&start));) {
        ssize_t some = recv(fd, to + got, n - got, MSG_DONTWAIT);
        if (some == 0)
            break;
        if (some > 0)
            got += (size_t)some;
        else if (errno != EAGAIN)
            return -errno;
        else if (turn(d, 1) > 0)
            echo(d);
    }
    return (ssize_t)got;
}

static inline void expect(struct drive *d, int fd, const char *text)
{
    char got[256];
    ssize_t n = receive(d, fd, got, strlen(text));
    CHECK_MEM(got, n < 0 ? 0 : (size_t)n, text, strlen(text));
}

static inline void expect_end(struct drive *d, int fd)
{
    char got[1];
    CHECK_INT(receive(d, fd, got, 1), 0);
    close(fd);
}

/* A new client that is accepted: *id is its connection's. */
static inline int join(struct drive *d, int64_t *id)
{
    int fd = client_of(d, 0, 0);
    struct event *e = await(d, FL_OPENED);
    *id = e == NULL ? 0 : e->id;
    return fd;
}

/* -- loops -- */

static const fl_config usual = {
    .max_connections = 1000,
    .linger_ms = 5000,
    .high_water = 256 * 1024,
    .low_water = 64 * 1024,
};

static inline int serve(struct drive *d, int n, const char *framing, int buffer)
{
    fl_listener spec = {
        .framing = framing,
        .max_message = 1 << 20,
        .wants = FL_WANT_IDS | FL_WANT_OPENED | FL_WANT_CLOSED,
    };
    d->sockets[n] = listen_here(buffer);
    return fl_listen(d->loop, d->sockets[n], &spec);
}

/* A loop that serves lines; `d` is static memory. */
static inline bool start(struct drive *d, const char *backend, const fl_config *config)
{
    fl_config c = *config;
    int error = 0;
    *d = (struct drive){.sockets = {-1, -1, -1}};
    c.backend = backend;
    d->loop = fl_open(&c, &error);
    return CHECK(d->loop != NULL) && CHECK_INT(serve(d, 0, "line", 0), 0);
}

static inline uint32_t connections(struct drive *d)
{
    fl_stats stats;
    fl_read_stats(d->loop, &stats);
    return stats.connections;
}

/* Drains and frees. All clients are closed before. */
static inline void finish(struct drive *d)
{
    fl_stats stats;
    fl_drain(d->loop);
    for (time_t begin = 0; connections(d) > 0 && CHECK(in_time(&begin));) {
        if (turn(d, 10) > 0)
            echo(d);
    }
    fl_read_stats(d->loop, &stats);
    CHECK_INT(stats.unsent, 0);
    CHECK_INT(stats.closed, stats.accepted);
    fl_free(d->loop);
    for (int i = 0; i < LISTENERS; i++) {
        if (d->sockets[i] >= 0)
            close(d->sockets[i]);
    }
}

/* Runs a test on every backend of this machine. */
static inline void on_each_backend(const char *name, void (*test)(const char *backend))
{
    const char *backend;
    for (int i = 0; (backend = fl_backend_name(i)) != NULL; i++) {
        int before = t_failed;
        if (fl_backend_probe(backend) == 0)
            test(backend);
        if (t_failed > before)
            fprintf(stderr, "%s on %s\n", name, backend);
    }
}

#define ON_EACH_BACKEND(test) on_each_backend(#test, test)

#endif
