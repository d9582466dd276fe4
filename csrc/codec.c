/* codec.c -- reading and writing the marshal forms that cross.
 *
 * Workload: writing is inlined in codec.h, a head and a memcpy per message. Reading meets bytes and
 * short lists most of the time, the other types now and then. The reader never looks past its end
 * and believes no count: a container's count is only what was written, its values must still come.
 */
#include "codec.h"

#include <errno.h>

#include "buf.h"
#include "fastloop.h"

char *codec_latin1(char *p, const void *data, uint32_t len)
{
    const unsigned char *u = data;
    char *to = p + CODEC_HEAD;
    for (uint32_t i = 0; i < len; i++) {
        if (u[i] >= 0x80)
            *to++ = (char)(0xc0 | u[i] >> 6);
        *to++ = (char)(u[i] < 0x80 ? u[i] : 0x80 | (u[i] & 0x3f));
    }
    codec_text_head(p, (uint32_t)(to - p) - CODEC_HEAD);
    return to;
}

char *codec_int(char *p, int64_t n)
{
    if (n >= INT32_MIN && n <= INT32_MAX)
        return codec_i32(p, (int32_t)n);
    /* 'l', the number of digits (negative for a negative number), digits of 15 bits each */
    uint64_t rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    int32_t digits = 0;
    char *at = p + 5;
    for (; rest > 0; rest >>= 15, digits++) {
        *at++ = (char)(rest & 0xff);
        *at++ = (char)((rest >> 8) & 0x7f);
    }
    *p = 'l';
    codec_u32(p + 1, (uint32_t)(n < 0 ? -digits : digits));
    return at;
}

static bool has(const struct codec_reader *r, size_t n)
{
    return (size_t)(r->end - r->at) >= n;
}

/* The u32 that follows a type code: a length, a count or an int32. */
static bool take_u32(struct codec_reader *r, uint32_t *n)
{
    if (!has(r, 4))
        return false;
    *n = codec_load_u32(r->at);
    r->at += 4;
    return true;
}

static int read_string(struct codec_reader *r, struct codec_value *v, enum codec_type type)
{
    uint32_t len;
    if (!take_u32(r, &len) || !has(r, len))
        return FL_EOUTBOX;
    v->type = type;
    v->data = r->at;
    v->len = len;
    r->at += len;
    return 0;
}

/* What codec_ascii() writes; Python's version 2 does not. */
static int read_short(struct codec_reader *r, struct codec_value *v)
{
    if (!has(r, 1) || !has(r, 1 + (size_t)(unsigned char)*r->at))
        return FL_EOUTBOX;
    v->type = CODEC_TEXT;
    v->len = (unsigned char)*r->at++;
    v->data = r->at;
    r->at += v->len;
    return 0;
}

static int read_container(struct codec_reader *r, struct codec_value *v, enum codec_type type)
{
    /* Every value takes a byte at least: a count beyond what is left is a lie. */
    if (!take_u32(r, &v->count) || !has(r, v->count))
        return FL_EOUTBOX;
    v->type = type;
    return 0;
}

static int read_long(struct codec_reader *r, struct codec_value *v)
{
    uint32_t raw;
    if (!take_u32(r, &raw))
        return FL_EOUTBOX;
    bool negative = (raw & 0x80000000u) != 0;
    size_t digits = negative ? 0u - raw : raw;
    if (!has(r, digits * 2))
        return FL_EOUTBOX;
    uint64_t n = 0;
    bool big = digits > 5;
    for (size_t i = 0; i < digits && !big; i++) {
        const unsigned char *u = (const unsigned char *)r->at + 2 * i;
        uint64_t digit = (uint64_t)u[0] | (uint64_t)u[1] << 8;
        big = i == 4 && digit >= 16;
        n |= (digit & 0x7fff) << (15 * i);
    }
    r->at += digits * 2;
    if (big || n > (uint64_t)INT64_MAX + (negative ? 1 : 0)) {
        v->type = CODEC_OTHER;
        return 0;
    }
    v->type = CODEC_INTEGER;
    v->integer = (int64_t)(negative ? 0 - n : n);
    return 0;
}

static int read_float(struct codec_reader *r, struct codec_value *v)
{
    if (!has(r, 8))
        return FL_EOUTBOX;
    uint64_t bits = (uint64_t)codec_load_u32(r->at) | (uint64_t)codec_load_u32(r->at + 4) << 32;
    memcpy(&v->real, &bits, sizeof bits);
    v->type = CODEC_FLOAT;
    r->at += 8;
    return 0;
}

/* A dict has no count in front but a '0' behind, so its pairs are counted ahead. */
static int read_dict(struct codec_reader *r, struct codec_value *v)
{
    struct codec_reader ahead = *r;
    uint32_t values = 0;
    while (has(&ahead, 1) && *ahead.at != '0') {
        if (codec_skip(&ahead) < 0)
            return FL_EOUTBOX;
        values++;
    }
    if (!has(&ahead, 1) || values % 2 != 0)
        return FL_EOUTBOX;
    v->type = CODEC_DICT;
    v->count = values / 2;
    return 0;
}

static int read_bool(struct codec_value *v, int64_t truth)
{
    v->type = CODEC_BOOL;
    v->integer = truth;
    return 0;
}

