/*
 * uacreg: the carrier trunks that register, as rows of Kamailio's uacreg table (its module uac). Pure.
 *
 * What Kamailio makes of a row (measured, 5.6 and 6.0): REGISTER sip:r_domain, To and From <sip:r_username@r_domain>, Contact
 * <sip:l_uuid@contact_addr> (the module's reg_contact_addr where that is null), sent to auth_proxy, again with auth_username and
 * auth_password when it is challenged (for the realm given, or any when it is null). flags 16: it needs no delay at its start.
 */
#ifndef ROUTING_UACREG_H
#define ROUTING_UACREG_H

#include "base/text.h"
#include "routing/data.h"

#define UACREG_ANSWER_MAX 8191 /* bytes of the endpoint's answer that an unmodified router configuration can take */

/* The columns in the order of the table; those of version 4 lack contact_addr. */
enum uacreg_col {
	UACREG_ID, UACREG_L_UUID, UACREG_L_USERNAME, UACREG_L_DOMAIN, UACREG_R_USERNAME, UACREG_R_DOMAIN, UACREG_REALM,
	UACREG_AUTH_USERNAME, UACREG_AUTH_PASSWORD, UACREG_AUTH_HA1, UACREG_AUTH_PROXY, UACREG_EXPIRES, UACREG_FLAGS, UACREG_REG_DELAY,
	UACREG_CONTACT, UACREG_SOCKET, UACREG_COLS
};
struct uacreg_column {
	const char *name;
	const char *type; /* as in a db_text header: "(string,null)" where a field may be empty */
};
extern const struct uacreg_column uacreg_columns[UACREG_COLS];

/* A row. NULL: null. UACREG_ID stays NULL: whoever writes a table counts. */
struct uacreg_row {
	char *v[UACREG_COLS];
};
void uacreg_row_clear(struct uacreg_row *);

/* The table version that a Kamailio wants: contact_addr, and 5 with it, came with Kamailio 5.5. */
int uacreg_version(int major, int minor);
/* "id(int,auto) l_uuid(string) ...", without a newline. Of version 4 or 5. */
void uacreg_header(int version, struct buf *out);

bool uacreg_registers(const struct rt_row *trunk);
/*
 * Such a trunk's row; contact_addr may be NULL. -EINVAL: it can't register as it is, and `why` names it and says what to do. Never
 * with its password.
 */
MUST_USE int uacreg_row_of(const struct rt_row *trunk, const char *contact_addr, struct uacreg_row *out, struct buf *why);

/*
 * All of them, by id, as the JSON answer of the endpoint: {"content": TABLE}. The asking Kamailio hands the table to a shell, as root, between
 * double quotes: so -EINVAL also for a trunk with '"', '$', '`' or '\' in what it needs; -E2BIG when the answer is longer than
 * UACREG_ANSWER_MAX. `why` says it then; `out` is only written on success.
 */
MUST_USE int uacreg_answer(const struct rt_data *, int version, const char *contact_addr, struct buf *out, struct buf *why);

#endif
