/*
 * consul/kv: what is read from an answer; and the watch, against a small server in the same loop that keeps one answer, blocks
 * as Consul does, and lies as told. Every wait is for a condition, with one guard that fails the test.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/text.h"
#include "conf_fx.h"
#include "consul/kv.h"

#define GUARD_MS 20000
#define HOLD_MS 150

/* ---- an answer ---- */

/* "key=value|key=value|", with what is not printable as '?'; the caller frees. */
static char *
describe(const struct kv_pair *pairs, size_t n)
{
	struct buf b = { 0 };
	size_t i, k;

	buf_puts(&b, "");
	for (i = 0; i < n; i++) {
		assert_int_equal(pairs[i].value[pairs[i].len], '\0');
		buf_printf(&b, "%s=", pairs[i].key);
		for (k = 0; k < pairs[i].len; k++)
			buf_printf(&b, "%c", pairs[i].value[k] >= 0x20 && pairs[i].value[k] < 0x7f ? pairs[i].value[k] : '?');
		buf_puts(&b, "|");
	}
	return buf_take(&b);
}

#define E(key, value) "{\"LockIndex\":0,\"Key\":\"" key "\",\"Flags\":0,\"Value\":" value ",\"CreateIndex\":1,\"ModifyIndex\":2}"

static void
answers_are_read(void **state)
{
	static const struct {
		const char *prefix, *body, *want; /* NULL: none that Consul would send */
	} rows[] = {
		{ "c4", "[]", "" },
		{ "c4", " [ ] \n", "" },
		{ "c4", "[" E("c4/a", "\"MQ==\"") "]", "a=1|" },
		{ "c4", "[" E("c4/b", "\"eHk=\"") "," E("c4/a", "\"YWJj\"") "]\n", "a=abc|b=xy|" },
		{ "c4", "[ " E("c4/a", "null") " , " E("c4/b", "\"\"") " ]", "a=|b=|" },
		{ "c4", "[{\"Key\":\"c4/a\"}]", NULL },
		{ "c4", "[" E("c4/a", "\"AAEK/w==\"") "]", "a=????|" },
		{ "c4", "[" E("c4/a/b/c", "\"PT09\"") "]", "a/b/c====|" },
		/* the key itself, its folder, and neighbours that begin alike */
		{ "c4", "[" E("c4", "\"MQ==\"") "," E("c4-2", "\"Mg==\"") "," E("c4/a", "\"Mw==\"") "," E("c42/a", "\"NA==\"") "]", "=1|a=3|" },
		{ "c4/", "[" E("c4/a", "\"MQ==\"") "," E("c4//b", "\"MQ==\"") "]", "/b=1|a=1|" },
		{ "/c4", "[" E("c4/a", "\"MQ==\"") "]", "a=1|" },
		{ "/", "[" E("a", "\"MQ==\"") "," E("b/c", "\"MQ==\"") "]", "a=1|b/c=1|" },
		{ "", "[" E("a", "\"MQ==\"") "]", "a=1|" },
		{ "c4", "[" E("d/a", "\"MQ==\"") "]", NULL },
		{ "c4/a", "[" E("c4", "\"MQ==\"") "]", NULL },
		/* folders' own entries */
		{ "c4", "[" E("c4/", "null") "," E("c4/x/", "null") "]", "" },
		{ "c4", "[" E("c4/x/", "\"MQ==\"") "]", "x/=1|" },
		/* keys are any bytes */
		{ "c4", "[" E("c4/\\u00e9\\ud83d\\ude00", "\"MQ==\"") "]", "\xc3\xa9\xf0\x9f\x98\x80=1|" },
		{ "c4", "[" E("c4/a\\u0000b", "\"MQ==\"") "]", "a?b=1|" },
		{ "c4", "[" E("c4/\\\"\\\\", "\"MQ==\"") "]", "\"\\=1|" },
		/* base64 */
		{ "c4", "[" E("c4/a", "\"MQ=\"") "]", NULL },
		{ "c4", "[" E("c4/a", "\"=\"") "]", NULL },
		{ "c4", "[" E("c4/a", "\"====\"") "]", NULL },
		{ "c4", "[" E("c4/a", "\"M===\"") "]", NULL },
		{ "c4", "[" E("c4/a", "\"MQ==MQ==\"") "]", NULL },
		{ "c4", "[" E("c4/a", "\"M Q=\"") "]", NULL },
		{ "c4", "[" E("c4/a", "\"MQ-_\"") "]", NULL },
		{ "c4", "[" E("c4/a", "\"MQ\\u0000=\"") "]", NULL },
		{ "c4", "[" E("c4/a", "7") "]", NULL },
		{ "c4", "[" E("c4/a", "true") "]", NULL },
		/* JSON that is not what Consul sends */
		{ "c4", "", NULL },
		{ "c4", "null", NULL },
		{ "c4", "{}", NULL },
		{ "c4", "[", NULL },
		{ "c4", "[7]", NULL },
		{ "c4", "[null]", NULL },
		{ "c4", "[\"a\"]", NULL },
		{ "c4", "[[]]", NULL },
		{ "c4", "[{}]", NULL },
		{ "c4", "[" E("c4/a", "\"MQ==\"") ",]", NULL },
		{ "c4", "[" E("c4/a", "\"MQ==\"") " " E("c4/b", "\"MQ==\"") "]", NULL },
		{ "c4", "[" E("c4/a", "\"MQ==\"") "]]", NULL },
		{ "c4", "[" E("c4/a", "\"MQ==\"") "] 7", NULL },
		{ "c4", "[" E("c4/a", "\"MQ==\"") "", NULL },
		{ "c4", "[{\"Key\":\"c4/a\",\"Key\":\"c4/b\",\"Value\":null}]", NULL },
		{ "c4", "[{\"Key\":7,\"Value\":null}]", NULL },
		{ "c4", "[{\"Key\":\"c4/\xff\",\"Value\":null}]", NULL },
		{ "c4", "404 page not found", NULL },
	};
	size_t i, n;

	for (i = 0; i < NELEM(rows); i++) {
		struct kv_pair *pairs = NULL;
		int err = kv_parse(rows[i].body, strlen(rows[i].body), rows[i].prefix, &pairs, &n);
		char *got;

		if (rows[i].want == NULL) {
			if (err != -EBADMSG)
				fail_msg("%s: %d", rows[i].body, err);
			continue;
		}
		if (err != 0)
			fail_msg("%s: %d", rows[i].body, err);
		got = describe(pairs, n);
		if (strcmp(got, rows[i].want) != 0)
			fail_msg("%s: %s", rows[i].body, got);
		free(got);
		kv_pairs_free(pairs, n);
	}
}

