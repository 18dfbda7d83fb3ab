/*
 * table_uacreg: tables of before made fit, what is written and what stays, Kamailio's dump, and that no password is told.
 */
#include <errno.h>
#include <stdio.h>

#include "base/jsonx.h"
#include "reconcile/table_db.h"
#include "routing/uacreg.h"
#include "rtdata_fx.h"
#include "table_fx.h"

#define OURS                                                                                                                         \
	"id(int,auto) l_uuid(string) l_username(string) l_domain(string,null) r_username(string) r_domain(string) realm(string,null) "  \
	"auth_username(string,null) auth_password(string,null) auth_ha1(string,null) auth_proxy(string,null) expires(int) flags(int) "  \
	"reg_delay(int) contact_addr(string,null) socket(string,null) \n"
#define STOCK                                                                                                                        \
	"id(int,auto) l_uuid(string) l_username(string) l_domain(string) r_username(string) r_domain(string) realm(string) "            \
	"auth_username(string) auth_password(string) auth_ha1(string) auth_proxy(string) expires(int) flags(int) reg_delay(int) "       \
	"contact_addr(string) socket(string) \n"
#define C4                                                                                                                           \
	"l_uuid(string) l_username(string) l_domain(string) r_username(string) r_domain(string) realm(string) auth_username(string) "   \
	"auth_password(string) auth_proxy(string) expires(int) flags(int) reg_delay(int) socket(string)\n"
#define C4_FIT                                                                                                                       \
	"l_uuid(string) l_username(string) l_domain(string,null) r_username(string) r_domain(string) realm(string,null) "               \
	"auth_username(string,null) auth_password(string,null) auth_proxy(string,null) expires(int) flags(int) reg_delay(int) "         \
	"socket(string,null) auth_ha1(string,null) contact_addr(string,null) \n"
#define TRUNK(id, password)                                                                                                          \
	"{'tenants':[{'uuid':'" T1 "','name':'one'}],'carriers':[{'id':1,'tenant_uuid':'" T1 "','name':'c'}],'carrier_trunks':["         \
	"{'id':" #id ",'tenant_uuid':'" T1 "','carrier_id':1,'name':'t','sip_proxy':'10.0.0.1','registered':true,'auth_username':'u',"    \
	"'auth_password':'" password "','realm':'d.example'}]}"
#define ROW(id, uuid, password) #id ":" #uuid ":u:d.example:u:d.example:d.example:u:" password "::sip\\:10.0.0.1\\:5060:3600:16:0::\n"

static struct table_rows
wanted(const char *document, const struct conf_kamailio *kam, const struct table_rows *filed, struct buf *trouble)
{
	struct rt_data *d = data_of(document);
	struct table_rows rows = { 0 };

	table_desire_trunks(kam, d, filed, &rows, trouble);
	rt_data_unref(d);
	return rows;
}

static struct table_rows
parsed(const char *text, size_t want_bad)
{
	struct table_rows rows = { 0 };
	size_t bad = 99;

	assert_int_equal(table_kind_uacreg.parse(text, strlen(text), &rows, &bad), 0);
	assert_int_equal(bad, want_bad);
	return rows;
}

static void
assert_compose(const char *old, const struct table_rows *rows, const char *want)
{
	struct table_scope scope = { 0, true, true };
	const struct table_scopes scopes = { &scope, 1 };
	struct buf out = { 0 }, why = { 0 };
	struct table_rows again;

	if (table_kind_uacreg.compose(old, strlen(old), &scopes, rows, &out, &why) != 0)
		fail_msg("%s: %s", old, why.s);
	assert_string_equal(out.s, want);
	again = parsed(out.s, 0);
	assert_true(table_file_is_right(&again, rows, &scopes));
	table_rows_clear(&again);
	buf_free(&out);
	buf_free(&why);
}

