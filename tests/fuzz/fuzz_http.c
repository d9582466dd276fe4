/* Invariant: requests, or their refusal, are the same whole, byte by byte, cut in two, and with
 * bodies in pieces.
 *
 * The first byte of the input says where to cut; the others are the stream. Limits are low, so that
 * inputs meet them. Reading past the end of a piece is found by the address sanitizer; that what is
 * delivered is as it should be is asserted by feed_http.h. */
#include "feed_http.h"
#include "on_heap.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { LONGEST = 2048 }; /* byte by byte costs the square of it */

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size < 1 || size > LONGEST)
        return 0;
    struct http_settings s = {.max_body = 100, .max_line = 80, .max_head = 200, .max_fields = 8};
    const struct framing f = http_framing(&s);
    const char *data = (const char *)input + 1;
    size_t n = size - 1;
    size_t cut = n * input[0] / 255;
    struct buf whole = {0};
    struct buf other = {0};
    feed_http(&f, data, n, n, 1, &on_heap, &whole);
    for (int stream = 0; stream < 2; stream++) {
        s.stream = stream;
        feed_http(&f, data, n, 1, 1, &on_heap, &other);
        must_match(&whole, &other);
        feed_http(&f, data, n, cut, n, &on_heap, &other);
        must_match(&whole, &other);
    }
    buf_free(&whole);
    buf_free(&other);
    return 0;
}
