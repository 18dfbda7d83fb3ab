/*
 * routing_core: decisions per second on one core, without HTTP, of documents of N DIDs (90 % literal numbers, 10 % with a class) that lead to
 * 1,000 IPBXs: numbers drawn uniformly from all of them, called by 1,000 carriers that are known by their addresses, normalized in and out
 * by 10,000 rules. Every answer is checked: the IPBX that must come out. Times are those of the processor, not of the clock.
 *
 *   routing_core [SEED [SECONDS [DIDS...]]]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "routing/index.h"
#include "routing/request.h"

#define TENANT "2c34c282-433e-4bb8-8d56-fec14ff7e1e9"
#define IPBXS 1000
#define TRUNKS 1000
#define PROFILES 100
#define NORMS 10000

static uint64_t seed;

/* splitmix64 */
static uint64_t
draw(void *arg)
{
	uint64_t z = seed += 0x9e3779b97f4a7c15u;

	(void)arg;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* Of this thread's own time: what else the machine does is not in it. */
static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
wrong(void *arg, const char *path, const char *text)
{
	fprintf(stderr, "%s: %s\n", path, text);
	exit(1);
}

/* ---- the document ---- */

/* DID i: every tenth has a class and stands for ten numbers. */
static bool
has_class(size_t i)
{
	return i % 10 == 9;
}

static size_t
ipbx_of(size_t i)
{
	return i * 7919 % IPBXS + 1;
}

static void
add_dids(struct buf *b, size_t n)
{
	size_t i;

	buf_puts(b, ",\"dids\":[");
	for (i = 0; i < n; i++) {
		buf_printf(b, "%s{\"id\":%zu,\"tenant_uuid\":\"" TENANT "\",\"ipbx_id\":%zu,\"did_regex\":\"^39%08zu", i > 0 ? "," : "", i + 1, ipbx_of(i), i);
		buf_puts(b, has_class(i) ? "[0-9]$\"}" : "$\"}");
	}
	buf_puts(b, "]");
}

static void
add_norms(struct buf *b)
{
	size_t i;

	buf_puts(b, ",\"normalization_profiles\":[");
	for (i = 1; i <= PROFILES; i++)
		buf_printf(b, "%s{\"id\":%zu,\"tenant_uuid\":\"" TENANT "\",\"name\":\"p%zu\",\"always_intl_prefix_plus\":true}", i > 1 ? "," : "", i, i);
	/* each profile takes 00 away, puts 39 before what begins with 0, and knows 98 short numbers */
	buf_puts(b, "],\"normalization_rules\":[");
	for (i = 0; i < NORMS; i++) {
		size_t profile = i / (NORMS / PROFILES) + 1, k = i % (NORMS / PROFILES);

		buf_printf(b, "%s{\"id\":%zu,\"profile_id\":%zu,", i > 0 ? "," : "", i + 1, profile);
		if (k == 0)
			buf_puts(b, "\"rule_type\":1,\"priority\":1,\"match_regex\":\"^00(.*)$\",\"replace_regex\":\"\\\\1\"}");
		else if (k == 1)
			buf_puts(b, "\"rule_type\":2,\"priority\":1,\"match_regex\":\"^390\",\"replace_regex\":\"39\"}");
		else
			buf_printf(b, "\"rule_type\":%d,\"priority\":2,\"match_regex\":\"^1%zu$\",\"replace_regex\":\"39999%zu\"}", k % 2 ? 1 : 2, k, k);
	}
	buf_puts(b, "]");
}

static struct rt_data *
make_data(size_t n_dids, double *load_s)
{
	struct rt_data *data;
	struct buf b = { 0 };
	double begin;
	size_t i;

	buf_puts(&b, "{\"tenants\":[{\"uuid\":\"" TENANT "\",\"name\":\"t\"}],\"domains\":[{\"id\":1,\"tenant_uuid\":\"" TENANT
		     "\",\"domain\":\"bench.example\"}],\"carriers\":[{\"id\":1,\"tenant_uuid\":\"" TENANT "\",\"name\":\"c\"}],\"ipbxs\":[");
	for (i = 1; i <= IPBXS; i++)
		buf_printf(&b, "%s{\"id\":%zu,\"tenant_uuid\":\"" TENANT "\",\"domain_id\":1,\"ip_fqdn\":\"pbx%zu.example\",\"normalization_profile_id\":%zu}",
		    i > 1 ? "," : "", i, i, i % PROFILES + 1);
	buf_puts(&b, "],\"carrier_trunks\":[");
	for (i = 1; i <= TRUNKS; i++)
		buf_printf(&b, "%s{\"id\":%zu,\"tenant_uuid\":\"" TENANT "\",\"carrier_id\":1,\"name\":\"t%zu\",\"sip_proxy\":\"10.2.%zu.%zu\",\"ip_address\":\"10.1.%zu.%zu\","
		    "\"normalization_profile_id\":%zu}", i > 1 ? "," : "", i, i, i / 250, i % 250, i / 250, i % 250, i % PROFILES + 1);
	buf_puts(&b, "]");
	add_dids(&b, n_dids);
	add_norms(&b);
	buf_puts(&b, "}");
	begin = now_s();
	if (rt_document_parse(&data, b.s, b.len, NULL, NULL, wrong, NULL) != 0)
		exit(1);
	*load_s = now_s() - begin;
	buf_free(&b);
	return data;
}

/* ---- questions ---- */

/* A carrier that is known by its address calls one of the DIDs, as 0039... */
static size_t
draw_call(size_t n_dids, char to[64], char source[32])
{
	size_t i = draw(NULL) % n_dids, trunk = draw(NULL) % TRUNKS + 1;

	snprintf(to, 64, has_class(i) ? "sip:+0039%08zu%u@sbc.example:5060" : "sip:+0039%08zu@sbc.example:5060", i, (unsigned)(draw(NULL) % 10));
	snprintf(source, 32, "10.1.%zu.%zu", trunk / 250, trunk % 250);
	return i;
}

static void
check(const struct rt_decision *out, size_t did, const char *to)
{
	if (out->n != 1 || out->routes[0].ipbx == NULL || out->routes[0].ipbx->v[IPBX_ID].i != (int64_t)ipbx_of(did) || !out->auth.success) {
		fprintf(stderr, "%s: wrong answer\n", to);
		exit(1);
	}
}

static struct rt_decision decision;
#define CALLS 65536 /* made beforehand: drawing them is not what is measured */
static struct call {
	size_t did;
	char to[64], source[32];
	char body[512];
	size_t len;
} calls[CALLS];

static void
draw_calls(size_t n_dids)
{
	size_t i;

	for (i = 0; i < CALLS; i++) {
		struct call *c = &calls[i];

		c->did = draw_call(n_dids, c->to, c->source);
		c->len = (size_t)snprintf(c->body, sizeof c->body,
		    "{\"event\":\"sip-routing\",\"auth\":\"1\",\"source_ip\":\"%s\",\"source_port\":5060,\"domain\":\"\",\"username\":\"\","
		    "\"call_id\":\"6f1c0d2e-%zu@10.1.0.1\",\"from_name\":\"Mario Rossi\",\"from_uri\":\"sip:+3904012%zu@10.1.0.1:5060\","
		    "\"from_tag\":\"as%zu\",\"to_uri\":\"%s\",\"to_name\":\"\",\"to_tag\":\"\"}",
		    c->source, i, i, i, c->to);
	}
}

static double
measure_decisions(const struct rt_data *d, const struct rt_env *env, double seconds)
{
	struct rt_request rq = { .auth = true, .source_port = 5060, .domain = "", .username = "", .call_id = "c", .from_name = "Mario Rossi",
		.from_uri = "sip:+39040123@10.1.0.1:5060", .from_tag = "", .to_name = "", .to_tag = "" };
	double begin = now_s(), took;
	uint64_t n = 0;

	do {
		for (size_t i = 0; i < 10000; i++, n++) {
			const struct call *c = &calls[n % CALLS];

			rq.to_uri = c->to;
			rq.source_ip = c->source;
			rt_decide(d, &rq, env, &decision);
			check(&decision, c->did, c->to);
		}
	} while ((took = now_s() - begin) < seconds);
	return (double)n / took;
}

static double
measure_whole(const struct rt_data *d, const struct rt_env *env, double seconds, bool parse_only)
{
	struct buf out = { 0 };
	double begin = now_s(), took;
	uint64_t n = 0;

	do {
		for (size_t i = 0; i < 10000; i++, n++) {
			const struct call *c = &calls[n % CALLS];
			struct rt_detail detail;
			struct rt_request rq;
			json_t *keep;

			if (rt_request_parse(&rq, RT_ASK_ROUTING, c->body, c->len, &keep, &detail) != 0)
				exit(1);
			if (!parse_only) {
				rt_decide(d, &rq, env, &decision);
				check(&decision, c->did, c->to);
				out.len = 0;
				rt_answer_routing(d, &rq, &decision, env, &out);
			}
			json_decref(keep);
		}
	} while ((took = now_s() - begin) < seconds);
	buf_free(&out);
	return (double)n / took;
}

int
main(int argc, char **argv)
{
	static const char *const sizes[] = { "1000", "10000", "100000", "1000000", NULL };
	struct rt_env env = { .random = draw, .fr_timer_ms = 5000, .fr_inv_timer_ms = 30000 };
	double seconds = argc > 2 ? atof(argv[2]) : 1, load_s, decisions, whole, parse;
	const char *const *size;

	seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	for (size = argc > 3 ? (const char *const *)argv + 3 : sizes; *size != NULL; size++) {
		size_t n = strtoull(*size, NULL, 10);
		struct rt_data *d = make_data(n, &load_s);

		draw_calls(n);
		decisions = measure_decisions(d, &env, seconds);
		whole = measure_whole(d, &env, seconds, false);
		parse = measure_whole(d, &env, seconds, true);
		printf("dids=%zu load=%.0fms index=%.1fMB decide=%.0f/s (%.2fus) parse+decide+answer=%.0f/s (%.2fus) parse=%.2fus\n", n, load_s * 1e3,
		    (double)rt_index_bytes(d->index) / 1048576, decisions, 1e6 / decisions, whole, 1e6 / whole, 1e6 / parse);
		fflush(stdout);
		rt_data_unref(d);
	}
	return 0;
}
