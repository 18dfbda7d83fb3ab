#include "routing/request.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "flat.h"
#include "routing/uri.h"

#define DEPTH_MAX 16
#define URI_MAX 512
#define NAME_MAX_BYTES 256
#define CALL_ID_MAX 256
#define IP_MAX 64
#define DOMAIN_MAX 253

/* ---- what is wrong ---- */

static int
set_bad_json(struct rt_detail *detail, const char *text)
{
	detail->status = 400;
	detail->detail = json_string(text);
	return -EINVAL;
}

/* One more thing that is wrong with a field, as FastAPI says it. */
static void
add_wrong(struct rt_detail *detail, const char *field, const char *msg, const char *type)
{
	if (detail->detail == NULL)
		detail->detail = json_array();
	detail->status = 422;
	json_array_append_new(detail->detail, json_pack("{s:[s,s],s:s,s:s}", "loc", "body", field, "msg", msg, "type", type));
}

/* ---- fields ---- */

enum kind { TEXT, FROM_URI, TO_URI, ADDRESS, PORT, FLAG };
enum { ROUTING = 1 << RT_ASK_ROUTING, AUTH = 1 << RT_ASK_AUTH };

/* One of a request: of which questions it is, in which its key has to be there, and in which it may not be null. */
struct field {
	const char *name;
	enum kind kind;
	size_t offset;
	size_t max; /* bytes of a text */
	unsigned of, key_needed, needed;
};

#define AT(field) offsetof(struct rt_request, field)
static const struct field fields[] = {
	{ "auth", FLAG, AT(auth), 0, ROUTING, 0, 0 },
	{ "source_ip", ADDRESS, AT(source_ip), IP_MAX, ROUTING | AUTH, 0, 0 },
	{ "source_port", PORT, AT(source_port), 0, ROUTING | AUTH, 0, 0 },
	{ "domain", TEXT, AT(domain), DOMAIN_MAX, ROUTING | AUTH, 0, 0 },
	{ "username", TEXT, AT(username), NAME_MAX_BYTES, ROUTING | AUTH, 0, 0 },
	{ "password", TEXT, AT(password), NAME_MAX_BYTES, AUTH, 0, 0 },
	{ "call_id", TEXT, AT(call_id), CALL_ID_MAX, ROUTING, 0, 0 },
	{ "from_name", TEXT, AT(from_name), NAME_MAX_BYTES, ROUTING, ROUTING, 0 },
	{ "from_uri", FROM_URI, AT(from_uri), URI_MAX, ROUTING, ROUTING, ROUTING },
	{ "from_tag", TEXT, AT(from_tag), NAME_MAX_BYTES, ROUTING, 0, 0 },
	{ "to_name", TEXT, AT(to_name), NAME_MAX_BYTES, ROUTING, 0, 0 },
	{ "to_uri", TO_URI, AT(to_uri), URI_MAX, ROUTING, ROUTING, ROUTING },
	{ "to_tag", TEXT, AT(to_tag), NAME_MAX_BYTES, ROUTING, 0, 0 },
};

/* The request that is read. */
struct reading {
	struct rt_request *out;
	json_t *keep; /* holds the texts */
	json_t *obj;  /* what jansson made of the body; NULL: it is in `flat` */
	struct flat flat;
	struct rt_detail *detail;
};

static void *
place_of(const struct reading *r, const struct field *f)
{
	return (char *)r->out + f->offset;
}

static bool
has_control(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return true;
	return false;
}

/* A text of ours among those of the body. */
static const char *
keep_text(struct reading *r, const char *text)
{
	json_t *both = json_pack("[o,s]", r->keep, text);

	if (both == NULL)
		abort();
	r->keep = both;
	return json_string_value(json_array_get(both, 1));
}

/* As the data has it: without brackets, in the usual notation. NULL: no address. */
static const char *
canonical_address(struct reading *r, const char *s, size_t len)
{
	unsigned char in6[sizeof(struct in6_addr)];
	char text[INET6_ADDRSTRLEN];

	if (inet_pton(AF_INET, s, in6) == 1)
		return s;
	if (len >= 2 && s[0] == '[' && s[len - 1] == ']') {
		s++;
		len -= 2;
	}
	if (len >= sizeof text)
		return NULL;
	memcpy(text, s, len);
	text[len] = '\0';
	if (inet_pton(AF_INET6, text, in6) != 1 || inet_ntop(AF_INET6, in6, text, sizeof text) == NULL)
		return NULL;
	return keep_text(r, text);
}

static void
read_text(struct reading *r, const struct field *f, const struct flat_value *v)
{
	const char *s = v->s, *wrong = NULL;
	char msg[96];

	if (v->kind != FLAT_TEXT) {
		add_wrong(r->detail, f->name, "str type expected", "type_error.str");
		return;
	}
	if (v->len > f->max) {
		snprintf(msg, sizeof msg, "ensure this value has at most %zu bytes", f->max);
		add_wrong(r->detail, f->name, msg, "value_error.any_str.max_length");
		return;
	}
	if (has_control(s, v->len))
		wrong = "has control characters";
	else if (f->kind == FROM_URI || f->kind == TO_URI)
		wrong = rt_uri_wrong(s, f->kind == FROM_URI ? RT_URI_FROM : RT_URI_TO);
	else if (f->kind == ADDRESS && v->len > 0 && (s = canonical_address(r, s, v->len)) == NULL)
		wrong = "is not an IP address";
	if (wrong != NULL)
		add_wrong(r->detail, f->name, wrong, "value_error");
	else
		*(const char **)place_of(r, f) = s;
}

