/* site.c -- from requests to files.
 *
 * Workload: a few mounts, and requests for files that the cache knows. A miss, and once a second
 * each file that is in use, is looked up in the file system: on the loop's thread if the kernel can
 * tell without waiting, else on the pool.
 *
 * Invariants: what is looked up on the pool is a search; a request that waits for it is a waiter of
 * the search, has a hole in its connection's queue and counts as in flight, so a connection waits
 * for one at a time. Searches end by done(), also when the loop ends. One thread but for search(),
 * which touches what is its own, and of the mount what does not change. */
#include "site.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "site_reply.h"

/* What is asked for, and what decides how it is answered: views of the request. */
struct asked {
    struct site_mount *mount;
    struct site_request request;
    struct text path, query; /* as sent */
    struct site_extra extra;
};

struct waiter {
    struct waiter *next;
    uint64_t id, ticket;
    struct exchange x;
    struct asked asked; /* views of data */
    char data[];        /* head, lines */
};

struct site_search {
    struct files_job job;
    struct site_search *next; /* in site.searches */
    struct site *site;
    struct site_mount *mount;
    struct blob *root; /* holds a reference; NULL: anywhere */
    bool anew;         /* the directory is to be looked up first, */
    int found;         /* and this came of it */
    struct waiter *waiters;
    struct site_path path;
    uint8_t codings;
    int rc;
    struct site_file file;
};

void site_init(struct site *s, struct conns *t, struct files *files, uint64_t memory)
{
    *s = (struct site){.files = files, .conns = t};
    site_cache_init(&s->cache, memory == 0 ? SITE_MEMORY : (size_t)memory);
}

void site_free(struct site *s)
{
    site_cache_free(&s->cache);
    site_mount_free(&s->mounts);
}

int site_mount(struct site *s, uint32_t listener, const char *prefix, const char *directory,
               const fl_static *options)
{
    return site_mount_add(&s->mounts, listener, prefix, directory, options);
}

int site_except(struct site *s, uint32_t listener, const char *path, bool below)
{
    return site_mount_hole(&s->mounts, listener, path, below);
}

/* -- answers -- */

static int refuse(const struct site_out *out, int status)
{
    return out->framing->protocol->answer(out->framing, out->x, status, NULL, out->wire, out->q);
}

static int status_of(int rc)
{
    switch (rc) {
    case -ENOENT: return 404;
    case -EMFILE:
    case -ENFILE:
    case -ENOMEM:
    case -EAGAIN:
    case FL_EFULL: return 503;
    default: return 500;
    }
}

/* What looking for the file came to, rc and *file, which it takes. */
static int conclude(struct site *s, const struct site_out *out, const struct site_path *path,
                    const struct asked *asked, int rc, const struct site_file *file)
{
    if (rc == -EMFILE || rc == -ENFILE)
        site_cache_close(&s->cache);
    if (rc < 0)
        return refuse(out, status_of(rc));
    if (file->kind == SITE_DIRECTORY)
        return site_reply_slash(out, asked->path, asked->query);
    struct site_file dated = *file;
    if (dated.modified > s->conns->date.second) /* RFC 9110, 8.8.2.1: not in the future */
        dated.modified = s->conns->date.second;
    struct site_entry *e =
        site_entry_new(&asked->mount->rules, path, asked->request.codings, &dated);
    if (e == NULL)
        return -ENOMEM;
    if (file->kind == SITE_FILE)
        e = site_cache_keep(&s->cache, path, e, s->conns->now_us);
    rc = site_reply(out, e, &asked->request, &asked->extra);
    site_entry_done(e);
    return rc;
}

/* -- searches: on the pool -- */

static void search(struct files_job *job)
{
    struct site_search *it = container_of(job, struct site_search, job);
    int root = it->root == NULL ? DISK_ANYWHERE : it->root->fd;
    if (it->anew) {
        it->found = disk_root(it->mount->directory);
        root = it->found < 0 ? root : it->found;
    }
    it->rc = site_load(root, &it->mount->rules, &it->path, it->codings, false, &it->file);
}

