/*
 * addr: an instance's identity, (IP address, port), the only one that DNS gives. Pure.
 * Family 0 means "no IP address": an adopted dispatcher line whose URI holds a host name.
 */
#ifndef TOPOLOGY_ADDR_H
#define TOPOLOGY_ADDR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

struct topo_addr {
	uint8_t family; /* 4, 6 or 0 */
	uint8_t ip[16]; /* network order; 4 bytes used for family 4, the rest zero */
	uint16_t port;
};

struct topo_prefix {
	uint8_t family;
	uint8_t ip[16];
	uint8_t bits;
};

#define TOPO_ADDR_TEXT 64 /* "[ipv6]:port" and a NUL fit */

int topo_addr_cmp(const struct topo_addr *, const struct topo_addr *); /* 4 before 6, numeric, port */
bool topo_addr_same_ip(const struct topo_addr *, const struct topo_addr *);
MUST_USE int topo_addr_parse_ip(const char *, struct topo_addr *); /* port 0; -EINVAL */
MUST_USE int topo_addr_parse(const char *, struct topo_addr *);    /* "1.2.3.4:5060" "[::1]:5060"; -EINVAL */
void topo_addr_format_ip(const struct topo_addr *, char out[TOPO_ADDR_TEXT]); /* no brackets, no port */
void topo_addr_format(const struct topo_addr *, char out[TOPO_ADDR_TEXT]);    /* as topo_addr_parse takes */
/* NULL when calls could be sent there, else why not ("port 0", "multicast address", ...). */
const char *topo_addr_implausible(const struct topo_addr *);

bool topo_addr_is_loopback(const struct topo_addr *);

MUST_USE int topo_prefix_parse(const char *, struct topo_prefix *); /* "10.0.0.0/8", "fd00::/8", "10.1.2.3" */
bool topo_prefix_has(const struct topo_prefix *, const struct topo_addr *);

#endif
