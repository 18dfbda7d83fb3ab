/* The REST interface's routes against the schema, and who may see and change which rows. */
#include "routing_fx.h"

#include "http/openapi.h"
#include "http/pages.h"
#include "http/rest.h"
#include "http/scope.h"

#define TENANT_C "ffffffff-ffff-4c1c-ad1c-ffffffffffff"

/* ---- routes ---- */

static bool
has_route(enum httpd_method method, const char *path)
{
	const struct httpd_route *r;

	for (r = rest_routes; r->path != NULL; r++)
		if (r->method == method && strcmp(r->path, path) == 0)
			return true;
	return false;
}

static void
replace(char *text, char from, char to)
{
	for (; *text != '\0'; text++)
		if (*text == from)
			*text = to;
}

static void
check_routes(enum rt_table table, char from, char to)
{
	char path[96], one[104];

	snprintf(path, sizeof path, "/1.0/%s", rt_schemas[table].path);
	replace(path, from, to);
	snprintf(one, sizeof one, "%s/{id}", path);
	assert_true(has_route(HTTPD_GET, path));
	assert_true(has_route(HTTPD_POST, path));
	assert_true(has_route(HTTPD_GET, one));
	assert_int_equal(has_route(HTTPD_PUT, one), table != RT_CDRS);
	assert_int_equal(has_route(HTTPD_DELETE, one), table != RT_CDRS);
}

static void
test_each_table_has_its_routes(void **state)
{
	int t;

	for (t = 0; t < RT_ALL; t++) {
		check_routes((enum rt_table)t, '-', '-');
		check_routes((enum rt_table)t, '-', '_');
		check_routes((enum rt_table)t, '_', '-');
	}
}

static void
test_each_route_is_of_a_table(void **state)
{
	const struct httpd_route *r;
	char name[96];
	int t;

	for (r = rest_routes; r->path != NULL; r++) {
		assert_memory_equal(r->path, "/1.0/", 5);
		snprintf(name, sizeof name, "%.*s", (int)strcspn(r->path + 5, "/"), r->path + 5);
		replace(name, '-', '_');
		t = rt_schema_find(name);
		assert_in_range(t, 0, RT_ALL - 1);
		assert_int_equal(r->max_body > 0, r->method == HTTPD_POST || r->method == HTTPD_PUT);
	}
	for (r = pages_routes(); r->path != NULL; r++) /* all of them fit into the table of all */
		;
}

static void
test_openapi_names_every_route(void **state)
{
	json_t *doc = openapi_document(true), *paths = json_object_get(doc, "paths");
	static const char *const methods[] = { "get", "post", "put", "delete" };
	const struct httpd_route *r;
	int t;

	for (t = 0; t < RT_ALL; t++)
		for (r = rest_routes; r->path != NULL; r++) {
			size_t len = strlen(rt_schemas[t].path);

			if (strncmp(r->path + 5, rt_schemas[t].path, len) == 0 && (r->path[5 + len] == '\0' || r->path[5 + len] == '/'))
				assert_non_null(json_object_get(json_object_get(paths, r->path), methods[r->method]));
		}
	json_decref(doc);
	doc = openapi_document(false);
	assert_null(json_object_get(json_object_get(doc, "paths"), "/1.0/tenants"));
	json_decref(doc);
}

/* ---- principals ---- */

static const struct principal everyone = { .limited = false };
static const char of_a[1][37] = { TENANT_A }, of_both[2][37] = { TENANT_A, TENANT_B };
static const struct principal only_a = { .limited = true, .tenants = of_a, .n = 1 };
static const struct principal both = { .limited = true, .tenants = of_both, .n = 2 };
static const struct principal nobody = { .limited = true };