static void
tables_are_made_fit(void **state)
{
	const struct conf_kamailio kam = { .uacreg = true };
	const struct table_rows none = { 0 };
	struct buf trouble = { 0 };
	struct table_rows rows = wanted(TRUNK(7, "p:w"), &kam, &none, &trouble), old;

	(void)state;
	assert_null(trouble.s);
	assert_compose("", &rows, OURS ROW(1, 7, "p\\:w"));
	assert_compose(OURS, &rows, OURS ROW(1, 7, "p\\:w"));
	assert_compose(STOCK, &rows, OURS ROW(1, 7, "p\\:w"));
	/* columns of others' order stay where they are */
	assert_compose(C4, &rows, C4_FIT "7:u:d.example:u:d.example:d.example:u:p\\:w:sip\\:10.0.0.1\\:5060:3600:16:0:::\n");
	/* a row that is right already makes no difference to the header that is not */
	old = parsed(C4 "7:u:d.example:u:d.example:d.example:u:p\\:w:sip\\:10.0.0.1\\:5060:3600:16:0:x\n", 1);
	assert_int_equal(old.n, 1);
	table_rows_clear(&old);
	old = parsed(STOCK, 1);
	table_rows_clear(&old);
	/* what changed is changed in its place */
	assert_compose(OURS ROW(4, 7, "old") , &rows, OURS ROW(4, 7, "p\\:w"));
	assert_compose(OURS ROW(4, 6, "old") ROW(5, 7, "p\\:w"), &rows, OURS ROW(5, 7, "p\\:w"));
	table_rows_clear(&rows);
}

static void
headers_agree(void **state)
{
	struct buf b = { 0 };

	(void)state;
	uacreg_header(5, &b);
	buf_puts(&b, "\n");
	assert_string_equal(b.s, OURS);
	buf_free(&b);
}

static void
contact_is_configured(void **state)
{
	const struct conf_kamailio kam = { .uacreg = true, .uacreg_contact = (char *)(uintptr_t)"192.0.2.1:5060" };
	const struct table_rows none = { 0 };
	struct buf trouble = { 0 };
	struct table_rows rows = wanted(TRUNK(7, "p"), &kam, &none, &trouble);

	(void)state;
	assert_compose("", &rows, OURS "1:7:u:d.example:u:d.example:d.example:u:p::sip\\:10.0.0.1\\:5060:3600:16:0:192.0.2.1\\:5060:\n");
	table_rows_clear(&rows);
}

/* A shell has no part in this: what only it would take otherwise is written, and comes back. */
static void
any_password_is_written(void **state)
{
	const struct conf_kamailio kam = { .uacreg = true };
	const struct table_rows none = { 0 };
	struct buf trouble = { 0 };
	struct table_rows rows = wanted(TRUNK(7, "a$`\\\"\\\\:b"), &kam, &none, &trouble);

	(void)state;
	assert_compose("", &rows, OURS ROW(1, 7, "a$`\"\\\\\\:b"));
	table_rows_clear(&rows);
}

static void
bad_trunks_keep_what_they_have(void **state)
{
	const struct conf_kamailio kam = { .uacreg = true };
	struct table_rows filed = parsed(OURS ROW(3, 7, "old") ROW(4, 8, "other"), 0), rows;
	struct buf trouble = { 0 };

	(void)state;
	rows = wanted(TRUNK(7, ""), &kam, &filed, &trouble);
	assert_non_null(strstr(trouble.s, "carrier trunk 7 (t) can't register: it has no auth_password"));
	assert_int_equal(rows.n, 1);
	assert_int_equal(rows.v[0].owner, ROW_THEIRS);
	buf_free(&trouble);
	table_rows_clear(&rows);
	table_rows_clear(&filed);
}

/* ---- the dump ---- */

static void
add_text(struct buf *b, const char *name, const char *value)
{
	size_t n = strlen(name) + 1, v = strlen(value) + 1;

	buf_add(b, &(char){ (char)0x95 }, 1);
	buf_add(b, &(char){ (char)n }, 1);
	buf_add(b, name, n);
	buf_add(b, &(char){ (char)0x91 }, 1);
	buf_add(b, &(char){ (char)v }, 1);
	buf_add(b, value, v);
}

static void
add_int(struct buf *b, const char *name, unsigned value)
{
	const char bytes[] = { 0x40, (char)(value >> 24), (char)(value >> 16), (char)(value >> 8), (char)value };
	size_t n = strlen(name) + 1;

	buf_add(b, &(char){ (char)0x95 }, 1);
	buf_add(b, &(char){ (char)n }, 1);
	buf_add(b, name, n);
	buf_add(b, bytes, sizeof bytes);
}

