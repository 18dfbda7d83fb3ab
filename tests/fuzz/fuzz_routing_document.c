/*
 * Any text as a routing document, and as the value of a key of one: it becomes data, or something is told about it. Data, written as a document and
 * read again, is the same; its rows go through their records unharmed; any of them can be asked to go. Calls from and to what stands in it are decided,
 * and nothing of it leaves its place in an answer.
 */
#include <ctype.h>
#include <errno.h>

#include "fuzz_routing.h"

/* Nothing that a terminal would obey. */
static void
must_be_plain(const char *text)
{
	for (; *text != '\0'; text++)
		must((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void
count(void *arg, const char *path, const char *text)
{
	must_be_plain(path);
	must_be_plain(text);
	must(text[0] != '\0');
	*(size_t *)arg += 1;
}

static void
check_record(const struct rt_row *row)
{
	struct buf key = { 0 }, val = { 0 };
	struct rt_row *again = NULL;
	json_t *a = rt_row_json(row, RT_ROW_SECRETS), *b;

	rt_row_encode(row, &key, &val);
	must(rt_row_decode(&again, key.s, key.len, val.s, val.len) == 0);
	b = rt_row_json(again, RT_ROW_SECRETS);
	must(json_equal(a, b) && rt_row_cmp(row, again) == 0);
	json_decref(a);
	json_decref(b);
	rt_row_unref(again);
	buf_free(&key);
	buf_free(&val);
}

static void
check_deletion(const struct rt_data *d, const struct rt_row *row)
{
	struct rt_change c = { .table = row->table };
	struct rt_refusal refusal;
	struct rt_data *next = NULL;
	struct rt_row *gone = NULL;

	if (row->table == RT_TENANTS)
		c.uuid = row->v[0].s;
	else
		c.id = rt_row_id(row);
	if (rt_data_change(&next, d, &c, &gone, &refusal) != 0) {
		must(refusal.what == RT_IN_USE && refusal.text[0] != '\0');
		return;
	}
	must(gone == row && rt_data_count(next) == rt_data_count(d) - 1);
	rt_row_unref(gone);
	rt_data_unref(next);
}

static void
check_data(const struct rt_data *d)
{
	json_t *json = rt_document_json(d), *same;
	struct rt_data *again = NULL;
	size_t told = 0;
	char *text = json_dumps(json, JSON_COMPACT);

	must(text != NULL);
	must(rt_document_parse(&again, text, strlen(text), NULL, NULL, count, &told) == 0 && told == 0);
	same = rt_document_json(again);
	must(json_equal(json, same));
	free(text);
	json_decref(json);
	json_decref(same);
	rt_data_unref(again);
	for (int t = 0; t < RT_TABLES; t++) {
		for (size_t i = 0; i < d->t[t].n; i++) {
			check_record(d->t[t].v[i]);
			if (i < 4)
				check_deletion(d, d->t[t].v[i]);
		}
	}
}

/* ---- calls ---- */

/* Of the row for turn i, a text; "": there is none. */
static const char *
cell_of(const struct rt_data *d, enum rt_table table, unsigned column, size_t i)
{
	const struct rt_list *l = &d->t[table];

	return l->n > 0 && l->v[i % l->n]->v[column].s != NULL ? l->v[i % l->n]->v[column].s : "";
}

/* A number that begins as the text does, leaving out what is none of a number. */
static void
number_of(const char *text, char out[24])
{
	size_t n = 0;

	for (; *text != '\0' && n < 15; text++)
		if (isdigit((unsigned char)*text) || (*text == '+' && n == 0))
			out[n++] = *text;
	snprintf(out + n, 24 - n, "55501");
}

static void
check_answer(const char *text, size_t len)
{
	json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL), *routes = json_object_get(json_object_get(json, "rtjson"), "routes");
	size_t i;

	must(json != NULL);
	for (i = 0; i < json_array_size(routes); i++) {
		const json_t *route = json_array_get(routes, i), *headers = json_object_get(route, "headers");

		check_uri(text_of(route, "dst_uri"));
		check_address(json_object_get(headers, "from"));
		check_address(json_object_get(headers, "to"));
		check_extra(text_of(headers, "extra"));
	}
	json_decref(json);
}

static void
ask(const struct rt_data *d, const char *body)
{
	static struct rt_decision decision;
	struct rt_env env = { .now_s = 1795435200, .random = draw, .expand = expand, .trace = say, .fr_timer_ms = 5000, .fr_inv_timer_ms = 30000 };
	struct rt_walk walk = { 0, false };
	struct buf out = { 0 };
	const char *stored = NULL;
	struct rt_detail detail;
	struct rt_request rq;
	struct rt_auth auth;
	json_t *keep;

	if (rt_request_parse(&rq, RT_ASK_ROUTING, body, strlen(body), &keep, &detail) != 0) {
		json_decref(detail.detail); /* a domain may be what no SIP header holds */
		return;
	}
	rt_decide(d, &rq, &env, &decision);
	rt_answer_routing(d, &rq, &decision, &env, &out);
	check_answer(out.s, out.len);
	while (rt_authenticate(d, &rq, &walk, false, &auth, &stored) == -EAGAIN)
		must(stored != NULL);
	buf_free(&out);
	json_decref(keep);
}

/* From an IPBX, from a trunk, from nowhere; to a DID, by a rule, to a domain. */
static void
try_calls(const struct rt_data *d)
{
	char from[24], to[24];
	size_t i;

	for (i = 0; i < 6; i++) {
		const char *domain = cell_of(d, RT_DOMAINS, DOMAIN_DOMAIN, i / 2);
		const char *ip = i % 3 == 0 ? cell_of(d, RT_IPBXS, IPBX_IP, i / 3) : i % 3 == 1 ? cell_of(d, RT_TRUNKS, TRUNK_IP, i / 3) : "192.0.2.1";
		char *body, *from_uri, *to_uri;
		json_t *o;

		number_of(cell_of(d, RT_RULES, RULE_DID_REGEX, i), from);
		number_of(i % 2 == 0 ? cell_of(d, RT_DIDS, DID_REGEX, i / 2) : cell_of(d, RT_RULES, RULE_PREFIX, i / 2), to);
		from_uri = xasprintf("sip:%s@%s", from, domain);
		to_uri = xasprintf("sip:%s@%s", to, i % 4 == 3 ? domain : "sbc.example"); /* a domain of the data says all */
		o = json_pack("{s:s,s:s,s:s,s:s,s:b,s:s}", "source_ip", ip, "from_name", "", "from_uri", from_uri, "to_uri", to_uri, "auth", (int)(i % 2),
		    "username", cell_of(d, RT_IPBXS, IPBX_USERNAME, i));
		must(o != NULL);
		body = json_dumps(o, JSON_COMPACT);
		ask(d, body);
		json_decref(o);
		free(body);
		free(from_uri);
		free(to_uri);
	}
}

static void
try_document(const char *text, size_t len)
{
	struct rt_row **cdrs = NULL;
	struct rt_data *d = NULL;
	size_t n = 0, told = 0;
	int err = rt_document_parse(&d, text, len, &cdrs, &n, count, &told);

	must((err == 0) == (told == 0) && (err == 0) == (d != NULL));
	if (err != 0)
		return;
	check_data(d);
	try_calls(d);
	for (size_t i = 0; i < n; i++) {
		check_record(cdrs[i]);
		rt_row_unref(cdrs[i]);
	}
	free(cdrs);
	rt_data_unref(d);
}

/* Lines "KEY VALUE". */
static void
try_pairs(const char *text, size_t len)
{
	struct rt_pair pairs[8];
	char *copy = calloc(1, len + 1), *rest = copy, *line; /* the input has no end that a text has */
	size_t n = 0, told = 0;
	struct rt_data *d = NULL;
	int err;

	must(copy != NULL);
	memcpy(copy, text, strnlen(text, len));
	while (n < 8 && (line = strsep(&rest, "\n")) != NULL) {
		char *value = strchr(line, ' ');

		if (value != NULL)
			*value++ = '\0';
		pairs[n].key = line;
		pairs[n].value = value != NULL ? value : "";
		pairs[n].len = strlen(pairs[n].value);
		n++;
	}
	err = rt_document_parse_pairs(&d, pairs, n, count, &told);
	must((err == 0) == (told == 0) && (err == 0) == (d != NULL));
	if (err == 0)
		check_data(d);
	rt_data_unref(d);
	free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	try_document((const char *)data, len);
	try_pairs((const char *)data, len);
	return 0;
}
