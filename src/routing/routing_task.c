/*
 * routing_task: documents read, rows changed, all of it checked, compiled and encoded, on the worker's thread: it touches nothing but
 * its task.
 */
#include "routing_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/jsonx.h"

#define INFO_KEY "\xff"
#define INFO_VERSION 1

void
task_message(void *arg, const char *path, const char *text)
{
	struct message_list *m = arg;
	json_t *o;

	if (m->v == NULL)
		m->v = json_array();
	if (m->count++ > MESSAGES_MAX)
		return;
	if (m->count > MESSAGES_MAX) {
		path = "";
		text = "and more: c4ctl routing check FILE lists them";
	}
	o = json_object();
	jsonx_set_text(o, "path", path);
	jsonx_set_text(o, "text", text);
	json_array_append_new(m->v, o);
}

static void
put_info(struct task *t)
{
	struct buf b = { 0 };
	uint8_t head[17] = { INFO_VERSION };
	int i;

	for (i = 0; i < 8; i++) {
		head[1 + i] = (uint8_t)(t->version >> (56 - 8 * i));
		head[9 + i] = (uint8_t)((uint64_t)t->now_ms >> (56 - 8 * i));
	}
	buf_add(&b, head, sizeof head);
	buf_puts(&b, t->who);
	store_batch_put(&t->batch, INFO_KEY, 1, b.s, b.len);
	buf_free(&b);
}

static void
put_row(struct task *t, const struct rt_row *row)
{
	struct buf key = { 0 }, val = { 0 };

	rt_row_encode(row, &key, &val);
	store_batch_put(&t->batch, key.s, key.len, val.s, val.len);
	buf_free(&key);
	buf_free(&val);
}

static void
put_all(struct task *t)
{
	size_t i, k;

	for (i = 0; i < RT_TABLES; i++)
		for (k = 0; k < t->fresh->t[i].n; k++) {
			put_row(t, t->fresh->t[i].v[k]);
			worker_breathe();
		}
	t->replace = true;
}

/* A source that holds nothing is an outage of that source, not a wish. */
static void
refuse_empty(struct task *t)
{
	if (t->fresh == NULL || (t->kind != K_FILE && t->kind != K_KV) || t->base == NULL || rt_data_count(t->base) == 0 ||
	    rt_data_count(t->fresh) > 0)
		return;
	task_message(&t->messages, "", "it holds not a single row; the data that is there stays. To really empty it, take routing.file and "
	    "routing.kv out of the configuration, then: c4ctl routing load");
	rt_data_unref(t->fresh);
	t->fresh = NULL;
	t->err = -EINVAL;
}

static void
parse_text(struct task *t)
{
	t->err = rt_document_parse(&t->fresh, t->text, t->len, &t->cdrs, &t->n_cdrs, task_message, &t->messages);
	free(t->text);
	t->text = NULL;
}

