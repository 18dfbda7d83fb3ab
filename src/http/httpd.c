/*
 * httpd: requests and answers.
 */
#include "http/httpd.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "framing.h"
#include "httpd_int.h"
#include "listen.h"
#include "origin.h"
#include "query.h"
#include "reply.h"
#include "route.h"

#define SAY_MS 60000

/* libevent's callback names a type that belongs to base/. */
typedef __typeof__(bufferevent_get_base(NULL)) base_ref;

struct text {
	struct text *next;
	char *s;
};

struct httpd_req { /* until it is answered; the httpd may be gone before */
	struct httpd_req *next, **at;
	struct httpd *h;            /* NULL: gone */
	struct evhttp_request *ev;  /* NULL: the peer has been answered for us */
	struct conn *conn;          /* NULL: gone */
	int64_t since_ms;
	char *path, *query;
	struct text *decoded;       /* what httpd_query() gave away */
	char *body;                 /* NULL: none */
	size_t body_len;
	const char *id;             /* in the path */
	char allow[40];
	bool head, closing, endless;
	struct topo_addr addr;
	char peer[TOPO_ADDR_TEXT];
};

struct httpd_stream { /* owned by the httpd's list, until it has ended */
	struct httpd_stream *next, **at;
	struct httpd *h;
	struct evhttp_request *ev; /* ours, also when its connection is gone */
	struct conn *conn;         /* NULL: gone */
	httpd_gone_cb *gone;
	void *arg;
	struct loop_later later;
};

const struct httpd_limits httpd_limits_default = {
	.connections = HTTPD_CONNECTIONS_MAX,
	.idle_ms = 5000,
	.request_ms = 10000,
	.deadline_ms = HTTPD_DEADLINE_MS,
	.sweep_ms = 1000,
};

bool
httpd_may_say(struct httpd *h, int64_t *said_ms)
{
	int64_t now = loop_now_ms(h->loop);

	if (*said_ms != 0 && now - *said_ms < SAY_MS)
		return false;
	*said_ms = now;
	return true;
}

/* ---- answers ---- */

/* The answer is out; of a connection that goes on: its next request may be here already. */
static void
on_complete(struct evhttp_request *ev, void *arg)
{
	struct conn *c = arg;

	conn_is(c, evbuffer_get_length(bufferevent_get_input(c->bev)) > 0 ? CONN_READING : CONN_IDLE);
	conn_reads(c);
}

/* Of this second: libevent would make it anew for each answer. */
static const char *
date_now(struct httpd *h)
{
	time_t now = (time_t)(loop_wall_ms(h->loop) / 1000);
	struct tm tm;

	if (h->date_s != now) {
		gmtime_r(&now, &tm);
		strftime(h->date, sizeof h->date, "%a, %d %b %Y %H:%M:%S GMT", &tm); /* c4d is in the C locale */
		h->date_s = now;
	}
	return h->date;
}

static void
answer(struct httpd_req *r, int status, const char *type, const char *body, size_t len)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(r->ev);
	struct evhttp_request *ev = r->ev;
	struct conn *c = r->conn;
	char length[24];

	r->ev = NULL;
	r->conn = NULL;
	if (type != NULL)
		evhttp_add_header(headers, "Content-Type", type);
	if (status != 204 && !r->endless) { /* ours, since libevent leaves it out of answers to HEAD and to HTTP/1.0 */
		snprintf(length, sizeof length, "%zu", len);
		evhttp_add_header(headers, "Content-Length", length);
	}
	if (r->allow[0] != '\0')
		evhttp_add_header(headers, "Allow", r->allow);
	if (r->closing)
		evhttp_add_header(headers, "Connection", "close");
	if (!r->head && status != 204 && len > 0)
		evbuffer_add(evhttp_request_get_output_buffer(ev), body, len);
	if (c == NULL) {
		evhttp_send_reply(ev, status, NULL, NULL); /* only frees */
		return;
	}
	evhttp_add_header(headers, "Date", date_now(c->h));
	c->req = NULL;
	conn_is(c, CONN_WRITING);
	evhttp_request_set_on_complete_cb(ev, on_complete, c);
	evhttp_send_reply(ev, status, NULL, NULL);
	conn_send(c);
}

