/* How instances stood at a generation of the past: the history walked back. By the worker. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "store/record.h"
#include "store/store_int.h"

struct past_job {
	struct worker_job job;
	struct store *st;
	uint64_t generation;
	json_t *then;  /* by service and place: {state or null, weight, priority, tags, of: the first change seen} */
	int wanted;    /* fields of these that an older generation may know */
	struct store_past out;
	store_past_cb *cb;
	void *arg;
};

/* What a change says only where it changed. */
static const char *const fields[] = { "weight", "priority", "tags" };

static char *
key_of(const json_t *change)
{
	const char *service = jsonx_get_text(change, "service"), *address = jsonx_get_text(change, "address");
	const char *line = jsonx_get_text(change, "line");

	if (service == NULL || address == NULL)
		return NULL;
	return xasprintf("%s %s %lld %s", service, address, (long long)json_integer_value(json_object_get(change, "port")),
	    line ? line : "");
}

static void
want(struct past_job *job, json_t *then, const char *field, bool wanted)
{
	bool was = json_is_false(json_object_get(then, field));

	if (wanted == was)
		return;
	if (wanted)
		json_object_set_new(then, field, json_false());
	else
		json_object_del(then, field);
	job->wanted += wanted ? 1 : -1;
}

/*
 * It was not so before. Of what changed, and of what is gone, an older generation has to say; not of what was not
 * there.
 */
static void
undo(struct past_job *job, const char *key, const json_t *change)
{
	json_t *then = json_object_get(job->then, key), *from = json_object_get(change, "from");
	size_t i;

	if (then == NULL) {
		then = json_object();
		json_object_set(then, "of", (json_t *)(uintptr_t)change);
		json_object_set_new(job->then, key, then);
	}
	json_object_set(then, "state", from ? from : json_null());
	for (i = 0; i < NELEM(fields); i++)
		if (json_is_null(from) || from == NULL)
			want(job, then, fields[i], false);
		else if (json_object_get(change, fields[i]) != NULL || json_is_null(json_object_get(change, "to")))
			want(job, then, fields[i], true);
}

/* At or before the generation: the newest that says it. A new instance without tags has none. */
static void
learn(struct past_job *job, const char *key, const json_t *change)
{
	json_t *then = json_object_get(job->then, key);
	size_t i;

	for (i = 0; then != NULL && i < NELEM(fields); i++) {
		json_t *v = json_object_get(change, fields[i]);

		if (!json_is_false(json_object_get(then, fields[i])))
			continue;
		if (v == NULL && !json_is_null(json_object_get(change, "from")))
			continue;
		json_object_set(then, fields[i], v ? v : json_null());
		job->wanted--;
	}
}

/* False: the walk is over. */
static bool
walk_one(struct past_job *job, uint64_t generation, const json_t *changes)
{
	struct store_past *p = &job->out;
	const json_t *change;
	size_t i;

	if (p->newest == 0)
		p->newest = p->oldest = generation;
	else if (generation + 1 == p->oldest)
		p->oldest = generation;
	else if (p->oldest > job->generation + 1) /* some are missing in between */
		return false;
	json_array_foreach(changes, i, change) {
		char *key = key_of(change);

		if (key != NULL && generation > job->generation)
			undo(job, key, change);
		else if (key != NULL)
			learn(job, key, change);
		free(key);
	}
	return generation > job->generation || job->wanted > 0;
}

static int
state_of(const char *name)
{
	int s;

	for (s = TOPO_UP; s <= TOPO_DRAINING; s++)
		if (name != NULL && strcmp(topo_state_name((enum topo_state)s), name) == 0)
			return s;
	return -1;
}

