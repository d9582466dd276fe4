/* test_timer.c -- the wheel and the heap against models that are too simple to be wrong, driven by
 * random operations from fixed seeds; then the corner cases by name. Time is a number here: nothing
 * waits. */
#include "timer.h"

#include <limits.h>

#include "t.h"

#define TICK_US (UINT64_C(1000) * WHEEL_TICK_MS)

/* A xorshift generator: the same numbers everywhere. */
static uint32_t random_below(uint64_t *seed, uint32_t n)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return (uint32_t)(*seed >> 32) % n;
}

/* -- the wheel -- */

enum { ITEMS = 300 };

/* What the wheel should know, kept beside it: where time stands, and each item's deadline. */
struct model {
    struct wheel wheel;
    struct wheel_item items[ITEMS];
    bool filed[ITEMS];
    uint64_t deadline[ITEMS]; /* in ticks that do not wrap */
    uint64_t now_us;
    uint64_t seed;
};

static struct model *model_new(uint64_t seed, uint64_t now_us, uint32_t slots)
{
    struct model *m = calloc(1, sizeof(*m));
    if (!m)
        abort();
    m->seed = seed;
    m->now_us = now_us;
    if (wheel_init(&m->wheel, now_us, slots) < 0)
        abort();
    for (int i = 0; i < ITEMS; i++)
        list_init(&m->items[i].link);
    return m;
}

static uint64_t model_file(struct model *m, int i, uint32_t after_ms)
{
    uint32_t tick = wheel_tick(m->now_us, after_ms);
    uint64_t now = m->now_us / TICK_US;
    m->deadline[i] = now + (uint32_t)(tick - (uint32_t)now);
    m->filed[i] = true;
    wheel_file(&m->wheel, &m->items[i], tick);
    return m->deadline[i];
}

/* Renews by a plain store where the deadline moves later, as a connection does. */
static void model_renew(struct model *m, int i, uint32_t after_ms)
{
    uint32_t tick = wheel_tick(m->now_us, after_ms);
    uint64_t now = m->now_us / TICK_US;
    uint64_t deadline = now + (uint32_t)(tick - (uint32_t)now);
    if (deadline < m->deadline[i])
        return;
    m->deadline[i] = deadline;
    m->items[i].deadline = tick;
}

/* Lets time go on and compares what expires with what should. */
static bool model_advance(struct model *m, uint64_t us)
{
    m->now_us += us;
    struct link expired;
    list_init(&expired);
    wheel_expire(&m->wheel, m->now_us, &expired);

    bool right = true;
    while (!list_empty(&expired)) {
        struct wheel_item *item = container_of(expired.next, struct wheel_item, link);
        long i = item - m->items;
        list_remove(&item->link);
        right = right && m->filed[i] && m->deadline[i] <= m->now_us / TICK_US;
        m->filed[i] = false;
    }
    for (int i = 0; i < ITEMS; i++)
        right = right && (!m->filed[i] || m->deadline[i] > m->now_us / TICK_US) &&
                m->filed[i] == list_linked(&m->items[i].link);
    return right;
}

/* The timeout never lies beyond the soonest deadline (an earlier one is a wake-up for nothing,
 * which laziness may cost), and is -1 just when nothing is filed. */
static bool model_timeout(struct model *m)
{
    uint64_t soonest = UINT64_MAX;
    for (int i = 0; i < ITEMS; i++)
        if (m->filed[i] && m->deadline[i] < soonest)
            soonest = m->deadline[i];
    int timeout = wheel_timeout(&m->wheel, m->now_us);
    if (soonest == UINT64_MAX)
        return timeout == -1;
    uint64_t left_us = soonest * TICK_US - m->now_us;
    return timeout >= 0 && (uint64_t)timeout <= (left_us + 999) / 1000;
}

static void model_operation(struct model *m)
{
    int i = (int)random_below(&m->seed, ITEMS);
    /* Mostly within a turn of 131 seconds, sometimes several turns away. */
    uint32_t after_ms = random_below(&m->seed, random_below(&m->seed, 8) ? 100000 : 1000000);
    switch (random_below(&m->seed, 4)) {
    case 0: model_file(m, i, after_ms); break;
    case 1:
        wheel_remove(&m->wheel, &m->items[i]);
        m->filed[i] = false;
        break;
    default:
        if (m->filed[i])
            model_renew(m, i, after_ms);
    }
}

