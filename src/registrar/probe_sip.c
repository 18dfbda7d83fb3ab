/*
 * sip: OPTIONS to a SIP server over UDP, with RFC 3261's retransmissions (17.1.2: Timer E from T1 to T2; our time-out takes
 * Timer F's place), or over TCP. Each question has a socket of its own, connected: a refusal by ICMP is seen at once, and what
 * comes too late for one question meets no later one.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "registrar/probe_int.h"
#include "registrar/sip_msg.h"

#define T1_MS 500
#define T2_MS 4000
#define READS_PER_TURN 16

union sockaddr_any {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

struct sip_probe {
	struct loop *loop;
	struct probe *probe;
	struct sip_uri uri;
	int64_t timeout_ms;

	int fd; /* -1: not asking */
	struct loop_io io;
	struct loop_timer timer; /* the next sending, or the end */
	int64_t begun_ms;
	int64_t pause_ms; /* until it is sent again */
	bool connected;
	bool strangers;   /* something came that was no answer to the question */
	int soft_errno;   /* the last error that repeating may overcome; 0 none */
	struct sip_question question;
	struct buf packet;
	size_t sent;      /* TCP */
	struct buf in;    /* TCP */
};

/* ---- the question's end ---- */

static void
close_question(struct sip_probe *s)
{
	loop_timer_stop(&s->timer);
	if (s->fd >= 0) {
		loop_io_fini(&s->io);
		close(s->fd);
		s->fd = -1;
	}
	buf_free(&s->packet);
	buf_free(&s->in);
}

static void
finish_answered(struct sip_probe *s, const struct sip_answer *a)
{
	close_question(s);
	if (a->status == 408 || a->status / 100 == 5)
		probe_say(s->probe, AGENT_CRITICAL, "SIP %d %s from %s (it answers, but cannot serve: its log says why)", a->status,
		    a->reason, s->uri.text);
	else
		probe_say(s->probe, AGENT_PASSING, "SIP %d from %s", a->status, s->uri.text);
}

static void
finish_silent(struct sip_probe *s)
{
	const char *what = s->strangers ? "; what came from there was no answer to it (is that a SIP port?)" :
	    s->uri.tcp && s->connected  ? "; it takes connections: do its SIP workers hang?" :
	    s->uri.tcp                  ? "; not even the connection was made" :
					  "; do its SIP workers hang, or does a packet filter drop it?";
	char limit[32], soft[96] = "";

	text_format_duration(s->timeout_ms, limit, sizeof limit);
	if (s->soft_errno != 0)
		snprintf(soft, sizeof soft, " (%s)", strerror(s->soft_errno));
	close_question(s);
	probe_say(s->probe, AGENT_CRITICAL, "no answer from %s to OPTIONS within %s%s%s", s->uri.text, limit, soft, what);
}

static void
finish_failed(struct sip_probe *s, int err)
{
	const char *what = "";

	if (err == ECONNREFUSED)
		what = "; nobody listens there: is Kamailio or Asterisk running, and is that its address?";
	else if (err == EMFILE || err == ENFILE)
		what = "; raise LimitNOFILE of c4d's unit";
	else if (err == ECONNRESET || err == EPIPE)
		what = "; it closed the connection instead of answering";
	close_question(s);
	probe_say(s->probe, AGENT_CRITICAL, "cannot ask %s by %s: %s%s", s->uri.text, s->uri.tcp ? "TCP" : "UDP", strerror(err), what);
}

static void
finish_garbled(struct sip_probe *s)
{
	close_question(s);
	probe_say(s->probe, AGENT_CRITICAL, "what %s answers is no SIP (is that a SIP port?)", s->uri.text);
}

/* ---- answers ---- */

/* True: the question ended. */
static bool
take_message(struct sip_probe *s, const char *data, size_t len)
{
	struct sip_answer answer;

	if (sip_answer_parse(data, len, &s->question, &answer) != 0) {
		s->strangers = true;
		return false;
	}
	if (answer.status < 200) {
		s->pause_ms = T2_MS; /* somebody has it: 17.1.2.2, "Proceeding" */
		return false;
	}
	finish_answered(s, &answer);
	return true;
}

/* All whole messages of the stream. True: the question ended. */
static bool
take_stream(struct sip_probe *s)
{
	size_t at = 0;
	int64_t n;

	while ((n = sip_message_size(s->in.s + at, s->in.len - at)) > 0) {
		if (take_message(s, s->in.s + at, (size_t)n))
			return true;
		at += (size_t)n;
	}
	if (n < 0) {
		finish_garbled(s);
		return true;
	}
	s->in.len -= at;
	memmove(s->in.s, s->in.s + at, s->in.len);
	return false;
}

/* Of a datagram other errors than a refusal say nothing yet: there is no route just now, a queue is full. */
static bool
ends_by_error(struct sip_probe *s, int err)
{
	if (!s->uri.tcp && err != ECONNREFUSED) {
		s->soft_errno = err;
		return false;
	}
	finish_failed(s, err);
	return true;
}

static void
receive(struct sip_probe *s)
{
	static char in[SIP_MESSAGE_MAX]; /* the loop thread's alone */
	unsigned turn;
	ssize_t n;

	for (turn = 0; turn < READS_PER_TURN; turn++) {
		n = recv(s->fd, in, sizeof in, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n < 0 && errno != EINTR && ends_by_error(s, errno))
			return;
		if (n == 0 && s->uri.tcp) {
			finish_failed(s, ECONNRESET);
			return;
		}
		if (n <= 0)
			continue;
		if (!s->uri.tcp && take_message(s, in, (size_t)n))
			return;
		if (!s->uri.tcp)
			continue;
		buf_add(&s->in, in, (size_t)n);
		if (take_stream(s))
			return;
	}
}

