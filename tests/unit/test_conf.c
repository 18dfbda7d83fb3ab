/*
 * conf: what loads, what it means, and what is said about everything that does not load.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/text.h"
#include "config/conf.h"
#include "consul/http.h"

static void
collect(void *arg, const char *text)
{
	buf_printf(arg, "%s\n", text);
}

static struct conf *
load_ok(const char *text)
{
	struct buf said = { 0 };
	struct conf *conf = NULL;

	if (conf_load_text(&conf, "t.yml", text, strlen(text), collect, &said) != 0)
		fail_msg("does not load:\n%s\n%s", text, said.s ? said.s : "(no reason given)");
	assert_null(said.s);
	return conf;
}

/* All that is said, one line each; it must not load. */
static char *
load_bad(const char *text)
{
	struct buf said = { 0 };
	struct conf *conf = NULL;

	if (conf_load_text(&conf, "t.yml", text, strlen(text), collect, &said) == 0)
		fail_msg("loads, but must not:\n%s", text);
	assert_null(conf);
	assert_non_null(said.s);
	return buf_take(&said);
}

static const struct conf_item *
item(const struct conf *conf, const char *path)
{
	size_t i;

	for (i = 0; i < conf->n_items; i++)
		if (strcmp(conf->items[i].path, path) == 0)
			return &conf->items[i];
	fail_msg("no item %s", path);
	return NULL;
}

static void
check_item(const struct conf *conf, const char *path, const char *value, const char *origin)
{
	const struct conf_item *it = item(conf, path);

	if (strcmp(it->value, value) != 0 || strcmp(it->origin, origin) != 0)
		fail_msg("%s is '%s' from %s, not '%s' from %s", path, it->value, it->origin, value,
		    origin);
}

#define S62 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgg"
#define PATH50 "/aaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee"
#define KAM \
	"services: {router: {}}\nkamailio:\n  sbc:\n    list_file: /f\n    dispatcher:\n      " \
	"1:\n        "
#define KAM_TAG KAM "service: router\n        tag:\n          "
#define REG "register:\n  a:\n    address: 10.0.0.1\n    port: 5060\n    " /* then line 5 */
#define CHECK(...) REG "checks:\n      c: {" __VA_ARGS__ "}\n" /* line 6 */
#define CHECK_SAID "t.yml:6: register.a.checks.c"
#define NOWHERE "register:\n  a: {checks: {c: {" /* neither address nor port */
#define S128 S62 S62 "aaaa"
#define LISTED(...) "services:\n  a:\n    tags: [" __VA_ARGS__ "]\n"

