/* exec: the environment of a command, made of Consul's keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "exec.h"

#define SOURCES 3

/* "key=value key=value": '~' is a NUL in a value, "key" alone has an empty value. */
static void
make_pairs(const char *text, struct kv_pair **out, size_t *n)
{
	char *copy = strdup(text), *word, *rest = copy;
	struct kv_pair *v = calloc(16, sizeof *v);

	*n = 0;
	while ((word = strsep(&rest, " ")) != NULL) {
		char *value = strchr(word, '=');
		size_t len = value != NULL ? strlen(value + 1) : 0, i, key = value != NULL ? (size_t)(value - word) : strlen(word);
		char *block = calloc(1, key + len + 2);

		if (*word == '\0' && rest == NULL) {
			free(block);
			break;
		}
		for (i = 0; i < key; i++)
			block[i] = word[i] == '^' ? '=' : word[i];
		for (i = 0; i < len; i++)
			block[key + 1 + i] = value[1 + i] == '~' ? '\0' : value[1 + i];
		v[(*n)++] = (struct kv_pair){ block, block + key + 1, len };
	}
	free(copy);
	*out = v;
}

static char *
describe(char **env)
{
	struct buf b = { 0 };
	size_t i;

	buf_puts(&b, "");
	for (i = 0; env[i] != NULL; i++)
		buf_printf(&b, "%s%s", i ? "|" : "", env[i]);
	return buf_take(&b);
}

enum { P = 1, U = 2, S = 4 };

static void
environments(void **state)
{
	static const struct {
		int options;
		const char *sources[SOURCES];
		const char *want; /* NULL: none, and */
		const char *why;
	} rows[] = {
		{ 0, { "" }, "HOME=/root|PATH=/bin|X=a=b", NULL },
		{ P, { "" }, "", NULL },
		{ P, { "b=2 a=1" }, "a=1|b=2", NULL },
		{ 0, { "HOME=/srv A=1" }, "A=1|HOME=/srv|PATH=/bin|X=a=b", NULL }, /* Consul wins */
		{ P, { "a=1 b=1 c=1", "b=2 c=2", "c=3" }, "a=1|b=2|c=3", NULL },  /* later prefixes win */
		{ P, { "c=1", "", "c" }, "c=", NULL },                            /* also with nothing */
		{ P, { "a=x=y=" }, "a=x=y=", NULL },
		{ P, { "a/b=1 c-d=2 e.f=3" }, "a/b=1|c-d=2|e.f=3", NULL },
		{ P | S, { "a/b=1 c-d=2 e.f=3 9=4" }, "9=4|a_b=1|c_d=2|e_f=3", NULL },
		{ P | U, { "a/b=x" }, "A/B=x", NULL },
		{ P | U | S, { "db/url=x" }, "DB_URL=x", NULL },
		{ P | S, { "a/b=1 a_b=2" }, "a_b=2", NULL },
		{ P | U, { "a=1", "A=2" }, "A=2", NULL },
		{ P | S, { "z\xc3\xa9\xf0\x9f\x98\x80z=1" }, "z__z=1", NULL }, /* a character is one _ */
		{ P, { "z\xc3\xa9=1" }, "z\xc3\xa9=1", NULL },
		{ P, { "=1 /=2 //x=3" }, "x=3", NULL }, /* the prefix itself has no name */
		{ P, { "a=1 ab=2 a-b=3 A=4" }, "A=4|a=1|a-b=3|ab=2", NULL },
		{ P, { "a^b=1" }, NULL, "the key a=b below p0: a variable's name cannot have a '='; rename the key, or use --sanitize" },
		{ P | S, { "a^b=1" }, "a_b=1", NULL },
		{ P, { "a=1", "b=x~y" }, NULL, "the key b below p1: its value has a NUL byte, which no environment can hold" },
		{ P, { "b=x~y", "b=1" }, NULL, "the key b below p0" },
	};
	char *const own[] = { (char[]){ "PATH=/bin" }, (char[]){ "HOME=/root" }, (char[]){ "broken" }, (char[]){ "X=a=b" }, NULL };
	static const char *const prefixes[] = { "p0", "p1", "p2" };
	size_t i, k, j;

	for (i = 0; i < NELEM(rows); i++) {
		struct exec_source sources[SOURCES] = { 0 };
		struct kv_pair *pairs[SOURCES] = { 0 };
		const struct exec_env_options o = {
			.pristine = rows[i].options & P, .upcase = rows[i].options & U, .sanitize = rows[i].options & S,
		};
		char why[256] = "", **env, *got;

		for (k = 0; k < SOURCES && rows[i].sources[k] != NULL; k++) {
			sources[k].prefix = prefixes[k];
			make_pairs(rows[i].sources[k], &pairs[k], &sources[k].n);
			sources[k].pairs = pairs[k];
		}
		env = exec_env(sources, k, own, &o, why, sizeof why);
		if ((env == NULL) != (rows[i].want == NULL) || (env == NULL && strncmp(why, rows[i].why, strlen(rows[i].why)) != 0))
			fail_msg("row %zu: %s", i, why);
		if (env != NULL) {
			got = describe(env);
			if (strcmp(got, rows[i].want) != 0)
				fail_msg("row %zu: %s", i, got);
			free(got);
		}
		exec_env_free(env);
		for (k = 0; k < SOURCES; k++) {
			for (j = 0; j < sources[k].n; j++)
				free((void *)(uintptr_t)pairs[k][j].key);
			free(pairs[k]);
		}
	}
}

static void
as_long_as_a_variable_can_be(void **state)
{
	const struct exec_env_options o = { .pristine = true };
	char *value = malloc(EXEC_VARIABLE_MAX + 1), why[256] = "", **env;
	struct kv_pair pair = { "AB", value, EXEC_VARIABLE_MAX - 3 };
	const struct exec_source source = { "p", &pair, 1 };

	memset(value, 'x', EXEC_VARIABLE_MAX);
	value[pair.len] = '\0';
	env = exec_env(&source, 1, NULL, &o, why, sizeof why);
	assert_non_null(env);
	assert_int_equal(strlen(env[0]), EXEC_VARIABLE_MAX);
	exec_env_free(env);
	value[pair.len++] = 'x';
	value[pair.len] = '\0';
	assert_null(exec_env(&source, 1, NULL, &o, why, sizeof why));
	assert_string_equal(why, "the key AB below p: it is longer than the 131071 bytes that a program's variable can have");
	free(value);
}

static void
environments_are_compared(void **state)
{
	char a[] = "A=1", a2[] = "A=2", b[] = "B=1";
	char *const none[] = { NULL }, *const one[] = { a, NULL }, *const other[] = { a2, NULL }, *const two[] = { a, b, NULL };

	assert_true(exec_env_same(none, none));
	assert_true(exec_env_same(two, two));
	assert_false(exec_env_same(none, one));
	assert_false(exec_env_same(one, none));
	assert_false(exec_env_same(one, other));
	assert_false(exec_env_same(one, two));
	exec_env_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(environments),
		cmocka_unit_test(as_long_as_a_variable_can_be),
		cmocka_unit_test(environments_are_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
