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

static size_t
count_steps(const struct table *t, const struct part *p, bool *structural)
{
	size_t i, n = 0;

	*structural = false;
	for (i = 0; i < t->plan.n; i++) {
		if (table_part(t, t->plan.v[i].row->set) != p)
			continue;
		n++;
		*structural |= table_op_is_structural(t->plan.v[i].op);
	}
	return n;
}

/* Something is missing: why, if that is known, and can it go now? */
static void
show_pending(struct table *t, struct part *p, bool structural)
{
	const char *why = p->row.backoff_ms > now_ms(t) ? p->war : t->reload_error[0] && structural ? t->reload_error :
	    p->refused_ms > now_ms(t) ? p->refused : t->trouble;

	target_row_show(&p->row, &t->deps, why[0] && why != t->trouble ? TARGET_FAILED : structural && t->window_ms > now_ms(t) ? TARGET_WINDOW :
	    TARGET_PENDING, why);
}

/* What can be said of it only when it could be read. */
static void
show_read(struct table *t, struct part *p)
{
	bool structural;

	p->row.pending = count_steps(t, p, &structural);
	if (p->row.pending == 0 && !p->mute)
		target_row_verified(&p->row, &t->deps, t->topo->generation, t->start_generation, t->applied_wall_ms);
	if (t->file_error[0])
		target_row_show(&p->row, &t->deps, TARGET_FAILED, t->file_error); /* what needs no file was done all the same */
	else if (p->mute)
		target_row_show(&p->row, &t->deps, p->silence[0] ? TARGET_FAILED : TARGET_PENDING, p->silence);
	else if (p->row.pending > 0)
		show_pending(t, p, structural);
	else if (t->trouble[0])
		target_row_show(&p->row, &t->deps, TARGET_FAILED, t->trouble);
	else
		target_row_show(&p->row, &t->deps, TARGET_CONVERGED, "");
}

static void
show_part(struct table *t, struct part *p)
{
	const struct table_scope *scope = t->topo ? table_scope_find(&t->scopes, p->set) : NULL;
	const char *service = t->kind->service(t->conf, p->set, 0);
	char text[256];

	p->row.pending = 0;
	if (t->file_locked_out) {
		target_row_show(&p->row, &t->deps, TARGET_FAILED, t->file_error);
	} else if (t->topo == NULL) {
		target_row_show(&p->row, &t->deps, TARGET_PENDING, "");
	} else if (scope == NULL) {
		if (t->kind == &table_kind_uacreg)
			snprintf(text, sizeof text, "there is no routing data yet: nothing is touched");
		else
			snprintf(text, sizeof text, "service %s never had an instance: nothing is touched", service ? service : "?");
		target_row_show(&p->row, &t->deps, is_up(t) ? TARGET_PENDING : TARGET_UNREACHABLE,
		    is_up(t) ? text : kamhost_down_why(t->host));
	} else if (is_up(t) && t->was_read) {
		show_read(t, p);
	} else if (t->file_error[0]) {
		target_row_show(&p->row, &t->deps, TARGET_FAILED, t->file_error);
	} else if (!is_up(t)) {
		target_row_show(&p->row, &t->deps, TARGET_UNREACHABLE, kamhost_down_why(t->host));
	} else {
		target_row_show(&p->row, &t->deps, t->read_error[0] ? TARGET_FAILED : TARGET_PENDING, t->read_error);
	}
}

void
table_show_parts(struct table *t)
{
	size_t i;

	if (t->was_read && t->plan.n == 0)
		t->applied_hash = table_rows_hash(&t->desired);
	/* Not tried yet, or a call just failed with its connection: down() comes soon and knows why. */
	if (!is_up(t) && (!kamhost_was_heard(t->host) || kamhost_down_why(t->host)[0] == '\0'))
		return;
	for (i = 0; i < t->n_parts; i++)
		show_part(t, &t->parts[i]);
}

/* ---- views ---- */

size_t
table_rows_count(const struct target *t)
{
	return of(t)->n_parts;
}

