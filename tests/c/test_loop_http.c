/* test_loop_http.c -- connections of HTTP: what is answered, in which order, and when one ends. On
 * every backend of this machine. Bodies in pieces: test_loop_http_body.c; time: test_conn_time.c */
#include "drive_http.h"

enum { KIB = 1024, SMALL = 8 * KIB };

static struct drive d;

static void answers_in_order(const char *backend)
{
    if (!start_http(&d, backend, &usual, &http_usual, 0))
        return;
    CHECK_INT(fl_constant(d.loop, 1, "/c", "text/plain", "constant", 8), 0);
    int fd = http_client(&d);
    tell(fd, GET("/a") GET("/c") GET("/b") GET("/c") "HEAD /c HTTP/1.1\r\nhost: a\r\n\r\n");
    int64_t id = await_request(&d, "/a");
    CHECK_INT(d.count, 1); /* a constant in between must not overtake */
    op1(&d, FL_LATER, 1);
    CHECK_INT(turn(&d, 0), 0);
    op_text(&d, FL_FILL, id, 1, "first");
    expect_response(&d, fd, OK, "first");
    expect_response(&d, fd, OK, "constant");
    expect_response(&d, fd, OK, "/b");
    expect_response(&d, fd, OK, "constant");
    expect_head(&d, fd, OK, "\r\ncontent-length: 8\r\n");
    tell(fd, "POST /c HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
    expect_response(&d, fd, OK, "/c");
    close(fd);
    finish(&d);
}

static void bounds_what_constants_cost(const char *backend)
{
    enum { REQUESTS = 1000 };
    static char body[10 * KIB], requests[REQUESTS * (sizeof GET("/c") - 1) + 1];
    fl_stats stats;
    if (!start_http(&d, backend, &usual, &http_usual, SMALL))
        return;
    memset(body, 'c', sizeof body);
    CHECK_INT(fl_constant(d.loop, 1, "/c", "text/plain", body, sizeof body), 0);
    for (size_t i = 0; i < REQUESTS; i++)
        memcpy(requests + i * (sizeof GET("/c") - 1), GET("/c"), sizeof GET("/c"));
    int fd = client_of(&d, 1, SMALL);
    tell(fd, requests);
    for (time_t begin = 0; CHECK(in_time(&begin));) {
        CHECK_INT(turn(&d, 1), 0);
        fl_read_stats(d.loop, &stats);
        if (stats.unsent > 0)
            break;
    }
    CHECK(stats.unsent < usual.high_water + 2 * sizeof body);
    for (size_t left = REQUESTS; left > 0 && t_failed == 0; left--) {
        static char got[sizeof body];
        expect_head(&d, fd, OK, NULL);
        CHECK_INT(receive(&d, fd, got, sizeof got), sizeof got);
    }
    close(fd);
    finish(&d);
}

static void refuses_after_good_answers(const char *backend)
{
    if (!start_http(&d, backend, &usual, &http_usual, 0))
        return;
    int fd = http_client(&d);
    tell(fd, GET("/good") "BAD\r\n\r\n" GET("/never"));
    await_request(&d, "/good");
    CHECK_INT(d.count, 1);
    echo(&d);
    expect_response(&d, fd, OK, "/good");
    expect_head(&d, fd, "HTTP/1.1 400", "\r\nconnection: close\r\n");
    CHECK_INT(d.told[FL_MESSAGES], 1);
    CHECK_INT(d.told[FL_NOTICES], 1);
    close(fd);
    finish(&d);
}

static void takes_bodies_whole(const char *backend)
{
    if (!start_http(&d, backend, &usual, &http_usual, 0))
        return;
    int fd = http_client(&d);
    tell(fd, GET("/first") POST("content-length: 5\r\nexpect: 100-continue"));
    await_request(&d, "/first");
    CHECK_INT(turn(&d, 0), 0); /* without a reply: its handler failed */
    expect_head(&d, fd, "HTTP/1.1 500", NULL);
    expect(&d, fd, "Internal Server Error");
    expect(&d, fd, GO_ON);
    tell(fd, "he");
    CHECK_INT(turn(&d, 0), 0);
    tell(fd, "llo");
    await_request(&d, "/");
    CHECK_INT(d.events[0].value, 5);
    echo(&d);
    expect_response(&d, fd, OK, "/");
    close(fd);
    finish(&d);
}

static void ends_with_the_last(const char *backend)
{
    fl_listener spec = http_usual;
    spec.max_requests = 2;
    if (!start_http(&d, backend, &usual, &spec, 0))
        return;
    int fd = http_client(&d);
    tell(fd, "GET /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n" GET("/never"));
    expect_head(&d, fd, OK, "\r\nconnection: close\r\n");
    expect(&d, fd, "/a");
    expect_end(&d, fd);
    fd = http_client(&d);
    tell(fd, GET("/1") GET("/2") GET("/never"));
    expect_head(&d, fd, OK, "!connection:");
    expect(&d, fd, "/1");
    expect_head(&d, fd, OK, "\r\nconnection: close\r\n");
    expect(&d, fd, "/2");
    expect_end(&d, fd);
    fd = http_client(&d);
    tell(fd, GET("/last") GET("/never"));
    await(&d, FL_MESSAGES);
    item(&d);
    say_op(&d, FL_LAST, 1);
    say_response(&d, 201, "last");
    expect_head(&d, fd, "HTTP/1.1 201", "\r\nconnection: close\r\n");
    expect(&d, fd, "last");
    expect_end(&d, fd);
    finish(&d);
}

static void frames_nothing_behind_an_upgrade(const char *backend)
{
    if (!start_http(&d, backend, &usual, &http_usual, 0))
        return;
    int fd = http_client(&d);
    tell(fd,
         "GET /up HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n" GET("/b"));
    int64_t id = await_request(&d, "/up");
    CHECK_INT(d.count, 1);
    op1(&d, FL_LATER, 1);
    CHECK_INT(turn(&d, 0), 0);
    op_text(&d, FL_FILL, id, 1, "no");
    expect_response(&d, fd, OK, "no");
    expect_response(&d, fd, OK, "/b");
    tell(fd,
         "GET /up HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n" GET("/b"));
    await_request(&d, "/up");
    op1(&d, FL_LATER, 2);
    op_value(&d, FL_SEND, id, 2);
    say_start(&d, 101, "upgrade", "other");
    op_text(&d, FL_SEND, id, 2, "other words");
    expect_head(&d, fd, "HTTP/1.1 101", "\r\nconnection: upgrade\r\n");
    expect(&d, fd, "other words");
    op_value(&d, FL_FILL, id, 2);
    say_op(&d, FL_HTTP_END, 0);
    expect_end(&d, fd);
    CHECK_INT(d.told[FL_MESSAGES], 3);
    finish(&d);
}

/* A request that is promised an answer under ticket 1. */
static int promised(const char *request, int64_t *id)
{
    int fd = http_client(&d);
    tell(fd, request);
    const struct event *e = await(&d, FL_MESSAGES);
    *id = e == NULL ? 0 : e->id;
    for (int64_t i = 1; i <= (int64_t)d.count; i++)
        op1(&d, FL_LATER, i);
    return fd;
}

static void say_part(int op, int64_t id, const char *text)
{
    if (text != NULL) {
        op_text(&d, op, id, 1, text);
        return;
    }
    op_value(&d, op, id, 1);
    say_op(&d, FL_HTTP_END, 0);
}

static void begin(int64_t id, const char *length)
{
    op_value(&d, FL_SEND, id, 1);
    say_start(&d, 200, length == NULL ? NULL : "content-length", length);
}

static void sends_in_pieces(const char *backend)
{
    int64_t id;
    if (!start_http(&d, backend, &usual, &http_usual, 0))
        return;
    int fd = promised(GET("/a") GET("/b"), &id);
    op_text(&d, FL_FILL, id, 2, "b");
    begin(id, NULL);
    say_part(FL_SEND, id, "piece");
    op2(&d, FL_ASK, id, 1);
    const struct event *e = await(&d, FL_ROOM);
    CHECK(e != NULL && e->id == id && e->value == 0);
    say_part(FL_SEND, id, "last");
    say_part(FL_FILL, id, NULL);
    expect_head(&d, fd, OK, "\r\ntransfer-encoding: chunked\r\n");
    expect(&d, fd, "5\r\npiece\r\n4\r\nlast\r\n0\r\n\r\n");
    expect_response(&d, fd, OK, "b");
    tell(fd, "GET /close HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    await_request(&d, "/close");
    op1(&d, FL_LATER, 1);
    begin(id, NULL);
    CHECK_INT(flush(&d), 0);
    CHECK_INT(fl_alive(d.loop, (uint64_t)id), 1);
    say_part(FL_SEND, id, "x");
    say_part(FL_SEND, id, NULL); /* as good as an FL_FILL: nothing can follow */
    expect_head(&d, fd, OK, "\r\nconnection: close\r\n");
    expect(&d, fd, "1\r\nx\r\n0\r\n\r\n");
    expect_end(&d, fd);
    CHECK_INT(fl_alive(d.loop, (uint64_t)id), 0);
    finish(&d);
}

static void sends_what_it_announced(const char *backend)
{
    int64_t id;
    if (!start_http(&d, backend, &usual, &http_usual, 0))
        return;
    int fd = promised(GET("/too/long") GET("/never"), &id);
    begin(id, "5");
    say_part(FL_SEND, id, "four");
    say_part(FL_SEND, id, "more");
    say_part(FL_SEND, id, "nothing");
    op_text(&d, FL_FILL, id, 2, "never");
    expect_response(&d, fd, OK, "fourm");
    expect_end(&d, fd);
    fd = promised(GET("/too/short") GET("/never"), &id);
    begin(id, "5");
    say_part(FL_SEND, id, "four");
    say_part(FL_FILL, id, NULL);
    expect_head(&d, fd, OK, "\r\ncontent-length: 5\r\n");
    expect(&d, fd, "four");
    expect_end(&d, fd);
    finish(&d);
}

static void ends_what_cannot_be_completed(const char *backend)
{
    int64_t id;
    char got[1];
    if (!start_http(&d, backend, &usual, &http_usual, 0))
        return;
    int fd = promised(GET("/fault"), &id);
    begin(id, NULL);
    op_value(&d, FL_FILL, id, 1);
    say_op(&d, FL_FAULT, 0);
    expect_head(&d, fd, OK, "chunked");
    expect_end(&d, fd); /* and no last chunk */
    fd = promised(GET("/no/end"), &id);
    begin(id, NULL);
    say_part(FL_FILL, id, "x");
    expect_head(&d, fd, OK, "chunked");
    expect(&d, fd, "1\r\nx\r\n");
    expect_end(&d, fd);
    fd = promised("GET /old HTTP/1.0\r\n\r\n", &id);
    begin(id, NULL);
    say_part(FL_SEND, id, "until the close");
    expect_head(&d, fd, OK, "!chunked");
    expect(&d, fd, "until the close");
    op_value(&d, FL_FILL, id, 1);
    say_op(&d, FL_FAULT, 0);
    CHECK_INT(receive(&d, fd, got, 1), -ECONNRESET);
    close(fd);
    finish(&d);
}

static void says_500_for_no_response(const char *backend)
{
    int64_t id;
    if (!start_http(&d, backend, &usual, &http_usual, 0))
        return;
    int fd = promised(GET("/nothing"), &id);
    op_value(&d, FL_FILL, id, 1);
    say_op(&d, FL_NOTHING, 0);
    expect_response(&d, fd, "HTTP/1.1 500", "Internal Server Error");
    tell(fd, GET("/interim"));
    await_request(&d, "/interim");
    item(&d);
    say_start(&d, 103, NULL, NULL);
    expect_head(&d, fd, "HTTP/1.1 103", NULL);
    expect_response(&d, fd, "HTTP/1.1 500", "Internal Server Error");
    tell(fd, GET("/head/alone") GET("/never"));
    await_request(&d, "/head/alone");
    item(&d);
    say_start(&d, 200, NULL, NULL);
    reply(&d, "never");
    expect_head(&d, fd, OK, "chunked");
    expect_end(&d, fd);
    finish(&d);
}

/* Last words come in any order; the connection ends with the foremost. */
static void ends_with_the_foremost_last_word(const char *backend)
{
    int64_t id;
    if (!start_http(&d, backend, &usual, &http_usual, 0))
        return;
    int fd = promised(GET("/1") GET("/2") GET("/3"), &id);
    for (int ticket = 3; ticket > 0; ticket -= 2) {
        op_value(&d, FL_FILL, id, ticket);
        say_op(&d, FL_LAST, 1);
        say_response(&d, 200, ticket == 1 ? "one" : "three");
    }
    expect_response(&d, fd, OK, "one");
    expect_end(&d, fd);
    await(&d, FL_CLOSED);
    finish(&d);
}

static void hears_the_end_in_each_phase(const char *backend)
{
    if (!start_http(&d, backend, &usual, &http_usual, 0))
        return;
    static const char *const parts[] = {"", "GET / HT", POST("content-length: 5") "hel"};
    for (size_t i = 0; i < countof(parts); i++) {
        int fd = http_client(&d);
        tell(fd, parts[i]);
        shutdown(fd, SHUT_WR);
        expect_end(&d, fd);
    }
    CHECK_INT(d.told[FL_MESSAGES], 0);
    int fd = http_client(&d);
    tell(fd, GET("/a") GET("/b") "GET");
    shutdown(fd, SHUT_WR);
    expect_response(&d, fd, OK, "/a");
    expect_response(&d, fd, OK, "/b");
    expect_end(&d, fd);
    finish(&d);
}

static void turns_away_in_words(const char *backend)
{
    fl_config config = usual;
    config.max_per_address = 1;
    if (!start_http(&d, backend, &config, &http_usual, 0))
        return;
    for (size_t i = 0; i < 3; i++) { /* each place is given back */
        int fd = http_client(&d);
        tell(fd, GET("/in"));
        expect_response(&d, fd, OK, "/in");
        int more = http_client(&d);
        expect_head(&d, more, "HTTP/1.1 503", "\r\nretry-after: ");
        expect(&d, more, "too many connections");
        expect_end(&d, more);
        while (d.told[FL_CLOSED] < 2 * i + 1)
            await(&d, FL_CLOSED);
        close(fd);
        await(&d, FL_CLOSED);
    }
    finish(&d);
}

static void drains(const char *backend)
{
    int64_t id;
    if (!start_http(&d, backend, &usual, &http_usual, 0))
        return;
    int idle = http_client(&d), part = http_client(&d);
    tell(idle, GET("/idle"));
    expect_response(&d, idle, OK, "/idle");
    tell(part, "GET / HT");
    int fd = promised(GET("/a") GET("/b"), &id);
    CHECK_INT(flush(&d), 0);
    fl_drain(d.loop);
    op_text(&d, FL_FILL, id, 2, "b");
    op_text(&d, FL_FILL, id, 1, "a");
    expect_end(&d, idle);
    expect_end(&d, part);
    expect_response(&d, fd, OK, "a");
    expect_response(&d, fd, OK, "b");
    expect_end(&d, fd);
    finish(&d);
}

/* A promise under way: the end of what the peer says is told at once, and it still gets its answer,
 * whether it is read for more requests or about to be closed. */
static void tells_who_leaves(const char *backend)
{
    if (!start_http(&d, backend, &usual, &http_usual, 0))
        return;
    const char *requests[] = {GET("/"), "GET / HTTP/1.0\r\n\r\n"};
    for (int early = 0; early < 2; early++) {
        for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
            int fd = http_client(&d);
            tell(fd, requests[i]);
            int64_t id = await_request(&d, "/");
            op1(&d, FL_LATER, 1);
            CHECK_INT(flush(&d), 0);
            if (early)
                CHECK_INT(shutdown(fd, SHUT_WR), 0);
            CHECK_INT(turn(&d, 0), 0);
            op1(&d, FL_LEAVE, id);
            CHECK_INT(flush(&d), 0);
            if (!early)
                CHECK_INT(shutdown(fd, SHUT_WR), 0);
            const struct event *e = await(&d, FL_LEFT);
            CHECK(e != NULL && e->id == id);
            op_value(&d, FL_FILL, id, 1);
            say_response(&d, 200, "still here");
            expect_head(&d, fd, OK, "\r\ncontent-length: 10\r\n");
            expect(&d, fd, "still here");
            expect_end(&d, fd);
        }
    }
    finish(&d);
}

int main(void)
{
    ON_EACH_BACKEND(answers_in_order);
    ON_EACH_BACKEND(bounds_what_constants_cost);
    ON_EACH_BACKEND(refuses_after_good_answers);
    ON_EACH_BACKEND(takes_bodies_whole);
    ON_EACH_BACKEND(ends_with_the_last);
    ON_EACH_BACKEND(frames_nothing_behind_an_upgrade);
    ON_EACH_BACKEND(sends_in_pieces);
    ON_EACH_BACKEND(sends_what_it_announced);
    ON_EACH_BACKEND(ends_what_cannot_be_completed);
    ON_EACH_BACKEND(says_500_for_no_response);
    ON_EACH_BACKEND(ends_with_the_foremost_last_word);
    ON_EACH_BACKEND(hears_the_end_in_each_phase);
    ON_EACH_BACKEND(turns_away_in_words);
    ON_EACH_BACKEND(drains);
    ON_EACH_BACKEND(tells_who_leaves);
    return t_end();
}
