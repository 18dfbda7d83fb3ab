#include "reconcile/table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "kamailio/hint.h"
#include "reconcile/table_int.h"
#include "routing/uacreg.h"

#define FILE_CHECK_MS 5000   /* the file is compared at least this often, whoever edits it */
#define FILE_SURE_MS 1000    /* and before a reload, when that is longer ago */
#define FILE_RETRY_MS 2000   /* after it could not be written or locked */
#define EARLY_RETRY_MS 500   /* Kamailio is starting */
#define VERIFY_MAX 4         /* read-backs within one pass */
#define REREAD_MAX 3         /* times that somebody else may write the file within one pass */
#define SOON_MS 200
#define LOADS_MS 1000        /* a Kamailio that starts answers before uac has read its table: a reload now would cost the window */
#define POLL_QUIET_MS 10000  /* tables that are changed by nobody but c4d are read this often at most */

static void pass_join(struct table *);
static void kick(struct target *);

void
table_again(struct table *t, int64_t ms)
{
	if (t->again_ms == 0 || now_ms(t) + ms < t->again_ms)
		t->again_ms = now_ms(t) + ms;
}

static bool
is_for(const struct table *t, const struct part *p, int set)
{
	return t->kind->one_row || p->set == set;
}

struct part *
table_part(const struct table *t, int set)
{
	size_t i;

	for (i = 0; i < t->n_parts; i++)
		if (is_for(t, &t->parts[i], set))
			return &t->parts[i];
	return NULL; /* of a set that is not ours */
}

/* ---- the pass: read, plan, in and out, file, reload, read back ---- */

/* How often it is read when nothing happens. */
static int64_t
poll_ms(const struct table *t)
{
	return t->kind->probed || t->conf->poll_ms > POLL_QUIET_MS ? t->conf->poll_ms : POLL_QUIET_MS;
}

void
table_pass_end(struct table *t)
{
	int64_t delay = poll_ms(t);

	t->running = false;
	t->passes++;
	table_show_parts(t);
	if (t->file_error[0])
		table_again(t, FILE_RETRY_MS);
	if (t->early)
		table_again(t, EARLY_RETRY_MS);
	t->early = false;
	/* The last change is never lost: whatever keeps us from it, the timer comes back to it. */
	if (t->again_ms != 0 && t->again_ms - now_ms(t) < delay)
		delay = t->again_ms > now_ms(t) ? t->again_ms - now_ms(t) : 0;
	if (!t->deps.dry)
		loop_timer_start(&t->timer, t->dirty ? 0 : delay);
	t->deps.event(t->deps.arg);
}

/* A set of which nobody answers must not keep the others from their reload. */
static bool
others_want_reload(const struct table *t)
{
	bool mute = false, others = false;
	size_t i;

	for (i = 0; i < t->n_parts; i++)
		mute |= t->parts[i].mute;
	for (i = 0; i < t->plan.n && mute; i++) {
		const struct part *p = table_part(t, t->plan.v[i].row->set);

		others |= table_op_is_structural(t->plan.v[i].op) && p != NULL && !p->mute;
	}
	return mute && others;
}

static void
make_plan(struct table *t, bool reload)
{
	table_plan_clear(&t->plan);
	table_want(t, reload);
	t->structural = 0;
	if (t->was_read)
		table_make_plan(&t->desired, &t->actual, &t->scopes, &t->plan);
}

static bool
store_is_due(const struct table *t)
{
	int64_t age = now_ms(t) - t->file_checked_ms;

	if (t->scopes.n == 0)
		return false;
	return t->file_error[0] || t->write_again || age >= FILE_CHECK_MS ||
	    !table_file_is_right(&t->filed, &t->desired, &t->scopes) || (t->structural > 0 && t->window_ms <= now_ms(t) && age >= FILE_SURE_MS);
}

static void
pass_plan(struct table *t)
{
	make_plan(t, false);
	if (others_want_reload(t))
		make_plan(t, true);
	if (t->deps.dry || t->file_locked_out) {
		table_pass_end(t);
		return;
	}
	if (t->was_read) {
		table_filter_plan(t);
		table_check_stuck(t);
		table_note_leavers(t);
		t->more = false;
		t->after_reload = false;
	}
	t->next = 0;
	t->acted = false;
	table_pass_act(t);
}

