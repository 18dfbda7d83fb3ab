#include "kamailio/binrpc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC_VERSION 0xa1
#define HEADER_MAX 10

enum { T_INT, T_STR, T_DOUBLE, T_STRUCT, T_ARRAY, T_NAME, T_BYTES };

/* One record of a body: a value, a name, or the start or end of a struct or array. */
struct record {
	uint8_t type;
	bool end;
	size_t at; /* of its value in the body */
	size_t len;
};

struct header {
	unsigned kind;
	uint32_t cookie;
	size_t size; /* of the header */
	size_t body;
};

static unsigned
uint_bytes(uint32_t n)
{
	unsigned size = 0;

	for (; n != 0; n >>= 8)
		size++;
	return size;
}

static void
add_uint(struct buf *b, uint32_t n, unsigned size)
{
	uint8_t byte;

	while (size-- > 0) {
		byte = (uint8_t)(n >> (8 * size));
		buf_add(b, &byte, 1);
	}
}

void
binrpc_begin(struct buf *body, const char *method)
{
	body->len = 0;
	binrpc_add_str(body, method);
}

void
binrpc_add_int(struct buf *body, int32_t n)
{
	unsigned size = uint_bytes((uint32_t)n);

	add_uint(body, size << 4 | T_INT, 1);
	add_uint(body, (uint32_t)n, size);
}

void
binrpc_add_str(struct buf *body, const char *s)
{
	size_t len = strlen(s) + 1;
	unsigned size;

	if (len < 8) {
		add_uint(body, (uint32_t)len << 4 | T_STR, 1);
	} else {
		/* Cut beyond 32 bits, but binrpc_packet() refuses much less than that. */
		size = uint_bytes((uint32_t)len);
		add_uint(body, 0x80 | size << 4 | T_STR, 1);
		add_uint(body, (uint32_t)len, size);
	}
	buf_add(body, s, len);
}

int
binrpc_packet(enum binrpc_kind kind, uint32_t cookie, const struct buf *body, struct buf *out)
{
	unsigned len_size, cookie_size;
	struct buf b = { 0 };

	if (body->len > BINRPC_REQUEST_MAX - HEADER_MAX)
		return -EMSGSIZE;
	len_size = body->len ? uint_bytes((uint32_t)body->len) : 1;
	cookie_size = cookie ? uint_bytes(cookie) : 1;
	add_uint(&b, MAGIC_VERSION, 1);
	add_uint(&b, (unsigned)kind << 4 | (len_size - 1) << 2 | (cookie_size - 1), 1);
	add_uint(&b, (uint32_t)body->len, len_size);
	add_uint(&b, cookie, cookie_size);
	buf_add(&b, body->s, body->len);
	*out = b;
	return 0;
}

static uint32_t
get_uint(const uint8_t *p, size_t size)
{
	uint32_t n = 0;

	while (size-- > 0)
		n = n << 8 | *p++;
	return n;
}

/* 1: complete; 0: more bytes are needed; -EBADMSG. Says so of a wrong first byte already. */
static int
read_header(const uint8_t *data, size_t len, struct header *out)
{
	size_t len_size, cookie_size;

	if (len >= 1 && data[0] != MAGIC_VERSION)
		return -EBADMSG;
	if (len < 2)
		return 0;
	out->kind = data[1] >> 4;
	if (out->kind != BINRPC_REQUEST && out->kind != BINRPC_REPLY && out->kind != BINRPC_FAULT)
		return -EBADMSG;
	len_size = (data[1] >> 2 & 3) + 1u;
	cookie_size = (data[1] & 3) + 1u;
	out->size = 2 + len_size + cookie_size;
	if (len < out->size)
		return 0;
	out->body = get_uint(data + 2, len_size);
	out->cookie = get_uint(data + 2 + len_size, cookie_size);
	return 1;
}

int64_t
binrpc_packet_size(const uint8_t *data, size_t len)
{
	struct header h;
	int rc = read_header(data, len, &h);

	if (rc <= 0)
		return rc;
	return h.body > BINRPC_REPLY_MAX - h.size ? -EMSGSIZE : (int64_t)(h.size + h.body);
}

static bool
is_container(unsigned type)
{
	return type == T_STRUCT || type == T_ARRAY;
}

