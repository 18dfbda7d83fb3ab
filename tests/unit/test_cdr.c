/*
 * cdr: a body becomes a row or says why not; what is told is stored, together and in order; lists, imports, retention.
 */
#include "cdr_fx.h"

/* ---- the body ---- */

static struct rt_data *
data_of_two(void)
{
	static const char text[] = "{\"tenants\":[{\"uuid\":\"" TENANT "\",\"name\":\"one\"},{\"uuid\":\"" OTHER "\",\"name\":\"two\"}]}";
	struct rt_data *d;

	assert_int_equal(rt_document_parse(&d, text, sizeof text - 1, NULL, NULL, no_report, NULL), 0);
	return d;
}

/* "key=value" pairs over a good body; values are JSON. NULL text: left out. */
static char *
body_with(const char *key, const char *value)
{
	json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "tenant_uuid", TENANT, "event", "sip-routing", "from_uri", "sip:a@h", "to_uri",
	    "sip:b@h", "source_ip", "192.0.2.1", "unknown", "x");
	char *text;

	if (key != NULL && value == NULL)
		json_object_del(o, key);
	else if (key != NULL)
		json_object_set_new(o, key, json_loads(value, JSON_DECODE_ANY, NULL));
	text = json_dumps(o, 0);
	json_decref(o);
	return text;
}

static void
bodies_become_rows(void **state)
{
	static const struct {
		const char *key, *value;
		int column;
		const char *want; /* JSON */
	} rows[] = {
		{ NULL, NULL, CDR_TENANT, "\"" TENANT "\"" },
		{ "tenant_uuid", "\"3F2A7C1E-0000-4000-8000-000000000002\"", CDR_TENANT, "\"" OTHER "\"" },
		{ NULL, NULL, CDR_ID, "null" },
		{ "id", "77", CDR_ID, "null" },
		{ "source_ip", "\"\"", CDR_SOURCE_IP, "null" },
		{ "source_ip", "\"2001:db8::1\"", CDR_SOURCE_IP, "\"2001:db8::1\"" },
		{ "source_port", "\"5062\"", CDR_SOURCE_PORT, "5062" },
		{ "source_port", "5062", CDR_SOURCE_PORT, "5062" },
		{ "source_port", "\"\"", CDR_SOURCE_PORT, "null" },
		{ "ipbx_id", "0", CDR_IPBX, "null" },
		{ "ipbx_id", "\"0\"", CDR_IPBX, "null" },
		{ "ipbx_id", "\"12\"", CDR_IPBX, "12" },
		{ "carrier_trunk_id", "9", CDR_TRUNK, "9" },
		{ "carrier_trunk_id", "null", CDR_TRUNK, "null" },
		{ "duration", "\"65\"", CDR_DURATION, "65" },
		{ "duration", "0", CDR_DURATION, "0" },
		{ "call_id", "\"abc@h\"", CDR_CALL_ID, "\"abc@h\"" },
		{ "call_start", "\"2026-11-21T03:40:00\"", CDR_START, "\"2026-11-21T03:40:00+00:00\"" },
		{ "call_start", "\"2026-11-21T05:40:00+02:00\"", CDR_START, "\"2026-11-21T03:40:00+00:00\"" },
		{ "call_start", "1795232400", CDR_START, "\"2026-11-21T03:40:00+00:00\"" },
		{ "call_start", "\"1795232400\"", CDR_START, "\"2026-11-21T03:40:00+00:00\"" },
		{ "call_start", "1795232400.0", CDR_START, "\"2026-11-21T03:40:00+00:00\"" },
		{ "call_start", "null", CDR_START, "null" },
		{ "call_start", "\"\"", CDR_START, "null" },
	};
	struct rt_data *d = data_of_two();
	struct rt_detail detail;
	struct rt_row *row;
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		char *body = body_with(rows[i].key, rows[i].value), *got;
		json_t *o;

		assert_int_equal(cdr_parse(&row, d, body, strlen(body), &detail), 0);
		o = rt_row_json(row, 0);
		got = json_dumps(json_object_get(o, rt_schemas[RT_CDRS].cols[rows[i].column].name), JSON_ENCODE_ANY);
		if (strcmp(got, rows[i].want) != 0)
			fail_msg("row %zu: %s gives %s, not %s", i, body, got, rows[i].want);
		json_decref(o);
		free(got);
		free(body);
		rt_row_unref(row);
	}
	rt_data_unref(d);
}

