/*
 * dbtext: tables as Kamailio's db_text reads and writes them (what it does was seen on a real one,
 * see tests/integration/test_dbtext.py), and the version table.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kamailio/dbtext.h"

#define RTP "id(int,auto) setid(int) url(string) weight(int) disabled(int) stamp(int) "
#define IA "id(int) a(string)\n"
#define IAB "id(int) a(string) b(string,null)\n"

/* "cell|cell;" per row, "-" for null. */
static char *
print_rows(const struct dbtext *t)
{
	struct buf b = { 0 };

	for (size_t r = 0; r < t->n_rows; r++)
		for (size_t c = 0; c < t->n_cols; c++) {
			const struct dbtext_cell *cell = &t->rows[r][c];

			buf_add(
			    &b, cell->s != NULL ? cell->s : "-", cell->s != NULL ? cell->len : 1);
			buf_puts(&b, c + 1 < t->n_cols ? "|" : ";");
		}
	return buf_take(&b);
}

static void
assert_rows(const char *what, const struct dbtext *t, const char *want)
{
	char *got = print_rows(t);

	if (strcmp(got, want) != 0)
		fail_msg("%s:\n got %s\nwant %s", what, got, want);
	free(got);
}

/* In a block of exactly its size: there is no NUL behind it. */
static int
parse_exact(const char *text, size_t len, struct dbtext *out)
{
	char *exact = malloc(len ? len : 1);
	int err;

	assert_non_null(exact);
	memcpy(exact, text, len);
	err = dbtext_parse(exact, len, out);
	free(exact);
	return err;
}

static void
assert_composed(const struct dbtext *t, const char *want)
{
	struct buf b;

	dbtext_compose(t, &b);
	assert_string_equal(b.s, want);
	assert_int_equal(b.len, strlen(want));
	buf_free(&b);
}

/* ---- headers ---- */

static void
headers(void **state)
{
	/* name:type, lower case for null, '*' for automatic; NULL: none */
	static const struct {
		const char *header;
		const char *want;
	} cases[] = {
		{ RTP, "id:0* setid:0 url:2 weight:0 disabled:0 stamp:0 " },
		{ "a(int) b(double) c(str) d(string) e(blob) f(time)", "a:0 b:1 c:2 d:2 e:3 f:4 " },
		{ "  ID(Integer)   A( STRING , NULLABLE )  b (i,Auto)", "ID:0 A:2? b:0* " },
		{ "id(int)a(string)", "id:0 a:2 " },
		{ "a(i) b(d) c(s) d(b) e(t) f(ix,nx)", "a:0 b:1 c:2 d:3 e:4 f:0? " },
		{ "", NULL },
		{ "   ", NULL },
		{ "\n" IA, NULL },
		{ "id", NULL },
		{ "id(", NULL },
		{ "id(int", NULL },
		{ "id(int,", NULL },
		{ "id(int,null", NULL },
		{ "id()", NULL },
		{ "(int)", NULL },
		{ "id(x)", NULL },
		{ "id int)", NULL },
		{ "id(int,key)", NULL },
		{ "id(string,auto)", NULL },
		{ "a(int,auto) b(int,auto)", NULL },
		{ "id(int)\ta(string)", "id:0 \ta:2 " }, /* only a space parts columns */
		{ "id(int) a(string)\r", NULL },
		{ "id(int) # remark", NULL },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct dbtext t = { .n_bad = 99 };
		struct buf b = { 0 };
		int err = dbtext_init(&t, cases[i].header);

		if (cases[i].want == NULL) {
			if (err != -EINVAL || t.n_bad != 99)
				fail_msg("%s: %d", cases[i].header, err);
			continue;
		}
		assert_int_equal(err, 0);
		for (size_t c = 0; c < t.n_cols; c++)
			buf_printf(&b, "%s:%d%s%s ", t.cols[c].name, (int)t.cols[c].type,
			    t.cols[c].null ? "?" : "", t.cols[c].automatic ? "*" : "");
		assert_string_equal(b.s, cases[i].want);
		assert_string_equal(t.header, cases[i].header);
		buf_free(&b);
		dbtext_clear(&t);
	}
}

