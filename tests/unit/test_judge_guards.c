/*
 * judge, guards: shrink, floor, the operator's words, plausibility.
 */
#include "judge_fx.h"

/* ---- shrink ---- */

static void
test_ten_fail_one_by_one(void **state)
{
	static const char *const by_second[] = {
		"UUUUUUUUUU",
		"DUUUUUUUUU",
		"DDUUUUUUUU",
		"DDDUUUUUUU",
		"DDDDUUUUUU",
		"DDDDDUUUUU",
		"DDDDDSUUUU",
		"DDDDDSSUUU",
		"DDDDDSSSUU",
		"DDDDDSSSSU",
	};
	struct fx f;
	size_t i;

	fx_init(&f);
	for (i = 0; i < NELEM(by_second); i++) {
		lists(&f, 0, first(10) & ~first((unsigned)i));
		assert_look(&f, by_second[i]);
		f.now += SEC;
	}
	assert_int_equal(view(&f).active, 5);
	assert_int_equal(view(&f).base, 10);
	assert_int_equal(view(&f).allowed, 5);
	/* the tenth goes too: Consul says NXDOMAIN, which is no proof until it has held */
	for (i = 0; i < 120; i++) {
		lists(&f, 0, 0);
		assert_look(&f, "DDDDDSSSSU");
		f.now += SEC;
	}
	/* then there would be none: the last five stay, for ever, until somebody approves */
	for (i = 0; i < 4 * 3600; i++) {
		lists(&f, 0, 0);
		f.now += SEC;
		if (i < 500)
			assert_look(&f, "DDDDDEEEEE");
	}
	assert_look(&f, "EEEEE");
	assert_true(judge_word(f.j, JUDGE_APPROVE, f.now, f.now));
	assert_look(&f, "DDDDD");
	assert_true(view(&f).known);
	fx_fini(&f);
}

static void
test_greater_loss_stands_then_goes(void **state)
{
	struct fx f;
	int i;

	/* nine fail within nine seconds: each of the held ones leaves when its own minute is over
	 */
	fx_init(&f);
	for (i = 0; i <= 9; i++) {
		lists(&f, 0, first(10) & ~first((unsigned)i));
		f.now += SEC;
	}
	lists_for(&f, 1ull << 9, 55 * SEC);
	assert_look(&f, "DDDDDSSSSU");
	lists_for(&f, 1ull << 9, SEC);
	assert_look(&f, "DDDDDDSSSU");
	lists_for(&f, 1ull << 9, SEC);
	assert_look(&f, "DDDDDDDSSU");
	lists_for(&f, 1ull << 9, 2 * SEC);
	assert_look(&f, "DDDDDDDDDU");
	fx_fini(&f);

	/* one step that is greater than allowed is held as a whole */
	fx_init(&f);
	lists(&f, 0, first(10));
	f.now += SEC;
	lists(&f, 0, first(4));
	assert_look(&f, "UUUUSSSSSS");
	lists_for(&f, first(4), 59 * SEC);
	assert_look(&f, "UUUUSSSSSS");
	lists_for(&f, first(4), SEC);
	assert_look(&f, "UUUUDDDDDD");
	fx_fini(&f);

	/* the greatest step that is allowed is not */
	fx_init(&f);
	lists(&f, 0, first(10));
	f.now += SEC;
	lists(&f, 0, first(5));
	assert_look(&f, "UUUUUDDDDD");
	fx_fini(&f);
}

