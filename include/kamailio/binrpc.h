/*
 * binrpc: Kamailio's binary RPC encoding (kamailio src/modules/ctl/binrpc.h; measured facts about it
 * in this header). Pure, fuzzed.
 * Header: 0xA1; type<<4 | (length bytes-1)<<2 | (cookie bytes-1); length (body only); cookie.
 * Records: size class and type in one byte, ints big endian and minimal, strings with a trailing NUL
 * inside their length, doubles as thousandths. "Arrays" of replies are structs with nameless values,
 * names within a struct repeat: values are a list, never a map.
 */
#ifndef KAMAILIO_BINRPC_H
#define KAMAILIO_BINRPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

enum binrpc_kind { BINRPC_REQUEST = 0, BINRPC_REPLY = 1, BINRPC_FAULT = 3 };
enum binrpc_type {
	BINRPC_INT,
	BINRPC_STR,
	BINRPC_DOUBLE,
	BINRPC_STRUCT,
	BINRPC_ARRAY,
	BINRPC_BYTES
};

#define BINRPC_REQUEST_MAX 65000      /* Kamailio's read buffer is 65,535 bytes with the header */
#define BINRPC_REPLY_MAX (8u << 20)   /* 8,000 destinations are 1.8 MB */
#define BINRPC_VALUES_MAX (1u << 20)  /* 8,000 destinations in full are some 200,000 */
#define BINRPC_DEPTH_MAX 16

struct binrpc_value {
	enum binrpc_type type;
	const char *name;  /* NULL: nameless */
	int64_t num;       /* INT; DOUBLE in thousandths */
	const char *str;   /* STR, BYTES: NUL-terminated, points into the message's own copy */
	size_t len;        /* of str, without the NUL */
	struct binrpc_value *child; /* STRUCT, ARRAY: first member */
	struct binrpc_value *next;
};

struct binrpc_msg {
	enum binrpc_kind kind;
	uint32_t cookie;
	struct binrpc_value *first; /* top-level values; NULL for the empty body that means success */
	const uint8_t *body;        /* binrpc_open(): as it came, for binrpc_next(); else NULL */
	size_t body_len;
	void *mem;                  /* all of it, owned; NULL: `body` lies in the caller's memory */
};

/* A walk over a body: begin with { .body = ..., .len = ... }. */
struct binrpc_walk {
	const uint8_t *body;
	size_t len;
	size_t at;
	unsigned depth; /* of what comes next: 0 top level */
	uint8_t level[BINRPC_DEPTH_MAX + 1];
};

/* One value, or the end of the struct or array that is open. */
struct binrpc_item {
	bool end;
	unsigned depth; /* of the value, or of the struct that ends: 0 top level */
	enum binrpc_type type;
	const char *name; /* NULL: nameless */
	int64_t num;
	const char *str;  /* points into the body; BYTES: no NUL behind */
	size_t len;
};

/* Requests: method, then arguments in order, then binrpc_packet(). begin empties a used `body`. */
void binrpc_begin(struct buf *body, const char *method);
void binrpc_add_int(struct buf *body, int32_t);
void binrpc_add_str(struct buf *body, const char *);
/* Header and body as one packet in `out` (not initialised). -EMSGSIZE over BINRPC_REQUEST_MAX. */
MUST_USE int binrpc_packet(enum binrpc_kind, uint32_t cookie, const struct buf *body,
    struct buf *out);

/*
 * Total bytes of the packet that starts at data; 0: more bytes are needed; -EBADMSG; -EMSGSIZE over
 * BINRPC_REPLY_MAX.
 */
int64_t binrpc_packet_size(const uint8_t *data, size_t len);
/*
 * Decodes exactly one whole packet. -EBADMSG (also for record types that we do not know: half a
 * list must not pass for a whole one), -EMSGSIZE over BINRPC_VALUES_MAX, -ENOMEM. The caller calls
 * binrpc_clear() after success.
 */
MUST_USE int binrpc_decode(const uint8_t *data, size_t len, struct binrpc_msg *out);
void binrpc_clear(struct binrpc_msg *);
/*
 * The same for a large one: only the header is read, and the body is walked over in place by binrpc_next():
 * 1: an item; 0: the end, and all that was open was closed; -EBADMSG, also after it was said once.
 */
MUST_USE int binrpc_open(const uint8_t *data, size_t len, struct binrpc_msg *out);
MUST_USE int binrpc_next(struct binrpc_walk *, struct binrpc_item *out);

/* First member called `name` at or after `v` in its list; NULL. */
const struct binrpc_value *binrpc_find(const struct binrpc_value *v, const char *name);
/* NULL: missing or not text. */
const char *binrpc_text(const struct binrpc_value *list, const char *name);
/* Also of a DOUBLE without fraction: so come Kamailio's longs. */
bool binrpc_int(const struct binrpc_value *list, const char *name, int64_t *out);
/* A fault's code and reason; false when msg is none. */
bool binrpc_fault(const struct binrpc_msg *, int *code, const char **reason);

#endif
