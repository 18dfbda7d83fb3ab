#include "kamailio/dbtext.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DELIM ':'
#define FRACTION_MAX 9 /* digits; Kamailio counts them in an int */

/* Text without its newline. */
struct span {
	const char *p;
	const char *end;
};

/* The escapes of a text cell, as dbt_file.c reads and writes them. */
static const struct {
	char plain;
	char letter;
} escapes[] = {
	{ '\n', 'n' },
	{ '\r', 'r' },
	{ '\t', 't' },
	{ '\\', '\\' },
	{ DELIM, DELIM },
	{ '\0', '0' },
};

/* The next line of `text`, which is at least one byte. True when it has its newline. */
static bool
next_line(struct span *text, struct span *line)
{
	const char *nl = memchr(text->p, '\n', (size_t)(text->end - text->p));

	line->p = text->p;
	line->end = nl != NULL ? nl : text->end;
	text->p = nl != NULL ? nl + 1 : text->end;
	return nl != NULL;
}

static void
skip_spaces(struct span *s)
{
	while (s->p < s->end && *s->p == ' ')
		s->p++;
}

static bool
skip_to(struct span *s, const char *any)
{
	while (s->p < s->end && (*s->p == '\0' || strchr(any, *s->p) == NULL))
		s->p++;
	return s->p < s->end;
}

/* ---- the header ---- */

/* The first letter says it all. */
static int
type_of(char c, enum dbtext_type *out)
{
	static const struct {
		char letter;
		enum dbtext_type type;
	} types[] = {
		{ 'i', DBTEXT_INT },
		{ 'd', DBTEXT_DOUBLE },
		{ 's', DBTEXT_STRING },
		{ 'b', DBTEXT_BLOB },
		{ 't', DBTEXT_TIME },
	};
	size_t i;

	for (i = 0; i < NELEM(types); i++) {
		if (tolower((unsigned char)c) == types[i].letter) {
			*out = types[i].type;
			return 0;
		}
	}
	return -EINVAL;
}

static int
automatic_col(const struct dbtext *t)
{
	size_t i;

	for (i = 0; i < t->n_cols; i++)
		if (t->cols[i].automatic)
			return (int)i;
	return -1;
}

/* Behind "name": "(type[,flag])". */
static int
read_type(struct span *s, const struct dbtext *t, struct dbtext_col *col)
{
	skip_spaces(s);
	if (s->p == s->end || *s->p++ != '(')
		return -EINVAL;
	skip_spaces(s);
	if (s->p == s->end || type_of(*s->p, &col->type) != 0 || !skip_to(s, "),"))
		return -EINVAL;
	if (*s->p++ == ')')
		return 0;
	skip_spaces(s);
	if (s->p == s->end)
		return -EINVAL;
	if (tolower((unsigned char)*s->p) == 'n')
		col->null = true;
	else if (tolower((unsigned char)*s->p) == 'a' && col->type == DBTEXT_INT &&
		 automatic_col(t) < 0)
		col->automatic = true;
	else
		return -EINVAL;
	if (!skip_to(s, ")"))
		return -EINVAL;
	s->p++;
	return 0;
}

static int
read_header(struct span s, struct dbtext *t)
{
	struct dbtext_col *col;
	const char *name;
	int err;

	if (memchr(s.p, '\0', (size_t)(s.end - s.p)) != NULL)
		return -EINVAL;
	t->header = xstrndup(s.p, (size_t)(s.end - s.p));
	for (skip_spaces(&s); s.p < s.end; skip_spaces(&s)) {
		name = s.p;
		if (!skip_to(&s, " (") || s.p == name || s.p - name > DBTEXT_CELL_MAX)
			return -EINVAL;
		if (t->n_cols == DBTEXT_COLS_MAX)
			return -EINVAL;
		t->cols = xgrow(t->cols, t->n_cols, &t->cap_cols, sizeof *t->cols);
		col = &t->cols[t->n_cols];
		memset(col, 0, sizeof *col);
		col->name = xstrndup(name, (size_t)(s.p - name));
		err = read_type(&s, t, col);
		t->n_cols++;
		if (err != 0)
			return err;
	}
	return t->n_cols > 0 ? 0 : -EINVAL;
}