/* One error each: the only line said begins with `said`. */
static const struct {
	const char *text;
	const char *said;
} errors[] = {
	/* keys */
	{ "stat: /x\n", "t.yml:1: unknown key 'stat'; did you mean 'state'?" },
	{ "\n\nservice: {}\n", "t.yml:3: unknown key 'service'; did you mean 'services'?" },
	{ "consul:\n  dnss: []\n", "t.yml:2: unknown key 'consul.dnss'; did you mean 'dns'?" },
	{ "control: {sockt: /x}\n",
	    "t.yml:1: unknown key 'control.sockt'; did you mean 'socket'?" },
	{ "frobnicate: 1\n", "t.yml:1: unknown key 'frobnicate'\n" },
	{ "control.socket: /x\n",
	    "t.yml:1: unknown key 'control.socket'; write nested keys as nested sections" },
	{ "services:\n  a:\n    intervall: 1s\n",
	    "t.yml:3: unknown key 'services.a.intervall'; did you mean 'interval'?" },
	{ KAM "service: router\n        url: x\n",
	    "t.yml:8: unknown key 'kamailio.sbc.dispatcher.1.url'; did you mean 'uri'?" },
	{ KAM_TAG "x: {exclusive: true}\n",
	    "t.yml:9: unknown key 'kamailio.sbc.dispatcher.1.tag.x.exclusive'\n" },
	{ "kamailio: {sbc: {dispatchr: {}}}\n",
	    "t.yml:1: unknown key 'kamailio.sbc.dispatchr'; did you mean 'dispatcher'?" },
	{ "log: info\nstate: /x\nlog: debug\n",
	    "t.yml:3: key 'log' is repeated: it already stands at line 1" },
	{ "services:\n  a: {}\n  b: {}\n  a: {interval: 2s}\n",
	    "t.yml:4: key 'a' is repeated: it already stands at line 2" },
	/* types */
	{ "state: [/x]\n", "t.yml:1: state: must be a text (directory), not a list" },
	{ "\nstate:\n  x: 1\n", "t.yml:2: state: must be a text (directory), not a section" },
	{ "control: 5\n",
	    "t.yml:1: control: must be a section of keys and values, not a single value" },
	{ "services: [a]\n",
	    "t.yml:1: services: must be a section of keys and values, not a list" },
	{ "services:\n  a: yes\n",
	    "t.yml:2: services.a: must be a section of keys and values, not a single" },
	{ "kamailio: {x: {dispatcher: 1}}\n", "t.yml:1: kamailio.x.dispatcher: must be a section" },
	{ "just text\n",
	    "t.yml:1: this file: must be a section of keys and values, not a single value" },
	{ "- a\n", "t.yml:1: this file: must be a section of keys and values, not a list" },
	{ "services: {a: {tags: primary}}\n", "t.yml:1: services.a.tags: must be a list in "
					      "brackets: [tag, ...], not a single value" },
	{ "services:\n  a:\n    tags:\n    - x\n    - [y]\n",
	    "t.yml:5: services.a.tags: an element must be a text (tag), not a list" },
	{ "services: {a: {tags: [~]}}\n",
	    "t.yml:1: services.a.tags: an element must be a text (tag), not empty" },
	{ "kamailio: {a: {probing: maybe}}\n",
	    "t.yml:1: kamailio.a.probing 'maybe': must be true or false" },
	{ "history_max: many\n", "t.yml:1: history_max 'many': must be a whole number" },
	{ "history_max: 1e3\n", "t.yml:1: history_max '1e3': must be a whole number" },
	{ "store_size: big\n", "t.yml:1: store_size 'big': must be a size, such as 64M or 1G" },
	{ "log: loud\n",
	    "t.yml:1: log 'loud': must be error|warning|notice|info|debug" },
	{ "log: error|warning\n", "t.yml:1: log 'error|warning': must be" },
	{ "log: ''\n", "t.yml:1: log '': must be" },
	{ "consul: {wake: kv}\n", "t.yml:1: consul.wake 'kv': must be dns|index" },
	{ "kamailio: {a: {strategy: both}}\n", "t.yml:1: kamailio.a.strategy 'both': must be reload|incremental" },
	{ "services: {a: {flap_suppress: 500}}\n",
	    "t.yml:1: services.a: flap_reuse 750 must be less than flap_suppress 500; lower the one or raise the other" },
	{ "services: {a: {drain_tag: tcp}}\n",
	    "t.yml:1: services.a.drain_tag 'tcp': DNS cannot ask for this tag: Consul takes _tcp as the protocol and "
	    "answers with all instances; use another tag" },
	{ "services: {rtp: {}}\nkamailio: {a: {rtpengine: {0: {service: rtp}}}}\n",
	    "t.yml:2: kamailio.a: has rtpengine sets but no tables; set it to the directory in "
	    "modparam(\"rtpengine\", \"db_url\", \"text://DIRECTORY\")" },
	{ "services: {rtp: {}}\nkamailio: {a: {tables: /t, rtpengine: {0: {}}}}\n",
	    "t.yml:2: kamailio.a.rtpengine.0: needs a service, whose instances it holds" },
	{ "services: {rtp: {}}\nkamailio: {a: {tables: /t, rtpengine: {-1: {service: rtp}}}}\n",
	    "t.yml:2: kamailio.a.rtpengine.-1: an rtpengine set's id is a whole number, 0 to 2147483647" },
	{ "services: {rtp: {}}\nkamailio: {a: {tables: /t, rtpengine: {0: {service: rtp, url: \"unix:{address}\"}}}}\n",
	    "t.yml:2: kamailio.a.rtpengine.0.url 'unix:{address}': must begin with udp: (or udp6:), which is how c4d and "
	    "Kamailio both reach a node" },
	{ "services: {sbc: {}}\nkamailio: {a: {tables: /t, domain: {services: [sbcs]}}}\n",
	    "t.yml:2: kamailio.a.domain.services 'sbcs': is not among the services; did you mean 'sbc'?" },
	{ "kamailio: {a: {domain: {names: [sip.example.org]}}}\n",
	    "t.yml:1: kamailio.a: has a domain table but no tables; set it to the directory in "
	    "modparam(\"domain\", \"db_url\", \"text://DIRECTORY\")" },
	{ "kamailio: {a: {address_file: /a, permissions: {1: {}}}}\n",
	    "t.yml:1: kamailio.a.permissions.1: needs services or networks, whose addresses it holds" },
	{ "kamailio: {a: {permissions: {1: {networks: [10.0.0.0/8]}}}}\n",
	    "t.yml:1: kamailio.a: has permissions groups but no address_file; set it to the permissions module's address_file" },
	{ "kamailio: {a: {binrpc: \"unix:/a\", tables: /t}, b: {binrpc: \"unix:/b\", tables: /t}}\n",
	    "t.yml:1: kamailio.b.tables '/t': is that of kamailio.a as well (t.yml:1); each Kamailio needs its own" },
	/* durations, ranges */
	{ "services:\n  a:\n    interval: 15\n",
	    "t.yml:3: services.a.interval '15': a duration needs a unit, such as 15s" },
	{ "services: {a: {interval: 1.5}}\n",
	    "t.yml:1: services.a.interval '1.5': a duration needs a unit" },
	{ "services: {a: {interval: soon}}\n",
	    "t.yml:1: services.a.interval 'soon': must be a duration, such as 200ms, 15s or 10m" },
	{ "services: {a: {interval: ''}}\n",
	    "t.yml:1: services.a.interval '': must be a duration" },
	{ "services: {a: {interval: 49ms}}\n",
	    "t.yml:1: services.a.interval '49ms': out of range, 50ms to 1h" },
	{ "services: {a: {interval: 61m}}\n",
	    "t.yml:1: services.a.interval '61m': out of range, 50ms to 1h" },
	{ "services: {a: {remove_hold: 25h}}\n",
	    "t.yml:1: services.a.remove_hold '25h': out of range, 0s to 1d" },
	{ "services: {a: {max_shrink: 101}}\n",
	    "t.yml:1: services.a.max_shrink '101': out of range, 0 to 100" },
	{ "services: {a: {max_shrink: -1}}\n",
	    "t.yml:1: services.a.max_shrink '-1': out of range, 0 to 100" },
	{ "services: {a: {empty_rounds: 0}}\n",
	    "t.yml:1: services.a.empty_rounds '0': out of range, 1 to 1000" },
	{ "history_max: 99999999999999999999\n",
	    "t.yml:1: history_max '99999999999999999999': out of range" },
	{ "kamailio: {a: {reload_delta: 11m}}\n",
	    "t.yml:1: kamailio.a.reload_delta '11m': out of range, 1s to 10m" },
	{ "store_size: 1K\n", "t.yml:1: store_size '1K': out of range, 1M to 1T" },
	{ "consul: {budget: 0}\n", "t.yml:1: consul.budget '0': out of range, 1 to 100" },
	{ KAM "service: router\n        flags: 64\n",
	    "t.yml:8: kamailio.sbc.dispatcher.1.flags '64': out of range, 0 to 63" },
	{ KAM "service: router\n        flags: 20\n",
	    "t.yml:8: kamailio.sbc.dispatcher.1.flags '20': the D bit (4) is c4d's" },
	{ KAM "service: router\n        flags: 9\n",
	    "t.yml:8: kamailio.sbc.dispatcher.1.flags '9': the I and T bits (1, 2) are Kamailio's "
	    "own states" },
	{ KAM_TAG "x: {flags: 2}\n",
	    "t.yml:9: kamailio.sbc.dispatcher.1.tag.x.flags '2': the I and T bits" },
	{ KAM "service: router\n        priority: 65536\n",
	    "t.yml:8: kamailio.sbc.dispatcher.1.priority '65536': out of range, 0 to 65535" },
	{ "services:\n  a:\n    min_instances: 5\n    max_instances: 4\n",
	    "t.yml:3: services.a: min_instances 5 is more than max_instances 4" },
	{ "services:\n  a: {min_instances: 2000}\n",
	    "t.yml:2: services.a: min_instances 2000 is more than max_instances 1024" },
	{ "services:\n  a:\n    min_instances: 5\n  b:\n    max_instances: 1\n    min_instances: "
	  "2\n",
	    "t.yml:6: services.b: min_instances 2" },
	/* paths, addresses, names */
	{ "state: var/lib\n",
	    "t.yml:1: state 'var/lib': must be an absolute path, beginning with /" },
	{ "state: ''\n", "t.yml:1: state '': must not be empty" },
	{ "state: \"/a\\tb\"\n", "t.yml:1: state '/a?b': has control characters" },
	{ "control: {socket: c4d.sock}\n",
	    "t.yml:1: control.socket 'c4d.sock': must be an absolute path" },
	{ "control: {socket: " PATH50 PATH50 PATH50 "}\n", "t.yml:1: control.socket '" PATH50 },
	{ "control: {socket: /run/}\n",
	    "t.yml:1: control.socket '/run/': must name a file, not end with /" },
	{ "control: {group: 'a b'}\n", "t.yml:1: control.group 'a b': is not the name of a group" },
	{ "control: {admin_group: 'a b'}\n", "t.yml:1: control.admin_group 'a b': is not the name of a group" },
	{ "consul: {token_file: token}\n",
	    "t.yml:1: consul.token_file 'token': must be an absolute path" },
	{ "consul:\n  dns:\n  - 127.0.0.1:8600\n  - localhost:8600\n",
	    "t.yml:4: consul.dns 'localhost:8600': must be IP:PORT, such as 127.0.0.1:8600" },
	{ "consul: {dns: ['127.0.0.1']}\n", "t.yml:1: consul.dns '127.0.0.1': must be IP:PORT" },
	{ "consul: {dns: ['127.0.0.1:0']}\n",
	    "t.yml:1: consul.dns '127.0.0.1:0': must be IP:PORT" },
	{ "consul: {dns: ['::1:8600']}\n", "t.yml:1: consul.dns '::1:8600': must be IP:PORT" },
	{ "consul: {dns: []}\n", "t.yml:1: consul.dns must not be empty" },
	{ "consul: {dns: ['1.1.1.1:1', '1.1.1.1:1']}\n",
	    "t.yml:1: consul.dns '1.1.1.1:1': is listed twice" },
	{ "consul: {http: localhost}\n",
	    "t.yml:1: consul.http 'localhost': must be http://IP:PORT, https://IP:PORT or unix:/PATH\n" },
	{ "consul: {wake: index, http: 'http://localhost:8500'}\n",
	    "t.yml:1: consul.http 'http://localhost:8500': host names would have to be looked up, which can hang: write the "
	    "address in digits, as in http://127.0.0.1:8500\n" },
	{ "consul: {http: 'https://consul.example:8501'}\n",
	    "t.yml:1: consul.http 'https://consul.example:8501': host names would have to be looked up, which can hang: write the "
	    "address in digits; the name that the certificate holds goes to consul.server_name\n" },
	{ "consul: {http: 'http://127.0.0.1'}\n",
	    "t.yml:1: consul.http 'http://127.0.0.1': must be http://IP:PORT, https://IP:PORT or unix:/PATH\n" },
	{ "consul: {http: 'http://127.0.0.1:0'}\n", "t.yml:1: consul.http 'http://127.0.0.1:0': port '0': must be 1 to 65535" },
	{ "consul: {http: 'http://127.0.0.1:65536'}\n", "t.yml:1: consul.http 'http://127.0.0.1:65536': port '65536': must be" },
	{ "consul: {http: 'http://127.0.0.300:80'}\n",
	    "t.yml:1: consul.http 'http://127.0.0.300:80': 127.0.0.300 is no IP address\n" },
	{ "consul: {http: 'http://::1:80'}\n", "t.yml:1: consul.http 'http://::1:80': an empty host is no IP address\n" },
	{ "consul: {http: 'http://[127.0.0.1]:80'}\n", "t.yml:1: consul.http 'http://[127.0.0.1]:80': in brackets stands an IPv6" },
	{ "consul: {http: 'https://127.0.0.1:8501/v1'}\n",
	    "t.yml:1: consul.http 'https://127.0.0.1:8501/v1': nothing may follow the port\n" },
	{ "consul: {http: 'http://{address}:8500'}\n", "t.yml:1: consul.http 'http://{address}:8500': must be http://IP:PORT" },
	{ "consul: {http: 'http://u:p@127.0.0.1:8500'}\n",
	    "t.yml:1: consul.http 'http://(not shown)@127.0.0.1:8500': a user and password cannot stand here\n" },
	{ "consul: {http: 'unix:run/c'}\n", "t.yml:1: consul.http 'unix:run/c': must be an absolute path" },
	{ "consul: {http: 'unix:" PATH50 PATH50 PATH50 "'}\n", "t.yml:1: consul.http 'unix:" PATH50 },
	{ "consul: {http: 'http://127.0.0.1:80 '}\n", "t.yml:1: consul.http 'http://127.0.0.1:80 ': white space" },
	{ "consul: {http: 'https://127.0.0.1:1', cert_file: /c}\n",
	    "t.yml:1: consul.cert_file: needs consul.key_file too; set both or none\n" },
	{ "consul:\n  http: https://127.0.0.1:1\n  key_file: /c\n",
	    "t.yml:3: consul.key_file: needs consul.cert_file too; set both or none\n" },
	{ "consul: {ca_file: ca.pem}\n", "t.yml:1: consul.ca_file 'ca.pem': must be an absolute path" },
	{ "consul: {server_name: 'a b'}\n", "t.yml:1: consul.server_name 'a b': is not a DNS name" },
	{ "consul: {verify: maybe}\n", "t.yml:1: consul.verify 'maybe': must be true or false\n" },
	{ "consul: {stop_timeout: 11m}\n", "t.yml:1: consul.stop_timeout '11m': out of range, 100ms to 10m\n" },
	{ "http:\n  listen:\n  - 127.0.0.1:9600\n  - 9600\n", "t.yml:4: http.listen '9600': must be IP:PORT or {ip:INTERFACE}:PORT" },
	{ "http: {listen: 9600}\n", "t.yml:1: http.listen '9600': must be IP:PORT or {ip:INTERFACE}:PORT" },
	{ "http: {listen: ''}\n", "t.yml:1: http.listen '': must not be empty" },
	{ "http: {listen: {a: b}}\n", "t.yml:1: http.listen: must be a list in brackets: [IP:PORT, ...], not a section" },
	{ "http: {listen: ['{ip:eth0}']}\n", "t.yml:1: http.listen '{ip:eth0}': must be IP:PORT or {ip:INTERFACE}:PORT" },
	{ "http: {listen: ['{ip:eth0}:0']}\n", "t.yml:1: http.listen '{ip:eth0}:0': must be IP:PORT or {ip:INTERFACE}:PORT" },
	{ "http: {listen: ['{ip:}:1']}\n", "t.yml:1: http.listen '{ip:}:1': must be {ip:INTERFACE} or {ip6:INTERFACE}, with a name" },
	{ "http: {listen: ['localhost:1']}\n", "t.yml:1: http.listen 'localhost:1': must be IP:PORT or" },
	{ "ari: {url: 'http://localhost:8088/ari', user: u, password_file: /p}\n",
	    "t.yml:1: ari.url 'http://localhost:8088/ari': host names would have to be looked up" },
	{ "ari: {url: 'http://127.0.0.1:8088/ari?api_key=a:b'}\n", "t.yml:1: ari.url 'http://127.0.0.1:8088/ari?api_key=a:b': ? and #" },
	{ "routing: {file: /a, kv: b}\n", "t.yml:1: routing.kv: routing.file is set too; keep one of them" },
	{ "routing: {api: true, token_file: /a, auth_url: 'http://127.0.0.1:9497/0.1'}\n",
	    "t.yml:1: routing.auth_url: routing.token_file is set too; keep one of them" },
	{ "routing: {auth_url: 'https://auth.example/0.1'}\n", "t.yml:1: routing.auth_url 'https://auth.example/0.1': host names" },
	{ "routing: {clients: [sbc]}\n", "t.yml:1: routing.clients 'sbc': " },
	{ "routing: {cdr: {forward: '10.0.0.1'}}\n", "t.yml:1: routing.cdr.forward '10.0.0.1': must be http://IP:PORT/PATH" },
	{ "kamailio: {k: {uacreg: {enabled: true}}}\n", "t.yml:1: kamailio.k: has a uacreg table but no tables" },
	{ "kamailio: {k: {domain: {routing: true}}}\n", "t.yml:1: kamailio.k: has a domain table but no tables" },
	{ "kamailio: {k: {tables: /t, uacreg: {enabled: true, contact_addr: 'a$(b)'}}}\n",
	    "t.yml:1: kamailio.k.uacreg.contact_addr 'a$(b)': must be a host and port" },
	{ "ari: {url: '127.0.0.1:8088'}\n", "t.yml:1: ari.url '127.0.0.1:8088': must be http://IP:PORT/PREFIX" },
	{ "ari: {url: 'http://127.0.0.1:1', user: u}\n", "t.yml:1: ari.user: needs ari.password_file too; set both or none\n" },
	{ "ari: {url: 'http://127.0.0.1:1', user: 'a:b', password_file: /p}\n", "t.yml:1: ari.user 'a:b': must be one word of printable ASCII, without a colon\n" },
	{ "kamailio: {a: {tables: /t, domain: {kv: /c4/domains}}}\n",
	    "t.yml:1: kamailio.a.domain.kv '/c4/domains': keys of Consul's KV do not begin with /; take it away\n" },
	{ "kamailio: {a: {domain: {kv: c4/domains}}}\n", "t.yml:1: kamailio.a: has a domain table but no tables; set it to" },
	{ "consul: {domain: 'a..b'}\n", "t.yml:1: consul.domain 'a..b': is not a DNS name" },
	{ "services: {Router: {}}\n",
	    "t.yml:1: services.Router: a name here has lower-case letters" },
	{ "services: {'': {}}\n", "t.yml:1: services: a name here has" },
	{ "services: {a: {networks: [10.0.0.0/33]}}\n",
	    "t.yml:1: services.a.networks '10.0.0.0/33': must be a network prefix, such as "
	    "10.0.0.0/8" },
	{ "services: {a: {networks: [ten]}}\n",
	    "t.yml:1: services.a.networks 'ten': must be a network prefix" },
	{ "services:\n  a:\n    names:\n    - a.service.consul\n    - A.Service.Consul.\n",
	    "t.yml:5: services.a.names 'a.service.consul': is listed twice" },
	{ "services: {a: {names: [a.service.example]}}\n",
	    "t.yml:1: services.a.names 'a.service.example': is not under consul.domain 'consul'" },
	{ "consul: {domain: voip}\nservices:\n  a:\n    names: [a.service.consul]\n",
	    "t.yml:4: services.a.names 'a.service.consul': is not under consul.domain 'voip'" },
	{ "services: {a: {names: [a.serviceconsul]}}\n",
	    "t.yml:1: services.a.names 'a.serviceconsul': is not under consul.domain" },
	{ "services: {a: {names: [a.node.consul]}}\n",
	    "t.yml:1: services.a.names 'a.node.consul': is not the name of a service or prepared "
	    "query" },
	{ "services: {a: {names: ['a b.service.consul']}}\n",
	    "t.yml:1: services.a.names 'a b.service.consul': is not a DNS name" },
	{ "services: {a: {names: [" S62 "aa.service.consul]}}\n",
	    "t.yml:1: services.a.names '" S62 "aa." },
	{ "services: {a: {names: []}}\n",
	    "t.yml:1: services.a.names must not be empty; leave the key out" },
	{ "services: {a: {names: [a.service.a.consul, a.service.b.consul, a.service.c.consul, "
	  "a.service.d.consul,\n"
	  "a.service.e.consul, a.service.f.consul, a.service.g.consul, a.service.h.consul, "
	  "a.service.i.consul,\n"
	  "a.service.j.consul, a.service.k.consul, a.service.l.consul, a.service.m.consul, "
	  "a.service.n.consul,\n"
	  "a.service.o.consul, a.service.p.consul, a.service.q.consul]}}\n",
	    "t.yml:1: services.a.names has 17 elements; at most 16 are possible" },
	/* tags */
	{ LISTED("x, tcp"), "t.yml:3: services.a.tags 'tcp': DNS cannot ask for this tag" },
	{ LISTED("TCP"), "t.yml:3: services.a.tags 'TCP': DNS cannot ask for this tag" },
	{ LISTED("v1.2"), "t.yml:3: services.a.tags 'v1.2': DNS cannot ask for a tag with a dot" },
	{ LISTED("'a b'"),
	    "t.yml:3: services.a.tags 'a b': DNS can ask only for tags of lower-case letters" },
	{ LISTED("Primary"),
	    "t.yml:3: services.a.tags 'Primary': DNS can ask only for tags of lower-case" },
	{ LISTED(S62 "a"),
	    "t.yml:3: services.a.tags '" S62 "a': DNS cannot ask for a tag of 63 characters" },
	{ LISTED("''"), "t.yml:3: services.a.tags '': must not be empty" },
	{ LISTED("x, x"), "t.yml:3: services.a.tags 'x': is listed twice" },
	{ LISTED("a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q"),
	    "t.yml:3: services.a.tags has 17 elements; at most 16" },
	{ "services:\n  a:\n    names: [q.query.consul]\n    tags: [x]\n",
	    "t.yml:4: services.a.tags 'x': services.a has the name q.query.consul, which is a "
	    "prepared query" },
	{ "services:\n  a:\n    tags: [x]\n    names: [a.service.consul, q.query.dc1.consul]\n",
	    "t.yml:3: services.a.tags 'x': services.a has the name q.query.dc1.consul, which is a "
	    "prepared query" },
	{ "services:\n  a:\n    names: [x.a.service.consul]\n    tags: [x]\n",
	    "t.yml:4: services.a.tags 'x': services.a has the name x.a.service.consul, which is "
	    "asked by a tag" },
	{ "services:\n  " S62 "a: {tags: [x]}\n", "t.yml:2: services." S62 "a.tags 'x': " },
	{ KAM_TAG "tcp: {}\n",
	    "t.yml:9: kamailio.sbc.dispatcher.1.tag.tcp: DNS cannot ask for this tag" },
	{ KAM_TAG "a.b: {}\n",
	    "t.yml:9: kamailio.sbc.dispatcher.1.tag.a.b: DNS cannot ask for a tag with a dot" },
	{ "services: {a: {names: [q.query.consul]}}\nkamailio:\n  k:\n    list_file: /f\n    "
	  "dispatcher:\n"
	  "      1:\n        service: a\n        tag:\n          x: {}\n",
	    "t.yml:9: kamailio.k.dispatcher.1.tag 'x': services.a has the name q.query.consul" },
	{ "services:\n  a: {tags: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]}\n"
	  "kamailio:\n  k:\n    list_file: /f\n    dispatcher:\n      1:\n        service: a\n     "
	  "   tag:\n          p: {}\n"
	  "          q: {}\n",
	    "t.yml:11: kamailio.k.dispatcher.1.tag 'q': services.a would be asked for more than 16 "
	    "tags" },
	/* dispatcher */
	{ KAM "service: rooter\n", "t.yml:7: kamailio.sbc.dispatcher.1.service 'rooter': is not "
				   "among the services; did you mean 'router'?" },
	{ KAM "service: elsewhere\n", "t.yml:7: kamailio.sbc.dispatcher.1.service 'elsewhere': is "
				      "not among the services; add services.elsewhere" },
	{ KAM "flags: 8\n", "t.yml:6: kamailio.sbc.dispatcher.1: needs a service" },
	{ "services: {a: }\nkamailio:\n  k:\n    dispatcher: {1: {service: a}}\n",
	    "t.yml:3: kamailio.k: has dispatcher sets but no list_file" },
	{ "kamailio: {k: {list_file: f}}\n",
	    "t.yml:1: kamailio.k.list_file 'f': must be an absolute path" },
	{ "kamailio:\n  k:\n    list_file: /f\n    dispatcher:\n      0: {}\n",
	    "t.yml:5: kamailio.k.dispatcher.0: a dispatcher set's id is a whole number, 1 to "
	    "2147483647" },
	{ "kamailio: {k: {dispatcher: {-1: {}}}}\n",
	    "t.yml:1: kamailio.k.dispatcher.-1: a dispatcher set's id" },
	{ "kamailio: {k: {dispatcher: {01: {}}}}\n",
	    "t.yml:1: kamailio.k.dispatcher.01: a dispatcher set's id" },
	{ "kamailio: {k: {dispatcher: {main: {}}}}\n",
	    "t.yml:1: kamailio.k.dispatcher.main: a dispatcher set's id" },
	{ "kamailio: {k: {dispatcher: {2147483648: {}}}}\n",
	    "t.yml:1: kamailio.k.dispatcher.2147483648: a disp" },
	{ "kamailio:\n  a: {list_file: /f, binrpc: 'unix:/a'}\n  b:\n    binrpc: unix:/b\n    "
	  "list_file: /f\n",
	    "t.yml:5: kamailio.b.list_file '/f': is that of kamailio.a as well (t.yml:2)" },
	{ "kamailio:\n  a: {binrpc: 'unix:/a'}\n  b:\n    binrpc: unix:/a\n",
	    "t.yml:4: kamailio.b.binrpc 'unix:/a': is that of kamailio.a as well (t.yml:2)" },
	{ "kamailio:\n  a: {}\n  b: {}\n",
	    "t.yml:3: kamailio.b.binrpc 'unix:/run/kamailio/kamailio_ctl': is that of kamailio.a "
	    "as well (t.yml:2)" },
	{ "kamailio: {a: {binrpc: /run/x}}\n",
	    "t.yml:1: kamailio.a.binrpc '/run/x': must be unix:/PATH or tcp:IP:PORT" },
	{ "kamailio: {a: {binrpc: 'unix:x'}}\n",
	    "t.yml:1: kamailio.a.binrpc 'unix:x': must be an absolute path" },
	{ "kamailio: {a: {binrpc: 'unix:'}}\n",
	    "t.yml:1: kamailio.a.binrpc 'unix:': must be unix:/PATH" },
	{ "kamailio: {a: {binrpc: 'tcp:host:1'}}\n",
	    "t.yml:1: kamailio.a.binrpc 'tcp:host:1': must be IP:PORT" },
	{ "kamailio: {a: {binrpc: 'unix:" PATH50 PATH50 PATH50 "'}}\n",
	    "t.yml:1: kamailio.a.binrpc 'unix:" PATH50 },
	{ KAM "service: router\n        uri: sip:{port}\n",
	    "t.yml:8: kamailio.sbc.dispatcher.1.uri 'sip:{port}': needs {address}" },
	{ KAM "service: router\n        uri: '{address}:{port}'\n",
	    "t.yml:8: kamailio.sbc.dispatcher.1.uri '{address}:{port}': must begin with sip: or "
	    "sips:" },
	{ KAM "service: router\n        uri: sip:{adress}\n",
	    "t.yml:8: kamailio.sbc.dispatcher.1.uri 'sip:{adress}': unknown placeholder {adress}; "
	    "there are {address}" },
	{ KAM "service: router\n        uri: sip:{address}:{port\n",
	    "t.yml:8: kamailio.sbc.dispatcher.1.uri 'sip:{address}:{port': unknown placeholder "
	    "{;" },
	{ KAM "service: router\n        attrs: a=}\n",
	    "t.yml:8: kamailio.sbc.dispatcher.1.attrs 'a=}': unknown placeholder };" },
	{ KAM "service: router\n        uri: 'sip:{address} x'\n",
	    "t.yml:8: kamailio.sbc.dispatcher.1.uri 'sip:{address} x': white space, control "
	    "characters" },
	{ KAM "service: router\n        attrs: \"a=1;\\u00e9\"\n",
	    "t.yml:8: kamailio.sbc.dispatcher.1.attrs 'a=1;?\?': white space, control characters" },
	{ KAM "service: router\n        attrs: \"a=1\\nb\"\n",
	    "t.yml:8: kamailio.sbc.dispatcher.1.attrs 'a=1?b': has control characters" },
	{ KAM_TAG "x: {attrs: 'a b'}\n",
	    "t.yml:9: kamailio.sbc.dispatcher.1.tag.x.attrs 'a b': white space" },
	{ KAM_TAG "x: {uri: ''}\n",
	    "t.yml:9: kamailio.sbc.dispatcher.1.tag.x.uri '': must not be empty" },
	/* registrations */
	{ REG "prt: 5\n", "t.yml:5: unknown key 'register.a.prt'; did you mean 'port'?\n" },
	{ "register: {A: {}}\n", "t.yml:1: register.A: a name here has lower-case letters" },
	{ "register: {a: 5}\n", "t.yml:1: register.a: must be a section of keys and values" },
	{ REG "name: my service\n", "t.yml:5: register.a.name 'my service': the name of a service at Consul has letters" },
	{ REG "name: a.b\n", "t.yml:5: register.a.name 'a.b': the name of a service at Consul has letters" },
	{ REG "name: -a\n", "t.yml:5: register.a.name '-a': a DNS name neither begins nor ends with '-'\n" },
	{ REG "name: Consul\n", "t.yml:5: register.a.name 'Consul': is the name of Consul's own servers; choose another\n" },
	{ REG "name: " S62 "aa\n", "t.yml:5: register.a.name '" S62 "aa': is too long: 64 bytes, at most 63\n" },
	{ "register:\n  consul: {}\n", "t.yml:2: register.consul.name 'consul': is the name of Consul's own servers" },
	{ REG "id: '{adress}'\n",
	    "t.yml:5: register.a.id '{adress}': unknown placeholder {adress}; there are {port}, {name}, {eid} and {hostname}\n" },
	{ REG "id: 'x-{address}'\n", "t.yml:5: register.a.id 'x-{address}': unknown placeholder {address};" },
	{ REG "id: '{id}'\n", "t.yml:5: register.a.id '{id}': unknown placeholder {id};" },
	{ REG "id: 'a b'\n", "t.yml:5: register.a.id 'a b': white space, control characters" },
	{ REG "id: ''\n", "t.yml:5: register.a.id '': must not be empty\n" },
	{ REG "id: '{name'\n", "t.yml:5: register.a.id '{name': unknown placeholder {;" },
	{ REG "id: _service_maintenance\n", "t.yml:5: register.a.id '_service_maintenance': is one of Consul's own; choose another\n" },
	{ "register: {a: {id: 'x-{port}'}}\n", "t.yml:1: register.a.id 'x-{port}': {port} is not known; set port\n" },
	{ "register:\n  a: {id: x}\n  b:\n    id: x\n",
	    "t.yml:4: register.b.id 'x': is that of register.a as well (t.yml:2); each registration needs its own\n" },
	{ "register:\n  a: {id: '{hostname}'}\n  b: {id: '{hostname}'}\n",
	    "t.yml:3: register.b.id '{hostname}': is that of register.a as well (t.yml:2)" },
	{ "register:\n  a: {id: 'x-5', port: 5}\n  b: {id: 'x-{port}', port: 5}\n",
	    "t.yml:3: register.b.id 'x-{port}': is that of register.a as well (t.yml:2)" },
	{ "register:\n  a: {id: 'x-b'}\n  b: {id: 'x-{name}'}\n", "t.yml:3: register.b.id 'x-{name}': is that of register.a" },
	{ "register:\n  a: {id: '{eid}', eid: q}\n  b: {id: '{eid}', eid: q}\n", "t.yml:3: register.b.id '{eid}': is that of" },
	{ REG "tags: [a, a]\n", "t.yml:5: register.a.tags 'a': is listed twice" },
	{ REG "tags: [\"a\\tb\"]\n", "t.yml:5: register.a.tags 'a?b': has control characters; remove them\n" },
	{ REG "tags: ['']\n", "t.yml:5: register.a.tags '': must not be empty\n" },
	{ REG "tags: [" S128 S128 "]\n", "t.yml:5: register.a.tags '" },
	{ "register: {a: {address: 0.0.0.0}}\n",
	    "t.yml:1: register.a.address '0.0.0.0': unspecified address: nobody could be sent there; write that of an interface" },
	{ "register: {a: {address: '::'}}\n", "t.yml:1: register.a.address '::': unspecified address" },
	{ "register: {a: {address: 239.1.1.1}}\n", "t.yml:1: register.a.address '239.1.1.1': multicast address" },
	{ "register: {a: {address: 'ff02::1'}}\n", "t.yml:1: register.a.address 'ff02::1': multicast address" },
	{ "register: {a: {address: 255.255.255.255}}\n", "t.yml:1: register.a.address '255.255.255.255': broadcast address" },
	{ "register: {a: {address: '10.0.0.1:5060'}}\n", "t.yml:1: register.a.address '10.0.0.1:5060': is no IP address; the port has" },
	{ "register: {a: {address: '[::1]'}}\n", "t.yml:1: register.a.address '[::1]': is no IP address; the port has a key" },
	{ "register: {a: {address: 10.0.0.256}}\n", "t.yml:1: register.a.address '10.0.0.256': is no IP address" },
	{ "register: {a: {address: 'a b'}}\n", "t.yml:1: register.a.address 'a b': is not a DNS name" },
	{ "register: {a: {address: '{ip:}'}}\n", "t.yml:1: register.a.address '{ip:}': must be {ip:INTERFACE} or {ip6:INTERFACE}" },
	{ "register: {a: {address: '{ip6:abcdefghijklmnop}'}}\n",
	    "t.yml:1: register.a.address '{ip6:abcdefghijklmnop}': must be {ip:INTERFACE} or {ip6:INTERFACE}, with a name of 1 to 15" },
	{ "register: {a: {address: '{ip:eth0'}}\n", "t.yml:1: register.a.address '{ip:eth0': must be {ip:INTERFACE}" },
	{ "register: {a: {address: '{ip:a/b}'}}\n", "t.yml:1: register.a.address '{ip:a/b}': must be {ip:INTERFACE}" },
	{ "register: {a: {address: '{ip:eth0}:5060'}}\n",
	    "t.yml:1: register.a.address '{ip:eth0}:5060': must be an address, a host name, or just {ip:INTERFACE}" },
	{ "register: {a: {address: '{hostname}'}}\n", "t.yml:1: register.a.address '{hostname}': must be an address, a host name" },
	{ "register: {a: {port: 65536}}\n", "t.yml:1: register.a.port '65536': out of range, 0 to 65535\n" },
	{ "register: {a: {port: -1}}\n", "t.yml:1: register.a.port '-1': out of range" },
	{ "register: {a: {port: sip}}\n", "t.yml:1: register.a.port 'sip': must be a whole number\n" },
	{ REG "weight: 0\n", "t.yml:5: register.a.weight '0': out of range, 1 to 65535\n" },
	{ REG "weight: 65536\n", "t.yml:5: register.a.weight '65536': out of range" },
	{ REG "weight_warning: -1\n", "t.yml:5: register.a.weight_warning '-1': out of range, 0 to 65535\n" },
	{ REG "enable_tag_override: 2\n", "t.yml:5: register.a.enable_tag_override '2': must be true or false\n" },
	{ REG "when: ready\n", "t.yml:5: register.a.when 'ready': must be healthy|now\n" },
	{ REG "on_stop: leave\n", "t.yml:5: register.a.on_stop 'leave': must be deregister|maintenance|keep\n" },
	{ REG "drain: 61m\n", "t.yml:5: register.a.drain '61m': out of range, 0s to 1h\n" },
	{ REG "eid: asterisk\n", "t.yml:5: register.a.eid 'asterisk': needs ari.url, where Asterisk is asked; set it, such as to" },
	{ REG "eid: '{hostname}'\n", "t.yml:5: register.a.eid '{hostname}': must be machine, asterisk, or the endpoint id itself" },
	{ REG "eid: a b\n", "t.yml:5: register.a.eid 'a b': white space" },
	{ REG "eid: " S128 "\n", "t.yml:5: register.a.eid '" },
	{ REG "tagged_addresses: {lan: {}}\n", "t.yml:5: register.a.tagged_addresses.lan: needs an address\n" },
	{ REG "tagged_addresses: {lan: {address: 0.0.0.0}}\n", "t.yml:5: register.a.tagged_addresses.lan.address '0.0.0.0': unspec" },
	{ REG "tagged_addresses: {lan: {address: 10.0.0.1, port: 70000}}\n", "t.yml:5: register.a.tagged_addresses.lan.port '70000': out" },
	{ REG "tagged_addresses: {lan: 10.0.0.1}\n", "t.yml:5: register.a.tagged_addresses.lan: must be a section" },
	{ REG "tagged_addresses: {'l n': {address: 10.0.0.1}}\n", "t.yml:5: register.a.tagged_addresses.l n: a name here has" },
	/* meta */
	{ REG "meta: [a]\n", "t.yml:5: register.a.meta: must be a section of keys and texts, not a list\n" },
	{ REG "meta: a\n", "t.yml:5: register.a.meta: must be a section of keys and texts, not a single value\n" },
	{ REG "meta: {a: [b]}\n", "t.yml:5: register.a.meta.a: must be a text, not a list\n" },
	{ REG "meta:\n      b: x\n      a:\n        b: c\n", "t.yml:7: register.a.meta.a: must be a text, not a section\n" },
	{ REG "meta: {a: }\n", "t.yml:5: register.a.meta.a: must be a text, not empty\n" },
	{ REG "meta: {a: 1, a: 2}\n", "t.yml:5: key 'a' is repeated: it already stands at line 5" },
	{ REG "meta:\n      ok: x\n      a.b: c\n",
	    "t.yml:7: register.a.meta.a.b: Consul takes meta keys of letters, digits, '-' and '_', 1 to 128 of them\n" },
	{ REG "meta: {'': c}\n", "t.yml:5: register.a.meta: Consul takes meta keys of" },
	{ REG "meta: {\"a\\x01\": c}\n", "t.yml:5: register.a.meta.a?: Consul takes meta keys of" },
	{ REG "meta: {" S128 "a: c}\n", "t.yml:5: register.a.meta.a" },
	{ REG "meta: {a: " S128 S128 S128 S128 "b}\n", "t.yml:5: register.a.meta.a '" },
	{ REG "meta: {consul-x: c}\n", "t.yml:5: register.a.meta.consul-x: Consul keeps meta keys that begin with consul- to itself" },
	{ REG "meta: {eid: c}\n", "t.yml:5: register.a.meta.eid: c4d sets this key itself, from `eid` of the section\n" },
	{ REG "meta: {c4d-machine: c}\n", "t.yml:5: register.a.meta.c4d-machine: c4d sets this key itself; choose another\n" },
	{ REG "meta: {a: '{adress}'}\n",
	    "t.yml:5: register.a.meta.a '{adress}': unknown placeholder {adress}; there are {address}, {port}, {id}, {name}, {eid} "
	    "and {hostname}\n" },
	{ REG "meta: {a: \"b\\n\"}\n", "t.yml:5: register.a.meta.a 'b?': has control characters; remove them\n" },
	{ REG "meta: {a: '${C4D_TEST_UNSET}'}\n", "t.yml:5: register.a.meta.a: environment variable C4D_TEST_UNSET is not set" },
	{ "register: {a: {meta: {b: 'x{address}'}}}\n", "t.yml:1: register.a.meta.b 'x{address}': {address} is not known: that of" },
	{ "register: {a: {meta: {b: '{port}'}}}\n", "t.yml:1: register.a.meta.b '{port}': {port} is not known; set port\n" },
	{ REG "dispatcher: {wait: 5}\n", "t.yml:5: register.a.dispatcher.wait: there are group, priority, weight, max_calls and flags" },
	{ REG "dispatcher: {weight: heavy}\n", "t.yml:5: register.a.dispatcher.weight 'heavy': must be a whole number, 0 to 65535\n" },
	{ REG "dispatcher: {max_calls: all}\n",
	    "t.yml:5: register.a.dispatcher.max_calls 'all': must be a whole number, 0 to 2147483647, or unlimited\n" },
	{ REG "dispatcher: {flags: 64}\n", "t.yml:5: register.a.dispatcher.flags '64': must be a whole number, 0 to 63\n" },
	{ REG "dispatcher: {group: ''}\n", "t.yml:5: register.a.dispatcher.group '': must not be empty\n" },
	{ REG "dispatcher:\n      weight: 5\n    meta:\n      weight: 5\n",
	    "t.yml:8: register.a.meta.weight: c4d sets this key itself, from dispatcher (t.yml:6); remove one of them\n" },
	/* checks: which keys of which type */
	{ CHECK(""), CHECK_SAID ": needs a type; there are http, https, tcp, ttl, eid, sip, binrpc, ng and exec\n" },
	{ REG "checks:\n      c: {type: sip}\n      c: {type: ng}\n", "t.yml:7: key 'c' is repeated: it already stands at line 6" },
	{ REG "checks: {c: 5}\n", "t.yml:5: register.a.checks.c: must be a section of keys and values, not a single value\n" },
	{ REG "checks: [c]\n", "t.yml:5: register.a.checks: must be a section of keys and values, not a list\n" },
	{ CHECK("type: htpp"), CHECK_SAID ".type 'htpp': must be http|https|tcp|ttl|eid|sip|binrpc|ng|exec\n" },
	{ CHECK("type: sip, intervall: 5s"), "t.yml:6: unknown key 'register.a.checks.c.intervall'; did you mean 'interval'?\n" },
	{ REG "checks: {C: {type: sip}}\n", "t.yml:5: register.a.checks.C: a name here has lower-case letters" },
	{ CHECK("type: http"), CHECK_SAID ": a check of type http needs url, such as http://{address}:9601/status\n" },
	{ CHECK("type: https"), CHECK_SAID ": a check of type https needs url, such as" },
	{ CHECK("type: ttl"), CHECK_SAID ": a check of type ttl needs ttl, such as 30s\n" },
	{ CHECK("type: exec"), CHECK_SAID ": a check of type exec needs command, such as" },
	{ CHECK("type: binrpc"), CHECK_SAID ": a check of type binrpc needs to, such as unix:/run/kamailio/kamailio_ctl, or the name" },
	{ CHECK("type: tcp, url: 'http://a/'"),
	    CHECK_SAID ".url: a check of type tcp has no use for it, only http, https and eid; remove it\n" },
	{ CHECK("type: sip, to: '10.0.0.1:5060'"), CHECK_SAID ".to: a check of type sip has no use for it, only tcp, binrpc and ng" },
	{ CHECK("type: ng, uri: 'sip:10.0.0.1'"), CHECK_SAID ".uri: a check of type ng has no use for it, only sip; remove it\n" },
	{ CHECK("type: ttl, ttl: 30s, interval: 5s"), CHECK_SAID ".interval: a check of type ttl has no use for it, only http, https," },
	{ CHECK("type: ttl, ttl: 30s, timeout: 5s"), CHECK_SAID ".timeout: a check of type ttl has no use for it" },
	{ CHECK("type: tcp, failures: 2"), CHECK_SAID ".failures: a check of type tcp has no use for it, only sip, binrpc, ng and exec" },
	{ CHECK("type: sip, status: passing"), CHECK_SAID ".status: a check of type sip has no use for it, only http, https, tcp, ttl and" },
	{ CHECK("type: sip, ttl: 30s"), CHECK_SAID ".ttl: a check of type sip has no use for it, only ttl; remove it\n" },
	{ CHECK("type: sip, command: [/a]"), CHECK_SAID ".command: a check of type sip has no use for it, only exec; remove it\n" },
	{ CHECK("type: eid, url: 'http://{address}:1', method: GET"), CHECK_SAID ".method: a check of type eid has no use for it" },
	{ CHECK("type: tcp, headers: {A: b}"), CHECK_SAID ".headers: a check of type tcp has no use for it, only http and https" },
	{ CHECK("type: http, url: 'http://a/', tls_skip_verify: true"),
	    CHECK_SAID ".tls_skip_verify: a check of type http has no use for it, only https; remove it\n" },
	/* checks: values */
	{ CHECK("type: http, url: 'https://{address}/'"), CHECK_SAID ".url 'https://{address}/': begins with https://; set type to https\n" },
	{ CHECK("type: https, url: 'http://{address}/'"), CHECK_SAID ".url 'http://{address}/': must begin with https://, or set type" },
	{ CHECK("type: http, url: 'ftp://{address}/'"), CHECK_SAID ".url 'ftp://{address}/': must begin with http:// or https://\n" },
	{ CHECK("type: http, url: '{address}:9601/status'"), CHECK_SAID ".url '{address}:9601/status': must begin with http://" },
	{ CHECK("type: http, url: 'http://{adress}:9601/status'"), CHECK_SAID ".url 'http://{adress}:9601/status': unknown placeholder" },
	{ CHECK("type: http, url: 'http://{address}:port/'"), CHECK_SAID ".url 'http://{address}:port/': port 'port': must be 1 to 65535, or" },
	{ CHECK("type: http, url: 'http://{address}:65536/'"), CHECK_SAID ".url 'http://{address}:65536/': port '65536': must be 1 to" },
	{ CHECK("type: http, url: 'http://{address}}/'"), CHECK_SAID ".url 'http://{address}}/': unknown placeholder };" },
	{ CHECK("type: http, url: 'http://[{address}]:1/'"), CHECK_SAID ".url 'http://[{address}]:1/': an IPv6 {address} gets its brackets" },
	{ CHECK("type: http, url: 'http://fd00::1:80/'"), CHECK_SAID ".url 'http://fd00::1:80/': port ':1:80': must be 1 to 65535" },
	{ CHECK("type: http, url: 'http:///status'"), CHECK_SAID ".url 'http:///status': an empty host is no IP address\n" },
	{ CHECK("type: http, url: 'http://{address}/a b'"), CHECK_SAID ".url 'http://{address}/a b': white space" },
	{ CHECK("type: http, url: 'http://u:p@{address}/'"), CHECK_SAID ".url 'http://(not shown)@{address}/': a user and password cannot stand" },
	{ CHECK("type: http, url: 'http://a/', method: get"), CHECK_SAID ".method 'get': is not an HTTP method, such as GET or HEAD\n" },
	{ CHECK("type: http, url: 'http://a/', headers: {'A B': c}"), CHECK_SAID ".headers.A B: is not the name of an HTTP header\n" },
	{ CHECK("type: http, url: 'http://a/', headers: {Authorization: \"s3cret\\n\"}"),
	    CHECK_SAID ".headers.Authorization: has control characters; remove them\n" },
	{ CHECK("type: sip, uri: 'sips:{address}'"), CHECK_SAID ".uri 'sips:{address}': must begin with sip:, as in sip:{address}:{port}" },
	{ CHECK("type: sip, uri: '{address}:{port}'"), CHECK_SAID ".uri '{address}:{port}': must begin with sip:" },
	{ CHECK("type: sip, uri: 'sip:sbc.example.org'"), CHECK_SAID ".uri 'sip:sbc.example.org': c4d asks there itself and looks no" },
	{ CHECK("type: sip, uri: 'sip:{hostname}:5060'"), CHECK_SAID ".uri 'sip:{hostname}:5060': c4d asks there itself and looks no" },
	{ CHECK("type: sip, uri: 'sip:{address};transport=tls'"), CHECK_SAID ".uri 'sip:{address};transport=tls': the transport must be udp" },
	{ CHECK("type: sip, uri: 'sip:a@{address}:x'"), CHECK_SAID ".uri 'sip:a@{address}:x': port 'x': must be 1 to 65535, or {port}\n" },
	{ CHECK("type: sip, uri: 'sip:{address}?a=b'"), CHECK_SAID ".uri 'sip:{address}?a=b': <, >, \", a comma and ? cannot stand" },
	{ CHECK("type: sip, uri: 'sip:[::1'"), CHECK_SAID ".uri 'sip:[::1': in brackets stands an IPv6 address, such as [fd00::1]\n" },
	{ CHECK("type: ng, to: 'http://a:b@c'"), CHECK_SAID ".to 'http://(not shown)@c': must be a host and a port, as in {address}:{port}, not a URL\n" },
	{ CHECK("type: tcp, to: '{address}'"), CHECK_SAID ".to '{address}': needs a port, as in {address}:{port}\n" },
	{ CHECK("type: tcp, to: '{address}:0'"), CHECK_SAID ".to '{address}:0': port '0': must be 1 to 65535, or {port}\n" },
	{ CHECK("type: ng, to: 'rtp.example.org:22222'"), CHECK_SAID ".to 'rtp.example.org:22222': c4d asks there itself and looks" },
	{ CHECK("type: ng, to: 'udp:{address}:22222'"), CHECK_SAID ".to 'udp:{address}:22222': port '{address}:22222': must be" },
	{ CHECK("type: binrpc, to: '/run/x'"), CHECK_SAID ".to '/run/x': must be unix:/PATH, tcp:IP:PORT, or the name of a section of" },
	{ CHECK("type: binrpc, to: 'unix:x'"), CHECK_SAID ".to 'unix:x': must be an absolute path, beginning with /\n" },
	{ CHECK("type: binrpc, to: 'tcp:kam:1'"), CHECK_SAID ".to 'tcp:kam:1': c4d asks there itself and looks no names up" },
	{ CHECK("type: binrpc, to: 'tcp:127.0.0.1'"), CHECK_SAID ".to 'tcp:127.0.0.1': needs a port" },
	{ CHECK("type: binrpc, to: sb") "kamailio: {sbc: {}}\n",
	    CHECK_SAID ".to 'sb': must be unix:/PATH, tcp:IP:PORT, or the name of a section of kamailio; did you mean 'sbc'?\n" },
	{ CHECK("type: exec, command: [check-disk, /var]"), CHECK_SAID ".command 'check-disk': the program must be an absolute path" },
	{ CHECK("type: exec, command: /bin/true"), CHECK_SAID ".command: must be a list in brackets: [word, ...], not a single value\n" },
	{ CHECK("type: exec, command: []"), CHECK_SAID ".command must not be empty; leave the key out" },
	{ REG "checks:\n      c:\n        type: exec\n        command:\n        - /bin/x\n        - '{prot}'\n",
	    "t.yml:10: register.a.checks.c.command '{prot}': unknown placeholder {prot}; there are" },
	{ CHECK("type: sip, interval: 5"), CHECK_SAID ".interval '5': a duration needs a unit, such as 15s\n" },
	{ CHECK("type: sip, interval: 99ms"), CHECK_SAID ".interval '99ms': out of range, 100ms to 1h\n" },
	{ CHECK("type: sip, interval: 2s, timeout: 3s"),
	    CHECK_SAID ".timeout '3s': is above the interval, 2s; lower the one or raise the other\n" },
	{ CHECK("type: sip, timeout: 11s"), CHECK_SAID ".timeout '11s': is above the interval, 10s" },
	{ CHECK("type: sip, timeout: 49ms"), CHECK_SAID ".timeout '49ms': out of range, 50ms to 1h\n" },
	{ CHECK("type: ttl, ttl: 500ms"), CHECK_SAID ".ttl '500ms': out of range, 1s to 1d\n" },
	{ CHECK("type: sip, failures: 0"), CHECK_SAID ".failures '0': out of range, 1 to 100\n" },
	{ CHECK("type: tcp, status: green"), CHECK_SAID ".status 'green': must be critical|warning|passing\n" },
	{ CHECK("type: tcp, deregister_critical_after: 31d"), CHECK_SAID ".deregister_critical_after '31d': out of range, 0s to 30d\n" },
	/* checks: what must be known, and what reaches whom */
	{ NOWHERE "type: sip, uri: 'sip:{address}'}}}\n",
	    "t.yml:2: register.a.checks.c.uri 'sip:{address}': {address} is not known: that of the Consul agent is used, which c4d "
	    "does not know; set address\n" },
	{ NOWHERE "type: tcp}}}\n", "t.yml:2: register.a.checks.c.to '{address}:{port}': {address} is not known" },
	{ NOWHERE "type: http, url: 'http://10.0.0.1:{port}/'}}}\n",
	    "t.yml:2: register.a.checks.c.url 'http://10.0.0.1:{port}/': {port} is not known; set port\n" },
	{ NOWHERE "type: exec, command: [/bin/x, '{port}']}}}\n", "t.yml:2: register.a.checks.c.command '{port}': {port} is not known" },
	{ NOWHERE "type: eid}}}\n", "t.yml:2: register.a.checks.c: a check of type eid asks at the section's address, which is that" },
	{ "register:\n  a: {address: vm.example.org, checks: {c: {type: sip, uri: 'sip:{address}'}}}\n",
	    "t.yml:2: register.a.checks.c.uri 'sip:{address}': c4d asks there itself and looks no names up" },
	{ CHECK("type: eid"), CHECK_SAID ": Consul will ask c4d's HTTP server at 10.0.0.1, where it does not listen; add 10.0.0.1:PORT to" },
	{ "http: {listen: ['0.0.0.0:9600']}\nregister:\n  a: {address: 'fd00::1', checks: {c: {type: eid}}}\n",
	    "t.yml:3: register.a.checks.c: Consul will ask c4d's HTTP server at fd00::1, where it does not listen" },
	{ "http: {listen: []}\nregister:\n  a: {address: 127.0.0.1, checks: {c: {type: eid}}}\n",
	    "t.yml:3: register.a.checks.c: a check of type eid asks c4d's HTTP server, and http.listen is empty" },
	/* environment */
	{ "\nstate: /var/${C4D_TEST_UNSET}/x\n",
	    "t.yml:2: state: environment variable C4D_TEST_UNSET is not set" },
	{ "state: /${}\n", "t.yml:1: state '${}': ${ begins the name of an environment variable" },
	{ "state: /${HOME\n",
	    "t.yml:1: state '${HOME': ${ begins the name of an environment variable" },
	{ "services:\n  a:\n    tags:\n    - ${C4D_TEST_UNSET}\n",
	    "t.yml:4: services.a.tags: environment variable C4D_TEST_UNSET is not set" },
	{ "services: {a: {interval: '${C4D_TEST_15}'}}\n",
	    "t.yml:1: services.a.interval '15': a duration needs a unit" },
	/* YAML */
	{ "state: /x\nlog: [\n", "t.yml:3: not YAML: " },
	{ "state: \"/x\n", "t.yml:2: not YAML: found unexpected end of stream, while scanning a "
			   "quoted scalar that begins at line 1" },
	{ "services:\n\ta: {}\n", "t.yml:2: not YAML: " },
	{ "log: info\n  state: /x\n",
	    "t.yml:2: not YAML: mapping values are not allowed in this context" },
	{ "log: info\n\xff: x\n", "t.yml:2: not YAML in UTF-8: " },
	{ "log: info\nstate: /\x01\n",
	    "t.yml:2: not YAML in UTF-8: control characters are not allowed" },
	{ "services:\n  a: &x {}\n",
	    "t.yml:2: anchor '&x': anchors and aliases are not supported" },
	{ "\nservices: *x\n", "t.yml:2: alias '*x': anchors and aliases are not supported" },
	{ "*x : 1\n", "t.yml:1: a key must be plain text; anchors and aliases" },
	{ "{a: 1}: 1\n", "t.yml:1: a key must be plain text" },
	{ "history_max: !!int 5\n",
	    "t.yml:1: YAML tag 'tag:yaml.org,2002:int': tags are not supported" },
	{ "log: info\n---\nlog: debug\n", "t.yml:2: a second YAML document" },
	{ "state: \"/a\\0b\"\n", "t.yml:1: a value holds a NUL byte" },
	{ "[[[[[[[[[[[[[[[[[[[[[[", "t.yml:1: nested deeper than 16 levels" },
};

