/*
 * verify: each kind of damage is found and named, in a file that LMDB itself made; and what keeps it from reading.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <lmdb.h>

#include "base/file.h"
#include "dir_fx.h"
#include "fault.h"
#include "store/verify.h"

enum { BRANCH = 1, LEAF = 2, OVERFLOW = 4 };
enum { BIG = 1, SUBTREE = 2 };
enum { HEADER = 16, META_TREES = HEADER + 24, TREE = 48, META_LAST = META_TREES + 2 * TREE, META_TXN = META_LAST + 8 };

struct fx {
	char dir[64];
	char *path;
	uint8_t *data; /* of the file that LMDB made */
	size_t len, page;
	uint8_t *meta; /* the newest of the two */
};

static uint64_t
get(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	memcpy(&v, p, n); /* the machine's own order, which is little endian wherever c4d's tests run */
	return v;
}

static void
set(uint8_t *p, size_t n, uint64_t v)
{
	memcpy(p, &v, n);
}

/* ---- the parts of the file ---- */

static uint8_t *
page(struct fx *f, uint64_t number)
{
	assert_in_range(number, 2, f->len / f->page - 1);
	return f->data + number * f->page;
}

static uint8_t *
node(uint8_t *pg, unsigned i)
{
	return pg + get(pg + HEADER + 2 * i, 2);
}

static uint8_t *
value(uint8_t *n)
{
	return n + 8 + get(n + 6, 2);
}

static uint8_t *
main_page(struct fx *f)
{
	return page(f, get(f->meta + META_TREES + TREE + 40, 8));
}

static uint8_t *
free_leaf(struct fx *f)
{
	uint8_t *pg = page(f, get(f->meta + META_TREES + 40, 8));

	assert_int_equal(get(pg + 10, 2), LEAF);
	return pg;
}

/* The i-th table's record in the main tree: "big", "many" by their names' order. */
static uint8_t *
table(struct fx *f, unsigned i)
{
	return value(node(main_page(f), i));
}

static uint8_t *
big_leaf(struct fx *f)
{
	return page(f, get(table(f, 0) + 40, 8));
}

static uint8_t *
big_overflow(struct fx *f)
{
	uint8_t *n = node(big_leaf(f), 0);

	assert_int_equal(get(n + 4, 2), BIG);
	return page(f, get(value(n), 8));
}

static uint8_t *
many_root(struct fx *f)
{
	uint8_t *pg = page(f, get(table(f, 1) + 40, 8));

	assert_int_equal(get(pg + 10, 2), BRANCH);
	return pg;
}

static uint8_t *
many_leaf(struct fx *f)
{
	return page(f, get(node(many_root(f), 0), 6));
}

/* A list of at least two free pages. */
static uint8_t *
free_list(struct fx *f)
{
	uint8_t *pg = free_leaf(f);
	unsigned i, n = (unsigned)(get(pg + 12, 2) - HEADER) / 2;

	for (i = 0; i < n; i++)
		if (get(value(node(pg, i)), 8) >= 2)
			return value(node(pg, i));
	fail_msg("no list of free pages");
	return NULL;
}

/* ---- the damages ---- */

