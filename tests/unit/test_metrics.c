/*
 * metrics: classes of a histogram, how samples are written in both formats and as rows, and that the table is what the formats
 * and Prometheus' habits ask for. What the values are is the integration test's business.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/histogram.h"
#include "base/jsonx.h"
#include "control/metrics.h"
#include "control/openmetrics.h"

/* ---- histogram ---- */

static void
each_counts_in_its_class(void **state)
{
	static const int64_t bounds[] = { 10, 100, 1000 };
	static const struct {
		int64_t took;
		size_t class;
	} rows[] = { { 0, 0 }, { 10, 0 }, { 11, 1 }, { 100, 1 }, { 101, 2 }, { 1000, 2 }, { 1001, 3 }, { INT64_C(1) << 40, 3 }, { -5, 0 } };
	struct histogram h;
	int64_t sum = 0;
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		histogram_init(&h, bounds, NELEM(bounds));
		histogram_add(&h, rows[i].took);
		assert_int_equal(h.classes[rows[i].class], 1);
		assert_int_equal(h.count, 1);
		assert_int_equal(h.sum_us, rows[i].took < 0 ? 0 : rows[i].took);
	}
	histogram_init(&h, bounds, NELEM(bounds));
	for (i = 0; i < NELEM(rows); i++) {
		histogram_add(&h, rows[i].took);
		sum += rows[i].took < 0 ? 0 : rows[i].took;
	}
	assert_int_equal(h.count, NELEM(rows));
	assert_int_equal(h.sum_us, sum);
	assert_int_equal(h.classes[0], 3);
	assert_int_equal(h.classes[1], 2);
	assert_int_equal(h.classes[2], 2);
	assert_int_equal(h.classes[3], 2);
}

static void
has_no_more_classes_than_room(void **state)
{
	int64_t bounds[HISTOGRAM_MAX + 5];
	struct histogram h;
	size_t i;

	for (i = 0; i < NELEM(bounds); i++)
		bounds[i] = (int64_t)i;
	histogram_init(&h, bounds, NELEM(bounds));
	assert_int_equal(h.n, HISTOGRAM_MAX);
	histogram_add(&h, HISTOGRAM_MAX + 2);
	assert_int_equal(h.classes[HISTOGRAM_MAX], 1);
}

/* ---- the writer ---- */

static void
labels_are_escaped(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "", "" },
		{ "sbc/1", "sbc/1" },
		{ "a\"b", "a\\\"b" },
		{ "\\", "\\\\" },
		{ "a\nb", "a\\nb" },
		{ "\"\\\n", "\\\"\\\\\\n" },
		{ "\t\r\x7f", "???" },
		{ "h\xc3\xb6", "h??" },
		{ "} # 1", "} # 1" },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct buf b = { 0 };

		buf_puts(&b, "");
		openmetrics_escape(&b, rows[i].text);
		assert_string_equal(b.s, rows[i].want);
		buf_free(&b);
	}
}

static void
numbers_are_short_and_exact(void **state)
{
	static const struct {
		double v;
		const char *want, *point;
	} rows[] = {
		{ 0, "0", "0.0" },
		{ -0.0, "0", "0.0" },
		{ 1, "1", "1.0" },
		{ -3, "-3", "-3.0" },
		{ 0.1, "0.1", "0.1" },
		{ 0.00001, "1e-05", "1e-05" },
		{ 0.0025, "0.0025", "0.0025" },
		{ 1795277127.383, "1795277127.383", "1795277127.383" },
		{ 1e14, "100000000000000", "100000000000000.0" },
		{ 18446744073709551615.0, "1.84467440737096e+19", "1.84467440737096e+19" },
		{ INFINITY, "+Inf", "+Inf" },
		{ -INFINITY, "-Inf", "-Inf" },
		{ NAN, "NaN", "NaN" },
	};
	char out[32];
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		openmetrics_number(rows[i].v, false, out);
		assert_string_equal(out, rows[i].want);
		openmetrics_number(rows[i].v, true, out);
		assert_string_equal(out, rows[i].point);
	}
}

static const int64_t bounds_us[] = { 1000, 1000000 };
static const struct metric gauge = { .name = "g_bytes", .kind = METRIC_GAUGE, .unit = "bytes", .help = "Room.", .labels = { "a", "b" } };
static const struct metric counter = { .name = "c", .kind = METRIC_COUNTER, .help = "Times." };
static const struct metric info = { .name = "i", .kind = METRIC_INFO, .help = "It.", .labels = { "v" } };
static const struct metric hist = { .name = "h_seconds", .kind = METRIC_HISTOGRAM, .unit = "seconds", .help = "Took.", .labels = { "t" } };

