/*
 * fuzz_response: any bytes as what an HTTP server answers. The first byte says in what pieces they come; pieces make no
 * difference, and an answer keeps to its limits.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "consul/response.h"

#define MAX_BODY 300

static int
feed(struct response *r, const char *data, size_t len, size_t step, size_t *used)
{
	size_t n, took;
	int rc = 0;

	response_init(r, MAX_BODY);
	for (*used = 0; rc == 0 && *used < len; *used += took) {
		n = len - *used < step ? len - *used : step;
		rc = response_take(r, data + *used, n, &took);
		must(took <= n && (rc != 0 || took == n));
	}
	must(rc == 0 || rc == 1 || rc == -EBADMSG || rc == -EMSGSIZE || rc == -ENOMEM);
	must(r->body_len <= MAX_BODY);
	if (rc != 1)
		return rc;
	must(r->status >= 200 && r->status <= 999);
	must(r->body_len == 0 || r->body[r->body_len] == '\0');
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct response once, again;
	size_t used, used_again;
	int rc;

	if (size < 1)
		return 0;
	rc = feed(&once, (const char *)data + 1, size - 1, size, &used);
	must(feed(&again, (const char *)data + 1, size - 1, 1 + data[0] % 16, &used_again) == rc);
	if (rc == 1) {
		must(used == used_again && once.status == again.status && once.keep == again.keep);
		must(once.body_len == again.body_len && (once.body_len == 0 || memcmp(once.body, again.body, once.body_len) == 0));
		must(once.headers.len == again.headers.len &&
		    (once.headers.len == 0 || memcmp(once.headers.s, again.headers.s, once.headers.len) == 0));
	}
	(void)response_header(&once, "X-Consul-Index");
	if (rc == 0)
		must(response_end(&once) == response_end(&again));
	response_clear(&once);
	response_clear(&again);
	return 0;
}
