/* The pure parts of serving files: paths, patterns, media types, dates, conditions, ranges. Inputs
 * end at an unreadable page where they are views. */
#include "site_date.h"
#include "site_mime.h"
#include "site_path.h"
#include "site_request.h"
#include "t.h"

/* -- paths -- */

static int decode(const char *raw, bool hidden, struct site_path *p)
{
    size_t n = strlen(raw);
    char *copy = t_guard(raw, n);
    int status = site_path_decode((struct text){copy, n}, hidden, p);
    t_unguard(copy, n);
    return status;
}

static void paths_that_name_files(void)
{
    static const struct {
        const char *raw, *name;
        bool directory;
    } cases[] = {
        {"", "", true},
        {"/", "", true},
        {"/a", "a", false},
        {"/a/", "a", true},
        {"/a/b.txt", "a/b.txt", false},
        {"/a%20b", "a b", false},
        {"/%41%7a%7A", "Azz", false},
        {"/%C3%A9", "\xc3\xa9", false},
        {"/%ff", "\xff", false},
        {"/%2525", "%25", false},
        {"/a..b", "a..b", false},
        {"/a.", "a.", false},
        {"/a...", "a...", false},
        {"/~a/%7e", "~a/~", false},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct site_path p;
        if (!CHECK_INT(decode(cases[i].raw, false, &p), 0))
            continue;
        CHECK_MEM(p.name, p.len, cases[i].name, strlen(cases[i].name));
        CHECK_INT(p.name[p.len], 0);
        CHECK_INT(p.directory, cases[i].directory);
    }
}

static void paths_that_name_none(void)
{
    static const struct {
        const char *raw;
        int status;
    } cases[] = {
        {"/%", 400},           {"/%4", 400},         {"/%zz", 400},         {"/%4g", 400},
        {"/a%00", 400},        {"/%00", 400},        {"/..%", 400},         {"//", 404},
        {"//a", 404},          {"/a//b", 404},       {"/a//", 404},         {"/.", 404},
        {"/..", 404},          {"/../etc", 404},     {"/a/../b", 404},      {"/a/..", 404},
        {"/a/./b", 404},       {"/%2e%2e/etc", 404}, {"/%2E%2E/", 404},     {"/.%2e/", 404},
        {"/..%2fetc", 404},    {"/%2fetc", 404},     {"/a%2Fb", 404},       {"/a\\b", 404},
        {"/..%5c..%5cx", 404}, {"/a%5cb", 404},      {"/.git/config", 404}, {"/.env", 404},
        {"/a/.hidden", 404},   {"/a/.hidden/", 404}, {"/...", 404},         {"/%2ehtaccess", 404},
    };
    struct site_path p;
    for (size_t i = 0; i < countof(cases); i++) {
        if (!CHECK_INT(decode(cases[i].raw, false, &p), cases[i].status))
            fprintf(stderr, "  %s\n", cases[i].raw);
    }
}

static void names_with_a_dot_if_wanted(void)
{
    struct site_path p;
    CHECK_INT(decode("/.well-known/x", true, &p), 0);
    CHECK_INT(decode("/a/...", true, &p), 0);
    CHECK_INT(decode("/.", true, &p), 404);
    CHECK_INT(decode("/a/..", true, &p), 404);
    CHECK_INT(decode("/%2e%2e/a", true, &p), 404);
}

static void long_paths(void)
{
    char raw[3 * SITE_PATH];
    struct site_path p;
    memset(raw, 'a', sizeof raw);
    raw[0] = '/';
    CHECK_INT(site_path_decode((struct text){raw, SITE_PATH}, false, &p), 0);
    CHECK_INT((long long)p.len, SITE_PATH - 1);
    CHECK_INT(site_path_decode((struct text){raw, SITE_PATH + 1}, false, &p), 404);
    CHECK_INT(site_path_decode((struct text){raw, sizeof raw}, false, &p), 404);
    raw[sizeof raw - 1] = '%';
    CHECK_INT(site_path_decode((struct text){raw, sizeof raw}, false, &p), 400);
}

