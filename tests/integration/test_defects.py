"""
What wazo-router-confd and the platform around it do wrong, and c4d must not: the defects that only a running daemon shows. The numbers are those of
the list of thirteen that the routing API was made from. Elsewhere: 1, 2, 4 to 9 in tests/unit/test_routing_defects.c (a decision alone), 7 also in
test_cdr.py, 11 in test_uacreg.py (test_defect_11_...).
"""
import concurrent.futures
import os
import stat

import pytest

from lab import Sbc, base_config, holds, merge, pair, until
from lab.registrar import checks, is_registered, registering, section, services
from lab.rtpengine import Rtpengine
from lab.routing import Api, load, small

DID = "sip:39040123456@sip.other.com"


def test_defect_03_a_question_changes_nothing(make_c4d, plain):
	"""There every routing request flushed the cache. Here questions write nothing, and go on being answered from the same data."""
	c = make_c4d(plain).start()
	assert load(c, small()).rc == 0

	def state():
		return (c.show("routing")["version"], c.show("routing")["loaded"], c.ctl("status", fmt="json").data["store"]["commits"],
			os.stat(os.path.join(c.state, os.listdir(c.state)[0])).st_mtime_ns)
	before = state()

	def ask(_):
		api = Api(c)
		for _ in range(100):
			assert api.dsts(DID) == ["sip:10.0.0.1:5060"]
			assert api.ask("POST", "/1.0/kamailio/auth", {"username": "user"}).json["success"] is True
			assert api.ask("POST", "/kamailio/rtjson", {}).status == 422
	with concurrent.futures.ThreadPoolExecutor(3) as pool:
		list(pool.map(ask, range(3)))
	assert state() == before


def test_defect_10_status_and_kamailio_need_no_token(lab, make_c4d, plain):
	"""With a token for REST, Consul's check and Kamailio still get their answers; REST does not."""
	token = lab.path("token")
	with open(token, "w", opener=lambda p, f: os.open(p, f, stat.S_IRUSR | stat.S_IWUSR)) as f:
		f.write("s3cret\n")
	c = make_c4d(merge(plain, {"routing": {"api": True, "token_file": token}})).start()
	assert load(c, small()).rc == 0
	for headers in ({}, {"X-Auth-Token": "wrong"}):
		api = Api(c)
		answer = api.ask("GET", "/status", headers=headers)
		assert (answer.status, answer.body) == (204, b"")
		routing = {"from_name": "", "from_uri": "sip:1@h", "to_uri": DID}
		for method, path, body in (("POST", "/1.0/kamailio/routing", routing), ("POST", "/kamailio/rtjson", routing),
				("POST", "/1.0/kamailio/auth", {"username": "user"}), ("GET", "/1.0/kamailio/dbtext/uacreg", None),
				("POST", "/1.0/kamailio/cdr", {"tenant_uuid": small()["tenants"][0]["uuid"], "from_uri": "sip:1@h", "to_uri": DID})):
			assert api.ask(method, path, body, headers).status == 200, path
		assert api.ask("GET", "/1.0/tenants", headers=headers).status == 401
	assert Api(c).ask("GET", "/1.0/tenants", headers={"X-Auth-Token": "s3cret"}).status == 200


def test_defect_12_registered_again_when_the_agent_forgot(lab, make_c4d):
	"""Not once and never again; and an rtpengine with a check of its own control port."""
	_, agent = pair(lab)
	node = Rtpengine(lab, "rtp").start()
	c = make_c4d(registering(agent, {"rtp": section(port=node.port, address=node.ip, checks={
		"ng": {"type": "ng", "to": f"{node.ip}:{node.port}", "interval": "300ms", "timeout": "200ms"}})})).start()

	def status():
		return {v["Status"] for v in checks(agent, "rtp-id").values()}
	is_registered(agent, "rtp-id")
	until(lambda: status() == {"passing"}, 10, lambda: f"passing: {status()}")
	agent.http("PUT", "/v1/agent/service/deregister/rtp-id")
	assert "rtp-id" not in services(agent)
	is_registered(agent, "rtp-id", 20, "again")
	until(lambda: status() == {"passing"}, 10, "and its check is good")
	node.kill()
	until(lambda: status() == {"critical"}, 10, "a dead rtpengine is seen")
	assert c.proc.alive()


@pytest.mark.both_kamailios
def test_defect_12_consuls_weights_reach_kamailio(lab, consul, make_c4d):
	"""Those that Consul has, and no tag."""
	box = Sbc(lab, probing=False, reload_delta=1).start()
	for weight in (7, 3):
		consul.register("router", lab.ip(), 5060, weight=weight)
	c = make_c4d(base_config(consul, box, kamailio={"sbc": {"reload_delta": "1s", "poll": "200ms"}})).start()

	def attrs():
		return sorted(d.attrs for d in box.dispatcher().get(1, ()))
	until(lambda: attrs() == ["weight=3", "weight=7"], 10, lambda: f"weights: {attrs()}")
	assert c.proc.alive()


@pytest.mark.parametrize("path", ["/consul_check", "/res_discovery_consul/check_eid"])
def test_defect_13_both_paths_of_the_check_are_there(make_c4d, plain, path):
	"""What its README says, and what its code serves."""
	api = Api(make_c4d(plain).start())
	assert api.ask("GET", path + "?expected_eid=00:11:22:33:44:55").status == 404  # a mismatch, not "no such page"
	assert "EID" in api.ask("GET", path + "?expected_eid=00:11:22:33:44:55").body.decode().upper()
	assert api.ask("GET", path).status == 400
	assert api.ask("POST", path + "?expected_eid=x").status == 405


@pytest.mark.both_kamailios
def test_defect_13_a_service_without_instances_empties_no_list(lab, consul, make_c4d):
	"""There the template rendered an empty dispatcher.list, and no call went anywhere."""
	box = Sbc(lab, probing=False, reload_delta=1).start()
	ip = lab.ip()
	sid = consul.register("router", ip, 5060)
	c = make_c4d(merge(base_config(consul, box, kamailio={"sbc": {"reload_delta": "1s", "poll": "200ms"}}), {"services": {"router": {
		"min_instances": 1, "remove_hold": "100ms", "empty_hold": "300ms"}}})).start()
	uri = f"sip:{ip}:5060"
	until(lambda: box.listed(1) == {uri}, 10, "it is listed")
	consul.deregister(sid)
	until(lambda: c.states() == {f"{ip}:5060": "held"}, 15, lambda: f"it is held: {c.states()}")
	holds(lambda: box.listed(1) == {uri} and uri in box.file_text(), 1.5, "list and file keep it", every=0.2)
