/*
 * conf: the configuration, /etc/c4d/c4d.yml and conf.d beside it (NAME/conf.d, every *.yml in lexical order; later
 * values win). One table of keys (conf_keys.c) types, checks, prints and documents everything.
 * A loaded struct conf is immutable and owned by whoever loaded it.
 */
#ifndef CONFIG_CONF_H
#define CONFIG_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "topology/addr.h"

#define CONF_NAMES_MAX 16 /* per service; what the judge keeps a bit for */
#define CONF_TAGS_MAX 16
#define CONF_FILE_MAX (1 << 20) /* bytes of one file */

struct strlist {
	char **v;
	size_t n;
};

struct conf_service {
	char *name;
	struct strlist names;      /* SRV names; default NAME.service.DOMAIN; lower case, no trailing dot */
	struct strlist tags;       /* asked for: the configured ones and those that dispatcher sets use; sorted */
	int64_t interval_ms;       /* 1s; 50ms..1h */
	int64_t min_instances;     /* 1; 0..10000 */
	int64_t max_instances;     /* 1024; 1..100000 */
	int64_t max_shrink;        /* 50; 0..100 */
	int64_t shrink_window_ms;  /* 5m */
	int64_t shrink_hold_ms;    /* 60s */
	int64_t empty_rounds;      /* 3; 1..1000 */
	int64_t empty_hold_ms;     /* 120s */
	int64_t remove_hold_ms;    /* 10m; 0..24h */
	char *drain_tag;           /* NULL; instances with this tag are drained; it is among `tags` */
	int64_t flap_suppress;     /* 2000; 0..20000: suppressed at this penalty (each going costs 1000); 0: never */
	int64_t flap_reuse;        /* 750; 1..20000: in again below it */
	int64_t flap_half_life_ms; /* 5m; 1s..24h */
	int64_t flap_max_ms;       /* 30m: suppressed at most this long after the last change */
	struct strlist networks;   /* as text, checked */
	struct topo_prefix *prefixes; /* networks, parsed; n is networks.n */
};

/* What differs for instances with this tag. The first matching tag, in the order written, wins. */
struct conf_set_tag {
	char *name; /* the tag */
	char *uri;  /* NULL: the set's */
	char *attrs; /* NULL: the set's; "": none */
	int64_t flags;    /* -1: the set's */
	int64_t priority; /* -1: the set's */
};

struct conf_set {
	char *name;      /* the id as written */
	int64_t id;      /* 1..2147483647, from the key */
	char *service;
	char *uri;       /* "sip:{address}:{port}" */
	int64_t flags;   /* 0; 0..63; bit 4 (D) is c4d's and refused */
	int64_t priority; /* 0; 0..65535 */
	char *attrs;     /* NULL or template: {address} {port} {weight} {priority} */
	bool exclusive;  /* true */
	struct conf_set_tag **tags;
	size_t n_tags;
};

/* rtpengine nodes: a set of the rtpengine module, in its db_text table. */
struct conf_rtpengine {
	char *name;      /* the id as written */
	int64_t id;      /* 0..2147483647, from the key */
	char *service;
	char *url;       /* "udp:{address}:{port}" */
	int64_t weight;  /* 1; 0..10000 */
	int64_t drain_timeout_ms; /* 1h: so long sessions may keep the row of a node that leaves */
	int64_t ping_ms; /* 1s: c4d asks each node by NG ping */
	int64_t ping_timeout_ms; /* 400ms; 50ms..900ms, so that an answer is never older than 1 s at a reload */
	bool exclusive;  /* true */
};

/* A group of the permissions module's address_file. */
struct conf_permissions {
	char *name;      /* the group as written */
	int64_t id;      /* 1..2147483647, from the key */
	struct strlist services;
	struct strlist networks; /* besides: prefixes */
	char *tag;       /* NULL: none */
	bool exclusive;  /* true */
};

struct conf_kamailio {
	char *name;
	char *binrpc;            /* unix:PATH or tcp:IP:PORT */
	char *list_file;         /* required when there are sets */
	char *tables;            /* directory of the db_text tables; required with rtpengine or domain */
	char *address_file;      /* required with permissions */
	char *strategy;          /* reload or incremental */
	int64_t reload_delta_ms; /* 5s; 1s..10m */
	int64_t timeout_ms;      /* 2s: an RPC not answered in this time means a new connection */
	int64_t poll_ms;         /* 2s: read back at least this often */
	bool probing;            /* true: Kamailio pings; false: never write the I flag */
	int64_t permissions_delta_ms; /* 5s: the permissions module's reload_delta */
	struct strlist domain_services; /* whose addresses are domains */
	struct strlist domain_names;
	char *domain_kv;         /* NULL; prefix at Consul's KV: its keys' last parts, and the words of their values, are domains too */
	bool domain_routing;     /* false: the routing data's domains are domains too */
	bool domain_exclusive;   /* true */
	bool uacreg;             /* false: the carrier trunks of the routing data that register go to its uacreg table */
	char *uacreg_contact;    /* NULL: the module's own reg_contact_addr; contact_addr of those rows */
	bool uacreg_exclusive;   /* true */
	struct conf_set **sets;
	size_t n_sets;
	struct conf_rtpengine **rtpengines;
	size_t n_rtpengines;
	struct conf_permissions **permissions;
	size_t n_permissions;
};

