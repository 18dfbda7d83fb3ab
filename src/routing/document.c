#include "routing/data.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/worker.h"
#include "routing/data_int.h"
#include "routing/value.h"

#define REPORTS_MAX 1000

/* What is being read, and where. */
struct reading {
	rt_report_cb *cb;
	void *arg;
	size_t reports;
	struct rt_row **rows;    /* as they stand in the document; NULL: not read */
	size_t n;
	size_t first[RT_TABLES]; /* where each table's begin */
	unsigned broken;         /* tables with a row that could not be read */
	const struct rt_pair *pairs; /* NULL: one document; else one for each row */
	const char *here;        /* the table or the pair's key, */
	size_t at;               /* and which row of the table */
};

/* Keys and bad syntax may hold what a terminal would obey, or half a character. */
static char *
plain(const char *text)
{
	char *copy = xstrdup(text);

	for (char *p = copy; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
			*p = '?';
	return copy;
}

/* `path` is made plain, `text` is. */
static void
tell(struct reading *r, const char *path, const char *text)
{
	char *shown;

	if (r->reports++ >= REPORTS_MAX || r->cb == NULL)
		return;
	shown = plain(path);
	r->cb(r->arg, shown, text);
	free(shown);
}

static void
tell_rest(struct reading *r)
{
	char text[64];

	if (r->reports <= REPORTS_MAX || r->cb == NULL)
		return;
	snprintf(text, sizeof text, "and %zu more", r->reports - REPORTS_MAX);
	r->cb(r->arg, "", text);
}

/* Of the row that is being read; `path` is the column. */
static void
tell_row(void *arg, const char *path, const char *text)
{
	struct reading *r = arg;
	struct buf whole = { 0 };

	if (r->reports >= REPORTS_MAX) {
		r->reports++;
		return;
	}
	buf_puts(&whole, r->here);
	if (r->pairs == NULL)
		buf_printf(&whole, "[%zu]", r->at);
	if (path[0] != '\0')
		buf_printf(&whole, ".%s", path);
	tell(r, whole.s, text);
	buf_free(&whole);
}

static void
tell_data(void *arg, const char *path, const char *text)
{
	tell(arg, path, text);
}

/* Rows are looked for one by one: there are REPORTS_MAX reports at most. */
static void
path_of_row(void *arg, const struct rt_row *row, char *out, size_t size)
{
	const struct reading *r = arg;
	size_t i = r->pairs == NULL ? r->first[row->table] : 0;

	out[0] = '\0';
	if (r->reports >= REPORTS_MAX)
		return;
	while (i < r->n && r->rows[i] != row)
		i++;
	if (r->pairs != NULL && i < r->n)
		snprintf(out, size, "%s", r->pairs[i].key);
	else
		snprintf(out, size, "%s[%zu]", rt_schemas[row->table].name, i - r->first[row->table]);
}

/* ---- syntax ---- */

static void
tell_place(struct reading *r, size_t line, size_t column, const char *text)
{
	struct buf path = { 0 };

	if (r->pairs != NULL)
		buf_printf(&path, "%s: ", r->here);
	buf_printf(&path, "line %zu, column %zu", line, column);
	tell(r, path.s, text);
	buf_free(&path);
}

/* Where it is too deep for anything that recurses; 0: nowhere. */
static bool
is_too_deep(struct reading *r, const char *text, size_t len)
{
	size_t line = 1, start = 0, depth = 0;
	bool quoted = false;
	char what[64];

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '\n') {
			line++;
			start = i + 1;
		}
		if (quoted) {
			i += c == '\\';
			quoted = c != '"' && c != '\n';
		} else if (c == '"') {
			quoted = true;
		} else if (c == '[' || c == '{') {
			if (++depth <= RT_DEPTH_MAX)
				continue;
			snprintf(what, sizeof what, "is nested more than %d deep", RT_DEPTH_MAX);
			tell_place(r, line, i - start + 1, what);
			return true;
		} else if (c == ']' || c == '}') {
			depth -= depth > 0;
		}
	}
	return false;
}

/* What stands near may be a password: a key that occurs twice is not. */
static void
tell_syntax(struct reading *r, const json_error_t *error)
{
	enum json_error_code code = json_error_code(error);
	char *text = plain(error->text), *near = strstr(text, " near '"), *whole;

	if (near != NULL && code != json_error_duplicate_key)
		*near = '\0';
	whole = xasprintf("%s%s", code == json_error_invalid_utf8 ? "is not UTF-8: " : "",
	    code == json_error_null_character ? "must be without \\u0000" : text);
	tell_place(r, error->line > 0 ? (size_t)error->line : 1, error->column > 0 ? (size_t)error->column : 1, whole);
	free(whole);
	free(text);
}

struct source {
	const char *text;
	size_t left;
};

/* jansson asks for a little at a time: a good place for others' turn. */
static size_t
read_some(void *buffer, size_t size, void *arg)
{
	struct source *s = arg;
	size_t n = s->left < size ? s->left : size;

	worker_breathe();
	memcpy(buffer, s->text, n);
	s->text += n;
	s->left -= n;
	return n;
}

