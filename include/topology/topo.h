/*
 * topo: the snapshot. Immutable once published and reference-counted (loop thread only); its number
 * is the generation that everything shown anywhere names. Pure.
 * A service that never had an instance is `known == false`: its targets are not to be touched.
 */
#ifndef TOPOLOGY_TOPO_H
#define TOPOLOGY_TOPO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "topology/addr.h"

enum topo_state { TOPO_UP, TOPO_DISABLED, TOPO_HELD, TOPO_SUPPRESSED, TOPO_DRAINING };
enum topo_guard {
	GUARD_NONE,
	GUARD_SHRINK,   /* HELD: too many left at once */
	GUARD_EMPTY,    /* HELD: fewer than min_instances would be left */
	GUARD_FROZEN,   /* HELD: the operator froze the service */
	GUARD_FLAP,     /* SUPPRESSED: it comes and goes too often */
	GUARD_OPERATOR, /* DRAINING: c4ctl drain */
	GUARD_TAG,      /* DRAINING: it has the service's drain_tag */
};
enum topo_source { SOURCE_DNS, SOURCE_STORE, SOURCE_ADOPTED };

struct topo_instance {
	struct topo_addr addr;
	uint16_t weight;
	uint16_t priority;
	enum topo_state state;
	enum topo_guard guard;    /* why it is HELD, SUPPRESSED or DRAINING */
	enum topo_source source;
	int64_t since_ms;         /* wall clock, of the last change of state */
	uint64_t generation;      /* in which it last changed */
	int64_t drain_until_ms;   /* DRAINING by the operator: so long established calls may take (wall clock); 0: no limit */
	uint32_t penalty;         /* of damping, as it was when it last went ... */
	uint16_t goings;          /* so many times, as far as they are remembered ... */
	int64_t gone_ms;          /* ... and when (wall clock): kept for the next start, no difference by itself */
	char *tags;               /* sorted, comma-separated; NULL: none */
	char *origin;             /* adopted and not yet seen in DNS: a "KAMAILIO/SET URI FLAGS PRIO ATTRS" line per set */
};

struct topo_service {
	char *name;
	bool known;
	bool frozen; /* held by the operator */
	struct topo_instance *inst; /* sorted by topo_instance_cmp */
	size_t n;
};

struct topo {
	unsigned refs;
	uint64_t generation;
	int64_t wall_ms; /* when it was made */
	struct topo_service *services; /* in the order of the configuration */
	size_t n;
};

struct topo *topo_new(size_t n_services); /* one reference, held by the caller */
struct topo *topo_ref(struct topo *);
void topo_unref(struct topo *);           /* NULL is fine */
const struct topo_service *topo_find(const struct topo *, const char *service);
const struct topo_instance *topo_find_instance(const struct topo_service *, const struct topo_addr *);

bool topo_is_active(enum topo_state); /* takes calls: up or held */
const char *topo_state_name(enum topo_state);
const char *topo_guard_name(enum topo_guard); /* "" for none */
const char *topo_source_name(enum topo_source);
bool topo_has_tag(const struct topo_instance *, const char *tag);
int topo_instance_cmp(const struct topo_instance *, const struct topo_instance *); /* addr, then origin */
void topo_instance_copy(struct topo_instance *to, const struct topo_instance *from);
void topo_instance_clear(struct topo_instance *); /* frees what it points to */

/* What differs between two snapshots of one service; either side may be NULL. */
struct topo_change {
	const char *service;
	const struct topo_instance *before; /* NULL: new */
	const struct topo_instance *after;  /* NULL: removed */
};
typedef void topo_diff_cb(void *arg, const struct topo_change *);
size_t topo_diff(const struct topo *before, const struct topo *after, topo_diff_cb *, void *arg);
/* What a generation is made of differs: state, guard, weight, priority, tags, origin, end of a drain (not the source). */
bool topo_instance_differs(const struct topo_instance *, const struct topo_instance *);

#endif
