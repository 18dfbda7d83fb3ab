"""The routing data by HTTP, as wazo-router-confd's clients know it: each resource, its errors, and what it keeps to itself."""
import concurrent.futures
import json

import pytest
from lab import until
from lab.rest import Api

A, B = "3ab844af-8039-45d9-a3aa-bae6f298228f", "38a334ec-8960-4367-80a3-b44c568df279"

# Of each resource: what a POST needs, what a PUT changes, and the title in its 404. Each refers to those above, whose ids are 1.
RESOURCES = [
	("domains", {"tenant_uuid": A, "domain": "example.com"}, {"domain": "example.org"}, "Domain"),
	("carriers", {"tenant_uuid": A, "name": "carrier"}, {"name": "other"}, "Carrier"),
	("normalization-profiles", {"tenant_uuid": A, "name": "it"}, {"always_intl_prefix_plus": True}, "Normalization Profile"),
	("normalization-rules", {"profile_id": 1, "rule_type": 1, "match_regex": "^0", "replace_regex": "39"}, {"priority": 7},
		"Normalization Rule"),
	("carrier_trunks", {"tenant_uuid": A, "carrier_id": 1, "name": "trunk", "sip_proxy": "192.0.2.1"},
		{"auth_username": "u", "auth_password": "p", "realm": "r"}, "Carrier Trunk"),
	("ipbxs", {"tenant_uuid": A, "domain_id": 1, "ip_fqdn": "192.0.2.2"}, {"port": 5070}, "IPBX"),
	("dids", {"tenant_uuid": A, "ipbx_id": 1, "did_regex": "^39[0-9]{10}$"}, {"did_regex": "^3906[0-9]+$"}, "DID"),
	("routing-rules", {"prefix": "39", "carrier_trunk_id": 1}, {"weight": 3}, "Routing Rule"),
	("routing-groups", {"tenant_uuid": A, "routing_rule_id": 1}, {"tenant_uuid": B}, "Routing Group"),
]
DEFAULTS = {
	"domains": {},
	"carriers": {},
	"normalization-profiles": {"country_code": None, "area_code": None, "intl_prefix": None, "ld_prefix": None, "always_ld": False,
		"always_intl_prefix_plus": False},
	"normalization-rules": {"priority": 0, "match_prefix": "0"},
	"carrier_trunks": {"normalization_profile_id": None, "sip_proxy_port": 5060, "ip_address": None, "registered": False,
		"auth_username": None, "realm": None, "registrar_proxy": None, "from_domain": None, "expire_seconds": 3600, "retry_seconds": 30},
	"ipbxs": {"normalization_profile_id": None, "customer": None, "ip_address": None, "port": 5060, "registered": False,
		"username": None, "realm": None},
	"dids": {"carrier_trunk_id": None, "did_prefix": "39"},
	"routing-rules": {"ipbx_id": None, "did_regex": None, "route_type": "pstn", "tenant_uuid": None, "priority": 0, "weight": 1,
		"trunks": None, "destination": None, "time_windows": None, "routing": "serial"},
	"routing-groups": {},
}
SECRETS = {"auth_password", "password", "password_ha1"}


def shown(row):
	return {k: v for k, v in row.items() if k not in SECRETS}


@pytest.fixture
def c4d(make_c4d):
	return make_c4d({"routing": {"api": True}}).start()


@pytest.fixture
def api(c4d):
	api = Api((c4d.http_ip, c4d.http_port))
	until(api.up, 10, "REST answers")
	return api


@pytest.fixture
def full(api):
	"""With a row of each resource; and a second tenant."""
	api.post("tenants", uuid=A, name="a").ok()
	api.post("tenants", uuid=B, name="b").ok()
	for path, new, _, _ in RESOURCES:
		api.post(path, new).ok()
	return api


