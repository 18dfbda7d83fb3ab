"""
What c4d says to Consul's agent about services (tests/data/agent/*.json, which the unit test compares byte for byte with what
is composed) is taken by a real agent, and means what it should; and what the unit test takes for an agent's answers is one's.
"""
import glob
import http.server
import json
import os
import threading
import urllib.parse
import urllib.request

import pytest

from lab import Consul, base, until

DATA = os.path.join(base.ROOT, "tests/data/agent")
REGISTER = "/v1/agent/service/register?replace-existing-checks"


def golden(name):
	with open(os.path.join(DATA, name + ".json"), encoding="utf-8") as f:
		return json.load(f)


def names():
	return sorted(os.path.basename(p)[:-5] for p in glob.glob(os.path.join(DATA, "*.json")))


def put(consul, body, path=REGISTER):
	"""As c4d writes it: without spaces, and not only ASCII."""
	got = consul.http("PUT", path, json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode())
	assert got == ""


def service(consul, sid):
	return consul.http("GET", "/v1/agent/service/" + urllib.parse.quote(sid, safe=""))


def checks(consul, sid):
	return {k: v for k, v in consul.http("GET", "/v1/agent/checks").items() if v["ServiceID"] == sid}


@pytest.fixture
def agent(lab):
	"""Whose node has the name that it had for the answers of the unit test."""
	return Consul(lab, "consul").start()


def assert_registered(consul, body):
	have = service(consul, body["ID"])
	assert have["Service"] == body["Name"]
	assert have["Address"] == body.get("Address", "")
	for key in ("ID", "Port", "Weights", "EnableTagOverride", "Meta", "Tags"):
		assert have[key] == body[key], key
	tagged = {k: {n.lower(): x for n, x in v.items()} for k, v in (have.get("TaggedAddresses") or {}).items()}
	for name, where in body["TaggedAddresses"].items():
		assert tagged[name] == where
	have = checks(consul, body["ID"])
	assert sorted(have) == sorted(c["CheckID"] for c in body["Checks"])
	for check in body["Checks"]:
		got = have[check["CheckID"]]
		assert got["Name"] == check["Name"]
		kind = next(k for k in ("HTTP", "TCP", "TTL") if k in check)
		assert got.get("Type", kind.lower()) == kind.lower()
		# Consul may have made its own already, of addresses that there are not
		assert got["Status"] in ([check["Status"]] if kind == "TTL" else [check["Status"], "critical"])


def test_there_are_bodies():
	assert len(names()) >= 12


def test_every_body_is_taken(agent):
	for name in names():
		body = golden(name)
		for _ in range(2):  # and once more, which is how it is asserted again
			put(agent, body)
			assert_registered(agent, body)
		agent.deregister(urllib.parse.quote(body["ID"], safe=""))


def test_checks_that_are_off_go(agent):
	put(agent, golden("ours"))
	assert len(checks(agent, "vm1-vm")) == 5
	put(agent, golden("off"))
	assert list(checks(agent, "vm1-vm")) == ["vm1-vm:sip"]


def test_a_new_check_is_at_once_what_it_is(agent):
	"""No moment of "critical" for a service that is well; but what the agent has keeps its status, whatever is put."""
	body = golden("off")
	put(agent, body)
	until(lambda: agent.srv("vm").srv, 10, "DNS lists it")
	agent.http("PUT", "/v1/agent/check/update/vm1-vm:sip", {"Status": "critical", "Output": "no answer\n\ufffd"})
	put(agent, body)
	check = checks(agent, "vm1-vm")["vm1-vm:sip"]
	assert (check["Status"], check["Output"]) == ("critical", "no answer\n\ufffd")
	agent.deregister("vm1-vm")
	put(agent, body)
	assert checks(agent, "vm1-vm")["vm1-vm:sip"]["Status"] == "passing"


