/*
 * judge, properties: random rounds, words and pauses against a memory of the test's own, which
 * knows only what was visible. The seed is printed; C4D_TEST_SEED sets it.
 */
#include "judge_fx.h"

#define PROP_HOSTS 14
#define PROP_RUNS 300
#define PROP_STEPS 400

static uint64_t rnd_state;

static unsigned
rnd(unsigned n)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return (unsigned)((rnd_state >> 11) % n);
}

/* What the test itself remembers: states as they were and since when. */
struct memory {
	char was[PROP_HOSTS]; /* letter(), 0: not there */
	int64_t since[PROP_HOSTS];
	unsigned active;
	struct {
		int64_t at;
		unsigned active;
	} past[PROP_STEPS + 1];
	size_t n_past;
};

static void
letters(const struct judge *j, char out[PROP_HOSTS])
{
	struct topo_service s = { 0 };
	size_t i;

	memset(out, 0, PROP_HOSTS);
	judge_snapshot(j, &s);
	for (i = 0; i < s.n; i++) {
		unsigned k = s.inst[i].addr.ip[3] - 1u;

		assert_true(k < PROP_HOSTS);
		assert_int_equal(out[k], 0);
		out[k] = letter(&s.inst[i]);
		assert_int_not_equal(out[k], '?');
		if (i > 0)
			assert_true(topo_instance_cmp(&s.inst[i - 1], &s.inst[i]) < 0);
	}
	snapshot_free(&s);
}

static bool
is_active_letter(char c)
{
	return c != 0 && c != 'D';
}

/* `proof`: the step was a round that proved something. `word`: the operator's, or -1. */
static void
check_step(const struct fx *f, struct memory *m, bool proof, int word)
{
	unsigned fresh = 0, stood = 0, added = 0, active = 0, base, allowed;
	char now[PROP_HOSTS];
	size_t i;

	letters(f->j, now);
	base = m->active;
	for (i = 0; i < m->n_past; i++)
		if (m->past[i].at > f->now - f->conf.shrink_window_ms && m->past[i].active > base)
			base = m->past[i].active;
	for (i = 0; i < PROP_HOSTS; i++) {
		char a = m->was[i], b = now[i];

		active += is_active_letter(b);
		if (a == b)
			continue;
		if (b == 0) {
			assert_int_equal(a, 'D');
			assert_true(proof || word == JUDGE_RELEASE);
			assert_true(f->now - m->since[i] >= f->conf.remove_hold_ms);
		}
		if (b == 'D') {
			assert_true(proof || word >= 0);
			if (word != JUDGE_APPROVE) {
				assert_int_not_equal(a, 'E');
				if (a == 'S')
					assert_true(f->now - m->since[i] >= f->conf.shrink_hold_ms);
			}
			stood += a == 'S';
			fresh += a != 'S';
		}
		if (b == 'S' || b == 'E' || b == 'F')
			assert_true(is_active_letter(a));
		added += !is_active_letter(a) && is_active_letter(b);
		m->was[i] = b;
		m->since[i] = f->now;
	}
	if (word == JUDGE_APPROVE) {
		m->n_past = 0;
	} else {
		if (m->active >= f->conf.min_instances)
			assert_true(active >= f->conf.min_instances);
		else
			assert_true(active >= m->active);
		if (base < m->active + added)
			base = m->active + added;
		allowed = base * f->conf.max_shrink / 100;
		if (fresh > 0)
			assert_true(active + stood >= base - (allowed ? allowed : 1));
	}
	assert_true(active <= f->conf.max_instances);
	assert_int_equal(view(f).active, active);
	m->active = active;
	m->past[m->n_past].at = f->now;
	m->past[m->n_past++].active = active;
}

static void
random_round(struct said *s, unsigned n_names, uint64_t truth)
{
	uint64_t mask = truth;
	unsigned i;

	switch (rnd(8)) {
	case 0:
		mask = 0;
		break;
	case 1:
		mask &= rnd(1u << PROP_HOSTS);
		break;
	default:
		break;
	}
	said_init(s, rnd(n_names), mask);
	for (i = 0; i < s->r.list.n; i++)
		s->rows[i].weight = (uint16_t)rnd(3);
	said_tag(s, 0, mask & rnd(1u << PROP_HOSTS));
	if (rnd(5) == 0)
		s->r.list.kind = (enum answer_kind)rnd(ANSWER_SELF_TARGET + 1);
	if (rnd(8) == 0)
		s->r.canary.kind = (enum answer_kind)rnd(ANSWER_SELF_TARGET + 1);
	if (rnd(10) == 0)
		s->r.canary.server = 1;
	if (rnd(6) == 0)
		damage(s, (enum flaw)rnd(FLAWS));
	if (mask == 0 && rnd(4) != 0)
		s->tags[0].kind = ANSWER_NXDOMAIN;
}

static void
random_run(bool with_words)
{
	struct memory m = { 0 };
	struct judge_name_view nv;
	uint64_t truth = rnd(1u << PROP_HOSTS);
	struct said s;
	struct fx f;
	int step;

	fx_init(&f);
	f.conf.n_names = 1 + rnd(3);
	f.conf.n_tags = 1;
	f.conf.tags = tag_names;
	f.conf.min_instances = rnd(4);
	f.conf.max_instances = rnd(4) ? PROP_HOSTS : 8;
	f.conf.max_shrink = rnd(101);
	f.conf.remove_hold_ms = (1 + rnd(120)) * SEC;
	f.conf.shrink_hold_ms = rnd(60) * SEC;
	f.conf.shrink_window_ms = rnd(300) * SEC;
	f.conf.empty_rounds = 1 + rnd(4);
	f.conf.empty_hold_ms = rnd(20) * SEC;
	for (step = 0; step < PROP_STEPS; step++) {
		bool proof;

		if (with_words && rnd(20) == 0) {
			enum judge_word w = (enum judge_word)rnd(JUDGE_RELEASE + 1);

			(void)judge_word(f.j, w, f.now, f.now);
			check_step(&f, &m, false, (int)w);
			continue;
		}
		if (rnd(4) == 0)
			truth ^= 1ull << rnd(PROP_HOSTS);
		if (rnd(60) == 0)
			truth = rnd(1u << PROP_HOSTS);
		f.now += rnd(50) ? 100 + rnd(3000) : (int64_t)rnd(10) * HOUR;
		random_round(&s, (unsigned)f.conf.n_names, truth);
		(void)play(&f, &s);
		judge_name_view(f.j, s.r.name, &nv);
		proof = nv.last == EVIDENCE_COMPLETE || nv.last == EVIDENCE_ABSENCE;
		check_step(&f, &m, proof, -1);
	}
	fx_fini(&f);
}

static void
test_properties(void **state)
{
	const char *given = getenv("C4D_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : 20261121;
	int run;

	print_message("properties: C4D_TEST_SEED=%llu\n", (unsigned long long)seed);
	rnd_state = seed | 1;
	for (run = 0; run < PROP_RUNS; run++)
		random_run(run % 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_properties),
	};

	return cmocka_run_group_tests_name("judge: properties", tests, NULL, NULL);
}
