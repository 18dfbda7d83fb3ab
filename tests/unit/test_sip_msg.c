/* sip_msg: addresses, the OPTIONS that is sent, and what is taken for its answer. */
#include <errno.h>
#include <stdio.h>

#include "registrar/sip_msg.h"
#include "text_fx.h"

#define TOKEN "0123456789abcdef0123456789abcdef"

static struct sip_uri uri;
static struct sip_question question;

static void
ask_of(const char *text, const char *local)
{
	char why[256];

	assert_int_equal(sip_uri_parse(text, &uri, why, sizeof why), 0);
	question.uri = &uri;
	assert_int_equal(topo_addr_parse(local, &question.local), 0);
	strcpy(question.token, TOKEN);
}

/* ---- addresses ---- */

static void
test_uris(void **state)
{
	static const struct {
		const char *text, *addr;
		bool tcp;
	} good[] = {
		{ "sip:10.0.0.1:5070", "10.0.0.1:5070", false },
		{ "sip:10.0.0.1", "10.0.0.1:5060", false },
		{ "SIP:ping@10.0.0.1:5070", "10.0.0.1:5070", false },
		{ "sip:a;b=c@10.0.0.1", "10.0.0.1:5060", false },
		{ "sip:[fd00::1]:5070", "[fd00::1]:5070", false },
		{ "sip:[fd00::1]", "[fd00::1]:5060", false },
		{ "sip:[::1];transport=tcp", "[::1]:5060", true },
		{ "sip:10.0.0.1:5060;lr;Transport=TCP", "10.0.0.1:5060", true },
		{ "sip:10.0.0.1:5060;transport=udp", "10.0.0.1:5060", false },
		{ "sip:10.0.0.1:5060;", "10.0.0.1:5060", false },
	};
	char text[TOPO_ADDR_TEXT], why[256];
	struct sip_uri u;
	size_t i;

	for (i = 0; i < NELEM(good); i++) {
		assert_int_equal(sip_uri_parse(good[i].text, &u, why, sizeof why), 0);
		topo_addr_format(&u.addr, text);
		assert_string_equal(text, good[i].addr);
		assert_int_equal(u.tcp, good[i].tcp);
		assert_string_equal(u.text, good[i].text);
	}
}

static void
test_bad_uris(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{ "", "sip:" },
		{ "10.0.0.1:5060", "sip:" },
		{ "sips:10.0.0.1", "sips: and tel:" },
		{ "sip:", "IP address" },
		{ "sip:router.example:5060", "IP address" },
		{ "sip:fd00::1", "IP address" },
		{ "sip:[10.0.0.1]:5060", "IP address" },
		{ "sip:[fd00::1", "IP address" },
		{ "sip:[]", "IP address" },
		{ "sip:10.0.0.1:0", "IP address" },
		{ "sip:10.0.0.1:99999", "IP address" },
		{ "sip:10.0.0.1:5060:5060", "IP address" },
		{ "sip:10.0.0.1;transport=tls", "transport" },
		{ "sip:10.0.0.1;transport", "transport" },
		{ "sip:10.0.0.1>\r\nX: y", "character" },
		{ "sip:10.0.0.1 x", "character" },
		{ "sip:10.0.0.1?x=y", "character" },
	};
	char why[512], text[SIP_URI_MAX + 64];
	struct sip_uri u;
	size_t i;

	for (i = 0; i < NELEM(bad); i++) {
		why[0] = '\0';
		assert_int_equal(sip_uri_parse(bad[i].text, &u, why, sizeof why), -EINVAL);
		if (strstr(why, bad[i].why) == NULL)
			fail_msg("\"%s\": \"%s\" does not say \"%s\"", bad[i].text, why, bad[i].why);
	}
	snprintf(text, sizeof text, "sip:%0300d@10.0.0.1", 0);
	assert_int_equal(sip_uri_parse(text, &u, why, sizeof why), -EINVAL);
	assert_non_null(strstr(why, "too long"));
}

/* ---- the question ---- */

static void
test_question(void **state)
{
	struct buf b = { 0 };

	ask_of("sip:10.0.0.1:5070", "10.0.0.9:40000");
	sip_add_options(&b, &question);
	assert_buf("UDP", &b,
	    "OPTIONS sip:10.0.0.1:5070 SIP/2.0\r\n"
	    "Via: SIP/2.0/UDP 10.0.0.9:40000;branch=z9hG4bK" TOKEN ";rport\r\n"
	    "Max-Forwards: 70\r\n"
	    "From: <sip:c4d@10.0.0.9>;tag=01234567\r\n"
	    "To: <sip:10.0.0.1:5070>\r\n"
	    "Call-ID: " TOKEN "\r\n"
	    "CSeq: 1 OPTIONS\r\n"
	    "Contact: <sip:c4d@10.0.0.9:40000>\r\n"
	    "User-Agent: c4d\r\n"
	    "Accept: application/sdp\r\n"
	    "Content-Length: 0\r\n\r\n");
	memset(&b, 0, sizeof b);
	ask_of("sip:[fd00::1]:5070;transport=tcp", "[fd00::9]:40000");
	sip_add_options(&b, &question);
	assert_buf("TCP, IPv6", &b,
	    "OPTIONS sip:[fd00::1]:5070;transport=tcp SIP/2.0\r\n"
	    "Via: SIP/2.0/TCP [fd00::9]:40000;branch=z9hG4bK" TOKEN ";rport\r\n"
	    "Max-Forwards: 70\r\n"
	    "From: <sip:c4d@[fd00::9]>;tag=01234567\r\n"
	    "To: <sip:[fd00::1]:5070;transport=tcp>\r\n"
	    "Call-ID: " TOKEN "\r\n"
	    "CSeq: 1 OPTIONS\r\n"
	    "Contact: <sip:c4d@[fd00::9]:40000;transport=tcp>\r\n"
	    "User-Agent: c4d\r\n"
	    "Accept: application/sdp\r\n"
	    "Content-Length: 0\r\n\r\n");
}

