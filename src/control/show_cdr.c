/* c4ctl show cdr, c4ctl cdr export. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/text.h"
#include "control/control.h"

#define LAST 20
#define LAST_MAX 10000
#define PAGE 1000
#define FOREVER_MS ((int64_t)1 << 60)

/* "--name VALUE", "--name=VALUE", and "--name" of a flag. */
struct option {
	const char *name;
	const char **text;
	int64_t *number;
	int64_t min, max;
	bool *flag;
};

/* The word's option; *value is what stands behind its '='. */
static const struct option *
find_option(const struct option *options, const char *word, const char **value)
{
	size_t len = strcspn(word, "=");
	const struct option *o;

	for (o = options; o->name != NULL; o++)
		if (strlen(o->name) == len && strncmp(o->name, word, len) == 0) {
			*value = word[len] ? word + len + 1 : NULL;
			return o;
		}
	return NULL;
}

/* False: it has been answered. */
static bool
take_options(struct control_req *r, const struct option *options, const char *usage)
{
	const struct option *o;
	const char *value;
	size_t i;

	for (i = 0; i < control_n_args(r); i++) {
		o = find_option(options, control_arg(r, i), &value);
		if (o != NULL && o->flag != NULL && value == NULL) {
			*o->flag = true;
			continue;
		}
		if (o != NULL && value == NULL)
			value = control_arg(r, ++i);
		if (o == NULL || o->flag != NULL || value == NULL || value[0] == '\0') {
			control_end(r, EXIT_USAGE, "usage: c4ctl %s", usage);
			return false;
		}
		if (o->text != NULL) {
			*o->text = value;
		} else if (text_parse_int(value, o->min, o->max, o->number) != 0) {
			control_end(r, EXIT_USAGE, "%s takes a whole number from %lld to %lld", o->name, (long long)o->min, (long long)o->max);
			return false;
		}
	}
	return true;
}

static const char *
list_error(int err)
{
	return err == -ECANCELED ? "c4d is stopping" : strerror(-err);
}

/* ---- show cdr ---- */

struct show {
	struct control_req *req;
	bool narrowed;
};

static void
on_shown(void *arg, int err, struct rt_row **rows, size_t n)
{
	struct show *s = arg;
	json_t *out = json_array();
	size_t i;

	for (i = 0; i < n; i++)
		json_array_append_new(out, rt_row_json(rows[i], 0));
	if (err == 0 && (n > 0 || !s->narrowed))
		control_data(s->req, json_incref(out));
	json_decref(out);
	if (err != 0)
		control_end(s->req, EXIT_REFUSED, "the CDRs can't be read: %s (c4ctl status)", list_error(err));
	else if (n == 0 && s->narrowed)
		control_end(s->req, EXIT_NO, "no such CDR");
	else
		control_end(s->req, EXIT_DONE, NULL);
	free(s);
}

void
ctl_show_cdr(struct control_req *req)
{
	struct cdr_query q = { .newest = true };
	int64_t last = LAST;
	const struct option options[] = {
		{ .name = "--last", .number = &last, .min = 1, .max = LAST_MAX },
		{ .name = "--tenant", .text = &q.tenant_uuid },
		{ .name = "--call-id", .text = &q.call_id },
		{ .name = NULL },
	};
	struct show *s;

	if (!take_options(req, options, "show cdr [--last N] [--tenant UUID] [--call-id ID]"))
		return;
	s = xcalloc(1, sizeof *s);
	s->req = req;
	s->narrowed = q.tenant_uuid != NULL || q.call_id != NULL;
	q.limit = (size_t)last;
	cdrs_list(routing_cdrs(control_app(req)->routing), &q, on_shown, s);
}

/* ---- cdr export ---- */

/* A page is asked for, given, and the next asked for when it was read. Nothing in here needs more than free(). */
struct export {
	struct control_req *req;
	struct cdrs *cdrs;
	int64_t after, left;
	size_t asked;
	bool has_limit, csv, follow;
};

static void next_page(struct export *e);

static json_t *
line_of(const struct export *e, const struct rt_row *row)
{
	struct buf b = { 0 };
	json_t *out;

	if (!e->csv)
		return rt_row_json(row, 0);
	if (row != NULL)
		cdr_csv(row, &b);
	else
		cdr_csv_header(&b);
	out = json_stringn(b.s, b.len - 1); /* the client ends lines */
	buf_free(&b);
	return out;
}

static bool
has_more(const struct export *e)
{
	struct cdr_view v;

	cdrs_view(e->cdrs, &v);
	return v.newest > (uint64_t)e->after;
}

/* Polled: the output was read, and there is more. */
static bool
on_tick(struct control_req *req, void *arg, bool late)
{
	struct export *e = arg;

	if (!control_has_room(req) || (e->follow && !has_more(e)))
		return false;
	control_unwait(req);
	next_page(e);
	return false;
}

static void
finish(struct export *e, int err)
{
	if (err == 0)
		control_end(e->req, EXIT_DONE, NULL);
	else
		control_end(e->req, EXIT_REFUSED, "the CDRs can't be read: %s (what was printed is right; go on with --after %lld)",
		    list_error(err), (long long)e->after);
	free(e);
}

static void
on_page(void *arg, int err, struct rt_row **rows, size_t n)
{
	struct export *e = arg;
	json_t *page = json_array();
	bool all = n < e->asked;
	size_t i;

	for (i = 0; i < n; i++) {
		json_array_append_new(page, line_of(e, rows[i]));
		e->after = rt_row_id(rows[i]);
	}
	if (n > 0)
		control_data(e->req, json_incref(page));
	json_decref(page);
	e->left -= (int64_t)n;
	if (err != 0 || control_gone(e->req) || (e->has_limit && e->left == 0) || (all && !e->follow))
		finish(e, err);
	else if (!all && control_has_room(e->req))
		next_page(e);
	else
		control_wait(e->req, FOREVER_MS, on_tick, e);
}

static void
next_page(struct export *e)
{
	struct cdr_query q = { .after = (uint64_t)e->after, .limit = PAGE };

	if (e->has_limit && e->left < PAGE)
		q.limit = (size_t)e->left;
	e->asked = q.limit;
	cdrs_list(e->cdrs, &q, on_page, e);
}

void
ctl_cdr_export(struct control_req *req)
{
	struct export *e = xcalloc(1, sizeof *e);
	const struct option options[] = {
		{ .name = "--after", .number = &e->after, .min = 0, .max = INT64_MAX },
		{ .name = "--limit", .number = &e->left, .min = 1, .max = INT64_MAX },
		{ .name = "--csv", .flag = &e->csv },
		{ .name = "--follow", .flag = &e->follow },
		{ .name = NULL },
	};
	json_t *header;

	if (!take_options(req, options, "cdr export [--after CURSOR] [--limit N] [--csv] [--follow]")) {
		free(e);
		return;
	}
	e->req = req;
	e->cdrs = routing_cdrs(control_app(req)->routing);
	e->has_limit = e->left > 0;
	if (e->csv && e->after == 0) { /* what resumes has its header already */
		header = json_array();
		json_array_append_new(header, line_of(e, NULL));
		control_data(req, header);
	}
	next_page(e);
}
