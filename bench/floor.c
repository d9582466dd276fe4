/* floor.c -- the floor: the least a server on epoll can cost, to be the yardstick of others.
 *
 * It does what fastloop does for an echo or for a request of HTTP, with the answer made in C
 * instead of in Python: a wait, a read into one scratch buffer, framing in place, one send for each
 * connection that was ready. It prints "listening PORT" and serves until it is killed.
 *
 *     floor PORT raw|line         echo
 *     floor PORT http TYPE BODY   the same response to every request; requests have no body
 *     floor PORT post             what a request's Content-Length announces comes back
 *     floor PORT ws               echo of WebSocket's messages, each in one frame, behind a
 * handshake
 *
 * Of a request only the empty line at its end is looked for (and, for post, Content-Length): that
 * is less than a server must do, so the floor of HTTP lies below what can be reached. The bytes of
 * a response are those that fastloop sends, with the date of the start.
 *
 * Workload: short messages, answers that fit in the socket buffer. So an idle connection owns no
 * memory but its struct, and memory is allocated only for an incomplete message or an unsent
 * answer.
 *
 * Invariants: a connection is watched either for reading or, while an answer waits, for writing,
 * never both; there is one thread. A program, not a library: what cannot go on exits. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    SCRATCH = 65536,   /* bytes read at once: also the longest message */
    ANSWERS = 1 << 20, /* bytes of all answers to one read */
    HEAD = 512,        /* of a response */
    EVENTS = 512,      /* of one wait */
    ACCEPTS = 64,      /* of one turn, so that a flood of connections does not starve the others */
    BACKLOG = 1024,
    MAX_FD = 1 << 20,
};

/* Bytes that outlive a turn; data is NULL when there are none. */
struct kept {
    char *data;
    size_t len;
};

struct conn {
    struct kept tail;   /* of a message that is not complete */
    struct kept unsent; /* what the kernel did not take */
};

/* With the key of RFC 6455, section 1.3, which the load generator has. */
static const char handshake[] = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n"
                                "connection: upgrade\r\n"
                                "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

struct floor;

/* Answers every complete message of the n bytes in f->in, in f->out. Returns how many bytes those
 * were; *made is how many came out. */
typedef size_t framer(struct floor *f, size_t n, size_t *made);

struct floor {
    int epoll;
    int listener;
    framer *frame; /* NULL: what comes is sent back */
    size_t head_len, answer_len;
    char answer[2 * HEAD]; /* of HTTP: a head, and a body if all have the same */
    struct conn *conns;    /* indexed by descriptor */
    size_t capacity;
    char in[2 * SCRATCH]; /* a tail and what is read behind it */
    char out[ANSWERS];
};

static void die(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void drop(struct kept *k)
{
    free(k->data);
    *k = (struct kept){0};
}

/* Replaces what is kept by a copy of these bytes, which may be a part of it. */
static void keep(struct kept *k, const char *data, size_t len)
{
    char *copy = NULL;
    if (len > 0) {
        copy = malloc(len);
        if (copy == NULL)
            die("malloc");
        memcpy(copy, data, len);
    }
    free(k->data);
    *k = (struct kept){copy, len};
}

static void watch(struct floor *f, int op, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(f->epoll, op, fd, &event) < 0)
        die("epoll_ctl");
}

static void hang_up(struct floor *f, int fd)
{
    drop(&f->conns[fd].tail);
    drop(&f->conns[fd].unsent);
    close(fd);
}

/* Sends what the kernel takes and keeps the rest. Returns false if the connection is gone. */
static bool answer(struct floor *f, int fd, const char *data, size_t len)
{
    struct kept *unsent = &f->conns[fd].unsent;
    bool waited = unsent->data != NULL;
    ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        hang_up(f, fd);
        return false;
    }
    if (sent < 0)
        sent = 0;
    keep(unsent, data + sent, len - (size_t)sent);
    if (waited != (unsent->data != NULL))
        watch(f, EPOLL_CTL_MOD, fd, unsent->data != NULL ? EPOLLOUT : EPOLLIN);
    return true;
}

