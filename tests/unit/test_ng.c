/*
 * ng: one question to one rtpengine, against peers in the same loop that answer, lie, keep silent and
 * go away. The real rtpengine is in test_nodes.c.
 */
#include "ng_fx.h"

#include <sys/syscall.h>

/* ---- system calls that can be made to fail ---- */

static unsigned send_fails; /* so many times */
static int send_errno;
static int socket_errno; /* 0: socket() does what it does */

ssize_t
send(int fd, const void *data, size_t len, int flags)
{
	if (send_fails > 0) {
		send_fails--;
		errno = send_errno;
		return -1;
	}
	return syscall(SYS_sendto, fd, data, len, flags, NULL, 0);
}

int
socket(int domain, int type, int protocol)
{
	if (socket_errno != 0) {
		errno = socket_errno;
		return -1;
	}
	return (int)syscall(SYS_socket, domain, type, protocol);
}

/* ---- one question ---- */

struct ask {
	struct fx *fx;
	struct ng *ng;
	unsigned calls;
	int err;
	char why[256];
	char result[64];
	int64_t sessions;
	int64_t asked_ms;
	int64_t took_ms;
	unsigned again; /* questions to ask from the callback */
	bool free_in_cb;
};

static void ask(struct ask *, const char *command);

static void
on_answer(void *arg, int err, const struct bencode_value *answer, const char *why)
{
	struct ask *a = arg;
	const char *result;

	loop_stop(a->fx->loop);
	assert_int_equal(err == 0, answer != NULL);
	assert_int_equal(err == 0, why[0] == '\0');
	assert_false(ng_is_busy(a->ng));
	a->calls++;
	a->err = err;
	a->took_ms = loop_now_ms(a->fx->loop) - a->asked_ms;
	snprintf(a->why, sizeof a->why, "%s", why);
	a->sessions = -1;
	a->result[0] = '\0';
	if (answer != NULL) {
		result = bencode_text(answer, "result");
		snprintf(a->result, sizeof a->result, "%s", result ? result : "");
		a->sessions = bencode_length(answer, "calls");
	}
	if (a->again > 0) {
		a->again--;
		ask(a, "list");
	}
	if (a->free_in_cb) {
		ng_free(a->ng);
		a->ng = NULL;
	}
}

static void
ask(struct ask *a, const char *command)
{
	static const struct ng_key limit[] = { { "limit", 12 } };
	unsigned before = a->calls;

	a->asked_ms = loop_now_ms(a->fx->loop);
	assert_int_equal(ng_ask(a->ng, command, limit, strcmp(command, "list") == 0, on_answer, a), 0);
	assert_int_equal(a->calls, before); /* never from within */
	assert_true(ng_is_busy(a->ng));
}

static void
ask_wait(struct ask *a, const char *command)
{
	unsigned before = a->calls;

	ask(a, command);
	AWAIT(a->fx, a->calls > before);
	assert_int_equal(a->calls, before + 1);
}

static void
begin(struct ask *a, struct fx *fx, struct peer *p, const char *ip, int64_t timeout_ms)
{
	send_fails = 0;
	socket_errno = 0;
	fx_init(fx);
	peer_init(p, fx, ip);
	memset(a, 0, sizeof *a);
	a->fx = fx;
	assert_int_equal(ng_new(&a->ng, fx->loop, &p->addr, timeout_ms), 0);
	assert_false(ng_is_busy(a->ng));
}

static void
end(struct ask *a, struct fx *fx, struct peer *p)
{
	ng_free(a->ng);
	peer_close(p);
	fx_fini(fx);
}

/* ---- the tests ---- */

static void
test_question_and_answer(void **state)
{
	static const char *const ips[] = { "127.0.0.1", "::1" };
	struct ask a;
	struct fx fx;
	struct peer p;
	size_t i;

	for (i = 0; i < NELEM(ips); i++) {
		begin(&a, &fx, &p, ips[i], 5000);
		p.sessions = 3;
		ask_wait(&a, "ping");
		assert_int_equal(a.err, 0);
		assert_string_equal(a.result, "pong");
		ask_wait(&a, "list");
		assert_int_equal(a.err, 0);
		assert_string_equal(a.result, "ok");
		assert_int_equal(a.sessions, 3);
		/* On the wire: a cookie, a blank, the request; each question has a cookie of its own. */
		assert_int_equal(p.got, 2);
		assert_int_equal(strcspn(p.text[0], " "), 16);
		assert_int_equal(strspn(p.text[0], "0123456789abcdef"), 16);
		assert_string_equal(p.text[0] + 16, " d7:command4:pinge");
		assert_string_equal(p.text[1] + 16, " d7:command4:list5:limiti12ee");
		assert_memory_not_equal(p.text[0], p.text[1], 16);
		end(&a, &fx, &p);
	}
}

