#include "kam_int.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "topology/addr.h"

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 1000
#define JITTER_PERCENT 10
#define READ_BUFFER_BYTES (64u << 10)
#define REPLIES_PER_TURN 16

static void on_later(void *arg);
static void on_io(void *arg, int fd, int what);

/* ---- calls ---- */

static void
list_init(struct call_list *l)
{
	l->head = NULL;
	l->tail = &l->head;
	l->n = 0;
}

static void
list_push(struct call_list *l, struct call *c)
{
	c->next = NULL;
	*l->tail = c;
	l->tail = &c->next;
	l->n++;
}

static struct call *
list_pop(struct call_list *l)
{
	struct call *c = l->head;

	if (c == NULL)
		return NULL;
	l->head = c->next;
	if (l->head == NULL)
		l->tail = &l->head;
	l->n--;
	return c;
}

static void
call_free(struct call *c)
{
	if (c == NULL)
		return;
	buf_free(&c->packet);
	free(c);
}

static void
list_free(struct call_list *l)
{
	struct call *c;

	while ((c = list_pop(l)) != NULL)
		call_free(c);
}

/* Ends a call without a reply; its callback runs from the later-queue. */
static void
call_fail(struct kam *k, struct call *c, int err)
{
	if (c->own) {
		call_free(c);
		return;
	}
	c->err = err;
	list_push(&k->done, c);
	loop_later(k->loop, &k->later, on_later, k);
}

static void
on_later(void *arg)
{
	struct kam *k = arg;
	struct call *c;

	/* Only what is here now: callbacks that call again while we are down must not keep us. */
	k->delivering = k->done;
	if (k->delivering.head == NULL)
		list_init(&k->delivering);
	list_init(&k->done);
	while ((c = list_pop(&k->delivering)) != NULL) {
		c->cb(c->arg, c->err, NULL);
		call_free(c);
		if (k->freed)
			return;
	}
	if (k->down_due) {
		k->down_due = false;
		k->events->down(k->arg, k->down_err, k->down_why);
	}
}

/* ---- the connection's end, and the next one ---- */

static void
close_connection(struct kam *k)
{
	k->gen++;
	loop_timer_stop(&k->timer);
	if (k->fd >= 0) {
		loop_io_fini(&k->io);
		close(k->fd);
		k->fd = -1;
	}
	free(k->in);
	k->in = NULL;
	k->in_len = k->in_cap = 0;
	k->sent = 0;
}

/* The error that a call sees which was in flight when the connection ended with `err`. */
static int
flying_error(int err)
{
	return err == -ETIMEDOUT || err == -EBADMSG || err == -EMSGSIZE ? err : -ECONNRESET;
}

static void
fail_calls(struct kam *k, int err)
{
	struct call *c = k->flying;

	k->flying = NULL;
	if (c != NULL)
		call_fail(k, c, flying_error(err));
	while ((c = list_pop(&k->waiting)) != NULL)
		call_fail(k, c, -ECONNRESET);
}

/*
 * Logged once per loss, and for the first attempt that fails; further failures are only counted.
 * When the reason changes meanwhile (it closed the connection; now nobody listens), the owner is
 * told the newer one.
 */
static void
tell_down(struct kam *k, int err, const char *why)
{
	if (k->told == TOLD_DOWN && strcmp(k->down_why, why) == 0)
		return;
	if (k->told != TOLD_DOWN) {
		log_warnx("kam", "%s: %s; %s", k->name,
		    k->told == TOLD_UP ? "lost" : "not reachable", why);
		k->lost_ms = loop_now_ms(k->loop);
		k->attempts = 0;
	}
	k->told = TOLD_DOWN;
	k->down_due = true;
	k->down_err = err;
	snprintf(k->down_why, sizeof k->down_why, "%s", why);
	loop_later(k->loop, &k->later, on_later, k);
}

/* Ending young does not reset the back-off: else we would connect 20 times a second. */
static bool
was_young(const struct kam *k)
{
	return k->state != KAM_UP || loop_now_ms(k->loop) - k->up_ms < BACKOFF_MAX_MS;
}

