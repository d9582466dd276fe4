/* test_frame_resp.c -- RESP requests and replies. */
#include <errno.h>

#include "feed.h"
#include "flat.h"
#include "oom.h"
#include "t.h"

static const struct copier guarded = {t_guard, t_unguard};

struct example {
    size_t max;
    const char *input;
    size_t len;
    const char *want;
    size_t want_len;
};

#define EXAMPLE(max, input, want)                                                                  \
    {                                                                                              \
        max, input, sizeof(input) - 1, want, sizeof(want) - 1                                      \
    }
#define OK(input, want)   EXAMPLE(1000, input, want)
#define ERR(input, text)  EXAMPLE(1000, input, "!proto-ERR Protocol error: " text "\r\n")
#define OVER(max, input)  EXAMPLE(max, input, TOO_BIG)
#define TOO_BIG           "!limit-ERR Protocol error: message over the maximum size\r\n"
#define PING              "*1\r\n$4\r\nPING\r\n"
#define UNBALANCED(input) ERR(input, "unbalanced quotes in request")
#define BAD_COUNT(input)  ERR(input, "invalid multibulk length")
#define BAD_LENGTH(input) ERR(input, "invalid bulk length")

static const struct example examples[] = {
    OK(PING, "[PING]"),
    OK("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n" PING, "[SET|k|][PING]"),
    OK("*2\r\n$4\r\n\r\n*1\r\n$2\r\n\0\377\r\n", "[\r\n*1|\0\377]"),
    OK("*1\r\n$12\r\nabcdefghijkl\r\n*10", "[abcdefghijkl]+3"),
    OK(PING "*2\r\n$3\r\nGET\r\n$1\r\nk\r", "[PING]+19"),
    OK("*0\r\n" PING "*0\r\n", "[PING]"),
    OK("*", "+1"),
    OK("*1\r", "+3"),
    OK("*1\r\n$", "+5"),
    OK("*1\r\n$4\r\nPING", "+12"),
    BAD_COUNT("*-1\r\n"),
    BAD_COUNT("*-0\r\n"),
    BAD_COUNT("*\r\n"),
    BAD_COUNT("*01\r\n"),
    BAD_COUNT("*+1\r\n"),
    BAD_COUNT("* 1\r\n"),
    BAD_COUNT("*1x\r\n"),
    BAD_COUNT("*1\rx"),
    BAD_COUNT("*1\n"),
    BAD_COUNT("*1048577\r\n"),
    BAD_COUNT("*99999999999999999999999\r\n"),
    BAD_LENGTH("*1\r\n$-1\r\n"),
    BAD_LENGTH("*1\r\n$\r\n"),
    BAD_LENGTH("*1\r\n$x\r\n"),
    BAD_LENGTH("*1\r\n$00\r\n"),
    BAD_LENGTH("*1\r\n$4\rPING"),
    BAD_LENGTH("*1\r\n$536870913\r\n"),
    BAD_LENGTH("*1\r\n$18446744073709551617\r\n"),
    BAD_LENGTH("*1\r\n$4\r\nPINGx\n"),
    BAD_LENGTH("*1\r\n$4\r\nPING\rx"),
    BAD_LENGTH("*1\r\n$4\r\nPINGPONG\r\n"),
    ERR("*1\r\nPING\r\n", "expected '$', got 'P'"),
    ERR("*1\r\n:1\r\n", "expected '$', got ':'"),
    ERR("*2\r\n$1\r\na\r\n~", "expected '$', got '~'"),
    ERR("*2\r\n$1\r\na\r\n ", "expected '$', got ' '"),
    ERR("*2\r\n\r\n", "expected '$', got '?'"),
    ERR("*2\r\n\377", "expected '$', got '?'"),
    ERR("*2\r\n\177", "expected '$', got '?'"),
    EXAMPLE(14, PING, "[PING]"),
    OVER(13, PING),
    OVER(13, "*1\r\n$4\r\n"),
    OVER(17, "*3\r\n"),
    EXAMPLE(18, "*3\r\n", "+4"),
    OVER(100, "*1\r\n$536870912\r\n"),
    OK("PING\r\nGET k\nSET  a\t b \r\n", "[PING][GET|k][SET|a|b]"),
    OK("\r\n\n  \r\nPING\r\n\r\n", "[PING]"),
    OK("set k \"a b\" 'c d' \"\" ''\r\n", "[set|k|a b|c d||]"),
    OK("e \"\\x41\\xfF\\n\\r\\t\\b\\a\\\\\\\"\\q\\x4\"\n", "[e|A\377\n\r\t\b\a\\\"qx4]"),
    OK("e 'it\\'s \\n \"x\" \\\\ '\n", "[e|it's \\n \"x\" \\\\ ]"),
    OK("a\"b c\"\n", "[ab c]"),
    OK("a\\n\n", "[a\\n]"),
    OK("a\0b \0\n", "[a\0b|\0]"),
    OK(" *1\r\n$4\r\n", "[*1][$4]"),
    OK("PING", "+4"),
    UNBALANCED("a \"b\r\n"),
    UNBALANCED("a 'b\n"),
    UNBALANCED("a \"b\"c\n"),
    UNBALANCED("a 'b'c\n"),
    UNBALANCED("a \"\"\"\"\n"),
    UNBALANCED("a \"b\\\"\n"),
    UNBALANCED("a \"b\\\n"),
    EXAMPLE(4, "PING\n", "[PING]"),
    OVER(3, "PING"),
    OVER(3, "PING\n"),
};

