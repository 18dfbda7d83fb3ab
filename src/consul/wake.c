#include "consul/wake.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "consul/blocking.h"
#include "consul/http.h"

#define WAIT_MS 60000
#define BLOCKED_MS 70000     /* Consul waits up to a sixteenth longer than it is told */
#define PLAIN_MS 10000       /* a query that does not block */
#define BODY_MAX 4096        /* "[]", or an error's text */
#define GIVE_WAY_MS 5        /* after a wake-up: the agent has DNS to answer first, and the index forgets nothing */

struct name { /* of a service of the configuration */
	const char *service;
	const char *name;
};

/* One Consul service in one datacenter, and who wants to know. */
struct query {
	struct wake *w;
	char service[64], dc[64];
	struct name *names;
	size_t n_names;
	struct http *http;
	struct loop_timer timer; /* the next query; while one blocks after a failure: does it settle? */
	struct blocking b;
	char why[256];
	uint64_t n_queries, n_woken;
};

struct wake {
	struct loop *loop;
	const struct conf *conf;
	wake_cb *cb;
	void *arg;
	struct query *queries;
	size_t n;
	size_t n_lost;
	int64_t lost_ms;
};

/* ---- names ---- */

/* One label of what DNS can ask for: it goes into a URL, and is 63 bytes at most. */
static bool
copy_label(char out[64], const char *p, size_t len)
{
	if (len == 0 || len > 63 || memchr(p, '.', len) != NULL)
		return false;
	memcpy(out, p, len);
	out[len] = '\0';
	return true;
}

bool
wake_split_name(const char *name, const char *domain, char service[64], char dc[64])
{
	const char *at = strstr(name, ".service."), *label, *rest;
	size_t len;

	if (at == NULL)
		return false;
	/* _router._tag.service: the service is the first label; tag.router.service: the last */
	if (name[0] == '_') {
		if (!copy_label(service, name + 1, strcspn(name, ".") - 1))
			return false;
	} else {
		for (label = at; label > name && label[-1] != '.'; label--)
			;
		if (!copy_label(service, label, (size_t)(at - label)))
			return false;
	}
	rest = at + strlen(".service.");
	dc[0] = '\0';
	if (strcmp(rest, domain) == 0)
		return true;
	len = strlen(rest);
	if (len < strlen(domain) + 2 || strcmp(rest + len - strlen(domain), domain) != 0)
		return false;
	len -= strlen(domain) + 1;
	if (rest[len] != '.')
		return false;
	if (len > 3 && memcmp(rest + len - 3, ".dc", 3) == 0) /* newer Consuls' "dc1.dc.consul" */
		len -= 3;
	return copy_label(dc, rest, len);
}

static struct query *
find_query(const struct wake *w, const char *service, const char *dc)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		if (strcmp(w->queries[i].service, service) == 0 && strcmp(w->queries[i].dc, dc) == 0)
			return &w->queries[i];
	return NULL;
}

/* ---- good and bad times ---- */

static void
healthy(struct query *q)
{
	struct wake *w = q->w;
	char text[32];

	if (q->b.failures == 0)
		return;
	log_debug("wake", "%s: works again after %u failures", q->service, q->b.failures);
	q->b.failures = 0;
	if (--w->n_lost > 0)
		return;
	text_format_duration((loop_now_ms(w->loop) - w->lost_ms) / 100 * 100, text, sizeof text);
	log_notice("wake", "back after %s", text);
}

static void
failed(struct query *q, const char *why)
{
	struct wake *w = q->w;
	int64_t delay = blocking_fail(&q->b);

	snprintf(q->why, sizeof q->why, "%s", why);
	if (q->b.failures == 1 && w->n_lost++ == 0) {
		w->lost_ms = loop_now_ms(w->loop);
		log_warnx("wake", "lost (%s: %s): only speed is lost; DNS is asked by the clock", q->service, why);
	} else {
		log_debug("wake", "%s: failures=%u %s", q->service, q->b.failures, why);
	}
	loop_timer_start(&q->timer, loop_jitter(w->loop, delay, BLOCKING_JITTER));
}

