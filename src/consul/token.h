/*
 * token: the ACL token as its file holds it, read by the worker. One reading at a time; the callback runs from the
 * loop, exactly once unless freed. `text` is lent and NULL unless err is 0.
 */
#ifndef CONSUL_TOKEN_H
#define CONSUL_TOKEN_H

#include "base/worker.h"

struct token;
/* err: of reading the file, or -EINVAL: what it holds is no token. */
typedef void token_cb(void *arg, int err, const char *text);

struct token *token_new(struct worker *, const char *path, token_cb *, void *arg);
void token_free(struct token *); /* NULL is fine */
void token_read(struct token *); /* while one is read: that one counts for both */
void token_forget(struct token *); /* the callback of the reading under way will not run */
const char *token_path(const struct token *);

#endif
