/*
 * agent: what c4d says to and hears from Consul's agent about services. Pure: bodies to send and answers that were read;
 * registrar/ does the talking. Consul decodes strictly: an unknown field is refused (facts/consul.md, 4).
 */
#ifndef CONSUL_AGENT_H
#define CONSUL_AGENT_H

#include "base/text.h"
#include "config/conf.h"

enum agent_status { AGENT_PASSING, AGENT_WARNING, AGENT_CRITICAL, AGENT_NO_STATUS };
const char *agent_status_name(enum agent_status); /* "passing" "warning" "critical" "" */
enum agent_status agent_status_parse(const char *);

/* What the places in a register section stand for. */
struct agent_places {
	const char *address;  /* IP or host name; "" : Consul's own is used, which c4d does not know */
	const char *hostname;
	const char *eid;      /* "": not known yet */
	const char *machine;  /* the machine-id, hashed: meta c4d-machine */
	uint16_t http_port;   /* of c4d's HTTP server, for CHECK_EID */
};

/* "{address}" and so on in `text`; IPv6 addresses in brackets. NULL: it needs what is not known. The caller frees. */
char *agent_expand(const char *text, const struct conf_register *, const struct agent_places *);

/* What each check is at the moment, as c4d will vouch for it. */
struct agent_check_state {
	bool off;                /* c4ctl check off */
	enum agent_status status;
	const char *output;      /* lent; constant while healthy */
};

/*
 * The body of PUT /v1/agent/service/register?replace-existing-checks. Equal input gives equal bytes. `states`: one for each of
 * the section's checks. Checks of c4d's own have a TTL (agent_ttl_ms()), and their present status.
 */
char *agent_register_body(const struct conf_register *, const struct agent_places *, const struct agent_check_state *states);
/* Of a check that c4d makes: 3 intervals and its time-out, 10 s at least; and it is told a third of it at the latest. */
int64_t agent_ttl_ms(const struct conf_check *);
bool agent_check_is_ours(const struct conf_check *); /* sip, binrpc, ng, exec */
char *agent_check_id(const char *registration_id, const struct conf_check *); /* the caller frees */
char *agent_update_body(enum agent_status, const char *output); /* of PUT /v1/agent/check/update/ID */

/* GET /v1/agent/services and /v1/agent/checks, as far as they matter here. */
struct agent_service {
	char *id, *name, *address, *machine, *eid; /* machine, eid: of its meta; "" none */
	uint16_t port;
};
struct agent_check {
	char *id, *service_id, *output, *notes;
	enum agent_status status;
};
struct agent_list {
	struct agent_service *services; /* sorted by id */
	size_t n_services;
	struct agent_check *checks;     /* sorted by service_id, id */
	size_t n_checks;
};
/* Either body may be NULL: that part stays. -EBADMSG: not what an agent answers (the list is as before). */
MUST_USE int agent_list_parse(struct agent_list *, const char *services, size_t len, const char *checks, size_t checks_len);
void agent_list_clear(struct agent_list *);
const struct agent_service *agent_find(const struct agent_list *, const char *id);
const struct agent_check *agent_find_check(const struct agent_list *, const char *service_id, const char *check_id);
/* Its maintenance (the check _service_maintenance:ID); NULL: none. */
const struct agent_check *agent_find_maintenance(const struct agent_list *, const char *service_id);

#endif
