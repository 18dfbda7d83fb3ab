/*
 * judge, the rest of a service's life: day one, adoption, restart, several names, attributes, a new
 * configuration.
 */
#include "judge_fx.h"

/* ---- the beginning ---- */

static void
test_day_one_touches_nothing(void **state)
{
	enum answer_kind k;
	struct topo_service s;
	struct said r;
	struct fx f;
	int i;

	fx_init(&f);
	for (i = 0; i < 1000; i++) {
		for (k = ANSWER_SERVFAIL; k <= ANSWER_SELF_TARGET; k++) {
			f.now += SEC;
			fails(&f, 0, k);
		}
		lists(&f, 0, 0); /* not even when it is proven that there is none */
		said_init(&r, 0, 0);
		r.r.canary.kind = ANSWER_NXDOMAIN;
		assert_false(play(&f, &r));
	}
	memset(&s, 0, sizeof s);
	judge_snapshot(f.j, &s);
	assert_false(s.known);
	assert_int_equal(s.n, 0);
	snapshot_free(&s);
	assert_false(view(&f).known);
	fx_fini(&f);
}

static void
adopt(struct fx *f, struct topo_addr a, const char *origin)
{
	struct topo_instance i = { .addr = a, .state = TOPO_UP, .source = SOURCE_ADOPTED };

	i.origin = xstrdup(origin);
	assert_true(judge_restore(f->j, &i, f->now, f->now));
	free(i.origin);
}

static void
test_adoption(void **state)
{
	struct topo_addr none = { 0 };
	struct topo_instance i;
	struct fx f;
	int k;

	fx_init(&f);
	adopt(&f, host(0), "sbc/1 sip:10.0.0.1:5060 0 0 weight=7");
	adopt(&f, host(1), "sbc/1 sip:10.0.0.2:5060 0 0 weight=7");
	adopt(&f, none, "sbc/1 sip:b.example.org 0 0");
	adopt(&f, none, "sbc/1 sip:a.example.org 0 0");
	assert_false(judge_restore(f.j, &(struct topo_instance){ .addr = host(0) }, f.now, f.now));
	judge_restore_service(f.j, true, false, 4, f.now);
	assert_true(view(&f).known);
	for (k = 0; k < 3600; k++) {
		f.now += SEC;
		fails(&f, 0, ANSWER_UNREACHABLE);
	}
	assert_look(&f, "UUUU"); /* the two host names come first */
	i = seen(&f, "10.0.0.1:5060");
	assert_int_equal(i.source, SOURCE_ADOPTED);
	assert_string_equal(i.origin, "sbc/1 sip:10.0.0.1:5060 0 0 weight=7");
	/* a list in doubt takes over what it names, and touches nothing else */
	{
		struct said s;

		said_init(&s, 0, first(1));
		s.r.list.truncated = true;
		assert_true(play(&f, &s));
	}
	assert_look(&f, "UUUU");
	i = seen(&f, "10.0.0.1:5060");
	assert_int_equal(i.source, SOURCE_DNS);
	assert_string_equal(i.origin, "");
	assert_int_equal(seen(&f, "10.0.0.2:5060").source, SOURCE_ADOPTED);
	/* a complete one lets the others go, as far as the guards allow */
	f.now += SEC;
	lists(&f, 0, first(1));
	assert_look(&f, "SSUS");
	lists_for(&f, first(1), 60 * SEC);
	assert_look(&f, "DDUD");
	lists_for(&f, first(1), 10 * MIN);
	assert_look(&f, "U");
	fx_fini(&f);

	/* host names stay as long as their service is empty */
	fx_init(&f);
	adopt(&f, none, "sbc/1 sip:a.example.org 0 0");
	for (k = 0; k < 3600; k++) {
		f.now += SEC;
		lists(&f, 0, 0);
	}
	assert_look(&f, "E");
	fx_fini(&f);
}

