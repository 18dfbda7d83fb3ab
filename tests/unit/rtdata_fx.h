/*
 * rtdata_fx: what the tests of the routing data have in common: small documents, and what is reported about them.
 */
#ifndef RTDATA_FX_H
#define RTDATA_FX_H

#include <errno.h>
#include <stdio.h>

#include "routing/data.h"
#include "text_fx.h"

#define T1 "11111111-1111-4111-8111-111111111111"
#define T2 "22222222-2222-4222-8222-222222222222"

/* One of everything; T2 has nothing. */
#define SMALL_DOCUMENT                                                                                                           \
	"{'tenants':[{'uuid':'" T1 "','name':'one'},{'uuid':'" T2 "','name':'two'}],"                                              \
	"'domains':[{'id':1,'tenant_uuid':'" T1 "','domain':'One.example'}],"                                                       \
	"'carriers':[{'id':1,'tenant_uuid':'" T1 "','name':'carrier'}],"                                                            \
	"'carrier_trunks':[{'id':1,'tenant_uuid':'" T1 "','carrier_id':1,'name':'a','sip_proxy':'10.0.0.1','auth_password':'s3cret'},"  \
	"{'id':2,'tenant_uuid':'" T1 "','carrier_id':1,'name':'b','sip_proxy':'service:carrier'}],"                                   \
	"'ipbxs':[{'id':5,'tenant_uuid':'" T1 "','domain_id':1,'ip_fqdn':'10.0.0.5','username':'u','normalization_profile_id':1}],"    \
	"'dids':[{'id':7,'tenant_uuid':'" T1 "','ipbx_id':5,'did_regex':'^39[0-9]+$'},"                                             \
	"{'id':3,'tenant_uuid':'" T1 "','ipbx_id':5,'carrier_trunk_id':1,'did_regex':'^40123$'}],"                                  \
	"'normalization_profiles':[{'id':1,'tenant_uuid':'" T1 "','name':'p'}],"                                                    \
	"'normalization_rules':[{'id':1,'profile_id':1,'rule_type':1,'match_regex':'^00(.)','replace_regex':'\\\\1'}],"                 \
	"'routing_rules':[{'id':1,'prefix':'39','trunks':[2,1],'time_windows':'mon-fri 08:00-18:00'},{'id':2,'ipbx_id':5}],"               \
	"'routing_groups':[{'id':1,'tenant_uuid':'" T2 "','routing_rule_id':1}]}"

/* JSON may be written with ' for ". The caller frees. */
static inline char *
json_of(const char *text)
{
	char *copy = strdup(text);

	assert_non_null(copy);
	for (char *p = copy; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	return copy;
}

/* Into a struct buf, one per line. */
static inline void
note(void *arg, const char *path, const char *text)
{
	assert_non_null(path);
	assert_true(text[0] != '\0');
	buf_printf(arg, "%s: %s\n", path, text);
}

static inline int
parse_document(struct rt_data **out, const char *text, struct buf *notes)
{
	char *json = json_of(text), *exact = exact_copy(json, strlen(json));
	int err = rt_document_parse(out, exact, strlen(json), NULL, NULL, note, notes);

	free(exact);
	free(json);
	return err;
}

static inline struct rt_data *
data_of(const char *text)
{
	struct buf notes = { 0 };
	struct rt_data *d = NULL;

	if (parse_document(&d, text, &notes) != 0)
		fail_msg("refused:\n%s", notes.s != NULL ? notes.s : "(nothing reported)");
	assert_null(notes.s);
	assert_non_null(d);
	return d;
}

static inline struct rt_row *
row_of(enum rt_table table, const char *text, unsigned flags)
{
	struct buf notes = { 0 };
	char *json = json_of(text);
	json_t *obj = json_loads(json, 0, NULL);
	struct rt_row *row = NULL;

	assert_non_null(obj);
	if (rt_row_parse(&row, table, obj, NULL, flags, "", note, &notes) != 0)
		fail_msg("%s: refused:\n%s", text, notes.s);
	json_decref(obj);
	free(json);
	return row;
}

static inline void
assert_row(const struct rt_row *row, unsigned flags, const char *want)
{
	char *text = json_of(want), *got;
	json_t *json = rt_row_json(row, flags);
	struct buf written = { 0 };

	got = json_dumps(json, JSON_COMPACT);
	assert_string_equal(got, text);
	free(got);
	rt_row_write(row, flags, &written);
	assert_string_equal(written.s, text);
	buf_free(&written);
	free(text);
	json_decref(json);
}

#endif
