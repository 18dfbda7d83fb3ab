/* The one table of keys. What its columns mean is in conf_key.c. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "config/conf_values.h"

#define SOCKET_PATH_MAX (sizeof((struct sockaddr_un *)NULL)->sun_path - 1)

static bool
check_path(char *v, struct buf *why)
{
	if (v[0] != '/')
		buf_puts(why, "must be an absolute path, beginning with /");
	else if (v[strlen(v) - 1] == '/')
		buf_puts(why, "must name a file, not end with /");
	return why->len == 0;
}

static bool
check_dir(char *v, struct buf *why)
{
	size_t len = strlen(v);

	if (v[0] != '/')
		buf_puts(why, "must be an absolute path, beginning with /");
	while (len > 1 && v[len - 1] == '/')
		v[--len] = '\0';
	return why->len == 0;
}

bool
conf_check_socket(char *v, struct buf *why)
{
	if (!check_path(v, why))
		return false;
	if (strlen(v) > SOCKET_PATH_MAX)
		buf_printf(why,
		    "too long for a socket: %zu bytes, at most %zu; choose a shorter path",
		    strlen(v), SOCKET_PATH_MAX);
	return why->len == 0;
}

static bool
check_host_port(char *v, struct buf *why)
{
	struct topo_addr addr;

	if (topo_addr_parse(v, &addr) != 0 || addr.port == 0)
		buf_puts(why, "must be IP:PORT, such as 127.0.0.1:8600 or [::1]:8600");
	return why->len == 0;
}

static bool
check_contact(char *v, struct buf *why)
{
	if (!text_is_printable(v, strlen(v)) || strpbrk(v, "\"'`$\\<>@;") != NULL)
		buf_puts(why, "must be a host and port as they stand in a SIP URI, such as 192.0.2.1:5060");
	return why->len == 0;
}

static bool
check_binrpc(char *v, struct buf *why)
{
	if (strncmp(v, "unix:", 5) == 0 && v[5] != '\0')
		return conf_check_socket(v + 5, why);
	if (strncmp(v, "tcp:", 4) == 0)
		return check_host_port(v + 4, why);
	buf_puts(why, "must be unix:/PATH or tcp:IP:PORT");
	return false;
}

static bool
check_group(char *v, struct buf *why)
{
	static const char allowed[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

	if (strspn(v, allowed) != strlen(v))
		buf_puts(why, "is not the name of a group");
	return why->len == 0;
}

static bool
check_prefix(char *v, struct buf *why)
{
	struct topo_prefix prefix;

	if (topo_prefix_parse(v, &prefix) != 0)
		buf_puts(why, "must be a network prefix, such as 10.0.0.0/8 or fd00::/8");
	return why->len == 0;
}

/* Lower case, no trailing dot. */
bool
conf_check_dns_name(char *v, struct buf *why)
{
	const char *wrong = text_make_dns_name(v);

	if (wrong != NULL)
		buf_puts(why, wrong);
	return wrong == NULL;
}

/* A tag is asked for as "_TAG" in _NAME._TAG.service.DOMAIN, so its label has 62 bytes at most. */
static bool
check_tag(char *v, struct buf *why)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t len = strlen(v);

	if (strcasecmp(v, "tcp") == 0)
		buf_puts(why, "DNS cannot ask for this tag: Consul takes _tcp as the protocol and "
			      "answers with all "
			      "instances; use another tag");
	else if (strchr(v, '.') != NULL)
		buf_puts(why, "DNS cannot ask for a tag with a dot; use another tag");
	else if (len < 1 || len > 62)
		buf_printf(
		    why, "DNS cannot ask for a tag of %zu characters; 1 to 62 are possible", len);
	else if (strspn(v, allowed) != len)
		buf_puts(why, "DNS can ask only for tags of lower-case letters, digits, '-' and "
			      "'_'; use another tag");
	return why->len == 0;
}

static bool
check_section_name(char *v, struct buf *why)
{
	if (!text_is_name(v))
		buf_puts(why,
		    "a name here has lower-case letters, digits, '-' and '_', 1 to 63 of them");
	return why->len == 0;
}

static bool
check_set_id(char *v, struct buf *why)
{
	int64_t id;

	if (text_parse_int(v, 1, INT32_MAX, &id) != 0 || v[0] == '0')
		buf_puts(why, "a dispatcher set's id is a whole number, 1 to 2147483647");
	return why->len == 0;
}