def test_an_identical_put_takes_away_tags_that_others_have_set(agent):
	"""So with enable_tag_override what is registered already is better not put again and again."""
	put(agent, golden("tcp"))
	until(lambda: agent.http("GET", "/v1/catalog/service/router"), 10, "the catalog has it")
	node = agent.http("GET", "/v1/catalog/service/router")[0]
	agent.http("PUT", "/v1/catalog/register", {"Node": node["Node"], "Address": node["Address"], "SkipNodeUpdate": True,
		"Service": {"ID": "vm1-router", "Service": "router", "Tags": ["theirs"], "Port": 5060, "EnableTagOverride": True}})
	assert agent.http("GET", "/v1/catalog/service/router")[0]["ServiceTags"] == ["theirs"]
	put(agent, golden("tcp"))
	until(lambda: agent.http("GET", "/v1/catalog/service/router")[0]["ServiceTags"] == [], 10, "the tags are c4d's again")


class Asked(http.server.ThreadingHTTPServer):
	"""Says yes, and keeps what it was asked."""

	def __init__(self, ip):
		self.requests = []
		super().__init__((ip, 0), _Handler)
		threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(http.server.BaseHTTPRequestHandler):
	def _answer(self):
		self.server.requests.append((self.command, self.path, dict(self.headers.items())))
		self.send_response(200)
		self.send_header("Content-Length", "0")
		self.end_headers()

	do_GET = do_HEAD = _answer

	def log_message(self, *args):  # pylint: disable=arguments-differ
		pass


@pytest.mark.parametrize("name", ["http", "https", "eid", "asterisk"])
def test_consul_asks_what_was_meant(lab, agent, name):
	"""Only where to is changed: there has to be somebody."""
	body = golden(name)
	check = body["Checks"][0]
	url = urllib.parse.urlsplit(check["HTTP"])
	with Asked(lab.ip()) as peer:
		try:
			check.update({"HTTP": f"http://{peer.server_address[0]}:{peer.server_address[1]}{url.path}?{url.query}".rstrip("?"),
				"Interval": "100ms", "Status": "critical"})
			put(agent, body)
			until(lambda: checks(agent, body["ID"])[check["CheckID"]]["Status"] == "passing", 10, "the check passes")
			method, path, headers = peer.requests[0]
		finally:
			peer.shutdown()
			agent.deregister(urllib.parse.quote(body["ID"], safe=""))
	assert method == check["Method"]
	asked = urllib.parse.urlsplit(path)
	assert asked.path == url.path
	if "eid" in check["CheckID"]:
		assert urllib.parse.parse_qs(asked.query) == {"expected_eid": [body["Meta"]["eid"]]}
	for header, values in check.get("Header", {}).items():
		assert headers[header] == values[0]


# Somebody else's: Consul takes all of it, and passes it on to everybody who asks.
ODD = {"ID": "od\0d", "Name": "odd", "Tags": ["a\0b"], "Port": 70000, "Meta": {"any": "Z\u00fcrich\n"},
	"Checks": [{"CheckID": "odd", "Name": "odd", "TTL": "1h"}]}


def raw(consul, path):
	with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(consul.http_addr + path) as answer:
		return answer.read()


def answer(name):
	with open(os.path.join(DATA, name + ".answer"), "rb") as f:
		return f.read()


def test_the_answers_of_the_unit_test_are_real(agent):
	"""C4D_KEEP_ANSWERS=1 writes them anew."""
	for name in names():
		put(agent, golden(name))
	put(agent, ODD)
	agent.http("PUT", "/v1/agent/check/update/odd", {"Status": "warning", "Output": "a\0b \ufffd\nc"})
	agent.maintenance("vm1-router", True, "new%20disk%20in%20Z%C3%BCrich")
	agent.http("PUT", "/v1/agent/maintenance?enable=true&reason=all")
	have = {what: raw(agent, "/v1/agent/" + what) for what in ("services", "checks")}
	if os.environ.get("C4D_KEEP_ANSWERS"):
		for what, text in have.items():
			with open(os.path.join(DATA, what + ".answer"), "wb") as f:
				f.write(text)
	for what, text in have.items():
		got, want = json.loads(text), json.loads(answer(what))
		assert sorted(got) == sorted(want)
		for key, fields in want.items():
			for field, value in fields.items():  # a newer Consul says more
				# of Consul's own checks these come with their first result
				if field not in ("Status", "Output") or fields["Type"] in ("ttl", "maintenance"):
					assert got[key][field] == value, (key, field)