static void
test_errors(void **state)
{
	size_t i, bad = 0;

	for (i = 0; i < NELEM(errors); i++) {
		char *said = load_bad(errors[i].text), *nl = strchr(said, '\n');

		if (strncmp(said, errors[i].said, strlen(errors[i].said)) != 0 || nl[1] != '\0') {
			print_error(
			    "%s\nsaid:\n%sinstead of:\n%s\n", errors[i].text, said, errors[i].said);
			bad++;
		}
		free(said);
	}
	assert_int_equal(bad, 0);
}

/* It loads, and one thing is said of it. */
static const struct {
	const char *text;
	const char *said; /* NULL: nothing */
} warnings[] = {
	{ "consul:\n  ca_file: /ca.pem\n",
	    "t.yml:2: warning: consul.ca_file: has no effect with consul.http 'http://127.0.0.1:8500'; remove it, or write "
	    "https://IP:PORT there\n" },
	{ "consul: {http: 'unix:/run/consul.sock', verify: false}\n", "t.yml:1: warning: consul.verify: has no effect with consul.http" },
	{ "consul: {server_name: consul.example}\n", "t.yml:1: warning: consul.server_name: has no effect" },
	{ "consul: {http: 'https://[::1]:8501', ca_file: /a, cert_file: /b, key_file: /c, server_name: c.example, verify: false}\n", NULL },
	{ "consul: {http: 'https://127.0.0.1:8501', server_name: 10.0.0.1, wake: index}\n", NULL },
	{ "consul: {http: 'unix:/run/consul.sock', wake: index}\n", NULL },
	{ "ari: {url: 'http://127.0.0.1:8088/ari'}\n", "t.yml:1: warning: ari.url: without ari.user and ari.password_file Asterisk" },
	{ "ari: {user: a, password_file: /p}\n",
	    "t.yml:1: warning: ari.user: has no effect without ari.url\nt.yml:1: warning: ari.password_file: has no effect without" },
	{ "routing: {token_file: /t}\n", "t.yml:1: warning: routing.token_file: has no effect without routing.api" },
	{ "routing: {api: true}\nhttp: {listen: ['10.0.0.1:9600']}\n", "t.yml:1: warning: routing.api: http.listen is not only on loopback" },
	{ "routing: {api: true, token_file: /t}\nhttp: {listen: ['10.0.0.1:9600']}\n", NULL },
	{ "register:\n  a_b: {}\n", "t.yml:2: warning: register.a_b.name 'a_b': Consul warns of '_' in a service's name" },
	{ REG "name: a_b\n", "t.yml:5: warning: register.a.name 'a_b': Consul warns of '_'" },
	{ REG "name: A-1\n", NULL },
	{ CHECK("type: sip, deregister_critical_after: 59s"),
	    "t.yml:6: warning: register.a.checks.c.deregister_critical_after: Consul takes less than 1m as 1m, and looks every 30 s only\n" },
	{ CHECK("type: sip, deregister_critical_after: 1m"), NULL },
	{ CHECK("type: tcp, interval: 500ms"),
	    "t.yml:6: warning: register.a.checks.c.interval '500ms': Consul makes this check, and takes less than 1s as 1s\n" },
	{ CHECK("type: sip, interval: 500ms"), NULL },
	{ REG "on_stop: keep\n    drain: 5s\n", "t.yml:6: warning: register.a.drain: has no effect with on_stop: keep" },
	{ REG "on_stop: maintenance\n    drain: 5s\n", "t.yml:6: warning: register.a.drain: has no effect with on_stop: maintenance" },
	{ REG "drain: 5s\n", NULL },
	/* whom c4d's HTTP server reaches */
	{ "register:\n  a: {address: '{ip:eth0}', checks: {c: {type: eid}}}\n",
	    "t.yml:2: warning: register.a.checks.c: Consul will ask c4d's HTTP server at {ip:eth0}; whether it listens there cannot be "
	    "known; add {ip:eth0}:PORT to http.listen\n" },
	{ "register:\n  a: {address: vm.example.org, checks: {c: {type: eid}}}\n", "t.yml:2: warning: register.a.checks.c: Consul will" },
	{ "http: {listen: ['10.0.0.2:9600']}\nregister:\n  a: {address: 10.0.0.1, checks: {c: {type: eid}}}\n", "t.yml:3: warning: " },
	{ "http: {listen: ['{ip:eth1}:9600']}\nregister:\n  a: {address: '{ip:eth0}', checks: {c: {type: eid}}}\n", "t.yml:3: warning: " },
	{ "http: {listen: ['[::]:9600']}\nregister:\n  a: {address: 10.0.0.1, checks: {c: {type: eid}}}\n", "t.yml:3: warning: " },
	{ "register:\n  a: {address: 127.0.0.1, checks: {c: {type: eid}}}\n", NULL },
	{ "http: {listen: ['10.0.0.1:1']}\nregister:\n  a: {address: 10.0.0.1, checks: {c: {type: eid}}}\n", NULL },
	{ "http: {listen: ['0.0.0.0:1']}\nregister:\n  a: {address: 10.0.0.1, checks: {c: {type: eid}}}\n", NULL },
	{ "http: {listen: ['0.0.0.0:1']}\nregister:\n  a: {address: '{ip:eth0}', checks: {c: {type: eid}}}\n", NULL },
	{ "http: {listen: ['127.0.0.1:1', '[::]:1']}\nregister:\n  a: {address: '{ip6:eth0}', checks: {c: {type: eid}}}\n", NULL },
	{ "http: {listen: ['127.0.0.1:1', '{ip:eth0}:1']}\nregister:\n  a: {address: '{ip:eth0}', checks: {c: {type: eid}}}\n", NULL },
	{ CHECK("type: eid, url: 'http://{address}:9700'"), NULL },
	/* what is fine */
	{ "ari: {url: 'https://127.0.0.1:8089', user: a, password_file: /p}\nregister: {a: {eid: asterisk, id: '{eid}'}}\n", NULL },
	{ REG "meta: {a: '', b: '{\"id\": 1}', c: '{address}:{port} {id} {name} {eid} {hostname}', weight: 5}\n", NULL },
	{ REG "dispatcher: {group: '{\"id\": 1}', priority: 0, weight: 50, max_calls: 10, flags: 8}\n", NULL },
	{ REG "tags: ['urlprefix-/ strip=/x', 'ä.b', TCP]\n", NULL },
	{ "register:\n  a: {name: x}\n  b: {name: x}\n", NULL },
	{ "register:\n  a: {id: '{eid}', eid: p}\n  b: {id: '{eid}', eid: q}\n", NULL },
	{ CHECK("type: http, url: 'http://vm.example.org/a?b={name}&c={eid}#d'"), NULL },
	{ CHECK("type: https, url: 'https://[fd00::1]:{port}'"), NULL },
	{ CHECK("type: tcp, to: 'db.example.org:5432'"), NULL },
	{ CHECK("type: ng, to: '[::1]:22222'"), NULL },
	{ CHECK("type: binrpc, to: 'tcp:{address}:2046'"), NULL },
	{ CHECK("type: sip, uri: 'sip:ping@{address}:{port};lr;Transport=TCP'"), NULL },
	{ CHECK("type: exec, command: [/bin/a, b, b, '', '{ print }', '{address}']"), NULL },
	{ CHECK("type: ttl, ttl: 1h, status: passing"), NULL },
};

