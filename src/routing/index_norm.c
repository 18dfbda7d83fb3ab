/*
 * index_norm: normalization of numbers: a profile's rules by their literal prefix, merged in the order in which they apply.
 */
#include "routing/index_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/worker.h"

static uint64_t
norm_scope(int64_t profile, int type)
{
	return (uint64_t)profile * 2 + (type == RT_NORM_OUT);
}

static int
cmp_rows(const struct rt_row *x, const struct rt_row *y)
{
	if (x->v[NORM_PRIORITY].i != y->v[NORM_PRIORITY].i)
		return x->v[NORM_PRIORITY].i < y->v[NORM_PRIORITY].i ? -1 : 1;
	return x->v[NORM_ID].i < y->v[NORM_ID].i ? -1 : 1;
}

static int
cmp_norms(const void *a, const void *b)
{
	return cmp_rows(((const struct map_value *)a)->row, ((const struct map_value *)b)->row);
}

static const char *
replace_of(const struct rt_row *rule)
{
	return rule->v[NORM_REPLACE].s != NULL ? rule->v[NORM_REPLACE].s : "";
}

/* ---- building ---- */

/* "^00" becomes "+" at the beginning, without any pattern. */
static bool
is_simple(const struct rt_row *rule)
{
	struct pattern_shape shape;

	pattern_shape(rule->v[NORM_REGEX].s, &shape);
	return shape.literal && *rule->v[NORM_REGEX].s == '^' &&
	    strchr(replace_of(rule), '\\') == NULL;
}

static bool
make_norm(struct builder *b, const struct rt_row *rule, struct pattern **out)
{
	char why[256] = "";

	*out = NULL;
	if (!is_simple(rule) && pattern_new(out, rule->v[NORM_REGEX].s, why, sizeof why) != 0) {
		build_report(b, rule, NORM_REGEX, "is no regular expression: %s", why);
		return false;
	}
	if (pattern_check_replacement(*out, replace_of(rule), why, sizeof why))
		return true;
	build_report(b, rule, NORM_REPLACE, "can't replace what match_regex matches: %s", why);
	pattern_free(*out);
	return false;
}

int
build_norms(struct builder *b)
{
	const struct rt_list *list = &b->data->t[RT_NORM_RULES];
	struct rt_index *ix = b->ix;
	struct pattern_shape shape;
	struct map_value value;
	const char *regex;
	int64_t id;
	size_t i;
	int at, type;

	ix->profile = xcalloc(b->data->t[RT_PROFILES].n + 1, sizeof *ix->profile);
	if (map_init(&ix->norms, list->n, false) != 0)
		return -ENOMEM;
	for (i = 0; i < list->n; i++) {
		value = (struct map_value){ .row = list->v[i] };
		id = value.row->v[NORM_PROFILE].i;
		type = value.row->v[NORM_TYPE].i == RT_NORM_OUT ? RT_NORM_OUT : RT_NORM_IN;
		at = map_position(&ix->profile_ids, (uint64_t)id, "", 0);
		worker_breathe();
		if (!make_norm(b, value.row, &value.pattern))
			continue;
		if (at < 0) {
			pattern_free(value.pattern);
			continue;
		}
		regex = value.row->v[NORM_REGEX].s;
		pattern_shape(regex, &shape);
		lengths_set(&ix->profile[at].lengths[type - 1], shape.len);
		map_add(&ix->norms, norm_scope(id, type), regex + (*regex == '^'), shape.len, value);
	}
	return map_done(&ix->norms, cmp_norms);
}

/* ---- use ---- */

/* Two buffers that take turns. */
struct number {
	char buf[2][RT_NUMBER_MAX + 1];
	int at;
	size_t len;
};

static void
apply_simple(struct number *n, const struct rt_row *rule)
{
	const char *regex = rule->v[NORM_REGEX].s, *replace = replace_of(rule);
	char *out = n->buf[1 - n->at];
	size_t skip = strcspn(regex + 1, "$"), put = strlen(replace);

	if (!literal_match(regex, n->buf[n->at], n->len) || put + n->len - skip > RT_NUMBER_MAX)
		return;
	memcpy(out, replace, put); /* NOLINT(bugprone-not-null-terminated-result): has its length */
	memcpy(out + put, n->buf[n->at] + skip, n->len - skip);
	n->len += put - skip;
	n->at = 1 - n->at;
}

static void
apply(struct number *n, const struct rt_row *rule, const struct pattern *pattern)
{
	if (pattern == NULL) {
		apply_simple(n, rule);
		return;
	}
	n->len = pattern_sub(pattern, replace_of(rule), n->buf[n->at], n->len, n->buf[1 - n->at], sizeof n->buf[0]);
	n->at = 1 - n->at;
}

/* The runs of rules for the number's prefixes; how many. */
static size_t
find_runs(const struct rt_index *ix, const struct rt_row *profile, int type, const struct number *n, struct map_values *runs)
{
	const uint64_t scope = norm_scope(profile->v[PROFILE_ID].i, type);
	int at = map_position(&ix->profile_ids, (uint64_t)profile->v[PROFILE_ID].i, "", 0), len;
	const struct lengths *lengths;
	struct prefix_hashes hashes;
	size_t count = 0;

	if (at < 0)
		return 0;
	lengths = &ix->profile[at].lengths[type - 1];
	len = lengths_longest(lengths, (int)n->len);
	if (len < 0)
		return 0;
	prefix_hashes(&hashes, scope, n->buf[n->at], (size_t)len);
	for (; len >= 0; len = lengths_longest(lengths, len - 1)) {
		runs[count] = map_find_hash(&ix->norms, hashes.hash[len], scope, n->buf[n->at], (size_t)len);
		count += runs[count].n > 0;
	}
	return count;
}

static void
apply_runs(struct number *n, struct map_values *runs, size_t count)
{
	uint64_t limit = pattern_limited() + LIMITED_MAX;
	struct map_values *first;
	size_t i;

	while (count > 0 && pattern_limited() < limit) {
		first = &runs[0];
		for (i = 1; i < count; i++)
			if (cmp_rows(runs[i].rows[0], first->rows[0]) < 0)
				first = &runs[i];
		apply(n, first->rows[0], first->patterns != NULL ? first->patterns[0] : NULL);
		first->rows++;
		if (first->patterns != NULL)
			first->patterns++;
		if (--first->n == 0)
			*first = runs[--count];
	}
}

static bool
is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

size_t
rt_index_normalize(const struct rt_index *ix, const struct rt_row *profile, int type, const char *number, size_t len, char *out)
{
	struct map_values runs[RT_NUMBER_MAX + 1];
	struct number n;
	size_t i, plus;

	n.at = 0;
	n.len = 0;
	for (i = 0; i < len; i++) {
		if (!is_alnum(number[i]))
			continue;
		if (n.len == RT_NUMBER_MAX) {
			*out = '\0';
			return 0;
		}
		n.buf[0][n.len++] = number[i];
	}
	if (profile != NULL)
		apply_runs(&n, runs, find_runs(ix, profile, type, &n, runs));
	plus = profile != NULL && type == RT_NORM_OUT && profile->v[PROFILE_ALWAYS_PLUS].i == 1 && n.len > 0 && n.buf[n.at][0] != '+';
	*out = '+';
	memcpy(out + plus, n.buf[n.at], n.len);
	out[plus + n.len] = '\0';
	return plus + n.len;
}
