/*
 * The clients of Consul's HTTP and DNS, Kamailio's ctl and rtpengine's NG when a call of theirs fails: each request ends with its error, once, and
 * the next one goes through.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/un.h>

#include <ares.h>

#include "base/worker.h"
#include "consul/http.h"
#include "discovery/resolver.h"
#include "fault_fx.h"
#include "kamailio/kam.h"
#include "ng_fx.h"

/* ---- a server of streams: what comes is looked at by `serve`, which may answer by write() ---- */

#define CONNS 8

struct server {
	struct topo_addr addr;
	struct loop_io io;
	int fd;
	struct loop_io conn_io[CONNS];
	int conn[CONNS]; /* -1: free */
	char in[4096];
	size_t n_in;
	void (*serve)(struct server *, int fd);
	unsigned served;
};

static void
server_read(void *arg, int fd, int what)
{
	struct server *s = arg;
	ssize_t n = read(fd, s->in + s->n_in, sizeof s->in - 1 - s->n_in);
	size_t i;

	if (n > 0) {
		s->n_in += (size_t)n;
		s->in[s->n_in] = '\0';
		s->serve(s, fd);
		return;
	}
	for (i = 0; i < CONNS; i++)
		if (s->conn[i] == fd)
			fx_close(&s->conn_io[i], &s->conn[i]);
	s->n_in = 0;
}

static void
server_accept(void *arg, int fd, int what)
{
	struct server *s = arg;
	int got = accept(fd, NULL, NULL);
	size_t i;

	if (got < 0)
		return;
	for (i = 0; s->conn[i] >= 0; i++)
		assert_true(i + 1 < CONNS);
	s->conn[i] = got;
	s->n_in = 0;
	fx_watch(&fx, &s->conn_io[i], got, server_read, s);
}

static void
server_open(struct server *s, void (*serve)(struct server *, int fd))
{
	size_t i;

	memset(s, 0, sizeof *s);
	for (i = 0; i < CONNS; i++)
		s->conn[i] = -1;
	s->serve = serve;
	assert_int_equal(topo_addr_parse_ip("127.0.0.1", &s->addr), 0);
	s->fd = fx_socket(&s->addr, SOCK_STREAM);
	fx_watch(&fx, &s->io, s->fd, server_accept, s);
}

static void
server_close(struct server *s)
{
	size_t i;

	for (i = 0; i < CONNS; i++)
		fx_close(&s->conn_io[i], &s->conn[i]);
	fx_close(&s->io, &s->fd);
}

static void
say(int fd, const void *bytes, size_t len)
{
	assert_int_equal(write(fd, bytes, len), len);
}

/* ---- HTTP ---- */

#define BODY_BYTES 70000

static void
serve_http(struct server *s, int fd)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n";
	static char body[BODY_BYTES];

	if (strstr(s->in, "\r\n\r\n") == NULL)
		return;
	s->n_in = 0;
	s->served++;
	memset(body, 'x', sizeof body);
	say(fd, head, sizeof head - 1);
	say(fd, body, sizeof body);
}

struct answer {
	unsigned n;
	int err, status;
	size_t len;
	char why[256];
};

static void
on_answer(void *arg, const struct http_answer *a)
{
	struct answer *got = arg;

	got->n++;
	got->err = a->err;
	got->status = a->status;
	got->len = a->body_len;
	snprintf(got->why, sizeof got->why, "%s", a->why);
}

static struct answer
ask(struct http *h)
{
	struct http_request r = { .method = HTTP_GET, .path = "/v1/x", .timeout_ms = 5000, .max_body = 100000 };
	struct answer got = { .n = 0 };

	assert_int_equal(http_ask(h, &r, on_answer, &got), 0);
	assert_int_equal(got.n, 0);
	AWAIT(&fx, got.n > 0);
	assert_int_equal(got.n, 1);
	return got;
}

