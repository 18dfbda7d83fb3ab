#include "routing/row.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "routing/value.h"

/* ---- life ---- */

/* One block, with copies of the texts behind the values. */
static struct rt_row *
make(enum rt_table table, const union rt_value *v)
{
	const struct rt_schema *schema = &rt_schemas[table];
	size_t lens[RT_COLS_MAX] = { 0 }, size = sizeof(struct rt_row) + schema->n_cols * sizeof *v;
	struct rt_row *row;
	char *text;

	for (size_t i = 0; i < schema->n_cols; i++)
		if (!value_is_number(&schema->cols[i]) && v[i].s != NULL)
			size += lens[i] = strlen(v[i].s) + 1;
	row = xrealloc(NULL, size, 1);
	atomic_init(&row->refs, 1);
	row->table = (uint8_t)table;
	memcpy(row->v, v, schema->n_cols * sizeof *v);
	text = (char *)&row->v[schema->n_cols];
	for (size_t i = 0; i < schema->n_cols; i++) {
		if (lens[i] == 0)
			continue;
		row->v[i].s = memcpy(text, v[i].s, lens[i]);
		text += lens[i];
	}
	return row;
}

struct rt_row *
rt_row_ref(struct rt_row *row)
{
	atomic_fetch_add_explicit(&row->refs, 1, memory_order_relaxed);
	return row;
}

void
rt_row_unref(struct rt_row *row)
{
	if (row != NULL && atomic_fetch_sub_explicit(&row->refs, 1, memory_order_acq_rel) == 1)
		free(row);
}

struct rt_row *
rt_row_with_id(const struct rt_row *row, int64_t id)
{
	union rt_value v[RT_COLS_MAX];

	memcpy(v, row->v, rt_schemas[row->table].n_cols * sizeof *v);
	v[0].i = id;
	return make(row->table, v);
}

int64_t
rt_row_id(const struct rt_row *row)
{
	return row->v[0].i;
}

int
rt_row_cmp(const struct rt_row *a, const struct rt_row *b)
{
	if (a->table != b->table)
		return a->table < b->table ? -1 : 1;
	if (a->table == RT_TENANTS)
		return strcmp(a->v[0].s, b->v[0].s);
	return (a->v[0].i > b->v[0].i) - (a->v[0].i < b->v[0].i);
}

/* ---- of JSON ---- */

struct parse {
	const struct rt_schema *schema;
	union rt_value v[RT_COLS_MAX];
	struct value_scratch scratch;
	struct buf why;
	const char *path;
	rt_report_cb *report;
	void *arg;
	bool bad;
};

static void
wrong(struct parse *p, const char *column, const char *text)
{
	struct buf path = { 0 };

	p->bad = true;
	if (p->report == NULL)
		return;
	buf_puts(&path, p->path);
	if (column != NULL)
		buf_printf(&path, path.len > 0 ? ".%s" : "%s", column);
	p->report(p->arg, path.len > 0 ? path.s : "", text);
	buf_free(&path);
}

static void
report_unknown(struct parse *p, const json_t *obj)
{
	struct buf text = { 0 };
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)obj, key, value) {
		if (rt_column_find(p->schema, key) >= 0)
			continue;
		buf_printf(&text, "%s have no column ", p->schema->name);
		value_show(&text, key);
		buf_puts(&text, "; they have");
		for (size_t i = 0; i < p->schema->n_cols; i++)
			buf_printf(&text, " %s", p->schema->cols[i].name);
		/* A key that can't stand in a path is in the text only. */
		wrong(p, strlen(key) <= 64 && text_is_printable(key, strlen(key)) ? key : NULL, text.s);
		buf_free(&text);
	}
}

/* A partial PUT may name its row, but not another. */
static void
check_same_key(struct parse *p, const struct rt_row *base)
{
	bool uuid = base->table == RT_TENANTS;

	if (uuid ? p->v[0].s == NULL || strcmp(p->v[0].s, base->v[0].s) == 0 : p->v[0].i == base->v[0].i)
		return;
	if (uuid)
		buf_printf(&p->why, "must be left out, or %s: a row keeps its key", base->v[0].s);
	else
		buf_printf(&p->why, "must be left out, or %" PRId64 ": a row keeps its key", base->v[0].i);
	wrong(p, p->schema->cols[0].name, p->why.s);
}

