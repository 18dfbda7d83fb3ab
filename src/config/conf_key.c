/*
 * What the columns of the key table mean: typing, range, default, comparison, print.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/conf_values.h"

static void *
field(const struct conf_key *k, const void *obj)
{
	return (char *)(uintptr_t)obj + k->offset;
}

static bool
is_text(const struct conf_key *k)
{
	return k->type == CT_TEXT || k->type == CT_WORD;
}

bool
conf_key_is_list(const struct conf_key *k)
{
	return k->type == CT_LIST || k->type == CT_ADDRS || k->type == CT_ARGS;
}

bool
conf_key_is_pairs(const struct conf_key *k)
{
	return k->type == CT_PAIRS || k->type == CT_SECRETS;
}

/* What the names in a mapping must be goes with what its values must be. */
bool
conf_key_check_name(const struct conf_key *k, char *name, struct buf *why)
{
	static const struct {
		conf_check_cb *value, *name;
	} names[] = {
		{ conf_check_meta_value, conf_check_meta_key },
		{ conf_check_dispatcher_value, conf_check_dispatcher_key },
		{ conf_check_header_value, conf_check_header_key },
	};
	size_t i;

	for (i = 0; i < NELEM(names); i++)
		if (names[i].value == k->check)
			return names[i].name(name, why);
	return true;
}

static void
set_text(const struct conf_key *k, void *obj, const char *v)
{
	char **p = field(k, obj);

	free(*p);
	*p = xstrdup(v);
}

void
conf_key_clear(const struct conf_key *k, void *obj)
{
	if (conf_key_is_list(k))
		conf_strlist_free(field(k, obj));
	else if (conf_key_is_pairs(k))
		conf_pairs_free(field(k, obj));
	else if (is_text(k))
		set_text(k, obj, NULL);
}

/* Separated by commas; NULL: none. */
static void
add_elements(struct strlist *list, const char *text)
{
	while (text != NULL) {
		const char *comma = strchr(text, ',');
		char *element = xstrndup(text, comma != NULL ? (size_t)(comma - text) : strlen(text));

		conf_strlist_add(list, element);
		free(element);
		text = comma != NULL ? comma + 1 : NULL;
	}
}

void
conf_key_default(const struct conf_key *k, void *obj)
{
	struct strlist list = { 0 };
	struct buf why = { 0 };

	conf_key_clear(k, obj);
	if (conf_key_is_pairs(k))
		return;
	if (conf_key_is_list(k)) {
		add_elements(&list, k->def);
		conf_key_set_list(k, obj, &list);
	} else if (k->def != NULL) {
		if (!conf_key_set(k, obj, k->def, &why))
			abort(); /* a broken table */
	} else if (!is_text(k)) {
		*(int64_t *)field(k, obj) = -1;
	}
}

void
conf_key_set_list(const struct conf_key *k, void *obj, struct strlist *list)
{
	struct strlist *p = field(k, obj);

	conf_strlist_free(p);
	*p = *list;
	memset(list, 0, sizeof *list);
}

void
conf_key_set_pairs(const struct conf_key *k, void *obj, struct conf_pairs *pairs)
{
	struct conf_pairs *p = field(k, obj);

	conf_pairs_free(p);
	*p = *pairs;
	memset(pairs, 0, sizeof *pairs);
}

static void
format_number(const struct conf_key *k, int64_t v, char *out, size_t size)
{
	static const char suffix[] = "KMGT";
	int i = -1;

	if (k->type == CT_MS) {
		text_format_duration(v, out, size);
		return;
	}
	while (k->type == CT_SIZE && v >= 1024 && v % 1024 == 0 && i < 3) {
		v /= 1024;
		i++;
	}
	snprintf(out, size, "%" PRId64 "%.1s", v, i < 0 ? "" : suffix + i);
}

static void
format_range(const struct conf_key *k, char *out, size_t size)
{
	char min[40], max[40];

	format_number(k, k->min, min, sizeof min);
	format_number(k, k->max, max, sizeof max);
	snprintf(out, size, "%s to %s", min, max);
}

