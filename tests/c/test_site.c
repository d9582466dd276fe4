/* test_site.c -- files served by a whole loop: what clients get, in which order, and what becomes
 * of those whose file has to wait for the pool. First as the kernel allows, then so that every file
 * has to wait. On every backend. */
#include <sys/resource.h>
#include <sys/wait.h>

#include "deny.h"
#include "drive.h"
#include "oom.h"
#include "tree.h"

enum {
    FAIR = 200000, /* less than may be unsent of a connection that is read */
    LARGE = 3000000,
};

static struct drive d;
static struct tree tree;

static bool begin_with(const char *backend, int buffer, int stream)
{
    static const fl_static options = {.index = "index.html", .immutable = "*.????????.*"};
    fl_listener spec = {
        .framing = "http",
        .max_message = 1 << 20,
        .max_body = 1 << 20,
        .max_line = 8192,
        .max_head = 65536,
        .max_fields = 100,
        .stream = stream,
        .wants = FL_WANT_IDS,
    };
    if (!start(&d, backend, &usual))
        return false;
    d.sockets[1] = listen_here(buffer);
    return CHECK_INT(fl_listen(d.loop, d.sockets[1], &spec), 1) &&
           CHECK_INT(fl_mount(d.loop, 1, "/", tree_path(&tree, "site"), &options), 0) &&
           CHECK_INT(fl_mount(d.loop, 1, "/two/", tree_path(&tree, "two"), &options), 0);
}

static bool begin(const char *backend, int buffer)
{
    return begin_with(backend, buffer, 0);
}

/* -- clients -- */

static char answer[1 << 16];

/* Reads a head, ended by an empty line, to `answer`. */
static void read_head(int fd)
{
    size_t n = 0;
    answer[0] = '\0';
    while (n < sizeof answer - 1 && receive(&d, fd, answer + n, 1) == 1) {
        answer[++n] = '\0';
        if (n >= 4 && memcmp(answer + n - 4, "\r\n\r\n", 4) == 0)
            break;
    }
}

static const char *value_of(const char *name)
{
    static char value[256];
    char *at = strstr(answer, name);
    value[0] = '\0';
    if (at != NULL)
        sscanf(at + strlen(name), ": %255[^\r]", value);
    return value;
}

static void expect_status(int fd, int status)
{
    read_head(fd);
    if (!CHECK_INT(strncmp(answer, "HTTP/1.1 ", 9), 0) || !CHECK_INT(atoi(answer + 9), status))
        fprintf(stderr, "  %s\n", answer);
}

/* A request on this connection, and its status. */
static void ask(int fd, int status, const char *request)
{
    tell(fd, request);
    expect_status(fd, status);
}

static void expect_bytes(int fd, size_t from, size_t n)
{
    char *got = malloc(n);
    size_t same = 0;
    CHECK_INT(receive(&d, fd, got, n), (long long)n);
    while (same < n && got[same] == tree_byte(from + same))
        same++;
    CHECK_INT((long long)same, (long long)n);
    free(got);
}

#define GET(path) "GET " path " HTTP/1.1\r\nhost: x\r\n\r\n"

/* -- tests -- */

static void whole_files(const char *backend)
{
    if (!begin(backend, 0))
        return;
    int fd = client_of(&d, 1, 0);
    for (int i = 0; i < 2; i++) { /* the second time they are known */
        ask(fd, 200, GET("/"));
        CHECK(strcmp(value_of("content-type"), "text/html; charset=utf-8") == 0);
        expect(&d, fd, "index");
        ask(fd, 200, GET("/a.1234abcd.css?v=1"));
        CHECK(strstr(value_of("cache-control"), "immutable") != NULL);
        expect(&d, fd, "body{}");
        ask(fd, 200, GET("/two/x"));
        expect(&d, fd, "two");
        ask(fd, 200, GET("/empty"));
        ask(fd, 200, GET("/medium"));
        expect_bytes(fd, 0, 50000);
        ask(fd, 200, GET("/large"));
        CHECK_INT(atoi(value_of("content-length")), LARGE);
        expect_bytes(fd, 0, LARGE);
        ask(fd, 200, "HEAD /large HTTP/1.1\r\nhost: x\r\n\r\n");
        CHECK_INT(atoi(value_of("content-length")), LARGE);
        ask(fd, 404, GET("/missing"));
        expect(&d, fd, "Not Found");
    }
    close(fd);
    finish(&d);
}

