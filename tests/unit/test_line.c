/*
 * line: jobs take turns, whatever the agent does. The agent is in the same loop: it answers, hangs up, or keeps quiet.
 */
#include "loop_fx.h"

#include <stdbool.h>

#include "registrar/line.h"

enum mood { ANSWERS, HANGS_UP, KEEPS_QUIET, SAYS_TOO_MUCH };

struct agent {
	struct fx *fx;
	struct topo_addr addr;
	struct loop_io io, conn_io;
	int fd, conn; /* -1: none */
	enum mood mood;
	unsigned asked;
	struct buf paths; /* "/a /b " */
};

static void
on_conn(void *arg, int fd, int what)
{
	static const char good[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
	static const char long_one[] = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{}";
	struct agent *a = arg;
	char head[2048];
	ssize_t n = recv(fd, head, sizeof head - 1, MSG_DONTWAIT);

	if (n <= 0) {
		fx_close(&a->conn_io, &a->conn);
		return;
	}
	head[n] = '\0';
	a->asked++;
	buf_printf(&a->paths, "%.*s ", (int)strcspn(strchr(head, ' ') + 1, " "), strchr(head, ' ') + 1);
	if (a->mood == HANGS_UP)
		fx_close(&a->conn_io, &a->conn);
	else if (a->mood == SAYS_TOO_MUCH)
		assert_int_equal(send(fd, long_one, sizeof long_one - 1, MSG_NOSIGNAL), sizeof long_one - 1);
	else if (a->mood == ANSWERS)
		assert_int_equal(send(fd, good, sizeof good - 1, MSG_NOSIGNAL), sizeof good - 1);
}

static void
on_accept(void *arg, int fd, int what)
{
	struct agent *a = arg;

	fx_close(&a->conn_io, &a->conn);
	a->conn = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	fx_watch(a->fx, &a->conn_io, a->conn, on_conn, a);
}

static void
agent_open(struct agent *a)
{
	a->fd = fx_socket(&a->addr, SOCK_STREAM);
	fx_watch(a->fx, &a->io, a->fd, on_accept, a);
}

static void
agent_init(struct agent *a, struct fx *fx)
{
	memset(a, 0, sizeof *a);
	a->fx = fx;
	a->conn = -1;
	a->addr.family = 4;
	memcpy(a->addr.ip, "\x7f\0\0\1", 4);
	buf_puts(&a->paths, "");
	agent_open(a);
}

static void
agent_close(struct agent *a)
{
	fx_close(&a->conn_io, &a->conn);
	fx_close(&a->io, &a->fd);
}

static void
agent_fini(struct agent *a)
{
	agent_close(a);
	buf_free(&a->paths);
}

/* ---- a line and its jobs ---- */

struct trial {
	struct fx fx;
	struct worker *worker;
	struct agent agent;
	struct line *line;
	unsigned lost, back;
};

struct job {
	struct line_job job;
	struct trial *t;
	const char *path; /* NULL: not needed any more */
	unsigned asked, done;
	int err;          /* of the last answer */
	bool again;       /* when it fails */
	bool frees;       /* itself, in done() */
};

static bool
job_ask(void *arg, struct line_request *q)
{
	struct job *j = arg;

	j->asked++;
	if (j->path == NULL)
		return false;
	buf_puts(&q->path, j->path);
	return true;
}

static void
job_done(void *arg, const struct http_answer *a)
{
	struct job *j = arg;

	j->done++;
	j->err = a->err;
	if (line_unreachable(a->err) && j->again)
		line_add(j->t->line, &j->job);
	if (j->frees)
		free(j);
}

static void
job_init(struct trial *t, struct job *j, const char *path)
{
	*j = (struct job){ .t = t, .path = path, .again = true };
	j->job = (struct line_job){ .ask = job_ask, .done = job_done, .arg = j };
}

static void
on_event(void *arg, enum line_event ev)
{
	struct trial *t = arg;

	t->lost += ev == LINE_LOST;
	t->back += ev == LINE_BACK;
}

static struct http *
http_to(struct trial *t, const struct agent *a)
{
	struct http_peer peer = { .what = "a Consul agent" };
	struct http *h = NULL;
	char url[64];

	snprintf(url, sizeof url, "http://127.0.0.1:%u", (unsigned)a->addr.port);
	peer.url = url;
	assert_int_equal(http_new_peer(&h, t->fx.loop, t->worker, &peer), 0);
	return h;
}

static void
trial_init(struct trial *t)
{
	memset(t, 0, sizeof *t);
	fx_init(&t->fx);
	assert_int_equal(worker_new(&t->worker, t->fx.loop), 0);
	agent_init(&t->agent, &t->fx);
	line_new(&t->line, t->fx.loop, on_event, t);
	line_set_http(t->line, http_to(t, &t->agent));
}

static void
trial_fini(struct trial *t)
{
	line_free(t->line);
	agent_fini(&t->agent);
	worker_free(t->worker);
	fx_fini(&t->fx);
}

/* ---- turns ---- */

static void
test_turns(void **state)
{
	struct trial t;
	struct job a, b, c, d;

	trial_init(&t);
	job_init(&t, &a, "/a");
	job_init(&t, &b, "/b");
	job_init(&t, &c, "/c");
	job_init(&t, &d, "/d");
	line_add(t.line, &a.job);
	line_add(t.line, &b.job);
	line_add(t.line, &a.job); /* waits already */
	line_add_first(t.line, &c.job);
	line_add_first(t.line, &b.job); /* goes before, and behind those who do so already */
	line_add(t.line, &c.job);
	line_add(t.line, &d.job);
	assert_int_equal(a.asked, 0); /* nothing happens inside a call */
	assert_true(line_has(t.line, &a.job) && line_has(t.line, &d.job));
	AWAIT(&t.fx, d.done == 1);
	assert_string_equal(t.agent.paths.s, "/c /b /a /d ");
	assert_true(a.done == 1 && b.done == 1 && c.done == 1 && !line_has(t.line, &a.job));
	trial_fini(&t);
}

static void
test_asked_late_and_not_needed(void **state)
{
	struct trial t;
	struct job a, b;

	trial_init(&t);
	job_init(&t, &a, "/old");
	job_init(&t, &b, "/b");
	line_add(t.line, &a.job);
	line_add(t.line, &b.job);
	a.path = NULL;
	AWAIT(&t.fx, b.done == 1);
	assert_true(a.asked == 1 && a.done == 0);
	a.path = "/new"; /* the newest is said */
	line_add(t.line, &a.job);
	AWAIT(&t.fx, a.done == 1);
	assert_string_equal(t.agent.paths.s, "/b /new ");
	trial_fini(&t);
}

static void
test_dropped(void **state)
{
	struct trial t;
	struct job a, b, *c = xcalloc(1, sizeof *c);

	trial_init(&t);
	job_init(&t, &a, "/a");
	job_init(&t, &b, "/b");
	job_init(&t, c, "/c");
	c->frees = true;
	t.agent.mood = KEEPS_QUIET;
	line_add(t.line, &a.job);
	line_add(t.line, &b.job);
	line_add(t.line, &c->job);
	AWAIT(&t.fx, t.agent.asked == 1);
	assert_true(line_has(t.line, &a.job));
	line_drop(t.line, &a.job); /* under way: its request ends by itself */
	line_drop(t.line, &b.job);
	assert_true(!line_has(t.line, &a.job) && !line_has(t.line, &b.job));
	t.agent.mood = ANSWERS;
	AWAIT(&t.fx, t.agent.asked == 2); /* after the time-out */
	AWAIT(&t.fx, line_attempts(t.line) == 0);
	assert_true(a.done == 0 && b.asked == 0);
	assert_string_equal(t.agent.paths.s, "/a /c ");
	trial_fini(&t);
}

/* ---- good and bad times ---- */

static void
test_refused_and_back(void **state)
{
	struct trial t;
	struct job a, b;

	trial_init(&t);
	agent_close(&t.agent);
	job_init(&t, &a, "/a");
	job_init(&t, &b, "/b");
	line_add(t.line, &a.job);
	line_add(t.line, &b.job);
	AWAIT(&t.fx, a.done == 1);
	assert_int_equal(a.err, -ECONNREFUSED);
	assert_true(t.lost == 1 && line_is_lost(t.line) && line_attempts(t.line) == 1);
	ASSERT_SAYS(line_why(t.line), "refused");
	AWAIT(&t.fx, b.done == 1); /* its turn, after the pause; the first is behind it now */
	assert_int_equal(a.done, 1);
	agent_open(&t.agent);
	line_hurry(t.line);
	AWAIT(&t.fx, a.done >= 2 && b.done >= 2 && a.err == 0 && b.err == 0);
	assert_true(t.lost == 1 && t.back == 1 && !line_is_lost(t.line) && line_attempts(t.line) == 0);
	trial_fini(&t);
}

/* An idle connection may be closed any time: that is no outage. */
static void
test_once_is_no_outage(void **state)
{
	struct trial t;
	struct job a;

	trial_init(&t);
	job_init(&t, &a, "/a");
	t.agent.mood = HANGS_UP;
	line_add(t.line, &a.job);
	AWAIT(&t.fx, a.done == 1);
	assert_true(a.err != 0 && t.lost == 0 && !line_is_lost(t.line));
	t.agent.mood = ANSWERS;
	AWAIT(&t.fx, a.done == 2);
	assert_true(a.err == 0 && t.lost == 0 && t.back == 1); /* what was said lately may be forgotten all the same */
	t.agent.mood = HANGS_UP;
	line_add(t.line, &a.job);
	AWAIT(&t.fx, a.done == 4);
	assert_true(t.lost == 1 && line_is_lost(t.line));
	trial_fini(&t);
}

static void
test_an_answers_own_fault(void **state)
{
	struct trial t;
	struct job a, b;

	trial_init(&t);
	job_init(&t, &a, "/a");
	job_init(&t, &b, "/b");
	t.agent.mood = SAYS_TOO_MUCH;
	line_add(t.line, &a.job);
	AWAIT(&t.fx, a.done == 1);
	assert_int_equal(a.err, -EMSGSIZE);
	t.agent.mood = ANSWERS;
	line_add(t.line, &b.job);
	AWAIT(&t.fx, b.done == 1);
	assert_true(b.err == 0 && t.lost == 0 && t.back == 0 && line_attempts(t.line) == 0 && a.done == 1);
	trial_fini(&t);
}

/* A reload: what was under way is asked of the new one, first. */
static void
test_another_agent(void **state)
{
	struct trial t;
	struct agent other;
	struct job a, b;

	trial_init(&t);
	agent_init(&other, &t.fx);
	job_init(&t, &a, "/a");
	job_init(&t, &b, "/b");
	t.agent.mood = KEEPS_QUIET;
	line_add(t.line, &a.job);
	line_add(t.line, &b.job);
	AWAIT(&t.fx, t.agent.asked == 1);
	line_set_http(t.line, http_to(&t, &other));
	AWAIT(&t.fx, b.done == 1);
	assert_string_equal(other.paths.s, "/a /b ");
	assert_true(a.done == 1 && a.err == 0 && t.lost == 0 && t.back == 0 && t.agent.asked == 1);
	agent_fini(&other);
	trial_fini(&t);
}

/* With jobs that wait and one under way. */
static void
test_freed(void **state)
{
	struct trial t;
	struct job a, b;

	trial_init(&t);
	job_init(&t, &a, "/a");
	job_init(&t, &b, "/b");
	t.agent.mood = KEEPS_QUIET;
	line_add(t.line, &a.job);
	line_add_first(t.line, &b.job);
	AWAIT(&t.fx, t.agent.asked == 1);
	line_free(t.line);
	t.line = NULL;
	fx_pass(&t.fx, 50);
	assert_true(a.done == 0 && b.done == 0);
	line_free(NULL);
	trial_fini(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_asked_late_and_not_needed),
		cmocka_unit_test(test_dropped),
		cmocka_unit_test(test_refused_and_back),
		cmocka_unit_test(test_once_is_no_outage),
		cmocka_unit_test(test_an_answers_own_fault),
		cmocka_unit_test(test_another_agent),
		cmocka_unit_test(test_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