static struct framing make(size_t max)
{
    struct framing f;
    CHECK_INT(framing_init(&f, "resp", NULL, 0, max), 0);
    return f;
}

static void test_examples(void)
{
    for (size_t i = 0; i < countof(examples); i++) {
        const struct example *e = &examples[i];
        struct framing f = make(e->max);
        feed_check(&f, e->input, e->len, &guarded, e->want, e->want_len);
    }
}

static void test_inline_limit(void)
{
    const size_t most = 64 * 1024;
    const char error[] = "!proto-ERR Protocol error: too big inline request\r\n";
    struct framing f = make(1 << 20);
    struct buf text = {0};
    char *line = malloc(most + 2);
    memset(line, 'x', most + 2);
    feed(&f, line, most, most, 1, &guarded, &text);
    CHECK_STR(text.data, text.len, "+65536");
    feed(&f, line, most + 1, most, 1, &guarded, &text);
    CHECK_STR(text.data, text.len, error);
    line[most + 1] = '\n';
    feed(&f, line, most + 2, most + 2, 1, &guarded, &text);
    CHECK_STR(text.data, text.len, error);
    line[most] = '\n';
    feed(&f, line, most + 1, most + 1, 1, &guarded, &text);
    CHECK_INT(text.len, most + 2);
    buf_free(&text);
    free(line);
}

static char *map(size_t n)
{
    char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        abort();
    return memset(p, 'x', n);
}

/* Two long arguments come page by page. No page of a body is ever readable, but the one with the
 * CRLF: a look at any byte of them is a fault. */
static void test_bodies_are_not_searched(void)
{
    struct framing f = make(1 << 30);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t n = 32 * page;
    char *data = map(n);
    size_t body = 16 * page - 64;
    int head = snprintf(data, page, "*2\r\n$%zu\r\n", body);
    char *second = data + head + body;
    int head_2 = snprintf(second, page, "\r\n$%zu\r\n", n);
    size_t rest = (size_t)(data + n - second) - (size_t)head_2; /* the end of it does not come */
    second[head_2] = 'x';
    CHECK(rest > 8 * page);
    mprotect(data + page, 14 * page, PROT_NONE);
    mprotect(data + 17 * page, 15 * page, PROT_NONE);
    struct progress p = {0};
    struct message m = {0};
    for (size_t there = 1; there <= n; there += there < page ? 1 : page / 2) {
        CHECK_INT(f.protocol->scan(&f, &p, data, there, &m), 0);
        CHECK_INT(p.left, there < 4 ? 0 : there < head + body + 2 ? 2 : 1);
        CHECK(p.seen <= there);
    }
    CHECK_INT(p.seen, head + body + 2);
    munmap(data, n);
}

