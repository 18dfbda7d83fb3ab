/*
 * conf_load_int: a configuration while it is loaded: what conf_load.c (file by file) and conf_whole.c, conf_consul.c and
 * conf_register.c (what only the whole can tell) share.
 */
#ifndef CONFIG_CONF_LOAD_INT_H
#define CONFIG_CONF_LOAD_INT_H

#include "config/conf_int.h"

/* Where a key was last set; line 0: never, it has its default. */
struct mark {
	size_t file;
	int line;
	int *elements; /* of a list: the line of each */
	bool bad; /* was given, but wrongly: say no more about it */
};

/* A section of the configuration while it is loaded: its object, and where everything came from. */
struct sect {
	enum conf_scope_id scope;
	void *obj; /* owned by the conf */
	char *path; /* "services.router"; "" for the root */
	struct mark at;
	struct mark *marks; /* one per row of conf_keys */
	struct sect **kids;
	size_t n_kids, cap_kids;
};

struct loader {
	struct conf *conf;
	struct conf_errors errs;
	struct sect *root;
	bool broken; /* a file could not be read: what is missing may stand there */
};

/* The nearest of what was offered so far; near enough is a third of the letters. */
struct hint {
	const char *wanted;
	size_t distance;
	char best[64];
};

int conf_text_cmp(const void *a, const void *b); /* of char *, for qsort */
char *conf_join(const char *path, const char *key);
const struct mark *conf_mark_of(const struct sect *s, const char *key);
const struct mark *conf_place_of(const struct sect *s, const char *key);
void conf_hint_offer(struct hint *h, const char *word, size_t len);
void conf_hint_add(const struct hint *h, struct buf *text);
struct sect *conf_find_kid(const struct sect *s, enum conf_scope_id scope, const char *name);

/* References, names, shared files: everything that more than one key decides. Reports into l->errs. */
void conf_check_whole(struct loader *);
void conf_check_consul(struct loader *); /* consul, ari, http */
void conf_check_routing(struct loader *);
void conf_check_notify(struct loader *); /* looks at the file: only of a configuration that is read from files */
void conf_check_register(struct loader *, const struct sect *, size_t before);

#endif
