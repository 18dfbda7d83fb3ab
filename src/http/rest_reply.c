#include "rest_reply.h"

#include <ctype.h>
#include <string.h>

#include "base/jsonx.h"

json_t *
rest_wrong_new(void)
{
	return json_array();
}

void
rest_wrong_add(json_t *wrong, const char *in, const char *what, const char *type, const char *text)
{
	json_t *loc = json_pack("[s]", in);

	if (what != NULL && *what != '\0')
		json_array_append_new(loc, json_string(what));
	json_array_append_new(wrong, json_pack("{s:o,s:o,s:s}", "loc", loc, "msg", jsonx_text(text), "type", type));
}

void
rest_reply_wrong(struct httpd_req *r, json_t *takes)
{
	httpd_reply_json(r, 422, json_pack("{s:o}", "detail", takes));
}

void
rest_reply_not_found(struct httpd_req *r, enum rt_table table)
{
	httpd_reply_error(r, 404, "%s not found", rt_schemas[table].title);
}

void
rest_reply_later(struct httpd_req *r, const char *detail)
{
	httpd_reply_header(r, "Retry-After", "1");
	httpd_reply_error(r, 503, "%s", detail);
}

/* "Carrier Trunk" is the resource "carrier_trunk". */
static json_t *
resource_name(enum rt_table table)
{
	char name[64];
	size_t i;

	snprintf(name, sizeof name, "%s", rt_schemas[table].title);
	for (i = 0; name[i] != '\0'; i++)
		name[i] = name[i] == ' ' ? '_' : (char)tolower((unsigned char)name[i]);
	return json_string(name);
}

/* `constraing_id` is how wazo-router-confd writes it. */
static void
reply_conflict(struct httpd_req *r, enum rt_table table, const char *column, const struct rt_refusal *refusal, int64_t wall_ms)
{
	bool taken = refusal->what == RT_TAKEN;
	json_t *constraint = json_pack("{s:b}", taken ? "unique" : "unused", 1), *config;
	char message[96];

	snprintf(message, sizeof message, taken ? "Duplicated %s" : "%s is in use", column);
	config = json_pack("{s:{s:s,s:o,s:o}}", column, "constraing_id", column, "constraint", constraint,
	    "message", jsonx_text(refusal->text));
	httpd_reply_json(r, 409, json_pack("{s:s,s:s,s:o,s:f,s:{s:o}}", "error_id", "invalid-data", "message", message,
	    "resource", resource_name(table), "timestamp", (double)wall_ms / 1000, "details", "config", config));
}

void
rest_reply_refusal(struct httpd_req *r, enum rt_table table, const struct rt_refusal *refusal, int64_t wall_ms)
{
	const struct rt_schema *schema = &rt_schemas[table];
	const char *column = refusal->column >= 0 ? schema->cols[refusal->column].name : schema->cols[0].name;
	json_t *wrong;

	switch (refusal->what) {
	case RT_NOT_FOUND:
		rest_reply_not_found(r, table);
		return;
	case RT_TAKEN:
	case RT_IN_USE:
		reply_conflict(r, table, column, refusal, wall_ms);
		return;
	case RT_FINE:
	case RT_DANGLING:
	case RT_WRONG:
		break;
	}
	wrong = rest_wrong_new();
	rest_wrong_add(wrong, "body", refusal->column >= 0 ? column : NULL, "value_error", refusal->text);
	rest_reply_wrong(r, wrong);
}
