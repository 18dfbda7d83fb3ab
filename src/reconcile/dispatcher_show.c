/* How the sets of one Kamailio are shown: states, differences, counters. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "reconcile/dispatcher_int.h"

/* What is missing of one set. */
struct missing {
	size_t steps;      /* what c4d can do */
	bool structural;
	const char *blocked; /* why one of them can't be done; NULL */
	const struct dsp_step *theirs; /* somebody else's line differs; NULL */
};

static struct missing
count_steps(const struct dispatcher *d, int set)
{
	struct missing m = { 0 };
	size_t i;

	for (i = 0; i < d->plan.n; i++) {
		const struct dsp_step *s = &d->plan.v[i];

		if (s->set != set)
			continue;
		m.steps += s->op != DSP_THEIRS;
		m.structural |= dsp_is_structural(s);
		if (m.blocked == NULL)
			m.blocked = s->blocked;
		if (m.theirs == NULL && s->op == DSP_THEIRS)
			m.theirs = s;
	}
	return m;
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
set_show(struct dispatcher *d, struct set *s, enum target_state state, const char *error)
{
	target_row_show(&s->row, &d->deps, state, error);
}

static void
set_verified(struct dispatcher *d, struct set *s)
{
	target_row_verified(&s->row, &d->deps, d->topo->generation, d->start_generation, d->applied_wall_ms);
}

/* Kamailio was read back, and this set is not given up. */
static void
show_read(struct dispatcher *d, struct set *s, const struct missing *m)
{
	char text[512];

	if (m->blocked != NULL) {
		set_show(d, s, TARGET_FAILED, m->blocked);
	} else if (m->steps > 0) {
		dispatcher_describe_wait(d, text, sizeof text);
		set_show(d, s, m->structural && d->window_ms > now_ms(d) ? TARGET_WINDOW : TARGET_PENDING, m->structural ? text : "");
	} else if (m->theirs != NULL) {
		set_verified(d, s);
		snprintf(text, sizeof text, "%s has a line for %s that is not c4d's (%s): it stands until somebody corrects or removes it",
		    d->conf->list_file, m->theirs->uri, m->theirs->detail);
		set_show(d, s, TARGET_FAILED, text);
	} else {
		set_verified(d, s);
		set_show(d, s, TARGET_CONVERGED, "");
	}
}

void
dispatcher_show_sets(struct dispatcher *d)
{
	char text[512];
	size_t i;

	/* Not tried yet, or a call just failed with its connection: on_down() comes soon and knows why. */
	if (!is_up(d) && (!kamhost_was_heard(d->host) || kamhost_down_why(d->host)[0] == '\0'))
		return;
	for (i = 0; i < d->n_sets; i++) {
		struct set *s = &d->sets[i];
		struct missing m = count_steps(d, (int)s->conf->id);

		s->row.pending = m.steps;
		if (d->file_locked_out) {
			set_show(d, s, TARGET_FAILED, d->file_error);
		} else if (d->topo == NULL) {
			set_show(d, s, TARGET_PENDING, "");
		} else if (!is_ref(d, (int)s->conf->id)) {
			snprintf(text, sizeof text, "service %s never had an instance: nothing is touched", s->conf->service);
			set_show(d, s, is_up(d) ? TARGET_PENDING : TARGET_UNREACHABLE,
			    is_up(d) ? text : kamhost_down_why(d->host));
		} else if (s->row.backoff_ms > now_ms(d)) {
			set_show(d, s, TARGET_FAILED, s->row.error);
		} else if (d->file_error[0]) {
			/* what set_state can do was done all the same */
			if (is_up(d) && d->was_read && m.steps == 0)
				set_verified(d, s);
			set_show(d, s, TARGET_FAILED, d->file_error);
		} else if (!is_up(d)) {
			set_show(d, s, TARGET_UNREACHABLE, kamhost_down_why(d->host));
		} else if (d->reload_error[0] && m.structural) {
			set_show(d, s, TARGET_FAILED, d->reload_error);
		} else if (!d->was_read) {
			set_show(d, s, d->list_error[0] ? TARGET_FAILED : TARGET_PENDING, d->list_error);
		} else {
			show_read(d, s, &m);
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

	target_row_view(&d->sets[i].row, &d->deps, "dispatcher", d->window_ms, v);
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
	target_counts_add(add, &of_const_target(t)->counts);
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
	struct dsp_known known = dispatcher_known(d);
	struct ds_entries desired = { 0 }, block = { 0 };
	struct dsp_plan p = { 0 };
	size_t n;

	dsp_desired(d->conf, platform_now(d->deps.platform), &desired, refs, &n);
	if (d->was_read) {
		dsp_make_plan(&desired, &d->actual, &d->foreign, refs, n, &p);
		tell_steps(d, &p, "kamailio", cb, arg);
		dsp_plan_clear(&p);
	}
	if (file && d->loaded) {
		dsp_file_entries(&desired, &known, &block);
		dsp_make_plan(&block, &d->filed, &d->foreign, refs, n, &p);
		tell_steps(d, &p, "file", cb, arg);
		dsp_plan_clear(&p);
	}
	ds_entries_clear(&block);
	ds_entries_clear(&desired);
	free(refs);
}
