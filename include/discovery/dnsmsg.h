/*
 * dnsmsg: parser of one DNS answer (RFC 1035, RFC 2782 SRV) as Consul sends it. Pure, fuzzed.
 * It never reads past `len`, follows compression pointers only backwards with a jump limit, caps
 * names at 255 bytes and takes hosts' bytes as hostile: names come out lower-cased, and a name with
 * anything but letters, digits, '-', '_' and '.' makes the answer malformed (the owners of records
 * that are skipped, as a node's TXT, may be odd). Kept are at most 1500 SRV.
 */
#ifndef DISCOVERY_DNSMSG_H
#define DISCOVERY_DNSMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "topology/addr.h"

enum { DNS_TYPE_A = 1, DNS_TYPE_AAAA = 28, DNS_TYPE_SRV = 33 };
enum { DNS_NOERROR = 0, DNS_FORMERR = 1, DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3, DNS_NOTIMP = 4, DNS_REFUSED = 5 };

#define DNS_NAME_TEXT 256

struct dns_srv {
	uint16_t priority;
	uint16_t weight;
	uint16_t port;
	uint32_t ttl;
	char target[DNS_NAME_TEXT]; /* lower case, no trailing dot */
};

struct dns_addr { /* A or AAAA, from answer or additional section */
	char owner[DNS_NAME_TEXT];
	struct topo_addr addr; /* port 0 */
	uint32_t ttl;
};

struct dns_msg {
	uint8_t rcode;
	bool truncated;
	char qname[DNS_NAME_TEXT]; /* of the echoed question */
	uint16_t qtype;
	size_t size_bytes;
	struct dns_srv *srv;   /* answer section, wire order */
	size_t n_srv;
	struct dns_addr *addr; /* answer and additional sections, by owner */
	size_t n_addr;
	uint32_t ttl_min;      /* of the SRV records; 0 when none */
};

/*
 * 0; -EBADMSG: malformed or longer than the records it announces (also: not exactly one question, not
 * a response); -ENOMEM. On success the caller calls dnsmsg_clear().
 */
MUST_USE int dnsmsg_parse(const uint8_t *msg, size_t len, struct dns_msg *out);
void dnsmsg_clear(struct dns_msg *);

/* The echoed question is what we asked (names compared without case: newer Consuls lower-case it). */
bool dnsmsg_is_reply_to(const struct dns_msg *, const char *name, uint16_t type);
/*
 * An SRV target equals the asked name, or names the asked service in another way
 * ("router.service.dc1.consul" for "router.service.consul"): Consul 1.19.0's broken answers, worth
 * nothing.
 */
bool dnsmsg_self_target(const struct dns_msg *);
/*
 * Addresses of a target: from the additional section, else decoded from Consul's "<hex>.addr." name
 * (8 or 32 hex digits). IPv4 wins over IPv6 when a target has both. Returns how many were written to `out`.
 */
size_t dnsmsg_addresses(const struct dns_msg *, const char *target, struct topo_addr *out, size_t max);

#endif
