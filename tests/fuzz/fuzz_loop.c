/* Invariant: whatever peers and handlers do, every connection that was accepted is closed and freed
 * after fl_drain(), nothing stays unsent, and the loop does not spin while nothing happens.
 *
 * The first byte of the input picks the backend, the water marks, whether bodies of HTTP come in
 * pieces, and whether its deadlines and those of WebSocket are short; the others are a script: each
 * step is an action (what a peer does, what a handler says, a turn of the loop) and its argument.
 * Every promised reply is kept at the end, since a connection rightly waits for it. */
#include <stddef.h>
#include <sys/un.h>

#include "drive_ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum {
    CLIENTS = 8,
    IDS = 16,
    TICKETS = 256,
    SOCKETS = LISTENERS, /* the listener of WebSocket, which has no socket */
    BIG = 20 * 1024,     /* more than is copied out of the outbox */
    LONGEST = 2048,
    FULL = OUTBOX - 2 * BIG,
    SPIN = 64,
};

static struct drive d;
static char big[BIG];

static struct script {
    const uint8_t *at, *end;
    int clients[CLIENTS];
    int64_t ids[IDS]; /* of the latest connections */
    size_t id_count;
    int64_t promised[TICKETS]; /* the id by ticket - 1 */
    size_t tickets;
    int64_t pending[EVENTS]; /* messages without a reply: whose */
    size_t pending_count, replied;
    bool wild; /* said what a caller of sound mind does not: its promises are not known */
} s;

static unsigned take(void)
{
    return s.at < s.end ? *s.at++ : 0;
}

/* -- the loop -- */

static void note_events(void)
{
    s.pending_count = s.replied = 0;
    for (size_t i = 0; i < d.count; i++) {
        const struct event *e = &d.events[i];
        if (e->kind == FL_OPENED)
            s.ids[s.id_count++ % IDS] = e->id;
        if (e->kind == FL_MESSAGES)
            s.pending[s.pending_count++] = e->id;
    }
}

static void step(int timeout_ms)
{
    fl_stats before, after;
    fl_read_stats(d.loop, &before);
    turn(&d, timeout_ms);
    fl_read_stats(d.loop, &after);
    if (after.turns - before.turns > SPIN)
        abort();
    note_events();
}

static void flush_cut(size_t cut)
{
    size_t len = sealed(&d);
    char *copy = t_guard(d.out, len - min_size(cut, len));
    fl_flush(d.loop, copy, len - min_size(cut, len));
    t_unguard(copy, len - min_size(cut, len));
    if (cut > 0) /* which replies were lost is not known: no more promises in this batch */
        s.replied = s.pending_count;
}

/* -- what a handler says -- */

static void say_later(void)
{
    if (s.tickets == TICKETS || s.replied >= s.pending_count)
        return;
    s.promised[s.tickets++] = s.pending[s.replied];
    op1(&d, FL_LATER, (int64_t)s.tickets);
}

static void say_reply(unsigned kind)
{
    if (d.len > FULL)
        return;
    switch (kind % 8) {
    case 0: reply(&d, "+OK"); break;
    case 1: op0(&d, FL_NOTHING); break;
    case 2: op0(&d, FL_FAULT); break;
    case 3: op_last(&d, "bye"); break;
    case 4:
        item(&d);
        say_bytes(&d, big, BIG);
        break;
    case 5: item(&d), say_none(&d); break;
    case 6: say_later(); break;
    case 7: /* a type that only some framings can send */
        item(&d);
        d.out[d.len++] = '{';
        d.out[d.len++] = '0';
        break;
    }
    s.replied++;
}

