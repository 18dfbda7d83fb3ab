/*
 * incremental_plan: which step goes next by dispatcher.add or remove, what can't, and a whole change of a set step by
 * step, with what Kamailio makes of each.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "reconcile/incremental_plan.h"

#define NEW "kamailio 5.6.3 (x86_64/linux)"
#define OLD "kamailio 5.5.4 (x86_64/linux)"

static struct ds_entries
entries_of(const char *lines)
{
	struct ds_entries e = { 0 };
	size_t bad = 0;

	dslist_parse(lines, strlen(lines), &e, &bad);
	assert_int_equal(bad, 0);
	ds_entries_sort(&e);
	return e;
}

static void
versions_are_read(void **state)
{
	static const struct {
		const char *text;
		bool want;
	} rows[] = {
		{ "kamailio 5.6.3 (x86_64/linux)", true },
		{ "kamailio 5.6.0 (x86_64/linux)", true },
		{ "kamailio 5.5.7 (x86_64/linux)", false },
		{ "kamailio 5.5.0 (aarch64/linux)", false },
		{ "kamailio 5.4.9 (x86_64/linux)", false },
		{ "kamailio 5.10.1 (x86_64/linux)", true },
		{ "kamailio 5.8.0-dev3 (x86_64/linux)", true },
		{ "kamailio 5.5.0-rc1 (x86_64/linux)", false },
		{ "kamailio 6.0.1 (x86_64/linux)", true },
		{ "kamailio 6.1.0-dev1 (x86_64/linux) 2b3c4d", true },
		{ "kamailio 10.0.0 (x86_64/linux)", true },
		{ "kamailio 4.4.7 (x86_64/linux)", false },
		{ "5.5.2", false },
		{ "my sip-router5.3 5.6.1", true },
		/* unknown: as new ones have it */
		{ "", true },
		{ "kamailio", true },
		{ "kamailio devel", true },
		{ "kamailio 5", true },
		{ "kamailio x5.5", true },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++)
		if (incremental_has_priority(rows[i].text) != rows[i].want)
			fail_msg("%s: not %d", rows[i].text, rows[i].want);
}

struct fx {
	struct ds_entries desired, actual, none;
	struct ds_set_ref sets[4];
	size_t n_sets;
	struct dsp_plan plan;
};

static struct fx
fx_of(const char *desired, const char *actual)
{
	struct fx f = { .desired = entries_of(desired), .actual = entries_of(actual) };
	int id;

	for (id = 1; id <= 3; id++)
		f.sets[f.n_sets++] = (struct ds_set_ref){ id, true };
	return f;
}

static void
fx_plan(struct fx *f, const char *version)
{
	dsp_plan_clear(&f->plan);
	dsp_make_plan(&f->desired, &f->actual, &f->none, f->sets, f->n_sets, &f->plan);
	incremental_block(&f->plan, &f->desired, &f->actual, version);
}

static void
fx_free(struct fx *f)
{
	dsp_plan_clear(&f->plan);
	ds_entries_clear(&f->desired);
	ds_entries_clear(&f->actual);
}

static void
the_most_useful_goes_first(void **state)
{
	static const struct {
		const char *desired, *actual;
		const char *want; /* "op set uri"; NULL: none */
	} rows[] = {
		{ "1 sip:one\n", "1 sip:one\n", NULL },
		/* what set_state does is no step of ours */
		{ "1 sip:one 4\n1 sip:two\n", "1 sip:one\n1 sip:two\n", NULL },
		/* adds of what takes calls before everything else */
		{ "1 sip:one\n1 sip:two\n1 sip:out 4\n", "1 sip:one 0 0 w=1\n1 sip:old 4\n", "add 1 sip:two" },
		/* where there are the fewest, among them */
		{ "1 sip:one\n1 sip:two\n2 sip:one\n2 sip:two\n", "1 sip:one\n", "add 2 sip:one" },
		{ "1 sip:one\n1 sip:two\n2 sip:one\n2 sip:two\n", "1 sip:one 1\n2 sip:one\n", "add 1 sip:two" },
		/* then what takes calls and should not, or twice */
		{ "1 sip:one\n1 sip:out 4\n", "1 sip:one\n1 sip:odd\n1 sip:old 4\n", "remove 1 sip:odd" },
		{ "1 sip:one\n1 sip:two\n", "1 sip:one\n1 sip:two\n1 sip:two\n1 sip:old 4\n", "duplicate 1 sip:two" },
		/* then leftovers, then what is new and out of service */
		{ "1 sip:one\n1 sip:out 4\n", "1 sip:one\n1 sip:old 4\n", "remove 1 sip:old" },
		{ "1 sip:one\n1 sip:two 0 0 w=2\n1 sip:out 4\n", "1 sip:one\n1 sip:two\n", "add 1 sip:out" },
		/* changes last */
		{ "1 sip:one\n1 sip:two 0 0 w=2\n", "1 sip:one\n1 sip:two\n", "change 1 sip:two" },
		{ "1 sip:one\n1 sip:two 0 3\n", "1 sip:one\n1 sip:two\n", "change 1 sip:two" },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct fx f = fx_of(rows[i].desired, rows[i].actual);
		const struct dsp_step *s;
		char *got;

		fx_plan(&f, NEW);
		s = incremental_next(&f.plan, &f.desired, &f.actual);
		got = s ? xasprintf("%s %d %s", dsp_op_name(s->op), s->set, s->uri) : xstrdup("none");
		if (strcmp(got, rows[i].want ? rows[i].want : "none") != 0)
			fail_msg("row %zu: %s, not %s", i, got, rows[i].want ? rows[i].want : "none");
		if (s != NULL)
			assert_int_equal(incremental_is_add(s), strncmp(got, "add", 3) == 0);
		free(got);
		fx_free(&f);
	}
}

