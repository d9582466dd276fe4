/* site_mime.h -- the media type of a file, from its name. Level 1. */
#ifndef FL_SITE_MIME_H
#define FL_SITE_MIME_H

/* The type for the last suffix of a name, whatever its case; static text, with the charset for
 * types of text; "application/octet-stream" if the suffix is not known. */
const char *site_mime(const char *name);

#endif
