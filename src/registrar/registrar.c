#include "registrar/registrar.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "registrar_int.h"

#define IMPATIENT_MS 1000
#define LIST_DOUBTFUL_MS 5000

/* ---- the lines ---- */

bool
registrar_lost(const struct registrar *r)
{
	return r->agent != NULL && (line_is_lost(r->agent) || line_is_lost(r->urgent));
}

const char *
registrar_lost_why(const struct registrar *r)
{
	return line_why(line_is_lost(r->agent) ? r->agent : r->urgent);
}

static void
update_all(struct registrar *r)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		registration_update(r->regs[i]);
}

static void
on_lost(struct registrar *r)
{
	if (r->lost_ms == 0) {
		r->lost_ms = loop_now_ms(r->loop);
		log_warnx("registrar", "Consul's agent is lost (%s): what it knows of this machine may grow old", registrar_lost_why(r));
	}
	update_all(r);
}

static void
on_back(struct registrar *r)
{
	char text[32];

	if (r->lost_ms != 0 && !registrar_lost(r)) {
		text_format_duration((loop_now_ms(r->loop) - r->lost_ms) / 100 * 100, text, sizeof text);
		log_notice("registrar", "Consul's agent is back after %s", text);
		r->lost_ms = 0;
	}
	update_all(r);
}

static void
on_agent_line(void *arg, enum line_event ev)
{
	struct registrar *r = arg;

	if (ev == LINE_LOST) {
		on_lost(r);
		return;
	}
	on_back(r);
	/* It may have been started again, with or without its memory. But a list that can't be had must not hold up the rest. */
	if (r->list_timeouts < 2)
		registrar_list_first(r);
	else
		registrar_list_soon(r, LIST_DOUBTFUL_MS);
}

static void
on_urgent_line(void *arg, enum line_event ev)
{
	struct registrar *r = arg;
	size_t i, k;

	if (ev == LINE_LOST) {
		on_lost(r);
		return;
	}
	on_back(r);
	for (i = 0; i < r->n; i++)
		for (k = 0; k < r->regs[i]->n_checks; k++)
			reg_check_untold(r->regs[i]->checks[k]);
}

static void
on_far_line(void *arg, enum line_event ev)
{
	/* what it brings is for show; each presence says what it does not know */
}

/* ---- the store ---- */

void
registrar_store(struct registration *reg)
{
	if (reg->id == NULL)
		return; /* as soon as it has one */
	if (reg->rec.since_ms == 0)
		reg->rec.since_ms = loop_wall_ms(reg->r->loop);
	reg->remembered = true;
	store_put_registration(reg->r->store, reg->id, &reg->rec);
}

void
registrar_remember(struct registration *reg)
{
	if (!reg->remembered)
		registrar_store(reg);
}

void
registrar_forget(struct registration *reg)
{
	struct registrar *r = reg->r;
	size_t i;

	if (reg->remembered)
		store_put_registration(r->store, reg->id, NULL);
	for (i = 0; i < r->n && r->regs[i] != reg; i++)
		;
	memmove(&r->regs[i], &r->regs[i + 1], (r->n - i - 1) * sizeof *r->regs);
	r->n--;
	registration_free(reg);
}

/*
 * An id that the store remembers may be that of a section whose id is not known yet (Asterisk has not said its own): it is
 * not deregistered before.
 */
bool
registrar_knows_ids(const struct registrar *r)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (!r->regs[i]->leaving && r->regs[i]->id == NULL)
			return false;
	return true;
}

static void
on_remembered(void *arg, const char *id, const struct store_registration *rec)
{
	struct registrar *r = arg;
	struct registration *reg = registration_new(r, id);

	reg->id = xstrdup(id);
	reg->leaving = true;
	reg->remembered = true;
	reg->rec = *rec;
	reg->rec.reason = xstrdup(rec->reason);
	reg->rec.who = xstrdup(rec->who);
	reg->rec.off = xstrdup(rec->off);
}

/* ---- places ---- */