/* As 5.6 dumps a row without realm, with the module's own contact. */
static struct table_rows
dumped(unsigned expires, unsigned flags, const char *password)
{
	static const char *const texts[][2] = {
		{ "l_uuid", "7" }, { "l_username", "u" }, { "l_domain", "d.example" }, { "r_username", "u" }, { "r_domain", "d.example" },
		{ "realm", "d.example" }, { "auth_username", "u" }, { "auth_ha1", "none" }, { "auth_proxy", "sip:10.0.0.1:5060" },
		{ "contact_addr", "10.1.1.1:5060" }, { "socket", "<null string>" },
	};
	struct table_rows rows = { 0 };
	struct binrpc_msg msg;
	struct buf body = { 0 }, packet = { 0 };
	size_t i;

	buf_add(&body, "\x03", 1);
	for (i = 0; i < NELEM(texts); i++)
		add_text(&body, texts[i][0], texts[i][1]);
	add_text(&body, "auth_password", password);
	add_int(&body, "expires", expires);
	add_int(&body, "flags", flags);
	add_int(&body, "diff_expires", 55);
	add_int(&body, "reg_delay", 0);
	buf_add(&body, "\x83", 1);
	assert_int_equal(binrpc_packet(BINRPC_REPLY, 1, &body, &packet), 0);
	assert_int_equal(binrpc_decode((const uint8_t *)packet.s, packet.len, &msg), 0);
	assert_int_equal(table_kind_uacreg.read(&msg, 0, &rows), 0);
	binrpc_clear(&msg);
	buf_free(&body);
	buf_free(&packet);
	return rows;
}

static void
assert_changes(struct table_rows got, const struct table_rows *carried, const struct table_rows *want, const char *changes)
{
	char *text;

	table_uacreg_settle(carried, &got);
	text = table_uacreg_changes(&got.v[0], &want->v[0]);
	assert_string_equal(text, changes);
	assert_int_equal(table_row_same(&got.v[0], &want->v[0]), changes[0] == '\0');
	free(text);
	table_rows_clear(&got);
}

static void
dumps_are_compared(void **state)
{
	const struct conf_kamailio kam = { .uacreg = true };
	const struct table_rows none = { 0 };
	struct buf trouble = { 0 };
	struct table_rows want = wanted(TRUNK(7, "p"), &kam, &none, &trouble), called_none = wanted(TRUNK(7, "none"), &kam, &none, &trouble);
	struct table_rows short_lived = parsed(OURS "1:7:u:d.example:u:d.example:d.example:u:p::sip\\:10.0.0.1\\:5060:60:16:0::\n", 0);
	struct table_rows got = dumped(3600, 20, "p");

	(void)state;
	assert_int_equal(got.v[0].live_flags, 20);
	assert_int_equal(got.v[0].live_s, 55);
	assert_true(got.v[0].secret);
	table_rows_clear(&got);
	assert_changes(dumped(3600, 20, "p"), &want, &want, "");
	assert_changes(dumped(3600, 17, "p"), &want, &want, "");
	assert_changes(dumped(7200, 20, "p"), &want, &want, ""); /* the registrar wanted it */
	assert_changes(dumped(60, 20, "p"), &want, &want, "expires 60 -> 3600");
	assert_changes(dumped(60, 20, "p"), &short_lived, &want, "expires 60 -> 3600");
	assert_changes(dumped(3600, 20, "old"), &want, &want, "auth_password");
	assert_changes(dumped(3600, 20, "none"), &called_none, &called_none, "");
	/* nobody knows how it came there */
	assert_changes(dumped(3600, 20, "p"), &none, &want, "contact_addr 10.1.1.1:5060 -> (none)");
	table_rows_clear(&want);
	table_rows_clear(&called_none);
	table_rows_clear(&short_lived);
}