static void
parse_column(struct parse *p, size_t i, const json_t *value, const struct rt_row *base, unsigned flags)
{
	const struct rt_column *c = &p->schema->cols[i];

	if (value == NULL && base != NULL)
		p->v[i] = base->v[i];
	else if (i == 0 && c->type == RT_INT && (flags & RT_ROW_NO_ID) && (value == NULL || json_is_null(value)))
		p->v[i].i = base != NULL ? base->v[i].i : RT_NULL;
	else if (value_read(c, value, &p->v[i], &p->scratch, &p->why) != 0)
		wrong(p, c->name, p->why.s);
	else if (i == 0 && base != NULL)
		check_same_key(p, base);
	if (p->why.len > 0)
		buf_free(&p->why);
}

int
rt_row_parse(struct rt_row **out, enum rt_table table, const json_t *obj, const struct rt_row *base, unsigned flags, const char *path,
    rt_report_cb *report, void *arg)
{
	struct parse p;
	size_t known = 0;

	p.schema = &rt_schemas[table];
	p.scratch.used = 0;
	p.why = (struct buf){ 0 };
	p.path = path;
	p.report = report;
	p.arg = arg;
	p.bad = false;
	if (!json_is_object(obj)) {
		wrong(&p, NULL, "must be an object");
		return -EINVAL;
	}
	for (size_t i = 0; i < p.schema->n_cols; i++) {
		const json_t *value = json_object_get(obj, p.schema->cols[i].name);

		known += value != NULL;
		if (p.schema->cols[i].flags & RT_DERIVED)
			p.v[i].s = NULL;
		else
			parse_column(&p, i, value, base, flags);
	}
	if (known < json_object_size(obj))
		report_unknown(&p, obj);
	if (p.bad)
		return -EINVAL;
	value_derive(table, p.v, &p.scratch);
	*out = make(table, p.v);
	return 0;
}

json_t *
rt_row_json(const struct rt_row *row, unsigned flags)
{
	const struct rt_schema *schema = &rt_schemas[row->table];
	json_t *obj = json_object();

	for (size_t i = 0; i < schema->n_cols; i++)
		if ((flags & RT_ROW_SECRETS) || !(schema->cols[i].flags & RT_SECRET))
			(void)json_object_set_new_nocheck(obj, schema->cols[i].name, value_json(&schema->cols[i], row->v[i]));
	return obj;
}

void
rt_row_write(const struct rt_row *row, unsigned flags, struct buf *out)
{
	const struct rt_schema *schema = &rt_schemas[row->table];
	const char *before = "{\"";

	for (size_t i = 0; i < schema->n_cols; i++) {
		if ((schema->cols[i].flags & RT_SECRET) && !(flags & RT_ROW_SECRETS))
			continue;
		buf_puts(out, before);
		buf_puts(out, schema->cols[i].name);
		buf_puts(out, "\":");
		value_write(&schema->cols[i], row->v[i], out);
		before = ",\"";
	}
	buf_puts(out, "}");
}

/* ---- records ---- */

#define VERSION 1

enum kind { KIND_NULL, KIND_NUMBER, KIND_TEXT }; /* so that unknown columns can be passed over */

