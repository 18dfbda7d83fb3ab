/*
 * http: one request at a time over a link, and the answer by response.c. libevent's own client speaks to no unix socket in
 * 2.1, has its own mind about retries, and keeps what TLS said to itself; so this is written on bufferevents.
 *
 * A request goes through the same steps each time, of which those that are done already are left out (proceed()): the token, the
 * connection, the request itself. It ends through the later-queue, where no frame of libevent is below the caller's callback. A
 * connection that failed is not used again.
 */
#include "consul/http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "link.h"
#include "response.h"
#include "token.h"
#include "url.h"

#define WHY_BODY 160    /* so much of an error's text is shown */
#define IDLE_MS 120000  /* a connection that is not used is kept so long */

enum http_state { HTTP_IDLE, HTTP_READING, HTTP_CONNECTING, HTTP_ASKING, HTTP_ENDED };

struct http {
	struct loop *loop;
	struct url url;
	char *user;
	struct token *token; /* or the password of `user`; NULL: none configured */
	struct link *link;
	struct loop_timer timer; /* the deadline; of an idle connection */
	struct loop_later later;
	enum http_state state;
	/* the request under way */
	enum http_method method;
	char *path;
	char *header; /* may be a secret */
	void *body;
	size_t body_len;
	int64_t timeout_ms;
	size_t max_body;
	http_cb *cb;
	void *arg;
	bool has_token;  /* it was looked at for this request */
	bool refused;    /* the answer is a 401 or 403: is there another token? */
	bool hides_text; /* that answer repeats the token */
	struct response reply;
	int err;
	char why[256];   /* of err, when whoever set it knows more */
	/* in the callback */
	const struct response *said;
};

static void on_ended(void *arg);
static void proceed(struct http *h);

