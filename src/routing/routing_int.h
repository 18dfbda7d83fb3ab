/*
 * routing_int: what routing.c, which lives on the loop, and routing_task.c, which is its work on the worker's thread, share.
 */
#ifndef ROUTING_ROUTING_INT_H
#define ROUTING_ROUTING_INT_H

#include "base/file.h"
#include "routing/routing.h"

#define MESSAGES_MAX 100

enum kind { K_STORE, K_FILE, K_KV, K_TEXT, K_CHANGES };

struct message_list {
	json_t *v;    /* {path,text}, the first MESSAGES_MAX */
	size_t count; /* all of them */
};

/* One row to be changed, and who waits. */
struct edit {
	struct edit *next;
	struct rt_change change; /* its put and uuid are ours */
	routing_change_cb *cb;
	void *arg;
	int err;
	struct rt_row *row;
	struct rt_refusal refusal;
};

/* What the worker does, then the store, then the loop. One at a time; the others wait in order. */
struct task {
	struct worker_job job;
	struct task *next;
	struct routing *r;
	enum kind kind;
	char *who;
	/* in */
	char *text;
	size_t len;
	char *path;
	struct file_stamp stamp;
	struct rt_pair *pairs;
	size_t n_pairs;
	struct edit *edits;
	struct rt_data *base; /* what is served when it began */
	uint64_t version;
	int64_t now_ms;
	routing_done_cb *cb;
	void *arg;
	/* out */
	int err;
	bool same_file;
	bool again; /* in, too: the file that is served is read once more, to be stored */
	struct rt_data *fresh;
	struct rt_row **cdrs;
	size_t n_cdrs;
	struct message_list messages;
	struct store_batch batch;
	bool replace;
	/* of the store: its rows as they are read */
	struct rt_row **rows;
	size_t n_rows, cap_rows, bad_rows;
	char *source;
	uint64_t stored_version;
	int64_t loaded_ms;
};

/* A rt_report_cb into a struct message_list. */
void task_message(void *arg, const char *path, const char *text);
void messages_clear(struct message_list *);

/* On the worker's thread. */
void task_run(struct worker_job *);
/* A store_row_cb: one of the store's rows, at a start. */
void task_take_row(void *arg, const void *key, size_t klen, const void *val, size_t vlen);

void edit_free(struct edit *);
void task_free(struct task *); /* of a large one: on the worker's thread too */

#endif
