/* test_loop_http_body.c -- bodies of requests in pieces: who gets what of them when, and what ends
 * them early; and conversations without memory. On every backend of this machine. */
#include "drive_http.h"
#include "oom.h"

enum { KIB = 1024, SMALL = 8 * KIB };

static struct drive d;

/* Begins a request under the promise of ticket 1. Returns the client. */
static int upload(const char *request, int64_t *id)
{
    int fd = http_client(&d);
    tell(fd, request);
    *id = await_request(&d, "/");
    CHECK_INT(d.events[0].value, -1);
    op1(&d, FL_LATER, 1);
    return fd;
}

/* Asks for the next piece. Returns its event; the end is at [1] if it was told with it. */
static const struct event *piece(int64_t id, const char *text)
{
    op1(&d, FL_MORE, id);
    const struct event *e = await(&d, FL_BODY);
    static const struct event none;
    if (e == NULL)
        return &none;
    CHECK_INT(e->id, id);
    CHECK_MEM(e->text, e->len, text, strlen(text));
    return e;
}

static void expect_error(int64_t id, int why)
{
    op1(&d, FL_MORE, id);
    const struct event *e = await(&d, FL_BODY);
    CHECK(e != NULL && e->len == 0 && e->value == why);
}

static void answer(int64_t id, int status, const char *body)
{
    op_value(&d, FL_FILL, id, 1);
    say_response(&d, status, body);
}

static void brings_pieces_when_asked(const char *backend)
{
    int64_t id;
    if (!start_http(&d, backend, &usual, &http_streams, 0))
        return;
    int fd = upload(POST("content-length: 11") "hello", &id);
    CHECK_INT(turn(&d, 0), 0); /* nobody asked */
    piece(id, "hello");
    tell(fd, " wo");
    piece(id, " wo");
    op1(&d, FL_MORE, id);
    CHECK_INT(turn(&d, 0), 0); /* there is none */
    tell(fd, "rld" GET("/next"));
    const struct event *e = await(&d, FL_BODY);
    CHECK(e != NULL && d.count == 2 && e[1].kind == FL_BODY && e[1].len == 0 && e[1].value == 0);
    CHECK_MEM(e->text, e->len, "rld", 3);
    piece(id, ""); /* whoever asks once more is told the end again */
    answer(id, 200, "got it");
    expect_response(&d, fd, OK, "got it");
    expect_response(&d, fd, OK, "/next");
    tell(fd, POST("content-length: 2") "ab" GET("/last"));
    await(&d, FL_MESSAGES);
    CHECK_INT(d.events[0].value, 2); /* all is there: no need for pieces */
    echo(&d);
    expect_response(&d, fd, OK, "/");
    expect_response(&d, fd, OK, "/last");
    close(fd);
    finish(&d);
}

static void brings_chunks(const char *backend)
{
    int64_t id;
    if (!start_http(&d, backend, &usual, &http_streams, 0))
        return;
    int fd = upload(POST("transfer-encoding: chunked") "3\r\none\r\n3\r\ntwo\r\n", &id);
    piece(id, "one");
    piece(id, "two");
    tell(fd, "0\r\n");
    op1(&d, FL_MORE, id);
    CHECK_INT(turn(&d, 0), 0);
    tell(fd, "\r\n");
    const struct event *e = await(&d, FL_BODY);
    CHECK(e != NULL && e->len == 0 && e->value == 0);
    answer(id, 201, "whole");
    expect_response(&d, fd, "HTTP/1.1 201", "whole");
    close(fd);
    finish(&d);
}

