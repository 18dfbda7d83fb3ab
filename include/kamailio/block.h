/*
 * block: what c4d's parts of Kamailio's line files (dispatcher list, address file) have in common: a
 * block of c4d's own lines between two marker lines, and fields as Kamailio reads them: by fgets() of
 * 1,023 bytes at most, between blanks, '#' begins a comment, a NUL ends the line. Pure.
 */
#ifndef KAMAILIO_BLOCK_H
#define KAMAILIO_BLOCK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

#define BLOCK_LINE_MAX 1000             /* what we write at most, without its newline */
#define BLOCK_BEGIN_PREFIX "# c4d begin:" /* what follows may differ in another version's files */
#define BLOCK_END "# c4d end"
#define BLOCK_BLANKS " \t\r\n"

/* Walks over a file: whole lines, which of them are markers, and what is within the block. */
struct block_walk {
	const char *at;
	const char *end;
	const char *line; /* the present one, with its newline if it has one */
	size_t len;
	bool marker;
	bool in_block;
};

/* Begin with { .at = text, .end = text + len }. False at the end. */
bool block_next_line(struct block_walk *);
/* The next of the pieces in which Kamailio reads the present line, up to a NUL; *offset begins as 0. */
bool block_next_piece(const struct block_walk *, size_t *offset, const char **p, const char **end);
/* The marker lines around what `ours` holds; `text` is what stands before them. */
void block_append(struct buf *text, const char *begin, const struct buf *ours);

const char *block_skip_blanks(const char *p, const char *end);
bool block_at_end(const char *p, const char *end); /* of the fields: nothing is left, or a comment */
/* Behind the word at `p`, which ends at a blank, or at a '#' too. */
const char *block_skip_word(const char *p, const char *end, bool hash_ends);
/* Digits only; none is 0. Moves *p behind them; false above `max` (*out is `max` then). */
bool block_read_number(const char **p, const char *end, long max, long *out);

#endif
