/*
 * routing data when memory for what the document sizes is out: the new data is refused as a whole, the old goes on, nothing leaks.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fault.h"
#include "routing/index.h"
#include "routing/pattern.h"
#include "rtdata_fx.h"

#define MEMORY "malloc calloc"

static void
take_note(void *arg, const char *path, const char *text)
{
	buf_printf(arg, "%s: %s\n", path ? path : "", text);
}

static void
a_document_without_memory_is_refused_whole(void **state)
{
	char *json = json_of(SMALL_DOCUMENT);
	unsigned failed = 0;

	(void)state;
	FAULT_EACH(MEMORY, ENOMEM) {
		struct buf notes = { 0 };
		struct rt_data *d = NULL;
		int err = rt_document_parse(&d, json, strlen(json), NULL, NULL, take_note, &notes);

		/* what could not be compiled for want of memory may be reported as a wrong pattern: refused it is */
		assert_int_equal(err != 0, fault_hits() != 0);
		assert_true(err == 0 || err == -ENOMEM || err == -EINVAL);
		assert_int_equal(d != NULL, err == 0);
		if (err == -EINVAL)
			assert_non_null(notes.s);
		failed += err != 0;
		rt_data_unref(d);
		buf_free(&notes);
	}
	assert_in_range(failed, 20, 500);
	free(json);
}

/* Replacements are checked for the whole document first, and again when they are compiled: what the first could not look at is found by the second. */
static void
a_wrong_replacement_is_found_also_without_memory(void **state)
{
	char *json = json_of("{'tenants':[{'uuid':'" T1 "','name':'one'}],"
			     "'normalization_profiles':[{'id':1,'tenant_uuid':'" T1 "','name':'p'}],"
			     "'normalization_rules':[{'id':1,'profile_id':1,'rule_type':1,'match_regex':'^00(.)','replace_regex':'\\\\7'}]}");
	unsigned passes = 0;

	(void)state;
	FAULT_EACH("pcre2_compile_context_create_8", ENOMEM) {
		struct buf notes = { 0 };
		struct rt_data *d = NULL;

		assert_true(rt_document_parse(&d, json, strlen(json), NULL, NULL, take_note, &notes) != 0);
		assert_null(d);
		assert_non_null(strstr(notes.s, "normalization_rules[0]"));
		passes++;
		buf_free(&notes);
	}
	assert_true(passes > 1);
	free(json);
}

/* The one that fits its size at the end is no need. */
static void
a_block_that_cannot_shrink_stays(void **state)
{
	struct rt_data *d;

	(void)state;
	fault_times("realloc", 1, FAULT_ALWAYS, ENOMEM);
	d = data_of(SMALL_DOCUMENT);
	assert_true(fault_hits() > 0);
	assert_true(rt_data_count(d) > 10);
	rt_data_unref(d);
}

static void
a_change_without_memory_changes_nothing(void **state)
{
	struct rt_data *d = data_of(SMALL_DOCUMENT);
	struct rt_row *row = row_of(RT_CARRIERS, "{'id':2,'tenant_uuid':'" T1 "','name':'another'}", 0);
	struct rt_change c = { .table = RT_CARRIERS, .put = row, .create = true };
	size_t before = rt_data_count(d);

	(void)state;
	FAULT_EACH(MEMORY, ENOMEM) {
		struct rt_refusal refusal;
		struct rt_data *next = NULL;
		struct rt_row *put = NULL;
		int err = rt_data_change(&next, d, &c, &put, &refusal);

		assert_int_equal(err != 0, fault_hits() != 0);
		assert_int_equal(rt_data_count(d), before);
		assert_null(rt_data_find(d, RT_CARRIERS, 2));
		if (err == 0) {
			assert_non_null(rt_data_find(next, RT_CARRIERS, 2));
			rt_row_unref(put);
			rt_data_unref(next);
		} else {
			assert_null(put);
			assert_null(next);
		}
	}
	rt_row_unref(row);
	rt_data_unref(d);
}

