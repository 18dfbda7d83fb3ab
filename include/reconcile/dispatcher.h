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

#include "base/loop.h"
#include "base/worker.h"
#include "config/conf.h"
#include "kamailio/dslist.h"
#include "reconcile/dispatcher_plan.h"
#include "reconcile/platform.h"
#include "reconcile/target.h"
#include "store/store.h"

struct dispatcher;

/* The target's state changed, or a pass ended: for waiters. */
typedef void dispatcher_event_cb(void *arg, struct dispatcher *);

struct dispatcher_deps {
	struct loop *loop;
	struct worker *worker;
	struct platform *platform;
	struct store *store; /* NULL: plan */
	bool dry;            /* plan: read and compare, change nothing, take no lock */
	dispatcher_event_cb *event;
	void *arg;
};

MUST_USE int dispatcher_new(struct dispatcher **out, const struct dispatcher_deps *, const struct conf_kamailio *);
void dispatcher_start(struct dispatcher *);
/* NULL is fine. A job that is with the worker ends without us; Kamailio's lists stay as they are. */
void dispatcher_free(struct dispatcher *);
/* The same section of a newer configuration (conf_kamailio_same() said so). */
void dispatcher_set_conf(struct dispatcher *, const struct conf_kamailio *);
/* A new snapshot: converge. */
void dispatcher_kick(struct dispatcher *);
/* As after a reconnect: forget back-offs and what was read, read back and push again. */
void dispatcher_resync(struct dispatcher *);

const struct conf_kamailio *dispatcher_conf(const struct dispatcher *);
size_t dispatcher_targets(const struct dispatcher *);
void dispatcher_view(const struct dispatcher *, size_t i, struct target_view *);
/* Passes that ended since the start: a waiter sees that one began and ended after it asked. */
uint64_t dispatcher_passes(const struct dispatcher *);
bool dispatcher_was_read(const struct dispatcher *); /* Kamailio's list is known */
bool dispatcher_is_up(const struct dispatcher *);
const char *dispatcher_down_why(const struct dispatcher *); /* "" when up */
const char *dispatcher_version(const struct dispatcher *);
const char *dispatcher_up_since(const struct dispatcher *);

/* Present difference: desired against what was read back and, with `file`, against the list file. */
void dispatcher_diff(const struct dispatcher *, struct dsp_plan *kamailio, struct dsp_plan *file);
/* Lent until the next turn of the loop. */
const struct ds_entries *dispatcher_actual(const struct dispatcher *);
void dispatcher_desired(const struct dispatcher *, struct ds_entries *out);

struct dispatcher_counts {
	uint64_t reloads, set_states, file_writes, faults, window_waits, repairs, reconnects;
};
void dispatcher_counts(const struct dispatcher *, struct dispatcher_counts *);

#endif
