#include "base/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"

struct queue {
	struct worker_job *head;
	struct worker_job **tail;
};

struct worker {
	struct loop_io io;
	int efd;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct queue todo[2]; /* by enum worker_prio */
	struct queue finished;
	struct worker_job trim;
	bool trimming;
	bool stopping;
};

static void
queue_put(struct queue *q, struct worker_job *job)
{
	job->next = NULL;
	*q->tail = job;
	q->tail = &job->next;
}

static struct worker_job *
queue_take(struct queue *q)
{
	struct worker_job *job = q->head;

	if (job != NULL) {
		q->head = job->next;
		if (q->head == NULL)
			q->tail = &q->head;
	}
	return job;
}

static struct worker_job *
next_job(struct worker *w)
{
	struct worker_job *job = queue_take(&w->todo[WORKER_URGENT]);

	return job != NULL ? job : queue_take(&w->todo[WORKER_NORMAL]);
}

/* The lock is held, but while it runs. */
static void
do_job(struct worker *w, struct worker_job *job)
{
	uint64_t one = 1;

	pthread_mutex_unlock(&w->lock);
	job->run(job);
	pthread_mutex_lock(&w->lock);
	queue_put(&w->finished, job);
	(void)!write(w->efd, &one, sizeof one);
}

static _Thread_local struct worker *mine; /* NULL: another thread than a worker's */
static _Thread_local bool breathing;

void
worker_breathe(void)
{
	struct worker_job *job;

	if (mine == NULL || breathing)
		return;
	breathing = true;
	pthread_mutex_lock(&mine->lock);
	while ((job = queue_take(&mine->todo[WORKER_URGENT])) != NULL)
		do_job(mine, job);
	pthread_mutex_unlock(&mine->lock);
	breathing = false;
}

/* In Linux a thread has its own nice value (sched(7)); who is refused goes on as it is. */
static void
step_back(void)
{
	(void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + WORKER_NICER);
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	struct worker_job *job;

	mine = w;
	step_back();
	pthread_mutex_lock(&w->lock);
	for (;;) {
		while ((job = next_job(w)) == NULL && !w->stopping)
			pthread_cond_wait(&w->wake, &w->lock);
		if (job == NULL)
			break;
		do_job(w, job);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void
finish(struct worker *w)
{
	struct worker_job *job;

	for (;;) {
		pthread_mutex_lock(&w->lock);
		job = queue_take(&w->finished);
		pthread_mutex_unlock(&w->lock);
		if (job == NULL)
			return;
		job->done(job);
	}
}

static void
on_finished(void *arg, int fd, int what)
{
	uint64_t n;

	(void)!read(fd, &n, sizeof n);
	finish(arg);
}

static void
trim_run(struct worker_job *job)
{
	mem_trim();
}

static void
trim_done(struct worker_job *job)
{
	CONTAINER_OF(job, struct worker, trim)->trimming = false;
}

int
worker_new(struct worker **out, struct loop *loop)
{
	struct worker *w = xcalloc(1, sizeof *w);
	sigset_t all, old;
	int err;

	w->todo[0].tail = &w->todo[0].head;
	w->todo[1].tail = &w->todo[1].head;
	w->finished.tail = &w->finished.head;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	w->trim.run = trim_run;
	w->trim.done = trim_done;
	w->efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->efd < 0) {
		err = -errno;
		free(w);
		return err;
	}
	/* Signals are the loop thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = -pthread_create(&w->thread, NULL, work, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err) {
		close(w->efd);
		free(w);
		return err;
	}
	loop_io_init(&w->io, loop, w->efd, on_finished, w);
	loop_io_want(&w->io, LOOP_READ);
	*out = w;
	return 0;
}

void
worker_submit(struct worker *w, enum worker_prio prio, struct worker_job *job)
{
	pthread_mutex_lock(&w->lock);
	queue_put(&w->todo[prio], job);
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

void
worker_trim(struct worker *w)
{
	if (!w->trimming)
		worker_submit(w, WORKER_NORMAL, &w->trim);
	w->trimming = true;
}

void
worker_free(struct worker *w)
{
	struct worker_job *job;

	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	finish(w);
	while ((job = next_job(w)) != NULL) { /* submitted by a done() just now */
		job->run(job);
		job->done(job);
	}
	loop_io_fini(&w->io);
	close(w->efd);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
