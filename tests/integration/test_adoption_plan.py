"""The first start beside what consul-template left, and `c4d plan`, which changes nothing."""
import hashlib
import json
import os

import pytest

from lab import Consul, Sbc, holds, until
from lab.fake_sip import SipPeer
from lab.rig import Rig

pytestmark = pytest.mark.both_kamailios
TEMPLATE = "1 sip:{}:5060 16 10"


def lines_of(hosts):
	"""As consul-template wrote them, with other sets and comments around."""
	return ["# written by consul-template, do not edit", *[TEMPLATE.format(h) for h in hosts],
		"# carriers", "2 sip:198.51.100.7:5060 16 1 weight=50", "", "7 sip:198.51.100.8:5060"]


def snapshot(sbc):
	"""All that may not change: the directory's content, to the byte and the time, and Kamailio's list."""
	found = {}
	for name in sorted(os.listdir(sbc.list_dir)):
		path = os.path.join(sbc.list_dir, name)
		with open(path, "rb") as f:
			found[name] = (hashlib.sha256(f.read()).hexdigest(), os.stat(path).st_mtime_ns, os.stat(path).st_ino)
	return found, sbc.dispatcher()


def list_text(sbc):
	with open(sbc.list_file, "rb") as f:
		return f.read()


def make_rig(lab, consul, make_c4d, lines, over=None, probing=False):
	sbc = Sbc(lab, probing=probing, reload_delta=1, lines=lines).start()
	return Rig(lab, consul, sbc, make_c4d, over=over)


def away(lab, instances, **kw):
	"""A Consul that is down, and knows these: at its start it lists them all at once."""
	consul = Consul(lab).start()
	for host, port in instances:
		consul.register("router", host, port, check=False, **kw)
	until(lambda: len(consul.srv("router").srv) == len(instances), 10, "Consul has them")
	consul.stop()
	return consul


def test_first_start_with_consul_down_touches_nothing(lab, make_c4d):
	"""Then Consul comes: its instances are converted, the others leave by evidence, one step after the other."""
	hosts = [lab.ip() for _ in range(4)]
	consul = away(lab, [(h, 5060) for h in hosts[:3]], weight=4)
	r = make_rig(lab, consul, make_c4d, lines_of(hosts), {"services": {"router": {"remove_hold": "3s"}}})
	uris = [f"sip:{h}:5060" for h in hosts]
	before, listed = list_text(r.sbc), r.sbc.dispatcher()
	r.c4d.start()
	until(lambda: set(r.c4d.states("router").values()) == {"up"} and len(r.c4d.states("router")) == 4, 5, "adopted")
	assert {i["source"] for i in r.c4d.instances().values()} == {"adopted"}
	holds(lambda: list_text(r.sbc) == before and r.sbc.dispatcher() == listed, 2.0, "nothing is touched")
	assert (r.count("reloads"), r.count("set_states"), r.count("file_writes")) == (0, 0, 0)
	# a restart remembers that and does no more
	r.c4d.restart()
	holds(lambda: list_text(r.sbc) == before and r.sbc.dispatcher() == listed, 1.0, "nothing is touched")
	consul.start()
	gone = uris[3]
	until(lambda: r.sbc.disabled() == {gone}, 15, "what Consul does not know is disabled at once")
	until(lambda: r.entries()[gone] & 4, 5, "the file says so, too")
	until(lambda: {d.uri: (d.flags, d.priority, d.attrs) for d in r.sbc.dispatcher()[1]} ==
		{u: ("AX", 0, "weight=4") for u in uris[:3]}, 15, "converted; after remove_hold the last one leaves")
	assert "removed after being disabled" in r.c4d.log()
	r.converged()
	text = r.sbc.file_text()
	assert text.split("# c4d begin")[0].splitlines() == [x for x in lines_of([])]
	assert r.entries() == {u: 16 for u in uris[:3]}