static json_t *
load(struct reading *r, const char *text, size_t len)
{
	struct source source;
	json_error_t error;
	json_t *json;

	if (len > RT_DOCUMENT_MAX) {
		char what[64];

		snprintf(what, sizeof what, "must have at most %u bytes, has %zu", RT_DOCUMENT_MAX, len);
		tell(r, r->pairs != NULL ? r->here : "", what);
		return NULL;
	}
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* editors put it there */
		text += 3;
		len -= 3;
	}
	if (is_too_deep(r, text, len))
		return NULL;
	source = (struct source){ text, len };
	json = json_load_callback(read_some, &source, JSON_REJECT_DUPLICATES, &error);
	if (json == NULL)
		tell_syntax(r, &error);
	return json;
}

/* ---- one document ---- */

static void
tell_unknown(struct reading *r, const char *key)
{
	struct buf text = { 0 };

	buf_puts(&text, "there is no table ");
	value_show(&text, key);
	buf_puts(&text, "; there are");
	for (int t = 0; t < RT_ALL; t++)
		buf_printf(&text, " %s", rt_schemas[t].name);
	tell(r, strlen(key) <= 64 && text_is_printable(key, strlen(key)) ? key : "", text.s);
	buf_free(&text);
}

/* How many rows there are. */
static size_t
check_tables(struct reading *r, json_t *root, bool cdrs)
{
	const char *key;
	json_t *value;
	size_t n = 0;

	json_object_foreach(root, key, value) {
		int t = rt_schema_find(key);

		if (t < 0) {
			tell_unknown(r, key);
		} else if (json_is_array(value)) {
			n += json_array_size(value);
			if (t == RT_CDRS && !cdrs && json_array_size(value) > 0)
				tell(r, key, "can't be loaded from here: take them out of the document");
		} else if (!json_is_null(value)) {
			tell(r, key, "must be an array of objects");
			r->broken |= 1u << t;
		}
	}
	return n;
}

static struct rt_row *
read_row(struct reading *r, enum rt_table t, const json_t *obj)
{
	struct rt_row *row;

	if (rt_row_parse(&row, t, obj, NULL, 0, "", tell_row, r) == 0)
		return row;
	r->broken |= 1u << t;
	return NULL;
}

/* The JSON goes as soon as there are rows of it: it is many times as large. */
static void
read_table(struct reading *r, enum rt_table t, json_t *root, struct rt_row **rows, size_t *n)
{
	const json_t *array = json_object_get(root, rt_schemas[t].name);
	size_t size = json_array_size(array);

	r->here = rt_schemas[t].name;
	for (size_t i = 0; i < size; i++) {
		r->at = i;
		rows[(*n)++] = read_row(r, t, json_array_get(array, i));
		worker_breathe();
	}
	(void)json_object_del(root, rt_schemas[t].name);
}

struct id_place {
	int64_t id;
	size_t at;
};

static int
by_id(const void *a, const void *b)
{
	const struct id_place *pa = a, *pb = b;

	if (pa->id != pb->id)
		return pa->id < pb->id ? -1 : 1;
	return (pa->at > pb->at) - (pa->at < pb->at);
}

static void
check_cdr_ids(struct reading *r, struct rt_row **rows, size_t n)
{
	struct id_place *places = xcalloc(n, sizeof *places);
	char text[64];

	for (size_t i = 0; i < n; i++)
		places[i] = (struct id_place){ rows[i] != NULL ? rt_row_id(rows[i]) : -1 - (int64_t)i, i };
	qsort(places, n, sizeof *places, by_id);
	r->here = rt_schemas[RT_CDRS].name;
	for (size_t i = 1; i < n; i++) {
		if (places[i].id != places[i - 1].id)
			continue;
		r->at = places[i].at;
		snprintf(text, sizeof text, "is taken: cdrs[%zu] has it too", places[i - 1].at);
		tell_row(r, "id", text);
	}
	free(places);
}

static void
free_rows(struct rt_row **rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		rt_row_unref(rows[i]);
	free(rows);
}

/* After the reading; the rows are given away. What else was reported refuses the document too. */
static int
build(struct rt_data **out, struct reading *r)
{
	struct data_report to = { path_of_row, tell_data, r };
	struct rt_data *d;
	int err;

	err = data_build(&d, r->rows, r->n, r->broken, &to);
	if (err == 0 && r->reports > 0) {
		rt_data_unref(d);
		err = -EINVAL;
	}
	if (err == 0)
		*out = d;
	return err;
}

