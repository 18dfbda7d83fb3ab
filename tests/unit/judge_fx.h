/*
 * judge_fx: what the judge's tests share: a judge with a clock of its own, rounds in one line, and
 * its state as one letter per instance.
 */
#ifndef JUDGE_FX_H
#define JUDGE_FX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "topology/judge.h"

#define FX static __attribute__((unused)) /* not every test program uses all of it */

#define SEC 1000LL
#define MIN (60 * SEC)
#define HOUR (60 * MIN)
#define HOSTS_MAX 64
#define LOOK_MAX (HOSTS_MAX + 1)

FX const char *const tag_names[] = { "primary", "blue" };

struct fx {
	struct judge_conf conf;
	struct judge *j;
	int64_t now;
};

/* One round with storage for its rows. The canary answers and every tag answers "none" unless
 * changed. */
struct said {
	struct round r;
	struct round_answer tags[JUDGE_TAGS_MAX];
	struct round_row rows[HOSTS_MAX];
	struct round_row tag_rows[JUDGE_TAGS_MAX][HOSTS_MAX];
};

FX struct topo_addr
host(unsigned i)
{
	struct topo_addr a = { .family = 4, .ip = { 10, 0, 0, (uint8_t)(i + 1) }, .port = 5060 };

	return a;
}

FX struct topo_addr
addr(const char *text)
{
	struct topo_addr a;

	assert_int_equal(topo_addr_parse(text, &a), 0);
	return a;
}

/* Hosts 0..n-1. */
FX uint64_t
first(unsigned n)
{
	return (1ull << n) - 1;
}

FX size_t
rows_of(struct round_row *rows, uint64_t mask)
{
	size_t n = 0;
	unsigned i;

	for (i = 0; i < HOSTS_MAX; i++)
		if (mask >> i & 1)
			rows[n++] =
			    (struct round_row){ .addr = host(i), .weight = 1, .priority = 1 };
	return n;
}

FX void
fill(struct round_answer *a, struct round_row *rows, uint64_t mask)
{
	a->rows = rows;
	a->n = a->n_srv = rows_of(rows, mask);
	a->size_bytes = 100 + 60 * a->n;
	a->kind = a->n ? ANSWER_LIST : ANSWER_NXDOMAIN;
}

FX void
said_init(struct said *s, unsigned name, uint64_t mask)
{
	size_t i;

	memset(s, 0, sizeof *s);
	s->r.name = name;
	s->r.tags = s->tags;
	fill(&s->r.list, s->rows, mask);
	s->r.canary.kind = ANSWER_LIST;
	s->r.canary.n_srv = 3;
	for (i = 0; i < JUDGE_TAGS_MAX; i++)
		s->tags[i].kind = ANSWER_NXDOMAIN;
}

FX void
said_tag(struct said *s, unsigned tag, uint64_t mask)
{
	fill(&s->tags[tag], s->tag_rows[tag], mask);
}

FX void
fx_init(struct fx *f)
{
	memset(f, 0, sizeof *f);
	f->conf = (struct judge_conf){
		.interval_ms = SEC,
		.remove_hold_ms = 10 * MIN,
		.empty_hold_ms = 120 * SEC,
		.empty_rounds = 3,
		.max_shrink = 50,
		.shrink_window_ms = 5 * MIN,
		.shrink_hold_ms = 60 * SEC,
		.min_instances = 1,
		.max_instances = 1000,
		.n_names = 1, /* damping: flap_suppress 0, unless a test asks for it */
		.flap_reuse = 750,
		.flap_half_life_ms = 5 * MIN,
		.flap_max_ms = 30 * MIN,
	};
	f->now = 5000000;
	f->j = judge_new(&f->conf);
}

FX void
fx_fini(struct fx *f)
{
	judge_free(f->j);
}

FX bool
play(struct fx *f, const struct said *s)
{
	return judge_round(f->j, &s->r, f->now, f->now);
}

/* A complete list of `name`; with no host: an absence. */
FX void
lists(struct fx *f, unsigned name, uint64_t mask)
{
	struct said s;

	said_init(&s, name, mask);
	(void)play(f, &s);
}

FX void
fails(struct fx *f, unsigned name, enum answer_kind kind)
{
	struct said s;

	said_init(&s, name, 0);
	s.r.list.kind = s.r.canary.kind = kind;
	assert_false(play(f, &s));
}

/* The same complete list each second, for `ms`. */
FX void
lists_for(struct fx *f, uint64_t mask, int64_t ms)
{
	int64_t end = f->now + ms;

	while (f->now < end) {
		f->now += SEC;
		lists(f, 0, mask);
	}
}

/*
 * One letter per instance, in order: Up, Disabled, held by Shrink, by Empty, by the operator (F); suPpressed; drained by
 * the Operator, by its Tag.
 */
