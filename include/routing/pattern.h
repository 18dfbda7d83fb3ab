/*
 * pattern: regular expressions of DIDs, rules and normalization; the only user of PCRE2, interpreted and with limits, so that no pattern
 * can stall a call. What is only literal never gets there. Pure; a pattern may be used by one thread at a time.
 */
#ifndef ROUTING_PATTERN_H
#define ROUTING_PATTERN_H

#include "base/text.h"

#define PATTERN_PREFIX_MAX 128

/* What each match of the regular expression begins with, if it is matched at the start of a number. */
struct pattern_shape {
	char prefix[PATTERN_PREFIX_MAX + 1]; /* letters and digits; "" for "12|34", "1?2"; "12" for "12?" is "1" */
	size_t len;
	bool literal; /* nothing else: it matches what begins with prefix, */
	bool end;     /* or, with '$', what equals it */
};
void pattern_shape(const char *regex, struct pattern_shape *);

struct pattern;
/* -EINVAL: `why` says what is wrong, and where. */
MUST_USE int pattern_new(struct pattern **out, const char *regex, char *why, size_t size);
void pattern_free(struct pattern *); /* NULL is fine */
size_t pattern_bytes(const struct pattern *);
/* At the start of the text, as Python's re.match. A match that runs into its limits is none, and counted. */
bool pattern_match(const struct pattern *, const char *text, size_t len);
uint64_t pattern_limited(void); /* times, of all patterns, that a match or a replacement ran into its limits */
/*
 * As Python's re.sub: every match, anywhere, becomes the replacement, in which \1..\99 and \g<1>, \g<name> stand for groups. Returns the
 * length; more than `size` - 1 bytes, limits and a replacement that does not pass the check leave the text as it was (`size` is more than `len`).
 */
size_t pattern_sub(const struct pattern *, const char *replacement, const char *text, size_t len, char *out, size_t size);
/*
 * Has the pattern its groups, and may its letters stand in a SIP URI? A pattern of NULL has no groups (a literal that was not compiled).
 */
bool pattern_check_replacement(const struct pattern *, const char *replacement, char *why, size_t size);

#endif
