/*
 * cdr: forwarding loses nothing and repeats little, whatever the receiver does.
 */
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "cdr_fx.h"

/* ---- a receiver in the same loop ---- */

struct receiver {
	struct fx *f;
	int fd;
	uint16_t port;
	struct loop_io io;
	struct bufferevent *peers[64];
	size_t n_peers;
	unsigned requests;
	unsigned fail_first;  /* so many get `fail_with` */
	int fail_with;        /* a status; 0: the connection is closed instead */
	int64_t never;        /* this id is always refused */
	unsigned taken[5000]; /* receipts by id */
	int64_t order[5000];
	size_t n_order;
	bool bad;
};

static void
answer(struct receiver *r, struct bufferevent *bev, const char *body, size_t len)
{
	json_t *o = json_loadb(body, len, 0, NULL);
	int64_t id = json_integer_value(json_object_get(o, "id"));
	const char *tenant = json_string_value(json_object_get(o, "tenant_uuid"));
	int status = 200;

	if (id < 1 || id >= 5000 || tenant == NULL || json_object_get(o, "to_uri") == NULL)
		r->bad = true;
	json_decref(o);
	r->requests++;
	if (r->fail_first > 0) {
		r->fail_first--;
		status = r->fail_with;
	} else if (id == r->never) {
		status = 422;
	} else {
		r->taken[id]++;
		r->order[r->n_order++] = id;
	}
	if (status == 0)
		shutdown(bufferevent_getfd(bev), SHUT_RDWR);
	else
		evbuffer_add_printf(bufferevent_get_output(bev), "HTTP/1.1 %d X\r\nContent-Length: 4\r\n\r\nwhy!", status);
}

static void
on_peer_read(struct bufferevent *bev, void *arg)
{
	struct receiver *r = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	char *text = (char *)evbuffer_pullup(in, -1), *end, *length;
	size_t have = evbuffer_get_length(in), head, len;

	end = memmem(text, have, "\r\n\r\n", 4);
	if (end == NULL)
		return;
	head = (size_t)(end - text) + 4;
	length = memmem(text, head, "Content-Length: ", 16);
	r->bad |= length == NULL || memcmp(text, "POST /in/cdr HTTP/1.1\r\n", 23) != 0 ||
	    memmem(text, head, "Content-Type: application/json\r\n", 32) == NULL;
	for (len = 0, length += length ? 16 : 0; length != NULL && *length >= '0' && *length <= '9'; length++)
		len = len * 10 + (size_t)(*length - '0');
	if (have < head + len)
		return;
	answer(r, bev, text + head, len);
	evbuffer_drain(in, head + len);
}

