/*
 * kam: against a ctl socket in the same loop, unix and TCP, which answers, dribbles, lies, stalls
 * and hangs up as told. Every wait is for a condition, with one guard that fails the test.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "kamailio/kam.h"

#define GUARD_MS 30000
#define PATIENT_MS 10000 /* time-out of calls that must be answered */
#define SHORT_MS 400 /* time-out of calls that must not */
#define CONNS 32
#define BIG (2u << 20)

/* ---- system calls that can be made to fail ---- */

static size_t send_max; /* bytes that every other send() takes, the others none; 0: no limit */
static int connect_errno; /* 0: connect() does what it does */
static unsigned connects;

ssize_t
send(int fd, const void *data, size_t len, int flags)
{
	static unsigned turn;

	if (send_max > 0 && ++turn % 2 == 0) {
		errno = EAGAIN;
		return -1;
	}
	if (send_max > 0 && len > send_max)
		len = send_max;
	return syscall(SYS_sendto, fd, data, len, flags, NULL, 0);
}

int
connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	connects++;
	if (connect_errno != 0) {
		errno = connect_errno;
		return -1;
	}
	return (int)syscall(SYS_connect, fd, addr.__sockaddr__, len);
}

/* ---- the server ---- */

/* What it does with "test.bad", or with core.uptime. */
enum how {
	H_ANSWER,
	H_FAULT,
	H_SILENT,
	H_HALF, /* half of a reply, then nothing */
	H_HALF_CLOSE, /* half of a reply, then the end */
	H_CLOSE,
	H_RESET,
	H_WRONG_COOKIE,
	H_AS_REQUEST, /* a request comes back */
	H_HUGE, /* announces 100 MB */
	H_NO_BINRPC,
	H_BAD_BODY,
	H_TWICE, /* the reply, and once more */
};

struct server;

struct conn {
	struct server *srv;
	struct loop_io io;
	bool open;
	bool hang_up; /* when all is sent */
	uint8_t in[70000];
	size_t n_in;
	struct buf out;
	size_t sent;
};

struct server {
	struct loop *loop;
	struct loop_io io;
	int fd; /* -1: not there */
	bool tcp;
	char path[128];
	char addr[160]; /* as kam_new() takes it */
	enum how bad;
	enum how uptime;
	bool psx_faults;
	bool version_faults;
	bool bytewise;
	bool hold; /* answer nothing yet */
	unsigned held;
	uint32_t held_cookie;
	struct conn *held_conn;
	char held_method[64];
	const char *up_since;
	int32_t pid;
	unsigned accepted;
	unsigned open;
	unsigned asked; /* test.* methods */
	size_t arg_len; /* of the last text argument */
	struct conn conns[CONNS];
};

static void
conn_close(struct conn *c)
{
	int fd = c->io.fd;

	if (!c->open)
		return;
	c->open = false;
	c->srv->open--;
	loop_io_fini(&c->io);
	close(fd);
	buf_free(&c->out);
	c->sent = c->n_in = 0;
}

static void
conn_flush(struct conn *c)
{
	while (c->sent < c->out.len) {
		size_t left = c->out.len - c->sent;
		ssize_t n = write(c->io.fd, c->out.s + c->sent, c->srv->bytewise ? 1 : left);

		if (n < 0 && errno != EAGAIN) {
			conn_close(c);
			return;
		}
		if (n > 0)
			c->sent += (size_t)n;
		if (n < 0 || c->srv->bytewise)
			break;
	}
	if (c->sent == c->out.len && c->hang_up) {
		conn_close(c);
		return;
	}
	loop_io_want(&c->io, LOOP_READ | (c->sent < c->out.len ? LOOP_WRITE : 0));
}

static void
put(struct buf *b, unsigned byte)
{
	uint8_t c = (uint8_t)byte;

	buf_add(b, &c, 1);
}

static void
put_u32(struct buf *b, uint32_t n)
{
	for (int i = 24; i >= 0; i -= 8)
		put(b, n >> i & 0xff);
}

static void
put_packet(struct buf *out, unsigned kind, uint32_t cookie, const struct buf *body)
{
	put(out, 0xa1);
	put(out, kind << 4 | 0x0f);
	put_u32(out, (uint32_t)body->len);
	put_u32(out, cookie);
	if (body->len > 0)
		buf_add(out, body->s, body->len);
}

static void
put_name(struct buf *b, const char *name)
{
	size_t at = b->len;

	binrpc_add_str(b, name);
	b->s[at] = (char)((b->s[at] & 0xf0) | 5);
}

static void
body_uptime(struct server *s, struct buf *b)
{
	put(b, 0x03);
	put_name(b, "now");
	binrpc_add_str(b, "Sat Nov 21 04:28:36 2026");
	put_name(b, "up_since");
	binrpc_add_str(b, s->up_since);
	put_name(b, "uptime");
	binrpc_add_int(b, 1);
	put(b, 0x83);
}

static void
body_psx(struct server *s, struct buf *b)
{
	for (int32_t i = 2; i >= 0; i--) { /* the main process last: kam must look for it */
		put(b, 0x03);
		put_name(b, "IDX");
		binrpc_add_int(b, i);
		put_name(b, "PID");
		binrpc_add_int(b, s->pid + i);
		put(b, 0x83);
	}
}

static void
body_big(struct buf *b)
{
	char *text = malloc(BIG);

	assert_non_null(text);
	memset(text, 'x', BIG);
	text[BIG - 1] = '\0';
	put(b, 0xc1);
	put_u32(b, BIG);
	buf_add(b, text, BIG);
	free(text);
}

static void
body_fault(struct buf *b)
{
	binrpc_add_int(b, 500);
	binrpc_add_str(b, "Ongoing reload");
}

