/*
 * consul/http over TLS and unix sockets, and consul/tls: which certificates are believed, what is said of those that are not,
 * and how connections end.
 */
#include <errno.h>
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

#include "base/log.h"
#include "consul/http.h"
#include "fds_fx.h"
#include "tls_fx.h"

#define GUARD_MS 20000
#define PATIENT_MS 8000
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"

static struct pair ca, other_ca, old_ca;
static struct pair good, named, expired, early, strange, by_old;       /* servers' */
static struct pair client, client_expired, client_strange;
static char dir[] = "/tmp/c4d-tls-XXXXXX";

struct env {
	struct loop *loop;
	struct worker *worker;
	struct loop_timer guard;
	struct fx_server srv;
	struct http *http;
	char paths[5][128];
	/* the answer */
	int calls, err, status;
	char why[256], body[64];
};

static char *
path_of(struct env *e, int slot, const char *name)
{
	if (name == NULL)
		return NULL;
	snprintf(e->paths[slot], sizeof e->paths[slot], "%s/%s", dir, name);
	return e->paths[slot];
}

static void
on_guard(void *arg)
{
	fail_msg("not within %d ms", GUARD_MS);
}

static void
on_tick(void *arg)
{
	loop_stop(arg);
}

static void
run_ms(struct env *e, int64_t ms)
{
	struct loop_timer tick;

	loop_timer_init(&tick, e->loop, on_tick, e->loop);
	loop_timer_start(&tick, ms);
	assert_int_equal(loop_run(e->loop), 0);
	loop_timer_fini(&tick);
}

static void
on_answer(void *arg, const struct http_answer *a)
{
	struct env *e = arg;

	e->calls++;
	e->err = a->err;
	e->status = a->status;
	snprintf(e->why, sizeof e->why, "%s", a->why);
	snprintf(e->body, sizeof e->body, "%s", a->body ? a->body : "");
	loop_stop(e->loop);
}

static void
get(struct env *e, int64_t timeout_ms)
{
	struct http_request r = { .path = "/v1/x", .timeout_ms = timeout_ms, .max_body = 1000 };

	e->calls = 0;
	loop_timer_start(&e->guard, GUARD_MS);
	assert_int_equal(http_ask(e->http, &r, on_answer, e), 0);
	assert_int_equal(e->calls, 0);
	while (e->calls == 0)
		assert_int_equal(loop_run(e->loop), 0);
	loop_timer_stop(&e->guard);
	assert_int_equal(e->calls, 1);
}

static void
want(struct env *e, int err, int status, const char *why)
{
	if (e->err != err || e->status != status || (why[0] == '\0' ? e->why[0] != '\0' : strstr(e->why, why) == NULL))
		fail_msg("err %d status %d \"%s\", want %d %d \"%s\"", e->err, e->status, e->why, err, status, why);
}

static void
new_http(struct env *e, const char *url, const char *ca_file, const char *cert, const char *key, const char *name, bool verify)
{
	struct conf conf = { .http = (char *)url, .ca_file = path_of(e, 0, ca_file), .cert_file = path_of(e, 1, cert),
		.key_file = path_of(e, 2, key), .server_name = (char *)name, .verify = verify };

	http_free(e->http);
	e->http = NULL;
	assert_int_equal(http_new(&e->http, e->loop, e->worker, &conf), 0);
}

static int
setup(void **state)
{
	struct env *e = xcalloc(1, sizeof *e);

	signal(SIGPIPE, SIG_IGN);
	log_init(LOG_L_ERROR);
	assert_int_equal(loop_new(&e->loop), 0);
	assert_int_equal(worker_new(&e->worker, e->loop), 0);
	loop_timer_init(&e->guard, e->loop, on_guard, e);
	*state = e;
	return 0;
}

