#include "flat.h"

#include <string.h>

static char *
skip_blanks(char *p)
{
	while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')
		p++;
	return p;
}

/* Behind the text, which is unescaped where it stands; NULL: not for us. */
static char *
read_text(char *p, const char **s, size_t *len)
{
	char *to;

	if (*p++ != '"')
		return NULL;
	*s = to = p;
	while (*p != '"') {
		if ((signed char)*p < 0x20) /* the NUL at the end, too */
			return NULL;
		if (*p == '\\') {
			p++;
			if (*p != '"' && *p != '\\' && *p != '/')
				return NULL;
		}
		*to++ = *p++;
	}
	*len = (size_t)(to - *s);
	*to = '\0';
	return p + 1;
}

/* No zeros in front, no sign, no more than 18 digits. */
static char *
read_int(char *p, int64_t *out)
{
	const char *from = p;

	if (*p < '1' || *p > '9') {
		*out = 0;
		return *p == '0' ? p + 1 : NULL;
	}
	for (*out = 0; *p >= '0' && *p <= '9' && p - from < 18; p++)
		*out = *out * 10 + (*p - '0');
	return p;
}

static char *
read_value(char *p, struct flat_value *v)
{
	static const struct {
		const char *text;
		size_t len;
		struct flat_value value;
	} words[] = {
		{ "null", 4, { .kind = FLAT_NULL } },
		{ "true", 4, { .kind = FLAT_BOOL, .i = 1 } },
		{ "false", 5, { .kind = FLAT_BOOL } },
	};
	size_t i;

	if (*p == '"') {
		v->kind = FLAT_TEXT;
		return read_text(p, &v->s, &v->len);
	}
	for (i = 0; i < NELEM(words); i++)
		if (strncmp(p, words[i].text, words[i].len) == 0) {
			*v = words[i].value;
			return p + words[i].len;
		}
	v->kind = FLAT_INT;
	return read_int(p, &v->i);
}

static bool
has_key(const struct flat *f, const char *key, size_t len)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (f->members[i].len == len && memcmp(f->members[i].key, key, len) == 0)
			return true;
	return false;
}

/* Behind the member, and its ',' or '}', which comes in *end. */
static char *
read_member(struct flat *f, char *p, char *end)
{
	size_t len = 0;
	const char *key;

	p = read_text(skip_blanks(p), &key, &len);
	if (p == NULL || f->n == FLAT_MAX || has_key(f, key, len))
		return NULL;
	p = skip_blanks(p);
	if (*p != ':')
		return NULL;
	p = read_value(skip_blanks(p + 1), &f->members[f->n].value);
	if (p == NULL)
		return NULL;
	f->members[f->n].key = key;
	f->members[f->n++].len = len;
	p = skip_blanks(p);
	*end = *p;
	return *p == ',' || *p == '}' ? p + 1 : NULL;
}

bool
flat_read(struct flat *f, char *text, size_t len)
{
	char *p = skip_blanks(text), end = ',';

	f->n = 0;
	if (*p++ != '{')
		return false;
	while (end == ',') {
		p = read_member(f, p, &end);
		if (p == NULL)
			return false;
	}
	return skip_blanks(p) == text + len;
}

void
flat_get(const struct flat *f, const char *key, struct flat_value *out)
{
	const size_t len = strlen(key);
	size_t i;

	for (i = 0; i < f->n; i++)
		if (f->members[i].len == len && memcmp(f->members[i].key, key, len) == 0) {
			*out = f->members[i].value;
			return;
		}
	out->kind = FLAT_MISSING;
}

void
flat_of_json(const json_t *json, struct flat_value *out)
{
	out->kind = FLAT_OTHER;
	if (json == NULL) {
		out->kind = FLAT_MISSING;
	} else if (json_is_null(json)) {
		out->kind = FLAT_NULL;
	} else if (json_is_boolean(json)) {
		out->kind = FLAT_BOOL;
		out->i = json_is_true(json);
	} else if (json_is_integer(json)) {
		out->kind = FLAT_INT;
		out->i = json_integer_value(json);
	} else if (json_is_string(json)) {
		out->kind = FLAT_TEXT;
		out->s = json_string_value(json);
		out->len = json_string_length(json);
	}
}
