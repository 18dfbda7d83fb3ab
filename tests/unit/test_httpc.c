/*
 * consul/http: the HTTP client against a server in the same loop, which answers, lies, dribbles, stalls and hangs up as
 * told. Every wait is for a condition, with one guard that fails the test.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "consul/http.h"
#include "fds_fx.h"

#define GUARD_MS 20000
#define PATIENT_MS 8000 /* of requests that must be answered */
#define SHORT_MS 150    /* of requests that must not */
#define CONNS 64

#define OK_BODY "[{\"a\":1}]"
#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-CONSUL-index: 42\r\n" \
		  "Content-Length: 9\r\n\r\n" OK_BODY

enum after { A_KEEP, A_CLOSE, A_RESET };

/* What the server does with a whole request. */
struct deed {
	const char *say; /* NULL: nothing */
	enum after after;
	int64_t byte_ms;  /* > 0: a byte at a time */
	size_t more;      /* so many bytes more, of body */
	const char *repeat; /* this, until the client has enough */
	const char *token;  /* without this one: 403 */
	const char *swap_path;
	const char *const *swaps; /* with each 403 the file gets the next of these, up to NULL */
};

struct server;

struct conn {
	struct server *srv;
	struct loop_io io;
	struct loop_timer timer;
	bool open;
	size_t n_in, n_out, sent;
	char in[65536];
	char *out;
	enum after after;
};

struct server {
	struct loop *loop;
	struct loop_io io;
	int fd;
	char url[64];
	struct deed deed;
	unsigned asked, accepted, open;
	char last[65536]; /* the last request */
	struct conn conns[CONNS];
};

struct env {
	struct loop *loop;
	struct worker *worker;
	struct server *srv;
	struct http *http;
	struct loop_timer guard;
	bool guarded;
	unsigned fds;
};

/* One request and how it ended. */
struct got {
	struct env *env;
	int calls;
	int err, status;
	char body[256], why[256], index[32];
	size_t body_len;
	struct got *then;   /* asked in the callback */
	bool free_in_callback, cancel_in_callback;
	unsigned accepted;
};

/* ---- the server ---- */

static void
conn_close(struct conn *c)
{
	struct linger hard = { 1, 0 };
	int fd = c->io.fd;

	if (!c->open)
		return;
	c->open = false;
	c->srv->open--;
	if (c->after == A_RESET)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
	loop_io_fini(&c->io);
	loop_timer_stop(&c->timer);
	close(fd);
	free(c->out);
	c->out = NULL;
	c->n_out = c->sent = 0;
}

static void
conn_flush(void *arg)
{
	struct conn *c = arg;
	bool dribble = c->srv->deed.byte_ms > 0;

	while (c->sent < c->n_out) {
		ssize_t n = send(c->io.fd, c->out + c->sent, dribble ? 1 : c->n_out - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN) {
			conn_close(c);
			return;
		}
		if (n > 0)
			c->sent += (size_t)n;
		if (c->sent == c->n_out && c->srv->deed.repeat != NULL)
			c->sent -= strlen(c->srv->deed.repeat);
		if (dribble)
			loop_timer_start(&c->timer, c->srv->deed.byte_ms);
		else if (n < 0)
			loop_io_want(&c->io, LOOP_READ | LOOP_WRITE);
		if (n < 0 || dribble)
			return;
	}
	loop_io_want(&c->io, LOOP_READ);
	if (c->after != A_KEEP)
		conn_close(c);
}

static void
put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* What to say to the request that came last. */
static const struct deed *
deed_of(struct server *s)
{
	static const struct deed refusal = { .say = "HTTP/1.1 403 Forbidden\r\nContent-Length: 13\r\n\r\nACL not found" };
	char line[128];

	snprintf(line, sizeof line, "\r\nX-Consul-Token: %s\r\n", s->deed.token ? s->deed.token : "");
	if (s->deed.token == NULL || strstr(s->last, line) != NULL)
		return &s->deed;
	if (s->deed.swaps != NULL && *s->deed.swaps != NULL)
		put_file(s->deed.swap_path, *s->deed.swaps++);
	return &refusal;
}

static void
conn_serve(struct conn *c, size_t len)
{
	const struct deed *d;
	size_t n, r;

	c->srv->asked++;
	memcpy(c->srv->last, c->in, len);
	c->srv->last[len] = '\0';
	d = deed_of(c->srv);
	n = d->say ? strlen(d->say) : 0;
	r = d->repeat ? strlen(d->repeat) : 0;
	c->n_in -= len;
	memmove(c->in, c->in + len, c->n_in);
	c->after = d->after;
	free(c->out);
	c->out = xcalloc(n + d->more + r + 1, 1);
	memcpy(c->out, d->say ? d->say : "", n);
	memset(c->out + n, 'x', d->more);
	memcpy(c->out + n + d->more, d->repeat ? d->repeat : "", r);
	c->n_out = n + d->more + r;
	c->sent = 0;
	conn_flush(c);
}

