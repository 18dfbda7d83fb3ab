#include "routing/uri.h"

#include <arpa/inet.h>
#include <string.h>

/* What a character may be part of. */
enum {
	HOST = 1,     /* of a name or an IPv4 address */
	IPV6 = 2,
	SCHEME = 4,
	USER = 8,     /* unescaped, in a user */
	URI = 16,     /* anywhere in a URI */
	TOKEN = 32,   /* of a display name that needs no quotes */
	LETTER = 64,
	BREAKS = 128, /* ends a URI in a header, or hides that */
};
#define ALNUM (HOST | SCHEME | USER | URI | TOKEN)
#define HEX (ALNUM | IPV6)

static const unsigned char kind[256] = {
	[0 ... 0x20] = BREAKS, [0x7f] = BREAKS, ['<'] = BREAKS, ['>'] = BREAKS, ['"'] = BREAKS, ['\\'] = BREAKS, ['`'] = BREAKS | TOKEN,
	['0' ... '9'] = HEX, ['a' ... 'f'] = HEX | LETTER, ['A' ... 'F'] = HEX | LETTER,
	['g' ... 'z'] = ALNUM | LETTER, ['G' ... 'Z'] = ALNUM | LETTER,
	['-'] = HOST | SCHEME | USER | URI | TOKEN, ['.'] = HOST | IPV6 | SCHEME | USER | URI | TOKEN, ['_'] = HOST | USER | URI | TOKEN,
	['+'] = SCHEME | USER | URI | TOKEN, [':'] = IPV6 | URI, ['!'] = USER | URI | TOKEN, ['~'] = USER | URI | TOKEN,
	['*'] = USER | URI | TOKEN, ['\''] = USER | URI | TOKEN, ['('] = USER | URI, [')'] = USER | URI, ['&'] = USER | URI,
	['='] = USER | URI, ['$'] = USER | URI, [','] = USER | URI, ['/'] = USER | URI, ['%'] = URI | TOKEN, [';'] = URI, ['?'] = URI,
	['@'] = URI, ['['] = URI, [']'] = URI,
};

static bool
all_of(const char *s, size_t len, unsigned kinds)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((kind[(unsigned char)s[i]] & kinds) == 0)
			return false;
	return true;
}

/* ---- splitting ---- */

bool
rt_uri_is_ipv6(const char *s, size_t len)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr in6;

	if (len >= sizeof text || !all_of(s, len, IPV6))
		return false;
	memcpy(text, s, len);
	text[len] = '\0';
	return inet_pton(AF_INET6, text, &in6) == 1;
}

bool
rt_uri_is_host(const char *s, size_t len)
{
	if (len == 0 || len > 255)
		return false;
	if (s[0] == '[')
		return len > 2 && s[len - 1] == ']' && rt_uri_is_ipv6(s + 1, len - 2);
	return s[0] != '.' && s[0] != '-' && all_of(s, len, HOST);
}

/* ":5060" or nothing. */
static bool
is_port(const char *s, size_t len)
{
	unsigned port = 0;
	size_t i;

	if (len == 0)
		return true;
	if (s[0] != ':' || len < 2 || len > 6)
		return false;
	for (i = 1; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		port = port * 10 + (unsigned)(s[i] - '0');
	}
	return port <= 65535;
}

static size_t
scheme_len(const char *s)
{
	const char *colon = strpbrk(s, ":@");

	if (colon == NULL || *colon != ':' || (kind[(unsigned char)s[0]] & LETTER) == 0 || !all_of(s, (size_t)(colon - s), SCHEME))
		return 0;
	return (size_t)(colon - s) + 1;
}

