/*
 * addrfile: lines as Kamailio's permissions module reads them (what it does was seen on a real one,
 * see tests/integration/test_addrfile.py), and c4d's block among foreign ones.
 */
#include <errno.h>
#include <stdio.h>

#include "kamailio/addrfile.h"
#include "text_fx.h"

#define B ADDRFILE_BEGIN "\n"
#define E ADDRFILE_END "\n"

/* "group ip mask port tag|" each, '*' before what is ours. */
static char *
print_entries(const struct addr_entries *e)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < e->n; i++)
		buf_printf(&b, "%s%d %s %d %d%s%s|", e->v[i].ours ? "*" : "", e->v[i].group,
		    e->v[i].ip, e->v[i].mask, e->v[i].port, e->v[i].tag ? " " : "",
		    e->v[i].tag ? e->v[i].tag : "");
	return buf_take(&b);
}

/* What is read, and how many lines are refused. */
static void
assert_parsed(const char *what, const char *text, size_t len, const char *want, size_t want_bad)
{
	char *exact = exact_copy(text, len);
	struct addr_entries e = { 0 };
	size_t bad = 99;

	addrfile_parse(exact, len, &e, &bad);
	free(exact);
	assert_text(what, print_entries(&e), want);
	assert_int_equal(bad, want_bad);
	addr_entries_clear(&e);
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
		{ "# 1 10.0.0.1\n  # 2 10.0.0.2\n", "", 0 },
		{ "1 10.0.0.1 32 5060 sbc\n", "1 10.0.0.1 32 5060 sbc|", 0 },
		{ "1 10.0.0.1", "1 10.0.0.1 32 0|", 0 },
		{ "1 10.0.0.1 0\n1 fd00::1 0\n1 fd00::1\n",
		    "1 10.0.0.1 32 0|1 fd00::1 128 0|1 fd00::1 128 0|", 0 },
		{ "2 10.0.0.0 8\n2 fd00:: 16 5060\n", "2 10.0.0.0 8 0|2 fd00:: 16 5060|", 0 },
		{ " \t 1\t\t10.0.0.1 \t 24\t5060 \t tag\t\n", "1 10.0.0.1 24 5060 tag|", 0 },
		{ "1 10.0.0.1 32 5060 tag and more\n", "1 10.0.0.1 32 5060 tag|", 0 },
		{ "1 10.0.0.1 32 5060 tag#more\n", "1 10.0.0.1 32 5060 tag|", 0 },
		{ "1 10.0.0.1 32 5060 9tag\n", "1 10.0.0.1 32 5060 9tag|", 0 },
		{ "1 10.0.0.1# a\n1 10.0.0.2 24 # b\n1 10.0.0.3 24 5060# c\n",
		    "1 10.0.0.1 32 0|1 10.0.0.2 24 0|1 10.0.0.3 24 5060|", 0 },
		{ "1 10.0.0.1\r\n1 10.0.0.2 24 1 t\r\n", "1 10.0.0.1 32 0|1 10.0.0.2 24 1 t|", 0 },
		{ "1 10.0.0.1 x 5060 t\n", "1 10.0.0.1 32 0 x|", 0 }, /* no number is 0 */
		{ "1 10.0.0.1 32 70000\n", "1 10.0.0.1 32 70000|", 0 },
		{ "10.0.0.1\n", "10 .0.0.1 32 0|", 0 },
		/* names: whatever is no address; a mask means nothing to them */
		{ "1 sbc.example.org 0 5060 t\n1 name 200\n",
		    "1 sbc.example.org 0 5060 t|1 name 0 0|", 0 },
		{ "1 10.0.0.0/8\nbad line\n-1 10.0.0.1\n",
		    "1 10.0.0.0/8 0 0|0 bad 0 0 line|0 -1 0 0 .0.0.1|", 0 },
		{ "1 1.2.3 32\n1 1.2.3.4.5 32\n1 [10.0.0.1] 32\n",
		    "1 1.2.3 0 0|1 1.2.3.4.5 0 0|1 [10.0.0.1] 0 0|", 0 },
		{ "1 ::ffff:1.2.3.4 128\n1 [::1 128\n1 [] 8\n1 [\n1 : 8\n1 1:2 8\n",
		    "1 ::ffff:1.2.3.4 0 0|1 [::1 0 0|1 [] 0 0|1 [ 0 0|1 : 0 0|1 1:2 0 0|", 0 },
		/* addresses written strangely */
		{ "1 010.0.0.1 8\n1 1..2.3 8\n1 1.2.3. 8\n1 256.0.0.1 8\n1 [fd00::2] 64\n1 FD00::A "
		  "64\n",
		    "1 010.0.0.1 8 0|1 1..2.3 8 0|1 1.2.3. 8 0|1 256.0.0.1 8 0|1 [fd00::2] 64 0|1 "
		    "FD00::A 64 0|",
		    0 },
		/* refused, and the whole file with them */
		{ "1\n2 10.0.0.2\n", "2 10.0.0.2 32 0|", 1 },
		{ "1 # remark\n1 #10.0.0.1\n  7 \t\n", "", 3 },
		{ "1 10.0.0.1 33\n1 fd00::1 129\n", "", 2 },
		{ "99999999999999999999 10.0.0.1\n1 10.0.0.1 99999999999\n1 10.0.0.1 32 "
		  "2147483648\n"
		  "2147483647 10.0.0.1 32 2147483647\n",
		    "2147483647 10.0.0.1 32 2147483647|", 3 },
		/* the block */
		{ B "1 10.0.0.1\n" E "1 10.0.0.2\n", "*1 10.0.0.1 32 0|1 10.0.0.2 32 0|", 0 },
		{ "1 10.0.0.1\n# c4d begin: of another version\r\n1 10.0.0.2\n# c4d end \t\r\n1 "
		  "10.0.0.3\n",
		    "1 10.0.0.1 32 0|*1 10.0.0.2 32 0|1 10.0.0.3 32 0|", 0 },
		{ B "1 10.0.0.1\n", "*1 10.0.0.1 32 0|", 0 },
		{ E "1 10.0.0.1\n", "1 10.0.0.1 32 0|", 0 },
	};

	for (size_t i = 0; i < NELEM(cases); i++)
		assert_parsed(cases[i].text, cases[i].text, strlen(cases[i].text), cases[i].want, cases[i].bad);
}