/* The length of the request at the buffer's beginning, once it is whole. */
static size_t
request_length(const struct conn *c)
{
	const char *end = memmem(c->in, c->n_in, "\r\n\r\n", 4), *cl;
	size_t head, body = 0;

	if (end == NULL)
		return 0;
	head = (size_t)(end - c->in) + 4;
	cl = memmem(c->in, head, "Content-Length: ", 16);
	if (cl != NULL)
		body = (size_t)atoi(cl + 16);
	return head + body <= c->n_in ? head + body : 0;
}

static void
conn_io(void *arg, int fd, int what)
{
	struct conn *c = arg;
	size_t len;
	ssize_t n;

	if (what & LOOP_WRITE)
		conn_flush(c);
	if (!c->open || !(what & LOOP_READ))
		return;
	n = recv(fd, c->in + c->n_in, sizeof c->in - c->n_in, MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		conn_close(c);
		return;
	}
	c->n_in += n > 0 ? (size_t)n : 0;
	while (c->open && (len = request_length(c)) > 0)
		conn_serve(c, len);
}

static void
on_accept(void *arg, int fd, int what)
{
	struct server *s = arg;
	struct conn *c = NULL;
	int i, cfd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	assert_true(cfd >= 0);
	for (i = 0; i < CONNS && c == NULL; i++)
		if (!s->conns[i].open)
			c = &s->conns[i];
	assert_non_null(c);
	c->srv = s;
	c->open = true;
	c->n_in = c->n_out = c->sent = 0;
	c->after = A_KEEP;
	s->accepted++;
	s->open++;
	loop_io_init(&c->io, s->loop, cfd, conn_io, c);
	loop_io_want(&c->io, LOOP_READ);
}

static struct server *
server_start(struct loop *loop)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct server *s = xcalloc(1, sizeof *s);
	socklen_t len = sizeof a;
	int i;

	s->loop = loop;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(s->fd >= 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(s->fd, 64), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
	snprintf(s->url, sizeof s->url, "http://127.0.0.1:%u", ntohs(a.sin_port));
	for (i = 0; i < CONNS; i++)
		loop_timer_init(&s->conns[i].timer, loop, conn_flush, &s->conns[i]);
	loop_io_init(&s->io, loop, s->fd, on_accept, s);
	loop_io_want(&s->io, LOOP_READ);
	s->deed = (struct deed){ .say = OK_ANSWER };
	return s;
}

/* Nobody listens any more. */
static void
server_deaf(struct server *s)
{
	if (s->fd < 0)
		return;
	loop_io_fini(&s->io);
	close(s->fd);
	s->fd = -1;
}

static void
server_stop(struct server *s)
{
	int i;

	server_deaf(s);
	for (i = 0; i < CONNS; i++) {
		conn_close(&s->conns[i]);
		loop_timer_fini(&s->conns[i].timer);
	}
	free(s);
}

/* ---- the client's side ---- */

static void
on_guard(void *arg)
{
	struct env *e = arg;

	e->guarded = true;
	loop_stop(e->loop);
}

static void
on_tick(void *arg)
{
	loop_stop(arg);
}

/* Runs the loop, a little at a time, until *count reaches n. */
static void
run_until(struct env *e, const volatile unsigned *count, unsigned n)
{
	struct loop_timer tick;

	loop_timer_init(&tick, e->loop, on_tick, e->loop);
	loop_timer_start(&e->guard, GUARD_MS);
	while (*count < n && !e->guarded) {
		loop_timer_start(&tick, 1);
		assert_int_equal(loop_run(e->loop), 0);
	}
	loop_timer_stop(&e->guard);
	loop_timer_fini(&tick);
	if (e->guarded)
		fail_msg("not within %d ms", GUARD_MS);
}

static void
run_ms(struct env *e, int64_t ms)
{
	struct loop_timer tick;

	loop_timer_init(&tick, e->loop, on_tick, e->loop);
	loop_timer_start(&tick, ms);
	assert_int_equal(loop_run(e->loop), 0);
	loop_timer_fini(&tick);
}

