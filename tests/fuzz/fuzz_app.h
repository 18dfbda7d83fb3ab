/*
 * fuzz_app: the daemon's rooms behind the control socket and the HTTP server, without Consul and Kamailio; and a peer that sends an input to one of
 * them, reads what is answered and hangs up.
 */
#ifndef FUZZ_APP_H
#define FUZZ_APP_H

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/worker.h"
#include "control/control.h"
#include "fuzz.h"
#include "http/feed.h"
#include "http/pages.h"

#define FUZZ_INPUT_MAX 200000

static char fuzz_dir[] = "/tmp/c4d-fuzz-XXXXXX";
static struct app app;

/* ---- the rooms ---- */

#define ZEROES "0000000000000000000000000000000000000000000000000000000000000000"
#define T "\"tenant_uuid\":\"2c34c282-433e-4bb8-8d56-fec14ff7e1e9\""
static const char fuzz_document[] =
    "{\"tenants\":[{\"uuid\":\"2c34c282-433e-4bb8-8d56-fec14ff7e1e9\",\"name\":\"t\"}],\"domains\":[{\"id\":1," T ",\"domain\":\"a.example\"}],"
    "\"carriers\":[{\"id\":1," T ",\"name\":\"c\"}],\"normalization_profiles\":[{\"id\":1," T ",\"name\":\"n\",\"always_intl_prefix_plus\":true}],"
    "\"normalization_rules\":[{\"id\":1,\"profile_id\":1,\"rule_type\":1,\"match_regex\":\"^0(.*)$\",\"replace_regex\":\"39\\\\1\"}],"
    "\"ipbxs\":[{\"id\":1," T ",\"domain_id\":1,\"ip_fqdn\":\"10.0.0.1\",\"ip_address\":\"10.0.0.1\",\"username\":\"u\",\"password\":\"p\",\"realm\":\"r\"},"
    "{\"id\":2," T ",\"domain_id\":1,\"ip_fqdn\":\"service:router\",\"username\":\"h\","
    "\"password\":\"" ZEROES ZEROES ZEROES "\"}]," /* a hash */
    "\"carrier_trunks\":[{\"id\":1," T ",\"carrier_id\":1,\"name\":\"t\",\"sip_proxy\":\"10.9.0.1\",\"ip_address\":\"10.9.0.1\","
    "\"auth_username\":\"a\",\"auth_password\":\"b\",\"registered\":true}],"
    "\"dids\":[{\"id\":1," T ",\"ipbx_id\":1,\"did_regex\":\"^39040\"},{\"id\":2," T ",\"ipbx_id\":2,\"did_regex\":\"^3[0-8]+$\"}],"
    "\"routing_rules\":[{\"id\":1,\"prefix\":\"1\",\"carrier_trunk_id\":1,\"ipbx_id\":2}],"
    "\"routing_groups\":[{\"id\":1," T ",\"routing_rule_id\":1}]}";
#undef T
#undef ZEROES

static void
fuzz_report(void *arg, const char *text)
{
	(void)arg;
	fprintf(stderr, "%s\n", text);
}

static void
fuzz_ignore(void *arg)
{
	(void)arg;
}

static void
fuzz_ignore_round(void *arg, const char *service, const struct round *r, const char *server)
{
	(void)arg;
	(void)service;
	(void)r;
	(void)server;
}

struct fuzz_reload {
	struct loop_later later;
	void (*done)(void *arg, int err, json_t *messages);
	void *arg;
};

static void
fuzz_reload_done(void *arg)
{
	struct fuzz_reload *r = arg;
	json_t *messages = json_array();

	json_array_append_new(messages, json_string("t:1: nothing to load"));
	r->done(r->arg, -EINVAL, messages);
	free(r);
}

static void
fuzz_refuse_reload(struct app *a, void (*done)(void *arg, int err, json_t *messages), void *arg)
{
	struct fuzz_reload *r = xcalloc(1, sizeof *r);

	r->done = done;
	r->arg = arg;
	loop_later(a->loop, &r->later, fuzz_reload_done, r);
}

static void
fuzz_app_finish(void)
{
	char *cmd = xasprintf("rm -rf -- '%s'", fuzz_dir);

	routing_free(app.routing);
	kamapi_free(app.kamapi);
	access_free(app.access);
	hook_free(app.hook);
	feed_free(app.feed);
	httpd_free(app.httpd);
	living_free(app.living);
	registrar_free(app.registrar);
	watch_free(app.watch);
	store_flush(app.store);
	worker_free(app.worker);
	platform_free(app.platform);
	store_free(app.store);
	conf_free(app.conf);
	loop_free(app.loop);
	(void)!system(cmd);
	free(cmd);
}

static const struct rt_data *fuzz_data; /* of the document */

static void
fuzz_loaded(void *arg, int err, const json_t *messages)
{
	(void)arg;
	(void)messages;
	must(err == 0);
	loop_stop(app.loop);
}

