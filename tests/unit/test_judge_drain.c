/*
 * judge: the operator's drain, the drain tag, and the way back to instances of the past.
 */
#include "judge_fx.h"

static bool
drain(struct fx *f, unsigned i, int64_t until)
{
	struct topo_addr a = host(i);

	return judge_drain(f->j, &a, until, f->now, f->now);
}

static bool
undrain(struct fx *f, unsigned i)
{
	struct topo_addr a = host(i);

	return judge_undrain(f->j, &a, f->now, f->now);
}

static unsigned
left_without(struct fx *f, unsigned i)
{
	struct topo_addr a = host(i);

	return judge_left_without(f->j, &a);
}

/* ---- the operator ---- */

static void
test_drained_at_once_until_undone(void **state)
{
	struct fx f;

	fx_init(&f);
	lists(&f, 0, first(3));
	f.now += SEC;
	assert_true(drain(&f, 1, 9000));
	assert_look(&f, "UOU");
	assert_int_equal(seen(&f, "10.0.0.2:5060").drain_until_ms, 9000);
	assert_true(seen(&f, "10.0.0.2:5060").since_ms == f.now);
	assert_false(drain(&f, 1, 9000)); /* the same again */
	assert_true(drain(&f, 1, 0));
	assert_int_equal(seen(&f, "10.0.0.2:5060").drain_until_ms, 0);
	lists_for(&f, first(3), HOUR);
	assert_look(&f, "UOU");
	/* gone, it goes as others do; the drain stays */
	lists_for(&f, 5, 10 * MIN);
	assert_look(&f, "UDU");
	lists_for(&f, 5, SEC);
	assert_look(&f, "UU");
	f.now += SEC;
	lists(&f, 0, first(3));
	assert_look(&f, "UOU");
	assert_true(undrain(&f, 1));
	assert_look(&f, "UUU");
	assert_false(undrain(&f, 1));
	fx_fini(&f);
}

static void
test_absent_address_is_remembered(void **state)
{
	struct fx f;

	fx_init(&f);
	assert_false(drain(&f, 1, 0)); /* as the store tells, before anything is there */
	restore(&f, first(2), TOPO_UP, GUARD_NONE);
	assert_look(&f, "UO");
	restore(&f, 4, TOPO_DISABLED, GUARD_NONE);
	assert_false(drain(&f, 2, 0));
	assert_look(&f, "UOD");
	assert_false(drain(&f, 3, 0));
	lists(&f, 0, first(4));
	assert_look(&f, "UOOO");
	assert_true(undrain(&f, 2));
	f.now += SEC;
	lists(&f, 0, 11);
	assert_look(&f, "UODO");
	/* missing, and no longer drained: it stays out until it is listed */
	assert_true(drain(&f, 0, 0));
	assert_false(drain(&f, 2, 0));
	assert_look(&f, "OODO");
	assert_false(undrain(&f, 2));
	assert_look(&f, "OODO");
	fx_fini(&f);
}

/* ---- guards ---- */

static void
test_no_loss_to_the_shrink_guard(void **state)
{
	struct fx f;

	/* all but one, one by one, at once */
	fx_init(&f);
	lists(&f, 0, first(4));
	assert_true(drain(&f, 0, 0));
	assert_true(drain(&f, 1, 0));
	assert_true(drain(&f, 2, 0));
	assert_look(&f, "OOOU");
	fx_fini(&f);

	/* nor are they counted when others leave: five of ten may */
	fx_init(&f);
	lists(&f, 0, first(12));
	assert_true(drain(&f, 10, 0));
	assert_true(drain(&f, 11, 0));
	f.now += SEC;
	lists(&f, 0, first(10)); /* nor when they vanish */
	assert_look(&f, "UUUUUUUUUUDD");
	assert_int_equal(view(&f).base, 10);
	f.now += SEC;
	lists(&f, 0, first(5));
	assert_look(&f, "UUUUUDDDDDDD");
	fx_fini(&f);

	/* undone, it counts again */
	fx_init(&f);
	lists(&f, 0, first(4));
	assert_true(drain(&f, 0, 0));
	assert_int_equal(view(&f).base, 3);
	assert_true(undrain(&f, 0));
	assert_int_equal(view(&f).base, 4);
	fx_fini(&f);
}

