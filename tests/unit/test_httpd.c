/*
 * http/httpd: the server, with clients in the same loop that ask, lie, dribble, stall and never read. Every wait is for a
 * condition, with one guard that fails the test.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/text.h"
#include "http/httpd.h"
#include "http/query.h"
#include "text_fx.h"

#define GUARD_MS 20000
#define BIG (6u << 20)
#define BODY_MAX 100000
#define CLIENTS 32

struct client {
	struct env *env;
	struct loop_io io;
	int fd; /* -1: not connected */
	bool ended;
	struct buf in;
};

struct env {
	struct loop *loop;
	struct httpd *httpd;
	struct conf conf;
	char *listen[4];
	uint16_t port;
	struct client clients[CLIENTS];
	struct httpd_req *later[8]; /* of /later: not answered yet */
	size_t n_later;
	unsigned asked;
	struct httpd_stream *streams[8]; /* of /stream: NULL: gone */
	size_t n_streams;
	unsigned gone;
	/* waiting */
	struct loop_timer poll, guard;
	/* log lines that hold `watched` */
	const char *watched;
	unsigned said;
};

/* ---- routes ---- */

static void
get_status(struct httpd_req *r, void *arg)
{
	((struct env *)arg)->asked++;
	httpd_reply(r, 204, NULL, NULL, 0);
}

static const char *
or_none(const char *s)
{
	return s ? s : "(none)";
}

static void
get_echo(struct httpd_req *r, void *arg)
{
	httpd_reply_text(r, 200, "%s a=%s b=%s x=%s|", httpd_path(r), or_none(httpd_query(r, "a")), or_none(httpd_query(r, "b")),
	    or_none(httpd_header(r, "x-word")));
}

static void
get_peer(struct httpd_req *r, void *arg)
{
	httpd_reply_text(r, 200, "%s", httpd_peer(r));
}

static void
get_json(struct httpd_req *r, void *arg)
{
	httpd_reply_json(r, 200, json_pack("{s:i}", "n", 7));
}

static void
get_later(struct httpd_req *r, void *arg)
{
	struct env *e = arg;

	assert_true(e->n_later < NELEM(e->later));
	e->later[e->n_later++] = r;
}

static void
get_big(struct httpd_req *r, void *arg)
{
	char *body = malloc(BIG);

	assert_non_null(body);
	memset(body, 'b', BIG);
	httpd_reply(r, 200, "text/plain", body, BIG);
	free(body);
}

static void
post_body(struct httpd_req *r, void *arg)
{
	const char *body, *p;
	unsigned long sum = 0;
	size_t len;

	body = httpd_body(r, &len);
	assert_int_equal(body[len], 0);
	for (p = body; p < body + len; p++)
		sum += (unsigned char)*p;
	httpd_reply_text(r, 200, "len=%zu sum=%lu|", len, sum);
}

static void
any_item(struct httpd_req *r, void *arg)
{
	httpd_reply_text(r, 200, "%s id=%s|", httpd_path(r), or_none(httpd_id(r)));
}

static void
put_item(struct httpd_req *r, void *arg)
{
	size_t len;
	const char *body = httpd_body(r, &len);

	httpd_reply_text(r, 200, "put id=%s body=%s|", or_none(httpd_id(r)), body);
}

static void
get_fixed(struct httpd_req *r, void *arg)
{
	httpd_reply_text(r, 200, "fixed id=%s|", or_none(httpd_id(r)));
}

static void
get_ip(struct httpd_req *r, void *arg)
{
	const struct topo_addr *a = httpd_peer_addr(r);

	httpd_reply_text(r, 200, "family=%u ip=%u.%u port=%u|", a->family, a->ip[0], a->ip[3], a->port);
}

static struct buf hot; /* one for all answers, as a busy handler has it */

static void
post_hot(struct httpd_req *r, void *arg)
{
	buf_printf(&hot, "{\"n\":%u}", ++((struct env *)arg)->asked);
	httpd_reply_header(r, "X-Hot", "yes");
	httpd_reply_header(r, "X-Split", "a\r\nX-Evil: b");
	httpd_reply_buf(r, 201, &hot);
	assert_int_equal(hot.len, 0);
}

static void
get_later_with_header(struct httpd_req *r, void *arg)
{
	httpd_reply_header(r, "Retry-After", "7");
	get_later(r, arg);
}

static void
on_stream_gone(void *arg)
{
	struct env *e = arg;

	e->gone++;
}

static void
stream(struct env *e, struct httpd_req *r)
{
	struct httpd_stream *s;

	httpd_reply_header(r, "X-Word", "w");
	s = httpd_stream_new(r, "text/event-stream", on_stream_gone, e);
	assert_true(e->n_streams < NELEM(e->streams));
	if (s != NULL)
		e->streams[e->n_streams++] = s;
}

static void
get_stream(struct httpd_req *r, void *arg)
{
	struct env *e = arg;

	e->asked++;
	stream(e, r);
}

static const struct httpd_route routes[] = {
	{ HTTPD_GET, "/stream", 0, get_stream },
	{ HTTPD_GET, "/items", 0, any_item },
	{ HTTPD_POST, "/items", 100, any_item },
	{ HTTPD_GET, "/items/{id}", 0, any_item },
	{ HTTPD_PUT, "/items/{id}", 100, put_item },
	{ HTTPD_DELETE, "/items/{id}", 0, any_item },
	{ HTTPD_GET, "/items/fixed", 0, get_fixed },
	{ HTTPD_GET, "/only/{id}", 0, any_item },
	{ HTTPD_GET, "/ip", 0, get_ip },
	{ HTTPD_POST, "/hot", 100, post_hot },
	{ HTTPD_GET, "/later_with_header", 0, get_later_with_header },
	{ HTTPD_GET, "/status", 0, get_status },
	{ HTTPD_GET, "/echo", 0, get_echo },
	{ HTTPD_GET, "/peer", 0, get_peer },
	{ HTTPD_GET, "/json", 0, get_json },
	{ HTTPD_GET, "/later", 0, get_later },
	{ HTTPD_GET, "/big", 0, get_big },
	{ HTTPD_POST, "/body", BODY_MAX, post_body },
	{ HTTPD_POST, "/small", 10, post_body },
	{ HTTPD_GET, "/both", 0, get_json },
	{ HTTPD_POST, "/both", 10, post_body },
	HTTPD_END,
};

/* ---- clients ---- */

static void
on_client(void *arg, int fd, int what)
{
	struct client *c = arg;
	char chunk[65536];
	ssize_t n;

	while ((n = recv(fd, chunk, sizeof chunk, MSG_DONTWAIT)) > 0)
		buf_add(&c->in, chunk, (size_t)n);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	c->ended = true;
	loop_io_want(&c->io, 0);
}

static struct client *
connect_to(struct env *e, uint16_t port, int rcvbuf)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct client *c = e->clients;

	while (c < e->clients + CLIENTS && c->fd >= 0)
		c++;
	assert_true(c < e->clients + CLIENTS);
	memset(c, 0, sizeof *c);
	c->env = e;
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(c->fd >= 0);
	if (rcvbuf > 0)
		assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf), 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&sin, sizeof sin), 0);
	loop_io_init(&c->io, e->loop, c->fd, on_client, c);
	if (rcvbuf == 0)
		loop_io_want(&c->io, LOOP_READ);
	return c;
}

static struct client *
client(struct env *e)
{
	return connect_to(e, e->port, 0);
}

static void
say_bytes(struct client *c, const char *data, size_t len)
{
	assert_int_equal(send(c->fd, data, len, MSG_NOSIGNAL), len);
}

static void
say(struct client *c, const char *text)
{
	say_bytes(c, text, strlen(text));
}

static void
hang_up(struct client *c)
{
	loop_io_fini(&c->io);
	close(c->fd);
	buf_free(&c->in);
	c->fd = -1;
}

static const char *
got(const struct client *c)
{
	return c->in.s ? c->in.s : "";
}

/* ---- waiting ---- */

static void
on_guard(void *arg)
{
	fail_msg("waited for too long");
}

static void
on_poll(void *arg)
{
	struct env *e = arg;

	loop_stop(e->loop);
}

