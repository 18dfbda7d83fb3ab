/*
 * The SIP probe when its own calls fail: it is critical and says what c4d's operator can do, or goes on when it is only for the moment; the next
 * one passes.
 */
#include <netinet/in.h>
#include <signal.h>

#include "fault_fx.h"
#include "registrar/probe.h"

/* ---- a peer that answers 200 with the headers that it must copy ---- */

struct sip_peer {
	struct topo_addr addr;
	struct loop_io io, conn_io;
	int fd, conn;
	unsigned asked;
};

static void
copy_header(struct buf *out, const char *in, const char *name)
{
	const char *at = strcasestr(in, name), *end;

	assert_non_null(at);
	end = strstr(at, "\r\n");
	assert_non_null(end);
	buf_add(out, at, (size_t)(end - at));
	buf_puts(out, "\r\n");
}

static void
make_answer(const char *in, struct buf *out)
{
	buf_puts(out, "SIP/2.0 200 OK\r\n");
	copy_header(out, in, "Via:");
	copy_header(out, in, "From:");
	copy_header(out, in, "To:");
	copy_header(out, in, "Call-ID:");
	copy_header(out, in, "CSeq:");
	buf_puts(out, "Content-Length: 0\r\n\r\n");
}

static void
peer_datagram(void *arg, int fd, int what)
{
	struct sip_peer *p = arg;
	struct sockaddr_storage from;
	socklen_t len = sizeof from;
	struct buf out = { 0 };
	char in[4096];
	ssize_t n = recvfrom(fd, in, sizeof in - 1, MSG_DONTWAIT, (struct sockaddr *)&from, &len);

	if (n <= 0)
		return;
	in[n] = '\0';
	p->asked++;
	make_answer(in, &out);
	assert_int_equal(sendto(fd, out.s, out.len, 0, (struct sockaddr *)&from, len), out.len);
	buf_free(&out);
}

static void
peer_stream(void *arg, int fd, int what)
{
	struct sip_peer *p = arg;
	struct buf out = { 0 };
	static char in[8192];
	static size_t n_in;
	ssize_t n = read(fd, in + n_in, sizeof in - 1 - n_in);

	if (n <= 0) {
		n_in = 0;
		fx_close(&p->conn_io, &p->conn);
		return;
	}
	n_in += (size_t)n;
	in[n_in] = '\0';
	if (strstr(in, "\r\n\r\n") == NULL)
		return;
	n_in = 0;
	p->asked++;
	make_answer(in, &out);
	assert_int_equal(write(fd, out.s, out.len), out.len);
	buf_free(&out);
}

static void
peer_accept(void *arg, int fd, int what)
{
	struct sip_peer *p = arg;

	fx_close(&p->conn_io, &p->conn);
	p->conn = accept(fd, NULL, NULL);
	fx_watch(&fx, &p->conn_io, p->conn, peer_stream, p);
}

static void
peer_open(struct sip_peer *p, bool tcp)
{
	memset(p, 0, sizeof *p);
	p->conn = -1;
	assert_int_equal(topo_addr_parse_ip("127.0.0.1", &p->addr), 0);
	p->fd = fx_socket(&p->addr, tcp ? SOCK_STREAM : SOCK_DGRAM);
	fx_watch(&fx, &p->io, p->fd, tcp ? peer_accept : peer_datagram, p);
}

static void
peer_close(struct sip_peer *p)
{
	fx_close(&p->conn_io, &p->conn);
	fx_close(&p->io, &p->fd);
}

/* ---- the probe ---- */

static void
ignore(void *arg)
{
	(void)arg;
}

static struct probe *
probe_of(const struct sip_peer *p, struct conf_check *c, bool tcp, int64_t timeout_ms)
{
	static char type[] = "sip";
	struct probe_aim aim = { .name = "sbc/sip" };
	struct probe *probe;
	char to[64], why[256];

	*c = (struct conf_check){ .kind = CHECK_SIP, .type = type, .interval_ms = 50, .timeout_ms = timeout_ms, .failures = 1 };
	snprintf(to, sizeof to, "sip:127.0.0.1:%u%s", p->addr.port, tcp ? ";transport=tcp" : "");
	aim.to = to;
	if (probe_new(&probe, fx.loop, c, &aim, ignore, NULL, why, sizeof why) != 0)
		fail_msg("%s", why);
	probe_start(probe);
	return probe;
}

static bool
has(const struct probe *p, enum agent_status status)
{
	struct probe_view v;

	probe_view(p, &v);
	return v.status == status;
}