static void
answer_error(struct httpd_req *r, int status, const char *text)
{
	size_t len;
	char *s = reply_error_text(text, &len);

	answer(r, status, REPLY_JSON, s, len);
	free(s);
}

static void
req_free(struct httpd_req *r)
{
	struct text *t;

	if (r->at != NULL) {
		*r->at = r->next;
		if (r->next != NULL)
			r->next->at = r->at;
	}
	while ((t = r->decoded) != NULL) {
		r->decoded = t->next;
		free(t->s);
		free(t);
	}
	free(r->body);
	free(r->path);
	free(r->query);
	free(r);
}

void
httpd_reply_header(struct httpd_req *r, const char *name, const char *value)
{
	if (r->ev != NULL)
		(void)evhttp_add_header(evhttp_request_get_output_headers(r->ev), name, value);
}

void
httpd_reply(struct httpd_req *r, int status, const char *type, const char *body, size_t len)
{
	if (r->ev != NULL)
		answer(r, status, type, body, len);
	req_free(r);
}

/* ---- streams ---- */

static void
stream_free(struct httpd_stream *s)
{
	if (s->conn != NULL)
		s->conn->stream = NULL;
	*s->at = s->next;
	if (s->next != NULL)
		s->next->at = s->at;
	loop_later_cancel(s->h->loop, &s->later);
	evhttp_send_reply_end(s->ev); /* of a connection that is gone it only frees */
	free(s);
}

static void
on_lost(void *arg)
{
	struct httpd_stream *s = arg;
	httpd_gone_cb *gone = s->gone;
	void *whose = s->arg;

	stream_free(s);
	gone(whose);
}

void
httpd_stream_lost(struct httpd_stream *s)
{
	s->conn->stream = NULL;
	s->conn = NULL;
	loop_later(s->h->loop, &s->later, on_lost, s);
}

struct httpd_stream *
httpd_stream_new(struct httpd_req *r, const char *type, httpd_gone_cb *gone, void *arg)
{
	struct httpd_stream *s;
	struct evkeyvalq *headers;

	r->endless = r->closing = true;
	if (r->head || r->ev == NULL || r->h == NULL || r->conn == NULL || !conn_is_alive(r->conn)) {
		httpd_reply(r, 200, type, NULL, 0);
		return NULL;
	}
	s = xcalloc(1, sizeof *s);
	s->h = r->h;
	s->ev = r->ev;
	s->conn = r->conn;
	s->gone = gone;
	s->arg = arg;
	s->at = &r->h->streams;
	s->next = r->h->streams;
	if (s->next != NULL)
		s->next->at = &s->next;
	r->h->streams = s;
	/* What follows has no length: HTTP/1.0 knows its end by the end of the connection, whatever was asked for. */
	(void)evhttp_remove_header(evhttp_request_get_input_headers(s->ev), "Connection");
	headers = evhttp_request_get_output_headers(s->ev);
	evhttp_add_header(headers, "Content-Type", type);
	evhttp_add_header(headers, "Connection", "close");
	evhttp_add_header(headers, "Date", date_now(s->h));
	conn_stream(s->conn, s);
	evhttp_send_reply_start(s->ev, 200, NULL);
	r->ev = NULL;
	r->conn = NULL;
	req_free(r);
	return s;
}

void
httpd_stream_send(struct httpd_stream *s, const char *data, size_t len)
{
	struct evbuffer *b;

	if (s->conn == NULL || !conn_is_alive(s->conn)) /* its owner will hear of it */
		return;
	if (conn_is_slow(s->conn)) {
		conn_drop(s->conn);
		return;
	}
	b = evbuffer_new();
	if (b != NULL && evbuffer_add(b, data, len) == 0)
		evhttp_send_reply_chunk(s->ev, b);
	else
		conn_drop(s->conn); /* without memory it would have a hole */
	if (b != NULL)
		evbuffer_free(b);
}

