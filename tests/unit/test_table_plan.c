/*
 * table_plan: from a snapshot and a configuration to what a Kamailio's tables should hold, and the steps between that
 * and what they hold.
 */
#include <errno.h>
#include <stdio.h>

#include "conf_fx.h"
#include "table_fx.h"

/* ---- texts of rows and plans ---- */

/*
 * "SET ITEM [/MASK] [:PORT] [wN] [tTAG] [off] [asleep] [dead] [left] [theirs] [block]|" each; sorted.
 */
static struct table_rows
rows_of(const char *text)
{
	struct table_rows r = { 0 };
	char *copy = xstrdup(text), *save, *save_word, *line, *word;

	for (line = strtok_r(copy, "|", &save); line != NULL; line = strtok_r(NULL, "|", &save)) {
		int set = atoi(strtok_r(line, " ", &save_word));
		struct table_row *row = table_rows_add(&r, set, strtok_r(NULL, " ", &save_word));

		while ((word = strtok_r(NULL, " ", &save_word)) != NULL) {
			if (word[0] == '/')
				row->mask = atoi(word + 1);
			else if (word[0] == ':')
				row->port = atoi(word + 1);
			else if (word[0] == 'w')
				row->weight = atoi(word + 1);
			else if (strcmp(word, "theirs") == 0)
				row->owner = ROW_THEIRS;
			else if (word[0] == 't')
				row->tag = xstrdup(word + 1);
			else if (strcmp(word, "off") == 0)
				row->disabled = true;
			else if (strcmp(word, "asleep") == 0)
				row->asleep = true;
			else if (strcmp(word, "dead") == 0)
				row->dead = true;
			else if (strcmp(word, "left") == 0)
				row->owner = ROW_LEFT;
			else
				fail_msg("%s", word);
		}
	}
	free(copy);
	table_rows_sort(&r);
	return r;
}

static struct table_scopes
scopes_of(const char *text)
{
	struct table_scopes s = { 0 };
	const char *p;

	/* "0 5- 7?": 5 is shared with others, 7 is not known yet */
	for (p = text; *p != '\0'; p += strcspn(p, " "), p += strspn(p, " ")) {
		s.v = xrealloc(s.v, s.n + 1, sizeof *s.v);
		s.v[s.n++] = (struct table_scope){
			.set = atoi(p),
			.known = p[strcspn(p, " ?")] != '?',
			.exclusive = p[strcspn(p, " -")] != '-',
		};
	}
	return s;
}

static void
assert_plan(const char *scopes_text, const char *desired_text, const char *actual_text, const char *want)
{
	struct table_rows desired = rows_of(desired_text), actual = rows_of(actual_text);
	struct table_scopes scopes = scopes_of(scopes_text);
	struct table_plan p = { 0 };
	struct buf b = { 0 };
	size_t i;

	buf_puts(&b, "");
	table_make_plan(&desired, &actual, &scopes, &p);
	for (i = 0; i < p.n; i++)
		buf_printf(&b, "%s %d %s%s%s%s|", table_op_name(p.v[i].op), p.v[i].row->set, p.v[i].text, p.v[i].detail ? " (" : "",
		    p.v[i].detail ? p.v[i].detail : "", p.v[i].detail ? ")" : "");
	if (strcmp(b.s, want) != 0)
		fail_msg("%s -> %s:\n got %s\nwant %s", actual_text, desired_text, b.s, want);
	buf_free(&b);
	table_plan_clear(&p);
	table_rows_clear(&desired);
	table_rows_clear(&actual);
	free(scopes.v);
}

/* ---- rows ---- */

static void
rows_are_sorted_and_found(void **state)
{
	struct table_rows r = rows_of("1 b|0 udp:10.0.0.10:1|0 udp:10.0.0.9:1|0 udp6:[::1]:1|0 a|0 10.0.0.9 /32|0 10.0.0.9 /24|0 10.0.0.9 /24 :5");
	struct table_row key = r.v[0];

	assert_rows("sorted", &r, "0 10.0.0.9 /24|0 10.0.0.9 /24 :5|0 10.0.0.9 /32|0 udp:10.0.0.9:1|0 udp:10.0.0.10:1|0 udp6:[::1]:1|0 a|1 b|");
	assert_int_equal(r.v[0].port, 0);
	assert_int_equal(r.v[1].port, 5);
	assert_ptr_equal(table_find(&r, &key), &r.v[0]);
	key.port = 5;
	assert_ptr_equal(table_find(&r, &key), &r.v[1]);
	key.port = 6;
	assert_null(table_find(&r, &key));
	table_rows_remove(&r, 0);
	assert_int_equal(r.n, 7);
	assert_int_equal(r.v[0].port, 5);
	table_rows_clear(&r);
	assert_null(table_find(&r, &key));
}