/* Defect 7 of the original: its router knows only tenant_id, and its CDRs were refused. */
static void
a_tenant_is_found_by_its_number_too(void **state)
{
	struct rt_data *d = data_of_two();
	int64_t number = rt_index_tenant_number(d->index, OTHER);
	static const struct {
		const char *before, *after;
	} texts[] = { { "\"tenant_id\":", "" }, { "\"tenant_id\":\"", "\"" }, { "\"tenant_uuid\":\"\",\"tenant_id\":", "" } };
	static const char *const unknown[] = {
		"{\"tenant_id\":0,\"from_uri\":\"a\",\"to_uri\":\"b\"}", "{\"from_uri\":\"a\",\"to_uri\":\"b\"}",
		"{\"tenant_uuid\":\"" TENANT "x\",\"from_uri\":\"a\",\"to_uri\":\"b\"}",
		"{\"tenant_uuid\":\"3f2a7c1e-0000-4000-8000-000000000009\",\"from_uri\":\"a\",\"to_uri\":\"b\"}",
		"{\"tenant_uuid\":[],\"from_uri\":\"a\",\"to_uri\":\"b\"}",
	};
	static const char by_uuid[] = "{\"tenant_id\":\"" OTHER "\",\"from_uri\":\"a\",\"to_uri\":\"b\"}";
	struct rt_detail detail;
	struct rt_row *row;
	char body[200];
	size_t i;

	assert_true(number > 0);
	for (i = 0; i < NELEM(texts); i++) {
		snprintf(body, sizeof body, "{%s%lld%s,\"from_uri\":\"a\",\"to_uri\":\"b\"}", texts[i].before, (long long)number,
		    texts[i].after);
		assert_int_equal(cdr_parse(&row, d, body, strlen(body), &detail), 0);
		assert_string_equal(row->v[CDR_TENANT].s, OTHER);
		rt_row_unref(row);
	}
	assert_int_equal(cdr_parse(&row, d, by_uuid, strlen(by_uuid), &detail), 0);
	assert_string_equal(row->v[CDR_TENANT].s, OTHER);
	rt_row_unref(row);
	for (i = 0; i < NELEM(unknown); i++)
		assert_int_equal(cdr_parse(&row, d, unknown[i], strlen(unknown[i]), &detail), -ENOENT);
	assert_int_equal(cdr_parse(&row, NULL, by_uuid, strlen(by_uuid), &detail), -ENOENT);
	rt_data_unref(d);
}