static void patterns(void)
{
    static const struct {
        const char *pattern, *name;
        bool match;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "anything", true},
        {"a*", "a", true},
        {"a*", "ba", false},
        {"*.js", "x.js", true},
        {"*.js", "x.jsx", false},
        {"*.????????.*", "app.0a1b2c3d.js", true},
        {"*.????????.*", "app.0a1b2c3.js", false},
        {"*.????????.*", "a.b.0a1b2c3d.css", true},
        {"?", "", false},
        {"a?c", "abc", true},
        {"a*b*c", "axxbyyc", true},
        {"a*b*c", "axxbyy", false},
        {"**a", "ba", true},
        {"a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
    };
    for (size_t i = 0; i < countof(cases); i++)
        CHECK_INT(site_path_match(cases[i].pattern, cases[i].name), cases[i].match);
    CHECK(strcmp(site_path_base("a/b/c.d"), "c.d") == 0);
    CHECK(strcmp(site_path_base("c.d"), "c.d") == 0);
}

static void escapes(void)
{
    static const char name[] = "a b/\xc3\xa9\"<~%";
    char out[3 * sizeof name];
    char *end = site_path_escape(out, name, strlen(name));
    CHECK_STR(out, (size_t)(end - out), "a%20b%2F%C3%A9%22%3C~%25");
}

static void media_types(void)
{
    static const struct {
        const char *name, *type;
    } cases[] = {
        {"index.html", "text/html; charset=utf-8"},
        {"a.b.CSS", "text/css; charset=utf-8"},
        {"dir.d/app.Js", "text/javascript; charset=utf-8"},
        {"x.json", "application/json"},
        {"x.7z", "application/x-7z-compressed"},
        {"x.3g2", "video/3gpp2"},
        {"x.zst", "application/zstd"},
        {"x.woff2", "font/woff2"},
        {"x.svg", "image/svg+xml"},
        {"x.webmanifest", "application/manifest+json"},
        {"README", "application/octet-stream"},
        {"x.", "application/octet-stream"},
        {"x.nosuch", "application/octet-stream"},
        {"x.averylongsuffix", "application/octet-stream"},
        {"", "application/octet-stream"},
    };
    for (size_t i = 0; i < countof(cases); i++)
        CHECK_MEM(site_mime(cases[i].name), strlen(site_mime(cases[i].name)), cases[i].type,
                  strlen(cases[i].type));
}

/* -- dates -- */

static bool read_date(const char *value, int64_t *seconds)
{
    size_t n = strlen(value);
    char *copy = t_guard(value, n);
    bool ok = site_date_read((struct text){copy, n}, seconds);
    t_unguard(copy, n);
    return ok;
}

