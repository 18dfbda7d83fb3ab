/*
 * judge, evidence: what a round proves, the way from proof to a loss, and the time it takes. The
 * clock is an argument, so hours pass in microseconds.
 */
#include "judge_fx.h"

/* ---- what a round proves ---- */

static void
test_classify(void **state)
{
	static const struct {
		enum answer_kind list, canary;
		int canary_server; /* the list is answered by server 0 */
		enum flaw flaw;
		enum evidence want;
		const char *why; /* part of it */
	} rows[] = {
		/* a list, whole */
		{ ANSWER_LIST, ANSWER_LIST, 0, FLAW_NONE, EVIDENCE_COMPLETE, "complete" },
		{ ANSWER_LIST, ANSWER_NXDOMAIN, 0, FLAW_NONE, EVIDENCE_COMPLETE, "complete" },
		{ ANSWER_LIST, ANSWER_NODATA, 0, FLAW_NONE, EVIDENCE_COMPLETE, "complete" },
		{ ANSWER_LIST, ANSWER_LIST, 0, FLAW_TAG_LISTS, EVIDENCE_COMPLETE, "complete" },
		/* a list in doubt */
		{ ANSWER_LIST, ANSWER_LIST, 0, FLAW_TC, EVIDENCE_PARTIAL, "split by tags" },
		{ ANSWER_LIST, ANSWER_LIST, 0, FLAW_SIZE, EVIDENCE_PARTIAL, "split by tags" },
		{ ANSWER_LIST, ANSWER_LIST, 0, FLAW_COUNT, EVIDENCE_PARTIAL, "split by tags" },
		{ ANSWER_LIST, ANSWER_LIST, 0, FLAW_UNRESOLVED, EVIDENCE_PARTIAL, "address" },
		{ ANSWER_LIST, ANSWER_LIST, 0, FLAW_NO_ROWS, EVIDENCE_PARTIAL, "address" },
		{ ANSWER_LIST, ANSWER_LIST, 1, FLAW_NONE, EVIDENCE_PARTIAL, "another server" },
		{ ANSWER_LIST, ANSWER_TIMEOUT, 0, FLAW_NONE, EVIDENCE_PARTIAL, "not answered" },
		{ ANSWER_LIST, ANSWER_SERVFAIL, 0, FLAW_NONE, EVIDENCE_PARTIAL, "not answered" },
		{ ANSWER_LIST, ANSWER_NOT_ASKED, 0, FLAW_NONE, EVIDENCE_PARTIAL, "not answered" },
		{ ANSWER_LIST, ANSWER_LIST, 0, FLAW_TAG_SERVER, EVIDENCE_PARTIAL, "tag" },
		{ ANSWER_LIST, ANSWER_LIST, 0, FLAW_TAG_TIMEOUT, EVIDENCE_PARTIAL, "tag" },
		{ ANSWER_LIST, ANSWER_LIST, 0, FLAW_TAG_SELF, EVIDENCE_PARTIAL, "tag" },
		/* nothing there, and Consul is well */
		{ ANSWER_NXDOMAIN, ANSWER_LIST, 0, FLAW_NONE, EVIDENCE_ABSENCE, "no instance" },
		{ ANSWER_NODATA, ANSWER_LIST, 0, FLAW_NONE, EVIDENCE_ABSENCE, "no instance" },
		/* nothing there, but who says so? */
		{ ANSWER_NXDOMAIN, ANSWER_LIST, 1, FLAW_NONE, EVIDENCE_NOTHING, "another server" },
		{ ANSWER_NODATA, ANSWER_LIST, 1, FLAW_NONE, EVIDENCE_NOTHING, "another server" },
		{ ANSWER_NXDOMAIN, ANSWER_NXDOMAIN, 0, FLAW_NONE, EVIDENCE_NOTHING, "canary" },
		{ ANSWER_NXDOMAIN, ANSWER_NODATA, 0, FLAW_NONE, EVIDENCE_NOTHING, "canary" },
		{ ANSWER_NODATA, ANSWER_NXDOMAIN, 0, FLAW_NONE, EVIDENCE_NOTHING, "canary" },
		{ ANSWER_NXDOMAIN, ANSWER_SERVFAIL, 0, FLAW_NONE, EVIDENCE_NOTHING,
		    "not answered" },
		{ ANSWER_NXDOMAIN, ANSWER_SELF_TARGET, 0, FLAW_NONE, EVIDENCE_NOTHING, "canary" },
		{ ANSWER_NXDOMAIN, ANSWER_NOT_ASKED, 0, FLAW_NONE, EVIDENCE_NOTHING, "canary" },
		{ ANSWER_NXDOMAIN, ANSWER_LIST, 0, FLAW_TAG_TIMEOUT, EVIDENCE_NOTHING, "tag" },
		{ ANSWER_NODATA, ANSWER_LIST, 0, FLAW_TAG_SERVER, EVIDENCE_NOTHING, "tag" },
		{ ANSWER_NXDOMAIN, ANSWER_LIST, 0, FLAW_TAG_LISTS, EVIDENCE_NOTHING, "tag" },
		{ ANSWER_NODATA, ANSWER_LIST, 0, FLAW_TC, EVIDENCE_NOTHING, "truncated" },
		/* trouble */
		{ ANSWER_NOT_ASKED, ANSWER_LIST, 0, FLAW_NONE, EVIDENCE_NOTHING, "not asked" },
		{ ANSWER_SERVFAIL, ANSWER_LIST, 0, FLAW_NONE, EVIDENCE_NOTHING, "SERVFAIL" },
		{ ANSWER_REFUSED, ANSWER_LIST, 0, FLAW_NONE, EVIDENCE_NOTHING, "REFUSED" },
		{ ANSWER_OTHER, ANSWER_LIST, 0, FLAW_NONE, EVIDENCE_NOTHING, "code" },
		{ ANSWER_TIMEOUT, ANSWER_LIST, 0, FLAW_NONE, EVIDENCE_NOTHING, "time-out" },
		{ ANSWER_UNREACHABLE, ANSWER_LIST, 0, FLAW_NONE, EVIDENCE_NOTHING, "connection" },
		{ ANSWER_MALFORMED, ANSWER_LIST, 0, FLAW_NONE, EVIDENCE_NOTHING, "malformed" },
		{ ANSWER_SELF_TARGET, ANSWER_LIST, 0, FLAW_NONE, EVIDENCE_NOTHING, "asked name" },
	};
	struct said s;
	const char *why;
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		enum evidence got;

		said_init(&s, 0, first(3));
		s.r.list.kind = rows[i].list;
		s.r.canary.kind = rows[i].canary;
		s.r.canary.server = rows[i].canary_server;
		damage(&s, rows[i].flaw);
		got = judge_classify(&s.r, 1, &why);
		if (got != rows[i].want || strstr(why, rows[i].why) == NULL)
			fail_msg("row %zu (%s, canary %s): %s, \"%s\"", i,
			    answer_name(rows[i].list), answer_name(rows[i].canary),
			    evidence_name(got), why);
	}
}