static void
add_be(struct buf *b, uint64_t value, unsigned bytes)
{
	uint8_t be[8];

	for (unsigned i = 0; i < bytes; i++)
		be[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
	buf_add(b, be, bytes);
}

static uint64_t
get_be(const uint8_t *p, unsigned bytes)
{
	uint64_t value = 0;

	while (bytes-- > 0)
		value = value << 8 | *p++;
	return value;
}

void
rt_row_encode_key(enum rt_table table, int64_t id, const char *uuid, struct buf *key)
{
	add_be(key, table, 1);
	if (table == RT_TENANTS)
		buf_puts(key, uuid);
	else
		add_be(key, (uint64_t)id, 8);
}

/* Derived columns are not kept: a later version may derive others. */
void
rt_row_encode(const struct rt_row *row, struct buf *key, struct buf *val)
{
	const struct rt_schema *schema = &rt_schemas[row->table];

	if (key != NULL) {
		if (row->table == RT_TENANTS)
			rt_row_encode_key(row->table, 0, row->v[0].s, key);
		else
			rt_row_encode_key(row->table, row->v[0].i, NULL, key);
	}
	add_be(val, VERSION, 1);
	add_be(val, schema->n_cols, 1);
	for (size_t i = 0; i < schema->n_cols; i++) {
		const struct rt_column *c = &schema->cols[i];

		if ((c->flags & RT_DERIVED) || value_is_null(c, row->v[i])) {
			add_be(val, KIND_NULL, 1);
		} else if (value_is_number(c)) {
			add_be(val, KIND_NUMBER, 1);
			add_be(val, (uint64_t)row->v[i].i, 8);
		} else {
			size_t len = strlen(row->v[i].s);

			add_be(val, KIND_TEXT, 1);
			add_be(val, len, 2);
			buf_add(val, row->v[i].s, len);
		}
	}
}

struct record {
	const uint8_t *p, *end;
	char text[RT_COLS_MAX][RT_TEXT_MAX + 1];
};

/* One column's, or with `c` NULL, one that we don't know. */
static bool
decode_column(struct record *r, const struct rt_column *c, union rt_value *out, char text[RT_TEXT_MAX + 1])
{
	size_t left = (size_t)(r->end - r->p), len;
	unsigned kind;

	if (left-- == 0)
		return false;
	kind = *r->p++;
	if (kind == KIND_NULL)
		return c == NULL || value_default(c, out, NULL) == 0;
	if (kind == KIND_NUMBER) {
		if (left < 8 || (c != NULL && !value_is_number(c)))
			return false;
		if (c != NULL)
			out->i = (int64_t)get_be(r->p, 8);
		r->p += 8;
		return c == NULL || (out->i >= c->min && out->i <= c->max);
	}
	if (kind != KIND_TEXT || left < 2)
		return false;
	len = get_be(r->p, 2);
	if (len > left - 2)
		return false;
	r->p += 2 + len;
	if (c == NULL)
		return true;
	if (len > RT_TEXT_MAX || value_is_number(c) || memchr(r->p - len, '\0', len) != NULL)
		return false;
	memcpy(text, r->p - len, len);
	text[len] = '\0';
	out->s = text;
	return true;
}

/* Does the key say what the record says? */
static bool
is_key_of(const struct rt_row *row, const uint8_t *key, size_t len)
{
	if (row->table == RT_TENANTS)
		return strlen(row->v[0].s) == len && memcmp(row->v[0].s, key, len) == 0;
	return len == 8 && (int64_t)get_be(key, 8) == row->v[0].i;
}

int
rt_row_decode(struct rt_row **out, const void *key, size_t klen, const void *val, size_t vlen)
{
	const uint8_t *k = key;
	struct record r; /* large */
	const struct rt_schema *schema;
	union rt_value v[RT_COLS_MAX];
	struct value_scratch scratch;
	struct rt_row *row;
	size_t n;

	r.p = val;
	r.end = r.p + vlen;
	if (klen < 1 || k[0] >= RT_ALL || vlen < 2 || r.p[0] != VERSION)
		return -EBADMSG;
	schema = &rt_schemas[k[0]];
	n = r.p[1];
	r.p += 2;
	for (size_t i = 0; i < n || i < schema->n_cols; i++) {
		const struct rt_column *c = i < schema->n_cols ? &schema->cols[i] : NULL;

		if (i < n) {
			if (!decode_column(&r, c, c != NULL ? &v[i] : NULL, c != NULL ? r.text[i] : NULL))
				return -EBADMSG;
		} else if (value_default(c, &v[i], NULL) != 0) {
			return -EBADMSG;
		}
	}
	if (r.p != r.end)
		return -EBADMSG;
	scratch.used = 0;
	value_derive(k[0], v, &scratch);
	row = make(k[0], v);
	if (!is_key_of(row, k + 1, klen - 1)) {
		rt_row_unref(row);
		return -EBADMSG;
	}
	*out = row;
	return 0;
}
