#include "registrar/sip_msg.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

#define DEFAULT_PORT 5060
#define MAGIC "z9hG4bK" /* RFC 3261, 8.1.1.7 */
#define VERSION "SIP/2.0"

struct span {
	const char *p;
	size_t n;
};

/* ---- spans ---- */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct span
trim(struct span s)
{
	while (s.n > 0 && is_blank(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

static bool
is_text(struct span s, const char *text)
{
	return s.n == strlen(text) && strncasecmp(s.p, text, s.n) == 0;
}

/* What is before the first `c`, all when there is none; `rest` is what is behind it. */
static struct span
cut(struct span s, char c, struct span *rest)
{
	const char *at = s.n > 0 ? memchr(s.p, c, s.n) : NULL;
	size_t n = at ? (size_t)(at - s.p) : s.n;
	size_t skip = at ? n + 1 : n;

	*rest = (struct span){ s.p + skip, s.n - skip };
	return (struct span){ s.p, n };
}

/* ---- the URI ---- */

static int
bad_uri(const char *text, const char *what, char *why, size_t size)
{
	snprintf(why, size, "%.*s: %s", SIP_URI_MAX, text, what);
	return -EINVAL;
}

static const char *
parse_params(struct span params, bool *tcp)
{
	struct span name, value;

	while (params.n > 0) {
		value = cut(params, ';', &params);
		name = cut(value, '=', &value);
		if (!is_text(name, "transport"))
			continue;
		*tcp = is_text(value, "tcp");
		if (!*tcp && !is_text(value, "udp"))
			return "the transport is not one that c4d checks by: udp and tcp are";
	}
	return NULL;
}

static int
parse_host(struct span host, struct topo_addr *out)
{
	char text[TOPO_ADDR_TEXT];
	int n = snprintf(text, sizeof text, "%.*s", (int)host.n, host.p);

	if (n < 0 || (size_t)n >= sizeof text)
		return -EINVAL;
	if (topo_addr_parse(text, out) == 0)
		return 0;
	if (text[0] == '[' && n > 2 && text[n - 1] == ']') {
		text[n - 1] = '\0';
		if (topo_addr_parse_ip(text + 1, out) != 0 || out->family != 6)
			return -EINVAL;
	} else if (topo_addr_parse_ip(text, out) != 0 || out->family != 4) {
		return -EINVAL;
	}
	out->port = DEFAULT_PORT;
	return 0;
}

int
sip_uri_parse(const char *text, struct sip_uri *out, char *why, size_t size)
{
	size_t len = strlen(text);
	struct span rest, host;
	struct sip_uri uri = { 0 };
	const char *at, *wrong;

	if (len > SIP_URI_MAX)
		return bad_uri(text, "too long", why, size);
	if (strncasecmp(text, "sip:", 4) != 0)
		return bad_uri(text, "begins not with sip: (sips: and tel: can't be checked)", why, size);
	if (!text_is_printable(text, len) || strpbrk(text, "<>\",?") != NULL)
		return bad_uri(text, "a character that can't be in the address of a check", why, size);
	at = strrchr(text, '@');
	rest = at ? (struct span){ at + 1, strlen(at + 1) } : (struct span){ text + 4, len - 4 };
	host = cut(rest, ';', &rest);
	if (parse_host(host, &uri.addr) != 0 || uri.addr.port == 0)
		return bad_uri(text, "needs an IP address (IPv6 in brackets) and, if not 5060, a port: sip:10.0.0.1:5060", why, size);
	wrong = parse_params(rest, &uri.tcp);
	if (wrong != NULL)
		return bad_uri(text, wrong, why, size);
	memcpy(uri.text, text, len + 1);
	*out = uri;
	return 0;
}

/* ---- the question ---- */

void
sip_add_options(struct buf *out, const struct sip_question *q)
{
	char here[TOPO_ADDR_TEXT], ip[TOPO_ADDR_TEXT];
	const char *uri = q->uri->text, *transport = q->uri->tcp ? "TCP" : "UDP";
	bool six = q->local.family == 6;

	topo_addr_format(&q->local, here);
	topo_addr_format_ip(&q->local, ip);
	buf_printf(out, "OPTIONS %s " VERSION "\r\n", uri);
	buf_printf(out, "Via: " VERSION "/%s %s;branch=" MAGIC "%s;rport\r\n", transport, here, q->token);
	buf_puts(out, "Max-Forwards: 70\r\n");
	buf_printf(out, "From: <sip:c4d@%s%s%s>;tag=%.8s\r\n", six ? "[" : "", ip, six ? "]" : "", q->token);
	buf_printf(out, "To: <%s>\r\n", uri);
	buf_printf(out, "Call-ID: %s\r\n", q->token);
	buf_puts(out, "CSeq: 1 OPTIONS\r\n");
	buf_printf(out, "Contact: <sip:c4d@%s%s>\r\n", here, q->uri->tcp ? ";transport=tcp" : "");
	buf_puts(out, "User-Agent: c4d\r\nAccept: application/sdp\r\nContent-Length: 0\r\n\r\n");
}

/* ---- a message ---- */

/* A line of the message, the lines folded into it included; without its end. False: there is no whole one. */
static bool
next_line(struct span *msg, struct span *line)
{
	size_t at = 0;

	for (;;) {
		const char *end = at < msg->n ? memchr(msg->p + at, '\n', msg->n - at) : NULL;
		bool empty;

		if (end == NULL)
			return false;
		empty = at == 0 && (end == msg->p || (end == msg->p + 1 && msg->p[0] == '\r'));
		at = (size_t)(end - msg->p) + 1;
		if (empty || at == msg->n || (msg->p[at] != ' ' && msg->p[at] != '\t'))
			break;
	}
	*line = trim((struct span){ msg->p, at });
	msg->p += at;
	msg->n -= at;
	return true;
}

static bool
split_header(struct span line, struct span *name, struct span *value)
{
	*name = trim(cut(line, ':', value));
	*value = trim(*value);
	return name->n > 0 && name->n < line.n;
}

static bool
is_header(struct span name, const char *full, const char *compact)
{
	return is_text(name, full) || is_text(name, compact);
}

/* The first of a list's: "SIP/2.0/UDP host:port;branch=..;received=..". */
static bool
is_our_via(struct span via, const char *token)
{
	struct span name, value;

	via = cut(via, ',', &value);
	(void)cut(via, ';', &via);
	while (via.n > 0) {
		value = cut(via, ';', &via);
		name = trim(cut(value, '=', &value));
		value = trim(value);
		if (!is_text(name, "branch"))
			continue;
		return value.n > strlen(MAGIC) && strncmp(value.p, MAGIC, strlen(MAGIC)) == 0 &&
		       is_text((struct span){ value.p + strlen(MAGIC), value.n - strlen(MAGIC) }, token);
	}
	return false;
}

static bool
is_our_cseq(struct span cseq)
{
	struct span method, number = cut(cseq, ' ', &method);

	return is_text(number, "1") && is_text(trim(method), "OPTIONS");
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "SIP/2.0 200 OK" */
static int
parse_status(struct span line, struct sip_answer *out)
{
	struct span reason, version = cut(line, ' ', &reason), code = cut(reason, ' ', &reason);
	size_t len;

	if (!is_text(version, VERSION)) {
		/* A request ends with the version. */
		bool request = line.n > strlen(VERSION) &&
			       is_text((struct span){ line.p + line.n - strlen(VERSION), strlen(VERSION) }, VERSION);

		return request ? -ENOMSG : -EBADMSG;
	}
	if (code.n != 3 || code.p[0] < '1' || code.p[0] > '6' || !is_digit(code.p[1]) || !is_digit(code.p[2]))
		return -EBADMSG;
	out->status = (code.p[0] - '0') * 100 + (code.p[1] - '0') * 10 + (code.p[2] - '0');
	reason = trim(reason);
	len = reason.n < sizeof out->reason - 1 ? reason.n : sizeof out->reason - 1;
	memcpy(out->reason, reason.p, len);
	out->reason[len] = '\0';
	text_mask(out->reason, len, "");
	return 0;
}

int
sip_answer_parse(const char *data, size_t len, const struct sip_question *q, struct sip_answer *out)
{
	struct span msg = { data, len }, line, name, value;
	bool via_seen = false, via = false, call_id = false, cseq = false;
	struct sip_answer answer;
	int err;

	do
		if (!next_line(&msg, &line))
			return -EBADMSG;
	while (line.n == 0);
	err = parse_status(line, &answer);
	if (err != 0)
		return err;
	while (next_line(&msg, &line) && line.n > 0) {
		if (!split_header(line, &name, &value))
			return -EBADMSG;
		if (is_header(name, "Via", "v")) {
			via = via_seen ? via : is_our_via(value, q->token);
			via_seen = true;
		} else if (is_header(name, "Call-ID", "i")) {
			call_id = value.n == strlen(q->token) && memcmp(value.p, q->token, value.n) == 0;
		} else if (is_text(name, "CSeq")) {
			cseq = is_our_cseq(value);
		}
	}
	if (!via || !call_id || !cseq)
		return -ENOMSG;
	*out = answer;
	return 0;
}

/* ---- a stream ---- */

static int64_t
parse_length(struct span value)
{
	int64_t n = 0;
	size_t i;

	if (value.n == 0 || value.n > 9)
		return -EBADMSG;
	for (i = 0; i < value.n; i++) {
		if (!is_digit(value.p[i]))
			return -EBADMSG;
		n = n * 10 + (value.p[i] - '0');
	}
	return n;
}

int64_t
sip_message_size(const char *data, size_t len)
{
	struct span msg = { data, len }, line, name, value;
	int64_t body = -1, n;
	bool begun = false;

	for (;;) {
		if (!next_line(&msg, &line))
			return len > SIP_MESSAGE_MAX ? -EMSGSIZE : 0;
		if (line.n == 0 && begun)
			break;
		if (line.n > 0 && begun && split_header(line, &name, &value) && is_header(name, "Content-Length", "l")) {
			n = parse_length(value);
			if (n < 0 || (body >= 0 && body != n))
				return -EBADMSG;
			body = n;
		}
		begun = begun || line.n > 0;
	}
	n = (int64_t)(len - msg.n) + (body > 0 ? body : 0);
	if (n > SIP_MESSAGE_MAX)
		return -EMSGSIZE;
	return n <= (int64_t)len ? n : 0;
}
