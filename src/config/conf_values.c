/*
 * What single values of the `register`, `http`, `consul` and `ari` sections must look like: places in texts, hosts with
 * ports, URLs. Of each value by itself; what they must be together is in conf_register.c and conf_consul.c.
 */
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "config/conf_values.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

static const char *const place_names[] = { "{address}", "{port}", "{id}", "{name}", "{eid}", "{hostname}" };
/* Of a registration's id. It is what {id} stands for, and an address may change. */
static const char *const id_place_names[] = { "{port}", "{name}", "{eid}", "{hostname}" };

static void
say_places(const char *const *names, size_t n, struct buf *why)
{
	size_t i;

	for (i = 0; i < n; i++)
		buf_printf(why, "%s%s", i == 0 ? "" : i + 1 == n ? " and " : ", ", names[i]);
}

/* Is there a place {word} at `p`, known or not? Its length; 0: a brace like any other letter. */
static size_t
place_at(const char *p)
{
	size_t len = *p == '{' ? strspn(p + 1, LETTERS DIGITS "_:.-") : 0;

	return len > 0 && p[len + 1] == '}' ? len + 2 : 0;
}

static size_t
known_place(const char *p, const char *const *names, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strncmp(p, names[i], strlen(names[i])) == 0)
			return strlen(names[i]);
	return 0;
}

/* Braces that are no place may stand in a command or in JSON, but in no URL and no id: there they are a slip. */
static bool
check_places(const char *v, const char *const *names, size_t n, bool strict, struct buf *why)
{
	const char *p = v;
	char q[100];

	while ((p = strpbrk(p, "{}")) != NULL) {
		size_t len = known_place(p, names, n), any = place_at(p);
		char *text;

		if (len > 0 || (any == 0 && !strict)) {
			p += len > 0 ? len : 1;
			continue;
		}
		text = xstrndup(p, any > 0 ? any : 1);
		buf_printf(why, "unknown placeholder %s; there are ", conf_quote(text, q));
		say_places(names, n, why);
		free(text);
		return false;
	}
	return true;
}

static bool
is_word(const char *v, struct buf *why)
{
	if (!text_is_printable(v, strlen(v)))
		buf_puts(why, "white space, control characters and letters beyond ASCII cannot stand here; remove them");
	return why->len == 0;
}

static bool
check_word_places(const char *v, struct buf *why)
{
	return is_word(v, why) && check_places(v, place_names, NELEM(place_names), true, why);
}

bool
conf_has_place(const char *text, const char *place)
{
	return text != NULL && strstr(text, place) != NULL;
}

/* ---- hosts and ports ---- */

/* The host of "HOST", "HOST:PORT", "[IPV6]:PORT", "{address}:{port}", up to one of `ends`. */
static size_t
host_len(const char *p, const char *ends)
{
	size_t len;

	if (*p == '[')
		return strchr(p, ']') != NULL ? (size_t)(strchr(p, ']') - p) + 1 : strlen(p);
	for (len = 0; p[len] && p[len] != ':' && strchr(ends, p[len]) == NULL; len++)
		if (p[len] == '{' && strchr(p + len, '}') != NULL) /* {ip:eth0} */
			len = (size_t)(strchr(p + len, '}') - p) - 1;
	return len;
}

static bool
looks_like_ip(const char *host)
{
	return host[strspn(host, DIGITS ".")] == '\0' || strchr(host, ':') != NULL;
}

static bool
check_host(const char *host, struct conf_host *out, struct buf *why)
{
	size_t len = strlen(host);
	char *copy;

	if (strchr(host, '{') != NULL) {
		out->kind = strcmp(host, "{address}") == 0 ? HOST_ADDRESS : HOST_PLACE;
		if (host[0] == '[')
			buf_puts(why, "an IPv6 {address} gets its brackets from c4d; take yours away");
		return why->len == 0;
	}
	if (host[0] == '[') {
		copy = xstrndup(host + 1, len > 2 && host[len - 1] == ']' ? len - 2 : 0);
		out->kind = HOST_IP;
		if (topo_addr_parse_ip(copy, &out->ip) != 0 || out->ip.family != 6)
			buf_puts(why, "in brackets stands an IPv6 address, such as [fd00::1]");
		free(copy);
		return why->len == 0;
	}
	out->kind = HOST_IP;
	if (topo_addr_parse_ip(host, &out->ip) == 0)
		return true;
	out->kind = HOST_NAME;
	if (looks_like_ip(host)) {
		buf_printf(why, "%s is no IP address", len > 0 ? host : "an empty host");
		return false;
	}
	copy = xstrdup(host);
	(void)conf_check_dns_name(copy, why);
	free(copy);
	return why->len == 0;
}

