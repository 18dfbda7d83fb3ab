#include "routing/pattern.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define GROUPS_MAX 99
#define REGEX_MAX 1024       /* bytes */
#define COMPILED_MAX 16384   /* bytes: (((\d{9}){9}){9}){9} is not for telephone numbers */
#define PARENS_MAX 32
/*
 * Steps of the interpreter, about 20 ns each. PCRE2 counts them anew at each place where a match may begin: a replacement, which looks for
 * it anywhere, has less for each. An honest pattern on 128 digits takes some hundred.
 */
#define MATCH_STEPS 10000
#define SUB_STEPS 1000
#define DEPTH_MAX 2000
#define HEAP_KIB 1024

struct pattern {
	pcre2_code *code;
	uint32_t groups;
};

static atomic_uint_fast64_t limited;

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* ---- shape ---- */

/* Behind a '\'. False for what may hide a bracket or a '|' (\Q, \c) or is not worth knowing. */
static bool
is_plain_escape(char c)
{
	return c != '\0' && (!is_alnum(c) || is_digit(c) || strchr("dDwWsSbBAzZ", c) != NULL);
}

/* Behind a class's '['; NULL: not understood. */
static const char *
skip_class(const char *p)
{
	size_t name;

	if (*p == '^')
		p++;
	if (*p == ']')
		p++;
	for (; *p != ']'; p++) {
		if (*p == '\0')
			return NULL;
		if (*p == '\\') {
			if (!is_plain_escape(*++p))
				return NULL;
		} else if (*p == '[' && p[1] == ':') {
			name = strspn(p + 2, "^abcdefghijklmnopqrstuvwxyz");
			if (strncmp(p + 2 + name, ":]", 2) == 0)
				p += name + 3;
		}
	}
	return p + 1;
}

/*
 * Has it no alternative but in brackets? False also when it has what we can't tell: comments, verbs, options. A wrong "false"
 * costs time, a wrong "true" calls.
 */
static bool
has_one_branch(const char *p)
{
	int depth = 0;

	while (p != NULL && *p != '\0') {
		switch (*p++) {
		case '\\':
			p = is_plain_escape(*p) ? p + 1 : NULL;
			break;
		case '[':
			p = skip_class(p);
			break;
		case '(':
			if (*p == '*' || (*p == '?' && (p[1] == '\0' || strchr(":=!<>|P", p[1]) == NULL)))
				return false;
			/* the '|' of "(?|" is none */
			if (*p == '?')
				p += 2;
			depth++;
			break;
		case ')':
			if (--depth < 0)
				return false;
			break;
		case '|':
			if (depth == 0)
				return false;
			break;
		}
	}
	return p != NULL && depth == 0;
}

void
pattern_shape(const char *regex, struct pattern_shape *shape)
{
	const char *p = regex + (*regex == '^');
	size_t n;

	memset(shape, 0, sizeof *shape);
	for (n = 0; n < PATTERN_PREFIX_MAX && is_alnum(p[n]); n++)
		;
	shape->literal = p[n] == '\0' || strcmp(p + n, "$") == 0;
	shape->end = shape->literal && p[n] == '$';
	if (!shape->literal && !has_one_branch(p + n))
		return;
	if (n > 0 && p[n] != '\0' && strchr("?*{", p[n]) != NULL)
		n--;
	memcpy(shape->prefix, p, n);
	shape->len = n;
}

/* ---- making ---- */

static int
compile(pcre2_code **out, const char *regex, char *why, size_t size)
{
	const uint32_t options = PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY;
	pcre2_compile_context *cc = pcre2_compile_context_create(NULL);
	PCRE2_SIZE at = 0;
	char text[160] = "";
	int err = 0;

	if (cc == NULL)
		return -ENOMEM;
	pcre2_set_max_pattern_length(cc, REGEX_MAX);
	pcre2_set_parens_nest_limit(cc, PARENS_MAX);
	*out = pcre2_compile((PCRE2_SPTR)regex, PCRE2_ZERO_TERMINATED, options, &err, &at, cc);
	pcre2_compile_context_free(cc);
	if (*out != NULL)
		return 0;
	pcre2_get_error_message(err, (PCRE2_UCHAR *)text, sizeof text);
	snprintf(why, size, "%s, at character %zu", text, (size_t)at + 1);
	return -EINVAL;
}