static void
a_question_that_cannot_be_asked_is_critical(void **state)
{
	static const struct {
		bool tcp;
		const char *call;
		int err;
		const char *says;
	} cases[] = {
		{ false, "socket", EMFILE, "Too many open files; raise LimitNOFILE of c4d's unit" },
		{ true, "socket", ENFILE, "raise LimitNOFILE of c4d's unit" },
		{ false, "connect", ENETUNREACH, "Network is unreachable" },
		{ true, "connect", EADDRNOTAVAIL, "Cannot assign requested address" },
		{ true, "getsockopt", ENOBUFS, "No buffer space available" },
		{ true, "send", EPIPE, "it closed the connection instead of answering" },
		{ true, "recv", ETIMEDOUT, "Connection timed out" },
		{ false, "recv", ECONNREFUSED, "nobody listens there" },
		{ false, "send", ECONNREFUSED, "nobody listens there" },
	};
	struct conf_check c;
	struct sip_peer p;
	struct probe_view v;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(cases); i++) {
		struct probe *probe;

		peer_open(&p, cases[i].tcp);
		fault_set(cases[i].call, 1, cases[i].err);
		probe = probe_of(&p, &c, cases[i].tcp, 3000);
		AWAIT(&fx, !has(probe, AGENT_NO_STATUS));
		probe_view(probe, &v);
		if (fault_hits() != 1 || v.status != AGENT_CRITICAL || strstr(v.output, cases[i].says) == NULL)
			fail_msg("%s (%zu): %u, %d, %s", cases[i].call, i, fault_hits(), (int)v.status, v.output);
		fault_clear();
		AWAIT(&fx, has(probe, AGENT_PASSING));
		assert_true(p.asked > 0);
		probe_free(probe);
		peer_close(&p);
	}
}

/* A datagram that could not leave is sent again within the time-out; a signal, and bytes one by one, are nothing at all. */
static void
what_is_only_for_the_moment_is_no_failure(void **state)
{
	static const struct {
		bool tcp;
		const char *call;
		int err;
		unsigned times;
	} cases[] = {
		{ false, "send", ENOBUFS, 1 },
		{ false, "send", ENETUNREACH, 1 },
		{ false, "recv", EINTR, 2 },
		{ false, "recv", EHOSTUNREACH, 1 },
		{ true, "send", EINTR, 2 },
		{ true, "send", EAGAIN, 1 },
		{ true, "send", FAULT_SHORT, 20 },
		{ true, "recv", EINTR, 2 },
		{ true, "recv", FAULT_SHORT, 20 },
	};
	struct conf_check c;
	struct sip_peer p;
	struct probe_view v;
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(cases); i++) {
		struct probe *probe;

		peer_open(&p, cases[i].tcp);
		fault_times(cases[i].call, 1, cases[i].times, cases[i].err);
		probe = probe_of(&p, &c, cases[i].tcp, 5000);
		AWAIT(&fx, !has(probe, AGENT_NO_STATUS));
		probe_view(probe, &v);
		if (fault_hits() != cases[i].times || v.status != AGENT_PASSING)
			fail_msg("%s (%zu): %u, %d, %s", cases[i].call, i, fault_hits(), (int)v.status, v.output);
		assert_int_equal(v.failures, 0);
		fault_clear();
		probe_free(probe);
		peer_close(&p);
	}
}

/* And when it does not pass, what was in the way is told besides the silence. */
static void
silence_tells_what_was_in_the_way(void **state)
{
	struct conf_check c;
	struct probe_view v;
	struct sip_peer p;
	struct probe *probe;

	(void)state;
	peer_open(&p, false);
	fault_times("send", 1, FAULT_ALWAYS, ENETUNREACH);
	probe = probe_of(&p, &c, false, 200);
	AWAIT(&fx, has(probe, AGENT_CRITICAL));
	probe_view(probe, &v);
	ASSERT_SAYS(v.output, "no answer from sip:127.0.0.1:");
	ASSERT_SAYS(v.output, "within 200ms (Network is unreachable)");
	assert_int_equal(p.asked, 0);
	probe_free(probe);
	peer_close(&p);
}

int
main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fault_fx_setup, fault_fx_teardown)
	const struct CMUnitTest tests[] = {
		T(a_question_that_cannot_be_asked_is_critical),
		T(what_is_only_for_the_moment_is_no_failure),
		T(silence_tells_what_was_in_the_way),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("probes: when calls fail", tests, NULL, NULL);
}
