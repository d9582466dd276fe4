/* site_reply.c -- heads and bodies of responses from files.
 *
 * Workload: nearly all are 200 with fields that were written when the file was loaded, so a
 * response is the general part of its head, one copy of the fields, and a body that is copied if it
 * is short and lent if it is not. Ranges and conditions write their fields one by one.
 *
 * Invariant: what is appended to the queue is a whole response, or nothing and -ENOMEM: then the
 * caller ends the connection. One thread. */
#include "site_reply.h"

#include <errno.h>
#include <string.h>

enum {
    COPY =
        16 * 1024, /* a body up to this is copied behind its head: one span, one buffer to send */
    RANGE = 96,    /* more than a content-range line */
    BOUNDARY = SITE_ETAG - 2,
    PART_HEAD = 64 + RANGE, /* more than the head of a part needs beside its content-type */
};

static char *put(char *p, const char *text)
{
    size_t n = strlen(text);
    memcpy(p, text, n);
    return p + n;
}

static char *put_text(char *p, struct text t)
{
    if (t.len > 0)
        memcpy(p, t.at, t.len);
    return p + t.len;
}

static char *put_part(char *p, const struct site_entry *e, enum site_part part)
{
    return put_text(p, site_entry_part(e, part));
}

/* Content-type, unless the handler gave one. */
static char *put_type(char *p, const struct site_entry *e, const struct site_extra *extra)
{
    return extra->given.type ? p : put_part(p, e, SITE_TYPE);
}

static char *put_range(char *p, const struct site_range *range, uint64_t size)
{
    p = put(p, "content-range: bytes ");
    if (range == NULL) {
        *p++ = '*';
    } else {
        p += frame_decimal(p, (int64_t)range->first);
        *p++ = '-';
        p += frame_decimal(p, (int64_t)range->last);
    }
    *p++ = '/';
    p += frame_decimal(p, (int64_t)size);
    return put(p, "\r\n");
}

/* How many of n bytes of the body are copied behind the head. */
static size_t copied(const struct site_entry *e, uint64_t n)
{
    return e->file.body->fd < 0 && n <= COPY ? n : 0;
}

/* Room for a head with all parts, and n bytes more. */
static char *head_room(const struct site_out *out, const struct site_entry *e,
                       const struct site_extra *extra, size_t n)
{
    size_t parts = e == NULL ? 0 : e->ends[SITE_VALIDATORS];
    return wire_room(out->wire,
                     HTTP_BEGIN + HTTP_LENGTH + RANGE + parts + extra->lines.len + 2 + n);
}

static char *begin(char *p, const struct site_out *out, int status, const struct site_extra *extra)
{
    p = http_general(http_status(p, status), out->framing, out->x, extra->given.date);
    return put_text(p, extra->lines);
}

static int commit(const struct site_out *out, const char *start, const char *end)
{
    int rc = wire_commit(out->wire, out->q, (size_t)(end - start));
    return rc < 0 ? rc : http_complete(out->x);
}

static int lend(const struct site_out *out, const struct site_entry *e, uint64_t offset, uint64_t n)
{
    return wire_lend(out->wire, out->q, e->file.body, offset, n);
}

/* A head that is complete but for the empty line, and then `n` bytes of the file. */
static int end_with_body(const struct site_out *out, const struct site_entry *e, const char *start,
                         char *p, uint64_t offset, uint64_t n)
{
    p = put(p, "\r\n");
    if ((out->x->flags & HTTP_HEAD) || n == 0)
        return commit(out, start, p);
    if (copied(e, n) > 0) {
        memcpy(p, e->file.body->data + offset, n);
        return commit(out, start, p + n);
    }
    int rc = wire_commit(out->wire, out->q, (size_t)(p - start));
    if (rc == 0)
        rc = lend(out, e, offset, n);
    return rc < 0 ? rc : http_complete(out->x);
}

static int reply_whole(const struct site_out *out, const struct site_entry *e,
                       const struct site_extra *extra)
{
    char *start = head_room(out, e, extra, copied(e, e->file.size));
    if (start == NULL)
        return -ENOMEM;
    char *p = begin(start, out, 200, extra);
    if (likely(!extra->given.type)) {
        memcpy(p, e->data + e->name_len, e->ends[SITE_VALIDATORS]);
        p += e->ends[SITE_VALIDATORS];
    } else {
        p = put_part(p, e, SITE_LENGTH);
        p = put_part(p, e, SITE_CONTENT);
        p = put_part(p, e, SITE_VALIDATORS);
    }
    return end_with_body(out, e, start, p, 0, e->file.size);
}

static int reply_range(const struct site_out *out, const struct site_entry *e,
                       const struct site_range *range, const struct site_extra *extra)
{
    uint64_t n = range->last - range->first + 1;
    char *start = head_room(out, e, extra, copied(e, n));
    if (start == NULL)
        return -ENOMEM;
    char *p = http_length(begin(start, out, 206, extra), n);
    p = put_range(p, range, e->file.size);
    p = put_type(p, e, extra);
    p = put_part(p, e, SITE_CONTENT);
    p = put_part(p, e, SITE_VALIDATORS);
    return end_with_body(out, e, start, p, range->first, n);
}

/* -- several ranges (RFC 9110, 14.6) -- */

/* What separates the parts: the entity tag, which no file knows of itself. */
static char *put_boundary(char *p, const struct site_entry *e)
{
    memcpy(p, e->file.etag + 1, BOUNDARY);
    return p + BOUNDARY;
}