static void say_command(unsigned kind, unsigned argument)
{
    int64_t id = s.ids[argument % IDS];
    int64_t ticket = argument % (TICKETS / 16);
    if (d.len > FULL)
        return;
    switch (kind % 12) {
    case 0: op_text(&d, FL_SEND, id, 0, "news"); break;
    case 1: op_text(&d, FL_SEND, id, ticket, "news in time"); break;
    case 2: op_text(&d, FL_FILL, s.promised[ticket], ticket + 1, "as promised"); break;
    case 3: op2(&d, FL_CLOSE, id, 0); break;
    case 4: op2(&d, FL_CLOSE, id, 1); break;
    case 5: op2(&d, FL_PAUSE, id, 1); break;
    case 6: op2(&d, FL_PAUSE, id, 0); break;
    case 7: op1(&d, argument & 1 ? FL_WATCH : FL_LEAVE, id); break;
    case 8: cast_all(&d, (int)(argument % 3) - 1, id, big, argument < 128 ? 10 : BIG); break;
    case 9: op2(&d, FL_TIMER, argument % 100, 0); break;
    case 10: op1(&d, FL_CANCEL, argument % 100); break;
    case 11: /* a last word that was promised */
        item(&d);
        say_op(&d, FL_FILL, 3);
        say_int(&d, s.promised[ticket]);
        say_int(&d, ticket + 1);
        say_op(&d, FL_LAST, 1);
        say_bytes(&d, "bye", 3);
        break;
    }
}

/* A value of HTTP, whole or a part of one. */
static void say_http(unsigned kind)
{
    switch (kind % 8) {
    case 0: say_response(&d, 200, "whole"); break;
    case 1: say_response(&d, kind & 8 ? 304 : 204, kind & 16 ? "no body" : ""); break;
    case 2: say_start(&d, 200, NULL, NULL); break;
    case 3: say_start(&d, 200, "content-length", kind & 8 ? "10" : "20480"); break;
    case 4: say_start(&d, kind & 8 ? 101 : 103, "upgrade", "other"); break;
    case 5: say_bytes(&d, big, kind & 8 ? BIG : 10); break;
    case 6: say_op(&d, FL_HTTP_END, 0); break;
    case 7: say_start(&d, 200, "connection", kind & 8 ? "close" : "a\r\nb"); break;
    }
}

static void say_about_http(unsigned kind, unsigned argument)
{
    int64_t ticket = argument % (TICKETS / 16);
    int64_t id = s.promised[ticket];
    if (d.len > FULL)
        return;
    switch (kind % 8) {
    case 0: op1(&d, FL_MORE, s.ids[argument % IDS]); break;
    case 1: op1(&d, FL_MORE, id); break;
    case 2: op2(&d, FL_ASK, id, ticket + 1); break;
    case 3: /* in the place of a reply */
        item(&d);
        say_http(argument);
        s.replied++;
        break;
    case 4:
    case 5:
    case 6:
        op_value(&d, FL_SEND, id, ticket + 1);
        say_http(take());
        break;
    case 7:
        op_value(&d, FL_FILL, id, ticket + 1);
        say_http(take());
        break;
    }
}

static void say_garbage(unsigned n)
{
    s.wild = true;
    item(&d);
    for (n %= 32; n > 0 && d.len < FULL; n--)
        d.out[d.len++] = (char)take();
}

/* An answer to a handshake, or what only connections of WebSocket are told. */
static void say_about_ws(unsigned kind, unsigned argument)
{
    static const char *const topics[] = {"news", "olds"};
    int64_t id = s.ids[argument % IDS];
    if (d.len > FULL)
        return;
    switch (kind % 8) {
    case 0:
    case 1: /* in the place of a reply */
        item(&d);
        say_accept(&d, argument < 250 ? SOCKETS : argument % 5,
                   argument & 1 ? 9 + (argument & 112) : 0);
        s.replied++;
        break;
    case 2:
        op_value(&d, FL_FILL, s.promised[argument % TICKETS], argument % TICKETS + 1);
        say_accept(&d, SOCKETS, 0);
        break;
    case 3: op_topic(&d, FL_SUBSCRIBE, id, topics[argument / IDS % 2]); break;
    case 4: op_topic(&d, FL_UNSUBSCRIBE, id, topics[argument / IDS % 2]); break;
    case 5: publish(&d, topics[argument % 2], id, argument < 128 ? "hear" : "hear, hear"); break;
    case 6: op_close(&d, id, argument < 16 ? 1000 : 4000 - argument, "enough"); break;
    case 7: op2(&d, FL_ASK, id, 0); break;
    }
}

/* -- what peers do -- */

