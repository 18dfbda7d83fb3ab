#include "routing/uacreg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kamailio/dbtext.h"
#include "routing/password.h"
#include "routing/uri.h"

#define FLAGS "16" /* UAC_REG_INIT of uac_reg.c: it may register at once */

const struct uacreg_column uacreg_columns[UACREG_COLS] = {
	[UACREG_ID] = { "id", "(int,auto)" },
	[UACREG_L_UUID] = { "l_uuid", "(string)" },
	[UACREG_L_USERNAME] = { "l_username", "(string)" },
	[UACREG_L_DOMAIN] = { "l_domain", "(string,null)" },
	[UACREG_R_USERNAME] = { "r_username", "(string)" },
	[UACREG_R_DOMAIN] = { "r_domain", "(string)" },
	[UACREG_REALM] = { "realm", "(string,null)" },
	[UACREG_AUTH_USERNAME] = { "auth_username", "(string,null)" },
	[UACREG_AUTH_PASSWORD] = { "auth_password", "(string,null)" },
	[UACREG_AUTH_HA1] = { "auth_ha1", "(string,null)" },
	[UACREG_AUTH_PROXY] = { "auth_proxy", "(string,null)" },
	[UACREG_EXPIRES] = { "expires", "(int)" },
	[UACREG_FLAGS] = { "flags", "(int)" },
	[UACREG_REG_DELAY] = { "reg_delay", "(int)" },
	[UACREG_CONTACT] = { "contact_addr", "(string,null)" },
	[UACREG_SOCKET] = { "socket", "(string,null)" },
};

int
uacreg_version(int major, int minor)
{
	return major > 5 || (major == 5 && minor >= 5) ? 5 : 4;
}

static bool
is_of(int version, size_t col)
{
	return version >= 5 || col != UACREG_CONTACT;
}

void
uacreg_header(int version, struct buf *out)
{
	size_t i;

	for (i = 0; i < UACREG_COLS; i++)
		if (is_of(version, i))
			buf_printf(out, "%s%s%s", i > 0 ? " " : "", uacreg_columns[i].name, uacreg_columns[i].type);
	buf_puts(out, " ");
}

void
uacreg_row_clear(struct uacreg_row *row)
{
	size_t i;

	for (i = 0; i < UACREG_COLS; i++)
		free(row->v[i]);
	memset(row, 0, sizeof *row);
}

bool
uacreg_registers(const struct rt_row *trunk)
{
	return trunk->v[TRUNK_REGISTERED].i == 1;
}

/* ---- a trunk's row ---- */

static const char *
text_of(const struct rt_row *trunk, int col)
{
	const char *s = trunk->v[col].s;

	return s != NULL && s[0] != '\0' ? s : NULL;
}

/* A host as it stands in a SIP URI. */
static char *
bracketed(const char *host)
{
	return host[0] != '[' && strchr(host, ':') != NULL ? xasprintf("[%s]", host) : xstrdup(host);
}

/* What stands before the port and the parameters of "reg.example:5060;transport=tcp". */
static size_t
host_len(const char *place)
{
	size_t bracket = place[0] == '[' ? strcspn(place, "]") : 0;

	return bracket + strcspn(place + bracket, ":;");
}

static bool
is_port(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n > 0 && n <= 5 && (s[n] == '\0' || s[n] == ';') && atoi(s) >= 1 && atoi(s) <= 65535;
}

/* Where REGISTER goes: without its scheme, which is sip. NULL: `why` says. */
static char *
registrar_of(const struct rt_row *trunk, struct buf *why)
{
	const char *registrar = text_of(trunk, TRUNK_REGISTRAR), *proxy = text_of(trunk, TRUNK_PROXY);
	char *place, *host;
	size_t len;

	if (registrar == NULL && strncmp(proxy, "service:", 8) == 0) {
		buf_printf(why, "its sip_proxy is %s, which is no place to register at: give it a registrar_proxy", proxy);
		return NULL;
	}
	if (registrar == NULL) {
		host = bracketed(proxy);
		place = xasprintf("%s:%lld", host, (long long)trunk->v[TRUNK_PROXY_PORT].i);
		free(host);
		return place;
	}
	if (strncasecmp(registrar, "sip:", 4) == 0)
		registrar += 4;
	place = rt_uri_is_host(registrar, strlen(registrar)) ? xstrdup(registrar) : bracketed(registrar);
	if (rt_uri_is_host(place, strlen(place)))
		return place;
	free(place);
	len = host_len(registrar);
	if (rt_uri_is_host(registrar, len) && (registrar[len] != ':' || is_port(registrar + len + 1)))
		return xstrdup(registrar);
	buf_puts(why, "its registrar_proxy is no HOST[:PORT]");
	return NULL;
}

/* Whose account it is: from_domain, else the realm if that is a domain, else the registrar's host. */
static char *
domain_of(const struct rt_row *trunk, const char *registrar)
{
	const char *domain = text_of(trunk, TRUNK_FROM_DOMAIN), *realm = text_of(trunk, TRUNK_REALM);

	if (domain != NULL)
		return bracketed(domain);
	if (realm != NULL && rt_uri_is_host(realm, strlen(realm)))
		return xstrdup(realm);
	return xstrndup(registrar, host_len(registrar));
}

/* NULL: nothing. */
static const char *
lacks(const struct rt_row *trunk)
{
	const char *password = text_of(trunk, TRUNK_PASSWORD);

	if (text_of(trunk, TRUNK_USERNAME) == NULL)
		return "it has no auth_username: give it one, or set registered to false";
	if (password == NULL)
		return "it has no auth_password: give it one, or set registered to false";
	if (password_is_hash(password))
		return "its auth_password is stored as a hash, which answers no challenge: store it as plain text";
	return NULL;
}

