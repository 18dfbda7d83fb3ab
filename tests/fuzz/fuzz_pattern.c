/*
 * fuzz_pattern: a regular expression in the first line, a replacement in the second, a text in the third. Whatever they are: both matching and
 * replacing end; what the shape says of the expression is true of every match, and what it calls literal matches as it says.
 */
#include <string.h>

#include "fuzz.h"
#include "routing/pattern.h"

#define TEXT_MAX 128

struct input {
	char regex[300], by[300], text[TEXT_MAX + 1];
	size_t len;
};

/* Up to the line's end, at most size - 1 bytes; NUL ends it too. */
static const uint8_t *
take_line(const uint8_t *p, const uint8_t *end, char *out, size_t size)
{
	size_t n = 0;

	for (; p < end && *p != '\n'; p++)
		if (n < size - 1)
			out[n++] = (char)*p;
	out[n] = '\0';
	return p < end ? p + 1 : p;
}

static void
check_shape(const struct pattern *p, const struct pattern_shape *shape, const char *text, size_t len)
{
	uint64_t limited = pattern_limited();
	bool is = pattern_match(p, text, len), begins = len >= shape->len && memcmp(text, shape->prefix, shape->len) == 0;

	must(!is || begins);
	if (shape->literal && limited == pattern_limited())
		must(is == (begins && (!shape->end || len == shape->len)));
}

/* Texts that are likely to match: that one, with the prefix in front, and parts of the expression itself. */
static void
check_texts(const struct pattern *p, const struct input *in)
{
	struct pattern_shape shape;
	char text[TEXT_MAX + sizeof in->regex];
	size_t n, i;

	pattern_shape(in->regex, &shape);
	must(shape.len <= PATTERN_PREFIX_MAX && strlen(shape.prefix) == shape.len && (shape.literal || !shape.end));
	check_shape(p, &shape, in->text, in->len);
	memcpy(text, shape.prefix, shape.len);
	memcpy(text + shape.len, in->text, in->len);
	n = shape.len + in->len;
	check_shape(p, &shape, text, n < TEXT_MAX ? n : TEXT_MAX);
	n = 0;
	for (i = 0; in->regex[i] != '\0' && n < TEXT_MAX; i++)
		if ((in->regex[i] >= '0' && in->regex[i] <= '9') || (in->regex[i] >= 'a' && in->regex[i] <= 'z'))
			text[n++] = in->regex[i];
	for (i = 0; i < n && i < 16; i++)
		check_shape(p, &shape, text + i, n - i);
}

static void
check_sub(const struct pattern *p, const struct input *in)
{
	char out[TEXT_MAX + 2], why[200] = "";
	size_t n;

	n = pattern_sub(p, in->by, in->text, in->len, out, sizeof out);
	must(n < sizeof out && out[n] == '\0');
	if (!pattern_check_replacement(p, in->by, why, sizeof why))
		must(why[0] != '\0');
	/* itself for itself */
	n = pattern_sub(p, "\\g<0>", in->text, in->len, out, in->len + 1);
	must(n == in->len && memcmp(out, in->text, n) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = data + size;
	struct pattern *p = NULL;
	char why[200] = "";
	struct input in;

	data = take_line(data, end, in.regex, sizeof in.regex);
	data = take_line(data, end, in.by, sizeof in.by);
	in.len = (size_t)(end - data) < TEXT_MAX ? (size_t)(end - data) : TEXT_MAX;
	memcpy(in.text, data, in.len);
	if (pattern_new(&p, in.regex, why, sizeof why) != 0) {
		must(why[0] != '\0' && p == NULL);
		return 0;
	}
	check_texts(p, &in);
	check_sub(p, &in);
	pattern_free(p);
	return 0;
}
