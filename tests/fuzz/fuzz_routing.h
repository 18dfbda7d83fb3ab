/*
 * fuzz_routing: what the targets of routing share: the world of a decision, and what must hold of any answer, whoever wrote the data and the question.
 */
#ifndef FUZZ_ROUTING_H
#define FUZZ_ROUTING_H

#include <stdio.h>
#include <string.h>

#include "fuzz.h"
#include "routing/request.h"

static uint64_t
draw(void *arg)
{
	static uint64_t n;

	(void)arg;
	return n++ * 0x9e3779b97f4a7c15u;
}

static size_t
expand(void *arg, const char *service, struct rt_place *out, size_t max)
{
	(void)arg;
	must(service[0] != '\0' && max >= 2);
	snprintf(out[0].host, sizeof out[0].host, "10.1.0.1");
	snprintf(out[1].host, sizeof out[1].host, "[2001:db8::2]");
	out[0].port = out[1].port = 5060;
	return 2;
}

static void
say(void *arg, int level, const char *text)
{
	(void)arg;
	must(level >= 0 && level <= 1 && text != NULL);
}

static const char *
text_of(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	must(s != NULL);
	return s;
}

/* Between < and >. */
static void
check_uri(const char *uri)
{
	must(uri[0] != '\0');
	for (; *uri != '\0'; uri++)
		must(*uri > 0x20 && *uri < 0x7f && strchr("<>\"\\`", *uri) == NULL);
}

/* Nothing, tokens, or one quoted string up to its end; what follows it is given back. */
static const char *
skip_display(const char *s)
{
	if (*s != '"') {
		while (*s != '\0' && *s != '<') {
			must(*s != '"' && *s != ',' && *s != ';' && *s != '\\' && *s != '>' && *s != ':' && *s != '@');
			s++;
		}
		return s;
	}
	for (s++; *s != '"'; s++) {
		must(*s != '\0' && *s != '\r' && *s != '\n');
		if (*s == '\\')
			must(*++s != '\0');
	}
	return s + 1;
}

static void
check_address(const json_t *address)
{
	const char *display = text_of(address, "display");

	must(*skip_display(display) == '\0');
	must(strpbrk(display, "\r\n") == NULL);
	check_uri(text_of(address, "uri"));
}

/* P-Asserted-Identity: "Name" <uri>CRLF, and that is all. */
static void
check_extra(const char *extra)
{
	static const char header[] = "P-Asserted-Identity: ";
	size_t len = strlen(extra);
	char *uri;

	must(strncmp(extra, header, sizeof header - 1) == 0);
	must(len > 3 && strcmp(extra + len - 3, ">\r\n") == 0 && strcspn(extra, "\r\n") == len - 2);
	extra = skip_display(extra + sizeof header - 1);
	extra += *extra == ' ';
	must(*extra == '<');
	uri = strndup(extra + 1, strlen(extra) - 4);
	must(uri != NULL);
	check_uri(uri);
	free(uri);
}

#endif
