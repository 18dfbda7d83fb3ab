#include "reconcile/platform.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "reconcile/rollback_plan.h"

#define LOG_CHANGES_MAX 20 /* lines per generation; the history has them all */

struct service {
	const struct conf_service *conf; /* lent by whoever loaded the configuration */
	char *name;
	struct judge_conf *jc;
	struct judge *judge;
	struct store_service stored; /* what the store was last told */
	bool told;
	/* names as they were when the judge last saw them: a reload maps old to new by text */
	char *names[JUDGE_NAMES_MAX];
	size_t n_names;
	bool troubled[JUDGE_NAMES_MAX];
	int64_t trouble_ms[JUDGE_NAMES_MAX];
	unsigned refused;
};

struct own {
	char *kamailio;
	struct topo_addr *addr;
	size_t n;
};

struct drained {
	char *service;
	struct topo_addr addr;
	struct store_drain drain;
};

struct platform {
	struct loop *loop;
	struct store *store;
	const struct conf *conf;
	platform_changed_cb *changed;
	void *arg;
	struct service **services;
	size_t n;
	struct topo *now;
	int64_t seen_ms;
	int64_t seen[PLATFORM_SEEN]; /* of generations, by their remainders */
	struct own *own;
	size_t n_own;
	struct topo_addr *own_all;
	size_t n_own_all;
	char **adopted;
	size_t n_adopted, cap_adopted;
	struct drained *drains; /* also of services that are not configured now */
	size_t n_drains, cap_drains;
};

static struct service *
find(const struct platform *p, const char *name)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (strcmp(p->services[i]->name, name) == 0)
			return p->services[i];
	return NULL;
}

static struct judge_conf *
judge_conf_of(const struct platform *p, const struct conf_service *c)
{
	struct judge_conf *jc = xcalloc(1, sizeof *jc);

	jc->interval_ms = c->interval_ms;
	jc->remove_hold_ms = c->remove_hold_ms;
	jc->empty_hold_ms = c->empty_hold_ms;
	jc->empty_rounds = (unsigned)c->empty_rounds;
	jc->max_shrink = (unsigned)c->max_shrink;
	jc->shrink_window_ms = c->shrink_window_ms;
	jc->shrink_hold_ms = c->shrink_hold_ms;
	jc->min_instances = (unsigned)c->min_instances;
	jc->max_instances = (unsigned)c->max_instances;
	jc->networks = c->prefixes;
	jc->n_networks = c->networks.n;
	jc->own = p->own_all;
	jc->n_own = p->n_own_all;
	jc->flap_suppress = c->flap_suppress;
	jc->flap_reuse = c->flap_reuse;
	jc->flap_half_life_ms = c->flap_half_life_ms;
	jc->flap_max_ms = c->flap_max_ms;
	jc->drain_tag = c->drain_tag;
	jc->n_names = c->names.n;
	jc->tags = (const char *const *)c->tags.v;
	jc->n_tags = c->tags.n;
	return jc;
}

static void
keep_names(struct service *s)
{
	size_t i;

	for (i = 0; i < s->n_names; i++)
		free(s->names[i]);
	s->n_names = s->conf->names.n;
	for (i = 0; i < s->n_names; i++)
		s->names[i] = xstrdup(s->conf->names.v[i]);
}

static struct service *
service_new(struct platform *p, const struct conf_service *c)
{
	struct service *s = xcalloc(1, sizeof *s);
	int64_t now = loop_now_ms(p->loop), wall = loop_wall_ms(p->loop);
	size_t i;

	s->name = xstrdup(c->name);
	s->conf = c;
	s->jc = judge_conf_of(p, c);
	keep_names(s);
	s->judge = judge_new(s->jc);
	for (i = 0; i < p->n_drains; i++)
		if (strcmp(p->drains[i].service, s->name) == 0)
			(void)judge_drain(s->judge, &p->drains[i].addr, p->drains[i].drain.until_ms, now, wall);
	return s;
}

