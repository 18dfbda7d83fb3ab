/*
 * eid: the machine's, what is taken for Asterisk's, and the asking, of an ARI in the same loop.
 */
#include "loop_fx.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>

#include "registrar/eid.h"
#include "text_fx.h"

/* In the form of ARI's AsteriskInfo: of GET /ari/asterisk/info?only=system, and without `only`. */
#define SYSTEM "{\"system\":{\"version\":\"20.6.0\",\"entity_id\":\"12:34:56:78:9a:bc\"}}"
#define WHOLE "{\"build\":{\"os\":\"Linux\",\"kernel\":\"6.1\",\"options\":\"OPTIONAL_API\"},\"system\":{\"version\":\"20.6.0\"," \
	"\"entity_id\":\"12:34:56:78:9a:bc\"},\"config\":{\"name\":\"\",\"default_language\":\"en\",\"setid\":{\"user\":\"\",\"group\":\"\"}}," \
	"\"status\":{\"startup_time\":\"2026-11-21T04:28:36.123+0000\"}}"

/* ---- the clock ---- */

static time_t ahead_s; /* so much later it is than it is */

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, id, ts);

	ts->tv_sec += ahead_s;
	return rc;
}

/* So that a pause is over; so would the guard be. */
static void
leap(struct fx *fx, time_t by_s)
{
	ahead_s += by_s;
	loop_timer_start(&fx->guard, GUARD_MS);
	fx->guarded = false;
}

/* ---- pure ---- */

/* For ever the same: another one would make every machine another one. */
static void
test_machine(void **state)
{
	char a[EID_TEXT], b[EID_TEXT];

	eid_of_machine("d41d8cd98f00b204e9800998ecf8427e", a);
	assert_string_equal(a, "8c223cc99658906b2e87a14d6072ea28");
	eid_of_machine("d41d8cd98f00b204e9800998ecf8427f", b);
	assert_int_equal(strlen(b), 32);
	assert_int_equal(strspn(b, "0123456789abcdef"), 32);
	assert_string_not_equal(a, b);
	eid_of_machine("", a);
	assert_string_equal(a, "");
}

static void
test_parse(void **state)
{
	static const char *const good[] = { SYSTEM, WHOLE, " {\"system\":{\"entity_id\":\"12:34:56:78:9a:bc\"}}\n" };
	static const char *const bad[] = {
		"", "{", "null", "[]", "\"12:34:56:78:9a:bc\"", "{}", "{\"entity_id\":\"12:34:56:78:9a:bc\"}", "{\"system\":null}",
		"{\"system\":{}}", "{\"system\":{\"entity_id\":\"\"}}", "{\"system\":{\"entity_id\":7}}",
		"{\"system\":{\"entity_id\":\"a b\"}}", "{\"system\":{\"entity_id\":\"a&b\"}}", "{\"system\":{\"entity_id\":\"a\\nb\"}}",
		"{\"system\":{\"entity_id\":\"\xc3\xa4\"}}", "{\"system\":{\"entity_id\":\"a\"},\"system\":{\"entity_id\":\"b\"}}",
		"<html>401 Unauthorized</html>", SYSTEM "x",
	};
	char out[EID_TEXT];
	struct buf b = { 0 };
	size_t i;

	for (i = 0; i < NELEM(good); i++) {
		char *exact = exact_copy(good[i], strlen(good[i]));

		assert_int_equal(eid_parse(exact, strlen(good[i]), out), 0);
		assert_string_equal(out, "12:34:56:78:9a:bc");
		free(exact);
	}
	strcpy(out, "untouched");
	for (i = 0; i < NELEM(bad); i++)
		if (eid_parse(bad[i], strlen(bad[i]), out) != -EBADMSG)
			fail_msg("taken: %s", bad[i]);
	buf_printf(&b, "{\"system\":{\"entity_id\":\"%0*d\"}}", EID_TEXT, 0);
	assert_int_equal(eid_parse(b.s, b.len, out), -EBADMSG);
	assert_string_equal(out, "untouched");
	buf_free(&b);
	buf_printf(&b, "{\"system\":{\"entity_id\":\"%0*d\"}}", EID_TEXT - 1, 0);
	assert_int_equal(eid_parse(b.s, b.len, out), 0);
	assert_int_equal(strlen(out), EID_TEXT - 1);
	buf_free(&b);
}

/* ---- an ARI ---- */

struct ari {
	struct fx *fx;
	struct loop_io io, conn_io;
	int fd, conn; /* -1: none */
	uint16_t port;
	const char *status, *body;
	unsigned asked;
	char head[2048];
};