static void dates(void)
{
    static const struct {
        const char *value;
        int64_t seconds;
    } good[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
        {"Thu, 29 Feb 2024 12:00:00 GMT", 1709208000},
        {"Tue, 29 Feb 2000 00:00:00 GMT", 951782400},
        {"Wednesday, 01-Jan-69 00:00:00 GMT", 3124224000},
        {"Thursday, 01-Jan-70 00:00:00 GMT", 0},
        {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
        {"Sun Nov 16 08:49:37 1994", 784975777},
        {"Mon, 06 Nov 1994 08:49:37 GMT", 784111777}, /* was a Sunday: the date counts */
    };
    static const char *const bad[] = {
        "",
        "Sun",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "sun, 06 nov 1994 08:49:37 gmt",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Xxx, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Sun, -6 Nov 1994 08:49:37 GMT",
        "784111777",
    };
    int64_t seconds;
    for (size_t i = 0; i < countof(good); i++) {
        if (CHECK(read_date(good[i].value, &seconds)))
            CHECK_INT(seconds, good[i].seconds);
    }
    for (size_t i = 0; i < countof(bad); i++) {
        if (!CHECK(!read_date(bad[i], &seconds)))
            fprintf(stderr, "  %s\n", bad[i]);
    }
}

/* -- conditions and ranges -- */

/* A request with these fields, on memory that ends with it; one at a time. */
static struct site_request request(const char *fields)
{
    static char *held;
    static size_t held_len;
    char text[2048];
    struct site_request r;
    if (held != NULL)
        t_unguard(held, held_len);
    held_len = (size_t)snprintf(text, sizeof text, "GET / HTTP/1.1\r\n%s", fields);
    held = t_guard(text, held_len);
    site_request_read(&r, (struct text){held, held_len});
    return r;
}

static void conditions(void)
{
    static const struct site_version version = {{"\"e1\"", 4}, 784111777};
    static const struct {
        const char *fields;
        int status;
    } cases[] = {
        {"", 200},
        {"Host: x\r\n", 200},
        {"If-None-Match: \"e1\"\r\n", 304},
        {"if-none-match:\"e1\"\r\n", 304},
        {"If-None-Match: W/\"e1\"\r\n", 304}, /* the weak comparison */
        {"If-None-Match: \"e2\"\r\n", 200},
        {"If-None-Match: \"e2\", \"e1\"\r\n", 304},
        {"If-None-Match: \"e2\" , W/\"e1\" ,\"e3\"\r\n", 304},
        {"If-None-Match: \"a,\"e1\"\r\n", 200}, /* a tag with a comma, and then no tag */
        {"If-None-Match: *\r\n", 304},
        {"If-None-Match: e1\r\n", 200},
        {"If-None-Match: \"e1\r\n", 200},
        {"If-None-Match: W/\r\n", 200},
        {"If-None-Match:\r\n", 200},
        {"If-None-Match: \"e2\"\r\nIf-None-Match: \"e1\"\r\n", 304},
        {"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 304},
        {"If-Modified-Since: Sun, 06 Nov 1994 08:49:38 GMT\r\n", 304},
        {"If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 200},
        {"If-Modified-Since: yesterday\r\n", 200},
        /* the entity tag goes first, RFC 9110 13.1.3 */
        {"If-None-Match: \"e2\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 200},
        {"If-None-Match: \"e1\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 304},
        {"If-Match: \"e1\"\r\n", 200},
        {"If-Match: *\r\n", 200},
        {"If-Match: \"e2\"\r\n", 412},
        {"If-Match: W/\"e1\"\r\n", 412}, /* the strong comparison */
        {"If-Match: \"e2\", \"e1\"\r\n", 200},
        {"If-Match: \"e2\"\r\nIf-Match: \"e1\"\r\n", 200},
        {"If-Match:\r\n", 412},
        {"If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 200},
        {"If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 412},
        {"If-Unmodified-Since: never\r\n", 200},
        {"If-Match: \"e1\"\r\nIf-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 200},
        {"If-Match: \"e1\"\r\nIf-None-Match: \"e1\"\r\n", 304},
        {"If-Match: \"e2\"\r\nIf-None-Match: \"e1\"\r\n", 412},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct site_request r = request(cases[i].fields);
        bool ranged;
        if (!CHECK_INT(site_request_weigh(&r, &version, &ranged), cases[i].status))
            fprintf(stderr, "  %s", cases[i].fields);
    }
}

static void ranges_under_a_condition(void)
{
    static const struct site_version version = {{"\"e1\"", 4}, 784111777};
    static const struct {
        const char *fields;
        bool ranged;
    } cases[] = {
        {"", true},
        {"If-Range: \"e1\"\r\n", true},
        {"If-Range: W/\"e1\"\r\n", false},
        {"If-Range: \"e2\"\r\n", false},
        {"If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n", true},
        {"If-Range: Sun, 06 Nov 1994 08:49:38 GMT\r\n", false},
        {"If-Range: Sun, 06 Nov 1994 08:49:36 GMT\r\n", false},
        {"If-Range: soon\r\n", false},
        {"If-Range: \"e1\"\r\nIf-Range: \"e1\"\r\n", false},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct site_request r = request(cases[i].fields);
        bool ranged;
        CHECK_INT(site_request_weigh(&r, &version, &ranged), 200);
        if (!CHECK_INT(ranged, cases[i].ranged))
            fprintf(stderr, "  %s", cases[i].fields);
    }
}

/* Ranges of 1000 bytes as "a-b a-b", or "all" or "none". */
static void ranges(void)
{
    static const struct {
        const char *value, *want;
    } cases[] = {
        {"bytes=0-99", "0-99 "},
        {"bytes=0-0", "0-0 "},
        {"bytes=900-", "900-999 "},
        {"bytes=-100", "900-999 "},
        {"bytes=-2000", "0-999 "},
        {"bytes=0-", "0-999 "},
        {"bytes=990-2000", "990-999 "},
        {"bytes=999-18446744073709551615", "999-999 "},
        {"bytes=0-99999999999999999999999999", "0-999 "},
        {"BYTES=1-2", "1-2 "},
        {"bytes=0-1,5-6", "0-1 5-6 "},
        {"bytes= 0-1 , 5-6 ", "0-1 5-6 "},
        {"bytes=0-1,,5-6,", "0-1 5-6 "},
        {"bytes=0-1,2-3", "0-3 "},
        {"bytes=0-10,5-20", "0-20 "},
        {"bytes=5-20,0-10", "0-20 "},
        {"bytes=5-6,0-1", "5-6 0-1 "}, /* in the order they are asked for */
        {"bytes=0-1,2000-,5-6", "0-1 5-6 "},
        {"bytes=1000-", "none"},
        {"bytes=99999999999999999999999999-", "none"},
        {"bytes=-0", "none"},
        {"bytes=", "none"},
        {"bytes=,", "none"},
        {"bytes=a", "none"},
        {"bytes=-", "none"},
        {"bytes=5", "none"},
        {"bytes=5-4", "none"},
        {"bytes=0-1,5-4", "none"},
        {"bytes=1-2-3", "none"},
        {"bytes=+1-2", "none"},
        {"bytes=1- 2", "none"},
        {"bytes=0x1-2", "none"},
        {"lines=0-1", "all"},
        {"bytes", "all"},
        {"", "all"},
        {"bytes=0-,1-,2-", "0-999 "},
        {"bytes=0-499,600-,0-400", "all"}, /* more than there is */
        {"bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,"
         "30-30",
         "0-0 2-2 4-4 6-6 8-8 10-10 12-12 14-14 16-16 18-18 20-20 22-22 24-24 26-26 28-28 30-30 "},
        {"bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,"
         "30-30,32-32",
         "all"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        char fields[512], got[512] = "";
        struct site_range list[SITE_RANGES];
        snprintf(fields, sizeof fields, "Range: %s\r\n", cases[i].value);
        struct site_request r = request(fields);
        int n = site_request_ranges(&r, 1000, list);
        for (int k = 0; k < n; k++)
            snprintf(got + strlen(got), sizeof got - strlen(got), "%llu-%llu ",
                     (unsigned long long)list[k].first, (unsigned long long)list[k].last);
        const char *result = n < 0 ? "none" : n == 0 ? "all" : got;
        if (!CHECK_MEM(result, strlen(result), cases[i].want, strlen(cases[i].want)))
            fprintf(stderr, "  %s\n", cases[i].value);
    }
}

static void ranges_of_little(void)
{
    struct site_range list[SITE_RANGES];
    struct site_request r = request("Range: bytes=0-\r\n");
    CHECK_INT(site_request_ranges(&r, 0, list), -1);
    r = request("Range: bytes=-1\r\n");
    CHECK_INT(site_request_ranges(&r, 0, list), -1);
    CHECK_INT(site_request_ranges(&r, 1, list), 1);
    r = request("Range: bytes=0-1\r\nRange: bytes=4-5\r\n");
    CHECK_INT(site_request_ranges(&r, 1000, list), 0);
    r = request("");
    CHECK_INT(site_request_ranges(&r, 1000, list), 0);
}

/* What is accepted, best first, as b, z and g. */
static void encodings(void)
{
    static const struct {
        const char *fields, *want;
    } cases[] = {
        {"", ""},
        {"Accept-Encoding:\r\n", ""},
        {"Accept-Encoding: gzip\r\n", "g"},
        {"Accept-Encoding: gzip, deflate, br, zstd\r\n", "bzg"},
        {"accept-encoding: GZIP\r\n", "g"},
        {"Accept-Encoding: x-gzip\r\n", "g"},
        {"Accept-Encoding: gzip;q=1.0, br;q=0.5\r\n", "gb"},
        {"Accept-Encoding: gzip ; q=0.8 , zstd;q=0.801\r\n", "zg"},
        {"Accept-Encoding: br;q=0, gzip\r\n", "g"},
        {"Accept-Encoding: br;q=0.000\r\n", ""},
        {"Accept-Encoding: br;q=2, gzip;q=x, zstd;q=1.5\r\n", ""},
        {"Accept-Encoding: *\r\n", "bzg"},
        {"Accept-Encoding: *;q=0.5, gzip\r\n", "gbz"},
        {"Accept-Encoding: *, br;q=0\r\n", "zg"},
        {"Accept-Encoding: identity\r\n", ""},
        {"Accept-Encoding: gzip\r\nAccept-Encoding: br\r\n", "bg"},
        {"Accept-Encoding: brotli, gzipx\r\n", ""},
        {"X-Accept-Encoding: gzip\r\n", ""},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct site_request r = request(cases[i].fields);
        char got[4];
        unsigned n = 0;
        while (site_request_coding(r.codings, n) != SITE_PLAIN) {
            got[n] = " bzg"[site_request_coding(r.codings, n)];
            n++;
        }
        if (!CHECK_MEM(got, n, cases[i].want, strlen(cases[i].want)))
            fprintf(stderr, "  %s", cases[i].fields);
    }
}

int main(void)
{
    paths_that_name_files();
    paths_that_name_none();
    names_with_a_dot_if_wanted();
    long_paths();
    patterns();
    escapes();
    media_types();
    dates();
    conditions();
    ranges_under_a_condition();
    ranges();
    ranges_of_little();
    encodings();
    return t_end();
}