static void
an_answer_ends_where_it_ends(void **state)
{
	static const char body[] = "[" E("c4/a", "\"MQ==\"") "," E("c4/b", "\"MQ==\"") "]";
	struct kv_pair *pairs;
	size_t len, n;

	for (len = 0; len < sizeof body - 1; len++) {
		char *part = malloc(len ? len : 1); /* so that ASan sees a byte too many */

		memcpy(part, body, len);
		assert_int_equal(kv_parse(part, len, "c4", &pairs, &n), -EBADMSG);
		free(part);
	}
	assert_int_equal(kv_parse(body, sizeof body - 1, "c4", &pairs, &n), 0);
	kv_pairs_free(pairs, n);
	assert_int_equal(kv_parse("[]\0", 3, "c4", &pairs, &n), -EBADMSG);
}

static void
a_large_value_is_read(void **state)
{
	size_t size = 3u << 20, i, n;
	struct buf b = { 0 };
	struct kv_pair *pairs;

	buf_puts(&b, "[{\"Key\":\"c4/a\",\"Value\":\"");
	for (i = 0; i < size / 3; i++)
		buf_puts(&b, "eHl6");
	buf_puts(&b, "\"}]");
	assert_int_equal(kv_parse(b.s, b.len, "c4", &pairs, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(pairs[0].len, size);
	for (i = 0; i < size; i++)
		assert_int_equal(pairs[0].value[i], "xyz"[i % 3]);
	kv_pairs_free(pairs, n);
	buf_free(&b);
}

/* ---- a server ---- */

struct env {
	struct loop *loop;
	struct worker *worker;
	struct loop_timer guard, tick;
	bool (*until)(struct env *);
	/* the server: one answer for everything below c4/d, one for its keys */
	struct loop_io listener, conn;
	int fd, conn_fd;
	char in[4096];
	size_t n_in;
	char url[64];
	int status, key_status;
	unsigned long long index;
	const char *body;
	bool no_index, at_once; /* at_once: it does not block */
	bool parked;            /* a blocking query waits ... */
	struct loop_timer patience; /* ... so long */
	unsigned asked, plain, blocked, keys;
	char last[512];
	/* the kv */
	struct conf *conf;
	struct kv *kv;
	unsigned calls;
	char *value;
	bool free_in_callback;
	unsigned want;
	char warned[512];
};

static void
reply(struct env *e, int status, const char *body)
{
	struct buf b = { 0 };

	buf_printf(&b, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n", status, strlen(body));
	if (!e->no_index)
		buf_printf(&b, "X-Consul-Index: %llu\r\n", e->index);
	buf_printf(&b, "\r\n%s", body);
	assert_int_equal(send(e->conn_fd, b.s, b.len, MSG_NOSIGNAL), (ssize_t)b.len);
	buf_free(&b);
	e->parked = false;
	loop_timer_stop(&e->patience);
}

static void
on_patience(void *arg)
{
	struct env *e = arg;

	reply(e, e->status, e->body);
}

static void
serve(struct env *e)
{
	const char *at = strstr(e->last, "index="), *what = strstr(e->last, "/v1/kv/c4%2Fd");

	e->asked++;
	if (what == NULL)
		fail_msg("asked for %s", e->last);
	if (strstr(e->last, "recurse") == NULL) {
		e->keys++;
		reply(e, e->key_status, e->key_status == 403 ? "Permission denied" : "");
		return;
	}
	if (at == NULL)
		e->plain++;
	else
		e->blocked++;
	if (at == NULL || strtoull(at + 6, NULL, 10) != e->index || e->at_once) {
		reply(e, e->status, e->body);
		return;
	}
	e->parked = true;
	loop_timer_start(&e->patience, strtol(strstr(e->last, "wait=") + 5, NULL, 10));
}

static void
drop_conn(struct env *e)
{
	if (e->conn_fd < 0)
		return;
	loop_io_fini(&e->conn);
	close(e->conn_fd);
	e->conn_fd = -1;
	e->n_in = 0;
	e->parked = false;
	loop_timer_stop(&e->patience);
}

static void
on_readable(void *arg, int fd, int what)
{
	struct env *e = arg;
	ssize_t n = recv(fd, e->in + e->n_in, sizeof e->in - 1 - e->n_in, MSG_DONTWAIT);
	char *end;

	if (n <= 0) {
		drop_conn(e);
		return;
	}
	e->n_in += (size_t)n;
	e->in[e->n_in] = '\0';
	end = strstr(e->in, "\r\n\r\n");
	if (end == NULL)
		return;
	snprintf(e->last, sizeof e->last, "%.*s", (int)strcspn(e->in, "\r"), e->in);
	e->n_in = 0;
	serve(e);
}

static void
on_connect(void *arg, int fd, int what)
{
	struct env *e = arg;

	drop_conn(e);
	e->conn_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(e->conn_fd >= 0);
	loop_io_init(&e->conn, e->loop, e->conn_fd, on_readable, e);
	loop_io_want(&e->conn, LOOP_READ);
}

/* The answer becomes another one; who waits for that is told. */
static void
set(struct env *e, int status, unsigned long long index, const char *body)
{
	e->status = status;
	e->index = index;
	e->body = body;
	if (e->parked)
		reply(e, status, body);
}

/* ---- waiting ---- */

static void
on_guard(void *arg)
{
	struct env *e = arg;

	fail_msg("not within %d s; asked %u (%u plain, %u blocking, %u keys), last %s; value %s, %u calls; parked %d", GUARD_MS / 1000,
	    e->asked, e->plain, e->blocked, e->keys, e->last, e->value ? e->value : "-", e->calls, e->parked);
}

static void
on_tick(void *arg)
{
	struct env *e = arg;

	if (e->until(e))
		loop_stop(e->loop);
	else
		loop_timer_start(&e->tick, 1);
}

static void
run_until(struct env *e, bool (*until)(struct env *))
{
	e->until = until;
	loop_timer_start(&e->tick, 0);
	loop_timer_start(&e->guard, GUARD_MS);
	assert_int_equal(loop_run(e->loop), 0);
	loop_timer_stop(&e->guard);
}

static bool
is_parked(struct env *e)
{
	return e->parked;
}

static bool
was_called(struct env *e)
{
	return e->calls >= e->want;
}

static bool
is_lost(struct env *e)
{
	struct kv_view v;

	kv_view(e->kv, &v);
	return v.why[0] != '\0';
}

static bool
is_well(struct env *e)
{
	return !is_lost(e);
}

static bool
is_held(struct env *e)
{
	struct kv_view v;

	kv_view(e->kv, &v);
	return v.held;
}

static bool
has_asked(struct env *e)
{
	return e->asked >= e->want;
}

static bool
has_passed(struct env *e)
{
	return e->want-- == 0;
}

static void
on_value(void *arg, const struct kv_pair *pairs, size_t n)
{
	struct env *e = arg;

	e->calls++;
	free(e->value);
	e->value = describe(pairs, n);
	if (e->free_in_callback) {
		kv_free(e->kv);
		e->kv = NULL;
	}
}

static void
on_log(void *arg, enum log_level level, const char *sub, const char *text)
{
	struct env *e = arg;

	if (level <= LOG_L_WARN && strcmp(sub, "kv") == 0)
		snprintf(e->warned, sizeof e->warned, "%s", text);
}

static void
listen_here(struct env *e)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof sin;

	e->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(e->fd, (struct sockaddr *)&sin, sizeof sin), 0);
	assert_int_equal(listen(e->fd, 8), 0);
	assert_int_equal(getsockname(e->fd, (struct sockaddr *)&sin, &len), 0);
	snprintf(e->url, sizeof e->url, "http://127.0.0.1:%u", (unsigned)ntohs(sin.sin_port));
	loop_io_init(&e->listener, e->loop, e->fd, on_connect, e);
	loop_io_want(&e->listener, LOOP_READ);
}

static void
begin(struct env *e, int64_t hold_ms, int status, unsigned long long index, const char *body)
{
	char text[128];

	memset(e, 0, sizeof *e);
	signal(SIGPIPE, SIG_IGN);
	log_init(LOG_L_ERROR);
	log_hook(on_log, e);
	e->conn_fd = -1;
	e->key_status = 404;
	assert_int_equal(loop_new(&e->loop), 0);
	assert_int_equal(worker_new(&e->worker, e->loop), 0);
	loop_timer_init(&e->guard, e->loop, on_guard, e);
	loop_timer_init(&e->tick, e->loop, on_tick, e);
	loop_timer_init(&e->patience, e->loop, on_patience, e);
	listen_here(e);
	set(e, status, index, body);
	snprintf(text, sizeof text, "consul: { http: \"%s\" }\n", e->url);
	e->conf = conf_of_text(text);
	assert_int_equal(kv_new(&e->kv, e->loop, e->worker, e->conf, "c4/d", hold_ms, on_value, e), 0);
	assert_int_equal(e->calls, 0);
}

static void
end(struct env *e)
{
	kv_free(e->kv);
	conf_free(e->conf);
	drop_conn(e);
	loop_io_fini(&e->listener);
	close(e->fd);
	loop_timer_fini(&e->guard);
	loop_timer_fini(&e->tick);
	loop_timer_fini(&e->patience);
	worker_free(e->worker);
	loop_free(e->loop);
	log_unhook(on_log, e);
	free(e->value);
}

static void
holds_value(struct env *e, unsigned calls, const char *value)
{
	const struct kv_pair *pairs;
	size_t n = kv_pairs(e->kv, &pairs);
	char *now;

	assert_int_equal(e->calls, calls);
	assert_string_equal(e->value, value);
	now = describe(pairs, n);
	assert_string_equal(now, value);
	free(now);
}

/* ---- the watch ---- */

#define A1 "[" E("c4/d/a", "\"MQ==\"") "]"
#define A2 "[" E("c4/d/a", "\"Mg==\"") "]"
#define A2B "[" E("c4/d/a", "\"Mg==\"") "," E("c4/d/b", "\"MQ==\"") "]"

static void
changes_are_told(void **state)
{
	struct env e;
	struct kv_view v;

	begin(&e, HOLD_MS, 200, 7, A1);
	kv_view(e.kv, &v);
	assert_false(v.known);
	assert_string_equal(v.prefix, "c4/d");
	assert_true(v.changed_ms == 0 && v.answered_ms == 0);
	run_until(&e, is_parked);
	assert_int_equal(e.plain, 1); /* 0 never blocks */
	assert_non_null(strstr(e.last, "&wait=60000ms&index=7"));
	holds_value(&e, 1, "a=1|");
	kv_view(e.kv, &v);
	assert_true(v.known && v.n == 1 && v.index == 7 && v.changed_ms > 0 && v.answered_ms > 0 && v.empty_ms == 0);
	set(&e, 200, 8, A1); /* another index, the same value */
	run_until(&e, is_parked);
	assert_non_null(strstr(e.last, "index=8"));
	assert_int_equal(e.calls, 1);
	set(&e, 200, 9, A2);
	run_until(&e, is_parked);
	holds_value(&e, 2, "a=2|");
	set(&e, 200, 10, A2B);
	run_until(&e, is_parked);
	holds_value(&e, 3, "a=2|b=1|");
	set(&e, 200, 11, A2); /* one of several gone: at once */
	run_until(&e, is_parked);
	holds_value(&e, 4, "a=2|");
	assert_int_equal(e.plain, 1);
	end(&e);
}

static void
an_index_that_goes_back_begins_anew(void **state)
{
	struct env e;

	begin(&e, HOLD_MS, 200, 700, A1);
	run_until(&e, is_parked);
	set(&e, 200, 5, A2);
	run_until(&e, is_parked);
	assert_int_equal(e.plain, 2);
	assert_non_null(strstr(e.last, "index=5"));
	holds_value(&e, 2, "a=2|");
	end(&e);
}

static void
an_empty_prefix_counts_when_it_has_stood(void **state)
{
	struct env e;
	struct kv_view v;
	int64_t since;

	begin(&e, HOLD_MS, 200, 7, A2B);
	run_until(&e, is_parked);
	since = loop_now_ms(e.loop);
	set(&e, 404, 8, "");
	e.at_once = true; /* as one that is woken by others' keys */
	run_until(&e, is_held);
	holds_value(&e, 1, "a=2|b=1|");
	kv_view(e.kv, &v);
	assert_true(v.known && v.n == 2 && v.empty_ms > 0);
	e.at_once = false;
	e.want = 2;
	run_until(&e, was_called);
	assert_true(loop_now_ms(e.loop) - since >= HOLD_MS);
	holds_value(&e, 2, "");
	assert_int_equal(e.keys, 1); /* and Consul says of a key that it is gone */
	kv_view(e.kv, &v);
	assert_true(v.known && v.n == 0 && !v.held && v.empty_ms > 0);
	set(&e, 200, 9, A1);
	e.want = 3;
	run_until(&e, was_called);
	holds_value(&e, 3, "a=1|");
	end(&e);
}

/* Blocking queries on an empty prefix end by themselves after at most the time that is left. */
static void
nobody_sleeps_over_the_end_of_the_hold(void **state)
{
	struct env e;

	begin(&e, 3000, 200, 7, A1);
	run_until(&e, is_parked);
	set(&e, 404, 8, "");
	run_until(&e, is_parked);
	assert_non_null(strstr(e.last, "&wait=3000ms&index=8"));
	end(&e);
}

static void
what_may_not_be_read_is_not_gone(void **state)
{
	struct env e;

	begin(&e, 0, 200, 7, A1);
	run_until(&e, is_parked);
	e.key_status = 403;
	set(&e, 404, 8, "");
	run_until(&e, is_lost);
	assert_non_null(strstr(e.warned, "give the token key_prefix \"c4/d\" read"));
	holds_value(&e, 1, "a=1|");
	e.key_status = 404;
	e.want = 2;
	run_until(&e, was_called);
	holds_value(&e, 2, "");
	end(&e);
}

static void
a_prefix_that_never_counts_as_empty(void **state)
{
	struct env e;
	int i;

	begin(&e, KV_HOLD_FOREVER, 200, 7, A1);
	run_until(&e, is_parked);
	for (i = 8; i < 20; i++) {
		set(&e, i % 2 ? 404 : 200, (unsigned)i, i % 2 ? "" : "[]");
		run_until(&e, is_parked);
	}
	assert_non_null(strstr(e.last, "wait=10000ms"));
	assert_true(is_held(&e));
	holds_value(&e, 1, "a=1|");
	assert_int_equal(e.keys, 0);
	set(&e, 200, 21, A1);
	run_until(&e, is_parked);
	assert_false(is_held(&e));
	assert_int_equal(e.calls, 1);
	end(&e);
}

static void
nothing_yet_is_told_once(void **state)
{
	struct env e;
	struct kv_view v;

	begin(&e, 0, 404, 7, "");
	run_until(&e, is_parked);
	holds_value(&e, 1, "");
	set(&e, 404, 8, "");
	run_until(&e, is_parked);
	set(&e, 200, 9, "[]");
	run_until(&e, is_parked);
	assert_int_equal(e.calls, 1);
	kv_view(e.kv, &v);
	assert_true(!v.known && !v.held && v.empty_ms > 0 && v.changed_ms == 0);
	set(&e, 200, 10, A1);
	run_until(&e, is_parked);
	holds_value(&e, 2, "a=1|");
	end(&e);
}

static void
errors_change_nothing(void **state)
{
	static const struct {
		int status;
		bool no_index;
		const char *body, *why;
	} rows[] = {
		{ 500, false, "No cluster leader", "No cluster leader" },
		{ 403, false, "ACL not found", "ACL not found" },
		{ 404, true, "", "without X-Consul-Index" },
		{ 200, true, A2, "without X-Consul-Index" },
		{ 200, false, "<html>", "no list of keys" },
		{ 200, false, "[" E("x/y", "\"MQ==\"") "]", "no list of keys" },
	};
	struct env e;
	struct kv_view v;
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		begin(&e, 0, 200, 7, A1);
		run_until(&e, is_parked);
		e.no_index = rows[i].no_index;
		set(&e, rows[i].status, 8, rows[i].body);
		run_until(&e, is_lost);
		kv_view(e.kv, &v);
		if (strstr(v.why, rows[i].why) == NULL || strstr(e.warned, rows[i].why) == NULL)
			fail_msg("%s: %s", rows[i].body, v.why);
		holds_value(&e, 1, "a=1|");
		assert_int_equal(v.no_leader_ms != 0, i == 0);
		e.no_index = false;
		set(&e, 200, 9, A1);
		run_until(&e, is_parked);
		holds_value(&e, 1, "a=1|"); /* after a loss it asks first, and waits then */
		assert_int_equal(e.plain, 2);
		kv_view(e.kv, &v);
		assert_true(v.no_leader_ms == 0);
		if (i == 0)
			run_until(&e, is_well);
		end(&e);
	}
}