static void
test_warnings(void **state)
{
	size_t i, bad = 0;

	for (i = 0; i < NELEM(warnings); i++) {
		const char *text = warnings[i].text, *want = warnings[i].said;
		struct buf said = { 0 };
		struct conf *conf = NULL;

		if (conf_load_text(&conf, "t.yml", text, strlen(text), collect, &said) != 0 || conf == NULL ||
		    (want == NULL ? said.s != NULL : said.s == NULL || strncmp(said.s, want, strlen(want)) != 0)) {
			print_error("%s\nsaid:\n%s\ninstead of:\n%s\n", text, said.s ? said.s : "(nothing)", want ? want : "(nothing)");
			bad++;
		}
		buf_free(&said);
		conf_free(conf);
	}
	assert_int_equal(bad, 0);
}

/* Warnings stand between the errors, by their lines, and only the errors make it fail. */
static void
test_warnings_and_errors(void **state)
{
	char *said = load_bad("register:\n  a_a: { prt: 1 }\n  b_b: {}\nlog: x\n");

	assert_string_equal(said, "t.yml:2: unknown key 'register.a_a.prt'; did you mean 'port'?\n"
				  "t.yml:2: warning: register.a_a.name 'a_a': Consul warns of '_' in a service's name, for it has a "
				  "meaning of its own in DNS; use '-'\n"
				  "t.yml:3: warning: register.b_b.name 'b_b': Consul warns of '_' in a service's name, for it has a "
				  "meaning of its own in DNS; use '-'\n"
				  "t.yml:4: log 'x': must be error|warning|notice|info|debug\n");
	free(said);
}

