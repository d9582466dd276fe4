/* api.c -- the part of the public API that needs no loop. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "buf.h"
#include "codec.h"
#include "fastloop.h"
#include "io.h"
#include "ws_zip.h"

static const char *const known[] = {"epoll", "kqueue", "io_uring", "poll", "select"};

const char *fl_backend_name(int n)
{
    return n >= 0 && (size_t)n < countof(known) ? known[n] : NULL;
}

int fl_backend_probe(const char *name)
{
    return io_probe(name);
}

int fl_compresses(void)
{
    return ws_zip_works();
}

intptr_t fl_codec_echo(const char *in, size_t len, char *out, size_t size)
{
    struct codec_reader r = {in, in + len};
    struct buf copy = {0};
    intptr_t rc = codec_copy(&r, &copy);
    if (rc == 0)
        rc = copy.len <= size ? (intptr_t)copy.len : -EMSGSIZE;
    if (rc > 0)
        memcpy(out, copy.data, copy.len);
    buf_free(&copy);
    return rc;
}

void fl_keep_memory(void)
{
#ifdef __GLIBC__
    enum { KEPT = 16 << 20, STEP = 1 << 20 };
    mallopt(M_TRIM_THRESHOLD, KEPT);
    mallopt(M_MMAP_THRESHOLD, KEPT);
    mallopt(M_TOP_PAD, STEP); /* so that a buffer which grows seldom has to move */
#endif
}

static const struct {
    int code;
    const char *words;
} errors[] = {
    {FL_EPROTO, "the peer broke the protocol"},
    {FL_ELIMIT, "a message over its maximum size"},
    {FL_EVALUE, "a reply of a type that this framing cannot send"},
    {FL_ESPAWN, "no thread or process could be started for it"},
    {FL_EOUTBOX, "replies that do not fit the batch"},
    {FL_EFDLIMIT, "a descriptor beyond what this backend can watch"},
    {FL_EIDLE, "idle timeout"},
    {FL_ESTALL, "write timeout: the peer takes nothing"},
    {FL_EUNSENT, "more is waiting for the peer than max_unsent"},
    {FL_EBUSY, "max_connections reached"},
    {FL_EFILES, "no descriptors left"},
    {FL_ESTOP, "the server is stopping"},
    {FL_EFULL, "too much file work is waiting"},
    {FL_ESLOW, "a message took too long to arrive"},
    {FL_EPEER, "max_connections_per_address reached"},
};

const char *fl_strerror(int code)
{
    for (size_t i = 0; i < countof(errors); i++) {
        if (errors[i].code == code)
            return errors[i].words;
    }
    return code < 0 && code > -4096 ? strerror(-code) : "no error";
}