/* ---- asking ---- */

static void
ask_in_turn(struct query *q, int64_t after_ms)
{
	int64_t delay = blocking_pace_ms(&q->b, loop_now_ms(q->w->loop));

	loop_timer_start(&q->timer, delay > after_ms ? delay : after_ms);
}

static void
wake_names(const struct query *q)
{
	const struct wake *w = q->w;
	size_t i;

	for (i = 0; i < q->n_names; i++)
		w->cb(w->arg, q->names[i].service, q->names[i].name);
}

static void
on_index(struct query *q, uint64_t index)
{
	uint64_t before = q->b.index;
	char why[128];
	bool woken;

	if (blocking_is_early(&q->b, index)) {
		snprintf(why, sizeof why, "answered after %" PRId64 "ms that nothing had changed, instead of waiting", q->b.took_ms);
		failed(q, why);
		return;
	}
	if (q->b.wait_ms > 0)
		healthy(q);
	woken = blocking_take(&q->b, index);
	if (woken) {
		log_debug("wake", "%s: index %" PRIu64 " -> %" PRIu64 " after %" PRId64 "ms", q->service, before, index, q->b.took_ms);
		q->n_woken++;
		wake_names(q);
	}
	if (q->b.no_leader_ms != 0) {
		failed(q, "Consul has no leader");
		return;
	}
	/* After a minute without news: is there still a leader? Answers to queries that wait do not say so. */
	q->b.doubtful = q->b.wait_ms > 0 && !woken;
	ask_in_turn(q, woken ? GIVE_WAY_MS : 0);
}

static void
on_answer(void *arg, const struct http_answer *a)
{
	struct query *q = arg;
	uint64_t index;

	loop_timer_stop(&q->timer);
	blocking_arrived(&q->b, loop_now_ms(q->w->loop));
	if (a->err == 0)
		blocking_note_leader(&q->b, loop_wall_ms(q->w->loop), a->status, http_header(q->http, "X-Consul-KnownLeader"), a->body);
	if (a->err != 0 || a->status != 200)
		failed(q, a->why);
	else if (blocking_parse_index(http_header(q->http, "X-Consul-Index"), &index) != 0)
		failed(q, "an answer without X-Consul-Index: is consul.http the HTTP port of Consul?");
	else
		on_index(q, index);
}

static void
ask(struct query *q)
{
	struct http_request r = { .method = HTTP_GET, .max_body = BODY_MAX };
	struct buf path = { 0 };
	int64_t wait_ms = blocking_ask(&q->b, loop_now_ms(q->w->loop), WAIT_MS);

	buf_puts(&path, "/v1/health/service/");
	http_add_escaped(&path, q->service);
	buf_puts(&path, "?stale&filter=");
	http_add_escaped(&path, "Service.ID == \"-\"");
	if (q->dc[0] != '\0') {
		buf_puts(&path, "&dc=");
		http_add_escaped(&path, q->dc);
	}
	if (wait_ms > 0)
		buf_printf(&path, "&wait=%" PRId64 "s&index=%" PRIu64, wait_ms / 1000, q->b.index);
	r.path = path.s;
	r.timeout_ms = wait_ms > 0 ? BLOCKED_MS : PLAIN_MS;
	q->n_queries++;
	if (wait_ms > 0 && q->b.failures > 0)
		loop_timer_start(&q->timer, BLOCKING_SETTLED_MS);
	if (http_ask(q->http, &r, on_answer, q) != 0) /* only while another one is out, which on_timer() sees to */
		failed(q, "asked twice");
	buf_free(&path);
}

static void
on_timer(void *arg)
{
	struct query *q = arg;

	if (http_busy(q->http))
		healthy(q);
	else
		ask(q);
}

/* ---- life ---- */

