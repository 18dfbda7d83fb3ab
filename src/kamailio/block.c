#include "kamailio/block.h"

#include <ctype.h>
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

bool
block_at_end(const char *p, const char *end)
{
	return p == end || *p == '#';
}

const char *
block_skip_word(const char *p, const char *end, bool hash_ends)
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
	w->marker = true;
	if (is_marker(w->line, w->len, BLOCK_BEGIN_PREFIX, true))
		w->in_block = true;
	else if (is_marker(w->line, w->len, BLOCK_END, false))
		w->in_block = false;
	else
		w->marker = false;
	return true;
}

bool
block_next_piece(const struct block_walk *w, size_t *offset, const char **p, const char **end)
{
	size_t len = w->len - *offset;
	const char *nul;

	if (len == 0)
		return false;
	if (len > READ_MAX)
		len = READ_MAX;
	*p = w->line + *offset;
	nul = memchr(*p, '\0', len);
	*end = nul != NULL ? nul : *p + len;
	*offset += len;
	return true;
}

void
block_append(struct buf *text, const char *begin, const struct buf *ours)
{
	if (text->len > 0 && text->s[text->len - 1] != '\n')
		buf_puts(text, "\n");
	buf_puts(text, begin);
	buf_puts(text, "\n");
	buf_add(text, ours->s, ours->len);
	buf_puts(text, BLOCK_END "\n");
}
