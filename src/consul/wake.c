#include "consul/wake.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "consul/http.h"

#define WAIT_S 60
#define BLOCKED_MS 70000     /* Consul waits up to a sixteenth longer than it is told */
#define PLAIN_MS 10000       /* a query that does not block */
#define EARLY_MS 30000       /* an answer that says "nothing new" before this is none */
#define SETTLED_MS 1000      /* a blocking query that is out for so long works */
#define BODY_MAX 4096        /* "[]", or an error's text */
#define PACE_MS 500          /* between two queries in the long run */
#define PACE_AT_ONCE 20
#define GIVE_WAY_MS 5        /* after a wake-up: the agent has DNS to answer first, and the index forgets nothing */
#define BACKOFF_MIN_MS 250
#define BACKOFF_MAX_MS 15000
#define BACKOFF_JITTER 20

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
	uint64_t index;    /* the last one seen; 0: none, or it is not to be trusted */
	bool doubtful;     /* the last query failed: the next one asks where the index is, and does not wait */
	bool blocking;     /* the query that is out waits for a change */
	int64_t asked_ms;
	int64_t paid_ms;   /* the time that the queries so far are worth at the pace of the long run */
	unsigned failures; /* in a row; 0: it works */
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

	if (q->failures == 0)
		return;
	log_debug("wake", "%s: works again after %u failures", q->service, q->failures);
	q->failures = 0;
	if (--w->n_lost > 0)
		return;
	text_format_duration((loop_now_ms(w->loop) - w->lost_ms) / 100 * 100, text, sizeof text);
	log_notice("wake", "back after %s", text);
}

static void
failed(struct query *q, const char *why)
{
	struct wake *w = q->w;
	unsigned doublings = q->failures < 16 ? q->failures : 16;
	int64_t delay = (int64_t)BACKOFF_MIN_MS << doublings;

	snprintf(q->why, sizeof q->why, "%s", why);
	q->doubtful = true;
	if (q->failures++ == 0 && w->n_lost++ == 0) {
		w->lost_ms = loop_now_ms(w->loop);
		log_warnx("wake", "lost (%s: %s): only speed is lost; DNS is asked by the clock", q->service, why);
	} else {
		log_debug("wake", "%s: failures=%u %s", q->service, q->failures, why);
	}
	loop_timer_start(&q->timer, loop_jitter(w->loop, delay < BACKOFF_MAX_MS ? delay : BACKOFF_MAX_MS, BACKOFF_JITTER));
}

/* ---- asking ---- */

static void
ask_in_turn(struct query *q, int64_t after_ms)
{
	int64_t delay = q->paid_ms - (PACE_AT_ONCE - 1) * PACE_MS - loop_now_ms(q->w->loop);

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

static bool
parse_index(const char *text, uint64_t *out)
{
	char *end;

	if (text == NULL || *text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0' && *out > 0;
}

static void
on_index(struct query *q, uint64_t index)
{
	int64_t took = loop_now_ms(q->w->loop) - q->asked_ms;
	char why[128];
	bool woken;

	if (q->blocking && index == q->index && took < EARLY_MS) {
		snprintf(why, sizeof why, "answered after %" PRId64 "ms that nothing had changed, instead of waiting", took);
		failed(q, why);
		return;
	}
	q->doubtful = false;
	if (q->blocking)
		healthy(q);
	woken = index != q->index;
	if (woken) {
		log_debug("wake", "%s: index %" PRIu64 " -> %" PRIu64 " after %" PRId64 "ms", q->service, q->index, index, took);
		q->n_woken++;
		wake_names(q);
	}
	/* Backwards: another cluster, or an older state of this one. The next query begins anew. */
	q->index = index < q->index ? 0 : index;
	ask_in_turn(q, woken ? GIVE_WAY_MS : 0);
}

static void
on_answer(void *arg, const struct http_answer *a)
{
	struct query *q = arg;
	uint64_t index;

	loop_timer_stop(&q->timer);
	if (a->err != 0 || a->status != 200)
		failed(q, a->why);
	else if (!parse_index(http_header(q->http, "X-Consul-Index"), &index))
		failed(q, "an answer without X-Consul-Index: is consul.http the HTTP port of Consul?");
	else
		on_index(q, index);
}

static void
ask(struct query *q)
{
	struct http_request r = { .method = HTTP_GET, .max_body = BODY_MAX };
	struct buf path = { 0 };
	int64_t now = loop_now_ms(q->w->loop);

	q->blocking = q->index > 0 && !q->doubtful;
	buf_puts(&path, "/v1/health/service/");
	http_add_escaped(&path, q->service);
	buf_puts(&path, "?stale&filter=");
	http_add_escaped(&path, "Service.ID == \"-\"");
	if (q->dc[0] != '\0') {
		buf_puts(&path, "&dc=");
		http_add_escaped(&path, q->dc);
	}
	if (q->blocking)
		buf_printf(&path, "&wait=%ds&index=%" PRIu64, WAIT_S, q->index);
	r.path = path.s;
	r.timeout_ms = q->blocking ? BLOCKED_MS : PLAIN_MS;
	q->asked_ms = now;
	q->paid_ms = (q->paid_ms > now ? q->paid_ms : now) + PACE_MS;
	q->n_queries++;
	if (q->blocking && q->failures > 0)
		loop_timer_start(&q->timer, SETTLED_MS);
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
		v->state = q->failures > 0 ? WAKE_LOST : WAKE_WAITING;
		v->why = q->failures > 0 ? q->why : NULL;
		v->queries = q->n_queries;
		v->woken = q->n_woken;
	}
}
