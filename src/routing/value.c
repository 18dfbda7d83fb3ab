#include "routing/value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "routing/pattern.h"
#include "routing/request.h"

#define SHOWN_MAX 40           /* bytes of a text in a message */
#define TIME_MAX 253402300799LL /* the end of 9999 */
#define IDS_MAX 64

bool
value_is_null(const struct rt_column *c, union rt_value v)
{
	return value_is_number(c) ? v.i == RT_NULL : v.s == NULL;
}

void
value_show(struct buf *b, const char *text)
{
	size_t len = strlen(text), shown = len;

	if (len > SHOWN_MAX)
		for (shown = SHOWN_MAX; shown > 0 && ((unsigned char)text[shown] & 0xc0) == 0x80; shown--)
			;
	buf_puts(b, "\"");
	for (size_t i = 0; i < shown; i++) {
		bool plain = (unsigned char)text[i] >= 0x20 && text[i] != 0x7f;

		buf_add(b, plain ? &text[i] : "?", 1);
	}
	buf_puts(b, shown < len ? "...\"" : "\"");
}

static void
show_real(struct buf *why, const json_t *json)
{
	char *text = json_dumps(json, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));

	buf_puts(why, text != NULL ? text : "a number");
	free(text);
}

/* ", is ..." for the end of a message; never a secret. */
static void
show_value(struct buf *why, const struct rt_column *c, const json_t *json)
{
	static const char *const kinds[] = {
		[JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a text", [JSON_INTEGER] = "a number",
		[JSON_REAL] = "a number", [JSON_TRUE] = "true", [JSON_FALSE] = "false", [JSON_NULL] = "null",
	};

	if (c->type == RT_IDS && json_is_array(json))
		return;
	buf_puts(why, ", is ");
	if (json_is_string(json) && !(c->flags & RT_SECRET))
		value_show(why, json_string_value(json));
	else if (json_is_integer(json) && !(c->flags & RT_SECRET))
		buf_printf(why, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
	else if (json_is_real(json) && !(c->flags & RT_SECRET))
		show_real(why, json);
	else
		buf_puts(why, kinds[json_typeof(json)]);
}

/* ---- numbers ---- */

static bool
read_int(const struct rt_column *c, const json_t *json, int64_t *out)
{
	if (json_is_string(json))
		return text_parse_int(json_string_value(json), c->min, c->max, out) == 0;
	if (!json_is_integer(json))
		return false;
	*out = json_integer_value(json);
	return *out >= c->min && *out <= c->max;
}

static bool
read_bool(const json_t *json, int64_t *out)
{
	static const char *const words[] = { "0", "1", "false", "true" };

	if (json_is_boolean(json)) {
		*out = json_is_true(json);
		return true;
	}
	if (json_is_integer(json)) {
		*out = json_integer_value(json);
		return *out == 0 || *out == 1;
	}
	for (size_t i = 0; json_is_string(json) && i < NELEM(words); i++) {
		if (strcasecmp(json_string_value(json), words[i]) != 0)
			continue;
		*out = (int64_t)(i & 1);
		return true;
	}
	return false;
}

/* ---- texts ---- */

static char *
scratch(struct value_scratch *s, size_t size)
{
	char *p = s->s + s->used;

	if (size > sizeof s->s - s->used)
		return NULL;
	s->used += size;
	return p;
}

static bool
has_control(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return true;
	return false;
}

static bool
read_uuid(const char *text, const char **out, struct value_scratch *s)
{
	bool upper = false;
	char *own;

	if (strlen(text) != 36)
		return false;
	for (int i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
			return false;
		upper = upper || isupper((unsigned char)text[i]);
	}
	*out = text;
	if (!upper)
		return true;
	own = scratch(s, 37);
	if (own == NULL)
		return false;
	for (int i = 0; i < 37; i++)
		own[i] = (char)tolower((unsigned char)text[i]);
	*out = own;
	return true;
}

/* So many digits, as a number; -1: others stand there. */
static int
digits(const char **p, int n)
{
	int value = 0;

	for (int i = 0; i < n; i++, (*p)++) {
		if (!isdigit((unsigned char)**p))
			return -1;
		value = value * 10 + **p - '0';
	}
	return value;
}

/* ".5" -> 500000; -1: no digits. */
static int
read_fraction(const char **p)
{
	int micros = 0, n = 0;

	for (; isdigit((unsigned char)**p); (*p)++, n++)
		if (n < 6)
			micros = micros * 10 + **p - '0';
	if (n == 0)
		return -1;
	for (; n < 6; n++)
		micros *= 10;
	return micros;
}

/* "Z", "+01:00", "+0100", "-05" or nothing, to the end. */
static bool
read_offset(const char *p, int *seconds)
{
	int sign = *p == '-' ? -1 : 1, h, m = 0;

	*seconds = 0;
	if (*p == '\0' || (strchr("Zz", *p) != NULL && p[1] == '\0'))
		return true;
	if (*p != '+' && *p != '-')
		return false;
	p++;
	h = digits(&p, 2);
	if (*p == ':')
		p++;
	if (h >= 0 && *p != '\0')
		m = digits(&p, 2);
	*seconds = sign * (h * 3600 + m * 60);
	return h >= 0 && h < 24 && m >= 0 && m < 60 && *p == '\0';
}

static bool
read_iso(const char *p, int64_t *at, int *micros)
{
	static const int lengths[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	struct tm tm = { 0 };
	int year = digits(&p, 4), month, day, offset;

	if (year < 1 || *p++ != '-')
		return false;
	month = digits(&p, 2);
	if (month < 1 || month > 12 || *p++ != '-')
		return false;
	day = digits(&p, 2);
	if (day < 1 || day > lengths[month - 1] || *p == '\0' || strchr("Tt ", *p++) == NULL)
		return false;
	if (month == 2 && day == 29 && (year % 4 != 0 || (year % 100 == 0 && year % 400 != 0)))
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	tm.tm_mday = day;
	tm.tm_hour = digits(&p, 2);
	if (tm.tm_hour < 0 || tm.tm_hour > 23 || *p++ != ':')
		return false;
	tm.tm_min = digits(&p, 2);
	if (tm.tm_min < 0 || tm.tm_min > 59)
		return false;
	*micros = 0;
	if (*p == ':') {
		p++;
		tm.tm_sec = digits(&p, 2);
		if (tm.tm_sec < 0 || tm.tm_sec > 59)
			return false;
		if (*p == '.' || *p == ',') {
			p++;
			*micros = read_fraction(&p);
		}
	}
	if (*micros < 0 || !read_offset(p, &offset))
		return false;
	*at = (int64_t)timegm(&tm) - offset;
	return true;
}

static bool
read_time(const json_t *json, const char **out, struct value_scratch *s)
{
	const char *text = json_string_value(json);
	int64_t at;
	int micros = 0, len;
	char *own = scratch(s, 40);
	struct tm tm;
	time_t t;

	if (own == NULL)
		return false;
	if (json_is_integer(json))
		at = json_integer_value(json);
	else if (text == NULL || (text_parse_int(text, 0, TIME_MAX, &at) != 0 && !read_iso(text, &at, &micros)))
		return false;
	t = (time_t)at;
	if (at > TIME_MAX || at < -62135596800LL || gmtime_r(&t, &tm) == NULL) /* years 1 to 9999 */
		return false;
	len = snprintf(own, 40, "%04d-%02d-%02dT%02d:%02d:%02d", (tm.tm_year + 1900) % 10000, tm.tm_mon + 1, tm.tm_mday,
	    tm.tm_hour, tm.tm_min, tm.tm_sec);
	if (micros > 0)
		len += snprintf(own + len, 40 - (size_t)len, ".%06d", micros % 1000000);
	memcpy(own + len, "+00:00", 7);
	*out = own;
	return true;
}

static bool
repeats(const json_t *array, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (json_integer_value(json_array_get(array, i)) == json_integer_value(json_array_get(array, n)))
			return true;
	return false;
}

/* An empty array is null. */
static bool
read_ids(const struct rt_column *c, const json_t *json, const char **out, struct value_scratch *s)
{
	size_t n = json_array_size(json), len = 0, size = (size_t)c->max + 1;
	char *own;

	*out = NULL;
	if (!json_is_array(json) || n > IDS_MAX)
		return false;
	if (n == 0)
		return true;
	own = scratch(s, size);
	for (size_t i = 0; own != NULL && i < n; i++) {
		const json_t *id = json_array_get(json, i);

		if (!json_is_integer(id) || json_integer_value(id) < 1 || json_integer_value(id) > INT32_MAX || repeats(json, i))
			return false;
		len += (size_t)snprintf(own + len, size - len, i ? ",%" PRId64 : "%" PRId64, (int64_t)json_integer_value(id));
		if (len >= size)
			return false;
	}
	*out = own;
	return own != NULL;
}

bool
value_next_id(const char **p, int64_t *id)
{
	char *end;

	if (*p == NULL || **p == '\0')
		return false;
	*id = strtoll(*p, &end, 10);
	if (end == *p)
		return false;
	*p = *end == ',' ? end + 1 : end;
	return true;
}

static bool
read_text(const struct rt_column *c, const json_t *json, const char **out, struct value_scratch *s, struct buf *why)
{
	const char *text = json_string_value(json);
	size_t len = json_string_length(json);

	if ((c->flags & RT_NUMBER) && json_is_integer(json) && json_integer_value(json) >= 0) {
		char *own = scratch(s, 24);

		if (own == NULL)
			return false;
		snprintf(own, 24, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
		*out = own;
		return true;
	}

	if (text == NULL) {
		buf_puts(why, "must be a text");
	} else if (len == 0 && (c->flags & RT_REQUIRED)) {
		buf_puts(why, "must not be empty");
	} else if (len > (size_t)c->max) {
		buf_printf(why, "must be a text of at most %" PRId64 " bytes, has %zu", c->max, len);
		return false;
	} else if (has_control(text)) {
		buf_puts(why, "must be without control characters");
	} else if (len == 0) {
		*out = c->def == NULL ? NULL : text;
		return true;
	} else if (c->check == NULL || c->check(text, why)) {
		*out = text;
		return true;
	}
	return false;
}

/* ---- any ---- */

static bool
read_any(const struct rt_column *c, const json_t *json, union rt_value *out, struct value_scratch *s, struct buf *why)
{
	const char *text = json_string_value(json);

	switch (c->type) {
	case RT_INT:
		if (read_int(c, json, &out->i))
			return true;
		buf_printf(why, "must be a whole number from %" PRId64 " to %" PRId64, c->min, c->max);
		return false;
	case RT_BOOL:
		if (read_bool(json, &out->i))
			return true;
		buf_puts(why, "must be true or false");
		return false;
	case RT_TEXT:
		return read_text(c, json, &out->s, s, why);
	case RT_UUID:
		if (text != NULL && read_uuid(text, &out->s, s))
			return true;
		buf_puts(why, "must be a UUID (hexadecimal digits: 8-4-4-4-12)");
		return false;
	case RT_TIME:
		if (read_time(json, &out->s, s))
			return true;
		buf_puts(why, "must be a time such as \"2026-11-21T03:40:00+00:00\"");
		return false;
	case RT_IDS:
		if (read_ids(c, json, &out->s, s))
			return true;
		buf_printf(why, "must be an array of at most %d ids, each a whole number, none twice", IDS_MAX);
		return false;
	}
	return false;
}

int
value_default(const struct rt_column *c, union rt_value *out, struct buf *why)
{
	if (c->flags & RT_REQUIRED) {
		if (why != NULL)
			buf_puts(why, "is missing");
		return -EINVAL;
	}
	if (!value_is_number(c))
		out->s = c->def;
	else if (c->def == NULL)
		out->i = RT_NULL;
	else if (c->type == RT_BOOL)
		out->i = strcmp(c->def, "true") == 0;
	else
		out->i = strtoll(c->def, NULL, 10);
	return 0;
}

static bool
is_empty(const json_t *json)
{
	return json_is_string(json) && json_string_length(json) == 0;
}

int
value_read(const struct rt_column *c, const json_t *json, union rt_value *out, struct value_scratch *s, struct buf *why)
{
	if (json == NULL || json_is_null(json) || (c->type != RT_TEXT && !(c->flags & RT_REQUIRED) && is_empty(json)))
		return value_default(c, out, why);
	if (read_any(c, json, out, s, why))
		return 0;
	show_value(why, c, json);
	return -EINVAL;
}

static void
derive_prefix(const char *regex, const char **out, struct value_scratch *s)
{
	struct pattern_shape shape;
	char *own;

	pattern_shape(regex, &shape);
	*out = own = scratch(s, shape.len + 1);
	if (own == NULL)
		return;
	memcpy(own, shape.prefix, shape.len);
	own[shape.len] = '\0';
}

/* "+39 040" -> "39040" */
static void
strip_prefix(const char **prefix, struct value_scratch *s)
{
	const char *p = *prefix;
	char *own;

	while (isalnum((unsigned char)*p))
		p++;
	if (*p == '\0' || (own = scratch(s, strlen(*prefix) + 1)) == NULL)
		return;
	p = *prefix;
	*prefix = own;
	for (; *p != '\0'; p++)
		if (isalnum((unsigned char)*p))
			*own++ = *p;
	*own = '\0';
}

void
value_derive(enum rt_table table, union rt_value *row, struct value_scratch *s)
{
	if (table == RT_DIDS)
		derive_prefix(row[DID_REGEX].s, &row[DID_PREFIX].s, s);
	else if (table == RT_NORM_RULES)
		derive_prefix(row[NORM_REGEX].s, &row[NORM_PREFIX].s, s);
	else if (table == RT_RULES)
		strip_prefix(&row[RULE_PREFIX].s, s);
}

json_t *
value_json(const struct rt_column *c, union rt_value v)
{
	json_t *json = NULL;
	int64_t id;

	if (value_is_null(c, v))
		return json_null();
	if (c->type == RT_BOOL)
		return json_boolean(v.i != 0);
	if (c->type == RT_INT)
		return json_integer(v.i);
	if (c->type == RT_IDS)
		for (json = json_array(); value_next_id(&v.s, &id);)
			(void)json_array_append_new(json, json_integer(id));
	else if ((c->flags & RT_NUMBER) && (v.s[0] != '0' || v.s[1] == '\0') && text_parse_int(v.s, 0, INT64_MAX, &id) == 0)
		json = json_integer(id);
	else
		json = json_string(v.s);
	return json != NULL ? json : json_null();
}

static void
write_ids(const char *ids, struct buf *out)
{
	const char *before = "";
	int64_t id;

	buf_puts(out, "[");
	for (; value_next_id(&ids, &id); before = ",")
		buf_printf(out, "%s%" PRId64, before, id);
	buf_puts(out, "]");
}

void
value_write(const struct rt_column *c, union rt_value v, struct buf *out)
{
	int64_t n;

	if (value_is_null(c, v))
		buf_puts(out, "null");
	else if (c->type == RT_BOOL)
		buf_puts(out, v.i != 0 ? "true" : "false");
	else if (c->type == RT_INT)
		rt_json_int(out, v.i);
	else if (c->type == RT_IDS)
		write_ids(v.s, out);
	else if ((c->flags & RT_NUMBER) && (v.s[0] != '0' || v.s[1] == '\0') && text_parse_int(v.s, 0, INT64_MAX, &n) == 0)
		rt_json_int(out, n);
	else
		rt_json_text(out, v.s);
}
