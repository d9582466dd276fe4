/* http_bytes.h -- which bytes HTTP allows where, and how to run over them 16 at a time. Level 1.
 *
 * http_class[] is the truth; the blocks of SSE2 and NEON give the same answers faster. Nothing is
 * read outside [start, end): what is left behind the last full block is looked at by a block that
 * ends there and overlaps, which is why the functions are told where readable bytes start. Blocks
 * of 32 (AVX2) make no difference up to heads of 200 bytes and 9% at 700: not worth a second way.
 */
#ifndef FL_HTTP_BYTES_H
#define FL_HTTP_BYTES_H

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#endif

#include <string.h>

#include "base.h"

enum http_byte {
    HTTP_TOKEN = 1,  /* tchar: methods, field names (RFC 9110, 5.6.2) */
    HTTP_VALUE = 2,  /* field values: HTAB, SP, VCHAR, obs-text (RFC 9110, 5.5) */
    HTTP_TARGET = 4, /* visible ASCII but '#' */
    HTTP_PATH = 8,   /* the same without '?' */
    HTTP_HOST = 16,  /* reg-name without '%' and ',' (RFC 3986, 3.2.2) */
    HTTP_NAME = 32,  /* of HTTP_TOKEN what names are made of in practice: letters, digits, - _ */
};

extern const uint8_t http_class[256];

static inline bool http_is(char c, uint8_t classes)
{
    return (http_class[(unsigned char)c] & classes) != 0;
}

/* The value of a hexadecimal digit, or -1. */
static inline int http_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    unsigned letter = ((unsigned char)c | 0x20u) - 'a';
    return letter < 6 ? (int)letter + 10 : -1;
}

static inline char *http_write(char *p, const char *text, size_t len)
{
    memcpy(p, text, len);
    return p + len;
}

#define HTTP_WRITE(p, literal) http_write(p, literal, sizeof(literal) - 1)

/* Whether t is a text that has no capital letters, if its own are taken for small ones. */
static inline bool http_same(struct text t, const char *lower)
{
    if (t.len != strlen(lower))
        return false;
    for (size_t i = 0; i < t.len; i++) {
        char c = t.at[i] >= 'A' && t.at[i] <= 'Z' ? (char)(t.at[i] | 0x20) : t.at[i];
        if (c != lower[i])
            return false;
    }
    return true;
}

/* Takes the next element off a list, up to a comma, without the white space around it. A list of
 * nothing has one empty element; list->at is NULL behind the last. Returns whether there was one.
 */
bool http_element(struct text *list, struct text *element);

/* Reads decimal digits, and nothing else, and one at least. What is beyond 2^63 - 1 is taken for
 * that. */
bool http_number(struct text t, uint64_t *n);

/* A block is 16 bytes; a mask has HTTP_LANE bits for each byte of it, the first lowest. */
#if defined(__SSE2__)

enum { HTTP_LANE = 1 };
typedef __m128i http_block;

static inline http_block http_load(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline http_block http_at_most(http_block x, char limit)
{
    return _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(limit)), x);
}

static inline http_block http_equal(http_block x, char c)
{
    return _mm_cmpeq_epi8(x, _mm_set1_epi8(c));
}

static inline http_block http_within(http_block x, char first, char last)
{
    return http_at_most(_mm_sub_epi8(x, _mm_set1_epi8(first)), (char)(last - first));
}

static inline http_block http_or(http_block x, http_block y)
{
    return _mm_or_si128(x, y);
}

static inline http_block http_lower(http_block x)
{
    return _mm_or_si128(x, _mm_set1_epi8(0x20));
}

static inline uint64_t http_mask(http_block x)
{
    return (uint64_t)(unsigned)_mm_movemask_epi8(x);
}

#elif defined(__ARM_NEON) && defined(__aarch64__)

enum { HTTP_LANE = 4 };
typedef uint8x16_t http_block;

static inline http_block http_load(const char *p)
{
    return vld1q_u8((const uint8_t *)p);
}

static inline http_block http_equal(http_block x, char c)
{
    return vceqq_u8(x, vdupq_n_u8((uint8_t)c));
}

static inline http_block http_within(http_block x, char first, char last)
{
    return vcleq_u8(vsubq_u8(x, vdupq_n_u8((uint8_t)first)), vdupq_n_u8((uint8_t)(last - first)));
}

static inline http_block http_or(http_block x, http_block y)
{
    return vorrq_u8(x, y);
}

static inline http_block http_lower(http_block x)
{
    return vorrq_u8(x, vdupq_n_u8(0x20));
}

static inline uint64_t http_mask(http_block x)
{
    return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(x), 4)), 0);
}

#else
#define HTTP_NO_BLOCKS
#endif

#ifndef HTTP_NO_BLOCKS

/* The bytes of a block that are of the class, which is a constant where this is inlined. Bytes of
 * HTTP_TOKEN that are rare in names are missed: the caller looks again. */
static inline __attribute__((always_inline)) uint64_t http_allowed(http_block x, uint8_t class)
{
    switch (class) {
    case HTTP_VALUE: /* 0x20 to 0x7e, 0x80 to 0xff, HTAB */
        return http_mask(http_or(http_or(http_within(x, 0x20, 0x7e), http_equal(x, '\t')),
                                 http_within(x, (char)0x80, (char)0xff)));
    case HTTP_TARGET: return http_mask(http_within(x, 0x21, 0x7e)) & ~http_mask(http_equal(x, '#'));
    case HTTP_PATH:
        return http_mask(http_within(x, 0x21, 0x7e)) &
               ~http_mask(http_or(http_equal(x, '#'), http_equal(x, '?')));
    default: /* HTTP_NAME */
        return http_mask(
            http_or(http_or(http_within(http_lower(x), 'a', 'z'), http_within(x, '0', '9')),
                    http_or(http_equal(x, '-'), http_equal(x, '_'))));
    }
}

#endif

/* The first byte from p on that is not of the class, or end. */
static inline __attribute__((always_inline)) const char *http_skip(const char *p, const char *end,
                                                                   const char *start, uint8_t class)
{
#ifdef HTTP_NO_BLOCKS
    (void)start;
#else
    const uint64_t full = HTTP_LANE == 1 ? 0xffff : UINT64_MAX;
    for (; end - p >= 16; p += 16) {
        uint64_t stops = http_allowed(http_load(p), class) ^ full;
        if (stops != 0)
            return p + __builtin_ctzll(stops) / HTTP_LANE;
    }
    if (end - start >= 16 && p < end) {
        ptrdiff_t known = 16 - (end - p);
        uint64_t stops = (http_allowed(http_load(end - 16), class) ^ full) >> known * HTTP_LANE;
        return stops != 0 ? p + __builtin_ctzll(stops) / HTTP_LANE : end;
    }
#endif
    while (p < end && http_is(*p, class))
        p++;
    return p;
}

#endif
