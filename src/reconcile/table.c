#include "reconcile/table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "reconcile/table_int.h"

#define FILE_CHECK_MS 5000      /* the file is compared at least this often, whoever edits it */
#define FILE_RETRY_MS 2000      /* after it could not be written or locked */
#define FAULT_RETRY_MS 5000     /* after a reload that Kamailio refused for another reason than the window */
#define WINDOW_PROBE_MS 500     /* refused though our window was over: somebody else reloads */
#define STUCK_RETRY_MS 60000
#define VERIFY_MAX 4            /* read-backs within one pass */
#define POLL_QUIET_MS 10000     /* tables that are changed by nobody but c4d are read this often at most */
#define RTPENGINE_DELTA_MS 10000 /* RTPE_LIST_VERSION_DELAY, rtpengine.c: hard-coded */
#define RTPENGINE_REFUSED_MS 1000
#define DOMAIN_DELTA_MS 1000    /* no window, but the table of before lives until the next reload */
#define FRESH_MS 1000           /* no reload with a node that has not answered since */
#define ASK_AGAIN_MS 400        /* younger answers need no new ping */
#define WAKE_AFTER_MS 2000      /* a node that answers for so long is woken in Kamailio */

static void pass_read(struct table *);
static void pass_join(struct table *);
static void kick(struct target *);

static int64_t
delta_ms(const struct table *t)
{
	if (t->kind == &table_kind_rtpengine)
		return RTPENGINE_DELTA_MS;
	return t->kind == &table_kind_permissions ? t->conf->permissions_delta_ms : DOMAIN_DELTA_MS;
}

/* ---- what is desired now ---- */

static const struct conf_rtpengine *
set_conf_of(const struct table *t, int set)
{
	size_t i;

	for (i = 0; i < t->conf->n_rtpengines; i++)
		if (t->conf->rtpengines[i]->id == set)
			return t->conf->rtpengines[i];
	return NULL;
}

/* Every name of every service of the set proves something at present. */
static bool
is_proven(const struct table *t, int set, int64_t *hold_ms)
{
	const char *name;
	size_t i, k;
	bool proven = true;

	*hold_ms = 0;
	for (i = 0; (name = t->kind->service(t->conf, set, i)) != NULL; i++) {
		const struct conf_service *c = platform_conf(t->deps.platform, name);
		const struct judge *j = platform_judge(t->deps.platform, name);
		struct judge_name_view v;

		if (c == NULL || j == NULL)
			return false;
		if (c->remove_hold_ms > *hold_ms)
			*hold_ms = c->remove_hold_ms;
		for (k = 0; k < c->names.n; k++) {
			judge_name_view(j, (unsigned)k, &v);
			proven &= v.last == EVIDENCE_COMPLETE || v.last == EVIDENCE_ABSENCE;
		}
	}
	return proven;
}

static struct leftover *
leftover_of(struct table *t, const struct table_row *row)
{
	struct leftover *l;
	size_t i;

	for (i = 0; i < t->n_leftovers; i++) {
		l = &t->leftovers[i];
		if (l->set == row->set && l->mask == row->mask && l->port == row->port && strcmp(l->item, row->item) == 0)
			return l;
	}
	t->leftovers = xgrow(t->leftovers, t->n_leftovers, &t->cap_leftovers, sizeof *t->leftovers);
	l = &t->leftovers[t->n_leftovers++];
	*l = (struct leftover){ .set = row->set, .mask = row->mask, .port = row->port, .item = xstrdup(row->item) };
	return l;
}

/* Those that this pass did not meet are forgotten: their rows are gone, or wanted again. */
static void
prune_leftovers(struct table *t)
{
	size_t i, n = 0;

	for (i = 0; i < t->n_leftovers; i++) {
		if (t->leftovers[i].met)
			t->leftovers[n++] = t->leftovers[i];
		else
			free(t->leftovers[i].item);
	}
	t->n_leftovers = n;
	for (i = 0; i < n; i++)
		t->leftovers[i].met = false;
}

static const struct node_view *
node_of(const struct table *t, const char *url)
{
	struct topo_addr addr;

	return t->nodes != NULL && table_url_addr(url, &addr) == 0 ? nodes_find(t->nodes, &addr) : NULL;
}

