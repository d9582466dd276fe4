/* load.c -- a load generator: asks, checks every byte of the answers, and measures.
 *
 *     load --port 7000 --connections 64 --size 64 --depth 16 --framing line --seconds 3
 *     load --port 7000 --framing http --path /1k.bin --expect 1k.bin
 *     load --port 7000 --idle 10000 --framing raw
 *
 * Closed loop: a connection sends `depth` messages at once and the next ones when all are answered,
 * as redis-benchmark does with -P. The latency of a message runs from the first byte of its batch
 * being handed to the kernel to its own last byte being read. Standard output gets the line
 * "measuring" when the warm-up is over, so that whoever started us can read the server's counters
 * at both ends of the same window, and one line of JSON at the end.
 *
 * With --idle, every connection exchanges one batch and is then held open until stdin ends; that
 * the server closed one of them is an error.
 *
 * What is said is the business of load_echo.c and load_http.c. A wrong answer ends the program with
 * status 1. One thread. A program, not a library: what cannot go on exits. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS = 256,    /* of one wait */
    PATIENCE_S = 30, /* how long to wait for any answer before giving up */
};

_Noreturn void load_die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

_Noreturn void load_wrong(const struct conn *c, const char *what)
{
    fprintf(stderr, "load: connection %u: wrong answer to message %llu: %s\n", c->number,
            (unsigned long long)(c->sequence + c->answered), what);
    exit(1);
}

void *load_allocate(size_t n)
{
    void *p = calloc(1, n > 0 ? n : 1);
    if (p == NULL)
        load_die("calloc");
    return p;
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* -- the histogram: exact below 128 ns, then PRECISION buckets for each power of two -- */

static void note(struct load *l, uint64_t ns)
{
    unsigned shift = ns < 2 * PRECISION ? 0 : 57u - (unsigned)__builtin_clzll(ns);
    size_t bucket = shift * PRECISION + (ns >> shift);
    l->histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    l->messages++;
    if (ns > l->slowest)
        l->slowest = ns;
}

/* The middle of the bucket that holds this share of all latencies, in microseconds. */
static double percentile(const struct load *l, double share)
{
    uint64_t below = 0, wanted = (uint64_t)(share * (double)l->messages);
    for (size_t i = 0; i < BUCKETS; i++) {
        below += l->histogram[i];
        if (below > wanted) {
            size_t shift = i < 2 * PRECISION ? 0 : i / PRECISION - 1;
            double low = (double)((uint64_t)(i - shift * PRECISION) << shift);
            return (low + (double)(1ull << shift) / 2) / 1000;
        }
    }
    return (double)l->slowest / 1000;
}

/* -- for the dialects -- */

void load_stamp(char *to, const struct conn *c, uint32_t i)
{
    uint64_t stamp = (uint64_t)c->number << 40 ^ (c->sequence + i);
    for (int at = STAMP - 1; at >= 0; at--, stamp >>= 4)
        to[at] = "0123456789abcdef"[stamp & 15];
}

void load_fill(char *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (char)('a' + i % 26);
}

void load_answered(struct load *l, struct conn *c, uint64_t now)
{
    c->got = 0;
    c->answered++;
    note(l, now - c->started);
}

/* -- connections -- */

static int connect_to(const struct options *o)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)o->port)};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (inet_pton(AF_INET, o->host, &address.sin_addr) != 1) {
        fprintf(stderr, "load: --host is an IPv4 address\n");
        exit(2);
    }
    if (fd < 0)
        load_die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        load_die("connect");
    return fd;
}

static void watch(struct load *l, int op, struct conn *c)
{
    struct epoll_event event = {.events = EPOLLIN | (c->waits ? EPOLLOUT : 0u), .data.ptr = c};
    if (epoll_ctl(l->epoll, op, c->fd, &event) < 0)
        load_die("epoll_ctl");
}

