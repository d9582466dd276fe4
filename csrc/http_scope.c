/* http_scope.c -- the scope of a request.
 *
 * Workload: 1 to 20 fields with names from the table; most keys and names of a batch are references
 * to those of its first request. Pure functions, any thread. */
#include "http_scope.h"

#include "fastloop.h"
#include "frame.h"
#include "http_bytes.h"
#include "http_field.h"
#include "http_path.h"

/* Numbers of shared values, behind those of the names. */
enum {
    KEY_VERSION = HTTP_FIELD_NAMES,
    KEY_METHOD,
    KEY_PATH,
    KEY_RAW,
    KEY_QUERY,
    KEY_HEADERS,
    KEY_CLIENT,
    KEY_TYPE,
    VALUE_NEW, /* 1.1 */
    VALUE_OLD,
    VALUE_GET,
    VALUE_POST,
    VALUE_WEBSOCKET,
    SHARED,
};
_Static_assert((int)SHARED <= (int)CODEC_SHARED, "numbers of shared values");

#define TEXT(literal)                                                                              \
    (struct text)                                                                                  \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

/* A head of n bytes has at most n / 4 fields; each is written in less than 4 bytes for one of the
 * head's. Of a path each byte may become U+FFFD. */
size_t http_scope_room(const struct message *m)
{
    enum { FIXED = 512 };
    const struct http_request *r = &m->http;
    return FIXED + r->method.len + 4 * r->path.len + r->query.len + 4 * r->head.len;
}

static char *put_text(char *p, const struct message *m, unsigned number, struct text value)
{
    return codec_shared(p, m->refs, number, false, value);
}

static bool is(struct text t, const char *word, size_t len)
{
    return t.len == len && memcmp(t.at, word, len) == 0;
}

static char *put_method(char *p, const struct message *m)
{
    struct text method = m->http.method;
    p = put_text(p, m, KEY_METHOD, TEXT("method"));
    if (is(method, "GET", 3))
        return put_text(p, m, VALUE_GET, method);
    if (is(method, "POST", 4))
        return put_text(p, m, VALUE_POST, method);
    return codec_ascii(p, method.at, (uint32_t)method.len);
}

static char *put_path(char *p, const struct message *m)
{
    struct text path = m->http.path;
    p = put_text(p, m, KEY_PATH, TEXT("path"));
    if (likely(memchr(path.at, '%', path.len) == NULL))
        return codec_ascii(p, path.at, (uint32_t)path.len);
    /* Decoded to the far end of the room, where what is written in front cannot overtake it. */
    char *bytes = p + CODEC_HEAD + 2 * path.len;
    size_t len = http_path_decode(bytes, path);
    len = http_path_replace(p + CODEC_HEAD, bytes, len);
    return codec_text_head(p, (uint32_t)len) + len;
}

static char *put_request_line(char *p, const struct message *m)
{
    const struct http_request *r = &m->http;
    p = put_text(p, m, KEY_VERSION, TEXT("http_version"));
    p = r->flags & HTTP_OLD ? put_text(p, m, VALUE_OLD, TEXT("1.0"))
                            : put_text(p, m, VALUE_NEW, TEXT("1.1"));
    p = put_method(p, m);
    p = put_path(p, m);
    p = put_text(p, m, KEY_RAW, TEXT("raw_path"));
    p = codec_bytes(p, r->path.at, (uint32_t)r->path.len);
    p = put_text(p, m, KEY_QUERY, TEXT("query_string"));
    return codec_bytes(p, r->query.at, (uint32_t)r->query.len);
}

static char *put_client(char *p, const struct message *m)
{
    if (m->peer == NULL)
        return p;
    p = put_text(p, m, KEY_CLIENT, TEXT("client"));
    p = codec_tuple(p, 2);
    p = codec_ascii(p, m->peer->host, m->peer->len);
    return codec_i32(p, m->peer->port);
}

static char *put_name(char *p, const struct message *m, unsigned known, struct text name)
{
    if (likely(known != HTTP_FIELD_UNKNOWN))
        return codec_shared(p, m->refs, known, true, http_field_names[known].lower);
    p = codec_bytes_head(p, (uint32_t)name.len);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        *p++ = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    return p;
}

/* Returns the end; *websocket is whether a field asks for that. */
static char *put_headers(char *p, const struct message *m, bool *websocket)
{
    struct http_walk w = http_field_walk(m->http.head);
    struct http_field f;
    uint32_t count = 0;
    p = put_text(p, m, KEY_HEADERS, TEXT("headers"));
    char *list = p;
    p = codec_list(p, 0);
    for (; http_field_next(&w, &f); count++) {
        unsigned known = http_field_known(f.name);
        if (unlikely(known == HTTP_FIELD_HOST) && *m->http.target.at != '/')
            f.value = http_path_host(m->http.target, f.value);
        if (unlikely(known == HTTP_FIELD_UPGRADE))
            *websocket |= http_same(f.value, "websocket");
        p = put_name(codec_tuple(p, 2), m, known, f.name);
        p = codec_bytes(p, f.value.at, (uint32_t)f.value.len);
    }
    codec_list(list, count);
    return p;
}

char *http_scope_write(char *p, const struct message *m)
{
    bool websocket = false;
    *p++ = '{';
    p = put_request_line(p, m);
    p = put_client(p, m);
    p = put_headers(p, m, &websocket);
    if (unlikely(websocket) && (m->http.flags & HTTP_UPGRADE)) {
        p = put_text(p, m, KEY_TYPE, TEXT("type"));
        p = put_text(p, m, VALUE_WEBSOCKET, TEXT("websocket"));
    }
    *p++ = '0';
    return p;
}
