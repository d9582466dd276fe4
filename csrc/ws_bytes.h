/* ws_bytes.h -- what WebSocket does with the bytes of a message: masks, and UTF-8. Level 1. */
#ifndef FL_WS_BYTES_H
#define FL_WS_BYTES_H

#include "base.h"

enum { WS_KEY = 4 }; /* bytes of a masking key */

/* Copies n bytes of a payload, each XORed with its byte of the key (RFC 6455, 5.3). The first of
 * them is the payload's byte number `at`. `to` may be `from` itself, and no other overlap. */
void ws_mask(char *to, const char *from, size_t n, const char key[WS_KEY], size_t at);

/* Where in a character the bytes so far end. */
enum ws_utf8 {
    WS_UTF8_WHOLE, /* between two characters: at the start, and at the end of a text */
    WS_UTF8_MAX = 7,
    WS_UTF8_BAD, /* these bytes begin no UTF-8 */
};

/* Follows n more bytes of UTF-8 (RFC 3629: no surrogates, nothing overlong), after those that led
 * to `state`. Sets *wide if any of them is not ASCII. Returns the state behind them. */
uint8_t ws_utf8(uint8_t state, const char *data, size_t n, bool *wide);

/* The same for bytes that are masked, as ws_mask() would undo it. */
uint8_t ws_utf8_masked(uint8_t state, const char *data, size_t n, const char key[WS_KEY], size_t at,
                       bool *wide);

#endif