/* What needs no file does not wait for the disk. */
void
table_pass_act(struct table *t)
{
	if (table_next_instant(t))
		return;
	if (store_is_due(t))
		tablefile_store(t->file, &t->scopes, &t->filed, &t->desired, t->write_again);
	else
		pass_join(t);
}

/* The file is written (or not): now the running one. */
static void
pass_join(struct table *t)
{
	bool up = is_up(t) && t->was_read, may, leaving; /* else nothing was planned, or for another connection than this one */

	if (up && (table_next_mover(t) || table_next_comer(t)))
		return;
	may = up && table_may_reload(t);
	leaving = up && table_waits_for_leavers(t);
	if (may && !leaving) {
		table_reload(t);
		return;
	}
	if (up && t->acted && t->verifies++ < VERIFY_MAX)
		table_pass_read(t);
	else
		table_pass_end(t);
}

/* ---- reading ---- */

static void read_next(struct table *);

static int
read_reply(struct table *t, const struct binrpc_msg *msg)
{
	const char *method = t->kind->reads[t->reading].method, *reason;
	char hint[HINT_BYTES];
	int code, err;

	if (!binrpc_fault(msg, &code, &reason)) {
		err = t->kind->read(msg, t->reading, &t->got);
		if (err != 0)
			kam_reconnect(kamhost_kam(t->host), "a table's dump could not be understood");
		return err;
	}
	if (t->kind->empty_fault != NULL && strstr(reason, t->kind->empty_fault) != NULL)
		return 0;
	t->counts.faults++;
	t->early = strcasestr(reason, "initializing") != NULL;
	hint_fault(method, reason, hint);
	if (!t->early)
		snprintf(t->read_error, sizeof t->read_error, "%s refused by Kamailio: %d %.80s%s", method, code, reason, hint);
	return -EPROTO;
}

static void
on_read(void *arg, int err, const struct binrpc_msg *msg)
{
	struct table *t = arg;

	t->read_error[0] = '\0';
	if (err == 0)
		err = read_reply(t, msg);
	if (err == 0 && ++t->reading < TABLE_READS_MAX && t->kind->reads[t->reading].method != NULL) {
		read_next(t);
		return;
	}
	t->was_read = err == 0;
	t->read_ms = now_ms(t);
	if (err == 0) {
		if (t->kind->settle != NULL) {
			table_rows_sort(&t->carried);
			t->kind->settle(&t->carried, &t->got);
		}
		table_plan_clear(&t->plan); /* it points to what goes now */
		table_rows_clear(&t->actual);
		t->actual = t->got;
		memset(&t->got, 0, sizeof t->got);
		table_rows_sort(&t->actual);
		table_note_sleep(t);
		if (!t->was_ever_read)
			table_rows_copy(&t->first, &t->actual);
		t->was_ever_read = true;
	}
	pass_plan(t);
}

static void
read_next(struct table *t)
{
	const struct table_read *r = &t->kind->reads[t->reading];
	struct buf body = { 0 };

	binrpc_begin(&body, r->method);
	if (r->arg != NULL)
		binrpc_add_str(&body, r->arg);
	kam_call(kamhost_kam(t->host), r->method, &body, on_read, t);
	buf_free(&body);
}

void
table_pass_read(struct table *t)
{
	if (!is_up(t)) {
		t->was_read = false;
		pass_plan(t);
		return;
	}
	table_rows_clear(&t->got);
	t->reading = 0;
	read_next(t);
}

/*
 * Of a table that nobody but c4d changes: it was read a moment ago, and held what is wanted now. Most changes of the topology
 * are none here, and a dump may be long.
 */
static bool
is_as_read(struct table *t)
{
	if (t->kind->probed || !t->was_read || t->applied_hash == 0 || t->file_error[0] || now_ms(t) - t->read_ms >= POLL_QUIET_MS)
		return false;
	make_plan(t, false);
	return t->plan.n == 0 && table_file_is_right(&t->filed, &t->desired, &t->scopes);
}

