/* drive_http.h -- a listener of HTTP for the loop of drive.h, and what its clients read.
 *
 * Listener 0 is of lines, 1 of HTTP. A message that nobody replied to explicitly while something is
 * awaited is answered with its path. */
#ifndef DRIVE_HTTP_H
#define DRIVE_HTTP_H

#include "drive.h"

#define GET(path)  "GET " path " HTTP/1.1\r\nhost: a\r\n\r\n"
#define POST(more) "POST / HTTP/1.1\r\nhost: a\r\n" more "\r\n\r\n"

static const fl_listener http_usual = {
    .framing = "http",
    .max_message = 1 << 20,
    .wants = FL_WANT_IDS | FL_WANT_CLOSED,
    .max_body = 1 << 20,
    .max_line = 8192,
    .max_head = 65536,
    .max_fields = 100,
};

static const fl_listener http_streams = {
    .framing = "http",
    .max_message = 1 << 20,
    .wants = FL_WANT_IDS | FL_WANT_CLOSED,
    .max_body = 1 << 20,
    .max_line = 8192,
    .max_head = 65536,
    .max_fields = 100,
    .stream = 1,
};

static inline bool start_http(struct drive *d, const char *backend, const fl_config *config,
                              const fl_listener *spec, int buffer)
{
    if (!start(d, backend, config))
        return false;
    d->sockets[1] = listen_here(buffer);
    return CHECK_INT(fl_listen(d->loop, d->sockets[1], spec), 1);
}

static inline int http_client(struct drive *d)
{
    return client_of(d, 1, 0);
}

/* Waits for the request with this path, the only message of its batch. Returns its id. */
static inline int64_t await_request(struct drive *d, const char *path)
{
    const struct event *e = await(d, FL_MESSAGES);
    if (e == NULL)
        return 0;
    CHECK_MEM(e->text, e->len, path, strlen(path));
    return e->id;
}

/* Reads the head of a response: its status, and a field's line that must be (or, after a '!', must
 * not be) in it. */
static inline void expect_head(struct drive *d, int fd, const char *status, const char *line)
{
    char head[1024] = "";
    size_t n = 0;
    while (n < sizeof head - 1 && (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0)) {
        if (!CHECK_INT(receive(d, fd, head + n, 1), 1))
            return;
        n++;
    }
    CHECK_MEM(head, 12, status, strlen(status));
    bool wanted = line == NULL || *line != '!';
    if (line != NULL && !CHECK((strstr(head, line + !wanted) != NULL) == wanted))
        fprintf(stderr, "%s in %s\n", line, head);
}

/* A whole response with a body of this text. */
static inline void expect_response(struct drive *d, int fd, const char *status, const char *body)
{
    char length[48];
    snprintf(length, sizeof length, "\r\ncontent-length: %zu\r\n", strlen(body));
    expect_head(d, fd, status, length);
    expect(d, fd, body);
}

#define OK    "HTTP/1.1 200"
#define GO_ON "HTTP/1.1 100 Continue\r\n\r\n"

#endif