def test_guards_apply_to_what_was_adopted(lab, consul, make_c4d):
	"""Consul lists one of four: more than half are not let go at once, and Kamailio goes on with all."""
	hosts = [lab.ip() for _ in range(4)]
	consul.register("router", hosts[0], 5060)
	r = make_rig(lab, consul, make_c4d, lines_of(hosts), {"services": {"router": {"shrink_hold": "1m"}}})
	r.c4d.start()
	until(lambda: sorted(r.c4d.states("router").values()) == ["held", "held", "held", "up"], 10, "three are held")
	r.converged()
	assert r.sbc.enabled() == {f"sip:{h}:5060" for h in hosts}
	assert r.c4d.ctl("approve", "router").rc == 0
	until(lambda: r.sbc.enabled() == {f"sip:{hosts[0]}:5060"}, 5, "an operator may say so")


def test_an_empty_consul_removes_nothing(lab, consul, make_c4d):
	"""The service is not registered yet: absence, but the last set stays."""
	hosts = [lab.ip() for _ in range(3)]
	r = make_rig(lab, consul, make_c4d, lines_of(hosts), {"services": {"router": {"empty_rounds": 1, "empty_hold": "0s"}}})
	before = r.sbc.dispatcher()
	r.c4d.start()
	until(lambda: set(r.c4d.states("router").values()) == {"held"}, 10, "all are held")
	holds(lambda: r.sbc.dispatcher() == before, 1.0, "Kamailio keeps all")
	assert {(i["state"], i["guard"]) for i in r.c4d.instances().values()} == {("held", "empty")}


def test_host_names_and_what_only_kamailio_holds(lab, consul, make_c4d):
	"""Flag 16 lets Kamailio take a name without DNS. What was added at run time is adopted too."""
	host, other = lab.ip(), lab.ip()
	lines = [TEMPLATE.format(host), TEMPLATE.format("router-7.example.com"), TEMPLATE.format("[fd00::9]")]
	r = make_rig(lab, consul, make_c4d, lines[:2], {"services": {"router": {"max_shrink": 100, "remove_hold": "3s"}}})
	r.sbc.add(1, f"sip:{other}:5060", 0, 4, "weight=2")
	name = "sip:router-7.example.com:5060"
	assert r.sbc.listed() == {f"sip:{host}:5060", name, f"sip:{other}:5060"}
	consul.register("router", host, 5060)
	r.c4d.start()
	until(lambda: r.sbc.disabled() == {name, f"sip:{other}:5060"}, 10, "not in Consul: disabled")
	assert r.entries()[name] == 20 and [e[3:] for e in r.sbc.file_entries() if e[1] == f"sip:{other}:5060"] == [(4, "weight=2")]
	r.lists(f"sip:{host}:5060")
	r.converged()
	assert set(r.entries()) == {f"sip:{host}:5060"}


def test_a_dead_one_is_adopted_as_dead(lab, make_c4d):
	"""Kamailio knows it is dead: the file learns it only when something else is proven."""
	good, dead = SipPeer(lab), SipPeer(lab, alive=False)
	consul = away(lab, [(p.ip, p.port) for p in (good, dead)])
	# Kamailio 6.0 does not ping what has flag 16.
	r = make_rig(lab, consul, make_c4d, [f"1 {p.uri} 0 10" for p in (good, dead)], probing=True,
		over={"kamailio": {"sbc": {"dispatcher": {"1": {"flags": 0}}}}})
	until(lambda: r.sbc.flags() == {good.uri: "AP", dead.uri: "IP"}, 10, "one is dead")
	before = list_text(r.sbc)
	r.c4d.start()
	holds(lambda: list_text(r.sbc) == before, 0.5, "nothing is touched")
	consul.start()
	until(lambda: {d.attrs for d in r.sbc.dispatcher()[1]} == {"weight=1"}, 10, "converted", every=0.002)
	assert r.sbc.flags() == {good.uri: "AP", dead.uri: "IP"}, "and still dead"


# ---- plan ----