/* The document is served, unless it is so still. */
static void
fuzz_serve_document(void)
{
	if (fuzz_data != NULL && fuzz_data == routing_data(app.routing))
		return;
	routing_load(app.routing, xstrdup(fuzz_document), sizeof fuzz_document - 1, "fuzz", fuzz_loaded, NULL);
	must(loop_run(app.loop) == 0);
	fuzz_data = routing_data(app.routing);
	must(fuzz_data != NULL);
}

/* `config` goes before what all have. */
static void
fuzz_app_start(const char *config)
{
	struct store_conf sc = { .dir = fuzz_dir, .machine_id = "", .size_bytes = 16 << 20, .keep_ms = 86400000, .keep_max = 100 };
	char *text;
	pid_t holder;

	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	log_init(LOG_L_ERROR);
	must(mkdtemp(fuzz_dir) != NULL);
	text = xasprintf("%sconsul: { dns: [\"127.0.0.1:1\"] }\nrouting: { api: true }\n", config);
	must(loop_new(&app.loop) == 0 && worker_new(&app.worker, app.loop) == 0);
	must(conf_load_text(&app.conf, "t", text, strlen(text), fuzz_report, NULL) == 0);
	must(store_open(&app.store, app.loop, app.worker, &sc, &holder) == 0);
	must(platform_new(&app.platform, app.loop, app.store, app.conf, fuzz_ignore, NULL) == 0);
	must(watch_new(&app.watch, app.loop, app.conf, fuzz_ignore_round, NULL) == 0);
	/* It is not started: there is no Consul. */
	must(registrar_new(&app.registrar, app.loop, app.worker, app.store, app.conf, "") == 0);
	app.living = living_new(app.loop, app.platform);
	must(routing_new(&app.routing, app.loop, app.worker, app.store, app.conf, fuzz_ignore, NULL) == 0);
	must(kamapi_new(&app.kamapi, app.loop, app.worker) == 0 && access_new(&app.access, app.loop, app.worker, app.conf) == 0);
	feed_new(&app.feed, app.loop, &app);
	must(httpd_new(&app.httpd, app.loop, app.conf, pages_routes(), &app) == 0);
	hook_new(&app.hook, &app);
	app.reload = fuzz_refuse_reload;
	fuzz_serve_document();
	free(text);
}

/* ---- a peer ---- */

struct fuzz_peer {
	struct loop_io io;
	struct loop_timer patience;
	const uint8_t *data;
	size_t left;
	bool (*has_enough)(const struct buf *answer, size_t wanted);
	size_t wanted;
	int64_t patience_ms;
	bool hung_up;
	struct buf answer;
};

/* No more comes from us; the server drops who says so, with all that it waits for. */
static void
fuzz_hang_up(struct fuzz_peer *p)
{
	if (!p->hung_up)
		shutdown(p->io.fd, SHUT_WR);
	p->hung_up = true;
}

static void
fuzz_peer_on_io(void *arg, int fd, int what)
{
	struct fuzz_peer *p = arg;
	char part[4096];
	ssize_t n;

	if ((what & LOOP_WRITE) && p->left > 0) {
		n = send(fd, p->data, p->left, MSG_NOSIGNAL);
		if (n > 0) {
			p->data += n;
			p->left -= (size_t)n;
		} else if (n < 0 && errno != EAGAIN) {
			p->left = 0;
		}
	}
	if (p->left == 0 && (what & LOOP_WRITE)) {
		loop_io_want(&p->io, LOOP_READ);
		loop_timer_start(&p->patience, p->patience_ms);
	}
	if (what & LOOP_READ) {
		n = read(fd, part, sizeof part);
		if (n > 0)
			buf_add(&p->answer, part, (size_t)n);
		else if (n == 0 || errno != EAGAIN)
			loop_stop(app.loop);
	}
	if (p->left == 0 && p->has_enough(&p->answer, p->wanted))
		fuzz_hang_up(p);
}

static void
fuzz_peer_on_patience(void *arg)
{
	struct fuzz_peer *p = arg;

	if (p->hung_up)
		loop_stop(app.loop);
	fuzz_hang_up(p);
	loop_timer_start(&p->patience, 1000);
}

/* To the server at `addr`, until its answer is enough or patience is over. The answer is the caller's. */
static struct buf
fuzz_talk(const struct sockaddr *addr, socklen_t addr_len, struct fuzz_peer *p)
{
	int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)!log_set(NULL, "error"); /* an input may have asked for more */
	must(fd >= 0 && (connect(fd, addr, addr_len) == 0 || errno == EINPROGRESS));
	loop_io_init(&p->io, app.loop, fd, fuzz_peer_on_io, p);
	loop_io_want(&p->io, LOOP_READ | LOOP_WRITE);
	loop_timer_init(&p->patience, app.loop, fuzz_peer_on_patience, p);
	loop_timer_start(&p->patience, p->patience_ms);
	must(loop_run(app.loop) == 0);
	loop_io_fini(&p->io);
	close(fd);
	/* two turns in which the server sees the end */
	p->hung_up = true;
	loop_timer_start(&p->patience, 1);
	must(loop_run(app.loop) == 0);
	loop_timer_fini(&p->patience);
	return p->answer;
}

#endif
