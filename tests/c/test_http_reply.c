/* test_http_reply.c -- responses: heads, bodies, and what a handler is not allowed to say. */
#include <errno.h>

#include "date.h"
#include "fastloop.h"
#include "flat.h"
#include "frame.h"
#include "frame_http_reply.h"
#include "oom.h"
#include "t.h"

#define NOW "Sun, 06 Nov 1994 08:49:37 GMT"

static const struct date date = {784111777, NOW};
static const struct http_settings settings = {.date = &date};

/* -- values as Python writes them -- */

static void put(struct buf *b, char type, uint32_t n)
{
    char head[CODEC_HEAD] = {type};
    codec_u32(head + 1, n);
    if (buf_put(b, head, sizeof head) < 0)
        abort();
}

static void put_str(struct buf *b, char type, const char *data, size_t len)
{
    put(b, type, (uint32_t)len);
    if (buf_put(b, data, len) < 0)
        abort();
}

static void put_escape(struct buf *b, uint32_t count, int op)
{
    put(b, '(', count);
    if (buf_put(b, "S", 1) < 0)
        abort();
    put(b, 'i', (uint32_t)op);
}

/* "name: value\n" for each; names as str, values as bytes. */
static void put_fields(struct buf *b, const char *fields)
{
    uint32_t count = 0;
    for (const char *p = fields; *p != '\0'; p++)
        count += *p == '\n';
    put(b, '[', count);
    while (*fields != '\0') {
        size_t name = strcspn(fields, ":");
        size_t value = strcspn(fields + name + 2, "\n");
        put(b, '(', 2);
        put_str(b, 'u', fields, name);
        put_str(b, 's', fields + name + 2, value);
        fields += name + 2 + value + 1;
    }
}

/* -- saying them -- */

struct stage {
    struct framing f;
    struct wire w;
    struct queue q;
    struct exchange x;
    struct buf value;
    struct buf text;
};

static struct stage open_stage(uint8_t flags)
{
    struct stage s = {.x = {.flags = flags}};
    if (framing_init(&s.f, "http", NULL, 0, 1) != 0)
        abort();
    s.f.http = &settings;
    wire_init(&s.w);
    return s;
}

static void close_stage(struct stage *s)
{
    wire_drop(&s->w, &s->q);
    wire_free(&s->w);
    buf_free(&s->value);
    buf_free(&s->text);
}

static bool is_as_before(const struct exchange *x, const struct exchange *before)
{
    return x->left == before->left && x->dialect == before->dialect && x->flags == before->flags &&
           x->stage == before->stage;
}

/* Says s->value, which is empty afterwards; a failed one is undone. */
static int say(struct stage *s)
{
    char *copy = t_guard(s->value.data, s->value.len);
    struct codec_reader in = {copy, copy + s->value.len};
    const struct exchange before = s->x;
    struct wire_mark mark = wire_mark(&s->q);
    int rc = s->f.protocol->reply(&s->f, &s->x, &in, &s->w, &s->q);
    if (rc >= 0) {
        CHECK(in.at == in.end);
    } else {
        CHECK(is_as_before(&s->x, &before));
        wire_undo(&s->w, &s->q, mark);
    }
    flatten(&s->q, &s->text);
    t_unguard(copy, s->value.len);
    s->value.len = 0;
    return rc;
}

static int say_str(struct stage *s, char type, const char *data, size_t len)
{
    put_str(&s->value, type, data, len);
    return say(s);
}

static int say_whole(struct stage *s, int status, const char *fields, const char *body)
{
    put_escape(&s->value, 5, FL_HTTP);
    put(&s->value, 'i', (uint32_t)status);
    put_fields(&s->value, fields);
    if (body == NULL)
        buf_put(&s->value, "N", 1);
    else
        put_str(&s->value, 's', body, strlen(body));
    return say(s);
}

static int say_start(struct stage *s, int status, const char *fields)
{
    put_escape(&s->value, 4, FL_HTTP_START);
    put(&s->value, 'i', (uint32_t)status);
    put_fields(&s->value, fields);
    return say(s);
}