/* What loads as the address of the agent is what the client can be made with. */
static void
test_consul_urls(void **state)
{
	static const struct {
		const char *url;
		bool good;
	} rows[] = {
		{ "http://127.0.0.1:8500", true }, { "https://127.0.0.1:8501", true }, { "http://[::1]:1", true },
		{ "https://[fd00::1]:65535", true }, { "unix:/run/consul.sock", true }, { "unix:///run/consul.sock", true },
		{ "http://127.0.0.1:8500/", false }, { "http://127.0.0.1:0", false }, { "http://127.0.0.1", false },
		{ "http://127.0.0.1:65536", false }, { "http://::1:8500", false }, { "https://localhost:8501", false },
		{ "http://a@127.0.0.1:8500", false }, { "HTTP://127.0.0.1:8500", false }, { "unix:run/consul.sock", false },
		{ "unix:/", false }, { "unix:", false }, { "tcp://127.0.0.1:8500", false }, { "http://127.0.0.1:+1", false },
		{ "http://127.0.0.1:0x50", false }, { "http://[::1%lo]:80", false }, { "http://127.1:80", false },
	};
	char why[256];
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		char *text = xasprintf("consul: { http: '%s' }\n", rows[i].url);
		struct buf said = { 0 };
		struct conf *conf = NULL;
		bool loads = conf_load_text(&conf, "t.yml", text, strlen(text), collect, &said) == 0;

		if (loads != rows[i].good || (http_url_check(rows[i].url, why, sizeof why) == 0) != rows[i].good)
			fail_msg("%s: %s, %s", rows[i].url, said.s, why);
		free(text);
		buf_free(&said);
		conf_free(conf);
	}
}

static void
test_all_errors_at_once(void **state)
{
	char *said = load_bad("kamailio:\n"
			      "  sbc:\n"
			      "    pol: 1s\n"
			      "    dispatcher:\n"
			      "      1: { service: nobody, flags: 4, uri: 'x' }\n"
			      "services:\n"
			      "  a: { interval: 5, max_shrink: 101 }\n"
			      "  a: {}\n"
			      "state: x\n");
	static const char *const want =
	    "t.yml:2: kamailio.sbc: has dispatcher sets but no list_file; set it to the dispatcher "
	    "module's list_file\n"
	    "t.yml:3: unknown key 'kamailio.sbc.pol'; did you mean 'poll'?\n"
	    "t.yml:5: kamailio.sbc.dispatcher.1.flags '4': the D bit (4) is c4d's: it takes "
	    "destinations out of service; "
	    "leave it out\n"
	    "t.yml:5: kamailio.sbc.dispatcher.1.uri 'x': must begin with sip: or sips:\n"
	    "t.yml:5: kamailio.sbc.dispatcher.1.service 'nobody': is not among the services; add "
	    "services.nobody\n"
	    "t.yml:7: services.a.interval '5': a duration needs a unit, such as 15s\n"
	    "t.yml:7: services.a.max_shrink '101': out of range, 0 to 100\n"
	    "t.yml:8: key 'a' is repeated: it already stands at line 7; remove one of them\n"
	    "t.yml:9: state 'x': must be an absolute path, beginning with /\n";

	assert_string_equal(said, want);
	free(said);
}