static bool
check_template(char *v, struct buf *why)
{
	static const char *const names[] = { "{address}", "{port}", "{weight}", "{priority}" };
	const char *p = v;
	char q[100];
	size_t i;

	if (!text_is_printable(v, strlen(v))) {
		buf_puts(why, "white space, control characters and letters beyond ASCII cannot "
			      "stand in a dispatcher "
			      "list; remove them");
		return false;
	}
	while ((p = strpbrk(p, "{}")) != NULL) {
		const char *end = strchr(p, '}');
		char *text;

		for (i = 0; i < NELEM(names); i++)
			if (strncmp(p, names[i], strlen(names[i])) == 0)
				break;
		if (i < NELEM(names)) {
			p += strlen(names[i]);
			continue;
		}
		text = xstrndup(p, *p == '}' || end == NULL ? 1 : (size_t)(end - p) + 1);
		buf_printf(why,
		    "unknown placeholder %s; there are {address}, {port}, {weight} and {priority}",
		    conf_quote(text, q));
		free(text);
		return false;
	}
	return true;
}

static bool
check_uri(char *v, struct buf *why)
{
	if (!check_template(v, why))
		return false;
	if (strncasecmp(v, "sip:", 4) != 0 && strncasecmp(v, "sips:", 5) != 0)
		buf_puts(why, "must begin with sip: or sips:");
	else if (strstr(v, "{address}") == NULL)
		buf_puts(why, "needs {address}, the place of the instance's address, as in "
			      "sip:{address}:{port}");
	return why->len == 0;
}

static bool
check_rtp_id(char *v, struct buf *why)
{
	int64_t id;

	if (text_parse_int(v, 0, INT32_MAX, &id) != 0 || (v[0] == '0' && v[1]))
		buf_puts(why, "an rtpengine set's id is a whole number, 0 to 2147483647");
	return why->len == 0;
}

static bool
check_group_id(char *v, struct buf *why)
{
	int64_t id;

	if (text_parse_int(v, 1, INT32_MAX, &id) != 0 || v[0] == '0')
		buf_puts(why, "a group of addresses is a whole number, 1 to 2147483647");
	return why->len == 0;
}

/* c4d asks the nodes itself, over UDP. */
static bool
check_url(char *v, struct buf *why)
{
	if (!check_template(v, why))
		return false;
	if (strncmp(v, "udp:", 4) != 0 && strncmp(v, "udp6:", 5) != 0)
		buf_puts(why, "must begin with udp: (or udp6:), which is how c4d and Kamailio both reach a node");
	else if (strstr(v, "{address}") == NULL || strstr(v, "{port}") == NULL)
		buf_puts(why, "needs {address} and {port}, as in udp:{address}:{port}");
	return why->len == 0;
}

static bool
check_word(char *v, struct buf *why)
{
	if (!text_is_printable(v, strlen(v)) || strchr(v, '#') != NULL)
		buf_puts(why, "must be one word of printable ASCII, without #");
	return why->len == 0;
}

static bool
check_ari_user(char *v, struct buf *why)
{
	if (!text_is_printable(v, strlen(v)) || strchr(v, ':') != NULL)
		buf_puts(why, "must be one word of printable ASCII, without a colon");
	return why->len == 0;
}

static bool
check_flags(char *v, struct buf *why)
{
	int64_t flags;

	if (text_parse_int(v, 0, 63, &flags) != 0)
		return true; /* the range says it */
	if (flags & 4)
		buf_puts(why,
		    "the D bit (4) is c4d's: it takes destinations out of service; leave it out");
	else if (flags & 3)
		buf_puts(why, "the I and T bits (1, 2) are Kamailio's own states; leave them out");
	return why->len == 0;
}