/* Just below the limits a list is whole; a tag that can't be asked takes nothing from it. */
static void
test_classify_limits(void **state)
{
	struct said s;
	const char *why;

	said_init(&s, 0, first(3));
	s.r.list.size_bytes = 63999;
	s.r.list.n_srv = 899;
	s.tags[0].kind = ANSWER_NOT_ASKED;
	s.tags[0].server = 9;
	assert_int_equal(judge_classify(&s.r, 2, &why), EVIDENCE_COMPLETE);
	said_init(&s, 0, 0);
	s.tags[0].kind = ANSWER_NOT_ASKED;
	assert_int_equal(judge_classify(&s.r, 2, &why), EVIDENCE_ABSENCE);
}

/* A thousand times over eight hours: four stay up, the one that was out stays out, none is removed.
 */
static void
tell(const struct said *s, bool adds)
{
	struct fx f;
	int i;

	fx_init(&f);
	f.conf.n_tags = 1;
	f.conf.tags = tag_names;
	lists(&f, 0, first(5));
	f.now += SEC;
	lists(&f, 0, first(4));
	assert_look(&f, "UUUUD");
	for (i = 0; i < 1000; i++) {
		f.now += 30 * SEC;
		(void)play(&f, s);
	}
	assert_look(&f, adds ? "UUUUDU" : "UUUUD");
	assert_int_equal(view(&f).active, adds ? 5 : 4);
	fx_fini(&f);
}