static void
urls_that_can_be_asked(void **state)
{
	static const struct {
		const char *url;
		int err;
	} cases[] = {
		{ "udp:10.0.0.1:22222", 0 }, { "udp6:[fd00::1]:22222", 0 }, { "udp:10.0.0.1", -EINVAL }, { "udp:host:22222", -EINVAL },
		{ "unix:/x", -EINVAL }, { "10.0.0.1:1", -EINVAL }, { "", -EINVAL },
	};
	struct topo_addr a;
	size_t i;

	for (i = 0; i < NELEM(cases); i++)
		assert_int_equal(table_url_addr(cases[i].url, &a), cases[i].err);
}

static void
what_a_file_says_is_compared(void **state)
{
	static const struct {
		const char *filed, *desired, *scopes;
		bool right;
	} cases[] = {
		{ "", "", "0", true },
		{ "0 a w1|0 b w1 off", "0 a w1|0 b w1 off", "0", true },
		{ "0 a w1", "0 a w2", "0", false },
		{ "0 a w1 off", "0 a w1", "0", false },
		{ "0 a", "0 a|0 b", "0", false },
		{ "0 a|0 b", "0 a", "0", false },
		{ "0 a|5 x|9 y", "0 a", "0", true },   /* other sets are nobody's difference */
		{ "0 a|0 a", "0 a", "0", false },      /* twins are put right */
		{ "0 a w1|0 a w2", "0 a w1 theirs", "0", true }, /* but not somebody else's */
		{ "0 a w5 off", "0 a w1 theirs", "0", true },
		{ "0 a tNULL", "0 a", "0", true },     /* as Kamailio says it of none */
		{ "0 a tx", "0 a ty", "0", false },
	};
	size_t i;

	for (i = 0; i < NELEM(cases); i++) {
		struct table_rows filed = rows_of(cases[i].filed), desired = rows_of(cases[i].desired);
		struct table_scopes scopes = scopes_of(cases[i].scopes);

		if (table_file_is_right(&filed, &desired, &scopes) != cases[i].right)
			fail_msg("%s against %s", cases[i].filed, cases[i].desired);
		assert_true(table_rows_same(&filed, &filed, &scopes));
		table_rows_clear(&filed);
		table_rows_clear(&desired);
		free(scopes.v);
	}
}

static void
a_hash_is_of_what_a_file_says(void **state)
{
	static const char *const differ[] = { "0 a w1", "0 a w2", "1 a w1", "0 b w1", "0 a w1 off", "0 a w1 tx", "0 a w1 /8", "0 a w1|0 b w1", "" };
	uint64_t seen[NELEM(differ)];
	size_t i, k;

	for (i = 0; i < NELEM(differ); i++) {
		struct table_rows r = rows_of(differ[i]);

		seen[i] = table_rows_hash(&r);
		assert_int_not_equal(seen[i], 0);
		for (k = 0; k < i; k++)
			assert_true(seen[k] != seen[i]);
		if (r.n > 0) {
			r.v[0].asleep = r.v[0].leaves = true;
			r.v[0].owner = ROW_LEFT;
			assert_true(table_rows_hash(&r) == seen[i]);
		}
		table_rows_clear(&r);
	}
}

/* ---- what is desired ---- */

static struct conf *
conf_of(const char *kamailio)
{
	char *text = xasprintf("services: { a: {}, b: {} }\nkamailio:\n  sbc:\n    tables: /t\n    address_file: /a\n%s\n", kamailio);
	struct conf *conf = conf_of_text(text);

	free(text);
	return conf;
}

