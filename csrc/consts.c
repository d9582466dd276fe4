/* consts.c -- constant routes: health checks, robots.txt, a favicon.
 *
 * Workload: a few paths, each set once at the start; every request of the listener is looked up. So
 * the miss is what must be cheap: a hash of the path and nearly always an empty bucket.
 *
 * Invariant: what consts_set() was given is copied, and lives until consts_free(). One thread. */
#include "consts.h"

#include <errno.h>
#include <stdlib.h>

#include "frame_http_reply.h"

struct constant {
    struct constant *next;
    size_t path_len, type_len, body_len;
    char data[]; /* path, content type, body */
};

static size_t bucket_of(const char *path, size_t len)
{
    uint32_t hash = (uint32_t)len;
    for (size_t i = len > 8 ? len - 8 : 0; i < len; i++)
        hash = hash * 31 + (unsigned char)path[i];
    return hash % CONSTS_BUCKETS;
}

int consts_set(struct consts *all, const char *path, const char *content_type, const char *body,
               size_t len)
{
    size_t path_len = strlen(path), type_len = strlen(content_type);
    struct constant *k = malloc(sizeof *k + path_len + type_len + len);
    if (k == NULL)
        return -ENOMEM;
    struct constant **bucket = &all->buckets[bucket_of(path, path_len)];
    *k = (struct constant){*bucket, path_len, type_len, len};
    memcpy(k->data, path, path_len);
    memcpy(k->data + path_len, content_type, type_len);
    if (len > 0)
        memcpy(k->data + path_len + type_len, body, len);
    *bucket = k;
    return 0;
}

void consts_free(struct consts *all)
{
    for (size_t i = 0; i < CONSTS_BUCKETS; i++) {
        while (all->buckets[i] != NULL) {
            struct constant *next = all->buckets[i]->next;
            free(all->buckets[i]);
            all->buckets[i] = next;
        }
    }
}

static const struct constant *find(const struct consts *all, struct text path)
{
    const struct constant *k = all->buckets[bucket_of(path.at, path.len)];
    while (k != NULL && (k->path_len != path.len || memcmp(k->data, path.at, path.len) != 0))
        k = k->next;
    return k;
}

static bool is_read(struct text method)
{
    return (method.len == 3 && memcmp(method.at, "GET", 3) == 0) ||
           (method.len == 4 && memcmp(method.at, "HEAD", 4) == 0);
}

int consts_answer(const struct consts *all, struct conns *t, struct conn *c,
                  const struct message *m)
{
    static const char field[] = "content-type: ";
    const struct constant *k = find(all, m->http.path);
    if (k == NULL || !is_read(m->http.method))
        return CONN_PASSED;
    if (c->in_flight > 0)
        return CONN_WAITS;
    struct exchange x = {.flags = m->http.flags};
    size_t body = x.flags & HTTP_HEAD ? 0 : k->body_len;
    char *start =
        wire_room(&t->wire, HTTP_BEGIN + HTTP_LENGTH + sizeof field + k->type_len + 4 + body);
    if (start == NULL)
        return -ENOMEM;
    char *p = http_begin(start, conn_framing(t, c), &x, 200);
    memcpy(p, field, sizeof field - 1);
    p += sizeof field - 1;
    memcpy(p, k->data + k->path_len, k->type_len);
    p += k->type_len;
    memcpy(p, "\r\n", 2);
    p = http_length(p + 2, k->body_len);
    memcpy(p, "\r\n", 2);
    p += 2;
    memcpy(p, k->data + k->path_len + k->type_len, body);
    return wire_commit(&t->wire, &c->out, (size_t)(p + body - start)) < 0 ? -ENOMEM : CONN_ANSWERED;
}
