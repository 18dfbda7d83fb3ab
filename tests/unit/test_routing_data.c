/*
 * data: rows become data when all of it is right, and change one at a time.
 */
#include <inttypes.h>

#include "rtdata_fx.h"

static int
new_data(struct rt_data **out, struct rt_row **rows, size_t n, struct buf *notes)
{
	return rt_data_new(out, rows, n, NULL, note, notes);
}

static void
rows_become_data(void **state)
{
	struct rt_data *d = data_of(SMALL_DOCUMENT);
	const struct rt_row *row;

	assert_int_equal(rt_data_count(d), 14);
	assert_int_equal(d->t[RT_DIDS].n, 2);
	assert_int_equal(rt_row_id(d->t[RT_DIDS].v[0]), 3); /* sorted */
	row = rt_data_find(d, RT_DIDS, 7);
	assert_non_null(row);
	assert_string_equal(row->v[DID_REGEX].s, "^39[0-9]+$");
	assert_null(rt_data_find(d, RT_DIDS, 4));
	assert_null(rt_data_find(d, RT_DIDS, 8));
	assert_null(rt_data_find(d, RT_DIDS, 0));
	assert_non_null(rt_data_find_tenant(d, T1));
	assert_null(rt_data_find_tenant(d, "11111111-1111-4111-8111-111111111112"));
	rt_data_unref(rt_data_ref(d));
	rt_data_unref(d);
	rt_data_unref(NULL);
}

static void
nothing_is_data_too(void **state)
{
	struct rt_data *d = NULL;
	struct buf notes = { 0 };

	assert_int_equal(new_data(&d, NULL, 0, &notes), 0);
	assert_int_equal(rt_data_count(d), 0);
	assert_non_null(d->index);
	rt_data_unref(d);
}

static void
tenants_are_found_in_any_case(void **state)
{
	struct rt_data *d = data_of("{'tenants':[{'uuid':'ABCDEFAB-1111-4111-8111-111111111111','name':'x'}]}");

	assert_non_null(rt_data_find_tenant(d, "abcdefab-1111-4111-8111-111111111111"));
	assert_non_null(rt_data_find_tenant(d, "ABCDEFAB-1111-4111-8111-111111111111"));
	rt_data_unref(d);
}

static void
every_row_has_its_tenant(void **state)
{
	struct rt_data *d = data_of(SMALL_DOCUMENT);

	for (int t = 0; t < RT_TABLES; t++)
		assert_non_null(rt_data_tenant_of(d, d->t[t].v[0]));
	assert_string_equal(rt_data_tenant_of(d, rt_data_find_tenant(d, T2)), T2);
	assert_string_equal(rt_data_tenant_of(d, rt_data_find(d, RT_NORM_RULES, 1)), T1); /* its profile's */
	assert_string_equal(rt_data_tenant_of(d, rt_data_find(d, RT_RULES, 1)), T1);      /* its trunks' */
	assert_string_equal(rt_data_tenant_of(d, rt_data_find(d, RT_RULES, 2)), T1);      /* its IPBX' */
	rt_data_unref(d);
	d = data_of("{'tenants':[{'uuid':'" T1 "','name':'x'}],'routing_rules':[{'id':1},{'id':2},{'id':3,'tenant_uuid':'" T1 "'}],"
		    "'routing_groups':[{'id':1,'tenant_uuid':'" T1 "','routing_rule_id':2}]}");
	assert_null(rt_data_tenant_of(d, rt_data_find(d, RT_RULES, 1)));
	assert_string_equal(rt_data_tenant_of(d, rt_data_find(d, RT_RULES, 2)), T1); /* its group's */
	assert_string_equal(rt_data_tenant_of(d, rt_data_find(d, RT_RULES, 3)), T1);
	rt_data_unref(d);
}

