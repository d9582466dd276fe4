/* test_loop_ws.c -- WebSocket through the whole loop, on every backend. What drive.h echoes are
 * bytes, so an echo is a binary message, and a text comes as an empty one. */
#include "drive_ws.h"
#include "oom.h"

static struct drive d;

#define BINARY(n, text) "\x82" n text
#define SOME            "\x82\x82" KEY "hi"

/* Frames wait for the answer to the handshake that they came with, and for their own rest. */
static void test_handshake(const char *backend)
{
    int64_t id;
    if (!start_ws(&d, backend, &usual, &ws_usual))
        return;
    int fd = join_ws(&d, UPGRADE SOME SOME "\x82\x82", &id);
    expect(&d, fd, BINARY("\x02", "hi") BINARY("\x02", "hi"));
    CHECK_INT(d.told[FL_OPENED], 1);
    static const char rest[] = "\0\0\0\0yo";
    for (size_t i = 0; i < sizeof rest - 1; i++) {
        CHECK_INT(send(fd, rest + i, 1, MSG_NOSIGNAL), 1);
        turn(&d, 0);
        echo(&d);
    }
    expect(&d, fd, BINARY("\x02", "yo"));
    tell_ws(fd, BYE);
    expect(&d, fd, "\x88\x02\x03\xe8");
    expect_end(&d, fd);
    const struct event *e = await(&d, FL_CLOSED);
    CHECK(e != NULL && e->id == id && e->listener == WEBSOCKET && e->value == 1000);
    finish(&d);
}

/* Only a request for it may be answered by it, and only with a listener of WebSocket. */
static void test_not_accepted(const char *backend)
{
    if (!start_ws(&d, backend, &usual, &ws_usual))
        return;
    for (int i = 0; i < 4; i++) {
        int fd = http_client(&d);
        tell_ws(fd, i == 0 ? GET("/ws") : UPGRADE);
        await_request(&d, "/ws");
        item(&d);
        say_accept(&d, i == 1 ? 1 : i == 2 ? 99 : WEBSOCKET, i == 3 ? 16 : 0);
        d.count = 0;
        expect_head(&d, fd, "HTTP/1.1 500", NULL);
        close(fd);
    }
    CHECK_INT(d.told[FL_OPENED], 0);
    finish(&d);
}

static void test_pings_go_ahead_of_promises(const char *backend)
{
    int64_t id;
    if (!start_ws(&d, backend, &usual, &ws_usual))
        return;
    int fd = join_ws(&d, NULL, &id);
    tell_ws(fd, HI "\x01\x81" KEY "a" PING("??"));
    if (await(&d, FL_MESSAGES) != NULL)
        op1(&d, FL_LATER, 7);
    d.count = 0;
    expect(&d, fd, "\x8a\x02??");
    op_text(&d, FL_FILL, id, 7, "as promised");
    expect(&d, fd, BINARY("\x0b", "as promised"));
    close(fd);
    finish(&d);
}

static void test_topics(const char *backend)
{
    int64_t ids[3];
    int fds[3];
    if (!start_ws(&d, backend, &usual, &ws_usual))
        return;
    for (int i = 0; i < 3; i++) {
        fds[i] = join_ws(&d, NULL, &ids[i]);
        op_topic(&d, FL_SUBSCRIBE, ids[i], "news");
    }
    publish(&d, "news", ids[0], "one");
    op_topic(&d, FL_UNSUBSCRIBE, ids[1], "news");
    publish(&d, "news", -1, "two");
    publish(&d, "olds", -1, "no");
    expect(&d, fds[0], BINARY("\x03", "two"));
    expect(&d, fds[1], BINARY("\x03", "one"));
    expect(&d, fds[2], BINARY("\x03", "one") BINARY("\x03", "two"));
    close(fds[2]);
    await(&d, FL_CLOSED);
    publish(&d, "news", -1, "three");
    op_close(&d, ids[0], 4000, "enough");
    expect(&d, fds[0],
           BINARY("\x05", "three") "\x88\x08\x0f\xa0"
                                   "enough");
    expect_end(&d, fds[0]);
    close(fds[1]);
    finish(&d);
}