void
httpd_stream_end(struct httpd_stream *s)
{
	if (s->conn != NULL)
		conn_is(s->conn, CONN_WRITING); /* its last bytes, within the time of an answer */
	stream_free(s);
}

/* ---- what a handler may ask of a request ---- */

const char *
httpd_path(const struct httpd_req *r)
{
	return r->path;
}

const char *
httpd_id(const struct httpd_req *r)
{
	return r->id;
}

const char *
httpd_query(const struct httpd_req *r, const char *key)
{
	struct httpd_req *keeper = (struct httpd_req *)r;
	char *value = query_value(r->query, key);
	struct text *t;

	if (value == NULL)
		return NULL;
	t = xcalloc(1, sizeof *t);
	t->s = value;
	t->next = keeper->decoded;
	keeper->decoded = t;
	return value;
}

const char *
httpd_header(const struct httpd_req *r, const char *name)
{
	return r->ev != NULL ? evhttp_find_header(evhttp_request_get_input_headers(r->ev), name) : NULL;
}

const char *
httpd_body(const struct httpd_req *r, size_t *len)
{
	*len = r->body_len;
	return r->body != NULL ? r->body : "";
}

const char *
httpd_peer(const struct httpd_req *r)
{
	return r->peer;
}

const struct topo_addr *
httpd_peer_addr(const struct httpd_req *r)
{
	return &r->addr;
}

/* ---- requests ---- */

static void
note_peer(struct conn *c, struct evhttp_connection *ec)
{
	ev_uint16_t port = 0;
	char *ip = NULL;

	evhttp_connection_get_peer(ec, &ip, &port);
	snprintf(c->peer, sizeof c->peer, ip && strchr(ip, ':') ? "[%s]:%u" : "%s:%u", ip ? ip : "?", port);
	if (ip != NULL && topo_addr_parse_ip(ip, &c->addr) == 0)
		c->addr.port = port;
}

static struct httpd_req *
req_new(struct httpd *h, struct evhttp_request *ev)
{
	struct evhttp_connection *ec = evhttp_request_get_connection(ev);
	enum evhttp_cmd_type method = evhttp_request_get_command(ev);
	struct httpd_req *r = xcalloc(1, sizeof *r);

	r->h = h;
	r->ev = ev;
	r->head = method == EVHTTP_REQ_HEAD;
	r->conn = ec != NULL ? conn_of(h, evhttp_connection_get_bufferevent(ec)) : NULL;
	if (r->conn != NULL) {
		if (r->conn->peer[0] == '\0')
			note_peer(r->conn, ec);
		memcpy(r->peer, r->conn->peer, sizeof r->peer);
		r->addr = r->conn->addr;
		r->conn->req = r;
		conn_is(r->conn, CONN_HANDLING);
		r->since_ms = r->conn->since_ms;
	}
	/* Of other methods libevent does not read the body: it would take it for the next request. */
	r->closing = method != EVHTTP_REQ_GET && method != EVHTTP_REQ_POST && method != EVHTTP_REQ_PUT &&
	    framing_has_body(evhttp_request_get_input_headers(ev));
	r->at = &h->reqs;
	r->next = h->reqs;
	if (r->next != NULL)
		r->next->at = &r->next;
	h->reqs = r;
	return r;
}

/* After what we do not understand, where the next request would begin is not known for sure. */
static void
refuse(struct httpd_req *r, int status, bool closing, const char *text)
{
	r->h->refused++;
	r->closing |= closing;
	httpd_reply_error(r, status, "%s", text);
}

