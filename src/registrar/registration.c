/*
 * registration: what it should be is worked out in reg_place.c; what is to be said is a set of operations (reg_plan.h), and
 * one job on the agent's line says them, one after the other, each as it is right at that moment.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "registrar_int.h"

#define PRESENCE_FIRST_MS 1500
#define PRESENCE_EACH_MS 15 /* so much later, on average, for each registration that there is */
#define LIST_AFTER_MS 1000
#define RETRY_STOP_MS 500
#define REASON_MAX 200

/* What the operator switched off. */
void
registration_take_off(struct registration *reg)
{
	size_t i;

	for (i = 0; i < reg->n_checks; i++) {
		const char *p = reg->rec.off, *name = reg->checks[i]->conf->name;
		size_t len = strlen(name);

		reg->checks[i]->off = false;
		for (; p != NULL && *p != '\0'; p += strcspn(p, " "), p += strspn(p, " "))
			if (strcspn(p, " ") == len && memcmp(p, name, len) == 0)
				reg->checks[i]->off = true;
	}
}

static void
drop_extra(struct registration *reg)
{
	while (reg->n_extra > 0)
		free(reg->extra[--reg->n_extra]);
}

void
registration_forget(struct registration *reg)
{
	size_t i;

	reg->accepted = reg->seen = reg->has = reg->foreign = reg->unlisted = false;
	reg->maint = REG_MAINT_NONE;
	reg->worst = AGENT_NO_STATUS;
	reg->shape_put = 0;
	drop_extra(reg);
	for (i = 0; i < reg->n_checks; i++)
		reg->checks[i]->told = reg->checks[i]->agent = AGENT_NO_STATUS;
}

static bool
gate_is_open(const struct registration *reg)
{
	size_t i;

	if (strcmp(reg->conf->when, "now") == 0)
		return true;
	for (i = 0; i < reg->n_checks; i++)
		if (reg->checks[i]->ours && !reg->checks[i]->off && !reg->checks[i]->passed)
			return false;
	return true;
}

void
registration_opens(struct registration *reg)
{
	if (reg->conf != NULL && !reg->open && gate_is_open(reg)) {
		reg->open = true;
		if (reg->ready)
			registration_need(reg, REG_OP_PUT, false);
	}
	registration_update(reg);
}

/* ---- saying it ---- */

static bool
may_speak(const struct registration *reg)
{
	return reg->r->agent != NULL && reg->id != NULL && !reg->foreign && (reg->judged || reg->r->blind || reg->accepted);
}

static unsigned
next_op(const struct registration *reg)
{
	unsigned ops = reg->ops;

	if (!may_speak(reg) || reg->stop == REG_STOP_DONE)
		return 0;
	if (!reg->judged && !reg->accepted) /* no list says whose it is */
		return ops & (REG_OP_PUT | REG_OP_LEAVE) ? REG_OP_LOOK : 0;
	if (ops & REG_OP_LEAVE)
		return REG_OP_LEAVE;
	if (reg->leaving || reg->twice)
		return 0;
	if ((ops & REG_OP_MAINT_ON) && (reg->accepted || reg->has))
		return REG_OP_MAINT_ON;
	if ((ops & REG_OP_PUT) && reg->ready && reg->open && reg->stop != REG_STOP_ACT)
		return REG_OP_PUT;
	if (!reg->accepted && !reg->has)
		return 0;
	if ((ops & REG_OP_REMOVE) && reg->n_extra > 0)
		return REG_OP_REMOVE;
	if ((ops & REG_OP_MAINT_NOTE) && reg->maint == REG_MAINT_OURS)
		return REG_OP_MAINT_NOTE;
	return ops & REG_OP_MAINT_OFF;
}

void
registration_need(struct registration *reg, unsigned ops, bool first)
{
	reg->ops |= ops;
	if (next_op(reg) == 0 || reg->op != 0) /* what is under way goes on with the rest */
		return;
	if (first)
		line_add_first(reg->r->agent, &reg->job);
	else
		line_add(reg->r->agent, &reg->job);
}