static void
a_request_ends_with_the_error_of_its_call(void **state)
{
	static const struct {
		const char *call;
		int err, want;
		const char *why;
	} cases[] = {
		{ "socket", EMFILE, -ECONNREFUSED, "Too many open files" },
		{ "connect", ENETUNREACH, -ECONNREFUSED, "Network is unreachable" },
		{ "connect", EADDRNOTAVAIL, -ECONNREFUSED, "Cannot assign requested address" },
		{ "getsockopt", ENOBUFS, -ECONNREFUSED, "No buffer space available" },
		{ "bufferevent_socket_new", ENOMEM, -ENOMEM, "out of memory" },
		{ "bufferevent_enable", ENOMEM, -ENOMEM, "out of memory" },
		{ "evbuffer_new", ENOMEM, -ENOMEM, "out of memory" },
		{ "evbuffer_add_reference", ENOMEM, -ENOMEM, "out of memory" },
		{ "bufferevent_write_buffer", ENOMEM, -ENOMEM, "out of memory" },
		{ "realloc", ENOMEM, -ENOMEM, "out of memory" },
	};
	struct server s;
	struct worker *w;
	struct http *h;
	char url[64];
	size_t i;

	(void)state;
	server_open(&s, serve_http);
	snprintf(url, sizeof url, "http://127.0.0.1:%u", s.addr.port);
	assert_int_equal(worker_new(&w, fx.loop), 0);
	for (i = 0; i < NELEM(cases); i++) {
		struct http_peer peer = { .url = url, .what = "a Consul agent" };
		struct answer got;

		assert_int_equal(http_new_peer(&h, fx.loop, w, &peer), 0);
		fault_set(cases[i].call, 1, cases[i].err);
		got = ask(h);
		if (fault_hits() != 1)
			fail_msg("%s is not called", cases[i].call);
		fault_clear();
		if (got.err != cases[i].want)
			fail_msg("%s: %d and not %d (%s)", cases[i].call, got.err, cases[i].want, got.why);
		assert_int_equal(got.status, 0);
		ASSERT_SAYS(got.why, cases[i].why);
		got = ask(h);
		assert_int_equal(got.err, 0);
		assert_int_equal(got.status, 200);
		assert_int_equal(got.len, BODY_BYTES);
		http_free(h);
	}
	worker_free(w);
	server_close(&s);
}

/* ---- Kamailio ---- */