struct conf_pairs { /* a mapping of free keys, in the order written */
	char **keys;
	char **values;
	size_t n;
};

/* How a check is made. http, https and tcp are Consul's own work, ttl is somebody else's who tells Consul; the rest is c4d's. */
enum conf_check_type {
	CHECK_HTTP,   /* by Consul */
	CHECK_TCP,    /* by Consul */
	CHECK_TTL,    /* by whoever calls /v1/agent/check/pass/... */
	CHECK_EID,    /* by Consul, of c4d's own HTTP server: does this endpoint id still live at this address? */
	CHECK_SIP,    /* by c4d from here on: OPTIONS */
	CHECK_BINRPC, /* core.uptime of a Kamailio */
	CHECK_NG,     /* ping of an rtpengine */
	CHECK_EXEC,   /* a command */
};

/*
 * In url, uri, to, command, and in the registration's id and meta: {address} (in brackets before a port), {port}, {id}, {name},
 * {eid}, {hostname}; in an id no {id} and no {address}.
 */
struct conf_check {
	char *name;                 /* the section's; its CheckID is REGISTRATION_ID:NAME */
	char *type;                 /* "http" "https" "tcp" "ttl" "eid" "sip" "binrpc" "ng" "exec" */
	enum conf_check_type kind;  /* that, parsed; https is CHECK_HTTP */
	char *url;                  /* http, https: required. eid: NULL: http://{address}:PORT of http.listen */
	char *method;               /* http, https: "GET"; else NULL */
	struct conf_pairs headers;  /* http, https */
	bool tls_skip_verify;       /* https: false */
	char *uri;                  /* sip: "sip:{address}:{port}", or with ;transport=tcp; else NULL */
	char *to;                   /* tcp and ng: "{address}:{port}"; binrpc: "unix:/PATH", "tcp:IP:PORT" (also of the section of kamailio that was named) */
	struct strlist command;     /* exec: program (absolute path) and arguments; no shell */
	int64_t interval_ms;        /* 10s; 100ms..1h */
	int64_t timeout_ms;         /* 1s; 50ms..interval */
	int64_t ttl_ms;             /* ttl: required there, 1s..24h; else -1 */
	int64_t failures;           /* 1; 1..100: so many in a row make a check of c4d's critical */
	char *status;               /* of Consul's checks and ttl at the first registration: "critical"|"warning"|"passing"; else NULL */
	int64_t deregister_after_ms; /* 0: never; Consul raises less than 1m to 1m (said by c4d check) */
};

struct conf_tagged_address {
	char *name;    /* "lan", "wan", "lan_ipv4", ... */
	char *address; /* as the registration's */
	int64_t port;  /* 0: the registration's */
};

enum conf_on_stop { ON_STOP_DEREGISTER, ON_STOP_MAINTENANCE, ON_STOP_KEEP };

struct conf_register {
	char *name;                /* the section's */
	char *id;                  /* "{hostname}-{name}" */
	char *service;             /* `name`: the service's name at Consul; default the section's */
	struct strlist tags;       /* any printable text */
	char *address;             /* NULL: Consul's own; "{ip:IFACE}", "{ip6:IFACE}", or an IP or host name */
	int64_t port;              /* 0: none; 0..65535 */
	struct conf_tagged_address **tagged;
	size_t n_tagged;
	struct conf_pairs meta;    /* keys [A-Za-z0-9_-], 1..128; values up to 512 bytes; 56 of them at most: some are c4d's */
	int64_t weight;            /* 1; 1..65535: Weights.Passing */
	int64_t weight_warning;    /* 1; 0..65535 */
	bool enable_tag_override;  /* false */
	char *eid;                 /* "machine" (the machine-id, hashed), "asterisk" (ARI says it), or the id itself */
	struct conf_pairs dispatcher; /* meta for other consumers, as Asterisk's module writes it: group priority weight max_calls flags */
	char *when;                /* "healthy": not before each check of c4d's own has passed once; "now" */
	char *on_stop;             /* "deregister" "maintenance" "keep" */
	enum conf_on_stop at_stop; /* that, parsed */
	int64_t drain_ms;          /* 0; 0..1h: at a stop, so long in maintenance before it is deregistered */
	bool verify_dns;           /* true: alarm when the agent has it and DNS does not */
	struct conf_check **checks;
	size_t n_checks;
};

