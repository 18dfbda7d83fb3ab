/*
 * cdr_fx: CDRs over a store of their own, for the tests of them: added, listed, and what callbacks said as text.
 */
#ifndef CDR_FX_H
#define CDR_FX_H

#include <errno.h>

#include "routing/cdr.h"
#include "store_fx.h"

#define TENANT "3f2a7c1e-0000-4000-8000-000000000001"
#define OTHER "3f2a7c1e-0000-4000-8000-000000000002"

/* ---- rows ---- */

FX void
no_report(void *arg, const char *path, const char *text)
{
	fail_msg("%s: %s", path, text);
}

FX struct rt_row *
row_of(int64_t id, const char *tenant, const char *call_id)
{
	json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:i}", "tenant_uuid", tenant, "from_uri", "sip:a@example.org", "to_uri",
	    "sip:+33123@example.net", "call_id", call_id, "call_start", "2026-11-21T03:40:00", "duration", 12);
	struct rt_row *row;

	if (id != RT_NULL)
		json_object_set_new(o, "id", json_integer(id));
	assert_int_equal(rt_row_parse(&row, RT_CDRS, o, NULL, RT_ROW_NO_ID, "", no_report, NULL), 0);
	json_decref(o);
	return row;
}

/* ---- the store ---- */

struct cx {
	struct fx *f;
	struct conf conf;
	struct cdrs *c;
	/* of callbacks */
	unsigned told;
	int err;
	struct buf said; /* "ID:CALL " */
};

FX void
cx_open(struct cx *x)
{
	fx_start(x->f);
	assert_int_equal(cdrs_new(&x->c, x->f->loop, x->f->worker, x->f->st, &x->conf), 0);
}

FX void
cx_start(struct cx *x, struct fx *f)
{
	memset(x, 0, sizeof *x);
	x->f = f;
	x->conf.cdr_keep_ms = DAY_MS;
	x->conf.cdr_max = 100000;
	cx_open(x);
}

FX void
cx_close(struct cx *x)
{
	cdrs_free(x->c);
	fx_stop(x->f);
}

FX void
cx_stop(struct cx *x)
{
	cx_close(x);
	buf_free(&x->said);
}

FX void
cx_forget(struct cx *x)
{
	buf_free(&x->said);
	memset(&x->said, 0, sizeof x->said);
	x->told = 0;
}

FX void
say_row(struct cx *x, const struct rt_row *row)
{
	buf_printf(&x->said, "%lld:%s ", (long long)rt_row_id(row), row->v[CDR_CALL_ID].s);
}

FX void
on_added(void *arg, int err, const struct rt_row *row)
{
	struct cx *x = arg;

	x->told++;
	x->err = err;
	if (err == 0)
		say_row(x, row);
	else
		assert_null(row);
}

FX int
add_of(struct cx *x, const char *tenant, const char *call)
{
	struct rt_row *row = row_of(RT_NULL, tenant, call);
	int err = cdrs_add(x->c, row, on_added, x);

	rt_row_unref(row);
	return err;
}

FX void
add(struct cx *x, const char *call)
{
	assert_int_equal(add_of(x, TENANT, call), 0);
}

struct count {
	struct cx *x;
	unsigned n;
};

FX bool
told_so_many(void *arg)
{
	const struct count *c = arg;

	return c->x->told >= c->n;
}

FX void
await_told(struct cx *x, unsigned n)
{
	struct count c = { x, n };

	fx_await(x->f, told_so_many, &c);
	assert_int_equal(x->told, n);
}

FX void
on_list(void *arg, int err, struct rt_row **rows, size_t n)
{
	struct cx *x = arg;
	size_t i;

	x->told++;
	x->err = err;
	for (i = 0; i < n; i++)
		say_row(x, rows[i]);
}

FX void
assert_lists(struct cx *x, struct cdr_query q, const char *want)
{
	cx_forget(x);
	cdrs_list(x->c, &q, on_list, x);
	assert_int_equal(x->told, 0);
	await_told(x, 1);
	assert_int_equal(x->err, 0);
	assert_string_equal(x->said.s ? x->said.s : "", want);
	cx_forget(x);
}
#define ALL (struct cdr_query){ .limit = 100 }
#define Q(...) ((struct cdr_query){ __VA_ARGS__ })

#endif