void
registrar_read_machine(const struct conf *conf, char *hostname, size_t size, uint16_t *http_port)
{
	const char *colon = conf->listen.n > 0 ? strrchr(conf->listen.v[0], ':') : NULL;
	int64_t port = 0;

	hostname[size - 1] = '\0';
	if (gethostname(hostname, size - 1) != 0)
		snprintf(hostname, size, "localhost");
	if (colon == NULL || text_parse_int(colon + 1, 0, 65535, &port) != 0)
		port = 0;
	*http_port = (uint16_t)port;
}

static void
place_all(void *arg)
{
	struct registrar *r = arg;
	size_t i;

	for (i = 0; i < r->n; i++)
		registration_place(r->regs[i]);
}

static bool
is_of_iface(const char *text)
{
	return text != NULL && strncmp(text, "{ip", 3) == 0;
}

static bool
needs_iface(const struct conf *conf)
{
	size_t i, k;

	for (i = 0; i < conf->n_registers; i++) {
		const struct conf_register *c = conf->registers[i];

		if (is_of_iface(c->address))
			return true;
		for (k = 0; k < c->n_tagged; k++)
			if (is_of_iface(c->tagged[k]->address))
				return true;
	}
	return false;
}

static void
watch_ifaces(struct registrar *r)
{
	bool need = needs_iface(r->conf);

	if (!need) {
		iface_free(r->iface);
		r->iface = NULL;
	} else if (r->iface == NULL && iface_new(&r->iface, r->loop, place_all, r) != 0) {
		log_error("registrar", "the interfaces can't be watched: their addresses are those of now");
		r->iface = NULL;
	}
}

static void
on_eid(void *arg)
{
	struct registrar *r = arg;

	if (*eid_text(r->asterisk) != '\0')
		snprintf(r->asterisk_eid, sizeof r->asterisk_eid, "%s", eid_text(r->asterisk));
	place_all(r);
}

bool
registrar_needs_asterisk(const struct conf *conf)
{
	size_t i;

	for (i = 0; i < conf->n_registers; i++)
		if (conf->registers[i]->eid != NULL && strcmp(conf->registers[i]->eid, "asterisk") == 0)
			return true;
	return false;
}

/* ---- life ---- */

#define N_LINES 3

struct fresh { /* what can fail, made before anything is changed */
	struct http *http[N_LINES];
	struct eid *asterisk;
};

static void
drop_fresh(struct fresh *f)
{
	size_t i;

	for (i = 0; i < N_LINES; i++)
		http_free(f->http[i]);
	eid_free(f->asterisk);
}

static int
make_fresh(struct registrar *r, const struct conf *conf, bool lines, struct fresh *f)
{
	size_t i;

	memset(f, 0, sizeof *f);
	for (i = 0; i < N_LINES && lines; i++)
		if (http_new(&f->http[i], r->loop, r->worker, conf) != 0) {
			log_error("registrar", "consul.http: cannot use %s", conf->http);
			goto fail;
		}
	if (registrar_needs_asterisk(conf) && eid_new(&f->asterisk, r->loop, r->worker, conf, on_eid, r) != 0) {
		log_error("registrar", "eid: asterisk: cannot use ari.url %s", conf->ari_url ? conf->ari_url : "(none)");
		goto fail;
	}
	return 0;
fail:
	drop_fresh(f);
	return -EINVAL;
}

static void
use_fresh(struct registrar *r, const struct fresh *f)
{
	if (f->http[0] != NULL) {
		if (r->agent == NULL) {
			line_new(&r->urgent, r->loop, on_urgent_line, r);
			line_new(&r->agent, r->loop, on_agent_line, r);
			line_new(&r->far, r->loop, on_far_line, r);
		}
		line_set_http(r->urgent, f->http[0]);
		line_set_http(r->agent, f->http[1]);
		line_set_http(r->far, f->http[2]);
	}
	eid_free(r->asterisk);
	r->asterisk = f->asterisk;
}

static void
finish_stop(void *arg)
{
	struct registrar *r = arg;

	r->done(r->done_arg);
}

static void
stopped(struct registrar *r)
{
	if (r->stopped)
		return;
	r->stopped = true;
	loop_timer_stop(&r->deadline);
	loop_timer_stop(&r->drain);
	loop_later(r->loop, &r->done_later, finish_stop, r);
}