static void
answer_badly(struct conn *c, enum how how, uint32_t cookie, const struct buf *body)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };
	struct buf wrong = { 0 };
	size_t before = c->out.len;

	switch (how) {
	case H_ANSWER:
		put_packet(&c->out, BINRPC_REPLY, cookie, body);
		break;
	case H_FAULT:
		body_fault(&wrong);
		put_packet(&c->out, BINRPC_FAULT, cookie, &wrong);
		break;
	case H_SILENT:
		break;
	case H_HALF:
	case H_HALF_CLOSE:
		put_packet(&c->out, BINRPC_REPLY, cookie, body);
		c->out.len = before + (c->out.len - before) / 2;
		c->hang_up = how == H_HALF_CLOSE;
		break;
	case H_RESET:
		setsockopt(c->io.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
		c->hang_up = true;
		break;
	case H_CLOSE:
		c->hang_up = true;
		break;
	case H_WRONG_COOKIE:
		put_packet(&c->out, BINRPC_REPLY, cookie + 1, body);
		break;
	case H_AS_REQUEST:
		put_packet(&c->out, BINRPC_REQUEST, cookie, body);
		break;
	case H_HUGE:
		buf_add(&c->out, "\xa1\x1c\x06\x40\x00\x00\x01", 7);
		break;
	case H_NO_BINRPC:
		buf_puts(&c->out, "HTTP/1.1 400 Bad Request\r\n");
		break;
	case H_BAD_BODY:
		put(&wrong, 0x03); /* a struct without end */
		put_packet(&c->out, BINRPC_REPLY, cookie, &wrong);
		break;
	case H_TWICE:
		put_packet(&c->out, BINRPC_REPLY, cookie, body);
		put_packet(&c->out, BINRPC_REPLY, cookie, body);
		break;
	}
	buf_free(&wrong);
}

static void
conn_answer(struct conn *c, const char *method, uint32_t cookie)
{
	struct server *s = c->srv;
	enum how how = H_ANSWER;
	struct buf body = { 0 };

	if (strcmp(method, "core.uptime") == 0) {
		body_uptime(s, &body);
		how = s->uptime;
	} else if (strcmp(method, "core.psx") == 0) {
		body_psx(s, &body);
		how = s->psx_faults ? H_FAULT : H_ANSWER;
	} else if (strcmp(method, "core.version") == 0) {
		binrpc_add_str(&body, "kamailio 5.6.3 (x86_64/linux) ");
		how = s->version_faults ? H_FAULT : H_ANSWER;
	} else if (strcmp(method, "test.big") == 0) {
		body_big(&body);
	} else if (strcmp(method, "test.fault") == 0) {
		how = H_FAULT;
	} else if (strcmp(method, "test.empty") != 0) {
		binrpc_add_str(&body, method);
		how = strcmp(method, "test.bad") == 0 ? s->bad : H_ANSWER;
	}
	answer_badly(c, how, cookie, &body);
	buf_free(&body);
}

static void
conn_request(struct conn *c, const struct binrpc_msg *msg)
{
	struct server *s = c->srv;
	const char *method = msg->first->str;

	assert_int_equal(msg->kind, BINRPC_REQUEST);
	assert_int_equal(msg->first->type, BINRPC_STR);
	if (strncmp(method, "test.", 5) == 0)
		s->asked++;
	if (msg->first->next != NULL)
		s->arg_len = msg->first->next->len;
	if (!s->hold) {
		conn_answer(c, method, msg->cookie);
		return;
	}
	s->held++;
	s->held_conn = c;
	s->held_cookie = msg->cookie;
	snprintf(s->held_method, sizeof s->held_method, "%s", method);
}

static void
server_release(struct server *s)
{
	assert_int_equal(s->held, 1);
	s->held = 0;
	s->hold = false;
	conn_answer(s->held_conn, s->held_method, s->held_cookie);
	conn_flush(s->held_conn);
}

static void
conn_ready(void *arg, int fd, int what)
{
	struct conn *c = arg;
	struct binrpc_msg msg;
	ssize_t n = 0;

	loop_stop(c->srv->loop);
	if (what & LOOP_READ) {
		n = read(fd, c->in + c->n_in, sizeof c->in - c->n_in);
		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			conn_close(c);
			return;
		}
		c->n_in += n > 0 ? (size_t)n : 0;
	}
	if (c->n_in > 0) {
		int64_t size = binrpc_packet_size(c->in, c->n_in);

		assert_true(size >= 0);
		/* never a second request before the reply */
		assert_true((size_t)size >= c->n_in || size == 0);
		if (size > 0 && (size_t)size == c->n_in) {
			assert_int_equal(binrpc_decode(c->in, c->n_in, &msg), 0);
			c->n_in = 0;
			conn_request(c, &msg);
			binrpc_clear(&msg);
		}
	}
	conn_flush(c);
}

static void
server_accept(void *arg, int fd, int what)
{
	struct server *s = arg;
	int new = accept4(fd, NULL, NULL, SOCK_NONBLOCK);

	loop_stop(s->loop);
	assert_true(new >= 0);
	s->accepted++;
	for (unsigned i = 0; i < CONNS; i++) {
		struct conn *c = &s->conns[i];

		if (c->open)
			continue;
		memset(c, 0, sizeof *c);
		c->srv = s;
		c->open = true;
		s->open++;
		loop_io_init(&c->io, s->loop, new, conn_ready, c);
		loop_io_want(&c->io, LOOP_READ);
		return;
	}
	fail_msg("more than %d connections at a time", CONNS);
}

/* Binds; the first time TCP takes any port and keeps it. */
static void
server_bind(struct server *s)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t len = sizeof in;

	s->fd = socket(s->tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(s->fd >= 0);
	if (s->tcp) {
		assert_int_equal(bind(s->fd, (struct sockaddr *)&in, sizeof in), 0);
		assert_int_equal(getsockname(s->fd, (struct sockaddr *)&in, &len), 0);
		snprintf(s->addr, sizeof s->addr, "tcp:127.0.0.1:%u", ntohs(in.sin_port));
	} else {
		memcpy(un.sun_path, s->path, strlen(s->path) + 1);
		assert_int_equal(bind(s->fd, (struct sockaddr *)&un, sizeof un), 0);
	}
}

