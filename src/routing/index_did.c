/*
 * index_did: DIDs by their literal prefix; of 100,000 DIDs two or three are looked at for a call.
 */
#include "routing/index_int.h"

#include <errno.h>

#include "base/worker.h"

static int
cmp_dids(const void *a, const void *b)
{
	const struct rt_row *x = ((const struct map_value *)a)->row, *y = ((const struct map_value *)b)->row;

	if (x->v[DID_IPBX].i != y->v[DID_IPBX].i)
		return x->v[DID_IPBX].i < y->v[DID_IPBX].i ? -1 : 1;
	return x->v[DID_ID].i < y->v[DID_ID].i ? -1 : 1;
}

int
build_dids(struct builder *b)
{
	const struct rt_list *list = &b->data->t[RT_DIDS];
	struct rt_index *ix = b->ix;
	struct pattern_shape shape;
	struct map_value value;
	const char *regex;
	size_t i;

	if (map_init(&ix->dids, list->n, false) != 0)
		return -ENOMEM;
	for (i = 0; i < list->n; i++) {
		value = (struct map_value){ .row = list->v[i] };
		regex = value.row->v[DID_REGEX].s;
		worker_breathe();
		if (!build_pattern(b, value.row, DID_REGEX, &value.pattern))
			continue;
		if (value.row->v[DID_IPBX].i == RT_NULL) {
			pattern_free(value.pattern);
			continue;
		}
		pattern_shape(regex, &shape);
		lengths_set(&ix->did_lengths, shape.len);
		map_add(&ix->dids, 0, regex + (*regex == '^'), shape.len, value);
	}
	return map_done(&ix->dids, cmp_dids);
}

static bool
did_matches(const struct map_values *dids, size_t i, const char *number, size_t len)
{
	if (dids->patterns != NULL && dids->patterns[i] != NULL)
		return pattern_match(dids->patterns[i], number, len);
	return literal_match(dids->rows[i]->v[DID_REGEX].s, number, len);
}

const struct rt_row *
rt_index_did(const struct rt_index *ix, const char *number, size_t len, rt_take_cb *take, void *arg)
{
	struct prefix_hashes hashes;
	struct map_values dids;
	uint64_t limit;
	size_t i;
	int n;

	if (len > RT_NUMBER_MAX)
		return NULL;
	limit = pattern_limited() + LIMITED_MAX;
	prefix_hashes(&hashes, 0, number, len);
	for (n = lengths_longest(&ix->did_lengths, (int)len); n >= 0; n = lengths_longest(&ix->did_lengths, n - 1)) {
		dids = map_find_hash(&ix->dids, hashes.hash[n], 0, number, (size_t)n);
		for (i = 0; i < dids.n; i++) {
			if (did_matches(&dids, i, number, len) && (take == NULL || take(arg, dids.rows[i])))
				return dids.rows[i];
			if (dids.patterns != NULL && pattern_limited() >= limit)
				return NULL;
		}
	}
	return NULL;
}
