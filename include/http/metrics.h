/*
 * metrics: GET /metrics, in OpenMetrics 1.0.0, or in Prometheus' text format where Accept asks for text/plain and not for the former.
 */
#ifndef HTTP_METRICS_H
#define HTTP_METRICS_H

#include "http/httpd.h"

httpd_handler metrics_get; /* arg: a struct app */

#endif