static void
add_name(struct wake *w, const struct name *n, size_t *left_out)
{
	char service[64], dc[64];
	struct query *q;

	if (!wake_split_name(n->name, w->conf->domain, service, dc))
		return;
	q = find_query(w, service, dc);
	if (q == NULL) {
		if (w->n == WAKE_QUERIES_MAX) {
			(*left_out)++;
			return;
		}
		q = &w->queries[w->n++];
		q->w = w;
		memcpy(q->service, service, sizeof q->service);
		memcpy(q->dc, dc, sizeof q->dc);
		loop_timer_init(&q->timer, w->loop, on_timer, q);
	}
	q->names = xrealloc(q->names, q->n_names + 1, sizeof *q->names);
	q->names[q->n_names++] = *n;
}

static void
add_names(struct wake *w)
{
	size_t i, k, left_out = 0;

	w->queries = xcalloc(WAKE_QUERIES_MAX, sizeof *w->queries);
	for (i = 0; i < w->conf->n_services; i++) {
		const struct conf_service *s = w->conf->services[i];

		for (k = 0; k < s->names.n; k++)
			add_name(w, &(struct name){ s->name, s->names.v[k] }, &left_out);
	}
	if (left_out > 0)
		log_notice("wake", "only %d services are waited for; %zu names more are asked for by the clock alone",
		    WAKE_QUERIES_MAX, left_out);
}

int
wake_new(struct wake **out, struct loop *loop, struct worker *worker, const struct conf *conf, wake_cb *cb, void *arg)
{
	struct wake *w = xcalloc(1, sizeof *w);
	char why[128];
	size_t i;

	w->loop = loop;
	w->conf = conf;
	w->cb = cb;
	w->arg = arg;
	*out = w;
	if (strcmp(conf->wake, "index") != 0)
		return 0;
	if (http_url_check(conf->http, why, sizeof why) != 0) {
		log_error("wake", "consul.http: cannot use %s: %s", conf->http, why);
		goto fail;
	}
	add_names(w);
	for (i = 0; i < w->n; i++)
		if (http_new(&w->queries[i].http, loop, worker, conf) != 0)
			goto fail;
	return 0;
fail:
	wake_free(w);
	*out = NULL;
	return -EINVAL;
}

void
wake_start(struct wake *w)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		ask_in_turn(&w->queries[i], 0);
}

void
wake_free(struct wake *w)
{
	size_t i;

	if (w == NULL)
		return;
	for (i = 0; i < w->n; i++) {
		http_free(w->queries[i].http);
		loop_timer_fini(&w->queries[i].timer);
		free(w->queries[i].names);
	}
	free(w->queries);
	free(w);
}

const char *
wake_state_name(enum wake_state state)
{
	static const char *const names[] = { [WAKE_OFF] = "off", [WAKE_WAITING] = "waiting", [WAKE_LOST] = "lost" };

	return names[state];
}

void
wake_view(const struct wake *w, const char *name, struct wake_view *v)
{
	char service[64], dc[64];
	const struct query *q;

	memset(v, 0, sizeof *v);
	v->state = WAKE_OFF;
	if (w == NULL || strcmp(w->conf->wake, "index") != 0)
		return;
	if (!wake_split_name(name, w->conf->domain, service, dc)) {
		v->why = "no wake-ups: a prepared query has no index to wait for";
	} else if ((q = find_query(w, service, dc)) == NULL) {
		v->why = "no wake-ups: more services than can be waited for";
	} else {
		v->state = q->b.failures > 0 ? WAKE_LOST : WAKE_WAITING;
		v->why = q->b.failures > 0 ? q->why : NULL;
		v->queries = q->n_queries;
		v->woken = q->n_woken;
	}
}

bool
wake_no_leader(const struct wake *w, size_t i, struct wake_no_leader *out)
{
	size_t k, n = 0;

	for (k = 0; w != NULL && k < w->n; k++) {
		const struct query *q = &w->queries[k];

		if (q->b.no_leader_ms == 0 || n++ < i)
			continue;
		out->dc = q->dc;
		out->since_ms = q->b.no_leader_ms;
		return true;
	}
	return false;
}