/* The loop runs, once at least, until the condition holds. */
#define UNTIL(e, condition) \
	do { \
		loop_timer_start(&(e)->guard, GUARD_MS); \
		do { \
			loop_timer_start(&(e)->poll, 1); \
			assert_int_equal(loop_run((e)->loop), 0); \
		} while (!(condition)); \
		loop_timer_stop(&(e)->guard); \
	} while (0)

static struct httpd_view
view(struct env *e)
{
	struct httpd_view v;

	httpd_view(e->httpd, &v);
	return v;
}

static void
until_text(struct client *c, const char *text)
{
	UNTIL(c->env, strstr(got(c), text) != NULL);
}

static void
until_ended(struct client *c)
{
	UNTIL(c->env, c->ended);
}

static void
until_later(struct env *e, size_t n)
{
	UNTIL(e, e->n_later >= n);
}

static void
until_connections(struct env *e, size_t n)
{
	UNTIL(e, view(e).connections == n);
}

static void
pass(struct env *e, int64_t ms)
{
	int64_t end = loop_now_ms(e->loop) + ms;

	UNTIL(e, loop_now_ms(e->loop) >= end);
}

/* Whoever does not read, but sends without end, fills no more than the two sockets. */
static void
send_without_end(struct client *c)
{
	static char chunk[65536];
	size_t sent = 0, quiet = 0;
	ssize_t n;

	while (quiet < 20 && sent < (64u << 20)) {
		n = send(c->fd, chunk, sizeof chunk, MSG_NOSIGNAL | MSG_DONTWAIT);
		sent += n > 0 ? (size_t)n : 0;
		quiet = n > 0 ? 0 : quiet + 1;
		pass(c->env, 1);
	}
	assert_true(sent < (24u << 20));
}

/* One request on a connection of its own; its whole answer (the request must end the connection) is in the client. */
static struct client *
ask(struct env *e, const char *request)
{
	struct client *c = client(e);

	say(c, request);
	until_ended(c);
	return c;
}

static void
assert_answer(struct env *e, const char *request, const char *status, const char *text)
{
	struct client *c = ask(e, request);

	if (strncmp(got(c) + 9, status, 3) != 0 || strstr(got(c), text) == NULL)
		fail_msg("%s\nexpected %s with %s, got\n%s", request, status, text, got(c));
	hang_up(c);
}

/* An error of ours: JSON with a "detail", and nothing that tells of the server. */
static void
assert_error(struct env *e, const char *request, const char *status)
{
	struct client *c = ask(e, request);
	const char *body = strstr(got(c), "\r\n\r\n");
	json_t *o = body ? json_loads(body + 4, 0, NULL) : NULL;

	if (strncmp(got(c) + 9, status, 3) != 0 || json_string_value(json_object_get(o, "detail")) == NULL ||
	    strstr(got(c), "application/json") == NULL || strstr(got(c), "Server:") != NULL || strcasestr(got(c), "html") != NULL)
		fail_msg("%s\nexpected %s and an error in JSON, got\n%s", request, status, got(c));
	json_decref(o);
	hang_up(c);
}

/* ---- set-up ---- */

static void
on_log(void *arg, enum log_level level, const char *sub, const char *text)
{
	struct env *e = arg;

	if (e->watched != NULL && strstr(text, e->watched) != NULL)
		e->said++;
}

static void
listen_at(struct env *e, const char *one, const char *other)
{
	e->listen[0] = (char *)one;
	e->listen[1] = (char *)other;
	e->conf.listen.v = e->listen;
	e->conf.listen.n = one ? other ? 2 : 1 : 0;
}

static int
set_up(void **state)
{
	struct env *e = calloc(1, sizeof *e);
	size_t i;

	signal(SIGPIPE, SIG_IGN);
	assert_non_null(e);
	for (i = 0; i < CLIENTS; i++)
		e->clients[i].fd = -1;
	log_init(LOG_L_ERROR);
	log_hook(on_log, e);
	assert_int_equal(loop_new(&e->loop), 0);
	loop_timer_init(&e->poll, e->loop, on_poll, e);
	loop_timer_init(&e->guard, e->loop, on_guard, e);
	listen_at(e, "127.0.0.1:0", NULL);
	assert_int_equal(httpd_new(&e->httpd, e->loop, &e->conf, routes, e), 0);
	e->port = view(e).port;
	assert_int_not_equal(e->port, 0);
	*state = e;
	return 0;
}

static int
tear_down(void **state)
{
	struct env *e = *state;
	size_t i;

	httpd_free(e->httpd);
	for (i = 0; i < e->n_later; i++)
		httpd_reply(e->later[i], 200, NULL, NULL, 0);
	for (i = 0; i < CLIENTS; i++)
		if (e->clients[i].fd >= 0)
			hang_up(&e->clients[i]);
	log_unhook(on_log, e);
	loop_timer_fini(&e->poll);
	loop_timer_fini(&e->guard);
	loop_free(e->loop);
	free(e);
	return 0;
}

static void
limit(struct env *e, struct httpd_limits l)
{
	const struct httpd_limits *d = &httpd_limits_default;

	l.connections = l.connections ? l.connections : d->connections;
	l.idle_ms = l.idle_ms ? l.idle_ms : d->idle_ms;
	l.request_ms = l.request_ms ? l.request_ms : d->request_ms;
	l.deadline_ms = l.deadline_ms ? l.deadline_ms : d->deadline_ms;
	l.sweep_ms = l.sweep_ms ? l.sweep_ms : 50;
	httpd_set_limits(e->httpd, &l);
}

#define CLOSE "\r\nHost: h\r\nConnection: close\r\n\r\n"
#define GET(target) "GET " target " HTTP/1.1" CLOSE

/* ---- routes and methods ---- */

static void
routes_are_exact(void **state)
{
	struct env *e = *state;

	assert_answer(e, GET("/status"), "204", "\r\n\r\n");
	assert_answer(e, GET("/json"), "200", "\r\n\r\n{\"n\":7}");
	assert_answer(e, GET("/%73tatus"), "204", "");
	assert_answer(e, GET("/%65%63ho?a=1"), "200", "/echo a=1");
	assert_answer(e, GET("/status?"), "204", "");
	assert_answer(e, GET("/status#part"), "204", "");
	assert_error(e, GET("/status/"), "404");
	assert_error(e, GET("/status%2f"), "404");
	assert_error(e, GET("/Status"), "404");
	assert_error(e, GET("/"), "404");
	assert_error(e, GET("/statu"), "404");
	assert_error(e, GET("/x/../status"), "404");
	assert_error(e, GET("/status%00"), "400");
	assert_error(e, GET("/status%00/x"), "400");
	assert_int_equal(view(e).refused, 8);
	assert_int_equal(view(e).requests, 14);
}

static void
absolute_urls_are_refused(void **state)
{
	struct env *e = *state;

	assert_error(e, GET("http://h/status"), "400");
	assert_error(e, GET("http://other.example/status"), "400");
	assert_error(e, GET("//h/status"), "400");
	assert_error(e, "CONNECT h:80 HTTP/1.1" CLOSE, "400");
	assert_error(e, "OPTIONS * HTTP/1.1" CLOSE, "404");
}

static void
methods_have_routes(void **state)
{
	static const char *const others[] = { "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW", "get", "PROPFIND" };
	struct env *e = *state;
	char text[256];
	size_t i;

	for (i = 0; i < NELEM(others); i++) {
		snprintf(text, sizeof text, "%s /status HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", others[i]);
		assert_error(e, text, "405");
		assert_answer(e, text, "405", "Allow: GET, HEAD\r\n");
	}
	assert_answer(e, GET("/body"), "405", "Allow: POST\r\n");
	assert_answer(e, "PUT /both HTTP/1.1" CLOSE, "405", "Allow: GET, HEAD, POST\r\n");
	assert_answer(e, "DELETE /none HTTP/1.1" CLOSE, "404", "");
	assert_int_equal(e->asked, 0);
}

#define ASK(method, target) method " " target " HTTP/1.1" CLOSE