const char *
conf_key_what(const struct conf_key *k, char *out, size_t size)
{
	static const char *const what[] = {
		[CT_MS] = "a duration, such as 200ms, 15s or 10m",
		[CT_INT] = "a whole number",
		[CT_SIZE] = "a size, such as 64M or 1G",
		[CT_BOOL] = "true or false",
	};

	if (conf_key_is_list(k))
		snprintf(out, size, "a list in brackets: [%s, ...]", k->form);
	else if (conf_key_is_pairs(k))
		snprintf(out, size, "a section of %s", k->form);
	else if (is_text(k))
		snprintf(out, size, "a text (%s)", k->form);
	else
		snprintf(out, size, "%s", what[k->type]);
	return out;
}

/* Is `v` one of the words in k->form? */
static bool
is_word(const struct conf_key *k, const char *v)
{
	size_t len = strlen(v);
	const char *p;

	for (p = k->form; p != NULL; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
		if (strcspn(p, "|") == len && strncmp(p, v, len) == 0)
			return len > 0;
	return false;
}

static bool
parse_bool(const char *v, bool *out)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on" };
	size_t i;

	for (i = 0; i < NELEM(words); i++)
		if (strcasecmp(v, words[i]) == 0) {
			*out = i % 2 == 1;
			return true;
		}
	return false;
}

static bool
set_number(const struct conf_key *k, void *obj, const char *v, struct buf *why)
{
	char text[100];
	int64_t n = 0;
	int err;

	if (k->type == CT_MS)
		err = text_parse_duration(v, &n);
	else if (k->type == CT_SIZE)
		err = text_parse_size(v, &n);
	else
		err = text_parse_int(v, INT64_MIN, INT64_MAX, &n);
	if (err == -EINVAL && k->type == CT_MS && *v && strspn(v, "0123456789.") == strlen(v))
		buf_puts(why, "a duration needs a unit, such as 15s");
	else if (err == -EINVAL)
		buf_printf(why, "must be %s", conf_key_what(k, text, sizeof text));
	else if (err != 0 || n < k->min || n > k->max) {
		format_range(k, text, sizeof text);
		buf_printf(why, "out of range, %s", text);
	}
	if (why->len > 0)
		return false;
	*(int64_t *)field(k, obj) = n;
	return true;
}

/* What holds for every text: length, no control characters. Then the key's own check. */
bool
conf_key_check(const struct conf_key *k, char *v, struct buf *why)
{
	int64_t len = (int64_t)strlen(v);
	const char *p;

	for (p = v; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f) {
			buf_puts(why, "has control characters; remove them");
			return false;
		}
	if (len == 0 && (k->type == CT_LIST || k->type == CT_ADDRS || (k->type != CT_ARGS && k->min > 0)))
		buf_puts(why, "must not be empty");
	else if (k->type == CT_TEXT && len > k->max)
		buf_printf(why, "is too long: %" PRId64 " bytes, at most %" PRId64, len, k->max);
	else if (len > 0 && k->check != NULL)
		return k->check(v, why);
	return why->len == 0;
}

bool
conf_key_set(const struct conf_key *k, void *obj, const char *text, struct buf *why)
{
	char *v = xstrdup(text);
	bool ok, flag;

	switch (k->type) {
	case CT_BOOL:
		ok = parse_bool(v, &flag);
		if (ok)
			*(bool *)field(k, obj) = flag;
		else
			buf_puts(why, "must be true or false");
		break;
	case CT_WORD:
		ok = is_word(k, v);
		if (ok)
			set_text(k, obj, v);
		else
			buf_printf(why, "must be %s", k->form);
		break;
	case CT_TEXT:
		ok = conf_key_check(k, v, why);
		if (ok) /* an empty text unsets; in a tag it says "none" against the set's */
			set_text(k, obj, *v || k->scope == SC_TAG ? v : NULL);
		break;
	default:
		ok = (k->check == NULL || k->check(v, why)) && set_number(k, obj, v, why);
		break;
	}
	free(v);
	return ok;
}

bool
conf_key_is_set(const struct conf_key *k, const void *obj)
{
	if (is_text(k))
		return *(char **)field(k, obj) != NULL;
	if (conf_key_is_list(k))
		return ((struct strlist *)field(k, obj))->n > 0;
	if (conf_key_is_pairs(k))
		return ((struct conf_pairs *)field(k, obj))->n > 0;
	return k->def != NULL || *(int64_t *)field(k, obj) != -1;
}