FX char
letter(const struct topo_instance *i)
{
	static const char by_guard[] = { '?', 'S', 'E', 'F' };

	switch (i->state) {
	case TOPO_UP:
		return i->guard == GUARD_NONE ? 'U' : '?';
	case TOPO_DISABLED:
		return i->guard == GUARD_NONE || i->guard == GUARD_FLAP ? 'D' : '?';
	case TOPO_HELD:
		return by_guard[i->guard];
	case TOPO_SUPPRESSED:
		return i->guard == GUARD_FLAP ? 'P' : '?';
	case TOPO_DRAINING:
		return i->guard == GUARD_OPERATOR ? 'O' : i->guard == GUARD_TAG ? 'T' : '?';
	default:
		return '?';
	}
}

FX void
snapshot_free(struct topo_service *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		topo_instance_clear(&s->inst[i]);
	free(s->inst);
}

FX void
look(const struct judge *j, char out[LOOK_MAX])
{
	struct topo_service s = { 0 };
	size_t i;

	judge_snapshot(j, &s);
	assert_int_equal(s.n, judge_count(j));
	assert_true(s.n < LOOK_MAX);
	for (i = 0; i < s.n; i++) {
		out[i] = letter(&s.inst[i]);
		assert_int_equal(s.inst[i].generation, 0);
		if (i > 0)
			assert_true(topo_instance_cmp(&s.inst[i - 1], &s.inst[i]) < 0);
	}
	out[s.n] = '\0';
	snapshot_free(&s);
}

#define assert_look(f, want) \
	do { \
		char look_[LOOK_MAX]; \
		look((f)->j, look_); \
		assert_string_equal(look_, want); \
	} while (0)

FX struct judge_view
view(const struct fx *f)
{
	struct judge_view v;

	judge_view(f->j, f->now, &v);
	return v;
}

/* What the snapshot holds for this address; its texts are valid until the next call. */
FX struct topo_instance
seen(const struct fx *f, const char *where)
{
	static char tags[128], origin[128];
	const struct topo_instance *i;
	struct topo_service s = { 0 };
	struct topo_instance copy;
	struct topo_addr a = addr(where);

	judge_snapshot(f->j, &s);
	i = topo_find_instance(&s, &a);
	assert_non_null(i);
	copy = *i;
	snprintf(tags, sizeof tags, "%s", i->tags ? i->tags : "");
	snprintf(origin, sizeof origin, "%s", i->origin ? i->origin : "");
	copy.tags = tags;
	copy.origin = origin;
	snapshot_free(&s);
	return copy;
}

FX void
restore(struct fx *f, uint64_t mask, enum topo_state state, enum topo_guard guard)
{
	struct topo_instance i = { .state = state, .guard = guard, .source = SOURCE_STORE };
	unsigned k;

	for (k = 0; k < HOSTS_MAX; k++)
		if (mask >> k & 1) {
			i.addr = host(k);
			i.generation = 7;
			assert_true(judge_restore(f->j, &i, f->now, f->now));
		}
}

/* What may be wrong with a round; each alone takes its power to remove. */
enum flaw {
	FLAW_NONE,
	FLAW_TC,
	FLAW_SIZE,
	FLAW_COUNT,
	FLAW_UNRESOLVED,
	FLAW_NO_ROWS,
	FLAW_TAG_SERVER,
	FLAW_TAG_TIMEOUT,
	FLAW_TAG_SERVFAIL,
	FLAW_TAG_REFUSED,
	FLAW_TAG_MALFORMED,
	FLAW_TAG_SELF,
	FLAW_TAG_UNREACHABLE,
	FLAW_TAG_OTHER,
	FLAW_TAG_LISTS, /* in doubt only beside an answer that says there is nothing */
	FLAWS,
};

FX void
damage(struct said *s, enum flaw flaw)
{
	static const enum answer_kind tag_kind[FLAWS] = {
		[FLAW_TAG_TIMEOUT] = ANSWER_TIMEOUT,
		[FLAW_TAG_SERVFAIL] = ANSWER_SERVFAIL,
		[FLAW_TAG_REFUSED] = ANSWER_REFUSED,
		[FLAW_TAG_MALFORMED] = ANSWER_MALFORMED,
		[FLAW_TAG_SELF] = ANSWER_SELF_TARGET,
		[FLAW_TAG_UNREACHABLE] = ANSWER_UNREACHABLE,
		[FLAW_TAG_OTHER] = ANSWER_OTHER,
	};

	switch (flaw) {
	case FLAW_NONE:
	case FLAWS:
		break;
	case FLAW_TC:
		s->r.list.truncated = true;
		break;
	case FLAW_SIZE:
		s->r.list.size_bytes = 64000;
		break;
	case FLAW_COUNT:
		s->r.list.n_srv = 900;
		break;
	case FLAW_UNRESOLVED:
		s->r.list.n_unresolved = 1;
		break;
	case FLAW_NO_ROWS:
		s->r.list.n = 0;
		break;
	case FLAW_TAG_SERVER:
		s->tags[0].server = s->r.list.server + 1;
		break;
	case FLAW_TAG_LISTS:
		said_tag(s, 0, 1);
		s->tags[0].server = s->r.list.server;
		break;
	default:
		s->tags[0].kind = tag_kind[flaw];
		break;
	}
}

#endif
