/*
 * iface: the addresses of this machine's interfaces, and the news that they changed (netlink).
 */
#ifndef REGISTRAR_IFACE_H
#define REGISTRAR_IFACE_H

#include "base/loop.h"
#include "topology/addr.h"

struct iface;
typedef void iface_cb(void *arg);

/* `changed` runs from the loop, at most every 100 ms. Without netlink (not allowed here, logged once) it runs every 10 s. */
MUST_USE int iface_new(struct iface **out, struct loop *, iface_cb *changed, void *arg);
void iface_free(struct iface *); /* NULL is fine */
/*
 * The address of NAME ("eth0", or the label "eth0:1" of an IPv4 address) that others would use: family 4 or 6; of several the
 * oldest, so that a further one changes nothing, that is neither link-local, temporary, tentative nor deprecated. -ENODEV: no such
 * interface, -EADDRNOTAVAIL: it has none of this family. Asks the kernel, which answers at once.
 */
MUST_USE int iface_address(const char *name, int family, struct topo_addr *out);
/*
 * `text` with each "{ip:eth0}" and "{ip6:eth0}" in it replaced; IPv6 is in brackets when a port follows ("{ip6:eth0}:9600"). All else
 * is copied. 0, the errors of iface_address(), or -EINVAL; then `why` is for people.
 */
MUST_USE int iface_expand(const char *text, char *out, size_t size, char *why, size_t why_size);

/*
 * Of RTM_NEWADDR messages in the kernel's order, the address that iface_address() wants; label: NULL, or an IPv4 address's ("eth0:1"). Pure, for it and for
 * its tests.
 */
MUST_USE int iface_pick(const void *messages, size_t len, unsigned index, const char *label, int family, struct topo_addr *out);

#endif
