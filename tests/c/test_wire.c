/* test_wire.c -- queues of spans: order, holes, sharing, and who owns the bytes. */
#include "wire.h"

#include <errno.h>
#include <sys/uio.h>

#include "flat.h"
#include "oom.h"
#include "t.h"

enum { LONG = 20000 }; /* is lent, not copied */

static struct wire w;
static char body[LONG];
static const struct exchange plain;

static void put(struct queue *q, const char *text)
{
    CHECK_INT(wire_put(&w, q, text, strlen(text)), 0);
}

/* What q would send, and that its own counts agree. */
static bool holds(const struct queue *q, const char *want)
{
    struct buf text = {0};
    size_t bytes = 0;
    const struct span *last = NULL;
    for (const struct span *s = q->head; s != NULL; s = s->next) {
        bytes += s->len;
        last = s;
    }
    flatten(q, &text);
    bool same = CHECK_MEM(text.data, text.len, want, strlen(want));
    same &= CHECK_INT(q->bytes, bytes);
    same &= CHECK(q->tail == last);
    buf_free(&text);
    return same;
}

static int spans(const struct queue *q)
{
    int n = 0;
    for (const struct span *s = q->head; s != NULL; s = s->next)
        n++;
    return n;
}

static void test_neighbours_merge(void)
{
    struct queue a = {0};
    struct queue b = {0};
    put(&a, "one ");
    put(&a, "two ");
    CHECK_INT(spans(&a), 1);
    put(&b, "other");
    put(&a, "three");
    CHECK_INT(spans(&a), 2);
    CHECK(holds(&a, "one two three"));
    CHECK(holds(&b, "other"));
    wire_drop(&w, &a);
    wire_drop(&w, &b);
    CHECK(holds(&a, ""));
    wire_reset(&w);
}

static void test_room_is_claimed_by_commit(void)
{
    struct queue q = {0};
    char *room = wire_room(&w, 100);
    memcpy(room, "abc", 3);
    CHECK_INT(wire_commit(&w, &q, 3), 0);
    CHECK(wire_room(&w, 1) == room + 3);
    CHECK(holds(&q, "abc"));
    wire_drop(&w, &q);
    wire_reset(&w);
    CHECK(wire_room(&w, 1) == room);
}

/* More than a chunk; the pieces before it must not move. */
static void test_large_room(void)
{
    struct queue q = {0};
    const size_t n = 1 << 20;
    put(&q, "small");
    const char *before = q.head->data;
    char *room = wire_room(&w, n);
    memset(room, 'x', n);
    CHECK_INT(wire_commit(&w, &q, n), 0);
    put(&q, "small");
    CHECK(q.head->data == before);
    CHECK_INT(q.bytes, n + 10);
    CHECK_STR(q.tail->data, q.tail->len, "small");
    wire_drop(&w, &q);
    wire_reset(&w);
}

static void test_long_bodies_are_lent(void)
{
    struct queue q = {0};
    put(&q, "$20000\r\n");
    CHECK_INT(wire_body(&w, &q, body, LONG), 0);
    CHECK(q.tail->data == body);
    put(&q, "\r\n");
    CHECK_INT(wire_body(&w, &q, body, 3), 0);
    CHECK(q.tail->data != body);
    CHECK_INT(q.bytes, 8 + LONG + 2 + 3);
    CHECK_INT(spans(&q), 3);
    wire_drop(&w, &q);
    wire_reset(&w);
}

static void test_holes_stop_sending(void)
{
    struct queue q = {0};
    struct iovec iov[4];
    CHECK_INT(wire_gather(&q, iov, 4), 0);
    put(&q, "one");
    CHECK_INT(wire_hole(&w, &q, 7, &plain), 0);
    put(&q, "two");
    CHECK_INT(wire_hole(&w, &q, 8, &plain), 0);
    CHECK(holds(&q, "one<7>two<8>"));
    CHECK_INT(wire_gather(&q, iov, 4), 1);
    CHECK_STR(iov[0].iov_base, iov[0].iov_len, "one");
    wire_sent(&w, &q, 3);
    CHECK(holds(&q, "<7>two<8>"));
    CHECK_INT(wire_gather(&q, iov, 4), 0);
    wire_sent(&w, &q, 0);
    CHECK(holds(&q, "<7>two<8>"));
    wire_drop(&w, &q);
    wire_reset(&w);
}