static void
pass_begin(void *arg)
{
	struct table *t = arg;

	if (t->running) {
		t->dirty = true;
		return;
	}
	loop_timer_stop(&t->timer);
	t->running = true;
	t->dirty = false;
	t->again_ms = 0;
	t->verifies = t->rereads = 0;
	t->applied_wall_ms = 0;
	if (!t->loaded)
		tablefile_load(t->file, !t->deps.dry);
	else if (is_as_read(t)) {
		table_again(t, t->read_ms + poll_ms(t) - now_ms(t)); /* the next reading is not put off */
		table_pass_end(t);
	} else if (t->was_read && t->kind->probed && table_is_refused_for_long(t))
		pass_plan(t); /* each question may be what shuts the window: without any it opens */
	else
		table_pass_read(t);
}

/* ---- the file ---- */

/* What was found in Kamailio and is in the file now, or was not taken over, is nobody's care any more. */
static void
forget_first(struct table *t)
{
	size_t i;

	for (i = t->first.n; i-- > 0;)
		if (table_scope_find(&t->scopes, t->first.v[i].set) != NULL)
			table_rows_remove(&t->first, i);
}

static void
on_file(void *arg, const struct tablefile_result *r)
{
	struct table *t = arg;

	t->file_checked_ms = now_ms(t);
	t->file_locked_out = r->err == -EWOULDBLOCK;
	if (t->file_error[0] && r->err == 0)
		log_notice("target", "%s: %s can be written again", t->conf->name, t->path);
	snprintf(t->file_error, sizeof t->file_error, "%s", r->error);
	if (r->written) {
		t->counts.file_writes++;
		log_debug("target", "%s: wrote %s", t->conf->name, t->path);
	}
	if (r->read) {
		table_rows_copy(&t->filed, &r->rows);
		t->file_bad = r->bad;
	}
	t->file_right = r->err == 0 && !r->moved;
	if (t->file_locked_out) { /* not ours: look again later, from the beginning */
		t->loaded = false;
		table_pass_end(t);
		return;
	}
	if (!t->loaded) {
		t->loaded = true;
		if (t->kind->settle != NULL)
			table_rows_copy(&t->carried, &t->filed); /* as far as can be known */
		table_pass_read(t);
		return;
	}
	if (t->file_right) {
		t->write_again = false;
		if (t->was_read)
			forget_first(t);
	}
	if (!r->moved || t->rereads++ >= REREAD_MAX)
		pass_join(t);
	else if (t->acted)
		table_pass_read(t);
	else
		pass_plan(t);
}

/* ---- the connection, the nodes ---- */

/* The row in the version table must be the one that this Kamailio wants. */
static void
table_set_version(struct table *t)
{
	int major, minor;

	if (t->kind == &table_kind_uacreg && sscanf(kamhost_ident(t->host)->version, "kamailio %d.%d", &major, &minor) == 2)
		tablefile_set_version(t->file, uacreg_version(major, minor));
}

static void
on_up(struct target *target, bool restarted)
{
	struct table *t = table_of(target);
	size_t i;

	t->was_read = false;
	t->reload_error[0] = '\0';
	t->read_error[0] = '\0';
	t->stuck_until_ms = 0;
	t->after_reload = false;
	t->applied_hash = 0;
	t->refused_ms = 0;
	table_forget_leavers(t);
	if (restarted) {
		t->window_ms = 0;
		if (t->kind->settle != NULL) {
			table_rows_copy(&t->carried, &t->filed);
			t->window_ms = now_ms(t) + LOADS_MS;
		}
	}
	table_set_version(t);
	for (i = 0; i < t->n_parts; i++)
		t->parts[i].row.applied = 0;
	kick(target);
}

static void
on_down(struct target *target)
{
	struct table *t = table_of(target);

	t->was_read = false;
	if (!t->running)
		kick(target);
}

static void
on_nodes(void *arg)
{
	struct table *t = arg;

	kick(&t->target);
}

/* ---- life ---- */

static void
on_timer(void *arg)
{
	pass_begin(arg);
}

static void
name_parts(struct table *t)
{
	const struct conf_kamailio *c = t->conf;
	size_t i;

	for (i = 0; i < t->n_parts; i++) {
		struct part *p = &t->parts[i];

		if (t->kind == &table_kind_rtpengine)
			p->set = (int)c->rtpengines[i]->id;
		else if (t->kind == &table_kind_permissions)
			p->set = (int)c->permissions[i]->id;
		if (t->kind->one_row)
			snprintf(p->row.name, sizeof p->row.name, "%s/%s", c->name, t->kind->name);
		else
			snprintf(p->row.name, sizeof p->row.name, "%s/%s/%d", c->name, t->kind->name, p->set);
	}
}

