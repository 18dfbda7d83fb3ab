/*
 * probe: its rhythm and its score, and each kind against peers in the same loop that answer, lie, keep silent and go away. The
 * real Kamailio and rtpengine are in test_probes.py.
 */
#include "loop_fx.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "child_fx.h"
#include "kamailio/binrpc.h"
#include "registrar/probe.h"
#include "topology/addr.h"

#define HOUR_MS 3600000
#define PATIENT_MS 10000 /* time-out of what must be answered */
#define SHORT_MS 150     /* of what must not */
#define KEPT 16

/* ---- a probe ---- */

struct trial {
	struct fx fx;
	struct conf_check c;
	struct probe *probe;
	unsigned calls; /* of the callback */
	bool free_in_cb;
	struct probe_view view; /* as the callback saw it */
	char output[PROBE_OUTPUT_MAX + 1];
};

static void
on_changed(void *arg)
{
	struct trial *t = arg;

	t->calls++;
	probe_view(t->probe, &t->view);
	snprintf(t->output, sizeof t->output, "%s", t->view.output);
	if (t->free_in_cb) {
		probe_free(t->probe);
		t->probe = NULL;
	}
}

static void
trial_init(struct trial *t, enum conf_check_type kind, int64_t interval_ms, int64_t timeout_ms)
{
	static char type[] = "of this test";

	memset(t, 0, sizeof *t);
	fx_init(&t->fx);
	child_fx_clear();
	t->c = (struct conf_check){
		.kind = kind, .type = type, .interval_ms = interval_ms, .timeout_ms = timeout_ms, .failures = 1 };
}

static void
trial_start(struct trial *t, const char *to, const struct strlist *command)
{
	const struct probe_aim aim = { .to = to, .command = command, .name = "sbc/check" };
	char why[256] = "";
	struct probe_view v;

	if (probe_new(&t->probe, t->fx.loop, &t->c, &aim, on_changed, t, why, sizeof why) != 0)
		fail_msg("%s: %s", to, why);
	probe_view(t->probe, &v);
	assert_int_equal(v.status, AGENT_NO_STATUS);
	assert_string_equal(v.output, "");
	assert_int_equal(v.checked_ms, 0);
	probe_start(t->probe);
	assert_int_equal(t->calls, 0);
}

static void
trial_fini(struct trial *t)
{
	probe_free(t->probe);
	fx_fini(&t->fx);
}

static uint64_t
runs(const struct trial *t)
{
	struct probe_view v;

	probe_view(t->probe, &v);
	return v.runs;
}

static void
is_now(struct trial *t, enum agent_status status)
{
	AWAIT(&t->fx, t->calls > 0 && t->view.status == status);
}

/* ---- a SIP server ---- */

enum how {
	S_ANSWER,   /* `status` */
	S_SILENT,
	S_TRYING,   /* 100, and nothing after it */
	S_STRAYS,   /* everything that is not the answer, then the answer */
	S_PREVIOUS, /* the answer to the question before, only */
	S_GARBAGE,
	S_CLOSE,    /* TCP */
	S_HUGE,     /* TCP: an endless header */
};

struct sip_peer {
	struct fx *fx;
	struct loop_io io, conn_io;
	struct loop_timer timer; /* TCP: the next piece */
	int fd, conn;            /* -1: none */
	bool tcp;
	struct topo_addr addr;
	enum how how;
	int status;
	unsigned got;
	char first[1024], last[1024], previous[1024];
	char from[TOPO_ADDR_TEXT];
	int64_t at_ms[KEPT];
	size_t piece; /* TCP: bytes at once; 0: all */
	struct buf out;
	size_t sent;
};

static const char *
sip_header(const char *message, const char *name, char out[256])
{
	const char *p = strstr(message, name);

	assert_non_null(p);
	snprintf(out, 256, "%.*s", (int)strcspn(p, "\r"), p);
	return out;
}

