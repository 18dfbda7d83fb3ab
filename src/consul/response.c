#include "response.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LENGTH_DIGITS 18 /* fit into 63 bits */
#define CHUNK_DIGITS 15

void
response_init(struct response *r, size_t max_body)
{
	memset(r, 0, sizeof *r);
	r->max_body = max_body;
}

void
response_clear(struct response *r)
{
	free(r->body);
	buf_free(&r->line);
	buf_free(&r->headers);
	memset(r, 0, sizeof *r);
}

/* ---- headers ---- */

static bool
is_token(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (s[i] <= ' ' || s[i] >= 127 || strchr("\"(),/:;<=>?@[\\]{}", s[i]) != NULL)
			return false;
	return len > 0;
}

/* A word of a list with commas. */
static bool
list_has(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (;;) {
		list += strspn(list, ", \t");
		if (*list == '\0')
			return false;
		if (strncasecmp(list, word, len) == 0 && strchr(", \t", list[len]) != NULL)
			return true;
		list += strcspn(list, ",");
	}
}

static int
parse_length(const char *s, uint64_t *out)
{
	size_t len = strlen(s);

	if (len == 0 || len > LENGTH_DIGITS || strspn(s, "0123456789") != len)
		return -EBADMSG;
	*out = strtoull(s, NULL, 10);
	return 0;
}

/* What says where the body ends; two that say different things are none. */
static int
note_header(struct response *r, const char *name, const char *value)
{
	uint64_t length;

	if (strcasecmp(name, "Content-Length") == 0) {
		if (parse_length(value, &length) != 0 || (r->has_length && r->left != length))
			return -EBADMSG;
		r->has_length = true;
		r->left = length;
	} else if (strcasecmp(name, "Transfer-Encoding") == 0) {
		if (strcasecmp(value, "chunked") != 0 || r->chunked)
			return -EBADMSG;
		r->chunked = true;
	} else if (strcasecmp(name, "Connection") == 0) {
		if (list_has(value, "close"))
			r->keep = false;
		else if (r->old && list_has(value, "keep-alive"))
			r->keep = true;
	}
	return 0;
}

static int
take_header(struct response *r, char *line, size_t len)
{
	char *colon = memchr(line, ':', len), *value, *end = line + len;
	size_t i;

	if (colon == NULL || !is_token(line, (size_t)(colon - line)))
		return -EBADMSG;
	*colon = '\0';
	for (value = colon + 1; value < end && (*value == ' ' || *value == '\t'); value++)
		;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = '\0';
	for (i = 0; value + i < end; i++)
		if (((unsigned char)value[i] < ' ' && value[i] != '\t') || value[i] == 127)
			return -EBADMSG;
	buf_add(&r->headers, line, (size_t)(colon - line) + 1);
	buf_add(&r->headers, value, (size_t)(end - value) + 1);
	return note_header(r, line, value);
}

const char *
response_header(const struct response *r, const char *name)
{
	const char *one, *value;
	size_t at;

	for (at = 0; at < r->headers.len; at = (size_t)(value - r->headers.s) + strlen(value) + 1) {
		one = r->headers.s + at;
		value = one + strlen(one) + 1;
		if (strcasecmp(one, name) == 0)
			return value;
	}
	return NULL;
}

/* ---- lines ---- */

/* "HTTP/1.1 200 OK"; the words are nobody's business. */
static int
take_status(struct response *r, const char *line)
{
	if (strncmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') || line[8] != ' ' ||
	    strspn(line + 9, "0123456789") != 3 || (line[12] != ' ' && line[12] != '\0'))
		return -EBADMSG;
	r->status = atoi(line + 9);
	if (r->status < 100 || r->status == 101)
		return -EBADMSG;
	r->old = line[7] == '0';
	r->keep = !r->old;
	r->at = RESPONSE_HEADER;
	return 0;
}

static int
whole(struct response *r)
{
	r->at = RESPONSE_WHOLE;
	return 0;
}

static int
end_of_headers(struct response *r)
{
	if (r->status < 200) { /* the answer is yet to come */
		buf_free(&r->headers);
		r->has_length = r->chunked = false;
		r->left = 0;
		r->at = RESPONSE_STATUS;
		return 0;
	}
	if (r->status == 204 || r->status == 304)
		return whole(r);
	if (r->chunked) {
		if (r->has_length || r->old)
			return -EBADMSG;
		r->at = RESPONSE_CHUNK_SIZE;
	} else if (r->has_length) {
		if (r->left > r->max_body)
			return -EMSGSIZE;
		r->at = RESPONSE_BODY;
		if (r->left == 0)
			return whole(r);
	} else {
		r->keep = false;
		r->at = RESPONSE_UNTIL_CLOSE;
	}
	return 0;
}