static void
service_free(struct service *s)
{
	size_t i;

	for (i = 0; i < s->n_names; i++)
		free(s->names[i]);
	judge_free(s->judge);
	free(s->jc);
	free(s->name);
	free(s);
}

/* ---- publishing ---- */

static void
log_change(void *arg, const struct topo_change *ch)
{
	unsigned *left = arg;
	const struct topo_instance *a = ch->after, *b = ch->before, *i = a ? a : b;
	char addr[TOPO_ADDR_TEXT], until[32];

	if (*left == 0 || i == NULL)
		return;
	(*left)--;
	topo_addr_format(&i->addr, addr);
	text_format_time(i->drain_until_ms, until);
	if (b == NULL)
		log_notice("topo", "%s: %s %s weight=%u%s%s", ch->service, addr, topo_state_name(a->state), a->weight,
		    a->tags ? " tags=" : "", a->tags ? a->tags : "");
	else if (a == NULL)
		log_notice("topo", "%s: %s removed after being %s", ch->service, addr, topo_state_name(b->state));
	else if (a->state != b->state || a->guard != b->guard || a->drain_until_ms != b->drain_until_ms)
		log_notice("topo", "%s: %s %s -> %s%s%s%s%s", ch->service, addr, topo_state_name(b->state),
		    topo_state_name(a->state), a->guard ? " guard=" : "", topo_guard_name(a->guard), until[0] ? " until=" : "",
		    until);
	else
		log_notice("topo", "%s: %s weight=%u priority=%u tags=%s", ch->service, addr, a->weight, a->priority,
		    a->tags ? a->tags : "-");
}

/* Instances that did not change keep the generation of their last change. */
static void
number(struct topo *t, const struct topo *before)
{
	size_t i, j, k;

	for (i = 0; i < t->n; i++) {
		const struct topo_service *old = topo_find(before, t->services[i].name);

		for (j = k = 0; j < t->services[i].n; j++) {
			struct topo_instance *inst = &t->services[i].inst[j];

			while (old != NULL && k < old->n && topo_instance_cmp(&old->inst[k], inst) < 0)
				k++;
			if (old != NULL && k < old->n && topo_instance_cmp(&old->inst[k], inst) == 0 &&
			    !topo_instance_differs(&old->inst[k], inst))
				inst->generation = old->inst[k].generation;
			else
				inst->generation = t->generation;
		}
	}
}

static void
tell_store(struct platform *p, struct service *s)
{
	struct store_service now;
	struct judge_view v;

	if (p->store == NULL)
		return;
	judge_view(s->judge, loop_now_ms(p->loop), &v);
	now.known = v.known;
	now.frozen = v.frozen;
	now.peak = v.base;
	if (s->told && now.known == s->stored.known && now.frozen == s->stored.frozen && now.peak == s->stored.peak)
		return;
	s->stored = now;
	s->told = true;
	store_put_service(p->store, s->name, &now);
}

static struct topo *
snapshot(struct platform *p, const struct service *only)
{
	struct topo *t = topo_new(p->n);
	size_t i, j;

	t->wall_ms = loop_wall_ms(p->loop);
	for (i = 0; i < p->n; i++) {
		struct topo_service *s = &t->services[i];
		const struct topo_service *old = only != NULL && p->services[i] != only ?
		    topo_find(p->now, p->services[i]->name) : NULL;

		s->name = xstrdup(p->services[i]->name);
		if (old == NULL) {
			judge_snapshot(p->services[i]->judge, s);
			continue;
		}
		s->known = old->known;
		s->frozen = old->frozen;
		s->n = old->n;
		s->inst = xcalloc(old->n, sizeof *s->inst);
		for (j = 0; j < old->n; j++)
			topo_instance_copy(&s->inst[j], &old->inst[j]);
	}
	return t;
}

