/* domains: which names a prefix of Consul's KV brings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "conf_fx.h"
#include "reconcile/domains.h"
#include "reconcile/table_plan.h"

#define PAIR(key, value) { key, value, sizeof(value) - 1 }

static char *
join(const struct strlist *l)
{
	struct buf b = { 0 };
	size_t i;

	buf_puts(&b, "");
	for (i = 0; i < l->n; i++)
		buf_printf(&b, "%s%s", i ? " " : "", l->v[i]);
	return buf_take(&b);
}

static void
names_are_collected(void **state)
{
	static const struct {
		struct kv_pair pairs[4];
		const char *names, *bad;
	} rows[] = {
		{ { { 0 } }, "", "" },
		{ { PAIR("sip.example.org", "") }, "sip.example.org", "" },
		{ { PAIR("tenant1/sip.example.org", ""), PAIR("tenant2/x/Sip.Example.ORG.", "") }, "sip.example.org", "" },
		{ { PAIR("", "b.example.org a.example.org") }, "a.example.org b.example.org", "" }, /* the prefix itself is no domain */
		{ { PAIR("list", "a.example\n b.example,c.example;\r\n\t, ,d.example") }, "a.example b.example d.example list", "c.example;" },
		{ { PAIR("x.example", "10.0.0.1 [::1] ::1") }, "10.0.0.1 x.example", "::1 [::1]" },
		{ { PAIR("a.example", "a\0b.example c.example") }, "a a.example b.example c.example", "" }, /* a NUL parts words */
		{ { PAIR("-_.example", "a..b .a a. . *") }, "-_.example a", "* . .a a..b" },
		{ { PAIR("folder/", "x.example") }, "x.example", "" },
	};
	size_t i, n;

	for (i = 0; i < NELEM(rows); i++) {
		struct strlist names, bad;
		char *got, *wrong;

		for (n = 0; n < 4 && rows[i].pairs[n].key != NULL; n++)
			;
		domains_collect(rows[i].pairs, n, &names, &bad);
		got = join(&names);
		wrong = join(&bad);
		if (strcmp(got, rows[i].names) != 0 || strcmp(wrong, rows[i].bad) != 0)
			fail_msg("row %zu: \"%s\", bad \"%s\"", i, got, wrong);
		free(got);
		free(wrong);
		domains_list_clear(&names);
		domains_list_clear(&bad);
	}
}

static void
ignore(void *arg, const char *text)
{
}

/* What domain.names takes is taken here, and nothing else. */
static void
by_the_configurations_rule(void **state)
{
	char label63[64], label64[65], name253[254], name254[255];
	const char *words[] = {
		"a", "A.B", "a-b_c.9", "a.", "-", "_", "a.b.c.d", ".", "..", "a..", ".a", "a!b", "a/b", "\xc3\xa9.example", "a:5060", "1",
		label63, label64, name253, name254,
	};
	size_t i, k;

	memset(label64, 'x', 64);
	label64[64] = '\0';
	memset(label63, 'x', 63);
	label63[63] = '\0';
	for (i = 0; i < 254; i++)
		name254[i] = i % 2 ? '.' : 'y';
	memcpy(name253, name254, 253);
	name253[253] = name254[254] = '\0';
	name254[253] = 'y';
	for (i = 0; i < NELEM(words); i++) {
		struct kv_pair pair = { "", words[i], strlen(words[i]) };
		char *text = xasprintf("services: {}\nkamailio: { sbc: { tables: /t, domain: { names: [\"%s\"] } } }\n", words[i]);
		struct conf *conf = NULL;
		bool good = conf_load_text(&conf, "t.yml", text, strlen(text), ignore, NULL) == 0;
		struct strlist names, bad;

		domains_collect(&pair, 1, &names, &bad);
		if ((names.n == 1) != good)
			fail_msg("'%s': %zu, but domain.names %s it", words[i], names.n, good ? "takes" : "refuses");
		for (k = 0; good && k < names.n; k++)
			assert_string_equal(names.v[k], conf->kamailios[0]->domain_names.v[0]);
		domains_list_clear(&names);
		domains_list_clear(&bad);
		conf_free(conf);
		free(text);
	}
}

static void
no_more_than_a_table_takes(void **state)
{
	struct strlist names, bad;
	struct buf b = { 0 };
	struct kv_pair pair = { "", NULL, 0 };
	int i;

	for (i = 0; i < DOMAINS_MAX + 10; i++)
		buf_printf(&b, "d%06d.example !%d ", i, i);
	pair.value = b.s;
	pair.len = b.len;
	domains_collect(&pair, 1, &names, &bad);
	assert_int_equal(names.n, DOMAINS_MAX);
	assert_string_equal(names.v[DOMAINS_MAX - 1], "d009999.example");
	assert_true(bad.n > 0 && bad.n < 100);
	domains_list_clear(&names);
	domains_list_clear(&bad);
	buf_free(&b);
}

/* They join the table's other rows; as long as nobody has said which they are, nothing leaves. */
static void
rows_of_names(void **state)
{
	static const char text[] = "services: {}\nkamailio: { sbc: { tables: /t, domain: { names: [b.example] } } }\n";
	char *v[] = { (char[]){ "a.example" }, (char[]){ "b.example" } };
	const struct strlist names = { v, 2 }, none = { 0 };
	struct table_scopes scopes = { 0 };
	struct table_rows rows = { 0 };
	struct topo *t = topo_new(0);
	struct conf *conf = conf_of_text(text);

	table_desire_domain(conf->kamailios[0], t, &rows, &scopes);
	assert_true(scopes.v[0].known);
	table_desire_names(&none, false, &rows, &scopes);
	assert_int_equal(rows.n, 1);
	assert_false(scopes.v[0].known);
	table_rows_clear(&rows);
	scopes.n = 0;
	table_desire_domain(conf->kamailios[0], t, &rows, &scopes);
	table_desire_names(&names, true, &rows, &scopes);
	assert_int_equal(rows.n, 2);
	assert_string_equal(rows.v[0].item, "a.example");
	assert_string_equal(rows.v[1].item, "b.example");
	assert_true(scopes.v[0].known);
	table_rows_clear(&rows);
	free(scopes.v);
	topo_unref(t);
	conf_free(conf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_collected),
		cmocka_unit_test(by_the_configurations_rule),
		cmocka_unit_test(no_more_than_a_table_takes),
		cmocka_unit_test(rows_of_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