/* True when it was no proof, and so was told. */
static bool
try_answers(enum answer_kind list, enum answer_kind canary, int canary_server, enum flaw flaw)
{
	enum evidence got;
	const char *why;
	struct said s;

	said_init(&s, 0, 1ull << 9); /* a new one: adding is what a list in doubt may still do */
	s.r.list.kind = list;
	s.r.canary.kind = canary;
	s.r.canary.server = canary_server;
	damage(&s, flaw);
	got = judge_classify(&s.r, 1, &why);
	if (got == EVIDENCE_NOTHING || got == EVIDENCE_PARTIAL) {
		tell(&s, got == EVIDENCE_PARTIAL && s.r.list.n > 0);
		return true;
	}
	/* What a proof takes at least; test_classify has the rows. */
	assert_true(canary_server == 0);
	if (got == EVIDENCE_ABSENCE) {
		assert_true(list == ANSWER_NXDOMAIN || list == ANSWER_NODATA);
		assert_true(canary == ANSWER_LIST);
		/* these flaws are a list's own */
		assert_true(flaw == FLAW_NONE || flaw == FLAW_SIZE || flaw == FLAW_COUNT ||
			    flaw == FLAW_UNRESOLVED || flaw == FLAW_NO_ROWS);
	} else {
		assert_true(list == ANSWER_LIST);
		assert_true(
		    canary == ANSWER_LIST || canary == ANSWER_NODATA || canary == ANSWER_NXDOMAIN);
		assert_true(flaw == FLAW_NONE || flaw == FLAW_TAG_LISTS);
	}
	return false;
}

/* Every kind of answer with every kind of canary, from the same server and another, and every flaw.
 */
static void
test_no_path_to_a_loss(void **state)
{
	const int kinds = ANSWER_SELF_TARGET + 1;
	unsigned told = 0, proofs = 0;
	int list, i;

	for (list = 0; list < kinds; list++) {
		for (i = 0; i < 2 * kinds; i++) {
			bool no_proof = try_answers(
			    (enum answer_kind)list, (enum answer_kind)(i / 2), i % 2, FLAW_NONE);

			told += no_proof;
			proofs += !no_proof;
		}
		for (i = FLAW_NONE + 1; i < FLAWS; i++)
			told += try_answers((enum answer_kind)list, ANSWER_LIST, 0, (enum flaw)i);
	}
	assert_int_equal(proofs, 5); /* a list with three kinds of canary; no name, no data */
	assert_int_equal(told, 11 * 22 - 5 + 11 * 14 - 9);
}

/* The same for what was restored at a start and for what a guard holds: trouble frees nothing. */
static void
test_no_path_from_restored_or_held(void **state)
{
	enum answer_kind k;
	struct fx f;
	int i;

	for (k = ANSWER_SERVFAIL; k <= ANSWER_SELF_TARGET; k++) {
		fx_init(&f);
		restore(&f, first(3), TOPO_UP, GUARD_NONE);
		for (i = 0; i < 1000; i++) {
			f.now += 30 * SEC;
			fails(&f, 0, k);
		}
		assert_look(&f, "UUU");
		fx_fini(&f);

		fx_init(&f);
		lists(&f, 0, first(10));
		f.now += SEC;
		lists(&f, 0, first(2));
		assert_look(&f, "UUSSSSSSSS");
		for (i = 0; i < 1000; i++) {
			f.now += 30 * SEC;
			fails(&f, 0, k);
		}
		assert_look(&f, "UUSSSSSSSS");
		fx_fini(&f);
	}
}

static void
test_mixed_servers_prove_nothing(void **state)
{
	struct judge_name_view nv;
	struct said s;
	struct fx f;
	int i;

	fx_init(&f);
	lists(&f, 0, first(4));
	for (i = 0; i < 1000; i++) {
		f.now += SEC;
		said_init(&s, 0, i % 2 ? 0 : first(1));
		s.r.list.server = 0;
		s.r.canary.server = 1 + i % 3;
		(void)play(&f, &s);
	}
	assert_look(&f, "UUUU");
	judge_name_view(f.j, 0, &nv);
	assert_int_equal(nv.last, EVIDENCE_NOTHING);
	assert_string_equal(nv.why, "the canary was answered by another server");
	assert_int_equal(nv.absent_rounds, 0);
	fx_fini(&f);
}