static void
a_header_has_limits(void **state)
{
	struct dbtext t;
	struct buf b = { 0 };

	for (int i = 0; i < DBTEXT_COLS_MAX; i++)
		buf_printf(&b, "c%d(int) ", i);
	assert_int_equal(dbtext_init(&t, b.s), 0);
	assert_int_equal(t.n_cols, DBTEXT_COLS_MAX);
	dbtext_clear(&t);
	buf_puts(&b, "more(int)");
	assert_int_equal(dbtext_init(&t, b.s), -EINVAL);
	buf_free(&b);
	for (int i = 0; i <= DBTEXT_CELL_MAX; i++)
		buf_puts(&b, "n");
	buf_puts(&b, "(int)");
	assert_int_equal(dbtext_init(&t, b.s), -EINVAL);
	assert_int_equal(dbtext_init(&t, b.s + 1), 0);
	dbtext_clear(&t);
	buf_free(&b);
	assert_int_equal(parse_exact("a\0b(int)\n", 9, &t), -EINVAL);
}

/* ---- rows ---- */

static void
rows(void **state)
{
	static const struct {
		const char *text;
		const char *want;
		size_t bad;
		size_t bad_line;
	} cases[] = {
		{ IA, "", 0, 0 },
		{ IA "1:x\n2:y\n", "1|x;2|y;", 0, 0 },
		{ IA "\n\n1:x\n\n2:y\n\n", "1|x;2|y;", 0, 0 },
		{ RTP "\n1:0:udp\\:127.0.0.1\\:2223:1:0:0\n", "1|0|udp:127.0.0.1:2223|1|0|0;", 0,
		    0 },
		{ IA "1:a\\n\\r\\t\\\\\\:b\n", "1|a\n\r\t\\:b;", 0, 0 },
		{ IA "1:\xff\xfe\x01\n", "1|\xff\xfe\x01;", 0, 0 },
		{ IA "1:# no comment\n", "1|# no comment;", 0, 0 },
		{ IA "-12:x\n-0:y\n007:z\n", "-12|x;-0|y;007|z;", 0, 0 },
		{ "d(double) a(string)\n-1.25:x\n1.:y\n2:z\n", "-1.25|x;1.|y;2|z;", 0, 0 },
		{ "t(time) b(blob)\n1700000000:x\n", "1700000000|x;", 0, 0 },
		/* the end of a line where a cell should be */
		{ IAB "1:x:\n1:x\n1:x:y:\n", "1|x|-;1|x|-;1|x|y;", 0, 0 },
		{ IAB "1\n1:\n", "1||-;1||-;", 0, 0 }, /* that is what makes an empty text */
		{ "id(int) n(int) b(string,null)\n1\n2:3\n", "2|3|-;", 1, 2 },
		{ "a(string) b(string) id(int,auto)\nx\nx:y\n", "x|y|2;", 1,
		    2 }, /* could not be written again */
		/* null cells */
		{ IAB "1::\n", "", 1, 2 },
		{ "a(string,null)\n:\n\nx\n", "-;x;", 0, 0 },
		{ "id(int,null) a(string,null)\n:\n:x\n1:\n", "-|-;-|x;1|-;", 0, 0 },
		{ "id(int,auto) a(string)\n:x\n5:y\n:z\n", "1|x;5|y;2|z;", 0, 0 },
		{ "id(int) a(string)\n:x\n", "", 1, 2 },
		/* what is refused */
		{ IA "1:x:y\n2:z\n", "2|z;", 1, 2 },
		{ IA "1:x\nx:y\n 2:z\n+3:z\n-:z\n4 :z\n4.5:z\n", "1|x;", 6, 3 },
		{ "d(double)\n.5\n1.2.3\n1e3\n-\n1.5x\n", "", 5, 2 },
		{ IA "1:\\q\n2:x\\\n3:\\ \n4:y\n", "4|y;", 3, 2 },
		{ IA "1:x\r\n\r\n", "1|x\r;", 1, 3 },
		{ "a(string) id(int)\nx:1\r\n", "", 1, 2 },
		{ IA "hello world\n#\n", "", 2, 2 },
		/* Kamailio does not read these */
		{ IA "1:x\n2:y", "1|x;", 1, 3 },
		{ "id(int)", "", 1, 1 },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct dbtext t;

		if (parse_exact(cases[i].text, strlen(cases[i].text), &t) != 0)
			fail_msg("%s: no header", cases[i].text);
		assert_rows(cases[i].text, &t, cases[i].want);
		if (t.n_bad != cases[i].bad || t.bad_line != cases[i].bad_line)
			fail_msg("%s: %zu bad from line %zu", cases[i].text, t.n_bad, t.bad_line);
		dbtext_clear(&t);
	}
}