static void
ids_are_one_segment(void **state)
{
	struct env *e = *state;

	assert_answer(e, GET("/items/7"), "200", "/items/7 id=7|");
	assert_answer(e, GET("/items/a%20b%3a"), "200", "id=a b:|");
	assert_answer(e, GET("/items/7?x=/y"), "200", "id=7|");
	assert_answer(e, GET("/items/%7bid%7D"), "200", "id={id}|");
	assert_answer(e, GET("/items/fixed"), "200", "fixed id=(none)|");
	assert_answer(e, GET("/items/fixed2"), "200", "id=fixed2|");
	assert_answer(e, GET("/only/x"), "200", "id=x|");
	assert_answer(e, ASK("DELETE", "/items/7"), "200", "id=7|");
	assert_answer(e, "PUT /items/7 HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody", "200", "put id=7 body=body|");
	assert_error(e, GET("/items/7/"), "404");
	assert_error(e, GET("/items/7/8"), "404");
	assert_error(e, GET("/items/7%2f8"), "404");
	assert_error(e, GET("/items/%2f"), "404");
	assert_error(e, GET("/items//"), "404");
	assert_error(e, GET("/items/a%00b"), "400");
	assert_error(e, GET("/only"), "404");
	assert_error(e, GET("/only/"), "404");
	assert_error(e, GET("/item"), "404");
	assert_error(e, GET("/itemsx/7"), "404");
}

static void
collections_may_end_in_a_slash(void **state)
{
	struct env *e = *state;

	assert_answer(e, GET("/items"), "200", "/items id=(none)|");
	assert_answer(e, GET("/items/"), "200", "id=(none)|");
	assert_answer(e, GET("/items/?a=1"), "200", "id=(none)|");
	assert_answer(e, "POST /items/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", "200", "id=(none)|");
	assert_answer(e, ASK("PUT", "/items/"), "405", "Allow: GET, HEAD, POST\r\n");
	assert_error(e, GET("/items//"), "404");
	assert_error(e, GET("/json/"), "404"); /* that is none */
}

static void
what_is_allowed_is_said(void **state)
{
	struct env *e = *state;

	assert_answer(e, ASK("POST", "/items/7"), "405", "Allow: GET, HEAD, PUT, DELETE\r\n");
	assert_answer(e, ASK("PATCH", "/items/7"), "405", "Allow: GET, HEAD, PUT, DELETE\r\n");
	assert_answer(e, ASK("DELETE", "/items"), "405", "Allow: GET, HEAD, POST\r\n");
	assert_answer(e, ASK("DELETE", "/items/fixed"), "405", "Allow: GET, HEAD\r\n"); /* the exact one is meant */
	assert_answer(e, ASK("DELETE", "/only/x"), "405", "Allow: GET, HEAD\r\n");
}

/* A browser says which page makes it ask: another server's must not make it change anything here. */
static void
pages_of_others_only_read(void **state)
{
	static const struct { const char *host, *origin; bool fine; } cases[] = {
		{ "127.0.0.1:9600", "http://127.0.0.1:9600", true },
		{ "[::1]:9600", "http://[::1]:9600", true },
		{ "localhost:9600", "http://LOCALHOST:9600", true },
		{ "10.0.0.1", "https://10.0.0.1", true },
		{ "127.0.0.1:9600", "http://127.0.0.1:9601", false },
		{ "127.0.0.1:9600", "http://127.0.0.1", false },
		{ "127.0.0.1:9600", "http://evil.example", false },
		{ "127.0.0.1:9600", "http://evil.example/127.0.0.1:9600", false },
		{ "127.0.0.1:9600", "null", false },
		{ "127.0.0.1:9600", "", false },
		{ "evil.example:9600", "http://evil.example:9600", false }, /* a name that its owner has turned to us meanwhile */
		{ "localhost.evil.example", "http://localhost.evil.example", false },
		{ "127.0.0.1.evil.example", "http://127.0.0.1.evil.example", false },
		{ "[", "http://[", false },
		{ "[]", "http://[]", false },
		{ "", "http://", false },
	};
	static const char *const asks[] = { "POST /body", "PUT /items/7", "DELETE /items/7", "GET /items/7" };
	struct env *e = *state;
	char text[700], name[256] = "";
	size_t i, m;

	for (i = 0; i < NELEM(cases); i++)
		for (m = 0; m < NELEM(asks); m++) {
			snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\nConnection: close\r\n\r\n", asks[m], cases[i].host,
			    cases[i].origin);
			if (cases[i].fine || m == 3)
				assert_answer(e, text, "200", "");
			else
				assert_error(e, text, "403");
		}
	assert_int_equal(gethostname(name, sizeof name - 1), 0);
	snprintf(text, sizeof text, "POST /body HTTP/1.1\r\nHost: %s:1\r\nOrigin: http://%s:1\r\nConnection: close\r\n\r\n", name, name);
	assert_answer(e, text, "200", "len=0");
	/* who is no browser may call us what he likes */
	assert_answer(e, "POST /body HTTP/1.1\r\nHost: c4d.service.consul\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n", "200", "len=0");
	assert_answer(e, "POST /body HTTP/1.0\r\n\r\n", "200", "len=0");
}

static void
head_is_get_without_a_body(void **state)
{
	struct env *e = *state;
	struct client *c = ask(e, "HEAD /json HTTP/1.1" CLOSE);

	assert_non_null(strstr(got(c), "200 OK"));
	assert_non_null(strstr(got(c), "Content-Length: 7\r\n"));
	assert_string_equal(strstr(got(c), "\r\n\r\n"), "\r\n\r\n");
	hang_up(c);
	assert_answer(e, "HEAD /status HTTP/1.1" CLOSE, "204", "");
	assert_answer(e, "HEAD /body HTTP/1.1" CLOSE, "405", "Allow: POST");
	c = client(e); /* and what follows on its connection is found */
	say(c, "HEAD /json HTTP/1.1\r\nHost: h\r\n\r\nGET /echo?a=2 HTTP/1.1\r\nHost: h\r\n\r\n");
	until_text(c, "a=2");
	assert_null(strstr(got(c), "\"n\""));
}

static void
old_http_works(void **state)
{
	struct env *e = *state;

	assert_answer(e, "GET /json HTTP/1.0\r\n\r\n", "200", "Content-Length: 7\r\n");
	assert_error(e, "GET /none HTTP/1.0\r\n\r\n", "404");
}

static void
no_answer_tells_of_us(void **state)
{
	struct env *e = *state;
	struct client *c = ask(e, GET("/json"));

	assert_null(strstr(got(c), "Server"));
	assert_null(strcasestr(got(c), "c4d"));
	assert_null(strcasestr(got(c), "libevent"));
	hang_up(c);
}

/* ---- what a handler sees ---- */

static void
queries_are_decoded(void **state)
{
	struct env *e = *state;

	assert_answer(e, GET("/echo"), "200", "a=(none) b=(none)");
	assert_answer(e, GET("/echo?a=1&b=2"), "200", "a=1 b=2");
	assert_answer(e, GET("/echo?a=aa%3Abb%26%3d&b=x+y%2B"), "200", "a=aa:bb&= b=x y+");
	assert_answer(e, GET("/echo?%61=1"), "200", "a=1 ");
	assert_answer(e, GET("/echo?a=1&a=2&b=3"), "200", "a=(none) b=3");
	assert_answer(e, GET("/echo?a=1&%61=1"), "200", "a=(none) ");
	assert_answer(e, GET("/echo?a&b=3"), "200", "a= b=3");
	assert_answer(e, GET("/echo?&&a=1&"), "200", "a=1 ");
	assert_answer(e, GET("/echo?aa=1&A=2"), "200", "a=(none) ");
	assert_answer(e, GET("/echo?a=x%00y"), "200", "a=(none) ");
	assert_answer(e, GET("/echo?a=50%"), "200", "a=50% ");
	assert_answer(e, GET("/echo?a=b=c"), "200", "a=b=c ");
}

