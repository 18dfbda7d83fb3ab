#include "http/kamailio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "control/app.h"
#include "reconcile/living.h"
#include "routing/request.h"

/* A request of /auth that waits for a password to be verified. */
struct asking {
	struct asking *next;
	struct kamapi *api;
	const struct app *app;
	struct httpd_req *req;
	struct rt_data *data; /* what it began with */
	json_t *keep;
	struct rt_request ask;
	struct rt_walk walk;
	struct rt_auth auth;
};

struct kamapi {
	struct passwords *passwords;
	struct asking *asking;
	struct rt_decision decision; /* of the request at hand: they are answered one after the other */
	struct buf answer;
	struct kamapi_view counts;
};

static const int64_t took_us[] = { 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000 };

int
kamapi_new(struct kamapi **out, struct loop *loop, struct worker *worker)
{
	struct kamapi *k = xcalloc(1, sizeof *k);
	int err = passwords_new(&k->passwords, loop, worker);

	histogram_init(&k->counts.took, took_us, NELEM(took_us));
	if (err != 0) {
		free(k);
		return err;
	}
	*out = k;
	return 0;
}

static void
asking_free(struct asking *a)
{
	struct asking **p;

	for (p = &a->api->asking; *p != a; p = &(*p)->next)
		;
	*p = a->next;
	rt_data_unref(a->data);
	json_decref(a->keep);
	free(a);
}

void
kamapi_free(struct kamapi *k)
{
	if (k == NULL)
		return;
	passwords_free(k->passwords);
	while (k->asking != NULL) {
		httpd_reply_error(k->asking->req, 503, "c4d is stopping");
		asking_free(k->asking);
	}
	buf_free(&k->answer);
	free(k);
}

void
kamapi_view(const struct kamapi *k, struct kamapi_view *out)
{
	*out = k->counts;
}

/* ---- what is the same for all of them ---- */

static bool
is_client(const struct app *a, const struct topo_addr *peer)
{
	size_t i;

	for (i = 0; i < a->conf->routing_clients.n; i++)
		if (topo_prefix_has(&a->conf->routing_prefixes[i], peer))
			return true;
	return false;
}

bool
kamapi_refuses(const struct app *a, struct httpd_req *r)
{
	if (!is_client(a, httpd_peer_addr(r))) {
		httpd_reply_error(r, 403, "%s is not among routing.clients", httpd_peer(r));
	} else if (routing_data(a->routing) == NULL) {
		httpd_reply_header(r, "Retry-After", "1");
		httpd_reply_error(r, 503, routing_ready(a->routing) ? "no routing data: routing.file, routing.kv, or c4ctl routing load" :
		    "the routing data is being loaded");
	} else {
		return false;
	}
	a->kamapi->counts.refused++;
	return true;
}

/* A body that is none: 400 or 422. */
static void
reply_detail(const struct app *a, struct httpd_req *r, struct rt_detail *d)
{
	json_t *o = json_object();

	json_object_set_new(o, "detail", d->detail);
	a->kamapi->counts.refused++;
	httpd_reply_json(r, d->status, o);
}

static uint64_t
env_random(void *arg)
{
	return living_random(arg);
}

static size_t
env_expand(void *arg, const char *service, struct rt_place *out, size_t max)
{
	return living_expand(arg, service, out, max);
}

static bool
env_dead(void *arg, const char *host, uint16_t port)
{
	return living_dead(arg, host, port);
}

void
kamapi_env(const struct app *a, struct rt_env *out)
{
	*out = (struct rt_env){
		.now_s = loop_wall_ms(a->loop) / 1000,
		.random = env_random,
		.expand = env_expand,
		.dead = env_dead,
		.arg = a->living,
		.fr_timer_ms = a->conf->fr_timer_ms,
		.fr_inv_timer_ms = a->conf->fr_inv_timer_ms,
	};
}

/* ---- /routing ---- */

void
kamapi_post_routing(struct httpd_req *r, void *arg)
{
	const struct app *a = arg;
	struct kamapi *k = a->kamapi;
	const struct rt_data *data;
	struct rt_detail detail;
	struct rt_request ask;
	struct rt_env env;
	const char *body;
	json_t *keep;
	size_t len;
	int64_t began_us = loop_now_us(a->loop);

	if (kamapi_refuses(a, r))
		return;
	data = routing_data(a->routing);
	body = httpd_body(r, &len);
	if (rt_request_parse(&ask, RT_ASK_ROUTING, body, len, &keep, &detail) != 0) {
		reply_detail(a, r, &detail);
		return;
	}
	kamapi_env(a, &env);
	rt_decide(data, &ask, &env, &k->decision);
	k->answer.len = 0;
	rt_answer_routing(data, &ask, &k->decision, &env, &k->answer);
	k->counts.decisions++;
	if (k->decision.n > 0)
		k->counts.routed++;
	else
		k->counts.unrouted++;
	json_decref(keep);
	httpd_reply_buf(r, 200, &k->answer);
	histogram_add(&k->counts.took, loop_now_us(a->loop) - began_us);
}