int
pattern_new(struct pattern **out, const char *regex, char *why, size_t size)
{
	pcre2_code *code = NULL;
	struct pattern *p;
	size_t bytes = 0;
	int err;

	err = compile(&code, regex, why, size);
	if (err != 0)
		return err;
	p = xcalloc(1, sizeof *p);
	p->code = code;
	pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &p->groups);
	pcre2_pattern_info(code, PCRE2_INFO_SIZE, &bytes);
	if (bytes > COMPILED_MAX || p->groups > GROUPS_MAX) {
		snprintf(why, size, "too large: use fewer groups and repetitions");
		pattern_free(p);
		return -EINVAL;
	}
	*out = p;
	return 0;
}

void
pattern_free(struct pattern *p)
{
	if (p == NULL)
		return;
	pcre2_code_free(p->code);
	free(p);
}

size_t
pattern_bytes(const struct pattern *p)
{
	size_t bytes = 0;

	pcre2_pattern_info(p->code, PCRE2_INFO_SIZE, &bytes);
	return bytes + sizeof *p;
}

/* ---- matching ---- */

/* One per thread, so that a match allocates nothing. */
struct matcher {
	pcre2_match_data *data;
	pcre2_match_context *context;
};
static _Thread_local struct matcher mine;
static pthread_key_t matcher_key;
static pthread_once_t matcher_once = PTHREAD_ONCE_INIT;

static void
matcher_end(void *arg)
{
	struct matcher *m = arg;

	pcre2_match_data_free(m->data);
	pcre2_match_context_free(m->context);
}

static void
matcher_make_key(void)
{
	if (pthread_key_create(&matcher_key, matcher_end) != 0)
		abort();
}

static struct matcher *
matcher_get(void)
{
	if (mine.data != NULL)
		return &mine;
	pthread_once(&matcher_once, matcher_make_key);
	mine.data = pcre2_match_data_create(GROUPS_MAX + 1, NULL);
	mine.context = pcre2_match_context_create(NULL);
	if (mine.data == NULL || mine.context == NULL)
		abort();
	pcre2_set_depth_limit(mine.context, DEPTH_MAX);
	pcre2_set_heap_limit(mine.context, HEAP_KIB);
	pthread_setspecific(matcher_key, &mine);
	return &mine;
}

/* How many groups, with the whole, took part at most; 0: no match; < 0: limits. */
static int
run(const struct pattern *p, const char *text, size_t len, size_t from, uint32_t options, uint32_t steps, size_t **groups)
{
	struct matcher *m = matcher_get();
	int rc;

	pcre2_set_match_limit(m->context, steps);
	rc = pcre2_match(p->code, (PCRE2_SPTR)text, len, from, options, m->data, m->context);
	if (rc == PCRE2_ERROR_NOMATCH)
		return 0;
	if (rc < 0)
		atomic_fetch_add_explicit(&limited, 1, memory_order_relaxed);
	else
		*groups = pcre2_get_ovector_pointer(m->data);
	return rc;
}

bool
pattern_match(const struct pattern *p, const char *text, size_t len)
{
	size_t *groups;

	return run(p, text, len, 0, PCRE2_ANCHORED, MATCH_STEPS, &groups) > 0;
}

uint64_t
pattern_limited(void)
{
	return atomic_load_explicit(&limited, memory_order_relaxed);
}

/* ---- replacing ---- */

struct piece {
	const char *text; /* or, NULL, */
	size_t len;
	int group;
};

/* Of the name in "<name>", a number too; -1: none. *r is behind it, then. */
static int
group_named(const struct pattern *p, const char **r)
{
	const char *end = strchr(*r, '>');
	char name[33];
	size_t len;
	int n;

	if (**r != '<' || end == NULL || (len = (size_t)(end - *r) - 1) == 0 || len >= sizeof name)
		return -1;
	memcpy(name, *r + 1, len);
	name[len] = '\0';
	*r = end + 1;
	if (strspn(name, "0123456789") == len)
		return len <= 2 ? atoi(name) : -1;
	n = p != NULL ? pcre2_substring_number_from_name(p->code, (PCRE2_SPTR)name) : -1;
	return n > 0 ? n : -1;
}

