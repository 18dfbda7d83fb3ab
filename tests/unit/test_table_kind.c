/*
 * table_kind: the files of rtpengine, domain and permissions as Kamailio and the C4 systems have them, and Kamailio's dumps.
 */
#include <errno.h>
#include <stdio.h>

#include "reconcile/table_kind.h"
#include "table_fx.h"

#define RTP "id(int,auto) setid(int) url(string) weight(int) disabled(int) stamp(int)\n"
#define DOMAIN "id(int) domain(string) did(string) last_modified(int)\n"
#define BEGIN "# c4d begin: these lines are written by c4d (see c4ctl show targets)\n"
#define END "# c4d end\n"

static void
assert_parse(const struct table_kind *kind, const char *text, const char *want, size_t want_bad)
{
	struct table_rows r = { 0 };
	size_t bad = 99;

	assert_int_equal(kind->parse(text, strlen(text), &r, &bad), 0);
	assert_rows(text, &r, want);
	assert_int_equal(bad, want_bad);
	table_rows_clear(&r);
}

/* The rows as a file says them; "!" before a line: somebody else's. */
static struct table_rows
rows_of(const struct table_kind *kind, const char *text)
{
	struct table_rows r = { 0 };
	size_t bad;

	assert_int_equal(kind->parse(text, strlen(text), &r, &bad), 0);
	assert_int_equal(bad, 0);
	return r;
}

static void
compose(const struct table_kind *kind, const char *old, const char *sets, const struct table_rows *rows, const char *want)
{
	struct table_scope v[8];
	struct table_scopes scopes = { v, 0 };
	struct buf out = { 0 }, why = { 0 };
	const char *p;
	int err;

	for (p = sets; *p != '\0'; p++)
		v[scopes.n++] = (struct table_scope){ *p - '0', true, true };
	err = kind->compose(old, strlen(old), &scopes, rows, &out, &why);
	if (err != 0)
		fail_msg("%s: %s", old, why.s);
	assert_buf(old, &out, want);
	buf_free(&why);
}

static void
assert_compose(const struct table_kind *kind, const char *old, const char *sets, const char *rows_text, const char *want)
{
	struct table_rows rows = rows_of(kind, rows_text);

	compose(kind, old, sets, &rows, want);
	/* what was written is what was meant: nothing to write any more */
	compose(kind, want, sets, &rows, want);
	table_rows_clear(&rows);
}

/* ---- replies ---- */

struct reply {
	struct binrpc_value v[64];
	size_t n;
	struct binrpc_msg msg;
};

static struct binrpc_value *
value(struct reply *r, enum binrpc_type type, const char *name, struct binrpc_value **list)
{
	struct binrpc_value *v = &r->v[r->n++];

	assert_true(r->n < NELEM(r->v));
	memset(v, 0, sizeof *v);
	v->type = type;
	v->name = name;
	while (*list != NULL)
		list = &(*list)->next;
	*list = v;
	return v;
}

static void
text(struct reply *r, const char *name, const char *s, struct binrpc_value *in)
{
	struct binrpc_value *v = value(r, BINRPC_STR, name, &in->child);

	v->str = s;
	v->len = strlen(s);
}

static void
number(struct reply *r, const char *name, int64_t n, struct binrpc_value *in)
{
	value(r, BINRPC_INT, name, &in->child)->num = n;
}

static void
assert_read(const struct table_kind *kind, struct reply *r, size_t which, const char *want)
{
	struct table_rows rows = { 0 };

	r->msg.kind = BINRPC_REPLY;
	assert_int_equal(kind->read(&r->msg, which, &rows), 0);
	assert_rows("reply", &rows, want);
	table_rows_clear(&rows);
}

static void
assert_refused(const struct table_kind *kind, struct reply *r, size_t which)
{
	struct table_rows rows = { 0 };

	r->msg.kind = BINRPC_REPLY;
	assert_int_equal(kind->read(&r->msg, which, &rows), -EBADMSG);
	table_rows_clear(&rows);
}

/* ---- rtpengine ---- */