/* What is wrong already is not said a second time in other words. */
static void
test_no_cascades(void **state)
{
	static const char *const texts[] = {
		"consul: {domain: 'a b'}\nservices: {a: {names: [a.service.voip], tags: [x]}}\n",
		"services: {a: {}}\nkamailio: {k: {list_file: x, dispatcher: {1: {service: a}}}}\n",
		"kamailio: {k: {list_file: /x, dispatcher: {1: {service: [a]}}}}\n",
		"services: {a: {max_instances: x, min_instances: 5000}}\n",
		"kamailio: {k: {list_file: /x, dispatcher: {1: {service: a}}}}\nservices: [\n",
		"consul: {http: x, ca_file: /c}\n",
		"consul: {http: 'https://1.1.1.1:1', cert_file: c, key_file: /k}\n",
		"ari: {url: x}\nregister: {a: {eid: asterisk}}\n",
		"http: {listen: [x]}\nregister: {a: {address: 10.0.0.1, checks: {c: {type: eid}}}}\n",
		"register: {a: {address: 0.0.0.0, port: 5, checks: {s: {type: sip}, e: {type: eid}, t: {type: tcp}}}}\n",
		"register: {a: {address: 10.0.0.1, port: x, checks: {s: {type: sip}}}}\n",
		"register: {a: {name: x y, id: x}, b: {id: q}}\n",
		"register: {a: {id: 'a b'}, b: {id: 'a'}}\n",
		"register: {a: {checks: {c: {type: x, url: 'http://a/', interval: 5s}}}}\n",
		"register: {a: {checks: {c: {type: http, url: x}}}}\n",
		"register: {a: {checks: {c: {type: exec, command: [{}]}}}}\n",
		"register: {a: {checks: {c: {type: ttl, ttl: 5}}}}\n",
		"register: {a: {checks: {c: {type: binrpc, to: 'a b'}}}}\n",
		"register: {a: {checks: {c: {type: tcp, to: '{address}:1', interval: x}}, address: 1.1.1.1}}\n",
		"register: {a: {meta: {eid: x}, dispatcher: {weight: 1}}}\n",
		"register: {a: {on_stop: x, drain: 5s}}\n",
		"register: {a: {tagged_addresses: {lan: {address: x y}}}}\n",
	};
	size_t i;

	for (i = 0; i < NELEM(texts); i++) {
		char *said = load_bad(texts[i]);

		if (strchr(said, '\n')[1] != '\0')
			fail_msg("%s\nsaid:\n%s", texts[i], said);
		free(said);
	}
}

static void
check_defaults(const struct conf *conf)
{
	assert_string_equal(conf->state, "/var/lib/c4d");
	assert_int_equal(conf->store_size, 1 << 30);
	assert_int_equal(conf->history_keep_ms, INT64_C(90) * 86400000);
	assert_int_equal(conf->history_max, 10000);
	assert_string_equal(conf->log, "info");
	assert_string_equal(conf->control_socket, "/run/c4d/control.sock");
	assert_null(conf->control_group);
	assert_string_equal(conf->control_admin_group, "c4d-admin");
	assert_int_equal(conf->dns.n, 1);
	assert_string_equal(conf->dns.v[0], "127.0.0.1:8600");
	assert_string_equal(conf->http, "http://127.0.0.1:8500");
	assert_null(conf->token_file);
	assert_string_equal(conf->domain, "consul");
	assert_string_equal(conf->wake, "dns");
	assert_int_equal(conf->budget, 1);
	assert_int_equal(conf->dns_timeout_ms, 2000);
	assert_true(conf->verify);
	assert_false(conf->events);
	assert_int_equal(conf->stop_timeout_ms, 10000);
	assert_null(conf->ca_file);
	assert_null(conf->cert_file);
	assert_null(conf->key_file);
	assert_null(conf->server_name);
	assert_int_equal(conf->listen.n, 1);
	assert_string_equal(conf->listen.v[0], "127.0.0.1:9600");
	assert_null(conf->routing_file);
	assert_null(conf->routing_kv);
	assert_false(conf->routing_api);
	assert_int_equal(conf->routing_clients.n, 2);
	assert_string_equal(conf->routing_clients.v[0], "127.0.0.0/8");
	assert_int_equal(conf->routing_prefixes[1].family, 6);
	assert_int_equal(conf->fr_timer_ms, 5000);
	assert_int_equal(conf->fr_inv_timer_ms, 30000);
	assert_int_equal(conf->cdr_keep_ms, INT64_C(90) * 24 * 3600 * 1000);
	assert_int_equal(conf->cdr_max, 1000000);
	assert_null(conf->cdr_forward);
	assert_null(conf->ari_url);
	assert_null(conf->ari_user);
	assert_null(conf->ari_password_file);
	check_item(conf, "store_size", "1G", "default");
	check_item(conf, "history_keep", "90d", "default");
	check_item(conf, "control.group", "", "default");
	check_item(conf, "control.admin_group", "c4d-admin", "default");
	check_item(conf, "consul.dns", "127.0.0.1:8600", "default");
}

static void
test_empty_files_are_all_defaults(void **state)
{
	static const char *const texts[] = { "", "# nothing\n", "---\n", "---\n...\n", "{}\n",
		"~\n", "\xef\xbb\xbf", "services:\nkamailio:\ncontrol:\nconsul: ~\n",
		"services: {}\n", "state:\nconsul: {dns: }\n" };
	size_t i;

	for (i = 0; i < NELEM(texts); i++) {
		struct conf *conf = load_ok(texts[i]);

		check_defaults(conf);
		assert_int_equal(conf->n_services, 0);
		assert_int_equal(conf->n_kamailios, 0);
		conf_free(conf);
	}
}

static void
test_section_defaults(void **state)
{
	struct conf *conf = load_ok("services: { rtp: {}, sbc: }\n"
				    "kamailio: { k: { list_file: /f, dispatcher: { 7: { service: "
				    "rtp, tag: { x: } } } } }\n");
	const struct conf_service *s = conf_find_service(conf, "sbc");
	const struct conf_kamailio *k = conf_find_kamailio(conf, "k");
	const struct conf_set *set;

	assert_non_null(s);
	assert_int_equal(s->names.n, 1);
	assert_string_equal(s->names.v[0], "sbc.service.consul");
	assert_int_equal(s->tags.n, 0);
	assert_int_equal(s->interval_ms, 1000);
	assert_int_equal(s->min_instances, 1);
	assert_int_equal(s->max_instances, 1024);
	assert_int_equal(s->max_shrink, 50);
	assert_int_equal(s->shrink_window_ms, 300000);
	assert_int_equal(s->shrink_hold_ms, 60000);
	assert_int_equal(s->empty_rounds, 3);
	assert_int_equal(s->empty_hold_ms, 120000);
	assert_int_equal(s->remove_hold_ms, 600000);
	assert_int_equal(s->networks.n, 0);

	assert_non_null(k);
	assert_string_equal(k->binrpc, "unix:/run/kamailio/kamailio_ctl");
	assert_string_equal(k->strategy, "reload");
	assert_int_equal(k->reload_delta_ms, 5000);
	assert_int_equal(k->timeout_ms, 2000);
	assert_int_equal(k->poll_ms, 2000);
	assert_true(k->probing);
	set = k->sets[0];
	assert_int_equal(set->id, 7);
	assert_string_equal(set->service, "rtp");
	assert_string_equal(set->uri, "sip:{address}:{port}");
	assert_int_equal(set->flags, 0);
	assert_int_equal(set->priority, 0);
	assert_null(set->attrs);
	assert_true(set->exclusive);
	assert_null(set->tags[0]->uri);
	assert_null(set->tags[0]->attrs);
	assert_int_equal(set->tags[0]->flags, -1);
	assert_int_equal(set->tags[0]->priority, -1);
	assert_null(conf_find_service(conf, "nobody"));
	assert_null(conf_find_kamailio(conf, "nobody"));
	conf_free(conf);
}

static void
test_values(void **state)
{
	struct conf *conf =
	    load_ok("state: /s/\nlog: debug\nstore_size: 64M\nhistory_keep: 1h30m\n"
		    "control: { socket: /c, group: c4d, admin_group: voip }\n"
		    "consul:\n  dns: ['10.0.0.1:53', '[::1]:8600']\n  domain: Voip.Example.\n"
		    "services:\n"
		    "  b:\n"
		    "    names: [B.service.DC1.voip.example., q.query.voip.example]\n"
		    "    networks: [10.0.0.0/8, 'fd00::/8']\n"
		    "  a: { tags: [z, m] }\n"
		    "kamailio:\n"
		    "  k:\n"
		    "    binrpc: 'tcp:[::1]:2046'\n    list_file: /f\n    probing: NO\n"
		    "    dispatcher:\n"
		    "      2: { service: a, flags: 56, exclusive: off, attrs: '' }\n"
		    "      1:\n"
		    "        service: a\n"
		    "        attrs: weight={weight};p={priority}\n"
		    "        priority: 3\n"
		    "        tag:\n"
		    "          z: { priority: 0, attrs: '' }\n"
		    "          c: { uri: 'sips:{address}:5061', flags: 8 }\n");
	const struct conf_service *a = conf_find_service(conf, "a"),
				  *b = conf_find_service(conf, "b");
	const struct conf_kamailio *k = conf->kamailios[0];
	struct topo_addr addr;

	assert_string_equal(conf->state, "/s");
	assert_int_equal(conf->store_size, 64 << 20);
	assert_int_equal(conf->history_keep_ms, 5400000);
	assert_string_equal(conf->domain, "voip.example");
	assert_string_equal(conf->control_group, "c4d");
	assert_string_equal(conf->control_admin_group, "voip");
	assert_string_equal(conf->services[0]->name, "b"); /* in the order written */
	assert_string_equal(b->names.v[0], "b.service.dc1.voip.example");
	assert_string_equal(b->names.v[1], "q.query.voip.example");
	assert_string_equal(a->names.v[0], "a.service.voip.example");
	assert_int_equal(topo_addr_parse("10.1.2.3:1", &addr), 0);
	assert_true(topo_prefix_has(&b->prefixes[0], &addr));
	assert_int_equal(b->prefixes[1].family, 6);
	/* configured and used by sets, sorted */
	assert_int_equal(a->tags.n, 3);
	assert_string_equal(a->tags.v[0], "c");
	assert_string_equal(a->tags.v[1], "m");
	assert_string_equal(a->tags.v[2], "z");
	assert_false(k->probing);
	assert_int_equal(k->sets[0]->id, 2);
	assert_int_equal(k->sets[0]->flags, 56);
	assert_false(k->sets[0]->exclusive);
	assert_null(k->sets[0]->attrs);
	assert_string_equal(k->sets[1]->tags[0]->name, "z"); /* not sorted: the first wins */
	assert_int_equal(k->sets[1]->tags[0]->priority, 0);
	assert_string_equal(k->sets[1]->tags[0]->attrs, "");
	assert_int_equal(k->sets[1]->tags[1]->flags, 8);

	check_item(conf, "state", "/s", "t.yml:1");
	check_item(conf, "history_keep", "1h30m", "t.yml:4");
	check_item(conf, "consul.dns", "10.0.0.1:53, [::1]:8600", "t.yml:7");
	check_item(conf, "services.a.tags", "c, m, z", "t.yml:13");
	check_item(conf, "services.a.names", "a.service.voip.example", "default");
	check_item(conf, "kamailio.k.probing", "false", "t.yml:18");
	/* what a tag does not say is the set's */
	check_item(conf, "kamailio.k.dispatcher.1.tag.c.priority", "3", "t.yml:24");
	check_item(conf, "kamailio.k.dispatcher.1.tag.z.priority", "0", "t.yml:26");
	check_item(conf, "kamailio.k.dispatcher.1.tag.z.attrs", "", "t.yml:26");
	conf_free(conf);
}

static const struct conf_check *
check_of(const struct conf_register *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->n_checks; i++)
		if (strcmp(r->checks[i]->name, name) == 0)
			return r->checks[i];
	fail_msg("no check %s", name);
	return NULL;
}

static void
test_register_defaults(void **state)
{
	struct conf *conf = load_ok("register:\n  sbc:\n  a: { address: 10.0.0.1, port: 5060, tagged_addresses: { lan: { address: "
				    "10.0.0.2 } }, checks: {\n"
				    "    http: { type: http, url: 'http://a/' }, tcp: { type: tcp }, ttl: { type: ttl, ttl: 30s },\n"
				    "    sip: { type: sip }, ng: { type: ng, interval: 400ms }, exec: { type: exec, command: [/a] } } }\n");
	const struct conf_register *r = conf->registers[0], *a = conf->registers[1];
	const struct conf_check *c;

	assert_int_equal(conf->n_registers, 2);
	assert_string_equal(r->name, "sbc");
	assert_string_equal(r->service, "sbc");
	assert_string_equal(r->id, "{hostname}-{name}");
	assert_null(r->address);
	assert_int_equal(r->port, 0);
	assert_int_equal(r->tags.n + r->n_tagged + r->meta.n + r->dispatcher.n + r->n_checks, 0);
	assert_int_equal(r->weight, 1);
	assert_int_equal(r->weight_warning, 1);
	assert_false(r->enable_tag_override);
	assert_string_equal(r->eid, "machine");
	assert_string_equal(r->when, "healthy");
	assert_string_equal(r->on_stop, "deregister");
	assert_int_equal(r->at_stop, ON_STOP_DEREGISTER);
	assert_int_equal(r->drain_ms, 0);
	assert_true(r->verify_dns);
	check_item(conf, "register.sbc.name", "sbc", "default");

	assert_string_equal(a->tagged[0]->name, "lan");
	assert_int_equal(a->tagged[0]->port, 0);
	c = check_of(a, "http");
	assert_int_equal(c->kind, CHECK_HTTP);
	assert_string_equal(c->method, "GET");
	assert_string_equal(c->status, "critical");
	assert_false(c->tls_skip_verify);
	assert_int_equal(c->interval_ms, 10000);
	assert_int_equal(c->timeout_ms, 1000);
	assert_int_equal(c->failures, 1);
	assert_int_equal(c->deregister_after_ms, 0);
	assert_null(c->uri);
	assert_null(c->to);
	assert_string_equal(check_of(a, "tcp")->to, "{address}:{port}");
	assert_int_equal(check_of(a, "ttl")->ttl_ms, 30000);
	assert_string_equal(check_of(a, "sip")->uri, "sip:{address}:{port}");
	assert_null(check_of(a, "sip")->status);
	c = check_of(a, "ng");
	assert_string_equal(c->to, "{address}:{port}");
	assert_int_equal(c->interval_ms, 400);
	assert_int_equal(c->timeout_ms, 400); /* the interval at most */
	check_item(conf, "register.a.checks.ng.timeout", "400ms", "default");
	check_item(conf, "register.a.checks.sip.uri", "sip:{address}:{port}", "default");
	conf_free(conf);
}

