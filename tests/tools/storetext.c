/*
 * storetext: a store as text, one record a line: TABLE KEY VALUE, the two in hexadecimal. So the fixtures of tests/data/store were
 * made of stores that earlier versions of c4d wrote, and so tests make stores of them.
 *   storetext dump FILE >TEXT
 *   storetext load FILE <TEXT       into a new file, or into one that is there
 */
#include <ctype.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLES_MAX 16

static MDB_env *
storetext_open(const char *file, unsigned flags)
{
	MDB_env *env;

	if (mdb_env_create(&env) != 0 || mdb_env_set_maxdbs(env, TABLES_MAX) != 0 || mdb_env_set_mapsize(env, 64 << 20) != 0 ||
	    mdb_env_open(env, file, MDB_NOSUBDIR | MDB_NOLOCK | flags, 0600) != 0)
		return NULL;
	return env;
}

static size_t
storetext_unhex(const char *hex, unsigned char *out)
{
	size_t n = 0;
	unsigned byte;

	for (; isxdigit((unsigned char)hex[0]) && sscanf(hex, "%2x", &byte) == 1; hex += 2)
		out[n++] = (unsigned char)byte;
	return n;
}

/* 0, or what LMDB says; a line that is none of these is left out. */
static int
storetext_load(const char *file, FILE *text)
{
	MDB_env *env = storetext_open(file, 0);
	char *line = NULL, table[64], *hex;
	unsigned char *key = NULL, *val = NULL;
	size_t cap = 0;
	MDB_txn *txn = NULL;
	MDB_val k, v;
	MDB_dbi dbi;
	int rc = env == NULL ? -1 : mdb_txn_begin(env, NULL, 0, &txn), at;

	while (rc == 0 && getline(&line, &cap, text) >= 0) {
		if (line[0] == '#' || sscanf(line, "%63s %n", table, &at) != 1)
			continue;
		key = realloc(key, cap);
		val = realloc(val, cap);
		hex = line + at;
		rc = mdb_dbi_open(txn, table, MDB_CREATE, &dbi);
		k = (MDB_val){ storetext_unhex(hex, key), key };
		hex += strcspn(hex, " ");
		v = (MDB_val){ storetext_unhex(hex + strspn(hex, " "), val), val };
		if (rc == 0 && k.mv_size > 0) /* else a table with nothing in it */
			rc = mdb_put(txn, dbi, &k, &v, 0);
	}
	if (rc == 0)
		rc = mdb_txn_commit(txn);
	else if (txn != NULL)
		mdb_txn_abort(txn);
	if (env != NULL)
		mdb_env_close(env);
	free(line);
	free(key);
	free(val);
	return rc;
}

#ifndef STORETEXT_ONLY_LOAD
static void
hex(const MDB_val *v)
{
	size_t i;

	putchar(' ');
	for (i = 0; i < v->mv_size; i++)
		printf("%02x", ((const unsigned char *)v->mv_data)[i]);
}

static int
dump(const char *file)
{
	MDB_env *env = storetext_open(file, MDB_RDONLY);
	MDB_cursor *names, *cur;
	MDB_val name, k, v;
	MDB_txn *txn;
	MDB_dbi dbi;
	char table[64];

	if (env == NULL || mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) != 0 || mdb_dbi_open(txn, NULL, 0, &dbi) != 0 ||
	    mdb_cursor_open(txn, dbi, &names) != 0)
		return 1;
	while (mdb_cursor_get(names, &name, &v, MDB_NEXT) == 0) {
		snprintf(table, sizeof table, "%.*s", (int)name.mv_size, (const char *)name.mv_data);
		printf("%s\n", table);
		if (mdb_dbi_open(txn, table, 0, &dbi) != 0 || mdb_cursor_open(txn, dbi, &cur) != 0)
			return 1;
		while (mdb_cursor_get(cur, &k, &v, MDB_NEXT) == 0) {
			printf("%s", table);
			hex(&k);
			hex(&v);
			putchar('\n');
		}
	}
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "dump") == 0)
		return dump(argv[2]);
	if (argc == 3 && strcmp(argv[1], "load") == 0)
		return storetext_load(argv[2], stdin) != 0;
	fprintf(stderr, "usage: storetext dump|load FILE\n");
	return 2;
}
#endif
