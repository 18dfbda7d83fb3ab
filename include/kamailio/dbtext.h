/*
 * dbtext: table files of Kamailio's db_text (src/modules/db_text/dbt_file.c), pure: text in, text out.
 * A header line of columns "name(int|double|string|str|blob|time[,auto|,null])", then one row per line,
 * cells between ':', with the escapes \: \\ \n \r \t \0 in text cells. Blank lines are nothing; there are
 * no comments; a CR belongs to the cell or makes it invalid. An empty cell is a null one: the format has
 * no empty text.
 *
 * Kamailio is strict where it hurts: for one bad row it refuses the whole table, and does not start
 * when it needs that at its start. It leaves out, without a word, a last line that has no newline, and crashes when
 * that is the header (5.6.3, 6.0.1). So composed text only ever holds what is read back as it was put in.
 *
 * With db_mode 1 Kamailio reads a table anew when its file's time grew, see file_replace_newer(); with 0, the
 * default, never. It opens the file first and takes its time then: a write between the two counts as read. So
 * whoever reads back old rows after a reload that was "Ok" writes the same text once more.
 */
#ifndef KAMAILIO_DBTEXT_H
#define KAMAILIO_DBTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

#define DBTEXT_CELL_MAX 16383 /* bytes of a cell, unescaped: db_text's default file_buffer_size less one */
#define DBTEXT_COLS_MAX 128   /* Kamailio has no limit; its widest own table has 27 */
#define DBTEXT_VERSION_HEADER "id(int,auto) table_name(string) table_version(int) "

enum dbtext_type {
	DBTEXT_INT,
	DBTEXT_DOUBLE,
	DBTEXT_STRING, /* string and str */
	DBTEXT_BLOB,
	DBTEXT_TIME /* a number of seconds */
};

struct dbtext_col {
	char *name;
	enum dbtext_type type;
	bool null;      /* may be null */
	bool automatic; /* a null cell gets a number; at most one column */
};

struct dbtext_cell {
	char *s; /* with a NUL behind; NULL: null */
	size_t len;
};

/* Owns all of it. Zero, or as dbtext_parse() and dbtext_init() left it. */
struct dbtext {
	char *header; /* without its newline, kept as it was read */
	struct dbtext_col *cols;
	size_t n_cols;
	size_t cap_cols;
	struct dbtext_cell **rows; /* each of n_cols cells */
	size_t n_rows;
	size_t cap_rows;
	size_t n_bad;    /* lines left out by dbtext_parse(), see there */
	size_t bad_line; /* the first of them, counted from 1; 0: none */
	long last_auto;  /* the highest automatic number so far */
};

/*
 * `out` is written on success only. -EINVAL: the header is none to Kamailio (empty text too).
 * Rows that Kamailio would refuse (and the whole table with them) are left out and counted in n_bad,
 * as is a last line without newline, which it does not read, and a row that could not be written again (an
 * automatic number behind the cells that a line's early end makes empty).
 */
MUST_USE int dbtext_parse(const char *text, size_t len, struct dbtext *out);
/* A table without rows. The header's newline may be missing. -EINVAL: it is none. */
MUST_USE int dbtext_init(struct dbtext *out, const char *header);
void dbtext_clear(struct dbtext *);

/* The column's index, by name in any case as Kamailio finds it; -1: there is none. */
int dbtext_col(const struct dbtext *, const char *name);
/* NULL: null, or no such row or column (-1 is none). Text ends at its first NUL. */
const char *dbtext_cell(const struct dbtext *, size_t row, int col);
/*
 * Adds a row of n_cols cells, copied; NULL or "" is null, in the automatic column the next number.
 * -EINVAL: Kamailio would not read it back as it is (null where the column forbids it, no number within 32
 * bits); -EMSGSIZE: a cell above DBTEXT_CELL_MAX. *bad_col (may be
 * NULL) is the column then.
 */
MUST_USE int dbtext_add(struct dbtext *, const char *const cells[], size_t *bad_col);
/* Changes one cell; errors as dbtext_add(), -ENOENT: no such row or column. */
MUST_USE int dbtext_set(struct dbtext *, size_t row, int col, const char *text);
void dbtext_remove(struct dbtext *, size_t row);
/* The file's text in `out` (not initialised; never NULL text). */
void dbtext_compose(const struct dbtext *, struct buf *out);

/*
 * The `version` table's new text in `out` (not initialised): one row says `version` of `table`, in the first
 * of its rows' place or at the end; all other lines are kept byte for byte, also those that Kamailio
 * refuses; a missing last newline is added. Empty text: a table with DBTEXT_VERSION_HEADER and that row.
 * Equal to the old text when that was right, so that nobody needs to write it.
 * -EINVAL: the header has no table_name and table_version, or asks for more than numbers beside them, or
 * `table` is empty; `out` stays as it was.
 */
MUST_USE int dbtext_version_set(const char *text, size_t len, const char *table, int version,
    struct buf *out);
/* The version that the first good row about `table` says; 0: it has none, or is no such table. */
int dbtext_version_get(const char *text, size_t len, const char *table);

#endif
