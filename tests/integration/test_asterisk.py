"""
A real Asterisk, a real Consul: `eid: asterisk` is what ARI says, the eid check vouches for just that one, and an Asterisk
that comes back as another one is another one at Consul, too.
"""
import http.client

import pytest

from lab import holds, merge, until
from lab.asterisk import USER, Asterisk
from lab.registrar import has_state, is_gone, is_registered, registering, row, section, services, statuses
from lab.service import problems

ONE, OTHER = "02:00:5e:00:00:01", "02:00:5e:00:00:02"
ASKED = 11  # c4d asks every 10 s


@pytest.fixture
def asterisk(lab):
	return Asterisk(lab, ONE).start()


def page(c4d, path):
	conn = http.client.HTTPConnection(c4d.http_ip, c4d.http_port, timeout=5)
	try:
		conn.request("GET", path)
		got = conn.getresponse()
		return got.status, got.read().decode()
	finally:
		conn.close()


def check_eid(c4d, eid):
	return page(c4d, f"/res_discovery_consul/check_eid?expected_eid={eid}")[0]


def config(consul, asterisk, c4d_at, **over):
	"""One registration with an id of its own, and one whose id holds the eid; both checked for it, at c4d's HTTP server."""
	eid = {"type": "eid", "interval": "1s", "timeout": "500ms"}
	ari = {"type": "tcp", "to": f"{asterisk.ip}:{asterisk.port}", "interval": "1s", "timeout": "500ms"}
	ip, port = c4d_at
	return registering(consul, {
		"sbc": section(ip, asterisk.port, eid="asterisk", checks={"eid": eid, "ari": ari}),
		"pbx": section(ip, asterisk.port, id="pbx-{eid}", eid="asterisk", verify_dns=False, checks={"eid": eid})},
		ari={"url": asterisk.url, "user": USER, "password_file": asterisk.password_file},
		http={"listen": [f"{ip}:{port}"]}, **over)


@pytest.fixture
def at(lab):
	ip = lab.ip()
	return ip, lab.port(ip, 9600)


@pytest.fixture
def c4d(consul, asterisk, make_c4d, at):
	c = make_c4d(config(consul, asterisk, at))
	c.http_ip, c.http_port = at
	return c.start()


def passes(consul, sid, want):
	until(lambda: statuses(consul, sid) == want, 10, lambda: f"{sid}: {want}: {statuses(consul, sid)}")


def test_its_eid_is_what_ari_says(consul, asterisk, c4d, at):
	assert asterisk.said_eid() == ONE
	for name in ("sbc", "pbx"):
		has_state(c4d, name, "registered")
		assert row(c4d, name)["eid"] == ONE
	have = services(consul)
	assert set(have) == {"sbc-id", f"pbx-{ONE}"}
	assert {s["Meta"]["eid"] for s in have.values()} == {ONE}
	passes(consul, "sbc-id", {"sbc-id:eid": "passing", "sbc-id:ari": "passing"})
	passes(consul, f"pbx-{ONE}", {f"pbx-{ONE}:eid": "passing"})
	until(lambda: consul.srv("sbc").instances() == {(at[0], asterisk.port)}, 5, "DNS lists it")
	assert (check_eid(c4d, ONE), check_eid(c4d, OTHER)) == (200, 404)
	until(lambda: c4d.ctl("status").rc == 0, 10, lambda: c4d.ctl("status").out)


def test_one_that_makes_its_own_eid(lab, consul, make_c4d, at):
	"""As most do: asterisk.conf says nothing of it."""
	asterisk = Asterisk(lab).start()
	own = asterisk.said_eid()
	assert own and own not in (ONE, OTHER)
	c4d = make_c4d(config(consul, asterisk, at)).start()
	has_state(c4d, "sbc", "registered")
	assert services(consul)["sbc-id"]["Meta"]["eid"] == own
	is_registered(consul, f"pbx-{own}")
	passes(consul, "sbc-id", {"sbc-id:eid": "passing", "sbc-id:ari": "passing"})