/* ---- from proof to removal ---- */

static void
test_add_disable_remove(void **state)
{
	struct fx f;
	int64_t missing = 0;
	struct topo_addr a = host(3);

	fx_init(&f);
	assert_false(view(&f).known);
	lists(&f, 0, first(4));
	assert_true(view(&f).known);
	assert_look(&f, "UUUU");
	assert_int_equal(judge_listed_by(f.j, &a, &missing), 1);
	f.now += SEC;
	lists(&f, 0, first(3));
	assert_look(&f, "UUUD");
	assert_int_equal(seen(&f, "10.0.0.4:5060").since_ms, f.now);
	lists_for(&f, first(3), 10 * MIN - SEC);
	assert_look(&f, "UUUD");
	assert_int_equal(judge_listed_by(f.j, &a, &missing), 0);
	assert_int_equal(missing, 10 * MIN - SEC);
	lists_for(&f, first(3), SEC);
	assert_look(&f, "UUU");
	fx_fini(&f);
}

/* remove_hold runs in evidence time: an outage in between stops it, and a return ends it at once.
 */
static void
test_remove_hold_in_evidence_time(void **state)
{
	struct fx f;
	int i;

	fx_init(&f);
	lists(&f, 0, first(4));
	f.now += SEC;
	lists(&f, 0, first(3));
	lists_for(&f, first(3), 9 * MIN);
	for (i = 0; i < 3600; i++) {
		f.now += SEC;
		fails(&f, 0, ANSWER_TIMEOUT);
	}
	assert_look(&f, "UUUD");
	lists_for(&f, first(3), MIN);
	assert_look(&f, "UUUD"); /* the first round after the outage adds nothing */
	lists_for(&f, first(3), SEC);
	assert_look(&f, "UUU");

	lists(&f, 0, first(4));
	f.now += SEC;
	lists(&f, 0, first(3));
	lists_for(&f, first(3), 9 * MIN);
	assert_look(&f, "UUUD");
	f.now += SEC;
	lists(&f, 0, first(4));
	assert_look(&f, "UUUU");
	assert_int_equal(seen(&f, "10.0.0.4:5060").since_ms, f.now);
	f.now += SEC;
	lists(&f, 0, first(3));
	lists_for(&f, first(3), 9 * MIN);
	assert_look(&f, "UUUD"); /* it began anew */
	fx_fini(&f);
}

static void
test_partial_adds_only(void **state)
{
	struct said s;
	struct fx f;

	fx_init(&f);
	lists(&f, 0, first(4));
	f.now += SEC;
	lists(&f, 0, first(3));
	assert_look(&f, "UUUD");
	f.now += SEC;
	said_init(&s, 0, 0x18); /* hosts 3 and 4 */
	s.r.list.truncated = true;
	assert_true(play(&f, &s));
	assert_look(&f, "UUUUU");
	fx_fini(&f);

	/* what it does not name is not given up either: another name's proof finds nothing to take
	 */
	fx_init(&f);
	f.conf.n_names = 2;
	lists(&f, 0, first(3));
	lists(&f, 1, 0x38);
	f.now += SEC;
	said_init(&s, 1, 0x08);
	s.r.list.truncated = true;
	(void)play(&f, &s);
	f.now += SEC;
	lists(&f, 0, first(3));
	assert_look(&f, "UUUUUU");
	fx_fini(&f);
}

/* ---- clocks ---- */