static void
test_resends_the_same(void **state)
{
	static const int64_t due_ms[] = { 0, 100, 300, 700 };
	struct ask a;
	struct fx fx;
	struct peer p;
	unsigned i;

	begin(&a, &fx, &p, "127.0.0.1", 5000);
	p.mute = 3;
	ask_wait(&a, "ping");
	assert_int_equal(a.err, 0);
	assert_int_equal(p.got, 4);
	for (i = 0; i < 4; i++) {
		int64_t late_ms = p.at_ms[i] - a.asked_ms - due_ms[i];

		assert_string_equal(p.text[i], p.text[0]);
		assert_true(late_ms > -10 && late_ms < 1000);
	}
	/* No more of it once answered. */
	fx_pass(&fx, 150);
	assert_int_equal(p.got, 4);
	end(&a, &fx, &p);
}

static void
test_time_out(void **state)
{
	struct ask a;
	struct fx fx;
	struct peer p;

	begin(&a, &fx, &p, "127.0.0.1", 350);
	p.how = H_SILENT;
	ask_wait(&a, "ping");
	assert_int_equal(a.err, -ETIMEDOUT);
	assert_string_equal(a.why, "no answer within 350ms");
	assert_in_range(a.took_ms, 335, 2000);
	assert_int_equal(p.got, 3); /* at 0, 100 and 300 ms */
	fx_pass(&fx, 450);
	assert_int_equal(a.calls, 1);
	assert_int_equal(p.got, 3);
	/* What comes late is not taken for the next question's answer. */
	p.how = H_PREVIOUS;
	ask_wait(&a, "list");
	assert_int_equal(a.err, -ETIMEDOUT);
	p.how = H_ANSWER;
	ask_wait(&a, "ping");
	assert_int_equal(a.err, 0);
	end(&a, &fx, &p);
}

static void
test_refused(void **state)
{
	struct ask a;
	struct fx fx;
	struct peer p;

	begin(&a, &fx, &p, "127.0.0.1", 20000);
	peer_close(&p);
	ask_wait(&a, "ping");
	assert_int_equal(a.err, -ECONNREFUSED);
	assert_non_null(strstr(a.why, "listen-ng"));
	assert_true(a.took_ms < 1000);
	/* One that goes away while it is asked. */
	peer_open(&p);
	p.how = H_CLOSE;
	ask_wait(&a, "ping");
	assert_int_equal(a.err, -ECONNREFUSED);
	assert_true(a.took_ms < 2000);
	/* The refusal before is not this question's. */
	p.how = H_ANSWER;
	peer_open(&p);
	ask_wait(&a, "ping");
	assert_int_equal(a.err, 0);
	end(&a, &fx, &p);
}

static void
test_strays_are_dropped(void **state)
{
	struct ask a;
	struct fx fx;
	struct peer p;

	begin(&a, &fx, &p, "127.0.0.1", 5000);
	p.how = H_STRAYS;
	p.sessions = 2;
	ask_wait(&a, "list");
	assert_int_equal(a.err, 0);
	assert_int_equal(a.sessions, 2);
	assert_int_equal(p.got, 1);
	end(&a, &fx, &p);
}

static void
test_answers_not_understood(void **state)
{
	static const char odd[] = "d6:result5:error12:error-reason7:a\x01" "b\xff" "c\n" "de";
	static const struct {
		const char *body;
		int err;
		const char *why;
	} rows[] = {
		{ "d6:result5:error12:error-reason20:Unrecognized commande", -EPROTO,
		    "it answers: error, Unrecognized command" },
		{ "d6:result5:errore", -EPROTO, "it answers: error, no reason given" },
		{ odd, -EPROTO, "it answers: error, a?b?c?d" },
		{ "", -EPROTO, "its answer cannot be decoded (is that rtpengine's NG port?)" },
		{ "d6:result4:pong", -EPROTO, "its answer cannot be decoded (is that rtpengine's NG port?)" },
		{ "SIP/2.0 400 Bad Request", -EPROTO,
		    "its answer cannot be decoded (is that rtpengine's NG port?)" },
		{ "4:pong", -EPROTO, "its answer cannot be decoded (is that rtpengine's NG port?)" },
		{ "le", -EPROTO, "its answer cannot be decoded (is that rtpengine's NG port?)" },
		/* "statistics" has no result */
		{ "d10:statisticsdee", 0, "" },
		{ "d6:resulti1ee", 0, "" },
	};
	struct ask a;
	struct fx fx;
	struct peer p;
	size_t i;

	begin(&a, &fx, &p, "127.0.0.1", 5000);
	for (i = 0; i < NELEM(rows); i++) {
		p.body = rows[i].body;
		ask_wait(&a, "ping");
		if (a.err != rows[i].err || strcmp(a.why, rows[i].why) != 0)
			fail_msg("\"%s\": %d \"%s\"", rows[i].body, a.err, a.why);
	}
	end(&a, &fx, &p);
}

