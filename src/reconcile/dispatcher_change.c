/*
 * Structural changes: one reload with the newest list, or (strategy: incremental) one dispatcher.add or
 * dispatcher.remove, per window of Kamailio's. What Kamailio says to it proves nothing: the next read-back does.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "reconcile/dispatcher_int.h"
#include "reconcile/incremental_plan.h"

#define FAULT_RETRY_MS 5000    /* after a change that Kamailio refused for another reason than the window */
#define WINDOW_PROBE_MS 500    /* "Ongoing reload" though our window was over: somebody else reloads */
#define WINDOW_LEARN_MAX_MS 60000
#define STUCK_RETRY_MS 60000

bool
dispatcher_by_steps(const struct dispatcher *d)
{
	return strcmp(d->conf->strategy, "incremental") == 0 && d->actual.n > 0;
}

/* ---- the window ---- */

/*
 * A refusal right at the end of our window says that Kamailio's is longer; any other time it may be
 * somebody else's reload that closed it. Kamailio counts whole seconds.
 */
static void
learn_delta(struct dispatcher *d)
{
	int64_t took = now_ms(d) - d->accepted_ms;

	if (d->longer && d->accepted_ms > 0 && took > d->delta_ms && took <= WINDOW_LEARN_MAX_MS) {
		d->delta_ms = (took + 999) / 1000 * 1000;
		log_notice("target", "%s: Kamailio takes a reload every %" PRId64 "ms only; set reload_delta accordingly",
		    d->conf->name, d->delta_ms);
	}
	d->waited = d->refused = d->longer = false;
	d->accepted_ms = now_ms(d);
	d->window_ms = now_ms(d) + d->delta_ms;
}

/* "Ongoing reload" is what it says to all three of them. The newest list goes with the next try, not this one again. */
static bool
is_ongoing(struct dispatcher *d, const char *what, int err, const struct binrpc_msg *msg)
{
	const char *reason = "";
	int code;

	if (err != 0 || !binrpc_fault(msg, &code, &reason) || strcasestr(reason, "ongoing reload") == NULL)
		return false;
	d->counts.faults++;
	d->counts.window_waits++;
	if (!d->refused)
		d->longer = d->waited;
	d->refused = true;
	d->window_ms = now_ms(d) + WINDOW_PROBE_MS;
	log_info("target", "%s: %s refused (Ongoing reload); trying again with the newest list", d->conf->name, what);
	return true;
}

/* Also what it refuses takes a window, unless the window was the reason. */
static void
shut_window(struct dispatcher *d)
{
	d->window_ms = now_ms(d) + (d->delta_ms > FAULT_RETRY_MS ? d->delta_ms : FAULT_RETRY_MS);
}

static void
accepted(struct dispatcher *d)
{
	learn_delta(d);
	d->applied_wall_ms = loop_wall_ms(d->deps.loop);
	d->acted = true;
	dispatcher_pass_read(d);
}

void
dispatcher_describe_wait(const struct dispatcher *d, char *text, size_t size)
{
	size_t n = dispatcher_by_steps(d) ? incremental_windows(&d->plan) : 0;
	int64_t left = d->window_ms - now_ms(d);
	char each[32], all[32];

	text[0] = '\0';
	if (n < 2)
		return;
	text_format_duration(d->delta_ms, each, sizeof each);
	text_format_duration(((left > 0 ? left : 0) + (int64_t)(n - 1) * d->delta_ms) / 1000 * 1000, all, sizeof all);
	snprintf(text, size, "%zu times dispatcher.add or remove for %s, one every %s (strategy: incremental): all of it in about %s", n,
	    d->conf->name, each, all);
}

/* ---- by reload ---- */

static void
on_reload(void *arg, int err, const struct binrpc_msg *msg)
{
	struct dispatcher *d = arg;

	d->rpc_busy = false;
	if (is_ongoing(d, "reload", err, msg)) {
		dispatcher_pass_end(d);
		return;
	}
	if (err != 0 || msg->kind == BINRPC_FAULT) {
		dispatcher_rpc_failed(d, "dispatcher.reload", err, msg, d->reload_error, sizeof d->reload_error);
		if (err == 0 && d->file_bad > 0) {
			size_t len = strlen(d->reload_error);

			snprintf(d->reload_error + len, sizeof d->reload_error - len,
			    "; %s has %zu lines of others that are no destinations: correct them", d->conf->list_file, d->file_bad);
		}
		shut_window(d);
		dispatcher_pass_end(d);
		return;
	}
	d->counts.reloads++;
	d->reload_error[0] = '\0';
	d->reload_generation = d->topo->generation;
	d->after_reload = true;
	accepted(d);
}

static void
reload(struct dispatcher *d)
{
	struct buf body = { 0 };

	d->rpc_busy = true;
	binrpc_begin(&body, "dispatcher.reload");
	kam_call(kamhost_kam(d->host), "dispatcher.reload", &body, on_reload, d);
	buf_free(&body);
}