static void refusals(const char *backend)
{
    static const struct {
        int status;
        const char *path;
    } cases[] = {
        {404, "/../secret"},   {404, "/%2e%2e/secret"}, {404, "/out"},
        {404, "/fifo"},        {404, "/.hidden"},       {404, "//"},
        {400, "/a%00"},        {400, "/%zz"},           {404, "/a%2fb"},
        {404, "/two/../x"},    {404, "/two/"},          {404, "/index.html/"},
        {404, "/two/../../x"},
    };
    char request[128], body[64];
    if (!begin(backend, 0))
        return;
    int fd = client_of(&d, 1, 0);
    for (size_t i = 0; i < countof(cases); i++) {
        snprintf(request, sizeof request, GET("%s"), cases[i].path);
        ask(fd, cases[i].status, request);
        ssize_t n = atoi(value_of("content-length"));
        CHECK_INT(receive(&d, fd, body, (size_t)n), n);
    }
    ask(fd, 301, GET("/sub?q=1"));
    CHECK(strcmp(value_of("location"), "/sub/?q=1") == 0);
    ask(fd, 301, GET("/two"));
    CHECK(strcmp(value_of("location"), "/two/") == 0);
    ask(fd, 405, "DELETE / HTTP/1.1\r\nhost: x\r\n\r\n");
    CHECK(strcmp(value_of("allow"), "GET, HEAD") == 0);
    ask(fd, 405, "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc");
    ask(fd, 200, GET("/"));
    expect(&d, fd, "index");
    ask(fd, 200, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    CHECK(strcmp(value_of("connection"), "close") == 0);
    expect(&d, fd, "index");
    expect_end(&d, fd);
    finish(&d);
}

static void ranges(const char *backend)
{
    char request[256], tag[64];
    if (!begin(backend, 0))
        return;
    int fd = client_of(&d, 1, 0);
    ask(fd, 206, "GET /large HTTP/1.1\r\nhost: x\r\nrange: bytes=1000000-2000000\r\n\r\n");
    CHECK(strcmp(value_of("content-range"), "bytes 1000000-2000000/3000000") == 0);
    expect_bytes(fd, 1000000, 1000001);
    ask(fd, 206, "GET /medium HTTP/1.1\r\nhost: x\r\nrange: bytes=-5\r\n\r\n");
    expect_bytes(fd, 49995, 5);
    ask(fd, 416, "GET /medium HTTP/1.1\r\nhost: x\r\nrange: bytes=50000-\r\n\r\n");
    CHECK(strcmp(value_of("content-range"), "bytes */50000") == 0);
    ask(fd, 206, "GET /medium HTTP/1.1\r\nhost: x\r\nrange: bytes=0-1,20000-40000,9-9\r\n\r\n");
    snprintf(tag, sizeof tag, "%s", value_of("etag"));
    long long left = atoi(value_of("content-length"));
    static const struct {
        size_t from, n;
    } parts[] = {{0, 2}, {20000, 20001}, {9, 1}};
    for (size_t i = 0; i < countof(parts); i++) {
        expect(&d, fd, "\r\n"); /* in front of the boundary */
        read_head(fd);
        left -= 2 + (long long)strlen(answer) + (long long)parts[i].n;
        CHECK(strncmp(answer, "--", 2) == 0 && strncmp(answer + 2, tag + 1, 16) == 0);
        CHECK_INT(atoi(value_of("content-range: bytes") + 0), 0);
        expect_bytes(fd, parts[i].from, parts[i].n);
    }
    snprintf(request, sizeof request, "\r\n--%.16s--\r\n", tag + 1);
    expect(&d, fd, request);
    CHECK_INT(left, (long long)strlen(request));
    snprintf(request, sizeof request,
             "GET /medium HTTP/1.1\r\nhost: x\r\nif-none-match: %s\r\n\r\n", tag);
    ask(fd, 304, request);
    CHECK(strcmp(value_of("etag"), tag) == 0);
    CHECK(strstr(answer, "content-length") == NULL);
    snprintf(request, sizeof request,
             "GET /medium HTTP/1.1\r\nhost: x\r\nrange: bytes=0-0\r\nif-range: \"%s\r\n\r\n", tag);
    ask(fd, 200, request);
    expect_bytes(fd, 0, 50000);
    ask(fd, 412, "GET /medium HTTP/1.1\r\nhost: x\r\nif-match: \"no\"\r\n\r\n");
    ask(fd, 200, GET("/"));
    expect(&d, fd, "index");
    close(fd);
    finish(&d);
}

/* Answers keep the order of requests, whoever waits for the pool and whoever does not. */
static void pipelines(const char *backend)
{
    enum { ROUNDS = 40 };
    char body[16];
    if (!begin(backend, 0))
        return;
    int fd = client_of(&d, 1, 0);
    for (int i = 0; i < ROUNDS; i++)
        tell(fd, GET("/") GET("/missing") GET("/two/x") GET("/medium"));
    for (int i = 0; i < ROUNDS; i++) {
        expect_status(fd, 200);
        expect(&d, fd, "index");
        expect_status(fd, 404);
        CHECK_INT(receive(&d, fd, body, 9), 9);
        expect_status(fd, 200);
        expect(&d, fd, "two");
        expect_status(fd, 200);
        expect_bytes(fd, 0, 50000);
    }
    close(fd);
    finish(&d);
}

static void many_ask_for_one(const char *backend)
{
    enum { CLIENTS = 30 };
    int fds[CLIENTS];
    if (!begin(backend, 0))
        return;
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client_of(&d, 1, 0);
        tell(fds[i], GET("/sub/file"));
    }
    close(fds[0]); /* who leaves is not waited for */
    for (int i = 1; i < CLIENTS; i++) {
        expect_status(fds[i], 200);
        expect(&d, fds[i], "file");
        close(fds[i]);
    }
    finish(&d);
}