int
http_url_check(const char *url, char *why, size_t size)
{
	struct url u;

	return url_parse(&u, url, false, why, size);
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

/* The first line of an error's text, as far as it can be printed. */
static void
add_line(char *out, size_t size, const char *body, size_t len)
{
	size_t i, n = strlen(out);

	for (i = 0; i < len && i < WHY_BODY && n + 1 < size && body[i] != '\n' && body[i] != '\r'; i++)
		out[n++] = body[i] >= ' ' && body[i] < 127 ? body[i] : '?';
	out[n] = '\0';
}

/* Some servers say in an error what they were asked. */
static bool
has_secret(const struct http *h, const char *body, size_t len)
{
	const char *secret = h->token != NULL ? token_text(h->token) : NULL;

	return secret != NULL && len > 0 && memmem(body, len, secret, strlen(secret)) != NULL;
}

static void
explain_status(const struct http *h, struct http_answer *a)
{
	if (a->status >= 200 && a->status <= 299)
		return;
	snprintf(a->why, sizeof a->why, "HTTP %d%s", a->status, a->body_len > 0 ? ": " : "");
	if (h->hides_text || has_secret(h, a->body, a->body_len))
		snprintf(a->why, sizeof a->why, "HTTP %d: with a text that repeats our secret", a->status);
	else
		add_line(a->why, sizeof a->why, a->body, a->body_len);
}

static void
explain(const struct http *h, struct http_answer *a)
{
	const char *where = h->url.where;
	char text[32];

	switch (a->err) {
	case 0:
		explain_status(h, a);
		break;
	case -ECONNRESET:
		snprintf(a->why, sizeof a->why, "%s closed the connection before it had answered", where);
		break;
	case -ETIMEDOUT:
		text_format_duration(h->timeout_ms, text, sizeof text);
		snprintf(a->why, sizeof a->why, "no whole answer of %s within %s", where, text);
		break;
	case -EMSGSIZE:
		snprintf(a->why, sizeof a->why, "the answer of %s is longer than %zu bytes, or its header than %u", where,
		    h->max_body, RESPONSE_HEAD_MAX);
		break;
	case -EBADMSG:
		snprintf(a->why, sizeof a->why, "what %s answers is no HTTP", where);
		break;
	case -ENOMEM:
		snprintf(a->why, sizeof a->why, "out of memory");
		break;
	default: /* link.c's, and the token's file */
		snprintf(a->why, sizeof a->why, "%s", h->why);
		break;
	}
}

/* Bytes beyond the answer would be taken for the answer to the next question. */
static bool
is_reusable(const struct http *h)
{
	struct bufferevent *bev = link_bufferevent(h->link);

	return bev != NULL && h->err == 0 && h->reply.keep && evbuffer_get_length(bufferevent_get_input(bev)) == 0;
}

static void
forget_request(struct http *h)
{
	if (h->header != NULL)
		explicit_bzero(h->header, strlen(h->header));
	free(h->header);
	free(h->path);
	free(h->body);
	h->header = NULL;
	h->path = NULL;
	h->body = NULL;
}

/* From the later-queue. The callback may ask anew and may free us. */
static void
on_ended(void *arg)
{
	struct http *h = arg;
	struct http_answer a = { .err = h->err };
	struct response reply = h->reply;

	loop_timer_stop(&h->timer);
	if (is_reusable(h))
		loop_timer_start(&h->timer, IDLE_MS);
	else
		link_close(h->link);
	if (a.err == 0) {
		a.status = reply.status;
		a.body = reply.body != NULL ? reply.body : "";
		a.body_len = reply.body_len;
	}
	explain(h, &a);
	memset(&h->reply, 0, sizeof h->reply);
	forget_request(h);
	h->state = HTTP_IDLE;
	h->said = a.err == 0 ? &reply : NULL;
	h->cb(h->arg, &a);
	h->said = NULL; /* freed or not: its memory stays for as long as we are on the stack */
	response_clear(&reply);
}

const char *
http_header(const struct http *h, const char *name)
{
	return h->said != NULL ? response_header(h->said, name) : NULL;
}

static void
on_timer(void *arg)
{
	struct http *h = arg;

	if (h->state == HTTP_IDLE)
		link_close(h->link);
	else
		end(h, -ETIMEDOUT);
}

/* ---- the answer ---- */

static void
ask_token(struct http *h, bool doubtful)
{
	h->state = HTTP_READING;
	token_get(h->token, doubtful);
}

/* A token may have been replaced since its file was read: one look more, and only once. */
static void
on_reply(struct http *h)
{
	if ((h->reply.status == 401 || h->reply.status == 403) && h->token != NULL && !h->refused) {
		h->refused = true;
		h->hides_text = has_secret(h, h->reply.body, h->reply.body_len);
		if (!is_reusable(h))
			link_close(h->link);
		ask_token(h, true);
	} else {
		end(h, 0);
	}
}

/* What has come in, as far as it belongs to the answer. */
static void
take_input(struct http *h, struct bufferevent *bev)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t len, used;
	int rc = 0;

	while (rc == 0 && (len = evbuffer_get_contiguous_space(in)) > 0) {
		rc = response_take(&h->reply, (const char *)evbuffer_pullup(in, (ev_ssize_t)len), len, &used);
		evbuffer_drain(in, used);
	}
	if (rc < 0)
		end(h, rc);
	else if (rc > 0)
		on_reply(h);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct http *h = arg;

	if (h->state == HTTP_ASKING)
		take_input(h, bev);
	else if (h->state != HTTP_ENDED) /* nobody had asked; when it has ended, on_ended() looks for more */
		link_close(h->link);
}

/* It is over with the connection; what had come before counts. */
static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct http *h = arg;
	int rc;

	if (h->state == HTTP_ASKING) {
		take_input(h, bev);
		if (h->state == HTTP_ASKING) {
			rc = what & BEV_EVENT_EOF ? response_end(&h->reply) : -ECONNRESET;
			if (rc < 0)
				link_error(h->link, h->why, sizeof h->why);
			if (rc > 0)
				on_reply(h);
			else
				end(h, h->why[0] != '\0' ? -EPROTO : rc);
		}
	}
	h->reply.keep = false;
	if (h->state != HTTP_ENDED)
		link_close(h->link);
}

