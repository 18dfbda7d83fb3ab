/*
 * rollback_plan: what a service held at a generation of the past, from what it holds now and what has changed since.
 * Pure.
 */
#ifndef RECONCILE_ROLLBACK_PLAN_H
#define RECONCILE_ROLLBACK_PLAN_H

#include "store/store.h"
#include "topology/topo.h"

struct rollback_plan {
	struct topo_instance *inst; /* sorted, each UP or DISABLED */
	size_t n;
	unsigned active; /* that would take calls: what the operator drains now stays drained */
	bool differs;    /* in more than guards, and in more than what is out now and was not there then */
};

void rollback_make_plan(const struct topo_service *now, const struct store_past *, struct rollback_plan *out);
void rollback_plan_clear(struct rollback_plan *);

#endif
