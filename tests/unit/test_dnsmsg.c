/*
 * dnsmsg: every message is parsed from a block of exactly its size, so that AddressSanitizer sees
 * each byte read beyond it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "discovery/dnsmsg.h"
#include "dnsfix.h"

static struct fix F;

static int
parse(const uint8_t *data, size_t len, struct dns_msg *out)
{
	uint8_t *block = malloc(len);
	int rc;

	assert_true(len == 0 || block != NULL);
	if (len > 0)
		memcpy(block, data, len);
	memset(out, 0x5a, sizeof *out); /* results are set on success alone, and then all of them */
	rc = dnsmsg_parse(block, len, out);
	free(block);
	return rc;
}

static void
assert_malformed(const struct fix *f, const char *what)
{
	struct dns_msg m;
	int rc = parse(f->b, f->n, &m);

	if (rc != -EBADMSG)
		fail_msg("%s: returned %d", what, rc);
}

static size_t
unhex(const char *hex, uint8_t *out)
{
	size_t n = 0;

	for (; hex[0] != '\0'; hex += 2) {
		unsigned byte;

		if (sscanf(hex, "%2x", &byte) != 1)
			fail_msg("not hex: %s", hex);
		out[n++] = (uint8_t)byte;
	}
	return n;
}

/*
 * Answers of Consul 1.8.7 as they came by TCP. `rows` is what the parser must make of them:
 * "port/weight target=address ..." for each SRV.
 */
static const struct golden {
	const char *what;
	const char *qname;
	uint16_t qtype;
	uint8_t rcode;
	size_t n_addr;
	const char *rows;
	const char *hex;
} goldens[] = {
	{ "two instances with addresses of their own, node meta as TXT", "router.service.consul",
	    33, DNS_NOERROR, 2,
	    "5062/1 0a010204.addr.dc1.consul=10.1.2.4 5060/10 0a010203.addr.dc1.consul=10.1.2.3 ",
	    "12348500000100020000000606726f75746572077365727669636506636f6e73756c0000210001c0"
	    "0c002100010000000000200001000113c608306130313032303404616464720364633106636f6e73"
	    "756c00c00c002100010000000000200001000a13c408306130313032303304616464720364633106"
	    "636f6e73756c00c039000100010000000000040a01020403766d31046e6f6465c047001000010000"
	    "00000008077261636b3d7231c08f0010000100000000001817636f6e73756c2d6e6574776f726b2d"
	    "7365676d656e743dc065000100010000000000040a010203c08f0010000100000000000807726163"
	    "6b3d7231c08f0010000100000000001817636f6e73756c2d6e6574776f726b2d7365676d656e743d" },
	{ "an instance with its node's address", "rnode.service.consul", 33, DNS_NOERROR, 1,
	    "5060/1 vm1.node.dc1.consul=127.0.0.1 ",
	    "12348500000100010000000305726e6f6465077365727669636506636f6e73756c0000210001c00c"
	    "0021000100000000001b0001000113c403766d31046e6f64650364633106636f6e73756c00c03800"
	    "0100010000000000047f000001c03800100001000000000008077261636b3d7231c0380010000100"
	    "000000001817636f6e73756c2d6e6574776f726b2d7365676d656e743d" },
	{ "a host name outside of Consul: no address anywhere", "rhost.service.consul", 33,
	    DNS_NOERROR, 0, "5061/1 sbc.example.org ",
	    "1234850000010001000000020572686f7374077365727669636506636f6e73756c0000210001c00c"
	    "002100010000000000170001000113c503736263076578616d706c65036f72670003766d31046e6f"
	    "646503646331c01a00100001000000000008077261636b3d7231c049001000010000000000181763"
	    "6f6e73756c2d6e6574776f726b2d7365676d656e743d" },
	{ "IPv6", "rsix.service.consul", 33, DNS_NOERROR, 1,
	    "5060/1 fd000000000000000000000000000005.addr.dc1.consul=fd00::5 ",
	    "1234850000010001000000030472736978077365727669636506636f6e73756c0000210001c00c00"
	    "2100010000000000380001000113c420666430303030303030303030303030303030303030303030"
	    "303030303030303504616464720364633106636f6e73756c00c037001c0001000000000010fd0000"
	    "0000000000000000000000000503766d31046e6f6465c05d0010000100000000001817636f6e7375"
	    "6c2d6e6574776f726b2d7365676d656e743dc08500100001000000000008077261636b3d7231" },
	{ "unknown service: NXDOMAIN and SOA", "nosuch.service.consul", 33, DNS_NXDOMAIN, 0, "",
	    "123485030001000000010000066e6f73756368077365727669636506636f6e73756c0000210001c0"
	    "1b00060001000000000026026e73c01b0a686f73746d6173746572c01b6b01189200000e10000002"
	    "580001518000000000" },
	{ "no record of that type, with SOA", "router.service.consul", 28, DNS_NOERROR, 0, "",
	    "12348500000100000001000006726f75746572077365727669636506636f6e73756c00001c0001c0"
	    "1b00060001000000000026026e73c01b0a686f73746d6173746572c01b6b01189200000e10000002"
	    "580001518000000000" },
	{ "no record of that type, without SOA", "vm1.node.consul", 33, DNS_NOERROR, 0, "",
	    "12348500000100000000000003766d31046e6f646506636f6e73756c0000210001" },
	{ "a name outside of the domain: REFUSED", "example.org", 33, DNS_REFUSED, 0, "",
	    "123481050001000000000000076578616d706c65036f72670000210001" },
	{ "the question for addresses", "router.service.consul", 1, DNS_NOERROR, 2, "",
	    "12348500000100020000000006726f75746572077365727669636506636f6e73756c0000010001c0"
	    "0c000100010000000000040a010203c00c000100010000000000040a010204" },
};

