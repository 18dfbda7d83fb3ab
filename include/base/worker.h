/*
 * worker: the one thread for what waits on a disk or takes long (LMDB writes, fsync, rename).
 * A job owns its data: run() executes on the worker thread and touches nothing but the job; done()
 * runs later from the loop and frees the job. Urgent jobs (files that a Kamailio waits for) go
 * before others. Jobs of one kind run in the order they were given.
 *
 * The thread is WORKER_NICER nicer than the loop's: where both want one core, calls are answered while a document is compiled.
 * The unit gives c4d Nice=-5, so that the worker's work has the same right as Kamailio's.
 */
#ifndef BASE_WORKER_H
#define BASE_WORKER_H

#include "base/loop.h"

#define WORKER_NICER 5

struct worker;
enum worker_prio { WORKER_URGENT, WORKER_NORMAL };

struct worker_job {
	struct worker_job *next;
	void (*run)(struct worker_job *);  /* on the worker thread */
	void (*done)(struct worker_job *); /* on the loop thread; frees the job */
};

MUST_USE int worker_new(struct worker **out, struct loop *);
void worker_submit(struct worker *, enum worker_prio, struct worker_job *);
/* mem_trim(), which is not for the loop; once for all who ask until it is done. */
void worker_trim(struct worker *);
/*
 * Within a run() that takes long, every few microseconds to milliseconds: the urgent jobs that have come run now, in between. It must hold nothing
 * that they may want: no transaction, no lock. Elsewhere it does nothing.
 */
void worker_breathe(void);
/* Lets every queued job run, calls every done(), ends the thread. NULL is fine. */
void worker_free(struct worker *);

#endif