def test_another_eid_after_a_restart(consul, asterisk, c4d):
	"""The same registration tells it, the one whose id holds it moves, and nobody vouches for the old one any more."""
	is_registered(consul, f"pbx-{ONE}")
	passes(consul, "sbc-id", {"sbc-id:eid": "passing", "sbc-id:ari": "passing"})
	asterisk.entity_id = OTHER
	asterisk.restart()
	assert asterisk.said_eid() == OTHER
	until(lambda: services(consul)["sbc-id"]["Meta"]["eid"] == OTHER, ASKED, lambda: str(services(consul)))
	is_registered(consul, f"pbx-{OTHER}")
	is_gone(consul, f"pbx-{ONE}")
	assert (check_eid(c4d, ONE), check_eid(c4d, OTHER)) == (404, 200)
	passes(consul, "sbc-id", {"sbc-id:eid": "passing", "sbc-id:ari": "passing"})
	passes(consul, f"pbx-{OTHER}", {f"pbx-{OTHER}:eid": "passing"})
	assert f"Asterisk's entity id is {OTHER} now; it was {ONE}" in c4d.log()
	# the configuration of another Asterisk's VM, at this one's address
	consul.http("PUT", "/v1/agent/service/register", {"ID": "left", "Name": "left", "Checks": [{"CheckID": "left:eid", "Interval": "1s",
		"HTTP": f"http://{c4d.http_ip}:{c4d.http_port}/consul_check?expected_eid={ONE}", "Status": "passing"}]})
	passes(consul, "left", {"left:eid": "critical"})


def test_stopped_and_back(consul, asterisk, c4d, at):
	"""Its identity is not forgotten with it: what is registered stays, and is out of DNS by the check that is about it."""
	passes(consul, "sbc-id", {"sbc-id:eid": "passing", "sbc-id:ari": "passing"})
	asterisk.stop()
	passes(consul, "sbc-id", {"sbc-id:eid": "passing", "sbc-id:ari": "critical"})
	until(lambda: consul.srv("sbc").instances() == set(), 5, "DNS does not list it")
	c4d.wait_log("Asterisk's entity id is not confirmed; the known one stays: .*connect", ASKED + 4)
	assert set(services(consul)) == {"sbc-id", f"pbx-{ONE}"}
	until(lambda: problems(c4d, "its check ari is critical"), 12, lambda: f"status says so: {c4d.ctl('status').out}")
	# an Asterisk that is not there when c4d starts is waited for; what is at Consul stays meanwhile
	c4d.write(merge(config(consul, asterisk, at), {"register": {n: {"on_stop": "keep"} for n in ("sbc", "pbx")}}))
	c4d.reload()
	c4d.wait_log("reload")
	c4d.restart()
	has_state(c4d, "sbc", "waiting")
	assert "Asterisk has not said it yet" in row(c4d, "sbc")["why"]
	holds(lambda: set(services(consul)) == {"sbc-id", f"pbx-{ONE}"}, 1.5, "they stay")
	asterisk.start()
	for name in ("sbc", "pbx"):
		has_state(c4d, name, "registered", 15)
	passes(consul, "sbc-id", {"sbc-id:eid": "passing", "sbc-id:ari": "passing"})
	until(lambda: consul.srv("sbc").instances() == {(at[0], asterisk.port)}, 5, "DNS lists it again")


def test_a_wrong_password_is_said(consul, asterisk, make_c4d, at):
	with open(asterisk.password_file, "w") as f:
		f.write("not-that-one\n")
	c4d = make_c4d(config(consul, asterisk, at)).start()
	c4d.wait_log("HTTP 401.*ari.user and ari.password_file")
	has_state(c4d, "sbc", "waiting")
	assert "not-that-one" not in c4d.log() + c4d.ctl("show", "registrations").out
	with open(asterisk.password_file, "w") as f:
		f.write("ari-secret\n")
	has_state(c4d, "sbc", "registered", ASKED)