static void
put_u32(struct buf *b, uint32_t n)
{
	uint8_t bytes[4] = { (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n };

	buf_add(b, bytes, sizeof bytes);
}

static void
put(struct buf *b, unsigned byte)
{
	uint8_t c = (uint8_t)byte;

	buf_add(b, &c, 1);
}

static void
put_name(struct buf *b, const char *name)
{
	size_t at = b->len;

	binrpc_add_str(b, name);
	b->s[at] = (char)((b->s[at] & 0xf0) | 5);
}

/* Of what kam asks by itself a fault for what it can do without; a text of this length for all else. */
#define TEXT_BYTES 200000

static void
serve_binrpc(struct server *s, int fd)
{
	static char text[TEXT_BYTES];
	struct buf body = { 0 }, out = { 0 };
	unsigned kind = BINRPC_REPLY, len_bytes, i;
	uint32_t cookie = 0;

	if (s->n_in < 10)
		return;
	if (memmem(s->in, s->n_in, "core.uptime", 11) != NULL) {
		put(&body, 0x03);
		put_name(&body, "up_since");
		binrpc_add_str(&body, "Sat Nov 21 04:28:36 2026");
		put(&body, 0x83);
	} else if (memmem(s->in, s->n_in, "core.", 5) != NULL) {
		binrpc_add_int(&body, 500);
		binrpc_add_str(&body, "no such thing");
		kind = BINRPC_FAULT;
	} else {
		memset(text, 'x', sizeof text);
		text[sizeof text - 1] = '\0';
		put(&body, 0xc1); /* a text, its length in four bytes */
		put_u32(&body, sizeof text);
		buf_add(&body, text, sizeof text);
		s->served++;
	}
	put(&out, 0xa1);
	put(&out, kind << 4 | 0x0f);
	put_u32(&out, (uint32_t)body.len);
	/* the cookie is behind the length, both as long as their fields in the head say */
	len_bytes = ((unsigned char)s->in[1] >> 2 & 3) + 1;
	for (i = 0; i <= ((unsigned char)s->in[1] & 3); i++)
		cookie = cookie << 8 | (unsigned char)s->in[2 + len_bytes + i];
	put_u32(&out, cookie);
	buf_add(&out, body.s, body.len);
	say(fd, out.s, out.len);
	buf_free(&body);
	buf_free(&out);
	s->n_in = 0;
}

struct kam_got {
	unsigned ups, downs, calls;
	int down_err, err;
	char why[256];
};

static void
on_up(void *arg, const struct kam_ident *id, bool restarted)
{
	((struct kam_got *)arg)->ups++;
}

static void
on_down(void *arg, int err, const char *why)
{
	struct kam_got *g = arg;

	g->downs++;
	g->down_err = err;
	snprintf(g->why, sizeof g->why, "%s", why);
}

static void
on_reply(void *arg, int err, const struct binrpc_msg *msg)
{
	struct kam_got *g = arg;

	g->calls++;
	g->err = err;
}

static const struct kam_events kam_events = { .up = on_up, .down = on_down };

static void
kam_ask(struct kam *k, struct kam_got *g)
{
	struct buf b = { 0 };
	unsigned calls = g->calls;

	binrpc_begin(&b, "test.large");
	kam_call(k, "test.large", &b, on_reply, g);
	buf_free(&b);
	AWAIT(&fx, g->calls > calls);
	assert_int_equal(g->calls, calls + 1);
}

static struct kam *
kam_open(struct server *s, struct kam_got *g)
{
	struct kam *k;
	char addr[64];

	memset(g, 0, sizeof *g);
	snprintf(addr, sizeof addr, "tcp:127.0.0.1:%u", s->addr.port);
	assert_int_equal(kam_new(&k, fx.loop, "sbc", addr, 5000, &kam_events, g), 0);
	kam_start(k);
	return k;
}

/* It is tried again until it works; that it did not is said once. */
static void
a_kamailio_that_cannot_be_connected_is_tried_again(void **state)
{
	static const struct {
		const char *call;
		int err;
		const char *why;
	} cases[] = {
		{ "socket", EMFILE, "Too many open files" },
		{ "socket", ENFILE, "Too many open files in system" },
		{ "connect", EADDRNOTAVAIL, "Cannot assign requested address" },
		{ "connect", EPERM, "does a packet filter forbid it?" },
		{ "getsockopt", ENOBUFS, "No buffer space available" },
	};
	struct server s;
	struct kam_got g;
	struct kam *k;
	size_t i;

	(void)state;
	server_open(&s, serve_binrpc);
	for (i = 0; i < NELEM(cases); i++) {
		fault_times(cases[i].call, 1, 2, cases[i].err);
		k = kam_open(&s, &g);
		AWAIT(&fx, g.ups > 0);
		if (fault_hits() != 2 || g.downs != 1 || g.down_err != -cases[i].err)
			fail_msg("%s: hits %u, downs %u, err %d", cases[i].call, fault_hits(), g.downs, g.down_err);
		fault_clear();
		ASSERT_SAYS(g.why, cases[i].why);
		kam_ask(k, &g);
		assert_int_equal(g.err, 0);
		kam_free(k);
	}
	server_close(&s);
}

static void
a_connection_that_breaks_ends_its_call_and_comes_back(void **state)
{
	static const struct {
		const char *call;
		int err;
		size_t min;
		const char *why;
	} cases[] = {
		{ "send", ECONNRESET, 0, "Connection reset by peer" },
		{ "recv", ECONNRESET, 0, "Connection reset by peer" },
		{ "recv", ETIMEDOUT, 0, "Connection timed out" },
		{ "realloc", ENOMEM, 0, "out of memory" },
		{ "realloc", ENOMEM, 100000, "out of memory for a reply of " },
	};
	struct server s;
	struct kam_got g;
	struct kam *k;
	size_t i;

	(void)state;
	server_open(&s, serve_binrpc);
	for (i = 0; i < NELEM(cases); i++) {
		if (i == 3) /* its buffer is made with the first bytes that come */
			fault_set("realloc", 1, ENOMEM);
		k = kam_open(&s, &g);
		AWAIT(&fx, g.ups > 0);
		if (i == 3) {
			assert_int_equal(fault_hits(), 1);
			assert_int_equal(g.downs, 1);
			ASSERT_SAYS(g.why, "out of memory");
			kam_free(k);
			fault_clear();
			continue;
		}
		fault_min_bytes(cases[i].min);
		fault_set(cases[i].call, 1, cases[i].err);
		kam_ask(k, &g);
		if (fault_hits() != 1)
			fail_msg("%s is not called", cases[i].call);
		fault_clear();
		if (g.err != -ECONNRESET)
			fail_msg("%s: %d", cases[i].call, g.err);
		AWAIT(&fx, g.downs > 0);
		ASSERT_SAYS(g.why, cases[i].why);
		AWAIT(&fx, g.ups > 1);
		kam_ask(k, &g);
		assert_int_equal(g.err, 0);
		kam_free(k);
	}
	server_close(&s);
}

/* Bytes that go and come one by one, and signals in between, are no errors. */
static void
interrupted_and_short_calls_are_no_errors(void **state)
{
	struct server s;
	struct kam_got g;
	struct kam *k;

	(void)state;
	server_open(&s, serve_binrpc);
	k = kam_open(&s, &g);
	AWAIT(&fx, g.ups > 0);
	fault_times("recv", 1, 5, EINTR);
	fault_times("recv", 1, 100, FAULT_SHORT);
	fault_times("send", 1, 3, EINTR);
	kam_ask(k, &g);
	assert_int_equal(g.err, 0);
	assert_int_equal(fault_hits(), 108);
	assert_int_equal(g.downs, 0);
	kam_free(k);
	server_close(&s);
}

/* ---- rtpengine ---- */

struct ng_got {
	unsigned n;
	int err;
	char why[256];
};

static void
on_ng(void *arg, int err, const struct bencode_value *answer, const char *why)
{
	struct ng_got *g = arg;

	g->n++;
	g->err = err;
	snprintf(g->why, sizeof g->why, "%s", why);
}

/* Ours to mend: it says nothing about the node. */
static void
a_question_without_a_socket_says_nothing_about_the_node(void **state)
{
	static const struct {
		const char *call;
		int err, want;
	} cases[] = {
		{ "socket", EMFILE, -ENOBUFS },
		{ "socket", ENOBUFS, -ENOBUFS },
		{ "connect", EADDRNOTAVAIL, 0 }, /* perhaps only just now: it is tried again within the time-out */
		{ "malloc", ENOMEM, -EPROTO },
	};
	struct peer p;
	struct ng *ng;
	size_t i;

	(void)state;
	peer_init(&p, &fx, "127.0.0.1");
	for (i = 0; i < NELEM(cases); i++) {
		struct ng_got g = { .n = 0 };

		assert_int_equal(ng_new(&ng, fx.loop, &p.addr, 3000), 0);
		fault_set(cases[i].call, 1, cases[i].err);
		assert_int_equal(ng_ask(ng, "ping", NULL, 0, on_ng, &g), 0);
		AWAIT(&fx, g.n > 0);
		assert_int_equal(fault_hits(), 1);
		fault_clear();
		if (g.err != cases[i].want)
			fail_msg("%s: %d, %s", cases[i].call, g.err, g.why);
		assert_int_equal(g.why[0] != '\0', g.err != 0);
		g.n = 0;
		assert_int_equal(ng_ask(ng, "ping", NULL, 0, on_ng, &g), 0);
		AWAIT(&fx, g.n > 0);
		assert_int_equal(g.err, 0);
		ng_free(ng);
	}
	peer_close(&p);
}

static void
a_node_without_a_route_is_silent_and_the_reason_is_told(void **state)
{
	struct ng_got g = { .n = 0 };
	struct peer p;
	struct ng *ng;

	(void)state;
	peer_init(&p, &fx, "127.0.0.1");
	assert_int_equal(ng_new(&ng, fx.loop, &p.addr, 150), 0);
	fault_times("connect", 1, FAULT_ALWAYS, ENETUNREACH);
	assert_int_equal(ng_ask(ng, "ping", NULL, 0, on_ng, &g), 0);
	AWAIT(&fx, g.n > 0);
	assert_int_equal(g.err, -ETIMEDOUT);
	assert_string_equal(g.why, "no answer within 150ms (Network is unreachable)");
	fault_clear();
	/* a signal, a full queue: the answer is taken all the same */
	g.n = 0;
	fault_set("recv", 1, EINTR);
	fault_set("send", 1, ENOBUFS);
	assert_int_equal(ng_ask(ng, "ping", NULL, 0, on_ng, &g), 0);
	AWAIT(&fx, g.n > 0);
	assert_int_equal(g.err, 0);
	assert_int_equal(fault_hits(), 2);
	ng_free(ng);
	peer_close(&p);
}

/* ---- DNS ---- */

static void
serve_nothing(struct server *s, int fd)
{
	s->n_in = 0;
	s->served++;
}

static void
on_lookup(void *arg, int err, unsigned epoch, const struct dns_msg *msg)
{
	struct ng_got *g = arg;

	g->n++;
	g->err = err;
}

static void
a_resolver_that_cannot_be_made_is_an_error(void **state)
{
	static const struct {
		const char *call;
		int err, want;
	} cases[] = {
		{ "ares_init_options", ARES_ENOMEM, -ENOMEM },
		{ "ares_init_options", ARES_EFILE, -EIO },
		{ "ares_set_servers_ports_csv", ARES_ENOMEM, -ENOMEM },
	};
	struct resolver *rs = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(cases); i++) {
		fault_set(cases[i].call, 1, cases[i].err);
		assert_int_equal(resolver_new(&rs, fx.loop, "127.0.0.1:8600", 1000), cases[i].want);
		assert_int_equal(fault_hits(), 1);
		assert_null(rs);
		fault_clear();
	}
}

