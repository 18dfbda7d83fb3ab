/* The body of POST /kamailio/cdr: what Kamailio knows of a call, made a row. Pure. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/jsonx.h"
#include "routing/cdr.h"

#define EPOCH_MAX 253402300799 /* the year 9999's last second */

/* ---- what is wrong ---- */

static int
no_json(struct rt_detail *d, const char *text)
{
	d->status = 400;
	d->detail = json_string(text);
	return -EINVAL;
}

static void
add_wrong(struct rt_detail *d, const char *column, const char *msg, const char *type)
{
	d->status = 422;
	if (d->detail == NULL)
		d->detail = json_array();
	json_array_append_new(d->detail, json_pack("{s:[s,s],s:s,s:s}", "loc", "body", column, "msg", msg, "type", type));
}

static void
on_wrong(void *arg, const char *path, const char *text)
{
	add_wrong(arg, path, text, "value_error");
}

static bool
is_deep(const json_t *v, int left)
{
	const char *key;
	json_t *item;
	size_t i;

	if (!json_is_object(v) && !json_is_array(v))
		return false;
	if (left == 0)
		return true;
	json_object_foreach((json_t *)(uintptr_t)v, key, item)
		if (is_deep(item, left - 1))
			return true;
	json_array_foreach(v, i, item)
		if (is_deep(item, left - 1))
			return true;
	return false;
}

static int
read_body(json_t **out, const char *body, size_t len, struct rt_detail *d)
{
	json_error_t e;
	char text[256];
	json_t *o;

	if (len > RT_REQUEST_MAX)
		return no_json(d, "the body is too long");
	o = json_loadb(body, len, JSON_REJECT_DUPLICATES, &e);
	if (o == NULL) {
		snprintf(text, sizeof text, "no JSON: line %d, column %d", e.line, e.column);
		return no_json(d, text);
	}
	if (!json_is_object(o) || is_deep(o, RT_DEPTH_MAX)) {
		(void)no_json(d, json_is_object(o) ? "the JSON is nested too deeply" : "the JSON must be an object");
		json_decref(o);
		return -EINVAL;
	}
	*out = o;
	return 0;
}

/* ---- values ---- */

static bool
is_absent(const json_t *v)
{
	return v == NULL || json_is_null(v) || (json_is_string(v) && json_string_length(v) == 0);
}

static bool
as_number(const json_t *v, int64_t *out)
{
	if (json_is_integer(v)) {
		*out = json_integer_value(v);
		return true;
	}
	return json_is_string(v) && text_parse_int(json_string_value(v), 0, INT64_MAX, out) == 0;
}

/* Seconds since 1970, as number or digits, as ISO 8601; NULL: it is neither. */
static json_t *
iso_of(const json_t *v)
{
	char text[64], digits[32], *dot;
	struct tm tm;
	int64_t s;
	time_t t;

	if (json_is_real(v))
		snprintf(digits, sizeof digits, "%.3f", json_real_value(v));
	else if (json_is_integer(v))
		snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	else if (json_is_string(v) && json_string_length(v) < sizeof digits)
		strcpy(digits, json_string_value(v));
	else
		return NULL;
	dot = strchr(digits, '.');
	if (dot != NULL) {
		*dot++ = '\0';
		if (dot[strspn(dot, "0123456789")] != '\0' || strlen(dot) > 6)
			return NULL;
		if (dot[strspn(dot, "0")] == '\0')
			dot = NULL;
	}
	if (text_parse_int(digits, 0, EPOCH_MAX, &s) != 0)
		return NULL;
	t = (time_t)s;
	gmtime_r(&t, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s+00:00", dot ? "." : "", dot ? dot : "");
	return json_string(text);
}

/* tenant_uuid, else tenant_id, which is all that wazo's own router configuration knows. */
static const struct rt_row *
find_tenant(const struct rt_data *data, const json_t *o)
{
	const json_t *v = json_object_get(o, "tenant_uuid");
	int64_t number;

	if (data == NULL)
		return NULL;
	if (is_absent(v))
		v = json_object_get(o, "tenant_id");
	if (as_number(v, &number))
		return number > 0 ? rt_index_tenant_by_number(data->index, number) : NULL;
	return json_is_string(v) ? rt_data_find_tenant(data, json_string_value(v)) : NULL;
}

/* A row's columns of the body; the rest is not ours to judge. */
static json_t *
columns_of(const json_t *o)
{
	const struct rt_schema *s = &rt_schemas[RT_CDRS];
	json_t *out = json_object(), *v, *iso;
	int64_t number;
	size_t i;

	for (i = 0; i < s->n_cols; i++) {
		v = json_object_get(o, s->cols[i].name);
		if (i == CDR_ID || i == CDR_TENANT || is_absent(v))
			continue;
		if ((i == CDR_IPBX || i == CDR_TRUNK) && as_number(v, &number) && number == 0)
			continue;
		iso = i == CDR_START ? iso_of(v) : NULL;
		if (iso != NULL)
			json_object_set_new(out, s->cols[i].name, iso);
		else
			json_object_set(out, s->cols[i].name, v);
	}
	return out;
}

static void
check_present(const json_t *o, int column, struct rt_detail *d)
{
	const char *name = rt_schemas[RT_CDRS].cols[column].name;

	if (is_absent(json_object_get(o, name)))
		add_wrong(d, name, "field required", "value_error.missing");
}

int
cdr_parse(struct rt_row **row, const struct rt_data *data, const char *body, size_t len, struct rt_detail *detail)
{
	/* Stands for the tenant while the rest is judged: what is wrong is said, whoever it is. */
	static const char nobody[] = "00000000-0000-0000-0000-000000000000";
	const struct rt_row *tenant;
	json_t *o = NULL, *columns;
	int err;

	memset(detail, 0, sizeof *detail);
	err = read_body(&o, body, len, detail);
	if (err != 0)
		return err;
	tenant = find_tenant(data, o);
	columns = columns_of(o);
	json_object_set_new(columns, "tenant_uuid", json_string(tenant ? tenant->v[TENANT_UUID].s : nobody));
	check_present(columns, CDR_FROM, detail);
	check_present(columns, CDR_TO, detail);
	if (detail->detail == NULL)
		err = rt_row_parse(row, RT_CDRS, columns, NULL, RT_ROW_NO_ID, "", on_wrong, detail);
	else
		err = -EINVAL;
	if (err == 0 && tenant == NULL) {
		rt_row_unref(*row);
		*row = NULL;
		err = -ENOENT;
	}
	json_decref(columns);
	json_decref(o);
	return err;
}
