#include "control/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/jsonx.h"
#include "control/control.h"
#include "metrics_int.h"
#include "openmetrics.h"
#include "render_int.h"

/* ---- those that read one field of what was looked at ---- */

#define NOW(field) .at = offsetof(struct metrics_now, field)

static const void *
field(const struct metric *m, const struct metrics_now *now)
{
	return (const char *)now + m->at;
}

static void
read_u64(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	metric_put(out, (double)*(const uint64_t *)field(m, now), NULL);
}

static void
read_i64(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	metric_put(out, (double)*(const int64_t *)field(m, now), NULL);
}

static void
read_size(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	metric_put(out, (double)*(const size_t *)field(m, now), NULL);
}

static void
read_bool(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	metric_put(out, *(const bool *)field(m, now), NULL);
}

static void
read_real(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	metric_put(out, *(const double *)field(m, now), NULL);
}

static void
read_us(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	metric_put(out, (double)*(const int64_t *)field(m, now) / 1e6, NULL);
}

/* Wall clock; nothing when it never was. */
static void
read_time(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	int64_t ms = *(const int64_t *)field(m, now);

	if (ms != 0)
		metric_put(out, (double)ms / 1e3, NULL);
}

/* How long ago that was; 0 when there is nothing. */
static void
read_age(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	int64_t ms = *(const int64_t *)field(m, now);

	metric_put(out, ms != 0 ? (double)(now->wall_ms - ms) / 1e3 : 0, NULL);
}

static void
read_histogram(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	metric_add_histogram(out, field(m, now), NULL);
}

/* ---- those of a few fields ---- */

static void
build_info(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	metric_put(out, 1, C4D_VERSION, __VERSION__);
}

static void
problems(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	metric_put(out, (double)now->failures, "failure");
	metric_put(out, (double)(now->problems - now->failures), "warning");
}

static void
notify_runs(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	metric_put(out, (double)now->hook.ok, "ok");
	metric_put(out, (double)now->hook.failed, "failed");
	metric_put(out, (double)now->hook.late, "late");
	metric_put(out, (double)now->hook.not_run, "not_run");
}

static void
store_pages(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	metric_put(out, floor((double)now->store.used_bytes / (double)now->page_bytes), NULL);
}

static void
decisions(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	metric_put(out, (double)now->api.routed, "routed");
	metric_put(out, (double)now->api.unrouted, "unrouted");
}

static void
auths(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	metric_put(out, (double)now->api.authenticated, "accepted");
	metric_put(out, (double)(now->api.auths - now->api.authenticated), "rejected");
}

static void
routing_rows(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	const struct rt_data *data = routing_data(now->app->routing);
	size_t i;

	for (i = 0; i < RT_TABLES; i++)
		metric_put(out, data != NULL ? (double)data->t[i].n : 0, rt_schemas[i].name);
}

/* ---- the table ---- */

#define SERVICE { "service" }
#define NAME { "service", "name" }
#define TARGET { "target", "kind" }
#define TARGETS { "kamailio", "kind" }
#define KAMAILIO { "kamailio" }
#define REGISTRATION { "registration" }
#define COUNTS(field) .at = offsetof(struct target_counts, field)

