/* headline: `status` in one line, for the service manager: "generation 17, 3 services, 2 of 2
 * targets converged, all is well". */
#ifndef CONTROL_HEADLINE_H
#define CONTROL_HEADLINE_H

#include <jansson.h>

char *headline_new(const json_t *status); /* of show_status(); the caller frees */

#endif
