/*
 * dslist: lines as Kamailio reads them, and c4d's block among foreign ones.
 */
#include <errno.h>
#include <stdio.h>

#include "kamailio/dslist.h"
#include "text_fx.h"

#define B DSLIST_BEGIN "\n"
#define E DSLIST_END "\n"

/* "set uri flags priority attrs|" each, '*' before what is ours. */
static char *
print_entries(const struct ds_entries *e)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < e->n; i++)
		buf_printf(&b, "%s%d %s %u %d%s%s|", e->v[i].ours ? "*" : "", e->v[i].set,
		    e->v[i].uri, e->v[i].flags, e->v[i].priority, e->v[i].attrs ? " " : "",
		    e->v[i].attrs ? e->v[i].attrs : "");
	return buf_take(&b);
}

/* What is read, and how many lines are refused. */
static void
assert_parsed(const char *what, const char *text, size_t len, const char *want, size_t want_bad)
{
	char *exact = exact_copy(text, len);
	struct ds_entries e = { 0 };
	size_t bad = 99;

	dslist_parse(exact, len, &e, &bad);
	free(exact);
	assert_text(what, print_entries(&e), want);
	assert_int_equal(bad, want_bad);
	ds_entries_clear(&e);
	assert_int_equal(e.n, 0);
}

static void
lines(void **state)
{
	static const struct {
		const char *text;
		const char *want;
		size_t bad;
	} cases[] = {
		{ "", "", 0 },
		{ "\n\n  \n\t\r\n", "", 0 },
		{ "# 1 sip:a\n  # 2 sip:b\n", "", 0 },
		{ "1 sip:10.0.0.1:5060 0 5 weight=50;foo=bar\n",
		    "1 sip:10.0.0.1:5060 0 5 weight=50;foo=bar|", 0 },
		{ "1 sip:a", "1 sip:a 0 0|", 0 },
		{ "1 sip:a 9", "1 sip:a 9 0|", 0 },
		{ "1 sip:a 9 3", "1 sip:a 9 3|", 0 },
		{ " \t 1\t\tsip:a \t 9\t3 \t x=y\t\n", "1 sip:a 9 3 x=y|", 0 },
		{ "1 sip:a 0 0 x=y and more\n", "1 sip:a 0 0 x=y|", 0 },
		{ "1 sip:a 0 0 x=y#z\n", "1 sip:a 0 0 x=y#z|",
		    0 }, /* attributes end at white space alone */
		{ "1 sip:a 0 0 # remark\n", "1 sip:a 0 0|", 0 },
		{ "1 sip:a 0 # remark\n1 sip:b# remark\n1 sip:c#d\n",
		    "1 sip:a 0 0|1 sip:b 0 0|1 sip:c 0 0|", 0 },
		{ "1 sip:a 0 0 x=y\r\n2 sip:b\r\n", "1 sip:a 0 0 x=y|2 sip:b 0 0|", 0 },
		{ "1 sip:a 0 0\r2 sip:b\n", "1 sip:a 0 0 2|", 0 }, /* a lone CR is a blank */
		{ "1 SIPS:a\n1 SiP:b\n", "1 SIPS:a 0 0|1 SiP:b 0 0|", 0 },
		{ "1sip:a 2x=y\n", "1 sip:a 2 0 x=y|",
		    0 }, /* Kamailio wants no blank behind a number */
		{ "1 sip:a -1 -2\n", "1 sip:a 0 0 -1|", 0 },
		{ "sip:a\n", "0 sip:a 0 0|", 0 },
		{ "1\n2 sip:b\n", "2 sip:b 0 0|", 1 },
		{ "1 # remark\n1 #sip:a\n", "", 2 },
		{ "1 10.0.0.1:5060 4\n1 u@[::1]\nhello world\n",
		    "1 sip:10.0.0.1:5060 4 0|1 sip:u@[::1] 0 0|"
		    "0 sip:hello 0 0 world|",
		    0 }, /* Kamailio adds a missing scheme, from five bytes on */
		{ "1 tel:110\n1 TELS:110\n1 urn:service:sos\n1 gw-1\n1 a\n1 sip:\n1 sips:\n", "",
		    7 },
		{ "99999999999999999999 sip:a\n1 sip:a 99999999999\n1 sip:a 0 "
		  "2147483648\n2147483647 sip:b\n",
		    "2147483647 sip:b 0 0|", 3 },
		{ B "1 sip:a\n" E "1 sip:b\n", "*1 sip:a 0 0|1 sip:b 0 0|", 0 },
		{ "1 sip:a\n# c4d begin: of another version\r\n1 sip:b\n# c4d end \t\r\n1 sip:c\n",
		    "1 sip:a 0 0|*1 sip:b 0 0|1 sip:c 0 0|", 0 },
		{ B "1 sip:a\n", "*1 sip:a 0 0|", 0 },
		{ E "1 sip:a\n", "1 sip:a 0 0|", 0 },
		{ "# c4d begins\n1 sip:a\n" B "1 sip:b\n# c4d ends\n1 sip:c\n",
		    "1 sip:a 0 0|*1 sip:b 0 0|*1 sip:c 0 0|", 0 },
	};

	for (size_t i = 0; i < NELEM(cases); i++)
		assert_parsed(cases[i].text, cases[i].text, strlen(cases[i].text), cases[i].want, cases[i].bad);
}

