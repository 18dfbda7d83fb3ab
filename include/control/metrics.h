/*
 * metrics: what is counted and measured, as one table of families (metrics.c), each with what collects its samples from the views that
 * the modules have. GET /metrics and `c4ctl show metrics` say the same. Nothing here waits or asks anybody; a scrape of 5,000
 * instances takes less than 2 ms. What is labelled is bounded by the configuration (services, names, targets, checks), never by
 * what is discovered.
 *
 * Counters begin at 0 with the process; those of a Kamailio, a target or a name also when a reload changed its section.
 */
#ifndef CONTROL_METRICS_H
#define CONTROL_METRICS_H

#include <jansson.h>

#include "base/histogram.h"
#include "base/text.h"
#include "control/app.h"
#include "control/command.h"

enum metric_kind { METRIC_GAUGE, METRIC_COUNTER, METRIC_HISTOGRAM, METRIC_INFO };

#define METRIC_LABELS_MAX 3

struct metric;
struct metric_out;  /* where samples go */
struct metrics_now; /* metrics_int.h: what is looked at once per scrape */

typedef void metric_collect_fn(const struct metric *, const struct metrics_now *, struct metric_out *);

struct metric {
	const char *name;                  /* of the family: without _total and _info; ends with the unit */
	enum metric_kind kind;
	const char *unit;                  /* "seconds", "bytes"; NULL: none */
	const char *help;
	const char *labels[METRIC_LABELS_MAX + 1];
	metric_collect_fn *collect;
	size_t at;                         /* of the value, for collect */
};

extern const struct metric metrics[];
extern const size_t n_metrics;

/* OPENMETRICS: version 1.0.0. PROMETHEUS: the text format 0.0.4. */
enum metrics_format { METRICS_OPENMETRICS, METRICS_PROMETHEUS };
/* Of an Accept header; NULL: there is none. OpenMetrics, unless it names text/plain and not application/openmetrics-text. */
enum metrics_format metrics_format_of(const char *accept);
const char *metrics_type(enum metrics_format); /* Content-Type */

void metrics_text(const struct app *, enum metrics_format, struct buf *out); /* adds */
/* {metric,type,unit,labels,value} of each sample whose name begins with `prefix` (NULL: all). What is no number is null. */
json_t *metrics_json(const struct app *, const char *prefix);

/* c4ctl show metrics [PREFIX] */
void ctl_show_metrics(struct control_req *);
render_fn render_metrics;

/*
 * For those who collect: a sample with the labels' values, in their order: metric_put(out, 1, "router", "up").
 * Of each family samples differ in their labels.
 */
#define metric_put(out, value, ...) metric_add((out), (value), (const char *const[METRIC_LABELS_MAX]){ __VA_ARGS__ })
void metric_add(struct metric_out *, double value, const char *const *labels);
void metric_add_histogram(struct metric_out *, const struct histogram *, const char *const *labels);

#endif
