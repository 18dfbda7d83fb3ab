/*
 * binrpc: what Kamailio 5.6.3 sends and takes, byte for byte, and what a broken or hostile peer
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

#include "kamailio/binrpc.h"

/* ---- an encoder for what only Kamailio sends ---- */

static void
put(struct buf *b, unsigned byte)
{
	uint8_t c = (uint8_t)byte;

	buf_add(b, &c, 1);
}

static void
put_str(struct buf *b, unsigned type, const char *s)
{
	size_t len = strlen(s) + 1;

	if (len < 8) {
		put(b, (unsigned)len << 4 | type);
	} else if (len < 256) {
		put(b, 0x90 | type);
		put(b, (unsigned)len);
	} else {
		put(b, 0xa0 | type);
		put(b, (unsigned)(len >> 8));
		put(b, (unsigned)len & 0xff);
	}
	buf_add(b, s, len);
}

static void
put_name(struct buf *b, const char *name)
{
	put_str(b, 5, name);
}

static void
put_pair(struct buf *b, const char *name, const char *text)
{
	put_name(b, name);
	put_str(b, 1, text);
}

static void
put_pair_int(struct buf *b, const char *name, int32_t n)
{
	put_name(b, name);
	binrpc_add_int(b, n);
}

static void
put_begin(struct buf *b, const char *name)
{
	if (name != NULL)
		put_name(b, name);
	put(b, 0x03);
}

static void
put_end(struct buf *b)
{
	put(b, 0x83);
}

/* A packet with four length bytes, as large as it may be. */
static void
wrap(struct buf *out, unsigned kind, uint32_t cookie, const struct buf *body)
{
	memset(out, 0, sizeof *out);
	put(out, 0xa1);
	put(out, kind << 4 | 3 << 2 | 3);
	for (int i = 24; i >= 0; i -= 8)
		put(out, (unsigned)(body->len >> i) & 0xff);
	for (int i = 24; i >= 0; i -= 8)
		put(out, cookie >> i & 0xff);
	if (body->len > 0)
		buf_add(out, body->s, body->len);
}

/* In a block of exactly its size, so that AddressSanitizer sees every byte read too far. */
static int
decode_exact(const void *data, size_t len, struct binrpc_msg *msg)
{
	uint8_t *exact = malloc(len ? len : 1);
	int err;

	assert_non_null(exact);
	memcpy(exact, data, len);
	err = binrpc_decode(exact, len, msg);
	memset(exact, 0xee, len); /* the message has its own copy */
	free(exact);
	return err;
}

static int
decode_body(unsigned kind, const struct buf *body, struct binrpc_msg *msg)
{
	struct buf packet;
	int err;

	wrap(&packet, kind, 7, body);
	err = decode_exact(packet.s, packet.len, msg);
	buf_free(&packet);
	return err;
}

/* "name=value" text of a tree, for comparing. */
static void
print_values(struct buf *b, const struct binrpc_value *v)
{
	for (; v != NULL; v = v->next) {
		if (v->name != NULL)
			buf_printf(b, "%s=", v->name);
		switch (v->type) {
		case BINRPC_INT:
			buf_printf(b, "%" PRId64, v->num);
			break;
		case BINRPC_DOUBLE:
			buf_printf(b, "%" PRId64 "/1000", v->num);
			break;
		case BINRPC_STR:
		case BINRPC_BYTES:
			assert_int_equal(v->str[v->len], '\0');
			buf_printf(b, v->type == BINRPC_STR ? "'%s'" : "<%s>", v->str);
			break;
		case BINRPC_STRUCT:
		case BINRPC_ARRAY:
			buf_puts(b, v->type == BINRPC_STRUCT ? "{" : "[");
			print_values(b, v->child);
			buf_puts(b, v->type == BINRPC_STRUCT ? "}" : "]");
			break;
		}
		if (v->next != NULL)
			buf_puts(b, " ");
	}
}

static void
assert_tree(const struct binrpc_msg *msg, const char *want)
{
	struct buf b = { 0 };

	buf_puts(&b, "");
	print_values(&b, msg->first);
	assert_string_equal(b.s, want);
	buf_free(&b);
}

