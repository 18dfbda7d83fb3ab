/*
 * map: many values for a key of (scope, text), found by one probe; compiled once, then read only. The keys' texts are lent and must
 * live as long. Pure.
 *   map_init(&m, n, fold); n times map_add(&m, ...); map_done(&m, cmp); then map_find().
 */
#ifndef ROUTING_MAP_H
#define ROUTING_MAP_H

#include "base/text.h"

struct pattern;
struct rt_row;

struct map_value {
	const struct rt_row *row;
	struct pattern *pattern; /* owned by the map; NULL: none */
};

struct map_run;
struct map_pending;
struct map {
	struct map_run *runs; /* one for each key */
	size_t n_runs;
	uint32_t *slots; /* index of a run + 1; open addressing */
	uint32_t mask;
	const struct rt_row **rows; /* run after run; */
	struct pattern **patterns;  /* of each; NULL: no row has any */
	size_t n, cap;
	bool fold; /* letters of keys in any case */
	struct map_pending *pending; /* until it is done */
};

/* For at most `n` values. -ENOMEM. */
MUST_USE int map_init(struct map *, size_t n, bool fold);
void map_add(struct map *, uint64_t scope, const char *key, size_t len, struct map_value); /* takes the pattern */
/* Values of a key get into the order of `cmp` (of two struct map_value, never equal); NULL: as they were added. -ENOMEM. */
typedef int map_cmp(const void *, const void *);
MUST_USE int map_done(struct map *, map_cmp *);
void map_fini(struct map *); /* zeroed and half-built ones are fine */
size_t map_bytes(const struct map *); /* with patterns */

struct map_values {
	const struct rt_row *const *rows;
	struct pattern *const *patterns; /* NULL: none has one */
	size_t n;
};
bool map_has(const struct map *, uint64_t scope, const char *key, size_t len); /* also before it is done */
/* The place of the first value among all: the number of the map_add() when no key has two. -1: none. */
int map_position(const struct map *, uint64_t scope, const char *key, size_t len);
struct map_values map_find(const struct map *, uint64_t scope, const char *key, size_t len);

/* The same with the hash made by the caller: of a number's prefixes, all in one go. */
uint64_t map_hash_scope(uint64_t scope);
uint64_t map_hash_byte(uint64_t hash, char c); /* not folded */
struct map_values map_find_hash(const struct map *, uint64_t hash, uint64_t scope, const char *key, size_t len);

#endif
