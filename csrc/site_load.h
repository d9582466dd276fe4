/* site_load.h -- what a path leads to, ready to be sent. Level 2. Any thread. */
#ifndef FL_SITE_LOAD_H
#define FL_SITE_LOAD_H

#include "disk.h"
#include "site_path.h"
#include "site_request.h"
#include "wire.h"

/* How a directory is served. */
struct site_rules {
    const char *index;         /* file that stands for its directory; NULL: none does */
    const char *cache_control; /* value of the field; NULL: none */
    const char *immutable;     /* pattern of names whose content never changes; NULL: none */
    bool listing;              /* directories without an index are listed */
    bool hidden;               /* names that begin with a dot are served */
    bool precompressed;        /* a.br, a.zst and a.gz are sent in place of a */
};

enum {
    SITE_SMALL = 128 * 1024, /* files up to this are read once: a copy costs less than sendfile() */
    SITE_ETAG = 18,          /* bytes of an entity tag */
};

enum site_kind {
    SITE_FILE,
    SITE_DIRECTORY, /* asked for without its slash */
    SITE_LISTING,   /* a page that was made now: nothing to compare or keep */
};

struct site_file {
    struct blob *body; /* owned: its bytes, or itself; NULL for SITE_DIRECTORY */
    uint64_t size;
    int64_t modified; /* seconds since 1970 */
    const char *type; /* static */
    char etag[SITE_ETAG];
    uint8_t kind;   /* SITE_FILE ... */
    uint8_t coding; /* SITE_PLAIN ... */
    bool varies;    /* other codings of it exist */
    bool immutable;
};

/* Opens what a path leads to, below a root or from DISK_ANYWHERE, in the best coding of those that
 * are accepted. With `now` it does not wait: -EAGAIN where it would have to. Returns 0 with *out
 * filled, or -errno; what is no file, and what lies outside the root, is -ENOENT, as if there were
 * nothing. */
int site_load(int root, const struct site_rules *rules, const struct site_path *path,
              uint8_t codings, bool now, struct site_file *out);

#endif