/* Fills the hole of one that waited. */
static void serve(struct site *s, const struct site_search *it, struct waiter *w)
{
    struct conns *t = s->conns;
    struct conn *c = files_waiter(t, w->id, w->ticket);
    struct queue q = {0};
    if (c == NULL)
        return;
    struct site_out out = {conn_framing(t, c), &w->x, &t->wire, &q};
    struct site_file file = it->file;
    if (it->rc == 0 && file.body != NULL)
        file.body->refs++;
    int rc = conclude(s, &out, &it->path, &w->asked, it->rc, &file);
    if (rc < 0) {
        wire_drop(&t->wire, &q);
        conn_fail(t, c, rc);
        return;
    }
    wire_fill(&t->wire, &c->out, w->ticket, &q, true);
    conn_replied(t, c);
    conn_touch(t, c);
}

static void unlink_search(struct site *s, const struct site_search *it)
{
    struct site_search **at = &s->searches;
    while (*at != it)
        at = &(*at)->next;
    *at = it->next;
}

static void found(struct files_job *job, struct conns *t)
{
    struct site_search *it = container_of(job, struct site_search, job);
    unlink_search(it->site, it);
    if (it->anew && t != NULL)
        site_mount_adopt(it->mount, it->found, t->now_us);
    else if (it->anew && it->found >= 0)
        close(it->found);
    while (it->waiters != NULL) {
        struct waiter *w = it->waiters;
        it->waiters = w->next;
        if (t != NULL)
            serve(it->site, it, w);
        free(w);
    }
    if (it->rc == 0)
        wire_unblob(it->file.body);
    wire_unblob(it->root);
    free(it);
}

static struct text moved(struct text t, struct text from, const char *to)
{
    bool inside = t.at >= from.at && t.at <= from.at + from.len; /* "/" may stand for no path */
    return inside ? (struct text){to + (t.at - from.at), t.len} : t;
}

/* A copy of all that is asked, which outlives the request. */
static struct waiter *new_waiter(const struct asked *asked, const struct exchange *x)
{
    struct text head = asked->request.head;
    struct text lines = asked->extra.lines;
    struct waiter *w = malloc(sizeof *w + head.len + lines.len);
    if (w == NULL)
        return NULL;
    *w = (struct waiter){.x = *x, .asked = *asked};
    if (head.len > 0)
        memcpy(w->data, head.at, head.len);
    if (lines.len > 0)
        memcpy(w->data + head.len, lines.at, lines.len);
    w->asked.path = moved(asked->path, head, w->data);
    w->asked.query = moved(asked->query, head, w->data);
    w->asked.extra.lines.at = w->data + head.len;
    site_request_read(&w->asked.request, (struct text){w->data, head.len});
    return w;
}

static struct site_search *find_search(const struct site *s, const struct site_path *path,
                                       const struct asked *asked)
{
    struct site_search *it = s->searches;
    while (it != NULL && (it->mount != asked->mount || it->codings != asked->request.codings ||
                          it->path.len != path->len || it->path.directory != path->directory ||
                          memcmp(it->path.name, path->name, path->len) != 0))
        it = it->next;
    return it;
}

static int start_search(struct site *s, const struct site_path *path, const struct asked *asked,
                        bool anew, struct site_search **out)
{
    struct site_search *it = calloc(1, sizeof *it);
    if (it == NULL)
        return -ENOMEM;
    it->job.work = search;
    it->job.done = found;
    it->site = s;
    it->mount = asked->mount;
    it->root = it->mount->root;
    it->anew = anew;
    it->found = -ENOENT;
    it->path = *path;
    it->codings = asked->request.codings;
    it->rc = -ENOENT;
    int rc = files_submit(s->files, &it->job, false);
    if (rc < 0) {
        free(it);
        return rc;
    }
    if (it->root != NULL)
        it->root->refs++;
    it->next = s->searches;
    s->searches = it;
    *out = it;
    return 0;
}

/* Leaves a hole for the answer. */
static int wait_for(struct site *s, struct conn *c, const struct site_out *out,
                    const struct site_path *path, const struct asked *asked, bool anew)
{
    const struct exchange said = {.stage = STAGE_NONE};
    struct site_search *it = find_search(s, path, asked);
    struct waiter *w = new_waiter(asked, out->x);
    if (w == NULL)
        return -ENOMEM;
    w->id = conn_id(c);
    w->ticket = files_ticket(s->files);
    int rc = it == NULL ? start_search(s, path, asked, anew, &it) : 0;
    if (rc < 0) {
        free(w);
        return refuse(out, status_of(rc));
    }
    if (wire_hole(out->wire, out->q, w->ticket, &said) < 0) {
        free(w);
        return -ENOMEM;
    }
    w->next = it->waiters;
    it->waiters = w;
    c->in_flight++;
    return http_complete(out->x); /* from now on nothing else can answer it */
}

