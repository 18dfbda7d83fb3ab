/*
 * platform: judges, snapshots and the store together: how generations are numbered, what a restart
 * and a reload keep, what is adopted, and what the log says of it.
 */
#include <errno.h>

#include "conf_fx.h"
#include "reconcile/platform.h"
#include "store_fx.h"

/* Nothing is held and nothing is removed within a test, unless it asks for it. */
#define CONF \
	"services:\n" \
	"  router: { max_shrink: 100, min_instances: 0, remove_hold: 1h }\n" \
	"  rtp: { max_shrink: 100, min_instances: 0, remove_hold: 1h }\n" \
	"kamailio:\n" \
	"  sbc:\n" \
	"    list_file: /l\n" \
	"    dispatcher:\n" \
	"      1: { service: router }\n" \
	"      2: { service: router }\n"

struct world {
	struct fx *f; /* NULL store in it: as `c4d plan` runs */
	struct conf *conf;
	struct platform *p;
	unsigned changed;
	bool no_store;
};

static void
on_changed(void *arg)
{
	++*(unsigned *)arg;
}

static void
begin(struct world *w)
{
	fx_start(w->f);
	assert_int_equal(platform_new(&w->p, w->f->loop, w->no_store ? NULL : w->f->st, w->conf,
			     on_changed, &w->changed),
	    0);
}

static void
end(struct world *w)
{
	platform_free(w->p);
	fx_stop(w->f);
}

static void
restart(struct world *w)
{
	end(w);
	w->changed = 0;
	fx_forget_log(w->f);
	begin(w);
}

static int
setup(void **state)
{
	struct world *w = xcalloc(1, sizeof *w);
	void *f = NULL;

	if (fx_setup(&f) != 0)
		return -1;
	w->f = f;
	w->conf = conf_of_text(CONF);
	begin(w);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;
	void *f = w->f;

	end(w);
	conf_free(w->conf);
	free(w);
	return fx_teardown(&f);
}

/* ---- rounds ---- */

static void
answer(struct round_answer *a, struct round_row *rows, const char *list)
{
	char *copy = xstrdup(list), *save, *word;

	for (word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
		rows[a->n] = (struct round_row){ .weight = 1, .priority = 1 };
		assert_int_equal(topo_addr_parse(word, &rows[a->n++].addr), 0);
	}
	free(copy);
	a->rows = rows;
	a->n_srv = a->n;
	a->size_bytes = 100 + 60 * a->n;
	a->kind = a->n ? ANSWER_LIST : ANSWER_NXDOMAIN;
}

/* What one name lists; "" is a proven absence. */
static void
lists(struct world *w, const char *service, unsigned name, const char *list)
{
	struct round_row rows[64];
	struct round_answer tags[JUDGE_TAGS_MAX] = { { .kind = ANSWER_NXDOMAIN } };
	struct round r = { .name = name, .tags = tags };
	size_t i;

	for (i = 1; i < JUDGE_TAGS_MAX; i++)
		tags[i] = tags[0];
	answer(&r.list, rows, list);
	r.canary = (struct round_answer){ .kind = ANSWER_LIST, .n_srv = 1 };
	platform_round(w->p, service, &r, "127.0.0.1:8600");
}

static void
fails(struct world *w, const char *service, enum answer_kind kind)
{
	struct round_answer tags[JUDGE_TAGS_MAX] = { { .kind = ANSWER_NOT_ASKED } };
	struct round r = { .list = { .kind = kind }, .canary = { .kind = kind }, .tags = tags };

	platform_round(w->p, service, &r, "127.0.0.1:8600");
}

/* "2: router* 10.0.0.1:5060/up@1 10.0.0.2:5060/up@2; rtp ?" -- * frozen, ? never known */
static void
assert_now(struct world *w, const char *want)
{
	const struct topo *t = platform_now(w->p);
	struct buf b = { 0 };
	char addr[TOPO_ADDR_TEXT];
	size_t i, k;

	buf_printf(&b, "%llu:", (unsigned long long)platform_generation(w->p));
	for (i = 0; i < t->n; i++) {
		const struct topo_service *s = &t->services[i];

		buf_printf(&b, "%s %s%s%s", i ? ";" : "", s->name, s->frozen ? "*" : "",
		    s->known ? "" : " ?");
		for (k = 0; k < s->n; k++) {
			topo_addr_format(&s->inst[k].addr, addr);
			buf_printf(&b, " %s/%s@%llu",
			    s->inst[k].addr.family ? addr : s->inst[k].origin,
			    topo_state_name(s->inst[k].state),
			    (unsigned long long)s->inst[k].generation);
		}
	}
	if (strcmp(b.s, want) != 0)
		fail_msg("\n got %s\nwant %s", b.s, want);
	buf_free(&b);
}

static void
assert_log(struct world *w, const char *want)
{
	if (strcmp(fx_logged(w->f), want) != 0)
		fail_msg("\n got %s\nwant %s", fx_logged(w->f), want);
	fx_forget_log(w->f);
}

/* ---- numbering ---- */

static void
day_one_knows_nothing(void **state)
{
	struct world *w = *state;

	assert_now(w, "0: router ?; rtp ?");
	assert_int_equal(w->changed, 0);
	assert_log(w, "");
	/* and no failure, nor an absence that proves only that nothing was there, changes that */
	fails(w, "router", ANSWER_SERVFAIL);
	lists(w, "rtp", 0, "");
	assert_now(w, "0: router ?; rtp ?");
	assert_int_equal(w->changed, 0);
	assert_null(platform_judge(w->p, "nobody"));
	assert_null(platform_conf(w->p, "nobody"));
	assert_ptr_equal(platform_conf(w->p, "rtp"), w->conf->services[1]);
	assert_non_null(platform_judge(w->p, "rtp"));
}