/* What Consul is to keep of its maintenance. */
static void
reason_of(const struct registration *reg, char text[REASON_MAX])
{
	if (!reg->rec.maintenance && reg->stop == REG_STOP_DRAIN)
		snprintf(text, REASON_MAX, REG_NOTES_STOPPING);
	else if (!reg->rec.maintenance)
		snprintf(text, REASON_MAX, REG_NOTES_STOPPED);
	else
		snprintf(text, REASON_MAX, REG_MARK "%s%s%s%s", reg->rec.reason && *reg->rec.reason ? reg->rec.reason : "maintenance",
		    reg->rec.who && *reg->rec.who ? " (" : "", reg->rec.who ? reg->rec.who : "",
		    reg->rec.who && *reg->rec.who ? ")" : "");
}

/*
 * Of a maintenance that is on Consul takes no other reason, and off and on again it would be listed for a moment. So the check
 * that it is gets told anew as what else it can be, one that only time could make critical, and it is that already.
 */
static char *
maintenance_check(const struct registration *reg, const char *notes)
{
	char *id = xasprintf("_service_maintenance:%s", reg->id), *body;
	json_t *o = json_object();

	json_object_set_new(o, "ID", jsonx_text(id));
	jsonx_set_text(o, "Name", "Service Maintenance Mode");
	if (json_object_set_new(o, "Notes", json_string(notes)) != 0) /* no UTF-8 */
		jsonx_set_text(o, "Notes", notes);
	jsonx_set_text(o, "ServiceID", reg->id);
	jsonx_set_text(o, "TTL", "87600h");
	jsonx_set_text(o, "Status", "critical");
	body = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	free(id);
	return body;
}

/*
 * A body that is put for the first time need not take anything away. A changed one may, but ?replace-existing-checks also
 * ends a maintenance (reg_plan.h); so it is used only where no list will show what is too much.
 */
static bool
replaces(const struct registration *reg)
{
	return reg->r->blind && reg->shape_put != 0 && reg->shape_put != reg->shape && !registration_wants_maintenance(reg);
}

/* It may have reached the agent. */
static void
took_put_of_leaving(struct registration *reg)
{
	reg->accepted = true;
	reg->ops = REG_OP_LEAVE;
}

/* What was said last gets no answer any more when a reload replaces its connection; the line asks anew what to say. */
static void
take_cut_off(struct registration *reg)
{
	if (reg->op == REG_OP_PUT && reg->leaving)
		took_put_of_leaving(reg);
	reg->op = 0;
}

static bool
job_ask(void *arg, struct line_request *q)
{
	struct registration *reg = arg;
	unsigned op;
	char reason[REASON_MAX];

	take_cut_off(reg);
	op = next_op(reg);
	if (op == REG_OP_PUT && !registration_fresh_body(reg))
		op = 0;
	if (op == 0)
		return false;
	switch (op) {
	case REG_OP_LOOK:
		q->method = HTTP_GET;
		buf_puts(&q->path, "/v1/agent/service/");
		http_add_escaped(&q->path, reg->id);
		break;
	case REG_OP_LEAVE:
		buf_puts(&q->path, "/v1/agent/service/deregister/");
		http_add_escaped(&q->path, reg->id);
		break;
	case REG_OP_PUT:
		registrar_remember(reg);
		buf_puts(&q->path, "/v1/agent/service/register");
		if (replaces(reg))
			buf_puts(&q->path, "?replace-existing-checks");
		q->body = reg->body;
		reg->shape_sent = reg->shape;
		break;
	case REG_OP_REMOVE:
		buf_puts(&q->path, "/v1/agent/check/deregister/");
		free(reg->removing);
		reg->removing = xstrdup(reg->extra[reg->n_extra - 1]);
		http_add_escaped(&q->path, reg->removing);
		break;
	case REG_OP_MAINT_NOTE:
		buf_puts(&q->path, "/v1/agent/check/register");
		free(reg->noted);
		reg->noted = xcalloc(1, REASON_MAX);
		reason_of(reg, reg->noted);
		free(reg->note_body);
		reg->note_body = maintenance_check(reg, reg->noted);
		q->body = reg->note_body;
		break;
	default:
		buf_puts(&q->path, "/v1/agent/service/maintenance/");
		http_add_escaped(&q->path, reg->id);
		if (op == REG_OP_MAINT_ON) {
			reason_of(reg, reason);
			buf_puts(&q->path, "?enable=true&reason=");
			http_add_escaped(&q->path, reason);
		} else {
			buf_puts(&q->path, "?enable=false");
		}
		break;
	}
	reg->op = op;
	return true;
}

