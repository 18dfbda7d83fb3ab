/*
 * judge, damping: who is suppressed, for how long, what the floor and the shrink guard make of it, and
 * how many structural changes one that comes and goes can cause.
 */
#include "judge_fx.h"

static void
damped_init(struct fx *f)
{
	fx_init(f);
	f->conf.flap_suppress = 2000;
	f->conf.max_shrink = 100;
	f->conf.min_instances = 1;
}

/* It goes and comes back, a second each, so many times; the others of `all` stay. It is listed at the end. */
static void
flaps(struct fx *f, uint64_t all, unsigned which, unsigned times)
{
	while (times-- > 0) {
		f->now += SEC;
		lists(f, 0, all & ~(1ull << which));
		f->now += SEC;
		lists(f, 0, all);
	}
}

static struct judge_flap_view
flap_view(const struct fx *f, unsigned which)
{
	struct judge_flap_view v;
	struct topo_addr a = host(which);

	(void)judge_flap_view(f->j, &a, f->now, &v);
	return v;
}

static void
test_third_going_suppresses(void **state)
{
	struct judge_flap_view v;
	struct topo_addr a = host(0);
	struct fx f;

	damped_init(&f);
	lists(&f, 0, first(3));
	assert_false(judge_flap_view(f.j, &a, f.now, &v));
	assert_int_equal(v.suppress, 2000);
	assert_int_equal(v.reuse, 750);
	/* what a rolling restart does to each of them */
	flaps(&f, first(3), 0, 2);
	assert_look(&f, "UUU");
	v = flap_view(&f, 0);
	assert_in_range(v.penalty, 1980, 1999);
	assert_int_equal(v.goings, 2);
	assert_false(v.damped);
	flaps(&f, first(3), 0, 1);
	assert_look(&f, "PUU");
	v = flap_view(&f, 0);
	assert_true(v.damped && v.kept_in == NULL);
	assert_in_range(v.penalty, 2950, 3000);
	assert_in_range(v.reuse_in_ms, 9 * MIN, 10 * MIN); /* 5m * log2(2980 / 750) */
	assert_int_equal(seen(&f, "10.0.0.1:5060").guard, GUARD_FLAP);
	assert_int_equal(view(&f).active, 2);
	/* missing, it is disabled as ever; listed again, suppressed */
	f.now += SEC;
	lists(&f, 0, 6);
	assert_look(&f, "DUU");
	f.now += SEC;
	lists(&f, 0, first(3));
	assert_look(&f, "PUU");
	/* in again when the penalty says so, not before */
	v = flap_view(&f, 0);
	lists_for(&f, first(3), v.reuse_in_ms / SEC * SEC - SEC);
	assert_look(&f, "PUU");
	lists_for(&f, first(3), 2 * SEC);
	assert_look(&f, "UUU");
	/* the next going finds what is left of it */
	flaps(&f, first(3), 0, 1);
	assert_look(&f, "UUU");
	assert_in_range(flap_view(&f, 0).penalty, 1700, 1750);
	fx_fini(&f);
}

static void
test_zero_never_suppresses(void **state)
{
	struct topo_addr a = host(0);
	struct judge_flap_view v;
	struct fx f;

	damped_init(&f);
	f.conf.flap_suppress = 0;
	lists(&f, 0, first(3));
	flaps(&f, first(3), 0, 50);
	assert_look(&f, "UUU");
	assert_false(judge_flap_view(f.j, &a, f.now, &v));
	fx_fini(&f);
	/* turned off by a reload, it ends what it did */
	damped_init(&f);
	lists(&f, 0, first(3));
	flaps(&f, first(3), 0, 3);
	assert_look(&f, "PUU");
	f.conf.flap_suppress = 0;
	lists(&f, 0, first(3));
	assert_look(&f, "UUU");
	fx_fini(&f);
}

static void
test_flap_max_ends_it(void **state)
{
	struct fx f;

	damped_init(&f);
	f.conf.flap_max_ms = 2 * MIN;
	lists(&f, 0, first(3));
	flaps(&f, first(3), 0, 100);
	assert_look(&f, "PUU");
	lists_for(&f, first(3), 2 * MIN - 2 * SEC);
	assert_look(&f, "PUU");
	lists_for(&f, first(3), 2 * SEC);
	assert_look(&f, "UUU");
	fx_fini(&f);
}

