/*
 * store_fx: a loop, a worker and a store in a directory of its own, for the tests of what is built
 * on them; snapshots in one line of text; waiting for a condition.
 */
#ifndef STORE_FX_H
#define STORE_FX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/text.h"
#include "base/worker.h"
#include "dir_fx.h"
#include "store/store.h"

#define FX static __attribute__((unused)) /* not every test program uses all of it */

#define MACHINE "00112233445566778899aabbccddeeff"
#define DAY_MS 86400000LL
#define AWAIT_MS 30000

struct fx {
	char dir[64];
	struct loop *loop;
	struct worker *worker;
	struct store *st;
	struct store_conf conf;
	struct buf log; /* "level subsystem: text" lines of notice and above */
};

FX void
fx_log(void *arg, enum log_level level, const char *sub, const char *text)
{
	struct fx *f = arg;

	if (level <= LOG_L_NOTICE)
		buf_printf(&f->log, "%s %s: %s\n", log_level_name(level), sub, text);
}

FX const char *
fx_logged(struct fx *f)
{
	return f->log.s ? f->log.s : "";
}

FX void
fx_forget_log(struct fx *f)
{
	buf_free(&f->log);
	memset(&f->log, 0, sizeof f->log);
}

FX int
fx_setup(void **state)
{
	struct fx *f = xcalloc(1, sizeof *f);

	make_dir(f->dir);
	f->conf = (struct store_conf){ .dir = f->dir,
		.machine_id = MACHINE,
		.size_bytes = 64 << 20,
		.keep_ms = 90 * DAY_MS,
		.keep_max = 10000 };
	log_init(LOG_L_ERROR);
	(void)!log_set(NULL, "error");
	log_hook(fx_log, f);
	*state = f;
	return 0;
}

FX int
fx_teardown(void **state)
{
	struct fx *f = *state;

	log_unhook(fx_log, f);
	remove_tree(f->dir);
	buf_free(&f->log);
	free(f);
	return 0;
}

/* Opens what is in the directory, as a start of c4d does. */
FX void
fx_start(struct fx *f)
{
	pid_t holder;

	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(worker_new(&f->worker, f->loop), 0);
	assert_int_equal(store_open(&f->st, f->loop, f->worker, &f->conf, &holder), 0);
}

/* And its end. */
FX void
fx_stop(struct fx *f)
{
	store_flush(f->st);
	worker_free(f->worker);
	store_free(f->st);
	loop_free(f->loop);
	f->st = NULL;
	f->worker = NULL;
	f->loop = NULL;
}

FX void
fx_restart(struct fx *f)
{
	fx_stop(f);
	fx_start(f);
}

FX char *
fx_path(const struct fx *f, const char *name)
{
	return xasprintf("%s/%s", f->dir, name);
}

/* ---- waiting ---- */

typedef bool fx_cond(void *arg);

struct fx_wait {
	struct loop *loop;
	struct loop_timer timer;
	fx_cond *cond;
	void *arg;
	int64_t end_ms;
	bool met;
};

FX void
fx_look(void *arg)
{
	struct fx_wait *w = arg;

	w->met = w->cond(w->arg);
	if (w->met || loop_now_ms(w->loop) > w->end_ms)
		loop_stop(w->loop);
	else
		loop_timer_start(&w->timer, 1);
}

/* Runs the loop until the condition holds. */
FX void
fx_await(struct fx *f, fx_cond *cond, void *arg)
{
	struct fx_wait w = {
		.loop = f->loop, .cond = cond, .arg = arg, .end_ms = loop_now_ms(f->loop) + AWAIT_MS
	};

	loop_timer_init(&w.timer, f->loop, fx_look, &w);
	loop_timer_start(&w.timer, 0);
	assert_int_equal(loop_run(f->loop), 0);
	loop_timer_fini(&w.timer);
	assert_true(w.met);
}

FX bool
fx_nothing_pending(void *arg)
{
	struct fx *f = arg;
	struct store_view v;

	store_view(f->st, &v);
	return v.pending == 0 && v.commits > 0 && !v.failing;
}

FX bool
fx_is_failing(void *arg)
{
	struct fx *f = arg;
	struct store_view v;

	store_view(f->st, &v);
	return v.failing;
}

FX bool
fx_has_json(void *arg)
{
	return *(json_t **)arg != NULL;
}

FX void
fx_take_json(void *arg, json_t *j)
{
	*(json_t **)arg = j;
}