static void
no_header_no_table(void **state)
{
	struct dbtext t = { .n_bad = 99 };

	assert_int_equal(dbtext_parse("", 0, &t), -EINVAL);
	assert_int_equal(dbtext_parse(NULL, 0, &t), -EINVAL);
	assert_int_equal(parse_exact("\n" IA, strlen(IA) + 1, &t), -EINVAL);
	assert_int_equal(parse_exact("1:2\n", 4, &t), -EINVAL);
	assert_int_equal(t.n_bad, 99);
}

static void
cells_have_a_limit(void **state)
{
	for (size_t n = DBTEXT_CELL_MAX; n <= DBTEXT_CELL_MAX + 1; n++) {
		bool fits = n <= DBTEXT_CELL_MAX;
		struct buf b = { 0 };
		struct dbtext t;
		char *cell = xcalloc(n + 1, 1);
		const char *cells[] = { "1", cell };
		size_t bad_col = 99;

		memset(cell, ':', n); /* escaped they are twice as many */
		buf_puts(&b, IA "1:");
		for (size_t i = 0; i < n; i++)
			buf_puts(&b, "\\:");
		buf_puts(&b, "\n");
		assert_int_equal(dbtext_parse(b.s, b.len, &t), 0);
		assert_int_equal(t.n_rows, fits);
		assert_int_equal(t.n_bad, !fits);
		if (fits)
			assert_string_equal(dbtext_cell(&t, 0, 1), cell);
		dbtext_clear(&t);
		assert_int_equal(dbtext_init(&t, IA), 0);
		assert_int_equal(dbtext_add(&t, cells, &bad_col), fits ? 0 : -EMSGSIZE);
		assert_int_equal(bad_col, fits ? 99 : 1);
		if (fits)
			assert_composed(&t, b.s);
		dbtext_clear(&t);
		buf_free(&b);
		free(cell);
	}
}

static void
nul_bytes_stay(void **state)
{
	static const char text[] = IA "1:a\\0b\n2:c\0d\n";
	struct dbtext t;

	assert_int_equal(parse_exact(text, sizeof text - 1, &t), 0);
	assert_int_equal(t.n_rows, 2);
	assert_int_equal(t.rows[0][1].len, 3);
	assert_memory_equal(t.rows[0][1].s, "a\0b", 4);
	assert_string_equal(dbtext_cell(&t, 1, 1), "c");
	assert_composed(&t, IA "1:a\\0b\n2:c\\0d\n");
	dbtext_clear(&t);
}

/* ---- building ---- */

