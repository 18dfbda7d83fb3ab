#include "http/openapi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/rest.h"
#include "routing/schema.h"

#define JSON_TYPE "application/json"

/* ---- parts ---- */

static json_t *
ref_to(const char *what, const char *kind)
{
	char text[96];

	snprintf(text, sizeof text, "#/components/schemas/%s%s", what, kind);
	return json_pack("{s:s}", "$ref", text);
}

static json_t *
content(json_t *schema)
{
	return json_pack("{s:{s:o}}", JSON_TYPE, "schema", schema);
}

/* schema NULL: no body. */
static void
add_answer(json_t *operation, const char *status, const char *text, json_t *schema)
{
	json_t *answers = json_object_get(operation, "responses");
	json_t *o = json_pack("{s:s}", "description", text);

	if (schema != NULL)
		json_object_set_new(o, "content", content(schema));
	json_object_set_new(answers, status, o);
}

static json_t *
operation_new(const char *id, const char *tag, const char *summary)
{
	return json_pack("{s:s,s:[s],s:s,s:{}}", "operationId", id, "tags", tag, "summary", summary, "responses");
}

static void
add_operation(json_t *paths, const char *path, const char *method, json_t *operation)
{
	json_t *item = json_object_get(paths, path);

	if (item == NULL) {
		item = json_object();
		json_object_set_new(paths, path, item);
	}
	json_object_set_new(item, method, operation);
}

static void
add_body(json_t *operation, json_t *schema)
{
	json_object_set_new(operation, "requestBody", json_pack("{s:b,s:o}", "required", 1, "content", content(schema)));
}

static void
add_parameter(json_t *operation, const char *name, const char *in, bool required, const char *text, json_t *schema)
{
	json_t *all = json_object_get(operation, "parameters");

	if (all == NULL) {
		all = json_array();
		json_object_set_new(operation, "parameters", all);
	}
	json_array_append_new(all,
	    json_pack("{s:s,s:s,s:b,s:s,s:o}", "name", name, "in", in, "required", required, "description", text,
	        "schema", schema));
}

static void
add_required(json_t *schema, json_t *takes)
{
	if (json_array_size(takes) > 0)
		json_object_set(schema, "required", takes);
	json_decref(takes);
}

static json_t *
uuid_schema(void)
{
	return json_pack("{s:s,s:s}", "type", "string", "format", "uuid");
}

static json_t *
number_schema(int64_t min, int64_t max, int64_t def)
{
	return json_pack("{s:s,s:I,s:I,s:I}", "type", "integer", "minimum", (json_int_t)min, "maximum", (json_int_t)max, "default",
	    (json_int_t)def);
}

/* ---- schemas of rows ---- */

static json_t *
default_of(const struct rt_column *c)
{
	if (c->type == RT_BOOL)
		return json_boolean(strcmp(c->def, "true") == 0);
	return c->type == RT_INT ? json_integer(strtoll(c->def, NULL, 10)) : json_string(c->def);
}

static json_t *
column_schema(const struct rt_column *c, bool with_default)
{
	static const struct {
		const char *type, *format;
	} types[] = {
		[RT_INT] = { "integer", "int64" }, [RT_TEXT] = { "string", NULL }, [RT_BOOL] = { "boolean", NULL },
		[RT_UUID] = { "string", "uuid" }, [RT_TIME] = { "string", "date-time" }, [RT_IDS] = { "array", NULL },
	};
	json_t *o = json_pack("{s:s,s:s}", "type", types[c->type].type, "description", c->help);

	if (types[c->type].format != NULL)
		json_object_set_new(o, "format", json_string(types[c->type].format));
	if (!(c->flags & RT_REQUIRED))
		json_object_set_new(o, "nullable", json_true());
	if (c->type == RT_INT) {
		json_object_set_new(o, "minimum", json_integer(c->min));
		json_object_set_new(o, "maximum", json_integer(c->max));
	} else if (c->type == RT_TEXT) {
		json_object_set_new(o, "maxLength", json_integer(c->max));
	} else if (c->type == RT_IDS) {
		json_object_set_new(o, "items", json_pack("{s:s,s:s}", "type", "integer", "format", "int64"));
	}
	if (with_default && c->def != NULL)
		json_object_set_new(o, "default", default_of(c));
	return o;
}

enum view { VIEW_ROW, VIEW_NEW, VIEW_CHANGE };