/* The history as one line per generation: "2 cause: router 10.0.0.1:5060 new>up; @sbc/1 ..." */
FX char *
fx_history(struct fx *f, const char *service, const char *address, size_t limit)
{
	json_t *all = NULL;
	const json_t *g, *v;
	struct buf b = { 0 };
	size_t i, k;

	store_history(f->st, service, address, limit, fx_take_json, &all);
	fx_await(f, fx_has_json, &all);
	json_array_foreach(all, i, g)
	{
		buf_printf(&b, "%" JSON_INTEGER_FORMAT " %s:",
		    json_integer_value(json_object_get(g, "generation")),
		    json_string_value(json_object_get(g, "cause")));
		json_array_foreach(json_object_get(g, "changes"), k, v)
		{
			const char *from = json_string_value(json_object_get(v, "from"));
			const char *to = json_string_value(json_object_get(v, "to"));

			buf_printf(&b, " %s %s:%" JSON_INTEGER_FORMAT " %s>%s",
			    json_string_value(json_object_get(v, "service")),
			    json_string_value(json_object_get(v, "address")),
			    json_integer_value(json_object_get(v, "port")), from ? from : "new",
			    to ? to : "removed");
		}
		json_array_foreach(json_object_get(g, "targets"), k, v)
		    buf_printf(&b, " @%s", json_string_value(json_object_get(v, "target")));
		buf_puts(&b, "\n");
	}
	json_decref(all);
	return buf_take(&b);
}

FX void
assert_history(
    struct fx *f, const char *service, const char *address, size_t limit, const char *want)
{
	char *got = fx_history(f, service, address, limit);

	assert_string_equal(got, want);
	free(got);
}

/* ---- snapshots ---- */

FX enum topo_state
state_of(const char *name)
{
	int s;

	for (s = TOPO_UP; s <= TOPO_DRAINING; s++)
		if (strcmp(topo_state_name(s), name) == 0)
			return s;
	fail_msg("no such state: %s", name);
	return TOPO_UP;
}

FX int
fx_by_addr(const void *a, const void *b)
{
	return topo_instance_cmp(a, b);
}

/* "router 10.0.0.1:5060/up 10.0.0.2:5060/disabled; rtp [::1]:2223/up; unknown ?" */
FX struct topo *
topo_of(uint64_t generation, const char *text)
{
	struct topo *t = topo_new(8);
	char *copy = xstrdup(text), *outer, *inner, *part, *word;
	size_t cap;

	t->n = 0;
	t->generation = generation;
	for (part = strtok_r(copy, ";", &outer); part != NULL; part = strtok_r(NULL, ";", &outer)) {
		struct topo_service *s = &t->services[t->n++];

		word = strtok_r(part, " ", &inner);
		s->name = xstrdup(word);
		s->known = true;
		cap = 0;
		while ((word = strtok_r(NULL, " ", &inner)) != NULL) {
			struct topo_instance i = {
				.weight = 1, .priority = 1, .generation = generation
			};
			char *slash = strchr(word, '/');

			if (strcmp(word, "?") == 0) {
				s->known = false;
				continue;
			}
			*slash = '\0';
			assert_int_equal(topo_addr_parse(word, &i.addr), 0);
			i.state = state_of(slash + 1);
			s->inst = xgrow(s->inst, s->n, &cap, sizeof *s->inst);
			s->inst[s->n++] = i;
		}
		if (s->n > 0)
			qsort(s->inst, s->n, sizeof *s->inst, fx_by_addr);
	}
	free(copy);
	return t;
}

/* As a run before has left it: one service, known, of two instances (one that never had any is none of anybody's). */
FX void
fx_put_known(struct fx *f, int64_t at_ms)
{
	struct topo *t = topo_of(1, "router 10.0.0.1:5060/up 10.0.0.2:5060/up"), *none = topo_new(0);
	const struct store_service known = { .known = true };

	store_put_generation(f->st, none, t, at_ms, "before");
	store_put_service(f->st, "router", &known);
	topo_unref(t);
	topo_unref(none);
	fx_await(f, fx_nothing_pending, f);
}

FX void
assert_same_instance(const struct topo_instance *a, const struct topo_instance *b)
{
	assert_int_equal(topo_addr_cmp(&a->addr, &b->addr), 0);
	assert_int_equal(a->weight, b->weight);
	assert_int_equal(a->priority, b->priority);
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->guard, b->guard);
	assert_int_equal(a->source, b->source);
	assert_true(a->since_ms == b->since_ms);
	assert_true(a->generation == b->generation);
	assert_true(a->drain_until_ms == b->drain_until_ms);
	assert_true(a->penalty == b->penalty);
	assert_int_equal(a->goings, b->goings);
	assert_true(a->gone_ms == b->gone_ms);
	assert_int_equal(a->tags == NULL, b->tags == NULL);
	assert_int_equal(a->origin == NULL, b->origin == NULL);
	if (a->tags != NULL)
		assert_string_equal(a->tags, b->tags);
	if (a->origin != NULL)
		assert_string_equal(a->origin, b->origin);
}

/* What the store holds: "router 10.0.0.1:5060/up rtp [::1]:2223/up ", in the order of its keys. */
FX void
fx_print_loaded(void *arg, const char *service, const struct topo_instance *i)
{
	char addr[TOPO_ADDR_TEXT];

	topo_addr_format(&i->addr, addr);
	buf_printf(arg, "%s %s/%s ", service, addr, topo_state_name(i->state));
}

FX void
assert_loads(struct fx *f, const char *want)
{
	struct buf b = { 0 };

	assert_int_equal(store_load(f->st, fx_print_loaded, &b), 0);
	assert_string_equal(b.s ? b.s : "", want);
	buf_free(&b);
}

#endif
