/* site_path.h -- from the path of a request to the name of a file. Level 1. */
#ifndef FL_SITE_PATH_H
#define FL_SITE_PATH_H

#include "base.h"

enum { SITE_PATH = 4096 }; /* the longest name of a file, as PATH_MAX */

struct site_path {
    size_t len;
    bool directory; /* it ended with a slash, or is the root */
    char name[SITE_PATH];
};

/* Decodes the part of a path behind the prefix that it is served under, "" or "/..."; *out is the
 * name below the root, without slash in front or behind, ended by NUL. Returns 0, or the status of
 * the answer: 400 for what is no path (a bad %xx, a NUL), and 404 for names that are never served:
 * too long ones, empty, "." and ".." components, backslashes, slashes that hide in %2f, and, unless
 * `hidden`, whatever begins with a dot. */
int site_path_decode(struct text raw, bool hidden, struct site_path *out);

/* Whether a pattern matches all of a name: `*` is any run of bytes, `?` any one. */
bool site_path_match(const char *pattern, const char *name);

/* Behind the last slash. */
const char *site_path_base(const char *name);

/* Writes the name for use in a URL, with %xx for all but letters, digits and -._~ : at most 3 * len
 * bytes. Returns the end. */
char *site_path_escape(char *out, const char *name, size_t len);

#endif
