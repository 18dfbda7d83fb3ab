#include "routing/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "routing/pattern.h"

struct map_run {
	uint64_t scope;
	const char *key;
	const struct rt_row *only; /* of one: a cache line less to wait for */
	uint32_t len;
	uint32_t tag; /* of the hash, so that few foreign keys are looked at */
	uint32_t first, n;
	bool compiled; /* has patterns */
};

struct map_pending {
	struct map_value value;
	uint32_t run;
};

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/*
 * One multiplication a byte, so that each prefix of a number has its hash on the way to the next one. Keys are the operator's: nobody
 * who calls can make them collide.
 */
uint64_t
map_hash_scope(uint64_t scope)
{
	return map_hash_byte(scope * 0x9e3779b97f4a7c15u ^ 0x2545f4914f6cdd1du, 0);
}

uint64_t
map_hash_byte(uint64_t hash, char c)
{
	hash = (hash ^ (unsigned char)c) * 0xff51afd7ed558ccdu;
	return hash ^ hash >> 32;
}

static uint64_t
hash_key(const struct map *m, uint64_t scope, const char *key, size_t len)
{
	uint64_t hash = map_hash_scope(scope);
	size_t i;

	for (i = 0; i < len; i++)
		hash = map_hash_byte(hash, m->fold ? lower(key[i]) : key[i]);
	return hash;
}

static bool
same_text(const struct map *m, const char *a, const char *b, size_t len)
{
	size_t i;

	if (!m->fold)
		return memcmp(a, b, len) == 0;
	for (i = 0; i < len && lower(a[i]) == lower(b[i]); i++)
		;
	return i == len;
}

/* The key's slot, or the empty one where it belongs. */
static uint32_t *
find_slot(const struct map *m, uint64_t hash, uint64_t scope, const char *key, size_t len)
{
	uint32_t i = (uint32_t)hash & m->mask, tag = (uint32_t)(hash >> 32);
	const struct map_run *r;

	for (; m->slots[i] != 0; i = (i + 1) & m->mask) {
		r = &m->runs[m->slots[i] - 1];
		if (r->tag == tag && r->len == len && r->scope == scope && same_text(m, r->key, key, len))
			break;
	}
	return &m->slots[i];
}

int
map_init(struct map *m, size_t n, bool fold)
{
	size_t slots = 4;

	*m = (struct map){ .cap = n, .fold = fold };
	if (n == 0)
		return 0;
	if (n > UINT32_MAX / 4)
		return -ENOMEM;
	while (slots < n + n / 2)
		slots *= 2;
	m->mask = (uint32_t)(slots - 1);
	m->slots = calloc(slots, sizeof *m->slots);
	m->runs = malloc(n * sizeof *m->runs);
	m->pending = calloc(n, sizeof *m->pending);
	if (m->slots == NULL || m->runs == NULL || m->pending == NULL) {
		map_fini(m);
		return -ENOMEM;
	}
	return 0;
}

void
map_add(struct map *m, uint64_t scope, const char *key, size_t len, struct map_value value)
{
	uint64_t hash = hash_key(m, scope, key, len);
	uint32_t *slot = find_slot(m, hash, scope, key, len);

	if (m->n == m->cap)
		abort();
	if (*slot == 0) {
		m->runs[m->n_runs] =
		    (struct map_run){ .scope = scope, .key = key, .len = (uint32_t)len, .tag = (uint32_t)(hash >> 32) };
		*slot = (uint32_t)++m->n_runs;
	}
	m->runs[*slot - 1].n++;
	m->runs[*slot - 1].compiled |= value.pattern != NULL;
	m->pending[m->n++] = (struct map_pending){ value, *slot - 1 };
}

/* Counts become places. */
static void
place_values(struct map *m, struct map_value *out)
{
	struct map_run *r;
	uint32_t first = 0;
	size_t i;

	for (i = 0; i < m->n_runs; i++) {
		m->runs[i].first = first;
		first += m->runs[i].n;
		m->runs[i].n = 0;
	}
	for (i = 0; i < m->n; i++) {
		r = &m->runs[m->pending[i].run];
		out[r->first + r->n++] = m->pending[i].value;
	}
}

