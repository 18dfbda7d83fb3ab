#include "reconcile/rollback_plan.h"

#include <stdlib.h>
#include <string.h>

static const struct store_past_instance *
find_past(const struct store_past *p, const char *service, const struct topo_instance *i)
{
	size_t k;

	for (k = 0; k < p->n; k++)
		if (strcmp(p->v[k].service, service) == 0 && topo_instance_cmp(&p->v[k].inst, i) == 0)
			return &p->v[k];
	return NULL;
}

static void
take_tags(struct topo_instance *i, const char *tags)
{
	free(i->tags);
	i->tags = xstrdup(tags);
}

/* An instance as it was; `now` NULL: it is gone, and what the history does not tell of it is its default. */
static void
add(struct rollback_plan *plan, const struct topo_instance *now, const struct store_past_instance *past)
{
	struct topo_instance *i = &plan->inst[plan->n++];

	topo_instance_copy(i, now ? now : &past->inst);
	i->drain_until_ms = 0;
	i->guard = GUARD_NONE;
	if (past != NULL) {
		i->state = past->inst.state;
		if (past->has_weight)
			i->weight = past->inst.weight;
		if (past->has_priority)
			i->priority = past->inst.priority;
		if (past->has_tags)
			take_tags(i, past->inst.tags);
	}
	i->state = topo_is_active(i->state) ? TOPO_UP : TOPO_DISABLED;
}

static bool
is_drained(const struct topo_instance *now)
{
	return now->state == TOPO_DRAINING && now->guard == GUARD_OPERATOR;
}

static bool
differs(const struct topo_instance *now, const struct topo_instance *then)
{
	return (!is_drained(now) && topo_is_active(now->state) != topo_is_active(then->state)) ||
	    now->weight != then->weight || now->priority != then->priority ||
	    strcmp(now->tags ? now->tags : "", then->tags ? then->tags : "") != 0;
}

static bool
is_among(const struct topo_service *s, const struct topo_instance *i)
{
	size_t k;

	for (k = 0; k < s->n; k++)
		if (topo_instance_cmp(&s->inst[k], i) == 0)
			return true;
	return false;
}

static int
by_place(const void *a, const void *b)
{
	return topo_instance_cmp(a, b);
}

void
rollback_make_plan(const struct topo_service *now, const struct store_past *past, struct rollback_plan *out)
{
	size_t i;

	memset(out, 0, sizeof *out);
	out->inst = xcalloc(now->n + past->n, sizeof *out->inst);
	for (i = 0; i < now->n; i++) {
		const struct topo_instance *n = &now->inst[i];
		const struct store_past_instance *p = find_past(past, now->name, n);

		if (p != NULL && !p->was_there) {
			out->differs |= topo_is_active(n->state);
			continue;
		}
		add(out, n, p);
		out->differs |= differs(n, &out->inst[out->n - 1]);
		out->active += out->inst[out->n - 1].state == TOPO_UP && !is_drained(n);
	}
	for (i = 0; i < past->n; i++) {
		const struct store_past_instance *p = &past->v[i];

		if (strcmp(p->service, now->name) != 0 || !p->was_there || is_among(now, &p->inst))
			continue;
		add(out, NULL, p);
		out->differs |= out->inst[out->n - 1].state == TOPO_UP;
		out->active += out->inst[out->n - 1].state == TOPO_UP;
	}
	if (out->n > 0)
		qsort(out->inst, out->n, sizeof *out->inst, by_place);
}

void
rollback_plan_clear(struct rollback_plan *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		topo_instance_clear(&p->inst[i]);
	free(p->inst);
	memset(p, 0, sizeof *p);
}