static void
a_lost_connection_is_made_anew(void **state)
{
	struct env e;

	begin(&e, 0, 200, 7, A1);
	run_until(&e, is_parked);
	drop_conn(&e);
	set(&e, 200, 8, A2);
	e.want = 2;
	run_until(&e, was_called);
	holds_value(&e, 2, "a=2|");
	run_until(&e, is_well);
	end(&e);
}

/* Time in which nobody answered proves nothing. */
static void
errors_pause_the_hold(void **state)
{
	struct env e;
	struct kv_view v;

	begin(&e, 3000, 200, 7, A1);
	run_until(&e, is_parked);
	set(&e, 404, 8, "");
	run_until(&e, is_held);
	run_until(&e, is_parked);
	set(&e, 500, 8, "gone wrong");
	run_until(&e, is_lost);
	kv_view(e.kv, &v);
	assert_true(v.held);
	set(&e, 404, 8, "");
	run_until(&e, is_well);
	run_until(&e, is_parked);
	assert_non_null(strstr(e.last, "wait=3000ms"));
	holds_value(&e, 1, "a=1|");
	end(&e);
}

static void
a_server_that_does_not_wait(void **state)
{
	struct env e;

	begin(&e, 0, 200, 7, A1);
	e.at_once = true;
	run_until(&e, is_lost);
	assert_non_null(strstr(e.warned, "instead of waiting"));
	assert_int_equal(e.blocked, 3);
	holds_value(&e, 1, "a=1|");
	set(&e, 200, 8, A2); /* it is slower now, but goes on */
	e.want = 2;
	run_until(&e, was_called);
	end(&e);
}

