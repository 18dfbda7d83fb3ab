/* The environment of a command, made of Consul's keys. Pure. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec.h"

struct variable {
	char *text; /* NAME=VALUE */
	size_t name_len;
	size_t order;
};

struct variables {
	struct variable *v;
	size_t n, cap;
};

static void
add(struct variables *to, char *text)
{
	to->v = xgrow(to->v, to->n, &to->cap, sizeof *to->v);
	to->v[to->n] = (struct variable){ text, strcspn(text, "="), to->n };
	to->n++;
}

static bool
is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The caller frees. A character of several bytes is one '_'. */
static char *
make_name(const char *key, const struct exec_env_options *o)
{
	struct buf b = { 0 };
	char c;

	buf_puts(&b, "");
	for (; *key != '\0'; key++) {
		c = *key;
		if (o->sanitize && ((unsigned char)c & 0xc0) == 0x80)
			continue;
		if (o->sanitize && !is_plain(c))
			c = '_';
		if (o->upcase && c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		buf_add(&b, &c, 1);
	}
	return buf_take(&b);
}

static bool
add_pair(struct variables *to, const char *prefix, const struct kv_pair *pair, const struct exec_env_options *o, char *why, size_t size)
{
	const char *key = pair->key + strspn(pair->key, "/"), *wrong = NULL;
	char *name = make_name(key, o), *text = NULL;
	size_t name_len = strlen(name);

	if (name_len == 0) {
		free(name);
		return true;
	}
	if (strchr(name, '=') != NULL)
		wrong = "a variable's name cannot have a '='; rename the key, or use --sanitize";
	else if (memchr(pair->value, '\0', pair->len) != NULL)
		wrong = "its value has a NUL byte, which no environment can hold";
	else if (name_len + 1 + pair->len > EXEC_VARIABLE_MAX)
		wrong = "it is longer than the 131071 bytes that a program's variable can have";
	else
		text = xasprintf("%s=%s", name, pair->value);
	if (wrong != NULL)
		snprintf(why, size, "the key %s below %s: %s", key, prefix, wrong);
	else
		add(to, text);
	free(name);
	return wrong == NULL;
}

static int
variable_cmp(const void *a, const void *b)
{
	const struct variable *x = a, *y = b;
	size_t len = x->name_len < y->name_len ? x->name_len : y->name_len;
	int c = memcmp(x->text, y->text, len);

	if (c == 0 && x->name_len != y->name_len)
		c = x->name_len < y->name_len ? -1 : 1;
	return c != 0 ? c : x->order < y->order ? -1 : 1;
}

static bool
is_twin(const struct variable *x, const struct variable *y)
{
	return x->name_len == y->name_len && memcmp(x->text, y->text, x->name_len) == 0;
}

/* Takes the texts. */
static char **
last_of_each(struct variables *from)
{
	char **env = xcalloc(from->n + 1, sizeof *env);
	size_t i, n = 0;

	if (from->n > 1)
		qsort(from->v, from->n, sizeof *from->v, variable_cmp);
	for (i = 0; i < from->n; i++) {
		if (i + 1 < from->n && is_twin(&from->v[i], &from->v[i + 1]))
			free(from->v[i].text);
		else
			env[n++] = from->v[i].text;
	}
	from->n = 0;
	return env;
}

char **
exec_env(const struct exec_source *sources, size_t n, char *const *own, const struct exec_env_options *o, char *why, size_t size)
{
	struct variables all = { 0 };
	char **env = NULL;
	size_t i, k;

	for (i = 0; !o->pristine && own[i] != NULL; i++)
		if (strchr(own[i], '=') != NULL)
			add(&all, xstrdup(own[i]));
	for (i = 0; i < n; i++)
		for (k = 0; k < sources[i].n; k++)
			if (!add_pair(&all, sources[i].prefix, &sources[i].pairs[k], o, why, size))
				goto out;
	env = last_of_each(&all);
out:
	for (i = 0; i < all.n; i++)
		free(all.v[i].text);
	free(all.v);
	return env;
}

bool
exec_env_same(char *const *a, char *const *b)
{
	for (; *a != NULL && *b != NULL; a++, b++)
		if (strcmp(*a, *b) != 0)
			return false;
	return *a == NULL && *b == NULL;
}

void
exec_env_free(char **env)
{
	size_t i;

	for (i = 0; env != NULL && env[i] != NULL; i++)
		free(env[i]);
	free(env);
}
