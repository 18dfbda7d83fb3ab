/*
 * fuzz_http: any bytes from a client of the HTTP server, into the real one with all its pages: Kamailio's questions, the REST interface, the rest.
 * What comes back is HTTP: a status, headers of printable text, as many bytes as they say; JSON where they say so; and the server is there for
 * the next client.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <strings.h>

#include "fuzz_app.h"

#define PATIENCE_MS 5 /* what is not whole, or never ends, is not waited for */

static struct sockaddr_in server = { .sin_family = AF_INET };

/* One that is free now: a configuration does not take 0. */
static uint16_t
free_port(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof sin;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd >= 0 && bind(fd, (struct sockaddr *)&sin, sizeof sin) == 0 && getsockname(fd, (struct sockaddr *)&sin, &len) == 0);
	close(fd);
	return ntohs(sin.sin_port);
}

static void
start(void)
{
	uint16_t port = free_port();
	char *config = xasprintf("services:\n  router: {}\nhttp: { listen: [\"127.0.0.1:%u\"] }\n"
				 "register:\n  sbc: { address: 10.0.0.1, port: 5060, eid: e1 }\n", port);

	fuzz_app_start(config);
	free(config);
	server.sin_port = htons(port);
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	atexit(fuzz_app_finish);
}

struct answer {
	const char *body;
	size_t len;
	bool endless, is_json;
};

static void
take_header(struct answer *a, const char *line, size_t len)
{
	static const char length[] = "Content-Length:", type[] = "Content-Type: application/json", stream[] = "Content-Type: text/event-stream";
	size_t i;

	for (i = 0; i < len; i++)
		must((unsigned char)line[i] >= 0x20 && (unsigned char)line[i] < 0x7f);
	if (strncasecmp(line, length, sizeof length - 1) == 0)
		a->len = strtoul(line + sizeof length - 1, NULL, 10);
	a->is_json |= strncasecmp(line, type, sizeof type - 1) == 0;
	a->endless |= strncasecmp(line, stream, sizeof stream - 1) == 0;
}

/* The version is that of the question, as libevent has read it: of "1.99999999999" what fits. */
static bool
is_status_line(const char *s)
{
	const char *status = strchr(s, ' ');

	return strncmp(s, "HTTP/", 5) == 0 && status != NULL && strspn(status + 1, "0123456789") == 3;
}

/* The head of the answer at `s`; false: it is not whole. */
static bool
take_head(struct answer *a, const char *s)
{
	const char *end = s != NULL ? strstr(s, "\r\n\r\n") : NULL, *line, *stop;

	memset(a, 0, sizeof *a);
	if (end == NULL)
		return false;
	must(is_status_line(s));
	for (line = s; line < end + 2; line = stop + 2) {
		stop = strstr(line, "\r\n");
		take_header(a, line, (size_t)(stop - line));
	}
	a->body = end + 4;
	return true;
}

/* The first one is there: of more, what comes meanwhile. */
static bool
has_enough(const struct buf *answer, size_t wanted)
{
	struct answer a;

	(void)wanted;
	return take_head(&a, answer->s) && !a.endless && answer->len >= (size_t)(a.body - answer->s) + a.len;
}

static void
check(const struct buf *answer, bool is_head)
{
	struct answer a;
	json_t *o;

	if (!take_head(&a, answer->s) || a.endless || is_head || answer->len < (size_t)(a.body - answer->s) + a.len || a.len == 0 || !a.is_json)
		return;
	o = json_loadb(a.body, a.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	must(o != NULL);
	json_decref(o);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_peer p = { .data = data, .left = size < FUZZ_INPUT_MAX ? size : FUZZ_INPUT_MAX, .has_enough = has_enough,
		.patience_ms = PATIENCE_MS };
	struct buf answer;

	if (app.loop == NULL)
		start();
	fuzz_serve_document(); /* an input before may have changed it */
	answer = fuzz_talk((struct sockaddr *)&server, sizeof server, &p);
	check(&answer, size > 4 && memcmp(data, "HEAD", 4) == 0);
	buf_free(&answer);
	return 0;
}
