/* Topics against a table of who is where; and each allocation failing. */
#include <errno.h>

#include "oom.h"
#include "t.h"
#include "topics.h"

enum { CONNS = 40, TOPICS = 200 };

static struct text name_of(int topic, char room[16])
{
    return (struct text){room, (size_t)snprintf(room, 16, "topic %d", topic)};
}

static uint64_t id_of(uint32_t index)
{
    return (uint64_t)7 << 24 | index;
}

/* Whether exactly those in the column get what is published, each once. */
static bool agrees(const struct topics *t, bool in[CONNS][TOPICS], int topic)
{
    char room[16];
    bool seen[CONNS] = {false};
    struct subscription *next = topics_first(t, name_of(topic, room));
    while (next != NULL) {
        uint64_t id;
        next = topics_next(next, &id);
        uint32_t index = (uint32_t)(id & 0xffffff);
        if (index >= CONNS || id != id_of(index) || seen[index])
            return false;
        seen[index] = true;
    }
    for (int i = 0; i < CONNS; i++) {
        if (seen[i] != in[i][topic])
            return false;
    }
    return true;
}

static void keeps_who_is_where(void)
{
    static bool in[CONNS][TOPICS];
    struct topics t = {0};
    uint32_t seed = 1;
    char room[16];
    for (int step = 0; step < 20000; step++) {
        seed = seed * 1664525 + 1013904223;
        uint32_t index = (seed >> 8) % CONNS;
        int topic = (int)((seed >> 16) % TOPICS);
        if (seed >> 29 < 4) {
            CHECK_INT(topics_join(&t, name_of(topic, room), index, id_of(index)), 0);
            in[index][topic] = true;
        } else if (seed >> 29 < 7) {
            topics_quit(&t, name_of(topic, room), index);
            in[index][topic] = false;
        } else if (step % 5 == 0) {
            topics_quit_all(&t, index);
            memset(in[index], 0, sizeof in[index]);
        }
        if (!CHECK(agrees(&t, in, topic)))
            break;
    }
    for (uint32_t i = 0; i < CONNS; i++)
        topics_quit_all(&t, i);
    CHECK_INT(t.count, 0);
    topics_free(&t);
}

static void lets_the_present_one_go(void)
{
    struct topics t = {0};
    const struct text name = {"x", 1};
    uint32_t told = 0;
    for (uint32_t i = 0; i < 10; i++)
        CHECK_INT(topics_join(&t, name, i, id_of(i)), 0);
    struct subscription *next = topics_first(&t, name);
    while (next != NULL) {
        uint64_t id;
        next = topics_next(next, &id);
        topics_quit_all(&t, (uint32_t)(id & 0xffffff));
        told++;
    }
    CHECK_INT(told, 10);
    CHECK(topics_first(&t, name) == NULL);
    topics_quit(&t, name, 3);
    topics_quit_all(&t, 1000);
    topics_free(&t);
}

static void survives_without_memory(void)
{
    for (int n = 1; n < 8; n++) {
        struct topics t = {0};
        const struct text name = {"x", 1};
        oom_arm(n);
        int rc = topics_join(&t, name, 3, id_of(3));
        oom_disarm();
        CHECK(rc == 0 || rc == -ENOMEM);
        CHECK_INT(topics_first(&t, name) != NULL, rc == 0);
        CHECK_INT(t.count, rc == 0);
        CHECK_INT(topics_join(&t, name, 3, id_of(3)), 0);
        topics_free(&t);
    }
}

int main(void)
{
    keeps_who_is_where();
    lets_the_present_one_go();
    survives_without_memory();
    return t_end();
}
