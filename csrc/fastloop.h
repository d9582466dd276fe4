/* fastloop.h -- the public C API. Level 0: anyone may include it, it includes nothing of ours.
 *
 * The region between the two cdef marks is, word for word, what cffi declares to Python: nothing in
 * there may need a preprocessor, and nothing is declared a second time anywhere.
 *
 * One loop belongs to one thread. From other threads only fl_wake() may be called. Functions return
 * >= 0 for success or a count, -errno for failure, or one of the FL_E* below the range of errno. */
#ifndef FASTLOOP_H
#define FASTLOOP_H

#include <stddef.h>
#include <stdint.h>

/* cdef: begin */

#define FL_EPROTO   -4096 /* the peer sent what its protocol does not allow */
#define FL_ELIMIT   -4097 /* a message over its maximum */
#define FL_EVALUE   -4098 /* a reply of a type that this framing cannot send */
#define FL_EOUTBOX  -4099 /* an outbox that is not one: a defect of the caller */
#define FL_EFDLIMIT -4100 /* this backend cannot watch a descriptor with so large a number */
#define FL_EIDLE    -4101 /* nothing came for the idle timeout */
#define FL_ESTALL   -4102 /* the peer took nothing for the write timeout */
#define FL_EUNSENT  -4103 /* more is waiting for the peer than max_unsent */
#define FL_EBUSY    -4104 /* max_connections reached */
#define FL_EFILES   -4105 /* the process has no descriptors left */
#define FL_ESTOP    -4106 /* the server is stopping */
#define FL_EFULL    -4107 /* more file work is queued than file_queue allows */
#define FL_EPEER    -4109 /* max_connections_per_address reached */
#define FL_ESPAWN   -4111 /* no thread or process could be started for a connection */
#define FL_ESLOW    -4108 /* a message took longer to arrive than it may */

/* The inbox is a list of groups, tuples (kind, listener, ids, items). */
enum fl_group {
    FL_OPENED,   /* ids: connections that came; items: None */
    FL_MESSAGES, /* items: messages; ids: whose, or None where the listener does not want them */
    FL_CLOSED,   /* ids: connections that are gone; items: why, an error code or 0 each; of
                  * WebSocket a close code, if there was one */
    FL_TIMERS,   /* items: slots of timers that fired; listener -1, ids None */
    FL_NOTICES,  /* items: (code, count) to be logged; listener -1, ids None */
    FL_ROOM,     /* answers FL_ASK. ids: whose; items: bytes ahead, or an error; listener -1 */
    FL_BODY,     /* answers FL_MORE. ids: whose; items: bytes, None at the end, or an error; -1 */
    FL_FILES,    /* answers FL_READ. ids: slots; items: bytes, or an error; listener -1 */
    FL_LEFT,     /* answers FL_LEAVE. ids: whose peers say no more; items: 0 each; listener -1 */
    FL_REASONS, /* WebSocket. ids: who will be told by FL_CLOSED; items: why, a text; listener -1 */
};

/* The outbox is a flat list: one reply for each message, in the order of the inbox, and commands in
 * between, which take effect where they stand. A command or a reply that is more than its value is
 * a tuple that begins with the singleton StopIteration (marshal 'S') and one of these numbers. */
enum fl_op {
    /* in the place of a reply, or of the value in FL_SEND and FL_FILL */
    FL_LATER,      /* (ticket): the reply comes by FL_FILL; later ones wait behind it */
    FL_FAULT,      /* (): the handler failed: the protocol's error, or a close */
    FL_LAST,       /* (value): reply, then close; messages behind it get no reply */
    FL_RESP_ERROR, /* (text): a RESP error; may stand anywhere in a RESP value */
    FL_RESP_PUSH,  /* (list): a RESP3 push; an array to a RESP2 client */
    FL_RESP_HELLO, /* (version, value): switch to RESP2 or RESP3, then reply */
    FL_NOTHING,    /* (): no reply at all, also where None is a value of the protocol */
    FL_RESP_PAIRS, /* (list): a, b, c, d; as [[a, b], [c, d]] to a RESP3 client */
    FL_HTTP,       /* (status, headers, body): a whole response; headers are (name, value) pairs */
    FL_HTTP_START, /* (status, headers): a response whose body follows by FL_SEND */
    FL_HTTP_END,   /* (): ... and is complete. (headers): with these as trailers, if in chunks */
    FL_FILE,       /* (path, head, headers): a file as the response to a request with this head */
    FL_PART,       /* (path or descriptor, offset, count): bytes of a file; count -1: to its end,
                    * but as a piece of a body of HTTP the count must be told. The descriptor, which
                    * stays the caller's, is needed until the outbox was applied */
    FL_WS_ACCEPT,  /* (listener, window, FL_HTTP_START): answers a handshake, see fl_websocket() */

