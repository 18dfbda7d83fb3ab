/*
 * judge, properties: random rounds, words, drains, flaps and pauses against a memory of the test's
 * own, which knows only what was visible. The seed is printed; C4D_TEST_SEED sets it.
 */
#include "judge_fx.h"

#define PROP_HOSTS 14
#define PROP_RUNS 300
#define PROP_STEPS 400
#define TIMES_MAX 64

/* Besides the judge's words. */
enum { WORD_NONE = -1, WORD_DRAIN = JUDGE_RELEASE + 1, WORD_UNDRAIN, WORD_ROLLBACK, WORDS };

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
	int64_t changed[PROP_HOSTS][TIMES_MAX]; /* when it came into the list or left it */
	unsigned n_changed[PROP_HOSTS];
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
	return c != 0 && strchr("DPOT", c) == NULL;
}

/* Out because somebody means it to go: no loss to the shrink guard, now or later. */
static bool
is_drained_now(char was, char is, int word)
{
	return is_active_letter(was) && (is == 'O' || is == 'T' || (is == 'D' && word == WORD_DRAIN));
}

static void
lower(struct memory *m)
{
	size_t i;

	for (i = 0; i < m->n_past; i++)
		if (m->past[i].active > 0)
			m->past[i].active--;
}

/* What damping says of itself agrees with what is to be seen. */
static void
check_damping(const struct fx *f, unsigned i, char is)
{
	struct judge_flap_view v;
	struct topo_addr a = host(i);
	bool any = judge_flap_view(f->j, &a, f->now, &v);

	if (is == 'P' && !view(f).frozen) /* frozen, it stays so beyond its time */
		assert_true(f->conf.flap_suppress > 0 && any && v.damped && v.kept_in == NULL);
	if (is == 'U' && any && v.damped)
		assert_non_null(v.kept_in);
	if (any && v.penalty > v.reuse)
		assert_true(v.reuse_in_ms > 0);
}

/* Both ways are a reload in Kamailio: at most so many in an hour, for each of them. */
static void
check_structural(const struct fx *f, struct memory *m, unsigned i)
{
	unsigned n = 0, k;

	m->changed[i][m->n_changed[i]++ % TIMES_MAX] = f->now;
	for (k = 0; k < m->n_changed[i] && k < TIMES_MAX; k++)
		n += m->changed[i][k] > f->now - HOUR;
	if (f->conf.flap_suppress > 0 && f->conf.max_instances >= PROP_HOSTS)
		assert_true(n <= 12);
}

/* `proof`: the step was a round that proved something. `word`: the operator's, or WORD_NONE. */
static void
check_step(const struct fx *f, struct memory *m, bool proof, int word)
{
	unsigned fresh = 0, stood = 0, added = 0, drained = 0, active = 0, base, allowed;
	char now[PROP_HOSTS];
	size_t i;

	letters(f->j, now);
	for (i = 0; i < PROP_HOSTS; i++)
		if (is_drained_now(m->was[i], now[i], word)) {
			lower(m);
			drained++;
		}
	base = m->active - drained;
	for (i = 0; i < m->n_past; i++)
		if (m->past[i].at > f->now - f->conf.shrink_window_ms && m->past[i].active > base)
			base = m->past[i].active;
	for (i = 0; i < PROP_HOSTS; i++) {
		char a = m->was[i], b = now[i];

		active += is_active_letter(b);
		check_damping(f, (unsigned)i, b);
		if (a == b)
			continue;
		m->was[i] = b;
		if ((a == 0) != (b == 0) && word != WORD_ROLLBACK)
			check_structural(f, m, (unsigned)i);
		if (word == WORD_ROLLBACK || is_drained_now(a, b, word)) {
			m->since[i] = f->now;
			continue;
		}
		if (b == 0) {
			assert_int_equal(a, 'D');
			assert_true(proof || word == JUDGE_RELEASE || word == JUDGE_APPROVE);
			assert_true(f->now - m->since[i] >= f->conf.remove_hold_ms);
		}
		if (is_active_letter(a) && (b == 'D' || b == 'P')) {
			assert_true(proof || word >= 0);
			if (word != JUDGE_APPROVE && b == 'D') {
				assert_int_not_equal(a, 'E');
				if (a == 'S')
					assert_true(f->now - m->since[i] >= f->conf.shrink_hold_ms);
			}
			stood += a == 'S' && b == 'D';
			fresh += a != 'S' || b == 'P';
		}
		if (b == 'S' || b == 'E' || b == 'F')
			assert_true(is_active_letter(a));
		if (b == 'P')
			assert_true(proof || word >= 0 || !is_active_letter(a));
		added += !is_active_letter(a) && is_active_letter(b);
		m->since[i] = f->now;
	}
	if (word == JUDGE_APPROVE || word == WORD_ROLLBACK) {
		m->n_past = 0;
	} else {
		/* Nothing but the operator's word on a loss goes below the floor. */
		if (m->active >= f->conf.min_instances)
			assert_true(active >= f->conf.min_instances);
		else
			assert_true(active >= m->active);
		if (base < m->active - drained + added)
			base = m->active - drained + added;
		allowed = base * f->conf.max_shrink / 100;
		if (fresh > 0)
			assert_true(active + stood >= base - (allowed ? allowed : 1));
	}
	assert_true(active <= f->conf.max_instances || word == WORD_ROLLBACK);
	assert_int_equal(view(f).active, active);
	m->active = active;
	m->past[m->n_past].at = f->now;
	m->past[m->n_past++].active = active;
}

