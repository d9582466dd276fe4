/* codec.h -- the part of CPython's marshal format in which batches cross. Level 1.
 *
 * C writes the inbox in it and Python reads it with marshal.loads(); Python writes the outbox with
 * marshal.dumps(x, 2) and C reads it here. Both ends are the same process, so nothing here is a
 * wire format; still the reader checks every bound, since handlers choose the types.
 * Format: Python/marshal.c in CPython; version 2 has no references and no short forms. */
#ifndef FL_CODEC_H
#define FL_CODEC_H

#include <string.h>

#include "base.h"

struct buf;

/* -- writing: the caller asks buf_room() for the sizes named here, then puts without checks -- */

enum {
    CODEC_HEAD = 5, /* a list, a tuple, an int32, or the head of a bytes value or a str */
    CODEC_INT = 15, /* any int64 */
};

static inline char *codec_u32(char *p, uint32_t n)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(p, &n, 4);
#else
    p[0] = (char)n, p[1] = (char)(n >> 8), p[2] = (char)(n >> 16), p[3] = (char)(n >> 24);
#endif
    return p + 4;
}

static inline char *codec_list(char *p, uint32_t items)
{
    *p = '[';
    return codec_u32(p + 1, items);
}

static inline char *codec_tuple(char *p, uint32_t items)
{
    *p = '(';
    return codec_u32(p + 1, items);
}

static inline char *codec_none(char *p)
{
    *p = 'N';
    return p + 1;
}

static inline char *codec_i32(char *p, int32_t n)
{
    *p = 'i';
    return codec_u32(p + 1, (uint32_t)n);
}

/* The head of a bytes value: its bytes are to follow. */
static inline char *codec_bytes_head(char *p, uint32_t len)
{
    *p = 's';
    return codec_u32(p + 1, len);
}

/* CODEC_HEAD + len bytes. */
static inline char *codec_bytes(char *p, const void *data, uint32_t len)
{
    p = codec_bytes_head(p, len);
    memcpy(p, data, len);
    return p + len;
}

enum { CODEC_STEP = 16 };

/* Copies n bytes of a run that goes on to `end`, and returns where they end. Of a few it copies
 * CODEC_STEP, which is two moves and not a call, so there must be room for as many. */
static inline char *codec_copy_bytes(char *to, const char *from, size_t n, const char *end)
{
    if (likely(n <= CODEC_STEP && (size_t)(end - from) >= CODEC_STEP))
        memcpy(to, from, CODEC_STEP);
    else
        memcpy(to, from, n);
    return to + n;
}

/* The head of a str: its len bytes of UTF-8, surrogates allowed, are to follow. */
static inline char *codec_text_head(char *p, uint32_t len)
{
    *p = 'u';
    return codec_u32(p + 1, len);
}

/* The head of a str of ASCII, at most CODEC_HEAD bytes. Python reads it faster than UTF-8. */
static inline char *codec_ascii_head(char *p, uint32_t len)
{
    if (likely(len < 256)) {
        p[0] = 'z';
        p[1] = (char)len;
        return p + 2;
    }
    *p = 'a';
    return codec_u32(p + 1, len);
}

/* At most CODEC_HEAD + len bytes. */
static inline char *codec_ascii(char *p, const void *data, uint32_t len)
{
    p = codec_ascii_head(p, len);
    memcpy(p, data, len);
    return p + len;
}

/* A str whose characters are these bytes (ISO 8859-1); at most CODEC_HEAD + 2 * len bytes. */
char *codec_latin1(char *p, const void *data, uint32_t len);

/* At most CODEC_INT bytes. */
char *codec_int(char *p, int64_t n);

/* Values that come again and again in one batch, each under a number of its own: the first time
 * they are written with a flag, from then on as a reference, which Python reads without making the
 * value, or hashing it, anew. (Version 3 and up: references count the flagged values of the whole
 * batch, so nothing else in it may have flags.) All zero at the start of a batch. */
enum { CODEC_SHARED = 96 };

struct codec_refs {
    uint8_t place[CODEC_SHARED]; /* by number; 0: not written yet */
    uint8_t count;
};

/* The value with this number, a str of ASCII or, `bytes`, a bytes value, shorter than 256 bytes; at
 * most CODEC_HEAD + len bytes. Without `refs` it is written as any other. */
static inline char *codec_shared(char *p, struct codec_refs *refs, unsigned number, bool bytes,
                                 struct text value)
{
    if (likely(refs != NULL && refs->place[number] > 0)) {
        *p = 'r';
        return codec_u32(p + 1, refs->place[number] - 1u);
    }
    char *end = bytes ? codec_bytes(p, value.at, (uint32_t)value.len)
                      : codec_ascii(p, value.at, (uint32_t)value.len);
    if (refs != NULL) {
        *p = (char)(*p | 0x80);
        refs->place[number] = ++refs->count;
    }
    return end;
}

/* -- reading -- */

enum codec_type {
    CODEC_NONE,
    CODEC_BOOL, /* .integer is 0 or 1 */
    CODEC_INTEGER,
    CODEC_OTHER, /* an int beyond 64 bits, a complex, Ellipsis: nothing is kept of them */
    CODEC_FLOAT,
    CODEC_BYTES, /* .data, .len */
    CODEC_TEXT,  /* the same, UTF-8 */
    CODEC_LIST,  /* .count values follow; tuples that begin with CODEC_MARK are ours */
    CODEC_TUPLE,
    CODEC_SET,  /* the same; .integer is 1 for a frozenset */
    CODEC_DICT, /* .count pairs follow, and then CODEC_END */
    CODEC_END,  /* ends a dict */
    CODEC_MARK, /* the singleton StopIteration: opens an escape tuple, see fastloop.h */
};

struct codec_value {
    enum codec_type type;
    uint32_t count;
    int64_t integer;
    double real;
    const char *data; /* borrowed from what is read */
    size_t len;
};

struct codec_reader {
    const char *at;
    const char *end;
};

static inline uint32_t codec_load_u32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (uint32_t)u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

/* Reads the head of the next value: scalars whole, of containers only the count; their values are
 * read by further calls. Returns 0, or FL_EOUTBOX for anything that is no such value. */
int codec_read_any(struct codec_reader *r, struct codec_value *v);

/* The same, inlined for what comes most: bytes. */
static inline int codec_read(struct codec_reader *r, struct codec_value *v)
{
    if (unlikely(r->end - r->at < CODEC_HEAD || *r->at != 's'))
        return codec_read_any(r, v);
    size_t len = codec_load_u32(r->at + 1);
    if (unlikely((size_t)(r->end - r->at - CODEC_HEAD) < len))
        return codec_read_any(r, v);
    v->type = CODEC_BYTES;
    v->data = r->at + CODEC_HEAD;
    v->len = len;
    r->at = v->data + len;
    return 0;
}

/* Reads the next value and everything in it, keeping nothing. Returns 0 or FL_EOUTBOX. */
int codec_skip(struct codec_reader *r);

/* Writes again, in the forms of the inbox, one value that Python wrote: what the self-check at
 * import compares. Returns 0, -ENOMEM or FL_EOUTBOX. */
int codec_copy(struct codec_reader *r, struct buf *out);

#endif
