/* driver.c -- HTTP's framing for tests in Python: bytes cut in any way, and what is read in them.
 *
 * A shared library for the differential tests, and, run under sanitizers, a program that reads
 * cases from its standard input: each a length (uint32_t) and that many bytes; its answer to each
 * is a cut that changes the reading (int32_t; -1: none does), then a length and the reading.
 *
 * A reading is a run of records. 'R': flags (HTTP_OLD to HTTP_UPGRADE), then target, method, path,
 * query, head and body, each behind its length; 'E': a refusal, with its status; 'M': the beginning
 * of a request is left; 'C': the connection ends. It must depend neither on the cuts nor on whether
 * bodies are delivered whole or in pieces. What is scanned lies in memory of exactly its size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastloop.h"
#include "frame.h"

enum { FIELDS = 5, LONG_INPUT = 1200, EDGE = 300, STRIDE = 61, MANY_BYTES = 20000 };

struct reading {
    struct buf text;
    size_t open;   /* where the record of a request begins whose body is still to come */
    bool is_open;  /* there is one */
    bool is_asked; /* its client waits for 100 */
    bool is_ended; /* nothing more is read */
    uint8_t flags; /* of the last request */
};

static const struct http_settings whole = {
    .max_line = 8192, .max_head = 65536, .max_fields = 100, .max_body = 16 * 1024 * 1024};
static const struct http_settings pieces = {.max_line = 8192,
                                            .max_head = 65536,
                                            .max_fields = 100,
                                            .max_body = 16 * 1024 * 1024,
                                            .stream = true};

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "driver: %s\n", what);
        abort();
    }
}

static void put(struct buf *text, const void *data, size_t n)
{
    must(buf_put(text, data, n) == 0, "memory is short");
}

static void put_string(struct buf *text, const char *data, size_t n)
{
    uint32_t len = (uint32_t)n;
    put(text, &len, sizeof len);
    put(text, data, n);
}

/* The bytes of the string at *at in marshal form, whichever of the forms it is; moves *at on. */
static struct text string_at(const char **at)
{
    const char *p = *at;
    char type = (char)(*p++ & 0x7f);
    uint32_t len = 0;
    if (type == 'z' || type == 'Z') {
        len = (uint8_t)*p++;
    } else if (type != 'N') {
        must(strchr("asut", type) != NULL && type != '\0', "deliver() wrote no string");
        memcpy(&len, p, 4);
        p += 4;
    }
    *at = p + len;
    return (struct text){p, len};
}

/* A request as deliver() tells it: (method, path, query, head, body or None, id). */
static void put_request(struct reading *r, const struct framing *f, const struct message *m)
{
    struct buf inbox = {0};
    must(f->protocol->deliver(m, &inbox) == 0, "deliver() failed");
    const char *at = inbox.data;
    bool is_small = (*at & 0x7f) == ')';
    must(is_small || *at == '(', "deliver() wrote no tuple");
    at += is_small ? 2 : 5;
    r->open = r->text.len;
    put(&r->text, "R", 1);
    uint8_t flags = m->http.flags & (HTTP_OLD | HTTP_HEAD | HTTP_CLOSE | HTTP_KEPT | HTTP_UPGRADE);
    put(&r->text, &flags, 1);
    put_string(&r->text, m->http.target.at, m->http.target.len);
    for (int i = 0; i < FIELDS; i++) {
        bool is_none = *at == 'N';
        struct text field = string_at(&at);
        must(!is_none || (i == FIELDS - 1 && m->kind == MESSAGE_HEAD), "None is no body here");
        put_string(&r->text, field.at, field.len);
    }
    must(at < inbox.data + inbox.len, "deliver() wrote no id");
    buf_free(&inbox);
}

/* The body is the last part of its record. */
static void put_piece(struct reading *r, const struct message *m)
{
    uint32_t len;
    size_t at = r->open + 2;
    for (int i = 0; i < FIELDS; i++) {
        memcpy(&len, r->text.data + at, sizeof len);
        at += sizeof len + len;
    }
    put(&r->text, m->data, m->len);
    len = (uint32_t)(r->text.len - at - sizeof len);
    memcpy(r->text.data + at, &len, sizeof len);
}

/* Takes note of a message. */
static void read_message(struct reading *r, const struct framing *f, const struct message *m)
{
    must(r->is_open == (m->kind == MESSAGE_PIECE || m->kind == MESSAGE_END), "out of order");
    if (m->kind == MESSAGE_WHOLE && m->data == NULL)
        return;
    if (r->is_open) {
        put_piece(r, m);
        r->is_open = m->kind == MESSAGE_PIECE;
    } else {
        put_request(r, f, m);
        r->is_open = m->kind == MESSAGE_HEAD;
        r->flags = m->http.flags;
    }
    if (!r->is_open && (r->flags & HTTP_CLOSE)) {
        put(&r->text, "C", 1);
        r->is_ended = true;
    }
}

