/*
 * fuzz_cdr: any bytes as the body of a CDR. What is wrong is said with 400 or 422; what becomes a row can be stored, read again as it was, and
 * exported on one line.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "routing/cdr.h"

#define TENANT "3f2a7c1e-0000-4000-8000-000000000001"

static void
wrong(void *arg, const char *path, const char *text)
{
	must(false);
}

static struct rt_data *data;

static void
forget_data(void)
{
	rt_data_unref(data);
}

static struct rt_data *
data_of_one(void)
{
	static const char text[] = "{\"tenants\":[{\"uuid\":\"" TENANT "\",\"name\":\"one\"}]}";

	if (data == NULL) {
		must(rt_document_parse(&data, text, sizeof text - 1, NULL, NULL, wrong, NULL) == 0);
		must(atexit(forget_data) == 0);
	}
	return data;
}

static void
check_row(struct rt_row *row)
{
	struct rt_row *stored = rt_row_with_id(row, 7), *again;
	struct buf key = { 0 }, val = { 0 }, csv = { 0 }, csv_again = { 0 };

	must(rt_row_id(row) == RT_NULL && strcmp(row->v[CDR_TENANT].s, TENANT) == 0);
	must(row->v[CDR_FROM].s != NULL && row->v[CDR_TO].s != NULL);
	rt_row_encode(stored, &key, &val);
	must(rt_row_decode(&again, key.s, key.len, val.s, val.len) == 0);
	cdr_csv(stored, &csv);
	cdr_csv(again, &csv_again);
	must(strcmp(csv.s, csv_again.s) == 0);
	must(strcspn(csv.s, "\r\n") == csv.len - 2 && strcmp(csv.s + csv.len - 2, "\r\n") == 0);
	buf_free(&key);
	buf_free(&val);
	buf_free(&csv);
	buf_free(&csv_again);
	rt_row_unref(stored);
	rt_row_unref(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct rt_detail detail;
	struct rt_row *row = NULL;

	switch (cdr_parse(&row, data_of_one(), (const char *)bytes, len, &detail)) {
	case 0:
		check_row(row);
		rt_row_unref(row);
		break;
	case -EINVAL:
		must(row == NULL);
		must(detail.status == 400 ? json_is_string(detail.detail) : detail.status == 422 && json_array_size(detail.detail) > 0);
		json_decref(detail.detail);
		break;
	case -ENOENT:
		must(row == NULL);
		break;
	default:
		must(false);
	}
	return 0;
}
