/* Whose doing a difference is: c4d's own work that is not done yet, Kamailio's own marks, or somebody else's hand. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "reconcile/dispatcher_int.h"

/* ADDRESS:PORT as c4ctl takes it: of the instance, whose port need not be the URI's. */
static void
instance_text(const struct dispatcher *d, const struct set *s, const char *uri, char out[TOPO_ADDR_TEXT])
{
	const struct topo_service *service = topo_find(d->topo, s->conf->service);
	const struct topo_instance *found;
	struct topo_addr addr;
	size_t i;

	snprintf(out, TOPO_ADDR_TEXT, "ADDRESS:PORT");
	if (dslist_uri_addr(uri, &addr) != 0)
		return;
	found = topo_find_instance(service, &addr);
	for (i = 0; found == NULL && service != NULL && i < service->n; i++) {
		struct topo_addr same_port = service->inst[i].addr;

		same_port.port = addr.port;
		if (topo_addr_cmp(&same_port, &addr) == 0)
			found = &service->inst[i];
	}
	if (found != NULL)
		topo_addr_format(&found->addr, out);
}

static void
log_repair(const struct dispatcher *d, const struct set *s, const struct dsp_step *step)
{
	char addr[TOPO_ADDR_TEXT];

	instance_text(d, s, step->uri, addr);
	if (step->op == DSP_ENABLE)
		log_notice("target", "%s: somebody disabled %s; it is enabled again (to take it out: c4ctl drain %s, or maintenance "
		    "at Consul)", s->row.name, step->uri, addr);
	else
		log_notice("target", "%s: somebody changed the set (%s %s); it is put right", s->row.name,
		    dsp_op_name(step->op), step->uri);
}

/* False: the same repair was needed too often; the set is left alone for a while. */
static bool
note_repair(struct dispatcher *d, struct set *s, const struct dsp_step *step)
{
	char *key = step->state == NULL ? xstrdup("structure") : xasprintf("%s %s", dsp_op_name(step->op), step->uri);

	d->counts.repairs++;
	if (!repair_note(&s->row.repairs, key, now_ms(d))) {
		log_repair(d, s, step);
		return true;
	}
	s->row.backoff_ms = now_ms(d) + REPAIR_SPAN_MS;
	snprintf(s->row.error, sizeof s->row.error,
	    "somebody else changes set %s (%s %s, %d times in 60s): stop them; next try in 60s, or c4ctl resync %s",
	    s->conf->name, dsp_op_name(step->op), step->uri, REPAIR_MAX, s->row.name);
	return false;
}

/*
 * Kamailio itself takes the D away when a call that was under way fails there (ds_mark_dst in the failure
 * route): that is no second hand in the set, and with many calls it happens again and again.
 */
static bool
is_own_mark(const struct dispatcher *d, const struct dsp_step *step)
{
	const struct ds_entry *e;

	if (step->op != DSP_DISABLE)
		return false;
	e = dsp_find(&d->actual, step->set, step->uri);
	if (e == NULL || !(e->flags & (DS_INACTIVE | DS_TRYING)))
		return false;
	log_info("target", "%s/%d: Kamailio marked %s by itself (a call failed there); it is disabled again", d->conf->name,
	    step->set, step->uri);
	return true;
}

static void
note_repairs(struct dispatcher *d, struct set *s)
{
	size_t k;

	for (k = 0; k < d->plan.n; k++) {
		const struct dsp_step *step = &d->plan.v[k];

		if (step->set != s->conf->id || step->op == DSP_THEIRS || is_own_mark(d, step))
			continue;
		/* one reload repairs all that is structural: count it once */
		if (!note_repair(d, s, step) || dsp_is_structural(step))
			break;
	}
	if (s->row.backoff_ms <= now_ms(d) && k < d->plan.n)
		s->row.applied = 0;
}

void
dispatcher_filter_plan(struct dispatcher *d)
{
	struct dsp_plan *p = &d->plan;
	size_t i, n = 0;

	for (i = 0; i < d->n_sets; i++) {
		struct set *s = &d->sets[i];

		if (s->row.applied == d->topo->generation && s->row.backoff_ms <= now_ms(d) && d->verifies == 0 && !d->quick)
			note_repairs(d, s);
	}
	p->structural = 0;
	for (i = 0; i < p->n; i++) {
		const struct set *s = dispatcher_find_set(d, p->v[i].set);

		if (s != NULL && s->row.backoff_ms > now_ms(d)) {
			dsp_step_clear(&p->v[i]);
			continue;
		}
		p->structural += dsp_is_structural(&p->v[i]);
		p->v[n++] = p->v[i];
	}
	p->n = n;
}