static void
write_all(struct metric_out *out)
{
	struct histogram h;

	histogram_init(&h, bounds_us, NELEM(bounds_us));
	histogram_add(&h, 500);
	histogram_add(&h, 2000000);
	openmetrics_family(out, &gauge);
	metric_put(out, 7, "x", "y\"");
	metric_put(out, 0.5, "z", "");
	openmetrics_family(out, &counter);
	metric_put(out, 3, NULL);
	openmetrics_family(out, &info);
	metric_put(out, 1, "5.6");
	openmetrics_family(out, &hist);
	metric_add_histogram(out, &h, (const char *const[]){ "sbc/1" });
	openmetrics_end(out);
}

static void
written_as_openmetrics(void **state)
{
	struct buf b = { 0 };
	struct metric_out out = { .format = METRICS_OPENMETRICS, .text = &b };

	write_all(&out);
	assert_string_equal(b.s,
	    "# TYPE g_bytes gauge\n# UNIT g_bytes bytes\n# HELP g_bytes Room.\n"
	    "g_bytes{a=\"x\",b=\"y\\\"\"} 7\ng_bytes{a=\"z\",b=\"\"} 0.5\n"
	    "# TYPE c counter\n# HELP c Times.\nc_total 3\n"
	    "# TYPE i info\n# HELP i It.\ni_info{v=\"5.6\"} 1\n"
	    "# TYPE h_seconds histogram\n# UNIT h_seconds seconds\n# HELP h_seconds Took.\n"
	    "h_seconds_bucket{t=\"sbc/1\",le=\"0.001\"} 1\nh_seconds_bucket{t=\"sbc/1\",le=\"1.0\"} 1\n"
	    "h_seconds_bucket{t=\"sbc/1\",le=\"+Inf\"} 2\nh_seconds_count{t=\"sbc/1\"} 2\nh_seconds_sum{t=\"sbc/1\"} 2.0005\n"
	    "# EOF\n");
	buf_free(&b);
}

static void
written_as_prometheus_text(void **state)
{
	struct buf b = { 0 };
	struct metric_out out = { .format = METRICS_PROMETHEUS, .text = &b };

	write_all(&out);
	assert_string_equal(b.s,
	    "# TYPE g_bytes gauge\n# HELP g_bytes Room.\n"
	    "g_bytes{a=\"x\",b=\"y\\\"\"} 7\ng_bytes{a=\"z\",b=\"\"} 0.5\n"
	    "# TYPE c_total counter\n# HELP c_total Times.\nc_total 3\n"
	    "# TYPE i_info gauge\n# HELP i_info It.\ni_info{v=\"5.6\"} 1\n"
	    "# TYPE h_seconds histogram\n# HELP h_seconds Took.\n"
	    "h_seconds_bucket{t=\"sbc/1\",le=\"0.001\"} 1\nh_seconds_bucket{t=\"sbc/1\",le=\"1.0\"} 1\n"
	    "h_seconds_bucket{t=\"sbc/1\",le=\"+Inf\"} 2\nh_seconds_count{t=\"sbc/1\"} 2\nh_seconds_sum{t=\"sbc/1\"} 2.0005\n");
	buf_free(&b);
}

static void
written_as_rows(void **state)
{
	struct metric_out out = { .rows = json_array() };
	const json_t *row;
	char *text;

	write_all(&out);
	assert_int_equal(json_array_size(out.rows), 9);
	text = json_dumps(json_array_get(out.rows, 0), JSON_COMPACT);
	assert_string_equal(text, "{\"metric\":\"g_bytes\",\"type\":\"gauge\",\"unit\":\"bytes\",\"labels\":{\"a\":\"x\",\"b\":\"y\\\"\"},\"value\":7}");
	free(text);
	text = json_dumps(json_array_get(out.rows, 2), JSON_COMPACT);
	assert_string_equal(text, "{\"metric\":\"c_total\",\"type\":\"counter\",\"unit\":null,\"labels\":{},\"value\":3}");
	free(text);
	row = json_array_get(out.rows, 5);
	assert_string_equal(jsonx_get_text(json_object_get(row, "labels"), "le"), "1.0");
	json_decref(out.rows);

	out = (struct metric_out){ .rows = json_array(), .prefix = "h_seconds_s" };
	write_all(&out);
	assert_int_equal(json_array_size(out.rows), 1);
	assert_string_equal(jsonx_get_text(json_array_get(out.rows, 0), "metric"), "h_seconds_sum");
	json_decref(out.rows);

	out = (struct metric_out){ .rows = json_array() };
	openmetrics_family(&out, &counter);
	metric_put(&out, NAN, NULL);
	metric_put(&out, INFINITY, NULL);
	assert_true(json_is_null(json_object_get(json_array_get(out.rows, 0), "value")));
	assert_true(json_is_null(json_object_get(json_array_get(out.rows, 1), "value")));
	json_decref(out.rows);
}