/* A prefix that others' keys wake all the time: twenty at once, then two a second. */
static void
many_wake_ups_are_paced(void **state)
{
	struct env e;
	int64_t began;
	unsigned i;

	begin(&e, 0, 404, 7, "");
	began = loop_now_ms(e.loop);
	for (i = 8; e.asked < 22; i++) {
		run_until(&e, is_parked);
		set(&e, 404, i, "");
		e.want = e.asked + 1;
		run_until(&e, has_asked);
	}
	assert_true(loop_now_ms(e.loop) - began >= 900);
	end(&e);
}

static void
freed_in_its_own_callback(void **state)
{
	struct env e;

	begin(&e, 0, 200, 7, A1);
	e.free_in_callback = true;
	e.want = 1;
	run_until(&e, was_called);
	assert_string_equal(e.value, "a=1|");
	end(&e);
	begin(&e, 0, 404, 7, "");
	e.free_in_callback = true;
	e.want = 1;
	run_until(&e, was_called);
	end(&e);
	begin(&e, 0, 200, 7, A1);
	run_until(&e, is_parked);
	e.free_in_callback = true;
	e.want = 2;
	set(&e, 404, 8, "");
	run_until(&e, was_called); /* after the proof */
	end(&e);
}

static void
freed_at_any_time(void **state)
{
	struct env e;
	unsigned ms;

	for (ms = 0; ms < 12; ms++) {
		begin(&e, 0, 200, 7, A1);
		e.want = ms;
		run_until(&e, has_passed);
		end(&e);
	}
}

