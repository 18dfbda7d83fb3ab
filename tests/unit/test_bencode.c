/*
 * bencode: what rtpengine 10.5.3.5 sends and takes, byte for byte, and what a broken or hostile peer
 * might send.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rtpengine/bencode.h"

/* The input in a block of exactly its size, so that a byte read beyond it is seen. */
static int
decode(const char *text, size_t len, struct bencode_msg *out)
{
	char *exact = malloc(len ? len : 1);
	int err;

	assert_non_null(exact);
	memcpy(exact, text, len);
	err = bencode_decode(exact, len, out);
	free(exact);
	return err;
}

static struct bencode_msg
decoded(const char *text)
{
	struct bencode_msg msg = { 0 };
	int err = decode(text, strlen(text), &msg);

	if (err != 0)
		fail_msg("\"%s\": %d", text, err);
	return msg;
}

/* ---- what rtpengine sends ---- */

static void
test_answers_of_rtpengine(void **state)
{
	struct bencode_msg m;

	m = decoded("d6:result4:ponge");
	assert_int_equal(m.root->type, BENCODE_DICT);
	assert_int_equal(m.root->count, 1);
	assert_string_equal(bencode_text(m.root, "result"), "pong");
	assert_int_equal(bencode_length(m.root, "calls"), -1);
	bencode_clear(&m);
	assert_null(m.root);

	m = decoded("d5:callsle6:result2:oke");
	assert_int_equal(bencode_length(m.root, "calls"), 0);
	assert_string_equal(bencode_text(m.root, "result"), "ok");
	bencode_clear(&m);

	m = decoded("d5:callsl6:call-16:call-36:call-5e6:result2:oke");
	assert_int_equal(bencode_length(m.root, "calls"), 3);
	assert_string_equal(bencode_find(m.root, "calls")->child->next->str, "call-3");
	bencode_clear(&m);

	m = decoded("d6:result5:error12:error-reason20:Unrecognized commande");
	assert_string_equal(bencode_text(m.root, "error-reason"), "Unrecognized command");
	bencode_clear(&m);
}

/* Keys come unsorted, and hold blanks: a part of the answer to "delete". */
static void
test_nested(void **state)
{
	struct bencode_msg m = decoded("d7:createdi1795247139e10:created_usi521200e4:SSRCde4:tagsd1:fd"
				       "5:mediald5:indexi1e7:streamsld10:local porti31018e5:flagsl3:RTP"
				       "6:fillede5:statsd7:packetsi0e5:bytesi-5eeeeeeee6:result2:oke");
	const struct bencode_value *v;
	int64_t n;

	assert_true(bencode_int(m.root, "created", &n));
	assert_int_equal(n, 1795247139);
	v = bencode_find(m.root, "SSRC");
	assert_int_equal(v->type, BENCODE_DICT);
	assert_int_equal(v->count, 0);
	assert_null(v->child);
	v = bencode_find(bencode_find(bencode_find(m.root, "tags"), "f"), "media");
	assert_int_equal(v->type, BENCODE_LIST);
	v = bencode_find(v->child, "streams")->child;
	assert_true(bencode_int(v, "local port", &n));
	assert_int_equal(n, 31018);
	assert_int_equal(bencode_length(v, "flags"), 2);
	assert_true(bencode_int(bencode_find(v, "stats"), "bytes", &n));
	assert_int_equal(n, -5);
	assert_string_equal(bencode_text(m.root, "result"), "ok");
	bencode_clear(&m);
}

static void
test_finding(void **state)
{
	static const char nul[] = "d1:a3:x\0ye";
	struct bencode_msg m = decoded("d2:aai1e1:a3:two1:ai3e0:i4e1:ll0:ee");
	int64_t n = 7;

	assert_string_equal(bencode_text(m.root, "a"), "two"); /* the first of both, not "aa" */
	assert_false(bencode_int(m.root, "a", &n));
	assert_int_equal(n, 7);
	assert_true(bencode_int(m.root, "", &n));
	assert_int_equal(n, 4);
	assert_null(bencode_find(m.root, "b"));
	assert_null(bencode_text(m.root, "aa"));
	assert_int_equal(bencode_length(m.root, "a"), -1);
	assert_int_equal(bencode_length(m.root, "l"), 1);
	assert_null(bencode_find(bencode_find(m.root, "l"), "a")); /* a list has no keys */
	assert_string_equal(bencode_find(m.root, "l")->child->str, "");
	bencode_clear(&m);

	/* A text that would be cut is none. */
	assert_int_equal(decode(nul, sizeof nul - 1, &m), 0);
	assert_null(bencode_text(m.root, "a"));
	assert_int_equal(bencode_find(m.root, "a")->len, 3);
	assert_memory_equal(bencode_find(m.root, "a")->str, "x\0y", 4);
	bencode_clear(&m);
}

static void
test_single_values(void **state)
{
	static const struct {
		const char *text;
		int64_t num;
	} rows[] = {
		{ "i0e", 0 },
		{ "i7e", 7 },
		{ "i-1e", -1 },
		{ "i9223372036854775807e", INT64_MAX },
		{ "i-9223372036854775808e", INT64_MIN },
	};
	struct bencode_msg m;
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		m = decoded(rows[i].text);
		assert_int_equal(m.root->type, BENCODE_INT);
		assert_true(m.root->num == rows[i].num);
		bencode_clear(&m);
	}
	m = decoded("11:hello world");
	assert_int_equal(m.root->type, BENCODE_STR);
	assert_string_equal(m.root->str, "hello world");
	assert_null(bencode_find(m.root, "hello"));
	bencode_clear(&m);
}

