/*
 * table_db: what the kinds of tables that are db_text files have in common. Pure.
 */
#ifndef RECONCILE_TABLE_DB_H
#define RECONCILE_TABLE_DB_H

#include "kamailio/dbtext.h"
#include "reconcile/table_kind.h"

#define TABLE_CELLS_MAX 17   /* that c4d gives a row, and one for the end */
#define TABLE_CELL_BYTES 256

/* What c4d says of a row: columns by name; those that the table does not have are left out. */
struct table_cell {
	const char *col;
	char text[TABLE_CELL_BYTES];
	const char *s; /* instead of text */
};

struct table_format {
	const char *header;
	/* A row of a table as ours; false: it is nobody's. */
	bool (*read)(const struct dbtext *, size_t i, struct table_rows *out);
	void (*cells)(const struct table_row *, struct table_cell out[TABLE_CELLS_MAX]); /* the first is the id, which is counted up */
	const char *keep[7]; /* columns that stay as they are in a row that is there */
	/* Before anything is written: makes the table one that can hold our rows. NULL: it is one, or can't be. */
	int (*prepare)(struct dbtext *);
};

int table_db_parse(const struct table_format *, const char *text, size_t len, struct table_rows *out, size_t *bad);
int table_db_compose(const struct table_format *, const char *old, size_t len, const struct table_scopes *, const struct table_rows *rows,
    struct buf *out, struct buf *why);
int64_t table_db_number(const struct dbtext *, size_t row, const char *col); /* 0: none */

#endif