const struct metric metrics[] = {
	/* what runs */
	{ "c4d_build", METRIC_INFO, NULL, "What runs.", { "version", "compiler" }, .collect = build_info },
	{ "c4d_problems", METRIC_GAUGE, NULL, "Things that are wrong now: c4ctl status says what, and what to do.", { "severity" },
	    .collect = problems },
	{ "c4d_reminders", METRIC_GAUGE, NULL, "Things that somebody may have forgotten, such as an old drain: c4ctl status.",
	    .collect = read_i64, NOW(reminders) },
	{ "c4d_generation", METRIC_GAUGE, NULL, "Number of the newest accepted state of all services.", .collect = read_u64,
	    NOW(generation) },
	{ "c4d_generation_seen_timestamp_seconds", METRIC_GAUGE, "seconds", "When that state was seen first.", .collect = read_time,
	    NOW(seen_ms) },

	/* services */
	{ "c4d_instances", METRIC_GAUGE, NULL, "Instances of a service by state; up and held take calls.", { "service", "state" },
	    .collect = metric_instances },
	{ "c4d_service_known", METRIC_GAUGE, NULL, "1: it had an instance at some time; 0: its targets are not touched.", SERVICE,
	    .collect = metric_service_flag, .at = offsetof(struct topo_service, known) },
	{ "c4d_service_frozen", METRIC_GAUGE, NULL, "1: an operator holds it as it is (c4ctl hold, rollback).", SERVICE,
	    .collect = metric_service_flag, .at = offsetof(struct topo_service, frozen) },
	{ "c4d_service_refused_instances", METRIC_GAUGE, NULL, "Listed by Consul, but not accepted (networks, max_instances).", SERVICE,
	    .collect = metric_service_count, .at = offsetof(struct judge_view, refused) },

	/* what is asked of Consul */
	{ "c4d_evidence_age_seconds", METRIC_GAUGE, "seconds",
	    "Since a round of questions about this name proved something; without any: since the start.", NAME,
	    .collect = metric_evidence_age },
	{ "c4d_dns_rounds", METRIC_COUNTER, NULL, "Rounds of questions about a name, by what they proved.", { "service", "name", "outcome" },
	    .collect = metric_rounds },
	{ "c4d_dns_round_seconds", METRIC_GAUGE, "seconds", "How long the last round took.", NAME, .collect = metric_name_us,
	    .at = offsetof(struct watch_view, took_us) },
	{ "c4d_dns_stretch_ratio", METRIC_GAUGE, NULL, "How much the most stretched name is asked about less often than its interval says.",
	    .collect = read_real, NOW(stretch) },
	{ "c4d_dns_wakes", METRIC_COUNTER, NULL, "Times that Consul's index said: ask now (wake: index).", NAME, .collect = metric_wakes },
	{ "c4d_kv_answer_age_seconds", METRIC_GAUGE, "seconds", "Since Consul answered about this prefix of its KV; never: since the start.",
	    { "used_by", "prefix" }, .collect = metric_kv_age },

	/* targets */
	{ "c4d_target_state", METRIC_GAUGE, NULL, "1 for the state that the target is in.", { "target", "kind", "state" },
	    .collect = metric_target_state },
	{ "c4d_target_state_age_seconds", METRIC_GAUGE, "seconds", "Since it is in that state.", TARGET, .collect = metric_target_age },
	{ "c4d_target_generation_lag", METRIC_GAUGE, NULL,
	    "Generations between the newest and the one last read back as in force; all of them while nothing was read back.", TARGET,
	    .collect = metric_target_number, .at = 0 },
	{ "c4d_target_pending_steps", METRIC_GAUGE, NULL, "Differences that are still to be brought about.", TARGET,
	    .collect = metric_target_number, .at = 1 },
	{ "c4d_propagation_seconds", METRIC_HISTOGRAM, "seconds",
	    "From the moment a generation was seen to its being read back from Kamailio as in force.", TARGET,
	    .collect = metric_propagation },
	{ "c4d_target_reloads", METRIC_COUNTER, NULL, "Reloads that Kamailio took.", TARGETS, .collect = metric_counts, COUNTS(reloads) },
	{ "c4d_target_adds", METRIC_COUNTER, NULL, "Destinations added one by one (strategy: incremental).", TARGETS,
	    .collect = metric_counts,
	    COUNTS(adds) },
	{ "c4d_target_removes", METRIC_COUNTER, NULL, "Destinations removed one by one (strategy: incremental).", TARGETS,
	    .collect = metric_counts,
	    COUNTS(removes) },
	{ "c4d_target_set_states", METRIC_COUNTER, NULL, "Destinations or nodes taken out of use or back without a reload.", TARGETS,
	    .collect = metric_counts, COUNTS(set_states) },
	{ "c4d_target_file_writes", METRIC_COUNTER, NULL, "Times that the list file or table was written.", TARGETS,
	    .collect = metric_counts,
	    COUNTS(file_writes) },
	{ "c4d_target_faults", METRIC_COUNTER, NULL, "Requests that Kamailio refused.", TARGETS, .collect = metric_counts, COUNTS(faults) },
	{ "c4d_target_window_waits", METRIC_COUNTER, NULL, "Times that a change had to wait for Kamailio's next reload.", TARGETS,
	    .collect = metric_counts, COUNTS(window_waits) },
	{ "c4d_target_repairs", METRIC_COUNTER, NULL, "Times that somebody else's change was overruled.", TARGETS, .collect = metric_counts,
	    COUNTS(repairs) },

	/* Kamailios */
	{ "c4d_kamailio_up", METRIC_GAUGE, NULL, "1: connected to its control socket.", KAMAILIO, .collect = metric_kamailio_up },
	{ "c4d_kamailio_connections", METRIC_COUNTER, NULL, "Connections made to its control socket.", KAMAILIO,
	    .collect = metric_kamailio_connections },
	{ "c4d_kamailio", METRIC_INFO, NULL, "What it says of itself.", { "kamailio", "version" }, .collect = metric_kamailio_info },
	{ "c4d_kamailio_rpc_faults", METRIC_COUNTER, NULL, "Faults that it answered with, by method and code.",
	    { "kamailio", "method", "code" }, .collect = metric_faults },

	/* what is registered at Consul */
	{ "c4d_registrations", METRIC_GAUGE, NULL, "Registrations at the local agent by state.", { "state" },
	    .collect = metric_registrations },
	{ "c4d_registration_registered", METRIC_GAUGE, NULL, "1: the agent has it, in maintenance or not.", REGISTRATION,
	    .collect = metric_registered },
	{ "c4d_registration_puts", METRIC_COUNTER, NULL, "Times that it was told to the agent.", REGISTRATION,
	    .collect = metric_registration_count,
	    .at = offsetof(struct registration_view, puts) },
	{ "c4d_registration_forgotten", METRIC_COUNTER, NULL, "Times that the agent had lost it.", REGISTRATION,
	    .collect = metric_registration_count,
	    .at = offsetof(struct registration_view, forgotten) },
	{ "c4d_registration_failures", METRIC_COUNTER, NULL, "Times that telling the agent failed.", REGISTRATION,
	    .collect = metric_registration_count, .at = offsetof(struct registration_view, failures) },
	{ "c4d_checks", METRIC_GAUGE, NULL, "Checks of all registrations by their status at the agent.", { "status" },
	    .collect = metric_checks },
	{ "c4d_check_passing", METRIC_GAUGE, NULL, "1: passing at the agent. Those that are switched off are left out.",
	    { "registration", "check", "type" }, .collect = metric_check_passing },

	/* routing */
	{ "c4d_routing_decisions", METRIC_COUNTER, NULL, "Routing questions that were answered, with a route or without.", { "result" },
	    .collect = decisions },
	{ "c4d_routing_decision_seconds", METRIC_HISTOGRAM, "seconds", "From the whole routing question to its answer.",
	    .collect = read_histogram, NOW(api.took) },
	{ "c4d_routing_auths", METRIC_COUNTER, NULL, "Authentications that were asked for.", { "result" }, .collect = auths },
	{ "c4d_routing_refused", METRIC_COUNTER, NULL, "Requests of the routing API that were refused: 403, 400, 422, 503.",
	    .collect = read_u64, NOW(api.refused) },
	{ "c4d_routing_served", METRIC_GAUGE, NULL, "1: there is routing data.", .collect = read_bool, NOW(has_data) },
	{ "c4d_routing_version", METRIC_GAUGE, NULL, "Version of the routing data that is served.", .collect = read_u64,
	    NOW(routing.version) },
	{ "c4d_routing_loaded_timestamp_seconds", METRIC_GAUGE, "seconds", "When it was loaded.", .collect = read_time,
	    NOW(routing.loaded_ms) },
	{ "c4d_routing_errors", METRIC_GAUGE, NULL, "Errors of the newest document; the last good one is served meanwhile.",
	    .collect = read_size, NOW(routing.errors) },
	{ "c4d_routing_rows", METRIC_GAUGE, NULL, "Rows of the routing data that is served.", { "table" }, .collect = routing_rows },

	/* CDRs */
	{ "c4d_cdrs_stored", METRIC_COUNTER, NULL, "CDRs committed.", .collect = read_u64, NOW(cdr.stored) },
	{ "c4d_cdrs_refused", METRIC_COUNTER, NULL, "CDRs that could not be stored; their senders were told.", .collect = read_u64,
	    NOW(cdr.refused) },
	{ "c4d_cdrs_forwarded", METRIC_COUNTER, NULL, "CDRs that the receiver acknowledged.", .collect = read_u64, NOW(cdr.forwarded) },
	{ "c4d_cdrs_lost", METRIC_COUNTER, NULL, "CDRs that went by routing.cdr.max before they were forwarded.", .collect = read_u64,
	    NOW(cdr.lost) },
	{ "c4d_cdrs_kept", METRIC_GAUGE, NULL, "CDRs in the store.", .collect = read_size, NOW(cdr.count) },
	{ "c4d_cdrs_waiting", METRIC_GAUGE, NULL, "CDRs that wait to be committed.", .collect = read_size, NOW(cdr.waiting) },
	{ "c4d_cdrs_behind", METRIC_GAUGE, NULL, "CDRs that are not forwarded yet, about.", .collect = read_u64, NOW(cdr.behind) },
	{ "c4d_cdrs_behind_age_seconds", METRIC_GAUGE, "seconds", "Age of the oldest of them; 0: there is none.", .collect = read_age,
	    NOW(cdr.behind_ms) },
	{ "c4d_cdrs_failing", METRIC_GAUGE, NULL, "1: the last commit of CDRs failed.", .collect = read_bool, NOW(cdr.failing) },

	/* the store */
	{ "c4d_store_failing", METRIC_GAUGE, NULL, "1: what happens can't be written; c4d goes on from memory.", .collect = read_bool,
	    NOW(store.failing) },
	{ "c4d_store_commits", METRIC_COUNTER, NULL, "Transactions committed.", .collect = read_u64, NOW(store.commits) },
	{ "c4d_store_failures", METRIC_COUNTER, NULL, "Transactions that failed; they are tried again.", .collect = read_u64,
	    NOW(store.failures) },
	{ "c4d_store_pending_records", METRIC_GAUGE, NULL, "Records that are not committed yet.",
	    .collect = read_size, NOW(store.pending) },
	{ "c4d_store_used_bytes", METRIC_GAUGE, "bytes", "So far the LMDB file is in use, free pages within it included.",
	    .collect = read_i64, NOW(store.used_bytes) },
	{ "c4d_store_size_bytes", METRIC_GAUGE, "bytes", "What it may grow to (store_size).", .collect = read_i64, NOW(store.size_bytes) },
	{ "c4d_store_used_pages", METRIC_GAUGE, NULL, "The same in LMDB's pages.", .collect = store_pages },

	/* HTTP */
	{ "c4d_http_requests", METRIC_COUNTER, NULL, "HTTP requests.", .collect = read_u64, NOW(httpd.requests) },
	{ "c4d_http_refused", METRIC_COUNTER, NULL, "Of these, refused by a limit, or for want of such a path or method.",
	    .collect = read_u64, NOW(httpd.refused) },
	{ "c4d_http_connections", METRIC_GAUGE, NULL, "Connections of HTTP clients.", .collect = read_size, NOW(httpd.connections) },
	{ "c4d_http_listeners", METRIC_GAUGE, NULL, "Addresses that the HTTP server listens at.", .collect = read_size,
	    NOW(httpd.listeners) },

	/* notify */
	{ "c4d_notify_runs", METRIC_COUNTER, NULL,
	    "Runs of the command of notify: late: ended at its time-out; not_run: it could not be executed.", { "outcome" },
	    .collect = notify_runs },
	{ "c4d_notify_dropped_events", METRIC_COUNTER, NULL, "Events that were never told, since too many waited, or the command failed for too long.", .collect = read_u64,
	    NOW(hook.dropped) },
	{ "c4d_notify_waiting_events", METRIC_GAUGE, NULL, "Events that wait for notify_interval or notify_rate.", .collect = read_u64,
	    NOW(hook.waiting) },

	/* the loop and the process */
	{ "c4d_loop_lag_max_seconds", METRIC_GAUGE, "seconds", "The longest that the event loop was late for an event, since the start.",
	    .collect = read_us, NOW(lag.max_us) },
	{ "c4d_loop_beats", METRIC_COUNTER, NULL, "Beats that measure it, made for 10 s after each question.", .collect = read_u64,
	    NOW(lag.turns) },
	{ "c4d_loop_late_beats", METRIC_COUNTER, NULL, "Of these, more than 5 ms late.", .collect = read_u64, NOW(lag.over_5ms) },
	{ "process_resident_memory_bytes", METRIC_GAUGE, "bytes", "Resident memory.", .collect = read_i64, NOW(process.resident_bytes) },
	{ "process_virtual_memory_bytes", METRIC_GAUGE, "bytes", "Virtual memory; the store's map is most of it.", .collect = read_i64,
	    NOW(process.virtual_bytes) },
	{ "process_cpu_seconds", METRIC_COUNTER, "seconds", "CPU time, user and system.", .collect = read_us, NOW(process.cpu_us) },
	{ "process_open_fds", METRIC_GAUGE, NULL, "Open descriptors.", .collect = read_i64, NOW(process.open_fds) },
	{ "process_max_fds", METRIC_GAUGE, NULL, "Descriptors that may be open.", .collect = read_i64, NOW(process.max_fds) },
	{ "process_start_time_seconds", METRIC_GAUGE, "seconds", "When c4d was started.", .collect = read_time, NOW(process.started_ms) },
};
const size_t n_metrics = NELEM(metrics);

