#include "registrar/dry.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registrar/reg_diff.h"
#include "registrar_int.h"

#define NOTE_MAX 300

struct dry {
	struct loop *loop;
	const struct conf *conf;
	struct http *http;
	struct eid *asterisk; /* NULL: no section needs it */
	char machine[EID_TEXT], hostname[256];
	uint16_t http_port;
	char *text;           /* the first half of the answer */
	size_t len;
	json_t *services;
	struct agent_list list;
	bool answered;
	char why[300];
};

/* ---- the questions ---- */

static void
end(struct dry *d, const char *why)
{
	d->answered = true;
	snprintf(d->why, sizeof d->why, "%s", why);
}

static void
ask(struct dry *d, const char *path, http_cb *cb)
{
	const struct http_request q = { .method = HTTP_GET, .path = path, .timeout_ms = LINE_TIMEOUT_MS, .max_body = AGENT_BODY_MAX };

	if (http_ask(d->http, &q, cb, d) != 0)
		end(d, "a question is under way already");
}

static bool
is_answer(struct dry *d, const struct http_answer *a)
{
	if (a->err == 0 && a->status == 200)
		return true;
	end(d, a->why);
	return false;
}

static void
on_checks(void *arg, const struct http_answer *a)
{
	struct dry *d = arg;

	if (!is_answer(d, a))
		return;
	d->services = json_loadb(d->text, d->len, 0, NULL);
	if (!json_is_object(d->services) || agent_list_parse(&d->list, d->text, d->len, a->body, a->body_len) != 0)
		end(d, "its answer is not a list of services and checks: is consul.http the HTTP port of Consul?");
	else
		end(d, "");
}

static void
on_services(void *arg, const struct http_answer *a)
{
	struct dry *d = arg;

	if (!is_answer(d, a))
		return;
	d->text = malloc(a->body_len + 1);
	if (d->text == NULL) {
		end(d, "out of memory");
		return;
	}
	memcpy(d->text, a->body, a->body_len + 1);
	d->len = a->body_len;
	ask(d, "/v1/agent/checks", on_checks);
}

/* ---- one section ---- */

struct section { /* as it would be; owned by section_clear() */
	const struct conf_register *conf;
	char *address, *eid, *id;
	char **tagged;
	char *body;
	char why[NOTE_MAX]; /* what it would wait for */
};

static void
section_clear(struct section *s)
{
	size_t i;

	for (i = 0; i < s->conf->n_tagged && s->tagged != NULL; i++)
		free(s->tagged[i]);
	free(s->tagged);
	free(s->address);
	free(s->eid);
	free(s->id);
	free(s->body);
}

static bool
place_address(struct section *s, const char *text, char **to)
{
	char out[256] = "", why[120] = "";

	if (text != NULL && iface_expand(text, out, sizeof out, why, sizeof why) != 0) {
		snprintf(s->why, sizeof s->why, "address %s: %s", text, why[0] ? why : "it can't be used");
		return false;
	}
	*to = xstrdup(out);
	return true;
}

static void
place_eid(const struct dry *d, struct section *s)
{
	const char *eid = s->conf->eid ? s->conf->eid : "machine";

	if (strcmp(eid, "asterisk") != 0) {
		s->eid = xstrdup(strcmp(eid, "machine") == 0 ? d->machine : eid);
		return;
	}
	s->eid = xstrdup(d->asterisk != NULL ? eid_text(d->asterisk) : "");
	if (*s->eid == '\0')
		snprintf(s->why, sizeof s->why, "eid: Asterisk has not said it yet: %s", d->asterisk != NULL ? eid_why(d->asterisk) : "");
}

/* Its id as far as it is known, and its body; NULL with the reason. */
static void
place(const struct dry *d, struct section *s, const struct conf_register *conf)
{
	struct agent_check_state *states = xcalloc(conf->n_checks + 1, sizeof *states);
	struct agent_places places = { .hostname = d->hostname, .machine = d->machine, .http_port = d->http_port };
	size_t i;

	memset(s, 0, sizeof *s);
	s->conf = conf;
	s->tagged = xcalloc(conf->n_tagged + 1, sizeof *s->tagged);
	place_eid(d, s);
	(void)place_address(s, conf->address, &s->address);
	for (i = 0; i < conf->n_tagged; i++)
		(void)place_address(s, conf->tagged[i]->address, &s->tagged[i]);
	for (i = 0; i < conf->n_checks; i++)
		states[i] = (struct agent_check_state){ .status = AGENT_CRITICAL, .output = "" };
	places.address = s->address ? s->address : "";
	places.tagged = (const char *const *)s->tagged;
	places.eid = s->eid;
	s->id = agent_expand(conf->id, conf, &places);
	if (s->why[0] == '\0') {
		s->body = agent_register_body(conf, &places, states);
		if (s->body == NULL)
			snprintf(s->why, sizeof s->why, "a place in it stands for what is not known ({address} with Consul's own address, {eid})");
	}
	free(states);
}