static void
server_listen(struct server *s)
{
	assert_int_equal(listen(s->fd, 16), 0);
	loop_io_init(&s->io, s->loop, s->fd, server_accept, s);
	loop_io_want(&s->io, LOOP_READ);
}

static void
server_drop_all(struct server *s)
{
	for (unsigned i = 0; i < CONNS; i++)
		conn_close(&s->conns[i]);
}

static void
server_stop(struct server *s)
{
	server_drop_all(s);
	if (s->fd < 0)
		return;
	loop_io_fini(&s->io);
	close(s->fd);
	s->fd = -1;
	unlink(s->path);
}

/* ---- the test's side ---- */

struct env {
	struct loop *loop;
	struct server srv;
	struct kam *kam;
	struct loop_timer guard;
	bool guarded;
	char dir[64];
	unsigned ups;
	unsigned downs;
	bool restarted;
	int down_err;
	char why[512];
	unsigned logged; /* lines at notice and above */
	char last_log[512];
	bool free_in_up;
	bool free_in_down;
};

struct ask {
	struct env *env;
	unsigned calls;
	unsigned order; /* which one of all it was */
	int err;
	enum binrpc_kind kind;
	bool was_up;
	bool empty;
	char text[64];
	size_t len;
	unsigned again; /* calls to make from the callback */
	bool free_in_cb;
	bool reconnect_in_cb;
	bool raw; /* by kam_call_raw() */
};

static unsigned answered;

#define AWAIT(env, condition) \
	do { \
		while (!(condition)) { \
			if ((env)->guarded) \
				fail_msg("%s:%d: in vain: %s", __FILE__, __LINE__, #condition); \
			assert_int_equal(loop_run((env)->loop), 0); \
		} \
	} while (0)

static void
on_guard(void *arg)
{
	struct env *env = arg;

	env->guarded = true;
	loop_stop(env->loop);
}

static void
on_up(void *arg, const struct kam_ident *ident, bool restarted)
{
	struct env *env = arg;

	loop_stop(env->loop);
	assert_true(kam_is_up(env->kam));
	assert_ptr_equal(ident, kam_ident(env->kam));
	env->ups++;
	env->restarted = restarted;
	if (env->free_in_up) {
		kam_free(env->kam);
		env->kam = NULL;
	}
}

static void
on_down(void *arg, int err, const char *why)
{
	struct env *env = arg;

	loop_stop(env->loop);
	assert_false(kam_is_up(env->kam));
	env->downs++;
	env->down_err = err;
	snprintf(env->why, sizeof env->why, "%s", why);
	if (env->free_in_down) {
		kam_free(env->kam);
		env->kam = NULL;
	}
}

static const struct kam_events events = { on_up, on_down };

static void
on_log(void *arg, enum log_level level, const char *sub, const char *text)
{
	struct env *env = arg;

	if (level > LOG_L_NOTICE)
		return;
	assert_string_equal(sub, "kam");
	env->logged++;
	snprintf(env->last_log, sizeof env->last_log, "%s", text);
}

static void call(struct ask *, const char *method);

static void
on_answer(void *arg, int err, const struct binrpc_msg *msg)
{
	struct ask *a = arg;
	struct env *env = a->env;

	loop_stop(env->loop);
	assert_int_equal(err == 0, msg != NULL);
	a->calls++;
	a->order = ++answered;
	a->err = err;
	a->was_up = kam_is_up(env->kam);
	if (msg != NULL && a->raw && msg->kind == BINRPC_REPLY) {
		struct binrpc_walk w = { .body = msg->body, .len = msg->body_len };
		struct binrpc_item item;

		assert_null(msg->first);
		a->kind = msg->kind;
		a->empty = msg->body_len == 0;
		if (binrpc_next(&w, &item) > 0 && item.type == BINRPC_STR) {
			a->len = item.len;
			snprintf(a->text, sizeof a->text, "%s", item.str);
		}
	} else if (msg != NULL) {
		a->kind = msg->kind;
		a->empty = msg->first == NULL;
		if (msg->first != NULL && msg->first->type == BINRPC_STR) {
			a->len = msg->first->len;
			snprintf(a->text, sizeof a->text, "%s", msg->first->str);
		}
	}
	if (a->again > 0) {
		a->again--;
		call(a, "test.again");
	}
	if (a->reconnect_in_cb)
		kam_reconnect(env->kam, "because of the answer");
	if (a->free_in_cb) {
		kam_free(env->kam);
		env->kam = NULL;
	}
}

static void
call(struct ask *a, const char *method)
{
	struct buf body = { 0 };
	unsigned before = a->calls;

	binrpc_begin(&body, method);
	(a->raw ? kam_call_raw : kam_call)(a->env->kam, method, &body, on_answer, a);
	assert_int_equal(a->calls, before); /* never from within */
	buf_free(&body);
}

static void
env_init(struct env *env, bool tcp)
{
	memset(env, 0, sizeof *env);
	answered = connects = 0;
	send_max = 0;
	connect_errno = 0;
	assert_int_equal(loop_new(&env->loop), 0);
	loop_timer_init(&env->guard, env->loop, on_guard, env);
	loop_timer_start(&env->guard, GUARD_MS);
	snprintf(env->dir, sizeof env->dir, "/tmp/test_kam.XXXXXX");
	assert_non_null(mkdtemp(env->dir));
	env->srv.loop = env->loop;
	env->srv.fd = -1;
	env->srv.tcp = tcp;
	env->srv.up_since = "Sat Nov 21 04:28:35 2026";
	env->srv.pid = 4711;
	snprintf(env->srv.path, sizeof env->srv.path, "%s/ctl", env->dir);
	snprintf(env->srv.addr, sizeof env->srv.addr, "unix:%s", env->srv.path);
	log_hook(on_log, env);
}

static void
env_kam(struct env *env, int64_t timeout_ms)
{
	assert_int_equal(
	    kam_new(&env->kam, env->loop, "sbc", env->srv.addr, timeout_ms, &events, env), 0);
	assert_string_equal(kam_addr(env->kam), env->srv.addr);
	assert_string_equal(kam_ident(env->kam)->up_since, "");
	assert_false(kam_is_up(env->kam));
	kam_start(env->kam);
	kam_start(env->kam);
	assert_int_equal(connects, 0); /* from the loop only */
}

/* A server and a kam that is up. */
static void
env_up(struct env *env, bool tcp, int64_t timeout_ms)
{
	env_init(env, tcp);
	server_bind(&env->srv);
	server_listen(&env->srv);
	env_kam(env, timeout_ms);
	AWAIT(env, env->ups == 1);
	assert_int_equal(env->downs, 0);
}

static void
env_fini(struct env *env)
{
	kam_free(env->kam);
	AWAIT(env, env->srv.open == 0);
	server_stop(&env->srv);
	loop_timer_fini(&env->guard);
	loop_free(env->loop);
	log_unhook(on_log, env);
	assert_int_equal(rmdir(env->dir), 0);
}

static void
assert_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("no \"%s\" in \"%s\"", part, text);
}