/* ids: 1 is A's, 2 is B's. */
static const char document[] =
    "{'tenants':[{'uuid':'" TENANT_A "','name':'a'},{'uuid':'" TENANT_B "','name':'b'}],"
    "'domains':[{'id':1,'tenant_uuid':'" TENANT_A "','domain':'a'},{'id':2,'tenant_uuid':'" TENANT_B "','domain':'b'}],"
    "'carriers':[{'id':1,'tenant_uuid':'" TENANT_A "','name':'c'},{'id':2,'tenant_uuid':'" TENANT_B "','name':'c'}],"
    "'carrier_trunks':[{'id':1,'tenant_uuid':'" TENANT_A "','carrier_id':1,'name':'t','sip_proxy':'h'},"
    "{'id':2,'tenant_uuid':'" TENANT_B "','carrier_id':2,'name':'t','sip_proxy':'h'}],"
    "'normalization_profiles':[{'id':1,'tenant_uuid':'" TENANT_A "','name':'p'},{'id':2,'tenant_uuid':'" TENANT_B "','name':'p'}],"
    "'normalization_rules':[{'id':1,'profile_id':1,'rule_type':1,'match_regex':'1'},{'id':2,'profile_id':2,'rule_type':1,'match_regex':'1'}],"
    "'ipbxs':[{'id':1,'tenant_uuid':'" TENANT_A "','domain_id':1,'ip_fqdn':'h'},{'id':2,'tenant_uuid':'" TENANT_B "','domain_id':2,'ip_fqdn':'h'}],"
    "'dids':[{'id':1,'tenant_uuid':'" TENANT_A "','did_regex':'1'},{'id':2,'tenant_uuid':'" TENANT_B "','did_regex':'1'}],"
    "'routing_rules':["
    "{'id':1,'tenant_uuid':'" TENANT_A "'},{'id':2,'tenant_uuid':'" TENANT_B "'}," /* by name */
    "{'id':3,'carrier_trunk_id':1},{'id':4,'trunks':[2]},{'id':5,'ipbx_id':1},"   /* by what they lead to */
    "{'id':6,'trunks':[1,2]},{'id':7,'trunks':[1],'ipbx_id':2},"                  /* of two */
    "{'id':8},{'id':9},{'id':10},"                                                /* for all; for A by its group; for B by its group */
    "{'id':11,'tenant_uuid':'" TENANT_A "','trunks':[2]}],"                       /* named, whatever it leads to */
    "'routing_groups':[{'id':1,'tenant_uuid':'" TENANT_A "','routing_rule_id':1},{'id':2,'tenant_uuid':'" TENANT_B "','routing_rule_id':2},"
    "{'id':3,'tenant_uuid':'" TENANT_A "','routing_rule_id':9},{'id':4,'tenant_uuid':'" TENANT_B "','routing_rule_id':10},"
    "{'id':5,'tenant_uuid':'" TENANT_A "','routing_rule_id':6},{'id':6,'tenant_uuid':'" TENANT_B "','routing_rule_id':1}]}";

static void
test_scope_of_each_table(void **state)
{
	struct fx *fx = fx_new(document);
	int t;

	for (t = 0; t < RT_TABLES; t++) {
		const struct rt_list *list = &fx->data->t[t];
		const struct rt_row *a = list->v[0], *b = list->v[1];

		assert_int_equal(scope_of(&everyone, fx->data, a), SCOPE_WRITE);
		assert_int_equal(scope_of(&only_a, fx->data, a), SCOPE_WRITE);
		assert_int_equal(scope_of(&only_a, fx->data, b), SCOPE_NONE);
		assert_int_equal(scope_of(&both, fx->data, b), SCOPE_WRITE);
		assert_int_equal(scope_of(&nobody, fx->data, a), SCOPE_NONE);
		assert_int_equal(scope_foreign(&only_a, fx->data, a), -1);
		assert_int_equal(scope_foreign(&everyone, fx->data, b), -1);
	}
	fx_free(fx);
}

static void
test_scope_of_rules_and_groups(void **state)
{
	static const struct {
		enum rt_table table;
		int64_t id;
		enum scope a, both;
	} cases[] = {
		{ RT_RULES, 3, SCOPE_WRITE, SCOPE_WRITE }, { RT_RULES, 4, SCOPE_NONE, SCOPE_WRITE }, { RT_RULES, 5, SCOPE_WRITE, SCOPE_WRITE },
		{ RT_RULES, 6, SCOPE_READ, SCOPE_WRITE }, { RT_RULES, 7, SCOPE_READ, SCOPE_WRITE }, { RT_RULES, 8, SCOPE_READ, SCOPE_READ },
		{ RT_RULES, 9, SCOPE_READ, SCOPE_READ }, { RT_RULES, 10, SCOPE_NONE, SCOPE_READ }, { RT_RULES, 11, SCOPE_WRITE, SCOPE_WRITE },
		{ RT_GROUPS, 3, SCOPE_READ, SCOPE_READ }, { RT_GROUPS, 4, SCOPE_NONE, SCOPE_READ }, { RT_GROUPS, 5, SCOPE_READ, SCOPE_WRITE },
		{ RT_GROUPS, 6, SCOPE_NONE, SCOPE_WRITE },
	};
	struct fx *fx = fx_new(document);
	size_t i;

	for (i = 0; i < NELEM(cases); i++) {
		const struct rt_row *row = rt_data_find(fx->data, cases[i].table, cases[i].id);

		if (scope_of(&only_a, fx->data, row) != cases[i].a || scope_of(&both, fx->data, row) != cases[i].both)
			fail_msg("%s %d", rt_schemas[cases[i].table].name, (int)cases[i].id);
		assert_int_equal(scope_of(&everyone, fx->data, row), SCOPE_WRITE);
	}
	fx_free(fx);
}

static struct rt_row *
row_of(enum rt_table table, const char *text)
{
	char *s = fx_quotes(text);
	json_t *o = json_loads(s, 0, NULL);
	struct rt_row *row;

	assert_non_null(o);
	assert_int_equal(rt_row_parse(&row, table, o, NULL, RT_ROW_NO_ID, "", fx_wrong, NULL), 0);
	json_decref(o);
	free(s);
	return row;
}