static void
rtpengine_files(void **state)
{
	const struct table_kind *k = &table_kind_rtpengine;

	assert_parse(k, RTP "1:0:udp\\:10.0.0.1\\:22222:1:0:0\n2:3:udp6\\:[fd00\\:\\:1]\\:22222:7:1:5\n",
	    "0 udp:10.0.0.1:22222 w1|3 udp6:[fd00::1]:22222 w7 off|", 0);
	assert_parse(k, RTP "1:0: udp\\:10.0.0.1\\:1 :1:0:0\n", "0 udp:10.0.0.1:1 w1|", 0); /* as Kamailio reads it */
	assert_parse(k, RTP "1:0:a:1:0:0\nbad\n", "0 a w1|", 1);
	assert_parse(k, RTP "1:0:a:1:0:0\n2:0:b:1:0:0", "0 a w1|0 b w1|", 0); /* its last line was meant to be one */
	assert_parse(k, "", "", 0);
	/* made from nothing, as the old system's template makes it */
	assert_compose(k, "", "0", RTP "9:0:udp\\:10.0.0.2\\:22222:1:0:0\n9:0:udp\\:10.0.0.1\\:22222:1:0:0\n",
	    "id(int,auto) setid(int) url(string) weight(int) disabled(int) stamp(int) \n"
	    "1:0:udp\\:10.0.0.1\\:22222:1:0:0\n2:0:udp\\:10.0.0.2\\:22222:1:0:0\n");
	/* what stays, stays as and where it is; other sets too, whatever is in them */
	assert_compose(k, RTP "7:0:b:2:1:55\n3:5:x:9:1:66\n1:0:a:1:0:44\n5:0:gone:1:0:0\n", "0", RTP "9:0:a:1:0:0\n9:0:b:1:0:0\n9:0:new:1:1:0\n",
	    RTP "7:0:b:1:0:55\n3:5:x:9:1:66\n1:0:a:1:0:44\n8:0:new:1:1:0\n");
	/* twins: the last one is Kamailio's */
	assert_compose(k, RTP "1:0:a:1:0:0\n2:0:a:2:0:0\n", "0", RTP "9:0:a:2:0:0\n", RTP "2:0:a:2:0:0\n");
	/* a newline that was forgotten */
	assert_compose(k, RTP "1:5:x:1:0:0", "0", RTP "9:0:a:1:0:0\n", RTP "1:5:x:1:0:0\n2:0:a:1:0:0\n");
	assert_compose(k, RTP "1:0:a:1:0:0\n", "0", RTP, RTP);
	/* fewer columns, in another order */
	assert_compose(k, "url(string) setid(int)\nx:5\n", "0", "url(string) setid(int)\na:0\n", "url(string) setid(int)\nx:5\na:0\n");
}

static void
others_rows_are_not_touched(void **state)
{
	struct table_rows rows = rows_of(&table_kind_rtpengine, RTP "1:0:a:1:0:0\n2:0:o:1:0:0\n");

	rows.v[1].owner = ROW_THEIRS;
	compose(&table_kind_rtpengine, RTP "1:0:o:3:1:7\n2:0:o:4:0:8\n", "0", &rows, RTP "1:0:o:3:1:7\n2:0:o:4:0:8\n3:0:a:1:0:0\n");
	table_rows_clear(&rows);
	rows = rows_of(&table_kind_domain, DOMAIN "1:a:a:0\n2:o:o:0\n");
	rows.v[1].owner = ROW_THEIRS;
	compose(&table_kind_domain, DOMAIN "1:o:x:3\n2:o:y:4\n", "0", &rows, DOMAIN "1:o:x:3\n2:o:y:4\n3:a:a:0\n");
	table_rows_clear(&rows);
}