bool
rt_uri_split(const char *uri, struct rt_uri *out)
{
	const char *at = strchr(uri, '@'), *host, *user;
	size_t scheme, len, host_len;

	if (at == NULL)
		return false;
	scheme = scheme_len(uri);
	user = uri + scheme;
	host = at + 1;
	len = strcspn(host, ";?");
	if (host[0] == '[') {
		const char *end = memchr(host, ']', len);

		if (end == NULL)
			return false;
		host_len = (size_t)(end - host) + 1;
	} else {
		const char *colon = memchr(host, ':', len);

		host_len = colon != NULL ? (size_t)(colon - host) : len;
	}
	if (user == at || !rt_uri_is_host(host, host_len) || !is_port(host + host_len, len - host_len))
		return false;
	out->scheme = (struct rt_slice){ uri, scheme };
	out->user = (struct rt_slice){ user, strcspn(user, ";:@") };
	out->host = (struct rt_slice){ host, host_len };
	out->port = (struct rt_slice){ host + host_len, len - host_len };
	return out->user.len > 0;
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t
rt_uri_unescape(struct rt_slice user, char *out)
{
	size_t i, n = 0;

	if (memchr(user.s, '%', user.len) == NULL) {
		memcpy(out, user.s, user.len);
		return user.len;
	}
	for (i = 0; i < user.len; i++) {
		bool escaped = user.s[i] == '%' && user.len - i > 2 && hex(user.s[i + 1]) >= 0 && hex(user.s[i + 2]) >= 0;

		out[n++] = escaped ? (char)(hex(user.s[i + 1]) * 16 + hex(user.s[i + 2])) : user.s[i];
		i += escaped ? 2 : 0;
	}
	return n;
}

/* %0d and its like: somebody behind us may unescape it. */
static bool
hides_control(const char *s)
{
	for (s = strchr(s, '%'); s != NULL; s = strchr(s + 1, '%')) {
		int high = hex(s[1]), low = high < 0 ? -1 : hex(s[2]);

		if (low >= 0 && (high * 16 + low < 0x20 || high * 16 + low == 0x7f))
			return true;
	}
	return false;
}

/* Blanks among the digits of "sip:+39 040 123@host" do no harm: a user is written anew. */
static bool
breaks(const char *s)
{
	size_t scheme = scheme_len(s), i;
	const char *at = scheme > 0 ? strchr(s, '@') : NULL;

	for (i = 0; s[i] != '\0'; i++)
		if ((kind[(unsigned char)s[i]] & BREAKS) && (s[i] != ' ' || at == NULL || i < scheme || s + i > at))
			return true;
	return false;
}

/* Of one that is used as it is. */
static bool
is_well_formed(const char *uri)
{
	const char *p;

	if (uri[0] == '\0' || strchr(uri, '@') != NULL || !all_of(uri, strlen(uri), URI))
		return false;
	for (p = strchr(uri, '%'); p != NULL; p = strchr(p + 1, '%'))
		if (hex(p[1]) < 0 || hex(p[2]) < 0)
			return false;
	return uri[scheme_len(uri)] != '\0';
}

const char *
rt_uri_wrong(const char *uri, enum rt_uri_role role)
{
	struct rt_uri u;

	if (breaks(uri) || hides_control(uri))
		return "has characters that may not stand in a SIP URI";
	if (role == RT_URI_TO || rt_uri_split(uri, &u) || is_well_formed(uri))
		return NULL;
	return "is not a SIP URI (sip:user@host)";
}

/* ---- writing ---- */

void
pen_add(struct pen *p, const char *s, size_t len)
{
	if (p->full || len >= p->size - p->at) {
		p->full = true;
		return;
	}
	memcpy(p->space + p->at, s, len);
	p->at += len;
}

void
pen_puts(struct pen *p, const char *s)
{
	pen_add(p, s, strlen(s));
}

const char *
pen_end(struct pen *p)
{
	const char *s = p->space + *p->used;

	if (p->full || p->at >= p->size)
		return NULL;
	p->space[p->at++] = '\0';
	*p->used = p->at;
	return s;
}

static void
add_user(struct pen *p, struct rt_slice user)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t i, from = 0;

	for (i = 0; i < user.len; i++) {
		unsigned char c = (unsigned char)user.s[i];

		if (kind[c] & USER)
			continue;
		pen_add(p, user.s + from, i - from);
		pen_add(p, (char[3]){ '%', digits[c >> 4], digits[c & 15] }, 3);
		from = i + 1;
	}
	pen_add(p, user.s + from, i - from);
}

void
pen_uri(struct pen *p, struct rt_slice scheme, struct rt_slice user, struct rt_slice host, struct rt_slice port)
{
	if (scheme.len > 0)
		pen_add(p, scheme.s, scheme.len);
	else
		pen_add(p, "sip:", 4);
	if (user.len > 0) {
		add_user(p, user);
		pen_add(p, "@", 1);
	}
	pen_add(p, host.s, host.len);
	pen_add(p, port.s, port.len);
}

/* "..." whose quotes and backslashes inside are all escaped. */
static bool
is_quoted(const char *s, size_t len)
{
	size_t i;

	if (len < 2 || s[0] != '"' || s[len - 1] != '"')
		return false;
	for (i = 1; i < len - 1; i++) {
		if (s[i] == '"')
			return false;
		if (s[i] == '\\' && ++i == len - 1)
			return false;
	}
	return true;
}

static bool
is_tokens(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (s[i] != ' ' && (kind[(unsigned char)s[i]] & TOKEN) == 0)
			return false;
	return true;
}

void
pen_display(struct pen *p, const char *name, bool quoted)
{
	size_t len = strlen(name), i, from = 0;

	if (len == 0)
		return;
	if (is_quoted(name, len) || (!quoted && is_tokens(name, len))) {
		pen_add(p, name, len);
		return;
	}
	pen_add(p, "\"", 1);
	for (i = 0; i < len; i++) {
		if (name[i] != '"' && name[i] != '\\')
			continue;
		pen_add(p, name + from, i - from);
		pen_add(p, "\\", 1);
		from = i;
	}
	pen_add(p, name + from, len - from);
	pen_add(p, "\"", 1);
}
