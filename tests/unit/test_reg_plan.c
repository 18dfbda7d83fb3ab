/*
 * reg_plan: from what a registration should be and what the agent lists to what is to be said. The lists are read from the
 * agent's own words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "registrar/reg_plan.h"

#define SERVICE(id, machine, more) \
	"\"" id "\":{\"ID\":\"" id "\",\"Service\":\"sbc\",\"Tags\":[],\"Meta\":{" machine "\"eid\":\"e1\"},\"Port\":5060," \
	"\"Address\":\"10.0.0.1\"" more "}"
#define MARK(m) "\"c4d-machine\":\"" m "\","
#define CHECK(id, service, status, notes) \
	"\"" id "\":{\"Node\":\"n\",\"CheckID\":\"" id "\",\"Name\":\"x\",\"Status\":\"" status "\",\"Notes\":\"" notes \
	"\",\"Output\":\"\",\"ServiceID\":\"" service "\",\"ServiceName\":\"sbc\"}"
#define MAINT(service, notes) CHECK("_service_maintenance:" service, service, "critical", notes)

#define NONE AGENT_NO_STATUS
#define PASS AGENT_PASSING
#define CRIT AGENT_CRITICAL

/* The registration of most cases: two checks, of which c4d makes the first. */
static const struct reg_want_check two[] = { { "vm1:sip", false, true, PASS }, { "vm1:http", false, false, NONE } };
static const struct reg_want_check one_off[] = { { "vm1:sip", true, true, NONE }, { "vm1:http", false, false, NONE } };
static const struct reg_want_check untold[] = { { "vm1:sip", false, true, NONE }, { "vm1:http", false, false, NONE } };

static const struct reg_want plain = {
	.id = "vm1",
	.service = "sbc",
	.address = "10.0.0.1",
	.machine = "m1",
	.eid = "e1",
	.port = 5060,
	.open = true,
	.accepted = true,
	.seen = true,
	.checks = two,
	.n_checks = 2,
};

#define GOOD_SERVICES "{" SERVICE("other", MARK("m2"), "") "," SERVICE("vm1", MARK("m1"), "") "}"
#define GOOD_CHECKS \
	CHECK("vm1:sip", "vm1", "passing", "") "," CHECK("vm1:http", "vm1", "warning", "") "," \
	CHECK("vm1", "other", "critical", "") "," CHECK("serfHealth", "", "passing", "")

static struct reg_plan plan;
static struct reg_check_seen seen[2];
static struct agent_list list;

static void
run(const struct reg_want *w, const char *services, const char *checks)
{
	agent_list_clear(&list);
	assert_int_equal(agent_list_parse(&list, services, strlen(services), checks, strlen(checks)), 0);
	reg_plan(w, &list, &plan, seen);
}

static void
all_is_well(void **state)
{
	run(&plain, GOOD_SERVICES, "{" GOOD_CHECKS "}");
	assert_int_equal(plan.ops, 0);
	assert_true(plan.has);
	assert_false(plan.foreign || plan.forgotten || plan.unlisted);
	assert_null(plan.differs);
	assert_int_equal(plan.worst, AGENT_WARNING); /* not the other service's critical one */
	assert_int_equal(plan.maintenance, REG_MAINT_NONE);
	assert_true(seen[0].has && seen[1].has && !seen[0].tell && !seen[1].tell);
	assert_int_equal(seen[0].status, PASS);
	assert_int_equal(seen[1].status, AGENT_WARNING);
}

static void
what_is_missing_is_put(void **state)
{
	struct reg_want w = plain;

	run(&w, "{}", "{}");
	assert_int_equal(plan.ops, REG_OP_PUT);
	assert_true(plan.forgotten && !plan.unlisted && !plan.has);
	assert_int_equal(plan.worst, NONE);
	assert_int_equal(seen[0].status, NONE);
	assert_false(seen[0].tell);

	w.maintenance = true; /* and its maintenance, which the agent forgot too */
	run(&w, "{}", "{}");
	assert_int_equal(plan.ops, REG_OP_PUT | REG_OP_MAINT_ON);

	w = plain;
	w.seen = false; /* accepted, never shown: filtered by the token's rights, say */
	run(&w, "{}", "{}");
	assert_true(plan.unlisted && !plan.forgotten);

	w.accepted = false; /* the first time */
	run(&w, "{}", "{}");
	assert_int_equal(plan.ops, REG_OP_PUT);
	assert_false(plan.unlisted || plan.forgotten);

	w.open = false; /* not yet */
	run(&w, "{}", "{}");
	assert_int_equal(plan.ops, 0);
}