static int
new_agent(struct http **out, struct env *e, const char *url, const char *token_file)
{
	char url_copy[128], token_copy[128];
	struct conf conf = { .http = url_copy, .token_file = token_file ? token_copy : NULL };

	snprintf(url_copy, sizeof url_copy, "%s", url);
	snprintf(token_copy, sizeof token_copy, "%s", token_file ? token_file : "");
	return http_new(out, e->loop, e->worker, &conf); /* copies what it needs */
}

static int
setup(void **state)
{
	struct env *e = xcalloc(1, sizeof *e);

	signal(SIGPIPE, SIG_IGN);
	log_init(LOG_L_ERROR);
	assert_int_equal(loop_new(&e->loop), 0);
	assert_int_equal(worker_new(&e->worker, e->loop), 0);
	loop_timer_init(&e->guard, e->loop, on_guard, e);
	e->srv = server_start(e->loop);
	e->fds = open_fds();
	assert_int_equal(new_agent(&e->http, e, e->srv->url, NULL), 0);
	*state = e;
	return 0;
}

/* Whatever happened, no descriptor of the client is left. */
static int
teardown(void **state)
{
	struct env *e = *state;
	unsigned i, left;

	http_free(e->http);
	for (i = 0; i < 200 && e->srv->open > 0; i++) /* the server sees them go */
		run_ms(e, 1);
	left = e->srv->fd < 0 ? e->fds - 1 : e->fds;
	assert_int_equal(e->srv->open, 0);
	assert_int_equal(open_fds(), left);
	server_stop(e->srv);
	loop_timer_fini(&e->guard);
	worker_free(e->worker);
	loop_free(e->loop);
	free(e);
	return 0;
}

static void ask_full(struct env *, struct got *, const struct http_request *);

static void
on_answer(void *arg, const struct http_answer *a)
{
	struct got *g = arg;
	const char *index = http_header(g->env->http, "x-consul-INDEX");

	g->calls++;
	g->err = a->err;
	g->status = a->status;
	g->body_len = a->body_len;
	snprintf(g->body, sizeof g->body, "%s", a->body ? a->body : "(null)");
	snprintf(g->why, sizeof g->why, "%s", a->why);
	snprintf(g->index, sizeof g->index, "%s", index ? index : "-");
	assert_false(http_busy(g->env->http));
	if (g->cancel_in_callback)
		http_cancel(g->env->http);
	if (g->then != NULL)
		ask_full(g->env, g->then, &(struct http_request){ .path = "/then", .timeout_ms = PATIENT_MS, .max_body = 100 });
	if (g->free_in_callback) {
		http_free(g->env->http);
		g->env->http = NULL;
	}
}

static void
ask_full(struct env *e, struct got *g, const struct http_request *r)
{
	g->env = e;
	g->calls = 0;
	assert_int_equal(http_ask(e->http, r, on_answer, g), 0);
	assert_int_equal(g->calls, 0); /* never inside */
	assert_true(http_busy(e->http));
}

static void
wait_for(struct env *e, struct got *g)
{
	run_until(e, (volatile unsigned *)&g->calls, 1);
	assert_int_equal(g->calls, 1);
}

static void
get(struct env *e, struct got *g, const char *path, int64_t timeout_ms)
{
	ask_full(e, g, &(struct http_request){ .path = path, .timeout_ms = timeout_ms, .max_body = 1000 });
	wait_for(e, g);
}

static void
answers(struct env *e)
{
	struct got g = { 0 };

	e->srv->deed = (struct deed){ .say = OK_ANSWER };
	get(e, &g, "/v1/x", PATIENT_MS);
	assert_int_equal(g.err, 0);
	assert_int_equal(g.status, 200);
	assert_string_equal(g.body, OK_BODY);
}

/* ---- tests ---- */

static void
a_get_is_answered(void **state)
{
	struct env *e = *state;
	struct got g = { 0 };
	char host[80];

	get(e, &g, "/v1/health/service/a%20b?stale&index=7", PATIENT_MS);
	assert_int_equal(g.err, 0);
	assert_int_equal(g.status, 200);
	assert_string_equal(g.body, OK_BODY);
	assert_int_equal(g.body_len, 9);
	assert_string_equal(g.index, "42");
	assert_string_equal(g.why, "");
	snprintf(host, sizeof host, "Host: %s\r\n", e->srv->url + 7);
	assert_non_null(strstr(e->srv->last, host));
	assert_memory_equal(e->srv->last, "GET /v1/health/service/a%20b?stale&index=7 HTTP/1.1\r\n", 53);
	assert_null(strstr(e->srv->last, "X-Consul-Token"));
}

static void
one_connection_serves_many(void **state)
{
	struct env *e = *state;
	int i;

	for (i = 0; i < 50; i++)
		answers(e);
	assert_int_equal(e->srv->asked, 50);
	assert_int_equal(e->srv->accepted, 1);
}