/* ---- requests ---- */

static void
add_nothing(struct buf *b)
{
}

static void
add_set_state(struct buf *b)
{
	binrpc_add_str(b, "dx");
	binrpc_add_int(b, 1);
	binrpc_add_str(b, "sip:127.0.0.1:5081");
}

static void
add_ints(struct buf *b)
{
	static const int32_t n[] = { 0, 7, 255, 256, 0x123456, INT32_MAX, -1, INT32_MIN };

	for (size_t i = 0; i < NELEM(n); i++)
		binrpc_add_int(b, n[i]);
}

static void
add_texts(struct buf *b)
{
	binrpc_add_str(b, "");
	binrpc_add_str(b, "abcdef");
	binrpc_add_str(b, "abcdefg");
}

#define BYTES(s) s, sizeof(s) - 1

static void
requests_are_what_kamailio_takes(void **state)
{
	static const struct {
		const char *method;
		void (*args)(struct buf *);
		uint32_t cookie;
		const char *bytes;
		size_t len;
	} cases[] = {
		{ "core.uptime", add_nothing, 0x1234,
		    BYTES("\xa1\x01\x0e\x12\x34\x91\x0c"
			  "core.uptime\0") },
		{ "core.psx", add_nothing, 0,
		    BYTES("\xa1\x00\x0b\x00\x91\x09"
			  "core.psx\0") },
		{ "m", add_nothing, 0xffffffff, BYTES("\xa1\x03\x03\xff\xff\xff\xff\x21m\0") },
		{ "dispatcher.set_state", add_set_state, 1,
		    BYTES("\xa1\x00\x32\x01\x91\x15"
			  "dispatcher.set_state\0\x31"
			  "dx\0\x10\x01"
			  "\x91\x13sip:127.0.0.1:5081\0") },
		{ "i", add_ints, 2,
		    BYTES("\xa1\x00\x1e\x02\x21i\0\x00\x10\x07\x10\xff\x20\x01\x00\x30\x12\x34\x56"
			  "\x40\x7f\xff\xff\xff\x40\xff\xff\xff\xff\x40\x80\x00\x00\x00") },
		{ "t", add_texts, 3,
		    BYTES("\xa1\x00\x17\x03\x21t\0\x11\0\x71"
			  "abcdef\0\x91\x08"
			  "abcdefg\0") },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf body = { 0 }, out;

		binrpc_begin(&body, "something before");
		binrpc_begin(&body, cases[i].method);
		cases[i].args(&body);
		assert_int_equal(binrpc_packet(BINRPC_REQUEST, cases[i].cookie, &body, &out), 0);
		assert_int_equal(out.len, cases[i].len);
		assert_memory_equal(out.s, cases[i].bytes, out.len);
		buf_free(&body);
		buf_free(&out);
	}
}

static void
requests_come_back_as_they_were(void **state)
{
	struct buf body = { 0 }, out;
	struct binrpc_msg msg;

	binrpc_begin(&body, "m");
	add_ints(&body);
	add_texts(&body);
	assert_int_equal(binrpc_packet(BINRPC_REQUEST, 0xabcdef, &body, &out), 0);
	assert_int_equal(decode_exact(out.s, out.len, &msg), 0);
	assert_int_equal(msg.kind, BINRPC_REQUEST);
	assert_int_equal(msg.cookie, 0xabcdef);
	assert_tree(
	    &msg, "'m' 0 7 255 256 1193046 2147483647 -1 -2147483648 '' 'abcdef' 'abcdefg'");
	binrpc_clear(&msg);
	assert_null(msg.first);
	buf_free(&body);
	buf_free(&out);
}

