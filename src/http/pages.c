/* What others ask of the daemon by HTTP. */
#include "http/pages.h"

#include <string.h>

#include "base/jsonx.h"
#include "control/app.h"
#include "control/control.h"
#include "http/feed.h"
#include "http/metrics.h"
#include "http/openapi.h"
#include "http/rest.h"
#include "http/uacreg.h"
#include "routing/request.h"

#define ROUTES_MAX 112 /* checked by the unit test of the pages */

static void
get_status(struct httpd_req *r, void *arg)
{
	httpd_reply(r, 204, NULL, NULL, 0);
}

/* So many of its targets and registrations are in that state; "": any. */
static json_int_t
count_targets(const json_t *status, const char *state)
{
	const json_t *targets = json_object_get(status, "targets"), *v;
	const char *key;
	json_int_t n = 0;

	json_object_foreach((json_t *)targets, key, v)
		if (*state == '\0' || strcmp(key, state) == 0)
			n += json_integer_value(v);
	return n;
}

static bool
is_failing(const struct app *a, const json_t *status)
{
	json_int_t n = count_targets(status, ""), bad = count_targets(status, "failed") + count_targets(status, "unreachable");
	struct registration_view v;
	size_t i;

	for (i = 0; i < registrar_count(a->registrar); i++) {
		registrar_view(a->registrar, i, &v);
		n++;
		bad += v.state == REG_FAILED || v.state == REG_UNREACHABLE;
	}
	return n > 0 && bad == n;
}

static void
get_health(struct httpd_req *r, void *arg)
{
	const struct app *a = arg;
	json_t *status = show_status(a), *o = json_object(), *texts = json_array();
	const json_t *problems = json_object_get(status, "problems"), *p;
	bool failing = is_failing(a, status);
	size_t i;

	json_array_foreach(problems, i, p)
		json_array_append(texts, json_object_get(p, "problem"));
	jsonx_set_text(o, "status", failing ? "failing" : json_array_size(problems) > 0 ? "degraded" : "ok");
	json_object_set(o, "generation", json_object_get(status, "generation"));
	json_object_set_new(o, "problems", texts);
	json_decref(status);
	httpd_reply_json(r, failing ? 503 : 200, o);
}

static void
get_topology(struct httpd_req *r, void *arg)
{
	httpd_reply_json(r, 200, show_topology(arg, NULL));
}

static void
get_eid(struct httpd_req *r, void *arg)
{
	const struct app *a = arg;
	const char *eid = httpd_query(r, "expected_eid");

	if (eid == NULL || *eid == '\0')
		httpd_reply_error(r, 400, "expected_eid is missing, or there twice: ask %s?expected_eid=ID", httpd_path(r));
	else if (registrar_has_eid(a->registrar, eid))
		httpd_reply_text(r, 200, "OK - EID Match: %s", eid);
	else
		httpd_reply_error(r, 404, "EID mismatch: no registration of this machine has the endpoint id that was expected");
}

static void
get_openapi(struct httpd_req *r, void *arg)
{
	const struct app *a = arg;

	httpd_reply_json(r, 200, openapi_document(a->conf->routing_api));
}

static const struct httpd_route own_routes[] = {
	{ HTTPD_POST, "/1.0/kamailio/routing", RT_REQUEST_MAX, kamapi_post_routing },
	{ HTTPD_POST, "/1.0/kamailio/rtjson", RT_REQUEST_MAX, kamapi_post_routing },
	{ HTTPD_POST, "/1.0/kamailio/auth", RT_REQUEST_MAX, kamapi_post_auth },
	{ HTTPD_POST, "/1.0/kamailio/cdr", RT_REQUEST_MAX, kamapi_post_cdr },
	{ HTTPD_GET, "/1.0/kamailio/dbtext/uacreg", 0, uacreg_get },
	/* as the public write-ups name them */
	{ HTTPD_POST, "/kamailio/routing", RT_REQUEST_MAX, kamapi_post_routing },
	{ HTTPD_POST, "/kamailio/rtjson", RT_REQUEST_MAX, kamapi_post_routing },
	{ HTTPD_POST, "/kamailio/auth", RT_REQUEST_MAX, kamapi_post_auth },
	{ HTTPD_POST, "/kamailio/cdr", RT_REQUEST_MAX, kamapi_post_cdr },
	{ HTTPD_GET, "/kamailio/dbtext/uacreg", 0, uacreg_get },
	{ HTTPD_GET, "/", 0, feed_get_page },
	{ HTTPD_GET, "/v1/events", 0, feed_get_events },
	{ HTTPD_GET, "/status", 0, get_status },
	{ HTTPD_GET, "/health", 0, get_health },
	{ HTTPD_GET, "/metrics", 0, metrics_get },
	{ HTTPD_GET, "/v1/topology", 0, get_topology },
	{ HTTPD_GET, "/res_discovery_consul/check_eid", 0, get_eid },
	{ HTTPD_GET, "/consul_check", 0, get_eid },
	{ HTTPD_GET, "/api/v1/openapi.json", 0, get_openapi },
	HTTPD_END,
};

static size_t
append(struct httpd_route *to, size_t n, const struct httpd_route *from)
{
	for (; from->path != NULL; from++)
		to[n++] = *from;
	return n;
}

const struct httpd_route *
pages_routes(void)
{
	static struct httpd_route all[ROUTES_MAX]; /* made once; the compiler can't join tables */
	size_t n;

	if (all[0].path == NULL) {
		n = append(all, 0, own_routes);
		n = append(all, n, rest_routes);
		all[n] = (struct httpd_route)HTTPD_END;
	}
	return all;
}
