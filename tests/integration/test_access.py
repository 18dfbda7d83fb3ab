"""Who may use the REST interface: nobody from elsewhere without a token; a token file; wazo-auth and its tenants."""
import concurrent.futures
import json
import os
import threading
import time

import pytest
from lab import holds, until
from lab.rest import Api, FakeWazoAuth

A, B, C = "3ab844af-8039-45d9-a3aa-bae6f298228f", "38a334ec-8960-4367-80a3-b44c568df279", "ffffffff-ffff-4c1c-ad1c-ffffffffffff"
MISSING, INVALID = "Missing X-Auth-Token header", "The provided token is not valid"
ALL = [("GET", "tenants"), ("POST", "tenants"), ("GET", f"tenants/{A}"), ("PUT", f"tenants/{A}"), ("DELETE", f"tenants/{A}"), ("GET", "cdrs"),
	("POST", "cdrs"), ("GET", "cdrs/1")]


def api_of(c4d):
	return Api((c4d.http_ip, c4d.http_port))


def refused(api, status, text, requests=tuple(ALL)):
	for method, path in requests:
		r = api.ask(method, path, {} if method in ("POST", "PUT") else None)
		assert r.status == status and text in r.detail, (method, path, r)


def write(path, text):
	"""As an administrator does it: whole, by a rename."""
	with open(path + ".new", "w") as f:
		f.write(text)
	os.rename(path + ".new", path)


# ---- without, and with a file ----


def test_not_on_loopback_without_a_token(lab, make_c4d):
	"""Refused to all, also from here, and the answer says what to configure; Kamailio's pages are not concerned."""
	c = make_c4d({"routing": {"api": True}})
	c.write({"routing": {"api": True}, "http": {"listen": [f"{c.http_ip}:{c.http_port}", f"0.0.0.0:{lab.port('0.0.0.0', 29700)}"]}})
	checked = c.check()
	assert checked.rc == 0 and "routing.token_file" in checked.out + checked.err
	c.start()
	api = api_of(c)
	refused(api, 403, "routing.token_file")
	refused(api.with_(token="x"), 403, "routing.token_file")
	assert api.get("/api/v1/openapi.json").status == 200


@pytest.fixture
def secret(lab):
	path = lab.path("api-token")
	write(path, "the-s3cret-word\n")
	return path


def test_token_file(make_c4d, secret):
	c = make_c4d({"routing": {"api": True, "token_file": secret}}).start()
	api = api_of(c)
	refused(api, 401, MISSING)
	for bad in "x", "the-s3cret-wor", "the-s3cret-word2", "The-s3cret-word", "x" * 2000, ".", "the-s3cret-word the-s3cret-word":
		refused(api.with_(token=bad), 401, INVALID)
	mine = api.with_(token="the-s3cret-word")
	for u, name in (A, "a"), (B, "b"):
		mine.post("tenants", uuid=u, name=name).ok()
	assert len(mine.items("tenants")) == 2
	assert mine.with_(origin="http://console.example").get("tenants").status == 200
	# It may narrow itself.
	assert mine.with_(tenant=A).items("tenants") == [{"uuid": A, "name": "a"}]
	assert mine.with_(tenant=A).post("domains", tenant_uuid=B, domain="b.example").status == 403
	refused(mine.with_(tenant="x"), 401, INVALID)
	# Another word is in force when the file holds it, at once.
	write(secret, "another-w0rd\n")
	refused(mine, 401, INVALID)
	assert api.with_(token="another-w0rd").get("tenants").status == 200
	assert not any(word in c.log() for word in ("the-s3cret-word", "another-w0rd"))


def test_token_file_that_cannot_be_read(make_c4d, secret):
	"""Nobody is let in; said once, and when it is over."""
	c = make_c4d({"routing": {"api": True, "token_file": secret}}).start()
	mine = api_of(c).with_(token="the-s3cret-word")
	assert mine.get("tenants").status == 200
	os.rename(secret, secret + ".away")
	for _ in range(3):
		r = mine.get("tenants")
		assert r.status == 503 and "routing.token_file" in r.detail and int(r.headers["retry-after"]) > 0
	write(secret, "\n")
	assert mine.get("tenants").status == 503
	write(secret, "the-s3cret-word\n")
	assert mine.get("tenants").status == 200
	assert c.log().count("cannot use the token in") == 1 and c.log().count("can be used again") == 1