/* What a guard holds may be drained: then it goes. */
static void
test_held_one_goes(void **state)
{
	struct fx f;

	fx_init(&f);
	lists(&f, 0, first(4));
	f.now += SEC;
	lists(&f, 0, 1);
	assert_look(&f, "USSS");
	assert_true(drain(&f, 1, 0));
	assert_look(&f, "UDSS");
	fx_fini(&f);
}

static void
test_who_is_left(void **state)
{
	struct fx f;

	fx_init(&f);
	f.conf.flap_suppress = 1000;
	lists(&f, 0, first(4));
	assert_int_equal(left_without(&f, 0), 3);
	assert_int_equal(left_without(&f, 9), 4);
	assert_true(drain(&f, 3, 0));
	assert_int_equal(left_without(&f, 0), 2);
	/* what the shrink guard holds is on its way out */
	f.now += SEC;
	lists(&f, 0, 9);
	assert_look(&f, "USSO");
	assert_int_equal(left_without(&f, 0), 0);
	/* what the floor holds is all that there is */
	assert_true(judge_word(f.j, JUDGE_APPROVE, f.now, f.now));
	assert_look(&f, "UDDO");
	f.now += SEC;
	lists(&f, 0, 8);
	assert_look(&f, "EDDO");
	assert_int_equal(left_without(&f, 1), 1);
	assert_int_equal(left_without(&f, 0), 0);
	fx_fini(&f);

	/* what damping keeps out comes in for it */
	fx_init(&f);
	f.conf.flap_suppress = 900;
	f.conf.max_shrink = 100;
	lists(&f, 0, 3);
	f.now += SEC;
	lists(&f, 0, 1);
	f.now += SEC;
	lists(&f, 0, 3);
	assert_look(&f, "UP");
	assert_int_equal(left_without(&f, 0), 1);
	assert_true(drain(&f, 0, 0));
	assert_look(&f, "OU");
	assert_true(undrain(&f, 0));
	f.now += SEC;
	lists(&f, 0, 3);
	assert_look(&f, "UP");
	/* unless it is frozen */
	assert_true(judge_word(f.j, JUDGE_HOLD, f.now, f.now));
	assert_int_equal(left_without(&f, 0), 0);
	fx_fini(&f);
}

static void
test_frozen_heeds_the_operator(void **state)
{
	struct fx f;

	fx_init(&f);
	lists(&f, 0, first(4));
	assert_true(judge_word(f.j, JUDGE_HOLD, f.now, f.now));
	assert_true(drain(&f, 0, 0));
	assert_true(drain(&f, 1, 0));
	assert_look(&f, "OOUU");
	assert_int_equal(left_without(&f, 3), 1);
	f.now += SEC;
	lists(&f, 0, 12 | 2);
	assert_look(&f, "OOUU"); /* frozen as it is */
	f.now += SEC;
	lists(&f, 0, 8 | 2);
	assert_look(&f, "OOFU");
	assert_true(drain(&f, 2, 0));
	assert_look(&f, "OOOU");
	assert_true(undrain(&f, 1));
	assert_true(undrain(&f, 0)); /* it is not listed any more: out, since nothing keeps it in */
	assert_look(&f, "DUOU");
	assert_true(judge_word(f.j, JUDGE_RELEASE, f.now, f.now));
	assert_look(&f, "DUDU");
	fx_fini(&f);
}

/* ---- the tag ---- */

static void
tagged_init(struct fx *f)
{
	fx_init(f);
	f->conf.n_tags = 2;
	f->conf.tags = tag_names;
	f->conf.drain_tag = tag_names[1];
}

/* Lists `mask`, of which `tagged` are to drain. */
static void
lists_tagged(struct fx *f, uint64_t mask, uint64_t tagged)
{
	struct said s;

	f->now += SEC;
	said_init(&s, 0, mask);
	if (tagged)
		said_tag(&s, 1, tagged);
	(void)play(f, &s);
}