/* Short arguments trickle in; the pages before the one that scan() wants to go on from are taken
 * away, all but the first, where the count stands. */
static void test_seen_arguments_are_left_alone(void)
{
    enum { COUNT = 10000, EACH = 7 };
    struct framing f = make(1 << 30);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t head = strlen("*10000\r\n");
    size_t n = head + (size_t)COUNT * EACH;
    size_t size = (n + page - 1) / page * page;
    char *data = map(size);
    memcpy(data, "*10000\r\n", head);
    for (size_t i = 0; i < COUNT; i++)
        memcpy(data + head + i * EACH, "$1\r\nv\r\n", EACH);
    struct progress p = {0};
    struct message m = {0};
    for (size_t there = 1; there < n; there++) {
        ssize_t rc = f.protocol->scan(&f, &p, data, there, &m);
        size_t whole = there < head ? 0 : (there - head) / EACH;
        if (!CHECK_INT(rc, 0) || !CHECK_INT(p.seen, there < head ? 0 : head + whole * EACH))
            break;
        if (p.seen >= 2 * page && p.seen % page < EACH)
            mprotect(data + page, p.seen / page * page - page, PROT_NONE);
    }
    CHECK_INT(p.left, 1);
    CHECK_INT(f.protocol->scan(&f, &p, data, n, &m), n);
    CHECK_INT(m.items, COUNT);
    munmap(data, size);
}

/* The same for an inline command, of which only the first byte is needed again. */
static void test_seen_inline_bytes_are_left_alone(void)
{
    struct framing f = make(1 << 30);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t n = 64 * 1024;
    char *data = map(n);
    struct progress p = {0};
    struct message m = {0};
    for (size_t there = page / 2; there <= n; there += page / 2) {
        CHECK_INT(f.protocol->scan(&f, &p, data, there, &m), 0);
        CHECK_INT(p.seen, there);
        if (there >= 2 * page)
            mprotect(data + page, there / page * page - page, PROT_NONE);
    }
    munmap(data, n);
}

/* -- replies -- */

static int encode(const char *value, size_t len, uint8_t *dialect, struct wire *w, struct queue *q)
{
    struct framing f = make(1000);
    struct codec_reader r = {value, value + len};
    struct exchange x = {.dialect = *dialect};
    int rc = f.protocol->reply(&f, &x, &r, w, q);
    *dialect = x.dialect;
    if (rc == 0)
        CHECK(r.at == r.end);
    return rc;
}

static void check_reply(uint8_t dialect, const char *value, size_t len, int want, const char *sent,
                        size_t sent_len, int then, int line)
{
    struct wire w;
    struct queue q = {0};
    struct buf text = {0};
    char *copy = t_guard(value, len);
    int failed = t_failed;
    wire_init(&w);
    CHECK_INT(encode(copy, len, &dialect, &w, &q), want);
    CHECK_INT(dialect, then);
    if (want == 0) {
        flatten(&q, &text);
        CHECK_INT(q.bytes, text.len);
        CHECK_MEM(text.data, text.len, sent, sent_len);
    }
    if (t_failed > failed)
        fprintf(stderr, "in the reply of line %d\n", line);
    t_unguard(copy, len);
    wire_drop(&w, &q);
    wire_free(&w);
    buf_free(&text);
}

#define REPLY(dialect, value, sent)                                                                \
    check_reply(dialect, value, sizeof(value) - 1, 0, sent, sizeof(sent) - 1, dialect, __LINE__)
#define BOTH(value, resp2, resp3)                                                                  \
    REPLY(0, value, resp2), REPLY(2, value, resp2), REPLY(3, value, resp3)
#define SAME(value, sent) BOTH(value, sent, sent)
#define BAD(value, rc)    check_reply(2, value, sizeof(value) - 1, rc, "", 0, 2, __LINE__)

