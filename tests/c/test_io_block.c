/* test_io_block.c -- a loop that serves one connection and blocks meanwhile: the driver, what
 * interrupts it, and when it is over. */
#include <signal.h>
#include <sys/time.h>

#include "drive.h"
#include "oom.h"

enum { BIG = 200 * 1024, SMALL = 8 * 1024 };

static struct drive d;
static const fl_listener lines = {
    .framing = "line",
    .max_message = 1 << 20,
    .wants = FL_WANT_IDS | FL_WANT_OPENED | FL_WANT_CLOSED,
};

static bool open_one(const fl_config *config)
{
    fl_config c = *config;
    int error = 0;
    d = (struct drive){.sockets = {-1, -1, -1}};
    c.backend = "block";
    c.role = FL_ROLE_ONE;
    d.loop = fl_open(&c, &error);
    return CHECK(d.loop != NULL) && CHECK_INT(fl_listen(d.loop, -1, &lines), 0);
}

/* The two ends of a connection. */
static void make_pair(int fds[2])
{
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
}

/* The loop serves a new connection; returns the peer's end. */
static int adopt(int leash)
{
    int fds[2];
    make_pair(fds);
    CHECK_INT(fl_adopt(d.loop, fds[0], 0, leash), 0);
    return fds[1];
}

static void is_over(void)
{
    fl_stats stats;
    CHECK_INT(fl_over(d.loop), 1);
    fl_read_stats(d.loop, &stats);
    CHECK_INT(stats.connections, 0);
    CHECK_INT(stats.closed, stats.accepted);
    fl_free(d.loop);
}

static void serves_its_connection(void)
{
    if (!open_one(&usual))
        return;
    CHECK(strcmp(fl_backend(d.loop), "block") == 0);
    CHECK_INT(fl_fileno(d.loop), -1);
    int fd = adopt(0);
    CHECK_INT(fl_over(d.loop), 0);
    tell(fd, "one\ntwo\nthr");
    expect(&d, fd, "one\ntwo\n");
    tell(fd, "ee\n");
    expect(&d, fd, "three\n");
    CHECK_INT(d.told[FL_OPENED], 1);
    close(fd);
    struct event *e = await(&d, FL_CLOSED);
    CHECK(e != NULL && e->value == 0);
    is_over();
}

static void finishes_replies_after_a_half_close(void)
{
    if (!open_one(&usual))
        return;
    int fd = adopt(0);
    tell(fd, "one\ntwo\n");
    shutdown(fd, SHUT_WR);
    expect(&d, fd, "one\ntwo\n");
    expect_end(&d, fd);
    is_over();
}

static void takes_one_at_a_time(void)
{
    int fds[2], leash[2];
    if (!open_one(&usual))
        return;
    make_pair(leash);
    int first = adopt(0);
    make_pair(fds);
    CHECK_INT(fl_adopt(d.loop, fds[0], -1, 0), -EINVAL);
    CHECK_INT(fl_adopt(d.loop, fds[0], 1, 0), -EINVAL);
    CHECK_INT(fl_adopt(d.loop, fds[0], 0, leash[0]), -EBUSY);
    CHECK(fcntl(fds[0], F_GETFD) >= 0); /* it stayed ours, */
    close(leash[1]);                    /* ... and the leash counts for nothing */
    tell(first, "one\n");
    expect(&d, first, "one\n");
    CHECK_INT(connections(&d), 1);
    close(first);
    await(&d, FL_CLOSED);
    CHECK_INT(fl_over(d.loop), 1);
    CHECK_INT(fl_adopt(d.loop, fds[0], 0, 0), 0); /* the next */
    tell(fds[1], "two\n");
    expect(&d, fds[1], "two\n");
    close(fds[1]);
    await(&d, FL_CLOSED);
    close(leash[0]);
    is_over();
}

