"""
How c4d reaches Consul's HTTP port: https, unix socket, ACL tokens; all against the real Consul. What shows that it does is
`wake: index`: with an interval of 10 s nothing but the port tells it of a change within a second.
"""
import os
import re

import pytest

from lab import Consul, HttpError, merge, until
from lab.base import ROOT
from lab.fake_consul_http import FakeConsulHttp, answer
from lab.service import waits, wake
from lab.tls import Ca, TlsConsul, UnixConsul


def config(consul, **over):
	return merge({"consul": {"dns": [consul.dns_addr], "wake": "index", "budget": 100}, "http": {"listen": []},
		"services": {"router": {"interval": "10s"}}}, {"consul": over})


def lost(c4d, why, timeout=20):
	until(lambda: (w := wake(c4d))["wake"] == "lost" and why in w["wake_why"], timeout,
		lambda: f"lost by '{why}': {wake(c4d)}\n{c4d.proc.log_tail()}")


def sees_a_change(lab, consul, c4d):
	address = lab.ip()
	consul.register("router", address, 5060)
	until(lambda: f"{address}:5060" in c4d.instances(), 3, f"{address} is known long before the interval is over")


def put(path, text):
	"""In one step, as who rotates a secret does."""
	with open(path + ".new", "w") as f:
		f.write(text)
	os.replace(path + ".new", path)


def copy(source, path):
	with open(source) as f:
		put(path, f.read())


# ---- https ----

def test_https_with_certificates_of_both(lab, make_c4d):
	ca = Ca(lab)
	consul = TlsConsul(lab, ca, strict=True).start()
	cert, key = ca.issue("c4d")
	c4d = make_c4d(config(consul, http=consul.https_addr, ca_file=ca.file, cert_file=cert, key_file=key)).start()
	waits(c4d)
	for _ in range(3):
		sees_a_change(lab, consul, c4d)
	assert "lost" not in c4d.log()


def test_the_agents_name_may_be_another_than_its_address(lab, make_c4d):
	ca = Ca(lab)
	consul = TlsConsul(lab, ca, san="DNS:server.dc1.consul,DNS:localhost").start()
	c4d = make_c4d(config(consul, http=consul.https_addr, ca_file=ca.file, server_name="server.dc1.consul")).start()
	waits(c4d)
	sees_a_change(lab, consul, c4d)


@pytest.mark.parametrize("case, why", {
	"wrong CA": "is signed by no CA of",
	"wrong name": "is for server.dc1.consul, and not for",
	"expired": "is no good: expired at 20",
	"no certificate of ours": "wants a client's certificate: cert_file and key_file",
	"another CA's certificate of ours": "refuses our certificate",
	"our certificate has expired": "refuses our certificate",
	"no TLS there": "speaks no TLS: is that its http:// port?",
	"a missing file": "No such file or directory",
}.items())
def test_what_is_wrong_is_said(lab, make_c4d, case, why):
	ca, other = Ca(lab), Ca(lab, "other")
	consul = TlsConsul(lab, ca, strict="our" in case, expired=case == "expired",
		san="DNS:server.dc1.consul" if case == "wrong name" else None).start()
	over = {"http": consul.https_addr, "ca_file": ca.file}
	if case == "wrong CA":
		over["ca_file"] = other.file
	elif case == "no TLS there":
		over["http"] = consul.http_addr.replace("http:", "https:")
	elif case == "a missing file":
		over["ca_file"] = lab.path("missing.pem")
	elif case == "another CA's certificate of ours":
		over["cert_file"], over["key_file"] = other.issue("c4d")
	elif case == "our certificate has expired":
		over["cert_file"], over["key_file"] = ca.issue("c4d", expired=True)
	c4d = make_c4d(config(consul, **over)).start()
	lost(c4d, why)
	c4d.wait_log(r"wake: lost \(router: .*" + re.escape(why))
	# DNS goes on without it, and an operator finds the reason
	address = lab.ip()
	consul.register("router", address, 5060)
	until(lambda: f"{address}:5060" in c4d.instances(), 25, "the clock's round")
	plain = c4d.ctl("show", "dns").out
	assert max(map(len, plain.splitlines())) <= 80
	assert "lost" in plain


def test_verify_false_takes_any(lab, make_c4d):
	consul = TlsConsul(lab, Ca(lab), san="DNS:elsewhere.example", expired=True).start()
	c4d = make_c4d(config(consul, http=consul.https_addr, verify=False)).start()
	waits(c4d)
	sees_a_change(lab, consul, c4d)