/* ---- a scrape ---- */

static int64_t
count_failures(const json_t *list)
{
	const json_t *p;
	const char *severity;
	int64_t n = 0;
	size_t i;

	json_array_foreach(list, i, p) {
		severity = jsonx_get_text(p, "severity");
		n += severity != NULL && strcmp(severity, "failure") == 0;
	}
	return n;
}

static void
look(struct metrics_now *now, const struct app *a)
{
	json_t *status = show_status(a);

	*now = (struct metrics_now){
		.app = a,
		.now_ms = loop_now_ms(a->loop),
		.wall_ms = loop_wall_ms(a->loop),
		.stretch = watch_stretch(a->watch),
		.has_data = routing_data(a->routing) != NULL,
		.generation = platform_generation(a->platform),
		.seen_ms = platform_seen_ms(a->platform),
		.page_bytes = sysconf(_SC_PAGESIZE), /* LMDB's are as large */
		.problems = (int64_t)json_array_size(json_object_get(status, "problems")),
		.failures = count_failures(json_object_get(status, "problems")),
		.reminders = (int64_t)json_array_size(json_object_get(status, "reminders")),
	};
	json_decref(status);
	store_view(a->store, &now->store);
	httpd_view(a->httpd, &now->httpd);
	kamapi_view(a->kamapi, &now->api);
	cdrs_view(routing_cdrs(a->routing), &now->cdr);
	routing_view(a->routing, &now->routing);
	loop_lag(a->loop, &now->lag);
	hook_view(a->hook, &now->hook);
	metrics_process(&now->process, a);
}