static int say_end(struct stage *s)
{
    put_escape(&s->value, 2, FL_HTTP_END);
    return say(s);
}

#define CHECK_SAID(s, literal) CHECK_STR((s).text.data, (s).text.len, literal)
#define DATED                  "date: " NOW "\r\n"
#define CLOSES                 "connection: close\r\n"
#define OK                     "HTTP/1.1 200 OK\r\n"

/* -- whole responses -- */

static void test_plain(void)
{
    struct stage s = open_stage(0);
    CHECK_INT(say_str(&s, 'u', "hi", 2), REPLY_SAID);
    CHECK_SAID(s, OK DATED "content-type: text/plain; charset=utf-8\r\n"
                           "content-length: 2\r\n\r\nhi");
    CHECK_INT(s.x.stage, STAGE_NONE);
    CHECK_INT(say_str(&s, 'u', "again", 5), FL_EVALUE);
    close_stage(&s);
    s = open_stage(0);
    CHECK_INT(say_str(&s, 's', "", 0), REPLY_SAID);
    CHECK_SAID(s, OK DATED "content-type: application/octet-stream\r\ncontent-length: 0\r\n\r\n");
    close_stage(&s);
}

static void test_plain_by_flags(void)
{
    static const struct {
        uint8_t flags;
        int rc;
        const char *connection;
        const char *body;
    } examples[] = {
        {HTTP_CLOSE, REPLY_LAST, CLOSES, "hi"},
        {HTTP_OLD | HTTP_CLOSE, REPLY_LAST, CLOSES, "hi"},
        {HTTP_OLD | HTTP_KEPT, REPLY_SAID, "connection: keep-alive\r\n", "hi"},
        {HTTP_OPEN, REPLY_LAST, CLOSES, "hi"},
        {HTTP_HEAD, REPLY_SAID, "", ""},
        {HTTP_HEAD | HTTP_CLOSE, REPLY_LAST, CLOSES, ""},
        {HTTP_UPGRADE, REPLY_SAID, "", "hi"},
        {HTTP_CHUNKED, REPLY_SAID, "", "hi"},
    };
    for (size_t i = 0; i < countof(examples); i++) {
        char want[256];
        struct stage s = open_stage(examples[i].flags);
        CHECK_INT(say_str(&s, 'u', "hi", 2), examples[i].rc);
        int len = snprintf(want, sizeof want,
                           OK DATED "%scontent-type: text/plain; charset=utf-8\r\n"
                                    "content-length: 2\r\n\r\n%s",
                           examples[i].connection, examples[i].body);
        CHECK_MEM(s.text.data, s.text.len, want, (size_t)len);
        close_stage(&s);
    }
}

static void test_none(void)
{
    struct stage s = open_stage(0);
    buf_put(&s.value, "N", 1);
    CHECK_INT(say(&s), REPLY_SAID);
    CHECK_SAID(s, "HTTP/1.1 204 No Content\r\n" DATED "\r\n");
    close_stage(&s);
}

static void test_large_bodies_are_lent(void)
{
    size_t n = 100000;
    char *body = calloc(n, 1);
    struct stage s = open_stage(0);
    if (!CHECK(body != NULL))
        return;
    put_str(&s.value, 's', body, n);
    struct codec_reader in = {s.value.data, s.value.data + s.value.len};
    CHECK_INT(s.f.protocol->reply(&s.f, &s.x, &in, &s.w, &s.q), REPLY_SAID);
    CHECK(s.q.tail->data == s.value.data + CODEC_HEAD && s.q.tail->len == n);
    free(body);
    close_stage(&s);
}

static void test_whole(void)
{
    struct stage s = open_stage(0);
    CHECK_INT(say_whole(&s, 201, "X-A: b\nSet-Cookie: c\nSet-Cookie: d\nempty: \n", "body"), 0);
    CHECK_SAID(s, "HTTP/1.1 201 Created\r\nX-A: b\r\nSet-Cookie: c\r\nSet-Cookie: d\r\n"
                  "empty: \r\n" DATED "content-length: 4\r\n\r\nbody");
    close_stage(&s);
}