static void
a_change_is_a_generation(void **state)
{
	static const struct {
		const char *service, *list, *want;
		unsigned changed;
	} rows[] = {
		{ "router", "10.0.0.1:5060", "1: router 10.0.0.1:5060/up@1; rtp ?", 1 },
		{ "router", "10.0.0.1:5060", "1: router 10.0.0.1:5060/up@1; rtp ?", 1 },
		{ "rtp", "10.0.0.9:2223 10.0.0.8:2223",
		    "2: router 10.0.0.1:5060/up@1; rtp 10.0.0.8:2223/up@2 10.0.0.9:2223/up@2", 2 },
		{ "router", "10.0.0.2:5060 10.0.0.1:5060",
		    "3: router 10.0.0.1:5060/up@1 10.0.0.2:5060/up@3; rtp 10.0.0.8:2223/up@2 10.0.0.9:2223/up@2",
		    3 },
		{ "router", "10.0.0.2:5060",
		    "4: router 10.0.0.1:5060/disabled@4 10.0.0.2:5060/up@3; rtp 10.0.0.8:2223/up@2 10.0.0.9:2223/up@2",
		    4 },
		{ "router", "10.0.0.2:5060",
		    "4: router 10.0.0.1:5060/disabled@4 10.0.0.2:5060/up@3; rtp 10.0.0.8:2223/up@2 10.0.0.9:2223/up@2",
		    4 },
		{ "nobody", "10.0.0.7:5060",
		    "4: router 10.0.0.1:5060/disabled@4 10.0.0.2:5060/up@3; rtp 10.0.0.8:2223/up@2 10.0.0.9:2223/up@2",
		    4 },
	};
	struct world *w = *state;
	struct topo *old;
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		lists(w, rows[i].service, 0, rows[i].list);
		assert_now(w, rows[i].want);
		assert_int_equal(w->changed, rows[i].changed);
	}
	lists(w, "router", 1, "10.0.0.7:5060"); /* a name that it does not have */
	assert_int_equal(w->changed, 4);
	/* who holds a snapshot keeps it as it was */
	old = topo_ref(platform_now(w->p));
	lists(w, "rtp", 0, "10.0.0.8:2223");
	assert_int_equal(old->generation, 4);
	assert_int_equal(topo_find(old, "rtp")->inst[1].state, TOPO_UP);
	assert_int_equal(topo_find(platform_now(w->p), "rtp")->inst[1].state, TOPO_DISABLED);
	assert_true(platform_seen_ms(w->p) >= old->wall_ms);
	topo_unref(old);
	fx_await(w->f, fx_nothing_pending, w->f);
	assert_history(w->f, NULL, NULL, 2,
	    "5 complete list of rtp.service.consul from 127.0.0.1:8600 (1 listed): "
	    "rtp 10.0.0.9:2223 up>disabled\n"
	    "4 complete list of router.service.consul from 127.0.0.1:8600 (1 listed): router 10.0.0.1:5060 up>disabled\n");
}

static void
without_a_store_it_is_the_same(void **state)
{
	struct world *w = *state;

	lists(w, "router", 0, "10.0.0.1:5060");
	w->no_store = true;
	restart(w);
	assert_now(w, "0: router ?; rtp ?");
	lists(w, "router", 0, "10.0.0.2:5060");
	assert_int_equal(platform_word(w->p, "router", JUDGE_HOLD, "uid 0"), 0);
	platform_note_adopted(w->p, "sbc/1");
	assert_true(platform_adopted(w->p, "sbc/1"));
	assert_now(w, "1: router* 10.0.0.2:5060/up@1; rtp ?");
	w->no_store = false;
	restart(w);
	assert_now(w, "1: router 10.0.0.1:5060/up@1; rtp ?");
	assert_false(platform_adopted(w->p, "sbc/1"));
}

/* ---- restarts ---- */

static void
a_restart_begins_where_it_was(void **state)
{
	struct world *w = *state;
	const struct topo_instance *i;

	lists(w, "router", 0, "10.0.0.1:5060 10.0.0.2:5060 [::1]:5060");
	lists(w, "router", 0, "10.0.0.1:5060 10.0.0.2:5060");
	lists(w, "rtp", 0, "10.0.0.9:2223");
	assert_int_equal(platform_word(w->p, "router", JUDGE_HOLD, "uid 0"), 0);
	restart(w);
	assert_now(w,
	    "3: router* 10.0.0.1:5060/up@1 10.0.0.2:5060/up@1 [::1]:5060/disabled@2; rtp 10.0.0.9:2223/up@3");
	assert_int_equal(w->changed, 0);
	assert_log(w, "");
	i = &topo_find(platform_now(w->p), "router")->inst[0];
	assert_int_equal(i->source, SOURCE_STORE);
	assert_true(i->since_ms > 0);
	/* the same again is no change; nothing removes what DNS has not spoken of */
	fails(w, "router", ANSWER_TIMEOUT);
	lists(w, "rtp", 0, "10.0.0.9:2223");
	assert_now(w,
	    "3: router* 10.0.0.1:5060/up@1 10.0.0.2:5060/up@1 [::1]:5060/disabled@2; rtp 10.0.0.9:2223/up@3");
	assert_int_equal(w->changed, 0);
	lists(w, "rtp", 0, "10.0.0.9:2223 10.0.0.8:2223");
	assert_now(w, "4: router* 10.0.0.1:5060/up@1 10.0.0.2:5060/up@1 [::1]:5060/disabled@2; "
		      "rtp 10.0.0.8:2223/up@4 10.0.0.9:2223/up@3");
}