static bool fill(struct queue *q, uint64_t ticket, const char *text, bool close)
{
    struct queue filling = {0};
    if (text[0] != '\0')
        put(&filling, text);
    bool found = wire_fill(&w, q, ticket, &filling, close);
    CHECK(filling.head == NULL && filling.tail == NULL && filling.bytes == 0);
    return found;
}

/* Fills each of three holes, in every place: first, between, last. */
static void check_fill(uint64_t ticket, bool close, const char *want)
{
    struct queue q = {0};
    wire_hole(&w, &q, 1, &plain);
    put(&q, "a");
    wire_hole(&w, &q, 2, &plain);
    put(&q, "b");
    wire_hole(&w, &q, 3, &plain);
    CHECK_INT(fill(&q, ticket, "new", close), ticket >= 1 && ticket <= 3);
    CHECK(holds(&q, want));
    put(&q, "end");
    wire_drop(&w, &q);
    wire_reset(&w);
}

static void test_fill(void)
{
    check_fill(1, false, "new<1>a<2>b<3>");
    check_fill(1, true, "newa<2>b<3>");
    check_fill(2, false, "<1>anew<2>b<3>");
    check_fill(2, true, "<1>anewb<3>");
    check_fill(3, false, "<1>a<2>bnew<3>");
    check_fill(3, true, "<1>a<2>bnew");
    check_fill(4, true, "<1>a<2>b<3>new");
    check_fill(0, true, "<1>a<2>b<3>new");
}

static void test_fill_with_nothing(void)
{
    struct queue q = {0};
    CHECK(!fill(&q, 1, "", true));
    CHECK(holds(&q, ""));
    wire_hole(&w, &q, 1, &plain);
    CHECK(fill(&q, 1, "", false));
    CHECK(holds(&q, "<1>"));
    CHECK(fill(&q, 1, "", true));
    CHECK(holds(&q, ""));
    put(&q, "a");
    CHECK(!fill(&q, 1, "b", true));
    CHECK(holds(&q, "ab"));
    wire_drop(&w, &q);
    wire_reset(&w);
}

/* Sent in pieces of every size, the bytes are the same. */
static void check_sent(size_t step)
{
    struct queue q = {0};
    struct queue other = {0};
    struct buf sent = {0};
    const char *words[] = {"one ", "two ", "three ", "four"};
    for (size_t i = 0; i < countof(words); i++) {
        put(&q, words[i]);
        put(&other, "-"); /* in between, so that they do not merge */
    }
    CHECK_INT(spans(&q), 4);
    while (q.bytes > 0) {
        struct iovec iov[3];
        size_t left = step;
        int n = wire_gather(&q, iov, 3);
        if (!CHECK(n > 0))
            break;
        for (int i = 0; i < n && left > 0; i++) {
            size_t part = min_size(iov[i].iov_len, left);
            buf_put(&sent, iov[i].iov_base, part);
            left -= part;
        }
        wire_sent(&w, &q, step - left);
    }
    CHECK_STR(sent.data, sent.len, "one two three four");
    CHECK(q.head == NULL && q.tail == NULL);
    buf_free(&sent);
    wire_drop(&w, &other);
    wire_reset(&w);
}

static void test_sent(void)
{
    for (size_t step = 1; step <= 19; step++)
        check_sent(step);
}

