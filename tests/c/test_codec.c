/* test_codec.c -- the marshal forms, written and read; and what is no such form, refused. */
#include "codec.h"

#include <errno.h>

#include "buf.h"
#include "fastloop.h"
#include "oom.h"
#include "t.h"

/* Reads the first value of a guarded copy. */
static int read_one(const char *data, size_t n, struct codec_value *v, size_t *used)
{
    char *copy = t_guard(data, n);
    struct codec_reader r = {copy, copy + n};
    *v = (struct codec_value){0};
    int rc = codec_read(&r, v);
    *used = (size_t)(r.at - copy);
    if (rc == 0 && v->data != NULL) /* the copy goes: point into what the caller has */
        v->data = data + (v->data - copy);
    t_unguard(copy, n);
    return rc;
}

#define READ(literal, v, used) read_one(literal, sizeof(literal) - 1, v, used)

static void check_int(int64_t n)
{
    char form[CODEC_INT];
    struct codec_value v;
    size_t used;
    size_t len = (size_t)(codec_int(form, n) - form);
    CHECK(len <= sizeof form);
    CHECK_INT(form[0], n == (int32_t)n ? 'i' : 'l');
    CHECK_INT(read_one(form, len, &v, &used), 0);
    CHECK_INT(v.type, CODEC_INTEGER);
    CHECK_INT(v.integer, n);
    CHECK_INT(used, len);
    for (size_t cut = 0; cut < len; cut++)
        CHECK_INT(read_one(form, cut, &v, &used), FL_EOUTBOX);
}

static void test_ints(void)
{
    for (int bit = 0; bit < 63; bit++) {
        for (int64_t around = -1; around <= 1; around++) {
            check_int((int64_t)(1ull << bit) + around);
            check_int(-(int64_t)(1ull << bit) + around);
        }
    }
    check_int(INT64_MAX);
    check_int(INT64_MIN);
    check_int(INT32_MAX);
    check_int(INT32_MIN);
}

/* As marshal writes them: 2**63, 2**64 + 1, -2**63 - 1 and 2**75 do not fit, 2**31 does. */
static void test_long_forms(void)
{
    struct codec_value v;
    size_t used;
    CHECK_INT(READ("l\3\0\0\0\0\0\0\0\2\0", &v, &used), 0);
    CHECK_INT(v.type, CODEC_INTEGER);
    CHECK_INT(v.integer, 1ll << 31);
    CHECK_INT(READ("l\5\0\0\0\0\0\0\0\0\0\0\0\x08\0", &v, &used), 0);
    CHECK_INT(v.type, CODEC_OTHER);
    CHECK_INT(READ("l\5\0\0\0\1\0\0\0\0\0\0\0\x10\0", &v, &used), 0);
    CHECK_INT(v.type, CODEC_OTHER);
    CHECK_INT(READ("l\xfb\xff\xff\xff\1\0\0\0\0\0\0\0\x08\0", &v, &used), 0);
    CHECK_INT(v.type, CODEC_OTHER);
    CHECK_INT(READ("l\6\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0N", &v, &used), 0);
    CHECK_INT(v.type, CODEC_OTHER);
    CHECK_INT(used, 17);
    CHECK_INT(READ("l\xff\xff\xff\x7f\0\0", &v, &used), FL_EOUTBOX);
    CHECK_INT(READ("l\0\0\0\x80\0\0", &v, &used), FL_EOUTBOX);
}

/* What marshal carries beside what a protocol can say. */
static void test_others(void)
{
    struct codec_value v;
    size_t used;
    CHECK_INT(READ(".N", &v, &used), 0);
    CHECK_INT(v.type, CODEC_OTHER);
    CHECK_INT(used, 1);
    CHECK_INT(READ("y\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0N", &v, &used), 0);
    CHECK_INT(v.type, CODEC_OTHER);
    CHECK_INT(used, 17);
    CHECK_INT(READ("y\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", &v, &used), FL_EOUTBOX);
    CHECK_INT(READ("c", &v, &used), FL_EOUTBOX);
}

static void test_strings(void)
{
    struct codec_value v;
    size_t used;
    CHECK_INT(READ("s\3\0\0\0abcd", &v, &used), 0);
    CHECK_INT(v.type, CODEC_BYTES);
    CHECK_STR(v.data, v.len, "abc");
    CHECK_INT(used, 8);
    CHECK_INT(READ("u\0\0\0\0", &v, &used), 0);
    CHECK_INT(v.type, CODEC_TEXT);
    CHECK_INT(v.len, 0);
    CHECK_INT(READ("s\4\0\0\0abc", &v, &used), FL_EOUTBOX);
    CHECK_INT(READ("s\xff\xff\xff\xff"
                   "abc",
                   &v, &used),
              FL_EOUTBOX);
}

