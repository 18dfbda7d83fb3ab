/*
 * decide: Kamailio's questions, answered from the index: who is it, and where does the call go? Pure: the clock, chance and what is
 * known of destinations come in `struct rt_env`. The algorithm is wazo-router-confd's (facts: README, "The routing API"), with c4d's
 * routing rules; what differs is in README's compatibility table.
 *
 * A request: step 1 who (rt_authenticate), 2 From and To split, 3 both numbers normalized by the caller's profile, 4 the domain's IPBX, 5 the
 * DID's, 6 the first of these is a route, 7 outbound: by routing rules of the caller's tenant, else the tenant's first trunk.
 * Destinations "service:NAME" become that service's living instances. Those known to be dead go behind all others.
 */
#ifndef ROUTING_DECIDE_H
#define ROUTING_DECIDE_H

#include "routing/data.h"

#define RT_ROUTES_MAX 16
#define RT_SCRATCH 16384

/* A request of /kamailio/routing; texts are valid UTF-8 without control characters (request.h), "" when not given. */
struct rt_request {
	bool auth;
	const char *source_ip;
	int64_t source_port; /* 5060 */
	const char *domain, *username;
	const char *password; /* of /kamailio/auth only; NULL: none */
	const char *call_id;
	const char *from_name, *from_uri, *from_tag;
	const char *to_name, *to_uri, *to_tag;
};

struct rt_auth {
	bool success;
	const struct rt_row *ipbx;  /* or */
	const struct rt_row *trunk;
	const char *tenant_uuid;    /* NULL: nobody */
	int64_t tenant_id, ipbx_id, carrier_trunk_id; /* 0: none */
};

struct rt_place {
	char host[64]; /* IPv6 in brackets */
	uint16_t port;
};

/* A line of the explanation: level 0 for a step, 1 for what was found, or not taken and why. */
typedef void rt_trace_cb(void *arg, int level, const char *text);

struct rt_env {
	int64_t now_s;    /* wall clock */
	uint64_t (*random)(void *arg);
	/* Living instances of a discovered service, in the order in which they are to be tried; how many. 0: none, or no such service. */
	size_t (*expand)(void *arg, const char *service, struct rt_place *out, size_t max);
	bool (*dead)(void *arg, const char *host, uint16_t port); /* known not to answer */
	void *arg;
	rt_trace_cb *trace; /* NULL: nobody listens, and nothing is formatted */
	void *trace_arg;
	int64_t fr_timer_ms, fr_inv_timer_ms;
};

struct rt_route {
	const char *dst_uri;
	const char *from_display, *from_uri, *to_display, *to_uri; /* displays carry their quotes, where they need any */
	const char *extra; /* headers with CRLF */
	const char *auth_username, *auth_password, *realm; /* NULL: none */
	const struct rt_row *ipbx, *trunk, *rule;
	bool dead;
};

/* Large: one per thread is enough. All texts are in it, the request or the data. */
struct rt_decision {
	struct rt_auth auth;
	bool parallel;
	struct rt_route routes[RT_ROUTES_MAX];
	size_t n; /* 0: nowhere */
	const char *auth_username, *auth_password, *realm; /* of the first trunk that has them, else the IPBX; NULL: none */
	const char *account; /* whose call it is: the tenant whose domain or DID is called, outbound the caller's; of n > 0 */
	char scratch[RT_SCRATCH];
	size_t used;
};

void rt_decide(const struct rt_data *, const struct rt_request *, const struct rt_env *, struct rt_decision *);

/*
 * Who is it? An IPBX by its address or username (and domain, each if given), in the order of ids, else a trunk by its address. A row without an address
 * is nobody's by that alone. With a password: -EAGAIN when `*stored` has to be verified (password.h) for `auth->ipbx`; call again with
 * the same walk and the verdict. 0: `auth` says.
 */
struct rt_walk {
	size_t next;
	bool asked;
};
MUST_USE int rt_authenticate(const struct rt_data *, const struct rt_request *, struct rt_walk *, bool verdict, struct rt_auth *auth,
    const char **stored);

#endif
