/* timer.h -- two clocks for two needs. Level 2.
 *
 * The wheel keeps one coarse deadline for each connection: thousands that are renewed all the time
 * and hardly ever expire. Renewing is a store: the deadline is compared only when its slot comes
 * by, and filed anew if it moved on. The heap keeps users' timers: few, exact, cancelled by number.
 */
#ifndef FL_TIMER_H
#define FL_TIMER_H

#include "list.h"

/* -- the wheel -- */

enum {
    WHEEL_TICK_MS = 128,
    WHEEL_SLOTS = 1024, /* the most, and a power of two; deadlines further off go round again */
};

struct wheel_item {
    struct link link;  /* itself when not filed: list_init() it first */
    uint32_t deadline; /* in ticks; may be moved LATER by a plain store */
};

struct wheel {
    struct link *slots; /* owned; one is written only when something is filed there */
    uint32_t mask;      /* their number less one */
    uint64_t occupied[WHEEL_SLOTS / 64]; /* one bit a slot: may be set for an empty slot, never
                                            clear for one that is not */
    uint32_t now;                        /* the last tick that was expired */
};

/* With so many slots: a power of two, from 64 to WHEEL_SLOTS. Returns 0 or -ENOMEM. */
int wheel_init(struct wheel *w, uint64_t now_us, uint32_t slots);
void wheel_free(struct wheel *w);

/* The tick at which `after_ms` from now is over, at least one tick from now. */
uint32_t wheel_tick(uint64_t now_us, uint32_t after_ms);

/* Files an item under its deadline, wherever it was before. */
void wheel_file(struct wheel *w, struct wheel_item *item, uint32_t deadline);

/* Takes it out; harmless if it is not in. */
void wheel_remove(struct wheel *w, struct wheel_item *item);

/* Moves to `expired` all items whose deadline has come, and files the renewed ones again. */
void wheel_expire(struct wheel *w, uint64_t now_us, struct link *expired);

/* Milliseconds until the next slot that holds something is due; -1 when the wheel is empty. */
int wheel_timeout(const struct wheel *w, uint64_t now_us);

/* -- the heap -- */

struct heap_entry {
    uint64_t at_us;
    uint64_t order; /* equal times fire in the order they were set */
    uint32_t slot;  /* the user's small number for this timer */
};

struct heap {
    struct heap_entry *entries; /* 4-ary, soonest first */
    uint32_t count, capacity;
    uint32_t *where; /* slot -> index in entries, or UINT32_MAX */
    uint32_t slots;
    uint64_t order;
};

void heap_init(struct heap *h);
void heap_free(struct heap *h);

/* Sets (or moves) the timer of this slot. Slots are small numbers that the caller reuses. Returns 0
 * or -ENOMEM. */
int heap_set(struct heap *h, uint32_t slot, uint64_t at_us);

/* Forgets it; harmless if it is not set. */
void heap_cancel(struct heap *h, uint32_t slot);

/* Takes out the soonest timer if it is due. Returns whether there was one. */
bool heap_pop(struct heap *h, uint64_t now_us, uint32_t *slot);

/* Milliseconds until the soonest, rounded up; -1 when there is none. */
int heap_timeout(const struct heap *h, uint64_t now_us);

#endif
