/* Invariant: a stream gives the same messages, and the same error, whole, byte by byte, or cut in
 * two.
 *
 * The first byte of the input picks the framing (low half) and where to cut (high half); the others
 * are the stream. Raw is the exception: its messages are what arrives, so only their bytes are
 * compared. Reading past the end of a piece is found by the address sanitizer. */
#include "feed.h"
#include "on_heap.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { LONGEST = 2048 }; /* byte by byte costs the square of it */

static const struct kind {
    const char *name;
    const char *delimiter;
    size_t max;
} kinds[16] = {
    {"raw", NULL, 7},     {"line", NULL, 20},       {"line", ";", 20},     {"line", "\r\n", 20},
    {"line", "aab", 20},  {"u8", NULL, 100},        {"u16be", NULL, 300},  {"u16le", NULL, 300},
    {"u32be", NULL, 300}, {"u32le", NULL, 300},     {"varint", NULL, 300}, {"resp", NULL, 4096},
    {"resp", NULL, 60},   {"resp", NULL, 1u << 30}, {"line", NULL, 1},     {"line", "12345678", 3},
};

/* Takes away the borders between messages. */
static void join(struct buf *text)
{
    size_t n = 0;
    for (size_t i = 0; i < text->len; i++) {
        if (text->data[i] != '[' && text->data[i] != ']')
            text->data[n++] = text->data[i];
    }
    text->len = n;
}

static void compare(const struct framing *f, struct buf *a, struct buf *b)
{
    if (f->protocol == &protocol_raw) {
        join(a);
        join(b);
    }
    must_match(a, b);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size < 1 || size > LONGEST)
        return 0;
    const struct kind *kind = &kinds[input[0] & 15];
    const char *data = (const char *)input + 1;
    size_t n = size - 1;
    size_t cut = n * (input[0] >> 4) / 15;
    struct framing f;
    struct buf whole = {0};
    struct buf other = {0};
    if (framing_init(&f, kind->name, kind->delimiter, kind->delimiter ? strlen(kind->delimiter) : 0,
                     kind->max) != 0)
        abort();
    feed(&f, data, n, n, 1, &on_heap, &whole);
    feed(&f, data, n, 1, 1, &on_heap, &other);
    compare(&f, &whole, &other);
    feed(&f, data, n, cut, n, &on_heap, &other);
    compare(&f, &whole, &other);
    buf_free(&whole);
    buf_free(&other);
    return 0;
}