/* ---- what nobody should send ---- */

static void
test_refused(void **state)
{
	static const char *const rows[] = {
		"", "e", "x", "garbage", " d6:result4:ponge", "d6:result4:ponge ", "d6:result4:ponged",
		"dede", "i1ei1e",
		/* cut */
		"d", "l", "i", "i1", "i-", "1", "1:", "d6:result4:pong", "d6:result4:pon", "d6:resu", "d6",
		"d6:result", "li1e", "d1:al", "d1:ali1e",
		/* numbers */
		"ie", "i-e", "i-0e", "i00e", "i01e", "i-01e", "i+1e", "i 1e", "i1 e", "i1.5e", "i0x1e", "i1:e",
		"i9223372036854775808e", "i-9223372036854775809e", "i99999999999999999999999999999999e",
		/* lengths */
		"01:a", "00:", "-1:a", "+1:a", ":a", "2:a", "1e", "1 :a", "9223372036854775807:a",
		"9223372036854775808:a", "18446744073709551617:a", "99999999999999999999:a",
		/* dictionaries */
		"di1e1:ae", "d1:ae", "d1:ai1e1:be", "dlei1ee", "ddei1ee", "d1:ai1ei2ee",
		/* more ends than beginnings */
		"lee", "d1:alee6:resulte", "i1ee",
	};
	struct bencode_msg m = { 0 };
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		int err = decode(rows[i], strlen(rows[i]), &m);

		if (err != -EBADMSG || m.root != NULL)
			fail_msg("\"%s\": %d", rows[i], err);
	}
}

/* Every prefix of a good answer is refused, and no byte behind it is read (the sanitizer's part). */
static void
test_every_cut(void **state)
{
	static const char whole[] = "d7:createdi1795247139e4:SSRCde5:callsl6:call-16:call-3e6:result2:oke";
	struct bencode_msg m = { 0 };
	size_t i;

	for (i = 0; i < sizeof whole - 1; i++)
		if (decode(whole, i, &m) != -EBADMSG)
			fail_msg("cut after %zu bytes", i);
	m = decoded(whole);
	bencode_clear(&m);
}

static void
nest(struct buf *b, unsigned depth)
{
	unsigned i;

	buf_free(b);
	for (i = 0; i < depth; i++)
		buf_puts(b, i % 2 ? "d1:k" : "l");
	buf_puts(b, depth % 2 ? "" : "0:");
	for (i = 0; i < depth; i++)
		buf_puts(b, "e");
}

static void
test_limits(void **state)
{
	struct bencode_msg m = { 0 };
	struct buf b = { 0 };
	unsigned i;

	nest(&b, BENCODE_DEPTH_MAX);
	assert_int_equal(decode(b.s, b.len, &m), 0);
	bencode_clear(&m);
	nest(&b, BENCODE_DEPTH_MAX + 1);
	assert_int_equal(decode(b.s, b.len, &m), -EBADMSG);

	/* As deep as a datagram can be: costs no stack. */
	buf_free(&b);
	for (i = 0; i < BENCODE_VALUES_MAX; i++)
		buf_puts(&b, "l");
	assert_int_equal(decode(b.s, b.len, &m), -EBADMSG);
	for (; i < BENCODE_BYTES_MAX; i++)
		buf_puts(&b, "l");
	assert_int_equal(decode(b.s, b.len, &m), -EMSGSIZE);

	buf_free(&b);
	buf_puts(&b, "l");
	for (i = 0; i < BENCODE_VALUES_MAX - 1; i++)
		buf_puts(&b, "0:");
	buf_puts(&b, "e");
	assert_int_equal(decode(b.s, b.len, &m), 0);
	assert_int_equal(m.root->count, BENCODE_VALUES_MAX - 1);
	bencode_clear(&m);
	b.s[b.len - 1] = '0';
	buf_puts(&b, ":e");
	assert_int_equal(decode(b.s, b.len, &m), -EMSGSIZE);

	buf_free(&b);
	buf_printf(&b, "65529:%065529d", 0);
	assert_int_equal(b.len, BENCODE_BYTES_MAX);
	assert_int_equal(decode(b.s, b.len, &m), 0);
	assert_int_equal(m.root->len, 65529);
	bencode_clear(&m);
	buf_puts(&b, "e");
	assert_int_equal(decode(b.s, b.len, &m), -EMSGSIZE);
	buf_free(&b);
}

/* ---- what we send ---- */

static void
test_requests(void **state)
{
	struct buf b = { 0 };

	bencode_open_dict(&b);
	bencode_add_str(&b, "command");
	bencode_add_str(&b, "list");
	bencode_add_str(&b, "limit");
	bencode_add_int(&b, 12);
	bencode_close(&b);
	assert_string_equal(b.s, "d7:command4:list5:limiti12ee");
	buf_free(&b);
	bencode_add_int(&b, INT64_MIN);
	bencode_add_str(&b, "");
	bencode_add_int(&b, 0);
	assert_string_equal(b.s, "i-9223372036854775808e0:i0e");
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers_of_rtpengine),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_finding),
		cmocka_unit_test(test_single_values),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
