#include "html.h"

#include <stdarg.h>
#include <string.h>

/* What can't stand in a text as it is. */
static const char special[] = "&<>\"'\x7f"
    "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21\22\23\24\25\26\27\30\31\32\33\34\35\36\37";

static void
add_special(struct buf *b, char c)
{
	switch (c) {
	case '&':
		buf_puts(b, "&amp;");
		break;
	case '<':
		buf_puts(b, "&lt;");
		break;
	case '>':
		buf_puts(b, "&gt;");
		break;
	case '"':
		buf_puts(b, "&quot;");
		break;
	case '\'':
		buf_puts(b, "&#39;");
		break;
	default: /* a control character has no business in a text, nor in the lines of an event stream */
		buf_add(b, "?", 1);
	}
}

static void
add_bytes(struct buf *b, const char *s, size_t len)
{
	const char *end = s + len;
	size_t n;

	while (s < end) {
		n = strcspn(s, special);
		if (n > (size_t)(end - s))
			n = (size_t)(end - s);
		buf_add(b, s, n);
		s += n;
		if (s < end)
			add_special(b, *s++);
	}
}

void
html_add(struct buf *b, const char *fmt, ...)
{
	const char *text;
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	while (*fmt != '\0') {
		n = strcspn(fmt, "%");
		buf_add(b, fmt, n);
		fmt += n;
		if (strncmp(fmt, "%s", 2) == 0) {
			text = va_arg(ap, const char *);
			add_bytes(b, text, text != NULL ? strlen(text) : 0);
			fmt += 2;
		} else if (strncmp(fmt, "%d", 2) == 0) {
			buf_printf(b, "%d", va_arg(ap, int));
			fmt += 2;
		} else if (strncmp(fmt, "%zu", 3) == 0) {
			buf_printf(b, "%zu", va_arg(ap, size_t));
			fmt += 3;
		} else if (strncmp(fmt, "%lld", 4) == 0) {
			buf_printf(b, "%lld", va_arg(ap, long long));
			fmt += 4;
		} else if (*fmt == '%') { /* "%%" */
			buf_puts(b, "%");
			fmt += 2;
		}
	}
	va_end(ap);
}

void
html_add_short(struct buf *b, const char *s, size_t max)
{
	size_t len, n = 0;

	for (len = 0; s[len] != '\0'; len++)
		if (((unsigned char)s[len] & 0xc0) != 0x80 && n++ == max) /* not within a character of UTF-8 */
			break;
	add_bytes(b, s, len);
	if (s[len] != '\0')
		buf_puts(b, "\xe2\x80\xa6");
}