/* Thousands of connections a second are too many for the ports of TCP. */
static int listen_nearby(void)
{
#ifdef __linux__
    struct sockaddr_un a = {.sun_family = AF_UNIX}; /* without a name: the kernel finds one */
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&a, sizeof a.sun_family) < 0 || listen(fd, 64) < 0)
        abort();
    return fd;
#else
    return listen_here(0);
#endif
}

static void connect_client(int *client, int listener)
{
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    if (*client >= 0)
        return;
    if (getsockname(listener, (struct sockaddr *)&a, &len) < 0)
        abort();
    *client = socket(a.ss_family, SOCK_STREAM, 0);
    fcntl(*client, F_SETFL, O_NONBLOCK);
    if (connect(*client, (struct sockaddr *)&a, len) < 0 && errno != EINPROGRESS) {
        close(*client);
        *client = -1;
    }
}

static void hang_up(int *client)
{
    if (*client >= 0)
        close(*client);
    *client = -1;
}

static void write_some(int client, unsigned n)
{
    char bytes[32];
    for (unsigned i = 0; i < n % 32; i++)
        bytes[i] = (char)take();
    send(client, bytes, n % 32, MSG_NOSIGNAL);
}

static void write_messages(int client, unsigned n)
{
    static const char both[] = "*1\r\n$4\r\nPING\r\n"; /* four lines, or one command of RESP */
    for (n %= 64; n > 0; n--)
        send(client, both, sizeof both - 1, MSG_NOSIGNAL);
}

/* Parts of what a client of HTTP says, good and bad. */
static void write_http(int client, unsigned n)
{
    static const char *const parts[] = {
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /c HTTP/1.1\r\nhost: a\r\n\r\nHEAD /c HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 30000\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\nexpect: 100-continue\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\nconnection: close\r\n\r\n",
        "5\r\nhello\r\n",
        "hello",
        "0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
        "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhos",
    };
    const char *part = parts[n % countof(parts)];
    for (n /= countof(parts); n > 0; n /= 2) /* 1 to 4 times */
        send(client, part, strlen(part), MSG_NOSIGNAL);
    send(client, part, strlen(part), MSG_NOSIGNAL);
}

/* Handshakes and frames, good and bad. */
static void write_ws(int client, unsigned n)
{
    static const char *const parts[] = {
        UPGRADE,
        UPGRADE HI,
        HI,
        HI HI HI HI,
        "\x01\x81" KEY "a",
        "\x80\x81" KEY "b",
        PING("??"),
        BYE,
        "\x88\x80" KEY,
        "\xc2\x87" KEY "\xca\xc9\x04\x11\x11\x11\x11",
        "\x82\xfe\x10\x01" KEY,
        "\x81\x81" KEY "\xff",
        "\x83\x81" KEY "x",
        "\x82\x82" KEY,
        "\x01\x81" KEY "a" PING("in") "\x80\x81" KEY "b" BYE,
        "\x8a\x81" KEY "p",
    };
    send_ws(client, parts[n % countof(parts)]);
}

static void read_some(int client)
{
    static char bytes[4 * BIG];
    ssize_t n = recv(client, bytes, sizeof bytes, 0);
    (void)n;
}

static void act(unsigned action, unsigned argument)
{
    int *client = &s.clients[argument % CLIENTS];
    switch (action % 24) {
    case 0: connect_client(client, d.sockets[argument / CLIENTS % LISTENERS]); break;
    case 1: write_some(*client, take()); break;
    case 2: write_messages(*client, argument / CLIENTS + 1); break;
    case 3: send(*client, big, BIG, MSG_NOSIGNAL); break;
    case 4: shutdown(*client, argument < 128 ? SHUT_WR : SHUT_RD); break;
    case 5: hang_up(client); break;
    case 6: read_some(*client); break;
    case 7: step(0); break;
    case 8: flush_cut(0); break;
    case 9:
        while (s.replied < s.pending_count && d.len <= FULL)
            say_reply(argument);
        break;
    case 10: say_reply(argument); break;
    case 11:
    case 12: say_command(take(), argument); break;
    case 13: fl_wake(d.loop); break;
    case 14:
        if (argument == 0)
            say_garbage(take());
        else
            flush_cut(argument);
        break;
    case 15:
        if (argument == 0)
            fl_drain(d.loop);
        else
            step((int)argument % 2);
        break;
    case 16:
    case 17: write_http(*client, take()); break;
    case 18:
    case 19: say_about_http(take(), argument); break;
    case 20:
    case 21: write_ws(*client, take()); break;
    case 22:
    case 23: say_about_ws(take(), argument); break;
    }
}

