#include "url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static void
set_peer(struct url *u, const struct topo_addr *a)
{
	if (a->family == 6) {
		u->peer.in6.sin6_family = AF_INET6;
		u->peer.in6.sin6_port = htons(a->port);
		memcpy(&u->peer.in6.sin6_addr, a->ip, 16);
		u->peer_len = sizeof u->peer.in6;
	} else {
		u->peer.in.sin_family = AF_INET;
		u->peer.in.sin_port = htons(a->port);
		memcpy(&u->peer.in.sin_addr, a->ip, 4);
		u->peer_len = sizeof u->peer.in;
	}
	topo_addr_format(a, u->host);
	topo_addr_format_ip(a, u->ip);
	snprintf(u->where, sizeof u->where, "%s", u->host);
}

static int
parse_unix(struct url *u, const char *path, char *why, size_t size)
{
	size_t len = strlen(path);

	if (path[0] != '/' || path[1] == '\0') {
		snprintf(why, size, "must be unix:/PATH");
		return -EINVAL;
	}
	if (len >= sizeof u->peer.un.sun_path) {
		snprintf(why, size, "the path of a unix socket is at most %zu bytes long", sizeof u->peer.un.sun_path - 1);
		return -EINVAL;
	}
	u->peer.un.sun_family = AF_UNIX;
	memcpy(u->peer.un.sun_path, path, len + 1);
	u->peer_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	snprintf(u->where, sizeof u->where, "%s", path);
	snprintf(u->host, sizeof u->host, "localhost");
	return 0;
}

/* "/ari/" is "/ari", and "/" is nothing. */
static int
set_prefix(struct url *u, const char *prefix)
{
	size_t len = strlen(prefix);

	while (len > 0 && prefix[len - 1] == '/')
		len--;
	if (len >= sizeof u->prefix || strcspn(prefix, "?#") < len || !text_is_printable(prefix, len))
		return -EINVAL;
	memcpy(u->prefix, prefix, len);
	u->prefix[len] = '\0';
	return 0;
}

int
url_parse(struct url *u, const char *text, bool may_have_prefix, char *why, size_t size)
{
	const char *slash, *at = text;
	char authority[TOPO_ADDR_TEXT];
	struct topo_addr a;
	size_t len;

	memset(u, 0, sizeof *u);
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(u, text + 5, why, size);
	u->tls = strncmp(text, "https://", 8) == 0;
	if (!u->tls && strncmp(text, "http://", 7) != 0)
		goto bad;
	at += u->tls ? 8 : 7;
	slash = strchr(at, '/');
	len = slash ? (size_t)(slash - at) : strlen(at);
	if (len >= sizeof authority || (slash != NULL && !may_have_prefix))
		goto bad;
	memcpy(authority, at, len);
	authority[len] = '\0';
	if (topo_addr_parse(authority, &a) != 0 || a.port == 0 || (slash != NULL && set_prefix(u, slash) != 0))
		goto bad;
	set_peer(u, &a);
	return 0;
bad:
	snprintf(why, size, "must be http://IP:PORT%s, https://IP:PORT%s or unix:/PATH, with an address in digits",
	    may_have_prefix ? "[/PATH]" : "", may_have_prefix ? "[/PATH]" : "");
	return -EINVAL;
}