static void
sip_reply(struct buf *b, const char *question, int status, const char *body)
{
	char h[256];

	buf_printf(b, "SIP/2.0 %d Reason\r\n", status);
	buf_printf(b, "%s\r\n", sip_header(question, "Via: ", h));
	buf_printf(b, "%s\r\n", sip_header(question, "From: ", h));
	buf_printf(b, "%s;tag=peer\r\n", sip_header(question, "To: ", h));
	buf_printf(b, "%s\r\n", sip_header(question, "Call-ID: ", h));
	buf_printf(b, "%s\r\n", sip_header(question, "CSeq: ", h));
	buf_printf(b, "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
}

static void
sip_say(struct sip_peer *p, const struct sockaddr_storage *to, socklen_t len, struct buf *takes)
{
	if (p->tcp)
		buf_add(&p->out, takes->s, takes->len);
	else
		assert_int_equal(sendto(p->fd, takes->s, takes->len, 0, (const struct sockaddr *)to, len), takes->len);
	buf_free(takes);
}

static void
sip_strays(struct sip_peer *p, const struct sockaddr_storage *to, socklen_t len)
{
	static const char *const branches[] = { "branch=z9hG4bK", "Call-ID: ", "CSeq: " };
	struct buf b = { 0 };
	size_t i;

	for (i = 0; i < NELEM(branches); i++) {
		sip_reply(&b, p->last, 200, "");
		strstr(b.s, branches[i])[strlen(branches[i])] ^= 1;
		sip_say(p, to, len, &b);
	}
	buf_puts(&b, p->last); /* the question itself */
	sip_say(p, to, len, &b);
	sip_reply(&b, p->last, 180, "body");
	sip_say(p, to, len, &b);
	if (!p->tcp) {
		buf_puts(&b, "\x80garbage");
		sip_say(p, to, len, &b);
		sendto(p->fd, "", 0, 0, (const struct sockaddr *)to, len);
	}
}

static void
sip_take(struct sip_peer *p, const char *in, const struct sockaddr_storage *from, socklen_t len)
{
	struct buf b = { 0 };

	if (p->got == 0)
		snprintf(p->first, sizeof p->first, "%s", in);
	if (p->got < KEPT)
		p->at_ms[p->got] = loop_now_ms(p->fx->loop);
	p->got++;
	if (strcmp(in, p->last) != 0)
		memcpy(p->previous, p->last, sizeof p->previous);
	snprintf(p->last, sizeof p->last, "%s", in);
	switch (p->how) {
	case S_SILENT:
	case S_CLOSE:
		return;
	case S_TRYING:
		sip_reply(&b, in, 100, "");
		break;
	case S_PREVIOUS:
		if (p->previous[0] == '\0')
			return;
		sip_reply(&b, p->previous, 200, "");
		break;
	case S_GARBAGE:
		buf_puts(&b, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
		break;
	case S_HUGE:
		buf_puts(&b, "SIP/2.0 200 OK\r\nX: ");
		while (b.len < 100000)
			buf_puts(&b, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
		break;
	case S_STRAYS:
		sip_strays(p, from, len);
		/* fall through */
	case S_ANSWER:
		sip_reply(&b, in, p->status, "v=0\r\n");
		break;
	}
	sip_say(p, from, len, &b);
}

static void
sip_on_datagram(void *arg, int fd, int what)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof from;
	struct sip_peer *p = arg;
	char in[1024], ip[INET6_ADDRSTRLEN];
	ssize_t n = recvfrom(fd, in, sizeof in - 1, MSG_DONTWAIT, (struct sockaddr *)&from, &len);

	if (n < 0)
		return;
	in[n] = '\0';
	if (from.ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&from)->sin6_addr, ip, sizeof ip);
		snprintf(p->from, sizeof p->from, "[%s]:%u", ip, ntohs(((struct sockaddr_in6 *)&from)->sin6_port));
	} else {
		inet_ntop(AF_INET, &((struct sockaddr_in *)&from)->sin_addr, ip, sizeof ip);
		snprintf(p->from, sizeof p->from, "%s:%u", ip, ntohs(((struct sockaddr_in *)&from)->sin_port));
	}
	sip_take(p, in, &from, len);
}

static void
sip_hang_up(struct sip_peer *p)
{
	if (p->conn < 0)
		return;
	fx_close(&p->conn_io, &p->conn);
	loop_timer_stop(&p->timer);
	buf_free(&p->out);
	p->sent = 0;
}