/* `first`: the snapshot that a start begins with keeps its number. */
static void
publish(struct platform *p, const struct service *only, const char *cause, bool first)
{
	struct topo *t = snapshot(p, only), *before = p->now;
	unsigned left = LOG_CHANGES_MAX;
	size_t n;

	n = topo_diff(before, t, NULL, NULL);
	t->generation = before->generation + (n > 0 && !first);
	number(t, before);
	p->now = t;
	if (n > 0) {
		p->seen_ms = p->seen[t->generation % PLATFORM_SEEN] = t->wall_ms;
		topo_diff(before, t, log_change, &left);
		log_info("topo", "generation=%" PRIu64 " changes=%zu cause=\"%s\"", t->generation, n, cause);
		/* the store is told before any target is */
		if (p->store != NULL)
			/* generation 0 grows by each set that is adopted: its record is their sum */
			store_put_generation(p->store, first ? NULL : before, t, t->wall_ms, cause);
	}
	topo_unref(before);
	if (n > 0 || first)
		p->changed(p->arg);
}

/* ---- rounds ---- */

static void
log_evidence(struct platform *p, struct service *s, unsigned name, const char *server)
{
	struct judge_name_view v;
	struct judge_view jv;
	char text[32], addr[TOPO_ADDR_TEXT];
	int64_t now = loop_now_ms(p->loop);
	bool trouble;

	judge_name_view(s->judge, name, &v);
	trouble = v.last == EVIDENCE_NOTHING || v.last == EVIDENCE_PARTIAL;
	if (trouble && !s->troubled[name]) {
		s->trouble_ms[name] = now;
		log_warnx("dns", "%s: %s proves %s: %s server=%s; nothing is removed", s->name, s->names[name],
		    v.last == EVIDENCE_NOTHING ? "nothing" : "no absence", v.why, server);
	} else if (!trouble && s->troubled[name]) {
		text_format_duration((now - s->trouble_ms[name]) / 1000 * 1000, text, sizeof text);
		log_notice("dns", "%s: %s is conclusive again after %s: %s server=%s", s->name, s->names[name], text, v.why,
		    server);
	}
	s->troubled[name] = trouble;
	judge_view(s->judge, now, &jv);
	if (jv.refused != s->refused && jv.refused > 0) {
		topo_addr_format(&jv.refused_addr, addr);
		log_warnx("topo", "%s: %u listed instances are not accepted, first %s: %s", s->name, jv.refused, addr,
		    jv.refused_why);
	}
	s->refused = jv.refused;
}

void
platform_round(struct platform *p, const char *service, const struct round *r, const char *server)
{
	struct service *s = find(p, service);
	struct judge_name_view v;
	char *cause;
	bool changed;

	if (s == NULL || r->name >= s->n_names)
		return;
	changed = judge_round(s->judge, r, loop_now_ms(p->loop), loop_wall_ms(p->loop));
	log_evidence(p, s, r->name, server);
	if (changed) {
		judge_name_view(s->judge, r->name, &v);
		cause = xasprintf("%s of %s from %s (%zu listed)", v.last == EVIDENCE_COMPLETE ? "complete list" :
		    v.last == EVIDENCE_PARTIAL ? "partial list" : "proven absence", s->names[r->name], server, v.listed);
		publish(p, s, cause, false);
		free(cause);
	}
	tell_store(p, s);
}

int
platform_word(struct platform *p, const char *service, enum judge_word word, const char *who)
{
	static const char *const names[] = {
		[JUDGE_APPROVE] = "approve", [JUDGE_HOLD] = "hold", [JUDGE_RELEASE] = "release",
	};
	struct service *s = find(p, service);
	char *cause;

	if (s == NULL)
		return -ENOENT;
	if (!judge_word(s->judge, word, loop_now_ms(p->loop), loop_wall_ms(p->loop)))
		return -EALREADY;
	cause = xasprintf("c4ctl %s %s by %s", names[word], service, who);
	log_notice("topo", "%s", cause);
	publish(p, s, cause, false);
	free(cause);
	tell_store(p, s);
	return 0;
}

/* ---- drains ---- */

static struct drained *
find_drain(const struct platform *p, const char *service, const struct topo_addr *addr)
{
	size_t i;

	for (i = 0; i < p->n_drains; i++)
		if (strcmp(p->drains[i].service, service) == 0 && topo_addr_cmp(&p->drains[i].addr, addr) == 0)
			return &p->drains[i];
	return NULL;
}

