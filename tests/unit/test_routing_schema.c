/*
 * schema: the tables of the routing data agree with themselves, and time windows are understood and open when they say.
 */
#include <time.h>

#include "rtdata_fx.h"

static void
tables_agree_with_themselves(void **state)
{
	for (int t = 0; t < RT_ALL; t++) {
		const struct rt_schema *s = &rt_schemas[t];

		assert_int_equal(rt_schema_find(s->name), t);
		assert_true(s->n_cols >= 2 && s->n_cols <= RT_COLS_MAX);
		assert_true(s->path[0] != '\0' && s->title[0] != '\0');
		assert_true(s->cols[0].flags & RT_REQUIRED);
		for (size_t c = 0; c < s->n_cols; c++) {
			const struct rt_column *col = &s->cols[c];

			assert_int_equal(rt_column_find(s, col->name), (int)c);
			assert_true(col->help[0] != '\0');
			assert_true(col->max >= col->min && col->ref < (int)RT_TABLES);
			if (col->type != RT_INT && col->type != RT_BOOL)
				assert_true(col->max <= RT_TEXT_MAX);
			if (col->ref >= 0 && col->type == RT_UUID)
				assert_int_equal(col->ref, RT_TENANTS);
			assert_false((col->flags & RT_REQUIRED) && col->def != NULL);
		}
		for (const int *u = s->unique; *u >= 0; u++)
			assert_true(*u < (int)s->n_cols && u < s->unique + 3);
	}
	assert_int_equal(rt_schema_find("trunks"), -1);
	assert_int_equal(rt_column_find(&rt_schemas[RT_DIDS], "name"), -1);
}

static void
secrets_and_derived_columns_are_marked(void **state)
{
	assert_true(rt_schemas[RT_TRUNKS].cols[TRUNK_PASSWORD].flags & RT_SECRET);
	assert_true(rt_schemas[RT_IPBXS].cols[IPBX_PASSWORD].flags & RT_SECRET);
	assert_true(rt_schemas[RT_IPBXS].cols[IPBX_HA1].flags & RT_SECRET);
	assert_true(rt_schemas[RT_DIDS].cols[DID_PREFIX].flags & RT_DERIVED);
	assert_true(rt_schemas[RT_NORM_RULES].cols[NORM_PREFIX].flags & RT_DERIVED);
}

static void
windows_that_are_understood(void **state)
{
	static const char *const good[] = { "", "  ", "mon", "Mon-FRI 08:00-18:00", "mon-fri 08:00-18:00, sat 09:00-12:30 utc",
		"mon,wed 10:00-11:00", "mon , wed-thu,sun 10:00 - 11:00 UTC; 22:00-06:00", "00:00-24:00", "sat-mon utc", "sun; mon 08:00-12:00",
		"mon\t08:00-12:00" };
	struct buf why = { 0 };

	for (size_t i = 0; i < NELEM(good); i++)
		if (!rt_windows_check(good[i], &why))
			fail_msg("%s: %s", good[i], why.s);
	assert_null(why.s);
}

static void
windows_that_are_not(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{ "monday", "a day (mon tue wed thu fri sat sun) expected from byte 1 on" },
		{ "mon-", "a day (mon tue wed thu fri sat sun) expected at its end" },
		{ "mon-fri, 08:00-10:00", "a day (mon tue wed thu fri sat sun) expected from byte 10 on" },
		{ "08:00", "hours (HH:MM-HH:MM) expected at its end" },
		{ "8:00-9:00", "hours (HH:MM-HH:MM) expected from byte 1 on" },
		{ "08:60-09:00", "hours (HH:MM-HH:MM) expected from byte 1 on" },
		{ "24:00-01:00", "hours (HH:MM-HH:MM) expected from byte 6 on" },
		{ "08:00-24:01", "hours (HH:MM-HH:MM) expected from byte 7 on" },
		{ "08:00-10:00x", "another window, or the end expected from byte 12 on" },
		{ "utc", "or hours (HH:MM-HH:MM) expected from byte 1 on" },
		{ "mon 08:00-09:00,", "another window expected at its end" },
		{ ";", "or hours (HH:MM-HH:MM) expected from byte 1 on" },
		{ "mon 08:00-09:00 cet", "another window, or the end expected from byte 17 on" },
	};

	for (size_t i = 0; i < NELEM(bad); i++) {
		struct buf why = { 0 };

		assert_false(rt_windows_check(bad[i].text, &why));
		if (strstr(why.s, bad[i].why) == NULL)
			fail_msg("%s:\n got %s\nwant %s", bad[i].text, why.s, bad[i].why);
		assert_false(rt_windows_open(bad[i].text, 1795230000));
		buf_free(&why);
	}
}

