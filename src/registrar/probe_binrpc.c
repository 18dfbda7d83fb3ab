/*
 * binrpc: core.uptime of a Kamailio, by a connection of its own, which is kept: kam connects it anew by itself. That it is
 * lost, or back, is news, for which no interval is waited.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kamailio/kam.h"
#include "registrar/probe_int.h"

#define GRACE_MS 50 /* kam keeps the same time-out and knows more about why */

struct binrpc_probe {
	struct loop *loop;
	struct probe *probe;
	struct kam *kam;
	int64_t timeout_ms;
	struct loop_timer timer; /* of the question that is under way */
	bool asking, started;
	bool down;               /* kam said so, and why */
	char why[512];
};

static void
finish(struct binrpc_probe *b, enum agent_status status, const char *text)
{
	b->asking = false;
	loop_timer_stop(&b->timer);
	probe_done(b->probe, status, text, strlen(text));
}

static void
passes(struct binrpc_probe *b)
{
	char text[256];

	snprintf(text, sizeof text, "core.uptime from %s", kam_addr(b->kam));
	finish(b, AGENT_PASSING, text);
}

static void
on_up(void *arg, const struct kam_ident *ident, bool restarted)
{
	struct binrpc_probe *b = arg;

	b->down = false;
	if (b->asking)
		passes(b); /* core.uptime is the first thing that kam asks */
	else
		probe_hurry(b->probe);
}

static void
on_down(void *arg, int err, const char *why)
{
	struct binrpc_probe *b = arg;
	bool again = b->down;

	b->down = true;
	snprintf(b->why, sizeof b->why, "%s", why);
	if (b->asking)
		finish(b, AGENT_CRITICAL, b->why);
	else if (!again)
		probe_hurry(b->probe);
}

static const struct kam_events events = { .up = on_up, .down = on_down };

static void
on_reply(void *arg, int err, const struct binrpc_msg *msg)
{
	struct binrpc_probe *b = arg;
	const char *reason = "";
	char text[256];
	int code;

	if (!b->asking)
		return; /* the time-out was first */
	if (err == 0 && binrpc_fault(msg, &code, &reason)) {
		snprintf(text, sizeof text, "%s answers core.uptime with fault %d: %s", kam_addr(b->kam), code, reason);
		finish(b, AGENT_CRITICAL, text);
	} else if (err == 0) {
		passes(b);
	}
	/* else the connection is lost: `down` comes next and says why */
}

static void
on_timer(void *arg)
{
	struct binrpc_probe *b = arg;
	char text[256], limit[32];

	text_format_duration(b->timeout_ms, limit, sizeof limit);
	snprintf(text, sizeof text, "no answer from %s within %s (does Kamailio's ctl process hang?)", kam_addr(b->kam), limit);
	finish(b, AGENT_CRITICAL, text);
}

static void
ask(void *arg)
{
	struct binrpc_probe *b = arg;
	struct buf body = { 0 };

	if (!b->started)
		kam_start(b->kam);
	b->started = true;
	b->asking = true;
	if (b->down) {
		finish(b, AGENT_CRITICAL, b->why);
		return;
	}
	loop_timer_start(&b->timer, b->timeout_ms + GRACE_MS);
	if (!kam_is_up(b->kam))
		return; /* being connected: up or down comes */
	binrpc_begin(&body, "core.uptime");
	kam_call(b->kam, "core.uptime", &body, on_reply, b);
	buf_free(&body);
}

static void
binrpc_probe_free(void *arg)
{
	struct binrpc_probe *b = arg;

	kam_free(b->kam);
	loop_timer_fini(&b->timer);
	free(b);
}

static int
make(void **out, const struct probe_seat *seat)
{
	struct binrpc_probe *b = xcalloc(1, sizeof *b);
	const char *to = seat->aim->to ? seat->aim->to : "";

	b->loop = seat->loop;
	b->probe = seat->probe;
	b->timeout_ms = seat->c->timeout_ms;
	if (kam_new(&b->kam, seat->loop, seat->aim->name, to, b->timeout_ms, &events, b) != 0) {
		snprintf(seat->why, seat->size, "%s: needs unix:/PATH or tcp:IP:PORT of Kamailio's ctl module", to);
		free(b);
		return -EINVAL;
	}
	loop_timer_init(&b->timer, seat->loop, on_timer, b);
	*out = b;
	return 0;
}

const struct probe_kind probe_binrpc = { make, ask, binrpc_probe_free };