/* The reload was accepted, and yet: "Ok" proves nothing. */
static void
check_reload(struct dispatcher *d)
{
	const struct dsp_step *s = NULL;
	size_t i;

	if (d->plan.structural == 0 || d->reload_generation != d->topo->generation || !d->after_reload) {
		if (d->plan.structural == 0 || d->reload_generation != d->topo->generation)
			d->stuck_until_ms = 0;
		if (d->plan.structural == 0)
			d->reload_error[0] = '\0';
		return;
	}
	for (i = 0; s == NULL; i++) /* there is one: structural says so */
		if (dsp_is_structural(&d->plan.v[i]))
			s = &d->plan.v[i];
	d->stuck_until_ms = now_ms(d) + STUCK_RETRY_MS;
	snprintf(d->reload_error, sizeof d->reload_error,
	    "Kamailio said Ok to dispatcher.reload but does not hold the list (%s %s, %zu in all): does its list_file name %s, does it listen on that address family, "
	    "and what does its log say of that URI? Next try in 60s, or c4ctl resync",
	    dsp_op_name(s->op), s->uri, d->plan.structural, d->conf->list_file);
}

/* ---- by steps ---- */

static void
refusal_free(struct refusal *r)
{
	free(r->uri);
	free(r->why);
}

static struct refusal *
find_refusal(const struct dispatcher *d, int set, const char *uri)
{
	size_t i;

	for (i = 0; i < d->n_refusals; i++)
		if (d->refusals[i].set == set && strcmp(d->refusals[i].uri, uri) == 0)
			return &d->refusals[i];
	return NULL;
}

static void
refuse(struct dispatcher *d, int set, const char *uri, char *takes_why)
{
	struct refusal *r = find_refusal(d, set, uri);

	if (r == NULL) {
		d->refusals = xgrow(d->refusals, d->n_refusals, &d->cap_refusals, sizeof *d->refusals);
		r = &d->refusals[d->n_refusals++];
		memset(r, 0, sizeof *r);
		r->set = set;
		r->uri = xstrdup(uri);
	}
	free(r->why);
	r->why = takes_why;
	r->until_ms = now_ms(d) + STUCK_RETRY_MS;
}

void
dispatcher_forget_refusals(struct dispatcher *d)
{
	while (d->n_refusals > 0)
		refusal_free(&d->refusals[--d->n_refusals]);
	free(d->refusals);
	d->refusals = NULL;
	d->cap_refusals = 0;
}

/* A refusal holds for a while, and only as long as the step is wanted. */
static void
drop_old_refusals(struct dispatcher *d)
{
	size_t i, k, n = 0;

	for (i = 0; i < d->n_refusals; i++) {
		struct refusal *r = &d->refusals[i];

		for (k = 0; k < d->plan.n; k++)
			if (dsp_is_structural(&d->plan.v[k]) && d->plan.v[k].set == r->set && strcmp(d->plan.v[k].uri, r->uri) == 0)
				break;
		if (k == d->plan.n || r->until_ms <= now_ms(d))
			refusal_free(r);
		else
			d->refusals[n++] = *r;
	}
	d->n_refusals = n;
}

static const char *
rpc_name(const struct dsp_step *s)
{
	return incremental_is_add(s) ? "dispatcher.add" : "dispatcher.remove";
}

static void
forget_tried(struct dispatcher *d)
{
	dsp_step_clear(&d->tried);
	memset(&d->tried, 0, sizeof d->tried);
}

/* Kamailio says Ok also to an add of what it can't resolve and to a remove of what it can't find. */
static void
check_tried(struct dispatcher *d)
{
	const struct dsp_step *t = &d->tried, *s;
	bool added = t->op == DSP_ADD;
	size_t i;

	for (i = 0; t->uri != NULL && i < d->plan.n; i++) {
		s = &d->plan.v[i];
		if (!dsp_is_structural(s) || s->set != t->set || strcmp(s->uri, t->uri) != 0)
			continue;
		if (s->op == DSP_ADD && !added)
			continue; /* the other half of a change */
		if (s->op == DSP_ADD)
			refuse(d, s->set, s->uri, xasprintf("Kamailio said Ok to dispatcher.add but does not list %s: does the name "
			    "resolve, does it listen on that address family, is socket= one of its own, and what does its log say? "
			    "Next try in 60s, or c4ctl resync", s->uri));
		else if (added)
			refuse(d, s->set, s->uri, xasprintf("Kamailio said Ok to dispatcher.add but lists %s otherwise (%s %s): next try "
			    "in 60s, or c4ctl resync", s->uri, dsp_op_name(s->op), s->detail ? s->detail : ""));
		else
			refuse(d, s->set, s->uri, xasprintf("Kamailio said Ok to dispatcher.remove but still lists %s: next try in 60s, "
			    "or c4ctl resync; a dispatcher.reload by hand removes it (and sets all call loads to 0)", s->uri));
		break;
	}
	forget_tried(d);
}

