/* The commands that change something, or wait. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "control/control.h"

#define RESYNC_WAIT_MS 10000

static void
word(struct control_req *r, enum judge_word w, const char *done, const char *already)
{
	const char *service = control_arg(r, 0);
	int err = platform_word(control_app(r)->platform, service, w, control_peer(r));

	if (err == -ENOENT)
		control_end(r, EXIT_NO, "no service %s (c4ctl show services)", service);
	else if (err == -EALREADY)
		control_end(r, EXIT_NO, "%s: %s", service, already);
	else {
		if (w == JUDGE_APPROVE)
			hook_approved(control_app(r)->hook, service, control_peer(r));
		hook_look_soon(control_app(r)->hook); /* a hold alone is no change of any instance */
		control_data(r, json_pack("{s:s,s:s}", "service", service, "done", done));
		control_end(r, EXIT_DONE, NULL);
	}
}

void
ctl_hold(struct control_req *r)
{
	word(r, JUDGE_HOLD, "held: nothing comes in and nothing goes out until c4ctl release", "is held already");
}

void
ctl_release(struct control_req *r)
{
	word(r, JUDGE_RELEASE, "released: follows Consul again", "is not held by an operator (what a guard holds: c4ctl approve)");
}

void
ctl_approve(struct control_req *r)
{
	word(r, JUDGE_APPROVE, "approved: what was held is taken out, what was suppressed for flapping is let in",
	    "no guard holds anything of it, and nothing of it is suppressed");
}

void
ctl_watch(struct control_req *r)
{
	control_stream_log(r);
}

void
ctl_log(struct control_req *r)
{
	const char *level = control_arg(r, 0), *sub = control_arg(r, 1);
	int err = log_set(sub, level);

	if (err == -ENOSPC) {
		control_end(r, EXIT_REFUSED, "too many subsystems have a level of their own: set one level for all first");
		return;
	}
	if (err != 0) {
		control_end(r, EXIT_USAGE, "%s is no level: error, warning, notice, info or debug", level);
		return;
	}
	control_data(r, json_pack("{s:s,s:s}", "level", level, "subsystem", sub ? sub : "all"));
	control_end(r, EXIT_DONE, NULL);
}

static void
on_reloaded(void *arg, int err, json_t *messages)
{
	struct control_req *r = arg;

	control_data(r, messages);
	if (err == -EALREADY)
		control_end(r, EXIT_REFUSED, "a reload is under way: try again");
	else if (err != 0)
		control_end(r, EXIT_CONFIG, "the configuration has errors: nothing was changed");
	else
		control_end(r, EXIT_DONE, NULL);
}

void
ctl_reload(struct control_req *r)
{
	struct app *a = control_app(r);

	a->reload(a, on_reloaded, r);
}

/* ---- resync ---- */

struct resync {
	char only[TARGET_NAME_MAX];
	size_t n;
	struct {
		const struct target *target; /* compared, never followed: a reload may have freed it */
		uint64_t passes;             /* when it was asked */
	} asked[]; /* those that are concerned */
};

static size_t
count_targets(const struct app *a)
{
	size_t i, n = 0;

	for (i = 0; i < a->n_hosts; i++)
		n += kamhost_targets(a->hosts[i]);
	return n;
}

/* Every target that was asked has ended a pass since. */
static bool
has_passed(const struct resync *rs, const struct target *t)
{
	size_t i;

	for (i = 0; i < rs->n; i++)
		if (rs->asked[i].target == t)
			return t->ops->passes(t) > rs->asked[i].passes;
	return true;
}

static bool
resync_wait(struct control_req *r, void *arg, bool late)
{
	struct resync *rs = arg;
	struct app *a = control_app(r);
	struct target_walk w = { 0 };
	bool settled = true, good = true;
	json_t *rows, *row;
	size_t i;

	while (kamhost_walk(a->hosts, a->n_hosts, &w))
		settled &= has_passed(rs, w.target);
	rows = show_targets(a, NULL);
	for (i = 0; i < json_array_size(rows);) {
		const char *name, *state;

		row = json_array_get(rows, i);
		name = jsonx_get_text(row, "target");
		state = jsonx_get_text(row, "state");
		if (!show_target_wanted(rs->only[0] ? rs->only : NULL, name)) {
			json_array_remove(rows, i);
			continue;
		}
		good &= strcmp(state, "converged") == 0;
		settled &= strcmp(state, "pending") != 0 && strcmp(state, "window") != 0;
		i++;
	}
	if (!settled && !late) {
		json_decref(rows);
		return false;
	}
	control_data(r, rows);
	if (good)
		control_end(r, EXIT_DONE, NULL);
	else
		control_end(r, EXIT_NO, late ? "not converged within 10s: it goes on by itself" : "not all targets are converged");
	return true;
}

void
ctl_resync(struct control_req *r)
{
	struct app *a = control_app(r);
	struct resync *rs = xcalloc(1, sizeof *rs + count_targets(a) * sizeof *rs->asked);
	const char *only = control_arg(r, 0);
	struct target_walk w = { 0 };

	snprintf(rs->only, sizeof rs->only, "%s", only ? only : "");
	while (kamhost_walk(a->hosts, a->n_hosts, &w)) {
		if (!show_target_wanted(only, w.view.name) || (rs->n > 0 && rs->asked[rs->n - 1].target == w.target))
			continue;
		rs->asked[rs->n].target = w.target;
		rs->asked[rs->n++].passes = w.target->ops->passes(w.target);
		w.target->ops->resync(w.target);
	}
	watch_ask_now(a->watch, NULL);
	if (rs->n == 0 && only != NULL) {
		control_end(r, EXIT_NO, "no target %s (c4ctl show targets)", only);
		free(rs);
		return;
	}
	control_wait(r, loop_now_ms(a->loop) + RESYNC_WAIT_MS, resync_wait, rs);
}
