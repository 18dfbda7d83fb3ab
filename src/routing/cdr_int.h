/* cdr_int: what cdr.c and the forwarding (cdr_forward.c) know of each other. */
#ifndef ROUTING_CDR_INT_H
#define ROUTING_CDR_INT_H

#include "routing/cdr.h"

struct forward;

MUST_USE int forward_new(struct forward **out, struct cdrs *, struct loop *, struct worker *, const char *url);
void forward_free(struct forward *); /* NULL is fine; a list of it that is under way ends on its own */
/* There is, or may be, something up to `newest`; `from`: forwarded up to here, counts the first time. */
void forward_wake(struct forward *, int64_t from, int64_t newest);
void forward_view(const struct forward *, struct cdr_view *);

/* Receipts, n more, for all up to `id`: to the store, soon. */
void cdrs_forwarded(struct cdrs *, int64_t id, size_t n);

#endif
