/* test_peers.c -- counting connections by address. */
#include "peers.h"

#include <errno.h>
#include <string.h>

#include "oom.h"
#include "t.h"

static struct peers p;

static const unsigned char *address(uint32_t n)
{
    static unsigned char a[PEERS_ADDRESS];
    memset(a, 0, sizeof a);
    memcpy(a + 12, &n, sizeof n);
    return a;
}

static void test_limit(void)
{
    int64_t place = peers_enter(&p, address(1), 2);
    CHECK(place > 0);
    CHECK_INT(peers_enter(&p, address(1), 2), place);
    CHECK_INT(peers_enter(&p, address(1), 2), 0);
    CHECK(peers_enter(&p, address(2), 2) != place);
    peers_leave(&p, (uint32_t)place);
    CHECK_INT(peers_enter(&p, address(1), 2), place);
    peers_free(&p);
}

/* Places stay where they are while the table grows, and come back when they are left. */
static void test_many(void)
{
    enum { MANY = 5000 };
    static int64_t places[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        places[i] = peers_enter(&p, address(i), 3);
        CHECK(places[i] > 0);
    }
    for (uint32_t i = 0; i < MANY; i++)
        CHECK_INT(peers_enter(&p, address(i), 3), places[i]);
    uint32_t size = p.size;
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < MANY; i++)
            peers_leave(&p, (uint32_t)places[i]);
    }
    for (uint32_t i = 0; i < MANY; i++)
        CHECK(peers_enter(&p, address(MANY + i), 1) > 0);
    CHECK_INT(p.size, size);
    peers_free(&p);
}

static void test_oom(void)
{
    int64_t place;
    int n = 1;
    for (; oom_arm(n), place = peers_enter(&p, address(1), 1), oom_disarm(); n++)
        CHECK_INT(place, -ENOMEM);
    CHECK_INT(n, 3);
    CHECK(place > 0);
    peers_free(&p);
}

int main(void)
{
    test_limit();
    test_many();
    test_oom();
    return t_end();
}