/* ---- cells ---- */

static bool
is_text(enum dbtext_type type)
{
	return type == DBTEXT_STRING || type == DBTEXT_BLOB;
}

static bool
at_cell_end(const struct span *s)
{
	return s->p == s->end || *s->p == DELIM;
}

static size_t
skip_digits(struct span *s)
{
	const char *start = s->p;

	while (s->p < s->end && isdigit((unsigned char)*s->p))
		s->p++;
	return (size_t)(s->p - start);
}

/* As far as it looks like a number to Kamailio; its value does not matter here. */
static bool
skip_number(struct span *s, enum dbtext_type type)
{
	if (s->p < s->end && *s->p == '-')
		s->p++;
	if (skip_digits(s) == 0)
		return false;
	if (type == DBTEXT_DOUBLE && s->p < s->end && *s->p == '.') {
		s->p++;
		skip_digits(s);
	}
	return true;
}

static int
unescape(char c, char *out)
{
	size_t i;

	for (i = 0; i < NELEM(escapes); i++) {
		if (c == escapes[i].letter) {
			*out = escapes[i].plain;
			return 0;
		}
	}
	return -EINVAL;
}

static int
read_text(struct span *s, struct dbtext_cell *out)
{
	struct buf b = { 0 };
	char c;

	buf_puts(&b, "");
	while (!at_cell_end(s)) {
		c = *s->p++;
		if (c == '\\' && (s->p == s->end || unescape(*s->p++, &c) != 0))
			goto bad;
		if (b.len == DBTEXT_CELL_MAX)
			goto bad;
		buf_add(&b, &c, 1);
	}
	out->len = b.len;
	out->s = buf_take(&b);
	return 0;
bad:
	buf_free(&b);
	return -EINVAL;
}

static int
read_cell(struct span *s, enum dbtext_type type, bool last, struct dbtext_cell *out)
{
	const char *start = s->p;

	if (s->p < s->end ? *s->p == DELIM : last)
		return 0; /* null */
	if (is_text(type))
		return read_text(s, out);
	if (!skip_number(s, type) || !at_cell_end(s))
		return -EINVAL;
	out->len = (size_t)(s->p - start);
	out->s = xstrndup(start, out->len);
	return 0;
}

static void
set_number(struct dbtext_cell *cell, long n)
{
	cell->s = xasprintf("%ld", n);
	cell->len = strlen(cell->s);
}

static void
free_row(const struct dbtext *t, struct dbtext_cell *row)
{
	size_t i;

	for (i = 0; i < t->n_cols; i++)
		free(row[i].s);
	free(row);
}

/* Not null but empty: only the end of a line that is too short makes such a cell. */
static bool
is_empty_text(const struct dbtext_cell *cell)
{
	return cell->s != NULL && cell->len == 0;
}

/* Behind an empty text are only empty texts and, last, a null: what the end of the line can say. */
static int
check_row(const struct dbtext *t, const struct dbtext_cell *row)
{
	size_t i;

	for (i = 1; i < t->n_cols; i++)
		if (is_empty_text(&row[i - 1]) &&
		    (i + 1 == t->n_cols ? row[i].s != NULL : !is_empty_text(&row[i])))
			return -EINVAL;
	return 0;
}

