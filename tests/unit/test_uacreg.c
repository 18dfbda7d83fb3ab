/*
 * uacreg: which trunks register and how they are written; no text that a shell or db_text would take otherwise, whatever the data.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kamailio/dbtext.h"
#include "rtdata_fx.h"
#include "routing/uacreg.h"

#define HEAD "{'tenants':[{'uuid':'" T1 "','name':'one'}],'carriers':[{'id':1,'tenant_uuid':'" T1 "','name':'c'}],'carrier_trunks':["
#define TRUNK(id, rest) "{'id':" #id ",'tenant_uuid':'" T1 "','carrier_id':1,'name':'t" #id "'," rest "}"
#define ACCOUNT "'sip_proxy':'10.0.0.1','auth_username':'u','auth_password':'p:w','realm':'r.example'"
#define FULL "'registered':true," ACCOUNT
#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEADER4                                                                                                                      \
	"id(int,auto) l_uuid(string) l_username(string) l_domain(string,null) r_username(string) r_domain(string) realm(string,null) "  \
	"auth_username(string,null) auth_password(string,null) auth_ha1(string,null) auth_proxy(string,null) expires(int) flags(int) "  \
	"reg_delay(int) socket(string,null) "
#define HEADER5                                                                                                                      \
	"id(int,auto) l_uuid(string) l_username(string) l_domain(string,null) r_username(string) r_domain(string) realm(string,null) "  \
	"auth_username(string,null) auth_password(string,null) auth_ha1(string,null) auth_proxy(string,null) expires(int) flags(int) "  \
	"reg_delay(int) contact_addr(string,null) socket(string,null) "

static int
answer(const char *document, int version, const char *contact, struct buf *content, struct buf *why)
{
	struct rt_data *d = data_of(document);
	struct buf out = { 0 };
	json_t *json;
	int err = uacreg_answer(d, version, contact, &out, why);

	if (err == 0) {
		assert_true(out.len <= UACREG_ANSWER_MAX);
		json = json_loadb(out.s, out.len, 0, NULL);
		assert_non_null(json);
		assert_int_equal(json_object_size(json), 1);
		buf_puts(content, json_string_value(json_object_get(json, "content")));
		json_decref(json);
	} else {
		assert_null(out.s);
	}
	buf_free(&out);
	rt_data_unref(d);
	return err;
}

static void
assert_content(const char *document, int version, const char *contact, const char *want)
{
	struct buf content = { 0 }, why = { 0 };

	if (answer(document, version, contact, &content, &why) != 0)
		fail_msg("%s: %s", document, why.s);
	assert_string_equal(content.s, want);
	buf_free(&content);
	buf_free(&why);
}

static void
rows_are_written(void **state)
{
	(void)state;
	assert_content("{}", 5, NULL, HEADER5 "\n");
	assert_content("{}", 4, NULL, HEADER4 "\n");
	/* by id, whatever the order of the document */
	assert_content(HEAD TRUNK(9, FULL) "," TRUNK(3, ACCOUNT) "," TRUNK(2, FULL) "]}", 5, NULL,
	    HEADER5 "\n1:2:u:r.example:u:r.example:r.example:u:p\\:w::sip\\:10.0.0.1\\:5060:3600:16:0::\n"
		    "2:9:u:r.example:u:r.example:r.example:u:p\\:w::sip\\:10.0.0.1\\:5060:3600:16:0::\n");
	assert_content(HEAD TRUNK(2, FULL) "]}", 4, "10.1.1.1:5060",
	    HEADER4 "\n1:2:u:r.example:u:r.example:r.example:u:p\\:w::sip\\:10.0.0.1\\:5060:3600:16:0:\n");
	assert_content(HEAD TRUNK(2, FULL) "]}", 5, "10.1.1.1:5060",
	    HEADER5 "\n1:2:u:r.example:u:r.example:r.example:u:p\\:w::sip\\:10.0.0.1\\:5060:3600:16:0:10.1.1.1\\:5060:\n");
}

