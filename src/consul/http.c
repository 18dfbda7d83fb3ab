/*
 * http: libevent's client has its own mind about retries, time-outs and who frees what (and changes it on its error
 * paths). So: requests are ours (evhttp_request_own), one at a time; its callbacks only note how it ended; everything
 * is freed, and the caller's callback runs, from the later-queue, where no frame of libevent's HTTP is below us. A
 * connection that failed is not used again.
 */
#include "consul/http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "token.h"
#include "topology/addr.h"

#define HEADERS_MAX (16u << 10) /* of an answer, in bytes */
#define WHY_BODY 160            /* so much of an error's text is shown */
#define IDLE_S 120              /* a connection that is not used is kept so long */

enum http_state { HTTP_IDLE, HTTP_TOKEN, HTTP_ASKING, HTTP_ENDED };

struct http {
	struct loop *loop;
	char host[TOPO_ADDR_TEXT]; /* "127.0.0.1:8500", "[::1]:8500" */
	char ip[TOPO_ADDR_TEXT];
	uint16_t port;
	struct token *token; /* NULL: none configured */
	struct evhttp_connection *conn;
	struct loop_timer timer; /* the deadline */
	struct loop_later later;
	enum http_state state;
	/* the request under way */
	struct evhttp_request *req;
	enum http_method method;
	char *path;
	int64_t timeout_ms;
	size_t max_body;
	http_cb *cb;
	void *arg;
	int err;
	int fault; /* what libevent says went wrong; -1: nothing */
	int fault_errno;
};

static void on_ended(void *arg);

/* ---- addresses and text ---- */

static int
parse_url(const char *url, struct topo_addr *addr)
{
	if (strncmp(url, "http://", 7) != 0 || topo_addr_parse(url + 7, addr) != 0 || addr->port == 0)
		return -EINVAL;
	return 0;
}

int
http_url_check(const char *url, char *why, size_t size)
{
	struct topo_addr addr;

	if (parse_url(url, &addr) == 0)
		return 0;
	if (strncmp(url, "https://", 8) == 0 || strncmp(url, "unix:", 5) == 0)
		snprintf(why, size, "c4d speaks plain HTTP only, so far: write http://IP:PORT");
	else
		snprintf(why, size, "must be http://IP:PORT, with an address in digits");
	return -EINVAL;
}

void
http_add_escaped(struct buf *b, const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	for (; *text; text++) {
		if (strchr(plain, *text) != NULL)
			buf_add(b, text, 1);
		else
			buf_printf(b, "%%%02X", (unsigned)(unsigned char)*text);
	}
}

/* ---- how it ended ---- */

static void
end(struct http *h, int err)
{
	if (h->state == HTTP_ENDED)
		return;
	h->state = HTTP_ENDED;
	h->err = err;
	loop_later(h->loop, &h->later, on_ended, h);
}

static void
drop_connection(struct http *h)
{
	if (h->conn != NULL)
		evhttp_connection_free(h->conn);
	h->conn = NULL;
}

/* libevent says no more of a connection that it could not make. */
static bool
is_unreachable(int e)
{
	static const int errs[] = { ENETUNREACH, EHOSTUNREACH, EHOSTDOWN, EADDRNOTAVAIL, EACCES, EPERM, ETIMEDOUT };
	size_t i;

	for (i = 0; i < NELEM(errs); i++)
		if (e == errs[i])
			return true;
	return false;
}

static int
fault_error(int fault, int fault_errno)
{
	switch (fault) {
	case EVREQ_HTTP_TIMEOUT:
		return -ETIMEDOUT;
	case EVREQ_HTTP_INVALID_HEADER:
		return -EBADMSG;
	case EVREQ_HTTP_DATA_TOO_LONG: /* also a chunk that is none */
		return -EMSGSIZE;
	default:
		return is_unreachable(fault_errno) ? -ECONNREFUSED : -ECONNRESET;
	}
}

/* Below libevent's HTTP: touches nothing but its notes. */
static void
on_fault(enum evhttp_request_error fault, void *arg)
{
	struct http *h = arg;

	h->fault = (int)fault;
	h->fault_errno = errno;
}

/* Also below it. NULL: it failed on the way; a request without a status: there was no connection. */
static void
on_request(struct evhttp_request *req, void *arg)
{
	struct http *h = arg;

	if (h->fault >= 0 || req == NULL)
		end(h, fault_error(h->fault, h->fault_errno));
	else if (evhttp_request_get_response_code(req) == 0)
		end(h, -ECONNREFUSED);
	else
		end(h, 0);
}

