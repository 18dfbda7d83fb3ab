/*
 * store: CDRs: ids that never come again, retention by age and number, the cursor of what was forwarded, and room for the topology.
 */
#include <errno.h>

#include "store_fx.h"

struct put {
	struct fx *f;
	struct store_cdr_put p;
	const char *const *rows; /* NULL: "row N" by its id */
	struct store_cdr_view v;
	unsigned told;
	int err;
};

static void
make(void *arg, size_t i, int64_t id, struct buf *row)
{
	const struct put *p = arg;

	if (p->rows != NULL)
		buf_puts(row, p->rows[i]);
	else
		buf_printf(row, "row %lld", (long long)id);
}

static void
on_put(void *arg, int err, const struct store_cdr_view *v)
{
	struct put *p = arg;

	p->told++;
	p->err = err;
	p->v = *v;
}

static bool
was_told(void *arg)
{
	return ((struct put *)arg)->told > 0;
}

static struct put
new_put(struct fx *f, size_t n)
{
	return (struct put){ .f = f, .p = { .n = n, .make = make, .keep_ms = DAY_MS, .max = 1000000, .trim_max = 1000 } };
}

static void
run(struct put *p)
{
	p->p.done = on_put;
	p->p.arg = p;
	p->told = 0;
	store_put_cdrs(p->f->st, &p->p);
	assert_int_equal(p->told, 0);
	fx_await(p->f, was_told, p);
	assert_int_equal(p->told, 1);
}

static struct store_cdr_view
add(struct fx *f, size_t n)
{
	struct put p = new_put(f, n);

	run(&p);
	assert_int_equal(p.err, 0);
	return p.v;
}

struct get {
	struct buf b;
	unsigned told;
	int err;
	int64_t last;
	bool end;
	int64_t stop_at;
};

static bool
on_row(void *arg, int64_t id, int64_t stored_ms, const void *val, size_t vlen)
{
	struct get *g = arg;

	assert_true(stored_ms > 1700000000000);
	buf_printf(&g->b, "%lld:%.*s ", (long long)id, (int)vlen, (const char *)val);
	return id != g->stop_at;
}

static void
on_got(void *arg, int err, int64_t last, bool end)
{
	struct get *g = arg;

	g->told++;
	g->err = err;
	g->last = last;
	g->end = end;
}

static bool
was_got(void *arg)
{
	return ((struct get *)arg)->told > 0;
}

/* `ask`'s rows as text; *end and the last as they were told. */
static void
assert_gets(struct fx *f, struct store_cdr_get ask, int64_t stop_at, const char *want, int64_t last, bool end)
{
	struct get g = { .stop_at = stop_at };

	ask.row = on_row;
	ask.done = on_got;
	ask.arg = &g;
	store_get_cdrs(f->st, &ask);
	assert_int_equal(g.told, 0);
	fx_await(f, was_got, &g);
	assert_int_equal(g.err, 0);
	assert_string_equal(g.b.s ? g.b.s : "", want);
	assert_int_equal(g.last, last);
	assert_int_equal(g.end, end);
	buf_free(&g.b);
}

static void
ids_go_up_and_never_come_again(void **state)
{
	struct fx *f = *state;
	struct store_cdr_view v;
	struct put p;

	fx_start(f);
	v = add(f, 0);
	assert_true(v.newest == 0 && v.oldest == 0 && v.last == 0 && v.count == 0);
	v = add(f, 3);
	assert_true(v.oldest == 1 && v.newest == 3 && v.count == 3 && v.last == 3);
	fx_restart(f);
	v = add(f, 2);
	assert_true(v.oldest == 1 && v.newest == 5 && v.count == 5);
	p = new_put(f, 0); /* all of them are too old */
	p.p.keep_ms = -1000;
	run(&p);
	assert_true(p.v.count == 0 && p.v.trimmed == 5 && p.v.newest == 0 && p.v.last == 5);
	fx_restart(f);
	v = add(f, 1);
	assert_true(v.newest == 6 && v.count == 1);
	assert_gets(f, (struct store_cdr_get){ .limit = 10 }, 0, "6:row 6 ", 6, true);
	fx_stop(f);
	assert_string_equal(fx_logged(f), "");
}