/* ---- tests ---- */

static void
addresses(void **state)
{
	static const struct {
		const char *addr;
		int err;
	} cases[] = {
		{ "unix:/run/kamailio/kamailio_ctl", 0 },
		{ "tcp:127.0.0.1:2049", 0 },
		{ "tcp:[::1]:2049", 0 },
		{ "unix:relative", -EINVAL },
		{ "unix:", -EINVAL },
		{ "/run/kamailio/kamailio_ctl", -EINVAL },
		{ "udp:127.0.0.1:2049", -EINVAL },
		{ "tcp:127.0.0.1", -EINVAL },
		{ "tcp:127.0.0.1:0", -EINVAL },
		{ "tcp:127.0.0.1:65536", -EINVAL },
		{ "tcp:::1:2049", -EINVAL },
		{ "tcp:localhost:2049", -EINVAL },
		{ "", -EINVAL },
		{ "unix:/a-path-that-is-longer-than-the-108-bytes-of-sun_path/"
		  "a-path-that-is-longer-than-the-108-bytes-of-sun_path/ctl",
		    -EINVAL },
	};
	struct loop *loop;

	assert_int_equal(loop_new(&loop), 0);
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct kam *k = NULL;

		if (kam_new(&k, loop, "sbc", cases[i].addr, 1000, &events, NULL) != cases[i].err)
			fail_msg("%s", cases[i].addr);
		assert_int_equal(k != NULL, cases[i].err == 0);
		kam_free(k);
	}
	loop_free(loop);
}

static void
comes_up_and_calls(void **state)
{
	for (int tcp = 0; tcp < 2; tcp++) {
		for (int bytewise = 0; bytewise < 2; bytewise++) {
			struct ask echo = { 0 }, empty = { 0 }, fault = { 0 };
			struct env env;

			env_init(&env, tcp);
			env.srv.bytewise = bytewise;
			server_bind(&env.srv);
			server_listen(&env.srv);
			env_kam(&env, PATIENT_MS);
			AWAIT(&env, env.ups == 1);
			assert_false(env.restarted);
			assert_string_equal(
			    kam_ident(env.kam)->up_since, "Sat Nov 21 04:28:35 2026");
			assert_string_equal(
			    kam_ident(env.kam)->version, "kamailio 5.6.3 (x86_64/linux)");
			assert_int_equal(kam_ident(env.kam)->main_pid, 4711);
			assert_int_equal(env.logged, 1);
			echo.env = empty.env = fault.env = &env;
			call(&echo, "test.echo");
			call(&empty, "test.empty");
			call(&fault, "test.fault");
			AWAIT(&env, fault.calls == 1);
			assert_int_equal(echo.err | empty.err | fault.err, 0);
			assert_string_equal(echo.text, "test.echo");
			assert_int_equal(empty.kind, BINRPC_REPLY);
			assert_true(empty.empty);
			assert_int_equal(fault.kind, BINRPC_FAULT);
			assert_true(echo.order == 1 && empty.order == 2 && fault.order == 3);
			assert_int_equal(env.downs, 0);
			assert_int_equal(env.srv.accepted, 1);
			env_fini(&env);
		}
	}
}

static void
large_replies(void **state)
{
	for (int tcp = 0; tcp < 2; tcp++) {
		struct env env;
		struct ask big[4] = { { .env = &env }, { .env = &env, .raw = true }, { .env = &env, .raw = true }, { .env = &env } };
		size_t i;

		env_up(&env, tcp, PATIENT_MS);
		for (i = 0; i < NELEM(big); i++)
			call(&big[i], "test.big");
		AWAIT(&env, big[3].calls == 1);
		for (i = 0; i < NELEM(big); i++) {
			assert_int_equal(big[i].err, 0);
			assert_int_equal(big[i].len, BIG - 1);
			assert_int_equal(big[i].order, big[0].order + i);
		}
		env_fini(&env);
	}
}

static void
large_requests_in_many_writes(void **state)
{
	static char text[60001];
	struct env env;
	struct ask a = { .env = &env }, next = { .env = &env };
	struct buf body = { 0 };

	memset(text, 'x', sizeof text - 1);
	env_up(&env, false, PATIENT_MS);
	send_max = 777;
	binrpc_begin(&body, "test.echo");
	binrpc_add_str(&body, text);
	kam_call(env.kam, "test.echo", &body, on_answer, &a);
	buf_free(&body);
	call(&next, "test.next");
	AWAIT(&env, next.calls == 1);
	assert_int_equal(a.err | next.err, 0);
	assert_int_equal(env.srv.arg_len, sizeof text - 1);
	assert_string_equal(next.text, "test.next");
	env_fini(&env);
}