static void
what_is_wrong_with_a_body_is_said(void **state)
{
	static const struct {
		const char *body;
		int status;
		const char *part; /* of the detail */
	} rows[] = {
		{ "", 400, "\"" },
		{ "[]", 400, "object" },
		{ "{\"a\":1,\"a\":2}", 400, "\"" },
		{ "{\"from_uri\":\"\xff\"}", 400, "\"" },
		{ "{\"from_uri\":\"a\\u0000b\"}", 400, "\"" },
		{ "{\"a\":[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}", 400, "deep" },
		{ "{}", 422, "[{\"loc\":[\"body\",\"from_uri\"],\"msg\":\"field required\",\"type\":\"value_error.missing\"},"
			     "{\"loc\":[\"body\",\"to_uri\"],\"msg\":\"field required\",\"type\":\"value_error.missing\"}]" },
		{ "{\"from_uri\":\"a\",\"to_uri\":null}", 422, "to_uri" },
		{ "{\"from_uri\":\"a\",\"to_uri\":7}", 422, "to_uri" },
		{ "{\"from_uri\":\"a\",\"to_uri\":\"b\\r\\nX: y\"}", 422, "to_uri" },
		{ "{\"from_uri\":\"a\",\"to_uri\":\"b\",\"source_ip\":\"300.1.1.1\"}", 422, "source_ip" },
		{ "{\"from_uri\":\"a\",\"to_uri\":\"b\",\"source_port\":70000}", 422, "source_port" },
		{ "{\"from_uri\":\"a\",\"to_uri\":\"b\",\"duration\":\"long\"}", 422, "duration" },
		{ "{\"from_uri\":\"a\",\"to_uri\":\"b\",\"duration\":-1}", 422, "duration" },
		{ "{\"from_uri\":\"a\",\"to_uri\":\"b\",\"call_start\":\"yesterday\"}", 422, "call_start" },
		{ "{\"from_uri\":\"a\",\"to_uri\":\"b\",\"call_start\":1e300}", 422, "call_start" },
		{ "{\"from_uri\":\"a\",\"to_uri\":\"b\",\"call_start\":{}}", 422, "call_start" },
		{ "{\"from_uri\":\"a\",\"to_uri\":\"b\",\"ipbx_id\":\"x\"}", 422, "ipbx_id" },
	};
	struct rt_data *d = data_of_two();
	struct rt_detail detail;
	struct rt_row *row;
	char *long_body, *text;
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		int rc = cdr_parse(&row, d, rows[i].body, strlen(rows[i].body), &detail);

		if (rc != -EINVAL || detail.status != rows[i].status)
			fail_msg("%s: %d, status %d", rows[i].body, rc, detail.status);
		text = json_dumps(detail.detail, JSON_ENCODE_ANY | JSON_COMPACT);
		if (strstr(text, rows[i].part) == NULL)
			fail_msg("%s: %s does not say %s", rows[i].body, text, rows[i].part);
		free(text);
		json_decref(detail.detail);
	}
	long_body = xcalloc(1, 1000);
	strcpy(long_body, "{\"to_uri\":\"b\",\"from_uri\":\"");
	memset(long_body + strlen(long_body), 'a', 513);
	strcat(long_body, "\"}");
	assert_int_equal(cdr_parse(&row, d, long_body, strlen(long_body), &detail), -EINVAL);
	assert_int_equal(detail.status, 422);
	json_decref(detail.detail);
	free(long_body);
	rt_data_unref(d);
}

static void
csv_is_quoted_where_it_must(void **state)
{
	struct rt_row *row = row_of(5, TENANT, "a,\"b\"");
	struct buf b = { 0 };

	cdr_csv_header(&b);
	cdr_csv(row, &b);
	assert_string_equal(b.s,
	    "id,tenant_uuid,ipbx_id,carrier_trunk_id,source_ip,source_port,from_uri,to_uri,call_id,call_start,duration\r\n"
	    "5," TENANT ",,,,,sip:a@example.org,sip:+33123@example.net,\"a,\"\"b\"\"\",2026-11-21T03:40:00+00:00,12\r\n");
	buf_free(&b);
	rt_row_unref(row);
}

/* ---- the store ---- */

static void
what_is_told_is_stored_with_its_id(void **state)
{
	struct cx x;
	struct cdr_view v;

	cx_start(&x, *state);
	add(&x, "a");
	add(&x, "b");
	assert_int_equal(x.told, 0);
	cdrs_view(x.c, &v);
	assert_int_equal(v.waiting, 2);
	await_told(&x, 2);
	assert_string_equal(x.said.s, "1:a 2:b ");
	cx_close(&x);
	cx_open(&x);
	add(&x, "c"); /* before it is known what the file holds */
	await_told(&x, 3);
	assert_string_equal(x.said.s, "1:a 2:b 3:c ");
	assert_lists(&x, ALL, "1:a 2:b 3:c ");
	cdrs_view(x.c, &v);
	assert_true(v.stored == 1 && v.newest == 3 && v.oldest == 1 && v.count == 3 && v.waiting == 0 && !v.failing);
	cx_stop(&x);
	assert_string_equal(fx_logged(*state), "");
}

