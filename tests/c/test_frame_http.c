/* test_frame_http.c -- requests of HTTP/1.1: what is accepted, what is refused, and that neither
 * depends on how the bytes come. */
#include <errno.h>

#include "feed_http.h"
#include "oom.h"
#include "t.h"

static const struct copier guarded = {t_guard, t_unguard};

struct example {
    const char *input;
    size_t len;
    const char *want;
};

#define EXAMPLE(input, want)                                                                       \
    {                                                                                              \
        input, sizeof(input) - 1, want                                                             \
    }
#define HOST              "Host: a\r\n"
#define LINE(line, want)  EXAMPLE(line "\r\n" HOST "\r\n", want)
#define FIELD(line, want) EXAMPLE("GET / HTTP/1.1\r\n" HOST line "\r\n\r\n", want)
#define HOSTS(line, want) EXAMPLE("GET / HTTP/1.1\r\n" line "\r\n\r\n", want)
#define BODY(rest, want)  EXAMPLE("POST / HTTP/1.1\r\n" HOST rest, want)
#define CHUNKS(rest, want)                                                                         \
    EXAMPLE("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n" rest, want)
#define GET      "GET / HTTP/1.1\r\n" HOST "\r\n"
#define GOT      "[GET /  ]."
#define TEN(x)   x x x x x x x x x x
#define HUNDRED  TEN("xxxxxxxxxx")
#define CHUNK(x) x "\r\n"

static const struct example lines[] = {
    LINE("GET / HTTP/1.1", GOT),
    LINE("\r\nGET / HTTP/1.1", GOT),
    LINE("\r\n\r\nGET / HTTP/1.1", "!400"),
    LINE("\nGET / HTTP/1.1", "!400"),
    LINE("\rGET / HTTP/1.1", "!400"),
    LINE(" GET / HTTP/1.1", "!400"),
    EXAMPLE("\r", "+"),
    EXAMPLE("\rx", "!400"),
    EXAMPLE("\r\n", "+"),
    EXAMPLE("\r\nG", "+"),
    EXAMPLE("\26\3\1\0\245", "!400"), /* a TLS handshake */
    EXAMPLE(GET GET "\r\n" GET, GOT GOT GOT),
    EXAMPLE(GET "GET", GOT "+"),
    LINE("get / HTTP/1.1", "[get /  ]."),
    LINE("M-SEARCH!#$%&'*+.^_`|~09 / HTTP/1.1", "[M-SEARCH!#$%&'*+.^_`|~09 /  ]."),
    LINE("HEAD /x HTTP/1.1", "[HEAD /x  H]."),
    LINE("CONNECT a:80 HTTP/1.1", "!501"),
    LINE("G\"T / HTTP/1.1", "!400"),
    LINE("G:T / HTTP/1.1", "!400"),
    LINE("G\0T / HTTP/1.1", "!400"),
    LINE("GET\t/ HTTP/1.1", "!400"),
    LINE("GET  / HTTP/1.1", "!400"),
    LINE("GET / HTTP/1.1 ", "!400"),
    LINE("GET /  HTTP/1.1", "!400"),
    LINE("GET /\tHTTP/1.1", "!400"),
    LINE("GET HTTP/1.1", "!400"),
    LINE("GET /", "!400"),
    LINE("GET", "!400"),
    EXAMPLE("GET /\r\n\r\n", "!400"),
    EXAMPLE("GET /\r\n", "!400"),
    EXAMPLE("GET / HTTP/1.1\n", "!400"),
    EXAMPLE("GET / HTTP/1.1\nHost: a\n\n", "!400"),
    LINE("GET / HTTP/1.2", "!505"),
    LINE("GET / HTTP/2.0", "!505"),
    LINE("GET / HTTP/0.9", "!505"),
    LINE("PRI * HTTP/2.0", "!400"),
    LINE("GET / HTTP/1.10", "!400"),
    LINE("GET / HTTP/11.1", "!400"),
    LINE("GET / HTTP/1", "!400"),
    LINE("GET / HTTP/1.x", "!400"),
    LINE("GET / http/1.1", "!400"),
    LINE("GET / HTTP/1,1", "!400"),
    LINE("GET / FTP/1.1", "!400"),
    LINE("GET / HTTP/1.1\r", "!400"),
};

