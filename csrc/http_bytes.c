/* http_bytes.c -- classes of bytes, lists, numbers.
 *
 * Workload: short lists, met in the few fields that the server itself reads. Pure functions, any
 * thread. */
#include "http_bytes.h"

#define WORD (HTTP_TOKEN | HTTP_NAME | HTTP_VALUE | HTTP_TARGET | HTTP_PATH | HTTP_HOST)
#define BOTH (HTTP_TOKEN | HTTP_VALUE | HTTP_TARGET | HTTP_PATH)
#define TEXT (HTTP_VALUE | HTTP_TARGET | HTTP_PATH)

const uint8_t http_class[256] = {
    ['\t'] = HTTP_VALUE,
    [' '] = HTTP_VALUE,
    ['!'] = BOTH | HTTP_HOST,
    ['"'] = TEXT,
    ['#'] = HTTP_TOKEN | HTTP_VALUE,
    ['$'] = BOTH | HTTP_HOST,
    ['%'] = BOTH,
    ['&'] = BOTH | HTTP_HOST,
    ['\''] = BOTH | HTTP_HOST,
    ['('] = TEXT | HTTP_HOST,
    [')'] = TEXT | HTTP_HOST,
    ['*'] = BOTH | HTTP_HOST,
    ['+'] = BOTH | HTTP_HOST,
    [','] = TEXT,
    ['-'] = WORD,
    ['.'] = BOTH | HTTP_HOST,
    ['/'] = TEXT,
    ['0' ... '9'] = WORD,
    [':'] = TEXT,
    [';'] = TEXT | HTTP_HOST,
    ['<'] = TEXT,
    ['='] = TEXT | HTTP_HOST,
    ['>'] = TEXT,
    ['?'] = HTTP_VALUE | HTTP_TARGET,
    ['@'] = TEXT,
    ['A' ... 'Z'] = WORD,
    ['['] = TEXT,
    ['\\'] = TEXT,
    [']'] = TEXT,
    ['^'] = BOTH,
    ['_'] = WORD,
    ['`'] = BOTH,
    ['a' ... 'z'] = WORD,
    ['{'] = TEXT,
    ['|'] = BOTH,
    ['}'] = TEXT,
    ['~'] = BOTH | HTTP_HOST,
    [0x80 ... 0xff] = HTTP_VALUE,
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

bool http_element(struct text *list, struct text *element)
{
    if (list->at == NULL)
        return false;
    const char *end = list->at + list->len;
    const char *comma = memchr(list->at, ',', list->len);
    const char *first = list->at;
    const char *last = comma == NULL ? end : comma;
    while (first < last && is_space(*first))
        first++;
    while (last > first && is_space(last[-1]))
        last--;
    *element = (struct text){first, (size_t)(last - first)};
    *list = (struct text){NULL, 0};
    if (comma != NULL)
        *list = (struct text){comma + 1, (size_t)(end - comma) - 1};
    return true;
}

bool http_number(struct text t, uint64_t *n)
{
    const uint64_t most = INT64_MAX;
    *n = 0;
    for (size_t i = 0; i < t.len; i++) {
        unsigned digit = (unsigned)(unsigned char)t.at[i] - '0';
        if (digit > 9)
            return false;
        *n = *n > (most - digit) / 10 ? most : *n * 10 + digit;
    }
    return t.len > 0;
}