static void
on_connection(void *arg, int fd, int what)
{
	struct receiver *r = arg;
	int s = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct bufferevent *bev;

	if (s < 0)
		return;
	bev = loop_bufferevent(r->f->loop, s);
	assert_non_null(bev);
	assert_true(r->n_peers < NELEM(r->peers));
	r->peers[r->n_peers++] = bev;
	bufferevent_setcb(bev, on_peer_read, NULL, NULL, r);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

static int
listen_on(uint16_t *port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(*port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof in;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	*port = ntohs(in.sin_port);
	return fd;
}

/* Bound, but nobody listens yet. */
static void
receiver_new(struct receiver *r)
{
	memset(r, 0, sizeof *r);
	r->fd = listen_on(&r->port);
}

static void
receiver_open(struct receiver *r, struct fx *f)
{
	r->f = f;
	assert_int_equal(listen(r->fd, 64), 0);
	loop_io_init(&r->io, f->loop, r->fd, on_connection, r);
	loop_io_want(&r->io, LOOP_READ);
}

/* Before its loop ends. */
static void
receiver_close(struct receiver *r)
{
	loop_io_fini(&r->io);
	while (r->n_peers > 0)
		bufferevent_free(r->peers[--r->n_peers]);
}

static void
cx_forward_to(struct cx *x, struct fx *f, const struct receiver *r)
{
	memset(x, 0, sizeof *x);
	x->f = f;
	x->conf.cdr_keep_ms = DAY_MS;
	x->conf.cdr_max = 100000;
	x->conf.cdr_forward = xasprintf("http://127.0.0.1:%u/in/cdr", r->port);
	cx_open(x);
}

static bool
is_forwarded(void *arg)
{
	struct cdr_view v;

	cdrs_view(((struct cx *)arg)->c, &v);
	return v.count > 0 && v.behind == 0;
}

static void
assert_all_taken(const struct receiver *r, int64_t from, int64_t to, unsigned times_max)
{
	int64_t id;

	assert_false(r->bad);
	for (id = from; id <= to; id++)
		if (r->taken[id] < 1 || r->taken[id] > times_max)
			fail_msg("CDR %lld was taken %u times", (long long)id, r->taken[id]);
}

static void
cx_end(struct cx *x, struct receiver *r)
{
	cdrs_free(x->c);
	receiver_close(r);
	fx_stop(x->f);
	close(r->fd);
	free(x->conf.cdr_forward);
	buf_free(&x->said);
}

/* ---- forwarding ---- */

static void
all_are_forwarded_once_and_the_cursor_is_kept(void **state)
{
	struct receiver r;
	struct cdr_view v;
	struct cx x;
	int i;

	receiver_new(&r);
	cx_forward_to(&x, *state, &r);
	receiver_open(&r, x.f);
	for (i = 0; i < 1000; i++)
		add(&x, "x");
	await_told(&x, 1000);
	fx_await(x.f, is_forwarded, &x);
	assert_all_taken(&r, 1, 1000, 1);
	assert_in_range(r.n_peers, 1, 8);
	assert_in_range(r.order[0], 1, 8); /* in order, as far as connections side by side can tell */
	assert_in_range(r.order[999], 990, 1000);
	cdrs_view(x.c, &v);
	assert_true(v.forwarding && v.forwarded == 1000 && v.why[0] == '\0' && v.behind_ms == 0);
	/* another start sends none of them again */
	cdrs_free(x.c);
	receiver_close(&r);
	fx_stop(x.f);
	cx_open(&x);
	receiver_open(&r, x.f);
	cx_forget(&x);
	add(&x, "y");
	await_told(&x, 1);
	fx_await(x.f, is_forwarded, &x);
	assert_int_equal(r.requests, 1001);
	assert_all_taken(&r, 1, 1001, 1);
	assert_string_equal(fx_logged(x.f), "");
	cx_end(&x, &r);
}

static bool
is_standing_still(void *arg)
{
	struct cdr_view v;

	cdrs_view(((struct cx *)arg)->c, &v);
	return v.why[0] != '\0';
}

static bool
has_said_so(void *arg)
{
	return strstr(fx_logged(arg), "forwarding does not go on") != NULL;
}

static void
a_receiver_that_is_away_gets_all_when_it_is_back(void **state)
{
	struct receiver r;
	struct cdr_view v;
	struct cx x;
	int i;

	receiver_new(&r);
	cx_forward_to(&x, *state, &r);
	for (i = 0; i < 300; i++)
		add(&x, "x");
	await_told(&x, 300); /* nobody waits for the receiver */
	fx_await(x.f, is_standing_still, &x);
	fx_await(x.f, has_said_so, x.f);
	cdrs_view(x.c, &v);
	assert_non_null(strstr(v.why, "127.0.0.1"));
	assert_null(strstr(v.why, "/in/cdr")); /* a path may hold a secret */
	assert_null(strstr(fx_logged(x.f), "/in/cdr"));
	assert_int_equal(v.behind, 300);
	assert_true(v.behind_ms > 1700000000000);
	receiver_open(&r, x.f);
	fx_await(x.f, is_forwarded, &x);
	assert_all_taken(&r, 1, 300, 1);
	cdrs_view(x.c, &v);
	assert_string_equal(v.why, "");
	assert_non_null(strstr(fx_logged(x.f), "notice cdr: forwarding goes on"));
	cx_end(&x, &r);
}

static void
refused_and_broken_ones_are_sent_again(void **state)
{
	static const int statuses[] = { 503, 500, 404, 429, 0 };
	size_t i;

	for (i = 0; i < NELEM(statuses); i++) {
		struct receiver r;
		struct cx x;
		int k;

		receiver_new(&r);
		cx_forward_to(&x, *state, &r);
		receiver_open(&r, x.f);
		r.fail_first = 5;
		r.fail_with = statuses[i];
		for (k = 0; k < 20; k++)
			add(&x, "x");
		await_told(&x, 20);
		fx_await(x.f, is_forwarded, &x);
		assert_all_taken(&r, 20 * (int64_t)i + 1, 20 * ((int64_t)i + 1), 1);
		assert_int_equal(r.requests, 25);
		cx_end(&x, &r);
	}
}

struct taken {
	const struct receiver *r;
	size_t n;
};

static bool
has_taken(void *arg)
{
	const struct taken *t = arg;

	return t->r->n_order >= t->n;
}

/* The others of the window go; the cursor does not, and says which one it is. */
static void
one_that_is_always_refused_is_named_and_kept(void **state)
{
	struct receiver r;
	struct cdr_view v;
	struct cx x;
	int i;

	receiver_new(&r);
	r.never = 3;
	cx_forward_to(&x, *state, &r);
	receiver_open(&r, x.f);
	for (i = 0; i < 10; i++)
		add(&x, "x");
	await_told(&x, 10);
	fx_await(x.f, has_taken, &(struct taken){ &r, 9 });
	fx_await(x.f, has_said_so, x.f);
	cdrs_view(x.c, &v);
	assert_non_null(strstr(v.why, "CDR 3 is not taken: HTTP 422: why!"));
	assert_true(v.behind == 8 && v.count == 10);
	r.never = 0;
	fx_await(x.f, is_forwarded, &x);
	assert_all_taken(&r, 1, 10, 1);
	cx_end(&x, &r);
}

static bool
is_lost(void *arg)
{
	struct cdr_view v;

	cdrs_view(((struct cx *)arg)->c, &v);
	return v.lost == 7;
}

static void
only_the_maximum_deletes_what_is_not_forwarded(void **state)
{
	struct receiver r;
	struct cx x;
	int i;

	receiver_new(&r);
	cx_forward_to(&x, *state, &r);
	for (i = 0; i < 10; i++)
		add(&x, "x");
	await_told(&x, 10);
	x.conf.cdr_keep_ms = -1000;
	cdrs_set_conf(x.c, &x.conf);
	add(&x, "x");
	await_told(&x, 11);
	assert_lists(&x, Q(.limit = 2), "1:x 2:x ");
	x.conf.cdr_max = 4;
	cdrs_set_conf(x.c, &x.conf);
	fx_await(x.f, is_lost, &x);
	assert_non_null(strstr(fx_logged(x.f), "CDRs that were not yet forwarded are deleted"));
	receiver_open(&r, x.f);
	cx_end(&x, &r);
}

/* Another URL goes on where the last one was. */
static void
a_new_url_goes_on_at_the_cursor(void **state)
{
	struct receiver r, other;
	struct cx x;
	char *old;

	receiver_new(&r);
	receiver_new(&other);
	cx_forward_to(&x, *state, &r);
	receiver_open(&r, x.f);
	add(&x, "a");
	await_told(&x, 1);
	fx_await(x.f, is_forwarded, &x);
	receiver_open(&other, x.f);
	old = x.conf.cdr_forward;
	x.conf.cdr_forward = xasprintf("http://127.0.0.1:%u/in/cdr", other.port);
	cdrs_set_conf(x.c, &x.conf);
	add(&x, "b");
	await_told(&x, 2);
	fx_await(x.f, is_forwarded, &x);
	assert_int_equal(r.requests, 1);
	assert_int_equal(other.requests, 1);
	assert_int_equal(other.taken[2], 1);
	free(x.conf.cdr_forward);
	x.conf.cdr_forward = NULL;
	cdrs_set_conf(x.c, &x.conf);
	add(&x, "c");
	await_told(&x, 3);
	x.conf.cdr_forward = old;
	cdrs_set_conf(x.c, &x.conf);
	fx_await(x.f, is_forwarded, &x);
	assert_int_equal(r.taken[3], 1);
	receiver_close(&other);
	close(other.fd);
	cx_end(&x, &r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
		T(all_are_forwarded_once_and_the_cursor_is_kept),
		T(a_receiver_that_is_away_gets_all_when_it_is_back),
		T(refused_and_broken_ones_are_sent_again),
		T(one_that_is_always_refused_is_named_and_kept),
		T(only_the_maximum_deletes_what_is_not_forwarded),
		T(a_new_url_goes_on_at_the_cursor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