static void
test_allowed_loss(void **state)
{
	static const struct {
		unsigned count, max_shrink, lost;
		const char *want;
	} rows[] = {
		{ 2, 50, 1, "DU" },
		{ 2, 1, 1, "DU" }, /* always one */
		{ 3, 50, 1, "DUU" },
		{ 3, 50, 2, "SSU" },
		{ 5, 50, 2, "DDUUU" },
		{ 5, 50, 3, "SSSUU" },
		{ 5, 0, 1, "DUUUU" },
		{ 5, 0, 2, "SSUUU" },
		{ 5, 100, 4, "DDDDU" },
		{ 10, 25, 2, "DDUUUUUUUU" },
		{ 10, 25, 3, "SSSUUUUUUU" },
	};
	struct fx f;
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		fx_init(&f);
		f.conf.max_shrink = rows[i].max_shrink;
		lists(&f, 0, first(rows[i].count));
		f.now += SEC;
		lists(&f, 0, first(rows[i].count) & ~first(rows[i].lost));
		assert_look(&f, rows[i].want);
		fx_fini(&f);
	}
}

static void
test_small_steps_fill_the_allowance(void **state)
{
	struct fx f;

	fx_init(&f);
	lists(&f, 0, first(10));
	f.now += SEC;
	lists(&f, 0, first(7));
	assert_look(&f, "UUUUUUUDDD");
	f.now += SEC;
	lists(&f, 0, first(4));
	assert_look(&f, "UUUUDDSDDD");
	/* there is room again, yet what is held waits for its time */
	f.now += SEC;
	lists(&f, 0, first(4) | 1ull << 9);
	assert_look(&f, "UUUUDDSDDU");
	lists_for(&f, first(4) | 1ull << 9, 58 * SEC);
	assert_look(&f, "UUUUDDSDDU");
	lists_for(&f, first(4) | 1ull << 9, SEC);
	assert_look(&f, "UUUUDDDDDU");
	fx_fini(&f);
}

/* After shrink_window the measure is what is there now. */
static void
test_shrink_window_moves_on(void **state)
{
	struct fx f;

	fx_init(&f);
	lists(&f, 0, first(8));
	f.now += SEC;
	lists(&f, 0, first(4));
	assert_look(&f, "UUUUDDDD");
	lists_for(&f, first(4), 4 * MIN);
	assert_int_equal(view(&f).base, 8);
	lists_for(&f, first(4), MIN + SEC);
	assert_int_equal(view(&f).base, 4);
	lists(&f, 0, first(2));
	assert_look(&f, "UUDDDDDD");
	fx_fini(&f);
}

static void
test_held_one_returns(void **state)
{
	struct fx f;

	fx_init(&f);
	lists(&f, 0, first(10));
	f.now += SEC;
	lists(&f, 0, first(2));
	lists_for(&f, first(2), 50 * SEC);
	f.now += SEC;
	lists(&f, 0, first(3));
	assert_look(&f, "UUUSSSSSSS");
	f.now += SEC;
	lists(&f, 0, first(2)); /* gone again: its time begins anew */
	lists_for(&f, first(2), 10 * SEC);
	assert_int_equal(seen(&f, "10.0.0.4:5060").state, TOPO_DISABLED);
	assert_int_not_equal(seen(&f, "10.0.0.3:5060").state, TOPO_UP);
	fx_fini(&f);
}

static void
test_approve(void **state)
{
	struct fx f;

	fx_init(&f);
	assert_false(judge_word(f.j, JUDGE_APPROVE, f.now, f.now));
	lists(&f, 0, first(10));
	assert_false(judge_word(f.j, JUDGE_APPROVE, f.now, f.now));
	f.now += SEC;
	lists(&f, 0, first(3));
	assert_look(&f, "UUUSSSSSSS");
	assert_true(judge_word(f.j, JUDGE_APPROVE, f.now, f.now));
	assert_look(&f, "UUUDDDDDDD");
	/* what comes is measured against what was agreed to: one of three, not five of ten */
	assert_int_equal(view(&f).base, 3);
	f.now += SEC;
	lists(&f, 0, first(1));
	assert_look(&f, "USSDDDDDDD");
	/* and the word was for that loss alone */
	f.now += SEC;
	lists(&f, 0, first(10));
	assert_look(&f, "UUUUUUUUUU");
	f.now += SEC;
	lists(&f, 0, first(3));
	assert_look(&f, "UUUSSSSSSS");
	fx_fini(&f);
}

/* ---- floor ---- */

