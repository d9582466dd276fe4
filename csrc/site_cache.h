/* site_cache.h -- files that were asked for lately, with their fields written out. Level 3.
 *
 * Small files are kept in memory and large ones open, both in bounded number; who was not asked for
 * longest goes first. What is kept is believed for SITE_FRESH_US after it was last looked at. */
#ifndef FL_SITE_CACHE_H
#define FL_SITE_CACHE_H

#include "list.h"
#include "site_load.h"

enum {
    SITE_FRESH_US = 1000000,
    SITE_OPEN = 256, /* files that are kept open */
    SITE_BUCKETS = 4096,
};

#define SITE_MEMORY ((size_t)64 << 20) /* bytes of files and fields, unless said otherwise */

/* The parts of a response's fields, each a run of whole lines. */
enum site_part {
    SITE_LENGTH,     /* content-length */
    SITE_TYPE,       /* content-type */
    SITE_CONTENT,    /* what else tells of the content: coding, ranges */
    SITE_VALIDATORS, /* etag, last-modified, vary, cache-control: of a 304 as well */
    SITE_PARTS,
};

struct site_entry {
    struct link order; /* in the cache's, last asked for first */
    struct site_entry *next;
    const struct site_rules *rules;
    uint64_t checked_us;
    struct site_file file;
    uint32_t hash;
    uint8_t codings; /* that were asked for; all alike unless file.varies */
    bool directory;
    uint16_t name_len;
    uint16_t ends[SITE_PARTS]; /* of the parts */
    char data[];               /* the name, the parts */
};

struct site_shelf {
    struct link order;
    size_t used, most;
};

struct site_cache {
    struct site_entry **buckets; /* owned; NULL before the first is kept */
    struct site_shelf memory;    /* counts bytes */
    struct site_shelf open;      /* counts files */
};

void site_cache_init(struct site_cache *cache, size_t memory);
void site_cache_free(struct site_cache *cache);

/* An entry that is kept nowhere, with the fields of this file, which it owns from then on (also on
 * failure). NULL when memory is short. */
struct site_entry *site_entry_new(const struct site_rules *rules, const struct site_path *path,
                                  uint8_t codings, const struct site_file *file);

/* It was used: frees it unless it is kept. */
void site_entry_done(struct site_entry *e);

static inline struct text site_entry_part(const struct site_entry *e, enum site_part part)
{
    uint16_t start = part == SITE_LENGTH ? 0 : e->ends[part - 1];
    return (struct text){e->data + e->name_len + start, (size_t)(e->ends[part] - start)};
}

/* What is known of a path, which now counts as asked for; fresh or not. NULL: nothing. It holds
 * until anything is kept or freed. */
struct site_entry *site_cache_find(struct site_cache *cache, const struct site_rules *rules,
                                   const struct site_path *path, uint8_t codings);

/* Keeps what was found for a path at now_us in place of what was known of it, unless that is the
 * same file. Takes e, and returns what is to be used of the two, for site_entry_done(): what there
 * is no room for is not kept. */
struct site_entry *site_cache_keep(struct site_cache *cache, const struct site_path *path,
                                   struct site_entry *e, uint64_t now_us);

/* Lets go of the files that are kept open: the process has no descriptors left. */
void site_cache_close(struct site_cache *cache);

/* Forgets an entry of the cache: the file is not there any more. */
void site_cache_forget(struct site_cache *cache, struct site_entry *e);

#endif
