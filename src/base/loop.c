#include "base/loop.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * The heartbeat that measures how late the loop comes to its events. It beats while somebody asks, and a
 * while longer: an idle daemon need not wake 50 times a second for it.
 */
#define BEAT_US 20000
#define BEAT_LINGER_US 10000000

struct signal_slot {
	struct signal_slot *next;
	struct event *ev;
	loop_cb *cb;
	void *arg;
};

struct doomed {
	struct doomed *next;
	void *ptr;
};

struct later_list {
	struct loop_later *head;
	struct loop_later **tail;
};

struct loop {
	struct event_base *base;
	struct event *later_ev;
	struct later_list waiting;  /* for the next drain */
	struct later_list draining; /* of the drain that runs */
	struct doomed *doomed;
	struct signal_slot *signals;
	struct event *beat_ev;
	int64_t beat_due_us;
	int64_t beat_until_us;
	struct loop_lag lag;
	uint64_t random;
};

static int64_t
clock_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void
list_init(struct later_list *list)
{
	list->head = NULL;
	list->tail = &list->head;
}

static void
later_run(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	struct doomed *d = l->doomed;
	struct loop_later *item;

	l->doomed = NULL;
	l->draining = l->waiting;
	if (l->draining.head == NULL)
		list_init(&l->draining);
	list_init(&l->waiting);
	while ((item = l->draining.head) != NULL) {
		l->draining.head = item->next;
		item->next = NULL;
		item->queued = false;
		item->cb(item->arg);
	}
	list_init(&l->draining);
	while (d != NULL) {
		struct doomed *next = d->next;

		free(d->ptr);
		free(d);
		d = next;
	}
	/*
	 * libevent would run what is active again in the same turn: a callback that queues itself
	 * anew would starve descriptors and timers. So a new turn looks at those first.
	 */
	if (l->waiting.head != NULL || l->doomed != NULL)
		event_base_loopcontinue(l->base);
}

void
loop_later(struct loop *l, struct loop_later *item, loop_cb *cb, void *arg)
{
	item->cb = cb;
	item->arg = arg;
	if (item->queued)
		return;
	item->queued = true;
	item->next = NULL;
	*l->waiting.tail = item;
	l->waiting.tail = &item->next;
	event_active(l->later_ev, EV_TIMEOUT, 0);
}

static bool
list_remove(struct later_list *list, struct loop_later *item)
{
	struct loop_later **p;

	for (p = &list->head; *p != NULL; p = &(*p)->next)
		if (*p == item) {
			*p = item->next;
			if (*p == NULL)
				list->tail = p;
			return true;
		}
	return false;
}

void
loop_later_cancel(struct loop *l, struct loop_later *item)
{
	if (!item->queued)
		return;
	if (!list_remove(&l->waiting, item))
		(void)list_remove(&l->draining, item);
	item->queued = false;
	item->next = NULL;
}

void
loop_free_later(struct loop *l, void *ptr)
{
	struct doomed *d;

	if (ptr == NULL)
		return;
	d = xcalloc(1, sizeof *d);
	d->ptr = ptr;
	d->next = l->doomed;
	l->doomed = d;
	event_active(l->later_ev, EV_TIMEOUT, 0);
}

static void
beat_arm(struct loop *l)
{
	struct timeval tv = { 0, BEAT_US };

	l->beat_due_us = loop_now_us(l) + BEAT_US;
	event_add(l->beat_ev, &tv);
}

static void
beat(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	int64_t late = loop_now_us(l) - l->beat_due_us;

	l->lag.turns++;
	if (late > l->lag.max_us)
		l->lag.max_us = late;
	if (late > 5000)
		l->lag.over_5ms++;
	if (l->beat_due_us < l->beat_until_us)
		beat_arm(l);
}

void
loop_lag(struct loop *l, struct loop_lag *out)
{
	l->beat_until_us = loop_now_us(l) + BEAT_LINGER_US;
	if (!event_pending(l->beat_ev, EV_TIMEOUT, NULL))
		beat_arm(l);
	*out = l->lag;
}

void
loop_lag_so_far(const struct loop *l, struct loop_lag *out)
{
	*out = l->lag;
}

/*
 * libevent's default clock ticks in 4 ms: that would blur intervals, and the lag measured. The changelist saves most calls of
 * epoll_ctl: what an HTTP connection turns off and on again within a turn costs one instead of three. Its price: a descriptor
 * that is closed while a copy of it lives on elsewhere may go on to report events. Ours have no copies but for the moment
 * between a fork and its exec (run.c), and whoever reads here takes "nothing there" for an answer.
 */
static struct event_base *
base_new(void)
{
	struct event_config *cfg = event_config_new();
	struct event_base *base = NULL;

	if (cfg != NULL &&
	    event_config_set_flag(cfg, EVENT_BASE_FLAG_PRECISE_TIMER | EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST) == 0)
		base = event_base_new_with_config(cfg);
	if (cfg != NULL)
		event_config_free(cfg);
	return base;
}

int
loop_new(struct loop **out)
{
	struct loop *l = xcalloc(1, sizeof *l);

	list_init(&l->waiting);
	list_init(&l->draining);
	l->random = (uint64_t)clock_us(CLOCK_REALTIME) | 1;
	l->base = base_new();
	if (l->base != NULL)
		l->later_ev = event_new(l->base, -1, 0, later_run, l);
	if (l->later_ev != NULL)
		l->beat_ev = event_new(l->base, -1, 0, beat, l);
	if (l->beat_ev == NULL) {
		loop_free(l);
		return -ENOMEM;
	}
	*out = l;
	return 0;
}