static int
teardown(void **state)
{
	struct env *e = *state;

	fx_server_stop(&e->srv); /* of a test that failed */
	http_free(e->http);
	run_ms(e, 1);
	loop_timer_fini(&e->guard);
	worker_free(e->worker);
	loop_free(e->loop);
	free(e);
	return 0;
}

/* ---- certificates ---- */

static void
whom_we_believe(void **state)
{
	static const struct {
		const char *what;
		const struct pair *own;
		const char *ca_file, *name;
		bool lax;
		int err;
		const char *why;
	} rows[] = {
		{ "an address", &good, "ca.pem", NULL, false, 0, "" },
		{ "a name", &named, "ca.pem", "consul.example", false, 0, "" },
		{ "a wildcard", &named, "ca.pem", "a.star.example", false, 0, "" },
		{ "an IPv6 address", &named, "ca.pem", "fd00::1", false, 0, "" },
		{ "not this address", &named, "ca.pem", NULL, false, -EPROTO,
		    "is for consul.example, *.star.example, fd00::1, and not for 127.0.0.1 (see server_name)" },
		{ "not this name", &good, "ca.pem", "consul.example", false, -EPROTO,
		    "is for 127.0.0.1, and not for consul.example" },
		{ "not below the wildcard", &named, "ca.pem", "a.b.star.example", false, -EPROTO, "and not for a.b.star.example" },
		{ "no name", &strange, "other.pem", NULL, false, -EPROTO, "is for no name at all, and not for 127.0.0.1" },
		{ "another CA", &good, "other.pem", NULL, false, -EPROTO, "is signed by no CA of /tmp/c4d-tls-" },
		{ "the system's CAs", &good, NULL, NULL, false, -EPROTO, "is signed by no CA of this system's (see ca_file)" },
		{ "signed by itself", &ca, "other.pem", NULL, false, -EPROTO, "is signed by no CA" },
		{ "expired", &expired, "ca.pem", NULL, false, -EPROTO, "is no good: expired at 20" },
		{ "too early", &early, "ca.pem", NULL, false, -EPROTO, "is this machine's clock right?" },
		{ "an expired CA", &by_old, "old.pem", NULL, false, -EPROTO, "is no good: its CA's certificate expired at 20" },
		{ "all the same", &expired, "ca.pem", "x.example", true, 0, "" },
		{ "all the same, without any CA", &strange, NULL, NULL, true, 0, "" },
	};
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	struct env *e = *state;
	size_t i, v;

	for (i = 0; i < NELEM(rows); i++)
		for (v = 0; v < NELEM(versions); v++) {
			fx_server_start(&e->srv, rows[i].own, NULL, versions[v], OK);
			new_http(e, e->srv.url, rows[i].ca_file, NULL, NULL, rows[i].name, !rows[i].lax);
			get(e, PATIENT_MS);
			if (e->err != rows[i].err || (rows[i].why[0] ? strstr(e->why, rows[i].why) == NULL : e->why[0] != '\0'))
				fail_msg("%s: %d \"%s\", want %d \"%s\"", rows[i].what, e->err, e->why, rows[i].err, rows[i].why);
			if (e->err == 0) {
				get(e, PATIENT_MS); /* on the same connection */
				want(e, 0, 200, "");
				assert_int_equal(e->srv.accepted, 1);
			} else {
				assert_non_null(strstr(e->why, "the certificate of 127.0.0.1:"));
				assert_int_equal(e->srv.asked, 0);
			}
			fx_server_stop(&e->srv);
		}
}

/* A name goes with the handshake, an address must not (RFC 6066). */
static void
the_name_is_asked_for(void **state)
{
	struct env *e = *state;

	fx_server_start(&e->srv, &named, NULL, 0, OK);
	new_http(e, e->srv.url, "ca.pem", NULL, NULL, "consul.example", true);
	get(e, PATIENT_MS);
	want(e, 0, 200, "");
	assert_string_equal(e->srv.sni, "consul.example");
	fx_server_stop(&e->srv);
	fx_server_start(&e->srv, &good, NULL, 0, OK);
	new_http(e, e->srv.url, "ca.pem", NULL, NULL, NULL, true);
	get(e, PATIENT_MS);
	want(e, 0, 200, "");
	assert_string_equal(e->srv.sni, "");
	fx_server_stop(&e->srv);
}

