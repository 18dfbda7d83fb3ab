/* What c4ctl shows of targets: their states, what they hold, what is missing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "control/control.h"
#include "reconcile/dispatcher.h"

/* ---- targets ---- */

static json_t *
show_target(const struct target_view *v)
{
	json_t *o = json_object();

	jsonx_set_text(o, "target", v->name);
	jsonx_set_text(o, "kind", v->kind);
	jsonx_set_text(o, "state", target_state_name(v->state));
	jsonx_set_int(o, "desired_generation", (int64_t)v->desired_generation);
	jsonx_set_int(o, "applied_generation", (int64_t)v->applied_generation);
	jsonx_set_int(o, "pending", (int64_t)v->pending);
	jsonx_set_text(o, "last_error", v->last_error[0] ? v->last_error : NULL);
	jsonx_set_time(o, "since", v->since_ms);
	jsonx_set_int(o, "window_ms", v->window_ms);
	return o;
}

json_t *
show_targets(const struct app *a, const char *service)
{
	json_t *rows = json_array();
	struct target_walk w = { 0 };

	while (kamhost_walk(a->hosts, a->n_hosts, &w))
		if (service == NULL || w.target->ops->holds(w.target, w.row, service))
			json_array_append_new(rows, show_target(&w.view));
	return rows;
}

bool
show_target_wanted(const char *only, const char *name)
{
	size_t len = only ? strlen(only) : 0;

	return only == NULL || strcmp(only, name) == 0 || (strncmp(only, name, len) == 0 && name[len] == '/');
}

json_t *
show_filter_targets(json_t *rows, const char *only)
{
	size_t i = 0;

	while (i < json_array_size(rows))
		if (show_target_wanted(only, jsonx_get_text(json_array_get(rows, i), "target")))
			i++;
		else
			json_array_remove(rows, i);
	return rows;
}

void
ctl_show_targets(struct control_req *r)
{
	json_t *rows = show_filter_targets(show_targets(control_app(r), NULL), control_arg(r, 0));

	show_reply_rows(r, rows, json_array_size(rows) > 0, "target");
}

/* One row of "show dispatcher", of `e`, which is wanted, or had, or both; want or have is NULL where it is not. */
static json_t *
show_destination(const char *target, const struct ds_entry *e, const struct ds_entry *want, const struct ds_entry *have,
    bool was_read)
{
	json_t *o = json_object();
	char flags[8];

	jsonx_set_text(o, "target", target);
	jsonx_set_int(o, "set", e->set);
	jsonx_set_text(o, "uri", e->uri);
	jsonx_set_text(o, "desired", want == NULL ? NULL : want->flags & DS_DISABLED ? "disabled" : "active");
	if (have != NULL)
		dsp_flags_text(have->flags, flags);
	jsonx_set_text(o, "actual", have != NULL && was_read ? flags : NULL);
	jsonx_set_int(o, "priority", e->priority);
	jsonx_set_text(o, "attrs", e->attrs);
	return o;
}

json_t *
show_sets(const struct conf_kamailio *c, const struct ds_entries *want, const struct ds_entries *have, bool was_read)
{
	struct dsp_index wanted = dsp_index_make(want), listed = dsp_index_make(have);
	json_t *rows = json_array();
	size_t i, k;

	for (k = 0; k < c->n_sets; k++) {
		char *target = xasprintf("%s/%s", c->name, c->sets[k]->name);
		int set = (int)c->sets[k]->id;

		/* first what is desired, then what Kamailio has besides */
		for (i = 0; i < want->n; i++)
			if (want->v[i].set == set)
				json_array_append_new(rows, show_destination(target, &want->v[i], &want->v[i],
				    dsp_index_find(&listed, set, want->v[i].uri), was_read));
		for (i = 0; i < have->n; i++)
			if (have->v[i].set == set && dsp_index_find(&wanted, set, have->v[i].uri) == NULL)
				json_array_append_new(rows, show_destination(target, &have->v[i], NULL, &have->v[i], was_read));
		free(target);
	}
	dsp_index_free(&wanted);
	dsp_index_free(&listed);
	return rows;
}

json_t *
show_destinations(const struct kamhost *h)
{
	struct dispatcher *d = kamhost_dispatcher(h);
	struct ds_entries want = { 0 };
	json_t *rows;

	if (d == NULL)
		return json_array();
	dispatcher_desired(d, &want);
	rows = show_sets(kamhost_conf(h), &want, dispatcher_actual(d), dispatcher_target(d)->ops->was_read(dispatcher_target(d)));
	ds_entries_clear(&want);
	return rows;
}

void
ctl_show_dispatcher(struct control_req *r)
{
	struct app *a = control_app(r);
	json_t *rows = json_array(), *some;
	bool found = false;
	size_t i, k;

	for (i = 0; i < a->n_hosts; i++) {
		const struct conf_kamailio *c = kamhost_conf(a->hosts[i]);

		for (k = 0; k < c->n_sets; k++) {
			char *target = xasprintf("%s/%s", c->name, c->sets[k]->name);

			found |= show_target_wanted(control_arg(r, 0), target);
			free(target);
		}
		some = show_destinations(a->hosts[i]);
		json_array_extend(rows, some);
		json_decref(some);
	}
	show_reply_rows(r, show_filter_targets(rows, control_arg(r, 0)), found, "target");
}

/* ---- diff ---- */

static void
add_step(void *arg, const struct target_step *step)
{
	json_t *o = json_object();

	jsonx_set_text(o, "target", step->target);
	jsonx_set_text(o, "where", step->where);
	jsonx_set_text(o, "op", step->op);
	jsonx_set_text(o, "item", step->item);
	jsonx_set_text(o, "detail", step->detail);
	json_array_append_new(arg, o);
}

void
show_diff(const struct kamhost *h, json_t *rows)
{
	size_t i;

	for (i = 0; i < kamhost_targets(h); i++) {
		const struct target *t = kamhost_target(h, i);

		t->ops->diff(t, true, add_step, rows);
	}
}

void
ctl_diff(struct control_req *r)
{
	struct app *a = control_app(r);
	json_t *rows = json_array(), *targets = show_filter_targets(show_targets(a, NULL), control_arg(r, 0));
	size_t i, n = json_array_size(targets);
	bool unread = false;

	for (i = 0; i < a->n_hosts; i++)
		show_diff(a->hosts[i], rows);
	for (i = 0; i < n; i++)
		unread |= strcmp(jsonx_get_text(json_array_get(targets, i), "state"), "unreachable") == 0;
	json_decref(targets);
	if (n == 0 && control_arg(r, 0) != NULL) {
		json_decref(rows);
		control_end(r, EXIT_NO, "no target %s", control_arg(r, 0));
		return;
	}
	show_filter_targets(rows, control_arg(r, 0));
	n = json_array_size(rows);
	control_data(r, rows);
	if (unread)
		control_end(r, EXIT_NO, "a Kamailio can't be read now (c4ctl show targets): its list is not compared");
	else
		control_end(r, n == 0 ? EXIT_DONE : EXIT_NO, NULL);
}
