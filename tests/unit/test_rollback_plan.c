/*
 * rollback_plan: what a service held once, from what it holds now and from how what changed was.
 */
#include "reconcile/rollback_plan.h"
#include "store_fx.h"

/* "router 10.0.0.1:5060/up ..." as the past: "-" for a state says that it was not there. */
static void
past_of(struct store_past *p, const char *text)
{
	char *copy = xstrdup(text), *save, *word;

	memset(p, 0, sizeof *p);
	p->v = xcalloc(16, sizeof *p->v);
	for (word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
		struct store_past_instance *i = &p->v[p->n++];
		char *slash = strchr(word, '/'), *weight = strchr(word, '=');

		*slash = '\0';
		i->service = xstrdup("router");
		i->inst.weight = i->inst.priority = 1;
		if (weight != NULL) {
			*weight = '\0';
			i->has_weight = true;
			i->inst.weight = (uint16_t)atoi(weight + 1);
		}
		assert_int_equal(topo_addr_parse(word, &i->inst.addr), 0);
		i->was_there = slash[1] != '-';
		if (i->was_there)
			i->inst.state = state_of(slash + 1);
	}
	free(copy);
}

static void
past_free(struct store_past *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		free(p->v[i].service);
	free(p->v);
}

static char *
plan_text(const struct rollback_plan *p)
{
	struct buf b = { 0 };
	char addr[TOPO_ADDR_TEXT];
	size_t i;

	buf_printf(&b, "%s %u:", p->differs ? "differs" : "same", p->active);
	for (i = 0; i < p->n; i++) {
		topo_addr_format(&p->inst[i].addr, addr);
		buf_printf(&b, " %s/%s", addr, topo_state_name(p->inst[i].state));
		if (p->inst[i].weight != 1)
			buf_printf(&b, "=%u", p->inst[i].weight);
		assert_int_equal(p->inst[i].guard, GUARD_NONE);
		if (i > 0)
			assert_true(topo_instance_cmp(&p->inst[i - 1], &p->inst[i]) < 0);
	}
	return buf_take(&b);
}

static void
plans(void **state)
{
	static const struct {
		const char *now, *past, *want;
	} rows[] = {
		{ "router", "", "same 0:" },
		{ "router 1.1.1.1:1/up 1.1.1.2:1/held", "", "same 2: 1.1.1.1:1/up 1.1.1.2:1/up" },
		/* guards of the moment are no difference */
		{ "router 1.1.1.1:1/up 1.1.1.2:1/held", "1.1.1.1:1/held 1.1.1.2:1/up",
		    "same 2: 1.1.1.1:1/up 1.1.1.2:1/up" },
		{ "router 1.1.1.1:1/up 1.1.1.2:1/suppressed", "1.1.1.2:1/disabled",
		    "same 1: 1.1.1.1:1/up 1.1.1.2:1/disabled" },
		/* nor is what is out now and was not there, and the other way round */
		{ "router 1.1.1.1:1/up 1.1.1.2:1/disabled", "1.1.1.2:1/-", "same 1: 1.1.1.1:1/up" },
		{ "router 1.1.1.1:1/up", "1.1.1.2:1/disabled", "same 1: 1.1.1.1:1/up 1.1.1.2:1/disabled" },
		/* what takes calls is */
		{ "router 1.1.1.1:1/up", "1.1.1.1:1/-", "differs 0:" },
		{ "router 1.1.1.2:1/up", "1.1.1.1:1/up", "differs 2: 1.1.1.1:1/up 1.1.1.2:1/up" },
		{ "router 1.1.1.1:1/up", "1.1.1.1:1/disabled", "differs 0: 1.1.1.1:1/disabled" },
		{ "router 1.1.1.1:1/suppressed", "1.1.1.1:1/up", "differs 1: 1.1.1.1:1/up" },
		/* weights, as far as they are known */
		{ "router 1.1.1.1:1/up", "1.1.1.1:1=7/up", "differs 1: 1.1.1.1:1/up=7" },
		{ "router", "1.1.1.1:1=7/up", "differs 1: 1.1.1.1:1/up=7" },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct topo *t = topo_of(5, rows[i].now);
		struct rollback_plan p;
		struct store_past past;
		char *text;

		past_of(&past, rows[i].past);
		rollback_make_plan(&t->services[0], &past, &p);
		text = plan_text(&p);
		if (strcmp(text, rows[i].want) != 0)
			fail_msg("%s, then %s:\n got %s\nwant %s", rows[i].now, rows[i].past, text, rows[i].want);
		free(text);
		rollback_plan_clear(&p);
		past_free(&past);
		topo_unref(t);
	}
}

/* The operator drains it now: whatever it was, it takes no calls, and so it makes no difference. */
static void
drained_ones_do_not_count(void **state)
{
	struct topo *t = topo_of(5, "router 1.1.1.1:1/draining 1.1.1.2:1/draining 1.1.1.3:1/up");
	struct rollback_plan p;
	struct store_past past;

	t->services[0].inst[0].guard = GUARD_OPERATOR;
	t->services[0].inst[1].guard = GUARD_OPERATOR;
	past_of(&past, "1.1.1.1:1/up 1.1.1.2:1/-");
	rollback_make_plan(&t->services[0], &past, &p);
	assert_false(p.differs);
	assert_int_equal(p.active, 1);
	rollback_plan_clear(&p);
	t->services[0].inst[0].guard = GUARD_TAG;
	rollback_make_plan(&t->services[0], &past, &p);
	assert_true(p.differs);
	assert_int_equal(p.active, 2);
	rollback_plan_clear(&p);
	/* another service's past is not ours */
	free(t->services[0].name);
	t->services[0].name = xstrdup("rtp");
	rollback_make_plan(&t->services[0], &past, &p);
	assert_false(p.differs);
	assert_int_equal(p.n, 3);
	rollback_plan_clear(&p);
	past_free(&past);
	topo_unref(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plans),
		cmocka_unit_test(drained_ones_do_not_count),
	};

	return cmocka_run_group_tests_name("rollback_plan", tests, NULL, NULL);
}
