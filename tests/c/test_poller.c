/* test_poller.c -- every test on every backend that this platform has: they must all mean the same.
 * Nothing here depends on how fast the machine is: what is waited for has happened already, or is
 * repeated until it does. */
#include "poller.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "fastloop.h"
#include "t.h"

enum { MAX = 64 };

/* A poller and a pair of connected sockets: `ours` is watched, `peer` is played with. */
struct rig {
    struct poller p;
    struct poller_event events[MAX];
    int ours, peer;
};

static bool rig_open(struct rig *r, const char *backend)
{
    int ends[2];
    if (!CHECK_INT(poller_open(&r->p, backend), 0) ||
        !CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0))
        return false;
    r->ours = ends[0];
    r->peer = ends[1];
    return true;
}

static void rig_close(struct rig *r)
{
    close(r->ours);
    close(r->peer);
    r->p.ops->close(&r->p);
    CHECK(r->p.state == NULL);
}

static int set(struct rig *r, int fd, unsigned old, unsigned want, uint64_t tag)
{
    return r->p.ops->set(&r->p, fd, old, want, tag);
}

/* What is said of this tag now, all events of it together. */
static unsigned ready(struct rig *r, uint64_t tag)
{
    unsigned what = 0;
    int n = r->p.ops->wait(&r->p, r->events, MAX, 0);
    CHECK(n >= 0);
    for (int i = 0; i < n; i++)
        if (CHECK(r->events[i].tag == tag))
            what |= r->events[i].what;
    return what;
}

static void say(int fd)
{
    CHECK_INT(write(fd, "x", 1), 1);
}

static void hear(int fd)
{
    char c;
    CHECK_INT(read(fd, &c, 1), 1);
}

static void test_readiness(struct rig *r)
{
    CHECK_INT(ready(r, 1), 0); /* nothing is watched */
    CHECK_INT(set(r, r->ours, 0, IO_READ, 1), 0);
    CHECK_INT(ready(r, 1), 0);
    say(r->peer);
    CHECK_INT(ready(r, 1), IO_READ);
    CHECK_INT(ready(r, 1), IO_READ); /* level-triggered: as long as it is there */
    CHECK_INT(r->p.ops->wait(&r->p, r->events, MAX, -1), 1);
    hear(r->ours);
    CHECK_INT(ready(r, 1), 0);
    CHECK_INT(r->p.ops->wait(&r->p, r->events, MAX, 10), 0); /* the timeout ends */
}

static void test_transitions(struct rig *r)
{
    static const unsigned wants[] = {0, IO_READ, IO_WRITE, IO_READ | IO_WRITE};
    say(r->peer); /* ready both ways: what is reported is what was asked */
    for (size_t i = 0; i < countof(wants); i++) {
        for (size_t j = 0; j < countof(wants); j++) {
            CHECK_INT(set(r, r->ours, 0, wants[i], 5), 0);
            CHECK_INT(ready(r, 5), wants[i]);
            CHECK_INT(set(r, r->ours, wants[i], wants[j], 6), 0);
            CHECK_INT(ready(r, 6), wants[j]);
            CHECK_INT(set(r, r->ours, wants[j], 0, 6), 0);
            CHECK_INT(ready(r, 6), 0);
        }
    }
}

static void test_tag(struct rig *r)
{
    uint64_t wide = UINT64_C(0xFEDCBA9876543210); /* all 64 bits */
    say(r->peer);
    CHECK_INT(set(r, r->ours, 0, IO_READ, wide), 0);
    CHECK_INT(ready(r, wide), IO_READ);
    CHECK_INT(set(r, r->ours, IO_READ, IO_READ, 0), 0); /* only the tag changes */
    CHECK_INT(ready(r, 0), IO_READ);
}

static void test_full_socket(struct rig *r)
{
    static char block[65536];
    CHECK_INT(fcntl(r->ours, F_SETFL, O_NONBLOCK), 0);
    CHECK_INT(fcntl(r->peer, F_SETFL, O_NONBLOCK), 0);
    CHECK_INT(set(r, r->ours, 0, IO_READ | IO_WRITE, 1), 0);
    CHECK_INT(ready(r, 1), IO_WRITE);
    while (write(r->ours, block, sizeof(block)) > 0)
        ;
    CHECK_INT(ready(r, 1), 0);
    while (read(r->peer, block, sizeof(block)) > 0)
        ;
    CHECK_INT(ready(r, 1), IO_WRITE);
}