/* One line into a new row; *next_auto is what a null cell of the automatic column gets. */
static int
read_row(struct span s, const struct dbtext *t, long *next_auto, struct dbtext_cell **out)
{
	struct dbtext_cell *row = xcalloc(t->n_cols, sizeof *row);
	int err = 0;
	size_t i;

	for (i = 0; i < t->n_cols && err == 0; i++) {
		err = read_cell(&s, t->cols[i].type, i + 1 == t->n_cols, &row[i]);
		if (s.p < s.end && *s.p == DELIM)
			s.p++;
	}
	if (err == 0 && s.p != s.end)
		err = -EINVAL;
	for (i = 0; i < t->n_cols && err == 0; i++) {
		if (row[i].s != NULL || t->cols[i].null)
			continue;
		if (t->cols[i].automatic)
			set_number(&row[i], (*next_auto)++);
		else
			err = -EINVAL;
	}
	if (err == 0)
		err = check_row(t, row); /* a number came to stand behind an empty text */
	if (err != 0)
		free_row(t, row);
	else
		*out = row;
	return err;
}

/* ---- tables ---- */

/* So that the next automatic number is above all that are there; one beyond 32 bits is another to
 * Kamailio. */
static void
note_automatic(struct dbtext *t, const struct dbtext_cell *row)
{
	int col = automatic_col(t);
	long n;

	if (col < 0 || row[col].s == NULL)
		return;
	n = strtol(row[col].s, NULL, 10);
	if (n > t->last_auto && n <= INT_MAX)
		t->last_auto = n;
}

static void
add_row(struct dbtext *t, struct dbtext_cell *row)
{
	note_automatic(t, row);
	t->rows = xgrow(t->rows, t->n_rows, &t->cap_rows, sizeof *t->rows);
	t->rows[t->n_rows++] = row;
}

int
dbtext_parse(const char *text, size_t len, struct dbtext *out)
{
	struct span rest = { text, len > 0 ? text + len : text }, line;
	struct dbtext t = { 0 };
	struct dbtext_cell *row;
	size_t line_no = 1;
	long next_auto = 1;
	bool ended;
	int err;

	if (len == 0)
		return -EINVAL;
	ended = next_line(&rest, &line);
	err = read_header(line, &t);
	if (err != 0) {
		dbtext_clear(&t);
		return err;
	}
	if (!ended) {
		t.n_bad++;
		t.bad_line = line_no;
	}
	while (rest.p < rest.end) {
		ended = next_line(&rest, &line);
		line_no++;
		if (line.p == line.end)
			continue;
		if (ended && read_row(line, &t, &next_auto, &row) == 0) {
			add_row(&t, row);
			continue;
		}
		if (t.n_bad++ == 0)
			t.bad_line = line_no;
	}
	*out = t;
	return 0;
}

int
dbtext_init(struct dbtext *out, const char *header)
{
	struct span line = { header, header + strcspn(header, "\n") };
	struct dbtext t = { 0 };
	int err = read_header(line, &t);

	if (err == 0)
		*out = t;
	else
		dbtext_clear(&t);
	return err;
}

void
dbtext_clear(struct dbtext *t)
{
	size_t i;

	for (i = 0; i < t->n_rows; i++)
		free_row(t, t->rows[i]);
	for (i = 0; i < t->n_cols; i++)
		free(t->cols[i].name);
	free(t->rows);
	free(t->cols);
	free(t->header);
	memset(t, 0, sizeof *t);
}

int
dbtext_col(const struct dbtext *t, const char *name)
{
	size_t i;

	for (i = 0; i < t->n_cols; i++)
		if (strcasecmp(t->cols[i].name, name) == 0)
			return (int)i;
	return -1;
}

const char *
dbtext_cell(const struct dbtext *t, size_t row, int col)
{
	if (row >= t->n_rows || col < 0 || (size_t)col >= t->n_cols)
		return NULL;
	return t->rows[row][col].s;
}

/* ---- changing ---- */

/* A number that Kamailio reads as the same one. */
static bool
is_number(const char *text, enum dbtext_type type)
{
	struct span s = { text, text + strlen(text) };
	const char *dot = strchr(text, '.');
	long n;

	if (!skip_number(&s, type) || s.p != s.end)
		return false;
	if (dot != NULL && s.end - dot - 1 > FRACTION_MAX)
		return false;
	if (type == DBTEXT_DOUBLE)
		return true;
	errno = 0;
	n = strtol(text, NULL, 10);
	return errno == 0 && n >= INT_MIN && n <= INT_MAX;
}

