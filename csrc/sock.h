/* sock.h -- the only file with socket system calls. Level 1.
 *
 * Everything returns >= 0, or -errno; -EAGAIN is a normal answer. EINTR is retried here. Sockets
 * made here are non-blocking and close-on-exec, and no write raises SIGPIPE. */
#ifndef FL_SOCK_H
#define FL_SOCK_H

#include "base.h"

struct iovec;

/* Accepts one connection from a listening socket; `tcp` switches Nagle's algorithm off for it where
 * it is not inherited from the listener. Returns the descriptor or -errno. */
int sock_accept(int listener, bool tcp);

/* Makes a listening socket (any that the process was given) fit for the loop: non-blocking,
 * close-on-exec, TCP_NODELAY. Returns 1 for a TCP socket, 0 for another kind, or -errno. */
int sock_adopt(int fd);

/* Up to n bytes; 0 is the end of the stream. */
ssize_t sock_read(int fd, void *data, size_t n);

/* As many of the bytes as the kernel takes. */
ssize_t sock_send(int fd, const struct iovec *iov, int count);

/* The same; the kernel may hold back the end of them until more is sent, which is to follow. */
ssize_t sock_send_more(int fd, const struct iovec *iov, int count);

/* As many of n bytes of a file as the kernel takes; 0: the file is shorter than `offset`. */
ssize_t sock_send_file(int fd, int file, uint64_t offset, size_t n);

/* Half-close: we send no more, the peer may. */
void sock_shutdown(int fd);

/* Closes; with `reset` the peer gets a RST and the kernel forgets what was unsent. */
void sock_close(int fd, bool reset);

/* Writes the peer's (or our own) address as "127.0.0.1:7000", "[::1]:7000" or a Unix path ("" if
 * unnamed). Returns its length or -errno. */
int sock_address(int fd, bool peer, char *out, size_t size);

/* A peer on a network, as applications are told of it. */
struct sock_name {
    uint16_t port;
    uint8_t len;
    char host[45]; /* numeric, `len` bytes: "127.0.0.1", "::1" */
};

/* Fills *name with the peer's. Returns 0; 1 for a peer without such an address (Unix sockets); or
 * -errno; then name->len is 0. */
int sock_peer_name(int fd, struct sock_name *name);

/* Writes 16 bytes that are the same for all connections of one peer: its IPv4 address, or the first
 * half of its IPv6 address, which is one customer's. Returns 1, or 0 for a peer without address. */
int sock_peer_key(int fd, unsigned char key[16]);

/* A pipe whose ends are non-blocking and close-on-exec. Returns 0 or -errno. */
int sock_pipe(int ends[2]);

/* Reads a pipe empty. Returns whether there was any byte but `quiet`. */
bool sock_drain(int fd, char quiet);

#endif
