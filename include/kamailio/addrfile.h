/*
 * addrfile: the address_file of Kamailio's permissions module (src/modules/permissions/address.c,
 * reload_address_file_table): one "GROUP IP|NAME MASK PORT TAG" per line, from the mask on optional; '#'
 * comments anywhere, lines of at most 1,023 bytes. Pure: text in, text out.
 *
 * Kamailio refuses the whole file for one line that holds nothing but a group, or a mask above
 * 32 (IPv6: 128); without a good file it does not start. It takes for a name what is no address ("10.0.0.0/8"), and
 * says "Reload OK" when it left out subnets beyond the modparam max_subnets (512).
 *
 * c4d's lines stand in one block at the end of the file, between the two marker lines below. Lines of a
 * group that c4d manages are c4d's wherever they stand, also those that Kamailio would refuse. Everything
 * else is foreign and kept byte for byte, in its order.
 */
#ifndef KAMAILIO_ADDRFILE_H
#define KAMAILIO_ADDRFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"
#include "kamailio/block.h"

#define ADDRFILE_LINE_MAX BLOCK_LINE_MAX
#define ADDRFILE_BEGIN BLOCK_BEGIN_PREFIX " these lines are written by c4d (see c4ctl show targets)"
#define ADDRFILE_END BLOCK_END

/* In which of Kamailio's tables an entry lands: permissions.addressDump, subnetDump, domainDump. */
enum addr_kind { ADDR_HOST, ADDR_SUBNET, ADDR_NAME };

struct addr_entry {
	int group;
	char *ip;  /* or a name */
	int mask;  /* bits; parsed: 32 or 128 where the file has none or 0, 0 for a name */
	int port;  /* 0: any */
	char *tag; /* NULL: none */
	bool ours; /* parsed from within the block */
};

struct addr_entries {
	struct addr_entry *v;
	size_t n;
	size_t cap;
};

/* mask 0: the address itself (0.0.0.0/0 can't be said in this file). `ours` is false. */
void addr_entries_add(struct addr_entries *, int group, const char *ip, int mask, int port,
    const char *tag);
void addr_entries_clear(struct addr_entries *);
/* By group, then IPs by number before names, then mask, port and tag. */
void addr_entries_sort(struct addr_entries *);
enum addr_kind addr_entry_kind(const struct addr_entry *);

/* Parses all lines as Kamailio does; those that it would refuse are skipped and counted in *bad (may be NULL). */
void addrfile_parse(const char *text, size_t len, struct addr_entries *out, size_t *bad);
/*
 * The file's new text in `out` (not initialised; never NULL text): foreign lines of `old` as they
 * are, then the block with `ours` (already sorted). Lines of the old block whose group is not in `groups`
 * and comments within it become foreign. No block when there is nothing to put in it and old had none.
 * -EMSGSIZE when a line would exceed ADDRFILE_LINE_MAX, -EINVAL when Kamailio would not read back what
 * was written (neither IP nor host name, blanks or '#' in the tag, mask or port out of range, a negative
 * group) or its group is not in `groups`: *bad_ip names it (points into ours); `out` stays as it was.
 */
MUST_USE int addrfile_compose(const char *old, size_t len, const int *groups, size_t n_groups,
    const struct addr_entries *ours, struct buf *out, const char **bad_ip);

#endif
