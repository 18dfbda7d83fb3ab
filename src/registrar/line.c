#include "registrar/line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_MIN_MS 250
#define BACKOFF_MAX_MS 5000
#define BACKOFF_HURRY_MS 1000
#define BACKOFF_JITTER 20
#define ANSWER_MAX (16u << 10)

TAILQ_HEAD(job_list, line_job);

struct line {
	struct loop *loop;
	struct http *http;
	line_event_cb *cb;
	void *arg;
	struct job_list queues[2]; /* those who go first, and the others */
	struct line_job *out; /* under way; NULL: nothing, or its owner dropped it */
	struct line_request request;
	struct loop_later pump;
	struct loop_timer backoff;
	unsigned failures; /* in a row */
	bool lost, hurry;
	int64_t lost_ms;
	char why[256];
};

static void pump(void *arg);

bool
line_unreachable(int err)
{
	/* What is the answer's own fault leaves the line as good as it was. */
	return err != 0 && err != -EMSGSIZE && err != -ENOMEM;
}

/* ---- good and bad times ---- */

static void
failed(struct line *l, const struct http_answer *a)
{
	unsigned doublings = l->failures < 16 ? l->failures : 16;
	int64_t delay = (int64_t)BACKOFF_MIN_MS << doublings, cap = l->hurry ? BACKOFF_HURRY_MS : BACKOFF_MAX_MS;

	l->failures++;
	snprintf(l->why, sizeof l->why, "%s", a->why);
	loop_timer_start(&l->backoff, loop_jitter(l->loop, delay < cap ? delay : cap, BACKOFF_JITTER));
	if (!l->lost && (a->err == -ECONNREFUSED || l->failures > 1)) {
		l->lost = true;
		l->lost_ms = loop_now_ms(l->loop);
		l->cb(l->arg, LINE_LOST);
	}
}

static void
works(struct line *l)
{
	if (l->failures == 0)
		return;
	l->lost = false;
	l->cb(l->arg, LINE_BACK);
	l->failures = 0;
}

static void
on_answer(void *arg, const struct http_answer *a)
{
	struct line *l = arg;
	struct line_job *job = l->out;

	l->out = NULL;
	if (line_unreachable(a->err))
		failed(l, a);
	else
		works(l);
	if (job != NULL)
		job->done(job->arg, a);
	pump(l);
}

/* ---- the queue ---- */

static struct line_job *
next_job(const struct line *l)
{
	struct line_job *first = TAILQ_FIRST(&l->queues[0]);

	return first != NULL ? first : TAILQ_FIRST(&l->queues[1]);
}

static void
leave_queue(struct line *l, struct line_job *job)
{
	if (job->queued)
		TAILQ_REMOVE(&l->queues[job->first ? 0 : 1], job, link);
	job->queued = false;
}

static void
enter_queue(struct line *l, struct line_job *job, bool first)
{
	job->queued = true;
	job->first = first;
	TAILQ_INSERT_TAIL(&l->queues[first ? 0 : 1], job, link);
	loop_later(l->loop, &l->pump, pump, l);
}

static bool
ask(struct line *l, struct line_job *job)
{
	struct line_request *q = &l->request;
	struct http_request r = { .timeout_ms = LINE_TIMEOUT_MS };

	q->method = HTTP_PUT;
	q->path.len = 0;
	q->body = NULL;
	q->max_body = ANSWER_MAX;
	if (!job->ask(job->arg, q))
		return false;
	l->out = job;
	r.method = q->method;
	r.path = q->path.s;
	r.body = q->body;
	r.body_len = q->body ? strlen(q->body) : 0;
	r.max_body = q->max_body;
	if (http_ask(l->http, &r, on_answer, l) == 0)
		return true;
	l->out = NULL; /* only while another one is out, which pump() sees to */
	return false;
}

static void
pump(void *arg)
{
	struct line *l = arg;
	struct line_job *job;

	while (l->http != NULL && !http_busy(l->http) && !loop_timer_armed(&l->backoff) && (job = next_job(l)) != NULL) {
		leave_queue(l, job);
		(void)ask(l, job);
	}
}

void
line_add(struct line *l, struct line_job *job)
{
	if (!job->queued)
		enter_queue(l, job, false);
}

void
line_add_first(struct line *l, struct line_job *job)
{
	if (job->queued && job->first)
		return;
	leave_queue(l, job);
	enter_queue(l, job, true);
}

void
line_drop(struct line *l, struct line_job *job)
{
	leave_queue(l, job);
	if (l->out == job)
		l->out = NULL;
}

bool
line_has(const struct line *l, const struct line_job *job)
{
	return job->queued || l->out == job;
}

void
line_hurry(struct line *l)
{
	l->hurry = true;
	if (loop_timer_armed(&l->backoff))
		loop_timer_start(&l->backoff, 0);
}

/* ---- life ---- */

void
line_new(struct line **out, struct loop *loop, line_event_cb *cb, void *arg)
{
	struct line *l = xcalloc(1, sizeof *l);

	l->loop = loop;
	l->cb = cb;
	l->arg = arg;
	TAILQ_INIT(&l->queues[0]);
	TAILQ_INIT(&l->queues[1]);
	loop_timer_init(&l->backoff, loop, pump, l);
	*out = l;
}

void
line_set_http(struct line *l, struct http *http)
{
	struct line_job *job = l->out;

	http_free(l->http);
	l->http = http;
	l->out = NULL;
	loop_timer_stop(&l->backoff);
	if (job != NULL)
		line_add_first(l, job);
	loop_later(l->loop, &l->pump, pump, l);
}

void
line_free(struct line *l)
{
	struct line_job *job;

	if (l == NULL)
		return;
	while ((job = next_job(l)) != NULL)
		line_drop(l, job);
	http_free(l->http);
	loop_timer_fini(&l->backoff);
	loop_later_cancel(l->loop, &l->pump);
	buf_free(&l->request.path);
	free(l);
}

/* ---- looking ---- */

bool
line_is_lost(const struct line *l)
{
	return l->lost;
}

const char *
line_why(const struct line *l)
{
	return l->why;
}

int64_t
line_lost_ms(const struct line *l)
{
	return l->lost_ms;
}

uint64_t
line_attempts(const struct line *l)
{
	return l->failures;
}
