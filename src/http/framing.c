#include "framing.h"

#include <event2/keyvalq_struct.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

static bool
is(const struct evkeyval *kv, const char *name)
{
	return strcasecmp(kv->key, name) == 0;
}

const char *
framing_fault(const struct evkeyvalq *headers)
{
	const struct evkeyval *kv;
	unsigned lengths = 0, hosts = 0;

	for (kv = headers->tqh_first; kv != NULL; kv = kv->next.tqe_next) {
		bool length = is(kv, "Content-Length"), coding = is(kv, "Transfer-Encoding");

		if (length && (kv->value[0] == '\0' || kv->value[strspn(kv->value, "0123456789")] != '\0'))
			return "Content-Length is no number";
		if (coding && strcasecmp(kv->value, "chunked") != 0)
			return "a Transfer-Encoding other than chunked";
		lengths += length || coding;
		hosts += is(kv, "Host");
	}
	if (lengths > 1)
		return "more than one header says how long the body is";
	return hosts > 1 ? "more than one Host" : NULL;
}

bool
framing_has_body(const struct evkeyvalq *headers)
{
	const struct evkeyval *kv;

	for (kv = headers->tqh_first; kv != NULL; kv = kv->next.tqe_next)
		if (is(kv, "Transfer-Encoding") || (is(kv, "Content-Length") && strcmp(kv->value, "0") != 0))
			return true;
	return false;
}