static void
describe(const struct dns_msg *m, char *out, size_t size)
{
	out[0] = '\0';
	for (size_t i = 0; i < m->n_srv; i++) {
		struct topo_addr a[4];
		char ip[TOPO_ADDR_TEXT];
		size_t n = dnsmsg_addresses(m, m->srv[i].target, a, NELEM(a));
		size_t at = strlen(out);

		snprintf(out + at, size - at, "%u/%u %s", m->srv[i].port, m->srv[i].weight,
		    m->srv[i].target);
		for (size_t k = 0; k < n; k++) {
			topo_addr_format_ip(&a[k], ip);
			at = strlen(out);
			snprintf(out + at, size - at, "%c%s", k == 0 ? '=' : ',', ip);
			assert_int_equal(a[k].port, 0);
		}
		at = strlen(out);
		snprintf(out + at, size - at, " ");
	}
}

static void
test_goldens(void **state)
{
	for (size_t i = 0; i < NELEM(goldens); i++) {
		const struct golden *g = &goldens[i];
		struct dns_msg m;
		char rows[1024];

		F.n = unhex(g->hex, F.b);
		if (parse(F.b, F.n, &m) != 0)
			fail_msg("%s: malformed", g->what);
		describe(&m, rows, sizeof rows);
		assert_string_equal(rows, g->rows);
		assert_string_equal(m.qname, g->qname);
		assert_true(dnsmsg_is_reply_to(&m, g->qname, g->qtype));
		assert_int_equal(m.rcode, g->rcode);
		assert_int_equal(m.n_addr, g->n_addr);
		assert_int_equal(m.size_bytes, F.n);
		assert_false(m.truncated);
		assert_false(dnsmsg_self_target(&m));
		assert_true(m.n_srv == 0 || m.srv[0].priority == 1);
		dnsmsg_clear(&m);
		assert_null(m.srv);
		assert_int_equal(m.n_srv, 0);
	}
}

/* Cut at every offset, an answer lacks what its header announces. */
static void
test_cut_anywhere(void **state)
{
	for (size_t i = 0; i < NELEM(goldens); i++) {
		struct dns_msg m;

		F.n = unhex(goldens[i].hex, F.b);
		for (size_t len = 0; len < F.n; len++) {
			if (parse(F.b, len, &m) != -EBADMSG)
				fail_msg("%s: cut at %zu is not malformed", goldens[i].what, len);
		}
		F.b[F.n] = 0;
		F.n++;
		assert_malformed(&F, "one byte too many");
	}
}