static void
a_full_disk_changes_nothing_but_the_store(void **state)
{
	struct world *w = *state;

	store_fail_next(w->f->st, -ENOSPC, 1);
	lists(w, "router", 0, "10.0.0.1:5060");
	fx_await(w->f, fx_is_failing, w->f);
	assert_now(w, "1: router 10.0.0.1:5060/up@1; rtp ?");
	assert_int_equal(w->changed, 1);
	lists(w, "router", 0, "10.0.0.1:5060 10.0.0.2:5060");
	restart(w);
	assert_now(w, "2: router 10.0.0.1:5060/up@1 10.0.0.2:5060/up@2; rtp ?");
}

/* ---- adoption ---- */

static void
adopt(struct world *w, const char *target, const char *addr, const char *line, bool disabled)
{
	struct platform_adoptee v = { .line = line, .disabled = disabled };

	if (addr != NULL)
		assert_int_equal(topo_addr_parse(addr, &v.addr), 0);
	platform_adopt(w->p, "router", target, &v, 1);
}

static void
what_is_found_first_is_generation_0(void **state)
{
	struct world *w = *state;

	adopt(w, "sbc/1", "10.0.0.1:5060", "sip:10.0.0.1:5060 0 0 weight=5", false);
	assert_now(w, "0: router 10.0.0.1:5060/up@0; rtp ?");
	assert_int_equal(w->changed, 1);
	/* the second set holds it too, and a host name */
	adopt(w, "sbc/2", "10.0.0.1:5060", "sip:10.0.0.1 8 1", false);
	adopt(w, "sbc/2", NULL, "sip:gw.example 0 0", true);
	adopt(w, "sbc/2", "10.0.0.3:5060", "sip:10.0.0.3", false);
	assert_now(w,
	    "0: router sbc/2 sip:gw.example 0 0/disabled@0 10.0.0.1:5060/up@0 10.0.0.3:5060/up@0; rtp ?");
	assert_string_equal(topo_find(platform_now(w->p), "router")->inst[1].origin,
	    "sbc/1 sip:10.0.0.1:5060 0 0 weight=5\nsbc/2 sip:10.0.0.1 8 1");
	assert_int_equal(topo_find(platform_now(w->p), "router")->inst[1].source, SOURCE_ADOPTED);
	/* nothing new: no change */
	w->changed = 0;
	adopt(w, "sbc/1", "10.0.0.1:5060", "sip:10.0.0.1:5060 0 0 weight=5", false);
	platform_adopt(w->p, "router", "sbc/1", NULL, 0);
	platform_adopt(w->p, "nobody", "sbc/1", NULL, 0);
	assert_int_equal(w->changed, 0);
	platform_note_adopted(w->p, "sbc/1");
	assert_true(platform_adopted(w->p, "sbc/1"));
	assert_false(platform_adopted(w->p, "sbc/2"));
	/* generation 0 is the sum of what was found */
	fx_await(w->f, fx_nothing_pending, w->f);
	assert_history(w->f, NULL, NULL, 5,
	    "0 adopted from sbc/2, as it was found: router -:0 new>disabled "
	    "router 10.0.0.1:5060 new>up router 10.0.0.3:5060 new>up\n");
	restart(w);
	assert_now(w,
	    "0: router sbc/2 sip:gw.example 0 0/disabled@0 10.0.0.1:5060/up@0 10.0.0.3:5060/up@0; rtp ?");
	assert_true(platform_adopted(w->p, "sbc/1"));
	assert_false(platform_adopted(w->p, "sbc/2"));
	/* what DNS does not list goes by its evidence; what it lists is a change */
	lists(w, "router", 0, "10.0.0.1:5060");
	assert_int_equal(platform_generation(w->p), 1);
	assert_int_equal(topo_find(platform_now(w->p), "router")->inst[1].state, TOPO_UP);
	assert_null(topo_find(platform_now(w->p), "router")->inst[1].origin);
}

static void
what_is_found_later_is_a_change(void **state)
{
	struct world *w = *state;

	lists(w, "rtp", 0, "10.0.0.9:2223");
	adopt(w, "sbc/1", "10.0.0.1:5060", "sip:10.0.0.1:5060 0 0", true);
	assert_now(w, "2: router 10.0.0.1:5060/disabled@2; rtp 10.0.0.9:2223/up@1");
	/* what DNS has listed already needs no adoption */
	adopt(w, "sbc/1", "10.0.0.1:5060", "sip:10.0.0.1:5060 0 0", true);
	assert_int_equal(platform_generation(w->p), 2);
}

/* ---- Kamailio's own addresses ---- */

static void
own_addresses_are_not_accepted(void **state)
{
	struct world *w = *state;
	struct topo_addr own[2];

	assert_int_equal(topo_addr_parse("10.0.0.1:5060", &own[0]), 0);
	assert_int_equal(topo_addr_parse("10.0.0.2:5060", &own[1]), 0);
	platform_set_own(w->p, "sbc", own, 1);
	platform_set_own(w->p, "router", own + 1, 1);
	lists(w, "router", 0, "10.0.0.1:5060 10.0.0.1:5061 10.0.0.2:5060 10.0.0.3:5060");
	assert_now(w, "1: router 10.0.0.1:5061/up@1 10.0.0.3:5060/up@1; rtp ?");
	assert_log(w,
	    "warning topo: router: 2 listed instances are not accepted, first 10.0.0.1:5060: Kamailio's own listen address\n"
	    "notice topo: router: 10.0.0.1:5061 up weight=1\nnotice topo: router: 10.0.0.3:5060 up weight=1\n");
	/* said once, while it is so */
	lists(w, "router", 0, "10.0.0.1:5060 10.0.0.1:5061 10.0.0.2:5060 10.0.0.3:5060");
	assert_log(w, "");
	/* a Kamailio's newer list replaces its older one, not another's; it survives a reload */
	platform_set_own(w->p, "sbc", NULL, 0);
	platform_set_conf(w->p, w->conf);
	lists(w, "router", 0, "10.0.0.1:5060 10.0.0.1:5061 10.0.0.2:5060 10.0.0.3:5060");
	assert_now(w, "2: router 10.0.0.1:5060/up@2 10.0.0.1:5061/up@1 10.0.0.3:5060/up@1; rtp ?");
	platform_set_own(w->p, "router", NULL, 0);
	lists(w, "router", 0, "10.0.0.1:5060 10.0.0.1:5061 10.0.0.2:5060 10.0.0.3:5060");
	assert_now(w,
	    "3: router 10.0.0.1:5060/up@2 10.0.0.1:5061/up@1 10.0.0.2:5060/up@3 10.0.0.3:5060/up@1; rtp ?");
}

