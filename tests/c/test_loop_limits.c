/* test_loop_limits.c -- what bounds a connection and a loop: water marks, deadlines, descriptors,
 * what a caller says wrongly, and memory. On every backend of this machine. */
#include <sys/resource.h>
#include <sys/wait.h>

#include "drive.h"
#include "oom.h"

enum { KIB = 1024, SMALL = 8 * KIB, BIG = 64 * KIB };

static struct drive d;
static char big[BIG];

/* Lines from sockets whose kernels keep little, so that a peer that does not read is felt soon. */
static bool start_narrow(const char *backend, const fl_config *config)
{
    memset(big, 'b', sizeof big);
    return start(&d, backend, config) && CHECK_INT(serve(&d, 1, "line", SMALL), 1);
}

static void reply_big(void)
{
    for (size_t i = 0; i < d.count; i++) {
        if (d.events[i].kind == FL_MESSAGES) {
            item(&d);
            say_bytes(&d, big, sizeof big);
            CHECK_INT(flush(&d), 0);
        }
    }
}

static void stops_reading_who_does_not_read(const char *backend)
{
    enum { LINES = 200 };
    static char lines[2 * LINES + 1], got[BIG + 1];
    if (!start_narrow(backend, &usual))
        return;
    int fd = client_of(&d, 1, SMALL);
    struct event *e = await(&d, FL_OPENED);
    uint64_t id = e == NULL ? 0 : (uint64_t)e->id;
    for (int i = 0; i < LINES; i++)
        memcpy(lines + 2 * (size_t)i, "x\n", 3);
    tell(fd, lines);
    while (fl_unsent(d.loop, id) < usual.high_water && await(&d, FL_MESSAGES) != NULL)
        reply_big();
    CHECK(d.told[FL_MESSAGES] < LINES);
    CHECK_INT(turn(&d, 0), 0); /* it is above the mark: the rest of its lines waits */
    CHECK_INT(turn(&d, 0), 0);
    size_t left = (size_t)LINES * sizeof got;
    for (time_t begin = 0; left > 0 && CHECK(in_time(&begin));) {
        ssize_t n = recv(fd, got, sizeof got, MSG_DONTWAIT);
        left -= n > 0 ? (size_t)n : 0;
        if (n < 0 && turn(&d, 1) > 0)
            reply_big();
    }
    CHECK_INT(d.told[FL_MESSAGES], LINES);
    CHECK_INT(fl_unsent(d.loop, id), 0);
    close(fd);
    finish(&d);
}

static void gives_up_who_does_not_read(const char *backend)
{
    fl_config config = usual;
    config.write_timeout_ms = 20;
    if (!start_narrow(backend, &config))
        return;
    int fd = client_of(&d, 1, SMALL);
    await(&d, FL_OPENED);
    for (int i = 0; i < 3; i++)
        cast_all(&d, -1, 0, big, sizeof big);
    struct event *e = await(&d, FL_CLOSED);
    CHECK(e != NULL && e->value == FL_ESTALL);
    CHECK_INT(d.told[FL_NOTICES], 1);
    close(fd);
    finish(&d);
}

static void gives_up_whom_too_much_waits_for(const char *backend)
{
    fl_config config = usual;
    config.max_unsent = BIG;
    if (!start_narrow(backend, &config))
        return;
    int fd = client_of(&d, 1, SMALL);
    await(&d, FL_OPENED);
    for (int i = 0; i < 3; i++)
        cast_all(&d, -1, 0, big, sizeof big);
    struct event *e = await(&d, FL_CLOSED);
    CHECK(e != NULL && e->value == FL_EUNSENT);
    close(fd);
    finish(&d);
}

static void closes_the_idle(const char *backend)
{
    fl_config config = usual;
    config.idle_timeout_ms = 20;
    if (!start(&d, backend, &config))
        return;
    int64_t id;
    int quiet = join(&d, &id);
    int busy = client_of(&d, 0, 0);
    tell(busy, "one that is owed a reply is not idle\n");
    await(&d, FL_MESSAGES);
    op1(&d, FL_LATER, 1);
    CHECK_INT(flush(&d), 0);
    int64_t waits = d.events[d.count - 1].id;
    expect_end(&d, quiet);
    CHECK(fl_alive(d.loop, (uint64_t)waits) == 1);
    op_text(&d, FL_FILL, waits, 1, "at last");
    expect(&d, busy, "at last\n");
    expect_end(&d, busy);
    while (d.told[FL_CLOSED] < 2)
        await(&d, FL_CLOSED);
    finish(&d);
}

