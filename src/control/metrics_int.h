/*
 * metrics_int: what a scrape looks at once, and the collectors by subject: metrics_topology.c (services, names, targets, Kamailios,
 * registrations), metrics_process.c (the process); metrics.c has the table and those that read one field.
 */
#ifndef CONTROL_METRICS_INT_H
#define CONTROL_METRICS_INT_H

#include "control/metrics.h"

struct metrics_process {
	int64_t resident_bytes, virtual_bytes;
	int64_t open_fds, max_fds;
	int64_t cpu_us;
	int64_t started_ms; /* wall clock */
};

struct metrics_now {
	const struct app *app;
	int64_t now_ms, wall_ms;
	struct store_view store;
	struct httpd_view httpd;
	struct kamapi_view api;
	struct cdr_view cdr;
	struct routing_view routing;
	struct loop_lag lag;
	struct hook_view hook;
	struct metrics_process process;
	double stretch;
	bool has_data; /* routing data */
	uint64_t generation;
	int64_t seen_ms, page_bytes;
	int64_t problems, failures, reminders; /* failures are problems too */
};

void metrics_process(struct metrics_process *, const struct app *);

metric_collect_fn metric_instances, metric_service_flag, metric_service_count, metric_evidence_age, metric_rounds, metric_name_us,
    metric_wakes, metric_kv_age, metric_target_state, metric_target_number, metric_target_age, metric_propagation, metric_counts,
    metric_kamailio_up, metric_kamailio_connections, metric_kamailio_info, metric_faults, metric_registrations, metric_registered,
    metric_registration_count, metric_checks, metric_check_passing;

#endif
