/*
 * http/httpd when memory or descriptors are out: who asked is told so, who could not be served comes again, and a listener that could not be made is
 * tried again until it stands.
 */
#include <fcntl.h>
#include <signal.h>

#include "config/conf.h"
#include "fault_fx.h"
#include "http/httpd.h"

static void
get_text(struct httpd_req *r, void *arg)
{
	httpd_reply_text(r, 200, "%s is well", "it");
}

static void
get_json(struct httpd_req *r, void *arg)
{
	httpd_reply_json(r, 200, json_pack("{s:i}", "a", 1));
}

static void
post_body(struct httpd_req *r, void *arg)
{
	size_t len;
	const char *body = httpd_body(r, &len);

	httpd_reply(r, 200, "text/plain", body, len);
}

static const struct httpd_route routes[] = {
	{ HTTPD_GET, "/text", 0, get_text },
	{ HTTPD_GET, "/json", 0, get_json },
	{ HTTPD_POST, "/body", 1000, post_body },
	HTTPD_END,
};

static char *listen_texts[1] = { (char *)(uintptr_t) "127.0.0.1:0" };
static const struct conf conf = { .listen = { .v = listen_texts, .n = 1 } };

/* ---- a client ---- */

struct client {
	struct loop_io io;
	int fd;
	struct buf in;
	bool ended;
};

static void
client_read(void *arg, int fd, int what)
{
	struct client *c = arg;
	char piece[4096];
	ssize_t n = read(fd, piece, sizeof piece);

	if (n > 0) {
		buf_add(&c->in, piece, (size_t)n);
		return;
	}
	c->ended = true;
	fx_close(&c->io, &c->fd);
}

