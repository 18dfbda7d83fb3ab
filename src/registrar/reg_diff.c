#include "registrar/reg_diff.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/jsonx.h"
#include "base/text.h"

/* What has no value counts as the empty one: Consul writes null, {} or nothing at all. */
static bool
is_empty(const json_t *v)
{
	switch (v != NULL ? json_typeof(v) : JSON_NULL) {
	case JSON_NULL:
	case JSON_FALSE:
		return true;
	case JSON_STRING:
		return json_string_length(v) == 0;
	case JSON_INTEGER:
		return json_integer_value(v) == 0;
	case JSON_ARRAY:
		return json_array_size(v) == 0;
	case JSON_OBJECT:
		return json_object_size(v) == 0;
	default:
		return false;
	}
}

static bool
is_same(const json_t *a, const json_t *b)
{
	return (is_empty(a) && is_empty(b)) || json_equal(a, b);
}

static void
add_value(struct buf *b, const json_t *v)
{
	char *s = v != NULL && !json_is_null(v) ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_SORT_KEYS) : NULL;

	buf_puts(b, s != NULL ? s : "none");
	free(s);
}

static void
add(struct buf *b, const char *what, const char *key, const json_t *have, const json_t *want)
{
	buf_printf(b, "%s%s%s%s ", b->len > 0 ? "; " : "", what, *key ? " " : "", key);
	add_value(b, have);
	buf_puts(b, " becomes ");
	add_value(b, want);
}

/* ---- by kind ---- */

static void
diff_plain(struct buf *b, const char *what, const json_t *have, const json_t *want)
{
	if (!is_same(have, want))
		add(b, what, "", have, want);
}

/* An IPv6 address may be written in other words. */
static void
diff_address(struct buf *b, const char *what, const json_t *have, const json_t *want)
{
	if (!json_is_string(have) || !json_is_string(want) || strcasecmp(json_string_value(have), json_string_value(want)) != 0)
		diff_plain(b, what, have, want);
}

static void
diff_pairs(struct buf *b, const char *what, const json_t *have, const json_t *want)
{
	const char *key;
	json_t *v;

	/* the iterators take what they don't change as if they did */
	json_object_foreach((json_t *)(uintptr_t)want, key, v)
		if (!is_same(json_object_get(have, key), v))
			add(b, what, key, json_object_get(have, key), v);
	json_object_foreach((json_t *)(uintptr_t)have, key, v)
		if (json_object_get(want, key) == NULL && !json_is_null(v))
			add(b, what, key, v, NULL);
}

/* From an address of its own Consul makes these. */
static bool
is_consuls(const char *key)
{
	static const char *const names[] = { "lan_ipv4", "wan_ipv4", "lan_ipv6", "wan_ipv6" };
	size_t i;

	for (i = 0; i < NELEM(names); i++)
		if (strcmp(key, names[i]) == 0)
			return true;
	return false;
}

static bool
same_tagged(const json_t *have, const json_t *want)
{
	const char *a = jsonx_get_text(have, "Address"), *b = jsonx_get_text(want, "address");

	return a != NULL && b != NULL && strcasecmp(a, b) == 0 &&
	    json_integer_value(json_object_get(have, "Port")) == json_integer_value(json_object_get(want, "port"));
}

static void
diff_tagged(struct buf *b, const char *what, const json_t *have, const json_t *want)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)want, key, v)
		if (!same_tagged(json_object_get(have, key), v))
			add(b, what, key, json_object_get(have, key), v);
	json_object_foreach((json_t *)(uintptr_t)have, key, v)
		if (json_object_get(want, key) == NULL && !is_consuls(key))
			add(b, what, key, v, NULL);
}

static const struct {
	const char *what, *body, *service;
	void (*diff)(struct buf *, const char *what, const json_t *have, const json_t *want);
} fields[] = {
	{ "name", "Name", "Service", diff_plain },
	{ "address", "Address", "Address", diff_address },
	{ "port", "Port", "Port", diff_plain },
	{ "tags", "Tags", "Tags", diff_plain },
	{ "weight", "Weights", "Weights", diff_pairs },
	{ "enable_tag_override", "EnableTagOverride", "EnableTagOverride", diff_plain },
	{ "tagged address", "TaggedAddresses", "TaggedAddresses", diff_tagged },
	{ "meta", "Meta", "Meta", diff_pairs },
};

char *
reg_diff(const json_t *body, const json_t *service)
{
	/* then they are others' to change, and a PUT is only made for the rest */
	bool others_tags = json_is_true(json_object_get(body, "EnableTagOverride")) &&
	    json_is_true(json_object_get(service, "EnableTagOverride"));
	struct buf b = { 0 };
	size_t i;

	for (i = 0; i < NELEM(fields); i++)
		if (!others_tags || strcmp(fields[i].body, "Tags") != 0)
			fields[i].diff(&b, fields[i].what, json_object_get(service, fields[i].service),
			    json_object_get(body, fields[i].body));
	return b.len > 0 ? buf_take(&b) : NULL;
}