static void casts_to_slow_receivers(const char *backend)
{
    enum { PEERS = 8 };
    static char got[PEERS][BIG + 1];
    int fds[PEERS];
    size_t have[PEERS] = {0}, left = sizeof got;
    if (!start_narrow(backend, &usual))
        return;
    for (int i = 0; i < PEERS; i++)
        fds[i] = client_of(&d, 1, SMALL);
    while (d.told[FL_OPENED] < PEERS)
        await(&d, FL_OPENED);
    cast_all(&d, 1, 0, big, sizeof big);
    CHECK_INT(flush(&d), 0);
    for (time_t begin = 0; left > 0 && CHECK(in_time(&begin));) {
        for (int i = 0; i < PEERS; i++) {
            ssize_t n = recv(fds[i], got[i] + have[i], sizeof got[i] - have[i], MSG_DONTWAIT);
            have[i] += n > 0 ? (size_t)n : 0;
            left -= n > 0 ? (size_t)n : 0;
        }
        turn(&d, 1);
    }
    for (int i = 0; i < PEERS; i++) {
        CHECK(memcmp(got[i], big, sizeof big) == 0 && got[i][BIG] == '\n');
        close(fds[i]);
    }
    finish(&d);
}

static void turns_away_one_too_many(const char *backend)
{
    fl_config config = usual;
    config.max_connections = 1;
    if (!start(&d, backend, &config))
        return;
    int64_t id;
    int fd = join(&d, &id);
    int more = client_of(&d, 0, 0);
    struct event *e = await(&d, FL_NOTICES);
    CHECK(e != NULL && e->value == FL_EBUSY);
    expect_end(&d, more);
    tell(fd, "served\n");
    expect(&d, fd, "served\n");
    close(fd);
    await(&d, FL_CLOSED);
    fd = join(&d, &id);
    close(fd);
    finish(&d);
}

static void runs_out_of_descriptors(const char *backend)
{
    struct rlimit usually, now;
    if (!start(&d, backend, &usual))
        return;
    int fd = client_of(&d, 0, 0);
    getrlimit(RLIMIT_NOFILE, &usually);
    now = usually;
    now.rlim_cur = (rlim_t)fd + 1;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &now), 0);
    struct event *e = await(&d, FL_NOTICES);
    CHECK(e != NULL && e->value == FL_EFILES);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &usually), 0);
    CHECK(fl_timeout(d.loop) > 0); /* it accepts again after a pause */
    expect_end(&d, fd);
    int64_t id;
    close(join(&d, &id));
    finish(&d);
}

static void does_not_spin(const char *backend)
{
    fl_stats before, after;
    if (!start(&d, backend, &usual))
        return;
    int64_t id;
    int fd = join(&d, &id);
    tell(fd, "promised\n");
    shutdown(fd, SHUT_WR); /* readable for ever, but there is nothing to read */
    await(&d, FL_MESSAGES);
    op1(&d, FL_LATER, 1);
    shutdown(d.sockets[0], SHUT_RDWR); /* the listener too */
    CHECK_INT(turn(&d, 0), 0);
    fl_read_stats(d.loop, &before);
    CHECK_INT(turn(&d, 30), 0);
    fl_read_stats(d.loop, &after);
    CHECK(after.turns - before.turns < 5);
    op_text(&d, FL_FILL, id, 1, "kept");
    expect(&d, fd, "kept\n");
    expect_end(&d, fd);
    finish(&d);
}

static void drains(const char *backend)
{
    if (!start(&d, backend, &usual))
        return;
    int64_t id;
    int fd = join(&d, &id), idle = join(&d, &id);
    tell(fd, "one\n");
    await(&d, FL_MESSAGES);
    fl_drain(d.loop);
    CHECK_INT(fl_timeout(d.loop), 0);
    int late = client_of(&d, 0, 0);
    reply(&d, "1");
    expect(&d, fd, "1\n");
    expect_end(&d, fd);
    expect_end(&d, idle);
    CHECK_INT(d.told[FL_OPENED], 2);
    close(late);
    finish(&d);
}