static void
repeat_in(struct registration *reg, int64_t delay_ms)
{
	loop_timer_start(&reg->timer, delay_ms);
}

static void
on_put(struct registration *reg)
{
	struct registrar *r = reg->r;
	bool is_new = !reg->accepted, changed = !is_new && reg->shape_put != reg->shape_sent;
	size_t i;

	reg->puts++;
	reg->asserted_ms = loop_wall_ms(r->loop);
	reg->accepted = reg->has = true;
	reg->shape_put = reg->shape_sent;
	repeat_in(reg, is_new ? loop_jitter(r->loop, REG_ASSERT_MS / 2, 100) : loop_jitter(r->loop, REG_ASSERT_MS, REG_JITTER));
	if (reg->shape != reg->shape_put) /* it changed meanwhile */
		reg->ops |= REG_OP_PUT;
	if (!is_new && !changed)
		return;
	log_notice("registrar", "%s: %s as %s at %s port %u", reg->name, is_new ? "registered" : "changed: registered again", reg->id,
	    *reg->address ? reg->address : "Consul's own address", (unsigned)reg->conf->port);
	for (i = 0; i < reg->n_checks; i++) {
		reg->checks[i]->told = is_new ? AGENT_NO_STATUS : reg->checks[i]->told;
		reg_check_tell(reg->checks[i], false);
	}
	if (is_new && registration_wants_maintenance(reg) && reg->maint == REG_MAINT_NONE)
		reg->ops |= REG_OP_MAINT_ON;
	registrar_event(r, "c4d-register", reg, NULL);
	registrar_list_soon(r, LIST_AFTER_MS);
	/* of a thousand not all at once */
	presence_soon(&reg->presence, PRESENCE_FIRST_MS + loop_jitter(r->loop, (int64_t)(r->n < 1000 ? r->n : 1000) * PRESENCE_EACH_MS, 100));
}

static void
on_left(struct registration *reg)
{
	log_notice("registrar", "%s: deregistered (%s)", reg->name, reg->id);
	registration_forget(reg);
	loop_timer_stop(&reg->timer);
	registrar_event(reg->r, "c4d-deregister", reg, NULL);
	reg->stop = REG_STOP_DONE;
}

/* Its maintenance is certain now: what hid it until then may go. */
static void
unhide(struct registration *reg)
{
	size_t i;

	if (!reg->body_hides)
		return;
	if (reg->n_extra < REG_EXTRA_MAX) {
		reg->extra[reg->n_extra++] = registration_hiding_id(reg);
		reg->ops |= REG_OP_REMOVE;
	}
	reg->body_hides = false;
	free(reg->body);
	reg->body = NULL;
	for (i = 0; i < reg->n_checks; i++) /* registered without their true status */
		if (reg->checks[i]->told == AGENT_NO_STATUS)
			reg_check_tell(reg->checks[i], false);
}