static bool
strlist_same(const struct strlist *a, const struct strlist *b)
{
	size_t i;

	for (i = 0; i < a->n && i < b->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	return a->n == b->n;
}

static bool
pairs_same(const struct conf_pairs *a, const struct conf_pairs *b)
{
	const struct strlist ak = { a->keys, a->n }, bk = { b->keys, b->n };
	const struct strlist av = { a->values, a->n }, bv = { b->values, b->n };

	return strlist_same(&ak, &bk) && strlist_same(&av, &bv);
}

bool
conf_key_same(const struct conf_key *k, const void *a, const void *b)
{
	const char *x, *y;

	if (conf_key_is_list(k))
		return strlist_same(field(k, a), field(k, b));
	if (conf_key_is_pairs(k))
		return pairs_same(field(k, a), field(k, b));
	if (k->type == CT_BOOL)
		return *(bool *)field(k, a) == *(bool *)field(k, b);
	if (!is_text(k))
		return *(int64_t *)field(k, a) == *(int64_t *)field(k, b);
	x = *(char **)field(k, a);
	y = *(char **)field(k, b);
	return x == NULL || y == NULL ? x == y : strcmp(x, y) == 0;
}

static char *
format_pairs(const struct conf_key *k, const struct conf_pairs *p)
{
	struct buf out = { 0 };
	size_t i;

	for (i = 0; i < p->n; i++)
		buf_printf(&out, "%s%s: %s", i ? ", " : "", p->keys[i], k->type == CT_SECRETS ? "(not shown)" : p->values[i]);
	return buf_take(&out);
}

char *
conf_key_format(const struct conf_key *k, const void *obj)
{
	const struct strlist *list;
	struct buf out = { 0 };
	char text[40];
	size_t i;

	if (!conf_key_is_set(k, obj))
		return xstrdup("");
	if (is_text(k))
		return xstrdup(*(char **)field(k, obj));
	if (k->type == CT_BOOL)
		return xstrdup(*(bool *)field(k, obj) ? "true" : "false");
	if (conf_key_is_pairs(k))
		return format_pairs(k, field(k, obj));
	if (!conf_key_is_list(k)) {
		format_number(k, *(int64_t *)field(k, obj), text, sizeof text);
		return xstrdup(text);
	}
	list = field(k, obj);
	for (i = 0; i < list->n; i++)
		buf_printf(&out, "%s%s", i ? ", " : "", list->v[i]);
	return buf_take(&out);
}

char *
conf_key_pattern(const struct conf_key *k)
{
	const char *section = conf_scopes[k->scope].pattern;

	return xasprintf("%s%s%s", section, *section ? "." : "", k->name);
}

static void
print_row(const struct conf_key *k, struct buf *out)
{
	static const char *const types[] = {
		[CT_MS] = "duration",
		[CT_INT] = "number",
		[CT_SIZE] = "size",
		[CT_BOOL] = "true|false",
	};
	char *path = conf_key_pattern(k), range[100] = "-", *type;

	if (conf_key_is_list(k))
		type = xasprintf("list of %s", k->form);
	else
		type = xstrdup(k->form ? k->form : types[k->type]);
	if (k->type == CT_MS || k->type == CT_INT || k->type == CT_SIZE)
		format_range(k, range, sizeof range);
	else if (conf_key_is_list(k) || conf_key_is_pairs(k))
		snprintf(range, sizeof range, "at most %" PRId64, k->max);
	buf_printf(out, "%-54s  %-31s  %-31s  %-16s  %-7s  %s", path, type, k->def ? k->def : "-",
	    range, k->live ? "live" : "restart", k->help);
	free(path);
	free(type);
}

void
conf_print_keys(void (*line)(void *arg, const char *), void *arg)
{
	size_t i;

	for (i = 0; i < conf_n_keys; i++) {
		struct buf out = { 0 };

		print_row(&conf_keys[i], &out);
		line(arg, out.s);
		buf_free(&out);
	}
}