static void test_bad_frames(const char *backend)
{
    int64_t id;
    if (!start_ws(&d, backend, &usual, &ws_usual))
        return;
    int fd = join_ws(&d, NULL, &id);
    tell_ws(fd, SOME "\x83\x80" KEY);
    expect(&d, fd, BINARY("\x02", "hi") "\x88");
    const struct event *e = NULL;
    shutdown(fd, SHUT_WR);
    e = await(&d, FL_CLOSED);
    CHECK(e != NULL && e->value == 1002);
    CHECK_INT(d.told[FL_REASONS], 1);
    close(fd);
    finish(&d);
}

/* A silent peer is asked, then given up. */
static void test_silence(const char *backend)
{
    int64_t id;
    fl_ws spec = ws_usual;
    spec.ping_ms = spec.pong_ms = 1;
    if (!start_ws(&d, backend, &usual, &spec))
        return;
    int fd = join_ws(&d, NULL, &id);
    char ping[2];
    CHECK_INT(receive(&d, fd, ping, 2), 2);
    CHECK_MEM(ping, 2, "\x89", 2);
    expect(&d, fd, "\x88\x15\x03\xf3no answer to a ping");
    close(fd);
    finish(&d);
}

static void test_drain(const char *backend)
{
    int64_t id;
    if (!start_ws(&d, backend, &usual, &ws_usual))
        return;
    int fd = join_ws(&d, NULL, &id);
    tell_ws(fd, HI);
    CHECK(await(&d, FL_MESSAGES) != NULL);
    fl_drain(d.loop);
    reply(&d, "last");
    d.count = 0;
    expect(&d, fd, BINARY("\x04", "last") "\x88\x02\x03\xe9");
    expect_end(&d, fd);
    finish(&d);
}

/* -- without memory -- */

/* All that allocates; what comes of it depends on what failed, but nothing is left behind. */
static void converse(const char *backend)
{
    char got[4096];
    fl_config config = usual;
    int error = 0;
    d = (struct drive){.sockets = {-1, -1, -1}};
    config.backend = backend;
    d.loop = fl_open(&config, &error);
    if (d.loop == NULL)
        return;
    d.sockets[1] = listen_here(0);
    fl_listener http = http_usual;
    int first = fl_listen(d.loop, d.sockets[1], &http);
    int second = first < 0 ? first : fl_websocket(d.loop, &ws_usual);
    int fd = http_client(&d);
    send_ws(fd, UPGRADE HI "\x01\x81" KEY "a");
    for (int i = 0; i < 12 && second >= 0; i++) {
        turn(&d, 0);
        for (size_t k = 0; k < d.count; k++) {
            if (d.events[k].kind != FL_MESSAGES)
                continue;
            item(&d);
            if (d.events[k].listener == first) {
                say_accept(&d, second, 12 + FL_WS_KEEP_IN + FL_WS_KEEP_OUT);
            } else {
                memset(got, 'z', sizeof got);
                say_bytes(&d, got, sizeof got);
            }
        }
        if (d.count > 0 && i % 2 == 0) {
            op_topic(&d, FL_SUBSCRIBE, d.events[0].id, "news");
            publish(&d, "news", -1, "hear, hear");
        }
        if (i == 6)
            send_ws(fd, "\x80\x81" KEY "b" BYE);
    }
    close(fd);
    flush(&d);
    fl_free(d.loop);
    close(d.sockets[1]);
}

static void test_oom(const char *backend)
{
    for (int n = 1; oom_arm(n), converse(backend), oom_disarm(); n++)
        ;
}

int main(void)
{
    ON_EACH_BACKEND(test_handshake);
    ON_EACH_BACKEND(test_not_accepted);
    ON_EACH_BACKEND(test_pings_go_ahead_of_promises);
    ON_EACH_BACKEND(test_topics);
    ON_EACH_BACKEND(test_bad_frames);
    ON_EACH_BACKEND(test_silence);
    ON_EACH_BACKEND(test_drain);
    ON_EACH_BACKEND(test_oom);
    return t_end();
}
