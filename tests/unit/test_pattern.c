/*
 * pattern: what a regular expression begins with, matching as Python's re.match, replacing as its re.sub (the expected texts are
 * Python's), and limits that hold.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "routing/pattern.h"

#define DIGITS64 "1234567890123456789012345678901234567890123456789012345678901234"

static struct pattern *
make(const char *regex)
{
	struct pattern *p = NULL;
	char why[256] = "";

	if (pattern_new(&p, regex, why, sizeof why) != 0)
		fail_msg("%s: %s", regex, why);
	return p;
}

static void
shapes(void **state)
{
	static const struct {
		const char *regex, *prefix;
		bool literal, end;
	} rows[] = {
		{ "^39040123456$", "39040123456", true, true },
		{ "39040123456$", "39040123456", true, true },
		{ "^39040", "39040", true, false },
		{ "^", "", true, false },
		{ "", "", true, false },
		{ "^$", "", true, true },
		{ "^39$1", "39", false, false },
		{ "^3904055[0-9]{4}$", "3904055", false, false },
		{ "^39\\d+", "39", false, false },
		{ "^12|34", "", false, false },
		{ "^1(2|3)4", "1", false, false },
		{ "^1[|]4", "1", false, false },
		{ "^1\\|4", "1", false, false },
		{ "^12?", "1", false, false },
		{ "^12*3", "1", false, false },
		{ "^12+3", "12", false, false },
		{ "^12{0,3}", "1", false, false },
		{ "^1?2", "", false, false },
		{ "^abc9.", "abc9", false, false },
		{ "^(39)?04", "", false, false },
		{ "^^12", "", false, false },
		{ "\\+39", "", false, false },
		/* what would hide a '|' or a bracket */
		{ "12\\c(|3\\c)", "", false, false },
		{ "12\\Q(\\E|3\\Q)\\E", "", false, false },
		{ "12(?#()|3", "", false, false },
		{ "12(?x)#(\n|3#)", "", false, false },
		{ "12[]|]3", "12", false, false },
		{ "12[^]|]3", "12", false, false },
		{ "12[[:digit:]|]3", "12", false, false },
		{ "12[[:|]3", "12", false, false },
		{ "12[a\\]|]3", "12", false, false },
		{ "12[\\[:digit:]|3]", "", false, false },
		{ "12(?|3|4)", "12", false, false },
		{ "12(?:3|4)|5", "", false, false },
		{ "12(3", "", false, false },
		{ "12(?", "", false, false },
		{ "12[", "", false, false },
		{ "12\\", "", false, false },
	};
	struct pattern_shape shape;
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		pattern_shape(rows[i].regex, &shape);
		if (strcmp(shape.prefix, rows[i].prefix) != 0 || shape.literal != rows[i].literal || shape.end != rows[i].end)
			fail_msg("%s: \"%s\" literal %d end %d", rows[i].regex, shape.prefix, shape.literal, shape.end);
		assert_int_equal(shape.len, strlen(shape.prefix));
	}
}

static void
a_long_literal_is_cut(void **state)
{
	struct pattern_shape shape;
	char regex[202];

	memset(regex, '7', sizeof regex - 1);
	regex[sizeof regex - 1] = '\0';
	pattern_shape(regex, &shape);
	assert_int_equal(shape.len, PATTERN_PREFIX_MAX);
	assert_false(shape.literal);
}

static void
matches(void **state)
{
	static const struct {
		const char *regex, *text;
		bool want;
	} rows[] = {
		{ "39[0-9]{2}$", "3904", true },
		{ "39[0-9]{2}$", "39041", false },
		{ "39[0-9]{2}", "39041", true },
		{ "9[0-9]", "3904", false }, /* at the beginning */
		{ "(04|05)$", "05", true },
		{ "x*$", "", true },
		{ "39$", "39\n", false },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct pattern *p = make(rows[i].regex);

		if (pattern_match(p, rows[i].text, strlen(rows[i].text)) != rows[i].want)
			fail_msg("%s on %s", rows[i].regex, rows[i].text);
		assert_true(pattern_bytes(p) > 50);
		pattern_free(p);
	}
}

static void
wrong_patterns_say_where(void **state)
{
	static const struct {
		const char *regex, *says;
	} rows[] = {
		{ "12(3", "at character 5" },
		{ "[0-9", "at character 5" },
		{ "12)", "at character 3" },
		{ "(*UTF)1", "at character" },
		{ "((((((12){9}){9}){9}){9}){9})", "" },
		{ "((12){99}){20}", "too large" },
	};
	struct pattern *p = NULL;
	char why[256];
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		why[0] = '\0';
		if (pattern_new(&p, rows[i].regex, why, sizeof why) != -EINVAL)
			fail_msg("%s is fine", rows[i].regex);
		assert_null(p);
		if (why[0] == '\0' || strstr(why, rows[i].says) == NULL)
			fail_msg("%s: \"%s\"", rows[i].regex, why);
	}
}