static int
fill_cell(const struct dbtext *t, size_t col, const char *text, struct dbtext_cell *out)
{
	if (text == NULL || *text == '\0') {
		if (t->cols[col].null)
			return 0;
		if (!t->cols[col].automatic || t->last_auto >= INT_MAX)
			return -EINVAL;
		set_number(out, t->last_auto + 1);
		return 0;
	}
	if (strlen(text) > DBTEXT_CELL_MAX)
		return -EMSGSIZE;
	if (!is_text(t->cols[col].type) && !is_number(text, t->cols[col].type))
		return -EINVAL;
	out->s = xstrdup(text);
	out->len = strlen(text);
	return 0;
}

int
dbtext_add(struct dbtext *t, const char *const cells[], size_t *bad_col)
{
	struct dbtext_cell *row = xcalloc(t->n_cols, sizeof *row);
	int err = 0;
	size_t i;

	for (i = 0; i < t->n_cols && err == 0; i++) {
		err = fill_cell(t, i, cells[i], &row[i]);
		if (err != 0 && bad_col != NULL)
			*bad_col = i;
	}
	if (err == 0)
		add_row(t, row);
	else
		free_row(t, row);
	return err;
}

int
dbtext_set(struct dbtext *t, size_t row, int col, const char *text)
{
	struct dbtext_cell cell = { 0 }, *at, old;
	int err;

	if (row >= t->n_rows || col < 0 || (size_t)col >= t->n_cols)
		return -ENOENT;
	err = fill_cell(t, (size_t)col, text, &cell);
	if (err != 0)
		return err;
	at = &t->rows[row][col];
	old = *at;
	*at = cell;
	err = check_row(t, t->rows[row]);
	if (err != 0)
		*at = old;
	else
		note_automatic(t, t->rows[row]);
	free(err != 0 ? cell.s : old.s);
	return err;
}

void
dbtext_remove(struct dbtext *t, size_t row)
{
	if (row >= t->n_rows)
		return;
	free_row(t, t->rows[row]);
	t->n_rows--;
	memmove(&t->rows[row], &t->rows[row + 1], (t->n_rows - row) * sizeof *t->rows);
}

/* ---- composing ---- */

static void
write_cell(struct buf *out, const struct dbtext_cell *cell)
{
	size_t i, k, plain = 0; /* since where nothing needs an escape */

	for (i = 0; i < cell->len; i++) {
		for (k = 0; k < NELEM(escapes) && cell->s[i] != escapes[k].plain; k++)
			;
		if (k == NELEM(escapes))
			continue;
		buf_add(out, cell->s + plain, i - plain);
		buf_printf(out, "\\%c", escapes[k].letter);
		plain = i + 1;
	}
	if (cell->s != NULL)
		buf_add(out, cell->s + plain, cell->len - plain);
}

static void
write_row(struct buf *out, const struct dbtext *t, const struct dbtext_cell *row)
{
	size_t i;

	for (i = 0; i < t->n_cols; i++) {
		if (i > 0)
			buf_add(out, &(char){ DELIM }, 1);
		if (is_empty_text(&row[i])) /* said by ending the line here, see check_row() */
			break;
		write_cell(out, &row[i]);
	}
	/* A null cell alone must not be a blank line, which is no row. */
	buf_puts(out, t->n_cols == 1 && row[0].s == NULL ? ":\n" : "\n");
}

void
dbtext_compose(const struct dbtext *t, struct buf *out)
{
	struct buf text = { 0 };
	size_t i;

	buf_puts(&text, t->header != NULL ? t->header : "");
	buf_puts(&text, "\n");
	for (i = 0; i < t->n_rows; i++)
		write_row(&text, t, t->rows[i]);
	*out = text;
}

/* ---- the version table ---- */

struct version_table {
	struct dbtext t; /* its columns */
	int name;
	int version;
	const char *table; /* whose row it is about */
	char text[16]; /* the version */
	bool done; /* the row has been seen */
};

