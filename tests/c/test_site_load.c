/* disk.c, site_load.c, site_list.c and site_cache.c: what a path leads to, where it does not lead,
 * and what is kept. First with openat2(), then without. */
#include <errno.h>
#include <sys/wait.h>

#include "deny.h"
#include "site_list.h"
#include "site_mount.h"
#include "t.h"
#include "tree.h"

static struct tree tree;
static struct site_rules rules;
static int root;

static int load(const char *raw, uint8_t codings, struct site_file *out)
{
    struct site_path path;
    CHECK_INT(site_path_decode((struct text){raw, strlen(raw)}, rules.hidden, &path), 0);
    return site_load(root, &rules, &path, codings, false, out);
}

static void expect_body(const char *raw, uint8_t codings, const char *want)
{
    struct site_file f;
    if (!CHECK_INT(load(raw, codings, &f), 0)) {
        fprintf(stderr, "  %s\n", raw);
        return;
    }
    CHECK_INT(f.kind, SITE_FILE);
    CHECK_MEM(f.body->data, f.size, want, strlen(want));
    wire_unblob(f.body);
}

static void expect_error(const char *raw, int want)
{
    struct site_file f;
    if (!CHECK_INT(load(raw, 0, &f), want))
        fprintf(stderr, "  %s\n", raw);
}

static void make(void)
{
    tree_make(&tree);
    tree_directory(&tree, "site");
    tree_directory(&tree, "site/sub");
    tree_directory(&tree, "site/bare");
    tree_text(&tree, "secret", "secret");
    tree_text(&tree, "site/index.html", "index");
    tree_text(&tree, "site/sub/index.html", "sub index");
    tree_text(&tree, "site/sub/file.txt", "file");
    tree_text(&tree, "site/empty", "");
    tree_text(&tree, "site/app.js", "plain");
    tree_text(&tree, "site/app.js.gz", "gzip");
    tree_text(&tree, "site/app.js.br", "brotli");
    tree_directory(&tree, "site/app.js.zst");
    tree_fill(&tree, "site/large", SITE_SMALL + 1);
    CHECK_INT(mkfifo(tree_path(&tree, "site/fifo"), 0644), 0);
    tree_link(&tree, "site/out", "../secret");
    tree_link(&tree, "site/far", "/etc/passwd");
    tree_link(&tree, "site/up", "..");
    tree_link(&tree, "site/nowhere", "missing");
    tree_link(&tree, "site/self", "self");
    tree_link(&tree, "site/in", "sub/file.txt");
    tree_link(&tree, "site/magic", "/proc/self/root");
    rules = (struct site_rules){.index = "index.html"};
    root = disk_root(tree_path(&tree, "site"));
    CHECK(root >= 0);
}

static void files_below_the_root(void)
{
    struct site_file f;
    expect_body("/", 0, "index");
    expect_body("/index.html", 0, "index");
    expect_body("/sub/", 0, "sub index");
    expect_body("/sub/file.txt", 0, "file");
    expect_body("/empty", 0, "");
    if (CHECK_INT(load("/sub", 0, &f), 0))
        CHECK_INT(f.kind, SITE_DIRECTORY);
    if (CHECK_INT(load("/large", 0, &f), 0)) {
        char bytes[2];
        CHECK_INT(f.size, SITE_SMALL + 1);
        CHECK(f.body->fd >= 0);
        CHECK_INT(disk_read(f.body->fd, bytes, 2, SITE_SMALL, false), 1);
        CHECK_INT(bytes[0], tree_byte(SITE_SMALL));
        CHECK_INT(fcntl(f.body->fd, F_GETFD), FD_CLOEXEC);
        wire_unblob(f.body);
    }
}

static void nothing_else(void)
{
    static const char *const names[] = {
        "/missing", "/missing/", "/out",       "/far",         "/nowhere",    "/self",
        "/fifo",    "/bare/",    "/up/secret", "/index.html/", "/empty/more", "/magic/etc/passwd",
        "/up/",     "/app.js/x",
    };
    for (size_t i = 0; i < countof(names); i++)
        expect_error(names[i], -ENOENT);
}

