/* test_load.c -- the load generator against a peer that is the test itself. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "fastloop.h"
#include "oom.h"
#include "t.h"

enum { SIZE = 32 };

static fl_load_config config(const char *dialect)
{
    return (fl_load_config){.dialect = dialect, .connections = 4, .depth = 2, .size = SIZE};
}

static fl_load_config http(const char *answer, uint32_t size)
{
    fl_load_config c = config("http");
    c.ask = "GET / HTTP/1.1\r\n\r\n";
    c.ask_len = strlen(c.ask);
    c.answer = answer;
    c.answer_len = answer != NULL ? strlen(answer) : 0;
    c.size = size;
    return c;
}

static fl_load *open_load(const fl_load_config *c)
{
    int error = 1;
    fl_load *l = fl_load_open(c, &error);
    CHECK_INT(error, 0);
    return l;
}

/* Adds a connection; returns our end of it. */
static int add(fl_load *l)
{
    int ends[2];
    if (!CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0))
        return -1;
    CHECK_INT(fl_load_add(l, ends[0]), 0);
    return ends[1];
}

static void say(int fd, const char *text)
{
    CHECK_INT(write(fd, text, strlen(text)), (long long)strlen(text));
}

static uint64_t messages(fl_load *l)
{
    fl_load_stats stats;
    fl_load_read(l, &stats);
    return stats.messages;
}

/* Says something on a connection that asked twice, and expects this result. */
static void expect(const fl_load_config *c, const char *answer, int rc, uint64_t answered)
{
    fl_load *l = open_load(c);
    int fd = add(l);
    say(fd, answer);
    CHECK_INT(fl_load_run(l, 0, 0), rc);
    CHECK_INT(messages(l), answered);
    CHECK((strlen(fl_load_problem(l)) > 0) == (rc < 0));
    fl_load_free(l);
    close(fd);
}

/* What was asked comes back, one byte at a time; then it is asked again, with other stamps. */
static void test_echo(const char *dialect, size_t asked, size_t skipped)
{
    fl_load_config c = config(dialect);
    fl_load *l = open_load(&c);
    int fd = add(l);
    char first[512], second[512];
    CHECK_INT(read(fd, first, sizeof first), (long long)(2 * asked));
    for (size_t i = 0; i < 2 * asked; i++) {
        if (i % asked < skipped) /* RESP: the name of the command is not said back */
            continue;
        CHECK_INT(write(fd, first + i, 1), 1);
        CHECK_INT(fl_load_run(l, 0, 0), i < 2 * asked - 1 ? 1 : 0);
    }
    CHECK_INT(messages(l), 2);
    fl_load_reset(l);
    CHECK_INT(messages(l), 0);
    CHECK_INT(fl_load_ask(l), 0);
    CHECK_INT(read(fd, second, sizeof second), (long long)(2 * asked));
    CHECK(memcmp(first, second, 2 * asked) != 0);
    CHECK(memcmp(first, first + asked, asked) != 0);
    fl_load_free(l);
    close(fd);
}

static void test_wrong_echoes(void)
{
    fl_load_config c = config("line");
    expect(&c, "0000000000000000abcdefghijklmnop\n", 1, 1);
    expect(&c, "0000000000000001abcdefghijklmnop\n", FL_EPROTO, 0);
    expect(&c, "0000000000000000abcdefghijklmnoq\n", FL_EPROTO, 0);
    expect(&c,
           "0000000000000000abcdefghijklmnop\n0000000000000001abcdefghijklmnop\n"
           "0000000000000002abcdefghijklmnop\n",
           FL_EPROTO, 2);
}

static void test_same(void)
{
    fl_load_config c = config("same");
    c.ask = "hi";
    c.ask_len = 2;
    c.answer = "yes.";
    c.answer_len = 4;
    expect(&c, "yes.ye", 1, 1);
    expect(&c, "yes.yes.", 0, 2);
    expect(&c, "yes.yeS.", FL_EPROTO, 1);
    expect(&c, "yes.yes.y", FL_EPROTO, 2);
}

