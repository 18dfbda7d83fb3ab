/*
 * conf_int: what the files of config/ share. Nodes are YAML as written, one tree per file; the key
 * table says what they mean; an error list keeps messages until they can be sorted by place.
 */
#ifndef CONFIG_CONF_INT_H
#define CONFIG_CONF_INT_H

#include "base/text.h"
#include "config/conf.h"

/* Errors, kept to be reported in the order of files and lines. */
struct conf_error {
	size_t file;
	int line;
	size_t seq;
	bool warning;
	char *text;
};

struct conf_errors {
	char **files; /* names, in the order read */
	size_t n_files, cap_files;
	struct conf_error *v;
	size_t n, cap;
	size_t n_warnings; /* of n */
};

size_t conf_errors_file(struct conf_errors *, const char *name); /* its index */
void conf_error(struct conf_errors *, size_t file, int line, const char *fmt, ...) PRINTF(4, 5);
/* Right, but hardly meant: said, and no reason to fail. */
void conf_warning(struct conf_errors *, size_t file, int line, const char *fmt, ...) PRINTF(4, 5);
void conf_errors_report(struct conf_errors *, conf_report_cb *, void *arg);
void conf_errors_clear(struct conf_errors *);
/* A text from outside, fit for a message: unprintable bytes become '?', long texts are cut, and credentials in a URL are left out. */
const char *conf_quote(const char *, char out[100]);

/* YAML as written. */
enum conf_node_kind {
	NODE_NULL,
	NODE_TEXT,
	NODE_LIST,
	NODE_MAP,
	NODE_BAD, /* already reported: say nothing more about it */
};

struct conf_pair {
	char *key;
	int line;
	struct conf_node *value;
};

struct conf_node { /* owned by its parent */
	enum conf_node_kind kind;
	int line;
	char *text;
	struct conf_node **list;
	struct conf_pair *pairs;
	size_t n, cap;
};

/* 0 with a tree, which is NODE_NULL for an empty file; -EINVAL: syntax error, reported. */
MUST_USE int conf_yaml_parse(
    struct conf_errors *, size_t file, const char *text, size_t len, struct conf_node **out);
void conf_node_free(struct conf_node *); /* NULL is fine */

/* The key table. */
enum conf_type {
	CT_MS,
	CT_INT,
	CT_SIZE,
	CT_BOOL,
	CT_WORD,
	CT_TEXT,
	CT_LIST,
	CT_ADDRS, /* a list, or one alone */
	CT_ARGS, /* a list whose elements may repeat and be empty: a command's words */
	CT_PAIRS, /* a mapping of free keys, */
	CT_SECRETS, /* and one whose values nobody is shown */
};
enum conf_scope_id {
	SC_ROOT,
	SC_SERVICE,
	SC_KAMAILIO,
	SC_SET,
	SC_TAG,
	SC_RTPENGINE,
	SC_PERMISSIONS,
	SC_REGISTER,
	SC_CHECK,
	SC_TAGGED,
};

/* True when fine, else *why is filled. May bring the value into its usual form, not lengthen it. */
typedef bool conf_check_cb(char *value, struct buf *why);

/* Sections with free names. Every section's struct begins with `char *name`. */
struct conf_scope {
	enum conf_scope_id parent;
	const char *key; /* in the parent: "services" */
	const char *pattern; /* "services.NAME" */
	size_t size;
	size_t v, n; /* offsets of array and count in the parent's struct */
	conf_check_cb *check_name;
};

struct conf_key {
	enum conf_scope_id scope;
	size_t offset;
	const char *name; /* below the section */
	enum conf_type type;
	const char *form; /* for people; of CT_WORD the words, separated by '|' */
	const char *def; /* as one would write it; of lists comma-separated; NULL: unset */
	int64_t min, max; /* of the value; of texts the length; of lists and mappings the number of elements */
	bool live; /* a reload is enough */
	conf_check_cb *check; /* of lists and mappings, of each element */
	const char *help;
};

#define CONF_N_SCOPES 10
extern const struct conf_scope conf_scopes[CONF_N_SCOPES];
extern const struct conf_key conf_keys[];
extern const size_t conf_n_keys;

void conf_key_default(const struct conf_key *, void *obj);
/* One scalar: typed, checked, stored. On false the field is unchanged. */
bool conf_key_set(const struct conf_key *, void *obj, const char *text, struct buf *why);
bool conf_key_check(const struct conf_key *, char *element, struct buf *why);
bool conf_key_is_list(const struct conf_key *);
bool conf_key_is_pairs(const struct conf_key *);
bool conf_key_check_name(const struct conf_key *, char *name, struct buf *why); /* of a pair in a mapping */
/* Checked elements; takes the list. */
void conf_key_set_list(const struct conf_key *, void *obj, struct strlist *);
void conf_key_set_pairs(const struct conf_key *, void *obj, struct conf_pairs *);
char *conf_key_format(const struct conf_key *, const void *obj); /* for people; "" when unset */
bool conf_key_same(const struct conf_key *, const void *a, const void *b);
bool conf_key_is_set(const struct conf_key *, const void *obj);
void conf_key_clear(const struct conf_key *, void *obj);
char *conf_key_pattern(const struct conf_key *); /* services.NAME.interval */
const char *conf_key_what(const struct conf_key *, char *out, size_t size); /* "a duration" */

/* Sections of one kind below `obj`, whatever their type. */
typedef void *section_ptr __attribute__((may_alias));
typedef section_ptr *section_vec __attribute__((may_alias));
size_t conf_sections(const void *obj, enum conf_scope_id, section_ptr **v);
void *conf_section_new(void *parent, enum conf_scope_id, const char *name);

void conf_strlist_add(struct strlist *, const char *);
void conf_strlist_free(struct strlist *);
void conf_pairs_add(struct conf_pairs *, const char *key, const char *value);
void conf_pairs_free(struct conf_pairs *);

#endif
