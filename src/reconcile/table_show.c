/* How a table is shown: states of its rows, differences, counters. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "reconcile/table_int.h"

static const struct table *
of(const struct target *t)
{
	return CONTAINER_OF(t, const struct table, target);
}

uint64_t
table_hash(const struct table_rows *r)
{
	uint64_t h = 14695981039346656037ull;
	struct buf b = { 0 };
	size_t i, k;

	for (i = 0; i < r->n; i++) {
		const struct table_row *row = &r->v[i];

		b.len = 0;
		buf_printf(&b, "%d %s %d %d %d %d %s", row->set, row->item, row->mask, row->port, row->weight, row->disabled,
		    row->tag ? row->tag : "");
		for (k = 0; k <= b.len; k++)
			h = (h ^ (uint8_t)b.s[k]) * 1099511628211ull;
	}
	buf_free(&b);
	return h ? h : 1;
}

static bool
is_for(const struct table *t, size_t row, int set)
{
	return t->kind->one_row || t->sets[row] == set;
}

static size_t
count_steps(const struct table *t, size_t row, bool *structural)
{
	size_t i, n = 0;

	*structural = false;
	for (i = 0; i < t->plan.n; i++) {
		if (!is_for(t, row, t->plan.v[i].set))
			continue;
		n++;
		*structural |= table_op_is_structural(t->plan.v[i].op);
	}
	return n;
}

static void
show_pending(struct table *t, struct target_row *r, bool structural)
{
	if (t->reload_error[0] && structural)
		target_row_show(r, &t->deps, TARGET_FAILED, t->reload_error);
	else
		target_row_show(r, &t->deps, structural && t->window_ms > now_ms(t) ? TARGET_WINDOW : TARGET_PENDING, "");
}

static void
show_row(struct table *t, size_t i)
{
	struct target_row *r = &t->rows[i];
	const struct table_scope *scope = t->topo ? table_scope_find(&t->scopes, t->sets[i]) : NULL;
	const char *service = t->kind->service(t->conf, t->sets[i], 0);
	bool structural = false, up = is_up(t);
	char text[256];

	r->pending = count_steps(t, i, &structural);
	if (t->file_locked_out) {
		target_row_show(r, &t->deps, TARGET_FAILED, t->file_error);
	} else if (t->topo == NULL) {
		target_row_show(r, &t->deps, TARGET_PENDING, "");
	} else if (scope == NULL) {
		snprintf(text, sizeof text, "service %s never had an instance: nothing is touched", service ? service : "?");
		target_row_show(r, &t->deps, up ? TARGET_PENDING : TARGET_UNREACHABLE, up ? text : kamhost_down_why(t->host));
	} else if (r->backoff_ms > now_ms(t)) {
		target_row_show(r, &t->deps, TARGET_FAILED, r->error);
	} else if (t->file_error[0]) {
		/* what needs no file was done all the same */
		if (up && t->was_read && r->pending == 0)
			target_row_verified(r, &t->deps, t->topo->generation, t->start_generation, t->applied_wall_ms);
		target_row_show(r, &t->deps, TARGET_FAILED, t->file_error);
	} else if (!up) {
		target_row_show(r, &t->deps, TARGET_UNREACHABLE, kamhost_down_why(t->host));
	} else if (!t->was_read) {
		target_row_show(r, &t->deps, t->read_error[0] ? TARGET_FAILED : TARGET_PENDING, t->read_error);
	} else if (t->mute) {
		target_row_show(r, &t->deps, t->mute_error[0] ? TARGET_FAILED : TARGET_PENDING, t->mute_error);
	} else if (r->pending > 0) {
		show_pending(t, r, structural);
	} else {
		target_row_verified(r, &t->deps, t->topo->generation, t->start_generation, t->applied_wall_ms);
		target_row_show(r, &t->deps, TARGET_CONVERGED, "");
	}
}