#define OK     "HTTP/1.1 200 OK\r\n"
#define COUNT2 OK "Content-Length: 2\r\n\r\nhi"
#define CHUNKS OK "Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n"

static void test_http(void)
{
    fl_load_config c = http("hi", 0);
    expect(&c, COUNT2 COUNT2, 0, 2);
    expect(&c, COUNT2 CHUNKS, 0, 2);
    expect(&c, CHUNKS "HTTP/1.1 2", 1, 1);
    expect(&c, COUNT2 COUNT2 OK, FL_EPROTO, 2);
    expect(&c, OK "Content-Length: 2\r\n\r\nho", FL_EPROTO, 0);
    expect(&c, OK "Content-Length: 3\r\n\r\nhi!", FL_EPROTO, 0);
    expect(&c, OK "Content-Length: 1\r\n\r\nh", FL_EPROTO, 0);
    expect(&c, OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", FL_EPROTO, 0);
    expect(&c, OK "\r\n", FL_EPROTO, 0);
    expect(&c, "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nhi", FL_EPROTO, 0);
    c = http(NULL, SIZE);
    expect(&c, OK "Content-Length: 32\r\n\r\n0000000000000000qrstuvwxyzabcdef", 1, 1);
    expect(&c, OK "Content-Length: 32\r\n\r\n0000000000000001qrstuvwxyzabcdef", FL_EPROTO, 0);
}

static void test_endless_head(void)
{
    static char head[10000];
    memset(head, 'x', sizeof head - 1);
    fl_load_config c = http("hi", 0);
    expect(&c, head, FL_EPROTO, 0);
}

#define GREETING "HTTP/1.1 101 Yes\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
#define ECHO                                                                                       \
    "\x82\x20"                                                                                     \
    "0000000000000002abcdefghijklmnop"

static fl_load_config ws(const char *dialect)
{
    fl_load_config c = config(dialect);
    c.ask = "GET / HTTP/1.1\r\n\r\n";
    c.ask_len = strlen(c.ask);
    return c;
}

/* Shakes hands on a connection. */
static void greet(fl_load *l, int fd)
{
    char head[64];
    ssize_t n = read(fd, head, sizeof head);
    CHECK_MEM(head, (size_t)n, "GET / HTTP/1.1\r\n\r\n", 18);
    CHECK(write(fd, GREETING, sizeof GREETING - 1) == sizeof GREETING - 1);
    CHECK(fl_load_run(l, 0, 0) >= 0);
}

/* Reads a masked message of 32 bytes, and returns it as a server would send it. */
static void unmasked(int fd, char to[34])
{
    char frame[38];
    if (!CHECK_INT(read(fd, frame, sizeof frame), sizeof frame))
        return;
    CHECK_MEM(frame, 2, "\x82\xa0", 2);
    memcpy(to, "\x82\x20", 2);
    for (int i = 0; i < 32; i++)
        to[2 + i] = (char)(frame[6 + i] ^ frame[2 + i % 4]);
}

static void test_ws(void)
{
    fl_load_config c = ws("ws");
    fl_load *l = open_load(&c);
    int fd = add(l);
    greet(l, fd);
    CHECK_INT(messages(l), 0);
    CHECK_INT(fl_load_ask(l), 0);
    char message[34];
    unmasked(fd, message);
    CHECK_MEM(message, sizeof message, ECHO, sizeof ECHO - 1);
    CHECK(write(fd, message, sizeof message) == sizeof message);
    unmasked(fd, message);
    CHECK(write(fd, message, 20) == 20);
    CHECK_INT(fl_load_run(l, 0, 0), 1);
    CHECK(write(fd, message + 20, sizeof message - 20) > 0);
    CHECK_INT(fl_load_run(l, 0, 0), 0);
    CHECK_INT(messages(l), 2);
    CHECK_INT(fl_load_ask(l), 0);
    CHECK(write(fd, ECHO, sizeof ECHO - 1) > 0); /* that was the one before */
    CHECK_INT(fl_load_run(l, 0, 0), FL_EPROTO);
    fl_load_free(l);
    close(fd);
    expect(&c, GREETING, 0, 0);
    expect(&c, "HTTP/1.1 101 Yes\r\n", 1, 0);
    expect(&c, "HTTP/1.1 101 Yes\r\n\r\n", FL_EPROTO, 0);
    expect(&c, "HTTP/1.1 200 OK\r\n\r\n", FL_EPROTO, 0);
    expect(&c, GREETING ECHO, FL_EPROTO, 0);
}

/* Nobody goes on before all have heard what the first one said. */
static void test_cast(void)
{
    fl_load_config c = ws("ws-cast");
    c.depth = 1;
    fl_load *l = open_load(&c);
    int first = add(l), second = add(l);
    greet(l, first);
    greet(l, second);
    for (int i = 1; i < 3; i++) {
        char message[34];
        CHECK_INT(fl_load_run(l, 0, 1), 2);
        unmasked(first, message);
        CHECK(message[2 + 15] == '0' + i);
        CHECK(write(first, message, sizeof message) > 0);
        CHECK_INT(fl_load_run(l, 0, 1), 1);
        CHECK(write(second, message, sizeof message) > 0);
    }
    CHECK_INT(fl_load_run(l, 0, 0), 0);
    CHECK_INT(messages(l), 4);
    fl_load_free(l);
    close(first);
    close(second);
}

/* Numbers that make no sense, and more connections than were announced. */
static void test_limits(void)
{
    int error;
    fl_load_config wrong[] = {config("no"),   config("line"), config("line"), config("raw"),
                              config("same"), http(NULL, 0),  config("ws")};
    wrong[1].depth = 0;
    wrong[2].connections = 0;
    wrong[3].size = 15;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK(fl_load_open(&wrong[i], &error) == NULL);
        CHECK_INT(error, -EINVAL);
    }
    fl_load_config c = config("raw");
    c.connections = 1;
    fl_load *l = open_load(&c);
    int ends[2], fd = add(l);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    CHECK_INT(fl_load_add(l, ends[0]), -ENOSPC);
    close(ends[1]);
    close(fd);
    CHECK_INT(fl_load_run(l, 0, 0), -ECONNRESET);
    CHECK(strstr(fl_load_problem(l), "connection 0") != NULL);
    fl_load_free(l);
}