static bool
check_port(const char *port, size_t len, struct conf_host *out, struct buf *why)
{
	char *text = xstrndup(port, len), q[100];
	int64_t n;

	if (strcmp(text, "{port}") == 0)
		out->port_place = true;
	else if (text_parse_int(text, 1, 65535, &n) == 0)
		out->port = (uint16_t)n;
	else
		buf_printf(why, "port '%s': must be 1 to 65535, or {port}", conf_quote(text, q));
	free(text);
	return why->len == 0;
}

const char *
conf_parse_host(const char *text, const char *ends, struct conf_host *out, struct buf *why)
{
	size_t len = host_len(text, ends);
	char *host = xstrndup(text, len);
	const char *p = text + len;
	bool ok;

	memset(out, 0, sizeof *out);
	ok = check_host(host, out, why);
	free(host);
	if (ok && *p == ':') {
		len = strcspn(++p, ends);
		ok = check_port(p, len, out, why);
		p += len;
	} else if (ok && *p && strchr(ends, *p) == NULL) {
		buf_puts(why, "after the host comes a colon and the port");
		ok = false;
	}
	return ok ? p : NULL;
}

/* {ip:IFACE} or {ip6:IFACE}; its length, 0: something else. */
static size_t
iface_place(const char *v, struct buf *why)
{
	static const char bad[] = "/{} \t";
	const char *name, *end;

	if (strncmp(v, "{ip:", 4) != 0 && strncmp(v, "{ip6:", 5) != 0)
		return 0;
	name = strchr(v, ':') + 1;
	end = strchr(v, '}');
	if (end == NULL || end == name || (size_t)(end - name) >= IFNAMSIZ || strcspn(name, bad) != (size_t)(end - name))
		buf_printf(why, "must be {ip:INTERFACE} or {ip6:INTERFACE}, with a name of 1 to %d letters as in {ip:eth0}",
		    IFNAMSIZ - 1);
	return why->len == 0 ? (size_t)(end - v) + 1 : strlen(v);
}

bool
conf_is_iface_place(const char *v)
{
	return strncmp(v, "{ip:", 4) == 0 || strncmp(v, "{ip6:", 5) == 0;
}

/* ---- http.listen, consul.http, ari.url ---- */

bool
conf_check_listen(char *v, struct buf *why)
{
	size_t len = iface_place(v, why);
	struct topo_addr addr;
	int64_t port;

	if (why->len > 0)
		return false;
	if (len > 0 ? v[len] != ':' || text_parse_int(v + len + 1, 1, 65535, &port) != 0
		    : topo_addr_parse(v, &addr) != 0 || addr.port == 0)
		buf_puts(why, "must be IP:PORT or {ip:INTERFACE}:PORT, such as 127.0.0.1:9600, [::1]:9600 or {ip:eth0}:9600");
	return why->len == 0;
}

/* "http" and so on: a scheme with an address that needs no looking up. `path`: more may follow. */
static bool
check_peer_url(const char *v, bool path, const char *what, struct buf *why)
{
	size_t skip = strncmp(v, "http://", 7) == 0 ? 7 : strncmp(v, "https://", 8) == 0 ? 8 : 0;
	struct conf_host host;
	const char *end;

	if (skip == 0) {
		buf_puts(why, what);
		return false;
	}
	if (strpbrk(v, "@?#") != NULL) {
		buf_puts(why, strchr(v, '@') != NULL ? "a user and password cannot stand here" : "? and # cannot stand here");
		return false;
	}
	end = conf_parse_host(v + skip, "/", &host, why);
	if (end == NULL)
		return false;
	if (host.kind == HOST_ADDRESS || host.kind == HOST_PLACE || host.port_place)
		buf_puts(why, what);
	else if (host.kind == HOST_NAME)
		buf_puts(why, "host names would have to be looked up, which can hang: write the address in digits");
	else if (host.port == 0)
		buf_puts(why, what);
	else if (*end && !path)
		buf_puts(why, "nothing may follow the port");
	return why->len == 0;
}

bool
conf_check_consul_url(char *v, struct buf *why)
{
	static const char what[] = "must be http://IP:PORT, https://IP:PORT or unix:/PATH";

	if (!is_word(v, why))
		return false;
	if (strncmp(v, "unix:", 5) == 0)
		return conf_check_socket(v + 5, why);
	if (check_peer_url(v, false, what, why))
		return true;
	if (strncmp(why->s, "host names", 10) == 0)
		buf_printf(why, "%s", strncmp(v, "https", 5) == 0
			? "; the name that the certificate holds goes to consul.server_name" : ", as in http://127.0.0.1:8500");
	return false;
}