static void
test_one_at_a_time(void **state)
{
	struct ask a, other = { 0 };
	struct fx fx;
	struct peer p;

	begin(&a, &fx, &p, "127.0.0.1", 5000);
	other.fx = &fx;
	ask(&a, "ping");
	assert_int_equal(ng_ask(a.ng, "list", NULL, 0, on_answer, &other), -EBUSY);
	AWAIT(&fx, a.calls == 1);
	assert_int_equal(other.calls, 0);
	/* Again from the callback. */
	a.again = 3;
	ask(&a, "ping");
	AWAIT(&fx, a.calls == 5);
	assert_int_equal(p.pings, 2);
	assert_int_equal(p.lists, 3);
	fx_pass(&fx, 20);
	assert_int_equal(a.calls, 5);
	end(&a, &fx, &p);
}

static void
test_ng_free(void **state)
{
	static const enum how hows[] = { H_ANSWER, H_SILENT, H_STRAYS };
	struct ask a;
	struct fx fx;
	struct peer p;
	size_t i;

	ng_free(NULL);
	/* Asked but not yet sent; sent but not yet answered. */
	for (i = 0; i < 2; i++) {
		begin(&a, &fx, &p, "127.0.0.1", 5000);
		p.how = H_SILENT;
		ask(&a, "ping");
		AWAIT(&fx, p.got >= i);
		ng_free(a.ng);
		a.ng = NULL;
		fx_pass(&fx, 20);
		assert_int_equal(a.calls, 0);
		end(&a, &fx, &p);
	}
	/* In its own callback: after an answer, a time-out, strays and a refusal. */
	for (i = 0; i <= NELEM(hows); i++) {
		begin(&a, &fx, &p, "127.0.0.1", 50);
		if (i < NELEM(hows))
			p.how = hows[i];
		else
			peer_close(&p);
		a.free_in_cb = true;
		ask_wait(&a, "ping");
		assert_null(a.ng);
		fx_pass(&fx, 20);
		assert_int_equal(a.calls, 1);
		end(&a, &fx, &p);
	}
}

/* An error that may pass is outlived by repeating; the last one stands in the reason. */
static void
test_errors_that_may_pass(void **state)
{
	struct ask a;
	struct fx fx;
	struct peer p;

	begin(&a, &fx, &p, "127.0.0.1", 5000);
	send_errno = EHOSTUNREACH;
	send_fails = 2;
	ask_wait(&a, "ping");
	assert_int_equal(a.err, 0);
	assert_int_equal(p.got, 1);
	end(&a, &fx, &p);

	begin(&a, &fx, &p, "127.0.0.1", 150);
	send_fails = 1000;
	ask_wait(&a, "ping");
	assert_int_equal(a.err, -ETIMEDOUT);
	assert_string_equal(a.why, "no answer within 150ms (No route to host)");
	end(&a, &fx, &p);

	/* Without a socket we can't know anything of the node. */
	begin(&a, &fx, &p, "127.0.0.1", 150);
	socket_errno = EMFILE;
	ask_wait(&a, "ping");
	assert_int_equal(a.err, -ENOBUFS);
	assert_string_equal(a.why, "Too many open files");
	socket_errno = EAFNOSUPPORT; /* no IPv6 here, say: so it can't be reached from here */
	ask_wait(&a, "ping");
	assert_int_equal(a.err, -ETIMEDOUT);
	socket_errno = 0;
	ask_wait(&a, "ping");
	assert_int_equal(a.err, 0);
	end(&a, &fx, &p);
}

/* The loop comes late: it finds the answer, and the time over. */
static void
test_late_loop(void **state)
{
	struct ask a;
	struct fx fx;
	struct peer p;

	begin(&a, &fx, &p, "127.0.0.1", 100);
	p.how = H_LATE;
	ask_wait(&a, "ping");
	assert_int_equal(a.err, 0);
	assert_true(a.took_ms >= 140);
	end(&a, &fx, &p);
}

static void
test_addresses(void **state)
{
	struct topo_addr a = { 0 };
	struct loop *loop;
	struct ng *ng = NULL;

	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(ng_new(&ng, loop, &a, 1000), -EINVAL);
	a.family = 4;
	assert_int_equal(ng_new(&ng, loop, &a, 1000), -EINVAL);
	a.family = 0;
	a.port = 2223;
	assert_int_equal(ng_new(&ng, loop, &a, 1000), -EINVAL);
	assert_null(ng);
	loop_free(loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_question_and_answer),
		cmocka_unit_test(test_resends_the_same),
		cmocka_unit_test(test_time_out),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_strays_are_dropped),
		cmocka_unit_test(test_answers_not_understood),
		cmocka_unit_test(test_one_at_a_time),
		cmocka_unit_test(test_ng_free),
		cmocka_unit_test(test_errors_that_may_pass),
		cmocka_unit_test(test_late_loop),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
