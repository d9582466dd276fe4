/* site_request.c -- fields of a request for a file.
 *
 * Workload: a head of two to twenty fields, of which one or none matters: a line is told apart by
 * its first letter and length. Lists are read once from left to right, and nothing is built whose
 * size the client chooses. Pure: any thread. */
#include "site_request.h"

#include <string.h>

#include "site_date.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool same(struct text a, const char *name)
{
    size_t i = 0;
    while (i < a.len && name[i] != '\0' && lower(a.at[i]) == name[i])
        i++;
    return i == a.len && name[i] == '\0';
}

static struct text trim(struct text t)
{
    while (t.len > 0 && (t.at[0] == ' ' || t.at[0] == '\t')) {
        t.at++;
        t.len--;
    }
    while (t.len > 0 && (t.at[t.len - 1] == ' ' || t.at[t.len - 1] == '\t'))
        t.len--;
    return t;
}

/* The next field of a head, of which *at lines were read; the request line has been skipped. */
static bool next_field(struct text head, size_t *at, struct text *name, struct text *value)
{
    const char *line = head.at + *at;
    const char *end = *at < head.len ? memchr(line, '\n', head.len - *at) : NULL;
    if (end == NULL)
        return false;
    *at = (size_t)(end + 1 - head.at);
    const char *stop = end > line && end[-1] == '\r' ? end - 1 : end;
    const char *colon = memchr(line, ':', (size_t)(stop - line));
    const char *behind = colon == NULL ? stop : colon + 1;
    *name = (struct text){line, (size_t)((colon == NULL ? stop : colon) - line)};
    *value = trim((struct text){behind, (size_t)(stop - behind)});
    return true;
}

static size_t first_field(struct text head)
{
    const char *end = head.len > 0 ? memchr(head.at, '\n', head.len) : NULL;
    return end == NULL ? head.len : (size_t)(end + 1 - head.at);
}

static const char *const names[SITE_FIELDS] = {
    [SITE_ACCEPT_ENCODING] = "accept-encoding",
    [SITE_RANGE] = "range",
    [SITE_IF_RANGE] = "if-range",
    [SITE_IF_MATCH] = "if-match",
    [SITE_IF_NONE_MATCH] = "if-none-match",
    [SITE_IF_MODIFIED_SINCE] = "if-modified-since",
    [SITE_IF_UNMODIFIED_SINCE] = "if-unmodified-since",
};

/* The field's number, or SITE_FIELDS for any other. */
static int which(struct text name)
{
    char c = name.len < 5 ? '\0' : (char)(name.at[0] | 0x20);
    int n = c == 'a' ? SITE_ACCEPT_ENCODING : c == 'r' ? SITE_RANGE : SITE_IF_RANGE;
    int end = c == 'i' ? SITE_FIELDS : n + 1;
    if (c != 'a' && c != 'r' && c != 'i')
        return SITE_FIELDS;
    while (n < end && !same(name, names[n]))
        n++;
    return n < end ? n : SITE_FIELDS;
}

/* -- lists -- */

/* The next element of a list between commas; elements may be empty. */
static bool next_element(struct text *list, struct text *element)
{
    if (list->at == NULL)
        return false;
    const char *comma = list->len > 0 ? memchr(list->at, ',', list->len) : NULL;
    size_t len = comma == NULL ? list->len : (size_t)(comma - list->at);
    *element = trim((struct text){list->at, len});
    *list = comma == NULL ? (struct text){NULL, 0} : (struct text){comma + 1, list->len - len - 1};
    return true;
}

/* "0" to "1.000" as 0 to 1000; anything else as 0. */
static unsigned read_weight(struct text q)
{
    unsigned scale = 1000;
    unsigned weight = 0;
    if (q.len == 0 || q.len > 5 || q.at[0] < '0' || q.at[0] > '1' || (q.len > 1 && q.at[1] != '.'))
        return 0;
    weight = (unsigned)(q.at[0] - '0') * 1000;
    for (size_t i = 2; i < q.len; i++) {
        if (q.at[i] < '0' || q.at[i] > '9')
            return 0;
        scale /= 10;
        weight += (unsigned)(q.at[i] - '0') * scale;
    }
    return weight > 1000 ? 0 : weight;
}