static void
sip_on_piece(void *arg)
{
	struct sip_peer *p = arg;
	size_t left = p->out.len - p->sent, n = p->piece != 0 && p->piece < left ? p->piece : left;
	ssize_t sent = p->conn >= 0 ? send(p->conn, p->out.s + p->sent, n, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

	if (sent > 0)
		p->sent += (size_t)sent;
	if (p->sent < p->out.len)
		loop_timer_start(&p->timer, 0);
}

static void
sip_on_stream(void *arg, int fd, int what)
{
	struct sip_peer *p = arg;
	char in[1024];
	ssize_t n = recv(fd, in, sizeof in - 1, MSG_DONTWAIT);

	if (n <= 0) {
		sip_hang_up(p);
		return;
	}
	in[n] = '\0'; /* on loopback, a question comes in one piece */
	sip_take(p, in, NULL, 0);
	if (p->how == S_CLOSE)
		sip_hang_up(p);
	else
		loop_timer_start(&p->timer, 0);
}

static void
sip_on_accept(void *arg, int fd, int what)
{
	struct sip_peer *p = arg;

	sip_hang_up(p);
	p->conn = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	fx_watch(p->fx, &p->conn_io, p->conn, sip_on_stream, p);
}

static void
sip_close(struct sip_peer *p)
{
	sip_hang_up(p);
	fx_close(&p->io, &p->fd);
}

static void
sip_open(struct sip_peer *p)
{
	p->fd = fx_socket(&p->addr, p->tcp ? SOCK_STREAM : SOCK_DGRAM);
	fx_watch(p->fx, &p->io, p->fd, p->tcp ? sip_on_accept : sip_on_datagram, p);
}

static void
sip_init(struct sip_peer *p, struct fx *fx, const char *ip, bool tcp)
{
	memset(p, 0, sizeof *p);
	p->fx = fx;
	p->tcp = tcp;
	p->conn = -1;
	p->status = 200;
	loop_timer_init(&p->timer, fx->loop, sip_on_piece, p);
	assert_int_equal(topo_addr_parse_ip(ip, &p->addr), 0);
	sip_open(p);
}

static void
sip_fini(struct sip_peer *p)
{
	sip_close(p);
	loop_timer_fini(&p->timer);
}

static const char *
sip_uri(const struct sip_peer *p)
{
	static char uri[128];
	char at[TOPO_ADDR_TEXT];

	topo_addr_format(&p->addr, at);
	snprintf(uri, sizeof uri, "sip:%s%s", at, p->tcp ? ";transport=tcp" : "");
	return uri;
}

/* ---- the score ---- */

static void
test_passes_and_says_so_once(void **state)
{
	static const char *const ips[] = { "127.0.0.1", "::1" };
	struct sip_peer peer;
	struct trial t;
	char text[256];
	size_t i;

	for (i = 0; i < 2 * NELEM(ips); i++) {
		trial_init(&t, CHECK_SIP, 20, PATIENT_MS);
		sip_init(&peer, &t.fx, ips[i / 2], i % 2);
		trial_start(&t, sip_uri(&peer), NULL);
		is_now(&t, AGENT_PASSING);
		snprintf(text, sizeof text, "SIP 200 from %s", sip_uri(&peer));
		assert_string_equal(t.output, text);
		assert_true(t.view.since_ms > 0 && t.view.checked_ms > 0 && t.view.took_us > 0);
		AWAIT(&t.fx, runs(&t) >= 5);
		assert_int_equal(t.calls, 1);
		assert_int_equal(t.view.failures, 0);
		snprintf(text, sizeof text, "check: sbc/check: passing: SIP 200 from %s\n", sip_uri(&peer));
		assert_string_equal(t.fx.log.s, text);
		if (!peer.tcp) { /* where it asks to be answered is where it comes from */
			snprintf(text, sizeof text, "Via: SIP/2.0/UDP %s;", peer.from);
			ASSERT_SAYS(peer.last, text);
			snprintf(text, sizeof text, "Contact: <sip:c4d@%s>", peer.from);
			ASSERT_SAYS(peer.last, text);
		}
		sip_fini(&peer);
		trial_fini(&t);
	}
}

static void
test_interval(void **state)
{
	struct sip_peer peer;
	struct trial t;
	unsigned i;

	trial_init(&t, CHECK_SIP, 200, PATIENT_MS);
	sip_init(&peer, &t.fx, "127.0.0.1", false);
	trial_start(&t, sip_uri(&peer), NULL);
	AWAIT(&t.fx, peer.got >= 5);
	assert_true(peer.at_ms[1] - peer.at_ms[0] >= 99); /* the second may come early */
	for (i = 2; i < 5; i++)
		assert_true(peer.at_ms[i] - peer.at_ms[i - 1] >= 179); /* a late one is the machine's */
	sip_fini(&peer);
	trial_fini(&t);
}

static void
test_failures_in_a_row(void **state)
{
	struct sip_peer peer;
	struct trial t;
	uint64_t n;

	trial_init(&t, CHECK_SIP, 20, PATIENT_MS);
	t.c.failures = 3;
	sip_init(&peer, &t.fx, "127.0.0.1", false);
	peer.status = 503;
	trial_start(&t, sip_uri(&peer), NULL);
	AWAIT(&t.fx, runs(&t) == 2);
	assert_int_equal(t.calls, 0);
	is_now(&t, AGENT_CRITICAL);
	assert_int_equal(t.view.runs, 3);
	assert_int_equal(t.view.failures, 3);
	peer.status = 200;
	is_now(&t, AGENT_PASSING);
	n = t.view.failures;
	/* two, one good, two: no three in a row */
	peer.status = 500;
	AWAIT(&t.fx, (probe_view(t.probe, &t.view), t.view.failures >= n + 2));
	peer.status = 200;
	n = runs(&t);
	AWAIT(&t.fx, runs(&t) > n);
	assert_int_equal(t.calls, 2);
	sip_fini(&peer);
	trial_fini(&t);
}

static void
test_freed_anywhere(void **state)
{
	struct sip_peer peer;
	struct trial t;
	int tcp;

	for (tcp = 0; tcp < 2; tcp++) {
		trial_init(&t, CHECK_SIP, 20, PATIENT_MS);
		sip_init(&peer, &t.fx, "127.0.0.1", tcp);
		t.free_in_cb = true;
		trial_start(&t, sip_uri(&peer), NULL);
		AWAIT(&t.fx, t.calls == 1);
		assert_null(t.probe);
		t.free_in_cb = false;
		t.calls = peer.got = 0;
		peer.how = S_SILENT;
		trial_start(&t, sip_uri(&peer), NULL);
		AWAIT(&t.fx, peer.got == 1);
		probe_free(t.probe); /* while it waits for the answer */
		t.probe = NULL;
		sip_fini(&peer);
		trial_fini(&t);
	}
}

static void
test_what_cannot_be_asked(void **state)
{
	static char relative[] = "check.sh", *relative_v[] = { relative };
	static char type[] = "http";
	static const struct strlist none = { 0 }, rel = { relative_v, 1 };
	static const struct {
		enum conf_check_type kind;
		const char *to;
		const struct strlist *command;
		const char *why;
	} bad[] = {
		{ CHECK_SIP, "sip:router.example", NULL, "IP address" },
		{ CHECK_SIP, NULL, NULL, "sip:" },
		{ CHECK_NG, "10.0.0.1", NULL, "listen-ng" },
		{ CHECK_NG, "10.0.0.1:0", NULL, "listen-ng" },
		{ CHECK_NG, NULL, NULL, "listen-ng" },
		{ CHECK_BINRPC, "/run/kamailio/kamailio_ctl", NULL, "unix:/PATH" },
		{ CHECK_BINRPC, NULL, NULL, "unix:/PATH" },
		{ CHECK_EXEC, NULL, NULL, "absolute path" },
		{ CHECK_EXEC, NULL, &none, "absolute path" },
		{ CHECK_EXEC, NULL, &rel, "absolute path" },
		{ CHECK_HTTP, "http://10.0.0.1", NULL, "type http" },
	};
	struct trial t;
	size_t i;

	for (i = 0; i < NELEM(bad); i++) {
		struct probe_aim aim = { .to = bad[i].to, .command = bad[i].command, .name = "sbc/check" };
		char why[256] = "";

		trial_init(&t, bad[i].kind, 1000, 1000);
		t.c.type = type;
		assert_int_equal(probe_new(&t.probe, t.fx.loop, &t.c, &aim, on_changed, &t, why, sizeof why), -EINVAL);
		ASSERT_SAYS(why, bad[i].why);
		assert_null(t.probe);
		trial_fini(&t);
	}
	probe_free(NULL);
}

/* ---- sip ---- */

static void
test_sip_statuses(void **state)
{
	static const int good[] = { 200, 302, 401, 404, 483, 486, 603 }, bad[] = { 408, 500, 503, 599 };
	struct sip_peer peer;
	struct trial t;
	char text[64];
	size_t i;

	trial_init(&t, CHECK_SIP, 10, PATIENT_MS);
	sip_init(&peer, &t.fx, "127.0.0.1", false);
	trial_start(&t, sip_uri(&peer), NULL);
	for (i = 0; i < NELEM(good) + NELEM(bad); i++) {
		bool passes = i < NELEM(good);

		peer.status = passes ? good[i] : bad[i - NELEM(good)];
		snprintf(text, sizeof text, passes ? "SIP %d from sip:" : "SIP %d Reason from sip:", peer.status);
		AWAIT(&t.fx, strstr(t.output, text) != NULL);
		assert_int_equal(t.view.status, passes ? AGENT_PASSING : AGENT_CRITICAL);
	}
	sip_fini(&peer);
	trial_fini(&t);
}

static void
test_sip_strays(void **state)
{
	struct sip_peer peer;
	struct trial t;
	int tcp;

	for (tcp = 0; tcp < 2; tcp++) {
		trial_init(&t, CHECK_SIP, 20, PATIENT_MS);
		sip_init(&peer, &t.fx, "127.0.0.1", tcp);
		peer.how = S_STRAYS;
		peer.status = 404;
		peer.piece = 7;
		trial_start(&t, sip_uri(&peer), NULL);
		is_now(&t, AGENT_PASSING);
		ASSERT_SAYS(t.output, "SIP 404");
		AWAIT(&t.fx, runs(&t) >= 3);
		assert_int_equal(t.calls, 1);
		sip_fini(&peer);
		trial_fini(&t);
	}
}

/* Of the question before there may be an answer on its way; it is none to this one. */
static void
test_sip_previous_answer(void **state)
{
	struct sip_peer peer;
	struct trial t;

	trial_init(&t, CHECK_SIP, 20, SHORT_MS);
	sip_init(&peer, &t.fx, "127.0.0.1", false);
	peer.how = S_PREVIOUS;
	trial_start(&t, sip_uri(&peer), NULL);
	AWAIT(&t.fx, runs(&t) >= 3);
	assert_int_equal(t.view.status, AGENT_CRITICAL);
	ASSERT_SAYS(t.output, "was no answer to it");
	sip_fini(&peer);
	trial_fini(&t);
}

/* RFC 3261, 17.1.2.2: T1, 2 T1, ...; T2 once it is being worked on. */
static void
test_sip_retransmissions(void **state)
{
	static const struct {
		enum how how;
		unsigned questions;
	} cases[] = { { S_SILENT, 3 }, { S_TRYING, 2 } };
	struct sip_peer peer;
	struct trial t;
	size_t i;

	for (i = 0; i < NELEM(cases); i++) {
		trial_init(&t, CHECK_SIP, HOUR_MS, 1700);
		sip_init(&peer, &t.fx, "127.0.0.1", false);
		peer.how = cases[i].how;
		trial_start(&t, sip_uri(&peer), NULL);
		is_now(&t, AGENT_CRITICAL);
		assert_int_equal(peer.got, cases[i].questions);
		assert_string_equal(peer.first, peer.last);
		assert_true(peer.at_ms[1] - peer.at_ms[0] >= 499);
		if (peer.got == 3)
			assert_true(peer.at_ms[2] - peer.at_ms[1] >= 999);
		ASSERT_SAYS(t.output, "to OPTIONS within 1s");
		ASSERT_SAYS(t.output, "workers hang");
		sip_fini(&peer);
		trial_fini(&t);
	}
}

/* The first datagram is lost: the repetition is answered. */
static void
test_sip_loss(void **state)
{
	struct sip_peer peer;
	struct trial t;

	trial_init(&t, CHECK_SIP, HOUR_MS, PATIENT_MS);
	sip_init(&peer, &t.fx, "127.0.0.1", false);
	peer.how = S_SILENT;
	trial_start(&t, sip_uri(&peer), NULL);
	AWAIT(&t.fx, peer.got == 1);
	peer.how = S_ANSWER;
	is_now(&t, AGENT_PASSING);
	assert_int_equal(peer.got, 2);
	sip_fini(&peer);
	trial_fini(&t);
}

static void
test_sip_refused(void **state)
{
	static const char *const ips[] = { "127.0.0.1", "::1" };
	struct sip_peer peer;
	struct trial t;
	size_t i;

	for (i = 0; i < 2 * NELEM(ips); i++) {
		trial_init(&t, CHECK_SIP, 20, PATIENT_MS);
		sip_init(&peer, &t.fx, ips[i / 2], i % 2);
		sip_close(&peer);
		trial_start(&t, sip_uri(&peer), NULL);
		is_now(&t, AGENT_CRITICAL);
		assert_true(t.view.took_us < PATIENT_MS * 1000 / 2);
		ASSERT_SAYS(t.output, "nobody listens there");
		ASSERT_SAYS(t.output, i % 2 ? "by TCP" : "by UDP");
		AWAIT(&t.fx, runs(&t) >= 3);
		assert_int_equal(t.calls, 1); /* the same words: nothing new */
		sip_open(&peer);
		is_now(&t, AGENT_PASSING);
		sip_fini(&peer);
		trial_fini(&t);
	}
}

static void
test_sip_tcp_faults(void **state)
{
	static const struct {
		enum how how;
		int64_t timeout_ms;
		const char *says;
	} faults[] = {
		{ S_SILENT, SHORT_MS, "it takes connections" },
		{ S_TRYING, SHORT_MS, "it takes connections" },
		{ S_CLOSE, PATIENT_MS, "closed the connection instead of answering" },
		{ S_GARBAGE, SHORT_MS, "is that a SIP port?" },
		{ S_HUGE, PATIENT_MS, "is no SIP" },
	};
	struct sip_peer peer;
	struct trial t;
	size_t i;

	for (i = 0; i < NELEM(faults); i++) {
		trial_init(&t, CHECK_SIP, 20, faults[i].timeout_ms);
		sip_init(&peer, &t.fx, "127.0.0.1", true);
		peer.how = faults[i].how;
		trial_start(&t, sip_uri(&peer), NULL);
		is_now(&t, AGENT_CRITICAL);
		ASSERT_SAYS(t.output, faults[i].says);
		assert_int_equal(peer.got, 1); /* a stream is not asked twice */
		peer.how = S_ANSWER;
		is_now(&t, AGENT_PASSING);
		sip_fini(&peer);
		trial_fini(&t);
	}
}

/* ---- ng ---- */

struct ng_peer {
	struct loop_io io;
	int fd;
	const char *body; /* NULL: silent */
	char at[TOPO_ADDR_TEXT];
};

static void
ng_on_datagram(void *arg, int fd, int what)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof from;
	struct ng_peer *p = arg;
	char in[1024], out[2048];
	ssize_t n = recvfrom(fd, in, sizeof in - 1, MSG_DONTWAIT, (struct sockaddr *)&from, &len);

	if (n < 0)
		return;
	in[n] = '\0';
	ASSERT_SAYS(in, "7:command4:ping");
	if (p->body == NULL)
		return;
	n = snprintf(out, sizeof out, "%.*s %s", (int)strcspn(in, " "), in, p->body);
	sendto(fd, out, (size_t)n, 0, (struct sockaddr *)&from, len);
}

