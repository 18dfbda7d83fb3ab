/*
 * store: rows that are opaque to it (the routing data): all of a batch or nothing, in one transaction, and what is told is on the disk.
 */
#include <errno.h>

#include "store_fx.h"

struct told {
	unsigned n;
	int err;
};

static void
on_done(void *arg, int err)
{
	struct told *t = arg;

	t->n++;
	t->err = err;
}

static bool
was_told(void *arg)
{
	return ((struct told *)arg)->n > 0;
}

/* "+a=1 +b=2 -c": puts and deletions of one batch. */
static struct store_batch
batch_of(const char *text)
{
	struct store_batch b = { 0 };
	char *copy = xstrdup(text), *save, *word, *value;

	for (word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
		value = strchr(word, '=');
		if (word[0] == '-')
			store_batch_del(&b, word + 1, strlen(word + 1));
		else
			store_batch_put(&b, word + 1, (size_t)(value - word - 1), value + 1, strlen(value + 1));
	}
	free(copy);
	return b;
}

static int
put(struct fx *f, const char *text, bool replace)
{
	struct store_batch b = batch_of(text);
	struct told t = { 0 };

	store_put_routing(f->st, &b, replace, on_done, &t);
	assert_int_equal(t.n, 0);
	assert_int_equal(b.n, 0);
	assert_null(b.bytes.s);
	fx_await(f, was_told, &t);
	assert_int_equal(t.n, 1);
	return t.err;
}

struct reading {
	struct told told; /* first: was_told() */
	struct buf b;
};

static void
on_row(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct reading *r = arg;

	buf_add(&r->b, key, klen);
	buf_puts(&r->b, "=");
	buf_add(&r->b, val, vlen > 10 ? 10 : vlen);
	buf_puts(&r->b, " ");
}

static void
assert_holds(struct fx *f, const char *want)
{
	struct reading r = { 0 };

	store_read_routing(f->st, on_row, on_done, &r);
	assert_int_equal(r.told.n, 0);
	fx_await(f, was_told, &r);
	assert_int_equal(r.told.err, 0);
	assert_string_equal(r.b.s ? r.b.s : "", want);
	buf_free(&r.b);
}

static void
rows_are_changed_and_replaced(void **state)
{
	struct fx *f = *state;

	fx_start(f);
	assert_holds(f, "");
	assert_int_equal(put(f, "+b=2 +a=1 +c=3", false), 0);
	assert_holds(f, "a=1 b=2 c=3 ");
	assert_int_equal(put(f, "+b=22 -c -unknown +d=4", false), 0);
	assert_holds(f, "a=1 b=22 d=4 ");
	fx_restart(f);
	assert_holds(f, "a=1 b=22 d=4 ");
	assert_int_equal(put(f, "+x= +b=5", true), 0);
	assert_holds(f, "b=5 x= ");
	assert_int_equal(put(f, "", false), 0);
	assert_holds(f, "b=5 x= ");
	assert_int_equal(put(f, "", true), 0);
	fx_restart(f);
	assert_holds(f, "");
	fx_stop(f);
	assert_string_equal(fx_logged(f), "");
}

static void
a_failed_batch_changes_nothing_and_is_not_retried(void **state)
{
	struct fx *f = *state;
	struct store_view v;

	fx_start(f);
	assert_int_equal(put(f, "+a=1", false), 0);
	store_fail_next(f->st, -ENOSPC, 2);
	assert_int_equal(put(f, "+a=2 +b=2", true), -ENOSPC);
	assert_holds(f, "a=1 ");
	assert_int_equal(put(f, "-a", false), -ENOSPC);
	assert_holds(f, "a=1 ");
	store_view(f->st, &v);
	assert_int_equal(v.pending, 2); /* the machine's name, the format */
	assert_int_equal(put(f, "+b=3", false), 0);
	assert_holds(f, "a=1 b=3 ");
	fx_stop(f);
}

/* A key that LMDB refuses takes the whole batch with it. */
static void
a_bad_key_fails_the_whole_batch(void **state)
{
	struct fx *f = *state;
	struct store_batch b = batch_of("+a=9");
	struct told t = { 0 };
	char key[600];

	memset(key, 'k', sizeof key);
	fx_start(f);
	assert_int_equal(put(f, "+a=1", false), 0);
	store_batch_put(&b, key, sizeof key, "v", 1);
	assert_int_equal(b.n, 2);
	store_put_routing(f->st, &b, false, on_done, &t);
	fx_await(f, was_told, &t);
	assert_true(t.err < 0);
	assert_holds(f, "a=1 ");
	assert_int_equal(put(f, "+a=2", false), 0);
	assert_holds(f, "a=2 ");
	fx_stop(f);
}

/* The store's own commits go on beside it, and what is given at the end is written. */
static void
what_is_given_before_the_end_is_written(void **state)
{
	struct fx *f = *state;
	struct store_batch b = batch_of("+a=1");
	struct topo *t = topo_of(1, "router 10.0.0.1:5060/up");
	struct told told = { 0 };

	fx_start(f);
	store_put_generation(f->st, NULL, t, 4102444800000LL, "one");
	store_put_routing(f->st, &b, false, on_done, &told);
	fx_restart(f);
	assert_int_equal(told.n, 1);
	assert_int_equal(told.err, 0);
	assert_holds(f, "a=1 ");
	assert_loads(f, "router 10.0.0.1:5060/up ");
	fx_stop(f);
	topo_unref(t);
}

static void
more_than_the_map_holds_makes_it_grow(void **state)
{
	struct fx *f = *state;
	struct store_batch b = { 0 };
	struct told t = { 0 };
	struct store_view v;
	char val[1000], key[16];
	int i;

	memset(val, 'v', sizeof val);
	f->conf.size_bytes = 1 << 20;
	fx_start(f);
	for (i = 0; i < 3000; i++) {
		snprintf(key, sizeof key, "%05d", i);
		store_batch_put(&b, key, 5, val, sizeof val);
	}
	store_put_routing(f->st, &b, true, on_done, &t);
	fx_await(f, was_told, &t);
	assert_int_equal(t.err, 0);
	store_view(f->st, &v);
	assert_true(v.used_bytes > 3000 * 1000);
	assert_int_equal(put(f, "+a=1", true), 0);
	assert_holds(f, "a=1 ");
	fx_stop(f);
}

/* The directory is none: nothing can be read or written, until it is one. */
static void
without_a_file_it_says_so_until_there_is_one(void **state)
{
	struct fx *f = *state;
	struct reading r = { 0 };
	char *dir = fx_path(f, "state");
	FILE *in_the_way = fopen(dir, "w");

	assert_non_null(in_the_way);
	fclose(in_the_way);
	f->conf.dir = dir;
	fx_start(f);
	store_read_routing(f->st, on_row, on_done, &r);
	fx_await(f, was_told, &r);
	assert_int_equal(r.told.err, -EIO);
	assert_true(put(f, "+a=1", false) < 0);
	assert_int_equal(unlink(dir), 0);
	assert_int_equal(put(f, "+a=2", false), 0);
	assert_holds(f, "a=2 ");
	fx_restart(f);
	assert_holds(f, "a=2 ");
	fx_stop(f);
	free(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
		T(rows_are_changed_and_replaced),
		T(a_failed_batch_changes_nothing_and_is_not_retried),
		T(a_bad_key_fails_the_whole_batch),
		T(what_is_given_before_the_end_is_written),
		T(more_than_the_map_holds_makes_it_grow),
		T(without_a_file_it_says_so_until_there_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
