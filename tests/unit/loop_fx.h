/*
 * loop_fx: a loop for tests of what lives in it. Every wait is for a condition, with one guard that fails the test; all log
 * lines of notice and above are kept.
 */
#ifndef LOOP_FX_H
#define LOOP_FX_H

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/text.h"
#include "topology/addr.h"

#define FX static __attribute__((unused)) /* not every test program uses all of it */
#define GUARD_MS 30000
#define TICK_MS 2 /* how often a condition is looked at that no callback tells of */

struct fx {
	struct loop *loop;
	struct loop_timer guard, tick;
	bool guarded;
	struct buf log; /* "SUBSYSTEM: TEXT\n" */
};

#define AWAIT(fx, condition) \
	do { \
		while (!(condition)) { \
			if ((fx)->guarded) \
				fail_msg("%s:%d: in vain: %s\nlog:\n%s", __FILE__, __LINE__, #condition, (fx)->log.s); \
			assert_int_equal(loop_run((fx)->loop), 0); \
		} \
	} while (0)

#define ASSERT_SAYS(text, part) \
	do { \
		if (strstr(text, part) == NULL) \
			fail_msg("%s:%d: \"%s\" does not say \"%s\"", __FILE__, __LINE__, text, part); \
	} while (0)

FX void
fx_on_guard(void *arg)
{
	struct fx *fx = arg;

	fx->guarded = true;
}

FX void
fx_on_tick(void *arg)
{
	struct fx *fx = arg;

	loop_stop(fx->loop);
	loop_timer_start(&fx->tick, TICK_MS);
}

FX void
fx_on_log(void *arg, enum log_level level, const char *sub, const char *text)
{
	struct fx *fx = arg;

	if (level <= LOG_L_NOTICE)
		buf_printf(&fx->log, "%s: %s\n", sub, text);
}

static struct fx *fx_hooked; /* of a test that failed: it left its hook behind */

FX void
fx_init(struct fx *fx)
{
	if (fx_hooked != NULL)
		log_unhook(fx_on_log, fx_hooked);
	fx_hooked = fx;
	memset(fx, 0, sizeof *fx);
	assert_int_equal(loop_new(&fx->loop), 0);
	loop_timer_init(&fx->guard, fx->loop, fx_on_guard, fx);
	loop_timer_start(&fx->guard, GUARD_MS);
	loop_timer_init(&fx->tick, fx->loop, fx_on_tick, fx);
	loop_timer_start(&fx->tick, 0);
	buf_puts(&fx->log, "");
	log_hook(fx_on_log, fx);
}

FX void
fx_fini(struct fx *fx)
{
	log_unhook(fx_on_log, fx);
	fx_hooked = NULL;
	loop_timer_fini(&fx->guard);
	loop_timer_fini(&fx->tick);
	loop_free(fx->loop);
	buf_free(&fx->log);
}

/* For what must not happen. */
FX void
fx_pass(struct fx *fx, int64_t ms)
{
	int64_t end = loop_now_ms(fx->loop) + ms;

	AWAIT(fx, loop_now_ms(fx->loop) >= end);
}

FX unsigned
fx_lines(const struct fx *fx)
{
	const char *p;
	unsigned n = 0;

	for (p = fx->log.s; *p; p++)
		n += *p == '\n';
	return n;
}

/* ---- sockets of peers in the same loop ---- */

FX void
fx_watch(struct fx *fx, struct loop_io *io, int fd, loop_io_cb *cb, void *arg)
{
	assert_true(fd >= 0);
	loop_io_init(io, fx->loop, fd, cb, arg);
	loop_io_want(io, LOOP_READ);
}

/* One of -1 is closed already. */
FX void
fx_close(struct loop_io *io, int *fd)
{
	if (*fd < 0)
		return;
	loop_io_fini(io);
	close(*fd);
	*fd = -1;
}

/* Bound to this address; the first time, when it has no port yet, to any, which it keeps. Of a stream, it listens. */
FX int
fx_socket(struct topo_addr *addr, int type)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(addr->port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(addr->port) };
	bool six = addr->family == 6;
	struct sockaddr *sa = six ? (struct sockaddr *)&in6 : (struct sockaddr *)&in;
	socklen_t len = six ? sizeof in6 : sizeof in;
	int one = 1, fd = socket(sa->sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(&in.sin_addr, addr->ip, 4);
	memcpy(&in6.sin6_addr, addr->ip, 16);
	assert_true(fd >= 0);
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	assert_int_equal(bind(fd, sa, len), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, sa, &len), 0);
	addr->port = ntohs(six ? in6.sin6_port : in.sin_port);
	return fd;
}

#endif
