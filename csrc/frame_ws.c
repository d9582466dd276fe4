/* frame_ws.c -- WebSocket (RFC 6455) behind its handshake: frames as messages.
 *
 * Workload: messages of one frame that arrive whole, from some ten bytes to a few kilobytes. The
 * frames of a message that is not complete stay as they came; each is looked at once, and deliver()
 * joins them.
 *
 * What *p keeps:
 *   seen  where the frame under way begins: those in front of it are complete
 *   left  low half: bytes of the message in complete frames; high half: bytes of the frame under
 * way that were found to be UTF-8 step  STEP_*, and the state of ws_utf8() above them Invariants:
 * the messages, or the error, do not depend on how the bytes were cut; a text that is no UTF-8 is
 * refused with its first bad byte; a control frame between two
 * fragments is reported once. Pure functions, any thread. */
#include "frame.h"

#include <errno.h>

#include "fastloop.h"
#include "ws_bytes.h"
#include "ws_zip.h"

enum opcode { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

enum step {
    STEP_TEXT = WS_TEXT,
    STEP_WIDE = WS_WIDE,
    STEP_ZIPPED = WS_ZIPPED,
    STEP_BEGUN = 8,               /* a frame of the message is complete: fragments follow */
    STEP_ZIPS = WS_MAY_BE_ZIPPED, /* of the connection: compression was agreed on */
    STEP_UTF8 = 5,                /* where the state of ws_utf8() begins */
};

enum {
    FIN = 0x80,
    RESERVED = 0x70,
    RSV1 = 0x40, /* the message is compressed (RFC 7692, 6) */
    MASKED = 0x80,
    LONGEST_CONTROL = 125,
    LONGEST_HEAD = 10, /* without a key: a server's */
    SLACK = 64 * 1024,
    PIECE = 4096,
};

struct header {
    uint8_t opcode;
    bool fin;
    bool zipped;
    uint64_t len;
    size_t size; /* of the header itself; its last WS_KEY bytes are the key */
};

static ssize_t refuse(struct message *m, uint16_t code, const char *text)
{
    m->status = code;
    m->data = text;
    m->len = strlen(text);
    return code == WS_TOO_BIG ? FL_ELIMIT : FL_EPROTO;
}

/* -- headers -- */

/* What is wrong with the first byte of a frame, or 0. */
static ssize_t check_first(uint8_t first, const struct progress *p, struct message *m)
{
    uint8_t opcode = first & 15;
    bool data = opcode == TEXT || opcode == BINARY;
    uint8_t allowed = data && (p->step & STEP_ZIPS) ? RSV1 : 0;
    if (first & RESERVED & ~allowed)
        return refuse(m, WS_PROTOCOL, "a reserved bit is set");
    if (opcode > PONG || (opcode > BINARY && opcode < CLOSE))
        return refuse(m, WS_PROTOCOL, "an opcode that does not exist");
    if (opcode >= CLOSE && !(first & FIN))
        return refuse(m, WS_PROTOCOL, "a control frame in fragments");
    if (opcode == CONTINUATION && !(p->step & STEP_BEGUN))
        return refuse(m, WS_PROTOCOL, "a continuation of nothing");
    if (data && (p->step & STEP_BEGUN))
        return refuse(m, WS_PROTOCOL, "a message within a message");
    return 0;
}

static uint64_t big_endian(const char *data, size_t n)
{
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++)
        value = value << 8 | (unsigned char)data[i];
    return value;
}