/* a: two that are up, one out, one draining until 5000; b: one that a has too, or not known. */
static struct topo *
snapshot(bool b_known)
{
	static const char *const five[] = { "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "10.0.0.4:1", "[fd00::5]:1" };
	static const char *const one[] = { "10.0.0.1:9" };
	static const enum topo_state states[] = { TOPO_UP, TOPO_HELD, TOPO_DISABLED, TOPO_DRAINING, TOPO_SUPPRESSED };
	struct topo *t = topo_new(2);
	size_t i, k;

	for (k = 0; k < 2; k++) {
		const char *const *v = k == 0 ? five : one;
		size_t n = k == 0 ? NELEM(five) : b_known;

		t->services[k].name = xstrdup(k == 0 ? "a" : "b");
		t->services[k].known = n > 0;
		t->services[k].inst = xcalloc(n, sizeof *t->services[k].inst);
		t->services[k].n = n;
		for (i = 0; i < n; i++) {
			struct topo_instance *inst = &t->services[k].inst[i];

			assert_int_equal(topo_addr_parse(v[i], &inst->addr), 0);
			inst->state = states[i % NELEM(states)];
			inst->drain_until_ms = inst->state == TOPO_DRAINING ? 5000 : 0;
		}
	}
	return t;
}

struct wish {
	struct table_rows rows;
	struct table_scopes scopes;
};

static struct wish
desire(table_desire_fn *fn, const struct conf *conf, bool b_known)
{
	struct topo *t = snapshot(b_known);
	struct wish w = { 0 };

	fn(conf->kamailios[0], t, &w.rows, &w.scopes);
	topo_unref(t);
	return w;
}

static void
wish_fini(struct wish *w)
{
	table_rows_clear(&w->rows);
	free(w->scopes.v);
}

static void
nodes_of_a_service(void **state)
{
	struct conf *conf = conf_of("    rtpengine: { 0: { service: a, weight: 3 }, 1: { service: b }, 2: { service: a, url: \"udp:{address}:2{port}\", exclusive: false } }");
	struct wish w = desire(table_desire_rtpengine, conf, false);

	assert_rows("rtpengine", &w.rows, "0 udp:10.0.0.1:1 w3|0 udp:10.0.0.2:1 w3|0 udp:10.0.0.3:1 w3 off|0 udp:10.0.0.4:1 w3 off|"
	    "0 udp6:[fd00::5]:1 w3 off|2 udp:10.0.0.1:21 w1|2 udp:10.0.0.2:21 w1|2 udp:10.0.0.3:21 w1 off|"
	    "2 udp:10.0.0.4:21 w1 off|2 udp6:[fd00::5]:21 w1 off|");
	assert_int_equal(w.rows.v[3].until_ms, 5000);
	assert_int_equal(w.rows.v[0].until_ms, 0);
	/* a set whose service never had an instance is in neither */
	assert_int_equal(w.scopes.n, 2);
	assert_null(table_scope_find(&w.scopes, 1));
	assert_true(table_scope_find(&w.scopes, 0)->exclusive);
	assert_false(table_scope_find(&w.scopes, 2)->exclusive);
	assert_string_equal(table_service_rtpengine(conf->kamailios[0], 1, 0), "b");
	assert_null(table_service_rtpengine(conf->kamailios[0], 1, 1));
	assert_null(table_service_rtpengine(conf->kamailios[0], 9, 0));
	wish_fini(&w);
	conf_free(conf);
}

static void
domains_of_services_and_names(void **state)
{
	struct conf *conf = conf_of("    domain: { services: [a, b], names: [sip.example.org, 10.0.0.1.example.org] }");
	struct wish w = desire(table_desire_domain, conf, false);

	assert_rows("domain", &w.rows, "0 10.0.0.1|0 10.0.0.2|0 10.0.0.3|0 10.0.0.4|0 10.0.0.1.example.org|0 [fd00::5]|0 sip.example.org|");
	assert_int_equal(w.scopes.n, 1);
	assert_false(w.scopes.v[0].known); /* b may have had some that nobody told us of yet */
	wish_fini(&w);
	w = desire(table_desire_domain, conf, true);
	assert_int_equal(w.rows.n, 7); /* 10.0.0.1 is of both */
	assert_true(w.scopes.v[0].known);
	assert_string_equal(table_service_domain(conf->kamailios[0], 0, 1), "b");
	assert_null(table_service_domain(conf->kamailios[0], 0, 2));
	wish_fini(&w);
	conf_free(conf);
}

static void
addresses_of_services_and_networks(void **state)
{
	struct conf *conf = conf_of("    permissions: { 1: { services: [a], networks: [10.0.0.0/8, \"FD00::/16\", 192.0.2.7], tag: x },\n"
				    "                   2: { networks: [0.0.0.0/0, \"::/0\"] }, 3: { services: [a, b], exclusive: false } }");
	struct wish w = desire(table_desire_permissions, conf, false);

	assert_rows("permissions", &w.rows, "1 10.0.0.0 /8 tx|1 10.0.0.1 /32 tx|1 10.0.0.2 /32 tx|1 10.0.0.3 /32 tx|1 10.0.0.4 /32 tx|"
	    "1 192.0.2.7 /32 tx|1 fd00:: /16 tx|1 fd00::5 /128 tx|"
	    "2 0.0.0.0 /1|2 128.0.0.0 /1|2 :: /1|2 8000:: /1|" /* the file can't say /0 */
	    "3 10.0.0.1 /32|3 10.0.0.2 /32|3 10.0.0.3 /32|3 10.0.0.4 /32|3 fd00::5 /128|");
	assert_int_equal(w.scopes.n, 3);
	assert_true(table_scope_find(&w.scopes, 1)->known);
	assert_true(table_scope_find(&w.scopes, 2)->known);
	assert_false(table_scope_find(&w.scopes, 3)->known);
	assert_string_equal(table_service_permissions(conf->kamailios[0], 3, 1), "b");
	assert_null(table_service_permissions(conf->kamailios[0], 2, 0));
	wish_fini(&w);
	conf_free(conf);
}

/* ---- plans ---- */

static void
rows_come_and_go(void **state)
{
	assert_plan("0", "", "", "");
	assert_plan("0", "0 a|0 b", "0 a", "add 0 b|");
	assert_plan("0", "0 a", "0 a|0 b", "remove 0 b|");
	assert_plan("0", "0 a w2", "0 a w1", "change 0 a (weight 1 -> 2)|");
	assert_plan("0", "0 a tx", "0 a tNULL", "change 0 a (tag \"\" -> \"x\")|");
	assert_plan("0", "0 a", "0 a tNULL", "");
	assert_plan("0", "0 10.0.0.0 /8", "0 10.0.0.0 /16", "add 0 10.0.0.0/8|remove 0 10.0.0.0/16|");
	assert_plan("0", "0 10.0.0.0 /32", "0 10.0.0.0 /24", "add 0 10.0.0.0|remove 0 10.0.0.0/24|");
	/* order and repetition are no difference */
	assert_plan("0", "0 a|0 b", "0 b|0 a|0 a|0 a", "");
	assert_plan("0", "0 a", "0 b|0 b", "add 0 a|remove 0 b|");
	/* others' sets */
	assert_plan("0", "0 a", "0 a|5 x", "");
	/* a scope of which not all is known only grows */
	assert_plan("0?", "0 a|0 b", "0 a|0 c", "add 0 b|");
}

static void
nodes_go_in_and_out(void **state)
{
	assert_plan("0", "0 a off", "0 a", "disable 0 a|");
	assert_plan("0", "0 a", "0 a off", "enable 0 a|");
	assert_plan("0", "0 a", "0 a asleep", "wake 0 a (Kamailio put it to sleep, but it answers)|");
	assert_plan("0", "0 a off", "0 a asleep", "disable 0 a|");
	assert_plan("0", "0 a off", "0 a off", "");
	assert_plan("0", "0 a off w2", "0 a w1", "change 0 a (weight 1 -> 2)|disable 0 a|");
	assert_plan("0", "0 a off", "", "add 0 a|");
	/* who comes in goes first */
	assert_plan("0", "0 a off|0 b|0 c off", "0 a|0 b off|0 c", "enable 0 b|disable 0 a|disable 0 c|");
}

static void
dead_nodes_sleep(void **state)
{
	assert_plan("0", "0 a off dead", "0 a", "put to sleep 0 a (it does not answer)|");
	assert_plan("0", "0 a off dead", "0 a off", "put to sleep 0 a (it does not answer)|");
	assert_plan("0", "0 a off dead", "0 a asleep", "");
	assert_plan("0", "0 a off dead left", "0 a off", "put to sleep 0 a (it does not answer)|");
	assert_plan("0", "0 a off dead left", "", "");
	/* it comes with the reload first, disabled */
	assert_plan("0", "0 a off dead", "", "add 0 a|");
	assert_plan("0", "0 a off dead w2", "0 a w1", "change 0 a (weight 1 -> 2)|put to sleep 0 a (it does not answer)|");
	/* in whatever state other sets have it: a set of which nobody answers keeps its rows in, and it sleeps there too */
	assert_plan("0 1", "0 a off dead|1 a", "0 a|1 a", "put to sleep 0 a (it does not answer)|");
	/* Kamailio waits for it: who comes in goes first */
	assert_plan("0", "0 a off dead|0 b", "0 a|0 b off", "enable 0 b|put to sleep 0 a (it does not answer)|");
}

static void
what_is_left_is_only_taken_in_and_out(void **state)
{
	assert_plan("0", "0 a left", "", "");
	assert_plan("0", "0 a left w2 tx", "0 a w1", "");
	assert_plan("0", "0 a left off", "0 a", "disable 0 a|");
	assert_plan("0", "0 a left", "0 a off", "enable 0 a|");
	assert_plan("0-", "0 a theirs", "", "");
	assert_plan("0-", "0 a theirs off|0 b theirs", "0 a w9|0 b off", "");
	assert_plan("0-", "0 a theirs", "0 a|0 b", "remove 0 b|");
}

static void
a_node_of_two_sets(void **state)
{
	/* rtpengine.enable knows no sets */
	assert_plan("0 1", "0 a off|1 a", "0 a|1 a", "change 0 a (disabled 0 -> 1, in this set alone)|");
	assert_plan("0 1", "0 a|1 a off", "0 a off|1 a off", "change 0 a (disabled 1 -> 0, in this set alone)|");
	assert_plan("0 1", "0 a off|1 a off", "0 a|1 a", "disable 0 a|disable 1 a|");
	assert_plan("0 1", "0 a|1 a", "0 a off|1 a off", "enable 0 a|enable 1 a|");
	/* a set of others has it too */
	assert_plan("0", "0 a off", "0 a|5 a", "change 0 a (disabled 0 -> 1, in this set alone)|");
	assert_plan("0", "0 a off", "0 a|5 a off", "disable 0 a|");
	assert_plan("0", "0 a", "0 a asleep|5 a off", "");
	assert_plan("0", "0 a", "0 a asleep|5 a", "wake 0 a (Kamailio put it to sleep, but it answers)|");
	assert_plan("0 1-", "0 a off|1 a theirs off", "0 a|1 a", "change 0 a (disabled 0 -> 1, in this set alone)|");
}

static void
a_set_that_would_be_empty(void **state)
{
	static const struct {
		const char *desired, *actual;
		bool empty;
	} cases[] = {
		{ "0 a off|0 b", "0 a", true },          /* b is still to come */
		{ "0 a off|0 b", "0 a|0 b", false },
		{ "0 a off|0 b", "0 a|0 b off", true },
		{ "0 a off|0 b", "0 a|0 b asleep", true },
		{ "0 a off|0 b|0 c", "0 a|0 c", false },
		{ "0 a off", "0 a", false },             /* nobody is to be in */
		{ "0 a off|1 b", "0 a", false },
	};
	size_t i;

	for (i = 0; i < NELEM(cases); i++) {
		struct table_rows desired = rows_of(cases[i].desired), actual = rows_of(cases[i].actual);

		if (table_set_would_be_empty(&desired, &actual, 0) != cases[i].empty)
			fail_msg("%s with %s", cases[i].desired, cases[i].actual);
		table_rows_clear(&desired);
		table_rows_clear(&actual);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_sorted_and_found),
		cmocka_unit_test(urls_that_can_be_asked),
		cmocka_unit_test(what_a_file_says_is_compared),
		cmocka_unit_test(a_hash_is_of_what_a_file_says),
		cmocka_unit_test(nodes_of_a_service),
		cmocka_unit_test(domains_of_services_and_names),
		cmocka_unit_test(addresses_of_services_and_networks),
		cmocka_unit_test(rows_come_and_go),
		cmocka_unit_test(nodes_go_in_and_out),
		cmocka_unit_test(dead_nodes_sleep),
		cmocka_unit_test(what_is_left_is_only_taken_in_and_out),
		cmocka_unit_test(a_node_of_two_sets),
		cmocka_unit_test(a_set_that_would_be_empty),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