static void
who_we_are(void **state)
{
	static const struct {
		const char *name, *cert, *key;
		int err;
		const char *why;
	} rows[] = {
		{ "ours", "client.pem", "client.key", 0, "" },
		{ "none", NULL, NULL, -EPROTO, "wants a client's certificate: cert_file and key_file" },
		{ "expired", "client_expired.pem", "client_expired.key", -EPROTO, "refuses our certificate: it has expired" },
		{ "another CA's", "client_strange.pem", "client_strange.key", -EPROTO, "refuses our certificate: it does not know its CA" },
		/* what is wrong with our own files: nobody is connected to */
		{ "missing", "missing.pem", "client.key", -EPROTO, "cannot use the certificate /tmp/c4d-tls-" },
		{ "no key", "client.pem", "missing.key", -EPROTO, "missing.key: No such file or directory" },
		{ "another's key", "client.pem", "good.key", -EPROTO, "good.key: key values mismatch" },
		{ "a key with a passphrase", "client.pem", "locked.key", -EPROTO, "cannot use the key" },
		{ "no certificate", "client.key", "client.key", -EPROTO, "cannot use the certificate" },
		{ "empty", "empty", "client.key", -EPROTO, "cannot use the certificate" },
	};
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	struct env *e = *state;
	size_t i, v;

	for (i = 0; i < NELEM(rows); i++)
		for (v = 0; v < NELEM(versions); v++) {
			fx_server_start(&e->srv, &good, &ca, versions[v], OK);
			new_http(e, e->srv.url, "ca.pem", rows[i].cert, rows[i].key, NULL, true);
			get(e, PATIENT_MS);
			if (e->err != rows[i].err || (rows[i].why[0] ? strstr(e->why, rows[i].why) == NULL : e->why[0] != '\0'))
				fail_msg("%s: %d \"%s\", want %d \"%s\"", rows[i].name, e->err, e->why, rows[i].err, rows[i].why);
			assert_int_equal(e->srv.asked, rows[i].err == 0);
			fx_server_stop(&e->srv);
		}
	new_http(e, "https://127.0.0.1:1", "missing.pem", NULL, NULL, NULL, true);
	get(e, PATIENT_MS);
	want(e, -EPROTO, 0, "cannot use the CA file /tmp/c4d-tls-");
	want(e, -EPROTO, 0, "missing.pem: No such file or directory");
	new_http(e, "https://127.0.0.1:1", "empty", NULL, NULL, NULL, true);
	get(e, PATIENT_MS);
	want(e, -EPROTO, 0, "cannot use the CA file");
}

/* No restart: what the files hold counts for the next connection. */
static void
files_are_read_anew(void **state)
{
	struct env *e = *state;

	fx_write(&other_ca, dir, "changing", NULL);
	fx_server_start(&e->srv, &good, &ca, 0, OK);
	new_http(e, e->srv.url, "changing.pem", "mine.pem", "mine.key", NULL, true);
	fx_write(&client_expired, dir, "mine", NULL);
	get(e, PATIENT_MS);
	want(e, -EPROTO, 0, "is signed by no CA");
	fx_write(&ca, dir, "changing", NULL);
	get(e, PATIENT_MS);
	want(e, -EPROTO, 0, "it has expired");
	fx_write(&client, dir, "mine", NULL);
	get(e, PATIENT_MS);
	want(e, 0, 200, "");
	get(e, PATIENT_MS);
	want(e, 0, 200, "");
	assert_int_equal(e->srv.asked, 2);
	fx_server_stop(&e->srv);
}