/* ---- the answer ---- */

#define VIA "Via: SIP/2.0/UDP 10.0.0.9:40000;branch=z9hG4bK" TOKEN ";rport=40000;received=10.0.0.9\r\n"
#define REST "From: <sip:c4d@10.0.0.9>;tag=01234567\r\nTo: <sip:10.0.0.1>;tag=x\r\nCall-ID: " TOKEN "\r\nCSeq: 1 OPTIONS\r\n"
#define END "Content-Length: 0\r\n\r\n"

static int
parse(const char *text, size_t len, struct sip_answer *out)
{
	char *exact = exact_copy(text, len);
	int err = sip_answer_parse(exact, len, &question, out);

	free(exact);
	return err;
}

static void
test_answers(void **state)
{
	static const struct {
		const char *text;
		int status;
		const char *reason;
	} good[] = {
		{ "SIP/2.0 200 Keepalive\r\n" VIA REST "Server: x\r\n" END, 200, "Keepalive" },
		{ "\r\n\r\nSIP/2.0 503 Service Unavailable\r\n" VIA REST END, 503, "Service Unavailable" },
		{ "SIP/2.0 404\r\n" VIA REST END, 404, "" },
		{ "SIP/2.0 100 trying -- \x01\xff\r\n" VIA REST END, 100, "trying -- ??" },
		/* LF alone; compact names; case; white space before the colon; folded lines */
		{ "sip/2.0 200 OK\nv: SIP/2.0/UDP h;BRANCH=z9hG4bK" TOKEN "\ni :" TOKEN "\ncseq:\t1 options\n\n", 200, "OK" },
		{ "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h\r\n ;rport\r\n\t; branch = z9hG4bK" TOKEN "\r\n" REST END, 200, "OK" },
		/* ours is the first of several */
		{ "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK" TOKEN ", SIP/2.0/UDP i;branch=z9hG4bKx\r\n" REST END, 200, "OK" },
		{ "SIP/2.0 200 OK\r\n" VIA "Via: SIP/2.0/UDP i;branch=z9hG4bKx\r\n" REST END, 200, "OK" },
		/* without its last empty line: a datagram's end is one too */
		{ "SIP/2.0 486 Busy Here\r\n" VIA REST, 486, "Busy Here" },
	};
	struct sip_answer a;
	size_t i;

	ask_of("sip:10.0.0.1", "10.0.0.9:40000");
	for (i = 0; i < NELEM(good); i++) {
		if (parse(good[i].text, strlen(good[i].text), &a) != 0)
			fail_msg("not taken: %s", good[i].text);
		assert_int_equal(a.status, good[i].status);
		assert_string_equal(a.reason, good[i].reason);
	}
}

static void
test_long_reason(void **state)
{
	struct buf b = { 0 };
	struct sip_answer a;

	ask_of("sip:10.0.0.1", "10.0.0.9:40000");
	buf_printf(&b, "SIP/2.0 500 %0200d\r\n" VIA REST END, 0);
	assert_int_equal(parse(b.s, b.len, &a), 0);
	assert_int_equal(strlen(a.reason), sizeof a.reason - 1);
	buf_free(&b);
}

