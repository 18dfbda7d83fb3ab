/*
 * hook_events: what is told of what changes: each event, the start, what comes and goes, limits, and what can't wait any more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/jsonx.h"
#include "control/hook_events.h"

#define INTERVAL_MS 30000
#define START_MS 5000000 /* no clock begins at 0 */

struct bench {
	struct hook_limits limits;
	struct hook_events *e;
	int64_t now_ms;
	unsigned failures; /* since it was told */
	struct hook_event ev;
};

static void
bench_init(struct bench *b)
{
	*b = (struct bench){ .limits = { INTERVAL_MS, 30 }, .now_ms = START_MS };
	b->e = hook_events_new(&b->limits);
}

static int64_t
wall(const struct bench *b)
{
	return INT64_C(1700000000000) + b->now_ms;
}

static struct hook_fact
fact(enum hook_kind kind, const char *name, enum hook_state state)
{
	return (struct hook_fact){ kind, name, state, "a detail", "a hint", 7 };
}

/* A look at which this is all that there is. */
static void
look(struct bench *b, enum hook_kind kind, const char *name, enum hook_state state)
{
	struct hook_fact f = fact(kind, name, state);

	hook_events_begin(b->e);
	hook_events_see(b->e, &f, b->now_ms, wall(b));
	hook_events_end(b->e);
}

static void
tells(struct bench *b, const char *event, const char *name, uint64_t count)
{
	assert_int_equal(hook_events_due_ms(b->e, b->now_ms), 0);
	assert_true(hook_events_next(b->e, b->now_ms, &b->ev));
	assert_string_equal(b->ev.event, event);
	assert_string_equal(b->ev.name, name);
	assert_int_equal(b->ev.count, count);
}

static bool
fails(struct bench *b)
{
	return hook_events_failed(b->e, b->failures++, b->now_ms);
}

static void
is_told(struct bench *b)
{
	b->failures = 0;
	hook_events_told(b->e);
}

static void
tells_nothing(struct bench *b)
{
	assert_int_equal(hook_events_due_ms(b->e, b->now_ms), -1);
	assert_int_equal(hook_events_waiting(b->e), 0);
	assert_false(hook_events_next(b->e, b->now_ms, &b->ev));
}

/* The next one is due in so long, and no sooner. */
static void
pass_to_due(struct bench *b, int64_t ms)
{
	assert_int_equal(hook_events_due_ms(b->e, b->now_ms), ms);
	b->now_ms += ms - 1;
	assert_false(hook_events_next(b->e, b->now_ms, &b->ev));
	b->now_ms++;
}

static void
each_event(void **state)
{
	static const struct {
		enum hook_kind kind;
		enum hook_state state;
		const char *bad, *good;
	} rows[] = {
		{ HOOK_SERVICE, HOOK_HELD, "service-held", "service-back" },
		{ HOOK_SERVICE, HOOK_EMPTY, "service-empty", "service-back" },
		{ HOOK_SERVICE, HOOK_SUPPRESSED, "service-suppressed", "service-back" },
		{ HOOK_TARGET, HOOK_FAILED, "target-failed", "target-recovered" },
		{ HOOK_REGISTRATION, HOOK_MISSING, "registration-missing", "registration-found" },
	};
	struct bench b;
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		bench_init(&b);
		look(&b, rows[i].kind, "one", HOOK_GOOD);
		tells_nothing(&b);
		look(&b, rows[i].kind, "one", rows[i].state);
		tells(&b, rows[i].bad, "one", 1);
		tells_nothing(&b);
		look(&b, rows[i].kind, "one", rows[i].state); /* still */
		tells_nothing(&b);
		b.now_ms += INTERVAL_MS;
		look(&b, rows[i].kind, "one", HOOK_GOOD);
		tells(&b, rows[i].good, "one", 1);
		tells_nothing(&b);
		hook_events_free(b.e);
	}
	hook_events_free(NULL);
}

/* One kind of trouble becomes another. */
static void
from_bad_to_worse(void **state)
{
	struct bench b;

	bench_init(&b);
	look(&b, HOOK_SERVICE, "sip", HOOK_GOOD);
	look(&b, HOOK_SERVICE, "sip", HOOK_HELD);
	tells(&b, "service-held", "sip", 1);
	b.now_ms += INTERVAL_MS;
	look(&b, HOOK_SERVICE, "sip", HOOK_EMPTY);
	tells(&b, "service-empty", "sip", 1);
	hook_events_free(b.e);
}

