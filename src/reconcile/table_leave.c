/*
 * What leaves Kamailio and lasts elsewhere: it forgets a registration with the reload that leaves it out, and the carrier would go on
 * sending calls until it expires. So it is told to end it first, at once, whatever the window. No reload goes before that has been
 * answered, or LEAVE_MS have passed: the answer to a challenge needs the row that the reload takes away.
 *
 * A row that shall register elsewhere, or under another name, leaves likewise, when the file has the new one. It, and what
 * has left and is wanted again, Kamailio takes anew one by one, without a window; if it does not, with the next reload.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "reconcile/table_int.h"

#define LEAVE_MS 3000
#define SOON_MS 200
#define BURST 10 /* in SOON_MS: Kamailio keeps each of its transactions for 5 s, some 20 KB for one that leaves */

static struct leaver *
find(const struct table *t, const char *item)
{
	size_t i;

	for (i = 0; i < t->n_leavers; i++)
		if (strcmp(t->leavers[i].item, item) == 0)
			return &t->leavers[i];
	return NULL;
}

static struct leaver *
find_or_add(struct table *t, const char *item)
{
	struct leaver *l = find(t, item);

	if (l != NULL)
		return l;
	t->leavers = xgrow(t->leavers, t->n_leavers, &t->cap_leavers, sizeof *t->leavers);
	l = &t->leavers[t->n_leavers++];
	*l = (struct leaver){ .item = xstrdup(item), .since_ms = now_ms(t) };
	return l;
}

void
table_forget_leavers(struct table *t)
{
	size_t i;

	for (i = 0; i < t->n_leavers; i++)
		free(t->leavers[i].item);
	free(t->leavers);
	t->leavers = NULL;
	t->n_leavers = t->cap_leavers = 0;
}

static bool
is_in_plan(const struct table *t, const char *item)
{
	size_t i;

	for (i = 0; i < t->plan.n; i++)
		if (strcmp(t->plan.v[i].row->item, item) == 0)
			return true;
	return false;
}

/* Who is gone, or as it shall be, has no past any more. */
void
table_note_leavers(struct table *t)
{
	size_t i, n = 0;

	for (i = 0; i < t->n_leavers; i++) {
		if (is_in_plan(t, t->leavers[i].item))
			t->leavers[n++] = t->leavers[i];
		else
			free(t->leavers[i].item);
	}
	t->n_leavers = n;
}

static bool
is_late(const struct table *t, const struct leaver *l)
{
	return now_ms(t) - l->since_ms >= LEAVE_MS;
}

/* Of a step that takes a row away, or moves it: the row that Kamailio has. NULL: it is no such step. */
static const struct table_row *
leaving_row(const struct table *t, const struct table_step *s)
{
	const struct table_row *have = s->op == TABLE_REMOVE ? s->row : s->op == TABLE_CHANGE ? table_find(&t->actual, s->row) : NULL;

	if (t->kind->leave == NULL || s->waits || have == NULL)
		return NULL;
	return s->op == TABLE_REMOVE || t->kind->leave->is_elsewhere(have, s->row) ? have : NULL;
}

/* ---- going ---- */

/* What Kamailio said to `asked_item`; `reason` is why not. */
static bool
is_done(struct table *t, int err, const struct binrpc_msg *msg, const char **reason)
{
	int code;

	t->acted = true;
	t->applied_hash = 0;
	*reason = "no answer";
	if (err == 0 && !binrpc_fault(msg, &code, reason)) {
		t->counts.set_states++;
		return true;
	}
	t->counts.faults += err == 0;
	return false;
}

static void
on_left(void *arg, int err, const struct binrpc_msg *msg)
{
	struct table *t = arg;
	struct leaver *l = find(t, t->asked_item);
	const char *reason;

	if (is_done(t, err, msg, &reason)) {
		log_info("target", "%s/%s: %s is told to unregister", t->conf->name, t->kind->name, t->asked_item);
	} else {
		if (l != NULL)
			l->refused = true;
		log_notice("target", "%s/%s: Kamailio does not unregister %s (%s): its registration ends by itself", t->conf->name,
		    t->kind->name, t->asked_item, reason);
	}
	table_pass_act(t);
}