static void
what_is_no_table(void **state)
{
	static const char *const texts[] = { "# nodes\n", "1:0:a:1:0:0\n", "\n" };
	const struct table_kind *const kinds[] = { &table_kind_rtpengine, &table_kind_domain };
	struct table_scope all = { 0, true, true };
	const struct table_scopes scopes = { &all, 1 };
	struct table_rows none = { 0 };
	struct buf out = { 0 }, why = { 0 };
	size_t i, k, bad;

	for (k = 0; k < NELEM(kinds); k++)
		for (i = 0; i < NELEM(texts); i++) {
			assert_int_equal(kinds[k]->parse(texts[i], strlen(texts[i]), &none, &bad), -EINVAL);
			assert_int_equal(kinds[k]->compose(texts[i], strlen(texts[i]), &scopes, &none, &out, &why), -EINVAL);
			assert_non_null(strstr(why.s, "no header"));
			assert_int_equal(out.len, 0);
			buf_free(&why);
		}
}

static void
a_column_that_does_not_take_it(void **state)
{
	struct table_rows rows = rows_of(&table_kind_rtpengine, RTP "1:0:a:1:0:0\n");
	struct table_scope all = { 0, true, true };
	const struct table_scopes scopes = { &all, 1 };
	const char *old = "setid(int) url(int)\n";
	struct buf out = { 0 }, why = { 0 };

	assert_int_equal(table_kind_rtpengine.compose(old, strlen(old), &scopes, &rows, &out, &why), -EINVAL);
	assert_non_null(strstr(why.s, "column url"));
	buf_free(&why);
	table_rows_clear(&rows);
}

static void
rtpengine_shows(void **state)
{
	/* 5.6: disabled 0, 1 or "1(permanent)"; 6.0: disabled and active */
	static const struct {
		int disabled, active; /* -1: not there */
		const char *word;
		const char *want;
	} cases[] = {
		{ 0, -1, NULL, "0 u w1|" }, { 1, -1, NULL, "0 u w1 asleep|" }, { -1, -1, "1(permanent)", "0 u w1 off|" },
		{ 0, 1, NULL, "0 u w1|" }, { 0, 0, NULL, "0 u w1 asleep|" }, { 1, 0, NULL, "0 u w1 off|" },
	};
	size_t i;

	for (i = 0; i < NELEM(cases); i++) {
		struct reply r = { .n = 0 };
		struct binrpc_value *v = value(&r, BINRPC_STRUCT, NULL, &r.msg.first);

		text(&r, "url", "u", v);
		number(&r, "set", 0, v);
		number(&r, "weight", 1, v);
		if (cases[i].disabled >= 0)
			number(&r, "disabled", cases[i].disabled, v);
		else
			text(&r, "disabled", cases[i].word, v);
		if (cases[i].active >= 0)
			number(&r, "active", cases[i].active, v);
		assert_read(&table_kind_rtpengine, &r, 0, cases[i].want);
	}
}

static void
what_is_no_dump(void **state)
{
	struct reply r = { .n = 0 };
	struct binrpc_value *v;

	value(&r, BINRPC_INT, NULL, &r.msg.first);
	assert_refused(&table_kind_rtpengine, &r, 0);
	assert_refused(&table_kind_domain, &r, 0);
	assert_refused(&table_kind_permissions, &r, 0);
	memset(&r, 0, sizeof r);
	v = value(&r, BINRPC_STRUCT, NULL, &r.msg.first);
	text(&r, "url", "u", v);
	assert_refused(&table_kind_rtpengine, &r, 0);
	assert_refused(&table_kind_domain, &r, 0);
	memset(&r, 0, sizeof r);
	v = value(&r, BINRPC_STRUCT, NULL, &r.msg.first);
	value(&r, BINRPC_STRUCT, "item", &v->child); /* without its group */
	assert_refused(&table_kind_permissions, &r, 0);
}

/* ---- domain ---- */

