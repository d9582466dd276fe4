/* test_loop.c -- conversations with the whole loop over the loopback interface: what is replied,
 * sent and closed, and in which order. On every backend of this machine. */
#include "drive.h"

static struct drive d;

static void echoes(const char *backend)
{
    if (!start(&d, backend, &usual))
        return;
    CHECK(strcmp(fl_backend(d.loop), backend) == 0);
    int64_t id;
    char address[64];
    int fd = join(&d, &id);
    CHECK(fl_alive(d.loop, (uint64_t)id) == 1);
    CHECK(fl_address(d.loop, (uint64_t)id, 1, address, sizeof address) > 0);
    tell(fd, "one\n");
    expect(&d, fd, "one\n");
    tell(fd, "two\nthree\n\nfour");
    expect(&d, fd, "two\nthree\n\n");
    tell(fd, "teen\n");
    expect(&d, fd, "fourteen\n");
    close(fd);
    struct event *e = await(&d, FL_CLOSED);
    CHECK(e != NULL && e->id == id && e->value == 0);
    CHECK(fl_alive(d.loop, (uint64_t)id) == 0);
    finish(&d);
}

static void asks_many_at_once(const char *backend)
{
    enum { MANY = 1000, LENGTH = 8 };
    static char said[MANY * LENGTH + 1], heard[MANY * LENGTH];
    if (!start(&d, backend, &usual))
        return;
    for (int i = 0; i < MANY; i++)
        snprintf(said + i * LENGTH, LENGTH + 1, "%07u\n", (unsigned)i % 10000000);
    int fd = client_of(&d, 0, 0);
    tell(fd, said);
    CHECK_INT(receive(&d, fd, heard, sizeof heard), sizeof heard);
    CHECK_MEM(heard, sizeof heard, said, sizeof heard);
    close(fd);
    finish(&d);
}

static void fills_holes_in_any_order(const char *backend)
{
    if (!start(&d, backend, &usual))
        return;
    int64_t id;
    int fd = join(&d, &id);
    tell(fd, "a\nb\nc\nd\n");
    await(&d, FL_MESSAGES);
    op1(&d, FL_LATER, 1);
    op1(&d, FL_LATER, 2);
    reply(&d, "c");
    op1(&d, FL_LATER, 4);
    CHECK_INT(flush(&d), 0);
    op_text(&d, FL_FILL, id, 4, "D");
    op_text(&d, FL_FILL, id, 2, "B");
    CHECK_INT(flush(&d), 0);
    CHECK_INT(fl_unsent(d.loop, (uint64_t)id), 6);
    op_text(&d, FL_SEND, id, 1, "before A");
    op_text(&d, FL_SEND, id, 0, "behind");
    op_text(&d, FL_FILL, id, 1, "A");
    op_text(&d, FL_FILL, id, 1, "A again");
    expect(&d, fd, "before A\nA\nB\nc\nD\nbehind\n");
    close(fd);
    finish(&d);
}

static void says_a_last_word(const char *backend)
{
    if (!start(&d, backend, &usual))
        return;
    int fd = client_of(&d, 0, 0);
    tell(fd, "a\nb\nc\n");
    await(&d, FL_MESSAGES);
    reply(&d, "A");
    item(&d);
    say_op(&d, FL_LAST, 1); /* twice is no more than once */
    say_op(&d, FL_LAST, 1);
    say_bytes(&d, "bye", 3);
    reply(&d, "C");
    expect(&d, fd, "A\nbye\n");
    expect_end(&d, fd);
    finish(&d);
}

/* The last word comes from an async handler, while messages behind it are promised a reply, or are
 * with the caller and have none yet. */
static void fills_a_last_word(const char *backend)
{
    if (!start(&d, backend, &usual))
        return;
    int64_t id;
    int fd = join(&d, &id);
    tell(fd, "a\nb\nc\n");
    await(&d, FL_MESSAGES);
    op1(&d, FL_LATER, 1);
    op1(&d, FL_LATER, 2);
    op1(&d, FL_LATER, 3);
    CHECK_INT(flush(&d), 0);
    tell(fd, "d\n");
    await(&d, FL_MESSAGES);
    item(&d);
    say_op(&d, FL_FILL, 3);
    say_int(&d, id);
    say_int(&d, 2);
    say_op(&d, FL_LAST, 1);
    say_bytes(&d, "bye", 3);
    op1(&d, FL_LATER, 4);
    CHECK_INT(flush(&d), 0);
    op_text(&d, FL_FILL, id, 3, "too late");
    op_text(&d, FL_FILL, id, 1, "A");
    expect(&d, fd, "A\nbye\n");
    expect_end(&d, fd);
    finish(&d);
}