static const struct example targets[] = {
    LINE("GET /a/b?c=d&e HTTP/1.1", "[GET /a/b c=d&e ]."),
    LINE("GET /?? HTTP/1.1", "[GET / ? ]."),
    LINE("GET //a/../b/./c HTTP/1.1", "[GET //a/../b/./c  ]."),
    LINE("GET /%41%2f%2E%25?%41 HTTP/1.1", "[GET /A/.% %41 ]."),
    LINE("GET /%2541 HTTP/1.1", "[GET /%41  ]."),
    LINE("GET /%4%zz%/% HTTP/1.1", "[GET /%4%zz%/%  ]."),
    LINE("GET /%c3%a9%E2%82%AC%F0%9F%98%80 HTTP/1.1",
         "[GET /\303\251\342\202\254\360\237\230\200  ]."),
    LINE("GET /%ff%c3 HTTP/1.1", "[GET /\355\263\277\355\263\203  ]."),
    LINE("GET /%ed%b2%80 HTTP/1.1", "[GET /\355\263\255\355\262\262\355\262\200  ]."),
    LINE("GET /\"<>[]\\^`{|} HTTP/1.1", "[GET /\"<>[]\\^`{|}  ]."),
    LINE("GET /a#b HTTP/1.1", "!400"),
    LINE("GET /a?#b HTTP/1.1", "!400"),
    LINE("GET /\303\251 HTTP/1.1", "!400"),
    LINE("GET /a\0b HTTP/1.1", "!400"),
    LINE("GET /a\177 HTTP/1.1", "!400"),
    LINE("GET /a\rb HTTP/1.1", "!400"),
    LINE("GET a HTTP/1.1", "!400"),
    LINE("GET ? HTTP/1.1", "!400"),
    LINE("GET * HTTP/1.1", "!400"),
    LINE("OPTIONS * HTTP/1.1", "[OPTIONS *  ]."),
    LINE("OPTIONS *x HTTP/1.1", "!400"),
    LINE("GET http://b.example HTTP/1.1", "[GET /  ]."),
    LINE("GET HTTPS://b:80/x?y HTTP/1.1", "[GET /x y ]."),
    LINE("GET http://[::1]:80?y HTTP/1.1", "[GET / y ]."),
    LINE("GET http:///x HTTP/1.1", "!400"),
    LINE("GET http://u@b/ HTTP/1.1", "!400"),
    LINE("GET http://b:x/ HTTP/1.1", "!400"),
    LINE("GET http:/b/ HTTP/1.1", "!400"),
    LINE("GET ftp://b/ HTTP/1.1", "!400"),
    LINE("GET b:80 HTTP/1.1", "!400"),
};

