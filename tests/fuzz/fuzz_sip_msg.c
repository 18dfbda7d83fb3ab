/*
 * fuzz_sip_msg: any bytes as what a SIP port answers, as a datagram, as a stream in pieces, and as the address of a check.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "registrar/sip_msg.h"

/* The corpus' answers are to this one. */
#define TOKEN "0123456789abcdef0123456789abcdef"

static void
check_answer(const char *data, size_t len, const struct sip_question *q)
{
	struct sip_answer a;
	int err = sip_answer_parse(data, len, q, &a);

	must(err == 0 || err == -ENOMSG || err == -EBADMSG);
	if (err != 0)
		return;
	must(a.status >= 100 && a.status <= 699 && strlen(a.reason) < sizeof a.reason);
	for (const char *p = a.reason; *p != '\0'; p++)
		must(*p >= 0x20 && *p <= 0x7e);
}

/* The size of a message does not depend on how much of what follows it is there. */
static void
check_stream(const char *data, size_t len, const struct sip_question *q)
{
	size_t at = 0;
	int64_t n;

	while ((n = sip_message_size(data + at, len - at)) > 0) {
		must((size_t)n <= len - at && n <= SIP_MESSAGE_MAX);
		must(sip_message_size(data + at, (size_t)n) == n);
		must(sip_message_size(data + at, (size_t)n - 1) <= 0);
		check_answer(data + at, (size_t)n, q);
		at += (size_t)n;
	}
	must(n == 0 || n == -EBADMSG || n == -EMSGSIZE);
}

/* Whatever is taken for an address makes a question of one message, with no line of the address's own in it. */
static void
check_uri(const char *data, size_t len)
{
	struct sip_question q = { .local = { .family = 4, .ip = { 10, 0, 0, 9 }, .port = 40000 }, .token = TOKEN };
	char *text = xstrndup(data, len), why[64];
	struct sip_answer a;
	struct sip_uri uri;
	struct buf b = { 0 };
	size_t i, lines = 0;

	if (sip_uri_parse(text, &uri, why, sizeof why) == 0) {
		must(uri.addr.port != 0 && (uri.addr.family == 4 || uri.addr.family == 6));
		q.uri = &uri;
		sip_add_options(&b, &q);
		for (i = 0; i < b.len; i++)
			lines += b.s[i] == '\n';
		must(lines == 12 && sip_message_size(b.s, b.len) == (int64_t)b.len);
		must(sip_answer_parse(b.s, b.len, &q, &a) == -ENOMSG);
		buf_free(&b);
	} else {
		must(strlen(why) < sizeof why);
	}
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sip_question q = { .token = TOKEN };
	const char *text = (const char *)data;

	check_answer(text, size, &q);
	check_stream(text, size, &q);
	check_uri(text, size);
	return 0;
}