# ---- wazo-auth ----


@pytest.fixture
def auth(lab):
	return FakeWazoAuth(lab).start()


@pytest.fixture
def c4d(make_c4d):
	"""Open at first: with two tenants, each with a row of everything, and a rule for all."""
	c = make_c4d({"routing": {"api": True}}).start()
	api = api_of(c)
	until(api.up, 10, "REST answers")
	for n, (u, name) in enumerate([(A, "a"), (B, "b")], 1):
		api.post("tenants", uuid=u, name=name).ok()
		api.post("domains", tenant_uuid=u, domain=f"{name}.example").ok()
		api.post("carriers", tenant_uuid=u, name="carrier").ok()
		api.post("normalization-profiles", tenant_uuid=u, name="p").ok()
		api.post("normalization-rules", profile_id=n, rule_type=1, match_regex="^0").ok()
		api.post("carrier_trunks", tenant_uuid=u, carrier_id=n, name="t", sip_proxy="192.0.2.1").ok()
		api.post("ipbxs", tenant_uuid=u, domain_id=n, ip_fqdn="192.0.2.2").ok()
		api.post("dids", tenant_uuid=u, ipbx_id=n, did_regex=f"^39{n}").ok()
		api.post("routing-rules", prefix=f"{n}", carrier_trunk_id=n).ok()
		api.post("routing-groups", tenant_uuid=u, routing_rule_id=n).ok()
		api.post("cdrs", tenant_uuid=u, from_uri="sip:a@b", to_uri="sip:c@d").ok()
	api.post("routing-rules", prefix="9", destination="service:asterisk").ok()
	return c


def add_shared_rules(api):
	"""A rule that is one tenant's by a group alone, and one with trunks of two."""
	api.post("routing-rules", prefix="8", destination="service:asterisk").ok()
	api.post("routing-groups", tenant_uuid=A, routing_rule_id=4).ok()
	api.post("routing-rules", prefix="77", trunks=[1, 2]).ok()
	api.post("routing-groups", tenant_uuid=A, routing_rule_id=5).ok()


@pytest.fixture
def api(c4d, auth):
	c4d.write({"routing": {"api": True, "auth_url": auth.url}})
	c4d.reload()
	api = api_of(c4d)
	until(lambda: api.get("tenants").status == 401, 10, "a token is asked for")
	return api


TABLES = ["domains", "carriers", "normalization-profiles", "normalization-rules", "carrier_trunks", "ipbxs", "dids", "routing-rules",
	"routing-groups", "cdrs"]


def test_tokens_of_wazo_auth(c4d, api, auth):
	refused(api, 401, MISSING)
	refused(api.with_(token="9d7e8f3e-0000-4000-8000-000000000000"), 401, INVALID)
	for bad in ".", "..", "a b", "x" * 2000, "%2e%2e/tenants", "../../x":
		refused(api.with_(token=bad), 401, INVALID)
	assert all("/tenants" not in path.replace("%2Ftenants", "") or header for path, header in auth.asked)
	token = auth.token(A)
	assert api.with_(token=token).items("tenants") == [{"uuid": A, "name": "a"}]
	assert (f"/0.1/token/{token}", None) in auth.asked and ("/0.1/tenants", token) in auth.asked
	assert token not in c4d.log()
	# A token of no tenant sees none; one that may not ask for its tenants is none of ours.
	assert api.with_(token=auth.token()).items("tenants") == []
	# Where no tenants are listed, there is that of the token itself.
	assert api.with_(token=auth.token(own=B)).items("tenants") == [{"uuid": B, "name": "b"}]
	assert api.with_(token=auth.token(B, own=A)).items("tenants") == [{"uuid": B, "name": "b"}]
	auth.no_tenants = True
	refused(api.with_(token=auth.token(A)), 401, INVALID)