static void
requests_that_kamailio_could_not_read_are_refused(void **state)
{
	struct buf body = { 0 }, out = { .s = (char *)"untouched" };
	char text[BINRPC_REQUEST_MAX + 1];

	memset(text, 'x', sizeof text);
	text[sizeof text - 1] = '\0';
	binrpc_begin(&body, "m");
	binrpc_add_str(&body, text);
	assert_int_equal(binrpc_packet(BINRPC_REQUEST, 1, &body, &out), -EMSGSIZE);
	assert_string_equal(out.s, "untouched");
	text[BINRPC_REQUEST_MAX - 100] = '\0';
	binrpc_begin(&body, "m");
	binrpc_add_str(&body, text);
	assert_int_equal(binrpc_packet(BINRPC_REQUEST, 1, &body, &out), 0);
	assert_true(out.len <= BINRPC_REQUEST_MAX);
	buf_free(&out);
	buf_free(&body);
}

/* ---- replies ---- */

/* From Kamailio 5.6.3, as they came. */
#define UPTIME \
	"\xa1\x11R\x12\x34\x03" \
	"Enow\0\x91\x19Sat Nov 21 04:28:36 2026\0\x95\tup_since\0" \
	"\x91\x19Sat Nov 21 04:28:35 2026\0" \
	"uuptime\0\x10\x01\x83"
#define LIST \
	"\xa1\x15\x01\x98\x12\x34\x03uNRSETS\0\x10\x02\x95\x08RECORDS\0\x03" \
	"ESET\0\x03" \
	"5ID\0" \
	"\x10\x02\x95\x08TARGETS\0\x03UDEST\0\x03" \
	"EURI\0\x91\x0fsips:127.0.0.1\0" \
	"eFLAGS\0\x31" \
	"DX\0" \
	"\x95\tPRIORITY\0\x00\x83\x83\x83" \
	"ESET\0\x03" \
	"5ID\0\x10\x01\x95\x08TARGETS\0\x03UDEST\0\x03" \
	"EURI\0\x91\x13sip:127.0.0.1:5081\0" \
	"eFLAGS\0\x31" \
	"AX\0\x95\tPRIORITY\0\x10\x05" \
	"eATTRS\0\x03" \
	"UBODY\0\x91\x12weight=50;foo=bar\0UDUID\0\x91\x0e<null string>\0\x95\x08MAXLOAD\0\x00" \
	"uWEIGHT\0\x10\x32\x95\x08RWEIGHT\0\x00uSOCKET\0\x91\x0e<null string>\0\x95\tSOCKNAME\0" \
	"\x91\x0e<null string>\0\x95\x08OBPROXY\0\x91\x0e<null string>\0\x83\x83UDEST\0\x03" \
	"EURI\0" \
	"\x91\x13sip:127.0.0.1:5082\0" \
	"eFLAGS\0\x31" \
	"AX\0\x95\tPRIORITY\0\x00\x83\x83\x83\x83\x83"

/* Walking over a body in place says the same as the tree, item by item. */
static void
assert_walk(const struct binrpc_value *v, struct binrpc_walk *w, unsigned depth)
{
	struct binrpc_item item;

	for (; v != NULL; v = v->next) {
		assert_int_equal(binrpc_next(w, &item), 1);
		assert_false(item.end);
		assert_int_equal(item.depth, depth);
		assert_int_equal(item.type, v->type);
		assert_int_equal(item.num, v->num);
		assert_int_equal(item.len, v->len);
		assert_int_equal(item.name != NULL, v->name != NULL);
		if (v->name != NULL)
			assert_string_equal(item.name, v->name);
		if (v->str != NULL)
			assert_memory_equal(item.str, v->str, v->len);
		if (v->type != BINRPC_STRUCT && v->type != BINRPC_ARRAY)
			continue;
		assert_walk(v->child, w, depth + 1);
		assert_int_equal(binrpc_next(w, &item), 1);
		assert_true(item.end);
		assert_int_equal(item.depth, depth);
	}
}