static void
ng_init(struct ng_peer *p, struct fx *fx)
{
	struct topo_addr addr;

	assert_int_equal(topo_addr_parse_ip("127.0.0.1", &addr), 0);
	p->fd = fx_socket(&addr, SOCK_DGRAM);
	topo_addr_format(&addr, p->at);
	p->body = "d6:result4:ponge";
	fx_watch(fx, &p->io, p->fd, ng_on_datagram, p);
}

static void
test_ng(void **state)
{
	struct ng_peer peer;
	struct trial t;
	char text[128];

	trial_init(&t, CHECK_NG, 20, SHORT_MS);
	ng_init(&peer, &t.fx);
	trial_start(&t, peer.at, NULL);
	is_now(&t, AGENT_PASSING);
	snprintf(text, sizeof text, "pong from %s", peer.at);
	assert_string_equal(t.output, text);
	AWAIT(&t.fx, runs(&t) >= 3);
	assert_int_equal(t.calls, 1);
	peer.body = NULL;
	AWAIT(&t.fx, strstr(t.output, "no answer within") != NULL);
	assert_int_equal(t.view.status, AGENT_CRITICAL);
	peer.body = "d6:result5:error12:error-reason3:baye";
	AWAIT(&t.fx, strstr(t.output, "error, bay") != NULL);
	peer.body = "d6:result2:oke";
	AWAIT(&t.fx, strstr(t.output, "no pong (is that rtpengine?)") != NULL);
	fx_close(&peer.io, &peer.fd);
	AWAIT(&t.fx, strstr(t.output, "refused") != NULL);
	ASSERT_SAYS(t.output, "listen-ng");
	trial_fini(&t);
}