/* From the cache, or from what can be known at once; or later. */
static int respond(struct site *s, struct conn *c, const struct site_out *out,
                   const struct site_path *path, const struct asked *asked)
{
    struct site_file file;
    struct site_mount *mount = asked->mount;
    uint8_t codings = asked->request.codings;
    struct site_entry *e = site_cache_find(&s->cache, &mount->rules, path, codings);
    if (e != NULL && s->conns->now_us - e->checked_us < SITE_FRESH_US)
        return site_reply(out, e, &asked->request, &asked->extra);
    bool fresh = site_mount_fresh(mount, s->conns->now_us);
    int rc = -EAGAIN;
    if (fresh)
        rc = site_load(site_mount_root(mount), &mount->rules, path, codings, true, &file);
    if (rc == -EAGAIN)
        return wait_for(s, c, out, path, asked, !fresh);
    if (rc < 0 && e != NULL)
        site_cache_forget(&s->cache, e);
    return conclude(s, out, path, asked, rc, &file);
}

/* -- who asks -- */

int site_answer(struct site *s, struct conn *c, const struct message *m)
{
    struct conns *t = s->conns;
    struct site_mount *mount = site_mount_find(s->mounts, c->listener, m->http.path);
    if (mount == NULL)
        return CONN_PASSED;
    if (c->in_flight > 0)
        return CONN_WAITS;
    struct exchange x = {.flags = m->http.flags};
    struct site_out out = {conn_framing(t, c), &x, &t->wire, &c->out};
    struct text rest = m->http.path;
    struct site_path path;
    int rc;
    rest.at += mount->prefix_len;
    rest.len -= mount->prefix_len;
    bool get = m->http.method.len == 3 && memcmp(m->http.method.at, "GET", 3) == 0;
    int status = site_path_decode(rest, mount->rules.hidden, &path);
    if (rest.len == 0)
        path.directory = false; /* "/prefix" lacks its slash as any directory does */
    if (!get && !(x.flags & HTTP_HEAD)) {
        rc = site_reply_method(&out);
    } else if (status != 0) {
        rc = refuse(&out, status);
    } else {
        struct asked asked = {.mount = mount, .path = m->http.path, .query = m->http.query};
        site_request_read(&asked.request, m->http.head);
        rc = respond(s, c, &out, &path, &asked);
    }
    return rc < 0 ? rc : CONN_ANSWERED;
}

/* Reads what a handler said of a file. The lines of its fields are written behind each other in
 * *room, which is freed by the caller. */
static int read_file(struct codec_reader *r, struct site_path *path, struct asked *asked,
                     char **room)
{
    struct codec_value name = {0};
    struct codec_value head = {0};
    if (codec_read(r, &name) < 0 || codec_read(r, &head) < 0)
        return FL_EOUTBOX;
    struct codec_reader fields = *r;
    if (codec_skip(r) < 0)
        return FL_EOUTBOX;
    bool texts = (name.type == CODEC_BYTES || name.type == CODEC_TEXT) && head.type == CODEC_BYTES;
    if (!texts || memchr(name.data, '\0', name.len) != NULL)
        return FL_EVALUE;
    *room = malloc((size_t)(r->at - fields.at));
    if (*room == NULL)
        return -ENOMEM;
    char *end = *room;
    int rc = http_fields(&end, &fields, &asked->extra.given);
    asked->extra.lines = (struct text){*room, (size_t)(end - *room)};
    path->len = name.len < sizeof path->name ? name.len : 0; /* too long: there is no such file */
    path->directory = false;
    memcpy(path->name, name.data, path->len);
    path->name[path->len] = '\0';
    site_request_read(&asked->request, (struct text){head.data, head.len});
    return rc;
}

int site_file(struct site *s, struct conn *c, struct exchange *x, struct queue *q,
              struct codec_reader *r)
{
    struct site_out out = {conn_framing(s->conns, c), x, &s->conns->wire, q};
    struct site_path path;
    struct asked asked = {.mount = &s->anywhere};
    char *room = NULL;
    int rc = read_file(r, &path, &asked, &room);
    if (rc == 0 && (x->stage != STAGE_NEW || out.framing->http == NULL))
        rc = FL_EVALUE;
    if (rc == 0) {
        x->flags |= asked.extra.given.close ? HTTP_CLOSE : 0;
        rc = path.len == 0 ? refuse(&out, 404) : respond(s, c, &out, &path, &asked);
    }
    free(room);
    return rc;
}
