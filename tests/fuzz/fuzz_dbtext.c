/*
 * fuzz_dbtext: any bytes as a db_text table. What was read is composed to a text that reads as the
 * same and has nothing bad in it, whatever is added and removed; and any bytes as a version table.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fuzz.h"
#include "kamailio/dbtext.h"

static void
must_equal(const struct dbtext *a, const struct dbtext *b)
{
	must(a->n_cols == b->n_cols && a->n_rows == b->n_rows && strcmp(a->header, b->header) == 0);
	for (size_t r = 0; r < a->n_rows; r++) {
		for (size_t c = 0; c < a->n_cols; c++) {
			const struct dbtext_cell *x = &a->rows[r][c], *y = &b->rows[r][c];

			must((x->s == NULL) == (y->s == NULL) && x->len == y->len);
			must(x->s == NULL ||
			     (memcmp(x->s, y->s, x->len + 1) == 0 && x->s[x->len] == '\0'));
		}
	}
}

static void
must_survive(const struct dbtext *t)
{
	struct dbtext again = { 0 };
	struct buf text, twice;

	dbtext_compose(t, &text);
	must(dbtext_parse(text.s, text.len, &again) == 0);
	must(again.n_bad == 0 && again.bad_line == 0);
	must_equal(t, &again);
	dbtext_compose(&again, &twice);
	must(text.len == twice.len && memcmp(text.s, twice.s, text.len) == 0);
	buf_free(&text);
	buf_free(&twice);
	dbtext_clear(&again);
}

/* Rows made of the cells that are there, a column further, so that some are refused. */
static void
change(struct dbtext *t)
{
	const char *cells[DBTEXT_COLS_MAX];
	size_t n = t->n_rows < 8 ? t->n_rows : 8, bad_col = 0;

	for (size_t r = 0; r < n; r++) {
		for (size_t c = 0; c < t->n_cols; c++)
			cells[c] = dbtext_cell(t, r, (int)((c + r) % t->n_cols));
		if (dbtext_add(t, cells, &bad_col) != 0)
			must(bad_col < t->n_cols);
		(void)!dbtext_set(t, r, (int)(r % t->n_cols), cells[0]);
	}
	must_survive(t);
	while (t->n_rows > n / 2)
		dbtext_remove(t, t->n_rows / 2);
	must_survive(t);
}

static size_t
count_versions(const struct dbtext *t, const char *table, const char *version)
{
	int name = dbtext_col(t, "table_name"), number = dbtext_col(t, "table_version");
	size_t n = 0;

	for (size_t r = 0; r < t->n_rows; r++) {
		const char *cell = dbtext_cell(t, r, name);

		if (cell != NULL && strcasecmp(cell, table) == 0) {
			must(strcmp(dbtext_cell(t, r, number), version) == 0);
			n++;
		}
	}
	return n;
}

static void
check_version(const char *text, size_t size)
{
	struct dbtext t = { 0 };
	struct buf out, again;

	if (dbtext_version_set(text, size, "domain", 2, &out) != 0)
		return;
	must(dbtext_parse(out.s, out.len, &t) == 0);
	must(count_versions(&t, "domain", "2") == 1);
	dbtext_clear(&t);
	must(dbtext_version_set(out.s, out.len, "domain", 2, &again) == 0);
	must(out.len == again.len && memcmp(out.s, again.s, out.len) == 0);
	buf_free(&out);
	buf_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct dbtext t = { 0 };

	check_version(text, size);
	if (dbtext_parse(text, size, &t) != 0) {
		must(t.header == NULL);
		return 0;
	}
	must(t.n_bad <= size && t.n_rows <= size && (t.n_bad > 0) == (t.bad_line > 0));
	must_survive(&t);
	change(&t);
	dbtext_clear(&t);
	return 0;
}