void
table_show_rows(struct table *t)
{
	size_t i;

	if (t->was_read && t->plan.n == 0)
		t->applied_hash = table_hash(&t->desired);
	/* Not tried yet, or a call just failed with its connection: down() comes soon and knows why. */
	if (!is_up(t) && (!kamhost_was_heard(t->host) || kamhost_down_why(t->host)[0] == '\0'))
		return;
	for (i = 0; i < t->n_rows; i++)
		show_row(t, i);
}

/* ---- views ---- */

size_t
table_rows_count(const struct target *t)
{
	return of(t)->n_rows;
}

void
table_view(const struct target *target, size_t i, struct target_view *v)
{
	const struct table *t = of(target);

	target_row_view(&t->rows[i], &t->deps, t->kind->name, t->window_ms, v);
}

bool
table_holds(const struct target *target, size_t i, const char *service)
{
	const struct table *t = of(target);
	const char *s;
	size_t k;

	for (k = 0; (s = t->kind->service(t->conf, t->sets[i], k)) != NULL; k++)
		if (strcmp(s, service) == 0)
			return true;
	return false;
}

uint64_t
table_passes(const struct target *t)
{
	return of(t)->passes;
}

bool
table_was_read(const struct target *t)
{
	return of(t)->was_read;
}

void
table_counts(const struct target *t, struct target_counts *add)
{
	const struct target_counts *n = &of(t)->counts;

	add->reloads += n->reloads;
	add->set_states += n->set_states;
	add->file_writes += n->file_writes;
	add->faults += n->faults;
	add->window_waits += n->window_waits;
	add->repairs += n->repairs;
}

static void
tell_steps(const struct table *t, const struct table_rows *have, const char *where, target_step_cb *cb, void *arg)
{
	struct table_plan p = { 0 };
	size_t i, k;

	table_make_plan(&t->desired, have, &t->scopes, &p);
	for (i = 0; i < p.n; i++) {
		struct target_step s = {
			.target = t->rows[0].name,
			.where = where,
			.op = table_op_name(p.v[i].op),
			.item = p.v[i].item,
			.detail = p.v[i].detail,
		};

		for (k = 0; k < t->n_rows; k++)
			if (is_for(t, k, p.v[i].set))
				s.target = t->rows[k].name;
		cb(arg, &s);
	}
	table_plan_clear(&p);
}

void
table_diff(const struct target *target, bool file, target_step_cb *cb, void *arg)
{
	const struct table *t = of(target);

	if (t->topo == NULL)
		return;
	if (t->was_read)
		tell_steps(t, &t->actual, "kamailio", cb, arg);
	if (file && t->loaded)
		tell_steps(t, &t->filed, "file", cb, arg);
}

static void
show_one(const struct table *t, const struct table_row *row, bool desired, table_show_cb *cb, void *arg)
{
	struct table_show s = { .target = t->rows[0].name, .row = row, .desired = desired, .was_read = t->was_read };
	struct topo_addr addr;
	size_t i;

	for (i = 0; i < t->n_rows; i++)
		if (is_for(t, i, row->set))
			s.target = t->rows[i].name;
	s.actual = t->was_read ? table_find(&t->actual, row) : NULL;
	for (i = 0; i < t->n_leftovers; i++)
		s.leaving |= t->leftovers[i].leaving_ms != 0 && t->leftovers[i].set == row->set &&
		    strcmp(t->leftovers[i].item, row->item) == 0;
	if (t->nodes != NULL && table_url_addr(row->item, &addr) == 0)
		s.node = nodes_find(t->nodes, &addr);
	cb(arg, &s);
}

void
table_show(const struct table *t, table_show_cb *cb, void *arg)
{
	size_t i;

	for (i = 0; i < t->desired.n; i++)
		show_one(t, &t->desired.v[i], true, cb, arg);
	for (i = 0; i < t->actual.n && t->was_read; i++)
		if (table_scope_find(&t->scopes, t->actual.v[i].set) != NULL && table_find(&t->desired, &t->actual.v[i]) == NULL)
			show_one(t, &t->actual.v[i], false, cb, arg);
}