/* Any single byte changed: parsed or refused, but nothing read or written out of bounds. */
static void
test_flip_anything(void **state)
{
	static const uint8_t values[] = { 0x00, 0x01, 0x3f, 0x40, 0x7f, 0x80, 0xbf, 0xc0, 0xff };
	size_t parsed = 0, refused = 0;

	for (size_t i = 0; i < NELEM(goldens); i++) {
		struct dns_msg m;

		F.n = unhex(goldens[i].hex, F.b);
		for (size_t at = 0; at < F.n * NELEM(values); at++) {
			uint8_t was = F.b[at / NELEM(values)];
			int rc;

			F.b[at / NELEM(values)] = values[at % NELEM(values)];
			rc = parse(F.b, F.n, &m);
			F.b[at / NELEM(values)] = was;
			assert_true(rc == 0 || rc == -EBADMSG);
			parsed += rc == 0;
			refused += rc != 0;
			if (rc == 0)
				dnsmsg_clear(&m);
		}
	}
	assert_true(parsed > 0);
	assert_true(refused > 0);
}

static void
test_flags(void **state)
{
	static const struct {
		const char *what;
		unsigned flags;
		int rc;
		uint8_t rcode;
		bool truncated;
	} cases[] = {
		{ "plain", 0x8580, 0, DNS_NOERROR, false },
		{ "truncated", 0x8780, 0, DNS_NOERROR, true },
		{ "format error", 0x8181, 0, DNS_FORMERR, false },
		{ "server failure", 0x8182, 0, DNS_SERVFAIL, false },
		{ "no such name", 0x8583, 0, DNS_NXDOMAIN, false },
		{ "not implemented", 0x8184, 0, DNS_NOTIMP, false },
		{ "refused", 0x8105, 0, DNS_REFUSED, false },
		{ "unknown response code", 0x810f, 0, 15, false },
		{ "a question, not a response", 0x0100, -EBADMSG, 0, false },
		{ "another opcode (status)", 0x9580, -EBADMSG, 0, false },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct dns_msg m;
		int rc;

		fix_begin(&F, 7, cases[i].flags, "router.service.consul", 33);
		rc = parse(F.b, F.n, &m);
		if (rc != cases[i].rc)
			fail_msg("%s: %d", cases[i].what, rc);
		if (rc != 0)
			continue;
		assert_int_equal(m.rcode, cases[i].rcode);
		assert_int_equal(m.truncated, cases[i].truncated);
		assert_int_equal(m.ttl_min, 0);
		dnsmsg_clear(&m);
	}
}

static void
test_question(void **state)
{
	struct dns_msg m;

	fix_begin(&F, 7, FIX_RESPONSE, "router.service.consul", 33);
	assert_int_equal(parse(F.b, F.n, &m), 0);
	assert_true(dnsmsg_is_reply_to(&m, "router.service.consul", 33));
	assert_true(dnsmsg_is_reply_to(&m, "router.service.consul.", 33));
	assert_true(
	    dnsmsg_is_reply_to(&m, "Router.SERVICE.consul", 33)); /* 1.19 answers in lower case */
	assert_false(dnsmsg_is_reply_to(&m, "router.service.consul", 1));
	assert_false(dnsmsg_is_reply_to(&m, "router.service.consu", 33));
	assert_false(dnsmsg_is_reply_to(&m, "router.service.consul2", 33));
	assert_false(dnsmsg_is_reply_to(&m, "outer.service.consul", 33));
	assert_false(dnsmsg_is_reply_to(&m, "", 33));
	assert_false(dnsmsg_is_reply_to(&m, ".", 33));
	dnsmsg_clear(&m);

	fix_begin(
	    &F, 7, FIX_RESPONSE, "RouTer.Service.CONSUL", 33); /* 1.8.7 echoes what was asked */
	assert_int_equal(parse(F.b, F.n, &m), 0);
	assert_string_equal(m.qname, "router.service.consul");
	assert_true(dnsmsg_is_reply_to(&m, "rOuter.service.consul", 33));
	dnsmsg_clear(&m);

	fix_set_u16(&F, 4, 0);
	assert_malformed(&F, "no question");
	fix_set_u16(&F, 4, 2);
	assert_malformed(&F, "two questions announced");
	fix_set_u16(&F, 4, 1);
	fix_set_u16(&F, F.n - 2, 3);
	assert_malformed(&F, "question of class CH");

	fix_begin(&F, 7, FIX_RESPONSE, "a b.consul", 33);
	assert_malformed(&F, "question with a space");
}

