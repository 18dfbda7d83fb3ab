/*
 * What reads the messages of peers when memory for what a peer sizes is out: -ENOMEM, nothing is given, nothing leaks, and the same bytes are read
 * well afterwards.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "consul/kv.h"
#include "discovery/dnsmsg.h"
#include "dnsfix.h"
#include "fault.h"
#include "kamailio/binrpc.h"
#include "rtpengine/bencode.h"

#define MEMORY "malloc calloc realloc"

static void
an_answer_of_dns(void **state)
{
	struct fix f = { 0 };
	size_t at, rd;

	(void)state;
	fix_begin(&f, 7, 0x8180, "router.service.consul", 33);
	at = fix_srv(&f, 5, 1, 5060, "0a000001.addr.dc1.consul");
	fix_ptr(&f, at);
	rd = fix_type(&f, DNS_TYPE_A, 1, 5);
	fix_u32(&f, 0x0a000001);
	fix_end(&f, rd);
	fix_counts(&f, 1, 0, 1);
	FAULT_EACH(MEMORY, ENOMEM) {
		struct dns_msg m = { 0 };
		int err = dnsmsg_parse(f.b, f.n, &m);

		assert_int_equal(err, fault_hits() ? -ENOMEM : 0);
		assert_int_equal(m.n_srv, err ? 0 : 1);
		assert_int_equal(m.n_addr, err ? 0 : 1);
		if (err)
			assert_null(m.srv);
		else
			dnsmsg_clear(&m);
	}
}

/* An SRV whose six bytes before the target are not all there. */
static void
a_record_that_is_too_short(void **state)
{
	unsigned n;

	(void)state;
	for (n = 0; n <= 6; n++) {
		struct fix f = { 0 };
		struct dns_msg m = { 0 };
		size_t rd;

		fix_begin(&f, 7, 0x8180, "router.service.consul", 33);
		fix_ptr(&f, FIX_QUESTION);
		rd = fix_type(&f, DNS_TYPE_SRV, 1, 5);
		fix_bytes(&f, "\0\1\0\1\0\1", n);
		fix_end(&f, rd);
		fix_counts(&f, 1, 0, 0);
		assert_int_equal(dnsmsg_parse(f.b, f.n, &m), -EBADMSG);
		assert_null(m.srv);
	}
}

static void
a_reply_of_kamailio(void **state)
{
	static const uint8_t reply[] = { 0xa1, 0x10, 0x04, 0x07, 0x31, 'a', 'b', 0 };
	unsigned hits = 0;

	(void)state;
	FAULT_EACH(MEMORY, ENOMEM) {
		struct binrpc_msg m = { 0 };
		int err = binrpc_decode(reply, sizeof reply, &m);

		hits += fault_hits();
		assert_int_equal(err, fault_hits() ? -ENOMEM : 0);
		assert_int_equal(m.first != NULL, err == 0);
		if (err == 0)
			assert_string_equal(m.first->str, "ab");
		binrpc_clear(&m);
	}
	assert_int_equal(hits, 1);
}

static void
an_answer_of_rtpengine(void **state)
{
	static const char text[] = "d5:callsl1:a1:be6:result2:oke";
	unsigned hits = 0;

	(void)state;
	FAULT_EACH(MEMORY, ENOMEM) {
		struct bencode_msg m = { 0 };
		int err = bencode_decode(text, sizeof text - 1, &m);

		hits += fault_hits();
		assert_int_equal(err, fault_hits() ? -ENOMEM : 0);
		assert_int_equal(m.root != NULL, err == 0);
		if (err == 0)
			assert_int_equal(bencode_length(m.root, "calls"), 2);
		bencode_clear(&m);
	}
	assert_int_equal(hits, 1);
}

static void
pairs_of_consul(void **state)
{
	static const char text[] = "[{\"Key\":\"c4/b\",\"Value\":\"eHk=\"},{\"Key\":\"c4/a\",\"Value\":null}]";
	unsigned hits = 0;

	(void)state;
	FAULT_EACH(MEMORY, ENOMEM) {
		struct kv_pair *pairs = NULL;
		size_t n = 0;
		int err = kv_parse(text, sizeof text - 1, "c4", &pairs, &n);

		hits += fault_hits();
		assert_int_equal(err, fault_hits() ? -ENOMEM : 0);
		assert_int_equal(n, err ? 0 : 2);
		if (err == 0)
			kv_pairs_free(pairs, n);
		else
			assert_null(pairs);
	}
	assert_int_equal(hits, 2); /* one block for each pair: also the second one's failure gives the first back */
}

int
main(void)
{
#define T(fn) cmocka_unit_test_teardown(fn, fault_teardown)
	const struct CMUnitTest tests[] = {
		T(an_answer_of_dns),
		T(a_record_that_is_too_short),
		T(a_reply_of_kamailio),
		T(an_answer_of_rtpengine),
		T(pairs_of_consul),
	};

	return cmocka_run_group_tests_name("messages without memory", tests, NULL, NULL);
}
