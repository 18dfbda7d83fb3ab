/*
 * Any text as a routing document, and as the value of a key of one: it becomes data, or something is told about it. Data, written as a document and
 * read again, is the same; its rows go through their records unharmed; any of them can be asked to go.
 */
#include <string.h>

#include "fuzz.h"
#include "routing/data.h"

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