static struct drained *
add_drain(struct platform *p, const char *service, const struct topo_addr *addr, const struct store_drain *d)
{
	struct drained *dr;

	p->drains = xgrow(p->drains, p->n_drains, &p->cap_drains, sizeof *p->drains);
	dr = &p->drains[p->n_drains++];
	dr->service = xstrdup(service);
	dr->addr = *addr;
	dr->drain = *d;
	dr->drain.who = xstrdup(d->who);
	return dr;
}

static void
remove_drain(struct platform *p, struct drained *dr)
{
	if (p->store != NULL)
		store_put_drain(p->store, dr->service, &dr->addr, NULL);
	free(dr->service);
	free(dr->drain.who);
	*dr = p->drains[--p->n_drains];
}

const struct store_drain *
platform_drain_of(const struct platform *p, const char *service, const struct topo_addr *addr)
{
	const struct drained *dr = find_drain(p, service, addr);

	return dr ? &dr->drain : NULL;
}

const struct store_drain *
platform_drain_at(const struct platform *p, size_t i, const char **service, struct topo_addr *addr)
{
	if (i >= p->n_drains)
		return NULL;
	*service = p->drains[i].service;
	*addr = p->drains[i].addr;
	return &p->drains[i].drain;
}

static const struct topo_instance *
find_now(const struct platform *p, const struct service *s, const struct topo_addr *addr)
{
	return topo_find_instance(topo_find(p->now, s->name), addr);
}

static bool
refuse(struct platform_refusal *r, const struct service *s, unsigned left)
{
	if (left >= s->jc->min_instances)
		return false;
	snprintf(r->service, sizeof r->service, "%s", s->name);
	r->left = left;
	r->min = s->jc->min_instances;
	return true;
}

/* What the drain concerns: whether anything has it, and whether anything is yet to be done. */
static int
may_drain(struct platform *p, const struct topo_addr *addr, bool again, struct platform_refusal *r)
{
	bool any = false, fresh = again;
	size_t i;

	for (i = 0; i < p->n; i++) {
		struct service *s = p->services[i];
		const struct topo_instance *inst = find_now(p, s, addr);
		bool drained = find_drain(p, s->name, addr) != NULL;

		any |= inst != NULL || drained;
		fresh |= inst != NULL && !drained;
		if (inst != NULL && !drained && topo_is_active(inst->state) && refuse(r, s, judge_left_without(s->judge, addr)))
			return -EPERM;
	}
	return !any ? -ENOENT : !fresh ? -EALREADY : 0;
}

static void
drain_one(struct platform *p, struct service *s, const struct topo_addr *addr, int64_t timeout_ms, const char *who)
{
	struct drained *dr = find_drain(p, s->name, addr);
	int64_t wall = loop_wall_ms(p->loop);
	struct store_drain d = { wall, 0, (char *)(uintptr_t)who };

	if (dr == NULL && find_now(p, s, addr) == NULL)
		return;
	if (dr == NULL)
		dr = add_drain(p, s->name, addr, &d);
	else if (timeout_ms == 0)
		return;
	dr->drain.until_ms = timeout_ms > 0 ? wall + timeout_ms : 0;
	if (p->store != NULL)
		store_put_drain(p->store, s->name, addr, &dr->drain);
	(void)judge_drain(s->judge, addr, dr->drain.until_ms, loop_now_ms(p->loop), wall);
}

static void
publish_word(struct platform *p, const char *fmt, ...) PRINTF(2, 3);

/* The operator's word, done: one generation, whatever it concerns. */
static void
publish_word(struct platform *p, const char *fmt, ...)
{
	char cause[256];
	va_list ap;
	size_t i;

	va_start(ap, fmt);
	vsnprintf(cause, sizeof cause, fmt, ap);
	va_end(ap);
	log_notice("topo", "%s", cause);
	publish(p, NULL, cause, false);
	for (i = 0; i < p->n; i++)
		tell_store(p, p->services[i]);
}

