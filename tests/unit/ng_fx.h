/*
 * ng_fx: peers in the loop that take an rtpengine's place at a UDP port and answer, lie or keep silent as told.
 */
#ifndef NG_FX_H
#define NG_FX_H

#include "loop_fx.h"

#include <inttypes.h>

#include "rtpengine/ng.h"

#define KEPT 16

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
	fx_close(&p->io, &p->fd);
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
	p->fd = fx_socket(&p->addr, SOCK_DGRAM);
	fx_watch(p->fx, &p->io, p->fd, peer_ready, p);
}

FX void
peer_init(struct peer *p, struct fx *f, const char *ip)
{
	memset(p, 0, sizeof *p);
	p->fx = f;
	assert_int_equal(topo_addr_parse_ip(ip, &p->addr), 0);
	peer_open(p);
}

#endif