/* The record at *at, which moves behind it. Checks what can be known without the ones before. */
static int
read_record(const uint8_t *body, size_t len, size_t *at, struct record *r)
{
	size_t p = *at, i;
	unsigned size = body[p] >> 4 & 7;
	bool external = body[p] & 0x80;

	r->type = body[p] & 0xf;
	r->end = false;
	r->len = size;
	p++;
	if (external && size == 0) {
		if (!is_container(r->type))
			return -EBADMSG;
		r->end = true;
	} else if (external) {
		if (size > len - p)
			return -EBADMSG;
		for (i = 0, r->len = 0; i < size; i++) {
			if (r->len > BINRPC_REPLY_MAX)
				return -EBADMSG;
			r->len = r->len << 8 | body[p + i];
		}
		p += size;
	}
	if (r->len > len - p)
		return -EBADMSG;
	r->at = p;
	*at = p + r->len;
	switch (r->type) {
	case T_INT:
		return r->len <= 4 ? 0 : -EBADMSG;
	case T_DOUBLE: /* 6.0 sends its times as such, in thousandths: more than 32 bits */
		return r->len <= 8 ? 0 : -EBADMSG;
	case T_STR:
	case T_NAME:
		return r->len > 0 && body[*at - 1] == '\0' ? 0 : -EBADMSG;
	case T_STRUCT:
	case T_ARRAY:
		return r->len == 0 ? 0 : -EBADMSG;
	case T_BYTES:
		return 0;
	default:
		/* Could be skipped, but a list that is read back must be all of it, or an error. */
		return -EBADMSG;
	}
}

/* Two's complement of 32 or 64 bits; shorter ones are positive. */
static int64_t
get_int(const uint8_t *p, size_t size)
{
	uint64_t n = 0;

	if (size <= 4)
		return (int32_t)get_uint(p, size);
	while (size-- > 0)
		n = n << 8 | *p++;
	return (int64_t)n;
}

static void
set_item(const uint8_t *body, const struct record *r, struct binrpc_item *out)
{
	static const enum binrpc_type types[] = {
		[T_INT] = BINRPC_INT,
		[T_STR] = BINRPC_STR,
		[T_DOUBLE] = BINRPC_DOUBLE,
		[T_STRUCT] = BINRPC_STRUCT,
		[T_ARRAY] = BINRPC_ARRAY,
		[T_BYTES] = BINRPC_BYTES,
	};

	out->type = types[r->type];
	out->num = 0;
	out->str = NULL;
	out->len = 0;
	if (r->type == T_INT || r->type == T_DOUBLE) {
		out->num = get_int(body + r->at, r->len);
	} else if (r->type == T_STR || r->type == T_BYTES) {
		out->str = (const char *)body + r->at;
		out->len = r->len - (r->type == T_STR);
	}
}

int
binrpc_next(struct binrpc_walk *w, struct binrpc_item *out)
{
	const char *name = NULL;
	struct record r;

	while (w->at < w->len) {
		if (read_record(w->body, w->len, &w->at, &r) != 0)
			goto bad;
		if (r.end) {
			if (w->depth == 0 || w->level[w->depth] != r.type || name != NULL)
				goto bad;
			w->depth--;
			*out = (struct binrpc_item){ .end = true, .depth = w->depth };
			return 1;
		}
		if (r.type == T_NAME) {
			if (w->depth == 0 || w->level[w->depth] != T_STRUCT || name != NULL)
				goto bad;
			name = (const char *)w->body + r.at;
			continue;
		}
		out->end = false;
		out->depth = w->depth;
		out->name = name;
		set_item(w->body, &r, out);
		if (is_container(r.type)) {
			if (w->depth == BINRPC_DEPTH_MAX)
				goto bad;
			w->level[++w->depth] = r.type;
		}
		return 1;
	}
	if (w->at == w->len && w->depth == 0 && name == NULL)
		return 0;
bad:
	w->at = w->len + 1;
	return -EBADMSG;
}

/* How many values the body holds. */
static int
count_values(const uint8_t *body, size_t len, size_t *out)
{
	struct binrpc_walk w = { .body = body, .len = len };
	struct binrpc_item item;
	size_t n = 0;
	int rc;

	while ((rc = binrpc_next(&w, &item)) > 0)
		n += !item.end;
	*out = n;
	return rc != 0 ? rc : n <= BINRPC_VALUES_MAX ? 0 : -EMSGSIZE;
}

