/* frame.h -- protocols as data: how bytes become messages and values become bytes. Level 2.
 *
 * Framing is pure: bytes in, views out; no I/O, no connection, no memory of its own. One table of
 * functions per protocol, one small file each (frame_raw, _line, _length, _resp). */
#ifndef FL_FRAME_H
#define FL_FRAME_H

#include "buf.h"
#include "codec.h"
#include "wire.h"

struct framing;

/* One complete message: views into the bytes that were scanned, valid as long as they are. */
struct message {
    const char *data; /* NULL: these bytes are complete and mean nothing (an empty RESP line) */
    size_t len;
    uint32_t items; /* RESP: how many arguments */
};

/* How far an incomplete message was looked at, so that no byte is searched twice when it trickles
 * in. All zero before the first byte of a message. Belongs to the connection. */
struct progress {
    uint32_t seen; /* bytes from the start of the message that need no second look */
    uint32_t left; /* RESP: arguments that were not seen yet */
};

struct protocol {
    const char *name;

    /* Looks for one message at the front of data. Returns its length in bytes, framing included,
     * with *m filled and *p zeroed; 0 if more bytes are needed, with *p brought forward; or
     * FL_EPROTO or FL_ELIMIT, with m->data the answer the peer gets before the close (m->len 0:
     * none). */
    ssize_t (*scan)(const struct framing *f, struct progress *p, const char *data, size_t n,
                    struct message *m);

    /* Writes a message that scan() found in marshal form. Returns 0 or -ENOMEM (inbox unchanged).
     */
    int (*deliver)(const struct message *m, struct buf *inbox);

    /* Reads one Python value and appends its bytes, framed, to q. `dialect` is the connection's
     * (RESP 2 or 3; 0 at first). Returns 0; 1 if the value says nothing (None where it is no
     * value); or FL_EVALUE, FL_EOUTBOX or -ENOMEM: then the caller undoes what was appended. Escape
     * tuples other than the protocol's own never reach it. */
    int (*reply)(const struct framing *f, uint8_t *dialect, struct codec_reader *value,
                 struct wire *w, struct queue *q);

    const char *fault; /* what the peer gets when a handler failed; NULL: only a close */
    const char *busy;  /* what a connection gets that is one too many; NULL: only a close */
};

struct framing {
    const struct protocol *protocol;
    size_t max_message;
    char delimiter[8]; /* line */
    uint8_t delimiter_len;
    bool strip_cr;      /* line */
    uint8_t width;      /* length: bytes of the prefix; 0: varint */
    bool little_endian; /* length */
};

/* Fills *f from its name: "raw" "line" "u8" "u16be" "u16le" "u32be" "u32le" "varint" "resp".
 * Returns 0, or -EINVAL for an unknown name, a delimiter of 0 or more than 8 bytes, or a maximum of
 * 0 or more than 1 GiB. */
int framing_init(struct framing *f, const char *name, const char *delimiter, size_t delimiter_len,
                 size_t max_message);

extern const struct protocol protocol_raw;
extern const struct protocol protocol_line;
extern const struct protocol protocol_length;
extern const struct protocol protocol_resp;

/* -- shared by the protocols whose message is a run of bytes (raw, line, length) -- */

enum {
    FRAME_COPY = 16 * 1024, /* a shorter reply is written in one go with its framing */
    FRAME_DECIMAL = 20,     /* the longest int64 */
};

/* Writes n in decimal, at most FRAME_DECIMAL bytes. Returns how many. */
size_t frame_decimal(char *out, int64_t n);

/* deliver(): the message as a bytes object. */
int frame_deliver_bytes(const struct message *m, struct buf *inbox);

/* reply(): bytes, str and int by way of `put` (which adds the framing); a list or tuple of these
 * item by item; None, also as an item, says nothing; anything else is FL_EVALUE. `put` copies what
 * is shorter than FRAME_COPY. */
int frame_reply_bytes(const struct framing *f, struct codec_reader *value, struct wire *w,
                      struct queue *q,
                      int (*put)(const struct framing *f, const char *data, size_t len,
                                 struct wire *w, struct queue *q));

#endif
