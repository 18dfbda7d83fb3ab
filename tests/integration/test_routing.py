"""The routing API of the real daemon: documents, their ways in, what survives, and what Kamailio is answered."""
import json
import os
import subprocess
import threading
import time

import pytest

from lab import FAST, Sbc, holds, merge, until, watching
from lab.routing import OTHER, TENANT, Api, load, small

DID = "sip:39040123456@sip.other.com"


@pytest.fixture
def c4d(make_c4d, plain):
	return make_c4d(plain).start()


def served(c):
	return c.show("routing")


def version(c):
	return served(c)["version"]


# ---- loading ----

def test_without_data_the_answer_is_503_and_says_what_to_do(c4d):
	answer = Api(c4d).ask("POST", "/1.0/kamailio/routing", {"from_name": "", "from_uri": "sip:1@a", "to_uri": DID})
	assert answer.status == 503 and "routing load" in answer.json["detail"]
	assert answer.headers["retry-after"] == "1"
	assert served(c4d)["served"] is False


def test_load_is_served_when_it_returns(c4d):
	api = Api(c4d)
	for n in range(1, 6):
		doc = small(ipbxs=[{**small()["ipbxs"][0], "ip_fqdn": f"10.0.0.{n}"}])
		assert load(c4d, doc).rc == 0
		assert api.dsts(DID) == [f"sip:10.0.0.{n}:5060"]
		assert version(c4d) == n


def test_load_from_standard_input(c4d):
	p = subprocess.run([c4d.c4ctl, "-s", c4d.socket, "routing", "load", "-"], input=json.dumps(small()).encode(), check=False,
		capture_output=True, timeout=20, env=c4d.env())
	assert p.returncode == 0, p.stderr
	assert Api(c4d).dsts(DID) == ["sip:10.0.0.1:5060"]


def test_what_is_wrong_changes_nothing_and_is_said_with_its_path(c4d):
	assert load(c4d, small()).rc == 0
	bad = small(dids=[{"id": 1, "tenant_uuid": TENANT, "ipbx_id": 9, "did_regex": "^39(040"}], ipbxs=[{**small()["ipbxs"][0], "port": "5o60"}],
		nonsense=[])
	got = load(c4d, bad)
	assert got.rc == 3 and "nothing was changed" in got.err
	paths = {e["path"] for e in got.data["errors"]}
	assert "ipbxs[0].port" in paths and "nonsense" in paths, got.data
	assert all(e["text"] for e in got.data["errors"])
	got = load(c4d, small(dids=[{"id": 1, "tenant_uuid": TENANT, "ipbx_id": 9, "did_regex": "^39(040"}]))
	assert {"dids[0].ipbx_id", "dids[0].did_regex"} <= {e["path"] for e in got.data["errors"]} and got.rc == 3
	assert load(c4d, '{"tenants": [').rc == 3
	assert Api(c4d).dsts(DID) == ["sip:10.0.0.1:5060"] and version(c4d) == 1


def test_check_needs_no_daemon(lab, c4d):
	path = lab.path("doc.json")
	for doc, rc in ((small(), 0), (small(dids=[{"id": 1}]), 3)):
		with open(path, "w", encoding="utf-8") as f:
			json.dump(doc, f)
		got = c4d._call([c4d.c4ctl, "-s", lab.path("nobody"), "-f", "json", "routing", "check", path], 10, None, "json")
		assert got.rc == rc and bool(got.data["errors"]) == bool(rc)
	assert {"dids[0].tenant_uuid", "dids[0].did_regex"} <= {e["path"] for e in got.data["errors"]}


def test_survives_kill_and_restart_with_everything_else_down(c4d):
	assert load(c4d, small()).rc == 0
	c4d.kill()
	c4d.start()
	until(lambda: served(c4d)["served"], 5, "the stored data is served")
	assert Api(c4d).dsts(DID) == ["sip:10.0.0.1:5060"]
	assert version(c4d) == 1 and served(c4d)["stored"] is True


def test_loading_replaces_everything(c4d):
	assert load(c4d, small()).rc == 0
	assert load(c4d, {"tenants": [{"uuid": OTHER, "name": "contoso"}]}).rc == 0
	assert Api(c4d).dsts(DID) == []
	c4d.kill()
	c4d.start()
	until(lambda: served(c4d)["served"], 5, "the stored data is served")
	assert served(c4d)["rows"] == {**{t: 0 for t in served(c4d)["rows"]}, "tenants": 1}