/* An address that several sets hold is one instance with a line for each. */
static void
test_adoption_by_several_sets(void **state)
{
	struct topo_instance again = { .addr = host(0), .state = TOPO_UP };
	struct fx f;

	fx_init(&f);
	adopt(&f, host(0), "sbc/1 sip:10.0.0.1:5060 0 50");
	adopt(&f, host(0), "sbc/2 sip:10.0.0.1:5060 0 0");
	adopt(&f, host(0),
	    "sbc/1 sip:10.0.0.1:5060 0 5"); /* a part of the first line is another line */
	again.origin = xstrdup("sbc/2 sip:10.0.0.1:5060 0 0");
	assert_false(judge_restore(f.j, &again, f.now, f.now));
	free(again.origin);
	assert_look(&f, "U");
	assert_string_equal(seen(&f, "10.0.0.1:5060").origin,
	    "sbc/1 sip:10.0.0.1:5060 0 50\nsbc/2 sip:10.0.0.1:5060 0 0\n"
	    "sbc/1 sip:10.0.0.1:5060 0 5");
	lists(&f, 0, first(1));
	assert_string_equal(seen(&f, "10.0.0.1:5060").origin, "");
	fx_fini(&f);
}

/* Restored with two names: it stays until both have spoken, also once one of them lists it. */
static void
test_restored_waits_for_every_name(void **state)
{
	int64_t missing = 0;
	struct topo_addr a = host(0);
	struct fx f;
	int i;

	fx_init(&f);
	f.conf.n_names = 2;
	restore(&f, first(4), TOPO_UP, GUARD_NONE);
	assert_int_equal(judge_listed_by(f.j, &a, &missing), 0);
	for (i = 0; i < 1200; i++) {
		f.now += SEC;
		lists(&f, 0, i < 600 ? first(3) : first(2));
		fails(&f, 1, ANSWER_TIMEOUT);
	}
	assert_look(&f, "UUUU");
	assert_int_equal(judge_listed_by(f.j, &a, &missing), 1);
	f.now += SEC;
	lists(&f, 1, first(1));
	assert_look(&f, "UUDD");
	fx_fini(&f);
}

static void
test_peak_survives_a_restart(void **state)
{
	struct fx f;

	fx_init(&f);
	restore(&f, first(5), TOPO_DISABLED, GUARD_NONE);
	restore(&f, first(10) & ~first(5), TOPO_HELD, GUARD_SHRINK);
	judge_restore_service(f.j, true, false, 10, f.now);
	assert_look(&f, "DDDDDSSSSS");
	assert_int_equal(view(&f).base, 10);
	f.now += SEC;
	lists(&f, 0, 1ull << 9);
	assert_look(&f, "DDDDDSSSSU");
	lists_for(&f, 1ull << 9, 59 * SEC);
	assert_look(&f, "DDDDDSSSSU"); /* their minute began anew */
	lists_for(&f, 1ull << 9, SEC);
	assert_look(&f, "DDDDDDDDDU");
	fx_fini(&f);

	/* five up of ten that were: none may go */
	fx_init(&f);
	restore(&f, first(5), TOPO_DISABLED, GUARD_NONE);
	restore(&f, first(10) & ~first(5), TOPO_UP, GUARD_NONE);
	judge_restore_service(f.j, true, false, 10, f.now);
	lists(&f, 0, 0x3c0);
	assert_look(&f, "DDDDDSUUUU");
	fx_fini(&f);

	/* without the memory it would have gone */
	fx_init(&f);
	restore(&f, first(5), TOPO_DISABLED, GUARD_NONE);
	restore(&f, first(10) & ~first(5), TOPO_UP, GUARD_NONE);
	lists(&f, 0, 0x3c0);
	assert_look(&f, "DDDDDDUUUU");
	fx_fini(&f);
}

static void
test_restore_normalises(void **state)
{
	struct fx f;

	fx_init(&f);
	restore(&f, 1, TOPO_SUPPRESSED, GUARD_SHRINK);
	restore(&f, 2, TOPO_DRAINING, GUARD_NONE);
	restore(&f, 4, TOPO_UP, GUARD_EMPTY);
	restore(&f, 8, TOPO_HELD, GUARD_EMPTY);
	assert_look(&f, "PDUE");
	assert_int_equal(seen(&f, "10.0.0.1:5060").source, SOURCE_STORE);
	lists(&f, 0, first(4));
	assert_look(&f, "UUUU");
	fx_fini(&f);
}

/* ---- several names ---- */

