/* outbox_cast.c -- what many connections receive: broadcasts, and what is published.
 *
 * Workload: one value, up to thousands of receivers, nearly all of one framing. It is encoded once,
 * and each receiver's queue gets views of the same bytes.
 *
 * Invariant: who cannot take it is closed or left out, and no other receiver notices. One thread.
 */
#include "outbox.h"

#include <errno.h>

#include "fastloop.h"

enum { SHARE = 1024 }; /* from this size on the bytes are kept once for all receivers */

/* A value that many receive, encoded once for each framing and dialect that occur among them; anew
 * where two of them share a place. */
struct cast {
    struct codec_reader value;
    struct encoding {
        struct queue bytes;
        uint32_t key; /* listener and dialect; 0: unused */
    } encodings[8];
};

/* A value that this framing cannot send is noted, and said to nobody: no receiver is to blame. */
static int encode_for(struct conns *t, struct conn *c, const struct cast *cast, struct queue *q)
{
    struct codec_reader value = cast->value;
    const struct framing *f = conn_framing(t, c);
    wire_drop(&t->wire, q);
    struct exchange x = {.dialect = c->dialect, .stage = STAGE_NONE};
    int rc = f->protocol->reply(f, &x, &value, &t->wire, q);
    if (rc < 0)
        wire_drop(&t->wire, q);
    if (rc == FL_EVALUE)
        inbox_notice(&t->inbox, rc);
    if (q->bytes >= SHARE)
        wire_keep(&t->wire, q); /* without memory for it each receiver gets its own */
    return rc == FL_EVALUE || rc > 0 ? 0 : rc;
}

static int cast_to(struct conns *t, struct conn *c, struct cast *cast)
{
    if (c == NULL || c->state != CONN_OPEN || !outbox_has_room(t, c))
        return 0;
    uint32_t key = ((uint32_t)c->listener + 1) << 8 | c->dialect;
    struct encoding *e =
        &cast->encodings[(c->listener * 3u + c->dialect) % countof(cast->encodings)];
    uint64_t ahead = conn_ahead(t, c);
    struct queue q = {0};
    int rc = 0;
    if (e->key != key) {
        rc = encode_for(t, c, cast, &e->bytes);
        e->key = rc == 0 ? key : 0;
    }
    if (rc == 0)
        rc = wire_share(&t->wire, ahead == 0 ? &c->out : &q, &e->bytes);
    if (ahead != 0)
        wire_fill(&t->wire, &c->out, ahead, &q, false);
    if (rc == -ENOMEM)
        conn_fail(t, c, rc);
    conn_touch(t, c);
    return rc == -ENOMEM ? 0 : rc;
}

static int cast_to_ids(struct conns *t, struct codec_reader ids, uint32_t count, int64_t but,
                       struct cast *cast)
{
    for (; count > 0; count--) {
        int64_t id;
        int rc = outbox_int(&ids, &id);
        if (rc == 0 && id != but)
            rc = cast_to(t, conn_find(t, (uint64_t)id), cast);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int cast_to_all(struct conns *t, int64_t listener, int64_t but, struct cast *cast)
{
    int rc = 0;
    for (uint32_t i = 0; i < conns_places(t) && rc == 0; i++) {
        struct conn *c = conn_at(t, i);
        if (c != NULL && (listener < 0 || c->listener == listener) && conn_id(c) != (uint64_t)but)
            rc = cast_to(t, c, cast);
    }
    return rc;
}

static void drop_encodings(struct conns *t, struct cast *cast)
{
    for (size_t i = 0; i < countof(cast->encodings); i++)
        wire_drop(&t->wire, &cast->encodings[i].bytes);
}

int outbox_publish(struct conns *t, struct codec_reader *r)
{
    struct text topic;
    int64_t but;
    struct cast cast = {0};
    if (outbox_text(r, &topic) < 0 || outbox_int(r, &but) < 0)
        return FL_EOUTBOX;
    cast.value = *r;
    int rc = codec_skip(r);
    struct subscription *next = topics_first(&t->topics, topic);
    while (next != NULL && rc == 0) {
        uint64_t id;
        next = topics_next(next, &id);
        if (id != (uint64_t)but) /* who fails by it quits, and the next one stays */
            rc = cast_to(t, conn_find(t, id), &cast);
    }
    drop_encodings(t, &cast);
    return rc;
}

int outbox_broadcast(struct conns *t, struct codec_reader *r)
{
    int64_t listener, but;
    struct codec_value v = {0};
    struct cast cast = {0};
    int rc = outbox_int(r, &listener);
    struct codec_reader ids = *r;
    if (rc < 0 || codec_skip(r) < 0 || outbox_int(r, &but) < 0)
        return FL_EOUTBOX;
    cast.value = *r;
    if (codec_skip(r) < 0 || codec_read(&ids, &v) < 0)
        return FL_EOUTBOX;
    if (v.type == CODEC_NONE)
        rc = cast_to_all(t, listener, but, &cast);
    else if (v.type == CODEC_LIST || v.type == CODEC_TUPLE || v.type == CODEC_SET)
        rc = cast_to_ids(t, ids, v.count, but, &cast);
    else
        rc = FL_EOUTBOX;
    drop_encodings(t, &cast);
    return rc;
}