def test_principals_see_their_tenants(api, auth):
	mine = api.with_(token=auth.token(A))
	assert mine.items("tenants") == [{"uuid": A, "name": "a"}]
	for path in TABLES:
		want = [1, 3] if path == "routing-rules" else [1]  # a rule for all is everyone's to read
		assert [r["id"] for r in mine.items(path)] == want, path
		assert mine.get(f"{path}/1").status == 200
		assert mine.get(f"{path}/2").status == 404
		if path != "cdrs":
			assert mine.put(f"{path}/2", {}).status == 404
			assert mine.delete(f"{path}/2").status == 404
	assert mine.get(f"tenants/{B}").status == 404
	assert mine.put(f"tenants/{B}", name="x").status == 404
	assert mine.delete(f"tenants/{B}").status == 404
	# What is read in parts is counted in what is seen.
	both = api.with_(token=auth.token(C, B, A))
	for path in TABLES:
		rows = both.items(path)
		assert [r["id"] for r in rows] == ([1, 2, 3] if path == "routing-rules" else [1, 2]), path
		assert both.items(f"{path}?offset=1&limit=1") == rows[1:2]
		assert both.items(f"{path}?limit=1") == rows[:1]


def test_cdrs_among_many_of_others(lab, c4d, auth):
	"""What is his is found among thousands, and counted in that."""
	path = lab.path("many.json")
	row = {"from_uri": "sip:a@b", "to_uri": "sip:c@d"}
	with open(path, "w") as f:
		json.dump({"tenants": [{"uuid": A, "name": "a"}, {"uuid": B, "name": "b"}],
			"cdrs": [{"id": 100 + i, "tenant_uuid": B if i % 900 else A, **row} for i in range(1, 3000)]}, f)
	assert c4d.ctl("routing", "load", path).rc == 0
	c4d.write({"routing": {"api": True, "auth_url": auth.url}})
	c4d.reload()
	api = api_of(c4d)
	until(lambda: api.get("tenants").status == 401, 10, "a token is asked for")
	for mine in api.with_(token=auth.token(A)), api.with_(token=auth.token(A, C)):
		assert [r["id"] for r in mine.items("cdrs")] == [1, 1000, 1900, 2800]
		assert [r["id"] for r in mine.items("cdrs?offset=1&limit=2")] == [1000, 1900]
		assert mine.items("cdrs?offset=4") == []


def test_principals_write_to_their_tenants(api, auth):
	mine = api.with_(token=auth.token(A))
	assert mine.post("tenants", uuid=A, name="x").status == 403
	assert mine.post("tenants", uuid=C, name="c").status == 403
	bad = [
		("domains", {"tenant_uuid": B, "domain": "x.example"}),
		("domains", {"tenant_uuid": C, "domain": "x.example"}),
		("carriers", {"tenant_uuid": B, "name": "x"}),
		("carrier_trunks", {"tenant_uuid": A, "carrier_id": 2, "name": "x", "sip_proxy": "h"}),
		("carrier_trunks", {"tenant_uuid": B, "carrier_id": 1, "name": "x", "sip_proxy": "h"}),
		("carrier_trunks", {"tenant_uuid": A, "carrier_id": 1, "normalization_profile_id": 2, "name": "x", "sip_proxy": "h"}),
		("ipbxs", {"tenant_uuid": A, "domain_id": 2, "ip_fqdn": "h"}),
		("dids", {"tenant_uuid": A, "ipbx_id": 2, "did_regex": "^7"}),
		("dids", {"tenant_uuid": A, "ipbx_id": 1, "carrier_trunk_id": 2, "did_regex": "^7"}),
		("normalization-profiles", {"tenant_uuid": B, "name": "x"}),
		("normalization-rules", {"profile_id": 2, "rule_type": 1, "match_regex": "^7"}),
		("routing-rules", {"prefix": "7", "carrier_trunk_id": 2}),
		("routing-rules", {"prefix": "7", "tenant_uuid": A, "trunks": [1, 2]}),
		("routing-rules", {"prefix": "7", "tenant_uuid": A, "ipbx_id": 2}),
		("routing-rules", {"prefix": "7", "tenant_uuid": B}),
		("routing-rules", {"prefix": "7"}),  # for all
		("routing-groups", {"tenant_uuid": B, "routing_rule_id": 1}),
		("routing-groups", {"tenant_uuid": A, "routing_rule_id": 2}),
		("routing-groups", {"tenant_uuid": A, "routing_rule_id": 3}),  # would take it away from the others
		("cdrs", {"tenant_uuid": B, "from_uri": "sip:a@b", "to_uri": "sip:c@d"}),
	]
	before = {path: mine.items(path) for path in TABLES}
	for path, body in bad:
		r = mine.post(path, body)
		assert r.status == 403 and isinstance(r.detail, str), (path, body, r)
	# A rule for all is read only.
	assert mine.put("routing-rules/3", weight=5).status == 403
	assert mine.delete("routing-rules/3").status == 403
	# Nor does a row of his become another's, or everyone's.
	for path, body in bad:
		if path != "cdrs":
			r = mine.put(f"{path}/1", {"carrier_trunk_id": None} if body == {"prefix": "7"} else body)
			assert r.status == 403, (path, body, r)
	assert {path: mine.items(path) for path in TABLES} == before
	# And what is his own he may do.
	assert mine.post("domains", tenant_uuid=A, domain="mine.example").ok()["id"] == 3
	assert mine.put("domains/3", domain="mine2.example").ok()["tenant_uuid"] == A
	assert mine.post("dids", tenant_uuid=A, ipbx_id=1, carrier_trunk_id=1, did_regex="^7").ok()["id"] == 3
	assert mine.post("routing-rules", tenant_uuid=A, prefix="7", trunks=[1], ipbx_id=1).ok()["id"] == 4
	assert mine.post("routing-groups", tenant_uuid=A, routing_rule_id=4).ok()["id"] == 3
	assert mine.delete("domains/3").ok()["id"] == 3
	assert mine.put(f"tenants/{A}", name="aa").ok()["name"] == "aa"
	assert mine.post("cdrs", tenant_uuid=A, from_uri="sip:a@b", to_uri="sip:c@d").ok()["id"] == 3