def test_every_resource(api):
	"""POST, GET, list, PUT and DELETE of each: answers, defaults, ids."""
	for u, name in (A, "a"), (B, "b"):
		assert api.post("tenants", uuid=u, name=name).ok() == {"uuid": u, "name": name}
	assert api.items("tenants") == [{"uuid": B, "name": "b"}, {"uuid": A, "name": "a"}]  # by their keys
	for path, new, change, title in RESOURCES:
		assert api.items(path) == []
		r = api.get(f"{path}/1")
		assert (r.status, r.json) == (404, {"detail": f"{title} not found"})
		row = {"id": 1, **DEFAULTS[path], **new}
		assert api.post(path, new).ok() == row
		assert api.get(f"{path}/1").ok() == row
		assert api.items(path) == [row]
		changed = {**row, **shown(change)}
		if path == "dids":
			changed["did_prefix"] = "3906"
		assert api.put(f"{path}/1", change).ok() == changed
		assert api.get(f"{path}/1").ok() == changed
		assert api.put(f"{path}/1", {}).ok() == changed
		for method in "get", "put", "delete":
			assert getattr(api, method)(f"{path}/2").status == 404
	assert api.put(f"tenants/{B}", name="bb").ok() == {"uuid": B, "name": "bb"}
	for path, _, _, title in reversed(RESOURCES):
		row = api.get(f"{path}/1").ok()
		assert api.delete(f"{path}/1").ok() == row
		r = api.delete(f"{path}/1")
		assert (r.status, r.json) == (404, {"detail": f"{title} not found"})
		assert api.items(path) == []
	assert api.delete(f"tenants/{A.upper()}").ok() == {"uuid": A, "name": "a"}
	assert api.items("tenants") == [{"uuid": B, "name": "bb"}]


def test_changes_survive_a_kill(c4d, full):
	"""What was answered is there after kill -9, deleted rows are not."""
	full.post("domains", tenant_uuid=B, domain="b.example").ok()
	full.delete("routing-groups/1").ok()
	full.post("tenants", uuid=A.replace("3ab", "4AB"), name="c").ok()
	full.delete(f"tenants/{A.replace('3ab', '4AB')}").ok()
	before = {p: full.items(p) for p in ["tenants"] + [r[0] for r in RESOURCES]}
	c4d.kill()
	c4d.start()
	until(full.up, 10, "REST answers again")
	assert {p: full.items(p) for p in before} == before
	# The id of a row that was deleted last may come again; the highest + 1 is the next.
	assert full.post("domains", tenant_uuid=A, domain="c.example").ok()["id"] == 3


def test_paths_with_either_dash(full):
	for path in "carrier-trunks", "carrier_trunks", "normalization_rules", "normalization_profiles", "routing_rules", "routing_groups":
		assert [row["id"] for row in full.items(path)] == [1]
		assert full.get(f"{path}/1").ok()["id"] == 1
		assert len(full.items(path + "/")) == 1
	assert full.get("carrier.trunks").status == 404
	assert full.put("routing_rules/1", weight=9).ok()["weight"] == 9
	assert full.get("routing-rules/1").ok()["weight"] == 9


