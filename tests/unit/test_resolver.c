/*
 * resolver: against a DNS server over TCP in the same loop, which answers, lies, stalls and hangs
 * up as told. Every wait is for a condition, with one guard that fails the test.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "discovery/resolver.h"
#include "dnsfix.h"

#define GUARD_MS 20000
#define PATIENT_MS 8000 /* time-out of lookups that must be answered */
#define SHORT_MS 120 /* time-out of lookups that must not */
#define CONNS 64

enum mode {
	M_ANSWER, /* one SRV; "n17.…" has port 17 */
	M_SERVFAIL,
	M_REFUSED,
	M_NXDOMAIN,
	M_NODATA,
	M_LARGE, /* 997 rows */
	M_SILENT,
	M_HALF, /* the first half of an answer, then nothing */
	M_BROKEN, /* header and question are right, the record is not */
	M_EMPTY_FRAME, /* an answer of no bytes */
	M_NOISE, /* bytes that are no DNS at all */
	M_OTHER_NAME, /* right id, another question */
	M_LOWER, /* as M_ANSWER, the question in lower case */
	M_HANG_UP, /* close instead of answering */
	M_RESET, /* the same with RST */
};

struct server;

struct conn {
	struct server *srv;
	struct loop_io io;
	bool open;
	unsigned served;
	size_t n_in;
	uint8_t in[8192];
	uint8_t *out;
	size_t n_out;
	size_t sent;
};

struct server {
	struct loop *loop;
	struct loop_io io;
	int fd;
	char text[32];
	enum mode mode;
	unsigned close_after; /* answers on one connection; 0: never */
	unsigned hold; /* answer nothing until so many questions came */
	bool backwards; /* what was held is answered last first */
	bool dribble; /* one byte per turn */
	unsigned asked;
	unsigned accepted;
	void (*on_question)(void *arg);
	void *arg;
	struct conn *held[128];
	struct fix *held_msg[128];
	unsigned n_held;
	struct conn conns[CONNS];
};

/* One per test: the loop, the server, the resolver and what is awaited. */
struct env {
	struct loop *loop;
	struct server *srv;
	struct resolver *rs;
	struct loop_timer guard;
	bool guarded;
	int pending;
};

struct ask {
	struct env *env;
	struct lookup *lk;
	int calls;
	int err;
	unsigned epoch;
	unsigned epoch_now; /* of the resolver when the callback ran */
	uint8_t rcode;
	size_t n_srv;
	unsigned port;
	void (*then)(struct ask *);
	unsigned more;
	struct ask *others;
	unsigned n_others;
};

static void
conn_close(struct conn *c)
{
	int fd = c->io.fd;

	if (!c->open)
		return;
	c->open = false;
	loop_io_fini(&c->io);
	close(fd);
	free(c->out);
	c->out = NULL;
	c->n_out = c->sent = 0;
	for (unsigned i = 0; i < c->srv->n_held; i++) {
		if (c->srv->held[i] == c)
			c->srv->held[i] = NULL;
	}
}

static void
conn_flush(struct conn *c)
{
	while (c->sent < c->n_out) {
		size_t left = c->n_out - c->sent;
		ssize_t n = send(c->io.fd, c->out + c->sent, c->srv->dribble ? 1 : left,
		    MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN) {
			conn_close(c);
			return;
		}
		if (n > 0)
			c->sent += (size_t)n;
		if (n < 0 || c->srv->dribble)
			break;
	}
	if (c->sent == c->n_out) {
		free(c->out);
		c->out = NULL;
		c->n_out = c->sent = 0;
		if (c->srv->close_after != 0 && c->served >= c->srv->close_after) {
			conn_close(c);
			return;
		}
	}
	loop_io_want(&c->io, LOOP_READ | (c->sent < c->n_out ? LOOP_WRITE : 0));
}