    /* commands */
    FL_SEND = 32, /* (id, ticket, value): ahead of the hole with this ticket; 0: at the end */
    FL_FILL,      /* (id, ticket, value): the reply that FL_LATER promised */
    FL_CLOSE,     /* (id, abort): close when all is sent; or at once, with a reset */
    FL_PAUSE,     /* (id, on): stop, or go on, reading from it */
    FL_WATCH,     /* (id): tell by FL_CLOSED when it is gone */
    FL_CAST,      /* (listener or -1, ids or None, but not id, value): to these, or to all of it */
    FL_TIMER,     /* (slot, microseconds): set a timer */
    FL_CANCEL,    /* (slot) */
    FL_ASK,       /* (id, ticket): tell by FL_ROOM when no other reply, and no more than low_water
                   * bytes, are ahead of the one promised under this ticket; 0: of no reply */
    FL_MORE,      /* (id): tell the next piece of its request's body by FL_BODY */
    FL_READ,      /* (slot, path, offset, count): read a file; answered by FL_FILES */
    FL_LEAVE,     /* (id): FL_WATCH, and tell by FL_LEFT when the peer will send no more, which may
                   * be long before: it may still read */
    FL_WS_CLOSE,  /* (id, code, reason): close with this frame behind what was said so far */
    FL_SUBSCRIBE, /* (id, topic): it gets what is published there */
    FL_UNSUBSCRIBE, /* (id, topic) */
    FL_PUBLISH,     /* (topic, but not id, value): to all who subscribed */
};

/* The form in which a listener of HTTP delivers requests. A body that follows in pieces is None. */
enum fl_form {
    FL_FORM_PLAIN, /* (method, path, query, head, body, id) */
    FL_FORM_WSGI,  /* (environ, body, id): what PEP 3333 wants to know of the request itself */
    FL_FORM_ASGI,  /* (scope, body, id): the same for ASGI's HTTP; see http_scope.h */
};

/* What a listener's handler wants to be told. */
enum fl_want {
    FL_WANT_IDS = 1,
    FL_WANT_OPENED = 2,
    FL_WANT_CLOSED = 4,
};

/* What a loop is for. */
enum fl_role {
    FL_ROLE_ALL,    /* accepts, and serves all its connections */
    FL_ROLE_ACCEPT, /* accepts, counts and refuses, and hands over: fl_hand() */
    FL_ROLE_ONE,    /* serves one connection: fl_adopt() */
};

typedef struct fl_loop fl_loop;

typedef struct {
    const char *backend;       /* "auto", "epoll", "kqueue", "io_uring", "poll", "select" */
    uint32_t max_connections;  /* of this loop */
    uint32_t max_per_address;  /* connections of one peer's address; 0: no limit */
    uint32_t idle_timeout_ms;  /* close a connection that says nothing for so long; 0: never */
    uint32_t write_timeout_ms; /* close one that takes nothing for so long; 0: never */
    uint32_t linger_ms;        /* how long to wait for the peer's end after our last byte */
    uint32_t high_water;       /* unsent bytes above which a connection is not read */
    uint32_t low_water;        /* ... and below which it is read again */
    uint64_t max_unsent;       /* unsent bytes above which sending more closes it; 0: no limit */
    uint32_t file_threads;     /* that read files which are not in memory; 0: 4 */
    uint32_t file_queue;       /* jobs that may wait for them; 0: 1024 */
    uint64_t file_memory;      /* bytes of small static files that are kept; 0: 64 MiB */
    int role;                  /* FL_ROLE_* */
} fl_config;