static void
on_deadline(void *arg)
{
	struct registrar *r = arg;
	size_t i, n = 0;

	for (i = 0; i < r->n; i++)
		n += r->regs[i]->stop == REG_STOP_DRAIN || r->regs[i]->stop == REG_STOP_ACT;
	log_warnx("registrar", "Consul's agent could not be told in time: %zu registrations stay as they are%s%s", n,
	    registrar_lost(r) ? ": " : "", registrar_lost(r) ? registrar_lost_why(r) : "");
	stopped(r);
}

/* Those whose drain is over leave. */
static void
on_drain(void *arg)
{
	struct registrar *r = arg;
	int64_t now = loop_now_ms(r->loop), next = INT64_MAX;
	size_t i;

	for (i = 0; i < r->n; i++) {
		struct registration *reg = r->regs[i];

		if (reg->stop == REG_STOP_DRAIN && reg->drained_ms <= now)
			registration_cut_short(reg);
		else if (reg->stop == REG_STOP_DRAIN && reg->drained_ms < next)
			next = reg->drained_ms;
	}
	if (next != INT64_MAX)
		loop_timer_start(&r->drain, next - now);
}

int
registrar_new(struct registrar **out, struct loop *loop, struct worker *worker, struct store *store, const struct conf *conf,
    const char *machine_id)
{
	struct registrar *r = xcalloc(1, sizeof *r);
	struct fresh f;
	size_t i;

	r->loop = loop;
	r->worker = worker;
	r->store = store;
	r->conf = conf;
	LIST_INIT(&r->events);
	LIST_INIT(&r->olds);
	eid_of_machine(machine_id, r->machine);
	registrar_read_machine(conf, r->hostname, sizeof r->hostname, &r->http_port);
	reg_list_init(r);
	loop_timer_init(&r->deadline, loop, on_deadline, r);
	loop_timer_init(&r->drain, loop, on_drain, r);
	for (i = 0; i < conf->n_registers; i++)
		registration_set_conf(registration_new(r, conf->registers[i]->name), conf->registers[i]);
	if (store_load_registrations(store, on_remembered, r) > 0)
		log_warnx("registrar", "what the store remembers of some registrations can't be read: look with c4ctl show registrations");
	if (make_fresh(r, conf, r->n > 0, &f) != 0) {
		registrar_free(r);
		return -EINVAL;
	}
	use_fresh(r, &f);
	*out = r;
	return 0;
}

static void
begin(struct registrar *r)
{
	watch_ifaces(r);
	place_all(r);
	registrar_list_soon(r, 0);
}

void
registrar_start(struct registrar *r)
{
	r->started = true;
	begin(r);
}

void
registrar_add(struct registrar *r, struct registration *reg)
{
	r->regs = xrealloc(r->regs, r->n + 1, sizeof *r->regs);
	r->regs[r->n++] = reg;
}

/* The registrations of the new configuration, in its order, and behind them what leaves. */
static void
swap_sections(struct registrar *r, const struct conf *conf)
{
	struct registration **old = r->regs;
	size_t i, k, n_old = r->n;

	r->regs = NULL;
	r->n = 0;
	for (i = 0; i < conf->n_registers; i++) {
		for (k = 0; k < n_old; k++)
			if (old[k] != NULL && !old[k]->leaving && strcmp(old[k]->name, conf->registers[i]->name) == 0)
				break;
		if (k < n_old) {
			registrar_add(r, old[k]);
			old[k] = NULL;
		} else {
			registration_new(r, conf->registers[i]->name);
		}
		registration_set_conf(r->regs[i], conf->registers[i]);
	}
	for (k = 0; k < n_old; k++)
		if (old[k] != NULL)
			registrar_add(r, old[k]);
	free(old);
	for (i = r->n; i-- > conf->n_registers;) {
		struct registration *reg = r->regs[i];

		if (reg->leaving)
			continue;
		log_notice("registrar", "%s: no longer configured: it is deregistered", reg->name);
		if (reg->id == NULL || reg->foreign || reg->twice || (reg->judged && !reg->accepted && !reg->has && reg->op == 0))
			registrar_forget(reg);
		else
			registration_leave(reg);
	}
}

