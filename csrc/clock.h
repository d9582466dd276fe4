/* clock.h -- monotonic time. Level 1. Read once a turn and kept by the loop. */
#ifndef FL_CLOCK_H
#define FL_CLOCK_H

#include <time.h>

#include "base.h"

/* Nanoseconds since an arbitrary point; never goes back. */
static inline uint64_t clock_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Microseconds since an arbitrary point; never goes back. */
static inline uint64_t clock_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

#endif
