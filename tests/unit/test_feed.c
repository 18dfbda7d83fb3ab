/*
 * feed: the page and its event stream as a browser gets them: from an app that is built as the daemon builds it, with nobody around
 * (no Consul, no Kamailio), changed by an operator's words.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/jsonx.h"
#include "conf_fx.h"
#include "control/app.h"
#include "http/feed.h"
#include "http/pages.h"
#include "store_fx.h"

#define CLIENTS 16

struct client {
	int fd; /* -1: none */
	bool ended;
	struct buf in;
};

struct world { /* of the present test */
	struct fx *f;
	struct app a;
	struct client clients[CLIENTS];
	const char *text; /* awaited */
	struct client *from;
	size_t want;
	int64_t until_ms;
};

static struct world *w;

/* ---- building ---- */

static void
on_changed(void *arg)
{
	feed_changed(w->a.feed);
}

static void
on_round(void *arg, const char *service, const struct round *round, const char *server)
{
}

static void
on_woken(void *arg, const char *service, const char *name)
{
}

static void
begin(void)
{
	struct target_deps deps;
	struct app *a = &w->a;
	char *text = xasprintf("state: %s\nhttp: { listen: [\"127.0.0.1:9\"] }\n"
	    "services:\n  router: {}\n  rtp: {}\n"
	    "kamailio:\n  sbc:\n    binrpc: unix:%s/nobody\n    list_file: %s/list\n    tables: %s\n"
	    "    dispatcher: { 1: { service: router } }\n    rtpengine: { 0: { service: rtp } }\n"
	    "register:\n  sbc: { port: 5060, address: 10.0.0.9, checks: { sip: { type: sip, interval: 5s } } }\n",
	    w->f->dir, w->f->dir, w->f->dir, w->f->dir);

	fx_start(w->f);
	fx_put_known(w->f, loop_wall_ms(w->f->loop));
	*a = (struct app){ .loop = w->f->loop, .worker = w->f->worker, .store = w->f->st, .conf = conf_of_text(text) };
	free(text);
	free(a->conf->listen.v[0]);
	a->conf->listen.v[0] = xstrdup("127.0.0.1:0"); /* any */
	assert_int_equal(platform_new(&a->platform, a->loop, a->store, a->conf, on_changed, NULL), 0);
	feed_new(&a->feed, a->loop, a);
	assert_int_equal(watch_new(&a->watch, a->loop, a->conf, on_round, a), 0);
	assert_int_equal(wake_new(&a->wake, a->loop, a->worker, a->conf, on_woken, a), 0);
	assert_int_equal(registrar_new(&a->registrar, a->loop, a->worker, a->store, a->conf, MACHINE), 0);
	assert_int_equal(routing_new(&a->routing, a->loop, a->worker, a->store, a->conf, on_changed, a), 0);
	assert_int_equal(kamapi_new(&a->kamapi, a->loop, a->worker), 0);
	assert_int_equal(httpd_new(&a->httpd, a->loop, a->conf, pages_routes(), a), 0);
	deps = (struct target_deps){ .loop = a->loop, .worker = a->worker, .platform = a->platform, .store = a->store, .routing = a->routing,
		.event = on_changed };
	a->hosts = xcalloc(1, sizeof *a->hosts);
	assert_int_equal(kamhost_new(&a->hosts[0], &deps, a->conf->kamailios[0]), 0);
	a->n_hosts = 1;
}

static void
end(void)
{
	struct app *a = &w->a;
	size_t i;

	for (i = 0; i < CLIENTS; i++)
		if (w->clients[i].fd >= 0) {
			close(w->clients[i].fd);
			buf_free(&w->clients[i].in);
			w->clients[i].fd = -1;
		}
	routing_free(a->routing);
	kamapi_free(a->kamapi);
	feed_free(a->feed);
	httpd_free(a->httpd);
	registrar_free(a->registrar);
	wake_free(a->wake);
	watch_free(a->watch);
	kamhost_free(a->hosts[0]);
	free(a->hosts);
	a->n_hosts = 0;
	store_flush(a->store);
	worker_free(a->worker);
	platform_free(a->platform);
	store_free(a->store);
	loop_free(a->loop);
	conf_free(a->conf);
	w->f->st = NULL;
}

static int
setup(void **state)
{
	void *f = NULL;
	size_t i;

	if (fx_setup(&f) != 0)
		return -1;
	signal(SIGPIPE, SIG_IGN);
	w = xcalloc(1, sizeof *w);
	w->f = f;
	for (i = 0; i < CLIENTS; i++)
		w->clients[i].fd = -1;
	*state = w;
	begin();
	return 0;
}

