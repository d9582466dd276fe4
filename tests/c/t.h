/* t.h -- a harness for the unit tests of csrc/: checks that name file and line, and inputs that end
 * at an unreadable page.
 *
 * A test file is a program: main() calls its test functions and returns t_end(). A failed check is
 * printed and counted, and the test goes on; `if (!CHECK(...)) return;` where it cannot. */
#ifndef T_H
#define T_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHECK(cond)              t_check((cond) ? true : false, #cond, __FILE__, __LINE__)
#define CHECK_INT(got, want)     t_int((got), (want), #got, __FILE__, __LINE__)
#define CHECK_MEM(p, n, want, m) t_mem((p), (n), (want), (m), #p, __FILE__, __LINE__)
#define CHECK_STR(p, n, literal) CHECK_MEM(p, n, literal, sizeof(literal) - 1)

static int t_failed;

static inline bool t_check(bool ok, const char *what, const char *file, int line)
{
    if (!ok) {
        t_failed++;
        fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
    }
    return ok;
}

static inline bool t_int(long long got, long long want, const char *what, const char *file,
                         int line)
{
    if (got != want)
        fprintf(stderr, "%s:%d: got %lld, want %lld\n", file, line, got, want);
    return t_check(got == want, what, file, line);
}

static inline bool t_mem(const void *got, size_t n, const void *want, size_t m, const char *what,
                         const char *file, int line)
{
    bool same = n == m && (n == 0 || memcmp(got, want, n) == 0);
    if (!same)
        fprintf(stderr, "%s:%d: got %zu bytes \"%.*s\", want %zu bytes \"%.*s\"\n", file, line, n,
                (int)(n < 200 ? n : 200), (const char *)got, m, (int)(m < 200 ? m : 200),
                (const char *)want);
    return t_check(same, what, file, line);
}

/* Returns what main() returns. */
static inline int t_end(void)
{
    return t_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* A copy of n bytes that ends exactly where a PROT_NONE page begins, so that reading one byte too
 * many is a fault. Held by the caller until t_unguard() with the same n. */
static inline char *t_guard(const void *data, size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = (n + page - 1) / page * page;
    char *base =
        mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED || mprotect(base + size, page, PROT_NONE) != 0)
        abort();
    return n == 0 ? base + size : memcpy(base + size - n, data, n);
}

static inline void t_unguard(char *copy, size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = (n + page - 1) / page * page;
    munmap(copy + n - size, size + page);
}

#endif