/* A file that loses its end while it is sent ends this connection, and nothing else. */
static void a_file_shrinks(const char *backend)
{
    char byte;
    if (!begin(backend, 16384))
        return;
    tree_fill(&tree, "site/shrinks", LARGE);
    int fd = client_of(&d, 1, 16384);
    int other = client_of(&d, 1, 0);
    ask(fd, 200, GET("/shrinks"));
    expect_bytes(fd, 0, 100000);
    CHECK_INT(truncate(tree_path(&tree, "site/shrinks"), 150000), 0);
    size_t got = 100000;
    ssize_t n;
    while ((n = receive(&d, fd, &byte, 1)) == 1)
        got++;
    CHECK(n == 0 || n == -ECONNRESET);
    CHECK(got < LARGE);
    close(fd);
    ask(other, 200, GET("/"));
    expect(&d, other, "index");
    close(other);
    CHECK_INT(unlink(tree_path(&tree, "site/shrinks")), 0);
    finish(&d);
}

/* One that is deleted is still sent whole, to those it was promised to. */
static void a_file_vanishes(const char *backend)
{
    if (!begin(backend, 16384))
        return;
    tree_fill(&tree, "site/vanishes", LARGE);
    int fd = client_of(&d, 1, 16384);
    ask(fd, 200, GET("/vanishes"));
    CHECK_INT(unlink(tree_path(&tree, "site/vanishes")), 0);
    expect_bytes(fd, 0, LARGE);
    close(fd);
    finish(&d);
}

/* The loop ends while files are looked for and sent. */
static void ends_in_the_middle(const char *backend)
{
    if (!begin(backend, 16384))
        return;
    int slow = client_of(&d, 1, 16384);
    ask(slow, 200, GET("/large"));
    int fd = client_of(&d, 1, 0);
    tell(fd, GET("/sub/file"));
    turn(&d, 0);
    close(slow);
    close(fd);
    fl_free(d.loop);
    close(d.sockets[0]);
    close(d.sockets[1]);
}

