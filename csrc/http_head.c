/* http_head.c -- the head of a request in one pass.
 *
 * Workload: heads of 40 to 600 bytes that arrive whole. So the usual way is one pass that assumes
 * so, 16 bytes at a time, filling views and looking at the names of few lengths only; what it does
 * not like is looked at again, slowly, by http_head_search(), which alone knows of heads that are
 * incomplete. A head that trickles in is searched line by line and parsed once it is complete.
 *
 * Invariants: whatever leaves doubt how long the message is, or whom it is for, is refused and
 * never repaired: bare CR or LF, folded lines, a second Host, Content-Length or coding. Lines are
 * judged only when complete, each by itself; what depends on several of them, when all are there.
 * Pure functions, any thread. */
#include "http_head.h"

#include "fastloop.h"
#include "frame.h"
#include "http_bytes.h"
#include "http_path.h"

enum {
    MET_HOST = 1,
    MET_LENGTH = 2,
    MET_CODING = 4,   /* Transfer-Encoding */
    MET_CHUNKED = 8,  /* ... names chunked, so far as the last one */
    MET_UNKNOWN = 16, /* ... names another */
    MET_KEEP = 32,    /* Connection: keep-alive */
    MET_SWITCH = 64,  /* Connection: upgrade */
    MET_UPGRADE = 128,

    MOST_FIELDS = UINT16_MAX - 1, /* they are counted in 16 bits */
};

struct head {
    const char *start; /* of what may be read */
    const char *end;
    struct message *m;
    struct http_request *r;
    unsigned met;
    int rc; /* why a function returned NULL or false */
};

int http_refuse(struct message *m, uint16_t status, const char *text)
{
    m->status = status;
    m->data = text;
    m->len = strlen(text);
    return status == 413 || status == 414 || status == 431 ? FL_ELIMIT : FL_EPROTO;
}

static const char *refuse(struct head *h, uint16_t status, const char *text)
{
    h->rc = http_refuse(h->m, status, text);
    return NULL;
}

static bool deny(struct head *h, uint16_t status, const char *text)
{
    return refuse(h, status, text) != NULL;
}

static const char *skip(const struct head *h, const char *p, uint8_t class)
{
    return http_skip(p, h->end, h->start, class);
}

static bool at(const struct head *h, const char *p, const char *text, size_t len)
{
    return (size_t)(h->end - p) >= len && memcmp(p, text, len) == 0;
}

/* -- the request line: each returns where the next part begins, or NULL -- */

static const char *read_method(struct head *h, const char *p)
{
    const char *start = p;
    if (likely(at(h, p, "GET ", 4))) {
        p += 3;
    } else {
        while (p < h->end && http_is(*p, HTTP_TOKEN))
            p++;
        if (p == start || !at(h, p, " ", 1))
            return refuse(h, 400, "malformed method");
        if (p - start == 4 && memcmp(start, "HEAD", 4) == 0)
            h->r->flags |= HTTP_HEAD;
        if (p - start == 7 && memcmp(start, "CONNECT", 7) == 0)
            return refuse(h, 501, "this is no proxy");
    }
    h->r->method = (struct text){start, (size_t)(p - start)};
    return p + 1;
}

static const char *read_version(struct head *h, const char *p)
{
    if (likely(at(h, p, "HTTP/1.1\r\n", 10)))
        return p + 10;
    bool digits = at(h, p, "HTTP/", 5) && h->end - p >= 10 && p[5] >= '0' && p[5] <= '9' &&
                  p[6] == '.' && p[7] >= '0' && p[7] <= '9' && p[8] == '\r' && p[9] == '\n';
    if (!digits)
        return refuse(h, 400, "malformed version");
    if (p[5] != '1' || p[7] != '0')
        return refuse(h, 505, "HTTP/1.1 or HTTP/1.0, please");
    h->r->flags |= HTTP_OLD;
    return p + 10;
}

static const char *read_request_line(struct head *h, const char *p)
{
    p = read_method(h, p);
    if (p == NULL)
        return NULL;
    p = http_path_target(p, h->end, h->start, h->r);
    return p == NULL ? refuse(h, 400, "malformed target") : read_version(h, p + 1);
}

/* -- fields -- */

struct field {
    struct text name;
    struct text value; /* without the white space around it */
};

/* Returns where the next line begins, or NULL. */
static const char *read_field(struct head *h, const char *p, struct field *f)
{
    f->name.at = p;
    p = skip(h, p, HTTP_NAME);
    if (unlikely(!at(h, p, ":", 1))) {
        while (p < h->end && http_is(*p, HTTP_TOKEN))
            p++;
    }
    f->name.len = (size_t)(p - f->name.at);
    if (unlikely(f->name.len == 0 || !at(h, p, ":", 1)))
        return refuse(h, 400, "malformed field name");
    do {
        p++;
    } while (p < h->end && (*p == ' ' || *p == '\t'));
    f->value.at = p;
    p = skip(h, p, HTTP_VALUE);
    if (unlikely(!at(h, p, "\r\n", 2)))
        return refuse(h, 400, "malformed field value");
    const char *last = p;
    while (last > f->value.at && (last[-1] == ' ' || last[-1] == '\t'))
        last--;
    f->value.len = (size_t)(last - f->value.at);
    return p + 2;
}

