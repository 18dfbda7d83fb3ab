/*
 * format: whether this c4d can go on with a store that another version wrote. Older ones it reads; a newer one's says so by its
 * number, or by records that decide what Kamailio gets and that can't be read: to leave those out would be to take instances out.
 */
#include <stdio.h>
#include <string.h>

#include "store/record.h"
#include "store/store_int.h"

#define FORMAT_KEY "format"

static int
get(MDB_txn *txn, MDB_dbi dbi, const char *key, struct reader *out)
{
	MDB_val k = { strlen(key), (void *)(uintptr_t)key }, v;
	int rc = mdb_get(txn, dbi, &k, &v);

	if (rc == 0)
		*out = (struct reader){ v.mv_data, v.mv_size, false };
	return rc;
}

static bool
begins_with(const MDB_val *k, const char *prefix)
{
	return k->mv_size >= strlen(prefix) && memcmp(k->mv_data, prefix, strlen(prefix)) == 0;
}

/* The highest version of the records whose keys begin with `prefix`. */
static int
highest(MDB_txn *txn, MDB_dbi dbi, const char *prefix, unsigned *version)
{
	MDB_cursor *cur;
	MDB_val k = { strlen(prefix), (void *)(uintptr_t)prefix }, v;
	int rc = mdb_cursor_open(txn, dbi, &cur);

	*version = 0;
	if (rc != 0)
		return rc;
	rc = mdb_cursor_get(cur, &k, &v, *prefix != '\0' ? MDB_SET_RANGE : MDB_FIRST);
	for (; rc == 0 && begins_with(&k, prefix); rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT))
		if (v.mv_size > 0 && *(const uint8_t *)v.mv_data > *version)
			*version = *(const uint8_t *)v.mv_data;
	mdb_cursor_close(cur);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int
check(struct db *db, MDB_txn *txn, const char *table, const char *prefix, unsigned known)
{
	unsigned version = 0;
	MDB_dbi dbi;
	int rc = mdb_dbi_open(txn, table, 0, &dbi);

	if (rc == 0)
		rc = highest(txn, dbi, prefix, &version);
	if (rc == MDB_NOTFOUND) /* no such table, in a file that was just made */
		rc = 0;
	if (rc != 0 || version <= known)
		return rc;
	snprintf(db->newer, sizeof db->newer, "a newer c4d wrote it: %s of version %u, where this one reads up to %u", table, version, known);
	return DB_NEWER;
}

static int
check_number(struct db *db, MDB_txn *txn)
{
	struct reader r;
	MDB_dbi dbi;
	int rc = mdb_dbi_open(txn, "meta", 0, &dbi);

	db->format = 0;
	if (rc == 0)
		rc = get(txn, dbi, FORMAT_KEY, &r);
	if (rc != 0)
		return rc == MDB_NOTFOUND ? 0 : rc;
	db->format = get_u32(&r);
	if (db->format <= STORE_FORMAT)
		return 0;
	snprintf(db->newer, sizeof db->newer, "a newer c4d wrote it: format %u, where this one reads up to %u", db->format, STORE_FORMAT);
	return DB_NEWER;
}

int
format_check(struct db *db, MDB_txn *txn)
{
	int rc = check_number(db, txn);

	if (rc == 0)
		rc = check(db, txn, "instances", "", RECORD_INSTANCE_VERSION);
	if (rc == 0)
		rc = check(db, txn, "meta", "service:", RECORD_VERSION);
	return rc;
}

void
format_record(struct buf *key, struct buf *val)
{
	buf_puts(key, FORMAT_KEY);
	put_u32(val, STORE_FORMAT);
}
