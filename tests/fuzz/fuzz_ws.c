/* Invariant: a stream of frames gives the same messages, and the same error, whole, byte by byte,
 * or cut in two; and no message is larger than the maximum.
 *
 * The first byte of the input says where to cut (low seven bits) and whether compression was agreed
 * on; the others are the stream. Reading past the end of a piece is found by the address sanitizer.
 */
#include "feed_ws.h"
#include "on_heap.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { LONGEST = 1024, MAX = 600 }; /* byte by byte costs the square of it */

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size < 1 || size > LONGEST)
        return 0;
    const struct ws_zip_options o = {.largest = MAX, .level = 1, .in_bits = 15, .out_bits = 9};
    const char *data = (const char *)input + 1;
    size_t n = size - 1;
    uint8_t step = input[0] & 0x80 ? WS_MAY_BE_ZIPPED : 0;
    struct framing f;
    struct buf whole = {0};
    struct buf other = {0};
    struct ws_zip *zip = ws_zip_new(&o);
    if (zip == NULL || framing_init(&f, "ws", NULL, 0, MAX) != 0)
        abort();
    feed_ws(&f, zip, step, data, n, n, 1, &on_heap, &whole);
    feed_ws(&f, zip, step, data, n, 1, 1, &on_heap, &other);
    must_match(&whole, &other);
    feed_ws(&f, zip, step, data, n, n * (input[0] & 0x7f) / 127, n + 1, &on_heap, &other);
    must_match(&whole, &other);
    ws_zip_free(zip);
    buf_free(&whole);
    buf_free(&other);
    return 0;
}