static void says_a_last_word_behind_a_hole(const char *backend)
{
    if (!start(&d, backend, &usual))
        return;
    int64_t id;
    int fd = join(&d, &id);
    tell(fd, "a\nb\n");
    await(&d, FL_MESSAGES);
    op1(&d, FL_LATER, 1);
    op_last(&d, "bye");
    CHECK_INT(flush(&d), 0);
    op_text(&d, FL_FILL, id, 1, "A");
    expect(&d, fd, "A\nbye\n");
    expect_end(&d, fd);
    finish(&d);
}

static void survives_handlers_that_fail(const char *backend)
{
    if (!start(&d, backend, &usual) || !CHECK_INT(serve(&d, 1, "resp", 0), 1))
        return;
    int fd = client_of(&d, 1, 0);
    char error[5];
    tell(fd, "*1\r\n$1\r\nx\r\n*1\r\n$1\r\ny\r\n");
    await(&d, FL_MESSAGES);
    op0(&d, FL_FAULT);
    reply(&d, "y");
    CHECK_INT(receive(&d, fd, error, 5), 5);
    CHECK_MEM(error, 4, "-ERR", 4);
    while (error[0] != '\n')
        CHECK_INT(receive(&d, fd, error, 1), 1);
    expect(&d, fd, "$1\r\ny\r\n");
    close(fd);
    fd = client_of(&d, 0, 0);
    tell(fd, "x\ny\n");
    await(&d, FL_MESSAGES);
    reply(&d, "fine");
    op0(&d, FL_FAULT); /* lines know no error */
    expect(&d, fd, "fine\n");
    expect_end(&d, fd);
    finish(&d);
}

/* A value of a type that lines cannot carry is a fault of its own connection alone. */
static void refuses_a_value(const char *backend)
{
    if (!start(&d, backend, &usual))
        return;
    int64_t id, other;
    int fd = join(&d, &id), peer = join(&d, &other);
    tell(fd, "x\n");
    await(&d, FL_MESSAGES);
    item(&d);
    d.out[d.len++] = '{';
    d.out[d.len++] = '0';
    op_text(&d, FL_SEND, other, 0, "still here");
    struct event *e = await(&d, FL_NOTICES);
    CHECK(e != NULL && e->value == FL_EVALUE);
    expect(&d, peer, "still here\n");
    expect_end(&d, fd);
    close(peer);
    finish(&d);
}

static void casts_to_many(const char *backend)
{
    if (!start(&d, backend, &usual) || !CHECK_INT(serve(&d, 1, "resp", 0), 1))
        return;
    int64_t ids[2];
    int a = join(&d, &ids[0]), b = join(&d, &ids[1]);
    int words = client_of(&d, 1, 0);
    await(&d, FL_OPENED);
    cast_all(&d, -1, 0, "all", 3); /* each in its own framing */
    cast_all(&d, 0, ids[0], "but a", 5);
    item(&d);
    say_op(&d, FL_CAST, 4);
    say_int(&d, -1);
    say_list(&d, 2);
    say_int(&d, ids[0]);
    say_int(&d, 12345);
    say_int(&d, 0);
    say_bytes(&d, "to a", 4);
    expect(&d, a, "all\nto a\n");
    expect(&d, b, "all\nbut a\n");
    expect(&d, words, "$3\r\nall\r\n");
    size_t notices = d.told[FL_NOTICES];
    item(&d); /* a value that no line can carry is noted, and harms nobody */
    say_op(&d, FL_CAST, 4);
    say_int(&d, 0);
    say_none(&d);
    say_int(&d, 0);
    d.out[d.len++] = '{';
    d.out[d.len++] = '0';
    struct event *e = await(&d, FL_NOTICES);
    CHECK(e != NULL && e->value == FL_EVALUE && d.told[FL_NOTICES] == notices + 1);
    tell(a, "fine\n");
    expect(&d, a, "fine\n");
    close(a), close(b), close(words);
    finish(&d);
}

