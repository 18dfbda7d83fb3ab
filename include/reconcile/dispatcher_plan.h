/*
 * dispatcher_plan: what a Kamailio's dispatcher sets should hold, what they hold, and the least set of
 * operations between the two. Pure.
 *
 * Flags column: D (4) is c4d's; I, T and P are Kamailio's and carried over from its present state, so
 * that a reload does not bring a dead destination back. I is only ever written together with P,
 * never for all destinations of a set, never where Kamailio does not ping (`probing: false`).
 *
 * What was inactive when it was disabled comes back active, not inactive: Kamailio does not ping what is
 * disabled, so its I is as old as the disabling, and Consul's check that passes now is the newer word. Bringing it
 * back as "ip" would keep a living destination out until the next ping (which may be a minute away), and the whole
 * set when it is the last one. If it is dead all the same, calls fail over and Kamailio marks it again: late calls, none lost.
 *
 * Others' lines: in a set that is not exclusive the list file may hold a line of somebody else's for a URI that
 * is desired too. Two lines would be two shares of the calls, so that line stands alone: c4d only takes it out of service
 * and in, and says where it differs (DSP_THEIRS) until somebody removes or corrects it.
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
	DSP_THEIRS,   /* somebody else's line for it differs: nothing that c4d can do */
};

struct dsp_step {
	enum dsp_op op;
	int set;
	char *uri;
	const char *state; /* for set_state: "dx", "a", "ap" */
	char *detail;      /* for people; NULL */
	bool active;       /* the destination shall take calls */
	char *blocked;     /* why it can't be done now, for people (incremental_plan.h); NULL */
};

struct dsp_plan {
	struct dsp_step *v;
	size_t n;
	size_t cap;
	size_t structural; /* steps that need a reload, or dispatcher.add and remove */
};

/* Entries found by set and URI. Points into them; of twins the first is found. */
struct dsp_index {
	const struct ds_entry **slots;
	size_t mask;
	size_t n;
};

/* What Kamailio's states are known from. */
struct dsp_known {
	const struct ds_entries *states; /* as last seen, there or in the file */
	const struct ds_entries *lost;   /* of what it does not list any more though it should, as it was; NULL */
	const struct ds_entries *theirs; /* others' lines in sets that are not exclusive; NULL */
	bool probing;
};

const char *dsp_op_name(enum dsp_op);
bool dsp_is_structural(const struct dsp_step *);

struct dsp_index dsp_index_make(const struct ds_entries *);
const struct ds_entry *dsp_index_find(const struct dsp_index *, int set, const char *uri);
void dsp_index_free(struct dsp_index *);

/* "{address}" "{port}" "{weight}" "{priority}" filled in; IPv6 in brackets; weight clamped to 1..100. Free it. */
char *dsp_expand(const char *template, const struct topo_instance *);
/*
 * The desired entries, sorted: flags hold the configured bits and D. Sets whose service never had an
 * instance are left out, here and in `sets` (which holds those that are c4d's now; at least kam->n_sets long).
 */
void dsp_desired(const struct conf_kamailio *kam, const struct topo *, struct ds_entries *out, struct ds_set_ref *sets,
    size_t *n_sets);
/*
 * Entries of a dispatcher.list reply (binrpc_open()), in its order; flags hold the state bits I T D P. -EBADMSG when it
 * is not one.
 */
MUST_USE int dsp_read_list(const struct binrpc_msg *, struct ds_entries *out);
/*
 * Steps from actual to desired, for the sets in `sets`. Entries of a set that is not exclusive and that
 * `foreign` (the file's own lines) holds are no difference; desired ones among them are theirs (see above).
 */
void dsp_make_plan(const struct ds_entries *desired, const struct ds_entries *actual, const struct ds_entries *foreign,
    const struct ds_set_ref *sets, size_t n_sets, struct dsp_plan *out);
void dsp_plan_clear(struct dsp_plan *);
void dsp_step_clear(struct dsp_step *); /* frees what it holds */
/* Desired entries with Kamailio's present state in their flags: what the file should hold of ours. */
void dsp_file_entries(const struct ds_entries *desired, const struct dsp_known *, struct ds_entries *out);
/* The flags of one of them. */
unsigned dsp_file_flags(const struct ds_entries *desired, const struct dsp_known *, const struct ds_entry *);
/*
 * Of what the plan adds: that which was listed `before` goes into `lost` as it was; what is there already stays
 * as long as it is to be added.
 */
void dsp_note_lost(const struct dsp_plan *, const struct ds_entries *before, struct ds_entries *lost);
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