/* A row as it is answered, as it is posted, or as it is changed: in part. */
static json_t *
row_schema(enum rt_table table, enum view view)
{
	const struct rt_schema *schema = &rt_schemas[table];
	json_t *properties = json_object(), *required = json_array(), *o = json_pack("{s:s}", "type", "object");
	size_t i;

	for (i = 0; i < schema->n_cols; i++) {
		const struct rt_column *c = &schema->cols[i];
		bool is_key = i == 0 && table != RT_TENANTS;

		if (view == VIEW_ROW ? c->flags & RT_SECRET : is_key || (c->flags & RT_DERIVED))
			continue;
		json_object_set_new(properties, c->name, column_schema(c, view == VIEW_NEW));
		if (view == VIEW_ROW || (view == VIEW_NEW && (c->flags & RT_REQUIRED)))
			json_array_append_new(required, json_string(c->name));
	}
	json_object_set_new(o, "properties", properties);
	if (view != VIEW_ROW)
		json_object_set_new(o, "additionalProperties", json_false());
	add_required(o, required);
	return o;
}

/* "Carrier Trunk" is the schema "CarrierTrunk". */
static void
schema_name(enum rt_table table, char out[64])
{
	const char *p = rt_schemas[table].title;
	size_t n = 0;

	for (; *p != '\0' && n < 63; p++)
		if (*p != ' ')
			out[n++] = *p;
	out[n] = '\0';
}

static void
add_schemas(json_t *schemas, enum rt_table table)
{
	static const char *const kinds[] = { [VIEW_ROW] = "", [VIEW_NEW] = "Create", [VIEW_CHANGE] = "Update" };
	char name[64], full[80];
	int view;

	schema_name(table, name);
	for (view = VIEW_ROW; view <= (table == RT_CDRS ? VIEW_NEW : VIEW_CHANGE); view++) {
		snprintf(full, sizeof full, "%s%s", name, kinds[view]);
		json_object_set_new(schemas, full, row_schema(table, (enum view)view));
	}
	snprintf(full, sizeof full, "%sList", name);
	json_object_set_new(schemas, full, json_pack("{s:s,s:{s:{s:s,s:o}},s:[s]}", "type", "object",
	    "properties", "items", "type", "array", "items", ref_to(name, ""), "required", "items"));
}

/* ---- paths of a resource ---- */

enum answers {
	ANSWER_404 = 1,
	ANSWER_409 = 2,
	ANSWER_422 = 4,
	ANSWER_400 = 8,
	ANSWER_403 = 16,
	ANSWERS_OF_CHANGE = ANSWER_403 | ANSWER_404 | ANSWER_409 | ANSWER_422,
};

static json_t *
rest_operation(enum rt_table table, const char *verb, const char *summary, const char *answer, unsigned also)
{
	static const struct {
		unsigned flag;
		const char *status, *text, *schema;
	} others[] = {
		{ ANSWER_400, "400", "the body is no JSON object", "Error" },
		{ 0, "401", "X-Auth-Token is missing or not valid", "Error" },
		{ ANSWER_403, "403", "not allowed: of a tenant that is none of the token's", "Error" },
		{ ANSWER_404, "404", "no such row, or the REST interface is off (routing.api)", "Error" },
		{ ANSWER_409, "409", "the row collides with another, or is in use; or the data is not to be changed here",
		    "Conflict" },
		{ ANSWER_422, "422", "what was sent is wrong: each thing with its place", "ValidationError" },
		{ 0, "503", "not now: while loading, when nothing can be stored, or nobody be asked about the token", "Error" },
	};
	char id[96], name[64], text[160];
	json_t *o;
	size_t i;

	schema_name(table, name);
	snprintf(id, sizeof id, "%s%s", verb, name);
	snprintf(text, sizeof text, "%s: %s", rt_schemas[table].title, summary);
	o = operation_new(id, rt_schemas[table].name, text);
	json_object_set_new(o, "security", json_pack("[{s:[]},{}]", "token"));
	add_parameter(o, "Wazo-Tenant", "header", false, "one of the token's tenants: only its rows", uuid_schema());
	add_answer(o, "200", rt_schemas[table].title, ref_to(name, answer));
	for (i = 0; i < NELEM(others); i++)
		if (others[i].flag == 0 || (also & others[i].flag))
			add_answer(o, others[i].status, others[i].text, ref_to(others[i].schema, ""));
	return o;
}

