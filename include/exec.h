/*
 * exec: `c4d exec [-c FILE] [--watch] [--pristine] [--upcase] [--sanitize] [--wait=SECONDS] PREFIX... -- COMMAND`: the command
 * with an environment from Consul's KV, as envconsul does it: its own environment, on it the keys below each prefix, of which
 * later prefixes win.
 *
 * Without --watch the values are read once, and the command takes c4d's place (the same process). With it c4d stays its
 * parent: it forwards SIGINT, SIGTERM and SIGQUIT to the command's process group, and SIGHUP, SIGUSR1 and SIGUSR2 to the
 * command alone; and starts it anew (SIGTERM to the group, after 5 s SIGKILL) when the environment is another one. That is
 * looked at 200 ms after a change, so that several are one. A prefix that becomes empty, a Consul that is away, and a value
 * that no environment can hold change nothing: what was good last stays.
 *
 * A prefix without a key is said, and the command runs without it, as with envconsul; but when none of them has one it does not
 * run (1): a token that may read nothing sees nothing, too. Consul has 60 s (--wait) to answer (4).
 *
 * consul.* is that of FILE, or of /etc/c4d/c4d.yml; where that does not exist, CONSUL_HTTP_ADDR, CONSUL_HTTP_SSL,
 * CONSUL_HTTP_SSL_VERIFY, CONSUL_HTTP_TOKEN_FILE, CONSUL_CACERT, CONSUL_CLIENT_CERT, CONSUL_CLIENT_KEY and CONSUL_TLS_SERVER_NAME
 * of the environment.
 *
 * With --watch the command's process group is its own, so that it can't read from a terminal.
 *
 * The exit status is the command's; 128 + signal when one ended it; 126 or 127 when it can't be run, as in a shell.
 */
#ifndef EXEC_H
#define EXEC_H

#include "base/text.h"
#include "consul/kv.h"

#define C4D_CONF "/etc/c4d/c4d.yml" /* unless -c says otherwise */

int exec_run(int argc, char **argv); /* argv[0] is "exec" */

#define EXEC_VARIABLE_MAX (128u * 1024 - 1) /* bytes of NAME=VALUE: Linux' MAX_ARG_STRLEN, less its NUL */

struct exec_env_options {
	bool pristine; /* nothing of c4d's own environment */
	bool upcase;   /* a-z in names */
	bool sanitize; /* in names, each character that is not [A-Za-z0-9_] becomes '_' */
};
struct exec_source {
	const char *prefix;
	const struct kv_pair *pairs;
	size_t n;
};
/*
 * "NAME=VALUE" of all sources, the later one of a name wins; sorted, NULL-terminated; free by exec_env_free(). A key in a folder
 * is "a/b", which some programs can read and no shell can: that is what `sanitize` is for. The key that is the prefix
 * itself has no name, and is left out. NULL: what no environment can hold (a name with '=', a value with a NUL, more than
 * EXEC_VARIABLE_MAX), and `why` says which key. Pure.
 */
char **exec_env(const struct exec_source *, size_t n, char *const *own, const struct exec_env_options *, char *why, size_t size);
bool exec_env_same(char *const *, char *const *);
void exec_env_free(char **); /* NULL is fine */

#endif
