/*
 * flat: what nearly every body of a question is, read in a tenth of the time that jansson takes for it: one JSON object of few
 * members, of plain ASCII and whole numbers, nothing nested. Anything else, and all that is wrong, is left to jansson. Pure.
 */
#ifndef FLAT_H
#define FLAT_H

#include <jansson.h>

#include "base/text.h"

#define FLAT_MAX 32 /* members */

enum flat_kind { FLAT_MISSING, FLAT_NULL, FLAT_BOOL, FLAT_INT, FLAT_TEXT, FLAT_OTHER };

struct flat_value {
	enum flat_kind kind;
	int64_t i;     /* of booleans and numbers */
	const char *s; /* of texts, with a NUL behind it */
	size_t len;
};

struct flat {
	struct {
		const char *key;
		size_t len;
		struct flat_value value;
	} members[FLAT_MAX];
	size_t n;
};

/* False: ask jansson. It changes the text, and needs a NUL behind it. */
bool flat_read(struct flat *, char *text, size_t len);
void flat_get(const struct flat *, const char *key, struct flat_value *out);
/* The same of what jansson read; NULL: missing. */
void flat_of_json(const json_t *, struct flat_value *out);

#endif