static void
rows_are_read_in_parts_both_ways(void **state)
{
	struct fx *f = *state;

	fx_start(f);
	assert_gets(f, (struct store_cdr_get){ .limit = 10 }, 0, "", 0, true);
	assert_gets(f, (struct store_cdr_get){ .limit = 10, .backwards = true }, 0, "", 0, true);
	add(f, 5);
#define GET(...) (struct store_cdr_get) { __VA_ARGS__ }
	assert_gets(f, GET(.limit = 2), 0, "1:row 1 2:row 2 ", 2, false);
	assert_gets(f, GET(.limit = 2, .after = 2), 0, "3:row 3 4:row 4 ", 4, false);
	assert_gets(f, GET(.limit = 2, .after = 4), 0, "5:row 5 ", 5, true);
	assert_gets(f, GET(.limit = 2, .after = 5), 0, "", 0, true);
	assert_gets(f, GET(.limit = 2, .after = INT64_MAX), 0, "", 0, true);
	assert_gets(f, GET(.limit = 9, .after = 1, .before = 4), 0, "2:row 2 3:row 3 ", 3, true);
	assert_gets(f, GET(.limit = 9), 3, "1:row 1 2:row 2 3:row 3 ", 3, false);
	assert_gets(f, GET(.limit = 2, .backwards = true), 0, "5:row 5 4:row 4 ", 4, false);
	assert_gets(f, GET(.limit = 2, .backwards = true, .before = 4), 0, "3:row 3 2:row 2 ", 2, false);
	assert_gets(f, GET(.limit = 2, .backwards = true, .before = 2), 0, "1:row 1 ", 1, true);
	assert_gets(f, GET(.limit = 9, .backwards = true, .before = 100, .after = 3), 0, "5:row 5 4:row 4 ", 4, true);
	fx_stop(f);
}

static void
the_oldest_go_by_number_a_bounded_share_at_a_time(void **state)
{
	struct fx *f = *state;
	struct put p;

	fx_start(f);
	add(f, 100);
	p = new_put(f, 10);
	p.p.max = 50;
	p.p.trim_max = 20;
	run(&p);
	assert_true(p.v.trimmed == 20 && p.v.count == 90 && p.v.oldest == 21 && p.v.newest == 110 && p.v.lost == 0);
	p.p.n = 1;
	p.p.trim_max = 1000;
	run(&p);
	assert_true(p.v.trimmed == 41 && p.v.count == 50 && p.v.oldest == 62 && p.v.newest == 111);
	fx_stop(f);
}

/* What is not forwarded stays, however old; only the number ends that, and it is counted. */
static void
what_is_not_forwarded_is_spared(void **state)
{
	struct fx *f = *state;
	struct put p;

	fx_start(f);
	add(f, 10);
	p = new_put(f, 0);
	p.p.keep_ms = -1000;
	p.p.protect = true;
	p.p.forwarded = 4;
	run(&p);
	assert_true(p.v.trimmed == 4 && p.v.lost == 0 && p.v.oldest == 5 && p.v.forwarded == 4 && p.v.behind == 6);
	assert_true(p.v.behind_ms > 1700000000000);
	fx_restart(f);
	p.p.forwarded = 0; /* as it was */
	run(&p);
	assert_true(p.v.trimmed == 0 && p.v.forwarded == 4 && p.v.behind == 6);
	p.p.forwarded = 3; /* never back */
	run(&p);
	assert_true(p.v.forwarded == 4);
	p.p.max = 4;
	run(&p);
	assert_true(p.v.trimmed == 2 && p.v.lost == 2 && p.v.oldest == 7 && p.v.behind == 4);
	p.p.forwarded = 10;
	run(&p);
	assert_true(p.v.trimmed == 4 && p.v.lost == 0 && p.v.count == 0 && p.v.behind == 0 && p.v.behind_ms == 0);
	fx_stop(f);
}

