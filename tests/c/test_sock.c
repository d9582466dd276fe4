/* test_sock.c -- the socket calls over the loopback interface and Unix sockets. What a test waits
 * for has been done by itself before, so nothing depends on the speed of the machine. */
#include "sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "t.h"

static bool is_non_blocking(int fd)
{
    return fcntl(fd, F_GETFL) & O_NONBLOCK;
}

static bool is_close_on_exec(int fd)
{
    return fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    CHECK_INT(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static int listen_on(int family)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(family, SOCK_STREAM, 0);
    int rc = family == AF_INET ? bind(fd, (struct sockaddr *)&v4, sizeof(v4))
                               : bind(fd, (struct sockaddr *)&v6, sizeof(v6));
    if (rc < 0 || listen(fd, 8) < 0) {
        close(fd);
        return -errno;
    }
    return fd;
}

static int connect_to(int listener)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    CHECK_INT(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    int fd = socket(address.ss_family, SOCK_STREAM, 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&address, len), 0);
    return fd;
}

static void wait_for(int fd, short events)
{
    struct pollfd one = {.fd = fd, .events = events};
    CHECK_INT(poll(&one, 1, 10000), 1);
}

/* A connection over the loopback interface: ours, accepted by the code under test, and the peer's.
 */
struct pair {
    int listener, ours, peer;
};

static bool pair_open(struct pair *p)
{
    p->listener = listen_on(AF_INET);
    if (!CHECK(p->listener >= 0) || !CHECK_INT(sock_adopt(p->listener), 1))
        return false;
    p->peer = connect_to(p->listener);
    wait_for(p->listener, POLLIN);
    p->ours = sock_accept(p->listener, true);
    return CHECK(p->ours >= 0);
}

static void pair_close(struct pair *p)
{
    close(p->ours);
    close(p->peer);
    close(p->listener);
}

static void test_accept(void)
{
    struct pair p;
    if (!pair_open(&p))
        return;
    CHECK(is_non_blocking(p.listener));
    CHECK(is_close_on_exec(p.listener));
    CHECK(is_non_blocking(p.ours));
    CHECK(is_close_on_exec(p.ours));
    CHECK(option(p.ours, IPPROTO_TCP, TCP_NODELAY) != 0);
    CHECK_INT(sock_accept(p.listener, true), -EAGAIN);
    CHECK_INT(sock_accept(-1, true), -EBADF);
    pair_close(&p);
}

static void test_adopt_refuses(void)
{
    int ends[2];
    CHECK_INT(sock_adopt(-1), -EBADF);
    if (!CHECK_INT(pipe(ends), 0))
        return;
    CHECK_INT(sock_adopt(ends[0]), -ENOTSOCK);
    close(ends[0]);
    close(ends[1]);
    int datagrams = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_INT(sock_adopt(datagrams), -EPROTOTYPE);
    close(datagrams);
}

static void test_read_and_send(void)
{
    struct pair p;
    char data[64];
    if (!pair_open(&p))
        return;
    CHECK_INT(sock_read(p.ours, data, sizeof(data)), -EAGAIN);
    CHECK_INT(send(p.peer, "hello", 5, 0), 5);
    wait_for(p.ours, POLLIN);
    CHECK_STR(data, (size_t)sock_read(p.ours, data, sizeof(data)), "hello");

    struct iovec iov[] = {{"one", 3}, {"", 0}, {" two", 4}};
    CHECK_INT(sock_send(p.ours, iov, 1), 3);
    CHECK_INT(sock_send(p.ours, iov, 3), 7);
    CHECK_INT(recv(p.peer, data, 10, MSG_WAITALL), 10);
    CHECK_STR(data, 10, "oneone two");

    CHECK_INT(shutdown(p.peer, SHUT_WR), 0);
    wait_for(p.ours, POLLIN);
    CHECK_INT(sock_read(p.ours, data, sizeof(data)), 0);
    CHECK_INT(sock_send(p.ours, iov, 1), 3); /* half-closed: the other way is open */
    sock_shutdown(p.ours);
    CHECK_INT(recv(p.peer, data, 3, MSG_WAITALL), 3);
    CHECK_INT(recv(p.peer, data, 1, 0), 0);
    pair_close(&p);
}