#define ABC       "s\3\0\0\0abc"
#define ONE       "i\1\0\0\0"
#define INT(n)    "i" n "\0\0\0"
#define ESCAPE(n) "(" n "\0\0\0S"
#define HELLO     ESCAPE("\4") INT("\5")
#define PUSH      ESCAPE("\3") INT("\4")
#define PAIRS     ESCAPE("\3") INT("\7")
#define ERROR     ESCAPE("\3") INT("\3")
#define LIST(n)   "[" n "\0\0\0"

static void test_scalars(void)
{
    SAME(ABC, "$3\r\nabc\r\n");
    SAME("s\0\0\0\0", "$0\r\n\r\n");
    SAME("s\4\0\0\0\r\n\0x", "$4\r\n\r\n\0x\r\n");
    SAME("s\x0c\0\0\0abcdefghijkl", "$12\r\nabcdefghijkl\r\n");
    SAME("u\2\0\0\0OK", "+OK\r\n");
    SAME("u\0\0\0\0", "+\r\n");
    SAME("u\3\0\0\0a\nb", "$3\r\na\nb\r\n");
    SAME("u\3\0\0\0a\rb", "$3\r\na\rb\r\n");
    SAME(ONE, ":1\r\n");
    SAME("i\0\0\0\0", ":0\r\n");
    SAME("i\x0a\0\0\0", ":10\r\n");
    SAME("i\xff\xff\xff\xff", ":-1\r\n");
    SAME("l\x05\0\0\0\xff\x7f\xff\x7f\xff\x7f\xff\x7f\x07\0", ":9223372036854775807\r\n");
    SAME("l\xfb\xff\xff\xff\0\0\0\0\0\0\0\0\x08\0", ":-9223372036854775808\r\n");
    BAD("l\x05\0\0\0\0\0\0\0\0\0\0\0\x08\0", FL_EVALUE);
    BOTH("N", "$-1\r\n", "_\r\n");
    BOTH("T", ":1\r\n", "#t\r\n");
    BOTH("F", ":0\r\n", "#f\r\n");
}

/* The bytes of a double as they are in marshal, low byte first. */
static void check_real(double real, const char *want)
{
    char value[9] = "g";
    char sent[64];
    uint64_t bits;
    memcpy(&bits, &real, sizeof bits);
    codec_u32(codec_u32(value + 1, (uint32_t)bits), (uint32_t)(bits >> 32));
    int len = snprintf(sent, sizeof sent, "$%zu\r\n%s\r\n", strlen(want), want);
    check_reply(2, value, sizeof value, 0, sent, (size_t)len, 2, __LINE__);
    len = snprintf(sent, sizeof sent, ",%s\r\n", want);
    check_reply(3, value, sizeof value, 0, sent, (size_t)len, 3, __LINE__);
}

static void test_floats(void)
{
    check_real(0.1, "0.1");
    check_real(0.1 + 0.2, "0.30000000000000004");
    check_real(3, "3");
    check_real(-2.5, "-2.5");
    check_real(1e300, "1e+300");
    check_real(-1.7976931348623157e308, "-1.7976931348623157e+308");
    check_real(5e-324, "4.94065645841247e-324");
    check_real(1.0 / 0.0, "inf");
    check_real(-1.0 / 0.0, "-inf");
    check_real(0.0 / 0.0, "nan");
}