static void
what_is_bad_at_the_start_is_told(void **state)
{
	struct bench b;

	bench_init(&b);
	look(&b, HOOK_SERVICE, "sip", HOOK_HELD);
	tells(&b, "service-held", "sip", 1);
	look(&b, HOOK_REGISTRATION, "sbc", HOOK_MISSING); /* and sip is no longer configured */
	tells(&b, "registration-missing", "sbc", 1);
	tells_nothing(&b);
	hook_events_free(b.e);
}

/* c4d starts before Kamailio. */
static void
targets_have_a_while_at_the_start(void **state)
{
	struct bench b;

	bench_init(&b);
	look(&b, HOOK_TARGET, "sbc/1", HOOK_BETWEEN);
	look(&b, HOOK_TARGET, "sbc/1", HOOK_FAILED);
	b.now_ms += HOOK_FIRST_MS - 1;
	look(&b, HOOK_TARGET, "sbc/1", HOOK_FAILED);
	tells_nothing(&b);
	look(&b, HOOK_TARGET, "sbc/1", HOOK_GOOD);
	tells_nothing(&b);
	/* from now on at once */
	look(&b, HOOK_TARGET, "sbc/1", HOOK_FAILED);
	tells(&b, "target-failed", "sbc/1", 1);
	hook_events_free(b.e);

	bench_init(&b);
	look(&b, HOOK_TARGET, "sbc/1", HOOK_FAILED);
	b.now_ms += HOOK_FIRST_MS;
	look(&b, HOOK_TARGET, "sbc/1", HOOK_FAILED);
	tells(&b, "target-failed", "sbc/1", 1);
	hook_events_free(b.e);
}

/* It is neither while it is converged, so it is as it was. */
static void
on_its_way_is_no_state(void **state)
{
	struct bench b;

	bench_init(&b);
	look(&b, HOOK_TARGET, "sbc/1", HOOK_GOOD);
	look(&b, HOOK_TARGET, "sbc/1", HOOK_BETWEEN);
	tells_nothing(&b);
	look(&b, HOOK_TARGET, "sbc/1", HOOK_FAILED);
	tells(&b, "target-failed", "sbc/1", 1);
	b.now_ms += INTERVAL_MS;
	look(&b, HOOK_TARGET, "sbc/1", HOOK_BETWEEN);
	look(&b, HOOK_TARGET, "sbc/1", HOOK_FAILED);
	tells_nothing(&b);
	look(&b, HOOK_TARGET, "sbc/1", HOOK_BETWEEN);
	look(&b, HOOK_TARGET, "sbc/1", HOOK_GOOD);
	tells(&b, "target-recovered", "sbc/1", 1);
	hook_events_free(b.e);
}

static void
what_flaps_is_told_once_with_how_often(void **state)
{
	struct bench b;
	unsigned i;

	bench_init(&b);
	look(&b, HOOK_SERVICE, "sip", HOOK_GOOD);
	look(&b, HOOK_SERVICE, "sip", HOOK_HELD);
	tells(&b, "service-held", "sip", 1);
	for (i = 0; i < 5; i++) {
		b.now_ms += 1000;
		look(&b, HOOK_SERVICE, "sip", i % 2 == 0 ? HOOK_GOOD : HOOK_HELD);
	}
	assert_int_equal(hook_events_waiting(b.e), 1);
	pass_to_due(&b, INTERVAL_MS - 5000);
	tells(&b, "service-back", "sip", 5);
	assert_int_equal(b.ev.wall_ms, wall(&b) - INTERVAL_MS + 5000); /* since when it is so */
	tells_nothing(&b);
	/* also when it has come back to what was told */
	look(&b, HOOK_SERVICE, "sip", HOOK_HELD);
	b.now_ms += 10;
	look(&b, HOOK_SERVICE, "sip", HOOK_GOOD);
	pass_to_due(&b, INTERVAL_MS - 10);
	tells(&b, "service-back", "sip", 2);
	tells_nothing(&b);
	hook_events_free(b.e);
}