def rows(got):
	return {(x["target"], x["where"], x["op"], x["item"]) for x in got.data}


def plan_json(c4d):
	got = c4d.plan("-f", "json")
	return got._replace(data=json.loads(got.out))


def test_plan_changes_nothing(lab, consul, make_c4d):
	hosts = [lab.ip() for _ in range(4)]
	r = make_rig(lab, consul, make_c4d, lines_of(hosts[:3]))
	r.sbc.set_state("dx", 1, f"sip:{hosts[1]}:5060")
	for h in (*hosts[:2], hosts[3]):
		consul.register("router", h, 5060)
	before = snapshot(r.sbc)
	got = r.c4d.plan()
	assert got.rc == 1, got.out + got.err
	for word in ("TARGET", "sbc/1", "add", "disable", f"sip:{hosts[3]}:5060", f"sip:{hosts[2]}:5060", "kamailio", "file"):
		assert word in got.out
	assert all(len(x) <= 80 for x in got.out.splitlines())
	assert "198.51.100" not in got.out, "other sets are none of our business"
	assert snapshot(r.sbc) == before, "file, its time, Kamailio's list, and no lock beside the file"
	assert os.listdir(r.c4d.state) == []
	assert not os.path.exists(r.c4d.socket)
	# what it says is what a start does
	r.c4d.start()
	until(lambda: r.sbc.disabled() == {f"sip:{hosts[2]}:5060"}, 10, "disabled as announced")
	r.lists(*[f"sip:{h}:5060" for h in hosts])
	r.converged()
	# with the daemon beside it
	before = snapshot(r.sbc)
	r.c4d.stop()
	for h in hosts[2:3]:
		consul.register("router", h, 5060)
	got = r.c4d.plan()
	assert (got.rc, got.out) != (0, ""), "the disabled one would come back"
	assert "enable" in got.out
	assert snapshot(r.sbc)[1] == before[1]


def test_plan_with_nothing_to_do_and_as_json(lab, consul, make_c4d):
	r = make_rig(lab, consul, make_c4d, [])
	a = r.add()
	got = plan_json(r.c4d)
	assert (got.rc, rows(got)) == (1, {("sbc/1", "kamailio", "add", a), ("sbc/1", "file", "add", a)}), got.err
	r.start(a)
	got = r.c4d.plan()
	assert (got.rc, got.out, got.err) == (0, "no difference\n", ""), "beside the running daemon"
	got = plan_json(r.c4d)
	assert (got.rc, got.data) == (0, [])


def test_plan_without_consul_or_kamailio(lab, make_c4d):
	consul = Consul(lab)
	host = lab.ip()
	r = make_rig(lab, consul, make_c4d, lines_of([host]))
	before = snapshot(r.sbc)
	got = r.c4d.plan()
	assert got.rc == 4, got.out + got.err
	assert "router.service.consul" in got.err and "proves nothing" in got.err
	assert snapshot(r.sbc) == before
	consul.start()
	consul.register("router", host, 5060)
	r.sbc.stop()
	got = r.c4d.plan()
	assert got.rc == 1 and "kamailio sbc can't be read" in got.err and "only its files are compared" in got.err
	assert "change" in got.out and "kamailio" not in got.out
	assert list_text(r.sbc) == "".join(f"{x}\n" for x in lines_of([host])).encode()


@pytest.mark.parametrize("over, says", [
	({"kamailio": {"sbc": {"dispatcher": {"1": {"service": "nosuch"}}}}}, "nosuch"),
	({"kamailio": {"sbc": {"binrpc": "http://x"}}}, "binrpc"),
])
def test_plan_with_a_bad_configuration(lab, make_c4d, over, says):
	sbc = Sbc(lab)
	r = Rig(lab, ["127.0.0.1:9"], sbc, make_c4d, over=over)
	got = r.c4d.plan()
	assert got.rc == 3 and says in got.err and f"{r.c4d.conf}:" in got.err
	assert not os.path.exists(sbc.list_file + ".c4d-lock")