static void
on_deadline(void *arg)
{
	struct http *h = arg;

	end(h, -ETIMEDOUT);
}

/* The first line of an error's text, as far as it can be printed. */
static void
add_line(char *out, size_t size, const char *body, size_t len)
{
	size_t i, n = strlen(out);

	for (i = 0; i < len && i < WHY_BODY && n + 1 < size && body[i] != '\n' && body[i] != '\r'; i++)
		out[n++] = body[i] >= ' ' && body[i] < 127 ? body[i] : '?';
	out[n] = '\0';
}

static void
explain(const struct http *h, struct http_answer *a)
{
	char text[32];

	switch (a->err) {
	case 0:
		if (a->status < 200 || a->status > 299) {
			snprintf(a->why, sizeof a->why, "HTTP %d%s", a->status, a->body_len > 0 ? ": " : "");
			add_line(a->why, sizeof a->why, a->body, a->body_len);
		}
		break;
	case -ECONNREFUSED:
		snprintf(a->why, sizeof a->why, "cannot connect to %s: is that the HTTP port of a Consul agent that runs?", h->host);
		break;
	case -ECONNRESET:
		snprintf(a->why, sizeof a->why, "%s closed the connection before it had answered", h->host);
		break;
	case -ETIMEDOUT:
		text_format_duration(h->timeout_ms, text, sizeof text);
		snprintf(a->why, sizeof a->why, "no whole answer of %s within %s", h->host, text);
		break;
	case -EMSGSIZE:
		snprintf(a->why, sizeof a->why, "the answer of %s is longer than %zu bytes, or garbled", h->host, h->max_body);
		break;
	case -EBADMSG:
		snprintf(a->why, sizeof a->why, "what %s answers is no HTTP", h->host);
		break;
	case -ENOMEM:
		snprintf(a->why, sizeof a->why, "out of memory");
		break;
	default: /* the token's file */
		snprintf(a->why, sizeof a->why, "cannot use the token of consul.token_file %.120s: %s",
		    h->token != NULL ? token_path(h->token) : "?",
		    a->err == -EINVAL ? "it holds no token (one word)" : strerror(-a->err));
		break;
	}
}

static void
read_answer(struct http *h, struct http_answer *a)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(h->req);

	a->body = "";
	if (evbuffer_add(in, "", 1) != 0) { /* the NUL */
		a->err = -ENOMEM;
		return;
	}
	a->status = evhttp_request_get_response_code(h->req);
	a->body_len = evbuffer_get_length(in) - 1;
	a->body = (const char *)evbuffer_pullup(in, -1);
}

/* Bytes beyond the answer: what comes next would be taken for the answer to the next question. */
static bool
has_leftover(const struct http *h)
{
	return evbuffer_get_length(bufferevent_get_input(evhttp_connection_get_bufferevent(h->conn))) > 0;
}

/* From the later-queue. The callback may ask anew and may free us: after it only `req` is ours. */
static void
on_ended(void *arg)
{
	struct http *h = arg;
	struct http_answer a = { .err = h->err };
	struct evhttp_request *req;

	loop_timer_stop(&h->timer);
	if (h->err != 0 || has_leftover(h))
		drop_connection(h);
	if (a.err == 0)
		read_answer(h, &a);
	explain(h, &a);
	req = h->req;
	h->state = HTTP_IDLE;
	h->cb(h->arg, &a);
	if (h->req == req)
		h->req = NULL;
	if (req != NULL)
		evhttp_request_free(req);
}

const char *
http_header(const struct http *h, const char *name)
{
	return h->req != NULL ? evhttp_find_header(evhttp_request_get_input_headers(h->req), name) : NULL;
}

/* ---- asking ---- */

static int
connection(struct http *h)
{
	struct bufferevent *bev;
	/* libevent's own limit, of silence: never sooner than our deadline */
	struct timeval tv = { .tv_sec = (time_t)(h->timeout_ms / 1000) + IDLE_S };

	if (h->conn == NULL) {
		bev = loop_bufferevent(h->loop, -1);
		if (bev == NULL)
			return -ENOMEM;
		h->conn = evhttp_connection_base_bufferevent_new(bufferevent_get_base(bev), NULL, bev, h->ip, h->port);
		if (h->conn == NULL) {
			bufferevent_free(bev);
			return -ENOMEM;
		}
		evhttp_connection_set_retries(h->conn, 0);
		evhttp_connection_set_max_headers_size(h->conn, HEADERS_MAX);
	}
	evhttp_connection_set_timeout_tv(h->conn, &tv);
	evhttp_connection_set_max_body_size(h->conn, (ev_ssize_t)h->max_body);
	return 0;
}

