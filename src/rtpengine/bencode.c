#include "rtpengine/bencode.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* One step through the text: a value's beginning, or the end ('e') of a list or dictionary. */
struct token {
	char what; /* 'i' 's' 'l' 'd' 'e' */
	int64_t num;
	size_t at; /* of a text's first byte: there is always a ':' before it */
	size_t len;
};

/* A list or dictionary that is being filled. */
struct level {
	struct bencode_value *in;
	struct bencode_value **tail;
	const char *key; /* read, its value not yet */
	size_t key_len;
};

/* Decimal digits up to `stop`, which is passed over. Only integers (stop 'e') may be negative. */
static int
read_number(const uint8_t *data, size_t len, size_t *at, uint8_t stop, int64_t *out)
{
	size_t p = *at, first;
	bool negative = stop == 'e' && p < len && data[p] == '-';
	int64_t n = 0;

	first = negative ? ++p : p;
	for (; p < len && data[p] >= '0' && data[p] <= '9'; p++) {
		int digit = data[p] - '0';

		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, negative ? -digit : digit, &n))
			return -EBADMSG;
	}
	if (p == first || p == len || data[p] != stop)
		return -EBADMSG;
	if (data[first] == '0' && (negative || p - first > 1))
		return -EBADMSG;
	*at = p + 1;
	*out = n;
	return 0;
}

/* The token at *at, which moves behind it; *at is below len. */
static int
read_token(const uint8_t *data, size_t len, size_t *at, struct token *t)
{
	uint8_t c = data[*at];
	int64_t size;
	int err;

	memset(t, 0, sizeof *t);
	if (c == 'l' || c == 'd' || c == 'e' || c == 'i') {
		t->what = (char)c;
		(*at)++;
		return c == 'i' ? read_number(data, len, at, 'e', &t->num) : 0;
	}
	err = read_number(data, len, at, ':', &size);
	if (err != 0)
		return err;
	if ((uint64_t)size > len - *at)
		return -EBADMSG;
	t->what = 's';
	t->at = *at;
	t->len = (size_t)size;
	*at += t->len;
	return 0;
}

static int
count_tokens(const uint8_t *data, size_t len, size_t *out)
{
	size_t at = 0, n = 0;
	struct token t;
	int err;

	while (at < len) {
		err = read_token(data, len, &at, &t);
		if (err != 0)
			return err;
		n += t.what != 'e';
	}
	*out = n;
	return n <= BENCODE_VALUES_MAX ? 0 : -EMSGSIZE;
}

/* A text has no NUL of its own: it moves over the ':' before it, which was read. */
static const char *
end_text(uint8_t *data, const struct token *t)
{
	memmove(data + t->at - 1, data + t->at, t->len);
	data[t->at - 1 + t->len] = '\0';
	return (char *)data + t->at - 1;
}

static void
set_value(struct bencode_value *v, uint8_t *data, const struct token *t)
{
	switch (t->what) {
	case 'i':
		v->type = BENCODE_INT;
		v->num = t->num;
		break;
	case 's':
		v->type = BENCODE_STR;
		v->str = end_text(data, t);
		v->len = t->len;
		break;
	default:
		v->type = t->what == 'l' ? BENCODE_LIST : BENCODE_DICT;
		break;
	}
}

static void
append(struct level *l, struct bencode_value *v)
{
	v->key = l->key;
	v->key_len = l->key_len;
	l->key = NULL;
	l->key_len = 0;
	l->in->count++;
	*l->tail = v;
	l->tail = &v->next;
}

/* Builds the tree in `v`, which has room for all values. `data` is our copy and is written to. */
static int
build(uint8_t *data, size_t len, struct bencode_value *v, struct bencode_value **root)
{
	struct bencode_value top = { .type = BENCODE_LIST };
	struct level levels[BENCODE_DEPTH_MAX + 1] = { { .in = &top, .tail = &top.child } };
	struct level *l = levels;
	size_t at = 0;
	struct token t;
	int err;

	while (at < len) {
		err = read_token(data, len, &at, &t);
		if (err != 0)
			return err;
		if (t.what == 'e') {
			if (l == levels || l->key != NULL)
				return -EBADMSG;
			l--;
			continue;
		}
		if (l->in->type == BENCODE_DICT && l->key == NULL) {
			if (t.what != 's')
				return -EBADMSG;
			l->key = end_text(data, &t);
			l->key_len = t.len;
			continue;
		}
		set_value(v, data, &t);
		append(l, v);
		if (v->type == BENCODE_LIST || v->type == BENCODE_DICT) {
			if (l == levels + BENCODE_DEPTH_MAX)
				return -EBADMSG;
			*++l = (struct level){ .in = v, .tail = &v->child };
		}
		v++;
	}
	if (l != levels || top.count != 1)
		return -EBADMSG;
	*root = top.child;
	return 0;
}

int
bencode_decode(const void *data, size_t len, struct bencode_msg *out)
{
	struct bencode_msg msg = { 0 };
	size_t n = 0, values_bytes;
	uint8_t *copy;
	int err;

	if (len > BENCODE_BYTES_MAX)
		return -EMSGSIZE;
	err = count_tokens(data, len, &n);
	if (err != 0)
		return err;
	if (n == 0)
		return -EBADMSG;
	values_bytes = n * sizeof *msg.root;
	msg.mem = malloc(values_bytes + len);
	if (msg.mem == NULL)
		return -ENOMEM;
	memset(msg.mem, 0, values_bytes);
	copy = (uint8_t *)msg.mem + values_bytes;
	memcpy(copy, data, len);
	err = build(copy, len, msg.mem, &msg.root);
	if (err != 0) {
		free(msg.mem);
		return err;
	}
	*out = msg;
	return 0;
}

void
bencode_clear(struct bencode_msg *msg)
{
	free(msg->mem);
	memset(msg, 0, sizeof *msg);
}

const struct bencode_value *
bencode_find(const struct bencode_value *dict, const char *key)
{
	const struct bencode_value *v;
	size_t len = strlen(key);

	if (dict->type != BENCODE_DICT)
		return NULL;
	for (v = dict->child; v != NULL; v = v->next)
		if (v->key_len == len && memcmp(v->key, key, len) == 0)
			return v;
	return NULL;
}

const char *
bencode_text(const struct bencode_value *dict, const char *key)
{
	const struct bencode_value *v = bencode_find(dict, key);

	return v != NULL && v->type == BENCODE_STR && strlen(v->str) == v->len ? v->str : NULL;
}

bool
bencode_int(const struct bencode_value *dict, const char *key, int64_t *out)
{
	const struct bencode_value *v = bencode_find(dict, key);

	if (v == NULL || v->type != BENCODE_INT)
		return false;
	*out = v->num;
	return true;
}

int64_t
bencode_length(const struct bencode_value *dict, const char *key)
{
	const struct bencode_value *v = bencode_find(dict, key);

	return v != NULL && v->type == BENCODE_LIST ? (int64_t)v->count : -1;
}

void
bencode_open_dict(struct buf *b)
{
	buf_puts(b, "d");
}

void
bencode_add_str(struct buf *b, const char *s)
{
	buf_printf(b, "%zu:%s", strlen(s), s);
}

void
bencode_add_int(struct buf *b, int64_t n)
{
	buf_printf(b, "i%" PRId64 "e", n);
}

void
bencode_close(struct buf *b)
{
	buf_puts(b, "e");
}
