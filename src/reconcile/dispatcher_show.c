/* How the sets of one Kamailio are shown: states, differences, counters. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "reconcile/dispatcher_int.h"

static void
set_show(struct dispatcher *d, struct set *s, enum target_state state, const char *error)
{
	bool changed = s->state != state;
	bool news = strcmp(s->error, error) != 0 && error[0];

	if (changed) {
		s->state = state;
		s->since_ms = loop_wall_ms(d->deps.loop);
	}
	if (error != s->error)
		snprintf(s->error, sizeof s->error, "%s", error);
	if (d->deps.dry || !(changed || news))
		return;
	if (state == TARGET_FAILED)
		log_error("target", "%s failed: %s", s->name, error);
	else if (state == TARGET_UNREACHABLE)
		log_warnx("target", "%s unreachable: %s", s->name, error);
	else if (changed && state == TARGET_CONVERGED)
		log_notice("target", "%s converged generation=%" PRIu64, s->name, s->applied);
	else if (changed)
		log_info("target", "%s %s%s%s", s->name, target_state_name(state), error[0] ? ": " : "", error);
}

static size_t
count_steps(const struct dispatcher *d, int set, bool *structural)
{
	size_t i, n = 0;

	*structural = false;
	for (i = 0; i < d->plan.n; i++) {
		if (d->plan.v[i].set != set)
			continue;
		n++;
		*structural |= d->plan.v[i].state == NULL;
	}
	return n;
}

static bool
is_ref(const struct dispatcher *d, int set)
{
	size_t i;

	for (i = 0; i < d->n_refs; i++)
		if (d->refs[i].id == set)
			return true;
	return false;
}

static void
set_verified(struct dispatcher *d, struct set *s)
{
	uint64_t generation = d->topo->generation;

	if (generation > s->recorded && d->deps.store != NULL && generation > d->start_generation) {
		store_put_times(d->deps.store, generation, s->name,
		    d->applied_wall_ms ? d->applied_wall_ms : loop_wall_ms(d->deps.loop), loop_wall_ms(d->deps.loop));
		s->recorded = generation;
	}
	s->applied = generation;
}

void
dispatcher_show_sets(struct dispatcher *d)
{
	char text[512];
	bool structural;
	size_t i;

	/* Not tried yet, or a call just failed with its connection: on_down() comes soon and knows why. */
	if (!is_up(d) && (!kamhost_was_heard(d->host) || kamhost_down_why(d->host)[0] == '\0'))
		return;
	for (i = 0; i < d->n_sets; i++) {
		struct set *s = &d->sets[i];

		s->pending = d->topo ? count_steps(d, (int)s->conf->id, &structural) : 0;
		if (d->file_locked_out) {
			set_show(d, s, TARGET_FAILED, d->file_error);
		} else if (d->topo == NULL) {
			set_show(d, s, TARGET_PENDING, "");
		} else if (!is_ref(d, (int)s->conf->id)) {
			snprintf(text, sizeof text, "service %s never had an instance: nothing is touched", s->conf->service);
			set_show(d, s, is_up(d) ? TARGET_PENDING : TARGET_UNREACHABLE,
			    is_up(d) ? text : kamhost_down_why(d->host));
		} else if (s->backoff_ms > now_ms(d)) {
			set_show(d, s, TARGET_FAILED, s->error);
		} else if (d->file_error[0]) {
			/* what set_state can do was done all the same */
			if (is_up(d) && d->was_read && s->pending == 0)
				set_verified(d, s);
			set_show(d, s, TARGET_FAILED, d->file_error);
		} else if (!is_up(d)) {
			set_show(d, s, TARGET_UNREACHABLE, kamhost_down_why(d->host));
		} else if (d->reload_error[0] && structural) {
			set_show(d, s, TARGET_FAILED, d->reload_error);
		} else if (!d->was_read) {
			set_show(d, s, d->list_error[0] ? TARGET_FAILED : TARGET_PENDING, d->list_error);
		} else if (s->pending > 0) {
			set_show(d, s, structural && d->window_ms > now_ms(d) ? TARGET_WINDOW : TARGET_PENDING, "");
		} else {
			set_verified(d, s);
			set_show(d, s, TARGET_CONVERGED, "");
		}
	}
}

