/* site_list.c -- listing a directory as a page of HTML.
 *
 * Workload: a person looks at a directory now and then; it may have a hundred thousand entries, so
 * what is read and written is bounded. Every name is a stranger's text: in the page it is escaped
 * for HTML, in links as a URL. Keeps nothing: any thread. */
#include "site_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "date.h"
#include "disk.h"
#include "site_path.h"

enum { MOST = 4096 }; /* entries: about half a megabyte of page */

struct entry {
    char *name; /* owned */
    int64_t size, modified;
    bool directory;
};

struct list {
    struct entry entries[MOST];
    int count;
    bool more; /* there were others */
};

static int put(struct buf *page, const char *text)
{
    return buf_put(page, text, strlen(text));
}

static int put_escaped(struct buf *page, const char *text)
{
    int rc = 0;
    for (; *text != '\0' && rc == 0; text++) {
        switch (*text) {
        case '<': rc = put(page, "&lt;"); break;
        case '>': rc = put(page, "&gt;"); break;
        case '&': rc = put(page, "&amp;"); break;
        case '"': rc = put(page, "&quot;"); break;
        case '\'': rc = put(page, "&#39;"); break;
        default: rc = buf_put(page, text, 1);
        }
    }
    return rc;
}

/* -- reading -- */

/* What is served under this name: a file or directory, not beyond the root. */
static bool look(int root, int fd, const char *directory, const char *name, struct entry *e)
{
    char path[SITE_PATH];
    struct stat st;
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    if (S_ISLNK(st.st_mode)) {
        const char *slash = directory[0] == '\0' ? "" : "/";
        int n = snprintf(path, sizeof path, "%s%s%s", directory, slash, name);
        int target = n < (int)sizeof path ? disk_open(root, path, false) : -ENAMETOOLONG;
        int rc = target < 0 ? -1 : fstat(target, &st);
        if (target >= 0)
            close(target);
        if (rc < 0)
            return false;
    }
    e->directory = S_ISDIR(st.st_mode);
    e->size = st.st_size;
    e->modified = st.st_mtime;
    return e->directory || S_ISREG(st.st_mode);
}

static int add(struct list *l, const struct entry *e, const char *name)
{
    if (l->count == MOST) {
        l->more = true;
        return 0;
    }
    l->entries[l->count] = *e;
    l->entries[l->count].name = strdup(name);
    if (l->entries[l->count].name == NULL)
        return -ENOMEM;
    l->count++;
    return 0;
}

static int read_entries(int root, int fd, const char *directory, bool hidden, struct list *l)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* fdopendir() takes its descriptor */
    DIR *d = own < 0 ? NULL : fdopendir(own);
    if (d == NULL) {
        int rc = -errno;
        if (own >= 0)
            close(own);
        return rc;
    }
    int rc = 0;
    const struct dirent *item;
    rewinddir(d); /* the place to read from is the descriptor's, not the copy's own */
    while (rc == 0 && !l->more && (item = readdir(d)) != NULL) {
        const char *name = item->d_name;
        struct entry e = {0};
        bool dots = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
        if (dots || (name[0] == '.' && !hidden) || strchr(name, '\\') != NULL)
            continue;
        if (look(root, fd, directory, name, &e))
            rc = add(l, &e, name);
    }
    closedir(d);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->directory != y->directory ? y->directory - x->directory : strcmp(x->name, y->name);
}

/* -- writing -- */

static int put_size(struct buf *page, int64_t size)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    char text[32];
    size_t unit = 0;
    int64_t tenths = size < INT64_MAX / 10 ? size * 10 : INT64_MAX;
    for (; tenths >= 10000 && unit + 1 < countof(units); unit++)
        tenths /= 1000;
    if (unit == 0 || tenths >= 100)
        snprintf(text, sizeof text, "%lld %s", (long long)(tenths / 10), units[unit]);
    else
        snprintf(text, sizeof text, "%lld.%lld %s", (long long)(tenths / 10),
                 (long long)(tenths % 10), units[unit]);
    return put(page, text);
}

static int put_link(struct buf *page, const struct entry *e)
{
    size_t n = strlen(e->name);
    char *room = buf_room(page, 3 * n);
    if (room == NULL)
        return -ENOMEM;
    page->len = (size_t)(site_path_escape(room, e->name, n) - page->data);
    return e->directory ? put(page, "/") : 0;
}

static int put_entry(struct buf *page, const struct entry *e)
{
    char date[DATE_LEN + 1];
    *date_format(date, e->modified) = '\0';
    int rc = put(page, "<tr><td><a href=\"./");
    if (rc == 0)
        rc = put_link(page, e);
    if (rc == 0)
        rc = put(page, "\">");
    if (rc == 0)
        rc = put_escaped(page, e->name);
    if (rc == 0)
        rc = put(page, e->directory ? "/</a><td>" : "</a><td>");
    if (rc == 0 && !e->directory)
        rc = put_size(page, e->size);
    if (rc == 0)
        rc = put(page, "<td>");
    if (rc == 0)
        rc = put(page, date);
    return rc == 0 ? put(page, "\n") : rc;
}

static const char opening[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n<style>\n"
    ":root{color-scheme:light dark}\n"
    "body{font:16px/1.6 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}\n"
    "h1{font-size:1.25rem;font-weight:600;overflow-wrap:anywhere}\n"
    "table{border-collapse:collapse;width:100%}\n"
    "td{padding:.15rem .5rem .15rem 0;border-bottom:1px solid #8883}\n"
    "td+td{text-align:right;white-space:nowrap;color:#888;font-size:.85em}\n"
    "a{text-decoration:none;overflow-wrap:anywhere}a:hover{text-decoration:underline}\n"
    "</style>\n<title>/";

static int put_page(struct buf *page, const char *directory, const struct list *l)
{
    int rc = put(page, opening);
    if (rc == 0)
        rc = put_escaped(page, directory);
    if (rc == 0)
        rc = put(page, "</title></head>\n<body><h1>/");
    if (rc == 0)
        rc = put_escaped(page, directory);
    if (rc == 0)
        rc = put(page, "</h1>\n<table>\n");
    if (rc == 0 && directory[0] != '\0')
        rc = put(page, "<tr><td><a href=\"../\">../</a><td><td>\n");
    for (int i = 0; i < l->count && rc == 0; i++)
        rc = put_entry(page, &l->entries[i]);
    if (rc == 0)
        rc = put(page, "</table>\n");
    if (rc == 0 && l->more)
        rc = put(page, "<p>There are more entries than this page shows.\n");
    return rc == 0 ? put(page, "</body></html>\n") : rc;
}

int site_list(int root, int fd, const char *name, bool hidden, struct buf *page)
{
    struct list *l = calloc(1, sizeof *l);
    if (l == NULL)
        return -ENOMEM;
    int rc = read_entries(root, fd, name, hidden, l);
    qsort(l->entries, (size_t)l->count, sizeof *l->entries, by_name);
    if (rc == 0)
        rc = put_page(page, name, l);
    for (int i = 0; i < l->count; i++)
        free(l->entries[i].name);
    free(l);
    return rc;
}