static int
teardown(void **state)
{
	void *f = w->f;

	if (w->f->st != NULL)
		end();
	free(w);
	return fx_teardown(&f);
}

/* ---- clients ---- */

static struct client *
say(const char *request)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct client *c = w->clients;
	struct httpd_view v;

	while (c < w->clients + CLIENTS && c->fd >= 0)
		c++;
	assert_true(c < w->clients + CLIENTS);
	httpd_view(w->a.httpd, &v);
	sin.sin_port = htons(v.port);
	memset(c, 0, sizeof *c);
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&sin, sizeof sin), 0);
	assert_int_equal(send(c->fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	buf_puts(&c->in, "");
	return c;
}

static void
hang_up(struct client *c)
{
	close(c->fd);
	buf_free(&c->in);
	c->fd = -1;
}

static void
take(struct client *c)
{
	char chunk[16384];
	ssize_t n;

	while (c->fd >= 0 && !c->ended && (n = recv(c->fd, chunk, sizeof chunk, MSG_DONTWAIT)) != -1) {
		if (n == 0)
			c->ended = true;
		buf_add(&c->in, chunk, (size_t)n);
	}
}

static bool
has_text(void *arg)
{
	take(w->from);
	return strstr(w->from->in.s, w->text) != NULL;
}

static void
until_text(struct client *c, const char *text)
{
	w->from = c;
	w->text = text;
	fx_await(w->f, has_text, w);
}

static size_t
events(struct client *c)
{
	const char *p;
	size_t n = 0;

	take(c);
	for (p = c->in.s; (p = strstr(p, "\ndata: <div id=head")) != NULL; p++)
		n++;
	return n;
}

static bool
has_events(void *arg)
{
	return events(w->from) >= w->want;
}

static void
until_events(struct client *c, size_t n)
{
	w->from = c;
	w->want = n;
	fx_await(w->f, has_events, w);
}

static bool
has_ended(void *arg)
{
	take(w->from);
	return w->from->ended;
}

static void
until_ended(struct client *c)
{
	w->from = c;
	fx_await(w->f, has_ended, w);
}

static bool
has_passed(void *arg)
{
	return loop_now_ms(w->a.loop) >= w->until_ms;
}

static void
pass(int64_t ms)
{
	w->until_ms = loop_now_ms(w->a.loop) + ms;
	fx_await(w->f, has_passed, w);
}

static bool
has_streams(void *arg)
{
	return feed_streams(w->a.feed) == w->want;
}

static void
until_streams(size_t n)
{
	w->want = n;
	fx_await(w->f, has_streams, w);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
#define PAGE GET("/")
#define EVENTS GET("/v1/events")

#define HAS(c, part) \
	do { \
		if (strstr((c)->in.s, part) == NULL) \
			fail_msg("%s is not in:\n%s", part, strstr((c)->in.s, "id=changes") ? strstr((c)->in.s, "id=changes") : (c)->in.s); \
	} while (0)

static void
assert_headers(struct client *c)
{
	HAS(c, "\r\nContent-Security-Policy: default-src 'none'; style-src 'sha256-");
	HAS(c, "\r\nX-Content-Type-Options: nosniff\r\n");
	HAS(c, "\r\nX-Frame-Options: DENY\r\n");
	HAS(c, "\r\nReferrer-Policy: no-referrer\r\n");
	HAS(c, "\r\nCache-Control: no-store\r\n");
}

#define DRAINED "<td><span class=\"s warn\">draining: operator</span>"
#define WHY "<small>c4ctl drain 10.0.0.1:5060 by me</small>"

static void
drain(bool on)
{
	struct platform_refusal refusal;
	struct topo_addr addr;

	assert_int_equal(topo_addr_parse("10.0.0.1:5060", &addr), 0);
	assert_int_equal(on ? platform_drain(w->a.platform, &addr, 0, "me", &refusal) : platform_undrain(w->a.platform, &addr, "me"), 0);
}

/* ---- the page ---- */

static void
the_page(void **state)
{
	struct client *c = say(PAGE), *d = say(PAGE), *head;

	until_text(c, "</html>\n");
	until_text(d, "</html>\n");
	assert_memory_equal(c->in.s, "HTTP/1.1 200 OK\r\n", 17);
	HAS(c, "\r\nContent-Type: text/html; charset=utf-8\r\n");
	assert_headers(c);
	HAS(c, "<tr><th scope=row>router<td>");
	HAS(c, "<th scope=row class=m>10.0.0.1:5060");
	HAS(c, "<td class=n><time datetime="); /* nothing has been asked yet */
	HAS(c, "<tr><th scope=row>sbc/1<td>dispatcher<td>");
	HAS(c, "<tr><th scope=row>sbc/rtpengine/0<td>rtpengine<td>");
	HAS(c, "<tr><th scope=row>sbc<td><span class=\"s bad\">unreachable</span>");
	HAS(c, "sip <span class=\"s ");
	HAS(c, "no routing data");
	HAS(c, "<small>before</small>"); /* the history */
	head = say("HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	until_ended(head);
	assert_headers(head);
	assert_string_equal(strstr(head->in.s, "\r\n\r\n"), "\r\n\r\n");
	HAS(head, "\r\nContent-Length: ");
	assert_int_equal(feed_streams(w->a.feed), 0);
}

/* ---- events ---- */

static void
events_tell_what_changes(void **state)
{
	struct client *c = say(EVENTS), *d;
	size_t len;

	until_events(c, 1);
	assert_memory_equal(c->in.s, "HTTP/1.1 200 OK\r\n", 17);
	HAS(c, "\r\nContent-Type: text/event-stream\r\n");
	assert_headers(c);
	HAS(c, "retry: 2000\nid: 1");
	HAS(c, "\ndata: </section>\n\n");
	assert_null(strstr(c->in.s, "draining: operator"));
	drain(true);
	until_text(c, DRAINED);
	HAS(c, WHY); /* and the newest history with it */
	until_events(c, 2);
	d = say(EVENTS); /* who comes later has it at once, the others not once more */
	until_events(d, 1);
	HAS(d, DRAINED);
	pass(FEED_POLL_MS + 500);
	assert_int_equal(events(c), 2);
	assert_int_equal(events(d), 1);
	len = c->in.len;
	drain(false);
	until_events(c, 3);
	until_events(d, 2);
	assert_null(strstr(c->in.s + len, DRAINED));
}

/* Many changes, few events, and the last of them is not lost. */
static void
events_have_a_gap(void **state)
{
	struct client *c = say(EVENTS), *page;
	int64_t begin;
	size_t i, n;

	until_events(c, 1);
	begin = loop_now_ms(w->a.loop);
	for (i = 0; i < 61; i++) {
		drain(i % 2 == 0);
		if (i % 8 == 0) { /* whoever asks for the page does not make them come sooner */
			page = say(PAGE);
			until_text(page, "</html>\n");
			hang_up(page);
		}
		pass(30);
	}
	until_text(c, DRAINED);
	pass(FEED_GAP_MS + 500);
	n = events(c);
	assert_in_range(n, 2, 2 + (size_t)(loop_now_ms(w->a.loop) - begin) / FEED_GAP_MS);
	while (strstr(c->in.s + 1, "\ndata: <div id=head") != NULL) { /* the last one */
		char *rest = xstrdup(strstr(c->in.s + 1, "\ndata: <div id=head"));

		buf_free(&c->in);
		memset(&c->in, 0, sizeof c->in);
		buf_puts(&c->in, rest);
		free(rest);
	}
	HAS(c, DRAINED);
}

static void
a_beat_says_that_it_lives(void **state)
{
	struct client *c;

	feed_set_beat(w->a.feed, 50);
	c = say(EVENTS);
	until_text(c, "event: beat\nid: 1");
	until_text(c, "\ndata:\n\n");
	assert_int_equal(events(c), 1);
	hang_up(c);
	until_streams(0);
	pass(200);
}

static void
there_are_so_many_places(void **state)
{
	struct client *c[FEED_STREAMS_MAX], *more;
	size_t i;

	for (i = 0; i < FEED_STREAMS_MAX; i++) {
		c[i] = say(EVENTS);
		until_events(c[i], 1);
	}
	assert_int_equal(feed_streams(w->a.feed), FEED_STREAMS_MAX);
	more = say(EVENTS);
	until_text(more, "\"detail\"");
	HAS(more, "HTTP/1.1 503");
	HAS(more, "\r\nRetry-After: 10\r\n");
	until_text(say(PAGE), "</html>\n");
	hang_up(c[3]);
	until_streams(FEED_STREAMS_MAX - 1);
	more = say(EVENTS);
	until_events(more, 1);
	drain(true);
	for (i = 0; i < FEED_STREAMS_MAX; i++)
		until_events(i == 3 ? more : c[i], 2);
}

static void
head_takes_no_place(void **state)
{
	struct client *c = say("HEAD /v1/events HTTP/1.1\r\nHost: h\r\n\r\n");

	until_ended(c);
	HAS(c, "HTTP/1.1 200 OK\r\n");
	HAS(c, "text/event-stream");
	assert_headers(c);
	assert_int_equal(feed_streams(w->a.feed), 0);
}

static void
pages_of_others_take_no_place(void **state)
{
	static const char *const requests[] = {
		"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1:1\r\nOrigin: http://evil.example\r\n\r\n",
		"GET /v1/events HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n\r\n",
		"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1:1\r\nSec-Fetch-Site: cross-site\r\n\r\n",
	};
	struct client *c;
	size_t i;

	for (i = 0; i < NELEM(requests); i++) {
		c = say(requests[i]);
		until_text(c, "\"detail\"");
		HAS(c, "HTTP/1.1 403");
	}
	assert_int_equal(feed_streams(w->a.feed), 0);
	c = say("GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1:1\r\nOrigin: http://127.0.0.1:1\r\nSec-Fetch-Site: same-origin\r\n\r\n");
	until_events(c, 1);
}

/* When nobody looks, nothing is done; who comes back finds what is so now. */
static void
nobody_looks(void **state)
{
	struct client *c = say(EVENTS);

	until_events(c, 1);
	hang_up(c);
	until_streams(0);
	drain(true);
	pass(200);
	c = say(EVENTS);
	until_events(c, 1);
	HAS(c, DRAINED);
	HAS(c, WHY);
}

/* ---- a disk that hangs ---- */

static pthread_mutex_t disk = PTHREAD_MUTEX_INITIALIZER;

static void
hang(struct worker_job *job)
{
	pthread_mutex_lock(&disk);
	pthread_mutex_unlock(&disk);
}

static void
hung(struct worker_job *job)
{
	free(job);
}

static void
hang_disk(void)
{
	struct worker_job *job = xcalloc(1, sizeof *job);

	pthread_mutex_lock(&disk);
	job->run = hang;
	job->done = hung;
	worker_submit(w->a.worker, WORKER_URGENT, job);
}

static void
a_disk_that_hangs_hides_nothing(void **state)
{
	struct client *c, *d;

	hang_disk();
	c = say(PAGE);
	until_text(c, "</html>\n");
	HAS(c, "They are being read");
	HAS(c, "<th scope=row class=m>10.0.0.1:5060");
	d = say(PAGE); /* the question is still out */
	until_text(d, "</html>\n");
	c = say(EVENTS);
	until_events(c, 1);
	HAS(c, "They are being read");
	drain(true);
	until_text(c, DRAINED);
	pthread_mutex_unlock(&disk);
	until_text(c, WHY);
}

/* Who asked is gone when the answer comes: it is not kept. */
static void
an_answer_to_nobody(void **state)
{
	struct client *c;

	hang_disk();
	c = say(EVENTS);
	until_events(c, 1);
	hang_up(c);
	until_streams(0);
	drain(true);
	pthread_mutex_unlock(&disk);
	pass(300);
	c = say(EVENTS);
	until_events(c, 1);
	HAS(c, WHY);
}

static void
a_stop_while_it_hangs(void **state)
{
	struct client *c, *d;

	hang_disk();
	c = say(EVENTS);
	until_events(c, 1);
	d = say(PAGE);
	pass(20); /* it waits */
	feed_free(w->a.feed);
	w->a.feed = NULL;
	until_text(d, "\"detail\"");
	HAS(d, "HTTP/1.1 503");
	until_ended(c);
	assert_string_equal(c->in.s + c->in.len - 7, "\r\n0\r\n\r\n");
	pthread_mutex_unlock(&disk);
	feed_changed(NULL);
	end(); /* the answer comes when nobody is there to take it */
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_page),
		T(events_tell_what_changes),
		T(events_have_a_gap),
		T(a_beat_says_that_it_lives),
		T(there_are_so_many_places),
		T(head_takes_no_place),
		T(pages_of_others_take_no_place),
		T(nobody_looks),
		T(a_disk_that_hangs_hides_nothing),
		T(an_answer_to_nobody),
		T(a_stop_while_it_hangs),
	};

	return cmocka_run_group_tests_name("feed", tests, NULL, NULL);
}
