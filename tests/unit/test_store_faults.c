/*
 * store: what stays true when the disk is full, memory is out or LMDB says no, at whichever call: nothing that was there is lost, nothing is written by
 * halves, who asked is told, and it goes on by itself.
 */
#include <errno.h>
#include <glob.h>
#include <sys/stat.h>

#include "fault.h"
#include "store/store_int.h"
#include "store_fx.h"

#define SEEN_MS 4102444800000LL /* the year 2100: too young to be pruned */

static int
teardown(void **state)
{
	fault_clear();
	return fx_teardown(state);
}

/* A directory as before the first start. */
static void
begin_anew(struct fx *f)
{
	remove_tree(f->dir);
	assert_int_equal(mkdir(f->dir, 0700), 0);
	fx_forget_log(f);
}

static void
put(struct fx *f, uint64_t generation, const char *before, const char *after)
{
	struct topo *b = topo_of(generation - 1, before), *a = topo_of(generation, after);

	store_put_generation(f->st, b, a, SEEN_MS + (int64_t)generation, "test");
	topo_unref(b);
	topo_unref(a);
}

/* Generation 1 with one instance, one adopted target, and what else is read at a start. */
static void
make_store(struct fx *f)
{
	struct store_service ss = { .known = true, .peak = 3 };
	struct store_drain d = { .since_ms = 1, .who = xstrdup("uid 0") };
	struct store_registration reg = { .since_ms = 5 };
	struct topo_addr addr;

	begin_anew(f);
	fx_start(f);
	put(f, 1, "router ?", "router 10.0.0.1:5060/up");
	store_put_service(f->st, "router", &ss);
	store_put_adopted(f->st, "sbc/1");
	store_put_registration(f->st, "sbc-vm1", &reg);
	assert_int_equal(topo_addr_parse("10.0.0.1:5060", &addr), 0);
	store_put_drain(f->st, "router", &addr, &d);
	free(d.who);
	fx_await(f, fx_nothing_pending, f);
	fx_stop(f);
	assert_string_equal(fx_logged(f), "");
}

static size_t
files_like(struct fx *f, const char *pattern)
{
	char *path = fx_path(f, pattern);
	glob_t g;
	size_t n = glob(path, 0, NULL, &g) == 0 ? g.gl_pathc : 0;

	globfree(&g);
	free(path);
	return n;
}

static bool
is_failing(struct fx *f)
{
	struct store_view v;

	store_view(f->st, &v);
	assert_int_equal(v.failing, v.why[0] != '\0');
	return v.failing;
}

/* ---- opening ---- */

/*
 * Whatever fails at a start, c4d starts; it serves what it could read; what it learns is written as soon as that works; and a file that could not
 * be read stays beside.
 */
static void
a_start_survives_every_failure(void **state)
{
	static const int errors[] = { ENOSPC, ENOMEM, EIO, EACCES };
	struct fx *f = *state;
	size_t i;

	for (i = 0; i < NELEM(errors); i++) {
		FAULT_EACH_ARMED("mdb_env_create mdb_env_open mdb_txn_begin mdb_dbi_open mdb_txn_commit", errors[i]) {
			uint64_t g;

			make_store(f);
			fault_arm();
			fx_start(f);
			fault_disarm();
			if (is_failing(f))
				assert_non_null(strstr(fx_logged(f), "failing: cannot write"));
			else
				assert_string_equal(fx_logged(f), "");
			g = store_generation(f->st);
			assert_in_range(g, 0, 1);
			put(f, g + 1, g ? "router 10.0.0.1:5060/up" : "router ?", "router 10.0.0.2:5060/up");
			fx_await(f, fx_nothing_pending, f);
			assert_false(is_failing(f));
			fx_restart(f);
			assert_int_equal(store_generation(f->st), g + 1);
			assert_loads(f, "router 10.0.0.2:5060/up ");
			/* nothing was lost: it went on, or the old one lies beside */
			assert_int_equal(files_like(f, "topology.mdb.*"), g == 0);
			fx_stop(f);
		}
	}
}

