/* load.h -- what the parts of the load generator share: load.c has the connections, the clock and
 * the command line; a dialect knows what is said on them. */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CHUNK = 65536,     /* bytes read at once */
    UNFINISHED = 8192, /* bytes that a dialect may leave until more come */
    STAMP = 16,        /* hexadecimal digits that tell one message from another */
    PRECISION = 64,    /* histogram buckets for each power of two: 1.6 % wide */
    BUCKETS = PRECISION * 60,
};

struct options {
    const char *host;
    const char *framing;
    const char *path; /* of HTTP */
    const char
        *expect; /* of HTTP: the file that holds what an answer's body is; NULL: what was sent */
    long port, connections, size, depth, idle;
    double seconds, warmup;
};

struct conn {
    int fd;
    uint32_t number;
    uint64_t sequence; /* of the first message of the batch */
    uint64_t started;  /* ns, when the batch was begun */
    size_t sent;       /* bytes of the batch */
    uint32_t answered; /* messages of the batch */
    size_t got;        /* bytes of the answer that is coming in; of HTTP, of its body */
    uint64_t left;     /* of HTTP: bytes to come of the body, or of its chunk */
    uint8_t phase;     /* of HTTP */
    bool waits;        /* for the kernel to take the rest of the batch */
    size_t kept_len;
    char *kept; /* bytes that came in and are yet to be looked at, owned; NULL if none */
};

struct load;

struct dialect {
    /* Prepares l->state and l->batch. */
    void (*init)(struct load *l);
    /* Lays the batch of a connection out in l->batch, the same way as often as it is asked to.
     * Returns its length. */
    size_t (*ask)(struct load *l, const struct conn *c);
    /* Compares n bytes that came in with what should come, and calls load_answered() for each
     * answer that they complete. Returns how many it is done with: at most UNFINISHED less than n.
     */
    size_t (*check)(struct load *l, struct conn *c, const char *data, size_t n, uint64_t now);
};

extern const struct dialect dialect_echo, dialect_http;

struct load {
    struct options options;
    const struct dialect *dialect;
    void *state; /* of the dialect */
    char *batch; /* scratch: a batch as it is sent */
    struct conn *conns;
    int epoll;
    uint64_t messages;
    uint64_t slowest; /* ns */
    uint64_t histogram[BUCKETS];
    char chunk[UNFINISHED + CHUNK];
};

/* -- for the dialects -- */

/* Writes STAMP digits that no other message of this run has: the one that is number `i` of a batch.
 */
void load_stamp(char *to, const struct conn *c, uint32_t i);

/* Writes the bytes that follow a stamp, or stand for themselves: as many as asked for. */
void load_fill(char *to, size_t n);

/* Counts an answer, and its latency. */
void load_answered(struct load *l, struct conn *c, uint64_t now);

/* Says what is wrong with an answer, and ends the program. */
_Noreturn void load_wrong(const struct conn *c, const char *what);

/* Says what failed, and why if errno tells, and ends the program. */
_Noreturn void load_die(const char *what);

/* Returns n zeroed bytes, or ends the program. */
void *load_allocate(size_t n);

#endif
