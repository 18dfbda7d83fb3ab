/*
 * fuzz_kv: any bytes as Consul's answer to ?recurse, of the prefix in the first line. What is read is sorted, and ends where it
 * says; what is made of it (a command's environment, a Kamailio's domains) holds what it promises.
 */
#include <string.h>

#include "consul/kv.h"
#include "exec.h"
#include "fuzz.h"
#include "reconcile/domains.h"

static void
check_env(const struct kv_pair *pairs, size_t n, bool sanitize)
{
	char *const own[] = { (char[]){ "A=1" }, (char[]){ "broken" }, NULL };
	const struct exec_env_options o = { .sanitize = sanitize, .upcase = sanitize };
	const struct exec_source sources[] = { { "p", pairs, n }, { "q", pairs, n / 2 } };
	char why[256] = "", **env = exec_env(sources, 2, own, &o, why, sizeof why);

	must((env == NULL) == (why[0] != '\0'));
	for (size_t i = 0; env != NULL && env[i] != NULL; i++) {
		size_t name = strcspn(env[i], "=");

		must(name > 0 && env[i][name] == '=' && strlen(env[i]) <= EXEC_VARIABLE_MAX);
		must(!sanitize || strspn(env[i], "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == name);
		must(i == 0 || strcmp(env[i - 1], env[i]) != 0);
	}
	must(env == NULL || exec_env_same(env, env));
	exec_env_free(env);
}

static void
check_domains(const struct kv_pair *pairs, size_t n)
{
	struct strlist names, bad;

	domains_collect(pairs, n, &names, &bad);
	must(names.n <= DOMAINS_MAX);
	for (size_t i = 0; i < names.n; i++) {
		size_t len = strlen(names.v[i]);

		must(len > 0 && len <= 253 && strspn(names.v[i], "abcdefghijklmnopqrstuvwxyz0123456789-_.") == len);
		must(i == 0 || strcmp(names.v[i - 1], names.v[i]) < 0);
	}
	domains_list_clear(&names);
	domains_list_clear(&bad);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *line = size > 0 ? memchr(data, '\n', size) : NULL;
	char prefix[64] = "";
	struct kv_pair *pairs = NULL;
	size_t n = 0;

	if (line != NULL && (size_t)(line - data) < sizeof prefix) {
		memcpy(prefix, data, (size_t)(line - data));
		size -= (size_t)(line - data) + 1;
		data = line + 1;
	}
	if (kv_parse((const char *)data, size, prefix, &pairs, &n) != 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		must(pairs[i].value[pairs[i].len] == '\0' && strlen(pairs[i].key) + pairs[i].len <= size);
		must(i == 0 || strcmp(pairs[i - 1].key, pairs[i].key) <= 0);
	}
	check_env(pairs, n, false);
	check_env(pairs, n, true);
	check_domains(pairs, n);
	kv_pairs_free(pairs, n);
	return 0;
}
