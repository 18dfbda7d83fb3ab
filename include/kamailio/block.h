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
	bool had_block; /* there was a marker so far */
	size_t read;    /* of the present line, by block_next_fields() */
};

/* "NUMBER WORD [NUMBER [NUMBER [WORD]]]" as both files have it. Texts stand in the line: no NUL behind them. */
struct block_fields {
	bool whole; /* it has a word, and its numbers fit an int; else Kamailio refuses it */
	int id;     /* -1: none that fits */
	const char *word;
	size_t word_len;
	int first; /* 0: none */
	int second;
	const char *last;
	size_t last_len; /* 0: none */
};

/* Begin with { .at = text, .end = text + len }. False at the end. */
bool block_next_line(struct block_walk *);
/*
 * What Kamailio reads in the present line: nothing in blanks and comments; a long line is several to it.
 * hash_ends: a '#' ends the last word too. False: no more.
 */
bool block_next_fields(struct block_walk *, bool hash_ends, struct block_fields *out);
/*
 * `ours` between the marker lines, behind `text`, which is what stays of the walked `old` (never NULL text after this).
 * Nothing when there is nothing to put in it and old had no block.
 */
void block_append(struct buf *text, const struct block_walk *old, const char *begin, const struct buf *ours);

const char *block_skip_blanks(const char *p, const char *end);
/* Digits only; none is 0. Moves *p behind them; false above `max` (*out is `max` then). */
bool block_read_number(const char **p, const char *end, long max, long *out);

#endif
