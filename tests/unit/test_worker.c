/*
 * worker: what is urgent goes before what is not, and also between the parts of a job that takes long.
 */
#include <errno.h>
#include <sys/resource.h>

#include "routing/data.h"
#include "store_fx.h"

struct job {
	struct worker_job job;
	struct worker *worker;
	struct buf *said;      /* of run() and done(): both threads' turns are told apart by its order */
	char name;
	struct job *give;      /* to the worker, while it runs, each with its priority */
	enum worker_prio as[2];
	size_t n_give;
	const char *document;  /* what it reads then */
	bool finished;
	int nice;
};

static void
on_wrong(void *arg, const char *path, const char *text)
{
	fail_msg("%s: %s", path, text);
}

static void
say(struct job *j, const char *what)
{
	buf_printf(j->said, "%s%c ", what, j->name);
}

static void
run(struct worker_job *wj)
{
	struct job *j = CONTAINER_OF(wj, struct job, job);
	struct rt_data *d;
	size_t i;

	j->nice = getpriority(PRIO_PROCESS, 0);
	say(j, "");
	for (i = 0; i < j->n_give; i++)
		worker_submit(j->worker, j->as[i], &j->give[i].job);
	if (j->document != NULL) {
		assert_int_equal(rt_document_parse(&d, j->document, strlen(j->document), NULL, NULL, on_wrong, NULL), 0);
		rt_data_unref(d);
	} else {
		worker_breathe();
	}
	say(j, "/");
}

static void
done(struct worker_job *wj)
{
	struct job *j = CONTAINER_OF(wj, struct job, job);

	j->finished = true;
}

static bool
is_finished(void *arg)
{
	const struct job *j = arg;

	return j->finished;
}

static void
assert_order(struct fx *f, const char *document, const char *want)
{
	struct buf said = { 0 };
	struct job given[2] = {
		{ .job = { .run = run, .done = done }, .said = &said, .name = 'n' },
		{ .job = { .run = run, .done = done }, .said = &said, .name = 'u' },
	};
	struct job inner = { .job = { .run = run, .done = done }, .said = &said, .name = 'i' };
	struct job outer = { .job = { .run = run, .done = done }, .said = &said, .name = 'o', .give = given,
		.as = { WORKER_NORMAL, WORKER_URGENT }, .n_give = 2, .document = document };

	fx_start(f);
	given[0].worker = given[1].worker = inner.worker = outer.worker = f->worker;
	/* one that comes while an urgent one breathes has its turn behind that */
	given[1].give = &inner;
	given[1].as[0] = WORKER_URGENT;
	given[1].n_give = 1;
	worker_submit(f->worker, WORKER_NORMAL, &outer.job);
	fx_await(f, is_finished, &given[0]);
	assert_true(outer.finished && given[1].finished && inner.finished);
	fx_stop(f);
	assert_string_equal(said.s, want);
	buf_free(&said);
}

static void
the_urgent_run_in_between(void **state)
{
	assert_order(*state, NULL, "o u /u i /i /o n /n ");
}

static void
a_document_lets_them(void **state)
{
	assert_order(*state, "{\"tenants\":[{\"uuid\":\"3f2a7c1e-0000-4000-8000-000000000001\",\"name\":\"one\"}]}", "o u /u i /i /o n /n ");
}

/* Whoever calls it elsewhere: a command, a test, the loop. */
static void
elsewhere_it_does_nothing(void **state)
{
	struct fx *f = *state;
	struct buf said = { 0 };
	struct job j = { .job = { .run = run, .done = done }, .said = &said, .name = 'x' };

	worker_breathe();
	fx_start(f);
	worker_breathe();
	worker_submit(f->worker, WORKER_URGENT, &j.job);
	fx_await(f, is_finished, &j);
	fx_stop(f);
	assert_string_equal(said.s, "x /x ");
	buf_free(&said);
}

/* Calls go before what takes long. */
static void
it_is_nicer_than_the_loop(void **state)
{
	struct fx *f = *state;
	struct buf said = { 0 };
	struct job j = { .job = { .run = run, .done = done }, .said = &said, .name = 'x' };
	int want = getpriority(PRIO_PROCESS, 0) + WORKER_NICER;

	fx_start(f);
	worker_submit(f->worker, WORKER_URGENT, &j.job);
	fx_await(f, is_finished, &j);
	fx_stop(f);
	assert_int_equal(j.nice, want < 19 ? want : 19); /* there is none above */
	buf_free(&said);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
	const struct CMUnitTest tests[] = {
		T(the_urgent_run_in_between),
		T(a_document_lets_them),
		T(elsewhere_it_does_nothing),
		T(it_is_nicer_than_the_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
