#include "kamailio/block.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>

#define READ_MAX 1023 /* of one fgets(); the rest of a longer line is another line to Kamailio */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

const char *
block_skip_blanks(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

/* Of the fields: nothing is left, or a comment. */
static bool
at_end(const char *p, const char *end)
{
	return p == end || *p == '#';
}

static const char *
skip_word(const char *p, const char *end, bool hash_ends)
{
	while (p < end && !is_blank(*p) && !(hash_ends && *p == '#'))
		p++;
	return p;
}

bool
block_read_number(const char **p, const char *end, long max, long *out)
{
	bool fits = true;
	long n = 0;

	for (; *p < end && isdigit((unsigned char)**p); (*p)++) {
		n = n * 10 + (**p - '0');
		if (n > max) {
			fits = false;
			n = max;
		}
	}
	*out = n;
	return fits;
}

static bool
is_marker(const char *line, size_t len, const char *text, bool prefix)
{
	size_t n = strlen(text);

	while (len > 0 && is_blank(line[len - 1]))
		len--;
	return (prefix ? len >= n : len == n) && memcmp(line, text, n) == 0;
}

bool
block_next_line(struct block_walk *w)
{
	const char *nl;

	if (w->at == w->end)
		return false;
	nl = memchr(w->at, '\n', (size_t)(w->end - w->at));
	w->line = w->at;
	w->at = nl != NULL ? nl + 1 : w->end;
	w->len = (size_t)(w->at - w->line);
	w->read = 0;
	w->marker = true;
	if (is_marker(w->line, w->len, BLOCK_BEGIN_PREFIX, true))
		w->in_block = true;
	else if (is_marker(w->line, w->len, BLOCK_END, false))
		w->in_block = false;
	else
		w->marker = false;
	w->had_block |= w->marker;
	return true;
}

/* 0 where there is no number. False: it does not fit. */
static bool
read_int(const char **p, const char *end, int *out)
{
	long n;
	bool fits = block_read_number(p, end, INT_MAX, &n);

	*p = block_skip_blanks(*p, end);
	*out = (int)n;
	return fits;
}

static bool
read_fields(const char *p, const char *end, bool hash_ends, struct block_fields *f)
{
	p = block_skip_blanks(p, end);
	if (at_end(p, end))
		return false;
	f->whole = read_int(&p, end, &f->id);
	if (!f->whole)
		f->id = -1;
	f->word = p;
	p = skip_word(p, end, true);
	f->word_len = (size_t)(p - f->word);
	f->whole &= f->word_len > 0;
	p = block_skip_blanks(p, end);
	f->whole &= read_int(&p, end, &f->first);
	f->whole &= read_int(&p, end, &f->second);
	f->last = p;
	f->last_len = at_end(p, end) ? 0 : (size_t)(skip_word(p, end, hash_ends) - p);
	return true;
}

/* The next of the pieces in which Kamailio reads the present line, up to a NUL. */
static bool
next_piece(struct block_walk *w, const char **p, const char **end)
{
	size_t len = w->len - w->read;
	const char *nul;

	if (len == 0)
		return false;
	if (len > READ_MAX)
		len = READ_MAX;
	*p = w->line + w->read;
	nul = memchr(*p, '\0', len);
	*end = nul != NULL ? nul : *p + len;
	w->read += len;
	return true;
}

bool
block_next_fields(struct block_walk *w, bool hash_ends, struct block_fields *out)
{
	const char *p, *end;

	while (next_piece(w, &p, &end))
		if (read_fields(p, end, hash_ends, out))
			return true;
	return false;
}

void
block_append(struct buf *text, const struct block_walk *old, const char *begin, const struct buf *ours)
{
	buf_puts(text, "");
	if (ours->len == 0 && !old->had_block)
		return;
	if (text->len > 0 && text->s[text->len - 1] != '\n')
		buf_puts(text, "\n");
	buf_puts(text, begin);
	buf_puts(text, "\n");
	buf_add(text, ours->s, ours->len);
	buf_puts(text, BLOCK_END "\n");
}
