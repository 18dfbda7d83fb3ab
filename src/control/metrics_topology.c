/* Samples of services, SRV names, targets, Kamailios and registrations. */
#include <stdio.h>
#include <string.h>

#include "consul/kv.h"
#include "control/control.h"
#include "metrics_int.h"

static const char *
field_text(int code, char out[16])
{
	snprintf(out, 16, "%d", code);
	return out;
}

static uint64_t
u64_at(const void *view, size_t at)
{
	uint64_t v;

	memcpy(&v, (const char *)view + at, sizeof v);
	return v;
}

/* ---- services ---- */

void
metric_instances(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	const struct topo *t = platform_now(now->app->platform);
	size_t i, k;

	for (i = 0; i < t->n; i++) {
		const struct topo_service *s = &t->services[i];
		size_t count[5] = { 0 };

		for (k = 0; k < s->n; k++)
			count[s->inst[k].state]++;
		for (k = 0; k < NELEM(count); k++)
			metric_put(out, (double)count[k], s->name, topo_state_name((enum topo_state)k));
	}
}

/* `at`: of a bool in struct topo_service. */
void
metric_service_flag(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	const struct topo *t = platform_now(now->app->platform);
	size_t i;

	for (i = 0; i < t->n; i++)
		metric_put(out, *(const bool *)((const char *)&t->services[i] + m->at), t->services[i].name);
}

/* `at`: of an unsigned in struct judge_view. */
void
metric_service_count(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	const struct topo *t = platform_now(now->app->platform);
	struct judge_view v;
	unsigned n;
	size_t i;

	for (i = 0; i < t->n; i++) {
		judge_view(platform_judge(now->app->platform, t->services[i].name), now->now_ms, &v);
		memcpy(&n, (const char *)&v + m->at, sizeof n);
		metric_put(out, n, t->services[i].name);
	}
}

/* ---- SRV names ---- */

/* Where a name never proved anything, that is since the start. */
void
metric_evidence_age(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	const struct app *a = now->app;
	struct judge_name_view v;
	struct watch_view w;
	size_t i;

	for (i = 0; i < watch_count(a->watch); i++) {
		watch_view(a->watch, i, &w);
		judge_name_view(platform_judge(a->platform, w.service), w.index, &v);
		metric_put(out, (double)(v.proof_ms != 0 ? now->now_ms - v.proof_ms : now->wall_ms - a->started_wall_ms) / 1e3, w.service,
		    w.name);
	}
}

void
metric_rounds(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	struct watch_view w;
	size_t i, k;

	for (i = 0; i < watch_count(now->app->watch); i++) {
		watch_view(now->app->watch, i, &w);
		for (k = 0; k < NELEM(w.rounds); k++)
			metric_put(out, (double)w.rounds[k], w.service, w.name, evidence_name((enum evidence)k));
	}
}

/* `at`: of an int64_t of microseconds in struct watch_view. */
void
metric_name_us(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	struct watch_view w;
	size_t i;

	for (i = 0; i < watch_count(now->app->watch); i++) {
		watch_view(now->app->watch, i, &w);
		metric_put(out, (double)(int64_t)u64_at(&w, m->at) / 1e6, w.service, w.name);
	}
}

void
metric_wakes(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	struct watch_view w;
	size_t i;

	for (i = 0; i < watch_count(now->app->watch); i++) {
		watch_view(now->app->watch, i, &w);
		metric_put(out, (double)w.wakes, w.service, w.name);
	}
}

void
metric_kv_age(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	const struct kv *kv;
	struct kv_view v;
	char used_by[96];
	size_t i = 0;

	while (show_next_kv(now->app, &i, &kv, used_by)) {
		kv_view(kv, &v);
		metric_put(out, (double)(now->wall_ms - (v.answered_ms != 0 ? v.answered_ms : now->app->started_wall_ms)) / 1e3, used_by,
		    v.prefix);
	}
}

/* ---- targets ---- */

void
metric_target_state(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	struct target_walk w = { 0 };
	int s;

	while (kamhost_walk(now->app->hosts, now->app->n_hosts, &w))
		for (s = TARGET_CONVERGED; s <= TARGET_FAILED; s++)
			metric_put(out, (int)w.view.state == s, w.view.name, w.view.kind, target_state_name((enum target_state)s));
}

static uint64_t
generation_lag(const struct target_view *v)
{
	return v->desired_generation - v->applied_generation;
}

static uint64_t
pending_steps(const struct target_view *v)
{
	return v->pending;
}

/* `at`: which. */
void
metric_target_number(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	static uint64_t (*const what[])(const struct target_view *) = { generation_lag, pending_steps };
	struct target_walk w = { 0 };

	while (kamhost_walk(now->app->hosts, now->app->n_hosts, &w))
		metric_put(out, (double)what[m->at](&w.view), w.view.name, w.view.kind);
}