/* What the agent of before has says nothing of the present one. */
static void
forget_agent(struct registrar *r)
{
	size_t i;

	reg_list_forget(r);
	for (i = 0; i < r->n; i++) {
		registration_forget(r->regs[i]);
		r->regs[i]->judged = false;
		r->regs[i]->op = 0; /* what was said to that one is reg_old.c's */
		if (r->regs[i]->conf != NULL)
			r->regs[i]->ops |= REG_OP_PUT;
	}
}

int
registrar_set_conf(struct registrar *r, const struct conf *conf)
{
	bool moved = r->agent != NULL && strcmp(r->conf->http, conf->http) != 0;
	struct fresh f;
	size_t i;

	if (make_fresh(r, conf, conf->n_registers > 0 || r->agent != NULL, &f) != 0)
		return -EINVAL;
	reg_old_leave(r, conf);
	use_fresh(r, &f);
	if (moved)
		forget_agent(r);
	r->conf = conf;
	registrar_read_machine(conf, r->hostname, sizeof r->hostname, &r->http_port);
	presence_drop_groups(r);
	resolver_free(r->resolver);
	r->resolver = NULL;
	swap_sections(r, conf);
	if (!r->started)
		return 0;
	begin(r);
	for (i = 0; i < r->n; i++)
		if (r->regs[i]->conf != NULL && r->regs[i]->accepted)
			presence_soon(&r->regs[i]->presence, loop_jitter(r->loop, 5000, 90));
	return 0;
}

void
registrar_free(struct registrar *r)
{
	if (r == NULL)
		return;
	presence_drop_groups(r);
	while (r->n > 0)
		registration_free(r->regs[--r->n]);
	free(r->regs);
	reg_event_drop_all(r);
	reg_old_drop_all(r);
	reg_list_fini(r);
	line_free(r->urgent);
	line_free(r->agent);
	line_free(r->far);
	iface_free(r->iface);
	eid_free(r->asterisk);
	resolver_free(r->resolver);
	loop_timer_fini(&r->deadline);
	loop_timer_fini(&r->drain);
	loop_later_cancel(r->loop, &r->done_later);
	free(r);
}

/* ---- the stop ---- */

void
registrar_stop_check(struct registrar *r)
{
	size_t i;

	if (!r->stopping || r->stopped || r->n_events > 0)
		return;
	for (i = 0; i < r->n; i++)
		if (r->regs[i]->stop == REG_STOP_DRAIN || r->regs[i]->stop == REG_STOP_ACT)
			return;
	stopped(r);
}

static void
first_stop(struct registrar *r)
{
	int64_t now = loop_now_ms(r->loop), longest = 0;
	size_t i, n = 0;

	r->stopping = true;
	line_hurry(r->urgent);
	line_hurry(r->agent);
	line_hurry(r->far);
	for (i = 0; i < r->n; i++) {
		struct registration *reg = r->regs[i];

		registration_stop(reg);
		n += reg->stop == REG_STOP_DRAIN || reg->stop == REG_STOP_ACT;
		if (reg->stop == REG_STOP_DRAIN && reg->drained_ms - now > longest)
			longest = reg->drained_ms - now;
	}
	if (n > 0)
		log_notice("registrar", "stopping: Consul's agent is told of %zu registrations%s", n,
		    longest > 0 ? ", after their drain" : "");
	loop_timer_start(&r->deadline, r->conf->stop_timeout_ms + longest);
	on_drain(r);
	registrar_stop_check(r);
}

void
registrar_stop(struct registrar *r, registrar_stopped_cb *done, void *arg)
{
	size_t i;

	r->done = done;
	r->done_arg = arg;
	if (r->stopped)
		return; /* its callback is under way, or has run */
	switch (r->stop_calls++) {
	case 0:
		if (r->agent == NULL || !r->started)
			stopped(r);
		else
			first_stop(r);
		return;
	case 1:
		for (i = 0; i < r->n; i++)
			registration_cut_short(r->regs[i]);
		loop_timer_start(&r->deadline, IMPATIENT_MS);
		return;
	default:
		stopped(r);
	}
}