static void
ari_hang_up(struct ari *a)
{
	if (a->conn < 0)
		return;
	loop_io_fini(&a->conn_io);
	close(a->conn);
	a->conn = -1;
}

static void
ari_on_conn(void *arg, int fd, int what)
{
	struct ari *a = arg;
	struct buf b = { 0 };
	ssize_t n = recv(fd, a->head, sizeof a->head - 1, MSG_DONTWAIT);

	if (n <= 0) {
		ari_hang_up(a);
		return;
	}
	a->head[n] = '\0';
	a->asked++;
	buf_printf(&b, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", a->status, strlen(a->body),
	    a->body);
	assert_int_equal(send(fd, b.s, b.len, MSG_NOSIGNAL), b.len);
	buf_free(&b);
}

static void
ari_on_accept(void *arg, int fd, int what)
{
	struct ari *a = arg;

	ari_hang_up(a);
	a->conn = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(a->conn >= 0);
	loop_io_init(&a->conn_io, a->fx->loop, a->conn, ari_on_conn, a);
	loop_io_want(&a->conn_io, LOOP_READ);
}

static void
ari_close(struct ari *a)
{
	ari_hang_up(a);
	if (a->fd < 0)
		return;
	loop_io_fini(&a->io);
	close(a->fd);
	a->fd = -1;
}

static void
ari_open(struct ari *a)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(a->port) };
	socklen_t len = sizeof in;
	int one = 1;

	a->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(a->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	assert_int_equal(bind(a->fd, (struct sockaddr *)&in, len), 0);
	assert_int_equal(listen(a->fd, 8), 0);
	assert_int_equal(getsockname(a->fd, (struct sockaddr *)&in, &len), 0);
	a->port = ntohs(in.sin_port);
	loop_io_init(&a->io, a->fx->loop, a->fd, ari_on_accept, a);
	loop_io_want(&a->io, LOOP_READ);
}

/* ---- asking it ---- */

struct trial {
	struct fx fx;
	struct worker *worker;
	struct ari ari;
	struct conf conf;
	struct eid *eid;
	unsigned calls;
	bool free_in_cb;
	char url[64], user[32], file[64];
};

static void
on_eid(void *arg)
{
	struct trial *t = arg;

	t->calls++;
	if (t->free_in_cb) {
		eid_free(t->eid);
		t->eid = NULL;
	}
}

static void
trial_init(struct trial *t)
{
	int fd;

	memset(t, 0, sizeof *t);
	fx_init(&t->fx);
	assert_int_equal(worker_new(&t->worker, t->fx.loop), 0);
	t->ari = (struct ari){ .fx = &t->fx, .conn = -1, .status = "200 OK", .body = SYSTEM };
	ari_open(&t->ari);
	snprintf(t->file, sizeof t->file, "/tmp/c4d-eid-XXXXXX");
	fd = mkstemp(t->file);
	assert_int_equal(write(fd, "secret\n", 7), 7);
	close(fd);
	snprintf(t->url, sizeof t->url, "http://127.0.0.1:%u/ari", t->ari.port);
	snprintf(t->user, sizeof t->user, "c4d");
	t->conf.ari_url = t->url;
	t->conf.ari_user = t->user;
	t->conf.ari_password_file = t->file;
	t->conf.verify = true;
}

static void
trial_start(struct trial *t)
{
	assert_int_equal(eid_new(&t->eid, t->fx.loop, t->worker, &t->conf, on_eid, t), 0);
	assert_string_equal(eid_text(t->eid), "");
	assert_string_not_equal(eid_why(t->eid), "");
	assert_int_equal(t->calls, 0);
}

static void
trial_fini(struct trial *t)
{
	eid_free(t->eid);
	ari_close(&t->ari);
	worker_free(t->worker);
	unlink(t->file);
	fx_fini(&t->fx);
}

static void
test_known(void **state)
{
	struct trial t;

	trial_init(&t);
	trial_start(&t);
	AWAIT(&t.fx, t.calls == 1);
	assert_string_equal(eid_text(t.eid), "12:34:56:78:9a:bc");
	assert_string_equal(eid_why(t.eid), "");
	assert_string_equal(t.fx.log.s, "eid: Asterisk's entity id is 12:34:56:78:9a:bc\n");
	ASSERT_SAYS(t.ari.head, "GET /ari/asterisk/info?only=system HTTP/1.1\r\n");
	ASSERT_SAYS(t.ari.head, "\r\nAuthorization: Basic YzRkOnNlY3JldA==\r\n"); /* c4d:secret */
	trial_fini(&t);
}