/* Without descriptors those are given up that are kept for nobody. */
static void runs_out_of_descriptors(const char *backend)
{
    enum { MOST = 64 };
    int taken[MOST], n = 0;
    struct rlimit before, few;
    if (!begin(backend, 0))
        return;
    int fd = client_of(&d, 1, 0);
    ask(fd, 200, GET("/large"));
    expect_bytes(fd, 0, LARGE);
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = MOST;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &few), 0);
    while (n < MOST && (taken[n] = dup(fd)) >= 0)
        n++;
    ask(fd, 503, GET("/fair"));
    expect(&d, fd, "Service Unavailable");
    ask(fd, 200, GET("/fair")); /* the descriptor of the other one */
    expect_bytes(fd, 0, FAIR);
    while (n > 0)
        close(taken[--n]);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &before), 0);
    close(fd);
    finish(&d);
}

/* The threads of the pool are not in the child, whatever they were about. */
static void forgets_in_a_child(const char *backend)
{
    int status = -1;
    if (!begin(backend, 0))
        return;
    int fd = client_of(&d, 1, 0);
    ask(fd, 404, GET("/missing"));
    expect(&d, fd, "Not Found");
    tell(fd, GET("/sub/file"));
    pid_t child = fork();
    if (child == 0) {
        fl_forget(d.loop);
        _exit(0);
    }
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    expect_status(fd, 200);
    expect(&d, fd, "file");
    close(fd);
    finish(&d);
}

/* -- what handlers ask for -- */

/* (path, head, headers) for the message of this event; the ticket of a hole, or 0. */
static void say_file(const struct event *e, int64_t ticket, const char *path, const char *head)
{
    item(&d);
    if (ticket != 0) {
        say_op(&d, FL_FILL, 3);
        say_int(&d, e->id);
        say_int(&d, ticket);
    }
    say_op(&d, FL_FILE, 3);
    say_bytes(&d, path, strlen(path));
    say_bytes(&d, head, strlen(head));
    say_list(&d, 1);
    say_list(&d, 2);
    say_bytes(&d, "Content-Type", 12);
    say_bytes(&d, "x/y", 3);
}

static void handlers_reply_with_files(const char *backend)
{
    static const char ranged[] = "GET / HTTP/1.1\r\nrange: bytes=2-3\r\n";
    if (!begin(backend, 0))
        return;
    int fd = client_of(&d, 1, 0);
    for (int ticket = 0; ticket < 3; ticket++) { /* at once, and later */
        tell(fd, "GET * HTTP/1.1\r\nhost: x\r\n\r\n");
        expect_status(fd, 400);
        close(fd);
        fd = client_of(&d, 1, 0);
        tell(fd, "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n");
        struct event *e = await(&d, FL_MESSAGES);
        if (!CHECK(e != NULL))
            return;
        struct event kept = *e;
        if (ticket > 0) {
            op1(&d, FL_LATER, ticket);
            CHECK_INT(flush(&d), 0);
        }
        say_file(&kept, ticket, tree_path(&tree, ticket == 2 ? "nosuch" : "secret"), ranged);
        d.count = 0;
        expect_status(fd, ticket == 2 ? 404 : 206);
        if (ticket == 2) {
            expect(&d, fd, "Not Found");
            continue;
        }
        CHECK(strcmp(value_of("content-range"), "bytes 2-3/6") == 0);
        CHECK(strcmp(value_of("Content-Type"), "x/y") == 0);
        CHECK(strstr(answer, "octet-stream") == NULL);
        expect(&d, fd, "cr");
    }
    close(fd);
    finish(&d);
}