/* Only a good answer brings one in: while Consul says nothing, what is suppressed stays so. */
static void
test_no_answer_no_return(void **state)
{
	struct fx f;

	damped_init(&f);
	lists(&f, 0, first(3));
	flaps(&f, first(3), 0, 3);
	f.now += HOUR;
	fails(&f, 0, ANSWER_TIMEOUT);
	assert_look(&f, "PUU");
	lists(&f, 0, first(3));
	assert_look(&f, "UUU");
	fx_fini(&f);
}

/* ---- the floor ---- */

static void
test_floor_keeps_and_takes_in(void **state)
{
	struct judge_flap_view v;
	struct fx f;

	damped_init(&f);
	f.conf.min_instances = 2;
	f.conf.max_shrink = 50;
	lists(&f, 0, first(2));
	flaps(&f, first(2), 0, 4); /* held each time: it never went, and that costs nothing */
	assert_look(&f, "UU");
	f.now += SEC;
	lists(&f, 0, first(3));
	assert_look(&f, "UUU");
	/* now it can be done without it */
	flaps(&f, first(3), 0, 4);
	v = flap_view(&f, 0);
	assert_int_equal(v.goings, 4);
	assert_true(v.damped);
	assert_look(&f, "PUU");
	/* the third one goes: it is needed again */
	f.now += SEC;
	lists(&f, 0, first(2));
	assert_look(&f, "UUD");
	assert_string_equal(flap_view(&f, 0).kept_in, "fewer than min_instances would be left");
	fx_fini(&f);

	/* of several the one that is in already, then the one with the smallest penalty */
	damped_init(&f);
	lists(&f, 0, first(4));
	flaps(&f, first(4), 0, 5);
	flaps(&f, first(4), 1, 3);
	flaps(&f, first(4), 2, 4);
	assert_look(&f, "PPPU");
	f.now += SEC;
	lists(&f, 0, first(3));
	assert_look(&f, "PUPD");
	lists_for(&f, first(3), MIN); /* not now this one and now that one */
	assert_look(&f, "PUPD");
	f.now += SEC;
	lists(&f, 0, first(4));
	assert_look(&f, "PPPU");
	fx_fini(&f);
}

/* Lists that lose most of all again and again are Consul's trouble, not the instances': nobody is punished for it. */
static void
test_what_a_guard_holds_is_no_going(void **state)
{
	struct judge_flap_view v;
	struct topo_addr a = host(0);
	struct fx f;
	int i;

	damped_init(&f);
	f.conf.max_shrink = 50;
	lists(&f, 0, first(4));
	for (i = 0; i < 600; i++) {
		f.now += SEC;
		lists(&f, 0, i % 2 ? first(4) : 1ull << (i / 2 % 4));
		assert_int_equal(view(&f).active, 4);
	}
	assert_look(&f, "UUUU");
	assert_false(judge_flap_view(f.j, &a, f.now, &v));
	fx_fini(&f);
}

/* ---- shrink ---- */

/* One after the other they flap: only so many are kept out as may leave. */
static void
test_suppressing_is_a_loss(void **state)
{
	struct fx f;

	damped_init(&f);
	f.conf.max_shrink = 50;
	lists(&f, 0, first(4));
	flaps(&f, first(4), 1, 3);
	assert_look(&f, "UPUU");
	flaps(&f, first(4), 2, 3);
	assert_look(&f, "UPPU");
	flaps(&f, first(4), 3, 3);
	assert_look(&f, "UPPU");
	f.now += SEC;
	lists(&f, 0, 7);
	assert_look(&f, "UPPS");
	fx_fini(&f);
}

static void
test_suppressed_ones_count_as_lost(void **state)
{
	struct fx f;

	damped_init(&f);
	f.conf.max_shrink = 50;
	lists(&f, 0, first(4));
	flaps(&f, first(4), 0, 3);
	assert_look(&f, "PUUU");
	/* one of four is out: one more may leave at once, two may not */
	f.now += SEC;
	lists(&f, 0, 3);
	assert_look(&f, "PUDS");
	fx_fini(&f);
}

/* ---- the operator ---- */

