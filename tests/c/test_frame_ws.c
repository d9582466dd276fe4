/* Frames of WebSocket in, whole, byte by byte and cut anywhere, against an unreadable page; what is
 * refused, with its code; values out. The inputs are written unmasked and masked here. */
#include <errno.h>

#include "feed_ws.h"
#include "ws_bytes.h"

enum { MAX = 400, INPUT = 1 << 16 };

struct input {
    char data[INPUT];
    size_t len;
};

/* Appends a frame. `width` is of the length: 0, 2 or 8 bytes; -1: the shortest. */
static void frame_as(struct input *in, int first, bool masked, int width, const void *payload,
                     size_t n)
{
    static const char key[WS_KEY] = {0x12, (char)0x9a, 0, 0x7f};
    char *p = in->data + in->len;
    if (width < 0)
        width = n < 126 ? 0 : n < 65536 ? 2 : 8;
    *p++ = (char)first;
    *p++ = (char)((masked ? 0x80 : 0) | (width == 0 ? (int)n : width == 2 ? 126 : 127));
    for (int i = width - 1; i >= 0; i--)
        *p++ = i > 7 ? 0 : (char)((uint64_t)n >> 8 * i);
    if (masked) {
        memcpy(p, key, sizeof key);
        p += sizeof key;
        ws_mask(p, payload, n, key, 0);
    } else {
        memcpy(p, payload, n);
    }
    in->len = (size_t)(p + n - in->data);
}

static void frame(struct input *in, int first, const void *payload, size_t n)
{
    frame_as(in, first, true, -1, payload, n);
}

#define FRAME(in, first, literal) frame(in, first, literal, sizeof(literal) - 1)

static struct ws_zip *zip;

static const struct copier guarded = {t_guard, t_unguard};

static void expect_with(uint8_t step, const struct input *in, const char *want, int line)
{
    struct framing f;
    struct buf text = {0};
    CHECK_INT(framing_init(&f, "ws", NULL, 0, MAX), 0);
    bool same = true;
    size_t cuts = in->len > 2000 ? 40 : in->len;
    for (size_t cut = 0; cut <= cuts && same; cut++) {
        feed_ws(&f, zip, step, in->data, in->len, cut, in->len + 1, &guarded, &text);
        same &= CHECK_MEM(text.data, text.len, want, strlen(want));
    }
    if (in->len <= 2000)
        feed_ws(&f, zip, step, in->data, in->len, 1, 1, &guarded, &text);
    same &= CHECK_MEM(text.data, text.len, want, strlen(want));
    if (!same)
        fprintf(stderr, "in the example of line %d\n", line);
    buf_free(&text);
}

#define EXPECT(in, want) expect_with(0, &(in), want, __LINE__)

/* -- messages -- */

static void takes_messages(void)
{
    struct input in = {.len = 0};
    FRAME(&in, 0x81, "hi");
    FRAME(&in, 0x82, "\1\2");
    FRAME(&in, 0x81, "");
    FRAME(&in, 0x82, "");
    FRAME(&in, 0x81, "gr\xc3\xbc\xc3\x9f dich, \xe2\x82\xac \xf0\x9f\x90\x8d");
    EXPECT(in, "[hi]{\1\2}[]{}[gr\xc3\xbc\xc3\x9f dich, \xe2\x82\xac \xf0\x9f\x90\x8d]");
    char longer[MAX + 3], want[MAX + 3];
    memset(longer, 'x', sizeof longer);
    size_t lengths[] = {125, 126, 127, 255, 256, MAX};
    for (size_t i = 0; i < countof(lengths); i++) {
        in.len = 0;
        frame(&in, 0x81, longer, lengths[i]);
        snprintf(want, sizeof want, "[%.*s]", (int)lengths[i], longer);
        EXPECT(in, want);
    }
}

static void joins_fragments(void)
{
    struct input in = {.len = 0};
    FRAME(&in, 0x01, "a\xe2");
    FRAME(&in, 0x89, "pi");
    FRAME(&in, 0x00, "\x82");
    FRAME(&in, 0x00, "");
    FRAME(&in, 0x8a, "po");
    FRAME(&in, 0x89, "");
    FRAME(&in, 0x80, "\xac!");
    FRAME(&in, 0x81, "next");
    EXPECT(in, "<ping pi><pong po><ping >[a\xe2\x82\xac!][next]");
    in.len = 0;
    FRAME(&in, 0x02, "a\xff");
    FRAME(&in, 0x80, "");
    FRAME(&in, 0x02, "b");
    EXPECT(in, "{a\xff}+7");
}