static void test_whole_by_status(void)
{
    static const struct {
        uint8_t flags;
        int status;
        const char *fields;
        const char *body;
        const char *want; /* between the status line and what follows its date */
    } examples[] = {
        {0, 204, "", "x", "204 No Content\r\n" DATED "\r\n"},
        {0, 204, "Content-Length: 0\n", NULL, "204 No Content\r\n" DATED "\r\n"},
        {0, 304, "ETag: \"a\"\n", NULL, "304 Not Modified\r\nETag: \"a\"\r\n" DATED "\r\n"},
        {0, 304, "content-length: 9\n", NULL,
         "304 Not Modified\r\n" DATED "content-length: 9\r\n\r\n"},
        {0, 200, "", NULL, "200 OK\r\n" DATED "content-length: 0\r\n\r\n"},
        {0, 200, "CONTENT-LENGTH: 2\n", "hi", "200 OK\r\n" DATED "content-length: 2\r\n\r\nhi"},
        {0, 299, "", "x", "299 \r\n" DATED "content-length: 1\r\n\r\nx"},
        {HTTP_HEAD, 200, "", "hi", "200 OK\r\n" DATED "content-length: 2\r\n\r\n"},
        {HTTP_HEAD, 200, "content-length: 9\n", NULL,
         "200 OK\r\n" DATED "content-length: 9\r\n\r\n"},
        {0, 200, "Date: x\n", "", "200 OK\r\nDate: x\r\ncontent-length: 0\r\n\r\n"},
        {0, 200, "Transfer-Encoding: chunked\n", "x",
         "200 OK\r\n" DATED "content-length: 1\r\n\r\nx"},
        {0, 200, "Connection: keep-alive\n", "", "200 OK\r\n" DATED "content-length: 0\r\n\r\n"},
        {0, 200, "Connection: x , Close\n", "",
         "200 OK\r\n" DATED CLOSES "content-length: 0\r\n\r\n"},
    };
    for (size_t i = 0; i < countof(examples); i++) {
        struct stage s = open_stage(examples[i].flags);
        int rc = say_whole(&s, examples[i].status, examples[i].fields, examples[i].body);
        CHECK_INT(rc, strstr(examples[i].want, CLOSES) != NULL ? REPLY_LAST : REPLY_SAID);
        if (CHECK(s.text.len > 9))
            CHECK_MEM(s.text.data + 9, s.text.len - 9, examples[i].want, strlen(examples[i].want));
        close_stage(&s);
    }
}

/* Response splitting and its kin: the handler gets an error, the client none of it. */
static void test_refused(void)
{
    static const struct {
        int status;
        const char *fields;
        const char *body;
    } examples[] = {
        {200, "X: Foo\rBar: x\n", ""},
        {200, "X: \33[31m\n", ""},
        {200, "X: a\177\n", ""},
        {200, "X Bad: y\n", ""},
        {200, "X\r: y\n", ""},
        {200, "X\351: y\n", ""},
        {200, ": y\n", ""},
        {200, "Content-Length: 3\n", "hi"},
        {200, "Content-Length: 1\n", "hi"},
        {200, "Content-Length: 1\n", NULL},
        {200, "Content-Length: +2\n", "hi"},
        {200, "Content-Length: \n", ""},
        {200, "Content-Length: 2\ncontent-length: 2\n", "hi"},
        {99, "", ""},
        {1000, "", ""},
        {-200, "", ""},
        {101, "", ""},
        {100, "", NULL},
    };
    for (size_t i = 0; i < countof(examples); i++) {
        struct stage s = open_stage(HTTP_UPGRADE);
        CHECK_INT(say_whole(&s, examples[i].status, examples[i].fields, examples[i].body),
                  FL_EVALUE);
        CHECK_INT(s.text.len, 0);
        close_stage(&s);
    }
}