/* The length that follows the first byte. Returns 1, 0 if more bytes are needed, or an error. */
static ssize_t read_length(const char *data, size_t n, struct header *h, struct message *m)
{
    uint8_t code = (uint8_t)data[1] & 0x7f;
    size_t width = code == 126 ? 2 : code == 127 ? 8 : 0;
    if (!((uint8_t)data[1] & MASKED))
        return refuse(m, WS_PROTOCOL, "a frame that is not masked");
    if (h->opcode >= CLOSE && code > LONGEST_CONTROL)
        return refuse(m, WS_PROTOCOL, "a control frame of more than 125 bytes");
    if (n < 2 + width)
        return 0;
    h->size = 2 + width + WS_KEY;
    h->len = width == 0 ? code : big_endian(data + 2, width);
    if ((width == 2 && h->len < 126) || (width == 8 && (h->len <= UINT16_MAX || h->len >> 63 != 0)))
        return refuse(m, WS_PROTOCOL, "a length that is not written as short as can be");
    return 1;
}

/* Reads the header of a frame. Returns 1, 0 if more bytes are needed, or an error. */
static ssize_t read_header(const struct framing *f, const struct progress *p, const char *data,
                           size_t n, struct header *h, struct message *m)
{
    if (n == 0)
        return 0;
    ssize_t rc = check_first((uint8_t)data[0], p, m);
    if (rc < 0)
        return rc;
    h->opcode = (uint8_t)data[0] & 15;
    h->fin = ((uint8_t)data[0] & FIN) != 0;
    h->zipped = ((uint8_t)data[0] & RSV1) != 0;
    rc = n < 2 ? 0 : read_length(data, n, h, m);
    if (rc <= 0)
        return rc;
    if (h->opcode < CLOSE && h->len > f->max_message - (uint32_t)p->left)
        return refuse(m, WS_TOO_BIG, "a message over the maximum size");
    return n >= h->size;
}

/* -- control frames -- */

