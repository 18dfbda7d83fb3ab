#include "topology/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

int
topo_addr_cmp(const struct topo_addr *a, const struct topo_addr *b)
{
	int c;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	c = memcmp(a->ip, b->ip, sizeof a->ip);
	if (c != 0)
		return c < 0 ? -1 : 1;
	return a->port == b->port ? 0 : a->port < b->port ? -1 : 1;
}

bool
topo_addr_same_ip(const struct topo_addr *a, const struct topo_addr *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

bool
topo_addr_is_loopback(const struct topo_addr *a)
{
	static const uint8_t one[16] = { [15] = 1 };

	return a->family == 4 ? a->ip[0] == 127 : a->family == 6 && memcmp(a->ip, one, sizeof one) == 0;
}

int
topo_addr_parse_ip(const char *s, struct topo_addr *out)
{
	struct topo_addr a = { 0 };

	if (inet_pton(AF_INET, s, a.ip) == 1)
		a.family = 4;
	else if (inet_pton(AF_INET6, s, a.ip) == 1)
		a.family = 6;
	else
		return -EINVAL;
	*out = a;
	return 0;
}

int
topo_addr_parse(const char *s, struct topo_addr *out)
{
	const char *colon = strrchr(s, ':');
	char ip[TOPO_ADDR_TEXT];
	struct topo_addr a;
	int64_t port;
	size_t len;
	bool bracket = s[0] == '[';

	if (colon == NULL || text_parse_int(colon + 1, 0, 65535, &port) != 0)
		return -EINVAL;
	len = (size_t)(colon - s);
	if (bracket && (len < 2 || s[len - 1] != ']'))
		return -EINVAL;
	if (bracket) {
		s++;
		len -= 2;
	}
	if (len >= sizeof ip)
		return -EINVAL;
	memcpy(ip, s, len);
	ip[len] = '\0';
	if (topo_addr_parse_ip(ip, &a) != 0 || bracket != (a.family == 6))
		return -EINVAL;
	a.port = (uint16_t)port;
	*out = a;
	return 0;
}

void
topo_addr_format_ip(const struct topo_addr *a, char out[TOPO_ADDR_TEXT])
{
	if (a->family == 0 ||
	    inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->ip, out, TOPO_ADDR_TEXT) == NULL)
		snprintf(out, TOPO_ADDR_TEXT, "-");
}

void
topo_addr_format(const struct topo_addr *a, char out[TOPO_ADDR_TEXT])
{
	char ip[TOPO_ADDR_TEXT];

	topo_addr_format_ip(a, ip);
	snprintf(out, TOPO_ADDR_TEXT, a->family == 6 ? "[%.46s]:%u" : "%.46s:%u", ip, a->port);
}

const char *
topo_addr_implausible(const struct topo_addr *a)
{
	static const uint8_t zero[16], ones[4] = { 255, 255, 255, 255 };

	if (a->family == 0)
		return "no address";
	if (a->port == 0)
		return "port 0";
	if (memcmp(a->ip, zero, 16) == 0)
		return "unspecified address";
	if (a->family == 4 && (a->ip[0] & 0xf0) == 0xe0)
		return "multicast address";
	if (a->family == 6 && a->ip[0] == 0xff)
		return "multicast address";
	if (a->family == 4 && memcmp(a->ip, ones, 4) == 0)
		return "broadcast address";
	return NULL;
}

int
topo_prefix_parse(const char *s, struct topo_prefix *out)
{
	const char *slash = strchr(s, '/');
	struct topo_prefix p = { 0 };
	struct topo_addr a;
	char ip[TOPO_ADDR_TEXT];
	size_t len = slash ? (size_t)(slash - s) : strlen(s);
	int64_t bits;

	if (len >= sizeof ip)
		return -EINVAL;
	memcpy(ip, s, len);
	ip[len] = '\0';
	if (topo_addr_parse_ip(ip, &a) != 0)
		return -EINVAL;
	bits = a.family == 4 ? 32 : 128;
	if (slash != NULL && text_parse_int(slash + 1, 0, bits, &bits) != 0)
		return -EINVAL;
	p.family = a.family;
	p.bits = (uint8_t)bits;
	memcpy(p.ip, a.ip, sizeof p.ip);
	*out = p;
	return 0;
}

bool
topo_prefix_has(const struct topo_prefix *p, const struct topo_addr *a)
{
	unsigned whole = p->bits / 8, rest = p->bits % 8;

	if (p->family != a->family || memcmp(p->ip, a->ip, whole) != 0)
		return false;
	return rest == 0 || ((p->ip[whole] ^ a->ip[whole]) >> (8 - rest)) == 0;
}
