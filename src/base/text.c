#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void
buf_add(struct buf *b, const void *data, size_t len)
{
	b->s = xgrow(b->s, b->len + len, &b->cap, 1);
	if (len)
		memcpy(b->s + b->len, data, len);
	b->len += len;
	b->s[b->len] = '\0';
}

void
buf_puts(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n > 0) {
		b->s = xgrow(b->s, b->len + (size_t)n, &b->cap, 1);
		vsnprintf(b->s + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

char *
buf_take(struct buf *b)
{
	char *s = b->s ? b->s : xstrdup("");

	memset(b, 0, sizeof *b);
	return s;
}

void
buf_free(struct buf *b)
{
	free(b->s);
	memset(b, 0, sizeof *b);
}

static const struct {
	const char *name;
	int64_t ms;
} units[] = {
	{ "d", 86400000 },
	{ "h", 3600000 },
	{ "m", 60000 },
	{ "s", 1000 },
	{ "ms", 1 },
};

int
text_parse_duration(const char *s, int64_t *ms)
{
	int64_t sum = 0, n, part;
	char *end;

	if (strcmp(s, "0") == 0) {
		*ms = 0;
		return 0;
	}
	do {
		size_t len, i;

		if (!isdigit((unsigned char)*s))
			return -EINVAL;
		errno = 0;
		n = strtoll(s, &end, 10);
		if (errno)
			return -EINVAL;
		len = strspn(end, "dhms");
		for (i = 0; i < NELEM(units); i++)
			if (strlen(units[i].name) == len && strncmp(units[i].name, end, len) == 0)
				break;
		if (i == NELEM(units) || __builtin_mul_overflow(n, units[i].ms, &part) ||
		    __builtin_add_overflow(sum, part, &sum))
			return -EINVAL;
		s = end + len;
	} while (*s);
	*ms = sum;
	return 0;
}

void
text_format_duration(int64_t ms, char *out, size_t size)
{
	size_t i, len = 0;

	if (ms <= 0) {
		snprintf(out, size, "0s");
		return;
	}
	out[0] = '\0';
	for (i = 0; i < NELEM(units); i++) {
		int64_t n = ms / units[i].ms;

		if (n == 0)
			continue;
		ms -= n * units[i].ms;
		len += (size_t)snprintf(out + len, size - len, "%" PRId64 "%s", n, units[i].name);
		if (len >= size)
			return;
	}
}

int
text_parse_size(const char *s, int64_t *bytes)
{
	static const char suffix[] = "KMGT";
	const char *p;
	char *end;
	int64_t n;

	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	errno = 0;
	n = strtoll(s, &end, 10);
	if (errno)
		return -EINVAL;
	if (*end) {
		p = strchr(suffix, *end);
		if (p == NULL || end[1] ||
		    __builtin_mul_overflow(n, (int64_t)1 << (10 * (p - suffix + 1)), &n))
			return -EINVAL;
	}
	*bytes = n;
	return 0;
}

int
text_parse_int(const char *s, int64_t min, int64_t max, int64_t *out)
{
	char *end;
	int64_t n;

	if (!isdigit((unsigned char)s[*s == '-']))
		return -EINVAL;
	errno = 0;
	n = strtoll(s, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno || n < min || n > max)
		return -ERANGE;
	*out = n;
	return 0;
}

void
text_format_time(int64_t wall_ms, char out[32])
{
	time_t sec = (time_t)(wall_ms / 1000);
	struct tm tm;
	size_t len;

	out[0] = '\0';
	if (wall_ms <= 0 || gmtime_r(&sec, &tm) == NULL)
		return;
	len = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + len, 32 - len, ".%03dZ", (int)(wall_ms % 1000));
}

bool
text_is_name(const char *s)
{
	size_t len = strlen(s);

	return len >= 1 && len <= 63 &&
	    strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == len;
}

const char *
text_make_dns_name(char *s)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t len = strlen(s), label;
	char *p;

	if (len > 1 && s[len - 1] == '.')
		s[--len] = '\0';
	if (len > 253)
		return "is longer than a DNS name can be: 253 bytes";
	for (p = s; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	for (p = s;; p++) {
		label = strspn(p, allowed);
		p += label;
		if (*p != '\0' && *p != '.')
			return "is not a DNS name: only letters, digits, '-', '_' and dots may stand in it";
		if (label < 1 || label > 63)
			return "is not a DNS name: each part between dots has 1 to 63 characters";
		if (*p == '\0')
			return NULL;
	}
}

bool
text_is_printable(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char)s[i] < 0x21 || (unsigned char)s[i] > 0x7e)
			return false;
	return true;
}

void
text_mask(char *s, size_t len, const char *keep)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((s[i] < 0x20 || s[i] > 0x7e) && (s[i] == '\0' || strchr(keep, s[i]) == NULL))
			s[i] = '?';
}