void
metric_target_age(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	struct target_walk w = { 0 };

	while (kamhost_walk(now->app->hosts, now->app->n_hosts, &w))
		metric_put(out, (double)(now->wall_ms - w.view.since_ms) / 1e3, w.view.name, w.view.kind);
}

void
metric_propagation(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	struct target_walk w = { 0 };

	while (kamhost_walk(now->app->hosts, now->app->n_hosts, &w))
		metric_add_histogram(out, w.view.propagation, (const char *const[]){ w.view.name, w.view.kind });
}

/* ---- Kamailios ---- */

/* `at`: of a counter in struct target_counts. One object does all the sets of a Kamailio, with the same reloads. */
void
metric_counts(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	const struct app *a = now->app;
	struct target_view v;
	size_t i, k;

	for (i = 0; i < a->n_hosts; i++)
		for (k = 0; k < kamhost_targets(a->hosts[i]); k++) {
			const struct target *t = kamhost_target(a->hosts[i], k);
			struct target_counts n = { 0 };

			if (t->ops->rows(t) == 0)
				continue;
			t->ops->view(t, 0, &v);
			t->ops->counts(t, &n);
			metric_put(out, (double)u64_at(&n, m->at), kamhost_conf(a->hosts[i])->name, v.kind);
		}
}

void
metric_kamailio_up(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	size_t i;

	for (i = 0; i < now->app->n_hosts; i++)
		metric_put(out, kamhost_is_up(now->app->hosts[i]), kamhost_conf(now->app->hosts[i])->name);
}

void
metric_kamailio_connections(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	size_t i;

	for (i = 0; i < now->app->n_hosts; i++)
		metric_put(out, (double)kamhost_connections(now->app->hosts[i]), kamhost_conf(now->app->hosts[i])->name);
}

void
metric_kamailio_info(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	size_t i;

	for (i = 0; i < now->app->n_hosts; i++)
		metric_put(out, 1, kamhost_conf(now->app->hosts[i])->name, kamhost_ident(now->app->hosts[i])->version);
}

void
metric_faults(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	struct kam_fault f;
	char code[16];
	size_t i, k;

	for (i = 0; i < now->app->n_hosts; i++)
		for (k = 0; kam_fault(kamhost_kam(now->app->hosts[i]), k, &f); k++)
			metric_put(out, (double)f.count, kamhost_conf(now->app->hosts[i])->name, f.what, field_text(f.code, code));
}

/* ---- registrations ---- */

void
metric_registrations(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	const struct registrar *r = now->app->registrar;
	size_t count[REG_LEAVING + 1] = { 0 }, i;
	struct registration_view v;

	for (i = 0; i < registrar_count(r); i++) {
		registrar_view(r, i, &v);
		count[v.state]++;
	}
	for (i = 0; i < NELEM(count); i++)
		metric_put(out, (double)count[i], registration_state_name((enum registration_state)i));
}

void
metric_registered(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	const struct registrar *r = now->app->registrar;
	struct registration_view v;
	size_t i;

	for (i = 0; i < registrar_count(r); i++) {
		registrar_view(r, i, &v);
		if (v.state != REG_LEAVING) /* its successor may have its name */
			metric_put(out, v.state == REG_REGISTERED || v.state == REG_MAINTENANCE, v.name);
	}
}

/* `at`: of a counter in struct registration_view. */
void
metric_registration_count(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	const struct registrar *r = now->app->registrar;
	struct registration_view v;
	size_t i;

	for (i = 0; i < registrar_count(r); i++) {
		registrar_view(r, i, &v);
		if (v.state != REG_LEAVING)
			metric_put(out, (double)u64_at(&v, m->at), v.name);
	}
}

static const char *
check_state(const struct check_view *v)
{
	return v->off ? "off" : v->agent == AGENT_NO_STATUS ? "unknown" : agent_status_name(v->agent);
}

void
metric_checks(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	static const char *const states[] = { "passing", "warning", "critical", "unknown", "off" };
	const struct registrar *r = now->app->registrar;
	size_t count[NELEM(states)] = { 0 }, i, k, s;
	struct check_view v;

	for (i = 0; i < registrar_count(r); i++)
		for (k = 0; k < registrar_checks(r, i); k++) {
			registrar_check_view(r, i, k, &v);
			for (s = 0; s < NELEM(states); s++)
				count[s] += strcmp(states[s], check_state(&v)) == 0;
		}
	for (s = 0; s < NELEM(states); s++)
		metric_put(out, (double)count[s], states[s]);
}

void
metric_check_passing(const struct metric *m, const struct metrics_now *now, struct metric_out *out)
{
	const struct registrar *r = now->app->registrar;
	struct registration_view reg;
	struct check_view v;
	size_t i, k;

	for (i = 0; i < registrar_count(r); i++)
		for (k = 0; k < registrar_checks(r, i); k++) {
			registrar_view(r, i, &reg);
			registrar_check_view(r, i, k, &v);
			if (!v.off && reg.state != REG_LEAVING)
				metric_put(out, v.agent == AGENT_PASSING, reg.name, v.name, v.type);
		}
}