static void
an_interval_of_nothing(void **state)
{
	struct bench b;

	bench_init(&b);
	b.limits.interval_ms = 0;
	look(&b, HOOK_SERVICE, "sip", HOOK_HELD);
	tells(&b, "service-held", "sip", 1);
	look(&b, HOOK_SERVICE, "sip", HOOK_GOOD);
	tells(&b, "service-back", "sip", 1);
	look(&b, HOOK_SERVICE, "sip", HOOK_HELD);
	tells(&b, "service-held", "sip", 1);
	hook_events_free(b.e);
}

static void
an_approval_goes_before_what_it_brings(void **state)
{
	struct hook_fact f = fact(HOOK_APPROVAL, "sip", HOOK_APPROVED);
	struct bench b;

	bench_init(&b);
	look(&b, HOOK_SERVICE, "sip", HOOK_HELD);
	tells(&b, "service-held", "sip", 1);
	b.now_ms += INTERVAL_MS;
	hook_events_happened(b.e, &f, b.now_ms, wall(&b));
	look(&b, HOOK_SERVICE, "sip", HOOK_GOOD);
	tells(&b, "service-approved", "sip", 1);
	tells(&b, "service-back", "sip", 1);
	/* twice within the interval is one event */
	hook_events_happened(b.e, &f, b.now_ms, wall(&b));
	look(&b, HOOK_SERVICE, "sip", HOOK_GOOD);
	hook_events_happened(b.e, &f, b.now_ms, wall(&b));
	pass_to_due(&b, INTERVAL_MS);
	tells(&b, "service-approved", "sip", 2);
	tells_nothing(&b);
	hook_events_free(b.e);
}

/* Things of the same name are three. */
static void
kinds_are_apart(void **state)
{
	struct hook_fact f[] = { fact(HOOK_SERVICE, "sbc", HOOK_GOOD), fact(HOOK_TARGET, "sbc", HOOK_GOOD),
		fact(HOOK_REGISTRATION, "sbc", HOOK_GOOD) };
	struct bench b;
	size_t i, turn;

	bench_init(&b);
	for (turn = 0; turn < 2; turn++) {
		hook_events_begin(b.e);
		for (i = 0; i < NELEM(f); i++)
			hook_events_see(b.e, &f[turn == 0 ? i : NELEM(f) - 1 - i], b.now_ms, wall(&b)); /* in any order */
		hook_events_end(b.e);
		f[1].state = HOOK_FAILED;
	}
	tells(&b, "target-failed", "sbc", 1);
	tells_nothing(&b);
	hook_events_free(b.e);
}

static void
the_oldest_first_and_so_many_a_minute(void **state)
{
	char name[16] = "";
	struct hook_fact f = fact(HOOK_SERVICE, name, HOOK_HELD);
	struct bench b;
	unsigned i;

	bench_init(&b);
	hook_events_begin(b.e);
	for (i = 0; i < 40; i++) {
		snprintf(name, sizeof name, "s%02u", i);
		hook_events_see(b.e, &f, b.now_ms, wall(&b));
	}
	hook_events_end(b.e);
	for (i = 0; i < 30; i++) {
		snprintf(name, sizeof name, "s%02u", i);
		tells(&b, "service-held", name, 1);
	}
	for (; i < 40; i++) {
		pass_to_due(&b, 2000); /* 30 a minute */
		snprintf(name, sizeof name, "s%02u", i);
		tells(&b, "service-held", name, 1);
	}
	tells_nothing(&b);
	hook_events_free(b.e);
}