static void codings(void)
{
    struct site_file f;
    struct site_request r;
    rules.precompressed = true;
    static const char head[] = "GET / HTTP/1.1\r\naccept-encoding: gzip, br;q=0.9, zstd\r\n";
    site_request_read(&r, (struct text){head, sizeof head - 1});
    expect_body("/app.js", 0, "plain");
    expect_body("/app.js", SITE_BROTLI, "brotli");
    expect_body("/app.js", SITE_GZIP, "gzip");
    expect_body("/app.js", SITE_ZSTD, "plain"); /* that one is a directory */
    expect_body("/app.js", SITE_ZSTD | SITE_GZIP << 2, "gzip");
    expect_body("/app.js", r.codings, "gzip");
    if (CHECK_INT(load("/app.js", SITE_GZIP, &f), 0)) {
        CHECK_INT(f.coding, SITE_GZIP);
        CHECK(f.varies);
        CHECK(strcmp(f.type, "text/javascript; charset=utf-8") == 0);
        wire_unblob(f.body);
    }
    if (CHECK_INT(load("/index.html", SITE_GZIP, &f), 0)) {
        CHECK(!f.varies);
        wire_unblob(f.body);
    }
    rules.precompressed = false;
    expect_body("/app.js", SITE_GZIP, "plain");
}

static void tags_tell_versions_apart(void)
{
    struct site_file a, b, c;
    if (!CHECK_INT(load("/sub/file.txt", 0, &a), 0) || !CHECK_INT(load("/sub/file.txt", 0, &b), 0))
        return;
    CHECK_MEM(a.etag, SITE_ETAG, b.etag, SITE_ETAG);
    CHECK(a.etag[0] == '"' && a.etag[SITE_ETAG - 1] == '"');
    tree_text(&tree, "site/other", "file");
    struct timespec times[2] = {{a.modified, 1}, {a.modified, 1}};
    CHECK_INT(utimensat(AT_FDCWD, tree_path(&tree, "site/sub/file.txt"), times, 0), 0);
    if (CHECK_INT(load("/sub/file.txt", 0, &c), 0)) {
        CHECK_INT(c.modified, a.modified);
        CHECK(memcmp(a.etag, c.etag, SITE_ETAG) != 0);
        wire_unblob(c.body);
    }
    if (CHECK_INT(load("/other", 0, &c), 0)) {
        CHECK(memcmp(a.etag, c.etag, SITE_ETAG) != 0);
        wire_unblob(c.body);
    }
    CHECK_INT(unlink(tree_path(&tree, "site/other")), 0);
    wire_unblob(a.body);
    wire_unblob(b.body);
}

static bool holds(const struct buf *page, const char *text)
{
    return memmem(page->data, page->len, text, strlen(text)) != NULL;
}

static void listings(void)
{
    struct buf page = {0};
    tree_directory(&tree, "site/list");
    tree_text(&tree, "site/list/a<b>&'\".txt", "12345");
    tree_text(&tree, "site/list/.hidden", "");
    tree_fill(&tree, "site/list/big", 123456);
    tree_directory(&tree, "site/list/z");
    tree_link(&tree, "site/list/out", "../../secret");
    CHECK_INT(mkfifo(tree_path(&tree, "site/list/fifo"), 0644), 0);
    int fd = disk_open(root, "list", false);
    CHECK_INT(site_list(root, fd, "li<st", false, &page), 0);
    CHECK(holds(&page, "<title>/li&lt;st</title>"));
    CHECK(holds(&page,
                "<a href=\"./a%3Cb%3E%26%27%22.txt\">a&lt;b&gt;&amp;&#39;&quot;.txt</a><td>5 B"));
    CHECK(holds(&page, "<a href=\"./z/\">z/</a>"));
    CHECK(holds(&page, ">big</a><td>123 kB<td>"));
    CHECK(holds(&page, "<a href=\"../\">"));
    CHECK(!holds(&page, "hidden") && !holds(&page, "out") && !holds(&page, "fifo"));
    CHECK(!holds(&page, "more entries"));
    page.len = 0;
    CHECK_INT(site_list(root, fd, "", true, &page), 0);
    CHECK(holds(&page, ">.hidden</a>"));
    CHECK(!holds(&page, "<a href=\"../\">"));
    close(fd);
    buf_free(&page);
    struct site_file f;
    expect_error("/list/", -ENOENT);
    rules.listing = true;
    if (CHECK_INT(load("/list/", 0, &f), 0)) {
        CHECK_INT(f.kind, SITE_LISTING);
        wire_unblob(f.body);
    }
    expect_body("/sub/", 0, "sub index");
    rules.listing = false;
}