/* ---- the operator's word ---- */

static void
words_are_recorded(void **state)
{
	struct world *w = *state;

	assert_int_equal(platform_word(w->p, "nobody", JUDGE_HOLD, "uid 0"), -ENOENT);
	lists(w, "router", 0, "10.0.0.1:5060 10.0.0.2:5060");
	fx_forget_log(w->f);
	assert_int_equal(platform_word(w->p, "router", JUDGE_RELEASE, "uid 0"), -EALREADY);
	assert_int_equal(platform_word(w->p, "router", JUDGE_APPROVE, "uid 0"), -EALREADY);
	assert_log(w, "");
	assert_int_equal(platform_word(w->p, "router", JUDGE_HOLD, "uid 7"), 0);
	assert_int_equal(platform_word(w->p, "router", JUDGE_HOLD, "uid 7"), -EALREADY);
	assert_log(w, "notice topo: c4ctl hold router by uid 7\n");
	assert_now(w, "1: router* 10.0.0.1:5060/up@1 10.0.0.2:5060/up@1; rtp ?");
	lists(w, "router", 0, "10.0.0.1:5060");
	assert_now(w, "2: router* 10.0.0.1:5060/up@1 10.0.0.2:5060/held@2; rtp ?");
	assert_log(w, "notice topo: router: 10.0.0.2:5060 up -> held guard=hold\n");
	restart(w);
	assert_now(w, "2: router* 10.0.0.1:5060/up@1 10.0.0.2:5060/held@2; rtp ?");
	lists(w, "router", 0, "10.0.0.1:5060");
	assert_int_equal(platform_word(w->p, "router", JUDGE_RELEASE, "uid 0"), 0);
	assert_now(w, "3: router 10.0.0.1:5060/up@1 10.0.0.2:5060/disabled@3; rtp ?");
	fx_await(w->f, fx_nothing_pending, w->f);
	assert_history(w->f, NULL, NULL, 1,
	    "3 c4ctl release router by uid 0: router 10.0.0.2:5060 held>disabled\n");
	restart(w);
	assert_now(w, "3: router 10.0.0.1:5060/up@1 10.0.0.2:5060/disabled@3; rtp ?");
}

/* ---- drains ---- */

static struct topo_addr
addr_of(const char *text)
{
	struct topo_addr a;

	assert_int_equal(topo_addr_parse(text, &a), 0);
	return a;
}

static int
drain(struct world *w, const char *addr, int64_t timeout_ms)
{
	struct platform_refusal r;
	struct topo_addr a = addr_of(addr);

	return platform_drain(w->p, &a, timeout_ms, "uid 7", &r);
}

static int
undrain(struct world *w, const char *addr)
{
	struct topo_addr a = addr_of(addr);

	return platform_undrain(w->p, &a, "uid 7");
}

static void
a_drain_concerns_all_that_have_it(void **state)
{
	struct world *w = *state;
	const struct store_drain *d;
	struct topo_addr a = addr_of("10.0.0.1:5060");
	int64_t until;

	lists(w, "router", 0, "10.0.0.1:5060 10.0.0.2:5060");
	lists(w, "rtp", 0, "10.0.0.1:5060");
	fx_forget_log(w->f);
	w->changed = 0;
	assert_int_equal(drain(w, "10.0.0.9:5060", 0), -ENOENT);
	assert_int_equal(undrain(w, "10.0.0.9:5060"), -ENOENT);
	assert_int_equal(undrain(w, "10.0.0.1:5060"), -EALREADY);
	assert_int_equal(w->changed, 0);
	assert_log(w, "");
	assert_int_equal(drain(w, "10.0.0.1:5060", 0), 0);
	assert_int_equal(w->changed, 1);
	assert_now(w, "3: router 10.0.0.1:5060/draining@3 10.0.0.2:5060/up@1; rtp 10.0.0.1:5060/draining@3");
	assert_log(w, "notice topo: c4ctl drain 10.0.0.1:5060 by uid 7\n"
		      "notice topo: router: 10.0.0.1:5060 up -> draining guard=operator\n"
		      "notice topo: rtp: 10.0.0.1:5060 up -> draining guard=operator\n");
	d = platform_drain_of(w->p, "rtp", &a);
	assert_string_equal(d->who, "uid 7");
	assert_true(d->since_ms > 0 && d->until_ms == 0);
	/* once is enough; another timeout is taken */
	assert_int_equal(drain(w, "10.0.0.1:5060", 0), -EALREADY);
	assert_int_equal(drain(w, "10.0.0.1:5060", 60000), 0);
	until = platform_drain_of(w->p, "rtp", &a)->until_ms;
	assert_in_range(until - loop_wall_ms(w->f->loop), 59000, 60000);
	assert_now(w, "4: router 10.0.0.1:5060/draining@4 10.0.0.2:5060/up@1; rtp 10.0.0.1:5060/draining@4");
	assert_true(topo_find(platform_now(w->p), "rtp")->inst[0].drain_until_ms == until);
	/* a restart and what DNS says change nothing */
	restart(w);
	assert_now(w, "4: router 10.0.0.1:5060/draining@4 10.0.0.2:5060/up@1; rtp 10.0.0.1:5060/draining@4");
	assert_log(w, "");
	lists(w, "router", 0, "10.0.0.1:5060 10.0.0.2:5060");
	lists(w, "rtp", 0, "10.0.0.1:5060");
	assert_now(w, "4: router 10.0.0.1:5060/draining@4 10.0.0.2:5060/up@1; rtp 10.0.0.1:5060/draining@4");
	assert_true(topo_find(platform_now(w->p), "rtp")->inst[0].drain_until_ms == until);
	assert_string_equal(platform_drain_of(w->p, "router", &a)->who, "uid 7");
	/* one word undoes it */
	assert_int_equal(undrain(w, "10.0.0.1:5060"), 0);
	assert_now(w, "5: router 10.0.0.1:5060/up@5 10.0.0.2:5060/up@1; rtp 10.0.0.1:5060/up@5");
	assert_null(platform_drain_of(w->p, "router", &a));
	restart(w);
	assert_now(w, "5: router 10.0.0.1:5060/up@5 10.0.0.2:5060/up@1; rtp 10.0.0.1:5060/up@5");
	assert_history(w->f, NULL, NULL, 3,
	    "5 c4ctl undrain 10.0.0.1:5060 by uid 7: router 10.0.0.1:5060 draining>up rtp 10.0.0.1:5060 draining>up\n"
	    "4 c4ctl drain 10.0.0.1:5060 --timeout 1m by uid 7: router 10.0.0.1:5060 draining>draining "
	    "rtp 10.0.0.1:5060 draining>draining\n"
	    "3 c4ctl drain 10.0.0.1:5060 by uid 7: router 10.0.0.1:5060 up>draining rtp 10.0.0.1:5060 up>draining\n");
}

