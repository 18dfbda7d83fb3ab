#include "reconcile/table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "kamailio/hint.h"
#include "reconcile/table_int.h"

#define FILE_CHECK_MS 5000   /* the file is compared at least this often, whoever edits it */
#define FILE_SURE_MS 1000    /* and before a reload, when that is longer ago */
#define FILE_RETRY_MS 2000   /* after it could not be written or locked */
#define FAULT_RETRY_MS 5000  /* after a reload that Kamailio refused for another reason than the window */
#define EARLY_RETRY_MS 500   /* Kamailio is starting */
#define STUCK_RETRY_MS 60000
#define VERIFY_MAX 4         /* read-backs within one pass */
#define REREAD_MAX 3         /* times that somebody else may write the file within one pass */
#define SOON_MS 200
#define POLL_QUIET_MS 10000  /* tables that are changed by nobody but c4d are read this often at most */
#define FRESH_MS 1000        /* no reload with a node that has not answered since */
#define ASK_AGAIN_MS 100     /* younger answers need no new ping: the slowest takes 900 ms at most */
#define WAKE_AFTER_MS 2000   /* a node that answers for so long is woken in Kamailio */
#define PAUSE_MS 60000       /* after Kamailio would not use a node: each try makes it wait for that node */

static void pass_read(struct table *);
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

/* ---- the pass: read, plan, file, act, read back ---- */