/* A node that left: has it still calls that a BYE must find it for? */
static bool
has_sessions(const struct table *t, struct leftover *l, const struct table_row *row)
{
	const struct node_view *n = node_of(t, row->item);
	const struct table_row *actual = table_find(&t->actual, row);
	const struct conf_rtpengine *c = set_conf_of(t, row->set);

	if (l->leaving_ms == 0)
		l->leaving_ms = now_ms(t);
	/* from when on Kamailio gave it no new ones: only a count since then says anything */
	if (l->quiet_ms == 0 && t->was_read && (actual == NULL || actual->disabled))
		l->quiet_ms = now_ms(t);
	if (c == NULL || now_ms(t) - l->leaving_ms >= c->drain_timeout_ms)
		return false;
	if (n == NULL || n->state == NODE_DEAD)
		return n == NULL && l->leaving_ms == now_ms(t); /* this pass makes it watched */
	return l->quiet_ms == 0 || n->sessions != 0 || n->sessions_ms <= l->quiet_ms;
}

/* A row of the file that nobody wants. True: it stays, for now. */
static bool
stays(struct table *t, const struct table_row *row, const struct table_scope *scope, bool *disable)
{
	struct leftover *l = leftover_of(t, row);
	bool mine = table_find(&t->mine, row) != NULL;
	int64_t now = now_ms(t), hold_ms;
	bool proven = is_proven(t, row->set, &hold_ms);

	l->met = true;
	*disable = false;
	if (!mine) {
		if (proven && l->proven_ms != 0)
			l->held_ms += now - l->proven_ms;
		l->proven_ms = proven ? now : 0;
		if (!scope->exclusive || !scope->known || l->held_ms < hold_ms)
			return true;
	}
	if (!scope->known)
		return true;
	if (!t->kind->probed)
		return false;
	*disable = true;
	return has_sessions(t, l, row);
}

static void
keep_leftovers(struct table *t)
{
	struct table_rows extra = { 0 };
	size_t i;

	for (i = 0; i < t->filed.n; i++) {
		const struct table_row *row = &t->filed.v[i];
		const struct table_scope *scope = table_scope_find(&t->scopes, row->set);
		struct table_row *copy;
		bool disable;

		if (scope == NULL || table_find(&t->desired, row) != NULL || !stays(t, row, scope, &disable))
			continue;
		copy = table_rows_add(&extra, row->set, row->item);
		copy->mask = row->mask;
		copy->port = row->port;
		copy->weight = row->weight;
		copy->tag = xstrdup(row->tag);
		copy->disabled = row->disabled || disable;
	}
	prune_leftovers(t);
	for (i = 0; i < extra.n; i++) {
		struct table_row *copy = table_rows_add(&t->desired, extra.v[i].set, extra.v[i].item);
		char *item = copy->item;

		*copy = extra.v[i];
		copy->item = item;
		extra.v[i].tag = NULL;
	}
	table_rows_clear(&extra);
	table_rows_sort(&t->desired);
}

/* Usable by the nodes' own word. One that has not been asked yet stays as Kamailio has it. */
static bool
answers(const struct table *t, const struct table_row *row, bool strict)
{
	const struct node_view *n = node_of(t, row->item);
	const struct table_row *filed = table_find(&t->filed, row);

	if (n == NULL || n->state == NODE_UNKNOWN)
		return !strict && filed != NULL && !filed->disabled;
	return strict ? nodes_is_fresh(t->nodes, &n->addr, FRESH_MS) : n->state == NODE_ALIVE;
}

/* The first ping of one of them is still to be answered: not known is not dead. */
static bool
may_answer_yet(const struct table *t, const struct table_row *row)
{
	const struct node_view *n = node_of(t, row->item);

	return !row->disabled && n != NULL && n->state == NODE_UNKNOWN && n->missed == 0;
}