/* Sets the path; or why there is none. */
static const char *
take_path(struct httpd_req *r)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(r->ev);
	const char *raw = uri ? evhttp_uri_get_path(uri) : NULL, *query = uri ? evhttp_uri_get_query(uri) : NULL;

	if (raw == NULL)
		return "no path";
	if (evhttp_uri_get_scheme(uri) != NULL || evhttp_uri_get_host(uri) != NULL)
		return "an absolute URL: this is no proxy";
	r->path = query_decode(raw, strlen(raw), false);
	if (r->path == NULL)
		return "the path holds a zero byte";
	r->query = query != NULL ? xstrdup(query) : NULL;
	return NULL;
}

/* Moves it to us, in one piece: it may outlive libevent's request. */
static int
take_body(struct httpd_req *r)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(r->ev);

	r->body_len = evbuffer_get_length(in);
	if (r->body_len == 0)
		return 0;
	r->body = malloc(r->body_len + 1);
	if (r->body == NULL || evbuffer_remove(in, r->body, r->body_len) != (int)r->body_len)
		return -ENOMEM;
	r->body[r->body_len] = '\0';
	return 0;
}

/* A web page that its reader's browser has sent here must not change anything. */
static bool
is_from_elsewhere(const struct httpd_req *r, int method)
{
	const char *origin = method != HTTPD_GET ? httpd_header(r, "Origin") : NULL;

	return origin != NULL && !origin_is_fine(origin, httpd_header(r, "Host"), r->h->host);
}

/* As routes have it; -1: none has. */
static int
method_of(struct evhttp_request *ev)
{
	switch (evhttp_request_get_command(ev)) {
	case EVHTTP_REQ_GET:
	case EVHTTP_REQ_HEAD:
		return HTTPD_GET;
	case EVHTTP_REQ_POST:
		return HTTPD_POST;
	case EVHTTP_REQ_PUT:
		return HTTPD_PUT;
	case EVHTTP_REQ_DELETE:
		return HTTPD_DELETE;
	default:
		return -1;
	}
}

static void
on_request(struct evhttp_request *ev, void *arg)
{
	struct httpd *h = arg;
	struct httpd_req *r = req_new(h, ev);
	const struct httpd_route *route;
	unsigned methods;
	int method;
	const char *why = framing_fault(evhttp_request_get_input_headers(ev));

	h->requests++;
	if (why == NULL)
		why = take_path(r);
	if (why != NULL) {
		refuse(r, 400, true, why);
		return;
	}
	method = method_of(ev);
	route = route_find(h->routes, r->path, method, &r->id, &methods);
	if (route == NULL && methods == 0) {
		refuse(r, 404, false, "there is nothing at this path");
		return;
	}
	if (route == NULL) {
		route_allow(methods, r->allow, sizeof r->allow);
		refuse(r, 405, false, "this path does not take this method");
		return;
	}
	if (is_from_elsewhere(r, method)) {
		refuse(r, 403, true, "a page of another server may not ask for this (Origin)");
		return;
	}
	if (evbuffer_get_length(evhttp_request_get_input_buffer(ev)) > route->max_body) {
		refuse(r, 413, true, "the body is longer than this path takes");
		return;
	}
	if (take_body(r) != 0) {
		refuse(r, 503, true, "out of memory");
		return;
	}
	route->handle(r, h->arg);
}

/* ---- life ---- */

void
httpd_end_late(struct httpd *h, int64_t now)
{
	struct httpd_req *r;

	for (r = h->reqs; r != NULL; r = r->next) {
		if (r->ev == NULL || now - r->since_ms < h->limits.deadline_ms)
			continue;
		if (httpd_may_say(h, &h->late_said_ms))
			log_warnx("http", "%s of %s was not answered within %lld ms", r->path, r->peer, (long long)h->limits.deadline_ms);
		evhttp_clear_headers(evhttp_request_get_output_headers(r->ev)); /* they were for another answer */
		answer_error(r, 504, "not answered in time");
	}
}

void
httpd_forget(struct httpd_req *r)
{
	r->conn = NULL;
}

struct evhttp_bound_socket *
httpd_bind(struct httpd *h, struct evconnlistener *lev)
{
	return evhttp_bind_listener(h->ev, lev);
}