/* ---- servers that are none, and ends ---- */

static void
old_or_no_tls(void **state)
{
	struct env *e = *state;

	fx_server_start(&e->srv, &good, NULL, TLS1_1_VERSION, OK);
	new_http(e, e->srv.url, "ca.pem", NULL, NULL, NULL, true);
	get(e, PATIENT_MS);
	want(e, -EPROTO, 0, "speaks no TLS 1.2 or newer");
	e->srv.manner = FX_PLAIN;
	get(e, PATIENT_MS);
	want(e, -EPROTO, 0, "speaks no TLS: is that its http:// port?");
	e->srv.manner = FX_CLOSE;
	get(e, PATIENT_MS);
	want(e, -EPROTO, 0, "closed the connection in the middle of the TLS handshake");
	e->srv.manner = FX_SILENT;
	get(e, 150);
	want(e, -ETIMEDOUT, 0, "within 150ms");
	fx_server_stop(&e->srv);
	get(e, PATIENT_MS);
	want(e, -ECONNREFUSED, 0, "Connection refused (does a Consul agent listen there?)");
}

static void
how_connections_end(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	struct env *e = *state;
	size_t v;

	for (v = 0; v < NELEM(versions); v++) {
		fx_server_start(&e->srv, &good, NULL, versions[v], OK);
		new_http(e, e->srv.url, "ca.pem", NULL, NULL, NULL, true);
		e->srv.manner = FX_ONCE;
		get(e, PATIENT_MS);
		want(e, 0, 200, "");
		run_ms(e, 20); /* the goodbye comes while it is idle */
		get(e, PATIENT_MS);
		want(e, 0, 200, "");
		assert_int_equal(e->srv.accepted, 2);
		e->srv.manner = FX_RUDE;
		run_ms(e, 20);
		get(e, PATIENT_MS);
		want(e, 0, 200, "");
		run_ms(e, 20);
		/* without a length it is whole only when TLS says that it is */
		e->srv.say = "HTTP/1.1 200 OK\r\n\r\nfull";
		e->srv.manner = FX_ONCE;
		get(e, PATIENT_MS);
		want(e, 0, 200, "");
		assert_string_equal(e->body, "full");
		e->srv.manner = FX_RUDE;
		get(e, PATIENT_MS);
		want(e, -ECONNRESET, 0, "closed the connection before it had answered");
		e->srv.say = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[";
		get(e, PATIENT_MS);
		want(e, -ECONNRESET, 0, "closed the connection before it had answered");
		e->srv.manner = FX_ONCE;
		get(e, PATIENT_MS);
		want(e, -ECONNRESET, 0, "closed the connection before it had answered");
		/* and our own end is a polite one */
		e->srv.manner = FX_TLS;
		e->srv.say = OK;
		get(e, PATIENT_MS);
		want(e, 0, 200, "");
		assert_int_equal(e->srv.goodbyes, 0);
		http_free(e->http);
		e->http = NULL;
		for (int i = 0; i < 500 && e->srv.goodbyes == 0; i++)
			run_ms(e, 2);
		assert_int_equal(e->srv.goodbyes, 1);
		fx_server_stop(&e->srv);
	}
}

/* Freed or cancelled in each state that there is, it leaves nothing behind. */
static void
given_up_at_any_moment(void **state)
{
	struct http_request r = { .path = "/v1/x", .timeout_ms = PATIENT_MS, .max_body = 1000 };
	struct env *e = *state;
	unsigned before;
	int ms;

	fx_server_start(&e->srv, &good, NULL, 0, OK);
	before = open_fds();
	for (ms = 0; ms < 14; ms++) {
		new_http(e, e->srv.url, "ca.pem", NULL, NULL, NULL, true);
		e->calls = 0;
		assert_int_equal(http_ask(e->http, &r, on_answer, e), 0);
		if (ms > 0)
			run_ms(e, ms - 1);
		if (ms % 2 == 0) {
			int had = e->calls;

			http_cancel(e->http);
			run_ms(e, 5);
			assert_int_equal(e->calls, had);
			get(e, PATIENT_MS);
			want(e, 0, 200, "");
		}
		http_free(e->http);
		e->http = NULL;
	}
	e->srv.manner = FX_SILENT;
	new_http(e, e->srv.url, "ca.pem", NULL, NULL, NULL, true);
	assert_int_equal(http_ask(e->http, &r, on_answer, e), 0);
	run_ms(e, 30);
	http_free(e->http);
	e->http = NULL;
	e->srv.manner = FX_TLS;
	for (int i = 0; i < 500 && open_fds() != before; i++)
		run_ms(e, 2);
	assert_int_equal(open_fds(), before);
	fx_server_stop(&e->srv);
}

/* A large answer and a large request, over many records. */
static void
much_data(void **state)
{
	static char say[300100];
	struct http_request r = { .method = HTTP_PUT, .path = "/v1/x", .timeout_ms = PATIENT_MS, .max_body = 300000 };
	struct env *e = *state;
	int n = snprintf(say, sizeof say, "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n");

	memset(say + n, 'x', 300000);
	fx_server_start(&e->srv, &good, NULL, 0, say);
	new_http(e, e->srv.url, "ca.pem", NULL, NULL, NULL, true);
	e->calls = 0;
	assert_int_equal(http_ask(e->http, &r, on_answer, e), 0);
	while (e->calls == 0)
		assert_int_equal(loop_run(e->loop), 0);
	want(e, 0, 200, "");
	fx_server_stop(&e->srv);
}

/* ---- unix sockets ---- */

struct unix_server {
	int fd;
	char url[128];
	pthread_t thread;
	atomic_bool stop;
	atomic_uint accepted;
};

static void *
unix_run(void *arg)
{
	struct unix_server *s = arg;
	struct fx_server poller = { .fd = s->fd };
	char junk[1000];

	for (;;) {
		struct pollfd p = { .fd = s->fd, .events = POLLIN };
		int fd;

		while (!s->stop && poll(&p, 1, 20) <= 0)
			;
		if (s->stop)
			return NULL;
		fd = accept(poller.fd, NULL, NULL);
		s->accepted++;
		p.fd = fd;
		while (!s->stop)
			if (poll(&p, 1, 20) > 0) {
				if (read(fd, junk, sizeof junk) <= 0)
					break;
				(void)!write(fd, OK, sizeof OK - 1);
			}
		close(fd);
	}
}

static void
unix_sockets(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct env *e = *state;
	struct unix_server s = { 0 };
	char why[128], url[200];
	int i;

	snprintf(a.sun_path, sizeof a.sun_path, "%s/sock", dir);
	snprintf(s.url, sizeof s.url, "unix:%s", a.sun_path);
	new_http(e, s.url, NULL, NULL, NULL, NULL, true);
	get(e, PATIENT_MS);
	want(e, -ECONNREFUSED, 0, "/sock: No such file or directory (does a Consul agent listen there?)");
	s.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s.fd, (struct sockaddr *)&a, sizeof a), 0);
	get(e, PATIENT_MS);
	want(e, -ECONNREFUSED, 0, "/sock: Connection refused (does a Consul agent listen there?)");
	assert_int_equal(listen(s.fd, 4), 0);
	assert_int_equal(pthread_create(&s.thread, NULL, unix_run, &s), 0);
	for (i = 0; i < 10; i++) {
		get(e, PATIENT_MS);
		want(e, 0, 200, "");
	}
	assert_int_equal(s.accepted, 1);
	s.stop = true;
	pthread_join(s.thread, NULL);
	close(s.fd);
	unlink(a.sun_path);
	memset(url, 'x', sizeof url);
	memcpy(url, "unix:/", 6);
	url[5 + 107] = '\0';
	assert_int_equal(http_url_check(url, why, sizeof why), 0);
	url[5 + 107] = 'x';
	url[5 + 108] = '\0';
	assert_int_equal(http_url_check(url, why, sizeof why), -EINVAL);
	assert_non_null(strstr(why, "at most 107 bytes"));
}

