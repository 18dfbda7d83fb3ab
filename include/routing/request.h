/*
 * request: the bodies of Kamailio's questions, and of our answers. Pure; nothing here knows HTTP.
 */
#ifndef ROUTING_REQUEST_H
#define ROUTING_REQUEST_H

#include "routing/decide.h"

#define RT_REQUEST_MAX 65536 /* bytes of a body */

/* What is wrong with a body: `status` 400 (no JSON) or 422, and the JSON of "detail" (for 422 an array of {loc,msg,type} as FastAPI makes it). */
struct rt_detail {
	int status;
	json_t *detail; /* the caller's */
};

enum rt_request_kind { RT_ASK_ROUTING, RT_ASK_AUTH };
/*
 * *keep holds the texts: json_decref() it after the request. -EINVAL: `detail`. Unknown keys are ignored. Numbers may come as texts, and booleans as 0, 1, "0", "1";
 * null and "" are as not given; an IPv6 source_ip comes out as the data has it, without brackets. What could not be made well-formed in a SIP header is
 * refused (uri.h), and so is any control character.
 */
MUST_USE int rt_request_parse(struct rt_request *out, enum rt_request_kind, const char *body, size_t len, json_t **keep, struct rt_detail *);

/*
 * {"auth":...,"rtjson":...}, appended; with "cdr":{"tenant_uuid","tenant_id"} behind them when the request asks who calls, nobody knows, and there
 * is a route: whose number or domain that is; of an outbound call, whose IPBX it comes from.
 */
void rt_answer_routing(const struct rt_data *, const struct rt_request *, const struct rt_decision *, const struct rt_env *, struct buf *out);
/* The answer of /kamailio/auth, and the "auth" of the other. */
void rt_answer_auth(const struct rt_data *, const struct rt_request *, const struct rt_auth *, struct buf *out);
void rt_json_text(struct buf *out, const char *text); /* quoted and escaped; NULL: null */
void rt_json_int(struct buf *out, int64_t);

#endif