static void
name_trunk(const struct rt_row *trunk, struct buf *why)
{
	buf_printf(why, "carrier trunk %lld (%s) can't register: ", (long long)rt_row_id(trunk), trunk->v[TRUNK_NAME].s);
}

/* Kamailio's lines are its rows. */
static bool
has_control(const struct uacreg_row *row)
{
	const char *p;
	size_t i;

	for (i = 0; i < UACREG_COLS; i++)
		for (p = row->v[i]; p != NULL && *p != '\0'; p++)
			if ((unsigned char)*p < 0x20 || *p == 0x7f)
				return true;
	return false;
}

int
uacreg_row_of(const struct rt_row *trunk, const char *contact_addr, struct uacreg_row *out, struct buf *why)
{
	const char *lack = lacks(trunk), *user = text_of(trunk, TRUNK_USERNAME);
	struct uacreg_row row = { 0 };
	struct buf text = { 0 };
	char *registrar = lack == NULL ? registrar_of(trunk, &text) : NULL;

	if (registrar != NULL) {
		row.v[UACREG_L_UUID] = xasprintf("%lld", (long long)rt_row_id(trunk));
		row.v[UACREG_L_USERNAME] = xstrdup(user);
		row.v[UACREG_L_DOMAIN] = domain_of(trunk, registrar);
		row.v[UACREG_R_USERNAME] = xstrdup(user);
		row.v[UACREG_R_DOMAIN] = xstrdup(row.v[UACREG_L_DOMAIN]);
		row.v[UACREG_REALM] = xstrdup(text_of(trunk, TRUNK_REALM));
		row.v[UACREG_AUTH_USERNAME] = xstrdup(user);
		row.v[UACREG_AUTH_PASSWORD] = xstrdup(text_of(trunk, TRUNK_PASSWORD));
		row.v[UACREG_AUTH_PROXY] = xasprintf("sip:%s", registrar);
		row.v[UACREG_EXPIRES] = xasprintf("%lld", (long long)trunk->v[TRUNK_EXPIRE].i);
		row.v[UACREG_FLAGS] = xstrdup(FLAGS);
		row.v[UACREG_REG_DELAY] = xstrdup("0");
		row.v[UACREG_CONTACT] = xstrdup(contact_addr);
		if (has_control(&row))
			lack = "it has control characters";
	}
	free(registrar);
	if (lack == NULL && text.len == 0) {
		*out = row;
		return 0;
	}
	name_trunk(trunk, why);
	buf_puts(why, lack != NULL ? lack : text.s);
	buf_free(&text);
	uacreg_row_clear(&row);
	return -EINVAL;
}

/* ---- the endpoint's answer ---- */

/* The column that a shell would make something of; -1: none. */
static int
unsafe_col(const struct uacreg_row *row)
{
	int i;

	for (i = 0; i < UACREG_COLS; i++)
		if (row->v[i] != NULL && strpbrk(row->v[i], "\"$`\\") != NULL)
			return i;
	return -1;
}

static int
add_trunk(struct dbtext *t, const struct rt_row *trunk, int version, const char *contact_addr, struct buf *why)
{
	const char *cells[UACREG_COLS];
	struct uacreg_row row = { 0 };
	size_t i, n = 0;
	int err, col;

	err = uacreg_row_of(trunk, contact_addr, &row, why);
	if (err != 0)
		return err;
	for (i = 0; i < UACREG_COLS; i++)
		if (is_of(version, i))
			cells[n++] = row.v[i];
	col = unsafe_col(&row);
	err = col >= 0 ? -EINVAL : dbtext_add(t, cells, NULL);
	if (err != 0) {
		name_trunk(trunk, why);
		buf_printf(why, "its %s has \", $, ` or \\, which Kamailio's shell would run: change it, or use c4d's uacreg target "
		    "(kamailio.NAME.uacreg.enabled), which needs no shell", col >= 0 ? uacreg_columns[col].name : "text");
	}
	uacreg_row_clear(&row);
	return err;
}

static int
compose_answer(const struct dbtext *t, struct buf *out)
{
	struct buf table = { 0 };
	json_t *answer = json_object();
	char *text;

	dbtext_compose(t, &table);
	json_object_set_new(answer, "content", json_stringn(table.s, table.len));
	text = json_dumps(answer, JSON_COMPACT);
	json_decref(answer);
	buf_free(&table);
	if (text == NULL)
		return -ENOMEM;
	buf_puts(out, text);
	free(text);
	return 0;
}

int
uacreg_answer(const struct rt_data *data, int version, const char *contact_addr, struct buf *out, struct buf *why)
{
	const struct rt_list *trunks = &data->t[RT_TRUNKS];
	struct buf header = { 0 }, text = { 0 };
	struct dbtext t = { 0 };
	size_t i;
	int err;

	uacreg_header(version, &header);
	err = dbtext_init(&t, header.s);
	for (i = 0; i < trunks->n && err == 0; i++)
		if (uacreg_registers(trunks->v[i]))
			err = add_trunk(&t, trunks->v[i], version, contact_addr, why);
	if (err == 0)
		err = compose_answer(&t, &text);
	if (err == 0 && text.len > UACREG_ANSWER_MAX) {
		buf_printf(why, "%zu carrier trunks register, an answer of %zu bytes, and Kamailio takes %d: use c4d's uacreg target "
		    "(kamailio.NAME.uacreg.enabled) instead, which has no such limit", t.n_rows, text.len, UACREG_ANSWER_MAX);
		err = -E2BIG;
	}
	if (err == 0)
		buf_add(out, text.s, text.len);
	buf_free(&text);
	buf_free(&header);
	dbtext_clear(&t);
	return err;
}