/* rc: what the walk ends with; `msg` is the tree, when that is 0 */
static void
check_walk(const uint8_t *data, size_t len, const struct binrpc_msg *msg, int rc)
{
	uint8_t *copy = malloc(len); /* so that a byte read beyond it shows */
	struct binrpc_msg open;
	struct binrpc_walk w;
	struct binrpc_item item;
	int got;

	memcpy(copy, data, len);
	assert_int_equal(binrpc_open(copy, len, &open), 0);
	assert_null(open.first);
	w = (struct binrpc_walk){ .body = open.body, .len = open.body_len };
	if (rc == 0) {
		assert_int_equal(open.kind, msg->kind);
		assert_int_equal(open.cookie, msg->cookie);
		assert_walk(msg->first, &w, 0);
	}
	while ((got = binrpc_next(&w, &item)) > 0)
		assert_int_not_equal(rc, 0);
	assert_int_equal(got, rc);
	assert_int_equal(binrpc_next(&w, &item), rc);
	free(copy);
}

static void
replies_of_kamailio(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		enum binrpc_kind kind;
		const char *tree;
	} cases[] = {
		{ BYTES(UPTIME), BINRPC_REPLY,
		    "{now='Sat Nov 21 04:28:36 2026' up_since='Sat Nov 21 04:28:35 2026' "
		    "uptime=1}" },
		{ BYTES("\xa1\x11!\x12\x34\x91\x1fkamailio 5.6.3 (x86_64/linux) \0"), BINRPC_REPLY,
		    "'kamailio 5.6.3 (x86_64/linux) '" },
		{ BYTES("\xa1\x11\x00\x12\x34"), BINRPC_REPLY, "" },
		{ BYTES("\xa1\x31\x1f\x12\x34\x20\x01\xf4\x91\x1a"
			"command no.such not found\0"),
		    BINRPC_FAULT, "500 'command no.such not found'" },
		{ BYTES(LIST), BINRPC_REPLY,
		    "{NRSETS=2 RECORDS={"
		    "SET={ID=2 TARGETS={DEST={URI='sips:127.0.0.1' FLAGS='DX' PRIORITY=0}}} "
		    "SET={ID=1 TARGETS={DEST={URI='sip:127.0.0.1:5081' FLAGS='AX' PRIORITY=5 "
		    "ATTRS={BODY='weight=50;foo=bar' DUID='<null string>' MAXLOAD=0 WEIGHT=50 "
		    "RWEIGHT=0 "
		    "SOCKET='<null string>' SOCKNAME='<null string>' OBPROXY='<null string>'}} "
		    "DEST={URI='sip:127.0.0.1:5082' FLAGS='AX' PRIORITY=0}}}}}" },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		const uint8_t *data = (const uint8_t *)cases[i].bytes;
		struct binrpc_msg msg;

		assert_int_equal(binrpc_packet_size(data, cases[i].len), cases[i].len);
		assert_int_equal(decode_exact(data, cases[i].len, &msg), 0);
		assert_int_equal(msg.kind, cases[i].kind);
		assert_int_equal(msg.cookie, 0x1234);
		assert_tree(&msg, cases[i].tree);
		check_walk(data, cases[i].len, &msg, 0);
		binrpc_clear(&msg);
	}
}

