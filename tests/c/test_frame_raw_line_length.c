/* test_frame_raw_line_length.c -- the framings whose message is a run of bytes. */
#include <errno.h>

#include "feed.h"
#include "flat.h"
#include "oom.h"
#include "t.h"

static const struct copier guarded = {t_guard, t_unguard};

struct example {
    const char *name;
    const char *delimiter; /* NULL: the default */
    size_t max;
    const char *input;
    size_t len;
    const char *want;
    size_t want_len;
};

#define EXAMPLE(name, delimiter, max, input, want)                                                 \
    {                                                                                              \
        name, delimiter, max, input, sizeof(input) - 1, want, sizeof(want) - 1                     \
    }

static const struct example examples[] = {
    EXAMPLE("line", NULL, 10, "a\nbc\r\n\n\r\nd", "[a][bc][][]+1"),
    EXAMPLE("line", NULL, 10, "a\rb\n\r\r\n", "[a\rb][\r]"),
    EXAMPLE("line", NULL, 3, "abc\nabc\r\nabc\r", "[abc][abc]+4"),
    EXAMPLE("line", NULL, 3, "abcd", "!limit"),
    EXAMPLE("line", NULL, 3, "abcd\n", "!limit"),
    EXAMPLE("line", NULL, 3, "ab\nabc\rd\n", "[ab]!limit"),
    EXAMPLE("line", NULL, 3, "abc\r\r\n", "!limit"),
    EXAMPLE("line", NULL, 3, "a\0b\n\0\n", "[a\0b][\0]"),
    EXAMPLE("line", ";", 3, "abc;;a\r\n;ab", "[abc][][a\r\n]+2"),
    EXAMPLE("line", ";", 3, "abcd", "!limit"),
    EXAMPLE("line", "\r\n", 3, "ab\r\n\r\na\n\r\nabc\r", "[ab][][a\n]+4"),
    EXAMPLE("line", "\r\n", 3, "a\r\r\nabc\r\r\n", "[a\r]!limit"),
    EXAMPLE("line", "aab", 4, "aaabaabxyz", "[a][]+3"),
    EXAMPLE("line", "aab", 4, "xxxxaabxxxxaa", "[xxxx]+6"),
    EXAMPLE("line", "aab", 4, "xxxxaac", "!limit"),
    EXAMPLE("line", "12345678", 2, "12345671234567812345678", "!limit"),
    EXAMPLE("line", "12345678", 9, "12345671234567812345678", "[1234567][]"),
    EXAMPLE("u8", NULL, 255, "\3abc\0\1x\2a", "[abc][][x]+2"),
    EXAMPLE("u8", NULL, 3, "\3abc\4", "[abc]!limit"),
    EXAMPLE("u16be", NULL, 600, "\0\2ab\0\0\2\0a", "[ab][]+3"),
    EXAMPLE("u16be", NULL, 600, "\2\131", "!limit"),
    EXAMPLE("u16le", NULL, 600, "\2\0ab\0\0\0\2a", "[ab][]+3"),
    EXAMPLE("u16le", NULL, 1, "\2\0", "!limit"),
    EXAMPLE("u32be", NULL, 9, "\0\0\0\2ab\0\0\0\0\0\0\0", "[ab][]+3"),
    EXAMPLE("u32be", NULL, 9, "\377\377\377\377", "!limit"),
    EXAMPLE("u32le", NULL, 9, "\2\0\0\0ab\0\0\0\0\1\0\0", "[ab][]+3"),
    EXAMPLE("u32le", NULL, 9, "\0\0\0\1", "!limit"),
    EXAMPLE("varint", NULL, 200, "\2ab\0\377\1ab", "[ab][]!limit"),
    EXAMPLE("varint", NULL, 200, "\2ab\0\200\1ab", "[ab][]+4"),
    EXAMPLE("varint", NULL, 200, "\377\377\377\377\17", "!limit"),
    EXAMPLE("varint", NULL, 200, "\377\377\377\377\20", "!proto"),
    EXAMPLE("varint", NULL, 200, "\377\377\377\377\377", "!proto"),
    EXAMPLE("varint", NULL, 200, "\1a\200\0", "[a]!proto"),
    EXAMPLE("varint", NULL, 200, "\377\377\0", "!proto"),
};

static struct framing make(const char *name, const char *delimiter, size_t max)
{
    struct framing f;
    CHECK_INT(framing_init(&f, name, delimiter, delimiter ? strlen(delimiter) : 0, max), 0);
    return f;
}

static void test_examples(void)
{
    for (size_t i = 0; i < countof(examples); i++) {
        const struct example *e = &examples[i];
        struct framing f = make(e->name, e->delimiter, e->max);
        feed_check(&f, e->input, e->len, &guarded, e->want, e->want_len);
    }
}