static bool
take_one(const json_t *then, struct store_past_instance *out)
{
	const json_t *of = json_object_get(then, "of"), *state = json_object_get(then, "state"), *v;
	const char *address = jsonx_get_text(of, "address"), *line = jsonx_get_text(of, "line");
	struct topo_instance *i = &out->inst;
	int s = state_of(json_string_value(state));

	memset(out, 0, sizeof *out);
	out->was_there = !json_is_null(state);
	if ((out->was_there && s < 0) || (line == NULL && topo_addr_parse_ip(address, &i->addr) != 0))
		return false;
	if (line == NULL)
		i->addr.port = (uint16_t)json_integer_value(json_object_get(of, "port"));
	i->state = s < 0 ? TOPO_DISABLED : (enum topo_state)s;
	i->weight = i->priority = 1;
	v = json_object_get(then, "weight");
	if ((out->has_weight = json_is_integer(v)))
		i->weight = (uint16_t)json_integer_value(v);
	v = json_object_get(then, "priority");
	if ((out->has_priority = json_is_integer(v)))
		i->priority = (uint16_t)json_integer_value(v);
	v = json_object_get(then, "tags");
	out->has_tags = json_is_string(v) || json_is_null(v);
	i->tags = xstrdup(json_string_value(v));
	if (i->tags != NULL && i->tags[0] == '\0') {
		free(i->tags);
		i->tags = NULL;
	}
	i->origin = xstrdup(line);
	out->service = xstrdup(jsonx_get_text(of, "service"));
	return true;
}

static void
past_run(struct worker_job *wj)
{
	struct past_job *job = CONTAINER_OF(wj, struct past_job, job);
	struct db *db = &job->st->db;
	MDB_txn *txn;
	MDB_cursor *cur;
	MDB_val k, v;
	bool more = true;
	int rc;

	if (db->env == NULL || mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn) != 0) {
		job->out.err = -EIO;
		return;
	}
	rc = mdb_cursor_open(txn, db->dbi[T_HISTORY], &cur);
	if (rc != 0) {
		mdb_txn_abort(txn);
		job->out.err = store_err(rc);
		return;
	}
	for (rc = mdb_cursor_get(cur, &k, &v, MDB_LAST); rc == 0 && more; rc = mdb_cursor_get(cur, &k, &v, MDB_PREV)) {
		struct reader kr = { k.mv_data, k.mv_size, false }, r = { v.mv_data, v.mv_size, false };
		uint64_t generation = get_u64(&kr);
		json_t *body;

		if (get_u8(&kr) != 0 || get_u8(&r) != RECORD_VERSION) /* times of a target */
			continue;
		(void)get_u64(&r);
		(void)get_u64(&r);
		body = kr.bad || r.bad ? NULL : json_loadb((const char *)r.p, r.left, JSON_REJECT_DUPLICATES, NULL);
		if (body == NULL)
			continue; /* a gap, which the numbers show */
		more = walk_one(job, generation, json_object_get(body, "changes"));
		json_decref(body);
	}
	mdb_cursor_close(cur);
	mdb_txn_abort(txn);
	if (job->out.newest == 0 || job->out.oldest > job->generation + 1)
		job->out.err = -ENOENT;
}

static void
past_done(struct worker_job *wj)
{
	struct past_job *job = CONTAINER_OF(wj, struct past_job, job);
	struct store_past *p = &job->out;
	const char *key;
	json_t *then;
	size_t i;

	p->v = xcalloc(json_object_size(job->then), sizeof *p->v);
	json_object_foreach(job->then, key, then)
		if (p->err == 0 && take_one(then, &p->v[p->n]))
			p->n++;
	job->cb(job->arg, p);
	for (i = 0; i < p->n; i++) {
		topo_instance_clear(&p->v[i].inst);
		free(p->v[i].service);
	}
	free(p->v);
	json_decref(job->then);
	free(job);
}

void
store_past(struct store *st, uint64_t generation, store_past_cb *cb, void *arg)
{
	struct past_job *job = xcalloc(1, sizeof *job);

	job->job.run = past_run;
	job->job.done = past_done;
	job->st = st;
	job->generation = generation;
	job->then = json_object();
	job->cb = cb;
	job->arg = arg;
	store_commit_now(st); /* what was put before is read too */
	worker_submit(st->worker, WORKER_NORMAL, &job->job);
}