static void
a_pattern_without_memory_is_none(void **state)
{
	char why[200] = "";
	struct pattern *p = NULL;

	(void)state;
	fault_set("pcre2_compile_context_create_8", 1, ENOMEM);
	assert_int_equal(pattern_new(&p, "^39(.)+$", why, sizeof why), -ENOMEM);
	assert_null(p);
	fault_set("pcre2_compile_8", 1, ENOMEM);
	assert_int_equal(pattern_new(&p, "^39(.)+$", why, sizeof why), -EINVAL);
	assert_non_null(strstr(why, "memory"));
	assert_null(p);
	assert_int_equal(fault_hits(), 2);
	fault_clear();
	assert_int_equal(pattern_new(&p, "^39(.)+$", why, sizeof why), 0);
	assert_true(pattern_match(p, "391", 3));
	/* limits: no match, and counted */
	fault_set("pcre2_match_8", 1, -47); /* PCRE2_ERROR_MATCHLIMIT */
	{
		uint64_t before = pattern_limited();

		assert_false(pattern_match(p, "391", 3));
		assert_int_equal(pattern_limited(), before + 1);
	}
	pattern_free(p);
}

/* Compiling says no after all: the change is refused with what it said, and nothing of it stays. */
static void
a_change_that_does_not_compile_is_refused(void **state)
{
	struct rt_data *d = data_of(SMALL_DOCUMENT);
	struct rt_row *row = row_of(RT_NORM_RULES,
	    "{'id':2,'profile_id':1,'rule_type':1,'match_regex':'^0(.)+$','replace_regex':'\\\\1'}", 0);
	struct rt_change c = { .table = RT_NORM_RULES, .put = row, .create = true };
	unsigned by_compile = 0;

	(void)state;
	FAULT_EACH("pcre2_compile_8", ENOMEM) {
		struct rt_refusal refusal;
		struct rt_data *next = NULL;
		struct rt_row *put = NULL;
		int err = rt_data_change(&next, d, &c, &put, &refusal);

		/* the check of the replacement leaves a pattern that it can't compile to those who tell of it */
		if (err != 0) {
			assert_int_equal(err, -EINVAL);
			assert_true(fault_hits());
			assert_int_equal(refusal.what, RT_WRONG);
			assert_non_null(strstr(refusal.text, "is no regular expression"));
			by_compile += refusal.column < 0;
			assert_null(put);
			assert_null(next);
		}
		rt_row_unref(put);
		rt_data_unref(next);
	}
	assert_true(by_compile > 0);
	rt_row_unref(row);
	rt_data_unref(d);
}

static void *
match_elsewhere(void *arg)
{
	return pattern_match(arg, "391", 3) ? arg : NULL;
}

/* What a thread needs to match goes with it: the sanitizer would see what stays. */
static void
a_thread_leaves_nothing(void **state)
{
	struct pattern *p;
	char why[200];
	pthread_t t;
	void *matched;

	(void)state;
	assert_int_equal(pattern_new(&p, "^39(.)+$", why, sizeof why), 0);
	assert_int_equal(pthread_create(&t, NULL, match_elsewhere, p), 0);
	assert_int_equal(pthread_join(t, &matched), 0);
	assert_ptr_equal(matched, p);
	pattern_free(p);
}

int
main(void)
{
#define T(fn) cmocka_unit_test_teardown(fn, fault_teardown)
	const struct CMUnitTest tests[] = {
		T(a_document_without_memory_is_refused_whole),
		T(a_wrong_replacement_is_found_also_without_memory),
		T(a_block_that_cannot_shrink_stays),
		T(a_change_without_memory_changes_nothing),
		T(a_pattern_without_memory_is_none),
		T(a_change_that_does_not_compile_is_refused),
		T(a_thread_leaves_nothing),
	};

	return cmocka_run_group_tests_name("routing data without memory", tests, NULL, NULL);
}