/* More than the kernel takes at once: the rest of a batch follows as the peer reads. */
static void test_blocked(void)
{
    enum { LARGE = 4 << 20 };
    static char data[LARGE];
    fl_load_config c = config("raw");
    c.depth = 1;
    c.size = LARGE;
    fl_load *l = open_load(&c);
    int fd = add(l);
    size_t got = 0;
    while (got < LARGE) {
        ssize_t n = read(fd, data + got, LARGE - got);
        if (!CHECK(n > 0))
            break;
        got += (size_t)n;
        CHECK_INT(fl_load_run(l, 0, 0), 1);
    }
    CHECK_MEM(data + LARGE - 2, 2, data + LARGE - 2 - 26, 2);
    fl_load_free(l);
    close(fd);
}

static void test_oom(void)
{
    fl_load_config each[] = {config("line"), http("hi", 0), ws("ws")};
    for (int i = 0; i < 3; i++) {
        int error = -ENOMEM;
        fl_load *l = NULL;
        for (int n = 1; n < 50 && l == NULL; n++) {
            oom_arm(n);
            l = fl_load_open(&each[i], &error);
            oom_disarm();
            CHECK_INT(error, l == NULL ? -ENOMEM : 0);
        }
        if (CHECK(l != NULL))
            fl_load_free(l);
    }
}

int main(void)
{
    test_echo("raw", SIZE, 0);
    test_echo("line", SIZE + 1, 0);
    test_echo("resp", SIZE + 21, 14);
    test_wrong_echoes();
    test_same();
    test_http();
    test_endless_head();
    test_ws();
    test_cast();
    test_limits();
    test_blocked();
    test_oom();
    return t_end();
}