static void
on_maintenance(struct registration *reg, bool on)
{
	enum reg_maintenance now = on ? REG_MAINT_OURS : REG_MAINT_NONE;

	if (on)
		unhide(reg);
	if (reg->maint != REG_MAINT_FOREIGN && reg->maint != now) { /* that one stays: Consul knows one at a time */
		reg->maint = now;
		log_notice("registrar", "%s: maintenance is %s at Consul", reg->name, on ? "on" : "off");
		registrar_event(reg->r, "c4d-maintenance", reg, on ? "on" : "off");
		registrar_list_soon(reg->r, LIST_AFTER_MS);
	}
	if (on && reg->stop == REG_STOP_ACT && reg->stop_maint)
		reg->stop = REG_STOP_NO; /* it goes on in maintenance, as long as c4d does */
}

/* Others may have come meanwhile, and this one may have gone. */
static void
on_removed(struct registration *reg)
{
	size_t i;

	for (i = 0; i < reg->n_extra; i++) {
		if (reg->removing == NULL || strcmp(reg->extra[i], reg->removing) != 0)
			continue;
		free(reg->extra[i]);
		reg->extra[i] = reg->extra[--reg->n_extra];
		break;
	}
	free(reg->removing);
	reg->removing = NULL;
	if (reg->n_extra > 0)
		reg->ops |= REG_OP_REMOVE;
}

static void
on_accepted(struct registration *reg, unsigned op)
{
	reg->ops &= ~op;
	reg->op_ms = loop_now_ms(reg->r->loop);
	if (reg->refused[0] != '\0')
		log_notice("registrar", "%s: the agent takes it again", reg->name);
	reg->refused[0] = '\0';
	switch (op) {
	case REG_OP_LEAVE:
		on_left(reg);
		break;
	case REG_OP_PUT:
		on_put(reg);
		break;
	case REG_OP_REMOVE:
		on_removed(reg);
		break;
	case REG_OP_MAINT_NOTE:
		log_notice("registrar", "%s: Consul has the new reason of its maintenance", reg->name);
		registrar_list_soon(reg->r, LIST_AFTER_MS);
		break;
	default:
		on_maintenance(reg, op == REG_OP_MAINT_ON);
		break;
	}
}

static const char *
op_text(unsigned op)
{
	switch (op) {
	case REG_OP_LEAVE:
		return "be deregistered";
	case REG_OP_PUT:
		return "be registered";
	case REG_OP_REMOVE:
		return "lose a check that is not wanted";
	default:
		return "change its maintenance";
	}
}

static void
forgotten(struct registration *reg)
{
	reg->forgotten++;
	log_notice("registrar", "%s: the agent forgot it (%s): registering it again", reg->name, reg->id);
	registration_forget(reg);
	reg->ops |= REG_OP_PUT;
}

static void
on_refused(struct registration *reg, unsigned op, const struct http_answer *a)
{
	struct registrar *r = reg->r;
	char text[sizeof reg->refused];

	reg->failures++;
	reg->ops &= ~op;
	if ((op == REG_OP_MAINT_ON || op == REG_OP_MAINT_OFF) && a->status == 404) {
		forgotten(reg);
		if (reg->stop == REG_STOP_ACT && reg->stop_maint)
			reg->stop = REG_STOP_NO;
		return;
	}
	snprintf(text, sizeof text, "the agent does not let it %s: %.200s%s", op_text(op), a->why,
	    a->status == 403 ? " (the token needs service:write on it)" : "");
	if (strcmp(text, reg->refused) != 0)
		log_warnx("registrar", "%s: %s", reg->name, text);
	memcpy(reg->refused, text, sizeof reg->refused);
	repeat_in(reg, r->stopping ? RETRY_STOP_MS : loop_jitter(r->loop, REG_ASSERT_MS, REG_JITTER));
}

static void
take_foreign(struct registration *reg, bool foreign)
{
	if (foreign && !reg->foreign && !reg->leaving)
		log_warnx("registrar", "%s: registered by another machine (%s): it is left alone; give this one another id", reg->name,
		    reg->id);
	if (!foreign && reg->foreign) {
		log_notice("registrar", "%s: %s is not another machine's any more", reg->name, reg->id);
		reg->shape_put = 0;
	}
	reg->foreign = foreign;
	if (foreign) {
		reg->ops = 0;
		reg->accepted = reg->seen = false;
		reg->shape_put = 0;
		loop_timer_stop(&reg->timer);
	}
}