static void check_plain(char code, enum codec_type type, int64_t integer)
{
    struct codec_value v;
    size_t used;
    CHECK_INT(read_one(&code, 1, &v, &used), 0);
    CHECK_INT(v.type, type);
    CHECK_INT(v.integer, integer);
    CHECK_INT(used, 1);
}

static void test_scalars(void)
{
    struct codec_value v;
    size_t used;
    check_plain('N', CODEC_NONE, 0);
    check_plain('T', CODEC_BOOL, 1);
    check_plain('F', CODEC_BOOL, 0);
    check_plain('S', CODEC_MARK, 0);
    check_plain('0', CODEC_END, 0);
    CHECK_INT(READ("g\0\0\0\0\0\0\x04\xc0", &v, &used), 0);
    CHECK_INT(v.type, CODEC_FLOAT);
    CHECK(v.real == -2.5);
    CHECK_INT(READ("g\0\0\0\0\0\0\x04", &v, &used), FL_EOUTBOX);
}

static void check_count(const char *data, size_t n, enum codec_type type, uint32_t count)
{
    struct codec_value v;
    size_t used;
    CHECK_INT(read_one(data, n, &v, &used), 0);
    CHECK_INT(v.type, type);
    CHECK_INT(v.count, count);
}

#define COUNT(literal, type, count) check_count(literal, sizeof(literal) - 1, type, count)

static void test_containers(void)
{
    struct codec_value v;
    size_t used;
    COUNT("[\2\0\0\0NN", CODEC_LIST, 2);
    COUNT("(\1\0\0\0N", CODEC_TUPLE, 1);
    COUNT("<\1\0\0\0N", CODEC_SET, 1);
    COUNT(">\0\0\0\0", CODEC_SET, 0);
    COUNT("{0", CODEC_DICT, 0);
    COUNT("{NNs\1\0\0\0"
          "0[\1\0\0\0N0",
          CODEC_DICT, 2);
    COUNT("{N{NN00", CODEC_DICT, 1);
    CHECK_INT(READ("[\3\0\0\0NN", &v, &used), FL_EOUTBOX); /* a value is a byte at least */
    CHECK_INT(READ("(\xff\xff\xff\xff", &v, &used), FL_EOUTBOX);
    CHECK_INT(READ("{", &v, &used), FL_EOUTBOX);
    CHECK_INT(READ("{N0", &v, &used), FL_EOUTBOX);
    CHECK_INT(READ("{NN", &v, &used), FL_EOUTBOX);
    CHECK_INT(READ("{N{N00", &v, &used), FL_EOUTBOX);
    CHECK_INT(READ("{N[\1\0\0\0"
                   "0",
                   &v, &used),
              FL_EOUTBOX);
}

/* Of all first bytes only those that begin a value may be read, whatever follows. */
static void test_unknown_types(void)
{
    for (int code = 0; code < 256; code++) {
        char data[16] = {(char)code};
        struct codec_value v;
        size_t used;
        bool known = code != 0 && strchr("suazNi([TFlg{0<>S.", code) != NULL;
        CHECK_INT(read_one(data, sizeof data, &v, &used), known && code != '{' ? 0 : FL_EOUTBOX);
        CHECK_INT(read_one(data, 0, &v, &used), FL_EOUTBOX);
    }
}

static int skip_all(const char *data, size_t n, size_t *used)
{
    char *copy = t_guard(data, n);
    struct codec_reader r = {copy, copy + n};
    int rc = codec_skip(&r);
    *used = (size_t)(r.at - copy);
    t_unguard(copy, n);
    return rc;
}

/* One of everything, nested. */
static const char sample[] = "[\x0a\0\0\0N"
                             "TF"
                             "i\7\0\0\0"
                             "l\3\0\0\0\0\0\0\0\2\0"
                             "g\0\0\0\0\0\0\x04\xc0"
                             "s\2\0\0\0ab"
                             "(\2\0\0\0Si\2\0\0\0"
                             "{z\1k[\1\0\0\0NN{NN00"
                             "<\1\0\0\0u\2\0\0\0\303\251";

