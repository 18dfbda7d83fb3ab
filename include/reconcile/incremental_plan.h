/*
 * incremental_plan: which of a plan's structural steps goes next when each is one dispatcher.add or dispatcher.remove
 * (`strategy: incremental`), and which can't go at all. Pure.
 *
 * For call-load distribution (algorithm 10): a reload sets the load of every destination of every set to 0, while the
 * calls go on; add and remove keep it. Both share the reload's window, so n changes take n windows:
 *  1. adds of what shall take calls, first where a set has the fewest that do;
 *  2. removes of what takes calls and should not, or takes a double share (listed twice: remove takes them all, then 1);
 *  3. removes of what is disabled;
 *  4. adds of what is disabled (flags 4);
 *  5. changes of priority or attributes: two windows, since add would make a second one beside the old, and remove takes all.
 *
 * What a change does to calls: between the two windows the destination gets no new ones (which is why another one of
 * the set must be alive, else the step is blocked); established calls go on, since they do not ask the dispatcher. It
 * comes back with load 0 while its old calls are still up: until they end it is taken for emptier than it is (their
 * ends take nothing away below 0). Calls that end between the windows leave their entry in Kamailio's table
 * until ds_hash_expire. The other destinations' loads are kept.
 */
#ifndef RECONCILE_INCREMENTAL_PLAN_H
#define RECONCILE_INCREMENTAL_PLAN_H

#include "reconcile/dispatcher_plan.h"

/* dispatcher.add takes a priority since 5.6. `version` is core.version's text; what can't be read is taken for new. */
bool incremental_has_priority(const char *version);
/* The step is one dispatcher.add; else it (or its first half) is one dispatcher.remove. */
bool incremental_is_add(const struct dsp_step *);
/*
 * Marks the structural steps that can't or must not be done now: adds with a priority where there is no way to give
 * one, and removes that would leave a set, which shall take calls, with nobody alive to take them.
 */
void incremental_block(struct dsp_plan *, const struct ds_entries *desired, const struct ds_entries *actual,
    const char *version);
/* The next one; NULL: none, or all that are left are blocked. */
const struct dsp_step *incremental_next(const struct dsp_plan *, const struct ds_entries *desired,
    const struct ds_entries *actual);
/* How many windows the plan takes. */
size_t incremental_windows(const struct dsp_plan *);

#endif