static void
too_large_requests_are_refused(void **state)
{
	static char text[BINRPC_REQUEST_MAX + 1];
	struct env env;
	struct ask a = { .env = &env }, next = { .env = &env };
	struct buf body = { 0 };

	memset(text, 'x', sizeof text - 1);
	env_up(&env, false, PATIENT_MS);
	binrpc_begin(&body, "test.echo");
	binrpc_add_str(&body, text);
	kam_call(env.kam, "test.echo", &body, on_answer, &a);
	assert_int_equal(a.calls, 0);
	buf_free(&body);
	call(&next, "test.next");
	AWAIT(&env, next.calls == 1 && a.calls == 1);
	assert_int_equal(a.err, -EMSGSIZE);
	assert_int_equal(next.err, 0);
	assert_int_equal(env.srv.asked, 1);
	assert_int_equal(env.downs, 0);
	env_fini(&env);
}

static void
one_in_flight_and_the_rest_in_order(void **state)
{
	struct ask a[KAM_WAITING_MAX + 3];
	struct env env;

	env_up(&env, false, PATIENT_MS);
	memset(a, 0, sizeof a);
	env.srv.hold = true;
	for (size_t i = 0; i < NELEM(a); i++) {
		a[i].env = &env;
		call(&a[i], "test.echo");
	}
	/* one flies, KAM_WAITING_MAX wait, two are too many */
	AWAIT(&env, env.srv.held == 1 && a[NELEM(a) - 1].calls == 1);
	assert_int_equal(a[NELEM(a) - 2].err, -EBUSY);
	assert_int_equal(a[NELEM(a) - 1].err, -EBUSY);
	assert_int_equal(answered, 2);
	assert_int_equal(env.srv.asked, 1);
	/* conn_ready() sees to it that none is asked before the last one is answered */
	server_release(&env.srv);
	AWAIT(&env, answered == NELEM(a));
	for (size_t i = 0; i < KAM_WAITING_MAX + 1; i++) {
		assert_int_equal(a[i].calls, 1);
		assert_int_equal(a[i].err, 0);
		assert_int_equal(a[i].order, i + 3);
	}
	assert_int_equal(env.srv.asked, KAM_WAITING_MAX + 1);
	assert_int_equal(env.downs, 0);
	env_fini(&env);
}

static void
calls_while_not_up_fail(void **state)
{
	struct env env;
	struct ask before = { .env = &env }, again = { .env = &env, .again = 5 };

	env_init(&env, false);
	assert_int_equal(
	    kam_new(&env.kam, env.loop, "sbc", env.srv.addr, PATIENT_MS, &events, &env), 0);
	call(&before, "test.echo");
	call(&again, "test.echo");
	AWAIT(&env, before.calls == 1 && again.calls == 6);
	assert_int_equal(before.err, -ENOTCONN);
	assert_int_equal(again.err, -ENOTCONN);
	assert_int_equal(connects, 0); /* not started */
	env_fini(&env);
}

/* What is not decoded: small and empty ones, faults, and whatever the callback does with its kam. */
static void
raw_replies(void **state)
{
	struct env env;
	struct ask echo = { .env = &env, .raw = true, .again = 2 }, fault = { .env = &env, .raw = true };
	struct ask last = { .env = &env, .raw = true };

	env_up(&env, false, PATIENT_MS);
	call(&echo, "test.echo");
	AWAIT(&env, echo.calls == 3);
	assert_int_equal(echo.err, 0);
	assert_string_equal(echo.text, "test.again");
	env.srv.bad = H_FAULT;
	call(&fault, "test.bad");
	AWAIT(&env, fault.calls == 1);
	assert_int_equal(fault.err, 0);
	assert_int_equal(fault.kind, BINRPC_FAULT);
	last.reconnect_in_cb = true;
	call(&last, "test.echo");
	AWAIT(&env, last.calls == 1 && env.ups == 2);
	assert_int_equal(env.downs, 1);
	last.reconnect_in_cb = false;
	last.free_in_cb = true;
	call(&last, "test.big");
	AWAIT(&env, last.calls == 2);
	assert_int_equal(last.len, BIG - 1);
	env_fini(&env);
}

