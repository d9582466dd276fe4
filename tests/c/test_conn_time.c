/* test_conn_time.c -- the deadlines of connections, with a clock of our own: nothing here waits. */
#include "conn.h"
#include "fastloop.h"
#include "t.h"

enum { SECOND = 1000, TICK = WHEEL_TICK_MS };

#define GET     "GET / HTTP/1.1\r\nhost: a\r\n\r\n"
#define POST(n) "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: " n "\r\n\r\n"
#define ANSWER  "HTTP/1.1 200 OK\r\n\r\n"

static struct conns t;
static struct conn *c;

/* A connection of HTTP at time 0. */
static void begin(bool stream)
{
    static const fl_config config = {
        .idle_timeout_ms = 1000 * SECOND,
        .write_timeout_ms = 30 * SECOND,
        .high_water = 1 << 20,
    };
    CHECK_INT(conns_init(&t, &config, 0), 0);
    CHECK_INT(inbox_group(&t.inbox, FL_WANT_IDS), 0);
    t.listeners = malloc(sizeof *t.listeners);
    struct listener *l = calloc(1, sizeof *l);
    if (t.listeners == NULL || l == NULL || framing_init(&l->framing, "http", NULL, 0, 1000) < 0)
        abort();
    l->http = (struct http_settings){
        .max_body = 1 << 20,
        .max_line = 1000,
        .max_head = 1000,
        .max_fields = 10,
        .header_ms = 10 * SECOND,
        .body_ms = 20 * SECOND,
        .body_rate = 100,
        .keepalive_ms = 75 * SECOND,
        .stream = stream,
        .date = &t.date,
    };
    l->framing.http = &l->http;
    t.listeners[0] = l;
    t.listener_count = 1;
    c = conn_open(&t, -1, 0);
    if (c == NULL)
        abort();
}

static void end(void)
{
    conns_free(&t);
}

static void expire(void)
{
    struct link expired;
    list_init(&expired);
    wheel_expire(&t.wheel, t.now_us, &expired);
    while (!list_empty(&expired)) {
        struct wheel_item *item = container_of(expired.next, struct wheel_item, link);
        list_remove(&item->link);
        conn_expired(&t, container_of(item, struct conn, timer));
    }
}

/* Goes forward to `ms`, tick by tick, as the wheel is turned in a loop that has other things to do.
 */
static void at(uint64_t ms)
{
    while (t.now_us < ms * 1000) {
        t.now_us += min_size(ms * 1000 - t.now_us, TICK * 1000);
        expire();
    }
}

static void arrive(const char *text)
{
    size_t room;
    size_t n = strlen(text);
    char *to = conn_room(&t, c, &room);
    if (to == NULL || room < n)
        abort();
    memcpy(to, text, n);
    conn_arrived(&t, c, n);
}

/* Answers everything and sends it. */
static void answer(void)
{
    uint64_t id;
    uint8_t flags;
    inbox_encode(&t.inbox);
    while (inbox_reply(&t.inbox, &id, &flags)) {
        CHECK_INT(wire_put(&t.wire, &c->out, ANSWER, sizeof ANSWER - 1), 0);
        conn_replied(&t, c);
    }
    conn_sent(&t, c, c->out.bytes, false);
    conn_settle(&t, c);
}

/* Nothing happens up to a tick before `ms`, and it is over a tick after that. */
static void lasts_until(uint64_t ms)
{
    at(ms - TICK);
    CHECK_INT(c->state, CONN_OPEN);
    at(ms + 2 * TICK);
    CHECK(c->state != CONN_OPEN);
}

static bool said(const char *status)
{
    return c->out.head != NULL && memcmp(c->out.head->data + 9, status, 3) == 0;
}

static void closes_the_idle(void)
{
    begin(false);
    lasts_until(75 * SECOND);
    CHECK_INT(c->why, FL_EIDLE);
    CHECK(c->out.head == NULL);
    end();
    begin(false);
    at(50 * SECOND);
    arrive(GET);
    at(500 * SECOND); /* it is not the peer who is slow */
    CHECK_INT(c->state, CONN_OPEN);
    answer();
    lasts_until(575 * SECOND);
    end();
}