static void
conn_queue(struct conn *c, const void *data, size_t len)
{
	c->out = realloc(c->out, c->n_out + len);
	assert_non_null(c->out);
	memcpy(c->out + c->n_out, data, len);
	c->n_out += len;
}

static void
conn_reply(struct conn *c, const struct fix *f)
{
	uint8_t frame[2] = { (uint8_t)(f->n >> 8), (uint8_t)f->n };
	size_t len = c->srv->mode == M_HALF ? f->n / 2 : f->n;

	conn_queue(c, frame, 2);
	conn_queue(c, f->b, len);
	c->served++;
}

static void
make_reply(struct fix *f, enum mode mode, unsigned id, const char *qname, unsigned qtype)
{
	static const unsigned rcodes[] = { [M_SERVFAIL] = 2, [M_REFUSED] = 5, [M_NXDOMAIN] = 3 };
	unsigned port = 5060;

	if (mode == M_EMPTY_FRAME) {
		f->n = 0;
		return;
	}
	if (mode == M_NOISE) {
		f->n = 0;
		for (unsigned i = 0; i < 300; i++)
			fix_u8(f, i * 7 + 13);
		return;
	}
	if (mode == M_LARGE) {
		fix_many(f, 997);
		fix_set_u16(f, 0, id);
		return;
	}
	if (mode == M_OTHER_NAME)
		qname = "other.service.consul";
	fix_begin(f, id, FIX_RESPONSE | (mode < NELEM(rcodes) ? rcodes[mode] : 0), qname, qtype);
	if (mode == M_SERVFAIL || mode == M_REFUSED || mode == M_NODATA)
		return;
	if (mode == M_NXDOMAIN) {
		fix_soa(f);
		fix_counts(f, 0, 1, 0);
		return;
	}
	if (qname[0] == 'n')
		port = (unsigned)atoi(qname + 1);
	fix_srv(f, 0, 1, port, "0a010203.addr.dc1.consul");
	fix_counts(f, mode == M_BROKEN ? 2 : 1, 0, 0);
}

static void
release_held(struct server *s)
{
	for (unsigned i = 0; i < s->n_held; i++) {
		unsigned at = s->backwards ? s->n_held - 1 - i : i;

		if (s->held[at] != NULL)
			conn_reply(s->held[at], s->held_msg[at]);
		free(s->held_msg[at]);
	}
	s->n_held = 0;
	for (unsigned i = 0; i < CONNS; i++) {
		if (s->conns[i].open)
			conn_flush(&s->conns[i]);
	}
}

static void
conn_question(struct conn *c, const uint8_t *msg, size_t len)
{
	struct server *s = c->srv;
	struct fix *f = malloc(sizeof *f);
	char qname[256] = "";
	size_t at = 12;

	assert_non_null(f);
	while (at < len && msg[at] != 0) {
		size_t n = strlen(qname);

		snprintf(qname + n, sizeof qname - n, "%s%.*s", n > 0 ? "." : "", msg[at],
		    (const char *)msg + at + 1);
		at += msg[at] + 1u;
	}
	assert_true(at + 5 == len); /* one question, no EDNS, nothing else */
	s->asked++;
	if (s->on_question != NULL)
		s->on_question(s->arg);
	if (s->mode == M_LOWER) {
		for (char *p = qname; *p != '\0'; p++)
			*p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
	}
	make_reply(f, s->mode, (unsigned)msg[0] << 8 | msg[1], qname,
	    (unsigned)msg[at + 1] << 8 | msg[at + 2]);
	if (s->hold > 0) {
		assert_true(s->n_held < NELEM(s->held));
		s->held[s->n_held] = c;
		s->held_msg[s->n_held++] = f;
		if (s->n_held == s->hold)
			release_held(s);
		return;
	}
	conn_reply(c, f);
	free(f);
}

