#include "topology/flap.h"

#define PENALTY_MAX 1000000000LL /* in thousandths: so that a product with a root fits 64 bits */

/* penalty * 2^-(ms / half_life) */
static int64_t
decay(int64_t penalty, int64_t ms, int64_t half_life_ms)
{
	/* 2^-(1/2), 2^-(1/4), 2^-(1/8), ... in 2^-32: what is left of a half-life is a sum of such parts */
	static const uint32_t roots[] = {
		0xb504f333, 0xd744fcca, 0xeac0c6e7, 0xf5257d15, 0xfa83b2db, 0xfd3e0c0c, 0xfe9e115c, 0xff4ecb59,
		0xffa75652, 0xffd3a751, 0xffe9d2b2, 0xfff4e91b, 0xfffa747e, 0xfffd3a3b, 0xfffe9d1c, 0xffff4e8e,
	};
	uint64_t part, factor = 1ull << 32;
	size_t i;

	if (ms <= 0 || penalty == 0)
		return penalty;
	if (ms / half_life_ms >= 63)
		return 0;
	part = (uint64_t)(ms % half_life_ms) * 65536 / (uint64_t)half_life_ms;
	for (i = 0; i < NELEM(roots); i++)
		if (part & (0x8000u >> i))
			factor = factor * roots[i] >> 32;
	return (int64_t)((uint64_t)(penalty >> (ms / half_life_ms)) * factor >> 32);
}

/*
 * From here it decays below flap_reuse within flap_max. Where the limits leave no room for that, one can be suppressed
 * all the same (it has decayed a little when it comes back): then flap_max alone ends it.
 */
static int64_t
ceiling(const struct judge_conf *c)
{
	int64_t lo = (c->flap_suppress + FLAP_GOING) * 1000, hi = PENALTY_MAX;

	while (lo < hi) {
		int64_t mid = lo + (hi - lo + 1) / 2;

		if (decay(mid, c->flap_max_ms, c->flap_half_life_ms) < c->flap_reuse * 1000)
			lo = mid;
		else
			hi = mid - 1;
	}
	return lo;
}

int64_t
flap_penalty(const struct flap *f, const struct judge_conf *c, int64_t now_ms)
{
	int64_t age = now_ms > f->at_ms ? now_ms - f->at_ms : 0;
	int64_t p = decay(f->penalty, age, c->flap_half_life_ms), limit = c->flap_reuse * 1000;

	return age >= c->flap_max_ms && p >= limit ? limit - 1 : p;
}

void
flap_going(struct flap *f, const struct judge_conf *c, int64_t now_ms)
{
	int64_t p = flap_penalty(f, c, now_ms), max = ceiling(c);

	if (p < FLAP_FORGET * 1000) {
		p = 0;
		f->goings = 0;
	}
	f->goings++;
	f->at_ms = now_ms;
	f->penalty = p + FLAP_GOING * 1000 < max ? p + FLAP_GOING * 1000 : max;
}

int64_t
flap_reuse_in(const struct flap *f, const struct judge_conf *c, int64_t now_ms)
{
	int64_t lo = 0, hi = c->flap_max_ms;

	while (lo < hi) {
		int64_t mid = lo + (hi - lo) / 2;

		if (flap_penalty(f, c, now_ms + mid) < c->flap_reuse * 1000)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}
