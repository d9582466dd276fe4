/* http_environ.c -- the environ of a request.
 *
 * Workload: 1 to 20 fields of ASCII with names from the table; most keys of a batch are references
 * to those of its first request. A field that comes again is rare, and looked for only if a name
 * may be one that was met.
 *
 * Invariant: where a key is written twice, the last time is with the joined values, and that is
 * what the dict has in the end. Looking for them compares each with all: their number is limited by
 * max_fields. Pure functions, any thread. */
#include "http_environ.h"

#include "fastloop.h"
#include "frame.h"
#include "http_bytes.h"
#include "http_field.h"
#include "http_path.h"

/* Numbers of shared values, behind those of the names. */
enum {
    KEY_METHOD = HTTP_FIELD_NAMES,
    KEY_PATH,
    KEY_QUERY,
    KEY_RAW,
    KEY_PROTOCOL,
    KEY_ADDRESS,
    KEY_PORT,
    VALUE_GET,
    VALUE_POST,
    VALUE_NEW, /* HTTP/1.1 */
    VALUE_OLD,
    SHARED,
};
_Static_assert((int)SHARED <= (int)CODEC_SHARED, "numbers of shared values");

#define PREFIX "HTTP_"
#define TEXT(literal)                                                                              \
    (struct text)                                                                                  \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

struct environ {
    const struct http_request *r;
    struct codec_refs *refs;
    uint64_t known; /* names of the table that were met */
    uint64_t other; /* a bit for each other name that was met, several to a bit */
    bool ascii;     /* the whole head is */
    bool repeats;   /* some name may have come again */
};

/* A head of n bytes has at most n / 4 fields; each is written in less than 4 bytes for one of the
 * head's, and once more if it is joined, for which 2 are room to work in. */
size_t http_environ_room(const struct message *m)
{
    enum { FIXED = 512 };
    const struct http_request *r = &m->http;
    return FIXED + r->method.len + 2 * r->path.len + r->query.len + r->target.len +
           10 * r->head.len;
}

static char *put_key(char *p, const struct environ *e, unsigned number, struct text key)
{
    return codec_shared(p, e->refs, number, false, key);
}

static char *put_value(char *p, const struct environ *e, struct text value)
{
    return likely(e->ascii) ? codec_ascii(p, value.at, (uint32_t)value.len)
                            : codec_latin1(p, value.at, (uint32_t)value.len);
}

static bool is(struct text t, const char *word, size_t len)
{
    return t.len == len && memcmp(t.at, word, len) == 0;
}

/* -- the request line -- */

static char *put_method(char *p, const struct environ *e)
{
    struct text method = e->r->method;
    p = put_key(p, e, KEY_METHOD, TEXT("REQUEST_METHOD"));
    if (is(method, "GET", 3))
        return put_key(p, e, VALUE_GET, method);
    if (is(method, "POST", 4))
        return put_key(p, e, VALUE_POST, method);
    return codec_ascii(p, method.at, (uint32_t)method.len);
}

static char *put_path(char *p, const struct environ *e)
{
    struct text path = e->r->path;
    p = put_key(p, e, KEY_PATH, TEXT("PATH_INFO"));
    if (likely(memchr(path.at, '%', path.len) == NULL))
        return codec_ascii(p, path.at, (uint32_t)path.len);
    /* Decoded to the far end of the room, where what is written in front cannot overtake it. */
    char *bytes = p + CODEC_HEAD + path.len;
    size_t len = http_path_decode(bytes, path);
    return codec_latin1(p, bytes, (uint32_t)len);
}

static char *put_request_line(char *p, const struct environ *e)
{
    const struct http_request *r = e->r;
    p = put_method(p, e);
    p = put_path(p, e);
    p = put_key(p, e, KEY_QUERY, TEXT("QUERY_STRING"));
    p = codec_ascii(p, r->query.at, (uint32_t)r->query.len);
    p = put_key(p, e, KEY_RAW, TEXT("RAW_URI"));
    p = codec_ascii(p, r->target.at, (uint32_t)r->target.len);
    p = put_key(p, e, KEY_PROTOCOL, TEXT("SERVER_PROTOCOL"));
    return r->flags & HTTP_OLD ? put_key(p, e, VALUE_OLD, TEXT("HTTP/1.0"))
                               : put_key(p, e, VALUE_NEW, TEXT("HTTP/1.1"));
}

static char *put_peer(char *p, const struct environ *e, const struct sock_name *peer)
{
    char port[FRAME_DECIMAL];
    if (peer == NULL)
        return p;
    p = put_key(p, e, KEY_ADDRESS, TEXT("REMOTE_ADDR"));
    p = codec_ascii(p, peer->host, peer->len);
    p = put_key(p, e, KEY_PORT, TEXT("REMOTE_PORT"));
    return codec_ascii(p, port, (uint32_t)frame_decimal(port, peer->port));
}

/* -- fields -- */