/* 2026-11-16 is a monday. */
static int64_t
utc(int day, int hour, int minute)
{
	struct tm tm = { .tm_year = 126, .tm_mon = 10, .tm_mday = day, .tm_hour = hour, .tm_min = minute };

	return timegm(&tm);
}

static void
windows_are_open(void **state)
{
	enum { MON = 16, TUE, WED, THU, FRI, SAT, SUN };
	static const struct {
		const char *windows;
		int day, hour, minute;
		bool open;
	} cases[] = {
		{ "", MON, 3, 0, true },
		/* the clock of the machine is an hour ahead of UTC (TZ below) */
		{ "mon 08:00-18:00", MON, 7, 0, true },
		{ "mon 08:00-18:00", MON, 6, 59, false },
		{ "mon 08:00-18:00", MON, 16, 59, true },
		{ "mon 08:00-18:00", MON, 17, 0, false }, /* the end is exclusive */
		{ "mon 08:00-18:00", TUE, 10, 0, false },
		{ "mon 08:00-18:00 utc", MON, 7, 0, false },
		{ "mon 08:00-18:00 utc", MON, 17, 59, true },
		{ "tue utc", MON, 23, 30, false },
		{ "tue", MON, 23, 30, true },
		{ "mon-fri", FRI, 12, 0, true },
		{ "mon-fri", SAT, 12, 0, false },
		{ "sat-mon", SUN, 12, 0, true },
		{ "sat-mon", TUE, 12, 0, false },
		{ "mon,wed 10:00-11:00 utc", MON, 10, 30, true },
		{ "mon,wed 10:00-11:00 utc", WED, 10, 30, true },
		{ "mon,wed 10:00-11:00 utc", TUE, 10, 30, false },
		{ "mon,wed 10:00-11:00 utc", MON, 12, 0, false },
		{ "mon; wed 10:00-11:00 utc", MON, 12, 0, true },
		/* over midnight: it is the day on which it begins */
		{ "fri 22:00-06:00 utc", FRI, 22, 0, true },
		{ "fri 22:00-06:00 utc", SAT, 5, 59, true },
		{ "fri 22:00-06:00 utc", SAT, 6, 0, false },
		{ "fri 22:00-06:00 utc", FRI, 5, 0, false },
		{ "fri 22:00-06:00 utc", SAT, 22, 30, false },
		{ "sun 22:00-06:00 utc", MON, 1, 0, true },
		{ "22:00-06:00 utc", WED, 1, 0, true },
		{ "mon 08:00-08:00 utc", TUE, 7, 59, true }, /* a day long */
		{ "mon 08:00-08:00 utc", TUE, 8, 0, false },
		{ "mon 20:00-24:00 utc", MON, 23, 59, true },
		{ "mon 20:00-24:00 utc", TUE, 0, 0, false },
		{ "mon-fri 08:00-18:00 utc, sat 09:00-12:30 utc", SAT, 12, 29, true },
		{ "mon-fri 08:00-18:00 utc, sat 09:00-12:30 utc", SAT, 12, 30, false },
	};

	assert_int_equal(setenv("TZ", "XYZ-1", 1), 0);
	tzset();
	assert_true(rt_windows_open(NULL, utc(MON, 3, 0)));
	for (size_t i = 0; i < NELEM(cases); i++)
		if (rt_windows_open(cases[i].windows, utc(cases[i].day, cases[i].hour, cases[i].minute)) != cases[i].open)
			fail_msg("%s at %d %02d:%02d: not %s", cases[i].windows, cases[i].day, cases[i].hour, cases[i].minute,
			    cases[i].open ? "open" : "closed");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_agree_with_themselves),
		cmocka_unit_test(secrets_and_derived_columns_are_marked),
		cmocka_unit_test(windows_that_are_understood),
		cmocka_unit_test(windows_that_are_not),
		cmocka_unit_test(windows_are_open),
	};

	return cmocka_run_group_tests_name("routing_schema", tests, NULL, NULL);
}