typedef struct {
    const char *framing;   /* "raw", "line", "u8", "u16be", ..., "varint", "resp" */
    const char *delimiter; /* of "line": 1 to 8 bytes; NULL: LF, with a CR before it stripped */
    uint32_t delimiter_len;
    uint32_t max_message; /* bytes; of "http": 1 GiB is the most for max_body if not streamed */
    uint32_t wants;       /* FL_WANT_* */

    /* of "http"; times are ms, sizes are bytes */
    uint64_t max_body;
    uint32_t max_line;     /* of the request line */
    uint32_t max_head;     /* of all fields */
    uint32_t max_fields;   /* how many of them */
    uint32_t max_requests; /* on one connection; 0: no limit */
    uint32_t header_ms;    /* from the first byte of a request to the end of its head */
    uint32_t body_ms;      /* for the body, on top of what it takes at body_rate */
    uint32_t body_rate;    /* bytes a second; 0: only body_ms between two arrivals counts */
    uint32_t keepalive_ms; /* between requests */
    int stream;            /* bodies that come late are delivered in pieces */
    int form;              /* FL_FORM_* */
} fl_listener;

/* Of WebSocket. Times are ms, sizes are bytes. */
typedef struct {
    uint32_t max_message; /* after it was expanded */
    uint32_t wants;       /* FL_WANT_* */
    uint32_t ping_ms;     /* of silence until a ping; 0: none, and idle_timeout_ms counts */
    uint32_t pong_ms;     /* ... until a silent peer counts as gone; 0: never */
    uint32_t threshold;   /* messages from this size on are compressed */
    uint32_t window;      /* ... up to this window, 9 to 15 bits */
    uint32_t level;       /* ... 1 to 9 */
} fl_ws;

/* What FL_WS_ACCEPT may add to its window, which is then one of 9 to 15 bits: messages refer to
 * earlier ones ("context takeover"), and the connection has memory for it of its own. */
enum fl_ws_context {
    FL_WS_KEEP_IN = 16,   /* those of the peer do */
    FL_WS_KEEP_OUT = 32,  /* ours may */
    FL_WS_NARROW_IN = 64, /* the peer agreed to this window, too; else it has the largest */
};

/* How a directory is served. Zero is the plainest way of each. */
typedef struct {
    const char *index;         /* the file that stands for its directory; NULL: none does */
    const char *cache_control; /* value of that field, up to 1 KiB; NULL: none */
    const char *immutable;     /* names, by * and ?, whose content never changes; NULL: none */
    int listing;               /* directories without an index are listed */
    int hidden;                /* names that begin with a dot are served */
    int precompressed;         /* a.br, a.zst, a.gz are sent for a to those who accept them */
} fl_static;

typedef struct {
    uint64_t accepted, refused, closed;
    uint64_t messages, bytes_in, bytes_out;
    uint64_t turns, crossings; /* waits; returns to the caller with a batch */
    uint64_t protocol_errors;
    uint32_t connections;
    uint64_t unsent; /* bytes that wait for peers */
} fl_stats;

/* Returns a new loop, or NULL with *error set to -errno. */
fl_loop *fl_open(const fl_config *config, int *error);

/* Closes every connection and frees the loop. Listening sockets stay open: they are the caller's.
 */
void fl_free(fl_loop *loop);

/* Serves a listening socket, which is borrowed until fl_free() or fl_drain(); -1: there is none,
 * its connections come by fl_adopt(). Returns the listener's number, from 0 on, or an error;
 * -EINVAL for a framing that does not exist. */
int fl_listen(fl_loop *loop, int fd, const fl_listener *listener);

/* A listener without a socket, of WebSocket (RFC 6455): connections of HTTP come to it when a
 * request is answered by FL_WS_ACCEPT with its number; what the handshake says is the caller's
 * business. A window of 9 to 15 bits: both sides agreed on permessage-deflate, and this is ours,
 * with FL_WS_KEEP_* added where a side does not go without context takeover; 0: they did not.
 * Messages are str or bytes, and so are replies. Returns the number, -EINVAL or -ENOMEM. */
int fl_websocket(fl_loop *loop, const fl_ws *options);

/* HTTP: answers GET and HEAD of this path (as sent, without query) in C, with 200 and these bytes.
 * Returns 0, -EINVAL for a listener that is not HTTP, or -ENOMEM. */