def test_rules_that_are_not_his_alone(c4d, auth):
	"""
	Without its last group, a rule that names nothing is for all: so a principal neither takes groups away from such a rule, nor from
	one with others' trunks, nor changes these rules. He sees them.
	"""
	api = api_of(c4d)
	add_shared_rules(api)
	c4d.write({"routing": {"api": True, "auth_url": auth.url}})
	c4d.reload()
	until(lambda: api.get("tenants").status == 401, 10, "a token is asked for")
	mine, other = api.with_(token=auth.token(A)), api.with_(token=auth.token(B))
	assert [r["id"] for r in mine.items("routing-rules")] == [1, 3, 4, 5]
	assert [r["id"] for r in other.items("routing-rules")] == [2, 3, 5]
	for path in "routing-groups/3", "routing-groups/4", "routing-rules/4", "routing-rules/5":
		assert mine.get(path).status == 200
		assert mine.delete(path).status == 403, path
		assert mine.put(path, {}).status == 403, path
	assert other.put("routing-rules/5", prefix="6").status == 403
	assert mine.put("routing-groups/1", routing_rule_id=4).status == 403
	both = api.with_(token=auth.token(A, B))
	assert both.put("routing-rules/5", prefix="6").ok()["prefix"] == "6"
	assert both.delete("routing-groups/3").status == 403
	assert mine.delete("routing-groups/1").status == 200


def test_wazo_tenant(api, auth):
	both = api.with_(token=auth.token(A, B))
	assert len(both.items("tenants")) == 2
	for tenant, domain in (A, 1), (B, 2), (B.upper(), 2):
		narrow = both.with_(tenant=tenant)
		assert [r["id"] for r in narrow.items("domains")] == [domain]
		assert [r["id"] for r in narrow.items("cdrs")] == [domain]
		assert narrow.get(f"domains/{3 - domain}").status == 404
	refused(both.with_(tenant=C), 401, INVALID)
	refused(both.with_(tenant="nonsense"), 401, INVALID)
	refused(api.with_(token=auth.token(A), tenant=B), 401, INVALID)


def test_answers_are_kept(api, auth):
	"""10 s those that let in, 1 s those that don't; many at once are one question."""
	token = auth.token(A)
	auth.hold = threading.Event()
	with concurrent.futures.ThreadPoolExecutor(20) as pool:
		asked = [pool.submit(api.with_(token=token).get, "domains") for _ in range(20)]
		until(lambda: auth.count(token) == 1, 5, "the question is asked")
		assert not any(f.done() for f in asked)
		auth.hold.set()
		assert all(f.result().status == 200 for f in asked)
	auth.hold = None
	began = time.monotonic()
	del auth.tokens[token]
	assert auth.count(token) == 1 and auth.count("/tenants") == 1
	until(lambda: api.with_(token=token).get("domains").status == 401, 15, "the token has ended", every=0.1)
	assert 8 < time.monotonic() - began < 12
	assert auth.count(token) == 2
	# A refusal is kept for a second.
	auth.tokens[token] = [A]
	began = time.monotonic()
	assert api.with_(token=token).get("domains").status == 401
	until(lambda: api.with_(token=token).get("domains").status == 200, 5, "the token is valid again", every=0.05)
	assert time.monotonic() - began < 2
	assert auth.count(token) == 3