static void
schemes_are_added_to_short_uris(void **state)
{
	for (size_t len = 498; len <= 501; len++) {
		struct ds_entries e = { 0 };
		struct buf b = { 0 };
		size_t bad;

		buf_puts(&b, "1 ");
		while (b.len < len + 2)
			buf_puts(&b, "x");
		dslist_parse(b.s, b.len, &e, &bad);
		assert_int_equal(e.n, len < 500);
		assert_int_equal(bad, len >= 500);
		assert_true(e.n == 0 || strlen(e.v[0].uri) == len + 4);
		ds_entries_clear(&e);
		buf_free(&b);
	}
}

static void
nul_ends_a_line(void **state)
{
	static const char text[] = "1 sip:a 0 0 x=y\0z\n2 sip:b\0\n\0 3 sip:c\n4 sip:d";

	assert_parsed("NUL", text, sizeof text - 1, "1 sip:a 0 0 x=y|2 sip:b 0 0|4 sip:d 0 0|", 0);
}

/* Kamailio reads 1,023 bytes at a time: what is beyond is a line of its own to it. */
static void
long_lines_fall_in_pieces(void **state)
{
	static const struct {
		size_t at; /* where "7 sip:b" stands in a comment */
		const char *want;
		size_t bad;
	} cases[] = {
		{ 1022, "0 sip:b 0 0|", 0 }, /* without its set number's digit and blank */
		{ 1023, "7 sip:b 0 0|", 0 },
		{ 1021, "0 sip:b 0 0|", 0 },
		{ 1020, "", 1 }, /* "ip:b" */
		{ 900, "", 0 },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf b = { 0 };

		add_behind_comment(&b, cases[i].at, "7 sip:b\n");
		assert_parsed("long", b.s, b.len, cases[i].want, cases[i].bad);
		buf_free(&b);
	}
}

static void
sorting_is_by_number(void **state)
{
	static const char in[] = "2 sip:10.0.0.1:5060\n"
				 "1 sip:10.0.0.10:5060 0 1\n"
				 "1 sip:10.0.0.9:5060 0 1\n"
				 "1 sip:10.0.0.9:5060;transport=tcp 0 1\n"
				 "1 sip:10.0.0.9:800 0 1\n"
				 "1 sip:10.0.0.9 0 1\n"
				 "1 sip:[fd00::10] 0 1\n"
				 "1 sip:[fd00::9] 0 1\n"
				 "1 sip:gw-b.example.org 0 1\n"
				 "1 sip:gw-a.example.org 0 1\n"
				 "1 sip:10.0.0.200 0 9\n"
				 "1 sip:10.0.0.9 4 1 x=1\n";
	static const char want[] =
	    "1 sip:10.0.0.200 0 9|"
	    "1 sip:gw-a.example.org 0 1|1 sip:gw-b.example.org 0 1|"
	    "1 sip:10.0.0.9:800 0 1|1 sip:10.0.0.9 0 1|1 sip:10.0.0.9 4 1 x=1|"
	    "1 sip:10.0.0.9:5060 0 1|1 sip:10.0.0.9:5060;transport=tcp 0 1|1 sip:10.0.0.10:5060 0 "
	    "1|"
	    "1 sip:[fd00::9] 0 1|1 sip:[fd00::10] 0 1|"
	    "2 sip:10.0.0.1:5060 0 0|";
	struct ds_entries e = { 0 };

	ds_entries_sort(&e);
	dslist_parse(in, strlen(in), &e, NULL);
	ds_entries_sort(&e);
	assert_text("sorted", print_entries(&e), want);
	ds_entries_sort(&e);
	assert_text("sorted twice", print_entries(&e), want);
	ds_entries_clear(&e);
}