/* A reply that is not one ends the connection, once, and the next one works. */
static void
bad_replies(void **state)
{
	static const struct {
		const char *what;
		enum how how;
		int err;
		int down_err;
		const char *why;
	} cases[] = {
		{ "silent", H_SILENT, -ETIMEDOUT, -ETIMEDOUT, "no reply to test.bad within 400ms" },
		{ "half", H_HALF, -ETIMEDOUT, -ETIMEDOUT, "no reply to test.bad within 400ms but its first " },
		{ "half, close", H_HALF_CLOSE, -ECONNRESET, -ECONNRESET,
		    "closed the connection during test.bad" },
		{ "close", H_CLOSE, -ECONNRESET, -ECONNRESET,
		    "closed the connection during test.bad" },
		{ "reset", H_RESET, -ECONNRESET, -ECONNRESET, "" },
		{ "wrong cookie", H_WRONG_COOKIE, -EBADMSG, -EBADMSG,
		    "got something else than the reply to test.bad" },
		{ "a request", H_AS_REQUEST, -EBADMSG, -EBADMSG,
		    "got something else than the reply to test.bad" },
		{ "100 MB", H_HUGE, -EMSGSIZE, -EMSGSIZE,
		    "the reply to test.bad is larger than c4d takes" },
		{ "no binrpc", H_NO_BINRPC, -EBADMSG, -EBADMSG,
		    "the reply to test.bad is no binrpc" },
		{ "bad body", H_BAD_BODY, -EBADMSG, -EBADMSG,
		    "the reply to test.bad cannot be decoded" },
		{ "twice", H_TWICE, 0, -EBADMSG, "sent more than was asked" },
	};

	for (size_t i = 0; i < NELEM(cases) * 4; i++) {
		bool tcp = i / NELEM(cases) & 1, raw = i / NELEM(cases) & 2, silent;
		size_t at = i % NELEM(cases);
		struct env env;
		struct ask bad = { .env = &env, .raw = raw }, waiting[2] = { { .env = &env }, { .env = &env } },
			   good = { .env = &env };

		if (raw && cases[at].how == H_BAD_BODY)
			continue; /* whoever walks over it finds that */
		silent = cases[at].how == H_SILENT || cases[at].how == H_HALF;
		env_up(&env, tcp, silent ? SHORT_MS : PATIENT_MS);
		env.srv.bad = cases[at].how;
		call(&bad, "test.bad");
		call(&waiting[0], "test.echo");
		call(&waiting[1], "test.echo");
		AWAIT(&env, env.downs == 1);
		if (bad.calls != 1 || bad.err != cases[at].err)
			fail_msg("%s: %u, %d", cases[at].what, bad.calls, bad.err);
		for (size_t k = 0; k < 2; k++) {
			assert_int_equal(waiting[k].calls, 1);
			assert_int_equal(waiting[k].err, -ECONNRESET);
			assert_false(waiting[k].was_up);
			assert_int_equal(waiting[k].order, k + 2);
		}
		assert_int_equal(env.down_err, cases[at].down_err);
		assert_has(env.why, cases[at].why);
		assert_has(env.last_log, "sbc: lost; ");
		assert_has(env.last_log, cases[at].why);
		AWAIT(&env, env.ups == 2);
		assert_false(env.restarted);
		assert_has(env.last_log, "sbc: back after ");
		call(&good, "test.echo");
		AWAIT(&env, good.calls == 1);
		assert_int_equal(good.err, 0);
		assert_int_equal(env.downs, 1);
		assert_int_equal(env.logged, 3);
		env_fini(&env);
	}
}

static void
bad_peers_never_come_up(void **state)
{
	static const struct {
		enum how how;
		int err;
		const char *why;
	} cases[] = {
		{ H_SILENT, -ETIMEDOUT, "no reply to core.uptime within 400ms" },
		{ H_CLOSE, -ECONNRESET, "closed the connection instead of answering core.uptime" },
		{ H_RESET, -ECONNRESET, "closed the connection instead of answering core.uptime" },
		{ H_NO_BINRPC, -EBADMSG, "is this Kamailio's binrpc socket?" },
		{ H_WRONG_COOKIE, -EBADMSG, "got something else than the reply to core.uptime" },
		{ H_FAULT, -EBADMSG, "cannot use the answer to core.uptime: Ongoing reload" },
		{ H_HUGE, -EMSGSIZE, "the reply to core.uptime is larger than c4d takes" },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct env env;
		int64_t begin;

		env_init(&env, i % 2);
		server_bind(&env.srv);
		server_listen(&env.srv);
		env.srv.uptime = cases[i].how;
		begin = loop_now_ms(env.loop);
		env_kam(&env, SHORT_MS);
		AWAIT(&env, env.srv.accepted == 4);
		/* 50, 100, 200 ms, less 10 percent of jitter */
		assert_true(loop_now_ms(env.loop) - begin >= 300);
		assert_int_equal(env.downs, 1);
		assert_int_equal(env.ups, 0);
		assert_int_equal(env.down_err, cases[i].err);
		assert_has(env.why, cases[i].why);
		assert_int_equal(env.logged, 1);
		assert_has(env.last_log, "sbc: not reachable; ");
		env.srv.uptime = H_ANSWER;
		AWAIT(&env, env.ups == 1);
		assert_int_equal(env.downs, 1);
		assert_int_equal(env.logged, 2);
		env_fini(&env);
	}
}

static void
what_it_can_do_without(void **state)
{
	struct env env;

	env_init(&env, false);
	server_bind(&env.srv);
	server_listen(&env.srv);
	env.srv.psx_faults = env.srv.version_faults = true;
	env_kam(&env, PATIENT_MS);
	AWAIT(&env, env.ups == 1);
	assert_int_equal(kam_ident(env.kam)->main_pid, 0);
	assert_string_equal(kam_ident(env.kam)->version, "");
	assert_string_equal(kam_ident(env.kam)->up_since, "Sat Nov 21 04:28:35 2026");
	env_fini(&env);
}

static void
bytes_nobody_asked_for(void **state)
{
	struct env env;

	env_up(&env, false, PATIENT_MS);
	for (unsigned i = 0; i < CONNS; i++) {
		if (!env.srv.conns[i].open)
			continue;
		buf_puts(&env.srv.conns[i].out, "\xa1\x10\x01");
		conn_flush(&env.srv.conns[i]);
	}
	AWAIT(&env, env.downs == 1);
	assert_int_equal(env.down_err, -EBADMSG);
	assert_has(env.why, "3 bytes that nobody asked for");
	AWAIT(&env, env.ups == 2);
	env_fini(&env);
}

static void
restarts_are_noticed(void **state)
{
	static const struct {
		const char *up_since;
		int32_t pid;
		bool pid_unknown;
		bool restarted;
	} cases[] = {
		{ "Sat Nov 21 04:28:35 2026", 4711, false, false },
		{ "Sat Nov 21 04:28:35 2026", 4712, false, true },
		{ "Sat Nov 21 04:28:36 2026", 4711, false, true },
		{ "Sat Nov 21 04:28:35 2026", 0, true, false },
		{ "Sat Nov 21 04:28:36 2026", 0, true, true },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct env env;

		env_up(&env, i % 2, PATIENT_MS);
		env.srv.up_since = cases[i].up_since;
		env.srv.pid = cases[i].pid;
		env.srv.psx_faults = cases[i].pid_unknown;
		server_drop_all(&env.srv);
		AWAIT(&env, env.downs == 1);
		assert_int_equal(env.down_err, -ECONNRESET);
		/* still the last one's */
		assert_string_equal(kam_ident(env.kam)->up_since, "Sat Nov 21 04:28:35 2026");
		AWAIT(&env, env.ups == 2);
		assert_int_equal(env.restarted, cases[i].restarted);
		assert_string_equal(kam_ident(env.kam)->up_since, cases[i].up_since);
		env_fini(&env);
	}
}