const struct conf_scope conf_scopes[CONF_N_SCOPES] = {
	[SC_ROOT] = { SC_ROOT, "", "", sizeof(struct conf), 0, 0, NULL },
	[SC_SERVICE] = { SC_ROOT, "services", "services.NAME", sizeof(struct conf_service),
	    offsetof(struct conf, services), offsetof(struct conf, n_services),
	    check_section_name },
	[SC_KAMAILIO] = { SC_ROOT, "kamailio", "kamailio.NAME", sizeof(struct conf_kamailio),
	    offsetof(struct conf, kamailios), offsetof(struct conf, n_kamailios),
	    check_section_name },
	[SC_SET] = { SC_KAMAILIO, "dispatcher", "kamailio.NAME.dispatcher.SETID",
	    sizeof(struct conf_set), offsetof(struct conf_kamailio, sets),
	    offsetof(struct conf_kamailio, n_sets), check_set_id },
	[SC_TAG] = { SC_SET, "tag", "kamailio.NAME.dispatcher.SETID.tag.TAG",
	    sizeof(struct conf_set_tag), offsetof(struct conf_set, tags),
	    offsetof(struct conf_set, n_tags), check_tag },
	[SC_RTPENGINE] = { SC_KAMAILIO, "rtpengine", "kamailio.NAME.rtpengine.SETID",
	    sizeof(struct conf_rtpengine), offsetof(struct conf_kamailio, rtpengines),
	    offsetof(struct conf_kamailio, n_rtpengines), check_rtp_id },
	[SC_PERMISSIONS] = { SC_KAMAILIO, "permissions", "kamailio.NAME.permissions.GROUP",
	    sizeof(struct conf_permissions), offsetof(struct conf_kamailio, permissions),
	    offsetof(struct conf_kamailio, n_permissions), check_group_id },
	[SC_REGISTER] = { SC_ROOT, "register", "register.NAME", sizeof(struct conf_register),
	    offsetof(struct conf, registers), offsetof(struct conf, n_registers), check_section_name },
	[SC_CHECK] = { SC_REGISTER, "checks", "register.NAME.checks.CHECK", sizeof(struct conf_check),
	    offsetof(struct conf_register, checks), offsetof(struct conf_register, n_checks), check_section_name },
	[SC_TAGGED] = { SC_REGISTER, "tagged_addresses", "register.NAME.tagged_addresses.KIND",
	    sizeof(struct conf_tagged_address), offsetof(struct conf_register, tagged),
	    offsetof(struct conf_register, n_tagged), check_section_name },
};

#define ROOT(f) SC_ROOT, offsetof(struct conf, f)
#define SERVICE(f) SC_SERVICE, offsetof(struct conf_service, f)
#define KAMAILIO(f) SC_KAMAILIO, offsetof(struct conf_kamailio, f)
#define SET(f) SC_SET, offsetof(struct conf_set, f)
#define RTPENGINE(f) SC_RTPENGINE, offsetof(struct conf_rtpengine, f)
#define PERMISSIONS(f) SC_PERMISSIONS, offsetof(struct conf_permissions, f)
#define TAG(f) SC_TAG, offsetof(struct conf_set_tag, f)
#define REGISTER(f) SC_REGISTER, offsetof(struct conf_register, f)
#define CHECK(f) SC_CHECK, offsetof(struct conf_check, f)
#define TAGGED(f) SC_TAGGED, offsetof(struct conf_tagged_address, f)

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define MIB (INT64_C(1) << 20)
#define PATH_LEN 1024 /* longer ones are a mistake */
#define LIVE true
#define RESTART false