static void closes_and_resets(const char *backend)
{
    if (!start(&d, backend, &usual))
        return;
    int64_t id;
    char byte;
    int fd = join(&d, &id);
    op_text(&d, FL_SEND, id, 0, "bye");
    op2(&d, FL_CLOSE, id, 0);
    op2(&d, FL_CLOSE, id, 0);
    op_text(&d, FL_SEND, id, 0, "nobody reads this");
    expect(&d, fd, "bye\n");
    expect_end(&d, fd);
    fd = join(&d, &id);
    op1(&d, FL_WATCH, id);
    op2(&d, FL_CLOSE, id, 1);
    struct event *e = await(&d, FL_CLOSED);
    while (e != NULL && e->id != id)
        e = await(&d, FL_CLOSED);
    CHECK(e != NULL && e->value == -ECONNRESET);
    CHECK_INT(receive(&d, fd, &byte, 1), -ECONNRESET);
    close(fd);
    finish(&d);
}

static void pauses(const char *backend)
{
    if (!start(&d, backend, &usual))
        return;
    int64_t id, other;
    int fd = join(&d, &id), peer = join(&d, &other);
    op2(&d, FL_PAUSE, id, 1);
    CHECK_INT(flush(&d), 0);
    tell(fd, "waits\n");
    tell(peer, "goes on\n");
    expect(&d, peer, "goes on\n");
    CHECK_INT(d.told[FL_MESSAGES], 1);
    op2(&d, FL_PAUSE, id, 0);
    expect(&d, fd, "waits\n");
    tell(fd, "1\n2\n");
    await(&d, FL_MESSAGES);
    reply(&d, "one");
    op2(&d, FL_PAUSE, id, 1); /* with replies outstanding */
    CHECK_INT(flush(&d), 0);
    reply(&d, "two");
    op2(&d, FL_PAUSE, id, 0);
    expect(&d, fd, "one\ntwo\n");
    close(fd), close(peer);
    finish(&d);
}

static void keeps_time(const char *backend)
{
    if (!start(&d, backend, &usual))
        return;
    op2(&d, FL_TIMER, 1, 1000);
    op2(&d, FL_TIMER, 2, 3000);
    op2(&d, FL_TIMER, 3, 2000);
    op1(&d, FL_CANCEL, 1);
    op1(&d, FL_CANCEL, 77);
    CHECK_INT(flush(&d), 0);
    CHECK(fl_timeout(d.loop) >= 0);
    struct event *e = await(&d, FL_TIMERS);
    CHECK(e != NULL && e->value == 3);
    if (d.told[FL_TIMERS] < 2)
        e = await(&d, FL_TIMERS);
    CHECK(e != NULL && d.events[d.count - 1].value == 2);
    CHECK_INT(turn(&d, 0), 0);
    finish(&d);
}

/* A half-closed peer gets every reply, also the late ones, and then the end. */
static void answers_a_half_closed_peer(const char *backend)
{
    if (!start(&d, backend, &usual))
        return;
    int64_t id;
    int fd = join(&d, &id);
    tell(fd, "a\nb\nincomplete");
    shutdown(fd, SHUT_WR);
    await(&d, FL_MESSAGES);
    op1(&d, FL_LATER, 9);
    reply(&d, "B");
    CHECK_INT(flush(&d), 0);
    CHECK_INT(turn(&d, 0), 0);
    op_text(&d, FL_FILL, id, 9, "A");
    expect(&d, fd, "A\nB\n");
    expect_end(&d, fd);
    finish(&d);
}

static void sends_between_slices(const char *backend)
{
    if (!start(&d, backend, &usual))
        return;
    int fd = client_of(&d, 0, 0);
    char got[8];
    tell(fd, "a\nb\n");
    await(&d, FL_MESSAGES);
    reply(&d, "A");
    CHECK_INT(flush(&d), 0);
    CHECK_INT(recv(fd, got, 2, MSG_WAITALL), 2); /* before the second was answered */
    CHECK_MEM(got, 2, "A\n", 2);
    reply(&d, "B");
    CHECK_INT(flush(&d), 0);
    CHECK_INT(recv(fd, got, 2, MSG_WAITALL), 2);
    CHECK_MEM(got, 2, "B\n", 2);
    close(fd);
    finish(&d);
}

/* Commands with an argument of the wrong type, between replies and promises to others. */
static void say_wrong_commands(int64_t id)
{
    op2(&d, FL_SUBSCRIBE, id, 5);
    item(&d);
    say_op(&d, FL_PUBLISH, 3);
    say_int(&d, 5);
    say_int(&d, -1);
    say_bytes(&d, "x", 1);
    item(&d);
    say_op(&d, FL_CAST, 4);
    say_int(&d, -1);
    say_int(&d, 7);
    say_none(&d);
    say_bytes(&d, "x", 1);
    item(&d);
    say_op(&d, FL_READ, 4);
    say_int(&d, 3);
    say_bytes(&d, "file", 4);
    say_none(&d);
    say_int(&d, -1);
}

