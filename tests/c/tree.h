/* tree.h -- a directory of its own for a test, with files to serve. */
#ifndef TREE_H
#define TREE_H

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "t.h"

struct tree {
    char root[64];
};

/* Its path; of one tree at a time. */
static inline const char *tree_path(const struct tree *t, const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", t->root, name);
    return path;
}

static inline void tree_make(struct tree *t)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(t->root, sizeof t->root, "%s/fastloop-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    CHECK(mkdtemp(t->root) != NULL);
}

/* Writes n bytes that depend on where they stand. */
static inline char tree_byte(size_t at)
{
    return (char)('a' + at * 7 % 23);
}

static inline void tree_write(const struct tree *t, const char *name, const char *data, size_t n)
{
    int fd = open(tree_path(t, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    CHECK(fd >= 0);
    CHECK_INT(write(fd, data, n), (long long)n);
    close(fd);
}

static inline void tree_text(const struct tree *t, const char *name, const char *text)
{
    tree_write(t, name, text, strlen(text));
}

static inline void tree_fill(const struct tree *t, const char *name, size_t n)
{
    char *data = malloc(n);
    for (size_t i = 0; i < n; i++)
        data[i] = tree_byte(i);
    tree_write(t, name, data, n);
    free(data);
}

static inline void tree_directory(const struct tree *t, const char *name)
{
    CHECK_INT(mkdir(tree_path(t, name), 0755), 0);
}

static inline void tree_link(const struct tree *t, const char *name, const char *target)
{
    CHECK_INT(symlink(target, tree_path(t, name)), 0);
}

static inline int tree_remove_one(const char *path, const struct stat *st, int flag,
                                  struct FTW *state)
{
    (void)st, (void)flag, (void)state;
    return remove(path);
}

static inline void tree_remove(const struct tree *t)
{
    CHECK_INT(nftw(t->root, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

#endif