/* A queue without room for us fails at once, and does not hang. */
static void
a_full_unix_socket(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct env *e = *state;
	int srv, fds[8], n = 0;
	char url[128];

	snprintf(a.sun_path, sizeof a.sun_path, "%s/full", dir);
	snprintf(url, sizeof url, "unix:%s", a.sun_path);
	srv = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(srv, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(srv, 1), 0);
	do {
		assert_true(n < 8);
		fds[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	} while (connect(fds[n++], (struct sockaddr *)&a, sizeof a) == 0);
	new_http(e, url, NULL, NULL, NULL, NULL, true);
	get(e, PATIENT_MS);
	want(e, -ECONNREFUSED, 0, "too many connections wait there");
	while (n > 0)
		close(fds[--n]);
	close(srv);
	unlink(a.sun_path);
}

/* ---- the files of all ---- */

static int
make_files(void **state)
{
	FILE *f;
	char path[128];

	assert_non_null(mkdtemp(dir));
	ca = fx_certificate("test CA", NULL, NULL, -DAY, 10 * DAY);
	other_ca = fx_certificate("other CA", NULL, NULL, -DAY, 10 * DAY);
	old_ca = fx_certificate("old CA", NULL, NULL, -10 * DAY, -DAY);
	good = fx_certificate("good", &ca, "IP:127.0.0.1", -DAY, DAY);
	named = fx_certificate("named", &ca, "DNS:consul.example,DNS:*.star.example,IP:fd00::1", -DAY, DAY);
	expired = fx_certificate("expired", &ca, "IP:127.0.0.1", -3 * DAY, -DAY);
	early = fx_certificate("early", &ca, "IP:127.0.0.1", DAY, 2 * DAY);
	strange = fx_certificate("strange", &other_ca, NULL, -DAY, DAY);
	by_old = fx_certificate("by old", &old_ca, "IP:127.0.0.1", -DAY, DAY);
	client = fx_certificate("client", &ca, NULL, -DAY, DAY);
	client_expired = fx_certificate("client expired", &ca, NULL, -3 * DAY, -DAY);
	client_strange = fx_certificate("client strange", &other_ca, NULL, -DAY, DAY);
	fx_write(&ca, dir, "ca", NULL);
	fx_write(&other_ca, dir, "other", NULL);
	fx_write(&old_ca, dir, "old", NULL);
	fx_write(&good, dir, "good", NULL);
	fx_write(&client, dir, "client", NULL);
	fx_write(&client_expired, dir, "client_expired", NULL);
	fx_write(&client_strange, dir, "client_strange", NULL);
	fx_write(&client, dir, "locked", "open sesame");
	snprintf(path, sizeof path, "%s/empty", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	return 0;
}

static int
remove_files(void **state)
{
	struct pair *const all[] = { &ca, &other_ca, &old_ca, &good, &named, &expired, &early, &strange, &by_old, &client,
		&client_expired, &client_strange };
	struct dirent *f;
	char path[600];
	DIR *d;
	size_t i;

	for (i = 0; i < NELEM(all); i++)
		fx_pair_free(all[i]);
	d = opendir(dir);
	while ((f = readdir(d)) != NULL) {
		snprintf(path, sizeof path, "%s/%s", dir, f->d_name);
		unlink(path);
	}
	closedir(d);
	return rmdir(dir);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(whom_we_believe), T(the_name_is_asked_for), T(who_we_are), T(files_are_read_anew), T(old_or_no_tls),
		T(how_connections_end), T(given_up_at_any_moment), T(much_data), T(unix_sockets), T(a_full_unix_socket),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
