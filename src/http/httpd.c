/*
 * httpd: libevent's server has no limit on connections and none on the whole time of a request, and does not say when a
 * connection has ended. So each of its bufferevents is made by us (on_accept) and kept by a reference of ours: a bufferevent
 * without an event callback is one that libevent has done with. A sweep looks for those, and for whoever takes too long. It runs
 * only while there are connections. Our reference also keeps the descriptor open a little longer, so that an answer that ends a
 * connection is not lost to a reset.
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
#include <unistd.h>

#include "base/log.h"
#include "framing.h"
#include "listen.h"
#include "query.h"
#include "reply.h"
#include "registrar/iface.h"

#define HEADERS_MAX (8u << 10)
#define RETRY_MS 1000   /* an address that can't be had, or no descriptors */
#define FULL_MS 50      /* so often is looked for room while there is none */
#define SAY_MS 60000

/* libevent's callback names a type that belongs to base/. */
typedef __typeof__(bufferevent_get_base(NULL)) base_ref;

enum conn_state { CONN_IDLE, CONN_READING, CONN_HANDLING, CONN_WRITING };

struct conn { /* owned by the httpd's list */
	struct conn *next;
	struct httpd *h;
	struct bufferevent *bev;
	int fd;               /* -1: not known yet; the index of by_fd */
	enum conn_state state;
	int64_t since_ms;     /* of the state */
	bool dead;            /* seen so by the last sweep */
	struct httpd_req *req; /* CONN_HANDLING */
	struct loop_later foreign;
	char peer[TOPO_ADDR_TEXT];
};

struct listener { /* owned by the httpd's list */
	struct listener *next;
	char *text;           /* as configured */
	struct topo_addr addr; /* as bound */
	struct evconnlistener *lev; /* NULL: does not stand; else libevent's, by `bound` */
	struct evhttp_bound_socket *bound;
	bool keep;
	char why[160];
};

struct httpd {
	struct httpd *next; /* of all */
	struct loop *loop;
	struct evhttp *ev;
	const struct httpd_route *routes;
	void *arg;
	size_t max_body; /* of any route */
	struct httpd_limits limits;
	struct listener *listeners;
	struct iface *iface; /* NULL: no address depends on an interface */
	struct conn *conns;
	size_t n_conns; /* with the dead ones */
	struct conn **by_fd;
	size_t cap_by_fd;
	struct httpd_req *reqs;
	struct loop_timer sweep, retry, starve;
	bool full, starving, starving_said;
	int64_t full_said_ms, late_said_ms;
	uint64_t requests, refused;
	char why[256];
};

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
	struct evbuffer *body;      /* NULL: none */
	const char *body_text;      /* in it */
	size_t body_len;
	const char *allow;
	bool head, closing;
	char peer[TOPO_ADDR_TEXT];
};

const struct httpd_limits httpd_limits_default = {
	.connections = HTTPD_CONNECTIONS_MAX,
	.idle_ms = 5000,
	.request_ms = 10000,
	.deadline_ms = HTTPD_DEADLINE_MS,
	.sweep_ms = 1000,
};

/* A listener's error callback is given libevent's server, not ours. */
static struct httpd *all;

/* ---- answers ---- */

static void
conn_is(struct conn *c, enum conn_state state)
{
	c->state = state;
	c->since_ms = loop_now_ms(c->h->loop);
}

/* The answer is out; of a connection that goes on: its next request may be here already. */
static void
on_complete(struct evhttp_request *ev, void *arg)
{
	struct conn *c = arg;

	conn_is(c, evbuffer_get_length(bufferevent_get_input(c->bev)) > 0 ? CONN_READING : CONN_IDLE);
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
	if (status != 204) { /* ours, since libevent leaves it out of answers to HEAD and to HTTP/1.0 */
		snprintf(length, sizeof length, "%zu", len);
		evhttp_add_header(headers, "Content-Length", length);
	}
	if (r->allow != NULL)
		evhttp_add_header(headers, "Allow", r->allow);
	if (r->closing)
		evhttp_add_header(headers, "Connection", "close");
	if (!r->head && status != 204 && len > 0)
		evbuffer_add(evhttp_request_get_output_buffer(ev), body, len);
	if (c != NULL) {
		c->req = NULL;
		conn_is(c, CONN_WRITING);
		evhttp_request_set_on_complete_cb(ev, on_complete, c);
	}
	evhttp_send_reply(ev, status, NULL, NULL); /* without a connection it only frees */
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
	if (r->body != NULL)
		evbuffer_free(r->body);
	free(r->path);
	free(r->query);
	free(r);
}

