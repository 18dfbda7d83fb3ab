/*
 * fuzz_agent: any bytes as what Consul's agent answers: services, a NUL, checks. What is taken must be what agent.h
 * promises, what is not must change nothing. Then the same bytes as texts of the configuration and of a command: what is
 * composed of them is JSON, and the same each time.
 */
#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "consul/agent.h"
#include "fuzz.h"

static void
check_services(const struct agent_list *l)
{
	size_t i;

	for (i = 0; i < l->n_services; i++) {
		const struct agent_service *s = &l->services[i];

		must(s->id[0] != '\0' && s->name != NULL && s->address != NULL && s->machine != NULL && s->eid != NULL);
		must(i == 0 || strcmp(s[-1].id, s->id) < 0);
		must(agent_find(l, s->id) == s);
	}
}

static void
check_checks(const struct agent_list *l)
{
	size_t i;

	for (i = 0; i < l->n_checks; i++) {
		const struct agent_check *c = &l->checks[i];

		must(c->id[0] != '\0' && c->output != NULL && c->notes != NULL && c->status <= AGENT_NO_STATUS);
		must(agent_find_check(l, c->service_id, c->id) == c);
		if (i == 0)
			continue;
		must(strcmp(c[-1].service_id, c->service_id) < 0 ||
		     (strcmp(c[-1].service_id, c->service_id) == 0 && strcmp(c[-1].id, c->id) < 0));
	}
}

static void
hear(const char *text, size_t size)
{
	const char *nul = memchr(text, '\0', size), *checks = nul ? nul + 1 : NULL;
	size_t len = nul ? (size_t)(nul - text) : size;
	struct agent_list l = { 0 }, before;
	int err;

	must(agent_list_parse(&l, "{\"a\":{\"ID\":\"a\"}}", 16, "{\"a\":{\"CheckID\":\"a\"}}", 21) == 0);
	before = l;
	err = agent_list_parse(&l, text, len, checks, nul ? size - len - 1 : 0);
	must(err == 0 || err == -EBADMSG);
	if (err != 0)
		must(memcmp(&l, &before, sizeof l) == 0 && agent_find(&l, "a") != NULL && agent_find_check(&l, "", "a") != NULL);
	check_services(&l);
	check_checks(&l);
	agent_list_clear(&l);
}

static void
say(char *text)
{
	struct conf_check http = { .name = text, .kind = CHECK_HTTP, .url = text, .method = text, .headers = { &text, &text, 1 },
		.status = text };
	struct conf_check eid = { .name = text, .kind = CHECK_EID, .url = text }, sip = { .name = text, .kind = CHECK_SIP };
	struct conf_check *checks[] = { &http, &eid, &sip };
	struct conf_tagged_address tagged = { text, text, 0 }, *all[] = { &tagged };
	struct conf_register reg = { .name = text, .id = text, .service = text, .tags = { &text, 1 }, .port = 1, .tagged = all,
		.n_tagged = 1, .meta = { &text, &text, 1 }, .dispatcher = { &text, &text, 1 }, .checks = checks, .n_checks = 3 };
	struct agent_places places = { text, NULL, text, text, text, 1 };
	struct agent_check_state states[3] = { { .status = AGENT_NO_STATUS } };
	char *body = agent_register_body(&reg, &places, states), *again = agent_register_body(&reg, &places, states);
	char *update = agent_update_body(AGENT_WARNING, text);
	json_t *j;

	must((body == NULL) == (again == NULL));
	if (body != NULL) {
		must(strcmp(body, again) == 0);
		j = json_loads(body, JSON_REJECT_DUPLICATES, NULL);
		must(json_array_size(json_object_get(j, "Checks")) == 3 && json_array_size(json_object_get(j, "Tags")) == 1);
		must(json_object_get(json_object_get(j, "Meta"), "eid") != NULL || text[0] == '\0');
		json_decref(j);
	}
	j = json_loads(update, JSON_REJECT_DUPLICATES, NULL);
	must(json_string_length(json_object_get(j, "Output")) >= strlen(text));
	json_decref(j);
	free(update);
	free(body);
	free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	hear((const char *)data, size);
	text = xstrndup((const char *)data, size);
	say(text);
	free(text);
	return 0;
}
