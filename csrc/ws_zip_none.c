/* ws_zip_none.c -- what ws_zip.c is where zlib is not: nothing is compressed.
 *
 * Workload: none. Handshakes agree on no compression, so nobody gets as far as a message.
 *
 * Invariants: nothing is kept. Any number of threads at a time. */
#include "ws_zip.h"

#ifndef WS_ZIP_ZLIB

#include <errno.h>
#include <stdlib.h>

bool ws_zip_works(void)
{
    return false;
}

struct ws_zip *ws_zip_new(const struct ws_zip_options *options)
{
    (void)options;
    return malloc(1); /* NULL would say that memory is short */
}

void ws_zip_free(struct ws_zip *z)
{
    free(z);
}

int ws_zip_expand(struct ws_zip *z, const char *data, size_t n, struct buf *out, size_t *len)
{
    (void)z, (void)data, (void)n, (void)out, (void)len;
    return -ENOSYS;
}

int ws_zip_expanded(struct ws_zip *z, struct buf *out, size_t *len)
{
    (void)z, (void)out, (void)len;
    return -ENOSYS;
}

size_t ws_zip_bound(size_t n)
{
    return n;
}

ssize_t ws_zip_compress(struct ws_zip *z, uint8_t bits, const char *data, size_t n, char *out)
{
    (void)z, (void)bits, (void)data, (void)n, (void)out;
    return -ENOSYS;
}

#endif
