/*
 * deciding: what the parts of a decision share while it is made. Nothing of it outlives rt_decide().
 */
#ifndef DECIDING_H
#define DECIDING_H

#include "routing/decide.h"
#include "routing/index.h"
#include "routing/uri.h"

#define RT_USER_MAX 512 /* bytes of a URI's user: more than a request can have */

struct deciding {
	const struct rt_data *d;
	const struct rt_request *rq;
	const struct rt_env *env;
	struct rt_decision *out;
	struct rt_uri from, to;
	bool from_split, to_split;
	/* Normalized by the caller's profile; of more letters and digits than RT_NUMBER_MAX: the user as it was, without its %XX. */
	struct rt_slice from_number, to_number;
	char from_space[RT_USER_MAX], to_space[RT_USER_MAX];
	const char *from_display, *to_display;
};

/* A line of the explanation; nothing is formatted when nobody listens. */
#define SAY(env, level, ...)                                  \
	do {                                                  \
		if ((env)->trace != NULL)                     \
			deciding_say((env), (level), __VA_ARGS__); \
	} while (0)
void deciding_say(const struct rt_env *, int level, const char *fmt, ...) PRINTF(3, 4);
/* "IPBX 3 pbx.example.com", "trunk 4 east", "rule 5 prefix 39040"; of explanations only. */
const char *deciding_name(const struct rt_row *, char out[192]);

/* An authentication without a password. */
void deciding_authenticate(const struct rt_data *, const struct rt_request *, const struct rt_env *, struct rt_auth *);

/* Each adds what the row or service leads to, as far as it is not in the list yet, there is room, and it is well-formed. */
void deciding_add_ipbx(struct deciding *, const struct rt_row *ipbx, const struct rt_row *rule);
void deciding_add_trunk(struct deciding *, const struct rt_row *trunk, const struct rt_row *rule);
void deciding_add_destination(struct deciding *, const struct rt_row *rule);

/* By the caller's tenant's rules, or its first trunk. `parallel`: all that was added may be called at once. */
void deciding_outbound(struct deciding *, bool *parallel);

static inline bool
is_given(const char *s)
{
	return s != NULL && s[0] != '\0';
}

#endif