static void test_send_in_parts(void)
{
    struct pair p;
    static char block[1 << 20];
    struct iovec iov[2] = {{block, sizeof(block)}, {block, sizeof(block)}};
    if (!pair_open(&p))
        return;
    ssize_t sent, total = 0;
    while ((sent = sock_send(p.ours, iov, 2)) > 0)
        total += sent;
    CHECK_INT(sent, -EAGAIN);
    CHECK(total > 0);
    CHECK_INT(sock_send(p.ours, iov, 1), -EAGAIN);
    int held = sock_queued(p.ours);
    CHECK(held > 0 && held <= total); /* the peer has taken none of it */
    CHECK_INT(sock_queued(-1), -EBADF);
    sock_shutdown(p.ours);
    ssize_t heard, all = 0;
    while ((heard = recv(p.peer, block, sizeof(block), 0)) > 0)
        all += heard;
    CHECK_INT(heard, 0);
    CHECK_INT(all, total); /* what was said to be taken was taken */
    pair_close(&p);
}

static void test_more_spans_than_the_kernel_takes(void)
{
    enum { SPANS = 2000 };
    struct pair p;
    static struct iovec iov[SPANS];
    for (int i = 0; i < SPANS; i++)
        iov[i] = (struct iovec){"x", 1};
    if (!pair_open(&p))
        return;
    ssize_t sent = sock_send(p.ours, iov, SPANS);
    CHECK(sent > 0 && sent <= SPANS);
    pair_close(&p);
}

/* SIGPIPE keeps its default here, which would end this program. */
static void test_no_sigpipe(void)
{
    struct pair p;
    struct iovec iov[] = {{"one", 3}, {"two", 3}};
    if (!pair_open(&p))
        return;
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    sock_shutdown(p.ours);
    CHECK_INT(sock_send(p.ours, iov, 1), -EPIPE);
    CHECK_INT(sock_send(p.ours, iov, 2), -EPIPE);
    pair_close(&p);
}

/* A file without a name. */
static int file_of(const char *text)
{
    FILE *f = tmpfile();
    if (!CHECK(f != NULL) || !CHECK(fputs(text, f) >= 0))
        return -1;
    fflush(f);
    int fd = dup(fileno(f));
    fclose(f);
    return fd;
}

static void test_send_file(void)
{
    struct pair p;
    struct iovec head = {"head ", 5};
    char data[16];
    int file = file_of("0123456789");
    if (!pair_open(&p))
        return;
    CHECK_INT(sock_send_more(p.ours, &head, 1), 5);
    CHECK_INT(sock_send_file(p.ours, file, 2, 3), 3);
    CHECK_INT(sock_send_file(p.ours, file, 8, 100), 2); /* there are no more */
    CHECK_INT(sock_send_file(p.ours, file, 10, 1), 0);
    CHECK_INT(recv(p.peer, data, 10, MSG_WAITALL), 10);
    CHECK_STR(data, 10, "head 23489");
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    sock_shutdown(p.ours);
    CHECK_INT(sock_send_file(p.ours, file, 0, 1), -EPIPE); /* and no signal */
    close(file);
    pair_close(&p);
}

/* What has no pages to send is copied. */
static void test_send_file_without_pages(void)
{
#ifdef __linux__
    struct pair p;
    char sent[8], read_back[8];
    int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    if (!pair_open(&p))
        return;
    CHECK_INT(pread(file, read_back, 4, 0), 4);
    CHECK_INT(sock_send_file(p.ours, file, 0, 4), 4);
    CHECK_INT(recv(p.peer, sent, 4, MSG_WAITALL), 4);
    CHECK_MEM(sent, 4, read_back, 4);
    close(file);
    pair_close(&p);
#endif
}

static void test_close(void)
{
    struct pair p;
    char c;
    if (!pair_open(&p))
        return;
    sock_close(p.ours, false);
    CHECK_INT(recv(p.peer, &c, 1, 0), 0); /* an orderly end */
    close(p.peer);
    close(p.listener);

    if (!pair_open(&p))
        return;
    sock_close(p.ours, true);
    CHECK_INT(recv(p.peer, &c, 1, 0), -1);
    CHECK_INT(errno, ECONNRESET);
    close(p.peer);
    close(p.listener);

    if (!pair_open(&p)) /* and a reset that we get is an error code, no signal */
        return;
    sock_close(p.peer, true);
    wait_for(p.ours, POLLIN);
    CHECK_INT(sock_read(p.ours, &c, 1), -ECONNRESET);
    p.peer = dup(p.ours);
    pair_close(&p);
}