/* ---- composing ---- */

static void
assert_composed(const char *what, const char *old, const struct ds_set_ref *sets, size_t n_sets, const struct ds_entries *ours, const char *want)
{
	struct buf out = { .s = (char *)"not initialised", .len = 3 };
	const char *bad_uri = NULL;

	assert_int_equal(dslist_compose(old, strlen(old), sets, n_sets, ours, &out, &bad_uri), 0);
	assert_null(bad_uri);
	assert_buf(what, &out, want);
}

static void
composing(void **state)
{
	static const struct ds_set_ref owned[] = { { 1, true }, { 2, false } };
	static const struct {
		const char *what;
		const char *old;
		size_t n_sets;
		const char *ours;
		const char *want;
	} cases[] = {
		{ "an empty file", "", 2, "1 sip:a 0 5 w=1\n2 sip:b\n",
		    B "1 sip:a 0 5 w=1\n2 sip:b 0 0\n" E },
		{ "nothing to say, nothing there", "", 2, "", "" },
		{ "nothing to say among foreign lines", "7 sip:x\n", 2, "", "7 sip:x\n" },
		{ "nothing to say is no reason to touch a byte", "7 sip:x", 2, "", "7 sip:x" },
		{ "an empty block remains", B "1 sip:a\n" E, 2, "", B E },
		{ "foreign bytes and their order", "# head\r\n\n 9\tsip:y  # z\r\n7 sip:x", 2,
		    "1 sip:a\n", "# head\r\n\n 9\tsip:y  # z\r\n7 sip:x\n" B "1 sip:a 0 0\n" E },
		{ "malformed lines stay", "1\n1 tel:1\nrubbish\n#1 sip:q\n", 2, "1 sip:a\n",
		    "1\n1 tel:1\nrubbish\n#1 sip:q\n" B "1 sip:a 0 0\n" E },
		{ "an exclusive set is ours anywhere",
		    "1 sip:q 0 0 w=9\n7 sip:x\n1 10.0.0.1:5060\n", 2, "1 sip:a 4\n",
		    "7 sip:x\n" B "1 sip:a 4 0\n" E },
		{ "of another set only what is in the block",
		    "2 sip:q\n" B "2 sip:old\n" E "2 sip:r\n", 2, "2 sip:b\n",
		    "2 sip:q\n2 sip:r\n" B "2 sip:b 0 0\n" E },
		{ "the block moves to the end", B "1 sip:a\n" E "7 sip:x\n", 2, "1 sip:a\n",
		    "7 sip:x\n" B "1 sip:a 0 0\n" E },
		{ "a set that is no longer managed stays as it is", B "1 sip:a 4\n2 sip:b\n" E, 1,
		    "1 sip:a\n", "2 sip:b\n" B "1 sip:a 0 0\n" E },
		{ "all sets gone", "7 sip:x\n" B "1 sip:a 4 0 w=1\n" E, 0, "",
		    "7 sip:x\n1 sip:a 4 0 w=1\n" B E },
		{ "a remark within the block", B "# mine\n1 sip:a\n" E, 2, "1 sip:a\n",
		    "# mine\n" B "1 sip:a 0 0\n" E },
		{ "no end", "7 sip:x\n" B "1 sip:a\n2 sip:b\n8 sip:y\n", 2, "1 sip:a\n",
		    "7 sip:x\n8 sip:y\n" B "1 sip:a 0 0\n" E },
		{ "an end alone", E "7 sip:x\n", 2, "1 sip:a\n", "7 sip:x\n" B "1 sip:a 0 0\n" E },
		{ "two blocks", B "1 sip:a\n2 sip:b\n" E "7 sip:x\n" B "2 sip:c\n" E, 2,
		    "1 sip:a\n", "7 sip:x\n" B "1 sip:a 0 0\n" E },
		{ "marked by another version, with CRLF",
		    "# c4d begin: so\r\n2 sip:b\r\n# c4d end\r\n", 2, "1 sip:a\n",
		    B "1 sip:a 0 0\n" E },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct ds_entries ours = { 0 };

		dslist_parse(cases[i].ours, strlen(cases[i].ours), &ours, NULL);
		assert_composed(cases[i].what, cases[i].old, owned, cases[i].n_sets, &ours, cases[i].want);
		/* and nothing to change the second time */
		assert_composed(cases[i].what, cases[i].want, owned, cases[i].n_sets, &ours, cases[i].want);
		ds_entries_clear(&ours);
	}
}