def test_renewed_certificates_need_no_restart(lab, make_c4d):
	"""Ours, then the agent's and its CA; the daemon runs on."""
	ca, second = Ca(lab), Ca(lab, "second")
	consul = TlsConsul(lab, ca, strict=True).start()
	ca_file, cert, key = (lab.path(f"own.{x}") for x in ("ca", "pem", "key"))
	old, new = ca.issue("old", expired=True), ca.issue("new")
	copy(ca.file, ca_file)
	copy(old[0], cert)
	copy(old[1], key)
	c4d = make_c4d(config(consul, http=consul.https_addr, ca_file=ca_file, cert_file=cert, key_file=key)).start()
	lost(c4d, "refuses our certificate")
	copy(new[0], cert)
	copy(new[1], key)
	waits(c4d)
	sees_a_change(lab, consul, c4d)
	consul.stop()
	consul.certify(second)
	consul.start()
	lost(c4d, "is signed by no CA of")
	later = second.issue("later")
	copy(later[0], cert)
	copy(later[1], key)
	copy(second.file, ca_file)
	waits(c4d, timeout=40)
	sees_a_change(lab, consul, c4d)
	assert c4d.starts == 1 and c4d.log().count("wake: back") == 2


# ---- unix socket ----

def test_unix_socket(lab, make_c4d):
	consul = UnixConsul(lab).start()
	c4d = make_c4d(config(consul, http=f"unix:{consul.socket}")).start()
	waits(c4d)
	sees_a_change(lab, consul, c4d)
	consul.kill()
	lost(c4d, f"cannot connect to {consul.socket}: Connection refused")
	os.unlink(consul.socket)
	lost(c4d, f"cannot connect to {consul.socket}: No such file or directory (does a Consul agent listen there?)")
	consul.start()
	waits(c4d, timeout=40)
	sees_a_change(lab, consul, c4d)


# ---- tokens ----

def readme_rules():
	"""README's policies: {its first comment's word: rules}."""
	with open(os.path.join(ROOT, "README.md")) as f:
		section = f.read().split("## Consul's ACLs", 1)[1].split("\n## ", 1)[0]
	blocks = re.findall(r"```hcl\n# (\w+)[^\n]*\n(.*?)```", section, re.S)
	return dict(blocks)


@pytest.fixture
def guarded(lab):
	"""A Consul that denies by default, where DNS may see what README says."""
	consul = Consul(lab, acl=True).start()
	consul.allow_dns(readme_rules()["dns"])
	return consul


def self_accessor(consul, secret):
	return consul.http("GET", "/v1/acl/token/self", token=secret)["AccessorID"]


def test_readmes_policies_are_enough_and_no_more(lab, guarded, make_c4d):
	consul, rules = guarded, readme_rules()
	token = consul.make_token(rules["c4d"])
	path = lab.path("consul.token")
	put(path, token + "\n")
	c4d = make_c4d(config(consul, http=consul.http_addr, token_file=path)).start()
	waits(c4d)
	sees_a_change(lab, consul, c4d)
	assert wake(c4d)["failures"] == 0, "DNS answers by the policy for DNS alone"
	# all that c4d asks of Consul, with the words of its requests
	body = {"ID": "vm1-sbc", "Name": "sbc", "Port": 5060, "Checks": [{"CheckID": "c4d-sip", "Name": "sip", "TTL": "10s"}]}
	may = [
		("GET", "/v1/status/leader", None), ("GET", "/v1/agent/services", None), ("GET", "/v1/agent/checks", None),
		("PUT", "/v1/agent/service/register?replace-existing-checks", body), ("GET", "/v1/agent/service/vm1-sbc", None),
		("PUT", "/v1/agent/check/update/c4d-sip", {"Status": "passing", "Output": ""}),
		("PUT", "/v1/agent/service/maintenance/vm1-sbc?enable=true&reason=x", None),
		("PUT", "/v1/agent/service/maintenance/vm1-sbc?enable=false", None),
		("GET", "/v1/health/service/sbc?stale", None), ("GET", "/v1/kv/c4/domains/?recurse", None),
		("PUT", "/v1/event/fire/c4d-register", {"service": "sbc"}),
		("PUT", "/v1/agent/check/deregister/c4d-sip", None), ("PUT", "/v1/agent/service/deregister/vm1-sbc", None),
	]
	consul.http("PUT", "/v1/kv/c4/domains/example.org", b"")
	for method, target, data in may:
		consul.http(method, target, data, token=token)
	# what it registered is seen by itself
	consul.http("PUT", "/v1/agent/service/register", body, token=token)
	assert "vm1-sbc" in consul.http("GET", "/v1/agent/services", token=token)
	assert consul.http("GET", "/v1/health/service/sbc?stale", token=token)
	may_not = [
		("PUT", "/v1/agent/service/register", {"ID": "x", "Name": "router", "Port": 1}),
		("PUT", "/v1/kv/c4/domains/evil.example", b""), ("GET", "/v1/kv/secrets/x", None),
		("PUT", "/v1/event/fire/deploy", {}), ("PUT", "/v1/agent/maintenance?enable=true", None),
		("GET", "/v1/acl/tokens", None), ("PUT", "/v1/agent/force-leave/x", None),
	]
	for method, target, data in may_not:
		with pytest.raises(HttpError) as e:
			consul.http(method, target, data, token=token)
		assert e.value.code in (403, 404), (target, e.value)
	# and each of its lines is needed for something of the above
	needs = {"service \"": may[3], "key_prefix": may[9], "event_prefix": may[10]}
	for word, (method, target, data) in needs.items():
		less = "\n".join(line for line in rules["c4d"].splitlines() if not line.startswith(word))
		assert less != rules["c4d"].rstrip("\n"), word
		without = consul.make_token(less)
		with pytest.raises(HttpError):
			consul.http(method, target, data, token=without)