/* -- the cache -- */

static struct site_entry *keep(struct site_cache *cache, const char *raw, uint64_t now)
{
    struct site_path path;
    struct site_file f;
    CHECK_INT(site_path_decode((struct text){raw, strlen(raw)}, false, &path), 0);
    if (!CHECK_INT(site_load(root, &rules, &path, 0, false, &f), 0))
        return NULL;
    return site_cache_keep(cache, &path, site_entry_new(&rules, &path, 0, &f), now);
}

static struct site_entry *find(struct site_cache *cache, const char *raw)
{
    struct site_path path;
    CHECK_INT(site_path_decode((struct text){raw, strlen(raw)}, false, &path), 0);
    return site_cache_find(cache, &rules, &path, 0);
}

static void keeps_what_was_asked_for(void)
{
    struct site_cache cache;
    site_cache_init(&cache, 1 << 20);
    CHECK(find(&cache, "/index.html") == NULL);
    struct site_entry *e = keep(&cache, "/index.html", 5);
    CHECK(find(&cache, "/index.html") == e);
    CHECK(find(&cache, "/index.htm") == NULL);
    CHECK(find(&cache, "/index.html/") == NULL);
    struct text type = site_entry_part(e, SITE_TYPE);
    CHECK_STR(type.at, type.len, "content-type: text/html; charset=utf-8\r\n");
    struct text length = site_entry_part(e, SITE_LENGTH);
    CHECK_STR(length.at, length.len, "content-length: 5\r\n");
    CHECK(keep(&cache, "/index.html", 9) == e); /* it did not change */
    CHECK_INT(e->checked_us, 9);
    tree_text(&tree, "site/index.html", "changed");
    e = keep(&cache, "/index.html", 10);
    CHECK_MEM(e->file.body->data, e->file.size, "changed", 7);
    CHECK(find(&cache, "/index.html") == e);
    tree_text(&tree, "site/index.html", "index");
    site_cache_forget(&cache, e);
    CHECK(find(&cache, "/index.html") == NULL);
    CHECK_INT(cache.memory.used, 0);
    site_cache_free(&cache);
}

static void forgets_who_was_not_asked_for_longest(void)
{
    struct site_cache cache;
    char name[32];
    site_cache_init(&cache, 10000);
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "site/%d", i);
        tree_fill(&tree, name, 2500);
    }
    keep(&cache, "/0", 0);
    keep(&cache, "/1", 0);
    keep(&cache, "/2", 0);
    CHECK(find(&cache, "/0") != NULL);
    keep(&cache, "/3", 0);
    CHECK(find(&cache, "/1") == NULL);
    CHECK(find(&cache, "/0") != NULL && find(&cache, "/2") != NULL && find(&cache, "/3") != NULL);
    CHECK(cache.memory.used <= cache.memory.most);
    tree_fill(&tree, "site/4", 20000); /* more than all there may be */
    struct site_entry *e = keep(&cache, "/4", 0);
    CHECK(find(&cache, "/4") == NULL && find(&cache, "/3") != NULL);
    site_entry_done(e);
    cache.open.most = 1;
    struct site_entry *large = keep(&cache, "/large", 0);
    CHECK(find(&cache, "/large") == large && cache.open.used == 1);
    struct blob *body = large->file.body;
    body->refs++; /* as if it were being sent */
    tree_fill(&tree, "site/4", SITE_SMALL + 2);
    keep(&cache, "/4", 0);
    CHECK(find(&cache, "/large") == NULL && find(&cache, "/4") != NULL && cache.open.used == 1);
    CHECK(fcntl(body->fd, F_GETFD) >= 0);
    wire_unblob(body);
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "site/%d", i);
        CHECK_INT(unlink(tree_path(&tree, name)), 0);
    }
    site_cache_free(&cache);
}