static void
test_approve_lets_in(void **state)
{
	struct fx f;

	damped_init(&f);
	lists(&f, 0, first(4));
	flaps(&f, first(4), 0, 3);
	flaps(&f, first(4), 1, 3);
	f.now += SEC;
	lists(&f, 0, first(4) & ~2ull);
	assert_look(&f, "PDUU");
	assert_true(judge_word(f.j, JUDGE_APPROVE, f.now, f.now));
	assert_look(&f, "UDUU");
	assert_int_equal(flap_view(&f, 0).penalty, 0);
	assert_false(judge_word(f.j, JUDGE_APPROVE, f.now, f.now));
	/* what is missing keeps its penalty */
	f.now += SEC;
	lists(&f, 0, first(4));
	assert_look(&f, "UPUU");
	fx_fini(&f);
}

static void
test_frozen_stays_as_it_is(void **state)
{
	struct fx f;

	damped_init(&f);
	lists(&f, 0, first(3));
	flaps(&f, first(3), 0, 3);
	assert_true(judge_word(f.j, JUDGE_HOLD, f.now, f.now));
	assert_look(&f, "PUU");
	assert_false(judge_word(f.j, JUDGE_APPROVE, f.now, f.now));
	flaps(&f, first(3), 1, 5); /* held, each time: goings */
	lists_for(&f, first(3), HOUR);
	assert_look(&f, "PUU");
	flaps(&f, first(3), 1, 3);
	assert_look(&f, "PUU");
	assert_true(judge_word(f.j, JUDGE_RELEASE, f.now, f.now));
	assert_look(&f, "UPU");
	fx_fini(&f);
}

/* ---- removal, and what is remembered ---- */

/* Adds and removes are what costs a reload each. */
static unsigned
structural(struct fx *f, size_t *n)
{
	size_t now = judge_count(f->j);
	unsigned changed = now != *n;

	*n = now;
	return changed;
}

/* However it comes and goes, and whatever remove_hold: at most twelve an hour. */
static void
test_structural_changes_an_hour(void **state)
{
	static const int64_t out_s[] = { 1, 5, 10, 19, 20, 21, 25, 60, 120, 125, 130, 180, 300, 359, 420, 700 };
	static const int64_t in_s[] = { 1, 2, 10, 60, 150, 300, 600 };
	size_t o, i;

	for (o = 0; o < NELEM(out_s); o++)
		for (i = 0; i < NELEM(in_s); i++) {
			int64_t hour[4096], end;
			size_t n = 3, n_at = 0, begin = 0;
			struct fx f;

			damped_init(&f);
			f.conf.remove_hold_ms = 20 * SEC;
			lists(&f, 0, first(3));
			end = f.now + 4 * HOUR;
			while (f.now < end) {
				int64_t t = (f.now - 5000000) / SEC % (out_s[o] + in_s[i]);

				f.now += SEC;
				lists(&f, 0, t < in_s[i] ? first(3) : 3);
				if (structural(&f, &n))
					hour[n_at++] = f.now;
				while (begin < n_at && hour[begin] <= f.now - HOUR)
					begin++;
				if (n_at - begin > 12)
					fail_msg("out %llds in %llds: %zu in an hour", (long long)out_s[o],
					    (long long)in_s[i], n_at - begin);
			}
			fx_fini(&f);
		}
}

/* Who leaves for good leaves when remove_hold says so. */
static void
test_one_that_leaves_is_removed_in_time(void **state)
{
	struct fx f;

	damped_init(&f);
	f.conf.remove_hold_ms = 20 * SEC;
	lists(&f, 0, first(3));
	f.now += SEC;
	lists(&f, 0, 3);
	lists_for(&f, 3, 19 * SEC);
	assert_look(&f, "UUD");
	lists_for(&f, 3, SEC);
	assert_look(&f, "UU");
	/* and comes back as what it was: one that went once */
	f.now += SEC;
	lists(&f, 0, first(3));
	assert_look(&f, "UUU");
	assert_int_equal(flap_view(&f, 2).goings, 1);
	assert_in_range(flap_view(&f, 2).penalty, 940, 960);
	flaps(&f, first(3), 2, 2);
	assert_look(&f, "UUP");
	fx_fini(&f);
}

static void
test_suppressed_ones_are_not_removed(void **state)
{
	struct fx f;

	damped_init(&f);
	f.conf.remove_hold_ms = 20 * SEC;
	lists(&f, 0, first(3));
	flaps(&f, first(3), 0, 3);
	f.now += SEC;
	lists(&f, 0, 6); /* the fourth going: 3950 */
	lists_for(&f, 6, 11 * MIN);
	assert_look(&f, "DUU");
	lists_for(&f, 6, 2 * MIN);
	assert_look(&f, "UU");
	fx_fini(&f);
}