static void
what_can_t_be_done_is_said(void **state)
{
	static const struct {
		const char *desired, *actual, *version;
		const char *want; /* part of the first blocked step's reason; NULL: none is */
		size_t windows;
	} rows[] = {
		{ "1 sip:one\n1 sip:two\n", "1 sip:one\n", OLD, NULL, 1 },
		{ "1 sip:one 0 5\n1 sip:two 0 5\n", "1 sip:one 0 5\n", NEW, NULL, 1 },
		/* no way to give a priority: neither to a new one nor by a change; taking one away is fine */
		{ "1 sip:one 0 5\n1 sip:two 0 5\n", "1 sip:one 0 5\n", OLD, "strategy: reload", 0 },
		{ "1 sip:one\n1 sip:two 0 5\n", "1 sip:one\n1 sip:two\n", OLD, "sip:two has 5", 0 },
		{ "1 sip:one\n1 sip:two\n", "1 sip:one\n1 sip:two 0 5\n", OLD, NULL, 2 },
		{ "1 sip:one 0 5\n", "1 sip:one 0 5\n1 sip:old 4 5\n", OLD, NULL, 1 },
		/* the last one alive is not removed for a change, nor for being listed twice */
		{ "1 sip:one 0 0 w=2\n", "1 sip:one\n", NEW, "nothing else of set 1 is alive", 0 },
		{ "1 sip:one 0 0 w=2\n1 sip:two\n", "1 sip:one\n1 sip:two 1\n", NEW, "nothing else", 0 },
		{ "1 sip:one 0 0 w=2\n1 sip:two\n", "1 sip:one\n1 sip:two 4\n", NEW, "nothing else", 0 },
		{ "1 sip:one 0 0 w=2\n1 sip:two 4\n", "1 sip:one\n1 sip:two\n", NEW, "nothing else", 0 },
		{ "1 sip:one 0 0 w=2\n1 sip:two 4\n", "1 sip:one\n", NEW, "nothing else", 1 },
		/* one that will be is on the way, and goes first; or can't come */
		{ "1 sip:one 0 0 w=2\n1 sip:two\n", "1 sip:one\n", NEW, NULL, 3 },
		{ "1 sip:one 0 0 w=2\n2 sip:two\n", "1 sip:one\n", NEW, "nothing else of set 1", 1 },
		{ "1 sip:one 0 0 w=2\n1 sip:two 0 5\n", "1 sip:one\n", OLD, "takes no priority", 0 },
		{ "1 sip:one\n", "1 sip:one\n1 sip:one\n", NEW, "nothing else", 0 },
		{ "1 sip:one 0 0 w=2\n2 sip:two\n", "1 sip:one\n2 sip:two\n", NEW, "nothing else of set 1", 0 },
		{ "1 sip:one 0 0 w=2\n1 sip:two\n", "1 sip:one\n1 sip:two 2\n", NEW, NULL, 2 },
		/* one that takes no calls is no loss */
		{ "1 sip:one 0 0 w=2\n1 sip:two\n", "1 sip:one 1\n1 sip:two\n", NEW, NULL, 2 },
		{ "1 sip:one 4 0 w=2\n", "1 sip:one 4\n", NEW, NULL, 2 },
		/* nor what is not ours, once ours are there; before, it takes the calls */
		{ "1 sip:one\n", "1 sip:one\n1 sip:odd\n", NEW, NULL, 1 },
		{ "1 sip:one\n", "1 sip:odd\n", NEW, NULL, 2 },
		{ "1 sip:one 0 5\n", "1 sip:odd\n", OLD, "takes no priority", 0 },
		{ "1 sip:one\n", "1 sip:odd 4\n", NEW, NULL, 2 },
		/* nobody shall take calls there */
		{ "1 sip:one 4\n", "1 sip:odd\n", NEW, NULL, 2 },
		{ "", "1 sip:odd\n", NEW, NULL, 1 },
	};
	size_t i, k;

	for (i = 0; i < NELEM(rows); i++) {
		struct fx f = fx_of(rows[i].desired, rows[i].actual);
		const char *why = NULL;

		fx_plan(&f, rows[i].version);
		for (k = 0; k < f.plan.n; k++)
			if (why == NULL)
				why = f.plan.v[k].blocked;
		if ((why != NULL) != (rows[i].want != NULL) || (why != NULL && strstr(why, rows[i].want) == NULL))
			fail_msg("row %zu: %s, not %s", i, why ? why : "none", rows[i].want ? rows[i].want : "none");
		if (incremental_windows(&f.plan) != rows[i].windows)
			fail_msg("row %zu: %zu windows", i, incremental_windows(&f.plan));
		fx_free(&f);
	}
}