static void answers_at_once_or_not_at_all(void)
{
    struct site_path path;
    struct site_file f;
    char bytes[8];
    CHECK_INT(site_path_decode((struct text){"/index.html", 11}, false, &path), 0);
    int rc = site_load(root, &rules, &path, 0, true, &f);
    CHECK(rc == 0 || rc == -EAGAIN);
    if (rc == 0)
        wire_unblob(f.body);
    int fd = disk_open(root, "index.html", false);
    ssize_t n = disk_read(fd, bytes, 8, 0, true);
    CHECK(n == 5 || n == -EAGAIN);
    CHECK_INT(disk_read(fd, bytes, 8, 0, false), 5);
    CHECK_INT(disk_read(fd, bytes, 8, 100, false), 0);
    close(fd);
    CHECK_INT(disk_root(tree_path(&tree, "site/index.html")), -ENOTDIR);
    CHECK_INT(disk_root(tree_path(&tree, "missing")), -ENOENT);
    fd = disk_open(DISK_ANYWHERE, tree_path(&tree, "site/out"), false);
    CHECK(fd >= 0); /* who may name any file may name this */
    close(fd);
}

static bool leads_to(const struct site_mount *m, const char *name)
{
    int fd = disk_open(site_mount_root(m), name, false);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* What site_mount_fresh() asks for when it cannot tell without waiting. */
static void look_again(struct site_mount *m, uint64_t now_us)
{
    if (!site_mount_fresh(m, now_us))
        site_mount_adopt(m, disk_root(m->directory), now_us);
}

static void directories_that_are_replaced(void)
{
    static const fl_static options = {.index = "index.html"};
    struct site_mount *all_mounts = NULL;
    char one[512], two[512];
    tree_directory(&tree, "one");
    tree_text(&tree, "one/old", "");
    tree_directory(&tree, "two");
    tree_text(&tree, "two/new", "");
    snprintf(one, sizeof one, "%s", tree_path(&tree, "one"));
    snprintf(two, sizeof two, "%s", tree_path(&tree, "two"));
    CHECK_INT(site_mount_add(&all_mounts, 0, "/a/", one, &options), 0);
    CHECK_INT(site_mount_add(&all_mounts, 0, "/a/b", two, &options), 0);
    CHECK_INT(site_mount_add(&all_mounts, 1, "/", two, &options), 0);
    struct site_mount *m = site_mount_find(all_mounts, 0, (struct text){"/a/bc", 5});
    if (!CHECK(m != NULL && strcmp(m->directory, one) == 0))
        return;
    CHECK(site_mount_find(all_mounts, 0, (struct text){"/a/b/c", 6}) != m);
    CHECK(site_mount_find(all_mounts, 0, (struct text){"/a/b", 4}) != m);
    CHECK(site_mount_find(all_mounts, 0, (struct text){"/a", 2}) == m);
    CHECK(site_mount_find(all_mounts, 0, (struct text){"/ab", 3}) == NULL);
    CHECK(site_mount_find(all_mounts, 0, (struct text){"*", 1}) == NULL);
    CHECK(site_mount_find(all_mounts, 1, (struct text){"/ab", 3}) != NULL);
    CHECK(site_mount_find(all_mounts, 2, (struct text){"/a", 2}) == NULL);
    look_again(m, 5 * SITE_FRESH_US);
    CHECK(leads_to(m, "old"));
    CHECK_INT(rename(one, tree_path(&tree, "gone")), 0);
    look_again(m, 6 * SITE_FRESH_US);
    CHECK(leads_to(m, "old")); /* nothing is in its place yet */
    CHECK_INT(rename(two, one), 0);
    CHECK(site_mount_fresh(m, 7 * SITE_FRESH_US - 1));
    CHECK(leads_to(m, "old"));
    look_again(m, 7 * SITE_FRESH_US);
    CHECK(leads_to(m, "new") && !leads_to(m, "old"));
    site_mount_free(&all_mounts);
    CHECK(all_mounts == NULL);
}

static void all(void)
{
    files_below_the_root();
    nothing_else();
    codings();
    tags_tell_versions_apart();
    listings();
    keeps_what_was_asked_for();
    forgets_who_was_not_asked_for_longest();
    answers_at_once_or_not_at_all();
    directories_that_are_replaced();
}

int main(void)
{
    make();
    expect_body("/in", 0, "file"); /* a link that stays inside */
    all();
    close(root);
    tree_remove(&tree);
    if (deny_shortcuts()) {
        make();
        expect_error("/in", -ENOENT); /* no link at all is followed */
        all();
        close(root);
        tree_remove(&tree);
    }
    return t_end();
}
