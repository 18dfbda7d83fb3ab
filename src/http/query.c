#include "query.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that %XX means, or -1. */
static int
coded_byte(const char *raw, size_t len)
{
	int high, low;

	if (len < 3 || raw[0] != '%')
		return -1;
	high = hex_digit(raw[1]);
	low = hex_digit(raw[2]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

char *
query_decode(const char *raw, size_t len, bool plus)
{
	char *out = xcalloc(1, len + 1);
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		int byte = coded_byte(raw + i, len - i);

		if (byte >= 0) {
			out[n] = (char)byte;
			i += 2;
		} else {
			out[n] = plus && raw[i] == '+' ? ' ' : raw[i];
		}
		if (out[n++] == '\0') {
			free(out);
			return NULL;
		}
	}
	return out;
}

static bool
is_key(const char *raw, size_t len, const char *key)
{
	char *plain = query_decode(raw, len, true);
	bool same = plain != NULL && strcmp(plain, key) == 0;

	free(plain);
	return same;
}

char *
query_value(const char *query, const char *key)
{
	const char *p, *end, *value = NULL;
	size_t found = 0, len = 0;

	for (p = query; p != NULL; p = *end ? end + 1 : NULL) {
		size_t n;

		end = p + strcspn(p, "&");
		n = strcspn(p, "=&");
		if (!is_key(p, n, key))
			continue;
		found++;
		value = p[n] == '=' ? p + n + 1 : end;
		len = (size_t)(end - value);
	}
	return found == 1 ? query_decode(value, len, true) : NULL;
}
