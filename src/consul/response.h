/*
 * response: an HTTP/1.0 or 1.1 answer as it comes in, in pieces of any size. Strict where two readers could disagree about
 * where it ends; "100 Continue" and the like before it are skipped. Pure.
 */
#ifndef CONSUL_RESPONSE_H
#define CONSUL_RESPONSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

#define RESPONSE_HEAD_MAX (16u << 10) /* bytes of all lines that are not body */

enum response_at {
	RESPONSE_STATUS, RESPONSE_HEADER, RESPONSE_BODY, RESPONSE_UNTIL_CLOSE, RESPONSE_CHUNK_SIZE, RESPONSE_CHUNK,
	RESPONSE_CHUNK_END, RESPONSE_TRAILER, RESPONSE_WHOLE
};

struct response {
	enum response_at at;
	int status;
	bool keep;       /* the connection may be used again */
	char *body;      /* NULL, or body_len bytes and a NUL */
	size_t body_len;
	/* the rest is response.c's */
	size_t body_cap, max_body;
	uint64_t left;   /* bytes of the body, or of this chunk */
	bool has_length, chunked, old;
	size_t head_len;
	struct buf line;
	struct buf headers; /* "name\0value\0" each */
};

void response_init(struct response *, size_t max_body);
void response_clear(struct response *); /* zeroed ones are fine */
/*
 * 1: it is whole, and *used of the bytes were its own; 0: all were taken, more are needed. -EBADMSG: no HTTP, -EMSGSIZE: more
 * than max_body or RESPONSE_HEAD_MAX, -ENOMEM.
 */
MUST_USE int response_take(struct response *, const char *data, size_t len, size_t *used);
/* The connection has ended. 1: and with it the answer, which had announced no length; -ECONNRESET: too early. */
MUST_USE int response_end(struct response *);
/* By any case of its name; the first of several; NULL: none. */
const char *response_header(const struct response *, const char *name);

#endif
