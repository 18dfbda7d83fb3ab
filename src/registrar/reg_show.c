#include <stdio.h>
#include <string.h>

#include "registrar_int.h"

#define WAITING_MS 30000 /* longer is a problem */

const char *
registration_state_name(enum registration_state state)
{
	static const char *const names[] = {
		[REG_WAITING] = "waiting",
		[REG_PENDING] = "pending",
		[REG_REGISTERED] = "registered",
		[REG_MAINTENANCE] = "maintenance",
		[REG_FAILED] = "failed",
		[REG_UNREACHABLE] = "unreachable",
		[REG_LEAVING] = "leaving",
	};

	return names[state];
}

size_t
registrar_count(const struct registrar *r)
{
	return r->n;
}

/* Of its checks, as far as is known: the last list, else what was put and told since. */
static enum agent_status
worst_of(const struct registration *reg)
{
	enum agent_status worst = AGENT_PASSING;
	size_t i;

	if (!reg->has)
		return AGENT_NO_STATUS;
	if (reg->worst != AGENT_NO_STATUS)
		return reg->worst;
	for (i = 0; i < reg->n_checks; i++) {
		const struct reg_check *ck = reg->checks[i];
		enum agent_status one = ck->told != AGENT_NO_STATUS ? ck->told : ck->ours ? ck->put : AGENT_CRITICAL;

		if (!ck->off && one != AGENT_NO_STATUS && one > worst)
			worst = one;
	}
	return worst;
}

void
registrar_view(const struct registrar *r, size_t i, struct registration_view *v)
{
	const struct registration *reg = r->regs[i];
	bool foreign = reg->maint == REG_MAINT_FOREIGN;

	memset(v, 0, sizeof *v);
	v->name = reg->name;
	v->id = reg->id ? reg->id : "";
	v->service = reg->conf ? reg->conf->service : "";
	v->address = reg->address;
	v->eid = reg->eid;
	v->port = reg->conf ? (uint16_t)reg->conf->port : 0;
	v->state = reg->state;
	v->why = reg->presence.alarm && reg->why[0] == '\0' ? reg->presence.why : reg->why;
	v->since_ms = reg->since_ms;
	v->agent = worst_of(reg);
	v->catalog = presence_catalog_text(&reg->presence);
	v->unseen = reg->presence.alarm ? reg->presence.why : "";
	v->dns = presence_dns_text(&reg->presence);
	v->asserted_ms = reg->asserted_ms;
	v->maintenance = reg->rec.maintenance;
	v->foreign_maintenance = foreign;
	v->maintenance_at_agent = reg->maint != REG_MAINT_NONE;
	v->reason = reg->rec.reason ? reg->rec.reason : foreign ? reg->notes : "";
	v->who = reg->rec.who ? reg->rec.who : "";
	v->puts = reg->puts;
	v->forgotten = reg->forgotten;
	v->failures = reg->failures;
}

size_t
registrar_checks(const struct registrar *r, size_t i)
{
	return r->regs[i]->n_checks;
}

static void
view_ours(const struct reg_check *ck, struct check_view *v)
{
	struct loop *loop = ck->reg->r->loop;
	struct probe_view p;

	v->status = ck->status;
	v->output = ck->why[0] ? ck->why : ck->output ? ck->output : "";
	v->since_ms = ck->since_ms;
	if (ck->probe == NULL)
		return;
	probe_view(ck->probe, &p);
	if (p.checked_ms != 0)
		v->checked_ms = loop_wall_ms(loop) - (loop_now_ms(loop) - p.checked_ms);
}

static void
view_consuls(const struct reg_check *ck, struct check_view *v)
{
	const struct agent_check *c = ck->id ? agent_find_check(&ck->reg->r->list, ck->reg->id, ck->id) : NULL;

	v->status = AGENT_NO_STATUS;
	v->output = c != NULL && c->output != NULL ? c->output : "";
	v->since_ms = ck->agent_since_ms;
}