/* ---- binrpc ---- */

struct kam_conn {
	struct kam_peer *peer;
	struct loop_io io;
	int fd; /* -1: none */
};

struct kam_peer {
	struct fx *fx;
	struct loop_io io;
	int fd; /* -1: none */
	bool silent, faults;
	unsigned uptimes;
	char dir[64], path[96], addr[128];
	struct kam_conn conns[KEPT];
	unsigned accepted;
};

static void
put_named(struct buf *b, const char *name, const char *value)
{
	size_t at = b->len;

	binrpc_add_str(b, name);
	b->s[at] = (char)((b->s[at] & 0xf0) | 5); /* a name, and no text */
	binrpc_add_str(b, value);
}

static void
kam_answer(struct kam_conn *c, uint32_t cookie, const char *method)
{
	struct buf body = { 0 }, packet = { 0 };
	enum binrpc_kind kind = BINRPC_REPLY;

	if (strcmp(method, "core.uptime") == 0) {
		c->peer->uptimes++;
		kind = c->peer->faults && c->peer->uptimes > 1 ? BINRPC_FAULT : BINRPC_REPLY;
	}
	if (kind == BINRPC_FAULT) {
		binrpc_add_int(&body, 500);
		binrpc_add_str(&body, "shaken");
	} else if (strcmp(method, "core.uptime") == 0) {
		buf_add(&body, "\x03", 1);
		put_named(&body, "up_since", "Sat Nov 21 04:28:36 2026");
		buf_add(&body, "\x83", 1);
	} else if (strcmp(method, "core.version") == 0) {
		binrpc_add_str(&body, "kamailio 5.6.3 (x86_64/linux)");
	}
	if (body.s == NULL)
		buf_puts(&body, "");
	assert_int_equal(binrpc_packet(kind, cookie, &body, &packet), 0);
	assert_int_equal(send(c->fd, packet.s, packet.len, MSG_NOSIGNAL), packet.len);
	buf_free(&body);
	buf_free(&packet);
}