/* A file that LMDB itself finds broken is set aside; when that fails too, it stays and c4d runs from memory. */
static void
a_broken_file_that_cannot_be_renamed_stays(void **state)
{
	struct fx *f = *state;

	make_store(f);
	fault_set("mdb_env_open", 1, MDB_CORRUPTED);
	fault_set("rename", 1, EROFS);
	fx_start(f);
	assert_int_equal(fault_hits(), 2);
	assert_true(is_failing(f));
	assert_non_null(strstr(fx_logged(f), "Read-only file system"));
	assert_int_equal(files_like(f, "topology.mdb.*"), 0);
	fx_stop(f);
	fault_clear();
	fx_forget_log(f);
	fault_set("mdb_env_open", 1, MDB_CORRUPTED);
	fx_start(f);
	assert_int_equal(files_like(f, "topology.mdb.corrupt-*"), 1);
	assert_non_null(strstr(fx_logged(f), "was set aside as"));
	assert_int_equal(store_generation(f->st), 0);
	fx_stop(f);
}

/* Two in one second: the second's name differs. */
static void
what_is_set_aside_never_replaces_another(void **state)
{
	struct fx *f = *state;
	int i;

	for (i = 0; i < 4; i++) {
		fault_set("mdb_env_open", 1, MDB_VERSION_MISMATCH);
		fx_start(f);
		put(f, 1, "router ?", "router 10.0.0.1:5060/up");
		fx_stop(f);
	}
	fault_clear();
	assert_int_equal(files_like(f, "topology.mdb.corrupt-*"), 3); /* the first one had nothing to set aside */
	assert_int_equal(files_like(f, "topology.mdb"), 1);
}

/* ---- commits ---- */

struct commits {
	struct fx *f;
	uint64_t before;
};

static bool
one_more(void *arg)
{
	struct commits *c = arg;
	struct store_view v;

	store_view(c->f->st, &v);
	return v.commits > c->before;
}

/* Of what was put just now: the loop has not run since. */
static void
await_commit(struct fx *f)
{
	struct store_view v;
	struct commits c = { .f = f };

	store_view(f->st, &v);
	c.before = v.commits;
	fx_await(f, one_more, &c);
}

static bool
is_settled(void *arg)
{
	return fx_is_failing(arg) || fx_nothing_pending(arg);
}

/* At each of its calls: nothing of it is there, it is kept, said once, and written with what comes next. */
static void
a_commit_that_fails_is_done_again(void **state)
{
	static const struct {
		int err;
		const char *says;
	} cases[] = {
		{ ENOSPC, "No space left on device" },
		{ EIO, "Input/output error" },
		{ ENOMEM, "Cannot allocate memory" },
		{ EDQUOT, "Disk quota exceeded" },
		{ MDB_PAGE_NOTFOUND, "MDB_PAGE_NOTFOUND" },
		{ MDB_TXN_FULL, "MDB_TXN_FULL" },
	};
	struct fx *f = *state;
	size_t i;

	for (i = 0; i < NELEM(cases); i++) {
		unsigned failed = 0;

		FAULT_EACH_ARMED("mdb_txn_begin mdb_put mdb_del mdb_txn_commit", cases[i].err) {
			bool hits;

			make_store(f);
			fx_start(f);
			fault_arm();
			put(f, 2, "router 10.0.0.1:5060/up", "router 10.0.0.2:5060/up");
			fx_await(f, is_settled, f);
			fault_disarm();
			hits = is_failing(f); /* after the commit it is the giving back of pages that fails, and nobody minds */
			failed += hits;
			assert_true(fault_hits() || !hits);
			if (hits) {
				assert_non_null(strstr(fx_logged(f), cases[i].says));
				assert_int_equal(store_generation(f->st), 1);
				assert_loads(f, "router 10.0.0.1:5060/up ");
			}
			put(f, 3, "router 10.0.0.2:5060/up", "router 10.0.0.2:5060/up 10.0.0.3:5060/up");
			fx_await(f, fx_nothing_pending, f);
			assert_int_equal(strstr(fx_logged(f), "writes again after 1 failed") != NULL, hits);
			fx_restart(f);
			assert_int_equal(store_generation(f->st), 3);
			assert_loads(f, "router 10.0.0.2:5060/up router 10.0.0.3:5060/up ");
			assert_history(f, NULL, NULL, 9,
			    "3 test: router 10.0.0.3:5060 new>up\n"
			    "2 test: router 10.0.0.1:5060 up>removed router 10.0.0.2:5060 new>up\n"
			    "1 test: router 10.0.0.1:5060 new>up\n");
			fx_stop(f);
		}
		assert_in_range(failed, 5, 20); /* begin, the generation's records one by one, commit */
	}
}

