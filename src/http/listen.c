#include "listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "http/httpd.h"
#include "registrar/iface.h"

#define BACKLOG 1024 /* whoever finds it full tries again only after a second */

static int
parse_place(const char *text, const char *brace, struct topo_addr *out, char *why, size_t size)
{
	char ip[TOPO_ADDR_TEXT], *place;
	int64_t port;
	int err;

	if (brace[1] != ':' || text_parse_int(brace + 2, 0, 65535, &port) != 0) {
		snprintf(why, size, "must be {ip:IFACE}:PORT");
		return -EINVAL;
	}
	place = xstrndup(text, (size_t)(brace - text) + 1);
	err = iface_expand(place, ip, sizeof ip, why, size);
	free(place);
	if (err != 0)
		return err;
	if (topo_addr_parse_ip(ip, out) != 0) {
		snprintf(why, size, "%s is no IP address", ip);
		return -EINVAL;
	}
	out->port = (uint16_t)port;
	return 0;
}

int
listen_parse(const char *text, struct topo_addr *out, char *why, size_t size)
{
	const char *brace = text[0] == '{' ? strchr(text, '}') : NULL;
	int err;

	if (brace != NULL)
		return parse_place(text, brace, out, why, size);
	err = topo_addr_parse(text, out);
	if (err != 0)
		snprintf(why, size, "must be IP:PORT or {ip:IFACE}:PORT");
	return err;
}

int
listen_open(const struct topo_addr *a)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(a->port) };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(a->port) };
	bool v6 = a->family == 6;
	int fd, on = 1, err = 0;

	memcpy(&six.sin6_addr, a->ip, sizeof six.sin6_addr);
	memcpy(&four.sin_addr, a->ip, sizeof four.sin_addr);
	fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* what is accepted inherits it */
	if (v6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (bind(fd, v6 ? (struct sockaddr *)&six : (struct sockaddr *)&four, v6 ? sizeof six : sizeof four) != 0 ||
	    listen(fd, BACKLOG) != 0)
		err = -errno;
	if (err != 0) {
		close(fd);
		return err;
	}
	return fd;
}

uint16_t
listen_port(int fd)
{
	struct sockaddr_in6 any = { 0 };
	socklen_t len = sizeof any;

	return getsockname(fd, (struct sockaddr *)&any, &len) == 0 ? ntohs(any.sin6_port) : 0; /* at sockaddr_in's place */
}

uint16_t
httpd_port(const struct conf *conf)
{
	uint16_t first = 0;
	size_t i;

	for (i = 0; i < conf->listen.n; i++) {
		const char *text = conf->listen.v[i], *colon = strrchr(text, ':');
		int64_t port;

		if (colon == NULL || text_parse_int(colon + 1, 1, 65535, &port) != 0)
			continue;
		if (strncmp(text, "127.", 4) != 0 && strncmp(text, "[::1]", 5) != 0)
			return (uint16_t)port;
		if (first == 0)
			first = (uint16_t)port;
	}
	return first;
}