/* A pipe or a device would never end, or never begin. */
static int
read_regular(struct task *t)
{
	struct stat st;

	if (stat(t->path, &st) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	return file_read(t->path, RT_DOCUMENT_MAX, &t->text, &t->len);
}

static void
read_file(struct task *t)
{
	struct file_stamp now;
	char text[160];

	t->err = file_stamp(t->path, &now);
	t->same_file = t->err == 0 && file_stamp_same(&now, &t->stamp);
	if (t->same_file && !t->again)
		return;
	t->again = t->same_file;
	t->same_file = false;
	if (t->err == 0)
		t->err = read_regular(t);
	/* Taken first: what changes meanwhile is read again the next time, and so is what could not be read now. */
	t->stamp = t->err == 0 || t->err == -EFBIG ? now : (struct file_stamp){ 0 };
	if (t->err != 0) {
		snprintf(text, sizeof text, "cannot be read: %s", t->err == -EINVAL ? "it is no regular file" : strerror(-t->err));
		task_message(&t->messages, "", text);
		return;
	}
	parse_text(t);
}

/* The key itself holds a document; keys below it one object each. */
static void
parse_pairs(struct task *t)
{
	if (t->n_pairs == 1 && t->pairs[0].key[0] == '\0')
		t->err = rt_document_parse(&t->fresh, t->pairs[0].value, t->pairs[0].len, &t->cdrs, &t->n_cdrs, task_message, &t->messages);
	else
		t->err = rt_document_parse_pairs(&t->fresh, t->pairs, t->n_pairs, task_message, &t->messages);
}

static void
apply_edits(struct task *t)
{
	struct rt_data *data = t->base, *next;
	struct edit *e;
	size_t n = 0;

	for (e = t->edits; e != NULL; e = e->next) {
		e->err = rt_data_edit(&next, data, &e->change, &e->row, &e->refusal);
		if (e->err != 0)
			continue;
		if (data != t->base)
			rt_data_unref(data);
		data = next;
		n++;
		if (e->change.put != NULL) {
			put_row(t, e->row);
		} else {
			struct buf key = { 0 };

			rt_row_encode_key(e->change.table, e->change.id, e->change.uuid, &key);
			store_batch_del(&t->batch, key.s, key.len);
			buf_free(&key);
		}
	}
	t->fresh = n > 0 ? data : NULL;
	if (n > 0)
		t->err = rt_data_compile(t->fresh, task_message, &t->messages);
	if (t->err != 0) {
		rt_data_unref(t->fresh);
		t->fresh = NULL;
	}
}

void
task_take_row(void *arg, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct task *t = arg;
	struct rt_row *row;
	const uint8_t *p = val;
	int i;

	if (klen == 1 && memcmp(key, INFO_KEY, 1) == 0) {
		if (vlen < 17 || p[0] != INFO_VERSION)
			return;
		for (i = 0; i < 8; i++) {
			t->stored_version = t->stored_version << 8 | p[1 + i];
			t->loaded_ms = (int64_t)((uint64_t)t->loaded_ms << 8 | p[9 + i]);
		}
		t->source = xstrndup((const char *)p + 17, vlen - 17);
		return;
	}
	if (rt_row_decode(&row, key, klen, val, vlen) != 0) {
		t->bad_rows++;
		return;
	}
	t->rows = xgrow(t->rows, t->n_rows, &t->cap_rows, sizeof *t->rows);
	t->rows[t->n_rows++] = row;
}

void
task_run(struct worker_job *wj)
{
	struct task *t = CONTAINER_OF(wj, struct task, job);

	switch (t->kind) {
	case K_STORE:
		t->err = rt_data_new(&t->fresh, t->rows, t->n_rows, NULL, task_message, &t->messages);
		t->n_rows = 0;
		return;
	case K_FILE:
		read_file(t);
		break;
	case K_KV:
		parse_pairs(t);
		break;
	case K_TEXT:
		parse_text(t);
		break;
	case K_CHANGES:
		apply_edits(t);
		break;
	}
	refuse_empty(t);
	if (t->fresh == NULL)
		return;
	if (t->kind != K_CHANGES)
		put_all(t);
	put_info(t);
}

/* ---- memory ---- */

void
messages_clear(struct message_list *m)
{
	json_decref(m->v);
	*m = (struct message_list){ 0 };
}

void
edit_free(struct edit *e)
{
	rt_row_unref(e->change.put);
	rt_row_unref(e->row);
	free((char *)e->change.uuid);
	free(e);
}

void
task_free(struct task *t)
{
	size_t i;

	while (t->edits != NULL) {
		struct edit *e = t->edits;

		t->edits = e->next;
		edit_free(e);
	}
	for (i = 0; i < t->n_rows; i++)
		rt_row_unref(t->rows[i]);
	free(t->rows);
	for (i = 0; i < t->n_cdrs; i++)
		rt_row_unref(t->cdrs[i]);
	free(t->cdrs);
	for (i = 0; i < t->n_pairs; i++) {
		free((char *)t->pairs[i].key);
		free((char *)t->pairs[i].value);
	}
	free(t->pairs);
	messages_clear(&t->messages);
	store_batch_free(&t->batch);
	rt_data_unref(t->fresh);
	rt_data_unref(t->base);
	free(t->source);
	free(t->text);
	free(t->path);
	free(t->who);
	free(t);
}
