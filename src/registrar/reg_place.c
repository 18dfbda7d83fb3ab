/*
 * reg_place: what a registration should be, worked out from its section, from what the places in it stand for, and from what
 * is known of its checks: its id, its addresses, its body.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "registrar_int.h"

/* ---- the body ---- */

bool
registration_wants_maintenance(const struct registration *reg)
{
	return reg->rec.maintenance || reg->stop_maint;
}

static void
places_of(const struct registration *reg, struct agent_places *p)
{
	*p = (struct agent_places){
		.address = reg->address,
		.tagged = (const char *const *)reg->tagged,
		.hostname = reg->r->hostname,
		.eid = reg->eid,
		.machine = reg->r->machine,
		.http_port = reg->r->http_port,
	};
}

/* The states of the checks, as they are, or so that nothing of it is listed. The caller frees. */
static struct agent_check_state *
states_of(const struct registration *reg, bool hide)
{
	struct agent_check_state *v = xcalloc(reg->n_checks + 1, sizeof *v);
	size_t i;

	for (i = 0; i < reg->n_checks; i++) {
		const struct reg_check *ck = reg->checks[i];

		v[i].off = ck->off;
		v[i].status = hide || ck->status == AGENT_NO_STATUS ? AGENT_CRITICAL : ck->status;
		v[i].output = ck->output ? ck->output : "";
	}
	v[i] = (struct agent_check_state){ false, AGENT_CRITICAL, "" }; /* hiding_check() */
	return v;
}

/*
 * Not to be listed for a moment before its maintenance is known, it comes with a critical check more, which goes when the
 * maintenance has come.
 */
static const struct conf_check *
hiding_check(void)
{
	static char name[] = "c4d-maintenance", type[] = "ttl", status[] = "critical";
	static const struct conf_check c = { .name = name, .type = type, .kind = CHECK_TTL, .ttl_ms = 60000, .status = status };

	return &c;
}

char *
registration_hiding_id(const struct registration *reg)
{
	return agent_check_id(reg->id, hiding_check());
}

static char *
build_body(const struct registration *reg, bool hide)
{
	struct agent_check_state *states = states_of(reg, hide);
	struct conf_register conf = *reg->conf;
	struct agent_places places;
	char *body;
	size_t i;

	conf.checks = xcalloc(reg->n_checks + 1, sizeof *conf.checks);
	for (i = 0; i < reg->n_checks; i++)
		conf.checks[i] = reg->conf->checks[i];
	if (hide)
		conf.checks[conf.n_checks++] = (struct conf_check *)(uintptr_t)hiding_check();
	places_of(reg, &places);
	body = agent_register_body(&conf, &places, states);
	free(conf.checks);
	free(states);
	return body;
}

static uint64_t
hash_text(const char *s)
{
	uint64_t h = 14695981039346656037ull;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211ull;
	return h ? h : 1;
}

/* Body, and with it each check's status, as it is put now. False: something is not known. */
bool
registration_fresh_body(struct registration *reg)
{
	bool hide = registration_wants_maintenance(reg) && !reg->has && !reg->accepted;
	size_t i;

	if (reg->body != NULL && reg->body_hides == hide)
		return true;
	free(reg->body);
	reg->body = build_body(reg, hide);
	reg->body_hides = hide;
	for (i = 0; i < reg->n_checks; i++) {
		struct reg_check *ck = reg->checks[i];

		ck->put = hide || ck->status == AGENT_NO_STATUS ? AGENT_CRITICAL : ck->status;
	}
	return reg->body != NULL;
}

void
registration_reshape(struct registration *reg)
{
	char *body;
	uint64_t shape = 0;

	free(reg->body);
	reg->body = NULL;
	if (reg->conf == NULL)
		return;
	if (reg->ready) {
		struct agent_check_state *states = xcalloc(reg->n_checks, sizeof *states);
		struct agent_places places;
		size_t i;

		for (i = 0; i < reg->n_checks; i++) {
			states[i].off = reg->checks[i]->off;
			states[i].status = AGENT_CRITICAL;
			states[i].output = "";
		}
		places_of(reg, &places);
		body = agent_register_body(reg->conf, &places, states);
		free(states);
		if (body == NULL) {
			reg->ready = false;
			snprintf(reg->wait_why, sizeof reg->wait_why,
			    "a check or the meta has a place that stands for what is not known ({address} with Consul's own address, {eid})");
		} else {
			shape = hash_text(body);
			free(body);
		}
	}
	if (shape != 0 && shape != reg->shape_put)
		reg->ops |= REG_OP_PUT;
	reg->shape = shape;
	registration_need(reg, 0, false); /* also what waited for it to be ready */
}

/* ---- places ---- */

static void
set_text(char **field, const char *text)
{
	if (*field != NULL && strcmp(*field, text) == 0)
		return;
	free(*field);
	*field = xstrdup(text);
}