static void test_raw(void)
{
    struct framing f = make("raw", NULL, 4);
    struct buf text = {0};
    feed(&f, "abcdefghi", 9, 9, 1, &guarded, &text);
    CHECK_STR(text.data, text.len, "[abcd][efgh][i]");
    feed(&f, "abcdefghi", 9, 3, 9, &guarded, &text);
    CHECK_STR(text.data, text.len, "[abc][defg][hi]");
    feed(&f, "", 0, 0, 1, &guarded, &text);
    CHECK_INT(text.len, 0);
    buf_free(&text);
}

static void test_init(void)
{
    struct framing f;
    CHECK_INT(framing_init(&f, "u24", NULL, 0, 1), -EINVAL);
    CHECK_INT(framing_init(&f, "", NULL, 0, 1), -EINVAL);
    CHECK_INT(framing_init(&f, "line", "", 0, 1), -EINVAL);
    CHECK_INT(framing_init(&f, "line", "123456789", 9, 1), -EINVAL);
    CHECK_INT(framing_init(&f, "line", "12345678", 8, 1), 0);
    CHECK_INT(f.strip_cr, false);
    CHECK_INT(framing_init(&f, "line", NULL, 0, 0), -EINVAL);
    CHECK_INT(framing_init(&f, "line", NULL, 0, (1u << 30) + 1), -EINVAL);
    CHECK_INT(framing_init(&f, "line", NULL, 0, 1u << 30), 0);
    CHECK_INT(f.strip_cr, true);
    CHECK_INT(framing_init(&f, "resp", NULL, 0, 1), 0);
    CHECK(f.protocol == &protocol_resp);
}

/* A line of many pages arrives page by page; the pages that scan() says it has seen are taken away,
 * so that looking at any byte of them again is a fault. */
static void check_linear(const char *delimiter)
{
    struct framing f = make("line", delimiter, 1u << 30);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t n = 32 * page;
    char *data = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!CHECK(data != MAP_FAILED))
        return;
    memset(data, 'x', n);
    memcpy(data + n - f.delimiter_len, f.delimiter, f.delimiter_len);
    struct progress p = {0};
    struct message m = {0};
    for (size_t there = page / 2; there < n; there += page / 2) {
        CHECK_INT(f.protocol->scan(&f, &p, data, there, &m), 0);
        CHECK(p.seen + f.delimiter_len > there);
        if (p.seen >= page)
            mprotect(data, p.seen / page * page, PROT_NONE);
    }
    CHECK_INT(f.protocol->scan(&f, &p, data, n, &m), n);
    CHECK_INT(m.len, n - f.delimiter_len);
    munmap(data, n);
}

static int encode(const struct framing *f, const char *value, size_t len, struct wire *w,
                  struct queue *q)
{
    struct codec_reader r = {value, value + len};
    struct exchange x = {0};
    return f->protocol->reply(f, &x, &r, w, q);
}

static void check_reply(const char *name, const char *delimiter, const char *value, size_t len,
                        int want, const char *sent, size_t sent_len)
{
    struct framing f = make(name, delimiter, 1000);
    struct wire w;
    struct queue q = {0};
    struct buf text = {0};
    char *copy = t_guard(value, len);
    wire_init(&w);
    CHECK_INT(encode(&f, copy, len, &w, &q), want);
    if (want >= 0) {
        flatten(&q, &text);
        CHECK_MEM(text.data, text.len, sent, sent_len);
        CHECK((q.head == NULL) == (sent_len == 0)); /* a span of no bytes would never be sent */
    }
    t_unguard(copy, len);
    wire_drop(&w, &q);
    wire_free(&w);
    buf_free(&text);
}

#define REPLY(name, delimiter, value, want, sent)                                                  \
    check_reply(name, delimiter, value, sizeof(value) - 1, want, sent, sizeof(sent) - 1)

#define ABC "s\3\0\0\0abc"

