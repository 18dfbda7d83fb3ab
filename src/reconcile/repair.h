/*
 * repair: counts how often the same thing had to be put right. Three times in a minute is a war with somebody
 * else, which nobody wins. Zero-initialise. Pure.
 */
#ifndef RECONCILE_REPAIR_H
#define RECONCILE_REPAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPAIR_SPAN_MS 60000
#define REPAIR_MAX 3

struct repair {
	char *key;
	int64_t at_ms[REPAIR_MAX];
	unsigned n;
};

struct repairs {
	struct repair *v;
	size_t n, cap;
};

/* Takes the key. True: this was the REPAIR_MAX'th within REPAIR_SPAN_MS (and the count begins anew). */
bool repair_note(struct repairs *, char *takes_key, int64_t now_ms);
void repair_forget(struct repairs *); /* all of them */

#endif
