/*
 * show: the rows of "show dispatcher", of what is wanted and what Kamailio lists.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/jsonx.h"
#include "control/control.h"
#include "kamailio/dslist.h"

static struct conf_set one = { .name = (char[]){ "1" }, .id = 1 }, seven = { .name = (char[]){ "7" }, .id = 7 };
static struct conf_set *sets[] = { &seven, &one };
static const struct conf_kamailio sbc = { .name = (char[]){ "sbc" }, .sets = sets, .n_sets = NELEM(sets) };

static void
assert_row(const json_t *row, const char *target, const char *uri, const char *desired, const char *actual)
{
	static const char *const keys[] = { "target", "uri", "desired", "actual" };
	const char *const want[] = { target, uri, desired, actual };
	size_t i;

	for (i = 0; i < NELEM(keys); i++) {
		const char *got = jsonx_get_text(row, keys[i]);

		if (want[i] == NULL ? got != NULL : got == NULL || strcmp(got, want[i]) != 0)
			fail_msg("%s: %s is %s, not %s", uri, keys[i], got ? got : "null", want[i] ? want[i] : "null");
	}
}

/* By set as they are configured: what is wanted, then what is listed besides; nobody else's set. */
static void
wanted_beside_listed(void **state)
{
	struct ds_entries want = { 0 }, have = { 0 };
	json_t *rows;

	ds_entries_add(&want, 1, "sip:a", DS_DISABLED, 5, "weight=1");
	ds_entries_add(&want, 1, "sip:b", 0, 0, NULL);
	ds_entries_add(&want, 7, "sip:a", DS_NODNS, 0, NULL);
	ds_entries_add(&have, 1, "sip:c", DS_INACTIVE | DS_PROBING, 3, NULL);
	ds_entries_add(&have, 2, "sip:b", 0, 0, NULL);
	ds_entries_add(&have, 1, "sip:a", DS_PROBING, 9, NULL);
	rows = show_sets(&sbc, &want, &have, true);
	assert_int_equal(json_array_size(rows), 4);
	assert_row(json_array_get(rows, 0), "sbc/7", "sip:a", "active", NULL);
	assert_row(json_array_get(rows, 1), "sbc/1", "sip:a", "disabled", "AP");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(rows, 1), "priority")), 5);
	assert_string_equal(jsonx_get_text(json_array_get(rows, 1), "attrs"), "weight=1");
	assert_row(json_array_get(rows, 2), "sbc/1", "sip:b", "active", NULL);
	assert_row(json_array_get(rows, 3), "sbc/1", "sip:c", NULL, "IP");
	json_decref(rows);
	/* of an older connection: nothing is known to be there */
	rows = show_sets(&sbc, &want, &have, false);
	assert_int_equal(json_array_size(rows), 4);
	assert_row(json_array_get(rows, 1), "sbc/1", "sip:a", "disabled", NULL);
	assert_row(json_array_get(rows, 3), "sbc/1", "sip:c", NULL, NULL);
	json_decref(rows);
	ds_entries_clear(&want);
	ds_entries_clear(&have);
}

static double
cpu_s(size_t n)
{
	struct ds_entries want = { 0 }, have = { 0 };
	clock_t begin;
	json_t *rows;
	char uri[64];
	size_t i;

	for (i = 0; i < n; i++) {
		snprintf(uri, sizeof uri, "sip:10.%zu.%zu.%zu:5060", i >> 16, i >> 8 & 255, i & 255);
		ds_entries_add(&want, 1, uri, 0, 0, NULL);
		ds_entries_add(&have, 1, uri, 0, 0, NULL);
	}
	begin = clock();
	rows = show_sets(&sbc, &want, &have, true);
	begin = clock() - begin;
	assert_int_equal(json_array_size(rows), n);
	json_decref(rows);
	ds_entries_clear(&want);
	ds_entries_clear(&have);
	return (double)begin / CLOCKS_PER_SEC;
}

/* The loop stands still meanwhile. Eight times as many take about eight times as long, not 64 times. */
static void
time_grows_with_the_list(void **state)
{
	double few = cpu_s(2500), many = cpu_s(20000);

	printf("show_sets: 2500 destinations %.0f ms, 20000 %.0f ms of CPU\n", few * 1e3, many * 1e3);
	assert_true(many < 24 * few + 0.05);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wanted_beside_listed),
		cmocka_unit_test(time_grows_with_the_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