static void
foreign_nul_bytes_stay(void **state)
{
	static const struct ds_set_ref set = { 1, true };
	static const char old[] = "7 sip:x\0 1 sip:q\n\0\n1 sip:a\0\n";
	static const char want[] = "7 sip:x\0 1 sip:q\n\0\n" B "1 sip:a 0 0\n" E;
	struct ds_entries ours = { 0 };
	const char *bad_uri = NULL;
	struct buf out;

	ds_entries_add(&ours, 1, "sip:a", 0, 0, "");
	assert_null(ours.v[0].attrs);
	assert_int_equal(dslist_compose(old, sizeof old - 1, &set, 1, &ours, &out, &bad_uri), 0);
	assert_int_equal(out.len, sizeof want - 1);
	assert_memory_equal(out.s, want, out.len);
	buf_free(&out);
	ds_entries_clear(&ours);
}

static void
lines_that_kamailio_could_not_read_are_refused(void **state)
{
	static const struct ds_set_ref sets[] = { { 1, true }, { -1, true } };
	static const struct {
		int set;
		const char *uri;
		unsigned flags;
		int priority;
		const char *attrs;
		int err;
	} cases[] = {
		{ 1, "sip:10.0.0.1", 0, 0, "a=#b", 0 },
		{ 1, "sip:10.0.0.1", 0x7fffffff, 0x7fffffff, "5", 0 },
		{ 1, "sip:10.0.0.1 4", 0, 0, NULL, -EINVAL },
		{ 1, "sip:10.0.0.1\n1 sip:evil", 0, 0, NULL, -EINVAL },
		{ 1, "sip:10.0.0.1\t", 0, 0, NULL, -EINVAL },
		{ 1, "sip:10.0.0.1#x", 0, 0, NULL, -EINVAL }, { 1, "", 0, 0, NULL, -EINVAL },
		{ 1, "10.0.0.1:5060", 0, 0, NULL, -EINVAL }, { 1, "sip:", 0, 0, NULL, -EINVAL },
		{ 1, "sip:10.0.0.1", 0, 0, "a=b c=d", -EINVAL },
		{ 1, "sip:10.0.0.1", 0, 0, "a=b\r", -EINVAL },
		{ 1, "sip:10.0.0.1", 0, 0, "#a=b", -EINVAL },
		{ 1, "sip:10.0.0.1", 0, -1, NULL, -EINVAL },
		{ 1, "sip:10.0.0.1", 0x80000000, 0, NULL, -EINVAL },
		{ -1, "sip:10.0.0.1", 0, 0, NULL, -EINVAL },
		{ 3, "sip:10.0.0.1", 0, 0, NULL,
		    -EINVAL }, /* no set of ours: the next time it would be foreign */
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct ds_entries ours = { 0 };
		struct buf out = { .s = (char *)"untouched" };
		const char *bad_uri = NULL;
		char *want;

		ds_entries_add(&ours, 1, "sip:fine", 0, 0, NULL);
		ds_entries_add(&ours, cases[i].set, cases[i].uri, cases[i].flags, cases[i].priority,
		    cases[i].attrs);
		assert_int_equal(
		    dslist_compose("", 0, sets, NELEM(sets), &ours, &out, &bad_uri), cases[i].err);
		if (cases[i].err != 0) {
			assert_ptr_equal(bad_uri, ours.v[1].uri);
			assert_string_equal(out.s, "untouched");
		} else {
			ours.v[0].ours = ours.v[1].ours = true;
			want = print_entries(&ours);
			assert_parsed(out.s, out.s, out.len, want, 0);
			free(want);
			buf_free(&out);
		}
		ds_entries_clear(&ours);
	}
}