/* ---- the steps ---- */

struct telling {
	const struct dry *d;
	dry_cb *cb;
	void *arg;
	struct section *sections; /* as many as are configured */
};

static void
tell(const struct telling *t, const struct section *s, const char *op, const char *id, const char *detail, bool changes)
{
	const struct dry_step step = { s != NULL ? s->conf->name : "", op, id != NULL ? id : "", detail, changes };

	t->cb(t->arg, &step);
}

/* "; when sip, media have passed" of those that c4d makes. */
static void
add_condition(struct buf *b, const struct conf_register *c)
{
	size_t i, n = 0;

	for (i = 0; i < c->n_checks && strcmp(c->when, "healthy") == 0; i++)
		if (agent_check_is_ours(c->checks[i]))
			buf_printf(b, "%s%s", n++ > 0 ? ", " : b->len > 0 ? "; when " : "when ", c->checks[i]->name);
	if (n > 0)
		buf_puts(b, n > 1 ? " have passed" : " has passed");
}

static void
tell_new(const struct telling *t, const struct section *s)
{
	struct buf b = { 0 };

	buf_printf(&b, "as %s at %s port %u", s->conf->service, *s->address ? s->address : "Consul's own address", (unsigned)s->conf->port);
	add_condition(&b, s->conf);
	tell(t, s, "register", s->id, b.s, true);
	buf_free(&b);
}

static void
add_missing_checks(struct buf *b, const struct section *s, const struct reg_check_seen *seen)
{
	size_t i;

	for (i = 0; i < s->conf->n_checks; i++)
		if (!seen[i].has)
			buf_printf(b, "%scheck %s is added, unless it was switched off by c4ctl check off", b->len > 0 ? "; " : "",
			    s->conf->checks[i]->name);
}

/* A maintenance that c4d left behind when it stopped ends with its start; an operator's does not. */
static bool
is_of_a_stop(const struct reg_plan *p)
{
	return p->maintenance == REG_MAINT_OURS && (strcmp(p->notes, REG_NOTES_STOPPED) == 0 || strcmp(p->notes, REG_NOTES_STOPPING) == 0);
}

static void
tell_present(const struct telling *t, const struct section *s, const struct reg_plan *p, const struct reg_check_seen *seen)
{
	json_t *body = json_loads(s->body, 0, NULL);
	char *diff = reg_diff(body, json_object_get(t->d->services, s->id));
	struct buf b = { 0 };
	bool ends = is_of_a_stop(p);
	size_t i;

	if (diff != NULL)
		buf_puts(&b, diff);
	add_missing_checks(&b, s, seen);
	if (b.len > 0) {
		add_condition(&b, s->conf);
		tell(t, s, "change", s->id, b.s, true);
	} else if (p->n_extra == 0 && !ends) {
		tell(t, s, "keep", s->id, p->maintenance == REG_MAINT_OURS ? "in c4d's maintenance (c4ctl maintenance off)" :
		    p->maintenance == REG_MAINT_FOREIGN ? "in somebody else's maintenance (consul maint -disable)" : "", false);
	}
	for (i = 0; i < p->n_extra; i++)
		tell(t, s, "remove check", p->extra[i], "it is not configured", true);
	if (ends)
		tell(t, s, "end maintenance", s->id, "c4d's own, of its last stop", true);
	buf_free(&b);
	free(diff);
	json_decref(body);
}

static bool
is_second(const struct telling *t, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (t->sections[i].id != NULL && strcmp(t->sections[i].id, t->sections[n].id) == 0)
			return true;
	return false;
}