static void waits_for_room(void)
{
    static char big[BIG], got[BIG + 1];
    int small = SMALL;
    if (!open_one(&usual))
        return;
    int fd = adopt(0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    memset(big, 'b', sizeof big);
    tell(fd, "x\n");
    struct event *e = await(&d, FL_MESSAGES);
    uint64_t id = e == NULL ? 0 : (uint64_t)e->id;
    item(&d);
    say_bytes(&d, big, sizeof big);
    CHECK_INT(turn(&d, 0), 0);
    CHECK_INT(receive(&d, fd, got, sizeof got), sizeof got);
    CHECK(memcmp(got, big, sizeof big) == 0 && got[BIG] == '\n');
    CHECK_INT(fl_unsent(d.loop, id), 0);
    close(fd);
    await(&d, FL_CLOSED);
    is_over();
}

/* Nothing is wanted of a connection that is paused; its hang-up would be reported for ever. */
static void sleeps_beside_a_hang_up(void)
{
    fl_stats before, after;
    if (!open_one(&usual))
        return;
    int fd = adopt(0);
    struct event *e = await(&d, FL_OPENED);
    int64_t id = e == NULL ? 0 : e->id;
    op2(&d, FL_PAUSE, id, 1);
    CHECK_INT(turn(&d, 0), 0);
    close(fd);
    fl_read_stats(d.loop, &before);
    CHECK_INT(turn(&d, 20), 0);
    fl_read_stats(d.loop, &after);
    CHECK(after.turns - before.turns < 4);
    op2(&d, FL_PAUSE, id, 0);
    CHECK(await(&d, FL_CLOSED) != NULL);
    is_over();
}

static void ends_with_its_leash(void)
{
    int leash[2];
    if (!open_one(&usual))
        return;
    make_pair(leash);
    int fd = adopt(leash[0]);
    tell(fd, "one\n");
    await(&d, FL_MESSAGES);
    op1(&d, FL_LATER, 1);
    op2(&d, FL_TIMER, 1, 3600000000); /* is not waited for */
    CHECK_INT(flush(&d), 0);
    close(leash[1]);
    struct event *e = await(&d, FL_CLOSED);
    CHECK(e != NULL && e->value == FL_ESTOP);
    expect_end(&d, fd);
    close(leash[0]);
    is_over();
}

/* The leash of one that was gone before. */
static void ends_with_its_leash_alone(void)
{
    int leash[2];
    if (!open_one(&usual))
        return;
    make_pair(leash);
    close(adopt(leash[0]));
    await(&d, FL_CLOSED);
    op2(&d, FL_TIMER, 1, 3600000000);
    CHECK_INT(flush(&d), 0);
    CHECK_INT(fl_over(d.loop), 0);
    close(leash[1]);
    for (time_t begin = 0; !fl_over(d.loop) && CHECK(in_time(&begin));)
        CHECK_INT(turn(&d, -1), 0);
    close(leash[0]);
    is_over();
}

static void waits_for_timers(void)
{
    if (!open_one(&usual))
        return;
    int fd = adopt(0);
    await(&d, FL_OPENED);
    op2(&d, FL_TIMER, 1, 2000);
    CHECK_INT(flush(&d), 0);
    close(fd);
    while (d.told[FL_CLOSED] == 0 && d.told[FL_TIMERS] == 0)
        await(&d, FL_CLOSED);
    if (d.told[FL_TIMERS] == 0)
        CHECK_INT(fl_over(d.loop), 0);
    while (d.told[FL_CLOSED] == 0 || d.told[FL_TIMERS] == 0)
        await(&d, d.told[FL_CLOSED] == 0 ? FL_CLOSED : FL_TIMERS);
    CHECK_INT(turn(&d, -1), 0); /* it does not wait: nothing is left to wait for */
    is_over();
}

static void keeps_deadlines(void)
{
    fl_config config = usual;
    config.idle_timeout_ms = 20;
    if (!open_one(&config))
        return;
    int fd = adopt(0);
    expect_end(&d, fd);
    while (d.told[FL_CLOSED] == 0)
        await(&d, FL_CLOSED);
    is_over();
}

static void drains(void)
{
    if (!open_one(&usual))
        return;
    int fd = adopt(0);
    tell(fd, "one\n");
    await(&d, FL_MESSAGES);
    fl_drain(d.loop);
    reply(&d, "the last word");
    expect(&d, fd, "the last word\n");
    expect_end(&d, fd);
    while (d.told[FL_CLOSED] == 0)
        await(&d, FL_CLOSED);
    is_over();
}

static void nothing(int number)
{
    (void)number;
}

static void is_interrupted(void)
{
    struct sigaction act = {.sa_handler = nothing};
    const struct itimerval often = {{0, 1000}, {0, 1000}}, never = {0};
    if (!open_one(&usual))
        return;
    int fd = adopt(0);
    await(&d, FL_OPENED);
    fl_wake(d.loop);
    CHECK_INT(turn(&d, -1), 0);
    sigaction(SIGALRM, &act, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    CHECK_INT(turn(&d, -1), 0); /* hangs if a signal does not end the wait */
    setitimer(ITIMER_REAL, &never, NULL);
    tell(fd, "one\n");
    expect(&d, fd, "one\n");
    close(fd);
    await(&d, FL_CLOSED);
    is_over();
}

/* All that may happen, with bounded patience: any allocation in it may fail. */
static void converse(void)
{
    fl_config config = usual;
    int error = 0, fds[2];
    config.backend = "block";
    config.role = FL_ROLE_ONE;
    d.loop = fl_open(&config, &error);
    if (d.loop == NULL) {
        CHECK_INT(error, -ENOMEM);
        return;
    }
    make_pair(fds);
    tell(fds[1], "a\nb\nc");
    if (fl_listen(d.loop, -1, &lines) == 0 && fl_adopt(d.loop, fds[0], 0, 0) == 0) {
        for (int i = 0; i < 3; i++) {
            if (turn(&d, 1) > 0)
                echo(&d);
            op_text(&d, FL_SEND, d.events[0].id, 0, "hello");
        }
        shutdown(fds[1], SHUT_RDWR);
        for (time_t begin = 0; !fl_over(d.loop) && CHECK(in_time(&begin));) {
            if (turn(&d, 10) > 0)
                echo(&d);
        }
    } else {
        close(fds[0]);
    }
    close(fds[1]);
    fl_free(d.loop);
}

static void survives_without_memory(void)
{
    d = (struct drive){.sockets = {-1, -1, -1}};
    for (int n = 1; oom_arm(n), converse(), oom_disarm(); n++)
        d.items = 0;
}

int main(void)
{
    serves_its_connection();
    finishes_replies_after_a_half_close();
    takes_one_at_a_time();
    waits_for_room();
    sleeps_beside_a_hang_up();
    ends_with_its_leash();
    ends_with_its_leash_alone();
    waits_for_timers();
    keeps_deadlines();
    drains();
    is_interrupted();
    survives_without_memory();
    return t_end();
}
