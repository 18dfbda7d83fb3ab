/*
 * store: what is written is read again, also after a full disk, a broken file, another machine's
 * file, and a start in a directory that somebody else has.
 */
#include <errno.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "store/record.h"
#include "store_fx.h"

#define SEEN_MS 4102444800000LL /* the year 2100: too young to be pruned */

/* ---- a store ---- */

static void
put(struct fx *f, uint64_t generation, const char *before, const char *after, const char *cause)
{
	struct topo *b = topo_of(generation - 1, before), *a = topo_of(generation, after);

	store_put_generation(f->st, b, a, SEEN_MS + (int64_t)generation, cause);
	topo_unref(b);
	topo_unref(a);
}

static void
a_new_store_is_empty(void **state)
{
	struct fx *f = *state;
	struct store_service ss;
	struct store_view v;

	fx_start(f);
	assert_int_equal(store_generation(f->st), 0);
	assert_false(store_service(f->st, "router", &ss));
	assert_false(store_adopted(f->st, "sbc/1"));
	assert_loads(f, "");
	assert_history(f, NULL, NULL, 10, "");
	store_view(f->st, &v);
	assert_false(v.failing);
	assert_string_equal(v.why, "");
	assert_null(v.set_aside);
	fx_stop(f);
	assert_string_equal(fx_logged(f), "");
}

struct whole {
	struct topo_instance want;
	unsigned n;
};

static void
compare_whole(void *arg, const char *service, const struct topo_instance *i)
{
	struct whole *w = arg;

	assert_string_equal(service, "router");
	assert_same_instance(i, &w->want);
	w->n++;
}

static void
what_was_put_is_there_after_a_restart(void **state)
{
	struct fx *f = *state;
	struct store_service ss = { true, true, 17 };
	struct topo *t = topo_of(3, "router 10.0.0.1:5060/held");
	struct topo_instance *i = &t->services[0].inst[0];
	struct whole w = { .n = 0 };
	struct store_view v;

	i->guard = GUARD_SHRINK;
	i->weight = 300;
	i->priority = 4;
	i->source = SOURCE_ADOPTED;
	i->since_ms = 1234567890123;
	i->tags = xstrdup("blue,primary");
	i->origin = xstrdup("sbc/1 sip:10.0.0.1:5060 0 0 weight=3\nsbc/2 sip:10.0.0.1 8 1");
	topo_instance_copy(&w.want, i);
	fx_start(f);
	store_put_generation(f->st, NULL, t, SEEN_MS, "first");
	store_put_service(f->st, "router", &ss);
	store_put_adopted(f->st, "sbc/1");
	fx_await(f, fx_nothing_pending, f);
	store_view(f->st, &v);
	assert_in_range(v.commits, 1, 3);
	assert_in_range(v.used_bytes, 4096, 1 << 20);
	assert_int_equal(v.size_bytes, f->conf.size_bytes);
	fx_restart(f);
	assert_int_equal(store_generation(f->st), 3);
	assert_int_equal(store_load(f->st, compare_whole, &w), 0);
	assert_int_equal(w.n, 1);
	memset(&ss, 0, sizeof ss);
	assert_true(store_service(f->st, "router", &ss));
	assert_true(ss.known && ss.frozen && ss.peak == 17);
	assert_false(store_service(f->st, "route", &ss));
	assert_true(store_adopted(f->st, "sbc/1"));
	assert_false(store_adopted(f->st, "sbc/10"));
	assert_false(store_adopted(f->st, "sbc/"));
	fx_stop(f);
	topo_instance_clear(&w.want);
	topo_unref(t);
}

static void
differences_are_applied(void **state)
{
	static const struct {
		const char *after;
		const char *want; /* loaded */
	} rows[] = {
		{ "router 10.0.0.1:5060/up 10.0.0.2:5060/up; rtp [::1]:2223/up",
		    "router 10.0.0.1:5060/up router 10.0.0.2:5060/up rtp [::1]:2223/up " },
		{ "router 10.0.0.1:5060/disabled 10.0.0.3:5060/up; rtp [::1]:2223/up",
		    "router 10.0.0.1:5060/disabled router 10.0.0.3:5060/up rtp [::1]:2223/up " },
		{ "router 10.0.0.3:5060/up", "router 10.0.0.3:5060/up " },
		{ "router", "" },
	};
	struct fx *f = *state;
	size_t i;

	fx_start(f);
	for (i = 0; i < NELEM(rows); i++) {
		put(f, i + 1, i ? rows[i - 1].after : "", rows[i].after, "test");
		fx_restart(f);
		assert_loads(f, rows[i].want);
		assert_int_equal(store_generation(f->st), i + 1);
	}
	fx_stop(f);
}

static void
a_stop_loses_nothing(void **state)
{
	struct fx *f = *state;
	uint64_t g;
	char before[64], after[64];

	fx_start(f);
	/* the first is with the worker, the others wait behind it; the loop never runs */
	put(f, 1, "", "router 10.0.0.1:1/up", "one");
	for (g = 2; g <= 20; g++) {
		snprintf(before, sizeof before, "router 10.0.0.1:%d/up", (int)g - 1);
		snprintf(after, sizeof after, "router 10.0.0.1:%d/up", (int)g);
		put(f, g, before, after, "more");
	}
	fx_restart(f);
	assert_int_equal(store_generation(f->st), 20);
	assert_loads(f, "router 10.0.0.1:20/up ");
	assert_history(f, NULL, NULL, 2,
	    "20 more: router 10.0.0.1:19 up>removed router 10.0.0.1:20 new>up\n"
	    "19 more: router 10.0.0.1:18 up>removed router 10.0.0.1:19 new>up\n");
	fx_stop(f);
}

/* ---- a full disk ---- */

static bool
failed_twice(void *arg)
{
	struct fx *f = arg;
	struct store_view v;

	store_view(f->st, &v);
	return v.failures == 2;
}