static void
so_many_wait_and_no_more(void **state)
{
	char name[16] = "";
	struct hook_fact f = fact(HOOK_SERVICE, name, HOOK_HELD);
	struct bench b;
	unsigned i, told = 0, dropped = 0;

	bench_init(&b);
	hook_events_begin(b.e);
	for (i = 0; i < HOOK_WAITING_MAX + 23; i++) {
		snprintf(name, sizeof name, "s%u", i);
		hook_events_see(b.e, &f, b.now_ms, wall(&b));
	}
	hook_events_end(b.e);
	assert_int_equal(hook_events_waiting(b.e), HOOK_WAITING_MAX);
	assert_int_equal(hook_events_dropped(b.e), 23);
	while (hook_events_due_ms(b.e, b.now_ms) >= 0) {
		b.now_ms += hook_events_due_ms(b.e, b.now_ms);
		assert_true(hook_events_next(b.e, b.now_ms, &b.ev));
		assert_int_equal(b.ev.dropped, told == 0 ? 23 : 0); /* the next line says so, once */
		told++;
		dropped += (unsigned)b.ev.dropped;
	}
	assert_int_equal(told, HOOK_WAITING_MAX);
	assert_int_equal(dropped, 23);
	/* That of which nobody was told is back: that is told. */
	b.now_ms += 60000;
	hook_events_begin(b.e);
	f.state = HOOK_GOOD;
	hook_events_see(b.e, &f, b.now_ms, wall(&b));
	hook_events_end(b.e);
	tells(&b, "service-back", name, 1);
	hook_events_free(b.e);
}

/* What waits is forgotten with its thing. */
static void
what_is_gone_is_not_told(void **state)
{
	struct bench b;

	bench_init(&b);
	look(&b, HOOK_SERVICE, "sip", HOOK_HELD);
	look(&b, HOOK_SERVICE, "rtp", HOOK_GOOD);
	tells_nothing(&b);
	/* and when it is back it is new */
	look(&b, HOOK_SERVICE, "sip", HOOK_GOOD);
	tells_nothing(&b);
	hook_events_free(b.e);
}

static void
the_words_are_the_newest(void **state)
{
	struct bench b;
	struct hook_fact f = fact(HOOK_SERVICE, "sip", HOOK_HELD);

	bench_init(&b);
	look(&b, HOOK_SERVICE, "sip", HOOK_HELD);
	f.detail = "3 instances are held";
	f.generation = 9;
	hook_events_begin(b.e);
	hook_events_see(b.e, &f, b.now_ms, wall(&b));
	hook_events_end(b.e);
	tells(&b, "service-held", "sip", 1);
	assert_string_equal(b.ev.detail, "3 instances are held");
	assert_int_equal(b.ev.generation, 9);
	hook_events_free(b.e);
}

/* ---- what could not be told ---- */

static void
tried_again_later_and_later(void **state)
{
	static const int64_t pauses_ms[] = { INTERVAL_MS, 2 * INTERVAL_MS, 4 * INTERVAL_MS, 8 * INTERVAL_MS, HOOK_PAUSE_MAX_MS };
	struct hook_fact f = fact(HOOK_SERVICE, "sip", HOOK_HELD);
	struct bench b;
	size_t i;

	bench_init(&b);
	look(&b, HOOK_SERVICE, "sip", HOOK_HELD);
	tells(&b, "service-held", "sip", 1);
	for (i = 0; i < NELEM(pauses_ms); i++) {
		assert_true(fails(&b));
		assert_int_equal(hook_events_waiting(b.e), 1);
		f.detail = i % 2 ? "odd" : "even"; /* the words are those of the day */
		if (i != 1) {
			hook_events_begin(b.e);
			hook_events_see(b.e, &f, b.now_ms, wall(&b));
			hook_events_end(b.e);
		}
		pass_to_due(&b, pauses_ms[i]);
		tells(&b, "service-held", "sip", 1);
		assert_string_equal(b.ev.detail, i == 1 || i % 2 == 0 ? "even" : "odd");
	}
	is_told(&b);
	tells_nothing(&b);
	/* And the next one begins anew. */
	b.now_ms += INTERVAL_MS;
	look(&b, HOOK_SERVICE, "sip", HOOK_GOOD);
	tells(&b, "service-back", "sip", 1);
	assert_true(fails(&b));
	pass_to_due(&b, INTERVAL_MS);
	tells(&b, "service-back", "sip", 1);
	hook_events_free(b.e);
}

static void
tried_again_as_it_is_by_then(void **state)
{
	struct bench b;

	bench_init(&b);
	b.limits.interval_ms = 0;
	look(&b, HOOK_SERVICE, "sip", HOOK_HELD);
	tells(&b, "service-held", "sip", 1);
	look(&b, HOOK_SERVICE, "sip", HOOK_GOOD); /* before it has failed */
	assert_true(fails(&b));
	assert_int_equal(hook_events_waiting(b.e), 1);
	look(&b, HOOK_SERVICE, "sip", HOOK_EMPTY); /* and after */
	pass_to_due(&b, HOOK_PAUSE_MIN_MS);
	tells(&b, "service-empty", "sip", 3);
	is_told(&b);
	tells_nothing(&b);
	hook_events_free(b.e);
}