static void
collect_all(const struct app *a, struct metric_out *out)
{
	struct metrics_now now;
	size_t i;

	look(&now, a);
	for (i = 0; i < n_metrics; i++) {
		openmetrics_family(out, &metrics[i]);
		metrics[i].collect(&metrics[i], &now, out);
	}
	openmetrics_end(out);
}

void
metrics_text(const struct app *a, enum metrics_format format, struct buf *text)
{
	struct metric_out out = { .format = format, .text = text };

	collect_all(a, &out);
}

json_t *
metrics_json(const struct app *a, const char *prefix)
{
	struct metric_out out = { .rows = json_array(), .prefix = prefix };

	collect_all(a, &out);
	return out.rows;
}

enum metrics_format
metrics_format_of(const char *accept)
{
	if (accept == NULL || strcasestr(accept, "text/plain") == NULL || strcasestr(accept, "application/openmetrics-text") != NULL)
		return METRICS_OPENMETRICS;
	return METRICS_PROMETHEUS;
}

const char *
metrics_type(enum metrics_format format)
{
	return format == METRICS_OPENMETRICS ? "application/openmetrics-text; version=1.0.0; charset=utf-8" :
	    "text/plain; version=0.0.4; charset=utf-8";
}

/* ---- c4ctl show metrics ---- */

