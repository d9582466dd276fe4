/* test_http_forms.c -- requests in the forms of WSGI and ASGI: what they have, as Python would read
 * it, and that values which come again are written once. */
#include <errno.h>

#include "codec.h"
#include "fastloop.h"
#include "frame.h"
#include "http_environ.h"
#include "http_field.h"
#include "http_head.h"
#include "http_path.h"
#include "http_scope.h"
#include "oom.h"
#include "t.h"

static const struct http_settings limits = {
    .max_body = 1000, .max_line = 4000, .max_head = 8000, .max_fields = 100};

/* The next value as text: texts and bytes as they are, {key=value;...}, [a,b], (a,b), numbers. */
static void render(struct codec_reader *r, struct buf *text)
{
    struct codec_value v = {0};
    char digits[FRAME_DECIMAL];
    if (!CHECK_INT(codec_read(r, &v), 0))
        return;
    switch (v.type) {
    case CODEC_BYTES:
    case CODEC_TEXT: buf_put(text, v.data, v.len); return;
    case CODEC_INTEGER: buf_put(text, digits, frame_decimal(digits, v.integer)); return;
    case CODEC_NONE: buf_put(text, "None", 4); return;
    default: break;
    }
    bool dict = v.type == CODEC_DICT;
    buf_put(text, dict ? "{" : v.type == CODEC_LIST ? "[" : "(", 1);
    for (uint32_t left = v.count; left > 0; left--) {
        render(r, text);
        if (dict) {
            buf_put(text, "=", 1);
            render(r, text);
        }
        buf_put(text, dict ? ";" : ",", 1);
    }
    buf_put(text, dict ? "}" : v.type == CODEC_LIST ? "]" : ")", 1);
    if (dict)
        CHECK(codec_read(r, &v) == 0 && v.type == CODEC_END);
}

static const struct sock_name somebody = {4711, 3, "::1"};

/* Replaces what is in *text by what a head becomes. The copy ends at a page that cannot be read. */
static void form_of(int form, const char *head, size_t n, const struct sock_name *peer,
                    struct buf *text)
{
    struct message m = {.form = (uint8_t)form, .peer = peer, .id = 9};
    struct buf inbox = {0};
    char *copy = t_guard(head, n);
    text->len = 0;
    if (CHECK(http_head_parse(&limits, copy, n, &m) > 0)) {
        m.http.body.len = 0;
        CHECK_INT(protocol_http.deliver(&m, &inbox), 0);
        struct codec_reader r = {inbox.data, inbox.data + inbox.len};
        render(&r, text);
        CHECK(r.at == r.end);
    }
    t_unguard(copy, n);
    buf_free(&inbox);
}

static void check_form(int form, const char *head, size_t n, const struct sock_name *peer,
                       const char *want, size_t len)
{
    struct buf text = {0};
    form_of(form, head, n, peer, &text);
    if (!CHECK_MEM(text.data, text.len, want, len))
        fprintf(stderr, "in the example %.*s\n", (int)n, head);
    buf_free(&text);
}

#define WSGI(head, want)                                                                           \
    check_form(FL_FORM_WSGI, head "\r\n", sizeof(head) + 1, NULL, "({" want "},,9,)",              \
               sizeof("({" want "},,9,)") - 1)
#define ASGI(head, want)                                                                           \
    check_form(FL_FORM_ASGI, head "\r\n", sizeof(head) + 1, NULL, "({" want "},,9,)",              \
               sizeof("({" want "},,9,)") - 1)
#define TARGET(path, query, uri)                                                                   \
    "REQUEST_METHOD=GET;PATH_INFO=" path ";QUERY_STRING=" query ";RAW_URI=" uri                    \
    ";SERVER_PROTOCOL=HTTP/1.1;"
#define PLAIN TARGET("/", "", "/")
#define GET   "GET / HTTP/1.1\r\nHost: a\r\n"

static void test_request_lines_of_wsgi(void)
{
    WSGI(GET, PLAIN "HTTP_HOST=a;");
    WSGI("GET /x%20y%2f?q=%20 HTTP/1.1\r\nHost: a\r\n",
         TARGET("/x y/", "q=%20", "/x%20y%2f?q=%20") "HTTP_HOST=a;");
    WSGI("GET /%c3%A9%ff HTTP/1.1\r\nHost: a\r\n",
         TARGET("/\xc3\x83\xc2\xa9\xc3\xbf", "", "/%c3%A9%ff") "HTTP_HOST=a;");
    WSGI("PUT /?a HTTP/1.0\r\n", "REQUEST_METHOD=PUT;PATH_INFO=/;QUERY_STRING=a;RAW_URI=/?a;"
                                 "SERVER_PROTOCOL=HTTP/1.0;");
    WSGI("OPTIONS * HTTP/1.0\r\n", "REQUEST_METHOD=OPTIONS;PATH_INFO=*;QUERY_STRING=;RAW_URI=*;"
                                   "SERVER_PROTOCOL=HTTP/1.0;");
}