int fl_constant(fl_loop *loop, int listener, const char *path, const char *content_type,
                const char *body, size_t len);

/* HTTP: serves the files below a directory under a prefix of paths, which begins with a slash; the
 * longest prefix wins. Returns 0; -EINVAL for a listener that is not HTTP or options that make no
 * sense; or -errno for a directory that cannot be opened. */
int fl_mount(fl_loop *loop, int listener, const char *prefix, const char *directory,
             const fl_static *options);

/* Leaves to the handler what a mount would answer: requests for this path (as sent, without query),
 * or, with `below`, for all that begin with it. Returns as fl_mount() does. */
int fl_except(fl_loop *loop, int listener, const char *path, int below);

/* One turn: applies the outbox, sends, waits (at most timeout_ms; -1: no limit), reads, and returns
 * the length of the inbox; 0 after a timeout, a wake-up or a signal. FL_MOVED is added to the
 * length when the inbox lies elsewhere than at the last call. Waits without the GIL. */
intptr_t fl_step(fl_loop *loop, const char *outbox, size_t len, int timeout_ms);
#define FL_MOVED 1073741824

/* Applies and sends a part of the outbox between two slices of a batch. Returns 0; or an error, and
 * then what has no reply by now is answered as if its handler had failed. */
int fl_flush(fl_loop *loop, const char *outbox, size_t len);

/* The inbox of the last fl_step(), and the bytes allocated there: valid until the next. */
const char *fl_inbox(fl_loop *loop);
size_t fl_inbox_size(fl_loop *loop);

/* Makes a running or the next fl_step() return. From any thread; the descriptor takes single bytes,
 * as signal.set_wakeup_fd() writes them. */
void fl_wake(fl_loop *loop);
int fl_wake_fd(fl_loop *loop);

/* For another loop to wait on: a descriptor (-1: this backend has none) and the time until a timer
 * of this loop is due, in ms (-1: none). */
int fl_fileno(fl_loop *loop);
int fl_timeout(fl_loop *loop);

/* Stops accepting, and closes every connection once its replies are sent. */
void fl_drain(fl_loop *loop);

/* -- handing over. A loop of FL_ROLE_ACCEPT tells of a new connection (FL_OPENED, if the listener
 * wants that) and keeps its place, by which the limits are counted, until it ends elsewhere. -- */

/* Gives away the descriptor of a connection. Returns it: it is the caller's; or -ENOTCONN. */
int fl_hand(fl_loop *loop, uint64_t id);

/* Watches a descriptor, the loop's from now on: when its other end closes, so does the connection
 * (FL_CLOSED, if wanted). Returns 0 or an error (-ENOTCONN: the connection was not handed out, or
 * holds one already): then it stays the caller's. */
int fl_hold(fl_loop *loop, uint64_t id, int fd);

/* It ended elsewhere. */
void fl_left(fl_loop *loop, uint64_t id);

/* It could not be handed over: takes the descriptor back, and tells the peer as the protocol does
 * that there is no room. */
void fl_return(fl_loop *loop, uint64_t id, int fd);

/* A loop of FL_ROLE_ONE: serves this connection, as of that listener, and owns the descriptor from
 * now on. `leash` (0: none; the caller's): when its other end closes, all is over at once. Returns
 * 0, or an error: then the descriptor stays the caller's. */
int fl_adopt(fl_loop *loop, int fd, int listener, int leash);

/* Whether its connection is gone, and no timer and no file is waited for either. */
int fl_over(fl_loop *loop);

/* Counts from now on also there, for readers in other threads or, if the memory is shared, other
 * processes: each number is valid by itself. NULL: no more. */
void fl_tell_stats(fl_loop *loop, fl_stats *to);

/* In the child of a fork(): closes the copies of descriptors, says nothing to any peer. */
void fl_forget(fl_loop *loop);

int fl_alive(fl_loop *loop, uint64_t id);      /* 1 while bytes can be sent to it */
int64_t fl_unsent(fl_loop *loop, uint64_t id); /* bytes waiting, or -ENOTCONN */
int fl_address(fl_loop *loop, uint64_t id, int peer, char *out, size_t size);
void fl_read_stats(fl_loop *loop, fl_stats *out);

