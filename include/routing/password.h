/*
 * password: is this the password? Of plain text at once; of a PBKDF2-SHA512 hash (64 hex digits of salt, taken as text, and 128 of 100,000
 * rounds: what wazo-router-confd stores) by the worker, in slices of about a millisecond, so that nothing else waits for it. What was verified once is
 * remembered (by its digest, in memory, 1,000 at most, 10 minutes), so that a phone that registers again costs nothing.
 */
#ifndef ROUTING_PASSWORD_H
#define ROUTING_PASSWORD_H

#include "base/worker.h"

#define PASSWORD_HASH_LEN 192

struct passwords;

MUST_USE int passwords_new(struct passwords **out, struct loop *, struct worker *);
void passwords_free(struct passwords *); /* NULL is fine; what is under way ends without a word */
/* The callback runs from the loop, never inside the call. At most 64 wait; -EBUSY then. */
typedef void password_cb(void *arg, bool right);
MUST_USE int passwords_verify(struct passwords *, const char *stored, const char *given, password_cb *, void *arg);

bool password_is_hash(const char *); /* 192 lower-case hex digits */
bool password_equal(const char *a, const char *b); /* in a time that does not depend on where they differ */
void password_hash(const char *password, const char salt[64], char out[PASSWORD_HASH_LEN + 1]); /* takes 100 ms: tests only */
void password_ha1(const char *username, const char *domain, const char *password, char out[33]);

#endif
