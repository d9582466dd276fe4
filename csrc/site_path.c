/* site_path.c -- decoding and judging paths.
 *
 * Workload: one short path for each request of a file, seldom with %xx. What is refused here never
 * reaches the file system; the kernel's own rule about leaving the root (disk.c) comes on top,
 * for symlinks. Pure: any thread. */
#include "site_path.h"

#include <string.h>

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte at *at, decoded once; -1 if it is none. */
static int decode(struct text raw, size_t *at)
{
    char c = raw.at[(*at)++];
    if (c != '%')
        return (unsigned char)c;
    int high = *at + 1 < raw.len ? hex(raw.at[*at]) : -1;
    int low = high < 0 ? -1 : hex(raw.at[*at + 1]);
    *at += 2;
    return low < 0 ? -1 : high << 4 | low;
}

static int judge_byte(int c, bool encoded)
{
    if (c <= 0) /* no byte, or a NUL */
        return 400;
    return c == '\\' || (c == '/' && encoded) ? 404 : 0;
}

static bool served(const char *component, size_t len, bool hidden)
{
    if (len == 0 || component[0] != '.')
        return len > 0;
    return hidden && len > 1 && !(len == 2 && component[1] == '.');
}

static int judge_name(const struct site_path *p, bool hidden)
{
    const char *at = p->name;
    const char *end = p->name + p->len;
    while (p->len > 0 && at <= end) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        const char *stop = slash == NULL ? end : slash;
        if (!served(at, (size_t)(stop - at), hidden))
            return 404;
        at = stop + 1;
    }
    return 0;
}

int site_path_decode(struct text raw, bool hidden, struct site_path *out)
{
    size_t n = 0;
    size_t at = raw.len > 0 && raw.at[0] == '/';
    int worst = 0;
    while (at < raw.len) {
        bool encoded = raw.at[at] == '%';
        int c = decode(raw, &at);
        int status = judge_byte(c, encoded);
        if (status == 400)
            return 400;
        worst = status == 0 ? worst : status;
        if (n == SITE_PATH - 1)
            worst = 404;
        else
            out->name[n++] = (char)c;
    }
    out->directory = n == 0 || out->name[n - 1] == '/';
    out->len = n > 0 && out->directory ? n - 1 : n;
    out->name[out->len] = '\0';
    if (worst == 0 && n > 0 && out->len == 0)
        worst = 404; /* "//" */
    return worst != 0 ? worst : judge_name(out, hidden);
}

/* Going back to the last star alone is enough: an earlier one could match no better. */
bool site_path_match(const char *pattern, const char *name)
{
    const char *star = NULL;
    const char *again = NULL;
    while (*name != '\0') {
        if (*pattern == '*') {
            star = ++pattern;
            again = name;
        } else if (*pattern == '?' || (*pattern != '\0' && *pattern == *name)) {
            pattern++;
            name++;
        } else if (star != NULL) {
            pattern = star;
            name = ++again;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

const char *site_path_base(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash == NULL ? name : slash + 1;
}

static bool plain(char c)
{
    char lower = (char)(c | 0x20);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

char *site_path_escape(char *out, const char *name, size_t len)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];
        if (plain(name[i])) {
            *out++ = name[i];
        } else {
            *out++ = '%';
            *out++ = digits[c >> 4];
            *out++ = digits[c & 15];
        }
    }
    return out;
}