#define WITH_FLOOR \
	"services:\n  router: { max_shrink: 100, min_instances: 2, remove_hold: 0 }\n" \
	"  rtp: { max_shrink: 100, min_instances: 0, remove_hold: 0 }\n"

static void
the_floor_refuses_a_drain(void **state)
{
	struct world *w = *state;
	struct conf *old = w->conf;
	struct platform_refusal r = { 0 };
	struct topo_addr a = addr_of("10.0.0.1:5060");

	w->conf = conf_of_text(WITH_FLOOR);
	platform_set_conf(w->p, w->conf);
	conf_free(old);
	lists(w, "router", 0, "10.0.0.1:5060 10.0.0.2:5060 10.0.0.3:5060");
	lists(w, "rtp", 0, "10.0.0.1:5060 10.0.0.2:5060");
	assert_int_equal(drain(w, "10.0.0.2:5060", 0), 0);
	/* in none of its services when one refuses */
	assert_int_equal(platform_drain(w->p, &a, 0, "uid 7", &r), -EPERM);
	assert_string_equal(r.service, "router");
	assert_int_equal(r.left, 1);
	assert_int_equal(r.min, 2);
	assert_now(w, "3: router 10.0.0.1:5060/up@1 10.0.0.2:5060/draining@3 10.0.0.3:5060/up@1; "
		      "rtp 10.0.0.1:5060/up@2 10.0.0.2:5060/draining@3");
	assert_null(platform_drain_of(w->p, "rtp", &a));
}

/* The drain is the address's, not the instance's. */
static void
what_is_gone_comes_back_drained(void **state)
{
	struct world *w = *state;
	struct conf *old = w->conf;
	struct topo_addr a = addr_of("10.0.0.1:5060"), at;
	const char *service;

	w->conf = conf_of_text(WITH_FLOOR);
	platform_set_conf(w->p, w->conf);
	conf_free(old);
	lists(w, "rtp", 0, "10.0.0.1:5060 10.0.0.2:5060");
	assert_int_equal(drain(w, "10.0.0.1:5060", 0), 0);
	lists(w, "rtp", 0, "10.0.0.2:5060"); /* out, and gone: remove_hold is 0 */
	assert_now(w, "3: router ?; rtp 10.0.0.2:5060/up@1");
	assert_int_equal(drain(w, "10.0.0.1:5060", 0), -EALREADY);
	assert_non_null(platform_drain_at(w->p, 0, &service, &at));
	assert_string_equal(service, "rtp");
	assert_int_equal(topo_addr_cmp(&a, &at), 0);
	assert_null(platform_drain_at(w->p, 1, &service, &at));
	restart(w);
	lists(w, "rtp", 0, "10.0.0.1:5060 10.0.0.2:5060");
	assert_now(w, "4: router ?; rtp 10.0.0.1:5060/draining@4 10.0.0.2:5060/up@1");
	/* the same while the service is not configured */
	old = conf_of_text("services: { router: {} }\n");
	platform_set_conf(w->p, old);
	platform_set_conf(w->p, w->conf);
	conf_free(old);
	lists(w, "rtp", 0, "10.0.0.1:5060 10.0.0.2:5060");
	assert_int_equal(topo_find(platform_now(w->p), "rtp")->inst[0].state, TOPO_DRAINING);
	lists(w, "rtp", 0, "10.0.0.2:5060");
	assert_int_equal(undrain(w, "10.0.0.1:5060"), 0); /* also of what is not there */
	assert_int_equal(undrain(w, "10.0.0.1:5060"), -ENOENT);
	restart(w);
	lists(w, "rtp", 0, "10.0.0.1:5060 10.0.0.2:5060");
	assert_int_equal(topo_find(platform_now(w->p), "rtp")->inst[0].state, TOPO_UP);
}

/* ---- damping ---- */