static void
read_port(struct reading *r, const struct field *f, const struct flat_value *v)
{
	int64_t port = v->kind == FLAT_INT ? v->i : 0;
	int err = 0;

	if (v->kind == FLAT_TEXT && v->len == 0)
		return;
	if (v->kind == FLAT_TEXT)
		err = text_parse_int(v->s, 0, 65535, &port);
	else if (v->kind != FLAT_INT)
		err = -EINVAL;
	else if (port < 0 || port > 65535)
		err = -ERANGE;
	if (err == -ERANGE)
		add_wrong(r->detail, f->name, "ensure this value is within 0 and 65535", "value_error.number.not_le");
	else if (err != 0)
		add_wrong(r->detail, f->name, "value is not a valid integer", "type_error.integer");
	else
		*(int64_t *)place_of(r, f) = port;
}

static void
read_flag(struct reading *r, const struct field *f, const struct flat_value *v)
{
	static const char *const words[][2] = { { "0", "1" }, { "false", "true" }, { "no", "yes" }, { "off", "on" } };
	bool *flag = place_of(r, f);
	size_t i;

	if (v->kind == FLAT_TEXT && v->len == 0)
		return;
	if (v->kind == FLAT_BOOL || (v->kind == FLAT_INT && (v->i == 0 || v->i == 1))) {
		*flag = v->i == 1;
		return;
	}
	for (i = 0; v->kind == FLAT_TEXT && i < NELEM(words); i++)
		if (strcasecmp(v->s, words[i][0]) == 0 || strcasecmp(v->s, words[i][1]) == 0) {
			*flag = strcasecmp(v->s, words[i][1]) == 0;
			return;
		}
	add_wrong(r->detail, f->name, "value could not be parsed to a boolean", "type_error.bool");
}

static void
read_field(struct reading *r, const struct field *f, unsigned asked)
{
	struct flat_value v = { .kind = FLAT_MISSING };

	if (r->obj != NULL)
		flat_of_json(json_object_get(r->obj, f->name), &v);
	else
		flat_get(&r->flat, f->name, &v);
	if (v.kind == FLAT_MISSING && (f->key_needed & asked))
		add_wrong(r->detail, f->name, "field required", "value_error.missing");
	else if (v.kind == FLAT_NULL && (f->needed & asked))
		add_wrong(r->detail, f->name, "none is not an allowed value", "type_error.none.not_allowed");
	else if (v.kind == FLAT_MISSING || v.kind == FLAT_NULL)
		return;
	else if (f->kind == PORT)
		read_port(r, f, &v);
	else if (f->kind == FLAG)
		read_flag(r, f, &v);
	else
		read_text(r, f, &v);
}

/* ---- the body ---- */

static bool
is_deeper(const json_t *v, int left)
{
	const char *key;
	json_t *member;
	size_t i;

	if (!json_is_object(v) && !json_is_array(v))
		return false;
	if (left == 0)
		return true;
	json_array_foreach(v, i, member)
		if (is_deeper(member, left - 1))
			return true;
	json_object_foreach((json_t *)(uintptr_t)v, key, member)
		if (is_deeper(member, left - 1))
			return true;
	return false;
}

/* jansson's text quotes the body, which may hold a password. */
static int
set_syntax(struct rt_detail *detail, json_error_t *err)
{
	char text[sizeof err->text + 64], *near = strstr(err->text, " near ");

	if (near != NULL)
		*near = '\0';
	snprintf(text, sizeof text, "not JSON: line %d column %d: %s", err->line, err->column, err->text);
	return set_bad_json(detail, text);
}

static int
read_json(struct reading *r, const char *body, size_t len)
{
	json_error_t err;

	r->obj = json_loadb(body, len, JSON_REJECT_DUPLICATES, &err);
	if (r->obj == NULL)
		return set_syntax(r->detail, &err);
	r->keep = r->obj;
	if (!json_is_object(r->obj))
		return set_bad_json(r->detail, "the body is no JSON object");
	if (is_deeper(r->obj, DEPTH_MAX))
		return set_bad_json(r->detail, "nested more than 16 deep");
	return 0;
}

/* The copy is jansson's, so that it goes as all else that it holds. */
static int
read_body(struct reading *r, const char *body, size_t len)
{
	if (len > RT_REQUEST_MAX)
		return set_bad_json(r->detail, "the body is too long");
	r->keep = json_stringn_nocheck(body, len);
	if (r->keep != NULL && flat_read(&r->flat, (char *)(uintptr_t)json_string_value(r->keep), len))
		return 0;
	json_decref(r->keep);
	r->keep = NULL;
	return read_json(r, body, len);
}

int
rt_request_parse(struct rt_request *out, enum rt_request_kind kind, const char *body, size_t len, json_t **keep,
    struct rt_detail *detail)
{
	struct reading r;
	size_t i;

	r.out = out;
	r.detail = detail;
	r.keep = r.obj = NULL;
	*detail = (struct rt_detail){ 0, NULL };
	*out = (struct rt_request){ .source_ip = "", .source_port = 5060, .domain = "", .username = "", .call_id = "", .from_name = "",
		.from_uri = "", .from_tag = "", .to_name = "", .to_uri = "", .to_tag = "" };
	if (read_body(&r, body, len) == 0)
		for (i = 0; i < NELEM(fields); i++)
			if (fields[i].of & (1u << kind))
				read_field(&r, &fields[i], 1u << kind);
	if (detail->detail != NULL) {
		json_decref(r.keep);
		return -EINVAL;
	}
	if (out->password != NULL && out->password[0] == '\0')
		out->password = NULL;
	*keep = r.keep;
	return 0;
}
