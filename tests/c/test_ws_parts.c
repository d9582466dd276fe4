/* Masks and UTF-8 of WebSocket against a plain reading of the RFCs; compression there and back, and
 * what is no compression or expands to too much. */
#include <errno.h>

#include "buf.h"
#include "fastloop.h"
#include "t.h"
#include "ws_bytes.h"
#include "ws_zip.h"

static const char key[WS_KEY] = {0x37, (char)0xfa, 0x21, 0x3d};

static void masks_at_every_length_and_offset(void)
{
    char data[80], got[80];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7 + 1);
    for (size_t n = 0; n <= sizeof data; n++) {
        for (size_t at = 0; at < 5; at++) {
            char *copy = t_guard(data, n);
            ws_mask(got, copy, n, key, at);
            ws_mask(copy, copy, n, key, at);
            bool same = memcmp(got, copy, n) == 0;
            for (size_t i = 0; i < n; i++)
                same &= got[i] == (char)(data[i] ^ key[(at + i) % WS_KEY]);
            CHECK(same);
            t_unguard(copy, n);
        }
    }
}

/* RFC 3629, 3, written down anew: the length of the character at p, or 0. */
static size_t character(const unsigned char *p, size_t n)
{
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (len == 1)
        return 1;
    if (p[0] < 0xc0 || p[0] > 0xf7 || n < len)
        return 0;
    uint32_t c = p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    return c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : len;
}

static bool is_text(const unsigned char *p, size_t n)
{
    for (size_t at = 0; at < n;) {
        size_t len = character(p + at, n - at);
        if (len == 0)
            return false;
        at += len;
    }
    return true;
}

/* The verdict is the same plain, masked, and cut anywhere. */
static void check_text(const unsigned char *bytes, size_t n)
{
    char masked[64];
    bool want = is_text(bytes, n), wide = false;
    const char *data = (const char *)bytes;
    ws_mask(masked, data, n, key, 0);
    bool same = true;
    for (size_t cut = 0; cut <= n; cut++) {
        uint8_t a = ws_utf8(ws_utf8(WS_UTF8_WHOLE, data, cut, &wide), data + cut, n - cut, &wide);
        uint8_t b = ws_utf8_masked(WS_UTF8_WHOLE, masked, cut, key, 0, &wide);
        b = ws_utf8_masked(b, masked + cut, n - cut, key, cut, &wide);
        same &= a == b && (a == WS_UTF8_WHOLE) == want;
    }
    CHECK(same);
}

static void knows_utf8(void)
{
    unsigned char text[40];
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            for (size_t front = 0; front <= 32; front += 16) {
                memset(text, 'a', sizeof text);
                text[front] = (unsigned char)first;
                text[front + 1] = (unsigned char)second;
                for (size_t more = 0; more <= 2; more++) {
                    memset(text + front + 2, 0xbf, more);
                    check_text(text, front + 2 + more);
                }
            }
        }
    }
}

static void tells_ascii(void)
{
    char text[40];
    memset(text, 'a', sizeof text);
    bool wide = false;
    CHECK_INT(ws_utf8(WS_UTF8_WHOLE, text, sizeof text, &wide), WS_UTF8_WHOLE);
    CHECK(!wide);
    memcpy(text + 33, "\xc3\xa9", 2);
    CHECK_INT(ws_utf8(WS_UTF8_WHOLE, text, sizeof text, &wide), WS_UTF8_WHOLE);
    CHECK(wide);
}

/* -- compression -- */

static struct ws_zip *zip_of(uint64_t largest, bool keep)
{
    const struct ws_zip_options o = {
        .largest = largest,
        .level = 6,
        .in_bits = 15,
        .out_bits = 12,
        .keep_in = keep,
        .keep_out = keep,
    };
    return ws_zip_new(&o);
}

/* Expands in pieces of `step` bytes. Returns what the end says, or an error before it. */
static int expand(struct ws_zip *z, const char *data, size_t n, size_t step, struct buf *out)
{
    int rc = 0;
    size_t len = 0;
    for (size_t at = 0; at < n && rc == 0; at += step)
        rc = ws_zip_expand(z, data + at, min_size(step, n - at), out, &len);
    int end = ws_zip_expanded(z, out, &len);
    out->len = len;
    return rc < 0 ? rc : end;
}

static void comes_back_as_it_went(void)
{
    enum { MOST = 100 * 1000 };
    char *data = malloc(MOST), *zipped = malloc(ws_zip_bound(MOST));
    uint32_t seed = 1;
    for (int kind = 0; kind < 2; kind++) {
        for (size_t i = 0; i < MOST; i++) {
            seed = seed * 1664525 + 1013904223;
            data[i] = kind == 0 ? (char)(seed >> 24) : (char)('a' + i % 7);
        }
        for (int keep = 0; keep < 2; keep++) {
            struct ws_zip *z = zip_of(MOST, keep);
            for (size_t n = 0; n <= MOST; n = n * 3 + 1) {
                struct buf out = {0};
                ssize_t len = ws_zip_compress(z, (uint8_t)(9 + n % 7), data, n, zipped);
                if (!CHECK(len > 0 && (size_t)len <= ws_zip_bound(n)))
                    continue;
                CHECK_INT(expand(z, zipped, (size_t)len, n % 50 + 1, &out), 0);
                CHECK_MEM(out.data, out.len, data, n);
                buf_free(&out);
            }
            ws_zip_free(z);
        }
    }
    free(data);
    free(zipped);
}

static void refuses_bombs_and_rubbish(void)
{
    enum { MOST = 1 << 20 };
    char *zeros = calloc(1, MOST), *zipped = malloc(ws_zip_bound(MOST));
    struct ws_zip *z = zip_of(MOST - 1, false);
    struct buf out = {0};
    ssize_t len = ws_zip_compress(z, 12, zeros, MOST, zipped);
    CHECK(len > 0 && len < 4096);
    CHECK_INT(expand(z, zipped, (size_t)len, 7, &out), FL_ELIMIT);
    buf_free(&out);
    CHECK_INT(expand(z, "\xff\xff\xff", 3, 1, &out), FL_EPROTO);
    buf_free(&out);
    /* ... and nothing of it is left for the next message: "Hello" (RFC 7692, 7.2.3.1) */
    CHECK_INT(expand(z, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, 1, &out), 0);
    CHECK_STR(out.data, out.len, "Hello");
    buf_free(&out);
    /* a last block (7.2.3.4) */
    CHECK_INT(expand(z, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8, 8, &out), 0);
    CHECK_STR(out.data, out.len, "Hello");
    buf_free(&out);
    ws_zip_free(z);
    free(zeros);
    free(zipped);
}

static void takes_over_its_context(void)
{
    struct ws_zip *z = zip_of(100, true);
    struct buf out = {0};
    /* RFC 7692, 7.2.3.2: the second refers to the first */
    CHECK_INT(expand(z, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, 3, &out), 0);
    buf_free(&out);
    CHECK_INT(expand(z, "\xf2\x00\x11\x00\x00", 5, 1, &out), 0);
    CHECK_STR(out.data, out.len, "Hello");
    buf_free(&out);
    ws_zip_free(z);
}

int main(void)
{
    masks_at_every_length_and_offset();
    knows_utf8();
    tells_ascii();
    if (ws_zip_works()) {
        comes_back_as_it_went();
        refuses_bombs_and_rubbish();
        takes_over_its_context();
    }
    return t_end();
}
