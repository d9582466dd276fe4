/* http_field.c -- walking over the fields of a head.
 *
 * Workload: 1 to 20 fields, nearly all with names that are in the table; a name is compared with
 * those of its length. The head was checked before, so nothing is looked at twice. Pure functions,
 * any thread. */
#include "http_field.h"

#include <string.h>

#include "http_bytes.h"

#define NAME(lower, variable)                                                                      \
    {                                                                                              \
        {lower, sizeof(lower) - 1},                                                                \
        {                                                                                          \
            variable, sizeof(variable) - 1                                                         \
        }                                                                                          \
    }

const struct http_field_name http_field_names[HTTP_FIELD_NAMES] = {
    NAME("te", "HTTP_TE"),
    NAME("dnt", "HTTP_DNT"),
    NAME("via", "HTTP_VIA"),
    NAME("date", "HTTP_DATE"),
    NAME("from", "HTTP_FROM"),
    NAME("host", "HTTP_HOST"),
    NAME("range", "HTTP_RANGE"),
    NAME("accept", "HTTP_ACCEPT"),
    NAME("cookie", "HTTP_COOKIE"),
    NAME("expect", "HTTP_EXPECT"),
    NAME("origin", "HTTP_ORIGIN"),
    NAME("pragma", "HTTP_PRAGMA"),
    NAME("referer", "HTTP_REFERER"),
    NAME("sec-gpc", "HTTP_SEC_GPC"),
    NAME("trailer", "HTTP_TRAILER"),
    NAME("upgrade", "HTTP_UPGRADE"),
    NAME("if-match", "HTTP_IF_MATCH"),
    NAME("if-range", "HTTP_IF_RANGE"),
    NAME("priority", "HTTP_PRIORITY"),
    NAME("forwarded", "HTTP_FORWARDED"),
    NAME("save-data", "HTTP_SAVE_DATA"),
    NAME("sec-ch-ua", "HTTP_SEC_CH_UA"),
    NAME("x-api-key", "HTTP_X_API_KEY"),
    NAME("x-real-ip", "HTTP_X_REAL_IP"),
    NAME("connection", "HTTP_CONNECTION"),
    NAME("keep-alive", "HTTP_KEEP_ALIVE"),
    NAME("tracestate", "HTTP_TRACESTATE"),
    NAME("user-agent", "HTTP_USER_AGENT"),
    NAME("traceparent", "HTTP_TRACEPARENT"),
    NAME("x-csrftoken", "HTTP_X_CSRFTOKEN"),
    NAME("content-type", "CONTENT_TYPE"),
    NAME("x-csrf-token", "HTTP_X_CSRF_TOKEN"),
    NAME("x-request-id", "HTTP_X_REQUEST_ID"),
    NAME("authorization", "HTTP_AUTHORIZATION"),
    NAME("cache-control", "HTTP_CACHE_CONTROL"),
    NAME("if-none-match", "HTTP_IF_NONE_MATCH"),
    NAME("last-event-id", "HTTP_LAST_EVENT_ID"),
    NAME("accept-charset", "HTTP_ACCEPT_CHARSET"),
    NAME("content-length", "CONTENT_LENGTH"),
    NAME("sec-fetch-dest", "HTTP_SEC_FETCH_DEST"),
    NAME("sec-fetch-mode", "HTTP_SEC_FETCH_MODE"),
    NAME("sec-fetch-site", "HTTP_SEC_FETCH_SITE"),
    NAME("sec-fetch-user", "HTTP_SEC_FETCH_USER"),
    NAME("accept-encoding", "HTTP_ACCEPT_ENCODING"),
    NAME("accept-language", "HTTP_ACCEPT_LANGUAGE"),
    NAME("idempotency-key", "HTTP_IDEMPOTENCY_KEY"),
    NAME("x-forwarded-for", "HTTP_X_FORWARDED_FOR"),
    NAME("content-encoding", "HTTP_CONTENT_ENCODING"),
    NAME("sec-ch-ua-mobile", "HTTP_SEC_CH_UA_MOBILE"),
    NAME("x-forwarded-host", "HTTP_X_FORWARDED_HOST"),
    NAME("x-forwarded-port", "HTTP_X_FORWARDED_PORT"),
    NAME("x-requested-with", "HTTP_X_REQUESTED_WITH"),
    NAME("if-modified-since", "HTTP_IF_MODIFIED_SINCE"),
    NAME("sec-websocket-key", "HTTP_SEC_WEBSOCKET_KEY"),
    NAME("transfer-encoding", "HTTP_TRANSFER_ENCODING"),
    NAME("x-forwarded-proto", "HTTP_X_FORWARDED_PROTO"),
    NAME("sec-ch-ua-platform", "HTTP_SEC_CH_UA_PLATFORM"),
    NAME("if-unmodified-since", "HTTP_IF_UNMODIFIED_SINCE"),
    NAME("sec-websocket-version", "HTTP_SEC_WEBSOCKET_VERSION"),
    NAME("sec-websocket-protocol", "HTTP_SEC_WEBSOCKET_PROTOCOL"),
    NAME("sec-websocket-extensions", "HTTP_SEC_WEBSOCKET_EXTENSIONS"),
    NAME("upgrade-insecure-requests", "HTTP_UPGRADE_INSECURE_REQUESTS"),
    NAME("access-control-request-method", "HTTP_ACCESS_CONTROL_REQUEST_METHOD"),
    NAME("access-control-request-headers", "HTTP_ACCESS_CONTROL_REQUEST_HEADERS"),
};

enum { LONGEST = 30 };

/* Where the names of each length begin, and behind the last where all end. */
static const uint8_t first_of[LONGEST + 2] = {
    0,  0,  0,  1,  3,  6,  7,  12, 16, 19, 24, 28, 30, 33, 37, 43,
    47, 52, 56, 57, 58, 58, 59, 60, 60, 61, 62, 62, 62, 62, 63, 64,
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

struct http_walk http_field_walk(struct text head)
{
    const char *end = head.at + head.len;
    const char *line = memchr(head.at, '\n', head.len);
    return (struct http_walk){line == NULL ? end : line + 1, end};
}

bool http_field_next(struct http_walk *w, struct http_field *f)
{
    if (w->at == w->end)
        return false;
    const char *colon = memchr(w->at, ':', (size_t)(w->end - w->at));
    const char *p = colon + 1;
    const char *last = memchr(p, '\n', (size_t)(w->end - p));
    f->name = (struct text){w->at, (size_t)(colon - w->at)};
    w->at = last-- + 1; /* which was the LF, and then the CR in front of it */
    while (p < last && is_space(*p))
        p++;
    while (last > p && is_space(last[-1]))
        last--;
    f->value = (struct text){p, (size_t)(last - p)};
    return true;
}

unsigned http_field_known(struct text name)
{
    if (name.len > LONGEST)
        return HTTP_FIELD_UNKNOWN;
    for (unsigned n = first_of[name.len]; n < first_of[name.len + 1]; n++) {
        if (http_same(name, http_field_names[n].lower.at))
            return n;
    }
    return HTTP_FIELD_UNKNOWN;
}