static void
pass_end(struct table *t)
{
	int64_t delay = t->kind->probed || t->conf->poll_ms > POLL_QUIET_MS ? t->conf->poll_ms : POLL_QUIET_MS;

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

/* Kamailio itself takes the mark "for good" off a node that it finds dead: nobody's hand. */
static bool
is_somebody(const struct table *t, const struct table_step *s)
{
	const struct table_row *have = table_find(&t->actual, s->row);

	return s->op != TABLE_WAKE && !(s->op == TABLE_DISABLE && have != NULL && have->asleep);
}

/* False: the same repair was needed too often; what is wanted now is left to somebody else for a while. */
static bool
note_repair(struct table *t, struct part *p, const struct table_step *s, uint64_t hash)
{
	const char *op = table_op_name(s->op);
	char *key = table_op_is_structural(s->op) ? xstrdup("structure") : xasprintf("%s %s", op, s->text);

	t->counts.repairs++;
	if (!repair_note(&p->row.repairs, key, now_ms(t))) {
		log_notice("target", "%s: somebody changed it (%s %s is needed); it is put right%s", p->row.name, op, s->text,
		    s->op == TABLE_ENABLE ? " (to take it out: c4ctl drain, or maintenance at Consul)" : "");
		return true;
	}
	p->row.backoff_ms = now_ms(t) + REPAIR_SPAN_MS;
	p->war_hash = hash;
	snprintf(p->war, sizeof p->war,
	    "somebody else changes %s (%s %s is needed, %d times in 60s): stop them; next try in 60s, or c4ctl resync %s", p->row.name, op,
	    s->text, REPAIR_MAX, p->row.name);
	return false;
}

/* Differences from what was read back as right with these very contents are somebody else's. */
static void
note_repairs(struct table *t, uint64_t hash)
{
	size_t i, k;

	if (t->applied_hash != hash || t->verifies > 0)
		return;
	for (i = 0; i < t->n_parts; i++) {
		struct part *p = &t->parts[i];
		bool reload = false;

		for (k = 0; k < t->plan.n && p->row.backoff_ms <= now_ms(t); k++) {
			const struct table_step *s = &t->plan.v[k];
			bool structural = table_op_is_structural(s->op);

			if (!is_for(t, p, s->row->set) || !is_somebody(t, s) || (structural && reload))
				continue;
			reload |= structural; /* one repairs them all: count it once */
			(void)note_repair(t, p, s, hash);
			t->applied_hash = 0; /* counted; and not again before it was right once more */
		}
	}
}

/* Kamailio pings a node before it uses it, and waits for the answer with everything that it has to do for us. */
static bool
answers(const struct table *t, const struct table_step *s)
{
	const struct node_view *n = table_node(t, s->row);

	if (s->op != TABLE_ENABLE && s->op != TABLE_WAKE)
		return true;
	if (n == NULL)
		return s->op == TABLE_ENABLE;
	return n->state == NODE_ALIVE && n->missed == 0 &&
	    (s->op == TABLE_ENABLE || loop_wall_ms(t->deps.loop) - n->since_ms >= WAKE_AFTER_MS);
}

/* Which steps can be taken now? */
static void
filter_plan(struct table *t)
{
	uint64_t hash = table_rows_hash(&t->desired);
	int64_t now = now_ms(t);
	size_t i;

	for (i = 0; i < t->n_parts; i++) /* what is wanted has changed: nobody was told to keep off that */
		if (t->parts[i].war_hash != hash)
			t->parts[i].row.backoff_ms = 0;
	note_repairs(t, hash);
	t->structural = 0;
	for (i = 0; i < t->plan.n; i++) {
		struct table_step *s = &t->plan.v[i];
		const struct part *p = table_part(t, s->row->set);
		const struct memo *m = table_memo(t, s->row);
		bool structural = table_op_is_structural(s->op);

		s->waits = p->row.backoff_ms > now || (structural && p->mute) || !answers(t, s) ||
		    (!structural && s->op != TABLE_DISABLE && m != NULL && m->pause_ms > now);
		t->structural += structural && !s->waits;
	}
}

/* A set of which nobody answers must not keep the others from their reload. */
static bool
others_want_reload(const struct table *t)
{
	bool mute = false, others = false;
	size_t i;

	for (i = 0; i < t->n_parts; i++)
		mute |= t->parts[i].mute;
	for (i = 0; i < t->plan.n && mute; i++)
		others |= table_op_is_structural(t->plan.v[i].op) && !table_part(t, t->plan.v[i].row->set)->mute;
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

/* The reload was accepted, and yet: "Ok" proves nothing. */
static void
check_stuck(struct table *t)
{
	uint64_t hash = table_rows_hash(&t->desired);
	const struct table_step *s = t->plan.v;
	bool net;

	if (t->structural == 0)
		t->reload_error[0] = '\0';
	if (t->structural == 0 || t->reload_hash != hash) {
		t->stuck_until_ms = 0;
		return;
	}
	if (!t->after_reload)
		return;
	while (!table_op_is_structural(s->op) || s->waits)
		s++;
	net = strchr(s->text, '/') != NULL && t->kind->net_setting != NULL;
	snprintf(t->reload_error, sizeof t->reload_error,
	    "Kamailio said Ok to %s but does not hold the rows (%s %s, %zu in all): does it have %s %s%s%s? Tried again by itself, or by "
	    "c4ctl resync", t->kind->reload, table_op_name(s->op), s->text, t->structural, t->kind->setting, t->path, net ? ", and " : "",
	    net ? t->kind->net_setting : "");
	/* It may have opened the file just before it was replaced: written anew, it is read for sure. */
	t->write_again = t->kind->file != NULL && t->again_hash != hash;
	if (!t->write_again)
		t->stuck_until_ms = now_ms(t) + STUCK_RETRY_MS;
	t->again_hash = hash;
}

static bool
store_is_due(const struct table *t)
{
	int64_t age = now_ms(t) - t->file_checked_ms;

	if (t->scopes.n == 0)
		return false;
	return t->file_error[0] || t->write_again || age >= FILE_CHECK_MS || !table_file_is_right(&t->filed, &t->desired, &t->scopes) ||
	    (t->structural > 0 && t->window_ms <= now_ms(t) && age >= FILE_SURE_MS);
}

static void
pass_plan(struct table *t)
{
	make_plan(t, false);
	if (others_want_reload(t))
		make_plan(t, true);
	if (t->deps.dry || t->file_locked_out) {
		pass_end(t);
		return;
	}
	if (t->was_read) {
		filter_plan(t);
		check_stuck(t);
		t->after_reload = false;
	}
	t->next = 0;
	t->acted = false;
	if (store_is_due(t)) {
		tablefile_store(t->file, &t->scopes, &t->filed, &t->desired, t->write_again);
		return;
	}
	pass_join(t);
}

/* ---- in and out ---- */

static const char *
enable_status(int err, const struct binrpc_msg *msg)
{
	const char *reason = "", *status = NULL;
	int code;

	if (err != 0)
		return strerror(-err);
	if (binrpc_fault(msg, &code, &reason))
		return reason;
	if (msg->first != NULL)
		status = binrpc_text(msg->first->child, "status");
	return status == NULL ? "it does not say what became of it" : strcmp(status, "fail") == 0 ? "Kamailio gets no answer from it" : NULL;
}

static void
pause_node(struct table *t, const struct table_step *s, const char *why)
{
	struct part *p = table_part(t, s->row->set);
	struct memo *m = table_memo(t, s->row);

	if (m != NULL)
		m->pause_ms = now_ms(t) + PAUSE_MS;
	p->refused_ms = now_ms(t) + PAUSE_MS;
	snprintf(p->refused, sizeof p->refused, "Kamailio does not %s %s: %s%s", table_op_name(s->op), s->text, why,
	    s->op == TABLE_DISABLE ? "" : "; next try in 60s, or c4ctl resync");
}

static void
on_enable(void *arg, int err, const struct binrpc_msg *msg)
{
	struct table *t = arg;
	const struct table_step *s = &t->plan.v[t->next - 1];
	const char *why = enable_status(err, msg);

	t->applied_hash = 0;
	t->acted = true;
	if (why != NULL) {
		t->counts.faults += err == 0;
		pause_node(t, s, why);
	} else {
		t->counts.set_states++;
		t->applied_wall_ms = loop_wall_ms(t->deps.loop);
	}
	if (why == NULL && s->op == TABLE_WAKE) {
		log_notice("target", "%s/rtpengine/%d: Kamailio had put %s to sleep; it answers and is woken", t->conf->name, s->row->set,
		    s->text);
		if (repair_note(&t->wakes, xstrdup(s->text), now_ms(t)))
			pause_node(t, s, "it puts it to sleep again and again though it answers c4d: look at rtpengine_tout_ms, rtpengine_retr "
					 "and that node's load");
	}
	pass_join(t);
}

/* Who shall go out, but is the last that Kamailio uses: until the others are in, calls had better go there. */
static bool
is_last_resort(const struct table *t, const struct table_row *row)
{
	const struct node_view *n = table_node(t, row);

	return table_set_would_be_empty(&t->desired, &t->actual, row->set) && (n == NULL || n->state != NODE_DEAD);
}

/* True: an RPC went out, and its answer goes on. */
static bool
next_instant(struct table *t)
{
	while (is_up(t) && t->next < t->plan.n) {
		const struct table_step *s = &t->plan.v[t->next++];
		struct buf body = { 0 };

		if (s->waits || table_op_is_structural(s->op) || (s->op == TABLE_DISABLE && is_last_resort(t, s->row)))
			continue;
		binrpc_begin(&body, "rtpengine.enable");
		binrpc_add_str(&body, s->row->item);
		binrpc_add_int(&body, s->op != TABLE_DISABLE);
		kam_call(kamhost_kam(t->host), "rtpengine.enable", &body, on_enable, t);
		buf_free(&body);
		return true;
	}
	return false;
}

/* ---- reloads ---- */

/* Of a reload that came too early the newest state goes with the next try, not this one again. */
static void
reload_refused(struct table *t, const char *reason)
{
	t->counts.faults++;
	t->counts.window_waits++;
	t->window_ms = now_ms(t) + t->kind->refused_ms;
	table_again(t, t->kind->refused_ms);
	if (!t->refused)
		log_info("target", "%s: %s refused (%s); trying again with the newest state", t->conf->name, t->kind->reload, reason);
	t->refused = true;
}

static void
reload_failed(struct table *t, int err, const char *reason)
{
	int64_t retry = t->kind->delta_ms > FAULT_RETRY_MS ? t->kind->delta_ms : FAULT_RETRY_MS;
	char hint[HINT_BYTES] = "";
	struct buf text = { 0 };

	if (err == 0)
		hint_fault(t->kind->reload, reason, hint);
	buf_printf(&text, "%s %s%s%s", t->kind->reload, err ? "failed: " : "refused by Kamailio: ", err ? strerror(-err) : reason, hint);
	if (err == 0 && hint[0] == '\0')
		buf_printf(&text, ": look at %s %s", t->kind->setting, t->path);
	if (err == 0 && t->file_bad > 0)
		buf_printf(&text, "; it has %zu lines of others that Kamailio can't read: correct them", t->file_bad);
	snprintf(t->reload_error, sizeof t->reload_error, "%s", text.s);
	buf_free(&text);
	t->counts.faults += err == 0;
	t->window_ms = now_ms(t) + retry;
	table_again(t, retry);
}

static bool
is_early(const struct table *t, const char *reason)
{
	return strcasestr(reason, "initializing") != NULL || (t->kind->refusal != NULL && strcasestr(reason, t->kind->refusal) != NULL);
}

static void
on_reload(void *arg, int err, const struct binrpc_msg *msg)
{
	struct table *t = arg;
	const char *reason = "";
	int code;

	if (err == 0 && binrpc_fault(msg, &code, &reason) && is_early(t, reason)) {
		reload_refused(t, reason);
		pass_end(t);
		return;
	}
	if (err != 0 || msg->kind == BINRPC_FAULT) {
		reload_failed(t, err, reason);
		pass_end(t);
		return;
	}
	t->counts.reloads++;
	t->refused = false;
	t->reload_error[0] = '\0';
	t->window_ms = now_ms(t) + (t->kind->delta_ms ? t->kind->delta_ms : t->conf->permissions_delta_ms);
	t->applied_wall_ms = loop_wall_ms(t->deps.loop);
	t->reload_hash = table_rows_hash(&t->desired);
	t->applied_hash = 0;
	t->after_reload = true;
	pass_read(t);
}

/*
 * Every node that this reload puts to use has answered within a second; and nobody stays out for not having been asked yet.
 * False: they are being asked, and their answers begin a new pass.
 */
static bool
nodes_are_fresh(struct table *t)
{
	bool fresh = true;
	size_t i;

	for (i = 0; i < t->desired.n; i++) {
		const struct table_row *row = &t->desired.v[i];
		const struct node_view *n = table_node(t, row);

		if (n == NULL || row->owner == ROW_THEIRS || table_part(t, row->set)->mute)
			continue;
		fresh &= row->disabled ? n->state != NODE_UNKNOWN || n->missed > 0 : nodes_is_fresh(t->nodes, &n->addr, FRESH_MS);
	}
	if (fresh)
		return true;
	if (now_ms(t) - t->asked_ms >= SOON_MS) { /* an answer that we can't even ask for must not make us spin */
		t->asked_ms = now_ms(t);
		nodes_refresh(t->nodes, ASK_AGAIN_MS);
	}
	table_again(t, SOON_MS);
	return false;
}

static bool
may_reload(struct table *t)
{
	if (t->structural == 0 || t->file_error[0] || !t->was_read)
		return false;
	/* The window is too dear to spend on an old state. */
	if (platform_now(t->deps.platform) != t->topo || !t->file_right) {
		table_again(t, platform_now(t->deps.platform) != t->topo ? 0 : SOON_MS);
		return false;
	}
	if (t->stuck_until_ms > now_ms(t) && t->reload_hash == table_rows_hash(&t->desired)) {
		table_again(t, t->stuck_until_ms - now_ms(t));
		return false;
	}
	if (t->window_ms > now_ms(t)) {
		t->counts.window_waits++;
		table_again(t, t->window_ms - now_ms(t));
		return false;
	}
	return t->nodes == NULL || nodes_are_fresh(t);
}

/* The file is written (or not): now the running one. */
static void
pass_join(struct table *t)
{
	struct buf body = { 0 };

	if (!is_up(t) || t->file_locked_out) {
		pass_end(t);
	} else if (next_instant(t)) {
		return;
	} else if (may_reload(t)) {
		binrpc_begin(&body, t->kind->reload);
		kam_call(kamhost_kam(t->host), t->kind->reload, &body, on_reload, t);
		buf_free(&body);
	} else if (t->acted && t->verifies++ < VERIFY_MAX) {
		pass_read(t);
	} else {
		pass_end(t);
	}
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
	if (err == 0) {
		table_plan_clear(&t->plan); /* it points to what goes now */
		table_rows_clear(&t->actual);
		t->actual = t->got;
		memset(&t->got, 0, sizeof t->got);
		table_rows_sort(&t->actual);
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

static void
pass_read(struct table *t)
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
	else
		pass_read(t);
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
		pass_end(t);
		return;
	}
	if (!t->loaded) {
		t->loaded = true;
		pass_read(t);
		return;
	}
	if (t->file_right) {
		t->write_again = false;
		if (t->was_read)
			forget_first(t);
	}
	if (r->moved && t->rereads++ < REREAD_MAX)
		pass_plan(t);
	else
		pass_join(t);
}

/* ---- the connection, the nodes ---- */

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
	if (restarted)
		t->window_ms = 0;
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
	t->n_parts = kind == &table_kind_rtpengine ? t->conf->n_rtpengines : kind == &table_kind_permissions ? t->conf->n_permissions : 1;
	t->parts = xcalloc(t->n_parts, sizeof *t->parts);
	t->start_generation = platform_generation(deps->platform);
	name_parts(t);
	for (i = 0; i < t->n_parts; i++) {
		t->parts[i].row.state = TARGET_PENDING;
		t->parts[i].row.since_ms = loop_wall_ms(deps->loop);
	}
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
	free(t->parts);
	free(t->scopes.v);
	free(t->path);
	table_plan_clear(&t->plan);
	table_rows_clear(&t->actual);
	table_rows_clear(&t->first);
	table_rows_clear(&t->filed);
	table_rows_clear(&t->desired);
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

	for (i = 0; i < t->n_parts; i++) {
		t->parts[i].row.backoff_ms = 0;
		t->parts[i].row.applied = 0;
		repair_forget(&t->parts[i].row.repairs);
	}
	for (i = 0; i < t->n_memos; i++)
		t->memos[i].pause_ms = 0;
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