static void goes_on_when_the_body_is_wanted(const char *backend)
{
    static char big[200 * KIB], got[sizeof big];
    int64_t id;
    if (!start_http(&d, backend, &usual, &http_streams, SMALL))
        return;
    memset(big, 'b', sizeof big);
    CHECK_INT(fl_constant(d.loop, 1, "/c", "text/plain", big, sizeof big), 0);
    int fd = client_of(&d, 1, SMALL); /* takes the constant only when it is read */
    tell(fd, GET("/c") POST("content-length: 5\r\nexpect: 100-continue"));
    id = await_request(&d, "/");
    op1(&d, FL_LATER, 1);
    CHECK_INT(turn(&d, 0), 0);
    CHECK(fl_unsent(d.loop, (uint64_t)id) > 0);
    op1(&d, FL_MORE, id);
    expect_head(&d, fd, OK, "\r\ncontent-length: 204800\r\n");
    CHECK_INT(receive(&d, fd, got, sizeof got), sizeof got);
    expect(&d, fd, GO_ON);
    tell(fd, "hello");
    await(&d, FL_BODY);
    answer(id, 200, "thanks");
    expect_response(&d, fd, OK, "thanks");
    close(fd);
    fd = upload(POST("content-length: 5\r\nexpect: 100-continue"), &id);
    answer(id, 403, "not wanted");
    expect_head(&d, fd, "HTTP/1.1 403", "\r\nconnection: close\r\n");
    expect(&d, fd, "not wanted");
    expect_end(&d, fd);
    finish(&d);
}

static void answers_before_the_end(const char *backend)
{
    int64_t id;
    if (!start_http(&d, backend, &usual, &http_streams, 0))
        return;
    int fd = upload(POST("content-length: 100000") "some", &id);
    op1(&d, FL_MORE, id);
    op1(&d, FL_MORE, id);
    answer(id, 413, "enough");
    expect_head(&d, fd, "HTTP/1.1 413", "\r\nconnection: close\r\n");
    expect(&d, fd, "enough");
    CHECK_INT(d.told[FL_BODY], 1); /* who waits is told that there is no more */
    tell(fd, "more that nobody wants");
    expect_end(&d, fd);
    fd = http_client(&d);
    tell(fd, POST("content-length: 9") "part");
    await_request(&d, "/");
    reply(&d, "at once");
    expect_head(&d, fd, OK, "\r\nconnection: close\r\n");
    expect(&d, fd, "at once");
    expect_end(&d, fd);
    finish(&d);
}

static void tells_what_is_wrong(const char *backend)
{
    int64_t id;
    if (!start_http(&d, backend, &usual, &http_streams, 0))
        return;
    int fd = upload(POST("transfer-encoding: chunked"), &id);
    tell(fd, "3\r\nonetwo");
    piece(id, "one");
    expect_error(id, FL_EPROTO);
    expect_error(id, FL_EPROTO);
    answer(id, 400, "bad");
    expect_head(&d, fd, "HTTP/1.1 400", "\r\nconnection: close\r\n");
    expect(&d, fd, "bad");
    expect_end(&d, fd);
    while (d.told[FL_CLOSED] == 0)
        await(&d, FL_CLOSED);
    expect_error(id, -ENOTCONN);
    finish(&d);
}

/* What came before the peer's end is delivered first. */
static void reads_to_the_end(const char *backend)
{
    int64_t id;
    if (!start_http(&d, backend, &usual, &http_streams, 0))
        return;
    int fd = upload(POST("transfer-encoding: chunked") "3\r\none\r\n", &id);
    tell(fd, "3\r\ntwo\r\n0\r\n\r\n");
    shutdown(fd, SHUT_WR);
    CHECK_INT(turn(&d, 0), 0);
    piece(id, "one");
    piece(id, "two");
    piece(id, "");
    answer(id, 200, "all");
    expect_response(&d, fd, OK, "all");
    expect_end(&d, fd);
    fd = upload(POST("transfer-encoding: chunked") "3\r\none\r\n3\r\ntwo\r\n5\r\n", &id);
    shutdown(fd, SHUT_WR);
    piece(id, "one");
    piece(id, "two");
    expect_error(id, -ECONNRESET);
    answer(id, 400, "cut");
    expect_head(&d, fd, "HTTP/1.1 400", NULL);
    expect(&d, fd, "cut");
    expect_end(&d, fd);
    fd = upload(POST("content-length: 5"), &id);
    op1(&d, FL_MORE, id);
    CHECK_INT(turn(&d, 0), 0);
    shutdown(fd, SHUT_WR);
    const struct event *e = await(&d, FL_BODY);
    CHECK(e != NULL && e->value == -ECONNRESET);
    op2(&d, FL_CLOSE, id, 1);
    close(fd);
    finish(&d);
}