static void test_address(void)
{
    struct pair p;
    char own[64], peer[64], want[64];
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    if (!pair_open(&p))
        return;
    CHECK_INT(getsockname(p.peer, (struct sockaddr *)&a, &len), 0);
    int n = snprintf(want, sizeof(want), "127.0.0.1:%d", ntohs(a.sin_port));
    CHECK_INT(sock_address(p.ours, true, peer, sizeof(peer)), n);
    CHECK_MEM(peer, (size_t)n + 1, want, (size_t)n + 1);
    CHECK_INT(sock_address(p.peer, false, own, sizeof(own)), n);
    CHECK_MEM(own, (size_t)n + 1, want, (size_t)n + 1);
    CHECK_INT(sock_address(p.ours, true, own, (size_t)n + 1), n); /* just fits, NUL included */
    CHECK_INT(sock_address(p.ours, true, own, (size_t)n), -ENOSPC);
    CHECK_INT(sock_address(p.listener, true, own, sizeof(own)), -ENOTCONN);
    CHECK_INT(sock_address(-1, false, own, sizeof(own)), -EBADF);
    pair_close(&p);
}

static void test_address_v6(void)
{
    int listener = listen_on(AF_INET6);
    if (listener == -EAFNOSUPPORT || listener == -EADDRNOTAVAIL)
        return; /* a machine without IPv6 */
    char out[64], want[64];
    struct sockaddr_in6 a;
    socklen_t len = sizeof(a);
    CHECK_INT(sock_adopt(listener), 1);
    CHECK_INT(getsockname(listener, (struct sockaddr *)&a, &len), 0);
    int n = snprintf(want, sizeof(want), "[::1]:%d", ntohs(a.sin6_port));
    CHECK_INT(sock_address(listener, false, out, sizeof(out)), n);
    CHECK_MEM(out, (size_t)n, want, (size_t)n);
    close(listener);
}

static void test_unix(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char out[256], directory[] = "test_sock.XXXXXX"; /* where the test runs */
    if (!CHECK(mkdtemp(directory) != NULL))
        return;
    snprintf(a.sun_path, sizeof(a.sun_path), "%s/s", directory);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_INT(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
    CHECK_INT(listen(listener, 1), 0);
    CHECK_INT(sock_adopt(listener), 0); /* not TCP, and no error */
    CHECK_INT(sock_address(listener, false, out, sizeof(out)), (long long)strlen(a.sun_path));
    CHECK(strcmp(out, a.sun_path) == 0);

    int peer = connect_to(listener);
    wait_for(listener, POLLIN);
    int ours = sock_accept(listener, false);
    CHECK(ours >= 0);
    CHECK(is_non_blocking(ours));
    CHECK_INT(sock_address(ours, true, out, sizeof(out)), 0); /* unnamed */
    CHECK(strcmp(out, "") == 0);
    close(ours);
    close(peer);
    close(listener);
    unlink(a.sun_path);
    rmdir(directory);
}

#if defined(__linux__)
static void test_abstract_name(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char out[64], want[64];
    int n = snprintf(want, sizeof(want), "@fastloop-%ld", (long)getpid());
    memcpy(a.sun_path + 1, want + 1, (size_t)n - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n);
    CHECK_INT(bind(fd, (struct sockaddr *)&a, len), 0);
    CHECK_INT(sock_address(fd, false, out, sizeof(out)), n);
    CHECK(strcmp(out, want) == 0);
    close(fd);
}
#endif

static void test_pipe(void)
{
    int ends[2];
    char c;
    if (!CHECK_INT(sock_pipe(ends), 0))
        return;
    for (int i = 0; i < 2; i++) {
        CHECK(is_non_blocking(ends[i]));
        CHECK(is_close_on_exec(ends[i]));
    }
    CHECK(!sock_drain(ends[0], 'x')); /* empty: returns at once */
    for (int i = 0; i < 1500; i++)
        CHECK_INT(write(ends[1], "x", 1), 1);
    CHECK(!sock_drain(ends[0], 'x'));
    CHECK_INT(read(ends[0], &c, 1), -1);
    CHECK_INT(errno, EAGAIN);
    CHECK_INT(write(ends[1], "x\0x", 3), 3);
    CHECK(sock_drain(ends[0], 'x'));
    close(ends[1]);
    CHECK(!sock_drain(ends[0], 'x')); /* at its end: returns, too */
    close(ends[0]);
}

int main(void)
{
    test_accept();
    test_adopt_refuses();
    test_read_and_send();
    test_send_in_parts();
    test_more_spans_than_the_kernel_takes();
    test_no_sigpipe();
    test_send_file();
    test_send_file_without_pages();
    test_close();
    test_address();
    test_address_v6();
    test_unix();
#if defined(__linux__)
    test_abstract_name();
#endif
    test_pipe();
    return t_end();
}