static void
nul_ends_a_line(void **state)
{
	static const char text[] = "1 10.0.0.1 32 0 t\0z\n2 10.0.0.2\0\n\0 3 10.0.0.3\n4 10.0.0.4";

	assert_parsed("NUL", text, sizeof text - 1, "1 10.0.0.1 32 0 t|2 10.0.0.2 32 0|4 10.0.0.4 32 0|", 0);
}

/* Kamailio reads 1,023 bytes at a time: what is beyond is a line of its own to it. */
static void
long_lines_fall_in_pieces(void **state)
{
	static const struct {
		size_t at; /* where "7 10.0.0.1" stands in a comment */
		const char *want;
		size_t bad;
	} cases[] = {
		{ 1023, "7 10.0.0.1 32 0|", 0 },
		{ 1022, "10 .0.0.1 32 0|", 0 },
		{ 1024 - 10, "", 1 }, /* "1" */
		{ 900, "", 0 },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf b = { 0 };

		add_behind_comment(&b, cases[i].at, "7 10.0.0.1\n");
		assert_parsed("long", b.s, b.len, cases[i].want, cases[i].bad);
		buf_free(&b);
	}
}

static void
kinds(void **state)
{
	static const struct {
		const char *ip;
		int mask;
		enum addr_kind kind;
	} cases[] = {
		{ "10.0.0.1", 32, ADDR_HOST },
		{ "10.0.0.1", 0, ADDR_HOST },
		{ "10.0.0.0", 8, ADDR_SUBNET },
		{ "fd00::1", 128, ADDR_HOST },
		{ "fd00::1", 0, ADDR_HOST },
		{ "fd00::", 32, ADDR_SUBNET },
		{ "[fd00::]", 127, ADDR_SUBNET },
		{ "sbc.example.org", 0, ADDR_NAME },
		{ "10.0.0.0/8", 0, ADDR_NAME },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct addr_entries e = { 0 };

		addr_entries_add(&e, 1, cases[i].ip, cases[i].mask, 0, NULL);
		if (addr_entry_kind(&e.v[0]) != cases[i].kind)
			fail_msg("%s/%d is %d", cases[i].ip, cases[i].mask,
			    (int)addr_entry_kind(&e.v[0]));
		addr_entries_clear(&e);
	}
}