/* The weight in "name ; q=0.5", of which *element keeps the name. */
static unsigned split_weight(struct text *element)
{
    const char *semicolon = element->len > 0 ? memchr(element->at, ';', element->len) : NULL;
    if (semicolon == NULL)
        return 1000;
    const char *end = element->at + element->len;
    struct text q = trim((struct text){semicolon + 1, (size_t)(end - semicolon - 1)});
    *element = trim((struct text){element->at, (size_t)(semicolon - element->at)});
    if (q.len < 2 || lower(q.at[0]) != 'q' || q.at[1] != '=')
        return 0;
    return read_weight((struct text){q.at + 2, q.len - 2});
}

static void read_codings(struct text list, int weights[SITE_CODINGS])
{
    struct text element;
    while (next_element(&list, &element)) {
        int weight = (int)split_weight(&element);
        if (same(element, "br"))
            weights[SITE_BROTLI] = weight;
        else if (same(element, "zstd"))
            weights[SITE_ZSTD] = weight;
        else if (same(element, "gzip") || same(element, "x-gzip"))
            weights[SITE_GZIP] = weight;
        else if (same(element, "*"))
            weights[SITE_PLAIN] = weight; /* for those that are not named */
    }
}

/* Two bits for each accepted coding, the best in the lowest. */
static uint8_t pack_codings(int weights[SITE_CODINGS])
{
    unsigned packed = 0;
    int others = weights[SITE_PLAIN];
    for (int i = SITE_BROTLI; i < SITE_CODINGS; i++)
        weights[i] = weights[i] < 0 ? others : weights[i];
    for (unsigned n = 0; n < 3; n++) {
        int best = SITE_BROTLI;
        for (int i = SITE_ZSTD; i < SITE_CODINGS; i++)
            best = weights[i] > weights[best] ? i : best;
        if (weights[best] <= 0)
            break;
        packed |= (unsigned)best << (2 * n);
        weights[best] = 0;
    }
    return (uint8_t)packed;
}

void site_request_read(struct site_request *r, struct text head)
{
    int weights[SITE_CODINGS] = {-1, -1, -1, -1};
    struct text name, value;
    size_t at = first_field(head);
    *r = (struct site_request){.head = head};
    while (next_field(head, &at, &name, &value)) {
        int n = which(name);
        if (n == SITE_FIELDS)
            continue;
        if (n == SITE_ACCEPT_ENCODING)
            read_codings(value, weights);
        if (r->fields[n].at != NULL)
            r->repeated |= (uint8_t)(1u << n);
        else
            r->fields[n] = value;
    }
    if (r->fields[SITE_ACCEPT_ENCODING].at != NULL)
        r->codings = pack_codings(weights);
}

/* -- conditions -- */

/* Whether a list of entity tags, which may hold commas, has this one, or is "*". With `weak` tags
 * that begin with W/ count as well. */
static bool lists_etag(struct text list, struct text etag, bool weak)
{
    const char *at = list.at;
    const char *end = at + list.len;
    if (same(list, "*"))
        return true;
    while (at < end) {
        bool is_weak = end - at > 2 && at[0] == 'W' && at[1] == '/';
        const char *open = is_weak ? at + 2 : at;
        if (*open != '"') {
            at++; /* white space, commas, and what is no tag */
            continue;
        }
        const char *close = memchr(open + 1, '"', (size_t)(end - open - 1));
        if (close == NULL)
            return false;
        size_t len = (size_t)(close + 1 - open);
        if (len == etag.len && memcmp(open, etag.at, len) == 0 && (weak || !is_weak))
            return true;
        at = close + 1;
    }
    return false;
}

static bool matches(const struct site_request *r, enum site_field field, struct text etag,
                    bool weak)
{
    struct text name, value;
    if (!(r->repeated >> field & 1))
        return lists_etag(r->fields[field], etag, weak);
    for (size_t at = first_field(r->head); next_field(r->head, &at, &name, &value);) {
        if (which(name) == (int)field && lists_etag(value, etag, weak))
            return true;
    }
    return false;
}

/* Compares a date of the client with the file's: < 0 older, 0 the same, > 0 newer. Returns false
 * where the field is not there, or is no date and so to be ignored. */
static bool compare_date(const struct site_request *r, enum site_field field, int64_t modified,
                         int *order)
{
    int64_t date;
    if (r->fields[field].at == NULL || (r->repeated >> field & 1) ||
        !site_date_read(r->fields[field], &date))
        return false;
    *order = (date > modified) - (date < modified);
    return true;
}