static void
what_differs_is_put(void **state)
{
	static const struct {
		const char *service, *address, *machine, *eid;
		uint16_t port;
		const char *differs;
	} rows[] = {
		{ "sbc", "10.0.0.1", "m1", "e1", 5060, NULL },
		{ "SBC", "10.0.0.1", "m1", "e1", 5060, "its name" },
		{ "sbc", "10.0.0.2", "m1", "e1", 5060, "its address" },
		{ "sbc", "", "m1", "e1", 5060, "its address" },
		{ "sbc", "10.0.0.1", "m1", "e1", 5061, "its port" },
		{ "sbc", "10.0.0.1", "m1", "e2", 5060, "its eid" },
		{ "sbc", "10.0.0.1", "m1", "", 5060, NULL }, /* not known: not said either */
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct reg_want w = plain;

		w.service = rows[i].service;
		w.address = rows[i].address;
		w.machine = rows[i].machine;
		w.eid = rows[i].eid;
		w.port = rows[i].port;
		run(&w, GOOD_SERVICES, "{" GOOD_CHECKS "}");
		if (rows[i].differs == NULL) {
			assert_null(plan.differs);
			assert_int_equal(plan.ops, 0);
		} else {
			assert_non_null(plan.differs);
			assert_string_equal(plan.differs, rows[i].differs);
			assert_int_equal(plan.ops, REG_OP_PUT);
		}
	}
	/* without a mark: a script's, or an older version's; taken over */
	run(&plain, "{" SERVICE("vm1", "", "") "}", "{" GOOD_CHECKS "}");
	assert_false(plan.foreign);
	assert_string_equal(plan.differs, "its c4d-machine");
	assert_int_equal(plan.ops, REG_OP_PUT);
}

static void
addresses_have_no_case(void **state)
{
	struct reg_want w = plain;

	w.address = "FD00::A";
	run(&w, "{\"vm1\":{\"ID\":\"vm1\",\"Service\":\"sbc\",\"Meta\":{\"c4d-machine\":\"m1\",\"eid\":\"e1\"},\"Port\":5060,"
		"\"Address\":\"fd00::a\"}}",
	    "{" GOOD_CHECKS "}");
	assert_int_equal(plan.ops, 0);
}

static void
a_missing_check_is_put_and_one_too_many_removed(void **state)
{
	struct reg_want w = plain;

	run(&w, GOOD_SERVICES, "{" CHECK("vm1:sip", "vm1", "passing", "") "}");
	assert_string_equal(plan.differs, "a check is missing");
	assert_int_equal(plan.ops, REG_OP_PUT);
	assert_false(seen[1].has);

	run(&w, GOOD_SERVICES, "{" GOOD_CHECKS "," CHECK("vm1:old", "vm1", "critical", "") "," CHECK("zz", "vm1", "passing", "") "}");
	assert_int_equal(plan.ops, REG_OP_REMOVE);
	assert_int_equal(plan.n_extra, 2);
	assert_string_equal(plan.extra[0], "vm1:old");
	assert_string_equal(plan.extra[1], "zz");

	w.checks = one_off; /* switched off: one too many where it is, none missing where it is not */
	run(&w, GOOD_SERVICES, "{" GOOD_CHECKS "}");
	assert_int_equal(plan.ops, REG_OP_REMOVE);
	assert_int_equal(plan.n_extra, 1);
	assert_string_equal(plan.extra[0], "vm1:sip");
	assert_false(seen[0].tell);
	run(&w, GOOD_SERVICES, "{" CHECK("vm1:http", "vm1", "passing", "") "}");
	assert_int_equal(plan.ops, 0);
}