static void
conn_ready(void *arg, int fd, int what)
{
	struct conn *c = arg;
	struct server *s = c->srv;
	ssize_t n = recv(fd, c->in + c->n_in, sizeof c->in - c->n_in, MSG_DONTWAIT);
	size_t at = 0;

	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		conn_close(c);
		return;
	}
	c->n_in += n > 0 ? (size_t)n : 0;
	while (c->n_in - at >= 2) {
		size_t len = (size_t)c->in[at] << 8 | c->in[at + 1];

		if (c->n_in - at - 2 < len)
			break;
		if (s->mode == M_HANG_UP || s->mode == M_RESET) {
			struct linger hard = { .l_onoff = 1, .l_linger = 0 };

			s->asked++;
			if (s->mode == M_RESET)
				setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
			conn_close(c);
			return;
		}
		if (s->mode == M_SILENT) {
			s->asked++;
			if (s->on_question != NULL)
				s->on_question(s->arg);
		} else if (s->close_after == 0 || c->served < s->close_after) {
			conn_question(c, c->in + at + 2, len);
		}
		at += 2 + len;
		if (!c->open)
			return;
	}
	memmove(c->in, c->in + at, c->n_in - at);
	c->n_in -= at;
	conn_flush(c);
}

static void
server_accept(void *arg, int fd, int what)
{
	struct server *s = arg;
	int new = accept(fd, NULL, NULL), on = 1;

	assert_true(new >= 0);
	setsockopt(new, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	s->accepted++;
	for (unsigned i = 0; i < CONNS; i++) {
		struct conn *c = &s->conns[i];

		if (c->open)
			continue;
		memset(c, 0, sizeof *c);
		c->srv = s;
		c->open = true;
		loop_io_init(&c->io, s->loop, new, conn_ready, c);
		loop_io_want(&c->io, LOOP_READ);
		return;
	}
	fail_msg("more than %d connections at a time", CONNS);
}

static void
server_listen(struct server *s)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof sin;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(s->fd >= 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&sin, sizeof sin), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&sin, &len), 0);
	snprintf(s->text, sizeof s->text, "127.0.0.1:%u", ntohs(sin.sin_port));
}

/* Bound, but refusing until this is called. */
static void
server_open(struct server *s)
{
	assert_int_equal(listen(s->fd, 64), 0);
	loop_io_init(&s->io, s->loop, s->fd, server_accept, s);
	loop_io_want(&s->io, LOOP_READ);
}

static void
guard_fire(void *arg)
{
	struct env *e = arg;

	e->guarded = true;
	loop_stop(e->loop);
}

static int
setup_closed(void **state)
{
	struct env *e = calloc(1, sizeof *e);

	assert_non_null(e);
	assert_int_equal(loop_new(&e->loop), 0);
	e->srv = calloc(1, sizeof *e->srv);
	assert_non_null(e->srv);
	e->srv->loop = e->loop;
	server_listen(e->srv);
	loop_timer_init(&e->guard, e->loop, guard_fire, e);
	*state = e;
	return 0;
}

static int
setup(void **state)
{
	struct env *e;

	setup_closed(state);
	e = *state;
	server_open(e->srv);
	return 0;
}

static int
teardown(void **state)
{
	struct env *e = *state;

	resolver_free(e->rs);
	for (unsigned i = 0; i < CONNS; i++)
		conn_close(&e->srv->conns[i]);
	for (unsigned i = 0; i < e->srv->n_held; i++)
		free(e->srv->held_msg[i]);
	loop_io_fini(&e->srv->io);
	close(e->srv->fd);
	loop_timer_fini(&e->guard);
	loop_free(e->loop);
	free(e->srv);
	free(e);
	return 0;
}

static void
use(struct env *e, int64_t timeout_ms)
{
	resolver_free(e->rs);
	e->rs = NULL;
	assert_int_equal(resolver_new(&e->rs, e->loop, e->srv->text, timeout_ms), 0);
}