def test_no_request_fails_or_is_wrong_while_data_is_swapped(c4d):
	docs = [small(ipbxs=[{**small()["ipbxs"][0], "ip_fqdn": f"10.0.0.{n}"}], dids=[{"id": i, "tenant_uuid": TENANT, "ipbx_id": 1,
		"did_regex": f"^3904{i:07d}$"} for i in range(1, 3000)]) for n in (1, 2)]
	assert load(c4d, docs[0]).rc == 0
	over, seen, wrong = threading.Event(), set(), []

	def ask():
		api = Api(c4d)
		while not over.is_set():
			dst = api.dsts("sip:39040000007@x.com")
			seen.add(tuple(dst))
			if dst not in (["sip:10.0.0.1:5060"], ["sip:10.0.0.2:5060"]):
				wrong.append(dst)
	threads = [threading.Thread(target=ask) for _ in range(3)]
	for t in threads:
		t.start()
	try:
		for n in (1, 0, 1, 0, 1):
			assert load(c4d, docs[n]).rc == 0
	finally:
		over.set()
		for t in threads:
			t.join()
	assert not wrong and len(seen) == 2


def test_cdrs_of_a_document_are_taken_over_once_and_never_overwritten(c4d):
	cdr = {"id": 7, "tenant_uuid": TENANT, "source_ip": "10.9.0.1", "source_port": 5060, "from_uri": "sip:1@a", "to_uri": "sip:2@b",
		"call_id": "x", "call_start": "2020-01-02T03:04:05", "duration": 12}
	for _ in range(2):
		assert load(c4d, small(cdrs=[cdr])).rc == 0
	assert [r["id"] for r in c4d.show("cdr")] == [7]
	got = load(c4d, small(cdrs=[{**cdr, "duration": 13}], dids=[]))
	assert got.rc == 3 and "7" in got.data["errors"][0]["text"]
	assert Api(c4d).dsts(DID) == ["sip:10.0.0.1:5060"]  # nothing of it was applied


# ---- a file ----

@pytest.fixture
def filed(lab, make_c4d, plain):
	path = lab.path("routing.json")
	c = make_c4d(merge(plain, {"routing": {"file": path}}))
	c.doc = path
	return c


def write(c, doc):
	with open(c.doc + ".new", "w", encoding="utf-8") as f:
		f.write(doc if isinstance(doc, str) else json.dumps(doc))
	os.rename(c.doc + ".new", c.doc)


def test_file_is_served_and_read_again_when_it_changes(filed):
	write(filed, small())
	filed.start()
	api = Api(filed)
	until(lambda: served(filed)["served"], 5, "the file is served")
	assert api.dsts(DID) == ["sip:10.0.0.1:5060"]
	write(filed, small(ipbxs=[{**small()["ipbxs"][0], "ip_fqdn": "10.0.0.2"}]))
	until(lambda: api.dsts(DID) == ["sip:10.0.0.2:5060"], 5, "the new file is served")
	assert load(filed, small()).rc == 5  # the file rules


@pytest.mark.parametrize("text, word", [("{", "line 1"), ("{}", "not a single row"), ('{"dids": 5}', "dids"), (None, "No such file")])
def test_a_bad_file_changes_nothing_and_status_says_so(filed, text, word):
	write(filed, small())
	filed.start()
	until(lambda: served(filed)["served"], 5, "the file is served")
	if text is None:
		os.unlink(filed.doc)
	else:
		write(filed, text)
	until(lambda: served(filed)["why"], 5, "it is said")
	assert word in served(filed)["why"]
	assert any("routing data" in p["problem"] and word in p["problem"] for p in filed.ctl("status", fmt="json").data["problems"])
	assert Api(filed).dsts(DID) == ["sip:10.0.0.1:5060"]
	filed.kill()
	filed.start()  # nor after a restart
	until(lambda: served(filed)["served"], 5, "what was stored is served")
	assert Api(filed).dsts(DID) == ["sip:10.0.0.1:5060"]
	write(filed, small())
	until(lambda: not served(filed)["why"], 5, "right again")


# ---- Consul's KV ----

