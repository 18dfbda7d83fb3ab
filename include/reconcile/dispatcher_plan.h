/*
 * dispatcher_plan: what a Kamailio's dispatcher sets should hold, what they hold, and the least set of
 * operations between the two. Pure.
 *
 * Flags column: D (4) is c4d's; I, T and P are Kamailio's and carried over from its present state, so
 * that a reload does not bring a dead destination back. I is only ever written together with P,
 * never for all destinations of a set, never where Kamailio does not ping (`probing: false`).
 */
#ifndef RECONCILE_DISPATCHER_PLAN_H
#define RECONCILE_DISPATCHER_PLAN_H

#include "config/conf.h"
#include "kamailio/binrpc.h"
#include "kamailio/dslist.h"
#include "topology/topo.h"

enum dsp_op {
	DSP_ADD,      /* desired, not there */
	DSP_REMOVE,   /* there, not desired */
	DSP_CHANGE,   /* priority or attributes differ */
	DSP_TWICE,    /* listed more than once */
	DSP_DISABLE,  /* set_state dx */
	DSP_ENABLE,   /* set_state a */
};

struct dsp_step {
	enum dsp_op op;
	int set;
	char *uri;
	const char *state; /* for set_state: "dx", "a", "ap" */
	char *detail;      /* for people; NULL */
	bool active;       /* the destination shall take calls (of DSP_ADD) */
};

struct dsp_plan {
	struct dsp_step *v;
	size_t n;
	size_t cap;
	size_t structural; /* steps that need a reload */
};

const char *dsp_op_name(enum dsp_op);

/* "{address}" "{port}" "{weight}" "{priority}" filled in; IPv6 in brackets; weight clamped to 1..100. Free it. */
char *dsp_expand(const char *template, const struct topo_instance *);
/*
 * The desired entries, sorted: flags hold the configured bits and D. Sets whose service never had an
 * instance are left out, here and in `sets` (which holds those that are c4d's now; at least kam->n_sets long).
 */
void dsp_desired(const struct conf_kamailio *kam, const struct topo *, struct ds_entries *out, struct ds_set_ref *sets,
    size_t *n_sets);
/* Entries of a dispatcher.list reply; flags hold the state bits I T D P. -EBADMSG when it is not one. */
MUST_USE int dsp_read_list(const struct binrpc_msg *, struct ds_entries *out);
/*
 * Steps from actual to desired, for the sets in `sets`. Entries of a set that is not exclusive and that
 * `foreign` (the file's own lines) holds are no difference.
 */
void dsp_make_plan(const struct ds_entries *desired, const struct ds_entries *actual, const struct ds_entries *foreign,
    const struct ds_set_ref *sets, size_t n_sets, struct dsp_plan *out);
void dsp_plan_clear(struct dsp_plan *);
/* Desired entries with Kamailio's present state in their flags: what the file should hold. */
void dsp_file_entries(const struct ds_entries *desired, const struct ds_entries *states, bool probing,
    struct ds_entries *out);
/*
 * After a reload: set_state steps for destinations that were inactive before and came back active, or the
 * other way round. Sets of which everything was inactive are left to Kamailio's probes.
 */
void dsp_repair(const struct ds_entries *desired, const struct ds_entries *before, const struct ds_entries *after,
    bool probing, struct dsp_plan *out);

const struct ds_entry *dsp_find(const struct ds_entries *, int set, const char *uri);
/* "AP", "DX", "IP" as dispatcher.list shows it. */
void dsp_flags_text(unsigned flags, char out[8]);

#endif
