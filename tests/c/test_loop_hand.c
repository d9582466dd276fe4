/* test_loop_hand.c -- a loop that accepts and hands its connections out: their places, the limits
 * that count them, and the descriptors. On every backend of this machine. */
#include <sys/wait.h>

#include "drive.h"

static struct drive d, one;

static bool start_acceptor(const char *backend, uint32_t most)
{
    fl_config config = usual;
    config.role = FL_ROLE_ACCEPT;
    config.max_connections = most;
    return start(&d, backend, &config);
}

/* A new connection that was handed out. */
struct handed {
    int client;
    int fd; /* the server's end */
    int64_t id;
};

static struct handed hand(void)
{
    struct handed h = {.fd = -1};
    h.client = join(&d, &h.id);
    h.fd = fl_hand(d.loop, (uint64_t)h.id);
    CHECK(h.fd >= 0);
    return h;
}

static void make_pair(int fds[2])
{
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
}

/* Holds one end of a pair in the place of a connection; returns the other. */
static int hold(int64_t id)
{
    int leash[2];
    make_pair(leash);
    CHECK_INT(fl_hold(d.loop, (uint64_t)id, leash[0]), 0);
    return leash[1];
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static bool has_ended(int fd)
{
    char byte;
    return recv(fd, &byte, 1, 0) == 0;
}

static void hands_out(const char *backend)
{
    char got[8];
    if (!start_acceptor(backend, 10))
        return;
    struct handed h = hand();
    CHECK_INT(fl_hand(d.loop, (uint64_t)h.id), -ENOTCONN); /* only once */
    CHECK_INT(fl_hand(d.loop, 0), -ENOTCONN);
    CHECK_INT(fl_hand(d.loop, (uint64_t)h.id + 1), -ENOTCONN);
    tell(h.client, "x\n");
    CHECK_INT(turn(&d, 5), 0); /* its bytes are no business of this loop */
    CHECK_INT(recv(h.fd, got, sizeof got, 0), 2);
    fl_left(d.loop, (uint64_t)h.id);
    fl_left(d.loop, (uint64_t)h.id);
    struct event *e = await(&d, FL_CLOSED);
    CHECK(e != NULL && e->id == h.id && e->value == 0);
    CHECK_INT(fl_hand(d.loop, (uint64_t)h.id), -ENOTCONN);
    close(h.client);
    close(h.fd);
    finish(&d);
}

static void holds_in_its_place(const char *backend)
{
    enum { MANY = 40 };
    struct handed all[MANY];
    int ends[MANY];
    if (!start_acceptor(backend, MANY))
        return;
    for (int i = 0; i < MANY; i++) {
        all[i] = hand();
        ends[i] = hold(all[i].id);
        close(all[i].fd);
    }
    CHECK_INT(fl_hold(d.loop, (uint64_t)all[0].id, ends[0]), -ENOTCONN);
    CHECK_INT(fl_hand(d.loop, (uint64_t)all[0].id), -ENOTCONN); /* what is held is not given out */
    tell(ends[0], "nobody listens");
    CHECK_INT(turn(&d, 5), 0);
    CHECK_INT(connections(&d), MANY);
    for (int i = 0; i < MANY; i++)
        close(ends[i]);
    while (d.told[FL_CLOSED] < MANY && await(&d, FL_CLOSED) != NULL)
        ;
    CHECK_INT(connections(&d), 0);
    for (int i = 0; i < MANY; i++) {
        CHECK(has_ended(all[i].client));
        close(all[i].client);
    }
    finish(&d);
}

static void refuses_what_it_cannot_hold(const char *backend)
{
    int leash[2];
    if (!start_acceptor(backend, 10))
        return;
    make_pair(leash);
    CHECK_INT(fl_hold(d.loop, 0, leash[0]), -ENOTCONN);
    struct handed h = hand();
    if (strcmp(backend, "select") == 0) {
        int high = fcntl(leash[0], F_DUPFD, FD_SETSIZE);
        if (high >= 0) {
            CHECK_INT(fl_hold(d.loop, (uint64_t)h.id, high), FL_EFDLIMIT);
            CHECK(is_open(high)); /* it stayed ours */
            close(high);
        }
    }
    CHECK_INT(fl_hold(d.loop, (uint64_t)h.id, leash[0]), 0);
    close(leash[1]);
    CHECK(await(&d, FL_CLOSED) != NULL);
    close(h.client);
    close(h.fd);
    finish(&d);
}

static void takes_back(const char *backend)
{
    static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\n";
    fl_listener spec = {
        .framing = "http",
        .max_message = 1 << 20,
        .max_line = 4096,
        .max_head = 16384,
        .max_fields = 100,
        .wants = FL_WANT_OPENED | FL_WANT_CLOSED,
    };
    char got[512];
    if (!start_acceptor(backend, 10))
        return;
    struct handed h = hand();
    fl_return(d.loop, (uint64_t)h.id, h.fd);
    expect_end(&d, h.client); /* lines have no word for it */
    d.sockets[1] = listen_here(0);
    CHECK_INT(fl_listen(d.loop, d.sockets[1], &spec), 1);
    int client = client_of(&d, 1, 0);
    struct event *e = await(&d, FL_OPENED);
    uint64_t id = e == NULL ? 0 : (uint64_t)e->id;
    tell(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    fl_return(d.loop, id, fl_hand(d.loop, id));
    CHECK_INT(receive(&d, client, got, sizeof busy - 1), sizeof busy - 1);
    CHECK_MEM(got, sizeof busy - 1, busy, sizeof busy - 1);
    shutdown(client, SHUT_WR);
    while (receive(&d, client, got, sizeof got) > 0)
        ;
    close(client);
    while (d.told[FL_CLOSED] < 2)
        await(&d, FL_CLOSED);
    fl_stats stats;
    fl_read_stats(d.loop, &stats);
    CHECK_INT(stats.refused, 2);
    CHECK(d.told[FL_NOTICES] > 0);
    int fds[2];
    make_pair(fds);
    fl_return(d.loop, (uint64_t)h.id, fds[0]); /* of a connection that is gone */
    CHECK(has_ended(fds[1]));
    close(fds[1]);
    finish(&d);
}

static void counts_who_is_away(const char *backend)
{
    if (!start_acceptor(backend, 2))
        return;
    struct handed a = hand(), b = hand();
    int surplus = client_of(&d, 0, 0);
    expect_end(&d, surplus);
    fl_left(d.loop, (uint64_t)a.id);
    CHECK(await(&d, FL_CLOSED) != NULL);
    struct handed c = hand();
    CHECK_INT(connections(&d), 2);
    fl_left(d.loop, (uint64_t)b.id);
    fl_left(d.loop, (uint64_t)c.id);
    int fds[] = {a.client, a.fd, b.client, b.fd, c.client, c.fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        close(fds[i]);
    finish(&d);
}

/* Who is served elsewhere takes no orders here. */
static void ignores_commands(const char *backend)
{
    if (!start_acceptor(backend, 10))
        return;
    int64_t id;
    int client = join(&d, &id);
    op2(&d, FL_PAUSE, id, 1);
    op2(&d, FL_PAUSE, id, 0);
    op_text(&d, FL_SEND, id, 0, "hello");
    op1(&d, FL_WATCH, id);
    op1(&d, FL_MORE, id);
    op2(&d, FL_CLOSE, id, 0);
    op2(&d, FL_CLOSE, id, 1);
    cast_all(&d, -1, 0, "all", 3);
    CHECK(turn(&d, 0) >= 0);
    CHECK_INT(d.told[FL_CLOSED], 0);
    int fd = fl_hand(d.loop, (uint64_t)id);
    CHECK(fd >= 0);
    close(fd);
    CHECK(has_ended(client)); /* and it was told nothing */
    close(client);
    fl_left(d.loop, (uint64_t)id);
    finish(&d);
}

static void drains(const char *backend)
{
    if (!start_acceptor(backend, 10))
        return;
    struct handed h = hand();
    int end = hold(h.id);
    fl_drain(d.loop);
    turn(&d, 5);
    CHECK_INT(connections(&d), 1); /* as long as it is served */
    close(end);
    close(h.fd);
    close(h.client);
    finish(&d);
}

/* A connection in each stage. */
static void frees(const char *backend)
{
    int64_t id;
    char byte;
    if (!start_acceptor(backend, 10))
        return;
    int waiting = join(&d, &id);
    struct handed out = hand(), held = hand();
    int end = hold(held.id);
    fl_free(d.loop);
    CHECK(has_ended(waiting) && has_ended(end));
    CHECK(is_open(out.fd) && is_open(held.fd)); /* they are the caller's */
    CHECK_INT(recv(out.client, &byte, 1, MSG_DONTWAIT), -1);
    int fds[] = {waiting, end, out.fd, out.client, held.fd, held.client, d.sockets[0]};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        close(fds[i]);
}

static void is_forgotten_by_a_child(const char *backend)
{
    int status = -1;
    if (!start_acceptor(backend, 10))
        return;
    struct handed h = hand();
    int end = hold(h.id);
    pid_t child = fork();
    if (child == 0) {
        fl_forget(d.loop);
        _exit(0);
    }
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    CHECK_INT(turn(&d, 5), 0);
    CHECK_INT(connections(&d), 1);
    close(end);
    CHECK(await(&d, FL_CLOSED) != NULL);
    close(h.fd);
    close(h.client);
    finish(&d);
}

/* From the loop that accepts to the one that serves, and back. */
static void serves_elsewhere(const char *backend)
{
    fl_config config = usual;
    fl_listener spec = {.framing = "line", .max_message = 1 << 20, .wants = FL_WANT_CLOSED};
    int error = 0;
    if (!start_acceptor(backend, 10))
        return;
    config.backend = "block";
    config.role = FL_ROLE_ONE;
    one = (struct drive){.sockets = {-1, -1, -1}};
    one.loop = fl_open(&config, &error);
    if (!CHECK(one.loop != NULL))
        return;
    CHECK_INT(fl_listen(one.loop, -1, &spec), 0);
    struct handed h = hand();
    CHECK_INT(fl_adopt(one.loop, h.fd, 0, 0), 0);
    tell(h.client, "hello\nthere\n");
    expect(&one, h.client, "hello\nthere\n");
    close(h.client);
    CHECK(await(&one, FL_CLOSED) != NULL);
    CHECK_INT(fl_over(one.loop), 1);
    fl_free(one.loop);
    fl_left(d.loop, (uint64_t)h.id);
    CHECK(await(&d, FL_CLOSED) != NULL);
    finish(&d);
}

int main(void)
{
    ON_EACH_BACKEND(hands_out);
    ON_EACH_BACKEND(holds_in_its_place);
    ON_EACH_BACKEND(refuses_what_it_cannot_hold);
    ON_EACH_BACKEND(takes_back);
    ON_EACH_BACKEND(counts_who_is_away);
    ON_EACH_BACKEND(ignores_commands);
    ON_EACH_BACKEND(drains);
    ON_EACH_BACKEND(frees);
    ON_EACH_BACKEND(is_forgotten_by_a_child);
    ON_EACH_BACKEND(serves_elsewhere);
    return t_end();
}
