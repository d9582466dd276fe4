/* site_mount.c -- mounts, and the directories they mean.
 *
 * Workload: a few, made at the start and found for each request. Once a second at most the name of
 * one that is in use is looked up again, which the kernel answers from its caches.
 *
 * Invariant: lookups that are under way on the pool hold the root that they began with. One thread.
 */
#include "site_mount.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CACHE_CONTROL = 1024 }; /* bytes, at most */

static size_t length(const char *text)
{
    return text == NULL ? 0 : strlen(text);
}

/* Copies text to *p; NULL for none. */
static const char *keep(char **p, const char *text)
{
    char *start = *p;
    size_t n = length(text);
    if (n == 0)
        return NULL;
    memcpy(start, text, n + 1);
    *p += n + 1;
    return start;
}

/* The value of a field may hold all but control characters. */
static bool is_value(const char *text)
{
    for (; text != NULL && *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    }
    return true;
}

static bool make_sense(const char *prefix, const fl_static *o)
{
    bool index = o->index == NULL || strchr(o->index, '/') == NULL;
    return prefix[0] == '/' && index && is_value(o->cache_control) &&
           length(o->cache_control) <= CACHE_CONTROL;
}

static int copy_texts(struct site_mount *m, const char *prefix, const char *directory,
                      const fl_static *o)
{
    size_t n = length(prefix) + length(directory) + length(o->index) + length(o->cache_control) +
               length(o->immutable) + 5;
    char *p = m->text = malloc(n);
    if (p == NULL)
        return -ENOMEM;
    m->prefix = keep(&p, prefix);
    m->prefix_len = strlen(prefix);
    while (m->prefix_len > 0 && prefix[m->prefix_len - 1] == '/')
        m->prefix_len--;
    m->directory = keep(&p, directory);
    m->rules = (struct site_rules){
        .index = keep(&p, o->index),
        .cache_control = keep(&p, o->cache_control),
        .immutable = keep(&p, o->immutable),
        .listing = o->listing != 0,
        .hidden = o->hidden != 0,
        .precompressed = o->precompressed != 0,
    };
    return 0;
}

static void free_one(struct site_mount *m)
{
    wire_unblob(m->root);
    free(m->text);
    free(m);
}

static void insert(struct site_mount **all, struct site_mount *m)
{
    while (*all != NULL && (*all)->prefix_len > m->prefix_len)
        all = &(*all)->next;
    m->next = *all;
    *all = m;
}

int site_mount_add(struct site_mount **all, uint32_t listener, const char *prefix,
                   const char *directory, const fl_static *options)
{
    if (!make_sense(prefix, options))
        return -EINVAL;
    struct site_mount *m = calloc(1, sizeof *m);
    if (m == NULL)
        return -ENOMEM;
    m->listener = listener;
    int rc = copy_texts(m, prefix, directory, options);
    int root = rc < 0 ? rc : disk_root(directory);
    if (root >= 0)
        m->root = wire_blob_of(root);
    if (m->root == NULL) {
        if (root >= 0)
            close(root);
        free_one(m);
        return root < 0 ? root : -ENOMEM;
    }
    insert(all, m);
    return 0;
}

int site_mount_hole(struct site_mount **all, uint32_t listener, const char *path, bool below)
{
    struct site_mount *m = calloc(1, sizeof *m);
    char *text = m == NULL ? NULL : malloc(strlen(path) + 1);
    if (text == NULL) {
        free(m);
        return -ENOMEM;
    }
    memcpy(text, path, strlen(path) + 1);
    m->listener = listener;
    m->kind = below ? SITE_HOLE_BELOW : SITE_HOLE;
    m->prefix = m->text = text;
    m->prefix_len = strlen(path);
    insert(all, m);
    return 0;
}

void site_mount_free(struct site_mount **all)
{
    while (*all != NULL) {
        struct site_mount *next = (*all)->next;
        free_one(*all);
        *all = next;
    }
}

static bool covers(const struct site_mount *m, uint32_t listener, struct text path)
{
    if (m->listener != listener || path.len == 0 || path.at[0] != '/' || path.len < m->prefix_len ||
        memcmp(path.at, m->prefix, m->prefix_len) != 0)
        return false;
    if (m->kind == SITE_HOLE_BELOW || path.len == m->prefix_len)
        return true;
    return m->kind == SITE_FILES && path.at[m->prefix_len] == '/';
}

struct site_mount *site_mount_find(struct site_mount *all, uint32_t listener, struct text path)
{
    while (all != NULL && !covers(all, listener, path))
        all = all->next;
    return all == NULL || all->kind != SITE_FILES ? NULL : all;
}

static bool same(int a, int b)
{
    struct stat x, y;
    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* A name that means no directory at the moment leaves the old one in its place: it may be about to
 * be replaced. */
void site_mount_adopt(struct site_mount *m, int fd, uint64_t now_us)
{
    m->checked_us = now_us;
    if (fd < 0)
        return;
    struct blob *root = same(fd, m->root->fd) ? NULL : wire_blob_of(fd);
    if (root == NULL) {
        close(fd);
        return;
    }
    wire_unblob(m->root);
    m->root = root;
}

bool site_mount_fresh(struct site_mount *m, uint64_t now_us)
{
    if (m->directory == NULL || now_us - m->checked_us < SITE_FRESH_US)
        return true;
    int fd = disk_root_now(m->directory);
    if (fd == -EAGAIN)
        return false;
    site_mount_adopt(m, fd, now_us);
    return true;
}