/* Ends a reading with these words; of a body that broke off nothing counts. */
static void end(struct reading *r, const char *words, size_t n)
{
    if (r->is_open)
        r->text.len = r->open;
    put(&r->text, words, n);
    r->is_ended = true;
}

/* Takes the messages at the front of data. Returns the bytes used. */
static size_t read_piece(struct reading *r, const struct framing *f, struct progress *p,
                         const char *data, size_t n)
{
    size_t used = 0;
    while (used < n && !r->is_ended) {
        struct message m = {0};
        ssize_t rc = f->protocol->scan(f, p, data + used, n - used, &m);
        must(rc <= (ssize_t)(n - used), "scan() took more than there is");
        if (rc == FRAME_CONTINUE) {
            must(!r->is_asked, "asked for 100 twice");
            r->is_asked = true;
            continue;
        }
        if (rc < 0) {
            char words[8];
            must(m.status >= 400 && m.status <= 505, "a refusal has a status");
            end(r, words, (size_t)snprintf(words, sizeof words, "E%03d", m.status));
            return used;
        }
        if (rc == 0)
            break;
        r->is_asked = false;
        used += (size_t)rc;
        read_message(r, f, &m);
    }
    return used;
}

/* The first `first` bytes arrive at once, then `step` at a time. */
static void read_all(struct reading *r, const struct http_settings *settings, const char *data,
                     size_t n, size_t first, size_t step)
{
    struct framing f = {.protocol = &protocol_http, .max_message = 1 << 30, .http = settings};
    struct progress p = {0};
    size_t used = 0;
    r->text.len = 0;
    r->is_open = r->is_asked = r->is_ended = false;
    for (size_t there = first < n ? first : n;; there += min_size(step, n - there)) {
        char *copy = malloc(there - used + !(there - used));
        must(copy != NULL, "memory is short");
        memcpy(copy, data + used, there - used);
        used += read_piece(r, &f, &p, copy, there - used);
        free(copy);
        if (r->is_ended)
            return;
        if (there == n)
            break;
    }
    if (r->is_open || used < n)
        end(r, "M", 1);
}

static bool is_same(const struct reading *a, const struct reading *b)
{
    return a->text.len == b->text.len && memcmp(a->text.data, b->text.data, a->text.len) == 0;
}

static struct reading first, other;

/* The reading of bytes that arrive at once, or cut at `cut`, or (0) byte by byte, with bodies whole
 * or in pieces. Valid until the next call. */
size_t driver_read(const char *data, size_t n, size_t cut, int in_pieces, const char **text);
size_t driver_read(const char *data, size_t n, size_t cut, int in_pieces, const char **text)
{
    const struct http_settings *settings = in_pieces ? &pieces : &whole;
    read_all(&first, settings, data, n, cut == 0 ? 1 : cut, cut == 0 ? 1 : n + 1);
    *text = first.text.data;
    return first.text.len;
}

/* Reads at once, byte by byte, and at every cut (of long inputs at many), whole and in pieces.
 * Returns a cut that changes the reading, n if bodies in pieces do, or -1. */
long driver_cuts(const char *data, size_t n);
long driver_cuts(const char *data, size_t n)
{
    read_all(&first, &whole, data, n, n, 1);
    read_all(&other, &pieces, data, n, n, 1);
    if (!is_same(&first, &other))
        return (long)n;
    for (int in_pieces = 0; in_pieces < 2; in_pieces++) {
        const struct http_settings *settings = in_pieces ? &pieces : &whole;
        read_all(&other, settings, data, n, 1, n > MANY_BYTES ? STRIDE : 1);
        if (!is_same(&first, &other))
            return 0;
        for (size_t cut = 1; cut < n; cut++) {
            if (n > LONG_INPUT && cut > EDGE && cut + EDGE < n && cut % STRIDE != 0)
                continue;
            read_all(&other, settings, data, n, cut, n);
            if (!is_same(&first, &other))
                return (long)cut;
        }
    }
    return -1;
}

int main(void)
{
    uint32_t n;
    while (fread(&n, sizeof n, 1, stdin) == 1) {
        char *data = malloc(n + 1);
        must(data != NULL && fread(data, 1, n, stdin) == n, "the input broke off");
        int32_t cut = (int32_t)driver_cuts(data, n);
        uint32_t len = (uint32_t)first.text.len;
        fwrite(&cut, sizeof cut, 1, stdout);
        fwrite(&len, sizeof len, 1, stdout);
        fwrite(first.text.data, 1, len, stdout);
        free(data);
    }
    buf_free(&first.text);
    buf_free(&other.text);
    return 0;
}