static void
bodies(void **state)
{
	static const struct {
		const char *what;
		const char *bytes;
		size_t len;
		const char *tree; /* NULL: -EBADMSG */
	} cases[] = {
		{ "ints in longer forms",
		    BYTES("\x20\x12\x34\x90\x02\x12\x34\xa0\x00\x02\x12\x34\x10\x00"),
		    "4660 4660 4660 0" },
		{ "a length in seven bytes", BYTES("\xf0\0\0\0\0\0\0\x01\x05"), "5" },
		{ "negative ints have four bytes", BYTES("\x40\xff\xff\xff\xff\x30\xff\xff\xff"),
		    "-1 16777215" },
		{ "bytes have no NUL of their own",
		    BYTES("\x66"
			  "abcdef\x06\x96\x03xyz\x21q\0"),
		    "<abcdef> <> <xyz> 'q'" },
		{ "bytes in a struct", BYTES("\x03\x25k\0\x16x\x06\x83"), "{k=<x> <>}" },
		{ "doubles", BYTES("\x22\x05\xdc\x42\xff\xff\xff\xff\x02"),
		    "1500/1000 -1/1000 0/1000" },
		{ "doubles that need more than 32 bits", BYTES("\x62\x01\xa1\xfe\xca\x63\x58\x92\x08\xff\xff\xff\xff\xff\xff\xff\xfe"),
		    "1795276039000/1000 -2/1000" },
		{ "nameless members", BYTES("\x03\x10\x01\x04\x10\x02\x03\x83\x84\x00\x83"),
		    "{1 [2 {}] 0}" },
		{ "an array with a name",
		    BYTES("\x03\x25"
			  "a\0\x04\x10\x07\x84\x83"),
		    "{a=[7]}" },
		{ "names repeat",
		    BYTES("\x03\x25"
			  "a\0\x00\x25"
			  "a\0\x10\x01\x83"),
		    "{a=0 a=1}" },
		{ "several at the top", BYTES("\x03\x83\x03\x83\x00"), "{} {} 0" },
		{ "a NUL within a text",
		    BYTES("\x41"
			  "a\0b\0\x00"),
		    "'a' 0" },

		{ "int of five bytes", BYTES("\x50\1\2\3\4\5"), NULL },
		{ "double of nine bytes", BYTES("\x92\x09\1\2\3\4\5\6\7\x08\x09"), NULL },
		{ "int cut", BYTES("\x20\x01"), NULL },
		{ "text without NUL",
		    BYTES("\x31"
			  "abc"),
		    NULL },
		{ "text without anything", BYTES("\x01"), NULL },
		{ "text cut",
		    BYTES("\x91\x20"
			  "abc\0"),
		    NULL },
		{ "text without its length", BYTES("\x91"), NULL },
		{ "length cut", BYTES("\xf1\0\0"), NULL },
		{ "length of 2^56-1",
		    BYTES("\xf1\xff\xff\xff\xff\xff\xff\xff"
			  "abc\0"),
		    NULL },
		{ "length of 2^32+2", BYTES("\xd1\1\0\0\0\2x\0"), NULL },
		{ "bytes cut",
		    BYTES("\x66"
			  "abc"),
		    NULL },
		{ "name without NUL",
		    BYTES("\x03\x25"
			  "ab\x10\x01\x83"),
		    NULL },
		{ "name at the top",
		    BYTES("\x25"
			  "a\0\x00"),
		    NULL },
		{ "name in an array",
		    BYTES("\x04\x25"
			  "a\0\x00\x84"),
		    NULL },
		{ "two names",
		    BYTES("\x03\x25"
			  "a\0\x25"
			  "b\0\x00\x83"),
		    NULL },
		{ "name before the end",
		    BYTES("\x03\x25"
			  "a\0\x83"),
		    NULL },
		{ "name and nothing more",
		    BYTES("\x03\x25"
			  "a\0"),
		    NULL },
		{ "end at the top", BYTES("\x83"), NULL },
		{ "one end too many", BYTES("\x03\x83\x83"), NULL },
		{ "no end", BYTES("\x03\x10\x01"), NULL },
		{ "the other's end", BYTES("\x03\x84"), NULL },
		{ "ends crossed", BYTES("\x03\x04\x83\x84"), NULL },
		{ "struct with a size", BYTES("\x13\x83\x83"), NULL },
		{ "struct with a length", BYTES("\x93\x01\x83\x83"), NULL },
		{ "end of an int", BYTES("\x80"), NULL },
		{ "end of a text", BYTES("\x81"), NULL },
		{ "type 7", BYTES("\x07"), NULL },
		{ "type 15", BYTES("\x1fx\x00"), NULL },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf body = { 0 }, packet;
		struct binrpc_msg msg;
		int err;

		buf_add(&body, cases[i].bytes, cases[i].len);
		err = decode_body(BINRPC_REPLY, &body, &msg);
		if (err != (cases[i].tree ? 0 : -EBADMSG))
			fail_msg("%s: %d", cases[i].what, err);
		assert_int_equal(binrpc_packet(BINRPC_REPLY, 1, &body, &packet), 0);
		if (cases[i].tree != NULL) {
			assert_tree(&msg, cases[i].tree);
			msg.cookie = 1;
			check_walk((uint8_t *)packet.s, packet.len, &msg, 0);
			binrpc_clear(&msg);
		} else {
			check_walk((uint8_t *)packet.s, packet.len, NULL, -EBADMSG);
		}
		buf_free(&packet);
		buf_free(&body);
	}
}