static void
block_refused(struct dispatcher *d)
{
	size_t i;

	for (i = 0; d->n_refusals > 0 && i < d->plan.n; i++) {
		struct dsp_step *s = &d->plan.v[i];
		const struct refusal *r = dsp_is_structural(s) && s->blocked == NULL ? find_refusal(d, s->set, s->uri) : NULL;

		if (r != NULL)
			s->blocked = xstrdup(r->why);
	}
}

static void
on_step(void *arg, int err, const struct binrpc_msg *msg)
{
	struct dispatcher *d = arg;
	struct dsp_step *t = &d->tried;
	char text[256];

	d->rpc_busy = false;
	if (is_ongoing(d, rpc_name(t), err, msg)) {
		forget_tried(d);
		dispatcher_pass_end(d);
		return;
	}
	if (err != 0 || msg->kind == BINRPC_FAULT) {
		dispatcher_rpc_failed(d, rpc_name(t), err, msg, text, sizeof text);
		log_warnx("target", "%s/%d: %s %s: %s", d->conf->name, t->set, dsp_op_name(t->op), t->uri, text);
		if (err == 0)
			refuse(d, t->set, t->uri, xasprintf("%s %s: %s: next try in 60s, or c4ctl resync; where it never works, set strategy: "
			    "reload", dsp_op_name(t->op), t->uri, text));
		forget_tried(d);
		shut_window(d);
		dispatcher_pass_end(d);
		return;
	}
	log_info("target", "%s/%d: %s %s", d->conf->name, t->set, rpc_name(t), t->uri);
	if (incremental_is_add(t))
		d->counts.adds++;
	else
		d->counts.removes++;
	accepted(d);
}

/* What Kamailio reads from the file at its next start: ours, or the line of somebody else that stands for it. */
static void
add_args(const struct dispatcher *d, const struct dsp_step *s, struct buf *body)
{
	const struct ds_entry *want = dsp_find(&d->desired, s->set, s->uri), *theirs = dsp_find(&d->foreign, s->set, s->uri);
	const struct ds_entry *line = theirs != NULL ? theirs : want;
	const struct dsp_known known = dispatcher_known(d);
	unsigned flags = dsp_file_flags(&d->desired, &known, want);

	if (theirs != NULL)
		flags = (flags & DS_STATE_BITS) | (theirs->flags & ~(unsigned)DS_STATE_BITS);
	binrpc_add_int(body, (int32_t)flags);
	if (incremental_has_priority(kamhost_ident(d->host)->version))
		binrpc_add_int(body, line->priority);
	if (line->attrs != NULL)
		binrpc_add_str(body, line->attrs);
}

static void
change_by_step(struct dispatcher *d, const struct dsp_step *s)
{
	struct buf body = { 0 };

	forget_tried(d);
	d->tried.op = s->op;
	d->tried.set = s->set;
	d->tried.uri = xstrdup(s->uri);
	d->rpc_busy = true;
	binrpc_begin(&body, rpc_name(s));
	binrpc_add_int(&body, s->set);
	binrpc_add_str(&body, s->uri);
	if (incremental_is_add(s))
		add_args(d, s, &body);
	kam_call(kamhost_kam(d->host), rpc_name(s), &body, on_step, d);
	buf_free(&body);
}

/* ---- either ---- */

void
dispatcher_check_change(struct dispatcher *d)
{
	if (!dispatcher_by_steps(d)) {
		forget_tried(d);
		check_reload(d);
		return;
	}
	d->reload_error[0] = '\0';
	check_tried(d);
	drop_old_refusals(d);
	if (d->plan.structural == 0)
		return;
	block_refused(d);
	incremental_block(&d->plan, &d->desired, &d->actual, kamhost_ident(d->host)->version);
}

bool
dispatcher_change(struct dispatcher *d)
{
	bool by_steps = dispatcher_by_steps(d);
	const struct dsp_step *s = by_steps ? incremental_next(&d->plan, &d->desired, &d->actual) : NULL;

	if (by_steps ? s == NULL : d->stuck_until_ms > now_ms(d) && d->reload_generation == d->topo->generation)
		return false;
	if (d->window_ms > now_ms(d)) {
		d->waited = true;
		d->counts.window_waits++;
		return false;
	}
	if (by_steps)
		change_by_step(d, s);
	else
		reload(d);
	return true;
}

void
dispatcher_forget_change(struct dispatcher *d, bool restarted)
{
	d->after_reload = false;
	d->reload_error[0] = '\0';
	d->stuck_until_ms = 0;
	forget_tried(d);
	if (!restarted)
		return;
	/* another process: nothing that we know of the last one's holds */
	dispatcher_forget_refusals(d);
	d->window_ms = 0;
	d->accepted_ms = 0;
	d->waited = d->refused = d->longer = false;
	d->delta_ms = d->conf->reload_delta_ms;
}