int
rt_document_parse(struct rt_data **out, const char *text, size_t len, struct rt_row ***cdrs, size_t *n_cdrs, rt_report_cb *report,
    void *arg)
{
	struct reading r = { .cb = report, .arg = arg };
	struct rt_row **calls;
	size_t n_calls = 0, n;
	json_t *root = load(&r, text, len);
	int err;

	if (root != NULL && !json_is_object(root)) {
		tell(&r, "", "must be an object of arrays: {\"tenants\": [...], ...}");
		json_decref(root);
		root = NULL;
	}
	if (root == NULL)
		return -EINVAL;
	n = check_tables(&r, root, cdrs != NULL);
	calls = xcalloc(json_array_size(json_object_get(root, rt_schemas[RT_CDRS].name)), sizeof *calls);
	read_table(&r, RT_CDRS, root, calls, &n_calls);
	check_cdr_ids(&r, calls, n_calls);
	r.rows = xcalloc(n - n_calls, sizeof *r.rows);
	for (int t = 0; t < RT_TABLES; t++) {
		r.first[t] = r.n;
		read_table(&r, t, root, r.rows, &r.n);
	}
	json_decref(root);
	err = build(out, &r);
	free(r.rows);
	if (err == 0 && cdrs != NULL) {
		*cdrs = calls;
		*n_cdrs = n_calls;
	} else {
		free_rows(calls, n_calls);
	}
	tell_rest(&r);
	mem_trim(); /* the JSON was large, and lies below what stays */
	return err;
}

/* ---- one key per object ---- */

/* A folder of the KV, which is nothing. */
static bool
is_folder(const struct rt_pair *p)
{
	size_t len = strlen(p->key);

	return p->len == 0 && (len == 0 || p->key[len - 1] == '/');
}

/* "dids/7": the table, and what follows. -1: none of ours. */
static int
table_of_key(const char *key, const char **rest)
{
	const char *slash = strchr(key, '/');

	for (int t = 0; slash != NULL && t < RT_TABLES; t++) {
		size_t len = strlen(rt_schemas[t].name);

		if (len != (size_t)(slash - key) || memcmp(key, rt_schemas[t].name, len) != 0)
			continue;
		*rest = slash + 1;
		return t;
	}
	return -1;
}

/* The object's key is the pair's, if it says none. */
static bool
complete_key(struct reading *r, enum rt_table t, json_t *obj, const char *rest)
{
	const struct rt_column *c = &rt_schemas[t].cols[0];
	const json_t *own = json_object_get(obj, c->name);
	int64_t id = 0;

	if (t != RT_TENANTS && text_parse_int(rest, c->min, c->max, &id) != 0) {
		tell(r, r->here, "must end with a number: TABLE/ID");
		return false;
	}
	if (own != NULL && !json_is_null(own))
		return true;
	(void)json_object_set_new(obj, c->name, t == RT_TENANTS ? json_string(rest) : json_integer(id));
	return true;
}

static bool
is_key_of(struct reading *r, const struct rt_row *row, const char *rest)
{
	char key[64];

	if (row->table == RT_TENANTS)
		snprintf(key, sizeof key, "%s", row->v[0].s);
	else
		snprintf(key, sizeof key, "%" PRId64, row->v[0].i);
	if (strcasecmp(key, rest) == 0)
		return true;
	tell_row(r, rt_schemas[row->table].cols[0].name, "must be left out, or the same as in the key");
	return false;
}

static struct rt_row *
read_pair(struct reading *r, const struct rt_pair *p)
{
	struct rt_row *row = NULL;
	const char *rest;
	json_t *obj;
	int t = table_of_key(p->key, &rest);

	if (t < 0) {
		tell(r, p->key, "must be TABLE/ID, such as dids/7, or tenants/UUID");
		return NULL;
	}
	r->broken |= 1u << t; /* until it is read */
	obj = load(r, p->value, p->len);
	if (obj != NULL && !json_is_object(obj))
		tell_row(r, "", "must be an object");
	else if (obj != NULL && complete_key(r, t, obj, rest))
		row = read_row(r, t, obj);
	json_decref(obj);
	if (row != NULL && !is_key_of(r, row, rest)) {
		rt_row_unref(row);
		row = NULL;
	}
	return row;
}

int
rt_document_parse_pairs(struct rt_data **out, const struct rt_pair *pairs, size_t n, rt_report_cb *report, void *arg)
{
	struct reading r = { .cb = report, .arg = arg, .n = n, .pairs = pairs };
	unsigned broken = 0;
	int err;

	r.rows = xcalloc(n, sizeof *r.rows);
	for (size_t i = 0; i < n; i++) {
		if (is_folder(&pairs[i]))
			continue;
		r.broken = 0;
		r.here = pairs[i].key;
		r.rows[i] = read_pair(&r, &pairs[i]);
		if (r.rows[i] == NULL)
			broken |= r.broken;
	}
	r.broken = broken;
	err = build(out, &r);
	free(r.rows);
	tell_rest(&r);
	mem_trim();
	return err;
}

/* ---- and back ---- */

json_t *
rt_document_json(const struct rt_data *d)
{
	json_t *root = json_object();

	for (int t = 0; t < RT_TABLES; t++) {
		json_t *array = json_array();

		for (size_t i = 0; i < d->t[t].n; i++)
			(void)json_array_append_new(array, rt_row_json(d->t[t].v[i], RT_ROW_SECRETS));
		(void)json_object_set_new(root, rt_schemas[t].name, array);
	}
	return root;
}