static char *put_part_head(char *p, const struct site_entry *e, const struct site_range *range)
{
    p = put_boundary(put(p, "\r\n--"), e);
    p = put_part(put(p, "\r\n"), e, SITE_TYPE);
    return put(put_range(p, range, e->file.size), "\r\n");
}

static char *put_end(char *p, const struct site_entry *e)
{
    return put(put_boundary(put(p, "\r\n--"), e), "--\r\n");
}

static int append_parts(const struct site_out *out, const struct site_entry *e,
                        const struct site_range *ranges, int count)
{
    size_t type = site_entry_part(e, SITE_TYPE).len;
    for (int i = 0; i < count; i++) {
        char *start = wire_room(out->wire, PART_HEAD + type);
        if (start == NULL)
            return -ENOMEM;
        const char *end = put_part_head(start, e, &ranges[i]);
        int rc = wire_commit(out->wire, out->q, (size_t)(end - start));
        if (rc == 0)
            rc = lend(out, e, ranges[i].first, ranges[i].last - ranges[i].first + 1);
        if (rc < 0)
            return rc;
    }
    char *start = wire_room(out->wire, PART_HEAD);
    return start == NULL ? -ENOMEM
                         : wire_commit(out->wire, out->q, (size_t)(put_end(start, e) - start));
}

/* What append_parts() will append: the heads are written to the room of the response's own head. */
static uint64_t parts_length(char *room, const struct site_entry *e,
                             const struct site_range *ranges, int count)
{
    uint64_t n = (uint64_t)(put_end(room, e) - room);
    for (int i = 0; i < count; i++) {
        n += (uint64_t)(put_part_head(room, e, &ranges[i]) - room);
        n += ranges[i].last - ranges[i].first + 1;
    }
    return n;
}

static int reply_ranges(const struct site_out *out, const struct site_entry *e,
                        const struct site_range *ranges, int count, const struct site_extra *extra)
{
    char *start = head_room(out, e, extra, PART_HEAD);
    if (start == NULL)
        return -ENOMEM;
    uint64_t n = parts_length(start, e, ranges, count);
    char *p = http_length(begin(start, out, 206, extra), n);
    p = put(p, "content-type: multipart/byteranges; boundary=");
    p = put(put_boundary(p, e), "\r\n");
    p = put_part(p, e, SITE_CONTENT);
    p = put_part(p, e, SITE_VALIDATORS);
    int rc = wire_commit(out->wire, out->q, (size_t)(put(p, "\r\n") - start));
    if (rc == 0)
        rc = append_parts(out, e, ranges, count);
    return rc < 0 ? rc : http_complete(out->x);
}

/* -- without the file -- */

static int reply_unchanged(const struct site_out *out, const struct site_entry *e,
                           const struct site_extra *extra)
{
    char *start = head_room(out, e, extra, 0);
    if (start == NULL)
        return -ENOMEM;
    char *p = put_part(begin(start, out, 304, extra), e, SITE_VALIDATORS);
    return commit(out, start, put(p, "\r\n"));
}

/* 412 and 416: a status, and no content. */
static int reply_empty(const struct site_out *out, const struct site_entry *e, int status)
{
    static const struct site_extra none;
    char *start = head_room(out, e, &none, 0);
    if (start == NULL)
        return -ENOMEM;
    char *p = http_length(begin(start, out, status, &none), 0);
    if (status == 416)
        p = put_range(p, NULL, e->file.size);
    return commit(out, start, put(p, "\r\n"));
}

int site_reply(const struct site_out *out, const struct site_entry *e, const struct site_request *r,
               const struct site_extra *extra)
{
    const struct site_version version = {{e->file.etag, SITE_ETAG}, e->file.modified};
    struct site_range ranges[SITE_RANGES];
    bool ranged = false;
    int status = e->file.kind == SITE_FILE ? site_request_weigh(r, &version, &ranged) : 200;
    if (status == 304)
        return reply_unchanged(out, e, extra);
    if (status == 412)
        return reply_empty(out, e, 412);
    if (!ranged || (out->x->flags & HTTP_HEAD)) /* Range is defined for GET alone */
        return reply_whole(out, e, extra);
    int count = site_request_ranges(r, e->file.size, ranges);
    if (count < 0)
        return reply_empty(out, e, 416);
    if (count > 1)
        return reply_ranges(out, e, ranges, count, extra);
    return count == 1 ? reply_range(out, e, ranges, extra) : reply_whole(out, e, extra);
}

int site_reply_slash(const struct site_out *out, struct text path, struct text query)
{
    static const struct site_extra none;
    char *start = head_room(out, NULL, &none, sizeof "location: /?\r\n" + path.len + query.len);
    if (start == NULL)
        return -ENOMEM;
    char *p = http_length(begin(start, out, 301, &none), 0);
    p = put(put_text(put(p, "location: "), path), "/");
    if (query.len > 0)
        p = put_text(put(p, "?"), query);
    return commit(out, start, put(p, "\r\n\r\n"));
}

int site_reply_method(const struct site_out *out)
{
    static const struct site_extra none;
    char *start = head_room(out, NULL, &none, 64);
    if (start == NULL)
        return -ENOMEM;
    char *p = http_length(begin(start, out, 405, &none), 0);
    return commit(out, start, put(p, "allow: GET, HEAD\r\n\r\n"));
}