static bool is_close_code(uint64_t code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

/* RFC 6455, 5.5.1: nothing, or a code and maybe a text. */
static ssize_t check_close(struct message *m)
{
    char plain[LONGEST_CONTROL];
    bool wide = false;
    m->status = WS_NO_CODE;
    if (m->len == 0)
        return 0;
    if (m->len == 1)
        return refuse(m, WS_PROTOCOL, "half a close code");
    frame_ws_unmask(m, plain);
    m->status = (uint16_t)big_endian(plain, 2);
    if (!is_close_code(m->status))
        return refuse(m, WS_PROTOCOL, "a close code that may not be sent");
    if (ws_utf8(WS_UTF8_WHOLE, plain + 2, m->len - 2, &wide) != WS_UTF8_WHOLE)
        return refuse(m, WS_NOT_TEXT, "a reason that is no UTF-8");
    return 0;
}

/* Whether a message whose frames go on up to `end` takes too much memory, however little they say:
 * those between the fragments stay, too. */
static bool is_flood(const struct framing *f, size_t end)
{
    return end > 4 * f->max_message + SLACK || end > INT32_MAX;
}

/* A control frame at data + at, of which `there` bytes of payload are here. */
static ssize_t take_control(const struct framing *f, struct progress *p, const char *data,
                            size_t at, size_t there, const struct header *h, struct message *m)
{
    if (there < h->len)
        return 0;
    if (is_flood(f, at))
        return refuse(m, WS_TOO_BIG, "too many frames in a message");
    m->data = data + at + h->size;
    m->len = (size_t)h->len;
    m->kind = h->opcode == PING ? MESSAGE_PING : h->opcode == PONG ? MESSAGE_PONG : MESSAGE_CLOSE;
    ssize_t rc = h->opcode == CLOSE ? check_close(m) : 0;
    if (rc < 0)
        return rc;
    if (at == 0)
        return (ssize_t)(h->size + m->len);
    p->seen = (uint32_t)(at + h->size + m->len);
    return FRAME_CONTROL;
}

void frame_ws_unmask(const struct message *m, char *out)
{
    ws_mask(out, m->data, m->len, m->data - WS_KEY, 0);
}

/* -- messages -- */

/* Follows the text in a frame up to `there` bytes. Returns 0 or an error. */
static ssize_t check_text(struct progress *p, const char *payload, size_t there, bool ends,
                          struct message *m)
{
    size_t done = p->left >> 32;
    bool wide = false;
    uint8_t state = ws_utf8_masked(p->step >> STEP_UTF8, payload + done, there - done,
                                   payload - WS_KEY, done, &wide);
    if (state == WS_UTF8_BAD || (ends && state != WS_UTF8_WHOLE))
        return refuse(m, WS_NOT_TEXT, "a text that is no UTF-8");
    p->step = (uint8_t)((p->step & ((1u << STEP_UTF8) - 1)) | (wide ? STEP_WIDE : 0u) |
                        (unsigned)state << STEP_UTF8);
    p->left = (uint32_t)p->left | (uint64_t)there << 32;
    return 0;
}

static ssize_t whole(struct progress *p, const char *data, size_t n, struct message *m)
{
    m->kind = MESSAGE_WHOLE;
    m->data = data;
    m->len = n;
    m->items = (uint32_t)p->left;
    m->status = p->step;
    *p = (struct progress){.step = p->step & STEP_ZIPS};
    return (ssize_t)n;
}

/* A data frame at data + at. Returns 1 if another may follow, 0 if more bytes are needed, the
 * length of the message that it completes, which is more than 1, or an error. */
static ssize_t take_data(const struct framing *f, struct progress *p, const char *data, size_t at,
                         size_t there, const struct header *h, struct message *m)
{
    if (h->opcode != CONTINUATION)
        p->step |= (h->opcode == TEXT ? STEP_TEXT : 0) | (h->zipped ? STEP_ZIPPED : 0);
    bool ends = h->fin && there == h->len;
    if ((p->step & (STEP_TEXT | STEP_ZIPPED)) == STEP_TEXT) {
        ssize_t rc = check_text(p, data + at + h->size, there, ends, m);
        if (rc < 0)
            return rc;
    }
    if (there < h->len)
        return 0;
    p->left = (uint32_t)p->left + h->len;
    at += h->size + there;
    if (h->fin)
        return whole(p, data, at, m);
    if (is_flood(f, at))
        return refuse(m, WS_TOO_BIG, "a message in too many fragments");
    p->step |= STEP_BEGUN;
    p->seen = (uint32_t)at;
    return 1;
}

static ssize_t scan(const struct framing *f, struct progress *p, const char *data, size_t n,
                    struct message *m)
{
    ssize_t rc;
    do {
        struct header h = {0};
        size_t at = p->seen;
        rc = read_header(f, p, data + at, n - at, &h, m);
        if (rc <= 0)
            return rc;
        size_t there = min_size(n - at - h.size, (size_t)h.len);
        if (h.opcode >= CLOSE)
            rc = take_control(f, p, data, at, there, &h, m);
        else
            rc = take_data(f, p, data, at, there, &h, m);
    } while (rc == 1);
    return rc;
}

/* -- to Python: str or bytes -- */

/* The next data frame from *at on: its payload, masked. */
static struct text next_payload(const char **at)
{
    for (;;) {
        const char *frame = *at;
        uint8_t code = (uint8_t)frame[1] & 0x7f;
        size_t width = code == 126 ? 2 : code == 127 ? 8 : 0;
        uint64_t len = width == 0 ? code : big_endian(frame + 2, width);
        struct text payload = {frame + 2 + width + WS_KEY, (size_t)len};
        *at = payload.at + payload.len;
        if ((frame[0] & 15) < CLOSE)
            return payload;
    }
}

static int deliver_plain(const struct message *m, struct buf *inbox)
{
    char *start = buf_room(inbox, CODEC_HEAD + m->items);
    if (start == NULL)
        return -ENOMEM;
    char *p = start;
    if (!(m->status & STEP_TEXT))
        p = codec_bytes_head(p, m->items);
    else if (m->status & STEP_WIDE)
        p = codec_text_head(p, m->items);
    else
        p = codec_ascii_head(p, m->items);
    const char *at = m->data;
    while (at < m->data + m->len) {
        struct text payload = next_payload(&at);
        ws_mask(p, payload.at, payload.len, payload.at - WS_KEY, 0);
        p += payload.len;
    }
    inbox->len += (size_t)(p - start);
    return 0;
}

static int expand(const struct message *m, struct buf *inbox, size_t *len)
{
    char plain[PIECE];
    int rc = 0;
    const char *at = m->data;
    while (rc == 0 && at < m->data + m->len) {
        struct text payload = next_payload(&at);
        for (size_t done = 0; rc == 0 && done < payload.len; done += PIECE) {
            size_t n = min_size(PIECE, payload.len - done);
            ws_mask(plain, payload.at + done, n, payload.at - WS_KEY, done);
            rc = ws_zip_expand(m->zip, plain, n, inbox, len);
        }
    }
    int end = ws_zip_expanded(m->zip, inbox, len);
    return rc < 0 ? rc : end;
}

/* The head in front of what came out is written last, in the form whose size is always the same. */
static int deliver_zipped(const struct message *m, struct buf *inbox)
{
    bool wide = false;
    size_t len = 0;
    if (buf_room(inbox, CODEC_HEAD) == NULL)
        return -ENOMEM;
    inbox->len += CODEC_HEAD;
    int rc = expand(m, inbox, &len);
    inbox->len -= CODEC_HEAD;
    char *p = inbox->data + inbox->len;
    if (rc < 0)
        return rc;
    if (!(m->status & STEP_TEXT))
        codec_bytes_head(p, (uint32_t)len);
    else if (ws_utf8(WS_UTF8_WHOLE, p + CODEC_HEAD, len, &wide) == WS_UTF8_WHOLE)
        codec_text_head(p, (uint32_t)len);
    else
        return FL_EPROTO;
    inbox->len += CODEC_HEAD + len;
    return 0;
}

static int deliver(const struct message *m, struct buf *inbox)
{
    return m->status & STEP_ZIPPED ? deliver_zipped(m, inbox) : deliver_plain(m, inbox);
}

/* -- from Python: str, bytes, lists of them -- */

/* The header of a frame that is a whole message. At most LONGEST_HEAD bytes. */
static char *write_head(char *p, uint8_t first, size_t len)
{
    *p++ = (char)first;
    size_t width = len < 126 ? 0 : len <= UINT16_MAX ? 2 : 8;
    *p++ = (char)(width == 0 ? len : width == 2 ? 126u : 127u);
    for (size_t i = width; i > 0; i--)
        *p++ = (char)((uint64_t)len >> (8 * (i - 1)));
    return p;
}

static int put_zipped(struct ws_zip *zip, uint8_t bits, uint8_t first, struct text body,
                      struct wire *w, struct queue *q)
{
    char *room = wire_room(w, LONGEST_HEAD + ws_zip_bound(body.len));
    if (room == NULL)
        return -ENOMEM;
    ssize_t len = ws_zip_compress(zip, bits, body.at, body.len, room + LONGEST_HEAD);
    if (len < 0)
        return (int)len;
    char *p = write_head(room, first | RSV1, (size_t)len);
    memmove(p, room + LONGEST_HEAD, (size_t)len);
    return wire_commit(w, q, (size_t)(p + len - room));
}

static int put(const struct framing *f, const struct exchange *x, uint8_t first, struct text body,
               struct wire *w, struct queue *q)
{
    uint8_t bits = x->dialect & WS_WINDOW;
    if (bits != 0 && body.len >= f->ws->threshold) {
        struct ws_zip *zip = x->dialect & FL_WS_KEEP_OUT ? x->zip : f->ws->zip;
        if (zip != NULL)
            return put_zipped(zip, bits, first, body, w, q);
    }
    size_t copied = body.len < FRAME_COPY ? body.len : 0;
    char *room = wire_room(w, LONGEST_HEAD + copied);
    if (room == NULL)
        return -ENOMEM;
    char *p = write_head(room, first, body.len);
    memcpy(p, body.at, copied);
    int rc = wire_commit(w, q, (size_t)(p + copied - room));
    return rc == 0 && copied < body.len ? wire_body(w, q, body.at, body.len) : rc;
}

/* Whether this can be said. Returns 0 or FL_EVALUE. */
static int check_value(const struct codec_value *v)
{
    bool wide = false;
    if (v->type == CODEC_NONE || v->type == CODEC_BYTES)
        return 0;
    if (v->type != CODEC_TEXT) /* of which marshal lets surrogates pass, and no peer would */
        return FL_EVALUE;
    return ws_utf8(WS_UTF8_WHOLE, v->data, v->len, &wide) == WS_UTF8_WHOLE ? 0 : FL_EVALUE;
}

/* The same of all that come next. */
static int check_values(struct codec_reader values, uint32_t count)
{
    struct codec_value v = {0};
    int rc = 0;
    for (; count > 0 && rc == 0; count--) {
        rc = codec_read(&values, &v);
        if (rc == 0)
            rc = check_value(&v);
    }
    return rc;
}

/* Of a value that can be said. Returns 0, 1 for None, or -ENOMEM. */
static int put_value(const struct framing *f, const struct exchange *x, const struct codec_value *v,
                     struct wire *w, struct queue *q)
{
    if (v->type == CODEC_NONE)
        return 1;
    uint8_t first = FIN | (v->type == CODEC_TEXT ? TEXT : BINARY);
    return put(f, x, first, (struct text){v->data, v->len}, w, q);
}

static int reply(const struct framing *f, struct exchange *x, struct codec_reader *value,
                 struct wire *w, struct queue *q)
{
    struct codec_value v = {0};
    int rc = codec_read(value, &v);
    if (rc < 0)
        return rc;
    if (v.type != CODEC_LIST && v.type != CODEC_TUPLE) {
        rc = check_value(&v);
        return rc < 0 ? rc : put_value(f, x, &v, w, q);
    }
    /* All of them first: compression remembers what was put, also if it is undone. */
    rc = check_values(*value, v.count);
    if (rc < 0)
        return rc;
    int silent = REPLY_SILENT;
    for (uint32_t left = v.count; left > 0; left--) {
        struct codec_value item = {0};
        rc = codec_read(value, &item);
        if (rc == 0)
            rc = put_value(f, x, &item, w, q);
        if (rc < 0)
            return rc;
        silent &= rc;
    }
    return silent;
}

/* -- of the server's own -- */

int frame_ws_pong(const struct message *m, struct wire *w, struct queue *q)
{
    char frame[2 + LONGEST_CONTROL];
    char *p = write_head(frame, FIN | PONG, m->len);
    frame_ws_unmask(m, p);
    return wire_put(w, q, frame, 2 + m->len);
}

int frame_ws_ping(struct wire *w, struct queue *q)
{
    static const char ping[] = {(char)(FIN | PING), 0};
    return wire_put(w, q, ping, sizeof ping);
}

int frame_ws_close(uint16_t code, struct text reason, struct wire *w, struct queue *q)
{
    char frame[2 + LONGEST_CONTROL];
    size_t len = min_size(reason.len, LONGEST_CONTROL - 2);
    while (len < reason.len && len > 0 && ((unsigned char)reason.at[len] & 0xc0) == 0x80)
        len--; /* not within a character */
    if (code == WS_NO_CODE)
        return wire_put(w, q, frame, (size_t)(write_head(frame, FIN | CLOSE, 0) - frame));
    char *p = write_head(frame, FIN | CLOSE, 2 + len);
    *p++ = (char)(code >> 8);
    *p++ = (char)code;
    if (len > 0)
        memcpy(p, reason.at, len);
    return wire_put(w, q, frame, (size_t)(p + len - frame));
}

const struct protocol protocol_ws = {
    .name = "ws",
    .scan = scan,
    .deliver = deliver,
    .reply = reply,
};