/* Full, and it may not grow either. */
static void
a_map_that_cannot_grow_is_a_full_disk(void **state)
{
	struct fx *f = *state;

	make_store(f);
	fx_start(f);
	fault_times("mdb_put", 1, 3, MDB_MAP_FULL);
	fault_times("mdb_env_set_mapsize", 3, 1, EINVAL);
	put(f, 2, "router 10.0.0.1:5060/up", "router 10.0.0.2:5060/up");
	fx_await(f, is_settled, f);
	assert_true(is_failing(f));
	assert_int_equal(fault_hits(), 4);
	assert_non_null(strstr(fx_logged(f), "MDB_MAP_FULL"));
	put(f, 3, "router 10.0.0.2:5060/up", "router 10.0.0.3:5060/up");
	fx_await(f, fx_nothing_pending, f);
	fx_restart(f);
	assert_loads(f, "router 10.0.0.3:5060/up ");
	fx_stop(f);
}

/* What can't be read of old history stays; the commit is done. */
static void
pruning_that_fails_fails_nothing(void **state)
{
	struct fx *f = *state;

	make_store(f);
	f->conf.keep_max = 1;
	fx_start(f);
	fault_times("mdb_cursor_open", 1, FAULT_ALWAYS, ENOMEM);
	put(f, 2, "router 10.0.0.1:5060/up", "router 10.0.0.2:5060/up");
	await_commit(f);
	assert_true(fault_hits() > 0);
	fault_clear();
	fault_times("mdb_cursor_del", 1, FAULT_ALWAYS, EIO);
	put(f, 3, "router 10.0.0.2:5060/up", "router 10.0.0.3:5060/up");
	await_commit(f);
	assert_true(fault_hits() > 0);
	fault_clear();
	assert_int_equal(store_generation(f->st), 3);
	assert_false(is_failing(f));
	put(f, 4, "router 10.0.0.3:5060/up", "router 10.0.0.4:5060/up");
	await_commit(f);
	assert_history(f, NULL, NULL, 9, "4 test: router 10.0.0.3:5060 up>removed router 10.0.0.4:5060 new>up\n");
	f->conf.keep_max = 10000;
	fx_stop(f);
}

/* ---- reading ---- */

struct past {
	bool told;
	int err;
	size_t n;
};

static void
on_past(void *arg, const struct store_past *p)
{
	struct past *got = arg;

	got->told = true;
	got->err = p->err;
	got->n = p->n;
}

static bool
past_told(void *arg)
{
	return ((struct past *)arg)->told;
}

static void
the_past_that_cannot_be_read_is_an_error(void **state)
{
	struct fx *f = *state;

	make_store(f);
	fx_start(f);
	put(f, 2, "router 10.0.0.1:5060/up", "router 10.0.0.2:5060/up");
	fx_await(f, fx_nothing_pending, f);
	FAULT_EACH("mdb_txn_begin mdb_cursor_open", EIO) {
		struct past got = { 0 };

		store_past(f->st, 1, on_past, &got);
		fx_await(f, past_told, &got);
		assert_int_equal(got.err, fault_hits() ? -EIO : 0);
		assert_int_equal(got.n, fault_hits() ? 0 : 2);
	}
	FAULT_EACH("mdb_txn_begin mdb_cursor_open", EIO) {
		json_t *j = NULL;

		store_history(f->st, NULL, NULL, 9, fx_take_json, &j);
		fx_await(f, fx_has_json, &j);
		assert_int_equal(json_array_size(j), fault_hits() ? 0 : 2);
		json_decref(j);
	}
	fx_stop(f);
}

