/*
 * loop: the one event loop (libevent), its clock, timers, file descriptors and the later-queue.
 * All calls come from the loop thread; only daemon.c (or plan) runs the loop. Time is monotonic, in
 * milliseconds.
 * Timers and ios are embedded in their owner's struct; the owner stops them before it frees itself.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/mem.h"

struct event;
struct bufferevent;
struct loop;

/* One-shot timer. The callback may start it again. */
typedef void loop_cb(void *arg);
struct loop_timer {
	struct loop *loop;
	struct event *ev;
	loop_cb *cb;
	void *arg;
	int64_t due_ms; /* -1: not armed */
};

/* Level-triggered readiness of one descriptor; `what` holds LOOP_READ and LOOP_WRITE bits. */
enum { LOOP_READ = 1, LOOP_WRITE = 2 };
typedef void loop_io_cb(void *arg, int fd, int what);
struct loop_io {
	struct loop *loop;
	struct event *ev;
	loop_io_cb *cb;
	void *arg;
	int fd;
	int what;
};

/* A callback that runs from the loop with no frame of ours below it. Embedded; unlinks itself when run. */
struct loop_later {
	struct loop_later *next;
	loop_cb *cb;
	void *arg;
	bool queued;
};

struct loop_lag {
	int64_t max_us;   /* longest time one turn kept the loop from its next event */
	uint64_t turns;   /* turns measured */
	uint64_t over_5ms;
};

MUST_USE int loop_new(struct loop **out);
void loop_free(struct loop *);
int loop_run(struct loop *);  /* until loop_stop() */
void loop_stop(struct loop *);
int64_t loop_now_ms(struct loop *);     /* monotonic */
int64_t loop_now_us(struct loop *);     /* monotonic, read afresh: for measuring */
int64_t loop_wall_ms(struct loop *);    /* wall clock, for display and records only */
/* Measured from the first question on, until 10 s after the last one. */
void loop_lag(struct loop *, struct loop_lag *out);
void loop_lag_so_far(const struct loop *, struct loop_lag *out); /* measures nothing: a sleeping daemon sleeps on */

void loop_timer_init(struct loop_timer *, struct loop *, loop_cb *, void *arg);
void loop_timer_start(struct loop_timer *, int64_t delay_ms); /* replaces an armed one; 0 = next turn */
void loop_timer_stop(struct loop_timer *);                    /* idempotent */
void loop_timer_fini(struct loop_timer *);                    /* zeroed ones are fine */
bool loop_timer_armed(const struct loop_timer *);

void loop_io_init(struct loop_io *, struct loop *, int fd, loop_io_cb *, void *arg);
void loop_io_want(struct loop_io *, int what); /* 0: nothing */
void loop_io_fini(struct loop_io *);           /* does not close the descriptor */

/* Run `cb(arg)` once from the loop; a drain takes only what was queued when it began. */
void loop_later(struct loop *, struct loop_later *, loop_cb *, void *arg);
void loop_later_cancel(struct loop *, struct loop_later *);
/* free(ptr) from the later-queue: for objects that may still be on the stack. */
void loop_free_later(struct loop *, void *ptr);

/* `cb` runs from the loop when signal `signo` arrives; lives as long as the loop. */
MUST_USE int loop_signal(struct loop *, int signo, loop_cb *, void *arg);

/* A bufferevent on a connected non-blocking socket, which it will close. NULL when out of memory. */
struct bufferevent *loop_bufferevent(struct loop *, int fd);

/* Random from the loop's generator, for jitter: ms +- percent. */
int64_t loop_jitter(struct loop *, int64_t ms, int percent);

#endif