@pytest.mark.parametrize("single", [True, False])
def test_kv_one_document_or_one_key_per_object(consul, make_c4d, single):
	c = make_c4d({"consul": {"dns": [consul.dns_addr], "http": consul.http_addr}, "routing": {"kv": "c4/routing"}})

	def put(doc):
		if single:
			consul.http("PUT", "/v1/kv/c4/routing", json.dumps(doc).encode())
			return
		for table, rows in doc.items():
			for row in rows:
				key = row.get("uuid", row.get("id"))
				consul.http("PUT", f"/v1/kv/c4/routing/{table}/{key}", json.dumps(row).encode())
	put(small())
	c.start()
	until(lambda: served(c)["served"], 10, lambda: f"KV is served: {served(c)}")
	api = Api(c)
	assert api.dsts(DID) == ["sip:10.0.0.1:5060"]
	put(small(ipbxs=[{**small()["ipbxs"][0], "ip_fqdn": "10.0.0.2"}]))
	until(lambda: api.dsts(DID) == ["sip:10.0.0.2:5060"], 10, "the change is served")
	consul.http("PUT", "/v1/kv/c4/routing" + ("" if single else "/dids/1"), b"{")
	until(lambda: served(c)["why"], 10, "what is wrong is said")
	assert single or "dids/1" in served(c)["why"]
	consul.http("DELETE", "/v1/kv/c4/routing?recurse=true")
	holds(lambda: api.dsts(DID) == ["sip:10.0.0.2:5060"], 2, "an empty prefix is an outage")
	assert any(row["prefix"] == "c4/routing" for row in c.show("kv"))


# ---- what Kamailio is answered ----

def test_both_paths_answer_alike(c4d):
	load(c4d, small())
	body = {"event": "sip-routing", "source_ip": "10.9.0.1", "source_port": 5060, "from_name": "Al", "from_uri": "sip:100@10.9.0.1", "to_uri": DID}
	answers = {Api(c4d).ask("POST", path, body).body for path in ("/1.0/kamailio/routing", "/kamailio/rtjson", "/1.0/kamailio/rtjson")}
	assert len(answers) == 1
	got = json.loads(answers.pop())
	assert got["auth"] is None and got["rtjson"]["success"] is True
	route = got["rtjson"]["routes"][0]
	assert route["headers"]["from"] == {"display": "Al", "uri": "sip:100@10.9.0.1"}
	assert route["headers"]["extra"] == 'P-Asserted-Identity: "Al" <sip:100@10.9.0.1>\r\n'
	assert (route["fr_timer"], route["fr_inv_timer"], route["branch_flags"]) == (5000, 30000, 8)
	assert got["rtjson"]["auth_username"] == "user"  # the IPBX wants it


@pytest.mark.parametrize("asks", [1, "1", True])
def test_who_asks_for_authentication_gets_integers(c4d, asks):
	load(c4d, small(ipbxs=[{**small()["ipbxs"][0], "ip_address": "10.0.0.1"}]))
	auth = Api(c4d).route(DID, source="10.0.0.1", auth=asks)["auth"]
	assert auth["success"] is True and auth["tenant_uuid"] == TENANT and auth["ipbx_id"] == 1 and auth["carrier_trunk_id"] == 0
	assert isinstance(auth["tenant_id"], int) and auth["tenant_id"] > 0
	auth = Api(c4d).route(DID, source="192.0.2.77", auth=asks)["auth"]
	assert auth["success"] is False and auth["tenant_uuid"] is None
	assert (auth["tenant_id"], auth["ipbx_id"], auth["carrier_trunk_id"]) == (0, 0, 0)


@pytest.mark.parametrize("plain_text", [True, False])
def test_auth_verifies_plain_and_hashed_passwords(c4d, plain_text):
	import hashlib
	salt = hashlib.sha256(b"salt").hexdigest()
	stored = "secret" if plain_text else salt + hashlib.pbkdf2_hmac("sha512", b"secret", salt.encode(), 100000).hex()
	load(c4d, small(ipbxs=[{**small()["ipbxs"][0], "password": stored}]))
	api = Api(c4d)

	def auth(**kw):
		return api.ask("POST", "/1.0/kamailio/auth", {"source_ip": "192.0.2.1", "domain": "sip.fabrikam.com", **kw}).json
	assert auth(username="user", password="secret")["ipbx_id"] == 1
	assert auth(username="user", password="wrong")["success"] is False
	assert auth(username="nobody", password="secret")["success"] is False
	got = auth(username="user")
	assert got["success"] is True
	if plain_text:  # Kamailio checks the digest itself
		assert got["password_ha1"] == hashlib.md5(b"user:sip.fabrikam.com:secret").hexdigest()
	assert api.ask("POST", "/1.0/kamailio/auth", {"source_ip": "192.0.2.1"}).json["success"] is False  # no address: nobody's by that


