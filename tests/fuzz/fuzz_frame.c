/*
 * fuzz_frame: any bytes from a peer of the control socket, into the real server with the real
 * handlers. Every line of the answer is a JSON object with "data" or "exit", and the server is
 * there for the next peer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/worker.h"
#include "control/control.h"

#define INPUT_MAX 200000
#define PATIENCE_MS 20 /* `watch` never ends, `resync` waits: then the peer hangs up */

static const char config[] = "consul: { dns: [\"127.0.0.1:1\"] }\n"
			     "services:\n  router: { tags: [blue] }\n  rtp: {}\n"
			     "http: { listen: [] }\n"
			     "register:\n  sbc: { address: 10.0.0.1, port: 5060, checks: { own: { type: sip }, port: { type: tcp } } }\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/tmp/c4d-fuzz-XXXXXX";
static char *path;
static struct app app;
static struct control *control;
static const struct httpd_route no_routes[] = { HTTPD_END };

struct client {
	struct loop_io io;
	struct loop_timer patience;
	const uint8_t *data;
	size_t left;
	size_t expected; /* answers: one per line */
	bool hung_up;
	struct buf answer;
};

static void
must(bool ok)
{
	if (!ok)
		abort();
}

static void
ignore(void *arg)
{
}

static void
ignore_round(void *arg, const char *service, const struct round *r, const char *server)
{
}

static void
report(void *arg, const char *text)
{
	fprintf(stderr, "%s\n", text);
}

struct reload {
	struct loop_later later;
	void (*done)(void *arg, int err, json_t *messages);
	void *arg;
};

static void
reload_done(void *arg)
{
	struct reload *r = arg;
	json_t *messages = json_array();

	json_array_append_new(messages, json_string("t:1: nothing to load"));
	r->done(r->arg, -EINVAL, messages);
	free(r);
}

static void
refuse_reload(struct app *a, void (*done)(void *arg, int err, json_t *messages), void *arg)
{
	struct reload *r = xcalloc(1, sizeof *r);

	r->done = done;
	r->arg = arg;
	loop_later(a->loop, &r->later, reload_done, r);
}

static void
finish(void)
{
	char *cmd = xasprintf("rm -rf -- '%s'", dir);

	control_free(control);
	routing_free(app.routing);
	kamapi_free(app.kamapi);
	access_free(app.access);
	httpd_free(app.httpd);
	living_free(app.living);
	registrar_free(app.registrar);
	watch_free(app.watch);
	platform_free(app.platform);
	store_flush(app.store);
	worker_free(app.worker);
	store_free(app.store);
	conf_free(app.conf);
	loop_free(app.loop);
	(void)!system(cmd);
	free(cmd);
	free(path);
}

static void
start(void)
{
	struct store_conf sc = { .dir = dir,
		.machine_id = "",
		.size_bytes = 16 << 20,
		.keep_ms = 86400000,
		.keep_max = 100 };
	pid_t holder;

	log_init(LOG_L_ERROR);
	must(mkdtemp(dir) != NULL);
	path = xasprintf("%s/socket", dir);
	must(loop_new(&app.loop) == 0 && worker_new(&app.worker, app.loop) == 0);
	must(conf_load_text(&app.conf, "t", config, sizeof config - 1, report, NULL) == 0);
	must(store_open(&app.store, app.loop, app.worker, &sc, &holder) == 0);
	must(platform_new(&app.platform, app.loop, app.store, app.conf, ignore, NULL) == 0);
	must(watch_new(&app.watch, app.loop, app.conf, ignore_round, NULL) == 0);
	/* It is not started: there is no Consul. */
	must(registrar_new(&app.registrar, app.loop, app.worker, app.store, app.conf, "") == 0);
	app.living = living_new(app.loop, app.platform);
	must(routing_new(&app.routing, app.loop, app.worker, app.store, app.conf, ignore, NULL) == 0);
	must(kamapi_new(&app.kamapi, app.loop, app.worker) == 0 && access_new(&app.access, app.loop, app.worker, app.conf) == 0);
	must(httpd_new(&app.httpd, app.loop, app.conf, no_routes, NULL) == 0);
	app.reload = refuse_reload;
	must(control_new(&control, &app, path, NULL) == 0);
	atexit(finish);
}

/* No more comes from us; the server drops who says so, with all that it waits for. */
static void
hang_up(struct client *c)
{
	if (!c->hung_up)
		shutdown(c->io.fd, SHUT_WR);
	c->hung_up = true;
}

static size_t
ends(const struct buf *answer)
{
	static const char end[] = "{\"exit\"";
	const char *line = answer->s;
	size_t n = 0;

	for (; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
		line += *line == '\n';
		n += strncmp(line, end, sizeof end - 1) == 0;
	}
	return n;
}

static void
on_io(void *arg, int fd, int what)
{
	struct client *c = arg;
	char part[4096];
	ssize_t n;

	if ((what & LOOP_WRITE) && c->left > 0) {
		n = send(fd, c->data, c->left, MSG_NOSIGNAL);
		if (n > 0) {
			c->data += n;
			c->left -= (size_t)n;
		} else if (n < 0 && errno != EAGAIN) {
			c->left = 0;
		}
	}
	if (c->left == 0 && (what & LOOP_WRITE)) {
		loop_io_want(&c->io, LOOP_READ);
		loop_timer_start(&c->patience, PATIENCE_MS);
	}
	if (what & LOOP_READ) {
		n = read(fd, part, sizeof part);
		if (n > 0)
			buf_add(&c->answer, part, (size_t)n);
		else if (n == 0 || errno != EAGAIN)
			loop_stop(app.loop);
	}
	if (c->left == 0 && ends(&c->answer) >= c->expected)
		hang_up(c);
}

static void
on_patience(void *arg)
{
	struct client *c = arg;

	if (c->hung_up)
		loop_stop(app.loop);
	hang_up(c);
	loop_timer_start(&c->patience, 1000);
}

static void
check(struct client *c)
{
	char *line = c->answer.s, *end;

	for (; line != NULL && (end = strchr(line, '\n')) != NULL; line = end + 1) {
		json_t *j = json_loadb(line, (size_t)(end - line), JSON_REJECT_DUPLICATES, NULL);

		must(json_is_object(j));
		must((json_object_get(j, "data") != NULL) !=
		     json_is_integer(json_object_get(j, "exit")));
		json_decref(j);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct client c = { .data = data, .left = size < INPUT_MAX ? size : INPUT_MAX };
	size_t i;
	int fd;

	if (control == NULL)
		start();
	(void)!log_set(NULL, "error"); /* an input may have asked for more */
	for (i = 0; i < c.left; i++)
		c.expected += data[i] == '\n';
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(sun.sun_path, sizeof sun.sun_path, "%s", path);
	must(fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof sun) == 0);
	loop_io_init(&c.io, app.loop, fd, on_io, &c);
	loop_io_want(&c.io, LOOP_READ | LOOP_WRITE);
	loop_timer_init(&c.patience, app.loop, on_patience, &c);
	loop_timer_start(&c.patience, PATIENCE_MS);
	must(loop_run(app.loop) == 0);
	loop_io_fini(&c.io);
	close(fd);
	check(&c);
	c.hung_up = true;
	/* two turns in which the server sees the end */
	loop_timer_start(&c.patience, 1);
	must(loop_run(app.loop) == 0);
	loop_timer_fini(&c.patience);
	buf_free(&c.answer);
	return 0;
}