static char capital(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c ^ 0x20) : c == '-' ? '_' : c;
}

/* A key that is not in the table. */
static char *put_other_key(char *p, struct text name)
{
    const size_t prefix = sizeof PREFIX - 1;
    size_t len = prefix + name.len;
    char *start = p + CODEC_HEAD;
    codec_text_head(p, (uint32_t)len);
    memcpy(start, PREFIX, prefix);
    for (size_t i = 0; i < name.len; i++)
        start[prefix + i] = capital(name.at[i]);
    return start + len;
}

static char *put_field_key(char *p, const struct environ *e, unsigned known, struct text name)
{
    if (likely(known != HTTP_FIELD_UNKNOWN))
        return put_key(p, e, known, http_field_names[known].variable);
    return put_other_key(p, name);
}

/* Of an absolute target that wins over the field: RFC 9112, 3.2.2. */
static struct text value_of(const struct environ *e, unsigned known, const struct http_field *f)
{
    if (unlikely(known == HTTP_FIELD_HOST) && *e->r->target.at != '/')
        return http_path_host(e->r->target, f->value);
    return f->value;
}

/* Whether a name was met before, or may have been; from now on it was. */
static bool meet(struct environ *e, unsigned known, struct text name)
{
    uint64_t *met = &e->known;
    uint64_t bit = UINT64_C(1) << (known % 64);
    if (unlikely(known == HTTP_FIELD_UNKNOWN)) {
        uint32_t hash = (uint32_t)name.len;
        for (size_t i = 0; i < name.len; i++)
            hash = hash * 31 + (uint8_t)capital(name.at[i]);
        met = &e->other;
        bit = UINT64_C(1) << (hash >> 5) % 64;
    }
    bool before = (*met & bit) != 0;
    *met |= bit;
    return before;
}

static bool is_same_name(struct text a, struct text b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (capital(a.at[i]) != capital(b.at[i]))
            return false;
    }
    return true;
}

static bool is_ambiguous(struct text name)
{
    return memchr(name.at, '_', name.len) != NULL;
}

static char *put_fields(char *p, struct environ *e)
{
    struct http_walk w = http_field_walk(e->r->head);
    struct http_field f;
    while (http_field_next(&w, &f)) {
        unsigned known = http_field_known(f.name);
        if (unlikely(known == HTTP_FIELD_UNKNOWN) && is_ambiguous(f.name))
            continue;
        if (unlikely(meet(e, known, f.name))) {
            e->repeats = true;
            if (known != HTTP_FIELD_UNKNOWN)
                continue; /* its joined values come later */
        }
        p = put_field_key(p, e, known, f.name);
        p = put_value(p, e, value_of(e, known, &f));
    }
    return p;
}

/* -- fields that come again -- */

/* How often a name stands in front of the place where a walk has come. */
static unsigned times_before(const struct environ *e, const char *place, struct text name)
{
    struct http_walk w = http_field_walk(e->r->head);
    struct http_field f;
    unsigned times = 0;
    while (w.at < place && http_field_next(&w, &f))
        times += is_same_name(f.name, name);
    return times;
}

/* The joined values of all fields of this name: RFC 9110, 5.3, and for cookies RFC 9113, 8.2.3.
 * They are gathered at the far end of the room, where what is written cannot overtake them. */
static char *put_joined(char *p, const struct environ *e, struct text name, bool cookies)
{
    struct http_walk w = http_field_walk(e->r->head);
    struct http_field f;
    char *joined = p + CODEC_HEAD + e->r->head.len;
    char *to = joined;
    while (http_field_next(&w, &f)) {
        if (!is_same_name(f.name, name))
            continue;
        if (to > joined)
            to = cookies ? HTTP_WRITE(to, "; ") : HTTP_WRITE(to, ", ");
        to = http_write(to, f.value.at, f.value.len);
    }
    return put_value(p, e, (struct text){joined, (size_t)(to - joined)});
}

static char *put_repeated(char *p, const struct environ *e)
{
    struct http_walk w = http_field_walk(e->r->head);
    struct http_field f;
    while (http_field_next(&w, &f)) {
        unsigned known = http_field_known(f.name);
        if (is_ambiguous(f.name) || times_before(e, f.name.at, f.name) != 1)
            continue;
        p = put_field_key(p, e, known, f.name);
        p = put_joined(p, e, f.name, known == HTTP_FIELD_COOKIE);
    }
    return p;
}

char *http_environ_write(char *p, const struct message *m)
{
    struct environ e = {
        .r = &m->http,
        .refs = m->refs,
        .ascii = http_path_ascii(m->http.head.at, m->http.head.len),
    };
    *p++ = '{';
    p = put_request_line(p, &e);
    p = put_peer(p, &e, m->peer);
    p = put_fields(p, &e);
    if (unlikely(e.repeats))
        p = put_repeated(p, &e);
    *p++ = '0';
    return p;
}