static void takes_control_frames(void)
{
    struct input in = {.len = 0};
    char most[125];
    memset(most, 'p', sizeof most);
    frame(&in, 0x89, most, sizeof most);
    FRAME(&in, 0x8a, "x");
    FRAME(&in, 0x88, "\x03\xe8so \xc3\xbc");
    char want[200];
    snprintf(want, sizeof want, "<ping %.125s><pong x><close 1000 so \xc3\xbc>", most);
    EXPECT(in, want);
    in.len = 0;
    FRAME(&in, 0x88, "");
    EXPECT(in, "<close 1005 >");
}

static void refuses_bad_frames(void)
{
    static const int firsts[] = {0x91, 0xa1, 0xc1, 0xf2, 0xc9, 0x83, 0x84, 0x87,
                                 0x8b, 0x8f, 0x09, 0x08, 0x0a, 0x80, 0x00, 0xc0};
    for (size_t i = 0; i < countof(firsts); i++) {
        struct input in = {.len = 0};
        FRAME(&in, 0x81, "ok");
        FRAME(&in, firsts[i], "x");
        EXPECT(in, "[ok]!1002");
    }
    struct input in = {.len = 0};
    FRAME(&in, 0x01, "a");
    FRAME(&in, 0x81, "b");
    EXPECT(in, "!1002");
    in.len = 0;
    frame_as(&in, 0x81, false, -1, "a", 1);
    EXPECT(in, "!1002");
    char longer[MAX + 1];
    memset(longer, 'x', sizeof longer);
    in.len = 0;
    frame(&in, 0x89, longer, 126);
    EXPECT(in, "!1002");
}

static void refuses_bad_lengths(void)
{
    char longer[MAX + 1];
    struct input in = {.len = 0};
    memset(longer, 'x', sizeof longer);
    frame_as(&in, 0x82, true, 2, longer, 125);
    EXPECT(in, "!1002");
    in.len = 0;
    frame_as(&in, 0x82, true, 8, longer, 300);
    EXPECT(in, "!1002");
    in = (struct input){.data = "\x82\xff\x80\0\0\0\0\1\0\0abcd", .len = 14};
    EXPECT(in, "!1002");
    in = (struct input){.data = "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff", .len = 10};
    EXPECT(in, "!1009");
    in.len = 0;
    frame(&in, 0x82, longer, MAX + 1);
    EXPECT(in, "!1009");
    in.len = 0;
    frame(&in, 0x02, longer, MAX);
    FRAME(&in, 0x89, "p");
    FRAME(&in, 0x80, "y");
    EXPECT(in, "<ping p>!1009");
    in.len = 0;
    FRAME(&in, 0x02, "");
    while (in.len < INPUT - 8) /* a flood of nothing must not fill the memory */
        FRAME(&in, 0x00, "");
    struct framing f;
    struct buf text = {0};
    CHECK_INT(framing_init(&f, "ws", NULL, 0, 1), 0);
    feed_ws(&f, zip, 0, in.data, in.len, in.len, 1, &guarded, &text);
    CHECK_INT(text.data[0], '+');
    buf_free(&text);
}

/* Control frames between the fragments of a message are no way to fill the memory either. */
static void refuses_a_flood_between_fragments(void)
{
    enum { FLOOD = 4 * MAX + (1 << 16) };
    static const char pong[] = "\x8a\x84\0\0\0\0pong";
    struct framing f;
    struct progress p = {.step = 0};
    struct message m = {0};
    struct buf in = {0};
    ssize_t rc = 0;
    CHECK_INT(framing_init(&f, "ws", NULL, 0, MAX), 0);
    buf_put(&in, "\x01\x81\0\0\0\0a", 7);
    for (size_t i = 0; i < FLOOD / 5; i++)
        buf_put(&in, pong, sizeof pong - 1);
    while ((rc = protocol_ws.scan(&f, &p, in.data, in.len, &m)) == FRAME_CONTROL)
        CHECK(p.seen <= FLOOD + sizeof pong);
    CHECK_INT(rc, FL_ELIMIT);
    CHECK_INT(m.status, 1009);
    buf_free(&in);
}