static void
test_strays(void **state)
{
	static const struct {
		const char *text;
		int err;
	} bad[] = {
		/* another question's, by each of the three */
		{ "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKother\r\n" REST END, -ENOMSG },
		{ "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=" TOKEN "\r\n" REST END, -ENOMSG },
		{ "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK" TOKEN "0\r\n" REST END, -ENOMSG },
		{ "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP i;branch=z9hG4bKx\r\n" VIA REST END, -ENOMSG },
		{ "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP i;branch=z9hG4bKx,SIP/2.0/UDP h;branch=z9hG4bK" TOKEN "\r\n" REST END, -ENOMSG },
		{ "SIP/2.0 200 OK\r\n" VIA "Call-ID: x\r\nCSeq: 1 OPTIONS\r\n" END, -ENOMSG },
		{ "SIP/2.0 200 OK\r\n" VIA "Call-ID: " TOKEN "\r\nCSeq: 2 OPTIONS\r\n" END, -ENOMSG },
		{ "SIP/2.0 200 OK\r\n" VIA "Call-ID: " TOKEN "\r\nCSeq: 1 INVITE\r\n" END, -ENOMSG },
		{ "SIP/2.0 200 OK\r\n" REST END, -ENOMSG },
		{ "SIP/2.0 200 OK\r\n\r\n" VIA REST, -ENOMSG },
		/* our own question, as it comes back from a port that echoes */
		{ "OPTIONS sip:10.0.0.1 SIP/2.0\r\n" VIA REST END, -ENOMSG },
		{ "", -EBADMSG },
		{ "\r\n\r\n", -EBADMSG },
		{ "SIP/2.0 200 OK", -EBADMSG },
		{ "HTTP/1.1 400 Bad Request\r\n\r\n", -EBADMSG },
		{ "SIP/2.0 20 OK\r\n" VIA REST END, -EBADMSG },
		{ "SIP/2.0 700 OK\r\n" VIA REST END, -EBADMSG },
		{ "SIP/2.0 0200 OK\r\n" VIA REST END, -EBADMSG },
		{ "SIP/2.0 2x0 OK\r\n" VIA REST END, -EBADMSG },
		{ "SIP/2.0 200 OK\r\n" VIA REST "no header\r\n" END, -EBADMSG },
		{ "SIP/2.0 200 OK\r\n" VIA REST ": nameless\r\n" END, -EBADMSG },
		{ "\x80\x00\x01\x02\x03\n", -EBADMSG },
	};
	struct sip_answer a = { .status = -1 };
	size_t i;

	ask_of("sip:10.0.0.1", "10.0.0.9:40000");
	for (i = 0; i < NELEM(bad); i++)
		if (parse(bad[i].text, strlen(bad[i].text), &a) != bad[i].err)
			fail_msg("%zu: not %d: %s", i, bad[i].err, bad[i].text);
	assert_int_equal(a.status, -1);
}

/* ---- the stream ---- */

static int64_t
size_of(const char *text, size_t len)
{
	char *exact = exact_copy(text, len);
	int64_t n = sip_message_size(exact, len);

	free(exact);
	return n;
}

/* Of each piece of a message: more is needed; of the whole and what follows: the whole. */
static void
test_framing(void **state)
{
	static const char head[] = "\r\n\r\nSIP/2.0 200 OK\r\n" VIA REST "l: 5\r\n\r\n";
	struct buf b = { 0 };
	size_t n, i;

	buf_puts(&b, head);
	buf_puts(&b, "v=0\r\n");
	n = b.len;
	buf_puts(&b, "SIP/2.0 100 Trying\r\n");
	for (i = 0; i < n; i++)
		assert_int_equal(size_of(b.s, i), 0);
	for (; i <= b.len; i++)
		assert_int_equal(size_of(b.s, i), n);
	buf_free(&b);
	assert_int_equal(size_of("\r\n", 2), 0); /* a keep-alive, RFC 5626 */
	assert_int_equal(size_of("SIP/2.0 200 OK\r\nX: y\r\n\r\n", 24), 24);
	assert_int_equal(size_of("SIP/2.0 200 OK\nContent-Length : 3\n\nabcdef", 41), 38);
}

static void
test_bad_framing(void **state)
{
	static const struct {
		const char *text;
		int64_t size;
	} bad[] = {
		{ "SIP/2.0 200 OK\r\nContent-Length: -1\r\n\r\n", -EBADMSG },
		{ "SIP/2.0 200 OK\r\nContent-Length:\r\n\r\n", -EBADMSG },
		{ "SIP/2.0 200 OK\r\nContent-Length: 1 0\r\n\r\n", -EBADMSG },
		{ "SIP/2.0 200 OK\r\nContent-Length: 5\r\nl: 6\r\n\r\nabcdef", -EBADMSG },
		{ "SIP/2.0 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", -EBADMSG },
		{ "SIP/2.0 200 OK\r\nContent-Length: 99999\r\n\r\n", -EMSGSIZE },
	};
	char *endless = malloc(SIP_MESSAGE_MAX + 1);
	size_t i;

	for (i = 0; i < NELEM(bad); i++)
		if (size_of(bad[i].text, strlen(bad[i].text)) != bad[i].size)
			fail_msg("%zu: not %d: %s", i, (int)bad[i].size, bad[i].text);
	assert_non_null(endless);
	memset(endless, 'x', SIP_MESSAGE_MAX + 1);
	assert_int_equal(size_of(endless, SIP_MESSAGE_MAX), 0);
	assert_int_equal(size_of(endless, SIP_MESSAGE_MAX + 1), -EMSGSIZE);
	free(endless);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uris),
		cmocka_unit_test(test_bad_uris),
		cmocka_unit_test(test_question),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_long_reason),
		cmocka_unit_test(test_strays),
		cmocka_unit_test(test_framing),
		cmocka_unit_test(test_bad_framing),
	};

	return cmocka_run_group_tests_name("sip_msg", tests, NULL, NULL);
}