static void
absent_at_first(void **state)
{
	for (int tcp = 0; tcp < 2; tcp++) {
		struct env env;

		env_init(&env, tcp);
		if (tcp)
			server_bind(&env.srv); /* a port; without listen() it refuses */
		env_kam(&env, PATIENT_MS);
		AWAIT(&env, env.downs == 1);
		assert_int_equal(env.down_err, tcp ? -ECONNREFUSED : -ENOENT);
		assert_has(env.why,
		    tcp ? "cannot connect to 127.0.0.1:" : "cannot connect to /tmp/test_kam.");
		assert_has(env.why, tcp ? ": Connection refused (is Kamailio running, with ctl.so loaded "
					  "and modparam(\"ctl\", \"binrpc\", \"tcp:127.0.0.1:"
					: "/ctl: No such file or directory (is Kamailio running, with ctl.so loaded "
					  "and modparam(\"ctl\", \"binrpc\", \"unix:/tmp/test_kam.");
		if (!tcp)
			server_bind(&env.srv);
		server_listen(&env.srv);
		AWAIT(&env, env.ups == 1);
		assert_int_equal(env.downs, 1);
		assert_int_equal(env.logged, 2);
		env_fini(&env);
	}
}

static void
reasons_why_it_cannot_connect(void **state)
{
	static const struct {
		int err;
		const char *why;
	} cases[] = {
		{ EACCES, "Permission denied (is c4d in Kamailio's group? modparam(\"ctl\", "
			  "\"mode\", 0660) and modparam(\"ctl\", \"group\", \"kamailio\"); the socket has mode " },
		{ ECONNREFUSED, "Connection refused (is Kamailio running, with ctl.so loaded and "
				"modparam(\"ctl\", \"binrpc\", \"unix:/tmp/test_kam." },
		{ EPROTOTYPE, "takes datagrams only; modparam(\"ctl\", \"binrpc\", \"unix:" },
		{ EAGAIN, "too many connections wait there" },
		{ EMFILE, "LimitNOFILE" },
		{ ENETUNREACH, "Network is unreachable" },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct env env;

		env_init(&env, false);
		server_bind(&env.srv);
		server_listen(&env.srv);
		connect_errno = cases[i].err;
		env_kam(&env, PATIENT_MS);
		AWAIT(&env, env.downs == 1);
		assert_int_equal(env.down_err, -cases[i].err);
		assert_has(env.why, cases[i].why);
		assert_has(env.why, env.srv.path);
		connect_errno = 0;
		AWAIT(&env, env.ups == 1);
		env_fini(&env);
	}
}

/* Nobody accepts, and the kernel's queue is full: a unix connect() fails, a TCP one hangs. */
static void
a_full_backlog(void **state)
{
	for (int tcp = 0; tcp < 2; tcp++) {
		struct sockaddr_storage to;
		socklen_t len = sizeof to;
		int filler[4];
		struct env env;

		env_init(&env, tcp);
		server_bind(&env.srv);
		assert_int_equal(listen(env.srv.fd, 0), 0);
		assert_int_equal(getsockname(env.srv.fd, (struct sockaddr *)&to, &len), 0);
		for (size_t i = 0; i < NELEM(filler); i++) {
			filler[i] = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
			(void)connect(filler[i], (struct sockaddr *)&to, len);
		}
		connects = 0;
		env_kam(&env, SHORT_MS);
		AWAIT(&env, env.downs == 1);
		assert_int_equal(env.down_err, tcp ? -ETIMEDOUT : -EAGAIN);
		assert_has(env.why, tcp ? " within 400ms" : "too many connections wait there");
		for (size_t i = 0; i < NELEM(filler); i++)
			close(filler[i]);
		server_listen(&env.srv);
		AWAIT(&env, env.ups == 1);
		env_fini(&env);
	}
}

static void
callbacks_call_again(void **state)
{
	struct env env;
	struct ask again = { .env = &env, .again = 40 }, other = { .env = &env };

	env_up(&env, false, PATIENT_MS);
	call(&again, "test.echo");
	call(&other, "test.echo");
	AWAIT(&env, again.calls == 41);
	assert_int_equal(again.err, 0);
	assert_string_equal(again.text, "test.again");
	assert_int_equal(other.calls, 1);
	assert_int_equal(other.order, 2); /* before what was asked later */
	env_fini(&env);
}

static void
reconnects_when_told(void **state)
{
	struct env env;
	struct ask flying = { .env = &env }, waiting = { .env = &env }, good = { .env = &env };

	env_up(&env, false, PATIENT_MS);
	env.srv.hold = true;
	call(&flying, "test.echo");
	call(&waiting, "test.echo");
	AWAIT(&env, env.srv.held == 1);
	kam_reconnect(env.kam, "the list could not be understood");
	assert_false(kam_is_up(env.kam));
	assert_int_equal(flying.calls + waiting.calls + env.downs, 0);
	AWAIT(&env, env.downs == 1);
	assert_int_equal(flying.err, -ECONNRESET);
	assert_int_equal(waiting.err, -ECONNRESET);
	assert_true(flying.order == 1 && waiting.order == 2);
	assert_non_null(strstr(env.why, ": the list could not be understood"));
	env.srv.hold = false;
	AWAIT(&env, env.ups == 2);
	call(&good, "test.echo");
	AWAIT(&env, good.calls == 1);
	assert_int_equal(good.err, 0);
	assert_int_equal(env.srv.accepted, 2);
	env_fini(&env);
}