static void
test_tag_drains_until_it_goes(void **state)
{
	struct said s;
	struct fx f;

	tagged_init(&f);
	lists_tagged(&f, first(4), 0);
	assert_look(&f, "UUUU");
	lists_tagged(&f, first(4), 7); /* three of four: the shrink guard has nothing to say */
	assert_look(&f, "TTTU");
	assert_int_equal(view(&f).base, 1);
	lists_tagged(&f, first(5), 7 | 16); /* new, and to drain from the beginning */
	assert_look(&f, "TTTUT");
	/* an answer in doubt takes no tag away */
	f.now += SEC;
	said_init(&s, 0, first(5));
	s.tags[1].kind = ANSWER_TIMEOUT;
	(void)play(&f, &s);
	assert_look(&f, "TTTUT");
	lists_tagged(&f, first(5), 1);
	assert_look(&f, "TUUUU");
	/* gone and back, with the tag */
	lists_tagged(&f, 30, 0);
	assert_look(&f, "DUUUU");
	lists_tagged(&f, first(5), 1);
	assert_look(&f, "TUUUU");
	/* another tag is none */
	f.now += SEC;
	said_init(&s, 0, first(5));
	said_tag(&s, 0, first(5));
	(void)play(&f, &s);
	assert_look(&f, "UUUUU");
	/* and without the key there is none */
	lists_tagged(&f, first(5), 1);
	f.conf.drain_tag = NULL;
	lists_tagged(&f, first(5), 1);
	assert_look(&f, "UUUUU");
	fx_fini(&f);
}

static void
test_tag_does_not_go_below_the_floor(void **state)
{
	struct fx f;

	tagged_init(&f);
	f.conf.min_instances = 2;
	lists_tagged(&f, first(4), 0);
	lists_tagged(&f, first(4), first(4));
	assert_look(&f, "UUTT");
	lists_tagged(&f, first(4), first(4)); /* always the same two */
	assert_look(&f, "UUTT");
	lists_tagged(&f, first(4), 7);
	assert_look(&f, "UTTU");
	/* one of them is lost: it is needed in spite of its tag */
	lists_tagged(&f, 7, 7);
	assert_look(&f, "UUTD");
	fx_fini(&f);
}

static void
test_tag_and_the_others(void **state)
{
	struct fx f;

	/* the operator's word comes first, and stays when the tag goes */
	tagged_init(&f);
	lists_tagged(&f, first(3), 1);
	assert_look(&f, "TUU");
	assert_true(drain(&f, 0, 5));
	assert_look(&f, "OUU");
	lists_tagged(&f, first(3), 0);
	assert_look(&f, "OUU");
	lists_tagged(&f, first(3), 1);
	assert_true(undrain(&f, 0));
	assert_look(&f, "TUU");
	/* a frozen service does not heed the tag, neither its coming nor its going */
	assert_true(judge_word(f.j, JUDGE_HOLD, f.now, f.now));
	lists_tagged(&f, first(3), 2);
	assert_look(&f, "TUU");
	assert_true(judge_word(f.j, JUDGE_RELEASE, f.now, f.now));
	lists_tagged(&f, first(3), 2);
	assert_look(&f, "UTU");
	fx_fini(&f);

	/* of a damped one and a tagged one the floor takes the damped one */
	tagged_init(&f);
	f.conf.flap_suppress = 900;
	f.conf.max_shrink = 100;
	lists_tagged(&f, first(3), 0);
	lists_tagged(&f, 5, 0);
	lists_tagged(&f, first(3), 1);
	assert_look(&f, "TPU");
	lists_tagged(&f, 3, 1);
	assert_look(&f, "TUD");
	fx_fini(&f);
}