static void
many_too_many_go_in_portions(void **state)
{
	struct buf b = { 0 };
	int i;

	buf_puts(&b, "{" GOOD_CHECKS);
	for (i = 0; i < 40; i++)
		buf_printf(&b, ",\"x%d\":{\"CheckID\":\"x%d\",\"Status\":\"passing\",\"ServiceID\":\"vm1\"}", i, i);
	buf_puts(&b, "}");
	run(&plain, GOOD_SERVICES, b.s);
	assert_int_equal(plan.n_extra, REG_EXTRA_MAX);
	assert_int_equal(plan.ops, REG_OP_REMOVE);
	buf_free(&b);
}

static void
what_was_told_is_told_again_when_it_is_not_so(void **state)
{
	struct reg_want w = plain;

	run(&w, GOOD_SERVICES, "{" CHECK("vm1:sip", "vm1", "critical", "") "," CHECK("vm1:http", "vm1", "critical", "") "}");
	assert_true(seen[0].tell);
	assert_false(seen[1].tell); /* Consul's own */
	assert_int_equal(plan.ops, 0);
	w.checks = untold;
	run(&w, GOOD_SERVICES, "{" CHECK("vm1:sip", "vm1", "critical", "") "," CHECK("vm1:http", "vm1", "critical", "") "}");
	assert_false(seen[0].tell);
}

static void
maintenance(void **state)
{
	static const struct {
		bool want, open;
		const char *notes; /* NULL: not in maintenance */
		unsigned ops;
		enum reg_maintenance is;
	} rows[] = {
		{ false, true, NULL, 0, REG_MAINT_NONE },
		{ true, true, NULL, REG_OP_MAINT_ON, REG_MAINT_NONE },
		{ true, false, NULL, REG_OP_MAINT_ON, REG_MAINT_NONE },
		{ true, true, REG_MARK "disk", 0, REG_MAINT_OURS },
		{ false, true, REG_MARK "disk", REG_OP_MAINT_OFF, REG_MAINT_OURS },
		{ false, false, REG_MARK "stopped", 0, REG_MAINT_OURS }, /* not before it is healthy */
		{ false, true, "somebody's", 0, REG_MAINT_FOREIGN },
		{ true, true, "somebody's", 0, REG_MAINT_FOREIGN },
		{ false, true, "", 0, REG_MAINT_FOREIGN },
		{ false, true, "about c4d: nothing", 0, REG_MAINT_FOREIGN },
	};
	struct reg_want w = plain;
	char checks[2048];
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		snprintf(checks, sizeof checks, "{" GOOD_CHECKS "%s%s%s}",
		    rows[i].notes ? ",\"_service_maintenance:vm1\":{\"CheckID\":\"_service_maintenance:vm1\",\"Status\":\"critical\","
				    "\"ServiceID\":\"vm1\",\"Notes\":\"" : "",
		    rows[i].notes ? rows[i].notes : "", rows[i].notes ? "\"}" : "");
		w.maintenance = rows[i].want;
		w.open = rows[i].open;
		run(&w, GOOD_SERVICES, checks);
		if (plan.ops != rows[i].ops || plan.maintenance != rows[i].is)
			fail_msg("row %zu: ops %u, maintenance %d", i, plan.ops, (int)plan.maintenance);
		assert_int_equal(plan.n_extra, 0); /* its check is nobody's business */
		assert_int_equal(plan.worst, rows[i].notes ? CRIT : AGENT_WARNING);
		if (rows[i].notes != NULL)
			assert_string_equal(plan.notes, rows[i].notes);
	}
}