/* ---- asking ---- */

static void
wipe(const void *data, size_t len, void *arg)
{
	explicit_bzero(arg, len);
	free(arg);
}

static void
add_base64(struct buf *b, const char *text, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t i, k;

	for (i = 0; i < len; i += 3) {
		uint32_t v = 0;

		for (k = 0; k < 3; k++)
			v = v << 8 | (i + k < len ? (unsigned char)text[i + k] : 0);
		for (k = 0; k < 4; k++)
			buf_add(b, i + k > len ? "=" : &digits[v >> (18 - 6 * k) & 63], 1);
	}
}

/* The head's last line, so that nothing that is added moves it to another place in memory. */
static void
add_secret(const struct http *h, struct buf *b)
{
	const char *secret = token_text(h->token);
	struct buf both = { 0 };

	if (h->user == NULL) {
		buf_printf(b, "X-Consul-Token: %s\r\n\r\n", secret);
		return;
	}
	buf_printf(&both, "%s:%s", h->user, secret);
	buf_puts(b, "Authorization: Basic ");
	add_base64(b, both.s, both.len);
	buf_puts(b, "\r\n\r\n");
	explicit_bzero(both.s, both.len);
	buf_free(&both);
}

static void
add_head(const struct http *h, struct buf *b)
{
	static const char *const methods[] = { [HTTP_GET] = "GET", [HTTP_PUT] = "PUT", [HTTP_POST] = "POST" };

	buf_printf(b, "%s %s%s HTTP/1.1\r\nHost: %s\r\n", methods[h->method], h->url.prefix, h->path, h->url.host);
	if (h->method == HTTP_POST)
		buf_puts(b, "Content-Type: application/json\r\n");
	if (h->method != HTTP_GET)
		buf_printf(b, "Content-Length: %zu\r\n", h->body_len);
	if (h->header != NULL)
		buf_printf(b, "%s\r\n", h->header);
	if (h->token != NULL)
		add_secret(h, b);
	else
		buf_puts(b, "\r\n");
}

/* In one piece: with TLS, writing may meet the end of the connection, and on_event() then runs in here. */
static void
send_request(struct http *h, struct bufferevent *bev)
{
	struct evbuffer *out = evbuffer_new();
	struct buf head = { 0 };
	int rc;

	if (out == NULL) {
		end(h, -ENOMEM);
		return;
	}
	add_head(h, &head);
	rc = evbuffer_add_reference(out, head.s, head.len, wipe, head.s);
	if (rc != 0)
		wipe(NULL, head.len, head.s);
	if (rc == 0 && h->body_len > 0)
		rc = evbuffer_add(out, h->body, h->body_len);
	response_clear(&h->reply);
	response_init(&h->reply, h->max_body);
	h->state = HTTP_ASKING;
	if (rc == 0)
		rc = bufferevent_write_buffer(bev, out);
	evbuffer_free(out);
	if (rc != 0)
		end(h, -ENOMEM);
}

/* What is missing yet. */
static void
proceed(struct http *h)
{
	struct bufferevent *bev = link_bufferevent(h->link);

	if (h->token != NULL && !h->has_token) {
		ask_token(h, false);
	} else if (bev == NULL) {
		h->state = HTTP_CONNECTING;
		link_open(h->link);
	} else {
		send_request(h, bev);
	}
}

static void
on_token(void *arg, int err, const char *text, bool is_new)
{
	struct http *h = arg;

	if (h->state != HTTP_READING)
		return;
	if (h->refused && (err != 0 || !is_new)) {
		end(h, 0); /* the answer is what it was */
	} else if (err != 0) {
		snprintf(h->why, sizeof h->why, "cannot use the %s of %.140s: %s", h->user ? "password" : "token",
		    token_path(h->token), err != -EINVAL ? strerror(-err) : h->user ? "it holds no password (one word)" :
		    "it holds no token (one word)");
		end(h, err);
	} else {
		h->has_token = true;
		proceed(h);
	}
}