static void
run(struct env *e)
{
	loop_timer_start(&e->guard, GUARD_MS);
	assert_int_equal(loop_run(e->loop), 0);
	loop_timer_stop(&e->guard);
	if (e->guarded)
		fail_msg("waited %d ms in vain, %d pending", GUARD_MS, e->pending);
}

static void
answered(void *arg, int err, unsigned epoch, const struct dns_msg *msg)
{
	struct ask *a = arg;

	a->calls++;
	a->err = err;
	a->epoch = epoch;
	if (a->env->rs != NULL)
		a->epoch_now = resolver_epoch(a->env->rs);
	assert_true((err == 0) == (msg != NULL));
	if (msg != NULL) {
		a->rcode = msg->rcode;
		a->n_srv = msg->n_srv;
		a->port = msg->n_srv > 0 ? msg->srv[0].port : 0;
	}
	a->env->pending--;
	if (a->then != NULL)
		a->then(a);
	if (a->env->pending == 0)
		loop_stop(a->env->loop);
}

static void
ask(struct env *e, struct ask *a, const char *name)
{
	a->env = e;
	e->pending++;
	a->lk = resolver_ask(e->rs, name, DNS_TYPE_SRV, answered, a);
	assert_non_null(a->lk);
	assert_int_equal(a->calls, 0); /* never from inside */
}

static void
cancel(struct ask *a)
{
	resolver_cancel(a->lk);
	a->env->pending--;
}

static void
ask_and_wait(struct env *e, struct ask *a, const char *name)
{
	memset(a, 0, sizeof *a);
	ask(e, a, name);
	run(e);
	assert_int_equal(a->calls, 1);
}

/* Whatever came before, the resolver answers now. */
static void
assert_works(struct env *e)
{
	struct ask a;

	e->srv->mode = M_ANSWER;
	e->srv->hold = 0;
	ask_and_wait(e, &a, "router.service.consul");
	assert_int_equal(a.err, 0);
	assert_int_equal(a.port, 5060);
	assert_int_equal(a.epoch, resolver_epoch(e->rs));
}

static void
test_outcomes(void **state)
{
	static const struct {
		const char *what;
		enum mode mode;
		int64_t timeout_ms;
		int err;
		uint8_t rcode;
		size_t n_srv;
		unsigned epoch; /* afterwards */
	} cases[] = {
		{ "answer", M_ANSWER, PATIENT_MS, 0, DNS_NOERROR, 1, 0 },
		{ "server failure", M_SERVFAIL, PATIENT_MS, 0, DNS_SERVFAIL, 0, 0 },
		{ "refused", M_REFUSED, PATIENT_MS, 0, DNS_REFUSED, 0, 0 },
		{ "no such name", M_NXDOMAIN, PATIENT_MS, 0, DNS_NXDOMAIN, 0, 0 },
		{ "no data", M_NODATA, PATIENT_MS, 0, DNS_NOERROR, 0, 0 },
		{ "60 kB", M_LARGE, PATIENT_MS, 0, DNS_NOERROR, 997, 0 },
		{ "lower case", M_LOWER, PATIENT_MS, 0, DNS_NOERROR, 1, 0 },
		{ "malformed", M_BROKEN, PATIENT_MS, -EBADMSG, 0, 0, 0 },
		{ "hung up", M_HANG_UP, PATIENT_MS, -ECONNREFUSED, 0, 0, 0 },
		{ "reset", M_RESET, PATIENT_MS, -ECONNREFUSED, 0, 0, 0 },
		{ "silence", M_SILENT, SHORT_MS, -ETIMEDOUT, 0, 0, 1 },
		{ "half an answer", M_HALF, SHORT_MS, -ETIMEDOUT, 0, 0, 1 },
		/* c-ares drops what can't be matched to a question before we see it. */
		{ "another question", M_OTHER_NAME, SHORT_MS, -ETIMEDOUT, 0, 0, 1 },
		{ "noise", M_NOISE, SHORT_MS, -ETIMEDOUT, 0, 0, 1 },
		{ "an answer of no bytes", M_EMPTY_FRAME, PATIENT_MS, -ECONNREFUSED, 0, 0, 0 },
	};
	struct env *e = *state;

	for (size_t i = 0; i < NELEM(cases) * 2; i++) {
		size_t at = i / 2;
		struct ask a;

		use(e, cases[at].timeout_ms);
		e->srv->mode = cases[at].mode;
		e->srv->dribble = i % 2 == 1 && cases[at].mode != M_LARGE; /* byte by byte */
		ask_and_wait(e, &a, "Router.service.consul");
		if (a.err != cases[at].err)
			fail_msg("%s: %d (%s)", cases[at].what, a.err, strerror(-a.err));
		assert_int_equal(a.rcode, cases[at].rcode);
		assert_int_equal(a.n_srv, cases[at].n_srv);
		assert_int_equal(a.epoch, 0);
		assert_int_equal(a.epoch_now, cases[at].epoch);
		assert_works(e);
		assert_int_equal(resolver_epoch(e->rs), cases[at].epoch);
	}
}

