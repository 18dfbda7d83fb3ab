#include "http/uacreg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "control/app.h"
#include "kamailio/dbtext.h"
#include "routing/uacreg.h"

#define VERSION_MAX_BYTES (1u << 20)
#define NEWEST 5

/* The version tables are files: the worker reads them. */
struct asking {
	struct worker_job job;
	const struct app *app;
	struct httpd_req *req;
	struct rt_data *data; /* what was served when it asked: the answer may come after routing_free() */
	char **paths;
	size_t n;
	int version; /* that all of them say; 0: none does, or they differ */
};

static void
answer(const struct app *a, struct httpd_req *r, const struct rt_data *data, int version)
{
	const char *contact = a->n_hosts == 1 ? kamhost_conf(a->hosts[0])->uacreg_contact : NULL;
	struct buf out = { 0 }, why = { 0 };

	if (uacreg_answer(data, version, contact, &out, &why) == 0)
		httpd_reply_buf(r, 200, &out);
	else
		httpd_reply_error(r, 409, "%s", why.len > 0 ? why.s : "out of memory");
	buf_free(&out);
	buf_free(&why);
}

/* ---- which version ---- */

/* 0: none that we know. */
static int
version_in(const char *text, size_t len)
{
	int version = dbtext_version_get(text, len, "uacreg");

	return version == 4 || version == 5 ? version : 0;
}

static void
agree(int *version, bool *differ, int one)
{
	*differ |= one != 0 && *version != 0 && one != *version;
	if (one != 0)
		*version = one;
}

static void
read_versions(struct worker_job *job)
{
	struct asking *k = CONTAINER_OF(job, struct asking, job);
	bool differ = false;
	char *text;
	size_t i, len;

	for (i = 0; i < k->n; i++) {
		if (file_read(k->paths[i], VERSION_MAX_BYTES, &text, &len) != 0)
			continue;
		agree(&k->version, &differ, version_in(text, len));
		free(text);
	}
	if (differ)
		k->version = 0;
}

static int
version_connected(const struct app *a)
{
	int version = 0, major, minor;
	bool differ = false;
	size_t i;

	for (i = 0; i < a->n_hosts; i++)
		if (sscanf(kamhost_ident(a->hosts[i])->version, "kamailio %d.%d", &major, &minor) == 2)
			agree(&version, &differ, uacreg_version(major, minor));
	return differ ? 0 : version;
}

static void
versions_read(struct worker_job *job)
{
	struct asking *k = CONTAINER_OF(job, struct asking, job);
	int version = k->version ? k->version : version_connected(k->app);
	size_t i;

	answer(k->app, k->req, k->data, version ? version : NEWEST);
	rt_data_unref(k->data);
	for (i = 0; i < k->n; i++)
		free(k->paths[i]);
	free(k->paths);
	free(k);
}

static void
ask_versions(const struct app *a, struct httpd_req *r)
{
	struct asking *k = xcalloc(1, sizeof *k);
	size_t i;

	k->job.run = read_versions;
	k->job.done = versions_read;
	k->app = a;
	k->req = r;
	k->data = rt_data_ref((struct rt_data *)routing_data(a->routing));
	k->paths = xcalloc(a->conf->n_kamailios + 1, sizeof *k->paths);
	for (i = 0; i < a->conf->n_kamailios; i++)
		if (a->conf->kamailios[i]->tables != NULL)
			k->paths[k->n++] = xasprintf("%s/version", a->conf->kamailios[i]->tables);
	worker_submit(a->worker, WORKER_URGENT, &k->job);
}

void
uacreg_get(struct httpd_req *r, void *arg)
{
	const struct app *a = arg;
	const char *version = httpd_query(r, "version");

	if (kamapi_refuses(a, r))
		return;
	if (version == NULL)
		ask_versions(a, r);
	else if (strcmp(version, "4") == 0 || strcmp(version, "5") == 0)
		answer(a, r, routing_data(a->routing), atoi(version));
	else
		httpd_reply_error(r, 422, "version: must be 4 or 5, the version of the table uacreg");
}
