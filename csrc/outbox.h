/* outbox.h -- what Python answers: replies in the order of the inbox, and commands. Level 5.
 *
 * Nothing is sent here: replies are put into the queues of their connections, in the order in which
 * handlers said them, and the next flush sends them. */
#ifndef FL_OUTBOX_H
#define FL_OUTBOX_H

#include "conn.h"

/* Applies a marshalled list, see fastloop.h. Values of the wrong type are answered with a fault and
 * noted, and so are commands with an argument of the wrong type, which do nothing; a reply to a
 * connection that is gone is dropped. Returns 0; -ENOMEM if memory was short for a command, or
 * FL_EOUTBOX if there are more replies than messages: the others are applied; FL_EOUTBOX if the
 * bytes are no outbox at all: what is in front of the place is applied. */
int outbox_apply(struct conns *t, struct heap *timers, const char *data, size_t len);

/* The batch is over. A message that has no reply by now, because the caller failed, is answered as
 * one whose handler failed: its connection must not wait for ever. */
void outbox_end(struct conns *t);

/* -- among these files -- */

/* FL_CAST and FL_PUBLISH, of which the arguments are to follow. Return 0 or FL_EOUTBOX. */
int outbox_broadcast(struct conns *t, struct codec_reader *r);
int outbox_publish(struct conns *t, struct codec_reader *r);

/* Whether more may be sent to c beside its replies, which is bounded, unlike those; else it is
 * closed. */
bool outbox_has_room(struct conns *t, struct conn *c);

/* Read an integer; a str or bytes. Return 0 or FL_EOUTBOX. */
int outbox_int(struct codec_reader *r, int64_t *n);
int outbox_text(struct codec_reader *r, struct text *text);

#endif
