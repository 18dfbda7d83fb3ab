/*
 * dry: what the `register` sections would change at Consul's agent. The agent is asked once, for what it has, and told nothing;
 * neither is the store, which only the daemon may open: what an operator switched off, or put into maintenance, is not known here.
 *
 * Nothing calls back: done() is looked at until it says so, which is within 4 s.
 */
#ifndef REGISTRAR_DRY_H
#define REGISTRAR_DRY_H

#include "base/worker.h"
#include "config/conf.h"

struct dry;

struct dry_step { /* lent for the call */
	const char *name;   /* the section; "": none */
	const char *op;     /* "register" "change" "deregister" "remove check" "end maintenance"; no changes: "keep" "wait" "leave alone" */
	const char *id;     /* of the registration, or of its check; "": not known yet */
	const char *detail; /* for people; "" */
	bool changes;
};
typedef void dry_cb(void *arg, const struct dry_step *);

/* Asks at once. conf must live as long. -EINVAL: consul.http or ari.url can't be used. */
MUST_USE int dry_new(struct dry **out, struct loop *, struct worker *, const struct conf *, const char *machine_id);
void dry_free(struct dry *); /* NULL is fine */
bool dry_done(const struct dry *);
const char *dry_why(const struct dry *); /* why the agent can't be asked; "": it answered */
void dry_steps(const struct dry *, dry_cb *, void *arg); /* none when it did not */

#endif