/* A watch over loops, for the callers that stay away from fl_step() and fl_flush() for longer than
 * limit_ms: with a handler that takes so long. It must outlive its loops. NULL with *error set. */
typedef struct fl_watch fl_watch;
fl_watch *fl_watch_open(uint32_t limit_ms, uint32_t loops, int *error);
void fl_watch_free(fl_watch *watch);

/* Watches a loop that is not running yet. Returns its number, or -ENOSPC. */
int fl_watch_add(fl_watch *watch, fl_loop *loop);

/* Waits, without the GIL, and returns the number of a loop whose caller is overdue, once for each
 * stay; or -1 after fl_watch_stop(). One thread at a time. */
int fl_watch_wait(fl_watch *watch);

/* For how long the caller that was told of last has been away, in us; 0: it has come back. On the
 * thread that waits. */
int64_t fl_watch_away(fl_watch *watch, int n);

/* Ends the wait, now and from now on. From any thread. */
void fl_watch_stop(fl_watch *watch);

/* The backend in use, and why it is not the one that was asked for: 0 if it is, else -errno of
 * io_uring, which the kernel refused. */
const char *fl_backend(fl_loop *loop);
int fl_fallback(fl_loop *loop);

/* The name of the n-th backend this library knows (NULL after the last), and whether it works here:
 * 0, or -errno (-ENOENT: not of this platform). */
const char *fl_backend_name(int n);
int fl_backend_probe(const char *name);

/* Whether this was built with zlib. If not, upgrades to WebSocket must have a window of 0. */
int fl_compresses(void);

/* Reads what marshal.dumps(x, 2) wrote and writes it back as the inbox does, up to size bytes: the
 * self-check of the codec. Returns the length or an error. */
intptr_t fl_codec_echo(const char *in, size_t len, char *out, size_t size);

/* For a process that does nothing but serve: lets glibc keep the memory of large batches for the
 * next turn, up to 16 MiB, instead of giving it back and faulting it in again. Elsewhere nothing.
 */
void fl_keep_memory(void);

/* A load generator, the other end of a server: connections that ask, check every byte of the
 * answers, and ask again. One thread uses it, and it serves nothing. */
typedef struct fl_load fl_load;

typedef struct {
    const char *dialect;  /* "raw", "line", "resp" or "ws": messages that come back; "ws-cast": from
                           * the first connection to all; "http"; "same" */
    uint32_t connections; /* at most */
    uint32_t depth;       /* messages that a connection sends at once */
    uint32_t size;        /* bytes of a message, 16 or more; of "http" those posted; 0: a GET */
    const char *ask;      /* of "same": a message; of "http" and "ws": the head of a request */
    size_t ask_len;
    const char *answer; /* to each of them; of "http": its body, NULL for what was posted */
    size_t answer_len;
} fl_load_config;

typedef struct {
    uint64_t messages; /* answered */
    uint64_t p50_ns, p99_ns, p999_ns, max_ns;
} fl_load_stats;

/* Returns a load without connections, or NULL with *error set: -EINVAL for a dialect or numbers
 * that make no sense, -ENOMEM. */
fl_load *fl_load_open(const fl_load_config *config, int *error);

/* Resets every connection. */
void fl_load_free(fl_load *load);

/* Takes over a connected stream socket, also if it fails, and asks on it for the first time. */
int fl_load_add(fl_load *load, int fd);

/* Asks anew wherever all answers have come. Returns 0 or an error, as fl_load_run() does. */
int fl_load_ask(fl_load *load);

/* Goes on for some ms, or until a signal comes. With `again`, who has all answers asks anew;
 * without, it ends when everybody has. Returns how many connections wait for answers, or an error:
 * then the load is good for nothing but these words and fl_load_free(). */
int fl_load_run(fl_load *load, int ms, int again);
const char *fl_load_problem(const fl_load *load);

/* What was measured since the load was opened, or reset. */
void fl_load_read(const fl_load *load, fl_load_stats *out);
void fl_load_reset(fl_load *load);

/* What an error code says, in words. */
const char *fl_strerror(int code);

/* cdef: end */

#endif