/* ---- /auth ---- */

static void
reply_auth(struct kamapi *k, struct httpd_req *r, const struct rt_data *data, const struct rt_request *ask, const struct rt_auth *auth)
{
	k->answer.len = 0;
	rt_answer_auth(data, ask, auth, &k->answer);
	k->counts.auths++;
	k->counts.authenticated += auth->success;
	httpd_reply_buf(r, 200, &k->answer);
}

static void on_verdict(void *arg, bool right);

/* True: it waits for the next password to be verified. */
static bool
step(struct asking *a, bool verdict)
{
	const char *stored;

	while (rt_authenticate(a->data, &a->ask, &a->walk, verdict, &a->auth, &stored) == -EAGAIN) {
		int err = passwords_verify(a->api->passwords, stored, a->ask.password, on_verdict, a);

		if (err == 0)
			return true;
		httpd_reply_header(a->req, "Retry-After", "1");
		httpd_reply_error(a->req, 503, "too many passwords wait to be verified");
		a->api->counts.refused++;
		asking_free(a);
		return true;
	}
	return false;
}

static void
go_on(struct asking *a, bool verdict)
{
	if (step(a, verdict))
		return;
	reply_auth(a->api, a->req, a->data, &a->ask, &a->auth);
	asking_free(a);
}

static void
on_verdict(void *arg, bool right)
{
	go_on(arg, right);
}

void
kamapi_post_auth(struct httpd_req *r, void *arg)
{
	const struct app *a = arg;
	struct rt_detail detail;
	struct rt_request ask;
	struct asking *w;
	const char *body;
	json_t *keep;
	size_t len;

	if (kamapi_refuses(a, r))
		return;
	body = httpd_body(r, &len);
	if (rt_request_parse(&ask, RT_ASK_AUTH, body, len, &keep, &detail) != 0) {
		reply_detail(a, r, &detail);
		return;
	}
	w = xcalloc(1, sizeof *w);
	w->api = a->kamapi;
	w->app = a;
	w->req = r;
	w->data = rt_data_ref((struct rt_data *)(uintptr_t)routing_data(a->routing));
	w->keep = keep;
	w->ask = ask;
	w->next = w->api->asking;
	w->api->asking = w;
	go_on(w, false);
}

/* ---- /cdr ---- */

struct billing {
	struct kamapi *api;
	struct httpd_req *req;
};

static void
on_cdr(void *arg, int err, const struct rt_row *row)
{
	struct billing *b = arg;
	json_t *o;

	if (err == 0) {
		o = json_object();
		jsonx_set_bool(o, "success", true);
		json_object_set_new(o, "cdr", rt_row_json(row, 0));
		b->api->counts.cdrs++;
		httpd_reply_json(b->req, 200, o);
	} else {
		b->api->counts.refused++;
		httpd_reply_header(b->req, "Retry-After", "1");
		httpd_reply_error(b->req, 503, "the CDR could not be stored: %s; send it again",
		    err == -ECANCELED ? "c4d is stopping" : strerror(-err));
	}
	free(b);
}

static void
reply_no_tenant(struct httpd_req *r)
{
	json_t *o = json_object();

	jsonx_set_bool(o, "success", false);
	json_object_set_new(o, "cdr", json_null());
	httpd_reply_json(r, 200, o);
}

void
kamapi_post_cdr(struct httpd_req *r, void *arg)
{
	const struct app *a = arg;
	struct rt_detail detail = { 0 };
	struct billing *b;
	struct rt_row *row;
	const char *body;
	size_t len;
	int err;

	if (kamapi_refuses(a, r))
		return;
	body = httpd_body(r, &len);
	err = cdr_parse(&row, routing_data(a->routing), body, len, &detail);
	if (err == -ENOENT) {
		reply_no_tenant(r);
		return;
	}
	if (err != 0) {
		reply_detail(a, r, &detail);
		return;
	}
	b = xcalloc(1, sizeof *b);
	b->api = a->kamapi;
	b->req = r;
	err = cdrs_add(routing_cdrs(a->routing), row, on_cdr, b);
	rt_row_unref(row);
	if (err != 0)
		on_cdr(b, err, NULL);
}
