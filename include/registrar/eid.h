/*
 * eid: endpoint ids. "machine": SHA-256 of the machine-id with c4d's own key in front, 32 hex digits of it, so that the
 * machine-id itself, which is confidential (machine-id(5)), is never told. "asterisk": what ARI's asterisk/info says as
 * system.entity_id, asked again until it answers, and every 10 s then.
 */
#ifndef REGISTRAR_EID_H
#define REGISTRAR_EID_H

#include "base/worker.h"
#include "config/conf.h"

#define EID_TEXT 128

struct eid;
typedef void eid_cb(void *arg); /* from the loop: it has become known, or another */

void eid_of_machine(const char *machine_id, char out[EID_TEXT]); /* "" for "" */
/* Of Asterisk. conf must live as long. -EINVAL: ari.url can't be used. */
MUST_USE int eid_new(struct eid **out, struct loop *, struct worker *, const struct conf *, eid_cb *, void *arg);
void eid_free(struct eid *); /* NULL is fine */
const char *eid_text(const struct eid *); /* "": not known yet */
bool eid_was_asked(const struct eid *);   /* and has answered, or not */
const char *eid_why(const struct eid *);  /* for people, when it is not known or was not confirmed; "" */
/* "12:34:56:78:9a:bc" of ARI's answer, 0 or -EBADMSG. Pure. */
MUST_USE int eid_parse(const char *body, size_t len, char out[EID_TEXT]);

#endif
