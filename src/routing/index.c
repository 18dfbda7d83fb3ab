#include "routing/index.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/worker.h"
#include "routing/index_int.h"
#include "routing/password.h"

/* ---- what its parts share ---- */

void
lengths_set(struct lengths *l, size_t len)
{
	l->bits[len / 64] |= UINT64_C(1) << len % 64;
}

int
lengths_longest(const struct lengths *l, int max)
{
	uint64_t bits;
	int word;

	if (max < 0)
		return -1;
	bits = l->bits[max / 64] & (UINT64_MAX >> (63 - max % 64));
	for (word = max / 64; bits == 0 && word > 0;)
		bits = l->bits[--word];
	return bits != 0 ? word * 64 + 63 - __builtin_clzll(bits) : -1;
}

void
prefix_hashes(struct prefix_hashes *h, uint64_t scope, const char *number, size_t len)
{
	size_t i;

	h->hash[0] = map_hash_scope(scope);
	for (i = 0; i < len; i++)
		h->hash[i + 1] = map_hash_byte(h->hash[i], number[i]);
}

bool
literal_match(const char *regex, const char *number, size_t len)
{
	size_t i;

	regex += *regex == '^';
	for (i = 0; i < len && regex[i] == number[i]; i++)
		;
	return regex[i] == '\0' || (i == len && regex[i] == '$');
}

int
tenant_position(const struct rt_index *ix, const char *uuid)
{
	return map_position(&ix->tenant_uuids, 0, uuid, strlen(uuid));
}

void
build_report(struct builder *b, const struct rt_row *row, int column, const char *fmt, ...)
{
	const struct rt_schema *schema = &rt_schemas[row->table];
	char path[256], text[512];
	size_t len;
	va_list ap;

	b->wrong = true;
	if (b->path_of != NULL)
		b->path_of(b->arg, row, path, sizeof path);
	else
		snprintf(path, sizeof path, "%s[id %lld]", schema->name, (long long)row->v[0].i);
	len = strlen(path);
	snprintf(path + len, sizeof path - len, ".%s", schema->cols[column].name);
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (b->report != NULL)
		b->report(b->arg, path, text);
}

bool
build_pattern(struct builder *b, const struct rt_row *row, int column, struct pattern **out)
{
	struct pattern_shape shape;
	char why[256];

	*out = NULL;
	pattern_shape(row->v[column].s, &shape);
	if (shape.literal || pattern_new(out, row->v[column].s, why, sizeof why) == 0)
		return true;
	build_report(b, row, column, "is no regular expression: %s", why);
	return false;
}

/* ---- addresses and names ---- */

/* The text under which a host is known: of an IPv6 address its shortest form without brackets, in `space`; else itself. */
static const char *
host_key(const char *host, size_t *len, char space[INET6_ADDRSTRLEN])
{
	struct in6_addr in6;
	bool brackets = *len > 2 && host[0] == '[' && host[*len - 1] == ']';
	size_t n = *len - (brackets ? 2 : 0);

	if (n >= INET6_ADDRSTRLEN || memchr(host, ':', *len) == NULL)
		return host;
	memcpy(space, host + brackets, n);
	space[n] = '\0';
	if (inet_pton(AF_INET6, space, &in6) != 1 || inet_ntop(AF_INET6, &in6, space, INET6_ADDRSTRLEN) == NULL)
		return host;
	*len = strlen(space);
	return space;
}

static void
add_host(struct rt_index *ix, struct map *m, const char *host, const struct rt_row *row)
{
	char space[INET6_ADDRSTRLEN];
	const char *key;
	size_t len;

	if (host == NULL || *host == '\0')
		return;
	len = strlen(host);
	key = host_key(host, &len, space);
	if (key == space) {
		ix->texts = xgrow(ix->texts, ix->n_texts, &ix->cap_texts, sizeof *ix->texts);
		key = ix->texts[ix->n_texts++] = xstrdup(space);
	}
	map_add(m, 0, key, len, (struct map_value){ .row = row });
}

static struct rt_rows
find_host(const struct map *m, const char *host, size_t len)
{
	char space[INET6_ADDRSTRLEN];
	const char *key = host_key(host, &len, space);
	struct map_values v = map_find(m, 0, key, len);

	return (struct rt_rows){ v.rows, v.n };
}

static struct rt_rows
find_text(const struct map *m, const char *text)
{
	struct map_values v = map_find(m, 0, text, strlen(text));

	return (struct rt_rows){ v.rows, v.n };
}

static void
add_ipbx(struct rt_index *ix, const struct rt_data *d, const struct rt_row *ipbx, char ha1[33])
{
	const struct rt_row *domain = rt_data_find(d, RT_DOMAINS, ipbx->v[IPBX_DOMAIN].i);
	const char *username = ipbx->v[IPBX_USERNAME].s, *password = ipbx->v[IPBX_PASSWORD].s;

	if (domain != NULL)
		add_host(ix, &ix->ipbx_domain, domain->v[DOMAIN_DOMAIN].s, ipbx);
	add_host(ix, &ix->ipbx_ip, ipbx->v[IPBX_IP].s, ipbx);
	add_host(ix, &ix->ipbx_fqdn, ipbx->v[IPBX_FQDN].s, ipbx);
	if (username != NULL && *username != '\0')
		map_add(&ix->ipbx_username, 0, username, strlen(username), (struct map_value){ .row = ipbx });
	if (domain != NULL && username != NULL && password != NULL && !password_is_hash(password))
		password_ha1(username, domain->v[DOMAIN_DOMAIN].s, password, ha1);
}