static void test_fields_of_wsgi(void)
{
    WSGI(GET "content-type: x\r\nContent-Length: 0\r\n",
         PLAIN "HTTP_HOST=a;CONTENT_TYPE=x;CONTENT_LENGTH=0;");
    WSGI(GET "X-Some.Name~: \t v \t\r\n", PLAIN "HTTP_HOST=a;HTTP_X_SOME.NAME~=v;");
    WSGI(GET "Empty:\r\n", PLAIN "HTTP_HOST=a;HTTP_EMPTY=;");
    WSGI(GET "X_A: 1\r\nX-A: 2\r\nContent_Length: 5\r\n", PLAIN "HTTP_HOST=a;HTTP_X_A=2;");
    WSGI(GET "Accept: \xe9\r\n", PLAIN "HTTP_HOST=a;HTTP_ACCEPT=\xc3\xa9;");
    WSGI("GET http://b:1?q HTTP/1.1\r\nHost: a\r\n",
         TARGET("/", "q", "http://b:1?q") "HTTP_HOST=b:1;");
}

/* The joined value comes last, and replaces the first. */
static void test_fields_that_come_again(void)
{
    WSGI(GET "Accept: 1\r\nX: 2\r\naccept: 3\r\nACCEPT:\r\n",
         PLAIN "HTTP_HOST=a;HTTP_ACCEPT=1;HTTP_X=2;HTTP_ACCEPT=1, 3, ;");
    WSGI(GET "Cookie: a=1\r\nCookie: b=2\r\n",
         PLAIN "HTTP_HOST=a;HTTP_COOKIE=a=1;HTTP_COOKIE=a=1; b=2;");
    WSGI(GET "X-Y: \xe9\r\nx-y: 2\r\n",
         PLAIN "HTTP_HOST=a;HTTP_X_Y=\xc3\xa9;HTTP_X_Y=2;HTTP_X_Y=\xc3\xa9, 2;");
}

static void test_many_other_names(void)
{
    struct buf head = {0};
    struct buf text = {0};
    char line[64];
    buf_put(&head, GET, sizeof GET - 1);
    for (int i = 0; i < 90; i++)
        buf_put(&head, line, (size_t)snprintf(line, sizeof line, "X-N%d: %d\r\n", i % 89, i));
    buf_put(&head, "\r\n", 2);
    form_of(FL_FORM_WSGI, head.data, head.len, NULL, &text);
    buf_put(&text, "", 1);
    CHECK(text.data != NULL && strstr(text.data, "HTTP_X_N88=88;") != NULL);
    CHECK(text.data != NULL && strstr(text.data, "HTTP_X_N0=0, 89;") != NULL);
    CHECK(text.data != NULL && strstr(text.data, "HTTP_X_N1=1, ") == NULL);
    buf_free(&head);
    buf_free(&text);
}

static void test_peers(void)
{
    static const char head[] = "GET / HTTP/1.0\r\n\r\n";
    static const char environ[] = "({REQUEST_METHOD=GET;PATH_INFO=/;QUERY_STRING=;RAW_URI=/;"
                                  "SERVER_PROTOCOL=HTTP/1.0;REMOTE_ADDR=::1;"
                                  "REMOTE_PORT=4711;},,9,)";
    static const char scope[] = "({http_version=1.0;method=GET;path=/;raw_path=/;query_string=;"
                                "client=(::1,4711,);headers=[];},,9,)";
    check_form(FL_FORM_WSGI, head, sizeof head - 1, &somebody, environ, sizeof environ - 1);
    check_form(FL_FORM_ASGI, head, sizeof head - 1, &somebody, scope, sizeof scope - 1);
}

#define SCOPE(path, raw, query)                                                                    \
    "http_version=1.1;method=GET;path=" path ";raw_path=" raw ";query_string=" query ";headers="