static void bounds_the_head(void)
{
    begin(false);
    at(50 * SECOND);
    arrive("GET / HT");
    for (int s = 51; s < 59; s++) {
        at((uint64_t)s * SECOND);
        arrive("T"); /* a byte now and then does not help */
    }
    lasts_until(60 * SECOND);
    CHECK(said("408"));
    CHECK_INT(c->why, FL_ESLOW);
    end();
}

/* A client that is always in the middle of its next request has time for each. */
static void gives_each_head_its_time(void)
{
    begin(false);
    arrive("GET / HTTP/1.1\r\n");
    for (int s = 5; s < 100; s += 5) {
        at((uint64_t)s * SECOND);
        arrive("host: a\r\n\r\nGET / HTTP/1.1\r\n");
        answer();
    }
    CHECK_INT(c->state, CONN_OPEN);
    lasts_until(105 * SECOND);
    end();
}

static void closes_behind_good_answers(void)
{
    begin(false);
    arrive(GET "GET / HT");
    lasts_until(10 * SECOND);
    CHECK(c->out.head == NULL);
    CHECK_INT(c->in_flight, 1);
    answer();
    CHECK_INT(c->state, CONN_LINGER);
    end();
}

static void bounds_the_body(void)
{
    begin(false);
    arrive(POST("100000"));
    lasts_until(20 * SECOND);
    CHECK(said("408"));
    end();
    begin(false);
    arrive(POST("100000"));
    for (int s = 1; s < 20; s++) { /* 50 bytes a second: each earns half of one */
        at((uint64_t)s * SECOND);
        arrive("12345678901234567890123456789012345678901234567890");
    }
    for (int s = 20; s < 38; s++) {
        at((uint64_t)s * SECOND);
        CHECK_INT(c->state, CONN_OPEN);
        arrive("12345678901234567890123456789012345678901234567890");
    }
    at(45 * SECOND);
    CHECK(said("408"));
    end();
}

static void wait_with(uint32_t body_ms)
{
    t.listeners[0]->http.body_ms = body_ms;
    arrive(POST("100000"));
    at(500 * SECOND);
}

static void knows_no_limit(void)
{
    begin(false);
    t.listeners[0]->http.header_ms = 0;
    t.listeners[0]->http.keepalive_ms = 0;
    conn_clock(&t, c);
    at(200 * SECOND);
    arrive("P");
    at(400 * SECOND);
    CHECK_INT(c->state, CONN_OPEN);
    end();
    begin(false);
    wait_with(0);
    CHECK_INT(c->state, CONN_OPEN);
    end();
    begin(false);
    wait_with(1);
    CHECK(c->state != CONN_OPEN);
    end();
}

/* Of a body in pieces only the time counts in which the user waits for one. */
static void counts_the_time_of_pieces(void)
{
    begin(true);
    arrive(POST("100000"));
    for (int i = 1; i <= 3; i++) {
        at((uint64_t)i * 100 * SECOND);
        conn_more(&t, c);
        at(((uint64_t)i * 100 + 6) * SECOND);
        CHECK_INT(c->body_why, 0);
        arrive("x"); /* 18 s for three bytes so far */
    }
    at(400 * SECOND);
    conn_more(&t, c);
    at(401 * SECOND);
    CHECK_INT(c->body_why, 0);
    at(403 * SECOND);
    CHECK_INT(c->body_why, FL_ESLOW);
    CHECK_INT(c->state, CONN_OPEN); /* the handler decides what to say */
    end();
}

static void waits_for_who_takes_nothing(void)
{
    begin(false);
    arrive(GET "GET / HT");
    inbox_encode(&t.inbox);
    CHECK_INT(wire_put(&t.wire, &c->out, ANSWER, sizeof ANSWER - 1), 0);
    conn_sent(&t, c, 0, true);
    at(25 * SECOND); /* longer than a head may take: it is a write that is waited for */
    CHECK_INT(c->state, CONN_OPEN);
    at(31 * SECOND);
    CHECK_INT(c->state, CONN_DEAD);
    CHECK_INT(c->why, FL_ESTALL);
    end();
}

int main(void)
{
    closes_the_idle();
    bounds_the_head();
    gives_each_head_its_time();
    closes_behind_good_answers();
    bounds_the_body();
    knows_no_limit();
    counts_the_time_of_pieces();
    waits_for_who_takes_nothing();
    return t_end();
}