static bool range_allowed(const struct site_request *r, const struct site_version *v)
{
    struct text given = r->fields[SITE_IF_RANGE];
    int order;
    if (given.at == NULL)
        return true;
    if (r->repeated >> SITE_IF_RANGE & 1)
        return false;
    if (given.len == v->etag.len && memcmp(given.at, v->etag.at, given.len) == 0)
        return true;
    return compare_date(r, SITE_IF_RANGE, v->modified, &order) && order == 0;
}

int site_request_weigh(const struct site_request *r, const struct site_version *v, bool *ranged)
{
    int order;
    *ranged = range_allowed(r, v);
    if (r->fields[SITE_IF_MATCH].at != NULL) {
        if (!matches(r, SITE_IF_MATCH, v->etag, false))
            return 412;
    } else if (compare_date(r, SITE_IF_UNMODIFIED_SINCE, v->modified, &order) && order < 0) {
        return 412;
    }
    if (r->fields[SITE_IF_NONE_MATCH].at != NULL)
        return matches(r, SITE_IF_NONE_MATCH, v->etag, true) ? 304 : 200;
    if (compare_date(r, SITE_IF_MODIFIED_SINCE, v->modified, &order) && order >= 0)
        return 304;
    return 200;
}

/* -- ranges -- */

/* Digits, which may be many: a number that is too large counts as the largest. Returns how many
 * digits there are. */
static size_t read_number(struct text t, uint64_t *n)
{
    size_t i = 0;
    for (*n = 0; i < t.len && t.at[i] >= '0' && t.at[i] <= '9'; i++) {
        unsigned digit = (unsigned)(t.at[i] - '0');
        *n = *n > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *n * 10 + digit;
    }
    return i;
}

/* "first-last", "first-" or "-length". Returns 1, 0 for a range that does not exist, or -1. */
static int read_range(struct text t, uint64_t size, struct site_range *range)
{
    uint64_t a, b;
    size_t digits = read_number(t, &a);
    if (digits == t.len || t.at[digits] != '-')
        return -1;
    struct text rest = {t.at + digits + 1, t.len - digits - 1};
    size_t more = read_number(rest, &b);
    if (more != rest.len || (digits == 0 && more == 0) || (digits > 0 && more > 0 && b < a))
        return -1;
    if (digits == 0) {
        range->first = b < size ? size - b : 0;
        range->last = size - 1;
        return b > 0 && size > 0;
    }
    range->first = a;
    range->last = more > 0 && b < size ? b : size - 1;
    return a < size;
}

static bool touches(const struct site_range *a, const struct site_range *b)
{
    return a->first <= b->last + 1 && b->first <= a->last + 1;
}

static void join(struct site_range *into, const struct site_range *more)
{
    into->first = more->first < into->first ? more->first : into->first;
    into->last = more->last > into->last ? more->last : into->last;
}

static uint64_t total(const struct site_range *ranges, int count)
{
    uint64_t sum = 0;
    for (int i = 0; i < count; i++)
        sum += ranges[i].last - ranges[i].first + 1;
    return sum;
}

/* A range is joined with the one in front of it alone: the order is the client's, and the work is
 * linear however many there are. */
int site_request_ranges(const struct site_request *r, uint64_t size,
                        struct site_range ranges[SITE_RANGES])
{
    static const char unit[] = "bytes=";
    struct text list = r->fields[SITE_RANGE];
    struct text element;
    int count = 0;
    bool many = false;
    if (list.at == NULL || (r->repeated >> SITE_RANGE & 1) || list.len < strlen(unit) ||
        !same((struct text){list.at, strlen(unit)}, unit))
        return 0; /* of a unit that is not known too */
    list = (struct text){list.at + strlen(unit), list.len - strlen(unit)};
    while (next_element(&list, &element)) {
        struct site_range range;
        int rc = element.len == 0 ? 0 : read_range(element, size, &range);
        if (rc < 0)
            return -1;
        if (rc == 0)
            continue;
        if (count > 0 && touches(&ranges[count - 1], &range))
            join(&ranges[count - 1], &range);
        else if (count < SITE_RANGES)
            ranges[count++] = range;
        else
            many = true;
    }
    if (count == 0)
        return -1;
    return many || (count > 1 && total(ranges, count) > size) ? 0 : count;
}