static void
on_link(void *arg, int err, const char *why)
{
	struct http *h = arg;
	struct bufferevent *bev = link_bufferevent(h->link);

	if (h->state != HTTP_CONNECTING)
		return;
	if (err != 0) {
		snprintf(h->why, sizeof h->why, "%s", why);
		end(h, err);
		return;
	}
	bufferevent_setcb(bev, on_read, NULL, on_event, h);
	if (bufferevent_enable(bev, EV_READ | EV_WRITE) != 0)
		end(h, -ENOMEM);
	else
		proceed(h);
}

int
http_ask(struct http *h, const struct http_request *r, http_cb *cb, void *arg)
{
	if (h->state != HTTP_IDLE)
		return -EBUSY;
	h->method = r->method;
	h->path = xstrdup(r->path);
	h->header = xstrdup(r->header);
	h->body_len = r->body_len;
	if (r->body_len > 0) {
		h->body = xcalloc(1, r->body_len);
		memcpy(h->body, r->body, r->body_len);
	}
	h->timeout_ms = r->timeout_ms;
	h->max_body = r->max_body;
	h->cb = cb;
	h->arg = arg;
	h->err = 0;
	h->why[0] = '\0';
	h->has_token = h->refused = h->hides_text = false;
	loop_timer_start(&h->timer, r->timeout_ms);
	proceed(h);
	return 0;
}

void
http_cancel(struct http *h)
{
	if (h->state == HTTP_IDLE)
		return; /* also in the callback */
	if (h->token != NULL)
		token_forget(h->token);
	loop_timer_stop(&h->timer);
	loop_later_cancel(h->loop, &h->later);
	link_close(h->link);
	response_clear(&h->reply);
	forget_request(h);
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

static int
new_of(struct http **out, struct loop *loop, struct worker *worker, const struct http_peer *peer, bool may_have_prefix)
{
	const char *secret_file = peer->user ? peer->password_file : peer->token_file;
	char why[128];
	struct http *h;
	struct url url;
	int err = url_parse(&url, peer->url, may_have_prefix, why, sizeof why);

	if (err != 0)
		return err;
	event_set_log_callback(on_libevent_says); /* what a peer sends is no reason for lines on stderr */
	h = xcalloc(1, sizeof *h);
	h->loop = loop;
	h->url = url;
	h->user = xstrdup(peer->user);
	if (secret_file != NULL)
		h->token = token_new(worker, secret_file, on_token, h);
	h->link = link_new(loop, worker, &url, &peer->tls, peer->what, on_link, h);
	loop_timer_init(&h->timer, loop, on_timer, h);
	*out = h;
	return 0;
}

int
http_new_peer(struct http **out, struct loop *loop, struct worker *worker, const struct http_peer *peer)
{
	return new_of(out, loop, worker, peer, true);
}

int
http_new(struct http **out, struct loop *loop, struct worker *worker, const struct conf *conf)
{
	struct http_peer agent = { .url = conf->http, .what = "a Consul agent", .token_file = conf->token_file,
		.tls = { .ca_file = conf->ca_file, .cert_file = conf->cert_file, .key_file = conf->key_file,
		    .server_name = conf->server_name, .verify = conf->verify } };

	return new_of(out, loop, worker, &agent, false);
}

void
http_free(struct http *h)
{
	if (h == NULL)
		return;
	http_cancel(h);
	link_free(h->link);
	token_free(h->token);
	loop_timer_fini(&h->timer);
	free(h->user);
	h->link = NULL;
	h->token = NULL;
	h->user = NULL;
	loop_free_later(h->loop, h); /* its callback may be on the stack */
}