static void
a_table_is_built(void **state)
{
	static const char *const first[] = { NULL, "0", "udp:10.0.0.1:2223", "1", "0", "0" };
	static const char *const second[] = { "", "0", "udp:[fd00::1]:2223", "50", "1", "0" };
	static const char *const third[] = { "9", "1", "a\n\r\t\\:b", "1", "0", "-5" };
	struct dbtext t;

	assert_int_equal(dbtext_init(&t, RTP "\n"), 0);
	assert_composed(&t, RTP "\n");
	assert_int_equal(dbtext_add(&t, first, NULL), 0);
	assert_int_equal(dbtext_add(&t, third, NULL), 0);
	assert_int_equal(dbtext_add(&t, second, NULL), 0);
	assert_composed(&t, RTP "\n1:0:udp\\:10.0.0.1\\:2223:1:0:0\n"
				"9:1:a\\n\\r\\t\\\\\\:b:1:0:-5\n"
				"10:0:udp\\:[fd00\\:\\:1]\\:2223:50:1:0\n");
	assert_string_equal(dbtext_cell(&t, 2, dbtext_col(&t, "URL")), "udp:[fd00::1]:2223");
	assert_int_equal(dbtext_col(&t, "weigh"), -1);
	assert_null(dbtext_cell(&t, 0, -1));
	assert_null(dbtext_cell(&t, 0, 6));
	assert_null(dbtext_cell(&t, 3, 0));
	assert_int_equal(dbtext_set(&t, 0, 4, "1"), 0);
	assert_int_equal(dbtext_set(&t, 0, 4, "yes"), -EINVAL);
	assert_int_equal(dbtext_set(&t, 0, 2, NULL), -EINVAL);
	assert_int_equal(dbtext_set(&t, 0, -1, "1"), -ENOENT);
	assert_int_equal(dbtext_set(&t, 3, 0, "1"), -ENOENT);
	dbtext_remove(&t, 1);
	dbtext_remove(&t, 7);
	assert_composed(&t, RTP "\n1:0:udp\\:10.0.0.1\\:2223:1:1:0\n"
				"10:0:udp\\:[fd00\\:\\:1]\\:2223:50:1:0\n");
	dbtext_clear(&t);
	dbtext_clear(&t);
}

static void
what_would_not_be_read_back_is_refused(void **state)
{
	static const struct {
		const char *header;
		const char *cells[3];
		int err;
		size_t col;
	} cases[] = {
		{ IAB, { "1", "x", "y" }, 0, 0 },
		{ IAB, { "1", "x", "" }, 0, 0 },
		{ IAB, { "1", "", "y" }, -EINVAL, 1 },
		{ IAB, { "1", NULL, NULL }, -EINVAL, 1 },
		{ IAB, { NULL, "x", "y" }, -EINVAL, 0 },
		{ IAB, { "2147483647", "x" }, 0, 0 },
		{ IAB, { "-2147483648", "x" }, 0, 0 },
		{ IAB, { "2147483648", "x" }, -EINVAL, 0 },
		{ IAB, { "-2147483649", "x" }, -EINVAL, 0 },
		{ IAB, { "99999999999999999999", "x" }, -EINVAL, 0 },
		{ IAB, { "+1", "x" }, -EINVAL, 0 },
		{ IAB, { " 1", "x" }, -EINVAL, 0 },
		{ IAB, { "1 ", "x" }, -EINVAL, 0 },
		{ IAB, { "1:2", "x" }, -EINVAL, 0 },
		{ IAB, { "-", "x" }, -EINVAL, 0 },
		{ "d(double)", { "-1.5" }, 0, 0 },
		{ "d(double)", { "1.123456789" }, 0, 0 },
		{ "d(double)", { "1.1234567890" }, -EINVAL, 0 },
		{ "d(double)", { "1e3" }, -EINVAL, 0 },
		{ "t(time)", { "1700000000" }, 0, 0 },
		{ "t(time)", { "2026-01-01" }, -EINVAL, 0 },
		{ "a(string,null)", { "x" }, 0, 0 },
		{ "a(string,null)", { NULL }, 0, 0 }, /* not as a blank line */
		{ "id(int,auto)", { NULL }, 0, 0 },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct dbtext t, again;
		size_t col = 0;
		struct buf b;
		char *want;
		int err;

		assert_int_equal(dbtext_init(&t, cases[i].header), 0);
		err = dbtext_add(&t, cases[i].cells, &col);
		if (err != cases[i].err || col != cases[i].col)
			fail_msg(
			    "%s, %s: %d, column %zu", cases[i].header, cases[i].cells[0], err, col);
		assert_int_equal(t.n_rows, err == 0);
		want = print_rows(&t);
		dbtext_compose(&t, &b);
		assert_int_equal(dbtext_parse(b.s, b.len, &again), 0);
		assert_rows(b.s, &again, want);
		assert_int_equal(again.n_bad, 0);
		free(want);
		buf_free(&b);
		dbtext_clear(&again);
		dbtext_clear(&t);
	}
}