#define DAMPED \
	"services:\n  router: { max_shrink: 100, min_instances: 0, remove_hold: 1h, flap_half_life: 10m }\n" \
	"  rtp: { flap_suppress: 0 }\n"

static void
damping_is_stored_and_logged(void **state)
{
	struct world *w = *state;
	struct conf *old = w->conf;
	struct judge_flap_view v;
	struct topo_addr a = addr_of("10.0.0.1:5060");
	int i;

	w->conf = conf_of_text(DAMPED);
	platform_set_conf(w->p, w->conf);
	conf_free(old);
	for (i = 0; i < 4; i++) {
		lists(w, "router", 0, "10.0.0.2:5060");
		fx_forget_log(w->f);
		lists(w, "router", 0, "10.0.0.1:5060 10.0.0.2:5060");
	}
	assert_log(w, "notice topo: router: 10.0.0.1:5060 disabled -> suppressed guard=flap\n");
	restart(w);
	assert_int_equal(topo_find(platform_now(w->p), "router")->inst[0].state, TOPO_SUPPRESSED);
	lists(w, "router", 0, "10.0.0.1:5060 10.0.0.2:5060");
	assert_int_equal(topo_find(platform_now(w->p), "router")->inst[0].state, TOPO_SUPPRESSED);
	assert_true(judge_flap_view(platform_judge(w->p, "router"), &a, loop_now_ms(w->f->loop), &v));
	assert_in_range(v.penalty, 2900, 3000);
	assert_int_equal(v.goings, 3);
	assert_int_equal(platform_word(w->p, "router", JUDGE_APPROVE, "uid 0"), 0);
	assert_int_equal(topo_find(platform_now(w->p), "router")->inst[0].state, TOPO_UP);
	restart(w);
	assert_false(judge_flap_view(platform_judge(w->p, "router"), &a, loop_now_ms(w->f->loop), &v));
}

/* ---- rollback ---- */

struct way_back {
	struct world *w;
	uint64_t generation;
	struct platform_refusal refusal;
	struct buf held;
	bool done;
	int err;
};

static void
note_held(void *arg, const char *service)
{
	buf_printf(arg, "%s ", service);
}

static void
on_past(void *arg, const struct store_past *p)
{
	struct way_back *b = arg;

	b->done = true;
	b->err = p->err ? p->err : platform_rollback(b->w->p, b->generation, p, "uid 7", note_held, &b->held, &b->refusal);
}

static bool
is_done(void *arg)
{
	return ((struct way_back *)arg)->done;
}

static bool
all_is_with_the_worker(void *arg)
{
	struct store_view v;

	store_view(((struct fx *)arg)->st, &v);
	return v.pending == 0 || (v.pending == 1 && v.commits == 0); /* whose machine it is waits for the first change */
}

/* 0 or why not, and the services that it holds. */
static int
rollback(struct world *w, uint64_t generation, const char *held, struct platform_refusal *r)
{
	struct way_back b = { .w = w, .generation = generation };

	fx_await(w->f, all_is_with_the_worker, w->f);
	store_past(w->f->st, generation, on_past, &b);
	fx_await(w->f, is_done, &b);
	assert_string_equal(b.held.s ? b.held.s : "", held);
	buf_free(&b.held);
	if (r != NULL)
		*r = b.refusal;
	return b.err;
}

static void
rollback_brings_back_what_was(void **state)
{
	struct world *w = *state;
	struct platform_refusal r;

	lists(w, "router", 0, "10.0.0.1:5060 10.0.0.2:5060");             /* 1 */
	lists(w, "rtp", 0, "10.0.0.8:2223");                              /* 2 */
	lists(w, "router", 0, "10.0.0.1:5060 10.0.0.3:5060");             /* 3 */
	lists(w, "router", 0, "10.0.0.3:5060 10.0.0.4:5060");             /* 4 */
	assert_now(w, "4: router 10.0.0.1:5060/disabled@4 10.0.0.2:5060/disabled@3 10.0.0.3:5060/up@3 "
		      "10.0.0.4:5060/up@4; rtp 10.0.0.8:2223/up@2");
	fx_forget_log(w->f);
	assert_int_equal(rollback(w, 2, "router ", NULL), 0);
	assert_now(w, "5: router* 10.0.0.1:5060/held@5 10.0.0.2:5060/held@5; rtp 10.0.0.8:2223/up@2");
	assert_non_null(strstr(fx_logged(w->f), "notice topo: c4ctl rollback 2 by uid 7\n"));
	/* the next round does not undo it, nor does a restart */
	lists(w, "router", 0, "10.0.0.3:5060 10.0.0.4:5060");
	assert_now(w, "5: router* 10.0.0.1:5060/held@5 10.0.0.2:5060/held@5; rtp 10.0.0.8:2223/up@2");
	restart(w);
	assert_now(w, "5: router* 10.0.0.1:5060/held@5 10.0.0.2:5060/held@5; rtp 10.0.0.8:2223/up@2");
	lists(w, "router", 0, "10.0.0.3:5060 10.0.0.4:5060");
	assert_now(w, "5: router* 10.0.0.1:5060/held@5 10.0.0.2:5060/held@5; rtp 10.0.0.8:2223/up@2");
	assert_history(w->f, NULL, NULL, 1,
	    "5 c4ctl rollback 2 by uid 7: router 10.0.0.1:5060 disabled>held router 10.0.0.2:5060 disabled>held "
	    "router 10.0.0.3:5060 up>removed router 10.0.0.4:5060 up>removed\n");
	/* and the way back from it is another one */
	assert_int_equal(rollback(w, 4, "router ", NULL), 0);
	assert_now(w, "6: router* 10.0.0.1:5060/disabled@6 10.0.0.2:5060/disabled@6 10.0.0.3:5060/up@6 "
		      "10.0.0.4:5060/up@6; rtp 10.0.0.8:2223/up@2");
	assert_int_equal(topo_find(platform_now(w->p), "router")->inst[2].source, SOURCE_STORE);
	assert_int_equal(rollback(w, 4, "", NULL), -EALREADY);
	assert_int_equal(rollback(w, 0, "router rtp ", &r), 0); /* nothing was there, and none is wanted */
	assert_now(w, "7: router*; rtp*");
	assert_int_equal(platform_word(w->p, "router", JUDGE_RELEASE, "uid 7"), 0);
	lists(w, "router", 0, "10.0.0.3:5060");
	assert_now(w, "8: router 10.0.0.3:5060/up@8; rtp*");
}

