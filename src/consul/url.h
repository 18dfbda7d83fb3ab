/*
 * url: where a server is: "http://IP:PORT[/PREFIX]", "https://IP:PORT[/PREFIX]", "unix:/PATH". No host names: they would
 * have to be looked up, which can hang. Pure.
 */
#ifndef CONSUL_URL_H
#define CONSUL_URL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "topology/addr.h"

struct url {
	bool tls;
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} peer;
	socklen_t peer_len;
	char where[128];            /* for messages: "127.0.0.1:8500", "/run/consul.sock" */
	char host[TOPO_ADDR_TEXT]; /* of the header: "127.0.0.1:8500", "localhost" */
	char ip[TOPO_ADDR_TEXT];   /* no brackets, no port; "" of a unix socket */
	char prefix[128];          /* "/ari"; "" */
};

/* -EINVAL, and `why` says what it must be. */
MUST_USE int url_parse(struct url *, const char *text, bool may_have_prefix, char *why, size_t size);

#endif
