/*
 * store: files that other versions of c4d wrote. tests/data/store holds the records of stores that earlier commits made, with real
 * Consul and Kamailio; what a later one may write is made here.
 */
#include <errno.h>
#include <sys/stat.h>

#define STORETEXT_ONLY_LOAD
#include "../tools/storetext.c"

#include "base/file.h"
#include "store/record.h"
#include "store/store_int.h"
#include "store_fx.h"

#define FOREVER_MS (100 * 365 * DAY_MS) /* the fixtures do not grow too old */

/* ---- making files ---- */

/* Lines whose table is `without` are left out. */
static void
make_from(struct fx *f, const char *fixture, const char *without)
{
	char *in = xasprintf("tests/data/store/%s.txt", fixture), *path = fx_path(f, "topology.mdb"), *text, *line, *save;
	struct buf kept = { 0 };
	size_t len;
	FILE *stream;

	assert_int_equal(file_read(in, 1 << 20, &text, &len), 0);
	for (line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
		if (without == NULL || strncmp(line, without, strlen(without)) != 0)
			buf_printf(&kept, "%s\n", line);
	stream = fmemopen(kept.s, kept.len, "r");
	assert_int_equal(storetext_load(path, stream), 0);
	fclose(stream);
	buf_free(&kept);
	free(text);
	free(in);
	free(path);
	f->conf.keep_ms = FOREVER_MS;
}

/* One more record. */
static void
add_bytes(struct fx *f, const char *table, const char *key, size_t klen, const char *hex)
{
	char *path = fx_path(f, "topology.mdb");
	struct buf b = { 0 };
	FILE *stream;
	size_t i;

	buf_printf(&b, "%s ", table);
	for (i = 0; i < klen; i++)
		buf_printf(&b, "%02x", (unsigned char)key[i]);
	buf_printf(&b, " %s\n", hex);
	stream = fmemopen(b.s, b.len, "r");
	assert_int_equal(storetext_load(path, stream), 0);
	fclose(stream);
	buf_free(&b);
	free(path);
}

static void
add(struct fx *f, const char *table, const char *key, const char *hex)
{
	add_bytes(f, table, key, strlen(key), hex);
}

static uint32_t
format_of(struct fx *f)
{
	struct db db = { .path = fx_path(f, "topology.mdb"), .size_bytes = f->conf.size_bytes };

	assert_int_equal(db_open(&db, true), 0);
	db_close(&db);
	free(db.path);
	return db.format;
}

/* ---- looking ---- */

static void
print_instance(void *arg, const char *service, const struct topo_instance *i)
{
	char addr[TOPO_ADDR_TEXT];

	topo_addr_format(&i->addr, addr);
	buf_printf(arg, "%s %s %s%s%s w%u g%llu %s%s", service, addr, topo_state_name(i->state), i->guard ? "/" : "", topo_guard_name(i->guard),
	    i->weight, (unsigned long long)i->generation, i->tags ? i->tags : "-", i->since_ms > 1700000000000 ? "" : " since?");
	if (i->penalty > 0)
		buf_printf(arg, " penalty %u of %u", i->penalty, i->goings);
	if (i->drain_until_ms > 0)
		buf_puts(arg, " until");
	buf_puts(arg, "\n");
}

static void
print_drain(void *arg, const char *service, const struct topo_addr *a, const struct store_drain *d)
{
	char addr[TOPO_ADDR_TEXT];

	topo_addr_format(a, addr);
	buf_printf(arg, "%s %s by %s for %lld\n", service, addr, d->who, (long long)(d->until_ms - d->since_ms));
}

static void
print_registration(void *arg, const char *id, const struct store_registration *r)
{
	buf_printf(arg, "%s %d %s %s %s\n", id, r->maintenance, r->reason ? r->reason : "-", r->who ? r->who : "-", r->off ? r->off : "-");
}

static void
is_text(struct buf *b, const char *want)
{
	assert_string_equal(b->s != NULL ? b->s : "", want);
	buf_free(b);
	memset(b, 0, sizeof *b);
}

struct rows {
	unsigned n;
	bool done, end;
	int err;
	int64_t last;
};

static void
on_row(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	((struct rows *)arg)->n++;
}

static void
on_rows(void *arg, int err)
{
	struct rows *r = arg;

	r->err = err;
	r->done = true;
}

static bool
on_cdr(void *arg, int64_t id, int64_t stored_ms, const void *val, size_t vlen)
{
	((struct rows *)arg)->n++;
	return true;
}

static void
on_cdrs(void *arg, int err, int64_t last, bool end)
{
	struct rows *r = arg;

	r->err = err;
	r->last = last;
	r->end = end;
	r->done = true;
}

static bool
rows_done(void *arg)
{
	return ((struct rows *)arg)->done;
}

static void
has_rows(struct fx *f, unsigned routing, unsigned cdrs)
{
	struct rows r = { 0 }, c = { 0 };
	const struct store_cdr_get get = { .limit = 100, .row = on_cdr, .done = on_cdrs, .arg = &c };

	store_read_routing(f->st, on_row, on_rows, &r);
	store_get_cdrs(f->st, &get);
	fx_await(f, rows_done, &r);
	fx_await(f, rows_done, &c);
	assert_int_equal(r.err, 0);
	assert_int_equal(r.n, routing);
	assert_int_equal(c.err, 0);
	assert_int_equal(c.n, cdrs);
	assert_int_equal(c.last, cdrs);
	assert_true(c.end);
}

/* ---- what earlier ones wrote ---- */

struct past {
	const char *fixture;
	uint64_t generation;
	const char *instances, *drains, *registrations, *newest; /* newest: the last generation's story begins so */
	unsigned routing, cdrs, peak;
};

static const struct past pasts[] = {
	{ "instances-1", 4,
	    "router 10.1.0.1:5060 disabled w1 g4 primary\n"
	    "router 10.1.0.2:5060 held/shrink w2 g4 -\n"
	    "router 10.1.0.3:5060 disabled w3 g3 -\n"
	    "router 10.1.0.4:5060 up w4 g1 -\n"
	    "router 10.1.0.5:5060 up w5 g1 -\n"
	    "rtp 10.2.0.1:2223 up w1 g2 -\n"
	    "rtp [fd00::1]:2223 up w1 g2 -\n",
	    "", "", "4 complete list of router.service.consul from ", 0, 0, 5 },
	{ "drains", 11,
	    "router 10.1.0.1:5060 disabled w1 g11 primary penalty 1000 of 1\n"
	    "router 10.1.0.2:5060 held/shrink w2 g11 - penalty 1000 of 1\n"
	    "router 10.1.0.3:5060 disabled w3 g3 - penalty 1000 of 1\n"
	    "router 10.1.0.4:5060 draining/operator w4 g10 - until\n"
	    "router 10.1.0.5:5060 up w5 g11 - penalty 2992 of 3\n"
	    "rtp 10.2.0.1:2223 up w1 g1 -\n"
	    "rtp [fd00::1]:2223 up w1 g1 -\n",
	    "router 10.1.0.4:5060 by uid 0 for 7200000\n", "", "11 complete list of router.service.consul from ", 0, 0, 4 },
	{ "registrations", 11,
	    "router 10.1.0.1:5060 disabled w1 g11 primary penalty 1000 of 1\n"
	    "router 10.1.0.2:5060 held/shrink w2 g11 -\n"
	    "router 10.1.0.3:5060 disabled w3 g3 - penalty 1000 of 1\n"
	    "router 10.1.0.4:5060 draining/operator w4 g10 - until\n"
	    "router 10.1.0.5:5060 up w5 g11 - penalty 2993 of 3\n"
	    "rtp 10.2.0.1:2223 up w1 g1 -\n"
	    "rtp [fd00::1]:2223 up w1 g1 -\n",
	    "router 10.1.0.4:5060 by uid 0 for 7200000\n", "vm1-edge 0 - - -\nvm1-sbc 1 new disk uid 0 port\n",
	    "11 complete list of router.service.consul from ", 0, 0, 4 },
	{ "routing", 11,
	    "router 10.1.0.1:5060 disabled w1 g11 primary penalty 1000 of 1\n"
	    "router 10.1.0.2:5060 held/shrink w2 g11 -\n"
	    "router 10.1.0.3:5060 disabled w3 g3 - penalty 1000 of 1\n"
	    "router 10.1.0.4:5060 draining/operator w4 g10 - until\n"
	    "router 10.1.0.5:5060 up w5 g11 - penalty 2992 of 3\n"
	    "rtp 10.2.0.1:2223 up w1 g2 -\n"
	    "rtp [fd00::1]:2223 up w1 g2 -\n",
	    "router 10.1.0.4:5060 by uid 0 for 7200000\n", "vm1-edge 0 - - -\nvm1-sbc 1 new disk uid 0 port\n",
	    "11 complete list of router.service.consul from ", 3, 3, 4 },
};

static void
has_all(struct fx *f, const struct past *p)
{
	struct store_service s = { 0 };
	struct buf b = { 0 };
	char *history;
	size_t lines = 0, i;

	assert_int_equal(store_generation(f->st), p->generation);
	assert_int_equal(store_load(f->st, print_instance, &b), 0);
	is_text(&b, p->instances);
	assert_int_equal(store_load_drains(f->st, print_drain, &b), 0);
	is_text(&b, p->drains);
	assert_int_equal(store_load_registrations(f->st, print_registration, &b), 0);
	is_text(&b, p->registrations);
	assert_true(store_service(f->st, "router", &s));
	assert_true(s.known && !s.frozen);
	assert_int_equal(s.peak, p->peak);
	assert_true(store_service(f->st, "rtp", &s));
	assert_true(s.known && s.frozen);
	assert_true(store_service(f->st, "never", &s));
	assert_false(s.known);
	assert_true(store_adopted(f->st, "sbc/1"));
	assert_false(store_adopted(f->st, "sbc/2"));
	history = fx_history(f, NULL, NULL, 100);
	for (i = 0; history[i] != '\0'; i++)
		lines += history[i] == '\n';
	assert_int_equal(lines, p->generation);
	assert_memory_equal(history, p->newest, strlen(p->newest));
	assert_non_null(strstr(history, " @sbc/1\n"));
	free(history);
	has_rows(f, p->routing, p->cdrs);
}

static void
what_earlier_ones_wrote_is_kept(void **state)
{
	struct fx *f = *state;
	struct topo *none = topo_of(11, "rtp"), *more = topo_of(12, "rtp 10.2.0.2:2223/up");
	struct store_view v;
	struct buf b = { 0 };
	size_t i;

	for (i = 0; i < NELEM(pasts); i++) {
		char *path = fx_path(f, "topology.mdb");

		make_from(f, pasts[i].fixture, NULL);
		assert_int_equal(format_of(f), 0);
		fx_start(f);
		store_view(f->st, &v);
		assert_null(v.set_aside);
		assert_false(v.failing);
		assert_string_equal(fx_logged(f), "");
		has_all(f, &pasts[i]);
		fx_restart(f);
		assert_int_equal(format_of(f), STORE_FORMAT); /* from now on it says so */
		has_all(f, &pasts[i]);
		/* and it is one of ours: something new goes beside */
		store_put_generation(f->st, none, more, loop_wall_ms(f->loop), "now");
		fx_await(f, fx_nothing_pending, f);
		fx_restart(f);
		assert_int_equal(store_generation(f->st), 12);
		assert_int_equal(store_load(f->st, print_instance, &b), 0);
		assert_non_null(strstr(b.s, pasts[i].instances + strlen(pasts[i].instances) - 30)); /* the last of before */
		assert_non_null(strstr(b.s, "rtp 10.2.0.2:2223 up w1 g12 -"));
		buf_free(&b);
		memset(&b, 0, sizeof b);
		fx_stop(f);
		assert_int_equal(unlink(path), 0);
		free(path);
	}
	topo_unref(none);
	topo_unref(more);
}

/* As c4d had it that knew no registrations: the file has no such table. */
static void
tables_that_it_has_not(void **state)
{
	struct fx *f = *state;
	const struct store_registration reg = { .since_ms = 5 };
	struct buf b = { 0 };

	make_from(f, "registrations", "registrations");
	fx_start(f);
	assert_string_equal(fx_logged(f), "");
	assert_int_equal(store_load_registrations(f->st, print_registration, &b), 0);
	is_text(&b, "");
	store_put_registration(f->st, "vm1-new", &reg);
	fx_restart(f);
	assert_int_equal(store_load_registrations(f->st, print_registration, &b), 0);
	is_text(&b, "vm1-new 0 - - -\n");
	assert_int_equal(store_load(f->st, print_instance, &b), 0);
	is_text(&b, pasts[2].instances);
	fx_stop(f);
}

/* Nor can they be made: the disk is full or read-only. What is there is served. */
static void
tables_that_it_can_not_get(void **state)
{
	static const char *const missing[] = { "registrations", "routing", "cdr" };
	struct fx *f = *state;
	char *lock = fx_path(f, "c4d.lock"), *path = fx_path(f, "topology.mdb");
	struct store_view v;
	struct buf b = { 0 };
	size_t i;

	assert_int_equal(mkdir(lock, 0755), 0); /* no lock: no writing */
	for (i = 0; i < NELEM(missing); i++) {
		make_from(f, "routing", missing[i]);
		fx_start(f);
		store_view(f->st, &v);
		assert_true(v.failing);
		assert_null(v.set_aside);
		assert_int_equal(store_generation(f->st), 11);
		assert_int_equal(store_load(f->st, print_instance, &b), 0);
		is_text(&b, pasts[3].instances);
		assert_int_equal(store_load_registrations(f->st, print_registration, &b), 0);
		is_text(&b, i == 0 ? "" : pasts[3].registrations);
		has_rows(f, i == 1 ? 0 : 3, i == 2 ? 0 : 3);
		fx_stop(f);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(lock), 0);
	free(lock);
	free(path);
}

/* ---- what a later one wrote ---- */

static char *
contents(const char *path, size_t *len)
{
	char *text;

	assert_int_equal(file_read(path, 1 << 24, &text, len), 0);
	return text;
}

/* What is in the file is set aside as it is, `why` is said, and a new store begins; put back, it is set aside again. */
static void
is_set_aside(struct fx *f, const char *why)
{
	char *path = fx_path(f, "topology.mdb"), *before, *after, *aside;
	struct store_view v;
	size_t len, len2;
	int turn;

	before = contents(path, &len);
	for (turn = 0; turn < 2; turn++) {
		fx_forget_log(f);
		fx_start(f);
		store_view(f->st, &v);
		assert_non_null(v.set_aside);
		assert_non_null(strstr(v.set_aside, "topology.mdb.newer-"));
		assert_non_null(strstr(v.set_aside_why, "a newer c4d wrote it: "));
		assert_non_null(strstr(v.set_aside_why, why));
		assert_non_null(strstr(fx_logged(f), "warning store: "));
		assert_non_null(strstr(fx_logged(f), v.set_aside));
		assert_non_null(strstr(fx_logged(f), why));
		assert_false(v.failing);
		after = contents(v.set_aside, &len2);
		assert_int_equal(len2, len);
		assert_memory_equal(after, before, len);
		free(after);
		assert_int_equal(store_generation(f->st), 0);
		assert_loads(f, "");
		assert_false(store_adopted(f->st, "sbc/1"));
		aside = xstrdup(v.set_aside);
		fx_restart(f); /* the new one stays */
		store_view(f->st, &v);
		assert_null(v.set_aside);
		fx_stop(f);
		assert_int_equal(format_of(f), STORE_FORMAT);
		assert_int_equal(rename(aside, path), 0);
		free(aside);
	}
	assert_int_equal(unlink(path), 0);
	free(before);
	free(path);
}

static void
a_newer_format_is_set_aside(void **state)
{
	struct fx *f = *state;

	make_from(f, "routing", NULL);
	add(f, "meta", "format", "00000002");
	is_set_aside(f, "format 2, where this one reads up to 1");
	make_from(f, "routing", NULL);
	add(f, "meta", "format", "ffffffff0000");
	is_set_aside(f, "format 4294967295, where");
	/* one that has other tables, and none of ours */
	add(f, "meta", "format", "00000002");
	add(f, "everything", "else", "00");
	is_set_aside(f, "format 2");
}

static void
a_format_of_today_is_none(void **state)
{
	static const char *const values[] = { "00000001", "00000000", "0001", "" };
	struct fx *f = *state;
	char *path = fx_path(f, "topology.mdb");
	struct store_view v;
	size_t i;

	for (i = 0; i < NELEM(values); i++) {
		make_from(f, "routing", NULL);
		add(f, "meta", "format", values[i]);
		fx_start(f);
		store_view(f->st, &v);
		assert_null(v.set_aside);
		has_all(f, &pasts[3]);
		fx_stop(f);
		assert_int_equal(format_of(f), STORE_FORMAT);
		assert_int_equal(unlink(path), 0);
	}
	free(path);
}

/* To leave out instances would be to take them out of Kamailio. */
static void
newer_instances_are_set_aside(void **state)
{
	struct fx *f = *state;

	make_from(f, "routing", NULL);
	add(f, "instances", "aaa", "03");
	is_set_aside(f, "instances of version 3, where this one reads up to 2");
	make_from(f, "routing", NULL);
	add(f, "meta", "service:zzz", "0201");
	is_set_aside(f, "meta of version 2, where this one reads up to 1");
}

/* What else can't be read is skipped, said, and stays. */
static void
newer_records_beside_are_skipped(void **state)
{
	struct fx *f = *state;
	struct store_view v;
	struct buf b = { 0 };
	char *history;

	make_from(f, "routing", NULL);
	add(f, "registrations", "vm1-later", "02");
	add(f, "meta", "drain:router", "02");
	add(f, "meta", "something new", "09");
	add_bytes(f, "history", "\0\0\0\0\0\0\0\14\0", 9, "02");
	fx_start(f);
	store_view(f->st, &v);
	assert_null(v.set_aside);
	assert_int_equal(store_load_registrations(f->st, print_registration, &b), 1);
	is_text(&b, pasts[3].registrations);
	assert_int_equal(store_load_drains(f->st, print_drain, &b), 1);
	is_text(&b, pasts[3].drains);
	assert_non_null(strstr(fx_logged(f), "warning store: 1 registrations in "));
	assert_non_null(strstr(fx_logged(f), "warning store: 1 drains in "));
	assert_int_equal(store_load(f->st, print_instance, &b), 0);
	is_text(&b, pasts[3].instances);
	history = fx_history(f, NULL, NULL, 100);
	assert_memory_equal(history, pasts[3].newest, strlen(pasts[3].newest));
	free(history);
	fx_restart(f);
	assert_int_equal(store_load_registrations(f->st, print_registration, &b), 1); /* it is still there */
	buf_free(&b);
	fx_stop(f);
}

/* It can neither be set aside nor used: c4d goes on without, and does not spoil it. */
static void
a_newer_one_that_can_not_be_moved(void **state)
{
	struct fx *f = *state;
	char *lock = fx_path(f, "c4d.lock"), *path = fx_path(f, "topology.mdb"), *before, *after;
	size_t len, len2;

	make_from(f, "routing", NULL);
	add(f, "meta", "format", "00000002");
	before = contents(path, &len);
	assert_int_equal(mkdir(lock, 0755), 0);
	fx_start(f);
	assert_true(fx_is_failing(f));
	assert_non_null(strstr(fx_logged(f), "can't be read: a newer c4d wrote it: format 2"));
	assert_int_equal(store_generation(f->st), 0);
	assert_loads(f, "");
	fx_stop(f);
	after = contents(path, &len2);
	assert_int_equal(len2, len);
	assert_memory_equal(after, before, len);
	free(before);
	free(after);
	free(lock);
	free(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)
		T(what_earlier_ones_wrote_is_kept),
		T(tables_that_it_has_not),
		T(tables_that_it_can_not_get),
		T(a_newer_format_is_set_aside),
		T(a_format_of_today_is_none),
		T(newer_instances_are_set_aside),
		T(newer_records_beside_are_skipped),
		T(a_newer_one_that_can_not_be_moved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