static void refuses_what_is_no_text(void)
{
    static const char *const bad[] = {"\xff", "a\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                      "\x80"};
    for (size_t i = 0; i < countof(bad); i++) {
        struct input in = {.len = 0};
        frame(&in, 0x81, bad[i], strlen(bad[i]));
        EXPECT(in, "!1007");
        in.len = 0;
        FRAME(&in, 0x01, "fine");
        frame(&in, 0x00, bad[i], strlen(bad[i])); /* and not only at the end of the message */
        EXPECT(in, "!1007");
    }
    struct input in = {.len = 0};
    FRAME(&in, 0x01, "\xe2");
    FRAME(&in, 0x80, "\x82");
    EXPECT(in, "!1007");
}

static void refuses_bad_closes(void)
{
    static const int codes[] = {0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000};
    static const int fine[] = {1000, 1001, 1002, 1003, 1007, 1008, 1011, 1014, 3000, 3999, 4999};
    for (size_t i = 0; i < countof(codes) + countof(fine); i++) {
        bool good = i >= countof(codes);
        int code = good ? fine[i - countof(codes)] : codes[i];
        char payload[2] = {(char)(code >> 8), (char)code}, want[32];
        struct input in = {.len = 0};
        frame(&in, 0x88, payload, 2);
        snprintf(want, sizeof want, good ? "<close %d >" : "!1002", code);
        EXPECT(in, want);
    }
    struct input in = {.len = 0};
    FRAME(&in, 0x88, "\x03");
    EXPECT(in, "!1002");
    in.len = 0;
    FRAME(&in, 0x88, "\x03\xe8\xff");
    EXPECT(in, "!1007");
}

/* -- compressed -- */

static void expands_messages(void)
{
    const struct ws_zip_options o = {.largest = MAX, .level = 6, .in_bits = 15, .out_bits = 15};
    zip = ws_zip_new(&o);
    struct input in = {.len = 0};
    FRAME(&in, 0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00");
    FRAME(&in, 0x42, "\xf2\x48\xcd");
    FRAME(&in, 0x89, "");
    FRAME(&in, 0x80, "\xc9\xc9\x07\x00");
    FRAME(&in, 0x81, "plain");
    expect_with(WS_MAY_BE_ZIPPED, &in, "[Hello]<ping >{Hello}[plain]", __LINE__);
    in.len = 0;
    FRAME(&in, 0x41, "\xf2");
    FRAME(&in, 0xc0, "\x48");
    expect_with(WS_MAY_BE_ZIPPED, &in, "!1002", __LINE__);
    char zeros[2 * MAX] = {0}, zipped[2 * MAX];
    ssize_t len = ws_zip_compress(zip, 15, zeros, MAX + 1, zipped);
    in.len = 0;
    frame(&in, 0xc2, zipped, (size_t)len);
    FRAME(&in, 0xc2, "\xff\xff");
    len = ws_zip_compress(zip, 15, "\xff", 1, zipped);
    frame(&in, 0xc1, zipped, (size_t)len);
    expect_with(WS_MAY_BE_ZIPPED, &in, "!big!bad!bad", __LINE__);
    ws_zip_free(zip);
}

/* -- out -- */

static int say(const char *value, size_t n, uint8_t dialect, struct buf *out)
{
    const struct ws_zip_options o = {.largest = MAX, .level = 6, .in_bits = 15, .out_bits = 12};
    struct ws_settings ws = {.zip = ws_zip_new(&o), .threshold = 20};
    struct framing f;
    struct wire w;
    struct queue q = {0};
    struct exchange x = {.dialect = dialect};
    struct codec_reader r = {value, value + n};
    wire_init(&w);
    framing_init(&f, "ws", NULL, 0, MAX);
    f.ws = &ws;
    int rc = protocol_ws.reply(&f, &x, &r, &w, &q);
    out->len = 0;
    for (struct span *s = q.head; s != NULL && rc >= 0; s = s->next)
        buf_put(out, s->data, s->len);
    wire_drop(&w, &q);
    wire_free(&w);
    ws_zip_free(ws.zip);
    return rc;
}

static void writes_values(void)
{
    struct buf out = {0};
    CHECK_INT(say("u\2\0\0\0hi", 7, 0, &out), REPLY_SAID);
    CHECK_STR(out.data, out.len, "\x81\2hi");
    CHECK_INT(say("s\2\0\0\0\0\1", 7, 0, &out), REPLY_SAID);
    CHECK_STR(out.data, out.len, "\x82\2\0\1");
    CHECK_INT(say("N", 1, 0, &out), REPLY_SILENT);
    CHECK_INT(say("[\3\0\0\0u\1\0\0\0aNs\1\0\0\0b", 18, 0, &out), REPLY_SAID);
    CHECK_STR(out.data, out.len, "\x81\1a\x82\1b");
    CHECK_INT(say("i\1\0\0\0", 5, 0, &out), FL_EVALUE);
    CHECK_INT(say("u\3\0\0\0\xed\xa0\x80", 8, 0, &out), FL_EVALUE); /* a lone surrogate */
    CHECK_INT(say("[\1\0\0\0T", 6, 0, &out), FL_EVALUE);
    static const struct {
        uint32_t len;
        const char *head;
        size_t head_len;
    } sizes[] = {
        {125, "\x82\x7d", 2},
        {126, "\x82\x7e\0\x7e", 4},
        {65535, "\x82\x7e\xff\xff", 4},
        {65536, "\x82\x7f\0\0\0\0\0\1\0\0", 10},
    };
    for (size_t i = 0; i < countof(sizes); i++) {
        uint32_t n = sizes[i].len;
        char *value = calloc(1, n + CODEC_HEAD);
        codec_bytes_head(value, n);
        CHECK_INT(say(value, n + CODEC_HEAD, 0, &out), REPLY_SAID);
        CHECK_INT((long long)out.len, (long long)(n + sizes[i].head_len));
        CHECK_MEM(out.data, sizes[i].head_len, sizes[i].head, sizes[i].head_len);
        free(value);
    }
    buf_free(&out);
}

static void compresses_what_is_long(void)
{
    struct buf out = {0};
    char value[105];
    memset(value, 'a', sizeof value);
    codec_text_head(value, 100);
    CHECK_INT(say(value, sizeof value, 12, &out), REPLY_SAID);
    CHECK_INT((unsigned char)out.data[0], 0xc1);
    CHECK(out.len < 20);
    codec_text_head(value, 19);
    CHECK_INT(say(value, 24, 12, &out), REPLY_SAID);
    CHECK_INT((unsigned char)out.data[0], 0x81);
    buf_free(&out);
}

/* What is not said leaves no trace in the context that both ends keep. */
static void forgets_lists_that_fail(void)
{
    static const char first[] = "the quick brown fox jumps over the lazy dog";
    const struct ws_zip_options o = {.largest = MAX,
                                     .level = 6,
                                     .in_bits = 15,
                                     .out_bits = 15,
                                     .keep_in = true,
                                     .keep_out = true};
    struct ws_settings ws = {.threshold = 1};
    struct ws_zip *ours = ws_zip_new(&o), *theirs = ws_zip_new(&o);
    struct exchange x = {.dialect = 15 | FL_WS_KEEP_OUT, .zip = ours};
    struct framing f;
    struct wire w;
    struct buf plain = {0};
    char list[128], *p = codec_list(list, 2);
    size_t len = 0;
    p = codec_bytes(p, first, sizeof first - 1);
    *p++ = 'T';
    wire_init(&w);
    framing_init(&f, "ws", NULL, 0, MAX);
    f.ws = &ws;
    for (int good = 0; good < 2; good++) {
        struct queue q = {0};
        struct codec_reader r = {list, p};
        CHECK_INT(protocol_ws.reply(&f, &x, &r, &w, &q), good ? REPLY_SAID : FL_EVALUE);
        CHECK((q.head != NULL) == good);
        for (const struct span *s = q.head; s != NULL; s = s->next) /* one frame, its head short */
            CHECK_INT(ws_zip_expand(theirs, s->data + 2, s->len - 2, &plain, &len), 0);
        wire_drop(&w, &q);
        p[-1] = 'N';
    }
    CHECK_INT(ws_zip_expanded(theirs, &plain, &len), 0);
    CHECK_STR(plain.data + plain.len, len, "the quick brown fox jumps over the lazy dog");
    buf_free(&plain);
    wire_free(&w);
    ws_zip_free(ours), ws_zip_free(theirs);
}

int main(void)
{
    takes_messages();
    joins_fragments();
    takes_control_frames();
    refuses_bad_frames();
    refuses_bad_lengths();
    refuses_a_flood_between_fragments();
    refuses_what_is_no_text();
    refuses_bad_closes();
    writes_values();
    if (ws_zip_works()) {
        expands_messages();
        compresses_what_is_long();
        forgets_lists_that_fail();
    }
    return t_end();
}
