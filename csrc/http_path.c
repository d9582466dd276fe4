/* http_path.c -- targets of requests.
 *
 * Workload: a path of 1 to 100 bytes of ASCII with no %xx in it, most of the time. Decoding is done
 * once and looks at no meaning: `..`, `//` or NUL are for those to judge who use the path. Pure
 * functions, any thread. */
#include "http_path.h"

#include "frame.h"
#include "http_bytes.h"

/* -- reading: each returns what is behind its part, or NULL -- */

static const char *read_path(const char *p, const char *end, const char *start,
                             struct http_request *r)
{
    r->path.at = p;
    p = http_skip(p, end, start, HTTP_PATH);
    r->path.len = (size_t)(p - r->path.at);
    r->query = (struct text){p, 0};
    if (p < end && *p == '?') {
        r->query.at = ++p;
        p = http_skip(p, end, start, HTTP_TARGET);
        r->query.len = (size_t)(p - r->query.at);
    }
    return p;
}

/* Whether this is nothing, or a colon and a port. */
static bool is_port(const char *p, const char *end)
{
    unsigned port = 0;
    if (p == end)
        return true;
    if (*p++ != ':')
        return false;
    for (; p < end && *p >= '0' && *p <= '9' && port <= UINT16_MAX; p++)
        port = port * 10 + (unsigned)(*p - '0');
    return p == end && port <= UINT16_MAX;
}

/* An IPv6 address in brackets. */
static const char *skip_literal(const char *p, const char *end)
{
    const char *start = ++p;
    while (p < end && (http_hex(*p) >= 0 || *p == ':' || *p == '.'))
        p++;
    return p < end && *p == ']' && p - start >= 2 ? p + 1 : NULL;
}

bool http_path_authority(struct text t)
{
    const char *p = t.at;
    const char *end = t.at + t.len;
    if (p < end && *p == '[') {
        p = skip_literal(p, end);
        return p != NULL && is_port(p, end);
    }
    for (; p < end && *p != ':'; p++) {
        if (*p == '%' && end - p >= 3 && http_hex(p[1]) >= 0 && http_hex(p[2]) >= 0)
            p += 2;
        else if (!http_is(*p, HTTP_HOST))
            return false;
    }
    return p > t.at && is_port(p, end);
}

/* The scheme, a lower-case text, in whatever case. */
static bool has_scheme(const char *p, const char *end, const char *scheme, size_t len)
{
    if ((size_t)(end - p) < len)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] | 0x20) : p[i];
        if (c != scheme[i])
            return false;
    }
    return true;
}

static const char *read_absolute(const char *p, const char *end, const char *start,
                                 struct http_request *r)
{
    if (has_scheme(p, end, "http://", 7))
        p += 7;
    else if (has_scheme(p, end, "https://", 8))
        p += 8;
    else
        return NULL;
    const char *authority = p;
    while (p < end && http_is(*p, HTTP_PATH) && *p != '/')
        p++;
    if (!http_path_authority((struct text){authority, (size_t)(p - authority)}))
        return NULL;
    bool bare = p == end || *p != '/';
    p = read_path(p, end, start, r);
    if (bare)
        r->path = (struct text){"/", 1};
    return p;
}

static bool is_options(const struct http_request *r)
{
    return r->method.len == 7 && memcmp(r->method.at, "OPTIONS", 7) == 0;
}

const char *http_path_target(const char *p, const char *end, const char *start,
                             struct http_request *r)
{
    r->target.at = p;
    if (p == end)
        return NULL;
    if (likely(*p == '/')) {
        p = read_path(p, end, start, r);
    } else if (*p == '*' && is_options(r)) {
        r->path = (struct text){p++, 1};
        r->query = (struct text){p, 0};
    } else {
        p = read_absolute(p, end, start, r);
    }
    if (p == NULL || p == end || *p != ' ')
        return NULL;
    r->target.len = (size_t)(p - r->target.at);
    return p;
}

struct text http_path_host(struct text target, struct text other)
{
    const char *end = target.at + target.len;
    const char *p = memchr(target.at, ':', target.len);
    if (p == NULL || *target.at == '/' || end - p < 3 || memcmp(p, "://", 3) != 0)
        return other;
    p += 3;
    const char *host = p;
    while (p < end && *p != '/' && *p != '?')
        p++;
    return (struct text){host, (size_t)(p - host)};
}

/* -- decoding -- */

size_t http_path_decode(char *out, struct text path)
{
    const char *p = path.at;
    const char *end = path.at + path.len;
    char *to = out;
    while (p < end) {
        if (*p == '%' && end - p >= 3 && http_hex(p[1]) >= 0 && http_hex(p[2]) >= 0) {
            *to++ = (char)(http_hex(p[1]) << 4 | http_hex(p[2]));
            p += 3;
        } else {
            *to++ = *p++;
        }
    }
    return (size_t)(to - out);
}

bool http_path_ascii(const char *p, size_t n)
{
    unsigned char all = 0;
    for (size_t i = 0; i < n; i++)
        all |= (unsigned char)p[i];
    return all < 0x80;
}

/* How many of the bytes at p are a character, or the start of one that does not go on (RFC 3629:
 * shortest form, no surrogates, up to U+10FFFF). *whole is which; 0: neither. */
static size_t character(const unsigned char *p, size_t n, bool *whole)
{
    size_t len = p[0] < 0x80   ? 1
                 : p[0] < 0xc2 ? 0
                 : p[0] < 0xe0 ? 2
                 : p[0] < 0xf0 ? 3
                 : p[0] < 0xf5 ? 4
                               : 0;
    unsigned low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    size_t met = len > 0;
    while (met < len && met < n && p[met] >= low && p[met] <= high) {
        met++;
        low = 0x80;
        high = 0xbf;
    }
    *whole = len > 0 && met == len;
    return met;
}

/* Copies characters as they are. A byte that is of none becomes U+DC00 + byte if `escape`; else
 * each start of one that does not go on, or such a byte, becomes U+FFFD. */
static size_t copy_characters(char *out, const char *p, size_t n, bool escape)
{
    const unsigned char *u = (const unsigned char *)p;
    char *to = out;
    for (size_t i = 0; i < n;) {
        bool whole;
        size_t len = character(u + i, n - i, &whole);
        if (whole) {
            memmove(to, p + i, len);
            to += len;
        } else if (escape) {
            *to++ = (char)0xed;
            *to++ = (char)(0xb0 | u[i] >> 6);
            *to++ = (char)(0x80 | (u[i] & 0x3f));
            len = 1;
        } else {
            to = HTTP_WRITE(to, "\xef\xbf\xbd");
        }
        i += len > 0 ? len : 1;
    }
    return (size_t)(to - out);
}

size_t http_path_escape(char *out, const char *p, size_t n)
{
    return copy_characters(out, p, n, true);
}

size_t http_path_replace(char *out, const char *p, size_t n)
{
    return copy_characters(out, p, n, false);
}