/* A child that forgets the loop takes nothing from the parent, which goes on. */
static void forgets_in_a_child(const char *backend)
{
    if (!start(&d, backend, &usual))
        return;
    int64_t id;
    int status = -1;
    int fd = join(&d, &id);
    pid_t child = fork();
    if (child == 0) {
        fl_forget(d.loop);
        _exit(t_failed);
    }
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    tell(fd, "still here\n");
    expect(&d, fd, "still here\n");
    close(fd);
    finish(&d);
}

static void counts_replies(const char *backend)
{
    if (!start(&d, backend, &usual) || !CHECK_INT(serve(&d, 1, "resp", 0), 1))
        return;
    char got[5];
    int fd = client_of(&d, 1, 0);
    tell(fd, "*1\r\n$1\r\nx\r\n");
    await(&d, FL_MESSAGES);
    reply(&d, "one");
    reply(&d, "one too many");
    CHECK_INT(turn(&d, 0), FL_EOUTBOX);
    expect(&d, fd, "$3\r\none\r\n");
    tell(fd, "*1\r\n$1\r\nx\r\n");
    await(&d, FL_MESSAGES); /* and none */
    CHECK_INT(receive(&d, fd, got, 5), 5);
    CHECK_MEM(got, 4, "-ERR", 4);
    close(fd);
    finish(&d);
}

static void ignores_ids_of_the_past(const char *backend)
{
    if (!start(&d, backend, &usual))
        return;
    int64_t old, id;
    int fd = join(&d, &old);
    tell(fd, "x\n");
    await(&d, FL_MESSAGES);
    op2(&d, FL_CLOSE, old, 1);
    CHECK_INT(flush(&d), 0);
    close(fd);
    reply(&d, "for nobody");
    fd = join(&d, &id);
    CHECK(id != old && (id & 0xffffff) == (old & 0xffffff)); /* the place is the same */
    op_text(&d, FL_SEND, old, 0, "not for you");
    op_text(&d, FL_FILL, old, 1, "nor this");
    op2(&d, FL_CLOSE, old, 1);
    op2(&d, FL_PAUSE, old, 1);
    op1(&d, FL_WATCH, old);
    op_text(&d, FL_SEND, id, 0, "for you");
    expect(&d, fd, "for you\n");
    CHECK_INT(fl_unsent(d.loop, (uint64_t)old), -ENOTCONN);
    close(fd);
    finish(&d);
}

/* One of everything, for a connection with two messages. */
static size_t everything(int64_t id)
{
    op1(&d, FL_LATER, 1);
    op_text(&d, FL_SEND, id, 1, "ahead");
    op1(&d, FL_WATCH, id);
    op2(&d, FL_PAUSE, id, 1);
    op2(&d, FL_PAUSE, id, 0);
    op2(&d, FL_TIMER, 1, 60000000);
    op1(&d, FL_CANCEL, 1);
    cast_all(&d, -1, 0, "all", 3);
    op_text(&d, FL_FILL, id, 1, "one");
    op_last(&d, "two");
    op2(&d, FL_CLOSE, id, 0);
    return sealed(&d);
}

static void refuses_truncated_outboxes(const char *backend)
{
    if (!start(&d, backend, &usual))
        return;
    for (size_t cut = 1, len = 2; cut < len; cut++) {
        int64_t id;
        int fd = join(&d, &id);
        tell(fd, "1\n2\n");
        await(&d, FL_MESSAGES);
        len = everything(id);
        char *end = t_guard(d.out, cut);
        CHECK_INT(fl_flush(d.loop, end, cut), FL_EOUTBOX);
        t_unguard(end, cut);
        close(fd);
        d.count = 0;
        op_text(&d, FL_FILL, id, 1, "a promise is kept");
        CHECK(turn(&d, 0) >= 0);
    }
    finish(&d);
}