static void
what_is_blocked_already_stays_so(void **state)
{
	struct fx f = fx_of("1 sip:one\n1 sip:two\n", "");
	const struct dsp_step *s;

	dsp_make_plan(&f.desired, &f.actual, &f.none, f.sets, f.n_sets, &f.plan);
	f.plan.v[0].blocked = xstrdup("it did not resolve");
	incremental_block(&f.plan, &f.desired, &f.actual, NEW);
	assert_string_equal(f.plan.v[0].blocked, "it did not resolve");
	s = incremental_next(&f.plan, &f.desired, &f.actual);
	assert_string_equal(s->uri, "sip:two");
	f.plan.v[1].blocked = xstrdup("neither did this");
	assert_null(incremental_next(&f.plan, &f.desired, &f.actual));
	assert_int_equal(incremental_windows(&f.plan), 0);
	fx_free(&f);
}

/* What Kamailio makes of a step: remove takes all of that URI, add appends. */
static void
take_step(struct fx *f, const struct dsp_step *s)
{
	struct ds_entries now = { 0 };
	const struct ds_entry *want = dsp_find(&f->desired, s->set, s->uri);
	size_t i;

	for (i = 0; i < f->actual.n; i++) {
		const struct ds_entry *e = &f->actual.v[i];

		if (incremental_is_add(s) || e->set != s->set || strcmp(e->uri, s->uri) != 0)
			ds_entries_add(&now, e->set, e->uri, e->flags, e->priority, e->attrs);
	}
	if (incremental_is_add(s))
		ds_entries_add(&now, s->set, s->uri, want->flags, want->priority, want->attrs);
	ds_entries_clear(&f->actual);
	f->actual = now;
}

static size_t
alive_in(const struct ds_entries *e, int set)
{
	size_t i, n = 0;

	for (i = 0; i < e->n; i++)
		n += e->v[i].set == set && !(e->v[i].flags & (DS_DISABLED | DS_INACTIVE));
	return n;
}

/* From anything to anything, window by window: it ends, in as many as said, and no set is ever emptied by it. */
static void
every_change_ends_and_empties_nothing(void **state)
{
	static const char *const lists[] = {
		"", "1 sip:one\n", "1 sip:one\n1 sip:two\n", "1 sip:one 0 3\n1 sip:two\n1 sip:three\n", "1 sip:one 4\n1 sip:two\n",
		"1 sip:one 0 0 w=2\n1 sip:two 0 0 w=2\n", "1 sip:four\n1 sip:five\n2 sip:one\n", "2 sip:one\n2 sip:two 0 7\n3 sip:one\n",
		"1 sip:one\n1 sip:one\n1 sip:two\n", "1 sip:two 1\n1 sip:three\n",
	};
	size_t i, k, steps;
	int set;

	for (i = 0; i < NELEM(lists) - 2; i++)
		for (k = 0; k < NELEM(lists); k++) {
			struct fx f = fx_of(lists[i], lists[k]);
			const struct dsp_step *s;
			size_t windows;

			fx_plan(&f, NEW);
			windows = incremental_windows(&f.plan);
			for (steps = 0; (s = incremental_next(&f.plan, &f.desired, &f.actual)) != NULL; steps++) {
				size_t was[4];

				for (set = 1; set <= 3; set++)
					was[set] = alive_in(&f.actual, set);
				take_step(&f, s);
				for (set = 1; set <= 3; set++)
					if (was[set] > 0 && alive_in(&f.desired, set) > 0)
						assert_true(alive_in(&f.actual, set) > 0);
				fx_plan(&f, NEW);
				assert_true(steps < 20);
			}
			/* a step that was blocked at the beginning may have become possible */
			assert_true(steps >= windows);
			for (steps = 0; steps < f.plan.n; steps++)
				assert_true(!dsp_is_structural(&f.plan.v[steps]) || f.plan.v[steps].blocked != NULL);
			fx_free(&f);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions_are_read),
		cmocka_unit_test(the_most_useful_goes_first),
		cmocka_unit_test(what_can_t_be_done_is_said),
		cmocka_unit_test(what_is_blocked_already_stays_so),
		cmocka_unit_test(every_change_ends_and_empties_nothing),
	};

	return cmocka_run_group_tests_name("incremental_plan", tests, NULL, NULL);
}