static void test_containers(void)
{
    SAME(LIST("\0"), "*0\r\n");
    SAME(LIST("\2") ABC ONE, "*2\r\n$3\r\nabc\r\n:1\r\n");
    SAME("(\2\0\0\0" ONE LIST("\1") ONE, "*2\r\n:1\r\n*1\r\n:1\r\n");
    SAME("(\0\0\0\0", "*0\r\n");
    BOTH("<\1\0\0\0N", "*1\r\n$-1\r\n", "~1\r\n_\r\n");
    BOTH(">\0\0\0\0", "*0\r\n", "~0\r\n");
    BOTH("{0", "*0\r\n", "%0\r\n");
    BOTH("{" ABC ONE "N{" ONE ONE "00", "*4\r\n$3\r\nabc\r\n:1\r\n$-1\r\n*2\r\n:1\r\n:1\r\n",
         "%2\r\n$3\r\nabc\r\n:1\r\n_\r\n%1\r\n:1\r\n:1\r\n");
    BAD(LIST("\2") ONE, FL_EOUTBOX);
    BAD("{" ABC "0", FL_EOUTBOX);
    BAD("{" ABC ONE, FL_EOUTBOX);
    BAD("0", FL_EVALUE);
    BAD("S", FL_EVALUE);
    BAD("", FL_EOUTBOX);
    BAD("?", FL_EOUTBOX);
    BAD(LIST("\1") "0", FL_EVALUE);
}

static void test_escapes(void)
{
    SAME(ERROR "u\5\0\0\0ERR x", "-ERR x\r\n");
    SAME(ERROR "s\7\0\0\0a\r\nb\nc\r", "-a  b c \r\n");
    SAME(LIST("\2") ERROR "u\1\0\0\0e" ONE, "*2\r\n-e\r\n:1\r\n");
    BOTH(PUSH LIST("\2") ABC ONE, "*2\r\n$3\r\nabc\r\n:1\r\n", ">2\r\n$3\r\nabc\r\n:1\r\n");
    BOTH(PAIRS LIST("\4") ABC ONE ABC "N", "*4\r\n$3\r\nabc\r\n:1\r\n$3\r\nabc\r\n$-1\r\n",
         "*2\r\n*2\r\n$3\r\nabc\r\n:1\r\n*2\r\n$3\r\nabc\r\n_\r\n");
    SAME(PAIRS LIST("\0"), "*0\r\n");
    check_reply(0, HELLO INT("\3") "N", 17, 0, "_\r\n", 3, 3, __LINE__);
    check_reply(3, HELLO INT("\2") "N", 17, 0, "$-1\r\n", 5, 2, __LINE__);
    BAD(ERROR ONE, FL_EVALUE);
    BAD(ERROR, FL_EOUTBOX);
    BAD(PUSH ONE, FL_EVALUE);
    BAD(PUSH, FL_EOUTBOX);
    BAD(LIST("\1") PUSH LIST("\0"), FL_EVALUE);
    BAD(PUSH LIST("\1") PUSH LIST("\0"), FL_EVALUE);
    BAD(PAIRS LIST("\1") ONE, FL_EVALUE);
    BAD(PAIRS ONE, FL_EVALUE);
    BAD(PAIRS LIST("\2") ONE, FL_EOUTBOX);
    BAD(LIST("\1") PAIRS LIST("\0"), FL_EVALUE);
    BAD(HELLO INT("\4") "N", FL_EVALUE);
    BAD(HELLO "NN", FL_EVALUE);
    BAD(HELLO, FL_EOUTBOX);
    BAD(HELLO INT("\3") LIST("\2") "N", FL_EOUTBOX); /* and the dialect is the old one */
    BAD(LIST("\1") HELLO INT("\3") "N", FL_EVALUE);
    BAD(HELLO INT("\3") HELLO INT("\3") "N", FL_EVALUE);
    BAD(ESCAPE("\1"), FL_EVALUE);
    BAD(ESCAPE("\2") INT("\6"), FL_EVALUE);
    BAD(ESCAPE("\2") INT("\3"), FL_EVALUE);
    BAD(ESCAPE("\2") "N", FL_EVALUE);
    BAD(ESCAPE("\2"), FL_EOUTBOX);
    BAD(ESCAPE("\4") INT("\3") "u\1\0\0\0eN", FL_EVALUE);
}