static void no_magic(struct fx *f) { set(f->data + HEADER, 4, 1); }
static void no_meta(struct fx *f) { set(f->data + 10, 2, LEAF); }
static void second_meta(struct fx *f) { set(f->data + f->page + HEADER, 4, 1); }
static void page_size(struct fx *f) { set(f->data + META_TREES, 4, 512); }
static void no_pages(struct fx *f) { set(f->meta + META_LAST, 8, 0); }
static void too_many_pages(struct fx *f) { set(f->meta + META_LAST, 8, (uint64_t)1 << 40); }
static void main_out_of_range(struct fx *f) { set(f->meta + META_TREES + TREE + 40, 8, get(f->meta + META_LAST, 8) + 1); }
static void main_in_meta(struct fx *f) { set(f->meta + META_TREES + TREE + 40, 8, 1); }
static void twice(struct fx *f) { set(node(many_root(f), 1), 6, get(node(many_root(f), 0), 6)); }
static void another_number(struct fx *f) { set(many_leaf(f), 8, 77); }
static void free_key(struct fx *f) { set(node(free_leaf(f), 0) + 6, 2, 7); }
static void free_keys_order(struct fx *f) { set(node(free_leaf(f), 0) + 8, 8, UINT64_MAX); }
static void keys_order(struct fx *f) { value(node(many_leaf(f), 0))[-1] = 'z'; }
static void key_shorter(struct fx *f) { memcpy(node(many_leaf(f), 1) + 8, node(many_leaf(f), 0) + 8, 40); }
static void free_size(struct fx *f) { set(node(free_leaf(f), 0), 2, get(node(free_leaf(f), 0), 2) - 1); }
static void free_too_long(struct fx *f) { set(free_list(f), 8, 1000); }
static void free_order(struct fx *f) { set(free_list(f) + 16, 8, get(free_list(f) + 8, 8)); }
static void free_used(struct fx *f) { set(free_list(f) + 8, 8, get(f->meta + META_TREES + TREE + 40, 8)); }
static void overflow_kind(struct fx *f) { set(big_overflow(f) + 10, 2, LEAF); }
static void overflow_length(struct fx *f) { set(big_overflow(f) + 12, 4, 1); }
static void overflow_page(struct fx *f) { set(value(node(big_leaf(f), 0)), 8, 1); }
static void node_flags(struct fx *f) { set(node(many_leaf(f), 0) + 4, 2, 4); }
static void node_length(struct fx *f) { set(node(many_leaf(f), 0), 2, 5000); }
static void tree_in_tree(struct fx *f) { set(node(many_leaf(f), 0) + 4, 2, SUBTREE); }
static void no_table(struct fx *f) { set(node(main_page(f), 0) + 4, 2, 0); }
static void page_kind(struct fx *f) { set(many_leaf(f) + 10, 2, BRANCH); }
static void page_lower(struct fx *f) { set(many_leaf(f) + 12, 2, get(many_leaf(f) + 12, 2) + 1); }
static void page_upper(struct fx *f) { set(many_leaf(f) + 14, 2, 0xffff); }
static void page_empty(struct fx *f) { set(many_leaf(f) + 12, 2, HEADER); }
static void branch_of_one(struct fx *f) { set(many_root(f) + 12, 2, HEADER + 2); }
static void node_outside(struct fx *f) { set(many_leaf(f) + HEADER, 2, f->page - 2); }
static void node_odd(struct fx *f) { set(many_leaf(f) + HEADER, 2, get(many_leaf(f) + HEADER, 2) + 1); }
static void branch_key(struct fx *f) { set(node(many_root(f), 1) + 6, 2, 5000); }
static void table_kind(struct fx *f) { set(table(f, 1) + 4, 2, 4); }
static void free_kind(struct fx *f) { set(f->meta + META_TREES + 4, 2, 0); }
static void depth_none(struct fx *f) { set(table(f, 1) + 6, 2, 0); }
static void depth_large(struct fx *f) { set(table(f, 1) + 6, 2, 33); }
static void depth_wrong(struct fx *f) { set(table(f, 1) + 6, 2, 1); }
static void entries(struct fx *f) { set(table(f, 1) + 32, 8, 9); }
static void overlap(struct fx *f) { set(many_leaf(f) + HEADER + 2, 2, get(many_leaf(f) + HEADER + 2, 2) + 2); }
static void short_file(struct fx *f) { f->len = 4 * f->page; }
static void shorter_file(struct fx *f) { f->len = f->page; }
static void stump(struct fx *f) { f->len = 100; }

static const struct {
	void (*damage)(struct fx *);
	const char *why; /* NULL: any */
} damages[] = {
	{ no_magic, "no LMDB file" },
	{ no_meta, "no LMDB file" },
	{ second_meta, "no LMDB file" },
	{ page_size, "another page size" },
	{ no_pages, "impossible number of pages" },
	{ too_many_pages, "impossible number of pages" },
	{ main_out_of_range, "a page number out of range" },
	{ main_in_meta, "a page number out of range" },
	{ twice, "a page in two places" },
	{ another_number, "a page with another one's number" },
	{ free_key, "a key of the wrong size" },
	{ free_keys_order, "keys out of order" },
	{ keys_order, "keys out of order" },
	{ key_shorter, "keys out of order" },
	{ free_size, "a list of free pages of the wrong size" },
	{ free_too_long, "a list of free pages that is too long" },
	{ free_order, "a list of free pages out of order" },
	{ free_used, "a page in two places" },
	{ overflow_kind, "a broken overflow page" },
	{ overflow_length, "a broken overflow page" },
	{ overflow_page, "a page number out of range" },
	{ node_flags, "a broken record" },
	{ node_length, "a broken record" },
	{ tree_in_tree, "a tree in a tree" },
	{ no_table, "a broken table" },
	{ page_kind, "a broken page" },
	{ page_lower, "a broken page" },
	{ page_upper, "a broken page" },
	{ page_empty, "a page with too few records" },
	{ branch_of_one, "a page with too few records" },
	{ node_outside, "a record outside of its page" },
	{ node_odd, "a record outside of its page" },
	{ branch_key, "a broken record" },
	{ table_kind, "a table of another kind" },
	{ free_kind, "a table of another kind" },
	{ depth_none, "an impossible depth" },
	{ depth_large, "an impossible depth" },
	{ depth_wrong, "a broken page" },
	{ entries, "a table with another number of records" },
	{ overlap, NULL },
	{ short_file, "the file is too short" },
	{ shorter_file, "no LMDB file" },
	{ stump, "no LMDB file" },
};

