/* base.h -- what every file may use: platform switches, small helpers, static limits. Level 0. */
#ifndef FL_BASE_H
#define FL_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h> /* ssize_t */

#if defined(__GNUC__) || defined(__clang__)
#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#else
#define likely(x)   (x)
#define unlikely(x) (x)
#endif

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define countof(array)                  (sizeof(array) / sizeof((array)[0]))

static inline size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* A run of bytes that somebody else owns. */
struct text {
    const char *at;
    size_t len;
};

/* What is asked of a poller and what it reports. */
enum {
    IO_READ = 1,
    IO_WRITE = 2,
};

#endif
