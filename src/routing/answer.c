#include "routing/request.h"

#include <string.h>

#include "routing/index.h"

#define ADD(out, literal) buf_add((out), (literal), sizeof(literal) - 1)

void
rt_json_int(struct buf *out, int64_t n)
{
	uint64_t left = n < 0 ? -(uint64_t)n : (uint64_t)n;
	char text[24];
	size_t at = sizeof text;

	do
		text[--at] = (char)('0' + left % 10);
	while ((left /= 10) != 0);
	if (n < 0)
		text[--at] = '-';
	buf_add(out, text + at, sizeof text - at);
}

void
rt_json_text(struct buf *out, const char *text)
{
	static const char digits[] = "0123456789abcdef";
	const char *p, *from;

	if (text == NULL) {
		ADD(out, "null");
		return;
	}
	ADD(out, "\"");
	for (p = from = text; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		buf_add(out, from, (size_t)(p - from));
		from = p + 1;
		if (c >= 0x20)
			buf_add(out, (char[2]){ '\\', (char)c }, 2);
		else if (c == '\r' || c == '\n')
			buf_add(out, c == '\r' ? "\\r" : "\\n", 2);
		else
			buf_add(out, (char[6]){ '\\', 'u', '0', '0', digits[c >> 4], digits[c & 15] }, 6);
	}
	buf_add(out, from, (size_t)(p - from));
	ADD(out, "\"");
}

/* ---- who ---- */

void
rt_answer_auth(const struct rt_data *d, const struct rt_request *rq, const struct rt_auth *auth, struct buf *out)
{
	const struct rt_row *ipbx = auth->success ? auth->ipbx : NULL, *domain = NULL;

	(void)rq;
	if (ipbx != NULL)
		domain = rt_data_find(d, RT_DOMAINS, ipbx->v[IPBX_DOMAIN].i);
	buf_puts(out, auth->success ? "{\"success\":true,\"tenant_uuid\":" : "{\"success\":false,\"tenant_uuid\":");
	rt_json_text(out, auth->success ? auth->tenant_uuid : NULL);
	ADD(out, ",\"tenant_id\":");
	rt_json_int(out, auth->success ? auth->tenant_id : 0);
	ADD(out, ",\"ipbx_id\":");
	rt_json_int(out, auth->success ? auth->ipbx_id : 0);
	ADD(out, ",\"carrier_trunk_id\":");
	rt_json_int(out, auth->success ? auth->carrier_trunk_id : 0);
	ADD(out, ",\"domain\":");
	rt_json_text(out, domain != NULL ? domain->v[DOMAIN_DOMAIN].s : NULL);
	ADD(out, ",\"username\":");
	rt_json_text(out, ipbx != NULL ? ipbx->v[IPBX_USERNAME].s : NULL);
	ADD(out, ",\"password_ha1\":");
	rt_json_text(out, ipbx != NULL ? rt_index_ha1(d->index, ipbx) : NULL);
	ADD(out, "}");
}

/* ---- where ---- */

static void
add_address(struct buf *out, const char *display, const char *uri)
{
	ADD(out, "{\"display\":");
	rt_json_text(out, display);
	ADD(out, ",\"uri\":");
	rt_json_text(out, uri);
	ADD(out, "}");
}

static void
add_credentials(struct buf *out, const char *username, const char *password, const char *realm)
{
	if (username == NULL)
		return;
	ADD(out, ",\"auth_username\":");
	rt_json_text(out, username);
	ADD(out, ",\"auth_password\":");
	rt_json_text(out, password);
	ADD(out, ",\"realm\":");
	rt_json_text(out, realm);
}

/* Those at the top are said once, as confd says them. */
static bool
has_others(const struct rt_route *r, const struct rt_decision *dec)
{
	return r->auth_username != NULL && (strcmp(r->auth_username, dec->auth_username) != 0 ||
	    strcmp(r->auth_password, dec->auth_password) != 0 || strcmp(r->realm, dec->realm) != 0);
}

static void
add_route(struct buf *out, const struct rt_route *r, const struct rt_decision *dec, const struct rt_env *env)
{
	ADD(out, "{\"dst_uri\":");
	rt_json_text(out, r->dst_uri);
	ADD(out, ",\"path\":\"\",\"socket\":\"\",\"headers\":{\"from\":");
	add_address(out, r->from_display, r->from_uri);
	ADD(out, ",\"to\":");
	add_address(out, r->to_display, r->to_uri);
	ADD(out, ",\"extra\":");
	rt_json_text(out, r->extra);
	ADD(out, "},\"branch_flags\":8,\"fr_timer\":");
	rt_json_int(out, env->fr_timer_ms);
	ADD(out, ",\"fr_inv_timer\":");
	rt_json_int(out, env->fr_inv_timer_ms);
	if (has_others(r, dec))
		add_credentials(out, r->auth_username, r->auth_password, r->realm);
	ADD(out, "}");
}

/*
 * Asked who it is, nobody knows (no trunk has its address, say): then the call is on the account of whose number or domain it is, or
 * whose IPBX calls. Not in `auth`, where a tenant would look like somebody who was authenticated.
 */
static void
add_account(const struct rt_data *d, const struct rt_request *rq, const struct rt_decision *dec, struct buf *out)
{
	if (!rq->auth || dec->auth.success)
		return;
	ADD(out, ",\"cdr\":{\"tenant_uuid\":");
	rt_json_text(out, dec->account);
	ADD(out, ",\"tenant_id\":");
	rt_json_int(out, rt_index_tenant_number(d->index, dec->account));
	ADD(out, "}");
}

void
rt_answer_routing(const struct rt_data *d, const struct rt_request *rq, const struct rt_decision *dec, const struct rt_env *env,
    struct buf *out)
{
	size_t i;

	ADD(out, "{\"auth\":");
	if (rq->auth)
		rt_answer_auth(d, rq, &dec->auth, out);
	else
		ADD(out, "null");
	if (dec->n == 0) {
		ADD(out, ",\"rtjson\":{\"success\":false}}");
		return;
	}
	ADD(out, ",\"rtjson\":{\"success\":true,\"version\":\"1.0\",\"routing\":");
	buf_puts(out, dec->parallel ? "\"parallel\",\"routes\":[" : "\"serial\",\"routes\":[");
	for (i = 0; i < dec->n; i++) {
		if (i > 0)
			ADD(out, ",");
		add_route(out, &dec->routes[i], dec, env);
	}
	ADD(out, "]");
	add_credentials(out, dec->auth_username, dec->auth_password, dec->realm);
	ADD(out, "}");
	add_account(d, rq, dec, out);
	ADD(out, "}");
}