/* A commit for each would be 2,000 of them. */
static void
what_comes_together_is_committed_together(void **state)
{
	struct cx x;
	struct store_view before, after;
	int i;

	cx_start(&x, *state);
	add(&x, "first");
	await_told(&x, 1);
	store_view(x.f->st, &before);
	for (i = 0; i < 2000; i++)
		add(&x, "x");
	await_told(&x, 2001);
	store_view(x.f->st, &after);
	assert_in_range(after.commits - before.commits, 1, 3);
	cx_stop(&x);
}

static void
too_many_are_refused(void **state)
{
	struct cx x;
	struct cdr_view v;
	int i;

	cx_start(&x, *state);
	for (i = 0; i < 10000; i++)
		add(&x, "x");
	assert_int_equal(add_of(&x, TENANT, "x"), -EBUSY);
	cdrs_view(x.c, &v);
	assert_true(v.refused == 1 && v.waiting == 10000);
	await_told(&x, 10000);
	assert_int_equal(add_of(&x, TENANT, "x"), 0);
	await_told(&x, 10001);
	cx_stop(&x);
}

static void
a_full_disk_refuses_them_and_is_over_with_it(void **state)
{
	struct cx x;
	struct cdr_view v;

	cx_start(&x, *state);
	add(&x, "a");
	await_told(&x, 1);
	store_fail_next(x.f->st, -ENOSPC, 2);
	add(&x, "lost");
	await_told(&x, 2);
	assert_int_equal(x.err, -ENOSPC);
	add(&x, "lost too");
	await_told(&x, 3);
	assert_int_equal(x.err, -ENOSPC);
	cdrs_view(x.c, &v);
	assert_true(v.failing && v.refused == 2 && v.stored == 1);
	assert_non_null(strstr(fx_logged(x.f), "error cdr: cannot store CDRs: No space left on device"));
	assert_null(strstr(strstr(fx_logged(x.f), "cannot store") + 1, "cannot store"));
	add(&x, "b");
	await_told(&x, 4);
	assert_int_equal(x.err, 0);
	assert_string_equal(x.said.s, "1:a 2:b ");
	assert_non_null(strstr(fx_logged(x.f), "notice cdr: stores again; 2 CDRs were refused meanwhile"));
	assert_lists(&x, ALL, "1:a 2:b ");
	cx_stop(&x);
}

static void
what_waits_at_the_end_is_stored_and_told_so(void **state)
{
	struct cx x;
	size_t told;
	int i;

	cx_start(&x, *state);
	add(&x, "a");
	await_told(&x, 1);
	add(&x, "b");
	fx_await(x.f, told_so_many, &(struct count){ &x, 1 }); /* on its way, perhaps */
	for (i = 0; i < 3; i++)
		add(&x, "c");
	cdrs_list(x.c, &ALL, on_list, &x);
	x.told = 0;
	cdrs_free(x.c);
	told = x.told;
	assert_in_range(told, 4, 5); /* the list, three, and perhaps the one that was on its way */
	assert_int_equal(x.err, -ECANCELED);
	fx_stop(x.f);
	assert_int_equal(x.told, told);
	cx_open(&x);
	assert_lists(&x, ALL, "1:a 2:b 3:c 4:c 5:c ");
	cx_stop(&x);
}