/* ---- */

static void
put(MDB_txn *txn, MDB_dbi dbi, const char *key, size_t len)
{
	static char bytes[12000];
	MDB_val k = { strlen(key), (void *)(uintptr_t)key }, v = { len, bytes };

	assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
}

/* Two tables: one with values on pages of their own, one of several pages, of which some have become free again. */
static void
make(struct fx *f)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi big, many;
	char key[64];
	int i, turn;

	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 2), 0);
	assert_int_equal(mdb_env_open(env, f->path, MDB_NOSUBDIR | MDB_NOLOCK, 0600), 0);
	for (turn = 0; turn < 4; turn++) {
		assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
		assert_int_equal(mdb_dbi_open(txn, "big", MDB_CREATE, &big), 0);
		assert_int_equal(mdb_dbi_open(txn, "many", MDB_CREATE, &many), 0);
		put(txn, big, "one", 9000);
		put(txn, big, "two", 4200);
		for (i = 0; i < 200; i++) {
			MDB_val k = { 0, key };

			k.mv_size = (size_t)snprintf(key, sizeof key, "a key of some length and the number %03d", i);
			if (turn == 2 && i > 100)
				assert_int_equal(mdb_del(txn, many, &k, NULL), 0);
			else if (turn < 2)
				put(txn, many, key, 50);
		}
		assert_int_equal(mdb_txn_commit(txn), 0);
	}
	mdb_env_close(env);
}

static int
setup(void **state)
{
	struct fx *f = xcalloc(1, sizeof *f);

	make_dir(f->dir);
	f->path = xasprintf("%s/f", f->dir);
	make(f);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fx *f = *state;

	fault_clear();
	(void)unlink(f->path);
	(void)rmdir(f->dir);
	free(f->path);
	free(f->data);
	free(f);
	return 0;
}

static void
read_file(struct fx *f)
{
	free(f->data);
	assert_int_equal(file_read(f->path, 1 << 24, (char **)&f->data, &f->len), 0);
	f->page = (size_t)sysconf(_SC_PAGESIZE);
	f->meta = f->data;
	if (get(f->data + f->page + META_TXN, 8) > get(f->data + META_TXN, 8))
		f->meta = f->data + f->page;
}

static void
every_damage_is_named(void **state)
{
	struct fx *f = *state;
	char *other = xasprintf("%s/other", f->dir);
	const char *why = NULL, *what;
	size_t i;

	assert_int_equal(store_verify(f->path, &why), 0);
	assert_null(why);
	for (i = 0; i < NELEM(damages); i++) {
		read_file(f);
		damages[i].damage(f);
		assert_int_equal(file_replace(other, f->data, f->len, &what), 0);
		why = NULL;
		if (store_verify(other, &why) != -EBADMSG)
			fail_msg("damage %zu (%s) is not seen", i, damages[i].why);
		assert_non_null(why);
		if (damages[i].why != NULL && strcmp(why, damages[i].why) != 0)
			fail_msg("damage %zu: \"%s\" and not \"%s\"", i, why, damages[i].why);
	}
	(void)unlink(other);
	free(other);
}

static void
what_cannot_be_read_is_another_error(void **state)
{
	static const struct {
		const char *call;
		int err;
	} cases[] = { { "open", EACCES }, { "open", EMFILE }, { "fstat", EIO }, { "mmap", ENOMEM } };
	struct fx *f = *state;
	char *none = xasprintf("%s/none", f->dir);
	const char *why = NULL, *what;
	size_t i;

	for (i = 0; i < NELEM(cases); i++) {
		fault_set(cases[i].call, 1, cases[i].err);
		assert_int_equal(store_verify(f->path, &why), -cases[i].err);
		assert_int_equal(fault_hits(), 1);
		fault_clear();
		assert_null(why);
	}
	assert_int_equal(store_verify(f->dir, &why), -EINVAL);
	assert_int_equal(store_verify(none, &why), 0);
	assert_int_equal(file_replace(none, "", 0, &what), 0);
	assert_int_equal(store_verify(none, &why), 0);
	assert_null(why);
	(void)unlink(none);
	free(none);
}

int
main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(every_damage_is_named),
		T(what_cannot_be_read_is_another_error),
	};

	return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