static void
test_paused_clock_proves_nothing(void **state)
{
	struct judge_name_view nv;
	int64_t missing = 0;
	struct topo_addr a = host(3);
	struct fx f;

	/* absence */
	fx_init(&f);
	lists(&f, 0, first(4));
	f.now += SEC;
	lists(&f, 0, 0);
	f.now += 5 * HOUR;
	lists(&f, 0, 0);
	f.now += 5 * HOUR;
	lists(&f, 0, 0);
	f.now += 5 * HOUR;
	lists(&f, 0, 0);
	judge_name_view(f.j, 0, &nv);
	assert_int_equal(nv.absent_rounds, 4);
	assert_int_equal(nv.absent_ms, 9 * SEC);
	assert_look(&f, "UUUU");
	fx_fini(&f);

	/* remove_hold */
	fx_init(&f);
	lists(&f, 0, first(4));
	f.now += SEC;
	lists(&f, 0, first(3));
	f.now += 24 * HOUR;
	lists(&f, 0, first(3));
	assert_look(&f, "UUUD");
	(void)judge_listed_by(f.j, &a, &missing);
	assert_int_equal(missing, 3 * SEC);
	fx_fini(&f);

	/* shrink_hold, and the shrink guard's memory */
	fx_init(&f);
	lists(&f, 0, first(10));
	f.now += SEC;
	lists(&f, 0, first(5));
	f.now += SEC;
	lists(&f, 0, first(4));
	assert_look(&f, "UUUUSDDDDD");
	f.now += 24 * HOUR;
	lists(&f, 0, first(4));
	assert_look(&f, "UUUUSDDDDD");
	(void)judge_listed_by(
	    f.j, &(struct topo_addr){ .family = 4, .ip = { 10, 0, 0, 5 }, .port = 5060 }, &missing);
	assert_int_equal(missing, 3 * SEC);
	assert_int_equal(view(&f).base, 10);
	f.now += SEC;
	lists(&f, 0, first(3));
	assert_look(&f, "UUUSSDDDDD");
	fx_fini(&f);

	/* and one that runs backwards takes nothing away */
	fx_init(&f);
	lists(&f, 0, first(4));
	f.now += SEC;
	lists(&f, 0, first(3));
	f.now -= HOUR;
	lists(&f, 0, first(3));
	lists_for(&f, first(3), 10 * MIN);
	assert_look(&f, "UUU");
	fx_fini(&f);
}

static void
test_nothing_pauses_noerror_resets(void **state)
{
	struct judge_name_view nv;
	struct said s;
	struct fx f;
	int i;

	fx_init(&f);
	lists(&f, 0, first(4));
	for (i = 0; i < 101; i++) {
		f.now += SEC;
		lists(&f, 0, 0);
	}
	judge_name_view(f.j, 0, &nv);
	assert_int_equal(nv.absent_ms, 100 * SEC);
	for (i = 0; i < 3600; i++) {
		f.now += SEC;
		fails(&f, 0, ANSWER_SERVFAIL);
	}
	judge_name_view(f.j, 0, &nv);
	assert_int_equal(nv.absent_ms, 100 * SEC);
	assert_int_equal(nv.absent_rounds, 101);
	for (i = 0; i < 20; i++) {
		f.now += SEC;
		lists(&f, 0, 0);
	}
	assert_look(&f, "UUUU"); /* 119 s: the gaps beside the trouble don't count */
	f.now += SEC;
	lists(&f, 0, 0);
	assert_look(&f, "EEEE");

	/* NOERROR begins anew, also when the list is in doubt */
	for (i = 0; i < 2; i++) {
		lists(&f, 0, first(4));
		assert_look(&f, "UUUU");
		f.now += SEC;
		lists(&f, 0, 0);
		f.now += SEC;
		lists(&f, 0, 0);
		said_init(&s, 0, first(1));
		s.r.list.truncated = i == 1;
		s.r.list.n_unresolved = i == 0;
		f.now += SEC;
		(void)play(&f, &s);
		judge_name_view(f.j, 0, &nv);
		assert_int_equal(nv.absent_ms, 0);
		assert_int_equal(nv.absent_rounds, 0);
		assert_look(&f, "UUUU");
	}
	fx_fini(&f);
}

static void
test_restart_begins_anew(void **state)
{
	struct judge_name_view nv;
	struct fx f;
	int i;

	fx_init(&f);
	restore(&f, first(3), TOPO_UP, GUARD_NONE);
	restore(&f, 1ull << 3, TOPO_DISABLED, GUARD_NONE);
	for (i = 0; i < 120; i++) {
		lists(&f, 0, 0);
		f.now += SEC;
	}
	judge_name_view(f.j, 0, &nv);
	assert_int_equal(nv.absent_ms, 119 * SEC);
	assert_look(&f, "UUUD");
	lists(&f, 0, 0);
	assert_look(&f, "EEED");
	fx_fini(&f);

	fx_init(&f);
	restore(&f, first(3), TOPO_UP, GUARD_NONE);
	restore(&f, 1ull << 3, TOPO_DISABLED, GUARD_NONE);
	lists(&f, 0, first(3));
	lists_for(&f, first(3), 10 * MIN - SEC);
	assert_look(&f, "UUUD");
	lists_for(&f, first(3), SEC);
	assert_look(&f, "UUU");
	fx_fini(&f);
}