static void
replaces_as_python(void **state)
{
	static const struct {
		const char *regex, *by, *text, *want;
	} rows[] = {
		{ "x*", "-", "abxd", "-a-b--d-" },
		{ "x*", "-", "abc", "-a-b-c-" },
		{ "a|b*", "<>", "xabbb", "<>x<><><>" },
		{ "(a)|(b)", "[\\1\\2]", "abc", "[a][b]c" },
		{ "(\\d+)(?P<tail>\\d{2})$", "\\g<tail>\\1", "12345", "45123" },
		{ "\\b|\\d+", "-", "12 34", "--- ---" },
		{ "$", "+", "123", "123+" },
		{ "^", "00", "39", "0039" },
		{ "(a)?(b)", "\\1-\\2", "b", "-b" },
		{ "(\\d)(\\d)", "\\2\\1\\\\", "1234", "21\\43\\" },
		{ "^0*", "", "00012", "12" },
		{ "", ".", "ab", ".a.b." },
		{ "(?:)|1", "_", "111", "_______" },
		{ "(\\d)", "\\g<1>\\g<0>0", "7", "770" },
		{ "00", "+", "0012003", "+12+3" },
		{ "(1)(2)(3)(4)(5)(6)(7)(8)(9)(a)(b)", "\\11\\10\\1", "123456789ab", "ba1" },
		{ "9", "x", "123", "123" },
		/* what has no such group changes nothing */
		{ "(1)", "\\2", "123", "123" },
		{ "(1)", "\\n", "123", "123" },
		{ "(1)", "\\100", "123", "123" },
	};
	char out[130];
	size_t i, n;

	for (i = 0; i < NELEM(rows); i++) {
		struct pattern *p = make(rows[i].regex);

		n = pattern_sub(p, rows[i].by, rows[i].text, strlen(rows[i].text), out, sizeof out);
		if (strcmp(out, rows[i].want) != 0 || n != strlen(out))
			fail_msg("%s by %s in %s: %s", rows[i].regex, rows[i].by, rows[i].text, out);
		pattern_free(p);
	}
}

static void
no_room_changes_nothing(void **state)
{
	struct pattern *p = make("[0-9]");
	char out[8];

	assert_int_equal(pattern_sub(p, "\\g<0>\\g<0>", "123", 3, out, sizeof out), 6);
	assert_string_equal(out, "112233");
	assert_int_equal(pattern_sub(p, "\\g<0>\\g<0>", "1234", 4, out, sizeof out), 4);
	assert_string_equal(out, "1234");
	assert_int_equal(pattern_sub(p, "\\g<0>\\g<0>x", "12a", 3, out, sizeof out), 7);
	assert_int_equal(pattern_sub(p, "xxxxxxxx", "1", 1, out, sizeof out), 1);
	pattern_free(p);
}

static void
replacements_are_checked(void **state)
{
	static const struct {
		const char *by;
		bool fine;
	} rows[] = {
		{ "", true }, { "+39", true }, { "\\1", true }, { "\\2x", true }, { "\\g<1>9", true }, { "\\g<tail>", true }, { "\\g<0>", true },
		{ "\\3", false }, { "\\g<3>", false }, { "\\g<head>", false }, { "\\g<", false }, { "\\g<>", false }, { "\\0", false },
		{ "\\x", false }, { "\\", false }, { "\\\\", false }, { "@evil", false }, { "1 2", false }, { "\"", false }, { "1\r\n", false },
		{ ">;tag", false }, { "\\g<1", false }, { "\\g1", false }, { "\\g<000000000000000000000000000000000000001>", false },
	};
	struct pattern *p = make("(1)(?<tail>2)");
	char why[256];
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		why[0] = '\0';
		if (pattern_check_replacement(p, rows[i].by, why, sizeof why) != rows[i].fine || (why[0] == '\0') != rows[i].fine)
			fail_msg("%s: %s", rows[i].by, why);
	}
	assert_true(pattern_check_replacement(NULL, "+39", why, sizeof why));
	assert_false(pattern_check_replacement(NULL, "\\1", why, sizeof why));
	pattern_free(p);
}

static double
cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* A pattern without limits would take years. Twenty times what it takes here, and the sanitizers' cost, are left as room. */
static void
hostile_patterns_end(void **state)
{
	static const char *const regexes[] = {
		"([0-9]+)+[a-z]", "([0-9]+)+$[x-z]", "(a|aa|[0-9])+[x-z]", "(.*)(.*)(.*)(.*)(.*)[a-z]", "(([0-9]*)*)*\\1[a-z]", "(1|2|(?R))*[a-z]",
		"([0-9]|[0-9][0-9])*[a-z]", "(?:(?=([0-9]+))[0-9])*[a-z]",
	};
	char out[129];
	size_t i;

	for (i = 0; i < NELEM(regexes); i++) {
		struct pattern *p = make(regexes[i]);
		uint64_t before = pattern_limited();
		double start = cpu_ms();

		assert_false(pattern_match(p, DIGITS64, 64));
		assert_int_equal(pattern_sub(p, "x", DIGITS64, 64, out, sizeof out), 64);
		assert_string_equal(out, DIGITS64);
		if (cpu_ms() - start > 100)
			fail_msg("%s took %.1f ms", regexes[i], cpu_ms() - start);
		/* some of these PCRE2 sees through */
		if (i < 2)
			assert_true(pattern_limited() >= before + 1);
		pattern_free(p);
	}
	struct pattern *p = make("(a+)+$");
	uint64_t before = pattern_limited();

	assert_false(pattern_match(p, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1", 64));
	assert_int_equal(pattern_limited(), before + 1);
	pattern_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shapes),
		cmocka_unit_test(a_long_literal_is_cut),
		cmocka_unit_test(matches),
		cmocka_unit_test(wrong_patterns_say_where),
		cmocka_unit_test(replaces_as_python),
		cmocka_unit_test(no_room_changes_nothing),
		cmocka_unit_test(replacements_are_checked),
		cmocka_unit_test(hostile_patterns_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