static void test_undo(void)
{
    struct queue q = {0};
    struct wire_mark empty = wire_mark(&q);
    put(&q, "gone");
    wire_hole(&w, &q, 1, &plain);
    wire_undo(&w, &q, empty);
    CHECK(holds(&q, ""));
    put(&q, "stays");
    struct wire_mark mark = wire_mark(&q);
    wire_undo(&w, &q, mark);
    CHECK(holds(&q, "stays"));
    put(&q, " merged");
    CHECK_INT(spans(&q), 1);
    wire_body(&w, &q, body, LONG);
    wire_hole(&w, &q, 1, &plain);
    wire_undo(&w, &q, mark);
    CHECK(holds(&q, "stays"));
    put(&q, "!");
    CHECK(holds(&q, "stays!"));
    wire_drop(&w, &q);
    wire_reset(&w);
}

/* After wire_keep() nothing points into the arena or the outbox any more. */
static void test_keep(void)
{
    struct queue q = {0};
    struct queue other = {0};
    char lent[LONG];
    memset(lent, 'x', LONG);
    put(&q, "a");
    put(&other, "-");
    put(&q, "b");
    wire_hole(&w, &q, 1, &plain);
    put(&q, "c");
    wire_body(&w, &q, lent, LONG);
    CHECK_INT(wire_keep(&w, &q), 0);
    CHECK_INT(spans(&q), 3);
    wire_drop(&w, &other);
    wire_reset(&w);
    memset(lent, '?', LONG);
    put(&other, "overwritten");
    CHECK_INT(wire_keep(&w, &q), 0);
    put(&q, "d");
    CHECK_INT(wire_keep(&w, &q), 0);
    wire_drop(&w, &other);
    wire_reset(&w);
    CHECK(q.head->owner != NULL);
    wire_sent(&w, &q, 2);
    CHECK_INT(fill(&q, 1, "", true), 1);
    CHECK_STR(q.head->data, 3, "cxx");
    CHECK_STR(q.head->data + LONG, 1, "x");
    CHECK_INT(q.bytes, 1 + LONG + 1);
    CHECK_STR(q.tail->data, q.tail->len, "d");
    wire_drop(&w, &q);
    CHECK_INT(wire_keep(&w, &q), 0);
    CHECK(holds(&q, ""));
}

static void test_share(void)
{
    struct queue shared = {0};
    struct queue a = {0};
    struct queue b = {0};
    put(&shared, "news");
    CHECK_INT(wire_keep(&w, &shared), 0);
    wire_reset(&w);
    put(&a, "a ");
    CHECK_INT(wire_share(&w, &a, &shared), 0);
    CHECK_INT(wire_share(&w, &b, &shared), 0);
    CHECK_INT(wire_share(&w, &b, &shared), 0);
    CHECK(a.tail->data == b.head->data);
    CHECK_INT(shared.head->owner->refs, 4);
    wire_drop(&w, &shared);
    put(&a, "!");
    CHECK(holds(&a, "a news!"));
    CHECK(holds(&b, "newsnews"));
    wire_sent(&w, &b, 2);
    CHECK(holds(&b, "wsnews"));
    wire_drop(&w, &a);
    CHECK(holds(&b, "wsnews"));
    wire_drop(&w, &b);
    wire_reset(&w);
}

/* Bytes in a blob of memory leave as others do. */
static void test_lend_memory(void)
{
    struct queue q = {0};
    struct blob *blob = wire_blob(5);
    if (!CHECK(blob != NULL))
        return;
    memcpy(blob->data, "hello", 5);
    put(&q, "(");
    CHECK_INT(wire_lend(&w, &q, blob, 1, 3), 0);
    CHECK_INT(wire_lend(&w, &q, blob, 5, 0), 0);
    put(&q, ")");
    CHECK_INT(blob->refs, 2);
    CHECK(holds(&q, "(ell)"));
    wire_unblob(blob);
    CHECK_INT(wire_keep(&w, &q), 0);
    wire_reset(&w);
    CHECK(holds(&q, "(ell)"));
    wire_drop(&w, &q);
    wire_unblob(NULL);
}