static void
automatic_numbers_end(void **state)
{
	static const char text[] = "id(int,auto) a(string)\n9999999999:v\n4294967297:w\n2147483645:x\n";
	static const char *const cells[] = { NULL, "y" };
	struct dbtext t;
	size_t col = 99;

	assert_int_equal(dbtext_parse(text, strlen(text), &t), 0);
	assert_int_equal(dbtext_set(&t, 0, 0, "2147483646"), 0);
	assert_int_equal(dbtext_add(&t, cells, NULL), 0);
	assert_string_equal(dbtext_cell(&t, 3, 0), "2147483647");
	assert_int_equal(dbtext_add(&t, cells, &col), -EINVAL);
	assert_int_equal(col, 0);
	dbtext_clear(&t);
}

/* What a line that is too short holds can only be said by a line that is too short. */
static void
empty_texts_survive(void **state)
{
	static const char text[] = "id(int) a(string) b(string) c(string,null)\n1:\n2:x:\n";
	static const char nulls[] = "a(int,null) b(string,null) c(string,null)\n:\n";
	static const char more[] = "a(int) b(string) c(string,null) d(int,null)\n1:\n";
	struct dbtext t, again;
	struct buf b;

	assert_int_equal(dbtext_parse(text, strlen(text), &t), 0);
	assert_rows("read", &t, "1|||-;2|x||-;");
	assert_composed(&t, text);
	assert_int_equal(dbtext_set(&t, 0, 3, "y"), -EINVAL);
	assert_int_equal(dbtext_set(&t, 0, 2, "y"), -EINVAL);
	assert_int_equal(dbtext_set(&t, 1, 3, "y"), -EINVAL);
	assert_rows("unchanged", &t, "1|||-;2|x||-;");
	assert_int_equal(dbtext_set(&t, 0, 1, "y"), 0);
	assert_int_equal(dbtext_set(&t, 0, 2, "z"), 0);
	assert_int_equal(dbtext_set(&t, 0, 3, "c"), 0);
	dbtext_compose(&t, &b);
	assert_int_equal(dbtext_parse(b.s, b.len, &again), 0);
	assert_rows("again", &again, "1|y|z|c;2|x||-;");
	buf_free(&b);
	dbtext_clear(&again);
	dbtext_clear(&t);
	/* nor may a null cell be set between them */
	assert_int_equal(dbtext_parse(nulls, strlen(nulls), &t), 0);
	assert_rows("read", &t, "-||-;");
	assert_int_equal(dbtext_set(&t, 0, 1, NULL), 0);
	assert_composed(&t, "a(int,null) b(string,null) c(string,null)\n::\n");
	dbtext_clear(&t);
	assert_int_equal(dbtext_parse(more, strlen(more), &t), 0);
	assert_rows("read", &t, "1|||-;");
	assert_int_equal(dbtext_set(&t, 0, 2, NULL), -EINVAL);
	assert_composed(&t, more);
	dbtext_clear(&t);
}

/* ---- the version table ---- */

#define VH DBTEXT_VERSION_HEADER "\n"