static json_t *
key_schema(enum rt_table table)
{
	return table == RT_TENANTS ? uuid_schema() :
	    json_pack("{s:s,s:s,s:i}", "type", "integer", "format", "int64", "minimum", 1);
}

static void
add_of_one(json_t *paths, const char *path, const char *method, enum rt_table table, json_t *operation)
{
	add_parameter(operation, "id", "path", true, rt_schemas[table].cols[0].help, key_schema(table));
	add_operation(paths, path, method, operation);
}

static void
add_resource(json_t *paths, enum rt_table table)
{
	const char *summary = table == RT_CDRS ? "add one; it is stored when this is answered, and not changed or deleted by REST" :
	    table == RT_TENANTS ? "add one" : "add one; its id is the highest + 1";
	char path[96], one[104], name[64];
	json_t *o;

	schema_name(table, name);
	snprintf(path, sizeof path, "/1.0/%s", rt_schemas[table].path);
	snprintf(one, sizeof one, "%s/{id}", path);
	o = rest_operation(table, "list", "some of them, in the order of their keys", "List", ANSWER_404 | ANSWER_422);
	add_parameter(o, "offset", "query", false, "so many are left out", number_schema(0, REST_OFFSET_MAX, 0));
	add_parameter(o, "limit", "query", false, "at most so many", number_schema(1, REST_LIMIT_MAX, REST_LIMIT));
	add_operation(paths, path, "get", o);
	o = rest_operation(table, "create", summary, "", ANSWER_400 | ANSWERS_OF_CHANGE);
	add_body(o, ref_to(name, "Create"));
	add_operation(paths, path, "post", o);
	add_of_one(paths, one, "get", table, rest_operation(table, "get", "one of them", "", ANSWER_404 | ANSWER_422));
	if (table == RT_CDRS)
		return;
	o = rest_operation(table, "update", "change what the body names", "", ANSWER_400 | ANSWERS_OF_CHANGE);
	add_body(o, ref_to(name, "Update"));
	add_of_one(paths, one, "put", table, o);
	add_of_one(paths, one, "delete", table,
	    rest_operation(table, "delete", "delete it; what it was is answered", "", ANSWERS_OF_CHANGE));
}

/* ---- Kamailio's questions, and the daemon itself ---- */

/* Fields of an object: NAME:TYPE, with '!' when it must be there, '?' when it may be null. TYPE "any": number, text or truth. */
static const struct {
	const char *name, *fields;
} objects[] = {
	{ "RoutingRequest", "event:string? auth:any? source_ip:string? source_port:any? domain:string? username:string? "
	    "call_id:string? from_name:string!? from_uri:string! from_tag:string? to_uri:string! to_name:string? to_tag:string?" },
	{ "RoutingAnswer", "auth:object!? rtjson:object! cdr:object?" },
	{ "AuthRequest", "source_ip:string? source_port:any? domain:string? username:string? password:string?" },
	{ "AuthAnswer", "success:boolean! tenant_uuid:string!? tenant_id:integer! ipbx_id:integer! carrier_trunk_id:integer! "
	    "domain:string!? username:string!? password_ha1:string!?" },
	{ "KamailioCDR", "event:string? tenant_uuid:string? tenant_id:any? source_ip:string? source_port:any? call_id:string? "
	    "from_uri:string! to_uri:string! call_start:string? duration:any?" },
	{ "KamailioCDRAnswer", "success:boolean! cdr:object?" },
	{ "Table", "content:string!" },
	{ "Health", "status:string! generation:integer! problems:array!" },
};

static json_t *
object_schema(const char *fields)
{
	json_t *properties = json_object(), *required = json_array(), *o = json_pack("{s:s}", "type", "object");
	char name[32], type[16];
	bool any;
	int used;

	for (; sscanf(fields, " %31[a-z_0-9]:%15[a-z]%n", name, type, &used) == 2; fields += strcspn(fields, " ")) {
		json_t *p = json_object();

		fields += used;
		any = strcmp(type, "any") == 0;
		if (!any)
			json_object_set_new(p, "type", json_string(type));
		if (strcmp(type, "array") == 0)
			json_object_set_new(p, "items", json_object());
		if (*fields == '!') {
			json_array_append_new(required, json_string(name));
			fields++;
		}
		if (*fields == '?' && !any) /* any may be null */
			json_object_set_new(p, "nullable", json_true());
		json_object_set_new(properties, name, p);
	}
	json_object_set_new(o, "properties", properties);
	add_required(o, required);
	return o;
}