static void
tried_again_before_all_others(void **state)
{
	struct hook_fact sip = fact(HOOK_SERVICE, "sip", HOOK_HELD), rtp = fact(HOOK_SERVICE, "rtp", HOOK_HELD);
	struct bench b;

	bench_init(&b);
	hook_events_begin(b.e);
	hook_events_see(b.e, &sip, b.now_ms, wall(&b));
	hook_events_see(b.e, &rtp, b.now_ms, wall(&b));
	hook_events_end(b.e);
	tells(&b, "service-held", "sip", 1);
	assert_true(fails(&b));
	pass_to_due(&b, INTERVAL_MS); /* all wait for it */
	tells(&b, "service-held", "sip", 1);
	is_told(&b);
	tells(&b, "service-held", "rtp", 1);
	is_told(&b);
	tells_nothing(&b);
	hook_events_free(b.e);
}

static void
given_up_after_a_while(void **state)
{
	struct bench b;
	int64_t first_ms;
	unsigned tries = 1;

	bench_init(&b);
	look(&b, HOOK_SERVICE, "sip", HOOK_HELD);
	tells(&b, "service-held", "sip", 1);
	first_ms = b.now_ms;
	while (fails(&b)) {
		assert_true(b.now_ms - first_ms < HOOK_TRY_MS);
		b.now_ms += hook_events_due_ms(b.e, b.now_ms);
		tells(&b, "service-held", "sip", 1);
		tries++;
	}
	assert_true(b.now_ms - first_ms >= HOOK_TRY_MS);
	assert_int_equal(tries, 7); /* after 0.5, 1.5, 3.5, 7.5, 12.5 and 17.5 minutes */
	assert_int_equal(hook_events_dropped(b.e), 1);
	tells_nothing(&b);
	/* What is next waits for the pause's end, says so, and again until it is told. */
	look(&b, HOOK_SERVICE, "sip", HOOK_GOOD);
	pass_to_due(&b, HOOK_PAUSE_MAX_MS);
	tells(&b, "service-back", "sip", 1);
	assert_int_equal(b.ev.dropped, 1);
	assert_true(fails(&b));
	pass_to_due(&b, HOOK_PAUSE_MAX_MS);
	tells(&b, "service-back", "sip", 1);
	assert_int_equal(b.ev.dropped, 1);
	is_told(&b);
	b.now_ms += INTERVAL_MS;
	look(&b, HOOK_SERVICE, "sip", HOOK_HELD);
	tells(&b, "service-held", "sip", 1);
	assert_int_equal(b.ev.dropped, 0);
	hook_events_free(b.e);
}

static void
what_is_gone_is_not_tried_again(void **state)
{
	struct bench b;

	bench_init(&b);
	look(&b, HOOK_SERVICE, "sip", HOOK_HELD);
	tells(&b, "service-held", "sip", 1);
	look(&b, HOOK_SERVICE, "rtp", HOOK_GOOD);
	assert_true(fails(&b));
	tells_nothing(&b);
	assert_int_equal(hook_events_dropped(b.e), 0);
	/* Nor is one that was told. */
	look(&b, HOOK_SERVICE, "rtp", HOOK_HELD);
	pass_to_due(&b, INTERVAL_MS);
	tells(&b, "service-held", "rtp", 1);
	is_told(&b);
	assert_true(fails(&b));
	tells_nothing(&b);
	hook_events_free(b.e);
}

static void
a_pause_may_be_ended(void **state)
{
	struct bench b;

	bench_init(&b);
	look(&b, HOOK_SERVICE, "sip", HOOK_HELD);
	tells(&b, "service-held", "sip", 1);
	assert_true(fails(&b));
	assert_false(hook_events_next(b.e, b.now_ms, &b.ev));
	hook_events_end_pause(b.e);
	tells(&b, "service-held", "sip", 1);
	hook_events_free(b.e);
}

/* ---- the line ---- */

static json_t *
parse(const char *line)
{
	json_t *o;

	assert_non_null(strchr(line, '\n'));
	assert_string_equal(strchr(line, '\n'), "\n"); /* one line, and it ends */
	o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(o);
	return o;
}