static void
a_failing_commit_loses_nothing(void **state)
{
	struct fx *f = *state;
	struct store_view v;

	fx_start(f);
	store_fail_next(f->st, -ENOSPC, 2);
	put(f, 1, "", "router 10.0.0.1:5060/up 10.0.0.2:5060/up", "one");
	put(f, 2, "router 10.0.0.1:5060/up 10.0.0.2:5060/up", "router 10.0.0.1:5060/disabled",
	    "two");
	fx_await(f, fx_is_failing, f);
	store_view(f->st, &v);
	assert_non_null(strstr(v.why, "No space left on device"));
	assert_non_null(strstr(v.why, f->dir));
	assert_int_equal(v.commits, 0);
	assert_int_equal(v.failures, 1);
	assert_in_range(v.pending, 1, 7);
	assert_non_null(strstr(fx_logged(f), "error store: failing: cannot write "));
	fx_forget_log(f);
	/* the second failure is no news; the next success is */
	put(f, 3, "router 10.0.0.1:5060/disabled", "router 10.0.0.1:5060/up", "three");
	fx_await(f, failed_twice, f);
	assert_string_equal(fx_logged(f), "");
	put(f, 4, "router 10.0.0.1:5060/up", "router 10.0.0.1:5060/up 10.0.0.4:5060/up", "four");
	fx_await(f, fx_nothing_pending, f);
	assert_string_equal(fx_logged(f), "notice store: writes again after 2 failed attempts\n");
	store_view(f->st, &v);
	assert_false(v.failing);
	assert_string_equal(v.why, "");
	fx_restart(f);
	assert_int_equal(store_generation(f->st), 4);
	assert_loads(f, "router 10.0.0.1:5060/up router 10.0.0.4:5060/up ");
	assert_history(f, NULL, NULL, 10,
	    "4 four: router 10.0.0.4:5060 new>up\n"
	    "3 three: router 10.0.0.1:5060 disabled>up\n"
	    "2 two: router 10.0.0.1:5060 up>disabled router 10.0.0.2:5060 up>removed\n"
	    "1 one: router 10.0.0.1:5060 new>up router 10.0.0.2:5060 new>up\n");
	fx_stop(f);
}

static void
it_tries_again_by_itself(void **state)
{
	struct fx *f = *state;
	int64_t began;

	fx_start(f);
	store_fail_next(f->st, -EIO, 1);
	put(f, 1, "", "router 10.0.0.1:5060/up", "one");
	fx_await(f, fx_is_failing, f);
	began = loop_now_ms(f->loop);
	fx_await(f, fx_nothing_pending, f);
	assert_in_range(loop_now_ms(f->loop) - began, STORE_RETRY_MS - 500, STORE_RETRY_MS + 5000);
	assert_non_null(strstr(fx_logged(f), "writes again after 1 failed"));
	fx_restart(f);
	assert_loads(f, "router 10.0.0.1:5060/up ");
	fx_stop(f);
}