static void
decoding_ends_where_the_text_does(void **state)
{
	static const struct { const char *raw, *plain; } cases[] = {
		{ "", "" }, { "%", "%" }, { "%4", "%4" }, { "%41", "A" }, { "%4g%g4%41", "%4g%g4A" }, { "a%fF", "a\xff" }, { "%%41", "%A" },
		{ "%00", NULL }, { "a%00b", NULL }, { "+%2b", " +" },
	};
	size_t i;

	for (i = 0; i < NELEM(cases); i++) {
		char *raw = exact_copy(cases[i].raw, strlen(cases[i].raw)), *got_plain = query_decode(raw, strlen(cases[i].raw), true);

		if (cases[i].plain == NULL)
			assert_null(got_plain);
		else
			assert_string_equal(got_plain, cases[i].plain);
		free(got_plain);
		free(raw);
	}
}

static void
headers_and_peers_are_told(void **state)
{
	struct env *e = *state;
	struct sockaddr_in sin = { 0 };
	socklen_t len = sizeof sin;
	struct client *c;
	char peer[64];

	assert_answer(e, "GET /echo HTTP/1.1\r\nHost: h\r\nX-WORD:  two words \r\nConnection: close\r\n\r\n", "200", "x=two words|");
	c = client(e);
	assert_int_equal(getsockname(c->fd, (struct sockaddr *)&sin, &len), 0);
	snprintf(peer, sizeof peer, "\r\n\r\n127.0.0.1:%u", ntohs(sin.sin_port));
	say(c, GET("/peer"));
	until_ended(c);
	assert_non_null(strstr(got(c), peer));
}

static void
the_peer_s_address_is_told(void **state)
{
	struct env *e = *state;
	struct sockaddr_in sin = { 0 };
	socklen_t len = sizeof sin;
	struct client *c = client(e);
	char text[64];

	assert_int_equal(getsockname(c->fd, (struct sockaddr *)&sin, &len), 0);
	snprintf(text, sizeof text, "family=4 ip=127.1 port=%u|", ntohs(sin.sin_port));
	say(c, "GET /ip HTTP/1.1\r\nHost: h\r\n\r\n");
	until_text(c, text);
	say(c, GET("/ip"));
	until_ended(c);
	assert_non_null(strstr(strstr(got(c), text) + 1, text));
}

static void
answers_come_out_of_one_buffer(void **state)
{
	struct env *e = *state;
	struct client *c = client(e);
	const char *p;

	say(c, "POST /hot HTTP/1.1\r\nHost: h\r\n\r\nPOST /hot HTTP/1.1\r\nHost: h\r\n\r\n");
	until_text(c, "{\"n\":2}");
	p = strstr(got(c), "\r\n\r\n{\"n\":1}");
	assert_non_null(p);
	assert_non_null(strstr(p + 4, "\r\n\r\n{\"n\":2}"));
	assert_non_null(strstr(got(c), "201"));
	assert_non_null(strstr(got(c), "Content-Type: application/json\r\n"));
	assert_non_null(strstr(got(c), "X-Hot: yes\r\n"));
	assert_null(strstr(got(c), "X-Evil"));
	buf_free(&hot);
	memset(&hot, 0, sizeof hot);
}

static void
answers_are_dated(void **state)
{
	struct env *e = *state;
	struct client *c = ask(e, GET("/json"));
	const char *p = strstr(got(c), "\r\nDate: ");
	struct tm tm = { 0 };

	assert_non_null(p);
	assert_non_null(strptime(p + 8, "%a, %d %b %Y %H:%M:%S GMT\r\n", &tm));
	assert_in_range(timegm(&tm), time(NULL) - 2, time(NULL));
	assert_null(strstr(p + 8, "Date: "));
	hang_up(c);
}

static void
post(struct env *e, const char *path, size_t len, const char *status, const char *text)
{
	struct buf b = { 0 };
	struct client *c = client(e);
	size_t i, sent = 0;

	buf_printf(&b, "POST %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n", path, len);
	for (i = 0; i < len; i++)
		buf_add(&b, "\1", 1);
	while (sent < b.len) { /* bit by bit, so that the server's half of the loop can run */
		ssize_t n = send(c->fd, b.s + sent, b.len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN)
			break; /* it has hung up already */
		sent += n > 0 ? (size_t)n : 0;
		pass(e, 0);
	}
	until_ended(c);
	if (strncmp(got(c) + 9, status, 3) != 0 || strstr(got(c), text) == NULL)
		fail_msg("%s with %zu bytes: expected %s with %s, got\n%s", path, len, status, text, got(c));
	buf_free(&b);
	hang_up(c);
}

static void
bodies_have_a_cap_of_the_route(void **state)
{
	struct env *e = *state;

	post(e, "/body", 0, "200", "len=0 sum=0|");
	post(e, "/body", 1, "200", "len=1 sum=1|");
	post(e, "/body", 70000, "200", "len=70000 sum=70000|");
	post(e, "/body", BODY_MAX, "200", "len=100000 sum=100000|");
	post(e, "/body", BODY_MAX + 1, "413", "\"detail\"");
	post(e, "/body", 3000000, "413", "\"detail\"");
	post(e, "/small", 10, "200", "len=10");
	post(e, "/small", 11, "413", "\"detail\"");
	post(e, "/small", 50000, "413", "\"detail\"");
	assert_error(e, "POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n", "413");
	assert_error(e, "GET /status HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx", "413");
}

