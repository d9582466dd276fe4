/* frame_http.c -- HTTP/1.1: requests as messages.
 *
 * Workload: requests without a body that arrive whole, one or many at a time: one pass over the
 * head. A body that is not here yet costs a comparison a call, in chunks a line more; only the head
 * of a whole message is read a second time, when its body is complete.
 *
 * What *p keeps:
 *   IDLE, HEAD  what http_head_search() keeps
 *   BODY        left: bytes of the whole message; or what http_chunks_search() keeps
 *   STREAM      left: bytes of the body still to come; in chunks those still allowed, and in seen
 *               those of the present chunk; in the trailers what http_head_search() keeps
 * Invariants: the messages, or the refusal, do not depend on how the bytes were cut; where a body
 * ends is never guessed. Pure functions, any thread. */
#include "frame.h"

#include <errno.h>

#include "fastloop.h"
#include "frame_http_reply.h"
#include "http_chunks.h"
#include "http_environ.h"
#include "http_head.h"
#include "http_path.h"
#include "http_scope.h"

enum {
    LARGEST_PIECE = 64 * 1024,
    LARGEST_WHOLE = 1 << 30,
    LARGEST_CHUNK = UINT32_MAX,
};

/* Of progress.step in PROGRESS_STREAM. */
enum step {
    STEP_COUNTED, /* a body with a length */
    STEP_LINE,    /* a chunk begins */
    STEP_DATA,
    STEP_BORDER, /* the CRLF behind a chunk, and then a chunk begins */
    STEP_TRAILERS,
};

static bool has_chunks(const struct message *m)
{
    return (m->http.flags & HTTP_CHUNKED) != 0;
}

static ssize_t whole(struct progress *p, const char *data, size_t n, struct message *m)
{
    m->kind = MESSAGE_WHOLE;
    m->data = data;
    m->len = n;
    m->http.flags &= (uint8_t)~HTTP_EXPECT; /* its body did come */
    *p = (struct progress){0};
    return (ssize_t)n;
}

/* -- bodies in pieces -- */

static ssize_t begin_stream(const struct http_settings *s, struct progress *p, const char *data,
                            size_t head, size_t n, struct message *m)
{
    m->kind = MESSAGE_HEAD;
    m->data = data;
    m->len = head;
    m->http.flags |= HTTP_OPEN;
    if (n > head)
        m->http.flags &= (uint8_t)~HTTP_EXPECT;
    *p = (struct progress){.phase = PROGRESS_STREAM, .step = STEP_COUNTED};
    p->left = m->http.body_len;
    if (has_chunks(m)) {
        p->left = s->max_body;
        p->step = STEP_LINE;
    }
    return (ssize_t)head;
}

static ssize_t last_piece(struct progress *p, const char *data, size_t len, size_t used,
                          struct message *m)
{
    m->kind = MESSAGE_END;
    m->data = data;
    m->len = len;
    *p = (struct progress){0};
    return (ssize_t)used;
}

static ssize_t next_counted(struct progress *p, const char *data, size_t n, struct message *m)
{
    if (p->left <= min_size(n, LARGEST_PIECE))
        return last_piece(p, data, p->left, p->left, m);
    m->kind = MESSAGE_PIECE;
    m->data = data;
    m->len = min_size(n, LARGEST_PIECE);
    p->left -= m->len;
    return (ssize_t)m->len;
}

/* Data of the present chunk, of which there are p->seen bytes from data + at on. */
static ssize_t next_data(struct progress *p, const char *data, size_t at, size_t n,
                         struct message *m)
{
    m->kind = MESSAGE_PIECE;
    m->data = data + at;
    m->len = min_size(min_size(n - at, p->seen), LARGEST_PIECE);
    p->seen -= (uint32_t)m->len;
    p->step = p->seen > 0 ? STEP_DATA : STEP_BORDER;
    return (ssize_t)(at + m->len);
}

static ssize_t next_trailer(const struct http_settings *s, struct progress *p, const char *data,
                            size_t n, struct message *m)
{
    ssize_t end = http_head_search(s, p, data, n, m);
    return end > 0 ? last_piece(p, data, 0, (size_t)end, m) : end;
}

