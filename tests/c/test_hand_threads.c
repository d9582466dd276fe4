/* test_hand_threads.c -- a loop that accepts, and a thread for each connection: the hand-over, the
 * way back, and counters that are read meanwhile. Also run under the thread sanitizer. */
#include <pthread.h>
#include <stdatomic.h>

#include "drive.h"

enum { CREW = 6, ROUNDS = 4 };

static struct drive d;

struct member {
    struct drive own; /* its loop, which nobody else touches but for fl_wake() */
    pthread_t thread;
    fl_loop *acceptor;
    int64_t id;
    int client, fd;
    fl_stats told;
    atomic_bool stops, left;
};

static struct member crew[CREW];

static void *serve_one(void *argument)
{
    struct member *m = argument;
    CHECK_INT(fl_adopt(m->own.loop, m->fd, 0, 0), 0);
    while (!atomic_load(&m->stops) && !fl_over(m->own.loop)) {
        if (turn(&m->own, -1) > 0)
            echo(&m->own);
    }
    fl_free(m->own.loop);
    atomic_store(&m->left, true);
    fl_wake(m->acceptor);
    return NULL;
}

static void begin(struct member *m)
{
    fl_config config = usual;
    fl_listener spec = {.framing = "line", .max_message = 1 << 20, .wants = FL_WANT_CLOSED};
    int error = 0;
    *m = (struct member){.own = {.sockets = {-1, -1, -1}}, .acceptor = d.loop};
    config.backend = "block";
    config.role = FL_ROLE_ONE;
    m->own.loop = fl_open(&config, &error);
    if (!CHECK(m->own.loop != NULL))
        abort();
    CHECK_INT(fl_listen(m->own.loop, -1, &spec), 0);
    fl_tell_stats(m->own.loop, &m->told);
    m->client = join(&d, &m->id);
    m->fd = fl_hand(d.loop, (uint64_t)m->id);
    CHECK_INT(pthread_create(&m->thread, NULL, serve_one, m), 0);
}

/* What is asked blocks: another thread answers. */
static void ask(struct member *m, const char *line)
{
    char got[64];
    size_t n = strlen(line);
    tell(m->client, line);
    CHECK_INT(recv(m->client, got, n, MSG_WAITALL), (long long)n);
    CHECK(memcmp(got, line, n) == 0);
}

/* Some end because their peer goes, some because they are told to. */
static void end(struct member *m, bool stop)
{
    if (stop) {
        atomic_store(&m->stops, true);
        fl_wake(m->own.loop);
    } else {
        close(m->client);
    }
    while (!atomic_load(&m->left))
        CHECK(turn(&d, -1) >= 0);
    CHECK_INT(pthread_join(m->thread, NULL), 0);
    if (stop)
        close(m->client);
    fl_left(d.loop, (uint64_t)m->id);
}

static void serves_each_in_a_thread(const char *backend)
{
    fl_config config = usual;
    config.role = FL_ROLE_ACCEPT;
    if (!start(&d, backend, &config))
        return;
    for (int i = 0; i < CREW; i++)
        begin(&crew[i]);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CREW; i++)
            ask(&crew[i], "hello\n");
        CHECK(turn(&d, 0) >= 0);
    }
    for (int i = 0; i < CREW; i++) /* what was answered was counted before */
        CHECK(__atomic_load_n(&crew[i].told.messages, __ATOMIC_RELAXED) >= ROUNDS - 1);
    CHECK_INT(connections(&d), CREW);
    for (int i = 0; i < CREW; i++)
        end(&crew[i], i % 2 == 0);
    finish(&d);
}

int main(void)
{
    ON_EACH_BACKEND(serves_each_in_a_thread);
    return t_end();
}