/* ---- the table ---- */

static bool
ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n > k && strcmp(s + n - k, end) == 0;
}

static void
assert_name(const char *s)
{
	assert_true(s[0] != '\0' && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(s));
	assert_false(s[0] == '_' || (s[0] >= '0' && s[0] <= '9'));
}

static void
the_table_keeps_the_rules(void **state)
{
	static const char *const reserved[] = { "_total", "_info", "_bucket", "_count", "_sum", "_created" };
	static const char *const other_units[] = { "_ms", "_us", "_milliseconds", "_kilobytes", "_percent" };
	size_t i, k;

	for (i = 0; i < n_metrics; i++) {
		const struct metric *m = &metrics[i];

		assert_name(m->name);
		if (strncmp(m->name, "c4d_", 4) != 0 && strncmp(m->name, "process_", 8) != 0)
			fail_msg("%s has no prefix", m->name);
		for (k = 0; k < i; k++)
			assert_string_not_equal(m->name, metrics[k].name);
		for (k = 0; k < NELEM(reserved); k++)
			assert_false(ends_with(m->name, reserved[k]));
		for (k = 0; k < NELEM(other_units); k++)
			assert_false(ends_with(m->name, other_units[k]));
		/* base units, named in the name */
		assert_int_equal(m->unit != NULL && strcmp(m->unit, "seconds") == 0, ends_with(m->name, "_seconds"));
		assert_int_equal(m->unit != NULL && strcmp(m->unit, "bytes") == 0, ends_with(m->name, "_bytes"));
		assert_true(m->unit == NULL || strcmp(m->unit, "seconds") == 0 || strcmp(m->unit, "bytes") == 0);
		assert_true(strlen(m->help) > 5 && ends_with(m->help, "."));
		assert_null(strpbrk(m->help, "\"\\\n"));
		assert_non_null(m->collect);
		assert_null(m->labels[METRIC_LABELS_MAX]);
		for (k = 0; m->labels[k] != NULL; k++) {
			assert_name(m->labels[k]);
			assert_string_not_equal(m->labels[k], "le");
			assert_string_not_equal(m->labels[k], "instance"); /* Prometheus' own */
			assert_string_not_equal(m->labels[k], "job");
		}
	}
	assert_in_range(n_metrics, 50, 200);
}

static void
accept_decides_the_format(void **state)
{
	static const struct {
		const char *accept;
		enum metrics_format want;
	} rows[] = {
		{ NULL, METRICS_OPENMETRICS },
		{ "", METRICS_OPENMETRICS },
		{ "*/*", METRICS_OPENMETRICS },
		{ "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1", METRICS_OPENMETRICS },
		{ "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", METRICS_PROMETHEUS },
		{ "text/plain", METRICS_PROMETHEUS },
		{ "Text/Plain", METRICS_PROMETHEUS },
		{ "text/html,application/xhtml+xml,*/*;q=0.8", METRICS_OPENMETRICS },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++)
		assert_int_equal(metrics_format_of(rows[i].accept), rows[i].want);
	assert_string_equal(metrics_type(METRICS_OPENMETRICS), "application/openmetrics-text; version=1.0.0; charset=utf-8");
	assert_string_equal(metrics_type(METRICS_PROMETHEUS), "text/plain; version=0.0.4; charset=utf-8");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_counts_in_its_class),
		cmocka_unit_test(has_no_more_classes_than_room),
		cmocka_unit_test(labels_are_escaped),
		cmocka_unit_test(numbers_are_short_and_exact),
		cmocka_unit_test(written_as_openmetrics),
		cmocka_unit_test(written_as_prometheus_text),
		cmocka_unit_test(written_as_rows),
		cmocka_unit_test(the_table_keeps_the_rules),
		cmocka_unit_test(accept_decides_the_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
