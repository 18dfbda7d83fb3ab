#include "kamailio/hint.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "kamailio/dslist.h"

/* ctl's own texts, and the modules' for a member that had no room any more; alike in 5.6 and 6.0. */
static const struct {
	const char *reason;
	const char *hint;
} rows[] = {
	{ "Internal error", "more than 1024 destinations in a set need "
			    "modparam(\"ctl\", \"binrpc_struct_max_body_size\", 128)" },
	{ "No address table", "modparam(\"permissions\", \"address_file\", ...) is not set" },
	{ "(overflow)", "the reply is too long: modparam(\"ctl\", \"binrpc_max_body_size\", 512)" },
};

void
hint_fault(const char *method, const char *reason, char out[HINT_BYTES])
{
	size_t i;

	out[0] = '\0';
	for (i = 0; i < NELEM(rows); i++)
		if (strstr(reason, rows[i].reason) != NULL) {
			snprintf(out, HINT_BYTES, " (%s)", rows[i].hint);
			return;
		}
	if (strncmp(reason, "command ", 8) == 0 && strstr(reason, " not found") != NULL)
		snprintf(out, HINT_BYTES, " (is %.*s.so loaded?)", (int)strcspn(method, "."), method);
}

const char *
hint_flags(const char *version, unsigned flags)
{
	int major = 0;

	/* The maintainers' fix of flag 16 being lost by pings; 5.6 pings all and does not know 32. */
	if (sscanf(version, "kamailio %d.", &major) != 1 || major < 6 || !(flags & (DS_NODNS | DS_NOPING)))
		return NULL;
	return "Kamailio 6 never pings a destination that has flag 16 or 32, so a dead one goes on taking calls: "
	       "set flags: 0 (an address needs no DNS), or probing: false where nothing shall be pinged";
}