/* Newer Consuls (1.19.0) name the service itself as target, or ignore the tag that was asked for.
 */
static void
test_self_target(void **state)
{
	static const struct {
		const char *qname;
		const char *target;
		bool self;
	} cases[] = {
		{ "router.service.dc1.consul", "router.service.dc1.consul", true },
		{ "router.service.consul", "router.service.dc1.consul", true },
		{ "primary.router.service.consul", "router.service.dc1.consul", true },
		{ "_router._primary.service.consul", "router.service.dc1.consul", true },
		{ "rq.query.consul", "rq.query.consul", true },
		{ "router.service.consul", "ROUTER.service.CONSUL", true },
		{ "router.service.consul", "0a010203.addr.dc1.consul", false },
		{ "router.service.consul", "vm1.node.dc1.consul", false },
		{ "router.service.consul", "router.node.dc1.consul", false },
		{ "router.service.consul", "router2.service.dc1.consul", false },
		{ "router2.service.consul", "router.service.dc1.consul", false },
		{ "_router._primary.service.consul", "primary.service.dc1.consul", false },
		{ "router.service.consul", "sbc.example.org", false },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct dns_msg m;

		fix_begin(&F, 7, FIX_RESPONSE, cases[i].qname, 33);
		fix_srv(&F, 0, 1, 5060, "0a010209.addr.dc1.consul");
		fix_srv(&F, 0, 1, 5060, cases[i].target);
		fix_counts(&F, 2, 0, 0);
		assert_int_equal(parse(F.b, F.n, &m), 0);
		if (dnsmsg_self_target(&m) != cases[i].self)
			fail_msg("%s -> %s", cases[i].qname, cases[i].target);
		dnsmsg_clear(&m);
	}
}

static void
test_tag_ignored(void **state)
{
	struct dns_msg m;

	fix_begin(&F, 7, FIX_RESPONSE, "_router._primary.service.consul", 33);
	fix_srv(&F, 0, 1, 5060, "0a010203.addr.dc1.consul");
	fix_srv(&F, 0, 1, 5060, "0a010204.addr.dc1.consul");
	fix_counts(&F, 2, 0, 0);
	assert_int_equal(parse(F.b, F.n, &m), 0);
	assert_true(dnsmsg_is_reply_to(&m, "_router._primary.service.consul.", 33));
	assert_int_equal(m.n_srv, 2);
	assert_false(dnsmsg_self_target(&m));
	dnsmsg_clear(&m);
}

static void
test_ttl(void **state)
{
	struct dns_msg m;

	fix_begin(&F, 7, FIX_RESPONSE, "rq.query.consul", 33);
	fix_srv(&F, 9, 1, 5060, "a.example.org");
	fix_srv(&F, 7, 65535, 65535, "b.example.org");
	fix_srv(&F, 8, 1, 5060, "c.example.org");
	fix_counts(&F, 3, 0, 0);
	assert_int_equal(parse(F.b, F.n, &m), 0);
	assert_int_equal(m.ttl_min, 7);
	assert_int_equal(m.srv[1].ttl, 7);
	assert_int_equal(m.srv[1].weight, 65535);
	assert_int_equal(m.srv[1].port, 65535);
	dnsmsg_clear(&m);

	fix_begin(&F, 7, FIX_RESPONSE, "rq.query.consul", 33);
	fix_srv(&F, 0x80000001, 1, 5060, "a.example.org"); /* RFC 2181: read as 0 */
	fix_counts(&F, 1, 0, 0);
	assert_int_equal(parse(F.b, F.n, &m), 0);
	assert_int_equal(m.srv[0].ttl, 0);
	dnsmsg_clear(&m);
}

