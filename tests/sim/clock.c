/* clock: base/loop.h with a clock that moves when the scenario says so. */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define START_US (1000 * SIM_SECOND)
#define START_WALL_MS 2000000000000LL
#define SPIN_MAX 200000 /* steps without any time passing: something turns on the spot */

struct event { /* owned by its timer */
	struct event *next;
	struct event **prev;
	struct loop_timer *timer;
	int64_t due_us;
	uint64_t order;
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
	struct event *timers;
	struct later_list waiting;
	struct later_list draining;
	struct doomed *doomed;
};

static struct loop *loop; /* of the c4d that runs */
static int64_t now_us = START_US;
static uint64_t order;
static uint64_t random_state;
static unsigned spins;

int64_t
clock_now_us(void)
{
	return now_us;
}

int64_t
clock_wall_ms(void)
{
	return START_WALL_MS + (now_us - START_US) / 1000;
}

void
clock_reset(void)
{
	now_us = START_US;
	order = 0;
	random_state = 0;
	spins = 0;
}

void
clock_set_jitter(uint64_t seed)
{
	random_state = seed;
}

void
clock_jump(int64_t us)
{
	now_us += us;
}

static void
move_to(int64_t us)
{
	if (us > now_us) {
		now_us = us;
		spins = 0;
	}
}

static void
list_init(struct later_list *l)
{
	l->head = NULL;
	l->tail = &l->head;
}

static void
free_doomed(struct doomed *d)
{
	while (d != NULL) {
		struct doomed *next = d->next;

		free(d->ptr);
		free(d);
		d = next;
	}
}

static void
drain(struct loop *l)
{
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
	free_doomed(d);
}

static struct event *
earliest(const struct loop *l)
{
	struct event *e, *best = NULL;

	for (e = l->timers; e != NULL; e = e->next)
		if (e->timer->due_ms >= 0 && (best == NULL || e->due_us < best->due_us ||
		    (e->due_us == best->due_us && e->order < best->order)))
			best = e;
	return best;
}

bool
clock_step(int64_t limit_us)
{
	struct event *e;

	if (++spins > SPIN_MAX) {
		sim_fail("%u steps in one instant: the loop spins", SPIN_MAX);
		return false;
	}
	if (loop != NULL && (loop->waiting.head != NULL || loop->doomed != NULL)) {
		drain(loop);
		return true;
	}
	e = loop != NULL ? earliest(loop) : NULL;
	if (e == NULL || e->due_us > limit_us) {
		move_to(limit_us);
		return false;
	}
	move_to(e->due_us);
	e->timer->due_ms = -1;
	e->timer->cb(e->timer->arg);
	return true;
}

/* ---- base/loop.h ---- */

int
loop_new(struct loop **out)
{
	struct loop *l = xcalloc(1, sizeof *l);

	list_init(&l->waiting);
	list_init(&l->draining);
	*out = loop = l;
	return 0;
}

void
loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	if (l->timers != NULL)
		sim_fail("a timer outlives the loop");
	free_doomed(l->doomed);
	free(l);
	loop = NULL;
}

int
loop_run(struct loop *l)
{
	return 0;
}

void
loop_stop(struct loop *l)
{
}

int64_t
loop_now_ms(struct loop *l)
{
	return now_us / 1000;
}

int64_t
loop_now_us(struct loop *l)
{
	return now_us;
}

int64_t
loop_wall_ms(struct loop *l)
{
	return clock_wall_ms();
}

void
loop_lag(struct loop *l, struct loop_lag *out)
{
	memset(out, 0, sizeof *out);
}

void
loop_timer_init(struct loop_timer *t, struct loop *l, loop_cb *cb, void *arg)
{
	struct event *e = xcalloc(1, sizeof *e);

	t->loop = l;
	t->ev = e;
	t->cb = cb;
	t->arg = arg;
	t->due_ms = -1;
	e->timer = t;
	e->next = l->timers;
	e->prev = &l->timers;
	if (e->next != NULL)
		e->next->prev = &e->next;
	l->timers = e;
}

void
clock_start_us(struct loop_timer *t, int64_t us)
{
	t->ev->due_us = now_us + (us > 0 ? us : 0);
	t->ev->order = ++order;
	t->due_ms = t->ev->due_us / 1000;
}

void
loop_timer_start(struct loop_timer *t, int64_t delay_ms)
{
	clock_start_us(t, delay_ms * 1000);
}

void
loop_timer_stop(struct loop_timer *t)
{
	t->due_ms = -1;
}

void
loop_timer_fini(struct loop_timer *t)
{
	struct event *e = t->ev;

	if (e != NULL) {
		*e->prev = e->next;
		if (e->next != NULL)
			e->next->prev = e->prev;
		free(e);
	}
	t->ev = NULL;
	t->due_ms = -1;
}

bool
loop_timer_armed(const struct loop_timer *t)
{
	return t->due_ms >= 0;
}

/* Nothing that is linked here has a descriptor of its own. */
void
loop_io_init(struct loop_io *io, struct loop *l, int fd, loop_io_cb *cb, void *arg)
{
	sim_fail("a descriptor in the simulation");
}

void
loop_io_want(struct loop_io *io, int what)
{
}

void
loop_io_fini(struct loop_io *io)
{
}

int
loop_signal(struct loop *l, int signo, loop_cb *cb, void *arg)
{
	return 0;
}

struct bufferevent *
loop_bufferevent(struct loop *l, int fd)
{
	return NULL;
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
}

int64_t
loop_jitter(struct loop *l, int64_t ms, int percent)
{
	int64_t span = ms * percent / 100;

	if (random_state == 0 || span == 0)
		return ms;
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return ms - span + (int64_t)(random_state % (uint64_t)(2 * span + 1));
}