static bool meet(struct head *h, unsigned once, const char *text)
{
    if (h->met & once)
        return deny(h, 400, text);
    h->met |= once;
    return true;
}

static bool meet_host(struct head *h, struct text value)
{
    if (!meet(h, MET_HOST, "a second Host"))
        return false;
    return http_path_authority(value) || deny(h, 400, "malformed Host");
}

static bool meet_length(struct head *h, struct text value)
{
    if (!meet(h, MET_LENGTH, "a second Content-Length"))
        return false;
    return http_number(value, &h->r->body_len) || deny(h, 400, "malformed Content-Length");
}

/* A list, which several fields may make up: nothing may stand behind chunked. */
static bool meet_coding(struct head *h, struct text value)
{
    struct text coding;
    h->met |= MET_CODING;
    while (http_element(&value, &coding)) {
        bool token = coding.len > 0;
        for (size_t i = 0; i < coding.len; i++)
            token &= http_is(coding.at[i], HTTP_TOKEN);
        if (!token || (h->met & MET_CHUNKED))
            return deny(h, 400, "malformed Transfer-Encoding");
        h->met |= http_same(coding, "chunked") ? MET_CHUNKED : MET_UNKNOWN;
    }
    return true;
}

static bool meet_connection(struct head *h, struct text value)
{
    struct text option;
    while (http_element(&value, &option)) {
        if (http_same(option, "close"))
            h->r->flags |= HTTP_CLOSE;
        else if (http_same(option, "keep-alive"))
            h->met |= MET_KEEP;
        else if (http_same(option, "upgrade"))
            h->met |= MET_SWITCH;
    }
    return true;
}

static bool meet_expect(struct head *h, struct text value)
{
    if (h->r->flags & HTTP_OLD) /* RFC 9110, 10.1.1: must be ignored */
        return true;
    if (!http_same(value, "100-continue"))
        return deny(h, 417, "only 100-continue can be expected");
    h->r->flags |= HTTP_EXPECT;
    return true;
}

/* Fields that say how the message is framed or what becomes of the connection. */
static bool meet_field(struct head *h, const struct field *f)
{
    switch (f->name.len) {
    case 4: return !http_same(f->name, "host") || meet_host(h, f->value);
    case 6: return !http_same(f->name, "expect") || meet_expect(h, f->value);
    case 7:
        if (f->value.len > 0 && http_same(f->name, "upgrade"))
            h->met |= MET_UPGRADE;
        return true;
    case 10: return !http_same(f->name, "connection") || meet_connection(h, f->value);
    case 14: return !http_same(f->name, "content-length") || meet_length(h, f->value);
    case 17: return !http_same(f->name, "transfer-encoding") || meet_coding(h, f->value);
    default: return true;
    }
}

/* -- what depends on all of it -- */

/* RFC 9112, 6.3: anything that two servers might read differently is refused. With neither field
 * there is no body, whatever the method, so that 411 (Length Required) is never the answer. */
static bool settle_body(struct head *h)
{
    if (likely(!(h->met & MET_CODING)))
        return true;
    if (h->met & MET_LENGTH)
        return deny(h, 400, "Transfer-Encoding and Content-Length");
    if (h->r->flags & HTTP_OLD)
        return deny(h, 400, "Transfer-Encoding in HTTP/1.0");
    if (h->met & MET_UNKNOWN)
        return deny(h, 501, "a Transfer-Encoding other than chunked");
    h->r->flags |= HTTP_CHUNKED;
    return true;
}

static bool is_get(const struct http_request *r)
{
    return r->method.len == 3 && memcmp(r->method.at, "GET", 3) == 0;
}

static void settle_connection(struct head *h)
{
    struct http_request *r = h->r;
    bool body = r->body_len > 0 || (r->flags & HTTP_CHUNKED);
    if (r->flags & HTTP_OLD) {
        if (!(h->met & MET_KEEP))
            r->flags |= HTTP_CLOSE;
        else if (!(r->flags & HTTP_CLOSE))
            r->flags |= HTTP_KEPT;
    } else if ((h->met & MET_SWITCH) && (h->met & MET_UPGRADE) && !body && is_get(r)) {
        r->flags |= HTTP_UPGRADE;
    }
    if (!body)
        r->flags &= (uint8_t)~HTTP_EXPECT;
}

static size_t most_fields(const struct http_settings *s)
{
    return min_size(s->max_fields, MOST_FIELDS);
}

