/* site_load.c -- from a path to an open file or its bytes.
 *
 * Workload: asked when the cache has no answer or one that is older than a second, so a file that
 * is often asked for is opened again once a second. All that is learned of it comes from its own
 * descriptor: what it was when it was opened is what is sent. Keeps nothing: any thread. */
#include "site_load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "site_list.h"
#include "site_mime.h"

#ifdef __APPLE__
#define MODIFIED(st) ((st)->st_mtimespec)
#else
#define MODIFIED(st) ((st)->st_mtim)
#endif

/* Scatters the bits of n, so that equal tags mean equal files and tell nobody an inode's number. */
static uint64_t scatter(uint64_t n)
{
    n = (n ^ n >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    n = (n ^ n >> 27) * UINT64_C(0x94d049bb133111eb);
    return n ^ n >> 31;
}

/* A strong tag: of the file itself, its size, and the nanosecond it was changed. */
static void write_etag(char *out, const struct stat *st)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t n = scatter((uint64_t)st->st_ino + UINT64_C(0x9e3779b97f4a7c15));
    n = scatter(n ^ (uint64_t)st->st_dev);
    n = scatter(n ^ (uint64_t)st->st_size);
    n = scatter(n ^ (uint64_t)MODIFIED(st).tv_sec);
    n = scatter(n ^ (uint64_t)MODIFIED(st).tv_nsec);
    out[0] = out[SITE_ETAG - 1] = '"';
    for (int i = 1; i < SITE_ETAG - 1; i++, n >>= 4)
        out[i] = digits[n & 15];
}

/* Whether there is anything to tell apart from "not there" for those who ask: names that lead out
 * of the root, or to what may not be read, are none of their business. */
static int hide(int rc)
{
    switch (rc) {
    case -EXDEV:
    case -ELOOP:
    case -EMLINK: /* FreeBSD's ELOOP for O_NOFOLLOW */
    case -ENOTDIR:
    case -ENAMETOOLONG:
    case -EACCES:
    case -EPERM:
    case -ENXIO: /* a socket */
    case -ENODEV: return -ENOENT;
    default: return rc;
    }
}

static int open_stat(int root, const char *name, bool now, struct stat *st)
{
    int fd = disk_open(root, name, now);
    if (fd < 0)
        return hide(fd);
    if (fstat(fd, st) < 0) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))
        return fd;
    close(fd); /* a FIFO or device: neither has bytes to count */
    return -ENOENT;
}

/* -- bodies -- */

/* A small file in memory: what it has when it is read, even if that is not what it had when it was
 * looked at. */
static int read_body(int fd, struct site_file *out, bool now)
{
    struct blob *body = wire_blob(out->size);
    if (body == NULL)
        return -ENOMEM;
    ssize_t n = disk_read(fd, body->data, out->size, 0, now);
    if (n < 0) {
        wire_unblob(body);
        return (int)n;
    }
    out->size = body->len = (size_t)n;
    out->body = body;
    return 0;
}

/* Takes the descriptor. */
static int take_body(int fd, const struct stat *st, struct site_file *out, bool now)
{
    int rc = 0;
    write_etag(out->etag, st);
    out->size = (uint64_t)st->st_size;
    out->modified = MODIFIED(st).tv_sec;
    if (out->size > SITE_SMALL) {
        out->body = wire_blob_of(fd);
        if (out->body != NULL)
            return 0;
        rc = -ENOMEM;
    } else {
        rc = read_body(fd, out, now);
    }
    close(fd);
    return rc;
}

/* -- codings -- */

static const char *const suffixes[SITE_CODINGS] = {"", ".br", ".zst", ".gz"};

static int open_coded(int root, const char *name, enum site_coding coding, bool now,
                      struct stat *st)
{
    char coded[SITE_PATH + 8];
    size_t n = strlen(name);
    memcpy(coded, name, n);
    memcpy(coded + n, suffixes[coding], strlen(suffixes[coding]) + 1);
    int fd = open_stat(root, coded, now, st);
    if (fd < 0 || S_ISREG(st->st_mode))
        return fd;
    close(fd);
    return -ENOENT;
}