static void
test_min_instances(void **state)
{
	struct fx f;

	fx_init(&f);
	f.conf.min_instances = 3;
	lists(&f, 0, first(4));
	f.now += SEC;
	lists(&f, 0, first(3));
	assert_look(&f, "UUUD");
	f.now += SEC;
	lists(&f, 0, first(2));
	assert_look(&f, "UUED");
	lists_for(&f, first(2), HOUR);
	assert_look(&f, "UUE");
	/* recovery, and the next loss is measured as any other */
	f.now += SEC;
	lists(&f, 0, first(2) | 1ull << 3);
	assert_look(&f, "UUSU");
	lists_for(&f, first(2) | 1ull << 3, 60 * SEC);
	assert_look(&f, "UUDU");
	f.now += SEC;
	lists(&f, 0, first(4));
	assert_look(&f, "UUUU");
	/* two at once: the whole last set that was enough stays */
	f.now += SEC;
	lists(&f, 0, first(2));
	assert_look(&f, "UUEE");
	f.now += SEC;
	lists(&f, 0, first(4));
	assert_look(&f, "UUUU");
	fx_fini(&f);
}

/* ---- the operator's hold ---- */

static void
test_hold_and_release(void **state)
{
	struct said s;
	struct fx f;

	fx_init(&f);
	f.conf.n_tags = 1;
	f.conf.tags = tag_names;
	lists(&f, 0, first(4));
	f.now += SEC;
	lists(&f, 0, first(3));
	assert_look(&f, "UUUD");
	assert_true(judge_word(f.j, JUDGE_HOLD, f.now, f.now));
	assert_false(judge_word(f.j, JUDGE_HOLD, f.now, f.now));
	assert_true(view(&f).frozen);
	/* 0 gets another weight and a tag, 1 and 2 go, 3 returns, 4 is new */
	said_init(&s, 0, 0x19);
	s.rows[0].weight = 50;
	said_tag(&s, 0, 1);
	f.now += SEC;
	(void)play(&f, &s);
	assert_look(&f, "UFFD");
	assert_int_equal(view(&f).refused, 1);
	assert_string_equal(view(&f).refused_why, "the service is held (c4ctl release)");
	assert_int_equal(seen(&f, "10.0.0.1:5060").weight, 1);
	assert_string_equal(seen(&f, "10.0.0.1:5060").tags, "");
	assert_false(judge_word(f.j, JUDGE_APPROVE, f.now, f.now));
	assert_look(&f, "UFFD");
	/* one that is held may come back: it never left */
	said_init(&s, 0, 0x1b);
	f.now += SEC;
	(void)play(&f, &s);
	assert_look(&f, "UUFD");
	/* not even remove_hold ends while it lasts */
	lists_for(&f, first(2), HOUR);
	assert_look(&f, "UUFD");

	said_init(&s, 0, 0x1b);
	s.rows[0].weight = 50;
	said_tag(&s, 0, 1);
	f.now += SEC;
	(void)play(&f, &s);
	assert_look(&f, "UUFD");
	assert_true(judge_word(f.j, JUDGE_RELEASE, f.now, f.now));
	assert_false(judge_word(f.j, JUDGE_RELEASE, f.now, f.now));
	assert_look(&f, "UUDU");
	f.now += SEC;
	(void)play(&f, &s);
	assert_look(&f, "UUDUU");
	assert_int_equal(seen(&f, "10.0.0.1:5060").weight, 50);
	assert_string_equal(seen(&f, "10.0.0.1:5060").tags, "primary");
	fx_fini(&f);
}