void
httpd_unbind(struct httpd *h, struct evhttp_bound_socket *bound)
{
	evhttp_del_accept_socket(h->ev, bound);
}

/* A connection is about to be taken: libevent asks for its bufferevent. */
static struct bufferevent *
on_accept(base_ref base, void *arg)
{
	return conn_new(arg);
}

void
httpd_set_conf(struct httpd *h, const struct conf *conf)
{
	listeners_set(h, conf);
}

void
httpd_set_limits(struct httpd *h, const struct httpd_limits *limits)
{
	struct timeval tv = { limits->idle_ms / 1000, limits->idle_ms % 1000 * 1000 };

	h->limits = *limits;
	evhttp_set_timeout_tv(h->ev, &tv);
}

int
httpd_new(struct httpd **out, struct loop *loop, const struct conf *conf, const struct httpd_route *routes, void *arg)
{
	struct httpd *h = xcalloc(1, sizeof *h);
	struct bufferevent *bev = loop_bufferevent(loop, -1); /* for its base */
	const struct httpd_route *route;

	h->ev = bev ? evhttp_new(bufferevent_get_base(bev)) : NULL;
	if (bev != NULL)
		bufferevent_free(bev);
	if (h->ev == NULL) {
		free(h);
		return -ENOMEM;
	}
	h->loop = loop;
	h->routes = routes;
	h->arg = arg;
	loop_timer_init(&h->sweep, loop, conns_sweep, h);
	listeners_init(h);
	if (gethostname(h->host, sizeof h->host - 1) != 0)
		h->host[0] = '\0';
	for (route = routes; route->path != NULL; route++)
		if (route->max_body > h->max_body)
			h->max_body = route->max_body;
	evhttp_set_max_headers_size(h->ev, HEADERS_MAX);
	evhttp_set_max_body_size(h->ev, (ev_ssize_t)h->max_body);
	evhttp_set_allowed_methods(h->ev, 0xffff); /* those that it does not know too: ours is the 405 */
	evhttp_set_default_content_type(h->ev, NULL);
	evhttp_set_bevcb(h->ev, on_accept, h);
	evhttp_set_gencb(h->ev, on_request, h);
	httpd_set_limits(h, &httpd_limits_default);
	httpd_set_conf(h, conf);
	*out = h;
	return 0;
}

void
httpd_free(struct httpd *h)
{
	struct httpd_stream *s, *next;
	struct httpd_req *r;
	struct conn *c;

	if (h == NULL)
		return;
	loop_timer_fini(&h->sweep);
	while ((r = h->reqs) != NULL) {
		h->reqs = r->next;
		if (r->ev != NULL) {
			r->closing = true;
			answer_error(r, 503, "c4d is stopping");
		}
		r->h = NULL;
		r->at = NULL;
	}
	for (s = h->streams; s != NULL; s = next) {
		next = s->next;
		httpd_stream_end(s);
	}
	for (c = h->conns; c != NULL; c = c->next)
		(void)conn_flush(c); /* the loop may not run again */
	evhttp_free(h->ev);
	conns_free(h);
	listeners_free(h);
	free(h);
}

void
httpd_view(const struct httpd *h, struct httpd_view *v)
{
	const struct listener *l;
	const struct conn *c;
	char *why = ((struct httpd *)h)->why;

	*v = (struct httpd_view){ .requests = h->requests, .refused = h->refused, .why = why };
	why[0] = '\0';
	for (c = h->conns; c != NULL; c = c->next)
		v->connections += conn_is_alive(c);
	for (l = h->listeners; l != NULL; l = l->next) {
		v->listeners += l->lev != NULL;
		if (l->lev == NULL && why[0] == '\0')
			snprintf(why, sizeof h->why, "cannot listen at %s: %s", l->text, l->why);
		if (l->lev != NULL && v->port == 0)
			v->port = listen_port(evconnlistener_get_fd(l->lev));
	}
	if (why[0] == '\0' && h->starving_said)
		snprintf(why, sizeof h->why, "connections cannot be taken: no descriptors are left");
}