static void
versions(void **state)
{
	static const struct {
		const char *what;
		const char *text;
		const char *table;
		int version;
		const char *want; /* NULL: -EINVAL */
	} cases[] = {
		{ "made", "", "rtpengine", 1, VH "0:rtpengine:1\n" },
		{ "added", VH "0:version:1\n0:domain:2\n", "rtpengine", 1,
		    VH "0:version:1\n0:domain:2\n0:rtpengine:1\n" },
		{ "right", VH "0:version:1\n7:domain:2\n0:acc:5\n", "domain", 2,
		    VH "0:version:1\n7:domain:2\n0:acc:5\n" },
		{ "changed in its place", VH "0:version:1\n7:domain:1\n0:acc:5\n", "domain", 2,
		    VH "0:version:1\n7:domain:2\n0:acc:5\n" },
		{ "more than one: Kamailio would refuse both",
		    VH "1:domain:1\n2:x:1\n3:domain:2\n4:DOMAIN:2\n", "domain", 2,
		    VH "1:domain:2\n2:x:1\n" },
		{ "in capitals", VH "1:DOMAIN:2\n", "domain", 2, VH "1:DOMAIN:2\n" },
		{ "no more than a part of a name", VH "1:domain_attrs:1\n", "domain", 2,
		    VH "1:domain_attrs:1\n0:domain:2\n" },
		{ "another header", "table_name(string) table_version(int)\nversion:1\n", "domain",
		    2, "table_name(string) table_version(int)\nversion:1\ndomain:2\n" },
		{ "other columns",
		    "table_version(int) x(double) note(string,null) "
		    "table_name(str)\n1:0.5:hi\\:ho:a\n",
		    "b", 3,
		    "table_version(int) x(double) note(string,null) "
		    "table_name(str)\n1:0.5:hi\\:ho:a\n3:0::b\n" },
		{ "the rest of the row stays",
		    "table_version(int) note(string,null) table_name(str)\n1:hi\\:ho:a\n", "a", 2,
		    "table_version(int) note(string,null) table_name(str)\n2:hi\\:ho:a\n" },
		{ "blank and bad lines stay", VH "\n# mine\n0:a:1\n\n0:b\n", "c", 1,
		    VH "\n# mine\n0:a:1\n\n0:b\n0:c:1\n" },
		{ "a newline is missing", VH "0:a:1\n0:b:1", "a", 1, VH "0:a:1\n0:b:1\n" },
		{ "of that row", VH "0:a:1", "a", 2, VH "0:a:2\n" },
		{ "of the header", DBTEXT_VERSION_HEADER, "a", 2, VH "0:a:2\n" },
		{ "none", "hello\n", "a", 2, NULL },
		{ "no name", "id(int) table_version(int)\n", "a", 2, NULL },
		{ "no version", "id(int) table_name(string)\n", "a", 2, NULL },
		{ "a version of text", "table_name(string) table_version(string)\n", "a", 2, NULL },
		{ "more text", "x(string) table_name(string) table_version(int)\n", "a", 2, NULL },
		{ "no table", VH, "", 2, NULL },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf out = { 0 }, again;
		int err = dbtext_version_set(
		    cases[i].text, strlen(cases[i].text), cases[i].table, cases[i].version, &out);

		if (cases[i].want == NULL) {
			if (err != -EINVAL || out.s != NULL)
				fail_msg("%s: %d", cases[i].what, err);
			continue;
		}
		if (err != 0 || strcmp(out.s, cases[i].want) != 0)
			fail_msg(
			    "%s: %d\n got %s\nwant %s", cases[i].what, err, out.s, cases[i].want);
		assert_int_equal(out.len, strlen(cases[i].want));
		assert_int_equal(
		    dbtext_version_set(out.s, out.len, cases[i].table, cases[i].version, &again),
		    0);
		assert_string_equal(again.s, out.s);
		assert_int_equal(dbtext_version_get(out.s, out.len, cases[i].table), cases[i].version);
		buf_free(&again);
		buf_free(&out);
	}
}

static void
no_version_to_get(void **state)
{
	static const char *const texts[] = { "", "hello\n", VH, VH "0:other:2\n", VH "0:a:-1\n0:a:0\n", "id(int) table_name(string)\n1:a\n" };

	for (size_t i = 0; i < NELEM(texts); i++)
		assert_int_equal(dbtext_version_get(texts[i], strlen(texts[i]), "a"), 0);
	assert_int_equal(dbtext_version_get(VH "0:a:0\n1:a:3\n", strlen(VH "0:a:0\n1:a:3\n"), "a"), 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers),
		cmocka_unit_test(a_header_has_limits),
		cmocka_unit_test(rows),
		cmocka_unit_test(no_header_no_table),
		cmocka_unit_test(cells_have_a_limit),
		cmocka_unit_test(nul_bytes_stay),
		cmocka_unit_test(a_table_is_built),
		cmocka_unit_test(what_would_not_be_read_back_is_refused),
		cmocka_unit_test(automatic_numbers_end),
		cmocka_unit_test(empty_texts_survive),
		cmocka_unit_test(versions),
		cmocka_unit_test(no_version_to_get),
	};

	return cmocka_run_group_tests_name("dbtext", tests, NULL, NULL);
}
