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
 * The address of NAME that others would use: family 4 or 6; of several the first that is neither link-local, temporary,
 * tentative nor deprecated. -ENODEV: no such interface, -EADDRNOTAVAIL: it has none of this family.
 */
MUST_USE int iface_address(const char *name, int family, struct topo_addr *out);
/*
 * "{ip:eth0}", "{ip6:eth0}", or anything else, which is copied. 0, the errors of iface_address(), or -EINVAL. `why`: for people.
 */
MUST_USE int iface_expand(const char *text, char *out, size_t size, char *why, size_t why_size);

#endif