static void
what_is_wrong_has_a_path_by_its_key(void **state)
{
	struct rt_row *rows[] = {
		row_of(RT_DIDS, "{'id':3,'tenant_uuid':'" T1 "','ipbx_id':9,'did_regex':'^1('}", 0),
		row_of(RT_TENANTS, "{'uuid':'" T1 "','name':'x'}", 0),
		row_of(RT_TENANTS, "{'uuid':'" T2 "','name':'x'}", 0),
		NULL,
	};
	struct rt_data *d = NULL;
	struct buf notes = { 0 };

	assert_int_equal(new_data(&d, rows, NELEM(rows), &notes), -EINVAL);
	assert_null(d);
	assert_non_null(strstr(notes.s, "tenants[uuid " T2 "].name: is taken: tenants[uuid " T1 "] has the same name\n"));
	assert_non_null(strstr(notes.s, "dids[id 3].ipbx_id: there is no IPBX with id 9\n"));
	assert_non_null(strstr(notes.s, "dids[id 3].did_regex: is no regular expression: "));
	buf_free(&notes);
}

/* ---- changes ---- */

struct outcome {
	struct rt_data *next; /* NULL: refused */
	struct rt_row *row;
	struct rt_refusal refusal;
};

static struct outcome
change(const struct rt_data *d, struct rt_change c)
{
	struct outcome o = { 0 };
	int err = rt_data_change(&o.next, d, &c, &o.row, &o.refusal);

	if (err == 0) {
		assert_int_equal(o.refusal.what, RT_FINE);
		assert_non_null(o.next->index);
		assert_non_null(o.row);
	} else {
		assert_int_equal(err, -EINVAL);
		assert_true(o.refusal.what != RT_FINE && o.refusal.text[0] != '\0');
		assert_null(o.next);
	}
	return o;
}

static struct outcome
put(const struct rt_data *d, enum rt_table table, bool create, const char *json)
{
	struct rt_row *row = row_of(table, json, RT_ROW_NO_ID);
	struct outcome o = change(d, (struct rt_change){ .table = table, .put = row, .create = create });

	rt_row_unref(row);
	return o;
}

static void
forget(struct outcome *o)
{
	rt_row_unref(o->row);
	rt_data_unref(o->next);
}

static void
a_new_id_is_the_highest_and_one(void **state)
{
	struct rt_data *d = data_of(SMALL_DOCUMENT);
	struct outcome o = put(d, RT_DIDS, true, "{'tenant_uuid':'" T1 "','did_regex':'^5'}"), p;

	assert_int_equal(rt_row_id(o.row), 8);
	assert_ptr_equal(rt_data_find(o.next, RT_DIDS, 8), o.row);
	assert_null(rt_data_find(d, RT_DIDS, 8)); /* what was is not touched */
	assert_int_equal(rt_data_count(o.next), rt_data_count(d) + 1);
	assert_ptr_equal(rt_data_find(d, RT_DIDS, 3), rt_data_find(o.next, RT_DIDS, 3)); /* shared */
	rt_data_unref(d);
	p = put(o.next, RT_DIDS, true, "{'tenant_uuid':'" T1 "','did_regex':'^6','id':5}"); /* between others */
	assert_int_equal(rt_row_id(p.row), 5);
	assert_int_equal(rt_row_id(p.next->t[RT_DIDS].v[1]), 5);
	forget(&o);
	assert_non_null(rt_data_find(p.next, RT_DIDS, 8));
	forget(&p);
	d = data_of("{'routing_rules':[{'id':2147483647}]}");
	o = put(d, RT_RULES, true, "{}");
	assert_int_equal(o.refusal.what, RT_TAKEN);
	assert_int_equal(o.refusal.column, 0);
	rt_data_unref(d);
}

static void
a_row_is_replaced(void **state)
{
	struct rt_data *d = data_of(SMALL_DOCUMENT);
	struct outcome o = put(d, RT_DIDS, false, "{'id':3,'tenant_uuid':'" T1 "','did_regex':'^40123$'}"); /* its own regex is not taken */

	assert_true(rt_data_find(o.next, RT_DIDS, 3)->v[DID_IPBX].i == RT_NULL);
	assert_int_equal(rt_data_find(d, RT_DIDS, 3)->v[DID_IPBX].i, 5);
	assert_int_equal(rt_data_count(o.next), rt_data_count(d));
	forget(&o);
	o = put(d, RT_TENANTS, false, "{'uuid':'" T2 "','name':'other'}");
	assert_string_equal(rt_data_find_tenant(o.next, T2)->v[TENANT_NAME].s, "other");
	forget(&o);
	rt_data_unref(d);
}

