#include "base/jsonx.h"

#include <string.h>

#include "base/text.h"

json_t *
jsonx_text(const char *s)
{
	char *copy;
	json_t *j;

	if (s == NULL)
		return json_null();
	copy = xstrdup(s);
	text_mask(copy, strlen(copy), "");
	j = json_string(copy);
	free(copy);
	return j;
}

void
jsonx_set_text(json_t *obj, const char *key, const char *text)
{
	json_object_set_new(obj, key, jsonx_text(text));
}

void
jsonx_set_int(json_t *obj, const char *key, int64_t n)
{
	json_object_set_new(obj, key, json_integer(n));
}

void
jsonx_set_bool(json_t *obj, const char *key, int b)
{
	json_object_set_new(obj, key, json_boolean(b));
}

void
jsonx_set_time(json_t *obj, const char *key, int64_t wall_ms)
{
	char text[32];

	text_format_time(wall_ms, text);
	json_object_set_new(obj, key, text[0] ? json_string(text) : json_null());
}

const char *
jsonx_get_text(const json_t *obj, const char *key)
{
	return json_string_value(json_object_get(obj, key));
}
