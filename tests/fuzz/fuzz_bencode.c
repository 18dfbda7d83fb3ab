/*
 * fuzz_bencode: any bytes as what an NG port answers. What decodes must hold what bencode.h promises,
 * and, written down again, must be the same bytes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "rtpengine/bencode.h"

static void
write_text(struct buf *b, const char *s, size_t len)
{
	must(s != NULL && s[len] == '\0');
	buf_printf(b, "%zu:", len);
	buf_add(b, s, len);
}

static void
check_finding(const struct bencode_value *dict, const struct bencode_value *v)
{
	const struct bencode_value *found;
	int64_t num;

	if (strlen(v->key) != v->key_len)
		return;
	found = bencode_find(dict, v->key);
	must(found != NULL && found->key_len == v->key_len);
	must(bencode_int(dict, v->key, &num) == (found->type == BENCODE_INT));
	must(bencode_text(dict, v->key) == NULL || found->type == BENCODE_STR);
	must((bencode_length(dict, v->key) >= 0) == (found->type == BENCODE_LIST));
}

static void
write_value(struct buf *b, const struct bencode_value *v, unsigned depth)
{
	bool container = v->type == BENCODE_LIST || v->type == BENCODE_DICT;
	const struct bencode_value *c;
	size_t n = 0;

	must(depth <= BENCODE_DEPTH_MAX + (container ? 0u : 1u));
	must(container || (v->child == NULL && v->count == 0));
	must((v->str != NULL) == (v->type == BENCODE_STR));
	if (v->type == BENCODE_INT)
		bencode_add_int(b, v->num);
	if (v->type == BENCODE_STR)
		write_text(b, v->str, v->len);
	if (!container)
		return;
	buf_puts(b, v->type == BENCODE_LIST ? "l" : "d");
	for (c = v->child; c != NULL; c = c->next, n++) {
		must((c->key != NULL) == (v->type == BENCODE_DICT));
		if (c->key != NULL) {
			write_text(b, c->key, c->key_len);
			if (n < 16)
				check_finding(v, c);
		}
		write_value(b, c, depth + 1);
	}
	must(n == v->count);
	bencode_close(b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bencode_msg msg;
	struct buf again = { 0 };
	int rc = bencode_decode(data, size, &msg);

	if (rc != 0) {
		must(rc == -EBADMSG || rc == -ENOMEM || rc == -EMSGSIZE);
		return 0;
	}
	must(msg.root != NULL && msg.root->key == NULL && msg.root->next == NULL);
	write_value(&again, msg.root, 1);
	must(again.len == size && memcmp(again.s, data, size) == 0);
	buf_free(&again);
	bencode_clear(&msg);
	must(msg.root == NULL && msg.mem == NULL);
	return 0;
}