void
ctl_show_metrics(struct control_req *r)
{
	json_t *rows = metrics_json(control_app(r), control_arg(r, 0));

	show_reply_rows(r, rows, json_array_size(rows) > 0, "metric beginning with");
}

/* "service=router,state=up" */
static char *
labels_text(const json_t *labels)
{
	struct buf b = { 0 };
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)labels, key, v)
		buf_printf(&b, "%s%s=%s", b.len > 0 ? "," : "", key, json_string_value(v));
	return buf_take(&b);
}

/* Labels that do not fit beside the name and the value go below them. */
static void
render_metric(const char *name, const char *labels, const char *value)
{
	int room = RENDER_WIDTH - (int)strlen(name) - (int)strlen(value) - 2;
	bool fits = (int)strlen(labels) <= room;

	fprintf(render_out(), "%s %-*s %s\n", name, room > 0 ? room : 0, fits ? labels : "", value);
	if (!fits)
		fprintf(render_out(), "    %.*s%s\n", RENDER_WIDTH - 5, labels, strlen(labels) > RENDER_WIDTH - 5 ? "~" : "");
}

/* The classes of histograms are left out: they are many, and say little to the eye. */
void
render_metrics(const json_t *data, int64_t now_ms)
{
	const json_t *row, *labels, *v;
	char value[32], *text;
	size_t i;

	render_metric("NAME", "LABELS", "VALUE");
	json_array_foreach(data, i, row) {
		labels = json_object_get(row, "labels");
		v = json_object_get(row, "value");
		if (json_object_get(labels, "le") != NULL)
			continue;
		text = labels_text(labels);
		openmetrics_number(json_is_number(v) ? json_number_value(v) : NAN, false, value);
		render_metric(render_text(row, "metric"), text, value);
		free(text);
	}
}