/* Who may go on sending is told so behind the file that is under way, not within it. */
static void goes_on_behind_a_file(const char *backend)
{
    if (!begin_with(backend, 16384, 1))
        return;
    int fd = client_of(&d, 1, 16384);
    ask(fd, 200, GET("/fair"));
    expect_bytes(fd, 0, FAIR); /* now it is known where it is */
    tell(fd, GET("/fair") "OPTIONS * HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n"
                          "expect: 100-continue\r\n\r\n");
    struct event *e = await(&d, FL_MESSAGES);
    int64_t id = e == NULL ? 0 : e->id;
    op1(&d, FL_LATER, 1);
    op1(&d, FL_MORE, id);
    expect_status(fd, 200);
    expect_bytes(fd, 0, FAIR);
    expect_status(fd, 100);
    op_text(&d, FL_FILL, id, 1, "done");
    expect_status(fd, 200);
    expect(&d, fd, "done");
    expect_end(&d, fd);
    finish(&d);
}

static void say_part(const char *path, int64_t offset, int64_t count)
{
    say_op(&d, FL_PART, 3);
    say_bytes(&d, path, strlen(path));
    say_int(&d, offset);
    say_int(&d, count);
}

static void parts_for_any_protocol(const char *backend)
{
    int64_t id;
    if (!begin(backend, 0))
        return;
    int fd = join(&d, &id);
    tell(fd, "a\nb\n");
    await(&d, FL_MESSAGES);
    d.count = 0;
    item(&d);
    say_part(tree_path(&tree, "secret"), 2, 3);
    reply(&d, "B");
    item(&d);
    say_op(&d, FL_SEND, 3);
    say_int(&d, id);
    say_int(&d, 0);
    say_part(tree_path(&tree, "site/large"), 5, -1);
    op_text(&d, FL_SEND, id, 0, "end");
    expect(&d, fd,
           "cre"
           "B\n");
    expect_bytes(fd, 5, LARGE - 5);
    expect(&d, fd, "end\n");
    op_text(&d, FL_SEND, id, 0, "before");
    item(&d);
    say_op(&d, FL_SEND, 3);
    say_int(&d, id);
    say_int(&d, 0);
    say_part(tree_path(&tree, "nosuch"), 0, -1);
    expect(&d, fd, "before\n");
    expect_end(&d, fd); /* there is nothing that could stand for it */
    struct event *e = await(&d, FL_CLOSED);
    CHECK(e != NULL && e->value == -ENOENT);
    finish(&d);
}

/* A file that has become shorter than what was announced ends the connection: what came next would
 * be taken for the rest of it. */
static void parts_of_files_that_shrank(const char *backend)
{
    if (!begin(backend, 0))
        return;
    int fd = client_of(&d, 1, 0);
    tell(fd, "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n");
    struct event *e = await(&d, FL_MESSAGES);
    int64_t id = e == NULL ? 0 : e->id;
    op1(&d, FL_LATER, 1);
    op_value(&d, FL_SEND, id, 1);
    say_op(&d, FL_HTTP_START, 2);
    say_int(&d, 200);
    say_list(&d, 0);
    op_value(&d, FL_SEND, id, 1);
    say_part(tree_path(&tree, "secret"), 0, 10);
    op_value(&d, FL_FILL, id, 1);
    say_op(&d, FL_HTTP_END, 0);
    expect_status(fd, 200);
    expect(&d, fd, "a\r\nsecret");
    expect_end(&d, fd);
    finish(&d);
}

/* One that cannot be opened, behind a piece: no last chunk follows, and no orderly close where that
 * would end the body. */
static void parts_that_cannot_be_had(const char *backend)
{
    static const char *const requests[] = {"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
                                           "OPTIONS * HTTP/1.0\r\n\r\n"};
    for (size_t i = 0; i < 2 * countof(requests); i++) {
        bool old = i % 2 == 1;
        if (!begin(backend, 0))
            return;
        int fd = client_of(&d, 1, 0);
        tell(fd, requests[old]);
        struct event *e = await(&d, FL_MESSAGES);
        int64_t id = e == NULL ? 0 : e->id;
        d.count = 0;
        op1(&d, FL_LATER, 1);
        op_value(&d, FL_SEND, id, 1);
        say_start(&d, 200, NULL, NULL);
        op_value(&d, FL_SEND, id, 1);
        say_bytes(&d, "piece", 5);
        CHECK_INT(flush(&d), 0);
        expect_status(fd, 200);
        expect(&d, fd, old ? "piece" : "5\r\npiece\r\n");
        op_value(&d, FL_SEND, id, 1);
        say_part(i < 2 ? tree_path(&tree, "nosuch") : tree_path(&tree, "secret"), 0,
                 i < 2 ? 3 : -3);
        op_value(&d, FL_FILL, id, 1);
        say_op(&d, FL_HTTP_END, 0);
        ssize_t n = receive(&d, fd, answer, sizeof answer); /* maybe the head of a chunk */
        CHECK(old ? n == -ECONNRESET : n == 0 || (n == 3 && memcmp(answer, "3\r\n", 3) == 0));
        close(fd);
        finish(&d);
    }
}

