/*
 * framing: what a request's headers say about where it ends. Pure.
 */
#ifndef HTTP_FRAMING_H
#define HTTP_FRAMING_H

#include <stdbool.h>

struct evkeyvalq;

/* NULL, or what somebody before or behind us could read differently. */
const char *framing_fault(const struct evkeyvalq *headers);
bool framing_has_body(const struct evkeyvalq *headers); /* it says that there is one, of whatever length */

#endif