static void test_removal(struct rig *r)
{
    CHECK_INT(set(r, r->ours, 0, 0, 1), 0); /* from nothing to nothing */
    say(r->peer);
    say(r->ours);
    CHECK_INT(set(r, r->ours, 0, IO_READ, 1), 0);
    CHECK_INT(set(r, r->peer, 0, IO_READ, 2), 0);
    CHECK_INT(r->p.ops->wait(&r->p, r->events, MAX, 0), 2);
    CHECK_INT(set(r, r->ours, IO_READ, 0, 1), 0); /* the first of two: the other one stays */
    CHECK_INT(ready(r, 2), IO_READ);
    CHECK_INT(set(r, r->ours, 0, IO_READ, 3), 0);
    CHECK_INT(set(r, r->peer, IO_READ, 0, 2), 0);
    CHECK_INT(ready(r, 3), IO_READ);
    CHECK_INT(set(r, r->ours, IO_READ, 0, 3), 0);
    CHECK_INT(set(r, r->ours, IO_READ, 0, 3), 0); /* twice */
    CHECK_INT(ready(r, 0), 0);
}

static void test_hang_up(struct rig *r)
{
    CHECK_INT(set(r, r->ours, 0, IO_READ, 1), 0);
    say(r->peer);
    close(r->peer);
    CHECK(ready(r, 1) & IO_READ);
    hear(r->ours); /* what was said before it is still there */
    CHECK(ready(r, 1) & IO_READ);
    char c;
    CHECK_INT(read(r->ours, &c, 1), 0);
    CHECK_INT(set(r, r->ours, IO_READ, IO_WRITE, 1), 0);
    CHECK(ready(r, 1) & IO_WRITE); /* a writer finds out too */
    r->peer = dup(r->ours);
}

static void test_half_close(struct rig *r)
{
    CHECK_INT(set(r, r->ours, 0, IO_READ | IO_WRITE, 1), 0);
    CHECK_INT(shutdown(r->peer, SHUT_WR), 0);
    CHECK_INT(ready(r, 1), IO_READ | IO_WRITE);
    CHECK_INT(set(r, r->ours, IO_READ | IO_WRITE, 0, 1), 0);
    CHECK_INT(ready(r, 1), 0); /* who wants nothing hears nothing, so nothing spins */
}