static void
send_request(struct http *h, const char *token)
{
	static const enum evhttp_cmd_type methods[] = { [HTTP_GET] = EVHTTP_REQ_GET, [HTTP_PUT] = EVHTTP_REQ_PUT };
	struct evkeyvalq *headers = evhttp_request_get_output_headers(h->req);
	int err = connection(h);

	if (err == 0 && (evhttp_add_header(headers, "Host", h->host) != 0 ||
	    (token != NULL && evhttp_add_header(headers, "X-Consul-Token", token) != 0)))
		err = -ENOMEM;
	if (err != 0) {
		end(h, err);
		return;
	}
	h->state = HTTP_ASKING;
	/* It may end, and call back, before this returns. */
	if (evhttp_make_request(h->conn, h->req, methods[h->method], h->path) != 0)
		end(h, -ECONNREFUSED);
}

static void
on_token(void *arg, int err, const char *text)
{
	struct http *h = arg;

	if (h->state != HTTP_TOKEN)
		return;
	if (err != 0)
		end(h, err);
	else
		send_request(h, text);
}

static struct evhttp_request *
make_request(struct http *h, const struct http_request *r)
{
	struct evhttp_request *req = evhttp_request_new(on_request, h);

	if (req == NULL)
		return NULL;
	evhttp_request_own(req);
	evhttp_request_set_error_cb(req, on_fault);
	if (r->body_len > 0 && evbuffer_add(evhttp_request_get_output_buffer(req), r->body, r->body_len) != 0) {
		evhttp_request_free(req);
		return NULL;
	}
	return req;
}

int
http_ask(struct http *h, const struct http_request *r, http_cb *cb, void *arg)
{
	if (h->state != HTTP_IDLE)
		return -EBUSY;
	h->method = r->method;
	free(h->path);
	h->path = xstrdup(r->path);
	h->timeout_ms = r->timeout_ms;
	h->max_body = r->max_body;
	h->cb = cb;
	h->arg = arg;
	h->err = 0;
	h->fault = -1;
	h->state = HTTP_TOKEN;
	loop_timer_start(&h->timer, r->timeout_ms);
	h->req = make_request(h, r);
	if (h->req == NULL)
		end(h, -ENOMEM);
	else if (h->token != NULL)
		token_read(h->token);
	else
		send_request(h, NULL);
	return 0;
}

void
http_cancel(struct http *h)
{
	if (h->state == HTTP_IDLE)
		return; /* also in the callback: its request is freed when it returns */
	if (h->token != NULL)
		token_forget(h->token);
	loop_timer_stop(&h->timer);
	loop_later_cancel(h->loop, &h->later);
	drop_connection(h);
	if (h->req != NULL)
		evhttp_request_free(h->req);
	h->req = NULL;
	h->state = HTTP_IDLE;
}

bool
http_busy(const struct http *h)
{
	return h->state != HTTP_IDLE;
}

/* ---- life ---- */

static void
on_libevent_says(int severity, const char *msg)
{
	log_debug("http", "libevent: %s", msg);
}

int
http_new(struct http **out, struct loop *loop, struct worker *worker, const char *url, const char *token_file)
{
	struct topo_addr addr;
	struct http *h;
	int err = parse_url(url, &addr);

	if (err != 0)
		return err;
	event_set_log_callback(on_libevent_says); /* what a peer sends is no reason for lines on stderr */
	h = xcalloc(1, sizeof *h);
	h->loop = loop;
	topo_addr_format(&addr, h->host);
	topo_addr_format_ip(&addr, h->ip);
	h->port = addr.port;
	if (token_file != NULL)
		h->token = token_new(worker, token_file, on_token, h);
	loop_timer_init(&h->timer, loop, on_deadline, h);
	*out = h;
	return 0;
}

void
http_free(struct http *h)
{
	if (h == NULL)
		return;
	http_cancel(h);
	drop_connection(h);
	token_free(h->token);
	loop_timer_fini(&h->timer);
	free(h->path);
	h->token = NULL;
	h->path = NULL;
	loop_free_later(h->loop, h); /* its callback may be on the stack */
}