/* So many penalties are kept, and the smallest gives way. */
static void
test_memory_is_bounded(void **state)
{
	struct topo_addr gone;
	struct judge_flap_view v;
	unsigned i, known = 0;
	struct fx f;

	damped_init(&f);
	f.conf.remove_hold_ms = 0;
	f.conf.max_instances = 5;
	for (i = 1; i < 40; i++) {
		f.now += SEC;
		lists(&f, 0, 1 | 1ull << i);
	}
	for (i = 1; i < 40; i++) {
		gone = host(i);
		known += judge_flap_view(f.j, &gone, f.now, &v);
		assert_int_equal(judge_flap_view(f.j, &gone, f.now, &v), i >= 34 && i < 39);
	}
	assert_int_equal(known, 5);
	fx_fini(&f);
}

/* ---- over a restart ---- */

static void
test_restart_keeps_the_penalty(void **state)
{
	struct topo_service s = { 0 };
	struct fx f, g;
	size_t i;

	damped_init(&f);
	lists(&f, 0, first(4));
	flaps(&f, first(4), 0, 3);
	flaps(&f, first(4), 1, 2);
	f.now += SEC;
	lists(&f, 0, first(4) & ~4ull);
	assert_look(&f, "PUDU");
	judge_snapshot(f.j, &s);
	damped_init(&g);
	g.now = 777; /* the machine's clock began anew; the wall clock says that a minute has passed */
	for (i = 0; i < s.n; i++) {
		s.inst[i].source = SOURCE_STORE;
		assert_true(judge_restore(g.j, &s.inst[i], g.now, f.now + MIN));
	}
	assert_look(&g, "PUDU");
	assert_in_range(flap_view(&g, 0).penalty, 2560, 2610); /* 2993 * 2^-(1/5), and a bit */
	assert_int_equal(flap_view(&g, 0).goings, 3);
	lists(&g, 0, first(4));
	assert_look(&g, "PUUU");
	flaps(&g, first(4), 1, 1);
	assert_look(&g, "PPUU");
	/* a loss that nobody saw happen is one */
	assert_int_equal(flap_view(&g, 2).goings, 1);
	snapshot_free(&s);
	fx_fini(&f);
	fx_fini(&g);

	/* a record that tells no penalty: as if it had just been suppressed */
	damped_init(&f);
	restore(&f, 1, TOPO_SUPPRESSED, GUARD_FLAP);
	restore(&f, 2, TOPO_UP, GUARD_NONE);
	lists(&f, 0, 3);
	assert_look(&f, "PU");
	assert_int_equal(flap_view(&f, 0).penalty, 2000);
	lists_for(&f, 3, 8 * MIN);
	assert_look(&f, "UU");
	fx_fini(&f);
}

/* What DNS has not spoken of yet stays as it is, also when the floor would take it. */
static void
test_unconfirmed_is_not_let_in(void **state)
{
	struct fx f;

	damped_init(&f);
	f.conf.n_names = 2;
	restore(&f, 1, TOPO_SUPPRESSED, GUARD_FLAP);
	restore(&f, 2, TOPO_UP, GUARD_NONE);
	f.now += HOUR;
	lists(&f, 1, 4);
	assert_look(&f, "PUU");
	lists(&f, 0, 1);
	assert_look(&f, "UDU");
	fx_fini(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_third_going_suppresses),
		cmocka_unit_test(test_zero_never_suppresses),
		cmocka_unit_test(test_flap_max_ends_it),
		cmocka_unit_test(test_no_answer_no_return),
		cmocka_unit_test(test_floor_keeps_and_takes_in),
		cmocka_unit_test(test_what_a_guard_holds_is_no_going),
		cmocka_unit_test(test_suppressing_is_a_loss),
		cmocka_unit_test(test_suppressed_ones_count_as_lost),
		cmocka_unit_test(test_approve_lets_in),
		cmocka_unit_test(test_frozen_stays_as_it_is),
		cmocka_unit_test(test_structural_changes_an_hour),
		cmocka_unit_test(test_one_that_leaves_is_removed_in_time),
		cmocka_unit_test(test_suppressed_ones_are_not_removed),
		cmocka_unit_test(test_memory_is_bounded),
		cmocka_unit_test(test_restart_keeps_the_penalty),
		cmocka_unit_test(test_unconfirmed_is_not_let_in),
	};

	return cmocka_run_group_tests_name("judge: damping", tests, NULL, NULL);
}