void
registrar_check_view(const struct registrar *r, size_t i, size_t k, struct check_view *v)
{
	const struct reg_check *ck = r->regs[i]->checks[k];

	memset(v, 0, sizeof *v);
	v->registration = ck->reg->name;
	v->name = ck->conf->name;
	v->type = ck->conf->type;
	v->check_id = ck->id ? ck->id : "";
	v->off = ck->off;
	v->ours = ck->ours;
	v->agent = ck->agent;
	if (ck->ours)
		view_ours(ck, v);
	else
		view_consuls(ck, v);
}

bool
registrar_has_eid(const struct registrar *r, const char *eid)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (!r->regs[i]->leaving && r->regs[i]->eid[0] != '\0' && strcmp(r->regs[i]->eid, eid) == 0)
			return true;
	return false;
}

static const char *
problem_of(const struct registration *reg)
{
	if (reg->presence.alarm)
		return reg->presence.why;
	switch (reg->state) {
	case REG_FAILED:
		return reg->why;
	case REG_WAITING: /* what is not there is said; a first answer may come any moment */
		return !reg->ready || loop_wall_ms(reg->r->loop) - reg->since_ms >= WAITING_MS ? reg->why : NULL;
	case REG_UNREACHABLE: /* said once for all */
		return NULL;
	default:
		return reg->refused[0] ? reg->refused : reg->why[0] ? reg->why : NULL;
	}
}

/* Why others do not see it, when that is nobody's will: its first check that is critical. */
static const struct reg_check *
critical_check(const struct registration *reg)
{
	size_t i;

	if (reg->state != REG_WAITING && reg->state != REG_PENDING && reg->state != REG_REGISTERED)
		return NULL;
	for (i = 0; i < reg->n_checks; i++) {
		const struct reg_check *ck = reg->checks[i];

		if (!ck->off && (ck->ours ? ck->status : ck->agent) == AGENT_CRITICAL)
			return ck;
	}
	return NULL;
}

static void
say_critical(const struct registration *reg, const struct reg_check *ck, registrar_problem_cb *cb, void *arg)
{
	int64_t wall_ms = loop_wall_ms(reg->r->loop);
	struct check_view v = { 0 };
	char text[700], age[32];

	if (ck->ours)
		view_ours(ck, &v);
	else
		view_consuls(ck, &v);
	text_format_duration(v.since_ms != 0 ? (wall_ms - v.since_ms) / 1000 * 1000 : 0, age, sizeof age);
	snprintf(text, sizeof text, "registration %s: %s: its check %s is critical for %s, so %s: %.*s", reg->name,
	    registration_state_name(reg->state), ck->conf->name, age,
	    reg->state == REG_WAITING ? "it is not registered" : "nobody is sent to it", (int)strcspn(v.output, "\n"), v.output);
	cb(arg, text);
}

void
registrar_problems(const struct registrar *r, registrar_problem_cb *cb, void *arg)
{
	char text[700], age[32];
	const char *why;
	size_t i;

	if (registrar_lost(r)) {
		text_format_duration((loop_now_ms(r->loop) - r->lost_ms) / 1000 * 1000, age, sizeof age);
		snprintf(text, sizeof text, "registrar: Consul's agent is lost for %s: %s", age, registrar_lost_why(r));
		cb(arg, text);
	}
	if (r->list_why[0] != '\0') {
		snprintf(text, sizeof text, "registrar: the agent's list of services can't be had: %s", r->list_why);
		cb(arg, text);
	}
	for (i = 0; i < r->n; i++) {
		const struct reg_check *critical = critical_check(r->regs[i]);

		if (critical != NULL) {
			say_critical(r->regs[i], critical, cb, arg);
			continue;
		}
		why = problem_of(r->regs[i]);
		if (why == NULL)
			continue;
		snprintf(text, sizeof text, "registration %s: %s: %s", r->regs[i]->name, registration_state_name(r->regs[i]->state), why);
		cb(arg, text);
	}
}
