/*
 * wake: which names have an index to wait for, and how many are waited for at most. How it waits is shown by the
 * simulation (wake*.sim) and against the real Consul (test_wake.py).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/text.h"
#include "conf_fx.h"
#include "consul/wake.h"

static void
names_have_a_service_and_a_datacenter(void **state)
{
	static const struct {
		const char *name, *domain;
		const char *service, *dc; /* NULL: no index */
	} rows[] = {
		{ "router.service.consul", "consul", "router", "" },
		{ "router.service.dc1.consul", "consul", "router", "dc1" },
		{ "primary.router.service.dc1.consul", "consul", "router", "dc1" },
		{ "_router._udp.service.consul", "consul", "router", "" },
		{ "_router._primary.service.dc2.consul", "consul", "router", "dc2" },
		{ "router.service.dc1.dc.consul", "consul", "router", "dc1" },
		{ "router.service.c4.example", "c4.example", "router", "" },
		{ "router.service.dc1.c4.example", "c4.example", "router", "dc1" },
		{ "service.service.dc1.consul", "consul", "service", "dc1" },
		{ "a_b-1.service.consul", "consul", "a_b-1", "" },
		{ "router.query.consul", "consul", NULL, NULL },
		{ "router.query.dc2.consul", "consul", NULL, NULL },
		{ "router.service.example", "consul", NULL, NULL },
		{ "router.service.xconsul", "consul", NULL, NULL },
		{ "router.service.dc1.dc-consul", "consul", NULL, NULL },
		{ "router.service.ns.ns1.dc1.consul", "consul", NULL, NULL },
		{ "router.service..consul", "consul", NULL, NULL },
		{ ".service.consul", "consul", NULL, NULL },
		{ "_.service.consul", "consul", NULL, NULL },
		{ "", "consul", NULL, NULL },
	};
	char service[64], dc[64];
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		bool has = wake_split_name(rows[i].name, rows[i].domain, service, dc);

		if (has != (rows[i].service != NULL))
			fail_msg("%s: %s", rows[i].name, has ? service : "no index");
		if (has && (strcmp(service, rows[i].service) != 0 || strcmp(dc, rows[i].dc) != 0))
			fail_msg("%s: %s in %s", rows[i].name, service, dc);
	}
}

struct env {
	struct loop *loop;
	struct worker *worker;
	struct conf *conf;
	struct wake *wake;
	int lines;
	char line[512];
};

static void
on_log(void *arg, enum log_level level, const char *sub, const char *text)
{
	struct env *e = arg;

	if (strcmp(sub, "wake") != 0)
		return;
	e->lines++;
	snprintf(e->line, sizeof e->line, "%s", text);
}

static void
on_wake(void *arg, const char *service, const char *name)
{
	fail_msg("nobody was asked, and %s wakes", name);
}

static void
begin(struct env *e, const char *text)
{
	memset(e, 0, sizeof *e);
	log_init(LOG_L_ERROR);
	log_hook(on_log, e);
	assert_int_equal(loop_new(&e->loop), 0);
	assert_int_equal(worker_new(&e->worker, e->loop), 0);
	e->conf = conf_of_text(text);
	assert_int_equal(wake_new(&e->wake, e->loop, e->worker, e->conf, on_wake, NULL), 0);
}

static void
end(struct env *e)
{
	wake_free(e->wake);
	conf_free(e->conf);
	worker_free(e->worker);
	loop_free(e->loop);
	log_unhook(on_log, e);
}

static void
expect(const struct env *e, const char *name, enum wake_state want, const char *why)
{
	struct wake_view v;

	wake_view(e->wake, name, &v);
	if (v.state != want)
		fail_msg("%s is %s", name, wake_state_name(v.state));
	if ((v.why != NULL) != (why != NULL) || (why != NULL && strstr(v.why, why) == NULL))
		fail_msg("%s: %s", name, v.why ? v.why : "no reason");
}

static void
by_default_nobody_waits(void **state)
{
	struct env e;

	begin(&e, "services: {router: {}}\n");
	wake_start(e.wake);
	expect(&e, "router.service.consul", WAKE_OFF, NULL);
	assert_int_equal(e.lines, 0);
	end(&e);
	wake_free(NULL);
}

static void
prepared_queries_have_none(void **state)
{
	struct env e;

	begin(&e, "consul: {wake: index}\nservices:\n  router: {names: [router.service.dc1.consul, rq.query.consul]}\n"
		  "  other: {names: [router.service.dc1.consul]}\n");
	expect(&e, "router.service.dc1.consul", WAKE_WAITING, NULL);
	expect(&e, "rq.query.consul", WAKE_OFF, "prepared query");
	assert_int_equal(e.lines, 0);
	end(&e);
}

static void
more_than_64_wait_by_the_clock(void **state)
{
	struct buf b = { 0 };
	struct env e;
	int i;

	buf_puts(&b, "consul: {wake: index}\nservices:\n");
	for (i = 1; i <= 70; i++)
		buf_printf(&b, "  s%d: {names: [s%d.service.consul, s%d.service.dc1.consul]}\n", i, i, i);
	begin(&e, b.s);
	expect(&e, "s1.service.consul", WAKE_WAITING, NULL);
	expect(&e, "s32.service.dc1.consul", WAKE_WAITING, NULL);
	expect(&e, "s33.service.consul", WAKE_OFF, "more services than");
	expect(&e, "s70.service.dc1.consul", WAKE_OFF, "more services than");
	assert_int_equal(e.lines, 1); /* said once */
	assert_non_null(strstr(e.line, "76 names more"));
	end(&e);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_have_a_service_and_a_datacenter),
		cmocka_unit_test(by_default_nobody_waits),
		cmocka_unit_test(prepared_queries_have_none),
		cmocka_unit_test(more_than_64_wait_by_the_clock),
	};

	return cmocka_run_group_tests_name("wake", tests, NULL, NULL);
}
