/* frame_resp.c -- RESP requests, as clients of Redis send them: arrays of bulk strings, and inline
 * commands.
 *
 * Workload: the hottest parser of the project: commands of about three short arguments, up to some
 * dozens in one read, all there nearly always. So the length of each is read by a plain digit loop
 * and its body is stepped over unseen; a command is looked at twice, once to see that it is
 * complete and once to copy it, both times in cache.
 *
 * Invariants: whatever order the bytes come in, the answer is that of the whole. A command that is
 * not complete is looked at again from the header of its first incomplete argument, an inline one
 * from its end, so that the work is linear however the bytes trickle. scan() checks everything;
 * deliver() believes it. Errors are worded as by Redis. Pure functions, any thread. */
#include "frame.h"

#include <errno.h>

#include "fastloop.h"
#include "frame_resp.h"

enum {
    ARGUMENTS = 1024 * 1024,  /* of one command, as in Redis */
    BULK = 512 * 1024 * 1024, /* bytes of one argument, as in Redis */
    INLINE = 64 * 1024,       /* bytes of an inline command, as in Redis */
    ARGUMENT_LEAST = 6,       /* $0 CRLF CRLF */
};

enum taken { BAD = -1, SHORT = 0, TAKEN = 1 };

/* -- errors -- */

#define PROTOCOL_ERROR(text) "-ERR Protocol error: " text "\r\n"

/* "expected '$', got 'x'" for every printable x: an answer is a view, so each has to exist. */
enum { EXPECTED_LEN = 44 };
#define GOT(c)                                                                                     \
    {                                                                                              \
        '-', 'E', 'R', 'R', ' ', 'P', 'r', 'o', 't', 'o', 'c', 'o', 'l', ' ', 'e', 'r', 'r', 'o',  \
            'r', ':', ' ', 'e', 'x', 'p', 'e', 'c', 't', 'e', 'd', ' ', '\'', '$', '\'', ',', ' ', \
            'g', 'o', 't', ' ', '\'', (c), '\'', '\r', '\n'                                        \
    }
#define GOT_4(c)  GOT(c), GOT((c) + 1), GOT((c) + 2), GOT((c) + 3)
#define GOT_16(c) GOT_4(c), GOT_4((c) + 4), GOT_4((c) + 8), GOT_4((c) + 12)

static const char expected_bulk[][EXPECTED_LEN] = {
    GOT_16(' '), GOT_16('0'), GOT_16('@'), GOT_16('P'), GOT_16('`'), GOT_16('p'),
};

static ssize_t refuse(struct message *m, int error, const char *text, size_t len)
{
    m->data = text;
    m->len = len;
    return error;
}

#define REFUSE(m, text) refuse(m, FL_EPROTO, PROTOCOL_ERROR(text), sizeof PROTOCOL_ERROR(text) - 1)

static ssize_t refuse_type(struct message *m, char got)
{
    int i = got >= ' ' && got <= '~' ? got - ' ' : '?' - ' ';
    return refuse(m, FL_EPROTO, expected_bulk[i], sizeof expected_bulk[i]);
}

static ssize_t refuse_size(struct message *m)
{
    static const char text[] = PROTOCOL_ERROR("message over the maximum size");
    return refuse(m, FL_ELIMIT, text, sizeof text - 1);
}

/* -- arrays -- */

/* One or two digits and their CRLF, as nearly all numbers are, of which four bytes are there. */
static inline bool take_short(const char **at, uint32_t *number)
{
    const char *p = *at;
    unsigned first = (unsigned)(unsigned char)p[0] - '0';
    unsigned second = (unsigned)(unsigned char)p[1] - '0';
    if (p[1] == '\r' && p[2] == '\n' && first <= 9) {
        *number = first;
        *at = p + 3;
        return true;
    }
    if (p[2] == '\r' && p[3] == '\n' && first - 1 <= 8 && second <= 9) {
        *number = first * 10 + second;
        *at = p + 4;
        return true;
    }
    return false;
}

/* Reads the digits at *at and the CRLF behind them; a number over `most` is bad, and so is a sign
 * or a leading zero. *at moves only if it was taken. */
static inline enum taken take_number(const char **at, const char *end, uint32_t most,
                                     uint32_t *number)
{
    uint64_t n = 0;
    const char *p = *at;
    if (likely(end - p >= 4 && take_short(at, number)))
        return TAKEN;
    for (; p < end && *p != '\r'; p++) {
        unsigned digit = (unsigned)(unsigned char)*p - '0';
        if (unlikely(digit > 9 || (n == 0 && p > *at)))
            return BAD;
        n = n * 10 + digit;
        if (unlikely(n > most))
            return BAD;
    }
    if (unlikely(end - p < 2))
        return p < end && p == *at ? BAD : SHORT;
    if (unlikely(p == *at || p[1] != '\n'))
        return BAD;
    *number = (uint32_t)n;
    *at = p + 2;
    return TAKEN;
}

