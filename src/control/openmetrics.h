/*
 * openmetrics: samples as text (OpenMetrics 1.0.0, or Prometheus' 0.0.4) or as JSON rows. Pure.
 */
#ifndef CONTROL_OPENMETRICS_H
#define CONTROL_OPENMETRICS_H

#include "control/metrics.h"

struct metric_out {
	const struct metric *m; /* the family at hand */
	enum metrics_format format;
	struct buf *text;       /* NULL: rows */
	json_t *rows;
	const char *prefix;     /* of rows */
};

void openmetrics_family(struct metric_out *, const struct metric *); /* its samples follow */
void openmetrics_end(struct metric_out *);
/* A label's value, escaped. What is not printable ASCII becomes '?'; a line's end stays, escaped. */
void openmetrics_escape(struct buf *, const char *);
/* As short as it can be read back; with `point` never without a point or an exponent. */
void openmetrics_number(double, bool point, char out[32]);

#endif