/* What the operator may ask for: the floor is looked at by who asks the judge. */
static void
random_word(struct fx *f, struct memory *m)
{
	int word = (int)rnd(WORDS);
	struct topo_instance v[PROP_HOSTS];
	unsigned i = rnd(PROP_HOSTS);
	struct topo_addr a = host(i);
	size_t n = 0;

	switch (word) {
	case WORD_DRAIN:
		if (!is_active_letter(m->was[i]) || judge_left_without(f->j, &a) >= f->conf.min_instances)
			(void)judge_drain(f->j, &a, (int64_t)rnd(2), f->now, f->now);
		break;
	case WORD_UNDRAIN:
		(void)judge_undrain(f->j, &a, f->now, f->now);
		break;
	case WORD_ROLLBACK:
		memset(v, 0, sizeof v);
		for (i = 0; i < PROP_HOSTS && n < f->conf.max_instances; i++)
			if (rnd(2)) {
				v[n].addr = host(i);
				v[n++].state = rnd(4) ? TOPO_UP : TOPO_DISABLED;
			}
		judge_rollback(f->j, v, n, f->now, f->now);
		break;
	default:
		(void)judge_word(f->j, (enum judge_word)word, f->now, f->now);
	}
	check_step(f, m, false, word);
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
	said_tag(s, 1, mask & rnd(1u << PROP_HOSTS) & rnd(1u << PROP_HOSTS));
	if (rnd(5) == 0)
		s->r.list.kind = (enum answer_kind)rnd(ANSWER_SELF_TARGET + 1);
	if (rnd(8) == 0)
		s->r.canary.kind = (enum answer_kind)rnd(ANSWER_SELF_TARGET + 1);
	if (rnd(10) == 0)
		s->r.canary.server = 1;
	if (rnd(6) == 0)
		damage(s, (enum flaw)rnd(FLAWS));
	if (mask == 0 && rnd(4) != 0)
		s->tags[0].kind = s->tags[1].kind = ANSWER_NXDOMAIN;
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
	f.conf.n_tags = 2;
	f.conf.tags = tag_names;
	f.conf.drain_tag = rnd(2) ? tag_names[1] : NULL;
	f.conf.flap_suppress = rnd(4) ? 1000 + rnd(3000) : 0;
	f.conf.flap_reuse = 1 + rnd(1000);
	f.conf.flap_half_life_ms = (1 + rnd(600)) * SEC;
	f.conf.flap_max_ms = (1 + rnd(1800)) * SEC;
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
			random_word(&f, &m);
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
		check_step(&f, &m, proof, WORD_NONE);
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