static void
test_unreachable_dc2_keeps_its_instances(void **state)
{
	static const enum answer_kind trouble[] = { ANSWER_SERVFAIL, ANSWER_TIMEOUT, ANSWER_REFUSED,
		ANSWER_UNREACHABLE };
	struct said s;
	struct fx f;
	int i;

	fx_init(&f);
	f.conf.n_names = 2;
	lists(&f, 0, first(3));
	lists(&f, 1, 0x38); /* 3, 4, 5 */
	assert_look(&f, "UUUUUU");
	for (i = 0; i < 4 * 3600; i++) {
		f.now += SEC;
		lists(&f, 0, first(2));
		if (i % 5 < 4) {
			fails(&f, 1, trouble[i % 5]);
		} else { /* no path to the datacenter: its canary is gone too */
			said_init(&s, 1, 0);
			s.r.canary.kind = ANSWER_NXDOMAIN;
			assert_false(play(&f, &s));
		}
	}
	assert_look(&f, "UUUUU"); /* what dc1 gave up is gone, dc2's stay */
	assert_int_equal(seen(&f, "10.0.0.4:5060").state, TOPO_UP);
	fx_fini(&f);
}

static void
test_listed_by_both_leaves_by_both(void **state)
{
	int64_t missing = 0;
	struct topo_addr a = host(4);
	struct fx f;
	int i;

	fx_init(&f);
	f.conf.n_names = 2;
	lists(&f, 0, first(5));
	lists(&f, 1, first(6));
	assert_int_equal(judge_listed_by(f.j, &a, &missing), 3);
	for (i = 0; i < 3600; i++) {
		f.now += SEC;
		lists(&f, 0, first(4));
		fails(&f, 1, ANSWER_TIMEOUT);
	}
	assert_look(&f, "UUUUUU");
	assert_int_equal(judge_listed_by(f.j, &a, &missing), 2);
	f.now += SEC;
	lists(&f, 1, first(6) & ~(1ull << 4));
	assert_look(&f, "UUUUDU");
	/* while one of the two says nothing, nobody's word removes it */
	for (i = 0; i < 3600; i++) {
		f.now += SEC;
		lists(&f, 0, first(4));
		fails(&f, 1, ANSWER_TIMEOUT);
	}
	assert_look(&f, "UUUUDU");
	for (i = 0; i < 601; i++) {
		f.now += SEC / 2;
		lists(&f, 0, first(4));
		f.now += SEC / 2;
		lists(&f, 1, first(6) & ~(1ull << 4));
		if (i == 590)
			assert_look(&f, "UUUUDU"); /* two words in a second are one second */
	}
	assert_look(&f, "UUUUU");
	fx_fini(&f);
}

/* One datacenter empties for good while the other answers: its share passes the guards like any
 * loss. */
static void
test_absence_is_per_name(void **state)
{
	struct fx f;
	int i;

	fx_init(&f);
	f.conf.n_names = 2;
	lists(&f, 0, first(4));
	lists(&f, 1, 0xf0);
	for (i = 0; i < 120; i++) {
		f.now += SEC;
		lists(&f, 0, first(4));
		lists(&f, 1, 0);
	}
	assert_look(&f, "UUUUUUUU");
	f.now += SEC;
	lists(&f, 1, 0);
	assert_look(&f, "UUUUDDDD"); /* half is allowed */
	fx_fini(&f);
}

static void
test_several_names_speak_in_order(void **state)
{
	struct said s;
	struct fx f;

	fx_init(&f);
	f.conf.n_names = 2;
	said_init(&s, 1, 1);
	s.rows[0].weight = 20;
	(void)play(&f, &s);
	assert_int_equal(seen(&f, "10.0.0.1:5060").weight, 20);
	said_init(&s, 0, 1);
	s.rows[0].weight = 10;
	(void)play(&f, &s);
	assert_int_equal(seen(&f, "10.0.0.1:5060").weight, 10);
	said_init(&s, 1, 1);
	s.rows[0].weight = 30;
	assert_false(play(&f, &s));
	assert_int_equal(seen(&f, "10.0.0.1:5060").weight, 10);
	fx_fini(&f);
}

/* ---- attributes ---- */