int
platform_drain(struct platform *p, const struct topo_addr *addr, int64_t timeout_ms, const char *who,
    struct platform_refusal *refusal)
{
	char text[TOPO_ADDR_TEXT], timeout[32];
	int err = may_drain(p, addr, timeout_ms > 0, refusal);
	size_t i;

	if (err != 0)
		return err;
	for (i = 0; i < p->n; i++)
		drain_one(p, p->services[i], addr, timeout_ms, who);
	topo_addr_format(addr, text);
	text_format_duration(timeout_ms, timeout, sizeof timeout);
	publish_word(p, "c4ctl drain %s%s%s by %s", text, timeout_ms > 0 ? " --timeout " : "", timeout_ms > 0 ? timeout : "",
	    who);
	return 0;
}

int
platform_undrain(struct platform *p, const struct topo_addr *addr, const char *who)
{
	bool any = false, drained = false;
	char text[TOPO_ADDR_TEXT];
	size_t i;

	for (i = 0; i < p->n; i++)
		any |= find_now(p, p->services[i], addr) != NULL;
	for (i = 0; i < p->n_drains;) {
		struct drained *dr = &p->drains[i];
		struct service *s = find(p, dr->service);

		if (topo_addr_cmp(&dr->addr, addr) != 0) {
			i++;
			continue;
		}
		drained = true;
		remove_drain(p, dr);
		if (s != NULL)
			(void)judge_undrain(s->judge, addr, loop_now_ms(p->loop), loop_wall_ms(p->loop));
	}
	if (!drained)
		return any ? -EALREADY : -ENOENT;
	topo_addr_format(addr, text);
	publish_word(p, "c4ctl undrain %s by %s", text, who);
	return 0;
}

/* ---- rollback ---- */

int
platform_rollback(struct platform *p, uint64_t generation, const struct store_past *then, const char *who,
    platform_name_cb *held, void *arg, struct platform_refusal *refusal)
{
	struct rollback_plan *plans;
	int64_t now = loop_now_ms(p->loop), wall = loop_wall_ms(p->loop);
	int err = -EALREADY;
	size_t i;

	if (then->newest != p->now->generation)
		return -EAGAIN;
	plans = xcalloc(p->n, sizeof *plans);
	for (i = 0; i < p->n; i++) {
		rollback_make_plan(topo_find(p->now, p->services[i]->name), then, &plans[i]);
		if (!plans[i].differs || err == -EPERM)
			continue;
		err = refuse(refusal, p->services[i], plans[i].active) ? -EPERM : 0;
	}
	for (i = 0; i < p->n && err == 0; i++) {
		if (!plans[i].differs)
			continue;
		judge_rollback(p->services[i]->judge, plans[i].inst, plans[i].n, now, wall);
		held(arg, p->services[i]->name);
	}
	if (err == 0)
		publish_word(p, "c4ctl rollback %" PRIu64 " by %s", generation, who);
	for (i = 0; i < p->n; i++)
		rollback_plan_clear(&plans[i]);
	free(plans);
	return err;
}

/* ---- adoption ---- */

bool
platform_adopted(const struct platform *p, const char *target)
{
	size_t i;

	for (i = 0; i < p->n_adopted; i++)
		if (strcmp(p->adopted[i], target) == 0)
			return true;
	return p->store != NULL && store_adopted(p->store, target);
}

void
platform_note_adopted(struct platform *p, const char *target)
{
	if (platform_adopted(p, target))
		return;
	p->adopted = xgrow(p->adopted, p->n_adopted, &p->cap_adopted, sizeof *p->adopted);
	p->adopted[p->n_adopted++] = xstrdup(target);
	if (p->store != NULL)
		store_put_adopted(p->store, target);
}