/* One request on a connection of its own, to its end; the caller frees. "": nothing came. */
static char *
ask(const struct httpd *h, const char *request)
{
	struct httpd_view v;
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct client c = { .ended = false };

	httpd_view(h, &v);
	in.sin_port = htons(v.port);
	c.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(c.fd, (struct sockaddr *)&in, sizeof in), 0);
	assert_int_equal(fcntl(c.fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(write(c.fd, request, strlen(request)), strlen(request));
	fx_watch(&fx, &c.io, c.fd, client_read, &c);
	buf_puts(&c.in, "");
	AWAIT(&fx, c.ended);
	return buf_take(&c.in);
}

static void
assert_answer(const struct httpd *h, const char *request, int status, const char *says)
{
	char *got = ask(h, request), want[32];

	snprintf(want, sizeof want, "HTTP/1.1 %d ", status);
	if (strncmp(got, want, strlen(want)) != 0 || strstr(got, says) == NULL)
		fail_msg("%s\ngave\n%s\nand not %d, %s", request, got, status, says);
	free(got);
}

#define TEXT "GET /text HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
#define JSON "GET /json HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
#define BODY "POST /body HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"

/* ---- */

static void
an_answer_that_cannot_be_made_is_500(void **state)
{
	struct httpd *h;

	(void)state;
	assert_int_equal(httpd_new(&h, fx.loop, &conf, routes, NULL), 0);
	fault_set("vasprintf", 1, ENOMEM);
	assert_answer(h, TEXT, 500, "the answer could not be made");
	assert_answer(h, TEXT, 200, "it is well");
	fault_set("json_dumps", 1, ENOMEM);
	assert_answer(h, JSON, 500, "the answer could not be made");
	assert_answer(h, JSON, 200, "{\"a\":1}");
	assert_int_equal(fault_hits(), 2);
	httpd_free(h);
}

static void
a_body_without_room_is_503(void **state)
{
	struct httpd *h;

	(void)state;
	assert_int_equal(httpd_new(&h, fx.loop, &conf, routes, NULL), 0);
	fault_set("malloc", 1, ENOMEM);
	assert_answer(h, BODY, 503, "out of memory");
	assert_int_equal(fault_hits(), 1);
	assert_answer(h, BODY, 200, "hello");
	httpd_free(h);
}

/* What cannot be begun is not half there. */
static void
a_server_without_memory_is_none(void **state)
{
	struct httpd *h = NULL;

	(void)state;
	fault_set("evhttp_new", 1, ENOMEM);
	assert_int_equal(httpd_new(&h, fx.loop, &conf, routes, NULL), -ENOMEM);
	assert_int_equal(fault_hits(), 1);
	assert_null(h);
	/* a machine without a name is one all the same */
	fault_set("gethostname", 1, ENAMETOOLONG);
	assert_int_equal(httpd_new(&h, fx.loop, &conf, routes, NULL), 0);
	assert_int_equal(fault_hits(), 2);
	assert_answer(h, TEXT, 200, "it is well");
	httpd_free(h);
}

static bool
stands(const struct httpd *h)
{
	struct httpd_view v;

	httpd_view(h, &v);
	assert_int_equal(v.listeners == 1, v.why[0] == '\0');
	return v.listeners == 1;
}

static void
a_listener_that_cannot_be_made_is_tried_again(void **state)
{
	static const struct {
		const char *call;
		int err;
		const char *says;
	} cases[] = {
		{ "socket", EMFILE, "Too many open files" },
		{ "bind", EADDRNOTAVAIL, "Cannot assign requested address" },
		{ "bind", EACCES, "Permission denied" },
		{ "listen", EADDRINUSE, "Address already in use" },
		{ "bufferevent_socket_new", ENOMEM, "out of memory" },
		{ "evconnlistener_new", ENOMEM, "out of memory" },
		{ "evhttp_bind_listener", ENOMEM, "out of memory" },
	};
	struct httpd_view v;
	struct httpd *h;
	size_t i;
	int fds = dup(STDIN_FILENO);

	(void)state;
	close(fds);
	for (i = 0; i < NELEM(cases); i++) {
		buf_free(&fx.log);
		buf_puts(&fx.log, "");
		/* httpd_new() makes one for the base that evhttp needs, too */
		fault_set(cases[i].call, strcmp(cases[i].call, "bufferevent_socket_new") == 0 ? 2 : 1, cases[i].err);
		assert_int_equal(httpd_new(&h, fx.loop, &conf, routes, NULL), 0);
		if (fault_hits() != 1)
			fail_msg("%s is not called", cases[i].call);
		fault_clear();
		assert_false(stands(h));
		httpd_view(h, &v);
		ASSERT_SAYS(v.why, cases[i].says);
		ASSERT_SAYS(fx.log.s, "cannot listen at 127.0.0.1:0");
		ASSERT_SAYS(fx.log.s, "tried again every second");
		AWAIT(&fx, stands(h));
		ASSERT_SAYS(fx.log.s, "listens at 127.0.0.1:0");
		assert_answer(h, TEXT, 200, "it is well");
		httpd_free(h);
	}
	i = (size_t)dup(STDIN_FILENO);
	close((int)i);
	assert_int_equal(i, fds); /* none was left open */
}

/* libevent makes a connection's object when we have none for it: it is served all the same. */
static void
a_connection_without_our_memory_is_served(void **state)
{
	struct httpd *h;
	char *got;

	(void)state;
	assert_int_equal(httpd_new(&h, fx.loop, &conf, routes, NULL), 0);
	fault_set("bufferevent_socket_new", 1, ENOMEM);
	got = ask(h, TEXT);
	assert_int_equal(fault_hits(), 1);
	assert_true(got[0] == '\0' || strstr(got, " 200 ") != NULL);
	free(got);
	assert_answer(h, TEXT, 200, "it is well");
	httpd_free(h);
}

int
main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fault_fx_setup, fault_fx_teardown)
	const struct CMUnitTest tests[] = {
		T(an_answer_that_cannot_be_made_is_500),
		T(a_body_without_room_is_503),
		T(a_server_without_memory_is_none),
		T(a_listener_that_cannot_be_made_is_tried_again),
		T(a_connection_without_our_memory_is_served),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("httpd: when calls fail", tests, NULL, NULL);
}