static void
test_addresses(void **state)
{
	static const uint8_t six[16] = { 0xfd, [15] = 5 };
	static const struct {
		const char *target;
		const char *addresses;
	} cases[] = {
		{ "four.example.org", "10.0.0.1" },
		{ "FOUR.example.org.", "10.0.0.1" },
		{ "both.example.org", "10.0.0.2" },
		{ "six.example.org", "fd00::5" },
		{ "many.example.org", "10.0.0.3 10.0.0.4" }, /* the same address twice is one */
		{ "none.example.org", "" },
		{ "four.example", "" },
		{ "", "" },
		{ "0a000001.addr.dc1.consul", "10.9.9.9" }, /* additional before decoding */
		{ "0a0000fe.addr.dc1.consul", "10.0.0.254" },
		{ "0A0000FE.ADDR.dc1.consul", "10.0.0.254" },
		{ "fd0000000000000000000000000000ff.addr.dc1.consul", "fd00::ff" },
		{ "0a0000f.addr.dc1.consul", "" },
		{ "0a0000fe0.addr.dc1.consul", "" },
		{ "0a0000fg.addr.dc1.consul", "" },
		{ "0a0000fe.node.dc1.consul", "" },
		{ "0a0000fe.addr", "" },
		{ "0a0000fe", "" },
	};
	struct topo_addr out[3];
	struct dns_msg m;
	size_t at;

	fix_begin(&F, 7, FIX_RESPONSE, "router.service.consul", 33);
	at = fix_srv(&F, 0, 1, 5060, "four.example.org");
	fix_counts(&F, 1, 0, 0);
	fix_a(&F, at, 0x0a000001);
	{
		static const struct {
			const char *owner;
			uint32_t ip; /* 0: `six` */
		} rows[] = {
			{ "six.example.org", 0 },
			{ "both.example.org", 0 },
			{ "both.example.org", 0x0a000002 },
			{ "many.example.org", 0x0a000003 },
			{ "many.example.org", 0x0a000003 },
			{ "many.example.org", 0x0a000004 },
			{ "0a000001.addr.dc1.consul", 0x0a090909 },
		};

		for (size_t i = 0; i < NELEM(rows); i++) {
			size_t len;

			fix_name(&F, rows[i].owner);
			len = fix_type(&F, rows[i].ip == 0 ? 28 : 1, 1, 3);
			if (rows[i].ip == 0)
				fix_bytes(&F, six, sizeof six);
			else
				fix_u32(&F, rows[i].ip);
			fix_end(&F, len);
		}
		fix_counts(&F, 1, 0, 1 + NELEM(rows));
	}
	assert_int_equal(parse(F.b, F.n, &m), 0);
	for (size_t i = 0; i < NELEM(cases); i++) {
		char text[256] = "", ip[TOPO_ADDR_TEXT];
		size_t n = dnsmsg_addresses(&m, cases[i].target, out, NELEM(out));

		for (size_t k = 0; k < n; k++) {
			topo_addr_format_ip(&out[k], ip);
			at = strlen(text);
			snprintf(text + at, sizeof text - at, "%s%s", k > 0 ? " " : "", ip);
		}
		if (strcmp(text, cases[i].addresses) != 0)
			fail_msg("%s: '%s'", cases[i].target, text);
	}
	assert_int_equal(dnsmsg_addresses(&m, "many.example.org", out, 1), 1);
	assert_int_equal(dnsmsg_addresses(&m, "many.example.org", out, 0), 0);
	assert_int_equal(dnsmsg_addresses(&m, "0a0000fe.addr.dc1.consul", out, 0), 0);
	dnsmsg_clear(&m);
}

/* What is not used: other classes, SRV outside of the answer, addresses in the authority section.
 */
static void
test_sections(void **state)
{
	struct dns_msg m;
	size_t len;

	fix_begin(&F, 7, FIX_RESPONSE, "router.service.consul", 33);
	fix_srv(&F, 5, 1, 5060, "0a010203.addr.dc1.consul");
	fix_ptr(&F, FIX_QUESTION); /* class CH in the answer */
	len = fix_type(&F, 33, 3, 0);
	fix_u8(&F, 0xff);
	fix_end(&F, len);
	fix_a(&F, FIX_QUESTION, 0x0a000001);
	fix_a(&F, FIX_QUESTION, 0x0a000002); /* authority */
	fix_soa(&F);
	fix_srv(&F, 1, 1, 5061, "0a010204.addr.dc1.consul"); /* additional */
	fix_a(&F, FIX_QUESTION, 0x0a000003);
	fix_u8(&F, 0); /* OPT: owner is the root, class is a size */
	len = fix_type(&F, 41, 4096, 0);
	fix_end(&F, len);
	fix_counts(&F, 3, 2, 3);
	assert_int_equal(parse(F.b, F.n, &m), 0);
	assert_int_equal(m.n_srv, 1);
	assert_int_equal(m.srv[0].port, 5060);
	assert_int_equal(m.ttl_min, 5);
	assert_int_equal(m.n_addr, 2);
	assert_int_equal(m.addr[0].addr.ip[3], 1);
	assert_int_equal(m.addr[1].addr.ip[3], 3);
	dnsmsg_clear(&m);
}

