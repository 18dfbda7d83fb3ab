/*
 * reg_event: with `events: true`, a Consul event for what was done: c4d-register, c4d-deregister, c4d-maintenance. Best
 * effort: an event that can't be fired is given up after a few attempts.
 */
#include <jansson.h>
#include <stdlib.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "registrar_int.h"

#define EVENTS_MAX 4096
#define EVENT_TRIES 5

/* Off the list already. */
static void
event_free(struct reg_event *e)
{
	e->r->n_events--;
	line_drop(e->r->far, &e->job);
	free(e->name);
	free(e->body);
	free(e);
}

static bool
event_ask(void *arg, struct line_request *q)
{
	struct reg_event *e = arg;

	buf_puts(&q->path, "/v1/event/fire/");
	http_add_escaped(&q->path, e->name);
	q->body = e->body;
	return true;
}

static void
event_done(void *arg, const struct http_answer *a)
{
	struct reg_event *e = arg;
	struct registrar *r = e->r;

	if (line_unreachable(a->err) && ++e->tries < EVENT_TRIES) {
		line_add(r->far, &e->job);
		return;
	}
	if (a->err != 0 || a->status != 200)
		log_warnx("registrar", "the event %s was not fired: %.200s", e->name, a->why);
	LIST_REMOVE(e, link);
	event_free(e);
	registrar_stop_check(r);
}

void
registrar_event(struct registrar *r, const char *name, const struct registration *reg, const char *what)
{
	struct reg_event *e;
	json_t *body;

	if (!r->conf->events || r->n_events >= EVENTS_MAX)
		return;
	body = json_object();
	jsonx_set_text(body, "id", reg->id);
	jsonx_set_text(body, "name", reg->conf ? reg->conf->service : reg->name);
	if (reg->conf != NULL) {
		jsonx_set_text(body, "address", reg->address);
		jsonx_set_int(body, "port", reg->conf->port);
	}
	if (what != NULL)
		jsonx_set_text(body, "maintenance", what);
	e = xcalloc(1, sizeof *e);
	e->r = r;
	e->name = xstrdup(name);
	e->body = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	e->job.ask = event_ask;
	e->job.done = event_done;
	e->job.arg = e;
	LIST_INSERT_HEAD(&r->events, e, link);
	r->n_events++;
	line_add(r->far, &e->job);
}

void
reg_event_drop_all(struct registrar *r)
{
	struct reg_event *e, *next;

	for (e = LIST_FIRST(&r->events); e != NULL; e = next) {
		next = LIST_NEXT(e, link);
		event_free(e);
	}
	LIST_INIT(&r->events);
}