/* A framer: a line comes back without its CR and with its LF. */
static size_t frame_lines(struct floor *f, size_t n, size_t *made)
{
    char *at = f->in, *end = f->in + n, *to = f->out, *newline;
    while ((newline = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        size_t len = (size_t)(newline - at);
        if (len > 0 && at[len - 1] == '\r')
            len--;
        memcpy(to, at, len);
        to[len] = '\n';
        to += len + 1;
        at = newline + 1;
    }
    *made = (size_t)(to - f->out);
    return (size_t)(at - f->in);
}

/* A framer: an empty line ends a request, and every request has the same answer. */
static size_t frame_requests(struct floor *f, size_t n, size_t *made)
{
    char *at = f->in, *end = f->in + n, *to = f->out, *blank;
    while ((blank = memmem(at, (size_t)(end - at), "\r\n\r\n", 4)) != NULL) {
        if ((size_t)(f->out + ANSWERS - to) < f->answer_len)
            break; /* no client of the benchmark asks for that much at once */
        memcpy(to, f->answer, f->answer_len);
        to += f->answer_len;
        at = blank + 4;
    }
    *made = (size_t)(to - f->out);
    return (size_t)(at - f->in);
}

/* The Content-Length of a head that ends at `blank`; 0 if it has none. */
static size_t content_length(const char *head, const char *blank)
{
    static const char name[] = "\r\nContent-Length:";
    while (head < blank && (head = memchr(head, '\r', (size_t)(blank - head))) != NULL) {
        if (strncasecmp(head, name, sizeof name - 1) == 0)
            return strtoul(head + sizeof name - 1, NULL, 10);
        head++;
    }
    return 0;
}

/* A framer: the body of a request is that of its answer. */
static size_t frame_posts(struct floor *f, size_t n, size_t *made)
{
    char *at = f->in, *end = f->in + n, *to = f->out, *blank;
    while ((blank = memmem(at, (size_t)(end - at), "\r\n\r\n", 4)) != NULL) {
        size_t len = content_length(at, blank);
        char *body = blank + 4;
        if ((size_t)(end - body) < len || (size_t)(f->out + ANSWERS - to) < 2 * HEAD + len)
            break;
        memcpy(to, f->answer, f->head_len);
        to += f->head_len;
        to += sprintf(to, "content-length: %zu\r\n\r\n", len);
        memcpy(to, body, len);
        to += len;
        at = body + len;
    }
    *made = (size_t)(to - f->out);
    return (size_t)(at - f->in);
}

/* Writes a masked payload as it was before; the mask repeats every 4 bytes. */
static void unmask(char *to, const char *from, size_t len, const char *mask)
{
    uint64_t word, key;
    size_t i = 0;
    memcpy(&key, mask, 4);
    memcpy((char *)&key + 4, mask, 4);
    for (; i + 8 <= len; i += 8) {
        memcpy(&word, from + i, 8);
        word ^= key;
        memcpy(to + i, &word, 8);
    }
    for (; i < len; i++)
        to[i] = (char)(from[i] ^ mask[i % 4]);
}

/* The frame at `at`, if all of it is there: its length, with *head that of its header and mask; 0
 * if it is not. Shorter than 64 KiB. */
static size_t frame_length(const char *at, size_t n, size_t *head)
{
    size_t code = n < 2 ? 0 : (unsigned char)at[1] & 127;
    *head = code == 126 ? 8 : 6;
    if (n < *head)
        return 0;
    size_t len = code == 126 ? (size_t)(unsigned char)at[2] << 8 | (unsigned char)at[3] : code;
    return n < *head + len ? 0 : *head + len;
}

/* A framer: messages of WebSocket come back; a request, which no frame looks like, is the
 * handshake. */
static size_t frame_web_socket(struct floor *f, size_t n, size_t *made)
{
    char *at = f->in, *end = f->in + n, *to = f->out, *blank;
    size_t head, len;
    if (n > 0 && *at == 'G' && (blank = memmem(at, n, "\r\n\r\n", 4)) != NULL) {
        memcpy(to, f->answer, f->answer_len);
        to += f->answer_len;
        at = blank + 4;
    }
    while (at < end && *at != 'G' && (len = frame_length(at, (size_t)(end - at), &head)) > 0) {
        size_t plain = head - 4;
        memcpy(to, at, plain);
        to[1] = (char)(to[1] & 127);
        unmask(to + plain, at + head, len - head, at + plain);
        to += plain + len - head;
        at += len;
    }
    *made = (size_t)(to - f->out);
    return (size_t)(at - f->in);
}

static void echo_messages(struct floor *f, int fd, size_t n)
{
    size_t made, used = f->frame(f, n, &made);
    struct kept *tail = &f->conns[fd].tail;
    if (n - used > SCRATCH) {
        hang_up(f, fd);
        return;
    }
    if (tail->data != NULL || n > used)
        keep(tail, f->in + used, n - used);
    if (made > 0)
        answer(f, fd, f->out, made);
}

static void on_readable(struct floor *f, int fd)
{
    struct kept *tail = &f->conns[fd].tail;
    if (tail->len > 0)
        memcpy(f->in, tail->data, tail->len);
    ssize_t n = recv(fd, f->in + tail->len, SCRATCH, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        hang_up(f, fd);
    else if (f->frame != NULL)
        echo_messages(f, fd, tail->len + (size_t)n);
    else
        answer(f, fd, f->in, (size_t)n);
}

static void on_writable(struct floor *f, int fd)
{
    const struct kept unsent = f->conns[fd].unsent;
    answer(f, fd, unsent.data, unsent.len);
}

/* Makes room in the table for a descriptor. */
static void make_room(struct floor *f, int fd)
{
    if ((size_t)fd < f->capacity)
        return;
    size_t capacity = f->capacity > 0 ? f->capacity : 64;
    while (capacity <= (size_t)fd && capacity < MAX_FD)
        capacity *= 2;
    f->conns = realloc(f->conns, capacity * sizeof *f->conns);
    if (f->conns == NULL || (size_t)fd >= capacity)
        die("too many connections");
    memset(f->conns + f->capacity, 0, (capacity - f->capacity) * sizeof *f->conns);
    f->capacity = capacity;
}

static void accept_some(struct floor *f)
{
    for (int i = 0; i < ACCEPTS; i++) {
        int fd = accept4(f->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        make_room(f, fd);
        watch(f, EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* inherited by what is accepted */
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, BACKLOG) < 0)
        die("listen");
    return fd;
}

static void serve(struct floor *f)
{
    struct epoll_event events[EVENTS];
    for (;;) {
        int n = epoll_wait(f->epoll, events, EVENTS, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == f->listener)
                accept_some(f);
            else if (f->conns[fd].unsent.data != NULL)
                on_writable(f, fd);
            else
                on_readable(f, fd);
        }
    }
}

/* Lays out what responses have in common; with a body, that is all. */
static void compose(struct floor *f, const char *type, const char *body)
{
    char date[64];
    time_t now = time(NULL);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime(&now));
    int n = snprintf(f->answer, HEAD, "HTTP/1.1 200 OK\r\ndate: %s\r\ncontent-type: %s\r\n", date,
                     type);
    f->head_len = (size_t)n;
    if (body != NULL)
        n += snprintf(f->answer + n, HEAD, "content-length: %zu\r\n\r\n%s", strlen(body), body);
    f->answer_len = (size_t)n;
    if (f->head_len >= HEAD || f->answer_len >= f->head_len + HEAD)
        die("the answer is too long");
}

/* Returns false if the arguments are not understood. */
static bool parse(struct floor *f, int argc, char **argv)
{
    const char *mode = argc > 2 ? argv[2] : "";
    if (argc == 5 && strcmp(mode, "http") == 0) {
        f->frame = frame_requests;
        compose(f, argv[3], argv[4]);
    } else if (argc == 3 && strcmp(mode, "post") == 0) {
        f->frame = frame_posts;
        compose(f, "application/octet-stream", NULL);
    } else if (argc == 3 && strcmp(mode, "ws") == 0) {
        f->frame = frame_web_socket;
        f->answer_len = (size_t)sprintf(f->answer, "%s", handshake);
    } else if (argc == 3 && strcmp(mode, "line") == 0) {
        f->frame = frame_lines;
    } else {
        return argc == 3 && strcmp(mode, "raw") == 0;
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct floor f; /* zeroed, and too large for a stack */
    if (!parse(&f, argc, argv)) {
        fprintf(stderr, "usage: floor PORT raw|line|post|ws    or: floor PORT http TYPE BODY\n");
        return 2;
    }
    f.listener = listen_on((uint16_t)atoi(argv[1]));
    f.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (f.epoll < 0)
        die("epoll_create1");
    watch(&f, EPOLL_CTL_ADD, f.listener, EPOLLIN);
    printf("listening %s\n", argv[1]);
    fflush(stdout);
    serve(&f);
}