static void
rollback_keeps_the_floor_and_drains(void **state)
{
	struct world *w = *state;
	struct conf *old = w->conf;
	struct platform_refusal r = { 0 };

	w->conf = conf_of_text(WITH_FLOOR);
	platform_set_conf(w->p, w->conf);
	conf_free(old);
	lists(w, "rtp", 0, "10.0.0.8:2223");                               /* 1 */
	lists(w, "router", 0, "10.0.0.1:5060");                            /* 2 */
	lists(w, "router", 0, "10.0.0.1:5060 10.0.0.2:5060 10.0.0.3:5060"); /* 3 */
	assert_int_equal(rollback(w, 2, "", &r), -EPERM);
	assert_string_equal(r.service, "router");
	assert_int_equal(r.left, 1);
	assert_int_equal(r.min, 2);
	assert_int_equal(platform_generation(w->p), 3);
	assert_int_equal(drain(w, "10.0.0.1:5060", 0), 0);                 /* 4 */
	lists(w, "router", 0, "10.0.0.1:5060 10.0.0.2:5060 10.0.0.3:5060 10.0.0.4:5060"); /* 5 */
	assert_int_equal(rollback(w, 3, "router ", NULL), 0);
	assert_now(w, "6: router* 10.0.0.1:5060/draining@4 10.0.0.2:5060/up@3 10.0.0.3:5060/up@3; rtp 10.0.0.8:2223/up@1");
	assert_int_equal(rollback(w, 9, "", NULL), -EALREADY);
}

/* The history and the present must meet. */
static void
rollback_waits_for_the_store(void **state)
{
	struct store_past p = { .newest = 7 };
	struct world *w = *state;
	struct platform_refusal r;

	lists(w, "router", 0, "10.0.0.1:5060");
	assert_int_equal(platform_rollback(w->p, 0, &p, "uid 7", note_held, NULL, &r), -EAGAIN);
	assert_now(w, "1: router 10.0.0.1:5060/up@1; rtp ?");
}

/* ---- reloads ---- */

#define WITHOUT_ROUTER "services:\n  rtp: { max_shrink: 100, min_instances: 0, remove_hold: 1h }\n"
#define TWO_NAMES \
	"services:\n  asterisk: {}\n  rtp: { max_shrink: 100, min_instances: 0, remove_hold: 1h }\n" \
	"  router: { max_shrink: 100, min_instances: 0, remove_hold: 1h, names: [new.service.consul, router.service.consul] }\n"

static void
a_reload_keeps_what_stays(void **state)
{
	struct world *w = *state;
	struct conf *old = w->conf;

	lists(w, "router", 0, "10.0.0.1:5060 10.0.0.2:5060");
	lists(w, "rtp", 0, "10.0.0.9:2223");
	fx_forget_log(w->f);
	w->conf = conf_of_text(TWO_NAMES);
	w->changed = 0;
	platform_set_conf(w->p, w->conf);
	conf_free(old); /* nothing of it is used any more */
	assert_true(w->changed > 0);
	assert_log(w, "");
	assert_now(w,
	    "2: asterisk ?; rtp 10.0.0.9:2223/up@2; router 10.0.0.1:5060/up@1 10.0.0.2:5060/up@1");
	/* the name that listed them has moved to another place in the list: the new first one says
	 * nothing of them */
	lists(w, "router", 0, "10.0.0.3:5060");
	assert_now(w,
	    "3: asterisk ?; rtp 10.0.0.9:2223/up@2; router 10.0.0.1:5060/up@1 10.0.0.2:5060/up@1 10.0.0.3:5060/up@3");
	lists(w, "router", 1, "10.0.0.1:5060");
	assert_now(w,
	    "4: asterisk ?; rtp 10.0.0.9:2223/up@2; router 10.0.0.1:5060/up@1 10.0.0.2:5060/disabled@4 10.0.0.3:5060/up@3");
}

static void
a_service_that_goes_is_forgotten_not_emptied(void **state)
{
	struct world *w = *state;
	struct conf *with = w->conf, *without = conf_of_text(WITHOUT_ROUTER);

	lists(w, "router", 0, "10.0.0.1:5060");
	lists(w, "rtp", 0, "10.0.0.9:2223");
	platform_set_conf(w->p, without);
	assert_now(w, "3: rtp 10.0.0.9:2223/up@2");
	assert_non_null(strstr(fx_logged(w->f),
	    "notice topo: router: no longer configured; its destinations stay as they are\n"));
	assert_null(platform_judge(w->p, "router"));
	lists(w, "router", 0, "10.0.0.2:5060"); /* a round that was under way */
	assert_now(w, "3: rtp 10.0.0.9:2223/up@2");
	/* it comes back: known only when DNS says so, or its targets would be emptied */
	platform_set_conf(w->p, with);
	assert_false(topo_find(platform_now(w->p), "router")->known);
	restart(w);
	assert_false(topo_find(platform_now(w->p), "router")->known);
	lists(w, "router", 0, "10.0.0.2:5060");
	assert_true(topo_find(platform_now(w->p), "router")->known);
	conf_free(without);
}

