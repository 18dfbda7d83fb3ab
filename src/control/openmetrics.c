#include "openmetrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"

static const char *const kinds[] = {
	[METRIC_GAUGE] = "gauge", [METRIC_COUNTER] = "counter", [METRIC_HISTOGRAM] = "histogram", [METRIC_INFO] = "info",
};
static const char *const suffixes[] = {
	[METRIC_GAUGE] = "", [METRIC_COUNTER] = "_total", [METRIC_HISTOGRAM] = "", [METRIC_INFO] = "_info",
};

void
openmetrics_number(double v, bool point, char out[32])
{
	if (isnan(v) || isinf(v)) {
		snprintf(out, 32, "%s", isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
		return;
	}
	if (v == floor(v) && fabs(v) < 1e15) {
		snprintf(out, 32, point ? "%" PRId64 ".0" : "%" PRId64, (int64_t)v);
		return;
	}
	snprintf(out, 32, "%.15g", v);
}

void
openmetrics_escape(struct buf *b, const char *s)
{
	while (*s) {
		size_t n = 0;

		while (s[n] >= 0x20 && s[n] <= 0x7e && s[n] != '\\' && s[n] != '"')
			n++;
		buf_add(b, s, n);
		s += n;
		if (*s == '\n')
			buf_add(b, "\\n", 2);
		else if (*s == '\\' || *s == '"')
			buf_add(b, (char[]){ '\\', *s }, 2);
		else if (*s != '\0')
			buf_add(b, "?", 1);
		s += *s != '\0';
	}
}

void
openmetrics_family(struct metric_out *o, const struct metric *m)
{
	/* there the counter's name is that of its samples, and an info is a gauge */
	bool old = o->format == METRICS_PROMETHEUS;
	const char *suffix = old ? suffixes[m->kind] : "", *kind = old && m->kind == METRIC_INFO ? "gauge" : kinds[m->kind];

	o->m = m;
	if (o->text == NULL)
		return;
	buf_printf(o->text, "# TYPE %s%s %s\n", m->name, suffix, kind);
	if (m->unit != NULL && !old)
		buf_printf(o->text, "# UNIT %s %s\n", m->name, m->unit);
	buf_printf(o->text, "# HELP %s%s ", m->name, suffix);
	openmetrics_escape(o->text, m->help);
	buf_add(o->text, "\n", 1);
}

void
openmetrics_end(struct metric_out *o)
{
	if (o->text != NULL && o->format == METRICS_OPENMETRICS)
		buf_puts(o->text, "# EOF\n");
}

static void
add_label(struct buf *b, bool first, const char *name, const char *value)
{
	buf_puts(b, first ? "{" : ",");
	buf_puts(b, name);
	buf_add(b, "=\"", 2);
	openmetrics_escape(b, value);
	buf_add(b, "\"", 1);
}

static void
add_line(struct buf *b, const struct metric *m, const char *suffix, const char *const *labels, const char *le, double value)
{
	char text[32];
	size_t i;

	buf_puts(b, m->name);
	buf_puts(b, suffix);
	for (i = 0; m->labels[i] != NULL; i++)
		add_label(b, i == 0, m->labels[i], labels[i]);
	if (le != NULL)
		add_label(b, i == 0, "le", le);
	openmetrics_number(value, false, text);
	buf_puts(b, i > 0 || le != NULL ? "} " : " ");
	buf_puts(b, text);
	buf_add(b, "\n", 1);
}

static json_t *
json_number(double v)
{
	if (isnan(v) || isinf(v))
		return json_null();
	return v == floor(v) && fabs(v) < 1e15 ? json_integer((json_int_t)v) : json_real(v);
}

static void
add_row(struct metric_out *o, const char *suffix, const char *const *labels, const char *le, double value)
{
	const struct metric *m = o->m;
	char *name = xasprintf("%s%s", m->name, suffix);
	json_t *row, *set;
	size_t i;

	if (o->prefix == NULL || strncmp(name, o->prefix, strlen(o->prefix)) == 0) {
		row = json_object();
		set = json_object();
		jsonx_set_text(row, "metric", name);
		jsonx_set_text(row, "type", kinds[m->kind]);
		jsonx_set_text(row, "unit", m->unit);
		for (i = 0; m->labels[i] != NULL; i++)
			jsonx_set_text(set, m->labels[i], labels[i]);
		if (le != NULL)
			jsonx_set_text(set, "le", le);
		json_object_set_new(row, "labels", set);
		json_object_set_new(row, "value", json_number(value));
		json_array_append_new(o->rows, row);
	}
	free(name);
}

static void
put(struct metric_out *o, const char *suffix, const char *const *labels, const char *le, double value)
{
	if (o->text != NULL)
		add_line(o->text, o->m, suffix, labels, le, value);
	else
		add_row(o, suffix, labels, le, value);
}

void
metric_add(struct metric_out *o, double value, const char *const *labels)
{
	put(o, suffixes[o->m->kind], labels, NULL, value);
}

void
metric_add_histogram(struct metric_out *o, const struct histogram *h, const char *const *labels)
{
	uint64_t count = 0;
	char le[32];
	size_t i;

	for (i = 0; i < h->n; i++) {
		count += h->classes[i];
		openmetrics_number((double)h->bounds_us[i] / 1e6, true, le);
		put(o, "_bucket", labels, le, (double)count);
	}
	put(o, "_bucket", labels, "+Inf", (double)h->count);
	put(o, "_count", labels, NULL, (double)h->count);
	put(o, "_sum", labels, NULL, (double)h->sum_us / 1e6);
}