/* Over a restart the tag is what it was until DNS says otherwise. */
static void
test_tag_over_a_restart(void **state)
{
	struct topo_instance i = {
		.addr = host(0), .state = TOPO_DRAINING, .guard = GUARD_TAG, .source = SOURCE_STORE, .tags = (char *)"blue"
	};
	struct fx f;

	tagged_init(&f);
	assert_true(judge_restore(f.j, &i, f.now, f.now));
	restore(&f, 2, TOPO_UP, GUARD_NONE);
	assert_look(&f, "TU");
	lists_tagged(&f, 3, 1);
	assert_look(&f, "TU");
	lists_tagged(&f, 3, 0);
	assert_look(&f, "UU");
	fx_fini(&f);
}

/* ---- rollback ---- */

static void
rollback(struct fx *f, uint64_t up, uint64_t disabled)
{
	struct topo_instance v[HOSTS_MAX];
	size_t n = 0;
	unsigned i;

	memset(v, 0, sizeof v);
	for (i = 0; i < HOSTS_MAX; i++)
		if ((up | disabled) >> i & 1) {
			v[n].addr = host(i);
			v[n].weight = (uint16_t)(10 + i);
			v[n].priority = 3;
			v[n++].state = up >> i & 1 ? TOPO_UP : TOPO_DISABLED;
		}
	judge_rollback(f->j, v, n, f->now, f->now);
}

static void
test_rollback_holds_what_was(void **state)
{
	struct fx f;

	fx_init(&f);
	lists(&f, 0, first(4));
	assert_true(drain(&f, 3, 0));
	f.now += SEC;
	lists(&f, 0, first(3) | 8);
	rollback(&f, 1 | 8 | 16, 2); /* host 2 was not there, host 4 is not there any more */
	assert_look(&f, "UDOU");
	assert_true(view(&f).frozen);
	assert_int_equal(view(&f).base, 2);
	assert_int_equal(seen(&f, "10.0.0.5:5060").source, SOURCE_STORE);
	assert_int_equal(seen(&f, "10.0.0.5:5060").weight, 14);
	assert_int_equal(seen(&f, "10.0.0.1:5060").source, SOURCE_DNS);
	assert_int_equal(seen(&f, "10.0.0.1:5060").weight, 10);
	assert_int_equal(seen(&f, "10.0.0.1:5060").priority, 3);
	/* the next rounds do not undo it */
	lists_for(&f, first(4), HOUR);
	assert_look(&f, "UDOF");
	assert_int_equal(view(&f).refused, 1);
	assert_int_equal(seen(&f, "10.0.0.1:5060").weight, 10);
	/* released, it follows Consul again */
	assert_true(judge_word(f.j, JUDGE_RELEASE, f.now, f.now));
	assert_look(&f, "UUOD");
	f.now += SEC;
	lists(&f, 0, first(4));
	assert_look(&f, "UUUOD");
	assert_int_equal(seen(&f, "10.0.0.1:5060").weight, 1);
	fx_fini(&f);
}

/* What is missing now and was in then takes calls again: the operator says so. */
static void
test_rollback_brings_back_what_is_missing(void **state)
{
	struct fx f;

	fx_init(&f);
	lists(&f, 0, first(4));
	f.now += SEC;
	lists(&f, 0, 3);
	assert_look(&f, "UUDD");
	rollback(&f, first(4), 0);
	assert_look(&f, "UUFF");
	lists_for(&f, 3, HOUR);
	assert_look(&f, "UUFF");
	fx_fini(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drained_at_once_until_undone),
		cmocka_unit_test(test_absent_address_is_remembered),
		cmocka_unit_test(test_no_loss_to_the_shrink_guard),
		cmocka_unit_test(test_held_one_goes),
		cmocka_unit_test(test_who_is_left),
		cmocka_unit_test(test_frozen_heeds_the_operator),
		cmocka_unit_test(test_tag_drains_until_it_goes),
		cmocka_unit_test(test_tag_does_not_go_below_the_floor),
		cmocka_unit_test(test_tag_and_the_others),
		cmocka_unit_test(test_tag_over_a_restart),
		cmocka_unit_test(test_rollback_holds_what_was),
		cmocka_unit_test(test_rollback_brings_back_what_is_missing),
	};

	return cmocka_run_group_tests_name("judge: drain and rollback", tests, NULL, NULL);
}