/* After a time-out the channel is made anew: when that fails, the question that came next ends with it, and the one after goes on. */
static void
a_channel_that_cannot_be_made_anew_ends_the_question(void **state)
{
	struct resolver *rs;
	struct server s;
	struct ng_got g = { .n = 0 };
	char text[32];

	(void)state;
	server_open(&s, serve_nothing);
	snprintf(text, sizeof text, "127.0.0.1:%u", s.addr.port);
	assert_int_equal(resolver_new(&rs, fx.loop, text, 50), 0);
	(void)resolver_ask(rs, "a.service.consul.", 33, on_lookup, &g);
	AWAIT(&fx, g.n == 1);
	assert_int_equal(g.err, -ETIMEDOUT);
	fault_set("ares_init_options", 1, ARES_ENOMEM);
	(void)resolver_ask(rs, "a.service.consul.", 33, on_lookup, &g);
	AWAIT(&fx, g.n == 2);
	assert_int_equal(fault_hits(), 1);
	assert_int_equal(g.err, -ENOMEM);
	(void)resolver_ask(rs, "a.service.consul.", 33, on_lookup, &g);
	AWAIT(&fx, g.n == 3);
	assert_int_equal(g.err, -ETIMEDOUT);
	assert_int_equal(s.served > 0, 1);
	resolver_free(rs);
	server_close(&s);
}

int
main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fault_fx_setup, fault_fx_teardown)
	const struct CMUnitTest tests[] = {
		T(a_request_ends_with_the_error_of_its_call),
		T(a_kamailio_that_cannot_be_connected_is_tried_again),
		T(a_connection_that_breaks_ends_its_call_and_comes_back),
		T(interrupted_and_short_calls_are_no_errors),
		T(a_question_without_a_socket_says_nothing_about_the_node),
		T(a_node_without_a_route_is_silent_and_the_reason_is_told),
		T(a_resolver_that_cannot_be_made_is_an_error),
		T(a_channel_that_cannot_be_made_anew_ends_the_question),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("peers: when calls fail", tests, NULL, NULL);
}
