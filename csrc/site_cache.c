/* site_cache.c -- a hash table with two lists in the order of use.
 *
 * Workload: some tens to thousands of files, asked for over and over, found by the name that was
 * decoded. Only what exists is kept, so no client can fill it with names of its own.
 *
 * Invariants: an entry is in one bucket and one list, or nowhere; bodies are blobs, which live on
 * in the queues that are sending them. One thread. */
#include "site_cache.h"

#include <stdlib.h>
#include <string.h>

#include "date.h"

void site_cache_init(struct site_cache *cache, size_t memory)
{
    *cache = (struct site_cache){
        .memory.most = memory,
        .open.most = SITE_OPEN,
    };
    list_init(&cache->memory.order);
    list_init(&cache->open.order);
}

/* -- an entry -- */

static char *put(char *p, const char *text)
{
    size_t n = strlen(text);
    memcpy(p, text, n);
    return p + n;
}

static char *put_field(char *p, const char *name, const char *value)
{
    return put(put(put(p, name), value), "\r\n");
}

static char *put_length(char *p, uint64_t n)
{
    char digits[20];
    int i = sizeof digits;
    do
        digits[--i] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    p = put(p, "content-length: ");
    memcpy(p, digits + i, sizeof digits - (size_t)i);
    return put(p + sizeof digits - (size_t)i, "\r\n");
}

static char *put_validators(char *p, const struct site_rules *rules, const struct site_file *f)
{
    if (f->kind != SITE_FILE)
        return p;
    p = put(p, "etag: ");
    memcpy(p, f->etag, SITE_ETAG);
    p = put(p + SITE_ETAG, "\r\nlast-modified: ");
    p = put(date_format(p, f->modified), "\r\n");
    if (f->varies)
        p = put(p, "vary: accept-encoding\r\n");
    if (f->immutable)
        return put(p, "cache-control: public, max-age=31536000, immutable\r\n");
    return rules->cache_control == NULL ? p : put_field(p, "cache-control: ", rules->cache_control);
}

/* More than all parts together need, but for the cache-control of the rules. */
enum { FIELDS = 512 };

static void write_parts(struct site_entry *e)
{
    static const char *const codings[] = {"", "br", "zstd", "gzip"};
    const struct site_file *f = &e->file;
    char *start = e->data + e->name_len;
    char *p = put_length(start, f->size);
    e->ends[SITE_LENGTH] = (uint16_t)(p - start);
    p = put_field(p, "content-type: ", f->type);
    e->ends[SITE_TYPE] = (uint16_t)(p - start);
    if (f->coding != SITE_PLAIN)
        p = put_field(p, "content-encoding: ", codings[f->coding]);
    if (f->kind == SITE_FILE)
        p = put(p, "accept-ranges: bytes\r\n");
    e->ends[SITE_CONTENT] = (uint16_t)(p - start);
    p = put_validators(p, e->rules, f);
    e->ends[SITE_VALIDATORS] = (uint16_t)(p - start);
}

struct site_entry *site_entry_new(const struct site_rules *rules, const struct site_path *path,
                                  uint8_t codings, const struct site_file *file)
{
    size_t more = rules->cache_control == NULL ? 0 : strlen(rules->cache_control);
    struct site_entry *e = malloc(sizeof *e + path->len + FIELDS + more);
    if (e == NULL) {
        wire_unblob(file->body);
        return NULL;
    }
    *e = (struct site_entry){.rules = rules, .file = *file, .codings = codings};
    list_init(&e->order);
    e->directory = path->directory;
    e->name_len = (uint16_t)path->len;
    memcpy(e->data, path->name, path->len);
    write_parts(e);
    size_t size = sizeof *e + path->len + e->ends[SITE_VALIDATORS];
    struct site_entry *smaller = realloc(e, size);
    if (smaller == NULL)
        return e;
    list_init(&smaller->order); /* it points at itself, which may have moved */
    return smaller;
}

static void free_entry(struct site_entry *e)
{
    wire_unblob(e->file.body);
    free(e);
}

void site_entry_done(struct site_entry *e)
{
    if (!list_linked(&e->order))
        free_entry(e);
}

/* -- the table -- */

