/*
 * How a table's plan is carried out: which steps can be taken now, in and out by rtpengine.enable, all else by a reload in
 * Kamailio's window.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "kamailio/hint.h"
#include "reconcile/table_int.h"

#define FAULT_RETRY_MS 5000  /* after a reload that Kamailio refused for another reason than the window */
#define STUCK_RETRY_MS 60000
#define SOON_MS 200
#define PONG_MS 1000         /* c4d pings as often */
#define FRESH_MS 1000        /* no reload with a node that has not answered since */
#define ASK_AGAIN_MS 100     /* younger answers need no new ping: the slowest takes 900 ms at most */
#define PAUSE_MS 60000       /* after Kamailio would not use a node */
#define PAUSE_DOUBLINGS 4    /* and the next time twice as long, up to 16 minutes */

/* ---- which steps can be taken ---- */

/* Kamailio itself takes the mark "for good" off a node that it finds dead: nobody's hand. */
static bool
is_somebody(const struct table *t, const struct table_step *s)
{
	const struct table_row *have = table_find(&t->actual, s->row);

	return s->op != TABLE_WAKE && s->op != TABLE_SLEEP && !(s->op == TABLE_DISABLE && have != NULL && have->asleep);
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
	    "somebody else changes %s (%s %s is needed, %d times in 60s): stop them; next try in 60s, or c4ctl resync %s",
	    p->row.name, op, s->text, REPAIR_MAX, p->row.name);
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

			if (table_part(t, s->row->set) != p || !is_somebody(t, s) || (structural && reload))
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
	const struct memo *m = table_memo(t, s->row);

	if (s->op != TABLE_ENABLE && s->op != TABLE_WAKE)
		return true;
	if (n == NULL || n->state != NODE_ALIVE || n->missed > 0)
		return n == NULL && s->op == TABLE_ENABLE;
	/* a sleeper did not answer Kamailio: an older pong says nothing */
	return s->op == TABLE_ENABLE || (m != NULL && m->asleep_ms != 0 && n->answer_ms > m->asleep_ms);
}

/* Which steps can be taken now? */
void
table_filter_plan(struct table *t)
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
		if (s->waits && s->op == TABLE_WAKE)
			table_again(t, PONG_MS);
	}
}

/* The reload was accepted, and yet: "Ok" proves nothing. */
void
table_check_stuck(struct table *t)
{
	uint64_t hash = table_rows_hash(&t->desired);
	const struct table_step *s = t->plan.v;
	bool net;

	if (t->structural == 0)
		t->reload_error[0] = '\0';
	if (t->structural == 0 || t->reload_hash != hash) {
		t->stuck_until_ms = 0;
		t->again_hash = 0; /* it may happen to the same rows once more */
		return;
	}
	if (!t->after_reload)
		return;
	while (!table_op_is_structural(s->op) || s->waits)
		s++;
	net = strchr(s->text, '/') != NULL && t->kind->net_setting != NULL;
	snprintf(t->reload_error, sizeof t->reload_error,
	    "Kamailio said Ok to %s but does not hold the rows (%s %s, %zu in all): does it have %s %s%s%s? "
	    "Tried again by itself, or by c4ctl resync", t->kind->reload, table_op_name(s->op), s->text, t->structural, t->kind->setting,
	    t->path, net ? ", and " : "", net ? t->kind->net_setting : "");
	/* It may have opened the file just before it was replaced: written anew, it is read for sure. */
	t->write_again = t->kind->file != NULL && t->again_hash != hash;
	if (!t->write_again)
		t->stuck_until_ms = now_ms(t) + STUCK_RETRY_MS;
	t->again_hash = hash;
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
	if (status == NULL)
		return "it does not say what became of it";
	return strcmp(status, "fail") == 0 ? "Kamailio gets no answer from it" : NULL;
}

/* Each try makes Kamailio wait for that node, seconds maybe, with everything that it has to do for us. */
static void
pause_node(struct table *t, const struct table_step *s, const char *why)
{
	struct part *p = table_part(t, s->row->set);
	struct memo *m = table_memo(t, s->row);
	int64_t pause = PAUSE_MS << (m->refusals < PAUSE_DOUBLINGS ? m->refusals : PAUSE_DOUBLINGS);
	char text[32];

	m->refusals++;
	m->pause_ms = p->refused_ms = now_ms(t) + pause;
	text_format_duration(pause, text, sizeof text);
	snprintf(p->refused, sizeof p->refused, "Kamailio does not %s %s: %s; next try in %s, or c4ctl resync", table_op_name(s->op),
	    s->text, why, text);
}