static ssize_t scan_array(const struct framing *f, struct progress *p, const char *data, size_t n,
                          struct message *m)
{
    const char *at = data + 1;
    const char *end = data + n;
    uint32_t count = 0;
    enum taken taken = take_number(&at, end, ARGUMENTS, &count);
    if (unlikely(taken != TAKEN))
        return taken == SHORT ? 0 : REFUSE(m, "invalid multibulk length");
    if (unlikely((size_t)count * ARGUMENT_LEAST > f->max_message))
        return refuse_size(m);
    uint32_t left = count;
    if (p->seen > 0) {
        at = data + p->seen;
        left = p->left;
    }
    for (; left > 0 && at < end; left--) {
        uint32_t len = 0;
        const char *body = at + 1;
        if (unlikely(*at != '$'))
            return refuse_type(m, *at);
        taken = take_number(&body, end, BULK, &len);
        if (unlikely(taken == BAD))
            return REFUSE(m, "invalid bulk length");
        if (unlikely(taken == SHORT))
            break;
        if (unlikely((size_t)(body - data) + len + 2 > f->max_message))
            return refuse_size(m);
        if ((size_t)(end - body) < (size_t)len + 2)
            break;
        if (unlikely(body[len] != '\r' || body[len + 1] != '\n'))
            return REFUSE(m, "invalid bulk length");
        at = body + len + 2;
    }
    if (left > 0) {
        *p = (struct progress){.seen = (uint32_t)(at - data), .left = left};
        return 0;
    }
    *p = (struct progress){0};
    m->data = count == 0 ? NULL : data;
    m->len = (size_t)(at - data);
    m->items = count;
    return at - data;
}

/* Writes the arguments of a complete array. */
static char *write_array(char *out, const struct message *m)
{
    const char *end = m->data + m->len;
    const char *at = m->data;
    while (*at++ != '\n')
        ;
    while (at < end) {
        uint32_t len = 0;
        for (at++; *at != '\r'; at++)
            len = len * 10 + (uint32_t)(*at - '0');
        at += 2;
        out = codec_copy_bytes(codec_bytes_head(out, len), at, len, end);
        at += len + 2;
    }
    return out;
}

/* -- inline commands -- */

static inline bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that a backslash at *at and what follows it stand for, in these quotes. *at is left on
 * the last byte of it. There is at least one more byte. */
static char unescape(const char **at, const char *end, char quote)
{
    const char *p = *at;
    if (quote == '\'') {
        *at += p[1] == '\'';
        return p[1] == '\'' ? '\'' : '\\';
    }
    if (p[1] == 'x' && end - p >= 4 && hex_digit(p[2]) >= 0 && hex_digit(p[3]) >= 0) {
        *at += 3;
        return (char)(hex_digit(p[2]) << 4 | hex_digit(p[3]));
    }
    *at += 1;
    switch (p[1]) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return p[1];
    }
}

/* Takes the next word of an inline command from *at; its bytes go to out unless that is NULL.
 * SHORT: there is no further word. BAD: quotes that do not close, or not before a space. */
static enum taken take_word(const char **at, const char *end, char *out, uint32_t *len)
{
    const char *p = *at;
    uint32_t n = 0;
    char quote = 0;
    while (p < end && is_space(*p))
        p++;
    if (p == end)
        return SHORT;
    for (; p < end && (quote != 0 || !is_space(*p)); p++) {
        char c = *p;
        if (quote == 0 && (c == '"' || c == '\'')) {
            quote = c;
            continue;
        }
        if (quote != 0 && c == quote) {
            if (++p < end && !is_space(*p))
                return BAD;
            quote = 0;
            break;
        }
        if (quote != 0 && c == '\\' && p + 1 < end)
            c = unescape(&p, end, quote);
        if (out != NULL)
            out[n] = c;
        n++;
    }
    *at = p;
    *len = n;
    return quote == 0 ? TAKEN : BAD;
}

static ssize_t scan_inline(const struct framing *f, struct progress *p, const char *data, size_t n,
                           struct message *m)
{
    const char *lf = n > p->seen ? memchr(data + p->seen, '\n', n - p->seen) : NULL;
    size_t len = lf == NULL ? n : (size_t)(lf - data);
    if (len > min_size(f->max_message, INLINE))
        return f->max_message < INLINE ? refuse_size(m) : REFUSE(m, "too big inline request");
    if (lf == NULL) {
        p->seen = (uint32_t)n;
        return 0;
    }
    uint32_t ignored;
    uint32_t words = 0;
    const char *at = data;
    enum taken taken;
    while ((taken = take_word(&at, lf, NULL, &ignored)) == TAKEN)
        words++;
    if (taken == BAD)
        return REFUSE(m, "unbalanced quotes in request");
    *p = (struct progress){0};
    m->data = words == 0 ? NULL : data;
    m->len = len;
    m->items = words;
    return (ssize_t)len + 1;
}

/* Writes the words of a complete inline command. */
static char *write_inline(char *out, const struct message *m)
{
    const char *at = m->data;
    uint32_t len = 0;
    while (take_word(&at, m->data + m->len, out + CODEC_HEAD, &len) == TAKEN) {
        codec_u32(codec_bytes(out, "", 0) - 4, len); /* the bytes are in their place already */
        out += CODEC_HEAD + len;
    }
    return out;
}

/* -- the protocol -- */

static ssize_t scan(const struct framing *f, struct progress *p, const char *data, size_t n,
                    struct message *m)
{
    if (unlikely(n == 0))
        return 0;
    return likely(data[0] == '*') ? scan_array(f, p, data, n, m) : scan_inline(f, p, data, n, m);
}

static int deliver(const struct message *m, struct buf *inbox)
{
    /* No argument is longer than what stood for it. */
    char *start = buf_room(inbox, m->len + CODEC_HEAD * ((size_t)m->items + 1) + CODEC_STEP);
    if (start == NULL)
        return -ENOMEM;
    char *out = codec_tuple(start, m->items); /* cheaper to make than a list */
    out = m->data[0] == '*' ? write_array(out, m) : write_inline(out, m);
    inbox->len += (size_t)(out - start);
    return 0;
}

const struct protocol protocol_resp = {
    .name = "resp",
    .scan = scan,
    .deliver = deliver,
    .reply = resp_reply,
    .fault = "-ERR internal error\r\n",
    .busy = "-ERR max number of clients reached\r\n",
};