/* Releasing is no approval: the guards judge what went missing meanwhile. */
static void
test_release_passes_the_guards(void **state)
{
	struct fx f;
	int i;

	fx_init(&f);
	lists(&f, 0, first(10));
	assert_true(judge_word(f.j, JUDGE_HOLD, f.now, f.now));
	lists_for(&f, first(2), HOUR);
	assert_look(&f, "UUFFFFFFFF");
	assert_true(judge_word(f.j, JUDGE_RELEASE, f.now, f.now));
	assert_look(&f, "UUSSSSSSSS");
	assert_true(judge_word(f.j, JUDGE_HOLD, f.now, f.now));
	for (i = 0; i < 125; i++) {
		f.now += SEC;
		lists(&f, 0, 0);
	}
	assert_look(&f, "FFFFFFFFFF");
	assert_true(judge_word(f.j, JUDGE_RELEASE, f.now, f.now));
	assert_look(&f, "EEEEEEEEEE");
	fx_fini(&f);

	/* and it survives a restart */
	fx_init(&f);
	restore(&f, first(2), TOPO_UP, GUARD_NONE);
	judge_restore_service(f.j, true, true, 2, f.now);
	lists(&f, 0, first(1));
	assert_look(&f, "UF");
	fx_fini(&f);
}

/* ---- plausibility ---- */

static void
test_implausible_rows(void **state)
{
	static const struct {
		const char *row, *why;
	} rows[] = {
		{ "10.0.0.9:0", "port 0" },
		{ "0.0.0.0:5060", "unspecified address" },
		{ "[::]:5060", "unspecified address" },
		{ "224.0.0.1:5060", "multicast address" },
		{ "239.255.255.255:5060", "multicast address" },
		{ "[ff02::1]:5060", "multicast address" },
		{ "255.255.255.255:5060", "broadcast address" },
		{ "192.0.2.1:5060", "outside the configured networks" },
		{ "[fd01::1]:5060", "outside the configured networks" },
		{ "10.0.0.250:5060", "Kamailio's own listen address" },
	};
	struct topo_prefix nets[2];
	struct topo_addr own = addr("10.0.0.250:5060"), refused;
	struct judge_view v;
	struct said s;
	struct fx f;
	size_t i;

	assert_int_equal(topo_prefix_parse("10.0.0.0/8", &nets[0]), 0);
	assert_int_equal(topo_prefix_parse("fd00::/16", &nets[1]), 0);
	for (i = 0; i < NELEM(rows); i++) {
		fx_init(&f);
		f.conf.networks = nets;
		f.conf.n_networks = 2;
		f.conf.own = &own;
		f.conf.n_own = 1;
		said_init(&s, 0, first(3));
		refused = s.rows[1].addr = addr(rows[i].row);
		assert_true(play(&f, &s));
		assert_look(&f, "UU");
		assert_int_equal(view(&f).refused, 1);
		assert_string_equal(view(&f).refused_why, rows[i].why);
		v = view(&f);
		assert_int_equal(topo_addr_cmp(&v.refused_addr, &refused), 0);
		/* alone it makes nobody's day one */
		fx_fini(&f);
		fx_init(&f);
		f.conf.networks = nets;
		f.conf.n_networks = 2;
		f.conf.own = &own;
		f.conf.n_own = 1;
		said_init(&s, 0, 1);
		s.rows[0].addr = refused;
		(void)play(&f, &s);
		assert_false(view(&f).known);
		assert_int_equal(judge_count(f.j), 0);
		/* and the next list forgets it */
		lists(&f, 0, first(1));
		assert_int_equal(view(&f).refused, 0);
		fx_fini(&f);
	}
	/* another port of its own address is a neighbour, and IPv6 within the networks is welcome
	 */
	fx_init(&f);
	f.conf.networks = nets;
	f.conf.n_networks = 2;
	f.conf.own = &own;
	f.conf.n_own = 1;
	said_init(&s, 0, first(2));
	s.rows[0].addr = addr("10.0.0.250:5062");
	s.rows[1].addr = addr("[fd00::5]:5060");
	(void)play(&f, &s);
	assert_look(&f, "UU");
	fx_fini(&f);
}