/* Tried again with the next pass: it costs nothing. */
static void
disable_failed(struct table *t, const struct table_step *s, const char *why)
{
	struct part *p = table_part(t, s->row->set);

	p->refused_ms = now_ms(t) + PAUSE_MS;
	snprintf(p->refused, sizeof p->refused, "Kamailio does not disable %s: %s", s->text, why);
}

/*
 * Told to use it, Kamailio asks it first, gets no answer, and leaves it alone for a while. That may take longer than c4d waits
 * for a reply: what is read back then tells.
 */
static const char *
sleep_status(struct table *t, const struct table_step *s, int err, const struct binrpc_msg *msg)
{
	const char *why = enable_status(err, msg), *reason;
	struct memo *m = table_memo(t, s->row);
	int code;

	if (err != -ETIMEDOUT && (err != 0 || binrpc_fault(msg, &code, &reason)))
		return why;
	m->lulled = why != NULL;
	m->awake = why == NULL; /* c4d does not reach it, and so nobody knows its sessions: out, for good */
	return NULL;
}

static void
woken(struct table *t, const struct table_step *s)
{
	struct memo *m = table_memo(t, s->row);

	if (m->lulled) {
		log_info("target", "%s/rtpengine/%d: %s answers again and is woken", t->conf->name, s->row->set, s->text);
		m->lulled = false;
		return;
	}
	log_notice("target", "%s/rtpengine/%d: Kamailio had put %s to sleep; it answers and is woken", t->conf->name, s->row->set, s->text);
	if (repair_note(&t->wakes, xstrdup(s->text), now_ms(t)))
		pause_node(t, s, "it puts it to sleep again and again though it answers c4d: look at rtpengine_tout_ms, rtpengine_retr "
				 "and that node's load");
}

static void
on_enable(void *arg, int err, const struct binrpc_msg *msg)
{
	struct table *t = arg;
	const struct table_step *s = &t->plan.v[t->next - 1];
	const char *why = s->op == TABLE_SLEEP ? sleep_status(t, s, err, msg) : enable_status(err, msg);

	t->applied_hash = 0;
	t->acted = true;
	if (why != NULL) {
		t->counts.faults += err == 0;
		if (s->op == TABLE_DISABLE)
			disable_failed(t, s, why);
		else if (err == 0 || err == -ETIMEDOUT)
			pause_node(t, s, why);
	} else {
		table_memo(t, s->row)->refusals = 0;
		t->counts.set_states++;
		t->applied_wall_ms = loop_wall_ms(t->deps.loop);
	}
	if (why == NULL && s->op == TABLE_WAKE)
		woken(t, s);
	table_pass_act(t);
}

/* Who shall go out, but is the last that Kamailio uses, in whatever set: until the others are in, calls had better go there. */
static bool
is_last_resort(const struct table *t, const struct table_row *row)
{
	const struct node_view *n = table_node(t, row);
	bool last = false;
	size_t i;

	for (i = 0; i < t->actual.n; i++)
		last |= strcmp(t->actual.v[i].item, row->item) == 0 &&
		    table_set_would_be_empty(&t->desired, &t->actual, t->actual.v[i].set);
	return last && (n == NULL || n->state != NODE_DEAD);
}

/* Kamailio does it in all sets at once; and once more it would wait for a dead node once more. */
static bool
is_repeated(const struct table_plan *p, size_t i)
{
	size_t k;

	for (k = 0; k < i; k++)
		if (p->v[k].op == p->v[i].op && !p->v[k].waits && strcmp(p->v[k].row->item, p->v[i].row->item) == 0)
			return true;
	return false;
}