static void run_model(uint64_t seed, uint64_t now_us, uint32_t slots)
{
    struct model *m = model_new(seed, now_us, slots);
    for (int round = 0; round < 4000; round++) {
        for (uint32_t n = random_below(&m->seed, 4); n > 0; n--)
            model_operation(m);
        bool long_step = random_below(&m->seed, 100) == 0; /* more than a turn in one step */
        if (!CHECK(model_timeout(m)) ||
            !CHECK(model_advance(m, random_below(&m->seed, long_step ? 300000000 : 500000))))
            break;
    }
    wheel_free(&m->wheel);
    free(m);
}

static void test_wheel_against_model(void)
{
    run_model(1, 0, WHEEL_SLOTS);
    run_model(2, 123456789, WHEEL_SLOTS);
    run_model(3, UINT64_C(0xFFFFFF00) * TICK_US,
              WHEEL_SLOTS);                                   /* the 32-bit ticks wrap on the way */
    run_model(4, (UINT64_C(1) << 31) * TICK_US, WHEEL_SLOTS); /* ... and so does their sign */
    run_model(5, UINT64_C(0x1FFFFFF00) * TICK_US, WHEEL_SLOTS); /* more than 32 bits of ticks */
    run_model(6, 123456789, 64);
}

static void test_tick_is_never_early(void)
{
    CHECK_INT(wheel_tick(0, 0), 1); /* at least one tick from now */
    CHECK_INT(wheel_tick(0, 1), 1);
    CHECK_INT(wheel_tick(0, WHEEL_TICK_MS), 1);
    CHECK_INT(wheel_tick(0, WHEEL_TICK_MS + 1), 2);
    CHECK_INT(wheel_tick(TICK_US - 1, 0), 1);
    CHECK_INT(wheel_tick(TICK_US, 0), 2);
    CHECK_INT(wheel_tick(TICK_US - 1, WHEEL_TICK_MS), 2); /* not 1, which is one microsecond off */
    CHECK_INT(wheel_tick(0, UINT32_MAX), (UINT32_MAX + UINT64_C(127)) / WHEEL_TICK_MS);
}

static void test_wheel_timeout(void)
{
    struct model *m = model_new(1, 5 * TICK_US, WHEEL_SLOTS);
    struct wheel *w = &m->wheel;
    CHECK_INT(wheel_timeout(w, m->now_us), -1);

    model_file(m, 0, 3 * WHEEL_TICK_MS);
    CHECK_INT(wheel_timeout(w, m->now_us), 3 * WHEEL_TICK_MS);
    CHECK_INT(wheel_timeout(w, m->now_us + 1), 3 * WHEEL_TICK_MS); /* rounded up */
    CHECK_INT(wheel_timeout(w, m->now_us + 1000), 3 * WHEEL_TICK_MS - 1);
    CHECK_INT(wheel_timeout(w, m->now_us + TICK_US), 2 * WHEEL_TICK_MS);
    CHECK_INT(wheel_timeout(w, m->now_us + 3 * TICK_US - 1), 1);
    CHECK_INT(wheel_timeout(w, m->now_us + 3 * TICK_US), 0);
    CHECK_INT(wheel_timeout(w, m->now_us + 9 * TICK_US), 0);

    wheel_remove(w, &m->items[0]);
    wheel_remove(w, &m->items[0]); /* harmless */
    CHECK_INT(wheel_timeout(w, m->now_us), -1);

    for (uint32_t ahead = 1; ahead <= WHEEL_SLOTS; ahead++) { /* every slot, the last being now's */
        model_file(m, 0, ahead * WHEEL_TICK_MS);
        CHECK_INT(wheel_timeout(w, m->now_us), ahead * WHEEL_TICK_MS);
    }
    wheel_free(&m->wheel);
    free(m);
}

