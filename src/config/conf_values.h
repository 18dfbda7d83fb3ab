/*
 * conf_values: checks of single values for the key table, and the parts that checks of the whole need again.
 */
#ifndef CONFIG_CONF_VALUES_H
#define CONFIG_CONF_VALUES_H

#include "config/conf_int.h"

conf_check_cb conf_check_dns_name, conf_check_socket; /* in conf_keys.c */
conf_check_cb conf_check_listen, conf_check_consul_url, conf_check_ari_url, conf_check_auth_url, conf_check_forward_url,
    conf_check_server_name, conf_check_kv;
conf_check_cb conf_check_address, conf_check_register_id, conf_check_service_name, conf_check_register_tag;
conf_check_cb conf_check_meta_key, conf_check_meta_value, conf_check_dispatcher_key, conf_check_dispatcher_value,
    conf_check_eid;
conf_check_cb conf_check_header_key, conf_check_header_value, conf_check_method, conf_check_check_url;
conf_check_cb conf_check_sip_uri, conf_check_to, conf_check_argument;
conf_check_cb conf_check_notify_path;

struct conf_host {
	enum { HOST_IP, HOST_NAME, HOST_ADDRESS, HOST_PLACE } kind; /* HOST_ADDRESS: {address}; HOST_PLACE: with other places */
	struct topo_addr ip;
	uint16_t port; /* 0: not given, or */
	bool port_place; /* it is {port} */
};
/* "HOST" or "HOST:PORT" up to one of `ends`: where it ends; NULL: it is wrong, and `why` says how. */
const char *conf_parse_host(const char *text, const char *ends, struct conf_host *, struct buf *why);
bool conf_has_place(const char *text, const char *place); /* "{port}"; text may be NULL */
bool conf_is_iface_place(const char *); /* of a checked value: {ip:...} or {ip6:...} */

struct conf_dispatcher_key {
	const char *name;
	int64_t min, max; /* -1: any text */
	const char *word; /* is possible too */
};
const struct conf_dispatcher_key *conf_dispatcher_key(const char *name); /* NULL: no such key */

#endif