/* ---- transactions of their own: routing rows and CDRs ---- */

struct told {
	struct buf rows;
	int err;
	unsigned n;
};

static void
on_done(void *arg, int err)
{
	struct told *t = arg;

	t->err = err;
	t->n++;
}

static void
on_row(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct told *t = arg;

	buf_printf(&t->rows, "%.*s=%.*s ", (int)klen, (const char *)key, (int)vlen, (const char *)val);
}

static bool
told(void *arg)
{
	return ((struct told *)arg)->n > 0;
}

static int
put_rows(struct fx *f, const char *first, const char *second)
{
	struct store_batch b = { 0 };
	struct told t = { .n = 0 };

	store_batch_put(&b, "1", 1, first, strlen(first));
	store_batch_del(&b, "3", 1);
	store_batch_put(&b, "2", 1, second, strlen(second));
	store_put_routing(f->st, &b, true, on_done, &t);
	fx_await(f, told, &t);
	assert_int_equal(t.n, 1);
	return t.err;
}

static void
assert_rows(struct fx *f, int err, const char *want)
{
	struct told t = { .n = 0 };

	store_read_routing(f->st, on_row, on_done, &t);
	fx_await(f, told, &t);
	assert_int_equal(t.err, err);
	if (err == 0)
		assert_string_equal(t.rows.s ? t.rows.s : "", want);
	buf_free(&t.rows);
}

static void
routing_rows_change_all_or_none(void **state)
{
	static const int errors[] = { ENOSPC, EIO, ENOMEM };
	struct fx *f = *state;
	size_t i;

	make_store(f);
	fx_start(f);
	for (i = 0; i < NELEM(errors); i++) {
		unsigned failed = 0;

		assert_int_equal(put_rows(f, "old", "older"), 0);
		FAULT_EACH("mdb_txn_begin mdb_drop mdb_put mdb_del mdb_txn_commit", errors[i]) {
			int err = put_rows(f, "new", "newer");

			fault_disarm();
			failed += err != 0;
			/* after the commit it is the giving back of pages that fails, and nobody minds */
			assert_int_equal(err, err ? -errors[i] : 0);
			assert_true(err == 0 || fault_hits());
			assert_rows(f, 0, err ? "1=old 2=older " : "1=new 2=newer ");
			assert_int_equal(put_rows(f, "old", "older"), 0);
		}
		assert_int_equal(failed, 6); /* each of: begin, drop, put, del, put, commit */
	}
	/* the map was too small: it grows, and the rows are there once */
	fault_times("mdb_put", 2, 2, MDB_MAP_FULL);
	assert_int_equal(put_rows(f, "a", "b"), 0);
	assert_int_equal(fault_hits(), 2);
	assert_rows(f, 0, "1=a 2=b ");
	FAULT_EACH("mdb_txn_begin mdb_cursor_open", EIO)
	{
		struct told t = { .n = 0 };

		store_read_routing(f->st, on_row, on_done, &t);
		fx_await(f, told, &t);
		/* beyond the second call nothing of it can fail: the memory given back is best effort */
		assert_true(t.err == 0 || t.err == -EIO);
		assert_int_equal(strcmp(t.rows.s ? t.rows.s : "", "1=a 2=b ") == 0, t.err == 0);
		buf_free(&t.rows);
	}
	fault_set("mdb_cursor_get", 2, EIO);
	assert_rows(f, -EIO, "");
	fault_clear();
	fx_stop(f);
}

