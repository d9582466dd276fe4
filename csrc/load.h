/* load.h -- what the parts of the load generator share: load.c has the connections and the clock; a
 * dialect knows what is said on them. Level 3. */
#ifndef FL_LOAD_H
#define FL_LOAD_H

#include "base.h"
#include "fastloop.h"
#include "poller.h"

enum {
    LOAD_CHUNK = 65536,     /* bytes read at once */
    LOAD_UNFINISHED = 8192, /* bytes that a dialect may leave until more come */
    LOAD_STAMP = 16,        /* hexadecimal digits that tell one message from another */
    LOAD_PRECISION = 64,    /* histogram buckets for each power of two: 1.6 % wide */
    LOAD_BUCKETS = LOAD_PRECISION * 60,
    LOAD_PROBLEM = 160, /* bytes of words on what went wrong */
};

struct load_conn {
    int fd;            /* owned */
    uint32_t answered; /* messages of the batch */
    uint64_t sequence; /* of the first message of the batch */
    uint64_t started;  /* ns, when the batch was begun */
    size_t sent;       /* bytes of the batch */
    size_t got;        /* bytes of the answer that is coming in; of HTTP, of its body */
    uint64_t left;     /* of HTTP: bytes to come of the body, or of its chunk */
    uint8_t phase;     /* of HTTP and WebSocket */
    uint8_t watched;   /* IO_*: for writing while the kernel does not take the rest of a batch */
    bool asking;       /* its batch is not answered yet */
    uint32_t kept_len;
    char *kept; /* bytes that came in and are yet to be looked at, owned; NULL if none */
};

struct load_dialect {
    const char *name;
    bool together; /* no connection goes on before all have their answers */

    /* Prepares l->state and l->batch, which fl_load_free() frees. Returns 0, -EINVAL for options
     * that make no sense, or -ENOMEM. */
    int (*init)(struct fl_load *l, const fl_load_config *config);

    /* Frees what l->state holds, but not itself; NULL if that is nothing. */
    void (*fini)(struct fl_load *l);

    /* Lays the batch of a connection out, the same way as often as it is asked to. Returns it,
     * valid until the next call, with its length in *len; that is 0 if it only listens. */
    char *(*ask)(struct fl_load *l, const struct load_conn *c, size_t *len);

    /* Compares n bytes that came in with what should come, and calls load_answered() for each
     * answer that they complete. Returns how many it is done with, at most LOAD_UNFINISHED less
     * than n; or what load_wrong() returned. */
    ssize_t (*check)(struct fl_load *l, struct load_conn *c, const char *data, size_t n,
                     uint64_t now);
};

/* Echoes: raw, line, resp. Of WebSocket: ws, ws-cast. */
extern const struct load_dialect load_echoes[], load_ws[], load_http, load_same;

struct fl_load {
    const struct load_dialect *dialect;
    void *state; /* of the dialect */
    char *batch; /* of the dialect: a batch as it is sent */
    struct load_conn *conns;
    uint32_t count, room; /* connections there are, and may be */
    uint32_t depth;
    uint32_t asking; /* connections whose batch is not answered yet */
    struct poller poller;
    uint64_t messages;
    uint64_t slowest; /* ns */
    uint64_t histogram[LOAD_BUCKETS];
    char problem[LOAD_PROBLEM];
    char chunk[LOAD_UNFINISHED + LOAD_CHUNK];
};

/* -- for the dialects -- */

/* Writes LOAD_STAMP digits that no other message of this run has: the one that is number `i` of a
 * batch. */
void load_stamp(const struct fl_load *l, char *to, const struct load_conn *c, uint32_t i);

/* Writes the bytes that follow a stamp, or stand for themselves: as many as asked for. */
void load_fill(char *to, size_t n);

/* Counts an answer, and its latency. */
void load_answered(struct fl_load *l, struct load_conn *c, uint64_t now);

/* Notes what is wrong with an answer. Returns FL_EPROTO. */
int load_wrong(struct fl_load *l, const struct load_conn *c, const char *what);

/* Allocates l->batch for a batch of messages of at most `size` bytes. Returns 0 or -ENOMEM. */
int load_room(struct fl_load *l, size_t size);

#endif