/* -- from the beginning to the end -- */

static void begin(unsigned choice)
{
    static const char *const backends[] = {"epoll", "poll", "select", "auto"};
    static const char *const framings[LISTENERS] = {"line", "resp", "http"};
    fl_config config = usual;
    int error;
    s.id_count = s.tickets = s.pending_count = s.replied = 0;
    s.wild = false;
    memset(s.ids, 0, sizeof s.ids);
    memset(s.promised, 0, sizeof s.promised);
    memset(big, 'b', BIG);
    config.backend = backends[choice % 4];
    config.max_connections = choice & 4 ? 3 : 100;
    config.high_water = choice & 8 ? BIG : 1 << 20;
    config.low_water = choice & 16 ? 0 : BIG / 2;
    config.max_unsent = choice & 32 ? 2 * BIG : 0;
    d.count = d.len = d.items = 0;
    d.loop = fl_open(&config, &error);
    if (d.loop == NULL)
        abort();
    for (int i = 0; i < LISTENERS; i++) {
        fl_listener spec = {
            .framing = framings[i],
            .max_message = 4096,
            .wants = 7,
            .max_body = 40000,
            .max_line = 1000,
            .max_head = 1000,
            .max_fields = 10,
            .max_requests = choice & 8 ? 3 : 0,
            .header_ms = choice & 128 ? 1 : 0,
            .body_ms = choice & 128 ? 1 : 0,
            .body_rate = 1,
            .stream = (choice & 64) != 0,
        };
        d.sockets[i] = listen_nearby();
        if (fl_listen(d.loop, d.sockets[i], &spec) != i)
            abort();
    }
    const fl_ws spec = {
        .max_message = 4096,
        .wants = 7,
        .ping_ms = choice & 128 ? 1 : 0,
        .pong_ms = choice & 128 ? 1 : 0,
        .threshold = 4,
        .window = 9,
        .level = 1,
    };
    if (fl_websocket(d.loop, &spec) != SOCKETS)
        abort();
    if (fl_constant(d.loop, 2, "/c", "text/plain", big, 100) < 0)
        abort();
    for (int i = 0; i < CLIENTS; i++)
        s.clients[i] = -1;
}

static void keep_promises(void)
{
    for (size_t i = 0; i < s.tickets; i++)
        op_text(&d, FL_FILL, s.promised[i], (int64_t)i + 1, "at last");
}

/* Peers read to the end, and go then: nothing but the loop closes a connection. */
static void read_to_the_end(int *client)
{
    static char bytes[4 * BIG];
    ssize_t n = 1;
    while (*client >= 0 && n > 0)
        n = recv(*client, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        hang_up(client);
}

static void end(void)
{
    fl_stats stats;
    flush_cut(0);
    fl_drain(d.loop);
    for (int turns = 0; connections(&d) > 0 && !s.wild; turns++) {
        keep_promises();
        step(1);
        for (int i = 0; i < CLIENTS; i++)
            read_to_the_end(&s.clients[i]);
        if (turns > 1000)
            abort();
    }
    fl_read_stats(d.loop, &stats);
    if (!s.wild && (stats.unsent != 0 || stats.closed != stats.accepted))
        abort();
    fl_free(d.loop);
    for (int i = 0; i < CLIENTS; i++)
        hang_up(&s.clients[i]);
    for (int i = 0; i < LISTENERS; i++)
        close(d.sockets[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size < 1 || size > LONGEST)
        return 0;
    s.at = input + 1;
    s.end = input + size;
    begin(input[0]);
    while (s.at < s.end) {
        unsigned action = take();
        act(action, take());
    }
    end();
    if (t_failed > 0)
        abort();
    return 0;
}
