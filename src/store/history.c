/* The history, as JSON: read by the worker. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "store/record.h"
#include "store/store_int.h"

json_t *
store_change_json(const struct topo_change *ch)
{
	const struct topo_instance *i = ch->after ? ch->after : ch->before;
	json_t *o = json_object();
	char ip[TOPO_ADDR_TEXT];

	topo_addr_format_ip(&i->addr, ip);
	jsonx_set_text(o, "service", ch->service);
	jsonx_set_text(o, "address", ip);
	jsonx_set_int(o, "port", i->addr.port);
	jsonx_set_text(o, "from", ch->before ? topo_state_name(ch->before->state) : NULL);
	jsonx_set_text(o, "to", ch->after ? topo_state_name(ch->after->state) : NULL);
	if (ch->after != NULL && ch->after->guard != GUARD_NONE)
		jsonx_set_text(o, "guard", topo_guard_name(ch->after->guard));
	if (ch->after != NULL && (ch->before == NULL || ch->before->weight != ch->after->weight))
		jsonx_set_int(o, "weight", ch->after->weight);
	if (ch->after != NULL && (ch->before == NULL || ch->before->priority != ch->after->priority))
		jsonx_set_int(o, "priority", ch->after->priority);
	if (ch->after != NULL &&
	    strcmp(ch->after->tags ? ch->after->tags : "", ch->before && ch->before->tags ? ch->before->tags : "") != 0)
		jsonx_set_text(o, "tags", ch->after->tags ? ch->after->tags : "");
	if (ch->after != NULL && (ch->before ? ch->before->drain_until_ms : 0) != ch->after->drain_until_ms)
		jsonx_set_time(o, "drain_until", ch->after->drain_until_ms);
	if (i->addr.family == 0)
		jsonx_set_text(o, "line", i->origin);
	return o;
}

/* How long one step took after another; null when either is not known. */
static void
set_gap(json_t *o, const char *key, int64_t from_ms, int64_t to_ms)
{
	if (from_ms == 0 || to_ms == 0)
		json_object_set_new(o, key, json_null());
	else
		jsonx_set_int(o, key, to_ms - from_ms);
}

static int64_t
time_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* The times of the targets, which came before their generation's, as steps after it. */
static json_t *
take_targets(json_t *targets, int64_t seen_ms)
{
	json_t *t;
	size_t i;

	json_array_foreach(targets, i, t) {
		int64_t applied = time_of(t, "applied"), verified = time_of(t, "verified");

		jsonx_set_time(t, "applied", applied);
		jsonx_set_time(t, "verified", verified);
		set_gap(t, "seen_to_applied_ms", seen_ms, applied);
		set_gap(t, "applied_to_verified_ms", applied, verified);
	}
	return targets;
}

struct history_job {
	struct worker_job job;
	struct store *st;
	char *service;
	char *address;
	size_t limit;
	store_history_cb *cb;
	void *arg;
	json_t *out;
};

static bool
change_matches(const json_t *change, const char *service, const char *address)
{
	const char *s = jsonx_get_text(change, "service"), *a = jsonx_get_text(change, "address");
	char text[TOPO_ADDR_TEXT + 8];

	if (service[0] && (s == NULL || strcmp(s, service) != 0))
		return false;
	if (!address[0])
		return true;
	snprintf(text, sizeof text, a && strchr(a, ':') ? "[%s]:%lld" : "%s:%lld", a ? a : "",
	    (long long)json_integer_value(json_object_get(change, "port")));
	return strcmp(text, address) == 0;
}

static bool
body_matches(const json_t *changes, const char *service, const char *address)
{
	const json_t *ch;
	size_t i;

	if (!service[0] && !address[0])
		return true;
	json_array_foreach(changes, i, ch)
		if (change_matches(ch, service, address))
			return true;
	return false;
}

static void
history_run(struct worker_job *wj)
{
	struct history_job *job = CONTAINER_OF(wj, struct history_job, job);
	struct db *db = &job->st->db;
	MDB_txn *txn;
	MDB_cursor *cur;
	MDB_val k, v;
	json_t *targets = json_array();
	uint64_t targets_of = 0;
	int rc;

	job->out = json_array();
	if (db->env == NULL || mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn) != 0) {
		json_decref(targets);
		return;
	}
	if (mdb_cursor_open(txn, db->dbi[T_HISTORY], &cur) == 0) {
		for (rc = mdb_cursor_get(cur, &k, &v, MDB_LAST); rc == 0 && json_array_size(job->out) < job->limit;
		     rc = mdb_cursor_get(cur, &k, &v, MDB_PREV)) {
			struct reader kr = { k.mv_data, k.mv_size, false }, r = { v.mv_data, v.mv_size, false };
			uint64_t gen = get_u64(&kr);
			bool is_times = get_u8(&kr) == 1;
			int64_t first, second;
			json_t *o;

			if (get_u8(&r) != RECORD_VERSION)
				continue;
			first = (int64_t)get_u64(&r);
			second = (int64_t)get_u64(&r);
			if (r.bad || kr.bad)
				continue;
			if (gen != targets_of) /* times whose difference is not there */
				json_array_clear(targets);
			targets_of = gen;
			o = json_object();
			if (is_times) { /* keys order them after the difference, so backwards they come first */
				char *name = xstrndup((const char *)kr.p, kr.left);

				jsonx_set_text(o, "target", name);
				jsonx_set_int(o, "applied", first);
				jsonx_set_int(o, "verified", second);
				json_array_insert_new(targets, 0, o);
				free(name);
				continue;
			}
			{
				json_t *body = json_loadb((const char *)r.p, r.left, JSON_REJECT_DUPLICATES, NULL);

				jsonx_set_int(o, "generation", (int64_t)gen);
				jsonx_set_time(o, "seen", first);
				jsonx_set_time(o, "committed", second);
				set_gap(o, "seen_to_committed_ms", first, second);
				json_object_set(o, "cause", json_object_get(body, "cause"));
				json_object_set(o, "changes", json_object_get(body, "changes"));
				json_object_set_new(o, "targets", take_targets(targets, first));
				targets = json_array();
				if (body != NULL &&
				    body_matches(json_object_get(body, "changes"), job->service, job->address))
					json_array_append_new(job->out, o);
				else
					json_decref(o);
				json_decref(body);
			}
		}
		mdb_cursor_close(cur);
	}
	mdb_txn_abort(txn);
	json_decref(targets);
}

static void
history_done(struct worker_job *wj)
{
	struct history_job *job = CONTAINER_OF(wj, struct history_job, job);

	job->cb(job->arg, job->out);
	free(job->service);
	free(job->address);
	free(job);
}

void
store_history(struct store *st, const char *service, const char *address, size_t limit, store_history_cb *cb, void *arg)
{
	struct history_job *job = xcalloc(1, sizeof *job);

	job->job.run = history_run;
	job->job.done = history_done;
	job->st = st;
	job->service = xstrdup(service ? service : "");
	job->address = xstrdup(address ? address : "");
	job->limit = limit;
	job->cb = cb;
	job->arg = arg;
	store_commit_now(st); /* what was put before is read too */
	worker_submit(st->worker, WORKER_NORMAL, &job->job);
}