static void
start_nodes(struct table *t)
{
	int64_t interval_ms = INT64_MAX, timeout_ms = 0;
	size_t i;

	for (i = 0; i < t->conf->n_rtpengines; i++) {
		if (t->conf->rtpengines[i]->ping_ms < interval_ms)
			interval_ms = t->conf->rtpengines[i]->ping_ms;
		if (t->conf->rtpengines[i]->ping_timeout_ms > timeout_ms)
			timeout_ms = t->conf->rtpengines[i]->ping_timeout_ms;
	}
	if (nodes_new(&t->nodes, t->deps.loop, interval_ms, timeout_ms, on_nodes, t) != 0)
		t->nodes = NULL;
}

struct table *
table_new(const struct target_deps *deps, struct kamhost *host, const struct table_kind *kind)
{
	struct table *t = xcalloc(1, sizeof *t);
	size_t i;

	t->target.ops = &table_ops;
	t->deps = *deps;
	t->host = host;
	t->conf = kamhost_conf(host);
	t->kind = kind;
	t->n_parts = kind == &table_kind_rtpengine ? t->conf->n_rtpengines :
	    kind == &table_kind_permissions ? t->conf->n_permissions : 1;
	t->parts = xcalloc(t->n_parts, sizeof *t->parts);
	t->start_generation = platform_generation(deps->platform);
	name_parts(t);
	for (i = 0; i < t->n_parts; i++)
		target_row_init(&t->parts[i].row, deps);
	loop_timer_init(&t->timer, deps->loop, on_timer, t);
	t->path = kind->file ? xasprintf("%s/%s", t->conf->tables, kind->file) : xstrdup(t->conf->address_file);
	t->file = tablefile_new(deps->worker, kind, t->path, on_file, t);
	if (kind->probed && !deps->dry)
		start_nodes(t);
	return t;
}

struct target *
table_target(struct table *t)
{
	return &t->target;
}

static void
destroy(struct target *target)
{
	struct table *t = table_of(target);
	size_t i;

	loop_timer_fini(&t->timer);
	loop_later_cancel(t->deps.loop, &t->begin);
	nodes_free(t->nodes);
	tablefile_free(t->file);
	topo_unref(t->topo);
	for (i = 0; i < t->n_parts; i++)
		repair_forget(&t->parts[i].row.repairs);
	repair_forget(&t->wakes);
	table_forget(t);
	table_forget_leavers(t);
	free(t->asked_item);
	free(t->parts);
	free(t->scopes.v);
	free(t->path);
	table_plan_clear(&t->plan);
	table_rows_clear(&t->actual);
	table_rows_clear(&t->first);
	table_rows_clear(&t->carried);
	table_rows_clear(&t->filed);
	table_rows_clear(&t->desired);
	table_rows_clear(&t->unproven);
	table_rows_clear(&t->got);
	free(t);
}

static void
set_conf(struct target *target)
{
	struct table *t = table_of(target);

	t->conf = kamhost_conf(t->host);
	name_parts(t);
	kick(target);
}

static void
kick(struct target *target)
{
	struct table *t = table_of(target);

	if (t->running)
		t->dirty = true;
	else
		loop_later(t->deps.loop, &t->begin, pass_begin, t);
}

static void
resync(struct target *target)
{
	struct table *t = table_of(target);
	size_t i;

	for (i = 0; i < t->n_parts; i++)
		target_row_forget(&t->parts[i].row);
	for (i = 0; i < t->n_memos; i++) {
		t->memos[i].pause_ms = 0;
		t->memos[i].refusals = 0;
	}
	repair_forget(&t->wakes);
	t->applied_hash = 0;
	t->stuck_until_ms = 0;
	t->file_right = false;
	t->file_checked_ms = 0;
	kick(target);
}

const struct target_ops table_ops = {
	.set_conf = set_conf,
	.kick = kick,
	.resync = resync,
	.up = on_up,
	.down = on_down,
	.free = destroy,
	.rows = table_rows_count,
	.view = table_view,
	.holds = table_holds,
	.diff = table_diff,
	.passes = table_passes,
	.was_read = table_was_read,
	.counts = table_counts,
};
