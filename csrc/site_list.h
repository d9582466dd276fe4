/* site_list.h -- a page with the contents of a directory. Level 2. Any thread; it reads the disk.
 */
#ifndef FL_SITE_LIST_H
#define FL_SITE_LIST_H

#include "buf.h"

/* Appends the page for the directory fd, whose name below the root is `name`, to *page. Shows files
 * and directories that the site serves: no dot-names unless `hidden`, no symlink out of the root;
 * of very many only some. Returns 0 or -errno. */
int site_list(int root, int fd, const char *name, bool hidden, struct buf *page);

#endif