def test_list_offset_and_limit(full):
	for i in range(2, 251):
		full.post("domains", tenant_uuid=A, domain=f"d{i}.example").ok()
	ids = [row["id"] for row in full.items("domains")]
	assert ids == list(range(1, 101))
	assert [r["id"] for r in full.items("domains?offset=100")] == list(range(101, 201))
	assert [r["id"] for r in full.items("domains?offset=240&limit=1000")] == list(range(241, 251))
	assert [r["id"] for r in full.items("domains?limit=1")] == [1]
	assert full.items("domains?offset=250") == []
	assert full.items("domains?offset=99999999") == []
	for bad, key in ("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("offset=-1", "offset"), ("limit=", "limit"):
		r = full.get(f"domains?{bad}")
		assert r.status == 422 and [d["loc"] for d in r.detail] == [["query", key]], r


def test_duplicates(full):
	"""409, with the body that wazo-router-confd's clients know."""
	cases = [("tenants", {"uuid": A, "name": "x"}, "uuid", "tenant"), ("tenants", {"uuid": A.replace("3", "4"), "name": "a"}, "name", "tenant")]
	cases += [(path, new, None, title.lower().replace(" ", "_")) for path, new, _, title in RESOURCES
		if path not in ("routing-rules", "routing-groups", "ipbxs")]
	full.put("ipbxs/1", username="u").ok()
	cases.append(("ipbxs", {**RESOURCES[5][1], "username": "u"}, "username", "ipbx"))
	for path, new, field, resource in cases:
		r = full.post(path, new)
		assert r.status == 409, (path, r)
		assert set(r.json) == {"error_id", "message", "resource", "timestamp", "details"}
		assert (r.json["error_id"], r.json["resource"]) == ("invalid-data", resource)
		assert isinstance(r.json["timestamp"], float) and r.json["timestamp"] > 1.5e9
		config = r.json["details"]["config"]
		assert len(config) == 1
		got = next(iter(config))
		assert got == field or field is None and got in new, config
		assert set(config[got]) == {"constraing_id", "constraint", "message"}
		assert (config[got]["constraing_id"], config[got]["constraint"]) == (got, {"unique": True})
	# As a change, too: and nothing was changed.
	full.post("carriers", tenant_uuid=A, name="second").ok()
	assert full.put("carriers/2", name="carrier").status == 409
	assert full.get("carriers/2").ok()["name"] == "second"
	# The same name of another tenant is another one.
	assert full.post("carriers", tenant_uuid=B, name="carrier").ok()["id"] == 3


def test_rows_in_use(full):
	for path in f"tenants/{A}", "domains/1", "carriers/1", "normalization-profiles/1", "carrier_trunks/1", "ipbxs/1", "routing-rules/1":
		r = full.delete(path)
		assert r.status == 409 and r.json["error_id"] == "invalid-data", (path, r)
		assert full.get(path).status == 200


@pytest.mark.parametrize("path, body, field", [
	("domains", {"tenant_uuid": A}, "domain"),
	("domains", {"tenant_uuid": A, "domain": 7}, "domain"),
	("domains", {"tenant_uuid": A, "domain": "x" * 65}, "domain"),
	("domains", {"tenant_uuid": A, "domain": "a.b\r\nX: y"}, "domain"),
	("domains", {"tenant_uuid": A, "domain": "a.b", "tenant_id": 3}, "tenant_id"),
	("domains", {"tenant_uuid": "x", "domain": "a.b"}, "tenant_uuid"),
	("domains", {"tenant_uuid": A.replace("3", "5"), "domain": "a.b"}, "tenant_uuid"),
	("tenants", {"name": "x"}, "uuid"),
	("tenants", {"uuid": B.replace("3", "5"), "name": "x" * 257}, "name"),
	("dids", {"tenant_uuid": A, "did_regex": "(", "ipbx_id": 1}, "did_regex"),
	("dids", {"tenant_uuid": A, "did_regex": "^1$", "ipbx_id": 2}, "ipbx_id"),
	("dids", {"tenant_uuid": A, "did_regex": "^1$", "ipbx_id": "1x"}, "ipbx_id"),
	("carrier_trunks", {"tenant_uuid": A, "carrier_id": 1, "name": "t", "sip_proxy": "h", "sip_proxy_port": 70000}, "sip_proxy_port"),
	("carrier_trunks", {"tenant_uuid": A, "carrier_id": 1, "name": "t", "sip_proxy": "h", "registered": "maybe"}, "registered"),
	("normalization-rules", {"profile_id": 1, "rule_type": 3, "match_regex": "^1"}, "rule_type"),
	("routing-rules", {"prefix": "1", "trunks": [1, 9]}, "trunks"),
	("routing-rules", {"prefix": "1", "trunks": "1"}, "trunks"),
	("routing-rules", {"prefix": "1", "time_windows": "funday"}, "time_windows"),
])
def test_wrong_values(full, path, body, field):
	"""422 names the field; nothing is added."""
	before = full.items(path)
	r = full.post(path, body)
	assert r.status == 422, r
	assert [d["loc"] for d in r.detail] == [["body", field]], r
	assert all(d["msg"] and d["type"] for d in r.detail)
	assert r.detail[0]["type"].startswith("value_error.missing") == (field not in body)
	assert full.items(path) == before


def test_bodies_that_are_none(full):
	for raw in b"", b"{", b"[]", b"7", b"{}x", b'{"domain":"a","domain":"b"}', b'{"domain":"\xff"}', b'{"domain":"a\\u0000b"}', b"[" * 60000, \
			b'{"a":' * 5000:
		for method, path in ("POST", "domains"), ("PUT", "domains/1"):
			r = full.ask(method, path, raw=raw)
			assert r.status == 400 and isinstance(r.detail, str), (raw[:20], r)
	r = full.ask("POST", "domains", raw=json.dumps({"domain": "x" * 70000}).encode())
	assert r.status == 413
	assert len(full.items("domains")) == 1


def test_keys(full):
	for path in "domains/x", "domains/1x", "domains/1.0", "domains/%201":
		r = full.get(path)
		assert r.status == 422 and r.detail[0]["loc"] == ["path", "id"], r
	for path in "domains/0", "domains/-1", "domains/99999999999999999999999", "domains/9223372036854775807", f"tenants/{A[:-1]}", "tenants/x" * 3:
		assert full.get(path).status == 404, path
	# An id in a POST is not taken, in a PUT it must be the row's.
	assert full.post("domains", id=77, tenant_uuid=A, domain="d.example").ok()["id"] == 2
	assert full.put("domains/2", id=2, domain="e.example").ok()["domain"] == "e.example"
	r = full.put("domains/2", id=1)
	assert r.status == 422 and r.detail[0]["loc"] == ["body", "id"]
	r = full.put(f"tenants/{A}", uuid=B)
	assert r.status == 422 and r.detail[0]["loc"] == ["body", "uuid"]
	assert full.put(f"tenants/{A}", uuid=A.upper(), name="aa").ok() == {"uuid": A, "name": "aa"}


def test_put_what_was_got(full):
	"""Derived columns come back and are let pass; secrets stay, since they were not there to come back."""
	for path, _, _, _ in RESOURCES:
		row = full.get(f"{path}/1").ok()
		assert full.put(f"{path}/1", row).ok() == row
	assert full.put("ipbxs/1", username=None, ip_address="192.0.2.9").ok()["ip_address"] == "192.0.2.9"
	assert full.put("ipbxs/1", {"ip_address": None}).ok()["ip_address"] is None
	r = full.put("ipbxs/1", {"ip_fqdn": None})
	assert r.status == 422 and r.detail[0]["loc"] == ["body", "ip_fqdn"]


def test_names_in_any_script(full):
	name = "Žluťoučký kůň 電話 \U0001f4de"
	assert full.post("carriers", tenant_uuid=A, name=name).ok()["name"] == name
	assert full.items("carriers")[1]["name"] == name
	assert full.post("carriers", tenant_uuid=A, name=name).status == 409
	assert full.put("carriers/2", name="ж" * 128).ok()["name"] == "ж" * 128
	for bad in "ж" * 129, "電" * 400 + "\n", "a\u0007":
		assert full.put("carriers/2", name=bad).status == 422
	assert full.post("carriers", {"tenant_uuid": A, "name": "x", "jméno": 1}).status == 422


def routing_auth(c4d, **question):
	r = Api((c4d.http_ip, c4d.http_port)).post("kamailio/auth", question)
	assert r.status == 200, r
	return r.json


def test_secrets(c4d, full):
	"""They are taken, used, kept by a partial PUT, and shown by nothing."""
	secrets = ["s3cret-of-ipbx", "s3cret-of-trunk", "0123456789abcdef0123456789abcdef"]
	full.put("ipbxs/1", username="u", password=secrets[0], realm="example.com").ok()
	full.put("carrier_trunks/1", auth_username="u", auth_password=secrets[1]).ok()
	full.put("ipbxs/1", port=5080).ok()
	full.post("ipbxs", tenant_uuid=A, domain_id=1, ip_fqdn="192.0.2.7", username="v", password_ha1=secrets[2]).ok()
	domain = full.get("domains/1").ok()["domain"]
	ask = {"source_ip": "", "domain": domain, "username": "u"}
	assert routing_auth(c4d, **ask, password=secrets[0])["success"]
	assert not routing_auth(c4d, **ask, password="other")["success"]
	for path in "ipbxs", "ipbxs/1", "ipbxs/2", "carrier_trunks", "carrier_trunks/1":
		body = full.get(path).body.decode()
		assert not any(s in body for s in secrets) and "password" not in body, path
	# An error does not repeat them either.
	for bad in secrets[0] * 20, secrets[0] + "\n", 12345678901:
		r = full.put("ipbxs/1", password=bad)
		assert r.status == 422 and str(bad)[:10] not in r.body.decode(), r
	r = full.ask("PUT", "ipbxs/1", raw=f'{{"password": "{secrets[0]}" "x"}}'.encode())
	assert r.status == 400 and secrets[0] not in r.body.decode()
	# The HA1 of the password before is not that of another; one that comes with it is.
	known = {"source_ip": "", "domain": domain, "username": "v"}
	assert routing_auth(c4d, **known)["password_ha1"] == secrets[2]
	full.put("ipbxs/2", password="0123456789abcdef" * 12).ok()
	assert routing_auth(c4d, **known)["password_ha1"] is None
	full.put("ipbxs/2", password="fedcba9876543210" * 12, password_ha1=secrets[2]).ok()
	assert routing_auth(c4d, **known)["password_ha1"] == secrets[2]
	assert not any(s in c4d.log() for s in secrets)


def test_two_changes_of_one_row_at_once(full):
	"""Each PUT changes its own columns, however they meet: none is lost."""
	columns = {"country_code": "39", "area_code": "06", "intl_prefix": "00", "ld_prefix": "0", "name": "all"}
	for turn in range(20):
		want = {k: f"{v}{turn}" for k, v in columns.items()}
		with concurrent.futures.ThreadPoolExecutor(len(want)) as pool:
			rows = list(pool.map(lambda kv: full.put("normalization-profiles/1", dict([kv])), want.items()))
		assert all(r.status == 200 for r in rows)
		row = full.get("normalization-profiles/1").ok()
		assert {k: row[k] for k in want} == want


def test_many_at_once(full):
	"""Ids are given once each."""
	with concurrent.futures.ThreadPoolExecutor(16) as pool:
		ids = list(pool.map(lambda i: full.post("domains", tenant_uuid=A, domain=f"x{i}.example").ok()["id"], range(200)))
	assert sorted(ids) == list(range(2, 202))
	with concurrent.futures.ThreadPoolExecutor(16) as pool:
		rows = list(pool.map(lambda i: full.delete(f"domains/{i}"), ids))
	assert all(r.status == 200 for r in rows)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_an_end_in_the_midst_of_changes(c4d, full, end):
	"""What was answered with 200 is there afterwards, CDRs too; the others got an error."""
	def add(i):
		try:
			if i % 2:
				return "cdrs", full.post("cdrs", tenant_uuid=A, from_uri="sip:a@b", to_uri="sip:c@d", call_id=f"x{i}")
			return "domains", full.post("domains", tenant_uuid=A, domain=f"x{i}.example")
		except OSError:
			return None, None

	with concurrent.futures.ThreadPoolExecutor(16) as pool:
		asked = [pool.submit(add, i) for i in range(2000)]
		until(lambda: sum(f.done() for f in asked) > 200, 20, "some are answered")
		getattr(c4d, end)()
		answers = [f.result() for f in asked]
	assert {r.status for _, r in answers if r} <= {200, 503}
	kept = [(path, r.json) for path, r in answers if r and r.status == 200]
	assert 200 < len(kept) < 2000
	c4d.start()
	until(full.up, 10, "REST answers again")
	for path in "cdrs", "domains":
		there = [row for offset in range(0, 3000, 1000) for row in full.items(f"{path}?limit=1000&offset={offset}")]
		assert all(row in there for p, row in kept if p == path)


def test_routes_follow_at_once(c4d, full):
	"""A change is in force when it is answered."""
	ask = {"from_name": "", "from_uri": "sip:1@x", "to_uri": "sip:390612345678@nowhere"}
	api = Api((c4d.http_ip, c4d.http_port))
	full.put("dids/1", did_regex="^3906[0-9]+$").ok()
	assert api.post("kamailio/routing", ask).ok()["rtjson"]["routes"][0]["dst_uri"] == "sip:192.0.2.2:5060"
	full.put("ipbxs/1", port=5099).ok()
	assert api.post("kamailio/routing", ask).ok()["rtjson"]["routes"][0]["dst_uri"] == "sip:192.0.2.2:5099"
	full.delete("dids/1").ok()
	assert api.post("kamailio/routing", ask).ok()["rtjson"] == {"success": False}


def test_cdrs(full):
	new = {"tenant_uuid": A, "source_ip": "192.0.2.1", "source_port": 5060, "from_uri": "sip:a@b", "to_uri": "sip:c@d", "call_id": "x",
		"call_start": "2026-01-02T03:04:05", "duration": 6}
	row = {"ipbx_id": None, "carrier_trunk_id": None, **new, "call_start": "2026-01-02T03:04:05+00:00"}
	assert full.items("cdrs") == []
	for i in range(1, 6):
		assert full.post("cdrs", {**new, "id": 99, "tenant_uuid": A if i % 2 else B}).ok() == {**row, "id": i, "tenant_uuid": A if i % 2 else B}
	assert full.get("cdrs/3").ok() == {**row, "id": 3}
	assert [c["id"] for c in full.items("cdrs")] == [1, 2, 3, 4, 5]
	assert [c["id"] for c in full.items("cdrs?offset=1&limit=2")] == [2, 3]
	assert [c["id"] for c in full.with_(tenant=B).items("cdrs")] == [2, 4]
	assert [c["id"] for c in full.with_(tenant=A).items("cdrs?offset=1")] == [3, 5]
	assert full.get("cdrs/6").json == {"detail": "CDR not found"}
	assert full.with_(tenant=A).get("cdrs/2").status == 404
	r = full.post("cdrs", {**new, "tenant_uuid": A.replace("3", "5")})
	assert r.status == 422 and r.detail[0]["loc"] == ["body", "tenant_uuid"]
	r = full.post("cdrs", {k: v for k, v in new.items() if k != "to_uri"})
	assert r.status == 422 and r.detail[0]["loc"] == ["body", "to_uri"]
	for method in "PUT", "DELETE":
		r = full.ask(method, "cdrs/1", {})
		assert r.status == 405 and "GET" in r.headers["allow"]


def test_off(make_c4d):
	"""Without routing.api there is none, and the answer says which key."""
	c = make_c4d({}).start()
	api = Api((c.http_ip, c.http_port))
	for method, path in ("GET", "tenants"), ("POST", "tenants"), ("GET", "dids/1"), ("PUT", "dids/1"), ("DELETE", "dids/1"), ("GET", "cdrs"):
		r = api.ask(method, path, {} if method in ("POST", "PUT") else None)
		assert r.status == 404 and "routing.api" in r.detail, r


def test_turned_on_by_a_reload(make_c4d):
	c = make_c4d({}).start()
	api = Api((c.http_ip, c.http_port))
	assert api.get("tenants").status == 404
	c.write({"routing": {"api": True}})
	c.reload()
	assert until(lambda: api.get("tenants").status == 200, 10, "REST is on")


def test_data_of_a_file_is_changed_there(lab, make_c4d):
	path = lab.path("routing.json")
	with open(path, "w") as f:
		json.dump({"tenants": [{"uuid": A, "name": "a"}]}, f)
	c = make_c4d({"routing": {"api": True, "file": path}}).start()
	api = Api((c.http_ip, c.http_port))
	until(lambda: api.up() and api.items("tenants"), 10, "the file is served")
	for r in api.post("tenants", uuid=B, name="b"), api.put(f"tenants/{A}", name="x"), api.delete(f"tenants/{A}"):
		assert r.status == 409 and path in r.detail and "routing.file" in r.detail, r
	assert api.items("tenants") == [{"uuid": A, "name": "a"}]


def test_not_before_there_is_data(lab, make_c4d):
	"""A file that can't be read leaves nothing to show: 503, not an empty list."""
	c = make_c4d({"routing": {"api": True, "file": lab.path("missing.json")}}).start()
	api = Api((c.http_ip, c.http_port))
	r = api.get("tenants")
	assert r.status == 503 and int(r.headers["retry-after"]) > 0 and "routing data" in r.detail


def test_web_pages_are_not_let_in(full):
	"""Open to this machine is not open to every page that its browsers show."""
	r = full.with_(origin="http://evil.example").get("tenants")
	assert r.status == 403 and "routing.token_file" in r.detail
	assert full.with_(origin="null").post("tenants", uuid=A.replace("3", "5"), name="x").status == 403
	assert len(full.items("tenants")) == 2