/* A node may be named as nobody should: its TXT must not cost us the answer, its address must. */
static void
test_odd_owner(void **state)
{
	struct dns_msg m;
	size_t len, at;

	fix_begin(&F, 7, FIX_RESPONSE, "router.service.consul", 33);
	fix_srv(&F, 0, 1, 5060, "0a010203.addr.dc1.consul");
	fix_name(&F, "vm 1.node.dc1.consul");
	at = F.n;
	len = fix_type(&F, 16, 1, 0);
	fix_u32(&F, 0x03613d62);
	fix_end(&F, len);
	fix_counts(&F, 1, 0, 1);
	assert_int_equal(parse(F.b, F.n, &m), 0);
	assert_int_equal(m.n_srv, 1);
	dnsmsg_clear(&m);
	fix_set_u16(&F, at, 1);
	assert_malformed(&F, "the same owner with an address");
}

static void
srv_with_target(const void *wire, size_t len)
{
	size_t at;

	fix_begin(&F, 7, FIX_RESPONSE, "router.service.consul", 33);
	fix_ptr(&F, FIX_QUESTION);
	at = fix_type(&F, 33, 1, 0);
	fix_u16(&F, 1);
	fix_u16(&F, 1);
	fix_u16(&F, 5060);
	fix_bytes(&F, wire, len);
	fix_end(&F, at);
	fix_counts(&F, 1, 0, 0);
}

/* The target's bytes begin at this offset. */
#define TARGET_AT (12 + 23 + 4 + 12 + 6)

static void
test_targets(void **state)
{
#define T(what, bytes, name) \
	{ \
		what, bytes, sizeof(bytes) - 1, name \
	}
	static const struct {
		const char *what;
		const char *wire;
		size_t len;
		const char *name; /* NULL: malformed */
	} cases[] = {
		T("plain", "\1a\1b\0", "a.b"),
		T("upper case", "\3AbZ\0", "abz"),
		T("underscore, digits, hyphen", "\5_9-z0\0", "_9-z0"),
		T("pointer to the question", "\1a\xc0\x0c", "a.router.service.consul"),
		T("pointer into the question", "\xc0\x13", "service.consul"),
		T("pointer to its own label", "\1a\xc0\x39", NULL),
		T("pointer to itself", "\xc0\x39", NULL),
		T("forward pointer", "\xc0\x3b\1a\0", NULL),
		T("pointer behind the end", "\xff\xff", NULL),
		T("pointer into the header", "\xc0\x04", NULL),
		T("half a pointer", "\xc0", NULL),
		T("no end", "\1a", NULL),
		T("root", "\0", NULL),
		T("empty", "", NULL),
		T("label type 0x40", "\x41\1a\0", NULL),
		T("label type 0x80", "\x81\1a\0", NULL),
		T("label longer than the message", "\x3f\1a\0", NULL),
		T("NUL in a label", "\3a\0b\0", NULL),
		T("dot in a label", "\3a.b\0", NULL),
		T("space in a label", "\3a b\0", NULL),
		T("quote", "\2a\"\0", NULL),
		T("backslash", "\2a\\\0", NULL),
		T("newline", "\2a\n\0", NULL),
		T("high bit", "\2a\xe4\0", NULL),
		T("star", "\1*\0", NULL),
		T("bytes after the name", "\1a\0x", NULL),
	};
#undef T

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct dns_msg m;
		int rc;

		srv_with_target(cases[i].wire, cases[i].len);
		assert_int_equal(F.n, TARGET_AT + cases[i].len);
		rc = parse(F.b, F.n, &m);
		if (rc != (cases[i].name != NULL ? 0 : -EBADMSG))
			fail_msg("%s: %d", cases[i].what, rc);
		if (rc != 0)
			continue;
		assert_string_equal(m.srv[0].target, cases[i].name);
		dnsmsg_clear(&m);
	}
}