void
platform_adopt(struct platform *p, const char *service, const char *target, const struct platform_adoptee *v, size_t n)
{
	struct service *s = find(p, service);
	size_t i, count = 0;
	bool first = p->now->generation == 0;
	char *cause;

	for (i = 0; s != NULL && i < n; i++) {
		struct topo_instance inst = {
			.addr = v[i].addr,
			.weight = 1,
			.priority = 1,
			.state = v[i].disabled ? TOPO_DISABLED : TOPO_UP,
			.source = SOURCE_ADOPTED,
			.since_ms = loop_wall_ms(p->loop),
		};

		inst.origin = xasprintf("%s %s", target, v[i].line);
		count += judge_restore(s->judge, &inst, loop_now_ms(p->loop), loop_wall_ms(p->loop));
		free(inst.origin);
	}
	if (count == 0)
		return;
	cause = xasprintf("adopted from %s, as it was found", target);
	publish(p, s, cause, first);
	free(cause);
	tell_store(p, s);
}

void
platform_set_own(struct platform *p, const char *kamailio, const struct topo_addr *addr, size_t n)
{
	size_t i, total = 0;
	struct own *o = NULL;

	for (i = 0; i < p->n_own; i++)
		if (strcmp(p->own[i].kamailio, kamailio) == 0)
			o = &p->own[i];
	if (o == NULL) {
		p->own = xrealloc(p->own, p->n_own + 1, sizeof *p->own);
		o = &p->own[p->n_own++];
		memset(o, 0, sizeof *o);
		o->kamailio = xstrdup(kamailio);
	}
	free(o->addr);
	o->addr = xcalloc(n, sizeof *addr);
	if (n)
		memcpy(o->addr, addr, n * sizeof *addr);
	o->n = n;
	free(p->own_all);
	for (i = 0; i < p->n_own; i++)
		total += p->own[i].n;
	p->own_all = xcalloc(total, sizeof *p->own_all);
	for (i = total = 0; i < p->n_own; i++) {
		if (p->own[i].n)
			memcpy(p->own_all + total, p->own[i].addr, p->own[i].n * sizeof *addr);
		total += p->own[i].n;
	}
	p->n_own_all = total;
	for (i = 0; i < p->n; i++) {
		p->services[i]->jc->own = p->own_all;
		p->services[i]->jc->n_own = p->n_own_all;
	}
}

/* ---- life ---- */

static void
restore_drain(void *arg, const char *service, const struct topo_addr *addr, const struct store_drain *d)
{
	add_drain(arg, service, addr, d);
}

/* In p->now is being gathered what the store holds: the generations of the last changes are in it. */
static void
restore_instance(void *arg, const char *service, const struct topo_instance *inst)
{
	struct platform *p = arg;
	struct service *s = find(p, service);
	struct topo_instance i = *inst;
	size_t k;

	if (s == NULL)
		return; /* no longer configured: its record stays, in case it comes back */
	for (k = 0; k < p->n && p->services[k] != s; k++)
		;
	if (i.source != SOURCE_ADOPTED)
		i.source = SOURCE_STORE;
	if (judge_restore(s->judge, &i, loop_now_ms(p->loop), loop_wall_ms(p->loop))) {
		struct topo_service *ts = &p->now->services[k];

		ts->inst = xrealloc(ts->inst, ts->n + 1, sizeof *ts->inst);
		topo_instance_copy(&ts->inst[ts->n++], &i);
	}
}

int
platform_new(struct platform **out, struct loop *loop, struct store *store, const struct conf *conf,
    platform_changed_cb *changed, void *arg)
{
	struct platform *p = xcalloc(1, sizeof *p);
	struct store_service ss;
	struct topo *t;
	size_t i;

	p->loop = loop;
	p->store = store;
	p->conf = conf;
	p->changed = changed;
	p->arg = arg;
	if (store != NULL)
		store_load_drains(store, restore_drain, p);
	p->services = xcalloc(conf->n_services, sizeof *p->services);
	for (i = 0; i < conf->n_services; i++)
		p->services[p->n++] = service_new(p, conf->services[i]);
	p->now = topo_new(p->n);
	for (i = 0; i < p->n; i++)
		p->now->services[i].name = xstrdup(p->services[i]->name);
	if (store != NULL) {
		store_load(store, restore_instance, p);
		for (i = 0; i < p->n; i++) {
			struct service *s = p->services[i];

			if (!store_service(store, s->name, &ss))
				continue;
			judge_restore_service(s->judge, ss.known, ss.frozen, ss.peak, loop_now_ms(loop));
			s->stored = ss;
			s->told = true;
		}
		p->now->generation = store_generation(store);
	}
	/* Not a change: the generation that was. It goes out without being written again. */
	t = snapshot(p, NULL);
	t->generation = p->now->generation;
	number(t, p->now);
	topo_unref(p->now);
	p->now = t;
	p->seen_ms = t->wall_ms;
	*out = p;
	return 0;
}

