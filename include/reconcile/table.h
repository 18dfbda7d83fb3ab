/*
 * table: keeps one of a Kamailio's tables equal to the snapshot: rtpengine's nodes and domains (db_text), trusted
 * addresses (permissions' address_file), carrier registrations (uacreg). The file is the truth, the reload the trigger, what is read back the proof.
 * One loop, single flight; the newest state wins when a window opens. What somebody wrote to the file since it was read is
 * read before it is written over.
 *
 * A set whose service never had an instance is not touched; a domain table or a group of which one service never had
 * one only grows. What c4d did not bring itself (in this run), in the file or in Kamailio, stays for the longest remove_hold
 * of its services, counted while their names prove something, then goes; where `exclusive` is false, it stays for good.
 *
 * rtpengine: c4d asks every node by NG ping. A node that does not answer is written disabled=1, one that never answered
 * gets no row before it does, and before a reload every enabled row has answered within a second. In and out is
 * rtpengine.enable, at once, but the last one in use waits until others are in; rows that come and go are the reload in
 * Kamailio's window of 10 s. A node that dies sleeps in Kamailio (TABLE_SLEEP) until its calls are over for sure, five minutes,
 * and is disabled for good then. A node that left the topology keeps its row, disabled, until it carries no session (NG list),
 * has been dead for as long, or drain_timeout or the operator's time limit is over. When no node of a set answers, the set stays as it is:
 * Kamailio's own pings sort it out; only when other sets need a reload, what is dead for sure is written disabled.
 */
#ifndef RECONCILE_TABLE_H
#define RECONCILE_TABLE_H

#include "reconcile/kamhost.h"
#include "reconcile/table_plan.h"
#include "rtpengine/nodes.h"

struct table;
struct table_kind;

struct table *table_new(const struct target_deps *, struct kamhost *, const struct table_kind *);
struct target *table_target(struct table *);

/* For showing. */
struct table_show {
	const char *target;             /* "sbc/rtpengine/0" */
	const struct table_row *row;    /* desired, or what Kamailio has besides */
	bool desired;
	const struct table_row *actual; /* as read back; NULL: not there */
	bool was_read;
	bool unproven;                  /* rtpengine: it never answered, so it has no row yet */
	bool wanted;                    /* by the topology it shall be in use, whether it answers or not */
	const struct node_view *node;   /* NULL: not watched */
};
typedef void table_show_cb(void *arg, const struct table_show *); /* all is lent for the call */
void table_show(const struct table *, table_show_cb *, void *arg);

#endif