static void
sorting_is_by_number(void **state)
{
	static const char in[] = "2 10.0.0.1\n"
				 "1 10.0.0.10\n"
				 "1 sbc-b.example.org\n"
				 "1 sbc-a.example.org\n"
				 "1 fd00::10\n"
				 "1 fd00::9\n"
				 "1 10.0.0.9 32 5060 b\n"
				 "1 10.0.0.9 32 5060 a\n"
				 "1 10.0.0.9 32 5060\n"
				 "1 10.0.0.9 32 800\n"
				 "1 10.0.0.9 24\n"
				 "1 10.0.0.9\n";
	static const char want[] =
	    "1 10.0.0.9 24 0|1 10.0.0.9 32 0|1 10.0.0.9 32 800|1 10.0.0.9 32 5060|"
	    "1 10.0.0.9 32 5060 a|1 10.0.0.9 32 5060 b|1 10.0.0.10 32 0|"
	    "1 fd00::9 128 0|1 fd00::10 128 0|"
	    "1 sbc-a.example.org 0 0|1 sbc-b.example.org 0 0|"
	    "2 10.0.0.1 32 0|";
	struct addr_entries e = { 0 };

	addr_entries_sort(&e);
	addrfile_parse(in, strlen(in), &e, NULL);
	addr_entries_sort(&e);
	assert_text("sorted", print_entries(&e), want);
	addr_entries_sort(&e);
	assert_text("sorted twice", print_entries(&e), want);
	addr_entries_clear(&e);
}

/* ---- composing ---- */

static void
assert_composed(const char *what, const char *old, const int *groups, size_t n_groups, const struct addr_entries *ours, const char *want)
{
	struct buf out = { .s = (char *)"not initialised", .len = 3 };
	const char *bad_ip = NULL;

	assert_int_equal(addrfile_compose(old, strlen(old), groups, n_groups, ours, &out, &bad_ip), 0);
	assert_null(bad_ip);
	assert_buf(what, &out, want);
}