/* Of one trunk: "DOMAIN AUTH_PROXY", or why not. */
static void
assert_place(const char *columns, const char *want)
{
	char *document = xasprintf(HEAD "{'id':7,'tenant_uuid':'" T1 "','carrier_id':1,'name':'n','registered':true,'auth_username':'u',"
					"'auth_password':'p',%s}]}", columns);
	struct rt_data *d = data_of(document);
	struct buf text = { 0 };
	struct uacreg_row row = { 0 };

	if (uacreg_row_of(d->t[RT_TRUNKS].v[0], NULL, &row, &text) == 0)
		buf_printf(&text, "%s %s", row.v[UACREG_R_DOMAIN], row.v[UACREG_AUTH_PROXY]);
	if (strstr(text.s, want) == NULL)
		fail_msg("%s: %s, not %s", columns, text.s, want);
	uacreg_row_clear(&row);
	buf_free(&text);
	rt_data_unref(d);
	free(document);
}

static void
places_are_chosen(void **state)
{
	static const char *const cases[][2] = {
		{ "'sip_proxy':'p.example'", "p.example sip:p.example:5060" },
		{ "'sip_proxy':'p.example','sip_proxy_port':5070", "p.example sip:p.example:5070" },
		{ "'sip_proxy':'p.example','registrar_proxy':'r.example'", "r.example sip:r.example" },
		{ "'sip_proxy':'p.example','registrar_proxy':'r.example:5080'", "r.example sip:r.example:5080" },
		{ "'sip_proxy':'p.example','registrar_proxy':'sip:r.example:5080;transport=tcp'", "r.example sip:r.example:5080;transport=tcp" },
		{ "'sip_proxy':'p.example','realm':'d.example','registrar_proxy':'r.example'", "d.example sip:r.example" },
		{ "'sip_proxy':'p.example','realm':'d.example','from_domain':'f.example'", "f.example sip:p.example:5060" },
		{ "'sip_proxy':'2001:db8::1'", "[2001:db8::1] sip:[2001:db8::1]:5060" },
		{ "'sip_proxy':'p.example','registrar_proxy':'[2001:db8::1]:5070'", "[2001:db8::1] sip:[2001:db8::1]:5070" },
		{ "'sip_proxy':'service:carrier','registrar_proxy':'r.example'", "r.example sip:r.example" },
		{ "'sip_proxy':'service:carrier'", "carrier trunk 7 (n) can't register: its sip_proxy is service:carrier" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(cases); i++)
		assert_place(cases[i][0], cases[i][1]);
}

static void
what_cannot_be_sent_is_named(void **state)
{
	static const struct {
		const char *rest;
		const char *why;
	} cases[] = {
		{ "'auth_password':'" HASH "'", "stored as a hash" },
		{ "'auth_password':''", "no auth_password" },
		{ "'auth_username':''", "no auth_username" },
		{ "'auth_password':'a\\\"b'", "auth_password has" },
		{ "'auth_password':'$(id)'", "auth_password has" },
		{ "'auth_password':'`id`'", "auth_password has" },
		{ "'auth_password':'a\\\\b'", "auth_password has" },
		{ "'auth_password':'a\\\\:b'", "auth_password has" },
		{ "'realm':'$realm'", "realm has" },
		{ "'auth_username':'a$b'", "l_username has" },
	};
	struct buf content = { 0 }, why = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < NELEM(cases); i++) {
		char *document = xasprintf(HEAD TRUNK(1, FULL) ",{'id':8,'tenant_uuid':'" T1 "','carrier_id':1,'name':'bad',"
							       "'sip_proxy':'10.0.0.1','registered':true,%s%s%s}]}", cases[i].rest,
		    strstr(cases[i].rest, "username") == NULL ? ",'auth_username':'u'" : "",
		    strstr(cases[i].rest, "password") == NULL ? ",'auth_password':'p'" : "");

		why.len = 0;
		assert_int_equal(answer(document, 5, NULL, &content, &why), -EINVAL);
		if (strstr(why.s, "carrier trunk 8 (bad)") == NULL || strstr(why.s, cases[i].why) == NULL)
			fail_msg("%s: %s", cases[i].rest, why.s);
		assert_null(strstr(why.s, HASH));
		assert_null(strstr(why.s, "(id)"));
		free(document);
	}
	buf_free(&content);
	buf_free(&why);
}

