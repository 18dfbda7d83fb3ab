/*
 * dispatcher: keeps the dispatcher sets of one Kamailio equal to the snapshot. One loop, single flight:
 * read back (dispatcher.list), plan, set_state at once, the list file by the worker, one reload
 * per window with the newest list, read back again. What is read back is the only proof.
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