/* Every proper prefix of a value is refused, by codec_skip() and by codec_copy(). */
static void test_prefixes(void)
{
    size_t n = sizeof sample - 1;
    size_t used;
    CHECK_INT(skip_all(sample, n, &used), 0);
    CHECK_INT(used, n);
    for (size_t cut = 0; cut < n; cut++) {
        struct buf out = {0};
        struct codec_reader r = {sample, sample + cut};
        CHECK_INT(skip_all(sample, cut, &used), FL_EOUTBOX);
        CHECK_INT(codec_copy(&r, &out), FL_EOUTBOX);
        buf_free(&out);
    }
}

static void test_copy(void)
{
    struct buf out = {0};
    struct codec_reader r = {sample, sample + sizeof sample - 1};
    CHECK_INT(codec_copy(&r, &out), 0);
    CHECK_MEM(out.data, out.len, sample, sizeof sample - 1);
    CHECK(r.at == r.end);
    buf_free(&out);
}

/* Texts are copied in the shortest form that Python reads. */
static void test_copy_text(void)
{
    struct buf out = {0};
    char in[CODEC_HEAD + 256] = "u";
    memset(in + CODEC_HEAD, 'x', 256);
    codec_u32(in + 1, 256);
    struct codec_reader r = {in, in + sizeof in};
    CHECK_INT(codec_copy(&r, &out), 0);
    in[0] = 'a';
    CHECK_MEM(out.data, out.len, in, sizeof in);
    codec_u32(in + 1, 255);
    r = (struct codec_reader){in, in + sizeof in - 1};
    out.len = 0;
    CHECK_INT(codec_copy(&r, &out), 0);
    CHECK_MEM(out.data, 2, "z\xff", 2);
    CHECK_MEM(out.data + 2, out.len - 2, in + CODEC_HEAD, 255);
    struct codec_reader again = {out.data, out.data + out.len};
    struct codec_value v = {0};
    CHECK_INT(codec_read(&again, &v), 0);
    CHECK(v.type == CODEC_TEXT && v.len == 255 && again.at == again.end);
    buf_free(&out);
}

static void test_copy_oom(void)
{
    bool failed = true;
    for (int n = 1; failed; n++) {
        struct buf out = {0};
        struct codec_reader r = {sample, sample + sizeof sample - 1};
        oom_arm(n);
        int rc = codec_copy(&r, &out);
        failed = oom_disarm();
        CHECK_INT(rc, failed ? -ENOMEM : 0);
        CHECK(failed || n > 1);
        buf_free(&out);
    }
}

/* What opens and never ends must not exhaust the stack, and must not take long: the time of a dict
 * in a dict in a dict would double at each level if each counted ahead anew. */
static void check_deep(const char *opening, size_t len)
{
    enum { LEVELS = 100000 };
    struct buf data = {0};
    struct codec_value v;
    size_t used;
    for (int i = 0; i < LEVELS; i++)
        buf_put(&data, opening, len);
    CHECK_INT(skip_all(data.data, data.len, &used), FL_EOUTBOX);
    int want = opening[0] == '{' ? FL_EOUTBOX : 0;
    CHECK_INT(read_one(data.data, data.len, &v, &used), want);
    buf_free(&data);
}

/* 2000 levels, as deep as marshal goes, are fine. */
static void test_deepest(void)
{
    struct buf data = {0};
    size_t used;
    for (int i = 0; i < 2000; i++)
        buf_put(&data, "[\1\0\0\0", 5);
    buf_put(&data, "N", 1);
    CHECK_INT(skip_all(data.data, data.len, &used), 0);
    CHECK_INT(used, data.len);
    buf_free(&data);
}

static void test_writers(void)
{
    char out[64];
    char *p = codec_tuple(codec_list(out, 0x04030201), 2);
    p = codec_bytes(codec_none(codec_i32(p, -2)), "ab", 2);
    CHECK_STR(out, (size_t)(p - out), "[\1\2\3\4(\2\0\0\0i\xfe\xff\xff\xffNs\2\0\0\0ab");
}

int main(void)
{
    test_writers();
    test_ints();
    test_long_forms();
    test_others();
    test_strings();
    test_scalars();
    test_containers();
    test_unknown_types();
    test_prefixes();
    test_copy();
    test_copy_text();
    test_copy_oom();
    check_deep("[\1\0\0\0", 5);
    check_deep("{", 1);
    check_deep("{N", 2);
    test_deepest();
    return t_end();
}