/* Another reason is told, of a maintenance that is c4d's and is to stay. */
static void
the_reason_of_a_maintenance(void **state)
{
	static const struct {
		bool want;
		const char *have, *notes;
		unsigned ops;
	} rows[] = {
		{ true, REG_MARK "disk", REG_MARK "disk", 0 },
		{ true, REG_MARK "disk", REG_MARK "fan", REG_OP_MAINT_NOTE },
		{ true, REG_MARK "disk", NULL, 0 },
		{ true, "somebody's", REG_MARK "fan", 0 },
		{ false, REG_MARK "disk", REG_MARK "fan", REG_OP_MAINT_OFF },
	};
	struct reg_want w = plain;
	char checks[2048];
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		snprintf(checks, sizeof checks, "{" GOOD_CHECKS ",\"_service_maintenance:vm1\":{\"CheckID\":\"_service_maintenance:vm1\","
		    "\"Status\":\"critical\",\"ServiceID\":\"vm1\",\"Notes\":\"%s\"}}", rows[i].have);
		w.maintenance = rows[i].want;
		w.notes = rows[i].notes;
		run(&w, GOOD_SERVICES, checks);
		if (plan.ops != rows[i].ops)
			fail_msg("row %zu: ops %u", i, plan.ops);
	}
	w.maintenance = true; /* nothing is on: that says it, too */
	w.notes = REG_MARK "fan";
	run(&w, GOOD_SERVICES, "{" GOOD_CHECKS "}");
	assert_int_equal(plan.ops, REG_OP_MAINT_ON);
}

static void
another_machines_is_left_alone(void **state)
{
	struct reg_want w = plain;
	static const char theirs[] = "{" SERVICE("vm1", MARK("m2"), "") "}";

	w.maintenance = true;
	run(&w, theirs, "{" CHECK("vm1:sip", "vm1", "critical", "") "," CHECK("vm1:old", "vm1", "critical", "") "}");
	assert_true(plan.foreign && plan.has);
	assert_int_equal(plan.ops, 0);
	assert_int_equal(plan.worst, CRIT);
	assert_false(seen[0].tell);
	w.leaving = true;
	run(&w, theirs, "{}");
	assert_true(plan.foreign);
	assert_int_equal(plan.ops, 0);
	w = plain;
	w.machine = ""; /* who does not know himself touches nobody's */
	run(&w, theirs, "{}");
	assert_true(plan.foreign);
}

static void
what_leaves_is_deregistered_once(void **state)
{
	struct reg_want w = { .id = "vm1", .service = "", .address = "", .machine = "m1", .eid = "", .leaving = true };

	run(&w, GOOD_SERVICES, "{" GOOD_CHECKS "," MAINT("vm1", REG_MARK "x") "}");
	assert_int_equal(plan.ops, REG_OP_LEAVE);
	run(&w, "{" SERVICE("other", MARK("m1"), "") "}", "{}");
	assert_int_equal(plan.ops, 0);
	assert_false(plan.has);
}

static void
what_waits_leaves_what_is_there_as_it_is(void **state)
{
	struct reg_want w = plain;

	w.open = w.accepted = w.seen = false;
	w.address = "10.0.0.9";
	w.checks = untold;
	run(&w, GOOD_SERVICES, "{" GOOD_CHECKS "," CHECK("vm1:old", "vm1", "critical", "") "}");
	assert_int_equal(plan.ops, 0);
	assert_true(plan.has);
	assert_non_null(plan.differs);
}

static int
clear(void **state)
{
	agent_list_clear(&list);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(all_is_well, clear),
		cmocka_unit_test_teardown(what_is_missing_is_put, clear),
		cmocka_unit_test_teardown(what_differs_is_put, clear),
		cmocka_unit_test_teardown(addresses_have_no_case, clear),
		cmocka_unit_test_teardown(a_missing_check_is_put_and_one_too_many_removed, clear),
		cmocka_unit_test_teardown(many_too_many_go_in_portions, clear),
		cmocka_unit_test_teardown(what_was_told_is_told_again_when_it_is_not_so, clear),
		cmocka_unit_test_teardown(maintenance, clear),
		cmocka_unit_test_teardown(the_reason_of_a_maintenance, clear),
		cmocka_unit_test_teardown(another_machines_is_left_alone, clear),
		cmocka_unit_test_teardown(what_leaves_is_deregistered_once, clear),
		cmocka_unit_test_teardown(what_waits_leaves_what_is_there_as_it_is, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