static void test_wheel_is_lazy(void)
{
    struct model *m = model_new(1, 0, WHEEL_SLOTS);
    model_file(m, 0, 2 * WHEEL_TICK_MS);
    model_renew(m, 0, 50 * WHEEL_TICK_MS);
    CHECK_INT(wheel_timeout(&m->wheel, 0), 2 * WHEEL_TICK_MS); /* the store moved nothing */
    CHECK(model_advance(m, 2 * TICK_US));
    CHECK(m->filed[0]);
    CHECK_INT(wheel_timeout(&m->wheel, m->now_us), 48 * WHEEL_TICK_MS); /* the visit did */
    CHECK(model_advance(m, 48 * TICK_US - 1));
    CHECK(m->filed[0]);
    CHECK(model_advance(m, 1));
    CHECK(!m->filed[0]);
    wheel_free(&m->wheel);
    free(m);
}

static void test_wheel_earlier_deadline(void)
{
    struct model *m = model_new(1, 0, WHEEL_SLOTS);
    model_file(m, 0, 50 * WHEEL_TICK_MS);
    model_file(m, 0, 2 * WHEEL_TICK_MS); /* filed again: it is in one place only */
    CHECK(model_advance(m, 2 * TICK_US));
    CHECK(!m->filed[0]);
    CHECK_INT(wheel_timeout(&m->wheel, m->now_us), -1);

    wheel_file(&m->wheel, &m->items[1], m->wheel.now); /* over already: at the next tick */
    m->filed[1] = true;
    CHECK_INT(wheel_timeout(&m->wheel, m->now_us), WHEEL_TICK_MS);
    CHECK(model_advance(m, TICK_US));
    CHECK(!m->filed[1]);
    wheel_free(&m->wheel);
    free(m);
}

static void test_wheel_far_deadline(void)
{
    struct model *m = model_new(1, 77 * TICK_US, WHEEL_SLOTS);
    model_file(m, 0, 3 * WHEEL_SLOTS * WHEEL_TICK_MS); /* three turns: the slot of now itself */
    for (int turn = 0; turn < 2; turn++)
        CHECK(model_advance(m, WHEEL_SLOTS * TICK_US));
    CHECK(m->filed[0]);
    CHECK(model_advance(m, WHEEL_SLOTS * TICK_US - 1));
    CHECK(m->filed[0]);
    CHECK(model_advance(m, 1));
    CHECK(!m->filed[0]);

    for (int i = 0; i < ITEMS; i++) /* and a long sleep that passes all slots at once */
        model_file(m, i, (uint32_t)i * 10 * WHEEL_TICK_MS);
    CHECK(model_advance(m, 5 * WHEEL_SLOTS * TICK_US));
    CHECK_INT(wheel_timeout(&m->wheel, m->now_us), -1);
    wheel_free(&m->wheel);
    free(m);
}

/* -- the heap -- */

enum { SLOTS = 200 };

struct heap_model {
    struct heap heap;
    bool set[SLOTS];
    uint64_t at_us[SLOTS];
    uint64_t order[SLOTS];
    uint64_t next;
};

static int soonest(const struct heap_model *m)
{
    int best = -1;
    for (int i = 0; i < SLOTS; i++)
        if (m->set[i] && (best < 0 || m->at_us[i] < m->at_us[best] ||
                          (m->at_us[i] == m->at_us[best] && m->order[i] < m->order[best])))
            best = i;
    return best;
}

static bool pop_is_right(struct heap_model *m, uint64_t now_us)
{
    int want = soonest(m);
    bool due = want >= 0 && m->at_us[want] <= now_us;
    uint32_t slot = 0;
    if (heap_pop(&m->heap, now_us, &slot) != due)
        return false;
    if (!due)
        return true;
    m->set[want] = false;
    return slot == (uint32_t)want;
}

static void test_heap_against_model(void)
{
    struct heap_model m = {0};
    uint64_t seed = 7, now_us = 0;
    heap_init(&m.heap);
    for (int round = 0; round < 60000; round++) {
        uint32_t slot = random_below(&seed, SLOTS);
        switch (random_below(&seed, 4)) {
        case 0:
        case 1:
            m.at_us[slot] = now_us + random_below(&seed, 40); /* few times: many are equal */
            m.order[slot] = m.next++;
            m.set[slot] = true;
            CHECK_INT(heap_set(&m.heap, slot, m.at_us[slot]), 0);
            break;
        case 2:
            heap_cancel(&m.heap, slot);
            m.set[slot] = false;
            break;
        default:
            now_us += random_below(&seed, 3);
            if (!CHECK(pop_is_right(&m, now_us)))
                round = 60000;
        }
    }
    while (soonest(&m) >= 0 && CHECK(pop_is_right(&m, UINT64_MAX)))
        ;
    CHECK_INT(m.heap.count, 0);
    heap_free(&m.heap);
}