/* ---- the operator's word ---- */

static bool
is_named(const struct registration *reg, const char *name)
{
	return !reg->leaving &&
	    (name == NULL || strcmp(reg->name, name) == 0 || (reg->id != NULL && strcmp(reg->id, name) == 0));
}

static void
set_maintenance(struct registration *reg, bool on, const char *reason, const char *who)
{
	free(reg->rec.reason);
	free(reg->rec.who);
	reg->rec.reason = on ? xstrdup(reason) : NULL;
	reg->rec.who = on ? xstrdup(who) : NULL;
	if (on && !reg->rec.maintenance)
		reg->rec.maintenance_ms = loop_wall_ms(reg->r->loop);
	reg->rec.maintenance = on;
	registrar_store(reg);
	free(reg->body);
	reg->body = NULL;
	reg->ops &= ~(unsigned)(REG_OP_MAINT_ON | REG_OP_MAINT_NOTE | REG_OP_MAINT_OFF);
	if (on && reg->maint == REG_MAINT_NONE)
		registration_need(reg, REG_OP_MAINT_ON, true);
	else if (on && reg->maint == REG_MAINT_OURS)
		registration_need(reg, REG_OP_MAINT_NOTE, true);
	/* also when it is just being said that it is on */
	if (!on && (reg->maint == REG_MAINT_OURS || reg->op == REG_OP_MAINT_ON))
		registration_need(reg, REG_OP_MAINT_OFF, true);
	registration_update(reg);
}

int
registrar_maintenance(struct registrar *r, const char *name, bool on, const char *reason, const char *who)
{
	size_t i, n = 0;

	for (i = 0; i < r->n; i++) {
		if (!is_named(r->regs[i], name))
			continue;
		n++;
		log_notice("registrar", "%s: maintenance %s by %s%s%s", r->regs[i]->name, on ? "on" : "off", who ? who : "?",
		    on && reason && *reason ? ": " : "", on && reason ? reason : "");
		set_maintenance(r->regs[i], on, reason, who);
	}
	return n > 0 ? 0 : -ENOENT;
}

static void
store_off(struct registration *reg)
{
	struct buf b = { 0 };
	size_t i;

	for (i = 0; i < reg->n_checks; i++)
		if (reg->checks[i]->off)
			buf_printf(&b, "%s%s", b.len > 0 ? " " : "", reg->checks[i]->conf->name);
	free(reg->rec.off);
	reg->rec.off = b.len > 0 ? buf_take(&b) : NULL;
	buf_free(&b);
	registrar_store(reg);
}

static void
set_check(struct registration *reg, struct reg_check *ck, bool on)
{
	if (ck->off == !on)
		return;
	ck->off = !on;
	ck->told = ck->agent = AGENT_NO_STATUS;
	while (on && reg->n_extra > 0) /* it may be among those to be removed; the next list shows the others again */
		free(reg->extra[--reg->n_extra]);
	store_off(reg);
	registration_reshape(reg);
	/* also when it is just being registered with it */
	if (!on && (reg->has || reg->op == REG_OP_PUT) && reg->n_extra < REG_EXTRA_MAX) {
		reg->extra[reg->n_extra++] = xstrdup(ck->id);
		registration_need(reg, REG_OP_REMOVE, true);
	}
	registration_opens(reg); /* what it waited for may have been this one */
}

int
registrar_check(struct registrar *r, const char *name, const char *check, bool on, const char *who)
{
	struct registration *reg = NULL;
	size_t i;

	for (i = 0; i < r->n && reg == NULL; i++)
		if (is_named(r->regs[i], name))
			reg = r->regs[i];
	if (reg == NULL)
		return -ENOENT;
	for (i = 0; i < reg->n_checks; i++)
		if (strcmp(reg->checks[i]->conf->name, check) == 0)
			break;
	if (i == reg->n_checks)
		return -ESRCH;
	log_notice("registrar", "%s: check %s %s by %s", reg->name, check, on ? "on" : "off", who ? who : "?");
	set_check(reg, reg->checks[i], on);
	return 0;
}
