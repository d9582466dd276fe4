/* frame_resp.h -- the two halves of RESP: requests (frame_resp.c), replies (frame_resp_reply.c).
 * Level 3: only those two include it. */
#ifndef FL_FRAME_RESP_H
#define FL_FRAME_RESP_H

#include "frame.h"

/* The reply() of protocol_resp. */
int resp_reply(const struct framing *f, struct exchange *x, struct codec_reader *value,
               struct wire *w, struct queue *q);

#endif