/* Nobody of the set answers: what is in use stays in use, and nothing is reloaded until somebody does. */
static void
leave_mute_set(struct table *t, size_t begin, size_t end)
{
	bool wait = false;
	size_t i;

	for (i = begin; i < end; i++)
		wait |= may_answer_yet(t, &t->desired.v[i]);
	t->mute = true;
	snprintf(t->mute_error, sizeof t->mute_error, wait ? "" :
	    "no node of set %d answers c4d's NG ping (%s): its rows stay as they are and nothing is reloaded; is rtpengine running, "
	    "and does its NG port let this machine in?",
	    t->desired.v[begin].set, t->desired.v[begin].item);
	for (i = begin; i < end; i++) {
		const struct table_row *filed = table_find(&t->filed, &t->desired.v[i]);

		if (!t->desired.v[i].disabled)
			t->desired.v[i].disabled = filed == NULL || filed->disabled;
	}
}

static void
heed_nodes(struct table *t, bool strict)
{
	size_t begin, end, i;

	t->mute = false;
	for (begin = 0; begin < t->desired.n; begin = end) {
		bool any = false, wanted = false;

		for (end = begin; end < t->desired.n && t->desired.v[end].set == t->desired.v[begin].set; end++) {
			wanted |= !t->desired.v[end].disabled;
			any |= !t->desired.v[end].disabled && answers(t, &t->desired.v[end], strict);
		}
		if (wanted && !any) {
			leave_mute_set(t, begin, end);
			continue;
		}
		for (i = begin; i < end; i++)
			t->desired.v[i].disabled |= !answers(t, &t->desired.v[i], strict);
	}
}

static void
watch_nodes(struct table *t)
{
	struct topo_addr *v = xcalloc(t->desired.n, sizeof *v);
	size_t i, n = 0;

	for (i = 0; i < t->desired.n; i++)
		if (table_url_addr(t->desired.v[i].item, &v[n]) == 0)
			n++;
	nodes_set(t->nodes, v, n);
	for (i = 0; i < t->desired.n; i++)
		if (table_url_addr(t->desired.v[i].item, &v[0]) == 0)
			nodes_count_sessions(t->nodes, &v[0], t->desired.v[i].disabled);
	free(v);
}

/* `strict`: for a reload, only what has answered just now counts. */
static void
desire(struct table *t, bool strict)
{
	size_t i;

	table_rows_clear(&t->desired);
	t->scopes.n = 0;
	topo_unref(t->topo);
	t->topo = topo_ref(platform_now(t->deps.platform));
	t->kind->desire(t->conf, t->topo, &t->desired, &t->scopes);
	for (i = 0; i < t->desired.n; i++)
		if (table_find(&t->mine, &t->desired.v[i]) == NULL) {
			struct table_row *m = table_rows_add(&t->mine, t->desired.v[i].set, t->desired.v[i].item);

			m->mask = t->desired.v[i].mask;
			m->port = t->desired.v[i].port;
			table_rows_sort(&t->mine);
		}
	if (t->loaded)
		keep_leftovers(t);
	if (t->nodes != NULL) {
		watch_nodes(t);
		heed_nodes(t, strict);
	}
}

/* What c4d once wrote and is neither wanted nor in the file any more would be somebody else's if it came back. */
static void
forget_mine(struct table *t)
{
	size_t i;

	for (i = t->mine.n; i-- > 0;)
		if (table_find(&t->desired, &t->mine.v[i]) == NULL && table_find(&t->filed, &t->mine.v[i]) == NULL)
			table_rows_remove(&t->mine, i);
}

static void
make_plan(struct table *t)
{
	table_plan_clear(&t->plan);
	if (t->was_read)
		table_make_plan(&t->desired, &t->actual, &t->scopes, &t->plan);
}

/* ---- the pass: read, plan, file, act, read back ---- */

static void
pass_end(struct table *t)
{
	int64_t now = now_ms(t), delay = t->kind->probed || t->conf->poll_ms > POLL_QUIET_MS ? t->conf->poll_ms : POLL_QUIET_MS;

	t->running = false;
	t->passes++;
	table_show_rows(t);
	/* The last change is never lost: whatever keeps us from it, the timer comes back to it. */
	if (t->plan.structural > 0 && is_up(t) && t->window_ms > now && t->window_ms - now < delay)
		delay = t->window_ms - now;
	if (t->file_error[0] && delay > FILE_RETRY_MS)
		delay = FILE_RETRY_MS;
	if (t->early)
		delay = WINDOW_PROBE_MS;
	t->early = false;
	if (t->n_leftovers > 0 && delay > t->conf->poll_ms)
		delay = t->conf->poll_ms;
	if (!t->deps.dry)
		loop_timer_start(&t->timer, t->dirty ? 0 : delay);
	t->deps.event(t->deps.arg);
}

