/* frame.h -- protocols as data: how bytes become messages and values become bytes. Level 2.
 *
 * Framing is pure: bytes in, views out; no I/O, no connection, no memory of its own. One table of
 * functions per protocol, one small file each (frame_raw, _line, _length, _resp, _http). */
#ifndef FL_FRAME_H
#define FL_FRAME_H

#include "buf.h"
#include "codec.h"
#include "sock.h"
#include "wire.h"

struct framing;

enum message_kind {
    MESSAGE_WHOLE,
    MESSAGE_HEAD,  /* HTTP: a request whose body follows in pieces */
    MESSAGE_PIECE, /* ... one of these: data, len */
    MESSAGE_END,   /* ... the last of them, often of no bytes; there are no more */
    MESSAGE_PING,  /* WebSocket: its payload, masked by the WS_KEY bytes in front of it */
    MESSAGE_PONG,
    MESSAGE_CLOSE, /* ... with .status the code */
};

/* Close codes of WebSocket (RFC 6455, 7.4.1) that the core itself knows. */
enum ws_code {
    WS_NORMAL = 1000,
    WS_AWAY = 1001,
    WS_PROTOCOL = 1002,
    WS_NO_CODE = 1005,  /* never sent: the peer gave none */
    WS_ABNORMAL = 1006, /* never sent: the connection ended without a close frame */
    WS_NOT_TEXT = 1007,
    WS_TOO_BIG = 1009,
    WS_FAILED = 1011, /* the server could not go on */
};

/* What a message of WebSocket is; .status of a whole one. */
enum ws_kind {
    WS_TEXT = 1,
    WS_WIDE = 2,           /* not all of it is ASCII */
    WS_ZIPPED = 4,         /* ... is only known when it was expanded */
    WS_MAY_BE_ZIPPED = 16, /* in progress.step: compression was agreed on with this peer */
};

enum {
    WS_WINDOW = 15, /* the part of a connection's dialect that is a window; then FL_WS_* */
};

/* What a response must know of its request. */
enum http_flag {
    HTTP_OLD = 1,      /* HTTP/1.0: no chunks, no interim responses */
    HTTP_HEAD = 2,     /* the response has no body */
    HTTP_CLOSE = 4,    /* the connection ends with this exchange */
    HTTP_KEPT = 8,     /* a client of 1.0 that asked to keep the connection, and is told so */
    HTTP_UPGRADE = 16, /* asks for another protocol: what is behind it may not be HTTP */
    HTTP_OPEN = 32,    /* the body was not complete when the request was delivered */
    HTTP_CHUNKED = 64, /* the body is in chunks */
    HTTP_EXPECT = 128, /* the client waits for 100 (Continue) before it sends the body */
};

/* How far the response to a request has come. */
enum http_stage {
    STAGE_NEW,     /* nothing was said */
    STAGE_CHUNKED, /* the head was said, the body comes in chunks */
    STAGE_COUNTED, /* ... comes as `left` more bytes */
    STAGE_RAW,     /* ... comes until the close */
    STAGE_MUTE,    /* ... is not sent: HEAD, 204, 304 */
    STAGE_NONE,    /* it was said whole, or there is no request that this could answer */
};

struct http_request {
    struct text method;
    struct text target; /* as sent */
    struct text path;   /* of the target, as sent: still with its %xx */
    struct text query;  /* what is behind its '?' */
    struct text
        head; /* request line and fields, each with its CRLF, but not the last, empty line */
    struct text body;  /* as sent: still in chunks if HTTP_CHUNKED */
    uint64_t body_len; /* without the chunks' own bytes */
    uint8_t flags;     /* HTTP_* */
};

/* One complete message, or a part of one: views into the bytes that were scanned, valid as long as
 * they are. */