void
httpd_reply(struct httpd_req *r, int status, const char *type, const char *body, size_t len)
{
	if (r->ev != NULL)
		answer(r, status, type, body, len);
	req_free(r);
}

/* ---- what a handler may ask of a request ---- */

const char *
httpd_path(const struct httpd_req *r)
{
	return r->path;
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
	return r->body_text != NULL ? r->body_text : "";
}

const char *
httpd_peer(const struct httpd_req *r)
{
	return r->peer;
}

/* ---- requests ---- */

/* By descriptor, which is a connection's own for as long as we keep its bufferevent. */
static struct conn *
conn_of(struct httpd *h, struct evhttp_connection *ec)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(ec);
	int fd = bufferevent_getfd(bev);
	struct conn *c;
	size_t old = h->cap_by_fd;

	if (fd >= 0 && (size_t)fd < old && h->by_fd[fd] != NULL && h->by_fd[fd]->bev == bev)
		return h->by_fd[fd];
	for (c = h->conns; c != NULL && c->bev != bev; c = c->next)
		;
	if (c != NULL && fd >= 0) {
		h->by_fd = xgrow(h->by_fd, (size_t)fd, &h->cap_by_fd, sizeof *h->by_fd);
		if (h->cap_by_fd > old)
			memset(&h->by_fd[old], 0, (h->cap_by_fd - old) * sizeof *h->by_fd);
		h->by_fd[fd] = c;
		c->fd = fd;
	}
	return c;
}

static void
note_peer(struct conn *c, struct evhttp_connection *ec)
{
	ev_uint16_t port = 0;
	char *ip = NULL;

	evhttp_connection_get_peer(ec, &ip, &port);
	snprintf(c->peer, sizeof c->peer, ip && strchr(ip, ':') ? "[%s]:%u" : "%s:%u", ip ? ip : "?", port);
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
	r->conn = ec != NULL ? conn_of(h, ec) : NULL;
	if (r->conn != NULL) {
		if (r->conn->peer[0] == '\0')
			note_peer(r->conn, ec);
		memcpy(r->peer, r->conn->peer, sizeof r->peer);
		r->conn->req = r;
		conn_is(r->conn, CONN_HANDLING);
		r->since_ms = r->conn->since_ms;
	}
	/* Of other methods libevent does not read the body: it would take it for the next request. */
	r->closing = method != EVHTTP_REQ_GET && method != EVHTTP_REQ_POST && framing_has_body(evhttp_request_get_input_headers(ev));
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
	r->body = evbuffer_new();
	if (r->body == NULL || evbuffer_add_buffer(r->body, in) != 0 || evbuffer_add(r->body, "", 1) != 0)
		return -ENOMEM;
	r->body_text = (const char *)evbuffer_pullup(r->body, -1);
	return r->body_text != NULL ? 0 : -ENOMEM;
}

static bool
takes(const struct httpd_route *route, enum evhttp_cmd_type method)
{
	if (route->method == HTTPD_GET)
		return method == EVHTTP_REQ_GET || method == EVHTTP_REQ_HEAD;
	return method == EVHTTP_REQ_POST;
}

/* NULL, and allow tells which methods the path has ("": it has none). */
static const struct httpd_route *
find_route(const struct httpd *h, const char *path, enum evhttp_cmd_type method, const char **allow)
{
	static const char *const allows[] = { "", "GET, HEAD", "POST", "GET, HEAD, POST" };
	const struct httpd_route *route;
	unsigned methods = 0;

	for (route = h->routes; route->path != NULL; route++) {
		if (strcmp(route->path, path) != 0)
			continue;
		if (takes(route, method))
			return route;
		methods |= route->method == HTTPD_GET ? 1 : 2;
	}
	*allow = allows[methods];
	return NULL;
}

