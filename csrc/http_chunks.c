/* http_chunks.c -- bodies in chunks.
 *
 * Workload: uploads of unknown length, in chunks of some KB. A chunk's line is read from its start
 * each time until it is complete, which its short maximum makes cheap; data is stepped over.
 * Invariants: no byte is accepted that another reader might take for something else: sizes are
 * digits alone, extensions have no control bytes, CRLF is CRLF. Trailers are checked as fields are,
 * counted as they are, and dropped. Pure functions, any thread. */
#include "http_chunks.h"

#include "fastloop.h"
#include "frame.h"
#include "http_bytes.h"
#include "http_head.h"

enum {
    MOST_DIGITS = 16,
    LONGEST_EXTENSION = 256,
    FAIR_SHARE = 3,          /* bytes of its own for each of data that cost a chunk nothing */
    LARGEST_WHOLE = 1 << 30, /* bytes as sent: places in a message are 32 bits */
};

/* Of progress.step; 0 is none of them. */
enum step {
    STEP_CHUNKS = 1,
    STEP_TRAILERS,
};

/* Returns how many digits there are, at most one too many. */
static size_t read_size(const char *data, size_t n, uint64_t *size)
{
    size_t i = 0;
    *size = 0;
    for (; i < n && http_hex(data[i]) >= 0 && i <= MOST_DIGITS; i++)
        *size = *size << 4 | (unsigned)http_hex(data[i]);
    return i;
}

static int count_excess(uint16_t *excess, size_t line, uint64_t size, struct message *m)
{
    size_t own = *excess + line + 2;
    size_t fair = size > UINT16_MAX ? SIZE_MAX : (size_t)size * FAIR_SHARE;
    own = own > fair ? own - fair : 0;
    if (own > UINT16_MAX)
        return http_refuse(m, 400, "more chunks than body");
    *excess = (uint16_t)own;
    return 0;
}

ssize_t http_chunks_line(const char *data, size_t n, uint64_t *size, uint16_t *excess,
                         struct message *m)
{
    size_t digits = read_size(data, n, size);
    size_t i = digits;
    if (i > MOST_DIGITS || (i == 0 && n > 0))
        return http_refuse(m, 400, "malformed chunk size");
    if (i < n && data[i] == ';') {
        size_t most = min_size(n, digits + LONGEST_EXTENSION + 1);
        i = (size_t)(http_skip(data + i, data + most, data, HTTP_VALUE) - data);
        if (i == digits + LONGEST_EXTENSION + 1)
            return http_refuse(m, 400, "a chunk extension is too long");
    }
    if ((i < n && data[i] != '\r') || (i + 1 < n && data[i + 1] != '\n'))
        return http_refuse(m, 400, "malformed chunk");
    if (i + 1 >= n)
        return 0;
    int rc = count_excess(excess, i + 2, *size, m);
    return rc < 0 ? rc : (ssize_t)i + 2;
}

ssize_t http_chunks_border(const char *data, size_t n, struct message *m)
{
    if ((n > 0 && data[0] != '\r') || (n > 1 && data[1] != '\n'))
        return http_refuse(m, 400, "a chunk longer than its size");
    return n > 1 ? 2 : 0;
}

void http_chunks_begin(struct progress *p, size_t at)
{
    p->seen = (uint32_t)at;
    p->left = 0;
    p->excess = 0;
    p->step = STEP_CHUNKS;
}

/* One chunk, which begins at p->seen. Returns 1 if it was stepped over, 0 if it is not complete, or
 * an error. */
static ssize_t step_over(const struct http_settings *s, struct progress *p, const char *data,
                         size_t n, struct message *m)
{
    uint64_t size;
    uint16_t excess = p->excess;
    ssize_t line = http_chunks_line(data + p->seen, n - p->seen, &size, &excess, m);
    if (line <= 0)
        return line;
    size_t at = p->seen + (size_t)line;
    bool large = !s->stream && (at > LARGEST_WHOLE || size > LARGEST_WHOLE - at);
    if (size > s->max_body - p->left || large)
        return http_refuse(m, 413, "the body is too long");
    if (size == 0) {
        p->step = STEP_TRAILERS;
        http_head_trailers(p, at);
        return 1;
    }
    if (size >= n - at)
        return 0;
    at += size;
    ssize_t border = http_chunks_border(data + at, n - at, m);
    if (border <= 0)
        return border;
    p->seen = (uint32_t)(at + 2);
    p->left += size;
    p->excess = excess;
    return 1;
}

/* The size of the chunk at *p, which moves to its data. */
static uint64_t begin_chunk(const char **p)
{
    uint64_t size;
    *p += read_size(*p, MOST_DIGITS, &size);
    while (**p != '\n')
        (*p)++;
    (*p)++;
    return size;
}

uint64_t http_chunks_measure(struct text body)
{
    uint64_t total = 0;
    const char *p = body.at;
    for (uint64_t size; (size = begin_chunk(&p)) > 0; p += size + 2)
        total += size;
    return total;
}

ssize_t http_chunks_search(const struct http_settings *s, struct progress *p, const char *data,
                           size_t n, struct message *m)
{
    while (p->step == STEP_CHUNKS) {
        ssize_t rc = step_over(s, p, data, n, m);
        if (rc <= 0)
            return rc;
    }
    return http_head_search(s, p, data, n, m);
}

char *http_chunks_join(char *out, struct text body)
{
    const char *p = body.at;
    for (uint64_t size; (size = begin_chunk(&p)) > 0; p += size + 2) {
        memcpy(out, p, size);
        out += size;
    }
    return out;
}