void
platform_free(struct platform *p)
{
	size_t i;

	if (p == NULL)
		return;
	for (i = 0; i < p->n; i++)
		service_free(p->services[i]);
	for (i = 0; i < p->n_own; i++) {
		free(p->own[i].kamailio);
		free(p->own[i].addr);
	}
	for (i = 0; i < p->n_adopted; i++)
		free(p->adopted[i]);
	free(p->adopted);
	for (i = 0; i < p->n_drains; i++) {
		free(p->drains[i].service);
		free(p->drains[i].drain.who);
	}
	free(p->drains);
	free(p->own);
	free(p->own_all);
	free(p->services);
	topo_unref(p->now);
	free(p);
}

static void
reconfigure(struct platform *p, struct service *s, const struct conf_service *c)
{
	int old_of_new[JUDGE_NAMES_MAX];
	struct judge_conf *jc;
	size_t i, j;

	for (i = 0; i < c->names.n; i++) {
		old_of_new[i] = -1;
		for (j = 0; j < s->n_names; j++)
			if (strcmp(s->names[j], c->names.v[i]) == 0)
				old_of_new[i] = (int)j;
	}
	/* The judge reads the old tags while it maps them to the new: the old configuration lives until then. */
	jc = judge_conf_of(p, c);
	judge_set_conf(s->judge, jc, old_of_new);
	free(s->jc);
	s->jc = jc;
	s->conf = c;
	keep_names(s);
	memset(s->troubled, 0, sizeof s->troubled);
}

void
platform_set_conf(struct platform *p, const struct conf *conf)
{
	struct service **fresh = xcalloc(conf->n_services, sizeof *fresh);
	size_t i, j;

	for (i = 0; i < conf->n_services; i++) {
		for (j = 0; j < p->n && strcmp(p->services[j]->name, conf->services[i]->name) != 0; j++)
			;
		if (j == p->n) {
			fresh[i] = service_new(p, conf->services[i]);
			continue;
		}
		reconfigure(p, p->services[j], conf->services[i]);
		fresh[i] = p->services[j];
		p->services[j] = p->services[--p->n];
	}
	for (j = 0; j < p->n; j++) {
		log_notice("topo", "%s: no longer configured; its destinations stay as they are", p->services[j]->name);
		/* known without an instance would mean "empty" to the targets, should it come back */
		if (p->store != NULL)
			store_put_service(p->store, p->services[j]->name, &(struct store_service){ 0 });
		service_free(p->services[j]);
	}
	free(p->services);
	p->services = fresh;
	p->n = conf->n_services;
	p->conf = conf;
	publish(p, NULL, "configuration reloaded", false);
	p->changed(p->arg);
}

struct topo *
platform_now(const struct platform *p)
{
	return p->now;
}

uint64_t
platform_generation(const struct platform *p)
{
	return p->now->generation;
}

int64_t
platform_seen_ms(const struct platform *p)
{
	return p->seen_ms;
}

int64_t
platform_seen_at(const struct platform *p, uint64_t generation)
{
	uint64_t now = p->now->generation;

	return generation <= now && now - generation < PLATFORM_SEEN ? p->seen[generation % PLATFORM_SEEN] : 0;
}

const struct judge *
platform_judge(const struct platform *p, const char *service)
{
	const struct service *s = find(p, service);

	return s ? s->judge : NULL;
}

const struct conf_service *
platform_conf(const struct platform *p, const char *service)
{
	const struct service *s = find(p, service);

	return s ? s->conf : NULL;
}

const struct conf *
platform_root_conf(const struct platform *p)
{
	return p->conf;
}