static int
build_ipbxs(struct builder *b)
{
	const struct rt_list *list = &b->data->t[RT_IPBXS];
	struct rt_index *ix = b->ix;
	size_t i;

	ix->ha1 = xcalloc(list->n + 1, sizeof *ix->ha1);
	if (map_init(&ix->ipbx_domain, list->n, true) != 0 || map_init(&ix->ipbx_ip, list->n, true) != 0 ||
	    map_init(&ix->ipbx_fqdn, list->n, true) != 0 || map_init(&ix->ipbx_username, list->n, false) != 0)
		return -ENOMEM;
	for (i = 0; i < list->n; i++)
		add_ipbx(ix, b->data, list->v[i], ix->ha1[i]);
	if (map_done(&ix->ipbx_domain, NULL) != 0 || map_done(&ix->ipbx_ip, NULL) != 0 || map_done(&ix->ipbx_fqdn, NULL) != 0 ||
	    map_done(&ix->ipbx_username, NULL) != 0)
		return -ENOMEM;
	return 0;
}

static int
build_trunks(struct builder *b)
{
	const struct rt_list *list = &b->data->t[RT_TRUNKS];
	struct rt_index *ix = b->ix;
	const struct rt_row *carrier;
	const char *uuid;
	size_t i;

	if (map_init(&ix->trunk_ip, list->n, true) != 0 || map_init(&ix->trunk_tenant, list->n, true) != 0)
		return -ENOMEM;
	for (i = 0; i < list->n; i++) {
		add_host(ix, &ix->trunk_ip, list->v[i]->v[TRUNK_IP].s, list->v[i]);
		carrier = rt_data_find(b->data, RT_CARRIERS, list->v[i]->v[TRUNK_CARRIER].i);
		uuid = carrier != NULL ? carrier->v[CARRIER_TENANT].s : NULL;
		if (uuid != NULL)
			map_add(&ix->trunk_tenant, 0, uuid, strlen(uuid), (struct map_value){ .row = list->v[i] });
	}
	if (map_done(&ix->trunk_ip, NULL) != 0 || map_done(&ix->trunk_tenant, NULL) != 0)
		return -ENOMEM;
	return 0;
}

/* ---- ids and tenants ---- */

static int
build_ids(struct map *m, const struct rt_list *list)
{
	size_t i;

	if (map_init(m, list->n, false) != 0)
		return -ENOMEM;
	for (i = 0; i < list->n; i++)
		map_add(m, (uint64_t)list->v[i]->v[0].i, "", 0, (struct map_value){ .row = list->v[i] });
	return map_done(m, NULL);
}

/* FNV-1a, 64 bits folded to 31: what was given out once must stay. */
static int32_t
number_of(const char *uuid)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *uuid != '\0'; uuid++) {
		h ^= (unsigned char)(*uuid >= 'A' && *uuid <= 'F' ? *uuid + 32 : *uuid);
		h *= 0x100000001b3u;
	}
	h = (h ^ h >> 32) & INT32_MAX;
	return h != 0 ? (int32_t)h : 1;
}

static int
build_tenants(struct builder *b)
{
	const struct rt_list *list = &b->data->t[RT_TENANTS];
	struct rt_index *ix = b->ix;
	const char *uuid;
	int32_t number;
	size_t i;

	ix->tenant = xcalloc(list->n + 1, sizeof *ix->tenant);
	if (map_init(&ix->tenant_uuids, list->n, true) != 0 || map_init(&ix->tenant_numbers, list->n, false) != 0)
		return -ENOMEM;
	for (i = 0; i < list->n; i++) {
		uuid = list->v[i]->v[TENANT_UUID].s;
		number = number_of(uuid);
		while (map_has(&ix->tenant_numbers, (uint64_t)number, "", 0))
			number = number < INT32_MAX ? number + 1 : 1;
		ix->tenant[i].number = number;
		map_add(&ix->tenant_numbers, (uint64_t)number, "", 0, (struct map_value){ .row = list->v[i] });
		map_add(&ix->tenant_uuids, 0, uuid, strlen(uuid), (struct map_value){ .row = list->v[i] });
	}
	if (map_done(&ix->tenant_numbers, NULL) != 0 || map_done(&ix->tenant_uuids, NULL) != 0)
		return -ENOMEM;
	return 0;
}

static int
build_positions(struct builder *b)
{
	const struct rt_list *t = b->data->t;
	struct rt_index *ix = b->ix;

	if (build_ids(&ix->ipbx_ids, &t[RT_IPBXS]) != 0 || build_ids(&ix->rule_ids, &t[RT_RULES]) != 0 ||
	    build_ids(&ix->profile_ids, &t[RT_PROFILES]) != 0)
		return -ENOMEM;
	return 0;
}