/* ---- asking ---- */

/* Where it leaves from, which is known once it is connected. */
static void
write_question(struct sip_probe *s)
{
	union sockaddr_any here = { 0 };
	socklen_t len = sizeof here;
	struct topo_addr *local = &s->question.local;
	uint64_t token[2];

	memset(local, 0, sizeof *local);
	(void)getsockname(s->fd, &here.sa, &len);
	if (here.sa.sa_family == AF_INET6) {
		local->family = 6;
		memcpy(local->ip, &here.in6.sin6_addr, 16);
		local->port = ntohs(here.in6.sin6_port);
	} else {
		local->family = 4;
		memcpy(local->ip, &here.in.sin_addr, 4);
		local->port = ntohs(here.in.sin_port);
	}
	/* Fails only before the kernel's generator is ready, early in a boot; the clock must do then. */
	token[0] = (uint64_t)loop_now_us(s->loop);
	token[1] = (uint64_t)getpid() << 32 | local->port;
	(void)!getrandom(token, sizeof token, GRND_NONBLOCK);
	snprintf(s->question.token, sizeof s->question.token, "%016" PRIx64 "%016" PRIx64, token[0], token[1]);
	s->question.uri = &s->uri;
	sip_add_options(&s->packet, &s->question);
}

static void
send_stream(struct sip_probe *s)
{
	ssize_t n;

	while (s->sent < s->packet.len) {
		n = send(s->fd, s->packet.s + s->sent, s->packet.len - s->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0) {
			finish_failed(s, errno);
			return;
		}
		s->sent += (size_t)n;
	}
	loop_io_want(&s->io, LOOP_READ | (s->sent < s->packet.len ? LOOP_WRITE : 0));
}

static void
on_connected(struct sip_probe *s)
{
	s->connected = true;
	write_question(s);
	send_stream(s);
}

static void
on_io(void *arg, int fd, int what)
{
	struct sip_probe *s = arg;
	socklen_t len = sizeof(int);
	int err = 0;

	if (!s->connected) {
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
			err = errno;
		if (err != 0)
			finish_failed(s, err);
		else
			on_connected(s);
	} else if (what & LOOP_READ) {
		receive(s);
	} else {
		send_stream(s);
	}
}

static void
on_timer(void *arg)
{
	struct sip_probe *s = arg;
	int64_t left = s->begun_ms + s->timeout_ms - loop_now_ms(s->loop);

	if (left <= 0) {
		finish_silent(s);
		return;
	}
	if (s->uri.tcp) {
		loop_timer_start(&s->timer, left);
		return;
	}
	if (send(s->fd, s->packet.s, s->packet.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && ends_by_error(s, errno))
		return;
	loop_timer_start(&s->timer, left < s->pause_ms ? left : s->pause_ms);
	s->pause_ms = 2 * s->pause_ms < T2_MS ? 2 * s->pause_ms : T2_MS;
}

static int
open_socket(struct sip_probe *s)
{
	const struct topo_addr *a = &s->uri.addr;
	union sockaddr_any to = { 0 };
	socklen_t len = a->family == 6 ? sizeof to.in6 : sizeof to.in;

	if (a->family == 6) {
		to.in6.sin6_family = AF_INET6;
		to.in6.sin6_port = htons(a->port);
		memcpy(&to.in6.sin6_addr, a->ip, 16);
	} else {
		to.in.sin_family = AF_INET;
		to.in.sin_port = htons(a->port);
		memcpy(&to.in.sin_addr, a->ip, 4);
	}
	s->fd = socket(to.sa.sa_family, (s->uri.tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return errno;
	loop_io_init(&s->io, s->loop, s->fd, on_io, s);
	return connect(s->fd, &to.sa, len) == 0 ? 0 : errno;
}

static void
ask(void *arg)
{
	struct sip_probe *s = arg;
	int err;

	s->begun_ms = loop_now_ms(s->loop);
	s->pause_ms = T1_MS;
	s->connected = s->strangers = false;
	s->soft_errno = 0;
	s->sent = 0;
	err = open_socket(s);
	if (err == EINPROGRESS && s->uri.tcp) {
		loop_io_want(&s->io, LOOP_WRITE);
		loop_timer_start(&s->timer, s->timeout_ms);
	} else if (err != 0) {
		finish_failed(s, err);
	} else if (s->uri.tcp) {
		loop_timer_start(&s->timer, s->timeout_ms);
		on_connected(s);
	} else {
		s->connected = true;
		loop_io_want(&s->io, LOOP_READ);
		write_question(s);
		on_timer(s);
	}
}

/* ---- life ---- */

static void
sip_probe_free(void *arg)
{
	struct sip_probe *s = arg;

	close_question(s);
	loop_timer_fini(&s->timer);
	free(s);
}

static int
make(void **out, const struct probe_seat *seat)
{
	struct sip_probe *s = xcalloc(1, sizeof *s);
	int err = sip_uri_parse(seat->aim->to ? seat->aim->to : "", &s->uri, seat->why, seat->size);

	if (err != 0) {
		free(s);
		return err;
	}
	s->loop = seat->loop;
	s->probe = seat->probe;
	s->timeout_ms = seat->c->timeout_ms;
	s->fd = -1;
	loop_timer_init(&s->timer, seat->loop, on_timer, s);
	*out = s;
	return 0;
}

const struct probe_kind probe_sip = { make, ask, sip_probe_free };