static void
test_register_values(void **state)
{
	struct conf *conf = load_ok("http:\n  listen: ['[::1]:80', '{ip6:eth0}:9600']\n"
				    "consul: { http: 'https://10.0.0.9:8501', ca_file: /ca, cert_file: /cert, key_file: /key,\n"
				    "  server_name: Agent.Example., verify: no, events: yes, stop_timeout: 250ms }\n"
				    "ari: { url: 'http://127.0.0.1:8088/ari', user: c4d, password_file: /pw }\n"
				    "kamailio: { sbc: { binrpc: 'unix:/kam', tables: /t, domain: { kv: c4/domains } } }\n"
				    "register:\n"
				    "  x:\n"
				    "    name: Router\n    id: '{hostname}:{port}'\n    tags: [z, a]\n    address: '{ip6:eth0}'\n"
				    "    port: 5080\n    weight: 65535\n    weight_warning: 0\n    enable_tag_override: on\n"
				    "    eid: asterisk\n    when: now\n    on_stop: maintenance\n    verify_dns: off\n"
				    "    tagged_addresses: { wan: { address: 'fd00::1', port: 1 }, lan: { address: '{ip:eth1}' } }\n"
				    "    meta:\n      z: ${C4D_TEST_15}\n      a: ''\n"
				    "    dispatcher: { max_calls: unlimited }\n"
				    "    checks:\n"
				    "      api: { type: https, url: 'https://{address}/s', method: HEAD, headers: { X-B: s3cret, A: '' },\n"
				    "             tls_skip_verify: yes, interval: 1m, timeout: 1m, status: warning, "
				    "deregister_critical_after: 2h }\n"
				    "      rpc: { type: binrpc, to: sbc, failures: 3 }\n"
				    "      run: { type: exec, command: [/bin/x, a, a, '', 'b, c'] }\n");
	const struct conf_register *r = conf->registers[0];
	const struct conf_check *c = check_of(r, "api");
	size_t i;

	assert_int_equal(conf->listen.n, 2);
	assert_string_equal(conf->listen.v[1], "{ip6:eth0}:9600");
	assert_string_equal(conf->http, "https://10.0.0.9:8501");
	assert_string_equal(conf->ca_file, "/ca");
	assert_string_equal(conf->cert_file, "/cert");
	assert_string_equal(conf->key_file, "/key");
	assert_string_equal(conf->server_name, "agent.example");
	assert_false(conf->verify);
	assert_true(conf->events);
	assert_int_equal(conf->stop_timeout_ms, 250);
	assert_string_equal(conf->ari_url, "http://127.0.0.1:8088/ari");
	assert_string_equal(conf->ari_user, "c4d");
	assert_string_equal(conf->ari_password_file, "/pw");
	assert_string_equal(conf->kamailios[0]->domain_kv, "c4/domains");

	assert_string_equal(r->name, "x");
	assert_string_equal(r->service, "Router");
	assert_string_equal(r->id, "{hostname}:{port}");
	assert_string_equal(r->tags.v[0], "z"); /* in the order written */
	assert_string_equal(r->address, "{ip6:eth0}");
	assert_int_equal(r->port, 5080);
	assert_int_equal(r->weight, 65535);
	assert_int_equal(r->weight_warning, 0);
	assert_true(r->enable_tag_override);
	assert_string_equal(r->eid, "asterisk");
	assert_string_equal(r->when, "now");
	assert_int_equal(r->at_stop, ON_STOP_MAINTENANCE);
	assert_false(r->verify_dns);
	assert_int_equal(r->n_tagged, 2);
	assert_string_equal(r->tagged[0]->address, "fd00::1");
	assert_int_equal(r->tagged[0]->port, 1);
	assert_string_equal(r->tagged[1]->address, "{ip:eth1}");
	assert_int_equal(r->meta.n, 2);
	assert_string_equal(r->meta.keys[0], "z");
	assert_string_equal(r->meta.values[0], "15");
	assert_string_equal(r->meta.values[1], "");
	assert_string_equal(r->dispatcher.values[0], "unlimited");

	assert_int_equal(c->kind, CHECK_HTTP);
	assert_string_equal(c->type, "https");
	assert_string_equal(c->method, "HEAD");
	assert_string_equal(c->headers.keys[0], "X-B");
	assert_string_equal(c->headers.values[0], "s3cret");
	assert_true(c->tls_skip_verify);
	assert_int_equal(c->timeout_ms, 60000);
	assert_string_equal(c->status, "warning");
	assert_int_equal(c->deregister_after_ms, 7200000);
	c = check_of(r, "rpc");
	assert_int_equal(c->kind, CHECK_BINRPC);
	assert_string_equal(c->to, "unix:/kam"); /* of the section that is named */
	assert_int_equal(c->failures, 3);
	c = check_of(r, "run");
	assert_int_equal(c->kind, CHECK_EXEC);
	assert_int_equal(c->command.n, 5);
	assert_string_equal(c->command.v[2], "a");
	assert_string_equal(c->command.v[3], "");

	check_item(conf, "register.x.meta", "z: 15, a: ", "t.yml:22");
	check_item(conf, "register.x.checks.api.headers", "X-B: (not shown), A: (not shown)", "t.yml:27");
	check_item(conf, "register.x.checks.rpc.to", "unix:/kam", "t.yml:29");
	for (i = 0; i < conf->n_items; i++)
		assert_null(strstr(conf->items[i].value, "s3cret"));
	conf_free(conf);
}

static void
test_environment(void **state)
{
	struct conf *conf;

	setenv("C4D_TEST_DIR", "var", 1);
	setenv("C4D_TEST_TAG", "blue", 1);
	conf = load_ok("state: /${C4D_TEST_DIR}/${C4D_TEST_DIR}\n"
		       "control: { socket: '/x/$${C4D_TEST_DIR}$$/$' }\n"
		       "services: { a: { tags: ['${C4D_TEST_TAG}'] } }\n");
	assert_string_equal(conf->state, "/var/var");
	assert_string_equal(conf->control_socket, "/x/${C4D_TEST_DIR}$$/$");
	assert_string_equal(conf->services[0]->tags.v[0], "blue");
	conf_free(conf);
}

/* Files in a directory of their own. */
struct dir {
	char path[64];
	char *main;
};

static void
put(const struct dir *d, const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", d->path, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	free(path);
}

static void
make_dir(const struct dir *d, const char *name)
{
	char *path = xasprintf("%s/%s", d->path, name);

	assert_int_equal(mkdir(path, 0700), 0);
	free(path);
}

static int
setup(void **state)
{
	struct dir *d = xcalloc(1, sizeof *d);

	strcpy(d->path, "/tmp/c4d-conf-XXXXXX");
	if (mkdtemp(d->path) == NULL)
		return -1;
	d->main = xasprintf("%s/c4d.yml", d->path);
	make_dir(d, "conf.d");
	*state = d;
	return 0;
}

static int
teardown(void **state)
{
	static const char *const names[] = { "c4d.yml", "conf.d/10-a.yml", "conf.d/20-b.yml",
		"conf.d/9.yml", "conf.d/.hidden.yml", "conf.d/notes.txt", "conf.d/loop.yml",
		"conf.d", "" };
	struct dir *d = *state;
	size_t i;

	for (i = 0; i < NELEM(names); i++) {
		char *path = xasprintf("%s/%s", d->path, names[i]);

		(void)remove(path);
		free(path);
	}
	free(d->main);
	free(d);
	return 0;
}

/* What is said, with the directory's path taken away. */
static char *
load_dir(const struct dir *d, struct conf **conf)
{
	struct buf said = { 0 }, out = { 0 };
	size_t len = strlen(d->path);
	const char *p;
	int err;

	*conf = NULL;
	err = conf_load(conf, d->main, collect, &said);
	assert_int_equal(err == 0, said.s == NULL);
	assert_int_equal(*conf != NULL, said.s == NULL);
	buf_puts(&out, "");
	for (p = said.s; p != NULL && *p; p++) {
		if (strncmp(p, d->path, len) == 0)
			p += len + 1;
		buf_add(&out, p, 1);
	}
	buf_free(&said);
	return buf_take(&out);
}

static void
test_conf_d(void **state)
{
	const struct dir *d = *state;
	struct conf *conf;
	char *said, *origin;

	put(d, "c4d.yml",
	    "log: info\nhistory_max: 5\nservices:\n  a: { interval: 2s, tags: [x, y] }\n");
	put(d, "conf.d/10-a.yml", "log: debug\nservices:\n  b:\n  a:\n    tags: [z]\n");
	put(d, "conf.d/20-b.yml",
	    "log: error\nservices:\n  a:\n    max_shrink: 10\nhistory_max: ~\n");
	put(d, "conf.d/9.yml", "log: notice\n");
	put(d, "conf.d/.hidden.yml", "what is this");
	put(d, "conf.d/notes.txt", "what is this");
	said = load_dir(d, &conf);
	assert_string_equal(said, "");
	assert_string_equal(conf->log, "notice"); /* "10" before "20" before "9" */
	assert_int_equal(conf->n_services, 2);
	assert_string_equal(conf->services[0]->name, "a");
	assert_int_equal(conf->services[0]->interval_ms, 2000);
	assert_int_equal(conf->services[0]->max_shrink, 10);
	assert_int_equal(conf->services[0]->tags.n, 1); /* a list is replaced as a whole */
	assert_string_equal(conf->services[0]->tags.v[0], "z");
	assert_int_equal(conf->history_max, 10000); /* null takes it back */
	check_item(conf, "history_max", "10000", "default");
	origin = xasprintf("%s/conf.d/10-a.yml:5", d->path);
	check_item(conf, "services.a.tags", "z", origin);
	free(origin);
	origin = xasprintf("%s:4", d->main);
	check_item(conf, "services.a.interval", "2s", origin);
	free(origin);
	free(said);
	conf_free(conf);
}

static void
test_conf_d_errors(void **state)
{
	const struct dir *d = *state;
	struct conf *conf;
	char *said;

	/* Wrong in the main file is wrong, though a later file replaces it. */
	put(d, "c4d.yml", "log: loud\nkamailio: { k: { dispatcher: { 1: { service: b } } } }\n");
	put(d, "conf.d/10-a.yml", "log: info\nkamailio: { k: { list_file: f } }\n");
	put(d, "conf.d/20-b.yml", "\n\nservices: { bb: }\n");
	said = load_dir(d, &conf);
	assert_string_equal(said,
	    "c4d.yml:1: log 'loud': must be error|warning|notice|info|debug\n"
	    "c4d.yml:2: kamailio.k.dispatcher.1.service 'b': is not among the services; did you "
	    "mean 'bb'?\n"
	    "conf.d/10-a.yml:2: kamailio.k.list_file 'f': must be an absolute path, beginning with "
	    "/\n");
	free(said);

	/* One syntax error per file; what is missing may stand in the broken file. */
	put(d, "c4d.yml",
	    "kamailio: { k: { list_file: /f, dispatcher: { 1: { service: b } } } }\n");
	put(d, "conf.d/10-a.yml", "services: { b: }\n}\n}\n");
	put(d, "conf.d/20-b.yml", "log: loud\n");
	said = load_dir(d, &conf);
	assert_string_equal(said,
	    "conf.d/10-a.yml:2: not YAML: did not find expected key, while parsing a block mapping "
	    "that begins at line 1\n"
	    "conf.d/20-b.yml:1: log 'loud': must be error|warning|notice|info|debug\n");
	free(said);
}

static void
test_unreadable(void **state)
{
	struct dir *d = *state, elsewhere = *d;
	struct conf *conf;
	char *said, *cwd = get_current_dir_name();

	assert_non_null(cwd);
	said = load_dir(d, &conf);
	assert_string_equal(said,
	    "c4d.yml:1: cannot read this file: No such file or directory; name another with -c "
	    "FILE, or put it there\n");
	free(said);

	elsewhere.main = d->path;
	said = load_dir(&elsewhere, &conf);
	assert_non_null(strstr(said, "1: cannot read this file: Is a directory; name a file\n"));
	free(said);

	put(d, "c4d.yml", "log: info\n");
	make_dir(d, "conf.d/9.yml");
	said = load_dir(d, &conf);
	assert_string_equal(
	    said, "conf.d/9.yml:1: cannot read this file: Is a directory; name a file\n");
	free(said);

	/* A link to itself can't be read by root either. */
	assert_int_equal(chdir(d->path), 0);
	assert_int_equal(rmdir("conf.d/9.yml"), 0);
	assert_int_equal(symlink("loop.yml", "conf.d/loop.yml"), 0);
	said = load_dir(d, &conf);
	assert_int_equal(
	    strncmp(said, "conf.d/loop.yml:1: cannot read this file: Too many levels", 56), 0);
	free(said);

	assert_int_equal(unlink("conf.d/loop.yml"), 0);
	assert_int_equal(rmdir("conf.d"), 0);
	put(d, "conf.d", "a file\n");
	said = load_dir(d, &conf);
	assert_string_equal(said, "conf.d:1: cannot read this directory: Not a directory\n");
	free(said);

	/* No conf.d is fine, and a name without a directory is relative to where we are. */
	assert_int_equal(unlink("conf.d"), 0);
	make_dir(d, "conf.d");
	put(d, "conf.d/9.yml", "log: [\n");
	free(d->main);
	d->main = xstrdup("c4d.yml");
	said = load_dir(d, &conf);
	assert_int_equal(strncmp(said, "conf.d/9.yml:2: not YAML", 24), 0);
	free(said);
	assert_int_equal(chdir(cwd), 0);
	free(cwd);
}

