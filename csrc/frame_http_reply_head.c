/* frame_http_reply_head.c -- the heads of responses, part by part.
 *
 * Workload: the usual response has its head from frame_http_reply.c; here are the others, with a
 * few fields each. Names and values of a handler's fields are checked, every byte, as they are
 * written. Pure functions, any thread. */
#include "frame_http_reply.h"

#include "date.h"
#include "fastloop.h"
#include "frame.h"
#include "http_bytes.h"

char *http_status(char *p, int status)
{
    const char *reason = http_reason(status);
    p = HTTP_WRITE(p, "HTTP/1.1 ");
    *p++ = (char)('0' + status / 100);
    *p++ = (char)('0' + status / 10 % 10);
    *p++ = (char)('0' + status % 10);
    *p++ = ' ';
    p = http_write(p, reason, strlen(reason));
    return HTTP_WRITE(p, "\r\n");
}

char *http_general(char *p, const struct framing *f, const struct exchange *x, bool dated)
{
    if (!dated) {
        p = HTTP_WRITE(p, "date: ");
        p = http_write(p, f->http->date->text, DATE_LEN);
        p = HTTP_WRITE(p, "\r\n");
    }
    if (x->flags & (HTTP_CLOSE | HTTP_OPEN))
        return HTTP_WRITE(p, "connection: close\r\n");
    return x->flags & HTTP_KEPT ? HTTP_WRITE(p, "connection: keep-alive\r\n") : p;
}

char *http_begin(char *p, const struct framing *f, const struct exchange *x, int status)
{
    return http_general(http_status(p, status), f, x, false);
}

char *http_length(char *p, uint64_t n)
{
    p = HTTP_WRITE(p, "content-length: ");
    p += frame_decimal(p, (int64_t)n);
    return HTTP_WRITE(p, "\r\n");
}

/* -- fields from Python -- */

static int read_text(struct codec_reader *in, struct text *t)
{
    struct codec_value v = {0};
    int rc = codec_read(in, &v);
    *t = (struct text){v.data, v.len};
    if (rc == 0 && v.type != CODEC_BYTES && v.type != CODEC_TEXT)
        rc = FL_EVALUE;
    return rc;
}

static int read_pair(struct codec_reader *in, struct text *name, struct text *value)
{
    struct codec_value pair = {0};
    int rc = codec_read(in, &pair);
    if (rc == 0 && ((pair.type != CODEC_TUPLE && pair.type != CODEC_LIST) || pair.count != 2))
        rc = FL_EVALUE;
    if (rc == 0)
        rc = read_text(in, name);
    return rc < 0 ? rc : read_text(in, value);
}

static bool is_name(struct text t)
{
    const char *p = t.at;
    const char *end = t.at + t.len;
    for (p = http_skip(p, end, p, HTTP_NAME); p < end && http_is(*p, HTTP_TOKEN);)
        p++;
    return p == end && t.len > 0;
}

static bool is_value(struct text t)
{
    return http_skip(t.at, t.at + t.len, t.at, HTTP_VALUE) == t.at + t.len;
}

static void meet_connection(struct text value, struct http_given *given)
{
    struct text option;
    while (http_element(&value, &option)) {
        given->close |= http_same(option, "close");
        given->upgrade |= http_same(option, "upgrade");
    }
}

/* Returns 1 if the field is to be written, 0 if not, or FL_EVALUE. */
static int meet_field(struct text name, struct text value, struct http_given *given)
{
    if (!is_name(name) || !is_value(value))
        return FL_EVALUE;
    if (http_same(name, "content-length")) {
        if (given->has_length || !http_number(value, &given->length))
            return FL_EVALUE;
        given->has_length = true;
        return 0;
    }
    if (http_same(name, "connection")) {
        meet_connection(value, given);
        return 0;
    }
    given->date |= http_same(name, "date");
    given->type |= http_same(name, "content-type");
    return !http_same(name, "transfer-encoding");
}

int http_fields(char **p, struct codec_reader *in, struct http_given *given)
{
    struct codec_value list = {0};
    *given = (struct http_given){0};
    int rc = codec_read(in, &list);
    if (rc == 0 && list.type != CODEC_LIST && list.type != CODEC_TUPLE)
        rc = FL_EVALUE;
    for (uint32_t left = list.count; rc >= 0 && left > 0; left--) {
        struct text name = {0};
        struct text value = {0};
        rc = read_pair(in, &name, &value);
        if (rc == 0)
            rc = meet_field(name, value, given);
        if (rc > 0) {
            *p = HTTP_WRITE(http_write(*p, name.at, name.len), ": ");
            *p = HTTP_WRITE(http_write(*p, value.at, value.len), "\r\n");
        }
    }
    return rc < 0 ? rc : 0;
}

/* RFC 9110, 15, and what else is registered. */
const char *http_reason(int status)
{
    switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 102: return "Processing";
    case 103: return "Early Hints";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 207: return "Multi-Status";
    case 208: return "Already Reported";
    case 226: return "IM Used";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 305: return "Use Proxy";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 407: return "Proxy Authentication Required";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 423: return "Locked";
    case 424: return "Failed Dependency";
    case 425: return "Too Early";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 451: return "Unavailable For Legal Reasons";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 506: return "Variant Also Negotiates";
    case 507: return "Insufficient Storage";
    case 508: return "Loop Detected";
    case 510: return "Not Extended";
    case 511: return "Network Authentication Required";
    default: return "";
    }
}