/* ---- empty ---- */

static void
test_empty_needs_rounds_and_time(void **state)
{
	static const struct {
		unsigned rounds;
		int64_t hold_ms, gap_ms;
		int at; /* the round of absence in which they count as missing */
	} rows[] = {
		{ 3, 0, SEC, 3 }, { 1, 0, SEC, 1 }, { 3, 5 * SEC, SEC, 6 },
		{ 10, 5 * SEC, SEC, 10 }, { 3, 6 * SEC, 3 * SEC, 3 },
		{ 3, 7 * SEC, 9 * SEC, 4 }, /* 3 s a round, whatever the gap */
	};
	struct fx f;
	size_t i;
	int k;

	for (i = 0; i < NELEM(rows); i++) {
		fx_init(&f);
		f.conf.empty_rounds = rows[i].rounds;
		f.conf.empty_hold_ms = rows[i].hold_ms;
		lists(&f, 0, first(2));
		for (k = 1; k <= rows[i].at; k++) {
			assert_look(&f, "UU");
			f.now += rows[i].gap_ms;
			lists(&f, 0, 0);
		}
		assert_look(&f, "EE");
		fx_fini(&f);
	}
}

static void
test_absence_of_all_keeps_the_whole_set(void **state)
{
	struct fx f;
	int i;

	fx_init(&f);
	lists(&f, 0, first(10));
	for (i = 0; i < 121; i++) {
		f.now += SEC;
		lists(&f, 0, 0);
	}
	assert_look(&f, "EEEEEEEEEE");
	assert_int_equal(view(&f).active, 10);
	for (i = 0; i < 24 * 3600; i++) {
		f.now += SEC;
		lists(&f, 0, 0);
	}
	assert_look(&f, "EEEEEEEEEE");
	/* the servers lost their data, and the agents come back one by one */
	f.now += SEC;
	lists(&f, 0, first(2));
	assert_look(&f, "UUSSSSSSSS");
	lists_for(&f, first(2), 10 * SEC);
	assert_look(&f, "UUSSSSSSSS");
	lists_for(&f, first(9), SEC);
	assert_look(&f, "UUUUUUUUUS");
	lists_for(&f, first(10), SEC);
	assert_look(&f, "UUUUUUUUUU");
	/* or they don't: then the loss has stood */
	f.now += SEC;
	lists(&f, 0, first(2));
	assert_look(&f, "UUSSSSSSSS");
	lists_for(&f, first(2), 60 * SEC);
	assert_look(&f, "UUDDDDDDDD");
	fx_fini(&f);

	fx_init(&f);
	lists(&f, 0, first(3));
	for (i = 0; i < 125; i++) {
		f.now += SEC;
		lists(&f, 0, 0);
	}
	assert_look(&f, "EEE");
	assert_true(judge_word(f.j, JUDGE_APPROVE, f.now, f.now));
	assert_look(&f, "DDD");
	assert_int_equal(view(&f).active, 0);
	fx_fini(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classify),
		cmocka_unit_test(test_classify_limits),
		cmocka_unit_test(test_no_path_to_a_loss),
		cmocka_unit_test(test_no_path_from_restored_or_held),
		cmocka_unit_test(test_mixed_servers_prove_nothing),
		cmocka_unit_test(test_add_disable_remove),
		cmocka_unit_test(test_remove_hold_in_evidence_time),
		cmocka_unit_test(test_partial_adds_only),
		cmocka_unit_test(test_paused_clock_proves_nothing),
		cmocka_unit_test(test_nothing_pauses_noerror_resets),
		cmocka_unit_test(test_restart_begins_anew),
		cmocka_unit_test(test_empty_needs_rounds_and_time),
		cmocka_unit_test(test_absence_of_all_keeps_the_whole_set),
	};

	return cmocka_run_group_tests_name("judge: evidence", tests, NULL, NULL);
}