static void
domain_files(void **state)
{
	const struct table_kind *k = &table_kind_domain;

	assert_parse(k, DOMAIN "0:10.0.0.2:10.0.0.2:0\n1:B.example.org:x:5\n2:[fd00\\:\\:1]:y:0\n",
	    "0 10.0.0.2|0 B.example.org|0 [fd00::1]|", 0);
	assert_compose(k, "", "0", DOMAIN "1:10.0.0.1:a:0\n1:[fd00\\:\\:1]:a:0\n",
	    "id(int) domain(string) did(string) last_modified(int) \n1:10.0.0.1:10.0.0.1:0\n2:[fd00\\:\\:1]:[fd00\\:\\:1]:0\n");
	/* somebody's did, on which attributes hang */
	assert_compose(k, DOMAIN "4:a:tenant:99\n3:gone:x:1\n", "0", DOMAIN "1:a:a:0\n1:b:b:0\n", DOMAIN "4:a:tenant:99\n5:b:b:0\n");
}

static void
domain_dumps(void **state)
{
	struct reply r = { .n = 0 };
	struct binrpc_value *root, *list, *v;
	size_t i;

	assert_read(&table_kind_domain, &r, 0, "");
	root = value(&r, BINRPC_STRUCT, NULL, &r.msg.first);
	list = value(&r, BINRPC_STRUCT, "domains", &root->child);
	value(&r, BINRPC_STRUCT, "attributes", &root->child);
	assert_read(&table_kind_domain, &r, 0, "");
	for (i = 0; i < 2; i++) {
		v = value(&r, BINRPC_STRUCT, NULL, &list->child);
		text(&r, "domain", i == 0 ? "x.org" : "10.0.0.1", v);
		text(&r, "did", "d", v);
	}
	assert_read(&table_kind_domain, &r, 0, "0 x.org|0 10.0.0.1|");
}

/* ---- permissions ---- */

static void
permissions_files(void **state)
{
	const struct table_kind *k = &table_kind_permissions;

	/* addresses in the one form in which Kamailio dumps them */
	assert_parse(k, "1 10.0.0.1\n1 010.0.0.2 32\n1 300.0.0.1\n1 FD00::A 64 5060 x # y\n1 [fd00::b]\n2 10.1.2.3 8 0 n\n2 Name.org 0 0 t\n",
	    "1 10.0.0.1 /32|1 10.0.0.2 /32|1 44.0.0.1 /32|1 fd00::a /64 :5060 tx|1 fd00::b /128|2 10.1.2.3 /8 tn|2 Name.org tt|", 0);
	assert_parse(k, BEGIN "1 10.0.0.1\n" END "1 10.0.0.2\n", "1 10.0.0.1 /32 block|1 10.0.0.2 /32|", 0);
	assert_parse(k, "1\n", "", 1);
	assert_parse(k, "", "", 0);
	assert_compose(k, "", "1", "1 10.0.0.2\n1 10.0.0.1 32 0 t\n", BEGIN "1 10.0.0.1 32 0 t\n1 10.0.0.2 32 0\n" END);
	/* other groups, comments, forms: byte for byte; what is of ours and right stays where it is */
	assert_compose(k, "# a\r\n7 10.9.0.0/8 # odd\n1 010.0.0.1 32 0 t # why\n\n1 10.0.0.9\n7 x", "1", "1 10.0.0.1 32 0 t\n1 10.0.0.2\n",
	    "# a\r\n7 10.9.0.0/8 # odd\n1 010.0.0.1 32 0 t # why\n\n7 x\n" BEGIN "1 10.0.0.2 32 0\n" END);
	/* another tag: the line is written anew; a second line of the same goes */
	assert_compose(k, "1 10.0.0.1 32 0 old\n1 10.0.0.2\n1 10.0.0.2 32\n", "1", "1 10.0.0.1 32 0 new\n1 10.0.0.2\n",
	    "1 10.0.0.2\n" BEGIN "1 10.0.0.1 32 0 new\n" END);
	/* lines of our block whose group is ours no longer, and comments in it, become somebody's */
	assert_compose(k, "# a\n" BEGIN "# b\n1 10.0.0.1 32 0\n2 10.0.0.2 32 0\n" END "# c\n", "1", "1 10.0.0.3\n",
	    "# a\n# b\n2 10.0.0.2 32 0\n# c\n" BEGIN "1 10.0.0.3 32 0\n" END);
	assert_compose(k, BEGIN "1 10.0.0.1 32 0\n" END, "1", "", BEGIN END);
	assert_compose(k, "7 x\n", "1", "", "7 x\n");
	/* a line that Kamailio would refuse, with the whole file: of ours it goes, of others it is theirs */
	assert_compose(k, "1 10.0.0.1 99\n7\n1\n", "1", "1 10.0.0.1\n", "7\n" BEGIN "1 10.0.0.1 32 0\n" END);
}