static void
test_long_names(void **state)
{
	uint8_t wire[400];
	struct dns_msg m;

	/* Wire length 255 is the most: 3 labels of 63, one of 61, the root. */
	for (unsigned last = 61; last <= 62; last++) {
		size_t n = 0;

		for (int i = 0; i < 4; i++) {
			unsigned len = i < 3 ? 63 : last;

			wire[n++] = (uint8_t)len;
			memset(wire + n, 'x', len);
			n += len;
		}
		wire[n++] = 0;
		srv_with_target(wire, n);
		if (last == 62) {
			assert_malformed(&F, "256 bytes of name");
			break;
		}
		assert_int_equal(parse(F.b, F.n, &m), 0);
		assert_int_equal(strlen(m.srv[0].target), 253);
		dnsmsg_clear(&m);
	}
	/* 127 labels of one byte fit, the 128th does not. */
	for (unsigned labels = 127; labels <= 128; labels++) {
		for (unsigned i = 0; i < labels; i++) {
			wire[2 * i] = 1;
			wire[2 * i + 1] = 'y';
		}
		wire[2 * labels] = 0;
		srv_with_target(wire, 2 * labels + 1);
		if (labels == 128) {
			assert_malformed(&F, "128 labels");
			break;
		}
		assert_int_equal(parse(F.b, F.n, &m), 0);
		assert_int_equal(strlen(m.srv[0].target), 253);
		dnsmsg_clear(&m);
	}
}

/* Pointers that lead through each other: backwards each time, but without end in sight. */
static void
test_pointer_chains(void **state)
{
	static const unsigned hops[] = { 100, 126, 127, 1000, 8000 };

	for (size_t i = 0; i < NELEM(hops); i++) {
		struct dns_msg m;
		size_t len, at;
		int rc;

		fix_begin(&F, 7, FIX_RESPONSE, "router.service.consul", 33);
		fix_ptr(&F, FIX_QUESTION); /* a TXT record holds the chain */
		len = fix_type(&F, 16, 1, 0);
		at = FIX_QUESTION;
		for (unsigned hop = 0; hop < hops[i]; hop++) {
			size_t here = F.n;

			fix_ptr(&F, at);
			at = here;
		}
		fix_end(&F, len);
		fix_ptr(&F, FIX_QUESTION);
		len = fix_type(&F, 33, 1, 0);
		fix_u16(&F, 1);
		fix_u16(&F, 1);
		fix_u16(&F, 5060);
		fix_ptr(&F, at);
		fix_end(&F, len);
		fix_counts(&F, 2, 0, 0);
		rc = parse(F.b, F.n, &m);
		assert_int_equal(rc, hops[i] < 127 ? 0 : -EBADMSG);
		if (rc == 0) {
			assert_string_equal(m.srv[0].target, "router.service.consul");
			dnsmsg_clear(&m);
		}
	}
	/* Two pointers at each other. */
	srv_with_target("\xc0\x3b\xc0\x39", 4);
	assert_malformed(&F, "two pointers at each other");
}