static void
sizes_of_packets(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		int64_t size;
	} cases[] = {
		{ BYTES(""), 0 },
		{ BYTES("\xa1"), 0 },
		{ BYTES("\xa1\x10"), 0 },
		{ BYTES("\xa1\x10\x05"), 0 },
		{ BYTES("\xa1\x10\x05\x01"), 9 },
		{ BYTES("\xa1\x10\x00\x01"), 4 },
		{ BYTES("\xa1\x10\x00\x01more"), 4 },
		{ BYTES("\xa1\x3f\x00\x00\x00\x05\1\2\3"), 0 },
		{ BYTES("\xa1\x3f\x00\x00\x00\x05\1\2\3\4"), 15 },
		{ BYTES("\xa0"), -EBADMSG },
		{ BYTES("\xa2\x10"), -EBADMSG },
		{ BYTES("H"), -EBADMSG },
		{ BYTES("\xa1\x20"), -EBADMSG },
		{ BYTES("\xa1\xf0"), -EBADMSG },
		{ BYTES("\xa1\x1c\x00\x7f\xff\xf9\x01"), BINRPC_REPLY_MAX },
		{ BYTES("\xa1\x1c\x00\x7f\xff\xfa\x01"), -EMSGSIZE },
		{ BYTES("\xa1\x1c\x06\x40\x00\x00\x01"), -EMSGSIZE },
		{ BYTES("\xa1\x1c\xff\xff\xff\xff\x01"), -EMSGSIZE },
	};

	for (size_t i = 0; i < NELEM(cases); i++)
		assert_int_equal(binrpc_packet_size((const uint8_t *)cases[i].bytes, cases[i].len),
		    cases[i].size);
}

static void
whole_packets_only(void **state)
{
	char more[sizeof LIST + 1] = LIST;
	struct binrpc_msg msg;

	for (size_t len = 0; len < sizeof LIST - 1; len++) {
		int64_t size = binrpc_packet_size((const uint8_t *)LIST, len);

		assert_true(size == (len < 6 ? 0 : (int64_t)sizeof LIST - 1));
		assert_int_equal(decode_exact(LIST, len, &msg), -EBADMSG);
	}
	assert_int_equal(decode_exact(more, sizeof LIST, &msg), -EBADMSG);
}

static void
bodies_cut_at_every_byte(void **state)
{
	unsigned good = 0;

	for (size_t len = 1; len < sizeof LIST - 1 - 6; len++) {
		struct buf body = { 0 };
		struct binrpc_msg msg;
		int err;

		buf_add(&body, &LIST[6], len);
		err = decode_body(BINRPC_REPLY, &body, &msg);
		good += err == 0;
		if (err == 0)
			binrpc_clear(&msg);
		buf_free(&body);
	}
	assert_int_equal(good, 0); /* all of it is one struct */
}

static void
every_byte_corrupted(void **state)
{
	unsigned good = 0, bad = 0;

	for (size_t at = 0; at < sizeof LIST - 1; at++) {
		for (unsigned byte = 0; byte < 256; byte++) {
			char packet[sizeof LIST] = LIST;
			struct buf text = { 0 };
			struct binrpc_msg msg;
			int err;

			packet[at] = (char)byte;
			err = decode_exact(packet, sizeof LIST - 1, &msg);
			if (err != 0) {
				assert_int_equal(err, -EBADMSG);
				bad++;
				continue;
			}
			print_values(&text, msg.first); /* reads all of it */
			buf_free(&text);
			binrpc_clear(&msg);
			good++;
		}
	}
	assert_true(good > 0 && bad > 0);
}