static int
version_init(struct version_table *v, struct span header, const char *table, int version)
{
	int err = read_header(header, &v->t);

	v->name = dbtext_col(&v->t, "table_name");
	v->version = dbtext_col(&v->t, "table_version");
	v->table = table;
	snprintf(v->text, sizeof v->text, "%d", version);
	if (err == 0 && (v->name < 0 || v->version < 0 || !is_text(v->t.cols[v->name].type) ||
			    v->t.cols[v->version].type != DBTEXT_INT))
		err = -EINVAL;
	return err;
}

/* Kamailio's own version files say 0 where nothing needs to be said. */
static int
version_add(struct version_table *v, struct buf *out)
{
	const char *cells[DBTEXT_COLS_MAX];
	size_t i;
	int err;

	for (i = 0; i < v->t.n_cols; i++)
		cells[i] = v->t.cols[i].null ? NULL : is_text(v->t.cols[i].type) ? "" : "0";
	cells[v->name] = v->table;
	cells[v->version] = v->text;
	err = dbtext_add(&v->t, cells, NULL);
	if (err == 0)
		write_row(out, &v->t, v->t.rows[0]);
	return err;
}

static void
copy_line(struct buf *out, struct span line)
{
	buf_add(out, line.p, (size_t)(line.end - line.p));
	buf_puts(out, "\n");
}

/* One old line: kept, or changed, or dropped when an earlier one is about the same table. */
static void
version_line(struct version_table *v, struct span line, struct buf *out)
{
	struct dbtext_cell *row, *cell;
	long next_auto = 1;

	if (line.p == line.end || read_row(line, &v->t, &next_auto, &row) != 0) {
		copy_line(out, line);
		return;
	}
	cell = &row[v->version];
	if (row[v->name].s == NULL || strcasecmp(row[v->name].s, v->table) != 0) {
		copy_line(out, line);
	} else if (!v->done && cell->s != NULL && strcmp(cell->s, v->text) == 0) {
		v->done = true;
		copy_line(out, line);
	} else if (!v->done) {
		free(cell->s);
		cell->s = xstrdup(v->text);
		cell->len = strlen(v->text);
		v->done = check_row(&v->t, row) == 0;
		if (v->done)
			write_row(out, &v->t, row);
	}
	free_row(&v->t, row);
}

int
dbtext_version_set(const char *text, size_t len, const char *table, int version, struct buf *out)
{
	static const char fresh[] = DBTEXT_VERSION_HEADER "\n";
	struct version_table v = { .name = -1 };
	struct span rest = { text, len > 0 ? text + len : text }, line;
	struct buf b = { 0 };
	int err;

	if (len == 0)
		rest = (struct span){ fresh, fresh + strlen(fresh) };
	(void)next_line(&rest, &line);
	err = version_init(&v, line, table, version);
	if (err != 0)
		goto out;
	copy_line(&b, line);
	while (rest.p < rest.end) {
		(void)next_line(&rest, &line);
		version_line(&v, line, &b);
	}
	if (!v.done)
		err = version_add(&v, &b);
out:
	dbtext_clear(&v.t);
	if (err == 0)
		*out = b;
	else
		buf_free(&b);
	return err;
}

int
dbtext_version_get(const char *text, size_t len, const char *table)
{
	struct dbtext t = { 0 };
	const char *name, *number;
	int64_t version = 0;
	size_t i;

	if (dbtext_parse(text, len, &t) != 0)
		return 0;
	for (i = 0; i < t.n_rows && version == 0; i++) {
		name = dbtext_cell(&t, i, dbtext_col(&t, "table_name"));
		number = dbtext_cell(&t, i, dbtext_col(&t, "table_version"));
		if (name == NULL || number == NULL || strcasecmp(name, table) != 0 || text_parse_int(number, 1, INT32_MAX, &version) != 0)
			version = 0;
	}
	dbtext_clear(&t);
	return (int)version;
}