static bool
is_for(const struct table *t, size_t row, const struct table_step *s)
{
	return t->kind->one_row || t->sets[row] == s->set;
}

/*
 * Steps for a row that was read back as right with these very contents are repairs of somebody else's change.
 * Rows that are left alone lose their steps.
 */
static void
filter_plan(struct table *t)
{
	struct table_plan *p = &t->plan;
	uint64_t hash = table_hash(&t->desired);
	size_t i, k, n = 0;

	for (i = 0; i < t->n_rows && t->verifies == 0 && t->applied_hash == hash; i++) {
		struct target_row *r = &t->rows[i];

		if (r->backoff_ms > now_ms(t))
			continue;
		for (k = 0; k < p->n; k++) {
			const struct table_step *s = &p->v[k];
			char *key;

			if (!is_for(t, i, s) || s->op == TABLE_WAKE)
				continue;
			key = table_op_is_structural(s->op) ? xstrdup("structure") : xasprintf("%s %s", table_op_name(s->op), s->item);
			t->counts.repairs++;
			if (repair_note(&r->repairs, key, now_ms(t))) {
				r->backoff_ms = now_ms(t) + REPAIR_SPAN_MS;
				snprintf(r->error, sizeof r->error,
				    "somebody else changes %s (%s %s, %d times in 60s): stop them; next try in 60s, or c4ctl resync %s", r->name,
				    table_op_name(s->op), s->item, REPAIR_MAX, r->name);
				break;
			}
			log_notice("target", "%s: somebody changed it (%s %s); it is put right", r->name, table_op_name(s->op), s->item);
			if (table_op_is_structural(s->op)) /* one reload repairs them all: count it once */
				break;
		}
	}
	p->structural = 0;
	for (i = 0; i < p->n; i++) {
		bool left_alone = false;

		for (k = 0; k < t->n_rows; k++)
			left_alone |= is_for(t, k, &p->v[i]) && t->rows[k].backoff_ms > now_ms(t);
		left_alone |= p->v[i].op == TABLE_WAKE && t->wake_backoff_ms > now_ms(t);
		if (left_alone) {
			free(p->v[i].item);
			free(p->v[i].detail);
			continue;
		}
		p->structural += table_op_is_structural(p->v[i].op);
		p->v[n++] = p->v[i];
	}
	p->n = n;
}

/* False: nodes are being asked; their answers start a new pass. */
static bool
nodes_have_answered(struct table *t)
{
	if (t->nodes == NULL || t->plan.structural == 0 || t->window_ms > now_ms(t) || !is_up(t) || t->deps.dry)
		return true;
	if (!t->asked) {
		t->asked = true;
		nodes_refresh(t->nodes, ASK_AGAIN_MS);
	}
	if (!nodes_is_settled(t->nodes))
		return false;
	t->asked = false;
	return true;
}

static void
pass_plan(struct table *t)
{
	desire(t, false);
	make_plan(t);
	if (t->deps.dry || t->file_locked_out) {
		pass_end(t);
		return;
	}
	if (!nodes_have_answered(t)) {
		pass_end(t);
		return;
	}
	if (t->nodes != NULL && t->plan.structural > 0 && t->window_ms <= now_ms(t)) {
		desire(t, true);
		make_plan(t);
	}
	forget_mine(t);
	if (t->was_read) {
		table_check_stuck(t);
		filter_plan(t);
	}
	t->after_reload = false;
	t->next = 0;
	t->acted = false;
	if (t->scopes.n > 0 && (t->file_error[0] || t->filed_hash != table_hash(&t->desired) || t->plan.structural > 0 ||
	    now_ms(t) - t->file_checked_ms >= FILE_CHECK_MS)) {
		t->filed_hash = table_hash(&t->desired);
		tablefile_store(t->file, &t->scopes, &t->desired);
		return;
	}
	pass_join(t);
}