/* What lasts at the carrier: until it was told that it is over; and another account is not replaced by a new one. */
static void
registrations_leave(void **state)
{
	static const struct {
		unsigned expires, flags, live_flags;
		bool over, busy;
	} rows[] = {
		{ 3600, 20, 20, false, false }, /* UAC_REG_INIT, UAC_REG_ONLINE */
		{ 3600, 18, 18, false, true },
		{ 3600, 26, 26, false, true },
		{ 0, 18, 18, true, true },
		{ 0, 26, 26, true, true },
		{ 0, 20, 17, true, false }, /* the carrier's 200 makes it ONLINE */
	};
	static const struct {
		const char *row;
		bool elsewhere;
	} wants[] = {
		{ "1:7:u:d.example:u:d.example:d.example:u:p::sip\\:10.0.0.1\\:5060:60:16:0:10.1.1.1\\:5060:\n", false },
		{ "1:7:u:d.example:u:d.example::u:new::sip\\:10.0.0.1\\:5060:600:16:5:10.1.1.1\\:5060:\n", false },
		{ "1:7:u:d.example:v:d.example:d.example:u:p::sip\\:10.0.0.1\\:5060:60:16:0:10.1.1.1\\:5060:\n", true },
		{ "1:7:u:d.example:u:e.example:d.example:u:p::sip\\:10.0.0.1\\:5060:60:16:0:10.1.1.1\\:5060:\n", true },
		{ "1:7:u:d.example:u:d.example:d.example:u:p::sip\\:10.0.0.2\\:5060:60:16:0:10.1.1.1\\:5060:\n", true },
		{ "1:7:u:d.example:u:d.example:d.example:u:p::sip\\:10.0.0.1\\:5060:60:16:0:10.1.1.2\\:5060:\n", true },
	};
	const struct table_leave *leave = table_kind_uacreg.leave;
	struct table_rows have, want;
	size_t i;
	char *text;

	(void)state;
	for (i = 0; i < NELEM(rows); i++) {
		have = dumped(rows[i].expires, rows[i].flags, "p");
		assert_int_equal(have.v[0].live_flags, rows[i].live_flags);
		assert_int_equal(leave->is_over(&have.v[0]), rows[i].over);
		assert_int_equal(leave->is_busy(&have.v[0]), rows[i].busy);
		table_rows_clear(&have);
	}
	for (i = 0; i < NELEM(wants); i++) {
		have = dumped(3600, 20, "p");
		text = xasprintf("%s%s", OURS, wants[i].row);
		want = parsed(text, 0);
		assert_int_equal(leave->is_elsewhere(&have.v[0], &want.v[0]), wants[i].elsewhere);
		free(text);
		table_rows_clear(&want);
		table_rows_clear(&have);
	}
}

/* No step, and no cell that can be asked for, has it. */
static void
passwords_are_not_told(void **state)
{
	const struct conf_kamailio kam = { .uacreg = true };
	const struct table_rows none = { 0 };
	struct table_scope scope = { 0, true, true };
	const struct table_scopes scopes = { &scope, 1 };
	struct buf trouble = { 0 };
	struct table_rows want = wanted(TRUNK(7, "s3cret"), &kam, &none, &trouble), have = parsed(OURS ROW(1, 7, "0ther") ROW(2, 9, "th1rd"), 0);
	struct table_plan p = { 0 };
	size_t i;
	char *text;

	(void)state;
	table_make_plan(&want, &have, &scopes, &p);
	assert_int_equal(p.n, 2);
	assert_int_equal(p.v[0].op, TABLE_CHANGE);
	assert_string_equal(p.v[0].detail, "auth_password");
	assert_int_equal(p.v[1].op, TABLE_REMOVE);
	assert_string_equal(p.v[1].text, "9");
	assert_null(p.v[1].detail);
	for (i = 0; i < UACREG_COLS; i++) {
		text = table_uacreg_cell(&want.v[0], (int)i);
		assert_true(text == NULL || strstr(text, "s3cret") == NULL);
		free(text);
	}
	table_plan_clear(&p);
	table_rows_clear(&want);
	table_rows_clear(&have);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_made_fit),
		cmocka_unit_test(headers_agree),
		cmocka_unit_test(contact_is_configured),
		cmocka_unit_test(any_password_is_written),
		cmocka_unit_test(bad_trunks_keep_what_they_have),
		cmocka_unit_test(dumps_are_compared),
		cmocka_unit_test(registrations_leave),
		cmocka_unit_test(passwords_are_not_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