static void
reconnects_from_a_callback(void **state)
{
	struct env env;
	struct ask a = { .env = &env, .reconnect_in_cb = true }, waiting = { .env = &env };

	env_up(&env, true, PATIENT_MS);
	call(&a, "test.big");
	call(&waiting, "test.echo");
	AWAIT(&env, env.downs == 1);
	assert_int_equal(a.err, 0);
	assert_int_equal(waiting.err, -ECONNRESET);
	assert_non_null(strstr(env.why, ": because of the answer"));
	AWAIT(&env, env.ups == 2);
	env_fini(&env);
}

/* Freed from within each of its callbacks: no other callback runs, nothing leaks. */
static void
freed_in_callbacks(void **state)
{
	static const struct {
		const char *method;
		enum how how;
		bool in_cb;
		bool in_down;
		bool in_up;
	} cases[] = {
		{ "test.echo", H_ANSWER, true, false, false },
		{ "test.bad", H_CLOSE, true, false, false },
		{ "test.bad", H_TWICE, true, false, false },
		{ "test.bad", H_NO_BINRPC, true, false, false },
		{ "test.bad", H_CLOSE, false, true, false },
		{ NULL, H_ANSWER, false, false, true },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct env env;
		struct ask a = { .env = &env, .free_in_cb = cases[i].in_cb },
			   waiting = { .env = &env };

		env_init(&env, i % 2);
		server_bind(&env.srv);
		server_listen(&env.srv);
		env.srv.bad = cases[i].how;
		env.free_in_up = cases[i].in_up;
		env.free_in_down = cases[i].in_down;
		env_kam(&env, PATIENT_MS);
		AWAIT(&env, env.ups == 1);
		if (cases[i].method != NULL) {
			call(&a, cases[i].method);
			call(&waiting, "test.echo");
			AWAIT(&env, env.kam == NULL);
			assert_int_equal(a.calls, 1);
			/* calls end before `down` */
			assert_int_equal(waiting.calls, cases[i].in_down);
		}
		assert_null(env.kam);
		AWAIT(&env, env.srv.open == 0);
		assert_int_equal(env.downs, cases[i].in_down);
		assert_int_equal(waiting.calls, cases[i].in_down);
		env_fini(&env);
	}
}

static void
freed_with_calls_under_way(void **state)
{
	struct env env;
	struct ask flying = { .env = &env }, waiting = { .env = &env }, refused = { .env = &env };

	env_up(&env, false, PATIENT_MS);
	env.srv.hold = true;
	call(&flying, "test.echo");
	for (unsigned i = 0; i < KAM_WAITING_MAX; i++)
		call(&waiting, "test.echo");
	call(&refused, "test.echo"); /* its callback is due */
	kam_free(env.kam);
	env.kam = NULL;
	AWAIT(&env, env.srv.open == 0 && env.srv.accepted == 1);
	assert_int_equal(flying.calls + waiting.calls + refused.calls + env.downs, 0);
	kam_free(NULL);
	env_fini(&env);
}

/* By method and code; when there are too many kinds the last one counts all others, so that what a peer says can't grow. */
static void
faults_are_counted(void **state)
{
	static char methods[KAM_FAULTS_MAX + 8][8];
	struct kam_fault f;
	struct buf body = { 0 };
	struct env env;
	struct ask ok = { .env = &env }, a = { .env = &env };
	size_t i;

	env_up(&env, false, PATIENT_MS);
	assert_false(kam_fault(env.kam, 0, &f));
	call(&ok, "test.echo");
	AWAIT(&env, ok.calls == 1);
	assert_false(kam_fault(env.kam, 0, &f));
	call(&a, "test.fault");
	call(&a, "test.fault");
	AWAIT(&env, a.calls == 2);
	assert_true(kam_fault(env.kam, 0, &f));
	assert_string_equal(f.what, "test.fault");
	assert_int_equal(f.code, 500);
	assert_int_equal(f.count, 2);
	assert_false(kam_fault(env.kam, 1, &f));
	binrpc_begin(&body, "test.fault");
	for (i = 0; i < NELEM(methods); i++) {
		snprintf(methods[i], sizeof methods[i], "m%zu", i);
		kam_call(env.kam, methods[i], &body, on_answer, &a);
	}
	buf_free(&body);
	AWAIT(&env, a.calls == 2 + NELEM(methods));
	assert_true(kam_fault(env.kam, 1, &f));
	assert_string_equal(f.what, "m0");
	assert_int_equal(f.count, 1);
	assert_true(kam_fault(env.kam, KAM_FAULTS_MAX - 1, &f));
	assert_string_equal(f.what, "others");
	assert_int_equal(f.code, 0);
	assert_int_equal(f.count, 1 + NELEM(methods) - (KAM_FAULTS_MAX - 1));
	assert_false(kam_fault(env.kam, KAM_FAULTS_MAX, &f));
	env_fini(&env);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(comes_up_and_calls),
		cmocka_unit_test(large_replies),
		cmocka_unit_test(raw_replies),
		cmocka_unit_test(large_requests_in_many_writes),
		cmocka_unit_test(too_large_requests_are_refused),
		cmocka_unit_test(one_in_flight_and_the_rest_in_order),
		cmocka_unit_test(calls_while_not_up_fail),
		cmocka_unit_test(bad_replies),
		cmocka_unit_test(bad_peers_never_come_up),
		cmocka_unit_test(what_it_can_do_without),
		cmocka_unit_test(bytes_nobody_asked_for),
		cmocka_unit_test(restarts_are_noticed),
		cmocka_unit_test(absent_at_first),
		cmocka_unit_test(reasons_why_it_cannot_connect),
		cmocka_unit_test(a_full_backlog),
		cmocka_unit_test(callbacks_call_again),
		cmocka_unit_test(reconnects_when_told),
		cmocka_unit_test(reconnects_from_a_callback),
		cmocka_unit_test(freed_in_callbacks),
		cmocka_unit_test(freed_with_calls_under_way),
		cmocka_unit_test(faults_are_counted),
	};

	signal(SIGPIPE, SIG_IGN);
	log_init(LOG_L_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
