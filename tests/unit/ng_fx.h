/*
 * ng_fx: a loop, and peers in it that take an rtpengine's place at a UDP port and answer, lie or keep
 * silent as told. Every wait is for a condition, with one guard that fails the test.
 */
#ifndef NG_FX_H
#define NG_FX_H

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
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
#include "rtpengine/ng.h"

#define FX static __attribute__((unused)) /* not every test program uses all of it */

#define GUARD_MS 30000
#define TICK_MS 2 /* how often a condition is looked at that no callback tells of */
#define KEPT 16

struct fx {
	struct loop *loop;
	struct loop_timer guard;
	struct loop_timer tick;
	bool guarded;
	struct buf log; /* lines of notice and above, of "rtp" */
};

#define AWAIT(fx, condition) \
	do { \
		while (!(condition)) { \
			if ((fx)->guarded) \
				fail_msg("%s:%d: in vain: %s\nlog:\n%s", __FILE__, __LINE__, \
				    #condition, (fx)->log.s ? (fx)->log.s : ""); \
			assert_int_equal(loop_run((fx)->loop), 0); \
		} \
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

	assert_string_equal(sub, "rtp");
	if (level <= LOG_L_NOTICE)
		buf_printf(&fx->log, "%s\n", text);
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

/* ---- the peer ---- */

enum how {
	H_ANSWER, /* `body`; NULL: as rtpengine answers "ping" and "list" */
	H_SILENT,
	H_STRAYS, /* everything that is not the answer, then the answer */
	H_PREVIOUS, /* answers the question before again, but this one not */
	H_LATE, /* answers, and then keeps the loop for 150 ms */
	H_CLOSE, /* takes the datagram and goes away; what follows is refused */
};

struct peer {
	struct fx *fx;
	struct loop_io io;
	int fd; /* -1: nobody listens */
	struct topo_addr addr;
	enum how how;
	unsigned mute; /* so many datagrams to ignore first */
	unsigned mute_lists; /* so many of "list" */
	const char *body;
	const char *list_body; /* the same, to "list" alone */
	unsigned sessions;
	unsigned got;
	unsigned pings;
	unsigned lists;
	char text[KEPT][256]; /* the first datagrams */
	int64_t at_ms[KEPT];
	char cookie[64]; /* of the last datagram */
	char previous[64];
};

FX void
peer_close(struct peer *p)
{
	if (p->fd < 0)
		return;
	loop_io_fini(&p->io);
	close(p->fd);
	p->fd = -1;
}

FX void
peer_say(struct peer *p, const struct sockaddr_storage *to, socklen_t len, const struct buf *b)
{
	assert_int_equal(sendto(p->fd, b->s, b->len, 0, (const struct sockaddr *)to, len), b->len);
}

FX void
peer_answer(struct peer *p, const struct sockaddr_storage *to, socklen_t len, const char *cookie,
    const char *body, size_t body_len)
{
	struct buf b = { 0 };

	buf_printf(&b, "%s ", cookie);
	buf_add(&b, body, body_len);
	peer_say(p, to, len, &b);
	buf_free(&b);
}

FX void
peer_strays(struct peer *p, const struct sockaddr_storage *to, socklen_t len)
{
	static const char pong[] = "d6:result4:ponge";
	struct buf b = { 0 };

	buf_puts(&b, "");
	peer_say(p, to, len, &b); /* nothing at all */
	peer_answer(p, to, len, "", pong, sizeof pong - 1);
	peer_answer(p, to, len, "0000000000000000", pong, sizeof pong - 1);
	buf_printf(&b, "%s", p->cookie);
	peer_say(p, to, len, &b); /* the cookie alone */
	buf_printf(&b, "x d6:result4:ponge");
	peer_say(p, to, len, &b); /* one that begins like it */
	b.len = strlen(p->cookie) - 1;
	buf_printf(&b, " d6:result4:ponge");
	peer_say(p, to, len, &b); /* one that it begins with */
	buf_free(&b);
}

FX void
peer_default(struct peer *p, const char *question, struct buf *b)
{
	unsigned i;

	if (strstr(question, "4:ping") != NULL) {
		buf_puts(b, "d6:result4:ponge");
	} else if (strstr(question, "4:list") != NULL) {
		buf_puts(b, "d5:callsl");
		for (i = 0; i < p->sessions; i++)
			buf_printf(b, "7:call-%02u", i % 100);
		buf_puts(b, "e6:result2:oke");
	} else {
		buf_puts(b, "d6:result5:error12:error-reason20:Unrecognized commande");
	}
}

FX void
peer_take(struct peer *p, const char *in, const struct sockaddr_storage *from, socklen_t len)
{
	const char *space = strchr(in, ' ');
	struct buf b = { 0 };

	assert_non_null(space);
	if (strncmp(p->cookie, in, (size_t)(space - in)) != 0)
		memcpy(p->previous, p->cookie, sizeof p->previous);
	snprintf(p->cookie, sizeof p->cookie, "%.*s", (int)(space - in), in);
	if (p->mute > 0) {
		p->mute--;
		return;
	}
	if (p->mute_lists > 0 && strstr(space, "4:list") != NULL) {
		p->mute_lists--;
		return;
	}
	if (p->how == H_SILENT)
		return;
	if (p->how == H_CLOSE) {
		peer_close(p);
		return;
	}
	if (p->list_body != NULL && strstr(space, "4:list") != NULL)
		buf_puts(&b, p->list_body);
	else if (p->body != NULL)
		buf_puts(&b, p->body);
	else
		peer_default(p, space, &b);
	if (p->how == H_STRAYS)
		peer_strays(p, from, len);
	peer_answer(p, from, len, p->how == H_PREVIOUS ? p->previous : p->cookie, b.s, b.len);
	if (p->how == H_LATE)
		usleep(150000);
	buf_free(&b);
}

FX void
peer_ready(void *arg, int fd, int what)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof from;
	struct peer *p = arg;
	char in[1024];
	ssize_t n;

	n = recvfrom(fd, in, sizeof in - 1, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
	if (n < 0)
		return;
	in[n] = '\0';
	if (p->got < KEPT) {
		snprintf(p->text[p->got], sizeof p->text[0], "%.255s", in);
		p->at_ms[p->got] = loop_now_ms(p->fx->loop);
	}
	p->got++;
	p->pings += strstr(in, "4:ping") != NULL;
	p->lists += strstr(in, "4:list") != NULL;
	peer_take(p, in, &from, len);
}

/* Listens at its address; the first time it takes any port and keeps it. */
FX void
peer_open(struct peer *p)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(p->addr.port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(p->addr.port) };
	bool six = p->addr.family == 6;
	struct sockaddr *sa = six ? (struct sockaddr *)&in6 : (struct sockaddr *)&in;
	socklen_t len = six ? sizeof in6 : sizeof in;

	memcpy(&in.sin_addr, p->addr.ip, 4);
	memcpy(&in6.sin6_addr, p->addr.ip, 16);
	p->fd = socket(sa->sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(p->fd >= 0);
	assert_int_equal(bind(p->fd, sa, len), 0);
	assert_int_equal(getsockname(p->fd, sa, &len), 0);
	p->addr.port = ntohs(six ? in6.sin6_port : in.sin_port);
	loop_io_init(&p->io, p->fx->loop, p->fd, peer_ready, p);
	loop_io_want(&p->io, LOOP_READ);
}

FX void
peer_init(struct peer *p, struct fx *fx, const char *ip)
{
	memset(p, 0, sizeof *p);
	p->fx = fx;
	assert_int_equal(topo_addr_parse_ip(ip, &p->addr), 0);
	peer_open(p);
}

#endif