static void test_refused_bytes(void)
{
    for (int c = 0; c < 256; c++) {
        const char byte = (char)c;
        struct stage s = open_stage(0);
        put_escape(&s.value, 5, FL_HTTP);
        put(&s.value, 'i', 200);
        put(&s.value, '(', 1);
        put(&s.value, '[', 2);
        put_str(&s.value, 's', "x", 1);
        put_str(&s.value, 'u', &byte, 1);
        buf_put(&s.value, "N", 1);
        bool allowed = c == '\t' || (c >= 0x20 && c != 0x7f);
        CHECK_INT(say(&s), allowed ? REPLY_SAID : FL_EVALUE);
        put_escape(&s.value, 5, FL_HTTP);
        put(&s.value, 'i', 200);
        put(&s.value, '(', 1);
        put(&s.value, '[', 2);
        put_str(&s.value, 's', &byte, 1);
        put_str(&s.value, 'u', "x", 1);
        buf_put(&s.value, "N", 1);
        s.x = (struct exchange){0};
        bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        allowed = word || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
        CHECK_INT(say(&s), allowed ? REPLY_SAID : FL_EVALUE);
        close_stage(&s);
    }
}

/* Values that are no response at all. */
static void test_refused_values(void)
{
    static const struct {
        const char *value;
        size_t len;
    } examples[] = {
        {"i\1\0\0\0", 5},
        {"T", 1},
        {"[\0\0\0\0", 5},
        {"(\0\0\0\0", 5},
        {"{0", 2},
        {"(\1\0\0\0S", 6},
        {"(\2\0\0\0Ss\0\0\0\0", 11},
        {"(\2\0\0\0Si\7\0\0\0", 11},
        {"(\2\0\0\0Si\x0a\0\0\0", 11},                                 /* nothing to end */
        {"(\5\0\0\0Si\x08\0\0\0Ni\0\0\0\0N", 18},                      /* no status */
        {"(\5\0\0\0Si\x08\0\0\0i\xc8\0\0\0NN", 18},                    /* no list */
        {"(\5\0\0\0Si\x08\0\0\0i\xc8\0\0\0[\1\0\0\0NN", 23},           /* no pair */
        {"(\5\0\0\0Si\x08\0\0\0i\xc8\0\0\0[\1\0\0\0(\1\0\0\0NN", 28},  /* of one */
        {"(\5\0\0\0Si\x08\0\0\0i\xc8\0\0\0[\1\0\0\0(\2\0\0\0NNN", 29}, /* of no texts */
        {"(\5\0\0\0Si\x08\0\0\0i\xc8\0\0\0[\0\0\0\0i\0\0\0\0", 26},    /* no body */
        {"(\4\0\0\0Si\x08\0\0\0i\xc8\0\0\0[\0\0\0\0", 21},             /* too short */
    };
    for (size_t i = 0; i < countof(examples); i++) {
        struct stage s = open_stage(0);
        buf_put(&s.value, examples[i].value, examples[i].len);
        CHECK_INT(say(&s), FL_EVALUE);
        close_stage(&s);
    }
}

/* -- bodies that follow -- */