static void
others_lines_are_not_touched(void **state)
{
	struct table_rows rows = rows_of(&table_kind_permissions, "1 10.0.0.1\n1 10.0.0.9 32 0 o\n");

	rows.v[1].owner = ROW_THEIRS;
	compose(&table_kind_permissions, "1 10.0.0.9 32 0 other # x\n1 10.0.0.9 32 0 o\n", "1", &rows,
	    "1 10.0.0.9 32 0 other # x\n1 10.0.0.9 32 0 o\n" BEGIN "1 10.0.0.1 32 0\n" END);
	table_rows_clear(&rows);
}

static void
a_tag_that_can_not_be_written(void **state)
{
	struct table_scope one = { 1, true, true };
	const struct table_scopes scopes = { &one, 1 };
	struct table_rows rows = { 0 };
	struct buf out = { 0 }, why = { 0 };

	table_rows_add(&rows, 1, "10.0.0.1")->mask = 32;
	rows.v[0].tag = xstrdup("a b");
	assert_int_equal(table_kind_permissions.compose("", 0, &scopes, &rows, &out, &why), -EINVAL);
	assert_non_null(strstr(why.s, "10.0.0.1"));
	buf_free(&out);
	buf_free(&why);
	table_rows_clear(&rows);
}

static void
permissions_dumps(void **state)
{
	struct reply r = { .n = 0 };
	struct binrpc_value *v, *item;

	value(&r, BINRPC_STRUCT, NULL, &r.msg.first); /* of an empty table */
	assert_read(&table_kind_permissions, &r, 2, "");
	memset(&r, 0, sizeof r);
	v = value(&r, BINRPC_STRUCT, NULL, &r.msg.first);
	number(&r, "table", 23, v);
	number(&r, "group", 1, v);
	item = value(&r, BINRPC_STRUCT, "item", &v->child);
	text(&r, "ip", "fd00::1", item);
	number(&r, "port", 5060, item);
	text(&r, "tag", "NULL", item);
	assert_read(&table_kind_permissions, &r, 0, "1 fd00::1 /128 :5060 tNULL|");
	text(&r, "tag", "later", item);
	number(&r, "mask", 16, item);
	assert_read(&table_kind_permissions, &r, 1, "1 fd00::1 /16 :5060 tNULL|");
	/* domainDump: one struct, in which all repeats */
	memset(&r, 0, sizeof r);
	v = value(&r, BINRPC_STRUCT, NULL, &r.msg.first);
	number(&r, "group", 3, v);
	item = value(&r, BINRPC_STRUCT, "item", &v->child);
	text(&r, "domain_name", "a.org", item);
	number(&r, "table", 125, v);
	number(&r, "group", 1, v);
	item = value(&r, BINRPC_STRUCT, "item", &v->child);
	text(&r, "domain_name", "b.org", item);
	text(&r, "tag", "t", item);
	assert_read(&table_kind_permissions, &r, 2, "3 a.org|1 b.org tt|");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rtpengine_files),
		cmocka_unit_test(others_rows_are_not_touched),
		cmocka_unit_test(what_is_no_table),
		cmocka_unit_test(a_column_that_does_not_take_it),
		cmocka_unit_test(rtpengine_shows),
		cmocka_unit_test(what_is_no_dump),
		cmocka_unit_test(domain_files),
		cmocka_unit_test(domain_dumps),
		cmocka_unit_test(permissions_files),
		cmocka_unit_test(others_lines_are_not_touched),
		cmocka_unit_test(a_tag_that_can_not_be_written),
		cmocka_unit_test(permissions_dumps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
