/* timer.c -- the wheel of connection deadlines and the heap of users' timers.
 *
 * Workload of the wheel: up to a million items, each renewed at every message by a plain store and
 * nearly never expired. An item lies in the slot of the deadline it had when it was filed. When
 * time passes a slot, each of its items is either due or filed again under the deadline it has by
 * now; one that is further off than a turn of the wheel is met, and left, once a turn. So an item
 * costs something only when its slot comes by, and neighbours are never touched.
 *
 * Workload of the heap: some hundreds. Four children to a node: half the depth of a binary heap,
 * and the children of a node lie in two cache lines.
 *
 * Invariants: every filed item lies in a slot that time has still to pass; each bit of a slot that
 * is not empty is set, and one whose bit is clear may never have been written to.
 * where[entries[i].slot] == i for all i. Ticks are compared by their difference, so they may wrap.
 * Everything is used by one thread. */
#include "timer.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* -- the wheel -- */

enum { TICK_US = WHEEL_TICK_MS * 1000, WORD = 64 };

_Static_assert((WHEEL_SLOTS & (WHEEL_SLOTS - 1)) == 0, "slots are found by a mask");

static bool is_after(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) > 0;
}

int wheel_init(struct wheel *w, uint64_t now_us, uint32_t slots)
{
    *w = (struct wheel){.mask = slots - 1, .now = (uint32_t)(now_us / TICK_US)};
    w->slots = malloc(slots * sizeof *w->slots);
    return w->slots == NULL ? -ENOMEM : 0;
}

void wheel_free(struct wheel *w)
{
    free(w->slots);
    w->slots = NULL;
}

uint32_t wheel_tick(uint64_t now_us, uint32_t after_ms)
{
    uint64_t soonest = now_us / TICK_US + 1;
    uint64_t tick = (now_us + (uint64_t)after_ms * 1000 + TICK_US - 1) / TICK_US;
    return (uint32_t)(tick > soonest ? tick : soonest);
}

void wheel_file(struct wheel *w, struct wheel_item *item, uint32_t deadline)
{
    /* A deadline that is over goes where time comes next, or it would wait for a whole turn. */
    uint32_t slot = (is_after(deadline, w->now) ? deadline : w->now + 1) & w->mask;
    item->deadline = deadline;
    list_remove(&item->link);
    if (!(w->occupied[slot / WORD] & UINT64_C(1) << slot % WORD))
        list_init(&w->slots[slot]);
    list_append(&w->slots[slot], &item->link);
    w->occupied[slot / WORD] |= UINT64_C(1) << slot % WORD;
}

void wheel_remove(struct wheel *w, struct wheel_item *item)
{
    (void)w; /* its slot is not known any more, so the bit stays until time passes it */
    list_remove(&item->link);
}

static void pass_slot(struct wheel *w, uint32_t slot, struct link *expired)
{
    uint64_t bit = UINT64_C(1) << slot % WORD;
    if (!(w->occupied[slot / WORD] & bit))
        return;
    w->occupied[slot / WORD] &= ~bit;

    struct link items; /* apart, because some may come back to this very slot */
    list_init(&items);
    list_move(&items, &w->slots[slot]);
    while (!list_empty(&items)) {
        struct wheel_item *item = container_of(items.next, struct wheel_item, link);
        if (is_after(item->deadline, w->now)) {
            wheel_file(w, item, item->deadline);
        } else {
            list_remove(&item->link);
            list_append(expired, &item->link);
        }
    }
}

void wheel_expire(struct wheel *w, uint64_t now_us, struct link *expired)
{
    uint32_t now = (uint32_t)(now_us / TICK_US);
    if (!is_after(now, w->now))
        return;
    uint32_t first = w->now + 1;
    uint32_t passed = now - w->now;
    if (passed > w->mask + 1)
        passed = w->mask + 1;
    w->now = now;
    for (uint32_t i = 0; i < passed; i++)
        pass_slot(w, (first + i) & w->mask, expired);
}

/* Ticks from now to the next slot that holds something, 1 to all of them; 0 if none does. */
static uint32_t next_slot(const struct wheel *w)
{
    uint32_t ahead = 1;
    uint32_t slots = w->mask + 1;
    while (ahead <= slots) {
        uint32_t slot = (w->now + ahead) & w->mask;
        uint64_t bits = w->occupied[slot / WORD] >> slot % WORD;
        if (!bits) {
            ahead += WORD - slot % WORD;
            continue;
        }
        uint32_t skip = (uint32_t)__builtin_ctzll(bits);
        ahead += skip;
        if (ahead <= slots && !list_empty(&w->slots[slot + skip]))
            return ahead;
        ahead++;
    }
    return 0;
}

