#include "rtpengine/ng.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"

#define PAUSE_MS 100 /* before the first repetition; each next one doubles */
#define DATAGRAM_BYTES 65536
#define DATAGRAMS_PER_TURN 16
#define WHY_BYTES 200

struct ng {
	struct loop *loop;
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} peer;
	socklen_t peer_len;
	int64_t timeout_ms;

	bool busy;
	int fd; /* -1: not asking */
	struct loop_io io;
	struct loop_timer timer; /* the next sending, or the end */
	int64_t begun_ms; /* when it was first sent */
	int64_t pause_ms; /* until it is sent again; 0: it was not sent yet */
	struct buf packet;
	size_t cookie_len;
	int soft_errno; /* the last error that repeating may overcome; 0 none */
	ng_cb *cb;
	void *arg;
};

/* ---- the question's end ---- */

static void
close_socket(struct ng *ng)
{
	if (ng->fd < 0)
		return;
	loop_io_fini(&ng->io);
	close(ng->fd);
	ng->fd = -1;
}

static void
close_question(struct ng *ng)
{
	ng->busy = false;
	loop_timer_stop(&ng->timer);
	close_socket(ng);
	buf_free(&ng->packet);
}

/* `why` may hold what a peer sent. After this, ng may be asking again or freed. */
static void
finish(struct ng *ng, int err, const struct bencode_value *answer, const char *why)
{
	char text[WHY_BYTES];

	snprintf(text, sizeof text, "%s", why);
	text_mask(text, strlen(text), "");
	close_question(ng);
	ng->cb(ng->arg, err, answer, text);
}

static void
finish_silent(struct ng *ng)
{
	char why[WHY_BYTES], limit[32];

	text_format_duration(ng->timeout_ms, limit, sizeof limit);
	if (ng->soft_errno != 0)
		snprintf(why, sizeof why, "no answer within %s (%s)", limit, strerror(ng->soft_errno));
	else
		snprintf(why, sizeof why, "no answer within %s", limit);
	finish(ng, -ETIMEDOUT, NULL, why);
}

/* A refusal is an answer; of other errors (no route just now, a full queue) the time-out decides. */
static bool
ends_by_error(struct ng *ng, int err)
{
	if (err != ECONNREFUSED) {
		ng->soft_errno = err;
		return false;
	}
	finish(ng, -ECONNREFUSED, NULL,
	    "refused: nobody listens there (is rtpengine running, with this address and port as listen-ng?)");
	return true;
}

/* ---- answers ---- */

static void
take_answer(struct ng *ng, const char *data, size_t len)
{
	struct bencode_msg msg = { 0 };
	const char *result, *reason;
	char why[WHY_BYTES];

	if (bencode_decode(data, len, &msg) != 0 || msg.root->type != BENCODE_DICT) {
		finish(ng, -EPROTO, NULL, "its answer cannot be decoded (is that rtpengine's NG port?)");
	} else if ((result = bencode_text(msg.root, "result")) != NULL && strcmp(result, "error") == 0) {
		reason = bencode_text(msg.root, "error-reason");
		snprintf(why, sizeof why, "it answers: error, %s", reason ? reason : "no reason given");
		finish(ng, -EPROTO, NULL, why);
	} else {
		finish(ng, 0, msg.root, "");
	}
	bencode_clear(&msg);
}

/* Drops what does not carry the question's cookie. */
static void
on_io(void *arg, int fd, int what)
{
	static char in[DATAGRAM_BYTES]; /* the loop thread's alone; done with when the callback runs */
	struct ng *ng = arg;
	unsigned turn;
	ssize_t n;

	for (turn = 0; turn < DATAGRAMS_PER_TURN; turn++) {
		n = recv(ng->fd, in, sizeof in, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n < 0) {
			if (errno != EINTR && ends_by_error(ng, errno))
				return;
			continue;
		}
		/* The packet begins with the cookie and a space. */
		if ((size_t)n < ng->cookie_len + 1 ||
		    memcmp(in, ng->packet.s, ng->cookie_len + 1) != 0)
			continue;
		take_answer(ng, in + ng->cookie_len + 1, (size_t)n - ng->cookie_len - 1);
		return;
	}
}

/* ---- asking ---- */