static struct event *read_file(const char *path, int64_t offset, int64_t count)
{
    item(&d);
    say_op(&d, FL_READ, 4);
    say_int(&d, 7);
    say_bytes(&d, path, strlen(path));
    say_int(&d, offset);
    say_int(&d, count);
    struct event *e = await(&d, FL_FILES);
    CHECK(e != NULL && e->id == 7);
    return e;
}

static void handlers_read_files(const char *backend)
{
    if (!begin(backend, 0))
        return;
    struct event *e = read_file(tree_path(&tree, "secret"), 0, -1);
    CHECK_STR(e->text, e->len, "secret");
    e = read_file(tree_path(&tree, "secret"), 1, 2);
    CHECK_STR(e->text, e->len, "ec");
    e = read_file(tree_path(&tree, "secret"), 100, 2);
    CHECK_STR(e->text, e->len, "");
    CHECK_INT(e->value, 0);
    e = read_file(tree_path(&tree, "site/large"), 1000000, -1); /* more than at once */
    CHECK_INT(e->text[0], tree_byte(1000000));
    CHECK_INT(e->len, TEXT);
    e = read_file(tree_path(&tree, "site/empty"), 0, -1);
    CHECK_STR(e->text, e->len, "");
    CHECK_INT(e->value, 0);
#ifdef __linux__
    e = read_file("/proc/self/stat", 0, 1000000); /* has no size, but bytes */
    CHECK(e->len > 0);
#endif
    CHECK_INT(read_file(tree_path(&tree, "nosuch"), 0, -1)->value, -ENOENT);
    CHECK_INT(read_file(tree_path(&tree, "site"), 0, -1)->value, -EISDIR);
    CHECK_INT(read_file(tree_path(&tree, "site/fifo"), 0, -1)->value, -ESPIPE);
    CHECK_INT(read_file(tree_path(&tree, "secret"), -1, -1)->value, -EINVAL);
    CHECK_INT(read_file("", 0, -1)->value, -ENOENT);
    finish(&d);
}

static void mounts_that_make_no_sense(const char *backend)
{
    static const fl_static plain, bad_index = {.index = "a/b"}, bad_cache = {.cache_control = "\n"};
    const char *site = tree_path(&tree, "site");
    if (!begin(backend, 0))
        return;
    CHECK_INT(fl_mount(d.loop, 0, "/", site, &plain), -EINVAL); /* lines */
    CHECK_INT(fl_mount(d.loop, 9, "/", site, &plain), -EINVAL);
    CHECK_INT(fl_mount(d.loop, 1, "", site, &plain), -EINVAL);
    CHECK_INT(fl_mount(d.loop, 1, "x", site, &plain), -EINVAL);
    CHECK_INT(fl_mount(d.loop, 1, "/x", site, &bad_index), -EINVAL);
    CHECK_INT(fl_mount(d.loop, 1, "/x", site, &bad_cache), -EINVAL);
    CHECK_INT(fl_mount(d.loop, 1, "/x", tree_path(&tree, "nosuch"), &plain), -ENOENT);
    CHECK_INT(fl_mount(d.loop, 1, "/x", tree_path(&tree, "secret"), &plain), -ENOTDIR);
    finish(&d);
}

/* What clients and handlers may ask for, while any allocation may fail: nobody is promised an
 * answer, only that the loop goes on, closes all and loses no memory. */