/* The end of a pipe is a bare hang-up or error on Linux, with no word of reading or writing. */
static void test_pipe(struct rig *r)
{
    static char block[4096];
    int ends[2];
    if (!CHECK_INT(pipe(ends), 0))
        return;
    CHECK_INT(set(r, ends[0], 0, IO_READ, 1), 0);
    CHECK_INT(ready(r, 1), 0);
    close(ends[1]);
    CHECK(ready(r, 1) & IO_READ);
    CHECK_INT(set(r, ends[0], IO_READ, 0, 1), 0);
    close(ends[0]);

    if (!CHECK_INT(pipe(ends), 0))
        return;
    CHECK_INT(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    while (write(ends[1], block, sizeof(block)) > 0)
        ;
    CHECK_INT(set(r, ends[1], 0, IO_WRITE, 2), 0);
    CHECK_INT(ready(r, 2), 0);
    close(ends[0]);
    CHECK(ready(r, 2) & IO_WRITE);
    CHECK_INT(set(r, ends[1], IO_WRITE, 0, 2), 0);
    close(ends[1]);
}

/* Closed without being taken out. A kernel that keeps the set forgets it; where we keep the set it
 * is reported, so that its owner finds out. Either way the wait works, and so do the others. */
static void test_closed(struct rig *r)
{
    bool kernel_set = r->p.ops->fileno(&r->p) >= 0;
    int gone = dup(r->peer);
    say(r->peer);
    CHECK_INT(set(r, gone, 0, IO_READ | IO_WRITE, 9), 0);
    CHECK_INT(set(r, r->ours, 0, IO_READ, 1), 0);
    close(gone);
    close(r->peer); /* the file of `gone` has no descriptor left */

    bool reported = false;
    int n = r->p.ops->wait(&r->p, r->events, MAX, -1);
    CHECK(n > 0); /* one at least; on select() the closed ones come first and alone */
    for (int i = 0; i < n; i++) {
        reported = reported || r->events[i].tag == 9;
        CHECK(r->events[i].what != 0);
    }
    CHECK(reported == !kernel_set);
    CHECK_INT(set(r, gone, IO_READ | IO_WRITE, 0, 9), 0);
    CHECK(ready(r, 1) & IO_READ);

    r->peer = dup(r->ours); /* the lowest number that is free: `gone` or the old peer */
    CHECK_INT(set(r, r->ours, IO_READ, 0, 1), 0);
    CHECK_INT(set(r, r->peer, 0, IO_WRITE, 4), 0);
    CHECK(ready(r, 4) & IO_WRITE);
}

static void test_bad_descriptor(struct rig *r)
{
    CHECK_INT(set(r, -1, 0, IO_READ, 1), -EBADF);
}

/* 40 are ready and 7 are asked for: all have had a turn after a few waits, also while one of them
 * comes and goes. */
static void test_fairness(struct rig *r)
{
    enum { READY = 40, ASKED = 7, WAITS = 16 };
    int fds[READY];
    int turns[READY] = {0};
    say(r->peer);
    for (int i = 0; i < READY; i++) {
        fds[i] = dup(r->ours);
        CHECK_INT(set(r, fds[i], 0, IO_READ, (uint64_t)i), 0);
    }
    for (int round = 0; round < WAITS; round++) {
        CHECK_INT(r->p.ops->wait(&r->p, r->events, ASKED, 0), ASKED);
        for (int i = 0; i < ASKED; i++)
            turns[r->events[i].tag]++;
        CHECK_INT(set(r, fds[3], IO_READ, 0, 3), 0);
        CHECK_INT(set(r, fds[3], 0, IO_READ, 3), 0);
    }
    for (int i = 0; i < READY; i++) {
        if (i != 3)
            CHECK(turns[i] >= 1);
        CHECK_INT(set(r, fds[i], IO_READ, 0, 0), 0);
        close(fds[i]);
    }
    CHECK_INT(ready(r, 0), 0);
}

static void test_many(struct rig *r)
{
    enum { MANY = 300 };
    int fds[MANY];
    for (int i = 0; i < MANY; i++) {
        fds[i] = dup(r->ours);
        CHECK_INT(set(r, fds[i], 0, IO_READ, (uint64_t)i), 0);
    }
    for (int i = 0; i < MANY; i += 2) /* half of them, in the middle of the rest */
        CHECK_INT(set(r, fds[i], IO_READ, 0, 0), 0);
    say(r->peer);
    bool seen[MANY] = {false};
    for (int round = 0; round < 2 * MANY / MAX; round++) {
        int n = r->p.ops->wait(&r->p, r->events, MAX, 0);
        for (int i = 0; i < n; i++)
            seen[r->events[i].tag] = true;
    }
    for (int i = 0; i < MANY; i++) {
        CHECK(seen[i] == (i % 2 == 1));
        CHECK_INT(set(r, fds[i], IO_READ, 0, 0), 0);
        close(fds[i]);
    }
}

static void test_large_number(struct rig *r)
{
    struct rlimit limit;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t enough = FD_SETSIZE + 64;
    if (limit.rlim_cur < enough) {
        limit.rlim_cur = enough;
        if (!CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0))
            return;
    }
    int large = fcntl(r->ours, F_DUPFD, FD_SETSIZE);
    if (!CHECK(large >= FD_SETSIZE))
        return;
    say(r->peer);
    bool is_select = strcmp(r->p.ops->name, "select") == 0;
    CHECK_INT(set(r, large, 0, IO_READ, 8), is_select ? FL_EFDLIMIT : 0);
    CHECK_INT(ready(r, 8), is_select ? 0 : IO_READ);
    close(large);

    if (is_select) { /* the last one that fits */
        int last = fcntl(r->ours, F_DUPFD, FD_SETSIZE - 1);
        CHECK_INT(last, FD_SETSIZE - 1);
        CHECK_INT(set(r, last, 0, IO_READ, 8), 0);
        CHECK_INT(ready(r, 8), IO_READ);
        CHECK_INT(set(r, last, IO_READ, 0, 8), 0);
        close(last);
    }
}