static void
test_too_large(void **state)
{
	const struct dir *d = *state;
	char *text = xcalloc(1, CONF_FILE_MAX + 2), *said;
	struct conf *conf;

	memset(text, '#', CONF_FILE_MAX + 1);
	put(d, "c4d.yml", text);
	said = load_dir(d, &conf);
	assert_string_equal(
	    said, "c4d.yml:1: cannot read this file: it is larger than 1048576 bytes\n");
	free(said);
	free(text);
}

/* Limits of numbers of things, by texts too long to write down. */
static void
test_many(void **state)
{
	struct buf text = { 0 };
	char *said;
	int i;

	buf_puts(&text, "services:\n");
	for (i = 0; i <= 1024; i++)
		buf_printf(&text, "  s%d:\n", i);
	said = load_bad(text.s);
	assert_string_equal(said, "t.yml:1026: more than 1024 keys in one section\n");
	free(said);
	buf_free(&text);

	/* c4d needs 7 of Consul's 64 itself. */
	buf_puts(&text, "register:\n  a:\n    meta:\n");
	for (i = 0; i < 57; i++)
		buf_printf(&text, "      k%d: v\n", i);
	said = load_bad(text.s);
	assert_string_equal(said, "t.yml:3: register.a.meta has 57 keys; at most 56 are possible\n");
	free(said);
	buf_free(&text);

	buf_puts(&text, "consul: { dns: [");
	for (i = 0; i < 20000; i++)
		buf_puts(&text, "a,");
	buf_puts(&text, "] }\n");
	said = load_bad(text.s);
	assert_string_equal(said, "t.yml:1: more than 20000 values in one file\n");
	free(said);
	buf_free(&text);
}

#define DIFF_BASE "services: { a: {}, b: {} }\n"
#define DIFF_KAM(...) DIFF_BASE "kamailio: { k: { list_file: /f, " __VA_ARGS__ " } }\n"
#define DIFF_SET(...) DIFF_KAM("dispatcher: { 1: { service: a, " __VA_ARGS__ " } }")

static void
test_kamailio_same(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{ DIFF_SET(""), DIFF_SET(""), true },
		{ DIFF_SET(""), DIFF_SET("flags: 0, uri: 'sip:{address}:{port}', exclusive: yes"),
		    true },
		{ DIFF_SET(""), DIFF_KAM("poll: 2000ms, dispatcher: { 1: { service: a } }"), true },
		{ DIFF_SET("attrs: ''"), DIFF_SET(""), true },
		{ DIFF_SET(""), DIFF_KAM(""), false },
		{ DIFF_SET(""), DIFF_KAM("dispatcher: { 2: { service: a } }"), false },
		{ DIFF_SET(""), DIFF_KAM("dispatcher: { 1: { service: b } }"), false },
		{ DIFF_SET(""), DIFF_KAM("dispatcher: { 1: { service: a }, 2: { service: a } }"),
		    false },
		{ DIFF_SET(""), DIFF_SET("flags: 8"), false },
		{ DIFF_SET(""), DIFF_SET("priority: 1"), false },
		{ DIFF_SET(""), DIFF_SET("exclusive: false"), false },
		{ DIFF_SET(""), DIFF_SET("attrs: a=b"), false },
		{ DIFF_SET(""), DIFF_SET("uri: 'sips:{address}'"), false },
		{ DIFF_SET(""), DIFF_SET("tag: { x: }"), false },
		{ DIFF_SET("tag: { x: { priority: 1 } }"), DIFF_SET("tag: { x: { priority: 1 } }"),
		    true },
		{ DIFF_SET("tag: { x: { priority: 1 } }"), DIFF_SET("tag: { x: { priority: 2 } }"),
		    false },
		{ DIFF_SET("tag: { x: { attrs: '' } }"), DIFF_SET("tag: { x: {} }"), false },
		{ DIFF_SET("tag: { x: , y: }"), DIFF_SET("tag: { y: , x: }"), false },
		{ DIFF_KAM(""), DIFF_KAM("binrpc: 'unix:/x'"), false },
		{ DIFF_KAM(""), DIFF_KAM("probing: false"), false },
		{ DIFF_KAM(""), DIFF_KAM("timeout: 3s"), false },
		{ DIFF_KAM(""), DIFF_KAM("poll: 3s"), false },
		{ DIFF_KAM(""), DIFF_KAM("reload_delta: 3s"), false },
		{ DIFF_KAM(""), "kamailio: { k: { list_file: /g } }\n", false },
		{ DIFF_KAM(""), "kamailio: { l: { list_file: /f } }\n", false },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct conf *a = load_ok(rows[i].a), *b = load_ok(rows[i].b);

		if (conf_kamailio_same(a->kamailios[0], b->kamailios[0]) != rows[i].same ||
		    conf_kamailio_same(b->kamailios[0], a->kamailios[0]) != rows[i].same)
			fail_msg("row %zu", i);
		conf_free(a);
		conf_free(b);
	}
}

#define REG_A(...) "register: { a: { " __VA_ARGS__ " } }\n"
#define REG_C(...) REG_A("checks: { c: { " __VA_ARGS__ " } }")

static void
test_register_same(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{ REG_A(""), REG_A("name: a, id: '{hostname}-{name}', port: 0, weight: 1, meta: {}, checks: {}, drain: 0s"), true },
		{ REG_A(""), "http: { listen: [] }\nregister: { a: }\n", true },
		{ REG_A("meta: { a: b, c: d }"), REG_A("meta: { a: b, c: d }"), true },
		{ REG_C("type: http, url: 'http://a/'"), REG_C("type: http, url: 'http://a/', method: GET, interval: 10000ms"), true },
		{ REG_A("tags: ['a, b']"), REG_A("tags: [a, b]"), false },
		{ REG_A("tags: [a, b]"), REG_A("tags: [b, a]"), false },
		{ REG_A("meta: { a: 'b, c: d' }"), REG_A("meta: { a: b, c: d }"), false },
		{ REG_A("meta: { a: b }"), REG_A("meta: { a: c }"), false },
		{ REG_A("meta: { a: b }"), REG_A("meta: { c: b }"), false },
		{ REG_A("meta: { a: '' }"), REG_A(""), false },
		{ REG_A("dispatcher: { weight: 1 }"), REG_A("dispatcher: { weight: 2 }"), false },
		{ REG_A(""), REG_A("name: b"), false },
		{ REG_A(""), REG_A("id: b"), false },
		{ REG_A(""), REG_A("address: 10.0.0.1"), false },
		{ REG_A(""), REG_A("port: 1"), false },
		{ REG_A(""), REG_A("weight: 2"), false },
		{ REG_A(""), REG_A("weight_warning: 2"), false },
		{ REG_A(""), REG_A("enable_tag_override: true"), false },
		{ REG_A(""), REG_A("eid: x"), false },
		{ REG_A(""), REG_A("when: now"), false },
		{ REG_A(""), REG_A("on_stop: keep"), false },
		{ REG_A(""), REG_A("drain: 1s"), false },
		{ REG_A(""), REG_A("verify_dns: false"), false },
		{ REG_A(""), REG_A("tagged_addresses: { lan: { address: 10.0.0.1 } }"), false },
		{ REG_A("tagged_addresses: { lan: { address: 10.0.0.1 } }"), REG_A("tagged_addresses: { lan: { address: 10.0.0.2 } }"),
		    false },
		{ REG_A(""), REG_C("type: ttl, ttl: 5s"), false },
		{ REG_C("type: ttl, ttl: 5s"), REG_C("type: ttl, ttl: 6s"), false },
		{ REG_C("type: http, url: 'http://a/', headers: { A: b }"), REG_C("type: http, url: 'http://a/', headers: { A: c }"),
		    false },
		{ REG_C("type: exec, command: [/a, 'b, c']"), REG_C("type: exec, command: [/a, b, c]"), false },
		{ REG_C("type: exec, command: [/a, b, b]"), REG_C("type: exec, command: [/a, b]"), false },
		{ REG_A(""), "register: { b: }\n", false },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct conf *a = load_ok(rows[i].a), *b = load_ok(rows[i].b);

		if (conf_register_same(a->registers[0], b->registers[0]) != rows[i].same ||
		    conf_register_same(b->registers[0], a->registers[0]) != rows[i].same)
			fail_msg("row %zu", i);
		conf_free(a);
		conf_free(b);
	}
}

/* As people write an address to listen at. */
static void
test_one_alone_is_a_list_of_one(void **state)
{
	struct conf *conf = load_ok("http: { listen: \"127.0.0.2:80\" }\nconsul: { dns: 127.0.0.3:53 }\n");

	assert_int_equal(conf->listen.n, 1);
	assert_string_equal(conf->listen.v[0], "127.0.0.2:80");
	assert_int_equal(conf->dns.n, 1);
	assert_string_equal(conf->dns.v[0], "127.0.0.3:53");
	conf_free(conf);
}

static void
test_restart_keys(void **state)
{
	struct conf *a = load_ok("state: /a\nservices: { a: { interval: 2s } }\n");
	struct conf *b = load_ok("state: /b\nlog: debug\ncontrol: { group: voip }\nhistory_max: 7\n"
				 "services: { b: }\nkamailio: { k: }\n");
	struct buf said = { 0 };

	assert_int_equal(conf_restart_keys(a, a, collect, &said), 0);
	assert_null(said.s);
	assert_int_equal(conf_restart_keys(a, b, collect, &said), 3);
	assert_string_equal(said.s, "state: '/a' stays until a restart, then '/b'\n"
				    "history_max: '10000' stays until a restart, then '7'\n"
				    "control.group: '' stays until a restart, then 'voip'\n");
	buf_free(&said);
	conf_free(a);
	conf_free(b);
}

/* A line "#or ..." is what may stand instead of the one before it. */
static char *
uncommented(const char *text, bool alternatives)
{
	struct buf out = { 0 };
	const char *p = text;
	size_t before = 0, at;

	while (*p) {
		size_t len = strcspn(p, "\n") + 1;

		at = out.len;
		if (strncmp(p, "#or", 3) == 0) {
			if (alternatives) {
				out.len = before;
				buf_add(&out, p + 3, len - 3);
			}
			p += len;
			continue;
		}
		before = at;

		/* "#key:" and "#  key:" are settings, "# Words" are words. */
		if (p[0] == '#' && !(p[1] == ' ' && p[2] != ' ') && p[1] != '\n')
			buf_add(&out, p + 1, len - 1);
		else
			buf_add(&out, p, len);
		p += len;
	}
	return buf_take(&out);
}

static void
shown(void *arg, const char *line)
{
	struct conf *const *confs = arg;
	const struct conf *conf = confs[0];
	size_t i, len = strcspn(line, " "), n = conf->n_items + confs[1]->n_items;
	bool found = false;

	/* services.NAME.interval stands in the example as services.router.interval. */
	for (i = 0; i < n && !found; i++) {
		const struct conf_item *item = i < conf->n_items ? &conf->items[i] : &confs[1]->items[i - conf->n_items];
		const char *a = line, *end = line + len, *b = item->path;

		while (a < end && *b) {
			size_t la = strcspn(a, ". "), lb = strcspn(b, ".");

			if (!(*a >= 'A' && *a <= 'Z') && (la != lb || strncmp(a, b, la) != 0))
				break;
			a += la + (a[la] == '.');
			b += lb + (b[lb] == '.');
		}
		found = a == end && *b == '\0' && strcmp(item->origin, "default") != 0;
	}
	if (!found)
		fail_msg("conf/c4d.yml does not show %.*s", (int)len, line);
}

static void
test_examples(void **state)
{
	static const struct {
		const char *name;
		size_t kamailios, registers;
	} files[] = {
		{ "conf/c4d.yml", 0, 0 }, /* as shipped it does nothing but watch nothing */
		{ "conf/sbc.yml", 1, 1 },
		{ "conf/router.yml", 1, 1 },
		{ "conf/rtpengine.yml", 0, 1 },
		{ "conf/asterisk.yml", 0, 1 },
	};
	struct buf said = { 0 };
	struct conf *conf, *both[2];
	char *text, *all;
	size_t i, len;

	for (i = 0; i < NELEM(files); i++) {
		conf = NULL;
		(void)!conf_load(&conf, files[i].name, collect, &said);
		if (said.s != NULL)
			fail_msg("%s", said.s);
		assert_non_null(conf);
		if (i == 0)
			check_defaults(conf);
		assert_int_equal(conf->n_kamailios, files[i].kamailios);
		assert_int_equal(conf->n_registers, files[i].registers);
		if (conf->n_kamailios > 0)
			assert_int_equal(conf->kamailios[0]->n_sets, 2);
		if (conf->n_registers > 0)
			assert_true(conf->registers[0]->n_checks > 0);
		conf_free(conf);
	}
	/* Every setting that it shows is right, and it shows every key. */
	assert_int_equal(file_read("conf/c4d.yml", CONF_FILE_MAX, &text, &len), 0);
	for (i = 0; i < NELEM(both); i++) {
		all = uncommented(text, i == 1);
		both[i] = load_ok(all);
		free(all);
	}
	conf_print_keys(shown, both);
	for (i = 0; i < NELEM(both); i++)
		conf_free(both[i]);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_warnings_and_errors),
		cmocka_unit_test(test_consul_urls),
		cmocka_unit_test(test_all_errors_at_once),
		cmocka_unit_test(test_no_cascades),
		cmocka_unit_test(test_empty_files_are_all_defaults),
		cmocka_unit_test(test_section_defaults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_register_defaults),
		cmocka_unit_test(test_register_values),
		cmocka_unit_test(test_environment),
		cmocka_unit_test_setup_teardown(test_conf_d, setup, teardown),
		cmocka_unit_test_setup_teardown(test_conf_d_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_large, setup, teardown),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_kamailio_same),
		cmocka_unit_test(test_register_same),
		cmocka_unit_test(test_one_alone_is_a_list_of_one),
		cmocka_unit_test(test_restart_keys),
		cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
	};

	setenv("C4D_TEST_15", "15", 1);
	unsetenv("C4D_TEST_UNSET");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