static void converse(const char *backend)
{
    static const char *const requests[] = {
        GET("/") GET("/medium") GET("/sub"),
        "GET /medium HTTP/1.1\r\nhost: x\r\nrange: bytes=0-1,5-6,9-\r\n\r\n" GET("/missing"),
        GET("/large"),
    };
    static const fl_static options = {.index = "index.html", .listing = 1, .cache_control = "no"};
    fl_config config = usual;
    fl_listener spec = {.framing = "http", .max_message = 1 << 20, .max_body = 1 << 20};
    int error = 0, fds[countof(requests)];
    spec.max_line = spec.max_head = 8192;
    spec.max_fields = 100;
    config.backend = backend;
    d.loop = fl_open(&config, &error);
    if (d.loop == NULL) {
        CHECK_INT(error, -ENOMEM);
        return;
    }
    if (fl_listen(d.loop, d.sockets[0], &spec) == 0 &&
        fl_mount(d.loop, 0, "/", tree_path(&tree, "site"), &options) == 0) {
        for (size_t i = 0; i < countof(requests); i++) {
            fds[i] = client_of(&d, 0, 16384);
            tell(fds[i], requests[i]);
        }
        for (int i = 0; i < 4; i++) {
            item(&d);
            say_op(&d, FL_READ, 4);
            say_int(&d, i);
            say_bytes(&d, tree_path(&tree, "secret"), strlen(tree_path(&tree, "secret")));
            say_int(&d, 0);
            say_int(&d, 10);
            turn(&d, 1);
        }
        for (size_t i = 0; i < countof(requests); i++)
            close(fds[i]);
        fl_drain(d.loop);
        for (time_t begun = 0; connections(&d) > 0 && CHECK(in_time(&begun));)
            turn(&d, 10);
    }
    fl_free(d.loop);
}

static void survives_without_memory(const char *backend)
{
    d = (struct drive){.sockets = {listen_here(16384), -1}};
    for (int n = 1; oom_arm(n), converse(backend), oom_disarm(); n++)
        d.items = 0;
    close(d.sockets[0]);
}

static void make(void)
{
    tree_make(&tree);
    tree_directory(&tree, "site");
    tree_directory(&tree, "two");
    tree_directory(&tree, "site/sub");
    tree_text(&tree, "secret", "secret");
    tree_text(&tree, "site/index.html", "index");
    tree_text(&tree, "site/a.1234abcd.css", "body{}");
    tree_text(&tree, "site/empty", "");
    tree_text(&tree, "site/.hidden", "hidden");
    tree_text(&tree, "site/sub/file", "file");
    tree_text(&tree, "two/x", "two");
    tree_fill(&tree, "site/medium", 50000);
    tree_fill(&tree, "site/fair", FAIR);
    tree_fill(&tree, "site/large", LARGE);
    tree_link(&tree, "site/out", "../secret");
    CHECK_INT(mkfifo(tree_path(&tree, "site/fifo"), 0644), 0);
}

static void all(void)
{
    ON_EACH_BACKEND(whole_files);
    ON_EACH_BACKEND(refusals);
    ON_EACH_BACKEND(ranges);
    ON_EACH_BACKEND(pipelines);
    ON_EACH_BACKEND(many_ask_for_one);
    ON_EACH_BACKEND(a_file_shrinks);
    ON_EACH_BACKEND(a_file_vanishes);
    ON_EACH_BACKEND(ends_in_the_middle);
    ON_EACH_BACKEND(runs_out_of_descriptors);
    ON_EACH_BACKEND(forgets_in_a_child);
    ON_EACH_BACKEND(handlers_reply_with_files);
    ON_EACH_BACKEND(goes_on_behind_a_file);
    ON_EACH_BACKEND(parts_for_any_protocol);
    ON_EACH_BACKEND(parts_of_files_that_shrank);
    ON_EACH_BACKEND(parts_that_cannot_be_had);
    ON_EACH_BACKEND(handlers_read_files);
    ON_EACH_BACKEND(mounts_that_make_no_sense);
}

int main(void)
{
    make();
    all();
    ON_EACH_BACKEND(survives_without_memory);
    if (deny_shortcuts())
        all();
    tree_remove(&tree);
    return t_end();
}