bool
conf_check_ari_url(char *v, struct buf *why)
{
	return is_word(v, why) &&
	    check_peer_url(v, true, "must be http://IP:PORT/PREFIX, such as http://127.0.0.1:8088/ari", why);
}

bool
conf_check_auth_url(char *v, struct buf *why)
{
	return is_word(v, why) &&
	    check_peer_url(v, true, "must be http://IP:PORT/PREFIX, such as http://127.0.0.1:9497/0.1", why);
}

bool
conf_check_forward_url(char *v, struct buf *why)
{
	return is_word(v, why) &&
	    check_peer_url(v, true, "must be http://IP:PORT/PATH, such as http://192.0.2.7:9600/1.0/kamailio/cdr", why);
}

/* A name or an address, as a certificate may hold. */
bool
conf_check_server_name(char *v, struct buf *why)
{
	struct topo_addr addr;

	return topo_addr_parse_ip(v, &addr) == 0 || conf_check_dns_name(v, why);
}

bool
conf_check_kv(char *v, struct buf *why)
{
	if (is_word(v, why) && v[0] == '/')
		buf_puts(why, "keys of Consul's KV do not begin with /; take it away");
	return why->len == 0;
}

/* ---- register ---- */

bool
conf_check_address(char *v, struct buf *why)
{
	struct topo_addr addr;
	const char *no;
	size_t len = iface_place(v, why);

	if (why->len > 0)
		return false;
	if (len > 0 && v[len] == '\0')
		return true;
	if (topo_addr_parse_ip(v, &addr) == 0) {
		addr.port = 1;
		no = topo_addr_implausible(&addr);
		if (no != NULL)
			buf_printf(why, "%s: nobody could be sent there; write that of an interface, as {ip:eth0} does", no);
	} else if (strpbrk(v, "{}") != NULL) {
		buf_puts(why, "must be an address, a host name, or just {ip:INTERFACE} or {ip6:INTERFACE}");
	} else if (looks_like_ip(v)) {
		buf_puts(why, "is no IP address; the port has a key of its own, and IPv6 needs no brackets here");
	} else {
		(void)conf_check_dns_name(v, why);
	}
	return why->len == 0;
}

/* Ids that would make check ids which are Consul's own. */
bool
conf_check_register_id(char *v, struct buf *why)
{
	static const char *const taken[] = { "_service_maintenance", "_node_maintenance", "serfHealth", "service", "consul" };
	size_t i;

	if (!is_word(v, why) || !check_places(v, id_place_names, NELEM(id_place_names), true, why))
		return false;
	for (i = 0; i < NELEM(taken); i++)
		if (strcmp(v, taken[i]) == 0)
			buf_puts(why, "is one of Consul's own; choose another");
	return why->len == 0;
}

bool
conf_check_service_name(char *v, struct buf *why)
{
	size_t len = strlen(v);

	if (strspn(v, LETTERS DIGITS "-_") != len)
		buf_puts(why, "the name of a service at Consul has letters, digits and '-', else DNS cannot ask for it");
	else if (v[0] == '-' || v[len - 1] == '-')
		buf_puts(why, "a DNS name neither begins nor ends with '-'");
	else if (strcasecmp(v, "consul") == 0)
		buf_puts(why, "is the name of Consul's own servers; choose another");
	return why->len == 0;
}

bool
conf_check_register_tag(char *v, struct buf *why)
{
	if (strlen(v) > 255)
		buf_puts(why, "is too long: at most 255 bytes");
	return why->len == 0;
}

/* What Consul takes: its own message comes too late. */
bool
conf_check_meta_key(char *v, struct buf *why)
{
	size_t len = strlen(v);

	if (len < 1 || len > 128 || strspn(v, LETTERS DIGITS "-_") != len)
		buf_puts(why, "Consul takes meta keys of letters, digits, '-' and '_', 1 to 128 of them");
	else if (strncmp(v, "consul-", 7) == 0)
		buf_puts(why, "Consul keeps meta keys that begin with consul- to itself; choose another");
	else if (strcmp(v, "eid") == 0 || strcmp(v, "c4d-machine") == 0)
		buf_printf(why, "c4d sets this key itself%s", v[0] == 'e' ? ", from `eid` of the section" : "; choose another");
	return why->len == 0;
}

bool
conf_check_meta_value(char *v, struct buf *why)
{
	if (strlen(v) > 512)
		buf_printf(why, "is too long: %zu bytes, Consul takes at most 512", strlen(v));
	else
		(void)check_places(v, place_names, NELEM(place_names), false, why);
	return why->len == 0;
}

/* The rest depends on the key. */
bool
conf_check_dispatcher_value(char *v, struct buf *why)
{
	if (strlen(v) > 512)
		buf_printf(why, "is too long: %zu bytes, Consul takes at most 512", strlen(v));
	return why->len == 0;
}