/* where, name, type, form, default, min, max, reload?, check, help */
const struct conf_key conf_keys[] = {
	{ ROOT(state), "state", CT_TEXT, "directory", "/var/lib/c4d", 1, PATH_LEN, RESTART,
	    check_dir, "where the store and its lock live" },
	{ ROOT(store_size), "store_size", CT_SIZE, NULL, "1G", MIB, MIB << 20, RESTART, NULL,
	    "upper limit of the store's file, which is sparse" },
	{ ROOT(history_keep_ms), "history_keep", CT_MS, NULL, "90d", SECOND, 3650 * DAY, RESTART, NULL,
	    "generations older than this are forgotten" },
	{ ROOT(history_max), "history_max", CT_INT, NULL, "10000", 1, 1000000, RESTART, NULL,
	    "at most this many generations are kept" },
	{ ROOT(log), "log", CT_WORD, "error|warning|notice|info|debug", "info", 0, 0, LIVE, NULL,
	    "the least level that is logged" },
	{ ROOT(notify), "notify", CT_TEXT, "path", NULL, 0, PATH_LEN, LIVE, conf_check_notify_path,
	    "a command that reads of each event, such as a service that is held, one line of JSON; see NOTIFY" },
	{ ROOT(notify_timeout_ms), "notify_timeout", CT_MS, NULL, "10s", 100, 10 * MINUTE, LIVE, NULL,
	    "it is ended when it takes longer" },
	{ ROOT(notify_interval_ms), "notify_interval", CT_MS, NULL, "30s", 0, DAY, LIVE, NULL,
	    "of the same service, target or registration at most one event in this time; the next one counts what changed" },
	{ ROOT(notify_rate), "notify_rate", CT_INT, NULL, "30", 1, 6000, LIVE, NULL,
	    "of all of them at most so many a minute; 100 may wait, the rest is dropped and counted" },
	{ ROOT(control_socket), "control.socket", CT_TEXT, "path", "/run/c4d/control.sock", 1,
	    PATH_LEN, RESTART, conf_check_socket, "where c4ctl reaches the daemon" },
	{ ROOT(control_group), "control.group", CT_TEXT, "group", NULL, 0, 32, RESTART, check_group,
	    "group that may use the socket; unset: the daemon's own" },
	{ ROOT(control_admin_group), "control.admin_group", CT_TEXT, "group", "c4d-admin", 0, 32, LIVE, check_group,
	    "who of them may change something, beside root and c4d's user; '': all" },
	{ ROOT(dns), "consul.dns", CT_ADDRS, "IP:PORT", "127.0.0.1:8600", 1, 8, LIVE,
	    check_host_port, "Consul's DNS servers, asked over TCP; the next one when one fails" },
	{ ROOT(http), "consul.http", CT_TEXT, "http[s]://IP:PORT or unix:/PATH", "http://127.0.0.1:8500", 1, PATH_LEN,
	    LIVE, conf_check_consul_url, "Consul's HTTP port" },
	{ ROOT(token_file), "consul.token_file", CT_TEXT, "path", NULL, 0, PATH_LEN, LIVE,
	    check_path, "file that holds the ACL token; read again when it changes" },
	{ ROOT(ca_file), "consul.ca_file", CT_TEXT, "path", NULL, 1, PATH_LEN, LIVE, check_path,
	    "https: who signed the agent's certificate, as PEM; unset: whom the system trusts" },
	{ ROOT(cert_file), "consul.cert_file", CT_TEXT, "path", NULL, 1, PATH_LEN, LIVE, check_path,
	    "https: c4d's own certificate, with key_file" },
	{ ROOT(key_file), "consul.key_file", CT_TEXT, "path", NULL, 1, PATH_LEN, LIVE, check_path,
	    "https: its key" },
	{ ROOT(server_name), "consul.server_name", CT_TEXT, "DNS name or IP", NULL, 1, 253, LIVE,
	    conf_check_server_name, "https: what the agent's certificate must hold; unset: the address in consul.http" },
	{ ROOT(verify), "consul.verify", CT_BOOL, NULL, "true", 0, 0, LIVE, NULL,
	    "https: false: any certificate will do" },
	{ ROOT(events), "consul.events", CT_BOOL, NULL, "false", 0, 0, LIVE, NULL,
	    "each register, deregister and maintenance fires an event at Consul" },
	{ ROOT(stop_timeout_ms), "consul.stop_timeout", CT_MS, NULL, "10s", 100, 10 * MINUTE, LIVE, NULL,
	    "at a stop, Consul has so long to answer" },
	{ ROOT(domain), "consul.domain", CT_TEXT, "DNS name", "consul", 1, 253, LIVE,
	    conf_check_dns_name, "Consul's DNS domain" },
	{ ROOT(wake), "consul.wake", CT_WORD, "dns|index", "dns", 0, 0, LIVE, NULL,
	    "what says that it is time to ask again: the clock, or Consul's index too" },
	{ ROOT(budget), "consul.budget", CT_INT, NULL, "1", 1, 100, LIVE, NULL,
	    "percent of a core that the questions may cost the agent" },
	{ ROOT(dns_timeout_ms), "consul.timeout", CT_MS, NULL, "2s", 50, MINUTE, LIVE, NULL,
	    "a question without an answer for so long has failed" },

	{ ROOT(listen), "http.listen", CT_ADDRS, "IP:PORT", "127.0.0.1:9600", 0, 8, LIVE, conf_check_listen,
	    "where c4d's HTTP server listens, also {ip:INTERFACE}:PORT; []: nowhere" },
	{ ROOT(ari_url), "ari.url", CT_TEXT, "http[s]://IP:PORT/PREFIX", NULL, 1, PATH_LEN, LIVE, conf_check_ari_url,
	    "Asterisk's ARI, which knows its endpoint id; needed with eid: asterisk" },
	{ ROOT(ari_user), "ari.user", CT_TEXT, "text", NULL, 1, 128, LIVE, check_ari_user,
	    "who asks there" },
	{ ROOT(ari_password_file), "ari.password_file", CT_TEXT, "path", NULL, 1, PATH_LEN, LIVE, check_path,
	    "file that holds the password; read again when it changes" },

	{ ROOT(routing_file), "routing.file", CT_TEXT, "path", NULL, 1, PATH_LEN, LIVE, check_path,
	    "the routing data, a JSON document; read again when it changes" },
	{ ROOT(routing_kv), "routing.kv", CT_TEXT, "key or prefix", NULL, 1, 512, LIVE, conf_check_kv,
	    "or the document at Consul's KV, or one key per object below a prefix: PREFIX/dids/7" },
	{ ROOT(routing_api), "routing.api", CT_BOOL, NULL, "false", 0, 0, LIVE, NULL,
	    "the REST interface to the routing data at /1.0/" },
	{ ROOT(routing_token_file), "routing.token_file", CT_TEXT, "path", NULL, 1, PATH_LEN, LIVE, check_path,
	    "file that holds the REST interface's X-Auth-Token; read again when it changes" },
	{ ROOT(routing_auth_url), "routing.auth_url", CT_TEXT, "http[s]://IP:PORT/PREFIX", NULL, 1, PATH_LEN, LIVE,
	    conf_check_auth_url, "or the wazo-auth service that knows such tokens and their tenants" },
	{ ROOT(routing_clients), "routing.clients", CT_LIST, "prefix", "127.0.0.0/8,::1/128", 0, 64, LIVE, check_prefix,
	    "whose routing, authentication and CDR requests are answered" },
	{ ROOT(fr_timer_ms), "routing.fr_timer", CT_MS, NULL, "5s", 100, 10 * MINUTE, LIVE, NULL,
	    "of each route: so long Kamailio waits for any answer" },
	{ ROOT(fr_inv_timer_ms), "routing.fr_inv_timer", CT_MS, NULL, "30s", SECOND, HOUR, LIVE, NULL,
	    "of each route: so long it waits for the final one" },
	{ ROOT(cdr_keep_ms), "routing.cdr.keep", CT_MS, NULL, "90d", MINUTE, 3650 * DAY, LIVE, NULL,
	    "CDRs older than this are forgotten" },
	{ ROOT(cdr_max), "routing.cdr.max", CT_INT, NULL, "1000000", 1, 100000000, LIVE, NULL,
	    "at most this many CDRs are kept" },
	{ ROOT(cdr_forward), "routing.cdr.forward", CT_TEXT, "http[s]://IP:PORT/PATH", NULL, 1, PATH_LEN, LIVE,
	    conf_check_forward_url, "each CDR is posted there too, until it is taken" },
	{ SERVICE(names), "names", CT_LIST, "SRV name", NULL, 1, CONF_NAMES_MAX, LIVE,
	    conf_check_dns_name, "names whose instances are united; unset: NAME.service.DOMAIN" },
	{ SERVICE(tags), "tags", CT_LIST, "tag", NULL, 0, CONF_TAGS_MAX, LIVE, check_tag,
	    "tags to ask for, beside those that dispatcher sets use" },
	{ SERVICE(interval_ms), "interval", CT_MS, NULL, "1s", 50, HOUR, LIVE, NULL,
	    "least time between two rounds of questions" },
	{ SERVICE(min_instances), "min_instances", CT_INT, NULL, "1", 0, 10000, LIVE, NULL,
	    "fewer never stay active: the last set is held instead" },
	{ SERVICE(max_instances), "max_instances", CT_INT, NULL, "1024", 1, 100000, LIVE, NULL,
	    "more are not accepted" },
	{ SERVICE(max_shrink), "max_shrink", CT_INT, NULL, "50", 0, 100, LIVE, NULL,
	    "percent that may go at once; a greater loss is held" },
	{ SERVICE(shrink_window_ms), "shrink_window", CT_MS, NULL, "5m", 0, DAY, LIVE, NULL,
	    "the loss is measured against the most active in this time" },
	{ SERVICE(shrink_hold_ms), "shrink_hold", CT_MS, NULL, "60s", 0, DAY, LIVE, NULL,
	    "a held loss is accepted after this" },
	{ SERVICE(empty_rounds), "empty_rounds", CT_INT, NULL, "3", 1, 1000, LIVE, NULL,
	    "rounds that must prove absence before an empty answer counts" },
	{ SERVICE(empty_hold_ms), "empty_hold", CT_MS, NULL, "120s", 0, DAY, LIVE, NULL,
	    "for how long they must prove it" },
	{ SERVICE(remove_hold_ms), "remove_hold", CT_MS, NULL, "10m", 0, DAY, LIVE, NULL,
	    "disabled this long before it is removed" },
	{ SERVICE(drain_tag), "drain_tag", CT_TEXT, "tag", NULL, 0, 62, LIVE, check_tag,
	    "instances with this tag are drained: no new calls" },
	{ SERVICE(flap_suppress), "flap_suppress", CT_INT, NULL, "2000", 0, 20000, LIVE, NULL,
	    "kept out at this penalty; each going costs 1000; 0: never" },
	{ SERVICE(flap_reuse), "flap_reuse", CT_INT, NULL, "750", 1, 20000, LIVE, NULL,
	    "in again when the penalty has decayed below this" },
	{ SERVICE(flap_half_life_ms), "flap_half_life", CT_MS, NULL, "5m", SECOND, DAY, LIVE, NULL,
	    "in which the penalty halves" },
	{ SERVICE(flap_max_ms), "flap_max", CT_MS, NULL, "30m", SECOND, DAY, LIVE, NULL,
	    "kept out at most this long after the last going" },
	{ SERVICE(networks), "networks", CT_LIST, "prefix", NULL, 0, 64, LIVE, check_prefix,
	    "instances outside of these are not accepted; unset: any" },

	{ KAMAILIO(binrpc), "binrpc", CT_TEXT, "unix:/PATH or tcp:IP:PORT",
	    "unix:/run/kamailio/kamailio_ctl", 1, PATH_LEN, LIVE, check_binrpc,
	    "the control socket of Kamailio's ctl module" },
	{ KAMAILIO(list_file), "list_file", CT_TEXT, "path", NULL, 1, PATH_LEN, LIVE, check_path,
	    "the dispatcher module's list file; needed when there are sets" },
	{ KAMAILIO(tables), "tables", CT_TEXT, "directory", NULL, 1, PATH_LEN, LIVE, check_dir,
	    "the db_text tables; needed with rtpengine or domain" },
	{ KAMAILIO(address_file), "address_file", CT_TEXT, "path", NULL, 1, PATH_LEN, LIVE, check_path,
	    "the permissions module's address_file; needed with permissions" },
	{ KAMAILIO(strategy), "strategy", CT_WORD, "reload|incremental", "reload", 0, 0, LIVE, NULL,
	    "how new and removed destinations are brought in" },
	{ KAMAILIO(reload_delta_ms), "reload_delta", CT_MS, NULL, "5s", SECOND, 10 * MINUTE, LIVE,
	    NULL, "the dispatcher module's reload_delta: one reload in this time" },
	{ KAMAILIO(timeout_ms), "timeout", CT_MS, NULL, "2s", 50, MINUTE, LIVE, NULL,
	    "an RPC not answered in this time means a new connection" },
	{ KAMAILIO(poll_ms), "poll", CT_MS, NULL, "2s", 100, HOUR, LIVE, NULL,
	    "read back at least this often" },
	{ KAMAILIO(probing), "probing", CT_BOOL, NULL, "true", 0, 0, LIVE, NULL,
	    "Kamailio pings its destinations; false: never written as inactive" },
	{ KAMAILIO(permissions_delta_ms), "permissions_delta", CT_MS, NULL, "5s", SECOND, 10 * MINUTE,
	    LIVE, NULL, "the permissions module's reload_delta" },
	{ KAMAILIO(domain_services), "domain.services", CT_LIST, "service", NULL, 0, 64, LIVE,
	    check_section_name, "whose addresses are domains" },
	{ KAMAILIO(domain_names), "domain.names", CT_LIST, "DNS name", NULL, 0, 10000, LIVE,
	    conf_check_dns_name, "further domains" },
	{ KAMAILIO(domain_kv), "domain.kv", CT_TEXT, "prefix", NULL, 1, 512, LIVE, conf_check_kv,
	    "prefix at Consul's KV: its keys' last parts, and the words of their values, are domains too" },
	{ KAMAILIO(domain_routing), "domain.routing", CT_BOOL, NULL, "false", 0, 0, LIVE, NULL,
	    "the domains of the routing data are domains too" },
	{ KAMAILIO(domain_exclusive), "domain.exclusive", CT_BOOL, NULL, "true", 0, 0, LIVE, NULL,
	    "the whole table is c4d's; false: others' rows stay" },
	{ KAMAILIO(uacreg), "uacreg.enabled", CT_BOOL, NULL, "false", 0, 0, LIVE, NULL,
	    "the carrier trunks of the routing data that register are registered by this Kamailio" },
	{ KAMAILIO(uacreg_contact), "uacreg.contact_addr", CT_TEXT, "HOST[:PORT]", NULL, 1, 128, LIVE, check_contact,
	    "their contact_addr; unset: the uac module's reg_contact_addr" },
	{ KAMAILIO(uacreg_exclusive), "uacreg.exclusive", CT_BOOL, NULL, "true", 0, 0, LIVE, NULL,
	    "the whole table is c4d's; false: others' rows stay" },

	{ SET(service), "service", CT_TEXT, "service", NULL, 1, 63, LIVE, check_section_name,
	    "whose instances; needed" },
	{ SET(uri), "uri", CT_TEXT, "template", "sip:{address}:{port}", 1, 256, LIVE, check_uri,
	    "a destination; IPv6 addresses are put in brackets" },
	{ SET(flags), "flags", CT_INT, NULL, "0", 0, 63, LIVE, check_flags,
	    "the list file's flags: 8 probing, 16 no DNS, 32 no pings" },
	{ SET(priority), "priority", CT_INT, NULL, "0", 0, 65535, LIVE, NULL,
	    "the list file's priority; the highest goes first" },
	{ SET(attrs), "attrs", CT_TEXT, "template", NULL, 0, 512, LIVE, check_template,
	    "attributes, of {address}, {port}, {weight} and {priority} too" },
	{ SET(exclusive), "exclusive", CT_BOOL, NULL, "true", 0, 0, LIVE, NULL,
	    "the whole set is c4d's; false: only the lines that c4d wrote" },

	{ RTPENGINE(service), "service", CT_TEXT, "service", NULL, 1, 63, LIVE, check_section_name,
	    "whose instances; needed" },
	{ RTPENGINE(url), "url", CT_TEXT, "template", "udp:{address}:{port}", 1, 256, LIVE, check_url,
	    "a node's NG port; IPv6 addresses are put in brackets" },
	{ RTPENGINE(weight), "weight", CT_INT, NULL, "1", 0, 10000, LIVE, NULL,
	    "share of the calls" },
	{ RTPENGINE(drain_timeout_ms), "drain_timeout", CT_MS, NULL, "1h", 0, 7 * DAY, LIVE, NULL,
	    "so long its sessions may keep a node that leaves" },
	{ RTPENGINE(ping_ms), "ping", CT_MS, NULL, "1s", 100, MINUTE, LIVE, NULL,
	    "c4d asks each node this often" },
	{ RTPENGINE(ping_timeout_ms), "ping_timeout", CT_MS, NULL, "400ms", 50, 900, LIVE, NULL,
	    "a node that has not answered by then is asked once more, then dead" },
	{ RTPENGINE(exclusive), "exclusive", CT_BOOL, NULL, "true", 0, 0, LIVE, NULL,
	    "the whole set is c4d's; false: others' rows stay" },

	{ PERMISSIONS(services), "services", CT_LIST, "service", NULL, 0, 64, LIVE, check_section_name,
	    "whose addresses are in this group" },
	{ PERMISSIONS(networks), "networks", CT_LIST, "prefix", NULL, 0, 1000, LIVE, check_prefix,
	    "further addresses and networks" },
	{ PERMISSIONS(tag), "tag", CT_TEXT, "word", NULL, 0, 64, LIVE, check_word,
	    "the tag column" },
	{ PERMISSIONS(exclusive), "exclusive", CT_BOOL, NULL, "true", 0, 0, LIVE, NULL,
	    "the whole group is c4d's; false: others' lines stay" },

	{ TAG(uri), "uri", CT_TEXT, "template", NULL, 1, 256, LIVE, check_uri,
	    "instead of the set's, for instances with this tag" },
	{ TAG(flags), "flags", CT_INT, NULL, NULL, 0, 63, LIVE, check_flags, "likewise" },
	{ TAG(priority), "priority", CT_INT, NULL, NULL, 0, 65535, LIVE, NULL, "likewise" },
	{ TAG(attrs), "attrs", CT_TEXT, "template", NULL, 0, 512, LIVE, check_template,
	    "likewise" },

	{ REGISTER(service), "name", CT_TEXT, "service", NULL, 1, 63, LIVE, conf_check_service_name,
	    "the service's name at Consul; unset: the section's" },
	{ REGISTER(id), "id", CT_TEXT, "template", "{hostname}-{name}", 1, 256, LIVE, conf_check_register_id,
	    "its id, of {hostname}, {name} (the section's), {port} and {eid} too" },
	{ REGISTER(tags), "tags", CT_LIST, "tag", NULL, 0, 64, LIVE, conf_check_register_tag, "its tags" },
	{ REGISTER(address), "address", CT_TEXT, "IP, name or {ip:IFACE}", NULL, 1, 253, LIVE, conf_check_address,
	    "an IP address, {ip:INTERFACE}, {ip6:INTERFACE} or a host name; unset: the Consul agent's own" },
	{ REGISTER(port), "port", CT_INT, NULL, "0", 0, 65535, LIVE, NULL, "its port; 0: none" },
	{ REGISTER(meta), "meta", CT_PAIRS, "keys and texts", NULL, 0, 56, LIVE, conf_check_meta_value,
	    "its meta; {address}, {port}, {id}, {name}, {eid} and {hostname} are filled in" },
	{ REGISTER(dispatcher), "dispatcher", CT_PAIRS, "keys and texts", NULL, 0, 5, LIVE, conf_check_dispatcher_value,
	    "meta for dispatchers elsewhere: group, priority, weight, max_calls, flags" },
	{ REGISTER(weight), "weight", CT_INT, NULL, "1", 1, 65535, LIVE, NULL,
	    "its share of the calls, in DNS too, while its checks pass" },
	{ REGISTER(weight_warning), "weight_warning", CT_INT, NULL, "1", 0, 65535, LIVE, NULL,
	    "likewise, while one of them warns" },
	{ REGISTER(enable_tag_override), "enable_tag_override", CT_BOOL, NULL, "false", 0, 0, LIVE, NULL,
	    "others may change its tags at Consul" },
	{ REGISTER(eid), "eid", CT_TEXT, "machine, asterisk or id", "machine", 1, 127, LIVE, conf_check_eid,
	    "its endpoint id: of this machine, of the Asterisk at ari.url, or the id itself" },
	{ REGISTER(when), "when", CT_WORD, "healthy|now", "healthy", 0, 0, LIVE, NULL,
	    "when it is registered: healthy: when each check that c4d makes has passed once" },
	{ REGISTER(on_stop), "on_stop", CT_WORD, "deregister|maintenance|keep", "deregister", 0, 0, LIVE, NULL,
	    "what becomes of it when c4d stops" },
	{ REGISTER(drain_ms), "drain", CT_MS, NULL, "0s", 0, HOUR, LIVE, NULL,
	    "so long in maintenance before it is deregistered at a stop" },
	{ REGISTER(verify_dns), "verify_dns", CT_BOOL, NULL, "true", 0, 0, LIVE, NULL,
	    "say so when the agent has it and DNS does not" },

	{ TAGGED(address), "address", CT_TEXT, "IP, name or {ip:IFACE}", NULL, 1, 253, LIVE, conf_check_address,
	    "as the registration's; needed" },
	{ TAGGED(port), "port", CT_INT, NULL, "0", 0, 65535, LIVE, NULL, "0: the registration's" },

	{ CHECK(type), "type", CT_WORD, "http|https|tcp|ttl|eid|sip|binrpc|ng|exec", NULL, 0, 0, LIVE, NULL,
	    "http, https, tcp and eid are made by Consul, sip, binrpc, ng and exec by c4d; needed" },
	{ CHECK(url), "url", CT_TEXT, "template", NULL, 1, PATH_LEN, LIVE, conf_check_check_url,
	    "http, https: what is asked; eid: unset: c4d's own HTTP server" },
	{ CHECK(method), "method", CT_TEXT, "HTTP method", NULL, 1, 16, LIVE, conf_check_method,
	    "http, https: unset: GET" },
	{ CHECK(headers), "headers", CT_SECRETS, "headers and texts", NULL, 0, 16, LIVE, conf_check_header_value,
	    "http, https: further headers; not shown by show config" },
	{ CHECK(tls_skip_verify), "tls_skip_verify", CT_BOOL, NULL, "false", 0, 0, LIVE, NULL,
	    "https: any certificate will do" },
	{ CHECK(uri), "uri", CT_TEXT, "template", NULL, 1, 200, LIVE, conf_check_sip_uri,
	    "sip: who is asked by OPTIONS; unset: sip:{address}:{port}" },
	{ CHECK(to), "to", CT_TEXT, "template", NULL, 1, 256, LIVE, conf_check_to,
	    "tcp, ng: unset: {address}:{port}; binrpc: unix:/PATH, tcp:IP:PORT or a section of kamailio" },
	{ CHECK(command), "command", CT_ARGS, "word", NULL, 1, 64, LIVE, conf_check_argument,
	    "exec: the program, by an absolute path, and its arguments; no shell" },
	{ CHECK(interval_ms), "interval", CT_MS, NULL, "10s", 100, HOUR, LIVE, NULL, "how often" },
	{ CHECK(timeout_ms), "timeout", CT_MS, NULL, "1s", 50, HOUR, LIVE, NULL,
	    "no answer in this time is a failure; the interval at most" },
	{ CHECK(ttl_ms), "ttl", CT_MS, NULL, NULL, SECOND, DAY, LIVE, NULL,
	    "ttl: whoever makes the check tells Consul at least this often" },
	{ CHECK(failures), "failures", CT_INT, NULL, "1", 1, 100, LIVE, NULL,
	    "sip, binrpc, ng, exec: so many in a row make it critical" },
	{ CHECK(status), "status", CT_WORD, "critical|warning|passing", NULL, 0, 0, LIVE, NULL,
	    "http, https, tcp, ttl, eid: before the first result; unset: critical" },
	{ CHECK(deregister_after_ms), "deregister_critical_after", CT_MS, NULL, "0s", 0, 30 * DAY, LIVE, NULL,
	    "critical for so long, it is deregistered by Consul; 0s: never; less than 1m is taken as 1m" },
};
const size_t conf_n_keys = NELEM(conf_keys);