/* ---- acting ---- */

static void
on_enable(void *arg, int err, const struct binrpc_msg *msg)
{
	struct table *t = arg;
	const struct table_step *s = &t->plan.v[t->next - 1];
	const char *reason = "", *status = NULL;
	int code = 0;

	if (err == 0 && !binrpc_fault(msg, &code, &reason) && msg->first != NULL)
		status = binrpc_text(msg->first->child, "status");
	if (err != 0 || msg->kind == BINRPC_FAULT || status == NULL || strcmp(status, "fail") == 0) {
		t->counts.faults += err == 0;
		log_warnx("target", "%s/rtpengine/%d: %s %s: %s", t->conf->name, s->set, table_op_name(s->op), s->item,
		    err != 0 ? strerror(-err) : reason[0] ? reason : "Kamailio gets no answer from it");
	} else {
		t->counts.set_states++;
		t->acted = true;
		t->applied_wall_ms = loop_wall_ms(t->deps.loop);
	}
	pass_join(t);
}

/* A node that Kamailio put to sleep by itself is woken when it has been answering for a while, and not for ever. */
static bool
may_wake(struct table *t, const struct table_step *s)
{
	const struct node_view *n = node_of(t, s->item);

	if (n == NULL || n->state != NODE_ALIVE || loop_wall_ms(t->deps.loop) - n->since_ms < WAKE_AFTER_MS || t->verifies > 0)
		return false;
	if (repair_note(&t->wakes, xstrdup(s->item), now_ms(t))) {
		t->wake_backoff_ms = now_ms(t) + REPAIR_SPAN_MS;
		log_warnx("target", "%s/rtpengine/%d: Kamailio keeps putting %s to sleep though it answers c4d's pings: look at "
		    "rtpengine_tout_ms, rtpengine_retr and the load of that node; next try in 60s", t->conf->name, s->set, s->item);
		return false;
	}
	log_notice("target", "%s/rtpengine/%d: Kamailio had put %s to sleep; it answers and is woken", t->conf->name, s->set, s->item);
	return true;
}

/* True: an RPC went out, and its answer goes on. */
static bool
next_instant(struct table *t)
{
	while (is_up(t) && t->next < t->plan.n) {
		const struct table_step *s = &t->plan.v[t->next++];
		struct buf body = { 0 };

		if (table_op_is_structural(s->op) || (s->op == TABLE_WAKE && !may_wake(t, s)))
			continue;
		binrpc_begin(&body, "rtpengine.enable");
		binrpc_add_str(&body, s->item);
		binrpc_add_int(&body, s->op != TABLE_DISABLE);
		kam_call(kamhost_kam(t->host), "rtpengine.enable", &body, on_enable, t);
		buf_free(&body);
		return true;
	}
	return false;
}

static void
on_reload(void *arg, int err, const struct binrpc_msg *msg)
{
	struct table *t = arg;
	const char *reason = "";
	int code = 0;

	if (err == 0 && binrpc_fault(msg, &code, &reason) && ((t->kind->refusal != NULL && strcasestr(reason, t->kind->refusal) != NULL) ||
	    strcasestr(reason, "initializing") != NULL)) {
		/* The newest state goes with the next try, not this one again. */
		t->counts.faults++;
		t->counts.window_waits++;
		t->window_ms = now_ms(t) + (t->kind->probed ? RTPENGINE_REFUSED_MS : WINDOW_PROBE_MS);
		if (!t->refused)
			log_info("target", "%s: %s refused (%s); trying again with the newest state", t->conf->name, t->kind->reload,
			    reason);
		t->refused = true;
		pass_end(t);
		return;
	}
	if (err != 0 || msg->kind == BINRPC_FAULT) {
		t->counts.faults += err == 0;
		snprintf(t->reload_error, sizeof t->reload_error, "%s %s%s: look at %s %s", t->kind->reload,
		    err != 0 ? "failed: " : "refused by Kamailio: ", err != 0 ? strerror(-err) : reason, t->kind->setting, t->path);
		if (err == 0 && strstr(reason, "not found") != NULL)
			snprintf(t->reload_error, sizeof t->reload_error, "%s refused by Kamailio: %s (is the %s module loaded?)",
			    t->kind->reload, reason, t->kind->name);
		t->window_ms = now_ms(t) + FAULT_RETRY_MS;
		pass_end(t);
		return;
	}
	t->counts.reloads++;
	t->refused = false;
	t->reload_error[0] = '\0';
	t->window_ms = now_ms(t) + delta_ms(t);
	t->applied_wall_ms = loop_wall_ms(t->deps.loop);
	t->reload_hash = table_hash(&t->desired);
	t->after_reload = true;
	t->acted = true;
	pass_read(t);
}