/* True: an RPC went out, and its answer goes on. */
bool
table_next_instant(struct table *t)
{
	while (is_up(t) && t->was_read && t->next < t->plan.n) {
		const struct table_step *s = &t->plan.v[t->next++];
		struct buf body = { 0 };

		if (s->op == TABLE_REMOVE && table_takes_leave(t, s))
			return true;
		if (s->waits || table_op_is_structural(s->op) || is_repeated(&t->plan, t->next - 1) ||
		    (s->op == TABLE_DISABLE && is_last_resort(t, s->row)))
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

int64_t
table_delta_ms(const struct table *t)
{
	int major = 0;

	if (t->kind->delta6_ms != 0 && sscanf(kamhost_ident(t->host)->version, "kamailio %d.", &major) == 1 && major >= 6)
		return t->kind->delta6_ms;
	return t->kind->delta_ms ? t->kind->delta_ms : t->conf->permissions_delta_ms;
}

/* Longer than any window. */
bool
table_is_refused_for_long(const struct table *t)
{
	return t->refused_ms != 0 && now_ms(t) - t->refused_ms > 2 * table_delta_ms(t);
}

/* Of a reload that came too early the newest state goes with the next try, not this one again. */
static void
reload_refused(struct table *t, const char *reason)
{
	int64_t retry = t->kind->refused_ms;

	t->counts.faults++;
	t->counts.window_waits++;
	if (t->refused_ms == 0) {
		t->refused_ms = now_ms(t);
		log_info("target", "%s: %s refused (%s); trying again with the newest state", t->conf->name, t->kind->reload, reason);
	}
	if (table_is_refused_for_long(t)) {
		retry += table_delta_ms(t);
		snprintf(t->reload_error, sizeof t->reload_error, "Kamailio refuses %s again and again (%s): %s", t->kind->reload, reason,
		    t->kind->shut);
	}
	t->window_ms = now_ms(t) + retry;
	table_again(t, retry);
}

static void
reload_failed(struct table *t, int err, const char *reason)
{
	int64_t retry = table_delta_ms(t) > FAULT_RETRY_MS ? table_delta_ms(t) : FAULT_RETRY_MS;
	char hint[HINT_BYTES] = "";
	struct buf text = { 0 };

	if (err == 0)
		hint_fault(t->kind->reload, reason, hint);
	buf_printf(&text, "%s %s%s%s", t->kind->reload, err ? "failed: " : "refused by Kamailio: ",
	    err ? strerror(-err) : reason, hint);
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
	return strcasestr(reason, "initializing") != NULL ||
	    (t->kind->refusal != NULL && strcasestr(reason, t->kind->refusal) != NULL);
}

static void
on_reload(void *arg, int err, const struct binrpc_msg *msg)
{
	struct table *t = arg;
	const char *reason = "";
	int code;

	if (err == 0 && binrpc_fault(msg, &code, &reason) && is_early(t, reason)) {
		reload_refused(t, reason);
		table_pass_end(t);
		return;
	}
	if (err != 0 || msg->kind == BINRPC_FAULT) {
		reload_failed(t, err, reason);
		table_pass_end(t);
		return;
	}
	t->counts.reloads++;
	t->refused_ms = 0;
	t->reload_error[0] = '\0';
	t->window_ms = now_ms(t) + table_delta_ms(t);
	t->applied_wall_ms = loop_wall_ms(t->deps.loop);
	t->reload_hash = table_rows_hash(&t->desired);
	t->applied_hash = 0;
	t->after_reload = true;
	if (t->kind->settle != NULL)
		table_rows_copy(&t->carried, &t->desired);
	table_pass_read(t);
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
		fresh &= row->disabled || nodes_is_fresh(t->nodes, &n->addr, FRESH_MS);
	}
	for (i = 0; i < t->unproven.n; i++) {
		const struct node_view *n = table_node(t, &t->unproven.v[i]);

		fresh &= n->state != NODE_UNKNOWN || n->missed > 0;
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

bool
table_may_reload(struct table *t)
{
	if (t->structural == 0 || t->file_error[0])
		return false;
	/* The window is too dear to spend on an old state. */
	if (platform_now(t->deps.platform) != t->topo || table_data(t) != t->data || !t->file_right) {
		table_again(t, t->file_right ? 0 : SOON_MS);
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

void
table_reload(struct table *t)
{
	struct buf body = { 0 };

	binrpc_begin(&body, t->kind->reload);
	kam_call(kamhost_kam(t->host), t->kind->reload, &body, on_reload, t);
	buf_free(&body);
}