def test_dns_says_nothing_without_readmes_policy(lab, guarded):
	"""Each of its two lines is needed: without one of them DNS denies that there is anything."""
	consul, rules = guarded, readme_rules()
	consul.register("router", lab.ip(), 5060)
	assert consul.srv("router").srv and consul.srv("consul").srv
	lines = rules["dns"].strip().splitlines()
	assert len(lines) == 2
	for line in lines:
		consul.allow_dns(line)
		until(lambda: not consul.srv("router").srv, 5, f"with {line} alone DNS says nothing")


def test_a_token_is_rotated_in_mid_flight(lab, guarded, make_c4d):
	"""The old one is deleted and the file holds the new one, while a query with the old one is out."""
	consul, rules = guarded, readme_rules()["c4d"]
	tokens = [consul.make_token(rules) for _ in range(3)]
	path = lab.path("consul.token")
	put(path, tokens[0] + "\n")
	c4d = make_c4d(config(consul, http=consul.http_addr, token_file=path)).start()
	waits(c4d)
	for old, new in zip(tokens, tokens[1:]):
		put(path, new)
		consul.http("DELETE", f"/v1/acl/token/{self_accessor(consul, old)}")
		sees_a_change(lab, consul, c4d)
		waits(c4d)
	assert "wake: lost" not in c4d.log(), "the new one is used without a word"
	# deleted with nothing in its place: said; and picked up when it comes
	consul.http("DELETE", f"/v1/acl/token/{self_accessor(consul, tokens[2])}")
	consul.register("router", lab.ip(), 5060)
	lost(c4d, "HTTP 403: ACL not found")
	put(path, consul.make_token(rules))
	waits(c4d, timeout=40)
	sees_a_change(lab, consul, c4d)
	assert c4d.starts == 1


def test_a_token_is_nowhere_to_be_seen(lab, guarded, make_c4d):
	"""At level debug, with a server that repeats it in its errors, and one that knows no such token."""
	consul = guarded
	secret = consul.make_token(readme_rules()["c4d"])
	path = lab.path("consul.token")
	put(path, secret)
	fake = FakeConsulHttp(lab)
	conf = merge(config(consul, http=consul.http_addr, token_file=path), {"log": "debug"})
	c4d = make_c4d(conf).start()
	waits(c4d)
	sees_a_change(lab, consul, c4d)
	seen = []

	def look():
		for words in (["status"], ["show", "dns"], ["show", "config"], ["show", "topology"], ["show", "history"],
				["show", "instances"], ["show", "targets"]):
			for fmt in (None, "json"):
				seen.append(c4d.ctl(*words, fmt=fmt).out)
	look()
	# unknown to Consul
	consul.http("DELETE", f"/v1/acl/token/{self_accessor(consul, secret)}")
	consul.register("router", lab.ip(), 5060)
	lost(c4d, "HTTP 403: ACL not found")
	look()
	# repeated by a server
	fake.tell_lies(lambda q: answer(f"token {q.token} is unknown".encode(), status="403 Forbidden"))
	c4d.write(merge(conf, {"consul": {"http": fake.url}}))
	c4d.reload()
	lost(c4d, "HTTP 403")
	assert any(q.token == secret for q in fake.queries)
	look()
	# no token at all
	put(path, f"{secret} {secret}\n")
	lost(c4d, "holds no token")
	look()
	assert secret not in "".join(seen) + c4d.log()
	assert path in "".join(seen)