/* "1a" or "1a;extension". */
static int
take_chunk_size(struct response *r, const char *line)
{
	size_t n = strspn(line, "0123456789abcdefABCDEF");

	if (n == 0 || n > CHUNK_DIGITS || (line[n] != '\0' && strchr("; \t", line[n]) == NULL))
		return -EBADMSG;
	r->left = strtoull(line, NULL, 16);
	if (r->left > r->max_body - r->body_len)
		return -EMSGSIZE;
	r->at = r->left == 0 ? RESPONSE_TRAILER : RESPONSE_CHUNK;
	r->head_len = 0; /* each chunk's line for itself: the body's limit ends them */
	return 0;
}

static int
take_line(struct response *r, char *line, size_t len)
{
	if (memchr(line, '\0', len) != NULL)
		return -EBADMSG;
	switch (r->at) {
	case RESPONSE_STATUS:
		return take_status(r, line);
	case RESPONSE_HEADER:
		return len == 0 ? end_of_headers(r) : take_header(r, line, len);
	case RESPONSE_CHUNK_SIZE:
		return take_chunk_size(r, line);
	case RESPONSE_CHUNK_END:
		r->at = RESPONSE_CHUNK_SIZE;
		return len == 0 ? 0 : -EBADMSG;
	default: /* RESPONSE_TRAILER: read and forgotten */
		return len == 0 ? whole(r) : 0;
	}
}

/*
 * Bytes up to the end of a line. The first bytes decide at once that something is no HTTP: whoever speaks another protocol may
 * never end a line.
 */
static int
take_line_bytes(struct response *r, const char *data, size_t len, size_t *used)
{
	const char *nl = memchr(data, '\n', len);
	size_t n = nl != NULL ? (size_t)(nl - data) + 1 : len;
	int err;

	r->head_len += n;
	if (r->head_len > RESPONSE_HEAD_MAX)
		return -EMSGSIZE;
	buf_add(&r->line, data, n);
	*used += n;
	if (r->at == RESPONSE_STATUS && strncmp(r->line.s, "HTTP/1.", r->line.len < 7 ? r->line.len : 7) != 0)
		return -EBADMSG;
	if (nl == NULL)
		return 0;
	r->line.len--;
	if (r->line.len > 0 && r->line.s[r->line.len - 1] == '\r')
		r->line.len--;
	r->line.s[r->line.len] = '\0';
	err = take_line(r, r->line.s, r->line.len);
	r->line.len = 0;
	return err;
}

/* ---- body ---- */

static int
add_body(struct response *r, const char *data, size_t len)
{
	size_t need = r->body_len + len, cap = r->body_cap;
	char *body;

	if (need > r->max_body)
		return -EMSGSIZE;
	if (need + 1 > cap) {
		cap = cap < 256 ? 256 : cap * 2;
		if (cap < need + 1)
			cap = need + 1;
		if (cap > r->max_body + 1)
			cap = r->max_body + 1;
		body = realloc(r->body, cap);
		if (body == NULL)
			return -ENOMEM;
		r->body = body;
		r->body_cap = cap;
	}
	memcpy(r->body + r->body_len, data, len);
	r->body_len = need;
	r->body[need] = '\0';
	return 0;
}

static int
take_body_bytes(struct response *r, const char *data, size_t len, size_t *used)
{
	size_t n = r->at == RESPONSE_UNTIL_CLOSE || r->left > len ? len : (size_t)r->left;
	int err = add_body(r, data, n);

	if (err != 0)
		return err;
	*used += n;
	if (r->at == RESPONSE_UNTIL_CLOSE)
		return 0;
	r->left -= n;
	if (r->left == 0)
		r->at = r->at == RESPONSE_CHUNK ? RESPONSE_CHUNK_END : RESPONSE_WHOLE;
	return 0;
}

static bool
is_in_body(const struct response *r)
{
	return r->at == RESPONSE_BODY || r->at == RESPONSE_CHUNK || r->at == RESPONSE_UNTIL_CLOSE;
}

int
response_take(struct response *r, const char *data, size_t len, size_t *used)
{
	int err = 0;

	*used = 0;
	while (err == 0 && r->at != RESPONSE_WHOLE && *used < len) {
		if (is_in_body(r))
			err = take_body_bytes(r, data + *used, len - *used, used);
		else
			err = take_line_bytes(r, data + *used, len - *used, used);
	}
	return err != 0 ? err : r->at == RESPONSE_WHOLE;
}

int
response_end(struct response *r)
{
	if (r->at != RESPONSE_UNTIL_CLOSE)
		return -ECONNRESET;
	r->at = RESPONSE_WHOLE;
	return 1;
}