void
loop_free(struct loop *l)
{
	struct signal_slot *s;
	struct doomed *d;

	if (l == NULL)
		return;
	while ((s = l->signals) != NULL) {
		l->signals = s->next;
		event_free(s->ev);
		free(s);
	}
	while ((d = l->doomed) != NULL) {
		l->doomed = d->next;
		free(d->ptr);
		free(d);
	}
	if (l->beat_ev != NULL)
		event_free(l->beat_ev);
	if (l->later_ev != NULL)
		event_free(l->later_ev);
	if (l->base != NULL)
		event_base_free(l->base);
	free(l);
}

int
loop_run(struct loop *l)
{
	return event_base_dispatch(l->base) < 0 ? -EIO : 0;
}

void
loop_stop(struct loop *l)
{
	event_base_loopbreak(l->base);
}

int64_t
loop_now_us(struct loop *l)
{
	return clock_us(CLOCK_MONOTONIC);
}

int64_t
loop_now_ms(struct loop *l)
{
	return clock_us(CLOCK_MONOTONIC) / 1000;
}

int64_t
loop_wall_ms(struct loop *l)
{
	return clock_us(CLOCK_REALTIME) / 1000;
}

int64_t
loop_jitter(struct loop *l, int64_t ms, int percent)
{
	int64_t span = ms * percent / 100;

	/* xorshift64: spreads timers, guards nothing */
	l->random ^= l->random << 13;
	l->random ^= l->random >> 7;
	l->random ^= l->random << 17;
	return span == 0 ? ms : ms - span + (int64_t)(l->random % (uint64_t)(2 * span + 1));
}

static void
timer_fire(evutil_socket_t fd, short what, void *arg)
{
	struct loop_timer *t = arg;

	t->due_ms = -1;
	t->cb(t->arg);
}

void
loop_timer_init(struct loop_timer *t, struct loop *l, loop_cb *cb, void *arg)
{
	t->loop = l;
	t->cb = cb;
	t->arg = arg;
	t->due_ms = -1;
	t->ev = event_new(l->base, -1, 0, timer_fire, t);
	if (t->ev == NULL)
		abort();
}

void
loop_timer_start(struct loop_timer *t, int64_t delay_ms)
{
	struct timeval tv;

	if (delay_ms < 0)
		delay_ms = 0;
	tv.tv_sec = (time_t)(delay_ms / 1000);
	tv.tv_usec = (suseconds_t)(delay_ms % 1000 * 1000);
	t->due_ms = loop_now_ms(t->loop) + delay_ms;
	event_del(t->ev);
	event_add(t->ev, &tv);
}

void
loop_timer_stop(struct loop_timer *t)
{
	if (t->ev != NULL)
		event_del(t->ev);
	t->due_ms = -1;
}

void
loop_timer_fini(struct loop_timer *t)
{
	if (t->ev != NULL)
		event_free(t->ev);
	t->ev = NULL;
	t->due_ms = -1;
}

bool
loop_timer_armed(const struct loop_timer *t)
{
	return t->due_ms >= 0;
}

static void
io_fire(evutil_socket_t fd, short what, void *arg)
{
	struct loop_io *io = arg;

	io->cb(io->arg, (int)fd, (what & EV_READ ? LOOP_READ : 0) | (what & EV_WRITE ? LOOP_WRITE : 0));
}

void
loop_io_init(struct loop_io *io, struct loop *l, int fd, loop_io_cb *cb, void *arg)
{
	memset(io, 0, sizeof *io);
	io->loop = l;
	io->fd = fd;
	io->cb = cb;
	io->arg = arg;
}

void
loop_io_want(struct loop_io *io, int what)
{
	short flags = EV_PERSIST;

	if (what == io->what)
		return;
	if (io->ev != NULL)
		event_free(io->ev);
	io->ev = NULL;
	io->what = what;
	if (what == 0)
		return;
	flags |= (short)(what & LOOP_READ ? EV_READ : 0);
	flags |= (short)(what & LOOP_WRITE ? EV_WRITE : 0);
	io->ev = event_new(io->loop->base, io->fd, flags, io_fire, io);
	if (io->ev == NULL || event_add(io->ev, NULL) != 0)
		abort();
}

void
loop_io_fini(struct loop_io *io)
{
	if (io->ev != NULL)
		event_free(io->ev);
	memset(io, 0, sizeof *io);
	io->fd = -1;
}

static void
signal_fire(evutil_socket_t fd, short what, void *arg)
{
	struct signal_slot *s = arg;

	s->cb(s->arg);
}

int
loop_signal(struct loop *l, int signo, loop_cb *cb, void *arg)
{
	struct signal_slot *s = xcalloc(1, sizeof *s);

	s->cb = cb;
	s->arg = arg;
	s->ev = evsignal_new(l->base, signo, signal_fire, s);
	if (s->ev == NULL || event_add(s->ev, NULL) != 0) {
		if (s->ev != NULL)
			event_free(s->ev);
		free(s);
		return -ENOMEM;
	}
	s->next = l->signals;
	l->signals = s;
	return 0;
}

struct bufferevent *
loop_bufferevent(struct loop *l, int fd)
{
	return bufferevent_socket_new(l->base, fd, BEV_OPT_CLOSE_ON_FREE);
}
