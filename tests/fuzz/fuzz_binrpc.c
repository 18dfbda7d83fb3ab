/*
 * fuzz_binrpc: any bytes as what a ctl socket sends. What decodes must hold what binrpc.h promises.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "kamailio/binrpc.h"

static size_t
check_list(const struct binrpc_value *v, unsigned depth, bool in_struct)
{
	size_t n = 0;
	int64_t num;

	must(depth <= BINRPC_DEPTH_MAX);
	for (; v != NULL; v = v->next, n++) {
		must(v->name == NULL || (in_struct && strlen(v->name) < BINRPC_REPLY_MAX));
		if (v->name != NULL && n < 64) {
			must(binrpc_find(v, v->name) == v);
			must(binrpc_text(v, v->name) == (v->type == BINRPC_STR ? v->str : NULL));
			must(!binrpc_int(v, v->name, &num) || v->type == BINRPC_INT ||
			     v->type == BINRPC_DOUBLE);
		}
		must(v->type == BINRPC_DOUBLE || (v->num >= INT32_MIN && v->num <= INT32_MAX));
		must((v->str != NULL) == (v->type == BINRPC_STR || v->type == BINRPC_BYTES));
		must(v->str == NULL || (v->str[v->len] == '\0' && strlen(v->str) <= v->len));
		must(v->child == NULL || v->type == BINRPC_STRUCT || v->type == BINRPC_ARRAY);
		if (v->child != NULL)
			n += check_list(v->child, depth + 1, v->type == BINRPC_STRUCT);
	}
	return n;
}

/* In place: as many values as the tree has, and what it points to lies within. */
static size_t
walk(const uint8_t *data, size_t size, int want)
{
	struct binrpc_msg msg;
	struct binrpc_item item;
	struct binrpc_walk w;
	size_t n = 0;
	int rc;

	if (binrpc_open(data, size, &msg) != 0)
		return 0;
	w = (struct binrpc_walk){ .body = msg.body, .len = msg.body_len };
	while ((rc = binrpc_next(&w, &item)) > 0) {
		n += !item.end;
		must(item.depth <= BINRPC_DEPTH_MAX && w.depth <= BINRPC_DEPTH_MAX);
		must(item.end || item.str == NULL || ((const uint8_t *)item.str >= data &&
		    (const uint8_t *)item.str + item.len <= data + size));
		must(item.end || item.type != BINRPC_STR || item.str[item.len] == '\0');
	}
	must(rc == 0 || rc == -EBADMSG);
	must((rc == 0) == (want == 0) || want == -EMSGSIZE || want == -ENOMEM);
	return n;
}

/* Its numbers and texts as arguments of a request are the same again. */
static void
encode(const struct binrpc_value *v)
{
	struct buf body = { 0 }, packet;
	struct binrpc_msg again;
	const struct binrpc_value *a;

	binrpc_begin(&body, "m");
	for (const struct binrpc_value *one = v; one != NULL; one = one->next)
		if (one->type == BINRPC_INT)
			binrpc_add_int(&body, (int32_t)one->num);
		else if (one->type == BINRPC_STR)
			binrpc_add_str(&body, one->str);
	must(binrpc_packet(BINRPC_REQUEST, 1, &body, &packet) == 0);
	must(binrpc_decode((uint8_t *)packet.s, packet.len, &again) == 0 && again.first != NULL && strcmp(again.first->str, "m") == 0);
	for (a = again.first->next; v != NULL; v = v->next) {
		if (v->type != BINRPC_INT && v->type != BINRPC_STR)
			continue;
		must(a != NULL && a->type == v->type);
		must(v->type == BINRPC_INT ? a->num == v->num : strcmp(a->str, v->str) == 0);
		a = a->next;
	}
	must(a == NULL);
	binrpc_clear(&again);
	buf_free(&packet);
	buf_free(&body);
}

static void
decode(const uint8_t *data, size_t size)
{
	struct binrpc_msg msg;
	const char *reason;
	int rc = binrpc_decode(data, size, &msg), code;
	size_t n = walk(data, size, rc);

	if (rc != 0) {
		must(rc == -EBADMSG || rc == -ENOMEM || rc == -EMSGSIZE);
		return;
	}
	must(binrpc_packet_size(data, size) == (int64_t)size);
	must(check_list(msg.first, 0, false) == n);
	must(binrpc_fault(&msg, &code, &reason) == (msg.kind == BINRPC_FAULT));
	must(msg.kind != BINRPC_FAULT || reason != NULL);
	if (size < 65536)
		encode(msg.first);
	binrpc_clear(&msg);
	must(msg.first == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int64_t whole = binrpc_packet_size(data, size);
	struct buf body = { .s = (char *)data, .len = size }, packet;

	must(whole == -EBADMSG || whole == -EMSGSIZE ||
	     (whole >= 0 && whole <= (int64_t)BINRPC_REPLY_MAX));
	decode(data, size);
	/* And as a body with a header that is right, since few inputs have one. */
	if (binrpc_packet(BINRPC_REPLY, (uint32_t)size, &body, &packet) == 0) {
		must(binrpc_packet_size((uint8_t *)packet.s, packet.len) == (int64_t)packet.len);
		decode((uint8_t *)packet.s, packet.len);
		buf_free(&packet);
	}
	return 0;
}