static void ignore(int number)
{
    (void)number;
}

static void test_signal(struct rig *r)
{
    /* Repeated, so that one that comes before the wait does not leave it asleep. */
    struct sigaction action = {.sa_handler = ignore, .sa_flags = SA_RESTART}, before;
    struct itimerval often = {.it_interval = {.tv_usec = 2000}, .it_value = {.tv_usec = 2000}};
    struct itimerval never = {.it_value = {0}};
    CHECK_INT(sigaction(SIGALRM, &action, &before), 0);
    CHECK_INT(setitimer(ITIMER_REAL, &often, NULL), 0);
    CHECK_INT(set(r, r->ours, 0, IO_READ, 1), 0);
    CHECK_INT(r->p.ops->wait(&r->p, r->events, MAX, -1), -EINTR);
    CHECK_INT(setitimer(ITIMER_REAL, &never, NULL), 0);
    CHECK_INT(sigaction(SIGALRM, &before, NULL), 0);
    say(r->peer);
    CHECK_INT(ready(r, 1), IO_READ);
}

static void test_fileno(struct rig *r)
{
    struct pollfd outer = {.fd = r->p.ops->fileno(&r->p), .events = POLLIN};
    bool has_one = strcmp(r->p.ops->name, "epoll") == 0 || strcmp(r->p.ops->name, "kqueue") == 0;
    CHECK(has_one == (outer.fd >= 0));
    if (!has_one)
        return;
    CHECK(fcntl(outer.fd, F_GETFD) & FD_CLOEXEC);
    CHECK_INT(set(r, r->ours, 0, IO_READ, 1), 0);
    CHECK_INT(poll(&outer, 1, 0), 0);
    say(r->peer);
    CHECK_INT(poll(&outer, 1, 0), 1);
    hear(r->ours);
    CHECK_INT(poll(&outer, 1, 0), 0);
}

static void test_choice(void)
{
    struct poller p;
    CHECK_INT(poller_open(&p, "no such thing"), -ENOENT);
    CHECK_INT(poller_open(&p, ""), -ENOENT);
    CHECK_INT(poller_open(&p, "auto"), 0);
    CHECK(p.ops == poller_backends[0]);
    p.ops->close(&p);
}

#if defined(__linux__)
/* A duplicate keeps a closed descriptor in the epoll set; its number comes back as a new one. */
static void test_epoll_duplicate(struct rig *r)
{
    int fd = dup(r->ours);
    int other = dup(r->ours);
    CHECK_INT(set(r, fd, 0, IO_READ, 1), 0);
    close(fd);
    CHECK_INT(dup2(other, fd), fd);
    CHECK_INT(set(r, fd, 0, IO_READ, 2), 0); /* EEXIST inside */
    say(r->peer);
    CHECK_INT(ready(r, 2), IO_READ);
    close(fd);
    close(other);
}
#endif

static const struct {
    const char *name;
    void (*run)(struct rig *r);
} tests[] = {
    {"readiness", test_readiness},
    {"transitions", test_transitions},
    {"tag", test_tag},
    {"full socket", test_full_socket},
    {"removal", test_removal},
    {"hang-up", test_hang_up},
    {"half close", test_half_close},
    {"pipe", test_pipe},
    {"closed", test_closed},
    {"bad descriptor", test_bad_descriptor},
    {"fairness", test_fairness},
    {"many", test_many},
    {"large number", test_large_number},
    {"signal", test_signal},
    {"fileno", test_fileno},
};

static void run(const char *name, void (*test)(struct rig *r), const char *backend)
{
    struct rig r;
    int failed = t_failed;
    if (!rig_open(&r, backend))
        return;
    CHECK(strcmp(r.p.ops->name, backend) == 0);
    test(&r);
    rig_close(&r);
    if (t_failed != failed)
        fprintf(stderr, "^ in \"%s\" on %s\n", name, backend);
}

int main(void)
{
    test_choice();
    for (int b = 0; poller_backends[b]; b++)
        for (size_t i = 0; i < countof(tests); i++)
            run(tests[i].name, tests[i].run, poller_backends[b]->name);
#if defined(__linux__)
    run("duplicate", test_epoll_duplicate, "epoll");
#endif
    return t_end();
}
