/* c4ctl rollback: the history is read by the worker. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/text.h"
#include "control/control.h"

#define TRIES 20 /* each reads what was committed in the meantime */

struct rollback {
	struct control_req *r;
	uint64_t generation;
	unsigned tries; /* the newest generations may be on their way to the disk */
	json_t *held;
};

static void
on_held(void *arg, const char *service)
{
	json_array_append_new(arg, jsonx_text(service));
}

static void
rolled_back(struct rollback *rb)
{
	struct app *a = control_app(rb->r);
	json_t *o = json_object();
	struct buf names = { 0 };
	size_t i, n = json_array_size(rb->held);
	char *done;

	for (i = 0; i < n; i++)
		buf_printf(&names, "%s%s", i ? ", " : "", json_string_value(json_array_get(rb->held, i)));
	done = xasprintf("%s as in generation %llu, and held: nothing changes %s until c4ctl release SERVICE",
	    n > 1 ? "are" : "is", (unsigned long long)rb->generation, n > 1 ? "them" : "it");
	jsonx_set_text(o, "service", names.s);
	jsonx_set_int(o, "generation", (int64_t)platform_generation(a->platform));
	jsonx_set_int(o, "rolled_back_to", (int64_t)rb->generation);
	json_object_set(o, "held", rb->held);
	jsonx_set_text(o, "done", done);
	control_data(rb->r, o);
	control_end(rb->r, EXIT_DONE, NULL);
	free(done);
	buf_free(&names);
}

static void
rollback_refused(struct rollback *rb, int err, const struct store_past *p, const struct platform_refusal *no)
{
	unsigned long long g = rb->generation;
	struct store_view sv;

	store_view(control_app(rb->r)->store, &sv);
	if (err == -EALREADY)
		control_end(rb->r, EXIT_REFUSED, "nothing differs between generation %llu and now", g);
	else if (err == -EPERM)
		control_end(rb->r, EXIT_REFUSED, "%s had %u that would take calls in generation %llu, and min_instances is "
		    "%u: choose another generation (c4ctl history), or lower min_instances", no->service, no->left, g, no->min);
	else if (sv.failing)
		control_end(rb->r, EXIT_REFUSED, "the history can't be read back: store: failing: %s", sv.why);
	else if (err == -EAGAIN)
		control_end(rb->r, EXIT_REFUSED, "the history is not up to date (generation %llu): try again",
		    (unsigned long long)p->newest);
	else
		control_end(rb->r, EXIT_REFUSED, "generation %llu is not in the history any more: it reaches back to %llu", g,
		    (unsigned long long)(p->oldest > 0 ? p->oldest - 1 : 0));
}

static void
on_past(void *arg, const struct store_past *p)
{
	struct rollback *rb = arg;
	struct app *a = control_app(rb->r);
	struct platform_refusal no = { 0 };
	int err = p->newest == platform_generation(a->platform) ? p->err : -EAGAIN;

	if (err == 0)
		err = platform_rollback(a->platform, rb->generation, p, control_peer(rb->r), on_held, rb->held, &no);
	if (err == -EAGAIN && rb->tries++ < TRIES) {
		store_past(a->store, rb->generation, on_past, rb);
		return;
	}
	if (err == 0)
		rolled_back(rb);
	else
		rollback_refused(rb, err, p, &no);
	json_decref(rb->held);
	free(rb);
}

void
ctl_rollback(struct control_req *r)
{
	struct app *a = control_app(r);
	uint64_t now = platform_generation(a->platform);
	struct rollback *rb;
	int64_t g;

	if (text_parse_int(control_arg(r, 0), 0, INT64_MAX, &g) != 0) {
		control_end(r, EXIT_USAGE, "%s is no generation: they are in c4ctl history", control_arg(r, 0));
		return;
	}
	if ((uint64_t)g == now) {
		control_end(r, EXIT_REFUSED, "generation %lld is the present one", (long long)g);
		return;
	}
	if ((uint64_t)g > now) {
		control_end(r, EXIT_REFUSED, "generation %lld is yet to come: the present one is %llu", (long long)g,
		    (unsigned long long)now);
		return;
	}
	rb = xcalloc(1, sizeof *rb);
	rb->r = r;
	rb->generation = (uint64_t)g;
	rb->held = json_array();
	store_past(a->store, rb->generation, on_past, rb);
}