static void
test_new(void **state)
{
	static const struct {
		const char *server;
		int64_t timeout_ms;
		const char *text; /* NULL: -EINVAL */
	} cases[] = {
		{ "127.0.0.1:8600", 1000, "127.0.0.1:8600" },
		{ "[::1]:8600", 1000, "[::1]:8600" },
		{ "[0:0::1]:8600", 1000, "[::1]:8600" },
		{ "127.0.0.1", 1000, NULL },
		{ "127.0.0.1:0", 1000, NULL },
		{ "127.0.0.1:65536", 1000, NULL },
		{ "127.0.0.1:", 1000, NULL },
		{ "::1:8600", 1000, NULL },
		{ "[::1]", 1000, NULL },
		{ "localhost:8600", 1000, NULL },
		{ "127.0.0.1:8600,127.0.0.2:8600", 1000, NULL },
		{ "", 1000, NULL },
		{ "127.0.0.1:8600", 0, NULL },
		{ "127.0.0.1:8600", -1, NULL },
		{ "127.0.0.1:8600", INT64_MAX, NULL },
	};
	struct env *e = *state;

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct resolver *rs = NULL;
		int rc = resolver_new(&rs, e->loop, cases[i].server, cases[i].timeout_ms);

		if (rc != (cases[i].text != NULL ? 0 : -EINVAL))
			fail_msg("%s: %d", cases[i].server, rc);
		if (rc == 0) {
			assert_string_equal(resolver_server(rs), cases[i].text);
			assert_int_equal(resolver_epoch(rs), 0);
		} else {
			assert_null(rs);
		}
		resolver_free(rs);
	}
	resolver_free(NULL);
}

/* One time-out ends what is on the same connection, at the same time, and grows the epoch once. */
static void
test_timeout_takes_all(void **state)
{
	struct env *e = *state;
	struct ask a[5] = { 0 };
	int64_t began;

	use(e, SHORT_MS);
	assert_works(e);
	e->srv->mode = M_SILENT;
	began = loop_now_ms(e->loop);
	for (size_t i = 0; i < NELEM(a); i++)
		ask(e, &a[i], "router.service.consul");
	run(e);
	assert_in_range(loop_now_ms(e->loop) - began, SHORT_MS, 20 * SHORT_MS);
	for (size_t i = 0; i < NELEM(a); i++) {
		assert_int_equal(a[i].calls, 1);
		assert_int_equal(a[i].err, -ETIMEDOUT);
		assert_int_equal(a[i].epoch, 0);
		assert_int_equal(a[i].epoch_now, 1);
	}
	assert_int_equal(e->srv->accepted, 1);
	assert_works(e);
	assert_int_equal(e->srv->accepted, 2); /* not on the connection that was silent */
	assert_int_equal(resolver_epoch(e->rs), 1);
}

/* More than may be unanswered at a time, all in vain: each ends, none later than its own time-out.
 */
