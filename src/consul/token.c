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
	bool must_read;
	struct file_stamp stamp;  /* known before; then as it is now */
	bool is_same;        /* so it was not read */
	int err;
	char *text;
};

struct token {
	struct worker *worker;
	char *path;
	token_cb *cb;
	void *arg;
	struct job *job;    /* under way */
	struct file_stamp stamp; /* of the file when `text` was read */
	char *text;
};

static void
wipe(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
}

/* What stands in the file may go into a header line: no blank, no control character. */
static int
trim(char *text, size_t len)
{
	while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
		text[--len] = '\0';
	return len > 0 && text_is_printable(text, len) ? 0 : -EINVAL;
}

/* The stamp is taken first: what changes between the two is read again the next time. */
static void
job_run(struct worker_job *wj)
{
	struct job *j = CONTAINER_OF(wj, struct job, job);
	struct file_stamp now;
	size_t len;

	j->err = file_stamp(j->path, &now);
	if (j->err != 0)
		return;
	j->is_same = !j->must_read && file_stamp_same(&now, &j->stamp);
	j->stamp = now;
	if (j->is_same)
		return;
	j->err = file_read(j->path, TOKEN_MAX, &j->text, &len);
	if (j->err == 0)
		j->err = trim(j->text, len);
}

static void
job_free(struct job *j)
{
	wipe(j->text);
	free(j->path);
	free(j);
}

static void
job_done(struct worker_job *wj)
{
	struct job *j = CONTAINER_OF(wj, struct job, job);
	struct token *t = j->owner;
	bool is_new = false;
	int err = j->err;

	if (t == NULL) {
		job_free(j);
		return;
	}
	t->job = NULL;
	if (err != 0 || !j->is_same) {
		is_new = err == 0 && (t->text == NULL || strcmp(t->text, j->text) != 0);
		wipe(t->text);
		t->text = err == 0 ? j->text : NULL;
		if (err == 0)
			j->text = NULL;
		t->stamp = j->stamp;
	}
	job_free(j);
	t->cb(t->arg, err, t->text, is_new);
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
	wipe(t->text);
	free(t->path);
	free(t);
}

void
token_get(struct token *t, bool doubtful)
{
	struct job *j;

	if (t->job != NULL)
		return;
	j = t->job = xcalloc(1, sizeof *j);
	j->job.run = job_run;
	j->job.done = job_done;
	j->owner = t;
	j->path = xstrdup(t->path);
	j->must_read = doubtful || t->text == NULL;
	j->stamp = t->stamp;
	worker_submit(t->worker, WORKER_NORMAL, &j->job);
}

const char *
token_path(const struct token *t)
{
	return t->path;
}

const char *
token_text(const struct token *t)
{
	return t->text;
}
