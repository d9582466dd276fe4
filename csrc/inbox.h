/* inbox.h -- what a turn has for Python: messages, connections that came and went, timers, notices.
 * Level 2.
 *
 * Messages are written in marshal form the moment they are framed, one growing run of bytes for
 * each listener; inbox_encode() joins the runs to the list of groups that fastloop.h describes. The
 * ids of a batch stay behind until the replies come, which name no connection: they come in this
 * order. */
#ifndef FL_INBOX_H
#define FL_INBOX_H

#include <errno.h>

#include "buf.h"
#include "codec.h"

enum {
    INBOX_NOTICES = 16,     /* kinds of notice: FL_EPROTO - code */
    INBOX_FLAGS_SHIFT = 56, /* ids stay below; above are flags that the reply is told */
};

struct group {
    struct buf items;  /* messages, marshalled */
    struct buf ids;    /* uint64_t, one a message: INBOX_FLAGS above the id */
    struct buf opened; /* uint64_t */
    struct buf closed; /* uint64_t id, int64_t why */
    uint32_t wants;    /* FL_WANT_* */
    uint32_t replied;  /* how many of `ids` have their reply */
};

/* Answers to what the user asked for, each with a value. */
struct events {
    struct buf ids;   /* int64_t */
    struct buf items; /* marshalled */
};

struct inbox {
    struct group *groups; /* by listener */
    uint32_t count;
    uint32_t replying; /* the group whose replies come next */
    uint32_t messages; /* in all groups, of this turn */
    bool events;       /* there is anything but messages */
    struct buf timers; /* int64_t slots */
    struct buf room;   /* uint64_t id, int64_t unsent bytes or an error */
    struct buf left;   /* uint64_t id, int64_t 0 */
    struct events pieces;
    struct events files;
    struct events reasons;
    uint32_t notices[INBOX_NOTICES];
    struct buf encoded;
    struct codec_refs refs; /* of this turn's messages */
    uint32_t sharing;       /* the group they are of, plus one; 0: none yet */
};

void inbox_init(struct inbox *in);
void inbox_free(struct inbox *in);

/* One more listener. Returns its group's number or -ENOMEM. */
int inbox_group(struct inbox *in, uint32_t wants);

/* Counts a message whose bytes were just added to the group's items; `flags` come back with its
 * reply. Room for its id must have been made by inbox_reserve(), which returns 0 or -ENOMEM. */
static inline int inbox_reserve(struct group *g)
{
    return buf_room(&g->ids, sizeof(uint64_t)) == NULL ? -ENOMEM : 0;
}

static inline void inbox_message(struct inbox *in, struct group *g, uint64_t id, uint8_t flags)
{
    id |= (uint64_t)flags << INBOX_FLAGS_SHIFT;
    memcpy(g->ids.data + g->ids.len, &id, sizeof id);
    g->ids.len += sizeof id;
    in->messages++;
}

/* What messages of this group may refer to, as long as the turn lasts; NULL: nothing. References
 * count what is in front of them in the whole batch, so one group alone may have them: the first
 * that asks. */
static inline struct codec_refs *inbox_refs(struct inbox *in, uint32_t group)
{
    if (in->sharing == 0)
        in->sharing = group + 1;
    return in->sharing == group + 1 ? &in->refs : NULL;
}

/* Events. What does not fit in memory is not told (-ENOMEM). */
int inbox_opened(struct inbox *in, uint32_t group, uint64_t id);
int inbox_closed(struct inbox *in, uint32_t group, uint64_t id, int why);
int inbox_timer(struct inbox *in, uint32_t slot);
void inbox_notice(struct inbox *in, int code);
int inbox_room(struct inbox *in, uint64_t id, int64_t unsent);
int inbox_left(struct inbox *in, uint64_t id);

/* Part of a body, its end (data NULL), and why it goes on no more. */
int inbox_piece(struct inbox *in, uint64_t id, const char *data, size_t len);
int inbox_piece_failed(struct inbox *in, uint64_t id, int why);

/* Why a connection ends, in words. */
int inbox_reason(struct inbox *in, uint64_t id, const char *text, size_t len);

/* What a job for files has read, or why not (len negative: an error). */
int inbox_file(struct inbox *in, uint32_t slot, const char *data, ssize_t len);

static inline bool inbox_waiting(const struct inbox *in)
{
    return in->messages > 0 || in->events;
}

/* Bytes of messages gathered so far. */
size_t inbox_bytes(const struct inbox *in);

/* Joins everything to in->encoded and starts anew. Returns its length, or -ENOMEM: then the batch
 * waits for the next call, and until then nothing can be replied to it. */
ssize_t inbox_encode(struct inbox *in);

/* The connection that the next reply is for, and the flags of its message. Returns false when every
 * message has its reply. */
bool inbox_reply(struct inbox *in, uint64_t *id, uint8_t *flags);

/* Forgets the rest of the batch: no more replies will come for it. */
void inbox_settled(struct inbox *in);

#endif
