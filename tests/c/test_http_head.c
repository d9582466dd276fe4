/* test_http_head.c -- bytes, lists, numbers and paths: what reading a head is made of. */
#include "http_bytes.h"
#include "http_head.h"
#include "http_path.h"
#include "t.h"

/* -- blocks of 16 say what the table says, and read nothing outside -- */

static const uint8_t classes[] = {HTTP_VALUE, HTTP_TARGET, HTTP_PATH, HTTP_NAME};

static const char *skip_slowly(const char *p, const char *end, uint8_t class)
{
    while (p < end && http_is(*p, class))
        p++;
    return p;
}

static void check_skip(const char *data, size_t n, size_t from)
{
    for (size_t i = 0; i < countof(classes); i++) {
        const char *want = skip_slowly(data + from, data + n, classes[i]);
        CHECK_INT(http_skip(data + from, data + n, data, classes[i]) - data, want - data);
    }
}

static void test_every_byte_at_every_place(void)
{
    char room[40];
    for (int c = 0; c < 256; c++) {
        for (size_t at = 0; at < sizeof room; at++) {
            memset(room, 'a', sizeof room);
            room[at] = (char)c;
            check_skip(room, sizeof room, 0);
            check_skip(room, sizeof room, at);
            check_skip(room, sizeof room, at / 2);
        }
    }
}

static void test_every_length(void)
{
    for (size_t n = 0; n <= 70; n++) {
        char room[71];
        memset(room, 'a', n);
        char *copy = t_guard(room, n);
        for (size_t from = 0; from <= n; from++) {
            check_skip(copy, n, from);
            CHECK(http_skip(copy + from, copy + n, copy + from, HTTP_VALUE) == copy + n);
        }
        t_unguard(copy, n);
    }
}

/* RFC 9110, 5.6.2 and 5.5; RFC 3986, 3.2.2. */
static void test_classes(void)
{
    for (int c = 0; c < 256; c++) {
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool token = alnum || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
        bool visible = c > 0x20 && c < 0x7f;
        bool host = alnum || (c != 0 && strchr("-._~!$&'()*+;=", c) != NULL);
        CHECK_INT(http_is((char)c, HTTP_TOKEN), token);
        CHECK_INT(http_is((char)c, HTTP_NAME), alnum || c == '-' || c == '_');
        CHECK_INT(http_is((char)c, HTTP_VALUE), visible || c == ' ' || c == '\t' || c >= 0x80);
        CHECK_INT(http_is((char)c, HTTP_TARGET), visible && c != '#');
        CHECK_INT(http_is((char)c, HTTP_PATH), visible && c != '#' && c != '?');
        CHECK_INT(http_is((char)c, HTTP_HOST), host);
        CHECK_INT(http_hex((char)c) >= 0, c != 0 && strchr("0123456789abcdefABCDEF", c) != NULL);
    }
    CHECK_INT(http_hex('9'), 9);
    CHECK_INT(http_hex('a'), 10);
    CHECK_INT(http_hex('F'), 15);
}

/* -- lists and numbers -- */

static struct text text(const char *p)
{
    return (struct text){p, strlen(p)};
}

static void test_lists(void)
{
    static const char *const want[] = {"a", "", "b c", ""};
    struct text list = text(" a ,,\tb c\t , ");
    struct text element;
    for (size_t i = 0; i < countof(want); i++) {
        CHECK(http_element(&list, &element));
        CHECK_MEM(element.at, element.len, want[i], strlen(want[i]));
    }
    CHECK(!http_element(&list, &element));
    CHECK(http_same(text("Content-LENGTH"), "content-length"));
    CHECK(!http_same(text("content-lengt"), "content-length"));
    CHECK(!http_same(text("content\rlength"), "content-length")); /* CR | 0x20 is a dash */
}

static void test_numbers(void)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t n;
    } examples[] = {
        {"0", true, 0},
        {"007", true, 7},
        {"9223372036854775807", true, INT64_MAX},
        {"9223372036854775808", true, INT64_MAX},
        {"99999999999999999999999999", true, INT64_MAX},
        {"", false, 0},
        {"-1", false, 0},
        {"1 ", false, 0},
        {"0x1", false, 0},
        {"\331\240", false, 0},
    };
    for (size_t i = 0; i < countof(examples); i++) {
        uint64_t n;
        CHECK_INT(http_number(text(examples[i].text), &n), examples[i].good);
        if (examples[i].good)
            CHECK(n == examples[i].n);
    }
}

/* -- paths -- */

static void test_decoding(void)
{
    static const struct {
        const char *sent;
        const char *decoded;
        const char *escaped;
    } examples[] = {
        {"/a%20b", "/a b", "/a b"},
        {"%", "%", "%"},
        {"%4", "%4", "%4"},
        {"%4g%g4", "%4g%g4", "%4g%g4"},
        {"%25%32%35", "%25", "%25"},
        {"%e2%82%ac", "\342\202\254", "\342\202\254"},
        {"%e2%82", "\342\202", "\355\263\242\355\262\202"},
        {"%c0%af", "\300\257", "\355\263\200\355\262\257"}, /* no shortest form */
        {"%f4%90%80%80", "\364\220\200\200",                /* beyond U+10FFFF */
         "\355\263\264\355\262\220\355\262\200\355\262\200"},
        {"%f4%8f%bf%bf", "\364\217\277\277", "\364\217\277\277"},
        {"%e0%9f%80", "\340\237\200", "\355\263\240\355\262\237\355\262\200"},
        {"%f0%8f%80%80", "\360\217\200\200", "\355\263\260\355\262\217\355\262\200\355\262\200"},
        {"%ed%9f%bf", "\355\237\277", "\355\237\277"},
        {"%e2%82x", "\342\202x", "\355\263\242\355\262\202x"},
        {"%fe", "\376", "\355\263\276"},
    };
    for (size_t i = 0; i < countof(examples); i++) {
        char out[64];
        char escaped[192];
        size_t len = http_path_decode(out, text(examples[i].sent));
        CHECK_MEM(out, len, examples[i].decoded, strlen(examples[i].decoded));
        size_t n = http_path_escape(escaped, out, len);
        CHECK_MEM(escaped, n, examples[i].escaped, strlen(examples[i].escaped));
        bool ascii = skip_slowly(out, out + len, HTTP_PATH | HTTP_VALUE) == out + len;
        for (size_t k = 0; k < len; k++)
            ascii &= (unsigned char)out[k] < 0x80;
        CHECK_INT(http_path_ascii(out, len), ascii);
    }
    CHECK_INT(http_path_decode((char[4]){0}, text("%00")), 1);
}

int main(void)
{
    test_every_byte_at_every_place();
    test_every_length();
    test_classes();
    test_lists();
    test_numbers();
    test_decoding();
    return t_end();
}