static void
on_request(struct evhttp_request *ev, void *arg)
{
	struct httpd *h = arg;
	struct httpd_req *r = req_new(h, ev);
	const struct httpd_route *route;
	const char *why = framing_fault(evhttp_request_get_input_headers(ev)), *allow;

	h->requests++;
	if (why == NULL)
		why = take_path(r);
	if (why != NULL) {
		refuse(r, 400, true, why);
		return;
	}
	route = find_route(h, r->path, evhttp_request_get_command(ev), &allow);
	if (route == NULL && *allow == '\0') {
		refuse(r, 404, false, "there is nothing at this path");
		return;
	}
	if (route == NULL) {
		r->allow = allow;
		refuse(r, 405, false, "this path does not take this method");
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

/* ---- connections ---- */

static bool
is_alive(const struct conn *c)
{
	bufferevent_event_cb event = NULL;

	bufferevent_getcb(c->bev, NULL, NULL, &event, NULL);
	return event != NULL;
}

static void
update_accepting(struct httpd *h)
{
	struct listener *l;

	for (l = h->listeners; l != NULL; l = l->next)
		if (l->lev != NULL && (h->full || h->starving))
			(void)evconnlistener_disable(l->lev);
		else if (l->lev != NULL)
			(void)evconnlistener_enable(l->lev);
}

static void
on_input(struct evbuffer *b, const struct evbuffer_cb_info *info, void *arg)
{
	struct conn *c = arg;

	if (info->n_added > 0 && c->state == CONN_IDLE)
		conn_is(c, CONN_READING);
}

/* libevent answers by itself what it can't read, in HTML: in its place goes one of ours, before it is sent. */
static void
on_foreign(void *arg)
{
	struct conn *c = arg;
	struct evbuffer *out = bufferevent_get_output(c->bev);
	char start[16] = "", *line, *body;
	int status;
	size_t len;

	if (!is_alive(c) || c->state == CONN_WRITING || evbuffer_copyout(out, start, 12) != 12 || memcmp(start, "HTTP/", 5) != 0)
		return;
	status = atoi(start + 9);
	if (status < 400) /* 100 Continue */
		return;
	c->h->refused++;
	conn_is(c, CONN_WRITING);
	(void)evbuffer_unfreeze(out, 1); /* the bufferevent keeps its front to itself */
	line = evbuffer_readln(out, NULL, EVBUFFER_EOL_CRLF);
	(void)evbuffer_drain(out, evbuffer_get_length(out));
	(void)evbuffer_freeze(out, 1);
	body = reply_error_text(status == 413 ? "the body is too long" : "this is no HTTP/1 request, or its header is too long", &len);
	evbuffer_add_printf(out, "%s\r\nContent-Type: " REPLY_JSON "\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
	    line ? line : "HTTP/1.1 400 Bad Request", len, body ? body : "");
	free(line);
	free(body);
}

static void
on_output(struct evbuffer *b, const struct evbuffer_cb_info *info, void *arg)
{
	struct conn *c = arg;

	if (info->n_added > 0 && c->state != CONN_WRITING && !c->foreign.queued)
		loop_later(c->h->loop, &c->foreign, on_foreign, c);
}

/* Unlinked by the caller. */
static void
conn_free(struct conn *c)
{
	struct httpd *h = c->h;

	if (c->req != NULL) /* its peer is gone */
		c->req->conn = NULL;
	if (c->fd >= 0 && h->by_fd[c->fd] == c)
		h->by_fd[c->fd] = NULL;
	loop_later_cancel(h->loop, &c->foreign);
	evbuffer_remove_cb(bufferevent_get_input(c->bev), on_input, c);
	evbuffer_remove_cb(bufferevent_get_output(c->bev), on_output, c);
	bufferevent_decref(c->bev);
	h->n_conns--;
	free(c);
}

/* Connections that have ended; not at once where that would cut off the peer from an answer that it has yet to read. */
static void
reap(struct httpd *h, bool at_once)
{
	struct conn **at = &h->conns, *c;

	while ((c = *at) != NULL) {
		if (is_alive(c) || (!at_once && !c->dead)) {
			c->dead = !is_alive(c);
			at = &c->next;
			continue;
		}
		*at = c->next;
		conn_free(c);
	}
}

/* What may come and go all the time is said once a minute. */
static bool
may_say(struct httpd *h, int64_t *said_ms)
{
	int64_t now = loop_now_ms(h->loop);

	if (*said_ms != 0 && now - *said_ms < SAY_MS)
		return false;
	*said_ms = now;
	return true;
}

static void
check_full(struct httpd *h)
{
	bool was = h->full;

	h->full = h->n_conns >= h->limits.connections;
	if (h->full == was)
		return;
	if (h->full && may_say(h, &h->full_said_ms))
		log_warnx("http", "%zu connections at once: further ones wait until one ends (who keeps them open?)", h->n_conns);
	update_accepting(h);
}

static void
sweep_soon(struct httpd *h)
{
	loop_timer_start(&h->sweep, h->full && FULL_MS < h->limits.sweep_ms ? FULL_MS : h->limits.sweep_ms);
}

static void
on_sweep(void *arg)
{
	struct httpd *h = arg;
	int64_t now = loop_now_ms(h->loop);
	struct httpd_req *r;
	struct conn *c;

	for (r = h->reqs; r != NULL; r = r->next)
		if (r->ev != NULL && now - r->since_ms >= h->limits.deadline_ms) {
			if (may_say(h, &h->late_said_ms))
				log_warnx("http", "%s of %s was not answered within %lld ms", r->path, r->peer,
				    (long long)h->limits.deadline_ms);
			answer_error(r, 504, "not answered in time");
		}
	for (c = h->conns; c != NULL; c = c->next)
		if ((c->state == CONN_READING || c->state == CONN_WRITING) && now - c->since_ms >= h->limits.request_ms && is_alive(c)) {
			h->refused++;
			log_debug("http", "%s took too long: dropped", c->peer[0] ? c->peer : "a peer");
			bufferevent_trigger_event(c->bev, BEV_EVENT_TIMEOUT | BEV_EVENT_READING, 0);
		}
	reap(h, false);
	check_full(h);
	if (h->conns != NULL || h->reqs != NULL)
		sweep_soon(h);
}

/* A connection is about to be taken: libevent asks for its bufferevent. */
static struct bufferevent *
on_accept(base_ref base, void *arg)
{
	struct httpd *h = arg;
	struct bufferevent *bev = loop_bufferevent(h->loop, -1);
	struct conn *c;

	if (bev == NULL)
		return NULL;
	if (h->n_conns + 1 >= h->limits.connections) /* before the new one is there, which has no callback yet either */
		reap(h, true);
	c = xcalloc(1, sizeof *c);
	c->h = h;
	c->bev = bev;
	c->fd = -1;
	c->next = h->conns;
	conn_is(c, CONN_IDLE);
	h->conns = c;
	h->n_conns++;
	bufferevent_incref(bev);
	/* Who sends on and on while he is answered is not read on and on. A whole body must fit, chunked ones come bit by bit. */
	bufferevent_setwatermark(bev, EV_READ, 0, h->max_body + 2 * HEADERS_MAX);
	evbuffer_add_cb(bufferevent_get_input(bev), on_input, c);
	evbuffer_add_cb(bufferevent_get_output(bev), on_output, c);
	check_full(h);
	if (h->full || !loop_timer_armed(&h->sweep))
		sweep_soon(h);
	return bev;
}

/* ---- listeners ---- */

/* A second after the error it is tried again; a second later still, without a new one, it is over. */
static void
on_starved(void *arg)
{
	struct httpd *h = arg;

	if (h->starving) {
		h->starving = false;
		update_accepting(h);
		loop_timer_start(&h->starve, RETRY_MS);
	} else {
		h->starving_said = false;
		log_notice("http", "takes connections again");
	}
}

/* No descriptors, most likely: the listener would say so without end. */
static void
on_accept_error(struct evconnlistener *lev, void *arg)
{
	int err = errno;
	struct listener *l;
	struct httpd *h;

	for (h = all; h != NULL; h = h->next) {
		for (l = h->listeners; l != NULL && l->lev != lev; l = l->next)
			;
		if (l == NULL)
			continue;
		if (!h->starving_said)
			log_warnx("http", "cannot take connections: %s; tried again every second (LimitNOFILE?)", strerror(err));
		h->starving_said = h->starving = true;
		reap(h, true);
		update_accepting(h);
		loop_timer_start(&h->starve, RETRY_MS);
	}
}

static void
listener_down(struct httpd *h, struct listener *l)
{
	if (l->lev != NULL)
		evhttp_del_accept_socket(h->ev, l->bound);
	l->lev = NULL;
	l->bound = NULL;
}

static int
listener_up(struct httpd *h, struct listener *l, const struct topo_addr *a, char *why, size_t size)
{
	struct bufferevent *bev; /* for its base */
	int fd = listen_open(a);

	if (fd < 0) {
		snprintf(why, size, "%s", strerror(-fd));
		return fd;
	}
	bev = loop_bufferevent(h->loop, -1);
	if (bev != NULL)
		l->lev = evconnlistener_new(bufferevent_get_base(bev), NULL, NULL,
		    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_DISABLED, 0, fd);
	l->bound = l->lev ? evhttp_bind_listener(h->ev, l->lev) : NULL;
	if (bev != NULL)
		bufferevent_free(bev);
	if (l->bound == NULL) {
		if (l->lev != NULL)
			evconnlistener_free(l->lev);
		else
			close(fd);
		l->lev = NULL;
		snprintf(why, size, "out of memory");
		return -ENOMEM;
	}
	evconnlistener_set_error_cb(l->lev, on_accept_error);
	l->addr = *a;
	return 0;
}

/* Stands where it should, or says why not. */
static void
listener_try(struct httpd *h, struct listener *l)
{
	char why[sizeof l->why] = "", at[TOPO_ADDR_TEXT], also[TOPO_ADDR_TEXT + 16] = "";
	struct topo_addr a;

	if (listen_parse(l->text, &a, why, sizeof why) != 0) {
		listener_down(h, l);
	} else if (l->lev == NULL || topo_addr_cmp(&l->addr, &a) != 0) {
		listener_down(h, l);
		topo_addr_format(&a, at);
		if (strcmp(at, l->text) != 0)
			snprintf(also, sizeof also, " (%s)", at);
		if (listener_up(h, l, &a, why, sizeof why) == 0)
			log_notice("http", "listens at %s%s", l->text, also);
	}
	if (l->lev == NULL && strcmp(l->why, why) != 0)
		log_warnx("http", "cannot listen at %s%s: %s; tried again every second (http.listen)", l->text, also, why);
	memcpy(l->why, why, sizeof why);
}

static void
listeners_try(struct httpd *h)
{
	struct listener *l;
	bool again = false;

	for (l = h->listeners; l != NULL; l = l->next) {
		listener_try(h, l);
		again |= l->lev == NULL;
	}
	update_accepting(h);
	if (again)
		loop_timer_start(&h->retry, RETRY_MS);
}

static void
on_retry(void *arg)
{
	listeners_try(arg);
}

static struct listener **
listener_slot(struct httpd *h, const char *text)
{
	struct listener **at = &h->listeners;

	while (*at != NULL && strcmp((*at)->text, text) != 0)
		at = &(*at)->next;
	return at;
}

/* ---- life ---- */

void
httpd_set_conf(struct httpd *h, const struct conf *conf)
{
	struct listener **at, *l;
	bool by_iface = false;
	size_t i;

	for (i = 0; i < conf->listen.n; i++) {
		at = listener_slot(h, conf->listen.v[i]);
		if (*at == NULL) {
			*at = xcalloc(1, sizeof **at);
			(*at)->text = xstrdup(conf->listen.v[i]);
		}
		(*at)->keep = true;
		by_iface |= conf->listen.v[i][0] == '{';
	}
	for (at = &h->listeners; (l = *at) != NULL;) {
		if (l->keep) {
			l->keep = false;
			at = &l->next;
			continue;
		}
		log_notice("http", "does not listen at %s any more", l->text);
		listener_down(h, l);
		*at = l->next;
		free(l->text);
		free(l);
	}
	if (by_iface && h->iface == NULL && iface_new(&h->iface, h->loop, on_retry, h) != 0)
		log_warnx("http", "changes of the addresses in http.listen will not be seen");
	if (!by_iface) {
		iface_free(h->iface);
		h->iface = NULL;
	}
	listeners_try(h);
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
	h->next = all;
	all = h;
	loop_timer_init(&h->sweep, loop, on_sweep, h);
	loop_timer_init(&h->retry, loop, on_retry, h);
	loop_timer_init(&h->starve, loop, on_starved, h);
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

/* What fits into the socket, without waiting: the loop may not run again. */
static void
flush_out(struct conn *c)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);

	if (!is_alive(c) || evbuffer_get_length(out) == 0)
		return;
	(void)evbuffer_unfreeze(out, 1);
	(void)evbuffer_write(out, bufferevent_getfd(c->bev));
	(void)evbuffer_freeze(out, 1);
}

void
httpd_free(struct httpd *h)
{
	struct httpd **at = &all;
	struct httpd_req *r;
	struct listener *l;
	struct conn *c;

	if (h == NULL)
		return;
	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	loop_timer_fini(&h->sweep);
	loop_timer_fini(&h->retry);
	loop_timer_fini(&h->starve);
	iface_free(h->iface);
	while ((r = h->reqs) != NULL) {
		h->reqs = r->next;
		if (r->ev != NULL) {
			r->closing = true;
			answer_error(r, 503, "c4d is stopping");
		}
		r->h = NULL;
		r->at = NULL;
	}
	for (c = h->conns; c != NULL; c = c->next)
		flush_out(c);
	evhttp_free(h->ev);
	while ((c = h->conns) != NULL) {
		h->conns = c->next;
		conn_free(c);
	}
	while ((l = h->listeners) != NULL) {
		h->listeners = l->next;
		free(l->text);
		free(l);
	}
	free(h->by_fd);
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
		v->connections += is_alive(c);
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
