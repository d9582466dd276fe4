/* ws_zip.h -- compressing and expanding messages: permessage-deflate (RFC 7692) by zlib. Level 2.
 *
 * Of one such thing all connections of a listener make use in turn, as long as no message refers to
 * an earlier one ("no context takeover"): an idle connection then has none of its memory. A
 * connection that does take over its context has one of its own. */
#ifndef FL_WS_ZIP_H
#define FL_WS_ZIP_H

#include "base.h"

struct buf;

/* It needs zlib's header. Without it the server offers no compression, which is a peer's to ask for
 * and ours to pass over; FL_NO_ZLIB makes a build do without where the header is found. */
#if !defined(FL_NO_ZLIB) && defined(__has_include)
#if __has_include(<zlib.h>)
#define WS_ZIP_ZLIB
#endif
#endif

/* Whether there is compression: if not, no connection must be told to use it. */
bool ws_zip_works(void);

/* The windows are 9 to 15: so many bits of distance, up to which a repetition is found. */
struct ws_zip_options {
    uint64_t largest; /* bytes that a message may expand to */
    uint8_t level;    /* 1 (fast) to 9 */
    uint8_t in_bits;  /* window of the peer */
    uint8_t out_bits; /* largest window of ours */
    bool keep_in;     /* the peer's messages may refer to earlier ones */
    bool keep_out;    /* ours may */
};

struct ws_zip;

/* Nothing but a small struct is allocated before the first message. NULL when memory is short. */
struct ws_zip *ws_zip_new(const struct ws_zip_options *options);
void ws_zip_free(struct ws_zip *z);

/* Expands the next n bytes of a message to out, behind its last byte + *len, and adds to *len what
 * came out. Returns 0; FL_EPROTO for what is no deflate; FL_ELIMIT beyond the largest; -ENOMEM. */
int ws_zip_expand(struct ws_zip *z, const char *data, size_t n, struct buf *out, size_t *len);

/* The message is complete: expands what is left of it, and gets ready for the next, also after an
 * error. Returns as ws_zip_expand() does. */
int ws_zip_expanded(struct ws_zip *z, struct buf *out, size_t *len);

/* The most bytes that a message of n is compressed to. */
size_t ws_zip_bound(size_t n);

/* Compresses a whole message to `out`, which has room for ws_zip_bound(n), with a window of so many
 * bits; with keep_out always that of the options. Returns the length or -ENOMEM. */
ssize_t ws_zip_compress(struct ws_zip *z, uint8_t bits, const char *data, size_t n, char *out);

#endif