/* A command that cannot be applied harms nobody, in a step and in a flush. */
static void leaves_out_wrong_commands(const char *backend)
{
    static const char *const said[] = {"A\nown\n", "B\nown\n", "C\nown\n"};
    int64_t ids[3];
    int fds[3];
    if (!start(&d, backend, &usual))
        return;
    for (int i = 0; i < 3; i++)
        fds[i] = join(&d, &ids[i]);
    for (int steps = 0; steps < 2; steps++) {
        for (int i = 0; i < 3; i++) {
            tell(fds[i], "x\n");
            await(&d, FL_MESSAGES);
            op1(&d, FL_LATER, steps + 1);
        }
        d.count = 0;
        size_t told = d.told[FL_NOTICES], files = d.told[FL_FILES];
        for (int i = 0; i < 3; i++) {
            say_wrong_commands(ids[0]);
            op_text(&d, FL_FILL, ids[i], steps + 1, i == 0 ? "A" : i == 1 ? "B" : "C");
            op_text(&d, FL_SEND, ids[i], 0, "own");
        }
        CHECK_INT(steps == 0 ? turn(&d, 0) : flush(&d), steps == 0);
        for (int i = 0; i < 3; i++)
            expect(&d, fds[i], said[i]);
        while (d.told[FL_NOTICES] == told)
            await(&d, FL_NOTICES);
        CHECK_INT(d.told[FL_FILES] - files, 3); /* who waits for a file hears of it */
    }
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    finish(&d);
}

/* The same between the replies of one batch. */
static void pairs_replies_around_wrong_commands(const char *backend)
{
    if (!start(&d, backend, &usual))
        return;
    int64_t id;
    int fd = join(&d, &id);
    for (int steps = 0; steps < 2; steps++) {
        tell(fd, "a\nb\nc\n");
        await(&d, FL_MESSAGES);
        if (!CHECK_INT((long long)d.count, 3))
            break;
        d.count = 0;
        reply(&d, "A");
        say_wrong_commands(id);
        CHECK_INT(steps == 0 ? 0 : flush(&d), 0);
        reply(&d, "B");
        say_wrong_commands(id);
        reply(&d, "C");
        CHECK(turn(&d, 0) >= 0);
        expect(&d, fd, "A\nB\nC\n");
    }
    close(fd);
    finish(&d);
}

/* As many messages as may be unanswered, and none of the replies says anything. */
static void goes_on_after_silence(const char *backend)
{
    enum { WINDOW = 64 };
    static char many[2 * WINDOW + 1];
    if (!start(&d, backend, &usual))
        return;
    int64_t id;
    int fd = join(&d, &id);
    for (int i = 0; i < WINDOW; i++)
        memcpy(many + 2 * (size_t)i, "x\n", 3);
    tell(fd, many);
    await(&d, FL_MESSAGES);
    CHECK_INT(d.told[FL_MESSAGES], WINDOW);
    op_text(&d, FL_SEND, id, 0, "hello"); /* now its wishes are looked at */
    CHECK_INT(flush(&d), 0);
    for (int i = 0; i < WINDOW; i++)
        op0(&d, FL_NOTHING);
    CHECK_INT(flush(&d), 0);
    expect(&d, fd, "hello\n");
    tell(fd, "again\n");
    expect(&d, fd, "again\n");
    close(fd);
    finish(&d);
}

int main(void)
{
    ON_EACH_BACKEND(echoes);
    ON_EACH_BACKEND(asks_many_at_once);
    ON_EACH_BACKEND(fills_holes_in_any_order);
    ON_EACH_BACKEND(says_a_last_word);
    ON_EACH_BACKEND(fills_a_last_word);
    ON_EACH_BACKEND(says_a_last_word_behind_a_hole);
    ON_EACH_BACKEND(survives_handlers_that_fail);
    ON_EACH_BACKEND(refuses_a_value);
    ON_EACH_BACKEND(casts_to_many);
    ON_EACH_BACKEND(closes_and_resets);
    ON_EACH_BACKEND(pauses);
    ON_EACH_BACKEND(keeps_time);
    ON_EACH_BACKEND(answers_a_half_closed_peer);
    ON_EACH_BACKEND(sends_between_slices);
    ON_EACH_BACKEND(leaves_out_wrong_commands);
    ON_EACH_BACKEND(pairs_replies_around_wrong_commands);
    ON_EACH_BACKEND(goes_on_after_silence);
    return t_end();
}