static int
open_socket(struct ng *ng)
{
	int err;

	ng->fd = socket(ng->peer.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (ng->fd < 0)
		return errno;
	loop_io_init(&ng->io, ng->loop, ng->fd, on_io, ng);
	if (connect(ng->fd, &ng->peer.sa, ng->peer_len) != 0) {
		err = errno;
		close_socket(ng);
		return err;
	}
	loop_io_want(&ng->io, LOOP_READ);
	return 0;
}

/* False: the question ended. */
static bool
send_once(struct ng *ng)
{
	int err = ng->fd < 0 ? open_socket(ng) : 0;

	if (err == EMFILE || err == ENFILE || err == ENOMEM || err == ENOBUFS) {
		finish(ng, -ENOBUFS, NULL, strerror(err));
		return false;
	}
	if (err == 0 && send(ng->fd, ng->packet.s, ng->packet.len, MSG_NOSIGNAL) < 0)
		err = errno;
	return err == 0 || !ends_by_error(ng, err);
}

static void
on_timer(void *arg)
{
	struct ng *ng = arg;
	int64_t now = loop_now_ms(ng->loop), left;

	if (ng->pause_ms == 0)
		ng->begun_ms = now;
	left = ng->begun_ms + ng->timeout_ms - now;
	if (left <= 0) {
		finish_silent(ng);
		return;
	}
	if (!send_once(ng))
		return;
	ng->pause_ms = ng->pause_ms == 0 ? PAUSE_MS : 2 * ng->pause_ms;
	loop_timer_start(&ng->timer, left < ng->pause_ms ? left : ng->pause_ms);
}

/* Nobody else may use it within a minute, here or on another machine: see ng.h. */
static void
add_cookie(struct ng *ng)
{
	uint64_t n = (uint64_t)loop_now_us(ng->loop);

	/* Fails only before the kernel's generator is ready, early in a boot; the clock must do then. */
	(void)!getrandom(&n, sizeof n, GRND_NONBLOCK);
	buf_printf(&ng->packet, "%016" PRIx64, n);
	ng->cookie_len = ng->packet.len;
}

int
ng_ask(struct ng *ng, const char *command, const struct ng_key *keys, size_t n, ng_cb *cb, void *arg)
{
	size_t i;

	if (ng->busy)
		return -EBUSY;
	ng->busy = true;
	ng->cb = cb;
	ng->arg = arg;
	ng->soft_errno = 0;
	ng->pause_ms = 0;
	add_cookie(ng);
	buf_puts(&ng->packet, " ");
	bencode_open_dict(&ng->packet);
	bencode_add_str(&ng->packet, "command");
	bencode_add_str(&ng->packet, command);
	for (i = 0; i < n; i++) {
		bencode_add_str(&ng->packet, keys[i].key);
		bencode_add_int(&ng->packet, keys[i].num);
	}
	bencode_close(&ng->packet);
	loop_timer_start(&ng->timer, 0);
	return 0;
}

bool
ng_is_busy(const struct ng *ng)
{
	return ng->busy;
}

/* ---- life ---- */

static int
set_peer(struct ng *ng, const struct topo_addr *a)
{
	if (a->port == 0 || (a->family != 4 && a->family != 6))
		return -EINVAL;
	if (a->family == 4) {
		ng->peer.in.sin_family = AF_INET;
		ng->peer.in.sin_port = htons(a->port);
		memcpy(&ng->peer.in.sin_addr, a->ip, 4);
		ng->peer_len = sizeof ng->peer.in;
	} else {
		ng->peer.in6.sin6_family = AF_INET6;
		ng->peer.in6.sin6_port = htons(a->port);
		memcpy(&ng->peer.in6.sin6_addr, a->ip, 16);
		ng->peer_len = sizeof ng->peer.in6;
	}
	return 0;
}

int
ng_new(struct ng **out, struct loop *loop, const struct topo_addr *addr, int64_t timeout_ms)
{
	struct ng *ng = xcalloc(1, sizeof *ng);
	int err = set_peer(ng, addr);

	if (err != 0) {
		free(ng);
		return err;
	}
	ng->loop = loop;
	ng->timeout_ms = timeout_ms;
	ng->fd = -1;
	loop_timer_init(&ng->timer, loop, on_timer, ng);
	*out = ng;
	return 0;
}

void
ng_free(struct ng *ng)
{
	if (ng == NULL)
		return;
	close_question(ng);
	loop_timer_fini(&ng->timer);
	loop_free_later(ng->loop, ng); /* it may be freed by its own callback */
}