static void
lists_are_narrowed(void **state)
{
	struct cx x;

	cx_start(&x, *state);
	add(&x, "a");
	assert_int_equal(add_of(&x, OTHER, "b"), 0);
	add(&x, "c");
	assert_int_equal(add_of(&x, OTHER, "b"), 0);
	add(&x, "e");
	await_told(&x, 5);
	assert_lists(&x, Q(.limit = 2), "1:a 2:b ");
	assert_lists(&x, Q(.limit = 2, .after = 2), "3:c 4:b ");
	assert_lists(&x, Q(.limit = 9, .after = 5), "");
	assert_lists(&x, Q(.limit = 9, .after = UINT64_MAX), "");
	assert_lists(&x, Q(.limit = 2, .newest = true), "5:e 4:b ");
	assert_lists(&x, Q(.limit = 9, .newest = true, .after = 3), "5:e 4:b ");
	assert_lists(&x, Q(.limit = 9, .tenant_uuid = "3F2A7C1E-0000-4000-8000-000000000002"), "2:b 4:b ");
	assert_lists(&x, Q(.limit = 1, .tenant_uuid = TENANT, .newest = true), "5:e ");
	assert_lists(&x, Q(.limit = 9, .call_id = "c"), "3:c ");
	assert_lists(&x, Q(.limit = 9, .call_id = "B"), "");
	assert_lists(&x, Q(.limit = 2, .skip = 1, .tenant_uuid = TENANT), "3:c 5:e ");
	assert_lists(&x, Q(.limit = 2, .skip = 9), "");
	cx_stop(&x);
}

/* A list goes over more rows than the worker reads at once. */
static void
long_lists_come_whole(void **state)
{
	struct cx x;
	int i;

	cx_start(&x, *state);
	add(&x, "first");
	for (i = 0; i < 3500; i++)
		add(&x, "x");
	add(&x, "last");
	await_told(&x, 3502);
	assert_lists(&x, Q(.limit = 5, .call_id = "last"), "3502:last ");
	assert_lists(&x, Q(.limit = 5, .call_id = "first", .newest = true), "1:first ");
	assert_lists(&x, Q(.limit = 3, .skip = 3499), "3500:x 3501:x 3502:last ");
	cx_stop(&x);
}

static void
on_imported(void *arg, int err, uint64_t id)
{
	struct cx *x = arg;

	x->told++;
	x->err = err;
	buf_printf(&x->said, "%llu ", (unsigned long long)id);
}

static void
import(struct cx *x, int64_t a, const char *call_a, int64_t b, const char *call_b)
{
	struct rt_row **rows = xcalloc(2, sizeof *rows);

	rows[0] = row_of(a, TENANT, call_a);
	rows[1] = row_of(b, TENANT, call_b);
	cx_forget(x);
	cdrs_import(x->c, rows, 2, on_imported, x);
	assert_int_equal(x->told, 0);
	await_told(x, 1);
}

static void
imports_are_all_or_nothing(void **state)
{
	struct cx x;

	cx_start(&x, *state);
	import(&x, 10, "j", 4, "d");
	assert_int_equal(x.err, 0);
	assert_lists(&x, ALL, "4:d 10:j ");
	import(&x, 10, "j", RT_NULL, "k");
	assert_int_equal(x.err, 0);
	import(&x, 20, "t", 4, "other");
	assert_int_equal(x.err, -EEXIST);
	assert_string_equal(x.said.s, "4 ");
	assert_lists(&x, ALL, "4:d 10:j 11:k ");
	add(&x, "l");
	await_told(&x, 1);
	assert_string_equal(x.said.s, "12:l ");
	assert_string_equal(fx_logged(x.f), "");
	cx_stop(&x);
}

static bool
is_trimmed(void *arg)
{
	struct cx *x = arg;
	struct cdr_view v;

	cdrs_view(x->c, &v);
	return v.count == (size_t)x->conf.cdr_max;
}

/* A lower routing.cdr.max takes effect although nothing comes, in bounded steps. */
static void
old_ones_go_without_new_ones(void **state)
{
	struct cx x;
	int i;

	cx_start(&x, *state);
	for (i = 0; i < 2600; i++)
		add(&x, "x");
	await_told(&x, 2600);
	x.conf.cdr_max = 5;
	cdrs_set_conf(x.c, &x.conf);
	fx_await(x.f, is_trimmed, &x);
	assert_lists(&x, ALL, "2596:x 2597:x 2598:x 2599:x 2600:x ");
	cx_stop(&x);
}

/* ---- the stop ---- */

static void
on_settled(void *arg)
{
	*(bool *)arg = true;
}