static void
test_max_instances(void **state)
{
	struct fx f;
	int i;

	fx_init(&f);
	f.conf.max_instances = 4;
	lists(&f, 0, first(6));
	assert_look(&f, "UUUU");
	assert_int_equal(view(&f).refused, 2);
	assert_string_equal(view(&f).refused_why, "more than max_instances");
	assert_int_equal(
	    seen(&f, "10.0.0.4:5060").state, TOPO_UP); /* the first in order, each time */

	/* all four are replaced: what is out doesn't keep the new ones waiting for remove_hold */
	lists(&f, 0, first(4));
	f.now += SEC;
	lists(&f, 0, 0xf3);
	assert_look(&f, "UUDD");
	f.now += SEC;
	lists(&f, 0, 0xf3);
	assert_look(&f, "UUDDUU");
	/* and when those return there is no place for them */
	f.now += SEC;
	lists(&f, 0, 0x3f);
	assert_look(&f, "UUDDUU");
	assert_int_equal(view(&f).refused, 2);
	/* a list that is new in every round stays within bounds */
	for (i = 0; i < 500; i++) {
		f.now += SEC;
		lists(&f, 0, 0xfull << (i * 4 % 60));
		assert_true(view(&f).active <= 4);
		assert_true(judge_count(f.j) <= 8);
	}
	fx_fini(&f);
}

static void
test_identical_rows_merge_different_ones_never(void **state)
{
	struct said s;
	struct fx f;

	fx_init(&f);
	said_init(&s, 0, first(6));
	s.rows[1] = s.rows[0];
	s.rows[2].addr = addr("10.0.0.1:5061");
	s.rows[3].addr = addr("[::ffff:10.0.0.1]:5060");
	s.rows[4] = s.rows[0];
	s.rows[4].weight = 9; /* two nodes with the same address: the larger weight */
	s.rows[5] = s.rows[0];
	(void)play(&f, &s);
	assert_look(&f, "UUU");
	assert_int_equal(seen(&f, "10.0.0.1:5060").weight, 9);
	s.rows[5].priority = 0; /* and before that, the smaller priority */
	(void)play(&f, &s);
	assert_look(&f, "UUU");
	assert_int_equal(seen(&f, "10.0.0.1:5060").priority, 0);
	assert_int_equal(seen(&f, "10.0.0.1:5060").weight, 1);
	fx_fini(&f);
}

/* Servers that were restarted empty: nobody at first, then whom they have heard of so far. */
static void
test_a_list_that_fills_again_loses_nobody(void **state)
{
	struct said nobody;
	struct fx f;

	fx_init(&f);
	lists(&f, 0, first(4));
	f.now += SEC;
	said_init(&nobody, 0, 0);
	nobody.r.list.kind = ANSWER_NXDOMAIN; /* and the canary answers */
	(void)play(&f, &nobody);
	assert_look(&f, "UUUU");
	f.now += SEC;
	lists(&f, 0, first(3)); /* one of four: else it would go at once */
	assert_look(&f, "UUUS");
	f.now += SEC;
	lists(&f, 0, first(4));
	assert_look(&f, "UUUU");
	/* later it is a loss like others, and what is held goes in its time */
	lists_for(&f, first(4), MIN);
	f.now += SEC;
	lists(&f, 0, first(3));
	assert_look(&f, "UUUD");
	fx_fini(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ten_fail_one_by_one),
		cmocka_unit_test(test_greater_loss_stands_then_goes),
		cmocka_unit_test(test_allowed_loss),
		cmocka_unit_test(test_small_steps_fill_the_allowance),
		cmocka_unit_test(test_shrink_window_moves_on),
		cmocka_unit_test(test_held_one_returns),
		cmocka_unit_test(test_approve),
		cmocka_unit_test(test_min_instances),
		cmocka_unit_test(test_hold_and_release),
		cmocka_unit_test(test_release_passes_the_guards),
		cmocka_unit_test(test_implausible_rows),
		cmocka_unit_test(test_max_instances),
		cmocka_unit_test(test_identical_rows_merge_different_ones_never),
		cmocka_unit_test(test_a_list_that_fills_again_loses_nobody),
	};

	return cmocka_run_group_tests_name("judge: guards", tests, NULL, NULL);
}
