#include "rest_reply.h"

#include <ctype.h>
#include <string.h>

json_t *
rest_wrong_new(void)
{
	return json_array();
}

void
rest_wrong_add(json_t *wrong, const char *in, const char *what, const char *type, const char *text)
{
	json_t *o = json_object(), *loc = json_array();

	json_array_append_new(loc, json_string(in));
	if (what != NULL && *what != '\0')
		json_array_append_new(loc, json_string(what));
	json_object_set_new(o, "loc", loc);
	json_object_set_new(o, "msg", json_string(text));
	json_object_set_new(o, "type", json_string(type));
	json_array_append_new(wrong, o);
}

void
rest_reply_wrong(struct httpd_req *r, json_t *takes)
{
	json_t *o = json_object();

	json_object_set_new(o, "detail", takes);
	httpd_reply_json(r, 422, o);
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
reply_conflict(struct httpd_req *r, enum rt_table table, const char *column, const char *constraint, const char *message, const char *text,
    int64_t wall_ms)
{
	json_t *field = json_object(), *config = json_object(), *details = json_object(), *o = json_object(), *c = json_object();

	json_object_set_new(c, constraint, json_true());
	json_object_set_new(field, "constraing_id", json_string(column));
	json_object_set_new(field, "constraint", c);
	json_object_set_new(field, "message", json_string(text));
	json_object_set_new(config, column, field);
	json_object_set_new(details, "config", config);
	json_object_set_new(o, "error_id", json_string("invalid-data"));
	json_object_set_new(o, "message", json_string(message));
	json_object_set_new(o, "resource", resource_name(table));
	json_object_set_new(o, "timestamp", json_real((double)wall_ms / 1000));
	json_object_set_new(o, "details", details);
	httpd_reply_json(r, 409, o);
}

void
rest_reply_refusal(struct httpd_req *r, enum rt_table table, const struct rt_refusal *refusal, int64_t wall_ms)
{
	const struct rt_schema *schema = &rt_schemas[table];
	const char *column = refusal->column >= 0 ? schema->cols[refusal->column].name : schema->cols[0].name;
	char message[96];
	json_t *wrong;

	switch (refusal->what) {
	case RT_NOT_FOUND:
		rest_reply_not_found(r, table);
		return;
	case RT_TAKEN:
		snprintf(message, sizeof message, "Duplicated %s", column);
		reply_conflict(r, table, column, "unique", message, refusal->text, wall_ms);
		return;
	case RT_IN_USE:
		reply_conflict(r, table, column, "unused", "In use", refusal->text, wall_ms);
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
