/* http/httpd's streams and http/feed when memory is out: a stream that would have a hole ends, and its owner is told. */
#include <signal.h>

#include "config/conf.h"
#include "control/app.h"
#include "fault_fx.h"
#include "http/feed.h"
#include "http/page.h"

static struct httpd_stream *stream;
static unsigned gone;

static void
on_gone(void *arg)
{
	stream = NULL;
	gone++;
}

static void
get_stream(struct httpd_req *r, void *arg)
{
	stream = httpd_stream_new(r, "text/event-stream", on_gone, NULL);
}

static const struct httpd_route routes[] = {
	{ HTTPD_GET, "/stream", 0, get_stream },
	HTTPD_END,
};

static char *listen_texts[1] = { (char *)(uintptr_t) "127.0.0.1:0" };
static const struct conf conf = { .listen = { .v = listen_texts, .n = 1 } };

static int
setup(void **state)
{
	signal(SIGPIPE, SIG_IGN);
	stream = NULL;
	gone = 0;
	return fault_fx_setup(state);
}

static int
watch(const struct httpd *h)
{
	static const char request[] = "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n";
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct httpd_view v;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	httpd_view(h, &v);
	in.sin_port = htons(v.port);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
	assert_int_equal(write(fd, request, sizeof request - 1), sizeof request - 1);
	AWAIT(&fx, stream != NULL);
	return fd;
}

static void
a_stream_has_no_holes(void **state)
{
	static const char *const calls[] = { "evbuffer_new", "evbuffer_add" };
	char text[2048];
	struct httpd *h;
	size_t i, len;
	ssize_t n;
	int fd;

	assert_int_equal(httpd_new(&h, fx.loop, &conf, routes, NULL), 0);
	for (i = 0; i < NELEM(calls); i++) {
		fd = watch(h);
		httpd_stream_send(stream, "first\n", 6);
		fault_set(calls[i], 1, ENOMEM);
		httpd_stream_send(stream, "second\n", 7);
		assert_int_equal(fault_hits(), 1);
		fault_clear();
		AWAIT(&fx, gone == i + 1);
		for (len = 0; (n = read(fd, text + len, sizeof text - 1 - len)) > 0; len += (size_t)n)
			;
		text[len] = '\0';
		assert_null(strstr(text, "second"));
		assert_null(strstr(text, "\r\n0\r\n")); /* its peer sees that it was cut off, */
		close(fd);
	}
	fd = watch(h); /* and comes again */
	httpd_stream_send(stream, "third\n", 6);
	AWAIT(&fx, recv(fd, text, sizeof text, MSG_DONTWAIT | MSG_PEEK) > 0);
	close(fd);
	httpd_free(h);
}

/* On a machine without a name the page has none, and is there. */
static void
without_a_name(void **state)
{
	const struct app app = { .loop = fx.loop };
	struct feed *f = NULL;

	fault_set("gethostname", 1, ENAMETOOLONG);
	feed_new(&f, fx.loop, &app);
	assert_int_equal(fault_hits(), 1);
	assert_non_null(f);
	assert_int_equal(feed_streams(f), 0);
	feed_changed(f); /* nobody watches: nothing is asked of the app, which has nothing */
	fx_pass(&fx, 50);
	feed_free(f);
	feed_free(NULL);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_stream_has_no_holes, setup, fault_fx_teardown),
		cmocka_unit_test_setup_teardown(without_a_name, setup, fault_fx_teardown),
	};

	return cmocka_run_group_tests_name("stream_faults", tests, NULL, NULL);
}