static void test_heap_equal_times(void)
{
    struct heap h;
    uint32_t slot;
    heap_init(&h);
    for (uint32_t i = 0; i < 100; i++)
        CHECK_INT(heap_set(&h, (i * 37) % 100, 5), 0);
    CHECK_INT(heap_set(&h, 0, 5), 0); /* set again: now it is the last */
    for (uint32_t i = 1; i < 100; i++) {
        CHECK(heap_pop(&h, 5, &slot));
        CHECK_INT(slot, (i * 37) % 100);
    }
    CHECK(heap_pop(&h, 5, &slot));
    CHECK_INT(slot, 0);
    heap_free(&h);
}

static void test_heap_slots_are_reused(void)
{
    struct heap h;
    uint32_t slot = 99;
    heap_init(&h);
    heap_cancel(&h, 3); /* never set: harmless */
    CHECK(!heap_pop(&h, UINT64_MAX, &slot));
    CHECK_INT(slot, 99);

    CHECK_INT(heap_set(&h, 3, 10), 0);
    heap_cancel(&h, 3);
    heap_cancel(&h, 3);
    CHECK(!heap_pop(&h, UINT64_MAX, &slot));
    CHECK_INT(heap_set(&h, 3, 20), 0);
    CHECK(!heap_pop(&h, 19, &slot));
    CHECK(heap_pop(&h, 20, &slot));
    CHECK_INT(slot, 3);
    CHECK_INT(heap_set(&h, 3, 30), 0);
    CHECK_INT(heap_set(&h, 3, 25), 0); /* moved, not doubled */
    CHECK_INT(h.count, 1);
    CHECK_INT(heap_timeout(&h, 0), 1);
    CHECK(heap_pop(&h, 25, &slot));
    CHECK_INT(h.count, 0);

    CHECK(heap_set(&h, UINT32_MAX, 1) < 0);
    CHECK_INT(h.count, 0);
    heap_free(&h);
}

static void test_heap_timeout(void)
{
    struct heap h;
    heap_init(&h);
    CHECK_INT(heap_timeout(&h, 0), -1);
    CHECK_INT(heap_set(&h, 0, 5000), 0);
    CHECK_INT(heap_timeout(&h, 0), 5);
    CHECK_INT(heap_timeout(&h, 1), 5); /* rounded up: never awake too early */
    CHECK_INT(heap_timeout(&h, 1000), 4);
    CHECK_INT(heap_timeout(&h, 4999), 1);
    CHECK_INT(heap_timeout(&h, 5000), 0);
    CHECK_INT(heap_timeout(&h, 9000), 0);
    CHECK_INT(heap_set(&h, 0, UINT64_MAX), 0);
    CHECK_INT(heap_timeout(&h, 0), INT_MAX);
    heap_free(&h);
}

static void test_heap_many(void)
{
    enum { MANY = 100000 };
    struct heap h;
    uint64_t seed = 9, last = 0;
    uint32_t slot;
    heap_init(&h);
    uint64_t *at_us = malloc(MANY * sizeof(*at_us));
    if (!CHECK(at_us))
        return;
    for (uint32_t i = 0; i < MANY; i++) {
        at_us[i] = random_below(&seed, 1u << 30);
        CHECK_INT(heap_set(&h, i, at_us[i]), 0);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        if (!CHECK(heap_pop(&h, UINT64_MAX, &slot) && at_us[slot] >= last))
            break;
        last = at_us[slot];
    }
    CHECK_INT(h.count, 0);
    free(at_us);
    heap_free(&h);
}

int main(void)
{
    test_wheel_against_model();
    test_tick_is_never_early();
    test_wheel_timeout();
    test_wheel_is_lazy();
    test_wheel_earlier_deadline();
    test_wheel_far_deadline();
    test_heap_against_model();
    test_heap_equal_times();
    test_heap_slots_are_reused();
    test_heap_timeout();
    test_heap_many();
    return t_end();
}