static uint32_t hash_of(const struct site_rules *rules, const struct site_path *path)
{
    uint64_t n = (uint64_t)(uintptr_t)rules + path->len + path->directory;
    const char *at = path->name;
    size_t left = path->len;
    for (; left >= 8; at += 8, left -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        n = (n ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        n ^= n >> 32;
    }
    for (; left > 0; at++, left--)
        n = (n ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
    return (uint32_t)(n ^ n >> 29);
}

static struct site_shelf *shelf_of(struct site_cache *cache, const struct site_entry *e)
{
    return e->file.body->fd >= 0 ? &cache->open : &cache->memory;
}

static size_t cost_of(const struct site_entry *e)
{
    size_t fields = sizeof *e + e->name_len + e->ends[SITE_VALIDATORS];
    return e->file.body->fd >= 0 ? 1 : fields + e->file.size;
}

static struct site_entry **bucket_of(struct site_cache *cache, uint32_t hash)
{
    return &cache->buckets[hash % SITE_BUCKETS];
}

struct site_entry *site_cache_find(struct site_cache *cache, const struct site_rules *rules,
                                   const struct site_path *path, uint8_t codings)
{
    if (cache->buckets == NULL)
        return NULL;
    uint32_t hash = hash_of(rules, path);
    for (struct site_entry *e = *bucket_of(cache, hash); e != NULL; e = e->next) {
        if (e->hash != hash || e->rules != rules || e->name_len != path->len ||
            e->directory != path->directory || (e->file.varies && e->codings != codings) ||
            memcmp(e->data, path->name, path->len) != 0)
            continue;
        struct link *order = &shelf_of(cache, e)->order;
        list_remove(&e->order);
        list_append(order->next, &e->order); /* before the first */
        return e;
    }
    return NULL;
}

void site_cache_forget(struct site_cache *cache, struct site_entry *e)
{
    struct site_entry **at = bucket_of(cache, e->hash);
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    list_remove(&e->order);
    shelf_of(cache, e)->used -= cost_of(e);
    free_entry(e);
}

static bool make_room(struct site_cache *cache, struct site_shelf *shelf, size_t cost)
{
    if (cache->buckets == NULL)
        cache->buckets = calloc(SITE_BUCKETS, sizeof(struct site_entry *));
    if (cache->buckets == NULL || cost > shelf->most)
        return false;
    while (shelf->used > shelf->most - cost)
        site_cache_forget(cache, container_of(shelf->order.prev, struct site_entry, order));
    return true;
}

static bool same_file(const struct site_entry *a, const struct site_entry *b)
{
    return memcmp(a->file.etag, b->file.etag, SITE_ETAG) == 0 && a->file.size == b->file.size &&
           a->file.coding == b->file.coding && a->file.varies == b->file.varies;
}

struct site_entry *site_cache_keep(struct site_cache *cache, const struct site_path *path,
                                   struct site_entry *e, uint64_t now_us)
{
    struct site_entry *old = site_cache_find(cache, e->rules, path, e->codings);
    e->checked_us = now_us;
    if (old != NULL && same_file(old, e)) {
        old->checked_us = now_us;
        free_entry(e);
        return old;
    }
    if (old != NULL)
        site_cache_forget(cache, old);
    struct site_shelf *shelf = shelf_of(cache, e);
    if (!make_room(cache, shelf, cost_of(e)))
        return e;
    struct site_entry **bucket = bucket_of(cache, hash_of(e->rules, path));
    e->hash = hash_of(e->rules, path);
    e->next = *bucket;
    *bucket = e;
    list_append(shelf->order.next, &e->order);
    shelf->used += cost_of(e);
    return e;
}

static void forget_all(struct site_cache *cache, const struct link *order)
{
    while (!list_empty(order))
        site_cache_forget(cache, container_of(order->next, struct site_entry, order));
}

void site_cache_close(struct site_cache *cache)
{
    forget_all(cache, &cache->open.order);
}

void site_cache_free(struct site_cache *cache)
{
    forget_all(cache, &cache->memory.order);
    forget_all(cache, &cache->open.order);
    free(cache->buckets);
    cache->buckets = NULL;
}
