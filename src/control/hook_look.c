#include "hook_look.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct look {
	const struct app *a;
	struct hook_events *events;
	int64_t now_ms, wall_ms;
	char detail[HOOK_TEXT_MAX + 1], hint[HOOK_TEXT_MAX + 1];
};

static void say(struct look *, const char *fmt, ...) PRINTF(2, 3);
static void advise(struct look *, const char *fmt, ...) PRINTF(2, 3);

static void
say(struct look *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(l->detail, sizeof l->detail, fmt, ap);
	va_end(ap);
	l->hint[0] = '\0';
}

static void
advise(struct look *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(l->hint, sizeof l->hint, fmt, ap);
	va_end(ap);
}

static void
see(struct look *l, enum hook_kind kind, const char *name, enum hook_state state)
{
	const struct hook_fact f = { kind, name, state, l->detail, l->hint, platform_generation(l->a->platform) };

	hook_events_see(l->events, &f, l->now_ms, l->wall_ms);
}

/* ---- services ---- */

struct tally {
	size_t active, guard[GUARD_TAG + 1];
	const struct topo_instance *suppressed; /* the first */
};

static void
count(const struct topo_service *s, struct tally *t)
{
	size_t i;

	memset(t, 0, sizeof *t);
	for (i = 0; i < s->n; i++) {
		t->active += topo_is_active(s->inst[i].state);
		t->guard[s->inst[i].guard]++;
		if (s->inst[i].state == TOPO_SUPPRESSED && t->suppressed == NULL)
			t->suppressed = &s->inst[i];
	}
}

static enum hook_state
judge_service(struct look *l, const struct topo_service *s)
{
	const struct conf_service *c = platform_conf(l->a->platform, s->name);
	char addr[TOPO_ADDR_TEXT];
	struct tally t;

	count(s, &t);
	say(l, "%zu instances take calls", t.active);
	if (!s->known)
		return HOOK_GOOD; /* it never had one: nothing was lost */
	if (t.active == 0) {
		say(l, "no instance takes calls");
		advise(l, "c4ctl show instances %s", s->name);
		return HOOK_EMPTY;
	}
	if (t.guard[GUARD_EMPTY] > 0) {
		say(l, "%zu instances are gone from Consul and are held: fewer than min_instances (%" PRId64 ") would be left",
		    t.guard[GUARD_EMPTY], c->min_instances);
		advise(l, "if they are really gone: c4ctl approve %s", s->name);
		return HOOK_EMPTY;
	}
	if (t.guard[GUARD_SHRINK] > 0) {
		say(l, "%zu instances are gone from Consul and are held: more than %" PRId64 "%% left at once", t.guard[GUARD_SHRINK],
		    c->max_shrink);
		advise(l, "if they are really gone: c4ctl approve %s", s->name);
		return HOOK_HELD;
	}
	if (s->frozen) {
		say(l, "frozen by an operator: nothing comes in and nothing goes out");
		advise(l, "c4ctl release %s", s->name);
		return HOOK_HELD;
	}
	if (t.suppressed != NULL) {
		topo_addr_format(&t.suppressed->addr, addr);
		say(l, "%zu instances came and went too often and are kept out, first %s", t.guard[GUARD_FLAP], addr);
		advise(l, "find out why; to let them in at once: c4ctl approve %s", s->name);
		return HOOK_SUPPRESSED;
	}
	return HOOK_GOOD;
}

static void
look_at_services(struct look *l)
{
	const struct topo *t = platform_now(l->a->platform);
	size_t i;

	for (i = 0; i < t->n; i++)
		see(l, HOOK_SERVICE, t->services[i].name, judge_service(l, &t->services[i]));
}

/* ---- targets, registrations ---- */

static enum hook_state
judge_target(struct look *l, const struct target_view *v)
{
	say(l, "%s", target_state_name(v->state));
	if (v->state == TARGET_CONVERGED)
		return HOOK_GOOD;
	if (v->state != TARGET_FAILED && v->state != TARGET_UNREACHABLE)
		return HOOK_BETWEEN;
	if (v->last_error[0] != '\0')
		say(l, "%s: %s", target_state_name(v->state), v->last_error);
	advise(l, "tries again by itself; c4ctl diff %s shows what is missing", v->name);
	return HOOK_FAILED;
}

static void
look_at_targets(struct look *l)
{
	struct target_walk w = { 0 };

	while (kamhost_walk(l->a->hosts, l->a->n_hosts, &w))
		see(l, HOOK_TARGET, w.view.name, judge_target(l, &w.view));
}

static void
look_at_registrations(struct look *l)
{
	struct registration_view v;
	size_t i, n = registrar_count(l->a->registrar);

	for (i = 0; i < n; i++) {
		registrar_view(l->a->registrar, i, &v);
		say(l, "%s", v.unseen[0] != '\0' ? v.unseen : "others find it at Consul as the agent has it");
		if (v.unseen[0] != '\0')
			advise(l, "c4ctl show registrations");
		see(l, HOOK_REGISTRATION, v.name, v.unseen[0] != '\0' ? HOOK_MISSING : HOOK_GOOD);
	}
}

void
hook_look(const struct app *a, struct hook_events *events)
{
	struct look l = { .a = a, .events = events, .now_ms = loop_now_ms(a->loop), .wall_ms = loop_wall_ms(a->loop) };

	hook_events_begin(events);
	look_at_services(&l);
	look_at_targets(&l);
	look_at_registrations(&l);
	hook_events_end(events);
}