/* What may happen to a loop, with bounded patience: any allocation in it may fail. */
static void converse(const char *backend)
{
    fl_config config = usual;
    fl_listener spec = {
        .framing = "line",
        .max_message = 1 << 20,
        .wants = FL_WANT_IDS | FL_WANT_OPENED | FL_WANT_CLOSED,
    };
    int error = 0, fds[3];
    config.backend = backend;
    d.loop = fl_open(&config, &error);
    if (d.loop == NULL) {
        CHECK_INT(error, -ENOMEM);
        return;
    }
    if (fl_listen(d.loop, d.sockets[0], &spec) == 0) {
        for (int i = 0; i < 3; i++) {
            fds[i] = client_of(&d, 0, SMALL);
            tell(fds[i], "a\nb\nc");
        }
        for (int i = 0; i < 4; i++) {
            if (turn(&d, 1) > 0)
                echo(&d);
            op2(&d, FL_TIMER, i, 0);
            cast_all(&d, -1, 0, big, sizeof big);
            op_text(&d, FL_SEND, d.events[0].id, 0, "hello");
        }
        for (int i = 0; i < 3; i++)
            close(fds[i]);
        fl_drain(d.loop);
        for (time_t begin = 0; connections(&d) > 0 && CHECK(in_time(&begin));) {
            if (turn(&d, 10) > 0)
                echo(&d);
        }
    }
    fl_free(d.loop);
}

static void survives_without_memory(const char *backend)
{
    d = (struct drive){.sockets = {listen_here(SMALL), -1}};
    for (int n = 1; oom_arm(n), converse(backend), oom_disarm(); n++)
        d.items = 0;
    close(d.sockets[0]);
}

#define FAULT "-ERR internal error\r\n"

/* What is lost in the middle of a batch costs the rest of it, and no message gets another's reply:
 * for want of memory, or behind a value that nobody can read. */
static void fails_the_rest_of_a_batch(const char *backend)
{
    if (!start(&d, backend, &usual) || !CHECK_INT(serve(&d, 1, "resp", 0), 1))
        return;
    int fd = client_of(&d, 1, 0);
    for (int torn = 0; torn < 2; torn++) {
        tell(fd, "*1\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n*1\r\n$1\r\nc\r\n");
        await(&d, FL_MESSAGES);
        d.count = 0;
        if (torn) {
            item(&d);
            d.out[d.len++] = '?';
        } else {
            op2(&d, FL_TIMER, 5000, 60000000);
        }
        reply(&d, "one");
        oom_arm(torn ? 0 : 1);
        CHECK_INT(flush(&d), torn ? FL_EOUTBOX : -ENOMEM);
        CHECK(oom_disarm() == !torn);
        expect(&d, fd, torn ? FAULT FAULT FAULT : "$3\r\none\r\n" FAULT FAULT);
        reply(&d, "two");
        CHECK_INT(flush(&d), FL_EOUTBOX);
        reply(&d, "three");
        op2(&d, FL_TIMER, 1, 0); /* what is behind it counts */
        CHECK_INT(turn(&d, 0), FL_EOUTBOX);
        await(&d, FL_TIMERS);
        tell(fd, "*1\r\n$1\r\nd\r\n");
        await(&d, FL_MESSAGES);
        reply(&d, "fine");
        d.count = 0;
        expect(&d, fd, "$4\r\nfine\r\n");
    }
    close(fd);
    finish(&d);
}

int main(void)
{
    ON_EACH_BACKEND(stops_reading_who_does_not_read);
    ON_EACH_BACKEND(gives_up_who_does_not_read);
    ON_EACH_BACKEND(gives_up_whom_too_much_waits_for);
    ON_EACH_BACKEND(closes_the_idle);
    ON_EACH_BACKEND(casts_to_slow_receivers);
    ON_EACH_BACKEND(turns_away_one_too_many);
    ON_EACH_BACKEND(runs_out_of_descriptors);
    ON_EACH_BACKEND(does_not_spin);
    ON_EACH_BACKEND(drains);
    ON_EACH_BACKEND(forgets_in_a_child);
    ON_EACH_BACKEND(counts_replies);
    ON_EACH_BACKEND(ignores_ids_of_the_past);
    ON_EACH_BACKEND(refuses_truncated_outboxes);
    ON_EACH_BACKEND(fails_the_rest_of_a_batch);
    ON_EACH_BACKEND(survives_without_memory);
    return t_end();
}