/* Every node that this reload puts to use has answered within a second. */
static bool
all_fresh(const struct table *t)
{
	struct topo_addr addr;
	size_t i;

	for (i = 0; t->nodes != NULL && i < t->desired.n; i++)
		if (!t->desired.v[i].disabled &&
		    (table_url_addr(t->desired.v[i].item, &addr) != 0 || !nodes_is_fresh(t->nodes, &addr, FRESH_MS)))
			return false;
	return true;
}

static void
reload(struct table *t)
{
	struct buf body = { 0 };

	binrpc_begin(&body, t->kind->reload);
	kam_call(kamhost_kam(t->host), t->kind->reload, &body, on_reload, t);
	buf_free(&body);
}

/* The file is written (or not): now the running one. */
static void
pass_join(struct table *t)
{
	if (!is_up(t) || t->file_locked_out) {
		pass_end(t);
		return;
	}
	if (next_instant(t))
		return;
	if (t->plan.structural > 0 && t->file_error[0] == '\0' && !t->mute) {
		/* The window is too dear to spend on an old state, or on what another connection read. */
		if (platform_now(t->deps.platform) != t->topo || !t->was_read || (t->window_ms <= now_ms(t) && !all_fresh(t))) {
			t->dirty = true;
			pass_end(t);
			return;
		}
		if (t->stuck_until_ms > now_ms(t) && t->reload_hash == table_hash(&t->desired)) {
			pass_end(t);
			return;
		}
		if (t->window_ms <= now_ms(t)) {
			reload(t);
			return;
		}
		t->counts.window_waits++;
	}
	if (t->acted && t->verifies++ < VERIFY_MAX)
		pass_read(t);
	else
		pass_end(t);
}

/* The reload was accepted, and yet: "Ok" proves nothing. */
void
table_check_stuck(struct table *t)
{
	const struct table_step *s = NULL;
	size_t i;

	if (t->plan.structural == 0 || t->reload_hash != table_hash(&t->desired)) {
		t->stuck_until_ms = 0;
		if (t->plan.structural == 0)
			t->reload_error[0] = '\0';
		return;
	}
	if (!t->after_reload)
		return;
	for (i = 0; s == NULL; i++) /* there is one: structural says so */
		if (table_op_is_structural(t->plan.v[i].op))
			s = &t->plan.v[i];
	t->stuck_until_ms = now_ms(t) + STUCK_RETRY_MS;
	snprintf(t->reload_error, sizeof t->reload_error,
	    "Kamailio said Ok to %s but does not hold the rows (%s %s, %zu in all): does it have %s %s? Next try in 60s, or c4ctl resync",
	    t->kind->reload, table_op_name(s->op), s->item, t->plan.structural, t->kind->setting, t->path);
}

/* ---- reading ---- */