/* No store at all, and no directory to make one in: both are told so. */
static void
without_a_store_rows_are_an_error(void **state)
{
	struct fx *f = *state;
	char *path = fx_path(f, "topology.mdb");
	struct past got = { 0 };
	FILE *fp;

	fault_times("mdb_env_create", 1, FAULT_ALWAYS, ENOMEM);
	fx_start(f);
	assert_true(is_failing(f));
	assert_int_equal(put_rows(f, "new", "newer"), -ENOMEM);
	assert_rows(f, -EIO, "");
	store_past(f->st, 1, on_past, &got);
	fx_await(f, past_told, &got);
	assert_int_equal(got.err, -EIO);
	/* meanwhile somebody put a file there: its generations are not ours, it goes beside, and that is said */
	fault_clear();
	fx_forget_log(f);
	fp = fopen(path, "w");
	assert_non_null(fp);
	fputs("something", fp);
	fclose(fp);
	fault_set("rename", 1, EROFS);
	assert_int_equal(put_rows(f, "new", "newer"), -EROFS);
	assert_int_equal(put_rows(f, "new", "newer"), 0);
	assert_non_null(strstr(fx_logged(f), "topology.mdb.earlier-"));
	assert_int_equal(files_like(f, "topology.mdb.earlier-*"), 1);
	assert_rows(f, 0, "1=new 2=newer ");
	fx_stop(f);
	free(path);
}

/* LMDB gives up for good when its meta page could not be written: the file is opened anew, with all that it held. */
static void
an_environment_that_was_given_up_is_opened_anew(void **state)
{
	struct fx *f = *state;

	make_store(f);
	fx_start(f);
	fault_set("mdb_txn_begin", 1, MDB_PANIC);
	put(f, 2, "router 10.0.0.1:5060/up", "router 10.0.0.2:5060/up");
	await_commit(f);
	assert_int_equal(fault_hits(), 1);
	assert_false(is_failing(f));
	fault_clear();
	/* also when it can't be opened just then */
	fault_set("mdb_txn_begin", 1, MDB_PANIC);
	fault_set("mdb_env_open", 1, EMFILE);
	put(f, 3, "router 10.0.0.2:5060/up", "router 10.0.0.3:5060/up");
	fx_await(f, fx_is_failing, f);
	assert_int_equal(fault_hits(), 2);
	put(f, 4, "router 10.0.0.3:5060/up", "router 10.0.0.4:5060/up");
	fx_await(f, fx_nothing_pending, f);
	fault_clear();
	fault_set("mdb_txn_begin", 1, MDB_PANIC);
	assert_int_equal(put_rows(f, "a", "b"), 0);
	assert_int_equal(files_like(f, "topology.mdb.*"), 0);
	fx_restart(f);
	assert_int_equal(store_generation(f->st), 4);
	assert_loads(f, "router 10.0.0.4:5060/up ");
	assert_history(f, NULL, NULL, 1, "4 test: router 10.0.0.3:5060 up>removed router 10.0.0.4:5060 new>up\n");
	fx_stop(f);
}

struct cdrs {
	struct store_cdr_view v;
	struct buf rows;
	unsigned n;
	int err;
	bool end;
};

static void
make_cdr(void *arg, size_t i, int64_t id, struct buf *row)
{
	buf_printf(row, "row %lld", (long long)id);
}

static void
on_cdrs_put(void *arg, int err, const struct store_cdr_view *v)
{
	struct cdrs *c = arg;

	c->n++;
	c->err = err;
	c->v = *v;
}

static bool
on_cdr(void *arg, int64_t id, int64_t stored_ms, const void *val, size_t vlen)
{
	struct cdrs *c = arg;

	buf_printf(&c->rows, "%lld=%.*s ", (long long)id, (int)vlen, (const char *)val);
	return true;
}

static void
on_cdrs_got(void *arg, int err, int64_t last, bool end)
{
	struct cdrs *c = arg;

	c->n++;
	c->err = err;
	c->end = end;
}

static bool
cdrs_told(void *arg)
{
	return ((struct cdrs *)arg)->n > 0;
}

static struct cdrs
put_cdrs(struct fx *f, size_t n, int64_t forwarded)
{
	struct cdrs c = { .n = 0 };
	struct store_cdr_put p = { .n = n,
		.make = make_cdr,
		.forwarded = forwarded,
		.keep_ms = DAY_MS,
		.max = 4,
		.trim_max = 1000,
		.done = on_cdrs_put,
		.arg = &c };

	store_put_cdrs(f->st, &p);
	fx_await(f, cdrs_told, &c);
	assert_int_equal(c.n, 1);
	return c;
}

