/* list.h -- an intrusive doubly linked list: the link lives in the thing that is listed. Level 0.
 *
 * A list head is a link that points at itself when empty. A link that is in no list points at
 * itself too, so unlinking twice does no harm. Nothing here allocates. */
#ifndef FL_LIST_H
#define FL_LIST_H

#include "base.h"

struct link {
    struct link *next;
    struct link *prev;
};

static inline void list_init(struct link *head)
{
    head->next = head->prev = head;
}

static inline bool list_empty(const struct link *head)
{
    return head->next == head;
}

static inline bool list_linked(const struct link *item)
{
    return item->next != item;
}

static inline void list_append(struct link *head, struct link *item)
{
    item->next = head;
    item->prev = head->prev;
    head->prev->next = item;
    head->prev = item;
}

static inline void list_remove(struct link *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}

/* Moves everything in `from` to the end of `to`; `from` is empty afterwards. */
static inline void list_move(struct link *to, struct link *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#endif