/* Nothing is used up before there is a byte to deliver: so the line may be read again. */
static ssize_t next_line(const struct http_settings *s, struct progress *p, const char *data,
                         size_t n, struct message *m)
{
    uint64_t size;
    uint16_t excess = p->excess;
    ssize_t at = 0;
    if (p->step == STEP_BORDER) {
        at = http_chunks_border(data, n, m);
        if (at <= 0)
            return at;
    }
    ssize_t line = http_chunks_line(data + at, n - (size_t)at, &size, &excess, m);
    if (line <= 0)
        return line;
    at += line;
    if (size == 0) {
        p->step = STEP_TRAILERS;
        http_head_trailers(p, (size_t)at);
        return next_trailer(s, p, data, n, m);
    }
    if (size > p->left || size > LARGEST_CHUNK)
        return http_refuse(m, 413, "the body is too long");
    if ((size_t)at == n)
        return 0;
    p->left -= size;
    p->seen = (uint32_t)size;
    p->excess = excess;
    return next_data(p, data, (size_t)at, n, m);
}

static ssize_t next_piece(const struct http_settings *s, struct progress *p, const char *data,
                          size_t n, struct message *m)
{
    switch (p->step) {
    case STEP_COUNTED: return next_counted(p, data, n, m);
    case STEP_DATA: return next_data(p, data, 0, n, m);
    case STEP_TRAILERS: return next_trailer(s, p, data, n, m);
    default: return next_line(s, p, data, n, m);
    }
}

/* -- requests -- */

/* The head is complete, m->http filled, the body not here: says what is to come. */
static ssize_t await_body(const struct http_settings *s, struct progress *p, const char *data,
                          size_t head, size_t n, struct message *m)
{
    if (s->stream)
        return begin_stream(s, p, data, head, n, m);
    if (m->http.body_len > LARGEST_WHOLE)
        return http_refuse(m, 413, "the body is too long");
    p->phase = PROGRESS_BODY;
    if (!has_chunks(m))
        *p = (struct progress){.phase = PROGRESS_BODY, .left = head + m->http.body_len};
    return (m->http.flags & HTTP_EXPECT) && n == head ? FRAME_CONTINUE : 0;
}

/* The body is complete and ends at `end`. */
static ssize_t finish_body(struct progress *p, const char *data, size_t head, size_t end,
                           struct message *m)
{
    m->http.body = (struct text){data + head, end - head};
    if (has_chunks(m))
        m->http.body_len = http_chunks_measure(m->http.body);
    return whole(p, data, end, m);
}

static ssize_t read_body(const struct http_settings *s, struct progress *p, const char *data,
                         size_t head, size_t n, struct message *m)
{
    ssize_t end = 0;
    if (has_chunks(m)) {
        http_chunks_begin(p, head);
        end = http_chunks_search(s, p, data, n, m);
    } else if (m->http.body_len > s->max_body) {
        end = http_refuse(m, 413, "the body is too long");
    } else if (m->http.body_len <= n - head) {
        end = (ssize_t)(head + m->http.body_len);
    }
    if (end < 0)
        return end;
    return end > 0 ? finish_body(p, data, head, (size_t)end, m)
                   : await_body(s, p, data, head, n, m);
}

static ssize_t read_request(const struct http_settings *s, struct progress *p, const char *data,
                            size_t n, struct message *m)
{
    ssize_t head = likely(p->seen == 0) ? http_head_parse(s, data, n, m) : -1;
    if (unlikely(head < 0)) { /* what is complete of it decides, however the bytes were cut */
        ssize_t end = http_head_search(s, p, data, n, m);
        p->phase = n > 2 || data[0] != '\r' ? PROGRESS_HEAD : PROGRESS_IDLE;
        if (end <= 0)
            return end;
        head = http_head_parse(s, data, n, m);
        if (head < 0)
            return head;
    }
    if (likely(m->http.body_len == 0 && !has_chunks(m)))
        return whole(p, data, (size_t)head, m);
    return read_body(s, p, data, (size_t)head, n, m);
}

