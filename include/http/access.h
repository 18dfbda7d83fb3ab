/*
 * access: who may use the REST interface. Nothing configured: everyone when http.listen is on loopback only, else nobody.
 * routing.token_file: who sends its word as X-Auth-Token. routing.auth_url: who sends a token that this wazo-auth knows; he sees
 * his tenants only. Its answers are kept for 10 s (refusals 1 s), by the token's SHA-256; requests with the same token share one
 * question. When it can't be asked, nobody is let in.
 */
#ifndef HTTP_ACCESS_H
#define HTTP_ACCESS_H

#include "base/worker.h"
#include "config/conf.h"

#define ACCESS_TENANTS_MAX 10000 /* of one principal */

struct access;

struct principal {
	bool limited;   /* to these tenants; else it may do everything */
	bool anonymous; /* no token was asked for */
	const char (*tenants)[37]; /* lower case, sorted */
	size_t n;
};

/* status 0: the principal is let in (lent); else the HTTP status of the refusal and its detail. */
typedef void access_cb(void *arg, int status, const char *detail, const struct principal *);

MUST_USE int access_new(struct access **out, struct loop *, struct worker *, const struct conf *);
MUST_USE int access_set_conf(struct access *, const struct conf *); /* -EINVAL: routing.auth_url; nobody is let in then */
void access_free(struct access *); /* NULL is fine; those who wait are refused (503) from within */

/* The headers X-Auth-Token and Wazo-Tenant, NULL without; copied. The callback runs from the loop, never inside the call. */
void access_check(struct access *, const char *token, const char *tenant, access_cb *, void *arg);

bool principal_has(const struct principal *, const char *tenant_uuid); /* NULL: false when limited */

#endif