static void
on_read(void *arg, int err, const struct binrpc_msg *msg)
{
	struct table *t = arg;
	const char *reason = "";
	int code;

	t->read_error[0] = '\0';
	if (err == 0 && binrpc_fault(msg, &code, &reason)) {
		t->early = strcasestr(reason, "initializing") != NULL;
		if (t->early)
			err = -EAGAIN;
		else if (t->kind->empty_fault == NULL || strcasestr(reason, t->kind->empty_fault) == NULL || strcasestr(reason, "command") != NULL) {
			t->counts.faults++;
			snprintf(t->read_error, sizeof t->read_error, "%s refused by Kamailio: %d %.80s%s", t->kind->reads[t->reading].method,
			    code, reason, strstr(reason, "command") ? " (is its module loaded?)" : strcasestr(reason, "buffer") || strcasestr(reason, "internal") ?
			    " (a long list needs modparam(\"ctl\", \"binrpc_max_body_size\", 512) and "
			    "modparam(\"ctl\", \"binrpc_struct_max_body_size\", 128))" : "");
			err = -EPROTO;
		}
	} else if (err == 0) {
		err = t->kind->read(msg, t->reading, &t->got);
		if (err != 0)
			kam_reconnect(kamhost_kam(t->host), "a table's dump could not be understood");
	}
	if (err != 0) {
		t->was_read = false;
		pass_plan(t);
		return;
	}
	if (++t->reading < TABLE_READS_MAX && t->kind->reads[t->reading].method != NULL) {
		table_read_next(t);
		return;
	}
	table_rows_clear(&t->actual);
	t->actual = t->got;
	memset(&t->got, 0, sizeof t->got);
	table_rows_sort(&t->actual);
	t->was_read = true;
	pass_plan(t);
}

void
table_read_next(struct table *t)
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
	table_read_next(t);
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
	t->verifies = 0;
	t->applied_wall_ms = 0;
	if (!t->loaded)
		tablefile_load(t->file, !t->deps.dry);
	else
		pass_read(t);
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
	if (r->err != 0)
		t->filed_hash = 0;
	if (r->written) {
		t->counts.file_writes++;
		log_debug("target", "%s: wrote %s", t->conf->name, t->path);
	}
	table_rows_copy(&t->filed, &r->rows);
	if (t->loaded) {
		pass_join(t);
		return;
	}
	if (t->file_locked_out) { /* not ours: look again later, from the beginning */
		pass_end(t);
		return;
	}
	t->loaded = true;
	pass_read(t);
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
	for (i = 0; i < t->n_rows; i++)
		t->rows[i].applied = 0;
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
name_rows(struct table *t)
{
	const struct conf_kamailio *c = t->conf;
	size_t i;

	for (i = 0; i < t->n_rows; i++) {
		if (t->kind == &table_kind_rtpengine)
			t->sets[i] = (int)c->rtpengines[i]->id;
		else if (t->kind == &table_kind_permissions)
			t->sets[i] = (int)c->permissions[i]->id;
		if (t->kind->one_row)
			snprintf(t->rows[i].name, sizeof t->rows[i].name, "%s/%s", c->name, t->kind->name);
		else
			snprintf(t->rows[i].name, sizeof t->rows[i].name, "%s/%s/%d", c->name, t->kind->name, t->sets[i]);
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
	t->n_rows = kind == &table_kind_rtpengine ? t->conf->n_rtpengines : kind == &table_kind_permissions ? t->conf->n_permissions : 1;
	t->rows = xcalloc(t->n_rows, sizeof *t->rows);
	t->sets = xcalloc(t->n_rows, sizeof *t->sets);
	t->start_generation = platform_generation(deps->platform);
	name_rows(t);
	for (i = 0; i < t->n_rows; i++) {
		t->rows[i].state = TARGET_PENDING;
		t->rows[i].since_ms = loop_wall_ms(deps->loop);
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
	for (i = 0; i < t->n_rows; i++)
		repair_forget(&t->rows[i].repairs);
	repair_forget(&t->wakes);
	for (i = 0; i < t->n_leftovers; i++)
		free(t->leftovers[i].item);
	free(t->leftovers);
	free(t->rows);
	free(t->sets);
	free(t->scopes.v);
	free(t->path);
	table_rows_clear(&t->actual);
	table_rows_clear(&t->filed);
	table_rows_clear(&t->desired);
	table_rows_clear(&t->mine);
	table_rows_clear(&t->got);
	table_plan_clear(&t->plan);
	free(t);
}

static void
set_conf(struct target *target)
{
	struct table *t = table_of(target);

	t->conf = kamhost_conf(t->host);
	name_rows(t);
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

	for (i = 0; i < t->n_rows; i++) {
		t->rows[i].backoff_ms = 0;
		t->rows[i].applied = 0;
		repair_forget(&t->rows[i].repairs);
	}
	repair_forget(&t->wakes);
	t->wake_backoff_ms = 0;
	t->applied_hash = 0;
	t->stuck_until_ms = 0;
	t->filed_hash = 0;
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