static void
an_import_keeps_its_ids_and_is_all_or_nothing(void **state)
{
	static const char *const rows[] = { "a", "b", "c" };
	static const char *const others[] = { "x", "B", "y" };
	static const int64_t ids[] = { 7, 3, 0 }, again[] = { 20, 3, 0 };
	struct fx *f = *state;
	struct put p;

	fx_start(f);
	p = new_put(f, 3);
	p.rows = rows;
	p.p.ids = ids;
	run(&p);
	assert_int_equal(p.err, 0);
	assert_true(p.v.oldest == 3 && p.v.newest == 8 && p.v.count == 3);
	p.p.n = 2; /* the same again is no harm */
	run(&p);
	assert_int_equal(p.err, 0);
	assert_true(p.v.count == 3 && p.v.newest == 8);
	p.rows = others;
	p.p.n = 3;
	p.p.ids = again;
	run(&p);
	assert_int_equal(p.err, -EEXIST);
	assert_int_equal(p.v.clash, 3);
	assert_gets(f, (struct store_cdr_get){ .limit = 10 }, 0, "3:b 7:a 8:c ", 8, true);
	assert_int_equal(add(f, 1).newest, 9);
	fx_stop(f);
}

static void
a_failure_stores_nothing_and_is_over_with_it(void **state)
{
	struct fx *f = *state;
	struct put p;

	fx_start(f);
	add(f, 2);
	store_fail_next(f->st, -EIO, 1);
	p = new_put(f, 5);
	p.p.forwarded = 2;
	run(&p);
	assert_int_equal(p.err, -EIO);
	assert_true(p.v.count == 0 && p.v.newest == 0);
	assert_gets(f, (struct store_cdr_get){ .limit = 10 }, 0, "1:row 1 2:row 2 ", 2, true);
	assert_int_equal(add(f, 1).newest, 3);
	assert_int_equal(add(f, 0).forwarded, 0);
	fx_stop(f);
}

/* CDRs fill their share of the store and no more; the topology still finds room, and so do CDRs when old ones went. */
static void
they_leave_room_for_the_topology(void **state)
{
	struct fx *f = *state;
	struct topo *t = topo_of(1, "router 10.0.0.1:5060/up");
	struct store_view v;
	struct put p;
	uint64_t count = 0;

	f->conf.size_bytes = 1 << 20;
	fx_start(f);
	for (p = new_put(f, 500), run(&p); p.err == 0; run(&p))
		count = p.v.count;
	assert_int_equal(p.err, -ENOSPC);
	assert_in_range(count, 5000, 60000);
	run(&p);
	assert_int_equal(p.err, -ENOSPC);
	store_put_generation(f->st, NULL, t, 4102444800000LL, "one");
	fx_await(f, fx_nothing_pending, f);
	store_view(f->st, &v);
	assert_int_equal(v.size_bytes, 1 << 20); /* it had not to grow */
	assert_false(v.failing);
	p.p.n = 0;
	p.p.max = 100;
	p.p.trim_max = 1000000;
	run(&p);
	assert_int_equal(p.err, 0);
	assert_int_equal(p.v.count, 100);
	fx_restart(f);
	assert_int_equal(add(f, 1).count, 101);
	assert_loads(f, "router 10.0.0.1:5060/up ");
	fx_stop(f);
	topo_unref(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
		T(ids_go_up_and_never_come_again),
		T(rows_are_read_in_parts_both_ways),
		T(the_oldest_go_by_number_a_bounded_share_at_a_time),
		T(what_is_not_forwarded_is_spared),
		T(an_import_keeps_its_ids_and_is_all_or_nothing),
		T(a_failure_stores_nothing_and_is_over_with_it),
		T(they_leave_room_for_the_topology),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