/* Builds the tree in `v`, which has room for all values. `body` is our copy and is written to. */
static void
build(uint8_t *body, size_t len, struct binrpc_value *v, struct binrpc_value **first)
{
	struct binrpc_value **tail[BINRPC_DEPTH_MAX + 1] = { first };
	struct binrpc_walk w = { .body = body, .len = len };
	struct binrpc_item item;

	while (binrpc_next(&w, &item) > 0) {
		if (item.end)
			continue;
		v->type = item.type;
		v->name = item.name;
		v->num = item.num;
		v->str = item.str;
		v->len = item.len;
		if (item.type == BINRPC_BYTES) {
			/* No NUL of its own: move it over its header's last byte, which was read. */
			uint8_t *p = body + (item.str - (const char *)body);

			memmove(p - 1, p, item.len);
			(p - 1)[item.len] = '\0';
			v->str = (char *)p - 1;
		}
		*tail[item.depth] = v;
		tail[item.depth] = &v->next;
		if (w.depth > item.depth)
			tail[w.depth] = &v->child;
		v++;
	}
}

int
binrpc_open(const uint8_t *data, size_t len, struct binrpc_msg *out)
{
	struct header h;

	if (read_header(data, len, &h) != 1 || binrpc_packet_size(data, len) != (int64_t)len)
		return -EBADMSG;
	*out = (struct binrpc_msg){
		.kind = (enum binrpc_kind)h.kind,
		.cookie = h.cookie,
		.body = data + h.size,
		.body_len = h.body,
	};
	return 0;
}

int
binrpc_decode(const uint8_t *data, size_t len, struct binrpc_msg *out)
{
	struct binrpc_msg msg;
	size_t n = 0, values_bytes;
	uint8_t *body;
	int err = binrpc_open(data, len, &msg);

	if (err != 0)
		return err;
	if (msg.body_len > 0) {
		err = count_values(msg.body, msg.body_len, &n);
		if (err != 0)
			return err;
		values_bytes = n * sizeof *msg.first;
		msg.mem = malloc(values_bytes + msg.body_len);
		if (msg.mem == NULL)
			return -ENOMEM;
		memset(msg.mem, 0, values_bytes);
		body = (uint8_t *)msg.mem + values_bytes;
		memcpy(body, msg.body, msg.body_len);
		build(body, msg.body_len, msg.mem, &msg.first);
	}
	msg.body = NULL;
	msg.body_len = 0;
	*out = msg;
	return 0;
}

void
binrpc_clear(struct binrpc_msg *msg)
{
	free(msg->mem);
	memset(msg, 0, sizeof *msg);
}

const struct binrpc_value *
binrpc_find(const struct binrpc_value *v, const char *name)
{
	for (; v != NULL; v = v->next)
		if (v->name != NULL && strcmp(v->name, name) == 0)
			return v;
	return NULL;
}

const char *
binrpc_text(const struct binrpc_value *list, const char *name)
{
	const struct binrpc_value *v = binrpc_find(list, name);

	return v != NULL && v->type == BINRPC_STR ? v->str : NULL;
}

bool
binrpc_int(const struct binrpc_value *list, const char *name, int64_t *out)
{
	const struct binrpc_value *v = binrpc_find(list, name);

	if (v == NULL || (v->type != BINRPC_INT && v->type != BINRPC_DOUBLE))
		return false;
	if (v->type == BINRPC_DOUBLE && v->num % 1000 != 0)
		return false;
	*out = v->type == BINRPC_INT ? v->num : v->num / 1000;
	return true;
}

bool
binrpc_fault(const struct binrpc_msg *msg, int *code, const char **reason)
{
	const struct binrpc_value *v = msg->first;

	if (msg->kind != BINRPC_FAULT)
		return false;
	*code = v != NULL && v->type == BINRPC_INT ? (int)v->num : 0;
	if (v != NULL && v->type == BINRPC_INT)
		v = v->next;
	*reason = v != NULL && v->type == BINRPC_STR ? v->str : "no reason given";
	return true;
}