static void
kam_on_conn(void *arg, int fd, int what)
{
	struct kam_conn *c = arg;
	struct binrpc_msg msg;
	uint8_t in[1024];
	ssize_t n = recv(fd, in, sizeof in, MSG_DONTWAIT);

	if (n <= 0) {
		fx_close(&c->io, &c->fd);
		return;
	}
	if (c->peer->silent)
		return;
	assert_int_equal(binrpc_decode(in, (size_t)n, &msg), 0);
	kam_answer(c, msg.cookie, msg.first->str);
	binrpc_clear(&msg);
}

static void
kam_on_accept(void *arg, int fd, int what)
{
	struct kam_peer *p = arg;
	struct kam_conn *c = &p->conns[p->accepted++ % KEPT];

	fx_close(&c->io, &c->fd);
	c->peer = p;
	c->fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	fx_watch(p->fx, &c->io, c->fd, kam_on_conn, c);
}

static void
kam_close(struct kam_peer *p)
{
	size_t i;

	for (i = 0; i < KEPT; i++)
		fx_close(&p->conns[i].io, &p->conns[i].fd);
	fx_close(&p->io, &p->fd);
}

static void
kam_open(struct kam_peer *p)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	snprintf(un.sun_path, sizeof un.sun_path, "%s", p->path);
	unlink(p->path);
	p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p->fd, (struct sockaddr *)&un, sizeof un), 0);
	assert_int_equal(listen(p->fd, 8), 0);
	fx_watch(p->fx, &p->io, p->fd, kam_on_accept, p);
}