/* A file in a queue: nothing is gathered across it, and it is closed when all of it was sent. */
static void test_lend_file(void)
{
    struct queue q = {0};
    struct iovec iov[4];
    int ends[2];
    if (!CHECK_INT(pipe(ends), 0))
        return;
    struct blob *blob = wire_blob_of(ends[1]);
    put(&q, "head");
    CHECK_INT(wire_lend(&w, &q, blob, 100, 50), 0);
    CHECK_INT(wire_lend(&w, &q, blob, 0, 7), 0);
    put(&q, "tail");
    wire_unblob(blob);
    CHECK_INT(q.bytes, 4 + 50 + 7 + 4);
    CHECK_INT(wire_in_files(&q), 57);
    CHECK_INT(wire_keep(&w, &q), 0);
    wire_reset(&w);
    CHECK(wire_file(&q) == NULL);
    CHECK_INT(wire_gather(&q, iov, 4), 1);
    wire_sent(&w, &q, 4);
    CHECK_INT(wire_gather(&q, iov, 4), 0);
    wire_sent(&w, &q, 20);
    struct span *file = wire_file(&q);
    if (!CHECK(file != NULL))
        return;
    CHECK_INT(file->owner->fd, ends[1]);
    CHECK_INT(file->file.offset, 120);
    CHECK_INT(file->len, 30);
    CHECK_INT(wire_hold(&w, &q, 9), 0);
    CHECK(wire_file(&q) == NULL);
    CHECK_INT(fill(&q, 9, "!", true), 1);
    wire_sent(&w, &q, 31);
    CHECK_INT(wire_file(&q)->file.offset, 0);
    wire_sent(&w, &q, 7);
    CHECK_INT(write(ends[1], "", 1), -1); /* closed */
    CHECK(holds(&q, "tail"));
    wire_drop(&w, &q);
    CHECK_INT(wire_hold(&w, &q, 1), 0);
    CHECK(q.tail == q.head);
    wire_drop(&w, &q);
    close(ends[0]);
}

/* A turn with each kind of allocation. Returns 0 or the first error; q holds what was appended. */
static int eventful(struct wire *own, struct queue *q, struct queue *copy)
{
    char *room = wire_room(own, 1 << 20);
    int rc = room == NULL ? -ENOMEM : 0;
    for (int i = 0; rc == 0 && i < 100; i++) {
        rc = wire_hole(own, q, 1, &plain);
        if (rc == 0)
            rc = wire_put(own, q, "x", 1);
        if (rc == 0)
            rc = wire_body(own, q, body, LONG);
    }
    size_t bytes = q->bytes;
    if (rc == 0)
        rc = wire_keep(own, q);
    CHECK_INT(q->bytes, bytes);
    return rc < 0 ? rc : wire_share(own, copy, q);
}

static void test_oom(void)
{
    bool failed = true;
    for (int n = 1; failed; n++) {
        struct wire own;
        struct queue q = {0};
        struct queue copy = {0};
        wire_init(&own);
        oom_arm(n);
        int rc = eventful(&own, &q, &copy);
        failed = oom_disarm();
        CHECK_INT(rc, failed ? -ENOMEM : 0);
        CHECK(failed || n > 5);
        wire_drop(&own, &q);
        wire_drop(&own, &copy);
        wire_free(&own);
    }
}

static void test_absurd_sizes(void)
{
    CHECK(wire_room(&w, SIZE_MAX) == NULL);
    CHECK(wire_room(&w, SIZE_MAX - 8) == NULL);
}

int main(void)
{
    wire_init(&w);
    memset(body, 'x', LONG);
    test_neighbours_merge();
    test_room_is_claimed_by_commit();
    test_large_room();
    test_long_bodies_are_lent();
    test_holes_stop_sending();
    test_fill();
    test_fill_with_nothing();
    test_sent();
    test_undo();
    test_keep();
    test_share();
    test_lend_memory();
    test_lend_file();
    test_oom();
    test_absurd_sizes();
    wire_free(&w);
    return t_end();
}
