/* blocking: which index is waited for, how fast queries follow each other, and what an answer says of the leader. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "consul/blocking.h"

#define WAIT 60000

/* One query, and its answer `after` ms later; the time then. */
static int64_t
ask(struct blocking *b, int64_t now, int64_t after, int64_t want_wait)
{
	assert_int_equal(blocking_ask(b, now, WAIT), want_wait);
	assert_int_equal(b->wait_ms, want_wait);
	blocking_arrived(b, now + after);
	assert_int_equal(b->took_ms, after);
	return now + after;
}

/* Only where an index is known, and the last query went well. */
static void
what_waits(void **state)
{
	struct blocking b = { 0 };

	ask(&b, 5000, 1, 0);
	assert_true(blocking_take(&b, 100));
	ask(&b, 5001, 100, WAIT);
	assert_false(blocking_take(&b, 100));
	ask(&b, 5101, 100, WAIT);
	assert_true(blocking_take(&b, 101));
	assert_int_equal(blocking_ask(&b, 5201, 0), 0); /* another question, that shall not wait */
	(void)blocking_fail(&b);
	ask(&b, 6000, 1, 0);
	assert_int_equal(b.index, 101); /* kept: did it move meanwhile? */
	assert_false(blocking_take(&b, 101));
	ask(&b, 6001, 1, WAIT);
}

static void
an_index_that_goes_back_begins_anew(void **state)
{
	struct blocking b = { 0 };

	ask(&b, 0, 1, 0);
	assert_true(blocking_take(&b, 100));
	ask(&b, 1, 1, WAIT);
	assert_true(blocking_take(&b, 99));
	ask(&b, 2, 1, 0);
	assert_true(blocking_take(&b, 99));
	ask(&b, 3, 1, WAIT);
}

static void
early_is_nothing_new_before_half_the_time(void **state)
{
	static const struct {
		uint64_t index;
		int64_t after;
		bool early;
	} rows[] = {
		{ 7, 0, true }, { 7, WAIT / 2 - 1, true }, { 7, WAIT / 2, false }, { 8, 0, false }, { 6, 0, false },
	};
	struct blocking b;
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		b = (struct blocking){ .index = 7 };
		ask(&b, 1000, rows[i].after, WAIT);
		if (blocking_is_early(&b, rows[i].index) != rows[i].early)
			fail_msg("row %zu", i);
	}
	b = (struct blocking){ .index = 7, .doubtful = true };
	ask(&b, 1000, 0, 0);
	assert_false(blocking_is_early(&b, 7)); /* it did not wait */
}

/* 20 at once, then 2 a second; a pause earns no more than 20 again. */
static void
the_pace(void **state)
{
	struct blocking b = { 0 };
	int64_t now = 1000, begin;
	int i, n, round;

	for (round = 0; round < 2; round++) {
		begin = now;
		for (n = 0; blocking_pace_ms(&b, now) == 0; n++)
			(void)blocking_ask(&b, now, WAIT);
		assert_int_equal(n, 20);
		for (i = 0; i < 10; i++) {
			now += blocking_pace_ms(&b, now);
			(void)blocking_ask(&b, now, WAIT);
		}
		assert_int_equal(now - begin, 5000);
		now += 3600000;
	}
}

static void
failures_double_the_delay(void **state)
{
	static const int64_t want[] = { 250, 500, 1000, 2000, 4000, 8000, 15000, 15000 };
	struct blocking b = { .index = 3 };
	size_t i;

	for (i = 0; i < NELEM(want); i++)
		assert_int_equal(blocking_fail(&b), want[i]);
	assert_int_equal(b.failures, NELEM(want));
	for (i = 0; i < 100; i++)
		assert_int_equal(blocking_fail(&b), 15000);
	b.failures = 0; /* it works again */
	assert_int_equal(blocking_fail(&b), 250);
}

static void
indexes(void **state)
{
	static const struct {
		const char *text;
		uint64_t want; /* 0: refused */
	} rows[] = {
		{ "1", 1 }, { "18446744073709551615", UINT64_MAX }, { "007", 7 }, { NULL, 0 }, { "", 0 }, { "0", 0 }, { "-1", 0 },
		{ "+1", 0 }, { " 1", 0 }, { "1 ", 0 }, { "1x", 0 }, { "0x10", 0 }, { "18446744073709551616", 0 },
	};
	uint64_t got;
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		got = 42;
		assert_int_equal(blocking_parse_index(rows[i].text, &got), rows[i].want ? 0 : -EINVAL);
		assert_true(got == (rows[i].want ? rows[i].want : 42));
	}
}

/* What Consul 1.8 says when two of three servers are dead, and on the way there and back. */
static void
the_leader(void **state)
{
	static const char lost[] = "rpc error making call: No cluster leader", broken[] = "rpc error getting client: failed to get conn";
	static const struct {
		int64_t wait_ms;
		int status;
		const char *header, *body;
		bool before, after; /* it is known that there is none */
	} rows[] = {
		{ 0, 200, "true", "[]", false, false }, { 0, 200, "true", "[]", true, false },
		{ 0, 200, "false", "[]", false, true }, { 0, 200, "false", "[]", true, true },
		{ 0, 200, "False", "[]", false, true }, { 0, 404, "false", "", false, true },
		{ 0, 200, NULL, "[]", false, false }, { 0, 200, NULL, "[]", true, false },
		/* it tells how it was before it waited */
		{ WAIT, 200, "false", "[]", false, false }, { WAIT, 200, "true", "[]", true, true },
		/* the header of an error is empty, not false */
		{ 0, 500, "false", broken, false, false }, { 0, 500, "false", broken, true, true },
		{ 0, 500, NULL, lost, false, true }, { WAIT, 500, NULL, lost, false, true }, { 0, 500, NULL, lost, true, true },
		{ 0, 500, NULL, NULL, false, false }, { 0, 403, NULL, "ACL not found", true, true },
		/* a value that says so */
		{ 0, 200, "true", lost, false, false },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct blocking b = { .wait_ms = rows[i].wait_ms, .no_leader_ms = rows[i].before ? 1000 : 0 };

		blocking_note_leader(&b, 2000, rows[i].status, rows[i].header, rows[i].body);
		if (b.no_leader_ms != (!rows[i].after ? 0 : rows[i].before ? 1000 : 2000))
			fail_msg("row %zu: %lld", i, (long long)b.no_leader_ms);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_waits),
		cmocka_unit_test(an_index_that_goes_back_begins_anew),
		cmocka_unit_test(early_is_nothing_new_before_half_the_time),
		cmocka_unit_test(the_pace),
		cmocka_unit_test(failures_double_the_delay),
		cmocka_unit_test(indexes),
		cmocka_unit_test(the_leader),
	};

	return cmocka_run_group_tests_name("blocking", tests, NULL, NULL);
}
