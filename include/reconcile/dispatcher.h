/*
 * dispatcher: keeps the dispatcher sets of one Kamailio equal to the snapshot. One loop, single flight:
 * read back (dispatcher.list), plan, set_state at once, the list file by the worker, one structural change per window
 * with the newest list, read back again. What is read back is the only proof. A new snapshot's set_states go out by what
 * was read back last, before it is read again.
 *
 * A structural change is a reload or, with `strategy: incremental`, one dispatcher.add or dispatcher.remove
 * (incremental_plan.h): then c4d never reloads a Kamailio that lists anything, since that would set its call loads to 0;
 * what can't be done by steps is said (`failed`), not done otherwise, and resync is no reload either. The file is the
 * truth all the same, and written first: at its own start Kamailio reads all of it.
 *
 * The list file is kept right also while Kamailio is away; it is never touched for a set whose service never
 * had an instance. A lock beside it (FILE.c4d-lock) keeps a second c4d away. Callbacks run from the loop.
 */
#ifndef RECONCILE_DISPATCHER_H
#define RECONCILE_DISPATCHER_H

#include "kamailio/dslist.h"
#include "reconcile/dispatcher_plan.h"
#include "reconcile/kamhost.h"

struct dispatcher *dispatcher_new(const struct target_deps *, struct kamhost *);
struct target *dispatcher_target(struct dispatcher *);

/* For showing what is desired beside what is. Lent until the next turn of the loop. */
const struct ds_entries *dispatcher_actual(const struct dispatcher *);
void dispatcher_desired(const struct dispatcher *, struct ds_entries *out);

#endif
