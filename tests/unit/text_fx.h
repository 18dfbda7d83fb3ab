/*
 * text_fx: what the tests of what is read from files, and written to them, have in common.
 */
#ifndef TEXT_FX_H
#define TEXT_FX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

static inline void
assert_text(const char *what, char *takes_got, const char *want)
{
	if (strcmp(takes_got, want) != 0)
		fail_msg("%s:\n got %s\nwant %s", what, takes_got, want);
	free(takes_got);
}

/* What was composed. */
static inline void
assert_buf(const char *what, struct buf *takes_got, const char *want)
{
	size_t len = takes_got->len;

	assert_non_null(takes_got->s);
	assert_text(what, buf_take(takes_got), want);
	assert_int_equal(len, strlen(want));
}

/* In a block of exactly its size: there is no NUL behind it. The caller frees. */
static inline char *
exact_copy(const char *text, size_t len)
{
	char *exact = malloc(len ? len : 1);

	assert_non_null(exact);
	memcpy(exact, text, len);
	return exact;
}

/* A comment of so many bytes, and what stands behind it in the same line. */
static inline void
add_behind_comment(struct buf *b, size_t comment_len, const char *line)
{
	buf_puts(b, "#");
	while (b->len < comment_len)
		buf_puts(b, ".");
	buf_puts(b, line);
}

#endif