static void
test_rows_that_name_what_is_foreign(void **state)
{
	static const struct {
		enum rt_table table;
		const char *row;
		int column; /* -1: none */
	} cases[] = {
		{ RT_DOMAINS, "{'tenant_uuid':'" TENANT_A "','domain':'x'}", -1 },
		{ RT_DOMAINS, "{'tenant_uuid':'" TENANT_B "','domain':'x'}", DOMAIN_TENANT },
		{ RT_DOMAINS, "{'tenant_uuid':'" TENANT_C "','domain':'x'}", DOMAIN_TENANT },
		{ RT_TRUNKS, "{'tenant_uuid':'" TENANT_A "','carrier_id':2,'name':'x','sip_proxy':'h'}", TRUNK_CARRIER },
		{ RT_TRUNKS, "{'tenant_uuid':'" TENANT_A "','carrier_id':1,'normalization_profile_id':2,'name':'x','sip_proxy':'h'}", TRUNK_PROFILE },
		{ RT_TRUNKS, "{'tenant_uuid':'" TENANT_A "','carrier_id':99,'name':'x','sip_proxy':'h'}", -1 }, /* what is not there is another error */
		{ RT_DIDS, "{'tenant_uuid':'" TENANT_A "','ipbx_id':2,'did_regex':'7'}", DID_IPBX },
		{ RT_DIDS, "{'tenant_uuid':'" TENANT_A "','ipbx_id':1,'carrier_trunk_id':1,'did_regex':'7'}", -1 },
		{ RT_NORM_RULES, "{'profile_id':2,'rule_type':1,'match_regex':'7'}", NORM_PROFILE },
		{ RT_RULES, "{'trunks':[1]}", -1 },
		{ RT_RULES, "{'trunks':[2]}", RULE_TRUNKS },
		{ RT_RULES, "{'trunks':[1,2]}", RULE_TRUNKS },
		{ RT_RULES, "{'tenant_uuid':'" TENANT_A "','ipbx_id':2}", RULE_IPBX },
		{ RT_GROUPS, "{'tenant_uuid':'" TENANT_A "','routing_rule_id':3}", -1 },
		{ RT_GROUPS, "{'tenant_uuid':'" TENANT_A "','routing_rule_id':4}", GROUP_RULE },
		{ RT_GROUPS, "{'tenant_uuid':'" TENANT_A "','routing_rule_id':6}", GROUP_RULE },
		{ RT_GROUPS, "{'tenant_uuid':'" TENANT_A "','routing_rule_id':8}", GROUP_RULE }, /* others would lose it */
	};
	struct fx *fx = fx_new(document);
	size_t i;

	for (i = 0; i < NELEM(cases); i++) {
		struct rt_row *row = row_of(cases[i].table, cases[i].row);

		if (scope_foreign(&only_a, fx->data, row) != cases[i].column)
			fail_msg("%s: column %d", cases[i].row, scope_foreign(&only_a, fx->data, row));
		assert_int_equal(scope_foreign(&both, fx->data, row), strstr(cases[i].row, TENANT_C) ? cases[i].column :
		    cases[i].table == RT_GROUPS && cases[i].column >= 0 && strstr(cases[i].row, ":8}") ? GROUP_RULE : -1);
		rt_row_unref(row);
	}
	fx_free(fx);
}

/* Before there is any data, a limited principal can still not write where he does not belong. */
static void
test_scope_without_data(void **state)
{
	struct rt_row *mine = row_of(RT_DOMAINS, "{'tenant_uuid':'" TENANT_A "','domain':'x'}");
	struct rt_row *other = row_of(RT_DOMAINS, "{'tenant_uuid':'" TENANT_B "','domain':'x'}");
	struct rt_row *all = row_of(RT_RULES, "{'prefix':'1','carrier_trunk_id':1}");

	assert_int_equal(scope_foreign(&only_a, NULL, mine), -1);
	assert_int_equal(scope_foreign(&only_a, NULL, other), DOMAIN_TENANT);
	assert_int_not_equal(scope_of(&only_a, NULL, mine), SCOPE_WRITE);
	assert_int_not_equal(scope_of(&only_a, NULL, all), SCOPE_WRITE);
	assert_int_equal(scope_of(&everyone, NULL, all), SCOPE_WRITE);
	rt_row_unref(mine);
	rt_row_unref(other);
	rt_row_unref(all);
}

static void
test_principal_copy(void **state)
{
	struct principal copy;

	principal_copy(&copy, &both);
	assert_true(principal_has(&copy, TENANT_A) && principal_has(&copy, TENANT_B));
	assert_false(principal_has(&copy, TENANT_C) || principal_has(&copy, NULL));
	principal_clear(&copy);
	principal_copy(&copy, &nobody);
	assert_false(principal_has(&copy, TENANT_A));
	principal_clear(&copy);
	principal_copy(&copy, &everyone);
	assert_true(principal_has(&copy, NULL));
	principal_clear(&copy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_table_has_its_routes),
		cmocka_unit_test(test_each_route_is_of_a_table),
		cmocka_unit_test(test_openapi_names_every_route),
		cmocka_unit_test(test_scope_of_each_table),
		cmocka_unit_test(test_scope_of_rules_and_groups),
		cmocka_unit_test(test_rows_that_name_what_is_foreign),
		cmocka_unit_test(test_scope_without_data),
		cmocka_unit_test(test_principal_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
