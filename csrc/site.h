/* site.h -- answers requests with files: of directories that are mounted, and those that handlers
 * name. Level 5.
 *
 * One for a loop, with one cache. What is known is answered at once; what has to be looked for on a
 * disk leaves a hole in the connection's queue, and is looked for once however many wait. */
#ifndef FL_SITE_H
#define FL_SITE_H

#include "files.h"
#include "site_mount.h"

struct site {
    struct files *files;
    struct conns *conns;
    struct site_mount *mounts;    /* owned */
    struct site_mount anywhere;   /* for files that handlers name */
    struct site_search *searches; /* those that are under way */
    struct site_cache cache;
};

/* `memory`: bytes of small files that are kept; 0: SITE_MEMORY. */
void site_init(struct site *s, struct conns *t, struct files *files, uint64_t memory);

/* After files_free(), or files_forget(). */
void site_free(struct site *s);

/* Serves a directory under a prefix of a listener's paths. All text is copied. Returns 0 or -errno;
 * -EINVAL for options that make no sense. */
int site_mount(struct site *s, uint32_t listener, const char *prefix, const char *directory,
               const fl_static *options);

/* Leaves this path, or all that begin with it, to the handler. Returns 0 or -ENOMEM. */
int site_except(struct site *s, uint32_t listener, const char *path, bool below);

/* Answers a request for a file. Returns as a conn_hook does. */
int site_answer(struct site *s, struct conn *c, const struct message *m);

/* FL_FILE: reads the arguments (path, head, headers) and appends the response, or a hole for it, to
 * q, a queue for c. Returns as a protocol's reply() does. */
int site_file(struct site *s, struct conn *c, struct exchange *x, struct queue *q,
              struct codec_reader *r);

#endif
