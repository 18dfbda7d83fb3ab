/*
 * listen: addresses and sockets to listen at, as http.listen has them.
 */
#ifndef HTTP_LISTEN_H
#define HTTP_LISTEN_H

#include "topology/addr.h"

/* "IP:PORT", "{ip:IFACE}:PORT" with the interface's present address. -EINVAL or iface_expand()'s errors, and `why` for people. */
MUST_USE int listen_parse(const char *text, struct topo_addr *out, char *why, size_t size);
/* A listening socket (IPv6 ones take IPv6 only), or -errno. */
MUST_USE int listen_open(const struct topo_addr *);
uint16_t listen_port(int fd); /* 0: not known */

#endif