int wheel_timeout(const struct wheel *w, uint64_t now_us)
{
    uint32_t ahead = next_slot(w);
    if (!ahead)
        return -1;
    /* Time may have gone on since w->now was passed. */
    uint32_t late = (uint32_t)(now_us / TICK_US) - w->now;
    if (late >= ahead)
        return 0;
    uint64_t left_us = (uint64_t)(ahead - late) * TICK_US - now_us % TICK_US;
    return (int)((left_us + 999) / 1000);
}

/* -- the heap -- */

enum { CHILDREN = 4 };

static const uint32_t UNSET = UINT32_MAX;

void heap_init(struct heap *h)
{
    *h = (struct heap){0};
}

void heap_free(struct heap *h)
{
    free(h->entries);
    free(h->where);
    heap_init(h);
}

static bool is_sooner(const struct heap_entry *a, const struct heap_entry *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void place(struct heap *h, uint32_t i, struct heap_entry entry)
{
    h->entries[i] = entry;
    h->where[entry.slot] = i;
}

static uint32_t soonest_child(const struct heap *h, uint32_t parent)
{
    uint32_t best = parent * CHILDREN + 1;
    uint32_t end = best + CHILDREN < h->count ? best + CHILDREN : h->count;
    for (uint32_t i = best + 1; i < end; i++)
        if (is_sooner(&h->entries[i], &h->entries[best]))
            best = i;
    return best;
}

/* Puts an entry where it belongs, beginning at the gap i. */
static void sift(struct heap *h, uint32_t i, struct heap_entry entry)
{
    while (i > 0) {
        uint32_t parent = (i - 1) / CHILDREN;
        if (!is_sooner(&entry, &h->entries[parent]))
            break;
        place(h, i, h->entries[parent]);
        i = parent;
    }
    while (i * CHILDREN + 1 < h->count) {
        uint32_t child = soonest_child(h, i);
        if (!is_sooner(&h->entries[child], &entry))
            break;
        place(h, i, h->entries[child]);
        i = child;
    }
    place(h, i, entry);
}

static void take_out(struct heap *h, uint32_t i)
{
    h->where[h->entries[i].slot] = UNSET;
    h->count--;
    if (i < h->count)
        sift(h, i, h->entries[h->count]);
}

static int grow_slots(struct heap *h, uint32_t slot)
{
    if (slot < h->slots)
        return 0;
    if (slot > UINT32_MAX / 2)
        return -ENOMEM;
    uint32_t slots = slot < 32 ? 64 : slot * 2;
    uint32_t *where = realloc(h->where, slots * sizeof(*where));
    if (!where)
        return -ENOMEM;
    for (uint32_t i = h->slots; i < slots; i++)
        where[i] = UNSET;
    h->where = where;
    h->slots = slots;
    return 0;
}

static int grow_entries(struct heap *h)
{
    if (h->count < h->capacity)
        return 0;
    uint32_t capacity = h->capacity ? h->capacity * 2 : 64;
    struct heap_entry *entries = realloc(h->entries, capacity * sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    h->entries = entries;
    h->capacity = capacity;
    return 0;
}

int heap_set(struct heap *h, uint32_t slot, uint64_t at_us)
{
    if (grow_slots(h, slot) < 0)
        return -ENOMEM;
    uint32_t i = h->where[slot];
    if (i == UNSET) {
        if (grow_entries(h) < 0)
            return -ENOMEM;
        i = h->count++;
    }
    sift(h, i, (struct heap_entry){.at_us = at_us, .order = h->order++, .slot = slot});
    return 0;
}

void heap_cancel(struct heap *h, uint32_t slot)
{
    if (slot < h->slots && h->where[slot] != UNSET)
        take_out(h, h->where[slot]);
}

bool heap_pop(struct heap *h, uint64_t now_us, uint32_t *slot)
{
    if (!h->count || h->entries[0].at_us > now_us)
        return false;
    *slot = h->entries[0].slot;
    take_out(h, 0);
    return true;
}

int heap_timeout(const struct heap *h, uint64_t now_us)
{
    if (!h->count)
        return -1;
    uint64_t at_us = h->entries[0].at_us;
    if (at_us <= now_us)
        return 0;
    uint64_t left_ms = (at_us - now_us - 1) / 1000 + 1;
    return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}
