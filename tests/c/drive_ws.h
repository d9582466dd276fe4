/* drive_ws.h -- a listener of WebSocket for the loop of drive_http.h, and what its clients say.
 *
 * Listener 0 is of lines, 1 of HTTP, 2 of WebSocket. Clients mask with a key of zeros, so that
 * frames can be read here as they are. */
#ifndef DRIVE_WS_H
#define DRIVE_WS_H

#include "drive_http.h"

#define UPGRADE    "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
#define KEY        "\xfe\xfd\xfc\xfb" /* zeros once send_ws() is through with it */
#define HI         "\x81\x82" KEY "hi"
#define PING(text) "\x89\x82" KEY text
#define BYE        "\x88\x82" KEY "\x03\xe8" /* 1000 */

enum { WEBSOCKET = 2 };

static const fl_ws ws_usual = {
    .max_message = 1 << 20,
    .wants = FL_WANT_IDS | FL_WANT_OPENED | FL_WANT_CLOSED,
    .threshold = 64,
    .window = 12,
    .level = 1,
};

static inline bool start_ws(struct drive *d, const char *backend, const fl_config *config,
                            const fl_ws *spec)
{
    return start_http(d, backend, config, &http_usual, 0) &&
           CHECK_INT(fl_websocket(d->loop, spec), WEBSOCKET);
}

/* Sends text in which KEY stands for a key of zeros. Returns whether that went well. */
static inline bool send_ws(int fd, const char *text)
{
    char plain[512];
    size_t n = strlen(text);
    memcpy(plain, text, n);
    for (size_t i = 0; i + 4 <= n; i++) {
        if (memcmp(plain + i, KEY, 4) == 0)
            memset(plain + i, 0, 4);
    }
    return send(fd, plain, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static inline void tell_ws(int fd, const char *text)
{
    CHECK(send_ws(fd, text));
}

/* Answers a handshake: its connection becomes one of this listener. */
static inline void say_accept(struct drive *d, int64_t listener, int64_t bits)
{
    say_op(d, FL_WS_ACCEPT, 3);
    say_int(d, listener);
    say_int(d, bits);
    say_start(d, 101, "upgrade", "websocket");
}

/* A topic of a connection: FL_SUBSCRIBE or FL_UNSUBSCRIBE. */
static inline void op_topic(struct drive *d, int op, int64_t id, const char *topic)
{
    item(d);
    say_op(d, op, 2);
    say_int(d, id);
    say_bytes(d, topic, strlen(topic));
}

static inline void publish(struct drive *d, const char *topic, int64_t but, const char *text)
{
    item(d);
    say_op(d, FL_PUBLISH, 3);
    say_bytes(d, topic, strlen(topic));
    say_int(d, but);
    say_bytes(d, text, strlen(text));
}

static inline void op_close(struct drive *d, int64_t id, int64_t code, const char *reason)
{
    item(d);
    say_op(d, FL_WS_CLOSE, 3);
    say_int(d, id);
    say_int(d, code);
    say_bytes(d, reason, strlen(reason));
}

/* A client that shook hands, and then said `more`; *id is its connection's. */
static inline int join_ws(struct drive *d, const char *more, int64_t *id)
{
    int fd = http_client(d);
    tell_ws(fd, more == NULL ? UPGRADE : more);
    *id = await_request(d, "/ws");
    item(d);
    say_accept(d, WEBSOCKET, 0);
    d->count = 0;
    expect_head(d, fd, "HTTP/1.1 101", "\r\nupgrade: websocket\r\n");
    return fd;
}

#endif
