#include "wait.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "consul/http.h"
#include "discovery/resolver.h"

#define SAY_MS 1000
#define RETRY_MS 250
#define HTTP_TIMEOUT_MS 5000
#define BODY_MAX 4096

struct wait {
	struct loop *loop;
	struct worker *worker;
	const struct conf *conf;
	char *canary;
	struct resolver **resolvers; /* one per server */
	size_t n, at;
	struct http *http;           /* NULL: it is not needed */
	struct loop_timer dns_timer, http_timer, say_timer;
	bool dns_good, http_good;
	char dns_why[384], http_why[384];
	int64_t began_ms, limit_ms;
	int err;
};

static void
end(struct wait *w, int err)
{
	w->err = err;
	loop_stop(w->loop);
}

static void
good(struct wait *w, bool *what)
{
	*what = true;
	if (w->dns_good && (w->http_good || w->http == NULL))
		end(w, 0);
}

/* ---- DNS ---- */

static const char *
rcode_text(uint8_t rcode)
{
	static const char *const names[] = {
		[DNS_FORMERR] = "FORMERR", [DNS_SERVFAIL] = "SERVFAIL (it has no servers yet)",
		[DNS_NXDOMAIN] = "NXDOMAIN (no leader yet, or its ACL forbids DNS to read nodes and services)",
		[DNS_NOTIMP] = "NOTIMP", [DNS_REFUSED] = "REFUSED (is consul.domain right?)",
	};

	return rcode < NELEM(names) && names[rcode] != NULL ? names[rcode] : "an error";
}

static void
on_canary(void *arg, int err, unsigned epoch, const struct dns_msg *msg)
{
	struct wait *w = arg;

	if (err == 0 && msg->rcode == DNS_NOERROR) {
		good(w, &w->dns_good);
		return;
	}
	snprintf(w->dns_why, sizeof w->dns_why, "%s to answer %s: %s", resolver_server(w->resolvers[w->at]), w->canary,
	    err == -ETIMEDOUT ? "no answer in time (is there a leader?)" : err != 0 ? strerror(-err) : rcode_text(msg->rcode));
	w->at = (w->at + 1) % w->n;
	loop_timer_start(&w->dns_timer, w->at == 0 ? RETRY_MS : 0);
}

static void
ask_canary(void *arg)
{
	struct wait *w = arg;

	(void)resolver_ask(w->resolvers[w->at], w->canary, DNS_TYPE_SRV, on_canary, w);
}

/* ---- HTTP ---- */

static void
on_leader(void *arg, const struct http_answer *a)
{
	struct wait *w = arg;

	if (a->err == 0 && a->status == 200 && a->body_len > 2 && a->body[0] == '"' && a->body[1] != '"') {
		good(w, &w->http_good);
		return;
	}
	snprintf(w->http_why, sizeof w->http_why, "%s to have a leader: %s", w->conf->http,
	    a->err != 0 || a->status != 200 ? a->why : "it has none yet");
	loop_timer_start(&w->http_timer, RETRY_MS);
}

static void
ask_leader(void *arg)
{
	struct wait *w = arg;
	const struct http_request r = {
		.method = HTTP_GET, .path = "/v1/status/leader", .timeout_ms = HTTP_TIMEOUT_MS, .max_body = BODY_MAX,
	};

	if (http_ask(w->http, &r, on_leader, w) != 0)
		loop_timer_start(&w->http_timer, RETRY_MS);
}

static bool
needs_http(const struct conf *c)
{
	bool needs = c->n_registers > 0;
	size_t i;

	for (i = 0; i < c->n_kamailios; i++)
		needs |= c->kamailios[i]->domain_kv != NULL;
	return needs;
}

/* ---- all of it ---- */

static void
on_say(void *arg)
{
	struct wait *w = arg;
	int64_t now = loop_now_ms(w->loop), left = w->began_ms + w->limit_ms - now;
	const char *what = !w->dns_good ? w->dns_why : w->http_why;
	char spent[32], limit[32];

	if (what[0] == '\0')
		what = "Consul's answer";
	text_format_duration((now - w->began_ms + 500) / 1000 * 1000, spent, sizeof spent);
	text_format_duration(w->limit_ms, limit, sizeof limit);
	if (left > 0) {
		log_notice("wait", "waiting for %s, %s of %s", what, spent, limit);
		loop_timer_start(&w->say_timer, left < SAY_MS ? left : SAY_MS);
		return;
	}
	log_error("wait", "waited %s in vain for %s", limit, what);
	end(w, -ETIMEDOUT);
}

static void
on_signal(void *arg)
{
	log_notice("wait", "stopping");
	end(arg, -EINTR);
}

static int
build(struct wait *w)
{
	size_t i;

	w->resolvers = xcalloc(w->conf->dns.n, sizeof *w->resolvers);
	for (i = 0; i < w->conf->dns.n; i++) {
		if (resolver_new(&w->resolvers[i], w->loop, w->conf->dns.v[i], w->conf->dns_timeout_ms) != 0)
			return -EINVAL;
		w->n++;
	}
	if (needs_http(w->conf) && http_new(&w->http, w->loop, w->worker, w->conf) != 0)
		return -EINVAL;
	if (loop_signal(w->loop, SIGTERM, on_signal, w) != 0 || loop_signal(w->loop, SIGINT, on_signal, w) != 0)
		return -ENOMEM;
	loop_timer_init(&w->dns_timer, w->loop, ask_canary, w);
	loop_timer_init(&w->http_timer, w->loop, ask_leader, w);
	loop_timer_init(&w->say_timer, w->loop, on_say, w);
	return 0;
}

static void
begin(struct wait *w)
{
	w->began_ms = loop_now_ms(w->loop);
	loop_timer_start(&w->dns_timer, 0);
	if (w->http != NULL)
		loop_timer_start(&w->http_timer, 0);
	loop_timer_start(&w->say_timer, w->limit_ms < SAY_MS ? w->limit_ms : SAY_MS);
}

static void
tear_down(struct wait *w)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		resolver_free(w->resolvers[i]);
	free(w->resolvers);
	http_free(w->http);
	loop_timer_fini(&w->dns_timer);
	loop_timer_fini(&w->http_timer);
	loop_timer_fini(&w->say_timer);
	worker_free(w->worker);
	loop_free(w->loop);
	free(w->canary);
}

int
wait_for_consul(const struct conf *conf, int64_t limit_ms)
{
	struct wait w = { .conf = conf, .limit_ms = limit_ms };

	signal(SIGPIPE, SIG_IGN);
	if (loop_new(&w.loop) != 0 || worker_new(&w.worker, w.loop) != 0) {
		log_error("wait", "cannot wait: out of memory or of descriptors");
		w.err = -EINVAL;
		goto out;
	}
	w.canary = xasprintf("consul.service.%s", conf->domain);
	w.err = build(&w);
	if (w.err != 0) {
		log_error("wait", "cannot ask Consul: check consul.dns and consul.http");
		w.err = -EINVAL;
		goto out;
	}
	begin(&w);
	if (loop_run(w.loop) != 0)
		w.err = -EINVAL;
out:
	tear_down(&w);
	return w.err;
}