/* Not configured while c4d was down: its records wait for it. */
static void
a_service_that_comes_back_is_remembered(void **state)
{
	struct world *w = *state;
	struct conf *with = w->conf, *without = conf_of_text(WITHOUT_ROUTER);

	lists(w, "router", 0, "10.0.0.1:5060");
	lists(w, "rtp", 0, "10.0.0.9:2223");
	w->conf = without;
	restart(w);
	assert_now(w, "2: rtp 10.0.0.9:2223/up@2");
	w->conf = with;
	restart(w);
	assert_now(w, "2: router 10.0.0.1:5060/up@1; rtp 10.0.0.9:2223/up@2");
	conf_free(without);
}

/* ---- the log ---- */

static void
changes_are_logged(void **state)
{
	struct world *w = *state;
	struct buf list = { 0 };
	const char *p;
	int i, lines = 0;

	lists(w, "router", 0, "10.0.0.1:5060 [::1]:5060");
	assert_log(w,
	    "notice topo: router: 10.0.0.1:5060 up weight=1\nnotice topo: router: [::1]:5060 up weight=1\n");
	lists(w, "router", 0, "10.0.0.1:5060");
	assert_log(w, "notice topo: router: [::1]:5060 up -> disabled\n");
	lists(w, "router", 0, "10.0.0.1:5060 [::1]:5060");
	assert_log(w, "notice topo: router: [::1]:5060 disabled -> up\n");
	/* a flood is cut; the history has it all */
	for (i = 1; i <= 40; i++)
		buf_printf(&list, "10.1.0.%d:2223 ", i);
	lists(w, "rtp", 0, list.s);
	for (p = fx_logged(w->f); (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	assert_int_equal(lines, 20);
	buf_free(&list);
}

static void
trouble_is_logged_once(void **state)
{
	struct world *w = *state;
	int i;

	lists(w, "router", 0, "10.0.0.1:5060");
	fx_forget_log(w->f);
	for (i = 0; i < 3; i++)
		fails(w, "router", ANSWER_SERVFAIL);
	assert_non_null(
	    strstr(fx_logged(w->f), "warning dns: router: router.service.consul proves nothing: "));
	assert_non_null(strstr(fx_logged(w->f), " server=127.0.0.1:8600; nothing is removed\n"));
	assert_ptr_equal(strchr(fx_logged(w->f), '\n'), strrchr(fx_logged(w->f), '\n'));
	fx_forget_log(w->f);
	fails(w, "rtp", ANSWER_TIMEOUT); /* another's trouble is its own */
	assert_non_null(strstr(fx_logged(w->f), "warning dns: rtp: "));
	fx_forget_log(w->f);
	lists(w, "router", 0, "10.0.0.1:5060");
	lists(w, "router", 0, "10.0.0.1:5060");
	assert_non_null(strstr(fx_logged(w->f),
	    "notice dns: router: router.service.consul is conclusive again after 0s: "));
	assert_ptr_equal(strchr(fx_logged(w->f), '\n'), strrchr(fx_logged(w->f), '\n'));
}

#define WORLD_TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

/* For how long a generation took to be in force: also of one that is not the newest any more. */
static void
when_generations_were_seen(void **state)
{
	struct world *w = *state;
	char more[2048] = "10.0.0.1:5060";
	uint64_t first;
	int64_t seen;
	unsigned i;

	lists(w, "router", 0, more);
	first = platform_generation(w->p);
	seen = platform_seen_ms(w->p);
	assert_int_equal(platform_seen_at(w->p, first), seen);
	assert_int_equal(platform_seen_at(w->p, first + 1), 0);
	for (i = 1; i < PLATFORM_SEEN; i++) { /* adds: each is a generation of its own */
		snprintf(more + strlen(more), sizeof more - strlen(more), " 10.0.1.%u:5060", i);
		lists(w, "router", 0, more);
	}
	assert_int_equal(platform_generation(w->p), first + PLATFORM_SEEN - 1);
	assert_int_equal(platform_seen_at(w->p, first), seen);
	lists(w, "router", 0, strcat(more, " 10.0.2.1:5060"));
	assert_int_equal(platform_generation(w->p), first + PLATFORM_SEEN);
	assert_int_equal(platform_seen_at(w->p, first), 0);
	restart(w);
	assert_int_equal(platform_seen_at(w->p, platform_generation(w->p)), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(day_one_knows_nothing),
		WORLD_TEST(a_change_is_a_generation),
		WORLD_TEST(without_a_store_it_is_the_same),
		WORLD_TEST(a_restart_begins_where_it_was),
		WORLD_TEST(a_full_disk_changes_nothing_but_the_store),
		WORLD_TEST(what_is_found_first_is_generation_0),
		WORLD_TEST(what_is_found_later_is_a_change),
		WORLD_TEST(own_addresses_are_not_accepted),
		WORLD_TEST(words_are_recorded),
		WORLD_TEST(a_drain_concerns_all_that_have_it),
		WORLD_TEST(the_floor_refuses_a_drain),
		WORLD_TEST(what_is_gone_comes_back_drained),
		WORLD_TEST(damping_is_stored_and_logged),
		WORLD_TEST(rollback_brings_back_what_was),
		WORLD_TEST(rollback_keeps_the_floor_and_drains),
		WORLD_TEST(rollback_waits_for_the_store),
		WORLD_TEST(a_reload_keeps_what_stays),
		WORLD_TEST(a_service_that_goes_is_forgotten_not_emptied),
		WORLD_TEST(a_service_that_comes_back_is_remembered),
		WORLD_TEST(changes_are_logged),
		WORLD_TEST(when_generations_were_seen),
		WORLD_TEST(trouble_is_logged_once),
	};

	return cmocka_run_group_tests_name("platform", tests, NULL, NULL);
}