static void
composing(void **state)
{
	static const int groups[] = { 1, 2 };
	static const struct {
		const char *what;
		const char *old;
		size_t n_groups;
		const char *ours;
		const char *want;
	} cases[] = {
		{ "an empty file", "", 2, "1 10.0.0.1 32 5060 t\n2 10.0.0.0 8\n2 name 0 1\n",
		    B "1 10.0.0.1 32 5060 t\n2 10.0.0.0 8 0\n2 name 0 1\n" E },
		{ "nothing to say, nothing there", "", 2, "", "" },
		{ "nothing to say among foreign lines", "7 10.0.0.7\n", 2, "", "7 10.0.0.7\n" },
		{ "nothing to say is no reason to touch a byte", "7 10.0.0.7", 2, "",
		    "7 10.0.0.7" },
		{ "an empty block remains", B "1 10.0.0.1\n" E, 2, "", B E },
		{ "foreign bytes and their order", "# head\r\n\n 9\t10.0.0.9  # z\r\n7 10.0.0.7", 2,
		    "1 10.0.0.1\n",
		    "# head\r\n\n 9\t10.0.0.9  # z\r\n7 10.0.0.7\n" B "1 10.0.0.1 32 0\n" E },
		{ "malformed lines of others stay", "7\n7 10.0.0.7 33\nrubbish\n#1 10.0.0.2\n", 2,
		    "1 10.0.0.1\n",
		    "7\n7 10.0.0.7 33\nrubbish\n#1 10.0.0.2\n" B "1 10.0.0.1 32 0\n" E },
		{ "our groups' go", "1\n7 10.0.0.7\n1 10.0.0.7 33\n2 #\n99999999999 10.0.0.1\n", 2,
		    "1 10.0.0.1\n", "7 10.0.0.7\n99999999999 10.0.0.1\n" B "1 10.0.0.1 32 0\n" E },
		{ "a group is ours anywhere",
		    "1 10.0.0.2 32 0 w\n7 10.0.0.7\n2 10.0.0.0 8\n1 name\n", 2, "1 10.0.0.1\n",
		    "7 10.0.0.7\n" B "1 10.0.0.1 32 0\n" E },
		{ "the block moves to the end", B "1 10.0.0.1\n" E "7 10.0.0.7\n", 2,
		    "1 10.0.0.1\n", "7 10.0.0.7\n" B "1 10.0.0.1 32 0\n" E },
		{ "a group that is no longer managed stays as it is",
		    B "1 10.0.0.1\n2 10.0.0.2\n" E, 1, "1 10.0.0.1\n",
		    "2 10.0.0.2\n" B "1 10.0.0.1 32 0\n" E },
		{ "all groups gone", "7 10.0.0.7\n" B "1 10.0.0.1 32 0 w\n" E, 0, "",
		    "7 10.0.0.7\n1 10.0.0.1 32 0 w\n" B E },
		{ "a remark within the block", B "# mine\n1 10.0.0.1\n" E, 2, "1 10.0.0.1\n",
		    "# mine\n" B "1 10.0.0.1 32 0\n" E },
		{ "no end", "7 10.0.0.7\n" B "1 10.0.0.1\n8 10.0.0.8\n", 2, "1 10.0.0.1\n",
		    "7 10.0.0.7\n8 10.0.0.8\n" B "1 10.0.0.1 32 0\n" E },
		{ "an end alone", E "7 10.0.0.7\n", 2, "1 10.0.0.1\n",
		    "7 10.0.0.7\n" B "1 10.0.0.1 32 0\n" E },
		{ "two blocks", B "1 10.0.0.1\n" E "7 10.0.0.7\n" B "2 10.0.0.2\n" E, 2,
		    "1 10.0.0.1\n", "7 10.0.0.7\n" B "1 10.0.0.1 32 0\n" E },
		{ "marked by another version, with CRLF",
		    "# c4d begin: so\r\n2 10.0.0.2\r\n# c4d end\r\n", 2, "1 10.0.0.1\n",
		    B "1 10.0.0.1 32 0\n" E },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct addr_entries ours = { 0 };

		addrfile_parse(cases[i].ours, strlen(cases[i].ours), &ours, NULL);
		assert_composed(cases[i].what, cases[i].old, groups, cases[i].n_groups, &ours, cases[i].want);
		/* and nothing to change the second time */
		assert_composed(cases[i].what, cases[i].want, groups, cases[i].n_groups, &ours, cases[i].want);
		addr_entries_clear(&ours);
	}
}

static void
foreign_nul_bytes_stay(void **state)
{
	static const int group = 1;
	static const char old[] = "7 10.0.0.7\0 1 10.0.0.2\n\0\n1 10.0.0.1\0\n";
	static const char want[] = "7 10.0.0.7\0 1 10.0.0.2\n\0\n" B "1 10.0.0.1 32 0\n" E;
	struct addr_entries ours = { 0 };
	const char *bad_ip = NULL;
	struct buf out;

	addr_entries_add(&ours, 1, "10.0.0.1", 0, 0, "");
	assert_null(ours.v[0].tag);
	assert_int_equal(addrfile_compose(old, sizeof old - 1, &group, 1, &ours, &out, &bad_ip), 0);
	assert_int_equal(out.len, sizeof want - 1);
	assert_memory_equal(out.s, want, out.len);
	buf_free(&out);
	addr_entries_clear(&ours);
}

