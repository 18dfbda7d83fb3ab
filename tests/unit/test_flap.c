/*
 * flap: the arithmetic of damping: what a going costs, how it halves, where it ends.
 */
#include "judge_fx.h"
#include "topology/flap.h"

static const struct judge_conf defaults = {
	.flap_suppress = 2000, .flap_reuse = 750, .flap_half_life_ms = 5 * MIN, .flap_max_ms = 30 * MIN,
};

static long
units(int64_t thousandths)
{
	return (long)((thousandths + 500) / 1000);
}

static void
test_it_halves(void **state)
{
	static const struct {
		int64_t after_ms;
		long want;
	} rows[] = {
		{ 0, 1000 }, { -5 * MIN, 1000 }, { 5 * MIN, 500 }, { 10 * MIN, 250 }, { 15 * MIN, 125 },
		{ 150 * SEC, 707 }, { 75 * SEC, 841 }, { 124 * SEC, 751 }, { 125 * SEC, 749 }, { 30 * MIN, 16 },
		{ 10 * HOUR, 0 }, { 100000 * HOUR, 0 },
	};
	struct flap f = { 0 };
	int64_t t, last = INT64_MAX;
	size_t i;

	flap_going(&f, &defaults, 7000);
	assert_int_equal(f.goings, 1);
	for (i = 0; i < NELEM(rows); i++)
		assert_int_equal(units(flap_penalty(&f, &defaults, 7000 + rows[i].after_ms)), rows[i].want);
	/* and never rises, to the last bit */
	for (t = 0; t < 20 * MIN; t += 7) {
		int64_t p = flap_penalty(&f, &defaults, 7000 + t);

		assert_true(p <= last);
		last = p;
	}
}

/* A rolling restart, each twice: nobody comes near the limit; a third soon after is over it. */
static void
test_goings_add(void **state)
{
	static const struct {
		int64_t every_ms;
		unsigned goings;
		long want; /* right after the last */
	} rows[] = {
		{ SEC, 2, 1998 }, { SEC, 3, 2993 }, { MIN, 2, 1871 }, { MIN, 3, 2628 }, { 5 * MIN, 2, 1500 },
		{ 5 * MIN, 3, 1750 }, { 5 * MIN, 40, 2000 }, { 10 * MIN, 40, 1333 }, { 30 * MIN, 40, 1000 },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct flap f = { 0 };
		int64_t now = 1000;
		unsigned k;

		for (k = 0; k < rows[i].goings; k++, now += rows[i].every_ms)
			flap_going(&f, &defaults, now);
		assert_int_equal(units(f.penalty), rows[i].want);
		/* what was long ago is not counted */
		assert_int_equal(f.goings, rows[i].every_ms == 30 * MIN ? 1 : rows[i].goings);
	}
}

/* Whatever the limits, and however wild it was: flap_max after the last going it may come back, not much before. */
static void
test_it_ends(void **state)
{
	static const struct {
		int64_t suppress, reuse, half_life_ms, max_ms;
		bool room; /* the ceiling is above suppress */
	} rows[] = {
		{ 2000, 750, 5 * MIN, 30 * MIN, true },
		{ 2000, 750, 5 * MIN, 5 * MIN, false },
		{ 2000, 750, SEC, 24 * HOUR, true },
		{ 2000, 750, 24 * HOUR, SEC, false },
		{ 20000, 1, SEC, SEC, false },
		{ 20000, 19999, 24 * HOUR, 24 * HOUR, true },
		{ 2, 1, 10 * SEC, MIN, true },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		const struct judge_conf c = { .flap_suppress = rows[i].suppress, .flap_reuse = rows[i].reuse,
			.flap_half_life_ms = rows[i].half_life_ms, .flap_max_ms = rows[i].max_ms };
		struct flap f = { 0 };
		int64_t in;
		int k;

		for (k = 0; k < 20000; k++)
			flap_going(&f, &c, 1);
		assert_int_equal(f.goings, 20000);
		assert_true(f.penalty >= c.flap_suppress * 1000);
		assert_true(flap_penalty(&f, &c, 1 + c.flap_max_ms) < c.flap_reuse * 1000);
		in = flap_reuse_in(&f, &c, 1);
		assert_true(in > 0 && in <= c.flap_max_ms);
		if (rows[i].room && c.flap_half_life_ms > SEC)
			assert_true(in > c.flap_max_ms * 9 / 10);
		assert_true(flap_penalty(&f, &c, 1 + in) < c.flap_reuse * 1000);
		assert_true(flap_penalty(&f, &c, in) >= c.flap_reuse * 1000);
		assert_int_equal(flap_reuse_in(&f, &c, 1 + in), 0);
		assert_int_equal(flap_reuse_in(&f, &c, 1 + 2 * in), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_halves),
		cmocka_unit_test(test_goings_add),
		cmocka_unit_test(test_it_ends),
	};

	return cmocka_run_group_tests_name("flap", tests, NULL, NULL);
}
