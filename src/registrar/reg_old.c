/*
 * reg_old: a reload that changes consul.http may mean another agent; what the one of before has would stay there for ever, and
 * Consul's own checks would keep it in DNS. So it is deregistered there, each as soon as the present agent has it, best effort: for
 * half a minute. Another URL may also be another way to the same agent; so both are asked first who they are, and when either
 * does not say it, nothing is touched.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "registrar_int.h"

#define LOOK_MS 250
#define GIVE_UP_MS 30000
#define SELF_MAX (256u << 10)

struct reg_old { /* owned by the registrar */
	LIST_ENTRY(reg_old) link;
	struct registrar *r;
	struct old_agent {
		struct reg_old *o;
		struct http *http;
		char *node; /* its id; NULL: not known yet */
		bool silent; /* it may not say it */
	} before, now;
	char *url, **ids;
	size_t n;
	int64_t switched_ms; /* wall clock */
	int64_t deadline_ms;
	struct loop_timer timer;
	char why[256];
};

static void
old_free(struct reg_old *o)
{
	LIST_REMOVE(o, link);
	http_free(o->before.http);
	http_free(o->now.http);
	loop_timer_fini(&o->timer);
	free(o->before.node);
	free(o->now.node);
	while (o->n > 0)
		free(o->ids[--o->n]);
	free(o->ids);
	free(o->url);
	loop_free_later(o->r->loop, o); /* its http's callback may be on the stack */
}

/* ---- who they are ---- */

static void
on_self(void *arg, const struct http_answer *a)
{
	struct old_agent *g = arg;
	json_t *self = a->err == 0 && a->status == 200 ? json_loadb(a->body, a->body_len, 0, NULL) : NULL;
	const char *node = jsonx_get_text(json_object_get(self, "Config"), "NodeID");

	if (node != NULL && *node != '\0')
		g->node = xstrdup(node);
	else
		snprintf(g->o->why, sizeof g->o->why, "%.200s", a->why[0] ? a->why : "an answer that is not an agent's");
	g->silent = a->err == 0 && g->node == NULL;
	json_decref(self);
}

/* True: both have said it. */
static bool
know_them(struct reg_old *o)
{
	struct old_agent *const both[] = { &o->before, &o->now };
	static const struct http_request q = { .method = HTTP_GET, .path = "/v1/agent/self", .timeout_ms = LINE_TIMEOUT_MS,
		.max_body = SELF_MAX };
	size_t i;

	for (i = 0; i < NELEM(both); i++)
		if (both[i]->node == NULL && !both[i]->silent && !http_busy(both[i]->http))
			both[i]->silent = http_ask(both[i]->http, &q, on_self, both[i]) != 0;
	return o->before.node != NULL && o->now.node != NULL;
}

/* ---- what goes ---- */

static void
drop_last(struct reg_old *o)
{
	free(o->ids[--o->n]);
}

static void
on_gone(void *arg, const struct http_answer *a)
{
	struct reg_old *o = arg;

	if (a->err == 0 && (a->status == 200 || a->status == 404)) {
		log_notice("registrar", "%s: deregistered at the agent of before (%s)", o->ids[o->n - 1], o->url);
		drop_last(o);
		loop_timer_start(&o->timer, 0);
	} else {
		snprintf(o->why, sizeof o->why, "%.200s", a->why);
	}
}

/* The present agent has it, or nobody wants it any more. */
static bool
is_due(const struct reg_old *o, const char *id)
{
	const struct registrar *r = o->r;
	size_t i;

	for (i = 0; i < r->n; i++)
		if (!r->regs[i]->leaving && r->regs[i]->id != NULL && strcmp(r->regs[i]->id, id) == 0)
			return r->regs[i]->asserted_ms >= o->switched_ms;
	return true;
}

static void
deregister_one(struct reg_old *o)
{
	struct http_request q = { .method = HTTP_PUT, .timeout_ms = LINE_TIMEOUT_MS, .max_body = SELF_MAX };
	struct buf path = { 0 };
	char *last = o->ids[o->n - 1];
	size_t i;

	if (http_busy(o->before.http))
		return;
	for (i = 0; i < o->n && !is_due(o, o->ids[i]); i++)
		;
	if (i == o->n)
		return;
	o->ids[o->n - 1] = o->ids[i]; /* the one that is being told is the last */
	o->ids[i] = last;
	buf_puts(&path, "/v1/agent/service/deregister/");
	http_add_escaped(&path, o->ids[o->n - 1]);
	q.path = path.s;
	if (http_ask(o->before.http, &q, on_gone, o) != 0)
		o->before.silent = true;
	buf_free(&path);
}

static void
on_look(void *arg)
{
	struct reg_old *o = arg;
	bool known = know_them(o), same = known && strcmp(o->before.node, o->now.node) == 0;

	if (same || o->n == 0) {
		old_free(o);
		return;
	}
	if (o->before.silent || o->now.silent || loop_now_ms(o->r->loop) >= o->deadline_ms) {
		log_warnx("registrar", "%zu registrations may stay at the agent of before (%s): %s; if it is another agent than the present one, "
		    "there: consul services deregister -id=%s%s", o->n, o->url, o->why[0] ? o->why : "the present one has not taken them yet",
		    o->ids[0], o->n > 1 ? ", and so on" : "");
		old_free(o);
		return;
	}
	loop_timer_start(&o->timer, LOOK_MS);
	if (known)
		deregister_one(o);
}

/* ---- life ---- */

void
reg_old_leave(struct registrar *r, const struct conf *now)
{
	struct reg_old *o;
	size_t i;

	if (!r->started || r->agent == NULL || strcmp(r->conf->http, now->http) == 0)
		return;
	o = xcalloc(1, sizeof *o);
	o->r = r;
	o->before.o = o->now.o = o;
	o->url = xstrdup(r->conf->http);
	o->ids = xcalloc(r->n + 1, sizeof *o->ids);
	o->switched_ms = loop_wall_ms(r->loop);
	o->deadline_ms = loop_now_ms(r->loop) + GIVE_UP_MS;
	for (i = 0; i < r->n; i++)
		if ((r->regs[i]->accepted || r->regs[i]->has) && !r->regs[i]->foreign)
			o->ids[o->n++] = xstrdup(r->regs[i]->id);
	loop_timer_init(&o->timer, r->loop, on_look, o);
	LIST_INSERT_HEAD(&r->olds, o, link);
	if (o->n == 0 || http_new(&o->before.http, r->loop, r->worker, r->conf) != 0 || http_new(&o->now.http, r->loop, r->worker, now) != 0)
		old_free(o);
	else
		loop_timer_start(&o->timer, 0);
}

void
reg_old_drop_all(struct registrar *r)
{
	while (!LIST_EMPTY(&r->olds))
		old_free(LIST_FIRST(&r->olds));
}
