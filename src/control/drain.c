/* c4ctl drain and undrain. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/text.h"
#include "control/control.h"

#define WAIT_MS 10000 /* for the targets; c4ctl itself waits for twice as long */

struct drain {
	struct topo_addr addr;
	char text[TOPO_ADDR_TEXT];
};

/* "--timeout T" or "--timeout=T" behind the address. False: it has been answered. */
static bool
drain_timeout(struct control_req *r, int64_t *timeout_ms)
{
	static const char option[] = "--timeout";
	const char *word = control_arg(r, 1), *value = control_arg(r, 2);
	size_t len = sizeof option - 1;

	*timeout_ms = 0;
	if (word == NULL)
		return true;
	if (strncmp(word, option, len) == 0 && word[len] == '=' && value == NULL)
		value = word + len + 1;
	else if (strcmp(word, option) != 0 || value == NULL) {
		control_end(r, EXIT_USAGE, "usage: c4ctl drain ADDRESS:PORT [--timeout T]");
		return false;
	}
	if (text_parse_duration(value, timeout_ms) == 0 && *timeout_ms > 0)
		return true;
	control_end(r, EXIT_USAGE, "--timeout %s is no duration: 30s, 10m, 2h", value);
	return false;
}

static bool
drain_address(struct control_req *r, struct drain *d)
{
	if (topo_addr_parse(control_arg(r, 0), &d->addr) != 0) {
		control_end(r, EXIT_USAGE, "%s is not ADDRESS:PORT (IPv6 in brackets)", control_arg(r, 0));
		return false;
	}
	topo_addr_format(&d->addr, d->text);
	return true;
}

/*
 * One object, of the first service that has it; all of them are in "services". `done` is given away. NULL: no service
 * has it any more.
 */
static json_t *
drain_json(struct control_req *r, const struct drain *d, char *done)
{
	struct app *a = control_app(r);
	const struct topo *t = platform_now(a->platform);
	json_t *o = NULL, *services = json_array();
	size_t i;

	for (i = 0; i < t->n; i++) {
		const struct topo_instance *inst = topo_find_instance(&t->services[i], &d->addr);
		json_t *row;

		if (inst == NULL)
			continue;
		row = show_instance(a, t->services[i].name, inst);
		if (o == NULL)
			o = json_deep_copy(row);
		json_array_append_new(services, row);
	}
	if (o == NULL) {
		o = json_object();
		jsonx_set_text(o, "service", d->text);
	}
	json_object_set_new(o, "services", services);
	jsonx_set_text(o, "done", done);
	free(done);
	return o;
}

struct waits {
	struct buf text;
	const char *now; /* of the row that is looked at */
	bool out;
};

static void
find_disable(void *arg, const struct target_step *s)
{
	struct waits *w = arg;

	if (strcmp(s->target, w->now) == 0 && strcmp(s->op, "disable") == 0)
		w->out = false;
}

static bool
concerns(const struct topo *t, const struct target_walk *w, const struct topo_addr *addr)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (topo_find_instance(&t->services[i], addr) != NULL &&
		    w->target->ops->holds(w->target, w->row, t->services[i].name))
			return true;
	return false;
}

/* Which targets have not been read back without it; empty: none. */
static void
drain_waits(struct app *a, const struct topo_addr *addr, struct waits *out)
{
	const struct topo *t = platform_now(a->platform);
	struct target_walk w = { 0 };

	buf_puts(&out->text, "");
	while (kamhost_walk(a->hosts, a->n_hosts, &w)) {
		if (!concerns(t, &w, addr))
			continue;
		out->now = w.view.name;
		out->out = w.target->ops->was_read(w.target);
		if (out->out)
			w.target->ops->diff(w.target, false, find_disable, out);
		if (!out->out)
			buf_printf(&out->text, "%s%s (%s)", out->text.len ? ", " : "", w.view.name,
			    w.view.last_error[0] ? w.view.last_error : target_state_name(w.view.state));
	}
}

/* "No new calls" is to be true when we say so. */
static bool
drain_wait(struct control_req *r, void *arg, bool late)
{
	const struct drain *d = arg;
	struct waits w = { 0 };

	drain_waits(control_app(r), &d->addr, &w);
	if (w.text.len > 0 && !late) {
		buf_free(&w.text);
		return false;
	}
	control_data(r, drain_json(r, d,
	    xasprintf("%s takes no new calls%s; established ones go on. How it goes: c4ctl why %s", d->text,
		w.text.len ? ", but where it is said below" : "", d->text)));
	if (w.text.len > 0)
		control_end(r, EXIT_NO, "not yet in force within 10s: %.800s; it goes on by itself (c4ctl show targets)", w.text.s);
	else
		control_end(r, EXIT_DONE, NULL);
	buf_free(&w.text);
	return true;
}

void
ctl_drain(struct control_req *r)
{
	struct app *a = control_app(r);
	struct platform_refusal no;
	struct drain d, *keep;
	int64_t timeout_ms;

	if (!drain_address(r, &d) || !drain_timeout(r, &timeout_ms))
		return;
	switch (platform_drain(a->platform, &d.addr, timeout_ms, control_peer(r), &no)) {
	case 0:
		break;
	case -ENOENT:
		control_end(r, EXIT_NO, "no service has %s (c4ctl show instances)", d.text);
		return;
	case -EALREADY:
		control_end(r, EXIT_REFUSED, "%s is draining already (c4ctl why %s)", d.text, d.text);
		return;
	default:
		control_end(r, EXIT_REFUSED, "%s would have %u that take calls without %s, and min_instances is %u: start another "
		    "instance first, or lower min_instances", no.service, no.left, d.text, no.min);
		return;
	}
	keep = xcalloc(1, sizeof *keep);
	*keep = d;
	control_wait(r, loop_now_ms(a->loop) + WAIT_MS, drain_wait, keep);
}

/* NULL: it is not. */
static const char *
drained_by_tag(const struct app *a, const struct topo_addr *addr)
{
	const struct topo *t = platform_now(a->platform);
	size_t i;

	for (i = 0; i < t->n; i++) {
		const struct topo_instance *inst = topo_find_instance(&t->services[i], addr);

		if (inst != NULL && inst->guard == GUARD_TAG)
			return platform_conf(a->platform, t->services[i].name)->drain_tag;
	}
	return NULL;
}

void
ctl_undrain(struct control_req *r)
{
	struct app *a = control_app(r);
	const char *tag;
	struct drain d;
	int err;

	if (!drain_address(r, &d))
		return;
	err = platform_undrain(a->platform, &d.addr, control_peer(r));
	tag = drained_by_tag(a, &d.addr);
	if (err == -ENOENT)
		control_end(r, EXIT_NO, "no service has %s (c4ctl show instances)", d.text);
	else if (err == -EALREADY && tag != NULL)
		control_end(r, EXIT_REFUSED, "%s is drained by its tag %s: take the tag away at Consul", d.text, tag);
	else if (err == -EALREADY)
		control_end(r, EXIT_NO, "%s is not draining", d.text);
	else {
		control_data(r, drain_json(r, &d,
		    xasprintf("%s is not drained any more: it takes calls while DNS lists it", d.text)));
		control_end(r, EXIT_DONE, NULL);
	}
}