/* One service instead of the list: whose is it? */
static void
on_look(struct registration *reg, const struct http_answer *a)
{
	json_t *service = a->err == 0 && a->status == 200 ? json_loadb(a->body, a->body_len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const char *machine = jsonx_get_text(json_object_get(service, "Meta"), "c4d-machine");

	take_foreign(reg, machine != NULL && strcmp(machine, reg->r->machine) != 0);
	reg->judged = true;
	json_decref(service);
}

static void
job_done(void *arg, const struct http_answer *a)
{
	struct registration *reg = arg;
	struct registrar *r = reg->r;
	unsigned op = reg->op;

	reg->op = 0;
	if (op == REG_OP_LOOK && !line_unreachable(a->err)) {
		on_look(reg, a);
	} else if (reg->leaving && op == REG_OP_PUT) { /* said before it was to leave */
		took_put_of_leaving(reg);
	} else if (line_unreachable(a->err)) {
		reg->failures++;
		line_add(r->agent, &reg->job);
	} else if (a->err == 0 && (a->status == 200 || ((op == REG_OP_LEAVE || op == REG_OP_REMOVE) && a->status == 404))) {
		on_accepted(reg, op);
		if (op == REG_OP_LEAVE && reg->leaving) {
			registrar_forget(reg);
			registrar_stop_check(r);
			return;
		}
	} else {
		on_refused(reg, op, a);
	}
	registration_need(reg, 0, true);
	registration_update(reg);
	registrar_stop_check(r);
}

static void
on_timer(void *arg)
{
	struct registration *reg = arg;

	if (reg->leaving || (reg->stop == REG_STOP_ACT && !reg->stop_maint))
		registration_need(reg, REG_OP_LEAVE, reg->r->stopping);
	else if (reg->stop == REG_STOP_ACT)
		registration_need(reg, REG_OP_MAINT_ON, true);
	else if (reg->conf->enable_tag_override && reg->has && !reg->unlisted) /* a PUT would undo what others said of its tags */
		repeat_in(reg, loop_jitter(reg->r->loop, REG_ASSERT_MS, REG_JITTER));
	else /* its maintenance first: should the agent have forgotten both, the body must hide it */
		registration_need(reg, REG_OP_PUT | (registration_wants_maintenance(reg) ? REG_OP_MAINT_ON : 0), false);
}

bool
registration_tells(const struct registration *reg)
{
	return (reg->accepted || reg->has) && !reg->foreign && !reg->leaving && !reg->twice && reg->stop != REG_STOP_DONE;
}

/* ---- what the agent's list says ---- */

static void
take_extra(struct registration *reg, const struct reg_plan *p)
{
	drop_extra(reg);
	for (; reg->n_extra < p->n_extra; reg->n_extra++)
		reg->extra[reg->n_extra] = xstrdup(p->extra[reg->n_extra]);
}

static void
take_checks(struct registration *reg, const struct reg_check_seen *seen, int64_t asked_ms)
{
	size_t i;

	for (i = 0; i < reg->n_checks; i++) {
		struct reg_check *ck = reg->checks[i];

		if (ck->told_ms >= asked_ms && ck->told_ms > 0)
			continue; /* newer than the list */
		if (ck->agent != seen[i].status)
			ck->agent_since_ms = loop_wall_ms(reg->r->loop);
		ck->agent = seen[i].status;
		if (seen[i].tell || (ck->told == AGENT_NO_STATUS && seen[i].has))
			reg_check_untold(ck);
	}
}

/* For what is to go. False: it is gone. */
static bool
apply_leaving(struct registration *reg, const struct reg_plan *p)
{
	if (p->foreign) {
		log_notice("registrar", "%s (%s) is another machine's now: it is left alone", reg->name, reg->id);
		return false;
	}
	if (!p->has)
		return false;
	registration_need(reg, REG_OP_LEAVE, true);
	return true;
}

static void
apply_plan(struct registration *reg, const struct reg_plan *p)
{
	if (p->forgotten)
		forgotten(reg);
	else if (!p->has && !p->unlisted)
		registration_forget(reg);
	if (p->has) {
		reg->has = true;
		reg->seen = reg->accepted;
		reg->maint = p->maintenance;
		reg->worst = p->worst;
		free(reg->notes);
		reg->notes = xstrdup(p->notes ? p->notes : "");
	}
	reg->unlisted = p->unlisted;
	take_extra(reg, p);
	reg->ops &= ~(unsigned)(REG_OP_REMOVE | REG_OP_MAINT_ON | REG_OP_MAINT_NOTE | REG_OP_MAINT_OFF);
	reg->ops |= p->ops;
	if (p->unlisted) /* the clock sees to it; and its maintenance can't be seen */
		reg->ops &= ~(unsigned)(REG_OP_PUT | REG_OP_MAINT_ON);
	else if (reg->shape != 0 && reg->shape_put != reg->shape && reg->open)
		reg->ops |= REG_OP_PUT;
	if (p->has && p->differs != NULL && reg->accepted)
		log_debug("registrar", "%s: not as it should be at the agent: %s", reg->name, p->differs);
	registration_need(reg, 0, p->forgotten);
}

/* NULL: any will do. What was told once and is not as it was told: Consul writes it in other words. */
static const char *
wanted_notes(const struct registration *reg, char text[REASON_MAX])
{
	reason_of(reg, text);
	return reg->rec.maintenance && (reg->noted == NULL || strcmp(reg->noted, text) != 0) ? text : NULL;
}

void
registration_apply(struct registration *reg, const struct agent_list *list, int64_t asked_ms)
{
	struct reg_want_check *checks;
	struct reg_check_seen *seen;
	struct reg_want w;
	struct reg_plan p;
	char reason[REASON_MAX];
	bool gone = false;
	size_t i;

	if (reg->id == NULL || reg->twice || reg->stop >= REG_STOP_ACT || reg->op != 0 || (reg->leaving && !registrar_knows_ids(reg->r)))
		return;
	checks = xcalloc(reg->n_checks, sizeof *checks);
	seen = xcalloc(reg->n_checks, sizeof *seen);
	for (i = 0; i < reg->n_checks; i++) {
		const struct reg_check *ck = reg->checks[i];

		checks[i] = (struct reg_want_check){ ck->id, ck->off, ck->ours, ck->told };
	}
	w = (struct reg_want){
		.id = reg->id,
		.service = reg->conf ? reg->conf->service : "",
		.address = reg->address,
		.machine = reg->r->machine,
		.eid = reg->eid,
		.port = reg->conf ? (uint16_t)reg->conf->port : 0,
		.leaving = reg->leaving,
		.open = reg->open && reg->ready,
		.accepted = reg->accepted,
		.seen = reg->seen,
		.maintenance = registration_wants_maintenance(reg),
		.notes = wanted_notes(reg, reason),
		.checks = checks,
		.n_checks = reg->n_checks,
	};
	reg_plan(&w, list, &p, seen);
	take_foreign(reg, p.foreign);
	reg->judged = true;
	if (reg->leaving) {
		gone = !apply_leaving(reg, &p);
	} else if (p.foreign) {
		reg->worst = p.worst;
	} else if (reg->op_ms < asked_ms || reg->op_ms == 0) { /* else the list is older than what we said */
		apply_plan(reg, &p);
		if (!p.unlisted)
			take_checks(reg, seen, asked_ms);
	}
	free(checks);
	free(seen);
	if (gone)
		registrar_forget(reg);
	else
		registration_update(reg);
}

/* ---- state ---- */

static enum registration_state
state_of(const struct registration *reg, const char **why)
{
	struct registrar *r = reg->r;

	*why = "";
	if (reg->leaving || reg->stop != REG_STOP_NO) {
		*why = reg->refused[0] ? reg->refused : registrar_lost(r) ? registrar_lost_why(r) :
		    reg->stop == REG_STOP_DRAIN ? "in maintenance until its drain is over" : "";
		return REG_LEAVING;
	}
	if (reg->foreign) {
		*why = "registered by another machine";
		return REG_FAILED;
	}
	if (reg->twice) {
		*why = "another section has the same id: give it one of its own";
		return REG_FAILED;
	}
	if (!reg->ready) {
		*why = reg->wait_why;
		return REG_WAITING;
	}
	if (!reg->open) {
		*why = reg->has ? "the agent has it from before; the first good answer of its checks is awaited" :
		    "the first good answer of its checks is awaited";
		return REG_WAITING;
	}
	if (registrar_lost(r)) {
		*why = registrar_lost_why(r);
		return REG_UNREACHABLE;
	}
	if (reg->refused[0] != '\0') {
		*why = reg->refused;
		return REG_FAILED;
	}
	if (!reg->accepted || reg->shape != reg->shape_put || (registration_wants_maintenance(reg) && reg->maint == REG_MAINT_NONE) ||
	    reg->n_extra > 0)
		return REG_PENDING;
	*why = reg->place_why;
	if (reg->unlisted)
		*why = "the agent took it and does not list it: may the token read services?";
	return reg->maint != REG_MAINT_NONE ? REG_MAINTENANCE : REG_REGISTERED;
}

void
registration_update(struct registration *reg)
{
	const char *why;
	enum registration_state state = state_of(reg, &why);
	char text[sizeof reg->why];
	bool moved = state != reg->state;

	if (state == REG_FAILED && reg->foreign)
		snprintf(text, sizeof text, "registered by another machine (%s): give it another id", reg->id);
	else
		snprintf(text, sizeof text, "%s", why);
	if (moved || reg->since_ms == 0)
		reg->since_ms = loop_wall_ms(reg->r->loop);
	if (*text != '\0' && strcmp(text, reg->why) != 0 && (state == REG_WAITING || (state == REG_FAILED && reg->twice)))
		(reg->ready && !reg->twice ? log_info : log_warnx)("registrar", "%s: waits: %s", reg->name, text);
	reg->state = state;
	memcpy(reg->why, text, sizeof reg->why);
}

/* ---- the stop ---- */

static void
stop_act(struct registration *reg)
{
	bool keeps = reg->conf != NULL && reg->conf->at_stop == ON_STOP_MAINTENANCE;

	reg->stop = REG_STOP_ACT;
	reg->stop_maint = keeps;
	if (keeps && reg->maint != REG_MAINT_NONE)
		reg->stop = REG_STOP_NO;
	else
		registration_need(reg, keeps ? REG_OP_MAINT_ON : REG_OP_LEAVE, true);
}

static int64_t
drain_left_ms(const struct registration *reg)
{
	int64_t left = reg->conf->drain_ms;

	if (reg->rec.maintenance && reg->maint == REG_MAINT_OURS) /* it has been draining since */
		left -= loop_wall_ms(reg->r->loop) - reg->rec.maintenance_ms;
	return left;
}

void
registration_stop(struct registration *reg)
{
	bool there = reg->accepted || reg->has || reg->op != 0;

	reg->ops = 0;
	if (reg->foreign || !there) {
		reg->stop = REG_STOP_DONE;
	} else if (!reg->leaving && reg->conf->at_stop == ON_STOP_KEEP) {
		; /* it goes on as it is, as long as c4d does */
	} else if (!reg->leaving && reg->conf->at_stop == ON_STOP_DEREGISTER && drain_left_ms(reg) > 0) {
		reg->stop = REG_STOP_DRAIN;
		reg->stop_maint = true;
		reg->drained_ms = loop_now_ms(reg->r->loop) + drain_left_ms(reg);
		if (reg->maint == REG_MAINT_NONE)
			registration_need(reg, REG_OP_MAINT_ON, true);
	} else {
		stop_act(reg);
	}
	registration_update(reg);
}

void
registration_cut_short(struct registration *reg)
{
	if (reg->stop != REG_STOP_DRAIN)
		return;
	reg->ops = 0;
	stop_act(reg);
	registration_update(reg);
}

/* ---- life ---- */

struct registration *
registration_new(struct registrar *r, const char *name)
{
	struct registration *reg = xcalloc(1, sizeof *reg);

	reg->r = r;
	reg->name = xstrdup(name);
	reg->address = xstrdup("");
	reg->eid = xstrdup("");
	reg->notes = xstrdup("");
	reg->worst = AGENT_NO_STATUS;
	reg->state = REG_WAITING;
	reg->job.ask = job_ask;
	reg->job.done = job_done;
	reg->job.arg = reg;
	loop_timer_init(&reg->timer, r->loop, on_timer, reg);
	presence_init(&reg->presence, reg);
	registrar_add(r, reg);
	return reg;
}

static void
free_checks(struct registration *reg)
{
	size_t i;

	for (i = 0; i < reg->n_checks; i++)
		reg_check_free(reg->checks[i]);
	free(reg->checks);
	reg->checks = NULL;
	reg->n_checks = 0;
}

static void
free_tagged(struct registration *reg)
{
	while (reg->n_tagged > 0)
		free(reg->tagged[--reg->n_tagged]);
	free(reg->tagged);
	reg->tagged = NULL;
}

void
registration_set_conf(struct registration *reg, const struct conf_register *conf)
{
	struct reg_check **old = reg->checks;
	size_t i, k, n_old = reg->n_checks;

	reg->conf = conf;
	reg->checks = xcalloc(conf->n_checks, sizeof *reg->checks);
	reg->n_checks = conf->n_checks;
	for (i = 0; i < conf->n_checks; i++) {
		const struct conf_check *c = conf->checks[i];

		for (k = 0; k < n_old; k++)
			if (old[k] != NULL && strcmp(old[k]->conf->name, c->name) == 0 && old[k]->conf->kind == c->kind)
				break;
		if (k < n_old) { /* what it has found out stands */
			reg->checks[i] = old[k];
			reg->checks[i]->conf = c;
			old[k] = NULL;
		} else {
			reg->checks[i] = reg_check_new(reg, c);
		}
	}
	for (k = 0; k < n_old; k++)
		if (old[k] != NULL)
			reg_check_free(old[k]);
	free(old);
	free_tagged(reg);
	reg->tagged = xcalloc(conf->n_tagged, sizeof *reg->tagged);
	reg->n_tagged = conf->n_tagged;
	if (reg->id != NULL)
		registration_take_off(reg);
}

void
registration_leave(struct registration *reg)
{
	reg->conf = NULL;
	reg->leaving = true;
	reg->ops = 0;
	free(reg->body);
	reg->body = NULL;
	free_checks(reg);
	free_tagged(reg);
	presence_fini(&reg->presence);
	loop_timer_stop(&reg->timer);
	if (reg->accepted || (reg->has && !reg->foreign))
		registration_need(reg, REG_OP_LEAVE, true);
	registration_update(reg);
}

void
registration_free(struct registration *reg)
{
	if (reg->r->agent != NULL)
		line_drop(reg->r->agent, &reg->job);
	presence_fini(&reg->presence);
	loop_timer_fini(&reg->timer);
	free_checks(reg);
	free_tagged(reg);
	drop_extra(reg);
	free(reg->rec.reason);
	free(reg->rec.who);
	free(reg->rec.off);
	free(reg->name);
	free(reg->id);
	free(reg->address);
	free(reg->eid);
	free(reg->notes);
	free(reg->removing);
	free(reg->noted);
	free(reg->note_body);
	free(reg->body);
	free(reg);
}
