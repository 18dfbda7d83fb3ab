#include "token.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"

#define TOKEN_MAX 4096 /* bytes of its file */

struct job {
	struct worker_job job;
	struct token *owner; /* NULL: nobody waits any more; the loop's, not the worker's */
	char *path;
	int err;
	char *text;
};

struct token {
	struct worker *worker;
	char *path;
	token_cb *cb;
	void *arg;
	struct job *job; /* under way */
};

/* What stands in the file may go into a header line: no blank, no control character. */
static int
trim(char *text, size_t len)
{
	while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
		text[--len] = '\0';
	return len > 0 && text_is_printable(text, len) ? 0 : -EINVAL;
}

static void
job_run(struct worker_job *wj)
{
	struct job *j = CONTAINER_OF(wj, struct job, job);
	size_t len;

	j->err = file_read(j->path, TOKEN_MAX, &j->text, &len);
	if (j->err == 0)
		j->err = trim(j->text, len);
}

static void
job_done(struct worker_job *wj)
{
	struct job *j = CONTAINER_OF(wj, struct job, job);

	if (j->owner != NULL) {
		j->owner->job = NULL;
		j->owner->cb(j->owner->arg, j->err, j->err == 0 ? j->text : NULL);
	}
	free(j->text);
	free(j->path);
	free(j);
}

struct token *
token_new(struct worker *worker, const char *path, token_cb *cb, void *arg)
{
	struct token *t = xcalloc(1, sizeof *t);

	t->worker = worker;
	t->path = xstrdup(path);
	t->cb = cb;
	t->arg = arg;
	return t;
}

void
token_forget(struct token *t)
{
	if (t->job != NULL)
		t->job->owner = NULL;
	t->job = NULL;
}

void
token_free(struct token *t)
{
	if (t == NULL)
		return;
	token_forget(t);
	free(t->path);
	free(t);
}

void
token_read(struct token *t)
{
	struct job *j;

	if (t->job != NULL)
		return;
	j = t->job = xcalloc(1, sizeof *j);
	j->job.run = job_run;
	j->job.done = job_done;
	j->owner = t;
	j->path = xstrdup(t->path);
	worker_submit(t->worker, WORKER_NORMAL, &j->job);
}

const char *
token_path(const struct token *t)
{
	return t->path;
}