/* Looks for other codings of the file that is open as *fd, and puts the one that the client likes
 * best in its place. All are looked for: if there are any, the answer depends on who asks. */
static int choose_coding(int root, const char *name, uint8_t codings, bool now, int *fd,
                         struct stat *st, struct site_file *out)
{
    int best = 4; /* place in the client's order */
    for (int coding = SITE_BROTLI; coding < SITE_CODINGS; coding++) {
        struct stat coded;
        int place = 0;
        int other = open_coded(root, name, (enum site_coding)coding, now, &coded);
        if (other == -ENOENT)
            continue;
        if (other < 0)
            return other;
        out->varies = true;
        while (place < 3 && (int)site_request_coding(codings, (unsigned)place) != coding)
            place++;
        if (place == 3 || place >= best) {
            close(other);
            continue;
        }
        close(*fd);
        *fd = other;
        *st = coded;
        best = place;
        out->coding = (uint8_t)coding;
    }
    return 0;
}

/* -- what it is -- */

static int load_file(int root, const struct site_rules *rules, const char *name, uint8_t codings,
                     bool now, int fd, struct stat *st, struct site_file *out)
{
    int rc = 0;
    out->kind = SITE_FILE;
    out->type = site_mime(name);
    out->immutable =
        rules->immutable != NULL && site_path_match(rules->immutable, site_path_base(name));
    if (rules->precompressed)
        rc = choose_coding(root, name, codings, now, &fd, st, out);
    if (rc == 0)
        return take_body(fd, st, out, now);
    close(fd);
    return rc;
}

static int load_listing(int root, const struct site_rules *rules, const char *name, int fd,
                        bool now, struct site_file *out)
{
    struct buf page = {0};
    int rc = now ? -EAGAIN : site_list(root, fd, name, rules->hidden, &page);
    out->kind = SITE_LISTING;
    out->type = "text/html; charset=utf-8";
    out->size = page.len;
    if (rc == 0)
        out->body = wire_blob(page.len);
    if (rc == 0 && out->body == NULL)
        rc = -ENOMEM;
    if (rc == 0)
        memcpy(out->body->data, page.data, page.len);
    buf_free(&page);
    return rc;
}

/* The index of a directory, if it has one. */
static int load_index(int root, const struct site_rules *rules, const char *name, uint8_t codings,
                      bool now, struct site_file *out)
{
    char index[SITE_PATH];
    struct stat st;
    size_t n = strlen(name);
    size_t more = rules->index == NULL ? 0 : strlen(rules->index);
    if (more == 0 || n + 1 + more >= sizeof index)
        return -ENOENT;
    memcpy(index, name, n);
    index[n] = '/';
    n += n > 0;
    memcpy(index + n, rules->index, more + 1);
    int fd = open_coded(root, index, SITE_PLAIN, now, &st);
    return fd < 0 ? fd : load_file(root, rules, index, codings, now, fd, &st, out);
}

static int load_directory(int root, const struct site_rules *rules, const struct site_path *path,
                          uint8_t codings, bool now, int fd, struct site_file *out)
{
    int rc = 0;
    out->kind = SITE_DIRECTORY;
    if (root == DISK_ANYWHERE)
        rc = -ENOENT;
    else if (path->directory)
        rc = load_index(root, rules, path->name, codings, now, out);
    if (rc == -ENOENT && rules->listing && path->directory)
        rc = load_listing(root, rules, path->name, fd, now, out);
    close(fd);
    return rc;
}

int site_load(int root, const struct site_rules *rules, const struct site_path *path,
              uint8_t codings, bool now, struct site_file *out)
{
    struct stat st;
    *out = (struct site_file){0};
    int fd = open_stat(root, path->name, now, &st);
    if (fd < 0)
        return fd;
    if (S_ISDIR(st.st_mode))
        return load_directory(root, rules, path, codings, now, fd, out);
    if (!path->directory)
        return load_file(root, rules, path->name, codings, now, fd, &st, out);
    close(fd);
    return -ENOENT; /* a slash behind a file */
}
