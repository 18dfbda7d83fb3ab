/*
 * What Consul answers to ?recurse, one entry at a time: the tree of a whole answer of 8 MB would take ten times as much.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "consul/kv.h"

struct text {
	const char *p, *end;
};

struct pairs {
	struct kv_pair *v;
	size_t n, cap;
};

static char
next_byte(struct text *t)
{
	while (t->p < t->end && strchr(" \t\r\n", *t->p) != NULL && *t->p != '\0')
		t->p++;
	return t->p < t->end ? *t->p : '\0';
}

/* ---- base64 ---- */

static int
digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* `out` has room for 3 bytes for each 4. */
static int
decode(const char *s, size_t len, char *out, size_t *out_len)
{
	size_t pad, i;
	uint32_t bits = 0;
	char *p = out;

	if (len % 4 != 0)
		return -EBADMSG;
	pad = len > 0 && s[len - 1] == '=' ? 1 + (s[len - 2] == '=') : 0;
	for (i = 0; i < len; i++) {
		int d = i < len - pad ? digit(s[i]) : 0;

		if (d < 0)
			return -EBADMSG;
		bits = bits << 6 | (uint32_t)d;
		if (i % 4 != 3)
			continue;
		*p++ = (char)(bits >> 16 & 0xff);
		*p++ = (char)(bits >> 8 & 0xff);
		*p++ = (char)(bits & 0xff);
	}
	*out_len = (size_t)(p - out) - pad;
	return 0;
}

/* ---- entries ---- */

/* Does the key, which begins with the prefix, belong to it? Then that is what is left of it. */
static bool
cut_prefix(const char **key, size_t *len, const char *prefix)
{
	size_t n = strlen(prefix);

	*key += n;
	*len -= n;
	if (n == 0 || prefix[n - 1] == '/' || *len == 0)
		return true;
	if (**key != '/')
		return false;
	++*key;
	--*len;
	return true;
}

static int
add_pair(struct pairs *out, const char *key, size_t key_len, const char *value, size_t len)
{
	struct kv_pair *pair;
	char *block = malloc(key_len + len / 4 * 3 + 2), *at;
	size_t i, got = 0;
	int err;

	if (block == NULL)
		return -ENOMEM;
	for (i = 0; i < key_len; i++)
		block[i] = key[i] != '\0' ? key[i] : '?';
	at = block + key_len;
	*at++ = '\0';
	err = decode(value, len, at, &got);
	if (err != 0) {
		free(block);
		return err;
	}
	at[got] = '\0';
	out->v = xgrow(out->v, out->n, &out->cap, sizeof *out->v);
	pair = &out->v[out->n++];
	*pair = (struct kv_pair){ block, at, got };
	return 0;
}

static int
read_entry(const json_t *entry, const char *prefix, struct pairs *out)
{
	const json_t *k = json_object_get(entry, "Key"), *v = json_object_get(entry, "Value");
	const char *key = json_string_value(k), *value = json_string_value(v);
	size_t key_len = json_string_length(k), len = json_string_length(v), n = strlen(prefix);

	if (key == NULL || (value == NULL && !json_is_null(v)) || key_len < n || memcmp(key, prefix, n) != 0)
		return -EBADMSG;
	if (len == 0 && key_len > 0 && key[key_len - 1] == '/') /* a folder */
		return 0;
	if (!cut_prefix(&key, &key_len, prefix))
		return 0;
	return add_pair(out, key, key_len, value, len);
}

static int
next_entry(struct text *t, const char *prefix, struct pairs *out)
{
	json_error_t e;
	json_t *entry = json_loadb(t->p, (size_t)(t->end - t->p), JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &e);
	int err = entry == NULL ? -EBADMSG : read_entry(entry, prefix, out);

	if (err == 0)
		t->p += e.position;
	json_decref(entry);
	return err;
}

static int
pair_cmp(const void *a, const void *b)
{
	return strcmp(((const struct kv_pair *)a)->key, ((const struct kv_pair *)b)->key);
}

static int
read_array(struct text *t, const char *prefix, struct pairs *out)
{
	int err = 0;

	if (next_byte(t) != '[')
		return -EBADMSG;
	t->p++;
	if (next_byte(t) == ']') {
		t->p++;
		return 0;
	}
	do {
		if (next_byte(t) != '{')
			return -EBADMSG;
		err = next_entry(t, prefix, out);
	} while (err == 0 && next_byte(t) == ',' && t->p++ < t->end);
	if (err == 0 && next_byte(t) != ']')
		return -EBADMSG;
	t->p++;
	return err;
}

int
kv_parse(const char *body, size_t len, const char *prefix, struct kv_pair **out, size_t *n)
{
	struct text t = { body, body + len };
	struct pairs pairs = { 0 };
	int err;

	while (*prefix == '/')
		prefix++;
	err = read_array(&t, prefix, &pairs);
	if (err == 0 && (next_byte(&t) != '\0' || t.p < t.end))
		err = -EBADMSG;
	if (err != 0) {
		kv_pairs_free(pairs.v, pairs.n);
		return err;
	}
	if (pairs.n > 1)
		qsort(pairs.v, pairs.n, sizeof *pairs.v, pair_cmp);
	*out = pairs.v;
	*n = pairs.n;
	return 0;
}

void
kv_pairs_free(struct kv_pair *pairs, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		free((void *)(uintptr_t)pairs[i].key); /* the value is in the same block */
	free(pairs);
}