static void
lines_that_kamailio_could_not_read_are_refused(void **state)
{
	static const int groups[] = { 0, 1, -1 };
	static const struct {
		int group;
		const char *ip;
		int mask;
		int port;
		const char *tag;
		int err;
	} cases[] = {
		{ 1, "10.0.0.1", 32, 65535, "a:b,c=d", 0 },
		{ 0, "10.0.0.1", 0, 0, NULL, 0 },
		{ 1, "10.0.0.1", 1, 0, "9", 0 },
		{ 1, "fd00::1", 128, 0, NULL, 0 },
		{ 1, "[fd00::1]", 64, 0, NULL, 0 },
		{ 1, "sbc-1.example_x.org", 0, 5060, NULL, 0 },
		{ 1, "10.0.0.1", 33, 0, NULL, -EINVAL },
		{ 1, "10.0.0.1", -1, 0, NULL, -EINVAL },
		{ 1, "fd00::1", 129, 0, NULL, -EINVAL },
		{ 1, "10.0.0.1", 32, 65536, NULL, -EINVAL },
		{ 1, "10.0.0.1", 32, -1, NULL, -EINVAL },
		{ -1, "10.0.0.1", 32, 0, NULL, -EINVAL },
		{ 2, "10.0.0.1", 32, 0, NULL,
		    -EINVAL }, /* no group of ours: it would be foreign next time */
		{ 1, "", 0, 0, NULL, -EINVAL },
		{ 1, "10.0.0.0/8", 0, 0, NULL, -EINVAL },
		{ 1, "256.0.0.1", 32, 0, NULL, -EINVAL },
		{ 1, "::ffff:10.0.0.1", 0, 0, NULL, -EINVAL },
		{ 1, "10.0.0.1 8", 0, 0, NULL, -EINVAL },
		{ 1, "name\n1 10.0.0.1", 0, 0, NULL, -EINVAL },
		{ 1, "name#", 0, 0, NULL, -EINVAL },
		{ 1, "name", 8, 0, NULL, -EINVAL },
		{ 1, "10.0.0.1", 32, 0, "a b", -EINVAL },
		{ 1, "10.0.0.1", 32, 0, "a\n", -EINVAL },
		{ 1, "10.0.0.1", 32, 0, "a#b", -EINVAL },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct addr_entries ours = { 0 };
		const char *bad_ip = NULL;
		struct buf out = { 0 };
		char *want;
		int err;

		addr_entries_add(&ours, 1, "10.9.9.9", 0, 0, NULL);
		addr_entries_add(
		    &ours, cases[i].group, cases[i].ip, cases[i].mask, cases[i].port, cases[i].tag);
		err = addrfile_compose("", 0, groups, NELEM(groups), &ours, &out, &bad_ip);
		if (err != cases[i].err)
			fail_msg("%s: %d", cases[i].ip, err);
		if (err == 0) {
			ours.v[0].ours = ours.v[1].ours = true;
			want = print_entries(&ours);
			assert_parsed(out.s, out.s, out.len, want, 0);
			free(want);
			assert_null(bad_ip);
		} else {
			assert_ptr_equal(bad_ip, ours.v[1].ip);
			assert_null(out.s);
		}
		buf_free(&out);
		addr_entries_clear(&ours);
	}
}

static void
lines_have_a_limit(void **state)
{
	static const int group = 1;

	for (size_t len = ADDRFILE_LINE_MAX - 1; len <= ADDRFILE_LINE_MAX + 1; len++) {
		struct addr_entries ours = { 0 };
		const char *bad_ip = NULL;
		struct buf tag = { 0 }, out;
		int err;

		while (tag.len + strlen("1 10.0.0.1 32 0 ") < len)
			buf_puts(&tag, "t");
		addr_entries_add(&ours, 1, "10.0.0.1", 32, 0, tag.s);
		err = addrfile_compose("", 0, &group, 1, &ours, &out, &bad_ip);
		assert_int_equal(err, len <= ADDRFILE_LINE_MAX ? 0 : -EMSGSIZE);
		if (err == 0)
			buf_free(&out);
		buf_free(&tag);
		addr_entries_clear(&ours);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(nul_ends_a_line),
		cmocka_unit_test(long_lines_fall_in_pieces),
		cmocka_unit_test(kinds),
		cmocka_unit_test(sorting_is_by_number),
		cmocka_unit_test(composing),
		cmocka_unit_test(foreign_nul_bytes_stay),
		cmocka_unit_test(lines_that_kamailio_could_not_read_are_refused),
		cmocka_unit_test(lines_have_a_limit),
	};

	return cmocka_run_group_tests_name("addrfile", tests, NULL, NULL);
}