static void test_chunked(void)
{
    struct stage s = open_stage(0);
    CHECK_INT(say_start(&s, 200, "x: y\n"), REPLY_SAID);
    CHECK_INT(s.x.stage, STAGE_CHUNKED);
    CHECK_INT(say_str(&s, 's', "hello, world! And", 17), REPLY_SAID);
    CHECK_INT(say_str(&s, 's', "", 0), REPLY_SAID); /* would be the last chunk */
    put(&s.value, '[', 2);
    put_str(&s.value, 'u', "a", 1);
    put_str(&s.value, 's', "b", 1);
    CHECK_INT(say(&s), REPLY_SAID);
    CHECK_INT(say_end(&s), REPLY_SAID);
    CHECK_SAID(s, OK "x: y\r\ntransfer-encoding: chunked\r\n" DATED "\r\n"
                     "11\r\nhello, world! And\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
    CHECK_INT(s.x.stage, STAGE_NONE);
    CHECK_INT(say_str(&s, 's', "x", 1), FL_EVALUE);
    CHECK_INT(say_end(&s), FL_EVALUE);
    close_stage(&s);
}

static void test_large_chunks_are_lent(void)
{
    size_t n = 0x12345;
    char *body = calloc(n, 1);
    struct stage s = open_stage(0);
    if (!CHECK(body != NULL))
        return;
    CHECK_INT(say_start(&s, 200, ""), REPLY_SAID);
    size_t head = s.text.len;
    put_str(&s.value, 's', body, n);
    struct codec_reader in = {s.value.data, s.value.data + s.value.len};
    CHECK_INT(s.f.protocol->reply(&s.f, &s.x, &in, &s.w, &s.q), REPLY_SAID);
    CHECK(s.q.head->next->data == s.value.data + CODEC_HEAD);
    flatten(&s.q, &s.text);
    CHECK_INT(s.text.len, (long long)(head + 7 + n + 2));
    CHECK_MEM(s.text.data + head, 7, "12345\r\n", 7);
    CHECK_MEM(s.text.data + s.text.len - 2, 2, "\r\n", 2);
    free(body);
    close_stage(&s);
}

static void test_counted(void)
{
    struct stage s = open_stage(0);
    CHECK_INT(say_start(&s, 200, "content-length: 5\n"), REPLY_SAID);
    CHECK_INT(say_str(&s, 's', "abc", 3), REPLY_SAID);
    CHECK_INT(s.x.left, 2);
    CHECK_INT(say_str(&s, 's', "de", 2), REPLY_SAID);
    CHECK_INT(say_end(&s), REPLY_SAID);
    CHECK_SAID(s, OK "content-length: 5\r\n" DATED "\r\nabcde");
    close_stage(&s);
}

static void test_counted_too_long(void)
{
    struct stage s = open_stage(0);
    CHECK_INT(say_start(&s, 200, "content-length: 2\n"), REPLY_SAID);
    put(&s.value, '[', 3);
    put_str(&s.value, 's', "a", 1);
    put_str(&s.value, 's', "bcd", 3);
    put_str(&s.value, 's', "e", 1);
    CHECK_INT(say(&s), REPLY_LAST);
    CHECK_SAID(s, OK "content-length: 2\r\n" DATED "\r\nab");
    CHECK_INT(s.x.stage, STAGE_NONE);
    close_stage(&s);
}

static void test_counted_too_short(void)
{
    struct stage s = open_stage(0);
    CHECK_INT(say_start(&s, 200, "content-length: 2\n"), REPLY_SAID);
    CHECK_INT(say_str(&s, 's', "a", 1), REPLY_SAID);
    CHECK_INT(say_end(&s), REPLY_LAST);
    close_stage(&s);
}

static void test_until_close(void)
{
    struct stage s = open_stage(HTTP_OLD | HTTP_KEPT);
    CHECK_INT(say_start(&s, 200, ""), REPLY_SAID);
    CHECK_INT(say_str(&s, 's', "a", 1), REPLY_SAID);
    CHECK_INT(say_end(&s), REPLY_LAST);
    CHECK_SAID(s, OK DATED CLOSES "\r\na");
    close_stage(&s);
}

static void test_muted(void)
{
    static const struct {
        uint8_t flags;
        int status;
        const char *fields;
        const char *want;
    } examples[] = {
        {HTTP_HEAD, 200, "", OK DATED "\r\n"},
        {HTTP_HEAD, 200, "content-length: 7\n", OK "content-length: 7\r\n" DATED "\r\n"},
        {0, 204, "content-length: 7\n", "HTTP/1.1 204 No Content\r\n" DATED "\r\n"},
        {HTTP_OLD | HTTP_KEPT, 304, "",
         "HTTP/1.1 304 Not Modified\r\n" DATED "connection: keep-alive\r\n\r\n"},
    };
    for (size_t i = 0; i < countof(examples); i++) {
        struct stage s = open_stage(examples[i].flags);
        CHECK_INT(say_start(&s, examples[i].status, examples[i].fields), REPLY_SAID);
        CHECK_INT(s.x.stage, STAGE_MUTE);
        CHECK_INT(say_str(&s, 's', "abc", 3), REPLY_SAID);
        CHECK_INT(say_end(&s), REPLY_SAID);
        CHECK_MEM(s.text.data, s.text.len, examples[i].want, strlen(examples[i].want));
        close_stage(&s);
    }
}

/* The body may still be read while the response is sent; the connection ends if it was not. */
static void test_start_before_the_body_came(void)
{
    struct stage s = open_stage(HTTP_OPEN);
    CHECK_INT(say_start(&s, 200, ""), REPLY_SAID);
    CHECK_SAID(s, OK "transfer-encoding: chunked\r\n" DATED "\r\n");
    CHECK_INT(say_end(&s), REPLY_LAST);
    close_stage(&s);
    s = open_stage(HTTP_OPEN);
    CHECK_INT(say_start(&s, 200, ""), REPLY_SAID);
    s.x.flags &= (uint8_t)~HTTP_OPEN;
    CHECK_INT(say_end(&s), REPLY_SAID);
    close_stage(&s);
    s = open_stage(0);
    CHECK_INT(say_start(&s, 200, "connection: close\n"), REPLY_SAID);
    CHECK_SAID(s, OK "transfer-encoding: chunked\r\n" DATED CLOSES "\r\n");
    CHECK_INT(say_end(&s), REPLY_LAST);
    close_stage(&s);
}

static void test_interim(void)
{
    struct stage s = open_stage(0);
    CHECK_INT(say_start(&s, 103, "link: x\n"), REPLY_SAID);
    CHECK_INT(s.x.stage, STAGE_NEW);
    buf_put(&s.value, "N", 1);
    CHECK_INT(say(&s), REPLY_SAID);
    CHECK_SAID(s, "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
                  "HTTP/1.1 204 No Content\r\n" DATED "\r\n");
    close_stage(&s);
    s = open_stage(HTTP_OLD);
    CHECK_INT(say_start(&s, 103, "link: x\n"), REPLY_SILENT);
    CHECK_INT(s.text.len, 0);
    close_stage(&s);
}

static void test_switching(void)
{
    struct stage s = open_stage(HTTP_UPGRADE);
    CHECK_INT(say_start(&s, 101, "Upgrade: x\nConnection: Upgrade\n"), REPLY_SAID);
    CHECK_INT(say_str(&s, 's', "\1\2", 2), REPLY_SAID);
    CHECK_INT(say_end(&s), REPLY_LAST);
    CHECK_SAID(s, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n" DATED
                  "connection: upgrade\r\n\r\n\1\2");
    close_stage(&s);
    s = open_stage(0);
    CHECK_INT(say_start(&s, 101, "Upgrade: x\n"), FL_EVALUE); /* nobody asked for it */
    close_stage(&s);
}

static void test_refused_while_begun(void)
{
    struct stage s = open_stage(0);
    CHECK_INT(say_start(&s, 200, ""), REPLY_SAID);
    size_t len = s.text.len;
    CHECK_INT(say_start(&s, 200, ""), FL_EVALUE);
    CHECK_INT(say_whole(&s, 200, "", ""), FL_EVALUE);
    buf_put(&s.value, "N", 1);
    CHECK_INT(say(&s), FL_EVALUE);
    put(&s.value, '[', 2);
    put_str(&s.value, 's', "a", 1);
    put(&s.value, 'i', 1);
    CHECK_INT(say(&s), FL_EVALUE);
    CHECK_INT(s.text.len, (long long)len);
    CHECK_INT(s.x.stage, STAGE_CHUNKED);
    close_stage(&s);
}

/* -- the server's own -- */

static int answer(struct stage *s, int status, const char *text)
{
    int rc = s->f.protocol->answer(&s->f, &s->x, status, text, &s->w, &s->q);
    flatten(&s->q, &s->text);
    return rc;
}

static void test_answers(void)
{
    struct stage s = open_stage(HTTP_CLOSE);
    CHECK_INT(answer(&s, 400, "no Host"), REPLY_LAST);
    CHECK_SAID(s, "HTTP/1.1 400 Bad Request\r\n" DATED CLOSES
                  "content-type: text/plain; charset=utf-8\r\ncontent-length: 7\r\n\r\nno Host");
    CHECK_INT(answer(&s, 500, NULL), REPLY_SILENT); /* it was answered */
    close_stage(&s);
    s = open_stage(HTTP_HEAD);
    CHECK_INT(answer(&s, 500, NULL), REPLY_SAID);
    CHECK_SAID(s, "HTTP/1.1 500 Internal Server Error\r\n" DATED
                  "content-type: text/plain; charset=utf-8\r\ncontent-length: 21\r\n\r\n");
    close_stage(&s);
    s = open_stage(HTTP_CLOSE);
    CHECK_INT(answer(&s, 503, NULL), REPLY_LAST);
    CHECK_SAID(s, "HTTP/1.1 503 Service Unavailable\r\n" DATED CLOSES
                  "content-type: text/plain; charset=utf-8\r\nretry-after: 1\r\n"
                  "content-length: 19\r\n\r\nService Unavailable");
    close_stage(&s);
    s = open_stage(0);
    CHECK_INT(say_start(&s, 200, ""), REPLY_SAID);
    size_t len = s.text.len;
    CHECK_INT(answer(&s, 500, NULL), REPLY_LAST); /* no last chunk: it is not complete */
    CHECK_INT(s.text.len, (long long)len);
    close_stage(&s);
}

static void test_reasons_fit_the_room(void)
{
    for (int status = 100; status < 1000; status++)
        CHECK(9 + 3 + 1 + strlen(http_reason(status)) + 2 <= HTTP_STATUS);
    CHECK_STR(http_reason(404), strlen(http_reason(404)), "Not Found");
    char line[HTTP_GENERAL + HTTP_LENGTH];
    struct stage s = open_stage(HTTP_KEPT);
    CHECK(http_general(line, &s.f, &s.x, false) - line <= HTTP_GENERAL);
    CHECK(http_length(line, INT64_MAX) - line <= HTTP_LENGTH);
    close_stage(&s);
}

/* Of each kind, with what must have been said before it. */
static const struct kind {
    const char *before;
    const char *fields;
    char what; /* whole, start, piece, Piece that is large, end, text, Text that is large, list */
    int rc;
} kinds[] = {
    {NULL, "a: b\n", 'w', REPLY_SAID},
    {NULL, "a: b\n", 's', REPLY_SAID},
    {NULL, "content-length: 9\n", 's', REPLY_SAID},
    {"", NULL, 'p', REPLY_SAID},
    {"", NULL, 'P', REPLY_SAID},
    {"", NULL, 'e', REPLY_SAID},
    {"", NULL, 'l', REPLY_SAID},
    {"content-length: 99999\n", NULL, 'P', REPLY_SAID},
    {NULL, NULL, 'T', REPLY_SAID},
    {NULL, NULL, 't', REPLY_LAST}, /* the request asked for the close */
    {NULL, NULL, 'l', FL_EVALUE},
};

enum { LARGE = 30000 };

static void put_kind(struct buf *value, const struct kind *k)
{
    static const char large[LARGE];
    switch (k->what) {
    case 'w':
    case 's':
        put_escape(value, k->what == 'w' ? 5 : 4, k->what == 'w' ? FL_HTTP : FL_HTTP_START);
        put(value, 'i', 200);
        put_fields(value, k->fields);
        if (k->what == 'w')
            put_str(value, 's', "body", 4);
        break;
    case 'P':
    case 'T': put_str(value, 's', large, sizeof large); break;
    case 'e': put_escape(value, 2, FL_HTTP_END); break;
    case 'l':
        put(value, '[', 2);
        put_str(value, 's', "a", 1);
        put_str(value, 'u', "b", 1);
        break;
    default: put_str(value, 'u', "piece", 5); break;
    }
}

static struct stage open_kind(const struct kind *k)
{
    struct stage s = open_stage(k->what == 't' ? HTTP_CLOSE : 0);
    if (k->before != NULL)
        CHECK_INT(say_start(&s, 200, k->before), REPLY_SAID);
    put_kind(&s.value, k);
    return s;
}

static void test_without_memory(void)
{
    for (size_t i = 0; i < countof(kinds); i++) {
        bool failed = true;
        for (int n = 1; failed; n++) {
            struct stage s = open_kind(&kinds[i]);
            struct codec_reader in = {s.value.data, s.value.data + s.value.len};
            const struct exchange before = s.x;
            while (s.w.spare != NULL) /* so that spans have to be asked for */
                s.w.spare = s.w.spare->next;
            s.w.at = s.w.end = NULL;
            oom_arm(n);
            int rc = s.f.protocol->reply(&s.f, &s.x, &in, &s.w, &s.q);
            failed = oom_disarm();
            CHECK_INT(rc, failed ? -ENOMEM : kinds[i].rc);
            CHECK(!failed || is_as_before(&s.x, &before));
            close_stage(&s);
        }
    }
}

/* What was cut short is no outbox, or no response; and nothing was said of it. */
static void test_prefixes(void)
{
    for (size_t i = 0; i < countof(kinds); i++) {
        struct stage whole = open_kind(&kinds[i]);
        for (size_t cut = 0; cut < whole.value.len && cut < 100; cut++) {
            struct stage s = open_kind(&kinds[i]);
            size_t said = s.q.bytes;
            s.value.len = cut;
            int rc = say(&s);
            CHECK(rc == FL_EOUTBOX || rc == FL_EVALUE);
            CHECK_INT(s.q.bytes, (long long)said);
            close_stage(&s);
        }
        close_stage(&whole);
    }
}

/* -- dates -- */

static void test_dates(void)
{
    static const struct {
        int64_t second;
        const char *text;
    } examples[] = {
        {784111777, NOW},
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"},
        {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
        {INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"},
        {-1, "Wed, 31 Dec 1969 23:59:59 GMT"},
        {INT64_MIN, "Sat, 01 Jan 0000 00:00:00 GMT"},
    };
    for (size_t i = 0; i < countof(examples); i++) {
        char text[DATE_LEN];
        CHECK(date_format(text, examples[i].second) == text + DATE_LEN);
        CHECK_MEM(text, DATE_LEN, examples[i].text, strlen(examples[i].text));
    }
    struct date d = {0};
    date_refresh(&d);
    char text[DATE_LEN];
    date_format(text, d.second);
    CHECK(d.second > 1700000000);
    CHECK_MEM(d.text, DATE_LEN, text, DATE_LEN);
    int64_t before;
    do { /* within the same second nothing is written */
        before = d.second;
        d.text[0] = 'x';
        date_refresh(&d);
    } while (d.second != before);
    CHECK(d.text[0] == 'x');
    d.second = 1;
    date_refresh(&d);
    CHECK(d.second > 1700000000 && d.text[0] != 'x');
}

int main(void)
{
    test_plain();
    test_plain_by_flags();
    test_none();
    test_large_bodies_are_lent();
    test_whole();
    test_whole_by_status();
    test_refused();
    test_refused_bytes();
    test_refused_values();
    test_chunked();
    test_large_chunks_are_lent();
    test_counted();
    test_counted_too_long();
    test_counted_too_short();
    test_until_close();
    test_muted();
    test_start_before_the_body_came();
    test_interim();
    test_switching();
    test_refused_while_begun();
    test_answers();
    test_reasons_fit_the_room();
    test_without_memory();
    test_prefixes();
    test_dates();
    return t_end();
}
