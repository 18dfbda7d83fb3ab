"""Smoke tests of the lab itself: when these fail, other failures say nothing about c4d."""
import os
import signal
import subprocess
import sys

import pytest

from lab import (Binrpc, Consul, Fault, HttpError, Lab, LabError, Router, Sbc, Uac, Uas, holds, merge, pair, until,
	yaml)
from lab import binrpc, dns
from lab.base import session_pids


# The example of Kamailio's own documentation, and what its encoder makes of other values.
@pytest.mark.parametrize("cookie, words, wire", [
	(0x1234, ("core.uptime",), "a1010e1234910c" + b"core.uptime\0".hex()),
	(0, ("x", 0), "a1000400" + "2178" + "00" + "00"),
	(1, ("x", 4711), "a1000601" + "217800" + "201267"),
	(1, ("x", -1), "a1000801" + "217800" + "40ffffffff"),
	(1, ("x", 1.5), "a1000601" + "217800" + "2205dc"),
])
def test_binrpc_encode(cookie, words, wire):
	assert binrpc.encode(cookie, *words).hex() == wire


@pytest.mark.parametrize("body, values", [
	("", []),
	("00", [0]),
	("201267", [4711]),
	("40ffffffff", [-1]),
	("217800", ["x"]),
	("03" "2541" "00" "1007" "2541" "00" "1008" "83", [[("A", 7), ("A", 8)]]),
	("03" "1007" "217800" "83", [[(None, 7), (None, "x")]]),
	("03" "2541" "00" "03" "83" "83", [[("A", [])]]),
])
def test_binrpc_decode(body, values):
	assert binrpc.decode_body(bytes.fromhex(body)) == values


@pytest.mark.parametrize("body", ["40ff", "03", "0310", "0384", "a1"])
def test_binrpc_decode_refuses(body):
	with pytest.raises(binrpc.BadFrame):
		binrpc.decode_body(bytes.fromhex(body))


def test_until_says_what_it_saw():
	with pytest.raises(LabError, match="the moon; last seen: ValueError: 7 == 8") as e:
		until(lambda: (_ for _ in ()).throw(ValueError("7 == 8")), 0.05, "the moon")
	assert e.type is LabError


def test_yaml_and_merge():
	conf = merge({"a": {"b": 1, "c": "x y", "d": True}, "e": [1]}, {"a": {"c": None, "n": {}}, "e": ["p", "q"]})
	assert yaml(conf) == 'a:\n  b: 1\n  d: true\n  n: {}\ne: ["p", "q"]\n'


def test_nothing_is_left_running(lab):
	"""Whatever ends a lab, its processes end too: leaving the block by an exception, or SIGKILL."""
	with pytest.raises(ZeroDivisionError):
		with Lab() as inner:
			inner.grace = 0.2
			p = inner.spawn("sh", ["sh", "-c", "trap '' TERM; sleep 1000 & while :; do sleep 1000; done"])
			until(lambda: len(session_pids(p.pid)) >= 3, 5, "its children")
			raise ZeroDivisionError
	assert session_pids(p.pid) == []
	inner.remove()
	code = ("import sys; sys.path.insert(0, sys.argv[1])\nfrom lab import Lab\nimport time\n"
		"l = Lab(directory=sys.argv[2]); print(l.spawn('s', ['sleep', '1000']).pid, flush=True); time.sleep(1000)")
	tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
	with subprocess.Popen([sys.executable, "-c", code, tests, lab.mkdir("other")], stdout=subprocess.PIPE) as child:
		pid = int(child.stdout.readline())
		child.send_signal(signal.SIGKILL)
	until(lambda: not session_pids(pid), 5, "the orphan ends")


def test_stop_script_ends_only_ours(lab):
	p = lab.spawn("mine", ["sleep", "1000"])
	other = lab.spawn("other", ["sleep", "1000"])
	script = lab.path("stop.sh")
	lab.procs.remove(other)
	lab.stop_script(script)
	lab.procs.append(other)
	with open(script) as f:
		text = f.read()
	with open(script, "w") as f:  # a process that has the pid but began at another time
		f.write(text.replace("sleep 3\n", f"end {other.pid} 1 TERM other\nsleep 0.1\n"))
	subprocess.run([script], check=True, stdout=subprocess.DEVNULL)
	until(lambda: not p.alive(), 5, "mine ends")
	assert other.alive()


def test_consul_answers_srv_and_forgets(lab, consul):
	sid = consul.register("router", "10.9.8.7", 5060, tags=["primary"], weight=7)
	got = until(lambda: consul.srv("router").srv, 5, "SRV answers")
	assert [(w, p) for _, w, p, _ in got] == [(7, 5060)]
	assert consul.srv("router").instances() == {("10.9.8.7", 5060)}
	assert consul.srv("router", tag="primary").instances() == {("10.9.8.7", 5060)}
	assert consul.srv("router", tag="nosuch").rcode == dns.NXDOMAIN
	for change, back in ((lambda: consul.failing(sid), lambda: consul.passing(sid)),
			(lambda: consul.maintenance(sid, True), lambda: consul.maintenance(sid, False)),
			(lambda: consul.deregister(sid), lambda: consul.register("router", "10.9.8.7", 5060))):
		change()
		until(lambda: consul.srv("router").rcode == dns.NXDOMAIN, 5, "NXDOMAIN")
		back()
		until(lambda: consul.srv("router").srv, 5, "it is back")