/* More of a body came; perhaps all of it. */
static ssize_t read_rest(const struct http_settings *s, struct progress *p, const char *data,
                         size_t n, struct message *m)
{
    ssize_t end = n < p->left ? 0 : (ssize_t)p->left;
    if (p->step != 0)
        end = http_chunks_search(s, p, data, n, m);
    if (end <= 0)
        return end;
    ssize_t head = http_head_parse(s, data, n, m);
    return head < 0 ? head : finish_body(p, data, (size_t)head, (size_t)end, m);
}

static ssize_t scan(const struct framing *f, struct progress *p, const char *data, size_t n,
                    struct message *m)
{
    if (n == 0)
        return 0;
    switch (p->phase) {
    case PROGRESS_BODY: return read_rest(f->http, p, data, n, m);
    case PROGRESS_STREAM: return next_piece(f->http, p, data, n, m);
    default: return read_request(f->http, p, data, n, m);
    }
}

/* -- to Python -- */

/* The path decoded, as text; in CODEC_HEAD + 3 * path.len bytes. */
static char *write_path(char *p, struct text path)
{
    if (likely(memchr(path.at, '%', path.len) == NULL))
        return codec_ascii(p, path.at, (uint32_t)path.len);
    /* Decoded to the far end of the room, where what is written in front cannot overtake it. */
    char *bytes = p + CODEC_HEAD + 2 * path.len;
    size_t len = http_path_decode(bytes, path);
    if (http_path_ascii(bytes, len))
        return codec_ascii(p, bytes, (uint32_t)len);
    len = http_path_escape(p + CODEC_HEAD, bytes, len);
    return codec_text_head(p, (uint32_t)len) + len;
}

static char *write_body(char *p, const struct message *m)
{
    const struct http_request *r = &m->http;
    if (m->kind == MESSAGE_HEAD)
        return codec_none(p);
    if (!has_chunks(m))
        return codec_bytes(p, r->body.at, (uint32_t)r->body.len);
    return http_chunks_join(codec_bytes_head(p, (uint32_t)r->body_len), r->body);
}

/* -- the forms in which a request crosses: each writes what is in front of the body -- */

static size_t plain_room(const struct message *m)
{
    const struct http_request *r = &m->http;
    return 4 * CODEC_HEAD + r->method.len + 3 * r->path.len + r->query.len + r->head.len;
}

static char *plain_write(char *p, const struct message *m)
{
    const struct http_request *r = &m->http;
    p = codec_ascii(p, r->method.at, (uint32_t)r->method.len);
    p = write_path(p, r->path);
    p = codec_ascii(p, r->query.at, (uint32_t)r->query.len);
    return codec_bytes(p, r->head.at, (uint32_t)r->head.len);
}

static const struct form {
    uint32_t items; /* of the tuple, body and id among them */
    size_t (*room)(const struct message *m);
    char *(*write)(char *p, const struct message *m);
} forms[] = {
    [FL_FORM_PLAIN] = {6, plain_room, plain_write},
    [FL_FORM_WSGI] = {3, http_environ_room, http_environ_write},
    [FL_FORM_ASGI] = {3, http_scope_room, http_scope_write},
};

static int deliver(const struct message *m, struct buf *inbox)
{
    if (m->kind == MESSAGE_PIECE || m->kind == MESSAGE_END)
        return frame_deliver_bytes(m, inbox);
    const struct form *form = &forms[m->form];
    size_t body = m->kind == MESSAGE_HEAD ? 0 : m->http.body_len;
    char *start = buf_room(inbox, 2 * CODEC_HEAD + CODEC_INT + form->room(m) + body);
    if (start == NULL)
        return -ENOMEM;
    char *p = codec_tuple(start, form->items);
    p = form->write(p, m);
    p = write_body(p, m);
    p = codec_int(p, (int64_t)m->id);
    inbox->len += (size_t)(p - start);
    return 0;
}

const struct protocol protocol_http = {
    .name = "http",
    .scan = scan,
    .deliver = deliver,
    .reply = http_reply,
    .answer = http_answer,
};