struct message {
    const char *data; /* NULL: these bytes are complete and mean nothing (an empty RESP line) */
    size_t len;
    uint32_t items;          /* RESP: how many arguments; WebSocket: bytes of payload */
    uint16_t status;         /* HTTP: what is wrong, 400 to 505, when scan() fails;
                              * WebSocket: close code, or WS_* of a whole message */
    uint8_t kind;            /* MESSAGE_* */
    uint8_t form;            /* HTTP: FL_FORM_*; this and what follows is set before deliver() */
    uint64_t id;             /* HTTP: of the connection */
    struct ws_zip *zip;      /* WebSocket: what expands it */
    struct codec_refs *refs; /* not of the plain form: what the batch has already; NULL: none */
    const struct sock_name *peer; /* ... the same: whom it is from; NULL: nobody knows */
    struct http_request http;     /* HTTP; set in whole and head messages */
};

/* What the bytes of an incomplete message are: each has a time limit of its own. */
enum progress_phase {
    PROGRESS_IDLE, /* there are none */
    PROGRESS_HEAD,
    PROGRESS_BODY,   /* the head is complete, the body is awaited whole */
    PROGRESS_STREAM, /* the head was delivered, the body is in pieces */
};

/* How far an incomplete message was looked at, so that no byte is searched twice when it trickles
 * in. All zero before the first byte of a message. Belongs to the connection. */
struct progress {
    uint64_t left;   /* RESP: arguments that were not seen yet; HTTP: see frame_http.c */
    uint32_t seen;   /* bytes from the start of the message that need no second look */
    uint16_t excess; /* HTTP: see http_chunks.h */
    uint8_t phase;   /* PROGRESS_*; of HTTP alone */
    uint8_t step;    /* HTTP: see frame_http.c */
};

enum {
    /* From scan(), never public: the head is complete and the client waits for 100 (Continue). The
     * caller says that once nothing is in flight, and scans again. */
    FRAME_CONTINUE = -8192,
    /* ... a control frame between the fragments of a message, which stays incomplete. The caller
     * scans the same bytes again, unless the frame was a close. */
    FRAME_CONTROL = -8193,

    REPLY_SAID = 0,
    REPLY_SILENT = 1, /* the value says nothing */
    REPLY_LAST = 2,   /* said, and the connection ends after it */
};

struct protocol {
    const char *name;

    /* Looks for one message at the front of data. Returns its length in bytes, framing included,
     * with *m filled and *p zeroed (but for MESSAGE_HEAD and MESSAGE_PIECE, which more follows); 0
     * if more bytes are needed, with *p brought forward; or FL_EPROTO or FL_ELIMIT, with m->data
     * the answer the peer gets before the close (m->len 0: none), or, where the protocol has
     * answer(), the text of it, with m->status. */
    ssize_t (*scan)(const struct framing *f, struct progress *p, const char *data, size_t n,
                    struct message *m);

    /* Writes a message that scan() found in marshal form. Returns 0 or -ENOMEM (inbox unchanged);
     * of WebSocket also FL_EPROTO or FL_ELIMIT, for what only expanding it brings to light. */
    int (*deliver)(const struct message *m, struct buf *inbox);

    /* Reads one Python value and appends its bytes, framed, to q; *x is of the message it is for.
     * Returns REPLY_*; or FL_EVALUE, FL_EOUTBOX or -ENOMEM: then the caller undoes what was
     * appended. Escape tuples other than the protocol's own never reach it. */
    int (*reply)(const struct framing *f, struct exchange *x, struct codec_reader *value,
                 struct wire *w, struct queue *q);

    /* HTTP, NULL elsewhere: an answer of the server's own, as a refusal or a fault. With the
     * response begun already nothing is said. Returns REPLY_* or -ENOMEM. */
    int (*answer)(const struct framing *f, struct exchange *x, int status, const char *text,
                  struct wire *w, struct queue *q);

    const char *fault; /* what the peer gets when a handler failed; NULL: only a close */
    const char *busy;  /* what a connection gets that is one too many; NULL: only a close */
};