bool
conf_check_dispatcher_key(char *v, struct buf *why)
{
	if (conf_dispatcher_key(v) == NULL)
		buf_puts(why, "there are group, priority, weight, max_calls and flags; others go to meta");
	return why->len == 0;
}

/* By what the keys of `dispatcher` are, as Asterisk's module writes them. */
const struct conf_dispatcher_key *
conf_dispatcher_key(const char *name)
{
	static const struct conf_dispatcher_key keys[] = {
		{ "group", -1, -1, NULL },
		{ "priority", 0, 65535, NULL },
		{ "weight", 0, 65535, NULL },
		{ "max_calls", 0, INT32_MAX, "unlimited" },
		{ "flags", 0, 63, NULL },
	};
	size_t i;

	for (i = 0; i < NELEM(keys); i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

bool
conf_check_eid(char *v, struct buf *why)
{
	if (is_word(v, why) && strpbrk(v, "{}") != NULL)
		buf_puts(why, "must be machine, asterisk, or the endpoint id itself, in which nothing is filled in");
	return why->len == 0;
}

bool
conf_check_header_key(char *v, struct buf *why)
{
	static const char token[] = LETTERS DIGITS "!#$%&'*+-.^_`|~";

	if (v[0] == '\0' || strlen(v) > 128 || strspn(v, token) != strlen(v))
		buf_puts(why, "is not the name of an HTTP header");
	return why->len == 0;
}

bool
conf_check_header_value(char *v, struct buf *why)
{
	if (strlen(v) > 1024)
		buf_puts(why, "is too long: at most 1024 bytes");
	return why->len == 0;
}

bool
conf_check_method(char *v, struct buf *why)
{
	if (strspn(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(v))
		buf_puts(why, "is not an HTTP method, such as GET or HEAD");
	return why->len == 0;
}

bool
conf_check_check_url(char *v, struct buf *why)
{
	size_t skip = strncmp(v, "http://", 7) == 0 ? 7 : strncmp(v, "https://", 8) == 0 ? 8 : 0, len;
	struct conf_host host;

	if (!check_word_places(v, why))
		return false;
	len = strcspn(v + skip, "/?#");
	if (skip == 0)
		buf_puts(why, "must begin with http:// or https://");
	else if (memchr(v + skip, '@', len) != NULL)
		buf_puts(why, "a user and password cannot stand here: everybody who may read Consul's catalog would see them");
	else
		(void)conf_parse_host(v + skip, "/?#", &host, why);
	return why->len == 0;
}

/* Of the parameters only the transport matters to c4d. */
static bool
check_sip_params(const char *p, struct buf *why)
{
	static const char key[] = "transport=";
	size_t len = sizeof key - 1;

	while (*p == ';') {
		size_t n = strcspn(++p, ";");

		if (n >= len && strncasecmp(p, key, len) == 0 && (n != len + 3 ||
		    (strncasecmp(p + len, "udp", 3) != 0 && strncasecmp(p + len, "tcp", 3) != 0))) {
			buf_puts(why, "the transport must be udp or tcp");
			return false;
		}
		p += n;
	}
	return true;
}

bool
conf_check_sip_uri(char *v, struct buf *why)
{
	const char *at = strrchr(v, '@'), *params;
	struct conf_host host;

	if (!check_word_places(v, why))
		return false;
	if (strncasecmp(v, "sip:", 4) != 0) {
		buf_puts(why, "must begin with sip:, as in sip:{address}:{port} or sip:{address}:{port};transport=tcp");
		return false;
	}
	if (strpbrk(v, "<>\",?") != NULL) {
		buf_puts(why, "<, >, \", a comma and ? cannot stand in the address of a check");
		return false;
	}
	params = conf_parse_host(at != NULL ? at + 1 : v + 4, ";", &host, why);
	if (params == NULL)
		return false;
	if (host.kind == HOST_NAME || host.kind == HOST_PLACE)
		buf_puts(why, "c4d asks there itself and looks no names up: write {address}, or an address in digits");
	return why->len == 0 && check_sip_params(params, why);
}

bool
conf_check_to(char *v, struct buf *why)
{
	if (check_word_places(v, why) && strstr(v, "://") != NULL)
		buf_puts(why, "must be a host and a port, as in {address}:{port}, not a URL");
	return why->len == 0; /* the rest depends on the type */
}

bool
conf_check_argument(char *v, struct buf *why)
{
	if (strlen(v) > 4096)
		buf_puts(why, "is too long: at most 4096 bytes");
	else
		(void)check_places(v, place_names, NELEM(place_names), false, why);
	return why->len == 0;
}
