#include <arpa/inet.h>
#include <errno.h>
#include <strings.h>
#include <string.h>

#include "deciding.h"

static const char *
domain_of(const struct rt_data *d, const struct rt_row *ipbx)
{
	const struct rt_row *domain = rt_data_find(d, RT_DOMAINS, ipbx->v[IPBX_DOMAIN].i);

	return domain != NULL ? domain->v[DOMAIN_DOMAIN].s : "";
}

static bool
same_address(const char *a, const char *b)
{
	struct in6_addr x, y;

	if (strcmp(a, b) == 0)
		return true;
	return inet_pton(AF_INET6, a, &x) == 1 && inet_pton(AF_INET6, b, &y) == 1 && memcmp(&x, &y, sizeof x) == 0;
}

/* NULL: it may be this one, and `by` says by what. A row that nothing of the request names is nobody's. */
static const char *
not_this_ipbx(const struct rt_data *d, const struct rt_request *rq, const struct rt_row *ipbx, const char **by)
{
	const char *address = ipbx->v[IPBX_IP].s, *username = ipbx->v[IPBX_USERNAME].s;
	bool is_there = is_given(address) && is_given(rq->source_ip) && same_address(address, rq->source_ip);
	bool is_called = is_given(username) && is_given(rq->username) && strcmp(username, rq->username) == 0;

	if (is_given(address) && is_given(rq->source_ip) && !is_there)
		return "its address is another one";
	if (is_given(rq->username) && !is_called && (is_given(username) || is_given(ipbx->v[IPBX_HA1].s)))
		return "its user name is another one";
	if (is_given(rq->domain) && strcasecmp(domain_of(d, ipbx), rq->domain) != 0)
		return "its domain is another one";
	if (!is_there && !is_called)
		return "neither its address nor its user name is known";
	*by = is_there && is_called ? "address and user name" : is_there ? "address" : "user name";
	return NULL;
}

/* The first row from `id` on. */
static const struct rt_row *
first_from(struct rt_rows rows, int64_t id)
{
	size_t low = 0, high = rows.n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (rows.v[mid]->v[IPBX_ID].i < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low < rows.n ? rows.v[low] : NULL;
}

static const struct rt_row *
next_of(struct rt_rows a, struct rt_rows b, int64_t id)
{
	const struct rt_row *x = first_from(a, id), *y = first_from(b, id);

	if (x == NULL || y == NULL)
		return x != NULL ? x : y;
	return x->v[IPBX_ID].i <= y->v[IPBX_ID].i ? x : y;
}

static void
set_ipbx(const struct rt_data *d, const struct rt_row *ipbx, struct rt_auth *auth)
{
	auth->success = true;
	auth->ipbx = ipbx;
	auth->ipbx_id = ipbx->v[IPBX_ID].i;
	auth->tenant_uuid = ipbx->v[IPBX_TENANT].s;
	auth->tenant_id = rt_index_tenant_number(d->index, auth->tenant_uuid);
}

static void
set_trunk(const struct rt_data *d, const struct rt_row *trunk, struct rt_auth *auth)
{
	auth->success = true;
	auth->trunk = trunk;
	auth->carrier_trunk_id = trunk->v[TRUNK_ID].i;
	auth->tenant_uuid = trunk->v[TRUNK_TENANT].s;
	auth->tenant_id = rt_index_tenant_number(d->index, auth->tenant_uuid);
}

/* What a password may be compared with; NULL: nothing. */
static const char *
password_of(const struct rt_row *ipbx)
{
	return is_given(ipbx->v[IPBX_PASSWORD].s) ? ipbx->v[IPBX_PASSWORD].s : NULL;
}

static int
walk_ipbxs(const struct rt_data *d, const struct rt_request *rq, const struct rt_env *env, struct rt_walk *walk, bool verdict,
    struct rt_auth *auth, const char **stored)
{
	struct rt_rows called = { NULL, 0 }, there = { NULL, 0 };
	const struct rt_row *ipbx;
	const char *by = "", *why;
	char name[192];

	if (is_given(rq->username))
		called = rt_index_ipbxs_by_username(d->index, rq->username);
	if (is_given(rq->source_ip))
		there = rt_index_ipbxs_by_ip(d->index, rq->source_ip);
	if (walk->asked && verdict && (ipbx = rt_data_find(d, RT_IPBXS, (int64_t)walk->next - 1)) != NULL) {
		set_ipbx(d, ipbx, auth);
		return 0;
	}
	walk->asked = false;
	while ((ipbx = next_of(called, there, (int64_t)walk->next)) != NULL) {
		walk->next = (size_t)ipbx->v[IPBX_ID].i + 1;
		why = not_this_ipbx(d, rq, ipbx, &by);
		if (why == NULL && is_given(rq->password)) {
			*stored = password_of(ipbx);
			if (*stored == NULL)
				continue;
			auth->ipbx = ipbx;
			walk->asked = true;
			return -EAGAIN;
		}
		if (why != NULL) {
			SAY(env, 1, "%s: %s", deciding_name(ipbx, name), why);
			continue;
		}
		SAY(env, 1, "%s, by its %s: tenant %s", deciding_name(ipbx, name), by, ipbx->v[IPBX_TENANT].s);
		set_ipbx(d, ipbx, auth);
		return 0;
	}
	return -ENOENT;
}

static int
authenticate(const struct rt_data *d, const struct rt_request *rq, const struct rt_env *env, struct rt_walk *walk, bool verdict,
    struct rt_auth *auth, const char **stored)
{
	struct rt_rows trunks;
	char name[192];
	int err;

	memset(auth, 0, sizeof *auth);
	err = walk_ipbxs(d, rq, env, walk, verdict, auth, stored);
	if (err != -ENOENT)
		return err;
	if (!is_given(rq->source_ip))
		return 0;
	trunks = rt_index_trunks_by_ip(d->index, rq->source_ip);
	if (trunks.n == 0)
		return 0;
	SAY(env, 1, "%s, by its address: tenant %s", deciding_name(trunks.v[0], name), trunks.v[0]->v[TRUNK_TENANT].s);
	set_trunk(d, trunks.v[0], auth);
	return 0;
}

int
rt_authenticate(const struct rt_data *d, const struct rt_request *rq, struct rt_walk *walk, bool verdict, struct rt_auth *auth,
    const char **stored)
{
	static const struct rt_env quiet = { .trace = NULL };

	return authenticate(d, rq, &quiet, walk, verdict, auth, stored);
}

void
deciding_authenticate(const struct rt_data *d, const struct rt_request *rq, const struct rt_env *env, struct rt_auth *auth)
{
	struct rt_request without = *rq;
	struct rt_walk walk = { 0, false };
	const char *stored;

	without.password = NULL;
	SAY(env, 0, "1 who: address %s, user name %s, domain %s", is_given(rq->source_ip) ? rq->source_ip : "(none)",
	    is_given(rq->username) ? rq->username : "(none)", is_given(rq->domain) ? rq->domain : "(none)");
	(void)!authenticate(d, &without, env, &walk, false, auth, &stored);
	if (!auth->success)
		SAY(env, 1, "nobody known; the call goes on without a tenant");
}
