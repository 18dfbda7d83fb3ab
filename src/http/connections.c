/*
 * connections: libevent's server has no limit on them and none on the whole time of a request, and does not say when one has
 * ended. So each of its bufferevents is made by us (conn_new) and kept by a reference of ours: a bufferevent without an event
 * callback is one that libevent has done with. A sweep looks for those, and for whoever takes too long. It runs only while
 * there are connections.
 *
 * Our reference also keeps the descriptor open a little longer. What a peer still sends is read and thrown away until he ends
 * too: closing before that would reset the connection, and he would not see the answer that ended it.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "httpd_int.h"
#include "reply.h"

#define FULL_MS 50      /* so often is looked for room while there is none */
#define LINGER_MS 3000  /* the longest, and up to a sweep more */
#define LINGER_FULL_MS 100 /* while others wait for its place */

void
conn_is(struct conn *c, enum conn_state state)
{
	c->state = state;
	c->since_ms = loop_now_ms(c->h->loop);
}

bool
conn_is_alive(const struct conn *c)
{
	bufferevent_event_cb event = NULL;

	bufferevent_getcb(c->bev, NULL, NULL, &event, NULL);
	return event != NULL;
}

/* By descriptor, which is a connection's own for as long as we keep its bufferevent. */
struct conn *
conn_of(struct httpd *h, struct bufferevent *bev)
{
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

bool
conn_flush(struct conn *c)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);

	if (!conn_is_alive(c))
		return false;
	if (evbuffer_get_length(out) > 0) {
		(void)evbuffer_unfreeze(out, 1); /* the bufferevent keeps its front to itself */
		(void)evbuffer_write(out, bufferevent_getfd(c->bev));
		(void)evbuffer_freeze(out, 1);
	}
	return evbuffer_get_length(out) == 0;
}

static void
drain(struct bufferevent *bev, void *arg)
{
	(void)evbuffer_drain(bufferevent_get_input(bev), evbuffer_get_length(bufferevent_get_input(bev)));
}

/* libevent has done with it, and has ended our half. */
static void
linger(struct conn *c)
{
	c->ended_ms = loop_now_ms(c->h->loop);
	if (c->stream != NULL)
		httpd_stream_lost(c->stream);
	c->over = bufferevent_getfd(c->bev) < 0;
	if (c->over)
		return;
	drain(c->bev, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, 0);
	bufferevent_setcb(c->bev, drain, NULL, NULL, c); /* and still no event callback: that is how ended ones are known */
	bufferevent_enable(c->bev, EV_READ);
}

/*
 * Who sends on and on while he is answered is not read on and on. Only then: libevent looks at a watermark with each line it
 * reads. While a request is handled it does not read, and of one that comes in it takes no more than a header and a body.
 */
static void
bound(struct conn *c)
{
	c->bounded = true;
	bufferevent_setwatermark(c->bev, EV_READ, 0, c->h->max_body + 2 * HEADERS_MAX);
}

void
conn_reads(struct conn *c)
{
	if (c->bounded)
		bufferevent_setwatermark(c->bev, EV_READ, 0, 0);
	c->bounded = false;
}

static void
on_send(void *arg)
{
	struct conn *c = arg;

	if (conn_flush(c)) {
		bufferevent_trigger(c->bev, EV_WRITE, 0); /* libevent goes on to the next request, or ends the connection */
	} else if (conn_is_alive(c)) {
		bound(c);
		bufferevent_enable(c->bev, EV_WRITE);
	}
	if (!conn_is_alive(c) && c->ended_ms == 0)
		linger(c);
}

/*
 * What was asked together is answered together, when all of it has been handled: a peer that asks much is woken up once by
 * all his answers, and not by each. The event of libevent must not be left behind: perhaps it is active already, and what it
 * says would be taken for the end of the next answer.
 */
void
conn_send(struct conn *c)
{
	bufferevent_disable(c->bev, EV_WRITE);
	loop_later(c->h->loop, &c->send, on_send, c);
}

/* ---- streams ---- */

void
conn_stream(struct conn *c, struct httpd_stream *s)
{
	const struct httpd_limits *l = &c->h->limits;
	struct timeval stall = { l->idle_ms / 1000, l->idle_ms % 1000 * 1000 };

	c->req = NULL;
	c->stream = s;
	conn_is(c, CONN_STREAMING);
	bound(c);
	bufferevent_set_timeouts(c->bev, NULL, &stall);
}

bool
conn_is_slow(const struct conn *c)
{
	return evbuffer_get_length(bufferevent_get_output(c->bev)) > HTTPD_STREAM_WAITING_MAX;
}

void
conn_drop(struct conn *c)
{
	c->h->refused++;
	log_debug("http", "%s took too long: dropped", c->peer[0] ? c->peer : "a peer");
	bufferevent_trigger_event(c->bev, BEV_EVENT_TIMEOUT | BEV_EVENT_READING, 0);
}

