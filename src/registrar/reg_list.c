/*
 * reg_list: what the agent has, every 10 s: its services, then its checks, one question each for all registrations.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "registrar_int.h"

#define LIST_GAP_MS 1000
#define LIST_MAX (16u << 20)

/* The agent's answers are read by the worker: of a thousand services they take a while. */
struct list_job {
	struct worker_job job;
	struct registrar *r; /* NULL: it is gone */
	char *services, *checks;
	size_t services_len, checks_len;
	struct agent_list list;
	int64_t asked_ms;
	int err;
};

static void
list_later(struct registrar *r)
{
	r->listing = false;
	free(r->services);
	r->services = NULL;
	loop_timer_start(&r->cycle, r->list_again ? LIST_GAP_MS : loop_jitter(r->loop, REG_ASSERT_MS, REG_JITTER));
	r->list_again = false;
}

/* The agent answers, but not this: everybody is told all the same, after a look at each. why NULL: that is not sure yet. */
static void
go_blind(struct registrar *r, const char *why)
{
	size_t i;

	if (why != NULL && strcmp(r->list_why, why) != 0) {
		log_warnx("registrar", "the agent's list of services can't be had (%s): it is told all the same", why);
		snprintf(r->list_why, sizeof r->list_why, "%s", why);
	}
	r->blind = true;
	for (i = 0; i < r->n; i++)
		registration_need(r->regs[i], r->regs[i]->leaving && registrar_knows_ids(r) ? REG_OP_LEAVE : 0, false);
}

void
registrar_list_soon(struct registrar *r, int64_t delay_ms)
{
	int64_t now = loop_now_ms(r->loop), gap = r->list_ms + LIST_GAP_MS - now;

	if (r->agent == NULL || !r->started)
		return;
	if (r->listing) {
		r->list_again = true;
		return;
	}
	if (delay_ms < gap && r->list_ms > 0)
		delay_ms = gap;
	if (!loop_timer_armed(&r->cycle) || r->cycle.due_ms > now + delay_ms)
		loop_timer_start(&r->cycle, delay_ms);
}

void
registrar_list_first(struct registrar *r)
{
	if (r->listing) {
		r->list_again = true;
		return;
	}
	r->listing = true;
	loop_timer_stop(&r->cycle);
	line_add_first(r->agent, &r->list_services);
}

static void
on_cycle(void *arg)
{
	struct registrar *r = arg;

	r->listing = true;
	line_add(r->agent, &r->list_services); /* behind what is to be said: that will be in it */
}

/* False: it was an answer. */
static bool
list_failed(struct registrar *r, struct line_job *job, const struct http_answer *a)
{
	if (a->err == 0 && a->status == 200)
		return false;
	if (line_unreachable(a->err) && a->err != -ETIMEDOUT) {
		line_add(r->agent, &r->list_services); /* from the beginning */
		return true;
	}
	/* if it is the agent that hangs, the others will find out */
	if (a->err == -ETIMEDOUT)
		r->list_timeouts++;
	go_blind(r, a->err == -ETIMEDOUT && (r->list_timeouts < 2 || line_is_lost(r->agent)) ? NULL : a->why);
	list_later(r);
	return true;
}

static bool
ask_services(void *arg, struct line_request *q)
{
	struct registrar *r = arg;

	r->list_ms = loop_now_ms(r->loop);
	q->method = HTTP_GET;
	q->max_body = LIST_MAX;
	buf_puts(&q->path, "/v1/agent/services");
	return true;
}

static bool
ask_checks(void *arg, struct line_request *q)
{
	q->method = HTTP_GET;
	q->max_body = LIST_MAX;
	buf_puts(&q->path, "/v1/agent/checks");
	return true;
}

static char *
copy_body(const struct http_answer *a)
{
	char *p = malloc(a->body_len + 1);

	if (p != NULL)
		memcpy(p, a->body, a->body_len + 1);
	return p;
}

static void
on_services(void *arg, const struct http_answer *a)
{
	struct registrar *r = arg;

	if (list_failed(r, &r->list_services, a))
		return;
	free(r->services);
	r->services = copy_body(a);
	r->services_len = a->body_len;
	line_add_first(r->agent, &r->list_checks);
}

static void
parse_run(struct worker_job *wj)
{
	struct list_job *job = CONTAINER_OF(wj, struct list_job, job);

	job->err = job->services == NULL || job->checks == NULL ? -ENOMEM :
	    agent_list_parse(&job->list, job->services, job->services_len, job->checks, job->checks_len);
}

static void
take_list(struct registrar *r, struct list_job *job)
{
	size_t i;

	if (job->err != 0) {
		go_blind(r, job->err == -ENOMEM ? "out of memory" : "its answer is not a list of services and checks");
		return;
	}
	if (r->list_why[0] != '\0')
		log_notice("registrar", "the agent's list of services can be had again");
	r->list_why[0] = '\0';
	r->list_timeouts = 0;
	r->blind = false;
	r->list_known = true;
	agent_list_clear(&r->list);
	r->list = job->list;
	memset(&job->list, 0, sizeof job->list);
	for (i = r->n; i-- > 0;) /* one that has left goes */
		registration_apply(r->regs[i], &r->list, job->asked_ms);
}

static void
parse_done(struct worker_job *wj)
{
	struct list_job *job = CONTAINER_OF(wj, struct list_job, job);
	struct registrar *r = job->r;

	if (r != NULL) {
		r->parsing = NULL;
		take_list(r, job);
		list_later(r);
		registrar_stop_check(r);
	}
	agent_list_clear(&job->list);
	free(job->services);
	free(job->checks);
	free(job);
}

static void
on_checks(void *arg, const struct http_answer *a)
{
	struct registrar *r = arg;
	struct list_job *job;

	if (list_failed(r, &r->list_checks, a))
		return;
	job = xcalloc(1, sizeof *job);
	job->job.run = parse_run;
	job->job.done = parse_done;
	job->r = r;
	job->services = r->services;
	job->services_len = r->services_len;
	r->services = NULL;
	job->checks = copy_body(a);
	job->checks_len = a->body_len;
	job->asked_ms = r->list_ms;
	r->parsing = job;
	worker_submit(r->worker, WORKER_URGENT, &job->job);
}

/* What is known is of another agent. */
void
reg_list_forget(struct registrar *r)
{
	line_drop(r->agent, &r->list_services);
	line_drop(r->agent, &r->list_checks);
	if (r->parsing != NULL)
		r->parsing->r = NULL;
	r->parsing = NULL;
	free(r->services);
	r->services = NULL;
	agent_list_clear(&r->list);
	r->listing = r->list_again = r->list_known = r->blind = false;
	r->list_timeouts = 0;
	r->list_ms = 0;
	r->list_why[0] = '\0';
}

/* ---- life ---- */

void
reg_list_init(struct registrar *r)
{
	r->list_services = (struct line_job){ .ask = ask_services, .done = on_services, .arg = r };
	r->list_checks = (struct line_job){ .ask = ask_checks, .done = on_checks, .arg = r };
	loop_timer_init(&r->cycle, r->loop, on_cycle, r);
}

void
reg_list_fini(struct registrar *r)
{
	loop_timer_fini(&r->cycle);
	if (r->parsing != NULL)
		r->parsing->r = NULL;
	agent_list_clear(&r->list);
	free(r->services);
}
