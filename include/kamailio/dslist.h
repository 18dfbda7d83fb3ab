/*
 * dslist: Kamailio's dispatcher list file (src/modules/dispatcher/dispatch.c, ds_load_list): one
 * "SETID URI FLAGS PRIORITY ATTRS" per line, '#' comments, lines of at most 1,023 bytes, attributes
 * end at white space. Pure: text in, text out.
 *
 * c4d's lines stand in one block at the end of the file, between the two marker lines below. Of a
 * set that c4d owns as a whole (exclusive) lines anywhere in the file are c4d's; of another managed
 * set only those in the block. Everything else is foreign and kept byte for byte, in its order.
 */
#ifndef KAMAILIO_DSLIST_H
#define KAMAILIO_DSLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "kamailio/block.h"
#include "topology/addr.h"

#define DSLIST_LINE_MAX BLOCK_LINE_MAX
#define DSLIST_BEGIN BLOCK_BEGIN_PREFIX " these lines are written by c4d (see c4ctl show dispatcher)"
#define DSLIST_END BLOCK_END

/* Flag bits, dispatch.h */
enum {
	DS_INACTIVE = 1,
	DS_TRYING = 2,
	DS_DISABLED = 4,
	DS_PROBING = 8,
	DS_NODNS = 16,
	DS_NOPING = 32
};
#define DS_STATE_BITS (DS_INACTIVE | DS_TRYING | DS_DISABLED | DS_PROBING)

struct ds_entry {
	int set;
	unsigned flags;
	int priority;
	bool ours;         /* parsed from within the block */
	const char *uri;   /* texts are the list's: they go with it, not with the entry */
	const char *attrs; /* NULL: none */
};

struct ds_text;

/* A list may be moved by assignment. */
struct ds_entries {
	struct ds_entry *v;
	size_t n;
	size_t cap;
	struct ds_text *text; /* of thousands of entries, in a few pieces */
};

struct ds_set_ref {
	int id;
	bool exclusive;
};

void ds_entries_add(struct ds_entries *, int set, const char *uri, unsigned flags, int priority,
    const char *attrs);
void ds_entries_clear(struct ds_entries *);
/* By set, then priority descending, then the URI's address and port by number, then URI text. */
void ds_entries_sort(struct ds_entries *);

/*
 * Parses all lines as Kamailio does (what has no scheme becomes "sip:..."); those that it would
 * refuse are skipped and counted in *bad (may be NULL).
 */
void dslist_parse(const char *text, size_t len, struct ds_entries *out, size_t *bad);
/*
 * The file's new text in `out` (not initialised; never NULL text): foreign lines of `old` as they
 * are, then the block with `ours` (already sorted). Lines of the old block whose set is not in `sets`
 * and comments within it become foreign. No block when there is nothing to put in it and old had none.
 * -EMSGSIZE when a line would exceed DSLIST_LINE_MAX, -EINVAL when Kamailio would not read back what
 * was written (blanks or '#' in the URI, blanks in attrs, a negative number, neither sip: nor sips:)
 * or its set is not in `sets`: *bad_uri names it (points into ours); `out` stays as it was.
 */
MUST_USE int dslist_compose(const char *old, size_t len, const struct ds_set_ref *sets, size_t n_sets,
    const struct ds_entries *ours, struct buf *out, const char **bad_uri);
/*
 * sip:ADDR:PORT[;...] or sips:, optional user@: the address when the host is an IP, else -EINVAL.
 * Port 5060 (5061 sips) when absent or 0.
 */
MUST_USE int dslist_uri_addr(const char *uri, struct topo_addr *out);

#endif