/* Sends what is left of the batch, as far as the kernel takes it. */
static void push(struct load *l, struct conn *c)
{
    size_t len = l->dialect->ask(l, c);
    ssize_t n = send(c->fd, l->batch + c->sent, len - c->sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN)
        load_die("send");
    if (n > 0)
        c->sent += (size_t)n;
    if (c->waits != (c->sent < len)) {
        c->waits = c->sent < len;
        watch(l, EPOLL_CTL_MOD, c);
    }
}

/* Keeps the n bytes at `data` for when more have come. */
static void keep(struct conn *c, const char *data, size_t n)
{
    free(c->kept);
    c->kept = NULL;
    c->kept_len = n;
    if (n > 0)
        c->kept = memcpy(load_allocate(n), data, n);
}

/* Reads once, and checks what came. Returns false if nothing did. */
static bool pull(struct load *l, struct conn *c)
{
    size_t had = c->kept_len;
    if (had > 0)
        memcpy(l->chunk, c->kept, had);
    ssize_t n = recv(c->fd, l->chunk + had, CHUNK, 0);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n < 0)
        load_die("recv");
    if (n == 0) {
        fprintf(stderr, "load: connection %u: closed by the server\n", c->number);
        exit(1);
    }
    size_t len = had + (size_t)n, used = l->dialect->check(l, c, l->chunk, len, now_ns());
    if (had > 0 || used < len)
        keep(c, l->chunk + used, len - used);
    return true;
}

static void begin(struct load *l, struct conn *c)
{
    c->sequence += c->answered;
    c->answered = 0;
    c->sent = 0;
    c->started = now_ns();
    push(l, c);
}

static void on_event(struct load *l, struct conn *c, uint32_t events)
{
    if (events & EPOLLOUT)
        push(l, c);
    if (!(events & ~(uint32_t)EPOLLOUT))
        return;
    if (!pull(l, c))
        return;
    if (c->answered == (uint32_t)l->options.depth)
        begin(l, c);
}

/* -- the two things this program does -- */

/* Serves events until a point in time. */
static void run_until(struct load *l, uint64_t end)
{
    struct epoll_event events[EVENTS];
    for (uint64_t now = now_ns(), heard = now; now < end; now = now_ns()) {
        int n = epoll_wait(l->epoll, events, EVENTS, (int)((end - now) / 1000000) + 1);
        if (n < 0 && errno != EINTR)
            load_die("epoll_wait");
        for (int i = 0; i < n; i++)
            on_event(l, events[i].data.ptr, events[i].events);
        if (n > 0)
            heard = now;
        else if (now - heard > PATIENCE_S * 1000000000ull) {
            fprintf(stderr, "load: no answer for %d seconds\n", PATIENCE_S);
            exit(1);
        }
    }
}

static void open_connections(struct load *l)
{
    for (uint32_t i = 0; i < (uint32_t)l->options.connections; i++) {
        struct conn *c = &l->conns[i];
        *c = (struct conn){.fd = connect_to(&l->options), .number = i};
        if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0)
            load_die("fcntl");
        watch(l, EPOLL_CTL_ADD, c);
    }
}

static void report(const struct load *l, double seconds)
{
    printf("{\"messages\": %llu, \"seconds\": %.6f, \"rps\": %.1f, \"p50_us\": %.2f, "
           "\"p99_us\": %.2f, \"p999_us\": %.2f, \"max_us\": %.2f}\n",
           (unsigned long long)l->messages, seconds, (double)l->messages / seconds,
           percentile(l, 0.5), percentile(l, 0.99), percentile(l, 0.999),
           (double)l->slowest / 1000);
    fflush(stdout);
}

static void measure(struct load *l)
{
    open_connections(l);
    for (long i = 0; i < l->options.connections; i++)
        begin(l, &l->conns[i]);
    run_until(l, now_ns() + (uint64_t)(l->options.warmup * 1e9));
    puts("measuring");
    fflush(stdout);
    l->messages = l->slowest = 0;
    memset(l->histogram, 0, sizeof l->histogram);
    uint64_t start = now_ns();
    run_until(l, start + (uint64_t)(l->options.seconds * 1e9));
    report(l, (double)(now_ns() - start) / 1e9);
}