static int
get_cdrs(struct fx *f, char **rows)
{
	struct cdrs c = { .n = 0 };
	struct store_cdr_get g = { .limit = 100, .row = on_cdr, .done = on_cdrs_got, .arg = &c };

	store_get_cdrs(f->st, &g);
	fx_await(f, cdrs_told, &c);
	assert_int_equal(c.end, c.err == 0);
	*rows = buf_take(&c.rows);
	return c.err;
}

static void
cdrs_are_stored_all_or_none(void **state)
{
	static const int errors[] = { ENOSPC, EIO };
	struct fx *f = *state;
	char *rows;
	size_t i;

	for (i = 0; i < NELEM(errors); i++) {
		unsigned failed = 0;

		FAULT_EACH_ARMED("mdb_txn_begin mdb_cursor_open mdb_put mdb_cursor_del mdb_txn_commit", errors[i]) {
			struct cdrs c;
			unsigned hits;

			make_store(f);
			fx_start(f);
			assert_int_equal(put_cdrs(f, 3, 0).err, 0);
			fault_arm();
			c = put_cdrs(f, 2, 1); /* one of the old ones has to go */
			fault_disarm();
			hits = fault_hits() && c.err != 0; /* after the commit it is the giving back of pages that fails, and nobody minds */
			failed += hits;
			assert_int_equal(c.err, hits ? -errors[i] : 0);
			assert_int_equal(c.v.newest, hits ? 0 : 5);
			assert_int_equal(get_cdrs(f, &rows), 0);
			assert_string_equal(rows, hits ? "1=row 1 2=row 2 3=row 3 " : "2=row 2 3=row 3 4=row 4 5=row 5 ");
			free(rows);
			/* no id comes twice, none is left out */
			c = put_cdrs(f, 1, 0);
			assert_int_equal(c.err, 0);
			assert_int_equal(c.v.last, hits ? 4 : 6);
			fx_stop(f);
		}
		assert_true(failed >= 6); /* begin, cursor, mark, old one, rows, mark, commit */
	}
}

static void
cdrs_that_cannot_be_read_are_an_error(void **state)
{
	struct fx *f = *state;
	unsigned failed = 0;
	char *rows;

	make_store(f);
	fx_start(f);
	assert_int_equal(put_cdrs(f, 3, 0).err, 0);
	FAULT_EACH("mdb_txn_begin mdb_cursor_open mdb_cursor_get", EIO)
	{
		int err = get_cdrs(f, &rows);

		/* what was read before stays read; the caller sees that it is not all */
		assert_true(err == 0 || (err == -EIO && fault_hits()));
		if (err == 0)
			assert_string_equal(rows, "1=row 1 2=row 2 3=row 3 ");
		failed += err != 0;
		free(rows);
	}
	assert_int_equal(failed, 6); /* begin, cursor, and four steps of it: three rows and the end */
	fx_stop(f);
	/* none open */
	fault_times("mdb_env_create", 1, FAULT_ALWAYS, ENOMEM);
	fx_start(f);
	assert_int_equal(get_cdrs(f, &rows), -EIO);
	assert_string_equal(rows ? rows : "", "");
	free(rows);
	assert_int_equal(put_cdrs(f, 1, 0).err, -ENOMEM);
	fault_clear();
	fx_stop(f);
}

int
main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fx_setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_start_survives_every_failure),
		T(a_broken_file_that_cannot_be_renamed_stays),
		T(what_is_set_aside_never_replaces_another),
		T(a_commit_that_fails_is_done_again),
		T(a_map_that_cannot_grow_is_a_full_disk),
		T(an_environment_that_was_given_up_is_opened_anew),
		T(pruning_that_fails_fails_nothing),
		T(the_past_that_cannot_be_read_is_an_error),
		T(routing_rows_change_all_or_none),
		T(without_a_store_rows_are_an_error),
		T(cdrs_are_stored_all_or_none),
		T(cdrs_that_cannot_be_read_are_an_error),
	};

	return cmocka_run_group_tests_name("store: when calls fail", tests, NULL, NULL);
}
