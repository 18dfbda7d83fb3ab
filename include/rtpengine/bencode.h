/*
 * bencode: the encoding of rtpengine's NG protocol: "i42e" integers, "3:abc" texts, "l...e" lists, "d...e"
 * dictionaries. Pure, fuzzed. Strict (no leading zeros, nothing after the value), except that a
 * dictionary's keys may come in any order and repeat: rtpengine does not sort them.
 */
#ifndef RTPENGINE_BENCODE_H
#define RTPENGINE_BENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

enum bencode_type { BENCODE_INT, BENCODE_STR, BENCODE_LIST, BENCODE_DICT };

#define BENCODE_BYTES_MAX 65535  /* no datagram is larger */
#define BENCODE_VALUES_MAX 16384 /* values and keys; rtpengine's "statistics" holds some 500 */
#define BENCODE_DEPTH_MAX 16     /* rtpengine's "query" nests 9 deep */

struct bencode_value {
	enum bencode_type type;
	const char *key; /* in a DICT; NUL-terminated like str, NULL elsewhere */
	size_t key_len;
	int64_t num;     /* INT */
	const char *str; /* STR: NUL-terminated, points into the message's own copy */
	size_t len;      /* of str, without the NUL */
	size_t count;    /* LIST, DICT: members */
	struct bencode_value *child; /* LIST, DICT: first member */
	struct bencode_value *next;
};

struct bencode_msg {
	struct bencode_value *root; /* never NULL after success */
	void *mem;                  /* all of it, owned */
};

/*
 * Decodes exactly one value. -EBADMSG (also for a number that does not fit and for what is nested
 * too deep), -EMSGSIZE over BENCODE_BYTES_MAX or BENCODE_VALUES_MAX, -ENOMEM. The caller calls
 * bencode_clear() after success.
 */
MUST_USE int bencode_decode(const void *data, size_t len, struct bencode_msg *out);
void bencode_clear(struct bencode_msg *);

/* The member of that key, the first of several; NULL: there is none, or `dict` is no DICT. */
const struct bencode_value *bencode_find(const struct bencode_value *dict, const char *key);
/* NULL: there is none, it is no STR, or it has a NUL in it. */
const char *bencode_text(const struct bencode_value *dict, const char *key);
bool bencode_int(const struct bencode_value *dict, const char *key, int64_t *out);
/* Of a LIST; -1: there is none. */
int64_t bencode_length(const struct bencode_value *dict, const char *key);

/* A request: open, then a text for each key followed by its value, then close. */
void bencode_open_dict(struct buf *);
void bencode_add_str(struct buf *, const char *);
void bencode_add_int(struct buf *, int64_t);
void bencode_close(struct buf *);

#endif