/* One connection after the other, blocking, so that no backlog of the server can overflow. */
static void hold_idle(struct load *l)
{
    for (uint32_t i = 0; i < (uint32_t)l->options.connections; i++) {
        struct conn *c = &l->conns[i];
        *c = (struct conn){.fd = connect_to(&l->options), .number = i};
        size_t len = l->dialect->ask(l, c);
        if (send(c->fd, l->batch, len, MSG_NOSIGNAL) != (ssize_t)len)
            load_die("send");
        while (c->answered < (uint32_t)l->options.depth)
            if (!pull(l, c))
                load_die("no answer");
    }
    printf("{\"connections\": %ld, \"messages\": %llu}\n", l->options.connections,
           (unsigned long long)l->messages);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    for (uint32_t i = 0; i < (uint32_t)l->options.connections; i++)
        if (recv(l->conns[i].fd, l->chunk, CHUNK, MSG_DONTWAIT) >= 0 || errno != EAGAIN) {
            fprintf(stderr, "load: connection %u was not left idle by the server\n", i);
            exit(1);
        }
}

/* -- the command line -- */

static void prepare(struct load *l)
{
    const struct options *o = &l->options;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    l->dialect = strcmp(o->framing, "http") == 0 ? &dialect_http : &dialect_echo;
    l->dialect->init(l);
    l->conns = load_allocate((size_t)o->connections * sizeof *l->conns);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0)
        load_die("epoll_create1");
}

static void parse(struct options *o, int argc, char **argv)
{
    static const struct option names[] = {
        {"host", required_argument, NULL, 'h'},    {"port", required_argument, NULL, 'p'},
        {"size", required_argument, NULL, 's'},    {"connections", required_argument, NULL, 'c'},
        {"depth", required_argument, NULL, 'd'},   {"framing", required_argument, NULL, 'f'},
        {"seconds", required_argument, NULL, 't'}, {"warmup", required_argument, NULL, 'w'},
        {"idle", required_argument, NULL, 'i'},    {"path", required_argument, NULL, 'u'},
        {"expect", required_argument, NULL, 'e'},  {NULL, 0, NULL, 0},
    };
    bool valid = true;
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (c) {
        case 'h': o->host = optarg; break;
        case 'p': o->port = atol(optarg); break;
        case 's': o->size = atol(optarg); break;
        case 'c': o->connections = atol(optarg); break;
        case 'd': o->depth = atol(optarg); break;
        case 'f': o->framing = optarg; break;
        case 't': o->seconds = atof(optarg); break;
        case 'w': o->warmup = atof(optarg); break;
        case 'u': o->path = optarg; break;
        case 'e': o->expect = optarg; break;
        case 'i': o->idle = o->connections = atol(optarg); break;
        default: valid = false;
        }
    }
    if (o->size < 0)
        o->size = strcmp(o->framing, "http") == 0 ? 0 : 64;
    bool empty = o->size == 0 && strcmp(o->framing, "http") == 0 && o->expect != NULL;
    if (!valid || optind != argc || o->port <= 0 || o->port > 65535 || o->connections <= 0 ||
        o->depth <= 0 || (o->size < STAMP && !empty) || o->seconds <= 0) {
        fprintf(stderr, "usage: load --port N [--host 127.0.0.1] [--connections 64] [--size 64]\n"
                        "            [--depth 1] [--framing raw|line|resp|http] [--seconds 3]\n"
                        "            [--warmup 1] [--idle N] [--path /] [--expect FILE]\n"
                        "size: 16 bytes or more, or for http 0 (a GET, which needs --expect)\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    static struct load l; /* zeroed, and too large for a stack */
    l.options = (struct options){
        .host = "127.0.0.1",
        .framing = "raw",
        .connections = 64,
        .path = "/",
        .size = -1,
        .depth = 1,
        .seconds = 3,
        .warmup = 1,
    };
    parse(&l.options, argc, argv);
    prepare(&l);
    if (l.options.idle > 0)
        hold_idle(&l);
    else
        measure(&l);
    return 0;
}
