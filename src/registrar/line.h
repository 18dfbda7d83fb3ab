/*
 * line: one connection to Consul's agent and those who wait for it. Jobs are asked what to send when their turn comes, so
 * that always the newest is said, and a job waits at most once: the queue does not grow.
 *
 * When the agent can't be reached, the job is told so (it may queue itself again, behind the others) and everybody waits:
 * 250 ms, doubling to 5 s. It counts as lost at once when the connection is refused, else with the second failure in a row:
 * an agent may close a connection that was idle, and one slow answer is no outage.
 */
#ifndef REGISTRAR_LINE_H
#define REGISTRAR_LINE_H

#include <sys/queue.h>

#include "base/loop.h"
#include "base/text.h"
#include "consul/http.h"

#define LINE_TIMEOUT_MS 2000

struct line;

struct line_request {
	enum http_method method;
	struct buf path;  /* empty, to be filled */
	const char *body; /* NULL: none; lent until ask() is asked again or the job ends */
	size_t max_body;  /* of the answer; 16 KB unless set */
};

struct line_job { /* embedded in its owner, who drops it before he frees himself */
	TAILQ_ENTRY(line_job) link;
	/* Its turn. False: it is not needed any more (done() does not run). */
	bool (*ask)(void *arg, struct line_request *);
	/* An answer, good or bad; or none, and line_unreachable() says whether that was the line's fault. May free the owner. */
	http_cb *done;
	void *arg;
	bool queued, first; /* the line's */
};

enum line_event {
	LINE_LOST,
	LINE_BACK, /* an answer came after one failure or more: what was said lately may be forgotten */
};
typedef void line_event_cb(void *arg, enum line_event);

void line_new(struct line **out, struct loop *, line_event_cb *, void *arg);
void line_free(struct line *); /* NULL is fine; jobs are dropped silently */
/* Takes the http. What was under way goes first again. */
void line_set_http(struct line *, struct http *);
void line_add(struct line *, struct line_job *);       /* when it waits already: nothing */
void line_add_first(struct line *, struct line_job *); /* before all that were not added so */
void line_drop(struct line *, struct line_job *);      /* its callbacks will not run any more */
bool line_has(const struct line *, const struct line_job *); /* it waits, or is under way */
void line_hurry(struct line *); /* try at once, and at least each second from now on */

bool line_is_lost(const struct line *);
const char *line_why(const struct line *); /* the last failure */
int64_t line_lost_ms(const struct line *); /* since when; monotonic */
uint64_t line_attempts(const struct line *); /* that failed since then */
bool line_unreachable(int err);

#endif