/* One address of the section. False: it has none, and had none. */
static bool
place_address(struct registration *reg, char **field, const char *text)
{
	char out[256], why[120] = "";

	if (text == NULL) {
		set_text(field, "");
		return true;
	}
	if (iface_expand(text, out, sizeof out, why, sizeof why) == 0) {
		set_text(field, out);
		return true;
	}
	if (*field != NULL && **field != '\0' && reg->accepted) {
		snprintf(reg->place_why, sizeof reg->place_why, "%s; still registered with %s", why, *field);
		return true;
	}
	snprintf(reg->wait_why, sizeof reg->wait_why, "address %s: %s", text, why[0] ? why : "it can't be used");
	return false;
}

static bool
place_addresses(struct registration *reg)
{
	bool ok = place_address(reg, &reg->address, reg->conf->address);
	size_t i;

	for (i = 0; i < reg->conf->n_tagged && ok; i++)
		ok = place_address(reg, &reg->tagged[i], reg->conf->tagged[i]->address);
	return ok;
}

static bool
place_eid(struct registration *reg)
{
	struct registrar *r = reg->r;
	const char *eid = reg->conf->eid ? reg->conf->eid : "machine", *why = "";

	if (strcmp(eid, "machine") == 0) {
		set_text(&reg->eid, r->machine);
		return true;
	}
	if (strcmp(eid, "asterisk") != 0) {
		set_text(&reg->eid, eid);
		return true;
	}
	set_text(&reg->eid, r->asterisk_eid);
	if (r->asterisk_eid[0] != '\0')
		return true;
	if (r->asterisk != NULL)
		why = eid_why(r->asterisk);
	if (reg->wait_why[0] == '\0')
		snprintf(reg->wait_why, sizeof reg->wait_why, "eid: Asterisk has not said it yet%s%s", *why ? ": " : "", why);
	return false;
}

static bool
has_id(const struct registration *reg, const char *id)
{
	return reg->id != NULL && strcmp(reg->id, id) == 0;
}

/* A section before this one has its id. */
static bool
is_second(const struct registration *reg)
{
	const struct registrar *r = reg->r;
	size_t i;

	for (i = 0; i < r->n && r->regs[i] != reg; i++)
		if (!r->regs[i]->leaving && has_id(r->regs[i], reg->id))
			return true;
	return false;
}

static struct registration *
find_leaving(const struct registrar *r, const char *id)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (r->regs[i]->leaving && has_id(r->regs[i], id))
			return r->regs[i];
	return NULL;
}

/* What the store remembers of this id, and what the operator said. */
static void
adopt_record(struct registration *reg)
{
	struct registration *old = find_leaving(reg->r, reg->id);

	if (old == NULL)
		return;
	free(reg->rec.reason);
	free(reg->rec.who);
	free(reg->rec.off);
	reg->rec = old->rec;
	memset(&old->rec, 0, sizeof old->rec);
	reg->remembered = old->remembered;
	old->remembered = false;
	registrar_forget(old);
}

/* The old id leaves; what the operator said goes with the section. */
static void
leave_id(struct registration *reg)
{
	struct registration *old = registration_new(reg->r, reg->name);

	old->id = reg->id;
	old->rec = reg->rec;
	old->rec.reason = xstrdup(reg->rec.reason);
	old->rec.who = xstrdup(reg->rec.who);
	old->rec.off = xstrdup(reg->rec.off);
	old->remembered = reg->remembered;
	old->accepted = reg->accepted;
	old->has = reg->has;
	old->foreign = reg->foreign;
	old->judged = reg->judged;
	reg->id = NULL;
	reg->remembered = false;
	line_drop(reg->r->agent, &reg->job);
	reg->op = reg->ops = 0;
	registration_leave(old);
}

static bool
place_id(struct registration *reg, const struct agent_places *places)
{
	char *id = agent_expand(reg->conf->id, reg->conf, places);
	size_t i;

	if (id == NULL) {
		if (reg->wait_why[0] == '\0')
			snprintf(reg->wait_why, sizeof reg->wait_why, "id %s: a place in it stands for what is not known yet", reg->conf->id);
		return false;
	}
	if (reg->id != NULL && strcmp(reg->id, id) != 0) {
		log_notice("registrar", "%s: its id is %s now, and was %s", reg->name, id, reg->id);
		leave_id(reg);
		registration_forget(reg);
		reg->judged = reg->r->list_known;
	}
	if (reg->id == NULL) {
		reg->id = id;
		adopt_record(reg);
		registration_take_off(reg);
		if (!reg->remembered && (reg->rec.maintenance || reg->rec.off != NULL)) /* said before it had an id */
			registrar_store(reg);
	} else {
		free(id);
	}
	for (i = 0; i < reg->n_checks; i++) {
		free(reg->checks[i]->id);
		reg->checks[i]->id = agent_check_id(reg->id, reg->checks[i]->conf);
	}
	reg->twice = is_second(reg);
	return true;
}

void
registration_place(struct registration *reg)
{
	struct agent_places places;
	size_t i;

	if (reg->conf == NULL)
		return;
	reg->wait_why[0] = reg->place_why[0] = '\0';
	reg->ready = place_addresses(reg);
	reg->ready = place_eid(reg) && reg->ready;
	places_of(reg, &places);
	reg->ready = place_id(reg, &places) && reg->ready;
	for (i = 0; i < reg->n_checks && reg->ready; i++)
		reg_check_aim(reg->checks[i], &places);
	registration_reshape(reg);
	registration_opens(reg);
}