static void
a_row_is_deleted(void **state)
{
	struct rt_data *d = data_of(SMALL_DOCUMENT);
	struct outcome o = change(d, (struct rt_change){ .table = RT_DIDS, .id = 3 }), p;

	assert_int_equal(rt_row_id(o.row), 3);
	assert_null(rt_data_find(o.next, RT_DIDS, 3));
	assert_non_null(rt_data_find(o.next, RT_DIDS, 7));
	rt_data_unref(d);
	p = change(o.next, (struct rt_change){ .table = RT_GROUPS, .id = 1 });
	forget(&o);
	o = change(p.next, (struct rt_change){ .table = RT_TENANTS, .uuid = T2 });
	assert_int_equal(o.next->t[RT_TENANTS].n, 1);
	forget(&p);
	forget(&o);
}

static void
refusals(void **state)
{
	static const struct {
		enum rt_table table;
		bool create;
		const char *json; /* NULL: delete */
		int64_t id;
		const char *uuid;
		enum rt_conflict what;
		int column;
		const char *text; /* its beginning */
	} cases[] = {
		{ RT_DIDS, true, "{'id':3,'tenant_uuid':'" T1 "','did_regex':'^5'}", 0, NULL, RT_TAKEN, DID_ID, "DID with this key exists already" },
		{ RT_DIDS, false, "{'id':4,'tenant_uuid':'" T1 "','did_regex':'^5'}", 0, NULL, RT_NOT_FOUND, -1, "DID not found" },
		{ RT_DIDS, false, NULL, 4, NULL, RT_NOT_FOUND, -1, "DID not found" },
		{ RT_TENANTS, false, NULL, 0, "33333333-1111-4111-8111-111111111111", RT_NOT_FOUND, -1, "Tenant not found" },
		{ RT_TENANTS, true, "{'uuid':'" T1 "','name':'x'}", 0, NULL, RT_TAKEN, TENANT_UUID, "Tenant with this key exists already" },
		{ RT_TENANTS, false, "{'uuid':'" T2 "','name':'one'}", 0, NULL, RT_TAKEN, TENANT_NAME, "is taken: tenant " T1 " has it" },
		{ RT_DIDS, true, "{'tenant_uuid':'" T1 "','did_regex':'^40123$'}", 0, NULL, RT_TAKEN, DID_REGEX, "is taken: DID 3 has it" },
		{ RT_DOMAINS, true, "{'tenant_uuid':'" T1 "','domain':'oNE.Example'}", 0, NULL, RT_TAKEN, DOMAIN_DOMAIN, "is taken: Domain 1 has it" },
		{ RT_IPBXS, true, "{'tenant_uuid':'" T1 "','domain_id':1,'ip_fqdn':'h','username':'u'}", 0, NULL, RT_TAKEN, IPBX_USERNAME,
		    "is taken: IPBX 5 has it" },
		{ RT_DIDS, true, "{'tenant_uuid':'" T1 "','did_regex':'^5','ipbx_id':1}", 0, NULL, RT_DANGLING, DID_IPBX, "there is no IPBX with id 1" },
		{ RT_DIDS, true, "{'tenant_uuid':'33333333-1111-4111-8111-111111111111','did_regex':'^5'}", 0, NULL, RT_DANGLING, DID_TENANT,
		    "there is no Tenant with uuid 33333333-1111-4111-8111-111111111111" },
		{ RT_RULES, true, "{'trunks':[1,3,2]}", 0, NULL, RT_DANGLING, RULE_TRUNKS, "there is no Carrier Trunk with id 3" },
		{ RT_DIDS, true, "{'tenant_uuid':'" T1 "','did_regex':'^5('}", 0, NULL, RT_WRONG, DID_REGEX, "is no regular expression: " },
		{ RT_RULES, true, "{'did_regex':'[5'}", 0, NULL, RT_WRONG, RULE_DID_REGEX, "is no regular expression: " },
		{ RT_NORM_RULES, true, "{'profile_id':1,'rule_type':1,'match_regex':'*'}", 0, NULL, RT_WRONG, NORM_REGEX, "is no regular expression: " },
		{ RT_NORM_RULES, true, "{'profile_id':1,'rule_type':1,'match_regex':'^0(.)','replace_regex':'\\\\2'}", 0, NULL, RT_WRONG,
		    NORM_REPLACE, "can't replace what match_regex matches: " },
		{ RT_IPBXS, false, NULL, 5, NULL, RT_IN_USE, -1, "DID 3 refers to it (ipbx_id): change or delete that first" },
		{ RT_TRUNKS, false, NULL, 2, NULL, RT_IN_USE, -1, "Routing Rule 1 refers to it (trunks): change or delete that first" },
		{ RT_TENANTS, false, NULL, 0, T2, RT_IN_USE, -1, "Routing Group 1 refers to it (tenant_uuid): change or delete that first" },
		{ RT_CARRIERS, false, NULL, 1, NULL, RT_IN_USE, -1, "Carrier Trunk 1 refers to it (carrier_id): change or delete that first" },
		{ RT_PROFILES, false, NULL, 1, NULL, RT_IN_USE, -1, "IPBX 5 refers to it (normalization_profile_id): change or delete that first" },
	};
	struct rt_data *d = data_of(SMALL_DOCUMENT);

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct outcome o = cases[i].json != NULL ? put(d, cases[i].table, cases[i].create, cases[i].json) :
		    change(d, (struct rt_change){ .table = cases[i].table, .id = cases[i].id, .uuid = cases[i].uuid });

		if (o.refusal.what != cases[i].what || o.refusal.column != cases[i].column ||
		    strncmp(o.refusal.text, cases[i].text, strlen(cases[i].text)) != 0)
			fail_msg("case %zu: %d, column %d: %s", i, o.refusal.what, o.refusal.column, o.refusal.text);
	}
	assert_int_equal(rt_data_count(d), 14);
	rt_data_unref(d);
}