/* Errors are {"detail": TEXT}, of a 422 an array; a row that collides with another is told in more detail. */
static const char errors[] =
    "{'Error': {'type': 'object', 'properties': {'detail': {'type': 'string'}}, 'required': ['detail']},"
    "'ValidationError': {'type': 'object', 'properties': {'detail': {'type': 'array', 'items': {'type': 'object', 'properties': {"
    "'loc': {'type': 'array', 'items': {'type': 'string'}}, 'msg': {'type': 'string'}, 'type': {'type': 'string'}},"
    "'required': ['loc', 'msg', 'type']}}}, 'required': ['detail']},"
    "'Conflict': {'type': 'object', 'properties': {'error_id': {'type': 'string'}, 'message': {'type': 'string'},"
    "'resource': {'type': 'string'}, 'timestamp': {'type': 'number'}, 'details': {'type': 'object'},"
    "'detail': {'type': 'string'}}}}";

static json_t *
errors_new(void)
{
	char *text = xstrdup(errors), *p;
	json_t *o;

	for (p = text; (p = strchr(p, '\'')) != NULL;)
		*p = '"';
	o = json_loads(text, 0, NULL);
	free(text);
	return o;
}

static void
add_question(json_t *paths, const char *path, const char *id, const char *summary, const char *body, const char *answer)
{
	json_t *o = operation_new(id, "kamailio", summary);

	if (body != NULL) {
		add_body(o, ref_to(body, ""));
		add_answer(o, "400", "the body is no JSON object", ref_to("Error", ""));
		add_answer(o, "422", "a value is missing or wrong", ref_to("ValidationError", ""));
	}
	add_answer(o, "200", "the answer", ref_to(answer, ""));
	add_answer(o, "403", "the client is not among routing.clients", ref_to("Error", ""));
	add_answer(o, "503", "there is no routing data yet", ref_to("Error", ""));
	add_operation(paths, path, body != NULL ? "post" : "get", o);
}

static void
add_own(json_t *paths)
{
	json_t *o = operation_new("status", "c4d", "Does it run?");

	add_answer(o, "204", "it does", NULL);
	add_operation(paths, "/status", "get", o);
	o = operation_new("health", "c4d", "Does it do what it is there for?");
	add_answer(o, "200", "ok or degraded", ref_to("Health", ""));
	add_answer(o, "503", "failing", ref_to("Health", ""));
	add_operation(paths, "/health", "get", o);
	add_question(paths, "/1.0/kamailio/routing", "routing", "Where does the call go?", "RoutingRequest", "RoutingAnswer");
	add_question(paths, "/kamailio/rtjson", "rtjson", "The same", "RoutingRequest", "RoutingAnswer");
	add_question(paths, "/1.0/kamailio/auth", "auth", "Who is it?", "AuthRequest", "AuthAnswer");
	add_question(paths, "/1.0/kamailio/cdr", "cdr", "A call has ended", "KamailioCDR", "KamailioCDRAnswer");
	add_question(paths, "/1.0/kamailio/dbtext/uacreg", "uacreg", "The table uacreg, as db_text holds it", NULL, "Table");
}

json_t *
openapi_document(bool rest)
{
	json_t *paths = json_object(), *schemas = errors_new(), *components = json_object(), *info, *token;
	size_t i;
	int t;

	for (i = 0; i < NELEM(objects); i++)
		json_object_set_new(schemas, objects[i].name, object_schema(objects[i].fields));
	add_own(paths);
	for (t = 0; t < RT_ALL && rest; t++) {
		add_schemas(schemas, (enum rt_table)t);
		add_resource(paths, (enum rt_table)t);
	}
	json_object_set_new(components, "schemas", schemas);
	if (rest) {
		token = json_pack("{s:s,s:s,s:s}", "type", "apiKey", "in", "header", "name", "X-Auth-Token");
		json_object_set_new(token, "description",
		    json_string("the word of routing.token_file, or a token of wazo-auth (routing.auth_url)"));
		json_object_set_new(components, "securitySchemes", json_pack("{s:o}", "token", token));
	}
	info = json_pack("{s:s,s:s,s:{s:s}}", "title", "c4d", "version", C4D_VERSION, "license", "name", "MIT");
	json_object_set_new(info, "description",
	    json_string("Routing data and decisions. In the paths of resources, _ and - are the same, and a slash may follow."));
	return json_pack("{s:s,s:o,s:o,s:o}", "openapi", "3.0.2", "info", info, "paths", paths, "components", components);
}