static void
test_timeout_of_waiting(void **state)
{
	struct env *e = *state;
	static struct ask a[200];
	int64_t began;

	memset(a, 0, sizeof a);
	use(e, SHORT_MS);
	e->srv->mode = M_SILENT;
	began = loop_now_ms(e->loop);
	for (size_t i = 0; i < NELEM(a); i++)
		ask(e, &a[i], "router.service.consul");
	run(e);
	assert_in_range(loop_now_ms(e->loop) - began, SHORT_MS, 20 * SHORT_MS);
	for (size_t i = 0; i < NELEM(a); i++) {
		assert_int_equal(a[i].calls, 1);
		assert_int_equal(a[i].err, -ETIMEDOUT);
	}
	assert_in_range(e->srv->asked, 1, 128);
	assert_works(e);
}

/* Consul closes after 128 questions; nobody may notice. */
static void
test_closing_server(void **state)
{
	static const struct {
		unsigned close_after;
		bool pipelined;
	} cases[] = { { 128, false }, { 128, true }, { 64, true }, { 1, false } };
	struct env *e = *state;
	static struct ask a[300];

	for (size_t i = 0; i < NELEM(cases); i++) {
		memset(a, 0, sizeof a);
		use(e, PATIENT_MS);
		e->srv->close_after = cases[i].close_after;
		e->srv->accepted = 0;
		for (size_t k = 0; k < NELEM(a); k++) {
			char name[64];

			snprintf(name, sizeof name, "n%zu.service.consul", k);
			if (cases[i].pipelined)
				ask(e, &a[k], name);
			else
				ask_and_wait(e, &a[k], name);
		}
		if (cases[i].pipelined)
			run(e);
		for (size_t k = 0; k < NELEM(a); k++) {
			if (a[k].calls != 1 || a[k].err != 0 || a[k].port != k)
				fail_msg("case %zu, lookup %zu: %d calls, error %d, port %u", i, k,
				    a[k].calls, a[k].err, a[k].port);
		}
		assert_true(e->srv->accepted >= NELEM(a) / cases[i].close_after);
		assert_int_equal(resolver_epoch(e->rs), 0);
	}
}

static void
test_refusing_server(void **state)
{
	struct env *e = *state;
	struct ask a;

	use(e, PATIENT_MS);
	for (int i = 0; i < 3; i++) {
		ask_and_wait(e, &a, "router.service.consul");
		assert_int_equal(a.err, -ECONNREFUSED);
	}
	assert_int_equal(resolver_epoch(e->rs), 0);
	server_open(e->srv);
	assert_works(e);
}

static void
test_pipelined(void **state)
{
	struct env *e = *state;

	for (int backwards = 0; backwards < 2; backwards++) {
		struct ask a[50] = { 0 };

		use(e, PATIENT_MS);
		e->srv->mode = M_ANSWER;
		e->srv->hold = NELEM(a) / 2; /* on the way together before the first is answered */
		e->srv->backwards = backwards;
		e->srv->accepted = 0;
		for (size_t i = 0; i < NELEM(a); i++) {
			char name[64];

			snprintf(name, sizeof name, "n%zu.service.consul", i);
			ask(e, &a[i], name);
		}
		run(e);
		for (size_t i = 0; i < NELEM(a); i++) {
			assert_int_equal(a[i].calls, 1);
			assert_int_equal(a[i].err, 0);
			assert_int_equal(a[i].port, i);
		}
		assert_int_equal(e->srv->accepted, 1);
	}
}

static void
test_cancel_before_sent(void **state)
{
	struct env *e = *state;
	struct ask a = { 0 };

	use(e, PATIENT_MS);
	ask(e, &a, "gone.service.consul");
	cancel(&a);
	assert_works(e);
	assert_int_equal(a.calls, 0);
	assert_int_equal(e->srv->asked, 1); /* the other one */
}