void
table_view(const struct target *target, size_t i, struct target_view *v)
{
	const struct table *t = of(target);

	target_row_view(&t->parts[i].row, &t->deps, t->kind->name, t->window_ms, v);
}

bool
table_holds(const struct target *target, size_t i, const char *service)
{
	const struct table *t = of(target);
	const char *s;
	size_t k;

	for (k = 0; (s = t->kind->service(t->conf, t->parts[i].set, k)) != NULL; k++)
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
	/* what is desired is of the topology that the last pass saw, not of one that was just made */
	return of(t)->was_read && (of(t)->deps.dry || of(t)->topo == platform_now(of(t)->deps.platform));
}

void
table_counts(const struct target *t, struct target_counts *add)
{
	target_counts_add(add, &of(t)->counts);
}

struct telling {
	const struct table *t;
	const struct table_rows *desired;
	const struct table_scopes *scopes;
	target_step_cb *cb;
	void *arg;
};

static void
tell_steps(const struct telling *to, const struct table_rows *have, const char *where)
{
	struct table_plan p = { 0 };
	size_t i;

	table_make_plan(to->desired, have, to->scopes, &p);
	for (i = 0; i < p.n; i++) {
		const struct target_step s = {
			.target = table_part(to->t, p.v[i].row->set)->row.name,
			.where = where,
			.op = table_op_name(p.v[i].op),
			.item = p.v[i].text,
			.detail = p.v[i].detail,
		};

		to->cb(to->arg, &s);
	}
	table_plan_clear(&p);
}

void
table_diff(const struct target *target, bool file, target_step_cb *cb, void *arg)
{
	const struct table *t = of(target);
	struct table_rows rows = { 0 };
	struct table_scopes scopes = { 0 };
	struct telling to = { t, &t->desired, &t->scopes, cb, arg };

	if (t->topo == NULL)
		return;
	if (t->deps.dry) { /* its pass was before DNS was asked */
		table_want_dry(t, &rows, &scopes);
		to.desired = &rows;
		to.scopes = &scopes;
	}
	if (t->was_read)
		tell_steps(&to, &t->actual, "kamailio");
	if (file && t->loaded)
		tell_steps(&to, &t->filed, "file");
	table_rows_clear(&rows);
	free(scopes.v);
}

struct showing {
	const struct table *t;
	const struct table_rows *wanted;
	table_show_cb *cb;
	void *arg;
};

static void
show_one(const struct showing *to, const struct table_row *row, bool desired, bool unproven)
{
	const struct table *t = to->t;
	const struct table_row *wanted = table_find(to->wanted, row);
	const struct table_show s = {
		.target = table_part(t, row->set)->row.name,
		.row = row,
		.desired = desired,
		.was_read = t->was_read,
		.unproven = unproven,
		.wanted = wanted != NULL && !wanted->disabled,
		.actual = t->was_read ? table_find(&t->actual, row) : NULL,
		.node = table_node(t, row),
	};

	to->cb(to->arg, &s);
}

void
table_show(const struct table *t, table_show_cb *cb, void *arg)
{
	struct table_rows wanted = { 0 };
	struct table_scopes scopes = { 0 };
	const struct showing to = { t, &wanted, cb, arg };
	size_t i;

	if (t->topo != NULL) /* once more, since `desired` heeds what the nodes say of themselves */
		t->kind->desire(t->conf, t->topo, &wanted, &scopes);
	for (i = 0; i < t->desired.n; i++)
		show_one(&to, &t->desired.v[i], true, false);
	for (i = 0; i < t->unproven.n; i++)
		show_one(&to, &t->unproven.v[i], true, true);
	for (i = 0; i < t->actual.n && t->was_read; i++)
		if (table_scope_find(&t->scopes, t->actual.v[i].set) != NULL && table_find(&t->desired, &t->actual.v[i]) == NULL)
			show_one(&to, &t->actual.v[i], false, false);
	table_rows_clear(&wanted);
	free(scopes.v);
}