/* ---- what goes in and out ---- */

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

	if (!conn_is_alive(c) || c->state == CONN_WRITING || c->state == CONN_STREAMING || evbuffer_copyout(out, start, 12) != 12 || memcmp(start, "HTTP/", 5) != 0)
		return;
	status = atoi(start + 9);
	if (status < 400) /* 100 Continue */
		return;
	c->h->refused++;
	conn_is(c, CONN_WRITING);
	(void)evbuffer_unfreeze(out, 1);
	line = evbuffer_readln(out, NULL, EVBUFFER_EOL_CRLF);
	(void)evbuffer_drain(out, evbuffer_get_length(out));
	(void)evbuffer_freeze(out, 1);
	body = reply_error_text(status == 413 ? "the body is too long" : "this is no HTTP/1 request, or its header is too long", &len);
	evbuffer_add_printf(out, "%s\r\nContent-Type: " REPLY_JSON "\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
	    line ? line : "HTTP/1.1 400 Bad Request", len, body ? body : "");
	free(line);
	free(body);
	conn_send(c);
}

static void
on_output(struct evbuffer *b, const struct evbuffer_cb_info *info, void *arg)
{
	struct conn *c = arg;

	if (info->n_added > 0 && c->state != CONN_WRITING && c->state != CONN_STREAMING && !c->foreign.queued)
		loop_later(c->h->loop, &c->foreign, on_foreign, c);
}

/* ---- the end of one ---- */

/* Unlinked by the caller. */
static void
conn_free(struct conn *c)
{
	struct httpd *h = c->h;

	if (c->req != NULL) /* its peer is gone */
		httpd_forget(c->req);
	if (c->stream != NULL)
		httpd_stream_lost(c->stream);
	if (c->fd >= 0 && h->by_fd[c->fd] == c)
		h->by_fd[c->fd] = NULL;
	loop_later_cancel(h->loop, &c->foreign);
	loop_later_cancel(h->loop, &c->send);
	bufferevent_setcb(c->bev, NULL, NULL, NULL, NULL);
	evbuffer_remove_cb(bufferevent_get_input(c->bev), on_input, c);
	evbuffer_remove_cb(bufferevent_get_output(c->bev), on_output, c);
	bufferevent_decref(c->bev);
	h->n_conns--;
	free(c);
}

static bool
is_over(const struct conn *c)
{
	int64_t lingers_ms = c->h->full ? LINGER_FULL_MS : LINGER_MS;

	/* Its peer has hung up: then it is not read any more. */
	if (c->over || (bufferevent_get_enabled(c->bev) & EV_READ) == 0)
		return true;
	return loop_now_ms(c->h->loop) - c->ended_ms >= lingers_ms;
}

void
conns_reap(struct httpd *h, bool at_once)
{
	struct conn **at = &h->conns, *c;

	while ((c = *at) != NULL) {
		bool alive = conn_is_alive(c);

		if (!alive && c->ended_ms == 0)
			linger(c);
		if (alive || !(at_once || is_over(c))) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		conn_free(c);
	}
}

void
conns_free(struct httpd *h)
{
	struct conn *c;

	while ((c = h->conns) != NULL) {
		h->conns = c->next;
		conn_free(c);
	}
	free(h->by_fd);
	h->by_fd = NULL;
}

/* ---- limits ---- */

static void
check_full(struct httpd *h)
{
	bool was = h->full;

	h->full = h->n_conns >= h->limits.connections;
	if (h->full == was)
		return;
	if (h->full && httpd_may_say(h, &h->full_said_ms))
		log_warnx("http", "%zu connections at once: further ones wait until one ends (who keeps them open?)", h->n_conns);
	listeners_update(h);
}

static void
sweep_soon(struct httpd *h)
{
	loop_timer_start(&h->sweep, h->full && FULL_MS < h->limits.sweep_ms ? FULL_MS : h->limits.sweep_ms);
}

void
conns_sweep(void *arg)
{
	struct httpd *h = arg;
	int64_t now = loop_now_ms(h->loop);
	struct conn *c;

	httpd_end_late(h, now);
	for (c = h->conns; c != NULL; c = c->next)
		if ((c->state == CONN_READING || c->state == CONN_WRITING) && now - c->since_ms >= h->limits.request_ms && conn_is_alive(c))
			conn_drop(c);
	conns_reap(h, false);
	check_full(h);
	if (h->conns != NULL || h->reqs != NULL)
		sweep_soon(h);
}

struct bufferevent *
conn_new(struct httpd *h)
{
	struct bufferevent *bev = loop_bufferevent(h->loop, -1);
	struct conn *c;

	if (bev == NULL)
		return NULL;
	if (h->n_conns + 1 >= h->limits.connections) /* before the new one is there, which has no callback yet either */
		conns_reap(h, true);
	c = xcalloc(1, sizeof *c);
	c->h = h;
	c->bev = bev;
	c->fd = -1;
	c->next = h->conns;
	conn_is(c, CONN_IDLE);
	h->conns = c;
	h->n_conns++;
	bufferevent_incref(bev);
	evbuffer_add_cb(bufferevent_get_input(bev), on_input, c);
	evbuffer_add_cb(bufferevent_get_output(bev), on_output, c);
	check_full(h);
	if (h->full || !loop_timer_armed(&h->sweep))
		sweep_soon(h);
	return bev;
}