static void
cancel_first(void *arg)
{
	struct ask *a = arg;

	a->env->srv->on_question = NULL;
	cancel(a);
	loop_stop(a->env->loop);
}

static void
test_cancel_after_sent(void **state)
{
	static const enum mode modes[] = { M_ANSWER, M_SILENT, M_HANG_UP, M_NXDOMAIN };
	struct env *e = *state;

	for (size_t i = 0; i < NELEM(modes); i++) {
		struct ask a = { 0 };

		use(e, modes[i] == M_SILENT ? SHORT_MS : PATIENT_MS);
		e->srv->mode = modes[i] == M_HANG_UP ? M_SILENT : modes[i];
		e->srv->on_question = cancel_first;
		e->srv->arg = &a;
		ask(e, &a, "gone.service.consul");
		run(e);
		if (modes[i] == M_HANG_UP) {
			for (unsigned k = 0; k < CONNS; k++)
				conn_close(&e->srv->conns[k]);
		}
		/* The answer to the cancelled one, its time-out or its hang-up comes about here. */
		assert_works(e);
		assert_int_equal(a.calls, 0);
	}
}

static void
cancel_others(struct ask *a)
{
	for (unsigned i = 0; i < a->n_others; i++)
		cancel(&a->others[i]);
	resolver_cancel(a->lk); /* its own: over anyway */
}

/*
 * The first callback cancels the others: still unread answers after the first one's, but callbacks
 * that are queued already when all end together by a time-out.
 */
static void
test_cancel_from_callback(void **state)
{
	struct env *e = *state;

	for (int silent = 0; silent < 2; silent++) {
		struct ask a[10] = { 0 };

		use(e, silent ? SHORT_MS : PATIENT_MS);
		e->srv->mode = silent ? M_SILENT : M_ANSWER;
		e->srv->hold = silent ? 0 : NELEM(a);
		for (size_t i = 0; i < NELEM(a); i++)
			ask(e, &a[i], "router.service.consul");
		a[0].then = cancel_others;
		a[0].others = &a[1];
		a[0].n_others = NELEM(a) - 1;
		run(e);
		assert_int_equal(a[0].err, silent ? -ETIMEDOUT : 0);
		assert_works(e);
		for (size_t i = 0; i < NELEM(a); i++)
			assert_int_equal(a[i].calls, i == 0);
	}
}

static void
free_from_question(void *arg)
{
	struct env *e = arg;

	if (e->srv->asked < 10)
		return;
	resolver_free(e->rs);
	e->rs = NULL;
	loop_stop(e->loop);
}

static void
free_from_callback(struct ask *a)
{
	resolver_free(a->env->rs);
	a->env->rs = NULL;
	loop_stop(a->env->loop);
}

static void
test_free_with_pending(void **state)
{
	struct env *e = *state;
	static struct ask a[100];

	/* Nothing sent yet. */
	memset(a, 0, sizeof a);
	use(e, PATIENT_MS);
	for (size_t i = 0; i < 10; i++)
		ask(e, &a[i], "router.service.consul");
	resolver_free(e->rs);
	e->rs = NULL;

	/* Sent and waiting, from another module's callback. */
	use(e, PATIENT_MS);
	e->srv->mode = M_SILENT;
	e->srv->on_question = free_from_question;
	e->srv->arg = e;
	for (size_t i = 0; i < NELEM(a); i++)
		ask(e, &a[i], "router.service.consul");
	run(e);
	for (size_t i = 0; i < NELEM(a); i++)
		assert_int_equal(a[i].calls, 0);

	/* Answered, sent and waiting, from a lookup's own callback. */
	e->srv->on_question = NULL;
	use(e, PATIENT_MS);
	e->srv->mode = M_ANSWER;
	e->srv->hold = 20;
	for (size_t i = 0; i < NELEM(a); i++)
		ask(e, &a[i], "router.service.consul");
	a[0].then = free_from_callback;
	run(e);
	for (size_t i = 0; i < NELEM(a); i++)
		assert_int_equal(a[i].calls, i == 0);

	/* From the callback of a time-out, when the channel was just rebuilt. */
	memset(a, 0, sizeof a);
	e->srv->mode = M_SILENT;
	e->srv->hold = 0;
	use(e, SHORT_MS);
	for (size_t i = 0; i < 5; i++)
		ask(e, &a[i], "router.service.consul");
	a[0].then = free_from_callback;
	run(e);
	assert_int_equal(a[0].err, -ETIMEDOUT);
	e->pending = 0;
	use(e, PATIENT_MS);
	assert_works(e);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(a[i].calls, i == 0);
}