static void
test_tags(void **state)
{
	struct said s;
	struct fx f;

	fx_init(&f);
	f.conf.tags = tag_names;
	f.conf.n_tags = 2;
	said_init(&s, 0, first(3));
	said_tag(&s, 0, first(2));
	said_tag(&s, 1, 1);
	assert_true(play(&f, &s));
	assert_string_equal(seen(&f, "10.0.0.1:5060").tags, "primary,blue");
	assert_string_equal(seen(&f, "10.0.0.2:5060").tags, "primary");
	assert_string_equal(seen(&f, "10.0.0.3:5060").tags, "");
	f.now += SEC;
	assert_false(play(&f, &s));
	/* a question that fails takes no tag, nor does one that another server answers, or half an
	 * answer */
	s.tags[0].kind = ANSWER_TIMEOUT;
	f.now += SEC;
	assert_false(play(&f, &s));
	s.tags[0].kind = ANSWER_NXDOMAIN;
	s.tags[0].n = 0;
	s.tags[0].server = 1;
	f.now += SEC;
	assert_false(play(&f, &s));
	s.tags[0].server = 0;
	s.tags[0].truncated = true;
	f.now += SEC;
	assert_false(play(&f, &s));
	assert_string_equal(seen(&f, "10.0.0.2:5060").tags, "primary");
	/* lost by an answer */
	s.tags[0].truncated = false;
	f.now += SEC;
	assert_true(play(&f, &s));
	assert_string_equal(seen(&f, "10.0.0.1:5060").tags, "blue");
	assert_string_equal(seen(&f, "10.0.0.2:5060").tags, "");
	/* what a guard holds keeps its tags: it goes on taking calls as it did */
	said_init(&s, 0, 6);
	said_tag(&s, 0, 6);
	f.conf.min_instances = 3;
	f.now += SEC;
	(void)play(&f, &s);
	assert_look(&f, "EUU");
	assert_string_equal(seen(&f, "10.0.0.1:5060").tags, "blue");
	assert_string_equal(seen(&f, "10.0.0.3:5060").tags, "primary");
	/* and when it returns, what it has now */
	said_init(&s, 0, 7);
	f.now += SEC;
	(void)play(&f, &s);
	assert_string_equal(seen(&f, "10.0.0.1:5060").tags, "");
	fx_fini(&f);
}

static void
test_tags_of_several_names_unite(void **state)
{
	struct topo_instance i = { .addr = host(0), .state = TOPO_UP };
	struct said s;
	struct fx f;

	fx_init(&f);
	f.conf.n_names = 2;
	f.conf.tags = tag_names;
	f.conf.n_tags = 2;
	i.tags = xstrdup("primary");
	assert_true(judge_restore(f.j, &i, f.now, f.now));
	free(i.tags);
	assert_string_equal(seen(&f, "10.0.0.1:5060").tags, "primary");
	said_init(&s, 0, 1);
	said_tag(&s, 1, 1);
	(void)play(&f, &s);
	assert_string_equal(seen(&f, "10.0.0.1:5060").tags, "blue");
	said_init(&s, 1, 1);
	said_tag(&s, 0, 1);
	(void)play(&f, &s);
	assert_string_equal(seen(&f, "10.0.0.1:5060").tags, "primary,blue");
	f.now += SEC;
	lists(&f, 0, 2); /* the first name gives it up, and its tag with it */
	assert_string_equal(seen(&f, "10.0.0.1:5060").tags, "primary");
	/* the other one too; when the first finds it again, what it had elsewhere is history */
	f.now += SEC;
	lists(&f, 1, 2);
	assert_int_equal(seen(&f, "10.0.0.1:5060").state, TOPO_DISABLED);
	assert_string_equal(seen(&f, "10.0.0.1:5060").tags, "primary");
	f.now += SEC;
	lists(&f, 0, 3);
	assert_int_equal(seen(&f, "10.0.0.1:5060").state, TOPO_UP);
	assert_string_equal(seen(&f, "10.0.0.1:5060").tags, "");
	fx_fini(&f);
}

static void
test_weight_changes(void **state)
{
	struct said s;
	struct fx f;

	fx_init(&f);
	said_init(&s, 0, first(2));
	assert_true(play(&f, &s));
	f.now += SEC;
	assert_false(play(&f, &s));
	s.rows[1].weight = 40;
	f.now += SEC;
	assert_true(play(&f, &s));
	assert_int_equal(seen(&f, "10.0.0.2:5060").weight, 40);
	s.rows[1].priority = 3;
	f.now += SEC;
	assert_true(play(&f, &s));
	assert_int_equal(seen(&f, "10.0.0.2:5060").priority, 3);
	assert_int_equal(seen(&f, "10.0.0.2:5060").since_ms, 5000000);
	fx_fini(&f);
}

/* ---- a new configuration ---- */