static void
another_configuration_another_agent(void **state)
{
	struct env e, other;
	struct conf *conf;
	char text[128];

	begin(&e, 0, 200, 7, A1);
	run_until(&e, is_parked);
	/* the other one's server moves into this loop */
	other = e;
	other.conn_fd = -1;
	other.n_in = 0;
	other.parked = false;
	memset(&other.listener, 0, sizeof other.listener);
	memset(&other.patience, 0, sizeof other.patience);
	loop_timer_init(&other.patience, other.loop, on_patience, &other);
	listen_here(&other);
	other.asked = other.plain = 0;
	set(&other, 200, 3, A2);
	snprintf(text, sizeof text, "consul: { http: \"%s\" }\n", other.url);
	conf = conf_of_text(text);
	assert_int_equal(kv_set_conf(e.kv, conf, HOLD_MS), 0);
	conf_free(conf);
	holds_value(&e, 1, "a=1|");
	e.want = 2;
	run_until(&e, was_called);
	holds_value(&e, 2, "a=2|");
	assert_int_equal(other.plain, 1);
	kv_free(e.kv);
	e.kv = NULL;
	drop_conn(&other);
	loop_timer_fini(&other.patience);
	loop_io_fini(&other.listener);
	close(other.fd);
	end(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_read),
		cmocka_unit_test(an_answer_ends_where_it_ends),
		cmocka_unit_test(a_large_value_is_read),
		cmocka_unit_test(changes_are_told),
		cmocka_unit_test(an_index_that_goes_back_begins_anew),
		cmocka_unit_test(an_empty_prefix_counts_when_it_has_stood),
		cmocka_unit_test(nobody_sleeps_over_the_end_of_the_hold),
		cmocka_unit_test(what_may_not_be_read_is_not_gone),
		cmocka_unit_test(a_prefix_that_never_counts_as_empty),
		cmocka_unit_test(nothing_yet_is_told_once),
		cmocka_unit_test(errors_change_nothing),
		cmocka_unit_test(a_lost_connection_is_made_anew),
		cmocka_unit_test(errors_pause_the_hold),
		cmocka_unit_test(a_server_that_does_not_wait),
		cmocka_unit_test(many_wake_ups_are_paced),
		cmocka_unit_test(freed_in_its_own_callback),
		cmocka_unit_test(freed_at_any_time),
		cmocka_unit_test(another_configuration_another_agent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