static bool settle_limits(struct head *h, const struct http_settings *s, const char *fields,
                          size_t count)
{
    if ((size_t)(fields - h->r->head.at) > (size_t)s->max_line + 2)
        return deny(h, 414, "the request line is too long");
    if ((size_t)(h->r->head.at + h->r->head.len - fields) > s->max_head || count > most_fields(s))
        return deny(h, 431, "too many or too long fields");
    return true;
}

static size_t leading_line(const char *data, size_t n)
{
    return n >= 2 && data[0] == '\r' && data[1] == '\n' ? 2 : 0; /* RFC 9112, 2.2 */
}

ssize_t http_head_parse(const struct http_settings *s, const char *data, size_t n,
                        struct message *m)
{
    struct head h = {.start = data, .end = data + n, .m = m, .r = &m->http};
    struct field f;
    size_t count = 0;
    m->http = (struct http_request){0};
    const char *start = data + leading_line(data, n);
    const char *fields = read_request_line(&h, start);
    if (fields == NULL)
        return h.rc;
    const char *p = fields;
    for (; p < h.end && *p != '\r'; count++) {
        p = read_field(&h, p, &f);
        if (p == NULL || !meet_field(&h, &f))
            return h.rc;
    }
    if (!at(&h, p, "\r\n", 2))
        return http_refuse(m, 400, "malformed line");
    h.r->head = (struct text){start, (size_t)(p - start)};
    h.r->body.at = p + 2;
    if (!(h.met & MET_HOST) && !(h.r->flags & HTTP_OLD))
        return http_refuse(m, 400, "no Host");
    if (!settle_limits(&h, s, fields, count) || !settle_body(&h))
        return h.rc;
    settle_connection(&h);
    return p + 2 - data;
}

/* -- a head that is not whole, or not right -- */

/* Where the search is. */
struct place {
    size_t line;   /* where the line begins that is not complete yet */
    size_t fields; /* where the fields begin; 0: the first line is not complete yet */
    size_t count;  /* of fields that are complete */
};

static struct place load_place(const struct progress *p)
{
    return (struct place){(size_t)(p->left >> 32), (size_t)(p->left & UINT32_MAX), p->excess};
}

static void store_place(struct progress *p, const struct place *at)
{
    p->left = (uint64_t)at->line << 32 | at->fields;
    p->excess = (uint16_t)at->count;
}

void http_head_trailers(struct progress *p, size_t at)
{
    store_place(p, &(struct place){at, at, 0});
    p->seen = (uint32_t)at;
}

/* Whether what there is of a line, up to `end`, is within the limits. A line may be judged before
 * it is complete, so its end takes part only where it must come. */
static int check_limits(const struct http_settings *s, const struct place *at, size_t end,
                        struct message *m)
{
    if (at->fields == 0 && end - at->line > (size_t)s->max_line + 2)
        return http_refuse(m, 414, "the request line is too long");
    if (at->fields > 0 && end - at->fields > (size_t)s->max_head + 2)
        return http_refuse(m, 431, "too many or too long fields");
    return 0;
}

/* A complete line, which ends before `next`. Returns 1 if it is the empty one at the end, 0, or an
 * error. */
static int check_line(const struct http_settings *s, struct head *h, struct place *at, size_t next)
{
    const char *line = h->start + at->line;
    struct field f;
    int rc = check_limits(s, at, next, h->m);
    if (rc < 0)
        return rc;
    if (at->fields == 0) {
        if (read_request_line(h, line) != h->start + next)
            return h->rc < 0 ? h->rc : http_refuse(h->m, 400, "malformed request line");
        at->fields = next;
    } else if (next - at->line == 2 && line[0] == '\r') {
        return 1;
    } else {
        if (at->count == most_fields(s))
            return http_refuse(h->m, 431, "too many or too long fields");
        if (read_field(h, line, &f) == NULL)
            return h->rc;
        at->count++;
    }
    at->line = next;
    return 0;
}

static int check_start(const char *data, size_t n, size_t start, struct message *m)
{
    bool perhaps_empty = start == 0 && n == 1 && data[0] == '\r';
    if (start < n && !http_is(data[start], HTTP_TOKEN) && !perhaps_empty)
        return http_refuse(m, 400, "malformed method");
    return 0;
}

ssize_t http_head_search(const struct http_settings *s, struct progress *p, const char *data,
                         size_t n, struct message *m)
{
    struct place at = load_place(p);
    struct head h = {.start = data, .end = data + n, .m = m, .r = &m->http};
    if (at.fields == 0) {
        at.line = leading_line(data, n);
        int rc = check_start(data, n, at.line, m);
        if (rc < 0)
            return rc;
    }
    size_t seen = max_size(p->seen, at.line);
    const char *lf;
    while ((lf = memchr(data + seen, '\n', n - seen)) != NULL) {
        seen = (size_t)(lf - data) + 1;
        int rc = check_line(s, &h, &at, seen);
        if (rc != 0)
            return rc < 0 ? rc : (ssize_t)seen;
    }
    p->seen = (uint32_t)n;
    store_place(p, &at);
    return check_limits(s, &at, n, m);
}
