/*
 * table_kind: what differs between the tables: the file's format, Kamailio's RPCs, windows. Pure; the format functions run
 * on the worker thread.
 */
#ifndef RECONCILE_TABLE_KIND_H
#define RECONCILE_TABLE_KIND_H

#include "base/text.h"
#include "kamailio/binrpc.h"
#include "reconcile/table_plan.h"

#define TABLE_READS_MAX 4

/* A row that the `version` table must hold; for a companion (header not NULL): its file, made when missing. */
struct table_version {
	const char *table;
	int version;
	const char *header;
};

struct table_read {
	const char *method;
	const char *arg; /* NULL: none */
};

/* What lasts elsewhere when Kamailio forgets a row: it can be told to end it, and to take one row again, both without a window. */
struct table_leave {
	const char *method, *attribute; /* its arguments: the attribute's name, the row's item */
	const char *again;              /* its argument: the item */
	bool (*is_over)(const struct table_row *have);
	bool (*is_busy)(const struct table_row *have); /* a question of Kamailio's about it is on its way */
	bool (*is_elsewhere)(const struct table_row *have, const struct table_row *want); /* what `have` has does not become `want`'s */
};

struct table_kind {
	const char *name;
	const char *file;   /* in `tables`; NULL: address_file itself */
	bool one_row;       /* one target row for all of it */
	struct table_version versions[3];
	int older;          /* of versions[0]: a version that some Kamailios want instead; 0: none */
	table_desire_fn *desire;
	table_service_fn *service;
	/* All rows of the file, sorted; what Kamailio would refuse is counted. -EINVAL: not such a file at all. */
	int (*parse)(const char *text, size_t len, struct table_rows *out, size_t *bad);
	/*
	 * The file with `rows` (sorted) and nothing else in these scopes. What stays, stays as and where it is; other sets' rows
	 * too. -EINVAL: `why` says what can't be written.
	 */
	int (*compose)(const char *old, size_t len, const struct table_scopes *, const struct table_rows *rows, struct buf *out,
	    struct buf *why);
	struct table_read reads[TABLE_READS_MAX];
	/* Adds the rows of one reply. -EBADMSG: it is not one. */
	int (*read)(const struct binrpc_msg *, size_t which, struct table_rows *out);
	/* Before what was read is compared with what is wanted: see table_uacreg_settle(). NULL: it can be compared as it is. */
	void (*settle)(const struct table_rows *carried, struct table_rows *got);
	const char *empty_fault; /* a fault of a read that means "no rows"; NULL: none */
	const char *reload;
	const char *refusal;     /* part of the fault that says "too early"; NULL: there is no window */
	const char *shut;        /* what to look at when it never opens */
	const char *setting;     /* what to look at when a reload is Ok and changes nothing, and when it is refused */
	const char *net_setting; /* and besides, when what is missing is a network; NULL */
	const struct table_leave *leave; /* NULL: nothing lasts elsewhere */
	bool secret;             /* the file holds passwords: it is the owner's and the group's alone */
	bool probed;             /* c4d asks the nodes, and takes them in and out by rtpengine.enable */
	int64_t delta_ms;        /* between two reloads; 0: conf_kamailio.permissions_delta_ms */
	int64_t delta6_ms;       /* of Kamailio 6 and later, where that differs; 0 */
	int64_t refused_ms;      /* after a refusal */
};

extern const struct table_kind table_kind_rtpengine, table_kind_domain, table_kind_permissions, table_kind_uacreg;

#endif
