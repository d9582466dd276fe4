/* topics.c -- topics by name, and the subscriptions of each topic and of each connection.
 *
 * Workload: connections subscribe to a few topics for as long as they live; publishing walks the
 * subscriptions of one topic, which may be thousands. A topic lives as long as it has any.
 *
 * Invariant: a subscription is in the ring of its topic and in the list of its connection. Names
 * may come from peers, so buckets are as many as topics and the hash mixes all of a name. One
 * thread. */
#include "topics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "list.h"

enum { FIRST_SIZE = 64 };

struct topic {
    struct topic *next; /* in its bucket */
    struct link all;    /* subscriptions */
    uint64_t hash;
    size_t len;
    char name[];
};

struct subscription {
    struct link link; /* in topic->all */
    struct topic *topic;
    struct subscription *next; /* of the same connection */
    uint64_t id;
};

static uint64_t hash_of(struct text name)
{
    uint64_t hash = 0x9e3779b97f4a7c15u ^ name.len;
    for (size_t i = 0; i < name.len; i++) {
        hash = (hash ^ (unsigned char)name.at[i]) * 0xd6e8feb86659fd93u;
        hash ^= hash >> 32;
    }
    return hash;
}

static struct topic *find(const struct topics *t, struct text name)
{
    uint64_t hash = hash_of(name);
    struct topic *topic = t->size == 0 ? NULL : t->buckets[hash & (t->size - 1)];
    while (topic != NULL && (topic->hash != hash || topic->len != name.len ||
                             memcmp(topic->name, name.at, name.len) != 0))
        topic = topic->next;
    return topic;
}

static void link_topic(struct topics *t, struct topic *topic)
{
    struct topic **bucket = &t->buckets[topic->hash & (t->size - 1)];
    topic->next = *bucket;
    *bucket = topic;
}

static int more_buckets(struct topics *t)
{
    struct topics old = *t;
    uint32_t size = old.size == 0 ? FIRST_SIZE : old.size * 2;
    struct topic **buckets = size == 0 ? NULL : calloc(size, sizeof(void *));
    if (buckets == NULL)
        return -ENOMEM;
    t->buckets = buckets;
    t->size = size;
    for (uint32_t i = 0; i < old.size; i++) {
        while (old.buckets[i] != NULL) {
            struct topic *topic = old.buckets[i];
            old.buckets[i] = topic->next;
            link_topic(t, topic);
        }
    }
    free(old.buckets);
    return 0;
}

static struct topic *make(struct topics *t, struct text name)
{
    if (t->count >= t->size && more_buckets(t) < 0)
        return NULL;
    struct topic *topic = malloc(sizeof *topic + name.len);
    if (topic == NULL)
        return NULL;
    *topic = (struct topic){.hash = hash_of(name), .len = name.len};
    memcpy(topic->name, name.at, name.len);
    list_init(&topic->all);
    link_topic(t, topic);
    t->count++;
    return topic;
}

/* Frees a topic that nobody is interested in any more. */
static void drop_if_empty(struct topics *t, struct topic *topic)
{
    if (!list_empty(&topic->all))
        return;
    struct topic **at = &t->buckets[topic->hash & (t->size - 1)];
    while (*at != topic)
        at = &(*at)->next;
    *at = topic->next;
    free(topic);
    t->count--;
}

static int room_for(struct topics *t, uint32_t index)
{
    if (index < t->of_size)
        return 0;
    size_t size = max_size(FIRST_SIZE, (size_t)t->of_size * 2);
    size = max_size(size, (size_t)index + 1);
    struct subscription **of = realloc(t->of, size * sizeof(void *));
    if (of == NULL)
        return -ENOMEM;
    memset(of + t->of_size, 0, (size - t->of_size) * sizeof(void *));
    t->of = of;
    t->of_size = (uint32_t)size;
    return 0;
}

static void end(struct topics *t, struct subscription **at)
{
    struct subscription *s = *at;
    *at = s->next;
    list_remove(&s->link);
    drop_if_empty(t, s->topic);
    free(s);
}

int topics_join(struct topics *t, struct text name, uint32_t index, uint64_t id)
{
    if (room_for(t, index) < 0)
        return -ENOMEM;
    struct topic *topic = find(t, name);
    for (struct subscription *s = t->of[index]; topic != NULL && s != NULL; s = s->next) {
        if (s->topic == topic)
            return 0;
    }
    topic = topic == NULL ? make(t, name) : topic;
    if (topic == NULL)
        return -ENOMEM;
    struct subscription *s = malloc(sizeof *s);
    if (s == NULL) {
        drop_if_empty(t, topic);
        return -ENOMEM;
    }
    *s = (struct subscription){.topic = topic, .next = t->of[index], .id = id};
    list_append(&topic->all, &s->link);
    t->of[index] = s;
    return 0;
}

void topics_quit(struct topics *t, struct text name, uint32_t index)
{
    struct topic *topic = find(t, name);
    struct subscription **at = index < t->of_size ? &t->of[index] : NULL;
    while (at != NULL && *at != NULL && (*at)->topic != topic)
        at = &(*at)->next;
    if (topic != NULL && at != NULL && *at != NULL)
        end(t, at);
}

void topics_quit_all(struct topics *t, uint32_t index)
{
    while (index < t->of_size && t->of[index] != NULL)
        end(t, &t->of[index]);
}

struct subscription *topics_first(const struct topics *t, struct text name)
{
    struct topic *topic = find(t, name);
    return topic == NULL ? NULL : container_of(topic->all.next, struct subscription, link);
}

struct subscription *topics_next(const struct subscription *s, uint64_t *id)
{
    *id = s->id;
    struct link *next = s->link.next;
    return next == &s->topic->all ? NULL : container_of(next, struct subscription, link);
}

void topics_free(struct topics *t)
{
    for (uint32_t i = 0; i < t->of_size; i++)
        topics_quit_all(t, i);
    free(t->of);
    free(t->buckets);
    *t = (struct topics){0};
}
