/*
 * exec: `c4d exec [--watch] [--pristine] [--upcase] [--sanitize] PREFIX... -- COMMAND`: the command with an environment from Consul's KV, as envconsul does it.
 * Returns the command's exit status, 128 + signal when one ended it, or those of control/command.h before it ran.
 */
#ifndef EXEC_H
#define EXEC_H

#include "base/text.h"
#include "consul/kv.h"

int exec_run(int argc, char **argv); /* argv[0] is "exec" */

struct exec_env_options {
	bool pristine; /* nothing of c4d's own environment */
	bool upcase;
	bool sanitize; /* what is not [A-Za-z0-9_] becomes '_' (else such a key is an error) */
};
/*
 * "NAME=VALUE" of the pairs of all prefixes, later ones win; keys in folders are joined by '_' when sanitized. NULL-terminated, sorted; free by exec_env_free().
 * NULL: a name that can't be one, and `why` says which key of which prefix. Pure.
 */
struct exec_source {
	const char *prefix;
	const struct kv_pair *pairs;
	size_t n;
};
char **exec_env(const struct exec_source *, size_t n, char *const *environ, const struct exec_env_options *, char *why, size_t size);
void exec_env_free(char **);

#endif