@pytest.mark.parametrize("body, status", [
	(b"{", 400), (b"[]", 400), (b"", 400), (b'{"to_uri": 5}', 422), (b'{"from_name":"","from_uri":"sip:1@a"}', 422),
	(b'{"from_name":"a\\r\\nX: y","from_uri":"sip:1@a","to_uri":"sip:2@b"}', 422),
	(b'{"from_name":"","from_uri":"sip:1@a\\r\\nX: y","to_uri":"sip:2@b"}', 422),
	(b'{"from_name":"","from_uri":"sip:1@a","to_uri":"sip:2@\xff"}', 400), (b"[" * 3000, 400), (b'{"a":' * 40 + b"1" + b"}" * 40, 400),
	(b'{"from_name":"","from_uri":"' + b"1" * 70000 + b'","to_uri":"sip:2@b"}', 413), (b" " * (1 << 20), 413),
], ids=range(12))
def test_bad_requests(c4d, body, status):
	load(c4d, small())
	for path in ("/1.0/kamailio/routing", "/1.0/kamailio/auth", "/1.0/kamailio/cdr"):
		answer = Api(c4d).ask("POST", path, body)
		if path.endswith("routing") or status in (400, 413):
			assert answer.status == status, (path, answer.body)
		assert answer.status != 500
		if answer.status >= 400:
			assert answer.json["detail"]
	assert Api(c4d).dsts(DID) == ["sip:10.0.0.1:5060"]


def test_only_clients_are_answered(lab, make_c4d, plain):
	c = make_c4d(merge(plain, {"routing": {"clients": ["127.0.0.77/32"]}})).start()
	load(c, small())
	answer = Api(c).ask("POST", "/1.0/kamailio/routing", {})
	assert answer.status == 403 and "routing.clients" in answer.json["detail"]
	assert Api(c, source="127.0.0.77").dsts(DID) == ["sip:10.0.0.1:5060"]
	assert Api(c).ask("GET", "/status").status == 204  # defect 10


def test_explain_says_why_and_why_not(c4d):
	load(c4d, small())
	got = c4d.ctl("route", "explain", "--from", "sip:100@10.9.0.1", "--to", DID, "--source", "10.9.0.1", fmt="json")
	assert got.rc == 0 and [r["dst_uri"] for r in got.data["routes"]] == ["sip:10.0.0.1:5060"]
	text = "\n".join(s["text"] for s in got.data["steps"])
	assert "39040123456" in text and "DID 1" in text
	assert "password" not in json.dumps(got.data)
	got = c4d.ctl("route", "explain", "--from", "sip:100@10.9.0.1", "--to", "sip:555@nowhere")
	assert got.rc == 1 and "404" in got.err
	for line in got.out.splitlines():
		assert len(line) <= 100, line


# ---- what is known of destinations ----

def test_services_expand_into_living_instances(agent, service, make_c4d):
	service.many(3)
	c = make_c4d(merge(watching(agent, {service.name: FAST}), {"routing": {"api": True}})).start()
	until(lambda: len(c.instances()) == 3, 10, "three instances")
	load(c, small(ipbxs=[{**small()["ipbxs"][0], "ip_fqdn": f"service:{service.name}"}]))
	api = Api(c)
	want = {f"sip:{i}" for i in c.instances()}
	assert set(api.dsts(DID)) == want and len(api.dsts(DID)) == 3
	gone = sorted(c.instances())[0]
	c.ctl("drain", gone)
	assert set(api.dsts(DID)) == want - {f"sip:{gone}"}


def test_a_dead_destination_never_comes_first(agent, service, make_c4d):
	service.many(2)
	c = make_c4d(watching(agent, {service.name: FAST})).start()
	until(lambda: len(c.instances()) == 2, 10, "two instances")
	one, two = sorted(c.instances())
	trunks = [{"id": n, "tenant_uuid": TENANT, "carrier_id": 1, "name": f"t{n}", "sip_proxy": at.split(":")[0],
		"sip_proxy_port": int(at.split(":")[1])} for n, at in ((1, one), (2, two))]
	load(c, small(carrier_trunks=trunks, dids=[], routing_rules=[{"id": 1, "prefix": "39", "trunks": [1, 2]}]))
	api = Api(c)
	assert api.dsts(DID, source="10.0.0.1") == [f"sip:{one}", f"sip:{two}"]
	c.ctl("drain", one)
	assert api.dsts(DID, source="10.0.0.1") == [f"sip:{two}", f"sip:{one}"]
