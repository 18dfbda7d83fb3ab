/*
 * routing_fx: routing data of a short document, and questions to it. Documents and requests are JSON with ' for ", to be readable.
 */
#ifndef ROUTING_FX_H
#define ROUTING_FX_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "routing/index.h"
#include "routing/request.h"

#define TENANT_A "2c34c282-433e-4bb8-8d56-fec14ff7e1e9"
#define TENANT_B "8a4b7f7e-6f0e-4d0e-9d8b-0a7a1a8f4c11"

/* What rt_env tells of the world, and what was said. */
struct fx {
	struct rt_data *data;
	struct rt_env env;
	struct rt_decision decision;
	uint64_t seed;
	const char *dead;         /* hosts, each between blanks: " 10.0.0.1 10.0.0.2 " */
	const char *service;      /* "asterisk 10.1.0.1 10.1.0.2": its living instances */
	struct buf trace;         /* lines, with two blanks for each level */
};

static inline char *
fx_quotes(const char *text)
{
	char *s = strdup(text), *p;

	assert_non_null(s);
	for (p = s; (p = strchr(p, '\'')) != NULL;)
		*p = '"';
	return s;
}

static inline void
fx_wrong(void *arg, const char *path, const char *text)
{
	fail_msg("%s: %s", path, text);
}

/* splitmix64 */
static inline uint64_t
fx_random(void *arg)
{
	struct fx *fx = arg;
	uint64_t z = fx->seed += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static inline size_t
fx_expand(void *arg, const char *service, struct rt_place *out, size_t max)
{
	struct fx *fx = arg;
	char *copy = strdup(fx->service != NULL ? fx->service : ""), *save, *word;
	size_t n = 0;

	assert_non_null(copy);
	word = strtok_r(copy, " ", &save);
	if (word != NULL && strcmp(word, service) == 0)
		while (n < max && (word = strtok_r(NULL, " ", &save)) != NULL) {
			snprintf(out[n].host, sizeof out[n].host, "%s", word);
			out[n++].port = 5066;
		}
	free(copy);
	return n;
}

static inline bool
fx_dead(void *arg, const char *host, uint16_t port)
{
	const struct fx *fx = arg;
	char word[300];

	snprintf(word, sizeof word, " %s ", host);
	return fx->dead != NULL && strstr(fx->dead, word) != NULL;
}

static inline void
fx_trace(void *arg, int level, const char *text)
{
	struct fx *fx = arg;

	buf_printf(&fx->trace, "%*s%s\n", level * 2, "", text);
}

/* A Monday, noon in UTC. */
#define FX_NOW 1795435200

static inline struct fx *
fx_new(const char *document)
{
	struct fx *fx = calloc(1, sizeof *fx);
	char *text = fx_quotes(document);

	assert_non_null(fx);
	assert_int_equal(rt_document_parse(&fx->data, text, strlen(text), NULL, NULL, fx_wrong, NULL), 0);
	free(text);
	fx->env = (struct rt_env){ .now_s = FX_NOW, .random = fx_random, .expand = fx_expand, .dead = fx_dead, .arg = fx,
		.trace_arg = fx, .fr_timer_ms = 5000, .fr_inv_timer_ms = 30000 };
	return fx;
}

static inline void
fx_free(struct fx *fx)
{
	rt_data_unref(fx->data);
	buf_free(&fx->trace);
	free(fx);
}

/* The answer to the request, as it is (no ' for "); it is JSON. The caller frees. */
static inline char *
fx_ask_raw(struct fx *fx, const char *request)
{
	struct rt_request rq;
	struct rt_detail detail;
	struct buf out = { 0 };
	json_t *keep, *json;

	if (rt_request_parse(&rq, RT_ASK_ROUTING, request, strlen(request), &keep, &detail) != 0)
		fail_msg("%s: %d %s", request, detail.status, json_dumps(detail.detail, 0));
	buf_free(&fx->trace);
	rt_decide(fx->data, &rq, &fx->env, &fx->decision);
	rt_answer_routing(fx->data, &rq, &fx->decision, &fx->env, &out);
	json = json_loadb(out.s, out.len, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	json_decref(json);
	json_decref(keep);
	return buf_take(&out);
}

/* `more`: members of the request, after which those that every one has come: from 39040999@10.0.0.9, to TO. */
static inline char *
fx_ask(struct fx *fx, const char *to, const char *more)
{
	char *members = fx_quotes(more), *request, *answer;
	bool has_from = strstr(members, "\"from_uri\"") != NULL, has_name = strstr(members, "\"from_name\"") != NULL;

	if (asprintf(&request, "{%s%s%s%s \"to_uri\": \"%s\"}", members, members[0] != '\0' ? "," : "",
	        has_from ? "" : "\"from_uri\": \"sip:39040999@10.0.0.9\",", has_name ? "" : "\"from_name\": \"\",", to) < 0)
		fail();
	answer = fx_ask_raw(fx, request);
	free(members);
	free(request);
	return answer;
}

/* The answer as a tree. */
static inline json_t *
fx_ask_json(struct fx *fx, const char *to, const char *more)
{
	char *answer = fx_ask(fx, to, more);
	json_t *json = json_loads(answer, 0, NULL);

	assert_non_null(json);
	free(answer);
	return json;
}

/* The places of the routes, in their order: "10.0.0.1:5060 10.9.0.1:5060"; "" when there is none, with "parallel " in front of such. */
static inline char *
fx_places(struct fx *fx, const char *to, const char *more)
{
	struct buf b = { 0 };
	size_t i;

	free(fx_ask(fx, to, more));
	if (fx->decision.parallel)
		buf_puts(&b, "parallel ");
	for (i = 0; i < fx->decision.n; i++) {
		assert_memory_equal(fx->decision.routes[i].dst_uri, "sip:", 4);
		buf_printf(&b, "%s%s", i > 0 ? " " : "", fx->decision.routes[i].dst_uri + 4);
	}
	return buf_take(&b);
}

static inline void
fx_assert(const char *what, char *takes_got, const char *want)
{
	if (strcmp(takes_got, want) != 0)
		fail_msg("%s:\n got %s\nwant %s", what, takes_got, want);
	free(takes_got);
}
#define fx_assert_places(fx, to, more, want) fx_assert((to), fx_places((fx), (to), (more)), (want))

/* The text at a path of the tree: "rtjson.routes.0.headers.from.uri". */
static inline const json_t *
fx_at(const json_t *json, const char *path)
{
	char *copy = strdup(path), *save, *word;

	assert_non_null(copy);
	for (word = strtok_r(copy, ".", &save); word != NULL && json != NULL; word = strtok_r(NULL, ".", &save))
		json = json_is_array(json) ? json_array_get(json, (size_t)atoi(word)) : json_object_get(json, word);
	free(copy);
	return json;
}

static inline void
fx_assert_text(const json_t *json, const char *path, const char *want)
{
	const char *got = json_string_value(fx_at(json, path));

	if (got == NULL || strcmp(got, want) != 0)
		fail_msg("%s:\n got %s\nwant %s", path, got != NULL ? got : "(none)", want);
}

static inline void
fx_assert_int(const json_t *json, const char *path, int64_t want)
{
	if (!json_is_integer(fx_at(json, path)) || json_integer_value(fx_at(json, path)) != want)
		fail_msg("%s: not the integer %lld", path, (long long)want);
}

#endif
