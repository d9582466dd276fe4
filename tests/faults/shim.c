/* shim.c -- makes system calls and allocations of a running program fail now and then.
 *
 * A library to be preloaded into a whole server (Linux with glibc):
 *
 *     cc -shared -fPIC -O2 -std=c11 -D_GNU_SOURCE -U_FORTIFY_SOURCE -o shim.so shim.c -ldl
 *     FASTLOOP_FAULTS=read:EINTR:7,send:short:3 LD_PRELOAD=./shim.so python -m fastloop ...
 *
 * FASTLOOP_FAULTS is a list, separated by commas, of rules call:fault:n. Every n-th call that a
 * rule is about is not made but fails; a rule counts its own calls, and the first one that is due
 * counts.
 *
 *     call        what it is about
 *     read        recv() and read() of sockets; files and pipes are left alone
 *     send        send() and sendmsg()
 *     sendfile    sendfile()
 *     pread       pread() and preadv2()
 *     accept4     accept4()
 *     epoll_wait, poll, select
 *     ring_setup  io_uring_setup(), made by syscall()
 *     ring_enter  io_uring_enter(); what a ring does is in the kernel and out of reach
 *     malloc      malloc(), calloc() and realloc() called from a library whose file name contains
 *                 "_core", so the interpreter's own allocations are left alone
 *
 *     fault       what happens
 *     EINTR ...   the call returns its failure with this errno (see `errors` below); malloc: NULL
 *     short       read, send, sendfile, pread: the call is made with half of the bytes, not none
 *
 * An n of 1 fails always: whoever repeats the call after EINTR then does so for ever.
 *
 * FASTLOOP_FAULTS_REPORT may name a file, to which each process appends at its exit one line
 * "call:fault:n calls fired" for each rule that met a call: a test can assert that its faults did
 * happen.
 *
 * A rule that is not understood ends the program at its start, with a word on stderr: a misspelt
 * fault would make a test pass. Any thread may call; the rules are read-only but for their
 * counters. */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum call {
    READ,
    SEND,
    SENDFILE,
    PREAD,
    ACCEPT4,
    EPOLL_WAIT,
    POLL,
    SELECT,
    RING_SETUP,
    RING_ENTER,
    MALLOC,
    CALLS
};

static const char *const calls[CALLS] = {"read",       "send",       "sendfile", "pread",
                                         "accept4",    "epoll_wait", "poll",     "select",
                                         "ring_setup", "ring_enter", "malloc"};

enum { NO_FAULT = 0, SHORT = -1, MAX_RULES = 32 };

static const struct {
    const char *name;
    int fault;
} errors[] = {
    {"short", SHORT},
    {"EINTR", EINTR},
    {"EAGAIN", EAGAIN},
    {"EMFILE", EMFILE},
    {"ENFILE", ENFILE},
    {"ECONNABORTED", ECONNABORTED},
    {"ECONNRESET", ECONNRESET},
    {"EPIPE", EPIPE},
    {"ETIMEDOUT", ETIMEDOUT},
    {"ENOBUFS", ENOBUFS},
    {"ENOMEM", ENOMEM},
    {"EPROTO", EPROTO},
    {"EIO", EIO},
    {"EPERM", EPERM},
    {"ENOSYS", ENOSYS},
    {"EBUSY", EBUSY},
};

struct rule {
    enum call call;
    int fault; /* an errno or SHORT */
    unsigned long every;
    atomic_ulong seen, fired;
    char text[64];
};

static struct rule rules[MAX_RULES];
static int rule_count;
static bool has_rule[CALLS];

/* -- the rules -- */

static void refuse(const char *text)
{
    fprintf(stderr, "FASTLOOP_FAULTS: not understood: %s\n", text);
    _exit(2);
}

static int find_call(const char *name)
{
    for (int i = 0; i < CALLS; i++)
        if (strcmp(calls[i], name) == 0)
            return i;
    return -1;
}

static int find_fault(const char *name)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (strcmp(errors[i].name, name) == 0)
            return errors[i].fault;
    return NO_FAULT;
}

static void add_rule(const char *text)
{
    char name[32], fault[32];
    unsigned long every = 0;
    int end = 0;
    struct rule *r = &rules[rule_count];
    if (rule_count == MAX_RULES || strlen(text) >= sizeof(r->text) ||
        sscanf(text, "%31[^:]:%31[^:]:%lu%n", name, fault, &every, &end) != 3 || text[end] != '\0')
        refuse(text);
    int call = find_call(name);
    r->fault = find_fault(fault);
    if (call < 0 || r->fault == NO_FAULT || every == 0 || (r->fault == SHORT && call > PREAD))
        refuse(text);
    r->call = (enum call)call;
    r->every = every;
    strcpy(r->text, text);
    has_rule[call] = true;
    rule_count++;
}

__attribute__((constructor)) static void load_rules(void)
{
    const char *value = getenv("FASTLOOP_FAULTS");
    char *copy = value ? strdup(value) : NULL;
    char *rest = copy, *text;
    while (rest && (text = strsep(&rest, ",")))
        if (*text)
            add_rule(text);
    free(copy);
}

__attribute__((destructor)) static void report(void)
{
    const char *path = getenv("FASTLOOP_FAULTS_REPORT");
    FILE *out = path ? fopen(path, "a") : NULL;
    if (!out)
        return;
    for (int i = 0; i < rule_count; i++) {
        unsigned long seen = atomic_load(&rules[i].seen);
        if (seen)
            fprintf(out, "%s %lu %lu\n", rules[i].text, seen, atomic_load(&rules[i].fired));
    }
    fclose(out);
}