static void test_scopes(void)
{
    ASGI(GET, SCOPE("/", "/", "") "[(host,a,),];");
    ASGI("GET /%C3%a9%20x?a=%20 HTTP/1.1\r\nHost: a\r\n",
         SCOPE("/\xc3\xa9 x", "/%C3%a9%20x", "a=%20") "[(host,a,),];");
    ASGI("GET /%ff%e2%82x%f0%9f HTTP/1.1\r\nHost: a\r\n",
         SCOPE("/\xef\xbf\xbd\xef\xbf\xbdx\xef\xbf\xbd", "/%ff%e2%82x%f0%9f", "") "[(host,a,),];");
    ASGI(GET "X_Y-Z: \xe9\r\nCookie: a\r\nCookie: b\r\n",
         SCOPE("/", "/", "") "[(host,a,),(x_y-z,\xe9,),(cookie,a,),(cookie,b,),];");
    ASGI("GET https://b/c HTTP/1.1\r\nHost: a\r\n", SCOPE("/c", "/c", "") "[(host,b,),];");
    ASGI(GET "Connection: upgrade\r\nUpgrade: WebSocket\r\n",
         SCOPE("/", "/", "") "[(host,a,),(connection,upgrade,),(upgrade,WebSocket,),];"
                             "type=websocket;");
    ASGI(GET "Upgrade: websocket\r\n", SCOPE("/", "/", "") "[(host,a,),(upgrade,websocket,),];");
}

static void test_names(void)
{
    struct text other = {"x-unheard-of", 12};
    for (unsigned n = 0; n < HTTP_FIELD_NAMES; n++) {
        const struct http_field_name *name = &http_field_names[n];
        CHECK_INT(http_field_known(name->lower), n);
        CHECK_INT(http_field_known((struct text){name->variable.at, name->variable.len}),
                  HTTP_FIELD_UNKNOWN);
    }
    CHECK_INT(http_field_known((struct text){"HOST", 4}), HTTP_FIELD_HOST);
    CHECK_INT(http_field_known((struct text){"Cookie", 6}), HTTP_FIELD_COOKIE);
    CHECK_INT(http_field_known((struct text){"Upgrade", 7}), HTTP_FIELD_UPGRADE);
    CHECK_INT(http_field_known(other), HTTP_FIELD_UNKNOWN);
    CHECK_INT(http_field_known((struct text){"", 0}), HTTP_FIELD_UNKNOWN);
}

static void test_shared_values(void)
{
    struct codec_refs refs = {0};
    char form[64];
    char *p = codec_shared(form, &refs, 7, false, (struct text){"one", 3});
    p = codec_shared(p, &refs, 90, true, (struct text){"two", 3});
    p = codec_shared(p, &refs, 7, false, (struct text){"one", 3});
    p = codec_shared(p, &refs, 90, true, (struct text){"two", 3});
    CHECK_STR(form, (size_t)(p - form), "\xfa\3one\xf3\3\0\0\0twor\0\0\0\0r\1\0\0\0");
    p = codec_shared(form, NULL, 7, false, (struct text){"one", 3});
    CHECK_STR(form, (size_t)(p - form), "z\3one");
}

/* A batch of the same request takes less for each but the first. */
static void test_batches_share(void)
{
    static const char head[] = GET "Accept: x\r\n\r\n";
    for (int form = FL_FORM_WSGI; form <= FL_FORM_ASGI; form++) {
        struct codec_refs refs = {0};
        struct buf inbox = {0};
        struct message m = {.form = (uint8_t)form, .refs = &refs};
        CHECK(http_head_parse(&limits, head, sizeof head - 1, &m) > 0);
        CHECK_INT(protocol_http.deliver(&m, &inbox), 0);
        size_t first = inbox.len;
        uint8_t count = refs.count;
        CHECK_INT(protocol_http.deliver(&m, &inbox), 0);
        CHECK(inbox.len - first < first);
        CHECK(count > 0 && refs.count == count);
        buf_free(&inbox);
    }
}

static void test_without_memory(void)
{
    static const char head[] = GET "\r\n";
    for (int form = FL_FORM_WSGI; form <= FL_FORM_ASGI; form++) {
        struct codec_refs refs = {0};
        struct message m = {.form = (uint8_t)form, .refs = &refs};
        struct buf inbox = {0};
        int rc = 0;
        CHECK(http_head_parse(&limits, head, sizeof head - 1, &m) > 0);
        for (int n = 1; oom_arm(n), rc = protocol_http.deliver(&m, &inbox), oom_disarm(); n++)
            CHECK(rc == -ENOMEM && inbox.len == 0 && refs.count == 0);
        CHECK_INT(rc, 0);
        buf_free(&inbox);
    }
}

int main(void)
{
    test_request_lines_of_wsgi();
    test_fields_of_wsgi();
    test_fields_that_come_again();
    test_many_other_names();
    test_peers();
    test_scopes();
    test_names();
    test_shared_values();
    test_batches_share();
    test_without_memory();
    return t_end();
}
