/* Invariant: any bytes are either read as one value, wherever that is done, or refused as an
 * outbox.
 *
 * The first byte of the input picks the protocol (low half) and the RESP dialect or the state of an
 * exchange of HTTP (high half); the others are the outbox. Reading, skipping, copying and replying
 * must agree on where a value ends; a copy of a copy is the same; a reply that fails leaves, once
 * undone, what was there before it.
 */
#include <stdlib.h>

#include "codec.h"
#include "date.h"
#include "fastloop.h"
#include "frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static const char *const names[16] = {
    "resp",  "resp",   "raw",  "line", "u8",   "u16be", "u16le", "u32be",
    "u32le", "varint", "http", "http", "http", "http",  "resp",  "resp",
};

static const struct date date = {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"};
static const struct http_settings settings = {.date = &date};

/* Of HTTP: the request asked for and the stage of the response, by how they are numbered. */
static const struct exchange exchanges[16] = {
    {.flags = 0},
    {.flags = HTTP_HEAD},
    {.flags = HTTP_CLOSE},
    {.flags = HTTP_OLD | HTTP_KEPT},
    {.flags = HTTP_UPGRADE},
    {.flags = HTTP_OPEN},
    {.stage = STAGE_CHUNKED},
    {.stage = STAGE_COUNTED, .left = 0},
    {.stage = STAGE_COUNTED, .left = 10},
    {.stage = STAGE_RAW},
    {.stage = STAGE_MUTE},
    {.stage = STAGE_NONE},
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_copy(const char *data, size_t n, const char *skipped)
{
    struct codec_reader r = {data, data + n};
    struct buf once = {0};
    struct buf twice = {0};
    if (codec_copy(&r, &once) == 0) {
        struct codec_reader again = {once.data, once.data + once.len};
        require(skipped == NULL || skipped == r.at);
        require(codec_copy(&again, &twice) == 0 && again.at == again.end);
        require(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    }
    buf_free(&once);
    buf_free(&twice);
}

static bool is_as_before(const struct exchange *x, const struct exchange *before)
{
    return x->left == before->left && x->dialect == before->dialect && x->flags == before->flags &&
           x->stage == before->stage;
}

static void check_reply(const struct framing *f, uint8_t state, const char *data, size_t n,
                        const char *skipped)
{
    struct codec_reader r = {data, data + n};
    struct wire w;
    struct queue q = {0};
    const struct exchange before =
        f->protocol == &protocol_http ? exchanges[state] : (struct exchange){.dialect = state % 4};
    struct exchange x = before;
    wire_init(&w);
    require(wire_put(&w, &q, "before", 6) == 0);
    struct wire_mark mark = wire_mark(&q);
    int rc = f->protocol->reply(f, &x, &r, &w, &q);
    require(rc == REPLY_SAID || rc == REPLY_SILENT || rc == FL_EVALUE || rc == FL_EOUTBOX ||
            (rc == REPLY_LAST && f->protocol == &protocol_http));
    require(rc >= 0 || is_as_before(&x, &before));
    require(rc < 0 || skipped == r.at);
    require(rc != REPLY_SILENT || q.bytes == 6);
    wire_undo(&w, &q, mark);
    require(q.bytes == 6 && q.head == q.tail && q.head->len == 6);
    require(memcmp(q.head->data, "before", 6) == 0);
    wire_drop(&w, &q);
    wire_free(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size < 1)
        return 0;
    struct framing f;
    size_t n = size - 1;
    char *data = malloc(n); /* of its own, so that its end is guarded */
    if (data == NULL)
        abort();
    if (n > 0)
        memcpy(data, input + 1, n);
    struct codec_reader r = {data, data + n};
    const char *skipped = codec_skip(&r) == 0 ? r.at : NULL;
    check_copy(data, n, skipped);
    require(framing_init(&f, names[input[0] & 15], NULL, 0, 1000) == 0);
    f.http = &settings;
    check_reply(&f, input[0] >> 4, data, n, skipped);
    free(data);
    return 0;
}