/* One that looks for an answer only when he has said all that he has to say: he is heard out. */
static void
who_sends_too_much_sees_why(void **state)
{
	static const char *const paths[] = { "/small", "/body" }; /* too long for the route, and for any */
	static char chunk[16384];
	struct env *e = *state;
	size_t i, sent;
	ssize_t n;

	limit(e, (struct httpd_limits){ .sweep_ms = 100 });
	for (i = 0; i < NELEM(paths); i++) {
		struct client *c = client(e);
		size_t size = i == 0 ? BODY_MAX : 8u << 20;
		char text[256];

		loop_io_want(&c->io, 0);
		snprintf(text, sizeof text, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", paths[i], size);
		say(c, text);
		for (sent = 0; sent < size; sent += (size_t)n) {
			n = send(c->fd, chunk, size - sent < sizeof chunk ? size - sent : sizeof chunk, MSG_NOSIGNAL | MSG_DONTWAIT);
			if (n < 0 && errno != EAGAIN)
				fail_msg("%s: cut off after %zu bytes: %s", paths[i], sent, strerror(errno));
			if (n < 0)
				n = 0;
			pass(e, 0);
		}
		loop_io_want(&c->io, LOOP_READ);
		until_ended(c);
		if (strstr(got(c), "HTTP/1.1 413") == NULL || strstr(got(c), "\"detail\"") == NULL)
			fail_msg("%s: expected 413, got %s", paths[i], got(c));
		hang_up(c);
	}
	assert_answer(e, GET("/status"), "204", "");
}

static void
chunks_count_too(void **state)
{
	struct env *e = *state;
#define CHUNKED "POST /small HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"

	assert_answer(e, CHUNKED "3\r\n\1\1\1\r\n7\r\n\1\1\1\1\1\1\1\r\n0\r\n\r\n", "200", "len=10 sum=10|");
	assert_error(e, CHUNKED "b\r\n\1\1\1\1\1\1\1\1\1\1\1\r\n0\r\n\r\n", "413");
	assert_error(e, CHUNKED "fffffffff\r\n", "413");
	assert_error(e, CHUNKED "zz\r\n", "413");
}

static void
ambiguous_requests_are_refused(void **state)
{
	struct env *e = *state;

	assert_error(e, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "400");
	assert_error(e, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\nx", "400");
	assert_error(e, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400");
	assert_error(e, "GET /status HTTP/1.1\r\nHost: h\r\nHost: g\r\n\r\n", "400");
	assert_error(e, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", "400");
	assert_error(e, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", "400");
	assert_error(e, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\nx", "400");
	assert_error(e, "POST /body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\nGET /status HTTP/1.1\r\n\r\n", "400");
	assert_error(e, "POST /body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "400");
	assert_int_equal(e->asked, 0);
}

/* The body of a request whose body is not read is no request. */
static void
bodies_are_no_requests(void **state)
{
	static const char *const methods[] = { "HEAD", "BREW", "TRACE", "DELETE" };
	struct env *e = *state;
	struct client *c;
	char text[256];
	size_t i;

	for (i = 0; i < NELEM(methods); i++) {
		c = client(e);
		snprintf(text, sizeof text,
		    "%s /json HTTP/1.1\r\nHost: h\r\nContent-Length: 34\r\n\r\nGET /status HTTP/1.1\r\nHost: hhhh\r\n\r\n", methods[i]);
		say(c, text);
		until_ended(c);
		hang_up(c);
	}
	assert_int_equal(e->asked, 0);
}

/* ---- limits ---- */

static void
headers_have_a_cap(void **state)
{
	struct env *e = *state;
	struct buf b = { 0 };
	size_t n;

	for (n = 7000; n <= 9000; n += 2000) {
		buf_puts(&b, "GET /status HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Long: ");
		while (b.len < n)
			buf_puts(&b, "x");
		buf_puts(&b, "\r\n\r\n");
		if (n < 8000)
			assert_answer(e, b.s, "204", "");
		else
			assert_error(e, b.s, "400");
		buf_free(&b);
		memset(&b, 0, sizeof b);
	}
	while (b.len < 9000) /* no line end at all */
		buf_puts(&b, "x");
	assert_error(e, b.s, "400");
	buf_free(&b);
	assert_error(e, "\r\n\r\n\r\n", "400");
	assert_error(e, "GET /status\r\n\r\n", "400");
	assert_error(e, "GET /status HTTP/1.1\r\nno colon\r\n\r\n", "400");
	assert_error(e, "\x16\x03\x01\x02\r\n\r\n", "400");
}

/* One that keeps talking and says nothing. */
static void
slow_requests_end_at_the_deadline(void **state)
{
	static const char slow[] =
	    "GET /status HTTP/1.1\r\nHost: h\r\nX-Long: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
	struct env *e = *state;
	struct client *c, *body;
	int64_t begin;
	size_t i;

	limit(e, (struct httpd_limits){ .request_ms = 400, .idle_ms = 2000 });
	c = client(e);
	body = client(e);
	say(body, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
	begin = loop_now_ms(e->loop);
	for (i = 0; i < sizeof slow - 1 && !(c->ended && body->ended); i++) {
		if (!c->ended)
			(void)!send(c->fd, &slow[i], 1, MSG_NOSIGNAL);
		if (!body->ended)
			(void)!send(body->fd, "x", 1, MSG_NOSIGNAL);
		pass(e, 20);
	}
	assert_true(c->ended && body->ended);
	assert_int_equal(c->in.len, 0);
	assert_in_range(loop_now_ms(e->loop) - begin, 380, 1200);
	assert_int_equal(view(e).refused, 2);
	until_connections(e, 0);
}

/* The clock of a request that was piped runs since the answer before it. */
static void
piped_ones_have_a_deadline(void **state)
{
	struct env *e = *state;
	struct client *c;
	int64_t begin;

	limit(e, (struct httpd_limits){ .request_ms = 300, .idle_ms = 5000 });
	c = client(e);
	begin = loop_now_ms(e->loop);
	say(c, "GET /json HTTP/1.1\r\nHost: h\r\n\r\nGET /stat");
	until_ended(c);
	assert_in_range(loop_now_ms(e->loop) - begin, 280, 3000);
}

static void
idle_connections_end(void **state)
{
	struct env *e = *state;
	struct client *never, *once;
	int64_t begin;

	limit(e, (struct httpd_limits){ .idle_ms = 150 });
	begin = loop_now_ms(e->loop);
	never = client(e);
	once = client(e);
	say(once, "GET /json HTTP/1.1\r\nHost: h\r\n\r\n");
	until_text(once, "\"n\"");
	assert_false(once->ended);
	until_ended(never);
	until_ended(once);
	assert_in_range(loop_now_ms(e->loop) - begin, 140, 1500);
	until_connections(e, 0);
	assert_int_equal(view(e).refused, 0);
}

static void
a_peer_that_never_reads_ends(void **state)
{
	struct env *e = *state;
	struct client *c, *chatty;

	limit(e, (struct httpd_limits){ .idle_ms = 200, .request_ms = 600 });
	c = connect_to(e, e->port, 4096);
	chatty = connect_to(e, e->port, 4096);
	say(c, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
	say(chatty, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
	until_connections(e, 2);
	while (view(e).connections > 0) {
		(void)!send(chatty->fd, "xxxxxxxxxxxxxxxx", 16, MSG_NOSIGNAL | MSG_DONTWAIT);
		pass(e, 20);
	}
	assert_answer(e, GET("/status"), "204", "");
}

/* Whoever sends without end while he does not read his answer fills our memory only so far. */
static void
input_is_not_hoarded(void **state)
{
	struct env *e = *state;
	struct client *c;

	limit(e, (struct httpd_limits){ .idle_ms = 3000, .request_ms = 4000 });
	c = connect_to(e, e->port, 4096);
	say(c, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
	send_without_end(c);
}

static void
big_answers_arrive(void **state)
{
	struct env *e = *state;
	struct client *c = client(e);

	say(c, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
	UNTIL(e, c->in.len >= BIG);
	say(c, GET("/echo?a=after"));
	until_text(c, "a=after");
}

static void
connections_have_a_cap(void **state)
{
	struct env *e = *state;
	struct client *c[4], *waits;
	size_t i;

	e->watched = "connections at once";
	limit(e, (struct httpd_limits){ .connections = 4 });
	for (i = 0; i < 4; i++) {
		c[i] = client(e);
		say(c[i], "GET /json HTTP/1.1\r\nHost: h\r\n\r\n");
		until_text(c[i], "\"n\"");
	}
	waits = client(e);
	say(waits, GET("/echo?a=served"));
	pass(e, 300);
	assert_int_equal(waits->in.len, 0);
	assert_int_equal(view(e).connections, 4);
	say(c[1], GET("/echo?a=still")); /* those that are in are served */
	until_text(c[1], "a=still");     /* and this one makes room */
	until_text(waits, "a=served");
	assert_int_equal(e->said, 1);
	hang_up(c[0]); /* without a word */
	for (i = 0; i < 20; i++)
		assert_answer(e, GET("/status"), "204", "");
	assert_in_range(view(e).connections, 2, 4);
	assert_int_equal(e->said, 1);
}

static void
closed_connections_do_not_hold_their_place(void **state)
{
	struct env *e = *state;
	int64_t begin = loop_now_ms(e->loop);
	size_t i;

	e->watched = "connections at once";
	limit(e, (struct httpd_limits){ .connections = 3, .sweep_ms = 1000 });
	for (i = 0; i < 100; i++)
		assert_answer(e, GET("/status"), "204", "");
	assert_in_range(loop_now_ms(e->loop) - begin, 0, 3000);
	assert_int_equal(e->said, 0);
}

/* ---- one after the other ---- */

static void
requests_may_be_piped(void **state)
{
	struct env *e = *state;
	struct client *c = client(e);
	struct buf b = { 0 };
	const char *p;
	size_t i;
	char text[32];

	for (i = 0; i < 200; i++)
		buf_printf(&b, i % 3 == 0 ? "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n%04zu" :
		    "GET /echo?a=%04zu HTTP/1.1\r\nHost: h\r\n\r\n", i);
	buf_puts(&b, GET("/echo?a=last"));
	say(c, b.s);
	buf_free(&b);
	until_ended(c);
	for (i = 0, p = got(c); i < 200; i++) {
		snprintf(text, sizeof text, i % 3 == 0 ? "len=4 sum=" : "a=%04zu ", i);
		p = strstr(p, text);
		assert_non_null(p);
	}
	assert_non_null(strstr(p, "a=last"));
	assert_int_equal(view(e).requests, 201);
}

/* An answer that takes its time holds what was piped behind it, however long that has waited. */
static void
piped_ones_wait_for_a_deferred_one(void **state)
{
	struct env *e = *state;
	struct client *c;

	limit(e, (struct httpd_limits){ .request_ms = 200, .idle_ms = 200 });
	c = client(e);
	say(c, "GET /later HTTP/1.1\r\nHost: h\r\n\r\nGET /echo?a=2 HTTP/1.1\r\nHost: h\r\n\r\n");
	until_later(e, 1);
	pass(e, 600); /* neither limit is meant for it */
	assert_int_equal(c->in.len, 0);
	assert_false(c->ended);
	httpd_reply_text(e->later[0], 200, "first");
	e->n_later = 0;
	until_text(c, "a=2");
	assert_true(strstr(got(c), "first") < strstr(got(c), "a=2"));
}

static void
expecting_clients_are_told_to_go_on(void **state)
{
	struct env *e = *state;
	struct client *c = client(e);

	say(c, "POST /body HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	until_text(c, "100 Continue\r\n\r\n");
	say(c, "\1\1");
	until_text(c, "len=2 sum=2|");
	/* and those that do not wait for it */
	say(c, "POST /body HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n\1\1\1"
	       "POST /body HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n\1\1\1\1");
	until_text(c, "len=3 sum=3|");
	until_text(c, "len=4 sum=4|");
	say(c, "POST /body HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n\1");
	pass(e, 0);
	say(c, "\1\1\1\1");
	until_text(c, "len=5 sum=5|");
	hang_up(c);
	assert_error(e, "POST /body HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 200000\r\n\r\n", "413");
	assert_error(e, "POST /body HTTP/1.1\r\nHost: h\r\nExpect: tea\r\nContent-Length: 2\r\n\r\n\1\1", "417");
}

/* ---- later ---- */

static void
answers_may_come_later(void **state)
{
	struct env *e = *state;
	struct client *a = client(e), *b = client(e);

	say(a, "GET /later?a=1 HTTP/1.1\r\nHost: h\r\n\r\n");
	until_later(e, 1);
	say(b, "GET /later?a=2 HTTP/1.1\r\nHost: h\r\n\r\n");
	until_later(e, 2);
	assert_string_equal(httpd_query(e->later[1], "a"), "2");
	httpd_reply_text(e->later[1], 200, "%s", httpd_query(e->later[1], "a"));
	httpd_reply_json(e->later[0], 201, json_pack("{s:s}", "a", httpd_query(e->later[0], "a")));
	e->n_later = 0;
	until_text(a, "{\"a\":\"1\"}");
	until_text(b, "\r\n\r\n2");
	assert_non_null(strstr(got(a), "201"));
}

static void
late_answers_are_504(void **state)
{
	struct env *e = *state;
	struct client *c;
	size_t len;

	limit(e, (struct httpd_limits){ .deadline_ms = 200 });
	c = client(e);
	say(c, "GET /later?a=1 HTTP/1.1\r\nHost: h\r\nX-Word: w\r\n\r\n");
	until_text(c, "504");
	until_text(c, "\"detail\"");
	assert_int_equal(e->n_later, 1);
	say(c, "GET /echo?a=after HTTP/1.1\r\nHost: h\r\n\r\n");
	until_text(c, "a=after");
	/* who comes too late finds what he had, and does no harm */
	assert_string_equal(httpd_path(e->later[0]), "/later");
	assert_string_equal(httpd_query(e->later[0], "a"), "1");
	assert_null(httpd_header(e->later[0], "X-Word"));
	assert_string_equal(httpd_body(e->later[0], &len), "");
	httpd_reply_text(e->later[0], 200, "too late");
	e->n_later = 0;
	say(c, GET("/echo?a=end"));
	until_ended(c);
	assert_null(strstr(got(c), "too late"));
}

static void
headers_go_with_their_answer(void **state)
{
	struct env *e = *state;
	struct client *c = client(e);

	say(c, "GET /later_with_header HTTP/1.1\r\nHost: h\r\n\r\n");
	until_later(e, 1);
	httpd_reply_error(e->later[0], 503, "later");
	e->n_later = 0;
	until_text(c, "later");
	assert_non_null(strstr(got(c), "Retry-After: 7\r\n"));
	hang_up(c);
	limit(e, (struct httpd_limits){ .deadline_ms = 100 });
	c = client(e);
	say(c, "GET /later_with_header HTTP/1.1\r\nHost: h\r\n\r\n");
	until_text(c, "504");
	assert_null(strstr(got(c), "Retry-After"));
	httpd_reply_header(e->later[0], "X-Late", "1"); /* by tear_down() the rest */
}

static void
a_peer_may_go_meanwhile(void **state)
{
	struct env *e = *state;
	struct linger hard = { 1, 0 };
	struct client *c = client(e), *d = client(e);

	limit(e, (struct httpd_limits){ 0 });
	say(c, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
	say(d, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
	until_later(e, 2);
	assert_int_equal(setsockopt(d->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
	hang_up(c);
	hang_up(d);
	pass(e, 200);
	httpd_reply_text(e->later[0], 200, "to nobody");
	httpd_reply_text(e->later[1], 200, "to nobody");
	e->n_later = 0;
	until_connections(e, 0);
	assert_answer(e, GET("/status"), "204", "");
}

/* ---- streams ---- */

static void
until_gone(struct env *e, unsigned n)
{
	UNTIL(e, e->gone >= n);
}

static void
until_streams(struct env *e, size_t n)
{
	UNTIL(e, e->n_streams >= n);
}

static struct client *
watch(struct env *e, const char *request)
{
	struct client *c = client(e);
	size_t had = e->n_streams;

	say(c, request);
	until_streams(e, had + 1);
	until_text(c, "\r\n\r\n");
	return c;
}

#define STREAM "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n"

static void
send_text(struct env *e, size_t i, const char *text)
{
	httpd_stream_send(e->streams[i], text, strlen(text));
}

/* Neither time without a byte nor all of the time ends it; others are served meanwhile. */
static void
streams_have_no_end(void **state)
{
	struct env *e = *state;
	struct client *c, *d;

	limit(e, (struct httpd_limits){ .idle_ms = 100, .request_ms = 150, .deadline_ms = 200 });
	c = watch(e, STREAM);
	assert_memory_equal(got(c), "HTTP/1.1 200 OK\r\n", 17);
	assert_non_null(strstr(got(c), "Content-Type: text/event-stream\r\n"));
	assert_non_null(strstr(got(c), "Transfer-Encoding: chunked\r\n"));
	assert_non_null(strstr(got(c), "Connection: close\r\n"));
	assert_non_null(strstr(got(c), "\r\nDate: "));
	assert_non_null(strstr(got(c), "X-Word: w\r\n"));
	assert_null(strstr(got(c), "Content-Length"));
	send_text(e, 0, "data: a\n\n");
	until_text(c, "9\r\ndata: a\n\n\r\n");
	pass(e, 600);
	assert_false(c->ended);
	d = watch(e, STREAM);
	send_text(e, 0, "bb");
	send_text(e, 1, "ccc");
	until_text(c, "2\r\nbb\r\n");
	until_text(d, "3\r\nccc\r\n");
	assert_null(strstr(got(c), "ccc"));
	assert_answer(e, GET("/status"), "204", "");
	assert_int_equal(e->gone, 0);
	assert_int_equal(view(e).connections, 2);
}

static void
old_clients_have_streams_without_chunks(void **state)
{
	struct env *e = *state;
	struct client *c = watch(e, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");

	assert_null(strstr(got(c), "chunked"));
	assert_null(strstr(got(c), "Content-Length"));
	assert_null(strcasestr(got(c), "keep-alive"));
	assert_non_null(strstr(got(c), "Connection: close\r\n"));
	send_text(e, 0, "data: a\n\n");
	until_text(c, "\r\n\r\ndata: a\n\n");
	httpd_stream_end(e->streams[0]);
	until_ended(c);
	assert_string_equal(strstr(got(c), "\r\n\r\n"), "\r\n\r\ndata: a\n\n");
	assert_int_equal(e->gone, 0);
}

static void
head_of_a_stream_ends(void **state)
{
	struct env *e = *state;
	struct client *c = ask(e, "HEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n");

	assert_memory_equal(got(c), "HTTP/1.1 200 OK\r\n", 17);
	assert_non_null(strstr(got(c), "Content-Type: text/event-stream\r\n"));
	assert_non_null(strstr(got(c), "X-Word: w\r\n"));
	assert_null(strstr(got(c), "Content-Length"));
	assert_string_equal(strstr(got(c), "\r\n\r\n"), "\r\n\r\n");
	assert_int_equal(e->asked, 1);
	assert_int_equal(e->n_streams, 0);
}

static void
who_goes_is_told(void **state)
{
	struct env *e = *state;
	struct linger hard = { 1, 0 };
	struct client *c = watch(e, STREAM), *d = watch(e, STREAM);

	limit(e, (struct httpd_limits){ 0 });
	hang_up(c);
	until_gone(e, 1);
	assert_int_equal(setsockopt(d->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
	send_text(e, 1, "x");
	hang_up(d);
	send_text(e, 1, "to nobody");
	until_gone(e, 2);
	until_connections(e, 0);
	c = watch(e, STREAM); /* and just before it is ended */
	hang_up(c);
	httpd_stream_end(e->streams[2]);
	pass(e, 200);
	assert_int_equal(e->gone, 2);
}

/* Owner and peer end it in the same turn: it has been seen to be gone, and its owner has not been told yet. */
static void
an_end_may_overtake_the_news(void **state)
{
	struct env *e = *state;
	struct client *c = watch(e, STREAM);
	struct httpd_limits l = httpd_limits_default;

	hang_up(c);
	until_connections(e, 0); /* libevent has done with it */
	l.sweep_ms = 20;
	httpd_set_limits(e->httpd, &l);
	send_text(e, 0, "to nobody");
	httpd_stream_end(e->streams[0]);
	pass(e, 1300); /* the sweep has been by */
	assert_int_equal(e->gone, 0);
}

static void
who_does_not_read_is_dropped(void **state)
{
	static char piece[100000];
	struct env *e = *state;
	struct client *c;
	size_t sent = 0;

	limit(e, (struct httpd_limits){ .idle_ms = 20000 });
	c = connect_to(e, e->port, 4096);
	say(c, STREAM);
	until_streams(e, 1);
	memset(piece, 'x', sizeof piece);
	while (e->gone == 0 && sent < (64u << 20)) {
		httpd_stream_send(e->streams[0], piece, sizeof piece);
		sent += sizeof piece;
		pass(e, 1);
	}
	assert_int_equal(e->gone, 1);
	assert_true(sent < (16u << 20)); /* what the sockets hold, and a little */
	assert_int_equal(view(e).refused, 1);
}

/* However little waits for him. */
static void
who_reads_nothing_at_all_is_dropped_in_time(void **state)
{
	struct env *e = *state;
	struct client *c;
	char *big = calloc(1, BIG);
	int64_t begin;

	assert_non_null(big);
	limit(e, (struct httpd_limits){ .idle_ms = 300 });
	c = connect_to(e, e->port, 4096);
	say(c, STREAM);
	until_streams(e, 1);
	begin = loop_now_ms(e->loop);
	httpd_stream_send(e->streams[0], big, BIG);
	until_gone(e, 1);
	assert_in_range(loop_now_ms(e->loop) - begin, 250, 3000);
	free(big);
}

static void
what_a_watcher_says_is_not_heard(void **state)
{
	struct env *e = *state;
	struct client *c = watch(e, STREAM "GET /status HTTP/1.1\r\nHost: h\r\n\r\n");

	send_without_end(c);
	assert_int_equal(e->asked, 1);
	assert_int_equal(view(e).requests, 1);
	send_text(e, 0, "data: a\n\n");
	until_text(c, "data: a\n\n");
}

static void
an_end_comes_after_what_was_sent(void **state)
{
	struct env *e = *state;
	struct client *c = watch(e, STREAM);
	char *big = calloc(1, BIG + 1);

	assert_non_null(big);
	memset(big, 'y', BIG);
	httpd_stream_send(e->streams[0], big, BIG);
	httpd_stream_end(e->streams[0]);
	until_ended(c);
	assert_true(c->in.len > BIG);
	assert_string_equal(c->in.s + c->in.len - 8, "y\r\n0\r\n\r\n");
	assert_int_equal(e->gone, 0);
	free(big);
}

static void
a_stop_ends_streams(void **state)
{
	struct env *e = *state;
	struct client *c = watch(e, STREAM), *d = watch(e, "GET /stream HTTP/1.0\r\n\r\n"), *slow = connect_to(e, e->port, 4096);
	char *big = calloc(1, BIG);

	assert_non_null(big);
	say(slow, STREAM);
	until_streams(e, 3);
	httpd_stream_send(e->streams[2], big, BIG);
	free(big);
	send_text(e, 0, "data: last\n\n");
	httpd_free(e->httpd);
	e->httpd = NULL;
	until_ended(c);
	until_ended(d);
	assert_non_null(strstr(got(c), "data: last\n\n\r\n0\r\n\r\n"));
	assert_int_equal(e->gone, 0);
}

static void
a_reload_does_not_end_streams(void **state)
{
	struct env *e = *state;
	struct client *c = watch(e, STREAM);

	listen_at(e, NULL, NULL);
	httpd_set_conf(e->httpd, &e->conf);
	send_text(e, 0, "data: still\n\n");
	until_text(c, "data: still");
	assert_int_equal(e->gone, 0);
}

static void
streams_are_connections(void **state)
{
	struct env *e = *state;
	struct client *waits, *c;

	limit(e, (struct httpd_limits){ .connections = 2 });
	c = watch(e, STREAM);
	(void)watch(e, STREAM);
	waits = client(e);
	say(waits, GET("/echo?a=served"));
	pass(e, 300);
	assert_int_equal(waits->in.len, 0);
	hang_up(c);
	until_text(waits, "a=served");
}

/* One that begins later, when its peer is gone, or has had his 504. */
static void
streams_to_nobody(void **state)
{
	struct env *e = *state;
	struct client *c = client(e), *d;

	limit(e, (struct httpd_limits){ .deadline_ms = 300 });
	say(c, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
	until_later(e, 1);
	stream(e, e->later[0]);
	until_text(c, "chunked");
	assert_int_equal(e->n_streams, 1);
	d = client(e);
	say(d, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
	until_later(e, 2);
	until_text(d, "504");
	stream(e, e->later[1]);
	assert_int_equal(e->n_streams, 1);
	d = client(e);
	say(d, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
	until_later(e, 3);
	httpd_free(e->httpd);
	e->httpd = NULL;
	stream(e, e->later[2]);
	assert_int_equal(e->n_streams, 1);
	e->n_later = 0;
}

/* ---- the end ---- */

static void
a_stop_says_503(void **state)
{
	struct env *e = *state;
	struct client *c[3];
	size_t i;

	for (i = 0; i < 3; i++) {
		c[i] = client(e);
		say(c[i], i < 2 ? "GET /later HTTP/1.1\r\nHost: h\r\n\r\n" : "GET /la");
	}
	until_later(e, 2);
	until_connections(e, 3);
	httpd_free(e->httpd);
	e->httpd = NULL;
	for (i = 0; i < 3; i++)
		until_ended(c[i]);
	for (i = 0; i < 2; i++) {
		assert_non_null(strstr(got(c[i]), "HTTP/1.1 503"));
		assert_non_null(strstr(got(c[i]), "\"detail\""));
	}
	assert_int_equal(c[2]->in.len, 0);
	httpd_reply_text(e->later[0], 200, "after all"); /* by tear_down() the other one */
	e->later[0] = e->later[--e->n_later];
}

static void
a_stop_may_come_any_time(void **state)
{
	struct env *e = *state;
	struct client *c = connect_to(e, e->port, 4096);

	say(c, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
	(void)client(e); /* perhaps still in the queue */
	until_connections(e, 2);
	c = client(e);
	say(c, "\r\nnonsense\r\n\r\n");
}

/* ---- listeners ---- */

static void
listeners_follow_the_configuration(void **state)
{
	struct env *e = *state;
	struct client *c = client(e);
	struct httpd_view v;
	uint16_t second;

	say(c, "GET /json HTTP/1.1\r\nHost: h\r\n\r\n");
	until_text(c, "\"n\"");
	listen_at(e, "[::1]:0", "127.0.0.1:0");
	httpd_set_conf(e->httpd, &e->conf);
	v = view(e);
	assert_int_equal(v.listeners, 2);
	assert_string_equal(v.why, "");
	assert_int_equal(v.port, e->port); /* it is the one that stayed */
	listen_at(e, "[::1]:0", "127.0.0.2:0");
	httpd_set_conf(e->httpd, &e->conf);
	second = view(e).port;
	assert_int_not_equal(second, e->port);
	say(c, "GET /echo?a=lives HTTP/1.1\r\nHost: h\r\n\r\n");
	until_text(c, "a=lives");
	listen_at(e, NULL, NULL);
	httpd_set_conf(e->httpd, &e->conf);
	assert_int_equal(view(e).listeners, 0);
	say(c, GET("/echo?a=end"));
	until_text(c, "a=end");
}

/* Connections that we have ended keep their port for a while, in TIME_WAIT. */
static void
a_port_is_free_again_at_once(void **state)
{
	struct env *e = *state;
	char text[64];

	assert_answer(e, GET("/status"), "204", "");
	snprintf(text, sizeof text, "127.0.0.1:%u", e->port);
	listen_at(e, NULL, NULL);
	httpd_set_conf(e->httpd, &e->conf);
	listen_at(e, text, NULL);
	httpd_set_conf(e->httpd, &e->conf);
	assert_string_equal(view(e).why, "");
	assert_answer(e, GET("/status"), "204", "");
}

static void
an_address_that_is_taken_is_tried_again(void **state)
{
	struct env *e = *state;
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof sin;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char taken[32];
	struct client *c;

	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof sin), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	snprintf(taken, sizeof taken, "127.0.0.1:%u", ntohs(sin.sin_port));
	e->watched = "cannot listen";
	listen_at(e, "127.0.0.1:0", taken);
	httpd_set_conf(e->httpd, &e->conf);
	assert_int_equal(view(e).listeners, 1);
	assert_non_null(strstr(view(e).why, taken));
	assert_non_null(strstr(view(e).why, "in use"));
	assert_answer(e, GET("/status"), "204", "");
	pass(e, 2200); /* two tries more: nothing new is to be said */
	assert_int_equal(e->said, 1);
	close(fd);
	UNTIL(e, view(e).listeners == 2);
	assert_string_equal(view(e).why, "");
	c = connect_to(e, ntohs(sin.sin_port), 0);
	say(c, GET("/status"));
	until_text(c, "204");
}

static void
other_addresses_are_said(void **state)
{
	struct env *e = *state;

	listen_at(e, "127.0.0.1:0", "192.0.2.1:9600"); /* nobody's */
	httpd_set_conf(e->httpd, &e->conf);
	assert_non_null(strstr(view(e).why, "192.0.2.1:9600"));
	listen_at(e, "127.0.0.1:0", "nonsense");
	httpd_set_conf(e->httpd, &e->conf);
	assert_non_null(strstr(view(e).why, "nonsense"));
	listen_at(e, "127.0.0.1:0", "{ip:nosuchif0}:9600");
	httpd_set_conf(e->httpd, &e->conf);
	assert_non_null(strstr(view(e).why, "nosuchif0"));
	assert_int_equal(view(e).listeners, 1);
}

static void
interfaces_are_filled_in(void **state)
{
	struct env *e = *state;

	listen_at(e, "127.0.0.1:0", "{ip:lo}:0");
	httpd_set_conf(e->httpd, &e->conf);
	assert_string_equal(view(e).why, "");
	assert_int_equal(view(e).listeners, 2);
}

static void
six_is_not_four(void **state)
{
	struct env *e = *state;
	char text[64];

	snprintf(text, sizeof text, "[::]:%u", e->port); /* beside 127.0.0.1 with the same port */
	listen_at(e, "127.0.0.1:0", text);
	httpd_set_conf(e->httpd, &e->conf);
	assert_string_equal(view(e).why, "");
	assert_int_equal(view(e).listeners, 2);
}

static void
ports_for_others(void **state)
{
	static const struct { const char *one, *other; uint16_t port; } cases[] = {
		{ NULL, NULL, 0 },
		{ "127.0.0.1:9600", NULL, 9600 },
		{ "127.0.0.1:9600", "10.0.0.1:9700", 9700 },
		{ "[::1]:9600", "{ip:eth0}:9800", 9800 },
		{ "0.0.0.0:9600", "10.0.0.1:9700", 9600 },
		{ "[::1]:9600", "127.0.0.1:9601", 9600 },
	};
	struct env *e = *state;
	size_t i;

	for (i = 0; i < NELEM(cases); i++) {
		listen_at(e, cases[i].one, cases[i].other);
		assert_int_equal(httpd_port(&e->conf), cases[i].port);
	}
}

/* ---- no descriptors ---- */

static int64_t
cpu_ms(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

static void
without_descriptors_accept_does_not_spin(void **state)
{
	struct env *e = *state;
	struct rlimit old, small;
	struct client *waits;
	int64_t cpu;
	int fd;

	limit(e, (struct httpd_limits){ 0 });
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	waits = client(e); /* connected, but not accepted yet */
	say(waits, GET("/echo?a=served"));
	fd = open("/dev/null", O_RDONLY);
	assert_true(fd >= 0);
	small = old;
	small.rlim_cur = (rlim_t)fd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
	e->watched = "cannot take connections";
	UNTIL(e, e->said >= 1);
	assert_non_null(strstr(view(e).why, "descriptors"));
	cpu = cpu_ms();
	pass(e, 2500);
	assert_in_range(cpu_ms() - cpu, 0, 1000); /* most of that is our own looking */
	assert_int_equal(e->said, 1);
	close(fd); /* for one connection there is room now, and not for the next */
	until_text(waits, "a=served");
	pass(e, 1200);
	assert_int_equal(e->said, 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	UNTIL(e, view(e).why[0] == '\0');
	assert_answer(e, GET("/status"), "204", "");
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(routes_are_exact),
		T(absolute_urls_are_refused),
		T(methods_have_routes),
		T(ids_are_one_segment),
		T(collections_may_end_in_a_slash),
		T(what_is_allowed_is_said),
		T(pages_of_others_only_read),
		T(head_is_get_without_a_body),
		T(old_http_works),
		T(no_answer_tells_of_us),
		T(queries_are_decoded),
		T(decoding_ends_where_the_text_does),
		T(headers_and_peers_are_told),
		T(the_peer_s_address_is_told),
		T(answers_come_out_of_one_buffer),
		T(answers_are_dated),
		T(bodies_have_a_cap_of_the_route),
		T(who_sends_too_much_sees_why),
		T(chunks_count_too),
		T(ambiguous_requests_are_refused),
		T(bodies_are_no_requests),
		T(headers_have_a_cap),
		T(slow_requests_end_at_the_deadline),
		T(piped_ones_have_a_deadline),
		T(idle_connections_end),
		T(a_peer_that_never_reads_ends),
		T(input_is_not_hoarded),
		T(big_answers_arrive),
		T(connections_have_a_cap),
		T(closed_connections_do_not_hold_their_place),
		T(requests_may_be_piped),
		T(piped_ones_wait_for_a_deferred_one),
		T(expecting_clients_are_told_to_go_on),
		T(answers_may_come_later),
		T(late_answers_are_504),
		T(headers_go_with_their_answer),
		T(a_peer_may_go_meanwhile),
		T(streams_have_no_end),
		T(old_clients_have_streams_without_chunks),
		T(head_of_a_stream_ends),
		T(who_goes_is_told),
		T(an_end_may_overtake_the_news),
		T(who_does_not_read_is_dropped),
		T(who_reads_nothing_at_all_is_dropped_in_time),
		T(what_a_watcher_says_is_not_heard),
		T(an_end_comes_after_what_was_sent),
		T(a_stop_ends_streams),
		T(a_reload_does_not_end_streams),
		T(streams_are_connections),
		T(streams_to_nobody),
		T(a_stop_says_503),
		T(a_stop_may_come_any_time),
		T(listeners_follow_the_configuration),
		T(a_port_is_free_again_at_once),
		T(an_address_that_is_taken_is_tried_again),
		T(other_addresses_are_said),
		T(interfaces_are_filled_in),
		T(six_is_not_four),
		T(ports_for_others),
		T(without_descriptors_accept_does_not_spin),
	};

	return cmocka_run_group_tests_name("httpd", tests, NULL, NULL);
}