/* How the child of a fork ends. */
void _exit(int status)
{
    report();
    for (;;)
        syscall(SYS_exit_group, status);
}

/* Counts a call. Returns what is to happen to it: NO_FAULT, SHORT, or an errno, which is set. */
static int fault_for(enum call call)
{
    int fault = NO_FAULT;
    for (int i = 0; i < rule_count; i++) {
        struct rule *r = &rules[i];
        if (r->call != call || (atomic_fetch_add(&r->seen, 1) + 1) % r->every != 0)
            continue;
        if (fault == NO_FAULT) {
            fault = r->fault;
            atomic_fetch_add(&r->fired, 1);
        }
    }
    if (fault > 0)
        errno = fault;
    return fault;
}

static size_t half(size_t n)
{
    return n - n / 2;
}

/* -- the calls -- */

/* The function of this name that the program would have got without us. */
#define NEXT(name)                                                                                 \
    ({                                                                                             \
        static void *_Atomic real;                                                                 \
        if (!real)                                                                                 \
            real = dlsym(RTLD_NEXT, #name);                                                        \
        (__typeof__(name) *)(void *)real;                                                          \
    })

static int read_fault(int fd)
{
    struct stat st;
    if (!has_rule[READ] || fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))
        return NO_FAULT;
    return fault_for(READ);
}

ssize_t read(int fd, void *data, size_t n)
{
    int fault = read_fault(fd);
    return fault > 0 ? -1 : NEXT(read)(fd, data, fault == SHORT ? half(n) : n);
}

ssize_t recv(int fd, void *data, size_t n, int flags)
{
    int fault = read_fault(fd);
    return fault > 0 ? -1 : NEXT(recv)(fd, data, fault == SHORT ? half(n) : n, flags);
}

ssize_t send(int fd, const void *data, size_t n, int flags)
{
    int fault = fault_for(SEND);
    return fault > 0 ? -1 : NEXT(send)(fd, data, fault == SHORT ? half(n) : n, flags);
}

/* Half of the first part is less than half of all, and does as well. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    int fault = fault_for(SEND);
    if (fault > 0)
        return -1;
    if (fault == NO_FAULT || message->msg_iovlen == 0 || message->msg_iov[0].iov_len == 0)
        return NEXT(sendmsg)(fd, message, flags);
    struct iovec part = {message->msg_iov[0].iov_base, half(message->msg_iov[0].iov_len)};
    struct msghdr less = *message;
    less.msg_iov = &part;
    less.msg_iovlen = 1;
    return NEXT(sendmsg)(fd, &less, flags);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t n)
{
    int fault = fault_for(SENDFILE);
    return fault > 0 ? -1 : NEXT(sendfile)(to, from, offset, fault == SHORT ? half(n) : n);
}

ssize_t pread(int fd, void *data, size_t n, off_t offset)
{
    int fault = fault_for(PREAD);
    return fault > 0 ? -1 : NEXT(pread)(fd, data, fault == SHORT ? half(n) : n, offset);
}

ssize_t preadv2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
    int fault = fault_for(PREAD);
    if (fault > 0)
        return -1;
    struct iovec first = count > 0 ? parts[0] : (struct iovec){0};
    first.iov_len = fault == SHORT ? half(first.iov_len) : first.iov_len;
    return NEXT(preadv2)(fd, fault == SHORT ? &first : parts, fault == SHORT ? 1 : count, offset,
                         flags);
}

int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    return fault_for(ACCEPT4) ? -1 : NEXT(accept4)(fd, address, len, flags);
}

int epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
    return fault_for(EPOLL_WAIT) ? -1 : NEXT(epoll_wait)(fd, events, max, timeout);
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    return fault_for(POLL) ? -1 : NEXT(poll)(fds, count, timeout);
}

int select(int count, fd_set *reads, fd_set *writes, fd_set *excepts, struct timeval *timeout)
{
    return fault_for(SELECT) ? -1 : NEXT(select)(count, reads, writes, excepts, timeout);
}

long syscall(long number, ...)
{
    long a[6];
    va_list rest;
    va_start(rest, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(rest, long);
    va_end(rest);
    if ((number == SYS_io_uring_setup && fault_for(RING_SETUP)) ||
        (number == SYS_io_uring_enter && fault_for(RING_ENTER)))
        return -1;
    return NEXT(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* -- the allocator -- */

/* glibc's own names for them: dlsym() may allocate, so it cannot be asked here. */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t count, size_t n);
extern void *__libc_realloc(void *old, size_t n);

static bool malloc_fails(const void *caller)
{
    Dl_info info;
    if (!has_rule[MALLOC] || !dladdr(caller, &info) || !info.dli_fname)
        return false;
    const char *slash = strrchr(info.dli_fname, '/');
    return strstr(slash ? slash + 1 : info.dli_fname, "_core") && fault_for(MALLOC);
}

void *malloc(size_t n)
{
    return malloc_fails(__builtin_return_address(0)) ? NULL : __libc_malloc(n);
}

void *calloc(size_t count, size_t n)
{
    return malloc_fails(__builtin_return_address(0)) ? NULL : __libc_calloc(count, n);
}

void *realloc(void *old, size_t n)
{
    return malloc_fails(__builtin_return_address(0)) ? NULL : __libc_realloc(old, n);
}
