/* ws_bytes.c -- masks and UTF-8, 16 bytes at a time where the CPU can.
 *
 * Workload: each payload is unmasked once, while it is copied to the inbox; each text is looked at
 * once before, and is nearly always ASCII. So both are one pass of loads, an XOR, and a store or a
 * look at the high bits; text in other languages takes a step of a table for each byte.
 * Pure functions, any thread. */
#include "ws_bytes.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#endif

#include <string.h>

enum { WS_BLOCK = 16 };

/* The key as it meets the payload from byte `at` on. */
static uint32_t turned(const char key[WS_KEY], size_t at)
{
    char bytes[WS_KEY];
    uint32_t word;
    for (size_t i = 0; i < WS_KEY; i++)
        bytes[i] = key[(at + i) % WS_KEY];
    memcpy(&word, bytes, sizeof word);
    return word;
}

/* -- blocks: load, XOR with the key four times over, store; whether any byte is not ASCII -- */

#if defined(__SSE2__)

typedef __m128i block;

static inline block block_of(uint32_t key)
{
    return _mm_set1_epi32((int)key);
}

static inline block load_masked(const char *p, block key)
{
    return _mm_xor_si128(_mm_loadu_si128((const __m128i *)(const void *)p), key);
}

static inline void store(char *p, block x)
{
    _mm_storeu_si128((__m128i *)(void *)p, x);
}

static inline bool is_wide(block x)
{
    return _mm_movemask_epi8(x) != 0;
}

#elif defined(__ARM_NEON) && defined(__aarch64__)

typedef uint8x16_t block;

static inline block block_of(uint32_t key)
{
    return vreinterpretq_u8_u32(vdupq_n_u32(key));
}

static inline block load_masked(const char *p, block key)
{
    return veorq_u8(vld1q_u8((const uint8_t *)p), key);
}

static inline void store(char *p, block x)
{
    vst1q_u8((uint8_t *)p, x);
}

static inline bool is_wide(block x)
{
    return vmaxvq_u8(x) >= 0x80;
}

#else

typedef struct {
    uint64_t half[2];
} block;

static inline block block_of(uint32_t key)
{
    uint64_t twice = (uint64_t)key << 32 | key;
    return (block){{twice, twice}};
}

static inline block load_masked(const char *p, block key)
{
    block x;
    memcpy(&x, p, sizeof x);
    x.half[0] ^= key.half[0];
    x.half[1] ^= key.half[1];
    return x;
}

static inline void store(char *p, block x)
{
    memcpy(p, &x, sizeof x);
}

static inline bool is_wide(block x)
{
    return ((x.half[0] | x.half[1]) & 0x8080808080808080u) != 0;
}

#endif

/* A block is a multiple of the key, so what is left over begins with the same byte of it. */
void ws_mask(char *to, const char *from, size_t n, const char key[WS_KEY], size_t at)
{
    uint32_t word = turned(key, at);
    const block mask = block_of(word);
    size_t i = 0;
    for (; n - i >= WS_BLOCK; i += WS_BLOCK)
        store(to + i, load_masked(from + i, mask));
    char bytes[WS_KEY];
    memcpy(bytes, &word, sizeof word);
    for (; i < n; i++)
        to[i] = (char)(from[i] ^ bytes[i % WS_KEY]);
}

/* -- UTF-8 -- */

/* What may come next in a character that is not complete. The limits of the second byte are what
 * keeps out overlong forms, surrogates, and what lies above U+10FFFF. */
enum part {
    WHOLE = WS_UTF8_WHOLE,
    ONE,   /* one more byte */
    TWO,   /* two more */
    THREE, /* three more */
    AFTER_E0,
    AFTER_ED,
    AFTER_F0,
    AFTER_F4,
    BAD,
};

_Static_assert((int)BAD == (int)WS_UTF8_BAD, "the header tells how many states there are");

static const struct {
    uint8_t low, high, next;
} expected[] = {
    [ONE] = {0x80, 0xbf, WHOLE},    [TWO] = {0x80, 0xbf, ONE},      [THREE] = {0x80, 0xbf, TWO},
    [AFTER_E0] = {0xa0, 0xbf, ONE}, [AFTER_ED] = {0x80, 0x9f, ONE}, [AFTER_F0] = {0x90, 0xbf, TWO},
    [AFTER_F4] = {0x80, 0x8f, TWO},
};

/* The state behind the first byte of a character that is not ASCII. */
static uint8_t lead(uint8_t c)
{
    if (c < 0xc2)
        return BAD;
    if (c < 0xe0)
        return ONE;
    if (c < 0xf0)
        return c == 0xe0 ? AFTER_E0 : c == 0xed ? AFTER_ED : TWO;
    if (c < 0xf5)
        return c == 0xf0 ? AFTER_F0 : c == 0xf4 ? AFTER_F4 : THREE;
    return BAD;
}

/* The first byte from p on that is not ASCII, or end. */
static const char *skip_ascii(const char *p, const char *end)
{
    const block none = block_of(0);
    while (end - p >= WS_BLOCK && !is_wide(load_masked(p, none)))
        p += WS_BLOCK;
    while (p < end && (unsigned char)*p < 0x80)
        p++;
    return p;
}

uint8_t ws_utf8(uint8_t state, const char *data, size_t n, bool *wide)
{
    const char *p = data;
    const char *end = data + n;
    while (state != BAD && p < end) {
        if (state == WHOLE) {
            p = skip_ascii(p, end);
            if (p == end)
                break;
            *wide = true;
            state = lead((uint8_t)*p++);
        } else {
            uint8_t c = (uint8_t)*p++;
            bool fits = c >= expected[state].low && c <= expected[state].high;
            state = fits ? expected[state].next : (uint8_t)BAD;
        }
    }
    return state;
}

uint8_t ws_utf8_masked(uint8_t state, const char *data, size_t n, const char key[WS_KEY], size_t at,
                       bool *wide)
{
    enum { PLAIN = 256 };
    char plain[PLAIN];
    const block mask = block_of(turned(key, at));
    size_t done = 0;
    while (done < n && state != BAD) {
        while (state == WHOLE && n - done >= WS_BLOCK && !is_wide(load_masked(data + done, mask)))
            done += WS_BLOCK;
        size_t piece = min_size(n - done, PLAIN);
        ws_mask(plain, data + done, piece, key, at + done);
        state = ws_utf8(state, plain, piece, wide);
        done += piece;
    }
    return state;
}