struct conf_item { /* for show config: one row per key in effect */
	char *path;   /* services.router.interval */
	char *value;
	char *origin; /* FILE:LINE or "default" */
};

struct conf {
	char *file;
	char *state;          /* /var/lib/c4d */
	int64_t store_size;   /* bytes, 1G */
	int64_t history_keep_ms; /* 90d */
	int64_t history_max;  /* 10000 generations */
	char *log;            /* level: info */
	char *notify;         /* NULL: none; the command that is told of events */
	int64_t notify_timeout_ms;  /* 10s; 100ms..10m */
	int64_t notify_interval_ms; /* 30s; 0..24h: one event of the same thing in so long */
	int64_t notify_rate;  /* 30; 1..6000 events a minute */
	char *control_socket; /* /run/c4d/control.sock */
	char *control_group;  /* NULL: leave */
	char *control_admin_group; /* c4d-admin; NULL or "": whoever may connect may write */
	struct strlist dns;   /* "127.0.0.1:8600" */
	char *http;           /* http://127.0.0.1:8500; https://IP:PORT, unix:/PATH */
	char *token_file;     /* NULL */
	char *ca_file;        /* NULL: the system's; of https:// */
	char *cert_file;      /* NULL: none; the client's, with key_file */
	char *key_file;
	char *server_name;    /* NULL: the URL's address; what the agent's certificate must say */
	bool verify;          /* true */
	bool events;          /* false: every register, deregister and maintenance fires a Consul event */
	int64_t stop_timeout_ms; /* 10s; 100ms..10m: at a stop, Consul has so long (besides `drain`) */
	struct strlist listen; /* http.listen; "127.0.0.1:9600"; IP:PORT, also "{ip:IFACE}:PORT" */
	char *ari_url;        /* ari.url NULL; "http://127.0.0.1:8088/ari"; for eid: asterisk */
	char *ari_user;       /* ari.user */
	char *ari_password_file; /* ari.password_file */
	char *routing_file;   /* NULL; where the routing data comes from: a document, */
	char *routing_kv;     /* NULL; or a key or prefix at Consul's KV, or neither: c4ctl routing load, REST */
	bool routing_api;     /* false: the REST interface */
	char *routing_token_file; /* NULL; of the REST interface */
	char *routing_auth_url; /* NULL; a wazo-auth service: "http://127.0.0.1:9497/0.1" */
	struct strlist routing_clients; /* prefixes, whose questions are answered; loopback */
	struct topo_prefix *routing_prefixes; /* those, parsed */
	int64_t fr_timer_ms;  /* 5s; of routes */
	int64_t fr_inv_timer_ms; /* 30s */
	int64_t cdr_keep_ms;  /* 90d */
	int64_t cdr_max;      /* 1000000 */
	char *cdr_forward;    /* NULL; "http://IP:PORT/PATH" */
	char *domain;         /* consul */
	char *wake;           /* dns or index */
	int64_t budget;       /* percent, 1; 1..100 */
	int64_t dns_timeout_ms; /* 2s */
	struct conf_service **services;
	size_t n_services;
	struct conf_kamailio **kamailios;
	size_t n_kamailios;
	struct conf_register **registers;
	size_t n_registers;
	struct conf_item *items; /* in table order */
	size_t n_items;
};

/*
 * Every error is reported through `report` as "FILE:LINE: message" (of a syntax error, the first of
 * its file); the call goes on to find them all. What is right but can hardly be meant is reported as
 * "FILE:LINE: warning: message", and does not make it fail. 0, or -EINVAL when there was an error.
 */
typedef void conf_report_cb(void *arg, const char *text);
MUST_USE int conf_load(struct conf **out, const char *file, conf_report_cb *, void *arg);
/* The same for a text in memory, reported under `name`; reads no file and no conf.d. */
MUST_USE int conf_load_text(struct conf **out, const char *name, const char *text, size_t len,
    conf_report_cb *, void *arg);
void conf_free(struct conf *); /* NULL is fine */

const struct conf_service *conf_find_service(const struct conf *, const char *name);
bool conf_is_on_loopback(const struct conf *); /* http.listen: nobody but this machine can reach it */
const struct conf_kamailio *conf_find_kamailio(const struct conf *, const char *name);

/* Keys that differ and need a restart to take effect, one report each; returns how many. */
size_t conf_restart_keys(const struct conf *running, const struct conf *loaded, conf_report_cb *, void *arg);
/* Two sections are the same in every key. */
bool conf_kamailio_same(const struct conf_kamailio *, const struct conf_kamailio *);
/* Likewise; what the section takes from elsewhere (http.listen's port, ari.*) is not compared. */
bool conf_register_same(const struct conf_register *, const struct conf_register *);

/* The key table as reference text ("path  type  default  range  reload  help"), for the manual. */
void conf_print_keys(void (*line)(void *arg, const char *), void *arg);

#endif