/* True: there was one; false: the end, or (*r not at it) an error. */
static bool
next_piece(const struct pattern *p, const char **r, struct piece *piece)
{
	const char *at = *r;

	*piece = (struct piece){ .text = at, .len = strcspn(at, "\\") };
	if (piece->len > 0) {
		*r = at + piece->len;
		return true;
	}
	if (*at == '\0')
		return false;
	at++;
	if (*at == '\\') {
		*piece = (struct piece){ .text = at++, .len = 1 };
		*r = at;
		return true;
	}
	piece->text = NULL;
	piece->group = -1;
	if (*at == 'g') {
		at++;
		piece->group = group_named(p, &at);
	} else if (is_digit(*at) && *at != '0') {
		piece->group = *at++ - '0';
		if (is_digit(*at))
			piece->group = piece->group * 10 + *at++ - '0';
		if (is_digit(*at))
			piece->group = -1; /* Python's octal numbers: nobody means them */
	}
	if (piece->group < 0 || piece->group > (p != NULL ? (int)p->groups : 0))
		return false;
	*r = at;
	return true;
}

bool
pattern_check_replacement(const struct pattern *p, const char *replacement, char *why, size_t size)
{
	static const char fine[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+-._~!*'()&=$,/%";
	const char *r = replacement;
	struct piece piece;

	while (next_piece(p, &r, &piece)) {
		if (piece.text == NULL || strspn(piece.text, fine) >= piece.len)
			continue;
		snprintf(why, size, "what stands for a number becomes part of a SIP URI: letters, digits, + - . _ ~ ! * ' ( ) & = $ , / %% and groups "
		    "(\\1) only");
		return false;
	}
	if (*r == '\0')
		return true;
	snprintf(why, size, "no group of the regular expression at character %zu: write \\1 to \\99, \\g<1> or \\g<name> of those that it "
	    "has (%u)", (size_t)(r - replacement) + 1, p != NULL ? (unsigned)p->groups : 0);
	return false;
}

struct target {
	char *s;
	size_t len, size;
	bool full;
};

static void
put(struct target *t, const char *text, size_t len)
{
	if (len >= t->size - t->len)
		t->full = true;
	if (t->full || len == 0)
		return;
	memcpy(t->s + t->len, text, len);
	t->len += len;
}

static bool
put_replacement(struct target *t, const struct pattern *p, const char *r, const char *text, const size_t *groups, int n_groups)
{
	struct piece piece;
	const size_t *g;

	while (next_piece(p, &r, &piece)) {
		g = groups + 2 * piece.group;
		if (piece.text != NULL)
			put(t, piece.text, piece.len);
		else if (piece.group < n_groups && g[0] != PCRE2_UNSET && g[0] <= g[1])
			put(t, text + g[0], g[1] - g[0]);
	}
	return *r == '\0';
}

/* False: as it was. */
static bool
replace_all(struct target *t, const struct pattern *p, const char *replacement, const char *text, size_t len)
{
	size_t *groups, pos = 0, done = 0;
	uint32_t options = 0;
	int n;

	while ((n = run(p, text, len, pos, options, SUB_STEPS, &groups)) > 0) {
		/* \K in what is not consumed: a beginning behind the end */
		if (groups[0] < done || groups[1] < groups[0])
			return false;
		put(t, text + done, groups[0] - done);
		if (!put_replacement(t, p, replacement, text, groups, n) || t->full)
			return false;
		/* An empty match is one, also right behind another match, but not twice at one place. */
		options = groups[0] == groups[1] ? PCRE2_NOTEMPTY_ATSTART : 0;
		pos = done = groups[1];
	}
	put(t, text + done, len - done);
	return n == 0 && !t->full;
}

size_t
pattern_sub(const struct pattern *p, const char *replacement, const char *text, size_t len, char *out, size_t size)
{
	struct target t = { .s = out, .size = size };

	if (!replace_all(&t, p, replacement, text, len)) {
		t.len = len < size ? len : size - 1;
		memcpy(out, text, t.len);
	}
	out[t.len] = '\0';
	return t.len;
}