static const struct example hosts[] = {
    HOSTS("Host: a.example:8080", GOT),
    HOSTS("hOST:\ta-b_c.D1~!$&'()*+;=:0 \t", GOT),
    HOSTS("Host: %41%7e", GOT),
    HOSTS("Host: [2001:db8::1]", GOT),
    HOSTS("Host: [::ffff:1.2.3.4]:65535", GOT),
    HOSTS("Host: a:", GOT),
    HOSTS("X: y", "!400"),
    EXAMPLE("GET / HTTP/1.1\r\n\r\n", "!400"),
    HOSTS("Host:", "!400"),
    HOSTS("Host: a\r\nHost: a", "!400"),
    HOSTS("Host: a, b", "!400"),
    HOSTS("Host: a b", "!400"),
    HOSTS("Host: a/b", "!400"),
    HOSTS("Host: u@a", "!400"),
    HOSTS("Host: a?b", "!400"),
    HOSTS("Host: a:65536", "!400"),
    HOSTS("Host: a:999999999999999999999", "!400"),
    HOSTS("Host: a:8a", "!400"),
    HOSTS("Host: a:80:80", "!400"),
    HOSTS("Host: :80", "!400"),
    HOSTS("Host: %4", "!400"),
    HOSTS("Host: %zz", "!400"),
    HOSTS("Host: []", "!400"),
    HOSTS("Host: [::1", "!400"),
    HOSTS("Host: [::1]x", "!400"),
    HOSTS("Host: [x]", "!400"),
    HOSTS("Host: \303\251", "!400"),
    EXAMPLE("GET / HTTP/1.0\r\n\r\n", "[GET /  OC]."),
    EXAMPLE("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "!400"),
};

static const struct example fields[] = {
    FIELD("X:", GOT),
    FIELD("X:   ", GOT),
    FIELD("X: a\tb \200\377\"", GOT),
    FIELD("!#$%&'*+-.^_`|~09Az: y", GOT),
    FIELD("X : y", "!400"),
    FIELD("X\t: y", "!400"),
    FIELD(": y", "!400"),
    FIELD("X", "!400"),
    FIELD(" X: y", "!400"),
    FIELD("X: y\r\n z", "!400"),
    FIELD("X: y\r\n\tz: a", "!400"),
    FIELD("X(: y", "!400"),
    FIELD("X\200: y", "!400"),
    FIELD("X\0: y", "!400"),
    FIELD("X: a\0b", "!400"),
    FIELD("X: a\rb", "!400"),
    FIELD("X: a\nb", "!400"),
    FIELD("X: a\nContent-Length: 1", "!400"),
    FIELD("X: a\r\r", "!400"),
    FIELD("X: a\vb", "!400"),
    FIELD("X: a\fb", "!400"),
    FIELD("X: a\33[31mb", "!400"),
    FIELD("X: a\177b", "!400"),
    EXAMPLE("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "!400"),
    EXAMPLE("GET / HTTP/1.1\r\n" HOST "\n", "!400"),
    EXAMPLE("GET / HTTP/1.1\r\n" HOST "\rX", "+"),
    EXAMPLE("GET / HTTP/1.1\r\n" HOST "\rX\n", "!400"),
    FIELD("Sec-Websocket-Key1: x\r\nContent-Length: 0", GOT),
    FIELD("Connection: close", "[GET /  C]."),
    FIELD("Connection: x, CLOSE ,", "[GET /  C]."),
    FIELD("Connection: closed", GOT),
    FIELD("Connection: keep-alive\r\nConnection: close", "[GET /  C]."),
    FIELD("Connection: keep-alive", GOT),
    EXAMPLE("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "[GET /  OK]."),
    EXAMPLE("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "[GET /  OC]."),
    FIELD("Connection: upgrade\r\nUpgrade: websocket", "[GET /  U]."),
    FIELD("Connection: keep-alive, Upgrade\r\nUpgrade: websocket", "[GET /  U]."),
    FIELD("Upgrade: websocket", GOT),
    FIELD("Connection: upgrade", GOT),
    FIELD("Connection: upgrade\r\nUpgrade:", GOT),
    FIELD("Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 0", "[GET /  U]."),
    EXAMPLE("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "[GET /  OC]."),
    EXAMPLE("get / HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: x\r\n\r\n", "[get /  ]."),
    BODY("Connection: upgrade\r\nUpgrade: x\r\n\r\n", "[POST /  ]."),
    FIELD("Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 1", "+"),
    FIELD("Expect: 100-continue", GOT),
    FIELD("Expect: 200-ok", "!417"),
    FIELD("Expect:", "!417"),
    EXAMPLE("GET / HTTP/1.0\r\nExpect: x\r\n\r\n", "[GET /  OC]."),
    BODY("Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n", "+"),
    BODY("Expect: 100-continue\r\nContent-Length: 2\r\n\r\nab" GET, "[POST /  ]ab." GOT),
};

static const struct example bodies[] = {
    BODY("Content-Length: 3\r\n\r\nabc" GET, "[POST /  ]abc." GOT),
    BODY("Content-Length: 0\r\n\r\n" GET, "[POST /  ]." GOT),
    BODY("\r\n" GET, "[POST /  ]." GOT),
    BODY("Content-Length: \t 0000000000000000000000000000003 \r\n\r\nabc", "[POST /  ]abc."),
    BODY("Content-Length: 3\r\n\r\nab", "+"),
    BODY("Content-Length: 1001\r\n\r\n", "!413"),
    BODY("Content-Length: 18446744073709551617\r\n\r\n", "!413"),
    BODY("Content-Length: 999999999999999999999999999999999\r\n\r\n", "!413"),
    BODY("Content-Length:\r\n\r\n", "!400"),
    BODY("Content-Length: 1\r\nContent-Length: 1\r\n\r\na", "!400"),
    BODY("Content-Length: 1, 1\r\n\r\na", "!400"),
    BODY("Content-Length: +1\r\n\r\na", "!400"),
    BODY("Content-Length: -0\r\n\r\na", "!400"),
    BODY("Content-Length: 1_0\r\n\r\na", "!400"),
    BODY("Content-Length: 0x1\r\n\r\na", "!400"),
    BODY("Content-Length: 1 0\r\n\r\na", "!400"),
    BODY("Content-Length: \"1\"\r\n\r\na", "!400"),
    BODY("Content-Length: \331\240\r\n\r\na", "!400"),
    BODY("Content-Length: 1\v\r\n\r\na", "!400"),
    BODY("Content-Length : 1\r\n\r\na", "!400"),
    EXAMPLE("POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nab", "[POST /  OC]a.+"),
    BODY("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "!400"),
    BODY("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n", "!400"),
    EXAMPLE("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "!400"),
    BODY("Transfer-Encoding: Chunked \t\r\n\r\n0\r\n\r\n", "[POST /  T]."),
    BODY("Transfer-Encoding: gzip\r\n\r\n", "!501"),
    BODY("Transfer-Encoding: identity\r\n\r\n", "!501"),
    BODY("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "!501"),
    BODY("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "!501"),
    BODY("Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "!400"),
    BODY("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", "!400"),
    BODY("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "!400"),
    BODY("Transfer-Encoding: chunked, chunked\r\n\r\n", "!400"),
    BODY("Transfer-Encoding: ,chunked\r\n\r\n", "!400"),
    BODY("Transfer-Encoding: chunked,\r\n\r\n", "!400"),
    BODY("Transfer-Encoding:\r\n\r\n", "!400"),
    BODY("Transfer-Encoding: \vchunked\r\n\r\n", "!400"),
    BODY("Transfer-Encoding: \240chunked\240\r\n\r\n", "!400"),
    BODY("Transfer-Encoding: \"chunked\"\r\n\r\n", "!400"),
    BODY("Transfer-Encoding: chunked;a=b\r\n\r\n", "!400"),
    BODY("Transfer_Encoding: chunked\r\n\r\n" GET, "[POST /  ]." GOT),
};

static const struct example chunks[] = {
    CHUNKS("3\r\nabc\r\n0\r\n\r\n" GET, "[POST /  T]abc." GOT),
    CHUNKS("3\r\nabc\r\n0000000000000A\r\n0123456789\r\n00\r\n\r\n", "[POST /  T]abc0123456789."),
    CHUNKS("0\r\n\r\n", "[POST /  T]."),
    CHUNKS("1;a=b;c=\"d \t\303\"\r\nx\r\n0;e\r\n\r\n", "[POST /  T]x."),
    CHUNKS("1\r\nx\r\n0\r\nX: y\r\nContent-Length: 5\r\nHost: b\r\n\r\n" GET, "[POST /  T]x." GOT),
    CHUNKS("3\r\nab", "+"),
    CHUNKS("3\r\nabc", "+"),
    CHUNKS("3\r\nabc\r", "+"),
    CHUNKS("3\r\nabc\r\n", "+"),
    CHUNKS("3\r\nabc\r\n0\r\n", "+"),
    CHUNKS("3\r\nabc\r\n0\r\nX: y\r\n", "+"),
    CHUNKS("5\r\nAAAAAXX2\r\n45\r\n0\r\n\r\n", "!400"),
    CHUNKS("1\r\nx\rX0\r\n\r\n", "!400"),
    CHUNKS("1\r\nx\n0\r\n\r\n", "!400"),
    CHUNKS("1\nx\r\n0\r\n\r\n", "!400"),
    CHUNKS("1\r\nx0\r\n\r\n", "!400"),
    CHUNKS("\r\n", "!400"),
    CHUNKS("x\r\n", "!400"),
    CHUNKS("-1\r\n", "!400"),
    CHUNKS("+1\r\nx\r\n", "!400"),
    CHUNKS("0x1\r\nx\r\n", "!400"),
    CHUNKS("0_2e\r\n\r\n", "!400"),
    CHUNKS(" 1\r\nx\r\n", "!400"),
    CHUNKS("1 \r\nx\r\n", "!400"),
    CHUNKS("1\t;a\r\nx\r\n", "!400"),
    CHUNKS("\357\274\221\r\nx\r\n", "!400"),
    CHUNKS("00000000000000001\r\nx\r\n", "!400"),
    CHUNKS("10000000000000001\r\nx\r\n", "!400"),
    CHUNKS("FFFFFFFFFFFFFFFF\r\nx\r\n", "!413"),
    CHUNKS("8000000000000000\r\nx\r\n", "!413"),
    CHUNKS("3E9\r\n", "!413"),
    CHUNKS("3E8\r\n", "+"),
    CHUNKS("1\r\nx\r\n3E8\r\n", "!413"),
    CHUNKS("2;\nxx\r\n4c\r\n0\r\n\r\n", "!400"),
    CHUNKS("1;a\0\r\nx\r\n", "!400"),
    CHUNKS("1;a\rb\r\nx\r\n", "!400"),
    CHUNKS("1;" HUNDRED HUNDRED HUNDRED "\r\nx\r\n", "!400"),
    CHUNKS("0\r\nX : y\r\n\r\n", "!400"),
    CHUNKS("0\r\nX: y\n\r\n", "!400"),
    CHUNKS("0\r\n X: y\r\n\r\n", "!400"),
    CHUNKS("0\r\nX", "+"),
    CHUNKS("0\r\nX:", "+"),
    CHUNKS("0\r\nX\r\n", "!400"),
    CHUNKS("0\r\n" GET, "!400"),
};

static const struct http_settings usual = {
    .max_body = 1000, .max_line = 200, .max_head = 400, .max_fields = 10};

static void check(const struct example *e, bool stream)
{
    struct http_settings s = usual;
    struct buf text = {0};
    s.stream = stream;
    struct framing f = http_framing(&s);
    size_t want = strlen(e->want);
    feed_http(&f, e->input, e->len, e->len, 1, &guarded, &text);
    bool good = CHECK_MEM(text.data, text.len, e->want, want);
    feed_http(&f, e->input, e->len, 1, 1, &guarded, &text);
    good &= CHECK_MEM(text.data, text.len, e->want, want);
    for (size_t cut = 1; good && cut < e->len; cut++) {
        feed_http(&f, e->input, e->len, cut, e->len, &guarded, &text);
        good &= CHECK_MEM(text.data, text.len, e->want, want);
    }
    if (!good)
        fprintf(stderr, "  %s: %.*s\n", stream ? "stream" : "whole", (int)e->len, e->input);
    buf_free(&text);
}

#define CHECK_ALL(table)                                                                           \
    for (size_t i = 0; i < countof(table); i++)                                                    \
    check(&(table)[i], false), check(&(table)[i], true)

static void test_examples(void)
{
    CHECK_ALL(lines);
    CHECK_ALL(targets);
    CHECK_ALL(hosts);
    CHECK_ALL(fields);
    CHECK_ALL(bodies);
    CHECK_ALL(chunks);
}

/* -- limits: each at its edge, whole and byte by byte -- */

static void fill(struct buf *b, const char *before, size_t n, const char *after)
{
    b->len = 0;
    feed_put(b, before, strlen(before));
    for (size_t i = 0; i < n; i++)
        feed_put(b, "x", 1);
    feed_put(b, after, strlen(after));
}

static void check_fed(const struct http_settings *s, const struct buf *input, const char *want)
{
    struct framing f = http_framing(s);
    struct buf text = {0};
    feed_http(&f, input->data, input->len, input->len, 1, &guarded, &text);
    CHECK_MEM(text.data, text.len, want, strlen(want));
    feed_http(&f, input->data, input->len, 1, 1, &guarded, &text);
    CHECK_MEM(text.data, text.len, want, strlen(want));
    buf_free(&text);
}

static void test_long_lines(void)
{
    struct buf b = {0};
    fill(&b, "GET /?", 185, " HTTP/1.1\r\nHost: a\r\n\r\n"); /* a line of 200 */
    struct framing f = http_framing(&usual);
    struct progress p = {0};
    struct message m = {0};
    CHECK_INT(f.protocol->scan(&f, &p, b.data, b.len, &m), (long long)b.len);
    CHECK_INT(m.http.query.len, 185);
    fill(&b, "\r\nGET /?", 186, " HTTP/1.1\r\nHost: a\r\n\r\n");
    check_fed(&usual, &b, "!414");
    fill(&b, "GET /", 198, ""); /* 203 bytes, with room for CRLF one too many */
    check_fed(&usual, &b, "!414");
    fill(&b, "GET /", 197, "");
    check_fed(&usual, &b, "+");
    fill(&b, "x", 201, "\n");
    check_fed(&usual, &b, "!414");
    buf_free(&b);
}

static void test_long_heads(void)
{
    struct buf b = {0};
    fill(&b, "GET / HTTP/1.1\r\nHost: a\r\nX: ", 386, "\r\n\r\n"); /* 400 bytes of fields */
    check_fed(&usual, &b, GOT);
    fill(&b, "GET / HTTP/1.1\r\nHost: a\r\nX: ", 387, "\r\n\r\n");
    check_fed(&usual, &b, "!431");
    fill(&b, "GET / HTTP/1.1\r\nHost: a\r\nX: ", 391, "");
    check_fed(&usual, &b, "!431");
    fill(&b, "GET / HTTP/1.1\r\nHost: a\r\nX: ", 390, "");
    check_fed(&usual, &b, "+");
    fill(&b, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", 395,
         "\r\n\r\n");
    check_fed(&usual, &b, "[POST /  T].");
    fill(&b, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", 396,
         "\r\n\r\n");
    check_fed(&usual, &b, "!431");
    buf_free(&b);
}

static void test_many_fields(void)
{
    static const struct example examples[] = {
        FIELD("a:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:", GOT),
        FIELD("a:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:", "!431"),
        CHUNKS("0\r\n" TEN("a:\r\n") "\r\n", "[POST /  T]."),
        CHUNKS("0\r\n" TEN("a:\r\n") "a:\r\n\r\n", "!431"),
    };
    CHECK_ALL(examples);
}

static void test_many_chunks(void)
{
    struct http_settings s = usual;
    s.max_body = 1 << 20;
    struct framing f = http_framing(&s);
    struct buf b = {0};
    struct buf text = {0};
    const char head[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    feed_put(&b, head, sizeof head - 1);
    for (int i = 0; i < 32765; i++) /* each takes 2 bytes more than its share */
        feed_put(&b, "1\r\nx\r\n", 6);
    feed_put(&b, "0\r\n\r\n", 5);
    feed_http(&f, b.data, b.len, b.len, 1, &guarded, &text);
    CHECK_INT(text.data[text.len - 1], '.');
    b.len -= 5;
    for (int i = 0; i < 4; i++)
        feed_put(&b, "1\r\nx\r\n", 6);
    for (int stream = 0; stream < 2; stream++) {
        s.stream = stream;
        feed_http(&f, b.data, b.len, b.len, 1, &guarded, &text);
        CHECK_STR(text.data, text.len, "!400");
        feed_http(&f, b.data, b.len, 1000, 1000, &guarded, &text);
        CHECK_STR(text.data, text.len, "!400");
    }
    buf_free(&b);
    buf_free(&text);
}

/* -- what the caller is told between the bytes -- */

static ssize_t scan_text(const struct framing *f, struct progress *p, const char *text,
                         struct message *m)
{
    *m = (struct message){0};
    return f->protocol->scan(f, p, text, strlen(text), m);
}

static void test_views(void)
{
    struct framing f = http_framing(&usual);
    struct progress p = {0};
    struct message m;
    const char request[] = "\r\nPUT http://h/a%20b?c HTTP/1.1\r\nHost: a\r\n"
                           "Content-Length: 2\r\n\r\nxyz";
    CHECK_INT(scan_text(&f, &p, request, &m), sizeof request - 2);
    CHECK_INT(m.kind, MESSAGE_WHOLE);
    CHECK_STR(m.http.method.at, m.http.method.len, "PUT");
    CHECK_STR(m.http.target.at, m.http.target.len, "http://h/a%20b?c");
    CHECK_STR(m.http.path.at, m.http.path.len, "/a%20b");
    CHECK_STR(m.http.query.at, m.http.query.len, "c");
    CHECK_STR(m.http.head.at, m.http.head.len,
              "PUT http://h/a%20b?c HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n");
    CHECK_STR(m.http.body.at, m.http.body.len, "xy");
    CHECK_INT(m.http.body_len, 2);
}

static void test_phases(void)
{
    struct framing f = http_framing(&usual);
    struct progress p = {0};
    struct message m;
    CHECK_INT(scan_text(&f, &p, "", &m), 0);
    CHECK_INT(p.phase, PROGRESS_IDLE);
    CHECK_INT(scan_text(&f, &p, "\r\n", &m), 0);
    CHECK_INT(p.phase, PROGRESS_IDLE);
    CHECK_INT(scan_text(&f, &p, "\r\nPOST / HTTP/1.1\r\nHo", &m), 0);
    CHECK_INT(p.phase, PROGRESS_HEAD);
    CHECK_INT(p.seen, 21); /* and no byte of these is looked at again */
    CHECK_INT(scan_text(&f, &p, "\r\nPOST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\na", &m),
              0);
    CHECK_INT(p.phase, PROGRESS_BODY);
    CHECK(scan_text(&f, &p, "\r\nPOST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", &m) > 0);
    CHECK_INT(p.phase, PROGRESS_IDLE);
}

#define EXPECTING "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n"

static void test_continue(void)
{
    static const char *const heads[] = {EXPECTING "Content-Length: 1\r\n\r\n",
                                        EXPECTING "Transfer-Encoding: chunked\r\n\r\n"};
    struct framing f = http_framing(&usual);
    struct message m;
    for (size_t i = 0; i < countof(heads); i++) {
        struct progress p = {0};
        CHECK_INT(scan_text(&f, &p, EXPECTING, &m), 0);
        CHECK_INT(scan_text(&f, &p, heads[i], &m), FRAME_CONTINUE);
        CHECK_INT(p.phase, PROGRESS_BODY);
        CHECK_INT(scan_text(&f, &p, heads[i], &m), 0); /* is asked for once */
    }
    struct progress p = {0}; /* who has sent some of the body does not wait */
    CHECK_INT(scan_text(&f, &p, EXPECTING "Content-Length: 2\r\n\r\na", &m), 0);
    p = (struct progress){0};
    CHECK(scan_text(&f, &p, EXPECTING "Content-Length: 0\r\n\r\n", &m) > 0);
    p = (struct progress){0}; /* a final status, and no 100 before it */
    CHECK_INT(scan_text(&f, &p, EXPECTING "Content-Length: 1001\r\n\r\n", &m), FL_ELIMIT);
    p = (struct progress){0}; /* RFC 9110, 10.1.1: not in 1.0 */
    CHECK_INT(scan_text(&f, &p,
                        "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", &m),
              0);
}

static void test_continue_in_stream(void)
{
    struct http_settings s = usual;
    struct framing f = http_framing(&s);
    struct progress p = {0};
    struct message m;
    s.stream = true;
    CHECK(scan_text(&f, &p, EXPECTING "Content-Length: 2\r\n\r\n", &m) > 0);
    CHECK_INT(m.kind, MESSAGE_HEAD);
    CHECK_INT(m.http.flags, HTTP_OPEN | HTTP_EXPECT);
    p = (struct progress){0};
    CHECK(scan_text(&f, &p, EXPECTING "Content-Length: 2\r\n\r\na", &m) > 0);
    CHECK_INT(m.http.flags, HTTP_OPEN);
    p = (struct progress){0};
    CHECK(scan_text(&f, &p, EXPECTING "Content-Length: 2\r\n\r\nab", &m) > 0);
    CHECK_INT(m.kind, MESSAGE_WHOLE);
    CHECK_INT(m.http.flags, 0);
}

static void test_pieces(void)
{
    struct http_settings s = usual;
    struct framing f = http_framing(&s);
    struct progress p = {0};
    struct message m;
    s.stream = true;
    const char head[] = "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n";
    CHECK_INT(scan_text(&f, &p, head, &m), sizeof head - 1);
    CHECK_INT(p.phase, PROGRESS_STREAM);
    CHECK_INT(scan_text(&f, &p, "", &m), 0);
    CHECK_INT(scan_text(&f, &p, "ab", &m), 2);
    CHECK_INT(m.kind, MESSAGE_PIECE);
    CHECK_STR(m.data, m.len, "ab");
    struct buf inbox = {0};
    CHECK_INT(f.protocol->deliver(&m, &inbox), 0);
    CHECK_STR(inbox.data, inbox.len, "s\2\0\0\0ab");
    buf_free(&inbox);
    CHECK_INT(scan_text(&f, &p, "cdeGET", &m), 3);
    CHECK_INT(m.kind, MESSAGE_END);
    CHECK_STR(m.data, m.len, "cde");
    CHECK_INT(p.phase, PROGRESS_IDLE);
}

static void test_pieces_of_chunks(void)
{
    struct http_settings s = usual;
    struct framing f = http_framing(&s);
    struct progress p = {0};
    struct message m;
    s.stream = true;
    const char head[] = "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n";
    CHECK_INT(scan_text(&f, &p, head, &m), sizeof head - 1);
    CHECK_INT(scan_text(&f, &p, "3\r\n", &m), 0); /* nothing is used up without data */
    CHECK_INT(scan_text(&f, &p, "3\r\nab", &m), 5);
    CHECK_STR(m.data, m.len, "ab");
    CHECK_INT(scan_text(&f, &p, "c\r", &m), 1);
    CHECK_STR(m.data, m.len, "c");
    CHECK_INT(scan_text(&f, &p, "\r\n1", &m), 0);
    CHECK_INT(scan_text(&f, &p, "\r\n1\r\nd", &m), 6);
    CHECK_STR(m.data, m.len, "d");
    CHECK_INT(scan_text(&f, &p, "\r\n0\r\nX: y\r\n", &m), 0);
    CHECK_INT(scan_text(&f, &p, "\r\n0\r\nX: y\r\n\r\nGET", &m), 13);
    CHECK_INT(m.kind, MESSAGE_END);
    CHECK(m.data != NULL && m.len == 0);
    CHECK_INT(p.phase, PROGRESS_IDLE);
}

static void test_pieces_are_of_bounded_size(void)
{
    struct http_settings s = usual;
    struct framing f = http_framing(&s);
    struct message m;
    size_t n = 200000;
    char *data = calloc(n, 1);
    if (!CHECK(data != NULL))
        return;
    s.stream = true;
    s.max_body = UINT64_MAX;
    struct progress p = {0};
    CHECK(scan_text(&f, &p, "POST / HTTP/1.1\r\n" HOST "Content-Length: 9000000000\r\n\r\n", &m) >
          0);
    CHECK_INT(f.protocol->scan(&f, &p, data, n, &m), 65536);
    CHECK_INT((long long)p.left, 9000000000 - 65536);
    p = (struct progress){0};
    CHECK(scan_text(&f, &p, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", &m) >
          0);
    CHECK_INT(scan_text(&f, &p, "100000000\r\nx", &m), FL_ELIMIT);
    memcpy(data, "FFFFFFFF\r\n", 10);
    CHECK_INT(f.protocol->scan(&f, &p, data, n, &m), 65546);
    CHECK_INT(m.len, 65536);
    free(data);
}

static void test_whole_bodies_fit_memory(void)
{
    struct http_settings s = usual;
    struct framing f = http_framing(&s);
    struct message m;
    struct progress p = {0};
    s.max_body = UINT64_MAX;
    CHECK_INT(
        scan_text(&f, &p, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1073741825\r\n\r\n", &m),
        FL_ELIMIT);
    p = (struct progress){0};
    CHECK_INT(scan_text(&f, &p,
                        "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n40000000\r\n",
                        &m),
              FL_ELIMIT);
    CHECK_INT(m.status, 413);
}

/* -- memory: none is read past the end, and none is needed but the inbox -- */

static void test_every_length_and_alignment(void)
{
    const char request[] =
        "GET /abcdefghijklmnop?q HTTP/1.1\r\nHost: abcdefgh\r\nX-Y: zzzz\r\n\r\n";
    struct framing f = http_framing(&usual);
    for (size_t n = 0; n <= sizeof request - 1; n++) {
        for (size_t skew = 0; skew < 32; skew++) {
            char room[128];
            memset(room, '\n', sizeof room);
            memcpy(room + skew, request, n);
            char *copy = t_guard(room, skew + n);
            struct progress p = {0};
            struct message m = {0};
            ssize_t rc = f.protocol->scan(&f, &p, copy + skew, n, &m);
            CHECK_INT(rc, n == sizeof request - 1 ? (long long)n : 0);
            t_unguard(copy, skew + n);
        }
    }
}

static void test_deliver_without_memory(void)
{
    struct framing f = http_framing(&usual);
    struct progress p = {0};
    struct message m;
    struct buf inbox = {0};
    int rc = 0;
    scan_text(&f, &p, GET, &m);
    for (int n = 1; oom_arm(n), rc = f.protocol->deliver(&m, &inbox), oom_disarm(); n++)
        CHECK(rc == -ENOMEM && inbox.len == 0);
    CHECK_INT(rc, 0);
    buf_free(&inbox);
}

static void test_long_texts(void)
{
    struct http_settings s = usual;
    struct buf b = {0};
    s.max_line = 2000;
    struct framing f = http_framing(&s);
    fill(&b, "GET /%ff", 300, "?q HTTP/1.1\r\nHost: a\r\n\r\n");
    struct buf text = {0};
    feed_http(&f, b.data, b.len, b.len, 1, &guarded, &text);
    CHECK_INT(text.len, 1 + 3 + 1 + 1 + 3 + 300 + 1 + 1 + 1 + 2);
    fill(&b, "GET /", 300, "?q HTTP/1.1\r\nHost: a\r\n\r\n");
    feed_http(&f, b.data, b.len, b.len, 1, &guarded, &text);
    CHECK_INT(text.len, 1 + 3 + 1 + 1 + 300 + 1 + 1 + 1 + 2);
    buf_free(&text);
    buf_free(&b);
}

int main(void)
{
    test_examples();
    test_long_lines();
    test_long_heads();
    test_many_fields();
    test_many_chunks();
    test_views();
    test_phases();
    test_continue();
    test_continue_in_stream();
    test_pieces();
    test_pieces_of_chunks();
    test_pieces_are_of_bounded_size();
    test_whole_bodies_fit_memory();
    test_every_length_and_alignment();
    test_deliver_without_memory();
    test_long_texts();
    return t_end();
}