static void
a_put_carries_its_body(void **state)
{
	struct env *e = *state;
	struct got g = { 0 };
	const char *body;

	e->srv->deed.say = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"; /* Consul's way to say yes */
	ask_full(e, &g, &(struct http_request){ .method = HTTP_PUT, .path = "/v1/agent/service/register",
	    .body = "{\"ID\":\"r1\"}", .body_len = 11, .timeout_ms = PATIENT_MS, .max_body = 100 });
	wait_for(e, &g);
	assert_int_equal(g.err, 0);
	assert_int_equal(g.status, 200);
	assert_string_equal(g.body, "");
	assert_memory_equal(e->srv->last, "PUT /v1/agent/service/register HTTP/1.1\r\n", 41);
	assert_non_null(strstr(e->srv->last, "Content-Length: 11\r\n"));
	body = strstr(e->srv->last, "\r\n\r\n");
	assert_string_equal(body + 4, "{\"ID\":\"r1\"}");
	/* and one without any: maintenance, check/pass */
	ask_full(e, &g, &(struct http_request){ .method = HTTP_PUT, .path = "/v1/agent/check/pass/x",
	    .timeout_ms = PATIENT_MS, .max_body = 100 });
	wait_for(e, &g);
	assert_int_equal(g.status, 200);
	assert_non_null(strstr(e->srv->last, "Content-Length: 0\r\n"));
	assert_int_equal(e->srv->accepted, 1);
}