/* A null among unique columns is no reason; a row may refer to itself's table's others. */
static void
nulls_never_collide(void **state)
{
	struct rt_data *d = data_of(SMALL_DOCUMENT);
	struct outcome o = put(d, RT_IPBXS, true, "{'tenant_uuid':'" T1 "','domain_id':1,'ip_fqdn':'h'}"), p;

	p = put(o.next, RT_IPBXS, true, "{'tenant_uuid':'" T1 "','domain_id':1,'ip_fqdn':'h'}");
	assert_int_equal(rt_row_id(p.row), 7);
	forget(&o);
	forget(&p);
	o = put(d, RT_DOMAINS, true, "{'tenant_uuid':'" T2 "','domain':'one.example'}"); /* of another tenant */
	assert_int_equal(rt_row_id(o.row), 2);
	forget(&o);
	rt_data_unref(d);
}

static void
several_changes_compile_once(void **state)
{
	struct rt_data *d = data_of(SMALL_DOCUMENT), *a = NULL, *b = NULL;
	struct rt_row *row = row_of(RT_CARRIERS, "{'tenant_uuid':'" T1 "','name':'new'}", RT_ROW_NO_ID), *put_row = NULL;
	struct rt_refusal refusal;

	assert_int_equal(rt_data_edit(&a, d, &(struct rt_change){ .table = RT_CARRIERS, .put = row, .create = true }, &put_row, &refusal), 0);
	assert_null(a->index);
	assert_int_equal(rt_row_id(put_row), 2);
	rt_row_unref(put_row);
	assert_int_equal(rt_data_edit(&b, a, &(struct rt_change){ .table = RT_CARRIERS, .id = 2 }, &put_row, &refusal), 0);
	rt_row_unref(put_row);
	rt_data_unref(a);
	assert_int_equal(rt_data_compile(b, NULL, NULL), 0);
	assert_non_null(b->index);
	assert_int_equal(rt_data_compile(b, NULL, NULL), 0);
	rt_data_unref(b);
	rt_data_unref(d);
	rt_row_unref(row);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_become_data),
		cmocka_unit_test(nothing_is_data_too),
		cmocka_unit_test(tenants_are_found_in_any_case),
		cmocka_unit_test(every_row_has_its_tenant),
		cmocka_unit_test(what_is_wrong_has_a_path_by_its_key),
		cmocka_unit_test(a_new_id_is_the_highest_and_one),
		cmocka_unit_test(a_row_is_replaced),
		cmocka_unit_test(a_row_is_deleted),
		cmocka_unit_test(refusals),
		cmocka_unit_test(nulls_never_collide),
		cmocka_unit_test(several_changes_compile_once),
	};

	return cmocka_run_group_tests_name("routing_data", tests, NULL, NULL);
}
