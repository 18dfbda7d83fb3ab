/*
 * uri: SIP URIs and display names of requests: split, checked and written. Nothing that could leave its place in a header gets
 * past these. Pure; nothing here allocates.
 */
#ifndef ROUTING_URI_H
#define ROUTING_URI_H

#include "base/text.h"

/* Slices of the text that was split. */
struct rt_slice {
	const char *s;
	size_t len;
};

/* "sip:+39040;npdi@[2001:db8::1]:5070;user=phone": a user's password and parameters, and what follows the port, are in no slice. */
struct rt_uri {
	struct rt_slice scheme; /* with its ':'; "" when there is none */
	struct rt_slice user;
	struct rt_slice host;   /* an IPv6 address in its brackets */
	struct rt_slice port;   /* with its ':'; "" */
};

/* False: it has no user, or what stands behind the '@' is no host and port. */
bool rt_uri_split(const char *uri, struct rt_uri *out);
/* A name, an IPv4 address, or an IPv6 one in brackets. */
bool rt_uri_is_host(const char *s, size_t len);
bool rt_uri_is_ipv6(const char *s, size_t len); /* without brackets */
/* A user without its %XX; not longer. `out` holds user.len bytes. */
size_t rt_uri_unescape(struct rt_slice user, char *out);
/*
 * NULL: what we make of it is well-formed. Else why not: characters that would end the URI in its header (white space but for blanks in a user,
 * quotes, angle brackets, their like, also as %0d), or a host that is none. A From without a user is used as it is, hence must be well-formed itself; a To without one only
 * matches nothing.
 */
enum rt_uri_role { RT_URI_FROM, RT_URI_TO };
const char *rt_uri_wrong(const char *uri, enum rt_uri_role);

/* Writes into a fixed space. What does not fit is not written at all: pen_end() gives NULL then, and the space is as it was before pen_begin(). */
struct pen {
	char *space;
	size_t size, *used; /* used: of the space, kept by its owner */
	size_t at;
	bool full;
};
static inline void
pen_begin(struct pen *p, char *space, size_t size, size_t *used)
{
	*p = (struct pen){ .space = space, .size = size, .used = used, .at = *used, .full = false };
}
void pen_add(struct pen *, const char *s, size_t len);
void pen_puts(struct pen *, const char *);
const char *pen_end(struct pen *);

/* scheme, user and host, with what may not stand in a user escaped; `port` as in rt_uri, or "". */
void pen_uri(struct pen *, struct rt_slice scheme, struct rt_slice user, struct rt_slice host, struct rt_slice port);
/* As RFC 3261 wants it before <uri>: tokens, or quoted. `quoted`: also if tokens would do. An empty name writes nothing. */
void pen_display(struct pen *, const char *name, bool quoted);

#endif