static void test_depth(void)
{
    struct buf value = {0};
    struct buf want = {0};
    for (int i = 0; i < 32; i++) {
        buf_put(&value, LIST("\1"), 5);
        buf_put(&want, "*1\r\n", 4);
    }
    buf_put(&value, "N" LIST("\1"), 6);
    buf_put(&want, "$-1\r\n", 5);
    check_reply(2, value.data, 32 * 5 + 1, 0, want.data, want.len, 2, __LINE__);
    memcpy(value.data + 32 * 5, LIST("\1") "N", 6);
    check_reply(2, value.data, 32 * 5 + 6, FL_EVALUE, "", 0, 2, __LINE__);
    buf_free(&value);
    buf_free(&want);
}

/* A string of n bytes, of this marshal type, around the lengths where its form changes. */
static void check_long(char type, size_t n, bool bulk)
{
    char head[32];
    struct buf value = {0};
    struct buf want = {0};
    char *body = malloc(n);
    memset(body, 'x', n);
    codec_bytes(buf_room(&value, CODEC_HEAD + n), body, (uint32_t)n);
    value.len = CODEC_HEAD + n;
    value.data[0] = type;
    int len = snprintf(head, sizeof head, bulk ? "$%zu\r\n" : "+", n);
    buf_put(&want, head, (size_t)len);
    buf_put(&want, body, n);
    buf_put(&want, "\r\n", 2);
    check_reply(2, value.data, value.len, 0, want.data, want.len, 2, __LINE__);
    free(body);
    buf_free(&value);
    buf_free(&want);
}

static void test_long_strings(void)
{
    for (int more = -2; more <= 2; more++) {
        check_long('s', (size_t)(FRAME_COPY + more), true);
        check_long('u', (size_t)(64 * 1024 + more), more > 0);
        check_long('s', (size_t)(128 * 1024 + more), true);
    }
}

/* -- without memory -- */

/* Every allocation of a reply with all sorts of parts fails in turn. */
static void test_reply_oom(void)
{
    static const char start[] = HELLO INT("\3") LIST("\7") "NT" ABC ERROR ABC "{" ABC "g"
                                                           "\0\0\0\0\0\0\0\0"
                                                           "0";
    struct buf value = {0};
    char *body = calloc(1, 8 * FRAME_COPY);
    buf_put(&value, start, sizeof start - 1);
    for (int i = 0; i < 2; i++) {
        size_t n = FRAME_COPY / 2u << 4 * i;
        codec_bytes(buf_room(&value, CODEC_HEAD + n), body, (uint32_t)n);
        value.len += CODEC_HEAD + n;
    }
    bool failed = true;
    for (int n = 1; failed; n++) {
        struct wire w;
        struct queue q = {0};
        uint8_t dialect = 2;
        wire_init(&w);
        oom_arm(n);
        int rc = encode(value.data, value.len, &dialect, &w, &q);
        failed = oom_disarm();
        CHECK_INT(rc, failed ? -ENOMEM : 0);
        CHECK_INT(dialect, failed ? 2 : 3);
        CHECK(failed || n > 2);
        wire_drop(&w, &q);
        wire_free(&w);
    }
    buf_free(&value);
    free(body);
}

static void test_deliver_oom(void)
{
    struct message m = {.data = PING, .len = sizeof(PING) - 1, .items = 1};
    struct buf inbox = {0};
    oom_arm(1);
    CHECK_INT(protocol_resp.deliver(&m, &inbox), -ENOMEM);
    CHECK(oom_disarm());
    CHECK_INT(inbox.len, 0);
    CHECK_INT(protocol_resp.deliver(&m, &inbox), 0);
    CHECK_STR(inbox.data, inbox.len, "(\1\0\0\0s\4\0\0\0PING");
    buf_free(&inbox);
}

int main(void)
{
    test_examples();
    test_inline_limit();
    test_bodies_are_not_searched();
    test_seen_arguments_are_left_alone();
    test_seen_inline_bytes_are_left_alone();
    test_scalars();
    test_floats();
    test_containers();
    test_escapes();
    test_depth();
    test_long_strings();
    test_reply_oom();
    test_deliver_oom();
    CHECK_STR(protocol_resp.fault, strlen(protocol_resp.fault), "-ERR internal error\r\n");
    return t_end();
}