static void
ask_again(struct ask *a)
{
	if (a->more-- == 0)
		return;
	a->calls = 0;
	ask(a->env, a, "router.service.consul");
}

static void
test_ask_from_callback(void **state)
{
	static const struct {
		enum mode mode;
		int64_t timeout_ms;
		int err;
		unsigned more;
	} cases[] = {
		{ M_ANSWER, PATIENT_MS, 0, 200 },
		{ M_HANG_UP, PATIENT_MS, -ECONNREFUSED, 20 },
		{ M_SILENT, 20, -ETIMEDOUT, 5 },
	};
	struct env *e = *state;

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct ask a = { .then = ask_again, .more = cases[i].more };

		use(e, cases[i].timeout_ms);
		e->srv->mode = cases[i].mode;
		ask(e, &a, "router.service.consul");
		run(e);
		assert_int_equal(a.calls, 1);
		assert_int_equal(a.err, cases[i].err);
		assert_int_equal(
		    resolver_epoch(e->rs), cases[i].err == -ETIMEDOUT ? cases[i].more + 1 : 0);
	}
}

/* What c-ares refuses before it returns comes as late as anything else. */
static void
test_bad_names(void **state)
{
	static const char *const names[] = {
		"a123456789012345678901234567890123456789012345678901234567890123.consul",
		"a..consul",
		".consul",
		"service.onion",
	};
	struct env *e = *state;
	char longest[400];
	struct ask a;

	use(e, PATIENT_MS);
	for (size_t i = 0; i < NELEM(names); i++) {
		ask_and_wait(e, &a, names[i]);
		assert_int_equal(a.err, -EIO);
	}
	for (size_t i = 0; i < sizeof longest; i++)
		longest[i] = i % 10 == 9 ? '.' : 'x';
	longest[sizeof longest - 1] = '\0';
	ask_and_wait(e, &a, longest);
	assert_int_equal(a.err, -EIO);
	assert_int_equal(e->srv->asked, 0);
	assert_works(e);
}

/* The trailing dot is ours to add, and one that is there stays one. */
static void
test_names(void **state)
{
	static const char *const names[] = {
		"router.service.consul",
		"router.service.consul.",
		"router",
		"_router._primary.service.consul",
	};
	struct env *e = *state;
	struct ask a;

	use(e, PATIENT_MS);
	for (size_t i = 0; i < NELEM(names); i++) {
		ask_and_wait(e, &a, names[i]);
		assert_int_equal(a.err, 0);
		assert_int_equal(e->srv->asked, i + 1);
	}
	assert_int_equal(e->srv->accepted, 1); /* kept open */
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_outcomes),
		T(test_new),
		T(test_timeout_takes_all),
		T(test_timeout_of_waiting),
		T(test_closing_server),
		cmocka_unit_test_setup_teardown(test_refusing_server, setup_closed, teardown),
		T(test_pipelined),
		T(test_cancel_before_sent),
		T(test_cancel_after_sent),
		T(test_cancel_from_callback),
		T(test_free_with_pending),
		T(test_ask_from_callback),
		T(test_bad_names),
		T(test_names),
	};
#undef T

	signal(SIGPIPE, SIG_IGN); /* as the daemon does; c-ares writes without MSG_NOSIGNAL */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