static bool
is_settled(void *arg)
{
	return *(const bool *)arg;
}

static void
a_stop_waits_for_what_was_taken(void **state)
{
	bool settled = false;
	struct cdr_view v;
	struct cx x;

	cx_start(&x, *state);
	add(&x, "a");
	add(&x, "b");
	cdrs_settle(x.c, AWAIT_MS, on_settled, &settled);
	assert_int_equal(add_of(&x, TENANT, "c"), -ECANCELED);
	assert_false(settled);
	fx_await(x.f, is_settled, &settled);
	assert_int_equal(x.told, 2);
	assert_string_equal(x.said.s, "1:a 2:b ");
	cdrs_view(x.c, &v);
	assert_int_equal(v.refused, 1);
	assert_lists(&x, ALL, "1:a 2:b ");
	assert_string_equal(fx_logged(x.f), "");
	cx_stop(&x);
}

static void
a_stop_has_nothing_to_wait_for(void **state)
{
	bool settled = false;
	struct cx x;

	cx_start(&x, *state);
	cdrs_settle(x.c, AWAIT_MS, on_settled, &settled);
	assert_false(settled);
	fx_await(x.f, is_settled, &settled);
	cx_stop(&x);
}

/* A disk that does not come back; and an operator who does not wait. */
struct slow {
	struct worker_job job;
	int fds[2];
	bool done;
};

static void
slow_run(struct worker_job *job)
{
	char c;

	(void)!read(CONTAINER_OF(job, struct slow, job)->fds[0], &c, 1);
}

static void
slow_done(struct worker_job *job)
{
	CONTAINER_OF(job, struct slow, job)->done = true;
}

static void
assert_stop_gives_up(struct fx *f, int64_t timeout_ms, bool again)
{
	struct slow slow = { .job = { .run = slow_run, .done = slow_done } };
	bool settled = false;
	struct cx x;

	cx_start(&x, f);
	assert_int_equal(pipe(slow.fds), 0);
	worker_submit(x.f->worker, WORKER_URGENT, &slow.job);
	add(&x, "a");
	cdrs_settle(x.c, timeout_ms, on_settled, &settled);
	if (again)
		cdrs_settle(x.c, timeout_ms, on_settled, &settled);
	fx_await(x.f, is_settled, &settled);
	assert_int_equal(x.told, 0);
	assert_string_equal(fx_logged(x.f), "warning cdr: 1 CDRs still wait for the disk at the stop: who sent them is told to send them "
	    "again, though they may be stored yet\n");
	assert_int_equal(write(slow.fds[1], "", 1), 1);
	await_told(&x, 1);
	assert_int_equal(x.err, 0);
	fx_await(x.f, is_settled, &slow.done);
	close(slow.fds[0]);
	close(slow.fds[1]);
	cx_stop(&x);
}

static void
a_stop_does_not_wait_for_ever(void **state)
{
	assert_stop_gives_up(*state, 20, false);
}

static void
a_second_word_is_not_kept_waiting(void **state)
{
	assert_stop_gives_up(*state, AWAIT_MS, true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
		cmocka_unit_test(bodies_become_rows),
		cmocka_unit_test(a_tenant_is_found_by_its_number_too),
		cmocka_unit_test(what_is_wrong_with_a_body_is_said),
		cmocka_unit_test(csv_is_quoted_where_it_must),
		T(what_is_told_is_stored_with_its_id),
		T(what_comes_together_is_committed_together),
		T(too_many_are_refused),
		T(a_full_disk_refuses_them_and_is_over_with_it),
		T(what_waits_at_the_end_is_stored_and_told_so),
		T(lists_are_narrowed),
		T(long_lists_come_whole),
		T(imports_are_all_or_nothing),
		T(old_ones_go_without_new_ones),
		T(a_stop_waits_for_what_was_taken),
		T(a_stop_has_nothing_to_wait_for),
		T(a_stop_does_not_wait_for_ever),
		T(a_second_word_is_not_kept_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