static int
keep_values(struct map *m, const struct map_value *v)
{
	bool compiled = false;
	size_t i;

	for (i = 0; i < m->n; i++)
		compiled = compiled || v[i].pattern != NULL;
	m->rows = calloc(m->n + 1, sizeof *m->rows);
	m->patterns = compiled ? calloc(m->n + 1, sizeof *m->patterns) : NULL;
	if (m->rows == NULL || (compiled && m->patterns == NULL)) {
		free(m->patterns);
		m->patterns = NULL;
		return -ENOMEM;
	}
	for (i = 0; i < m->n; i++) {
		m->rows[i] = v[i].row;
		if (compiled)
			m->patterns[i] = v[i].pattern;
	}
	for (i = 0; i < m->n_runs; i++)
		m->runs[i].only = m->rows[m->runs[i].first];
	free(m->pending); /* from here on the patterns are those of m->patterns */
	m->pending = NULL;
	return 0;
}

static int
sort_values(struct map *m, map_cmp *cmp)
{
	struct map_value *v = calloc(m->n, sizeof *v);
	const struct map_run *r;
	int err;

	if (v == NULL)
		return -ENOMEM;
	place_values(m, v);
	for (r = m->runs; cmp != NULL && r < m->runs + m->n_runs; r++)
		if (r->n > 1)
			qsort(v + r->first, r->n, sizeof *v, cmp);
	err = keep_values(m, v);
	free(v);
	return err;
}

int
map_done(struct map *m, map_cmp *cmp)
{
	void *fitting;
	int err;

	if (m->n == 0)
		return 0;
	err = sort_values(m, cmp);
	if (err != 0)
		return err;
	fitting = realloc(m->runs, m->n_runs * sizeof *m->runs);
	if (fitting != NULL)
		m->runs = fitting;
	return 0;
}

void
map_fini(struct map *m)
{
	size_t i;

	for (i = 0; i < m->n && m->pending != NULL; i++)
		pattern_free(m->pending[i].value.pattern);
	for (i = 0; i < m->n && m->patterns != NULL; i++)
		pattern_free(m->patterns[i]);
	free(m->rows);
	free(m->patterns);
	free(m->pending);
	free(m->runs);
	free(m->slots);
	*m = (struct map){ 0 };
}

size_t
map_bytes(const struct map *m)
{
	size_t i, bytes = m->n_runs * sizeof *m->runs + m->n * sizeof *m->rows;

	if (m->slots != NULL)
		bytes += ((size_t)m->mask + 1) * sizeof *m->slots;
	for (i = 0; m->patterns != NULL && i < m->n; i++)
		bytes += sizeof *m->patterns + (m->patterns[i] != NULL ? pattern_bytes(m->patterns[i]) : 0);
	return bytes;
}

static const struct map_run *
find_run(const struct map *m, uint64_t hash, uint64_t scope, const char *key, size_t len)
{
	uint32_t slot = m->n > 0 ? *find_slot(m, hash, scope, key, len) : 0;

	return slot != 0 ? &m->runs[slot - 1] : NULL;
}

struct map_values
map_find_hash(const struct map *m, uint64_t hash, uint64_t scope, const char *key, size_t len)
{
	const struct map_run *r = find_run(m, hash, scope, key, len);

	if (r == NULL)
		return (struct map_values){ .n = 0 };
	return (struct map_values){
		r->n == 1 ? &r->only : m->rows + r->first, r->compiled ? m->patterns + r->first : NULL, r->n
	};
}

struct map_values
map_find(const struct map *m, uint64_t scope, const char *key, size_t len)
{
	return map_find_hash(m, hash_key(m, scope, key, len), scope, key, len);
}

bool
map_has(const struct map *m, uint64_t scope, const char *key, size_t len)
{
	return find_run(m, hash_key(m, scope, key, len), scope, key, len) != NULL;
}

int
map_position(const struct map *m, uint64_t scope, const char *key, size_t len)
{
	const struct map_run *r = find_run(m, hash_key(m, scope, key, len), scope, key, len);

	return r != NULL ? (int)r->first : -1;
}