/* The last answer that fits, and the first that does not. */
static void
long_answers_are_refused(void **state)
{
	struct buf content = { 0 }, why = { 0 };
	size_t n, fit = 0;
	int err = 0;

	(void)state;
	for (n = 1; n < 200 && err == 0; n++) {
		struct buf doc = { 0 };
		size_t i;

		buf_puts(&doc, HEAD);
		for (i = 1; i <= n; i++)
			buf_printf(&doc, "%s{'id':%zu,'tenant_uuid':'" T1 "','carrier_id':1,'name':'t%zu'," FULL "}", i > 1 ? "," : "", i, i);
		buf_puts(&doc, "]}");
		content.len = 0;
		err = answer(doc.s, 5, NULL, &content, &why);
		fit += err == 0;
		buf_free(&doc);
	}
	assert_int_equal(err, -E2BIG);
	assert_in_range(fit, 60, 120);
	assert_non_null(strstr(why.s, "8191"));
	buf_free(&content);
	buf_free(&why);
}

/* ---- whatever the data ---- */

static unsigned seed = 20261121;

static unsigned
dice(unsigned n)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 16) % n;
}

static json_t *
random_text(size_t max, bool printable)
{
	static const char *const pieces[] = {
		"a", "Z", "9", ".", "-", ":", ";", "$(id)", "`", "\"", "'", "\\", "\\:", "|", "&", ">", "<", "!", "#", "%", "(", ")", " ", "*",
		"\xc3\xbc", "sip:", "[", "]", "::1", "\\n", "\\0", "${x}", "none", "(null)",
	};
	char text[300] = "";
	size_t i, n = dice(8);

	for (i = 0; i < n; i++) {
		const char *p = pieces[dice(NELEM(pieces))];

		if (strlen(text) + strlen(p) <= max && (!printable || strcmp(p, " ") != 0))
			strcat(text, p);
	}
	return text[0] ? json_string(text) : json_null();
}

static struct rt_row *
random_trunk(int id)
{
	json_t *o = json_pack("{s:i,s:s,s:i,s:s,s:b,s:s}", "id", id, "tenant_uuid", T1, "carrier_id", 1, "name", "t", "registered", 1, "sip_proxy",
	    dice(4) ? "10.0.0.1" : "service:x");
	struct rt_row *row = NULL;

	json_object_set_new(o, "auth_username", random_text(35, true));
	json_object_set_new(o, "auth_password", random_text(192, false));
	json_object_set_new(o, "realm", random_text(64, true));
	json_object_set_new(o, "registrar_proxy", random_text(128, true));
	if (rt_row_parse(&row, RT_TRUNKS, o, NULL, 0, "", NULL, NULL) != 0)
		row = NULL;
	json_decref(o);
	return row;
}

static void
assert_safe(const struct buf *content, size_t rows)
{
	struct dbtext t = { 0 };
	size_t i;

	for (i = 0; i < content->len; i++) {
		unsigned char c = (unsigned char)content->s[i];

		assert_true(c >= 0x20 || c == '\n');
		assert_true(c != '"' && c != '$' && c != '`');
		if (c == '\\')
			assert_int_equal(content->s[i + 1], ':');
	}
	assert_int_equal(dbtext_parse(content->s, content->len, &t), 0);
	assert_int_equal(t.n_bad, 0);
	assert_int_equal(t.n_rows, rows);
	dbtext_clear(&t);
}

static void
no_text_is_ever_unsafe(void **state)
{
	size_t n, sent = 0, refused = 0;

	(void)state;
	for (n = 0; n < 20000; n++) {
		struct rt_row *row = random_trunk(1 + (int)dice(1000));
		struct rt_row *rows[1] = { row };
		struct rt_data d = { .t[RT_TRUNKS] = { rows, 1 } };
		struct buf out = { 0 }, why = { 0 }, content = { 0 };
		json_t *json;

		if (row == NULL)
			continue;
		if (uacreg_answer(&d, 4 + (int)dice(2), NULL, &out, &why) == 0) {
			json = json_loadb(out.s, out.len, 0, NULL);
			assert_non_null(json);
			buf_puts(&content, json_string_value(json_object_get(json, "content")));
			assert_safe(&content, 1);
			json_decref(json);
			sent++;
		} else {
			assert_non_null(strstr(why.s, "carrier trunk "));
			refused++;
		}
		buf_free(&out);
		buf_free(&why);
		buf_free(&content);
		rt_row_unref(row);
	}
	assert_true(sent > 50 && refused > 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_written),
		cmocka_unit_test(places_are_chosen),
		cmocka_unit_test(what_cannot_be_sent_is_named),
		cmocka_unit_test(long_answers_are_refused),
		cmocka_unit_test(no_text_is_ever_unsafe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