static void
depth_is_capped(void **state)
{
	static const struct {
		unsigned depth;
		int err;
	} cases[] = { { 1, 0 }, { BINRPC_DEPTH_MAX, 0 }, { BINRPC_DEPTH_MAX + 1, -EBADMSG },
		{ 500000, -EBADMSG } };

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf body = { 0 };
		struct binrpc_msg msg;

		for (unsigned k = 0; k < cases[i].depth; k++)
			put(&body, k % 2 ? 0x04 : 0x03);
		for (unsigned k = cases[i].depth; k-- > 0;)
			put(&body, k % 2 ? 0x84 : 0x83);
		assert_int_equal(decode_body(BINRPC_REPLY, &body, &msg), cases[i].err);
		if (cases[i].err == 0)
			binrpc_clear(&msg);
		buf_free(&body);
	}
}

static void
number_of_values_is_capped(void **state)
{
	struct buf body = { 0 };
	struct binrpc_msg msg;
	char *zeros = calloc(1, BINRPC_VALUES_MAX + 1);

	assert_non_null(zeros);
	buf_add(&body, zeros, BINRPC_VALUES_MAX); /* as many ints 0 */
	assert_int_equal(decode_body(BINRPC_REPLY, &body, &msg), 0);
	binrpc_clear(&msg);
	put(&body, 0);
	assert_int_equal(decode_body(BINRPC_REPLY, &body, &msg), -EMSGSIZE);
	buf_free(&body);
	free(zeros);
}

static void
oversize_is_refused(void **state)
{
	struct buf body = { 0 };
	struct binrpc_msg msg;
	char *big = malloc(BINRPC_REPLY_MAX);

	assert_non_null(big);
	memset(big, 'x', BINRPC_REPLY_MAX);
	buf_add(&body, "\xb6\x7f\xff\xf8", 4); /* bytes, three length bytes */
	buf_add(&body, big, 0x7ffff8);
	assert_int_equal(decode_body(BINRPC_REPLY, &body, &msg), -EBADMSG); /* 6 bytes over */
	body.len -= 0x28;
	body.s[3] = (char)0xd0;
	assert_int_equal(decode_body(BINRPC_REPLY, &body, &msg), 0);
	assert_int_equal(msg.first->len, 0x7fffd0);
	binrpc_clear(&msg);
	buf_free(&body);
	free(big);
}

/* ---- reading it ---- */

static void
put_dest(struct buf *b, unsigned port)
{
	char uri[64];

	snprintf(uri, sizeof uri, "sip:10.0.0.1:%u", port);
	put_begin(b, "DEST");
	put_pair(b, "URI", uri);
	put_pair(b, "FLAGS", "AP");
	put_pair_int(b, "PRIORITY", (int32_t)port % 7);
	put_begin(b, "ATTRS");
	put_pair(b, "BODY", "weight=50;cc=1;duid=gateway-number-one-of-many");
	put_end(b);
	put_end(b);
}

static void
a_list_of_8000_destinations(void **state)
{
	const struct binrpc_value *set, *dest;
	struct buf body = { 0 };
	struct binrpc_msg msg;
	unsigned n = 0;
	int64_t num;
	char uri[64];

	put_begin(&body, NULL);
	put_pair_int(&body, "NRSETS", 1);
	put_begin(&body, "RECORDS");
	put_begin(&body, "SET");
	put_pair_int(&body, "ID", 1);
	put_begin(&body, "TARGETS");
	for (unsigned i = 0; i < 8000; i++)
		put_dest(&body, i);
	for (int i = 0; i < 4; i++)
		put_end(&body);
	assert_int_equal(decode_body(BINRPC_REPLY, &body, &msg), 0);
	set = binrpc_find(binrpc_find(msg.first->child, "RECORDS")->child, "SET");
	assert_true(binrpc_int(set->child, "ID", &num) && num == 1);
	dest = binrpc_find(binrpc_find(set->child, "TARGETS")->child, "DEST");
	for (; dest != NULL; dest = binrpc_find(dest->next, "DEST")) {
		snprintf(uri, sizeof uri, "sip:10.0.0.1:%u", n);
		assert_string_equal(binrpc_text(dest->child, "URI"), uri);
		assert_true(binrpc_int(dest->child, "PRIORITY", &num) && num == n % 7);
		n++;
	}
	assert_int_equal(n, 8000);
	binrpc_clear(&msg);
	buf_free(&body);
}

