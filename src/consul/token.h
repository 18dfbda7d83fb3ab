/*
 * token: a secret of one word (an ACL token, a password) as its file holds it. The worker looks at the file each time, and
 * reads it when it is another: by its inode, size or times. One look at a time; the callback runs from the loop, exactly once
 * unless forgotten. `text` is lent and NULL unless err is 0. What is not in use any more is wiped.
 */
#ifndef CONSUL_TOKEN_H
#define CONSUL_TOKEN_H

#include "base/worker.h"

struct token;
/* err: of reading the file, or -EINVAL: it holds no word. is_new: another text than the last time. */
typedef void token_cb(void *arg, int err, const char *text, bool is_new);

struct token *token_new(struct worker *, const char *path, token_cb *, void *arg);
void token_free(struct token *); /* NULL is fine */
/* While one is under way: that one counts for both. doubtful: the file is read, whatever it looks like. */
void token_get(struct token *, bool doubtful);
void token_forget(struct token *); /* the callback of what is under way will not run */
const char *token_path(const struct token *);
const char *token_text(const struct token *); /* as last read; NULL: none */

#endif