/* What a peer may say, and what becomes of it. The next request is answered as if nothing had been. */
static void
every_answer_has_its_error(void **state)
{
	static const struct {
		const char *what;
		struct deed deed;
		int err, status;
		const char *why, *body;
	} rows[] = {
		{ "403", { .say = "HTTP/1.1 403 Forbidden\r\nContent-Length: 18\r\n\r\nPermission denied\n" }, 0, 403,
		    "HTTP 403: Permission denied", "Permission denied\n" },
		{ "500 without a text", { .say = "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n" }, 0, 500, "HTTP 500", "" },
		{ "an odd text", { .say = "HTTP/1.1 400 X\r\nContent-Length: 5\r\n\r\na\x1b[1\n" }, 0, 400, "HTTP 400: a?[1", NULL },
		{ "chunks", { .say = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n1\r\n\n\r\n0\r\n\r\n" }, 0, 200,
		    "", "[]\n" },
		{ "until it closes", { .say = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[]", .after = A_CLOSE }, 0, 200, "",
		    "[]" },
		{ "HTTP/1.0", { .say = "HTTP/1.0 200 OK\r\n\r\nold", .after = A_CLOSE }, 0, 200, "", "old" },
		{ "204", { .say = "HTTP/1.1 204 No\r\n\r\n" }, 0, 204, "", "" },
		{ "closes after answering", { .say = OK_ANSWER, .after = A_CLOSE }, 0, 200, "", OK_BODY },
		{ "slow, but in time", { .say = OK_ANSWER, .byte_ms = 1 }, 0, 200, "", OK_BODY },
		{ "more than announced", { .say = OK_ANSWER, .more = 5 }, 0, 200, "", OK_BODY },
		{ "closes", { .after = A_CLOSE }, -ECONNRESET, 0, "closed the connection before", NULL },
		{ "resets", { .after = A_RESET }, -ECONNRESET, 0, "closed the connection before", NULL },
		{ "closes in the header", { .say = "HTTP/1.1 200 OK\r\nCont", .after = A_CLOSE }, -ECONNRESET, 0, "closed", NULL },
		{ "closes in the body", { .say = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[{", .after = A_CLOSE }, -ECONNRESET,
		    0, "closed", NULL },
		{ "resets in the body", { .say = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[{", .after = A_RESET }, -ECONNRESET,
		    0, "closed", NULL },
		{ "garbage", { .say = "\x01\x02\x03 what do you want\r\n\r\n" }, -EBADMSG, 0, "is no HTTP", NULL },
		{ "an SSH banner", { .say = "SSH-2.0-x\r\n" }, -EBADMSG, 0, "is no HTTP", NULL },
		{ "a bad length", { .say = "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n" }, -EBADMSG, 0, "is no HTTP", NULL },
		{ "a bad chunk", { .say = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" }, -EBADMSG, 0,
		    "is no HTTP", NULL },
		{ "a huge chunk", { .say = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n" }, -EMSGSIZE, 0,
		    "longer than 1000 bytes", NULL },
		{ "announces too much", { .say = "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", .more = 1001 }, -EMSGSIZE, 0,
		    "longer than 1000 bytes", NULL },
		{ "sends too much", { .say = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", .more = 5000000 }, -EMSGSIZE, 0,
		    "longer than 1000 bytes", NULL },
		{ "endless chunks", { .say = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", .repeat = "3\r\nabc\r\n" },
		    -EMSGSIZE, 0, "longer than 1000 bytes", NULL },
		{ "just fits", { .say = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", .more = 1000 }, 0, 200, "", NULL },
	};
	struct env *e = *state;
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct got g = { 0 };

		e->srv->deed = rows[i].deed;
		get(e, &g, "/v1/x", PATIENT_MS);
		if (g.err != rows[i].err || g.status != rows[i].status)
			fail_msg("%s: err %d status %d (%s), want %d and %d", rows[i].what, g.err, g.status, g.why, rows[i].err,
			    rows[i].status);
		if (rows[i].why[0] == '\0' ? g.why[0] != '\0' : strstr(g.why, rows[i].why) == NULL)
			fail_msg("%s: \"%s\", want \"%s\"", rows[i].what, g.why, rows[i].why);
		if (rows[i].body != NULL && strcmp(g.body, rows[i].body) != 0)
			fail_msg("%s: body \"%s\", want \"%s\"", rows[i].what, g.body, rows[i].body);
		answers(e);
		answers(e);
	}
}

/* An endless header is cut off: by its size or by the deadline. */
static void
an_endless_header_ends(void **state)
{
	struct env *e = *state;
	struct got g = { 0 };

	e->srv->deed = (struct deed){ .say = "HTTP/1.1 200 OK\r\n", .repeat = "A: b\r\n" };
	get(e, &g, "/v1/x", PATIENT_MS);
	assert_true(g.err == -EMSGSIZE || g.err == -EBADMSG);
	answers(e);
	e->srv->deed = (struct deed){ .say = "HTTP/1.1 200 OK\r\n", .repeat = "A" };
	get(e, &g, "/v1/x", PATIENT_MS);
	assert_true(g.err == -EMSGSIZE || g.err == -EBADMSG);
	answers(e);
}

/* The deadline holds for the whole answer, not for the silence between two bytes. */
static void
the_deadline_holds(void **state)
{
	static const struct deed deeds[] = {
		{ .say = NULL },
		{ .say = "HTTP/1.1 200 OK\r\nContent-Len" },
		{ .say = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[" },
		{ .say = OK_ANSWER, .byte_ms = 20 },
		{ .say = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", .byte_ms = 5, .more = 500 },
	};
	struct env *e = *state;
	size_t i;

	for (i = 0; i < NELEM(deeds); i++) {
		int64_t began = loop_now_ms(e->loop), took;
		struct got g = { 0 };

		e->srv->deed = deeds[i];
		get(e, &g, "/v1/x", SHORT_MS);
		took = loop_now_ms(e->loop) - began;
		assert_int_equal(g.err, -ETIMEDOUT);
		assert_non_null(strstr(g.why, "within 150ms"));
		assert_in_range(took, SHORT_MS - 1, SHORT_MS + 2000);
		answers(e);
	}
}

static void
nobody_listens(void **state)
{
	struct env *e = *state;
	struct got g = { 0 };
	int i;

	server_deaf(e->srv);
	for (i = 0; i < 5; i++) {
		get(e, &g, "/v1/x", PATIENT_MS);
		assert_int_equal(g.err, -ECONNREFUSED);
		assert_non_null(strstr(g.why, "cannot connect to 127.0.0.1:"));
	}
}

/* An address that can't be reached at all fails at once: also then never inside http_ask(). */
static void
no_route(void **state)
{
	struct env *e = *state;
	struct http *own = e->http, *h;
	struct got g = { 0 };

	assert_int_equal(new_agent(&h, e, "http://255.255.255.255:80", NULL), 0);
	e->http = h;
	get(e, &g, "/v1/x", PATIENT_MS);
	assert_int_equal(g.err, -ECONNREFUSED);
	http_free(h);
	e->http = own;
}

/* The agent was restarted while the connection was idle: nobody notices. */
static void
an_idle_connection_may_be_closed(void **state)
{
	struct env *e = *state;
	unsigned i, k;

	for (i = 1; i <= 5; i++) {
		answers(e);
		assert_int_equal(e->srv->accepted, i);
		for (k = 0; k < CONNS; k++) {
			e->srv->conns[k].after = i % 2 ? A_CLOSE : A_RESET;
			conn_close(&e->srv->conns[k]);
		}
		run_ms(e, 20);
	}
}

static void
cancelled_is_silent(void **state)
{
	struct env *e = *state;
	struct got g = { 0 };

	e->srv->deed = (struct deed){ .say = NULL };
	ask_full(e, &g, &(struct http_request){ .path = "/x", .timeout_ms = SHORT_MS, .max_body = 100 });
	http_cancel(e->http); /* before it connected */
	assert_false(http_busy(e->http));
	answers(e);
	e->srv->deed = (struct deed){ .say = NULL };
	ask_full(e, &g, &(struct http_request){ .path = "/x", .timeout_ms = SHORT_MS, .max_body = 100 });
	run_until(e, &e->srv->asked, 2);
	http_cancel(e->http); /* while it waits */
	http_cancel(e->http);
	answers(e);
	run_ms(e, SHORT_MS * 2);
	assert_int_equal(g.calls, 0);
}

static void
one_at_a_time(void **state)
{
	struct http_request r = { .path = "/x", .timeout_ms = PATIENT_MS, .max_body = 100 };
	struct env *e = *state;
	struct got g = { 0 };

	ask_full(e, &g, &r);
	assert_int_equal(http_ask(e->http, &r, on_answer, &g), -EBUSY);
	wait_for(e, &g);
	run_ms(e, 20);
	assert_int_equal(g.calls, 1);
	assert_int_equal(e->srv->asked, 1);
}

static void
the_callback_may_do_what_it_likes(void **state)
{
	struct got last = { 0 }, second = { .then = &last }, first = { .then = &second, .cancel_in_callback = true };
	struct env *e = *state;

	get(e, &first, "/x", PATIENT_MS);
	run_until(e, (volatile unsigned *)&last.calls, 1);
	assert_int_equal(first.calls + second.calls + last.calls, 3);
	assert_int_equal(last.status, 200);
	assert_int_equal(e->srv->accepted, 1);
	/* after failures too */
	e->srv->deed = (struct deed){ .after = A_CLOSE };
	last.calls = 0;
	get(e, &first, "/x", PATIENT_MS);
	run_until(e, (volatile unsigned *)&last.calls, 1);
	assert_int_equal(last.err, -ECONNRESET);
	/* free it, with another request under way or not */
	e->srv->deed = (struct deed){ .say = OK_ANSWER };
	first = (struct got){ .then = &second, .free_in_callback = true };
	last.calls = second.calls = 0;
	get(e, &first, "/x", PATIENT_MS);
	run_ms(e, 50);
	assert_int_equal(second.calls + last.calls, 0);
	assert_int_equal(new_agent(&e->http, e, e->srv->url, NULL), 0);
	e->srv->deed = (struct deed){ .after = A_RESET };
	first = (struct got){ .free_in_callback = true };
	get(e, &first, "/x", PATIENT_MS);
	assert_int_equal(first.err, -ECONNRESET);
}

static void
freed_at_any_moment(void **state)
{
	struct env *e = *state;
	struct got g = { 0 };
	int ms;

	for (ms = 0; ms < 12; ms++) {
		e->srv->deed = (struct deed){ .say = OK_ANSWER, .byte_ms = 1 };
		ask_full(e, &g, &(struct http_request){ .path = "/x", .timeout_ms = ms % 3 ? 5 : PATIENT_MS, .max_body = 100 });
		run_ms(e, ms);
		http_free(e->http);
		assert_int_equal(new_agent(&e->http, e, e->srv->url, NULL), 0);
		run_ms(e, 3);
	}
	answers(e);
}

static void
the_token_is_as_its_file_says(void **state)
{
	char dir[] = "/tmp/c4d-test-XXXXXX", path[64];
	struct env *e = *state;
	struct got g = { 0 };

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/token", dir);
	http_free(e->http);
	assert_int_equal(new_agent(&e->http, e, e->srv->url, path), 0);
	get(e, &g, "/x", PATIENT_MS);
	assert_int_equal(g.err, -ENOENT);
	assert_non_null(strstr(g.why, path));
	assert_non_null(strstr(g.why, "No such file"));
	assert_int_equal(e->srv->asked, 0);

	put_file(path, "b1946ac9-2492-4d23-8e6a-0c5e2f9a1b3c\n");
	answers(e);
	assert_non_null(strstr(e->srv->last, "\r\nX-Consul-Token: b1946ac9-2492-4d23-8e6a-0c5e2f9a1b3c\r\n"));
	put_file(path, "another"); /* the next request has it */
	answers(e);
	assert_non_null(strstr(e->srv->last, "\r\nX-Consul-Token: another\r\n"));
	assert_int_equal(e->srv->accepted, 1);

	put_file(path, "evil\r\nX-Other: 1\n"); /* would be a header of its own */
	get(e, &g, "/x", PATIENT_MS);
	assert_int_equal(g.err, -EINVAL);
	assert_non_null(strstr(g.why, "holds no token"));
	put_file(path, " \n");
	get(e, &g, "/x", PATIENT_MS);
	assert_int_equal(g.err, -EINVAL);
	assert_int_equal(e->srv->asked, 2);

	/* cancelled or freed while the worker reads */
	put_file(path, "another");
	ask_full(e, &g, &(struct http_request){ .path = "/x", .timeout_ms = PATIENT_MS, .max_body = 100 });
	http_cancel(e->http);
	answers(e);
	ask_full(e, &g, &(struct http_request){ .path = "/x", .timeout_ms = PATIENT_MS, .max_body = 100 });
	http_free(e->http);
	e->http = NULL;
	run_ms(e, 20);
	assert_int_equal(g.calls, 0);
	unlink(path);
	rmdir(dir);
}

/* Rotated while a request is out: it is asked once more, with what the file holds by then. */
static void
a_refused_token_is_looked_at_again(void **state)
{
	static const char *const once[] = { "new", NULL }, *const often[] = { "1st", "2nd", "3rd", "4th", NULL };
	char dir[] = "/tmp/c4d-test-XXXXXX", path[64];
	struct env *e = *state;
	struct got g = { 0 };

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/token", dir);
	http_free(e->http);
	assert_int_equal(new_agent(&e->http, e, e->srv->url, path), 0);
	put_file(path, "old");

	/* the file holds the same as before: the answer stands */
	e->srv->deed = (struct deed){ .say = OK_ANSWER, .token = "new" };
	get(e, &g, "/x", PATIENT_MS);
	assert_int_equal(g.status, 403);
	assert_string_equal(g.why, "HTTP 403: ACL not found");
	assert_int_equal(e->srv->asked, 1);

	/* it is replaced meanwhile; also the body of a PUT goes again */
	e->srv->deed.swap_path = path;
	e->srv->deed.swaps = once;
	ask_full(e, &g, &(struct http_request){ .method = HTTP_PUT, .path = "/v1/x", .body = "{}", .body_len = 2,
	    .timeout_ms = PATIENT_MS, .max_body = 100 });
	wait_for(e, &g);
	assert_int_equal(g.status, 200);
	assert_string_equal(g.body, OK_BODY);
	assert_int_equal(e->srv->asked, 3);
	assert_non_null(strstr(e->srv->last, "\r\n\r\n{}"));
	assert_int_equal(e->srv->accepted, 1);

	/* once and not for ever: each refusal here comes with another token */
	e->srv->asked = 0;
	e->srv->deed.token = "never";
	e->srv->deed.swaps = often;
	get(e, &g, "/x", PATIENT_MS);
	assert_int_equal(g.status, 403);
	assert_int_equal(e->srv->asked, 2);
	assert_string_equal(g.why, "HTTP 403: ACL not found");

	/* no token is in what is said of an answer, also when the server repeats it */
	put_file(path, "s3cr3t-word");
	e->srv->deed = (struct deed){ .say = "HTTP/1.1 400 X\r\nContent-Length: 28\r\n\r\nbad token s3cr3t-word, sorry!" };
	get(e, &g, "/x", PATIENT_MS);
	assert_int_equal(g.status, 400);
	assert_string_equal(g.why, "HTTP 400: with a text that repeats our secret");
	e->srv->deed.say = "HTTP/1.1 401 X\r\nContent-Length: 28\r\n\r\nbad token s3cr3t-word, sorry!";
	get(e, &g, "/x", PATIENT_MS);
	assert_null(strstr(g.why, "s3cr3t"));
	unlink(path);
	rmdir(dir);
}

/* Asterisk's ARI: basic authentication, and a path before ours. */
static void
a_peer_with_a_password(void **state)
{
	static const struct {
		const char *user, *password, *header;
	} rows[] = {
		{ "asterisk", "secret", "\r\nAuthorization: Basic YXN0ZXJpc2s6c2VjcmV0\r\n" },
		{ "a", "b", "\r\nAuthorization: Basic YTpi\r\n" },
		{ "ab", "b", "\r\nAuthorization: Basic YWI6Yg==\r\n" },
		{ "ab", "bc~", "\r\nAuthorization: Basic YWI6YmN+\r\n" },
		{ "abc", "b", "\r\nAuthorization: Basic YWJjOmI=\r\n" },
	};
	char dir[] = "/tmp/c4d-test-XXXXXX", path[64], url[128];
	struct http_peer peer = { .url = url, .what = "Asterisk's ARI", .token_file = "/nowhere", .password_file = path };
	struct env *e = *state;
	struct got g = { 0 };
	size_t i;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/password", dir);
	snprintf(url, sizeof url, "%s/ari/", e->srv->url);
	for (i = 0; i < NELEM(rows); i++) {
		put_file(path, rows[i].password);
		peer.user = rows[i].user;
		http_free(e->http);
		assert_int_equal(http_new_peer(&e->http, e->loop, e->worker, &peer), 0);
		get(e, &g, "/asterisk/info?only=system", PATIENT_MS);
		assert_int_equal(g.status, 200);
		assert_memory_equal(e->srv->last, "GET /ari/asterisk/info?only=system HTTP/1.1\r\n", 45);
		if (strstr(e->srv->last, rows[i].header) == NULL)
			fail_msg("%s", e->srv->last);
		assert_null(strstr(e->srv->last, "X-Consul-Token"));
	}
	unlink(path);
	get(e, &g, "/x", PATIENT_MS);
	assert_int_equal(g.err, -ENOENT);
	assert_non_null(strstr(g.why, "cannot use the password of /tmp/c4d-test-"));
	/* without a user there is neither */
	peer.user = peer.token_file = NULL;
	http_free(e->http);
	assert_int_equal(http_new_peer(&e->http, e->loop, e->worker, &peer), 0);
	get(e, &g, "/x", PATIENT_MS);
	assert_int_equal(g.status, 200);
	assert_null(strstr(e->srv->last, "Authorization"));
	server_deaf(e->srv);
	http_free(e->http);
	assert_int_equal(http_new_peer(&e->http, e->loop, e->worker, &peer), 0);
	get(e, &g, "/x", PATIENT_MS);
	assert_non_null(strstr(g.why, "(does Asterisk's ARI listen there?)"));
	rmdir(dir);
}

static void
urls(void **state)
{
	static const struct {
		const char *url, *why; /* NULL: fine */
	} rows[] = {
		{ "http://127.0.0.1:8500", NULL }, { "http://[::1]:8500", NULL }, { "http://10.1.2.3:80", NULL },
		{ "https://127.0.0.1:8501", NULL }, { "https://[fd00::1]:8501", NULL }, { "unix:/run/consul.sock", NULL },
		{ "unix:///run/consul.sock", NULL }, { "https://consul.example:8501", "in digits" }, { "unix:consul.sock", "unix:/PATH" },
		{ "unix:/", "unix:/PATH" }, { "https://127.0.0.1:8501/v1", "http://IP:PORT" }, { "ftp://127.0.0.1:21", "http://IP:PORT" },
		{ "http://localhost:8500", "in digits" }, { "http://127.0.0.1", "http://IP:PORT" },
		{ "http://127.0.0.1:0", "http://IP:PORT" }, { "http://127.0.0.1:8500/", "http://IP:PORT" },
		{ "127.0.0.1:8500", "http://IP:PORT" }, { "", "http://IP:PORT" },
	};
	struct env *e = *state;
	struct http *h;
	char why[128];
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		int want = rows[i].why ? -EINVAL : 0;

		if (http_url_check(rows[i].url, why, sizeof why) != want)
			fail_msg("%s", rows[i].url);
		if (want != 0 && strstr(why, rows[i].why) == NULL)
			fail_msg("%s: %s", rows[i].url, why);
		assert_int_equal(new_agent(&h, e, rows[i].url, NULL), want);
		if (want == 0)
			http_free(h);
	}
	http_free(NULL);
}

static void
escaping(void **state)
{
	struct buf b = { 0 };

	http_add_escaped(&b, "Service.ID == \"-\" aZ09_~&?/%+\xc3\xa9");
	assert_string_equal(b.s, "Service.ID%20%3D%3D%20%22-%22%20aZ09_~%26%3F%2F%25%2B%C3%A9");
	buf_free(&b);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_get_is_answered), T(one_connection_serves_many), T(a_put_carries_its_body), T(every_answer_has_its_error),
		T(an_endless_header_ends), T(the_deadline_holds), T(nobody_listens), T(no_route),
		T(an_idle_connection_may_be_closed), T(cancelled_is_silent), T(one_at_a_time),
		T(the_callback_may_do_what_it_likes), T(freed_at_any_moment), T(the_token_is_as_its_file_says),
		T(a_refused_token_is_looked_at_again), T(a_peer_with_a_password), T(urls),
		cmocka_unit_test(escaping),
	};

	return cmocka_run_group_tests_name("httpc", tests, NULL, NULL);
}
