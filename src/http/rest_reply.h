/*
 * rest_reply: the bodies of what the REST interface refuses, as wazo-router-confd and its framework make them.
 */
#ifndef HTTP_REST_REPLY_H
#define HTTP_REST_REPLY_H

#include "http/httpd.h"
#include "routing/data.h"

/* The array of a 422's detail. in: "body", "query" or "path". */
json_t *rest_wrong_new(void);
void rest_wrong_add(json_t *wrong, const char *in, const char *what, const char *type, const char *text);
void rest_reply_wrong(struct httpd_req *, json_t *takes);

/* A change that was refused: 404, 409 or 422. */
void rest_reply_refusal(struct httpd_req *, enum rt_table, const struct rt_refusal *, int64_t wall_ms);
void rest_reply_not_found(struct httpd_req *, enum rt_table);
void rest_reply_later(struct httpd_req *, const char *detail); /* 503 */

#endif