static int read_plain(struct codec_value *v, enum codec_type type)
{
    v->type = type;
    return 0;
}

int codec_read_any(struct codec_reader *r, struct codec_value *v)
{
    if (!has(r, 1))
        return FL_EOUTBOX;
    switch (*r->at++) {
    case 's': return read_string(r, v, CODEC_BYTES);
    case 'u':
    case 'a': return read_string(r, v, CODEC_TEXT);
    case 'z': return read_short(r, v);
    case 'N': return read_plain(v, CODEC_NONE);
    case 'i':
        if (!take_u32(r, &v->count))
            return FL_EOUTBOX;
        v->integer = (int32_t)v->count;
        return read_plain(v, CODEC_INTEGER);
    case '(': return read_container(r, v, CODEC_TUPLE);
    case '[': return read_container(r, v, CODEC_LIST);
    case 'T': return read_bool(v, 1);
    case 'F': return read_bool(v, 0);
    case 'l': return read_long(r, v);
    case 'g': return read_float(r, v);
    case '{': return read_dict(r, v);
    case '0': return read_plain(v, CODEC_END);
    case '<':
    case '>': v->integer = r->at[-1] == '>'; return read_container(r, v, CODEC_SET);
    case 'S': return read_plain(v, CODEC_MARK);
    case '.': return read_plain(v, CODEC_OTHER); /* Ellipsis */
    case 'y':                                    /* a complex: two floats */
        if (!has(r, 16))
            return FL_EOUTBOX;
        r->at += 16;
        return read_plain(v, CODEC_OTHER);
    default: return FL_EOUTBOX;
    }
}

/* How many further values a container brings; the end of a dict is one of them. */
static size_t values_in(const struct codec_value *v)
{
    switch (v->type) {
    case CODEC_LIST:
    case CODEC_TUPLE:
    case CODEC_SET: return v->count;
    case CODEC_DICT: return 2 * (size_t)v->count + 1;
    default: return 0;
    }
}

/* marshal itself nests no deeper than 2000; the stack this takes is a few hundred KB at most. */
enum { DEEPEST = 2048 };

static int skip(struct codec_reader *r, int depth)
{
    struct codec_value v = {0};
    if (depth > DEEPEST)
        return FL_EOUTBOX;
    if (has(r, 1) && *r->at == '{') { /* without counting ahead: that would cost once a level */
        bool paired = true;
        for (r->at++; has(r, 1) && *r->at != '0'; paired = !paired) {
            if (skip(r, depth + 1) < 0)
                return FL_EOUTBOX;
        }
        return has(r, 1) && paired ? (r->at++, 0) : FL_EOUTBOX;
    }
    int rc = codec_read(r, &v);
    if (rc < 0 || v.type == CODEC_END)
        return FL_EOUTBOX;
    for (size_t left = values_in(&v); left > 0; left--) {
        if (skip(r, depth + 1) < 0)
            return FL_EOUTBOX;
    }
    return 0;
}

int codec_skip(struct codec_reader *r)
{
    return skip(r, 0);
}

static char *write_text(char *p, const struct codec_value *v)
{
    unsigned char all = 0;
    for (size_t i = 0; i < v->len; i++)
        all |= (unsigned char)v->data[i];
    if (all < 0x80)
        return codec_ascii(p, v->data, (uint32_t)v->len);
    p = codec_text_head(p, (uint32_t)v->len);
    memcpy(p, v->data, v->len);
    return p + v->len;
}

static int copy_one(const struct codec_value *v, struct buf *out)
{
    char *start = buf_room(out, CODEC_INT + v->len);
    if (start == NULL)
        return -ENOMEM;
    char *p = start;
    switch (v->type) {
    case CODEC_NONE: p = codec_none(p); break;
    case CODEC_BOOL: *p++ = v->integer ? 'T' : 'F'; break;
    case CODEC_INTEGER: p = codec_int(p, v->integer); break;
    case CODEC_BYTES: p = codec_bytes(p, v->data, (uint32_t)v->len); break;
    case CODEC_TEXT: p = write_text(p, v); break;
    case CODEC_FLOAT: {
        uint64_t bits;
        memcpy(&bits, &v->real, sizeof bits);
        *p = 'g';
        p = codec_u32(codec_u32(p + 1, (uint32_t)bits), (uint32_t)(bits >> 32));
        break;
    }
    case CODEC_LIST: p = codec_list(p, v->count); break;
    case CODEC_TUPLE: p = codec_tuple(p, v->count); break;
    case CODEC_SET:
        p = codec_list(p, v->count);
        *start = v->integer ? '>' : '<';
        break;
    case CODEC_DICT: *p++ = '{'; break;
    case CODEC_END: *p++ = '0'; break;
    case CODEC_MARK: *p++ = 'S'; break;
    default: return FL_EOUTBOX;
    }
    out->len += (size_t)(p - start);
    return 0;
}

int codec_copy(struct codec_reader *r, struct buf *out)
{
    for (size_t left = 1; left > 0; left--) {
        struct codec_value v = {0};
        int rc = codec_read(r, &v);
        if (rc == 0)
            rc = copy_one(&v, out);
        if (rc < 0)
            return rc;
        left += values_in(&v);
    }
    return 0;
}
