/* loop.h -- what a loop is made of, for the files that are its public functions. Level 6. */
#ifndef FL_LOOP_H
#define FL_LOOP_H

#include "fastloop.h"
#include "io.h"
#include "site.h"
#include "watch.h"

struct fl_loop {
    struct conns conns;
    struct io io;
    struct heap timers; /* the user's */
    struct files files;
    struct site site;
    const char *inbox; /* where the caller believes the inbox to be */
    size_t inbox_size;
    fl_stats *told;    /* the caller's: see fl_tell_stats() */
    watch_stamp *away; /* of the watch that looks after this loop; NULL: none does */
};

/* Whether nothing is left to do for a loop of FL_ROLE_ONE. */
bool loop_over(const fl_loop *l);

/* Begins or ends accepting on this listener; one without a descriptor is left alone. Returns 0 or
 * -errno. */
int loop_watch_listener(fl_loop *l, uint32_t listener, bool on);

/* Frees what listeners answer without Python. */
void loop_free_places(fl_loop *l);

#endif