/* What HTTP listeners are told beyond their framing. */
struct http_settings {
    uint64_t max_body;     /* bytes; of all pieces together */
    uint32_t max_line;     /* bytes of the request line */
    uint32_t max_head;     /* bytes of all fields */
    uint32_t max_fields;   /* how many of them */
    uint32_t max_requests; /* on one connection; 0: no limit */
    uint32_t header_ms;    /* from the first byte of a request to the end of its head */
    uint32_t body_ms;      /* for the body, plus what it takes at body_rate; 0: no limit */
    uint32_t body_rate;    /* bytes a second; 0: no limit on the body's time */
    uint32_t keepalive_ms; /* between requests */
    bool stream;           /* bodies that come late are delivered in pieces */
    uint8_t form;          /* FL_FORM_* */
    const struct date *date;
};

/* What listeners of WebSocket are told beyond their framing. */
struct ws_settings {
    struct ws_zip *zip; /* owned by the listener, shared by its connections */
    uint32_t threshold; /* bytes from which on messages are compressed */
    uint8_t level;      /* of compression */
    uint32_t ping_ms;   /* of silence until a ping is sent; 0: none is */
    uint32_t pong_ms;   /* ... and until the peer counts as gone, after the ping */
};

struct framing {
    const struct protocol *protocol;
    const struct http_settings *http; /* borrowed from the listener; NULL: not HTTP */
    const struct ws_settings *ws;     /* borrowed from the listener; NULL: not WebSocket */
    size_t max_message;
    char delimiter[8]; /* line */
    uint8_t delimiter_len;
    bool strip_cr;      /* line */
    uint8_t width;      /* length: bytes of the prefix; 0: varint */
    bool little_endian; /* length */
};

/* Fills *f from its name: "raw" "line" "u8" "u16be" "u16le" "u32be" "u32le" "varint" "resp" "http"
 * "ws".
 * Returns 0, or -EINVAL for an unknown name, a delimiter of 0 or more than 8 bytes, or a maximum of
 * 0 or more than 1 GiB. */
int framing_init(struct framing *f, const char *name, const char *delimiter, size_t delimiter_len,
                 size_t max_message);

extern const struct protocol protocol_raw;
extern const struct protocol protocol_line;
extern const struct protocol protocol_length;
extern const struct protocol protocol_resp;
extern const struct protocol protocol_http;
extern const struct protocol protocol_ws;

/* -- shared by the protocols whose message is a run of bytes (raw, line, length) -- */

enum {
    FRAME_COPY = 16 * 1024, /* a shorter reply is written in one go with its framing */
    FRAME_DECIMAL = 20,     /* the longest int64 */
};

/* Writes n in decimal, at most FRAME_DECIMAL bytes. Returns how many. */
size_t frame_decimal(char *out, int64_t n);

/* deliver(): the message as a bytes object. */
int frame_deliver_bytes(const struct message *m, struct buf *inbox);

/* -- WebSocket: control frames. What appends to q returns 0 or -ENOMEM -- */

/* Unmasks the payload of a control frame to `out`, which has room for m->len bytes: 125 at most. */
void frame_ws_unmask(const struct message *m, char *out);

int frame_ws_pong(const struct message *m, struct wire *w, struct queue *q);
int frame_ws_ping(struct wire *w, struct queue *q);

/* A reason beyond 123 bytes is cut; with WS_NO_CODE the frame is empty. */
int frame_ws_close(uint16_t code, struct text reason, struct wire *w, struct queue *q);

/* -- of the others -- */

/* reply(): bytes, str and int by way of `put` (which adds the framing); a list or tuple of these
 * item by item; None, also as an item, says nothing; anything else is FL_EVALUE. `put` copies what
 * is shorter than FRAME_COPY. */
int frame_reply_bytes(const struct framing *f, struct codec_reader *value, struct wire *w,
                      struct queue *q,
                      int (*put)(const struct framing *f, const char *data, size_t len,
                                 struct wire *w, struct queue *q));

#endif