static void
connect_later(struct kam *k)
{
	if (!was_young(k))
		k->backoff_ms = BACKOFF_MIN_MS;
	k->state = KAM_BACKOFF;
	loop_timer_start(&k->timer, loop_jitter(k->loop, k->backoff_ms, JITTER_PERCENT));
	k->backoff_ms = k->backoff_ms * 2 < BACKOFF_MAX_MS ? k->backoff_ms * 2 : BACKOFF_MAX_MS;
}

void
kam_lose(struct kam *k, int err, const char *fmt, ...)
{
	char why[KAM_WHY_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	log_debug("kam", "%s: connection ended: %s", k->name, why);
	close_connection(k);
	fail_calls(k, err);
	tell_down(k, err, why);
	connect_later(k);
}

/* What the path says about itself; connecting needs the right to search its directory and to write
 * the socket. */
static void
describe_socket(const struct kam *k, char *out, size_t size)
{
	struct stat st;

	if (stat(k->peer.un.sun_path, &st) == 0)
		snprintf(out, size, "the socket has mode %04o and gid %u", st.st_mode & 07777U,
		    st.st_gid);
	else
		snprintf(out, size, "its directory is closed to c4d");
}

static void
lose_connecting(struct kam *k, int err)
{
	bool is_unix = k->peer.sa.sa_family == AF_UNIX;
	char socket_is[64], hint[KAM_WHY_BYTES / 2] = "c4d tries again by itself";

	switch (err) {
	case -EACCES:
	case -EPERM:
		if (!is_unix) {
			snprintf(hint, sizeof hint, "does a packet filter forbid it?");
			break;
		}
		describe_socket(k, socket_is, sizeof socket_is);
		snprintf(hint, sizeof hint,
		    "is c4d in Kamailio's group? modparam(\"ctl\", \"mode\", 0660) and "
		    "modparam(\"ctl\", \"group\", \"kamailio\"); %s",
		    socket_is);
		break;
	case -EAGAIN:
		kam_lose(k, err,
		    "cannot connect to %s: too many connections wait there "
		    "(does Kamailio's ctl process hang?)",
		    k->where);
		return;
	case -ENOENT:
	case -ECONNREFUSED:
		snprintf(hint, sizeof hint,
		    "is Kamailio running, with ctl.so loaded and modparam(\"ctl\", \"binrpc\", "
		    "\"%s\")?",
		    k->addr);
		break;
	case -EPROTOTYPE:
		snprintf(hint, sizeof hint,
		    "that socket takes datagrams only; modparam(\"ctl\", \"binrpc\", \"unix:...\") "
		    "makes one for c4d");
		break;
	case -EMFILE:
	case -ENFILE:
		snprintf(hint, sizeof hint, "raise LimitNOFILE of c4d's unit");
		break;
	}
	kam_lose(k, err, "cannot connect to %s: %s (%s)", k->where, strerror(-err), hint);
}

static void
lose_silent(struct kam *k)
{
	char limit[32];

	text_format_duration(k->timeout_ms, limit, sizeof limit);
	if (k->state == KAM_CONNECTING)
		kam_lose(k, -ETIMEDOUT, "cannot connect to %s within %s", k->where, limit);
	else if (k->in_len > 0)
		kam_lose(k, -ETIMEDOUT,
		    "no reply to %s within %s but its first %zu bytes (Kamailio cuts what is not "
		    "read at once)",
		    k->flying ? k->flying->what : "?", limit, k->in_len);
	else
		kam_lose(k, -ETIMEDOUT, "no reply to %s within %s",
		    k->flying ? k->flying->what : "?", limit);
}

/* err 0: the peer closed it in order. */
static void
lose_closed(struct kam *k, int err)
{
	const char *what = k->flying ? k->flying->what : NULL;

	if (k->state == KAM_IDENTIFYING && what != NULL)
		kam_lose(k, -ECONNRESET,
		    "%s closed the connection instead of answering %s "
		    "(Kamailio's ctl takes 128 connections)",
		    k->where, what);
	else if (err != 0)
		kam_lose(k, -ECONNRESET, "connection to %s lost: %s", k->where, strerror(-err));
	else
		kam_lose(k, -ECONNRESET, "%s closed the connection%s%s", k->where,
		    what ? " during " : "", what ? what : "");
}

/* ---- sending ---- */

static void
flush(struct kam *k)
{
	const struct buf *p = &k->flying->packet;
	ssize_t n;

	while (k->sent < p->len) {
		n = send(k->fd, p->s + k->sent, p->len - k->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0) {
			lose_closed(k, -errno);
			return;
		}
		k->sent += (size_t)n;
	}
	loop_io_want(&k->io, LOOP_READ | (k->sent < p->len ? LOOP_WRITE : 0));
}

static void
send_next(struct kam *k)
{
	if (k->flying != NULL || k->fd < 0)
		return;
	k->flying = list_pop(&k->waiting);
	if (k->flying == NULL)
		return;
	k->sent = 0;
	loop_timer_start(&k->timer, k->timeout_ms);
	flush(k);
}

void
kam_submit(struct kam *k, struct call *c, const struct buf *body)
{
	int err;

	c->cookie = ++k->cookie;
	err = binrpc_packet(BINRPC_REQUEST, c->cookie, body, &c->packet);
	if (err != 0) {
		call_fail(k, c, err);
		return;
	}
	list_push(&k->waiting, c);
	send_next(k);
}

static void
call(struct kam *k, const char *what, const struct buf *body, bool raw, kam_cb *cb, void *arg)
{
	struct call *c = xcalloc(1, sizeof *c);

	c->what = what;
	c->raw = raw;
	c->cb = cb;
	c->arg = arg;
	if (k->state != KAM_UP)
		call_fail(k, c, -ENOTCONN);
	else if (k->waiting.n >= KAM_WAITING_MAX)
		call_fail(k, c, -EBUSY);
	else
		kam_submit(k, c, body);
}

void
kam_call(struct kam *k, const char *what, const struct buf *body, kam_cb *cb, void *arg)
{
	call(k, what, body, false, cb, arg);
}

void
kam_call_raw(struct kam *k, const char *what, const struct buf *body, kam_cb *cb, void *arg)
{
	call(k, what, body, true, cb, arg);
}

/* ---- receiving ---- */

/* Room for the packet that has begun and one byte more, so that what follows it shows. */
static int
make_room(struct kam *k, size_t packet)
{
	size_t want = packet + 1 > READ_BUFFER_BYTES ? packet + 1 : READ_BUFFER_BYTES;
	uint8_t *p;

	if (want <= k->in_cap)
		return 0;
	p = realloc(k->in, want);
	if (p == NULL)
		return -ENOMEM;
	k->in = p;
	k->in_cap = want;
	return 0;
}

static void
drop_packet(struct kam *k, size_t size)
{
	k->in_len -= size;
	memmove(k->in, k->in + size, k->in_len);
	if (k->in_cap > READ_BUFFER_BYTES && k->in_len == 0) {
		free(k->in);
		k->in = NULL;
		k->in_cap = 0;
	}
}

/* The packet at the buffer's beginning, for this call. A raw one takes the buffer along. */
static int
open_packet(struct kam *k, size_t size, const struct call *c, struct binrpc_msg *msg)
{
	int err = binrpc_open(k->in, size, msg);

	if (err == 0 && c->raw && msg->kind == BINRPC_REPLY) {
		msg->mem = k->in;
		k->in = NULL;
		k->in_len = k->in_cap = 0;
		return 0;
	}
	if (err == 0)
		err = binrpc_decode(k->in, size, msg);
	if (err == 0)
		drop_packet(k, size);
	return err;
}

static void
count_fault(struct kam *k, const char *what, const struct binrpc_msg *msg)
{
	struct kam_fault *f = k->faults;
	const char *reason;
	int code;

	if (!binrpc_fault(msg, &code, &reason))
		return;
	for (; f < k->faults + k->n_faults; f++)
		if (f->code == code && strcmp(f->what, what) == 0)
			break;
	if (f == k->faults + KAM_FAULTS_MAX) {
		f--;
		f->what = "others";
		f->code = 0;
	} else if (f == k->faults + k->n_faults) {
		k->faults[k->n_faults++] = (struct kam_fault){ .what = what, .code = code };
	}
	f->count++;
}

bool
kam_fault(const struct kam *k, size_t i, struct kam_fault *out)
{
	if (i >= k->n_faults)
		return false;
	*out = k->faults[i];
	return true;
}

/* The packet at the buffer's beginning answers the call in flight, or the stream can't be trusted.
 */
static void
take_packet(struct kam *k, size_t size)
{
	bool more = k->in_len > size;
	struct call *c = k->flying;
	struct binrpc_msg msg;
	unsigned gen = k->gen;
	int err;

	err = open_packet(k, size, c, &msg);
	if (err != 0) {
		kam_lose(k, err, "%s: the reply to %s cannot be decoded (%s)", k->where, c->what,
		    strerror(-err));
		return;
	}
	if (msg.cookie != c->cookie || msg.kind == BINRPC_REQUEST || k->sent < c->packet.len) {
		binrpc_clear(&msg);
		kam_lose(
		    k, -EBADMSG, "%s: got something else than the reply to %s", k->where, c->what);
		return;
	}
	k->flying = NULL;
	loop_timer_stop(&k->timer);
	count_fault(k, c->what, &msg);
	c->cb(c->arg, 0, &msg);
	binrpc_clear(&msg);
	call_free(c);
	if (k->freed || gen != k->gen)
		return;
	if (more)
		kam_lose(k, -EBADMSG, "%s: sent more than was asked", k->where);
	else
		send_next(k);
}

/* One read. False when there is nothing more to read for now, or the connection or kam ended. */
static bool
read_some(struct kam *k, unsigned *replies)
{
	unsigned gen = k->gen;
	int64_t size;
	ssize_t n;

	if (make_room(k, 0) != 0) {
		kam_lose(k, -ENOMEM, "%s: out of memory", k->where);
		return false;
	}
	n = recv(k->fd, k->in + k->in_len, k->in_cap - k->in_len, MSG_DONTWAIT);
	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return false;
	if (n <= 0) {
		lose_closed(k, n < 0 ? -errno : 0);
		return false;
	}
	k->in_len += (size_t)n;
	if (k->flying == NULL) {
		kam_lose(
		    k, -EBADMSG, "%s: sent %zu bytes that nobody asked for", k->where, k->in_len);
		return false;
	}
	size = binrpc_packet_size(k->in, k->in_len);
	if (size == -EMSGSIZE) {
		kam_lose(k, -EMSGSIZE, "%s: the reply to %s is larger than c4d takes", k->where,
		    k->flying->what);
		return false;
	}
	if (size < 0) {
		kam_lose(k, (int)size,
		    "%s: the reply to %s is no binrpc (is this Kamailio's binrpc socket?)",
		    k->where, k->flying->what);
		return false;
	}
	if (size > 0 && (size_t)size > k->in_len && make_room(k, (size_t)size) != 0) {
		kam_lose(k, -ENOMEM, "%s: out of memory for a reply of %lld bytes", k->where,
		    (long long)size);
		return false;
	}
	if (size > 0 && (size_t)size <= k->in_len) {
		take_packet(k, (size_t)size);
		(*replies)++;
	}
	return !k->freed && gen == k->gen;
}

static void
on_connected(struct kam *k)
{
	k->state = KAM_IDENTIFYING;
	loop_timer_stop(&k->timer);
	loop_io_want(&k->io, LOOP_READ);
	kam_identify(k);
}

static void
on_io(void *arg, int fd, int what)
{
	struct kam *k = arg;
	unsigned replies = 0, gen = k->gen;
	socklen_t len;
	int err = 0;

	if (k->state == KAM_CONNECTING) {
		len = sizeof err;
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
			err = errno;
		if (err != 0)
			lose_connecting(k, -err);
		else
			on_connected(k);
		return;
	}
	if ((what & LOOP_WRITE) && k->flying != NULL)
		flush(k);
	if (gen != k->gen || !(what & LOOP_READ))
		return;
	while (replies < REPLIES_PER_TURN && read_some(k, &replies))
		;
}

/* ---- connecting ---- */

static void
connect_now(struct kam *k)
{
	int one = 1;

	k->attempts++;
	k->fd = socket(k->peer.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (k->fd < 0) {
		lose_connecting(k, -errno);
		return;
	}
	loop_io_init(&k->io, k->loop, k->fd, on_io, k);
	if (k->peer.sa.sa_family != AF_UNIX)
		(void)setsockopt(k->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	k->state = KAM_CONNECTING;
	if (connect(k->fd, &k->peer.sa, k->peer_len) == 0) {
		on_connected(k);
	} else if (errno == EINPROGRESS || errno == EINTR) {
		loop_timer_start(&k->timer, k->timeout_ms);
		loop_io_want(&k->io, LOOP_WRITE);
	} else {
		/* EAGAIN is a unix socket's full backlog: nothing would tell of room in it. */
		lose_connecting(k, -errno);
	}
}

static void
on_timer(void *arg)
{
	struct kam *k = arg;

	if (k->state == KAM_BACKOFF)
		connect_now(k);
	else if (k->state != KAM_STOPPED)
		lose_silent(k);
}

static void
connect_soon(struct kam *k)
{
	k->state = KAM_BACKOFF;
	loop_timer_start(&k->timer, 0);
}

void
kam_start(struct kam *k)
{
	if (k->state == KAM_STOPPED)
		connect_soon(k);
}

void
kam_reconnect(struct kam *k, const char *why)
{
	char text[256];

	snprintf(text, sizeof text, "%s: %s", k->where, why);
	close_connection(k);
	fail_calls(k, -ECONNRESET);
	if (k->told == TOLD_UP)
		tell_down(k, -ECONNRESET, text);
	if (k->state == KAM_UP && was_young(k))
		connect_later(k);
	else
		connect_soon(k);
}

/* ---- life ---- */

static int
parse_addr(struct kam *k, const char *addr)
{
	struct topo_addr a;
	size_t len;

	if (strncmp(addr, "unix:/", 6) == 0) {
		addr += 5;
		len = strlen(addr);
		if (len >= sizeof k->peer.un.sun_path)
			return -EINVAL;
		k->peer.un.sun_family = AF_UNIX;
		memcpy(k->peer.un.sun_path, addr, len + 1);
		k->peer_len = sizeof k->peer.un;
	} else if (strncmp(addr, "tcp:", 4) == 0) {
		addr += 4;
		if (topo_addr_parse(addr, &a) != 0 || a.port == 0)
			return -EINVAL;
		if (a.family == 4) {
			k->peer.in.sin_family = AF_INET;
			k->peer.in.sin_port = htons(a.port);
			memcpy(&k->peer.in.sin_addr, a.ip, 4);
			k->peer_len = sizeof k->peer.in;
		} else {
			k->peer.in6.sin6_family = AF_INET6;
			k->peer.in6.sin6_port = htons(a.port);
			memcpy(&k->peer.in6.sin6_addr, a.ip, 16);
			k->peer_len = sizeof k->peer.in6;
		}
	} else {
		return -EINVAL;
	}
	snprintf(k->where, sizeof k->where, "%s", addr);
	return 0;
}

int
kam_new(struct kam **out, struct loop *loop, const char *name, const char *addr, int64_t timeout_ms,
    const struct kam_events *events, void *arg)
{
	struct kam *k = xcalloc(1, sizeof *k);
	int err = parse_addr(k, addr);

	if (err != 0) {
		free(k);
		return err;
	}
	k->loop = loop;
	k->name = xstrdup(name);
	k->addr = xstrdup(addr);
	k->timeout_ms = timeout_ms;
	k->events = events;
	k->arg = arg;
	k->fd = -1;
	k->backoff_ms = BACKOFF_MIN_MS;
	list_init(&k->waiting);
	list_init(&k->done);
	list_init(&k->delivering);
	loop_timer_init(&k->timer, loop, on_timer, k);
	*out = k;
	return 0;
}

void
kam_free(struct kam *k)
{
	if (k == NULL)
		return;
	k->freed = true;
	k->state = KAM_STOPPED;
	close_connection(k);
	loop_timer_fini(&k->timer);
	loop_later_cancel(k->loop, &k->later);
	call_free(k->flying);
	k->flying = NULL;
	list_free(&k->waiting);
	list_free(&k->done);
	list_free(&k->delivering);
	free(k->name);
	free(k->addr);
	k->name = k->addr = NULL;
	loop_free_later(k->loop, k); /* our frames may lie below this one */
}

bool
kam_is_up(const struct kam *k)
{
	return k->state == KAM_UP;
}

const struct kam_ident *
kam_ident(const struct kam *k)
{
	return &k->ident;
}

const char *
kam_addr(const struct kam *k)
{
	return k->addr;
}
