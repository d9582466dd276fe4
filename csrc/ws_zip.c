/* ws_zip.c -- the only file that knows zlib.
 *
 * Workload: messages of a kilobyte and more, from peers that asked for compression; most of the
 * time goes into deflate itself. What is ours is to set a stream back cheaply after each message: a
 * small window and small tables do that, and compress messages of this size nearly as well.
 *
 * Invariants: what a message expands to is bounded while it is expanded, not afterwards; the four
 * bytes that end each message of deflate (RFC 7692, 7.2.1) are never sent and always supplied.
 * One thread at a time. */
#include "ws_zip.h"

#ifdef WS_ZIP_ZLIB

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "buf.h"
#include "fastloop.h"

enum {
    LEAST_WINDOW = 9,
    MOST_WINDOW = 15,
    STEP = 16 * 1024, /* room that is made at a time for what comes out */
};

static const unsigned char tail[] = {0, 0, 0xff, 0xff};

struct ws_zip {
    struct ws_zip_options o;
    z_stream *in;
    z_stream *out[MOST_WINDOW + 1]; /* by window */
};

bool ws_zip_works(void)
{
    return true;
}

struct ws_zip *ws_zip_new(const struct ws_zip_options *options)
{
    struct ws_zip *z = calloc(1, sizeof *z);
    if (z != NULL)
        z->o = *options;
    return z;
}

void ws_zip_free(struct ws_zip *z)
{
    if (z == NULL)
        return;
    if (z->in != NULL)
        inflateEnd(z->in);
    free(z->in);
    for (size_t i = 0; i < countof(z->out); i++) {
        if (z->out[i] != NULL)
            deflateEnd(z->out[i]);
        free(z->out[i]);
    }
    free(z);
}

/* -- in -- */

static z_stream *inflating(struct ws_zip *z)
{
    if (z->in != NULL)
        return z->in;
    z_stream *s = calloc(1, sizeof *s);
    if (s != NULL && inflateInit2(s, -z->o.in_bits) != Z_OK) {
        free(s);
        return NULL;
    }
    z->in = s;
    return s;
}

/* A last block ends the stream of deflate, not the messages (RFC 7692, 7.2.3.4): goes on behind it,
 * with the window as it is. */
static int begin_anew(struct ws_zip *z)
{
    unsigned char window[1 << MOST_WINDOW];
    uInt len = 0;
    bool kept = inflateGetDictionary(z->in, window, &len) == Z_OK;
    if (inflateReset(z->in) != Z_OK)
        return FL_EPROTO;
    if (kept && len > 0)
        inflateSetDictionary(z->in, window, len);
    return 0;
}

/* Inflates as much as there is room for. Returns 0; 1 if nothing more comes out; or an error. */
static int inflate_some(struct ws_zip *z, struct buf *out, size_t *len)
{
    z_stream *s = z->in;
    size_t room = min_size(STEP, (size_t)(z->o.largest - *len) + 1);
    char *to = buf_room(out, *len + room);
    if (to == NULL)
        return -ENOMEM;
    s->next_out = (Bytef *)to + *len;
    s->avail_out = (uInt)room;
    int rc = inflate(s, Z_SYNC_FLUSH);
    size_t came = room - s->avail_out;
    *len += came;
    if (rc == Z_MEM_ERROR)
        return -ENOMEM;
    if (rc != Z_OK && rc != Z_BUF_ERROR && rc != Z_STREAM_END)
        return FL_EPROTO;
    if (*len > z->o.largest)
        return FL_ELIMIT;
    if (rc == Z_STREAM_END)
        return begin_anew(z);
    return came < room ? 1 : 0;
}

int ws_zip_expand(struct ws_zip *z, const char *data, size_t n, struct buf *out, size_t *len)
{
    z_stream *s = inflating(z);
    if (s == NULL)
        return -ENOMEM;
    s->next_in = (Bytef *)(uintptr_t)data;
    s->avail_in = (uInt)n;
    int rc = 0;
    while (rc == 0 && (s->avail_in > 0 || s->avail_out == 0))
        rc = inflate_some(z, out, len);
    return rc > 0 ? 0 : rc;
}

int ws_zip_expanded(struct ws_zip *z, struct buf *out, size_t *len)
{
    int rc = ws_zip_expand(z, (const char *)tail, sizeof tail, out, len);
    if (z->in != NULL && (rc < 0 || !z->o.keep_in))
        inflateReset(z->in);
    return rc;
}

/* -- out -- */

/* Small tables go with a small window: they are cleared for each message. */
static int table_of(int bits)
{
    return bits > 12 ? 8 : bits - 7;
}

static z_stream *deflating(struct ws_zip *z, uint8_t bits)
{
    if (z->out[bits] != NULL)
        return z->out[bits];
    z_stream *s = calloc(1, sizeof *s);
    if (s != NULL && deflateInit2(s, z->o.level, Z_DEFLATED, -bits, table_of(bits),
                                  Z_DEFAULT_STRATEGY) != Z_OK) {
        free(s);
        return NULL;
    }
    z->out[bits] = s;
    return s;
}

/* What zlib says of compressBound() holds for the largest window and tables; stored blocks of the
 * smallest hold 127 bytes for 5 of their own. */
size_t ws_zip_bound(size_t n)
{
    return n + n / 16 + 64;
}

ssize_t ws_zip_compress(struct ws_zip *z, uint8_t bits, const char *data, size_t n, char *out)
{
    if (z->o.keep_out || bits > z->o.out_bits) /* one context has one window */
        bits = z->o.out_bits;
    else if (bits < LEAST_WINDOW)
        bits = LEAST_WINDOW;
    z_stream *s = deflating(z, bits);
    if (s == NULL || n > UINT32_MAX / 2)
        return -ENOMEM;
    s->next_in = (Bytef *)(uintptr_t)data;
    s->avail_in = (uInt)n;
    s->next_out = (Bytef *)out;
    s->avail_out = (uInt)ws_zip_bound(n);
    int rc = deflate(s, Z_SYNC_FLUSH);
    bool whole = rc == Z_OK && s->avail_in == 0 && s->avail_out > 0;
    size_t len = ws_zip_bound(n) - s->avail_out;
    if (!whole || !z->o.keep_out)
        deflateReset(s);
    return whole && len >= sizeof tail ? (ssize_t)(len - sizeof tail) : -ENOMEM;
}

#endif