/* ---- whole ---- */

int
rt_index_new(struct rt_index **out, const struct rt_data *d, rt_path_cb *path_of, rt_report_cb *report, void *arg)
{
	/* Those behind need what those before made. */
	static int (*const parts[])(struct builder *) = {
		build_tenants, build_positions, build_ipbxs, build_trunks, build_dids, build_norms, build_rules
	};
	struct builder b = { .data = d, .path_of = path_of, .report = report, .arg = arg };
	size_t i;
	int err = 0;

	b.ix = xcalloc(1, sizeof *b.ix);
	b.ix->data = d;
	b.ix->n_ipbxs = d->t[RT_IPBXS].n;
	b.ix->n_rules = d->t[RT_RULES].n;
	for (i = 0; err == 0 && i < NELEM(parts); i++) {
		err = parts[i](&b);
		worker_breathe();
	}
	if (err == 0 && b.wrong)
		err = -EINVAL;
	if (err != 0) {
		rt_index_free(b.ix);
		return err;
	}
	*out = b.ix;
	return 0;
}

#define MAPS(ix) \
	{ &(ix)->ipbx_domain, &(ix)->ipbx_ip, &(ix)->ipbx_fqdn, &(ix)->ipbx_username, &(ix)->trunk_ip, &(ix)->trunk_tenant, \
	    &(ix)->ipbx_ids, &(ix)->rule_ids, &(ix)->profile_ids, &(ix)->tenant_uuids, &(ix)->tenant_numbers, &(ix)->dids, &(ix)->norms, \
	    &(ix)->rules }

void
rt_index_free(struct rt_index *ix)
{
	size_t i;

	if (ix == NULL)
		return;
	rules_fini(ix);
	struct map *const maps[] = MAPS(ix);
	for (i = 0; i < NELEM(maps); i++)
		map_fini(maps[i]);
	for (i = 0; i < ix->n_texts; i++)
		free(ix->texts[i]);
	free(ix->texts);
	if (ix->ha1 != NULL)
		explicit_bzero(ix->ha1, ix->n_ipbxs * sizeof *ix->ha1);
	free(ix->ha1);
	free(ix->profile);
	free(ix->tenant);
	free(ix);
}

size_t
rt_index_bytes(const struct rt_index *ix)
{
	const struct map *const maps[] = MAPS(ix);
	const struct rt_list *t = ix->data->t;
	size_t i, bytes = sizeof *ix;

	for (i = 0; i < NELEM(maps); i++)
		bytes += map_bytes(maps[i]);
	for (i = 0; i < t[RT_RULES].n; i++) {
		bytes += sizeof ix->rule[i] + (ix->rule[i].n_trunks + ix->rule[i].n_tenants) * sizeof *ix->rule[i].rows;
		bytes += ix->rule[i].pattern != NULL ? pattern_bytes(ix->rule[i].pattern) : 0;
	}
	return bytes + t[RT_IPBXS].n * sizeof *ix->ha1 + t[RT_PROFILES].n * sizeof *ix->profile + t[RT_TENANTS].n * sizeof *ix->tenant;
}

struct rt_rows
rt_index_ipbxs_by_domain(const struct rt_index *ix, const char *domain, size_t len)
{
	return find_host(&ix->ipbx_domain, domain, len);
}

struct rt_rows
rt_index_ipbxs_by_ip(const struct rt_index *ix, const char *ip)
{
	return find_host(&ix->ipbx_ip, ip, strlen(ip));
}

struct rt_rows
rt_index_ipbxs_by_fqdn(const struct rt_index *ix, const char *host)
{
	return find_host(&ix->ipbx_fqdn, host, strlen(host));
}

struct rt_rows
rt_index_ipbxs_by_username(const struct rt_index *ix, const char *username)
{
	return find_text(&ix->ipbx_username, username);
}

struct rt_rows
rt_index_trunks_by_ip(const struct rt_index *ix, const char *ip)
{
	return find_host(&ix->trunk_ip, ip, strlen(ip));
}

struct rt_rows
rt_index_trunks_of_tenant(const struct rt_index *ix, const char *uuid)
{
	return find_text(&ix->trunk_tenant, uuid);
}

int64_t
rt_index_tenant_number(const struct rt_index *ix, const char *uuid)
{
	int at = tenant_position(ix, uuid);

	return at >= 0 ? ix->tenant[at].number : 0;
}

const struct rt_row *
rt_index_tenant_by_number(const struct rt_index *ix, int64_t number)
{
	struct map_values v = map_find(&ix->tenant_numbers, (uint64_t)number, "", 0);

	return v.n > 0 ? v.rows[0] : NULL;
}

const char *
rt_index_ha1(const struct rt_index *ix, const struct rt_row *ipbx)
{
	int at = map_position(&ix->ipbx_ids, (uint64_t)ipbx->v[IPBX_ID].i, "", 0);

	if (ipbx->v[IPBX_HA1].s != NULL)
		return ipbx->v[IPBX_HA1].s;
	return at >= 0 && ix->ha1[at][0] != '\0' ? ix->ha1[at] : NULL;
}