static void test_replies(void)
{
    REPLY("raw", NULL, ABC, 0, "abc");
    REPLY("raw", NULL, "u\2\0\0\0\303\244", 0, "\303\244");
    REPLY("raw", NULL, "s\0\0\0\0", 0, "");
    REPLY("raw", NULL, "N", 1, "");
    REPLY("raw", NULL, "[\0\0\0\0", 1, "");
    REPLY("raw", NULL, "[\2\0\0\0NN", 1, "");
    REPLY("raw", NULL, "(\3\0\0\0" ABC "Ni\3\0\0\0", 0, "abc3");
    REPLY("raw", NULL, "T", FL_EVALUE, "");
    REPLY("raw", NULL, "g\0\0\0\0\0\0\0\0", FL_EVALUE, "");
    REPLY("raw", NULL, "{0", FL_EVALUE, "");
    REPLY("raw", NULL, "[\1\0\0\0[\0\0\0\0", FL_EVALUE, "");
    REPLY("raw", NULL, "(\2\0\0\0Si\6\0\0\0", FL_EVALUE, "");
    REPLY("raw", NULL, "", FL_EOUTBOX, "");
    REPLY("raw", NULL, "[\2\0\0\0N?", FL_EOUTBOX, "");
    REPLY("line", NULL, ABC, 0, "abc\n");
    REPLY("line", NULL, "s\0\0\0\0", 0, "\n");
    REPLY("line", "--", "[\2\0\0\0" ABC "i\xf6\xff\xff\xff", 0, "abc---10--");
    REPLY("line", NULL, "l\xfb\xff\xff\xff\0\0\0\0\0\0\0\0\x08\0", 0, "-9223372036854775808\n");
    REPLY("line", NULL, "l\x05\0\0\0\0\0\0\0\0\0\0\0\x08\0", FL_EVALUE, "");
    REPLY("u8", NULL, ABC, 0, "\3abc");
    REPLY("u8", NULL, "s\0\0\0\0", 0, "\0");
    REPLY("u16be", NULL, ABC, 0, "\0\3abc");
    REPLY("u16le", NULL, "[\2\0\0\0" ABC ABC, 0, "\3\0abc\3\0abc");
    REPLY("u32be", NULL, ABC, 0, "\0\0\0\3abc");
    REPLY("u32le", NULL, ABC, 0, "\3\0\0\0abc");
    REPLY("varint", NULL, ABC, 0, "\3abc");
}

/* A reply of `len` bytes, copied or lent, must come out behind this prefix; NULL: it does not fit.
 */
static void check_long(const char *name, size_t len, const char *prefix, size_t prefix_len)
{
    char *value = malloc(CODEC_HEAD + len);
    char *want = malloc(prefix_len + len);
    char *body = malloc(len);
    memset(body, 'x', len);
    codec_bytes(value, body, (uint32_t)len);
    if (prefix == NULL) {
        check_reply(name, NULL, value, CODEC_HEAD + len, FL_EVALUE, "", 0);
    } else {
        memcpy(want, prefix, prefix_len);
        memcpy(want + prefix_len, body, len);
        check_reply(name, NULL, value, CODEC_HEAD + len, 0, want, prefix_len + len);
    }
    free(value);
    free(want);
    free(body);
}

static void test_long_replies(void)
{
    check_long("u8", 255, "\377", 1);
    check_long("u8", 256, NULL, 0);
    check_long("u16be", 65535, "\377\377", 2);
    check_long("u16le", 65536, NULL, 0);
    check_long("u32be", 65536, "\0\1\0\0", 4);
    check_long("varint", 127, "\177", 1);
    check_long("varint", 128, "\200\1", 2);
    check_long("varint", 20000, "\240\234\1", 3);
    check_long("raw", 20000, "", 0);
}

/* A list of one short and one long value, each allocation failing in turn. */
static void check_reply_oom(const char *name)
{
    struct framing f = make(name, NULL, 1000);
    struct buf value = {0};
    char *body = calloc(1, FRAME_COPY);
    buf_put(&value, "[\2\0\0\0" ABC, 13);
    codec_bytes(buf_room(&value, CODEC_HEAD + FRAME_COPY), body, FRAME_COPY);
    value.len += CODEC_HEAD + FRAME_COPY;
    bool failed = true;
    for (int n = 1; failed; n++) {
        struct wire w;
        struct queue q = {0};
        wire_init(&w);
        oom_arm(n);
        int rc = encode(&f, value.data, value.len, &w, &q);
        failed = oom_disarm();
        CHECK_INT(rc, failed ? -ENOMEM : 0);
        wire_drop(&w, &q);
        wire_free(&w);
    }
    buf_free(&value);
    free(body);
}

static void test_oom(void)
{
    struct message m = {.data = "abc", .len = 3};
    struct buf inbox = {0};
    oom_arm(1);
    CHECK_INT(frame_deliver_bytes(&m, &inbox), -ENOMEM);
    CHECK(oom_disarm());
    CHECK_INT(inbox.len, 0);
    check_reply_oom("raw");
    check_reply_oom("line");
    check_reply_oom("u32le");
}

int main(void)
{
    test_init();
    test_raw();
    test_examples();
    check_linear(NULL);
    check_linear("::");
    test_replies();
    test_long_replies();
    test_oom();
    return t_end();
}