static void
test_freed_in_its_callback(void **state)
{
	struct trial t;

	trial_init(&t);
	t.free_in_cb = true;
	trial_start(&t);
	AWAIT(&t.fx, t.calls == 1);
	assert_null(t.eid);
	trial_fini(&t);
}

/* Every 10 s: a known one stays while it is not confirmed. */
static void
test_asked_again(void **state)
{
	struct trial t;

	trial_init(&t);
	trial_start(&t);
	AWAIT(&t.fx, t.calls == 1);
	fx_pass(&t.fx, 100);
	assert_int_equal(t.ari.asked, 1);
	leap(&t.fx, 11);
	AWAIT(&t.fx, t.ari.asked == 2);
	fx_pass(&t.fx, 50);
	assert_int_equal(t.calls, 1);
	t.ari.status = "503 Service Unavailable"; /* as while it starts */
	leap(&t.fx, 11);
	AWAIT(&t.fx, eid_why(t.eid)[0] != '\0');
	assert_string_equal(eid_text(t.eid), "12:34:56:78:9a:bc");
	ASSERT_SAYS(t.fx.log.s, "is not confirmed; the known one stays: ");
	t.ari.status = "200 OK";
	t.ari.body = "{\"system\":{\"entity_id\":\"02:00:00:00:00:01\"}}";
	AWAIT(&t.fx, t.calls == 2);
	assert_string_equal(eid_text(t.eid), "02:00:00:00:00:01");
	assert_string_equal(eid_why(t.eid), "");
	ASSERT_SAYS(t.fx.log.s, "is 02:00:00:00:00:01 now; it was 12:34:56:78:9a:bc\n");
	trial_fini(&t);
	ahead_s = 0;
}

/* Asked again until it answers; each thing that is wrong is named, once in the log, and without the password. */
static void
test_until_it_answers(void **state)
{
	struct trial t;
	unsigned asked;

	trial_init(&t);
	ari_close(&t.ari);
	trial_start(&t);
	AWAIT(&t.fx, strstr(eid_why(t.eid), "not asked yet") == NULL);
	ASSERT_SAYS(eid_why(t.eid), "127.0.0.1");
	t.ari.status = "401 Unauthorized";
	t.ari.body = "{\"message\":\"Authentication required\"}";
	ari_open(&t.ari);
	AWAIT(&t.fx, strstr(eid_why(t.eid), "401") != NULL);
	ASSERT_SAYS(eid_why(t.eid), "ari.password_file");
	leap(&t.fx, 11);
	t.ari.status = "404 Not Found";
	AWAIT(&t.fx, strstr(eid_why(t.eid), "404") != NULL);
	ASSERT_SAYS(eid_why(t.eid), "ari.url");
	leap(&t.fx, 11);
	t.ari.status = "200 OK";
	t.ari.body = "{}";
	AWAIT(&t.fx, strstr(eid_why(t.eid), "no system.entity_id") != NULL);
	assert_int_equal(t.calls, 0);
	assert_string_equal(eid_text(t.eid), "");
	t.ari.body = WHOLE;
	leap(&t.fx, 11);
	asked = t.ari.asked;
	AWAIT(&t.fx, t.calls == 1);
	assert_int_equal(t.ari.asked, asked + 1);
	assert_string_equal(eid_why(t.eid), "");
	assert_null(strstr(t.fx.log.s, "secret"));
	assert_non_null(strstr(t.fx.log.s, "eid: Asterisk's entity id is not known: "));
	assert_null(strstr(strstr(t.fx.log.s, "not known") + 1, "not known"));
	trial_fini(&t);
	ahead_s = 0;
}

static void
test_without_url(void **state)
{
	static char bad[] = "http://asterisk.example:8088/ari";
	struct trial t;

	trial_init(&t);
	t.conf.ari_url = NULL;
	assert_int_equal(eid_new(&t.eid, t.fx.loop, t.worker, &t.conf, on_eid, &t), -EINVAL);
	t.conf.ari_url = bad;
	assert_int_equal(eid_new(&t.eid, t.fx.loop, t.worker, &t.conf, on_eid, &t), -EINVAL);
	trial_fini(&t);
	eid_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_machine),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_freed_in_its_callback),
		cmocka_unit_test(test_asked_again),
		cmocka_unit_test(test_until_it_answers),
		cmocka_unit_test(test_without_url),
	};

	return cmocka_run_group_tests_name("eid", tests, NULL, NULL);
}