def test_consul_restart_keeps_services_and_wipe_loses_them(lab, consul):
	sid = consul.register("router", "10.9.8.7", 5060)
	until(lambda: consul.srv("router").srv, 5, "SRV answers")
	consul.restart()
	# The agent has kept it, but a TTL check is critical after a restart until it is passed again.
	kept = consul.http("GET", "/v1/agent/services")
	assert list(kept) == [sid], kept
	consul.passing(sid)
	until(lambda: consul.srv("router").srv, 15, "SRV answers after the restart")
	consul.stop()
	consul.wipe()
	consul.start()
	assert consul.srv("router").rcode == dns.NXDOMAIN


def test_consul_client_agent(lab):
	_, client = pair(lab)
	client.register("router", "10.9.8.7", 5060)
	until(lambda: client.srv("router").srv, 10, "the client answers")


def test_consul_denies_by_default(lab):
	consul = Consul(lab, acl=True).start()
	until(lambda: consul.register("router", "10.9.8.7", 5060), 15, "registration with the token")
	assert consul.srv("router").rcode == dns.NXDOMAIN
	assert consul.srv("consul").rcode == dns.NXDOMAIN
	with pytest.raises(HttpError, match="403"):
		consul.http("PUT", "/v1/agent/service/register", {"Name": "x"}, token="00000000-0000-4000-8000-00000000dead")
	consul.allow_dns()
	until(lambda: consul.srv("router").srv and consul.srv("consul").srv, 15, "DNS answers once it may")


@pytest.mark.parametrize("how", ["unix", "tcp"])
def test_kamailio_lists_what_it_loaded(lab, how):
	sbc = Sbc(lab, tcp=how == "tcp", lines=["1 sip:10.0.0.1:5060 16 5 weight=9", "7 sip:10.0.0.2:5060"]).start()
	if how == "tcp":
		sbc.ctl = sbc.ctl_tcp
	got = sbc.dispatcher()
	assert set(got) == {1, 7}
	assert [(d.uri, d.priority, d.attrs) for d in got[1]] == [("sip:10.0.0.1:5060", 5, "weight=9")]
	sbc.set_state("dx", 1, "sip:10.0.0.1:5060")
	assert sbc.disabled() == {"sip:10.0.0.1:5060"}
	sbc.write_list([])
	sbc.reload()
	assert sbc.dispatcher() == {}
	with pytest.raises(Fault, match="Ongoing reload"):
		sbc.reload()


@pytest.mark.both_kamailios
def test_kamailio_is_the_one_that_was_asked_for(lab, kamailio, sbc):
	"""6.0 comes from its own tree and takes nothing of the machine's older one, nor the other way round."""
	assert ".".join(map(str, sbc.core_version()[:2])) == kamailio
	with open(f"/proc/{sbc.proc.pid}/maps") as f:
		files = {line.split()[5] for line in f if ".so" in line}
	theirs = {x for x in files if x.startswith("/usr/")}
	assert len(files) > 10 and theirs == (set() if kamailio == "6.0" else files)


def test_kamailio_options(lab):
	"""reload_delta, no probing, and Debian's own user."""
	who = "kamailio" if os.getuid() == 0 else None
	sbc = Sbc(lab, reload_delta=0, probing=False, user=who, lines=["1 sip:10.0.0.1:5060"]).start()
	sbc.reload()
	sbc.reload()
	sbc.add(1, "sip:10.0.0.2:5060", 0, 3, "weight=1")
	assert sbc.listed() == {"sip:10.0.0.1:5060", "sip:10.0.0.2:5060"}
	sbc.remove(1, "sip:10.0.0.1:5060")
	assert sbc.listed() == {"sip:10.0.0.2:5060"}
	assert {f for f in sbc.flags().values()} == {"AX"}


def test_kamailio_stops_and_comes_back(lab, sbc):
	first = sbc.main_pid()
	assert first == sbc.proc.pid
	held = Binrpc(sbc.ctl)
	sbc.kill()
	with pytest.raises(OSError):
		held.call("core.uptime")
	held.close()
	with pytest.raises(OSError):
		sbc.rpc("core.uptime")
	sbc.start()
	assert sbc.main_pid() != first
	sbc.pause()
	with pytest.raises(TimeoutError):
		sbc.rpc("core.uptime", timeout=0.2)
	sbc.resume()
	until(sbc.uptime, 5, "it answers again")
	assert sbc.stop() is not None


def test_probing_finds_dead_and_living(lab):
	alive = Router(lab, "router1", "127.0.0.1:9").start()
	dead = f"sip:{lab.ip()}:5060"
	sbc = Sbc(lab, lines=[f"1 {alive.uri}", f"1 {dead}"]).start()
	until(lambda: sbc.flags() == {alive.uri: "AP", dead: "IP"}, 15, "one active, one inactive")
	holds(lambda: sbc.active() == {alive.uri}, 0.5, "stays so")


def test_calls_through_sbc_and_router(lab):
	carrier = Uas(lab)
	routers = [Router(lab, f"router{n}", carrier.addr).start() for n in (1, 2)]
	sbc = Sbc(lab, lines=[f"1 {r.uri} 16" for r in routers]).start()
	result = Uac(lab, f"{sbc.ip}:{sbc.port}", rate=20, count=20).ok()
	assert (result.calls, result.ok, result.failed) == (20, 20, 0)
	assert sum(result.answered.values()) == 20
	assert [r.calls() for r in routers] == [10, 10]
	routers[0].kill()
	result = Uac(lab, f"{sbc.ip}:{sbc.port}", rate=20, count=10).ok()
	assert result.slower_than(500) > 0, "a call tried the dead router first"
	sbc.kill()
	with pytest.raises(LabError, match="failed"):
		Uac(lab, f"{sbc.ip}:{sbc.port}", rate=20, count=1, patience_ms=500).ok()
