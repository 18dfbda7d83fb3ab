/*
 * jsonx: helpers over jansson so that handlers stay short. json_t given to a set function is given
 * away, also when it fails.
 */
#ifndef BASE_JSONX_H
#define BASE_JSONX_H

#include <jansson.h>
#include <stdint.h>

#include "base/mem.h"

/* Text from outside: bytes that are not printable ASCII become '?', so that nothing silently vanishes. */
json_t *jsonx_text(const char *);                 /* NULL gives JSON null */
void jsonx_set_text(json_t *obj, const char *key, const char *text);
void jsonx_set_int(json_t *obj, const char *key, int64_t);
void jsonx_set_bool(json_t *obj, const char *key, int);
void jsonx_set_time(json_t *obj, const char *key, int64_t wall_ms); /* null when 0 */
const char *jsonx_get_text(const json_t *obj, const char *key);     /* NULL when missing or not text */

#endif