/* Not there yet. */
static void
kam_init(struct kam_peer *p, struct fx *fx)
{
	size_t i;

	memset(p, 0, sizeof *p);
	p->fx = fx;
	p->fd = -1;
	for (i = 0; i < KEPT; i++)
		p->conns[i].fd = -1;
	snprintf(p->dir, sizeof p->dir, "/tmp/c4d-probe-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof p->path, "%s/ctl", p->dir);
	snprintf(p->addr, sizeof p->addr, "unix:%s", p->path);
}

static void
kam_fini(struct kam_peer *p)
{
	kam_close(p);
	unlink(p->path);
	rmdir(p->dir);
}

static void
test_binrpc(void **state)
{
	struct kam_peer peer;
	struct trial t;
	char text[160];

	trial_init(&t, CHECK_BINRPC, 20, PATIENT_MS);
	kam_init(&peer, &t.fx);
	kam_open(&peer);
	trial_start(&t, peer.addr, NULL);
	is_now(&t, AGENT_PASSING);
	snprintf(text, sizeof text, "core.uptime from %s", peer.addr);
	assert_string_equal(t.output, text);
	AWAIT(&t.fx, runs(&t) >= 5);
	assert_int_equal(t.calls, 1);
	assert_int_equal(peer.accepted, 1); /* its connection is kept, */
	assert_true(peer.uptimes >= 5);     /* and asked each time */
	peer.faults = true;
	AWAIT(&t.fx, strstr(t.output, "fault 500: shaken") != NULL);
	assert_int_equal(t.view.status, AGENT_CRITICAL);
	trial_fini(&t);
	kam_fini(&peer);
}

/* No interval is waited for what the connection tells: this one's is an hour. */
static void
test_binrpc_comes_and_goes(void **state)
{
	struct kam_peer peer;
	struct trial t;

	trial_init(&t, CHECK_BINRPC, HOUR_MS, PATIENT_MS);
	kam_init(&peer, &t.fx);
	trial_start(&t, peer.addr, NULL);
	is_now(&t, AGENT_CRITICAL);
	ASSERT_SAYS(t.output, "No such file");
	ASSERT_SAYS(t.output, "is Kamailio running, with ctl.so loaded");
	kam_open(&peer);
	is_now(&t, AGENT_PASSING);
	kam_close(&peer);
	is_now(&t, AGENT_CRITICAL);
	ASSERT_SAYS(t.output, "closed the connection");
	kam_open(&peer);
	is_now(&t, AGENT_PASSING);
	trial_fini(&t);
	kam_fini(&peer);
}

static void
test_binrpc_stalls(void **state)
{
	struct kam_peer peer;
	struct trial t;

	trial_init(&t, CHECK_BINRPC, 20, SHORT_MS);
	kam_init(&peer, &t.fx);
	kam_open(&peer);
	trial_start(&t, peer.addr, NULL);
	is_now(&t, AGENT_PASSING);
	peer.silent = true;
	is_now(&t, AGENT_CRITICAL);
	ASSERT_SAYS(t.output, "no reply to core.uptime");
	AWAIT(&t.fx, runs(&t) >= 10);
	assert_int_equal(t.view.status, AGENT_CRITICAL);
	peer.silent = false;
	is_now(&t, AGENT_PASSING);
	trial_fini(&t);

	/* from the beginning */
	trial_init(&t, CHECK_BINRPC, HOUR_MS, SHORT_MS);
	kam_fini(&peer);
	kam_init(&peer, &t.fx);
	kam_open(&peer);
	peer.silent = true;
	trial_start(&t, peer.addr, NULL);
	is_now(&t, AGENT_CRITICAL);
	ASSERT_SAYS(t.output, "core.uptime within 150ms");
	trial_fini(&t);
	kam_fini(&peer);
}

/* ---- exec ---- */

static struct strlist
shell(const char *script)
{
	static char sh[] = "/bin/sh", c[] = "-c", text[512], name[] = "check", first[] = "a b";
	static char *v[] = { sh, c, text, name, first };

	snprintf(text, sizeof text, "%s", script);
	return (struct strlist){ v, NELEM(v) };
}

static void
exec_start(struct trial *t, const char *script)
{
	struct strlist command = shell(script);

	trial_start(t, NULL, &command);
}

static bool
has_child(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void
test_exec_results(void **state)
{
	static const struct {
		const char *script;
		enum agent_status status;
		const char *output;
	} results[] = {
		{ "echo fine", AGENT_PASSING, "/bin/sh: exit status 0" },
		{ "echo disk 91 %; exit 1", AGENT_WARNING, "disk 91 %" },
		{ "echo out; echo err >&2; exit 2", AGENT_CRITICAL, "out\nerr" },
		{ "exit 3", AGENT_CRITICAL, "/bin/sh: exit status 3" },
		{ "exit 1", AGENT_WARNING, "/bin/sh: exit status 1" },
		{ "kill -SEGV $$", AGENT_CRITICAL, "/bin/sh: ended by signal 11 (Segmentation fault)" },
		{ "echo last words; kill -KILL $$", AGENT_CRITICAL, "/bin/sh: ended by signal 9 (Killed); it said:\nlast words" },
		/* no shell of ours between: an argument is one */
		{ "printf '%s|' \"$@\"; exit 2", AGENT_CRITICAL, "a b|" },
		/* not printable ASCII, and white space at the ends */
		{ "printf '\\n\\n \\033[1mred\\303\\244\\000x\\ty \\n\\n'; exit 2", AGENT_CRITICAL, "?[1mred???x\ty" },
		/* an empty stdin */
		{ "cat; read x; exit 2", AGENT_CRITICAL, "/bin/sh: exit status 2" },
		/* signals that c4d ignores are not ignored by a command, and none is blocked */
		{ "kill -TERM $$; exit 2", AGENT_CRITICAL, "/bin/sh: ended by signal 15 (Terminated)" },
		{ "for l in Blk Ign; do echo $l $((0x$(grep Sig$l /proc/$$/status | tail -c 9) & 0x7fffffff)); done; exit 2",
		    AGENT_CRITICAL, "Blk 0\nIgn 0" }, /* 32 and 33 are the C library's own, and out of its reach */
		/* of no descriptor but the three: 3 is that of ls itself */
		{ "echo $(ls /proc/self/fd); exit 2", AGENT_CRITICAL, "0 1 2 3" },
		/* a process group of its own, in c4d's session */
		{ "set -- $(cat /proc/$$/stat); [ $5 = $$ ] && [ $6 != $$ ] && exit 1; exit 2", AGENT_WARNING, "/bin/sh: exit status 1" },
	};
	struct trial t;
	int stray = dup(STDERR_FILENO); /* as a library's that is not close-on-exec */
	sigset_t some;
	size_t i;

	signal(SIGTERM, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&some);
	sigaddset(&some, SIGUSR1);
	sigprocmask(SIG_BLOCK, &some, NULL);
	for (i = 0; i < NELEM(results); i++) {
		trial_init(&t, CHECK_EXEC, HOUR_MS, PATIENT_MS);
		exec_start(&t, results[i].script);
		AWAIT(&t.fx, t.calls == 1);
		assert_string_equal(t.output, results[i].output);
		assert_int_equal(t.view.status, results[i].status);
		no_children();
		trial_fini(&t);
	}
	sigprocmask(SIG_UNBLOCK, &some, NULL);
	signal(SIGTERM, SIG_DFL);
	close(stray);
}

static void
test_exec_constant_while_passing(void **state)
{
	struct trial t;

	trial_init(&t, CHECK_EXEC, 10, PATIENT_MS);
	exec_start(&t, "date +%N");
	AWAIT(&t.fx, runs(&t) >= 4);
	assert_int_equal(t.calls, 1);
	assert_int_equal(t.view.status, AGENT_PASSING);
	trial_fini(&t);
	no_children();
}

static void
test_exec_much_output(void **state)
{
	struct trial t;

	trial_init(&t, CHECK_EXEC, HOUR_MS, PATIENT_MS);
	exec_start(&t, "head -c 102400 /dev/zero | tr '\\0' x; exit 2");
	is_now(&t, AGENT_CRITICAL);
	assert_int_equal(strlen(t.output), PROBE_OUTPUT_MAX);
	assert_int_equal(strspn(t.output, "x"), PROBE_OUTPUT_MAX);
	trial_fini(&t);
	no_children();
}

static void
test_exec_timeout(void **state)
{
	struct trial t;
	int a = 0, b = 0;

	trial_init(&t, CHECK_EXEC, HOUR_MS, 300);
	exec_start(&t, "trap '' TERM INT HUP; sleep 1000 & echo $$ $!; wait; sleep 1000");
	is_now(&t, AGENT_CRITICAL);
	assert_true(t.view.took_us >= 299000);
	ASSERT_SAYS(t.output, "/bin/sh: killed: it had not ended within 300ms; it said:\n");
	assert_int_equal(sscanf(strchr(t.output, '\n'), "%d %d", &a, &b), 2);
	assert_true(a > 1 && b > 1);
	AWAIT(&t.fx, is_gone(a) && is_gone(b));
	AWAIT(&t.fx, waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	trial_fini(&t);
}

/* What a command leaves behind keeps its stdout, and does not keep us. */
static void
test_exec_background(void **state)
{
	struct trial t;
	int left;

	trial_init(&t, CHECK_EXEC, HOUR_MS, PATIENT_MS);
	exec_start(&t, "sleep 1000 & echo $!; exit 2");
	is_now(&t, AGENT_CRITICAL);
	assert_true(t.view.took_us < PATIENT_MS * 1000 / 2);
	left = atoi(t.output);
	assert_false(is_gone(left));
	assert_int_equal(kill(left, SIGKILL), 0);
	trial_fini(&t);
}

static void
test_exec_cannot_run(void **state)
{
	static char nowhere[] = "/nonexistent/check", passwd[] = "/etc/passwd", dir[] = "/";
	static char *v[3][1] = { { nowhere }, { passwd }, { dir } };
	static const char *const says[] = { "No such file or directory", "Permission denied", "Permission denied" };
	struct trial t;
	size_t i;

	for (i = 0; i < NELEM(says); i++) {
		struct strlist command = { v[i], 1 };

		trial_init(&t, CHECK_EXEC, 20, PATIENT_MS);
		trial_start(&t, NULL, &command);
		is_now(&t, AGENT_CRITICAL);
		ASSERT_SAYS(t.output, v[i][0]);
		ASSERT_SAYS(t.output, says[i]);
		AWAIT(&t.fx, runs(&t) >= 3);
		assert_int_equal(t.calls, 1);
		trial_fini(&t);
		no_children();
	}
}

static void
test_exec_no_resources(void **state)
{
	struct trial t;
	unsigned fds;

	trial_init(&t, CHECK_EXEC, 20, PATIENT_MS);
	fds = open_fds();
	pipe_errno = EMFILE;
	exec_start(&t, "exit 0");
	is_now(&t, AGENT_CRITICAL);
	ASSERT_SAYS(t.output, "Too many open files");
	pipe_errno = 0;
	is_now(&t, AGENT_PASSING);
	pidfd_errno = EPERM;
	is_now(&t, AGENT_CRITICAL);
	ASSERT_SAYS(t.output, "pidfd_open: Operation not permitted");
	no_children();
	assert_int_equal(open_fds(), fds);
	pidfd_errno = 0;
	is_now(&t, AGENT_PASSING);
	trial_fini(&t);
}

static void
test_exec_leaks_nothing(void **state)
{
	static const char *const scripts[] = { "exit 0", "echo x; exit 1", "sleep 1000" };
	struct trial t;
	unsigned fds;
	size_t i;

	for (i = 0; i < NELEM(scripts); i++) {
		trial_init(&t, CHECK_EXEC, 4, 30);
		fds = open_fds();
		exec_start(&t, scripts[i]);
		AWAIT(&t.fx, runs(&t) >= 10);
		probe_free(t.probe); /* as it happens: between two, or while one runs */
		t.probe = NULL;
		assert_int_equal(open_fds(), fds);
		no_children();
		trial_fini(&t);
	}
}

static void
test_exec_freed_while_it_runs(void **state)
{
	char path[] = "/tmp/c4d-probe-XXXXXX", script[128];
	struct trial t;
	int pid = 0;
	FILE *f;

	assert_non_null(mkdtemp(path));
	trial_init(&t, CHECK_EXEC, HOUR_MS, PATIENT_MS);
	snprintf(script, sizeof script, "echo $$ >%s/new; mv %s/new %s/pid; sleep 1000", path, path, path);
	exec_start(&t, script);
	snprintf(script, sizeof script, "%s/pid", path);
	AWAIT(&t.fx, access(script, R_OK) == 0);
	f = fopen(script, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	fclose(f);
	assert_false(is_gone(pid));
	probe_free(t.probe);
	t.probe = NULL;
	no_children();
	assert_true(is_gone(pid));
	unlink(script);
	rmdir(path);
	trial_fini(&t);
}

/* One that waits for a disk takes no signal. */
static void
test_exec_does_not_die(void **state)
{
	struct trial t;

	trial_init(&t, CHECK_EXEC, 20, 30);
	exec_start(&t, "sleep 1000");
	blind = true;
	AWAIT(&t.fx, strstr(t.output, "is not dead yet") != NULL);
	assert_int_equal(t.view.status, AGENT_CRITICAL);
	blind = false; /* now it is */
	AWAIT(&t.fx, strstr(t.output, "it had not ended within 30ms") != NULL);
	AWAIT(&t.fx, has_child());
	blind = true;
	probe_free(t.probe); /* it is left behind, */
	blind = false;
	assert_true(has_child());
	t.probe = NULL;
	t.calls = 0;
	exec_start(&t, "exit 0"); /* and is taken away with the next that ends */
	is_now(&t, AGENT_PASSING);
	probe_free(t.probe);
	t.probe = NULL;
	no_children();
	trial_fini(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passes_and_says_so_once),
		cmocka_unit_test(test_interval),
		cmocka_unit_test(test_failures_in_a_row),
		cmocka_unit_test(test_freed_anywhere),
		cmocka_unit_test(test_what_cannot_be_asked),
		cmocka_unit_test(test_sip_statuses),
		cmocka_unit_test(test_sip_strays),
		cmocka_unit_test(test_sip_previous_answer),
		cmocka_unit_test(test_sip_retransmissions),
		cmocka_unit_test(test_sip_loss),
		cmocka_unit_test(test_sip_refused),
		cmocka_unit_test(test_sip_tcp_faults),
		cmocka_unit_test(test_ng),
		cmocka_unit_test(test_binrpc),
		cmocka_unit_test(test_binrpc_comes_and_goes),
		cmocka_unit_test(test_binrpc_stalls),
		cmocka_unit_test(test_exec_results),
		cmocka_unit_test(test_exec_constant_while_passing),
		cmocka_unit_test(test_exec_much_output),
		cmocka_unit_test(test_exec_timeout),
		cmocka_unit_test(test_exec_background),
		cmocka_unit_test(test_exec_cannot_run),
		cmocka_unit_test(test_exec_no_resources),
		cmocka_unit_test(test_exec_leaks_nothing),
		cmocka_unit_test(test_exec_freed_while_it_runs),
		cmocka_unit_test(test_exec_does_not_die),
	};

	return cmocka_run_group_tests_name("probe", tests, NULL, NULL);
}