static void
the_line(void **state)
{
	static const char *const keys[] = { "time", "host", "event", "service", "target", "registration", "detail", "hint", "generation",
		"count", "dropped" };
	static const enum hook_kind kinds[] = { HOOK_SERVICE, HOOK_TARGET, HOOK_REGISTRATION, HOOK_APPROVAL };
	static const char *const of[] = { "service", "target", "registration", "service" };
	const char *key;
	json_t *o, *v;
	char *line;
	size_t i, k;

	for (i = 0; i < NELEM(kinds); i++) {
		struct hook_event ev = { "service-held", kinds[i], "sip", "2 are held", "", INT64_C(1700000000123), 17, 3, 5 };

		line = hook_event_line(&ev, "sbc1");
		o = parse(line);
		k = 0;
		json_object_foreach(o, key, v)
			assert_string_equal(key, keys[k++]);
		assert_int_equal(k, NELEM(keys));
		assert_string_equal(jsonx_get_text(o, "time"), "2023-11-14T22:13:20.123Z");
		assert_string_equal(jsonx_get_text(o, "host"), "sbc1");
		for (k = 3; k < 6; k++)
			if (strcmp(keys[k], of[i]) == 0)
				assert_string_equal(jsonx_get_text(o, keys[k]), "sip");
			else
				assert_true(json_is_null(json_object_get(o, keys[k])));
		assert_true(json_is_null(json_object_get(o, "hint"))); /* there is nothing to do */
		assert_int_equal(json_integer_value(json_object_get(o, "generation")), 17);
		assert_int_equal(json_integer_value(json_object_get(o, "count")), 3);
		assert_int_equal(json_integer_value(json_object_get(o, "dropped")), 5);
		json_decref(o);
		free(line);
	}
}

/* What others said is one line of printable ASCII, and no longer than it may be. */
static void
hostile_words(void **state)
{
	char longest[4000];
	struct hook_fact f = fact(HOOK_TARGET, "sbc/1", HOOK_GOOD);
	struct bench b;
	json_t *o;
	char *line;

	memset(longest, '"', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	memcpy(longest, "a\nb\r\033\xff", 6);
	bench_init(&b);
	look(&b, HOOK_TARGET, "sbc/1", HOOK_GOOD);
	f.state = HOOK_FAILED;
	f.detail = f.hint = longest;
	hook_events_begin(b.e);
	hook_events_see(b.e, &f, b.now_ms, wall(&b));
	hook_events_end(b.e);
	tells(&b, "target-failed", "sbc/1", 1);
	assert_int_equal(strlen(b.ev.detail), HOOK_TEXT_MAX);
	assert_memory_equal(b.ev.detail, "a?b???\"", 7);
	line = hook_event_line(&b.ev, "sbc1");
	o = parse(line);
	assert_string_equal(jsonx_get_text(o, "hint"), b.ev.hint);
	json_decref(o);
	free(line);
	hook_events_free(b.e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_event),
		cmocka_unit_test(from_bad_to_worse),
		cmocka_unit_test(what_is_bad_at_the_start_is_told),
		cmocka_unit_test(targets_have_a_while_at_the_start),
		cmocka_unit_test(on_its_way_is_no_state),
		cmocka_unit_test(what_flaps_is_told_once_with_how_often),
		cmocka_unit_test(an_interval_of_nothing),
		cmocka_unit_test(an_approval_goes_before_what_it_brings),
		cmocka_unit_test(kinds_are_apart),
		cmocka_unit_test(the_oldest_first_and_so_many_a_minute),
		cmocka_unit_test(so_many_wait_and_no_more),
		cmocka_unit_test(what_is_gone_is_not_told),
		cmocka_unit_test(the_words_are_the_newest),
		cmocka_unit_test(tried_again_later_and_later),
		cmocka_unit_test(tried_again_as_it_is_by_then),
		cmocka_unit_test(tried_again_before_all_others),
		cmocka_unit_test(given_up_after_a_while),
		cmocka_unit_test(what_is_gone_is_not_tried_again),
		cmocka_unit_test(a_pause_may_be_ended),
		cmocka_unit_test(the_line),
		cmocka_unit_test(hostile_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