static void drains_with_a_body_under_way(const char *backend)
{
    int64_t id;
    if (!start_http(&d, backend, &usual, &http_streams, 0))
        return;
    int fd = upload(POST("content-length: 6") "one", &id);
    piece(id, "one");
    fl_drain(d.loop);
    tell(fd, "two" GET("/never"));
    piece(id, "two");
    answer(id, 200, "all");
    expect_head(&d, fd, OK, "\r\nconnection: close\r\n");
    expect(&d, fd, "all");
    expect_end(&d, fd);
    finish(&d);
}

/* -- without memory -- */

static void serve_what_came(void)
{
    for (size_t i = 0; i < d.count; i++) {
        const struct event *e = &d.events[i];
        if (e->kind == FL_MESSAGES && e->value < 0)
            op1(&d, FL_LATER, 1);
        else if (e->kind == FL_MESSAGES)
            reply(&d, "small");
    }
    for (size_t i = 0; i < d.count; i++) {
        const struct event *e = &d.events[i];
        if (e->kind == FL_MESSAGES && e->value < 0) {
            op1(&d, FL_MORE, e->id);
            op_value(&d, FL_SEND, e->id, 1);
            say_start(&d, 200, NULL, NULL);
            op2(&d, FL_ASK, e->id, 1);
        } else if (e->kind == FL_BODY && e->len > 0) {
            op_text(&d, FL_SEND, e->id, 1, "piece");
            op1(&d, FL_MORE, e->id);
        } else if (e->kind == FL_BODY) {
            op_value(&d, FL_FILL, e->id, 1);
            say_op(&d, e->value == 0 ? FL_HTTP_END : FL_FAULT, 0);
        }
    }
    d.count = 0;
}

static void talk(void)
{
    static const char *const words[] = {
        GET("/a") GET("/c") POST("content-length: 3") "abc",
        POST("transfer-encoding: chunked") "3\r\nabc\r\n",
        POST("content-length: 4\r\nexpect: 100-continue"),
        "BAD\r\n\r\n",
    };
    int fds[countof(words)];
    for (size_t i = 0; i < countof(words); i++) {
        fds[i] = client_of(&d, 1, 0);
        tell(fds[i], words[i]);
    }
    for (int i = 0; i < 8; i++) {
        turn(&d, 1);
        serve_what_came();
        if (i == 3)
            send(fds[1], "0\r\n\r\n", 5, MSG_NOSIGNAL); /* it may be gone */
    }
    for (size_t i = 0; i < countof(words); i++)
        close(fds[i]);
    fl_drain(d.loop);
    for (time_t begin = 0; connections(&d) > 0 && CHECK(in_time(&begin));) {
        turn(&d, 10);
        serve_what_came();
    }
}

static void converse(const char *backend)
{
    fl_config config = usual;
    int error = 0;
    config.backend = backend;
    config.max_per_address = 3;
    d.loop = fl_open(&config, &error);
    if (d.loop == NULL) {
        CHECK_INT(error, -ENOMEM);
        return;
    }
    if (fl_listen(d.loop, d.sockets[1], &http_streams) == 0 &&
        fl_constant(d.loop, 0, "/c", "text/plain", "constant", 8) == 0)
        talk();
    fl_free(d.loop);
}

static void survives_without_memory(const char *backend)
{
    d = (struct drive){.sockets = {-1, listen_here(0), -1}};
    for (int n = 1; oom_arm(n), converse(backend), oom_disarm(); n++)
        d.items = 0;
    close(d.sockets[1]);
}

int main(void)
{
    ON_EACH_BACKEND(brings_pieces_when_asked);
    ON_EACH_BACKEND(brings_chunks);
    ON_EACH_BACKEND(goes_on_when_the_body_is_wanted);
    ON_EACH_BACKEND(answers_before_the_end);
    ON_EACH_BACKEND(tells_what_is_wrong);
    ON_EACH_BACKEND(reads_to_the_end);
    ON_EACH_BACKEND(drains_with_a_body_under_way);
    ON_EACH_BACKEND(survives_without_memory);
    return t_end();
}