static void
ask(struct table *t, const char *method, const char *attribute, const char *item, kam_cb *cb)
{
	struct buf body = { 0 };

	free(t->asked_item); /* the plan may be another when the answer comes */
	t->asked_item = xstrdup(item);
	binrpc_begin(&body, method);
	if (attribute != NULL)
		binrpc_add_str(&body, attribute);
	binrpc_add_str(&body, item);
	kam_call(kamhost_kam(t->host), method, &body, cb, t);
	buf_free(&body);
}

/* A thousand at once would take more of Kamailio's memory than it has. */
static bool
has_room(struct table *t)
{
	if (now_ms(t) - t->burst_ms >= SOON_MS) {
		t->burst_ms = now_ms(t);
		t->n_burst = 0;
	}
	if (t->n_burst++ < BURST)
		return true;
	t->more = true;
	table_again(t, SOON_MS);
	return false;
}

bool
table_takes_leave(struct table *t, const struct table_step *s)
{
	const struct table_row *have = leaving_row(t, s);
	struct leaver *l;

	if (have == NULL || t->kind->leave->is_over(have))
		return false;
	l = find(t, have->item);
	if ((l != NULL && l->asked) || t->more || !has_room(t))
		return false;
	l = find_or_add(t, have->item);
	if (t->kind->leave->is_busy(have) && !is_late(t, l)) { /* two at once would get in each other's way */
		table_again(t, SOON_MS);
		return false;
	}
	l->asked = true;
	ask(t, t->kind->leave->method, t->kind->leave->attribute, have->item, on_left);
	return true;
}

bool
table_next_mover(struct table *t)
{
	size_t i;

	for (i = 0; i < t->plan.n && t->kind->leave != NULL && t->file_right; i++)
		if (t->plan.v[i].op == TABLE_CHANGE && table_takes_leave(t, &t->plan.v[i]))
			return true;
	return false;
}

bool
table_waits_for_leavers(struct table *t)
{
	size_t i, waiting = 0, late = 0;

	for (i = 0; i < t->plan.n; i++) {
		const struct table_row *have = leaving_row(t, &t->plan.v[i]);
		struct leaver *l = have != NULL ? find(t, have->item) : NULL;

		if (l == NULL || l->refused || (t->kind->leave->is_over(have) && !t->kind->leave->is_busy(have)))
			continue;
		waiting += !is_late(t, l);
		late += is_late(t, l) && !l->said;
		l->said |= is_late(t, l);
	}
	if (late > 0)
		log_notice("target", "%s/%s: %zu that leave have no answer to their unregistration within %d s: their registrations end by "
		    "themselves", t->conf->name, t->kind->name, late, LEAVE_MS / 1000);
	if (waiting > 0)
		table_again(t, SOON_MS);
	return waiting > 0 || t->more;
}

/* ---- and coming back ---- */

static void
on_back(void *arg, int err, const struct binrpc_msg *msg)
{
	struct table *t = arg;
	const char *reason;

	if (is_done(t, err, msg, &reason))
		log_info("target", "%s/%s: %s is to register again", t->conf->name, t->kind->name, t->asked_item);
	else
		log_notice("target", "%s/%s: %s of %s refused (%s): it registers again after the next reload", t->conf->name, t->kind->name,
		    t->kind->leave->again, t->asked_item, reason);
	table_pass_act(t);
}

bool
table_next_comer(struct table *t)
{
	size_t i;

	for (i = 0; i < t->plan.n && t->kind->leave != NULL && t->file_right; i++) {
		const struct table_step *s = &t->plan.v[i];
		const struct table_row *have = s->op == TABLE_CHANGE && !s->waits ? table_find(&t->actual, s->row) : NULL;
		struct leaver *l;

		if (have == NULL || !t->kind->leave->is_over(have))
			continue;
		l = find_or_add(t, have->item);
		if (l->back || (t->kind->leave->is_busy(have) && !is_late(t, l)))
			continue;
		l->back = true;
		ask(t, t->kind->leave->again, NULL, have->item, on_back);
		return true;
	}
	return false;
}