/* ---- views ---- */

size_t
dispatcher_rows(const struct target *t)
{
	return of_const_target(t)->n_sets;
}

void
dispatcher_view(const struct target *t, size_t i, struct target_view *v)
{
	const struct dispatcher *d = of_const_target(t);
	const struct set *s = &d->sets[i];
	int64_t left = d->window_ms - now_ms(d);

	memset(v, 0, sizeof *v);
	snprintf(v->name, sizeof v->name, "%s", s->name);
	v->kind = "dispatcher";
	v->state = s->state;
	v->desired_generation = platform_generation(d->deps.platform);
	v->applied_generation = s->applied;
	/* between the change and the pass that brings it about */
	if (v->state == TARGET_CONVERGED && v->applied_generation != v->desired_generation)
		v->state = TARGET_PENDING;
	v->pending = s->pending;
	v->last_error = s->error;
	v->since_ms = s->since_ms;
	v->window_ms = left > 0 ? left : 0;
}

bool
dispatcher_holds(const struct target *t, size_t i, const char *service)
{
	return strcmp(of_const_target(t)->sets[i].conf->service, service) == 0;
}

uint64_t
dispatcher_passes(const struct target *t)
{
	return of_const_target(t)->passes;
}

bool
dispatcher_was_read(const struct target *t)
{
	return of_const_target(t)->was_read;
}

void
dispatcher_counts(const struct target *t, struct target_counts *add)
{
	const struct target_counts *n = &of_const_target(t)->counts;

	add->reloads += n->reloads;
	add->set_states += n->set_states;
	add->file_writes += n->file_writes;
	add->faults += n->faults;
	add->window_waits += n->window_waits;
	add->repairs += n->repairs;
}

void
dispatcher_desired(const struct dispatcher *d, struct ds_entries *out)
{
	struct ds_set_ref *refs = xcalloc(d->n_sets, sizeof *refs);
	size_t n;

	dsp_desired(d->conf, platform_now(d->deps.platform), out, refs, &n);
	free(refs);
}

const struct ds_entries *
dispatcher_actual(const struct dispatcher *d)
{
	return &d->actual;
}

static void
tell_steps(const struct dispatcher *d, const struct dsp_plan *p, const char *where, target_step_cb *cb, void *arg)
{
	char name[TARGET_NAME_MAX];
	size_t i;

	for (i = 0; i < p->n; i++) {
		struct target_step s = {
			.target = name,
			.where = where,
			.op = dsp_op_name(p->v[i].op),
			.item = p->v[i].uri,
			.detail = p->v[i].detail,
		};

		snprintf(name, sizeof name, "%s/%d", d->conf->name, p->v[i].set);
		cb(arg, &s);
	}
}

void
dispatcher_diff(const struct target *t, bool file, target_step_cb *cb, void *arg)
{
	const struct dispatcher *d = of_const_target(t);
	struct ds_set_ref *refs = xcalloc(d->n_sets, sizeof *refs);
	struct ds_entries desired = { 0 };
	struct dsp_plan p = { 0 };
	size_t n;

	dsp_desired(d->conf, platform_now(d->deps.platform), &desired, refs, &n);
	if (d->was_read) {
		dsp_make_plan(&desired, &d->actual, &d->foreign, refs, n, &p);
		tell_steps(d, &p, "kamailio", cb, arg);
		dsp_plan_clear(&p);
	}
	if (file && d->loaded) {
		dsp_make_plan(&desired, &d->filed, &d->foreign, refs, n, &p);
		tell_steps(d, &p, "file", cb, arg);
		dsp_plan_clear(&p);
	}
	ds_entries_clear(&desired);
	free(refs);
}