/* What waits is bounded: the oldest history goes first, the present state never. */
static void
what_waits_is_bounded(void **state)
{
	struct fx *f = *state;
	struct store_view v;
	struct topo *a = topo_of(0, "router 10.0.0.1:5060/up"),
		    *b = topo_of(0, "router 10.0.0.1:5060/disabled");
	uint64_t g;
	char *text;
	size_t lines = 0;
	const char *p;

	fx_start(f);
	store_fail_next(f->st, -ENOSPC, 1);
	for (g = 1; g <= 21000; g++) {
		struct topo *after = g % 2 ? a : b;

		after->generation = g;
		store_put_generation(f->st, g == 1 ? NULL : g % 2 ? b : a, after, SEEN_MS, "c");
	}
	fx_await(f, fx_is_failing, f);
	store_view(f->st, &v);
	assert_int_equal(v.pending, 20000);
	store_put_adopted(f->st, "sbc/1"); /* whatever comes next tries again */
	fx_await(f, fx_nothing_pending, f);
	assert_int_equal(store_generation(f->st), 21000);
	assert_loads(f, "router 10.0.0.1:5060/disabled ");
	text = fx_history(f, NULL, NULL, 100000);
	for (p = text; (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	assert_in_range(lines, 19000, 20000);
	assert_int_equal(strncmp(text, "21000 c:", 8), 0);
	free(text);
	fx_stop(f);
	topo_unref(a);
	topo_unref(b);
}

/* One generation far larger than the map that was configured. */
static void
the_map_grows(void **state)
{
	struct fx *f = *state;
	struct topo *t = topo_new(1);
	struct store_view v;
	size_t i, n = 4000;
	struct buf b = { 0 };
	const char *p;
	int round;

	t->generation = 1;
	t->services[0].name = xstrdup("router");
	t->services[0].known = true;
	t->services[0].n = n;
	t->services[0].inst = xcalloc(n, sizeof *t->services[0].inst);
	for (i = 0; i < n; i++)
		t->services[0].inst[i].addr =
		    (struct topo_addr){ 4, { 10, 0, (uint8_t)(i >> 8), (uint8_t)i }, 5060 };
	f->conf.size_bytes = 64 << 10;
	for (round = 0; round < 2;
	     round++) { /* the second time with a file that is larger than the configured size */
		fx_start(f);
		t->generation++;
		store_put_generation(f->st, NULL, t, SEEN_MS, "many");
		fx_await(f, fx_nothing_pending, f);
		store_view(f->st, &v);
		assert_int_equal(v.failures, 0);
		assert_true(v.used_bytes > f->conf.size_bytes && v.size_bytes >= v.used_bytes);
		fx_stop(f);
	}
	fx_start(f);
	assert_int_equal(store_load(f->st, fx_print_loaded, &b), 0);
	for (i = 0, p = b.s; (p = strstr(p, "router ")) != NULL; p++)
		i++;
	assert_int_equal(i, n);
	assert_string_equal(fx_logged(f), "");
	fx_stop(f);
	buf_free(&b);
	topo_unref(t);
}

/* ---- files that are not ours, or broken ---- */

static void
machines(struct fx *f, const char *first, const char *second, bool aside)
{
	struct store_view v;

	f->conf.machine_id = first;
	fx_start(f);
	put(f, 1, "", "router 10.0.0.1:5060/up", "one");
	fx_stop(f);
	f->conf.machine_id = second;
	fx_start(f);
	store_view(f->st, &v);
	assert_int_equal(v.set_aside != NULL, aside);
	assert_int_equal(store_generation(f->st), aside ? 0 : 1);
	assert_loads(f, aside ? "" : "router 10.0.0.1:5060/up ");
	if (aside) {
		assert_non_null(strstr(v.set_aside, "topology.mdb.other-machine-"));
		assert_int_equal(access(v.set_aside, R_OK), 0);
		assert_non_null(strstr(fx_logged(f), v.set_aside));
	}
	/* the new one works, and is its own */
	put(f, 2, "", "rtp 10.0.0.2:5060/up", "two");
	fx_restart(f);
	store_view(f->st, &v);
	assert_null(v.set_aside);
	assert_int_equal(store_generation(f->st), 2);
	fx_stop(f);
}

static void
another_machines_store_is_set_aside(void **state)
{
	machines(*state, MACHINE, "ff112233445566778899aabbccddeeff", true);
}

static void
the_same_machines_store_is_kept(void **state)
{
	machines(*state, MACHINE, MACHINE, false);
}

static void
an_unknown_machine_keeps_the_store(void **state)
{
	struct fx *f = *state;
	struct store_view v;

	machines(f, MACHINE, "", false);
	/* and has not made it forget whose it is */
	f->conf.machine_id = MACHINE;
	fx_start(f);
	store_view(f->st, &v);
	assert_null(v.set_aside);
	assert_int_equal(store_generation(f->st), 2);
	fx_stop(f);
	f->conf.machine_id = "ff112233445566778899aabbccddeeff";
	fx_start(f);
	store_view(f->st, &v);
	assert_non_null(v.set_aside);
	fx_stop(f);
}

static void
a_store_without_a_machine_gets_one(void **state)
{
	struct fx *f = *state;
	struct store_view v;

	machines(f, "", MACHINE, false);
	f->conf.machine_id = "ff112233445566778899aabbccddeeff";
	fx_start(f);
	store_view(f->st, &v);
	assert_non_null(v.set_aside);
	fx_stop(f);
}

/* A store of many pages, with free ones among them. */
static void
make_large(struct fx *f)
{
	struct topo *a = topo_new(1), *b = topo_new(1), *t;
	size_t i, n = 300;
	uint64_t g;

	for (t = a;; t = b) {
		t->services[0].name = xstrdup("router");
		t->services[0].known = true;
		t->services[0].n = n;
		t->services[0].inst = xcalloc(n, sizeof *t->services[0].inst);
		for (i = 0; i < n; i++) {
			t->services[0].inst[i].addr =
			    (struct topo_addr){ 4, { 10, 0, (uint8_t)(i >> 8), (uint8_t)i }, 5060 };
			t->services[0].inst[i].state = t == b && i < 3 ? TOPO_DISABLED : TOPO_UP;
		}
		if (t == b)
			break;
	}
	fx_start(f);
	for (g = 1; g <= 60; g++) {
		t = g % 2 ? a : b;
		t->generation = g;
		store_put_generation(f->st, g == 1 ? NULL : g % 2 ? b : a, t, SEEN_MS, "large");
		store_put_times(f->st, g, "sbc/1", 1, 2);
		if (g % 4 == 0)
			fx_await(f, fx_nothing_pending, f);
	}
	fx_stop(f);
	topo_unref(a);
	topo_unref(b);
}

static void
write_file(const char *path, const void *data, size_t len)
{
	FILE *fp = fopen(path, "wb");

	assert_non_null(fp);
	assert_int_equal(fwrite(data, 1, len, fp), len);
	assert_int_equal(fclose(fp), 0);
}

/* Whatever the file is: c4d starts, writes, and the next start finds what was written. */
static void
survives(struct fx *f, const char *what, bool must_set_aside)
{
	struct store_view v;
	struct buf b = { 0 };
	uint64_t g;
	bool aside;

	fx_start(f);
	store_view(f->st, &v);
	aside = v.set_aside != NULL;
	if (v.failing || aside < must_set_aside)
		fail_msg("%s: failing=%d (%s) set aside=%d", what, v.failing, v.why, aside);
	if (aside) {
		assert_non_null(strstr(v.set_aside, "topology.mdb.corrupt-"));
		assert_int_equal(store_generation(f->st), 0);
		assert_loads(f, "");
	}
	g = store_generation(f->st) + 1;
	put(f, g, "", "last 10.9.9.9:5060/up", "after damage");
	fx_stop(f);
	if (strstr(fx_logged(f), "failing") != NULL)
		fail_msg("%s: %s", what, fx_logged(f));
	fx_start(f);
	assert_int_equal(store_generation(f->st), g);
	assert_int_equal(store_load(f->st, fx_print_loaded, &b), 0);
	assert_non_null(strstr(b.s ? b.s : "", "last 10.9.9.9:5060/up"));
	buf_free(&b);
	assert_history(f, "last", NULL, 1,
	    aside    ? "1 after damage: last 10.9.9.9:5060 new>up\n"
	    : g == 1 ? "1 after damage: last 10.9.9.9:5060 new>up\n"
		     : "61 after damage: last 10.9.9.9:5060 new>up\n");
	fx_stop(f);
	fx_forget_log(f);
}

static void
fresh(struct fx *f)
{
	remove_tree(f->dir);
	assert_int_equal(mkdir(f->dir, 0700), 0);
}

static void
truncated_files_are_survived(void **state)
{
	static const size_t odd[] = { 0, 1, 15, 16, 100, 151, 152, 4095, 4097, 8191, 8192, 8193,
		12287 };
	struct fx *f = *state;
	char *path = fx_path(f, "topology.mdb"), *data, what[64];
	size_t len, i, size, page = (size_t)sysconf(_SC_PAGESIZE);

	make_large(f);
	assert_int_equal(file_read(path, 16 << 20, &data, &len), 0);
	assert_true(len > 20 * page);
	for (i = 0; i < NELEM(odd) + len / page; i++) {
		size = i < NELEM(odd) ? odd[i] : (i - NELEM(odd) + 1) * page;
		snprintf(what, sizeof what, "%zu of %zu bytes", size, len);
		fresh(f);
		write_file(path, data, size);
		survives(f, what, size > 0 && size < 2 * page);
	}
	free(data);
	free(path);
}

static void
garbage_is_set_aside(void **state)
{
	struct fx *f = *state;
	char *path = fx_path(f, "topology.mdb"), data[16384];
	size_t i;

	memset(data, 0, sizeof data);
	write_file(path, data, sizeof data);
	survives(f, "zeros", true);
	for (i = 0; i < sizeof data; i++)
		data[i] = (char)(i * 2654435761u >> 13);
	fresh(f);
	write_file(path, data, sizeof data);
	survives(f, "noise", true);
	fresh(f);
	write_file(path, "key: value\n", 11);
	survives(f, "text", true);
	free(path);
}

static void
a_locked_store_is_refused(void **state)
{
	struct fx *f = *state;
	int up[2], down[2];
	pid_t child, holder = 0;
	char byte;

	assert_int_equal(pipe(up), 0);
	assert_int_equal(pipe(down), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(down[1]);
		fx_start(f);
		(void)!write(up[1], "x", 1);
		(void)!read(down[0], &byte, 1); /* ends with the parent's end of the pipe */
		_exit(0);
	}
	close(down[0]);
	assert_int_equal(read(up[0], &byte, 1), 1);
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(worker_new(&f->worker, f->loop), 0);
	f->st = (struct store *)f;
	assert_int_equal(store_open(&f->st, f->loop, f->worker, &f->conf, &holder), -EWOULDBLOCK);
	assert_int_equal(holder, child);
	assert_ptr_equal(f->st, f); /* only set on success */
	worker_free(f->worker);
	loop_free(f->loop);
	/* the lock dies with its process */
	close(down[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	fx_start(f);
	fx_stop(f);
	close(up[0]);
	close(up[1]);
}

/* A directory that can't be made: c4d runs without a store and gets one when it can. */
static void
a_store_comes_when_its_directory_does(void **state)
{
	struct fx *f = *state;
	char *dir = fx_path(f, "a"), *sub = fx_path(f, "a/b");
	struct store_view v;
	struct store_service ss;

	f->conf.dir = sub;
	fx_start(f);
	store_view(f->st, &v);
	assert_true(v.failing);
	assert_non_null(strstr(v.why, "No such file or directory"));
	assert_int_equal(store_generation(f->st), 0);
	assert_false(store_service(f->st, "router", &ss));
	assert_false(store_adopted(f->st, "sbc/1"));
	assert_loads(f, "");
	assert_history(f, NULL, NULL, 5, "");
	assert_int_equal(mkdir(dir, 0700), 0);
	put(f, 1, "", "router 10.0.0.1:5060/up", "one");
	put(f, 2, "router 10.0.0.1:5060/up", "router 10.0.0.1:5060/up 10.0.0.2:5060/up", "two");
	fx_await(f, fx_nothing_pending, f);
	fx_restart(f);
	assert_int_equal(store_generation(f->st), 2);
	assert_loads(f, "router 10.0.0.1:5060/up router 10.0.0.2:5060/up ");
	fx_stop(f);
	free(dir);
	free(sub);
}

/* ---- records that others wrote ---- */

static void
plant(struct fx *f, const char *table, const void *key, size_t klen, const void *val, size_t vlen)
{
	char *path = fx_path(f, "topology.mdb");
	MDB_val k = { klen, (void *)(uintptr_t)key }, v = { vlen, (void *)(uintptr_t)val };
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 8), 0);
	assert_int_equal(mdb_env_open(env, path, MDB_NOSUBDIR, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, table, MDB_CREATE, &dbi), 0);
	assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	free(path);
}

static void
bad_records_are_skipped_and_counted(void **state)
{
	struct fx *f = *state;
	struct buf b = { 0 };
	struct store_service ss = { true, true, 5 };

	fx_start(f);
	put(f, 1, "", "router 10.0.0.1:5060/up 10.0.0.3:5060/up", "one");
	store_put_service(f->st, "router", &ss);
	fx_stop(f);
	plant(f, "instances", "router\0\4\12\0\0\2\23\304", 14, "\1", 1);
	plant(f, "instances", "no end", 6, "\1", 1);
	plant(f, "instances", "router\0\4\12\0\0\4\23\304", 14,
	    "\2\0\0\0\0\1\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\377\377\377\377", 28);
	plant(f, "meta", "service:router", 14, "\1\1", 2);
	plant(f, "meta", "generation", 10, "\0\0", 2);
	plant(f, "history", "\0\0\0\0\0\0\0\2\0", 9, "\1short", 6);
	plant(f, "history", "\0\0\0\0\0\0\0\3\0", 9,
	    "\1\0\0\7\0\0\0\0\1\0\0\0\0\0\0\0\1{\"cause\":", 26);
	plant(f, "history", "\0\0\0", 3, "\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1{}", 19);
	plant(f, "history", "\0\0\0\0\0\0\0\4\0", 9, "\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1{}", 19);
	fx_start(f);
	assert_int_equal(store_load(f->st, fx_print_loaded, &b), 3);
	assert_string_equal(b.s, "router 10.0.0.1:5060/up router 10.0.0.3:5060/up ");
	assert_non_null(strstr(fx_logged(f), "warning store: 3 instance records of "));
	assert_false(store_service(f->st, "router", &ss));
	assert_int_equal(store_generation(f->st), 0);
	assert_history(
	    f, NULL, NULL, 10, "1 one: router 10.0.0.1:5060 new>up router 10.0.0.3:5060 new>up\n");
	fx_stop(f);
	buf_free(&b);
}

/* ---- history ---- */

static void
history_is_filtered(void **state)
{
	static const struct {
		const char *service, *address;
		size_t limit;
		const char *want;
	} rows[] = {
		{ NULL, NULL, 0, "" },
		{ NULL, NULL, 1, "4 d: rtp [::1]:2223 new>up\n" },
		{ "", "", 2,
		    "4 d: rtp [::1]:2223 new>up\n3 c: router 10.0.0.1:5060 up>disabled\n" },
		{ "rtp", NULL, 9, "4 d: rtp [::1]:2223 new>up\n2 b: rtp 10.0.0.1:5060 new>up\n" },
		{ "rt", NULL, 9, "" },
		{ "router", NULL, 1, "3 c: router 10.0.0.1:5060 up>disabled\n" },
		{ NULL, "10.0.0.1:5060", 9,
		    "3 c: router 10.0.0.1:5060 up>disabled\n2 b: rtp 10.0.0.1:5060 new>up\n"
		    "1 a: router 10.0.0.1:5060 new>up router 10.0.0.2:5060 new>up\n" },
		{ "router", "10.0.0.1:5060", 9,
		    "3 c: router 10.0.0.1:5060 up>disabled\n"
		    "1 a: router 10.0.0.1:5060 new>up router 10.0.0.2:5060 new>up\n" },
		{ NULL, "10.0.0.1:506", 9, "" },
		{ NULL, "10.0.0.1", 9, "" },
		{ NULL, "[::1]:2223", 9, "4 d: rtp [::1]:2223 new>up\n" },
		{ NULL, "::1:2223", 9, "" },
	};
	struct fx *f = *state;
	size_t i;

	fx_start(f);
	put(f, 1, "", "router 10.0.0.1:5060/up 10.0.0.2:5060/up", "a");
	put(f, 2, "rtp", "rtp 10.0.0.1:5060/up", "b");
	put(f, 3, "router 10.0.0.1:5060/up", "router 10.0.0.1:5060/disabled", "c");
	put(f, 4, "rtp", "rtp [::1]:2223/up", "d");
	fx_await(f, fx_nothing_pending, f);
	for (i = 0; i < NELEM(rows); i++) {
		char *got = fx_history(f, rows[i].service, rows[i].address, rows[i].limit), *p, *q;
		char want[512];

		/* addresses are shown without brackets */
		snprintf(want, sizeof want, "%s", rows[i].want);
		while ((p = strchr(want, '[')) != NULL && (q = strchr(p, ']')) != NULL) {
			memmove(q, q + 1, strlen(q));
			memmove(p, p + 1, strlen(p));
		}
		assert_string_equal(got, want);
		free(got);
	}
	fx_stop(f);
}

static void
times_stand_with_their_generation(void **state)
{
	struct fx *f = *state;
	json_t *all = NULL;
	const json_t *t;
	char seen[32], applied[32], verified[32];

	fx_start(f);
	put(f, 1, "", "router 10.0.0.1:5060/up", "a");
	put(f, 2, "router 10.0.0.1:5060/up", "router", "b");
	put(f, 3, "router", "router 10.0.0.1:5060/up", "c");
	store_put_times(f->st, 2, "sbc/2", 2002, 2003);
	store_put_times(f->st, 2, "sbc/1", 2000, 0);
	store_put_times(f->st, 2, "router/1", 2004, 2005);
	store_put_times(f->st, 1, "sbc/1", 1000, 1001);
	store_put_times(
	    f->st, 7, "sbc/1", 7000, 7001); /* of a generation whose difference is not there */
	fx_await(f, fx_nothing_pending, f);
	assert_history(f, NULL, NULL, 9,
	    "3 c: router 10.0.0.1:5060 new>up\n"
	    "2 b: router 10.0.0.1:5060 up>removed @router/1 @sbc/1 @sbc/2\n1 a: router 10.0.0.1:5060 new>up @sbc/1\n");
	store_history(f->st, NULL, NULL, 2, fx_take_json, &all);
	fx_await(f, fx_has_json, &all);
	t = json_array_get(json_object_get(json_array_get(all, 1), "targets"), 1);
	text_format_time(SEEN_MS + 2, seen);
	text_format_time(2000, applied);
	text_format_time(2003, verified);
	assert_string_equal(
	    json_string_value(json_object_get(json_array_get(all, 1), "seen")), seen);
	assert_true(json_is_string(json_object_get(json_array_get(all, 1), "committed")));
	assert_string_equal(json_string_value(json_object_get(t, "applied")), applied);
	assert_true(json_is_null(json_object_get(t, "verified")));
	assert_true(json_is_integer(json_object_get(json_array_get(all, 1), "seen_to_committed_ms")));
	assert_int_equal(json_integer_value(json_object_get(t, "seen_to_applied_ms")), 2000 - (SEEN_MS + 2));
	assert_true(json_is_null(json_object_get(t, "applied_to_verified_ms")));
	t = json_array_get(json_object_get(json_array_get(all, 1), "targets"), 2);
	assert_string_equal(json_string_value(json_object_get(t, "verified")), verified);
	assert_int_equal(json_integer_value(json_object_get(t, "applied_to_verified_ms")), 1);
	json_decref(all);
	fx_stop(f);
}

static size_t
generations(struct fx *f, uint64_t *oldest)
{
	char *text = fx_history(f, NULL, NULL, 100000), *p, *line = text;
	size_t n = 0;

	for (p = text; (p = strchr(p, '\n')) != NULL; n++) {
		*oldest = strtoull(line, NULL, 10);
		line = ++p;
	}
	free(text);
	return n;
}

static void
old_history_goes_by_count(void **state)
{
	struct fx *f = *state;
	struct topo *a = topo_of(0, "router 10.0.0.1:5060/up"),
		    *b = topo_of(0, "router 10.0.0.1:5060/disabled");
	uint64_t g, oldest = 0;
	size_t n;

	f->conf.keep_max = 50;
	fx_start(f);
	for (g = 1; g <= 400; g++) {
		struct topo *after = g % 2 ? a : b;

		after->generation = g;
		store_put_generation(f->st, g % 2 ? b : a, after, loop_wall_ms(f->loop), "c");
		store_put_times(f->st, g, "sbc/1", 1, 2);
		if (g % 50 == 0)
			fx_await(f, fx_nothing_pending, f);
	}
	n = generations(f, &oldest);
	assert_in_range(n, 50, 52); /* the newest, without a hole */
	assert_int_equal(oldest, 400 - n + 1);
	assert_loads(f, "router 10.0.0.1:5060/disabled ");
	fx_stop(f);
	topo_unref(a);
	topo_unref(b);
}

/* A commit prunes a limited number; with several targets it may end between a difference and its
 * times. */
static void
old_history_goes_by_age(void **state)
{
	struct fx *f = *state;
	struct topo *a = topo_of(0, "router 10.0.0.1:5060/up"),
		    *b = topo_of(0, "router 10.0.0.1:5060/disabled");
	int64_t now;
	uint64_t g, oldest = 0;
	int i;

	f->conf.keep_ms = DAY_MS;
	fx_start(f);
	now = loop_wall_ms(f->loop);
	for (g = 1; g <= 300; g++) {
		struct topo *after = g % 2 ? a : b;

		after->generation = g;
		store_put_generation(f->st, g % 2 ? b : a, after,
		    g <= 290 ? now - 2 * DAY_MS : now - DAY_MS + 600000, "c");
		store_put_times(f->st, g, "sbc/1", 1, 2);
		store_put_times(f->st, g, "sbc/2", 1, 2);
	}
	for (i = 0; i < 6; i++) {
		struct store_service ss = { true, false, (unsigned)i };

		store_put_service(f->st, "router", &ss);
		fx_await(f, fx_nothing_pending, f);
	}
	assert_int_equal(generations(f, &oldest), 10);
	assert_int_equal(oldest, 291);
	fx_stop(f);
	topo_unref(a);
	topo_unref(b);
}

/* ---- drains ---- */

static void
print_drain(void *arg, const char *service, const struct topo_addr *a, const struct store_drain *d)
{
	char addr[TOPO_ADDR_TEXT];

	topo_addr_format(a, addr);
	buf_printf(arg, "%s %s %lld %lld %s\n", service, addr, (long long)d->since_ms, (long long)d->until_ms, d->who);
}

static void
assert_drains(struct fx *f, size_t bad, const char *want)
{
	struct buf b = { 0 };

	assert_int_equal(store_load_drains(f->st, print_drain, &b), bad);
	assert_string_equal(b.s ? b.s : "", want);
	buf_free(&b);
}

static void
drains_are_remembered_until_undone(void **state)
{
	const struct store_drain first = { 1000, 0, (char *)"uid 0" }, again = { 1000, 2000, (char *)"uid 0" };
	struct store_service ss = { true, true, 3 };
	struct topo_addr one, two;
	struct fx *f = *state;

	assert_int_equal(topo_addr_parse("10.0.0.1:5060", &one), 0);
	assert_int_equal(topo_addr_parse("[::1]:5060", &two), 0);
	fx_start(f);
	assert_drains(f, 0, "");
	store_put_drain(f->st, "router", &one, &first);
	store_put_drain(f->st, "rtp", &one, &first);
	store_put_drain(f->st, "rtp", &two, &first);
	store_put_drain(f->st, "router", &one, &again);
	store_put_service(f->st, "router", &ss);
	store_put_adopted(f->st, "sbc/1");
	fx_restart(f);
	assert_drains(f, 0, "router 10.0.0.1:5060 1000 2000 uid 0\nrtp 10.0.0.1:5060 1000 0 uid 0\n"
			    "rtp [::1]:5060 1000 0 uid 0\n");
	store_put_drain(f->st, "rtp", &one, NULL);
	fx_restart(f);
	assert_drains(f, 0, "router 10.0.0.1:5060 1000 2000 uid 0\nrtp [::1]:5060 1000 0 uid 0\n");
	fx_stop(f);
	plant(f, "meta", "drain:x", 7, "\1", 1);
	fx_start(f);
	assert_drains(f, 1, "router 10.0.0.1:5060 1000 2000 uid 0\nrtp [::1]:5060 1000 0 uid 0\n");
	assert_non_null(strstr(fx_logged(f), "warning store: 1 drains in "));
	fx_stop(f);
}

/* ---- registrations ---- */

static void
print_registration(void *arg, const char *id, const struct store_registration *r)
{
	buf_printf(arg, "%s %lld %d %lld %s|%s|%s\n", id, (long long)r->since_ms, r->maintenance, (long long)r->maintenance_ms,
	    r->reason ? r->reason : "-", r->who ? r->who : "-", r->off ? r->off : "-");
}

static void
assert_registrations(struct fx *f, size_t bad, const char *want)
{
	struct buf b = { 0 };

	assert_int_equal(store_load_registrations(f->st, print_registration, &b), bad);
	assert_string_equal(b.s ? b.s : "", want);
	buf_free(&b);
}

static const struct store_registration registered = { .since_ms = 1790000000123 },
					in_maintenance = { 1790000000123, true, 1790000099999, (char *)"new disk in Z\xc3\xbcrich",
					       (char *)"uid 0", (char *)"sip xhttp" },
				       texts_are_empty = { -1, false, 0, (char *)"", (char *)"", (char *)"" };

#define PLAIN " 1790000000123 0 0 -|-|-\n"
#define IN_MAINTENANCE " 1790000000123 1 1790000099999 new disk in Z\xc3\xbcrich|uid 0|sip xhttp\n"

static void
registrations_are_remembered_until_gone(void **state)
{
	struct fx *f = *state;

	fx_start(f);
	assert_registrations(f, 0, "");
	store_put_registration(f->st, "vm1-sbc", &registered);
	store_put_registration(f->st, "vm1-router", &registered);
	store_put_registration(f->st, "vm1-rtp", &texts_are_empty);
	store_put_registration(f->st, "vm1-sbc", &in_maintenance); /* the later one wins */
	store_put_registration(f->st, "never was", NULL);
	fx_restart(f);
	assert_registrations(f, 0, "vm1-router" PLAIN "vm1-rtp -1 0 0 ||\nvm1-sbc" IN_MAINTENANCE);
	store_put_registration(f->st, "vm1-router", NULL);
	store_put_registration(f->st, "vm1-sbc", &registered);
	fx_restart(f);
	assert_registrations(f, 0, "vm1-rtp -1 0 0 ||\nvm1-sbc" PLAIN);
	store_put_registration(f->st, "vm1-rtp", NULL);
	store_put_registration(f->st, "vm1-sbc", NULL);
	store_put_registration(f->st, "vm1-sbc", &in_maintenance); /* gone, and here again */
	fx_restart(f);
	assert_registrations(f, 0, "vm1-sbc" IN_MAINTENANCE);
	/* nothing else is in their table, and they are in none of the others */
	assert_loads(f, "");
	assert_history(f, NULL, NULL, 10, "");
	fx_stop(f);
	assert_string_equal(fx_logged(f), "");
}

/* One that can't be a key must not take the commit with it, and all that waits. */
static void
a_registration_with_an_impossible_id_is_refused_alone(void **state)
{
	struct fx *f = *state;
	struct store_view v;
	char id[600], *want;

	memset(id, 'x', sizeof id);
	fx_start(f);
	id[512] = '\0';
	store_put_registration(f->st, id, &registered);
	store_put_registration(f->st, id, NULL);
	assert_non_null(strstr(fx_logged(f), "warning store: the registration xxxx"));
	assert_non_null(strstr(fx_logged(f), "its id has 512 bytes"));
	store_put_registration(f->st, "", &registered);
	id[511] = '\0';
	store_put_registration(f->st, id, &registered);
	store_put_registration(f->st, "vm1-sbc", &registered);
	fx_await(f, fx_nothing_pending, f);
	store_view(f->st, &v);
	assert_int_equal(v.failures, 0);
	fx_restart(f);
	want = xasprintf("vm1-sbc" PLAIN "%s" PLAIN, id);
	assert_registrations(f, 0, want);
	free(want);
	fx_stop(f);
}

static void
registrations_of_a_later_version_are_skipped_and_counted(void **state)
{
	/* as written today */
	static const char good[] = "\1\0\0\0\1\240\304\120\154\173\0\0\0\0\0\0\0\0\377\377\377\377\377\377";
	const size_t len = sizeof good - 1;
	char bad[sizeof good];
	struct fx *f = *state;
	struct buf b = { 0 };

	record_registration(&b, &registered);
	assert_int_equal(b.len, len);
	assert_memory_equal(b.s, good, len);
	buf_free(&b);
	fx_start(f);
	store_put_registration(f->st, "vm1-sbc", &in_maintenance);
	fx_stop(f);
	plant(f, "registrations", "good", 4, good, len);
	plant(f, "registrations", "longer", 6, good, len + 1);
	plant(f, "registrations", "short", 5, good, len - 1);
	plant(f, "registrations", "nothing", 7, good, 0);
	plant(f, "registrations", "a\0b", 3, good, len);
	memcpy(bad, good, sizeof bad);
	bad[0] = 2;
	plant(f, "registrations", "later", 5, bad, len);
	bad[0] = 1;
	bad[1] = 2;
	plant(f, "registrations", "unknown flag", 12, bad, len);
	bad[1] = 0;
	bad[len - 1] = 9;
	bad[len - 2] = 0;
	plant(f, "registrations", "text beyond", 11, bad, len);
	fx_start(f);
	assert_registrations(f, 7, "good 1790000000123 0 0 -|-|-\nvm1-sbc" IN_MAINTENANCE);
	assert_non_null(strstr(fx_logged(f), "warning store: 7 registrations in "));
	/* and what is skipped stays: a later version, come back, will read it */
	store_put_registration(f->st, "good", NULL);
	fx_restart(f);
	assert_registrations(f, 7, "vm1-sbc" IN_MAINTENANCE);
	fx_stop(f);
}

static void
a_failing_commit_keeps_registrations(void **state)
{
	struct fx *f = *state;
	struct store_view v;

	fx_start(f);
	store_put_registration(f->st, "vm1-old", &registered);
	fx_await(f, fx_nothing_pending, f);
	store_fail_next(f->st, -ENOSPC, 2);
	store_put_registration(f->st, "vm1-sbc", &registered);
	store_put_registration(f->st, "vm1-old", NULL);
	fx_await(f, fx_is_failing, f);
	store_view(f->st, &v);
	assert_int_equal(v.pending, 2);
	/* the newest of each is what waits */
	store_put_registration(f->st, "vm1-sbc", &in_maintenance);
	fx_await(f, failed_twice, f);
	store_view(f->st, &v);
	assert_int_equal(v.pending, 2);
	store_put_registration(f->st, "vm1-rtp", &registered);
	fx_await(f, fx_nothing_pending, f);
	fx_restart(f);
	assert_registrations(f, 0, "vm1-rtp" PLAIN "vm1-sbc" IN_MAINTENANCE);
	fx_stop(f);
}

/* A clone does not know what its parent has registered, so it can't deregister it. */
static void
another_machines_registrations_are_set_aside(void **state)
{
	struct fx *f = *state;
	struct store_view v;

	fx_start(f);
	store_put_registration(f->st, "vm1-sbc", &in_maintenance);
	fx_stop(f);
	f->conf.machine_id = "ff112233445566778899aabbccddeeff";
	fx_start(f);
	store_view(f->st, &v);
	assert_non_null(v.set_aside);
	assert_registrations(f, 0, "");
	store_put_registration(f->st, "vm2-sbc", &registered);
	fx_restart(f);
	assert_registrations(f, 0, "vm2-sbc" PLAIN);
	fx_stop(f);
}

/* ---- the past ---- */

struct seen_past {
	struct buf b;
	bool done;
};

static void
print_past(void *arg, const struct store_past *p)
{
	struct seen_past *sp = arg;
	char addr[TOPO_ADDR_TEXT];
	size_t i;

	sp->done = true;
	buf_printf(&sp->b, "%d %llu..%llu", p->err, (unsigned long long)p->oldest, (unsigned long long)p->newest);
	for (i = 0; i < p->n; i++) {
		const struct topo_instance *in = &p->v[i].inst;

		topo_addr_format(&in->addr, addr);
		buf_printf(&sp->b, " %s %s%s%s", p->v[i].service, in->addr.family ? addr : in->origin,
		    p->v[i].was_there ? "/" : "", p->v[i].was_there ? topo_state_name(in->state) : "");
		if (p->v[i].was_there && p->v[i].has_weight)
			buf_printf(&sp->b, " w=%u", in->weight);
		if (p->v[i].was_there && p->v[i].has_priority)
			buf_printf(&sp->b, " p=%u", in->priority);
		if (p->v[i].was_there && p->v[i].has_tags)
			buf_printf(&sp->b, " t=%s", in->tags ? in->tags : "");
	}
}

static bool
past_is_seen(void *arg)
{
	return ((struct seen_past *)arg)->done;
}

static void
assert_past(struct fx *f, uint64_t generation, const char *want)
{
	struct seen_past sp = { 0 };

	store_past(f->st, generation, print_past, &sp);
	fx_await(f, past_is_seen, &sp);
	assert_string_equal(sp.b.s, want);
	buf_free(&sp.b);
}

/* "router 10.0.0.1:5060/up" with these besides. */
static void
put_detailed(struct fx *f, uint64_t generation, const char *before, const char *after, const struct topo_instance *was,
    const struct topo_instance *is)
{
	struct topo *b = topo_of(generation - 1, before), *a = topo_of(generation, after);
	struct topo_instance *v[2] = { b->services[0].inst, a->services[0].inst };
	const struct topo_instance *from[2] = { was, is };
	int i;

	for (i = 0; i < 2; i++)
		if (from[i] != NULL) {
			v[i]->weight = from[i]->weight;
			v[i]->priority = from[i]->priority;
			v[i]->tags = xstrdup(from[i]->tags);
		}
	store_put_generation(f->st, b, a, SEEN_MS, "c");
	topo_unref(b);
	topo_unref(a);
}

static void
the_past_is_walked_back(void **state)
{
	const struct topo_instance plain = { .weight = 1, .priority = 1 };
	const struct topo_instance tagged = { .weight = 5, .priority = 2, .tags = (char *)"blue" };
	const struct topo_instance bare = { .weight = 5, .priority = 2 };
	struct fx *f = *state;

	fx_start(f);
	assert_past(f, 0, "-2 0..0");
	put_detailed(f, 1, "router", "router 10.0.0.1:5060/up", NULL, &plain);
	put_detailed(f, 2, "router 10.0.0.1:5060/up", "router 10.0.0.1:5060/up", &plain, &tagged);
	put(f, 3, "rtp", "rtp [::1]:2223/up", "c");
	put_detailed(f, 4, "router 10.0.0.1:5060/up", "router 10.0.0.1:5060/disabled", &tagged, &bare);
	put_detailed(f, 5, "router 10.0.0.1:5060/disabled", "router", &bare, NULL);
	put(f, 6, "router", "router 10.0.0.2:5060/up", "c");
	store_put_times(f->st, 6, "sbc/1", 1, 2);
	fx_await(f, fx_nothing_pending, f);
	assert_past(f, 6, "0 6..6");
	assert_past(f, 7, "0 6..6");
	assert_past(f, 5, "0 5..6 router 10.0.0.2:5060");
	/* what was removed: its numbers come from wherever they were set */
	assert_past(f, 4, "0 2..6 router 10.0.0.2:5060 router 10.0.0.1:5060/disabled w=5 p=2 t=");
	assert_past(f, 3, "0 2..6 router 10.0.0.2:5060 router 10.0.0.1:5060/up w=5 p=2 t=blue");
	assert_past(f, 2, "0 2..6 router 10.0.0.2:5060 router 10.0.0.1:5060/up w=5 p=2 t=blue rtp [::1]:2223");
	assert_past(f, 1, "0 1..6 router 10.0.0.2:5060 router 10.0.0.1:5060/up w=1 p=1 t= rtp [::1]:2223");
	assert_past(f, 0, "0 1..6 router 10.0.0.2:5060 router 10.0.0.1:5060 rtp [::1]:2223");
	fx_stop(f);
}

/* What is not in the history, or only in parts, is not guessed. */
static void
the_past_ends_where_the_history_does(void **state)
{
	struct fx *f = *state;
	uint64_t g;

	fx_start(f);
	for (g = 11; g <= 20; g++)
		if (g != 14)
			put(f, g, g % 2 ? "router 10.0.0.1:5060/up" : "router 10.0.0.1:5060/disabled",
			    g % 2 ? "router 10.0.0.1:5060/disabled" : "router 10.0.0.1:5060/up", "c");
	fx_await(f, fx_nothing_pending, f);
	assert_past(f, 19, "0 19..20 router 10.0.0.1:5060/disabled");
	assert_past(f, 14, "0 15..20 router 10.0.0.1:5060/up");
	assert_past(f, 13, "-2 15..20");
	assert_past(f, 9, "-2 15..20");
	fx_stop(f);
	plant(f, "history", "\0\0\0\0\0\0\0\21\0", 9, "\1\0\0\7\0\0\0\0\1\0\0\0\0\0\0\0\1{\"cause\":", 26);
	fx_start(f);
	assert_past(f, 17, "0 18..20 router 10.0.0.1:5060/disabled");
	assert_past(f, 16, "-2 18..20");
	fx_stop(f);
}

#define FX_TEST(t) cmocka_unit_test_setup_teardown(t, fx_setup, fx_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FX_TEST(a_new_store_is_empty),
		FX_TEST(what_was_put_is_there_after_a_restart),
		FX_TEST(differences_are_applied),
		FX_TEST(a_stop_loses_nothing),
		FX_TEST(a_failing_commit_loses_nothing),
		FX_TEST(it_tries_again_by_itself),
		FX_TEST(what_waits_is_bounded),
		FX_TEST(the_map_grows),
		FX_TEST(another_machines_store_is_set_aside),
		FX_TEST(the_same_machines_store_is_kept),
		FX_TEST(an_unknown_machine_keeps_the_store),
		FX_TEST(a_store_without_a_machine_gets_one),
		FX_TEST(truncated_files_are_survived),
		FX_TEST(garbage_is_set_aside),
		FX_TEST(a_locked_store_is_refused),
		FX_TEST(a_store_comes_when_its_directory_does),
		FX_TEST(bad_records_are_skipped_and_counted),
		FX_TEST(history_is_filtered),
		FX_TEST(times_stand_with_their_generation),
		FX_TEST(old_history_goes_by_count),
		FX_TEST(old_history_goes_by_age),
		FX_TEST(drains_are_remembered_until_undone),
		FX_TEST(registrations_are_remembered_until_gone),
		FX_TEST(a_registration_with_an_impossible_id_is_refused_alone),
		FX_TEST(registrations_of_a_later_version_are_skipped_and_counted),
		FX_TEST(a_failing_commit_keeps_registrations),
		FX_TEST(another_machines_registrations_are_set_aside),
		FX_TEST(the_past_is_walked_back),
		FX_TEST(the_past_ends_where_the_history_does),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