static void
test_lying_lengths(void **state)
{
	static const struct {
		const char *what;
		size_t at; /* offset of the 16 bit value */
		unsigned value;
	} cases[] = {
		{ "no answer announced", 6, 0 },
		{ "fewer answers announced", 6, 1 },
		{ "more answers announced", 6, 3 },
		{ "65535 answers announced", 6, 65535 },
		{ "authority announced", 8, 1 },
		{ "65535 additional records announced", 10, 65535 },
		{ "RDLENGTH 0", TARGET_AT - 8, 0 },
		{ "RDLENGTH within the fixed part", TARGET_AT - 8, 5 },
		{ "RDLENGTH within the target", TARGET_AT - 8, 10 },
		{ "RDLENGTH into the next record", TARGET_AT - 8, 40 },
		{ "RDLENGTH behind the end", TARGET_AT - 8, 65535 },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		fix_begin(&F, 7, FIX_RESPONSE, "router.service.consul", 33);
		fix_srv(&F, 0, 1, 5060, "0a010203.addr.dc1.consul");
		fix_srv(&F, 0, 1, 5060, "0a010204.addr.dc1.consul");
		fix_counts(&F, 2, 0, 0);
		fix_set_u16(&F, cases[i].at, cases[i].value);
		assert_malformed(&F, cases[i].what);
	}
	for (unsigned type = 1; type <= 28; type += 27) {
		for (unsigned size = 0; size <= 20; size++) {
			struct dns_msg m;
			size_t len;

			fix_begin(&F, 7, FIX_RESPONSE, "vm1.node.consul", type);
			fix_ptr(&F, FIX_QUESTION);
			len = fix_type(&F, type, 1, 0);
			fix_bytes(&F, "01234567890123456789", size);
			fix_end(&F, len);
			fix_counts(&F, 1, 0, 0);
			if (size == (type == 1 ? 4 : 16)) {
				assert_int_equal(parse(F.b, F.n, &m), 0);
				assert_int_equal(m.n_addr, 1);
				assert_int_equal(m.addr[0].addr.family, type == 1 ? 4 : 6);
				dnsmsg_clear(&m);
			} else {
				assert_malformed(&F, "address of a wrong size");
			}
		}
	}
}

/* The largest answer of Consul by TCP, filled up to the very last byte that a length prefix can
 * say. */
static void
test_largest(void **state)
{
	struct topo_addr a;
	struct dns_msg m;
	size_t len;

	fix_many(&F, 997);
	fix_ptr(&F, FIX_QUESTION);
	len = fix_type(&F, 16, 1, 0);
	while (F.n < 65535)
		fix_u8(&F, 'x');
	fix_end(&F, len);
	fix_counts(&F, 997, 0, 998);
	assert_int_equal(F.n, 65535);
	assert_int_equal(parse(F.b, F.n, &m), 0);
	assert_int_equal(m.n_srv, 997);
	assert_int_equal(m.n_addr, 997);
	assert_int_equal(m.size_bytes, 65535);
	assert_string_equal(m.srv[996].target, "0a0003e4.addr.dc1.consul");
	assert_int_equal(dnsmsg_addresses(&m, m.srv[996].target, &a, 1), 1);
	assert_int_equal(a.ip[3], 0xe4);
	dnsmsg_clear(&m);

	fix_u8(&F, 'x');
	fix_set_u16(&F, len, (unsigned)(F.n - len - 2));
	assert_malformed(&F, "65536 bytes");
}

/* As many of the smallest records as fit: what is kept is capped, the answer stays one. */
static void
test_caps(void **state)
{
	struct dns_msg m;
	unsigned n;

	fix_begin(&F, 7, FIX_RESPONSE, "a", 33);
	for (n = 0; F.n + 20 <= 65535; n++) {
		size_t len;

		fix_ptr(&F, FIX_QUESTION);
		len = fix_type(&F, 33, 1, 0);
		fix_u16(&F, 1);
		fix_u16(&F, 1);
		fix_u16(&F, n);
		fix_ptr(&F, FIX_QUESTION);
		fix_end(&F, len);
	}
	fix_counts(&F, n, 0, 0);
	assert_true(n > 3000);
	assert_int_equal(parse(F.b, F.n, &m), 0);
	assert_int_equal(m.n_srv, 1500);
	assert_int_equal(m.srv[1499].port, 1499);
	dnsmsg_clear(&m);

	fix_begin(&F, 7, FIX_RESPONSE, "a", 1);
	for (n = 0; F.n + 16 <= 65535; n++)
		fix_a(&F, FIX_QUESTION, n);
	fix_counts(&F, n, 0, 0);
	assert_int_equal(parse(F.b, F.n, &m), 0);
	assert_int_equal(m.n_addr, n);
	dnsmsg_clear(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goldens),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_flip_anything),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_question),
		cmocka_unit_test(test_self_target),
		cmocka_unit_test(test_tag_ignored),
		cmocka_unit_test(test_ttl),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_sections),
		cmocka_unit_test(test_odd_owner),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_pointer_chains),
		cmocka_unit_test(test_lying_lengths),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_caps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