static void
tell_section(const struct telling *t, size_t n)
{
	const struct section *s = &t->sections[n];
	const struct conf_register *c = s->conf;
	struct reg_want_check *checks;
	struct reg_check_seen *seen;
	struct reg_want w;
	struct reg_plan p;
	size_t i;

	if (s->id != NULL && is_second(t, n)) {
		tell(t, s, "leave alone", s->id, "another section has the same id: give it one of its own", false);
		return;
	}
	if (s->body == NULL || s->id == NULL) {
		tell(t, s, "wait", s->id, s->why, false);
		return;
	}
	checks = xcalloc(c->n_checks + 1, sizeof *checks);
	seen = xcalloc(c->n_checks + 1, sizeof *seen);
	for (i = 0; i < c->n_checks; i++)
		checks[i] = (struct reg_want_check){ .id = agent_check_id(s->id, c->checks[i]), .ours = agent_check_is_ours(c->checks[i]),
			.told = AGENT_NO_STATUS };
	w = (struct reg_want){ .id = s->id, .service = c->service, .address = s->address, .machine = t->d->machine, .eid = s->eid,
		.port = (uint16_t)c->port, .open = true, .checks = checks, .n_checks = c->n_checks };
	reg_plan(&w, &t->d->list, &p, seen);
	if (p.foreign)
		tell(t, s, "leave alone", s->id, "registered by another machine: give this one another id", false);
	else if (p.has)
		tell_present(t, s, &p, seen);
	else
		tell_new(t, s);
	for (i = 0; i < c->n_checks; i++)
		free((char *)(uintptr_t)checks[i].id);
	free(checks);
	free(seen);
}

/*
 * What carries this machine's mark and is no section's. The daemon's memory is in its store; but whoever put the mark there was
 * a c4d of this machine.
 */
static void
tell_left(const struct telling *t)
{
	const struct dry *d = t->d;
	bool knows = true, configured;
	size_t i, k;

	for (k = 0; k < d->conf->n_registers; k++)
		knows = knows && t->sections[k].id != NULL;
	for (i = 0; i < d->list.n_services; i++) {
		const struct agent_service *s = &d->list.services[i];

		if (d->machine[0] == '\0' || s->machine == NULL || strcmp(s->machine, d->machine) != 0)
			continue;
		configured = false;
		for (k = 0; k < d->conf->n_registers; k++)
			configured = configured || (t->sections[k].id != NULL && strcmp(t->sections[k].id, s->id) == 0);
		if (!configured)
			tell(t, NULL, "deregister", s->id, knows ? "c4d registered it, and it is not configured any more" :
			    "c4d registered it, and it is not configured any more; not before the ids of all sections are known", true);
	}
}

void
dry_steps(const struct dry *d, dry_cb *cb, void *arg)
{
	struct telling t = { d, cb, arg, NULL };
	size_t i, n = d->conf->n_registers;

	if (!d->answered || d->why[0] != '\0')
		return;
	t.sections = xcalloc(n + 1, sizeof *t.sections);
	for (i = 0; i < n; i++)
		place(d, &t.sections[i], d->conf->registers[i]);
	for (i = 0; i < n; i++)
		tell_section(&t, i);
	tell_left(&t);
	for (i = 0; i < n; i++)
		section_clear(&t.sections[i]);
	free(t.sections);
}

/* ---- life ---- */

static void
on_eid(void *arg)
{
}

bool
dry_done(const struct dry *d)
{
	return d->answered && (d->asterisk == NULL || eid_was_asked(d->asterisk));
}

const char *
dry_why(const struct dry *d)
{
	return d->why;
}

int
dry_new(struct dry **out, struct loop *loop, struct worker *worker, const struct conf *conf, const char *machine_id)
{
	struct dry *d = xcalloc(1, sizeof *d);
	int err;

	d->loop = loop;
	d->conf = conf;
	eid_of_machine(machine_id, d->machine);
	registrar_read_machine(conf, d->hostname, sizeof d->hostname, &d->http_port);
	err = http_new(&d->http, loop, worker, conf);
	if (err == 0 && registrar_needs_asterisk(conf))
		err = eid_new(&d->asterisk, loop, worker, conf, on_eid, d);
	if (err != 0) {
		dry_free(d);
		return err;
	}
	ask(d, "/v1/agent/services", on_services);
	*out = d;
	return 0;
}

void
dry_free(struct dry *d)
{
	if (d == NULL)
		return;
	http_free(d->http);
	eid_free(d->asterisk);
	agent_list_clear(&d->list);
	json_decref(d->services);
	free(d->text);
	loop_free_later(d->loop, d); /* an answer may be on the stack */
}