def test_wazo_auth_is_down(c4d, api, auth):
	"""503, never let in; said once, without the token; over when it is over."""
	token = auth.token(A)
	mine = api.with_(token=token)

	def closed():
		r = mine.get("domains")
		assert r.status in (200, 503)
		return r.status == 503 and int(r.headers["retry-after"]) > 0

	auth.stop()
	assert closed()
	holds(closed, 2.5, "nobody is let in")
	auth.start()
	until(lambda: mine.get("domains").status == 200, 5, "wazo-auth is asked again")
	for status in 500, 503, 302, 429:
		fresh = api.with_(token=auth.token(A))
		auth.fail = status
		assert fresh.get("domains").status == 503
		auth.fail = None
		until(lambda: fresh.get("domains").status == 200, 5, "it is let in")
	for text in b"", b"[]", b"{}", b"<html>", b'{"data": 3}', b'{"items": [{"uuid": "x"}]}', b"[" * 3000:
		fresh = api.with_(token=auth.token(A))
		auth.text = text
		assert fresh.get("domains").status == 503, text
		auth.text = None
	log = c4d.log()
	assert log.count("cannot be asked about a token") == log.count("answers again") + 1
	assert not any(t in log for t in auth.tokens)


def test_wazo_auth_that_does_not_answer(api, auth):
	"""The rest of c4d goes on meanwhile; those who wait get 503 in time, and no more wait than it can bear."""
	auth.hold = threading.Event()
	with concurrent.futures.ThreadPoolExecutor(100) as pool:
		asked = [pool.submit(api.with_(token=auth.token(A)).get, "domains") for _ in range(100)]
		until(lambda: auth.count() == 4, 5, "questions are asked")
		until(lambda: sum(f.done() for f in asked) == 36, 2.5, "those who would be too many are refused at once")
		for _ in range(20):
			began = time.monotonic()
			assert api.get("/api/v1/openapi.json").status == 200
			assert time.monotonic() - began < 1
		statuses = {f.result().status for f in asked}
		auth.hold.set()
	assert statuses == {503}
	auth.hold = None
	until(lambda: api.with_(token=auth.token(A)).get("domains").status == 200, 15, "it is asked again")


def test_many_tokens(api, auth):
	"""More guesses than are kept: none is let in, and who has a valid one goes on."""
	mine = api.with_(token=auth.token(A))
	assert mine.get("domains").status == 200
	with concurrent.futures.ThreadPoolExecutor(8) as pool:
		statuses = set(pool.map(lambda i: api.with_(token=f"guess-{i}").get("domains").status, range(1300)))
	assert statuses == {401}
	assert mine.get("domains").status == 200


def test_a_reload_while_some_wait(c4d, api, auth, secret):
	"""They are judged by the new rules."""
	auth.hold = threading.Event()
	token = auth.token(A)
	with concurrent.futures.ThreadPoolExecutor(2) as pool:
		waits = pool.submit(api.with_(token=token).get, "domains")
		knows = pool.submit(api.with_(token="the-s3cret-word").get, "domains")
		until(lambda: auth.count() == 2, 5, "both are asked for")
		c4d.write({"routing": {"api": True, "token_file": secret}})
		c4d.reload()
		assert waits.result().status == 401
		assert len(knows.result().ok()["items"]) == 2
		auth.hold.set()


def test_stopping_while_some_wait(c4d, api, auth):
	"""The daemon ends in time, and they get an answer."""
	auth.hold = threading.Event()
	with concurrent.futures.ThreadPoolExecutor(1) as pool:
		waits = pool.submit(api.with_(token=auth.token(A)).get, "domains")
		until(lambda: auth.count() == 1, 5, "it is asked")
		c4d.stop()
		assert waits.result().status == 503
	auth.hold.set()
