/* site_mount.h -- directories that are served, and under which paths. Level 4.
 *
 * A mount is a name, not a directory: one that is replaced, as by moving a symlink or building it
 * anew, is served in its place within SITE_FRESH_US. */
#ifndef FL_SITE_MOUNT_H
#define FL_SITE_MOUNT_H

#include "fastloop.h"
#include "site_cache.h"

struct site_mount {
    struct site_mount *next;
    struct site_rules rules; /* views of text */
    const char *directory;   /* NULL: no root, names lead anywhere */
    struct blob *root;       /* owned: the directory when it was last looked up */
    uint64_t checked_us;
    uint32_t listener;
    enum {
        SITE_FILES,
        SITE_HOLE,
        SITE_HOLE_BELOW
    } kind;             /* the handler's: this path, or all below */
    const char *prefix; /* without a slash at its end, but for holes */
    size_t prefix_len;
    char *text; /* owned */
};

/* Adds to the list of all, in which longer prefixes stand first. Returns as fl_mount(). */
int site_mount_add(struct site_mount **all, uint32_t listener, const char *prefix,
                   const char *directory, const fl_static *options);

/* Adds a hole: what it covers is not served though a shorter prefix is. Returns 0 or -ENOMEM. */
int site_mount_hole(struct site_mount **all, uint32_t listener, const char *path, bool below);

void site_mount_free(struct site_mount **all);

/* The mount that this path of a listener belongs to, or NULL: where there is none, or a hole. */
struct site_mount *site_mount_find(struct site_mount *all, uint32_t listener, struct text path);

static inline int site_mount_root(const struct site_mount *m)
{
    return m->root == NULL ? DISK_ANYWHERE : m->root->fd;
}

/* Looks the directory up again if that was not done lately. Returns false where it would have to
 * wait: then another thread is to open m->directory for site_mount_adopt(). */
bool site_mount_fresh(struct site_mount *m, uint64_t now_us);

/* Takes a descriptor, or an error, of what the directory's name means now. */
void site_mount_adopt(struct site_mount *m, int fd, uint64_t now_us);

#endif