static void
finding_members(void **state)
{
	struct buf body = { 0 };
	struct binrpc_msg msg;
	int64_t n = 4711;

	put_begin(&body, NULL);
	put_pair_int(&body, "i", -5);
	put_pair(&body, "s", "text");
	put_name(&body, "d");
	buf_add(&body, "\x22\x07\xd0", 3); /* 2.000 */
	put_name(&body, "f");
	buf_add(&body, "\x22\x07\xd1", 3); /* 2.001 */
	put_name(&body, "b");
	buf_add(&body, "\x16x", 2);
	put_begin(&body, "e");
	put_end(&body);
	put_pair_int(&body, "i", 6);
	put_end(&body);
	assert_int_equal(decode_body(BINRPC_REPLY, &body, &msg), 0);
	assert_true(binrpc_int(msg.first->child, "i", &n) && n == -5); /* the first of that name */
	assert_true(binrpc_int(binrpc_find(msg.first->child, "e"), "i", &n) && n == 6);
	assert_true(binrpc_int(msg.first->child, "d", &n) && n == 2);
	n = 4711;
	assert_false(binrpc_int(msg.first->child, "f", &n));
	assert_false(binrpc_int(msg.first->child, "s", &n));
	assert_false(binrpc_int(msg.first->child, "none", &n));
	assert_false(binrpc_int(NULL, "i", &n));
	assert_int_equal(n, 4711);
	assert_string_equal(binrpc_text(msg.first->child, "s"), "text");
	assert_null(binrpc_text(msg.first->child, "i"));
	assert_null(binrpc_text(msg.first->child, "b"));
	assert_null(binrpc_text(msg.first->child, "none"));
	assert_null(binrpc_find(binrpc_find(msg.first->child, "e")->child, "i"));
	assert_null(binrpc_find(NULL, "i"));
	binrpc_clear(&msg);
	buf_free(&body);
}

static void
faults(void **state)
{
	static const struct {
		unsigned kind;
		const char *bytes;
		size_t len;
		bool is;
		int code;
		const char *reason;
	} cases[] = {
		{ BINRPC_FAULT,
		    BYTES("\x20\x01\xf4\x91\x0f"
			  "Ongoing reload\0"),
		    true, 500, "Ongoing reload" },
		{ BINRPC_FAULT, BYTES("\x20\x01\x94"), true, 404, "no reason given" },
		{ BINRPC_FAULT, BYTES("\x31no\0"), true, 0, "no" },
		{ BINRPC_FAULT, BYTES("\x03\x83"), true, 0, "no reason given" },
		{ BINRPC_FAULT, BYTES(""), true, 0, "no reason given" },
		{ BINRPC_REPLY, BYTES("\x20\x01\xf4\x31no\0"), false, 0, NULL },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf body = { 0 };
		struct binrpc_msg msg;
		const char *reason = NULL;
		int code = 0;

		buf_add(&body, cases[i].bytes, cases[i].len);
		assert_int_equal(decode_body(cases[i].kind, &body, &msg), 0);
		assert_int_equal(binrpc_fault(&msg, &code, &reason), cases[i].is);
		if (cases[i].is) {
			assert_int_equal(code, cases[i].code);
			assert_string_equal(reason, cases[i].reason);
		}
		binrpc_clear(&msg);
		buf_free(&body);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_what_kamailio_takes),
		cmocka_unit_test(requests_come_back_as_they_were),
		cmocka_unit_test(requests_that_kamailio_could_not_read_are_refused),
		cmocka_unit_test(replies_of_kamailio),
		cmocka_unit_test(bodies),
		cmocka_unit_test(sizes_of_packets),
		cmocka_unit_test(whole_packets_only),
		cmocka_unit_test(bodies_cut_at_every_byte),
		cmocka_unit_test(every_byte_corrupted),
		cmocka_unit_test(depth_is_capped),
		cmocka_unit_test(number_of_values_is_capped),
		cmocka_unit_test(oversize_is_refused),
		cmocka_unit_test(a_list_of_8000_destinations),
		cmocka_unit_test(finding_members),
		cmocka_unit_test(faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
