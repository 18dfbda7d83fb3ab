/*
 * agent: what c4d says to and hears from Consul's agent about services. Pure: bodies to send and answers that were read;
 * registrar/ does the talking. Consul decodes strictly: an unknown field is refused (facts/consul.md, 4).
 */
#ifndef CONSUL_AGENT_H
#define CONSUL_AGENT_H

#include "base/text.h"
#include "config/conf.h"

#define AGENT_BODY_MAX (64 << 20) /* bytes of one answer; 100,000 services take about 30 MB */
#define AGENT_ENTRY_MAX (1 << 20) /* of one service or check in it */

enum agent_status { AGENT_PASSING, AGENT_WARNING, AGENT_CRITICAL, AGENT_NO_STATUS };
const char *agent_status_name(enum agent_status); /* "passing" "warning" "critical" "" */
enum agent_status agent_status_parse(const char *); /* anything else, also NULL: AGENT_NO_STATUS */

/* What the places in a register section stand for. */
struct agent_places {
	const char *address;  /* IP or host name; "" : Consul's own is used, which c4d does not know */
	const char *const *tagged; /* the tagged addresses, as many as the section has; NULL: they stand in the section as they are */
	const char *hostname;
	const char *eid;      /* "": not known yet; then it is not in the meta, and the body is NULL if a check or a place needs it */
	const char *machine;  /* the machine-id, hashed: meta c4d-machine; "": unknown, left out */
	uint16_t http_port;   /* of c4d's HTTP server, for CHECK_EID; 0: it has none */
};

/*
 * {address} {port} {id} {name} (the section's) {eid} {hostname} in `text`; other braces stay. An IPv6 address stands in brackets,
 * unless the text is "{address}" and nothing else. NULL: it needs what is not known. The caller frees.
 */
char *agent_expand(const char *text, const struct conf_register *, const struct agent_places *);

/* What each check is at the moment, as c4d will vouch for it. */
struct agent_check_state {
	bool off;                /* c4ctl check off */
	enum agent_status status;
	const char *output;      /* lent; constant while healthy */
};

/*
 * The body of PUT /v1/agent/service/register. Equal input gives equal bytes. `states`: one for each of
 * the section's checks. Checks of c4d's own have a TTL (agent_ttl_ms()), and their present status: critical before the first
 * result. Meta: the section's, then `dispatcher`, then eid and c4d-machine; the later one of a key wins. NULL: something that it
 * needs is not known. The caller frees.
 */
char *agent_register_body(const struct conf_register *, const struct agent_places *, const struct agent_check_state *states);
/* Of a check that c4d makes: 3 intervals and its time-out, 10 s at least; and it is told a third of it at the latest. */
int64_t agent_ttl_ms(const struct conf_check *);
bool agent_check_is_ours(const struct conf_check *); /* sip, binrpc, ng, exec */
char *agent_check_id(const char *registration_id, const struct conf_check *); /* the caller frees */
/* Of PUT /v1/agent/check/update/ID. Bytes of `output` that are no UTF-8 become U+FFFD; NULL is "". The caller frees. */
char *agent_update_body(enum agent_status, const char *output);

/* GET /v1/agent/services and /v1/agent/checks, as far as they matter here. */
struct agent_service {
	char *id, *name, *address, *machine, *eid; /* machine, eid: of its meta; "" none */
	uint16_t port;                             /* 0: none, or none that there is */
};
struct agent_check {
	char *id, *service_id, *output, *notes; /* service_id "": the node's own */
	enum agent_status status;
};
struct agent_list { /* zero-initialise */
	struct agent_service *services; /* sorted by id */
	size_t n_services;
	struct agent_check *checks;     /* sorted by service_id, id */
	size_t n_checks;
};
/*
 * Either body may be NULL: that part stays. -EBADMSG: not what an agent answers (the list is as before). What others have
 * registered does not get in the way: NULs in texts become '?', a port that does not exist is 0.
 */
MUST_USE int agent_list_parse(struct agent_list *, const char *services, size_t len, const char *checks, size_t checks_len);
void agent_list_clear(struct agent_list *);
const struct agent_service *agent_find(const struct agent_list *, const char *id);
const struct agent_check *agent_find_check(const struct agent_list *, const char *service_id, const char *check_id);
/* Its maintenance (the check _service_maintenance:ID); NULL: none. */
const struct agent_check *agent_find_maintenance(const struct agent_list *, const char *service_id);

#endif