static void
lines_have_a_limit(void **state)
{
	static const struct ds_set_ref set = { 1, true };
	char attrs[DSLIST_LINE_MAX + 1];

	for (size_t len = DSLIST_LINE_MAX - 20; len <= DSLIST_LINE_MAX; len++) {
		size_t line = strlen("1 sip:a 0 0 ") + len;
		struct ds_entries ours = { 0 };
		const char *bad_uri = NULL;
		struct buf out = { 0 };
		int err;

		memset(attrs, 'x', len);
		attrs[len] = '\0';
		ds_entries_add(&ours, 1, "sip:a", 0, 0, attrs);
		err = dslist_compose("", 0, &set, 1, &ours, &out, &bad_uri);
		assert_int_equal(err, line <= DSLIST_LINE_MAX ? 0 : -EMSGSIZE);
		assert_true((err != 0) == (bad_uri == ours.v[0].uri));
		buf_free(&out);
		ds_entries_clear(&ours);
	}
}

/* ---- URIs ---- */

static void
addresses_of_uris(void **state)
{
	static const struct {
		const char *uri;
		const char *addr; /* NULL: -EINVAL */
	} cases[] = {
		{ "sip:10.0.0.1", "10.0.0.1:5060" },
		{ "sips:10.0.0.1", "10.0.0.1:5061" },
		{ "SIP:10.0.0.1:1", "10.0.0.1:1" },
		{ "SipS:10.0.0.1:65535", "10.0.0.1:65535" },
		{ "sip:10.0.0.1:05070", "10.0.0.1:5070" },
		{ "sip:10.0.0.1;transport=tcp", "10.0.0.1:5060" },
		{ "sip:10.0.0.1:5080;transport=tcp?x=y", "10.0.0.1:5080" },
		{ "sip:10.0.0.1?x=y", "10.0.0.1:5060" },
		{ "sip:10.0.0.1:", "10.0.0.1:5060" },
		{ "sips:10.0.0.1:0;lr", "10.0.0.1:5061" },
		{ "sip:user@10.0.0.1:5080", "10.0.0.1:5080" },
		{ "sip:us;er?x:pass@10.0.0.1", "10.0.0.1:5060" },
		{ "sip:[fd00::1]", "[fd00::1]:5060" },
		{ "sip:u@[::1]:5080;lr", "[::1]:5080" },
		{ "sips:[::1];lr", "[::1]:5061" },
		{ "", NULL },
		{ "sip:", NULL },
		{ "sips:", NULL },
		{ "10.0.0.1:5060", NULL },
		{ "tel:110", NULL },
		{ "sipx:10.0.0.1", NULL },
		{ "sip:gw.example.org", NULL },
		{ "sip:10.0.0.256", NULL },
		{ "sip:10.0.0.1.example.org", NULL },
		{ "sip:@", NULL },
		{ "sip:u@", NULL },
		{ "sip:10.0.0.1:65536", NULL },
		{ "sip:10.0.0.1:100000000000", NULL },
		{ "sip:10.0.0.1:50x", NULL },
		{ "sip:10.0.0.1:-5", NULL },
		{ "sip:10.0.0.1:+5", NULL },
		{ "sip:10.0.0.1/x", NULL },
		{ "sip:::1", NULL },
		{ "sip:[10.0.0.1]", NULL },
		{ "sip:[::1", NULL },
		{ "sip:[::1]x", NULL },
		{ "sip:[]", NULL },
		{ "sip:[fe80::1%lo]", NULL },
		{ "sip:["
		  "00000000000000000000000000000000000000000000000000000000000000000000000000000001"
		  "]",
		    NULL },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		char text[TOPO_ADDR_TEXT];
		struct topo_addr a;
		int err = dslist_uri_addr(cases[i].uri, &a);

		if (err != (cases[i].addr ? 0 : -EINVAL))
			fail_msg("%s: %d", cases[i].uri, err);
		if (err == 0) {
			topo_addr_format(&a, text);
			assert_string_equal(text, cases[i].addr);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(schemes_are_added_to_short_uris),
		cmocka_unit_test(nul_ends_a_line),
		cmocka_unit_test(long_lines_fall_in_pieces),
		cmocka_unit_test(sorting_is_by_number),
		cmocka_unit_test(composing),
		cmocka_unit_test(foreign_nul_bytes_stay),
		cmocka_unit_test(lines_that_kamailio_could_not_read_are_refused),
		cmocka_unit_test(lines_have_a_limit),
		cmocka_unit_test(addresses_of_uris),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