static const char *const tag_names_swapped[] = { "blue", "green", "primary" };

static void
test_set_conf_names(void **state)
{
	struct judge_conf conf;
	struct judge_name_view nv;
	int64_t missing = 0;
	struct topo_addr a = host(5);
	struct fx f;
	int i;

	fx_init(&f);
	f.conf.n_names = 2;
	lists(&f, 0, first(3));
	lists(&f, 1, 0x38);
	/* the first name is removed, a new one is added before the other */
	conf = f.conf;
	judge_set_conf(f.j, &conf, (const int[]){ -1, 1 });
	assert_look(&f, "UUUUUU");
	assert_int_equal(judge_listed_by(f.j, &a, &missing), 2);
	judge_name_view(f.j, 0, &nv);
	assert_string_equal(nv.why, "not asked yet");
	judge_name_view(f.j, 1, &nv);
	assert_int_equal(nv.last, EVIDENCE_COMPLETE);
	assert_int_equal(nv.listed, 3);
	/* what only the old one listed waits for all that remain */
	for (i = 0; i < 1000; i++) {
		f.now += SEC;
		lists(&f, 1, 0x38);
		fails(&f, 0, ANSWER_TIMEOUT);
	}
	assert_look(&f, "UUUUUU");
	f.now += SEC;
	lists(&f, 0, 1);
	assert_look(&f, "UDDUUU");
	/* one name fewer: what was missing stays so */
	f.conf = conf;
	f.conf.n_names = 1;
	judge_set_conf(f.j, &f.conf, (const int[]){ 1 });
	assert_look(&f, "UDDUUU");
	lists_for(&f, 0x39, 11 * MIN);
	assert_look(&f, "UUUU");
	fx_fini(&f);

	/* an orphan is judged by all, not by the one that had given it up before */
	fx_init(&f);
	f.conf.n_names = 2;
	lists(&f, 0, first(4));
	lists(&f, 1, first(4));
	lists(&f, 1, first(3));
	conf = f.conf;
	judge_set_conf(f.j, &conf, (const int[]){ -1, 1 });
	lists(&f, 0, first(3));
	lists(&f, 1, first(3));
	assert_look(&f, "UUUD");
	for (i = 0; i < 1000; i++) {
		f.now += SEC;
		lists(&f, 1, first(3));
		fails(&f, 0, ANSWER_TIMEOUT);
	}
	assert_look(&f, "UUUD");
	fx_fini(&f);
}

static void
test_set_conf_tags(void **state)
{
	struct judge_conf conf;
	struct said s;
	struct fx f;

	fx_init(&f);
	f.conf.tags = tag_names;
	f.conf.n_tags = 2;
	said_init(&s, 0, first(2));
	said_tag(&s, 0, 1);
	said_tag(&s, 1, 3);
	(void)play(&f, &s);
	conf = f.conf;
	conf.tags = tag_names_swapped;
	conf.n_tags = 3;
	judge_set_conf(f.j, &conf, (const int[]){ 0 });
	assert_string_equal(seen(&f, "10.0.0.1:5060").tags, "blue,primary");
	assert_string_equal(seen(&f, "10.0.0.2:5060").tags, "blue");
	f.conf.n_tags = 1;
	judge_set_conf(f.j, &f.conf, (const int[]){ 0 });
	assert_string_equal(seen(&f, "10.0.0.1:5060").tags, "primary");
	assert_string_equal(seen(&f, "10.0.0.2:5060").tags, "");
	fx_fini(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_day_one_touches_nothing),
		cmocka_unit_test(test_adoption),
		cmocka_unit_test(test_adoption_by_several_sets),
		cmocka_unit_test(test_restored_waits_for_every_name),
		cmocka_unit_test(test_peak_survives_a_restart),
		cmocka_unit_test(test_restore_normalises),
		cmocka_unit_test(test_unreachable_dc2_keeps_its_instances),
		cmocka_unit_test(test_listed_by_both_leaves_by_both),
		cmocka_unit_test(test_absence_is_per_name),
		cmocka_unit_test(test_several_names_speak_in_order),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_tags_of_several_names_unite),
		cmocka_unit_test(test_weight_changes),
		cmocka_unit_test(test_set_conf_names),
		cmocka_unit_test(test_set_conf_tags),
	};

	return cmocka_run_group_tests_name("judge: life", tests, NULL, NULL);
}
