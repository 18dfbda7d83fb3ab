/* consul/response: answers whole, in pieces and byte by byte; what is no HTTP; where an answer ends. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "consul/response.h"

#define MAX_BODY 20

struct row {
	const char *text;
	int rc;           /* of the last response_take(); with `ends`, of response_end() */
	bool ends;        /* the connection, after the text */
	int status;
	const char *body;
	bool keep;
	size_t left;      /* bytes behind the answer */
};

#define OK "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"

static const struct row rows[] = {
	{ OK "Content-Length: 2\r\n\r\n[]", 1, false, 200, "[]", true, 0 },
	{ OK "Content-Length: 2\r\n\r\n[]HTTP/1.1 2", 1, false, 200, "[]", true, 10 },
	{ OK "content-LENGTH:2\n\n[]", 1, false, 200, "[]", true, 0 },
	{ OK "Content-Length: 2\r\nContent-Length: 2\r\n\r\n[]", 1, false, 200, "[]", true, 0 },
	{ OK "Content-Length: 0\r\n\r\n", 1, false, 200, NULL, true, 0 },
	{ OK "Content-Length: 20\r\n\r\n12345678901234567890", 1, false, 200, "12345678901234567890", true, 0 },
	{ OK "Content-Length: 2\r\nConnection: x, Close\r\n\r\n[]", 1, false, 200, "[]", false, 0 },
	{ OK "Content-Length: 2\r\nConnection: closed\r\n\r\n[]", 1, false, 200, "[]", true, 0 },
	{ "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n[]", 1, false, 200, "[]", false, 0 },
	{ "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n[]", 1, false, 200, "[]", true, 0 },
	{ "HTTP/1.1 403\r\nContent-Length: 1\r\n\r\nx", 1, false, 403, "x", true, 0 },
	{ "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 1, false, 204, NULL, true, 0 },
	{ "HTTP/1.1 304 Not Modified\r\n\r\n", 1, false, 304, NULL, true, 0 },
	{ "HTTP/1.1 100 Continue\r\nContent-Length: 7\r\n\r\n" OK "Content-Length: 1\r\n\r\nx", 1, false, 200, "x", true, 0 },
	/* chunks */
	{ CHUNKED "2\r\n[]\r\n0\r\n\r\n", 1, false, 200, "[]", true, 0 },
	{ CHUNKED "1;a=b\r\n[\r\n01 \r\n]\r\n000\r\nX: y\r\nno header\r\n\r\nz", 1, false, 200, "[]", true, 1 },
	{ CHUNKED "14\r\n12345678901234567890\r\n0\r\n\r\n", 1, false, 200, "12345678901234567890", true, 0 },
	{ CHUNKED "0\r\n\r\n", 1, false, 200, NULL, true, 0 },
	{ CHUNKED "2\r\n[]x\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ CHUNKED "\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ CHUNKED "-1\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ CHUNKED "2x\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ CHUNKED "15\r\n", -EMSGSIZE, false, 0, NULL, false, 0 },
	{ CHUNKED "10\r\n1234567890123456\r\n5\r\n", -EMSGSIZE, false, 0, NULL, false, 0 },
	{ CHUNKED "fffffffffffffff\r\n", -EMSGSIZE, false, 0, NULL, false, 0 },
	{ CHUNKED "10000000000000000\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	/* to the connection's end */
	{ OK "\r\n[]", 1, true, 200, "[]", false, 0 },
	{ OK "\r\n", 1, true, 200, NULL, false, 0 },
	{ OK "\r\n123456789012345678901", -EMSGSIZE, false, 0, NULL, false, 0 },
	{ "", -ECONNRESET, true, 0, NULL, false, 0 },
	{ OK "Content-Length: 2\r\n\r\n[", -ECONNRESET, true, 0, NULL, false, 0 },
	{ CHUNKED "2\r\n[]\r\n", -ECONNRESET, true, 0, NULL, false, 0 },
	{ CHUNKED "2\r\n[]\r\n0\r\n", -ECONNRESET, true, 0, NULL, false, 0 },
	{ OK, -ECONNRESET, true, 0, NULL, false, 0 },
	/* no HTTP, or two ways to read it */
	{ "x", -EBADMSG, false, 0, NULL, false, 0 },
	{ "\x16\x03\x01", -EBADMSG, false, 0, NULL, false, 0 },
	{ "HTTP/2 200\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ "HTTP/1.2 200 OK\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ "HTTP/1.1 20 OK\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ "HTTP/1.1 2000 OK\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ "HTTP/1.1 099 OK\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ "HTTP/1.1 101 Switching\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ "HTTP/1.1  200 OK\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ OK "no colon\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ OK ": x\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ OK "A : x\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ OK "A: x\r\n folded\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ OK "A: x\x01y\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ OK "A: x\ry\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ OK "Content-Length: \r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ OK "Content-Length: +2\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ OK "Content-Length: 2, 2\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ OK "Content-Length: 9999999999999999999\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ OK "Content-Length: 2\r\nContent-Length: 3\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ OK "Content-Length: 21\r\n\r\n", -EMSGSIZE, false, 0, NULL, false, 0 },
	{ OK "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ OK "Transfer-Encoding: gzip, chunked\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", -EBADMSG, false, 0, NULL, false, 0 },
	{ "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", -EBADMSG, false, 0, NULL, false, 0 },
};

/* The row's text in pieces of `step` bytes; *used counts what was the answer's. */
static int
feed(struct response *r, const struct row *row, size_t step, size_t *used)
{
	size_t len = strlen(row->text), n, took;
	int rc = 0;

	for (*used = 0; rc == 0 && *used < len; *used += took) {
		char *piece; /* of its own memory: what lies behind it must not be read */

		n = len - *used < step ? len - *used : step;
		piece = malloc(n);
		assert_non_null(piece);
		memcpy(piece, row->text + *used, n);
		rc = response_take(r, piece, n, &took);
		free(piece);
		assert_true(took <= n);
		assert_true(rc != 0 || took == n);
	}
	return rc == 0 && row->ends ? response_end(r) : rc;
}

static void
in_pieces_of_any_size(void **state)
{
	size_t i, step;

	for (i = 0; i < NELEM(rows); i++)
		for (step = 1; step <= strlen(rows[i].text) + 1; step++) {
			const struct row *w = &rows[i];
			struct response r;
			size_t used;
			int rc;

			response_init(&r, MAX_BODY);
			rc = feed(&r, w, step, &used);
			if (rc != w->rc)
				fail_msg("row %zu (%s), by %zu: %d, want %d", i, w->text, step, rc, w->rc);
			if (rc == 1) {
				assert_int_equal(r.status, w->status);
				assert_int_equal(r.keep, w->keep);
				assert_int_equal(strlen(w->text) - used, w->left);
				assert_int_equal(r.body_len, w->body ? strlen(w->body) : 0);
				if (w->body != NULL)
					assert_string_equal(r.body, w->body);
			}
			response_clear(&r);
		}
}

static void
headers_are_found(void **state)
{
	struct row w = { .text = OK "X-Consul-Index: 42\r\nEmpty:\r\nDate: \t a b \t\r\nX-Consul-Index: 43\r\nContent-Length: 0\r\n\r\n" };
	struct response r;
	size_t used;

	response_init(&r, 0);
	assert_null(response_header(&r, "Date"));
	assert_int_equal(feed(&r, &w, 1000, &used), 1);
	assert_string_equal(response_header(&r, "x-consul-INDEX"), "42");
	assert_string_equal(response_header(&r, "Empty"), "");
	assert_string_equal(response_header(&r, "Date"), "a b");
	assert_null(response_header(&r, "Dat"));
	assert_null(response_header(&r, "42"));
	response_clear(&r);
}

/* A NUL can't be in a header, and may be in a body. */
static void
nul_bytes(void **state)
{
	static const char head[] = OK "A: b\0c\r\n", body[] = OK "Content-Length: 3\r\n\r\na\0b";
	struct response r;
	size_t used;

	response_init(&r, MAX_BODY);
	assert_int_equal(response_take(&r, head, sizeof head - 1, &used), -EBADMSG);
	response_clear(&r);
	response_init(&r, MAX_BODY);
	assert_int_equal(response_take(&r, body, sizeof body - 1, &used), 1);
	assert_int_equal(r.body_len, 3);
	assert_memory_equal(r.body, "a\0b", 4);
	response_clear(&r);
}

/* Nothing that goes on for ever does: a line, lines, answers before the answer, trailers. */
static void
endless(void **state)
{
	static const struct {
		const char *first, *again;
	} ways[] = {
		{ OK, "A" }, { OK, "A: b\r\n" }, { "", "HTTP/1.1 100 Continue\r\n\r\n" }, { CHUNKED "0\r\n", "X: y\r\n" }, { CHUNKED, "0" },
		{ CHUNKED, "1\r\nx\r\n" },
	};
	size_t i, k, used;

	for (i = 0; i < NELEM(ways); i++) {
		struct response r;
		int rc = 0;

		response_init(&r, MAX_BODY);
		if (ways[i].first[0] != '\0')
			rc = response_take(&r, ways[i].first, strlen(ways[i].first), &used);
		for (k = 0; rc == 0 && k < RESPONSE_HEAD_MAX + 10; k++)
			rc = response_take(&r, ways[i].again, strlen(ways[i].again), &used);
		if (rc != -EMSGSIZE)
			fail_msg("way %zu: %d", i, rc);
		response_clear(&r);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_pieces_of_any_size), cmocka_unit_test(headers_are_found), cmocka_unit_test(nul_bytes),
		cmocka_unit_test(endless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
